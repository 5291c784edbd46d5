#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for refreshing ahead: what is in use is asked for before it ages, once
# for all workers, and costs no client a look-up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use ApikeyTest;
use RedisMonitor;

ApikeyRedis::needs_store('tcp');

my $t = ApikeyTest->new(workers => 4);
my $redis = $t->{redis};


sub conf {
    my ($options) = @_;

    return <<"CONF";
    apikey_keyring %%KEYRING%%;
    apikey_store redis://127.0.0.1:%%REDIS%% timeout=500ms
                 connect_timeout=500ms $options;
    apikey_zone keys:1m ttl=2s negative_ttl=1s stale=20m usage=off;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        apikey on;
        add_header X-Cache \$apikey_cache always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
CONF
}


# Steady requests, each over a connection of its own, so by all workers; how
# many there were of each cache, after the first ones.

sub steady {
    my ($key, $seconds) = @_;

    my %seen;
    my $end = time + $seconds;

    while (time < $end) {
        my $r = $t->with_key('/', $key);

        $seen{$r->status . ' ' . ($r->header('X-Cache') // '')}++;
        select undef, undef, undef, 0.01;
    }

    return \%seen;
}


# A new key, once all workers have been told of its making, which they may be
# a moment after the first requests.

sub new_key {
    my $key = $t->put_key;

    select undef, undef, undef, 0.1;

    return $key;
}


for my $options ('', 'invalidation=off') {
    my $name = $options || 'invalidation=on';

    $t->{pid} ? $t->restart(conf($options)) : $t->http(conf($options))->start;

    my $hot = new_key();
    my $idle = new_key();
    my $absent = make_key();

    is($t->with_key('/', $hot)->header('X-Cache'), 'miss', "$name, a miss");
    is($t->with_key('/', $idle)->status, 200, "$name, one that is idle then");
    $t->with_key('/', $absent);

    my $monitor = RedisMonitor->new($redis);
    my $seen = steady($hot, 9);

    is(join(' ', keys %$seen), '200 hit', "$name, and none for four ttls")
        or diag(explain($seen));

    my %asked;

    $asked{$_->[-1]}++ for $monitor->argv('hgetall');

    my $times = $asked{"apikey:key:$hot->{id}"} // 0;

    # A ttl is over after three quarters of it, where it is asked for ahead.

    cmp_ok($times, '>=', 4, "$name, it was asked for");
    cmp_ok($times, '<=', 6, "$name, once in a ttl by all workers")
        or diag($times);
    is($asked{"apikey:key:$idle->{id}"}, undef, "$name, what is idle is not");
}


# What is asked for ahead is what is true then.

my $key = $t->put_key;

$t->with_key('/', $key);
$redis->command('HSET', "apikey:key:$key->{id}", 'status', 'revoked');

my $start = time;
my $last = wait_for(sub { $t->with_key('/', $key)->status == 401 }, 5);

ok($last, 'a change comes with it');
cmp_ok(time - $start, '<', 2, 'earlier than the ttl would end');


# In an outage it does no harm: what there is, is used, and nobody waits.

for my $how ('stopped', 'frozen') {
    $key = new_key();
    $t->with_key('/', $key) for 1 .. 8;

    $how eq 'stopped' ? $redis->kill : $redis->pause;

    my $mark = $t->mark;
    my ($n, $slowest) = (0, 0);
    my $end = time + 4;

    while (time < $end) {
        my $begin = time;
        my $r = $t->with_key('/', $key);

        $n++ unless $r->status == 200;
        $slowest = time - $begin if time - $begin > $slowest;
    }

    is($n, 0, "$how, all pass");
    cmp_ok($slowest, '<', 1 * ApikeyTest::slow(), "$how, in the time allowed");
    cmp_ok(scalar(() = $t->error_log($mark)
        =~ /\[(?:notice|warn|error)\] .*apikey: /g), '<', 40,
        "$how, the log is short");

    $how eq 'stopped' ? $redis->start : $redis->resume;
    ok(wait_for(sub { $t->with_key('/', $t->put_key)->status == 200 }),
        "$how, it is over");
}

$t->done;
