#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for build.sh in a copy of the tree: what it makes, that a second run
# makes nothing again, what a change makes again, and that nothing outside of
# build/ is touched.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Find ();
use File::Temp ();
use Test::More;
use Time::HiRes ();

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/..');
my $src = '/usr/share/nginx/src';

plan(skip_all => 'there is no nginx-dev') unless -e "$src/src/core/nginx.h";

delete @ENV{qw(NGX_SRC NGX_CONF CC CFLAGS LDFLAGS DESTDIR PREFIX)};
delete @ENV{grep { /^APIKEY/ } keys %ENV};

my $tmp = File::Temp->newdir(TMPDIR => 1);
my $dir = "$tmp/copy";


# Runs a command with its output in one text.

sub run {
    my (@command) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        chdir '/';
        exec { $command[0] } @command;
        die "$command[0]: $!\n";
    }

    local $/;
    my $text = <$out> // '';
    close $out;

    return ($? >> 8, $text);
}


# When each file was changed.

sub times_of {
    my ($under, $skip) = @_;

    my %time;

    File::Find::find({ no_chdir => 1, wanted => sub {
        $File::Find::prune = 1, return if defined $skip && $_ eq $skip;
        $time{$_} = (Time::HiRes::lstat($_))[9] if -f || -l;
    } }, $under);

    return \%time;
}


sub built {
    return times_of("$dir/build");
}


# The objects and results that are newer than they were, without folders.

sub changed {
    my ($before, $after) = @_;

    my %name = map { File::Basename::basename($_) => 1 } grep {
        ($before->{$_} // 0) != $after->{$_}
    } grep { /\.(?:o|a|so)$|\/apikeyctl$/ } keys %$after;

    return \%name;
}


sub touch {
    my ($file) = @_;

    utime undef, undef, "$dir/$file" or die "$file: $!\n";
}


mkdir $dir;
run('cp', '-a', map({ "$root/$_" } qw(apikeyctl build.sh common config
    ngx_apikey_module)), $dir);
mkdir "$dir/t";

my $sources = times_of($dir);

# an nginx that the headers do not fit

open my $fake, '>', "$tmp/nginx" or die "nginx: $!\n";
print $fake "#!/bin/sh\necho 'nginx version: nginx/9.9.9' >&2\n";
close $fake;
chmod 0755, "$tmp/nginx";

{
    local $ENV{APIKEY_NGINX} = "$tmp/nginx";
    my ($status, $text) = run("$dir/build.sh");

    is($status, 1, 'another nginx: status');
    like($text, qr/nginx is 9\.9\.9, its headers in \S+ are of \d+\.\d+\.\d+/,
        'another nginx');
}

{
    local $ENV{NGX_SRC} = "$tmp/nowhere";
    my ($status, $text) = run("$dir/build.sh");

    is($status, 1, 'no sources: status');
    like($text, qr/NGX_SRC=\S+: there is no such folder/, 'no sources');
}

{
    local $ENV{NGX_SRC} = "$tmp";
    my ($status, $text) = run("$dir/build.sh");

    is($status, 1, 'a folder of other things: status');
    like($text, qr/holds no nginx sources/, 'a folder of other things');
}

# the first build

my ($status, $text) = run("$dir/build.sh");

is($status, 0, 'a build') or diag($text);
ok(-s "$dir/build/ngx_apikey_module.so", 'the module');
ok(-x "$dir/build/apikeyctl", 'the command');
is_deeply(times_of($dir, "$dir/build"), $sources, 'nothing else is touched');

($status, $text) = run('nm', '-D', '--defined-only',
    "$dir/build/ngx_apikey_module.so");

is_deeply([ sort $text =~ /(\S+)$/mg ],
    [ qw(ngx_module_names ngx_module_order ngx_modules) ],
    'the module shows what nginx looks for');

# the second

my $before = built();

($status, $text) = run("$dir/build.sh", 'build');
is($status, 0, 'a second build');
is($text, '', 'a second build is silent');
is_deeply(built(), $before, 'a second build makes nothing');

# a change of a source, of a header, of the list of sources

touch('common/ak_base64.c');
($status, $text) = run("$dir/build.sh");

my $after = built();

is($status, 0, 'a build after a change of a source');
is_deeply(changed($before, $after), { map { $_ => 1 } 'ak_base64.o',
    'libak.a', 'apikeyctl', 'ngx_apikey_module.so' },
    'a source: what comes of it is made again')
    or diag(explain(changed($before, $after)));

touch('common/ak_base64.h');
$before = $after;
run("$dir/build.sh");
$after = built();

ok(changed($before, $after)->{'ak_base64.o'}, 'a header: its source');
ok($after->{"$dir/build/obj/common/ak_error.o"}
    == $before->{"$dir/build/obj/common/ak_error.o"},
    'a header: not what is without it');

open my $new, '>', "$dir/common/ak_new.c" or die "ak_new.c: $!\n";
print $new "int ak_new(void);\nint ak_new(void)\n{\n    return 1;\n}\n";
close $new;

($status, $text) = run("$dir/build.sh");
is($status, 0, 'a build with a new source') or diag($text);
is(scalar(grep { /ak_new\.o$/ } keys %{ built() }), 2,
    'a new source is in the library and in the module');

unlink "$dir/common/ak_new.c";
($status, $text) = run("$dir/build.sh");
is($status, 0, 'a build without it again');
($status, $text) = run('nm', "$dir/build/libak.a");
unlike($text, qr/ak_new/, 'what was removed is gone');

# installing

{
    local $ENV{DESTDIR} = "$tmp/dest";
    local $ENV{PREFIX} = '/opt/apikey';

    ($status, $text) = run("$dir/build.sh", 'install');
    is($status, 0, 'install') or diag($text);
    ok(-x "$tmp/dest/opt/apikey/bin/apikeyctl", 'install: the command');
    is(scalar(grep { m{/ngx_apikey_module\.so$} }
        keys %{ times_of("$tmp/dest") }), 1, 'install: the module');
}

# a path that nginx's makefiles cannot have

rename $dir, "$tmp/a copy";
($status, $text) = run("$tmp/a copy/build.sh");
is($status, 1, 'a path with a blank: status');
like($text, qr/path with a blank/, 'a path with a blank');

run("$tmp/a copy/build.sh", 'clean');
ok(!-e "$tmp/a copy/build", 'clean');

done_testing();
