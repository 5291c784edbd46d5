#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for t/lib/RedisMonitor.pm: what servers were asked.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyCluster;
use ApikeyRedis;
use RedisMonitor;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $r = ApikeyRedis->new(store => 'tcp');
my $m = RedisMonitor->new($r);
my $odd = "\"\\\n\r\t\a\b\0\xff '[x] end";

$r->command('SET', 'a', $odd);
$r->cli('-n', 3, 'GET', 'a');

my @seen = grep { $_->{argv}[0] =~ /^[gs]et$/ } $m->take;

is(scalar @seen, 2, 'two commands');
is_deeply($seen[0]{argv}, [ 'set', 'a', $odd ], 'byte for byte');
is_deeply($seen[1]{argv}, [ 'get', 'a' ], 'the other');
is($seen[1]{db}, 3, 'its database');
cmp_ok(abs($seen[0]{time} - time), '<', 60, 'its time');
like($seen[0]{client}, qr/^unix:/, 'its client');

$r->command('GET', 'b') for 1 .. 2000;
is_deeply([ $m->argv('get') ], [ ([ 'get', 'b' ]) x 2000 ],
    'all since then, and not more');
is_deeply([ $m->argv('get') ], [], 'nothing more');

$r->command('GET', 'c');
like($m->text, qr/ \[0 unix:\S+\] "GET" "c"$/m, 'as text');


# Several servers.

my $c = ApikeyCluster->new(replicas => 0);

$m = RedisMonitor->new($c);
$c->command('GET', $_) for 'a', 'b';

my %on = map { $_->{argv}[1] => $_->{node} } grep { $_->{argv}[0] eq 'get' }
    $m->take;

is($on{$_}, $c->node_of($_), "who was asked for $_") for 'a', 'b';

done_testing();
