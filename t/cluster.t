#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for a Redis Cluster as the store: each key is asked of the node that
# has it, wherever it moves and whoever dies.

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
use RedisMonitor;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();
ApikeyRedis::needs_store('tcp');


my $t = ApikeyTest->new(redis => 0, workers => 2, level => 'info',
    not_under => ['valgrind']);
my $c = $t->{redis} = ApikeyCluster->new;
my $mark = 0;


sub name { return "apikey:key:$_[0]{id}" }
sub status { return FleetTest::status($t, $_[0]) }


# A key whose record is at that node.

sub key_at {
    my ($node) = @_;

    for (1 .. 1000) {
        my $key = make_key();

        next unless $c->node_of(name($key)) == $node;
        $node->command('HSET', name($key), $t->record($key->{key}));
        return $key;
    }
}


# What the nodes answered with an error of that name.

sub errors {
    my ($code) = @_;

    my $n = 0;

    for my $node (grep { $_->{pid} } $c->nodes) {
        $n += $1 if $node->command('INFO', 'errorstats')
            =~ /^errorstat_$code:count=(\d+)/m;
    }

    return $n;
}


$t->http(FleetTest::conf())->start;

my @masters = $c->masters;
my @cached = FleetTest::keys($t, 60);
my $monitor = RedisMonitor->new($c);
my %used = map { $_ => 1 } map { $c->node_of(name($_))->{port} } @cached;

is(scalar keys %used, 3, 'keys at all nodes');
is(scalar(grep { status($_) != 200 } @cached), 0, 'all are found');
is(status(make_key()), 401, 'one that there is not');
ok(wait_for(sub { !grep {
    $t->with_key('/echo', $_)->header('X-Cache') ne 'hit' }
    @cached }, 5), 'all are cached');

my @key = map { key_at($_) } @masters;

FleetTest::changes($t, $key[$_], "node $_") for 0 .. 2;

# What the nodes were asked, but for what this test asks by their sockets;
# hincrby and hset are usage.

my %node = map { $_->{port} => 1 } $c->nodes;
my @seen = grep { $_->{client} !~ /^unix:/
    && !($_->{client} =~ /:(\d+)$/ && $node{$1}) } $monitor->take;
my %word = map { $_ => 1 } map { $_->{argv}[0] } @seen;

delete @word{qw(hgetall get pttl ping cluster client subscribe asking readonly
    replconf psync info hincrby hset)};
is(join(' ', sort keys %word), '', 'commands that any user may have');
is(scalar(grep { $_->{argv}[0] eq 'hgetall' && @{ $_->{argv} } != 2 } @seen),
    0, 'one key at a time');
is(scalar(grep { $_->{argv}[0] eq 'hgetall'
    && $_->{node} != $c->node_of($_->{argv}[1]) } @seen), 0,
    'each of the node that has it');
is(scalar(grep { "@{ $_->{argv} }" =~ /^cluster (?!slots)/i } @seen), 0,
    'of the cluster, only the map');
undef $monitor;
is(FleetTest::clients($_), 0, 'replicas are not asked') for $c->replicas;

# A slot moves: whoever asks the old node is told, and the change is seen.

# The map may be asked for just then, so this is tried more than once.

my $moved = errors('MOVED');

for my $try (1 .. 3) {
    for my $to (@masters[1, 0]) {
        $c->move($c->slot(name($key[0])), $to);
        is(status($key[0]), 200, "a slot has moved, $try");
        FleetTest::changes($t, $key[0], "a slot has moved, $try");
    }
}

cmp_ok(errors('MOVED'), '>', $moved, 'a node said so');

# A slot is being moved: what is there already, what is not, what never was.

my $slot = $c->slot(name($key[0]));

$c->begin_move($slot, $masters[1]);
FleetTest::changes($t, $key[0], 'a slot begins to move');
is($c->move_keys($slot, $masters[1]), 1, 'the key has moved');

my $asked = errors('ASK');

is(status($key[0]), 200, 'the other node is asked');
cmp_ok(errors('ASK'), '>', $asked, 'for the first one said so');

# Changed there, it is noticed there.

$masters[1]->command('ASKING');
$masters[1]->command('HSET', name($key[0]), 'status', 'disabled');
ok(wait_for(sub { status($key[0]) == 401 }, 2), 'a change is seen');
$masters[1]->command('ASKING');
$masters[1]->command('HSET', name($key[0]), 'status', 'active');
ok(wait_for(sub { status($key[0]) == 200 }, 2), 'and its end');
$c->end_move($slot, $masters[1]);
is(status($key[0]), 200, 'after it');
FleetTest::changes($t, $key[0], 'after it');
$c->move($slot, $masters[0]);

# Many slots move under load.

$mark = $t->mark;

my $load = FleetTest::load($t, 8 + 6 * ApikeyTest::slow(), @cached);

$c->reshard($masters[0], $masters[1], 300);
$c->reshard($masters[1], $masters[0], 300);
FleetTest::harmless($load, 'resharding');
is($load->count(kind => 'fresh') - $load->count(kind => 'fresh',
    status => 200), 0, 'resharding, uncached keys feel nothing');
unlike($t->error_log($mark), qr/\[error\]/, 'resharding, no errors');

# Two nodes swap their roles.

my ($replica) = $c->replicas($masters[0]);

