package FaultProxy;

# (C) ngx_apikey_module contributors

# A TCP proxy that does harm, in a process of its own.
#
#   my $p = FaultProxy->new(to => $port);           or the path of a unix socket
#   $p->{port}                              where it listens
#   $p->mode('delay', seconds => 0.2);      from now on, on all connections
#
#   pass                    does no harm; the mode that it starts with
#   refuse                  nobody listens; what is connected stays
#   mute                    accepts, reads nothing, says nothing
#   swallow                 reads requests, and says nothing
#   delay, seconds => S     replies come so much later
#   half                    half of the first piece of a reply, then nothing
#   stall, bytes => N       so much of the replies, then nothing
#   bytes, seconds => S     replies byte by byte, so far apart; 0.001
#   close, bytes => N       so much of the replies, then the end; 0
#   reset, bytes => N       so much of the replies, then RST; 0
#   garbage, text => T      T for each piece of requests; "\0\xff...\r\n"
#   endless, head => T, rate => N, seconds => S     T ("$536870912\r\n"), then
#                           N bytes a second (0: as fast as they are taken), for
#                           so long (10), then nothing
#
# With each mode: new => 1: what is connected keeps the mode that it has;
# match => 'HGETALL': does harm to a connection only when a piece of a request
# has matched this pattern, its reply included.  "N bytes" count from there; of
# no bytes: a new connection ends at once, one that is there at its request.
#
#   $p->cut  $p->cut('reset')   ends all connections, with FIN or RST
#   $p->stats                   { connections, open, requests, replies }: how
#                               many were accepted, and are there; bytes from
#                               clients, and to them
#   $p->url                     redis://127.0.0.1:PORT
#   $p->stop                    ended with the object otherwise

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER AF_UNIX SOCK_STREAM
    PF_UNSPEC);
use Time::HiRes ();

use TestProc;


my $json = JSON::PP->new->latin1;
my %modes = map { $_ => 1 } qw(pass refuse mute swallow delay half stall bytes
    close reset garbage endless);


sub new {
    my ($class, %opt) = @_;

    my $self = bless { to => $opt{to}, port => TestProc::free_port() }, $class;

    socketpair $self->{control}, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!\n";
    $_->autoflush(1) for $self->{control}, $theirs;

    $self->{pid} = TestProc::child(sub {
        close $self->{control};
        _serve({ to => $opt{to}, port => $self->{port}, control => $theirs,
            mode => { name => 'refuse' }, conns => {}, now => 0,
            stats => { connections => 0, requests => 0, replies => 0 } });
    });

    close $theirs;
    $self->mode('pass');

    return $self;
}


sub _ask {
    my ($self, $what) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $line;

    print { $self->{control} } $json->encode($what), "\n"
        and defined($line = readline $self->{control})
        or die "the proxy has ended\n";

    my $reply = $json->decode($line);

    die "proxy: $reply->{error}\n" if $reply->{error};

    return $reply;
}


sub mode {
    my ($self, $name, %opt) = @_;

    die "FaultProxy: there is no mode \"$name\"\n" unless $modes{$name};
    $self->_ask({ %opt, do => 'mode', name => $name });

    return $self;
}


sub cut {
    my ($self, $how) = @_;

    $self->_ask({ do => 'cut', how => $how || 'close' });

    return $self;
}


sub stats {
    my ($self) = @_;

    return $self->_ask({ do => 'stats' });
}


sub url {
    my ($self) = @_;

    return "redis://127.0.0.1:$self->{port}";
}


sub stop {
    my ($self) = @_;

    TestProc::finish(delete $self->{pid}) if $self->{pid};
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $!, $@);

    $self->stop;
}


# The process.  A connection is a hash: client, server, and queues of what is
# on its way to them, each a list of [ time, bytes ].

sub _serve {
    my ($p) = @_;

    $SIG{PIPE} = 'IGNORE';

    while () {
        my ($r, $w, $wait) = _interests($p);
        my ($can_read, $can_write) = IO::Select->select($r, $w, undef, $wait);

        $p->{now} = Time::HiRes::time();

        for my $s (@{ $can_read || [] }) {
            if ($s == $p->{control}) {
                _command($p) or return;

            } elsif ($p->{listen} && $s == $p->{listen}) {
                _accept($p);

            } else {
                _read($p, $s);
            }
        }

        _pump($p, $_) for values %{ $p->{conns} };
    }
}


