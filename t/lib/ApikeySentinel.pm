package ApikeySentinel;

# (C) ngx_apikey_module contributors

# A master, its replicas and the sentinels that watch them, for one test file.
#
#   my $s = ApikeySentinel->new;      all see each other when it returns
#       replicas => 1, sentinels => 3, name => 'mymaster'
#       down_after => 1000, failover_timeout => 3000          milliseconds
#       password => 'pw'              of master and replicas
#       sentinel_password => 'pw'     of the sentinels
#       tls => 1, clients => 'yes'    all by TLS; as ApikeyRedis
#       proxied => 1                  master and replicas are known to all by
#                                     the port of a FaultProxy, $node->{proxy}
#       acl => [...], args => [...]   of master and replicas
#
#   $s->url                  words of a store, with what it needs of passwords
#                            and certificates
#   $s->master               the RedisNode that a sentinel names now
#   $s->replicas             the other nodes that live
#   $s->nodes                all that are not sentinels; $s->sentinels
#   $s->failover             SENTINEL FAILOVER; returns the new master, when
#                            the old one follows it
#   $s->kill_master          SIGKILL; returns that node
#   $s->freeze_master        SIGSTOP; returns that node, $node->resume
#   $s->wait_master_change($old, $seconds)      returns the new master, when
#                            all sentinels name it
#   $s->wait_replicas($n, $seconds)             so many follow the master
#   $s->rejoin($node)        starts a node that was killed, waits until it
#                            follows the master
#   $s->ask(@argv)           a command to a sentinel that lives
#   $s->cli(@args)  $s->command(@argv)  $s->dump ...       RedisNode, of the
#                            master of now
#   $s->stop $s->start $s->kill $s->pause $s->resume       the same
#   $s->tls                  its RedisTLS
#
# {port}, {socket} and {pid} are those of the master that it knew last.

use strict;
use warnings;

use File::Temp ();

use FaultProxy;
use RedisNode;
use RedisTLS;
use TestProc;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { replicas => 1, sentinels => 3, name => 'mymaster',
        down_after => 1000, failover_timeout => 3000, args => [], %opt },
        $class;

    if (!defined $self->{dir}) {
        $self->{tmp} = File::Temp->newdir('apikey-redis-XXXXXX', TMPDIR => 1);
        $self->{dir} = $self->{tmp}->dirname;
    }

    $self->{tls} = RedisTLS->new("$self->{dir}/tls")
        if $self->{tls} && !ref $self->{tls};

    $self->_start_data;
    $self->_start_sentinels;

    return $self;
}


# In the suite no test is about what the sentinels do: they do nothing.

sub for_suite {
    my ($class, %opt) = @_;

    return $class->new(down_after => 60000, %opt);
}


sub _common {
    my ($self, $name) = @_;

    return (dir => "$self->{dir}/$name",
        $self->{tls} ? (tls => $self->{tls}, plain => 0,
            clients => $self->{clients}) : ());
}


sub _start_data {
    my ($self) = @_;

    my @more = map { defined $self->{$_} ? ($_ => $self->{$_}) : () }
        qw(password acl);

    for my $n (0 .. $self->{replicas}) {
        my $port = TestProc::free_port();
        my $proxy = $self->{proxied} ? FaultProxy->new(to => $port) : undef;
        my @args = ('--repl-diskless-sync-delay', '0',
            '--repl-ping-replica-period', '1',
            $self->{tls} ? ('--tls-replication', 'yes') : (),
            $proxy ? ('--replica-announce-ip', '127.0.0.1',
                '--replica-announce-port', $proxy->{port}) : (),
            $n ? ('--replicaof', '127.0.0.1 ' . _port($self->{current})) : ());

        push @{ $self->{nodes} }, RedisNode->new($self->_common("node$n"),
            @more, port => $port, proxy => $proxy,
            args => [ @args, @{ $self->{args} } ]);
        $self->_adopt($self->{nodes}[0]);
    }

    $self->wait_replicas($self->{replicas}, 20);
}


# The port that others know.

sub _port {
    my ($node) = @_;

    return $node->{proxy} ? $node->{proxy}{port} : $node->{port};
}


sub _start_sentinels {
    my ($self) = @_;

    my $name = $self->{name};
    my $conf = "sentinel monitor $name 127.0.0.1 "
        . _port($self->{current}) . ' '
        . (int($self->{sentinels} / 2) + 1) . "\n"
        . "sentinel down-after-milliseconds $name $self->{down_after}\n"
        . "sentinel failover-timeout $name $self->{failover_timeout}\n"
        . "sentinel parallel-syncs $name 1\n";

    $conf .= "sentinel auth-pass $name $self->{password}\n"
        if defined $self->{password};
    $conf .= "tls-replication yes\n" if $self->{tls};
    $conf .= "sentinel sentinel-pass $self->{sentinel_password}\n"
        if defined $self->{sentinel_password};

    for my $n (0 .. $self->{sentinels} - 1) {
        my $node = RedisNode->new($self->_common("sentinel$n"),
            password => $self->{sentinel_password}, sentinel => 1,
            conf => $conf);

        # They shall meet soon, and a slow machine is no reason to give up.

        # PING-PERIOD stays: a replica is good when its INFO is not older than
        # five of these.

        eval { $node->command(qw(SENTINEL DEBUG INFO-PERIOD 200
            PUBLISH-PERIOD 100 TILT-PERIOD 1000)) };

        push @{ $self->{watch} }, $node;
    }

    TestProc::wait_until(sub { $self->_settled }, 20, 'sentinels meet');

    # The others believe that a replica lost its way that has been a master
    # for four of these periods; they hear why within little more than 1 s.

    eval { $_->command(qw(SENTINEL DEBUG PUBLISH-PERIOD 600)) }
        for $self->sentinels;
}


