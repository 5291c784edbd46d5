#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for reading from the replicas of a cluster: they are asked and watched,
# the master where there is none, and a change is seen as soon as without.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyCluster;
use ApikeyRedis;
use ApikeyTest;
use FleetTest;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();
ApikeyRedis::needs_store('tcp');


my $t = ApikeyTest->new(redis => 0, workers => 2, level => 'info',
    not_under => ['valgrind']);
my $c = $t->{redis} = ApikeyCluster->new(words => ' read=replica',
    node_timeout => 1000);


sub name { return "apikey:key:$_[0]{id}" }
sub status { return FleetTest::status($t, $_[0]) }


sub make {
    my ($n) = @_;

    my @keys = FleetTest::keys($t, $n);

    $_->command('WAIT', 1, 2000) for $c->masters;

    return @keys;
}


sub calls {
    my $n = 0;

    $n += $_->calls('hgetall') for @_;

    return $n;
}


# All that is asked for comes from nodes that are watched.

sub ready {
    my ($n) = @_;

    return wait_for(sub {
        return !grep { FleetTest::clients($_) < $n } @_[1 .. $#_];
    }, 5);
}


$t->http(FleetTest::conf())->start;
ok(ready(4, $c->nodes), 'all are asked and watched, by two workers');

my @keys = make(40);

is(scalar(grep { status($_) != 200 } @keys), 0, 'all are found');
is(calls($c->masters), 0, 'the masters are not asked');
is(calls($c->replicas), 40, 'the replicas are');
ok(wait_for(sub { !grep {
    $t->with_key('/echo', $_)->header('X-Cache') ne 'hit' }
    @keys }, 5), 'all are cached');

my %of = map { $_->{port} => $_ } $c->masters;
my @one = map { my $m = $_;
    (grep { $c->node_of(name($_)) == $m } @keys)[0] } $c->masters;

FleetTest::changes($t, $one[$_], "node $_") for 0 .. 2;

# How long a change takes, many times.

my ($late, $n) = (0, 0);

for my $key (@one, @keys[0 .. 9]) {
    for my $state (qw(disabled active)) {
        my $begin = time;

        $t->redis_cmd('HSET', name($key), 'status', $state);
        $n++;
        $late++ unless wait_for(sub {
            status($key) == ($state eq 'active' ? 200 : 401) }, 2)
            && time - $begin < 0.3 * ApikeyTest::slow();
    }
}

is($late, 0, "$n changes, each is seen at once");

# A replica dies: its master is asked.

my $master = $c->node_of(name($one[0]));
my ($replica) = $c->replicas($master);
my $load = FleetTest::load($t, 5 + 4 * ApikeyTest::slow(), @keys[0 .. 19]);

$c->kill_node($replica);
cmp_ok(FleetTest::harmless($load, 'a replica dies'), '<',
    1 * ApikeyTest::slow(), 'a replica dies, for a moment at most');
cmp_ok(calls($master), '>', 0, 'its master is asked');
FleetTest::changes($t, $one[0], 'a replica dies');
ok(wait_for(sub { $t->with_key('/echo', $one[0])->header('X-Cache') eq 'hit' },
    10), 'a replica dies, the cache is trusted again');
$c->rejoin($replica);
ok(ready(4, $replica), 'it is back');

my $calls = calls($replica);

ok(wait_for(sub {
    status((FleetTest::keys($t, 1))[0]);
    calls($replica) > $calls }, 15), 'and is asked again');

# A master dies: its replica knows all, and goes on before it is elected.

$load = FleetTest::load($t, 6 + 6 * ApikeyTest::slow(), @keys[0 .. 19]);
$c->kill_node($master);
$c->wait_master_change(name($one[0]), $master);
cmp_ok(FleetTest::harmless($load, 'a master dies'), '<',
    3 * ApikeyTest::slow(), 'a master dies, until it is elected at most');
FleetTest::changes($t, $one[0], 'a master dies');
ok(wait_for(sub { $t->with_key('/echo', $one[0])->header('X-Cache') eq 'hit' },
    10), 'a master dies, the cache is trusted again');
$c->rejoin($master);

# The two swap their roles.

$load = FleetTest::load($t, 6 + 4 * ApikeyTest::slow(), @keys[0 .. 19]);
$c->failover($master);
cmp_ok(FleetTest::harmless($load, 'a swap'), '<', 1 * ApikeyTest::slow(),
    'a swap, for a moment at most');
FleetTest::changes($t, $one[0], 'a swap');

$t->done;
