// (C) ngx_apikey_module contributors

// Calls a chat completion through the proxy with OpenAI's own client and
// prints what a program that uses it would see, one JSON object.
//
//   node openai.mjs FOLDER_OF_NODE_MODULES BASE_URL KEY

import { createRequire } from 'node:module';
import path from 'node:path';

const [, , modules, baseURL, apiKey] = process.argv;
const require = createRequire(path.join(path.resolve(modules), 'index.js'));
const library = require('openai');
const OpenAI = library.OpenAI || library.default || library;

let calls = 0;

const client = new OpenAI({
    apiKey,
    baseURL,
    maxRetries: 2,
    timeout: 20000,
    fetch: (...args) => {
        calls++;
        return globalThis.fetch(...args);
    },
});

try {
    const completion = await client.chat.completions.create({
        model: 'gpt-test',
        messages: [{ role: 'user', content: 'Say hello.' }],
    });

    console.log(JSON.stringify({
        calls,
        content: completion.choices[0].message.content,
    }));

} catch (err) {
    console.log(JSON.stringify({
        calls,
        name: err.constructor.name,
        status: err.status,
        code: err.code,
        type: err.type,
        param: err.param,
        message: err.message,
    }));
}
