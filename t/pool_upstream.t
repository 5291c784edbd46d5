#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what nginx does around an answer that says something of an upstream
# key: its next upstream, its cache, its error pages, and odd bodies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes ();
use ApikeyTest;
use PoolTest;
use TestProc;

my $slow = ApikeyTest::slow();

sub reply {
    my ($key, $rule) = rule(@_) or return;

    return [ $rule->{status}, [ [ 'X-Provider', 'yes' ],
        @{ $rule->{headers} || [] } ], $rule->{body} // "of $key\n" ];
}


# Answers that are not to be waited for; the connection stays open.

my $refused = 'SUBSCRIPTION_TOKEN_INVALID';
my $chunked = "Transfer-Encoding: chunked\r\n\r\n";
my %odd = (
    nul => "${chunked}4\r\na\0b\0\r\n0\r\n\r\n",
    empty => "${chunked}0\r\n\r\n",
    extension => "${chunked}2;a=b\r\nab\r\n000;c\r\n\r\n",
    trailer => "${chunked}2\r\nab\r\n0\r\nX-Trailer: 1\r\n\r\n",
    length0 => "Content-Length: 0\r\n\r\n",
    length => "Content-Length: 4\r\n\r\na\0b\0",
    large => "Content-Length: 20000\r\n\r\n" . 'x' x 20_000,
);
my %told = (
    inside => $chunked . sprintf("5\r\n\r\n0\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
        length $refused, $refused),
    early => "Content-Length: 100000\r\n\r\n" . $refused . 'x' x 100,
);
my $raw = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Listen => 16) or die "$!\n";

