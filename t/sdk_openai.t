#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for OpenAI's own client behind the module: a bad key is told by its
# code and at once, without retries; a good one gets a completion, with the
# provider's key and not the client's at the upstream.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use ApikeyTest;

my $modules = $ENV{APIKEY_SDK}
    || ApikeyTest::root() . '/build/sdk/node_modules';

plan(skip_all => 'there is no node')
    unless grep { -x "$_/node" } split /:/, $ENV{PATH};
plan(skip_all => "the npm package openai is not in $modules")
    unless -d "$modules/openai";

my $t = ApikeyTest->new(reply => sub {
    my ($req) = @_;

    return [ 200, undef, JSON::PP->new->encode({ id => 'chatcmpl-1',
        object => 'chat.completion', created => 1700000000,
        model => 'gpt-test', choices => [ { index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
                content => "Hello from $req->{uri}." } } ] }) ];
});

$t->http(<<'EOF')->start;
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%% timeout=500ms;

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            apikey on;
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /none/ {
            apikey on;
            apikey_inject groq;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

my $good = $t->create_key;
my $gone = $t->create_key;
my $upstream = $t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');

$t->ctl('key', 'revoke', $gone->{id});


sub client {
    my ($key, $base) = @_;

    open my $fh, '-|', 'node', "$FindBin::Bin/sdk/openai.mjs", $modules,
        'http://127.0.0.1:' . $t->port . ($base || '/v1'), $key
        or die "node: $!\n";
    local $/;
    my $text = <$fh> // '';
    close $fh;

    return eval { JSON::PP->new->utf8->decode($text) } || { text => $text };
}


my $r = client($good->{key});

is($r->{content}, 'Hello from /v1/chat/completions.', 'a completion')
    or diag(explain($r));
is($r->{calls}, 1, 'a completion, one call');
is_deeply([ map { credentials($_) } $t->{echo}[0]->requests ],
    [ [ "authorization: Bearer $upstream" ] ], 'a completion, the upstream');

for (['unknown', make_key()->{key}], ['malformed', 'sk-1'],
    ['revoked', $gone->{key}], ['mistyped', $good->{key} =~ s/.$/!/r])
{
    my ($name, $key) = @$_;

    $t->secret($key) if $name eq 'unknown';
    $r = client($key);
    is($r->{code}, 'invalid_api_key', "$name, err.code") or diag(explain($r));
    is($r->{name}, 'AuthenticationError', "$name, its class");
    is($r->{type}, 'invalid_request_error', "$name, err.type");
    is($r->{calls}, 1, "$name, one call");
    like($r->{message}, qr/^401 \S+ \S+ \S+/, "$name, a message");
}

$r = client($good->{key}, '/none/v1');
is($r->{code}, 'upstream_key_missing', 'no provider key, err.code');
is($r->{calls}, 1, 'no provider key, one call');

# An outage is worth a retry, and is not told as a bad key.

$t->{redis}->stop;
$r = client($t->secret(make_key()->{key}));
is($r->{status}, 503, 'outage, err.status');
is($r->{code}, 'auth_unavailable', 'outage, err.code');
is($r->{calls}, 3, 'outage, retried');

$t->done;
