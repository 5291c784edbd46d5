package ApikeyCluster;

# (C) ngx_apikey_module contributors

# A Redis Cluster for one test file.
#
#   my $c = ApikeyCluster->new;       all nodes are content when it returns
#       masters => 3, replicas => 1   so many replicas of each master
#       node_timeout => 1500          milliseconds
#       password => 'pw', tls => 1, clients => 'yes'          as ApikeyRedis
#       acl => [...], args => [...]   of all nodes
#       words => ' read=replica'      more words of the store
#
#   $c->url                  words of a store; the seeds are all nodes, or
#                            $c->url($node, ...) those
#   $c->nodes                all RedisNodes that were not forgotten
#   $c->masters $c->replicas those that live, as the others see them now
#   $c->replicas($master)
#   $c->slot($key)           with {hash tags}
#   $c->node_of($key)        the master that has it; a number is a slot
#   $c->key_on($node, 'x%d') a key, by the pattern, that the node has
#   $c->cli(@args)           redis-cli -c
#   $c->command(@argv)       at the node that has the key
#   $c->send $c->reply       the same, in the order of what was sent
#   $c->dump $c->calls       of all masters; of all nodes
#
#   $c->reshard($from, $to, $slots)       by redis-cli: slots and their keys
#   $c->begin_move($slot, $to)            by hand: both ends of it know, and
#                                         keys that are not there yet are ASKed
#   $c->move_keys($slot, $to, $count)     MIGRATE; returns how many; all unless
#                                         $count is given
#   $c->end_move($slot, $to)              the rest, and tells all masters
#   $c->move($slot, $to)                  all of that
#
#   $c->add_node(replica_of => $master)   or, without it, a master of no slots
#   $c->forget($node)        all forget it, and it ends
#   $c->failover($replica)   a calm one; returns when it is the master
#   $c->kill_node($node)     SIGKILL; $c->wait_master_change($key, $old)
#                            returns the new master
#   $c->rejoin($node)        starts it, waits until it is part of it again
#   $c->behind($node)        a FaultProxy, which is the node's address for all
#                            from now on
#   $c->wait_ok($seconds)    all that live and are not paused agree that all
#                            is well
#   $c->stop $c->start $c->kill $c->pause $c->resume       all nodes;
#                            the data is lost, not the slots
#   $c->tls                  its RedisTLS
#
# {port}, {socket} and {pid} are those of the first node.

use strict;
use warnings;

use File::Temp ();
use List::Util ();

use FaultProxy;
use RedisNode;
use RedisTLS;
use TestProc;


my $slots = 16384;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { masters => 3, replicas => 1, node_timeout => 1500,
        args => [], words => '', %opt, nodes => [] }, $class;

    if (!defined $self->{dir}) {
        $self->{tmp} = File::Temp->newdir('apikey-redis-XXXXXX', TMPDIR => 1);
        $self->{dir} = $self->{tmp}->dirname;
    }

    $self->{tls} = RedisTLS->new("$self->{dir}/tls")
        if $self->{tls} && !ref $self->{tls};

    $self->_node for 1 .. $self->{masters} * (1 + $self->{replicas});
    $self->_create;

    return $self;
}


# In the suite no test is about what nodes think of each other.

sub for_suite {
    my ($class, %opt) = @_;

    return $class->new(replicas => 0, node_timeout => 60000, %opt);
}


sub _node {
    my ($self) = @_;

    my $name = 'node' . $self->{count}++;
    my @more = map { defined $self->{$_} ? ($_ => $self->{$_}) : () }
        qw(password acl);
    my @args = ('--cluster-enabled', 'yes',
        '--cluster-config-file', 'nodes.conf',
        '--cluster-node-timeout', $self->{node_timeout},
        '--cluster-replica-validity-factor', '0',
        '--cluster-allow-replica-migration', 'no',
        '--repl-diskless-sync-delay', '0',
        '--repl-ping-replica-period', '1');

    if ($self->{tls}) {
        push @args, '--tls-cluster', 'yes', '--tls-replication', 'yes';
        push @more, tls => $self->{tls}, plain => 0,
            clients => $self->{clients};
    }

    my $node = RedisNode->new(dir => "$self->{dir}/$name", bus => 1, @more,
        args => [ @args, @{ $self->{args} } ]);

    push @{ $self->{nodes} }, $node;

    return $node;
}


