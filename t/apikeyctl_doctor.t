#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for "apikeyctl doctor": what it finds, what it says of it, that it
# changes nothing, and that the rights in docs/store.md are what is needed, all
# of them and no others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;

use ApikeyCluster;
use ApikeyCtl;
use ApikeyRedis;
use ApikeySentinel;
use RedisClient;
use RedisNode;
use RedisTLS;
use TestProc;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};

my $password = 'pass-of-the-doctor-0123456789';
my $tmp = File::Temp->newdir('apikey-doctor-XXXXXX', TMPDIR => 1);
my $dir = $tmp->dirname;
my $keyring = "$dir/keyring";

sub file {
    my ($name, $text, $mode) = @_;

    open my $fh, '>', "$dir/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh;
    chmod $mode // 0600, "$dir/$name";

    return "$dir/$name";
}

file('password', "$password\n");
ctl_json(['--keyring', $_, 'init']) for $keyring, "$dir/other";


# A run: what was found, as "result check" in lines, and all of it.

my $out;

sub doctor {
    my ($store, @args) = @_;

    my $r = ctl(['--json', '--store', $store, 'doctor', @args]);

    is($r->{signal}, 0, 'no crash') if $r->{signal};
    $out = "$r->{out}$r->{err}";
    unlike($out, qr/pass-of/, 'no secret') if $out =~ /pass-of/;

    my $d = eval { JSON::PP->new->utf8->decode($r->{out}) } || {};

    $d->{status} = $r->{status};
    $d->{err} = $r->{err};

    return $d;
}


# The text of the lines that are of a check and have a result.

