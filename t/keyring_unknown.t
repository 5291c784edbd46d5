#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for a token whose master key the keyring has not: the client is told
# nothing of it, the log says which key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(level => 'error');

$t->http(<<'EOF')->start;
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

my $key = $t->create_key;
my $other = "$t->{dir}/other";

is($t->ctl('--json', 'init', '--keyring', $other), 0, 'another keyring');

my $kid = JSON::PP->new->utf8->decode($t->{out})->{kid};

$t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7', keyring => $other);

my $mark = $t->mark;

denied($t->with_key('/', $key), 502, 'upstream_key_error',
    'an unknown master key');
ok(wait_for(sub { $t->error_log($mark) ne '' }), 'it is logged');
like($t->error_log($mark),
    qr/sealed under master key $kid, not in this keyring/, 'which key it is');

$t->done;
