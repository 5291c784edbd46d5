#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for faults of the wires to Redis: what is cached goes on, the rest is
# 503 and never another verdict, nobody waits for longer than the time allowed,
# other locations do not feel it, no worker ends or grows, and it is over when
# the fault is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use ApikeyTest;
use FaultProxy;

ApikeyRedis::needs_store('tcp');

my $slow = ApikeyTest::slow();
my $timeout = 0.5;
my $t = ApikeyTest->new(workers => 2, level => 'info');
my $redis = $t->{redis};
my $proxy = FaultProxy->new(to => $redis->{port});

$t->http(<<"EOF")->start;
    apikey_keyring %%KEYRING%%;
    apikey_store redis://127.0.0.1:$proxy->{port} timeout=500ms
                 connect_timeout=500ms;
    apikey_zone keys:1m ttl=1s negative_ttl=1s stale=20m usage=off;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        add_header X-Cache \$apikey_cache always;
        add_header X-Reason \$apikey_reason always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /plain {
            apikey off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

# How to begin, and how to end.

my %fault = map { my ($name, @mode) = @$_;
    $name => [ sub { $proxy->mode(@mode) }, sub { $proxy->mode('pass') } ] } (
    [ 'mute', 'mute' ],
    [ 'swallow', 'swallow' ],
    [ 'late', 'delay', seconds => 3 ],
    [ 'half a reply', 'half', match => 'HGETALL' ],
    [ 'the first bytes', 'stall', bytes => 5, match => 'HGETALL' ],
    [ 'ends', 'close' ],
    [ 'ends in a reply', 'close', bytes => 5, match => 'HGETALL' ],
    [ 'ends at a question', 'close', match => 'HGETALL' ],
    [ 'ends after a byte', 'close', bytes => 1 ],
    [ 'reset', 'reset' ],
    [ 'reset in a reply', 'reset', bytes => 5, match => 'HGETALL' ],
    [ 'garbage', 'garbage', text => "\0\xff garbage\r\n" ],
    [ 'garbage for a reply', 'garbage', text => "*3\r\n!\r\n",
        match => 'HGETALL' ],
    [ 'too many replies', 'garbage', text => "-ERR no\r\n" x 50 ],
    [ 'a huge string', 'endless', head => "\$536870912\r\n",
        match => 'HGETALL' ],
    [ 'a huge array', 'endless', head => "*2147483647\r\n",
        match => 'HGETALL' ],
    [ 'a line without an end', 'endless', head => '+' ],
);

my %saved;

$fault{'nobody listens'} = [ sub { $proxy->mode('refuse'); $proxy->cut },
    sub { $proxy->mode('pass') } ];
$fault{'frozen'} = [ sub { $redis->pause }, sub { $redis->resume } ];
$fault{'killed'} = [ sub {
    %saved = map { $_ => $t->redis_cmd('HGETALL', $_) }
        @{ $t->redis_cmd('KEYS', '*') };
    $redis->kill;
}, sub {
    $redis->start;
    $t->redis_cmd('HSET', $_, @{ $saved{$_} }) for keys %saved;
} ];


# A key that the logs are not searched for: there are too many.

sub new_key {
    my (%field) = @_;

    my $key = make_key();

    $t->redis_cmd('HSET', "apikey:key:$key->{id}",
        $t->record($key->{key}, %field));

    return $key;
}


sub bytes {
    my ($path, $key) = @_;

    return ApikeyHTTP::bytes('GET', $path,
        [ $key ? ('x-api-key' => $key->{key}) : () ]);
}


# Milliseconds: what nineteen of twenty take at most.

sub plain {
    my @took;
    my $c = $t->connect;

    for (1 .. 100) {
        my $start = time;

        $c->send(bytes('/plain'));

        my $r = $c->response;

        die 'plain: ' . ($r ? $r->status : 'none') unless $r && $r->status
            == 200;
        push @took, 1000 * (time - $start);
    }

    return (sort { $a <=> $b } @took)[95];
}


sub memory {
    my $kb = 0;

    for my $worker ($t->workers) {
        $kb += (ApikeyTest::_read("/proc/$worker/status")
            =~ /VmRSS:\s+(\d+)/)[0];
    }

    return $kb;
}


sub lines {
    my ($mark, $like) = @_;

    return scalar(() = $t->error_log($mark) =~ /$like/g);
}


is($t->with_key('/', $t->put_key)->status, 200, 'a key');

my @workers = sort $t->workers;
my $before = plain();
my ($memory, $rounds) = (0, 0);

for my $name (sort @ARGV ? @ARGV : keys %fault) {
    my ($begin, $end) = @{ $fault{$name} };

    my $cached = new_key();
    my $gone = new_key(status => 'revoked');
    my @cold = map { new_key() } 1 .. 12;

    select undef, undef, undef, 0.05;
    is($t->with_key('/', $cached)->status, 200, "$name, before");
    is($t->with_key('/', $gone)->status, 401, "$name, revoked, before");

    # watches that the one before has ended may have come back only now

    ok(wait_for(sub {
        $t->with_key('/', $cached)->header('X-Cache') eq 'hit' }, 5),
        "$name, it is cached");

    my $mark = $t->mark;

    $begin->();

    # What has to be asked for, by many at once.

    my $start = time;
    my @wait = map { my $c = $t->connect; $c->send(bytes('/', $_)); $c }
        @cold;
    my $during = plain();
    my @status = map { my $r = $_->response; $r ? $r->status : 'none' } @wait;
    my $took = time - $start;

    # Of some of them the answer may have been in the part that came.

    like("@status", $name =~ /half/ ? qr/^(?:(?:200|503) ?)+$/
        : qr/^(?:503 ?)+$/, "$name, what is not cached");
    @cold = grep { (shift @status) ne '200' } @cold;
    cmp_ok($took, '<', 1.6 * $timeout * $slow,
        "$name, nobody waits for longer than allowed");
    cmp_ok($during, '<', 5 * $before + 50 * $slow,
        "$name, other locations do not feel it")
        or diag("$before $during");

    # What is cached, and ages.

    my ($wrong, $let_in, $stale) = (0, 0, 0);
    my $until = time + 1.3;

    while (time < $until) {
        my $r = $t->with_key('/', $cached);

        $wrong++ if $r->status != 200;
        $stale++ if ($r->header('X-Cache') // '') eq 'stale';
        $let_in++ if $t->with_key('/', $gone)->status != 401;
        select undef, undef, undef, 0.02;
    }

    is($wrong, 0, "$name, what is cached goes on");
    is($let_in, 0, "$name, what was refused is refused");
    cmp_ok($stale, '>', 0, "$name, though it is stale");

    # It is known by now: nobody waits any more.

    $start = time;
    denied($t->with_key('/', $_), 503, 'auth_unavailable', "$name, known")
        for @cold[0 .. 3];
    $took = time - $start;

    if ($name =~ /nobody|killed|frozen|mute|swallow|late/) {
        cmp_ok($took, '<', 0.3 * $slow, "$name, and so at once");
        is(lines($mark, 'redis is unavailable: '), 2,
            "$name, a line a worker");
    }

    $end->();

    ok(wait_for(sub { my @r = map { $t->with_key('/', $_)->status } @cold;
        "@r" eq join ' ', (200) x @cold }, 10 * $slow), "$name, it is over");
    ok(wait_for(sub { $t->with_key('/', $cached)->header('X-Cache') eq 'hit' },
        10 * $slow), "$name, it is cached again");

    # A change is seen at once again.

    $t->redis_cmd('HSET', "apikey:key:$cached->{id}", 'status', 'revoked');
    ok(wait_for(sub { $t->with_key('/', $cached)->status == 401 }, 5 * $slow),
        "$name, a change is known");
    ok(wait_for(sub { $t->with_key('/', new_key())->status == 200
        && lines($mark, 'redis is available')
        == lines($mark, 'redis is unavailable') }, 5 * $slow),
        "$name, the log has its end") or diag($t->error_log($mark));
    is(join(' ', sort $t->workers), "@workers", "$name, no worker has ended");

    $memory = memory() if ++$rounds == 10;
}

# A sanitizer keeps what was freed for a while.

cmp_ok(memory(), '<', ($memory || 1e6) + 4096, 'workers do not grow')
    or diag("$memory " . memory()) if ApikeyTest::flavour() eq 'plain';

unlike($t->error_log, qr/exited on signal/, 'no worker has ended');

$t->done;
