#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own load, t/lib/LoadGen.pm.

use strict;
use warnings;

use Test::More;
use Time::HiRes ();

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyTest;
use LoadGen;

my $t = ApikeyTest->new(redis => 0, level => 'info',
    not_under => ['valgrind']);

$t->http(<<'EOF')->start;
    map $http_authorization $answer {
        default           401;
        "~^Bearer good"   200;
        "~^Bearer new"    200;
        "~^Bearer late"   503;
    }

    access_log %%DIR%%/access.log;
    default_type text/plain;

    server {
        listen 127.0.0.1:%%PORT%%;
        keepalive_requests 500;

        location / {
            if ($answer = 503) {
                return 503 '{"error":{"message":"no","code":"unavailable"}}';
            }

            if ($answer = 401) {
                return 401;
            }

            return 200 "fine\n";
        }

        location /chunked {
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:%%PORT1%%/;
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        ssi on;
        ssi_types *;

        location / {
            return 200 "chunked <!--# echo var='host' -->\n";
        }
    }
EOF


sub load {
    my (%opt) = @_;

    return LoadGen->start(port => $t->port, rate => 1000, seconds => 1, %opt);
}


my $l = load(keys => ['good1', 'good2', 'late', { key => 'bad' }],
    fresh => [ map { "new$_" } 1 .. 300 ], every => 5)->wait;
my $s = $l->summary;

cmp_ok(abs($s->{requests} + $s->{unsent} - 1000), '<=', 2, 'all were made');
cmp_ok($s->{unsent}, '<', 200, 'nearly all were sent');
cmp_ok($s->{requests}, '==', $t->access_lines($s->{requests}),
    'as nginx says');
is($l->count(kind => 'fresh'), POSIX::ceil($s->{requests} / 5),
    'every fifth had a new key');
is($s->{fresh}{granted}, $l->count(kind => 'fresh'), 'all granted');
is(join(' ', map { $_->{key} } ($l->rows(kind => 'fresh'))[0 .. 3]), '0 1 2 3',
    'each of them once');
is($l->count(status => $_), $s->{status}{$_}{count}, "status $_")
    for 200, 401, 503;
cmp_ok(abs($l->count(status => 401) - $l->count(status => 503)), '<=', 1,
    'the keys are used in turn');
is($s->{status}{503}{codes}{unavailable}, $s->{status}{503}{count},
    'the code of a body');
is($l->count(code => 'unavailable'), $s->{status}{503}{count}, 'by code');
is($l->count(status => 0), 0, 'all were answered');
cmp_ok(abs($l->{start} - time), '<', 30, 'times are of the clock');
cmp_ok($s->{latency}{p50}, '>', 0, 'latency');
cmp_ok($s->{latency}{p50}, '<=', $s->{latency}{max}, 'percentiles');
like($l->json, qr/"requests" : \d+/, 'JSON');


# Chunks; a server that does not answer for a while; one that is not there.

$l = load(keys => ['good'], uri => '/chunked', seconds => 0.5)->wait;
is($l->count(status => 200), $l->count, 'chunks');

$l = load(keys => ['good'], seconds => 1.5, conns => 4,
    fresh => [ map { "new$_" } 1 .. 500 ]);
TestProc::wait_until(sub { -s "$t->{dir}/access.log" }, 5, 'requests');
select undef, undef, undef, 0.3;
my ($worker) = $t->workers;
kill 'STOP', $worker;
my $from = Time::HiRes::time();
select undef, undef, undef, 0.4;
my $until = Time::HiRes::time();
kill 'CONT', $worker;
$l->wait;

my @gaps = $l->gaps(kind => 'fresh', status => 200, longer => 0.3);

is(scalar @gaps, 1, 'a time without new keys');
cmp_ok($gaps[0][0], '<=', $from + 0.1, 'from then');
cmp_ok($gaps[0][1], '>=', $until - 0.1, 'until then');
is($l->count(from => $from + 0.1, until => $until - 0.05), 0,
    'nothing in between');

my $nobody = LoadGen->start(port => TestProc::free_port(), keys => ['x'],
    rate => 100, seconds => 0.3)->wait;

cmp_ok($nobody->count(status => 0), '>', 0, 'nobody there');
is($nobody->count(status => 0), $nobody->count, 'no answers');


# Ended early; as fast as is promised.

$l = load(keys => ['good'], seconds => 60)->stop;
cmp_ok($l->{rows}[-1][2] // 0, '<', 20e6, 'stopped');

$l = load(keys => ['good'], rate => 5000, seconds => 2)->wait;
diag(sprintf '%.0f requests a second, p99 %.1f ms', $l->summary->{rate},
    $l->latency->{p99});
cmp_ok($l->count(status => 200), '>', 2000, 'thousands of requests');

$t->done;
