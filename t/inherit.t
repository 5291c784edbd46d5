#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the inheritance of directives from http to server to location, and
# for "off" on each level.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    apikey_realm http;
    apikey on;
    apikey_inject openai;

    proxy_set_header X-Provider $apikey_provider;

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;

            location /nested {
                apikey_realm "nested \"quoted\" \\ realm";
                apikey_inject google;
                proxy_pass http://127.0.0.1:%%ECHO%%;

                location /nested/off {
                    apikey off;
                    proxy_pass http://127.0.0.1:%%ECHO%%;

                    location /nested/off/on {
                        apikey on;
                        proxy_pass http://127.0.0.1:%%ECHO%%;
                    }
                }
            }
        }

        location /none {
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        apikey off;
        apikey_realm server;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /on {
            apikey on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /realm {
            apikey on;
            apikey_realm location;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->start;

my $key = $t->create_key->{key};
my $openai = 'authorization: Bearer '
    . $t->upstream_key('openai', 'up-openai-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my $google = 'x-goog-api-key: '
    . $t->upstream_key('google', 'up-google-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2');
my $own = "authorization: Bearer $key";

# [ port, path, status without a key, realm, what the upstream gets ]

my @case = (
    [ 0, '/', 401, 'http', [ $openai ] ],
    [ 0, '/nested', 401, 'nested \"quoted\" \\\\ realm', [ $google ] ],
    [ 0, '/nested/off', 200, undef, [ $own ] ],
    [ 0, '/nested/off/on', 401, 'nested \"quoted\" \\\\ realm', [ $google ] ],
    [ 0, '/none', 401, 'http', [] ],
    [ 1, '/', 200, undef, [ $own ] ],
    [ 1, '/on', 401, 'server', [ $openai ] ],
    [ 1, '/realm', 401, 'location', [ $openai ] ],
);

for (@case) {
    my ($port, $uri, $status, $realm, $want) = @$_;
    my $r = $t->request('GET', $uri, [], port => $t->port($port));

    is($r->status, $status, "$port $uri, no key");
    is($r->header('WWW-Authenticate'),
        qq{Bearer realm="$realm", error="invalid_token"}, "$port $uri, realm")
        if defined $realm;

    $r = $t->request('GET', $uri, [ Authorization => "Bearer $key" ],
        port => $t->port($port));
    is($r->status, 200, "$port $uri, a key");
    is_deeply(credentials($r), $want, "$port $uri, the upstream");
}

$t->done;
