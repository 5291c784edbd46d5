#!/usr/bin/perl

# Copyright (C) ngx_apikey_module contributors

# Tests for apikey_fail_limit with the embedded store, where a look-up costs
# nothing: what is good always passes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(embedded => 1, level => 'info', echoes => 0);
my ($first, $second) = map { $t->create_key } 1 .. 2;

$t->file('html/file', "served\n");
$t->http(<<'EOF')->start;
    %%APIKEY%%
    apikey_fail_limit rate=3r/m burst=2 total=1r/m;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        keepalive_requests 1000;
        apikey on;
    }
EOF

my $c = $t->connect;


sub ask {
    my ($key) = @_;

    $c->send(ApikeyHTTP::bytes('GET', '/file', [ 'x-api-key' => $key ]));

    return $c->response->status;
}


is(ask($first->{key}), 200, 'a good key');
is(join(' ', map { ask(make_key()->{key}) } 1 .. 3), '401 401 429',
    'two may fail');
is(scalar(grep { ask(make_key()->{key}) != 429 } 1 .. 150), 0,
    'far more than are looked up elsewhere');
is(ask($first->{key}), 200, 'the good key passes');
is(ask($second->{key}), 200, 'one that was not used before, too');
is(ask(native_key($second->{id}, 'w' x 32)), 429, 'with a wrong secret, not');
denied($t->with_key('/file', make_key()), 429, 'too_many_failed_attempts',
    'the answer');

$t->done;
