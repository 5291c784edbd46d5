#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for tokens and sets of keys of the npm package jose.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use ApikeyTest;
use ApikeyJWT;

my $modules = $ENV{APIKEY_SDK}
    || ApikeyTest::root() . '/build/sdk/node_modules';

plan(skip_all => 'there is no node')
    unless grep { -x "$_/node" } split /:/, $ENV{PATH};
plan(skip_all => "the npm package jose is not in $modules")
    unless -d "$modules/jose";

my @algorithms = (jwt_algorithms(), 'Ed25519');
my $text = do {
    local $ENV{LD_PRELOAD};
    `node $FindBin::Bin/sdk/jose.mjs $modules @algorithms`;
};
my $made = JSON::PP->new->decode($text);

my $t = ApikeyTest->new(level => 'info');

$t->file('keys.json', JSON::PP->new->encode($made->{set}), 0600);

$t->http(<<'EOF')->start;
    %%APIKEY%%

    apikey_stack jose {
        auth required jwt jwks=%%DIR%%/keys.json issuer=jose audience=api
            scopes=scope;
        account required scope chat;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Reason $apikey_reason always;
        add_header X-Owner $apikey_owner always;
        location / { apikey jose; proxy_pass http://127.0.0.1:%%ECHO%%; }
    }
EOF

note("jose $made->{version}");

for my $alg (@algorithms) {
    my $token = $made->{tokens}{$alg};

    # Newer ones have given some up, or have other names.

    SKIP: {
        skip("jose has no $alg: $token->{error}", 3) if ref $token;

        my $r = $t->get('/', Authorization => "Bearer $token");

        is($r->status, 200, "$alg of jose");
        is($r->header('X-Owner'), 'alice', "$alg: whose it is");

        my ($head, $claims, $signature) = split /\./, $token;
        substr($signature, 4, 1) = substr($signature, 4, 1) eq 'A' ? 'B' : 'A';

        is($t->get('/', Authorization => "Bearer $head.$claims.$signature")
            ->status, 401, "$alg: changed");
    }
}

$t->done;
