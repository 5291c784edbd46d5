#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for build.sh: its help says all that it can do, and wrong words are
# refused before anything is done.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use Test::More;

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/..');


sub build_sh {
    my (@args) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        chdir '/';
        exec "$root/build.sh", @args;
        die "build.sh: $!\n";
    }

    local $/;
    my $text = <$out> // '';
    close $out;

    return ($? >> 8, $text);
}


open my $fh, '<', "$root/build.sh" or die "build.sh: $!\n";
my @commands = map { /^cmd_(\w+)\(\)/ ? $1 : () } <$fh>;

cmp_ok(scalar @commands, '>', 8, 'commands');

for my $help (qw(help --help -h)) {
    my ($status, $text) = build_sh($help);

    is($status, 0, "$help: status");
    like($text, qr/^  \Q$_\E\b/m, "$help: $_") for @commands;
    like($text, qr/^  help\b/m, "$help: help");
}

my ($status, $text) = build_sh('nonsense');

is($status, 2, 'an unknown command: status');
like($text, qr/^usage: /, 'an unknown command: usage');

($status, $text) = build_sh('deps', 'nonsense');

is($status, 1, 'an unknown set of packages: status');
like($text, qr/no set "nonsense"/, 'an unknown set of packages');

for my $command ('test', 'asan', 'valgrind') {
    ($status, $text) = build_sh($command, '--store', 'nonsense');

    is($status, 1, "$command, an unknown store: status");
    is($text, "build.sh: --store: one of tcp unix tls sentinel cluster\n",
        "$command, an unknown store");
}

done_testing();
