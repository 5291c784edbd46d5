#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl upstream: set, list, check, delete.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

my $redis = ApikeyRedis->new;

$ENV{APIKEY_STORE} = $redis->unix_url;
$ENV{APIKEY_KEYRING} = "$redis->{dir}/keyring";

my $kid = ctl_json(['init'])->{kid};
my @secrets = ('sk-proj-0123456789abcdefghijklmnop', 'sk-ant-ABCDEFGHIJKLMNOP',
    'another-secret-of-brave');
my ($r, $d);

sub token {
    my ($owner, $provider, $slot) = @_;

    return $redis->cli('HGET', "apikey:upstream:$owner:$provider", $slot);
}

# set

is_deeply(ctl_json(['upstream', 'list']), [], 'no upstream keys');
is_deeply(ctl_json(['upstream', 'check']), [], 'none to check');

$d = ctl_json(['upstream', 'set', '--shared', 'openai'],
    in => "$secrets[0]\n");
is_deeply($d, { owner => '*', shared => JSON::PP::true, provider => 'openai',
    slot => 'default', kid => $kid, replaced => JSON::PP::false },
    'set --json');

my $token = token('*', 'openai', 'default');
like($token, qr/^ak1\.$kid\.[\w-]{16}\.[\w-]+$/, 'a sealed token');

$r = ctl(['upstream', 'set', '--shared', 'openai'], in => "$secrets[0]\r\n");
is($r->{status}, 0, 'set again');
like($r->{out}, qr/^Upstream key replaced: owner \*, provider openai/,
    'replaced');
isnt(token('*', 'openai', 'default'), $token, 'another token');
is(length token('*', 'openai', 'default'), length $token,
    'CRLF is no part of the secret');

$r = ctl(['upstream', 'set', '--owner', 'alice:x', 'anthropic', '--slot',
    'second'], in => $secrets[1]);
is($r->{status}, 0, 'set of an owner with a colon, without a newline');
like(token('alice:x', 'anthropic', 'second'), qr/^ak1\./, 'in its slot');

ctl_json(['upstream', 'set', '--owner', 'alice', 'brave'],
    in => "$secrets[2]\n");

for my $line (map { split /\n/ } $r->{out}, $r->{err}) {
    unlike($line, qr/sk-/, 'no secret is shown');
}

# secrets that are refused

my @refused = (
    ['an empty one', '', qr/empty/],
    ['a newline alone', "\n", qr/empty/],
    ['a leading space', " $secrets[0]\n", qr/white space.*without/],
    ['a trailing space', "$secrets[0] \n", qr/white space.*without/],
    ['two newlines', "$secrets[0]\n\n", qr/white space.*without/],
    ['a space inside', "$secrets[0] x\n", qr/white space/],
    ['two lines', "$secrets[0]\n$secrets[1]\n", qr/white space/],
    ['a zero', "$secrets[0]\0x\n", qr/visible ASCII/],
    ['UTF-8', "$secrets[0]\xc3\xa9\n", qr/visible ASCII/],
    ['a long one', ('x' x 4097) . "\n", qr/longer than 4096/],
    ['a file', ('x' x 100000), qr/longer than 4096/],
);

my $before = $redis->dump;

for my $case (@refused) {
    my ($name, $in, $like) = @$case;

    $r = ctl(['upstream', 'set', '--shared', 'openai'], in => $in);
    is($r->{status}, 1, "$name: exit status");
    like($r->{err}, $like, "$name: why");
    unlike($r->{err}, qr/sk-|xxxx/, "$name: not told");
    is($r->{out}, '', "$name: nothing is told as done");
}

is($redis->dump, $before, 'nothing was changed');

is(ctl(['upstream', 'set', '--owner', 'long', 'openai'],
    in => ('x' x 4096) . "\r\n")->{status}, 0, 'the longest secret');

# what would make the keys of an owner unusable is refused

is(ctl(['upstream', 'set', '--owner', 'many', 'groq', '--slot', "s$_"],
    in => "secret-$_\n")->{status}, 0, "slot $_") for 1 .. 32;

$r = ctl(['upstream', 'set', '--owner', 'many', 'groq', '--slot', 's33'],
    in => "secret-33\n");
