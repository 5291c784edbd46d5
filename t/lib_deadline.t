#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the tests' own deadline: one that waits for ever is ended, and says
# where it was.

use strict;
use warnings;

use Test::More;

use FindBin;

my $code = 'sub waits { while () { select undef, undef, undef, 1 } } waits()';
my $start = time;

open my $out, '-|', "$^X -I$FindBin::Bin/lib -MTestDeadline=1 -e '$code' 2>&1"
    or die "perl: $!\n";

my $said = join '', <$out>;

close $out;

is($? >> 8, 1, 'it has failed');
like($said, qr/^-e was not over after 1 seconds/, 'it says why');
like($said, qr/main::waits\(\) called/, 'and where it was');
cmp_ok(time - $start, '<', 60, 'in time');

done_testing();
