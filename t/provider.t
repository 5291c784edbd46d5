#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikey_provider: what the upstream gets of providers that the
# configuration describes, and configurations that cannot be understood.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(embedded => 1);

$t->closed_port(9);

$t->http(<<'EOF');
    %%APIKEY%%

    # before what uses it, and after

    apikey_provider voice {
        header   X-Voice-Key;
        set      X-Region "eu west";
        set      OpenAI-Organization org-1;
        refused  401 403;
    }

    apikey_stack staff {
        auth     required  key;
        session  required  inject  later;
    }

    underscores_in_headers on;
    apikey on;
    add_header X-Taken "$apikey_provider/$apikey_slot" always;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;

        location /voice {
            apikey_inject voice;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /later {
            apikey staff;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /dated {
            apikey_inject dated;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /two {
            apikey_inject voice openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /openai {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /plain {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /pass {
            apikey_pass_credential on;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /off {
            apikey off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /mirrored {
            mirror /openai/mirror;
            apikey_inject voice;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /redirected {
            apikey_inject voice;
            proxy_pass http://127.0.0.1:%%PORT9%%;
            error_page 502 = @fallback;
        }

        location @fallback {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }

    apikey_provider later {
        scheme   Token;
        header   X-Later-Auth;
    }

    apikey_provider dated {
        header   X-Dated-Key;
        since    dated-version=2026-01-31 header=Authorization scheme=Basic;
        refused  400 404 text=INVALID_KEY;
    }
EOF

my $alice = $t->create_key(owner => 'alice')->{key};
my $bob = $t->create_key(owner => 'bob')->{key};
my $voice = $t->upstream_key('voice', 'up-voice-0Aa1Bb2Cc3Dd4Ee5Ff6',
    owner => 'alice');
my $later = $t->upstream_key('later', 'up-later-1Bb2Cc3Dd4Ee5Ff6Gg7');
my $dated = $t->upstream_key('dated', 'up-dated-2Cc3Dd4Ee5Ff6Gg7Hh8');
my $openai = $t->upstream_key('openai', 'up-openai-3Dd4Ee5Ff6Gg7Hh8Ii9');

$t->start;

my $r;


# What came to the upstream of some headers, in order, as they were written.

sub got {
    my ($r, @names) = @_;

    my $headers = ref $r eq 'HASH' ? $r->{headers} : $r->json->{headers};

    return [ 'no answer of the upstream, but ' . $r->status ] unless $headers;

    my %wanted = map { tr/_A-Z/\-a-z/r => 1 } @names;

    return [ map { "$_->[0]: $_->[1]" }
        grep { $wanted{$_->[0] =~ tr/_A-Z/\-a-z/r} } @$headers ];
}


my @names = qw(X-Voice-Key X-Region OpenAI-Organization X-Later-Auth
    X-Dated-Key Authorization X-Api-Key);
my @voice = ('X-Region: eu west', 'OpenAI-Organization: org-1',
    "X-Voice-Key: $voice");

# A client's own headers of all those names, in both spellings.

my @auth = (Authorization => "Bearer $alice");
my @with = (@auth, 'X-Other' => 'other', map {
    $_ => "mine of $_", lc tr/-/_/r => "mine of $_"
} qw(X-Voice-Key X-Region OpenAI-Organization X-Later-Auth X-Dated-Key));

$r = $t->get('/voice', @auth);
is_deeply(got($r, @names), \@voice, 'a header, and fixed ones');
is($r->header('X-Taken'), 'voice/default', 'the variables');

$r = $t->get('/voice', @with);
is_deeply(got($r, @names), \@voice, 'nothing of the client');
is_deeply(got($r, 'X-Other'), [ 'X-Other: other' ], 'but all else');

$r = $t->h2($t->port(1), 'POST', '/voice', \@with, 'x' x 100000);
is_deeply(got($r, @names), \@voice, 'HTTP/2');

# A block that comes later, used by a stack; its scheme comes first.

$r = $t->get('/later', @auth);
is_deeply(got($r, @names), [ "X-Later-Auth: Token $later" ], 'a scheme');

# Two conventions.

for (['2026-01-30', 0], ['2026-01-31', 1], ['2027-01-01', 1], ['', 0]) {
    my ($date, $newer) = @$_;
    my @headers = ('x-api-key' => $alice);

    push @headers, 'Dated-Version' => $date if length $date;

    is_deeply(got($t->get('/dated', @headers), @names),
        [ $newer ? "Authorization: Basic $dated" : "X-Dated-Key: $dated" ],
        "since, $date");
}

is_deeply(got($t->get('/dated', @auth), @names),
    [ "Authorization: Basic $dated" ], 'since, as the client itself does');

# Several providers, one of them built in.

is_deeply(got($t->get('/two', @auth), @names), \@voice, 'two, the first');
$r = $t->get('/two', Authorization => "Bearer $bob", 'X-Region' => 'mine');
is_deeply(got($r, @names), [ 'X-Region: mine',
    "Authorization: Bearer $openai" ], 'two, the second');

# A header that carries a key somewhere passes nowhere; one that is fixed
# somewhere is the client's elsewhere.

for my $uri (qw(/openai /plain /later)) {
    $r = $t->get($uri, @with);
    is_deeply([ grep { !/\Q$later\E/ }
        @{ got($r, qw(X-Voice-Key X-Later-Auth X-Dated-Key)) } ], [],
        "$uri, no key of the client");
    is_deeply(got($r, 'X-Region'), [ map { "$_: mine of X-Region" }
        qw(X-Region x_region) ], "$uri, a header of another provider");
}

is(scalar @{ got($t->get($_, @with), 'X-Voice-Key') }, 2,
    "$_, as the operator says") for qw(/pass /off);

# What was put in for one upstream is not for another.

is_deeply(got($t->get('/redirected', @with), @names),
    [ "Authorization: Bearer $openai" ], 'redirected, the other provider');
ok($t->error_log =~ m{ connect\(\) failed .*/redirected"},
    'redirected, the first upstream is not there');

is_deeply(got($t->get('/mirrored', @auth), @names), \@voice, 'mirrored');

my $mirror;

ok(wait_for(sub {
    ($mirror) = grep { $_->{uri} =~ m{^/openai/mirror} }
        $t->{echo}[0]->requests;
}), 'the mirror') and is_deeply(got($mirror, @names), [],
    'nothing of the provider there');


# Refused: where, which word, and why.  "HERE" is the line.

sub refused {
    my ($name, $text, $reason) = @_;

    $text = "apikey_store %%STORE%%;\napikey_keyring %%KEYRING%%;\n$text\n";

    my ($rc, $out) = $t->check_conf($text);
    my ($before) = ApikeyTest::_read("$t->{dir}/check.conf") =~ /^(.*)# HERE/s;
    my $line = 1 + ($before =~ tr/\n//);
    my @wrong;

    push @wrong, "exit status $rc" unless $rc eq '1';
    push @wrong, 'no reason' unless $out =~ /\[emerg\] [^\n]*$reason/;
    push @wrong, "not line $line" unless $out =~ /check\.conf:$line\b/;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(!@wrong, "refused, $name") or diag(join(', ', @wrong), "\n$out");
}

sub block { return "apikey_provider x {\n$_[0] # HERE\n}" }
sub ended { return "apikey_provider x {\n$_[0]\n} # HERE" }

my $header = 'header X-K;';

refused(@$_) for (
    ['a name', "apikey_provider Acme { # HERE\n$header }",
        '"Acme" is no name of a provider'],
    ['"off"', "apikey_provider off { # HERE\n$header }", '"off" is no name'],
    ['a long name', 'apikey_provider ' . 'a' x 129 . " { # HERE\n$header }",
        'is no name of a provider'],
    ['a built-in one', "apikey_provider openai { # HERE\n$header }",
        '"openai" is built in'],
    ['twice', "apikey_provider x { $header }\napikey_provider x { # HERE\n"
        . "$header }", 'there is a provider "x" already'],
    ['nothing in it', ended(''), 'the provider "x" has no "header NAME;"'],
    ['no header', ended('scheme Bearer;'), 'has no "header NAME;"'],
    ['an unknown word', block('headers X-K;'), 'unknown word "headers"'],
    ['a block', block('header X-K {'), 'unexpected "\{"'],
    ['header, two names', block('header X-K X-L;'), 'header NAME;'],
    ['header, twice', block("$header header X-L;"), '"header" is there twice'],
    ['header, no name', block('header "X K";'), '"X K" is no name'],
    ['header, of nginx', block('header Host;'), '"Host" is nginx\'s own'],
    ['header, cookie', block('header Cookie;'), '"Cookie" is nginx\'s own'],
    ['scheme, twice', block('scheme a; scheme b;'), '"scheme" is there twice'],
    ['scheme, two words', block('scheme "a b";'), 'a scheme is one word'],
    ['query', block('query key;'), 'a key is not put into a query: nginx '
        . 'would write it to its error log'],
    ['set, no value', block('set X-Region;'), 'set HEADER VALUE;'],
    ['set, a credential', block('set authorization "Basic x";'),
        '"set authorization": this header carries keys'],
    ['set, "_"', block('set x_api_key x;'), '"set x_api_key": this header'],
    ['set, twice', block('set X-A 1; set x_a 2;'), '"x_a" is set twice'],
    ['set, a variable', block('set X-A $host;'), '"X-A" has a "\$"'],
    ['set, of nginx', block('set Content-Length 0;'), 'is nginx\'s own'],
    ['set, empty', block('set X-A "";'), 'the value of "X-A" is not 1 to'],
    ['set, a line', block('set X-A "a\nb";'), 'the value of "X-A" is not 1'],
    ['set, too many', block(join ' ', map { "set X-$_ 1;" } 1 .. 9),
        'more than 8 headers'],
    ['set, the key', ended("$header set x-k 1;"), '"x-k" carries the key'],
    ['set, the newer', ended("$header since V=2026-01-01 header=X-L; "
        . 'set x_l 1;'), '"x_l" carries the key'],
    ['set, the version', ended("$header since V=2026-01-01 header=X-L; "
        . 'set V 1;'), '"V" is the client\'s to send'],
    ['refused, no status', block('refused text=X;'), 'has no status'],
    ['refused, a word', block('refused all;'), '"all" is no status from 400'],
    ['refused, 200', block('refused 200;'), '"200" is no status'],
    ['refused, 500', block('refused 500;'), '"500" is no status'],
    ['refused, 429', block('refused 401 429;'), '429 says that a key is busy'],
    ['refused, twice', block('refused 401; refused 403 401;'),
        'the status 401 is there twice'],
    ['refused, an empty mark', block('refused 401 text=;'), '"text=" is not'],
    ['refused, too many', block('refused ' . join(' ', 400 .. 416) . ';'),
        'more than 16 statuses'],
    ['since, twice', block('since V=2026-01-01 header=A; '
        . 'since V=2026-01-01 header=B;'), '"since" is there twice'],
    (map { ["since, $_", block("since V=$_ header=A;"),
        'begins with HEADER=DATE' ] } '2026-13-01', '2026-00-01', '2026-01-32',
        '2026-01-00', '2026-02-30', '2026-1-01'),
    ['refused, seventeen on a line', block('refused ' . join(' ', 401 .. 417)
        . ' text=x;'), 'more than 16 statuses'],
    ['since, no date', block('since V header=A;'), 'HEADER=DATE'],
    ['since, a date', block('since V=2026-1-1 header=A;'), 'HEADER=DATE'],
    ['since, no header', block('since V=2026-01-01 scheme=A;'),
        'has no header=NAME'],
    ['since, a word', block('since V=2026-01-01 colour=A;'),
        '"colour=A" is not what "since" takes'],
    ['not there', "apikey_stack s {\nauth required key;\n"
        . "session required inject openai y; # HERE\n}",
        'stack "s", line 2: .* unknown provider "y"'],
    ['an identity', "apikey_provider x { # HERE\nheader X-User; }\n"
        . "apikey_stack s {\nauth required key;\n"
        . "session required identity owner=X_User;\n}\napikey s;\n"
        . 'server { }', '"x-user" of a provider is one that an "identity"'],
    ['an identity that is fixed', "apikey_provider x { # HERE\n"
        . "header X-K; set X-User 1; }\n"
        . "apikey_stack s {\nauth required key;\n"
        . "session required identity owner=X-User;\n}\napikey s;\n"
        . 'server { }', '"x-user" of a provider is one that an "identity"'],
    ['not there, apikey_inject', "apikey on;\napikey_inject y; # HERE",
        'unknown provider "y"'],
);

my ($rc, $out) = $t->check_conf(<<'EOF');
apikey_provider 0.a_b-c {
    header   X_K;
    scheme   Key;
    set      X-A 'it is "so"; {x}';
    refused  400 401 403 "text=API key: invalid";
    refused  402;
}
EOF

is($rc, 0, 'all that is right') or diag($out);

$t->done;
