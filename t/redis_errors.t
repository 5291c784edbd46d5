#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for errors that a Redis answers with: none is a verdict on a key.  What
# is cached goes on, the rest is 503, the log has a line of it and not one a
# request, and the next good answer is served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use ApikeyTest;

ApikeyRedis::needs_store('tcp');

my $slow = ApikeyTest::slow();
my $t = ApikeyTest->new(workers => 1,
    redis => { args => [ '--enable-debug-command', 'yes' ] });

# What is answered to HGETALL, and what the log has of it.

my %error = (
    'READONLY' => [ "READONLY You can't write against a read only replica.",
        'redis answers "READONLY.*": it is a replica' ],
    'LOADING' => [ 'LOADING Redis is loading the dataset in memory',
        'redis is unavailable: it is loading' ],
    'MASTERDOWN' => [ "MASTERDOWN Link with MASTER is down and "
        . "replica-serve-stale-data is set to 'no'.",
        'redis is unavailable: it is a replica without' ],
    'NOAUTH' => [ 'NOAUTH Authentication required.',
        'redis answers "NOAUTH.*": .*password_file=' ],
    'NOPERM' => [ "NOPERM this user has no permissions to run the 'hgetall' "
        . 'command', 'redis answers "NOPERM.*": .*ACL' ],
    'OOM' => [ "OOM command not allowed when used memory > 'maxmemory'.",
        'redis answers "OOM.*": .*maxmemory' ],
    'MISCONF' => [ 'MISCONF Redis is configured to save RDB snapshots',
        'redis answers "MISCONF.*": ' ],
    'BUSY' => [ 'BUSY Redis is busy running a script.',
        'redis answers "BUSY.*": .*script' ],
    'CLUSTERDOWN' => [ 'CLUSTERDOWN Hash slot not served',
        'redis answers "CLUSTERDOWN.*": ' ],
    'MOVED' => [ 'MOVED 3999 127.0.0.1:6381',
        'redis answers "MOVED.*": .*say "cluster"' ],
    'ASK' => [ 'ASK 3999 127.0.0.1:6381',
        'redis answers "ASK.*": .*say "cluster"' ],
    'TRYAGAIN' => [ 'TRYAGAIN Multiple keys request during rehashing of slot',
        'redis answers "TRYAGAIN.*": ' ],
    'ERR' => [ "ERR unknown command\a'HGETALL'",
        "redis answers \"ERR unknown command\\?'HGETALL'" ],
    'SOMETHING' => [ 'SOMETHING', 'redis answers "SOMETHING"' ],
);

my $fake = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Proto => 'tcp', Listen => 64, ReuseAddr => 1) or die "listen: $!\n";
my $port = $fake->sockport;

$t->file('mode', 'good');

my %cached = map { $_ => make_key() } keys %error;
my %cold = map { $_ => make_key() } keys %error;
my %revoked = map { $_ => make_key() } keys %error;
my %record = map { $_->{id} => [ $t->record($_->{key}) ] }
    values %cached, values %cold;

$record{$_->{id}} = [ $t->record($_->{key}, status => 'revoked') ]
    for values %revoked;

$t->secret($_->{key}) for values %cached, values %cold, values %revoked;


# A Redis that answers what the file says.

