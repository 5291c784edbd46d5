#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for HTTP/2: carriers, injection, bodies, many streams on a connection,
# and streams that are reset while their keys are looked up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new;

$t->http(<<'EOF');
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE_UNIX%% timeout=5s;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;
        client_max_body_size 8m;
        underscores_in_headers on;
        root %%DIR%%/html;

        apikey on;
        apikey_inject anthropic;
        add_header X-Reason $apikey_reason always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /file {
            apikey_inject off;
        }
    }
EOF

$t->file('html/file', "served\n");
$t->start;

my $key = $t->create_key->{key};
my $other = $t->put_key->{key};
my $claude = $t->upstream_key('anthropic', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my $port = $t->port(1);
my ($old, $new) = ("x-api-key: $claude", "authorization: Bearer $claude");
my $r;


sub h2 { return $t->h2($port, 'GET', @_) }


is_deeply(credentials(h2('/', [ authorization => "Bearer $key" ])), [ $new ],
    'Bearer');
is_deeply(credentials(h2('/', [ authorization => "bearer $key" ])), [ $new ],
    'bearer');
is_deeply(credentials(h2('/', [ 'x-api-key' => $key ])), [ $old ],
    'x-api-key');
is_deeply(credentials(h2('/', [ 'x_api_key' => $key ])), [ $old ],
    'x_api_key');
is_deeply(credentials(h2('/', [ 'x-api-key' => $key, 'x-api-key' => $key,
    'api-key' => 'a', 'api-key' => 'b', 'x_goog_api_key' => 'c' ])), [ $old ],
    'several');
is_deeply(credentials(h2('/', [ authorization => "Bearer $key",
    'anthropic-version' => '2023-06-01' ])), [ $old ], 'an older version');

is(h2('/', [ 'x-api-key' => $key, 'x-api-key' => $other ])
    ->header('x-reason'), 'ambiguous', 'not the same twice');
denied(h2('/', []), 401, 'invalid_api_key', 'missing');
denied(h2('/', [ 'x-api-key' => 'x' x 4000 ]), 401, 'invalid_api_key',
    'malformed');

# A value that HPACK cannot compress, longer than a frame.

denied(h2('/', [ 'x-api-key' => join '', map { chr 33 + rand 90 } 1 .. 3900 ]),
    401, 'invalid_api_key', 'a long value');

my $big = join '', map { chr(rand 256) } 1 .. 1024 * 1024;

$r = $t->h2($port, 'POST', '/', [ 'x-api-key' => $key ], $big);
is($r->status, 200, 'POST');
is(eval { $r->json->{sha256} }, Digest::SHA::sha256_hex($big),
    'POST, the body');

$r = $t->h2($port, 'POST', '/', [ 'x-api-key' => $other . 'x' ], $big);
denied($r, 401, 'invalid_api_key', 'POST, denied');

# The body has begun to come while the key is looked up.

my $late = $t->put_key->{key};

$t->{redis}->pause;

my $pid = fork;
die "fork: $!\n" unless defined $pid;

if ($pid == 0) {
    $SIG{ALRM} = 'DEFAULT';
    alarm 30;
    select undef, undef, undef, 0.5;
    $t->{redis}->resume;
    POSIX::_exit(0);
}

$r = $t->h2($port, 'POST', '/', [ 'x-api-key' => $late ], $big);
waitpid $pid, 0;
is(eval { $r->json->{sha256} }, Digest::SHA::sha256_hex($big),
    'POST while the key is looked up');


# h2load: how many of so many requests ended with which class of status.

sub load {
    my ($n, $streams, @headers) = @_;

    my @h = map { ('-H', $_) } @headers;

    open my $fh, '-|', 'h2load', '-n', $n, '-c', 4, '-m', $streams, @h,
        "http://127.0.0.1:$port/file" or die "h2load: $!\n";
    local $/;
    my $text = <$fh> // '';
    close $fh;

    return $text =~ /status codes: (.*)$/m ? $1 : $text;
}


my $n = 400;

is(load($n, 50, "x-api-key: $key"),
    "$n 2xx, 0 3xx, 0 4xx, 0 5xx", 'many streams');
is(load($n, 50, 'x-api-key: ' . make_key()->{key}),
    "0 2xx, 0 3xx, $n 4xx, 0 5xx", 'many streams, denied');
is(load($n, 50, 'x-api-key: ' . $t->put_key->{key}),
    "$n 2xx, 0 3xx, 0 4xx, 0 5xx", 'many streams, one flight');

# Streams whose clients lose their patience.

$t->{redis}->pause;

for (1 .. 5) {
    my @args = ('curl', '-s', '-o', '/dev/null', '--http2-prior-knowledge',
        '--max-time', '0.2', '-H', 'x-api-key: ' . $t->secret(make_key()
        ->{key}));

    system { $args[0] } @args, ("http://127.0.0.1:$port/file") x 3;
    isnt($?, 0, 'gave up');
}

$t->{redis}->resume;
is(h2('/file', [ 'x-api-key' => $key ])->status, 200, 'then served');
is(h2('/file', [ 'x-api-key' => $t->put_key->{key} ])->status, 200,
    'then served, a new key');

$t->done;
