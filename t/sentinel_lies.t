#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for sentinels that lie, know nothing, say nonsense or change their mind
# all the time: none of it grants anything, another one is asked, the log is
# told once, and nothing leaks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;
use FakeRedis;
use RedisNode;

my $t = ApikeyTest->new(level => 'info');
my $other = RedisNode->new(args => [ '--replicaof', "127.0.0.1 "
    . "$t->{redis}{port}", '--repl-diskless-sync-delay', '0' ]);

my $fake = FakeRedis->new(ports => 2, state => {}, reply => sub {
    my ($state, $port, @argv) = @_;

    return if $argv[0] ne 'SENTINEL';
    select undef, undef, undef, $state->{slow} if $state->{slow};
    return \$state->{error} if $state->{error};
    return $state->{odd} if $state->{odd};
    return undef if ($argv[2] // '') ne 'mymaster';

    my $master = $state->{$port} // $state->{master};

    return defined $master ? [ '127.0.0.1', "$master" ] : undef;
});

my ($one, $two) = @{ $fake->{ports} };
my $master = $t->{redis}{port};


sub conf {
    my ($words) = @_;

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store redis://127.0.0.1:$one,127.0.0.1:$two sentinel=$words
                 timeout=500ms connect_timeout=500ms;
    apikey_zone keys:1m ttl=10m stale=10m;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        add_header X-Cache \$apikey_cache always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
}


sub status { return $t->with_key('/', $_[0])->status }


# Lines of the log that match.

sub told {
    my ($pattern, $mark) = @_;

    return scalar(() = $t->error_log($mark) =~ /$pattern/g);
}


ok(wait_for(sub { $other->info('replication', 'master_link_status') eq 'up' }),
    'a replica');

my ($first, $last, @keys) = map { $t->put_key } 1 .. 13;

# A name that no sentinel knows.

$fake->set(master => $master);
$t->http(conf('nobody'))->start;
denied($t->with_key('/', $first), 503, 'auth_unavailable', 'an unknown name');

select undef, undef, undef, 1.5;
is(status($first), 503, 'an unknown name, still');
is(told(qr/sentinel is unavailable: it knows no master of the name/), 1,
    'an unknown name is told once');
is(told(qr/sentinel is available/), 0, 'and not taken back');
is(told(qr/redis is available/), 0, 'no server is looked for');

# A sentinel says that a replica is the master, the other one knows.

$fake->set($one => $other->{port});
$t->restart(conf('mymaster'));
is(status($first), 200, 'another sentinel is asked');
is($other->calls('hgetall'), 0, 'a replica is not');

# Both lie: nothing is known, and nothing is granted.

my $mark = $t->mark;

$fake->set($two => $other->{port});
$t->restart;
is(status($keys[0]), 503, 'both name a replica');
is(status(make_key()), 503, 'nor is a key refused for it');
is(told(qr/redis is unavailable: the server is not the master/, $mark), 1,
    'told once');
is($other->calls('hgetall'), 0, 'the replica is not asked');

$fake->set($two => $master);
ok(wait_for(sub { status($keys[0]) == 200 }, 10), 'one of them knows again');

# The sentinel in use names nobody's port: the other one is asked.

my $closed = ApikeyTest::free_port();

$fake->set($_ => undef) for $one, $two;
$fake->set($one => $closed);
$t->restart;
is(status($keys[1]), 200, 'a port where nobody listens');

# Nonsense.

my %odd = ('no list' => 'x', 'a short list' => ['127.0.0.1'],
    'no port' => [ '127.0.0.1', 'x' ], 'port 0' => [ '127.0.0.1', '0' ],
    'an empty host' => [ '', '1' ], 'lists' => [ [], [] ],
    'a long host' => [ 'a' x 300, '6379' ],
    'a name that cannot be looked up' => [ 'no.such.host', '6379' ]);

for my $name (sort keys %odd) {
    $fake->set(odd => $odd{$name});
    $t->restart;
    is(status($keys[2]), 503, $name);
    $fake->set(odd => undef);
    ok(wait_for(sub { status($keys[2]) == 200 }, 10), "after $name");
}

$fake->set(error => '-NOPERM this user has no permissions');
$t->restart;
is(status($keys[3]), 503, 'an error');
ok(wait_for(sub { told(qr/it refuses to name the master/) }, 5),
    'an error is told');
$fake->set(error => undef);
ok(wait_for(sub { status($keys[3]) == 200 }, 10), 'after an error');

# Messages that are none, or of another master, change nothing.

$mark = $t->mark;

$fake->publish('+switch-master', $_) for '', 'mymaster', 'x 1 2 3 4',
    "other 127.0.0.1 $master 127.0.0.1 $closed",
    "mymaster 127.0.0.1 $master 127.0.0.1 0", 'mymaster ' x 100;
is(status($keys[4]), 200, 'messages that say nothing');
is(told(qr/the master of redis is/, $mark), 0, 'the master is the same');

# The master changes its address 40 times, two nodes having the same data, and
# the old one is left each time: nothing piles up.

$other->command(qw(REPLICAOF NO ONE));
$other->command(qw(DEL), map { "apikey:key:$_->{id}" } $keys[5]);

my ($worker) = $t->workers;
my %state;


sub size {
    my @fds = glob "/proc/$worker/fd/*";
    my ($kb) = $t->read_file("../../proc/$worker/status") =~ /VmRSS:\s+(\d+)/;

    return { fds => scalar @fds, kb => $kb };
}


sub switch {
    my ($from, $to) = @_;

    my $mark = $t->mark;

    $fake->set($_ => $to) for $one, $two;
    $fake->publish('+switch-master', "mymaster 127.0.0.1 $from 127.0.0.1 $to");

    return wait_for(sub {
        $t->error_log($mark) =~ /the master of redis is 127\.0\.0\.1:$to now/
    }, 5);
}


sub clients {
    my ($node) = @_;

    return scalar grep { !/addr=\// && !/flags=[SM]/ }
        split /\n/, $node->command(qw(CLIENT LIST));
}


is(status($keys[5]), 200, 'before the switch');
ok(switch($master, $other->{port}), 'a switch');
is(status($keys[5]), 401, 'the new master is asked, and not the cache');
is(status($keys[0]), 200, 'of the others too');
ok(wait_for(sub { clients($t->{redis}) == 0 }, 5),
    'there is no connection to the old master');

my $moved = 0;

for my $n (1 .. 5) {
    $moved += switch($other->{port}, $master);
    $moved += switch($master, $other->{port});
}

is(status($keys[0]), 200, 'after ten');

ok(wait_for(sub { clients($other) == 2 }, 5), 'it is asked and watched');

my $before = size();

for my $n (1 .. 15) {
    $moved += switch($other->{port}, $master);
    status($keys[$_ % 12]) for 1 .. 3;
    $moved += switch($master, $other->{port});
}

is($moved, 40, '40 switches');
is(status($keys[0]), 200, 'after all of them');
ok(wait_for(sub { clients($other) == 2 }, 5), 'it is asked and watched');
ok(wait_for(sub { clients($t->{redis}) == 0 }, 5),
    'no connection is left behind');

ok(wait_for(sub { size()->{fds} <= $before->{fds} }, 5),
    'no descriptor is left behind');

my $after = size();

# AddressSanitizer keeps what was freed, and has its own way to find leaks.

SKIP: {
    skip('memory is not that of nginx', 1) if ApikeyTest::flavour() ne 'plain';
    cmp_ok($after->{kb} - $before->{kb}, '<', 512, 'memory does not grow')
        or diag("$before->{kb}, $after->{kb}");
}

# The sentinels say it in all tongues: they are one connection.

is($fake->clients($one) + $fake->clients($two), 1, 'one sentinel is in use');

# The master is gone, nobody was told, and the sentinels name another one: who
# asks just then is answered.

ok(switch($other->{port}, $master), 'the last switch');
is(status($first), 200, 'is over');
$fake->set($_ => $other->{port}) for $one, $two;
$fake->set(slow => 0.2);
$t->{redis}->kill;
is(status($last), 200, 'the new master is asked for before anything fails');

$t->done;
