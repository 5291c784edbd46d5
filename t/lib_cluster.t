#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own Redis Cluster, t/lib/ApikeyCluster.pm, seen by
# redis-cli: slots that move, nodes that come and go.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyCluster;
use ApikeyRedis;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $c = ApikeyCluster->new(replicas => 0);

like($c->cli('CLUSTER', 'INFO'), qr/^cluster_state:ok/, 'the cluster is well');
is(scalar $c->masters, 3, 'three masters');
like($c->url, qr{^redis://(?:127\.0\.0\.1:\d+[, ]){3}cluster$},
    'words of a store');

for my $key ('a', 'apikey:key:123456789012', 'x{tag}y', '{}z', '123') {
    is($c->slot($key), $c->cli('CLUSTER', 'KEYSLOT', $key), "slot of $key");
}

my ($from, $to) = map { $c->node_of($_) } 'a', 'b';

isnt($from, $to, 'two nodes');
is($c->cli('SET', 'a', 1), 'OK', 'redis-cli follows');
is($from->cli('GET', 'a'), 1, 'the node has it');
like($to->cli('GET', 'a'), qr/^MOVED 15495 127\.0\.0\.1:$from->{port}/,
    'the other does not');

is($c->command('SET', "{a}$_", $_), 'OK', "another key, $_") for 1 .. 4;
$c->command('SET', $_, $_) for 'b' .. 'f';
$c->send('GET', $_) for 'b' .. 'f';
is(join('', map { $c->reply } 1 .. 5), 'bcdef', 'many on their way');
is(scalar(() = $c->dump =~ /^[b-f]\n/mg), 10, 'what all hold');
is($c->node_of($c->key_on($to, 'k%d')), $to, 'a key of a node');


# By hand, with a pause in the middle.

$c->begin_move($c->slot('a'), $to);
is($c->move_keys($c->slot('a'), $to, 3), 3, 'three keys are moved');

my ($gone) = grep { $from->cli('GET', $_) =~ /^ASK/ } 'a', map { "{a}$_" }
    1 .. 4;
my ($here) = grep { $from->cli('GET', $_) =~ /^\d/ } 'a', map { "{a}$_" }
    1 .. 4;

like($from->cli('GET', $gone), qr/^ASK 15495 127\.0\.0\.1:$to->{port}/, 'ASK');
like($to->cli('GET', $gone), qr/^MOVED/, 'MOVED without ASKING');
like($c->cli('GET', $gone), qr/^\d$/, 'redis-cli follows there');
like($from->cli('GET', $here), qr/^\d$/, 'the others are where they were');

$c->end_move($c->slot('a'), $to);
is($to->cli('GET', $_ ? "{a}$_" : 'a'), $_ || 1, "moved, $_") for 0 .. 4;
is($c->node_of('a'), $to, 'the slot has moved');
is($c->command('GET', 'a'), 1, "a connection of the test's own follows");


# A node whose address is that of a proxy.

my $proxy = $c->behind($from);
my $there = $c->key_on($from, 'k%d');

like($to->cli('GET', $there), qr/^MOVED \d+ 127\.0\.0\.1:$proxy->{port}$/,
    'the address of a proxy');
is($to->cli_tcp('-c', 'SET', $there, 1), 'OK', 'redis-cli follows there');
cmp_ok($proxy->stats->{connections}, '>=', 1, 'through it');


# A node that comes, gets slots by redis-cli, and goes.

my $new = $c->add_node;

is(scalar $c->masters, 4, 'a fourth master');
$c->reshard($to, $new, 20);
is($new->command('CLUSTER', 'NODES') =~ /myself.* (\d+)-(\d+)$/m && $2 - $1, 19,
    'it has slots');

my $key = $c->key_on($new, 'k%d');

is($c->cli('SET', $key, 'x'), 'OK', 'and a key');
$c->reshard($new, $to, 20);
is($to->cli('GET', $key), 'x', 'that moves back');
$c->forget($new);
is(scalar $c->masters, 3, 'three masters');
unlike($to->cli('CLUSTER', 'NODES'), qr/:$new->{port}@/, 'it is forgotten');

done_testing();
