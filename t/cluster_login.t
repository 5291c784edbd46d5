#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for clusters that want a password, a user of few rights, or TLS, or
# whose nodes have names.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyCluster;
use ApikeyRedis;
use ApikeyTest;
use FleetTest;
use TestDNS;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();
ApikeyRedis::needs_store('tcp');


my $t = ApikeyTest->new(redis => 0, level => 'info');
my $c = $t->{redis} = ApikeyCluster->new(replicas => 0,
    password => 'cluster-pw-41d0', node_timeout => 5000,
    acl => [ 'user default on >cluster-pw-41d0 ~* &* +@all',
        'user reads on >reads-pw-93be ~apikey:* resetchannels '
        . '&__redis__:invalidate -@all +hgetall +get +ping +subscribe '
        . '+client|id +client|tracking +cluster|slots +readonly +asking' ]);


sub status { return FleetTest::status($t, $_[0]) }


# A key for each node, so that all of them are asked.

sub statuses {
    my %seen;

    $seen{status($_)}++ for @_;

    return join ' ', map { "$_:$seen{$_}" } sort keys %seen;
}


$t->secret($_) for qw(cluster-pw-41d0 reads-pw-93be);

my $url = $c->url;
my @keys = FleetTest::keys($t, 30);

$t->http(FleetTest::conf($url))->start;
is(statuses(@keys), '200:30', 'a password');
FleetTest::changes($t, $keys[0], 'a password');

my $file = $t->file('user', "reads-pw-93be\n", 0600);
my $mark = $t->mark;

$t->restart(FleetTest::conf($url =~ s/ password_file=\S+//r
    . " user=reads password_file=$file"));
is(statuses(@keys), '200:30', 'a user of few rights');
FleetTest::changes($t, $keys[0], 'a user of few rights');
unlike($t->error_log($mark), qr/redis answers|redis refuses/,
    'nothing is refused');

$mark = $t->mark;
$t->restart(FleetTest::conf($url =~ s/ password_file=\S+//r));
is(statuses(@keys), '503:30', 'no password');
like($t->error_log($mark), qr/the redis cluster is unavailable: .*NOAUTH/,
    'the log says why');

# Who may not ask for the map.

$_->command(qw(ACL SETUSER reads -cluster|slots)) for $c->nodes;
$mark = $t->mark;
$t->restart(FleetTest::conf($url =~ s/ password_file=\S+//r
    . " user=reads password_file=$file"));
is(statuses(@keys), '503:30', 'no right to ask for the map');
ok(wait_for(sub { $t->error_log($mark) =~ /redis answers "NOPERM/ }, 5),
    'the log says so');
$_->command(qw(ACL SETUSER reads +cluster|slots)) for $c->nodes;
ok(wait_for(sub { statuses(@keys) eq '200:30' }, 10), 'and then it has');

# Nodes that are known by names.

for my $node ($c->nodes) {
    $node->command(qw(CONFIG SET cluster-announce-hostname), 'localhost');
    $node->command(qw(CONFIG SET cluster-preferred-endpoint-type hostname));
}

ok(wait_for(sub { !grep { (() = $_->cli(qw(CLUSTER NODES)) =~ /,localhost/g)
    != 3 } $c->nodes }, 10), 'they have names');

my $dns = TestDNS->new;

$t->restart(FleetTest::conf($url, "resolver 127.0.0.1:$dns->{port} ipv6=off;"));
is(statuses(@keys), '200:30', 'names');
FleetTest::changes($t, $keys[0], 'names');

# Names that they should have, and have not.

$_->command(qw(CONFIG SET cluster-announce-hostname), '') for $c->nodes;
ok(wait_for(sub { !grep { $_->cli(qw(CLUSTER NODES)) =~ /,localhost/ }
    $c->nodes }, 10), 'they have none');
$t->restart(FleetTest::conf($url));
is(statuses(@keys), '200:30', 'their addresses are used instead');

# They do not know their own addresses: it is that which was asked.

$_->command(qw(CONFIG SET cluster-preferred-endpoint-type unknown-endpoint))
    for $c->nodes;
$t->restart(FleetTest::conf($url));
is(statuses(@keys), '200:30', 'no addresses');
FleetTest::changes($t, $keys[0], 'no addresses');

my ($to) = grep { $_ != $c->node_of("apikey:key:$keys[0]{id}") } $c->masters;

$c->move($c->slot("apikey:key:$keys[0]{id}"), $to);
is(status($keys[0]), 200, 'no addresses, and a slot moves');

# TLS.

my $tls = ApikeyCluster->new(replicas => 0, tls => 1, node_timeout => 5000);

$t->{redis} = $tls;
@keys = FleetTest::keys($t, 30);
$t->restart(FleetTest::conf($tls->url));
is(statuses(@keys), '200:30', 'by TLS');
FleetTest::changes($t, $keys[0], 'by TLS');

$mark = $t->mark;
$t->restart(FleetTest::conf($tls->url =~ s/ ssl_trusted_certificate=\S+//r));
is(statuses(@keys), '503:30', 'by TLS, strangers');
like($t->error_log($mark), qr/the redis cluster is unavailable: .*certificate/,
    'the log says so');

$t->done;
