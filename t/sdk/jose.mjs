// (C) ngx_apikey_module contributors

// Makes keys and signed tokens with the npm package jose, and prints one JSON
// object: the set of the keys, and of each algorithm a token.
//
//   node jose.mjs FOLDER_OF_NODE_MODULES ALGORITHM...

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import fs from 'node:fs';

const [, , modules, ...algorithms] = process.argv;

// A module of the new kind alone: its package says where it begins.

const folder = path.join(path.resolve(modules), 'jose');
const about = JSON.parse(fs.readFileSync(path.join(folder, 'package.json')));
const entry = about.exports['.'];
const file = typeof entry === 'string' ? entry
    : entry.node?.import ?? entry.import ?? entry.default;
const jose = await import(pathToFileURL(path.join(folder,
    typeof file === 'string' ? file : file.default)).href);

const keys = [];
const tokens = {};

for (const alg of algorithms) {
    try {
        const kid = `jose-${alg}`;
        let sign;
        let jwk;

        if (alg.startsWith('HS')) {
            sign = new TextEncoder().encode('x'.repeat(64));
            jwk = { kty: 'oct', k: jose.base64url.encode(sign) };

        } else {
            const pair = await jose.generateKeyPair(alg,
                { extractable: true });
            sign = pair.privateKey;
            jwk = await jose.exportJWK(pair.publicKey);
        }

        keys.push({ ...jwk, kid, alg, use: 'sig' });

        tokens[alg] = await new jose.SignJWT({ scope: 'chat' })
            .setProtectedHeader({ alg, kid, typ: 'JWT' })
            .setSubject('alice').setIssuer('jose').setAudience('api')
            .setIssuedAt().setExpirationTime('10m').setJti(kid)
            .sign(sign);

    } catch (error) {
        tokens[alg] = { error: String(error.message) };
    }
}

console.log(JSON.stringify({ version: about.version, set: { keys }, tokens }));
