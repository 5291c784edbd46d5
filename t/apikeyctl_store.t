#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl and its store: passwords, databases, a store that is
# down, frozen, or that answers nonsense.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes ();

use ApikeyCtl;
use ApikeyRedis;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

ApikeyRedis::needs_store('tcp');

my $password = 'pass-of-the-app-0123456789';
my ($rights) = slurp("$FindBin::Bin/../docs/store.md")
    =~ /^ACL SETUSER apikeyctl on >PASSWORD ([^\n]*)$/m;
my $redis = ApikeyRedis->new(acl => [
    'user default on nopass ~* &* +@all',
    "user app on >$password ~* &* +\@all",
    "user reader on >$password ~* &* +\@read +\@connection",
    "user operator on >$password $rights",
    "user mute on >$password ~* &* -\@all +\@connection",
]);

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};

my ($r, $d);

sub file {
    my ($name, $mode, $text) = @_;

    open my $fh, '>', "$redis->{dir}/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh;
    chmod $mode, "$redis->{dir}/$name";

    return "$redis->{dir}/$name";
}

my $good = file('password', 0600, "$password\n");

# where it is

for my $store ($redis->tcp_url, $redis->socket_url, $redis->tcp_url . '/3',
    $redis->socket_url . ' db=4', gethostbyname('localhost')
        ? "redis://localhost:$redis->{port}" : (),
    "redis://app\@127.0.0.1:$redis->{port}/5 password_file=$good",
    $redis->socket_url . "  user=app  password_file=$good timeout=5s")
{
    $redis->cli('FLUSHALL');
    $d = ctl_json(['--store', $store, 'key', 'create', '--owner', 'a']);
    is(ctl_json(['--store', $store, 'key', 'show', $d->{id}])->{id}, $d->{id},
        $store =~ s/\Q$redis->{dir}\E//gr);
}

like($redis->cli('INFO', 'keyspace'), qr/^db0:keys=1/m, 'in its database');

# the least rights, as the documentation has them

{
    my @store = ('--store', "redis://operator\@127.0.0.1:$redis->{port} "
        . "password_file=$good", '--keyring', "$redis->{dir}/operator");
    my $id = ctl_json([@store, 'key', 'create', '--owner', 'a'])->{id};

    ctl_json(['init', @store[2, 3]]);

    for my $args (['key', 'list'], (map { ['key', $_, $id] }
        qw(show disable enable revoke delete)),
        ['upstream', 'set', '--shared', 'openai'], ['upstream', 'list'],
        ['upstream', 'check'], ['upstream', 'delete', '--shared', 'openai'],
        ['jwt', 'revoke', '--sub', 'a', '--expires', '1h'], ['jwt', 'revoked'],
        ['jwt', 'unrevoke', '--sub', 'a'],
        ['key', 'import', '--owner', 'a'])
    {
        $r = ctl([@store, @$args], in => 'secret-of-others');
        is("$r->{status}$r->{err}", '0', "the least rights: @$args[0, 1]");
    }
}

# --store goes before APIKEY_STORE

is(ctl(['key', 'list', '--store', $redis->tcp_url],
    env => { APIKEY_STORE => 'redis://127.0.0.1:1' })->{status}, 0,
    '--store goes before APIKEY_STORE');

# what it refuses

my $port = $redis->{port};
my @refused = (
    ['a wrong password', "redis://app\@127.0.0.1:$port password_file="
        . file('wrong', 0600, "wrong-password-0\n"), qr/WRONGPASS/],
    ['an unknown user', "redis://none\@127.0.0.1:$port password_file=$good",
        qr/WRONGPASS/],
    ['no such password file', "redis://app\@127.0.0.1:$port "
        . 'password_file=/nowhere', qr/password file.*No such file/],
    ['a password that the world can read', "redis://app\@127.0.0.1:$port "
        . 'password_file=' . file('open', 0644, "$password\n"), qr/everyone/],
    ['a user that may only read', "redis://reader\@127.0.0.1:$port "
        . "password_file=$good", qr/NOPERM/],
    ['a user that may nothing', "redis://mute\@127.0.0.1:$port "
        . "password_file=$good", qr/NOPERM/],
    ['no such database', $redis->tcp_url . '/99', qr/out of range/],
);

for my $case (@refused) {
    my ($name, $store, $like) = @$case;

    my $size = $redis->cli('DBSIZE');

    $r = ctl(['--store', $store, 'key', 'create', '--owner', 'a']);
    is($r->{status}, 3, "$name: exit status");
    like($r->{err}, qr/^apikeyctl: the store/, "$name: who");
    like($r->{err}, $like, "$name: why");
    unlike($r->{err}, qr/pass-of|wrong-pass|sk-/, "$name: no secret");
    is($r->{out}, '', "$name: nothing is told as done");
    is($redis->cli('DBSIZE'), $size, "$name: nothing was written");
}

# frozen, then down, then back

my $store = $redis->tcp_url . ' timeout=300ms connect_timeout=300ms';
my @commands = (
    ['key', 'create', '--owner', 'a'], ['key', 'list'],
    ['key', 'show', $d->{id}], ['key', 'disable', $d->{id}],
    ['key', 'enable', $d->{id}], ['key', 'revoke', $d->{id}],
    ['key', 'delete', $d->{id}], ['upstream', 'list'],
    ['upstream', 'check'], ['upstream', 'set', '--shared', 'openai'],
    ['upstream', 'delete', '--shared', 'openai'],
    ['jwt', 'revoke', '--jti', 'a'], ['jwt', 'revoked'],
    ['jwt', 'unrevoke', '--jti', 'a'],
);
my $keyring = "$redis->{dir}/keyring";

ctl_json(['init', '--keyring', $keyring]);

sub unavailable {
    my ($how, $where, $like) = @_;

    for my $args (@commands) {
        my $start = Time::HiRes::time();

        $r = ctl(['--store', $where, '--keyring', $keyring, @$args],
            in => "secret-of-upstream\n");

        my $time = Time::HiRes::time() - $start;

        is($r->{status}, 3, "$how: @$args");
        is($r->{out}, '', "$how: nothing is told as done");
        like($r->{err}, $like, "$how: why");
        unlike($r->{err}, qr/sk-|secret-of/, "$how: no secret");
        cmp_ok($time, '<', 5, "$how: in time");
    }
}

$redis->pause;
unavailable('frozen', $store, qr/^apikeyctl: the store .*no answer in time/);
unavailable('frozen, a password', "redis://app\@127.0.0.1:$port "
    . "password_file=$good timeout=300ms connect_timeout=300ms",
    qr/no answer in time/);
$redis->resume;

$redis->stop;
unavailable('down', $store, qr/Connection refused.*is it running/);
unavailable('no socket', $redis->socket_url, qr/No such file|refused/);

$r = ctl(['--store', 'redis://no-such-host.invalid connect_timeout=2s', 'key',
    'list']);
is($r->{status}, 3, 'a name that is not known');
like($r->{err}, qr/name/, 'says so');

$redis->start;
is(ctl(['--store', $store, 'key', 'list'])->{status}, 0, 'back');

# changes by others between reading and writing

{
    my $id = ctl_json(['--store', $store, 'key', 'create', '--owner', 'a'])
        ->{id};
    my @pids;

    for my $verb (('enable', 'disable') x 3, 'revoke') {
        my $pid = fork;
        die "fork: $!\n" unless defined $pid;

        if ($pid == 0) {
            open STDOUT, '>', '/dev/null';
            open STDERR, '>', '/dev/null';
            exec { ctl_program() } 'apikeyctl', '--store',
                $redis->tcp_url, 'key', $verb, $id or POSIX::_exit(127);
        }

        push @pids, $pid;
    }

    waitpid $_, 0 for @pids;

    # the last may have found the key changed under its hands too often

    ctl(['--store', $store, 'key', 'revoke', $id]);
    ctl(['--store', $store, 'key', 'enable', $id]);
    is($redis->cli('HGET', "apikey:key:$id", 'status'), 'revoked',
        'revoked is final, whoever else changes the key');
}

# a server that says what it is told to; the connection ends with it

sub server {
    my ($code, @replies) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Proto => 'tcp', Listen => 5, ReuseAddr => 1)
        or die "no server: $!\n";
    my $pid = fork;

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{ALRM} = 'DEFAULT';
        alarm 20;

        my $c = $listen->accept or POSIX::_exit(1);

        # the first command is the PING of the handshake

        for my $reply ("+PONG\r\n", @replies) {
            my $got = '';
            sysread $c, $got, 65536;
            syswrite $c, $reply;
        }

        sysread $c, my $rest, 65536;
        shutdown $c, 2;
        close $c;
        POSIX::_exit(0);
    }

    $code->('redis://127.0.0.1:' . $listen->sockport . ' timeout=3s');

    # where the command came back a second time, nobody listens

    close $listen;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

