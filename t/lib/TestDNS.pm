package TestDNS;

# (C) ngx_apikey_module contributors

# A name server for which every name is this machine, but those in "unknown".
# A message is as in RFC 1035, 4.1.
#
#   my $dns = TestDNS->new(unknown => qr/nowhere/);
#   my $dns = TestDNS->new(file => $path);      the file holds the address
#   $dns->{port}

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();


sub new {
    my ($class, %opt) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Proto => 'udp') or die "no port for names: $!\n";

    my $self = bless { unknown => qr/^nowhere/, %opt, owner => $$,
        port => $socket->sockport }, $class;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);

        while (my $from = $socket->recv(my $query, 512)) {
            my $answer = $self->_answer($query) or next;
            $socket->send($answer, 0, $from);
        }

        POSIX::_exit(0);
    }

    $self->{pid} = $pid;

    return $self;
}


sub _answer {
    my ($self, $query) = @_;

    my ($id, undef, $questions) = unpack 'n3', $query;

    return undef if length $query < 17 || $questions != 1;

    my $name = join '.', unpack '(C/a)*', substr $query, 12;
    my $end = index($query, "\0", 12) + 5;
    my $question = substr $query, 12, $end - 12;
    my $type = unpack 'n', substr $question, -4;

    return pack('n6', $id, 0x8183, 1, 0, 0, 0) . $question
        if $name =~ $self->{unknown};

    my $record = $type == 1
        ? pack('n3Nn', 0xc00c, 1, 1, 1, 4) . $self->_address : '';

    return pack('n6', $id, 0x8180, 1, length $record ? 1 : 0, 0, 0)
        . $question . $record;
}


sub _address {
    my ($self) = @_;

    return "\x7f\0\0\1" unless defined $self->{file};

    open my $fh, '<', $self->{file} or die "$self->{file}: $!\n";
    my $text = <$fh>;
    chomp $text;

    return pack 'C4', split /\./, $text;
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $!, $@);

    if ($$ == $self->{owner} && $self->{pid}) {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
    }
}


1;
