#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for config, the add-on script of nginx: each library that is missing is
# named in one sentence; the order of modules, dynamic and static.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use File::Temp ();
use Test::More;

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/..');
my $src = $ENV{NGX_SRC} || '/usr/share/nginx/src';

plan(skip_all => 'there is no nginx-dev') unless -e "$src/src/core/nginx.h";

my $tmp = File::Temp->newdir(TMPDIR => 1);

# Nothing is written to the sources: links to them are configured.

mkdir "$tmp/src";
symlink $_, "$tmp/src/" . File::Basename::basename($_)
    for grep { !m{/(?:Makefile|objs)$} } glob "$src/*";
symlink 'auto/configure', "$tmp/src/configure";


sub configure {
    my (@args) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        chdir "$tmp/src";
        exec './configure', '--with-compat', @args;
        die "configure: $!\n";
    }

    local $/;
    my $text = <$out> // '';
    close $out;

    return ($? >> 8, $text);
}


sub read_file {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;

    return <$fh>;
}


# The modules that are named here, in the order of a list of nginx's.

sub order {
    my ($file) = @_;

    my ($list) = read_file($file) =~ /ngx_modules\[\] = \{(.*?)\}/s;

    return join ' ', grep {
        /^ngx_http_(?:apikey\w*|access|copy_filter)_module$/
    } $list =~ /&(\w+)/g;
}


my %missing = (
    'hiredis/hiredis.h' => 'the hiredis library (Debian: libhiredis-dev).',
    'openssl/opensslv.h' => 'OpenSSL 3.0 or newer (Debian: libssl-dev).',
    'jansson.h' => 'the jansson library (Debian: libjansson-dev).',
);

for my $header (sort keys %missing) {
    my $fake = "$tmp/fake-" . ($header =~ s/\W/_/gr);

    File::Path::make_path(File::Basename::dirname("$fake/$header"));
    open my $fh, '>', "$fake/$header" or die "$header: $!\n";
    print $fh "#error missing\n";
    close $fh;

    my ($status, $text) = configure("--with-cc-opt=-I$fake",
        "--add-dynamic-module=$root", "--builddir=$fake/objs");

    is($status, 1, "$header: status");
    is((split /\n/, $text)[-1], './configure: error: ngx_apikey_module needs '
        . $missing{$header}, "$header: the last line says it");
}

my ($status, $text) = configure("--add-dynamic-module=$root",
    "--builddir=$tmp/dynamic");

is($status, 0, 'dynamic') or diag($text);
like($text, qr/ \+ ngx_apikey_module was configured/, 'dynamic: configured');

my $list = read_file("$tmp/dynamic/ngx_apikey_module_modules.c");
my ($names) = $list =~ /ngx_module_names\[\] = \{(.*?)\}/s;
my ($order) = $list =~ /ngx_module_order\[\] = \{(.*?)\}/s;

is(join(' ', $names =~ /"(\w+)"/g),
    'ngx_http_apikey_module ngx_http_apikey_filter_module', 'dynamic: names');
is(join(' ', $order =~ /"(\w+)"/g), 'ngx_http_apikey_module'
    . ' ngx_http_access_module ngx_http_apikey_filter_module'
    . ' ngx_http_copy_filter_module', 'dynamic: order');

($status, $text) = configure("--add-module=$root", "--builddir=$tmp/static");

is($status, 0, 'static') or diag($text);
is(order("$tmp/static/ngx_modules.c"), 'ngx_http_apikey_module'
    . ' ngx_http_access_module ngx_http_apikey_filter_module'
    . ' ngx_http_copy_filter_module', 'static: order');

($status, $text) = configure("--add-module=$root", "--builddir=$tmp/without",
    '--without-http_access_module');

is($status, 0, 'static, without the access module') or diag($text);
is(order("$tmp/without/ngx_modules.c"), 'ngx_http_apikey_module'
    . ' ngx_http_apikey_filter_module ngx_http_copy_filter_module',
    'static, without the access module: order');

done_testing();
