#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the variables: in the log, in headers for the upstream, in a map,
# of requests that were granted and of those that were not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    %%APIKEY%%

    log_format vars '$uri|$status|$apikey_id|$apikey_owner|$apikey_name|'
                    '$apikey_kind|$apikey_reason|$apikey_module|'
                    '$apikey_cache|$apikey_provider|$apikey_slot|'
                    '$apikey_meta_team|$apikey_meta_none|$tier';

    map $apikey_meta_team $tier {
        volatile;
        default none;
        red     gold;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log vars;

        apikey on;
        apikey_inject openai;

        location / {
            proxy_set_header X-Owner $apikey_owner;
            proxy_set_header X-Team $apikey_meta_team;
            proxy_set_header X-Id $apikey_id;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /early {

            # looked at before anyone is asked

            if ($apikey_owner) {
                return 204;
            }

            set $before "<$apikey_reason$apikey_id$tier>";
            add_header X-Before $before always;

            proxy_set_header X-Owner $apikey_owner;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /off {
            apikey off;
            proxy_set_header X-Owner "o$apikey_owner$apikey_id$apikey_kind";
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /return {
            return 200 "$apikey_id$apikey_reason";
        }
    }
EOF

$t->start;

my $key = $t->put_key(owner => 'Al Ice', name => 'her key',
    'meta.team' => 'red');
my $gone = $t->put_key(owner => 'bob', status => 'revoked',
    'meta.team' => 'blue');

$t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7', slot => 'main');

my $lines = 0;
my ($r, $unknown);


# The line of the log of a request.

sub logged {
    my ($uri, @headers) = @_;

    $r = $t->get($uri, @headers);
    $lines++;

    return ($t->access_lines($lines))[$lines - 1];
}


sub with { return ('x-api-key' => $_[0]{key}) }


is(logged('/', with($key)), "/|200|$key->{id}|Al Ice|her key|key|-|key|miss|"
    . 'openai|main|red|-|gold', 'granted, a miss');
is(join('|', map { seen($r, $_) } qw(x-owner x-team x-id)),
    "Al Ice|red|$key->{id}", 'granted, headers');
is(logged('/', with($key)), "/|200|$key->{id}|Al Ice|her key|key|-|key|hit|"
    . 'openai|main|red|-|gold', 'granted, a hit');

is(logged('/'), '/|401|-|-|-|-|missing|-|-|-|-|-|-|none', 'missing');

# Whose key it is said of revoked keys is for those who have proved it; the
# log may know the id.

like(logged('/', with($gone)), qr/^\/\|401\|$gone->{id}\|.*\|key\|revoked\|key/,
    'revoked');

$unknown = make_key();
$t->secret($unknown->{key});
is(logged('/', with($unknown)), "/|401|$unknown->{id}|-|-|key|unknown|key|miss"
    . '|-|-|-|-|none', 'unknown');
is(logged('/', with($unknown)), "/|401|$unknown->{id}|-|-|key|unknown|key|hit"
    . '|-|-|-|-|none', 'unknown, remembered');

# A wrong secret is no proof: nothing of the record may be told.

my $wrong = ApikeyTest::native_key($key->{id}, 'w' x 32);

is(logged('/', 'x-api-key' => $wrong), "/|401|$key->{id}|-|-|key|unknown|key|"
    . 'hit|-|-|-|-|none', 'a wrong secret');

like(logged('/', 'x-api-key' => $t->secret('sk-short')),
    qr/^\/\|401\|[^|]*\|-\|-\|key\|unknown\|key\|/, 'foreign');
unlike(($t->access_lines($lines))[$lines - 1], qr/sk-short/,
    'foreign, not its own id');
is(logged('/', 'x-api-key' => 'sk-1'), '/|401|-|-|-|-|malformed|key|-|-|-|-|-'
    . '|none', 'malformed');

# A variable that was looked at too early is not wrong later.

is(logged('/early', with($key)), "/early|200|$key->{id}|Al Ice|her key|key|-|"
    . 'key|hit|openai|main|red|-|gold', 'looked at early');
is((seen($r, 'x-owner'))[0], 'Al Ice', 'looked at early, a header');
is($r->header('X-Before'), '<none>', 'looked at early, nothing yet');

is(logged('/off', with($key)), '/off|200|-|-|-|-|-|-|-|-|-|-|-|none', 'off');
is((seen($r, 'x-owner'))[0], 'o', 'off, empty');
like(logged('/return', with($key)), qr/^\/return\|200\|-\|-\|/,
    'before access');
is($r->body, '', 'before access, empty');

# Values come from a store that others write: one line of the log is one line.

my $odd = $t->put_key(owner => 'o', name => "a\"b\\c",
    'meta.team' => "x\x7f\xe2\x82\xac");

like(logged('/', with($odd)), qr/^\/\|200\|$odd->{id}\|o\|a\\x22b\\x5Cc\|/,
    'odd characters are escaped');

# An outage.

$t->{redis}->stop;
$unknown = make_key();
$t->secret($unknown->{key});
like(logged('/', with($unknown)),
    qr/^\/\|503\|$unknown->{id}\|-\|-\|key\|unavailable\|key\|[^|]*\|-/,
    'unavailable');

$t->done;
