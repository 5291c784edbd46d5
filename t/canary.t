#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for where a key goes: to the upstream of the configuration, whatever
# a client or that upstream says.  A canary listens, is named in every way that
# somebody might, and is never connected to.  Where the configuration itself
# leads to another upstream, that one does not get the first one's key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;
use ApikeyTest;

my $canary = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Listen => 64, ReuseAddr => 1, Blocking => 0) or die "no port: $!\n";
my $at = '127.0.0.1:' . $canary->sockport;

# The first upstream says whatever its path asks for; the second one is another
# of the configuration.

my $t = ApikeyTest->new(level => 'info', echoes => 2, reply => [ sub {
    my ($req) = @_;

    my ($say) = $req->{uri} =~ m{/say/(\d+|accel[\w-]*)};

    return undef unless defined $say;

    return [ $say, [ [ 'Location', "http://$at/moved" ],
        [ 'Refresh', "0; url=http://$at/" ] ], "moved\n" ]
        if $say =~ /^\d+$/;

    my %to = (accel => '/other/a', 'accel-open' => '/open/a',
        'accel-self' => '/echo/a', 'accel-url' => "http://$at/a",
        'accel-host' => "//$at/a", 'accel-named' => '@other');

    return [ 200, [ [ 'X-Accel-Redirect', $to{$say} ] ], '' ];
}, undef ]);

