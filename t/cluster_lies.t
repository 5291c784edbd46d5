#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for nodes of a cluster that say nonsense, send each other's clients in
# circles, know names instead of addresses, or change the map all the time: no
# valid key is refused, nothing is asked for ever, and nothing leaks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;
use FakeRedis;
use FleetTest;
use TestDNS;

my $t = ApikeyTest->new(redis => 0, level => 'info');

# Each node serves what $state->{map} says, a list of [port, first, last]; one
# that is asked for what it has not says MOVED.

my $f = FakeRedis->new(ports => 5, state => { host => '127.0.0.1' },
    reply => sub {
        my ($state, $port, @argv) = @_;

        if ($argv[0] eq 'CLUSTER') {
            return $state->{odd} if exists $state->{odd};
            return [ map { [ \$_->[1], \$_->[2],
                [ $state->{host}, \$_->[0], "id$_->[0]" ] ] }
                @{ $state->{map} } ];
        }

        $state->{asking} = $port if $argv[0] eq 'ASKING';

        return if $argv[0] ne 'HGETALL';

        my $first = shift @{ $state->{says} };

        return \$first if defined $first;
        return \$state->{always} if defined $state->{always};

        my ($range) = grep { $_->[0] == $port } @{ $state->{map} };
        my $host = $state->{moved} // $state->{host} // '';

        return \"-MOVED 0 $host:$state->{map}[0][0]"
            unless $range || ($state->{asking} // 0) == $port;

        delete $state->{asking};

        return $state->{$argv[1]} // [];
    });

my @port = @{ $f->{ports} };
my $seeds = join ',', map { "127.0.0.1:$_" } @port[0, 1];
my $dns = TestDNS->new;


# A key that has not been asked for.

sub key {
    my $key = make_key();

    $f->set("apikey:key:$key->{id}" => [ map { "$_" }
        $t->record($key->{key}) ]);

    return $key;
}


sub status { return FleetTest::status($t, $_[0] || key()) }


sub conf {
    my ($words, $http) = @_;

    return FleetTest::conf("redis://$seeds cluster " . ($words // ''), $http);
}


# The answers to come; then those that are right.

sub says {
    my ($expected, $name, @says) = @_;

    $f->set(says => [ @says ]);

    my $begin = time;

    is(status(), $expected, $name);
    cmp_ok(time - $begin, '<', 0.5 + ApikeyTest::slow(), "$name, in time");
    $f->set(says => []);
}


sub whole { return [ map { [ $_, 0, 16383 ] } @_ ] }


$f->set(map => whole($port[0]));
$t->http(conf())->start;

is(status(), 200, 'a key');
is(status(make_key()), 401, 'one that there is not');

# In the end there is an answer, or there is none, which is no denial.

says(200, 'TRYAGAIN', ('-TRYAGAIN Multiple keys request during rehashing') x 3);
says(200, 'CLUSTERDOWN', ('-CLUSTERDOWN The cluster is down') x 3);
says(200, 'ASK', "-ASK 1 127.0.0.1:$port[3]");
is((grep { $_->[1] eq 'ASKING' } $f->asked)[0][0], $port[3],
    'ASK, the node is told so');
says(200, 'MOVED to itself', ("-MOVED 1 127.0.0.1:$port[0]") x 3);
says(200, 'MOVED without a host', "-MOVED 1 :$port[0]");
says(503, 'LOADING', '-LOADING Redis is loading the dataset in memory');
ok(wait_for(sub { status() == 200 }, 5), 'and then it has');

for my $odd ('-MOVED', '-MOVED x', '-MOVED 1', '-MOVED 1 x', '-MOVED 1 x:0',
    '-MOVED 1 ?:6379', "-MOVED 99999 127.0.0.1:$port[0]",
    '-MOVED 1 ' . 'a' x 300 . ':1', '-ASK 1 127.0.0.1:66666', '-ERR odd',
    '-NOAUTH Authentication required.', '-NOPERM no', '-BUSY script')
{
    says(503, substr($odd, 0, 40), $odd);
    ok(wait_for(sub { status() == 200 }, 5), 'and then it is well');
}

# The slot is not that of the key, so that the right node is asked then.

my $closed = ApikeyTest::free_port();

says(200, 'MOVED to nobody', "-MOVED 1 127.0.0.1:$closed");
says(200, 'MOVED to a name', '-MOVED 1 no.such.host:6379');

# They send each other's clients in circles, or never are ready.

for my $always ("-MOVED 1 127.0.0.1:$port[1]", "-ASK 1 127.0.0.1:$port[1]",
    '-TRYAGAIN later', '-CLUSTERDOWN The cluster is down')
{
    $f->set(always => $always);
    $f->asked;

    my $begin = time;

    is(status(), 503, "always $always");
    cmp_ok(time - $begin, '<', 0.6 * ApikeyTest::slow(), 'within the time');
    cmp_ok(scalar(grep { $_->[1] eq 'HGETALL' } $f->asked), '<=', 10,
        'a few times only');
    $f->set(always => undef);
}

ok(wait_for(sub { status() == 200 }, 5), 'they are ready');

# Maps that are none.  What was known is good on.

my @node = ('127.0.0.1', \$port[0], 'id');
my %odd = (
    'text' => 'x',
    'an empty list' => [],
    'lists of nothing' => [ [], [] ],
    'no node' => [ [ \0, \16383 ] ],
    'slots that there are not' => [ [ \0, \16384, [ @node ] ] ],
    'slots in text' => [ [ '0', '16383', [ @node ] ] ],
    'slots of two' => [ [ \0, \100, [ @node ] ],
        [ \100, \16383, [ '127.0.0.1', \$port[1], 'id' ] ] ],
    'port 0' => [ [ \0, \16383, [ '127.0.0.1', \0, 'id' ] ] ],
    'a host that is none' => [ [ \0, \16383, [ 'a b', \$port[0], 'id' ] ] ],
    'an unknown host' => [ [ \0, \16383, [ '?', \$port[0], 'id', [] ] ] ],
    'too many nodes' => [ map { [ \$_, \$_, [ '127.0.0.1', \($_ + 1), 'i' ] ] }
        0 .. 1001 ],
    'no cluster' => \'-ERR This instance has cluster support disabled',
);


# JSON has no references.

sub flat {
    my ($x) = @_;

    return ref $x eq 'ARRAY' ? [ map { flat($_) } @$x ]
        : ref $x ? { '=' => "$$x" } : $x;
}


for my $name (sort keys %odd) {
    my $mark = $t->mark;

    $f->set(odd => flat($odd{$name}));
    says(200, "$name, while a map is known", "-MOVED 1 127.0.0.1:$port[0]");
    $t->restart;
    is(status(), 503, "$name, at the beginning");
    $f->unset('odd');
    ok(wait_for(sub { status() == 200 }, 10), "$name, and then a map");
}

$f->set(odd => flat($odd{'no cluster'}));
$t->restart;
is(status(), 503, 'no cluster');

my $mark = $t->mark;

select undef, undef, undef, 2;
is(FleetTest::counts($t, $mark, qr/the redis cluster is/), 0,
    'no cluster, it is told once');
like($t->error_log, qr/the\ redis\ cluster\ is\ unavailable:\ it\ refuses\ to
    \ say\ the\ map/x, 'no cluster, the log says so');
$f->unset('odd');
ok(wait_for(sub { status() == 200 }, 10), 'and then one');

# Where a node is not said, it is at the host that was asked.

for my $host ('', undef) {
    $f->set(host => $host);
    $t->restart;
    is(status(), 200, 'a node that says no host, '
        . (defined $host ? '""' : 'nil'));
    $f->set(map => whole($port[2]));
    is(status(), 200, 'and its slots move');
    $f->set(map => whole($port[0]));
    is(status(), 200, 'and back');
}

# Names.

$f->set(host => 'one.test');
$t->restart;
is(status(), 503, 'names without a resolver');
like($t->error_log, qr/its name cannot be looked up without "resolver"/,
    'the log says so');
$t->restart(conf('', "resolver 127.0.0.1:$dns->{port} ipv6=off;"));
is(status(), 200, 'names with one');
$f->set(map => whole($port[2]));
is(status(), 200, 'a slot moves to a name');
$f->set(moved => 'nowhere.test');
$f->set(map => whole($port[3]));
is(status(), 503, 'to a name that there is not');
$f->set(moved => undef);
ok(wait_for(sub { status() == 200 }, 5), 'the map says better');

# The map changes 40 times: nodes come and go, one of them is a stranger each
# time.

my ($worker) = $t->workers;

sub size {
    my @fds = glob "/proc/$worker/fd/*";
    my ($kb) = $t->read_file("../../proc/$worker/status") =~ /VmRSS:\s+(\d+)/;

    return { fds => scalar @fds, kb => $kb };
}


sub round {
    my $well = 0;

    for my $n (0 .. 9) {
        my ($here, $there) = @port[2 + $n % 3, 2 + ($n + 1) % 3];

        $f->set(map => [ [ $here, 0, 8000 ], [ $there, 8001, 16383 ] ]);

        # the one that is left says so, and the map is asked for

        $well += wait_for(sub {
            status() == 200 && !$f->clients((grep { $_ != $here
                && $_ != $there } @port[2 .. 4])[0]) }, 15);
    }

    return $well;
}


$f->set(host => '127.0.0.1');
$t->restart(conf());
is(status(), 200, 'before');
($worker) = $t->workers;
is(round(), 10, 'ten changes, those that left are left');

my $before = size();

is(round() + round() + round(), 30, '30 changes');

ok(wait_for(sub { size()->{fds} <= $before->{fds} }, 5),
    'no descriptor is left behind');

my $after = size();

# AddressSanitizer keeps what was freed, and has its own way to find leaks.

SKIP: {
    skip('memory is not that of nginx', 1) if ApikeyTest::flavour() ne 'plain';
    cmp_ok($after->{kb} - $before->{kb}, '<', 512, 'memory does not grow')
        or diag("$before->{kb}, $after->{kb}");
}

$t->done;
