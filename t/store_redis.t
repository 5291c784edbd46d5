#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikey_store: sockets, users, passwords, databases and prefixes.
# A server that does not take our password is an outage, not a bad key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

ApikeyRedis::needs_store('tcp');

my $t = ApikeyTest->new(redis => { acl => [
    'user default on >default-0Aa1Bb2Cc3Dd ~* &* +@all',
    'user gate on >gate-4Ee5Ff6Gg7Hh8Ii ~gate:* resetchannels +@all',
    'user blind on >blind-9Jj0Kk1Ll2Mm3 ~none:* +@all',
    'user mute on >mute-4Nn5Oo6Pp7Qq8 ~* -@all +auth +select +ping' ] });

my %file = map {
    (my $name = $_) =~ s/-.*//;
    $name => $t->file("$name.password", $t->secret($_) . "\n", 0600);
} qw(default-0Aa1Bb2Cc3Dd gate-4Ee5Ff6Gg7Hh8Ii blind-9Jj0Kk1Ll2Mm3
    mute-4Nn5Oo6Pp7Qq8 wrong-9Rr0Ss1Tt2Uu3);

$t->redis_cmd('AUTH', 'default-0Aa1Bb2Cc3Dd');

# The same id in three places, with three owners.

my $key = make_key();
my $start = 0;

$t->secret($key->{key});

for (['apikey:', 0, 'plain'], ['gate:', 0, 'gate'], ['apikey:', 3, 'third']) {
    my ($prefix, $db, $owner) = @$_;

    $t->redis_cmd('SELECT', $db);
    $t->redis_cmd('HSET', "${prefix}key:$key->{id}",
        $t->record($key->{key}, owner => $owner));
}


sub serve {
    my ($store) = @_;

    my $text = <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store $store;

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Owner \$apikey_owner always;

        location / {
            apikey on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

    return $start++ ? $t->restart($text) : $t->http($text)->start;
}


my %good = (
    'a unix socket' => ['redis+unix:%%SOCKET%%', 'default', 'plain'],
    'TCP' => ['redis://127.0.0.1:%%REDIS%%', 'default', 'plain'],
    'a host name' => ['redis://localhost:%%REDIS%%', 'default', 'plain'],
    'user and prefix' => ['redis://gate@127.0.0.1:%%REDIS%% prefix=gate:',
        'gate', 'gate'],
    'user=' => ['redis+unix:%%SOCKET%% user=gate prefix=gate:', 'gate',
        'gate'],
    'db in the URL' => ['redis://127.0.0.1:%%REDIS%%/3', 'default', 'third'],
    'db=' => ['redis+unix:%%SOCKET%% db=3', 'default', 'third'],
    'the user default' => ['redis://default@127.0.0.1:%%REDIS%%', 'default',
        'plain'],
    'times' => ['redis://127.0.0.1:%%REDIS%% timeout=2s connect_timeout=500ms',
        'default', 'plain'],
);

# a system without /etc/hosts may not know its own name

delete $good{'a host name'} unless gethostbyname('localhost');

for my $name (sort keys %good) {
    my ($store, $user, $owner) = @{ $good{$name} };

    serve("$store password_file=$file{$user}");

    my $r = $t->with_key('/', $key);

    is($r->status, 200, $name);
    is($r->header('X-Owner'), $owner, "$name, the record");
}

# Ten databases are Redis' own limit here: an outage as well.

my %bad = (
    'a wrong password' => "redis+unix:%%SOCKET%% password_file=$file{wrong}",
    'no password' => 'redis+unix:%%SOCKET%%',
    'an unknown user' =>
        "redis://ghost\@127.0.0.1:%%REDIS%% password_file=$file{gate}",
    'a user without these keys' =>
        "redis://blind\@127.0.0.1:%%REDIS%% password_file=$file{blind}",
    'a user without this command' =>
        "redis://mute\@127.0.0.1:%%REDIS%% password_file=$file{mute}",
    'a database that is not there' =>
        "redis+unix:%%SOCKET%% db=500 password_file=$file{default}",
    'a socket that is not there' => 'redis+unix:%%DIR%%/none.sock',
    'a port that nobody has' => 'redis://127.0.0.1:'
        . ApikeyTest::free_port(),
);

for my $name (sort keys %bad) {
    serve($bad{$name});

    my $mark = $t->mark;

    denied($t->with_key('/', $key), 503, 'auth_unavailable', $name);
    denied($t->get('/'), 401, 'invalid_api_key', "$name, no key");

    # Whoever runs this is told why, at a level that is logged by default.

    like($t->error_log, qr/\[(?:error|crit|warn)\] .*(?:redis|store)/i,
        "$name, told in the log");
}

# Tolerated: a socket that is not there is "crit" in nginx's own connect().

$t->expect_alert(qr/connect\(\) to unix:.* failed \(2:/);
$t->done;