is($r->{status}, 1, 'a slot too many');
like($r->{err}, qr/no room/, 'says so');
is(ctl(['upstream', 'set', '--owner', 'many', 'groq', '--slot', 's32'],
    in => "secret-x\n")->{status}, 0, 'a slot that is there is replaced');
is(ctl(['upstream', 'set', '--owner', 'long', 'openai', '--slot', "l$_"],
    in => 'x' x 4096)->{status}, $_ < 3 ? 0 : 1, "long secret $_") for 1 .. 3;

$redis->cli('DEL', "apikey:upstream:$_") for 'many:groq', 'long:openai';
$redis->cli('SET', 'apikey:upstream:text:openai', 'no hash');
$r = ctl(['upstream', 'set', '--owner', 'text', 'openai'], in => 'secret');
is($r->{status}, 1, 'a place that is taken by no hash');
is($redis->cli('GET', 'apikey:upstream:text:openai'), 'no hash', 'left so');
$redis->cli('DEL', 'apikey:upstream:text:openai');

# list

$d = ctl_json(['upstream', 'list']);
is(join(' ', map { "$_->{owner}/$_->{provider}/$_->{slot}" } @$d),
    '*/openai/default alice/brave/default alice:x/anthropic/second',
    'list by owner');
is_deeply([sort keys %{ $d->[0] }],
    [qw(in_keyring kid owner provider shared slot)], 'fields of list --json');
ok($d->[0]{in_keyring}, 'the master key is there');
ok($d->[0]{shared} && !$d->[1]{shared}, 'shared or not');

is(scalar @{ ctl_json(['upstream', 'list', '--shared']) }, 1, 'shared ones');
is(scalar @{ ctl_json(['upstream', 'list', '--owner', 'alice']) }, 1,
    'those of an owner, not of one whose name begins so');

$r = ctl(['upstream', 'list'], env => { APIKEY_KEYRING => undef });
is($r->{status}, 0, 'list without a keyring');
like($r->{out}, qr/^\* +openai +default +$kid +-$/m, 'nothing is known');

$r = ctl(['upstream', 'list']);
like($r->{out}, qr/^OWNER +PROVIDER +SLOT +KID +IN KEYRING$/m, 'a table');
like($r->{out}, qr/^\* +openai +default +$kid +yes$/m, 'a line of it');
unlike($r->{out}, qr/ak1\./, 'without tokens');

is(ctl(['upstream', 'list', '--keyring', '/nowhere'])->{status}, 4,
    'list with a keyring that is not there');

# check

$r = ctl(['upstream', 'check']);
is($r->{status}, 0, 'check');
is(() = $r->{out} =~ / yes +-$/mg, 3, 'all of them open');

$d = ctl_json(['upstream', 'check']);
is_deeply([sort keys %{ $d->[0] }],
    [qw(in_keyring kid ok owner provider shared slot)],
    'fields of check --json');

# another keyring

my $other = "$redis->{dir}/other";
my $new = ctl_json(['init', '--keyring', $other])->{kid};

$r = ctl(['upstream', 'check', '--keyring', $other]);
is($r->{status}, 1, 'check with another master key');
is(() = $r->{out} =~ /\Q$kid\E +no +unknown master key/g, 3, 'says so');
like($r->{err}, qr/^apikeyctl: 3 of 3 upstream keys cannot be opened/,
    'how many');
ok(!ctl_json(['upstream', 'list', '--keyring', $other])->[0]{in_keyring},
    'list says so too');

# a rotation: two master keys, the first one seals

my $both = "$redis->{dir}/both";
open my $fh, '>', $both or die "$both: $!\n";
print $fh slurp($other) =~ /^(master .*\n)/m, slurp("$redis->{dir}/keyring");
close $fh;
chmod 0600, $both;

is(ctl(['upstream', 'check', '--keyring', $both])->{status}, 0,
    'check with both');
$d = ctl_json(['upstream', 'set', '--owner', 'alice', 'brave', '--keyring',
    $both], in => $secrets[2]);
is($d->{kid}, $new, 'the first one seals');
is(ctl(['upstream', 'check'])->{status}, 1, 'the old one alone is not enough');
is(ctl(['upstream', 'check', '--shared'])->{status}, 0,
    'it is for the shared ones');

$ENV{APIKEY_KEYRING} = $both;

# damaged and moved ones