$t->http(<<'EOF');
    %%APIKEY%%

    upstream fixed {
        server 127.0.0.1:%%ECHO%%;
        keepalive 2;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;

        apikey on;
        apikey_inject openai;

        location /echo/ { proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /say/ { proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /named/ {
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_pass http://fixed;
        }

        location /path/ { proxy_pass http://127.0.0.1:%%ECHO%%$uri; }
        location /query/ {
            proxy_pass http://127.0.0.1:%%ECHO%%/query?$args;
        }
        location /raw/ { proxy_pass http://127.0.0.1:%%ECHO%%$request_uri; }
        location ~ ^/part/(.*)$ { proxy_pass http://127.0.0.1:%%ECHO%%/p/$1; }

        # what an operator leads elsewhere

        location /page/ {
            proxy_intercept_errors on;
            error_page 500 = /other/page;
            error_page 502 = /open/page;
            error_page 503 = @other;
            proxy_pass http://127.0.0.1:%%ECHO%%/say/$arg_say;
        }

        # who writes this gives keys away: it shows that the canary would see it

        location /wrong/ {
            apikey_inject off;
            proxy_read_timeout 1s;
            proxy_pass http://$http_host/wrong;
        }

        location /other/ {
            internal;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /open/ {
            internal;
            apikey off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location @other {
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }
    }
EOF

$t->start;

my $key = $t->put_key(owner => 'alice');
my $up = 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8';

$t->upstream_key('openai', $up);

my @bearer = (Authorization => "Bearer $key->{key}");
my ($first, $other) = @{ $t->{echo} };


# Nobody has come to the canary: it would lie in its queue.

sub nobody {
    my ($name) = @_;

    my $what = '';

    while (my $s = $canary->accept) {
        sysread $s, my $got, 65536;
        $what .= 'connected: ' . ($got // '');
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($what, '', $name);
}


# It is a canary: who connects is seen.

my $c = IO::Socket::INET->new(PeerAddr => $at) or die "no canary: $!\n";
ok(wait_for(sub { $canary->accept }), 'the canary sees who comes');
$c->close;

# What a client may say, at all places, and by all ways.

my %header = (
    'Host' => [ Host => $at ],
    'X-Forwarded-Host' => [ 'X-Forwarded-Host' => $at ],
    'X-Forwarded-For' => [ 'X-Forwarded-For' => $at, 'X-Real-IP' => $at ],
    'Forwarded' => [ Forwarded => "for=$at;host=\"$at\";proto=http" ],
    'X-Original-URL' => [ 'X-Original-URL' => "http://$at/",
        'X-Rewrite-URL' => "http://$at/" ],
    'X-Accel-Redirect' => [ 'X-Accel-Redirect' => "/other/",
        'X-Accel-Buffering' => 'no' ],
    'Upgrade' => [ Upgrade => 'websocket', Connection => 'upgrade',
        Origin => "http://$at" ],
    'Referer' => [ Referer => "http://$at/", Origin => "http://$at" ],
    'provider' => [ 'X-Base-URL' => "http://$at", 'OpenAI-Base' => $at,
        'X-Provider' => $at, 'X-Upstream' => $at ],
);

my @place = qw(/echo/ /named/ /path/ /query/ /raw/ /part/);
my $body = qq({"base_url":"http://$at","api_base":"http://$at",)
    . qq("webhook":"http://$at/hook"});

for my $place (@place) {
    for my $name (sort keys %header) {
        my $r = $t->get("$place$name", @{ $header{$name} }, @bearer);

        is_deeply([ ApikeyTest::seen($r, 'authorization') ], [ "Bearer $up" ],
            "$place, $name, the upstream of the configuration has it");
    }

    for my $query ("base_url=http://$at", "url=http://$at&host=$at",
        "\@$at", "//$at/")
    {
        is($t->get("$place?$query", @bearer)->status, 200, "$place?$query");
    }

    is($t->request('POST', $place, [ @bearer,
        'Content-Type' => 'application/json' ], body => $body)->status, 200,
        "$place, a body");

    nobody("$place: nobody has come");
}

# Request lines: absolute forms, and paths that look like a host.

for my $place (@place) {
    for my $target ("http://$at${place}a", "http://$at\@$at${place}a",
        "//$at${place}a", "$place/\@$at/a", "$place//$at/a", "$place\@$at",
        "${place}http://$at/", "$place..//$at/", "$place%2f%2f$at",
        "$place?http://$at/", ":80$place", "$place%0d%0aHost:%20$at")
    {
        # $uri in proxy_pass has the end of a line as such: docs/security.md

        next if $place eq '/path/' && $target =~ /%0d/;

        my $s = $t->connect;

        $s->send("GET $target HTTP/1.1\r\nHost: $at\r\n"
            . "Authorization: Bearer $key->{key}\r\nConnection: close\r\n"
            . "\r\n");

        my $r = $s->response;

        ok($r && $r->status, "$target (" . ($r ? $r->status : 0) . ')');
        $s->close;
    }

    nobody("$place, request lines: nobody has come");
}

$t->h2($t->port(1), 'GET', '/echo/', [ ':authority' => $at, @bearer ]);
nobody('HTTP/2, :authority: nobody has come');
like($t->request('CONNECT', $at, \@bearer)->status, qr/^40[05]$/, 'CONNECT');
nobody('CONNECT: nobody has come');

# What the upstream may say: nginx does not go where it leads.

for my $status (201, 301, 302, 303, 307, 308, 401, 503) {
    my $r = $t->get("/say/$status", @bearer);

    is($t->leak($r->text), undef, "$status, no key in the answer");
    nobody("$status and a Location: nobody has come");
}

# One of these has refused the key: another token of the same.

$t->upstream_key('openai', $up);
ok(wait_for(sub { $t->get('/echo/', @bearer)->status == 200 }),
    'the key is as good as before');

for my $say (qw(accel-url accel-host)) {
    isnt($t->get("/say/$say", @bearer)->status, 0, "X-Accel-Redirect, $say");
    nobody("$say: nobody has come");
}

# An operator's own redirects: the other upstream is asked, without the key.

$t->secret($up);

for my $way ([ '/say/accel', 'other' ], [ '/say/accel-open', 'open' ],
    [ '/say/accel-named', 'named' ], [ '/page/?say=500', 'error_page' ],
    [ '/page/?say=502', 'error_page, open' ],
    [ '/page/?say=503', 'error_page, named' ])
{
    my ($uri, $name) = @$way;

    $other->clear;

    my $r = $t->get($uri, @bearer);
    my @got = $other->requests;

    is(scalar @got, 1, "$name, the other one is asked (" . $r->status . ')');

    my $text = join "\n", map { "@$_" } map { @{ $_->{headers} } } @got;

    is(LeakScan->new({ $up => '' })->find($text), undef,
        "$name, and does not get the first one's key");
    nobody("$name: nobody has come");
}

# One that leads to a location with a key: that one's, and once.

my $r = $t->get('/say/accel-self', @bearer);

is_deeply([ ApikeyTest::seen($r, 'authorization') ], [ "Bearer $up" ],
    'a location with a key of its own has it');
nobody('at the end nobody has come');

# What a configuration that lets the client choose would be found by.

is($t->get('/wrong/', @{ $header{Host} }, @bearer)->status, 504,
    'an upstream that the client chooses');
ok($canary->accept, 'is where the canary is');

$t->done;
