package JwksServer;

# (C) ngx_apikey_module contributors

# An issuer: a server that says what the keys are, over TLS with a certificate
# of its own authority, or without.
#
#   my $s = JwksServer->new(dir => $dir, tls => 1, host => 'issuer.test');
#   $s->say($text, %how);     what it says from now on; see _answer()
#   $s->fetches               how often it was asked, with the answers' paths
#   $s->stop; $s->start;      on the same port
#   $s->{ca}                  the authority's certificate
#   $s->uri('/path')

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::SSL ();
use JSON::PP ();
use POSIX ();

my $json = JSON::PP->new->utf8->canonical;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { host => 'issuer.test', tls => 1, name => 'issuer',
        address => '127.0.0.1', %opt, owner => $$ }, $class;

    $self->{base} = "$self->{dir}/$self->{name}";
    $self->_certificates if $self->{tls};
    $self->say('{"keys":[]}');
    $self->_listen(0);
    $self->start;

    return $self;
}


sub uri {
    my ($self, $path) = @_;

    return ($self->{tls} ? 'https' : 'http')
        . "://$self->{host}:$self->{port}" . ($path // '/jwks.json');
}


sub _run {
    my $line = join ' ', @_;

    system("$line >/dev/null 2>&1") == 0 or die "$line: failed\n";
}


sub _certificates {
    my ($self) = @_;

    my $base = $self->{base};
    my $san = $self->{san} // "DNS:$self->{host}";

    $self->{ca} = "$base.ca.pem";

    _run('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256',
        '-nodes -days 2 -subj', "'/CN=test authority'", '-keyout',
        "$base.ca.key", '-out', $self->{ca}, '-addext',
        "'basicConstraints=critical,CA:TRUE'");

    _run('openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes',
        "-subj '/CN=issuer' -keyout $base.key -out $base.csr");

    open my $fh, '>', "$base.ext" or die "$base.ext: $!\n";
    print $fh "subjectAltName=$san\n";
    close $fh;

    _run("openssl x509 -req -in $base.csr -days 2 -CA $self->{ca}",
        "-CAkey $base.ca.key -CAcreateserial -extfile $base.ext",
        "-out $base.pem");
}


sub _listen {
    my ($self, $port) = @_;

    $self->{socket} = IO::Socket::INET->new(LocalAddr => $self->{address},
        LocalPort => $port, Listen => 128, ReuseAddr => 1)
        or die "an issuer cannot listen: $!\n";

    $self->{port} = $self->{socket}->sockport;
}


# How it answers: status, body, and what _answer() knows.

sub say {
    my ($self, $body, %how) = @_;

    my $file = "$self->{base}.says";

    open my $fh, '>', "$file.new" or die "$file: $!\n";
    print $fh $json->encode({ body => $body, %how });
    close $fh;

    rename "$file.new", $file or die "$file: $!\n";
}


sub start {
    my ($self) = @_;

    $self->_listen($self->{port}) unless $self->{socket};

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';

        # one at a time is enough, and none may hold up the next for long

        while (my $c = $self->{socket}->accept) {
            eval {
                local $SIG{ALRM} = sub { die "late\n" };
                alarm 20;
                $self->_serve($c);
                alarm 0;
            };
            close $c;
        }

        POSIX::_exit(0);
    }

    $self->{pid} = $pid;
    close $self->{socket};
    delete $self->{socket};
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub _serve {
    my ($self, $c) = @_;

    if ($self->{tls}) {
        IO::Socket::SSL->start_SSL($c, SSL_server => 1,
            SSL_cert_file => "$self->{base}.pem",
            SSL_key_file => "$self->{base}.key") or return;
    }

    my $request = '';

    while ($request !~ /\r\n\r\n/) {
        sysread $c, $request, 4096, length $request or return;
    }

    my ($path) = $request =~ m{^GET (\S+) HTTP/1\.1\r\n} or return;

    open my $log, '>>', "$self->{base}.log" or die;
    syswrite $log, "$path " . ($request =~ /^Host: (\S+)/mi)[0] . "\n";
    close $log;

    open my $fh, '<', "$self->{base}.says" or die;
    local $/;
    my $how = $json->decode(<$fh>);

    _answer($c, $how);
}


sub _answer {
    my ($c, $how) = @_;

    select undef, undef, undef, $how->{delay} if $how->{delay};

    my $body = $how->{body};
    my $head = 'HTTP/1.1 ' . ($how->{status} // 200) . " X\r\n"
        . "Content-Type: application/json\r\n"
        . join('', map { "$_\r\n" } @{ $how->{headers} || [] });

    if ($how->{raw}) {
        $head = '';

    } elsif ($how->{chunked}) {
        my $n = $how->{chunked};

        $body =~ s/(.{1,$n})/sprintf("%x;a=b\r\n%s\r\n", length $1, $1)/ges;
        $body .= "0\r\nTrailer: x\r\n\r\n" unless $how->{cut};
        $head .= "Transfer-Encoding: chunked\r\n\r\n";

    } elsif ($how->{close}) {
        $head .= "\r\n";

    } else {
        $head .= 'Content-Length: ' . ($how->{length} // length $body)
            . "\r\n\r\n";
    }

    my $text = $head . $body;

    # byte by byte, or in pieces

    my $piece = $how->{piece} || 65536;

    while (length $text) {
        my $n = syswrite $c, substr($text, 0, $piece) or return;
        substr $text, 0, $n, '';
        select undef, undef, undef, $how->{pause} if $how->{pause};
    }

    # it stays open for who does not know where the end is

    select undef, undef, undef, $how->{linger} if $how->{linger};
}


sub fetches {
    my ($self) = @_;

    open my $fh, '<', "$self->{base}.log" or return ();
    chomp(my @lines = <$fh>);

    return @lines;
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $!, $@);
    $self->stop if $$ == $self->{owner};
}


1;
