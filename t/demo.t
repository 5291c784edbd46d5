#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the demonstration: it checks its own answers, and leaves nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Test::More;

use ApikeyTest;

plan(skip_all => 'not under ' . ApikeyTest::flavour())
    if ApikeyTest::flavour() ne 'plain';

my $tmp = File::Temp->newdir('apikey-demos-XXXXXX', TMPDIR => 1);
my $root = ApikeyTest::root();

$ENV{TMPDIR} = $tmp->dirname;
$ENV{APIKEY_MODULE} ||= "$root/build/ngx_apikey_module.so";
$ENV{APIKEYCTL} ||= "$root/build/apikeyctl";
$ENV{APIKEY_NGINX} ||= ApikeyTest::_nginx();


sub demo {
    open my $fh, '-|', "'$^X' -I'$root/t/lib' '$root/t/lib/demo.pl' @_ 2>&1"
        or die "demo: $!\n";
    local $/;
    my $text = <$fh>;
    close $fh;

    return ($? >> 8, $text);
}


for my $args ('--once', '--once --embedded') {
    my ($status, $text) = demo($args);

    is($status, 0, "$args: all answers were right") or diag($text);
    unlike($text, qr/WRONG/, "$args: none was wrong");
    is($text =~ /redis/i ? 1 : 0, $args =~ /embedded/ ? 0 : 1,
        "$args: with or without Redis");
    is_deeply([ glob "$tmp/*" ], [], "$args: nothing is left");
}

is((demo('--ones'))[0], 2, 'another argument');

done_testing();
