package EchoUpstream;

# (C) ngx_apikey_module contributors

# An upstream in a process of its own.  It answers every request with JSON that
# says all that was received, and keeps the same, one object a line, in a file.
#
#   my $e = EchoUpstream->new(dir => $dir, name => 'echo',
#                             reply => sub { my ($req) = @_; ... });
#   $e->{port}
#   $e->requests        list of { method uri version headers length sha256
#                                 connection number }
#   $e->clear           forgets them
#   $e->stop
#
# headers is a list of [ name, value ] in the order received.  reply may return
# [ status, [ [ name, value ], ... ], body ]; what it leaves undefined is as it
# would have been.

use strict;
use warnings;

use Digest::SHA ();
use IO::Poll qw(POLLIN POLLOUT POLLHUP POLLERR);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

my $json = JSON::PP->new->utf8->canonical;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { %opt, owner => $$ }, $class;

    $self->{log} = "$opt{dir}/$opt{name}.log";
    open my $log, '>', $self->{log} or die "$self->{log}: $!\n";

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Proto => 'tcp', Listen => 1024, ReuseAddr => 1)
        or die "no port for the upstream: $!\n";

    $self->{port} = $listen->sockport;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';
        eval { $self->_serve($listen) };
        print STDERR "echo upstream: $@" if $@;
        POSIX::_exit(1);
    }

    $self->{pid} = $pid;

    return $self;
}


sub _serve {
    my ($self, $listen) = @_;

    open my $log, '>>', $self->{log} or die "$self->{log}: $!\n";
    $log->autoflush(1);
    $listen->blocking(0);

    my $poll = IO::Poll->new;
    my $parent = getppid;
    my (%conn, $number);

    $poll->mask($listen => POLLIN);

    # An upstream whose test was killed does not stay behind.

    while (getppid == $parent) {
        $poll->poll(1);

        while (my $s = $listen->accept) {
            $s->blocking(0);
            $conn{fileno $s} = { s => $s, in => '', out => '', n => ++$number,
                requests => 0 };
            $poll->mask($s => POLLIN);
        }

        for my $s ($poll->handles(POLLIN | POLLHUP | POLLERR | POLLOUT)) {
            my $c = $conn{fileno $s} or next;

            next if $self->_step($c, $log);

            $poll->remove($s);
            delete $conn{fileno $s};
            close $s;
        }

        for my $c (values %conn) {
            $poll->mask($c->{s} => length $c->{out} ? POLLIN | POLLOUT
                : POLLIN);
        }
    }
}


# Reads, answers and writes what can be; false: the connection ends.

sub _step {
    my ($self, $c, $log) = @_;

    my $eof;

    while () {
        my $n = sysread $c->{s}, $c->{in}, 65536, length $c->{in};

        next if $n;
        $eof = 1 if defined $n || !($!{EAGAIN} || $!{EINTR});
        last;
    }

    while (!$c->{last} && (my $req = _request($c))) {
        $req->{connection} = $c->{n};
        $req->{number} = ++$c->{requests};
        print $log $json->encode($req), "\n";
        $c->{out} .= $self->_answer($c, $req);
    }

    while (length $c->{out}) {
        my $n = syswrite $c->{s}, $c->{out};

        if (!defined $n) {
            return 0 unless $!{EAGAIN} || $!{EINTR};
            return !$eof;
        }

        substr $c->{out}, 0, $n, '';
    }

    return !$eof && !$c->{last};
}


# A whole request off the buffer.

sub _request {
    my ($c) = @_;

    $c->{in} =~ /\A(.*?)\r\n\r\n/s or return undef;

    my ($head, $size) = ($1, $+[0]);
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $uri, $version) = split / /, $line;
    my @headers = map { [ /^([^:]*):[ \t]*(.*?)[ \t]*$/s ] } @lines;
    my %h = map { lc $_->[0] => $_->[1] } @headers;
    my $body = '';

    if (lc($h{'transfer-encoding'} // '') eq 'chunked') {
        my $at = $size;

        while () {
            pos($c->{in}) = $at;
            $c->{in} =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/g or return undef;

            my ($from, $n) = (pos $c->{in}, hex $1);

            return undef if length $c->{in} < $from + $n + 2;
            $body .= substr $c->{in}, $from, $n;
            $at = $from + $n + 2;
            last if $n == 0;
        }

        $size = $at;

    } elsif ($h{'content-length'}) {
        return undef if length $c->{in} < $size + $h{'content-length'};
        $body = substr $c->{in}, $size, $h{'content-length'};
        $size += $h{'content-length'};
    }

    substr $c->{in}, 0, $size, '';

    return { method => $method, uri => $uri, version => $version,
        headers => \@headers, length => length $body,
        sha256 => Digest::SHA::sha256_hex($body) };
}


sub _answer {
    my ($self, $c, $req) = @_;

    my %h = map { lc $_->[0] => $_->[1] } @{ $req->{headers} };
    my $reply = $self->{reply} ? $self->{reply}->($req) : undef;
    my ($status, $headers, $body) = @{ $reply || [] };

    $status = 200 unless defined $status;
    $headers = [ [ 'Content-Type', 'application/json' ] ] unless $headers;
    $body = $json->encode($req) . "\n" unless defined $body;

    my $keep = $req->{version} eq 'HTTP/1.1'
        && lc($h{connection} // '') ne 'close';

    $c->{last} = 1 unless $keep;

    return "HTTP/1.1 $status Status\r\n"
        . join('', map { "$_->[0]: $_->[1]\r\n" } @$headers)
        . 'Content-Length: ' . length($body) . "\r\n"
        . 'Connection: ' . ($keep ? 'keep-alive' : 'close') . "\r\n\r\n"
        . ($req->{method} eq 'HEAD' ? '' : $body);
}


sub requests {
    my ($self) = @_;

    open my $fh, '<', $self->{log} or return;

    return map { $json->decode($_) } grep { /\n\z/ } <$fh>;
}


sub clear {
    my ($self) = @_;

    truncate $self->{log}, 0;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $!, $@);

    $self->stop if $$ == $self->{owner};
}


1;
