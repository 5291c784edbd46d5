#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own sentinels, t/lib/ApikeySentinel.pm, seen by
# redis-cli.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyRedis;
use ApikeySentinel;
use TestProc;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $s = ApikeySentinel->new(replicas => 2);

my $old = $s->master;
my ($sentinel) = $s->sentinels;

is($sentinel->cli('SENTINEL', 'CKQUORUM', 'mymaster'),
    'OK 3 usable Sentinels. Quorum and failover authorization can be reached',
    'the sentinels see each other');
is(scalar(() = $sentinel->cli('SENTINEL', 'REPLICAS', 'mymaster')
    =~ /^name$/mg), 2, 'and the replicas');
like($s->url, qr{^redis://(?:127\.0\.0\.1:\d+[, ]){3}sentinel=mymaster$},
    'words of a store');

is($s->command('SET', 'a', 'b'), 'OK', 'a key for the master');
is($s->command('WAIT', 2, 5000), 2, 'and for the replicas');
is($_->cli('GET', 'a'), 'b', 'a replica has it') for $s->replicas;

my $new = $s->failover;

isnt($new, $old, 'another master');
is($new->cli('ROLE') =~ /^(\w+)/ && $1, 'master', 'it knows');
is($old->cli('ROLE') =~ /^(\w+)/ && $1, 'slave', 'the old one does too');
is($s->cli('SET', 'a', 'c'), 'OK', "redis-cli finds it");
$s->command('SET', 'a', 'd');
is($s->command('WAIT', 2, 5000), 2, 'all follow it');

my $dead = $s->kill_master;

is($dead, $new, 'the master is killed');
$new = $s->wait_master_change($dead);
isnt($new, $dead, 'another master');
is($s->cli('GET', 'a'), 'd', 'with the data');
is(scalar $s->replicas, 1, 'one replica is left');
$s->rejoin($dead);
is($dead->cli('GET', 'a'), 'd', 'a killed node follows');

done_testing();
