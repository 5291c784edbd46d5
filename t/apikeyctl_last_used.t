#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what apikeyctl shows of the usage of keys.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

my $dir = File::Temp->newdir(TMPDIR => 1);
my $redis = ApikeyRedis->new(acl => ['user default on nopass ~* &* +@all',
    'user old on >password ~apikey:* +@all']);
my $old = $redis->url . " user=old password_file=$dir/password";

open my $fh, '>', "$dir/password" or die;
print $fh "password\n";
close $fh;
chmod 0600, "$dir/password";

delete $ENV{APIKEY_KEYRING};
$ENV{APIKEY_STORE} = $redis->url;

my $day = 86400;
my $now = time;
my ($r, $d);


sub create {
    my ($owner, $created, @usage) = @_;

    my $id = ctl_json(['key', 'create', '--owner', $owner])->{id};

    $redis->cli('HSET', "apikey:key:$id", 'created', $created);
    $redis->cli('HSET', "apikey-usage:$id", @usage) if @usage;

    return $id;
}


my $used = create('alice', $now - 400 * $day, 'requests', 1234, 'last_used',
    $now - 5);
my $never = create('bob', $now - 400 * $day);
my $long = create('carol', $now - 400 * $day, 'requests', 1, 'last_used',
    $now - 91 * $day);
my $new = create('dora', $now - $day);
my $bad = create('eve', $now - 400 * $day);

$redis->cli('SET', "apikey-usage:$bad", 'text');

# in JSON

my %by = map { $_->{id} => $_ } @{ ctl_json(['key', 'list']) };

is($by{$used}{last_used}, $now - 5, 'list, last used');
is($by{$used}{requests}, 1234, 'list, requests');
ok(exists $by{$never}{last_used}, 'list, never used');
is($by{$never}{last_used}, undef, 'list, never used, null');
is($by{$never}{requests}, 0, 'list, never used, no requests');
is($by{$bad}{$_}, undef, "list, damaged, $_") for qw(last_used requests);

$d = ctl_json(['key', 'show', $used]);
is_deeply([ @{$d}{qw(last_used requests)} ], [ $now - 5, 1234 ], 'show');
$d = ctl_json(['key', 'show', $never]);
is_deeply([ @{$d}{qw(last_used requests)} ], [ undef, 0 ], 'show, never used');
ok(!exists ctl_json(['key', 'create', '--owner', 'x'])->{requests},
    'create tells nothing of it');

# for people

my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;

$r = ctl(['key', 'list']);
is($r->{status}, 0, 'a table');
is($r->{err}, '', 'without complaints');
like($r->{out}, qr/ EXPIRES +LAST USED +REQUESTS$/m, 'its columns');
like($r->{out}, qr/^$used .* never +$time +1234$/m, 'used');
like($r->{out}, qr/^$never .* never +never +0$/m, 'never used');
like($r->{out}, qr/^$bad .* never +- +-$/m, 'nobody knows');

$r = ctl(['key', 'show', $used]);
like($r->{out}, qr/^last used +$time$/m, 'show, last used');
like($r->{out}, qr/^requests +1234$/m, 'show, requests');
like(ctl(['key', 'show', $never])->{out}, qr/^last used +never$/m,
    'show, never used');

# what is not used

$redis->cli('DEL', "apikey-usage:$bad");
$redis->cli('HSET', 'apikey:key:damaged', 'owner', 'mallory');


sub unused {
    return join ' ', map { $_->{id} }
        @{ ctl_json(['key', 'list', '--unused', @_]) };
}


is(unused('90d'), "$never $long $bad", 'not used for 90 days');
is(unused('92d'), "$never $bad", 'not used for 92 days');
is(unused('90d', '--owner', 'carol'), $long, 'of an owner');
is(unused('0'), join(' ', $used, $never, $long, $new, $bad,
    map { $_->{id} } @{ ctl_json(['key', 'list', '--owner', 'x']) }),
    'for no time at all');
like(ctl(['key', 'list', '--unused', '90d'])->{out}, qr/^$long /m, 'a table');

for my $span ('soon', '', '-1d', '2027-01-31') {
    $r = ctl(['key', 'list', '--unused', $span]);
    is($r->{status}, 2, "--unused '$span'");
    like($r->{err}, qr/^apikeyctl: --unused is no span/, 'says why');
}

is(ctl(['key', 'show', '--unused', '1d', $used])->{status}, 2,
    'no option of show');

# a rotated key keeps its usage, the new one has none of it

$d = ctl_json(['key', 'rotate', $used]);
is(ctl_json(['key', 'show', $used])->{requests}, 1234, 'rotated');
is(ctl_json(['key', 'show', $d->{id}])->{requests}, 0, 'its successor');

# where it may not be read the records are shown all the same

for my $args (['key', 'list'], ['key', 'show', $never]) {
    $r = ctl([@$args, '--store', $old]);
    is($r->{status}, 0, "@$args without the right");
    like($r->{err}, qr/the user lacks the right to read its names/, 'is told');
    is(() = $r->{err} =~ /lacks/g, 1, 'once');
}

like($r->{out}, qr/^last used +-$/m, 'as unknown');
$r = ctl(['key', 'list', '--unused', '90d', '--store', $old]);
is($r->{status}, 3, 'what is unused nobody can say');
is($r->{out}, '', 'so nothing is listed');

$r = ctl(['key', 'delete', $never, '--store', $old]);
is($r->{status}, 0, 'deleted without the right');
like($r->{err}, qr/of its usage, apikey-usage:$never, could not be/, 'told');

# many: reads are pipelined, and each finds its own key

my $hash = $redis->cli('HGET', "apikey:key:$used", 'hash');

for my $i (1 .. 1000) {
    my $id = sprintf 'many%08d', $i;

    $redis->send('HSET', "apikey:key:$id", 'hash', $hash, 'owner', 'many',
        'status', 'active', 'created', $i);
    $redis->send('HSET', "apikey-usage:$id", 'requests', $i, 'last_used',
        2 * $i);
}

$redis->reply for 1 .. 2000;

$d = ctl_json(['key', 'list', '--owner', 'many']);
is(scalar @$d, 1000, 'many keys');
is(scalar(grep { $_->{requests} != $_->{created}
    || $_->{last_used} != 2 * $_->{created} } @$d), 0, 'each has its own');

# a prefix

my @store = ('--store', $redis->url . ' prefix=one.two:');

$d = ctl_json([@store, 'key', 'create', '--owner', 'pia']);
$redis->cli('HSET', "one.two-usage:$d->{id}", 'requests', 3);
is(ctl_json([@store, 'key', 'show', $d->{id}])->{requests}, 3, 'a prefix');

# the embedded store has none

@store = ('--store', "file:$dir/keys");
$d = ctl_json([@store, 'key', 'create', '--owner', 'pia']);

my $file = ctl_json([@store, 'key', 'list'])->[0];

is_deeply([ @{$file}{qw(last_used requests)} ], [ undef, undef ], 'a file');
like(ctl([@store, 'key', 'list'])->{out}, qr/^$d->{id} .* never +- +-$/m,
    'a file, a table');
$r = ctl([@store, 'key', 'list', '--unused', '90d']);
is($r->{status}, 2, 'a file, --unused');
like($r->{err}, qr/--unused needs Redis/, 'says why');
$r = ctl([@store, 'key', 'delete', $d->{id}]);
is("$r->{status}$r->{err}", '0', 'a file, delete');

done_testing();