my $pid = TestProc::child(sub {
    my %in;
    my $select = IO::Select->new($fake);

    while () {
        for my $s ($select->can_read) {
            if ($s == $fake) {
                $select->add(scalar $fake->accept);
                next;
            }

            my $n = sysread $s, $in{$s}, 65536, length($in{$s} //= '');

            if (!$n) {
                $select->remove($s);
                delete $in{$s};
                close $s;
                next;
            }

            while ($in{$s} =~ s/\A\*\d+\r\n((?:\$\d+\r\n[^\r\n]*\r\n)+)//) {
                answer($s, $1 =~ /\$\d+\r\n([^\r\n]*)\r\n/g);
            }
        }
    }
});

close $fake;


sub answer {
    my ($s, $command, $name) = @_;

    my $mode = $t->read_file('mode');

    return syswrite $s, "+PONG\r\n" if uc $command eq 'PING';
    return syswrite $s, "-ERR unknown command\r\n"
        if uc $command ne 'HGETALL';
    return syswrite $s, "-$error{$mode}[0]\r\n" if $mode ne 'good';

    my @fields = @{ $record{($name =~ /(\w+)$/)[0]} || [] };

    syswrite $s, join '', '*' . @fields . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @fields;
}


sub conf {
    my ($store, $zone) = @_;

    return <<"CONF";
    apikey_keyring %%KEYRING%%;
    apikey_store $store timeout=700ms connect_timeout=700ms;
    apikey_zone keys:1m $zone usage=off;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        add_header X-Cache \$apikey_cache always;
        add_header X-Reason \$apikey_reason always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
CONF
}


sub lines {
    my ($mark) = @_;

    return $t->error_log($mark) =~ /\[(?:warn|error)\] .*apikey: .*/g;
}


$t->http(conf("redis://127.0.0.1:$port", 'ttl=1s negative_ttl=1s stale=20m'))
    ->start;

for my $name (sort keys %error) {
    my ($text, $like) = @{ $error{$name} };

    my $mark = $t->mark;

    is($t->with_key('/', $cached{$name})->status, 200, "$name, before");
    is($t->with_key('/', $revoked{$name})->status, 401, "$name, revoked");

    $t->file('mode', $name);

    # The cached ones age, and are used nevertheless; who was refused before
    # is not let in.

    ok(wait_for(sub { $t->with_key('/', $cached{$name})
        ->header('X-Cache') eq 'stale' }, 5 * $slow), "$name, stale");

    for my $n (1 .. 5) {
        is($t->with_key('/', $cached{$name})->status, 200,
            "$name, a cached key, $n");
        is($t->with_key('/', $revoked{$name})->header('X-Reason'), 'revoked',
            "$name, a revoked key, $n");
        denied($t->with_key('/', $cold{$name}), 503, 'auth_unavailable',
            "$name, another one, $n");
    }

    my @lines = lines($mark);

    is(scalar(grep { /$like/ } @lines), 1, "$name, a line in the log")
        or diag(explain(\@lines));
    is(scalar @lines, 1, "$name, and no other") or diag(explain(\@lines));

    $t->file('mode', 'good');
    ok(wait_for(sub { $t->with_key('/', $cold{$name})->status == 200 }, 10),
        "$name, then a good answer");
    ok(wait_for(sub { $t->with_key('/', $cached{$name})->header('X-Cache')
        =~ /hit|miss/ }, 5), "$name, of the cached one too");
}

TestProc::finish($pid, 'KILL');


# The real ones.

my $redis = $t->{redis};
my $key;


sub outage {
    my ($name, $begin, $like, $end) = @_;

    $key = $t->put_key;
    select undef, undef, undef, 0.1;
    is($t->with_key('/', $key)->status, 200, "$name, before");

    my $cold = $t->put_key;
    my $mark = $t->mark;

    $begin->();

    ok(wait_for(sub { ($t->with_key('/', $key)->header('X-Cache') // '')
        eq 'stale' }, 10 * $slow), "$name, stale");
    denied($t->with_key('/', $cold), 503, 'auth_unavailable', "$name, $_")
        for 1 .. 5;
    ok(wait_for(sub { $t->error_log($mark) =~ /$like/ }), "$name, the log")
        or diag(explain([ lines($mark) ]));
    cmp_ok(scalar(() = lines($mark)), '<=', 2, "$name, it is short")
        or diag(explain([ lines($mark) ]));

    $end->();
    ok(wait_for(sub { $t->with_key('/', $cold)->status == 200 }, 15 * $slow),
        "$name, it is over");
}


$redis->command('ACL', 'SETUSER', 'app', 'on', '>pw', '~apikey*', '&*',
    '+@all');
$t->file('pw', "pw\n", 0600);
$t->restart(conf('redis://app@127.0.0.1:%%REDIS%% password_file=%%DIR%%/pw',
    'ttl=1s negative_ttl=1s stale=20m'));

outage('NOPERM',
    sub { $redis->command('ACL', 'SETUSER', 'app', '-hgetall') },
    'redis answers "NOPERM.*": ',
    sub { $redis->command('ACL', 'SETUSER', 'app', '+hgetall') });

outage('a user who is off',
    sub { $redis->command('ACL', 'SETUSER', 'app', 'off');
        $redis->command('CLIENT', 'KILL', 'USER', 'app') },
    'redis is unavailable: the server refused the handshake: WRONGPASS',
    sub { $redis->command('ACL', 'SETUSER', 'app', 'on') });

# A replica without its master.

my $gone = ApikeyRedis::free_port();

outage('MASTERDOWN',
    sub { $redis->command('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
        $redis->command('REPLICAOF', '127.0.0.1', $gone);
        $redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') },
    'redis is unavailable: .*MASTERDOWN|it is a replica without',
    sub { $redis->command('REPLICAOF', 'NO', 'ONE') });

# Loading what it has, which takes a while.

$redis->command('DEBUG', 'POPULATE', 3000, 'bulk', 10);
$redis->command('CONFIG', 'SET', 'key-load-delay', 1000);
$redis->command('CONFIG', 'SET', 'loading-process-events-interval-bytes',
    1024);

outage('LOADING',
    sub { RedisClient->new($redis->{socket})->send('DEBUG', 'RELOAD') },
    'redis is unavailable: ',
    sub { $redis->command('CONFIG', 'SET', 'key-load-delay', 0) });

$t->done;
