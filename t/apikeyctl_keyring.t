#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl keyring: check, add, rotate, retire; what of the file
# changes and what does not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;
use TestProc;

my $redis = ApikeyRedis::available() ? ApikeyRedis->new : undef;
my $dir = File::Temp->newdir('apikey-keyring-XXXXXX', TMPDIR => 1);
my $keyring = "$dir/keyring";
my ($r, $d, %told);

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};
$ENV{APIKEY_KEYRING} = $keyring;


sub put {
    my ($path, $text, $mode) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh;
    chmod $mode // 0600, $path;
}


# Runs a command, and sees that it tells no master key.

sub run {
    my ($args, %opt) = @_;

    $told{$_} = 1 for slurp($keyring) =~ /^\s*(?:master|pepper)\s+(\S+)/mg;

    my $res = ctl($args, %opt);

    $told{$_} = 1 for slurp($keyring) =~ /^\s*(?:master|pepper)\s+(\S+)/mg;

    for my $secret (keys %told) {
        next if index("$res->{out}$res->{err}", substr $secret, 0, 12) < 0;
        fail("no secret is told by @$args");
    }

    return $res;
}


sub json {
    my $res = run(['--json', @_]);

    return $res->{status} == 0 ? JSON::PP->new->utf8->decode($res->{out}) : {};
}


# The kids, in the order of the file.

sub kids {
    my $res = ctl(['--json', 'keyring', 'check'],
        env => { APIKEY_STORE => undef });

    return $res->{status} ? $res->{err}
        : join ' ', map { $_->{kid} }
            @{ JSON::PP->new->utf8->decode($res->{out})->{masters} };
}


# A new one

my $old = ctl_json(['init'])->{kid};
my ($master, $pepper) = slurp($keyring) =~ /^(master .*\n)(pepper .*\n)/m;
my $text = "# mine\n\n$pepper# \xc3\xa9, the first:\n \t$master# the end";

put($keyring, $text, 0640);
chown 1, 1, $keyring if $> == 0;

my @stat = (stat $keyring)[2, 4, 5];

$r = run(['keyring', 'rotate']);
is($r->{status}, 0, 'rotate') or diag($r->{err});

my ($new) = $r->{out} =~ /^Master key ([0-9a-f]{8}) seals now; $old goes on/;

ok($new && $new ne $old, 'old and new kid');
like($r->{out}, qr/reload nginx.*upstream reseal.*keyring retire $old/s,
    'what is to be done next');
is(kids(), "$new $old", 'the new one is first');
is_deeply([ (stat $keyring)[2, 4, 5] ], \@stat, 'the mode and whose it is');
ok(!-e "$keyring.new", 'nothing is left');

(my $without = slurp($keyring)) =~ s/^master .*\n//m;
is($without, $text, 'all else is as it was, byte for byte');
like(slurp($keyring), qr/the first:\nmaster \S{44}\n \tmaster /,
    'the new line is before the old one');

$d = json('keyring', 'rotate');
is_deeply($d, { keyring => $keyring, kid => $d->{kid}, old_kid => $new,
    seals => JSON::PP::true, changed => JSON::PP::true }, 'rotate --json');
is(kids(), "$d->{kid} $new $old", 'another one');

# One that opens only, which seals later

put($keyring, $text);
$d = json('keyring', 'add');
is_deeply($d, { keyring => $keyring, kid => $d->{kid}, old_kid => $old,
    seals => JSON::PP::false, changed => JSON::PP::true }, 'add --json');
$new = $d->{kid};
is(kids(), "$old $new", 'it is the last');
($without = slurp($keyring)) =~ s/^master .*\n//m;
is($without, $text, 'add: all else is as it was');

$r = run(['keyring', 'rotate', $new]);
is($r->{status}, 0, 'rotate to it');
like($r->{out}, qr/^Master key $new seals now; $old goes on opening/, 'so');
is(kids(), "$new $old", 'it is the first');
ok(!json('keyring', 'rotate', $new)->{changed}, 'which it was already');

