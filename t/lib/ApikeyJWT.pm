package ApikeyJWT;

# (C) ngx_apikey_module contributors

# Tokens and keys, made by libraries that are not ours: Debian's Crypt::JWT,
# and openssl(1) for what that one has not.
#
#   my $k = jwt_key('RS256', 'kid');     a key of its own for an algorithm
#   my $token = jwt($k, { sub => 'alice', exp => time + 60 }, { typ => ... });
#   my $set = jwks($k, ...);             the text of a set of their public keys
#   pem($k)                              the public key, in PEM

use strict;
use warnings;

use parent 'Exporter';

use Crypt::JWT ();
use Crypt::PK::ECC ();
use Crypt::PK::Ed25519 ();
use Crypt::PK::RSA ();
use File::Temp ();
use JSON::PP ();
use MIME::Base64 ();

our @EXPORT = qw(jwt jwt_key jwks jwk pem b64 jwt_raw jwt_algorithms);

my $json = JSON::PP->new->utf8->canonical;

my %curve = (ES256 => 'secp256r1', ES384 => 'secp384r1', ES512 => 'secp521r1',
    ES256K => 'secp256k1');


sub jwt_algorithms {
    return qw(HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512
        ES256 ES384 ES512 ES256K EdDSA);
}


sub b64 {
    my ($bytes) = @_;

    return MIME::Base64::encode_base64url($bytes);
}


sub jwt_key {
    my ($alg, $kid, $secret) = @_;

    my $pk;

    if ($alg =~ /^HS/) {
        $pk = $secret // join '', map { chr(33 + int rand 90) } 1 .. 64;

    } elsif ($alg =~ /^[RP]S/) {
        $pk = Crypt::PK::RSA->new;
        $pk->generate_key(256, 65537);

    } elsif ($alg eq 'EdDSA') {
        $pk = Crypt::PK::Ed25519->new;
        $pk->generate_key;

    } else {
        $pk = Crypt::PK::ECC->new;
        $pk->generate_key($curve{$alg});
    }

    return { alg => $alg, kid => $kid, pk => $pk };
}


# The claims may be a string: then that is the payload.

sub jwt {
    my ($key, $claims, $header) = @_;

    my %extra = (defined $key->{kid} ? (kid => $key->{kid}) : (),
        %{ $header || {} });

    return Crypt::JWT::encode_jwt(payload => $claims, alg => $key->{alg},
        key => ref $key->{pk} ? $key->{pk} : \$key->{pk},
        extra_headers => \%extra) if ref $key->{pk};

    return Crypt::JWT::encode_jwt(payload => $claims, alg => $key->{alg},
        key => $key->{pk}, extra_headers => \%extra);
}


# Parts as they are: header and payload as text, and a signature or none.

sub jwt_raw {
    my ($header, $payload, $signature) = @_;

    return join '.', b64(ref $header ? $json->encode($header) : $header),
        b64(ref $payload ? $json->encode($payload) : $payload),
        b64($signature // '');
}


sub jwk {
    my ($key, %more) = @_;

    my $jwk = ref $key->{pk}
        ? $json->decode($key->{pk}->export_key_jwk('public'))
        : { kty => 'oct', k => b64($key->{pk}) };

    # RFC 8812, 3.1; before, a draft had another name

    $jwk->{crv} = 'secp256k1' if $key->{alg} eq 'ES256K';

    $jwk->{kid} = $key->{kid} if defined $key->{kid};

    return { %$jwk, %more };
}


sub jwks {
    return $json->encode({ keys => [ map {
        exists $_->{pk} ? jwk($_) : $_ } @_ ] });
}


sub pem {
    my ($key) = @_;

    return $key->{pk}->export_key_pem('public');
}


1;
