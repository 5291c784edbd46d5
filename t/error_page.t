#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for error_page and internal redirects: the operator's page wins, nobody
# is asked twice, and a provider's key stays on the way that it was meant for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

# The first upstream sends requests on to other locations.

my $t = ApikeyTest->new(echoes => 3, reply => [ sub {
    my ($req) = @_;

    return $req->{uri} =~ m{^/accel(/.*)}
        ? [ 200, [ [ 'X-Accel-Redirect', $1 ] ], 'passed over' ]
        : $req->{uri} =~ m{^/fail} ? [ 500, undef, 'broken' ] : undef;
} ]);

$t->http(<<'EOF');
    %%APIKEY%%

    log_format vars '$uri|$status|$apikey_id|$apikey_reason|$apikey_owner';

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        access_log %%DIR%%/access.log vars;

        apikey on;
        apikey_inject openai;

        location /static {
            error_page 401 403 /errors/denied.html;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /errors/ {
            apikey off;
        }

        location /inherits {
            error_page 401 /protected/denied.html;
        }

        location /named {
            error_page 401 = @denied;
            error_page 503 = @busy;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location @denied {
            return 401 'go away';
        }

        location @busy {
            return 503 'busy';
        }

        location /ok {
            error_page 401 =200 /errors/denied.html;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /moved {
            error_page 401 https://login.example/;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /recursive {
            recursive_error_pages on;
            error_page 401 /recursive2;
        }

        location /recursive2 {
            recursive_error_pages on;
            error_page 401 /recursive;
        }

        location /text {
            return 401 'plain';
        }

        location /try {
            try_files /none @up;
        }

        location @up {
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /try-off {
            try_files /none @off;
        }

        location @off {
            apikey off;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /try-other {
            try_files /none @other;
        }

        location @other {
            apikey_inject google;
            proxy_pass http://127.0.0.1:%%ECHO2%%;
        }

        location /accel/ {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /to-same {
            internal;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /to-off {
            internal;
            apikey off;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /to-none {
            internal;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO1%%;
        }

        location /to-other {
            internal;
            apikey_inject google;
            proxy_pass http://127.0.0.1:%%ECHO2%%;
        }

        location /to-missing {
            internal;
            apikey_inject groq;
            proxy_pass http://127.0.0.1:%%ECHO2%%;
        }

        location /fail {
            proxy_intercept_errors on;
            error_page 500 @off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /from-off {
            apikey off;
            apikey_inject off;
            try_files /none @up;
        }

        location /index/ {
        }
    }
EOF

$t->file('html/errors/denied.html', "a page\n");
$t->file('html/protected/denied.html', "a page\n");
$t->file('html/index/index.html', "an index\n");
$t->start;

my $key = $t->create_key(owner => 'alice');
my $openai = $t->upstream_key('openai', 'up-openai-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my $google = $t->upstream_key('google', 'up-google-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2');
my ($bearer, $r) = "authorization: Bearer $openai";


# Granted in the location of the path: how it ended for whom.

sub with {
    my ($uri) = @_;

    $_->clear for @{ $t->{echo} };

    return $t->with_key($uri, $key);
}


sub got {
    my ($n) = @_;

    return [ map { @{ credentials($_) } ? @{ credentials($_) } : 'none' }
        $t->{echo}[$n]->requests ];
}


# The operator's page wins, with the status and the challenge of the denial.

for my $method (qw(GET POST)) {
    $r = $t->request($method, '/static', [], $method eq 'POST'
        ? (body => 'x' x 100000) : ());
    is($r->status, 401, "$method, a page, the status");
    is($r->body, "a page\n", "$method, a page");
    like($r->header('Content-Type'), qr/^text\/(?:html|plain)/,
        "$method, a page, its type");
    like($r->header('WWW-Authenticate') // '', qr/^Bearer /,
        "$method, a page, the challenge");
}

$r = $t->get('/static', 'x-api-key' => "sk-\x01");
ok($r->status == 401 || $r->status == 400, 'a page, malformed');

$r = $t->request('HEAD', '/static', []);
is($r->status, 401, 'HEAD, a page');

$r = $t->get('/named');
is($r->status, 401, 'a named location');
is($r->body, 'go away', 'a named location, its text');

$r = $t->get('/ok');
is($r->status, 200, '=200');
is($r->body, "a page\n", '=200, its text');
unlike($r->text, qr/invalid_api_key/, '=200, nothing of ours');

$r = $t->get('/moved', 'x-api-key' => $t->secret('foreign-0Aa1Bb2Cc3Dd4Ee5'));
is($r->status, 302, 'a redirect');
is($r->header('Location'), 'https://login.example/', 'a redirect, where to');
is($t->leak($r->text), undef, 'a redirect, no secret');

# A page that needs a key itself is not shown, and nothing turns in circles.

for my $uri ('/inherits', '/recursive') {
    $r = $t->get($uri);
    ok($r->status == 401 || $r->status == 500, "$uri, ends")
        or diag($r->status);
    unlike($r->body, qr/a page/, "$uri, not shown");
}

# "return" with a text is nobody's business; it is done before access is asked.

is($t->get('/text')->body, 'plain', 'return 401 with a text');

is(with('/static')->status, 200, 'granted, no page');

# Internal redirects: one decision, and each upstream what it is due.

my $calls = $t->redis_calls('hgetall');

is(with('/try')->status, 200, 'try_files');
is_deeply(got(1), [ $bearer ], 'try_files, one credential');
is($t->redis_calls('hgetall'), $calls, 'try_files, nobody is asked twice');

with('/try-off');
is_deeply(got(1), [ 'none' ], 'try_files, to a location without inject');
with('/try-other');
is_deeply(got(2), [ "x-goog-api-key: $google" ],
    'try_files, to a location with another inject');

for (['/accel/to-same', 1, $bearer], ['/accel/to-off', 1, 'none'],
    ['/accel/to-none', 1, 'none'],
    ['/accel/to-other', 2, "x-goog-api-key: $google"])
{
    my ($uri, $n, $want) = @$_;

    is(with($uri)->status, 200, $uri);
    is_deeply(got(0), [ $bearer ], "$uri, the first upstream");
    is_deeply(got($n), [ $want ], "$uri, the second upstream");
}

isnt(with('/accel/to-missing')->status, 200, 'no key for the second upstream');
is_deeply(got(2), [], 'no key for the second upstream, it is not asked');

with('/fail');
is_deeply(got(0), [ $bearer ], 'intercepted, the first upstream');
is_deeply(got(1), [ 'none' ], 'intercepted, the second upstream');

# From a location that asks for nothing to one that does.

denied($t->get('/from-off'), 401, 'invalid_api_key', 'from off to on');
is(with('/from-off')->status, 200, 'from off to on, granted');
is_deeply(got(1), [ $bearer ], 'from off to on, one credential');

is($t->get('/index/')->status, 401, 'index, denied');
is(with('/index/')->body, "an index\n", 'index, granted');

# The outcome is still known when the line of the log is written.

my ($line) = grep { m{^/errors/denied.html\|401\|} } $t->access_lines(10);

like($line // '', qr/\|401\|-\|missing\|/, 'the log of a denial with a page');
($line) = grep { m{^/to-same\|} } $t->access_lines(10);
like($line // '', qr/\|200\|$key->{id}\|-?\|alice$/,
    'the log of a redirected request') or diag($t->access_log);

# An outage has a page, too.

$t->{redis}->stop;
$r = $t->get('/named', 'x-api-key' => make_key()->{key});
is($r->status . $r->body, '503busy', 'outage, a named location');

$t->done;
