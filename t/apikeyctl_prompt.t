#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the prompt of apikeyctl upstream set, on a terminal.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

my $redis = ApikeyRedis->new;

$ENV{APIKEY_STORE} = $redis->unix_url;
$ENV{APIKEY_KEYRING} = "$redis->{dir}/keyring";

ctl_json(['init']);

my $secret = 'sk-typed-at-the-prompt-0123456789';
my @set = ('upstream', 'set', '--shared', 'openai');
my $prompt = qr/Upstream key \(it is not shown\): /;
my $p = ApikeyCtl::Pty->start([@set]);

plan(skip_all => 'there are no terminals here') unless $p;

# a secret is typed

ok($p->expect($prompt), 'a prompt');
is($p->echo, 0, 'the echo is off');
$p->write("$secret\n");
is($p->wait, 0, 'done');
is($p->echo, 1, 'the echo is on again');
like($p->{seen}, qr/Upstream key set/, 'says so');
unlike($p->{seen}, qr/typed/, 'the secret was not shown');
is(ctl(['upstream', 'check'])->{status}, 0, 'it opens');

# nothing is typed, or what is no secret

for my $typed ("\n", "\x04", " $secret\n") {
    $p = ApikeyCtl::Pty->start([@set]);
    ok($p->expect($prompt), 'a prompt');
    $p->write($typed);
    is($p->wait >> 8, 1, 'refused');
    is($p->echo, 1, 'the echo is on again');
    unlike($p->{seen}, qr/typed/, 'the secret was not shown');
}

# interrupted, by the key and by a signal

for my $case (['INT', POSIX::SIGINT()], ['TERM', POSIX::SIGTERM()],
    ['HUP', POSIX::SIGHUP()])
{
    my ($name, $signo) = @$case;

    $redis->cli('FLUSHALL');

    $p = ApikeyCtl::Pty->start([@set]);
    ok($p->expect($prompt), "$name: a prompt");
    $p->write('sk-half-typed');

    if ($name eq 'INT') {
        $p->write("\x03");

    } else {
        kill $name, $p->{pid};
    }

    is($p->wait & 127, $signo, "$name: ended by the signal");
    is($p->echo, 1, "$name: the echo is on again");
    unlike($p->{seen}, qr/typed/, "$name: the secret was not shown");
    is($redis->cli('DBSIZE'), '0', "$name: nothing was stored");
}

# what is known to be wrong is told before the secret is asked for

$p = ApikeyCtl::Pty->start(['upstream', 'set', '--shared', 'Closed']);
is($p->wait >> 8, 2, 'no name of a provider');
unlike($p->{seen}, $prompt, 'no prompt');

$p = ApikeyCtl::Pty->start([@set, '--keyring', '/nowhere']);
is($p->wait >> 8, 4, 'no keyring');
unlike($p->{seen}, $prompt, 'no prompt');

$p = ApikeyCtl::Pty->start([@set, '--store', 'http://127.0.0.1']);
is($p->wait >> 8, 2, 'a store that is none');
unlike($p->{seen}, $prompt, 'no prompt');

done_testing();
