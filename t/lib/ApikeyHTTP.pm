package ApikeyHTTP;

# (C) ngx_apikey_module contributors

# An HTTP/1.x client of exact bytes, for tests.  Every wait has a deadline.
#
#   my $c = ApikeyHTTP->connect($port, timeout => 10);
#   $c->send($bytes);
#   my $r = $c->response(head => 1);        undef: closed, or nothing in time
#   $c->closed                              whether the peer closed
#   $c->reset                               ends the connection with RST
#
#   my $r = ApikeyHTTP->request($port, 'GET', '/', \@headers, $body);
#
#   $r->status $r->reason $r->body $r->json $r->text (all of it, for searches)
#   $r->header($name)  $r->headers($name)   the first value, all values
#   $r->{interim}                           1xx answers that came before it

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes ();

our $TIMEOUT = 10;


sub connect {
    my ($class, $port, %opt) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Proto => 'tcp', Timeout => 5) or return undef;

    setsockopt($s, IPPROTO_TCP, TCP_NODELAY, 1);
    $s->blocking(0);

    return bless { s => $s, buf => '', eof => 0, error => '',
        timeout => $opt{timeout} || $TIMEOUT }, $class;
}


sub send {
    my ($self, $bytes) = @_;

    my $end = Time::HiRes::time() + $self->{timeout};
    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{s}, $bytes;

        if (defined $n) {
            substr $bytes, 0, $n, '';
            next;
        }

        return 0 unless $!{EAGAIN} || $!{EINTR};
        return 0 unless $self->_wait(1, $end);
    }

    return 1;
}


sub _wait {
    my ($self, $write, $end) = @_;

    my $left = $end - Time::HiRes::time();
    return 0 if $left <= 0;

    my $bits = '';
    vec($bits, fileno($self->{s}), 1) = 1;

    my $n = $write ? select(undef, $bits, undef, $left)
        : select($bits, undef, undef, $left);

    # a signal is no reason to give up

    return $n > 0 || $n < 0 && $!{EINTR};
}


# Reads more into the buffer; false at the end, an error or the deadline.

sub _fill {
    my ($self, $end) = @_;

    while (!$self->{eof}) {
        my $n = sysread $self->{s}, $self->{buf}, 65536, length $self->{buf};

        if (defined $n) {
            return 1 if $n;
            $self->{eof} = 1;

        } elsif ($!{EAGAIN} || $!{EINTR}) {
            return 0 unless $self->_wait(0, $end);

        } else {
            $self->{error} = "$!";
            $self->{eof} = 1;
        }
    }

    return 0;
}


sub response {
    my ($self, %opt) = @_;

    my $end = Time::HiRes::time() + ($opt{timeout} || $self->{timeout});
    my @interim;

    while () {
        my $r = $self->_head($end) or return undef;

        if ($r->status >= 100 && $r->status < 200 && $r->status != 101) {
            push @interim, $r->status;
            return $r if $opt{interim};
            next;
        }

        $r->{interim} = \@interim;

        return $r if $opt{head} || $r->status == 204 || $r->status == 304;
        return $self->_body($r, $end) ? $r : undef;
    }
}


sub _head {
    my ($self, $end) = @_;

    until ($self->{buf} =~ /\r\n\r\n/) {
        return undef unless $self->_fill($end);
    }

    $self->{buf} =~ s/\A(.*?)\r\n\r\n//s;

    my ($line, @lines) = split /\r\n/, $1;
    my ($version, $status, $reason)
        = $line =~ m{^HTTP/(\d(?:\.\d)?) (\d{3})(?: (.*))?$};

    return undef unless defined $status;

    my @headers = map { [ /^([^:]+):\s*(.*?)\s*$/ ] } @lines;

    return ApikeyHTTP::Response->new(version => $version, status => $status,
        reason => $reason, headers => \@headers, head => "$1\r\n\r\n");
}


sub _body {
    my ($self, $r, $end) = @_;

    if (lc($r->header('transfer-encoding') // '') eq 'chunked') {
        while () {
            until ($self->{buf} =~ /\A[0-9a-fA-F]+[^\r\n]*\r\n/) {
                return 0 unless $self->_fill($end);
            }

            my ($line, $digits) = $self->{buf} =~ /\A(([0-9a-fA-F]+).*?\r\n)/s;
            my ($head, $size) = (length $line, hex $digits);

            until (length $self->{buf} >= $head + $size + 2) {
                return 0 unless $self->_fill($end);
            }

            $r->{body} .= substr $self->{buf}, $head, $size;
            substr $self->{buf}, 0, $head + $size + 2, '';

            return 1 if $size == 0;
        }
    }

    my $len = $r->header('content-length');

    if (defined $len) {
        until (length $self->{buf} >= $len) {
            return 0 unless $self->_fill($end);
        }

        $r->{body} = substr $self->{buf}, 0, $len, '';
        return 1;
    }

    while ($self->_fill($end)) { }

    $r->{body} = $self->{buf};
    $self->{buf} = '';

    return $self->{eof};
}


# Whether the peer closes, within the time.

sub closed {
    my ($self, $timeout) = @_;

    my $end = Time::HiRes::time() + ($timeout || $self->{timeout});

    while ($self->_fill($end)) { }

    return $self->{eof};
}


sub close {
    my ($self) = @_;

    CORE::close $self->{s} if $self->{s};
    $self->{s} = undef;
}


sub reset {
    my ($self) = @_;

    setsockopt($self->{s}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);
    $self->close;
}


# The bytes of a request; headers is a list of names and values.

sub bytes {
    my ($method, $uri, $headers, $body, $version) = @_;

    my @h = @{ $headers || [] };
    my $text = "$method $uri HTTP/" . ($version || '1.1') . "\r\n";
    my %has;

    for (my $i = 0; $i < @h; $i += 2) {
        $has{lc $h[$i]} = 1;
        $text .= "$h[$i]: $h[$i + 1]\r\n";
    }

    $text .= "Host: localhost\r\n" unless $has{host};
    $text .= 'Content-Length: ' . length($body) . "\r\n"
        if defined $body && !$has{'content-length'}
            && !$has{'transfer-encoding'};

    return "$text\r\n" . (defined $body ? $body : '');
}


sub request {
    my ($class, $port, $method, $uri, $headers, $body, %opt) = @_;

    my $c = $class->connect($port, %opt) or return undef;

    $c->send(bytes($method, $uri,
        [ @{ $headers || [] }, Connection => 'close' ], $body));

    my $r = $c->response(head => $method eq 'HEAD');
    $c->close;

    return $r;
}


package ApikeyHTTP::Response;

sub new {
    my ($class, %self) = @_;

    return bless { body => '', interim => [], %self }, $class;
}


sub status { return $_[0]{status} }
sub reason { return $_[0]{reason} }
sub body { return $_[0]{body} }
sub text { return $_[0]{head} . $_[0]{body} }


sub headers {
    my ($self, $name) = @_;

    return map { $_->[1] } grep { lc $_->[0] eq lc $name }
        @{ $self->{headers} };
}


sub header {
    my ($self, $name) = @_;

    return ($self->headers($name))[0];
}


sub json {
    my ($self) = @_;

    return scalar eval { JSON::PP->new->utf8->decode($self->{body}) };
}


1;
