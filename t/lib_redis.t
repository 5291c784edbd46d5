#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own servers: what t/lib/ApikeyRedis.pm starts, seen by
# redis-cli.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyRedis;
use TestProc;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $r = ApikeyRedis->new(store => 'tcp', tls => 1, clients => 'yes');

is($r->cli('SET', 'a', 'b'), 'OK', 'by the socket');
is($r->cli_tcp('GET', 'a'), 'b', 'by TCP');
is($r->command('GET', 'a'), 'b', "by a connection of the test's own");
is($r->calls('get'), 2, 'the commands are counted');
is($r->dump, "a\nb\n", 'what it holds');


# TLS: who is let in.

sub cli {
    my ($host, @args) = @_;

    return $r->run_cli('-h', $host, '-p', $r->{tls_port}, '--tls', @args,
        'PING');
}

my @ours = ('--cert', $r->client_cert, '--key', $r->client_key);
my @stranger = map { ("--$_", $r->tls->$_('stranger')) } qw(cert key);

is(cli('localhost', '--cacert', $r->ca, @ours), 'PONG', 'TLS by a name');
is(cli('127.0.0.1', '--cacert', $r->ca, @ours), 'PONG', 'TLS by an address');

open my $stderr, '>&', \*STDERR;
open STDERR, '>', '/dev/null';

is(cli('localhost', '--cacert', $r->other_ca, @ours), '', 'a wrong authority');
is(cli('localhost', '--cacert', $r->ca, @stranger), '', "a stranger's client");
is(cli('localhost', '--cacert', $r->ca), '', 'no client certificate');
is($r->run_cli('-p', $r->{tls_port}, 'PING'), '', 'no TLS at all');

open STDERR, '>&', $stderr;

like($r->tls_url, qr{^rediss://127\.0\.0\.1:\d+\ ssl_trusted_certificate=/\S+
    \ ssl_certificate=/\S+\ ssl_certificate_key=/\S+$}x, 'words of a store');

my $expired = $r->tls->issue('old', san => 'DNS:localhost', days => -1);

like(`openssl verify -CAfile @{[ $r->ca ]} $expired 2>&1`, qr/has expired/,
    'an expired certificate');


# Stopped, killed, frozen, and back on the same port.

my ($pid, $port) = @{$r}{qw(pid port)};

$r->stop;
ok(!kill(0, $pid), 'stopped');
$r->start;
is($r->{port}, $port, 'the port is kept');
is($r->command('GET', 'a'), undef, 'the data is not');

$pid = $r->{pid};
$r->kill;
ok(!kill(0, $pid), 'killed');
$r->start;

$r->pause;
$r->send('PING');
my $bits = '';
vec($bits, fileno($r->{client}{s}), 1) = 1;
is(select($bits, undef, undef, 0.2), 0, 'frozen');
$r->resume;
is($r->reply, 'PONG', 'resumed');


# A user file and a password.

my $acl = ApikeyRedis->new(store => 'tcp', password => 'pw',
    acl => ['user default on >pw ~* +@all', 'user no on >pw ~* -@all']);

is($acl->command('PING'), 'PONG', 'a password');
is($acl->cli('ACL', 'WHOAMI'), 'default', 'a password for redis-cli');
like($acl->cli('--no-auth-warning', '--user', 'no',
    '--pass', 'pw', 'PING'), qr/^NOPERM/, 'a user');


# The kinds of the suite.

for my $kind ('tcp', 'unix', 'tls') {
    local $ENV{APIKEY_TEST_STORE} = $kind;

    my $store = ApikeyRedis->new;
    my $scheme = { tcp => 'redis://', unix => 'redis+unix:',
        tls => 'rediss://' }->{$kind};

    like($store->url, qr/^\Q$scheme\E/, "the kind $kind");
    is($store->unix_url, $store->url, "$kind, whatever is preferred");
    is($store->cli('PING'), 'PONG', "$kind, it answers");
}

my $skipped = `APIKEY_TEST_STORE=unix $^X -I$FindBin::Bin/lib -MApikeyRedis -e '
    ApikeyRedis::needs_store("tcp"); print "not reached"'`;

is($skipped, "1..0 # SKIP is about the store tcp, not unix\n", 'skipped');


# Nothing stays behind, however the test ends.

for my $how ('exit 3', 'die', 'kill 9, $$', 'kill 15, $$; sleep 9') {
    open my $fh, '-|', $^X, "-I$FindBin::Bin/lib", '-MApikeyRedis', '-e',
        '$| = 1; $r = ApikeyRedis->new(store => "tcp", dir => shift);'
        . "print qq(\$r->{pid}\\n); close STDERR; $how", "$r->{dir}/child"
        or die;
    chomp($pid = <$fh>);
    close $fh;

    like($pid, qr/^\d+$/, "$how, it was there");
    ok(eval { TestProc::wait_until(sub { !kill 0, $pid }, 5, 'end') },
        "no server is left after $how") or kill 'KILL', $pid;
}


done_testing();