$load = FleetTest::load($t, 6 + 4 * ApikeyTest::slow(), @cached);
$c->failover($replica);
cmp_ok(FleetTest::harmless($load, 'a calm failover'), '<',
    1 * ApikeyTest::slow(), 'a calm failover, for a moment only');
FleetTest::changes($t, $key[0], 'a calm failover');
is($c->node_of(name($key[0])), $replica, 'another node has it');

# One connection of each worker is to a seed, which is asked for the map when
# no other node can be.

ok(wait_for(sub { FleetTest::clients($masters[0])
    == ($masters[0] == ($c->nodes)[0] ? 2 : 0) }, 15),
    'the old master is left') or diag($masters[0]->command(qw(CLIENT LIST)));

# A master dies.

$mark = $t->mark;
$load = FleetTest::load($t, 10 + 4 * ApikeyTest::slow(), @cached);

my $begin = time;

$c->kill_node($replica);
$c->wait_master_change(name($key[0]), $replica);

my $elected = time - $begin;

cmp_ok(FleetTest::harmless($load, 'killed'), '<',
    $elected + 1 * ApikeyTest::slow(), 'killed, until the other one serves');
FleetTest::changes($t, $key[0], 'killed');
ok(wait_for(sub {
    $t->with_key('/echo', $key[0])->header('X-Cache') eq 'hit' }, 5),
    'killed, the cache is trusted again');
is(FleetTest::counts($t, $mark, qr/redis is unavailable/), 2,
    'killed, a line in the log for each worker');
$c->rejoin($replica);

# A master freezes: its connections stay.  When it thaws, it is left alone.

my $frozen = $c->node_of(name($key[0]));

$load = FleetTest::load($t, 10 + 4 * ApikeyTest::slow(), @cached);
$begin = time;
$frozen->pause;

# Those that live would ask it too.

my ($witness) = grep { $_ != $frozen } $c->masters;

TestProc::wait_until(sub { $witness->command(qw(CLUSTER SLOTS))
    && !grep { $_->[2][1] == $frozen->{port} }
        @{ $witness->command(qw(CLUSTER SLOTS)) } }, 20, 'an election');
$elected = time - $begin;
cmp_ok(FleetTest::harmless($load, 'frozen'), '<',
    $elected + 2 * ApikeyTest::slow(), 'frozen, until the other one serves');
$frozen->resume;
$c->wait_ok;
FleetTest::changes($t, $key[0], 'thawed');

# nobody but the connection to the seed is left there

cmp_ok(FleetTest::clients($frozen), '<=', 2, 'thawed, it is left alone');
$c->failover($frozen);

# A node comes, gets slots, loses them and goes.

my $node = $c->add_node;
my $key;

$c->reshard($masters[0], $node, 200);
$key = key_at($node);
is(status($key), 200, 'a new node has a key');
FleetTest::changes($t, $key, 'a new node');
$c->reshard($node, $masters[0], 200);
is(status($key), 200, 'it has lost it');
FleetTest::changes($t, $key, 'it has lost it');
$mark = $t->mark;
$c->forget($node);
select undef, undef, undef, 1;
is(status($key), 200, 'it is gone');
is($t->with_key('/echo', $key)->header('X-Cache'), 'hit',
    'it is gone, and the cache is trusted');

# The one seed of the configuration dies after the map was known.

my ($seed) = $c->replicas;

$t->restart(FleetTest::conf($c->url($seed)));
is(status($key[0]), 200, 'a replica as the only seed');
$c->kill_node($seed);
$c->move($slot, $masters[1]);
is(status($key[0]), 200, 'no seed lives, the map is asked for elsewhere');
$c->move($slot, $masters[0]);
$c->rejoin($seed);

# Nobody serves a slot.

my ($cold) = FleetTest::keys($t, 1);
my @served = $c->nodes;

sub uncover {
    my ($how) = @_;

    $_->command('CONFIG', 'SET', 'cluster-require-full-coverage', $how)
        for @served;

    # What is on its way between nodes may still name its owner: not for long.

    my $state = $how eq 'yes' ? qr/state:fail/ : qr/slots_assigned:16383/;
    my $since = time;

    TestProc::wait_until(sub {
        for my $node ($c->masters) {
            if ($node->command('CLUSTER', 'INFO') !~ $state) {
                eval { $node->command('CLUSTER', 'DELSLOTS', $slot) };
                $since = time;
            }
        }

        return time - $since > 1;
    }, 20, 'a slot is missing');
}

sub cover {
    $masters[0]->command('CLUSTER', 'ADDSLOTS', $slot);
    $masters[0]->command('CLUSTER', 'BUMPEPOCH');
    $c->wait_ok;
}

is(status($key[2]), 200, 'before');
uncover('yes');
is(status($key[2]), 200, 'not whole, a cached key');
is(status($cold), 503, 'not whole, nothing else is served');
is(status(make_key()), 503, 'not whole, nothing is known of others');
cover();
ok(wait_for(sub { status($cold) == 200 }, 5), 'whole again');

my ($second) = grep { $c->slot(name($_)) != $slot } FleetTest::keys($t, 2);

ok(wait_for(sub { status($key[0]) == 200 }, 5), 'a key of that slot');
uncover('no');
is(status($second), 200, 'one slot is missing, others are served');
$begin = time;
is(status($key[0]), 200, 'one slot is missing, a cached key of it');
cmp_ok(time - $begin, '<', 1 * ApikeyTest::slow(), 'soon');
cover();

$t->done;
