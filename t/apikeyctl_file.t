#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl on the embedded store: the same commands, a file that is
# replaced as a whole, and nobody's change that is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy ();
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Test::More;

use ApikeyCtl;
use TestProc;

my $dir = File::Temp->newdir('apikey-file-XXXXXX', TMPDIR => 1);
my $path = "$dir/store";

$ENV{APIKEY_STORE} = "file:$path";
$ENV{APIKEY_KEYRING} = "$dir/keyring";

my ($r, $d, $key, $before, @lines);


sub write_file {
    my ($text) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh;
}


is(ctl(['init'])->{status}, 0, 'a keyring');

# No file yet

for (['key', 'list'], ['key', 'show', 'a1'], ['upstream', 'list']) {
    $r = ctl($_);
    is($r->{status}, 1, "@$_, no file");
    like($r->{err}, qr/not there yet.*key create/, "@$_, no file, what to do");
}

$key = ctl_json(['key', 'create', '--owner', 'alice']);
ok(-e $path, 'the first key makes it');
is((stat $path)[2] & 07777, 0640, 'its mode');
unlike(slurp($path), qr/\Q@{[ substr $key->{key}, 15, 12 ]}/, 'no key in it');

# All commands

is(ctl(['key', 'disable', $key->{id}])->{status}, 0, 'disable');
is(ctl_json(['key', 'show', $key->{id}])->{status}, 'disabled', 'disabled');
is(ctl(['key', 'enable', $key->{id}])->{status}, 0, 'enable');
is(ctl_json(['key', 'show', $key->{id}])->{status}, 'active', 'enabled');
is(ctl(['upstream', 'set', '--shared', 'openai'], in => "up-0Aa1Bb2Cc3Dd\n")
    ->{status}, 0, 'upstream set');
is(ctl(['upstream', 'set', '--owner', 'a:b', 'google', '--slot', 'two'],
    in => "up-9Zz8Yy7Xx6Ww\n")->{status}, 0, 'upstream set, another');
is(ctl(['upstream', 'check'])->{status}, 0, 'upstream check');
$d = ctl_json(['upstream', 'list']);
is_deeply([ map { "$_->{owner} $_->{provider} $_->{slot}" } @$d ],
    [ '* openai default', 'a:b google two' ], 'upstream list');
is(ctl(['upstream', 'delete', '--owner', 'a:b', 'google', '--slot', 'two'])
    ->{status}, 0, 'upstream delete');
is(ctl(['upstream', 'delete', '--owner', 'a:b', 'google', '--slot', 'two'])
    ->{status}, 1, 'upstream delete, again');
is(@{ ctl_json(['upstream', 'list']) }, 1, 'upstream list, one');
is(ctl(['key', 'revoke', $key->{id}])->{status}, 0, 'revoke');
is(ctl(['key', 'delete', $key->{id}])->{status}, 0, 'delete');
is(ctl(['key', 'delete', $key->{id}])->{status}, 1, 'delete, again');
is_deeply(ctl_json(['key', 'list']), [], 'no keys');

# What is not changed stays byte for byte, also what is damaged.

$key = ctl_json(['key', 'create', '--owner', 'bob']);
my ($record) = grep { /\Q$key->{id}/ } split /^/, slurp($path);

write_file("# a note\n\n  $record garbage \n{\"key\":\"x1\",\"later\":1}\r\n"
    . '{"key":"y1"');
$r = ctl(['key', 'disable', $key->{id}]);
is($r->{status}, 0, 'a change beside damaged lines');
@lines = split /^/, slurp($path);
is($lines[0] . $lines[1], "# a note\n\n", 'a note stays');
is($lines[3], " garbage \n", 'garbage stays');
is($lines[4], "{\"key\":\"x1\",\"later\":1}\r\n", 'what is unknown stays');
is($lines[5], "{\"key\":\"y1\"\n", 'a cut line stays, and ends');
like($lines[2], qr/"status":"disabled"/, 'the change');
is(@lines, 6, 'no line more');

$d = ctl_json(['key', 'list']);
is_deeply([ map { "$_->{id} $_->{status}" } @$d ],
    [ "$key->{id} disabled", 'x1 damaged' ], 'list');

# A name that is there twice is changed in neither place.

$before = $record . $record;
write_file($before);
$r = ctl(['key', 'revoke', $key->{id}]);
is($r->{status}, 1, 'twice');
is(slurp($path), $before, 'twice, nothing changed');
is(ctl(['key', 'delete', $key->{id}])->{status}, 0, 'twice, deleted');
is(slurp($path), '', 'twice, both are gone');

# The mode stays; a store beside which nothing can be written is as it was.

chmod 0600, $path;
ctl(['key', 'create', '--owner', 'bob']);
is((stat $path)[2] & 07777, 0600, 'the mode stays');

SKIP: {
    skip 'root may write everywhere', 3 if $> == 0;

    $before = slurp($path);
    chmod 0500, $dir;
    $r = ctl(['key', 'create', '--owner', 'bob']);
    is($r->{status}, 3, 'a folder that cannot be written');
    unlike($r->{out}, qr/sk-/, 'a folder that cannot be written, no key');
    chmod 0700, $dir;
    is(slurp($path), $before, 'a folder that cannot be written, as it was');
}

