#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the usage of keys: what counts, and that all of it arrives in Redis,
# once, over workers, outages, dead workers and reloads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;
use ApikeyJWT;

my $t = ApikeyTest->new(workers => 4, level => 'info', redis => { acl => [
    'user default on nopass ~* &* +@all',
    'user reader on >password ~apikey:* +hgetall +get +ping +select' ] });
my $slow = ApikeyTest::slow();
my $issuer = jwt_key('ES256', 'k');

$t->file('html/file', "served\n");
$t->file('html/dir/index.html', "<!--#include virtual=\"/file\" -->\n");
$t->file('keys.json', jwks($issuer), 0644);
$t->file('password', "password\n", 0600);
$t->file('list', $t->secret('static-0Aa1Bb2Cc3Dd4') . "\n", 0600);


sub conf {
    my ($zone, $store) = @_;

    $store ||= '%%STORE_UNIX%%';

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store $store timeout=2s connect_timeout=2s;
    apikey_zone $zone;

    apikey_stack any {
        auth sufficient key;
        auth sufficient jwt jwks=%%DIR%%/keys.json;
        auth required   static keys=%%DIR%%/list owner=ops;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        keepalive_requests 100000;
        apikey any;
        log_subrequest on;

        location / {
        }

        location /dir/ {
            ssi on;
            mirror /mirror;
        }

        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /lost {
            try_files /none \@lost;
        }

        location \@lost {
            proxy_pass http://127.0.0.1:%%ECHO%%;
            error_page 404 /file;
        }

        location /open {
            apikey off;
        }

        location /inject {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /satisfy {
            satisfy any;
            allow 127.0.0.1;
            deny all;
            try_files /file =404;
        }

        location /denied {
            deny all;
        }
    }
EOF
}


sub usage {
    my ($key, $field) = @_;

    return $t->redis_cmd('HGET', "apikey-usage:$key->{id}",
        $field || 'requests') // 0;
}


# All of it arrives, and no more does.

sub arrives {
    my ($name, $n, @keys) = @_;

    my $got = sub {
        my $sum = 0;

        $sum += usage($_) for @keys;
        return $sum;
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    wait_for(sub { $got->() >= $n }, 30 * $slow);
    is($got->(), $n, $name);
}


sub load {
    my ($n, @keys) = @_;

    my @conn = map { $t->connect } 1 .. 8;
    my $bad = 0;

    for my $i (0 .. $n - 1) {
        $_->send(ApikeyHTTP::bytes('GET', '/file',
            [ 'x-api-key' => $keys[$i % @keys]{key} ])) for @conn;

        for my $c (@conn) {
            my $r = $c->response;

            $bad++ unless $r && $r->status == 200;
        }
    }

    is($bad, 0, 'all are served');

    return $n * @conn;
}


$t->http(conf('keys:1m ttl=10m stale=10m usage=1s'))->start;

# Over all workers, with keep-alive.

my @keys = map { $t->put_key(owner => "owner-$_") } 1 .. 5;
my $start = int time;
my $sum = load(100, @keys);

arrives('every request is counted', $sum, @keys);
is(usage($keys[0]), $sum / 5, 'of each key');
cmp_ok(usage($keys[0], 'last_used'), '>=', $start, 'the time of the last one');
cmp_ok(usage($keys[0], 'last_used'), '<=', time, 'which has passed');
like($t->redis_cmd('TYPE', "apikey-usage:$keys[0]{id}"), qr/^hash$/, 'a hash');

# What counts: a request that a key's record lets pass, and that once.

my $one = $t->put_key;
my $two = $t->put_key;
my $off = $t->put_key(status => 'disabled');
my $token = jwt($issuer, { sub => 'alice', exp => int(time) + 600 });

$t->secret($token);

for my $uri (qw(/file /dir/ /lost /satisfy)) {
    is($t->with_key($uri, $one)->status, 200, "GET $uri");
}

is($t->with_key('/dir/', $one)->body, "served\n\n", 'a subrequest');
is($t->with_key('/gone', $one)->status, 404, 'an answer of the upstream');

for my $case (['/denied', 403], ['/inject', 403], ['/open/file', 404]) {
    is($t->with_key($case->[0], $two)->status, $case->[1],
        "GET $case->[0], which does not count");
}

is($t->with_key('/file', ApikeyTest::native_key($two->{id}, 'y' x 32))->status,
    401, 'a wrong secret');
is($t->with_key('/file', $off)->status, 401, 'a disabled key');
is($t->with_key('/file', $token)->status, 200, 'a token');
is($t->with_key('/file', 'static-0Aa1Bb2Cc3Dd4')->status, 200,
    'a key of a list');

arrives('what counts', 5, $one);
is(join(' ', sort @{ $t->redis_cmd('KEYS', 'apikey-usage:*') }),
    join(' ', sort map { "apikey-usage:$_->{id}" } @keys, $one),
    'nothing else is written');
unlike($t->error_log, qr/usage of key /, 'nor tried to');

# At most one write a key in an interval, whoever writes.

$t->restart(conf('keys:1m ttl=10m usage=2s'));

# Of one server, whose commands are seen on one connection.

my $one_server = ApikeyRedis::kind() =~ /^(?:tcp|unix)$/;

# What follows also stops a server, fills it anew, and takes rights away.

if (!$one_server) {
    $t->done;
    exit;
}

once_in_an_interval();


sub once_in_an_interval {
    my $monitor = IO::Socket::UNIX->new(Peer => $t->{redis}{socket}) or die;

    print $monitor "MONITOR\r\n";
    $monitor->flush;
    is(scalar <$monitor>, "+OK\r\n", 'MONITOR');

    my %wrote;
    my $end = time + 7;

    $sum = usage($keys[0]) + usage($keys[1]);

    while (time < $end) {
        $t->with_key('/file', $keys[$_]) for 0, 1;
        $sum += 2;
    }

    arrives('meanwhile nothing is lost', $sum, @keys[0, 1]);
    $t->redis_cmd('PING', 'the end');

    while (my $line = <$monitor>) {
        last if $line =~ /the end/;
        push @{ $wrote{"$2 $3"} }, $1
            if $line =~ /^\+([\d.]+) \[.*?\] "(\w+)" "apikey-usage:(\w+)"/
                && $2 ne 'HGET';
    }

    close $monitor;

    is_deeply([ sort keys %wrote ], [ sort map { ("HINCRBY $_->{id}",
        "HSET $_->{id}") } @keys[0, 1] ], 'HSET and HINCRBY, and nothing else');

    for my $what (sort keys %wrote) {
        my @at = @{ $wrote{$what} };
        my @soon = grep { $at[$_] - $at[$_ - 1] < 1.9 } 1 .. $#at;

        is(scalar @soon, 0, "$what, once in an interval") or diag("@at");
        cmp_ok(scalar @at, '>=', 3, "$what, in each");
    }
}


# An outage loses nothing, and nothing is counted twice.

$t->restart(conf('keys:1m ttl=10m stale=10m usage=1s'));

my $total = 0;

$total += usage($_) for @keys;
$total += load(5, @keys);
arrives('before an outage', $total, @keys);

my %saved = map { $_ => $t->redis_cmd('HGETALL', $_) }
    @{ $t->redis_cmd('KEYS', '*') };

$t->{redis}->stop;
$total += load(20, @keys);
select undef, undef, undef, 2.5;        # some turns that cannot be
$total += load(20, @keys);
$t->{redis}->start;
$t->redis_cmd('HSET', $_, @{ $saved{$_} }) for keys %saved;
arrives('an outage loses nothing', $total, @keys);

# Replies that do not come: too high at most by what was on its way, never too
# low.

$sum = load(1, $keys[0]);
$t->{redis}->pause;
$sum += load(1, $keys[0]);
ok(wait_for(sub { $t->error_log =~ /redis is unavailable: no reply in time/ }),
    'frozen');
$t->{redis}->resume;
$total += $sum;
wait_for(sub { my $n = 0; $n += usage($_) for @keys; $n >= $total },
    15 * $slow);

my $late = 0;

$late += usage($_) for @keys;
cmp_ok($late, '>=', $total, 'frozen, nothing is lost');
cmp_ok($late, '<=', $total + $sum, 'and no more is there than was sent twice');
select undef, undef, undef, 2.5;        # what is late has come
$total = 0;
$total += usage($_) for @keys;

# Counts that cannot be written harm their own key alone.

my $bad = $t->put_key;

$t->redis_cmd('SET', "apikey-usage:$bad->{id}", 'text');
is($t->with_key('/file', $bad)->status, 200, 'a key whose usage is damaged');
$total += load(1, @keys);
arrives('the others are written', $total, @keys);
ok(wait_for(sub { $t->error_log =~ /usage of key "$bad->{id}" in redis/ }),
    'which is told');

# A reload under load.

for my $n (1 .. 3) {
    $total += load(10, @keys);
    ok($t->reload, "reload $n");
}

$total += load(10, @keys);
arrives('reloads lose nothing', $total, @keys);

# A worker that dies takes no more with it than what it has gathered in the
# last second; another one writes what is in the zone.

$t->restart(conf('keys:1m ttl=10m usage=1h'));

my $mortal = $t->put_key;

$t->with_key('/file', $mortal);
arrives('the first one is written at once', 1, $mortal);
$t->with_key('/file', $mortal) for 1 .. 20;
select undef, undef, undef, 1.5 * $slow;     # until it is in the zone
is(usage($mortal), 1, 'the others are kept back');

my @old = $t->workers;

$t->expect_alert(qr/exited on signal 9/);
kill 'KILL', @old;
ok(wait_for(sub {
    my %now = map { $_ => 1 } $t->workers;

    return keys %now == 4 && !grep { $now{$_} } @old;
}), 'all workers were killed');

$t->http(conf('keys:1m ttl=10m usage=1s'));
ApikeyTest::_write("$t->{dir}/nginx.conf", $t->expand($t->{config}));
ok($t->reload, 'a shorter interval');
arrives('which loses nothing', 21, $mortal);

my $mark;

# A server that ends in order writes what is left.

$t->restart(conf('keys:1m ttl=10m usage=1h'));
$total = usage($keys[0]);

for my $n (1 .. 3) {
    $t->with_key('/file', $keys[0]) for 1 .. 20;
    $total += 20;
    $t->restart;
    is(usage($keys[0]), $total, "the end of a server loses nothing, $n");
}

# A request that is under way then counts, too.

sub begin_post {
    my ($key) = @_;

    my $c = $t->connect;

    $c->send(ApikeyHTTP::bytes('POST', '/lost', [ 'x-api-key' => $key->{key},
        Expect => '100-continue', 'Content-Length' => 2 ]) . 'a');
    is($c->response(interim => 1)->status, 100, 'a request under way');

    return $c;
}


my $under = begin_post($keys[0]);

$mark = $t->mark;
kill 'QUIT', $t->{pid};
ok(wait_for(sub { 4 == (() = $t->error_log($mark)
    =~ /#\d+: gracefully shutting down/g) }), 'the server ends');
$under->send('b');
is($under->response->status, 200, 'it is answered');
$t->restart(conf('keys:1m ttl=10m usage=1s'));
is(usage($keys[0]), ++$total, 'it is counted');

$under = begin_post($keys[0]);
ok($t->reload, 'a reload');
$under->send('b');
is($under->response->status, 200, 'it is answered');
arrives('and counted', ++$total, $keys[0]);
$t->restart(conf('keys:1m ttl=10m usage=1h'));

# So does one whose zone another one takes the place of.

for my $zone ('keys:2m', 'other:2m') {
    $t->with_key('/file', $keys[0]) for 1 .. 20;
    $total += 20;
    $t->http(conf("$zone ttl=10m usage=1h"));
    ApikeyTest::_write("$t->{dir}/nginx.conf", $t->expand($t->{config}));
    ok($t->reload, "a reload with $zone");
    arrives("a reload with $zone loses nothing", $total, $keys[0]);
}

# More keys than the zone has room for at once: about 15.

$t->restart(conf('keys:32k ttl=10m usage=1s'));

my @many = map {
    my $k = make_key();
    $t->redis_cmd('HSET', "apikey:key:$k->{id}", $t->record($k->{key}));
    $k;
} 1 .. 40;

$sum = load(40, @many);
arrives('many keys, a small zone', $sum, @many);

# Without the right to write.

sub lines {
    my ($mark) = @_;

    return scalar(() = $t->error_log($mark) =~ /usage of keys be written/g);
}


sub rejected {
    return $t->redis_cmd('INFO', 'commandstats')
        =~ /^cmdstat_hincrby:.*rejected_calls=(\d+)/m ? $1 : 0;
}


my $kept = $t->put_key;

rights();


sub rights {
    $mark = $t->mark;

    $t->restart(conf('keys:1m ttl=10m usage=1s',
        'redis://reader@127.0.0.1:%%REDIS%% password_file=%%DIR%%/password'));
    is($t->with_key('/file', $kept)->status, 200, 'without the right, served')
        for 1 .. 3;
    ok(wait_for(sub { lines($mark) }), 'which is told');
    like($t->error_log($mark), qr/lacks the right to HSET.*~apikey-usage:\*/,
        'and what is to be done');
    is($t->with_key('/file', $kept)->status, 200, 'served as before')
        for 1 .. 3;

    my $tried = rejected();

    select undef, undef, undef, 2.5;
    is(lines($mark), 1, 'once');
    is(rejected(), $tried, 'and not tried again soon');
    is(usage($kept), 0, 'nothing is written');

    $t->redis_cmd('ACL', 'SETUSER', 'reader',
        '(~apikey-usage:* +hset +hincrby)');
    ok($t->reload, 'the right is granted, a reload');
    arrives('what was kept is written', 6, $kept);

    # A replica.

    $mark = $t->mark;
    $t->redis_cmd('REPLICAOF', '127.0.0.1', '1');
    is($t->with_key('/file', $kept)->status, 200, 'a replica, served');
    ok(wait_for(sub { lines($mark) }), 'a replica, told');
    like($t->error_log($mark), qr/read-only replica/, 'a replica, why');
    $t->redis_cmd('REPLICAOF', 'NO', 'ONE');
    ok($t->reload, 'a replica no more, a reload');
    arrives('a replica no more', 7, $kept);
}


# Switched off; and what cannot be understood.

$t->restart(conf('keys:1m usage=off'));
is($t->with_key('/file', $kept)->status, 200, 'off');
select undef, undef, undef, 2.5;
is(usage($kept), 7, 'off, nothing is written');

for my $word (qw(usage= usage=x usage=0 usage=999ms usage=on)) {
    my ($rc, $out) = $t->check_conf(conf("keys:1m $word"));

    is($rc, 1, $word);
    like($out, qr/\[emerg\].* (?:unknown argument|invalid time) "\Q$word\E"/,
        "$word, why");
}

# Another prefix.

$t->restart(conf('keys:1m usage=1s', 'redis+unix:%%SOCKET%% prefix=ak'));
$t->{prefix} = 'ak';

my $other = $t->put_key;

is($t->with_key('/file', $other)->status, 200, 'another prefix');
ok(wait_for(sub { ($t->redis_cmd('HGET', "-usage:ak:$other->{id}", 'requests')
    // 0) == 1 }), 'which the name does not begin with');

$t->done;
