#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikey_inject: keys of the environment and of files, providers that
# variables name, and what nginx -t says of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(echoes => 1);
my $env = $t->secret('sk-environment-' . 'Ab3' x 10);
my $file = $t->secret('sk-file-' . 'Cd4' x 10);

$ENV{APIKEY_TEST_UPSTREAM} = $env;
$t->file('upstream.key', "$file\n");
chmod 0600, "$t->{dir}/upstream.key";

$t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        add_header X-Source $apikey_upstream_source always;
        add_header X-Provider $apikey_provider always;
        add_header X-Slot $apikey_slot always;

        location /env {
            apikey_inject openai fallback=env:APIKEY_TEST_UPSTREAM;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /file {
            apikey_inject google fallback=file:%%DIR%%/upstream.key;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /variable {
            apikey_inject $arg_provider groq;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /braces {
            apikey_inject ${arg_provider} fallback=none;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

my %key = map { $_ => $t->create_key(owner => $_)->{key} } qw(alice bob);
my %secret = map { $_ => $t->upstream_key($_, "sk-$_-" . 'Ef5' x 10,
    owner => 'alice') } qw(openai google groq);

$t->upstream_key('openai', 'sk-shared-' . 'Gh6' x 10);
$t->start;


sub get {
    my ($who, $uri) = @_;

    return $t->get($uri, Authorization => "Bearer $key{$who}");
}


sub is_sent {
    my ($who, $uri, $credential, $source, $name) = @_;

    my $r = get($who, $uri);

    is_deeply(credentials($r), [ $credential ], "$name, what is sent");
    is($r->header('X-Source'), $source, "$name, whose it is");
    unlike($r->text =~ s/"headers":\[\[.*?\]\]//r, qr/sk-/,
        "$name, and nobody else sees it");
}


is_sent('alice', '/env', "authorization: Bearer $secret{openai}", 'own',
    'env, an owner of a key');
is_sent('bob', '/env', "authorization: Bearer $env", 'env', 'env');
is_sent('alice', '/file', "x-goog-api-key: $secret{google}", 'own',
    'file, an owner of a key');
is_sent('bob', '/file', "x-goog-api-key: $file", 'file', 'file');

is_sent('alice', '/variable?provider=openai',
    "authorization: Bearer $secret{openai}", 'own', 'a variable');
is_sent('alice', '/variable?provider=google',
    "x-goog-api-key: $secret{google}", 'own', 'the same variable');
is_sent('alice', '/variable', "authorization: Bearer $secret{groq}", 'own',
    'no value: the next one');
is_sent('alice', '/variable?provider=nobody',
    "authorization: Bearer $secret{groq}", 'own', 'no provider: the next one');
is_sent('alice', '/braces?provider=groq',
    "authorization: Bearer $secret{groq}", 'own', 'with braces');
denied(get('alice', '/braces'), 403, 'upstream_key_missing',
    'no provider at all');
denied(get('bob', '/braces?provider=openai'), 403, 'upstream_key_missing',
    'a provider for which he has no key');

# It is read again with the configuration.

my $other = $t->secret('sk-other-' . 'Ij7' x 10);

$t->file('upstream.key', $other);
chmod 0600, "$t->{dir}/upstream.key";
is_sent('bob', '/file', "x-goog-api-key: $file", 'file', 'before a reload');
$t->reload;
is_sent('bob', '/file', "x-goog-api-key: $other", 'file', 'after a reload');
is_sent('bob', '/env', "authorization: Bearer $env", 'env', 'env, reloaded');

# Without a store and a keyring.

my $static = 'k' x 40;

$ENV{APIKEY_TEST_STATIC} = $static;
$t->restart(<<'EOF');
    apikey_stack list {
        auth required static keys=env:APIKEY_TEST_STATIC;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey list;
        apikey_inject openai fallback=env:APIKEY_TEST_UPSTREAM;
        proxy_pass_request_body on;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

my $r = $t->get('/', Authorization => "Bearer $static");

is_deeply(credentials($r), [ "authorization: Bearer $env" ],
    'neither a store nor a keyring');
denied($t->get('/', Authorization => "Bearer x$static"), 401,
    'invalid_api_key', 'and who has no key');

# Bad words.

$t->file('open.key', "$other\n");
chmod 0644, "$t->{dir}/open.key";
$t->file('blank.key', "two words\n");
chmod 0600, "$t->{dir}/blank.key";
$t->file('empty.key', '');
chmod 0600, "$t->{dir}/empty.key";

for my $case (
    [ 'openai select=often', qr/often/ ],
    [ 'openai on_busy=wait', qr/wait/ ],
    [ 'openai fallback=sk-mistake',
        qr/"fallback" must be shared, none, env:NAME/ ],
    [ 'openai fallback=env:APIKEY_TEST_NONE', qr/APIKEY_TEST_NONE/ ],
    [ 'openai fallback=file:%%DIR%%/none.key', qr/none\.key/ ],
    [ 'openai fallback=file:%%DIR%%/open.key', qr/open\.key.*(?:chmod|mode)/s ],
    [ 'openai fallback=file:%%DIR%%/blank.key', qr/blank\.key/ ],
    [ 'openai fallback=file:%%DIR%%/empty.key', qr/empty\.key/ ],
    [ 'openai google fallback=env:APIKEY_TEST_UPSTREAM', qr/one provider/ ],
    [ '$nobody_has_set_this', qr/unknown "nobody_has_set_this" variable/ ],
    [ 'open$arg_ai', qr/open\$arg_ai/ ],
) {
    my ($words, $like) = @$case;
    my ($status, $text) = $t->check_conf(<<"EOF");
    %%APIKEY%%
    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;
        apikey_inject $words;
    }
EOF

    is($status, 1, "$words: refused");
    like($text, qr/\[emerg\].*$like/, "$words: why");
    unlike($text, qr/\Q$other\E|\Q$env\E|two words|sk-mistake/,
        "$words: not what it is");
}

$t->done;
