#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for "jwks_uri=": keys that are fetched from an issuer, over TLS, by one
# worker for all; their rotation, and an issuer that is down.
#
# APIKEY_OUTAGE=SECONDS makes the issuer be down for longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();
use ApikeyTest;
use ApikeyJWT;
use JwksServer;
use TestDNS;

my $workers = 4;
my $outage = $ENV{APIKEY_OUTAGE} || 4;
my $t = ApikeyTest->new(level => 'info', workers => $workers);
my $dns = TestDNS->new;

my %made = (dir => $t->{dir});
my $issuer = JwksServer->new(%made);
my $rare = JwksServer->new(%made, name => 'rare');
my $late = JwksServer->new(%made, name => 'late');
my $other = JwksServer->new(%made, name => 'other');
my $named = JwksServer->new(%made, name => 'named', san => 'DNS:example.org');
my $numbered = JwksServer->new(%made, name => 'numbered', host => '127.0.0.1',
    san => 'IP:127.0.0.1');
my $plain = JwksServer->new(%made, name => 'plain', tls => 0,
    host => '127.0.0.1');

my $mute = JwksServer->new(%made, name => 'mute', tls => 0,
    host => '127.0.0.1');

my %key = map { $_ => jwt_key('ES256', $_) } qw(one two three four five);

$_->say(jwks($key{one}))
    for $issuer, $rare, $late, $other, $named, $numbered, $plain;
$late->stop;
$mute->say('', delay => 30);

my (%port, $conf);
my $n = 0;

