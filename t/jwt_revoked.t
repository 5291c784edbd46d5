#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for tokens that are revoked: by marks in the store, ours and those that
# Open WebUI makes when somebody signs out.  Before the application itself the
# cookie is passed on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;
use ApikeyJWT;

my $t = ApikeyTest->new(level => 'info', workers => 2);

# The secret and the tokens of Open WebUI: PyJWT, HS256, and these claims.

my $secret = 't0p-s3cr3t';
my $vector = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6IjExMTExMTExLTExMTE'
    . 'tMTExMS0xMTExLTExMTExMTExMTExMSIsImV4cCI6NDEwMjQ0NDgwMCwianRpIjoiMjIyMj'
    . 'IyMjItMjIyMi0yMjIyLTIyMjItMjIyMjIyMjIyMjIyIiwiaWF0IjoxNzAwMDAwMDAwfQ.PY'
    . 'mMwUft-Ou9uchwiyDcrCvWZs8L94PdT1pdT8Rn0HI';

my $webui = jwt_key('HS256', undef, $secret);
my $key = jwt_key('ES256', 'k');

$t->file('webui', $secret, 0600);
$t->file('keys.json', jwks($key), 0644);

$t->http(<<'EOF');
    %%APIKEY%%

    apikey_zone keys:1m ttl=10m negative_ttl=10m stale=10m;

    apikey_stack own {
        auth required jwt jwks=%%DIR%%/keys.json exp=optional owner=email;
    }

    apikey_stack webui {
        auth sufficient key from=authorization,x-api-key;
        auth required   jwt secret=file:%%DIR%%/webui algorithms=HS256
            open_webui=open-webui exp=optional
            from=authorization,cookie:token;
        session required identity owner=X-User;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Reason $apikey_reason always;
        add_header X-Owner $apikey_owner always;
        add_header X-Jti $apikey_claim_jti always;

        location /own { apikey own; proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /api { apikey webui; proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /ui {
            apikey webui;
            apikey_pass_credential on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
$t->start;

my $n = 0;


sub answer {
    my ($path, @headers) = @_;

    my $r = $t->get($path, @headers);

    return $r->status . ' ' . ($r->header('X-Reason') // '');
}


sub own {
    my ($token) = @_;

    return answer('/own', Authorization => "Bearer $token");
}


# All is well as long as nobody has said anything.

my %claims = (sub => 'alice', email => 'a@example.org', jti => 'one',
    iat => time - 100);
my $token = jwt($key, \%claims);

is(own($token), '200 ', 'not revoked');

# Of the jti: from the next look on, for this token alone.

$t->redis_cmd('SET', 'apikey:revoked:jti:one', time, 'EX', 600);

ok(wait_for(sub { own($token) eq '401 jwt_revoked' }, 5), 'revoked');
is(own(jwt($key, { %claims, jti => 'two' })), '200 ', 'another one is not');

$t->redis_cmd('DEL', 'apikey:revoked:jti:one');
ok(wait_for(sub { own($token) eq '200 ' }, 5), 'and is it no more');

# Of a user: what was issued up to then.

$t->redis_cmd('SET', 'apikey:revoked:sub:alice', $claims{iat} - 1);
is(own(jwt($key, { %claims, jti => 'three' })), '200 ', 'issued afterwards');

# A later time counts as soon as a first one does.

$t->redis_cmd('SET', 'apikey:revoked:sub:alice', $claims{iat});
ok(wait_for(sub { own($token) eq '401 jwt_revoked' }, 5), 'issued just then');
is(own(jwt($key, { %claims, iat => time })), '200 ', 'signed in again');

my %undated = %claims;

delete $undated{iat};
is(own(jwt($key, \%undated)), '401 jwt_revoked', 'nobody knows when');

$t->redis_cmd('SET', 'apikey:revoked:sub:alice', 'yesterday');
ok(wait_for(sub { own(jwt($key, { %claims, iat => time, n => ++$n }))
    eq '401 jwt_revoked' }, 5), 'a mark that is no time');

$t->redis_cmd('DEL', 'apikey:revoked:sub:alice');
$t->redis_cmd('RPUSH', 'apikey:revoked:sub:alice', 'x');
ok(wait_for(sub { own($token) eq '401 jwt_revoked' }, 5), 'nor a text');
$t->redis_cmd('DEL', 'apikey:revoked:sub:alice');
ok(wait_for(sub { own($token) eq '200 ' }, 5), 'none any more');

# The owner is another claim.

$t->redis_cmd('SET', 'apikey:revoked:sub:a@example.org', time);
ok(wait_for(sub { own($token) eq '401 jwt_revoked' }, 5), 'by the owner');
$t->redis_cmd('DEL', 'apikey:revoked:sub:a@example.org');

# Open WebUI: the token of its own, in a cookie and in Authorization.

my $id = '11111111-1111-1111-1111-111111111111';
my $jti = '22222222-2222-2222-2222-222222222222';
my $r = $t->get('/api', Cookie => "theme=dark; token=$vector");

is($r->status, 200, 'signed in');
is($r->header('X-Owner'), $id, 'its user');
is($r->header('X-Jti'), $jti, 'its id');
is_deeply([seen($r, 'cookie')], ['theme=dark'], 'the cookie stays here');
is_deeply([seen($r, 'x-user')], [$id], 'who it is is told');
is(answer('/api', Authorization => "Bearer $vector"), '200 ',
    'the same as a bearer');
is(answer('/api', Authorization => 'Bearer ' . $t->put_key->{key}), '200 ',
    'and a key');

# Before Open WebUI, which checks it again, it is passed on.

$r = $t->get('/ui', Cookie => "theme=dark; token=$vector", 'X-User' => 'root');
is($r->status, 200, 'the page');
is_deeply([seen($r, 'cookie')], ["theme=dark; token=$vector"],
    'with its cookie');
is_deeply([seen($r, 'x-user')], [$id], 'and no identity but ours');

$r = $t->get('/ui', Authorization => "Bearer $vector");
is_deeply([seen($r, 'authorization')], ["Bearer $vector"], 'or Authorization');

# What Open WebUI signs: without an end, without a jti, with one of today.

for my $case (['without an end', jti => 'j1'], ['of before', ],
    ['with an end', jti => 'j2', exp => time + 86400 * 28, iat => time])
{
    my ($name, %more) = @$case;
    my $made = jwt($webui, { id => $id, %more }, { typ => 'JWT' });

    is(answer('/api', Cookie => "token=$made"), '200 ', $name);
}

is(answer('/api', Cookie => 'token='
    . jwt($webui, { id => $id, exp => time - 100 })), '401 jwt_expired',
    'ended');
is(answer('/api', Cookie => 'token=' . jwt(jwt_key('HS256', undef,
    'another-secret'), { id => $id })), '401 jwt_signature',
    'of another secret');
is(answer('/api', Cookie => 'token=' . jwt({ %$webui, alg => 'HS512' },
    { id => $id })), '401 jwt_signature', 'of another algorithm');
is(answer('/api', Cookie => 'token=' . jwt_raw({ alg => 'none' },
    { id => $id })), '401 jwt_signature', 'without a signature');
is(answer('/api'), '401 missing', 'signed out');

# A sign-out: the application sets its mark for the rest of the token's life.

$t->redis_cmd('SET', "open-webui:auth:token:$jti:revoked", 1, 'EX', 3600);
ok(wait_for(sub { answer('/api', Cookie => "token=$vector")
    eq '401 jwt_revoked' }, 5), 'signed out there, and here');
is(answer('/ui', Cookie => "token=$vector"), '401 jwt_revoked',
    'everywhere here');
$t->redis_cmd('DEL', "open-webui:auth:token:$jti:revoked");
ok(wait_for(sub { answer('/api', Cookie => "token=$vector") eq '200 ' }, 5),
    'the mark is gone');

# The provider says that the user is signed out of all sessions.

$t->redis_cmd('SET', "open-webui:auth:user:$id:revoked_at", 1700000000);
ok(wait_for(sub { answer('/api', Cookie => "token=$vector")
    eq '401 jwt_revoked' }, 5), 'issued at that time');

my $later = jwt($webui, { id => $id, iat => 1700000001, jti => 'x' });

is(answer('/api', Cookie => "token=$later"), '200 ', 'a second later');
is(answer('/api', Cookie => 'token=' . jwt($webui, { id => $id })),
    '401 jwt_revoked', 'nobody knows when');

# Redis is down: who was not revoked is not now; of others nobody can tell.

is(answer('/api', Cookie => "token=$later"), '200 ', 'asked before');

$t->{redis}->stop;

ok(wait_for(sub { answer('/api', Cookie => 'token='
    . jwt($webui, { id => 'somebody', jti => 'y' . ++$n }))
    eq '503 unavailable' }, 10), 'a token that nobody has asked about');
is(answer('/api', Cookie => "token=$later"), '200 ', 'one that somebody has');
is(answer('/api', Cookie => "token=$vector"), '401 jwt_revoked',
    'one that is revoked');

$t->done;
