#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for names that expire in Redis itself, which tells nobody before it
# has noticed: here it never does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyRedis;
use ApikeyTest;

ApikeyRedis::needs_store('tcp');

my $t = ApikeyTest->new(workers => 2,
    redis => { args => [ '--enable-debug-command', 'yes' ] });


sub conf {
    my ($stale) = @_;

    return <<"EOF";
    %%APIKEY%%
    apikey_zone keys:1m ttl=20m negative_ttl=1s stale=$stale usage=off;

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;
        add_header X-Cache \$apikey_cache always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
}


$t->http(conf('20m'))->start;
$t->redis_cmd('DEBUG', 'SET-ACTIVE-EXPIRE', 0);

my $key = $t->put_key(owner => 'alice');
my $name = "apikey:key:$key->{id}";

$t->upstream_key('openai', 'shared-0Aa1Bb2Cc3Dd4Ee5Ff6');

is($t->with_key('/', $key)->status, 200, 'for good');
is($t->with_key('/', $key)->header('X-Cache'), 'hit', 'for good, cached');

$t->redis_cmd('PEXPIRE', $name, 1500);
ok(wait_for(sub { $t->with_key('/', $key)->header('X-Cache') eq 'hit' }),
    'for a while, cached');
ok(wait_for(sub { $t->with_key('/', $key)->status == 401 }, 10),
    'not when its time has come');
is($t->redis_cmd('DBSIZE') > 0, 1, 'which Redis has not noticed');

# Nor in an outage: what has ended is not what was.

my $brief = $t->put_key(owner => 'alice');
my $long = $t->put_key(owner => 'alice');

$t->redis_cmd('PEXPIRE', "apikey:key:$brief->{id}", 2000);

for my $k ($brief, $long) {
    ok(wait_for(sub { $t->with_key('/', $k)->header('X-Cache') eq 'hit' }),
        'before the outage');
}

$t->{redis}->stop;

is($t->with_key('/', $long)->status, 200, 'in an outage');
ok(wait_for(sub { $t->with_key('/', $brief)->status == 503 }, 10),
    'in an outage, not when its time has come');
is($t->with_key('/', $long)->status, 200, 'in an outage, another one');

# A user who may not ask is not told of it, and is served.

$t->{redis}->start;
$t->redis_cmd('ACL', 'SETUSER', 'default', '-pttl');
$t->upstream_key('openai', 'shared-0Aa1Bb2Cc3Dd4Ee5Ff6');

my $mark = $t->mark;
my $last = $t->put_key(owner => 'alice');

ok(wait_for(sub { $t->with_key('/', $last)->status == 200 }, 10),
    'without the right');
unlike($t->error_log($mark), qr/pttl|NOPERM/i, 'without a word');

$t->done;