sub _interests {
    my ($p) = @_;

    my ($r, $w) = (IO::Select->new($p->{control}), IO::Select->new);
    my $next;

    $r->add($p->{listen}) if $p->{listen};

    for my $c (values %{ $p->{conns} }) {
        $r->add($c->{client}) unless _mode($c) eq 'mute' || $c->{over};
        $r->add($c->{server}) if $c->{server} && !$c->{stalled};

        for my $end ('client', 'server') {
            my $first = $c->{$end} && $c->{"to_$end"}[0] or next;

            if ($first->[0] <= Time::HiRes::time()) {
                $w->add($c->{$end});

            } elsif (!$next || $first->[0] < $next) {
                $next = $first->[0];
            }
        }

        $next = 0 if $c->{ending} && !@{ $c->{to_client} };
    }

    my $wait = defined $next ? $next - Time::HiRes::time() : undef;

    return ($r, $w, defined $wait && $wait < 0 ? 0 : $wait);
}


sub _mode { return $_[0]{on} ? $_[0]{mode}{name} : 'pass' }


sub _command {
    my ($p) = @_;

    my $line = readline $p->{control};
    return 0 unless defined $line;

    my $what = $json->decode($line);
    my $reply = {};

    if ($what->{do} eq 'mode') {
        $p->{mode} = $what;
        $reply->{error} = _listen($p) ? undef : "cannot listen: $!";

        if (!$what->{new}) {
            _begin($_, $what) for values %{ $p->{conns} };
        }

    } elsif ($what->{do} eq 'cut') {
        _end($p, $_, $what->{how}) for values %{ $p->{conns} };

    } else {
        $reply = { %{ $p->{stats} }, open => scalar keys %{ $p->{conns} } };
    }

    print { $p->{control} } $json->encode($reply), "\n";

    return 1;
}


sub _listen {
    my ($p) = @_;

    if ($p->{mode}{name} eq 'refuse') {
        delete $p->{listen};
        return 1;
    }

    return $p->{listen} ||= IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $p->{port}, Proto => 'tcp', Listen => 128, ReuseAddr => 1,
        Blocking => 0);
}


# A mode begins on a connection; what was said before it is forgotten.

sub _begin {
    my ($c, $mode) = @_;

    @{$c}{qw(mode on said stalled endless)} = ($mode, !$mode->{match}, 0, 0,
        undef);
}


sub _accept {
    my ($p) = @_;

    my $client = $p->{listen}->accept or return;
    my $c = { client => $client, to_client => [], to_server => [] };

    $p->{stats}{connections}++;
    _begin($c, $p->{mode});

    $c->{server} = $p->{to} =~ /^\d+$/
        ? IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->{to})
        : IO::Socket::UNIX->new(Peer => $p->{to});

    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, pack 'i', 1;
    $client->blocking(0);
    $c->{server}->blocking(0) if $c->{server};

    $p->{conns}{$client} = $c;
    $p->{by}{$_} = $c for grep { $_ } $client, $c->{server};

    _end($p, $c, 'close') unless $c->{server};
    _reset_now($p, $c) if $c->{server};
}


# "reset" and "close" of no bytes do not wait for a reply.

sub _reset_now {
    my ($p, $c) = @_;

    return unless $c->{on} && !$c->{mode}{match} && !$c->{mode}{bytes}
        && $c->{mode}{name} =~ /^(?:close|reset)$/;

    _end($p, $c, $c->{mode}{name});
}


sub _end {
    my ($p, $c, $how) = @_;

    if ($how eq 'reset') {
        setsockopt $c->{client}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    }

    delete $p->{by}{$_} for grep { $_ } $c->{client}, $c->{server};
    delete $p->{conns}{$c->{client}};
    close $_ for grep { $_ } delete @{$c}{qw(client server)};
}


