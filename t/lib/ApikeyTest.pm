package ApikeyTest;

# (C) ngx_apikey_module contributors

# The harness: a real nginx with the real module, a real redis-server, a real
# apikeyctl and an upstream that echoes, each a test file's own, in a temporary
# folder and on free ports.
#
#   my $t = ApikeyTest->new(workers => 1, echoes => 2, reply => sub { ... },
#                           redis => { acl => [...] } or 0, level => 'info',
#                           redis => ApikeySentinel->new(...) or the like,
#                           not_under => ['valgrind']);
#   my $t = ApikeyTest->new(embedded => 1);     the store is $t->{store}, a file
#   $t->http('server { listen 127.0.0.1:%%PORT%%; ... }');
#   $t->start;
#   ...
#   $t->done;           stops nginx, makes the free checks, done_testing
#
# Words in a configuration:
#
#   %%DIR%%             the folder           %%KEYRING%%  the keyring's path
#   %%PORT%% %%PORT1%%  free ports           %%REDIS%%    the server's port
#   %%ECHO%% %%ECHO1%%  upstreams' ports     %%SOCKET%%   its unix socket
#   %%STORE%%           words of its store, of the kind APIKEY_TEST_STORE (see
#                       ApikeyRedis), TCP where that is not set
#   %%STORE_UNIX%%      the same, its unix socket where that is not set
#   %%APIKEY%%          the lines apikey_keyring and apikey_store
#
# The environment:
#
#   APIKEY_FLAVOUR      plain (unless set), asan or valgrind
#   APIKEY_MODULE       the module; build/ngx_apikey_module.so
#   APIKEYCTL           the command; build/apikeyctl
#   APIKEY_NGINX        nginx; that of PATH or /usr/sbin/nginx
#   APIKEY_TEST_STORE   what kind of store: see ApikeyRedis
#   APIKEY_KEEP         leave the folder behind, and say where it is
#
# The free checks: nginx exits cleanly in time; no alert in its log; no finding
# of a sanitizer or of valgrind; no piece of a credential in its logs.

use strict;
use warnings;

use parent 'Exporter';

use Compress::Zlib ();
use Cwd ();
use Digest::SHA ();
use File::Basename ();
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Scalar::Util ();
use Test::More;
use Time::HiRes ();

use ApikeyHTTP;
use ApikeyRedis;
use EchoUpstream;
use LeakScan;
use TestProc;

our @EXPORT = qw(wait_for make_key native_key base62 denied seen credentials);

my $main = $$;
my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../..');
my $json = JSON::PP->new->utf8->canonical;
my %slow = (plain => 1, asan => 2, valgrind => 10);
my %live;

our $FLAVOUR = $ENV{APIKEY_FLAVOUR} || 'plain';

die "APIKEY_FLAVOUR=$FLAVOUR: plain, asan or valgrind\n"
    unless $slow{$FLAVOUR};

$ApikeyHTTP::TIMEOUT = 10 * $slow{$FLAVOUR};

# An upstream's and a key's letters: every header that can carry one.

my @carriers = qw(authorization x-api-key api-key x-goog-api-key
    x-subscription-token proxy-authorization x-lobe-chat-auth
    x-provider-api-keys);


sub root { return $root }
sub slow { return $slow{$FLAVOUR} }
sub flavour { return $FLAVOUR }