# All see each other, the master and every replica.

sub _settled {
    my ($self) = @_;

    for my $node (@{ $self->{watch} }) {
        my %master = @{ $node->command('SENTINEL', 'MASTER', $self->{name}) };

        return 0 unless $master{flags} eq 'master'
            && $master{'num-other-sentinels'} == $self->{sentinels} - 1
            && $master{'num-slaves'} == $self->{replicas};

        for my $list (qw(SENTINELS REPLICAS)) {
            for my $row (@{ $node->command('SENTINEL', $list,
                $self->{name}) }) {
                my %row = @$row;

                return 0 unless $row{flags} =~ /^(?:slave|sentinel)$/;
                return 0 if $list eq 'REPLICAS'
                    && $row{'master-link-status'} ne 'ok';
            }
        }
    }

    return 1;
}


sub _adopt {
    my ($self, $node) = @_;

    $self->{current} = $node;
    @{$self}{qw(port socket pid)} = @{$node}{qw(port socket pid)};

    return $node;
}


sub nodes { return @{ $_[0]{nodes} } }
sub sentinels { return @{ $_[0]{watch} } }
sub tls { return $_[0]{tls} }


sub ask {
    my ($self, @argv) = @_;

    for my $node (grep { $_->{pid} } $self->sentinels) {
        my $reply = eval { $node->command(@argv) };

        return $reply unless $@;
        die $@ unless $@ =~ /no reply|refused|Broken pipe/;
    }

    die "no sentinel lives\n";
}


sub _named {
    my ($self, $address) = @_;

    my ($node) = grep { _port($_) == $address->[1] } $self->nodes;

    return $node || die "the sentinels name @$address\n";
}


sub master {
    my ($self) = @_;

    return $self->_adopt($self->_named($self->ask('SENTINEL',
        'GET-MASTER-ADDR-BY-NAME', $self->{name})));
}


sub replicas {
    my ($self) = @_;

    my $master = $self->master;

    return grep { $_->{pid} && $_ != $master } $self->nodes;
}


# Replicas that have what the master has.  On a machine that is busy the
# sentinels may believe that it is dead, and choose another meanwhile.

sub wait_replicas {
    my ($self, $n, $seconds) = @_;

    TestProc::wait_until(sub {
        my $master = $self->{watch} ? $self->master : $self->{current};
        my $text = $master->command('INFO', 'replication');

        $n == (() = $text =~ /^slave\d+:.*state=online/mg)
            && $n == grep { $_ != $master && $_->{pid}
                && ($_->info('replication', 'master_port') // 0)
                    == _port($master)
                && $_->info('replication', 'master_link_status') eq 'up'
            } $self->nodes;
    }, $seconds || 20, "$n replicas follow");
}


sub failover {
    my ($self) = @_;

    my $old = $self->master;
    my $n = $self->replicas;

    # The last one may not be done with, and this one may be given up.

    my $new = TestProc::wait_until(sub {
        eval { $self->ask('SENTINEL', 'FAILOVER', $self->{name}) };
        die $@ if $@ && $@ !~ /INPROG|NOGOODSLAVE/;
        return !$@ && eval { $self->wait_master_change($old, 10) };
    }, 60, 'SENTINEL FAILOVER');

    $self->wait_replicas($n);

    return $new;
}


sub kill_master {
    my ($self) = @_;

    return $self->master->kill;
}


sub freeze_master {
    my ($self) = @_;

    return $self->master->pause;
}


sub wait_master_change {
    my ($self, $old, $seconds) = @_;

    my $node;

    TestProc::wait_until(sub {
        for my $sentinel (grep { $_->{pid} } $self->sentinels) {
            my $address = $sentinel->command('SENTINEL',
                'GET-MASTER-ADDR-BY-NAME', $self->{name});

            $node = $self->_named($address);
            return 0 if $node == $old;
        }

        return $node->info('replication', 'role') eq 'master';
    }, $seconds || 60, 'another master');

    return $self->_adopt($node);
}


sub rejoin {
    my ($self, $node) = @_;

    my $n = $self->replicas;

    $node->start;
    $self->wait_replicas($n + 1, 30);

    return $node;
}


# A file with a password, as the store wants it.

sub _secret {
    my ($self, $name, $password) = @_;

    my $path = "$self->{dir}/$name";

    open my $fh, '>', $path or die "$path: $!\n";
    chmod 0600, $path;
    print $fh "$password\n";
    close $fh or die "$path: $!\n";

    return " $name=$path";
}


sub url {
    my ($self) = @_;

    my $words = ($self->{tls} ? 'rediss' : 'redis') . '://'
        . join(',', map { "127.0.0.1:$_->{port}" } $self->sentinels)
        . " sentinel=$self->{name}";

    for my $name (qw(password sentinel_password)) {
        $words .= $self->_secret("${name}_file", $self->{$name})
            if defined $self->{$name};
    }

    return $words . ($self->{tls} ? $self->{tls}->words($self->{clients})
        : '');
}


sub unix_url {
    my ($self) = @_;

    return $self->url;
}


for my $name (qw(cli command dump calls info log client)) {
    no strict 'refs';
    *$name = sub { my $self = shift; $self->master->$name(@_) };
}


sub send {
    my ($self, @argv) = @_;

    $self->{asked} = $self->master;
    $self->{asked}->send(@argv);
}


sub reply {
    my ($self) = @_;

    return $self->{asked}->reply;
}


# What the tests of the suite do to their server.

for my $name (qw(start stop kill pause resume)) {
    no strict 'refs';
    *$name = sub {
        my ($self) = @_;

        $self->{current}->$name;
        $self->_adopt($self->{current});

        return $self;
    };
}


1;
