package FakeRedis;

# (C) ngx_apikey_module contributors

# Servers that say what a test wants, all in one process of their own: a
# sentinel that lies, a cluster that changes as no real one would.
#
#   my $f = FakeRedis->new(ports => 2, reply => sub {
#       my ($state, $port, @argv) = @_;     argv[0] in upper case
#       return ['a', \1, undef];            what is answered, see below
#   });
#   $f->{ports}                     where they listen
#   $f->set(name => $value)         $state->{name} from now on
#   $f->unset('name')               it is not there any more
#   $f->publish($channel, $text)    to all who subscribed to it
#   $f->clients($port)              how many are connected
#   $f->asked                       what was asked since the last time: a list
#                                   of [ $port, @argv ]
#   $f->stop                        ended with the object otherwise
#
# An answer: text; undef for nil; \N for a number; \"+OK" or \"-ERR ..." for
# those lines; \"mute" for none at all; a list of such.  In what set() carries,
# { '=' => 'text' } is a reference.  What reply() has no answer for (it returns
# an empty list) is answered as by a master without any data.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

use TestProc;


my $json = JSON::PP->new->latin1->allow_nonref;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { ports => [ map { TestProc::free_port() }
        1 .. $opt{ports} || 1 ] }, $class;

    socketpair $self->{control}, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!\n";
    $_->autoflush(1) for $self->{control}, $theirs;

    $self->{pid} = TestProc::child(sub {
        close $self->{control};
        _serve({ ports => $self->{ports}, control => $theirs, conns => {},
            state => $opt{state} || {}, asked => [],
            reply => $opt{reply} || sub { return } });
    });

    close $theirs;
    $self->_tell('wait');

    return $self;
}


sub _tell {
    my ($self, @words) = @_;

    my $control = $self->{control};

    print $control $json->encode(\@words), "\n";

    my $line = <$control> // die "FakeRedis has ended\n";

    return $json->decode($line);
}


sub set { my ($self, @pair) = @_; return $self->_tell('set', @pair) }
sub unset { my ($self, $name) = @_; return $self->_tell('unset', $name) }
sub publish { my ($self, @what) = @_; return $self->_tell('publish', @what) }
sub clients { my ($self, $port) = @_; return $self->_tell('clients', $port) }
sub asked { my ($self) = @_; return @{ $self->_tell('asked') } }


sub encode {
    my ($x) = @_;

    return "\$-1\r\n" unless defined $x;
    return '*' . @$x . "\r\n" . join '', map { encode($_) } @$x
        if ref $x eq 'ARRAY';
    $x = \$x->{'='} if ref $x eq 'HASH';
    return $$x =~ /^[+-]\D/ ? "$$x\r\n" : ":$$x\r\n" if ref $x;
    return '$' . length($x) . "\r\n$x\r\n";
}


# In the child.

sub _serve {
    my ($s) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my %listen = map { my $l = IO::Socket::INET->new(Listen => 64,
        LocalAddr => '127.0.0.1', LocalPort => $_, ReuseAddr => 1)
        or die "$_: $!\n"; $l => [ $l, $_ ] } @{ $s->{ports} };
    my $select = IO::Select->new($s->{control},
        map { $_->[0] } values %listen);

    while (my @ready = $select->can_read) {
        for my $fh (@ready) {
            if ($fh == $s->{control}) {
                my $line = <$fh> // return;
                print $fh $json->encode(_do($s, @{ $json->decode($line) })),
                    "\n";

            } elsif ($listen{$fh}) {
                my $new = $fh->accept or next;
                $select->add($new);
                $s->{conns}{$new} = { fh => $new, port => $listen{$fh}[1],
                    in => '', channels => {} };

            } elsif (!_read($s, $s->{conns}{$fh})) {
                delete $s->{conns}{$fh};
                $select->remove($fh);
                close $fh;
            }
        }
    }
}


sub _do {
    my ($s, $what, @args) = @_;

    if ($what eq 'set') {
        $s->{state}{$args[0]} = $args[1];

    } elsif ($what eq 'unset') {
        delete $s->{state}{$args[0]};

    } elsif ($what eq 'clients') {
        return scalar grep { $_->{port} == $args[0] } values %{ $s->{conns} };

    } elsif ($what eq 'asked') {
        my $asked = $s->{asked};
        $s->{asked} = [];
        return $asked;

    } elsif ($what eq 'publish') {
        for my $c (grep { $_->{channels}{$args[0]} } values %{ $s->{conns} }) {
            syswrite $c->{fh}, encode([ 'message', @args ]);
        }
    }

    return 1;
}


sub _read {
    my ($s, $c) = @_;

    sysread $c->{fh}, $c->{in}, 65536, length $c->{in} or return 0;

    while (my @argv = _command($c)) {
        $argv[0] = uc $argv[0];
        push @{ $s->{asked} }, [ $c->{port}, @argv ];

        my @reply = $s->{reply}->($s->{state}, $c->{port}, @argv);

        @reply = (_usual($c, @argv)) unless @reply;
        next if ref $reply[0] eq 'SCALAR' && ${ $reply[0] } eq 'mute';
        syswrite $c->{fh}, encode($reply[0]);
    }

    return 1;
}


sub _command {
    my ($c) = @_;

    return unless $c->{in} =~ /^\*(\d+)\r\n/;

    my ($n, $at, @argv) = ($1, $+[0]);

    for (1 .. $n) {
        return unless substr($c->{in}, $at) =~ /^\$(\d+)\r\n/;
        $at += $+[0];
        return if length($c->{in}) < $at + $1 + 2;
        push @argv, substr $c->{in}, $at, $1;
        $at += $1 + 2;
    }

    substr $c->{in}, 0, $at, '';

    return @argv;
}


sub _usual {
    my ($c, $name, @args) = @_;

    if ($name eq 'SUBSCRIBE') {
        $c->{channels}{$args[0]} = 1;
        return [ 'subscribe', $args[0], \1 ];
    }

    return %{ $c->{channels} } ? [ 'pong', '' ] : \'+PONG' if $name eq 'PING';
    return [ 'master', \0, [] ] if $name eq 'ROLE';
    return [] if $name eq 'HGETALL';
    return undef if $name eq 'GET';
    return \1 if $name eq 'CLIENT' && uc $args[0] eq 'ID';
    return \'+OK';
}


sub stop {
    my ($self) = @_;

    TestProc::finish(delete $self->{pid}) if $self->{pid};
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);
    $self->stop;
}


1;
