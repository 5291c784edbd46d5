package RedisNode;

# (C) ngx_apikey_module contributors

# One process of redis-server, on a unix socket and on a loopback port: what
# ApikeyRedis, ApikeySentinel and ApikeyCluster are made of.
#
#   my $n = RedisNode->new(dir => $dir);        starts it, waits for its answer
#       args => ['--maxmemory', '10mb']         more of its arguments
#       acl => ['user app on >pw ~* +@all']     a file of users
#       password => 'pw'                        its own and its master's
#       tls => $tls, clients => 'yes'           a RedisTLS; who shall have a
#                                               certificate; both ports answer
#       plain => 0                              TLS only
#       cert => 'name'                          another certificate of $tls
#       bus => 1                                its bus port is free too
#       conf => "sentinel ...\n"                a configuration file's inside
#       sentinel => 1                           is a sentinel
#       port => N, start => 0
#
#   $n->{dir} $n->{socket} $n->{pid}            pid 0: stopped
#   $n->{port} $n->{tls_port}                   the same where plain => 0
#   $n->url $n->unix_url $n->tcp_url $n->socket_url $n->tls_url
#                           words of a store; see ApikeyRedis
#   $n->cli(@args)          output of redis-cli, without the newline
#   $n->command(@argv) $n->send(@argv) $n->reply          as RedisClient
#   $n->calls('hgetall')    how often it has run a command
#   $n->dump                every key with all that it holds, as text
#   $n->stop $n->start      the data is lost, the ports are kept
#   $n->kill                SIGKILL
#   $n->pause $n->resume    SIGSTOP and SIGCONT
#   $n->log                 what the server wrote

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use Time::HiRes ();

use RedisClient;
use TestProc;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { args => [], plain => 1, %opt, pid => 0 }, $class;

    if (!defined $self->{dir}) {
        $self->{tmp} = File::Temp->newdir('apikey-redis-XXXXXX', TMPDIR => 1);
        $self->{dir} = $self->{tmp}->dirname;
    }

    mkdir $self->{dir};

    $self->{socket} = "$self->{dir}/redis.sock";
    $self->{logfile} = "$self->{dir}/redis.log";
    $self->{aclfile} = $self->_file('users.acl', join '', map { "$_\n" }
        @{ $self->{acl} }) if $self->{acl};
    $self->{conffile} = $self->_file('redis.conf', $self->{conf})
        if defined $self->{conf};

    $self->{fixed} = 1 if $opt{port};
    $self->_ports($opt{port});
    $self->start unless defined $opt{start} && !$opt{start};

    return $self;
}


sub _file {
    my ($self, $name, $text) = @_;

    my $path = "$self->{dir}/$name";

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";

    return $path;
}


sub _ports {
    my ($self, $port) = @_;

    $self->{port} = $port || ($self->{bus} ? TestProc::free_port_pair()
        : TestProc::free_port());

    $self->{tls_port} = !$self->{tls} ? 0
        : $self->{plain} ? TestProc::free_port() : $self->{port};
}


sub start {
    my ($self) = @_;

    return $self if $self->{pid};

    for my $try (1 .. 5) {
        unlink $self->{socket};
        $self->{pid} = TestProc::spawn([ $self->_command ],
            out => $self->{logfile});

        if ($self->_wait_answer) {
            $self->{fixed} = 1;
            return $self;
        }

        $self->stop;
        last if $self->{fixed};
        $self->_ports;
    }

    die "redis-server does not start:\n" . $self->log . "\n";
}


sub _command {
    my ($self) = @_;

    my @cmd = ('redis-server');

    push @cmd, $self->{conffile} if $self->{conffile};
    push @cmd, '--sentinel' if $self->{sentinel};

    push @cmd, '--port', $self->{plain} ? $self->{port} : 0,
        '--bind', '127.0.0.1', '--unixsocket', $self->{socket},
        '--unixsocketperm', '700', '--dir', $self->{dir},
        '--daemonize', 'no', '--logfile', $self->{logfile};

    push @cmd, '--save', '', '--appendonly', 'no' unless $self->{sentinel};
    push @cmd, '--tls-port', $self->{tls_port},
        $self->{tls}->server_args($self->{clients}, $self->{cert})
        if $self->{tls};
    push @cmd, '--requirepass', $self->{password}
        if defined $self->{password};
    push @cmd, '--masterauth', $self->{password}
        if defined $self->{password} && !$self->{sentinel};
    push @cmd, '--aclfile', $self->{aclfile} if $self->{aclfile};

    return (@cmd, @{ $self->{args} });
}


