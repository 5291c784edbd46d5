#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the command line of apikeyctl: help, version, what is refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use ApikeyCtl;

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};

my @key = map { "key $_" } qw(create list show disable enable revoke delete);
my @upstream = map { "upstream $_" } qw(set list check delete);
my $r;

# help

$r = ctl(['--help']);
is($r->{status}, 0, '--help');
is($r->{err}, '', '--help writes nothing to stderr');
like($r->{out}, qr/^  \Q$_\E /m, "--help has $_") for 'init', @key, @upstream;
like($r->{out}, qr/Exit status: 0 done, 1 .* 4 keyring/s, 'exit status');

$r = ctl(['key', '--help']);
is($r->{status}, 0, 'key --help');
like($r->{out}, qr/^  \Q$_\E /m, "key --help has $_") for @key;
unlike($r->{out}, qr/^  upstream/m, 'key --help has no other noun');

for my $name ('init', @key, @upstream) {
    my @words = split / /, $name;

    for my $args ([@words, '--help'], [@words, '-h'], ['--help', @words]) {
        $r = ctl($args);
        is($r->{status}, 0, "@$args");
        like($r->{out}, qr/^Usage: apikeyctl $name /, "@$args: usage");
        like($r->{out}, qr/--store URL/, "@$args: common options");
    }
}

for my $option ('--version', '-V') {
    $r = ctl([$option]);
    is($r->{status}, 0, $option);
    like($r->{out}, qr/^apikeyctl \d+\.\d+\.\d+$/, "$option: the version");
}

# what is no command line; the store is never asked

my @store = ('--store', 'redis://127.0.0.1:1');
my $secret = 'sk-' . 'aB3' x 16;

my @refused = (
    ['nothing', [], qr/a command is missing/],
    ['an unknown noun', ['keys'], qr/no such command/],
    ['help of an unknown noun', ['keys', '--help'], qr/no such command/],
    ['no verb', ['key'], qr/a verb is missing.*"apikeyctl key --help"/],
    ['an unknown verb', ['key', 'make'], qr/no such verb/],
    ['help of an unknown verb', ['key', 'make', '--help'], qr/no such verb/],
    ['an unknown option', ['key', 'list', '--sort'], qr/no option --sort/],
    ['an unknown letter', ['key', 'list', '-q'], qr/no option -q/],
    ['an option without its value', ['key', 'create', '--owner'],
        qr/--owner wants a value/],
    ['a value that is not wanted', ['key', 'list', '--json=yes'],
        qr/--json has no value/],
    ['an option given twice', ['key', 'list', '--owner', 'a', '--owner', 'b'],
        qr/--owner is given twice/],
    ['an option of another command', ['key', 'list', '--brand', 'acme'],
        qr/--brand is no option/],
    ['no id', ['key', 'show'], qr/a word is missing/],
    ['two ids', ['key', 'show', 'a', 'b'], qr/more words/],
    ['no owner', ['key', 'create'], qr/--owner is missing/],
    ['an empty owner', ['key', 'create', '--owner', ''], qr/--owner is not/],
    ['an owner with a newline', ['key', 'create', '--owner', "a\nb"],
        qr/--owner is not/],
    ['an owner that is too long', ['key', 'create', '--owner', 'x' x 129],
        qr/--owner is not/],
    ['an owner that is no UTF-8', ['key', 'create', '--owner', "\xff\xfe"],
        qr/--owner is not/],
    ['the owner *', ['key', 'create', '--owner', '*'], qr/--shared/],
    ['a bad name', ['key', 'create', '--owner', 'a', '--name', ' x'],
        qr/--name is not/],
    ['a bad span', ['key', 'create', '--owner', 'a', '--expires', '90x'],
        qr/--expires: .*is no time/],
    ['a time that is past',
        ['key', 'create', '--owner', 'a', '--expires', '2001-01-01'],
        qr/--expires: .*future/],
    ['an upstream key of nobody', ['upstream', 'set', 'openai'],
        qr/--owner OWNER, or --shared/],
    ['an upstream key of two',
        ['upstream', 'set', '--shared', '--owner', 'a', 'openai'],
        qr/exclude each other/],
    ['no provider', ['upstream', 'set', '--shared'], qr/a word is missing/],
    ['no name of a provider', ['upstream', 'set', '--shared', 'Closed'],
        qr/a provider is a name of .*a-z/],
    ['a bad slot',
        ['upstream', 'set', '--shared', 'openai', '--slot', 'a|b'],
        qr/--slot/],
    ['a secret as a word', ['upstream', 'set', '--shared', 'openai', $secret],
        qr/never given on the command line.*standard input/],
    ['a secret as the provider', ['upstream', 'set', '--shared', $secret],
        qr/a provider is a name of/],
    ['a secret as an option',
        ['upstream', 'set', '--shared', 'openai', '--secret', $secret],
        qr/never given on the command line.*standard input/],
    ['a secret as the value of an option',
        ['upstream', 'set', '--shared', 'openai', "--secret=$secret"],
        qr/never given on the command line/],
    ['a secret as a made-up option',
        ['upstream', 'set', '--shared', 'openai', "--$secret"],
        qr/no such option/],
    ['a whole key for an id', ['key', 'revoke', $secret],
        qr/this is a key.*its id is wanted/],
    ['a key in pieces for an id', ['key', 'show', "x$secret"],
        qr/not the id of a key/],
);

