#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for pools of upstream keys: which slot serves, what a provider's answer
# means for the next request, for this one, and for its client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use IO::Socket::INET;
use Test::More;
use Time::HiRes ();
use ApikeyTest;
use PoolTest;
use TestProc;

my $slow = ApikeyTest::slow();

sub reply {
    my ($key, $rule) = rule(@_) or return;

    return [ $rule->{status}, [
        [ 'Content-Type', 'application/json' ],
        [ 'Set-Cookie', 'provider=1' ],
        [ 'WWW-Authenticate', 'Bearer realm="provider"' ],
        [ 'X-Provider', 'yes' ],
        @{ $rule->{headers} || [] } ],
        $rule->{body} // '{"error":{"message":"Incorrect API key provided: '
            . 'sk-prov****' . $key . '"}}' ];
}


# One that sends its body a piece at a time; the path says how it ends.

my $late = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Listen => 16) or die "$!\n";
my %late = map { ($_ => '{"error":{"code":"SUBSCRIPTION_TOKEN_INVALID"}}') }
    qw(length chunks close);

$late{other} = '{"error":{"code":"VALIDATION"}}';

TestProc::child(sub {
    while (my $s = $late->accept) {
        my $head = '';

        $head .= <$s> // last while $head !~ /\r\n\r\n\z/;

        my ($how) = $head =~ m{/late/(\w+)};
        my ($body, $chunked) = ($late{$how}, $how eq 'chunks');

        $s->autoflush(1);
        print $s "HTTP/1.1 422 No\r\nContent-Type: application/json\r\n",
            $chunked ? sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n",
                length $body)
            : $how eq 'close' ? "Connection: close\r\n\r\n"
            : 'Content-Length: ' . length($body) . "\r\n\r\n";

        for my $piece ($body =~ /(.{1,12})/gs) {
            select undef, undef, undef, 0.02;
            print $s $piece;
        }

        print $s "\r\n0\r\n\r\n" if $chunked;
        close $s;
    }
});


# nginx's processes for caches end without freeing what valgrind looks for.

my $t = ApikeyTest->new(workers => 2, echoes => 2, reply => \&reply,
    not_under => ['valgrind']);


