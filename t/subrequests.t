#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for subrequests: mirror, auth_request, SSI and addition.  nginx gives
# them the headers of their parent; a provider's key is for its own upstream,
# and a client's for none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(echoes => 2, reply => [ undef, sub {
    my ($req) = @_;

    return $req->{uri} =~ /refuse/ ? [ 403, undef, 'no' ] : undef;
} ]);

$t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        apikey on;
        apikey_inject openai;
        client_max_body_size 8m;

        location /mirrored {
            mirror /copy;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /mirrored-twice {
            mirror /copy-off;
            mirror /copy-none;
            mirror_request_body off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /copy {
            internal;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /copy-off {
            internal;
            apikey off;
            apikey_inject off;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /copy-none {
            internal;
            apikey_inject off;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /asked {
            auth_request /authz;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /asked-refused {
            auth_request /refuse;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location ~ ^/(?:authz|refuse) {
            internal;
            apikey off;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }

        location /ssi {
            ssi on;
            ssi_types *;
        }

        location /added {
            addition_types *;
            add_after_body /part;
        }

        location /part {
            apikey off;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }
    }
EOF

$t->file('html/ssi/page.html', qq{top <!--#include virtual="/part" --> end\n});
$t->file('html/added/page.html', "top\n");
$t->start;

my $key = $t->create_key->{key};
my $openai = $t->upstream_key('openai', 'up-openai-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my $bearer = "authorization: Bearer $openai";
my ($r, @side);


# What the second upstream received, once it has so many requests.

sub side {
    my ($n) = @_;

    wait_for(sub { $t->{echo}[1]->requests >= $n });

    my @seen = $t->{echo}[1]->requests;

    $t->{echo}[1]->clear;

    return @seen;
}


for my $case (['GET'], ['POST', body => 'x' x 300000]) {
    my ($method, @body) = @$case;

    for (['/mirrored', 1], ['/mirrored-twice', 2]) {
        my ($uri, $n) = @$_;

        $r = $t->request($method, $uri, [ Authorization => "Bearer $key",
            'X-Other' => 'kept' ], @body);
        is($r->status, 200, "$method $uri");
        is_deeply(credentials($r), [ $bearer ], "$method $uri, its upstream");
        is($r->json->{length}, @body ? 300000 : 0, "$method $uri, the body");

        @side = side($n);
        is(scalar @side, $n, "$method $uri, was mirrored");
        is_deeply([ map { @{ credentials($_) } } @side ], [],
            "$method $uri, no credential for a mirror");
        is((seen($side[0], 'x-other'))[0], 'kept', "$method $uri, the rest");
    }
}

# Denied requests are not mirrored.

$r = $t->get('/mirrored', 'x-api-key' => make_key()->{key});
denied($r, 401, 'invalid_api_key', 'denied');
is($t->get('/mirrored', 'x-api-key' => $key)->status, 200, 'then granted');
is(scalar side(1), 1, 'only what was granted is mirrored');

# auth_request is asked before anything is injected.

$r = $t->get('/asked', Authorization => "Bearer $key");
is($r->status, 200, 'auth_request');
is_deeply(credentials($r), [ $bearer ], 'auth_request, one credential');
@side = side(1);
is(scalar @side, 1, 'auth_request, was asked');
is(scalar(grep { /\Q$openai/ } map { @{ credentials($_) } } @side), 0,
    "auth_request, no provider's key");

is($t->get('/asked-refused', Authorization => "Bearer $key")->status, 403,
    'auth_request refuses');
side(1);
is($t->get('/asked')->status, 401, 'auth_request, no key');

# Parts of a page.

$t->{echo}[1]->clear;

for my $uri ('/ssi/page.html', '/added/page.html') {
    $r = $t->with_key($uri, $key);
    is($r->status, 200, $uri);
    like($r->body, qr/^top.*"uri":"\/part"/s, "$uri, the part");

    my $text = join ' ', map { @{ credentials($_) } } side(1);

    unlike($text, qr/\Q$openai/, "$uri, no provider's key for a part");
    is($t->get($uri)->status, 401, "$uri, no key");
}

$t->done;
