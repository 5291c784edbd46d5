#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for tokens that try to get by: each is answered 401, no worker ends, and
# nothing that a token points to is fetched.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use Test::More;
use ApikeyTest;
use ApikeyJWT;
use JwksServer;

my $t = ApikeyTest->new(level => 'info');

# What tokens point to: it would have the right key of who made them.

my $evil = JwksServer->new(dir => $t->{dir}, name => 'evil', tls => 0,
    host => '127.0.0.1');

my %key = (RS256 => jwt_key('RS256', 'r'), ES256 => jwt_key('ES256', 'e'),
    ES512 => jwt_key('ES512', 'f'), EdDSA => jwt_key('EdDSA', 'd'),
    HS256 => jwt_key('HS256', undef, 's' x 32));
my %own = map { $_ => jwt_key($_, "own-$_") } qw(RS256 ES256 EdDSA);

$evil->say(jwks(values %own));

$t->file('keys.json', jwks(@key{qw(RS256 ES256 ES512 EdDSA)}), 0644);
$t->file('secret', $key{HS256}{pk}, 0600);

$t->http(<<'EOF');
    %%APIKEY%%

    client_header_buffer_size 64k;
    large_client_header_buffers 8 64k;

    apikey_stack public {
        auth required jwt jwks=%%DIR%%/keys.json;
    }

    apikey_stack secret {
        auth required jwt secret=file:%%DIR%%/secret;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Reason $apikey_reason always;
        location /public/ {
            apikey public;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
        location /secret/ {
            apikey secret;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
$t->start;

my @workers = $t->workers;
my %claims = (sub => 'admin', exp => time + 600);
my $count = 0;
my %reasons;


sub hostile {
    my ($token, $name, $path) = @_;

    my $r = $t->get($path // '/public/', Authorization => "Bearer $token");

    $count++;
    $reasons{$r->header('X-Reason') // ''}++;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($r->status, 401, $name) or diag($token);
}


sub hmac {
    my ($header, $secret, $hash) = @_;

    my $input = jwt_raw($header, \%claims);
    $input =~ s/\.$//;

    my $f = Digest::SHA->can('hmac_sha' . ($hash // 256));

    return "$input." . b64($f->($input, $secret));
}


# Signs whatever input with a key of Crypt::PK.

sub sign_input {
    my ($key, $input) = @_;

    return $key->{pk}->sign_message_rfc7518($input, 'SHA256')
        if $key->{alg} eq 'ES256';
    return $key->{pk}->sign_message($input, 'SHA256', 'v1.5')
        if $key->{alg} eq 'RS256';
    return $key->{pk}->sign_message($input);
}


sub forged {
    my ($key, $header, $payload) = @_;

    my $input = jwt_raw($header, $payload // \%claims);
    $input =~ s/\.$//;

    return "$input." . b64(sign_input($key, $input));
}


# They are good to begin with.

my %good = map { $_ => jwt($key{$_}, \%claims) } keys %key;

is($t->get('/public/', Authorization => "Bearer $good{$_}")->status, 200,
    "$_: good") for qw(RS256 ES256 ES512 EdDSA);
is($t->get('/secret/', Authorization => "Bearer $good{HS256}")->status, 200,
    'HS256: good');

# No algorithm, in whatever spelling, with and without a signature.

for my $none (qw(none None NONE nOnE noNe NonE), 'none ', ' none', "none\0",
    "n\x{fb}ne", '', 'null', 'undefined', 'NONE256', 'HS0', 'plain', 'ES',
    'RS', 'A', 'HS256 ', 'hs256', 'Hs256', 'rs256', 'eddsa', 'ed25519',
    'HS257', 'RSA', 'dir', 'RSA-OAEP', 'A128KW')
{
    for my $signature ('', 'x' x 64) {
        hostile(jwt_raw({ alg => $none }, \%claims, $signature),
            "alg \"" . ($none =~ s/[^ -~]/?/gr) . '"'
            . (length $signature ? ', signed' : ''));
    }
}

hostile(jwt_raw({ alg => $_ }, \%claims, 'x'), 'alg that is no string')
    for undef, 1, [], {}, JSON::PP::true(), ['RS256'];
hostile(jwt_raw('{"typ":"JWT"}', \%claims, 'x'), 'no alg');
hostile(jwt_raw('{"alg":"RS256","alg":"none"}', \%claims), 'alg twice');
hostile(jwt_raw('{"alg":"none","alg":"RS256"}', \%claims), 'and otherwise');

# A public key as the secret of an HMAC, in every form that there is of it.

my $rsa = $key{RS256}{pk};
my @forms = (
    ['PEM', $rsa->export_key_pem('public')],
    ['PEM of RSA', $rsa->export_key_pem('public_x509')],
    ['PEM without its end', $rsa->export_key_pem('public') =~ s/\n\z//r],
    ['DER', $rsa->export_key_der('public')],
    ['JWK', $rsa->export_key_jwk('public')],
    ['modulus', pack 'H*', $rsa->key2hash->{N}],
    ['the set', $t->read_file('keys.json')],
    ['nothing', ''],
    ['a point', $key{ES256}{pk}->export_key_raw('public')],
    ['a key of EdDSA', $key{EdDSA}{pk}->export_key_raw('public')]);

for my $form (@forms) {
    for my $kid (undef, 'r', 'e', 'd') {
        hostile(hmac({ alg => 'HS256', defined $kid ? (kid => $kid) : () },
            $form->[1]), "HS256 with the public key: $form->[0]"
            . (defined $kid ? ", kid $kid" : ''));
    }
}

hostile(hmac({ alg => "HS$_", kid => 'r' }, $forms[0][1], $_),
    "HS$_ with the public key") for 384, 512;
hostile(hmac({ alg => 'HS256' }, ''), 'an empty secret', '/secret/');
hostile(hmac({ alg => 'HS256' }, 's' x 31), 'a shorter secret', '/secret/');
hostile(hmac({ alg => 'HS256' }, 's' x 33), 'a longer one', '/secret/');
hostile(jwt($key{RS256}, \%claims), 'RS256 where there is a secret',
    '/secret/');
hostile(hmac({ alg => 'HS512' }, 's' x 32, 256), 'another digest', '/secret/');

# Keys that a token brings or points to.

my $uri = $evil->uri;

for my $alg (qw(RS256 ES256 EdDSA)) {
    my $jwk = jwk($own{$alg});
    my $mine = (keys %{{ RS256 => 'r', ES256 => 'e', EdDSA => 'd' }})[0];
    my %kid = (RS256 => 'r', ES256 => 'e', EdDSA => 'd');

    for my $header ({ jwk => $jwk }, { jwk => $jwk, kid => $kid{$alg} },
        { jku => $uri }, { jku => $uri, kid => "own-$alg" },
        { jku => $uri, kid => $kid{$alg} }, { x5u => $uri },
        { x5u => "file:///etc/passwd" }, { x5c => ['AAAA'] },
        { 'x5t' => 'AAAA' }, { 'x5t#S256' => 'AAAA' }, { kid => $uri },
        { kid => "own-$alg" }, { jku => $uri, crit => ['jku'] },
        { iss => $uri })
    {
        hostile(forged($own{$alg}, { alg => $alg, %$header }),
            "$alg: " . join ', ', map { "$_ $header->{$_}" } sort keys
            %$header);
    }
}

# A kid is a name and nothing else.

hostile(forged($own{RS256}, { alg => 'RS256', kid => $_ }), "kid $_")
    for '../../../dev/null', '/etc/passwd', '/dev/null', "r\0", 'r ', 'R',
        "' OR '1'='1", "r' UNION SELECT 's' --", '$(id)', '`id`', '|id',
        '*', '%', 'apikey:*', "x\r\nSET a b", '${jndi:ldap://127.0.0.1/}',
        '__proto__', 'constructor', 'a' x 512, 'a' x 513, '0', '-1';

# Signatures that are none.

my ($header, $payload, $signature) = split /\./, $good{ES256};
my $raw = MIME::Base64::decode_base64url($signature);
my ($r, $s) = unpack 'a32a32', $raw;
my $order = pack 'H*', 'ffffffff00000000ffffffffffffffff'
    . 'bce6faada7179e84f3b9cac2fc632551';


sub der {
    my ($r, $s) = @_;

    my $int = sub {
        my $n = $_[0] =~ s/\A\0+(?=.)//sr;
        $n = "\0$n" if ord($n) & 0x80;
        return pack('CC', 2, length $n) . $n;
    };
    my $body = $int->($r) . $int->($s);

    return pack('CC', 0x30, length $body) . $body;
}


for my $case (
    ['r and s are 0', "\0" x 64], ['r is 0', "\0" x 32 . $s],
    ['s is 0', $r . "\0" x 32], ['r is the order', $order . $s],
    ['s is the order', $r . $order], ['both are', $order . $order],
    ['r is beyond', "\xff" x 32 . $s], ['s is beyond', $r . "\xff" x 32],
    ['in DER', der($r, $s)], ['swapped', $s . $r], ['cut', substr $raw, 0, 63],
    ['half', $r], ['longer', $raw . "\0"], ['padded', "\0$r\0$s"],
    ['doubled', $raw . $raw], ['nothing', ''], ['one byte', "\0"],
    ['DER of 0', der("\0", "\0")], ['of ES384', $raw . "\0" x 32],
    ['1 and 1', "\0" x 31 . "\1" . "\0" x 31 . "\1"])
{
    hostile("$header.$payload." . b64($case->[1]), "ECDSA: $case->[0]");
}

($header, $payload, $signature) = split /\./, $good{EdDSA};
$raw = MIME::Base64::decode_base64url($signature);

for my $case (['zeros', "\0" x 64], ['cut', substr $raw, 0, 63],
    ['longer', "$raw\0"], ['nothing', ''], ['ones', "\xff" x 64],
    ['the identity', "\1" . "\0" x 63],
    ['s beyond the order', substr($raw, 0, 32) . "\xff" x 32])
{
    hostile("$header.$payload." . b64($case->[1]), "EdDSA: $case->[0]");
}

($header, $payload, $signature) = split /\./, $good{RS256};
$raw = MIME::Base64::decode_base64url($signature);

for my $case (['zeros', "\0" x 256], ['ones', "\xff" x 256],
    ['cut', substr $raw, 0, 255], ['longer', "\0$raw"], ['behind', "$raw\0"],
    ['nothing', ''], ['one', "\0" x 255 . "\1"],
    ['PSS for PKCS #1', MIME::Base64::decode_base64url(
        (split /\./, jwt({ %{ $key{RS256} }, alg => 'PS256' }, \%claims))[2])])
{
    hostile("$header.$payload." . b64($case->[1]), "RSA: $case->[0]");
}

# Parts that are missing, swapped, of another token, or written otherwise.

my $other = jwt($key{RS256}, { sub => 'eve', exp => time + 600 });
my ($h2, $p2, $s2) = split /\./, $other;

for my $case (
    ['without a signature', "$header.$payload."],
    ['without a payload', "$header..$signature"],
    ['without a header', ".$payload.$signature"],
    ['another payload', "$header.$p2.$signature"],
    ['another signature', "$header.$payload.$s2"],
    ['swapped', "$payload.$header.$signature"],
    ['the other way round', "$signature.$payload.$header"],
    ['a dot behind', "$header.$payload.$signature."],
    ['two dots behind', "$header.$payload.$signature.."],
    ['a fourth part', "$header.$payload.$signature.$signature"],
    ['five parts', "$header.$payload.$signature.$payload.$signature"],
    ['padding', "$header.$payload.$signature="],
    ['two of it', "$header.$payload.$signature=="],
    ['padding inside', "$header=.$payload.$signature"],
    ['a trailing bit', $header . '.' . $payload . '.'
        . ($signature =~ s/(.)\z/chr(ord($1) + 1)/er)],
    ['the alphabet of base64', "$header.$payload."
        . ($signature =~ tr{_-}{/+}r =~ s/\A.{2}/++/r)],
    ['a letter more', "$header.$payload.${signature}A"],
    ['the same twice', "$header.$payload.$signature$signature"])
{
    hostile($case->[1], $case->[0]);
}

# Headers that are too much, and what must be understood.

hostile(forged($key{RS256}, { alg => 'RS256', kid => 'r', %$_ }),
    'header ' . JSON::PP->new->canonical->encode($_) =~ s/.{60}\K.*//sr)
    for { crit => ['exp'], exp => 1 }, { crit => [] }, { crit => ['b64'],
        b64 => JSON::PP::false() }, { b64 => JSON::PP::false() },
        { cty => 'JWT' }, { enc => 'A128GCM' }, { typ => 'logout+jwt' },
        { typ => 'dpop+jwt' }, { typ => 1 }, { x => 'y' x 9000 },
        { map { ("m$_" => $_) } 1 .. 1000 };

for my $depth (16, 100, 2000) {
    hostile(forged($key{RS256}, '{"alg":"RS256","kid":"r","x":'
        . '[' x $depth . ']' x $depth . '}'), "$depth levels in the header");
    hostile(forged($key{RS256}, { alg => 'RS256', kid => 'r' },
        '{"sub":"a","exp":9999999999,"x":' . '{"a":' x $depth . '1'
        . '}' x $depth . '}'), "$depth levels in the claims");
}

# Claims that are not what they should be; the signature is right.

for my $bad ('', ' ', '[]', '"x"', '1', 'null', 'true', '{', '{}',
    '{"sub":"a"}', '{"exp":9999999999}', '{"sub":1.5,"exp":9999999999}',
    '{"sub":null,"exp":9999999999}', '{"sub":["a"],"exp":9999999999}',
    '{"sub":"*","exp":9999999999}', '{"sub":"","exp":9999999999}',
    '{"sub":"a","sub":"b","exp":9999999999}',
    '{"sub":"a","exp":"9999999999"}', '{"sub":"a","exp":null}',
    '{"sub":"a","exp":-1}', '{"sub":"a","exp":1e400}', '{"sub":"a","exp":0}',
    '{"sub":"a","exp":1}', '{"sub":"a","exp":true}',
    '{"sub":"a","exp":99999999999999999999}',
    '{"sub":"a","exp":9999999999,"nbf":"1"}',
    '{"sub":"a","exp":9999999999,"nbf":9999999998}',
    '{"sub":"a","exp":9999999999,"iat":9999999998}',
    '{"sub":"a","exp":9999999999,"aud":"x"}',
    '{"sub":"a","exp":9999999999,"aud":[]}',
    '{"sub":"a","exp":9999999999,"jti":{}}',
    '{"sub":"a","exp":9999999999,"jti":"' . 'x' x 300 . '"}',
    "{\"sub\":\"a\\nb\",\"exp\":9999999999}",
    "{\"sub\":\"a\\u0000b\",\"exp\":9999999999}",
    "{\"sub\":\"\xff\",\"exp\":9999999999}",
    '{"sub":"' . 'x' x 200 . '","exp":9999999999}',
    '{"sub":"a","exp":9999999999}x')
{
    hostile(forged($key{RS256}, { alg => 'RS256', kid => 'r' }, $bad),
        'claims ' . ($bad =~ s/[^ -~]/?/gr =~ s/.{60}\K.*//sr));
}

hostile(forged($key{RS256}, { alg => 'RS256', kid => 'r' },
    { %claims, x => 'y' x $_ }), "a payload of $_ bytes") for 13000, 30000;

cmp_ok($count, '>=', 150, "$count hostile tokens");
is_deeply([$t->workers], \@workers, 'no worker has ended');
is(scalar(() = $evil->fetches), 0, 'nothing was fetched');
is(scalar $t->{echo}[0]->requests, 5, 'the upstream saw the good ones only');

note(join ', ', map { "$_ $reasons{$_}" } sort keys %reasons);

is($t->get('/public/', Authorization => "Bearer $good{$_}")->status, 200,
    "$_: still good") for qw(RS256 ES256 ES512 EdDSA);

$t->done;
