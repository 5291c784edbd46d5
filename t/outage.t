#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for outages of Redis: stopped, frozen, back again.  What is cached goes
# on, the rest is 503, never 401, and other locations do not feel it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;

my $t = ApikeyTest->new;


sub conf {
    my ($zone) = @_;

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%% timeout=500ms
                 connect_timeout=500ms;
    apikey_zone keys:1m $zone;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        add_header X-Cache \$apikey_cache always;
        add_header X-Reason \$apikey_reason always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /inject {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /plain {
            apikey off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
}


$t->http(conf('ttl=10m negative_ttl=1s stale=20m'))->start;

my $upstream = $t->upstream_key('openai', 'up-openai-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my $cached = $t->put_key(owner => 'alice');
my $cold = $t->put_key(owner => 'bob');
my $r;

is($t->with_key('/', $cached)->header('X-Cache'), 'miss', 'a miss');
is($t->with_key('/', $cached)->header('X-Cache'), 'hit', 'a hit');
is($t->with_key('/inject', $cached)->status, 200, 'tokens are cached');

my %saved = map { $_ => $t->redis_cmd('HGETALL', $_) }
    @{ $t->redis_cmd('KEYS', '*') };


# Redis comes back with what it had.

sub back {
    $t->{redis}->start;
    $t->redis_cmd('HSET', $_, @{ $saved{$_} }) for keys %saved;
}


# Stopped.

$t->{redis}->stop;

for my $uri ('/', '/inject') {
    $r = $t->with_key($uri, $cached);
    is($r->status, 200, "stopped, a cached key goes on, $uri");
    is($r->header('X-Cache'), 'stale', "stopped, from the cache, $uri");
}

for (1 .. 3) {
    $r = $t->with_key('/', $cold);
    denied($r, 503, 'auth_unavailable', "stopped, an uncached key, $_");
    is($r->header('X-Reason'), 'unavailable', "stopped, the reason, $_");
}

# Nothing needs to be asked for these.

is($t->get('/')->header('X-Reason'), 'missing', 'stopped, no key');
is($t->with_key('/', 'sk-123')->header('X-Reason'), 'malformed',
    'stopped, malformed');
denied($t->with_key('/', ApikeyTest::native_key($cached->{id}, 'y' x 32)),
    401, 'invalid_api_key', 'stopped, a cached id, a wrong secret');

# An unknown key cannot be told from a good one now.

denied($t->with_key('/', make_key()->{key}), 503, 'auth_unavailable',
    'stopped, an unknown key');

back();

ok(wait_for(sub { $t->with_key('/', $cold)->status == 200 }),
    'back, served without a reload');
is($t->with_key('/', make_key()->{key})->status, 401, 'back, unknown is 401');

# Restarted between two requests: the connection is a dead one, and that is
# found out by the request that wants to use it, or before.

for (1 .. 3) {
    my $key = $t->put_key;

    %saved = (%saved, map { $_ => $t->redis_cmd('HGETALL', $_) }
        "apikey:key:$key->{id}");
    $t->{redis}->stop;
    back();
    ok(wait_for(sub { $t->with_key('/', $key)->status == 200 }, 5),
        "restarted, $_");
}

# Frozen: it accepts connections and says nothing.

my @normal = sort { $a <=> $b } map { latency() } 1 .. 50;


sub latency {
    my $start = time;
    my $r = $t->get('/plain');

    die 'plain: ' . $r->status unless $r->status == 200;

    return time - $start;
}


my @fresh = map { $t->put_key } 1 .. 20;

# what came back was a change

is($t->with_key('/', $cached)->status, 200, 'cached again');

$t->{redis}->pause;

my $start = time;
my @wait = map {
    my $c = $t->connect;
    $c->send(ApikeyHTTP::bytes('GET', '/', [ 'x-api-key' => $_->{key} ]));
    $c;
} @fresh;

my @frozen = sort { $a <=> $b } map { latency() } 1 .. 50;

# The bound is generous: a worker that waits for Redis would be 500 ms late.

cmp_ok($frozen[-2], '<', $normal[-2] * 5 + 0.1 * ApikeyTest::slow(),
    'frozen, other locations keep their latency')
    or diag("before $normal[-2], frozen $frozen[-2]");

is($t->with_key('/', $cached)->status, 200, 'frozen, a cached key goes on');

my @status = map { my $r = $_->response; $r ? $r->status : 'none' } @wait;
my $took = time - $start;

is("@status", join(' ', (503) x @fresh), 'frozen, all get 503');
cmp_ok($took, '<', 2.5 * ApikeyTest::slow(), 'frozen, within the timeout');
cmp_ok($took, '>', 0.4, 'frozen, not before it') or diag($took);

$t->{redis}->resume;

ok(wait_for(sub { $t->with_key('/', $fresh[0])->status == 200 }),
    'thawed, served without a reload');

# Late replies to requests that are gone meet nobody else's.

my $mixed = 0;

for my $key (@fresh) {
    $mixed++ unless wait_for(sub {
        $t->with_key('/', $key)->status == 200 }, 5);
}

is($mixed, 0, 'thawed, every key has its own answer');

# Entries that outlive their time only while Redis is away, and not for long.

$t->restart(conf('ttl=1s negative_ttl=1s stale=3s'));

is($t->with_key('/', $cached)->header('X-Cache'), 'miss', 'stale, a miss');

# An expired entry alone is not trusted: Redis is asked while it is there.

my $asked = $t->redis_calls('hgetall');

ok(wait_for(sub {
    $t->with_key('/', $cached);
    $t->redis_calls('hgetall') > $asked }, 5), 'stale, asked again');

$t->{redis}->stop;

ok(wait_for(sub {
    my $r = $t->with_key('/', $cached);
    $r->status == 200 && $r->header('X-Cache') eq 'stale' }, 5),
    'stale, an old entry serves');
ok(wait_for(sub { $t->with_key('/', $cached)->status == 503 }, 10),
    'stale, but not for ever');

# Expiry is a matter of the clock, not of Redis.

back();
$t->restart(conf('ttl=10m negative_ttl=1s stale=20m'));

my $short = $t->put_key(expires => int(time) + 2);

is($t->with_key('/', $short)->status, 200, 'before it expires');
$t->{redis}->stop;
ok(wait_for(sub { $t->with_key('/', $short)->status == 401 }, 5),
    'a cached key expires while Redis is away');
is($t->with_key('/', $short)->header('X-Reason'), 'expired', 'the reason');

$t->done;