$r = run(['keyring', 'add']);
like($r->{out},
    qr/it opens; $new goes on sealing.*reload nginx.*keyring rotate/s,
    'add, what is to be done next');

# A link is the name of another file

mkdir "$dir/real";
put("$dir/real/keyring", $text);
symlink 'real/keyring', "$dir/link" or die;
is(run(['--keyring', "$dir/link", 'keyring', 'rotate'])->{status}, 0, 'a link');
ok(-l "$dir/link", 'is a link yet');
like(slurp("$dir/real/keyring"), qr/the first:\nmaster /,
    'what it leads to has changed');
symlink 'nowhere', "$dir/broken" or die;
is(run(['--keyring', "$dir/broken", 'keyring', 'rotate'])->{status}, 4,
    'a link to nothing');

# What is not done

put($keyring, $text);

for my $verb (['rotate'], ['add'], ['retire', $old, '--force']) {
    my ($name) = @$verb;

    $r = run(['keyring', @$verb, '--keyring', 'env:RING'],
        env => { RING => $text });
    is($r->{status}, 2, "$name of an environment variable");
    like($r->{err}, qr/environment variable.*--keyring FILE/,
        "$name, what to do");

    is(run(['keyring', @$verb], env => { APIKEY_KEYRING => undef })->{status},
        2, "$name without a keyring");
    is(run(['keyring', @$verb, '--keyring', "$dir/none"])->{status}, 4,
        "$name of no file");
    ok(!-e "$dir/none.lock", "$name of no file, no lock");

    chmod 0644, $keyring;
    $r = run(['keyring', @$verb]);
    is($r->{status}, 4, "$name of a file that everybody reads");
    like($r->{err}, qr/chmod 600/, "$name, what to do about it");
    chmod 0600, $keyring;
}

mkdir "$keyring.new";
$r = run(['keyring', 'rotate']);
is($r->{status}, 4, 'a file that cannot be written');
is(slurp($keyring), $text, 'it is as it was');
rmdir "$keyring.new";

put($keyring, "$text\nmaster short\n");
$r = run(['keyring', 'rotate']);
is($r->{status}, 4, 'a bad line');
like($r->{err}, qr/line \d+: the key/, 'which one');

put($keyring, $text);
put("$keyring.new", 'left by somebody who was killed');
is(run(['keyring', 'rotate'])->{status}, 0, 'what was left is in no way');
ok(!-e "$keyring.new", 'and goes');

for my $word ('x', uc $old, "${old}0", 'deadbee', '') {
    is(run(['keyring', $_, $word])->{status}, 2, "$_ \"$word\"")
        for qw(rotate retire);
}

$r = run(['keyring', 'retire', 'deadbeef', '--force']);
is($r->{status}, 1, 'retire of one that is not there');
like($r->{err}, qr/keyring check.* shows/, 'what shows them');

$r = run(['keyring', 'rotate', 'deadbeef']);
is($r->{status}, 1, 'rotate to one that is not there');
like($r->{err}, qr/no such master key/, 'says so');

# All at once: each is added to what the others have written.

put($keyring, $text);

my @pids = map { TestProc::spawn([ ctl_program(), 'keyring',
    $_ % 2 ? 'rotate' : 'add' ]) } 1 .. 7;

TestProc::wait_until(sub { !grep { TestProc::alive($_) } @pids }, 30, 'all');

my @kids = split ' ', kids();

is(scalar @kids, 8, 'seven at once');

# There is room for eight.

my $full = slurp($keyring);

for my $verb (qw(rotate add)) {
    $r = run(['keyring', $verb]);
    is($r->{status}, 1, "$verb of a ninth");
    like($r->{err}, qr/8 master keys.*keyring retire.*does not seal: \Q@{[
        join ', ', @kids[1 .. 7] ]}\E/, "$verb, which can go");
}

is(slurp($keyring), $full, 'nothing has changed');

# Whose the keyring is, his is the lock, who of the two came first.

