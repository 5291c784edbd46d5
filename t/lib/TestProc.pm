package TestProc;

# (C) ngx_apikey_module contributors

# The processes and ports of a test file.
#
#   my $pid = TestProc::spawn(\@cmd, out => $file);      stdout and stderr
#   my $pid = TestProc::child(sub { ... });              ends where it returns
#   TestProc::alive($pid)
#   TestProc::finish($pid, $signal, $seconds);           then SIGKILL; TERM, 5
#
#   TestProc::free_port();          free, and held by a lock until the end
#   TestProc::free_port_pair();     so is the port that is 10,000 higher
#   TestProc::wait_until(sub { ... }, $seconds, $what);   dies in the end
#
# Whatever is still there when the test ends, is killed, by its id; the kernel
# does so where the test itself is killed.

use strict;
use warnings;

use Fcntl qw(:flock);
use File::Spec ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes ();

my $main = $$;
my (%live, %locks);

# prctl(PR_SET_PDEATHSIG, ...): Linux, <asm/unistd.h>

my %prctl = (x86_64 => 157, aarch64 => 167, riscv64 => 167, ppc64le => 171,
    s390x => 172, armv7l => 172, i686 => 172);
my $prctl = $prctl{(POSIX::uname())[4]};


sub child {
    my ($what) = @_;

    my $parent = $$;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        my ($option, $signal) = (1, 9);

        syscall $prctl, $option, $signal, 0, 0, 0 if $prctl;
        POSIX::_exit(127) if getppid != $parent;

        default_signals();
        eval { $what->() };
        print STDERR $@ if $@;
        POSIX::_exit($@ ? 127 : 0);
    }

    $live{$pid} = $parent;

    return $pid;
}


# For a child, which may be told to ignore some by whoever runs the tests.

sub default_signals {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP QUIT PIPE);
}


sub spawn {
    my ($cmd, %opt) = @_;

    return child(sub {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $opt{out} || '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec { $cmd->[0] } @$cmd or POSIX::_exit(127);
    });
}


# Someone else may have waited for it already.

sub alive {
    my ($pid) = @_;

    return 0 unless $pid && ($live{$pid} || 0) == $$;
    return 1 if waitpid($pid, POSIX::WNOHANG()) == 0;

    delete $live{$pid};

    return 0;
}


sub finish {
    my ($pid, $signal, $seconds) = @_;

    local ($?, $!);

    return unless alive($pid);

    $signal ||= 'TERM';
    kill $signal, $pid;
    kill 'CONT', $pid if $signal ne 'KILL';

    my $end = Time::HiRes::time() + ($seconds || 5);

    while (alive($pid)) {
        kill 'KILL', $pid if Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.005);
    }
}


# Ports lie below those that the system gives to clients, and a lock says to
# tests that run at once which are taken.

sub free_port {
    return _port(20000, 12000, 0);
}


sub free_port_pair {
    return _port(10000, 10000, 10000);
}


sub _port {
    my ($first, $count, $beside) = @_;

    for (1 .. 1000) {
        my $port = $first + int rand $count;
        my @lock = map { _lock($_) || () }
            $beside ? ($port, $port + $beside) : $port;

        next if @lock != ($beside ? 2 : 1);

        $locks{$port} = \@lock;
        return $port;
    }

    die "no free port\n";
}


sub _lock {
    my ($port) = @_;

    my $dir = File::Spec->tmpdir . "/apikey-ports-$>";

    mkdir $dir;

    open my $lock, '>', "$dir/$port" or die "$dir/$port: $!\n";

    return unless flock $lock, LOCK_EX | LOCK_NB;

    IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
        Proto => 'tcp', Listen => 1, ReuseAddr => 1) or return;

    return $lock;
}


sub wait_until {
    my ($true, $seconds, $what) = @_;

    my $end = Time::HiRes::time() + $seconds;

    while () {
        my $r = $true->();

        return $r if $r;
        die "$what: not within $seconds s\n" if Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.02);
    }
}


$SIG{$_} ||= sub { exit 1 } for qw(INT TERM HUP);


END {
    if ($$ == $main) {
        local ($?, $!);

        kill 'KILL', grep { alive($_) } keys %live;
        waitpid $_, 0 for keys %live;
    }
}


1;
