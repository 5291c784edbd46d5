#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what a Redis can say that is no answer: garbage, half a reply, one
# that is too large, too slow or of another kind, a connection that ends.  All
# of it is 503 in time, and the next good answer is served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use ApikeyTest;

my $t = ApikeyTest->new(redis => 0);

my %mode = (
    garbage => "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    zeroes => "\0" x 4096,
    'half a reply' => "*4\r\n\$4\r\nhash\r\n\$10\r\nabc",
    'a huge string' => "*2\r\n\$4\r\nhash\r\n\$2147483647\r\nabc",
    'a long string' => "*2\r\n\$4\r\nhash\r\n\$1000000\r\n" . 'x' x 1000000,
    'a negative length' => "*2\r\n\$-5\r\n",
    'a huge array' => "*2147483647\r\n",
    'a long array' => "*100000\r\n" . "\$1\r\na\r\n" x 100000,
    'a deep array' => "*1\r\n" x 30 . ":1\r\n",
    'RESP3' => "%1\r\n\$4\r\nhash\r\n\$1\r\na\r\n",
    'an error' => "-LOADING Redis is loading the dataset in memory\r\n",
    'moved' => "-MOVED 3999 127.0.0.1:6381\r\n",
    'silence' => '',
    'the end' => undef,
);

# Of another kind: they deny, as what cannot be understood does.

my %odd = (
    'a number' => ":1\r\n",
    'a status' => "+OK\r\n",
    'nil' => "\$-1\r\n",
    'a nil array' => "*-1\r\n",
    'an odd array' => "*3\r\n\$4\r\nhash\r\n\$1\r\na\r\n\$1\r\nb\r\n",
    'numbers in an array' => "*2\r\n:1\r\n:2\r\n",
    'arrays in an array' => "*2\r\n*0\r\n*0\r\n",
);

my $fake = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Proto => 'tcp', Listen => 64, ReuseAddr => 1) or die "listen: $!\n";
my $port = $fake->sockport;
my $what = $t->file('mode', 'good');
my %key = map { $_ => make_key() } 'good', 'slow', keys %mode, keys %odd;
my %record = map { $key{$_}{id} => [ $t->record($key{$_}{key}) ] } keys %key;

$t->secret($_->{key}) for values %key;


# A Redis that says what the file asks for.

sub serve {
    my %in;
    my $select = IO::Select->new($fake);
    my $parent = getppid;

    while (getppid == $parent) {
        for my $s ($select->can_read(1)) {
            if ($s == $fake) {
                $select->add(scalar $fake->accept);
                next;
            }

            my $n = sysread $s, $in{$s}, 65536, length($in{$s} //= '');

            if (!$n || !answer($s, \$in{$s})) {
                $select->remove($s);
                delete $in{$s};
                close $s;
            }
        }
    }
}


sub answer {
    my ($s, $in) = @_;

    while ($$in =~ s/\A\*(\d+)\r\n((?:\$\d+\r\n[^\r\n]*\r\n)+)//) {
        my @argv = $2 =~ /\$\d+\r\n([^\r\n]*)\r\n/g;
        my $mode = $t->read_file('mode');
        my ($id) = ($argv[1] // '') =~ /key:(\w+)$/;
        my $good = '*0' . "\r\n";

        if (uc $argv[0] ne 'HGETALL') {
            syswrite $s, "+OK\r\n";
            next;
        }

        if ($id && $record{$id}) {
            $good = '*' . @{ $record{$id} } . "\r\n" . join '',
                map { '$' . length($_) . "\r\n$_\r\n" } @{ $record{$id} };
        }

        if ($mode eq 'good') {
            syswrite $s, $good;

        } elsif ($mode eq 'slow') {

            # Byte by byte, but in time.

            for my $byte (split //, $good) {
                syswrite $s, $byte;
                select undef, undef, undef, 0.001;
            }

        } else {
            my $text = exists $odd{$mode} ? $odd{$mode} : $mode{$mode};

            return 0 unless defined $text;
            syswrite $s, $text;
        }
    }

    return 1;
}


my $pid = fork;
die "fork: $!\n" unless defined $pid;

if ($pid == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM);
    eval { serve() };
    POSIX::_exit(0);
}

close $fake;

$t->http(<<"EOF")->start;
    apikey_keyring %%KEYRING%%;
    apikey_store redis://127.0.0.1:$port timeout=700ms connect_timeout=700ms;
    apikey_zone keys:1m ttl=10m negative_ttl=1s stale=0s;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF


sub mode { $t->file('mode', $_[0]) }


is($t->with_key('/', $key{good})->status, 200, 'good');

mode('slow');
is($t->with_key('/', $key{slow})->status, 200, 'slow, but in time');

for my $name (sort keys %mode) {
    mode($name);

    my $start = time;
    my $r = $t->with_key('/', $key{$name});

    denied($r, 503, 'auth_unavailable', $name);
    cmp_ok(time - $start, '<', 2.5 * ApikeyTest::slow(), "$name, in time");
    is($t->with_key('/', $key{good})->status, 200, "$name, a cached key");

    mode('good');
    ok(wait_for(sub { $t->with_key('/', $key{$name})->status == 200 }, 10),
        "$name, then a good answer");
}

for my $name (sort keys %odd) {
    mode($name);

    my $r = $t->with_key('/', $key{$name});

    ok($r->status == 503 || $r->status == 401, "$name, denied")
        or diag($r->status);

    mode('good');
    ok(wait_for(sub { $t->with_key('/', $key{$name})->status == 200 }, 10),
        "$name, then a good answer");
}

# Memory is not given to who only announces: a worker stays small.

for my $worker ($t->workers) {
    my ($kb) = ApikeyTest::_read("/proc/$worker/status") =~ /VmHWM:\s+(\d+)/;

    cmp_ok($kb, '<', 300 * 1024, 'the worker is small');
}

kill 'KILL', $pid;
waitpid $pid, 0;

$t->done;
