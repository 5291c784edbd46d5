#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own sentinels, t/lib/ApikeySentinel.pm, with a proxy
# before each server.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyRedis;
use ApikeySentinel;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $s = ApikeySentinel->new(proxied => 1);
my $old = $s->master;

is($s->ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')->[1],
    $old->{proxy}{port}, 'the port of a proxy');
$old->{proxy}->mode('swallow');
isnt($s->wait_master_change($old), $old, 'a master that is not heard');
$old->{proxy}->mode('pass');
$s->wait_replicas(1, 30);
is($old->info('replication', 'role'), 'slave', 'it follows when it is');

done_testing();
