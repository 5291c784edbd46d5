#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the module beside others that decide on access: allow and deny,
# auth_basic, "satisfy any" and "satisfy all".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;
        add_header X-Reason $apikey_reason always;
        add_header X-Owner $apikey_owner always;
        proxy_set_header X-User $remote_user;

        location /any-allow {
            satisfy any;
            allow 127.0.0.1;
            deny all;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /any-deny {
            satisfy any;
            deny all;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /all-allow {
            allow 127.0.0.1;
            deny all;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /all-deny {
            deny all;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /any-basic {
            satisfy any;
            auth_basic "people";
            auth_basic_user_file %%DIR%%/htpasswd;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /all-basic {
            auth_basic "people";
            auth_basic_user_file %%DIR%%/htpasswd;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /any-basic-own {
            satisfy any;
            apikey_inject openai fallback=none;
            auth_basic "people";
            auth_basic_user_file %%DIR%%/htpasswd;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /any-off {
            satisfy any;
            apikey off;
            apikey_inject off;
            deny all;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /delay {
            auth_delay 500ms;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->file('htpasswd', "anna:{PLAIN}anna-pass-0Aa1Bb2Cc3\n");
$t->start;

my $key = $t->create_key(owner => 'alice')->{key};
my $bad = make_key()->{key};
my $own = $t->upstream_key('openai', 'up-alice-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7',
    owner => 'alice');
my $shared = $t->upstream_key('openai', 'up-shared-9Zz8Yy7Xx6Ww5Vv4Uu3Tt');
my @key = (Authorization => "Bearer $key");
my @bad = (Authorization => "Bearer $bad");
my $anna = encode_base64('anna:anna-pass-0Aa1Bb2Cc3', '');
my @basic = (Authorization => "Basic $anna");
my @wrong = (Authorization => 'Basic ' . encode_base64('anna:no', ''));

my ($r, $calls);

$t->secret('anna-pass-0Aa1Bb2Cc3');
$t->secret($anna);

# Whoever the address lets in needs no key, and nobody knows who it is: only
# the shared key can serve.

$r = $t->get('/any-allow');
is($r->status, 200, 'any, allowed by address');
is_deeply(credentials($r), [ "authorization: Bearer $shared" ],
    'any, allowed by address, the shared key');
is_deeply(credentials($t->get('/any-allow', @bad)),
    [ "authorization: Bearer $shared" ],
    'any, allowed by address, a bad key does not go on');
is($t->get('/any-deny', @key)->status, 200, 'any, denied by address, a key');
is_deeply(credentials($t->get('/any-deny', @key)),
    [ "authorization: Bearer $own" ], 'any, the own key');
isnt($t->get('/any-deny')->status, 200, 'any, neither');
isnt($t->get('/any-deny', @bad)->status, 200, 'any, a bad key');
denied($t->get('/any-deny', @bad), 401, 'invalid_api_key',
    'any, a bad key, the body');

# All: both are needed, and the address comes first; those that it refuses
# must not make work for Redis.

is($t->get('/all-allow', @key)->status, 200, 'all, both');
denied($t->get('/all-allow', @bad), 401, 'invalid_api_key', 'all, no key');

$calls = $t->redis_calls('hgetall');
$r = $t->get('/all-deny', 'x-api-key' => make_key()->{key});
is($r->status, 403, 'all, denied by address');
unlike($r->body, qr/invalid_api_key/, 'all, denied by address, not by us');
is($r->header('WWW-Authenticate'), undef,
    'all, denied by address, no challenge');
is($t->get('/all-deny', @key)->status, 403, 'all, denied despite a key');
is($t->redis_calls('hgetall'), $calls, 'all, Redis was not asked');

# A person or a key.

$r = $t->get('/any-basic', @basic);
is($r->status, 200, 'any, a person');
is_deeply(credentials($r), [ "authorization: Bearer $shared" ],
    'any, a person, the shared key in place of the password');
is((seen($r, 'x-user'))[0], 'anna', 'any, a person, $remote_user');
is($r->header('WWW-Authenticate'), undef, 'any, a person, no challenge');
is($r->header('Content-Type'), 'application/json', 'the answer is not ours');
is($r->header('Cache-Control'), undef, 'any, a person, no header of a denial');
is($t->get('/any-basic', @key)->status, 200, 'any, a key');
is($t->get('/any-basic', @key)->header('X-Owner'), 'alice', 'any, the owner');

for (['nothing'], ['a bad key', @bad], ['a wrong password', @wrong]) {
    my ($name, @h) = @$_;

    $r = $t->get('/any-basic', @h);
    is($r->status, 401, "any, $name");

    # A client of either kind finds its own challenge.

    is_deeply([ sort map { /^(\w+)/ } $r->headers('WWW-Authenticate') ],
        [ 'Basic', 'Bearer' ], "any, $name, both challenges");
    is(eval { $r->json->{error}{code} }, 'invalid_api_key',
        "any, $name, the body");
}

# Somebody else let them in, and there is no key for nobody.

denied($t->get('/any-basic-own', @basic), 403, 'upstream_key_missing',
    'any, a person, fallback=none');

# A person and a key: the password and the key in one request.

$r = $t->get('/all-basic', @basic, 'x-api-key' => $key);
is($r->status, 200, 'all, a person and a key');
is_deeply(credentials($r), [ "authorization: Bearer $own" ],
    'all, one credential for the upstream');
is((seen($r, 'x-user'))[0], 'anna', 'all, $remote_user');

denied($t->get('/all-basic', @basic), 401, 'invalid_api_key',
    'all, a person without a key');

$r = $t->get('/all-basic', 'x-api-key' => $key);
is($r->status, 401, 'all, a key without a person');
unlike($r->body, qr/invalid_api_key/, 'all, not denied by us');
like($r->header('WWW-Authenticate'), qr/^Basic /, 'all, the other challenge');

# Where the module is off it says nothing: "satisfy any" must not take that
# for consent.

is($t->get('/any-off', @key)->status, 403, 'any, off is not a yes');

# Denials are delayed as those of nginx are.

my $start = time;

denied($t->get('/delay'), 401, 'invalid_api_key', 'auth_delay');
cmp_ok(time - $start, '>', 0.45, 'auth_delay, waits');
is($t->get('/delay', @key)->status, 200, 'auth_delay, granted');

# Redis away: an outage is not a denial that another module could overrule in
# silence, nor one that is told as such.

$t->{redis}->stop;
denied($t->get('/any-deny', 'x-api-key' => make_key()->{key}), 503,
    'auth_unavailable', 'outage');

$t->done;
