#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for internal redirects: where they lead to another stack, that one has
# its say, with what the client sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(level => 'info');

$t->http(<<'EOF');
    %%APIKEY%%

    apikey_stack closed {
        auth     required  key;
        account  required  deny;
        session  optional  audit  log=%%DIR%%/audit.log;
    }

    apikey_stack chat {
        auth     required  key;
        account  required  scope  chat;
        account  required  rate   rate=3r/m;
        session  required  identity  owner=X-Owner;
    }

    apikey_stack app {
        auth     required  static  keys=%%DIR%%/apps from=x-app-key;
    }

    apikey_stack person {
        auth     required  key  from=cookie:token,query:key,authorization;
        session  required  identity  owner=X-Owner;
    }

    apikey_stack nobody {
        auth     required  anonymous;
    }

    log_format args '$args|$query_string|$arg_key|$request_uri|$request';

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log;
        access_log %%DIR%%/access-args.log args;
        add_header X-Module $apikey_module always;
        add_header X-Reason $apikey_reason always;

        location /closed-try { apikey on; try_files /none /closed; }
        location /closed-named { apikey on; try_files /none @closed; }
        location /closed-error { apikey on; error_page 418 = /closed;
                                 proxy_intercept_errors on;
                                 proxy_pass http://127.0.0.1:%%PORT%%/418; }
        location = /418 { return 418; }
        location /closed-off { try_files /none /closed; }
        location = /closed { apikey closed;
                             proxy_pass http://127.0.0.1:%%ECHO%%; }
        location @closed { apikey closed;
                           proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /chat { apikey on; try_files /none @chat; }
        location @chat { apikey chat; proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /same { apikey chat; try_files /none @same; }
        location @same { apikey chat; apikey_inject openai;
                         proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /app { apikey app; try_files /none @person; }
        location @person { apikey person;
                           proxy_pass http://127.0.0.1:%%ECHO%%; }

        location /page { apikey on; error_page 401 /page-open; }
        location = /page-open { apikey nobody; root %%DIR%%; }
        location /paged { apikey on; error_page 401 /pages; }
        location = /pages { apikey on; root %%DIR%%; }

        location /out { apikey person; try_files /none @off; }
        location @off { proxy_pass http://127.0.0.1:%%ECHO%%; }
    }
EOF

my $app = $t->secret('app-key-0Aa1Bb2Cc3Dd4');

$t->file('apps', "$app\n", 0600);
$t->file('page-open', "open\n");
$t->file('pages', "pages\n");
$t->start;
$t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');

my $plain = $t->put_key(owner => 'alice');
my $chat = $t->put_key(owner => 'bob', scopes => 'chat');
my ($r, $lines);

for my $from (qw(try named error off)) {
    $r = $t->with_key("/closed-$from", $chat);
    is($r->status, 403, "closed, by $from");
    is($r->header('X-Module'), 'deny', "closed, by $from, who decided");
    $lines++;
}

is($t->with_key('/closed', $chat)->status, 403, 'closed, itself');
$lines++;

my @audit = $t->access_lines($lines, 'audit.log');

is(scalar @audit, $lines, 'each denial has its line');
is(scalar(grep { /"verdict":"denied".*"stack":"closed"/ } @audit), $lines,
    'each line says so');

denied($t->with_key('/chat', $plain), 403, 'permission_denied',
    'another stack, the scope is missing');
$r = $t->with_key('/chat', $chat);
is($r->status, 200, 'another stack, the scope is there');
is_deeply([ seen($r, 'x-owner') ], [ 'bob' ], 'another stack, its session');

# The same stack is not asked twice: of the rate's three one is gone by now.

is($t->with_key('/same', $chat)->status, 200, 'the same stack') for 1 .. 2;
denied($t->with_key('/same', $chat), 429, 'rate_limit_exceeded',
    'the same stack, once too often');

# What the client sent is there for the second stack, wherever it was.

my @app = ('X-App-Key' => $app);

is($t->get('/app', @app)->status, 401, 'a key for the first alone');
is($t->get('/app', Cookie => "token=$plain->{key}")->status, 401,
    'a key for the second alone');

for (
    ['a cookie', '/app', Cookie => "a=b; token=$plain->{key}"],
    ['a query', "/app?x=1&key=$plain->{key}"],
    ['a header', '/app', Authorization => "Bearer $plain->{key}"],
) {
    my ($name, $uri, @headers) = @$_;

    $r = $t->get($uri, @app, @headers);
    is($r->status, 200, "$name for the second");
    is_deeply([ seen($r, 'x-owner') ], [ 'alice' ], "$name, who it is");
    is_deeply(credentials($r), [], "$name, it does not pass");
    unlike($r->body, qr/\Q$plain->{key}\E/, "$name, nowhere");
}

# Pages of errors: of a stack that lets everybody in, and of the one that
# denied.

is($t->get('/page')->body, "open\n", 'a page for all');
is($t->get('/page')->status, 401, 'a page for all, the status');
denied($t->get('/paged'), 401, 'invalid_api_key', 'a page that is guarded');

# A location without a stack gets nothing that was meant for another.

$r = $t->get("/out?key=$plain->{key}&x=1", 'X-Owner' => 'eve');
is($r->status, 200, 'redirected to where none is');
is_deeply([ seen($r, 'x-owner') ], [], 'redirected to where none is, no owner');

# Refused keys in a query are logged by no variable.

for my $key ($plain->{key}, make_key()->{key}, 'sk-0123456789') {
    $t->secret($key);
    $t->get("/app?key=$key&x=1");
    $t->get("/app?x=1&key=$key", @app, 'Authorization' =>
        'Bearer sk-0123456780');
}

$t->done;
