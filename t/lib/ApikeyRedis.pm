package ApikeyRedis;

# (C) ngx_apikey_module contributors

# A private redis-server for one test file: on a unix socket and on a free
# loopback port, in a temporary folder that goes away with it.
#
#   my $r = ApikeyRedis->new;               starts it, waits until it answers
#   my $r = ApikeyRedis->new(dir => $dir, args => ['--maxmemory', '10mb'],
#                            acl => ['user app on >pw ~* +@all'],
#                            start => 0);   all of them optional
#
#   $r->{port} $r->{socket} $r->{dir} $r->{pid}     where it is; pid 0: stopped
#   $r->url  $r->unix_url             for --store and apikey_store
#   $r->cli(@args)                    output of redis-cli, without the newline
#   $r->dump                          every key with all that it holds, as text
#   $r->stop  $r->start               the data is lost, port and socket are kept
#   $r->pause $r->resume              SIGSTOP and SIGCONT
#   $r->log                           what the server wrote
#   ApikeyRedis::free_port()          a free loopback port
#   ApikeyRedis::available()          whether there is a redis-server here
#
# The server is ended when the object goes, by its process id.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes ();

my $main = $$;
my %given;


sub available {
    for my $dir (split /:/, $ENV{PATH} // '') {
        return 1 if -x "$dir/redis-server";
    }

    return 0;
}


# A port that nobody listens on.  One is never given twice; between tests that
# run at once the start is repeated with another where it was taken meanwhile.

sub free_port {
    for (1 .. 100) {
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => 0, Proto => 'tcp', Listen => 1)
            or die "no free port: $!\n";
        my $port = $s->sockport;

        close $s;
        return $port unless $given{$port}++;
    }

    die "no free port\n";
}


sub new {
    my ($class, %opt) = @_;

    my $self = bless { pid => 0, args => $opt{args} || [] }, $class;

    if (defined $opt{dir}) {
        $self->{dir} = $opt{dir};

    } else {
        $self->{tmp} = File::Temp->newdir('apikey-redis-XXXXXX', TMPDIR => 1);
        $self->{dir} = $self->{tmp}->dirname;
    }

    $self->{socket} = "$self->{dir}/redis.sock";
    $self->{logfile} = "$self->{dir}/redis.log";

    if ($opt{acl}) {
        $self->{acl} = "$self->{dir}/users.acl";
        open my $fh, '>', $self->{acl} or die "$self->{acl}: $!\n";
        print $fh "$_\n" for @{ $opt{acl} };
        close $fh or die "$self->{acl}: $!\n";
    }

    $self->{port} = $opt{port} || free_port();
    $self->{fixed} = 1 if $opt{port};

    $self->start unless defined $opt{start} && !$opt{start};

    return $self;
}


sub start {
    my ($self) = @_;

    return $self if $self->{pid};

    for my $try (1 .. 5) {
        $self->_spawn;

        if ($self->_wait_answer) {
            $self->{fixed} = 1;
            return $self;
        }

        $self->stop;
        last if $self->{fixed};
        $self->{port} = free_port();
    }

    die "redis-server does not start:\n" . $self->log . "\n";
}


sub _spawn {
    my ($self) = @_;

    my @cmd = ('redis-server',
        '--port', $self->{port}, '--bind', '127.0.0.1',
        '--unixsocket', $self->{socket}, '--unixsocketperm', '700',
        '--dir', $self->{dir}, '--save', '', '--appendonly', 'no',
        '--daemonize', 'no', '--logfile', $self->{logfile});

    push @cmd, '--aclfile', $self->{acl} if $self->{acl};
    push @cmd, @{ $self->{args} };

    unlink $self->{socket};

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>>', $self->{logfile};
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }

    $self->{pid} = $pid;
}


# Answers, be it with NOAUTH, on both of its addresses.

sub _wait_answer {
    my ($self) = @_;

    my $end = Time::HiRes::time() + 10;

    while (Time::HiRes::time() < $end) {

        if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
            $self->{pid} = 0;
            return 0;
        }

        return 1 if _answers(IO::Socket::UNIX->new(Peer => $self->{socket}))
            && _answers(IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $self->{port}, Timeout => 1));

        Time::HiRes::sleep(0.01);
    }

    return 0;
}


sub _answers {
    my ($s) = @_;

    return 0 unless $s;

    my ($line, $got) = ('', '');

    local $SIG{PIPE} = 'IGNORE';
    syswrite $s, "PING\r\n" or return 0;

    my $bits = '';
    vec($bits, fileno($s), 1) = 1;
    select($bits, undef, undef, 1) or return 0;
    sysread $s, $got, 64 or return 0;

    return $got =~ /^(?:\+PONG|-NOAUTH)/ ? 1 : 0;
}


sub stop {
    my ($self) = @_;

    my $pid = $self->{pid} or return $self;

    $self->{pid} = 0;

    kill 'CONT', $pid;
    kill 'TERM', $pid;

    my $end = Time::HiRes::time() + 5;

    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        if (Time::HiRes::time() > $end) {
            kill 'KILL', $pid;
            waitpid($pid, 0);
            last;
        }

        Time::HiRes::sleep(0.005);
    }

    return $self;
}


sub pause {
    my ($self) = @_;

    kill 'STOP', $self->{pid} if $self->{pid};

    return $self;
}


sub resume {
    my ($self) = @_;

    kill 'CONT', $self->{pid} if $self->{pid};

    return $self;
}


sub cli {
    my ($self, @args) = @_;

    open my $fh, '-|', 'redis-cli', '-s', $self->{socket}, '--raw', @args
        or die "redis-cli: $!\n";
    local $/;
    my $out = <$fh>;
    close $fh;

    $out = '' unless defined $out;
    $out =~ s/\n\z//;

    return $out;
}


sub dump {
    my ($self) = @_;

    my $out = '';

    for my $key (sort split /\n/, $self->cli('--scan')) {
        my $type = $self->cli('TYPE', $key);

        $out .= "$key\n";
        $out .= $self->cli($type eq 'hash' ? 'HGETALL'
            : $type eq 'string' ? 'GET' : 'DUMP', $key) . "\n";
    }

    return $out;
}


sub url {
    my ($self) = @_;

    return "redis://127.0.0.1:$self->{port}";
}


sub unix_url {
    my ($self) = @_;

    return "redis+unix:$self->{socket}";
}


sub log {
    my ($self) = @_;

    open my $fh, '<', $self->{logfile} or return '';
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $!, $@);

    $self->stop if $$ == $main;
}


1;
