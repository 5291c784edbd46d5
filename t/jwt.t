#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for "auth ... jwt": tokens of another library, of every algorithm, with
# keys of every kind; their claims, and where they are looked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 ();
use Test::More;
use ApikeyTest;
use ApikeyJWT;

my $t = ApikeyTest->new(level => 'info');

my %key = map { $_ => jwt_key($_, "key-$_") } jwt_algorithms();
my @public = grep { !/^HS/ } jwt_algorithms();
my @secret = grep { /^HS/ } jwt_algorithms();

$t->file('all.json', jwks(map { $key{$_} } @public), 0644);
$t->file('own.json', jwks(map { $key{$_} } @secret), 0600);
$t->file('bare.json', jwks(map { { %{ $key{$_} }, kid => undef } } @public),
    0644);
$t->file('secret', $key{HS512}{pk} . "\n", 0600);

my $places = '';

for my $alg (@public) {
    $t->file("$alg.pem", pem($key{$alg}), 0644);

    $places .= <<EOF;
    apikey_stack pem-$alg {
        auth required jwt key=%%DIR%%/$alg.pem algorithms=$alg;
    }
EOF
}

my $locations = join '', map { <<EOF } @public;
        location /pem-$_/ {
            apikey pem-$_;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
EOF

# Ed448 is nobody's but OpenSSL's.

my $ed448 = "$t->{dir}/ed448.key";

system("openssl genpkey -algorithm ed448 -out $ed448 2>/dev/null") == 0
    && system("openssl pkey -in $ed448 -pubout -out $t->{dir}/ed448.pem") == 0
    or die "openssl cannot make a key\n";


sub ed448 {
    my ($claims) = @_;

    my $input = jwt_raw({ alg => 'EdDSA' }, $claims);
    $input =~ s/\.$//;

    my $in = $t->file('ed448.in', $input);

    my $signature = `openssl pkeyutl -sign -rawin -inkey $ed448 -in $in`;

    return "$input." . b64($signature);
}


$t->http(<<EOF);
    %%APIKEY%%

$places

    apikey_stack set {
        auth required jwt jwks=%%DIR%%/all.json;
    }

    apikey_stack bare {
        auth required jwt jwks=%%DIR%%/bare.json;
    }

    apikey_stack own {
        auth required jwt jwks=%%DIR%%/own.json;
    }

    apikey_stack secret {
        auth required jwt secret=file:%%DIR%%/secret;
    }

    apikey_stack ed448 {
        auth required jwt key=%%DIR%%/ed448.pem;
    }

    apikey_stack strict {
        auth required jwt jwks=%%DIR%%/all.json issuer=https://idp,https://two
            audience=api,other subject=alice,bob algorithms=RS256,ES256
            typ=at+jwt require=azp,realm.roles max_age=10m leeway=5s;
    }

    apikey_stack both {
        auth sufficient key;
        auth required   jwt jwks=%%DIR%%/all.json scopes=scope owner=user.name
            from=authorization,cookie:token,x-token;
        account required scope chat;
        session required identity owner=X-Owner id=X-Id name=X-Name
            claim.realm.roles=X-Roles claim.mail=X-Mail;
    }

    apikey_stack keys {
        auth required key;
    }

    apikey_stack loose {
        auth required jwt jwks=%%DIR%%/all.json exp=optional audience=*
            owner=id;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        add_header X-Claim-Sub \$apikey_claim_sub always;
        add_header X-Claim-Roles \$apikey_claim_realm__roles always;
        add_header X-Claim-N \$apikey_claim_n always;
        add_header X-Claim-Bad \$apikey_claim_bad always;
        add_header X-Reason \$apikey_reason always;
        add_header X-Module \$apikey_module always;
        add_header X-Kind \$apikey_kind always;
        add_header X-Cache \$apikey_cache always;
        add_header X-Id \$apikey_id always;

$locations
        location /set/ { apikey set; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /bare/ { apikey bare; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /own/ { apikey own; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /secret/ {
            apikey secret;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
        location /ed448/ {
            apikey ed448;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
        location /strict/ {
            apikey strict;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
        location /both/ { apikey both; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /keys/ { apikey keys; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /loose/ {
            apikey loose;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->start;

my $n = 0;


sub claims {
    return { sub => 'alice', exp => time + 600, n => ++$n, @_ };
}


sub with {
    my ($path, $token, @headers) = @_;

    $t->secret((split /\./, $token)[2] // '');

    return $t->get($path, @headers ? @headers
        : (Authorization => "Bearer $token"));
}


sub granted {
    my ($path, $token, $name, @headers) = @_;

    my $r = with($path, $token, @headers);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($r->status, 200, $name)
        or diag($r->header('X-Reason') // '', ' ', $r->body);

    return $r;
}


sub refused {
    my ($path, $token, $reason, $name) = @_;

    my $r = with($path, $token);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    denied($r, 401, 'invalid_api_key', $name);
    is($r->header('X-Reason'), $reason, "$name: $reason");
}


# Every algorithm, by a set, without a kid, and by keys in PEM.

for my $alg (@public) {
    my $key = $key{$alg};

    granted('/set/', jwt($key, claims()), "$alg: of a set");
    granted('/set/', jwt({ %$key, kid => undef }, claims()),
        "$alg: without a kid");
    granted('/bare/', jwt($key, claims()), "$alg: keys without a kid");
    granted("/pem-$alg/", jwt($key, claims()), "$alg: in PEM");

    refused('/set/', jwt(jwt_key($alg, "key-$alg"), claims()),
        'jwt_signature', "$alg: another's key");
}

granted('/own/', jwt($key{$_}, claims()), "$_: a secret of a set")
    for @secret;
granted('/secret/', jwt({ %{ $key{HS512} }, alg => $_, kid => undef },
    claims()), "$_: a secret in a file") for @secret;
granted('/ed448/', ed448(claims()), 'EdDSA with Ed448');

# A token is verified once, and then its time is looked at.

my $token = jwt($key{RS256}, claims());

is(granted('/set/', $token, 'first')->header('X-Cache'), 'miss', 'verified');
is(granted('/set/', $token, 'again')->header('X-Cache'), 'hit', 'kept');
is(granted('/bare/', $token, 'elsewhere')->header('X-Cache'), 'miss',
    'what another line has verified counts nothing');

my $r = granted('/set/', $token, 'who it is');

is($r->header('X-Id'), 'jwt:alice', '$apikey_id');
is($r->header('X-Kind'), 'jwt', '$apikey_kind');
is($r->header('X-Module'), 'jwt', '$apikey_module');
is($r->header('X-Claim-Sub'), 'alice', '$apikey_claim_sub');
is($r->header('X-Claim-N'), $n, 'a number');
is_deeply([seen($r, 'authorization')], [], 'the token is not forwarded');

# With a leeway of 30 s, five seconds after the end of those.

$token = jwt($key{ES256}, claims(exp => time - 28));
granted('/set/', $token, 'expired within the leeway');

ok(wait_for(sub { with('/set/', $token)->status == 401 }, 10),
    'kept, and expired since');
refused('/set/', $token, 'jwt_expired', 'it stays so');

refused('/set/', jwt($key{ES256}, claims(exp => time - 60)), 'jwt_expired',
    'expired');
refused('/set/', jwt($key{ES256}, claims(nbf => time + 60)), 'jwt_not_yet',
    'not yet valid');
granted('/set/', jwt($key{ES256}, claims(nbf => time + 20)),
    'not yet valid, within the leeway');
refused('/set/', jwt($key{ES256}, claims(iat => time + 60)), 'jwt_not_yet',
    'of the future');
refused('/set/', jwt($key{ES256}, { sub => 'alice', n => ++$n }),
    'jwt_claims', 'without an end');
refused('/set/', jwt($key{ES256}, claims(aud => 'else')), 'jwt_claims',
    'for somebody else');

# What is wanted.

my %good = (iss => 'https://two', aud => ['x', 'other'], sub => 'bob',
    azp => 'app', realm => { roles => ['a'] }, iat => time - 60);
my $at = { typ => 'at+jwt' };

granted('/strict/', jwt($key{RS256}, claims(%good), $at), 'all is there');
granted('/strict/', jwt($key{ES256}, claims(%good, aud => 'api'),
    { typ => 'application/AT+JWT' }), 'in other words');

for my $case (
    ['another issuer', iss => 'https://three'],
    ['an issuer that begins so', iss => 'https://two/'],
    ['no issuer', iss => undef],
    ['another audience', aud => ['x', 'y']],
    ['no audience', aud => undef],
    ['another subject', sub => 'eve'],
    ['a claim is missing', azp => undef],
    ['a nested claim is missing', realm => { role => 1 }],
    ['no time of issue', iat => undef])
{
    my ($name, $claim, $value) = @$case;
    my %claims = %{ claims(%good, $claim => $value) };

    delete $claims{$claim} unless defined $value;

    refused('/strict/', jwt($key{RS256}, \%claims, $at), 'jwt_claims', $name);
}

refused('/strict/', jwt($key{RS256}, claims(%good, iat => time - 700), $at),
    'jwt_expired', 'too old');
refused('/strict/', jwt($key{PS256}, claims(%good), $at), 'jwt_signature',
    'an algorithm that is not listed');
refused('/strict/', jwt($key{RS256}, claims(%good)), 'jwt_claims',
    'another type');
refused('/set/', jwt($key{RS256}, claims(), { typ => 'secevent+jwt' }),
    'jwt_claims', 'a type of another use');
granted('/loose/', jwt($key{RS256}, { id => 17, aud => 'x', n => ++$n }),
    'exp=optional, audience=*, and an owner that is a number');

# Beside keys; scopes, carriers, and what is told upstream.

my %rich = (user => { name => 'carol' }, scope => 'mail chat',
    realm => { roles => ['a', 'b'] }, mail => 'c@example.org',
    bad => "a\r\nb");

$token = jwt($key{EdDSA}, claims(%rich));
$r = granted('/both/', $token, 'a token beside keys', 'Authorization',
    "Bearer $token", 'X-Owner', 'root', 'x_roles', 'admin');

is_deeply([seen($r, 'x-owner')], ['carol'], 'the owner is a nested claim');
is_deeply([seen($r, 'x-id')], ['jwt:carol'], 'the id');
is_deeply([seen($r, 'x-name')], ['jwt'], 'the name');
is_deeply([seen($r, 'x-roles')], ['a,b'], 'a list');
is_deeply([seen($r, 'x-mail')], ['c@example.org'], 'a claim');
is($r->header('X-Claim-Roles'), 'a,b', 'a nested claim as a variable');
is($r->header('X-Claim-Bad'), undef, 'what no header can carry is not there');

$token = jwt($key{EdDSA}, claims(%rich));
$r = granted('/both/', $token, 'in a cookie', Cookie => "a=b; token=$token");
is_deeply([seen($r, 'cookie')], ['a=b'], 'the cookie is taken out');

$token = jwt($key{EdDSA}, claims(%rich));
granted('/both/', $token, 'in a header', 'X-Token' => $token);

$token = jwt($key{EdDSA}, claims(%rich, scope => ['mail', 'chat']));
granted('/both/', $token, 'scopes in a list');

$token = jwt($key{EdDSA}, claims(%rich, scope => 'mail chatter'));
$r = with('/both/', $token);
denied($r, 403, 'permission_denied', 'a scope is missing');

$token = jwt($key{EdDSA}, claims(%rich, user => { name => "c\nd" }));
refused('/both/', $token, 'jwt_claims', 'an owner that is no name');

$r = $t->with_key('/both/', $t->put_key(scopes => 'chat')->{key});
is($r->status, 200, 'a key beside tokens');
is($r->header('X-Claim-Sub'), undef, 'a key has no claims');

refused('/keys/', jwt($key{RS256}, claims()), 'wrong_kind',
    'a token where only keys are taken');

$r = $t->with_key('/set/', $t->put_key->{key});
denied($r, 401, 'invalid_api_key', 'a key where only tokens are taken');
is($r->header('X-Reason'), 'wrong_kind', 'wrong_kind');

$r = $t->get('/set/');
is($r->header('X-Reason'), 'missing', 'nothing is missing');

$t->done;
