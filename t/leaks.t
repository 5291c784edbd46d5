#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what the outside gets to see: the dump of Redis, the logs, what
# apikeyctl prints, answers and redirects hold no 12-byte piece of a client's
# key or of an upstream's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;
use RedisMonitor;

my $t = ApikeyTest->new(reply => sub {
    return [ 200, [ [ 'Content-Type', 'text/plain' ] ], "done\n" ];
});

$t->http(<<'EOF');
    %%APIKEY%%

    log_format all '$request $status $sent_http_location $upstream_addr '
                   '$apikey_id $apikey_owner $apikey_name $apikey_kind '
                   '$apikey_reason $apikey_module $apikey_cache '
                   '$apikey_provider $apikey_slot $apikey_meta_hash '
                   '$apikey_meta_key $remote_user';

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log all;

        apikey on;
        apikey_inject openai anthropic;
        add_header X-All "$apikey_id $apikey_owner $apikey_reason" always;
        add_header X-More "$apikey_name $apikey_provider $apikey_slot" always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /moved {
            error_page 401 =302 /login?from=$uri;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        # the upstream cannot be reached: nginx logs the request as an error

        location /down {
            proxy_pass http://127.0.0.1:%%PORT9%%;
        }

        location /login {
            apikey off;
            return 200 "in\n";
        }
    }
EOF

$t->closed_port(9);
$t->start;

my %key = map { $_ => $t->create_key(owner => $_, name => "key of $_") }
    qw(alice bob carol dave);
my $told = '';

$t->upstream_key('openai', 'up-alice-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7',
    owner => 'alice');
$told .= $t->{out} . $t->{err};
$t->upstream_key('openai', 'up-shared-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2');
$told .= $t->{out} . $t->{err};
$t->upstream_key('anthropic', 'up-bob-1Aa2Bb3Cc4Dd5Ee6Ff7Gg8Hh',
    owner => 'bob', slot => 'second');
$told .= $t->{out} . $t->{err};

# What apikeyctl prints of keys that exist.

for (['key', 'list'], ['--json', 'key', 'list'],
    ['key', 'show', $key{alice}{id}],
    ['--json', 'key', 'show', $key{alice}{id}],
    ['key', 'disable', $key{bob}{id}], ['key', 'revoke', $key{carol}{id}],
    ['upstream', 'list', '--owner', 'alice'], ['upstream', 'list', '--shared'],
    ['upstream', 'check'], ['--json', 'upstream', 'check'],
    ['key', 'show', $key{alice}{key}], ['key', 'revoke', $key{dave}{key}],
    ['upstream', 'set', '--shared', 'openai', 'up-argument-1Zz2Yy3Xx4Ww'])
{
    $t->secret($_) for grep { /^up-argument/ } @$_;
    $t->ctl(@$_);
    $told .= $t->{out} . $t->{err};
}

isnt($told, '', 'apikeyctl, tells something');
is($t->leak($told), undef, 'apikeyctl, no secret');

# Requests of all kinds, and with the key in places where it should not be.

my $texts = '';
my $moved = 0;

for my $uri ('/', '/moved', '/down') {
    for my $name (sort keys %key) {
        my $secret = $key{$name}{key};

        for my $headers ([ Authorization => "Bearer $secret" ],
            [ 'x-api-key' => $secret ],
            [ 'x-api-key' => $secret . '0' ],
            [ 'x-api-key' => substr $secret, 0, -1 ],
            [ 'x-api-key' => "$secret $secret" ],
            [ Authorization => "Basic $secret" ],
            [ Authorization => "Bearer $secret", 'x-api-key' => 'another' ],
            [ 'x-api-key' => $secret, Cookie => "key=$secret",
                'X-Forwarded-For' => $secret, 'User-Agent' => $secret ],
            [ 'x-api-key' => $t->secret(make_key()->{key}) ],
            [ Authorization => "Bearer eyJhbGciOiJub25lIn0.$secret." ])
        {
            my $r = $t->get($uri, @$headers);

            $moved++ if $r->status == 302;
            $texts .= $r->text;
        }
    }
}

cmp_ok($moved, '>', 10, 'redirects');
like($texts, qr/invalid_api_key.*done|done.*invalid_api_key/s, 'answers');
is($t->leak($texts), undef, 'no secret in an answer');

# The store: its dump as it lies on a disk, and what redis-cli shows.

$t->redis_cmd('CONFIG', 'SET', 'rdbcompression', 'no');
is($t->redis_cmd('SAVE'), 'OK', 'a dump');

my $dump = join '', map {
    $t->read_file(substr("$_->{dir}/dump.rdb", 1 + length $t->{dir}))
} $t->{redis}->nodes;

like($dump, qr/apikey:key:\Q$key{alice}{id}\E/, 'the dump holds the records');
like($dump, qr/ak1\.[0-9a-f]{8}\./, 'and the tokens');
is($t->leak($dump), undef, 'no secret in the dump');
is($t->leak($t->{redis}->dump), undef, 'no secret in what redis-cli shows');
is($t->leak($t->{redis}->log), undef, "no secret in Redis' log");

# What Redis was asked: the commands hold ids and nothing else.

my $monitor = RedisMonitor->new($t->{redis});

my $fresh = $t->put_key;

$t->with_key('/', $fresh);
$t->with_key('/', $t->secret('foreign-0Aa1Bb2Cc3Dd4Ee5'));

my $commands = $monitor->text;

like($commands, qr/HGETALL" "apikey:key:$fresh->{id}"/i, 'what Redis is asked');
is($t->leak($commands), undef, 'no secret in a command');

$t->done;
