#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own proxy that does harm, t/lib/FaultProxy.pm.

use strict;
use warnings;

use Errno ();
use IO::Socket::INET;
use Test::More;
use Time::HiRes ();

use FindBin;
use lib "$FindBin::Bin/lib";

use ApikeyRedis;
use FaultProxy;
use TestProc;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();


my $r = ApikeyRedis->new(store => 'tcp');
my $p = FaultProxy->new(to => $r->{port});

$r->command('SET', 'a', 'x' x 100);


sub dial {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $p->{port}, Timeout => 5);
}


sub ask {
    my ($s) = @_;

    local $SIG{PIPE} = 'IGNORE';
    syswrite $s, "GET a\r\n";

    return $s;
}


# What comes within a time: the bytes, how it ended, how many pieces.

sub hear {
    my ($s, $seconds) = @_;

    my ($text, $pieces, $end) = ('', 0, Time::HiRes::time() + $seconds);

    while ((my $left = $end - Time::HiRes::time()) > 0) {
        my $bits = '';
        vec($bits, fileno($s), 1) = 1;
        select($bits, undef, undef, $left) or last;

        my $n = sysread $s, $text, 1 << 20, length $text;

        return ($text, $n ? '' : defined $n ? 'end' : $!{ECONNRESET} ? 'reset'
            : "$!", $pieces) unless $n;
        $pieces++;
        return ($text, 'whole', $pieces) if $text eq "\$100\r\n"
            . 'x' x 100 . "\r\n";
    }

    return ($text, 'silence', $pieces);
}


my $whole = "\$100\r\n" . 'x' x 100 . "\r\n";
my $s = dial();

is((hear(ask($s), 5))[0], $whole, 'pass');

my $stats = $p->stats;

is_deeply($stats, { connections => 1, open => 1, requests => 7,
    replies => length $whole }, 'what is counted');

$p->mode('refuse');
ok(!dial(), 'refuse');
ok($!{ECONNREFUSED}, 'nobody listens');
is((hear(ask($s), 5))[0], $whole, 'what is connected stays');

for (['mute', {}, 'silence', 0], ['swallow', {}, 'silence', 0],
    ['half', {}, 'silence', int(length($whole) / 2)],
    ['stall', { bytes => 7 }, 'silence', 7],
    ['close', { bytes => 1 }, 'end', 1], ['close', {}, 'end', 0],
    ['reset', { bytes => 7 }, 'reset', 7], ['reset', {}, 'reset', 0])
{
    my ($mode, $opt, $end, $length) = @$_;
    my $name = join ' ', $mode, %$opt;

    for my $how ('at once', 'later') {
        $p->mode('pass');
        $s = dial();
        is((hear(ask($s), 5))[1], 'whole', "before $name");
        $p->mode($mode, %$opt, $how eq 'at once' ? () : (match => 'GET'));

        my ($text, $how_ended) = hear(ask($s), $end eq 'silence' ? 0.2 : 5);

        is($how_ended, $end, "$name, $how");
        is($text, substr($whole, 0, $length), "$name, what is heard");
    }
}

$p->mode('reset');
$s = dial();
ok(!$s || (hear($s, 5))[1] eq 'reset', 'a new connection is reset at once');

$p->mode('pass');
$s = dial();
$p->mode('delay', seconds => 0.3);
my $begin = Time::HiRes::time();
is((hear(ask($s), 5))[1], 'whole', 'delay');
cmp_ok(Time::HiRes::time() - $begin, '>=', 0.3, 'so long');

$p->mode('bytes');
my ($text, $end, $pieces) = hear(ask($s), 5);
is($text, $whole, 'bytes');
cmp_ok($pieces, '>', 20, 'in many pieces');

$p->mode('garbage', text => "-\x{ff}\0");
is((hear(ask($s), 0.2))[0], "-\xff\0", 'garbage');

$p->mode('endless', rate => 1000, seconds => 0.5);
($text) = hear(ask($s), 1);
like($text, qr/^\$536870912\r\nxxx/, 'endless');
cmp_ok(length $text, '<=', 620, 'no more than the rate');
cmp_ok(length $text, '>=', 300, 'not much less than it');

$p->mode('endless', seconds => 0.3);
cmp_ok(length((hear(ask($s), 0.5))[0]), '>', 1_000_000, 'as fast as it goes');

$p->mode('pass');
$s = dial();
is((hear(ask($s), 5))[1], 'whole', 'an old connection');
$p->mode('swallow', new => 1);
is((hear(ask($s), 5))[1], 'whole', 'keeps its mode');
is((hear(ask(dial()), 0.2))[1], 'silence', 'a new one has another');

$p->cut('reset');
is((hear($s, 5))[1], 'reset', 'cut');
is($p->stats->{open}, 0, 'nothing is open');

my $unix = FaultProxy->new(to => $r->{socket});

is($r->run_cli('-p', $unix->{port}, 'PING'), 'PONG', 'to a unix socket');

my $pid = $p->{pid};

undef $p;
ok(!kill(0, $pid), 'it ends with its object');

done_testing();
