#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl and a store by TLS: who is trusted, under which name,
# with which certificate of its own, and servers that do not answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use ApikeyCluster;
use ApikeyCtl;
use ApikeyRedis;
use ApikeySentinel;
use FaultProxy;
use RedisNode;
use RedisTLS;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};

my $password = 'pass-of-the-app-0123456789';
my $redis = ApikeyRedis->new(store => 'tcp', tls => 1, clients => 'optional',
    acl => ['user default on nopass ~* &* +@all',
        "user app on >$password ~* &* +\@all"]);
my $tls = $redis->tls;
my $port = $redis->{tls_port};
my $ca = 'ssl_trusted_certificate=' . $tls->ca;
my $other = 'ssl_trusted_certificate=' . $tls->other_ca;

open my $fh, '>', "$redis->{dir}/password" or die "password: $!\n";
print $fh "$password\n";
close $fh;
chmod 0600, "$redis->{dir}/password";

my $app = "app\@127.0.0.1:$port password_file=$redis->{dir}/password";

$tls->issue('named', san => 'DNS:redis.test');
$tls->issue('old', san => 'IP:127.0.0.1', days => -1);
$tls->issue('foreign', san => 'IP:127.0.0.1', ca => 'other-ca');
$tls->issue('wild', san => 'DNS:*.redis.test');

sub server {
    my ($cert, @args) = @_;

    return RedisNode->new(tls => $tls, cert => $cert, clients => 'no',
        args => \@args);
}

my %at = map { $_ => server($_) }
    qw(named old foreign wild);
my $strict = RedisNode->new(tls => $tls, clients => 'yes');
my $modern = server('server', '--tls-protocols', 'TLSv1.3');
my $former = server('server', '--tls-protocols', 'TLSv1.2', '--tls-ciphers',
    'ECDHE-ECDSA-AES128-GCM-SHA256');

my $own = 'ssl_certificate=' . $tls->cert('client') . ' ssl_certificate_key='
    . $tls->key('client');
my $stranger = 'ssl_certificate=' . $tls->cert('stranger')
    . ' ssl_certificate_key=' . $tls->key('stranger');

sub at {
    my ($node, @words) = @_;

    return join ' ', "rediss://127.0.0.1:$node->{tls_port}", @words;
}

my ($r, $d);

for my $case (
    ['an address', "rediss://127.0.0.1:$port $ca"],
    ['a user', "rediss://$app $ca"],
    ['a database', "rediss://127.0.0.1:$port/3 $ca"],
    ['a name', "rediss://localhost:$port $ca"],
    ['no verification', "rediss://127.0.0.1:$port ssl_verify=off"],
    ['verification of nothing', at($at{old}, 'ssl_verify=off')],
    ['another name', at($at{named}, $ca, 'ssl_name=redis.test')],
    ['an asterisk', at($at{wild}, $ca, 'ssl_name=a.redis.test')],
    ['another authority', at($at{foreign}, $other)],
    ['our certificate', at($strict, $ca, $own)],
    ['TLS 1.3', at($modern, $ca, 'ssl_protocols=TLSv1.3')],
    ['TLS 1.2', at($former, $ca, 'ssl_protocols=TLSv1.2')],
    ['a cipher', at($former, $ca,
        'ssl_ciphers=ECDHE-ECDSA-AES128-GCM-SHA256')],
) {
    my ($name, $store) = @$case;

    next if $store =~ /localhost/ && !gethostbyname('localhost');

    $d = ctl_json(['--store', $store, 'key', 'create', '--owner', 'a']);
    is(ctl_json(['--store', $store, 'key', 'show', $d->{id}])->{owner}, 'a',
        $name);
}

# more than a record of TLS, in both directions

{
    my @store = ('--store', "rediss://127.0.0.1:$port $ca");
    my $rows = join '', map { sprintf "%s%032x\n", 'x' x 400, $_ } 1 .. 600;

    ctl_json(['--keyring', "$redis->{dir}/keyring", 'init']);
    $d = ctl_json([@store, '--keyring', "$redis->{dir}/keyring", 'key',
        'import', '--owner', 'many'], in => $rows);
    is($d->{imported}, 600, 'many at once');
    is(scalar @{ ctl_json([@store, 'key', 'list', '--owner', 'many']) }, 600,
        'listed');
}