for my $case (@refused) {
    my ($name, $args, $like) = @$case;

    $r = ctl([@store, @$args], env => { APIKEY_KEYRING => '/nowhere' });

    is($r->{status}, 2, "$name: exit status");
    is($r->{out}, '', "$name: nothing printed");
    like($r->{err}, $like, "$name: why");
    unlike($r->{err}, qr/^(?!apikeyctl: )/m, "$name: who says it");
    unlike($r->{err}, qr/aB3aB3/, "$name: no secret");
}

# a brand is looked at when the key is made

for my $brand ('Acme', 'a--b', '-a', 'x' x 33) {
    $r = ctl([@store, 'key', 'create', '--owner', 'a', "--brand=$brand"]);
    is($r->{status}, 2, "brand $brand");
    like($r->{err}, qr/--brand: /, "brand $brand: why");
}

# the store

my @bad = (
    ['no store', undef, qr/--store URL, or set APIKEY_STORE/],
    ['an empty store', '', qr/--store URL, or set APIKEY_STORE/],
    ['an unknown scheme', 'http://127.0.0.1', qr/redis:\/\//],
    ['a password in the URL', "redis://u:aB3aB3\@127.0.0.1", qr/password/],
    ['an unknown option', 'redis://127.0.0.1 color=red', qr/color/],
    ['a bad port', 'redis://127.0.0.1:99999', qr/port/],
    ['blanks', '   ', qr/URL/],
);

for my $case (@bad) {
    my ($name, $store, $like) = @$case;

    $r = ctl(['key', 'list'], env => { APIKEY_STORE => $store });

    is($r->{status}, 2, "$name: exit status");
    like($r->{err}, $like, "$name: why");
    unlike($r->{err}, qr/aB3aB3/, "$name: no secret");
}

# a keyring is wanted by some commands and not by others

$r = ctl([@store, 'upstream', 'check']);
is($r->{status}, 2, 'upstream check without a keyring');
like($r->{err}, qr/no keyring is named.*apikeyctl init/, 'says what to do');

is(ctl([@store, 'key', 'list'], env => { APIKEY_KEYRING => '/nowhere' })
    ->{status}, 3, 'keys need no keyring');

# a help that cannot be printed

if (-e '/dev/full') {
    $r = ctl(['--help'], out => '/dev/full');
    is($r->{status}, 1, '--help on a full disk');
    like($r->{err}, qr/cannot be written: No space left/, 'says so');
}

# options among the words, also where POSIX would end them

$r = ctl(['key', 'list', 'x', '--brand', 'y'],
    env => { POSIXLY_CORRECT => 1 });
like($r->{err}, qr/--brand is no option/, 'options behind words');

done_testing();
