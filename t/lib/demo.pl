#!/usr/bin/perl

# Copyright (C) ngx_apikey_module contributors

# The demonstration of ./build.sh demo: a Redis or the embedded store, an
# upstream and an nginx of its own, in a temporary folder and on free loopback
# ports.
#
#   demo.pl [--embedded] [--once]
#
# The environment names APIKEY_MODULE, APIKEYCTL and APIKEY_NGINX.

use strict;
use warnings;

use Compress::Zlib ();
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

use ApikeyRedis;
use EchoUpstream;

my $once = grep { $_ eq '--once' } @ARGV;
my $embedded = grep { $_ eq '--embedded' } @ARGV;

if (grep { !/^--(?:once|embedded)$/ } @ARGV) {
    print STDERR "usage: ./build.sh demo [--embedded] [--once]\n";
    exit 2;
}

my $main = $$;
my $json = JSON::PP->new->utf8->canonical;
my $tty = -t STDOUT;
my ($tmp, $dir, $store, $redis, $echo, $nginx, $port, $url, $key, @wrong,
    $ending);

# A secret as a provider would give one; nobody accepts it.

my $secret = 'sk-demo-' . join '', map { ('a' .. 'z')[rand 26] } 1 .. 32;

$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { $ending = 1; die "stopped\n" } for qw(INT TERM HUP);


sub title {
    my ($text) = @_;

    print $tty ? "\n\e[1m$text\e[0m\n" : "\n$text\n";
}


sub indented {
    my ($text) = @_;

    return map { "    $_\n" } split /\n/, $text;
}


sub check {
    my ($what, $right) = @_;

    print $right ? "  right: $what\n" : "  WRONG: $what\n";
    push @wrong, $what unless $right;
}


