#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for a request that is sent once more while things go wrong: an answer
# before the end of the body, connections that end, keys that are not fresh, and
# other protocols.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use Test::More;
use ApikeyTest;
use TestProc;

my $tmp = File::Temp->newdir('apikey-again-XXXXXX', TMPDIR => 1);

# What it does with a key is told by the key's last letters, and the path.

sub http {
    my ($c) = @_;

    $c->{in} =~ /\A(.*?)\r\n\r\n/s or return undef;

    my ($head, $size) = ($1, $+[0]);
    my ($path) = $head =~ m{^\w+ (\S+)};
    my ($key) = $head =~ /-([ab])\d+\r?$/m;
    my ($length) = $head =~ /^content-length: (\d+)/mi;
    my $whole = length($c->{in}) >= $size + ($length // 0);

    if ($key eq 'a') {

        # not before a part of the body is on its way

        return undef if $path =~ /early/ && length($c->{in}) == $size;
        return undef if $path !~ /early/ && !$whole;

        # it goes on to read what it does not want

        $c->{in} = $whole ? substr($c->{in}, $size + ($length // 0)) : '';

        if ($path =~ /old/) {
            $c->{last} = 1;
            return "HTTP/1.0 401 No\r\n\r\nno";
        }

        return "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";
    }

    return undef if !$whole;

    my $body = substr $c->{in}, $size, $length // 0;

    $c->{in} = substr $c->{in}, $size + ($length // 0);

    if ($path =~ /dies/) {
        $c->{last} = 1;
        return '';
    }

    $body = Digest::SHA::sha256_hex($body) . " $c->{n}\n";

    return "HTTP/1.1 200 OK\r\nContent-Length: " . length($body)
        . "\r\n\r\n$body";
}


sub record {
    my ($type, $text) = @_;

    return pack('CCnnCC', 1, $type, 1, length $text, 0, 0) . $text;
}


sub fastcgi {
    my ($c) = @_;

    # the end of its input

    $c->{in} =~ /\x01\x05\x00\x01\x00\x00..\z/s or return undef;
    $c->{last} = 1;

    my ($key) = $c->{in} =~ /sk-provider-\w+-([ab])/;

    return record(6, ($key eq 'a' ? "Status: 401\r\n" : '')
        . "Content-Type: text/plain\r\n\r\n$key\n") . record(6, '')
        . record(3, "\0" x 8);
}


sub uwsgi {
    my ($c) = @_;

    my ($key) = $c->{in} =~ /sk-provider-\w+-([ab])/ or return undef;

    $c->{last} = 1;

    return 'HTTP/1.1 ' . ($key eq 'a' ? '401 No' : '200 OK')
        . "\r\nContent-Type: text/plain\r\n\r\n$key\n";
}


# A server of one of these; each request that it has seen is a letter in a file.

sub server {
    my ($name, $handler) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Listen => 16) or die "$!\n";

    TestProc::child(sub {
        my $select = IO::Select->new($listen);
        my (%c, $n);

        local $SIG{PIPE} = 'IGNORE';

        while () {
            for my $s ($select->can_read(60)) {
                if ($s == $listen) {
                    my $new = $listen->accept or next;
                    $c{$new} = { in => '', n => ++$n };
                    $select->add($new);
                    next;
                }

                my $c = $c{$s};
                my $got = sysread $s, $c->{in}, 65536, length $c->{in};

                while ($got && defined(my $answer = $handler->($c))) {
                    open my $fh, '>>', "$tmp/$name" or die;
                    print $fh "x\n";
                    close $fh;
                    syswrite $s, $answer;
                    last if $c->{last};
                }

                next if $got && !$c->{last};
                delete $c{$s};
                $select->remove($s);
                close $s;
            }
        }
    });

    return $listen->sockport;
}


sub sent {
    my ($name) = @_;

    open my $fh, '<', "$tmp/$name" or return 0;

    return scalar(() = <$fh>);
}


my %port = (HTTP => server('http', \&http),
    FASTCGI => server('fastcgi', \&fastcgi), UWSGI => server('uwsgi', \&uwsgi));
my $t = ApikeyTest->new;

$t->http(<<'EOF' =~ s/%%(HTTP|FASTCGI|UWSGI)%%/$port{$1}/ger);
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%%;
    apikey_zone keys:1m ttl=1s usage=off;

    upstream kept {
        server 127.0.0.1:%%HTTP%%;
        keepalive 4;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai;
        add_header X-Slot $apikey_slot always;
        add_header X-Reason $apikey_reason always;
        add_header X-Tried $upstream_status always;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        client_max_body_size 8m;

        location / {
            proxy_pass http://kept;
        }

        location /unbuffered {
            proxy_request_buffering off;
            proxy_pass http://kept;
        }

        location /fastcgi {
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_pass 127.0.0.1:%%FASTCGI%%;
        }

        location /uwsgi {
            uwsgi_pass 127.0.0.1:%%UWSGI%%;
        }

        location /index/ {
            root %%DIR%%;
        }
    }
EOF

my %key = map { $_ => $t->create_key(owner => $_)->{key} } qw(two one);


# A new secret in the slot "a", which is refused.

my $n = 0;

sub put {
    my ($owner, $slot) = @_;

    $t->upstream_key('openai', 'sk-provider-'
        . join('', map { chr 65 + int rand 26 } 1 .. 32) . "-$slot" . ++$n,
        owner => $owner, slot => $slot);
}


sub ask {
    my ($who, $uri, %opt) = @_;

    return $t->request($opt{method} // 'GET', $uri,
        [ Authorization => "Bearer $key{$who}" ], body => $opt{body});
}


# Another one is there where it is tried and refused once more.

sub again {
    my ($uri, %opt) = @_;

    my $r;

    put('two', 'a');
    wait_for(sub {
        $r = ask('two', $uri, %opt);
        return ($r->header('X-Tried') // '') =~ /^401|502/;
    }, 10);

    return $r;
}


put('two', 'a');
put('two', 'b');
put('one', 'a');
$t->start;

# An answer in the midst of the body.

for my $length (10, 1_000_000, 4_000_000) {
    my $body = 'x' x $length;
    my $r = again('/early', method => 'POST', body => $body);
    my $sha = Digest::SHA::sha256_hex($body);

    is($r->status, 200, "early, $length");
    is($r->header('X-Tried'), '401, 200', "early, $length, both are told");
    like($r->body, qr/^$sha /, "early, $length, the whole body");
}

my $r = again('/unbuffered/early', method => 'POST', body => 'x' x 1_000_000);

is($r->status, 502, 'early, unbuffered');
like($r->header('X-Reason'), qr/^upstream_auth_failed$|^$/,
    'early, unbuffered, the reason');

# HTTP/1.0, without a length.

is(again('/old')->header('X-Tried'), '401, 200', 'HTTP/1.0');

# The connection ends where it is sent once more: not a third time.

for my $method (qw(POST)) {
    put('two', 'a');

    my ($r, $before);

    wait_for(sub {
        $before = sent('http');
        $r = ask('two', '/dies', method => $method, body => 'x' x 10);
        return ($r->header('X-Tried') // '') =~ /^401/;
    }, 10);

    is($r->status, 502, "$method, the connection ends");
    is($r->header('X-Tried'), '401, 502', "$method, both are told");
    is(sent('http') - $before, 2, "$method, it was sent twice");
}

# Other protocols.

for my $uri (qw(/fastcgi /uwsgi)) {
    for my $method (qw(GET POST)) {
        my $r = again($uri, method => $method,
            body => $method eq 'POST' ? 'x' x 100 : undef);

        is($r->status, 200, "$uri, $method");
        is($r->header('X-Tried'), '401, 200', "$uri, $method, both are told");
        is($r->body, "b\n", "$uri, $method, the other key");
    }
}

# A client that goes away meanwhile.

for (1 .. 5) {
    put('two', 'a');

    my $c = $t->connect;

    $c->send(ApikeyHTTP::bytes('POST', '/early',
        [ Authorization => "Bearer $key{two}" ], 'x' x 500_000));
    $c->close;
}

# No upstream.

mkdir "$t->{dir}/index";
$t->file('index/x', "x\n");
is(ask('two', '/index/x')->body, "x\n", 'a file');
is(ask('two', '/index/')->status, 403, 'no index');
is(ask('two', '/index/y')->status, 404, 'no file');
is(again('/')->header('X-Tried'), '401, 200', 'it goes on');

$t->done;
