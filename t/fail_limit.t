#!/usr/bin/perl

# Copyright (C) ngx_apikey_module contributors

# Tests for apikey_fail_limit: what counts as a source and as an attempt, what
# a source that is over its limit may still do, and what it costs Redis.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Test::More;
use ApikeyTest;
use ApikeyJWT;

my $t = ApikeyTest->new(level => 'info', echoes => 0);
my $issuer = jwt_key('HS256', 'k1');
my $static = 'break-glass-0Aa1Bb2Cc3Dd4';

$t->file('html/file', "served\n");
$t->file('secret', "$issuer->{pk}\n", 0600);
$t->file('list', "$static\n", 0600);
$t->file('users', "joe:{PLAIN}let-me-in\n");


# A limit of 3 that does not drain while the test runs.

sub conf {
    my ($ttl) = @_;

    return <<"EOF";
    %%APIKEY%%
    apikey_zone keys:1m ttl=$ttl negative_ttl=60s;

    apikey_fail_limit rate=1r/m burst=3 exempt=203.0.113.7
                      exempt=198.51.100.0/24,2001:db8:e::/48;

    apikey_stack tokens { auth required jwt secret=file:%%DIR%%/secret; }
    apikey_stack listed { auth required static keys=%%DIR%%/list; }

    apikey_stack both {
        auth     sufficient  key;
        auth     required    static  keys=%%DIR%%/list;
        session  optional    audit   log=%%DIR%%/audit.log;
    }

    apikey_stack again { auth required key from=x-again; }

    root %%DIR%%/html;
    set_real_ip_from 127.0.0.1;
    set_real_ip_from unix:;
    real_ip_header X-Forwarded-For;
    keepalive_requests 100000;
    add_header X-Reason \$apikey_reason always;
    add_header X-Worker \$pid always;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        listen 127.0.0.1:%%PORT1%% http2;

        location / { apikey on; }
        location /tokens/ { apikey tokens; alias %%DIR%%/html/; }
        location /listed/ { apikey listed; alias %%DIR%%/html/; }
        location /both/ { apikey both; alias %%DIR%%/html/; }

        location /any/ {
            satisfy any;
            apikey on;
            auth_basic closed;
            auth_basic_user_file %%DIR%%/users;
            alias %%DIR%%/html/;
        }

        location /page/ { apikey on; error_page 401 = /second; }
        location = /second { apikey again; }

        location /busy/ { apikey on; error_page 429 \@busy; }
        location \@busy { return 429 "busy\\n"; }
    }

    server {
        listen 127.0.0.1:%%PORT2%%;
        apikey_fail_limit rate=1r/s burst=10;
        apikey on;
    }

    server {
        listen 127.0.0.1:%%PORT3%%;
        apikey_fail_limit rate=1000r/s total=5r/m exempt=198.51.100.0/24;
        apikey on;
    }

    server {
        listen 127.0.0.1:%%PORT4%%;
        apikey_fail_limit off;
        apikey on;
    }

    server {
        listen unix:%%DIR%%/http.sock;
        apikey on;
        real_ip_header X-Real-IP;
    }
EOF
}


my ($r, @r, $reads);


sub ask {
    my ($source, $key, %opt) = @_;

    return $t->request('GET', $opt{uri} || '/file',
        [ 'X-Forwarded-For' => $source,
            defined $key ? ('x-api-key' => ref $key ? $key->{key} : $key) : (),
            @{ $opt{headers} || [] } ],
        port => $t->port($opt{port} || 0));
}


# What n made-up keys of a source get, and whether Redis was read for them.

sub guess {
    my ($source, $n, %opt) = @_;

    $reads = $t->redis_calls('hgetall');
    @r = map { ask($source, make_key(), %opt) } 1 .. $n;
    $reads = $t->redis_calls('hgetall') - $reads;

    return join ' ', map { $_->status } @r;
}


# Guesses, on one connection, so that it has no look-ups left either.

sub exhaust {
    my ($source, $uri, @keys) = @_;

    my $c = $t->connect;

    for my $key (@keys) {
        $c->send(ApikeyHTTP::bytes('GET', $uri, [ 'X-Forwarded-For' => $source,
            'x-api-key' => $key ]));
        $r = $c->response or die "no answer\n";
    }
}


$t->http(conf('60s'))->start;

my $cached = $t->put_key;
my $fresh = $t->put_key;
my $malformed = 'sk-' . '0' x 50;

