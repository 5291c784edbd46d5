#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl jwt revoke, revoked and unrevoke: the same in Redis and
# in a file, marks that end, and names that somebody made up.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use Encode ();
use File::Temp ();
use JSON::PP ();
use Test::More;

use ApikeyCtl;
use ApikeyJWT;
use ApikeyRedis;

my $dir = File::Temp->newdir('apikey-revoke-XXXXXX', TMPDIR => 1);
my $file = "$dir/store";
my $redis = ApikeyRedis::available() ? ApikeyRedis->new : undef;
my $key = jwt_key('ES256', 'k');
my ($r, $d, $kind);

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};
binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);


sub jwt_ctl {
    my ($args, %opt) = @_;

    return ctl(['jwt', map { Encode::encode('UTF-8', $_) } @$args], %opt);
}


sub revoked {
    return ctl_json(['jwt', 'revoked']);
}


# "jti:a at expires", as the list has it.

sub listed {
    return [ map { "$_->{claim}:$_->{value} " . ($_->{at} // '-') . ' '
        . ($_->{expires} // '-') } @{ revoked() } ];
}


sub write_file {
    my ($text) = @_;

    open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh $text;
    close $fh;
}


sub about {
    my ($got, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    cmp_ok(abs($got - $expected), '<=', 5, $name);
}


sub commands {
    my $now = time;

    $r = jwt_ctl(['revoke', '--jti', 'one']);
    is($r->{status}, 0, "$kind, jti");
    like($r->{out}, qr/^Revoked: the token with jti one\.$/m, "$kind, says so");
    like($r->{out}, qr/stays for ever; --expires/, "$kind, for ever");

    $d = revoked();
    is(@$d, 1, "$kind, one mark");
    about($d->[0]{at}, $now, "$kind, now");
    is($d->[0]{expires}, 0, "$kind, no end");

    is(jwt_ctl(['revoke', '--sub', 'alice', '--at', '2026-01-02T03:04:05Z'])
        ->{status}, 0, "$kind, sub");
    is(jwt_ctl(['revoke', '--sub', 'bob', '--at', 1700000000, '--expires',
        '30d'])->{status}, 0, "$kind, seconds");
    is(jwt_ctl(['revoke', '--sub', 'carol', '--at', '2026-01-02'])->{status},
        0, "$kind, a date");

    $d = revoked();
    is_deeply([ map { "$_->{claim} $_->{value}" } @$d ], [ 'jti one',
        'sub alice', 'sub bob', 'sub carol' ], "$kind, in order");
    is_deeply([ map { $_->{at} } @$d[1 .. 3] ], [ 1767323045, 1700000000,
        1767312000 ], "$kind, when");
    about($d->[2]{expires}, $now + 30 * 86400, "$kind, when it ends");

    # never less, never shorter

    is_deeply(ctl_json(['jwt', 'revoke', '--sub', 'bob', '--at', 1600000000,
        '--expires', '1d']), { claim => 'sub', value => 'bob',
        at => 1700000000, expires => $d->[2]{expires} }, "$kind, not less")
        or diag(explain($d->[2]));
    $d = ctl_json(['jwt', 'revoke', '--sub', 'bob', '--at', 1700000009]);
    is_deeply([ @$d{qw(at expires)} ], [ 1700000009, 0 ], "$kind, but more");
    is(ctl_json(['jwt', 'revoke', '--sub', 'bob', '--expires', '1d'])
        ->{expires}, 0, "$kind, for ever is for ever");

    # for people

    $r = jwt_ctl(['revoked']);
    like($r->{out}, qr/^CLAIM +VALUE +AT +EXPIRES$/m, "$kind, a table");
    like($r->{out}, qr/^sub +alice +2026-01-02T03:04:05Z +never$/m,
        "$kind, a row");

    # and back

    $r = jwt_ctl(['unrevoke', '--sub', 'alice']);
    is($r->{status}, 0, "$kind, unrevoke");
    is($r->{out}, "Mark removed: sub alice.\n", "$kind, unrevoke says so");
    $r = jwt_ctl(['unrevoke', '--sub', 'alice']);
    is($r->{status}, 1, "$kind, unrevoke again");
    like($r->{err}, qr/no mark of sub alice; .*jwt revoked/, "$kind, why");
    is(jwt_ctl(['unrevoke', '--jti', 'alice'])->{status}, 1,
        "$kind, another claim");
    is_deeply(ctl_json(['jwt', 'unrevoke', '--sub', $_]), { claim => 'sub',
        value => $_, removed => JSON::PP::true }, "$kind, $_")
        for qw(bob carol);
    is(jwt_ctl(['unrevoke', '--jti', 'one'])->{status}, 0, "$kind, the last");
    is_deeply(revoked(), [], "$kind, none");
}


# By a token that somebody has.

sub by_token {
    my %claims = (sub => 'alice', jti => 'of-token', exp => time + 600,
        iat => time);
    my $token = jwt($key, \%claims);

    $r = ctl(['jwt', 'revoke'], in => "$token\n");
    is($r->{status}, 0, "$kind, a token");
    unlike($r->{out} . $r->{err}, qr/\Q@{[ substr $token, 20, 30 ]}/,
        "$kind, a token, it is not shown");
    $d = revoked();
    is($d->[0]{value}, 'of-token', "$kind, a token, its jti");
    about($d->[0]{expires}, $claims{exp} + 86400, "$kind, a token, its end");
    is(ctl(['jwt', 'unrevoke'], in => $token)->{status}, 0,
        "$kind, a token, and back");

    ctl(['jwt', 'revoke', '--expires', '100d'], in => $token);
    about(revoked()->[0]{expires}, time + 100 * 86400,
        "$kind, a token, another end");
    ctl(['jwt', 'unrevoke'], in => $token);

    delete $claims{exp};
    ctl(['jwt', 'revoke'], in => jwt($key, { %claims, jti => 17 }));
    is_deeply([ map { s/ \d+ / /r } @{ listed() } ], [ 'jti:17 0' ],
        "$kind, a number, without an end");
    ctl(['jwt', 'unrevoke', '--jti', 17]);

    # those that cannot be

    delete $claims{jti};

    for my $case (
        ['no jti', jwt($key, \%claims), qr/no "jti".*--sub "alice"/],
        ['neither', jwt($key, { iat => 1 }), qr/no "sub"; --sub OWNER/],
        ['an empty jti', jwt($key, { %claims, jti => '' }), qr/no "jti"/],
        ['a newline', jwt($key, { jti => "a\nb" }), qr/control characters/],
        ['500 bytes', jwt($key, { jti => 'x' x 500 }), qr/longer than 255/],
        ['a NUL', jwt($key, '{"jti":"a\u0000b"}'), qr/no token that nginx/],
        ['twice', jwt($key, '{"jti":"a","jti":"b"}'), qr/no token that nginx/],
        ['expired', jwt($key, { jti => 'a', exp => time - 90000 }),
            qr/expired more than a day ago/],
        ['no token', 'abc', qr/no token that nginx/],
        ['no payload', b64('{"alg":"ES256"}') . '..YQ', qr/has no claims/],
        ['no input', '', qr/the token is empty/])
    {
        my ($name, $token, $why) = @$case;

        $r = ctl(['jwt', 'revoke'], in => $token);
        is($r->{status}, 1, "$kind, $name");
        like($r->{err}, $why, "$kind, $name, why");
        is($r->{out}, '', "$kind, $name, nothing is told as done");
    }

    is_deeply(revoked(), [], "$kind, nothing was revoked");
}


# Names that somebody made up: they are one mark each, and no other one's.

sub hostile {
    my @good = ('a:b', ':', 'sub:x', '*', 'a b ', '"\\', '{"revoked":"jti:q"}',
        'x' x 255, 'é🔑', "\x{202e}abc", '?[a-z]*', '-', 'a%00', '--sub');

    for my $name (@good) {
        my $short = substr $name, 0, 20;
        my @args = ("--jti=$name");

        is(jwt_ctl(['revoke', @args])->{status}, 0, "$kind, $short");
        is_deeply([ map { $_->{value} } @{ revoked() } ], [ $name ],
            "$kind, $short, alone");
        is(jwt_ctl(['unrevoke', @args])->{status}, 0, "$kind, $short, back");
    }

    for my $name ('', "a\nb", "\r", "a\x1b[2J", "\x7f", 'x' x 256, 'x' x 500,
        'é' x 128)
    {
        my $short = substr $name, 0, 20;

        for my $claim ('jti', 'sub') {
            $r = jwt_ctl(['revoke', "--$claim", $name]);
            is($r->{status}, 2, "$kind, $claim " . JSON::PP->new->allow_nonref
                ->encode($short));
            like($r->{err}, qr/"$claim" of 1 to 255 bytes/, "$kind, why");
            unlike($r->{err}, qr/\e|\r/, "$kind, nothing for a terminal");
        }
    }

    $r = ctl(['jwt', 'revoke', '--jti', "\xff\xfe"]);
    is($r->{status}, 2, "$kind, no UTF-8");
    is_deeply(revoked(), [], "$kind, nothing was revoked");
}


# The command line.

sub usage {
    for my $case (
        [['--jti', 'a', '--sub', 'b'], qr/exclude each other/],
        [['--jti', 'a', '--at', 5], qr/--at is for --sub/],
        [['--at', 5], qr/--at is for --sub/],
        [['--sub', 'a', '--at', '90d'], qr/--at is a time/],
        [['--sub', 'a', '--at', 'never'], qr/--at is a time/],
        [['--sub', 'a', '--at', ''], qr/--at is a time/],
        [['--sub', 'a', '--at', '-5'], qr/--at is a time/],
        [['--sub', 'a', '--at', '2026-13-01'], qr/--at is a time/],
        [['--sub', 'a', '--expires', '2020-01-01'], qr/not in the future/],
        [['--sub', 'a', '--expires', 'soon'], qr/--expires: .*no time/],
        [['a'], qr/more words/], [['--owner', 'a'], qr/no option/])
    {
        $r = jwt_ctl(['revoke', @{ $case->[0] }]);
        is($r->{status}, 2, "$kind, @{ $case->[0] }");
        like($r->{err}, $case->[1], "$kind, @{ $case->[0] }, why");
        like($r->{err}, qr/^apikeyctl: usage: .*jwt revoke/m, "$kind, usage");
    }

    is(jwt_ctl(['unrevoke', '--jti', 'a', '--at', 5])->{status}, 2,
        "$kind, unrevoke has no --at");
    is(jwt_ctl(['revoked', '--jti', 'a'])->{status}, 2,
        "$kind, revoked has no --jti");
    is_deeply(revoked(), [], "$kind, nothing was revoked");
}


sub all {
    commands();
    by_token();
    hostile();
    usage();
}


for my $verb (qw(revoke revoked unrevoke)) {
    $r = ctl(['jwt', $verb, '--help']);
    is($r->{status}, 0, "$verb --help");
    like($r->{out}, qr/^Usage: apikeyctl jwt $verb\b/,
        "$verb --help, usage");
    like(ctl(['jwt', '--help'])->{out}, qr/^  jwt $verb\b/m, "jwt --help");
}

is(ctl(['jwt', 'revoke', '--jti', 'a'])->{status}, 2, 'no store');
is(ctl(['jwt', 'revoke', '--jti', 'a', '--store', 'redis://127.0.0.1:1'])
    ->{status}, 3, 'a store that is down');

# In a file, whose other lines stay.

$kind = 'file';
$ENV{APIKEY_STORE} = "file:$file";

is(ctl(['jwt', 'revoked'])->{status}, 1, 'no file yet');
is(ctl(['jwt', 'unrevoke', '--jti', 'a'])->{status}, 1, 'nothing to remove');
ok(!-e $file, 'and none is made');
is(ctl(['jwt', 'revoke', '--jti', 'a'])->{status}, 0, 'the first mark');
is((stat $file)[2] & 07777, 0640, 'makes it');
ctl(['jwt', 'unrevoke', '--jti', 'a']);

my $id = ctl_json(['key', 'create', '--owner', 'alice'])->{id};
my $before = slurp($file);

all();
is(slurp($file), $before, 'the others stay as they are');

# A line is as it says; those that have ended go with the next change.

ctl(['jwt', 'revoke', '--sub', 'é:x', '--at', 5, '--expires', '2099-01-01']);
is(slurp($file), $before . Encode::encode('UTF-8', '{"revoked":"sub:é:x",'
    . '"at":5,"expires":4070908800}') . "\n", 'a line');

my $ended = '{"revoked":"jti:old","at":5,"expires":1700000000}' . "\n";
my $note = "# {\"revoked\":\"jti:no\",\"at\":5,\"expires\":1}\n";
my $strange = '{"revoked":"jti:x","at":"5","expires":0,"by":"ops"}' . "\r\n";

write_file($before . $ended . $note . $strange);
is_deeply(listed(), ['jti:x 5 0'], 'one that has ended is none');
ctl(['key', 'disable', $id]);
unlike(slurp($file), qr/jti:old/, 'it is gone with the next change');
like(slurp($file), qr/\Q$note$strange\E/, 'others are as they were');
is(ctl(['jwt', 'revoke', '--jti', 'x', '--expires', '1d'])->{status}, 0,
    'a change of one');
like(slurp($file), qr/^\{"revoked":"jti:x","at":5,"expires":0,"by":"ops"\}$/m,
    'what is unknown stays');

# Damage.

write_file($before . '{"revoked":"sub:d"}' . "\n"
    . '{"revoked":"jti:t","at":1}' . "\n" . '{"revoked":"jti:t","at":2}' . "\n"
    . '{"revoked":"sub:cut' . "\n");
$r = ctl(['jwt', 'revoked']);
is($r->{status}, 0, 'damaged, listed');
like($r->{out}, qr/^damaged mark sub d: every token of it is refused$/m,
    'damaged, what that costs');
like($r->{out}, qr/^damaged mark jti t: the token is refused$/m, 'twice');
like($r->{err}, qr/line 5, is a revocation of which nobody can tell .*every/,
    'cut off, what that costs');
is_deeply([ map { $_->{damaged} ? $_->{value} : () } @{ revoked() } ],
    ['t', 'd'], 'damaged, in JSON');

for my $name (['--sub', 'd'], ['--jti', 't']) {
    $r = ctl(['jwt', 'revoke', @$name]);
    is($r->{status}, 1, "@$name, damaged, it is not made better");
    like($r->{err}, qr/refuses all; remove it first.*unrevoke/, 'what to do');
    is(ctl(['jwt', 'unrevoke', @$name])->{status}, 0, 'as it says');
}

is(slurp($file), $before . '{"revoked":"sub:cut' . "\n", 'and they are gone');

# In Redis, where they are as others write them.

SKIP: {
    skip 'redis-server is not installed', 1 if !$redis;

    $kind = 'Redis';
    $ENV{APIKEY_STORE} = $redis->unix_url;
    all();
    is($redis->cli('DBSIZE'), 0, 'nothing is left');

    ctl(['jwt', 'revoke', '--sub', 'a', '--at', 5]);
    is($redis->cli('GET', 'apikey:revoked:sub:a'), 5, 'the value');
    is($redis->cli('TTL', 'apikey:revoked:sub:a'), -1, 'for ever');
    ctl(['jwt', 'revoke', '--jti', 'a', '--expires', '1h']);
    about($redis->cli('TTL', 'apikey:revoked:jti:a'), 3600, 'an hour');

    $redis->cli('FLUSHALL');
    $redis->cli('SET', 'apikey:revoked:jti:any', 'x' x 100_000);
    $redis->cli('SET', 'apikey:revoked:jti:one', 1, 'EX', 100);
    $redis->cli('SET', 'apikey:revoked:sub:when', 'yesterday');
    $redis->cli('SET', 'apikey:revoked:sub:empty', '');
    $redis->cli('RPUSH', 'apikey:revoked:sub:list', 1);
    $redis->cli('SET', 'apikey:revoked:iss:x', 1);
    $redis->cli('SET', 'apikey:revoked:', 1);
    $redis->cli('SET', 'apikey:key:x', 1);

    is_deeply([ map { s/ \d{9,}$/ */r } @{ listed() } ], [ 'jti:any - 0',
        'jti:one 1 *', 'sub:empty - -', 'sub:list - -', 'sub:when - -' ],
        'by others');
    is(ctl(['jwt', 'revoke', '--jti', 'any'])->{status}, 0, 'any is a value');
    is(ctl(['jwt', 'revoke', '--sub', $_])->{status}, 1, "$_ is no time")
        for qw(when empty list);
    is(ctl(['jwt', 'unrevoke', '--sub', $_])->{status}, 0, "$_ is removed")
        for qw(when empty list);

    # more than go at once

    $redis->cli('SET', "apikey:revoked:jti:n$_", $_) for 1 .. 200;
    is(@{ revoked() }, 202, 'many');

    # the second that one ends in is the same whenever it is asked

    ctl(['jwt', 'revoke', '--jti', 'end', '--expires', '1h']);

    my %end;

    for (1 .. 12) {
        $end{ (grep { $_->{value} eq 'end' } @{ revoked() })[0]{expires} } = 1;
        select undef, undef, undef, 0.1;
    }

    is(keys %end, 1, 'the end does not move');

    # another prefix

    $ENV{APIKEY_STORE} .= ' prefix=x:';
    is_deeply(revoked(), [], 'another prefix');
    ctl(['jwt', 'revoke', '--jti', 'p']);
    is($redis->cli('EXISTS', 'x:revoked:jti:p'), 1, 'another prefix, a mark');

    # two at once: the one that revokes more is what is left

    my @pids;

    for my $at (1000 .. 1007) {
        my $pid = fork;
        die "fork: $!\n" unless defined $pid;

        if ($pid == 0) {
            open STDOUT, '>', '/dev/null';
            open STDERR, '>', '/dev/null';
            exec { ctl_program() } 'apikeyctl', 'jwt', 'revoke', '--sub',
                'many', '--at', $at or POSIX::_exit(127);
        }

        push @pids, $pid;
    }

    my $most = 0;

    for my $n (0 .. 7) {
        waitpid $pids[$n], 0;
        $most = 1000 + $n if $? == 0;
    }

    is($redis->cli('GET', 'x:revoked:sub:many'), $most, 'at once');
}

done_testing();