for my $place (
    [ issuer => $issuer, $issuer->{ca}, 'jwks_refresh=1s jwks_interval=1s' ],
    [ rare => $rare, $rare->{ca}, 'jwks_interval=3s' ],
    [ late => $late, $late->{ca}, 'jwks_interval=1s' ],
    [ other => $other, $issuer->{ca}, '' ],
    [ system => $other, '', '' ],
    [ named => $named, $named->{ca}, '' ],
    [ numbered => $numbered, $numbered->{ca}, '' ],
    [ plain => $plain, '', 'jwks_interval=1s jwks_timeout=2s' ],
    [ mute => $mute, '', 'jwks_interval=1s jwks_timeout=1s' ])
{
    my ($name, $server, $ca, $more) = @$place;
    my $uri = $server->uri("/$name?a=b");

    $ca = $ca ? "jwks_ca=$ca" : '';
    $port{$name} = $n;

    $conf .= <<EOF;
    apikey_stack $name {
        auth required jwt jwks_uri=$uri $ca $more;
    }

    server {
        listen 127.0.0.1:%%PORT$n%%;
        add_header X-Reason \$apikey_reason always;
        add_header X-Cache \$apikey_cache always;
        location / { apikey $name; proxy_pass http://127.0.0.1:%%ECHO%%; }
    }

EOF
    $n++;
}

$t->http(<<EOF);
    %%APIKEY%%

    resolver 127.0.0.1:$dns->{port} ipv6=off;

$conf
EOF
$t->start;


sub token {
    my ($key, %claims) = @_;

    return jwt($key, { sub => 'alice', exp => time + 3600, n => ++$n,
        %claims });
}


sub asks {
    my ($place, $token) = @_;

    return $t->request('GET', '/', [Authorization => "Bearer $token"],
        port => $t->port($port{$place}));
}


sub is_granted {
    my ($place, $token, $name) = @_;

    my $r = asks($place, $token);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($r->status, 200, $name) or diag($r->header('X-Reason') // '');
}


sub is_reason {
    my ($place, $token, $status, $reason, $name) = @_;

    my $r = asks($place, $token);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($r->status . ' ' . ($r->header('X-Reason') // ''), "$status $reason",
        $name);
}


sub fetches {
    my ($server, $path) = @_;

    return scalar grep { index($_, "/$path?") == 0 } $server->fetches;
}


# The first keys are fetched once, for all workers.

is_granted('rare', token($key{one}), 'the keys are there') for 1 .. 40;
is(fetches($rare, 'rare'), 1, 'fetched once');
like(($rare->fetches)[0], qr{^/rare\?a=b issuer\.test:\d+$}, 'as it is asked');

# A new one is accepted with the first request.

$rare->say(jwks($key{one}, $key{two}));
is_granted('rare', token($key{two}), 'a new kid, at once');
is_granted('rare', token($key{$_ % 2 ? 'one' : 'two'}), 'by all workers')
    for 1 .. 40;
is(fetches($rare, 'rare'), 2, 'fetched again');

# Within the interval nobody asks again, and afterwards once.

my $start = Time::HiRes::time();

$rare->say(jwks($key{one}, $key{two}, $key{three}));

my $many = ApikeyTest::flavour() eq 'plain' ? 10000 : 500;
my %seen;
my @c = map { $t->connect(port => $t->port($port{rare})) } 1 .. 16;

for my $i (1 .. $many) {
    my $c = $c[$i % @c];

    $c->send(ApikeyHTTP::bytes('GET', '/', [ Authorization => 'Bearer '
        . jwt_raw({ alg => 'ES256', kid => "invented-$i" },
            { sub => 'eve', exp => time + 60 }, 'x' x 64) ]));

    my $r = $c->response;
    $seen{$r->status}++;
    $c = $t->connect(port => $t->port($port{rare})) if $i % 100 == 0;
    $c[$i % @c] = $c;
}

$_->close for @c;

my $took = Time::HiRes::time() - $start;
my $may = 1 + int($took / 3);

is_deeply(\%seen, { 401 => $many }, "$many invented kids are refused");
cmp_ok(fetches($rare, 'rare') - 2, '<=', $may,
    "fetched at most $may time(s) for them");

# What is taken away at the issuer is not accepted any more.

my $kept = token($key{one});

is_granted('issuer', $kept, 'a token is kept');
$issuer->say(jwks($key{four}));
ok(wait_for(sub { asks('issuer', $kept)->status == 401 }, 20),
    'its key is gone');
ok(wait_for(sub { !grep { asks('issuer', $kept)->status != 401 } 1 .. 20 },
    20), 'in all workers');
is_granted('issuer', token($key{four}), 'and another one there');

# An issuer that is down loses no valid user.

$kept = token($key{four});
is_granted('issuer', $kept, 'before');
$issuer->stop;

my $end = time + $outage;
my %answers;

while (time < $end) {
    $answers{asks('issuer', $kept)->status}++;
    $answers{asks('issuer', token($key{four}))->status}++;
    select undef, undef, undef, 0.05;
}

is_deeply([ keys %answers ], [200], "down for $outage s: none is lost");

ok(wait_for(sub { asks('issuer', token($key{five}))->status == 503 }, 10),
    'who cannot be told is not refused');
is_reason('issuer', token(jwt_key('ES256', 'four')), 401, 'jwt_signature',
    'a forged one is');
is(scalar(() = $t->error_log =~ /\[error\].*issuer\?a=b" cannot be fetched/g)
    <= $workers, 1, 'and it is not told each time');

$issuer->say(jwks($key{four}, $key{five}));
$issuer->start;
ok(wait_for(sub { asks('issuer', token($key{five}))->status == 200 }, 15),
    'it is back');
is_granted('issuer', $kept, 'after');

# Down from the beginning.

is_reason('late', token($key{one}), 503, 'unavailable', 'no keys at all');
is_reason('late', jwt_raw({ alg => 'none' }, {}), 401, 'jwt_signature',
    'what needs no key is refused all the same');
$late->start;
ok(wait_for(sub { asks('late', token($key{one}))->status == 200 }, 15),
    'and then it is there');

# One that accepts and says nothing: who waits does so for one attempt, in
# whatever worker.

my @waiting = map { $t->connect(port => $t->port($port{mute})) } 1 .. 16;
my $asked = Time::HiRes::time();

$_->send(ApikeyHTTP::bytes('GET', '/',
    [ Authorization => 'Bearer ' . token($key{one}) ])) for @waiting;

is_deeply([ map { my $r = $_->response; $r ? $r->status : 'none' } @waiting ],
    [ (503) x 16 ], 'nobody hears');
cmp_ok(Time::HiRes::time() - $asked, '<', 4 * ApikeyTest::slow(),
    'and nobody waits for long');
$_->close for @waiting;

# Who is not the one it should be.

is_reason($_, token($key{one}), 503, 'unavailable', "untrusted: $_")
    for qw(other system named);

my $log = $t->error_log;

$log = join "\n", grep { /cannot be fetched/ } split /\n/, $log;

like($log, qr{/other\?a=b" cannot be fetched: \S+: its certificate is not},
    'another authority');
like($log, qr{/named\?a=b" cannot be fetched: .*not trusted: hostname}i,
    'another name');
is(scalar(() = $other->fetches), 0, 'nothing was asked there');

is_granted('numbered', token($key{one}), 'a certificate of an address');
is_granted('plain', token($key{one}), 'without TLS on this machine');

# Answers of all forms.  Each brings a key of its own.

my $m = 0;
my $pad = ' ' x 70000;

for my $case (
    ['in chunks', 200, chunked => 7 ],
    ['in large chunks', 200, chunked => 20000, pad => 1 ],
    ['byte by byte', 200, piece => 1 ],
    ['chunks byte by byte', 200, chunked => 3, piece => 1 ],
    ['until the end', 200, close => 1 ],
    ['large', 200, pad => 1 ],
    ['with an end, on a connection that stays', 200, linger => 0.9 ],
    ['chunks on a connection that stays', 200, chunked => 9, linger => 0.9 ],
    ['slow', 200, delay => 0.5 ],
    ['not in time', 503, delay => 4 ],
    ['an error', 503, status => 500 ],
    ['a redirect', 503, status => 302, headers => ['Location: /jwks.json'] ],
    ['cut chunks', 503, chunked => 9, cut => 1 ],
    ['cut', 503, length => 100000 ],
    ['too long', 503, length => 10_000_000_000 ],
    ['a header without an end', 503, headers => ['X: ' . 'y' x 20000 ] ],
    ['an unknown encoding', 503, headers => ['Transfer-Encoding: gzip'] ],
    ['no HTTP', 503, raw => 1 ],
    ['no JSON', 503, body => 'x' ],
    ['no key', 503, body => '{"keys":[]}' ],
    ['a member twice', 503, body => '{"keys":[],"keys":[]}' ],
    ['a secret', 503, body => jwks(jwt_key('HS256', 's')) ],
    ['the right one', 200 ])
{
    my ($name, $status, %how) = @$case;
    my $key = jwt_key('ES256', 'm' . ++$m);
    my $body = delete $how{body} // jwks($key);

    $body =~ s/\{/{$pad/ if delete $how{pad};
    $plain->say($body, %how);

    # the interval of the one before has to be over

    select undef, undef, undef, 1.05;

    is(asks('plain', token($key))->status, $status, "an answer: $name");
}

$t->done;
