#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the rules of "build.sh lint": each offence is found where it is, and
# what is right is left alone.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use File::Temp ();
use Test::More;

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/..');
my $head = "\n/*\n * Copyright (C) ngx_apikey_module contributors\n */\n\n\n";


# What .ci/lint says of a tree that holds these files.

sub lint {
    my (%files) = @_;

    my $dir = File::Temp->newdir(TMPDIR => 1);

    for my $name (keys %files) {
        File::Path::make_path("$dir/" . File::Basename::dirname($name));
        open my $fh, '>', "$dir/$name" or die "$name: $!\n";
        print $fh $files{$name};
        close $fh;
    }

    open my $out, '-|', "$root/.ci/lint", "$dir" or die "lint: $!\n";
    local $/;
    my $text = <$out> // '';
    close $out;

    return ($? >> 8, $text);
}


sub clean {
    my ($what, %files) = @_;

    is_deeply([ lint(%files) ], [ 0, '' ], $what);
}


sub offence {
    my ($what, $name, $text, $line, $message) = @_;

    my ($status, $found) = lint($name => $text);

    is($found, "$name:$line: $message\n", $what);
    is($status, 1, "$what: status");
}


my $function = "static int\nf(int a)\n{\n%s}\n";
my $tab = chr 9;

clean('an empty function', 'common/ak_x.c',
    $head . sprintf $function, "    return a;\n");
clean('slashes in a string, in a character and in a comment', 'common/ak_x.c',
    $head . "/* http://localhost */\nchar *a = \"redis://\", b = '/';\n");
clean('the name of the module', 'common/ak_x.c',
    $head . "/* ngx_apikey_module */\n");
clean('hiredis in its file', 'common/ak_resp.c',
    "$head#include <hiredis/hiredis.h>\n");
clean('OpenSSL in its file', 'common/ak_crypt.c',
    "$head#include <openssl/evp.h>\n");
clean('nginx in its folder', 'ngx_apikey_module/ngx_x.h',
    "$head#include <ngx_core.h>\n");
clean('prose is wide', 'README.md', 'x' x 200 . "\n");
clean('a makefile has tabs', 'common/Makefile', "all:\n${tab}true\n");
clean('a build is not looked at', 'build/x.c', "${tab}x //\n");
clean('a condition of two lines', 'common/ak_x.c', $head
    . sprintf($function, "    if (a\n        && a)\n    {\n        a++;\n"
        . "    }\n"));
clean('a function of 100 lines', 'common/ak_x.c',
    $head . sprintf $function, "    a++;\n" x 100);

offence('81 columns', 'common/ak_x.c', $head . '/* ' . 'x' x 75 . " */\n",
    7, 'longer than 80 columns');
offence('81 columns of Perl', 't/x.t', '#' x 81 . "\n",
    1, 'longer than 80 columns');
offence('a tab', 'common/ak_x.c', "${head}int${tab}a;\n", 7, 'tab');
offence('a space at the end', 'README.md', "x \n", 1,
    'space at the end of the line');
offence('a line of DOS', 'README.md', "x\r\n", 1,
    'space at the end of the line');
offence('no newline', 'README.md', 'x', 1, 'no newline at the end');
offence('a blank line at the end', 'README.md', "x\n\n", 2,
    'blank line at the end');
offence('a comment of C++', 'common/ak_x.c', "${head}int a;  // x\n",
    7, '// comment');
offence('no copyright', 'common/ak_x.c', "int a;\n", 1,
    'does not start with a blank line and a copyright');
offence('a long function', 'common/ak_x.c', $head
    . sprintf($function, "    a++;\n" x 101), 9, 'a function of 101 lines');
offence('no braces', 'common/ak_x.c', $head
    . sprintf($function, "    if (a)\n        a++;\n"), 10, 'no braces');
offence('no blank line before else', 'common/ak_x.c', $head
    . sprintf($function, "    if (a) {\n        a++;\n    } else {\n"
        . "        a--;\n    }\n"), 12, 'no blank line before "} else"');

for my $name (qw(common/ak_x.c apikeyctl/ctl_x.c t/unit/x.c)) {
    offence("nginx in $name", $name, "${head}ngx_str_t  a;\n", 7,
        'nginx has no place in this file');
    offence("a macro of nginx in $name", $name, "${head}#if NGX_DEBUG\n", 7,
        'nginx has no place in this file');
}

for my $name (qw(common/ak_x.c apikeyctl/ctl_x.c ngx_apikey_module/ngx_x.h)) {
    offence("hiredis in $name", $name, "$head#include <hiredis/read.h>\n", 7,
        'hiredis has no place in this file');
    offence("OpenSSL in $name", $name, "$head#include <openssl/evp.h>\n", 7,
        'OpenSSL has no place in this file');
}

offence('sockets in the library', 'common/ak_x.c',
    "$head#include <sys/socket.h>\n", 7, 'sockets has no place in this file');

my ($status, $text) = lint('config' => "srcs=\"\$dir/ngx_a.c\"\n",
    'ngx_apikey_module/ngx_a.c' => $head . "int  a;\n",
    'ngx_apikey_module/ngx_b.c' => $head . "int  b;\n");

is($text, "ngx_apikey_module/ngx_b.c:1: is not in config\n",
    'a file that config leaves out');

done_testing();
