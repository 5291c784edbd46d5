#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for an upstream that refuses the key it was given, and says of it what
# it likes: nothing of that answer reaches the client, its log or the memory of
# the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;
use LeakScan;
use WorkerMemory;

my %provider = (openai => 401, anthropic => 401, mistral => 401, groq => 401);

# What was sent is said again: in the body, in headers, in parts of it.

my $t = ApikeyTest->new(level => 'info', reply => sub {
    my ($req) = @_;

    my ($status) = $req->{uri} =~ m{/(\d{3})};
    my %h = map { lc $_->[0] => $_->[1] } @{ $req->{headers} };
    my $key = $h{authorization} // $h{'x-api-key'} // 'none';

    $key =~ s/^Bearer //;

    my $part = substr $key, 0, 14;

    return [ $status // 200, [ [ 'Content-Type', 'application/json' ],
        [ 'WWW-Authenticate', "Bearer error=\"$key\"" ],
        [ 'X-Echo', $key ], [ 'X-Request-Id', "req-$part" ] ],
        qq({"error":{"message":"Incorrect API key: $key ($part...)"}}\n) ];
});

my $locations = join '', map { <<"EOF" } sort keys %provider;
        location /$_/ {
            apikey_inject $_;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
EOF

$t->http(<<"EOF");
    %%APIKEY%%

    log_format all '\$request \$status \$upstream_status \$apikey_reason '
                   '\$sent_http_x_echo \$sent_http_www_authenticate';

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log;
        access_log %%DIR%%/access-sent.log all;
        apikey on;
        add_header X-Reason \$apikey_reason always;

$locations
    }
EOF

$t->start;

my $key = $t->put_key(owner => 'alice');
my $n = 0;

$t->upstream_key($_, sprintf 'up-%d-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh', ++$n)
    for sort keys %provider;

for my $provider (sort keys %provider) {
    my $r = $t->get("/$provider/$provider{$provider}",
        Authorization => "Bearer $key->{key}");

    denied($r, 502, 'upstream_auth_failed', "$provider, refused");
    is($t->leak($r->text), undef, "$provider, nothing of the key comes back");
    is($r->header('X-Reason'), 'upstream_auth_failed', "$provider, the reason");
    is($r->header('X-Echo'), undef, "$provider, none of its headers");

    $r = $t->request('HEAD', "/$provider/$provider{$provider}",
        [ Authorization => "Bearer $key->{key}" ]);
    is($t->leak($r->text), undef, "$provider, HEAD");
}

SKIP: {
    skip 'memory of sanitizers and valgrind', 1
        if ApikeyTest::flavour() ne 'plain';

    my ($worker) = $t->workers;

    ok(wait_for(sub { !defined $t->leak(WorkerMemory::writable($worker)) }, 3),
        'nor is it left in the memory of the worker');
}

$t->done;