sub _create {
    my ($self) = @_;

    my @nodes = $self->nodes;
    my $n = $self->{masters};

    for my $i (0 .. $#nodes) {
        $nodes[$i]->command('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
        $nodes[$i]->command('CLUSTER', 'ADDSLOTS',
            int($slots * $i / $n) .. int($slots * ($i + 1) / $n) - 1)
            if $i < $n;
        _meet($nodes[$i], $nodes[$_]) for 0 .. $i - 1;
    }

    $self->_wait_known;

    $nodes[$_]->command('CLUSTER', 'REPLICATE', _id($nodes[$_ % $n]))
        for $n .. $#nodes;

    $self->_adopt;
    $self->wait_ok;
}


sub _meet {
    my ($node, $other) = @_;

    $node->command('CLUSTER', 'MEET', '127.0.0.1', $other->{port});
}


sub _id {
    my ($node) = @_;

    return $node->{id} ||= $node->command('CLUSTER', 'MYID');
}


sub _adopt {
    my ($self) = @_;

    @{$self}{qw(port socket pid)} = @{ $self->{nodes}[0] }{
        qw(port socket pid)};
}


sub _living { return grep { $_->{pid} && !$_->{paused} } $_[0]->nodes }


# All have shaken hands with all that live.

sub _wait_known {
    my ($self) = @_;

    my @living = $self->_living;

    TestProc::wait_until(sub {
        for my $node (@living) {
            my $text = $node->command('CLUSTER', 'NODES');

            for my $other (@living) {
                return 0 unless $text =~ /^@{[ _id($other) ]} (\S+) (\S+)/m
                    && $2 !~ /handshake|fail|noaddr/;
            }
        }

        return 1;
    }, 20, 'the nodes meet');
}


# Slots, roles and links as one node sees them: a list of hashes.

sub _view {
    my ($node) = @_;

    my @rows;

    for my $line (split /\n/, $node->command('CLUSTER', 'NODES')) {
        my ($id, $address, $flags, $of, undef, undef, undef, $link, @own)
            = split / /, $line;

        push @rows, { id => $id, flags => $flags, of => $of, link => $link,
            slots => [ map { /^(\d+)(?:-(\d+))?$/ ? [ $1, $2 // $1 ] : () }
                @own ],
            line => "$id $of @{[ join ' ', grep { !/^\[/ } @own ]}" };
    }

    return @rows;
}


sub wait_ok {
    my ($self, $seconds) = @_;

    my $say = sub {
        my ($node) = @_;

        return join "\n", sort map { $_->{line} }
            grep { $_->{flags} !~ /fail/ } _view($node);
    };

    my $well = eval { TestProc::wait_until(sub {
        my @living = $self->_living;
        my $said = $say->($living[0]);

        for my $node (@living) {
            return 0 unless $node->command('CLUSTER', 'INFO')
                =~ /^cluster_state:ok/;
            return 0 if $say->($node) ne $said;
            return 0 if ($node->info('replication', 'master_link_status')
                // 'up') ne 'up';
        }

        return 1;
    }, $seconds || 30, 'the cluster is well') };

    return $self if $well;

    die $@, map { "$_->{port}:\n" . $_->command('CLUSTER', 'NODES') }
        $self->_living;
}


sub nodes { return @{ $_[0]{nodes} } }
sub tls { return $_[0]{tls} }


# As the node sees it that answers first, without those that are dead.

sub _known {
    my ($self) = @_;

    my %node = map { _id($_) => $_ } $self->nodes;

    for my $node ($self->_living) {
        my @rows = eval { _view($node) } or next;

        return grep { $_->{node} && $_->{node}{pid} && $_->{flags} !~ /fail/ }
            map { { %$_, node => $node{$_->{id}} } } @rows;
    }

    die "no node of the cluster lives\n";
}


sub masters {
    my ($self) = @_;

    return map { $_->{node} } grep { $_->{flags} =~ /master/ } $self->_known;
}


sub replicas {
    my ($self, $master) = @_;

    return map { $_->{node} } grep { $_->{flags} =~ /slave/
        && (!$master || $_->{of} eq _id($master)) } $self->_known;
}


# CRC-16 of XMODEM, of what is between the first braces if there is something.

my @crc = map { my $c = $_ << 8;
    $c = ($c << 1 ^ ($c & 0x8000 ? 0x1021 : 0)) & 0xffff for 1 .. 8; $c }
    0 .. 255;


sub slot {
    my ($self, $key) = @_;

    my $crc = 0;

    $key = $1 if $key =~ /^[^{]*\{([^}]+)\}/;
    $crc = ($crc << 8 & 0xffff) ^ $crc[($crc >> 8) ^ $_]
        for unpack 'C*', $key;

    return $crc % $slots;
}


sub _slot { return $_[1] =~ /^\d{1,5}$/ ? $_[1] : $_[0]->slot($_[1]) }


sub _owners {
    my ($self) = @_;

    my @owner;

    for my $row ($self->_known) {
        @owner[$_->[0] .. $_->[1]] = ($row->{node}) x ($_->[1] - $_->[0] + 1)
            for @{ $row->{slots} };
    }

    return $self->{owner} = \@owner;
}


sub node_of {
    my ($self, $key) = @_;

    return $self->_owners->[$self->_slot($key)];
}


sub key_on {
    my ($self, $node, $pattern) = @_;

    my $owner = $self->_owners;

    for my $n (0 .. 100_000) {
        my $key = sprintf $pattern, $n;
        my $of = $owner->[$self->slot($key)];

        return $key if $of && $of == $node;
    }

    die "the node has no slots\n";
}


# What asks about all keys, or all nodes, is asked everywhere.

sub cli {
    my ($self, @args) = @_;

    return $self->command(@args) if $args[0] =~ /^(?:FLUSH|DBSIZE|INFO)/i;

    return join "\n", grep { length } map { $_->cli(@args) } $self->masters
        if $args[0] =~ /^(?:KEYS|--scan)$/i;

    return ($self->_living)[0]->cli_tcp('-c', '--raw', @args);
}


# The position of the key in a command: what tests use.

sub _home {
    my ($self, @argv) = @_;

    my %none = map { $_ => 1 } qw(ACL AUTH CLIENT CLUSTER COMMAND PING PUBLISH
        SCAN SELECT TIME WAIT);

    return ($self->_living)[0] if @argv < 2 || $none{uc $argv[0]};

    my $owner = $self->{owner} || $self->_owners;

    return $owner->[$self->slot($argv[1])];
}


sub send {
    my ($self, @argv) = @_;

    my $node = $self->_home(@argv);

    $node->send(@argv);
    push @{ $self->{asked} }, $node;
}


sub reply {
    my ($self) = @_;

    return (shift @{ $self->{asked} })->reply;
}


# What is for every node, or for every master; numbers are added up.

my %everywhere = map { $_ => 1 } qw(CONFIG DBSIZE FLUSHALL FLUSHDB INFO KEYS
    SAVE SCRIPT);


sub _everywhere {
    my ($self, $command, @argv) = @_;

    my @replies = map { $_->command($command, @argv) }
        $command =~ /^(?:FLUSH|DBSIZE|KEYS)/i ? $self->masters : $self->_living;

    return [ map { @$_ } @replies ] if ref $replies[0];
    return join '', @replies if uc $command eq 'INFO';
    return List::Util::sum(@replies) if uc $command eq 'DBSIZE';
    return $replies[0];
}


sub command {
    my ($self, @argv) = @_;

    my $reply;

    return $self->_everywhere(@argv) if $everywhere{uc $argv[0]};

    for my $try (1 .. 5) {
        $reply = eval { $self->_home(@argv)->command(@argv) };

        return $reply unless $@;
        die $@ unless $@ =~ /^redis: (?:MOVED|no reply|Connection|Broken)/;
        $self->_owners;
    }

    die $@;
}


sub calls {
    my ($self, $command) = @_;

    my $n = 0;

    $n += $_->calls($command) for $self->_living;

    return $n;
}


sub dump {
    my ($self) = @_;

    return join '', map { $_->dump } $self->masters;
}


sub log {
    my ($self) = @_;

    return join '', map { $_->log } $self->nodes;
}


sub url {
    my ($self, @seeds) = @_;

    @seeds = $self->nodes unless @seeds;

    my $words = ($self->{tls} ? 'rediss' : 'redis') . '://'
        . join(',', map { "127.0.0.1:$_->{port}" } @seeds)
        . " cluster$self->{words}";

    if (defined $self->{password}) {
        my $path = "$self->{dir}/password";

        open my $fh, '>', $path or die "$path: $!\n";
        chmod 0600, $path;
        print $fh "$self->{password}\n";
        close $fh or die "$path: $!\n";
        $words .= " password_file=$path";
    }

    return $words . ($self->{tls} ? $self->{tls}->words($self->{clients})
        : '');
}


sub unix_url {
    my ($self) = @_;

    return $self->url;
}


# Slots that move.

sub _manage {
    my ($self, @args) = @_;

    my $node = ($self->_living)[0];
    my $out = $node->cli_tcp('--cluster', @args);

    die "redis-cli --cluster @args: $out\n" if $node->{cli_status};

    return $out;
}


sub reshard {
    my ($self, $from, $to, $count) = @_;

    $self->_manage('reshard', "127.0.0.1:$from->{port}", '--cluster-from',
        _id($from), '--cluster-to', _id($to), '--cluster-slots', $count,
        '--cluster-yes');
    $self->_moved($to);
}


# A node that still hears of slots which it has just given away may take them
# for its own: whose epoch is the greatest is believed.

sub _moved {
    my ($self, $to) = @_;

    $to->command('CLUSTER', 'BUMPEPOCH');
    $self->wait_ok;
    delete $self->{owner};
}


sub begin_move {
    my ($self, $slot, $to) = @_;

    my $from = $self->node_of($slot);

    $to->command('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', _id($from));
    $from->command('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', _id($to));

    return $from;
}


sub move_keys {
    my ($self, $slot, $to, $count) = @_;

    my $from = $self->node_of($slot);
    my $done = 0;
    my @auth = defined $self->{password} ? ('AUTH', $self->{password}) : ();

    while (!defined $count || $done < $count) {
        my $keys = $from->command('CLUSTER', 'GETKEYSINSLOT', $slot,
            defined $count ? $count - $done : 100);

        last unless @$keys;

        $from->command('MIGRATE', '127.0.0.1', $to->{port}, '', 0, 5000,
            @auth, 'KEYS', @$keys);
        $done += @$keys;
    }

    return $done;
}


# The new owner first: were it the last, the slot would be nobody's meanwhile.

sub end_move {
    my ($self, $slot, $to) = @_;

    my $from = $self->node_of($slot);

    $self->move_keys($slot, $to);

    $_->command('CLUSTER', 'SETSLOT', $slot, 'NODE', _id($to))
        for $to, $from, grep { $_ != $to && $_ != $from } $self->masters;

    $self->_moved($to);
}


sub move {
    my ($self, $slot, $to) = @_;

    $self->begin_move($slot, $to);
    $self->end_move($slot, $to);
}


# Nodes that come and go.

sub add_node {
    my ($self, %opt) = @_;

    my ($some) = $self->_living;
    my $node = $self->_node;

    _meet($node, $some);
    $self->_wait_known;
    $node->command('CLUSTER', 'REPLICATE', _id($opt{replica_of}))
        if $opt{replica_of};
    $self->wait_ok;

    return $node;
}


sub forget {
    my ($self, $node) = @_;

    my $id = _id($node);

    $node->stop;
    $self->{nodes} = [ grep { $_ != $node } $self->nodes ];

    $_->command('CLUSTER', 'FORGET', $id) for $self->_living;
    delete $self->{owner};
    $self->_adopt;
}


sub failover {
    my ($self, $replica) = @_;

    TestProc::wait_until(sub {
        $replica->command('CLUSTER', 'FAILOVER');

        return eval { TestProc::wait_until(sub {
            $replica->info('replication', 'role') eq 'master' }, 5, 'role') };
    }, 20, 'CLUSTER FAILOVER');

    $self->wait_ok;
    delete $self->{owner};

    return $replica;
}


sub kill_node {
    my ($self, $node) = @_;

    return $node->kill;
}


# All that live know the new master of a key.

sub wait_master_change {
    my ($self, $key, $old, $seconds) = @_;

    my $slot = $self->_slot($key);

    TestProc::wait_until(sub {
        for my $node ($self->_living) {
            return 0 unless grep {
                $_->{id} ne _id($old) && $_->{flags} =~ /master/
                    && grep { $_->[0] <= $slot && $slot <= $_->[1] }
                        @{ $_->{slots} };
            } _view($node);
        }

        return 1;
    }, $seconds || 30, 'another master');

    $self->wait_ok($seconds);
    delete $self->{owner};

    return $self->node_of($key);
}


sub rejoin {
    my ($self, $node) = @_;

    $node->start;
    $self->_wait_known;
    $self->wait_ok;

    return $node;
}


# The others, and whoever is told MOVED, reach it by the proxy; the bus is not
# touched.  With TLS the port that is announced is another one.

sub behind {
    my ($self, $node) = @_;

    my $proxy = FaultProxy->new(to => $node->{port});
    my $name = $self->{tls} ? 'cluster-announce-tls-port'
        : 'cluster-announce-port';

    $node->command('CONFIG', 'SET', 'cluster-announce-bus-port',
        $node->{port} + 10000);
    $node->command('CONFIG', 'SET', $name, $proxy->{port});

    TestProc::wait_until(sub {
        return !grep { $_->command('CLUSTER', 'NODES')
            !~ /^@{[ _id($node) ]} 127\.0\.0\.1:$proxy->{port}@/m }
            $self->_living;
    }, 20, 'all know the proxy');

    return $proxy;
}


for my $name (qw(stop kill pause resume)) {
    no strict 'refs';
    *$name = sub {
        my ($self) = @_;

        $_->$name for $self->nodes;
        $self->_adopt;

        return $self;
    };
}


# What they know of each other is on disk, and still right.

sub start {
    my ($self) = @_;

    $_->start for $self->nodes;
    delete $self->{owner};
    $self->_adopt;

    return $self->wait_ok;
}


1;
