#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for denials: every reason that a key can have, over HTTP/1.1 and
# HTTP/2, with and without a request body, on connections that go on working.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;

        client_max_body_size 8m;
        apikey on;
        add_header X-Reason $apikey_reason always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->start;

my %key = map { $_ => $t->create_key(owner => "owner-$_") }
    qw(good disabled revoked expired other);

is($t->ctl('key', $_ eq 'disabled' ? 'disable' : 'revoke', $key{$_}{id}), 0,
    "$_ by apikeyctl") for qw(disabled revoked);

$t->redis_cmd('HSET', "apikey:key:$key{expired}{id}", 'expires', time - 5);

# A mistyped key is told apart from an unknown one by its checksum alone.

my $mistyped = $key{good}{key};
substr($mistyped, -1) =~ tr/0-9A-Za-z/1-9A-Za-z0/;

# The right id and checksum, but the secret of nobody.

my $wrong = ApikeyTest::native_key($key{other}{id}, 'x' x 32);

my %case = (
    missing => undef,
    malformed => 'sk-123',
    'bad checksum' => $mistyped,
    unknown => make_key()->{key},
    'wrong secret' => $wrong,
    disabled => $key{disabled}{key},
    revoked => $key{revoked}{key},
    expired => $key{expired}{key},
);

my %word = ('bad checksum' => 'malformed', 'wrong secret' => 'unknown');

$t->secret($_) for grep { defined } values %case;

my $big = join '', map { chr(65 + $_ % 26) } 1 .. 1024 * 1024;
my @good = (Authorization => "Bearer $key{good}{key}");
my (%message, %body, $r);

is($t->get('/', @good)->status, 200, 'a good key');

for my $name (sort keys %case) {
    my @h = defined $case{$name} ? (Authorization => "Bearer $case{$name}")
        : ();
    my $reason = $word{$name} || $name;

    $r = $t->get('/', @h);
    $message{$name} = denied($r, 401, 'invalid_api_key', "$name, GET");
    $body{$name} = $r->text;
    is($r->header('X-Reason'), $reason, "$name, the reason");
    is($t->leak($r->text), undef, "$name, no secret in the answer");

    # A body that nobody reads must not stand in the way of the next request.

    my $c = $t->connect;

    for my $try (1, 2) {
        $c->send(ApikeyHTTP::bytes('POST', '/', \@h, $big));
        denied($c->response, 401, 'invalid_api_key', "$name, POST $try");
    }

    $c->send(ApikeyHTTP::bytes('HEAD', '/', \@h));
    $r = $c->response(head => 1);
    is($r->status, 401, "$name, HEAD");
    is($r->header('Content-Length'), length $t->get('/', @h)->body,
        "$name, HEAD, the length of the body that is left out");
    like($r->header('WWW-Authenticate'), qr/^Bearer /, "$name, challenge");

    $c->send(ApikeyHTTP::bytes('GET', '/after', \@good));
    is($c->response->status, 200, "$name, then a good key, same connection");

    denied($t->h2($t->port(1), 'GET', '/', \@h), 401, 'invalid_api_key',
        "$name, GET, HTTP/2");
    denied($t->h2($t->port(1), 'POST', '/', \@h, $big), 401,
        'invalid_api_key', "$name, POST, HTTP/2");

    $r = $t->h2($t->port(1), 'HEAD', '/', \@h);
    is($r->status, 401, "$name, HEAD, HTTP/2");
    is($r->body, '', "$name, HEAD, HTTP/2, no body");
}

# Who has not proved a key is not told whether its id is there.

s/^Date: [^\r]*\r\n//m for values %body;
is($body{'wrong secret'}, $body{unknown}, 'unknown and wrong secret, alike');

my %seen = map { $message{$_} => 1 } keys %message;

is(scalar keys %seen, 6, 'a message for each reason')
    or diag(join "\n", sort keys %seen);

# Pipelined: each answer belongs to its request.

my $c = $t->connect;
my @bad = (Authorization => "Bearer $wrong");

$c->send(join '', map { ApikeyHTTP::bytes('GET', '/', $_) }
    \@good, \@bad, [], \@good);
is(join(' ', map { my $a = $c->response; $a ? $a->status : 'none' } 1 .. 4),
    '200 401 401 200', 'pipelined');

# A client that waits for leave to send its body.

$c = $t->connect;
$c->send(ApikeyHTTP::bytes('POST', '/', [ @bad, 'Content-Length' => 1000,
    Expect => '100-continue' ]));
$r = $c->response(interim => 1);

if ($r && $r->status == 100) {
    $c->send('x' x 1000);
    $r = $c->response;

} else {

    # The answer may come at once; then the body is not sent at all.

    ok($r, 'Expect, an answer');
}

denied($r, 401, 'invalid_api_key', 'Expect: 100-continue, denied');

$c = $t->connect;
$c->send(ApikeyHTTP::bytes('POST', '/', [ @good, 'Content-Length' => 1000,
    Expect => '100-continue' ]));
$r = $c->response(interim => 1);
is($r->status, 100, 'Expect: 100-continue, granted');
$c->send('x' x 1000);
$r = $c->response;
is($r->status, 200, 'Expect: 100-continue, answered');
is($r->json->{length}, 1000, 'Expect: 100-continue, the body arrived');

# A chunked body, denied and granted on one connection.

my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
    map { chr(96 + $_) x 70000 } 1 .. 10;

$c = $t->connect;
$c->send(ApikeyHTTP::bytes('POST', '/', [ @bad,
    'Transfer-Encoding' => 'chunked' ], "${chunks}0\r\n\r\n"));
denied($c->response, 401, 'invalid_api_key', 'chunked, denied');
$c->send(ApikeyHTTP::bytes('POST', '/', [ @good,
    'Transfer-Encoding' => 'chunked' ], "${chunks}0\r\n\r\n"));
$r = $c->response;
is($r->json->{length}, 700000, 'chunked, granted');

# A genuine preflight has no credential; to let it pass is not our default.

denied($t->request('OPTIONS', '/', [ Origin => 'https://a.example',
    'Access-Control-Request-Method' => 'POST' ]), 401, 'invalid_api_key',
    'OPTIONS is a request like others');

# What the upstream saw was granted, all of it.

is(scalar(grep { "@{ credentials($_) }" ne '' } $t->{echo}[0]->requests), 0,
    'no credential of a client reached the upstream');

$t->done;
