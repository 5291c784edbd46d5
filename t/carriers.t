#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the carriers of a credential: what counts as one, what does not,
# and what becomes of several.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    apikey on;
    add_header X-Reason $apikey_reason always;
    add_header X-Id $apikey_id always;

    large_client_header_buffers 4 32k;

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        underscores_in_headers on;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->start;

my $key = $t->create_key(owner => 'alice')->{key};
my $other = $t->create_key(owner => 'bob')->{key};
my $jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJpYXQiOjF9.'
    . 'c2lnbmF0dXJlLW9mLW5vLXVzZS1hdC1hbGw';

my ($r, $c);


# A request with the headers: its status and the reason.

sub told {
    my ($port, @headers) = @_;

    my $r = $t->request('GET', '/', \@headers, port => $t->port($port));

    return $r->status . ' ' . ($r->header('X-Reason') // '');
}


is(told(0, Authorization => "$_$key"), '200 ', "'$_'")
    for 'Bearer ', 'bearer ', 'BEARER ', 'bEaReR ', 'Bearer   ';

is(told(0, 'authorization' => "Bearer $key  "), '200 ', 'spaces at the end');
is(told(0, 'x-api-key' => $key), '200 ', 'x-api-key');
is(told(0, 'X-API-Key' => $key), '200 ', 'X-API-Key');

is(told(0), '401 missing', 'nothing');
is(told(0, Authorization => $key), '401 missing', 'no scheme');
is(told(0, Authorization => "Bearer$key"), '401 missing', 'another scheme');
is(told(0, Authorization => 'Basic YWxpY2U6c2VjcmV0'), '401 missing',
    'Basic is not for us');
is(told(0, Authorization => 'Basic YWxpY2U6c2VjcmV0', 'X-Api-Key' => $key),
    '200 ', 'Basic beside a key');
like(told(0, Authorization => 'Bearer'), qr/^401 (?:missing|malformed)$/,
    'a scheme alone');
like(told(0, 'x-api-key' => ''), qr/^401 (?:missing|malformed)$/,
    'an empty header');
is(told(0, 'x-api-key' => "$key $other"), '401 malformed', 'two in one');
is(told(0, 'x-api-key' => "\"$key\""), '401 unknown', 'in quotes: foreign');

# Carriers that are stripped, but not asked.

is(told(0, $_ => $key), '401 missing', "$_ is no carrier")
    for 'api-key', 'x-goog-api-key', 'Proxy-Authorization', 'Cookie';

is($t->get("/?key=$key" =~ s/sk-.*/sk-x/r)->status, 401, 'nor is the query');

# Several.

is(told(0, Authorization => "Bearer $key", 'x-api-key' => $key), '200 ',
    'the same key in two places');
is(told(0, Authorization => "Bearer $key", 'x-api-key' => $other),
    '401 ambiguous', 'different keys in two places');
is(told(0, Authorization => "Bearer $jwt", 'x-api-key' => $key),
    '401 ambiguous', 'a token and a key');
is(told(0, ('x-api-key' => $key) x 2), '200 ', 'twice the same');
is(told(0, ('x-api-key' => $key) x 30), '200 ', '30 times the same');
is(told(0, 'x-api-key' => $key, 'x-api-key' => $other), '401 ambiguous',
    'twice, not the same');
is(told(0, ('x-api-key' => $key) x 30, 'x-api-key' => $other),
    '401 ambiguous', 'the last of 31 is not the same');

# nginx itself refuses a second Authorization.

is(told(0, ("Authorization" => "Bearer $key") x 2), '400 ',
    'Authorization twice');

denied($t->get('/', Authorization => "Bearer $key", 'x-api-key' => $other),
    401, 'invalid_api_key', 'ambiguous, the body');

# A token where keys are taken: the message says so.

like(denied($t->get('/', Authorization => "Bearer $jwt"), 401,
    'invalid_api_key', 'JWT, the body'), qr/JWT/, 'JWT, the message');
is(told(0, 'x-api-key' => $jwt), '401 wrong_kind', 'JWT in x-api-key');

# "_" is "-" where nginx lets it through.

is(told(0, 'x_api_key' => $key), '401 missing', 'x_api_key is dropped');
is(told(1, 'x_api_key' => $key), '200 ', 'x_api_key is a carrier');
is(told(1, 'x_api_key' => $key, 'x-api-key' => $other), '401 ambiguous',
    'x_api_key and x-api-key differ');

# Lengths: longer than a key can be, longer than a buffer of nginx's.

is(told(0, 'x-api-key' => 'a' x 512), '401 unknown', '512 bytes');
is(told(0, 'x-api-key' => 'a' x 513), '401 malformed', '513 bytes');
is(told(0, Authorization => 'Bearer ' . 'a' x 8192), '401 malformed',
    '8k header');
is(told(0, Authorization => 'Bearer ' . 'a' x 30000), '401 malformed',
    '30k header');
is(told(0, 'x-long' => 'a' x 20000, 'x-api-key' => $key), '200 ',
    'a key after a long header');

# Bytes that no key has.

is(told(0, 'x-api-key' => "sk-\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"),
    '401 malformed', 'letters beyond ASCII');
is(told(0, 'x-api-key' => "sk-12345\t6789"), '401 malformed', 'a tab');
is(told(0, 'x-api-key' => "sk-1234\x7f56789"), '401 malformed', 'DEL');

# A line that goes on in the next one, a NUL: nginx refuses the request.

for my $line ("Authorization: Bearer sk-obs\r\n folded0000000000",
    "Authorization: Bearer sk-nul\0nul00000000",
    "x-api-key: sk-nul\0nul00000000")
{
    $c = $t->connect;
    $c->send("GET / HTTP/1.1\r\nHost: localhost\r\n$line\r\n\r\n");
    $r = $c->response;
    ok($r && ($r->status == 400 || $r->status == 401),
        'refused: ' . ($line =~ s/[^ -~]+/./gr));
}

# HTTP/1.0, and no Host at all.

$c = $t->connect;
$c->send("GET / HTTP/1.0\r\nx-api-key: $key\r\n\r\n");
is($c->response->status, 200, 'HTTP/1.0');

$c = $t->connect;
$c->send("GET / HTTP/1.0\r\n\r\n");
denied($c->response, 401, 'invalid_api_key', 'HTTP/1.0, missing');

# HTTP/0.9 has no headers, so that nothing can be granted.

$c = $t->connect;
$c->send("GET /\r\n");
unlike($c->closed && $c->{buf}, qr/"method"/, 'HTTP/0.9, not granted');

$t->done;