sub said {
    my ($d, $check, $result) = @_;

    return join "\n", map { "$_->{of}: $_->{what}; " . ($_->{todo} // '') }
        grep { $_->{check} eq $check && $_->{result} eq $result }
        @{ $d->{checks} };
}


sub bad {
    my ($d) = @_;

    return join ' ', sort map { $_->{check} } grep { $_->{result} ne 'ok' }
        @{ $d->{checks} };
}


# The lines of the documentation; $which: the first or the second of a user.

sub rights {
    my ($user, $which) = @_;

    my @lines = slurp("$FindBin::Bin/../docs/store.md")
        =~ /^ACL SETUSER \Q$user\E on >PASSWORD ([^\n]*)$/mg;

    return $lines[$which || 0];
}


my $redis = RedisNode->new(args => ['--appendonly', 'yes'],
    acl => ['user default on nopass ~* &* +@all']);

sub user {
    my ($name, $rights) = @_;

    my @words = $rights =~ /(\([^)]*\)|[^ ]+)/g;
    my $answer = $redis->cli('ACL', 'SETUSER', $name, 'reset', 'on',
        ">$password", @words);

    is($answer, 'OK', "ACL SETUSER $name") if $answer ne 'OK';

    return "redis://$name\@127.0.0.1:$redis->{port} "
        . "password_file=$dir/password";
}

my $url = $redis->tcp_url;
my @admin = ('--store', $url, '--keyring', $keyring);
my ($d, $r);


# All is well, and nothing is written.

my $id = ctl_json([@admin, 'key', 'create', '--owner', 'a'])->{id};
ctl_json([@admin, 'upstream', 'set', '--shared', 'openai'], in => 'secret');

my $before = $redis->dump;
my %writes = map { $_ => $redis->calls($_) }
    qw(hset hdel del renamenx publish hincrby set exec);

$d = doctor($url, '--keyring', $keyring);
is($d->{status}, 0, 'all is well');
is($d->{result}, 'ok', 'it says so');
is(bad($d), '', 'everything is') or diag($out);
is(said($d, 'keys', 'ok'), ': 1, of which 0 have expired, and 0 cannot be '
    . 'read; ', 'one key');
like(said($d, 'upstream keys', 'ok'), qr/^: 1, of which 0/, 'one sealed key');
is(join(' ', sort keys %{ $d->{checks}[0] }), 'check of result todo what',
    'members of a check');

$r = ctl([@admin, 'doctor']);
is($r->{status}, 0, 'the same for people');
like($r->{out}, qr/^RESULT +CHECK +OF +WHAT\nok +keyring /, 'a table');

$d = doctor($url);
is($d->{status}, 0, 'no keyring');
like(said($d, 'keyring', 'unknown'), qr/none is named/, 'is told');


# The users of the documentation have all that they need.

my %url = (
    nginx => user('nginx', rights('nginx')),
    nginx6 => user('nginx6', rights('nginx', 1)),
    apikeyctl => user('apikeyctl', rights('apikeyctl')),
);

for my $user (sort keys %url) {
    my $role = $user =~ /(nginx|apikeyctl)/ ? $1 : '';

    $d = doctor($url{$user}, '--keyring', $keyring);
    is($d->{status}, 0, "user $user: exit status") or diag($out);
    is($d->{result}, 'ok', "user $user: no warning") or diag($out);
    like(said($d, 'rights', 'ok'), qr/^$user: all that $role needs/,
        "user $user: its rights");
    like(said($d, 'rights', 'unknown'), qr/^$user: not those of (?!$role)/,
        "user $user: not the other's");
    like(said($d, 'version', 'ok'), qr/: \d+\.\d+/, "user $user: version");
    like(said($d, $_, 'unknown'), qr/may/, "user $user: $_ is not told")
        for qw(memory persistence clock);

    # what the server itself says of the rights

    $redis->cli('ACL', 'SETUSER', $user, '+acl|dryrun', '+acl|whoami');
    $d = doctor($url{$user});
    like(said($d, 'rights', 'ok'), qr/^$user: all that $role needs; $/,
        "user $user: the server says the same") or diag($out);

    $d = doctor($url, '--user', $user);
    like(said($d, 'rights', $role eq 'nginx' ? 'ok' : 'warning'), qr/^$user: /,
        "user $user: and of another user") or diag($out);
}


# What the doctor says is true: nginx's users hear of changes, and make none.

for my $user (qw(nginx nginx6)) {
    my ($data, $heard) = map { RedisClient->new($redis->{socket}) } 1 .. 2;

    $_->command('AUTH', $user, $password) for $data, $heard;

    my $own = $heard->command('CLIENT', 'ID');

    is($heard->command('CLIENT', 'TRACKING', 'ON', 'REDIRECT', $own, 'BCAST',
        'PREFIX', 'apikey:'), 'OK', "user $user: CLIENT TRACKING");
    is($heard->command('SUBSCRIBE', $_)->[0], 'subscribe', "user $user: $_")
        for '__redis__:invalidate', 'apikey:changed';
    $redis->cli('SET', 'apikey:revoked:sub:x', 1);
    is(ref $heard->reply, 'ARRAY', "user $user: a change is told");
    is($data->command('GET', 'apikey:revoked:sub:x'), 1, "user $user: GET");
    is(scalar @{ $data->command('HGETALL', "apikey:key:$id") } > 4, 1,
        "user $user: HGETALL");
    is($data->command('HINCRBY', "apikey-usage:$user", 'n', 1), 1,
        "user $user: HINCRBY");
    is($data->command('HSET', "apikey-usage:$user", 'last', 1), 1,
        "user $user: HSET");
    $redis->cli('DEL', 'apikey:revoked:sub:x', "apikey-usage:$user");

    for my $command (['SET', 'apikey:x', 1], ['DEL', "apikey:key:$id"],
        ['GET', 'other'], ['KEYS', '*'], ['FLUSHALL'], ['CONFIG', 'GET', '*'],
        ['PUBLISH', 'apikey:changed', 'x'], $user eq 'nginx'
            ? (['HSET', "apikey:key:$id", 'status', 'active']) : ())
    {
        eval { $data->command(@$command) };
        like($@, qr/NOPERM/, "user $user: not @$command[0]");
    }
}

%writes = map { $_ => $redis->calls($_) } keys %writes;


# No right of theirs is needless: without it something is told.  "asked": by
# ACL DRYRUN; what is only told so, or only of other kinds of stores, is left
# out.

for my $user (qw(nginx apikeyctl)) {
    my $rights = rights($user);
    my @words = grep { !/^(?:resetchannels|\(.*|.*\)|\+cluster\|slots)$/
        && !/^\+(?:role|readonly|asking|select|hincrby)$/ }
        split ' ', $rights;

    for my $word (@words) {
        my ($what) = $word =~ /^(?:%R~|[+&~])(.*)$/;

        for my $asked (0, 1) {
            my $less = join ' ', grep { $_ ne $word }
                $rights =~ /(\([^)]*\)|[^ ]+)/g;

            $less .= ' +acl|dryrun +acl|whoami' if $asked;
            $d = doctor(user('less', $less) . ' prefix=apikey:');

            my $told = join "\n", map { said($d, 'rights', $_) }
                qw(unknown warning failed);
            my ($mine) = grep { /\Q$user\E(?: |:)/ && /lacks some/ }
                split /\n/, $told;

            like($mine // '', qr/[+&~]\Q$what\E/,
                "$user without $word, " . ($asked ? 'asked' : 'tried'))
                or diag($told);
        }
    }
}

