#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what happens while a key is looked up: clients that go away, a
# reload, a stop, a Redis that dies.  Nothing crashes, and those who are still
# there are answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;

my $t = ApikeyTest->new;
my $slow = ApikeyTest::slow();


sub conf {
    my ($timeout) = @_;

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE_UNIX%% timeout=$timeout
                 connect_timeout=$timeout;

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /file {
            apikey_inject off;
            root %%DIR%%/html;
        }

        location /status {
            apikey off;
            stub_status;
        }
    }
EOF
}


$t->file('html/file', "served\n");
$t->http(conf('60s'))->start;
$t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');

my $known = $t->put_key;
my ($r, $c, $key);

is($t->with_key('/', $known)->status, 200, 'a known key');


# Clients that wait: they have sent a request with a key that is not cached.

sub waiting {
    my ($n, %opt) = @_;

    my @c = map {
        my $c = $t->connect;
        $c->send(ApikeyHTTP::bytes($opt{body} ? 'POST' : 'GET',
            $opt{uri} || '/file',
            [ 'x-api-key' => ($opt{key} || $t->put_key)->{key} ],
            $opt{body}));
        $c;
    } 1 .. $n;

    return \@c;
}


sub writing {
    my ($n) = @_;

    return wait_for(sub {
        $t->get('/status')->body =~ /Reading: 0 Writing: (\d+)/ && $1 == $n;
    }, 10 * $slow);
}


# Close and reset, alone and with others that wait for the same key.

for my $how (qw(close reset)) {
    my $same = $t->put_key;
    my @keys = map { $t->put_key } 1 .. 10;

    $t->{redis}->pause;

    my @gone = map { @{ waiting(1, key => $_) } } @keys;

    push @gone, @{ waiting(5, key => $same) };

    my $stay = waiting(5, key => $same);
    my $post = waiting(1, key => $same, body => 'x' x 500000, uri => '/');

    ok(writing(22), "$how, all wait");
    $_->$how for @gone;
    ok(writing(7), "$how, those that left are forgotten");

    $t->{redis}->resume;

    is(join(' ', map { my $r = $_->response; $r ? $r->status : 'none' }
        @$stay, @$post), '200 200 200 200 200 200',
        "$how, those that stay are answered");
    is($t->with_key('/', $keys[0])->status, 200, "$how, the key is good");
}

# The rest of a request and the next one come during the wait.

$key = $t->put_key;
$t->{redis}->pause;

my $text = ApikeyHTTP::bytes('POST', '/', [ 'x-api-key' => $key->{key} ],
    'y' x 100000);

$c = $t->connect;
$c->send(substr $text, 0, length($text) - 50000);
ok(writing(2), 'half a body, waits');
$c->send(substr($text, -50000)
    . ApikeyHTTP::bytes('GET', '/file', [ 'x-api-key' => $known->{key} ]));
$t->{redis}->resume;
$r = $c->response;
is($r && $r->json && $r->json->{length}, 100000, 'half a body, whole');
is($c->response->status, 200, 'pipelined during the wait');

# A client that closes its half after the request is still answered, or it is
# not, as with other modules of nginx; the next one is.

$key = $t->put_key;
$t->{redis}->pause;
$c = waiting(1, key => $key)->[0];
ok(writing(2), 'half-closed, waits');
shutdown $c->{s}, 1;
$t->{redis}->resume;
$c->closed;
is($t->with_key('/file', $key)->status, 200, 'half-closed, then served');

# Redis dies while they wait, and comes back empty.

my @dead = map { $t->put_key } 1 .. 5;
my %saved = map { $_ => $t->redis_cmd('HGETALL', $_) }
    @{ $t->redis_cmd('KEYS', '*') };

$t->{redis}->pause;

my @left = map { @{ waiting(1, key => $_) } } @dead;

ok(writing(6), 'Redis dies, all wait');

my $start = time;

$t->{redis}->kill;

is(join(' ', map { my $r = $_->response; $r ? $r->status : 'none' } @left),
    join(' ', (503) x 5), 'Redis dies, 503');
cmp_ok(time - $start, '<', 5 * $slow + 5, 'Redis dies, at once');

$t->{redis}->start;
$t->redis_cmd('HSET', $_, @{ $saved{$_} }) for keys %saved;
ok(wait_for(sub { $t->with_key('/file', $dead[0])->status == 200 }),
    'Redis dies, then served');

# HUP during the wait: the old worker answers, and only then it goes.

my @reload = map { $t->put_key } 1 .. 5;
my @old = $t->workers;

$t->{redis}->pause;
@left = map { @{ waiting(1, key => $_) } } @reload;
ok(writing(6), 'HUP, all wait');
ok($t->reload, 'HUP, new workers');
$t->{redis}->resume;
is(join(' ', map { my $r = $_->response; $r ? $r->status : 'none' } @left),
    join(' ', (200) x 5), 'HUP, all are answered');
$_->close for @left;
ok(wait_for(sub { !grep { kill 0, $_ } @old }), 'HUP, the old worker ends');

# QUIT during the wait: they are answered first.

my @quit = map { $t->put_key } 1 .. 5;

$t->{redis}->pause;
@left = map { @{ waiting(1, key => $_) } } @quit;
ok(writing(6), 'QUIT, all wait');
kill 'QUIT', $t->{pid};
ok(wait_for(sub { $t->error_log =~ /gracefully shutting down/ }), 'QUIT, seen');
$t->{redis}->resume;
is(join(' ', map { my $r = $_->response; $r ? $r->status : 'none' } @left),
    join(' ', (200) x 5), 'QUIT, all are answered');
ok($t->stop('QUIT'), 'QUIT, ends');

# QUIT while nobody answers: the deadline ends the wait, and then the worker.

$t->http(conf('1s'))->start;
$key = $t->put_key;
$t->{redis}->pause;
@left = @{ waiting(1, key => $key) };
ok(writing(2), 'QUIT, frozen, waits');
kill 'QUIT', $t->{pid};
$r = $left[0]->response;
is($r && $r->status, 503, 'QUIT, frozen, answered');
ok($t->stop('QUIT'), 'QUIT, frozen, ends');

# TERM and the end of all.

for my $n (1, 20) {
    $t->{redis}->resume;
    $t->http(conf('60s'))->start;

    my @keys = map { $t->put_key } 1 .. $n;

    $t->{redis}->pause;
    @left = map { @{ waiting(1, key => $_) } } @keys;
    ok(writing($n + 1), "TERM, $n wait");

    $start = time;
    ok($t->stop('TERM'), "TERM, $n wait, ends");
    cmp_ok(time - $start, '<', 5 * $slow, "TERM, $n wait, at once");
    ok($left[0]->closed, "TERM, $n wait, the client is told");
}

# nginx says so itself where nobody is behind the socket.

$t->expect_alert(qr/\[crit\].*connect\(\) to unix:/);

# And with all at peace.

$t->{redis}->resume;
$t->http(conf('1s'))->start;
is($t->with_key('/', $known)->status, 200, 'served');

$t->done;