is(ask('192.0.2.99', $cached)->status, 200, 'a key that is in the zone');

# IPv4

is(guess('192.0.2.1', 4), '401 401 401 429', 'IPv4, three may fail');
is($r[0]->header('X-Reason'), 'unknown', 'the reason before');
is($r[3]->header('X-Reason'), 'too_many_failures', 'the reason then');
denied($r[3], 429, 'too_many_failed_attempts', 'the answer');
is($r[3]->json->{error}{type}, 'rate_limit_error', 'its type');
cmp_ok($r[3]->header('Retry-After'), '>', 30, 'Retry-After, not too early');
cmp_ok($r[3]->header('Retry-After'), '<=', 60, 'Retry-After, not too late');
is(guess('192.0.2.2', 1), '401', 'IPv4, its neighbour');
is(guess('192.0.2.1', 1, port => 4), '401', 'a server that is off');
is(guess('192.0.2.1', 1, port => 2), '401', 'another rate counts for itself');
is(guess('::ffff:192.0.2.1', 1), '429', 'IPv4 that is mapped');

# What is good passes, whether the zone knows it or not.

is(ask('192.0.2.1', $cached)->status, 200, 'a cached key passes');
is(ask('192.0.2.1', $fresh)->status, 200, 'one that nobody has seen passes');
is(guess('192.0.2.1', 1), '429', 'which clears nothing');
is(ask('192.0.2.1', native_key($cached->{id}, 'w' x 32))->status, 429,
    'a wrong secret of a cached key');
is(ask('192.0.2.1', $malformed)->status, 429, 'what is malformed');

# A request without a credential is no attempt, nor one that may not.

is(ask('192.0.2.1', undef)->status, 401, 'over the limit, nothing sent');
is(join(' ', map { ask('192.0.2.3', undef)->status } 1 .. 5),
    '401 401 401 401 401', 'nothing sent, five times');
is(guess('192.0.2.3', 4), '401 401 401 429', 'which did not count');

# All reasons that are about a credential count.

my $revoked = $t->put_key(status => 'revoked');
my $expired = $t->put_key(expires => 1000000000);

is(join(' ', map { ask('192.0.2.4', $_)->header('X-Reason') } $revoked,
    $expired, $malformed, $revoked), 'revoked expired malformed '
    . 'too_many_failures', 'revoked, expired, malformed');

# IPv6

is(guess('2001:db8:1:2::1', 2), '401 401', 'IPv6');
is(guess('2001:db8:1:2:ffff:2:3:4', 2), '401 429', 'the same /64');
is(guess('2001:db8:1:3::1', 1), '401', 'another /64');

# Exempt

is(guess('198.51.100.9', 5), '401 401 401 401 401', 'exempt, a network');
is(guess('203.0.113.7', 5), '401 401 401 401 401', 'exempt, an address');
is(guess('2001:db8:e:1::1', 5), '401 401 401 401 401', 'exempt, IPv6');
is(guess('203.0.113.8', 4), '401 401 401 429', 'its neighbour is not');

# A unix socket is one source.

sub unix {
    my $s = IO::Socket::UNIX->new(Peer => "$t->{dir}/http.sock") or die "$!\n";

    print $s ApikeyHTTP::bytes('GET', '/file', [ 'x-api-key' =>
        make_key()->{key}, Connection => 'close' ]);
    local $/;

    return <$s> =~ m{^HTTP/1.1 (\d+)} ? $1 : 0;
}


is(join(' ', map { unix() } 1 .. 4), '401 401 401 429', 'a unix socket');

# The log

my $log = $t->error_log;

is(scalar(() = $log =~ /\[warn\].*apikey: .* source "192\.0\.2\.1" have/g), 1,
    'one line of a source');
like($log, qr/\[warn\].*source "2001:db8:1:2::\/64" have failed/,
    'of a network');
like($log, qr/\[warn\].*source "unix:" have failed/, 'of a unix socket');
unlike($log, qr/source "192\.0\.2\.2"/, 'none of one that is not over it');
unlike($log, qr/source "(?:198\.51\.100\.9|203\.0\.113\.7)"/, 'nor exempt');

# Look-ups of a source that is over its limit: a hundred, and then none.

exhaust('192.0.2.5', '/file', map { make_key()->{key} } 1 .. 120);
$reads = $t->redis_calls('hgetall');

my $unseen = $t->put_key;

