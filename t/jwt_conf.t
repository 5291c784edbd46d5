#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for lines of "jwt" that cannot be understood, and for files of keys that
# change while nginx runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;
use ApikeyJWT;

my $t = ApikeyTest->new(level => 'info', workers => 2);
my %key = map { $_ => jwt_key('ES256', $_) } qw(one two three);
my $hidden = $t->secret('s3cret-' . 'x' x 40);

$t->file('keys.json', jwks($key{one}), 0644);
$t->file('one.pem', pem($key{one}), 0644);
$t->file('secret', $hidden, 0600);
$t->file('short', 'short', 0600);
$t->file('open', $hidden, 0644);
$t->file('own.json', jwks(jwt_key('HS256', 's')), 0644);
$t->file('bad.json', '{"keys":[', 0644);
$t->file('none.json', '{"keys":[]}', 0644);
$t->file('twice.json', '{"keys":[],"keys":[]}', 0644);
$t->file('small.json', '{"keys":[{"kty":"RSA","e":"AQAB","n":"'
    . b64("\x9f" x 128) . '"}]}', 0644);
$t->file('group.json', jwks($key{one}), 0666);

my $ca = 'jwks_ca=%%DIR%%/one.pem';

for my $case (
    ['no keys', '', 'one of "secret", "key", "jwks" and "jwks_uri"'],
    ['two', 'jwks=%%DIR%%/keys.json key=%%DIR%%/one.pem', 'one of "secret"'],
    ['a secret in the configuration', "secret=$hidden",
        '"secret" must be env:NAME or file:PATH'],
    ['a variable that is not there', 'secret=env:APIKEY_NO_SUCH',
        'env:APIKEY_NO_SUCH'],
    ['a file that is not there', 'jwks=%%DIR%%/nowhere', 'nowhere'],
    ['a path that is not absolute', 'jwks=keys.json', 'must be absolute'],
    ['a secret that all can read', 'secret=file:%%DIR%%/open',
        'can be read by everyone'],
    ['a set that all can write', 'jwks=%%DIR%%/group.json', 'can be written'],
    ['secrets that all can read', 'jwks=%%DIR%%/own.json',
        'everybody can read it'],
    ['no JSON', 'jwks=%%DIR%%/bad.json', 'bad.json'],
    ['no keys in it', 'jwks=%%DIR%%/none.json', 'no key in it'],
    ['a member twice', 'jwks=%%DIR%%/twice.json', 'twice'],
    ['a small key', 'jwks=%%DIR%%/small.json', 'this has 1024'],
    ['no PEM', 'key=%%DIR%%/keys.json', 'no public key'],
    ['a key as a secret', 'secret=file:%%DIR%%/pem', 'use "key='],
    ['an unknown algorithm', 'jwks=%%DIR%%/keys.json algorithms=ES257',
        'unknown algorithm "ES257"'],
    ['none', 'jwks=%%DIR%%/keys.json algorithms=none',
        'unknown algorithm "none"'],
    ['an algorithm without a key', 'jwks=%%DIR%%/keys.json '
        . 'algorithms=ES256,RS256', 'no key is for the algorithm "RS256"'],
    ['an empty name', 'jwks=%%DIR%%/keys.json issuer=a,,b', 'issuer'],
    ['an unknown argument', 'jwks=%%DIR%%/keys.json isuer=a', 'isuer'],
    ['no time', 'jwks=%%DIR%%/keys.json leeway=soon', 'leeway'],
    ['no choice', 'jwks=%%DIR%%/keys.json exp=never', 'exp'],
    ['no carrier', 'jwks=%%DIR%%/keys.json from=a:b', 'from|a:b'],
    ['plain HTTP', 'jwks_uri=http://example.org/keys', 'https://'],
    ['another scheme', 'jwks_uri=ftp://127.0.0.1/keys', 'https://'],
    ['a user', 'jwks_uri=https://a:b@127.0.0.1/keys', 'has a user'],
    ['a fragment', 'jwks_uri=https://127.0.0.1/keys#a', 'no URI'],
    ['a port that is none', 'jwks_uri=https://127.0.0.1:99999/',
        'no URI'],
    ['a host that is not there', 'jwks_uri=https://nowhere.invalid/',
        'host not found.*resolver'],
    ['certificates that are not there',
        'jwks_uri=https://127.0.0.1/ jwks_ca=%%DIR%%/nowhere', 'nowhere'],
    ['too often', 'jwks_uri=https://127.0.0.1/ jwks_interval=10ms',
        'a second or more'],
    ['a time for nothing', 'jwks=%%DIR%%/keys.json jwks_interval=10s',
        'are for "jwks_uri"'])
{
    my ($name, $args, $reason) = @$case;

    $t->file('pem', pem($key{one}), 0600);

    my ($rc, $out) = $t->check_conf("apikey_stack a {\n    auth required jwt "
        . "$args;\n}\n" . 'server { listen 127.0.0.1:%%PORT%%; apikey a; }');

    is($rc, 1, "$name is refused");
    like($out, qr/\[emerg\].*$reason/, "$name: why");
    like($out, qr/check\.conf:\d+/, "$name: where");
    is($t->leak($out), undef, "$name: nothing secret is shown");
}

