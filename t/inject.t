#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikey_inject: every provider's header, whose key is taken, and
# what becomes of a key that is missing or cannot be opened.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use Test::More;
use ApikeyTest;

my %header = (
    openai => 'authorization: Bearer ',
    google => 'x-goog-api-key: ',
    'azure-openai' => 'api-key: ',
    mistral => 'authorization: Bearer ',
    groq => 'authorization: Bearer ',
    openrouter => 'authorization: Bearer ',
    deepseek => 'authorization: Bearer ',
    firecrawl => 'authorization: Bearer ',
    brave => 'x-subscription-token: ',
    tavily => 'authorization: Bearer ',
    serper => 'x-api-key: ',
);

my $t = ApikeyTest->new;

my $locations = join '', map { <<"EOF" } 'anthropic', sort keys %header;
        location /$_/ {
            apikey_inject $_;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

EOF

$t->http(<<"EOF");
    %%APIKEY%%

    apikey on;
    add_header X-Taken "\$apikey_provider/\$apikey_slot" always;
    add_header X-Reason \$apikey_reason always;
    client_max_body_size 8m;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey_inject openai;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /own {
            apikey_inject openai fallback=none;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /order {
            apikey_inject groq anthropic google fallback=none;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /order-shared {
            apikey_inject groq anthropic google;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /on-error {
            apikey_inject openai on_error=fallback;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /on-error-none {
            apikey_inject openai fallback=none on_error=fallback;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /off {
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /stream {
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;

$locations    }
EOF

$t->start;

my %key = map { $_ => $t->create_key(owner => $_)->{key} }
    qw(alice bob carol dave zoe);
my ($n, $r, %own) = (10);


sub get {
    my ($who, $uri, @headers) = @_;

    return $t->get($uri, Authorization => "Bearer $key{$who}", @headers);
}


sub provider {
    my ($uri, @headers) = @_;

    return credentials($t->request('GET', $uri, \@headers,
        port => $t->port(1)));
}


# Nothing is stored yet.

denied(get('zoe', '/'), 403, 'upstream_key_missing', 'missing');
is(get('zoe', '/')->header('X-Reason'), 'upstream_key_missing',
    'missing, the reason');

# The table of providers.

for my $name (sort keys %header) {
    my $secret = $t->upstream_key($name, 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7' . $n++,
        owner => 'alice');

    $own{$name} = $secret;

    is_deeply(provider("/$name/", Authorization => "Bearer $key{alice}"),
        [ $header{$name} . $secret ], "$name, its header");
    is_deeply(provider("/$name/", 'x-api-key' => $key{alice}),
        [ $header{$name} . $secret ], "$name, from x-api-key");
}

# Anthropic's clients say by a version which of two conventions they follow;
# those that do not say get what they sent.

my $claude = $t->upstream_key('anthropic', 'sk-ant-5Ff6Gg7Hh8Ii9Jj0Kk1Ll2',
    owner => 'alice');
my ($old, $new) = ("x-api-key: $claude", "authorization: Bearer $claude");
my @bearer = (Authorization => "Bearer $key{alice}");
my @bare = ('x-api-key' => $key{alice});

is_deeply(provider('/anthropic/', @bearer), [ $new ], 'anthropic, Bearer');
is_deeply(provider('/anthropic/', @bare), [ $old ], 'anthropic, x-api-key');
is_deeply(provider('/anthropic/', @bearer, @bare), [ $new ],
    'anthropic, both');

for (['2023-06-01', $old], ['2026-10-20', $old], ['2026-10-21', $new],
    ['2027-01-01', $new])
{
    my ($date, $want) = @$_;

    is_deeply(provider('/anthropic/', @$_, 'Anthropic-Version' => $date),
        [ $want ], "anthropic, $date, $_->[0]") for \@bearer, \@bare;
}

# The owner's key first, the shared one else.

my $shared = $t->upstream_key('openai', 'up-shared-3Cc4Dd5Ee6Ff7Gg8Hh9Ii');

is_deeply(credentials(get('alice', '/')), [ $header{openai} . $own{openai} ],
    'the own key');

# What was found missing is asked for again, once its time is over.

ok(wait_for(sub { get('bob', '/')->status == 200 }),
    'a shared key is seen after negative_ttl');
is_deeply(credentials(get('bob', '/')), [ $header{openai} . $shared ],
    'the shared key');
denied(get('bob', '/own'), 403, 'upstream_key_missing', 'fallback=none');
is(get('alice', '/own')->status, 200, 'fallback=none, the own key');
is_deeply(credentials(get('bob', '/off')), [], 'off, none');

# Several providers, in their order; the variables say which was taken.

my $bob = $t->upstream_key('anthropic', 'up-bob-6Dd7Ee8Ff9Gg0Hh1Ii2Jj',
    owner => 'bob', slot => 'main');

$t->upstream_key('google', 'up-bob-google-6Dd7Ee8Ff9Gg0Hh', owner => 'bob');

$r = get('bob', '/order');
is_deeply(credentials($r), [ "authorization: Bearer $bob" ], 'in order');
is($r->header('X-Taken'), 'anthropic/main', 'in order, the variables');

$r = get('alice', '/order');
like($r->header('X-Taken'), qr{^groq/}, 'in order, the first');

denied(get('carol', '/order'), 403, 'upstream_key_missing', 'none of them');

# A shared key of an earlier provider comes before an own one of a later.

$t->upstream_key('groq', 'up-groq-shared-1Aa2Bb3Cc4Dd5Ee6');
like(get('dave', '/order-shared')->header('X-Taken'), qr{^groq/},
    'a shared key of the first');

# A token that cannot be opened hurts its own owner only, and nobody's else
# key is spent in its place.

my $name = 'apikey:upstream:%s:openai';
my $slots = $t->redis_cmd('HGETALL', sprintf $name, 'alice');

$t->redis_cmd('HSET', sprintf($name, 'carol'), @$slots);
denied(get('carol', '/'), 502, 'upstream_key_error', 'a moved token');
is(get('carol', '/')->header('X-Reason'), 'upstream_key_error',
    'a moved token, the reason');
is_deeply(credentials(get('carol', '/on-error')), [ $header{openai}
    . $shared ], 'a moved token, on_error=fallback');
like(get('carol', '/on-error-none')->status, qr/^(?:403|502)$/,
    'a moved token, nothing to fall back to');

my $token = $slots->[1];

substr($token, -5, 1) = substr($token, -5, 1) eq 'A' ? 'B' : 'A';
$t->redis_cmd('HSET', sprintf($name, 'dave'), $slots->[0], $token);
denied(get('dave', '/'), 502, 'upstream_key_error', 'a damaged token');
is(get('alice', '/')->status, 200, 'others are not hurt');

for (['erin', 'no token at all'], ['frank', ''],
    ['grace', 'ak1.00000000.AAAAAAAAAAAAAAAA.'],
    ['heidi', 'ak1.' . 'A' x 60000])
{
    my ($owner, $value) = @$_;

    $key{$owner} = $t->create_key(owner => $owner)->{key};
    $t->redis_cmd('HSET', sprintf($name, $owner), 'default', $value);
    denied(get($owner, '/'), 502, 'upstream_key_error',
        'a damaged token, ' . substr $value, 0, 15);
}

# Sealed under a master key that this keyring does not hold.

$t->ctl('--keyring', "$t->{dir}/keyring2", 'init');
$key{ivan} = $t->create_key(owner => 'ivan')->{key};
$t->upstream_key('openai', 'up-ivan-1Bb2Cc3Dd4Ee5Ff6Gg7Hh', owner => 'ivan',
    keyring => "$t->{dir}/keyring2");
denied(get('ivan', '/'), 502, 'upstream_key_error', 'another master key');

# A second slot serves where the first cannot be opened.

$key{judy} = $t->create_key(owner => 'judy')->{key};
$t->upstream_key('openai', 'up-judy-3Dd4Ee5Ff6Gg7Hh8Ii9Jj', owner => 'judy',
    slot => 'b');
$t->redis_cmd('HSET', sprintf($name, 'judy'), 'a', $token);
is(get('judy', '/')->header('X-Taken'), 'openai/b', 'the slot that opens');

# Not a hash at all.

$key{kim} = $t->create_key(owner => 'kim')->{key};
$t->redis_cmd('SET', sprintf($name, 'kim'), 'x');
$r = get('kim', '/');
ok($r->status >= 500 && $r->status <= 503, 'not a hash, not granted')
    or diag($r->status);

# Bodies come through unharmed.

my $big = join '', map { chr(rand 256) } 1 .. 1024 * 1024;

for my $uri ('/', '/stream') {
    $r = $t->request('POST', $uri, \@bearer, body => $big);
    is($r->json->{sha256}, Digest::SHA::sha256_hex($big), "POST $uri");
    is(scalar @{ credentials($r) }, 1, "POST $uri, one credential");
}

$t->done;