sub read_file {
    my ($path) = @_;

    open my $fh, '<', $path or return '';
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


# Shell words as a person would type them.

sub words {
    return join ' ', map {
        /^[\w.,:\/=\@%+-]+$/ ? $_ : "'" . s/'/'\\''/gr . "'"
    } @_;
}


# Runs a command with the text as its input; returns its output.

sub run {
    my ($in, @command) = @_;

    open my $stdin, '+>', undef or die "temporary file: $!\n";
    print $stdin $in;
    seek $stdin, 0, 0;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<&', $stdin;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    local $/;
    my $text = <$out>;
    close $out;

    die "$command[0]: exit status " . ($? >> 8) . "\n" if $?;

    return defined $text ? $text : '';
}


sub apikeyctl {
    my ($in, @args) = @_;

    my $pipe = length $in ? 'printf %s ... | ' : '';

    print "  \$ ${pipe}apikeyctl ", words(@args), "\n";

    my $out = run($in, $ENV{APIKEYCTL}, @args);

    print indented($out);

    return $out;
}


# What curl got: the status, the JSON and the whole text.

sub curl {
    my (@args) = @_;

    my $path = pop @args;

    print '  $ curl -i ', words(@args, "$url$path"), "\n";

    my $out = run('', 'curl', '-q', '-sS', '-i', '--max-time', '20',
        '--noproxy', '*', @args, "$url$path");

    $out =~ s/\r//g;
    print indented($out);

    my ($status) = $out =~ m{\AHTTP/\S+ (\d+)};
    my ($body) = $out =~ /\n\n(.*)\z/s;

    return ($status, eval { $json->decode($body) } || {}, $out);
}


# OpenAI's answers, as far as an SDK looks at them.

sub reply {
    my ($req) = @_;

    return undef if $req->{uri} !~ m{^/v1/(chat/completions|models)};

    my $message = { role => 'assistant', refusal => undef,
        content => 'Hello from behind the proxy.' };

    my $answer = $1 eq 'models'
        ? { object => 'list', data => [ { id => 'demo', object => 'model',
            created => 1700000000, owned_by => 'demo' } ] }
        : { id => 'chatcmpl-demo', object => 'chat.completion',
            created => time, model => 'demo',
            choices => [ { index => 0, finish_reason => 'stop',
                logprobs => undef, message => $message } ],
            usage => { prompt_tokens => 1, completion_tokens => 5,
                total_tokens => 6 } };

    return [ undef, undef, $json->encode($answer) ];
}


# What is nginx's own; the part to look at is in server().

sub configuration {
    my $user = $> == 0 ? "user root;\n" : '';
    my $temp = join "\n    ", map { "${_}_temp_path $dir/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    return <<END . server() . "}\n";
${user}daemon off;
worker_processes 2;
pid $dir/nginx.pid;
error_log $dir/error.log info;
load_module $ENV{APIKEY_MODULE};

events {
}

http {
    $temp
    access_log $dir/access.log;

END
}


sub server {
    return <<END;
    apikey_keyring  $dir/keyring;
    apikey_store    $store;

    server {
        listen  127.0.0.1:$port;

        location / {
            apikey         on;
            apikey_inject  openai;
            proxy_pass     http://127.0.0.1:$echo->{port};
        }
    }
END
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


# Another port is taken where somebody else was faster.

sub start_nginx {
    for (1 .. 5) {
        $port = free_port();
        $url = "http://127.0.0.1:$port";

        open my $conf, '>', "$dir/nginx.conf" or die "nginx.conf: $!\n";
        print $conf configuration();
        close $conf or die "nginx.conf: $!\n";

        return if spawn_nginx();
    }

    die "nginx does not start:\n" . read_file("$dir/error.log")
        . read_file("$dir/nginx.out");
}


# True when it accepts connections.

sub spawn_nginx {
    my @command = ($ENV{APIKEY_NGINX}, '-p', "$dir/", '-e', "$dir/error.log",
        '-c', "$dir/nginx.conf");

    $nginx = fork;
    die "fork: $!\n" unless defined $nginx;

    if ($nginx == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/nginx.out";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    my $end = Time::HiRes::time() + 10;

    while (Time::HiRes::time() < $end) {
        if (waitpid($nginx, POSIX::WNOHANG()) == $nginx) {
            $nginx = 0;
            return 0;
        }

        return 1 if -s "$dir/nginx.pid" && IO::Socket::INET->new(
            PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1);

        Time::HiRes::sleep(0.01);
    }

    stop_nginx();

    return 0;
}


sub stop_nginx {
    return unless $nginx;

    my $end = Time::HiRes::time() + 5;

    kill 'TERM', $nginx;

    while (waitpid($nginx, POSIX::WNOHANG()) == 0) {
        kill 'KILL', $nginx if Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.01);
    }

    $nginx = 0;
}


sub prepare {
    $tmp = File::Temp->newdir('apikey-demo-XXXXXX', TMPDIR => 1);
    $dir = $tmp->dirname;

    if ($embedded) {
        $store = "file:$dir/keys";

    } else {
        mkdir "$dir/redis";
        $redis = ApikeyRedis->new(dir => "$dir/redis", store => 'tcp',
            port => free_port());
        $store = "redis+unix:$redis->{socket}";
    }

    $echo = EchoUpstream->new(dir => $dir, name => 'upstream',
        reply => \&reply);

    $ENV{APIKEY_STORE} = $store;
    $ENV{APIKEY_KEYRING} = "$dir/keyring";

    title('What the operator does');
    print "  \$ export APIKEY_STORE=$ENV{APIKEY_STORE}\n";
    print "  \$ export APIKEY_KEYRING=$ENV{APIKEY_KEYRING}\n";

    apikeyctl('', 'init');
    $key = JSON::PP::decode_json(apikeyctl('', '--json', 'key', 'create',
        '--owner', 'alice', '--name', 'laptop'));
    apikeyctl($secret, 'upstream', 'set', '--shared', 'openai');
    apikeyctl('', 'upstream', 'check');

    start_nginx();
    title('nginx.conf, in its http block');
    print server();
}


sub refused {
    my ($status, $body, $out) = @_;

    my $error = $body->{error} || {};

    check('401, invalid_api_key', $status == 401
        && ($error->{code} // '') eq 'invalid_api_key');
    check('a message that helps', length($error->{message} // '') > 20);
    check('a challenge', $out =~ /^WWW-Authenticate: Bearer /mi);
    check('the upstream saw nothing', !$echo->requests);
}


sub granted {
    my ($status, $body) = @_;

    my ($req) = reverse $echo->requests;
    my @headers = $req ? @{ $req->{headers} } : ();
    my $text = join "\n", map { "$_->[0]: $_->[1]" } @headers;

    print "  The upstream saw:\n", indented("$req->{method} $req->{uri}\n$text")
        if $req;

    my @credentials = grep {
        $_->[0] =~ /authorization|api[-_]?key|token/i
        || index($_->[1], 'sk-') >= 0
    } @headers;

    check('200 and a completion', $status == 200
        && ($body->{object} // '') eq 'chat.completion');
    check('the upstream saw one credential, the provider\'s',
        @credentials == 1 && $credentials[0][0] =~ /^authorization$/i
        && $credentials[0][1] eq "Bearer $secret");
    check('and nothing of the client\'s key',
        index($text, substr $key->{key}, 15, 32) < 0);
}


# A key of the same form, with a checksum that is right, that nobody was given.

sub foreign_key {
    my @digit = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    my $head = 'sk-' . join '', map { $digit[rand 62] } 1 .. 44;
    my $n = Compress::Zlib::crc32($head);
    my $sum = '';

    for (1 .. 6) {
        $sum = $digit[$n % 62] . $sum;
        $n = int($n / 62);
    }

    return "$head$sum";
}


sub show {
    my $path = '/v1/chat/completions';
    my $mistyped = $key->{key};
    my @body = ('-H', 'Content-Type: application/json', '-d',
        '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}');

    substr($mistyped, 20, 1) = substr($mistyped, 20, 1) eq 'x' ? 'y' : 'x';

    title('No key');
    refused(curl(@body, $path));

    title('A wrong key');
    refused(curl('-H', 'Authorization: Bearer ' . foreign_key(), @body, $path));

    title('A mistyped key: the proxy knows without a look at the store');
    refused(curl('-H', "Authorization: Bearer $mistyped", @body, $path));

    title('A good key');
    granted(curl('-H', "Authorization: Bearer $key->{key}", @body, $path));

    title('A good key in another header');
    granted(curl('-H', "x-api-key: $key->{key}", @body, $path));

    revoked($path) if $embedded;
}


# The workers look at the file every so often: the next second is soon enough.

sub revoked {
    my ($path) = @_;

    title('A revoked key: no reload, within a second');

    my $other = JSON::PP::decode_json(apikeyctl('', '--json', 'key', 'create',
        '--owner', 'bob'));
    my @curl = ('curl', '-q', '-s', '-o', '/dev/null', '-w', '%{http_code}',
        '--noproxy', '*', '-H', "Authorization: Bearer $other->{key}",
        "$url$path");

    check('a new key serves', turns(200, @curl));
    apikeyctl('', 'key', 'revoke', $other->{id});
    check('a revoked one does not', turns(401, @curl));
}


sub turns {
    my ($status, @command) = @_;

    my $end = Time::HiRes::time() + 10;

    while (Time::HiRes::time() < $end) {
        return 1 if run('', @command) == $status;
        Time::HiRes::sleep(0.02);
    }

    return 0;
}


sub stay {
    my $look = $embedded ? "cat $dir/keys"
        : "redis-cli -s $redis->{socket} HGETALL apikey:key:$key->{id}";

    title('Try it');
    print <<END;
  export APIKEY_STORE=$ENV{APIKEY_STORE}
  export APIKEY_KEYRING=$ENV{APIKEY_KEYRING}
  $ENV{APIKEYCTL} key list
  $ENV{APIKEYCTL} key create --owner bob
  $ENV{APIKEYCTL} key revoke $key->{id}

  curl -i -H 'Authorization: Bearer $key->{key}' $url/v1/models
  curl -i $url/v1/models

  $look
  tail -f $dir/error.log

nginx listens on $url; Ctrl-C ends it all.
END

    while (waitpid($nginx, POSIX::WNOHANG()) == 0) {
        Time::HiRes::sleep(0.2);
    }

    $nginx = 0;
    die "nginx has ended:\n" . read_file("$dir/error.log");
}


my $done = eval {
    prepare();
    show();
    stay() unless $once;
    1;
};

my $error = $@;

# A copy of this process that could not become a command ends nobody.

POSIX::_exit(127) if $$ != $main;

$SIG{$_} = 'IGNORE' for qw(INT TERM HUP);

stop_nginx();
$echo->stop if $echo;
$redis->stop if $redis;
undef $tmp;

if (@wrong) {
    print STDERR "demo: wrong: ", join('; ', @wrong), "\n";
    exit 1;
}

if (!$done) {
    print "\n";
    exit 0 if $ending && !$once;
    print STDERR "demo: $error";
    exit 1;
}

print "\nAll answers were right.\n";
exit 0;