$token = token('*', 'openai', 'default');

$redis->cli('HSET', 'apikey:upstream:eve:openai', 'default', $token, 'cut',
    substr($token, 0, -1), 'text', 'no token', 'no|name', $token, 'flip',
    $token =~ s/(.{4})$/reverse $1/er);
$redis->cli('SET', 'apikey:upstream:eve:groq', 'no hash');
$redis->cli('HSET', 'apikey:upstream:eve:mistral',
    map { ("s$_", $token) } 1 .. 40);

$r = ctl(['upstream', 'check', '--json']);
is($r->{status}, 1, 'check');
$d = JSON::PP->new->utf8->decode($r->{out});

my %error = map { ("$_->{owner}/$_->{provider}/$_->{slot}" => $_->{error}) }
    grep { !$_->{ok} } @$d;

like($error{'eve/openai/default'}, qr/moved/, 'a token that was moved');
like($error{'eve/openai/cut'}, qr/damaged/, 'a token that was cut');
like($error{'eve/openai/text'}, qr/no sealed token/, 'no token');
like($error{'eve/openai/no|name'}, qr/name/, 'a slot without a valid name');
like($error{'eve/openai/flip'}, qr/damaged/, 'a token that was changed');
like($error{'eve/groq/'}, qr/no hash/, 'no hash');
like($error{'eve/mistral/s40'}, qr/too many/, 'too many slots');
is(scalar(grep { $_->{ok} } @$d), 3, 'the others open');
is(ctl(['upstream', 'list'])->{status}, 0, 'list with damaged ones');
is(ctl(['upstream', 'check', '--owner', 'alice'])->{status}, 0,
    'the others alone');

# delete

$r = ctl(['upstream', 'delete', '--owner', 'alice:x', 'anthropic']);
is($r->{status}, 1, 'delete of a slot that is not there');
like($r->{err}, qr/^apikeyctl: there is no upstream key/, 'says so');

$d = ctl_json(['upstream', 'delete', '--owner', 'alice:x', 'anthropic',
    '--slot', 'second']);
ok($d->{deleted}, 'delete --json');
is($redis->cli('EXISTS', 'apikey:upstream:alice:x:anthropic'), '0', 'deleted');

is(ctl(['upstream', 'delete', '--shared', 'openai'])->{status}, 0, 'delete');
is(ctl(['upstream', 'delete', '--shared', 'openai'])->{status}, 1, 'again');
is(ctl(['upstream', 'delete', '--shared', 'openai', 'x'])->{status}, 2,
    'too many words');
is(ctl(['upstream', 'delete', '--shared', 'closedai'])->{status}, 1,
    'a provider without a key');

# Providers that are not built in: nginx has to be told of them.

$r = ctl(['upstream', 'set', '--shared', 'voice.lab_2-eu'],
    in => "voice-0Aa1Bb2Cc3Dd4Ee5Ff\n");
is($r->{status}, 0, 'a provider of the configuration');
like($r->{err}, qr/warning: "voice\.lab_2-eu" is not built in: .* openai,/,
    'a warning');
like($r->{out}, qr/^Upstream key set: owner \*, provider voice\.lab_2-eu, /,
    'it is set');
is(ctl(['upstream', 'check', '--shared'])->{status}, 0, 'it opens');
is(ctl(['upstream', 'delete', '--shared', 'voice.lab_2-eu'])->{status}, 0,
    'it is deleted');

for my $name ('Cohere', 'a b', 'a:b', 'off', '', 'x' x 129, "caf\xc3\xa9",
    'sk-proj-abcdefghijklmnop', '0123456789abcdef0123456789abcdef',
    'gsk_0a1b2c3d4e5f6g7h8i')
{
    $r = ctl(['upstream', 'set', '--shared', $name],
        in => "voice-0Aa1Bb2Cc3\n");
    is($r->{status}, 2, "no provider: $name");
    ok(length $name < 8 || index($r->{err}, $name) < 0, 'it is not shown');
}

# no secret is in the store

my $dump = $redis->dump;

for my $secret (@secrets) {
    my @found = grep { index($dump, substr $secret, $_, 12) >= 0 }
        0 .. length($secret) - 12;

    is(scalar @found, 0, 'nothing of an upstream key is in the store');
}

done_testing();
