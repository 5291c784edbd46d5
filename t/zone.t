#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the shared cache: times to live, what was not found, a zone that is
# full, and one flight for all who ask for the same id.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util ();
use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;

my $t = ApikeyTest->new;
my $slow = ApikeyTest::slow();


sub conf {
    my ($zone) = @_;

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE_UNIX%% timeout=60s connect_timeout=60s;
    apikey_zone $zone;

    apikey_stack rated {
        auth     required  key;
        account  required  rate  rate=100000r/s;
    }

    server {
        listen 127.0.0.1:%%PORT%% backlog=4096;
        root %%DIR%%/html;
        keepalive_requests 100000;
        add_header X-Cache \$apikey_cache always;

        location / {
            apikey on;
        }

        location /inject {
            apikey on;
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /rated {
            apikey rated;
        }

        location /status {
            stub_status;
        }
    }
EOF
}


$t->file('html/file', "served\n");
$t->http(conf('keys:1m ttl=2s negative_ttl=2s stale=0s'))->start;

my ($r, $key, $calls);

# An entry serves for its time, and then Redis is asked again.

$key = $t->put_key;
$calls = $t->redis_calls('hgetall');
is($t->with_key('/file', $key)->header('X-Cache'), 'miss', 'first, a miss');
is($t->redis_calls('hgetall'), $calls + 1, 'first, one question');

my $hits = grep { ($t->with_key('/file', $key)->header('X-Cache')) eq 'hit' }
    1 .. 10;

is($hits, 10, 'then hits') if $slow == 1;
$t->redis_cmd('HSET', "apikey:key:$key->{id}", 'status', 'disabled');
ok(wait_for(sub { $t->with_key('/file', $key)->status == 401 }, 10),
    'a change is in force after ttl');
$t->redis_cmd('HSET', "apikey:key:$key->{id}", 'status', 'active');
ok(wait_for(sub { $t->with_key('/file', $key)->status == 200 }, 10),
    'and the other way');

# What was not found is remembered, but no longer than negative_ttl.

my $made = make_key();

$t->secret($made->{key});
$calls = $t->redis_calls('hgetall');

my $start = time;

is($t->with_key('/file', $made)->status, 401, 'not found') for 1 .. 10;
is($t->redis_calls('hgetall'), $calls + 1, 'not found, asked once')
    if time - $start < 1.5;

$t->redis_cmd('HSET', "apikey:key:$made->{id}", $t->record($made->{key}));
ok(wait_for(sub { $t->with_key('/file', $made)->status == 200 }, 10),
    'found after negative_ttl');

# A wrong secret for an id that is there is no reason to ask again.

$calls = $t->redis_calls('hgetall');
$start = time;
$t->with_key('/file', $made);
$t->with_key('/file', ApikeyTest::native_key($made->{id}, "w$_" x 16))
    for 0 .. 9;
cmp_ok($t->redis_calls('hgetall'), '<=', $calls + 1, 'wrong secrets do not ask')
    if time - $start < 1.5;

# A record that is damaged hurts its own key only, and is not asked for at
# every request either.

my $damaged = $t->put_key;

$t->redis_cmd('HSET', "apikey:key:$damaged->{id}", 'hash', '$md5$abc');
denied($t->with_key('/file', $damaged), 401, 'invalid_api_key',
    'a damaged record');

# Full: far more keys than fit are all served, and the one that is in use all
# the time stays.

$t->upstream_key('openai', 'up-openai-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
$t->restart(conf('keys:128k ttl=10m negative_ttl=10m stale=10m'));

my $count = $slow == 1 ? 2000 : 600;
my $hot = $t->put_key;
my $c = $t->connect;
my @many = map { my $k = make_key(); $k } 1 .. $count;

for my $k (@many) {
    $t->redis_send('HSET', "apikey:key:$k->{id}",
        $t->record($k->{key}, owner => "owner-$k->{id}",
            'meta.team' => 'x' x int rand 200));
    $t->redis_reply;
}

$t->secret($_->{key}) for @many[0 .. 9];


sub on {
    my ($uri, $key) = @_;

    $c->send(ApikeyHTTP::bytes('GET', $uri, [ 'x-api-key' => $key->{key} ]));

    return $c->response || die "no answer\n";
}


is(on('/file', $hot)->status, 200, 'the key in use');

for my $round (1, 2) {
    my ($failed, $cold) = (0, 0);

    for my $k (@many) {
        $failed++ unless on('/file', $k)->status == 200;
        $cold++ unless on('/file', $hot)->header('X-Cache') eq 'hit';
    }

    is($failed, 0, "full, round $round, every key is served");
    is($cold, 0, "full, round $round, the key in use stays");
}

# Unknown ids and tokens evict, too, and are evicted.

my $failed = 0;

for my $n (0 .. $count / 2) {
    $failed++ unless on('/file', make_key())->status == 401;
    $failed++ unless on('/inject', $many[$n])->status == 200;
}

is($failed, 0, 'full, unknown keys and tokens');

# Buckets of rates are smaller than records, and have room in a zone that is
# full of those; nobody is refused for want of it.

SKIP: {
    skip 'too many for ' . ApikeyTest::flavour(), 2 if $slow != 1;

    $t->restart(conf('keys:2m ttl=10m negative_ttl=10m stale=10m'));
    $c = $t->connect;
    @many = map { make_key() } 1 .. 5000;

    for my $k (@many) {
        $t->redis_send('HSET', "apikey:key:$k->{id}",
            $t->record($k->{key}, 'meta.team' => 'x' x 200));
        $t->redis_reply;
    }

    # in no order, so that what is old lies everywhere

    $failed = grep { on('/file', $_)->status != 200 }
        List::Util::shuffle(@many), List::Util::shuffle(@many);
    is($failed, 0, 'full, records');

    $failed = grep { on('/rated', $_)->status != 404 }
        List::Util::shuffle(@many);
    is($failed, 0, 'full, rates');
}
is(on('/file', $hot)->status, 200, 'full, still served');

# One flight: however many wait for an id, in whichever worker, Redis is asked
# once.

my $clients = $slow == 1 ? 2000 : 200;

for my $workers (1, 2) {
    $t->{workers} = $workers;
    $t->restart(conf('keys:1m'));

    $key = $t->put_key;
    $calls = $t->redis_calls('hgetall');
    $t->{redis}->pause;

    my @conn = map { $t->connect(timeout => 30 * $slow) } 1 .. $clients;
    my $text = ApikeyHTTP::bytes('GET', '/file',
        [ 'x-api-key' => $key->{key} ]);

    $_->send($text) for @conn;

    # All of them are in: each has been read, and waits.

    ok(wait_for(sub {
        $t->get('/status')->body =~ /Reading: 0 Writing: (\d+)/
            && $1 >= $clients }, 30 * $slow),
        "$workers workers, $clients clients wait")
        or diag($t->get('/status')->body);

    $t->{redis}->resume;

    my %status;

    for my $conn (@conn) {
        my $answer = $conn->response;

        $status{$answer ? $answer->status : 'none'}++;
    }

    is_deeply(\%status, { 200 => $clients },
        "$workers workers, all are answered");
    is($t->redis_calls('hgetall') - $calls, 1, "$workers workers, one flight");
}

$t->done;