SKIP: {
    skip 'only root gives files away', 3 if $> != 0;

    my $uid = getpwnam 'nobody';

    put("$dir/theirs", $text);
    chown $uid, -1, "$dir/theirs";
    is(run(['--keyring', "$dir/theirs", 'keyring', 'add'])->{status}, 0,
        'the keyring of somebody else');
    is((stat "$dir/theirs.lock")[4], $uid, 'the lock is his too');

    # what is there before is not given to anybody

    put("$dir/other", $text);
    put("$dir/secret", 'x');
    chown $uid, -1, "$dir/other";
    symlink "$dir/secret", "$dir/other.lock" or die;
    run(['--keyring', "$dir/other", 'keyring', 'add']);
    is((stat "$dir/secret")[4], 0, 'what a link leads to is not his');
}

mkdir "$dir/locked";
put("$dir/locked/ring", $text);
mkdir "$dir/locked/ring.lock";
$r = run(['--keyring', "$dir/locked/ring", 'keyring', 'add']);
is($r->{status}, 4, 'a lock that cannot be opened');
like($r->{err}, qr{ring cannot be locked: \Q$dir\E/locked/ring\.lock: Is a },
    'which one');

unlike(run(['keyring', 'check', '--help'])->{out}, qr/ $/m,
    'help without a space at the end of a line');

# retire

$r = run(['keyring', 'retire', $old]);
is($r->{status}, 2, 'retire without a store');
like($r->{err}, qr/--store URL, or --force/, 'what to do');

$d = json('keyring', 'retire', $kids[7], '--force');
is_deeply($d, { keyring => $keyring, kid => $kids[7],
    retired => JSON::PP::true }, 'retire --json');
is(kids(), join(' ', @kids[0 .. 6]), 'it is gone');

$r = run(['keyring', 'retire', $kids[7], '--force']);
is($r->{status}, 1, 'again');
like($r->{err}, qr/no such master key/, 'there is no such');

put($keyring, $text);
$r = run(['keyring', 'retire', $old, '--force']);
is($r->{status}, 1, 'the only one');
like($r->{err}, qr/only master key/, 'says so');
is(slurp($keyring), $text, 'is left');

is(run(['keyring', 'rotate', '--force'])->{status}, 2, '--force of rotate');

# check

put($keyring, "$master");
$r = run(['keyring', 'check']);
is($r->{status}, 0, 'check without a store');
is($r->{out}, "KID       SEALS  IN KEYRING  TOKENS\n"
    . "$old  yes    yes         -\n"
    . "There is no pepper: keys of other systems are refused.\n", 'its table');
put($keyring, $text);
is_deeply(json('keyring', 'check'), { keyring => $keyring,
    pepper => JSON::PP::true, masters => [ { kid => $old, tokens => undef,
        seals => JSON::PP::true, in_keyring => JSON::PP::true } ] },
    'check --json');

$d = JSON::PP->new->utf8->decode(run(['--json', 'keyring', 'check',
    '--keyring', 'env:RING'], env => { RING => $text })->{out});
is($d->{masters}[0]{kid}, $old, 'check of an environment variable');

$r = run(['keyring', 'check', '--store', 'redis+unix:/nowhere/sock']);
is($r->{status}, 3, 'check with a store that is not there');
like($r->{out}, qr/^$old +yes +yes +-$/m, 'the keyring is shown');

chmod 0644, $keyring;
is(run(['keyring', 'check'])->{status}, 4, 'check of a file that all read');


# With what a store has: the same of both kinds.

