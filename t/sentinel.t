#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for a master that sentinels name: which server is asked, and what
# requests notice when it changes, dies, or freezes, and when sentinels do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyRedis;
use ApikeySentinel;
use ApikeyTest;
use FleetTest;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();
ApikeyRedis::needs_store('tcp');


my $t = ApikeyTest->new(redis => 0, workers => 2, level => 'info',
    not_under => ['valgrind']);
my $s = $t->{redis} = ApikeySentinel->new(replicas => 2);


my $mark = 0;


sub switched {
    return FleetTest::counts($t, $mark, qr/the master of redis is/);
}


$t->http(FleetTest::conf())->start;

my @cached = FleetTest::keys($t, 20);
my $key = $t->put_key;
my $r;

is(FleetTest::status($t, $key), 200, 'a key');
is(FleetTest::status($t, make_key()), 401, 'a key that there is not');
ok(wait_for(sub {
    $t->with_key('/echo', $key)->header('X-Cache') eq 'hit' }, 5),
    'a hit');
is($_->calls('hgetall'), 0, 'a replica is not asked') for $s->replicas;

FleetTest::changes($t, $key, 'at first');

# A switch that somebody asked for.

$mark = $t->mark;

my $old = $s->master;
my $load = FleetTest::load($t, 8 + 4 * ApikeyTest::slow(), @cached);
my $new = $s->failover;

ok(wait_for(sub { switched() >= 2 }, 5), 'both workers follow a switch');
is(switched(), 2, 'once');
is(FleetTest::counts($t, $mark, qr/anything in redis may have changed/), 2,
    'each forgets what it may not have been told');
cmp_ok(FleetTest::harmless($load, 'a switch'), '<', 2 * ApikeyTest::slow(),
    'a switch, uncached keys fail for a moment only');
unlike($t->error_log($mark), qr/redis is unavailable/,
    'a switch, nobody lost a server');

$mark = $t->mark;
FleetTest::changes($t, $key, 'a switch');
is(FleetTest::clients($old), 0, 'the old master is left');
is(FleetTest::clients($new), 4,
    'the new one is asked and watched by both workers');

# The master is killed.

$mark = $t->mark;
$load = FleetTest::load($t, 8 + 4 * ApikeyTest::slow(), @cached);
$old = $s->kill_master;

my $killed = time;

$new = $s->wait_master_change($old);

my $elected = time;

ok(wait_for(sub { switched() >= 2 }, 5), 'killed, both workers follow');
cmp_ok(time - $elected, '<', 1 * ApikeyTest::slow(),
    'killed, as soon as all sentinels know');
cmp_ok(FleetTest::harmless($load, 'killed'), '<', $elected - $killed
    + 1 * ApikeyTest::slow(), 'killed, no longer than the election');
is(FleetTest::counts($t, $mark, qr/redis is unavailable/), 2,
    'killed, a line in the log for each worker');

FleetTest::changes($t, $key, 'killed');

$s->rejoin($old);

# All sentinels die, and the master lives.

my @fresh = FleetTest::keys($t, 4);

$mark = $t->mark;
$_->kill for $s->sentinels;

ok(wait_for(sub {
    FleetTest::counts($t, $mark, qr/sentinel is unavailable/) == 2 }, 5),
    'no sentinels, it is told');
is(FleetTest::status($t, $fresh[0]), 200, 'no sentinels, keys are looked up');

select undef, undef, undef, 2.5;
is(FleetTest::status($t, $fresh[1]), 200, 'no sentinels, still');
is(scalar(FleetTest::counts($t, $mark, qr/sentinel is unavailable/)), 2,
    'no sentinels, it is not told again');
unlike($t->error_log($mark), qr/redis is unavailable/,
    'no sentinels, the master is there');

# Then the master is lost too: nothing waits for those who cannot be asked.

is(FleetTest::status($t, $key), 200, 'no sentinels, a key that was changed');
$s->{current}->pause;
FleetTest::status($t, $fresh[2]);
$killed = time;
$r = $t->with_key('/echo', $key);
is($r->status, 200, 'nobody there, a cached key');
is($t->with_key('/echo', $fresh[2])->status, 503, 'nobody there, another');
cmp_ok(time - $killed, '<', 3 * ApikeyTest::slow(), 'nobody there, soon');
$s->{current}->resume;
ok(wait_for(sub { FleetTest::status($t, $fresh[2]) == 200 }, 10),
    'the master is back without sentinels');

$_->start for $s->sentinels;
ok(wait_for(sub {
    FleetTest::counts($t, $mark, qr/sentinel is available/) == 2 }, 10),
    'the sentinels are back');
ok(eval { TestProc::wait_until(sub { $s->_settled }, 20); 1 },
    'and see each other');

# The master freezes: its connections stay.  When it thaws, it is left alone.

$mark = $t->mark;
$load = FleetTest::load($t, 10 + 4 * ApikeyTest::slow(), @cached);
$old = $s->freeze_master;
$killed = time;
$new = $s->wait_master_change($old);
$elected = time;

cmp_ok(FleetTest::harmless($load, 'frozen'), '<', $elected - $killed
    + 2 * ApikeyTest::slow(), 'frozen, until another is elected');
$old->resume;
$s->wait_replicas(2, 30);
is(FleetTest::clients($old), 0, 'thawed, it is left alone');
is(FleetTest::status($t, $fresh[3]), 200, 'thawed, keys are looked up');

# The first sentinels of the list are down, or frozen.

my ($first, $second, $third) = $s->sentinels;

$first->kill;
$second->kill;
$t->restart;
is(FleetTest::status($t, $fresh[0]), 200, 'one sentinel of three is enough');
$second->start;
$second->pause;
$t->restart;
ok(wait_for(sub { FleetTest::status($t, $fresh[1]) == 200 }, 5),
    'a frozen one is skipped');
$second->resume;

$t->done;