sub new {
    my ($class, %opt) = @_;

    my $self = bless { workers => 1, echoes => 1, prefix => 'apikey:',
        level => 'debug', %opt, ports => [], secrets => {}, expected => [],
        config => '' }, $class;

    if ($opt{not_under} && grep { $_ eq $FLAVOUR } @{ $opt{not_under} }) {
        plan(skip_all => "not under $FLAVOUR");
    }

    $self->{module} = _path($ENV{APIKEY_MODULE}, 'build/ngx_apikey_module.so');
    $self->{ctl} = _path($ENV{APIKEYCTL}, 'build/apikeyctl');
    $self->{nginx} = $ENV{APIKEY_NGINX} || _nginx();

    for my $file (@{$self}{qw(module ctl)}) {
        die "$file: not there; ./build.sh build makes it\n" unless -e $file;
    }

    $self->{tmp} = File::Temp->newdir('apikey-test-XXXXXX', TMPDIR => 1,
        CLEANUP => !$ENV{APIKEY_KEEP});
    $self->{dir} = $self->{tmp}->dirname;
    diag($self->{dir}) if $ENV{APIKEY_KEEP};

    $live{$self} = $self;

    if ($self->{embedded}) {
        $self->{store} = "$self->{dir}/keys";

    } elsif (Scalar::Util::blessed($opt{redis})) {
        # a store that the test has made itself

    } elsif (!defined $opt{redis} || $opt{redis}) {
        mkdir "$self->{dir}/redis";
        $self->{redis} = ApikeyRedis->new(dir => "$self->{dir}/redis",
            %{ $opt{redis} || {} });
    }

    $self->{keyring} = "$self->{dir}/keyring";
    $self->ctl('init') == 0 or die "apikeyctl init: $self->{err}\n";
    $self->secret($_) for _read($self->{keyring}) =~ /^\w+ (\S+)$/mg;

    for my $n (0 .. $self->{echoes} - 1) {
        my $reply = ref $opt{reply} eq 'ARRAY' ? $opt{reply}[$n] : $opt{reply};

        push @{ $self->{echo} }, EchoUpstream->new(dir => $self->{dir},
            name => "echo$n", reply => $reply);
    }

    return $self;
}


sub _path {
    my ($path, $default) = @_;

    return "$root/$default" unless defined $path && length $path;
    return $path =~ m{^/} ? $path : "$root/$path";
}


sub _nginx {
    for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/sbin') {
        return "$dir/nginx" if -x "$dir/nginx";
    }

    die "there is no nginx\n";
}


