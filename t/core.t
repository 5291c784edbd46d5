#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what a process gives away: its environment, core files, and the
# memory of a worker that has served over TLS and HTTP/2, to upstreams with TLS
# too, and whose clients and upstreams went away.  gcore(1) takes it where it
# is installed; else it is read from /proc, which is the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use IO::Socket::SSL ();
use POSIX ();
use Test::More;
use ApikeyTest;
use LeakScan;
use RedisTLS;
use WorkerMemory;

my ($nobody, $gid) = (getpwnam 'nobody')[2, 3];

plan(skip_all => 'not root') if $> != 0 || !defined $nobody;

# A worker, and what looks after a cache: the manager, and at first the loader.

my $t = ApikeyTest->new(level => 'info', not_under => ['asan', 'valgrind'],
    reply => sub {
        my ($req) = @_;

        return [ 401, [ map { [ "X-Said-$_->[0]", $_->[1] ] }
            @{ $req->{headers} } ], undef ]
            if $req->{uri} =~ /again(?:$|.*both)/ && grep {
                $_->[1] =~ /up-/ || $req->{uri} =~ /both/ }
                @{ $req->{headers} };
        return [ 200, [ [ 'Content-Type', 'text/plain' ] ], "done\n" ];
    });

my $tls = RedisTLS->new("$t->{dir}/tls");
my ($cert, $pkey) = ($tls->cert('server'), $tls->key('server'));
my $main = $$;


# An upstream that speaks TLS, and keeps connections; /tls/hang is not answered,
# and /tls/cut ends them.

sub upstream {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Listen => 16, ReuseAddr => 1) or die "no port: $!\n";

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    return ($listen->sockport, $pid) if $pid;

    $SIG{CHLD} = 'IGNORE';
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);

    while (getppid == $main) {
        my $ready = '';

        vec($ready, fileno $listen, 1) = 1;
        next unless select $ready, undef, undef, 1;

        my $s = $listen->accept or next;
        my $child = fork;

        next if !defined $child || $child;

        serve($s);
        POSIX::_exit(0);
    }

    POSIX::_exit(0);
}


sub serve {
    my ($plain) = @_;

    my $s = IO::Socket::SSL->start_SSL($plain, SSL_server => 1,
        SSL_cert_file => $cert, SSL_key_file => $pkey) or return;
    my $in = '';

    alarm 60;

    while (sysread $s, $in, 65536, length $in) {
        while ($in =~ /\A(\S+ (\S+) .*?\r\n\r\n)/s) {
            my ($head, $path) = ($1, $2);
            my $length = length $head;

            $length += $1 if $head =~ /^Content-Length: (\d+)/mi;

            last if length $in < $length;
            substr $in, 0, $length, '';

            next if $path =~ /hang/;
            return if $path =~ /cut/;

            if ($path =~ /again/ && $head =~ /(up-\S+)/) {
                print $s "HTTP/1.1 401 No\r\nX-Said: $1\r\n"
                    . "Content-Length: 5\r\n\r\nnone\n";
                next;
            }

            print $s "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";
        }
    }
}


my ($port, $server) = upstream();

END { kill 'TERM', $server if $server && $$ == $main }

my %env = (
    APIKEY_TEST_LIST => 'env-listed-0Aa1Bb2Cc3Dd4',
    APIKEY_TEST_HMAC => 'env-hmac-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2Ss1',
    APIKEY_TEST_RING => $t->read_file('keyring'),
    APIKEY_TEST_ELSE => 'nobody-reads-this-value',
);

$ENV{$_} = $env{$_} for keys %env;

