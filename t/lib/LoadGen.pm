package LoadGen;

# (C) ngx_apikey_module contributors

# Steady load in a process of its own (t/load/load.c), and what became of each
# request.
#
#   my $l = LoadGen->start(port => $port, rate => 5000, seconds => 10,
#       keys => [ ... ],              used in turn
#       fresh => [ ... ], every => 10,        each used once: every 10th request
#                                     while there are some; so an id that no
#                                     cache has
#       conns => 32, uri => '/', wait => 5);  seconds for the last answers
#   $l->wait;                         until it is over
#   $l->stop;                         ends it now
#
#   $l->{start}                       when it started, as all times: seconds
#                                     since 1970, with a fraction
#   $l->rows(%which)                  a list of { due, sent, ended, status,
#                                     code, kind, key }; status 0: no answer;
#                                     code: of the body, undef without one;
#                                     kind: "key" or "fresh"; key: which
#   $l->count(%which)                 how many
#   $l->gaps(longer => 0.1, %which)   windows in which none ended: a list of
#                                     [ from, to ], also before the first and
#                                     after the last
#   $l->latency(%which)               { p50, p90, p99, p999, max }, ms, from
#                                     sent to ended
#   $l->summary  $l->json             { requests, unsent, retried, seconds,
#                                     rate, latency, fresh => { granted, gaps },
#                                     status => { 200 => { count, first, last,
#                                     codes => { ... } } } }
#
# Which: status => 200, kind => 'fresh', code => 'unavailable', and those that
# ended from => $time, until => $time.  A gap for uncached ids is
#
#   $l->gaps(kind => 'fresh', status => 200, longer => 0.5)

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Temp ();
use JSON::PP ();

use TestProc;


my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../..');


sub program {
    my $ctl = $ENV{APIKEYCTL} || 'build/apikeyctl';

    $ctl = "$root/$ctl" unless $ctl =~ m{^/};

    return File::Basename::dirname($ctl) . '/load';
}


sub start {
    my ($class, %opt) = @_;

    my $self = bless { conns => 32, uri => '/', wait => 5, every => 10,
        fresh => [], %opt }, $class;

    die program() . ": not there; ./build.sh test makes it\n"
        unless -x program();

    $self->{tmp} = File::Temp->newdir('apikey-load-XXXXXX', TMPDIR => 1);

    for my $name (qw(keys fresh)) {
        my $path = "$self->{tmp}/$name";

        open my $fh, '>', $path or die "$path: $!\n";
        print $fh map { ref $_ ? "$_->{key}\n" : "$_\n" } @{ $self->{$name} };
        close $fh or die "$path: $!\n";
    }

    $self->{pid} = TestProc::spawn([ program(),
        @{$self}{qw(port conns rate seconds wait uri)}, "$self->{tmp}/keys",
        "$self->{tmp}/fresh", $self->{every}, "$self->{tmp}/out" ],
        out => "$self->{tmp}/err");

    TestProc::wait_until(sub {
        -s "$self->{tmp}/out" || !TestProc::alive($self->{pid})
    }, 10, 'the load begins');

    return $self;
}


sub wait {
    my ($self) = @_;

    return $self unless $self->{pid};

    TestProc::wait_until(sub { !TestProc::alive($self->{pid}) },
        $self->{seconds} + $self->{wait} + 10, 'the load ends');
    delete $self->{pid};
    $self->_read;

    return $self;
}


sub stop {
    my ($self) = @_;

    return $self unless $self->{pid};

    TestProc::finish(delete $self->{pid}, 'TERM', $self->{wait} + 5);
    $self->_read;

    return $self;
}


sub _read {
    my ($self) = @_;

    my $path = "$self->{tmp}/out";

    open my $fh, '<', $path or die "$path: $!\n";

    local $_;

    while (<$fh>) {
        chomp;
        my @word = split / /;

        if (@word == 2) {
            $self->{$word[0]} = $word[1];
            next;
        }

        push @{ $self->{rows} }, \@word;
    }

    return if defined $self->{unsent};

    open $fh, '<', "$self->{tmp}/err";
    die "the load has ended early\n", $fh ? <$fh> : ();
}


my %kind = (k => 'key', f => 'fresh');


# Rows as they are in the file; times are microseconds since the start.

sub _rows {
    my ($self, %which) = @_;

    my ($from, $until) = map {
        defined $which{$_} ? ($which{$_} - $self->{start}) * 1e6 : undef
    } qw(from until);

    return grep {
        (!defined $which{status} || $_->[3] == $which{status})
        && (!defined $which{code} || $_->[4] eq $which{code})
        && (!defined $which{kind} || $kind{$_->[5]} eq $which{kind})
        && (!defined $from || $_->[2] >= $from)
        && (!defined $until || $_->[2] <= $until)
    } @{ $self->{rows} || [] };
}


sub _time { return $_[0]{start} + $_[1] / 1e6 }


sub rows {
    my ($self, %which) = @_;

    return map { {
        due => $self->_time($_->[0]), sent => $self->_time($_->[1]),
        ended => $self->_time($_->[2]), status => $_->[3],
        code => $_->[4] eq '-' ? undef : $_->[4], kind => $kind{$_->[5]},
        key => $_->[6],
    } } $self->_rows(%which);
}


sub count {
    my ($self, %which) = @_;

    return scalar(() = $self->_rows(%which));
}


sub _end {
    my ($self) = @_;

    my $end = 0;

    for (@{ $self->{rows} || [] }) {
        $end = $_->[2] if $_->[2] > $end;
    }

    return $end;
}


sub gaps {
    my ($self, %which) = @_;

    my $longer = 1e6 * delete $which{longer};
    my @ended = sort { $a <=> $b } map { $_->[2] } $self->_rows(%which);
    my $last = 0;
    my @gaps;

    for my $time (@ended, $self->_end) {
        push @gaps, [ $self->_time($last), $self->_time($time) ]
            if $time - $last > $longer;
        $last = $time;
    }

    return @gaps;
}


sub latency {
    my ($self, %which) = @_;

    my @ms = sort { $a <=> $b } map { ($_->[2] - $_->[1]) / 1000 }
        $self->_rows(%which) or return {};
    my %part = (p50 => 0.5, p90 => 0.9, p99 => 0.99, p999 => 0.999, max => 1);

    return { map { $_ => $ms[ int($#ms * $part{$_} + 0.5) ] } keys %part };
}


sub summary {
    my ($self) = @_;

    my ($n, $seconds) = (scalar @{ $self->{rows} || [] }, $self->_end / 1e6);
    my %status;

    for my $row (sort { $a->[2] <=> $b->[2] } @{ $self->{rows} || [] }) {
        my $s = $status{$row->[3]} ||= { count => 0, codes => {} };

        $s->{count}++;
        $s->{first} //= $self->_time($row->[2]);
        $s->{last} = $self->_time($row->[2]);
        $s->{codes}{$row->[4]}++ unless $row->[4] eq '-';
    }

    my @fresh = (kind => 'fresh', status => 200);

    return { requests => $n, unsent => $self->{unsent} + 0,
        retried => $self->{retried} + 0, seconds => $seconds,
        rate => $seconds ? $n / $seconds : 0, status => \%status,
        latency => $self->latency, fresh => { granted => $self->count(@fresh),
            gaps => [ $self->gaps(@fresh, longer => 0.1) ] } };
}


sub json {
    my ($self) = @_;

    return JSON::PP->new->canonical->pretty->encode($self->summary);
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $!, $@);

    TestProc::finish($self->{pid}, 'KILL') if $self->{pid};
}


1;