for my $case (
    ['the system trusts nobody here', "rediss://$app",
        qr/certificate is refused.*ssl_trusted_certificate/],
    ['a stranger', at($at{foreign}, $ca), qr/certificate is refused/],
    ['another authority trusted', "rediss://$app $other",
        qr/certificate is refused/],
    ['expired', at($at{old}, $ca), qr/certificate is refused.*expired/],
    ['an address that it has not', at($at{named}, $ca),
        qr/certificate is refused.*(?:address|mismatch)/],
    ['a name that it has not', "rediss://$app $ca ssl_name=other.test",
        qr/certificate is refused.*mismatch/],
    ['an address as the name', "rediss://$app $ca ssl_name=127.0.0.2",
        qr/certificate is refused.*mismatch/],
    ['an asterisk too high', at($at{wild}, $ca, 'ssl_name=a.b.redis.test'),
        qr/certificate is refused.*mismatch/],
    ['no certificate of ours', at($strict, $ca), qr/TLS|closed|reset|pipe/],
    ['one of a stranger', at($strict, $ca, $stranger),
        qr/TLS|closed|reset|pipe/],
    ['too old a protocol', at($modern, $ca, 'ssl_protocols=TLSv1.2'),
        qr/TLS/],
    ['too new a protocol', at($former, $ca, 'ssl_protocols=TLSv1.3'),
        qr/TLS/],
    ['no common cipher', at($former, $ca,
        'ssl_ciphers=ECDHE-ECDSA-AES256-GCM-SHA384 ssl_protocols=TLSv1.2'),
        qr/TLS/],
    ['no such cipher', "rediss://$app $ca ssl_ciphers=NONSENSE",
        qr/ssl_ciphers "NONSENSE"/],
    ['no such file', "rediss://$app ssl_trusted_certificate=/no/where.pem",
        qr{ssl_trusted_certificate "/no/where.pem"}],
    ['no certificate in it', "rediss://$app "
        . "ssl_trusted_certificate=$redis->{dir}/password",
        qr/ssl_trusted_certificate ".*password"/],
    ['a key of another', at($strict, $ca, 'ssl_certificate='
        . $tls->cert('client') . ' ssl_certificate_key='
        . $tls->key('stranger')), qr/ssl_certificate_key.*mismatch/],
    ['a port without TLS', "rediss://127.0.0.1:$redis->{port} $ca",
        qr/speak TLS/],
    ['a port with TLS', "redis://127.0.0.1:$port connect_timeout=500ms",
        qr/closed|in time|reset/],
) {
    my ($name, $store, $like) = @$case;
    my $start = Time::HiRes::time();

    $r = ctl(['--store', $store, 'key', 'create', '--owner', 'a']);
    is($r->{status}, 3, "$name: exit status");
    like($r->{err}, qr/^apikeyctl: the store/, "$name: who");
    like($r->{err}, $like, "$name: why");
    unlike($r->{err}, qr/pass-of/, "$name: no secret");
    is($r->{out}, '', "$name: nothing is told as done");
    cmp_ok(Time::HiRes::time() - $start, '<', 3, "$name: in time");
}

# sentinels and a cluster, whose servers are known by their addresses

for my $fleet (ApikeySentinel->new(tls => 1, clients => 'yes'),
    ApikeyCluster->new(tls => 1, clients => 'yes', replicas => 0))
{
    my @store = ('--store', $fleet->url);
    my $kind = ref $fleet;

    like($store[1], qr/^rediss:.*(?:sentinel=|cluster)/, "$kind: words");
    ctl_json([@store, 'key', 'create', '--owner', 'a']) for 1 .. 6;
    is(scalar @{ ctl_json([@store, 'key', 'list']) }, 6, "$kind: by TLS");

    $store[1] =~ s/ssl_trusted_certificate=\S+/$other/;

    my $start = Time::HiRes::time();

    $r = ctl([@store, 'key', 'list']);
    is($r->{status}, 3, "$kind: strangers");
    like($r->{err}, qr/certificate is refused/, "$kind: says so");
    cmp_ok(Time::HiRes::time() - $start, '<', 5, "$kind: in time");
}

# a key with a password is not asked for it

{
    my $key = "$redis->{dir}/locked.key";

    system('sh', '-c', 'exec openssl ec "$@" 2> /dev/null', 'sh', '-in',
        $tls->key('client'), '-aes128', '-passout', 'pass:abcd', '-out', $key)
        == 0 or die "openssl\n";
    $r = ctl(['--store', at($strict, $ca, 'ssl_certificate='
        . $tls->cert('client'), "ssl_certificate_key=$key"), 'key', 'list']);
    is($r->{status}, 3, 'a key with a password');
    like($r->{err}, qr/ssl_certificate_key/, 'says so');
}

# a wrong password comes to a server that is trusted, and is not told

open $fh, '>', "$redis->{dir}/wrong" or die "wrong: $!\n";
print $fh "wrong-password-0\n";
close $fh;
chmod 0600, "$redis->{dir}/wrong";

$r = ctl(['--store', "rediss://app\@127.0.0.1:$port $ca "
    . "password_file=$redis->{dir}/wrong", 'key', 'list']);
is($r->{status}, 3, 'a wrong password');
like($r->{err}, qr/WRONGPASS.*password_file= is wrong/, 'says so');
unlike($r->{err}, qr/wrong-pass/, 'but not which');

# harm on the way

for my $case (['mute'], ['stall', bytes => 20], ['close', bytes => 300],
    ['reset', bytes => 3000], ['garbage', text => "\0\xff" x 200],
    ['endless', head => "\x16\x03\x03\x40\x00", rate => 0, seconds => 3])
{
    my $proxy = FaultProxy->new(to => $port);
    my $start = Time::HiRes::time();

    $proxy->mode(@$case);
    $r = ctl(['--store', "rediss://127.0.0.1:$proxy->{port} $ca timeout=400ms "
        . 'connect_timeout=400ms', 'key', 'list']);
    is($r->{status}, 3, "harm, $case->[0]: exit status");
    is($r->{signal}, 0, "harm, $case->[0]: no crash");
    is($r->{out}, '', "harm, $case->[0]: nothing is told");
    cmp_ok(Time::HiRes::time() - $start, '<', 5, "harm, $case->[0]: in time");
}

for my $case (['delay', seconds => 0.01], ['bytes', seconds => 0.0005]) {
    my $proxy = FaultProxy->new(to => $port);

    $proxy->mode(@$case);
    $r = ctl(['--store', "rediss://127.0.0.1:$proxy->{port} $ca timeout=5s "
        . 'connect_timeout=5s', 'key', 'create', '--owner', 'slow']);
    is($r->{status}, 0, "slow, $case->[0]") or diag($r->{err});
}

# frozen

$redis->pause;
$r = ctl(['--store', "rediss://127.0.0.1:$port $ca connect_timeout=300ms",
    'key', 'list']);
$redis->resume;
is($r->{status}, 3, 'frozen');
like($r->{err}, qr/no answer in time/, 'says so');

done_testing();
