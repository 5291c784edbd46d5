#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for stacks in front of a real upstream: each line decides in turn, and
# the variables, the answer and the audit log name it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    apikey_stack main {
        auth     sufficient  static  keys=%%DIR%%/static.keys owner=batch;
        auth     required    key;
        account  required    route;
        account  required    rate;
        session  required    inject  openai;
        session  optional    identity owner=X-Owner id=X-Key-Id
                                      meta.team=X-Team;
        session  optional    audit   log=%%DIR%%/audit.log;
    }

    apikey_stack limits {
        auth     required    key;
        account  requisite   ip      127.0.0.0/8 10.0.0.0/8;
        account  required    scope   chat;
        account  required    route   GET:/limits;
        account  required    rate    rate=2r/m burst=3;
    }

    apikey_stack far {
        auth     required    key;
        account  required    ip      10.0.0.0/8;
    }

    apikey_stack later {
        auth     [success=ok unavailable=die default=ignore]
                             debug   auth=unknown again=2;
        auth     include     inner;
        account  [default=1] debug   account=ignore again=1;
        account  required    deny;
        account  required    debug   again=3;
    }

    apikey_stack inner {
        auth     substack    innermost;
        auth     required    key;
    }

    apikey_stack innermost {
        auth     [success=done default=die]
                             debug   again=1 owner=nobody;
        auth     required    deny;
    }

    apikey_stack two {
        auth     required    static  keys=%%DIR%%/static.keys from=x-app-key;
        auth     optional    key     from=authorization;
        account  required    rate    rate=2r/m;
        session  required    identity owner=X-Owner id=X-Key-Id;
    }

    apikey_stack open {
        auth     sufficient  anonymous owner=guest;
        auth     required    key;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        underscores_in_headers on;

        add_header X-Module $apikey_module always;
        add_header X-Reason $apikey_reason always;
        add_header X-Name $apikey_owner always;

        apikey main;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /limits {
            apikey limits;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /far {
            apikey far;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /later {
            apikey later;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /open {
            apikey open;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /two {
            apikey two;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /page {
            apikey main;
            error_page 401 /login;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location = /login {
            apikey open;
            return 200 "log in";
        }

        location /off {
            apikey off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

my @static = ('batch-key-0Aa1Bb2Cc3Dd4Ee5', 'batch-key-9Zz8Yy7Xx6Ww5Vv4');

$t->file('static.keys', "# jobs\n $static[0] ,\n\n$static[1]\n", 0600);
$t->secret($_) for @static;
$t->start;

my $shared = $t->upstream_key('openai', 'up-shared-9Zz8Yy7Xx6Ww5Vv4Uu3Tt');
my $own = $t->upstream_key('openai', 'up-alice-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7',
    owner => 'alice');

my $alice = $t->put_key(owner => 'alice', 'meta.team' => 'red team');
my $slow = $t->put_key(owner => 'slow', rate => '2r/m burst=2');
my $bound = $t->put_key(owner => 'bound', routes => 'GET:/v1/models,/v1/chat');

my ($r, $line);


# The last line of the audit log.

sub audit {
    my @lines = split /\n/, $t->read_file('audit.log');

    return decode_json($lines[-1]);
}


sub with {
    my ($key, $uri, @headers) = @_;

    return $t->get($uri, Authorization => 'Bearer '
        . (ref $key ? $key->{key} : $key), @headers);
}


# Who decided, what for, and whether the audit says the same.

sub decided {
    my ($r, $module, $reason, $number, $name) = @_;

    $line = audit();

    is_deeply([ $r->header('X-Module') // '', $r->header('X-Reason') // '',
        @{$line}{qw(module reason line stack)} ],
        [ $module, $reason eq 'success' ? '' : $reason, $module, $reason,
        $number, $number ? 'main' : '' ], "$name, who decided");
}


# auth

for my $key (@static) {
    $r = with($key, '/v1/any');
    is($r->status, 200, 'static');
    is($r->header('X-Name'), 'batch', 'static, the owner');
    decided($r, 'static', 'success', 1, 'static');
    is_deeply(credentials($r), [ "authorization: Bearer $shared" ],
        'static, the shared key');
}

$r = with($alice, '/v1/any');
is($r->status, 200, 'key');
decided($r, 'key', 'success', 2, 'key');
is($line->{owner}, 'alice', 'audit, the owner');
is($line->{key}, $alice->{id}, 'audit, the id');
is($line->{verdict}, 'granted', 'audit, the verdict');
is($line->{source}, '127.0.0.1', 'audit, the source');
is($line->{cache}, 'miss', 'audit, not of the cache');
is($line->{provider}, 'openai', 'audit, the provider');
like($line->{request_id}, qr/^[0-9a-f]{32}$/, 'audit, the request');
like($line->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'audit, the time');
is_deeply(credentials($r), [ "authorization: Bearer $own" ], 'inject');

with($alice, '/v1/any');
is(audit()->{cache}, 'hit', 'audit, of the cache');

$r = with(make_key(), '/v1/any');
denied($r, 401, 'invalid_api_key', 'an unknown key');
decided($r, 'key', 'unknown', 2, 'an unknown key');
is($line->{verdict}, 'denied', 'audit, denied');
is($line->{owner}, '', 'audit, nobody is known');

$r = with("batch-key-0Aa1Bb2Cc3Dd4Ee6", '/v1/any');
is($r->status, 401, 'not on the list');

$r = $t->get('/v1/any');
denied($r, 401, 'invalid_api_key', 'no key');
decided($r, '', 'missing', 0, 'no key');

# account

is(with($bound, '/v1/models')->status, 200, 'route, the path');
is(with($bound, '/v1/models/gpt')->status, 200, 'route, below it');
is(with($bound, '/v1/chat/completions')->status, 200, 'route, any method');

for (['beside it', '/v1/models-x'], ['above it', '/v1'],
    ['encoded', '/v1/models/%2e%2e/admin'],
    ['encoded twice', '/v1/models/%252e%252e/admin'],
    ['with a slash', '/v1/models/..%2fadmin'],
    ['dots', '/v1/models/../admin'], ['slashes', '/v1//admin'])
{
    my ($name, $uri) = @$_;

    $r = with($bound, $uri);
    denied($r, 403, 'permission_denied', "route, $name");
    decided($r, 'route', 'forbidden', 3, "route, $name");
}

$r = $t->request('POST', '/v1/models', [ 'x-api-key' => $bound->{key} ]);
is($r->status, 403, 'route, another method');

is(with($slow, '/v1/any')->status, 200, 'rate') for 1 .. 2;
$r = with($slow, '/v1/any');
denied($r, 429, 'rate_limit_exceeded', 'rate, too many');
decided($r, 'rate', 'rate_limited', 4, 'rate, too many');
cmp_ok($r->header('Retry-After'), '<=', 30, 'rate, Retry-After');
cmp_ok($r->header('Retry-After'), '>=', 20, 'rate, Retry-After is not early');
is($r->header('x-ratelimit-limit-requests'), 2, 'rate, the limit');
is($r->header('x-ratelimit-remaining-requests'), 0, 'rate, what is left');
like($r->header('x-ratelimit-reset-requests'), qr/^(?:1m0s|[45]\d(?:\.\d+)?s)$/,
    'rate, until all is there');
is(with($alice, '/v1/any')->status, 200, 'rate, another key');

# session: whose key there is none for is told so by inject

is($t->ctl('upstream', 'delete', '--shared', 'openai'), 0, 'no shared key');

# what the cache says of the shared key would hold for a while

$t->restart;

$r = with($t->put_key(owner => 'poor'), '/v1/any');
denied($r, 403, 'upstream_key_missing', 'inject');
decided($r, 'inject', 'upstream_key_missing', 5, 'inject');

$r = with($alice, '/v1/any', 'X-Owner' => 'root', 'x_owner' => 'root',
    'X-KEY-ID' => 'forged', 'x_team' => 'gold', 'X-Other' => 'stays');
is_deeply([ seen($r, 'x-owner') ], [ 'alice' ], 'identity, the owner');
is_deeply([ seen($r, 'x-key-id') ], [ $alice->{id} ], 'identity, the id');
is_deeply([ seen($r, 'x-team') ], [ 'red team' ], 'identity, metadata');
is_deeply([ seen($r, 'x-other') ], [ 'stays' ], 'identity, nothing else');

$r = with($t->put_key(owner => 'alice'), '/v1/any', 'X-Team' => 'gold');
is_deeply([ seen($r, 'x-team') ], [], 'identity, what is not there');

# A key that was not proved is nobody's, whatever its id: neither is it told to
# the upstream, nor does it have a rate of its own.

for (1 .. 2) {
    $r = with(make_key(), '/two', 'X-App-Key' => $static[0]);
    is($r->status, 200, 'an unknown key beside');
    is_deeply([ seen($r, 'x-key-id') ], [ 'static:two:1:1' ],
        'an unknown key beside, the id');
    is_deeply([ seen($r, 'x-owner') ], [ 'static' ],
        'an unknown key beside, the owner');
}

denied(with(make_key(), '/two', 'X-App-Key' => $static[0]), 429,
    'rate_limit_exceeded', 'an unknown key beside, the rate is one');
is(with($alice, '/two', 'X-App-Key' => $static[1])->status, 200,
    'a known key beside');
is_deeply([ seen(with($alice, '/two', 'X-App-Key' => $static[1]),
    'x-owner') ], [ 'static' ], 'a known key beside, the first says who');

# The audit tells what was asked for, and not of the page that was answered.

$r = $t->request('POST', '/page/a', [ 'x-api-key' => make_key()->{key} ]);
is($r->status, 401, 'a page of errors');
$line = audit();
is("$line->{method} $line->{path}", 'POST /page/a',
    'a page of errors, what was asked');

# A stack with every rule, each of which denies.

my %limits = (owner => 'alice', scopes => 'chat embed');

$r = with($t->put_key(%limits), '/limits');
is($r->status, 200, 'all rules');
is($r->header('X-Module'), 'key', 'all rules, who let it in');

$r = with($t->put_key(%limits, ips => '192.0.2.0/24'), '/limits');
is_deeply([ $r->status, $r->header('X-Module') ], [ 403, 'ip' ],
    'the address of the record');

$r = with($t->put_key(%limits, ips => '127.0.0.1 ::1'), '/limits');
is($r->status, 200, 'the address of the record, a good one');

$r = with($alice, '/far');
is_deeply([ $r->status, $r->header('X-Module') ], [ 403, 'ip' ],
    'the address of the line');

$r = with($t->put_key(%limits, scopes => 'chat2'), '/limits');
is_deeply([ $r->status, $r->header('X-Module') ], [ 403, 'scope' ], 'scope');

$r = $t->request('POST', '/limits',
    [ 'x-api-key' => $t->put_key(%limits)->{key} ]);
is_deeply([ $r->status, $r->header('X-Module') ], [ 403, 'route' ],
    'the route of the line');

my $often = $t->put_key(%limits);

is(with($often, '/limits')->status, 200, 'the rate of the line') for 1 .. 3;
$r = with($often, '/limits');
is_deeply([ $r->status, $r->header('X-Module') ], [ 429, 'rate' ],
    'the rate of the line, too many');

# Jumps, substacks, and lines that wait: the verdict is the same.

$r = with($alice, '/later');
is($r->status, 200, 'a stack that waits');
is($r->header('X-Module'), 'debug', 'a stack that waits, who let it in');
is(with(make_key(), '/later')->status, 401, 'a stack that waits, no key');

# Who has no key is a guest, who has a bad one is not.

is($t->get('/open')->header('X-Name'), 'guest', 'anonymous');
is(with($alice, '/open')->header('X-Name'), 'alice', 'anonymous, a key');
is(with(make_key(), '/open')->status, 401, 'anonymous, a bad key');

is($t->get('/off')->status, 200, 'off');

# Every line of the log is one decision, and none holds a secret.

my @lines = split /\n/, $t->read_file('audit.log');
my @bad = grep { !eval { decode_json($_); 1 } } @lines;

is("@bad", '', 'audit, all is JSON');
is($t->leak($t->read_file('audit.log')), undef, 'audit, no credential');

my $before = @lines;

with($alice, '/v1/any');
with($alice, '/far');
with(make_key(), '/v1/any');
@lines = split /\n/, $t->read_file('audit.log');
is(@lines - $before, 2, 'audit, a line a decision of its stack');

# The log is opened anew, as nginx's own are.

rename "$t->{dir}/audit.log", "$t->{dir}/audit.old";
kill 'USR1', $t->{pid};
ok(wait_for(sub { -e "$t->{dir}/audit.log" }, 10), 'audit, opened anew');
ok(wait_for(sub { with($alice, '/v1/any'); -s "$t->{dir}/audit.log" }, 10),
    'audit, goes on in the new file');

$t->done;
