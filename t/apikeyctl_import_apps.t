#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl key import of what other applications export: the keys
# are accepted afterwards, those of which there is a hash alone too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use Test::More;

use ApikeyCtl ();
use ApikeyTest;

my $json = JSON::PP->new->utf8->canonical;
my $v = $json->decode(ApikeyCtl::slurp("$FindBin::Bin/vectors/imports.json"));

my $lmnr = $v->{lmnr_project_key};
my $litellm = 'sk-' . 'Ab3_-' x 4 . 'Zz';
my $owui = 'sk-' . '0123456789abcdef' x 2;
my $lobehub = 'sk-lh-0a1b2c3d4e5f6g7h';
my $kind = '';
my ($t, $r, %by);


sub import_rows {
    my ($format, $rows, @args) = @_;

    my $rc = $t->ctl('--json', 'key', 'import', '--format', $format, @args,
        { stdin => $rows });
    my $sum = $t->{out} =~ /^\{/ ? $json->decode($t->{out}) : {};

    return { %$sum, status => $rc, err => $t->{err} };
}


sub counts {
    my ($r, $imported, $there, $skipped, $name) = @_;

    is_deeply([ @{$r}{qw(imported there skipped status)} ],
        [ $imported, $there, $skipped, $skipped ? 1 : 0 ], "$kind, $name")
        or diag($r->{err});
}


sub list {
    $t->ctl('--json', 'key', 'list') == 0 or die $t->{err};

    return map { $_->{owner} => $_ } @{ $json->decode($t->{out}) };
}


sub owner_of {
    my ($key, $port) = @_;

    $r = $t->request('GET', '/', [ 'x-api-key' => $key ],
        port => $t->port($port || 0));

    return $r->status == 200 ? $r->header('X-Owner') : $r->status;
}


sub imports {
    my $future = time + 86400;

    counts(import_rows('open-webui', <<"EOF"), 1, 0, 1, 'open-webui');
id,user_id,key,data,expires_at,last_used_at,created_at,updated_at
key_1,owui-user,$owui,,$future,,1,1
key_2,owui-user,sk-old-key-00001,,1700000000,,1,1
EOF

    counts(import_rows('lmnr', "hash,shorthand,project_id,name,"
        . "is_ingest_only,expires_at\n"
        . "$lmnr->{sha3_256},$lmnr->{shorthand},lmnr-project,main,f,\n"
        . ('0' x 64) . ",0000...0000,lmnr-ingest,in,t,"
        . "2100-01-31 12:00:00.123+00\n"
        . ('Z' x 64) . ",raw,lmnr-raw,bad,f,\n"), 2, 0, 1, 'lmnr');

    # as its Redis has it; and again

    counts(import_rows('lmnr', $json->encode({ projectId => 'mallory',
        name => undef, hash => uc $lmnr->{sha3_256},
        isIngestOnly => JSON::PP::false, expiresAt => undef,
        shorthand => $lmnr->{shorthand} })),
        0, 1, 0, 'lmnr, again');

    counts(import_rows('litellm', $json->encode({
        token => Digest::SHA::sha256_hex($litellm), key_name => 'sk-...Zz',
        key_alias => 'agent', user_id => 'litellm-user', spend => 1.5,
        blocked => undef, expires => undef }) . "\n"
        . $json->encode({ token => Digest::SHA::sha256_hex("${litellm}2"),
            user_id => 'litellm-blocked', blocked => JSON::PP::true })),
        2, 0, 0, 'litellm');

    $t->file('vaults.key', $v->{lobe_vault}{secret_b64}, 0600);

    counts(import_rows('lobehub', "key,name,enabled,user_id\n"
        . "$lobehub,plain,true,lobe-user\n"
        . "sk-lh-switched-off-000,off,false,lobe-off\n"
        . "$v->{lobe_vault}{enc},sealed,true,lobe-sealed\n",
        '--app-key', "file:$t->{dir}/vaults.key"), 3, 0, 0, 'lobehub');

    $r = import_rows('lobehub', "key,user_id\n$v->{lobe_vault}{enc},a\n");
    counts($r, 0, 0, 1, 'lobehub, sealed');
    like($r->{err}, qr/row 2 is skipped: key missing/,
        "$kind, lobehub, what is missing");

    is(import_rows('lmnr', "hash\n1\n", '--app-key', 'env:X')->{status}, 2,
        "$kind, a useless key");
}


sub marks {
    %by = list();

    is($by{'lmnr-project'}{warning}, 'weak hash: rotate', "$kind, marked");
    is($by{'litellm-user'}{warning}, 'weak hash: rotate', "$kind, marked, too");
    ok(!exists $by{'owui-user'}{warning}, "$kind, the others are not");
    is($by{'lmnr-project'}{meta}{shorthand}, $lmnr->{shorthand},
        "$kind, the shorthand");
    is($by{'lmnr-ingest'}{scopes}, 'ingest', "$kind, the scope");
    is($by{'lmnr-ingest'}{expires}, 4105080000, "$kind, when it expires");
    is($by{'litellm-user'}{name}, 'agent', "$kind, the name");
    is($by{'litellm-blocked'}{status}, 'disabled', "$kind, blocked");
    is($by{'lobe-off'}{status}, 'disabled', "$kind, switched off");

    $t->ctl('key', 'show', $by{'lmnr-project'}{id});
    like($t->{out}, qr/weak hash: rotate/, "$kind, shown");
    $t->ctl('key', 'list');
    like($t->{out}, qr/^$by{'lmnr-project'}{id}: weak hash: rotate$/m,
        "$kind, listed");
    $t->ctl('doctor');
    like($t->{out}, qr/weak hashes.*4 keys/s, "$kind, the doctor counts them");
}


sub accepted {
    is(owner_of($owui), 'owui-user', "$kind, open-webui");
    is(owner_of($lobehub), 'lobe-user', "$kind, lobehub");
    is(owner_of("{\"apiKey\":\"$v->{lmnr}{plaintext}\"}"), 'lobe-sealed',
        "$kind, lobehub, sealed");
    is(owner_of($lmnr->{raw}), 'lmnr-project', "$kind, lmnr");
    is(owner_of($lmnr->{raw}), 'lmnr-project', "$kind, lmnr, again");
    is(owner_of($litellm), 'litellm-user', "$kind, litellm");

    denied($t->get('/', 'x-api-key' => $_), 401, 'invalid_api_key',
        "$kind, another: " . substr $_, 0, 4)
        for 'sk-' . '0123456789abcdee' x 2, 'sk-lh-0a1b2c3d4e5f6g7i',
            'B' . substr($lmnr->{raw}, 1), lc $lmnr->{raw}, "$lmnr->{raw}b",
            $lmnr->{sha3_256}, '0' x 64,
            substr($litellm, 0, -1) . 'y',
            Digest::SHA::sha256_hex($litellm);

    # a key of another shape is not looked for by a hash

    denied($t->get('/', 'x-api-key' => "${litellm}2"), 401,
        'invalid_api_key', "$kind, a shape that litellm does not make");
}


sub rotated {
    is($t->ctl('--json', 'key', 'rotate', $by{'lmnr-project'}{id}), 0,
        "$kind, rotated");

    my $new = $json->decode($t->{out})->{key};

    $t->secret($new);

    ok(ApikeyTest::wait_for(sub { owner_of($new) eq 'lmnr-project' }),
        "$kind, the successor");
    is(owner_of($lmnr->{raw}), 'lmnr-project', "$kind, in its grace");

    is($t->ctl('key', 'revoke', $by{'lmnr-project'}{id}), 0,
        "$kind, revoked");
    ok(ApikeyTest::wait_for(sub { owner_of($lmnr->{raw}) eq '401' }),
        "$kind, revoked, refused");
    is($r->header('X-Reason'), 'revoked', "$kind, and told so");
}


# What looks like such a key costs two questions, and none at all once its
# source has failed too often; who is known goes on.

sub limited {
    my ($before, $asked);

    $before = $t->redis_calls('hgetall');
    owner_of('y' x 40, 1);
    is($t->redis_calls('hgetall') - $before, 1, 'any other key, one question');

    $before = $t->redis_calls('hgetall');
    owner_of(sprintf('%064d', 1), 1);
    is($t->redis_calls('hgetall') - $before, 2, 'such a key, two');

    my @status = map { owner_of(sprintf('%064d', $_), 1) }
        100 .. 160;

    is($status[-1], 429, 'too many');

    $before = $t->redis_calls('hgetall');
    is(owner_of(sprintf('%064d', $_), 1), 429,
        "then refused, $_") for 20 .. 24;
    is($t->redis_calls('hgetall') - $before, 0, 'and nothing is asked');

    is(owner_of($litellm, 1), 'litellm-user',
        'who is known is let in');
}


for my $embedded (0, 1) {
    $kind = $embedded ? 'file' : 'redis';
    $t = ApikeyTest->new(embedded => $embedded, level => 'info');

    $t->http(<<'EOF');
    %%APIKEY%%

    apikey on;
    add_header X-Owner $apikey_owner always;
    add_header X-Reason $apikey_reason always;

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        apikey_fail_limit rate=6r/m;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

    $t->secret($_) for $owui, $lobehub, $litellm, $lmnr->{raw};

    imports();
    marks();

    $t->start;

    accepted();
    rotated();

    unless ($embedded) {
        my ($text) = $t->redis_cmd('HGET',
            "apikey:key:$by{'lmnr-project'}{id}", 'hash');

        is($text, '$sha3-256$' . MIME::Base64::encode_base64url(
            pack 'H*', $lmnr->{sha3_256}), 'the hash, as stored');

        limited();

        ok($t->stop, 'nginx ends cleanly');
        is($t->leak($t->error_log), undef, 'no credential in the error log');
    }
}

$t->done;
