package Bench;

# Copyright (C) ngx_apikey_module contributors

# What the benchmarks share: a temporary folder, a Redis, an upstream, and
# instances of nginx of their own, and how CPU time is read.
#
#   Bench::run(sub {
#       Bench::prepare();       $dir, $redis, apikeyctl's environment, upstream
#       ...
#   });                         stops all that was started, and exits

use strict;
use warnings;

use parent 'Exporter';

use File::Basename ();
use File::Copy ();
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes ();

use ApikeyRedis;

our @EXPORT = qw($dir $redis %servers @far read_file write_file note wait_for
    output spawn finish free_port configure start_nginx worker cpu_of median
    rss_of number signed verdict system_line);

our ($dir, $redis, %servers);
our @far = ();          # words that keep a program off the worker's core

my $main = $$;
our $here = File::Basename::dirname(__FILE__);
my ($tmp, %pids);


sub read_file {
    my ($path) = @_;

    open my $fh, '<', $path or return '';
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub write_file {
    my ($path, $text) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub note {
    print STDERR "bench: @_\n";
}


sub wait_for {
    my ($what, $seconds, $sub) = @_;

    my $end = Time::HiRes::time() + $seconds;

    until ($sub->()) {
        die "$what: not in $seconds s\n" if Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.01);
    }
}


# Runs a command, its input a text; returns what it printed.

sub output {
    my ($in, @command) = @_;

    write_file("$dir/stdin", $in);

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', "$dir/stdin";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    local $/;
    my $text = <$out> // '';
    close $out;
    unlink "$dir/stdin";

    die "@command[0, 1]: exit status " . ($? >> 8) . "\n$text" if $?;

    return $text;
}


sub spawn {
    my ($name, @command) = @_;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/$name.out";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    $pids{$name} = $pid;

    return $pid;
}


# Ends what spawn() began.  An nginx without a master may overlook a signal that
# comes just before it begins to wait, the more so in valgrind.

sub finish {
    my ($name, $signal) = @_;

    my $pid = delete $pids{$name} or return;

    for my $try (0 .. 40) {
        kill $try < 40 ? $signal || 'TERM' : 'KILL', $pid;

        my $end = Time::HiRes::time() + 0.5;

        while (Time::HiRes::time() < $end) {
            return $? if waitpid($pid, POSIX::WNOHANG()) != 0;
            Time::HiRes::sleep(0.01);
        }
    }

    return $?;
}


# Below those that the system gives to clients.

sub free_port {
    for (1 .. 1000) {
        my $port = 10000 + int rand 10000;

        return $port if IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'tcp', Listen => 1, ReuseAddr => 1);
    }

    die "no free port\n";
}


sub connects {
    my ($port) = @_;

    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 1);
}


# An nginx of a template; other words are those of the instance.

sub configure {
    my ($name, $template, %word) = @_;

    mkdir "$dir/$name";

    %word = (USER => $> == 0 ? 'user root;' : '', DIR => $dir, NAME => $name,
        UPSTREAM => $servers{upstream}, PORT => $servers{$name},
        TEMP => join("\n    ", map { "${_}_temp_path $dir/$name/$_;" }
            qw(client_body proxy fastcgi uwsgi scgi)),
        AFFINITY => @far ? 'worker_cpu_affinity 01;' : '',
        MODULE => '', APIKEY => '', LOCATIONS => '', LEVEL => 'error',
        %word);

    my $text = read_file("$here/$template");

    $text =~ s/^#.*\n//mg;
    $text =~ s/%%(\w+)%%/$word{$1}/g;
    write_file("$dir/$name.conf", $text);
}


sub start_nginx {
    my ($name, $before, @args) = @_;

    my @command = (@$before, $ENV{APIKEY_NGINX}, '-p', "$dir/", '-e',
        "$dir/$name.log", '-c', "$dir/$name.conf", @args);

    my $pid = spawn($name, @command);

    wait_for("nginx $name", 30, sub {
        if (waitpid($pid, POSIX::WNOHANG()) == $pid) {
            delete $pids{$name};
            die "nginx does not start:\n" . read_file("$dir/$name.out")
                . read_file("$dir/$name.log");
        }

        return connects($servers{$name});
    });
}


# The only child of a master.

sub worker {
    my ($name) = @_;

    my @pids;

    wait_for("worker of $name", 5, sub {
        @pids = split ' ', read_file(
            "/proc/$pids{$name}/task/$pids{$name}/children");
        return @pids == 1;
    });

    return $pids[0];
}


# The nanoseconds that a process has had of a processor.

sub cpu_of {
    my ($pid) = @_;

    my ($ns) = split ' ', read_file("/proc/$pid/schedstat");

    return $ns / 1e3 if $ns;

    my @stat = split ' ', read_file("/proc/$pid/stat") =~ s/.*\) //r;

    return ($stat[11] + $stat[12]) * 1e6 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}


sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $n = @sorted;

    return $n % 2 ? $sorted[$n / 2]
        : ($sorted[$n / 2 - 1] + $sorted[$n / 2]) / 2;
}


sub rss_of {
    my ($pid) = @_;

    my ($kb) = read_file("/proc/$pid/status") =~ /^RssAnon:\s*(\d+) kB/m;

    return $kb;
}


sub number {
    my ($n, $digits) = @_;

    my $text = sprintf "%.${digits}f", $n;

    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;

    return $text;
}


sub signed {
    my ($n, $digits) = @_;

    return ($n < 0 ? '' : '+') . number($n, $digits);
}


sub verdict {
    my ($met) = @_;

    return $met ? 'met' : 'NOT MET';
}


sub system_line {
    my ($cpu) = read_file('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)/m;
    my ($version) = output('', $ENV{APIKEY_NGINX}, '-v') =~ m{nginx/(\S+)};

    return join('', 'nginx ', $version // '?', ', ', $cpu // 'a processor',
        ', ', POSIX::strftime('%Y-%m-%d', gmtime), "\n");
}


sub prepare {
    $tmp = File::Temp->newdir('apikey-bench-XXXXXX', TMPDIR => 1);
    $dir = $tmp->dirname;

    if (`nproc` > 1) {
        @far = qw(taskset -c 1);

    } else {
        note('one processor: the client, the upstream and the worker share it');
    }

    # a build in the meantime does not change what is measured

    File::Copy::copy($ENV{APIKEY_MODULE}, "$dir/module.so")
        or die "$ENV{APIKEY_MODULE}: $!\n";

    mkdir "$dir/redis";
    $redis = ApikeyRedis->new(dir => "$dir/redis", store => 'tcp',
        port => free_port());
    output('', 'taskset', '-p', '-c', '1', $redis->{pid}) if @far;

    $ENV{APIKEY_STORE} = $redis->unix_url;
    $ENV{APIKEY_KEYRING} = "$dir/keyring";

    output('', $ENV{APIKEYCTL}, 'init');

    $servers{upstream} = free_port();
    configure('upstream', 'upstream.conf');
    start_nginx('upstream', \@far);
}


sub run {
    my ($what) = @_;

    $SIG{PIPE} = 'IGNORE';
    $SIG{$_} = sub { die "stopped\n" } for qw(INT TERM HUP);

    my $done = eval {
        $what->();
        1;
    };

    my $error = $@;

    # a copy of this process that could not become a command ends nobody

    POSIX::_exit(127) if $$ != $main;

    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);

    finish($_) for keys %pids;
    $redis->stop if $redis;
    undef $tmp;

    return if $done;

    print STDERR "bench: $error";
    exit 1;
}


1;