for my $kind ($redis ? 'redis' : (), 'file') {
    $ENV{APIKEY_STORE} = $kind eq 'file' ? "file:$dir/store"
        : $redis->unix_url;
    put($keyring, $text);

    is(run(['keyring', 'check'])->{status}, $kind eq 'file' ? 1 : 0,
        "$kind, check of an empty store");

    for my $owner (qw(alice bob)) {
        ctl(['upstream', 'set', '--owner', $owner, 'openai', '--slot', $_],
            in => "secret-$_") for qw(one two);
    }

    $new = json('keyring', 'rotate')->{kid};
    ctl(['upstream', 'set', '--shared', 'groq'], in => 'another-secret');

    $d = json('keyring', 'check');
    is_deeply([ map { "$_->{kid} $_->{tokens}" } @{ $d->{masters} } ],
        [ "$new 1", "$old 4" ], "$kind, check counts");
    is("$d->{tokens} $d->{unknown} $d->{damaged} $d->{unreadable}", '5 0 0 0',
        "$kind, check, nothing is wrong");

    $r = run(['keyring', 'retire', $old]);
    is($r->{status}, 1, "$kind, retire of one that is used");
    like($r->{err}, qr/4 of 5 tokens are sealed under it.*upstream reseal/,
        "$kind, what to do");
    is(kids(), "$new $old", "$kind, it is there yet");

    # without it

    put("$dir/less", join('', slurp($keyring) =~ /^(master .*\n)/m));
    $r = run(['keyring', 'check', '--keyring', "$dir/less"]);
    is($r->{status}, 4, "$kind, a master key that is not there");
    like($r->{out}, qr/^$old +no +no +4$/m, "$kind, which one");
    like($r->{err}, qr/4 of 5 tokens.*not in this keyring/, "$kind, how many");

    $r = run(['upstream', 'reseal']);
    is($r->{status}, 0, "$kind, reseal") or diag($r->{err});
    is($r->{out}, "Sealed anew 4, already under $new 1, left as they are 0.\n",
        "$kind, its summary");
    is_deeply(ctl_json(['upstream', 'reseal']), { kid => $new, resealed => 0,
        already => 5, failed => [], complete => JSON::PP::true },
        "$kind, again");
    is(ctl(['upstream', 'check'])->{status}, 0, "$kind, all of them open");

    is(run(['keyring', 'retire', $old])->{status}, 0, "$kind, retire");
    is(kids(), $new, "$kind, it is gone");
    is(run(['keyring', 'check'])->{status}, 0, "$kind, all is well");
    is(ctl(['upstream', 'check'])->{status}, 0, "$kind, all of them open yet");

    # the one that seals: reseal would do nothing for it

    $r = run(['keyring', 'retire', $new]);
    is($r->{status}, 1, "$kind, retire of the one that seals");
    like($r->{err}, qr/only master key/, "$kind, the only one");

    # it goes too, if it has sealed nothing

    $d = json('keyring', 'rotate')->{kid};
    $r = run(['keyring', 'retire', $d]);
    is($r->{status}, 0, "$kind, taken back");
    like($r->{out}, qr/^Master key $d .*; $new seals now\.$/m,
        "$kind, which one seals then");
    $d = json('keyring', 'add')->{kid};
    $r = run(['keyring', 'retire', $new]);
    is($r->{status}, 1, "$kind, retire of the one that seals, of two");
    like($r->{err}, qr/first .*keyring rotate .*upstream reseal/,
        "$kind, what is to be done first");
    is(run(['keyring', 'retire', $d])->{status}, 0, "$kind, the other one");
    is(kids(), $new, "$kind, as it was");

    # what nobody can tell of

    $new = json('keyring', 'rotate')->{kid};

    if ($kind eq 'file') {
        my $line = (split /\n/, slurp("$dir/store"))[0];

        put("$dir/store", slurp("$dir/store") . "$line\n", 0640);

    } else {
        $redis->cli('SET', 'apikey:upstream:eve:openai', 'no hash');
    }

    is(run(['upstream', 'reseal'])->{status}, 1, "$kind, reseal of the others");

    my ($last) = grep { $_ ne $new } split ' ', kids();

    $r = run(['keyring', 'retire', $last]);
    is($r->{status}, 1, "$kind, retire where not all can be read");
    like($r->{err}, qr/cannot be read.*--force/, "$kind, what to do");
    $r = run(['keyring', 'check']);
    is($r->{status}, 1, "$kind, check where not all can be read");
    is(run(['keyring', 'retire', $last, '--force'])->{status}, 0,
        "$kind, retire --force");
}

done_testing();
