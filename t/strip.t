#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the removal of the client's credentials: the upstream gets exactly
# one, the provider's, or none, and all other headers as they were.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    upstream echo {
        server 127.0.0.1:%%ECHO%%;
        keepalive 4;
    }

    underscores_in_headers on;
    apikey on;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;

        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location / {
            apikey_inject openai;
            proxy_pass http://echo;
        }

        location /google {
            apikey_inject google;
            proxy_pass http://echo;
        }

        location /plain {
            proxy_pass http://echo;
        }

        location /off {
            apikey off;
            proxy_pass http://echo;
        }
    }
EOF

$t->start;

my $key = $t->create_key->{key};
my $openai = $t->upstream_key('openai', 'up-openai-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my $google = $t->upstream_key('google', 'up-google-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2');

my $r;
my @stripped = qw(X-Api-Key Api-Key X-Goog-Api-Key X-Subscription-Token
    Proxy-Authorization X-Lobe-Chat-Auth X-Provider-Api-Keys);

# Five carriers at once, each twice: "-" and "_", several cases.  (nginx takes
# one Authorization only; its spelling with "_" does not exist.)

my @all = (Authorization => "Bearer $key",
    map { my $n = $_; my $v = $n eq 'X-Api-Key' ? $key : "client-$n-secret";
        map { $_ => $v } $n, lc $n, uc $n, $n =~ tr/-/_/r, lc $n =~ tr/-/_/r }
    @stripped);

for my $method (qw(GET POST)) {
    my @body = $method eq 'POST' ? (body => 'x' x 100000) : ();

    $r = $t->request($method, '/', \@all, @body);
    is_deeply(credentials($r), [ "authorization: Bearer $openai" ],
        "$method, one credential");

    $r = $t->request($method, '/google', \@all, @body);
    is_deeply(credentials($r), [ "x-goog-api-key: $google" ],
        "$method, one credential, of another provider");

    $r = $t->request($method, '/plain', \@all, @body);
    is($r->status, 200, "$method, without inject, granted");
    is_deeply(credentials($r), [], "$method, without inject, none");
}

$r = $t->h2($t->port(1), 'GET', '/', \@all);
is_deeply(credentials($r), [ "authorization: Bearer $openai" ],
    'HTTP/2, one credential');

$r = $t->h2($t->port(1), 'POST', '/google', \@all, 'x' x 100000);
is_deeply(credentials($r), [ "x-goog-api-key: $google" ],
    'HTTP/2, POST, one credential');

# Where the module is off, it touches nothing.

$r = $t->get('/off', Authorization => "Bearer $key", 'X-Api-Key' => 'a',
    'X-Api-Key' => 'b');
is_deeply(credentials($r), [ "authorization: Bearer $key", 'x-api-key: a',
    'x-api-key: b' ], 'off, as they were');

# nginx keeps headers in parts of twenty: wherever a credential stands, at the
# ends and at the seams, the others come through in order, none lost.

my $lost = 0;

for my $count (1, 5, 18, 19, 20, 21, 38, 39, 40, 41, 60) {
    for my $at (0, 1, int($count / 2), $count - 1, $count) {
        my @headers = map { +"X-Other-$_" => "value $_" } 1 .. $count;

        splice @headers, 2 * $at, 0, 'X-Api-Key' => $key,
            'Api-Key' => 'client-secret';
        push @headers, 'User-Agent' => 'agent', Cookie => 'a=b';

        $r = $t->get('/', @headers);

        my $want = join ',', map { "value $_" } 1 .. $count;
        my $got = $r->json && join ',', map { $_->[1] }
            grep { $_->[0] =~ /^X-Other-/ } @{ $r->json->{headers} };
        my @one = @{ $r->json ? credentials($r) : [] };

        next if defined $got && $got eq $want && @one == 1
            && $one[0] eq "authorization: Bearer $openai"
            && (seen($r, 'user-agent'))[0] eq 'agent'
            && (seen($r, 'cookie'))[0] eq 'a=b';

        $lost++;
        diag("$count headers, the credential at $at: " . $r->status
            . " got $got, @one");
    }
}

is($lost, 0, 'the other headers come through in order');

# All of a part are credentials: a part may become empty.

for my $n (19, 20, 21, 40, 41, 80) {
    $r = $t->get('/', ('X-Api-Key' => $key) x $n, 'X-Last' => 'here');
    is_deeply([ credentials($r), seen($r, 'x-last') ],
        [ [ "authorization: Bearer $openai" ], 'here' ],
        "$n credentials in a row");
}

# The upstream's connection is kept, its requests are told apart.

$t->{echo}[0]->clear;

my $c = $t->connect;

for my $uri ('/', '/google', '/plain') {
    $c->send(ApikeyHTTP::bytes('GET', $uri, \@all));
    $c->response;
}

is(join(', ', map { @{ credentials($_) } ? @{ credentials($_) } : 'none' }
    $t->{echo}[0]->requests), "authorization: Bearer $openai, "
    . "x-goog-api-key: $google, none", 'on one connection');

# Headers that look like carriers and are none.

$r = $t->get('/', Authorization => "Bearer $key", 'X-Api-Keys' => 'a',
    'X-Api-Key-Id' => 'b', 'Authorization-Info' => 'c', 'X-Apikey' => 'd');
is(join('', map { seen($r, $_) } 'x-api-keys', 'x-api-key-id',
    'authorization-info', 'x-apikey'), 'abcd', 'similar names stay');

$t->done;
