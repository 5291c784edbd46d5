#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for workers that end while sentinels, nodes and masters do not answer:
# who waits gets an answer in time, the worker ends, nothing is touched that is
# gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyHTTP;
use ApikeyTest;
use FakeRedis;
use FleetTest;

my $t = ApikeyTest->new(redis => 0, level => 'info');

# What is mute is a pattern of the words that are not answered.

my $f = FakeRedis->new(ports => 3, state => { mute => '^$' }, reply => sub {
    my ($state, $port, @argv) = @_;

    return \'mute' if "@argv" =~ /$state->{mute}/;
    return [ '127.0.0.1', "$state->{master}" ] if $argv[0] eq 'SENTINEL';
    return [ [ \0, \16383, [ '127.0.0.1', \$state->{master}, 'id' ] ] ]
        if $argv[0] eq 'CLUSTER';
    return;
});

my @port = @{ $f->{ports} };
my $seeds = "redis://127.0.0.1:$port[0],127.0.0.1:$port[1]";
my %store = (sentinel => "$seeds sentinel=mymaster",
    cluster => "$seeds cluster", replicas => "$seeds cluster read=replica");


# Requests with keys of their own that all wait.

sub wait_all {
    return map {
        my $c = $t->connect;
        $c->send(ApikeyHTTP::bytes('GET', '/echo',
            [ 'x-api-key' => make_key()->{key} ]));
        $c;
    } 1 .. 20;
}


sub answers {
    my %seen;

    $seen{ (eval { $_->response } || next)->status }++ for @_;

    return join ' ', map { "$_:$seen{$_}" } sort keys %seen;
}


sub gone {
    my (@pids) = @_;

    return wait_for(sub { !grep { kill 0, $_ } @pids }, 5);
}


for my $kind (sort keys %store) {
    for my $mute ('^HGETALL', '^PING', '^(?:SENTINEL|CLUSTER)', '^CLIENT',
        '.', '^ROLE')
    {
        $f->set(master => $port[2]);
        $f->set(mute => '^$');
        $t->{pid} ? $t->restart(FleetTest::conf($store{$kind}))
            : $t->http(FleetTest::conf($store{$kind}))->start;
        is(FleetTest::status($t, make_key()), 401, "$kind, $mute, before");

        # reloaded while all wait, the new one has nobody to ask

        $f->set(mute => $mute);

        my @old = $t->workers;
        my @wait = wait_all();
        my $begin = time;

        ok($t->reload, "$kind, $mute, a reload");
        like(answers(@wait), qr/^(?:401|503):20$/,
            "$kind, $mute, all are answered");
        ok(gone(@old), "$kind, $mute, the old worker ends");
        cmp_ok(time - $begin, '<', 4 * ApikeyTest::slow(), 'in time');

        # the master moves while they wait

        @wait = wait_all();
        $f->set(mute => '^$');
        $f->set(master => $port[1]);
        $f->publish('+switch-master',
            "mymaster 127.0.0.1 $port[2] 127.0.0.1 $port[1]");
        like(answers(@wait), qr/^(?:401:\d+ ?)?(?:503:\d+)?$/,
            "$kind, $mute, it moves");
        ok(wait_for(sub { FleetTest::status($t, make_key()) == 401 }, 8),
            "$kind, $mute, and serves");

        # ended at once

        $f->set(mute => $mute);
        @wait = wait_all();
        $_->close for @wait[0 .. 9];
    }
}

$t->done;