$t->http(<<"EOF");
    apikey_keyring env:APIKEY_TEST_RING;
    apikey_store %%STORE%% timeout=30s;
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    apikey_stack env {
        auth     sufficient  static  keys=env:APIKEY_TEST_LIST;
        auth     sufficient  jwt     secret=env:APIKEY_TEST_HMAC;
        auth     required    key;
    }

    upstream tls {
        server 127.0.0.1:$port;
        keepalive 4;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% http2;
        listen 127.0.0.1:%%PORT2%% ssl;
        listen 127.0.0.1:%%PORT3%% ssl http2;
        ssl_certificate $cert;
        ssl_certificate_key $pkey;
        client_max_body_size 8m;

        apikey on;
        apikey_inject openai;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /again {
            add_header X-Tried \$upstream_status always;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /tls {
            proxy_pass https://tls;
        }

        location /tls/late {
            rewrite ^ /tls/hang break;
            proxy_read_timeout 1s;
            proxy_pass https://tls;
        }

        location /tls/once {
            proxy_set_header Connection close;
            proxy_pass https://127.0.0.1:$port;
        }

        location /env {
            apikey env;
            apikey_inject off;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

my $group = getgrgid $gid;

$t->{config} =~ s/user root;/user nobody $group;\nenv APIKEY_TEST_LIST;/;
chmod 0711, $t->{dir};
$t->{config} =~ s/worker_processes 3;/worker_processes 1;/;
$t->start;


sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;

    return <$fh> // '';
}


sub kind {
    my ($pid) = @_;

    return slurp("/proc/$pid/cmdline") =~ /nginx: ([\w ]+\w)/ ? $1 : '';
}


my ($worker) = grep { kind($_) eq 'worker process' } $t->workers;


# What somebody with the worker's own user may open of a process.

sub opened {
    my ($pid, $file) = @_;

    my $child = fork;
    die "fork: $!\n" unless defined $child;

    if ($child == 0) {
        POSIX::setgid($gid);
        POSIX::setuid($nobody);
        POSIX::_exit(open(my $fh, '<', "/proc/$pid/$file") ? 1 : 0);
    }

    waitpid $child, 0;

    return $? >> 8;
}


like(slurp("/proc/$worker/status"), qr/^Uid:\s+$nobody\s/m,
    'the worker is nobody');
is(opened($worker, 'status'), 1, 'its status can be opened');
is(opened($worker, $_), 0, "its $_ cannot") for qw(mem environ maps auxv);

my @zone = grep { $_->{size} == 8 << 20 } WorkerMemory::areas($worker);

is(scalar @zone, 1, 'the zone');
like($zone[0]{flags} // '', qr/\bdd\b/, 'is not in core files');

# The environment: what was read from it is the master's.

delete $t->{secrets}{$_} for keys %{ $t->{secrets} };
$t->secret($_) for @env{qw(APIKEY_TEST_LIST APIKEY_TEST_HMAC)},
    $env{APIKEY_TEST_RING} =~ /^\w+ (\S+)$/mg;

my $listed = LeakScan->new({ $env{APIKEY_TEST_LIST} => '',
    map { $_ => '' } $env{APIKEY_TEST_RING} =~ /^\w+ (\S+)$/mg });
my $else = LeakScan->new({ $env{APIKEY_TEST_ELSE} => '' });

ok(defined $listed->find(WorkerMemory::writable($t->{pid})),
    'the master has them for its next reload');

my %seen;


sub environment {
    for my $pid ($t->children) {
        my $kind = kind($pid);
        my $environ = slurp("/proc/$pid/environ");
        my $memory = WorkerMemory::writable($pid);

        # one that looks after a cache for a moment may have ended

        next unless length($memory // "");

        $seen{$kind} = 1;
        is($t->leak($environ), undef, "$kind: none in /proc/PID/environ");
        ok(defined $else->find($memory), "$kind: what nobody read is there");

        # that of tokens is in OpenSSL's context: see docs/security.md

        is($listed->find($memory), undef, "$kind: what was read is not");
    }
}


environment();
ok($seen{'cache manager process'}, 'other processes too');
ok($t->reload, 'a reload');
wait_for(sub { !grep { !kind($_) || kind($_) =~ /shutting/ } $t->children });
environment();

($worker) = grep { kind($_) eq 'worker process' } $t->workers;

# Requests.  From here on the secrets are those of clients and upstreams.

is($t->get('/env', Authorization => "Bearer $env{APIKEY_TEST_LIST}")->status,
    200, 'what was in the environment is known');

delete $t->{secrets}{$_} for keys %{ $t->{secrets} };

my %upstream = (a => 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj',
    b => 'uq-Kk1Ll2Mm3Nn4Oo5Pp6Qq7Rr8Tt9Uu');
my @key = map { $t->put_key(owner => "owner$_") } 1 .. 4;
my $unknown = $t->secret(make_key()->{key});

$t->upstream_key('openai', $upstream{$_}, slot => $_) for sort keys %upstream;
$t->secret($env{APIKEY_TEST_LIST});
delete $t->{secrets}{$_}
    for grep { /\Q$env{APIKEY_TEST_RING}\E/ } keys %{ $t->{secrets} };


sub where {
    my ($memory) = @_;

    my $piece = $t->leak($memory) // return 'nothing any more';
    my $at = index $memory, $piece;
    my $around = substr $memory, $at < 100 ? 0 : $at - 100, 300;

    $around =~ s/[^ -~]/./g;

    return "$piece (" . join(', ', LeakScan->new($t->{secrets})->of($piece))
        . ") in: $around";
}


sub gone {
    my ($name) = @_;

    my $memory;

    my $gone = wait_for(sub {
        $memory = WorkerMemory::writable($worker);
        return defined $memory && !defined $t->leak($memory);
    }, 2);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok($gone, "$name: nothing is left") or diag(where($memory));
}


# A connection with TLS that stays open.

sub tls {
    my ($port) = @_;

    return IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        SSL_verify_mode => 0) || die "no TLS: $IO::Socket::SSL::SSL_ERROR\n";
}


sub ask {
    my ($s, $path, $key, $body) = @_;

    # the answer lands where the question was: so the key is farther behind

    print $s ApikeyHTTP::bytes(defined $body ? 'POST' : 'GET', $path,
        [ 'X-Long' => 'z' x 600, Authorization => "Bearer $key" ], $body);

    my $in = '';

    while (sysread $s, $in, 65536, length $in) {
        my ($length) = $in =~ /^Content-Length: (\d+)/mi;

        last if defined $length ? $in =~ /\r\n\r\n.{$length}\z/s
            : $in =~ /\r\n0\r\n\r\n\z/;
    }

    return $in =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}


is($t->with_key('/', $key[0])->status, 200, 'plain');
gone('plain');

# An upstream that says again what it was sent, and refuses it.

my $r = $t->with_key('/again', $key[0]);

is($r->status, 200, 'refused, and sent once more');
is($r->header('X-Tried'), '401, 200', 'refused, both answers');
gone('refused, and sent once more');
$r = $t->with_key('/again/both', $key[0]);
denied($r, 502, 'upstream_auth_failed', 'all are refused');
is($t->leak($r->text), undef, 'all are refused, nothing is said again');
gone('all are refused');

$t->upstream_key('openai', $upstream{$_}, slot => $_) for sort keys %upstream;
ok(wait_for(sub { $t->with_key('/', $key[0])->status == 200 }),
    'other tokens of the same keys');
gone('other tokens of the same keys');

my $c = tls($t->port(2));

is(ask($c, '/', $key[0]{key}), 200, 'a client with TLS');
gone('a client with TLS');
is(ask($c, '/', $key[1]{key}, 'b' x 100_000), 200, 'with a body');
gone('with a body');
is(ask($c, '/', $unknown), 401, 'that is denied');
gone('that is denied');

is(ask($c, '/tls', $key[0]{key}), 200, 'an upstream with TLS');
gone('an upstream with TLS');
is(ask($c, '/tls', $key[0]{key}, 'b' x 100_000), 200, 'with a body');
gone('with a body');
is($t->with_key('/tls', $key[2])->status, 200, 'from a client without TLS');
gone('from a client without TLS');
is($t->with_key('/tls/once', $key[2])->status, 200, 'whose connection ends');
gone('whose connection ends');

is(ask($c, '/tls/again', $key[0]{key}, 'b' x 100_000), 200,
    'an upstream with TLS that refuses a key');
gone('an upstream with TLS that refuses a key');

# Those that go away while the upstream is asked, and upstreams that do.

my $left = $t->connect;

$left->send(ApikeyHTTP::bytes('GET', '/tls/hang',
    [ Authorization => "Bearer $key[3]{key}" ]));
ok(wait_for(sub { defined $t->leak(WorkerMemory::writable($worker)) }, 5),
    'a client waits for the upstream');
$left->reset;
gone('a client that goes away');

is($t->with_key('/tls/late', $key[0])->status, 504, 'an upstream is late');
gone('an upstream that is late');
is($t->with_key('/tls/cut', $key[0])->status, 502, 'an upstream ends');
gone('an upstream that ends');


sub h2 {
    my ($port, $scheme, @args) = @_;

    open my $fh, '-|', 'nghttp', '-v', '-t', 10, @args,
        "$scheme://127.0.0.1:$port/" or die "nghttp: $!\n";
    local $/;

    return <$fh> =~ /recv \S+ :status: (\d+)/ ? $1 : 0;
}


for my $n (1, 3) {
    for my $h ("Authorization: Bearer $key[0]{key}",
        "Authorization: Bearer $unknown", "x-api-key: $key[1]{key}")
    {
        my $name = 'HTTP/2' . ($n == 3 ? ' with TLS, ' : ', ')
            . substr $h, 0, 9;
        my $status = h2($t->port($n), $n == 3 ? 'https' : 'http', '-H', $h);

        is($status, $h =~ /\Q$unknown/ ? 401 : 200, $name);
        gone($name);
    }
}

# A client of HTTP/2 that does not compress: what was received shows the key as
# it is.  RFC 9113, 4.1, and RFC 7541, 6.2.

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    return substr(pack('NCCN', length $payload, $type, $flags, $stream), 1)
        . $payload;
}


sub literal {
    my ($first, $name, $value) = @_;

    return pack 'CCa*Ca*', $first, length $name, $name, length $value, $value;
}


sub bare {
    my ($stream, $first, $name, $value, $more) = @_;

    my $block = "\x82\x86\x84\x01\x04host" . literal($first, $name, $value);

    return frame(1, $more ? 4 : 5, $stream, $block)
        . ($more ? frame(0, 0, $stream, $more) . frame(0, 1, $stream, '') : '');
}


sub ends {
    my ($s, $streams) = @_;

    my ($in, %end) = '';

    while (keys %end < $streams && sysread $s->{s}, $in, 65536, length $in) {
        while (length $in >= 9) {
            my ($n, $type, $flags, $id) = unpack 'NCCN', "\0$in";

            last if length $in < 9 + $n;
            substr $in, 0, 9 + $n, '';
            $end{$id} = 1 if $type <= 1 && $flags & 1;
        }
    }

    return scalar keys %end;
}


my $h2 = $t->connect(port => $t->port(1));

$h2->{s}->blocking(1);
$h2->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, '')
    . bare(1, 0x10, 'authorization', "Bearer $key[0]{key}"));
