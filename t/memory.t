#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the memory of a worker: after a request has ended, no 12-byte piece
# of the client's key or of the upstream's is left in it.
#
# The upstream does not echo here, and the log is not at the level debug: what
# nginx itself keeps of an answer, or prints of a header, is not the module's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use Test::More;
use ApikeyTest;
use WorkerMemory;

my $t = ApikeyTest->new(level => 'info', not_under => ['asan', 'valgrind'],
    reply => sub {
        return [ 200, [ [ 'Content-Type', 'text/plain' ] ], "done\n" ];
    });

$t->http(<<'EOF');
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE_UNIX%% timeout=30s;

    apikey_stack many {
        auth     sufficient  static  keys=%%DIR%%/static.keys
                                     from=authorization,x-own-key;
        auth     required    key
            from=authorization,x-own-key,query:key,cookie:token,subprotocol;
        session  required    inject  openai;
        session  optional    identity  owner=X-Owner;
        session  optional    audit  log=%%DIR%%/audit.log;
    }

    upstream echo {
        server 127.0.0.1:%%ECHO%%;
        keepalive 4;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;
        client_max_body_size 8m;

        apikey on;
        apikey_inject openai;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location / {
            proxy_pass http://echo;
        }

        location /plain {
            apikey_inject off;
            proxy_pass http://echo;
        }

        location /file {
            try_files /none @file;
        }

        location @file {
            proxy_pass http://echo;
        }

        location /many {
            apikey many;
            apikey_inject off;
            proxy_pass http://echo;
        }

        location /page {
            error_page 401 /errors;
            proxy_pass http://echo;
        }

        location /errors {
            apikey off;
            root %%DIR%%;
        }

        location /unbuffered {
            proxy_request_buffering off;
            proxy_pass http://echo;
        }

        # nobody is there: the request is made, and made again

        location /down {
            proxy_pass http://127.0.0.1:%%PORT9%%;
        }
    }
EOF

$t->closed_port(9);
$t->file('errors', "a page\n");

my $listed = 'listed-key-0Aa1Bb2Cc3Dd4';

$t->file('static.keys', "another-key-of-a-list, $listed\n", 0600);
$t->start;

my $upstream = 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj';

$t->upstream_key('openai', $upstream);
delete $t->{secrets}{$_} for grep { $_ ne $upstream } keys %{ $t->{secrets} };

my ($worker) = $t->workers;


sub memory {
    return WorkerMemory::writable($worker);
}


