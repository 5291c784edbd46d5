#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own sentinels, t/lib/ApikeySentinel.pm, by TLS, with
# passwords, and with a master that hangs.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyRedis;
use ApikeySentinel;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $s = ApikeySentinel->new(tls => 1, password => 'pw', clients => 'yes',
    sentinel_password => 'other');

my ($sentinel) = $s->sentinels;

like($sentinel->cli_tcp('SENTINEL', 'CKQUORUM', 'mymaster'), qr/^OK 3/,
    'sentinels by TLS');
is($s->master->cli_tcp('PING'), 'PONG', 'the master by TLS');
like($s->url, qr{^rediss://\S+\ sentinel=mymaster\ password_file=\S+
    \ sentinel_password_file=\S+\ ssl_trusted_certificate=\S+
    \ ssl_certificate=\S+\ ssl_certificate_key=\S+$}x, 'words of a store');

$s->command('SET', 'a', 'b');
$s->command('WAIT', 1, 5000);

my $frozen = $s->freeze_master;
my $new = $s->wait_master_change($frozen);

isnt($new, $frozen, 'a master that hangs is replaced');
is($s->cli('GET', 'a'), 'b', 'the data is there');

$frozen->resume;
$s->wait_replicas(1, 30);
like($frozen->cli('ROLE'), qr/^slave/, 'it follows when it is back');


undef $s;


# As the suite uses it.

my $r = ApikeyRedis->new(store => 'sentinel');

is($r->cli('SET', 'a', 'b'), 'OK', 'as a store of the suite');
$r->send('GET', 'a');
is($r->reply, 'b', "a connection of the test's own");
is($r->dump, "a\nb\n", 'what it holds');

my $port = $r->{port};

ok(kill(0, $r->{pid}), 'its process');
$r->stop;
is($r->{pid}, 0, 'stopped');
$r->start;
is($r->{port}, $port, 'the port is kept');
is($r->cli('GET', 'a'), '', 'the data is not');

done_testing();