$d = doctor(user('less', '~apikey:* +hset'));
is($d->{status}, 1, 'a user who cannot read: exit status');
like(said($d, 'rights', 'failed'), qr/\+hgetall/, 'says so');

$d = doctor($url{nginx}, '--user', 'apikeyctl');
is($d->{status}, 0, 'another user, and no right to ask');
like(said($d, 'rights', 'unknown'), qr/would not say/, 'says so')
    if $redis->cli('ACL', 'SETUSER', 'nginx', '-acl|dryrun') ne 'OK';
$d = doctor($url, '--user', 'nobody');
like(said($d, 'rights', 'unknown'), qr/not found/, 'no such user');

is($redis->dump, $before, 'nothing was changed by all that');
is($redis->calls($_), $writes{$_}, "nor was $_ run")
    for grep { $_ ne 'exec' } sort keys %writes;


# Records and the keyring.

$redis->cli('HSET', "apikey:key:$_", 'hash', 'nonsense') for 1 .. 2;
ctl_json([@admin, 'key', 'create', '--owner', 'a', '--expires', '1s']);
select undef, undef, undef, 1.1;

$d = doctor($url, '--keyring', $keyring);
is($d->{status}, 1, 'damaged records: exit status');
is(scalar(() = said($d, 'key', 'failed') =~ /^[12]: .*"/mg), 2,
    'each is named');
like(said($d, 'keys', 'ok'), qr/: 4, of which 1 have expired, and 2 cannot/,
    'how many');
$redis->cli('DEL', 'apikey:key:1', 'apikey:key:2');

my $token = $redis->cli('HGET', 'apikey:upstream:*:openai', 'default');

$redis->cli('HSET', 'apikey:upstream:b:openai', 'default', $token);
$d = doctor($url, '--keyring', $keyring);
is($d->{status}, 1, 'a token of another place: exit status');
like(said($d, 'upstream', 'failed'), qr/^b:openai: damaged, or moved/, 'why');
unlike($out, qr/\Q$token\E/, 'it is not shown');
$redis->cli('HSET', 'apikey:upstream:b:openai', 'default', 'ak1.x');
like(said(doctor($url), 'upstream', 'failed'), qr/no sealed token/,
    'what is no token');
$redis->cli('DEL', 'apikey:upstream:b:openai');
$redis->cli('SET', 'apikey:upstream:b:openai', 'x');
like(said(doctor($url), 'upstream', 'failed'), qr/no hash of slots/,
    'what is no hash');
$redis->cli('DEL', 'apikey:upstream:b:openai');

$d = doctor($url, '--keyring', "$dir/other");
is($d->{status}, 4, 'another master key: exit status');
like(said($d, 'upstream', 'failed'),
    qr/^\*:openai: slot default .* [0-9a-f]{8}, /, 'which one is missing');
$d = doctor($url, '--keyring', file('bad', "master x\n"));
is($d->{status}, 4, 'a keyring that is none');
like(said($d, 'keyring', 'failed'), qr/line 1/, 'where');
$d = doctor($url, '--keyring', file('peppered', slurp($keyring)
    =~ s/^pepper.*\n//mr));
like(said($d, 'keyring', 'warning'), qr/no pepper/, 'a keyring without pepper');


# The server's settings.

$redis->cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
$redis->cli('CONFIG', 'SET', 'appendonly', 'no');
$redis->cli('CONFIG', 'SET', 'save', '');
$d = doctor($url, '--keyring', $keyring);
is("$d->{status} $d->{result}", '0 warning', 'settings: warnings alone');
like(said($d, 'memory', 'warning'), qr/allkeys-lru.*evicted/, 'eviction');
like(said($d, 'persistence', 'warning'), qr/nothing to the disk/, 'no disk');
$redis->cli('CONFIG', 'SET', 'save', '60 1');
like(said(doctor($url), 'persistence', 'ok'), qr/snapshots, save "60 1"/,
    'snapshots');


# Servers that cannot be reached.

my $nobody = ApikeyRedis::free_port();

for my $case (
    ['down', "redis://127.0.0.1:$nobody", 'server', qr/refused/],
    ['a wrong password', "redis://apikeyctl\@127.0.0.1:$redis->{port} "
        . 'password_file=' . file('wrong', "no-such\n"), 'login',
        qr/WRONGPASS/],
    ['no socket', "redis+unix:$dir/none", 'server', qr/No such file/],
) {
    my ($name, $store, $check, $like) = @$case;

    $d = doctor($store, '--keyring', $keyring);
    is("$d->{status} " . ($d->{result} // ''), '3 failed', $name);
    like(said($d, $check, 'failed'), $like, "$name: why");
    like(said($d, 'keyring', 'ok'), qr/master/, "$name: the rest is told");
}

$redis->pause;
$d = doctor("$url connect_timeout=300ms");
$redis->resume;
is($d->{status}, 3, 'frozen');

my $replica = RedisNode->new(args => ['--replicaof',
    "127.0.0.1 $redis->{port}"]);

TestProc::wait_until(sub {
    $redis->cli('INFO', 'replication') =~ /state=online/
}, 20, 'a replica');

$d = doctor("redis://127.0.0.1:$nobody,127.0.0.1:$redis->{port},"
    . "127.0.0.1:$replica->{port}", '--keyring', $keyring);
is("$d->{status} $d->{result}", '0 warning', 'one of three hosts is down');
like(said($d, 'server', 'warning'), qr/:$nobody: .*refused/, 'which one');
like(said($d, 'role', 'warning'), qr/:$replica->{port}: a replica/,
    'one is a replica');
like(said($d, 'role', 'ok'), qr/:$redis->{port}: master, replicas: 1/,
    'one is its master');


# A server that says what it is told to.

sub fake {
    my ($code, %say) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 5, ReuseAddr => 1) or die "no server: $!\n";
    my $pid = fork;

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{ALRM} = 'DEFAULT';
        $SIG{CHLD} = 'IGNORE';
        alarm 20;

        while (my $c = $listen->accept) {
            next if fork;

            my $got = '';

            while (sysread $c, $got, 65536, length $got) {

                # a command is its count, then its words; whole ones come

                for my $command (split /^(?=\*\d+\r\n)/m, $got) {
                    my ($word) = $command =~ /\A\*\d+\r\n\$\d+\r\n([^\r]*)/;
                    my $say = $say{uc $word} // "-ERR unknown command\r\n";

                    syswrite $c, ref $say ? $say->() : $say;
                }

                $got = '';
            }

            POSIX::_exit(0);
        }

        POSIX::_exit(0);
    }

    $code->('redis://127.0.0.1:' . $listen->sockport);
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

sub bulk { return map { '$' . length($_) . "\r\n$_\r\n" } @_ }

my ($info) = bulk("redis_version:5.0.14\r\nrole:master\r\n"
    . "slave0:ip=10.0.0.6,port=6379,state=online,offset=14,lag=0\r\n"
    . "slave1:ip=10.0.0.7,port=6379,state=online,offset=2,lag=99\r\n"
    . "maxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:0\r\n"
    . "rdb_last_bgsave_status:err\r\n");
my %say = (PING => "+PONG\r\n", HGETALL => "*0\r\n", GET => "\$-1\r\n",
    SCAN => join('', "*2\r\n", bulk('0'), "*0\r\n"), INFO => $info,
    TIME => sub { join '', "*2\r\n", bulk(time - 60, '000000') },
    MULTI => "+OK\r\n");

fake(sub { $d = doctor($_[0]) }, %say);
is("$d->{status} $d->{result}", '0 warning', 'an old server');
like(said($d, 'version', 'warning'), qr/5\.0\.14, which does not track/,
    'its version');
like(said($d, 'clock', 'warning'), qr/\d{5} ms behind/, 'its clock');
like(said($d, 'replicas', 'warning'), qr/10\.0\.0\.7/, 'a replica that lags');
unlike($out, qr/10\.0\.0\.6/, 'and not the other');
like(said($d, 'persistence', 'warning'), qr/could not write/, 'its disk');

# answers that are none

for my $bad ("*-1\r\n", ":1\r\n", "*1\r\n*0\r\n", "+\r\n", "\$0\r\n\r\n") {
    fake(sub { $d = doctor("$_[0] timeout=2s") }, (map { $_ => $bad } keys %say,
        qw(HELLO CONFIG ACL WATCH EXEC CLIENT SUBSCRIBE)), PING => "+PONG\r\n");
    like($d->{status}, qr/^[013]$/, 'nonsense is no crash: '
        . $bad =~ s/\r\n/ /gr);
}


# TLS.

{
    my $tls = RedisTLS->new("$dir/tls");

    $tls->issue('soon', san => 'IP:127.0.0.1', days => 3);
    $tls->issue('long', san => 'IP:127.0.0.1', days => 300);

    my ($soon, $long) = map { RedisNode->new(tls => $tls, cert => $_,
        args => ['--appendonly', 'yes']) } qw(soon long);
    my $ca = 'ssl_trusted_certificate=' . $tls->ca;

    $d = doctor("rediss://127.0.0.1:$soon->{tls_port} $ca");
    is("$d->{status} $d->{result}", '0 warning', 'a certificate that expires');
    like(said($d, 'certificate', 'warning'), qr/expires at 20.*renew/, 'when');
    $d = doctor("rediss://127.0.0.1:$long->{tls_port} $ca", '--keyring',
        $keyring);
    is(bad($d), '', 'a good certificate');
    like(said($d, 'certificate', 'ok'), qr/TLSv1\.[23], good until 20/, 'till');
    $d = doctor("rediss://127.0.0.1:$long->{tls_port} ssl_verify=off");
    like(said($d, 'certificate', 'warning'), qr/not verified/, 'unverified');
    $d = doctor("rediss://127.0.0.1:$long->{tls_port}");
    is($d->{status}, 3, 'a certificate of nobody');
    like(said($d, 'server', 'failed'), qr/certificate is refused/, 'says so');
}


# Sentinels, with the rights of the documentation.

{
    my $fleet = ApikeySentinel->new(args => ['--appendonly', 'yes'],
        acl => ['user default on nopass ~* &* +@all',
            map { "user $_ on >$password " . rights($_) } qw(nginx apikeyctl)]);

    $d = doctor($fleet->url, '--keyring', $keyring);
    is(bad($d), '', 'sentinels: all is well') or diag($out);
    like(said($d, 'sentinel', 'ok'), qr/the master "mymaster" is 127/,
        'sentinels: the master');

    for my $user (qw(nginx apikeyctl)) {
        $d = doctor($fleet->url =~ s{redis://}{redis://$user\@}r
            . " password_file=$dir/password");
        is("$d->{status} $d->{result}", '0 ok', "sentinels: user $user")
            or diag($out);
        like(said($d, 'rights', 'ok'), qr/^$user: all that $user needs/,
            "sentinels: user $user: its rights");
    }

    for my $node ($fleet->nodes) {
        $node->cli('ACL', 'SETUSER', 'nginx', '-role');
    }

    $d = doctor($fleet->url =~ s{redis://}{redis://nginx\@}r
        . " password_file=$dir/password");
    like(said($d, 'rights', 'warning'), qr/\+role/, 'sentinels: without role');

    my ($one, @others) = $fleet->sentinels;

    $one->kill;
    $d = doctor($fleet->url);
    is("$d->{status} $d->{result}", '0 warning', 'sentinels: one is gone');
    like(said($d, 'sentinel', 'warning'), qr/:$one->{port}: /,
        'sentinels: which one');
    $_->kill for @others;
    $d = doctor($fleet->url);
    is($d->{status}, 3, 'sentinels: all are gone');
}


# A cluster.

{
    my $cluster = ApikeyCluster->new(args => ['--appendonly', 'yes'],
        acl => ['user default on nopass ~* &* +@all',
            map { "user $_ on >$password " . rights($_) } qw(nginx apikeyctl)]);

    $d = doctor($cluster->url, '--keyring', $keyring);
    is(bad($d), '', 'cluster: all is well') or diag($out);
    is(scalar(() = said($d, 'master', 'ok') =~ /reached/g), 3,
        'cluster: masters');
    is(scalar(() = said($d, 'replica', 'ok') =~ /reached/g), 3,
        'cluster: replicas');

    for my $user (qw(nginx apikeyctl)) {
        my $words = $cluster->url =~ s{redis://}{redis://$user\@}r
            . " password_file=$dir/password";

        $d = doctor("$words read=replica");
        is("$d->{status} $d->{result}", '0 ok', "cluster: user $user")
            or diag($out);
        like(said($d, 'rights', 'ok'), qr/^$user: all that $user needs/,
            "cluster: user $user: its rights");
    }

    for my $right (qw(+readonly +asking)) {
        $_->cli('ACL', 'SETUSER', 'nginx', $right =~ s/\+/-/r)
            for $cluster->nodes;
        $d = doctor($cluster->url =~ s{redis://}{redis://nginx\@}r
            . " read=replica password_file=$dir/password");
        like(join('', map { said($d, 'rights', $_) } qw(warning failed)),
            qr/\Q$right\E/, "cluster: without $right");
    }

    my ($replica) = $cluster->replicas;

    $cluster->kill_node($replica);
    $d = doctor($cluster->url);
    is("$d->{status} $d->{result}", '0 warning', 'cluster: a replica is gone')
        or diag($out);
    like(said($d, 'replica', 'warning'), qr/:$replica->{port}: /,
        'cluster: which one');

    # the masters that are left notice later that a third is gone

    my ($master) = grep { !grep { $_->{pid} } $cluster->replicas($_) }
        $cluster->masters;

    $cluster->kill_node($master);
    $d = doctor($cluster->url);
    is($d->{status}, 3, 'cluster: a master is gone');
    like(join('', said($d, 'master', 'failed'), said($d, 'cluster',
        'failed')), qr/:$master->{port}: |nobody serves/, 'cluster: says so');
}


# The embedded store.

{
    my $path = "$dir/keys";
    my $file = "file:$path";

    $d = doctor($file);
    is($d->{status}, 1, 'file: not there yet');
    like(said($d, 'file', 'failed'), qr/No such file.*key create/, 'says so');

    ctl_json(['--store', $file, 'key', 'create', '--owner', 'a']);
    ctl_json(['--store', $file, '--keyring', $keyring, 'upstream', 'set',
        '--shared', 'openai'], in => 'secret');

    $d = doctor($file, '--keyring', $keyring);
    is("$d->{status} " . bad($d), '0 ', 'file: all is well') or diag($out);
    like(said($d, 'file', 'ok'), qr/2 entries.* 0 damaged/, 'file: entries');
    like(said($d, 'lock', 'ok'), qr/free/, 'file: lock');
    is(doctor($file, '--keyring', "$dir/other")->{status}, 4,
        'file: another keyring');

    chmod 0600, $path;
    like(said(doctor($file), 'mode', 'warning'), qr/0600.*workers/,
        'file: its group');
    chmod 0644, $path;
    like(said(doctor($file), 'mode', 'warning'), qr/0644.*everybody may read/,
        'file: the world reads');
    chmod 0666, $path;
    $d = doctor($file);
    is($d->{status}, 3, 'file: the world writes');
    like(said($d, 'mode', 'failed'), qr/0666.*everybody may write/, 'says so');
    chmod 0640, $path;

    open my $lock, '+<', "$path.lock" or die "lock: $!\n";
    flock $lock, Fcntl::LOCK_EX() or die "flock: $!\n";
    $d = doctor($file);
    is($d->{status}, 0, 'file: locked');
    like(said($d, 'lock', 'warning'), qr/changing the store/, 'says so');
    close $lock;

    open my $fh, '>>', $path or die "keys: $!\n";
    print $fh "# nothing\n{\"key\":\n{\"key\":\"abc\",\"hash\":\"x\"}\n";
    close $fh;

    my $text = slurp($path);

    $d = doctor($file);
    is($d->{status}, 1, 'file: damaged lines');
    like(said($d, 'line', 'failed'), qr/line 4: .*\n.*line 5: /,
        'file: which ones');
    is(slurp($path), $text, 'file: left as it was');
    is(doctor("file:$dir")->{status}, 3, 'file: a folder');

    SKIP: {
        skip('only for root', 1) if $>;

        chmod 0755, $dir;
        chown 65534, 65534, $path;
        like(said(doctor($file), 'owner', 'ok'), qr/user 65534/,
            'file: root may be somebody else');
    }
}

is(ctl(['--store', $url, 'doctor', 'x'])->{status}, 2, 'a word too many');

done_testing();