# A link is followed: what it leads to is changed, and the link stays.

mkdir "$dir/real";
rename $path, "$dir/real/store" or die "rename: $!\n";
symlink 'real/store', $path or die "symlink: $!\n";

$key = ctl_json(['key', 'create', '--owner', 'link']);
is(ctl(['key', 'revoke', $key->{id}])->{status}, 0, 'a link, revoke');
ok(-l $path, 'a link stays one');
like(slurp("$dir/real/store"), qr/"$key->{id}".*"revoked"/,
    'a link, what it leads to is changed');
ok(-e "$dir/real/store.lock" && !-e "$path.lock.new", 'a link, the lock');

unlink $path;
symlink 'real/none', $path;
$r = ctl(['key', 'create', '--owner', 'link']);
is($r->{status}, 3, 'a link to nothing');
unlink $path;
rename "$dir/real/store", $path or die "rename: $!\n";

# What somebody who was killed left behind is in nobody's way.

open my $left, '>', "$path.new" or die "$path.new: $!\n";
close $left;
is(ctl(['key', 'create', '--owner', 'bob'])->{status}, 0, 'a left-over');
ok(!-e "$path.new", 'a left-over is gone');

# Whose it is stays, or nothing is done.

SKIP: {
    skip 'only root can give files away', 7 if $> != 0;

    my $group = getgrnam('nogroup') // 65534;
    my $user = getpwnam('nobody') // 65534;

    chown 0, $group, "$dir";
    chmod 02775, "$dir";
    chown $user, 0, $path;
    ctl(['key', 'create', '--owner', 'bob']);
    is_deeply([ (stat $path)[4, 5] ], [ $user, 0 ], 'the owner and group stay');

    chown 0, 0, $path;
    chmod 0644, $path;
    chmod 02777, "$dir";
    unlink "$path.lock";
    $before = slurp($path);

    # the folder that the command is in may be closed to others

    my $program = "$dir/apikeyctl";

    File::Copy::copy(ctl_program(), $program) or die "$program: $!\n";
    chmod 0755, $program;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $) = "$group $group";
        $( = $group;
        POSIX::setuid($user);
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', "$dir/err";
        exec $program, 'key', 'create', '--owner', 'bob'
            or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    is($? >> 8, 3, 'somebody else');
    like(slurp("$dir/err"), qr/belongs to .*run this as root/,
        'somebody else, what to do');
    is(slurp($path), $before, 'somebody else, nothing is changed');
    is_deeply([ (stat $path)[4, 5] ], [ 0, 0 ], 'somebody else, whose it is');
    ok(!-e "$path.new", 'somebody else, nothing is left');
    unlink "$path.lock";
    is(ctl(['key', 'create', '--owner', 'bob'])->{status}, 0, 'root again');
    chmod 0700, "$dir";
}

SKIP: {
    skip 'no /dev/full', 2 unless -e '/dev/full';

    # the limit of a file's size stands for a full disk

    $before = slurp($path);

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{XFSZ} = 'IGNORE';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'sh', '-c', 'ulimit -f 0; exec "$@"', 'sh', ctl_program(), 'key',
            'create', '--owner', 'bob' or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    is($? >> 8, 3, 'a full disk');
    is(slurp($path), $before, 'a full disk, as it was');
    is_deeply([ grep { !/lock$/ && $_ ne $path } glob "$path*" ], [],
        'a full disk, nothing is left');
}

# Many at once: every change is there.

my @pids;

for my $n (1 .. 8) {
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';

        for (1 .. 5) {
            system(ctl_program(), 'key', 'create', '--owner', "owner$n");
        }

        POSIX::_exit($?);
    }

    push @pids, $pid;
}

waitpid $_, 0 for @pids;
is(scalar(grep { $_->{owner} =~ /^owner/ } @{ ctl_json(['key', 'list']) }), 40,
    'forty at once');

# Whoever ends it while the new file is written leaves none of it.

ctl(['key', 'import', '--owner', 'many'], in => join '', map { sprintf
    "sk-%032x\n", $_ } 1 .. 40000);
$before = slurp($path);

for my $signal (qw(INT TERM HUP)) {
    my $pid = TestProc::spawn([ ctl_program(), 'key', 'create', '--owner',
        'last' ]);

    1 until -e "$path.new" || !TestProc::alive($pid);
    kill $signal, $pid;
    TestProc::wait_until(sub { !TestProc::alive($pid) }, 30, 'its end');
    ok(!-e "$path.new", "SIG$signal, no new file");
}

is(substr(slurp($path), 0, length $before), $before, 'all is there');

is(ctl(['key', 'list', '--store', "file:$path prefix=a:"])->{status}, 2,
    'no options');
is(ctl(['key', 'list', '--store', 'file:'])->{status}, 2, 'no path');
is(ctl(['key', 'list', '--store', "file:$dir"])->{status}, 3, 'a folder');

done_testing();
