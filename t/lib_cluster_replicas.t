#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own Redis Cluster, t/lib/ApikeyCluster.pm, with replicas,
# by TLS, with a password; and as the suite uses it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyCluster;
use ApikeyRedis;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $c = ApikeyCluster->new(tls => 1, password => 'pw',
    words => ' read=replica');

is($c->cli('SET', 'a', 1), 'OK', 'by TLS, with a password');
like($c->url, qr{^rediss://\S+\ cluster\ read=replica\ password_file=\S+
    \ ssl_trusted_certificate=\S+$}x, 'words of a store');

my $old = $c->node_of('a');
my ($replica) = $c->replicas($old);

is(scalar $c->replicas, 3, 'replicas');
is($old->command('WAIT', 1, 5000), 1, 'one follows');
like($replica->cli('GET', 'a'), qr/^MOVED/, 'a replica refuses');
$replica->command('READONLY');
is($replica->command('GET', 'a'), 1, 'unless it is told');

is($c->failover($replica), $replica, 'a calm failover');
is($c->node_of('a'), $replica, 'the replica has it now');
is(($c->replicas($replica))[0], $old, 'and the roles are swapped');
is($c->cli('SET', 'a', 2), 'OK', 'redis-cli knows');

$replica->command('SET', 'a', 3);
is($replica->command('WAIT', 1, 5000), 1, 'one follows');
$c->kill_node($replica);
is($c->wait_master_change('a', $replica), $old, 'a dead master is replaced');
is($c->cli('GET', 'a'), 3, 'with the data');
$c->rejoin($replica);
is(($c->replicas($old))[0], $replica, 'and comes back as a replica');

# MIGRATE knows passwords and TLS too

my ($to) = grep { $_ != $old } $c->masters;

$c->move($c->slot('a'), $to);
is($c->node_of('a'), $to, 'a slot has moved');
is($c->command('GET', 'a'), 3, 'with its key');

undef $c;


my $r = ApikeyRedis->new(store => 'cluster');

is($r->cli('SET', $_, $_), 'OK', "as a store of the suite, $_") for 'a', 'b';
is($r->dump =~ tr/\n//, 4, 'what it holds');
is($r->calls('set'), 2, 'the commands are counted');

my @ports = map { $_->{port} } $r->nodes;

$r->stop;
is($r->{pid}, 0, 'stopped');
$r->start;
is_deeply([ map { $_->{port} } $r->nodes ], \@ports, 'the ports are kept');
is($r->dump, '', 'the data is not');
is($r->command('SET', 'b', 1), 'OK', 'it serves again');

done_testing();