my @nonsense = (
    ['no RESP', "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ['an endless string', '$999999999999' . "\r\n"],
    ['another type', ":1\r\n"],
    ['an array of another shape', "*2\r\n:1\r\n:2\r\n"],
    ['nil', "\$-1\r\n"],
    ['a reply too many', "*2\r\n\$1\r\n0\r\n*0\r\n+OK\r\n+OK\r\n"],
    ['an error', "-LOADING Redis is loading the dataset in memory\r\n"],
    ['an error that steers a terminal', "-ERR \x1b[2J\r\n"],
);

for my $case (@nonsense) {
    my ($name, $reply) = @$case;

    server(sub {
        $r = ctl(['--store', $_[0], 'key', 'list']);
    }, $reply);

    if ($name eq 'a reply too many') {
        ok($r->{status} == 0 || $r->{status} == 3, $name);

    } else {
        is($r->{status}, 3, $name);
        is($r->{out}, '', "$name: nothing is told as done");
    }

    is($r->{signal}, 0, "$name: no crash");
    unlike($r->{err}, qr/\x1b/, "$name: cleaned");
}

# it is gone when the change was on its way

server(sub {
    $r = ctl(['--store', $_[0], 'key', 'create', '--owner', 'a']);
}, "+OK\r\n", "*0\r\n", "+OK\r\n", "+QUEUED\r\n");

is($r->{status}, 3, 'gone at EXEC');
is($r->{out}, '', 'no key is printed');
like($r->{err}, qr/not known whether the change was made/, 'says so');
like($r->{err}, qr/new key \w{12} was not printed/, 'and which key it was');
unlike($r->{err}, qr/sk-/, 'but not the key');

# a key that is there already is never overwritten

server(sub {
    $r = ctl(['--store', $_[0], 'key', 'create', '--owner', 'a']);
}, ("+OK\r\n", "*2\r\n\$5\r\nowner\r\n\$1\r\nb\r\n") x 3);

is($r->{status}, 1, 'every id is taken');
is($r->{out}, '', 'no key is printed');

# somebody else changes it, every time

server(sub {
    $r = ctl(['--store', $_[0], 'key', 'create', '--owner', 'a']);
}, ("+OK\r\n", "*0\r\n", "+OK\r\n", "+QUEUED\r\n", "*-1\r\n") x 5);

is($r->{status}, 1, 'somebody else changes it');
like($r->{err}, qr/keeps changing/, 'says so');

# the server quotes what it does not know; a hash and no more, but not that

server(sub {
    $r = ctl(['--store', $_[0], 'key', 'create', '--owner', 'a']);
}, "-ERR unknown command 'WATCH', with args beginning with: 'quoted'\r\n");

is($r->{status}, 3, 'an unknown command');
unlike($r->{err}, qr/quoted/, 'arguments are not repeated');

done_testing();
