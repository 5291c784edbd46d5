#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for configurations that cannot be understood: "nginx -t" fails and says
# where and why, and never shows a byte of a secret.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;
my $master = $t->secret(encode_base64(join('', map { chr 65 + $_ } 0 .. 31),
    ''));
my $pepper = $t->secret(encode_base64(join('', map { chr 97 + $_ % 26 }
    0 .. 31), ''));
my ($rc, $out);

my $store = 'apikey_store %%STORE%%;';
my $keyring = 'apikey_keyring %%KEYRING%%;';
my $server = <<'EOF';
server {
    listen 127.0.0.1:%%PORT%%;
    location / { MORE }
}
EOF


sub server { return $server =~ s/MORE/$_[0]/r }


# Refused: a reason is in the message, and the file and line it is about.

sub refused {
    my ($name, $text, $reason, %opt) = @_;

    ($rc, $out) = $t->check_conf($text, %opt);

    my @wrong;

    push @wrong, "exit status $rc" unless $rc eq '1';
    push @wrong, 'no reason' unless $out =~ /\[emerg\].*$reason/i;
    push @wrong, 'no file and line' unless $out =~ /check\.conf:\d+/;
    push @wrong, 'a secret' if defined $t->leak($out);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(!@wrong, $name) or diag(join(', ', @wrong), "\n$out");
}


sub accepted {
    my ($name, $text, %opt) = @_;

    ($rc, $out) = $t->check_conf($text, %opt);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($rc, 0, $name) or diag($out);
}


# A keyring of the text and mode; line is that of the keyring, not of
# nginx.conf, and both are told.