my ($rc, $out) = $t->check_conf('apikey_stack a { auth required jwt '
    . 'secret=file:%%DIR%%/short; } '
    . 'server { listen 127.0.0.1:%%PORT%%; apikey a; }');

is($rc, 0, 'a short secret is accepted');
like($out, qr/\[warn\].*stack "a", line 1: a secret of 5 bytes/,
    'and warned about');

# Redis is to tell of changes of all of them.

for my $n (15, 16) {
    ($rc, $out) = $t->check_conf("apikey_keyring %%KEYRING%%; apikey_store "
        . "redis://127.0.0.1:1;\napikey_stack a {\n"
        . join('', map { "auth sufficient jwt jwks=%%DIR%%/keys.json "
            . "open_webui=ui$_-;\n" } 10 .. 9 + $n)
        . "}\nserver { listen 127.0.0.1:1; apikey a; }\n");
    is($rc, $n == 16 ? 1 : 0, "$n prefixes and ours: exit status")
        or diag($out);
    like($out, qr/there are 17 prefixes.*at most 16.*"invalidation=off"/,
        'too many prefixes: why, and what to do') if $n == 16;
}

($rc, $out) = $t->check_conf('apikey_keyring %%KEYRING%%; '
    . 'apikey_store %%STORE%%; '
    . 'server { listen 127.0.0.1:%%PORT%%; apikey on; apikey_inject openai; '
    . 'apikey_pass_credential on; }');

is($rc, 1, 'passing and injecting is refused');
like($out, qr/"apikey_pass_credential".*injects one/, 'and why');

# Files that change.

$t->http(<<'EOF');
    %%APIKEY%%

    apikey_stack set { auth required jwt jwks=%%DIR%%/keys.json; }
    apikey_stack pem { auth required jwt key=%%DIR%%/one.pem; }
    apikey_stack weak {
        auth required jwt secret=file:%%DIR%%/short weak=refuse;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Reason $apikey_reason always;
        location /set { apikey set; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /pem { apikey pem; proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /weak { apikey weak; proxy_pass http://127.0.0.1:%%ECHO%%; }
    }
EOF
$t->start;

my $n = 0;


sub asks {
    my ($path, $key, %claims) = @_;

    my $token = ref $key ? jwt($key, { sub => 'alice', exp => time + 600,
        n => ++$n, %claims }) : $key;
    my $r = $t->get($path, Authorization => "Bearer $token");

    return $r->status . ' ' . ($r->header('X-Reason') // '');
}


# Others never see half a file.

sub replace {
    my ($name, $text, $mode) = @_;

    $t->file("$name.new", $text, $mode // 0644);
    rename "$t->{dir}/$name.new", "$t->{dir}/$name" or die "$name: $!\n";
}


my $kept = jwt($key{one}, { sub => 'alice', exp => time + 600 });

is(asks('/set', $kept), '200 ', 'a key of the file');
is(asks('/pem', $kept), '200 ', 'in PEM');
is(asks('/set', $key{two}), '401 jwt_signature', 'not another');

replace('keys.json', jwks(@key{qw(one two)}));
is(asks('/set', $key{two}), '200 ', 'a new kid, with the first request');
is(asks('/set', $key{$_ % 2 ? 'one' : 'two'}), '200 ', 'in each worker')
    for 1 .. 8;

replace('keys.json', jwks($key{two}));
ok(wait_for(sub { !grep { asks('/set', $kept) eq '200 ' } 1 .. 8 }, 10),
    'a key that is gone, for tokens that are kept too');
is(asks('/set', $key{two}), '200 ', 'the other one is there');

replace('keys.json', '{"keys":[');
ok(wait_for(sub { $t->error_log =~ /keys\.json.*those of before stay/ }, 10),
    'what cannot be read is told');
is(asks('/set', $key{two}), '200 ', 'and what was there stays');

replace('keys.json', jwks($key{three}));
is(asks('/set', $key{three}), '200 ', 'mended');

replace('one.pem', pem($key{three}));
ok(wait_for(sub { !grep { asks('/pem', $kept) eq '200 ' } 1 .. 8 }, 10),
    'a key in PEM that changes');
is(asks('/pem', $key{three}), '200 ', 'is another one then');

is(asks('/weak', jwt_key('HS256', undef, 'short')), '401 jwt_signature',
    'a secret that is too short is of no use with weak=refuse');

$t->done;