$t->http(<<'EOF' =~ s/%%LATE%%/$late->sockport/er);
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%%;
    log_format slots '$uri $status $upstream_status $apikey_upstream_source '
                     '$apikey_provider $apikey_slot';
    access_log %%DIR%%/slots.log slots;

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    apikey_provider custom {
        header   X-Subscription-Token;
        refused  409;
    }

    upstream several {
        server 127.0.0.1:%%ECHO%% max_fails=1 fail_timeout=60s;
        server 127.0.0.1:%%ECHO1%% max_fails=1 fail_timeout=60s;
        keepalive 4;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;

        apikey on;
        apikey_inject openai;
        add_header X-Slot $apikey_slot always;
        add_header X-Source $apikey_upstream_source always;
        add_header X-Reason $apikey_reason always;
        add_header X-Tried $upstream_status always;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        client_body_buffer_size 16k;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /turn {
            apikey_inject openai select=turn;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /sticky {
            apikey_inject openai select=sticky;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /random {
            apikey_inject openai select=random;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /several {
            proxy_pass http://several;
        }

        location /variable {
            set $where 127.0.0.1:%%ECHO%%;
            proxy_pass http://$where;
        }

        location /cache {
            proxy_cache cache;
            proxy_cache_valid 200 1m;
            add_header X-Cached $upstream_cache_status always;
            add_header X-Tried $upstream_status always;
            add_header X-Slot $apikey_slot always;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /next {
            proxy_next_upstream error http_403 http_429 non_idempotent;
            proxy_next_upstream_timeout 1ms;
            proxy_pass http://several;
        }

        location /unbuffered {
            proxy_request_buffering off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /refuse {
            apikey_inject openai on_busy=refuse;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /fallback {
            apikey_inject openai on_error=fallback;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /brave {
            apikey_inject brave;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /custom {
            apikey_inject $arg_provider;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /late {
            apikey_inject brave;
            proxy_pass http://127.0.0.1:%%LATE%%;
        }

        location /pass {
            apikey_intercept_refused off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /intercept {
            proxy_intercept_errors on;
            error_page 401 = /oops;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /page {
            error_page 502 /sorry;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location = /oops {
            apikey off;
            return 200 "oops\n";
        }

        location = /sorry {
            apikey off;
            internal;
            return 502 "sorry\n";
        }

        location = /status {
            apikey off;
            apikey_status;
        }

        location = /metrics {
            apikey off;
            apikey_status prometheus;
        }
    }
EOF

my %key = PoolTest::serves($t, qw(three one none brave));


sub slots {
    my ($who, $uri, $n) = @_;

    return join ' ', map { ask($who, $uri)->header('X-Slot') } 1 .. $n;
}


my %id = map { $_ => put('three', $_) } qw(a b c);
my $shared = put(undef, 'house');

$t->start;

# Which one serves.

is(slots('three', '/', 3), 'a a a', 'first');

my $seen = slots('three', '/turn', 7);

like("a b c a b c a b c $seen", qr/\b$seen$/, "turn: $seen");
like($seen, qr/^(\w) (\w) (\w) \1 \2 \3 \1$/, 'turn, over and over');

my ($stuck) = slots('three', '/sticky', 1);

is(slots('three', '/sticky', 5), join(' ', ($stuck) x 5), 'sticky');

my %random = map { $_ => 1 } split / /, slots('three', '/random', 60);

is(join(' ', sort keys %random), 'a b c', 'random: all of them');
is(ask('three', '/')->header('X-Source'), 'own', 'whose: his own');
is(ask('none', '/')->header('X-Source'), 'shared', 'whose: shared');
is(ask('none', '/')->header('X-Slot'), 'house', 'the shared slot');

# A slot that is refused is not used again; who met it does not notice.

for my $case ([ 'GET', undef, '/' ], [ 'POST', 'x' x 100, '/' ],
    [ 'POST', 'y' x 300_000, '/' ], [ 'POST', 'z' x 5000, '/several' ],
    [ 'PUT', 'v' x 5000, '/variable' ])
{
    my ($method, $body, $uri) = @$case;
    my $name = "$method $uri of " . length($body // '');

    $id{a} = put('three', 'a');
    ok(fresh($id{a}, 'three', '/'), "$name, the first slot is another one");
    rules($id{a} => { status => 401 });

    my $mark = $t->mark;
    my $r = ask('three', $uri, method => $method, body => $body);

    is($r->status, 200, "$name, refused and granted");
    is($r->header('X-Slot'), 'b', "$name, the other slot");
    like("@{ credentials($r) }", qr/^authorization: Bearer \S+-\Q$id{b}\E$/,
        "$name, one credential");
    is($r->header('X-Tried'), '401, 200', "$name, both answers are told");
    is($r->json->{length}, length($body // ''), "$name, the whole body");
    is($r->json->{sha256}, Digest::SHA::sha256_hex($body // ''),
        "$name, the body");
    is($r->header('Set-Cookie'), undef, "$name, nothing of the first answer");
    like($t->error_log($mark), qr/\[error\]\ .*the\ provider\ refuses\ an
        \ upstream\ key.*\ status\ 401;\ owner\ "three",\ provider\ "openai",
        \ slot\ "a"/x, "$name, the log names the slot");
    is(slots('three', '/', 4), 'b b b b', "$name, not used again");
    is(scalar(() = $t->error_log($mark) =~ /provider refuses/g), 1,
        "$name, told once");
}

# The servers are not blamed.

unlike($t->error_log, qr/upstream server temporarily disabled|no live upstr/,
    'no server is blamed');

# Until it is another one.

rules();
is(ask('three', '/')->header('X-Slot'), 'b', 'it is refused still');
$id{a} = put('three', 'a');
ok(fresh($id{a}, 'three', '/'), 'until it is another one');
is(slots('three', '/', 3), 'a a a', 'then it is used');

# One that is good again says nothing of another that was refused.

$id{$_} = put('three', $_) for qw(a b);
ok(fresh($id{a}, 'three', '/'), 'two refused, other ones');
rules(map { $id{$_} => { status => 401 } } qw(a b));
ask('three', '/');
rules();
is(ask('three', '/')->header('X-Slot'), 'c', 'two refused, the third serves');
$id{a} = put('three', 'a');
ok(fresh($id{a}, 'three', '/'), 'two refused, one is another one');
unlike(slots('three', '/turn', 6), qr/b/, 'two refused, the other one is');

$id{b} = put('three', 'b');
rules();
ok(wait_for(sub { slots('three', '/turn', 6) =~ /b/ }), 'and good again');

# 429: it returns after the time that it said.

rules($id{a} => { status => 429, headers => [ [ 'Retry-After', 2 ] ] });

my $from = Time::HiRes::time();

is(ask('three', '/', method => 'POST', body => 'b' x 100)->header('X-Tried'),
    '429, 200', 'busy: its client gets the answer of another slot');
rules();
is(ask('three', '/')->header('X-Slot'), 'b', 'busy: not now');
ok(wait_for(sub { ask('three', '/')->header('X-Slot') eq 'a' }, 10),
    'busy: it returns');

my $took = Time::HiRes::time() - $from;

cmp_ok($took, '>=', 1.9, 'busy: not before');
cmp_ok($took, '<', 2 + 2 * $slow, 'busy: in time');

# All are busy: the one that is ready soonest, or a 429.

rules($id{a} => { status => 429, headers => [ [ 'Retry-After', 30 ] ] },
    $id{b} => { status => 429, headers => [ [ 'Retry-After', 20 ] ] },
    $id{c} => { status => 429, headers => [ [ 'Retry-After', 40 ] ] });

my $r = ask('three', '/');

is($r->header('X-Tried'), '429, 429', 'all busy: two are tried');
is($r->status, 429, "all busy: the provider's answer");
is($r->header('Retry-After'), 20, 'all busy: with its time');
is($r->header('X-Provider'), 'yes', 'all busy: and its headers');
is(ask('three', '/')->header('X-Slot'), 'b',
    'all busy: the third, and the next');
$r = ask('three', '/refuse');
is($r->status, 429, 'all busy, a refusal');
is($r->header('X-Tried'), undef, 'all busy, nobody is asked');
like($r->header('Retry-After'), qr/^(?:1[5-9]|20)$/, 'all busy, the time');
is(($r->json || {})->{error}{code}, 'rate_limit_exceeded',
    'all busy, the code');
rules();
is(ask('three', '/')->header('X-Slot'), 'b', 'all busy: the soonest');
is(ask('three', '/')->status, 200, 'all busy: it is good again');
is(ask('three', '/refuse')->status, 200, 'and serves');

# An owner's only key is refused: his client is told, and it costs nobody else.

$id{one} = put('one', 'x');
is(ask('one', '/')->status, 200, 'one slot');
rules($id{one} => { status => 401 });

for my $method (qw(GET POST HEAD)) {
    $id{one} = put('one', 'x');
    rules();
    ok(fresh($id{one}, 'one', '/'), "$method, another one");
    rules($id{one} => { status => 401 });

    my $r = ask('one', '/', method => $method,
        body => $method eq 'POST' ? 'x' x 10 : undef);

    denied($r, 502, 'upstream_auth_failed', "$method, refused")
        if $method ne 'HEAD';
    is($r->status, 502, "$method, its status");
    is($r->header('X-Reason'), 'upstream_auth_failed', "$method, the reason");
    is($r->header('x-should-retry'), 'false', "$method, SDKs do not retry");
    is($r->header($_), undef, "$method, no $_")
        for qw(Set-Cookie X-Provider WWW-Authenticate);
    unlike($r->text, qr/\Q$id{one}\E|sk-prov/, "$method, nothing of the body");

    $r = ask('one', '/');
    is($r->status, 502, "$method, the next one");
    is($r->header('X-Tried'), undef, "$method, is not sent");
    is($r->header('X-Reason'), 'upstream_auth_failed', "$method, and why");
}

$r = ask('one', '/fallback');
is($r->status, 200, 'on_error=fallback: the shared one serves');
is($r->header('X-Source'), 'shared', 'on_error=fallback: it is told');

# Without a body at hand the next request takes the other slot.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'unbuffered, another one');
rules($id{a} => { status => 401 });
$r = ask('three', '/unbuffered', method => 'POST', body => 'x' x 100_000);
is($r->status, 502, 'unbuffered: it cannot be sent again');
is($r->header('X-Reason'), 'upstream_auth_failed', 'unbuffered: the reason');
is(ask('three', '/unbuffered', method => 'POST', body => 'x')->status, 200,
    'unbuffered: the next one is good');

# 403 is hidden, and does not cost the slot.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'forbidden, another one');
rules(map { $id{$_} => { status => 403 } } qw(a b c));
$r = ask('three', '/');
is($r->header('X-Tried'), '403, 403', 'forbidden: another slot is tried');
denied($r, 502, 'upstream_auth_failed', 'forbidden: hidden');
rules($id{a} => { status => 403 });
$r = ask('three', '/');
is($r->status, 200, 'forbidden: another slot may serve');
is($r->header('X-Slot'), 'b', 'forbidden: which does');
rules();
is(ask('three', '/')->header('X-Slot'), 'a', 'forbidden: it is used again');

# By mark: a status that other faults have too.

$id{brave} = put('brave', 'x', 'brave');
is(ask('brave', '/brave')->status, 200, 'brave');
rules($id{brave} => { status => 422, body => '{"error":"VALIDATION"}' });
is(ask('brave', '/brave')->status, 422, 'brave, a fault of the client');
rules();
is(ask('brave', '/brave')->status, 200, 'brave, it is used again');
rules($id{brave} => { status => 422,
    body => '{"error":{"code":"SUBSCRIPTION_TOKEN_INVALID"}}' });
denied(ask('brave', '/brave'), 502, 'upstream_auth_failed', 'brave, refused');
rules();
is(ask('brave', '/brave')->status, 502, 'brave, it is not used again');

# A provider of a block, named by a variable.

$id{custom} = put('brave', 'x', 'custom');
is(ask('brave', '/custom?provider=custom')->status, 200, 'custom');
rules($id{custom} => { status => 409 });
denied(ask('brave', '/custom?provider=custom'), 502, 'upstream_auth_failed',
    'custom, refused as its block says');
rules();
is(ask('brave', '/custom?provider=custom')->status, 502,
    'custom, it is not used again');
denied(ask('brave', '/custom?provider=customs'), 403, 'upstream_key_missing',
    'custom, a name that has no block');

# What it takes to tell may come after the header, and is passed on whole where
# it tells nothing.

for my $how (sort keys %late) {
    $id{brave} = put('brave', 'x', 'brave');
    ok(fresh($id{brave}, 'brave', '/brave'), "late, $how, another one");

    my $r = ask('brave', "/late/$how");

    if ($how =~ /^(?:length|chunks)$/) {
        denied($r, 502, 'upstream_auth_failed', "late, $how, refused");

    } else {
        is($r->status, 422, "late, $how, passed on");
        is($r->body, $late{$how}, "late, $how, the whole of it");
    }
}

# Where it is switched off, and beside what nginx does itself.

for my $uri (qw(/pass /intercept /page)) {
    $id{one} = put('one', 'x');
    rules();
    ok(fresh($id{one}, 'one', '/'), "$uri, another one");
    rules($id{one} => { status => 401 });

    my $r = ask('one', $uri);

    if ($uri eq '/pass') {
        is($r->status, 401, "$uri, the provider's status");
        like($r->text, qr/Incorrect API key/, "$uri, its body");

    } elsif ($uri eq '/intercept') {
        denied($r, 502, 'upstream_auth_failed', "$uri, not intercepted");

    } else {
        is($r->status, 502, "$uri, the status");
        is($r->body, "sorry\n", "$uri, the operator's page");
    }
}

# 5xx are the provider's; the slot rests, and its client gets them.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'failing, another one');
rules($id{a} => { status => 503 });
$r = ask('three', '/');
is($r->status, 503, "failing: the provider's answer");
is($r->header('X-Tried'), '503', 'failing: it is not sent again');
is(ask('three', '/')->header('X-Slot'), 'b', 'failing: the next one');
rules();
ok(wait_for(sub { ask('three', '/')->header('X-Slot') eq 'a' }, 10),
    'failing: it returns');

# HTTP/2, and many at once.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'at once, another one');
rules($id{a} => { status => 401 });

my @conns = map { $t->connect } 1 .. 20;

$_->send(ApikeyHTTP::bytes('POST', '/', [ Authorization =>
    "Bearer $key{three}" ], 'x' x 1000)) for @conns;
is(join(' ', map { $_->response->status } @conns), join(' ', (200) x 20),
    'at once: all are answered');

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'HTTP/2, another one');
rules($id{a} => { status => 401 });
$r = $t->h2($t->port(1), 'POST', '/',
    [ authorization => "Bearer $key{three}" ], 'x' x 20_000);
is($r->status, 200, 'HTTP/2: refused and granted');
is($r->header('x-tried'), '401, 200', 'HTTP/2: both are told');

# nginx's cache: a refusal is none of its answers, and a hit asks nobody.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'cache, another one');
rules(map { $id{$_} => { status => 401 } } qw(a b c));
denied(ask('three', '/cache'), 502, 'upstream_auth_failed', 'cache, refused');
$id{$_} = put('three', $_) for qw(a b c);
rules();
ok(fresh($id{a}, 'three', '/'), 'cache, other ones');
rules($id{a} => { status => 401 });
$r = ask('three', '/cache');
is($r->status, 200, 'cache, refused and granted');
is($r->header('X-Cached'), 'MISS', 'cache, the refusal was not kept');
ok(wait_for(sub { ask('three', '/cache')->header('X-Cached') eq 'HIT' }, 5),
    'cache, the answer was kept');
is(ask('three', '/')->status, 200, 'cache, nothing was learned from it');

# Where the operator has nginx ask the next server.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'next, another one');
rules(map { $id{$_} => { status => 403 } } qw(a b c));
denied(ask('three', '/next'), 502, 'upstream_auth_failed', 'next, 403');
rules();
is(ask('three', '/next', method => 'POST', body => 'x')->status, 200,
    'next, the servers are there');

# What is known outlives a reload, and not a restart.

$id{a} = put('three', 'a');
rules();
ok(fresh($id{a}, 'three', '/'), 'reload, another one');
rules($id{a} => { status => 401 });
is(ask('three', '/')->header('X-Slot'), 'b', 'reload, refused');
rules();
$t->reload;
is(slots('three', '/', 4), 'b b b b', 'reload, it is known');

# Counts, and nobody's name.

$r = $t->get('/status');

my ($house) = grep { ($_->{slot} // '') eq 'house' } @{ $r->json->{slots} };
my ($own) = grep { $_->{source} eq 'own' && $_->{provider} eq 'openai' }
    @{ $r->json->{slots} };

cmp_ok($house->{answers}, '>', 1, 'status: answers to a shared slot');
is($house->{answers_refused}, 0, 'status: none refused');
is($own->{slot}, undef, "status: owners' have no name");
cmp_ok($own->{answers_refused}, '>', 5, 'status: refusals');
cmp_ok($own->{refused}, '>=', 1, 'status: refused now');
unlike($r->text, qr/three|"one"/, 'status: no owner');
like($t->get('/metrics')->text, qr/^apikey_upstream_answers_total
    \{provider="openai",slot="house",outcome="good"\}\ \d+$/mx, 'metrics');
unlike($t->get('/metrics')->text, qr/three|"one"/, 'metrics: no owner');

$t->done;