sub _read {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub _write {
    my ($path, $text, $mode) = @_;

    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
    chmod $mode, $path if defined $mode;

    return $path;
}


# A file in the folder; returns its path.

sub file {
    my ($self, $name, $text, $mode) = @_;

    my $path = "$self->{dir}/$name";

    if ($name =~ m{^(.+)/}) {
        my $at = $self->{dir};

        for my $part (split m{/}, $1) {
            $at .= "/$part";
            mkdir $at;
        }
    }

    return _write($path, $text, $mode);
}


sub read_file {
    my ($self, $name) = @_;

    return _read("$self->{dir}/$name");
}


sub free_port {
    return TestProc::free_port();
}


sub port {
    my ($self, $n) = @_;

    return $self->{ports}[$n || 0] ||= free_port();
}


# What must not be found in any log.  A key's id may be, and what leads to it.

sub secret {
    my ($self, $text) = @_;

    $self->{secrets}{$text} = $text =~ /^(sk-[0-9A-Za-z]{12})[0-9A-Za-z]{38}$/
        ? $1 : '';

    return $text;
}


# The first 12-byte piece of a credential in the text; undef: there is none.

sub leak {
    my ($self, $text) = @_;

    return LeakScan->new($self->{secrets})->find($text);
}


sub _store {
    my ($self) = @_;

    return "file:$self->{store}" if $self->{embedded};
    return $self->{redis} ? $self->{redis}->unix_url : 'redis://127.0.0.1:1';
}


# apikeyctl; returns its exit status and leaves $t->{out} and $t->{err}.

sub ctl {
    my ($self, @args) = @_;

    my $opt = ref $args[-1] eq 'HASH' ? pop @args : {};
    my $in = "$self->{dir}/ctl.in";

    _write($in, $opt->{stdin} // '', 0600);

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $ENV{APIKEY_STORE} = $opt->{store} || $self->_store;
        $ENV{APIKEY_KEYRING} = $opt->{keyring} || $self->{keyring};
        open STDIN, '<', $in;
        open STDOUT, '>', "$self->{dir}/ctl.out";
        open STDERR, '>', "$self->{dir}/ctl.err";
        exec { $self->{ctl} } $self->{ctl}, @args
            or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    my $rc = $? & 127 ? "signal " . ($? & 127) : $? >> 8;

    unlink $in;
    $self->{out} = $self->read_file('ctl.out');
    $self->{err} = $self->read_file('ctl.err');
    unlink "$self->{dir}/ctl.out";

    return $rc;
}


# A new key by apikeyctl: { id, key, owner, ... }.

sub create_key {
    my ($self, %opt) = @_;

    $opt{owner} = 'alice' unless defined $opt{owner};

    my @args = map { ("--$_", $opt{$_}) } sort keys %opt;
    my $rc = $self->ctl('--json', 'key', 'create', @args);

    die "apikeyctl key create: $rc $self->{err}\n" if $rc ne '0';

    my $key = $json->decode($self->{out});

    $self->secret($key->{key});

    return $key;
}


# Seals an upstream secret; no owner: the shared one.

sub upstream_key {
    my ($self, $provider, $secret, %opt) = @_;

    my @owner = defined $opt{owner} ? ('--owner', $opt{owner}) : '--shared';
    my @slot = defined $opt{slot} ? ('--slot', $opt{slot}) : ();
    my $rc = $self->ctl('upstream', 'set', @owner, $provider, @slot,
        { stdin => "$secret\n", keyring => $opt{keyring} });

    die "apikeyctl upstream set: $rc $self->{err}\n" if $rc ne '0';

    return $self->secret($secret);
}


sub base62 {
    my ($n, $len) = @_;

    my @digit = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    my $text = '';

    for (1 .. $len) {
        $text = $digit[$n % 62] . $text;
        $n = int($n / 62);
    }

    return $text;
}


# A native key of an id and a secret, with its checksum.

sub native_key {
    my ($id, $secret) = @_;

    my $head = "sk-$id$secret";

    return $head . base62(Compress::Zlib::crc32($head), 6);
}


sub make_key {
    my @digit = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    my $word = sub { join '', map { $digit[rand 62] } 1 .. $_[0] };
    my $id = $word->(12);

    return { id => $id, key => native_key($id, $word->(32)) };
}


# The fields of a record of the key, as a store keeps them.

sub record {
    my ($self, $key, %field) = @_;

    my $salt = join '', map { chr int rand 256 } 1 .. 16;
    my $sum = Digest::SHA::sha256($salt . $key);

    return (hash => '$sha256$' . _base64url($salt) . '$' . _base64url($sum),
        owner => 'alice', name => 'made', status => 'active',
        created => time, expires => 0, %field);
}


sub _base64url {
    my ($bytes) = @_;

    my $text = pack 'u', $bytes;

    $text =~ s/^.//mg;
    $text =~ tr/\n//d;
    $text =~ tr|` -_|AA-Za-z0-9\-_|;

    return substr $text, 0, POSIX::ceil(length($bytes) * 4 / 3);
}


# A key whose record is written to Redis directly: much faster than a command.

sub put_key {
    my ($self, %field) = @_;

    my $key = make_key();

    $self->secret($key->{key});
    $self->redis_cmd('HSET', "$self->{prefix}key:$key->{id}",
        $self->record($key->{key}, %field));

    return $key;
}


# A command on a connection of the test's own; $t->redis_send writes only and
# $t->redis_reply reads only, so that many can be on their way.

sub redis_cmd {
    my ($self, @argv) = @_;

    return $self->{redis}->command(@argv);
}


sub redis_send {
    my ($self, @argv) = @_;

    $self->{redis}->send(@argv);
}


sub redis_reply {
    my ($self) = @_;

    return $self->{redis}->reply;
}


# How often Redis has run a command.

sub redis_calls {
    my ($self, $command) = @_;

    return $self->{redis}->calls($command);
}


# The http block's inside, or a whole configuration.

sub http {
    my ($self, $text) = @_;

    $self->{config} = $self->_main($text);

    return $self;
}


sub _main {
    my ($self, $text) = @_;

    my $user = $> == 0 ? 'user root;' : '';
    my $temp = join "\n    ", map { "${_}_temp_path %%DIR%%/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $log = $text =~ /^\s*access_log\s/m ? ''
        : 'access_log %%DIR%%/access.log;';

    return <<EOF;
$user
daemon off;
worker_processes $self->{workers};
worker_rlimit_core 0;
load_module $self->{module};
error_log %%DIR%%/error.log $self->{level};
pid %%DIR%%/nginx.pid;

events {
    worker_connections 8192;
}

http {
    $temp
    $log

$text
}
EOF
}


sub expand {
    my ($self, $text) = @_;

    my $port = $self->{redis} ? $self->{redis}{port} : 0;
    my $socket = $self->{redis} ? $self->{redis}{socket} : '';

    my ($store, $unix) = $self->{embedded} ? ($self->_store) x 2
        : $self->{redis} ? ($self->{redis}->url, $self->{redis}->unix_url)
        : ('redis://127.0.0.1:%%REDIS%%') x 2;

    $text =~ s{%%APIKEY%%}{apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%%;}g;
    $text =~ s/%%STORE%%/$store/g;
    $text =~ s/%%STORE_UNIX%%/$unix/g;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%KEYRING%%/$self->{keyring}/g;
    $text =~ s/%%REDIS%%/$port/g;
    $text =~ s/%%SOCKET%%/$socket/g;
    $text =~ s/%%ECHO(\d*)%%/$self->{echo}[$1 || 0]{port}/ge;
    $text =~ s/%%PORT(\d*)%%/$self->port($1 || 0)/ge;

    return $text;
}


# The words to start nginx with, and its environment.

sub _command {
    my ($self, @args) = @_;

    my @nginx = ($self->{nginx}, '-p', "$self->{dir}/", '-e',
        "$self->{dir}/error.log", '-c', "$self->{dir}/nginx.conf", @args);

    return @nginx if $FLAVOUR ne 'valgrind';

    return ('valgrind', '-q', '--leak-check=full',
        '--show-leak-kinds=definite,indirect,possible', '--num-callers=30',
        '--errors-for-leak-kinds=definite,indirect,possible',
        '--error-exitcode=99', '--trace-children=no', '--gen-suppressions=all',
        "--suppressions=$root/t/valgrind.supp",
        "--log-file=$self->{dir}/valgrind.%p", @nginx);
}


# The stock binary has leaks of its own kind: leaks are valgrind's business.

sub _environment {
    my ($self) = @_;

    return if $FLAVOUR ne 'asan';

    my @lib = map { my $p = `gcc -print-file-name=$_`; chomp $p; $p }
        qw(libasan.so libubsan.so);

    $ENV{LD_PRELOAD} = join ' ', @lib;
    $ENV{ASAN_OPTIONS} = "detect_leaks=0:halt_on_error=1:"
        . "log_path=$self->{dir}/asan";
    $ENV{UBSAN_OPTIONS} = "print_stacktrace=1:halt_on_error=1:"
        . "log_path=$self->{dir}/ubsan";
}


sub _spawn {
    my ($self, $out, @args) = @_;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        TestProc::default_signals();
        $self->_environment;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $out;
        open STDERR, '>&', \*STDOUT;

        my @cmd = $self->_command(@args);

        exec { $cmd[0] } @cmd
            or POSIX::_exit(127);
    }

    return $pid;
}


sub start {
    my ($self) = @_;

    _write("$self->{dir}/nginx.conf", $self->expand($self->{config}));

    my $out = "$self->{dir}/nginx.out";

    $self->{pid} = $self->_spawn($out);

    my $ready = wait_for(sub {
        if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
            $self->{pid} = 0;
            return 1;
        }

        for my $port (grep { defined } @{ $self->{ports} }) {
            next if $self->{closed}{$port};
            IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
                Timeout => 1) or return 0;
        }

        return -s "$self->{dir}/nginx.pid" && $self->workers
            == $self->{workers};
    }, 15 * slow());

    if (!$ready || !$self->{pid}) {
        diag(_read($out));
        diag($_) for $self->error_log =~ /.*\[(?:emerg|alert|crit)\].*/g;
        die "nginx does not start\n";
    }

    $self->_wait_watched;

    return $self;
}


# What was looked up before changes are known is looked up again then; a test
# that counts begins after that.

sub _wait_watched {
    my ($self) = @_;

    my $conf = _read("$self->{dir}/nginx.conf");

    return unless $self->{redis} && ($self->{redis}{pid} // 1)
        && $conf =~ /apikey_store\s+redis/ && $conf !~ /invalidation=off/;

    my $from = $self->{watched} // 0;

    wait_for(sub {
        my $log = substr $self->error_log, $from;
        my $known = () = $log =~ /apikey: changes in redis are known/g;

        return $known >= $self->{workers}
            || $log =~ /apikey: (?:redis refuses|[^:]* is unavailable)/;
    }, 2);

    $self->{watched} = length $self->error_log;
}


# Ends nginx and begins with another configuration.

sub restart {
    my ($self, $text) = @_;

    $self->stop or die "nginx does not end cleanly\n";
    $self->http($text) if defined $text;

    return $self->start;
}


# A port that nginx does not listen on: start() does not wait for it.

sub closed_port {
    my ($self, $n) = @_;

    return $self->{closed}{$self->port($n)} = $self->port($n);
}


# "nginx -t" of another http block or, with whole => 1, of a whole
# configuration; returns its exit status and what it printed.

sub check_conf {
    my ($self, $text, %opt) = @_;

    my $out = "$self->{dir}/check.out";

    _write("$self->{dir}/check.conf",
        $self->expand($opt{whole} ? $text : $self->_main($text)));
    unlink $out, "$self->{dir}/check.log";

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $self->_environment;
        $ENV{$_} = $opt{env}{$_} for keys %{ $opt{env} || {} };
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        exec { $self->{nginx} } $self->{nginx}, '-t', '-p', "$self->{dir}/",
            '-e', "$self->{dir}/check.log", '-c', "$self->{dir}/check.conf"
            or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8,
        _read($out) . $self->read_file('check.log'));
}


# All processes of nginx but the master: a cache has some of its own.

sub children {
    my ($self) = @_;

    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my $text = _read($stat);

        push @pids, $1 if $text =~ /^(\d+) \(.*\) ([A-Z]) (\d+) /
            && $3 == $self->{pid} && $2 ne 'Z';
    }

    return @pids;
}


sub workers {
    my ($self) = @_;

    return grep { _read("/proc/$_/cmdline") !~ /^nginx: cache/ }
        $self->children;
}


# HUP; returns when the new workers serve and the old ones no longer accept.

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers;
    my $mark = $self->mark;

    kill 'HUP', $self->{pid};

    return wait_for(sub {
        my @new = grep { !$old{$_} } $self->workers;
        my $log = $self->error_log($mark);

        return 0 if @new != $self->{workers};

        for my $pid (keys %old) {
            return 0 unless $log =~ / $pid#\d+: gracefully shutting down/
                || !kill 0, $pid;
        }

        return 1;
    }, 15 * slow());
}


sub mark {
    my ($self) = @_;

    return -s "$self->{dir}/error.log" || 0;
}


# The error log from a mark on.

sub error_log {
    my ($self, $mark) = @_;

    open my $fh, '<:raw', "$self->{dir}/error.log" or return '';
    seek $fh, $mark || 0, 0;
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub access_log {
    my ($self, $name) = @_;

    return $self->read_file($name || 'access.log');
}


# nginx writes the line after the answer: waits for so many lines.

sub access_lines {
    my ($self, $n, $name) = @_;

    wait_for(sub { ($self->access_log($name) =~ tr/\n//) >= $n }, 5 * slow());

    return split /\n/, $self->access_log($name);
}


sub wait_for {
    my ($what, $timeout) = @_;

    my $end = Time::HiRes::time() + ($timeout || 10 * slow());

    while () {
        my $r = $what->();

        return $r if $r;
        return 0 if Time::HiRes::time() > $end;
        select undef, undef, undef, 0.02;
    }
}


# Requests.  port => N chooses another than the first, body => TEXT.

sub request {
    my ($self, $method, $uri, $headers, %opt) = @_;

    my $r = ApikeyHTTP->request($opt{port} || $self->port, $method, $uri,
        $headers, $opt{body}, $opt{timeout} ? (timeout => $opt{timeout}) : ());

    return $r || ApikeyHTTP::Response->new(status => 0, headers => [],
        head => '', reason => 'no answer');
}


sub get {
    my ($self, $uri, @headers) = @_;

    return $self->request('GET', $uri, \@headers);
}


sub with_key {
    my ($self, $uri, $key) = @_;

    return $self->get($uri, Authorization => 'Bearer '
        . (ref $key ? $key->{key} : $key));
}


sub connect {
    my ($self, %opt) = @_;

    return ApikeyHTTP->connect($opt{port} || $self->port, %opt)
        || die "cannot connect\n";
}


# HTTP/2 by nghttp, with prior knowledge.  (curl gives an answer up that comes
# before the request's body has been sent, as RFC 9113 lets a server answer.)

sub h2 {
    my ($self, $port, $method, $uri, $headers, $body) = @_;

    my @args = ('-v', '-t', $ApikeyHTTP::TIMEOUT, '-H', ":method: $method");
    my @h = @{ $headers || [] };

    while (my ($name, $value) = splice @h, 0, 2) {
        push @args, '-H', "$name: $value";
    }

    push @args, '-d', $self->file('h2.in', $body) if defined $body;

    open my $fh, '-|', 'nghttp', @args, "http://127.0.0.1:$port$uri"
        or die "nghttp: $!\n";
    local $/;
    my $text = <$fh> // '';
    close $fh;

    my ($status) = $text =~ /^\[[ .\d]+\] recv \S+ :status: (\d+)$/m;
    my @pairs = _pairs($text);

    # What is no report of a frame is the body.

    $text =~ s/\[[ \d]+\.\d{3}\][ ](?:Connected|send|recv).*\n
        (?:[ ]{10}.*\n)*//xg;

    return ApikeyHTTP::Response->new(version => '2', status => $status || 0,
        headers => \@pairs, body => $text,
        head => join '', map { "$_->[0]: $_->[1]\r\n" } @pairs);
}


sub _pairs {
    my ($text) = @_;

    my @pairs;

    push @pairs, [ $1, $2 ]
        while $text =~ /^\[[ .\d]+\] recv \(stream_id=\d+\) ([^:]+): (.*)$/mg;

    return @pairs;
}


# What an upstream received under a name: a list of values.  "_" counts as "-".

sub seen {
    my ($what, $name) = @_;

    my $req = ref $what eq 'HASH' ? $what : $what && $what->json;

    return unless ref $req eq 'HASH' && $req->{headers};

    return map { $_->[1] } grep {
        (my $n = lc $_->[0]) =~ tr/_/-/;
        $n eq lc $name;
    } @{ $req->{headers} };
}


# Every credential that an upstream received, "name: value".

sub credentials {
    my ($what) = @_;

    my $req = ref $what eq 'HASH' ? $what : $what->json;

    return [ 'no answer of the upstream, but ' . $what->status ]
        unless ref $req eq 'HASH' && $req->{headers};

    return [ map { my $n = $_; map { "$n: $_" } seen($req, $n) } @carriers ];
}


# Checks an answer against the table of reasons; returns its message.

sub denied {
    my ($r, $status, $code, $name) = @_;

    my $body = $r->json;
    my $message = ref $body eq 'HASH' && ref $body->{error} eq 'HASH'
        ? $body->{error}{message} : undef;
    my @wrong;

    push @wrong, 'status ' . $r->status unless $r->status == $status;
    push @wrong, 'no message' unless defined $message && length $message > 10;

    my $type = $r->header('Content-Type') // '';

    push @wrong, "Content-Type $type" unless $type eq 'application/json';
    push @wrong, 'Cache-Control'
        unless ($r->header('Cache-Control') // '') eq 'no-store';
    push @wrong, 'Content-Length'
        unless ($r->header('Content-Length') // -1) == length $r->body;

    # Byte for byte in shape: members, their order, no white space.

    push @wrong, 'body ' . $r->body unless $r->body =~ /\A\{"error":\{
        "message":"(?:[^"\\\x00-\x1f]|\\["\\])+","type":"[a-z_]+",
        "param":null,"code":"\Q$code\E"\}\}\z/x;

    my $challenge = $r->header('WWW-Authenticate') // '';

    if ($status == 401) {
        push @wrong, "challenge '$challenge'" unless $challenge
            =~ /^Bearer realm="[^"]+", error="invalid_token"$/;
        push @wrong, 'type' unless $body && $body->{error}{type}
            && $body->{error}{type} eq 'invalid_request_error';

    } else {
        push @wrong, "challenge '$challenge'" if length $challenge;
    }

    push @wrong, 'Retry-After' if ($status == 503 || $status == 429)
        && ($r->header('Retry-After') // '') !~ /^[1-9]\d*$/;

    push @wrong, 'x-should-retry' if $code =~ /^upstream_/
        && ($r->header('x-should-retry') // '') ne 'false';

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(!@wrong, $name || "$status $code") or diag(join "\n", @wrong);

    return $message;
}


# Stops nginx: true where it ended cleanly and in time.

sub stop {
    my ($self, $signal) = @_;

    my $pid = $self->{pid} or return 1;

    kill $signal || 'QUIT', $pid;

    my $status;

    my $ended = wait_for(sub {
        return 0 unless waitpid($pid, POSIX::WNOHANG()) == $pid;
        $status = $?;
        return 1;
    }, 10 * slow());

    if (!$ended) {
        diag('nginx does not end');
        $self->_kill;
        return 0;
    }

    $self->{pid} = 0;
    diag("nginx ended with $status") if $status;

    # 99 is valgrind's; that has a check of its own.

    return $status == 0 || $FLAVOUR eq 'valgrind' && $status >> 8 == 99;
}


sub _kill {
    my ($self) = @_;

    my $pid = $self->{pid} or return;
    my @workers = $self->workers;

    $self->{pid} = 0;
    kill 'KILL', $pid, @workers;
    waitpid $pid, 0;
}


# A test that provokes a line of these levels says so: a pattern.

sub expect_alert {
    my ($self, $pattern) = @_;

    push @{ $self->{expected} }, $pattern;
}


sub done {
    my ($self) = @_;

    $self->{redis}->resume if $self->{redis};

    ok($self->stop, 'nginx ends cleanly and in time');

    # A server that is stopped takes its socket with it.

    $self->expect_alert(qr/connect\(\) to unix:\S+ failed \(2: /)
        if ApikeyRedis::kind() eq 'unix';

    my @alerts = grep {
        my $line = $_;
        !grep { $line =~ $_ } @{ $self->{expected} };
    } $self->error_log =~ /^.*\[(?:alert|emerg|crit)\].*$/mg;

    is(scalar @alerts, 0, 'no alerts') or diag(join "\n", @alerts);

    my $found = join '', map { _read($_) }
        glob("$self->{dir}/asan.* $self->{dir}/ubsan.* "
            . "$self->{dir}/valgrind.*");

    is($found, '', 'no finding of a sanitizer');

    is($self->_leak_in_log, undef, 'no credential in the error log');

    my $access = join '', map { _read($_) } glob "$self->{dir}/access*.log";

    is($self->leak($access), undef, 'no credential in the access log');

    done_testing();
}


# nginx's own lines print headers at the level debug, and quote those headers
# that it refuses itself; all else is in our hands.

sub _leak_in_log {
    my ($self) = @_;

    my $exempt = 0;
    my $checked = '';

    return undef unless %{ $self->{secrets} };

    open my $fh, '<:raw', "$self->{dir}/error.log" or return undef;

    while (my $line = <$fh>) {

        # A line without a time goes on with the message before it.

        if ($line =~ m{^[\d/]+ [\d:]+ \[(\w+)\] \d+\#\d+: (?:\*\d+ )?(.*)}s) {
            my ($level, $text) = ($1, $2);

            $exempt = $level eq 'debug' && $text !~ /^apikey/
                || $text =~ /^client sent (?:duplicate|invalid) header line/;
        }

        $checked .= $line unless $exempt;
    }

    my $piece = $self->leak($checked) // return undef;

    return $checked =~ /^(.*\Q$piece\E.*)$/m ? $1 : $piece;
}


# Nothing that was started stays behind, however the test ended.

sub _end {
    for my $t (values %live) {
        $t->{redis}->resume if $t->{redis};
        $t->_kill;
        $_->stop for @{ $t->{echo} || [] };
        $t->{redis}->stop if $t->{redis};
    }

    %live = ();
}


$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';


END {
    if ($$ == $main) {
        local $?;
        _end();
    }
}


1;
