package ApikeyCtl;

# (C) ngx_apikey_module contributors

# Runs apikeyctl for the tests of the command alone; the program is APIKEYCTL
# of the environment, or build/apikeyctl.
#
#   my $r = ctl(\@args, in => $text, env => { NAME => $value },
#               out => $path);
#       $r->{status} $r->{signal} $r->{out} $r->{err}
#       in: standard input, which is empty otherwise; out: where standard output
#       goes instead
#   my $data = ctl_json(\@args, ...);     --json; dies unless it exits with 0
#
#   my $p = ApikeyCtl::Pty->start(\@args);        on a terminal of its own
#   $p->expect(qr/.../)  $p->write($text)  $p->echo  $p->wait  $p->{seen}
#       undef instead of an object: there are no terminals here

use strict;
use warnings;

use parent 'Exporter';

use Cwd ();
use File::Basename ();
use File::Temp ();
use JSON::PP ();
use POSIX ();

use TestProc;

our @EXPORT = qw(ctl ctl_json ctl_program slurp);

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../..');
my $dir = File::Temp->newdir('apikey-ctl-XXXXXX', TMPDIR => 1);
my $main = $$;


sub ctl_program {
    my $path = $ENV{APIKEYCTL} || 'build/apikeyctl';

    return $path =~ m{^/} ? $path : "$root/$path";
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    binmode $fh;
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub ctl {
    my ($args, %opt) = @_;

    my $program = ctl_program();

    die "there is no $program; ./build.sh makes it\n" unless -x $program;

    open my $in, '>', "$dir/in" or die "$dir/in: $!\n";
    binmode $in;
    print $in defined $opt{in} ? $opt{in} : '';
    close $in;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        TestProc::default_signals();
        %ENV = (%ENV, %{ $opt{env} || {} });

        for my $name (keys %ENV) {
            delete $ENV{$name} unless defined $ENV{$name};
        }

        open STDIN, '<', "$dir/in";
        open STDOUT, '>', $opt{out} || "$dir/out" or POSIX::_exit(126);
        open STDERR, '>', "$dir/err";
        exec { $program } $program, @$args or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    return {
        status => $? >> 8,
        signal => $? & 127,
        out => $opt{out} ? '' : slurp("$dir/out"),
        err => slurp("$dir/err"),
    };
}


sub ctl_json {
    my ($args, %opt) = @_;

    my $r = ctl(['--json', @$args], %opt);

    die "apikeyctl @$args: $r->{status}, $r->{err}\n" if $r->{status} != 0;

    return JSON::PP->new->utf8->decode($r->{out});
}


package ApikeyCtl::Pty;

use Fcntl ();
use Time::HiRes ();


# Linux, <asm-generic/ioctls.h>

use constant {
    TIOCSPTLCK => 0x40045431,
    TIOCGPTN => 0x80045430,
    TIOCSCTTY => 0x540e,
};


sub start {
    my ($class, $args) = @_;

    my ($number, $unlock) = (pack('i', 0), pack('i', 0));

    sysopen my $master, '/dev/ptmx', Fcntl::O_RDWR() | Fcntl::O_NOCTTY()
        or return undef;
    ioctl $master, TIOCSPTLCK, $unlock or return undef;
    ioctl $master, TIOCGPTN, $number or return undef;

    my $path = '/dev/pts/' . unpack 'i', $number;

    # kept open, so that what is set is still there when the command has ended

    sysopen my $slave, $path, Fcntl::O_RDWR() | Fcntl::O_NOCTTY()
        or return undef;

    my $program = ApikeyCtl::ctl_program();
    my $pid = fork;

    return undef unless defined $pid;

    if ($pid == 0) {
        TestProc::default_signals();
        POSIX::setsid();
        ioctl $slave, TIOCSCTTY, 0;
        open STDIN, '<&', $slave;
        open STDOUT, '>&', $slave;
        open STDERR, '>&', $slave;
        close $master;
        exec { $program } $program, @$args or POSIX::_exit(127);
    }

    return bless { master => $master, slave => $slave, pid => $pid,
                   seen => '' }, $class;
}


# Whether the terminal echoes now.

sub echo {
    my ($self) = @_;

    my $termios = POSIX::Termios->new;
    $termios->getattr(fileno $self->{slave});

    return $termios->getlflag & POSIX::ECHO() ? 1 : 0;
}


# Reads what is there, waiting for it until the deadline.

sub _read {
    my ($self, $deadline) = @_;

    my $left = $deadline - Time::HiRes::time();
    my $bits = '';

    vec($bits, fileno($self->{master}), 1) = 1;

    return 0 unless select $bits, undef, undef, $left > 0 ? $left : 0;

    return sysread $self->{master}, $self->{seen}, 4096,
        length $self->{seen};
}


sub expect {
    my ($self, $re) = @_;

    my $deadline = Time::HiRes::time() + 10;

    until ($self->{seen} =~ $re) {
        $self->_read($deadline) or return 0;
    }

    return 1;
}


sub write {
    my ($self, $text) = @_;

    return syswrite $self->{master}, $text;
}


# The wait status of the command, which is killed where it does not end.

sub wait {
    my ($self) = @_;

    my $deadline = Time::HiRes::time() + 10;

    while (waitpid($self->{pid}, POSIX::WNOHANG()) == 0) {

        if (Time::HiRes::time() > $deadline) {
            kill 'KILL', $self->{pid};
            waitpid $self->{pid}, 0;
            last;
        }

        $self->_read(Time::HiRes::time() + 0.02);
    }

    my $status = $?;

    1 while $self->_read(0);
    delete $self->{pid};

    return $status;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{pid} && $$ == $main;

    local ($?, $!, $@);

    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


1;
