package RedisMonitor;

# (C) ngx_apikey_module contributors

# What servers are asked, by MONITOR:
#
#   my $m = RedisMonitor->new($store);    an ApikeyRedis, ApikeySentinel, ... or
#                                         a list of RedisNodes
#   ...
#   my @seen = $m->take;          since the beginning, or since the last take:
#                                 all that the servers have run until now
#       $seen[0]{argv}            a list of bytes; the command in lower case
#       $seen[0]{node}            the RedisNode
#       $seen[0]{time} {db} {client}    seconds; a number; its address
#   my @argv = $m->argv('hgetall');      lists of the arguments of that command
#   my $text = $m->text;          the lines as the servers sent them; takes too
#
# Commands of the test itself are among them.  Redis does not show what carries
# passwords.

use strict;
use warnings;

use RedisClient;


my $count = 0;
my %escape = (n => "\n", r => "\r", t => "\t", a => "\a", b => "\b");


sub new {
    my ($class, @of) = @_;

    my $self = bless { on => [] }, $class;

    for my $node (map { $_->nodes } @of) {
        my $client = RedisClient->new($node->{socket}, $node->{password});

        $client->command('MONITOR');
        push @{ $self->{on} }, [ $node, $client ];
    }

    return $self;
}


# A command of our own marks the end.

sub _lines {
    my ($self) = @_;

    my @lines;

    for my $on (@{ $self->{on} }) {
        my ($node, $client) = @$on;
        my $mark = "the end $$ " . ++$count;

        $node->command('PING', $mark);

        while () {
            my $line = $client->reply;

            last if index($line, $mark) >= 0;
            push @lines, [ $node, $line ];
        }
    }

    return @lines;
}


sub take {
    my ($self) = @_;

    return map { _parse(@$_) } $self->_lines;
}


sub text {
    my ($self) = @_;

    return join '', map { "$_->[1]\n" } $self->_lines;
}


sub argv {
    my ($self, $command) = @_;

    return map { $_->{argv} } grep { $_->{argv}[0] eq lc $command }
        $self->take;
}


sub _parse {
    my ($node, $line) = @_;

    my ($time, $db, $client, $rest) = $line
        =~ /^([\d.]+) \[(\d+) (\S+)\] (.*)$/s or return;

    my @argv = map {
        s/\\(?:x([0-9a-f]{2})|(.))/defined $1 ? chr hex $1
            : $escape{$2} \/\/ $2/gesr;
    } $rest =~ /"((?:[^"\\]|\\.)*)"/gs;

    $argv[0] = lc $argv[0];

    return { node => $node, time => $time, db => $db, client => $client,
        argv => \@argv };
}


1;
