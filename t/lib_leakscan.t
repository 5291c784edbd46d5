#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for LeakScan: a piece of a secret is found wherever it stands, and
# nothing else is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyTest ();
use LeakScan;

my $secret = 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj';
my $scan = LeakScan->new({ $secret => '' });

# Every piece at every place among others, at the start and at the end.

my (@missed, @wrong);

for my $from (0 .. length($secret) - 12) {
    my $piece = substr $secret, $from, 12;

    for my $before (0 .. 13) {
        for my $after (0, 1, 7) {
            my $text = '.' x $before . $piece . '.' x $after;

            push @missed, "$from $before $after"
                unless ($scan->find($text) // '') eq $piece;
        }
    }
}

is("@missed", '', 'every piece at every place');

for my $from (0 .. length($secret) - 11) {
    my $piece = substr $secret, $from, 11;

    push @wrong, $from if defined $scan->find("....$piece....");
}

is("@wrong", '', 'eleven bytes are none');

# Where the text is looked at in parts.

my $big = 'x' x 600_000;

for my $at (599_980 .. 600_000) {
    my $text = $big . $big;

    substr $text, $at, 12, substr $secret, 5, 12;
    push @missed, $at unless defined $scan->find($text);
}

is("@missed", '', 'where two parts of a long text meet');

# Bytes of any kind, and other letters' case.

my $bytes = join '', map { chr $_ * 7 % 256 } 1 .. 40;

is(LeakScan->new({ $bytes => '' })->find("a\0$bytes"), substr($bytes, 0, 12),
    'bytes');
is($scan->find(lc $secret), undef, 'another case is another text');
is($scan->find(''), undef, 'an empty text');
is($scan->find(undef), undef, 'no text');
is(LeakScan->new({})->find($secret), undef, 'no secret');
is(LeakScan->new({ 'short' => '' })->find('short'), undef, 'a short secret');
is(join('', $scan->of('1Bb2Cc3Dd4Ee')), "6 of $secret", 'whose it is');

# An id is no secret, and neither is what leads to it.

my $key = ApikeyTest::make_key();
my $public = substr $key->{key}, 0, 15;
my $known = LeakScan->new({ $key->{key} => $public });

is($known->find("key id $key->{id}, $public"), undef, 'what is public');
ok(defined $known->find('..' . substr($key->{key}, 7, 12) . '..'),
    'four letters of the secret behind the id');
ok(defined $known->find(substr $key->{key}, -12), 'the end of a key');

# Many secrets cost what one does.

my %many = map { ApikeyTest::make_key()->{key} => '' } 1 .. 500;
my $scan_many = LeakScan->new(\%many);
my $log = join '', map { "2026/11/21 10:00:00 [debug] 1#1: *$_ a line\n" }
    1 .. 100_000;

my $start = time;

is($scan_many->find($log), undef, 'many secrets, nothing in a long log');
cmp_ok(time - $start, '<', 5 * ApikeyTest::slow(), 'in a short time');

substr $log, -20, 12, substr((keys %many)[250], 20, 12);
ok(defined $scan_many->find($log), 'and a planted piece is found');

# The harness has it look at its logs: see ApikeyTest's done().

my $t = bless { secrets => {} }, 'ApikeyTest';

$t->secret($secret);
is($t->leak("... $secret"), substr($secret, 0, 12), 'the harness finds it');
is($t->leak('...'), undef, 'or nothing');

done_testing();