sub bad_keyring {
    my ($name, $text, $reason, $line, $mode) = @_;

    $t->file('bad', $text, $mode || 0600);
    refused("keyring, $name", 'apikey_keyring %%DIR%%/bad;', $reason);
    like($out, qr/\Q$t->{dir}\E\/bad/, "keyring, $name, its path");
    like($out, qr/bad".*line $line\b/, "keyring, $name, its line") if $line;
}


accepted('a good one', "$keyring $store" . server('apikey on;'));
accepted('without a keyring', $store . server('apikey on;'));
accepted('nothing of ours', server('return 200;'));
accepted('a store that is not used', "$keyring $store" . server('return 200;'));

# The keyring.

refused('keyring, missing', 'apikey_keyring %%DIR%%/none;', 'No such file');
refused('keyring, a folder', 'apikey_keyring %%DIR%%;', 'regular file');
bad_keyring('the world can read', "master $master\n", 'read by everyone',
    undef, 0604);
bad_keyring('the group can write', "master $master\n", 'written by others',
    undef, 0620);
bad_keyring('the world can write', "master $master\n", '(?:read|written) by',
    undef, 0602);
bad_keyring('short key', "# a\n\nmaster " . encode_base64('x' x 31, '') . "\n",
    '31 bytes', 3);
bad_keyring('long key', 'master ' . encode_base64('x' x 33, '') . "\n",
    '(?:33 bytes|longer)', 1);
bad_keyring('bad base64', "master $master\nmaster !" . substr($pepper, 1)
    . "\n", 'base64', 2);
bad_keyring('no padding', 'master ' . $master =~ s/=+$//r . "\n", 'base64', 1);
bad_keyring('unknown word', "master $master\nsecret $pepper\n", 'begins with',
    2);
bad_keyring('a key alone', "$master\n", 'begins with', 1);
bad_keyring('no key', "master\n", 'missing', 1);
bad_keyring('more on the line', "master $master $pepper\n", 'more on the line',
    1);
bad_keyring('two peppers', "master $master\npepper $pepper\npepper $master\n",
    'second pepper', 3);
bad_keyring('the same key twice', "master $master\nmaster $master\n",
    'already', 2);
bad_keyring('nothing', "# nothing\n", 'no line', undef);
bad_keyring('a zero byte', "master $master\n\0", '\S', 2);

$t->file('good', "# ours\n\nmaster $master\r\n", 0640);
($rc, $out) = $t->check_conf('apikey_keyring %%DIR%%/good;');
is(defined $t->leak($out), '', 'keyring, a line of Windows, no secret');

$t->file('good', "# ours\n\nmaster $master\nmaster $pepper\n"
    . "pepper $pepper\n", 0640);
accepted('keyring, the group can read', 'apikey_keyring %%DIR%%/good;');
accepted('keyring, a relative path', 'apikey_keyring good;');

accepted('keyring, env:', 'apikey_keyring env:APIKEY_TEST_RING;',
    env => { APIKEY_TEST_RING => "master $master\npepper $pepper" });
refused('keyring, env:, not set', 'apikey_keyring env:APIKEY_TEST_NONE;',
    'no such variable');
refused('keyring, env:, bad', 'apikey_keyring env:APIKEY_TEST_RING;',
    'line 2.*base64', env => { APIKEY_TEST_RING => "master $master\n"
        . "pepper $pepper!" });

# The store.

for (['no scheme', '127.0.0.1:6379', 'must begin with'],
    ['unknown scheme', 'mysql://127.0.0.1', 'must begin with'],
    ['a certificate of TLS that is not there',
        'rediss://127.0.0.1 ssl_trusted_certificate=none.pem', 'none.pem'],
    ['a password in it', "redis://u:$pepper\@127.0.0.1", 'password'],
    ['a password as an option', "redis://127.0.0.1 password=$pepper",
        'password'],
    ['a bad port', 'redis://127.0.0.1:99999', 'port'],
    ['no host', 'redis://', 'host'],
    ['a bad database', 'redis://127.0.0.1/x', 'database'],
    ['no path', 'redis+unix:', 'path'],
    ['unknown option', 'redis://127.0.0.1 colour=red', 'unknown.*colour'],
    ['an option twice', 'redis://127.0.0.1 db=1 db=2', 'twice'],
    ['a bad time', 'redis://127.0.0.1 timeout=soon', 'time'],
    ['no time at all', 'redis://127.0.0.1 timeout=0', 'time'],
    ['a user without a password', 'redis://u@127.0.0.1', 'password_file'],
    ['no password file', 'redis://127.0.0.1 password_file=%%DIR%%/none',
        'No such file'],
    ['a password that all can read',
        'redis://127.0.0.1 password_file=%%DIR%%/pw', 'read by everyone'],
    ['a host that is not there', 'redis://no-such-host.invalid', 'no-such-host'
        . '|host not found'])
{
    my ($name, $words, $reason) = @$_;

    $t->file('pw', $pepper, 0644);
    refused("store, $name", "apikey_store $words;", $reason);
}

# The zone.

for (['too small', 'keys:1k', 'too small'],
    ['no size', 'keys', 'zone'],
    ['no name', ':1m', 'zone'],
    ['a bad size', 'keys:big', 'size'],
    ['unknown argument', 'keys:1m size=2m', 'unknown argument.*size='],
    ['a bad time', 'keys:1m ttl=soon', 'time'],
    ['an empty time', 'keys:1m ttl=', 'ttl='])
{
    my ($name, $words, $reason) = @$_;

    refused("zone, $name", "apikey_zone $words;", $reason);
}

# Providers and the words beside them.

for (['unknown provider', 'openia', 'unknown provider "openia"'],
    ['a provider twice', 'openai openai', 'twice'],
    ['no provider', 'fallback=none', 'no provider'],
    ['unknown argument', 'openai colour=red', 'unknown argument'],
    ['unknown value', 'openai fallback=maybe',
        '"fallback" must be shared, none, env:NAME or file:PATH'],
    ['unknown choice', 'openai select=best', 'it must be "first" or "turn"'],
    ['a key of the environment', 'openai fallback=env:NO_SUCH_KEY',
        '"env:NO_SUCH_KEY": there is no such variable in the environment'],
    ['a key of a file', 'openai fallback=file:/nowhere/key',
        '"/nowhere/key" cannot be opened'],
    ['a key of one provider', 'openai google fallback=env:NO_SUCH_KEY',
        'is the key of one provider'],
    ['off and more', 'openai off', 'unknown provider'])
{
    my ($name, $words, $reason) = @$_;

    refused("inject, $name", "$keyring $store"
        . server("apikey on; apikey_inject $words;"), $reason);
}

refused('inject without a keyring', $store
    . server('apikey on; apikey_inject openai;'), 'needs "apikey_keyring"');
refused('apikey without a store', $keyring . server('apikey on;'),
    'needs "apikey_store"');
refused('apikey, unknown word', "$keyring $store" . server('apikey maybe;'),
    'maybe');
refused('apikey, no word', "$keyring $store" . server('apikey;'),
    'number of arguments');
refused('the realm, a control character', server("apikey_realm \"a\x01b\";"),
    'control character');
refused('the realm, too long', server('apikey_realm ' . 'r' x 300 . ';'),
    'longer');

# Stacks: the stack, the line of it and the word are named, and the file's
# line, whether a location uses the stack or not.

my $static = 'static keys=%%DIR%%/static';

$t->file('static', "# nothing\n", 0600);

for (['unknown group', 'auht required key', 'unknown group "auht"'],
    ['unknown control', 'auth requird key', 'unknown control "requird"'],
    ['unknown module', 'auth required kex', 'unknown module "kex"'],
    ['no module', 'auth required', 'missing after "required"'],
    ['no control', 'auth', 'missing'],
    ['a module of another group', 'account required key',
        '"key" has no part in "account"'],
    ['unknown argument', 'auth required key form=cookie:a',
        'unknown argument "form=cookie:a"'],
    ['an argument twice', 'auth required key from=a from=b', 'twice'],
    ['a bad carrier', 'auth required key from=cookie:', 'cookie:'],
    ['unknown value', 'auth [success=ok bogus=die] key', 'value "bogus"'],
    ['unknown action', 'auth [success=maybe] key', '"maybe"'],
    ['a bracket that stays open', 'auth [success=ok key', '\['],
    ['a jump beyond the end', 'auth [success=1] key', 'jump'],
    ['a stack that is not there', 'auth include nobody', '"nobody"'],
    ['a stack that includes itself', 'auth include bad', 'include itself'],
    ['an empty list', "auth required $static", 'no key'],
    ['a list that is not there', 'auth required static keys=/none/x',
        'No such file'],
    ['a list in no variable', 'auth required static keys=env:APIKEY_NONE',
        'no such variable'],
    ['no list', 'auth required static', '"keys" is missing'],
    ['a bad network', 'account required ip 10.0.0.0/33', '10\.0\.0\.0/33'],
    ['bits beyond the prefix', 'account required ip 10.0.0.1/8', '10\.0\.0\.1'],
    ['a bad rate', 'account required rate rate=10', 'invalid rate "10"'],
    ['a bad route', 'account required route GET:models', 'GET:models'],
    ['unknown field', 'session required identity Host=owner', '"Host'],
    ['unknown provider', 'session required inject openia', 'openia'])
{
    my ($name, $line, $reason) = @$_;
    my $text = "apikey_stack bad {\n    # one\n    auth required deny;\n"
        . "    $line;\n}\n";

    refused("stack, $name", "$keyring $store $text", $reason);
    like($out, qr/stack "bad", line 2/, "stack, $name, the line of it");
    refused("stack, $name, used", "$keyring $store $text"
        . server('apikey bad;'), $reason);
}

for (['no name', 'apikey_stack { auth required key; }', 'number of arguments'],
    ['two names', 'apikey_stack a b { auth required key; }',
        'number of arguments'],
    ['a name twice', 'apikey_stack a { auth required key; } '
        . 'apikey_stack a { auth required key; }', 'already'],
    ['the name of the built-in one', 'apikey_stack on { auth required key; }',
        'already'],
    ['the name "off"', 'apikey_stack off { auth required key; }', 'already'],
    ['no auth line', 'apikey_stack a { account required ip 10.0.0.0/8; } '
        . server('apikey a;'), 'no "auth" line'],
    ['nothing', 'apikey_stack a { } ' . server('apikey a;'), 'no "auth" line'],
    ['not there', server('apikey nobody;'), 'no stack "nobody"'],
    ['in a server', 'server { apikey_stack a { auth required key; } }',
        'not allowed here'])
{
    my ($name, $text, $reason) = @$_;

    refused("stack, $name", "$keyring $store $text", $reason);
}

($rc, $out) = $t->check_conf("apikey_stack a { auth required key; session "
    . "required audit log=%%DIR%%/none/log; }");
is($rc, 1, 'stack, a log that cannot be opened');
like($out, qr{"\Q$t->{dir}\E/none/log" failed}, 'stack, the log is named');

refused('stack, without a store', 'apikey_stack a { auth required key; }'
    . server('apikey a;'), 'needs "apikey_store"');
refused('stack, inject without a keyring', "$store apikey_stack a { auth "
    . 'required key; session required inject openai; }' . server('apikey a;'),
    'needs "apikey_keyring"');
accepted('stack, without a store that nobody asks',
    'apikey_stack a { auth required anonymous; }' . server('apikey a;'));
accepted('stack, lines for others to include', "$keyring $store"
    . 'apikey_stack a { account required ip 10.0.0.0/8; } '
    . 'apikey_stack b { auth required key; account include a; }'
    . server('apikey b;'));

# Once is enough, and each in its place.

for (['apikey_keyring', $keyring], ['apikey_store', $store],
    ['apikey_zone', 'apikey_zone keys:1m;'])
{
    my ($name, $line) = @$_;

    refused("$name twice", "$line\n$line", 'duplicate');
    refused("$name in a location", server($line), 'not allowed here');
}

for my $line ('apikey on;', 'apikey_inject openai;', 'apikey_realm a;',
    'apikey_inject off;')
{
    refused("twice, $line", "$keyring $store" . server("$line\n$line"),
        'duplicate');
}

# The message names the line that is wrong, not the end of the file.

($rc, $out) = $t->check_conf(<<"EOF", whole => 1);
load_module $t->{module};
error_log %%DIR%%/check.log;
pid %%DIR%%/check.pid;
events { }
http {
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%%;

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            apikey on;
            apikey_inject openia;
        }
    }
}
EOF
like($out, qr/unknown provider "openia" in .*check\.conf:14/, 'the line');

# So does what is known only at the end.

($rc, $out) = $t->check_conf(<<"EOF", whole => 1);
load_module $t->{module};
error_log %%DIR%%/check.log;
pid %%DIR%%/check.pid;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            apikey on;
        }
    }
}
EOF
like($out, qr/needs "apikey_store".*check\.conf:10/, 'the line of "apikey on"');

done_testing();
