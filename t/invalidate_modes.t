#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for invalidation where Redis does not allow all of it: messages of
# apikeyctl, where the user may not track; the ttl alone, where he may not
# subscribe either, or where nobody wants it.  And marks of revoked tokens.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use ApikeyJWT;
use ApikeyTest;

ApikeyRedis::needs_store('tcp');

my $slow = ApikeyTest::slow();
my $rights = '~apikey* +@read +@connection +ping';
my $t = ApikeyTest->new(workers => 2, redis => { acl => [
    'user default on nopass ~* &* +@all',
    "user messages on >pw $rights +subscribe -client|tracking &apikey:changed",
    "user channel on >pw $rights +subscribe &apikey:changed",
    "user none on >pw $rights -client|tracking resetchannels",
    "user deaf on >pw ~apikey* +hgetall +get +ping resetchannels",
    "user all on >pw $rights +subscribe &apikey:changed "
        . '&__redis__:invalidate',
] });
my $redis = $t->{redis};
my $key = jwt_key('ES256', 'k');

$t->file('keys.json', jwks($key), 0644);
$t->file('pw', "pw\n", 0600);


sub conf {
    my ($user, $options, $zone) = @_;

    my $who = length $user ? "$user\@" : '';
    my $password = length $user ? 'password_file=%%DIR%%/pw' : '';

    $zone //= 'ttl=3s negative_ttl=3s stale=20m';

    return <<"CONF";
    apikey_keyring %%KEYRING%%;
    apikey_store redis://${who}127.0.0.1:%%REDIS%% $password $options;
    apikey_zone keys:1m $zone usage=off;

    apikey_stack own {
        auth required jwt jwks=%%DIR%%/keys.json exp=optional;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Cache \$apikey_cache always;
        add_header X-Reason \$apikey_reason always;

        location / {
            apikey on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /own {
            apikey own;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
CONF
}


sub name { return "apikey:key:$_[0]{id}" }

sub cache { return $t->with_key('/', $_[0])->header('X-Cache') }

sub reason { return $t->with_key('/', $_[0])->header('X-Reason') // '' }


# How long until there is another answer.

sub until_reason {
    my ($key, $reason) = @_;

    my $start = time;

    return wait_for(sub { reason($key) eq $reason }, 8 * $slow)
        ? time - $start : 99;
}


sub count {
    my ($pattern) = @_;

    return scalar(() = $t->error_log($t->{from}) =~ /$pattern/g);
}


sub begin {
    my ($conf) = @_;

    # what those say who end is not of this one

    $t->stop if $t->{pid};
    $t->{from} = $t->mark;
    $t->http($conf)->start;

    my $k = $t->put_key;

    wait_for(sub { cache($k); cache($k) eq 'hit' });

    return $k;
}


# Marks, and a user with just the rights that he needs.

my $k = begin(conf('all', '', 'ttl=10m negative_ttl=10m stale=20m'));

ok(wait_for(sub { count('changes in redis are known at once') == 2 }),
    'all rights: tracking');
$redis->command('HSET', name($k), 'status', 'revoked');
cmp_ok(until_reason($k, 'revoked'), '<', 1 * $slow, 'all rights: at once');


sub token {
    my ($jti, $sub) = @_;

    return jwt($key, { sub => $sub, jti => $jti, iat => time - 100 });
}


sub own {
    return $t->get('/own', Authorization => "Bearer $_[0]")
        ->header('X-Reason') // '';
}


my $one = token('one', 'alice');
my $two = token('two', 'bob');

is(own($_), '', 'a token') for $one, $two, $one, $two;

my $start = time;

$redis->command('SET', 'apikey:revoked:jti:one', int time, 'EX', 600);
ok(wait_for(sub { own($one) eq 'jwt_revoked' }, 5 * $slow), 'its mark');
$redis->command('SET', 'apikey:revoked:sub:bob', int time);
ok(wait_for(sub { own($two) eq 'jwt_revoked' }, 5 * $slow), "its owner's");
$redis->command('DEL', 'apikey:revoked:sub:bob');
ok(wait_for(sub { own($two) eq '' }, 5 * $slow), 'taken back');
cmp_ok(time - $start, '<', 1 * $slow, 'marks are seen at once');


# Messages.

for my $user ('messages', 'channel') {
    $k = begin(conf($user, ''));

    ok(wait_for(sub { count('refuses CLIENT TRACKING: changes that') == 2 }),
        "$user: the log says so, once a worker");
    is(count('changes in redis are known at once'), 0, "$user: no tracking");

    is(cache($k), 'hit', "$user: it is cached");
    $redis->command('HSET', name($k), 'status', 'revoked');

    # Redis tells who tracks and subscribes to anything, though not by promise.

    is(reason($k), '', "$user: that alone is not told")
        if $user eq 'messages';
    $redis->command('PUBLISH', 'apikey:changed', name($k));
    cmp_ok(until_reason($k, 'revoked'), '<', 1 * $slow,
        "$user: a message is");

    my @two = map { $t->put_key } 1 .. 2;

    reason($_) for @two, @two, @two;
    $redis->command('HSET', name($_), 'status', 'disabled') for @two;
    $redis->command('PUBLISH', 'apikey:changed', '*');
    cmp_ok(until_reason($_, 'disabled'), '<', 1 * $slow, "$user: of all")
        for @two;

    $k = $t->put_key;
    reason($k) for 1 .. 4;
    $start = time;
    $redis->command('HSET', name($k), 'status', 'revoked');

    my $took = until_reason($k, 'revoked');

    cmp_ok($took, '>', 1, "$user: what is not told is not known at once")
        if $user eq 'messages';
    cmp_ok($took, '<', 3.5 * $slow, "$user: but after the ttl");

    # Nonsense does no harm.

    $redis->command('PUBLISH', 'apikey:changed', $_)
        for '', 'x' x 2000, "apikey:key:", "apikey:key:" . 'x' x 600,
            "apikey:upstream:", 'apikey:', "\0";
    $redis->command('PUBLISH', 'other:changed', '*');
    is(reason($k), 'revoked', "$user: nonsense");
    is(scalar $t->workers, 2, "$user: all are there");
}


# Neither.

for my $user ('none', 'deaf') {
    $k = begin(conf($user, ''));

    ok(wait_for(sub {
        count('refuses CLIENT TRACKING and SUBSCRIBE: changes are') == 2 }),
        "$user: the log says so, once a worker");

    reason($k) for 1 .. 4;
    is(cache($k), 'hit', "$user: it is cached");
    $redis->command('HSET', name($k), 'status', 'revoked');

    my $took = until_reason($k, 'revoked');

    cmp_ok($took, '>', 1, "$user: not at once");
    cmp_ok($took, '<', 3.5 * $slow, "$user: but after the ttl");

    # That his connection ends changes nothing, and is told nobody.

    $k = $t->put_key;
    cache($k) for 1 .. 3;
    $redis->command('CLIENT', 'KILL', 'USER', $user);
    is($t->with_key('/', $k)->status, 200, "$user: killed");
    ok(wait_for(sub { cache($k) eq 'hit' }), "$user: cached again");
    is(count('CLIENT TRACKING'), 2, "$user: the log says nothing more");
}


# Who is busy has refused nothing: he is asked again.

$k = begin(conf('', '', 'ttl=10m negative_ttl=10m stale=20m'));
$redis->command('CONFIG', 'SET', 'busy-reply-threshold', 1);
$redis->command('SET', 'apikey:key:none', 1);

my $client = RedisClient->new($redis->{socket});

$redis->command('CLIENT', 'KILL', 'TYPE', 'pubsub');
$client->send('EVAL', 'local t = redis.call("TIME")[1] * 1; '
    . 'while redis.call("TIME")[1] * 1 < t + 2 do end', 0);
is($t->with_key('/', $k)->status, 200, 'busy: it is cached, or stale');
$client->reply;
ok(wait_for(sub { cache($k); cache($k) eq 'hit' }), 'busy no more');
is(count('refuses'), 0, 'busy is no refusal');
$redis->command('HSET', name($k), 'status', 'revoked');
cmp_ok(until_reason($k, 'revoked'), '<', 1 * $slow, 'at once again');


# Nobody wants it.

$k = begin(conf('', 'invalidation=off'));

is(scalar(() = $redis->cli('CLIENT', 'LIST') =~ /flags=\w*t|sub=1/g), 0,
    'off: nobody watches');
is(cache($k), 'hit', 'off: it is cached');
$redis->command('HSET', name($k), 'status', 'revoked');
$redis->command('PUBLISH', 'apikey:changed', name($k));

my $took = until_reason($k, 'revoked');

cmp_ok($took, '>', 1, 'off: not at once');
cmp_ok($took, '<', 3.5 * $slow, 'off: but after the ttl');
is(count('changes in redis|CLIENT TRACKING'), 0, 'off: the log is silent');

$t->done;
