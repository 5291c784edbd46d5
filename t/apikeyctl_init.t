#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl init, and for keyrings that cannot be used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP ();
use Test::More;

use ApikeyCtl;

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};

my $dir = File::Temp->newdir(TMPDIR => 1);
my $file = "$dir/keyring";
my ($r, $d);

# a new keyring

{
    my $umask = umask 0;
    $r = ctl(['init', '--keyring', $file]);
    umask $umask;
}

is($r->{status}, 0, 'init');
is((stat $file)[2] & 07777, 0600, 'mode 0600 under umask 0');

my $text = slurp($file);

like($text, qr/^master [A-Za-z0-9+\/]{43}=$/m, 'a master key');
like($text, qr/^pepper [A-Za-z0-9+\/]{43}=$/m, 'a pepper');
like($r->{out}, qr/\Q$file\E.*master key [0-9a-f]{8}/, 'what was written');

my ($master) = $text =~ /^master (\S+)/m;
my ($pepper) = $text =~ /^pepper (\S+)/m;

unlike($r->{out} . $r->{err}, qr/\Q$master\E|\Q$pepper\E/, 'no secret shown');

# it is never overwritten

$r = ctl(['init', '--keyring', $file]);

is($r->{status}, 1, 'init on a keyring');
like($r->{err}, qr/^apikeyctl: \Q$file\E exists/, 'says so');
is(slurp($file), $text, 'left as it was');

symlink "$dir/nowhere", "$dir/link";
$r = ctl(['init', '--keyring', "$dir/link"]);
is($r->{status}, 1, 'init on a link to nowhere');
ok(!-e "$dir/nowhere", 'the link was not followed');

{
    my $umask = umask 0777;
    $d = ctl_json(['init'], env => { APIKEY_KEYRING => "$dir/second" });
    umask $umask;
}

is_deeply([sort keys %$d], ['keyring', 'kid'], 'fields of init --json');
is($d->{keyring}, "$dir/second", 'the file of APIKEY_KEYRING');
like($d->{kid}, qr/^[0-9a-f]{8}$/, 'kid');
is((stat "$dir/second")[2] & 07777, 0600, 'mode 0600 under umask 0777');
isnt(slurp("$dir/second"), $text, 'another keyring');

$d = ctl_json(['--keyring', "$dir/third", 'init'],
    env => { APIKEY_KEYRING => "$dir/second" });
is($d->{keyring}, "$dir/third", '--keyring goes before APIKEY_KEYRING');

# where it cannot be

$r = ctl(['init', '--keyring', "$dir/no/such/folder"]);
is($r->{status}, 4, 'init in no folder');
like($r->{err}, qr/^apikeyctl: .*cannot be created: No such file/, 'says so');

$r = ctl(['init']);
is($r->{status}, 2, 'init without a keyring');
like($r->{err}, qr/--keyring FILE/, 'says what to give');

$r = ctl(['init', '--keyring', 'env:KEYS']);
is($r->{status}, 2, 'init to a variable');

# what came out can be used, and what cannot is told with exit status 4

my @check = ('upstream', 'check', '--store', 'redis://127.0.0.1:1',
    '--keyring');

sub keyring {
    my ($mode, $content) = @_;

    unlink "$dir/bad";
    open my $fh, '>', "$dir/bad" or die "$dir/bad: $!\n";
    print $fh $content;
    close $fh;
    chmod $mode, "$dir/bad";

    return ctl([@check, "$dir/bad"]);
}

is(ctl([@check, $file])->{status}, 3, 'a good keyring, no store');
is(ctl([@check, 'env:KEYS'], env => { KEYS => $text })->{status}, 3,
    'a keyring in the environment');
is(keyring(0640, $text)->{status}, 3, 'a keyring that a group can read');

my @bad = (
    ['that the world can read', 0644, $text, qr/everyone/],
    ['that a group can write', 0660, $text, qr/written by others/],
    ['without a master key', 0600, "pepper $pepper\n", qr/master/],
    ['that is empty', 0600, '', qr/master/],
    ['with a bad line', 0600, "# one\n$text\nmastr $master\n", qr/line \d+/],
    ['with a short key', 0600, "master c2hvcnQ=\n", qr/line 1: .*5 bytes/],
    ['with bad base64', 0600, "#\nmaster " . ('*' x 44) . "\n", qr/line 2/],
);

for my $case (@bad) {
    my ($name, $mode, $content, $like) = @$case;

    $r = keyring($mode, $content);

    is($r->{status}, 4, "a keyring $name");
    like($r->{err}, qr/^apikeyctl: keyring/, "a keyring $name: named");
    like($r->{err}, $like, "a keyring $name: why");
    unlike($r->{err}, qr/\Q$master\E|\Q$pepper\E/,
        "a keyring $name: no secret");
    is($r->{out}, '', "a keyring $name: nothing printed");
}

$r = ctl([@check, "$dir/missing"]);
is($r->{status}, 4, 'no such keyring');
like($r->{err}, qr/No such file/, 'says so');

is(ctl([@check, $dir])->{status}, 4, 'a keyring that is a folder');
is(ctl([@check, 'env:NONE'])->{status}, 4, 'no such variable');
is(ctl([@check, 'env:KEYS'], env => { KEYS => 'x' })->{status}, 4,
    'a bad keyring in the environment');

done_testing();
