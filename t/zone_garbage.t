#!/usr/bin/perl

# Copyright (C) ngx_apikey_module contributors

# Tests for the share of the zone that anybody can use: made-up ids take no room
# from good keys, however many there are, nor good keys from them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(level => 'warn', echoes => 0);
my $guesses = { plain => 100000, asan => 20000, valgrind => 2000 }
    ->{ApikeyTest::flavour()};

$t->file('html/file', "served\n");
$t->http(<<'EOF')->start;
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE_UNIX%%;
    apikey_zone keys:128k ttl=1h negative_ttl=1h stale=1h;
    access_log off;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        keepalive_requests 1000000;
        apikey on;
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        root %%DIR%%/html;
        set_real_ip_from 127.0.0.1;
        apikey on;
        apikey_fail_limit rate=3r/m;
    }
EOF

my $c = $t->connect;


# Many requests at a time; the statuses of all, counted.

sub all {
    my ($next) = @_;

    my (%status, $n);

    do {
        my $text = '';

        for ($n = 0; $n < 100; $n++) {
            my $key = $next->() or last;

            $text .= ApikeyHTTP::bytes('GET', '/file', [ 'x-api-key' =>
                $key->{key} ]);
        }

        $c->send($text);

        for (1 .. $n) {
            my $r = $c->response or die "no answer\n";
            $status{$r->status}++;
        }
    } while ($n == 100);

    return \%status;
}


sub each_of {
    my @list = @_;

    return sub { return shift @list };
}


sub reads {
    my ($what) = @_;

    my $calls = $t->redis_calls('hgetall');
    $what->();

    return $t->redis_calls('hgetall') - $calls;
}


# More keys than there is room for; those that are still there at the end are
# as many as there can be.

my @keys = map { make_key() } 1 .. 1000;

for my $key (@keys) {
    $t->redis_send('HSET', "apikey:key:$key->{id}", $t->record($key->{key}));
    $t->redis_reply;
}

is_deeply(all(each_of(@keys)), { 200 => 1000 }, 'more keys than fit');

my $n = 0;

$n++ while $n < @keys && !reads(sub { all(each_of($keys[-1 - $n])) });

# the one that was not there any more is now, in place of the last

my @good = @keys[-1 - $n .. -2];

cmp_ok($n, '>', 100, 'the zone is full of keys');
cmp_ok($n, '<', 900, 'and of no more');

# Garbage

my ($left, @last) = ($guesses);

my $made = sub {
    return undef if $left-- == 0;

    my $key = native_key(base62(rand 62 ** 6, 6) . base62(rand 62 ** 6, 6),
        'w' x 32);

    push @last, { key => $key } if $left < 10;

    return { key => $key };
};

my $reads = reads(sub {
    is_deeply(all($made), { 401 => $guesses }, 'made-up ids') });

cmp_ok($reads, '>', $guesses * 0.99, 'for each of them Redis was read');
is(reads(sub { is_deeply(all(each_of(@good)), { 200 => $n }, 'good keys') }),
    0, 'all of them were in the zone');
is(reads(sub { all(each_of(@last)) }), 0,
    'and so were the last that were made up');

# The other way: a zone full of good keys has room for made-up ones, and for
# the count of a source.

is_deeply(all(each_of(@keys)), { 200 => 1000 }, 'more good keys than fit');
is(reads(sub { all(each_of(@last)) }), 0, 'made-up ones are still there');

my @status = map { $t->request('GET', '/file', [ 'x-api-key' =>
    make_key()->{key} ], port => $t->port(1))->status } 1 .. 5;

is("@status", '401 401 401 429 429', 'and so is the count of a source');

$t->done;
