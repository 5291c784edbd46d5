#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for reloads: no request is lost under load, the cache survives, and
# the master does not grow.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use ApikeyRedis;
use ApikeyTest;

my $t = ApikeyTest->new(workers => 2, level => 'info');
my $valgrind = ApikeyTest::flavour() eq 'valgrind';


sub conf {
    my ($more) = @_;

    return <<"EOF";
    %%APIKEY%%
    apikey_zone keys:1m ttl=10m;

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;
        add_header X-Cache \$apikey_cache always;

        location / {
            $more
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
}


$t->http(conf(''))->start;

my $key = $t->create_key;
my $upstream = $t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');

is($t->with_key('/', $key)->status, 200, 'served');
ok($t->reload, 'a reload');

# Where new workers are slow to watch what the old ones watched, it is asked
# for anew.

is($t->with_key('/', $key)->header('X-Cache'), 'hit', 'the cache survives')
    unless $valgrind;


sub rss {
    my ($kb) = ApikeyTest::_read("/proc/$t->{pid}/status") =~ /VmRSS:\s+(\d+)/;

    return $kb;
}


# Clients that begin a connection for each request: every one is answered.

my @clients;

for my $n (1 .. 4) {
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid) {
        push @clients, $pid;
        next;
    }

    my ($done, $lost) = (0, '');

    $SIG{$_} = 'DEFAULT' for qw(INT HUP);
    $SIG{TERM} = sub { $done = 1 };

    my $count = 0;

    until ($done) {
        my $r = $t->request('POST', '/', [ 'x-api-key' => $n % 2
            ? $key->{key} : 'sk-0123456789' ], body => 'x' x (5000 * $n));

        $count++;
        $lost .= $r->status . "\n" if $r->status != ($n % 2 ? 200 : 401);
    }

    $t->file("client.$n", "$count $lost");
    POSIX::_exit(0);
}

for (1 .. ($valgrind ? 2 : 10)) {
    ok($t->reload, "reload $_ under load");
}

kill 'TERM', @clients;
waitpid $_, 0 for @clients;

for my $n (1 .. 4) {
    my ($count, $lost) = $t->read_file("client.$n") =~ /^(\d+) (.*)$/s;

    is($lost, '', "client $n lost nothing") or diag("of $count");
    cmp_ok($count, '>', $valgrind ? 0 : 5, "client $n made requests");
}

# 50 reloads.  The first of them may still grow the heap; a leak goes on.
# (valgrind, under which a few must do, sees each byte.)

my ($warm, $end) = $valgrind ? (1, 3) : (20, 50);
my ($failed, $before) = (0);

for my $n (1 .. $end) {
    $failed++ unless $t->reload;
    $failed++ unless $t->with_key('/', $key)->status == 200;
    $before = rss() if $n == $warm;
}

is($failed, 0, "$end reloads");

# What sanitizers keep to themselves grows by design.

cmp_ok(rss() - $before, '<', 1024, 'the master does not grow')
    if ($ENV{APIKEY_FLAVOUR} // 'plain') eq 'plain';

ok(wait_for(sub { $t->workers == 2 }), 'old workers are gone');

# A configuration that cannot be loaded changes nothing.

$t->http(conf('apikey_inject nobody;'));
ApikeyTest::_write("$t->{dir}/nginx.conf", $t->expand($t->{config}));

my $mark = $t->mark;

$t->expect_alert(qr/\[emerg\].*unknown provider "nobody"/);
kill 'HUP', $t->{pid};
ok(wait_for(sub { $t->error_log($mark) =~ /unknown provider "nobody"/ }),
    'a bad configuration is refused');
is($t->with_key('/', $key)->status, 200, 'and the old one goes on');

# The zone changes its size, and the module goes away and comes back.

for my $change (['keys:1m', 'keys:2m'], ['keys:2m', 'other:1m'],
    ['apikey on;', 'apikey off;'], ['apikey off;', 'apikey on;'])
{
    my ($from, $to) = @$change;

    $t->http(conf('')) if $from eq 'keys:1m';
    $t->{config} =~ s/\Q$from/$to/ or die;
    ApikeyTest::_write("$t->{dir}/nginx.conf", $t->expand($t->{config}));
    ok($t->reload, "from $from to $to");
    is($t->with_key('/', $key)->status, 200, "from $from to $to, served");
    is($t->get('/')->status, $to eq 'apikey off;' ? 200 : 401,
        "from $from to $to, in force");
}

# What one store said is not true of another.

SKIP: {
    skip 'there is one store only', 6 if ApikeyRedis::kind() ne 'tcp';

    my $other = ApikeyRedis->new;
    my $text = $t->expand($t->{config});

    ok(wait_for(sub {
        $t->with_key('/', $key)->header('X-Cache') eq 'hit' }),
        'in the cache');

    $text =~ s/apikey_store [^;]*;/'apikey_store ' . $other->url . ';'/e
        or die;
    ApikeyTest::_write("$t->{dir}/nginx.conf", $text);

    # who is served by an old worker yet has the keys of the old store

    my ($line, $rest) = split /(?<=\r\n)/,
        ApikeyHTTP::bytes('GET', '/', [ 'x-api-key' => $key->{key} ]), 2;

    my $late = $t->connect;
    $late->send($line);

    ok($t->reload, 'another store');

    $late->send($rest);

    my $r = $late->response;

    is($r && $r->status, 200, 'an old worker, its own store');
    is($r && $r->header('X-Cache'), 'miss', 'of which the zone has nothing');

    for my $n (1, 2) {
        is($t->with_key('/', $key)->status, 401,
            "another store, other keys ($n)");
    }
}

$t->done;