plan(skip_all => 'the memory of a worker cannot be read')
    unless length(memory() // '');

my @key = map { $t->put_key(owner => "owner$_") } 1 .. 4;
my $revoked = $t->put_key(status => 'revoked');

# While a request waits its key is there: so the search finds what there is.

$t->{redis}->pause;

my $wait = $t->connect;

$wait->send(ApikeyHTTP::bytes('GET', '/',
    [ Authorization => "Bearer $key[0]{key}" ]));
ok(wait_for(sub { defined $t->leak(memory()) }), 'during a request');
$t->{redis}->resume;
is($wait->response->status, 200, 'the request ends');
ok(wait_for(sub { !defined $t->leak(memory()) }, 2), 'and leaves nothing');

# The connections stay open, so that none of their memory is given back.

my @open = ($wait);


sub after {
    my ($name, @requests) = @_;

    my $c = $t->connect;
    my @status;

    push @open, $c;

    for my $text (@requests) {
        $c->send($text);

        # several of them where they are pipelined

        for my $method ($text =~ m{^(\w+) \S+ HTTP/1\.1\r$}mg) {
            my $r = $c->response(head => $method eq 'HEAD');

            push @status, $r ? $r->status : 'none';
        }
    }

    # a request ends a little after its answer has been read

    my $gone = wait_for(sub { !defined $t->leak(memory()) }, 2);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok($gone && !grep({ $_ eq 'none' } @status), "$name (@status)")
        or diag(where());
}


# What was found, and what is around it.

sub where {
    my $text = memory();
    my $piece = $t->leak($text) // return 'nothing any more';
    my $around = substr $text, index($text, $piece) - 60, 200;

    $around =~ s/[^ -~]/./g;

    my @of = map { index($_, $piece) . " of $_" }
        grep { index($_, $piece) >= 0 } keys %{ $t->{secrets} };

    return "$piece (@of) in: $around";
}


sub bytes { return ApikeyHTTP::bytes(@_) }


sub bearer { return (Authorization => "Bearer $_[0]{key}") }
sub bare { return ('x-api-key' => $_[0]{key}) }


my @many = map { ("X-Other-$_" => 'y' x 50) } 1 .. 40;
my $unknown = make_key();
my $strange = $t->secret('strange-key-0Aa1Bb2Cc3Dd4');

$t->secret($unknown->{key});

# Keys of shapes that are asked for by an unsalted hash.

my $weak = $t->secret('sk-Weak_0Aa1Bb2Cc3Dd4Ee5F');
my $letters = $t->secret('Letters0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0Kk1Ll2Mm3Nn4Oo5'
    . 'Pp6Qq7Rr8Ss');

is(length $letters, 64, 'a key of 64 letters');
is($t->ctl('key', 'import', '--format', 'litellm', '--owner', 'alice',
    { stdin => "token\n" . Digest::SHA::sha256_hex($weak) . "\n" }), 0,
    'a weak hash');

# A body that is sent on as it comes.

for my $length (2000, 100_000) {
    my $c = $t->connect;
    my $text = ApikeyHTTP::bytes('POST', '/unbuffered',
        [ Authorization => "Bearer $key[0]{key}" ], 'x' x $length);

    push @open, $c;
    $c->send(substr $text, 0, 1500);
    ok(wait_for(sub { index(memory(), $upstream) >= 0 }),
        "unbuffered, $length, during the request");
    $c->send(substr $text, 1500);
    is($c->response->status, 200, "unbuffered, $length, its end");
    ok(wait_for(sub { !defined $t->leak(memory()) }, 2),
        "unbuffered, $length, leaves nothing") or diag(where());
}

after('GET', bytes('GET', '/', [ bearer($key[0]) ]));
after('x-api-key', bytes('GET', '/', [ bare($key[1]) ]));
after('both', bytes('GET', '/', [ bearer($key[0]), bare($key[0]) ]));
after('several requests', map { bytes('GET', '/', [ bearer($_) ]) } @key);
after('HEAD', bytes('HEAD', '/', [ bare($key[1]) ]));
after('POST', bytes('POST', '/', [ bearer($key[2]) ], 'x' x 100000));
after('without inject', bytes('GET', '/plain', [ bearer($key[2]) ]));
after('a redirect', bytes('GET', '/file', [ bearer($key[3]) ]));
after('many headers', bytes('GET', '/', [ @many, bearer($key[3]), @many ]));
after('a large buffer', bytes('GET', '/', [ 'X-Long' => 'z' x 3000,
    bearer($key[3]), 'X-More' => 'z' x 3000 ]));
after('pipelined', join '', map { bytes('GET', '/', [ bearer($_) ]) } @key);
after('pipelined, in large buffers', join '', map { bytes('GET', '/',
    [ 'X-Long' => 'z' x 3000, bearer($_), 'X-More' => 'z' x 3000 ]) } @key);

# A line that did not fit is copied to another buffer: a part of it stays where
# it was.

for my $long (900, 920, 940, 960, 980) {
    after("a line that does not fit, $long", bytes('GET', '/',
        [ 'X-Long' => 'z' x $long, bearer($key[0]) ]));
}

for my $long (4210, 4230, 4250) {
    after("a line that does not fit, large, $long", bytes('GET', '/',
        [ 'X-A' => 'z' x 3900, 'X-B' => 'z' x $long, bearer($key[0]) ]));
}

# Buffers that one request has filled, while the next one is in another.

after('pipelined, in several buffers', join '', map { bytes('GET', '/',
    [ 'X-A' => 'z' x 3000, bearer($_), 'X-B' => 'z' x 3000,
      'X-C' => 'z' x 3000 ]) } @key);
after('where no key belongs', bytes('GET', '/',
    [ 'X-Strange' => $key[0]{key}, bearer($key[0]) ]));
after('missing', bytes('GET', '/'));
after('malformed', bytes('GET', '/', [ 'x-api-key' => "$key[0]{key} x" ]));
after('unknown', bytes('GET', '/', [ bearer($unknown) ]));
after('foreign', bytes('GET', '/', [ 'x-api-key' => $strange ]));
after('asked for by its weak hash', bytes('GET', '/',
    [ 'x-api-key' => $weak ]));
after('unknown by its weak hash', bytes('GET', '/',
    [ 'x-api-key' => $letters ]));
after('revoked', bytes('GET', '/', [ bearer($revoked) ]));
after('ambiguous', bytes('GET', '/', [ bearer($key[0]), bare($key[1]) ]));
after('a page', bytes('GET', '/page', [ bearer($unknown) ]));
after('nobody is there', bytes('GET', '/down', [ bearer($key[0]) ]));
after('other carriers', bytes('GET', '/', [ bearer($key[0]),
    'api-key' => $key[1]{key}, 'x-goog-api-key' => $key[2]{key} ]));

# Other carriers of a stack; what is in the request line and in the lines of
# headers that are forwarded without it.

$t->secret($_) for $listed, 'another-key-of-a-list';

after('listed', bytes('GET', '/many', [ Authorization => "Bearer $listed" ]));
after('a header of its own', bytes('GET', '/many',
    [ 'X-Own-Key' => $key[0]{key} ]));
after('a query', bytes('GET', "/many?a=1&key=$key[1]{key}&b=2"));
after('a query, twice', bytes('GET', "/many?key=$key[1]{key}&b"
    . "&key=$key[1]{key}"));
after('a query, escaped', bytes('GET', '/many?key='
    . join '', map { sprintf '%%%02x', ord } split //, $key[1]{key}));
after('a query, unknown', bytes('GET', "/many?key=$unknown->{key}"));
after('a cookie', bytes('GET', '/many',
    [ Cookie => "a=b; token=$key[2]{key}; c=d" ]));
after('a cookie, alone', bytes('GET', '/many',
    [ Cookie => "token=$key[2]{key}" ]));
after('a subprotocol', bytes('GET', '/many', [ Upgrade => 'websocket',
    Connection => 'upgrade', 'Sec-WebSocket-Protocol' => 'chat, '
    . "openai-insecure-api-key.$key[3]{key}" ]));
after('a query that is ambiguous', bytes('GET', "/many?key=$key[1]{key}",
    [ bearer($key[0]) ]));
after('a query where it is no carrier', bytes('GET', "/?key=$key[1]{key}",
    [ bearer($key[0]) ]));

after('a denied POST', bytes('POST', '/', [ bearer($unknown) ],
    'x' x 500000));

# A client that goes away.

$t->{redis}->pause;

my $left = $t->connect;
my $late = make_key();

$t->secret($late->{key});
$left->send(bytes('GET', '/', [ bearer($late) ]));
ok(wait_for(sub { defined $t->leak(memory()) }), 'a client waits');
$left->reset;
ok(wait_for(sub { !defined $t->leak(memory()) }, 5), 'a client goes away')
    or diag(where());
$t->{redis}->resume;

# A connection that is closed, and its memory given back to the heap.

$_->close for @open;
ok(wait_for(sub { !defined $t->leak(memory()) }, 2), 'connections closed');

# Over HTTP/2, what was received and what the protocol makes it remember: that
# only while the connection lives, and nghttp has closed it.

for my $h ([ bearer($key[0]) ], [ bare($key[1]) ], [ bearer($unknown) ]) {
    my $r = $t->h2($t->port(1), 'GET', '/', $h);

    ok(wait_for(sub { !defined $t->leak(memory()) }, 2),
        "HTTP/2, $h->[0] (" . $r->status . ')') or diag(where());
}

$t->done;
