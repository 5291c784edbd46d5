package FleetTest;

# (C) ngx_apikey_module contributors

# What the tests of sentinels and of clusters share.  $t is an ApikeyTest whose
# {redis} is the fleet.
#
#   FleetTest::conf($words)       a http block; %%STORE%% unless words are given
#   FleetTest::status($t, $key)   of a request with it
#   FleetTest::keys($t, $n)       so many, in the store; their secrets are not
#                                 looked for in the log, for there are many
#   FleetTest::load($t, $seconds, @cached)   a LoadGen: 500 requests a second of
#                                 these keys, every tenth of one in no cache
#   FleetTest::harmless($load, $name)        tests of its outcome; returns the
#                                 longest time without an answer for uncached
#   FleetTest::changes($t, $key)  disables and enables it, and tests that both
#                                 are seen; true where they were
#   FleetTest::clients($node)     connections of nginx to a server
#   FleetTest::counts($t, $mark, $pattern)   lines of the log

use strict;
use warnings;

use Test::More;

use ApikeyTest;
use LoadGen;


sub conf {
    my ($words, $http) = @_;

    $words //= '%%STORE%%';
    $http //= '';

    return <<"EOF";
    access_log off;
    $http
    apikey_keyring %%KEYRING%%;
    apikey_store $words timeout=500ms connect_timeout=500ms;
    apikey_zone keys:8m ttl=10m negative_ttl=1s stale=10m;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        add_header X-Cache \$apikey_cache always;
        add_header X-Reason \$apikey_reason always;

        location / {
            empty_gif;
        }

        location /echo {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
}


sub status {
    my ($t, $key) = @_;

    return $t->with_key('/echo', $key)->status;
}


sub keys {
    my ($t, $n) = @_;

    my @keys = map { make_key() } 1 .. $n;

    for my $key (@keys) {
        $t->redis_send('HSET', "apikey:key:$key->{id}",
            $t->record($key->{key}));
    }

    $t->redis_reply for @keys;

    return @keys;
}


sub load {
    my ($t, $seconds, @cached) = @_;

    my @fresh = FleetTest::keys($t, 60 * $seconds);

    my $fleet = $t->{redis};

    for my $node ($fleet->can('masters') ? $fleet->masters : $fleet->master) {
        my $n = () = $node->command(qw(INFO replication)) =~ /^slave\d+:/mg;

        $node->command('WAIT', $n, 5000) if $n;
    }

    status($t, $_) for @cached, @cached;

    return LoadGen->start(port => $t->port, rate => 500, seconds => $seconds,
        keys => \@cached, fresh => \@fresh, every => 10);
}


# No valid key is refused, and no cached one fails.

sub harmless {
    my ($load, $name) = @_;

    $load->wait;

    is($load->count(status => 401), 0, "$name, no valid key is refused");
    is($load->count(status => 200, kind => 'key'),
        $load->count(kind => 'key'), "$name, cached keys feel nothing")
        or diag(explain($load->summary->{status}));
    is(($load->rows(kind => 'fresh'))[-1]{status}, 200,
        "$name, uncached keys are looked up again");

    my @gaps = sort { $a <=> $b } map { $_->[1] - $_->[0] }
        $load->gaps(kind => 'fresh', status => 200, longer => 0.05);
    my $gap = $gaps[-1] // 0;

    note(sprintf '%s, uncached keys: %d of %d fail, none for %.2f s', $name,
        $load->count(kind => 'fresh') - $load->count(kind => 'fresh',
        status => 200), $load->count(kind => 'fresh'), $gap);

    return $gap;
}


sub changes {
    my ($t, $key, $name) = @_;

    my $record = "apikey:key:$key->{id}";

    $t->redis_cmd('HSET', $record, 'status', 'disabled');

    my $seen = wait_for(sub { status($t, $key) == 401 }, 2);

    $t->redis_cmd('HSET', $record, 'status', 'active');

    return ok(wait_for(sub { status($t, $key) == 200 }, 2) && $seen,
        "$name, a change is seen");
}


# Those by TCP that are none of a replica or of a sentinel, which has a name.

sub clients {
    my ($node) = @_;

    return scalar grep { / name= / && !m{ addr=/} && !/ flags=[SM]/ }
        split /\n/, $node->command(qw(CLIENT LIST));
}


sub counts {
    my ($t, $mark, $pattern) = @_;

    return scalar(() = $t->error_log($mark) =~ /$pattern/g);
}


1;
