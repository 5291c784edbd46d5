package RedisClient;

# (C) ngx_apikey_module contributors

# A connection of the test's own to a server, by its unix socket: RESP2.
#
#   my $c = RedisClient->new($socket, $password);
#   $c->send(@argv);               writes only, so that many can be on their way
#   my $x = $c->reply;             reads one: text, a list, or undef for nil
#   my $x = $c->command(@argv);    both
#
# An error reply dies with its text, "redis: MOVED 1 127.0.0.1:7000\n", and one
# that does not come within a minute with "redis: late\n".

use strict;
use warnings;

use Errno ();
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_RCVTIMEO SO_SNDTIMEO);


sub new {
    my ($class, $socket, $password) = @_;

    my $s = IO::Socket::UNIX->new(Peer => $socket) or die "redis: $!\n";
    my $self = bless { s => $s }, $class;

    setsockopt $s, SOL_SOCKET, $_, pack 'l!l!', 60, 0
        for SO_RCVTIMEO, SO_SNDTIMEO;

    $self->command('AUTH', $password) if defined $password;

    return $self;
}


sub send {
    my ($self, @argv) = @_;

    my $text = '*' . @argv . "\r\n"
        . join '', map { '$' . length($_) . "\r\n$_\r\n" } @argv;

    local $SIG{PIPE} = 'IGNORE';

    while (length $text) {
        my $n = syswrite $self->{s}, $text or die "redis: $!\n";
        substr $text, 0, $n, '';
    }
}


sub reply {
    my ($self) = @_;

    local $!;

    my $s = $self->{s};
    my $line = <$s>;

    die $!{EAGAIN} ? "redis: late\n" : "redis: no reply\n"
        unless defined $line;
    $line =~ s/\r\n\z//;

    my ($type, $rest) = (substr($line, 0, 1), substr $line, 1);

    return $rest if $type =~ /[+:]/;
    die "redis: $rest\n" if $type eq '-';
    return undef if $rest == -1;
    return [ map { $self->reply } 1 .. $rest ] if $type eq '*';

    read $s, my $text, $rest + 2;

    return substr $text, 0, $rest;
}


sub command {
    my ($self, @argv) = @_;

    $self->send(@argv);

    return $self->reply;
}


1;