TestProc::child(sub {
    my $select = IO::Select->new($raw);
    my %in;

    while () {
        for my $s ($select->can_read(60)) {
            if ($s == $raw) {
                $select->add(scalar $raw->accept);
                next;
            }

            if (!sysread $s, $in{$s}, 65536, length($in{$s} // '')) {
                delete $in{$s};
                $select->remove($s);
                close $s;
                next;
            }

            next if $in{$s} !~ m{/raw/(\w+).*?\r\n\r\n}s;

            my $how = $1;

            $in{$s} = '';
            syswrite $s, "HTTP/1.1 422 No\r\n"
                . ($how eq 'stall' ? "Content-Length: 9\r\n\r\nab"
                    : $odd{$how} || $told{$how});
        }
    }
});


# nginx's processes for caches end without freeing what valgrind looks for.

my $t = ApikeyTest->new(workers => 2, echoes => 2, reply => \&reply,
    not_under => ['valgrind']);


$t->http(<<'EOF' =~ s/%%RAW%%/$raw->sockport/ger);
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%%;

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    upstream several {
        server 127.0.0.1:%%ECHO%%;
        server 127.0.0.1:%%ECHO1%%;
    }

    upstream down {
        server 127.0.0.1:%%ECHO%%;
        server 127.0.0.1:%%ECHO1%% down;
    }

    upstream backup {
        server 127.0.0.1:%%ECHO%%;
        server 127.0.0.1:%%ECHO1%% backup;
        keepalive 4;
    }

    upstream hashed {
        ip_hash;
        server 127.0.0.1:%%ECHO%%;
        server 127.0.0.1:%%ECHO1%% down;
    }

    upstream least {
        least_conn;
        server 127.0.0.1:%%ECHO%%;
        server 127.0.0.1:%%ECHO1%% down;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;
        add_header X-Slot $apikey_slot always;
        add_header X-Reason $apikey_reason always;
        add_header X-Tried $upstream_status always;
        add_header X-Address $upstream_addr always;
        add_header X-Cached $upstream_cache_status always;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_cache_methods GET;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /down {
            proxy_pass http://down;
        }

        location /backup {
            proxy_pass http://backup;
        }

        location /hashed {
            proxy_pass http://hashed;
        }

        location /least {
            proxy_pass http://least;
        }

        location /once {
            proxy_next_upstream_tries 1;
            proxy_next_upstream off;
            proxy_pass http://down;
        }

        location /variable {
            set $where 127.0.0.1:%%ECHO%%;
            proxy_pass http://$where;
        }

        location /next {
            proxy_next_upstream http_429;
            proxy_pass http://several;
        }

        location /raw {
            apikey_inject brave;
            proxy_read_timeout 20s;
            proxy_pass http://127.0.0.1:%%RAW%%;
        }

        location /stale {
            proxy_cache cache;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale http_503;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /any {
            proxy_cache cache;
            proxy_cache_valid any 1m;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /background {
            proxy_cache cache;
            proxy_cache_valid any 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /missing {
            error_page 404 =200 /page;
            return 404;
        }

        location /page {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /nobody {
            error_page 502 = @other;
            proxy_pass http://unix:%%DIR%%/nobody;
        }

        location @other {
            apikey off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /raw/stall {
            apikey_inject brave;
            proxy_read_timeout 500ms;
            error_page 504 = @again;
            proxy_pass http://127.0.0.1:%%RAW%%;
        }

        location @again {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /unbuffered {
            proxy_request_buffering off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location = /status {
            apikey off;
            apikey_status;
        }
    }
EOF

my %key = PoolTest::serves($t, qw(two one damaged));
my %id = map { $_ => put('two', $_) } qw(a b);

put('two', 'x', 'brave');
$t->expect_alert(qr/connect\(\) to unix:\S+nobody failed/);
$t->start;
is(ask('two', '/')->header('X-Slot'), 'a', 'the first slot');

# The request goes where it would have gone: a server that was asked once may be
# asked again, and one that is not to be asked is not.

for my $uri (qw(/down /backup /hashed /least /once /variable)) {
    $id{a} = put('two', 'a');
    ok(fresh($id{a}, 'two', '/'), "$uri, another one");
    rules($id{a} => { status => 401 });

    my $r = ask('two', $uri, method => 'POST', body => 'x' x 100);
    my ($address) = ($r->header('X-Address') // '') =~ /^(\S+),/;

    is($r->status, 200, "$uri, refused and granted");
    is($r->header('X-Tried'), '401, 200', "$uri, both are told");
    is($r->header('X-Address'), join(', ', ($address // '?') x 2),
        "$uri, the same server");
}

# What cannot hold a mark any more is not waited for.

for my $how (sort keys %odd) {
    my $from = Time::HiRes::time();
    my $r = ask('two', "/raw/$how");

    is($r->status, 422, "$how, passed on");
    cmp_ok(Time::HiRes::time() - $from, '<', 10, "$how, at once");
}

for my $how (sort keys %told) {
    my $id = put('two', 'x', 'brave');

    ok(wait_for(sub { ask('two', '/raw/length')->status eq 422 }),
        "$how, another one");
    denied(ask('two', "/raw/$how"), 502, 'upstream_auth_failed',
        "$how, refused");
}

# One that never comes is an error; its error page starts anew.

put('two', 'x', 'brave');
ok(wait_for(sub { ask('two', '/raw/length')->status eq 422 }),
    'stalled, another one');
rules();

my $r = ask('two', '/raw/stall');

is($r->status, 200, 'stalled, the error page');
is(($r->json || {})->{uri}, '/raw/stall', 'stalled, of another upstream');

# An old answer of the cache says nothing of the key.

$id{a} = put('two', 'a');
ok(fresh($id{a}, 'two', '/'), 'stale, another one');
rules(all => { status => 200 });
is(ask('two', '/stale')->header('X-Cached'), 'MISS', 'stale, into the cache');
rules($id{a} => { status => 503, headers => [ [ 'Retry-After', 30 ] ] });

ok(wait_for(sub { ($r = ask('two', '/stale'))->header('X-Cached') eq 'STALE' },
    10), 'stale, the cache serves');
rules();
is(ask('two', '/')->header('X-Slot'), 'b', 'stale, and the slot rests');

# A refusal is not kept.

$id{one} = put('one', 'x');
ok(fresh($id{one}, 'one', '/'), 'any, one slot');
rules($id{one} => { status => 401 });
denied(ask('one', '/any'), 502, 'upstream_auth_failed', 'any, refused');
rules();
is(ask('two', '/any')->status, 200, 'any, and not kept');

# Nor where nginx asks for it on its own behalf.

$id{one} = put('one', 'x');
ok(fresh($id{one}, 'one', '/'), 'background, one slot');
is(ask('one', '/background')->status, 200, 'background, into the cache');
rules($id{one} => { status => 401 });

ok(wait_for(sub { ($r = ask('one', '/background'))->status != 200 }, 10),
    'background, the refusal is seen');
denied($r, 502, 'upstream_auth_failed', 'background, it is the next one\'s');
$id{one} = put('one', 'x');
rules();
ok(fresh($id{one}, 'one', '/'), 'background, another one');
is(ask('one', '/background')->status, 200, 'background, and not kept');

# An error page with a status of its own.

$id{one} = put('one', 'x');
ok(fresh($id{one}, 'one', '/'), 'error page, another one');
rules($id{one} => { status => 401 });
$r = ask('one', '/missing');
is($r->header('X-Provider'), undef, 'error page, no header');
unlike($r->text, qr/\Q$id{one}\E/, 'error page, nothing of the body');
denied($r, 502, 'upstream_auth_failed', 'error page, refused');

# What another upstream answers, without a key of ours.

$id{a} = put('two', 'a');
ok(fresh($id{a}, 'two', '/'), 'another upstream');
rules(all => { status => 401, body => "other\n" });

my $mark = $t->mark;

$r = ask('two', '/nobody');
is($r->status, 401, 'another upstream, its answer');
is($r->body, "other\n", 'another upstream, its body');
unlike($t->error_log($mark), qr/refuses an upstream key/,
    'another upstream, nothing is learned');
rules();
is(ask('two', '/')->header('X-Slot'), 'a', 'another upstream, a good slot');

# No other key can be opened: nginx may still ask another server.

my $first = put('damaged', 'a');
my $name = 'apikey:upstream:damaged:openai';
my $slots = $t->redis_cmd('HGETALL', $name);
my $token = $slots->[1];

ok(fresh($first, 'damaged', '/'), 'damaged, one slot is not');
substr($token, -5, 1) = substr($token, -5, 1) eq 'A' ? 'B' : 'A';
$t->redis_cmd('HSET', $name, 'b', $token);
ok(wait_for(sub { scalar @{ $t->redis_cmd('HKEYS', $name) } == 2 }), 'two');
rules(all => { status => 429 });
$mark = $t->mark;
ok(wait_for(sub {
    rules();
    ask('damaged', '/');
    rules(all => { status => 429 });
    $r = ask('damaged', '/next');
    return $t->error_log($mark) =~ /slot "b"/;
}), 'damaged, it was tried');
is(defined $r ? $r->status : '', 429, 'damaged, the answer');
is($r->header('X-Tried'), '429, 429', 'damaged, both servers were asked');
is($r->header('X-Slot'), 'a', 'damaged, whose key it was');
rules();

# The client's next request is in the same buffer.

for my $uri (qw(/unbuffered /)) {
    my $c = $t->connect;
    my @head = (Authorization => "Bearer $key{two}");

    rules();
    $c->send(ApikeyHTTP::bytes('POST', $uri, \@head, 'x' x 50)
        . ApikeyHTTP::bytes('POST', "$uri?2", \@head, 'y' x 51)
        . ApikeyHTTP::bytes('GET', "$uri?3", \@head));

    for my $length (50, 51, 0) {
        $r = $c->response;
        is(defined $r ? $r->status : '', 200, "pipelined, $uri, $length");
        is(defined $r && $r->json ? $r->json->{length} : '', $length,
            "pipelined, $uri, the body of $length");
    }
}

# So is the answer in buffers that nginx gives back.

rules(all => { status => 200, body => 'x' x 300_000 });

for my $length (10, 10_000, 200_000) {
    $r = ask('two', '/unbuffered', method => 'POST', body => 'x' x $length);
    is(length $r->body, 300_000, "unbuffered, $length, the answer");
}

$t->done;
