#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what limits a key: options of key create, and key rotate, which
# takes them over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;

my $dir = File::Temp->newdir('apikey-rotate-XXXXXX', TMPDIR => 1);
my @stores = ("file:$dir/store");
my $redis;

if (ApikeyRedis::available()) {
    $redis = ApikeyRedis->new;
    push @stores, $redis->url;
}

delete $ENV{APIKEY_KEYRING};

my ($r, $d, $new, $old);

for my $store (@stores) {
    my ($kind) = $store =~ /^(\w+)/;

    $ENV{APIKEY_STORE} = $store;

    # create

    $old = ctl_json(['key', 'create', '--owner', 'alice', '--name', 'app',
        '--expires', '30d', '--scope', 'chat', '--scope', 'embed,files',
        '--route', 'GET|POST:/v1/chat', '--route', '/v1/models',
        '--ip', '10.0.0.0/8', '--ip', '2001:db8::/32',
        '--rate', '10r/s burst=20', '--meta', 'team=red', '--meta',
        'note=a=b']);
    is($old->{scopes}, 'chat,embed,files', "$kind, scopes");
    is($old->{routes}, 'GET|POST:/v1/chat,/v1/models', "$kind, routes");
    is($old->{ips}, '10.0.0.0/8,2001:db8::/32', "$kind, addresses");
    is($old->{rate}, '10r/s burst=20', "$kind, rate");
    is_deeply($old->{meta}, { team => 'red', note => 'a=b' }, "$kind, meta");
    like(ctl(['key', 'show', $old->{id}])->{out}, qr/^meta\.team +red$/m,
        "$kind, meta, for people");
    like(ctl(['key', 'create', '--owner', 'alice', '--meta', 'team=red'])
        ->{out}, qr/^meta\.team  red\nkey        sk-/m,
        "$kind, meta, for people who create a key");

    $d = ctl_json(['key', 'show', $old->{id}]);
    is($d->{$_}, $old->{$_}, "$kind, show, $_")
        for qw(scopes routes ips rate owner name expires);

    like(ctl(['key', 'show', $old->{id}])->{out}, qr/^routes +GET\|POST/m,
        "$kind, show in words");

    for (['--scope', 'a"b'], ['--scope', ''], ['--route', 'v1'],
        ['--route', 'get:/v1'], ['--route', '/v1/../x'], ['--route', '/a*'],
        ['--ip', '10.0.0.1/8'], ['--ip', '300.0.0.1'], ['--ip', '::/129'],
        ['--rate', '10'], ['--rate', '0r/s'], ['--rate', '1r/s burst=0'],
        ['--meta', 'x'], ['--meta', '=x'], ['--meta', "a=b\nc"])
    {
        my $n = @{ ctl_json(['key', 'list']) };

        $r = ctl(['key', 'create', '--owner', 'alice', @$_]);
        is($r->{status}, 2, "$kind, @$_");
        like($r->{err}, qr/^apikeyctl: .{10}/, "$kind, @$_, a reason");
        is(@{ ctl_json(['key', 'list']) }, $n, "$kind, @$_, no key");
    }

    # rotate

    $new = ctl_json(['key', 'rotate', $old->{id}, '--grace', '1h']);
    isnt($new->{id}, $old->{id}, "$kind, another key");
    like($new->{key}, qr/^sk-$new->{id}/, "$kind, its key");

    for (qw(owner name scopes routes ips rate)) {
        is($new->{$_}, $old->{$_}, "$kind, the same $_");
    }

    is_deeply($new->{meta}, $old->{meta}, "$kind, the same meta");
    is($new->{expires}, $old->{expires}, "$kind, the same end");

    $d = ctl_json(['key', 'show', $old->{id}]);
    is($d->{replaced_by}, $new->{id}, "$kind, the old one says by whom");
    cmp_ok(abs($d->{expires} - time - 3600), '<', 10, "$kind, its grace");
    is($d->{status}, 'active', "$kind, it is active until then");

    $r = ctl(['key', 'rotate', $old->{id}]);
    is($r->{status}, 1, "$kind, not twice");
    like($r->{err}, qr/$new->{id}/, "$kind, not twice, the successor");

    # an end that is sooner stays

    $old = ctl_json(['key', 'create', '--owner', 'bob', '--expires', '2h']);
    $new = ctl_json(['key', 'rotate', $old->{id}, '--grace', '7d']);
    is(ctl_json(['key', 'show', $old->{id}])->{expires}, $old->{expires},
        "$kind, an end that is sooner stays");

    # no grace at all

    $old = ctl_json(['key', 'create', '--owner', 'bob']);
    $new = ctl_json(['key', 'rotate', $old->{id}, '--grace', '0',
        '--brand', 'acme']);
    like($new->{key}, qr/^sk-acme-/, "$kind, a brand");
    cmp_ok(ctl_json(['key', 'show', $old->{id}])->{expires}, '<=', time,
        "$kind, no grace");

    # what cannot be printed changes nothing

    SKIP: {
        skip 'no /dev/full', 4 unless -e '/dev/full';

        $old = ctl_json(['key', 'create', '--owner', 'full']);
        $r = ctl(['key', 'rotate', $old->{id}, '--grace', '0'],
            out => '/dev/full');
        is($r->{status}, 1, "$kind, a full disk");
        $d = ctl_json(['key', 'list', '--owner', 'full']);
        is(scalar @$d, 1, "$kind, a full disk, no successor");
        is($d->[0]{expires}, 0, "$kind, a full disk, the old one lives");
        is(ctl(['key', 'rotate', $old->{id}])->{status}, 0,
            "$kind, a full disk, again");
    }

    # what has ended has no successor

    for (['revoke', 'create another'], ['disable', 'enable it']) {
        $old = ctl_json(['key', 'create', '--owner', 'bob']);
        ctl(['key', $_->[0], $old->{id}]);
        $r = ctl(['key', 'rotate', $old->{id}]);
        is($r->{status}, 1, "$kind, not after $_->[0]");
        like($r->{err}, qr/$_->[1]/, "$kind, not after $_->[0], what to do");
    }

    is(ctl(['key', 'rotate', 'nobody1'])->{status}, 1, "$kind, no such key");
    is(ctl(['key', 'rotate', $new->{id}, '--grace', 'x'])->{status}, 2,
        "$kind, a bad grace");
}

done_testing();
