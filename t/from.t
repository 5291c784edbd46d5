#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for "from=": where a key is looked for, and that it does not go on from
# there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

# nginx's own debug lines show requests as they were sent

my $t = ApikeyTest->new(level => 'info');

$t->http(<<'EOF');
    %%APIKEY%%

    log_format plain '$request_method $uri $status';
    access_log %%DIR%%/access.log plain;

    apikey_stack all {
        auth  required  key
            from=authorization,X-Token,query:key,cookie:token,subprotocol;
        session required inject openai;
    }

    apikey_stack query {
        auth  required  key  from=query:key;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            apikey all;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /made/ {
            apikey query;
            proxy_pass http://127.0.0.1:%%ECHO%%/new/;
        }

        location /written {
            rewrite ^/written/(.*) /to/$1 break;
            apikey query;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /looked {
            if ($request_uri ~ nothing) {
                return 418;
            }

            if ($request ~ nothing) {
                return 418;
            }

            apikey all;
            proxy_set_header Cookie $http_cookie;
            proxy_set_header X-Cookie $cookie_token;
            proxy_set_header X-Uri $request_uri;
            proxy_set_header X-Request $request;
            proxy_set_header X-Args $args;
            proxy_set_header X-Protocol $http_sec_websocket_protocol;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /builtin {
            apikey on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /off {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->start;

my $up = $t->upstream_key('openai', 'up-shared-9Zz8Yy7Xx6Ww5Vv4Uu3Tt');
my $key = $t->put_key->{key};
my $other = $t->put_key->{key};
my $protocol = 'openai-insecure-api-key.';
my ($r, $encoded);


# Granted, and the upstream has seen no piece of the key.

sub passed {
    my ($name, $uri, @headers) = @_;

    $r = $t->get($uri, @headers);

    is($r->status, 200, $name);
    is($t->leak($r->body =~ s/\Q$up\E//gr), undef, "$name, nothing goes on");
}


passed('bearer', '/a?x=1', Authorization => "Bearer $key");
is_deeply(credentials($r), [ "authorization: Bearer $up" ], 'bearer, injected');
is($r->json->{uri}, '/a?x=1', 'bearer, the query is as it was');

passed('a header', '/a', 'X-Token' => $key);
is_deeply([ seen($r, 'x-token') ], [], 'a header, it is gone');

passed('a query', "/a/%62?x=1&key=$key&y=%20z", );
is($r->json->{uri}, '/a/%62?x=1&y=%20z', 'a query, the rest is as it was');

passed('a query, semicolons', "/a?x=1;key=$key;y", Authorization =>
    "Bearer $key");
is($r->json->{uri}, '/a?x=1;y', 'a query, semicolons: it does not pass');

passed('a query, alone', "/a?key=$key");
is($r->json->{uri}, '/a', 'a query, alone');

passed('a query, twice', "/a?key=$key&b&key=$key");
is($r->json->{uri}, '/a?b', 'a query, twice');

$encoded = $key =~ s/(.)$/sprintf '%%%02x', ord $1/er;
passed('a query, encoded', "/a?%6bey=$encoded&b");
is($r->json->{uri}, '/a?b', 'a query, encoded');

passed('a cookie', '/a', Cookie => "a=b; token=$key; c=d");
is_deeply([ seen($r, 'cookie') ], [ 'a=b; c=d' ], 'a cookie, the others stay');

passed('a subprotocol', '/a',
    'Sec-WebSocket-Protocol' => "realtime, $protocol$key, v1");
is_deeply([ seen($r, 'sec-websocket-protocol') ], [ 'realtime, v1' ],
    'a subprotocol, the others stay');

passed('the same everywhere', "/a?key=$key", 'X-Token' => $key,
    Cookie => "token=$key", Authorization => "Bearer $key",
    'Sec-WebSocket-Protocol' => "$protocol$key");

for (["/a?key=$other", 'X-Token' => $key],
    ["/a?key=$key&key=$other"],
    ['/a', Authorization => "Bearer $key", Cookie => "token=$other"],
    ['/a', 'X-Token' => $key,
        'Sec-WebSocket-Protocol' => "$protocol$other"])
{
    my ($uri, @headers) = @$_;

    denied($t->get($uri, @headers), 401, 'invalid_api_key',
        'different ones');
}

# Where a line does not look there is no key; but it does not go on either.

is($t->get('/made/', Authorization => "Bearer $key")->status, 401,
    'not where it is looked for');
is($t->get("/builtin?key=$key")->status, 401, 'the built-in stack');
passed('the built-in stack and a stray one', "/builtin?key=$other&a",
    Authorization => "Bearer $key", Cookie => "token=$other");
is($r->json->{uri}, '/builtin?a', 'a stray one is taken away');

passed('a URI made by proxy_pass', "/made/x?key=$key&a=1");
is($r->json->{uri}, '/new/x?a=1', 'a URI made by proxy_pass');

passed('a URI made by rewrite', "/written/x?a=1&key=$key");
is($r->json->{uri}, '/to/x?a=1', 'a URI made by rewrite');

# Variables say what is forwarded, also where they were looked at before.

passed('variables, a query', "/looked?a=1&key=$key");
passed('variables, a cookie', '/looked', Cookie => "a=b; token=$key; c=d");
is_deeply([ seen($r, 'cookie') ], [ 'a=b; c=d' ], 'variables, $http_cookie');
is_deeply([ seen($r, 'x-cookie') ], [], 'variables, $cookie_token');
passed('variables, two cookies', '/looked', Cookie => "token=$key",
    Cookie => 'a=b');
like((seen($r, 'cookie'))[0], qr/^(?:; )?a=b$/, 'variables, two cookies');
passed('variables, a subprotocol', '/looked',
    'Sec-WebSocket-Protocol' => "v1, $protocol$key");
is_deeply([ seen($r, 'x-protocol') ], [ 'v1' ], 'variables, the subprotocol');

# Locations that are not guarded are none of our business.

$r = $t->get("/off?key=$key");
is($r->json->{uri}, "/off?key=$key", 'off, as it was sent');

$t->done;