is(ends($h2, 1), 1, 'HTTP/2, not compressed');
gone('HTTP/2, not compressed');

# Several at once, of which some are denied while others are yet to be parsed;
# a body of zeros is before the last of them.

$h2->send(join '', map({ bare($_->[0], 0x10, 'authorization', "Bearer $_->[1]",
    $_->[2]) } [ 3, $unknown ], [ 5, $key[1]{key} ], [ 7, $unknown ],
    [ 9, $key[2]{key}, "\0" x 16384 ], [ 11, $key[3]{key} ]));
is(ends($h2, 5), 5, 'HTTP/2, several at once');
gone('HTTP/2, several at once');

# What the client has the connection remember is remembered, and no longer.

$h2->send(bare(13, 0x40, 'x-api-key', $key[0]{key}));
is(ends($h2, 1), 1, 'HTTP/2, a header that is remembered');
ok(defined $t->leak(WorkerMemory::writable($worker)),
    'HTTP/2, it is in the table of the connection');
$h2->close;
gone('HTTP/2, a table whose connection is closed');

# The whole image.

my $image = WorkerMemory::image($worker, $t->{dir});

SKIP: {
    skip 'there is no gcore', 2 unless defined $image;

    cmp_ok(length $image, '>', 8 << 20, 'a core file by gcore');
    is($t->leak($image), undef, 'no piece of a key in it');
}

$c->close;
gone('connections that are closed');

kill 'TERM', $server;
waitpid $server, 0;
$server = 0;

$t->done;