sub _read {
    my ($p, $s) = @_;

    my $c = $p->{by}{$s} or return;
    my $n = sysread $s, my $bytes, 65536;

    return if !defined $n && $!{EAGAIN};

    if ($s == $c->{client}) {
        return _end($p, $c, 'close') unless $n;
        $p->{stats}{requests} += $n;
        _request($p, $c, $bytes);
        return;
    }

    if (!$n) {
        # what is still on its way arrives before the end

        close delete $c->{server};
        $c->{ending} = 'close';
        return;
    }

    _reply($p, $c, $bytes);
}


sub _request {
    my ($p, $c, $bytes) = @_;

    my $m = $c->{mode};

    $c->{on} = 1 if !$c->{on} && $bytes =~ /$m->{match}/;

    my $name = _mode($c);

    if ($name eq 'garbage') {
        _queue($c, 0, $m->{text} // "\0\xff\x80garbage\n\r\n" x 4);

    } elsif ($name eq 'endless') {
        return if $c->{endless};
        _queue($c, 0, $m->{head} // "\$536870912\r\n");
        $c->{endless} = { from => $p->{now}, sent => 0,
            end => $p->{now} + ($m->{seconds} // 10) };

    } elsif ($name !~ /^(?:mute|swallow)$/) {
        push @{ $c->{to_server} }, [ 0, $bytes ];
    }

    if ($name =~ /^(?:close|reset)$/ && !$m->{bytes}) {
        $c->{ending} = $name;
    }
}


sub _queue {
    my ($c, $time, $bytes) = @_;

    push @{ $c->{to_client} }, [ $time, $bytes ] if length $bytes;
}


sub _reply {
    my ($p, $c, $bytes) = @_;

    my ($m, $name) = ($c->{mode}, _mode($c));

    return if $name =~ /^(?:mute|swallow|garbage|endless)$/;

    if ($name eq 'delay') {
        return _queue($c, $p->{now} + $m->{seconds}, $bytes);
    }

    if ($name eq 'bytes') {
        my $last = $c->{to_client}[-1];
        my $time = $last && $last->[0] > $p->{now} ? $last->[0] : $p->{now};

        _queue($c, $time += $m->{seconds} // 0.001, $_)
            for split //, $bytes;
        return;
    }

    return _queue($c, 0, $bytes) if $name =~ /^(?:pass|refuse)$/;

    my $limit = $name eq 'half' ? int(length($bytes) / 2) : $m->{bytes} || 0;

    $bytes = substr $bytes, 0, $limit - $c->{said}
        if length $bytes > $limit - $c->{said};
    $c->{said} += length $bytes;
    _queue($c, 0, $bytes);

    return if $c->{said} < $limit;

    $c->{stalled} = 1;
    $c->{ending} = $name if $name =~ /^(?:close|reset)$/;
}


# Writes what is due, a piece at a time where the pieces matter.

sub _pump {
    my ($p, $c) = @_;

    for my $end ('server', 'client') {
        my $queue = $c->{"to_$end"};

        while (@$queue && $c->{$end} && $queue->[0][0] <= $p->{now}) {
            my $n = syswrite $c->{$end}, $queue->[0][1];

            if (!defined $n) {
                last if $!{EAGAIN};
                _end($p, $c, 'close');
                return;
            }

            $p->{stats}{replies} += $n if $end eq 'client';
            substr $queue->[0][1], 0, $n, '';
            shift @$queue unless length $queue->[0][1];
        }
    }

    _trickle($p, $c) if $c->{endless};
    _end($p, $c, $c->{ending}) if $c->{ending} && !@{ $c->{to_client} };
}


# More of what never ends, where all that was before has been taken.

sub _trickle {
    my ($p, $c) = @_;

    my $e = $c->{endless};
    my $rate = $c->{mode}{rate} || 0;

    return if @{ $c->{to_client} };
    return delete $c->{endless} if $p->{now} > $e->{end};

    my $n = $rate ? int(($p->{now} - $e->{from}) * $rate) - $e->{sent} : 65536;

    $n = 65536 if $n > 65536;
    $e->{sent} += $n;

    # nothing is due yet: again when one is

    _queue($c, $n ? 0 : $p->{now} + 1 / $rate, 'x' x ($n || 1));
    $e->{sent}++ unless $n;
}


1;