is(ask('192.0.2.5', $unseen)->status, 429, 'no look-ups left');
is(guess('192.0.2.5', 20), join(' ', (429) x 20), 'nor for others');
is($reads, 0, 'Redis is not asked');
denied($r[0], 429, 'too_many_failed_attempts', 'the answer without a look-up');
is(ask('192.0.2.5', $cached)->status, 200, 'a cached key passes still');
is(ask('192.0.2.6', $unseen)->status, 200, 'the other from elsewhere');
is(ask('192.0.2.5', $unseen)->status, 200, 'and then from there, too');

# With another line behind it, nobody knows either whether it was good.

$unseen = $t->put_key;
$r = ask('192.0.2.5', $unseen, uri => '/both/file');
is($r->status . ' ' . $r->header('X-Reason'), '429 too_many_failures',
    'not looked up, and unknown to the next line');
is(ask('192.0.2.5', $static, uri => '/both/file')->status, 200,
    'known to the next line');
ok(wait_for(sub { $t->read_file('audit.log') =~ /too_many_failures/ }),
    'the audit log');
like((grep { /too_many_failures/ } split /\n/, $t->read_file('audit.log'))[0],
    qr/"192\.0\.2\.5"/, 'has the source');

# Lists are looked at, always.

is(guess('192.0.2.7', 4, uri => '/listed/file'), '401 401 401 429', 'static');
is(ask('192.0.2.7', $static, uri => '/listed/file')->status, 200,
    'static, the good one');

# Tokens: one that was verified passes, others have the hundred look-ups.

sub token {
    my ($n, $by) = @_;

    return jwt($by || $issuer, { sub => "user-$n", exp => time + 600 });
}

my $wrong = jwt_key('HS256', 'k1');
my ($known, $late, $last) = map { token($_) } 1 .. 3;

is(ask('192.0.2.8', undef, uri => '/tokens/file', headers => [ Authorization =>
    "Bearer $known" ])->status, 200, 'a token');
is(join(' ', map { ask('192.0.2.8', undef, uri => '/tokens/file',
    headers => [ Authorization => 'Bearer ' . token($_, $wrong) ])->status }
    1 .. 4), '401 401 401 429', 'tokens of nobody');


sub bearer {
    my ($token) = @_;

    return ask('192.0.2.8', undef, uri => '/tokens/file',
        headers => [ Authorization => "Bearer $token" ])->status;
}


is(bearer($known), 200, 'one that was verified passes');
is(bearer($late), 200, 'one that was not passes');

my $c = $t->connect;

for my $n (1 .. 110) {
    $c->send(ApikeyHTTP::bytes('GET', '/tokens/file', [ 'X-Forwarded-For' =>
        '192.0.2.8', Authorization => 'Bearer ' . token($n, $wrong) ]));
    $r = $c->response;
}

is($r->header('X-Reason'), 'too_many_failures', 'more tokens of nobody');
is(bearer($last), 429, 'then none is verified');
is(bearer($late), 200, 'but those that were pass');

# With other modules

is(ask('192.0.2.9', undef, uri => '/any/file', headers => [ Authorization =>
    'Basic am9lOmxldC1tZS1pbg==' ])->status, 200, 'satisfy any, basic');
is(guess('192.0.2.9', 4, uri => '/any/file'), '401 401 401 429',
    'satisfy any, keys');
is(ask('192.0.2.9', undef, uri => '/any/file', headers => [ Authorization =>
    'Basic am9lOmxldC1tZS1pbg==' ])->status, 200, 'satisfy any, basic goes on');

is(guess('192.0.2.10', 4, uri => '/busy/file'), '401 401 401 429',
    'error_page');
is($r[3]->body, "busy\n", 'error_page, its body');

# A request that two stacks deny is one attempt.

is(join(' ', map { ask('192.0.2.11', make_key(), uri => '/page/file',
    headers => [ 'x-again' => make_key()->{key} ])->status } 1 .. 4),
    '401 401 401 429', 'counted once');

# HTTP/2

is(join(' ', map { $t->h2($t->port(1), 'GET', '/file', [ 'x-api-key' =>
    make_key()->{key}, 'x-forwarded-for' => '192.0.2.12' ])->status } 1 .. 4),
    '401 401 401 429', 'HTTP/2');
is($t->h2($t->port(1), 'GET', '/file', [ 'x-api-key' => $cached->{key},
    'x-forwarded-for' => '192.0.2.12' ])->status, 200, 'HTTP/2, a good key');

# With time it drains.

my $n = 0;

