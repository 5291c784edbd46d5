#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for invalidation: what changes in Redis is in force at once, in all
# workers, whoever changed it and how; and what may have changed while nobody
# was told is asked for anew.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use ApikeyTest;
use FaultProxy;
use RedisMonitor;

ApikeyRedis::needs_store('tcp');

my $slow = ApikeyTest::slow();
my $workers = 4;
my $t = ApikeyTest->new(workers => $workers);
my $redis = $t->{redis};

# The data's connections go straight to Redis or, as the watches do, through
# the proxy, as a test says.

my $proxy = FaultProxy->new(to => $redis->{port});


sub conf {
    my ($store, $zone) = @_;

    $store //= '%%STORE%%';
    $zone //= 'ttl=10m negative_ttl=10m stale=20m';

    return <<"CONF";
    apikey_keyring %%KEYRING%%;
    apikey_store $store;
    apikey_zone keys:1m $zone usage=off;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        apikey on;
        add_header X-Cache \$apikey_cache always;
        add_header X-Reason \$apikey_reason always;
        add_header X-Pid \$pid always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /inject {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
CONF
}


# A connection to each of the workers, so that each of them is asked.

sub each_worker {
    my ($count) = @_;

    my %by;

    $count //= $workers;

    for (1 .. 400) {
        my $c = $t->connect;

        $c->send(ApikeyHTTP::bytes('GET', '/', []));
        my $pid = $c->response->header('X-Pid');

        $by{$pid} //= $c;
        last if keys %by == $count;
    }

    return map { $by{$_} } sort keys %by;
}


sub ask {
    my ($c, $key, $uri) = @_;

    $c->send(ApikeyHTTP::bytes('GET', $uri // '/',
        [ 'x-api-key' => $key->{key} ]));

    return $c->response;
}


# What each of the workers answers.

sub answers {
    my ($conns, $key, $uri) = @_;

    return join ' ', map { my $r = ask($_, $key, $uri);
        $r ? $r->status . '/' . ($r->header('X-Reason') // '') : 'none' }
        @$conns;
}


sub caches {
    my ($conns, $key) = @_;

    return join ' ', map { ask($_, $key)->header('X-Cache') } @$conns;
}


sub all { return join ' ', ($_[0]) x ($_[1] // $workers) }

sub name { return "apikey:key:$_[0]{id}" }


# How long until all workers give another answer; undef: they do not.

sub until_answer {
    my ($conns, $key, $like, $uri) = @_;

    my $start = time;
    my $end = $start + 5 * $slow;

    while (time < $end) {
        my $answers = answers($conns, $key, $uri);

        return time - $start
            if !grep { $_ !~ $like } split ' ', $answers;
    }

    return undef;
}


# A generous bound: what is promised is less by far, but not of a machine that
# does much else.

sub in_time {
    my ($took, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(defined $took && $took < 1 * $slow, $name)
        or diag($took // 'never');
}


$t->http(conf())->start;

my @conns = each_worker();

is(scalar @conns, $workers, 'all workers are there');


# Each kind of change, of a key that all workers have used.

my %change = (
    'HSET status' => [ sub { $redis->command('HSET', name($_[0]), 'status',
        'revoked') }, qr{^401/revoked$} ],
    'HDEL hash' => [ sub { $redis->command('HDEL', name($_[0]), 'hash') },
        qr{^(?:401|503)/} ],
    'DEL' => [ sub { $redis->command('DEL', name($_[0])) },
        qr{^401/unknown$} ],
    'UNLINK' => [ sub { $redis->command('UNLINK', name($_[0])) },
        qr{^401/unknown$} ],
    'RENAME' => [ sub { $redis->command('RENAME', name($_[0]), 'other') },
        qr{^401/unknown$} ],
    'PEXPIRE' => [ sub { $redis->command('PEXPIRE', name($_[0]), 30) },
        qr{^401/unknown$} ],
    'apikeyctl' => [ sub { $t->ctl('key', 'revoke', $_[0]{id}) },
        qr{^401/revoked$} ],
    'a transaction' => [ sub { $redis->command('MULTI');
        $redis->command('HSET', name($_[0]), 'status', 'disabled');
        $redis->command('EXEC') }, qr{^401/disabled$} ],
    'a script' => [ sub { $redis->command('EVAL', 'redis.call("HSET", '
        . 'KEYS[1], "status", "revoked")', 1, name($_[0])) },
        qr{^401/revoked$} ],
);

for my $how (sort keys %change) {
    my ($do, $like) = @{ $change{$how} };
    my $key = $t->put_key;

    is(answers(\@conns, $key), all('200/'), "$how, before");
    is(caches(\@conns, $key), all('hit'), "$how, it is cached");

    $do->($key);
    in_time(until_answer(\@conns, $key, $like), "$how, is known at once");
}

# And back: what is refused is not refused for longer than it has to be.

my $key = $t->put_key(status => 'disabled');

is(answers(\@conns, $key), all('401/disabled'), 'disabled');
$redis->command('HSET', name($key), 'status', 'active');
in_time(until_answer(\@conns, $key, qr{^200/}), 'enabled is known at once');

$key = make_key();
$t->secret($key->{key});
is(answers(\@conns, $key), all('401/unknown'), 'there is no such key');
is(caches(\@conns, $key), all('hit'), 'which is cached');
$redis->command('HSET', name($key), $t->record($key->{key}));
in_time(until_answer(\@conns, $key, qr{^200/}), 'a new key is known at once');

# Upstream keys.

$key = $t->put_key(owner => 'carol');
is(answers(\@conns, $key, '/inject'), all('403/upstream_key_missing'),
    'no upstream key');
$t->upstream_key('openai', 'up-one-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7', owner => 'carol');
in_time(until_answer(\@conns, $key, qr{^200/}, '/inject'),
    'a new upstream key is known at once');
$redis->command('DEL', 'apikey:upstream:carol:openai');
in_time(until_answer(\@conns, $key, qr{^403/}, '/inject'),
    'that it is gone, too');

# All at once.

my @two = map { $t->put_key } 1 .. 2;

is(answers(\@conns, $_), all('200/'), 'before FLUSHALL') for @two;
$redis->command('FLUSHALL');
in_time(until_answer(\@conns, $_, qr{^401/unknown$}), 'FLUSHALL') for @two;

# What is not ours disturbs nothing.

$key = $t->put_key;
answers(\@conns, $key);

my $asked = $redis->calls('hgetall');

for my $n (1 .. 200) {
    $redis->command('SET', "elsewhere:$n", 1);
    $redis->command('HSET', "apikey-usage:$key->{id}", 'used', $n);
    $redis->command('SET', "apikeys:key:$key->{id}", $n);
}

is(caches(\@conns, $key), all('hit'), 'other prefixes disturb nothing');
is($redis->calls('hgetall'), $asked, 'nothing is asked for them');

$redis->command('HSET', name($t->put_key), 'status', 'revoked') for 1 .. 20;
is(caches(\@conns, $key), all('hit'), 'nor do other keys');


# The time until the last request that passes.

my @took;

for my $n (1 .. 30) {
    my $one = $t->put_key;

    answers(\@conns, $one);

    if ($n % 2) {
        $redis->command('HSET', name($one), 'status', 'revoked');

    } else {
        $redis->command('DEL', name($one));
    }

    push @took, until_answer(\@conns, $one, qr{^401/}) // 99;
}

@took = sort { $a <=> $b } @took;
diag(sprintf 'revoked in all workers: median %.1f ms, most %.1f ms',
    1000 * $took[15], 1000 * $took[-1]);
cmp_ok($took[-1], '<', 1 * $slow, 'thirty revocations');


# The connections that watch: how many, and what when they end.

sub watches {
    return grep { /\bflags=\w*t/ } split /\n/, $redis->cli('CLIENT', 'LIST');
}


is(scalar(() = watches()), $workers, 'one watch a worker');

my $mark = $t->mark;

# Revoked while nobody is told, as good as surely: one command follows the
# other, and workers come back one after the other, while those who did not
# find out yet still vouch for what they were not told.

for my $n (1 .. 12) {
    $key = $t->put_key;
    answers(\@conns, $key);

    $redis->send('CLIENT', 'KILL', 'TYPE', 'pubsub');
    $redis->send('HSET', name($key), 'status', 'revoked');
    $redis->reply for 1 .. 2;

    in_time(until_answer(\@conns, $key, qr{^401/revoked$}),
        "revoked while nobody watches, $n");
    ok(wait_for(sub { $workers == (() = watches()) }), "they come back, $n");
}

# Of one of four, too: for how long it was told nothing, it does not know.

$key = $t->put_key;
answers(\@conns, $key);

$asked = $redis->calls('hgetall');

my ($id) = (watches())[0] =~ /\bid=(\d+)/;

$redis->command('CLIENT', 'KILL', 'ID', $id);
ok(wait_for(sub { $redis->calls('hgetall') > $asked
    || caches(\@conns, $key) =~ /miss/ }), 'one watch less: asked anew');
ok(wait_for(sub { $workers == (() = watches()) }), 'it comes back');
ok(wait_for(sub { caches(\@conns, $key) eq all('hit') }),
    'it is trusted again');

unlike($t->error_log($mark), qr/is unavailable|\[(?:error|alert|crit)\]/,
    'the log has no errors of it');


# A worker that is killed vouches for nothing, though it had said that it would
# for a while.

$t->expect_alert(qr/exited on signal 9/);
$t->{workers} = 1;
$t->restart(conf());

for my $n (1 .. 5) {
    my ($pid) = $t->workers;

    $key = $t->put_key;
    is($t->with_key('/', $key)->status, 200, "killed, before, $n");
    ok(wait_for(sub {
        $t->with_key('/', $key)->header('X-Cache') eq 'hit' }),
        "killed, cached, $n");

    kill 'STOP', $pid;
    $redis->command('HSET', name($key), 'status', 'revoked');
    kill 'KILL', $pid;

    wait_for(sub { my ($new) = $t->workers; $new && $new != $pid });

    my $took = until_answer([ $t->connect ], $key, qr{^401/revoked$});

    in_time($took, "killed, revoked, $n");
    select undef, undef, undef, 0.05;
    is($t->with_key('/', $key)->status, 401, "killed, it stays so, $n");
}

$t->{workers} = $workers;


# All watches away for longer, while the data's connections live.

my $port = $proxy->{port};

$t->restart(conf("redis://127.0.0.1:$port"));
@conns = each_worker();
$key = $t->put_key;

is(answers(\@conns, $key), all('200/'), 'through the proxy');

# what a worker asked for before it was watching is not kept for the others

ok(wait_for(sub { caches(\@conns, $key) eq all('hit') }),
    'through the proxy, cached');

$mark = $t->mark;
$proxy->mode('refuse');
$redis->command('CLIENT', 'KILL', 'TYPE', 'pubsub');
ok(wait_for(sub { caches(\@conns, $key) eq all('miss') }),
    'nobody watches: each request asks');

for my $n (1 .. 3) {
    $asked = $redis->calls('hgetall');
    is(caches(\@conns, $key), all('miss'), "nobody watches, $n");
    is($redis->calls('hgetall') - $asked, $workers, "each asks, $n");
}

# That does not make them wait for each other.

my $bad = 0;
my @children = map { TestProc::child(sub {
    my @mine = each_worker();
    my $wrong = 0;
    my $end = time + 2;

    while (time < $end) {
        for my $c (@mine) {
            my $r = ask($c, $key);
            $wrong++ unless $r && $r->status == 200;
        }
    }

    die "$wrong wrong\n" if $wrong;
}) } 1 .. 3;

for my $pid (@children) {
    waitpid $pid, 0;
    $bad++ if $? != 0;
}

is($bad, 0, 'nobody watches, under load, all pass');

# What it is that is wrong is told once a worker, and once that it is over.

ok(wait_for(sub { $workers == (() = $t->error_log($mark)
    =~ /changes in redis are not known, .*? cannot be had: connect/g) }),
    'the log says so, once a worker');

# A change in the gap.

$redis->command('HSET', name($key), 'status', 'revoked');
is(answers(\@conns, $key), all('401/revoked'), 'revoked in the gap');

my $other = $t->put_key;
answers(\@conns, $other);

# It was read in the gap, and changes in it, unseen: it is read again after it.

$redis->command('HSET', name($other), 'status', 'disabled');

$proxy->mode('pass');
ok(wait_for(sub { $workers == (() = watches()) }), 'the watches come back');
is(answers(\@conns, $other), all('401/disabled'), 'changed in the gap');
ok(wait_for(sub { caches(\@conns, $other) eq all('hit') }),
    'and then it is cached again');
ok(wait_for(sub { $workers == (() = $t->error_log($mark)
    =~ /changes in redis are known at once/g) }), 'the log says so');


# A server that takes no more connections: nor do workers then wait for each
# other, since none may use what another one was told.

my $max = $redis->command('CONFIG', 'GET', 'maxclients')->[1];
my ($have) = $redis->command('INFO', 'clients') =~ /connected_clients:(\d+)/;

$mark = $t->mark;
$redis->command('CONFIG', 'SET', 'maxclients', $have - $workers);
$redis->command('CLIENT', 'KILL', 'TYPE', 'pubsub');
ok(wait_for(sub { caches(\@conns, $other) eq all('miss') }),
    'maxclients: each request asks');

$proxy->mode('delay', seconds => 0.4, match => 'HGETALL');

my $start = time;

$_->send(ApikeyHTTP::bytes('GET', '/', [ 'x-api-key' => $other->{key} ]))
    for @conns;
is(join(' ', map { $_->response->header('X-Reason') } @conns),
    all('disabled'), 'maxclients: all are answered');
cmp_ok(time - $start, '<', 0.8 * $slow, 'maxclients: at the same time');

ok(wait_for(sub { $t->error_log($mark)
    =~ /are not known, .* cannot be had: .*max number of clients/ }),
    'maxclients: the log says so');

$proxy->mode('pass');
$redis->command('CONFIG', 'SET', 'maxclients', $max);
ok(wait_for(sub { caches(\@conns, $other) eq all('hit') }),
    'maxclients: it is over');


# A reply that is older than the change must not stay.  It is held up on its
# way while the key changes.

for my $n (1 .. 5) {
    my $late = $t->put_key;

    $asked = $redis->calls('hgetall');
    $proxy->mode('delay', seconds => 0.3, match => 'HGETALL');

    $conns[0]->send(ApikeyHTTP::bytes('GET', '/',
        [ 'x-api-key' => $late->{key} ]));
    ok(wait_for(sub { $redis->calls('hgetall') > $asked }),
        "late, $n: it was asked");

    $redis->command('HSET', name($late), 'status', 'revoked');

    # The change is known, the reply is not: who comes now does not get it.

    select undef, undef, undef, 0.1;
    my @again = $n % 2 ? each_worker() : ();

    $_->send(ApikeyHTTP::bytes('GET', '/', [ 'x-api-key' => $late->{key} ]))
        for @again;

    my $first = $conns[0]->response;

    is($first ? $first->status : 'none', 200, "late, $n: who asked before");
    is(join(' ', map { my $r = $_->response; $r ? $r->status : 'none' }
        @again), all(401, scalar @again), "late, $n: who asked after it");

    $proxy->mode('pass');
    is(answers(\@conns, $late), all('401/revoked'), "late, $n: what stays");
}


# What nobody trusts any more is asked for anew, and at once: not when the time
# of those is over who asked before.

$t->restart(conf("redis://127.0.0.1:$port timeout=4s"));
@conns = each_worker();

my @spare = each_worker();
my $anew = $t->put_key;

ok(wait_for(sub { caches(\@conns, $other) eq all('hit') }), 'anew: covered');

$asked = $redis->calls('hgetall');
$proxy->mode('delay', seconds => 0.5, match => 'HGETALL');
$conns[0]->send(ApikeyHTTP::bytes('GET', '/',
    [ 'x-api-key' => $anew->{key} ]));
ok(wait_for(sub { $redis->calls('hgetall') > $asked }), 'anew: it was asked');

my $armed = $redis->calls('subscribe');
$redis->command('CLIENT', 'KILL', 'TYPE', 'pubsub');
ok(wait_for(sub { $redis->calls('subscribe') == $armed + $workers }),
    'anew: the watches come back');

$start = time;
is(ask($spare[0], $anew)->status, 200, 'anew: who asks then');
cmp_ok(time - $start, '<', 2 * $slow, 'anew: is answered soon');
is($conns[0]->response->status, 200, 'anew: who asked before');
$proxy->mode('pass');

# Reload, under load: nobody is let in whom a change has shut out.

my @many = map { $t->put_key } 1 .. 8;

for my $n (1 .. 3) {
    my $pid = TestProc::child(sub {
        my $end = time + 20;

        while (time < $end) {
            $t->with_key('/', $_) for @many;
        }
    });

    ok($t->reload, "reload, $n");

    my $gone = $many[$n];
    $redis->command('HSET', name($gone), 'status', 'revoked');
    @conns = each_worker();
    in_time(until_answer(\@conns, $gone, qr{^401/revoked$}),
        "revoked after a reload, $n");
    is(answers(\@conns, $many[0]), all('200/'), "others pass, $n");

    TestProc::finish($pid, 'KILL');
}

ok(wait_for(sub { $workers == (() = watches()) }),
    'the watches of old workers are gone');


# While a reload is on its way.

for my $n (1 .. 3) {
    my $gone = $t->put_key;

    answers(\@conns, $gone);
    kill 'HUP', $t->{pid};
    select undef, undef, undef, 0.05 * $n;
    $redis->command('DEL', name($gone));
    select undef, undef, undef, 0.05;
    is($t->with_key('/', $gone)->status, 401, "deleted during a reload, $n");
    ok(wait_for(sub { $workers == (() = watches()) }), "it is over, $n");
    @conns = each_worker();
    is(answers(\@conns, $gone), all('401/unknown'), "and stays so, $n");
}

$t->done;
