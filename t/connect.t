#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for connections to Redis: passwords that change, names whose address
# changes, and what of TLS has to be right for one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use ApikeyTest;
use TestDNS;
use TestProc;

ApikeyRedis::needs_store('tcp');

my $slow = ApikeyTest::slow();
my $t = ApikeyTest->new(workers => 1, redis => 0, level => 'info');
my $r = ApikeyRedis->new(tls => 1, clients => 'optional', store => 'tcp');
my $tls = $r->tls;

$t->{redis} = $r;
$t->file('pw', "one-0Aa1Bb2Cc3\n", 0600);


sub conf {
    my ($store, $zone, $more) = @_;

    $zone //= 'ttl=10m negative_ttl=1s stale=20m';
    $more //= '';

    return <<"CONF";
    $more
    apikey_keyring %%KEYRING%%;
    apikey_store $store timeout=1s connect_timeout=1s;
    apikey_zone keys:1m $zone;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        add_header X-Cache \$apikey_cache always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
CONF
}


sub new_key {
    my $key = make_key();

    $r->command('HSET', "apikey:key:$key->{id}", $t->record($key->{key}));

    return $key;
}


sub status { return $t->with_key('/', $_[0] // new_key())->status }


# Passwords.

my @rights = ('on', '~apikey*', '&*', '+@all', '-@dangerous');

$r->command('ACL', 'SETUSER', 'app', @rights, '>one-0Aa1Bb2Cc3');
$t->http(conf('redis://app@127.0.0.1:%%REDIS%% password_file=%%DIR%%/pw'))
    ->start;
is(status(), 200, 'a password');

$r->command('ACL', 'SETUSER', 'app', 'resetpass', '>two-0Aa1Bb2Cc3');
is(status(), 200, 'another one: not of a connection that there is');

my $mark = $t->mark;

$r->command('CLIENT', 'KILL', 'USER', 'app');
ok(wait_for(sub { status() == 503 }), 'the old one is refused');
ok(wait_for(sub { $t->error_log($mark) =~ /WRONGPASS/ }),
    'the log says so');
$t->file('pw', "two-0Aa1Bb2Cc3\n", 0600);
ok(wait_for(sub { status() == 200 }, 10 * $slow), 'the new one is read');

$mark = $t->mark;
unlink "$t->{dir}/pw";
$r->command('CLIENT', 'KILL', 'USER', 'app');
ok(wait_for(sub { status() == 200 }, 10 * $slow),
    'without the file, the one that is known');

$r->command('ACL', 'SETUSER', 'app', 'resetpass', '>three-0Aa1Bb2Cc3');
$r->command('CLIENT', 'KILL', 'USER', 'app');
ok(wait_for(sub { $t->error_log($mark)
    =~ /the password that nginx started with is used on: / }, 10 * $slow),
    'the log says that it cannot be read');
is(status(), 503, 'without the file');
is(scalar(() = $t->error_log($mark) =~ /nginx started with is used/g), 1,
    'once');
$t->file('pw', "three-0Aa1Bb2Cc3\n", 0600);
ok(wait_for(sub { status() == 200 }, 10 * $slow), 'it is there again');

for my $word ('one', 'two', 'three') {
    unlike($t->error_log, qr/$word-0Aa1/, "no password in the log, $word");
}


# TLS.

$tls->issue('elsewhere', san => 'DNS:redis.test');
$tls->issue('expired', san => 'DNS:localhost,IP:127.0.0.1', days => -1);

my $port = $r->{tls_port};
my $ca = 'ssl_trusted_certificate=' . $r->ca;
my $client = 'ssl_certificate=' . $r->client_cert
    . ' ssl_certificate_key=' . $r->client_key;
my $stranger = 'ssl_certificate=' . $tls->cert('stranger')
    . ' ssl_certificate_key=' . $tls->key('stranger');


sub present {
    my ($name, $clients) = @_;

    $r->command('CONFIG', 'SET', 'tls-auth-clients', $clients // 'no');
    $r->command('CONFIG', 'SET', 'tls-cert-file', $tls->cert($name),
        'tls-key-file', $tls->key($name));
}


for (
    [ 'as it should be', 'server', '127.0.0.1', $ca, 200 ],
    [ 'by its name', 'server', 'localhost', $ca, 200 ],
    [ 'the wrong authority', 'server', '127.0.0.1',
        'ssl_trusted_certificate=' . $r->other_ca, 'certificate' ],
    [ 'that of the system', 'server', '127.0.0.1', '', 'certificate' ],
    [ 'the wrong name', 'elsewhere', 'localhost', $ca, 'ostname mismatch' ],
    [ 'the wrong address', 'elsewhere', '127.0.0.1', $ca,
        'IP address mismatch' ],
    [ 'ssl_name', 'elsewhere', '127.0.0.1', "$ca ssl_name=redis.test", 200 ],
    [ 'a wrong ssl_name', 'server', '127.0.0.1', "$ca ssl_name=redis.test",
        'ostname mismatch' ],
    [ 'expired', 'expired', '127.0.0.1', $ca, 'has expired' ],
    [ 'expired, ssl_verify=off', 'expired', '127.0.0.1', 'ssl_verify=off',
        200 ],
    [ 'another name, ssl_verify=off', 'elsewhere', '127.0.0.1',
        'ssl_verify=off', 200 ],
    [ 'TLS 1.2', 'server', '127.0.0.1', "$ca ssl_protocols=TLSv1.2", 200 ],
    [ 'TLS 1.3', 'server', '127.0.0.1', "$ca ssl_protocols=TLSv1.3", 200 ],
    [ 'a client', 'server', '127.0.0.1', "$ca $client", 200, 'yes' ],
    [ 'no client', 'server', '127.0.0.1', $ca, '', 'yes' ],
    [ 'a strange client', 'server', '127.0.0.1', "$ca $stranger", '', 'yes' ],
) {
    my ($name, $cert, $host, $options, $is, $clients) = @$_;

    present($cert, $clients);
    $mark = $t->mark;
    $t->restart(conf("rediss://$host:$port $options"));

    if ($is eq '200') {
        is(status(), 200, "$name, good");
        next;
    }

    ok(wait_for(sub { $t->error_log($mark)
        =~ /redis is unavailable: .*\Q$is/ }),
        "$name, the log says so")
        or diag($t->error_log($mark) =~ /.*\[error\].*/g);
    denied($t->with_key('/', new_key()), 503, 'auth_unavailable',
        "$name, refused");
    select undef, undef, undef, 0.5;
    cmp_ok(scalar(() = $t->error_log($mark) =~ /SSL_\w+\(\) failed/g), '<=', 2,
        "$name, the log does not go on about it")
        or diag($t->error_log($mark) =~ /.*SSL_\w+\(\) failed.*/g);
}

# The one and not the other.

present('server');
$r->command('CONFIG', 'SET', 'tls-protocols', 'TLSv1.3');
$mark = $t->mark;
$t->restart(conf("rediss://127.0.0.1:$port $ca ssl_protocols=TLSv1.2"));
ok(wait_for(sub { $t->error_log($mark) =~ /redis is unavailable: / }),
    'another protocol');
is(status(), 503, 'another protocol, refused');

# It becomes right while nginx runs.

$r->command('CONFIG', 'SET', 'tls-protocols', 'TLSv1.2 TLSv1.3');
ok(wait_for(sub { status() == 200 }, 10 * $slow), 'it is right now');
present('expired');
$r->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok(wait_for(sub { status() == 503 }, 10 * $slow), 'it expires');
present('server');
ok(wait_for(sub { status() == 200 }, 10 * $slow), 'it is a new one');


# A name whose address changes, while the old one still answers: both of the
# connections go to the new one.

my $where = $t->file('address', "127.0.0.1\n");
my $dns = TestDNS->new(file => $where);

$t->restart(conf("redis://moves.test:$r->{port}",
    'ttl=10m negative_ttl=1s stale=20m',
    "resolver 127.0.0.1:$dns->{port} valid=1s ipv6=off;"));

my $key = new_key();

ok(wait_for(sub { status($key) == 200 }), 'a name');

my $other = "$t->{dir}/other.sock";

TestProc::spawn([ 'redis-server', '--port', $r->{port}, '--bind', '127.0.0.2',
    '--save', '', '--unixsocket', $other ], out => "$t->{dir}/other.log");

my $two;

SKIP: {
    skip('there is no second address', 4) unless wait_for(sub {
        $two = eval { RedisClient->new($other) } }, 5);

    $two->command('HSET', "apikey:key:$key->{id}", $t->record($key->{key},
        owner => 'bob'));
    $t->file('address', "127.0.0.2\n");
    select undef, undef, undef, 2.2;

    # Only the connection that asks is lost; the other one goes on.

    $r->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    ok(wait_for(sub { status($key);
        $two->command('CLIENT', 'LIST') =~ /flags=\w*t/ }, 10 * $slow),
        'the new address is watched');
    ok(wait_for(sub {
        $t->with_key('/', $key)->header('X-Cache') eq 'hit' }),
        'the new address, cached');
    $two->command('HSET', "apikey:key:$key->{id}", 'status', 'revoked');
    ok(wait_for(sub { status($key) == 401 }, 5),
        'the new address, a change is known');
    unlike($r->command('CLIENT', 'LIST'), qr/flags=\w*t/,
        'and the old one is not watched');
}

$t->expect_alert(qr/SSL_read\(\) failed .* alert certificate required/);
$t->expect_alert(qr/SSL_do_handshake\(\) failed/);
$t->done;
