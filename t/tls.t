#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the module beside TLS.  An error that stays in OpenSSL's queue
# after a token could not be opened would be blamed on the next connection
# ("ignoring stale global SSL error"), or break it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

my $made = system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 '
    . "-subj /CN=localhost -keyout '$t->{dir}/tls.key' "
    . "-out '$t->{dir}/tls.crt' 2>/dev/null");

plan(skip_all => 'there is no openssl') if $made != 0;

$t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%% ssl http2;
        ssl_certificate %%DIR%%/tls.crt;
        ssl_certificate_key %%DIR%%/tls.key;

        apikey on;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /inject {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

$t->start;

my $good = $t->create_key(owner => 'alice')->{key};
my $bad = $t->create_key(owner => 'bob')->{key};

$t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7', owner => 'alice');
$t->redis_cmd('HSET', 'apikey:upstream:bob:openai',
    @{ $t->redis_cmd('HGETALL', 'apikey:upstream:alice:openai') });

my $url = 'https://127.0.0.1:' . $t->port;


# Several requests on one connection, in the order given: their statuses.

sub curl {
    my ($version, @requests) = @_;
    my @args = ('curl', '-s', '-k', "--http$version", '--max-time', 20);
    my $more;

    for (@requests) {
        my ($uri, $key) = @$_;

        push @args, '--next', '-s', '-k', "--http$version" if $more++;
        push @args, '-o', '/dev/null', '-w', '%{http_code} ', "$url$uri";
        push @args, '-H', "x-api-key: $key" if defined $key;
    }

    open my $fh, '-|', @args or die "curl: $!\n";
    local $/;
    my $text = <$fh> // '';
    close $fh;

    return $text =~ s/ $//r;
}


for my $version ('1.1', '2') {
    is(curl($version, ['/', $good], ['/inject', $good]), '200 200',
        "HTTP/$version, good");

    for (1 .. 3) {
        is(curl($version, ['/inject', $bad], ['/inject', $good], ['/', 'sk-x'],
            ['/inject', $bad], ['/', $good], ['/']), '502 200 401 502 200 401',
            "HTTP/$version, a token that cannot be opened, $_");
        is(curl($version, ['/inject', $good]), '200',
            "HTTP/$version, another connection, $_");
    }
}

unlike($t->error_log, qr/stale global SSL error|SSL_\w+\(\) failed/,
    "OpenSSL's queue of errors is empty");

$t->done;
