#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl jwt check: each check is told, and in words.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd ();
use File::Temp ();
use JSON::PP ();
use Test::More;

use ApikeyCtl;
use ApikeyJWT;

my $dir = File::Temp->newdir('apikey-jwt-XXXXXX', TMPDIR => 1);
my $key = jwt_key('ES256', 'k1');
my $hs = jwt_key('HS256', undef, 'short');
my $n = 0;


sub file {
    my ($name, $text, $mode) = @_;

    open my $fh, '>', "$dir/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh;
    chmod $mode, "$dir/$name";

    return "$dir/$name";
}


my $set = 'jwks=' . file('keys.json', jwks($key), 0644);
my $pem = 'key=' . file('k.pem', pem($key), 0644);
my $secret = 'secret=file:' . file('secret', 'short', 0600);


# The names of the checks that do not hold.

sub wrong {
    my ($token, @args) = @_;

    my $r = ctl(['--json', 'jwt', 'check', @args], in => $token);
    my $answer = JSON::PP->new->utf8->decode($r->{out});
    my @wrong = grep { $_->{result} ne 'holds' } @{ $answer->{checks} };

    is($r->{status}, @wrong ? 1 : 0, 'exit status ' . ++$n);
    is(!!$answer->{accepted}, !@wrong, 'accepted or not');
    is(scalar(grep { length $_->{why} < 10 } @wrong), 0, 'each says why');

    return join ' ', map { $_->{check} } @wrong;
}


my %good = (sub => 'alice', exp => time + 600, iat => time);
my $token = jwt($key, \%good);

is(wrong($token, $set), '', 'a good one');
is(wrong("$token\n", $pem), '', 'with the end of its line');
is(wrong(jwt($hs, \%good), $secret), '', 'with a secret');
is(wrong(jwt($key, { iss => 'x', aud => 'y', exp => time - 100,
    nbf => time + 100, iat => time + 100 }), $set, 'issuer=z', 'subject=s',
    'require=azp'), 'iss aud sub require exp nbf iat owner',
    'all that is wrong, at once');
is(wrong(jwt(jwt_key('ES256', 'k1'), \%good), $set), 'signature',
    'another key');
is(wrong(jwt(jwt_key('ES256', 'k2'), \%good), $set), 'signature',
    'another kid');
is(wrong(jwt_raw({ alg => 'none' }, \%good), $set), 'form', 'no algorithm');
is(wrong('a.b.c.d.e', $set), 'form', 'encrypted');
is(wrong('abc', $set), 'form', 'no token');
is(wrong(jwt($key, 'x'), $set), 'claims', 'no claims');

# For people.

my $r = ctl(['jwt', 'check', $set, 'audience=me'], in => $token);

is($r->{status}, 1, 'refused');
like($r->{out}, qr/^header: \{.*"kid":"k1".*\}$/m, 'the header');
like($r->{out}, qr/^claims: \{.*"sub":"alice"\}$/m, 'the claims');
like($r->{out}, qr/^signature +holds +ES256, by the key "k1"$/m, 'by what');
like($r->{out}, qr/^aud +does not +"aud" is not .*\(RFC 7519, 4\.1\.3\)$/m,
    'why not, and where that is said');
like($r->{out}, qr/^It is refused: jwt_claims\.$/m, 'the reason');
like(ctl(['jwt', 'check', $set], in => $token)->{out},
    qr/^It is accepted, and the owner is "alice"\.$/m, 'the owner');

my $tricky = ctl(['jwt', 'check', $set],
    in => jwt($key, { %good, x => "a\e[31m" }))->{out};

unlike($tricky, qr/\e/, 'nothing that a terminal would do');

# Paths from where it is called, and what cannot be done.

my $cwd = Cwd::getcwd();

chdir "$dir" or die;
is(ctl(['jwt', 'check', 'jwks=keys.json'], in => $token)->{status}, 0,
    'a path that is not absolute');
chdir $cwd or die;

like(ctl(['jwt', 'check', $secret], in => jwt($hs, \%good))->{err},
    qr/warning: .*a secret of 5 bytes/, 'a short secret');

for my $case (
    ['no keys', ['issuer=a'], qr/one of "secret"/],
    ['an unknown argument', [$set, 'isuer=a'], qr/isuer/],
    ['a URI', ['jwks_uri=https://a/b'], qr/curl -o keys\.json https/],
    ['a secret in the line', ['secret=abc'], qr/env:NAME or file:PATH/],
    ['no file', ['jwks=/nowhere'], qr/nowhere/],
    ['nothing', [], qr/usage/])
{
    $r = ctl(['jwt', 'check', @{ $case->[1] }], in => $token);

    is($r->{status}, 2, $case->[0]);
    like($r->{err}, $case->[2], "$case->[0]: why");
    is($r->{out}, '', "$case->[0]: nothing is printed");
}

$r = ctl(['jwt', 'check', $set], in => '');
is($r->{status}, 1, 'no input');
like($r->{err}, qr/the token is empty/, 'and why');

$r = ctl(['jwt', 'check', $set], in => 'x' x 20000);
is($r->{status}, 1, 'too much input');
like($r->{err}, qr/longer than 16384 bytes/, 'and why');

done_testing();