$n++ while $n < 100 && guess('192.0.2.13', 1, port => 2) eq '401';
ok($n >= 10 && $n < 100, 'a fast one') or diag($n);
is($r[0]->header('Retry-After'), 1, 'until there is a token');
ok(wait_for(sub { guess('192.0.2.13', 1, port => 2) eq '401' }, 5),
    'with time it drains');
is(scalar(() = $t->error_log =~ /source "192\.0\.2\.13" have/g), 1,
    'it was told once, until it has drained wholly');

# All sources together

is(join(' ', map { guess("192.0.2.$_", 1, port => 3) } 101 .. 106),
    '401 401 401 401 401 429', 'in total');
is($reads, 0, 'in total, Redis is not asked');
denied($r[0], 429, 'too_many_failed_attempts', 'in total, the answer');
is(ask('192.0.2.107', $cached, port => 3)->status, 200,
    'in total, a cached key passes');
is(guess('198.51.100.9', 2, port => 3), '401 401', 'in total, exempt');
is($reads, 2, 'in total, exempt is looked up');
like($t->error_log, qr/\[warn\].*too many keys that do not exist/,
    'in total, the log');

# A reload, and other workers

guess('192.0.2.1', 3);
ok($t->reload, 'reload');
is(guess('192.0.2.1', 1), '429', 'the count goes on');
is(ask('192.0.2.1', $cached)->status, 200, 'and the keys');

$t->{workers} = 4;
$t->restart(conf('0'));
guess('192.0.2.20', 40);
is(scalar(grep { $_->status == 401 } @r), 3, 'four workers count together');
cmp_ok(scalar keys %{ { map { $_->header('X-Worker') => 1 } @r } }, '>', 1,
    'more than one of them');

# A key that the zone knows is asked for again when it is too old there.

ask('192.0.2.99', $cached);
exhaust('192.0.2.20', '/file', map { make_key()->{key} } 1 .. 120);
$reads = $t->redis_calls('hgetall');
is(ask('192.0.2.20', $cached)->status, 200, 'a key that is too old passes');
is($t->redis_calls('hgetall'), $reads + 1, 'and is looked up');
is(ask('192.0.2.20', $fresh)->status, 429, 'one that is not known is not');

# Many at once, whose worker finds another one just about to refuse them.

my @conn = map { $t->connect } 1 .. 16;

$reads = $t->redis_calls('hgetall');

for my $round (1 .. 100) {
    my $text = ApikeyHTTP::bytes('GET', '/file', [ 'X-Forwarded-For' =>
        '192.0.2.20', 'x-api-key' => make_key()->{key} ]);

    $_->send($text) for @conn;
    $_->response or die "no answer\n" for @conn;
}

# the bucket of look-ups has a few tokens more by now

cmp_ok($t->redis_calls('hgetall') - $reads, '<=', 1, 'none of them asks');

# What is wrong with a line

my @wrong = (
    [ 'rate=10', 'invalid rate "10", it must be as' ],
    [ 'rate=0r/s', 'invalid rate "0r/s"' ],
    [ 'burst=3', '"rate=" is missing' ],
    [ 'rate=', 'the argument "rate=" has no value' ],
    [ 'rate=1r/s burst=x', 'invalid burst "x"' ],
    [ 'rate=1r/s rate=2r/s', 'the argument "rate" is there twice' ],
    [ 'rate=1r/s total=many', 'invalid rate "many"' ],
    [ 'rate=1r/s exempt=10.0.0.0/33', '10.0.0.0/33' ],
    [ 'rate=1r/s exempt=10.0.0.0/8,x', '"x"' ],
    [ 'rate=1r/s exempt=,', 'there is no network in ","' ],
    [ 'rate=1r/s nodelay', 'unknown argument "nodelay"' ],
    [ 'off rate=1r/s', 'unknown argument "off"' ],
    [ "off;\napikey_fail_limit rate=1r/s", 'is duplicate' ]
);

for my $case (@wrong) {
    my ($rc, $out) = $t->check_conf("apikey_fail_limit $case->[0];");

    isnt($rc, 0, "$case->[0]: refused");
    like($out, qr/\Q$case->[1]\E.*check\.conf:\d+/, "$case->[0]: why");
}

is(($t->check_conf('apikey_fail_limit rate=1r/s total=off;'))[0], 0,
    'total=off');
isnt(($t->check_conf('server { location / { apikey_fail_limit off; } }'))[0],
    0, 'not in a location');

$t->done;