# Answers, be it with NOAUTH, on all of its addresses.

sub _wait_answer {
    my ($self) = @_;

    my $end = Time::HiRes::time() + 10;

    while (Time::HiRes::time() < $end) {

        if (!TestProc::alive($self->{pid})) {
            $self->{pid} = 0;
            return 0;
        }

        return 1 if $self->_answers;
        Time::HiRes::sleep(0.01);
    }

    return 0;
}


sub _answers {
    my ($self) = @_;

    for my $port ($self->{port}, $self->{tls_port} || ()) {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
            Timeout => 1) or return 0;
    }

    return 1 if eval { RedisClient->new($self->{socket})->command('PING') };
    return $@ =~ /^redis: (?:NOAUTH|NOPERM)/ ? 1 : 0;
}


sub stop {
    my ($self) = @_;

    my $pid = $self->{pid} or return $self;

    $self->{pid} = $self->{paused} = 0;
    TestProc::finish($pid);

    return $self;
}


sub kill {
    my ($self) = @_;

    my $pid = $self->{pid} or return $self;

    $self->{pid} = $self->{paused} = 0;
    TestProc::finish($pid, 'KILL');

    return $self;
}


sub pause {
    my ($self) = @_;

    CORE::kill('STOP', $self->{pid}) if $self->{pid};
    $self->{paused} = 1;

    return $self;
}


sub resume {
    my ($self) = @_;

    CORE::kill('CONT', $self->{pid}) if $self->{pid};
    $self->{paused} = 0;

    return $self;
}


sub cli {
    my ($self, @args) = @_;

    return $self->run_cli('-s', $self->{socket}, '--raw', @args);
}


# The same by TCP or TLS: what redis-cli needs to follow others' addresses.

sub cli_tcp {
    my ($self, @args) = @_;

    return $self->run_cli('-h', '127.0.0.1', '-p',
        $self->{plain} ? ($self->{port}) : ($self->{tls_port},
            $self->{tls}->cli_args), @args);
}


sub run_cli {
    my ($self, @args) = @_;

    local $ENV{REDISCLI_AUTH} = $self->{password};
    delete local $ENV{REDISCLI_AUTH} unless defined $self->{password};
    local $?;

    open my $fh, '-|', 'timeout', 120, 'redis-cli', @args
        or die "redis-cli: $!\n";
    local $/;
    my $out = <$fh>;
    close $fh;

    $self->{cli_status} = $? >> 8;
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


sub client {
    my ($self) = @_;

    if (!$self->{client} || $self->{client_pid} != $self->{pid}) {
        $self->{client} = RedisClient->new($self->{socket}, $self->{password});
        $self->{client_pid} = $self->{pid};
    }

    return $self->{client};
}


sub send {
    my ($self, @argv) = @_;

    $self->client->send(@argv);
}


sub reply {
    my ($self) = @_;

    return $self->{client}->reply;
}


# A server ends connections, at the latest when its role changes: once more.

sub command {
    my ($self, @argv) = @_;

    my $reply = eval { $self->client->command(@argv) };

    return $reply unless $@;
    delete $self->{client} if $@ !~ /^redis: [A-Z]+ /;
    die $@ unless $@ =~ /^redis: (?:no reply|Broken pipe|Connection reset)/;

    return $self->client->command(@argv);
}


sub calls {
    my ($self, $command) = @_;

    return $self->command('INFO', 'commandstats')
        =~ /^cmdstat_\Q$command\E:calls=(\d+)/m ? $1 : 0;
}


# A field of INFO, undef where it is not there.

sub info {
    my ($self, $section, $field) = @_;

    return $self->command('INFO', $section) =~ /^\Q$field\E:(.*?)\r?$/m ? $1
        : undef;
}


sub nodes {
    my ($self) = @_;

    return $self;
}


sub url {
    my ($self) = @_;

    return $self->tcp_url;
}


sub tcp_url {
    my ($self) = @_;

    return "redis://127.0.0.1:$self->{port}";
}


sub unix_url {
    my ($self) = @_;

    return $self->socket_url;
}


sub socket_url {
    my ($self) = @_;

    return "redis+unix:$self->{socket}";
}


sub tls_url {
    my ($self) = @_;

    return "rediss://127.0.0.1:$self->{tls_port}"
        . $self->{tls}->words($self->{clients});
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

    $self->stop;
}


1;
