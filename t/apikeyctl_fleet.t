#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl and a store of several servers: hosts that are tried in
# turn, sentinels, a cluster, all with the rights that docs/store.md gives to
# the user of apikeyctl; and what is published of changes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes ();

use ApikeyCluster;
use ApikeyCtl;
use ApikeyRedis;
use ApikeySentinel;
use RedisClient;
use RedisNode;
use TestProc;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

delete @ENV{qw(APIKEY_STORE APIKEY_KEYRING)};

my $password = 'pass-of-the-fleet-0123456789';
my $tmp = File::Temp->newdir('apikey-fleet-XXXXXX', TMPDIR => 1);
my $dir = $tmp->dirname;
my $keyring = "$dir/keyring";

sub file {
    my ($name, $text) = @_;

    open my $fh, '>', "$dir/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh;
    chmod 0600, "$dir/$name";

    return "$dir/$name";
}

file('password', "$password\n");
ctl_json(['--keyring', $keyring, 'init']);


# The line of the documentation, as a file of users has it.

sub acl {
    my ($user) = @_;

    # the first of those that it has

    my ($line) = slurp("$FindBin::Bin/../docs/store.md")
        =~ /^ACL SETUSER (\Q$user\E on [^\n]*)$/m;

    $line =~ s/>PASSWORD/>$password/;

    return "user $line";
}

my @acl = ('user default on nopass ~* &* +@all', acl('apikeyctl'));

sub as_user {
    my ($url) = @_;

    $url =~ s{^(rediss?://)}{$1apikeyctl\@};

    return "$url password_file=$dir/password";
}


# Marks, each on a node of its own.

sub marks {
    my ($name, @store) = @_;

    my @subs = map { "sub-$_" } 1 .. 12;

    for my $sub (@subs) {
        ctl_json([@store, 'jwt', 'revoke', '--sub', $sub, '--at', '2026-01-02',
            '--expires', '2099-01-01']);
    }

    my $d = ctl_json([@store, 'jwt', 'revoke', '--sub', $subs[0], '--at',
        '2026-01-01', '--expires', '2098-01-01']);

    is("$d->{at} $d->{expires}", '1767312000 4070908800',
        "$name: a mark that is there stays");
    $d = ctl_json([@store, 'jwt', 'revoked']);
    is(join(' ', map { "$_->{value} $_->{at} $_->{expires}" } @$d),
        join(' ', map { "$_ 1767312000 4070908800" } sort @subs),
        "$name: marks");
    ctl_json([@store, 'jwt', 'unrevoke', '--sub', $_]) for @subs;
    is(scalar @{ ctl_json([@store, 'jwt', 'revoked']) }, 0,
        "$name: no marks any more");
}


# All that is done with keys, on whatever the store is.

sub work {
    my ($name, $url) = @_;

    my @store = ('--store', as_user($url), '--keyring', $keyring);
    my %id;

    for my $n (1 .. 12) {
        my $d = ctl_json([@store, 'key', 'create', '--owner', "o$n"]);
        $id{$d->{id}} = "o$n";
    }

    my ($first, $second, $third) = sort keys %id;
    my $list = ctl_json([@store, 'key', 'list']);

    is(scalar(grep { ($id{$_->{id}} // '') eq $_->{owner} } @$list), 12,
        "$name: all are listed");
    ok(ctl_json([@store, 'key', 'disable', $first])->{changed},
        "$name: disable");
    is(ctl_json([@store, 'key', 'show', $first])->{status}, 'disabled',
        "$name: show");
    ok(ctl_json([@store, 'key', 'enable', $first])->{changed},
        "$name: enable");
    ok(ctl_json([@store, 'key', 'revoke', $second])->{changed},
        "$name: revoke");

    my $new = ctl_json([@store, 'key', 'rotate', $third]);

    is(ctl_json([@store, 'key', 'show', $third])->{replaced_by}, $new->{id},
        "$name: rotate");
    ok(ctl_json([@store, 'key', 'delete', $first])->{deleted},
        "$name: delete");
    is(ctl([@store, 'key', 'show', $first])->{status}, 1, "$name: gone");

    for my $owner ('--shared', map { "--owner=u$_" } 1 .. 4) {
        ctl_json([@store, 'upstream', 'set', $owner, 'openai'],
            in => 'secret');
    }

    is(scalar(grep { $_->{ok} } @{ ctl_json([@store, 'upstream', 'check']) }),
        5, "$name: upstream keys");
    ctl_json([@store, 'upstream', 'delete', '--shared', 'openai']);

    my $rows = join '', map { "foreign-key-number-$_\n" } 1 .. 700;
    my $d = ctl_json([@store, 'key', 'import', '--owner', 'many'],
        in => $rows);

    is("$d->{imported} $d->{there}", '700 0', "$name: import");
    $d = ctl_json([@store, 'key', 'import', '--owner', 'other'],
        in => $rows . "foreign-key-number-701\n");
    is("$d->{imported} $d->{there}", '1 700', "$name: again");
    is(scalar @{ ctl_json([@store, 'key', 'list', '--owner', 'many']) }, 700,
        "$name: none was overwritten");

    marks($name, @store);

    return ($second, @store);
}


# An import that goes on while something happens: rows are read as they come.

sub import_while {
    my ($name, $code, @store) = @_;

    my $pid = open my $in, '|-';

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDOUT, '>', "$dir/out";
        open STDERR, '>', "$dir/err";
        exec { ctl_program() } 'apikeyctl', '--json', @store, 'key', 'import',
            '--owner', 'while' or POSIX::_exit(127);
    }

    $in->autoflush(1);
    print $in "$name-before-$_-12345678\n" for 1 .. 1200;
    TestProc::wait_until(sub {
        @{ ctl_json([@store, 'key', 'list', '--owner', 'while']) } >= 500
    }, 10, 'the import begins');
    $code->();
    print $in "$name-after-$_-12345678\n" for 1 .. 800;
    close $in;

    is($? >> 8, 0, "$name: an import goes on")
        or diag(slurp("$dir/err"));
    is(scalar @{ ctl_json([@store, 'key', 'list', '--owner', 'while']) }, 2000,
        "$name: and all of it is there");
}


# Several hosts.

my ($r, $d);
my $master = RedisNode->new(acl => \@acl);
my $replica = RedisNode->new(acl => \@acl,
    args => ['--replicaof', "127.0.0.1 $master->{port}"]);
my $nobody = ApikeyRedis::free_port();
my $dead = ApikeyRedis::free_port();

TestProc::wait_until(sub {
    $replica->cli('INFO', 'replication') =~ /master_link_status:up/
}, 20, 'a replica');

for my $hosts ("127.0.0.1:$nobody,127.0.0.1:$master->{port}",
    "127.0.0.1:$master->{port},127.0.0.1:$nobody",
    "127.0.0.1:$replica->{port},127.0.0.1:$master->{port}",
    "127.0.0.1:$nobody,127.0.0.1:$replica->{port},127.0.0.1:$master->{port}")
{
    my @store = ('--store', as_user("redis://$hosts"), '--keyring', $keyring);

    $d = ctl_json([@store, 'key', 'create', '--owner', 'a']);
    is($master->cli('HGET', "apikey:key:$d->{id}", 'owner'), 'a',
        "hosts in turn: create");
    ok(ctl_json([@store, 'key', 'revoke', $d->{id}])->{changed},
        'hosts in turn: revoke');
    ok(ctl_json([@store, 'key', 'delete', $d->{id}])->{deleted},
        'hosts in turn: delete');
    is(ctl_json([@store, 'key', 'import', '--owner', 'a'],
        in => "$hosts-0123456789\n")->{imported}, 1, 'hosts in turn: import');
}

work('one host', $master->tcp_url);

my $store = as_user("redis://127.0.0.1:$replica->{port}");

for my $args (['key', 'create', '--owner', 'a'], ['key', 'import', '--owner',
    'a'], ['key', 'delete', 'abcdefghijkl'])
{
    $r = ctl(['--store', $store, '--keyring', $keyring, @$args],
        in => "sk-some-key-of-others\n");
    is($r->{status}, 3, "a replica alone, @$args[0, 1]");
    like($r->{err}, qr/READONLY.*it is a replica/, 'says so');
}

is(ctl(['--store', $store, 'key', 'list'])->{status}, 0, 'it can be read');

$r = ctl(['--store', as_user("redis://127.0.0.1:$replica->{port},"
    . "127.0.0.1:$nobody"), 'key', 'create', '--owner', 'a']);
is($r->{status}, 3, 'a replica and nobody');

$r = ctl(['--store', as_user("redis://127.0.0.1:$nobody,127.0.0.1:$dead"),
    'key', 'list']);
is($r->{status}, 3, 'nobody at all');
like($r->{err}, qr/:$nobody: Connection refused; 127\.0\.0\.1:$dead: /,
    'each is told');


# What is published.

{
    my @store = ('--store', as_user($master->tcp_url), '--keyring', $keyring);
    my $c = RedisClient->new($master->{socket});

    $c->command('SUBSCRIBE', 'apikey:changed');

    my $told = sub { return $c->reply->[2] };
    my $id = ctl_json([@store, 'key', 'create', '--owner', 'p'])->{id};

    is($told->(), "apikey:key:$id", 'published: create');
    ctl_json([@store, 'key', 'disable', $id]);
    is($told->(), "apikey:key:$id", 'published: disable');
    ctl_json([@store, 'key', 'disable', $id]);
    is($told->(), "apikey:key:$id", 'published: and again what is so');
    ctl_json([@store, 'key', 'enable', $id]);
    is($told->(), "apikey:key:$id", 'published: enable');
    ctl([@store, 'key', 'show', $id]);
    ctl([@store, 'key', 'revoke', 'none']);

    my $new = ctl_json([@store, 'key', 'rotate', $id])->{id};

    is($told->(), "apikey:key:$new", 'published: the successor');
    is($told->(), "apikey:key:$id", 'published: the old one');
    ctl_json([@store, 'upstream', 'set', '--owner', 'p', 'openai'],
        in => 'secret');
    is($told->(), 'apikey:upstream:p:openai', 'published: upstream set');
    ctl_json([@store, 'upstream', 'delete', '--owner', 'p', 'openai']);
    is($told->(), 'apikey:upstream:p:openai', 'published: upstream delete');
    ctl([@store, 'upstream', 'delete', '--owner', 'p', 'openai']);
    is($told->(), 'apikey:upstream:p:openai', 'published: and again');

    ctl_json([@store, 'jwt', 'revoke', '--sub', 'p', '--expires', '1h']);
    is($told->(), 'apikey:revoked:sub:p', 'published: a mark');
    ctl_json([@store, 'jwt', 'unrevoke', '--sub', 'p']);
    is($told->(), 'apikey:revoked:sub:p', 'published: a mark that is removed');

    my $rows = join '', map { "published-$_-12345678\n" } 1 .. 600;

    ctl_json([@store, 'key', 'import', '--owner', 'p'], in => $rows);
    is($told->(), '*', 'published: an import');
    is($told->(), '*', 'published: its second batch');
    ctl_json([@store, 'key', 'import', '--owner', 'p'], in => $rows);
    ctl_json([@store, 'key', 'import', '--owner', 'p', '--dry-run'],
        in => $rows);

    my @quiet = @store;
    $quiet[1] .= ' invalidation=off';
    ctl_json([@quiet, 'key', 'revoke', $new]);

    ctl_json([@store, 'key', 'delete', $id]);
    is($told->(), "apikey:key:$id", 'published: delete, and nothing before');

    $store[1] .= ' prefix=x:';
    $master->cli('ACL', 'SETUSER', 'apikeyctl', 'allkeys');
    $r = ctl([@store, 'key', 'create', '--owner', 'p']);
    is($r->{status}, 0, 'a channel that is not granted: it is done');
    like($r->{err}, qr/warning: .*not PUBLISH to x:changed.*\+publish &x:/,
        'and warned of');

    $store[1] =~ s/ prefix=x://;
    $master->cli('ACL', 'SETUSER', 'apikeyctl', '-publish');
    $r = ctl([@store, '--json', 'key', 'rotate', ctl_json([@store, 'key',
        'create', '--owner', 'p'])->{id}]);
    is($r->{status}, 0, 'no right to publish: it is done');
    is(scalar(() = $r->{err} =~ /warning/g), 1, 'and warned of once');
}


# A sentinel that names a replica, then its master: nothing is asked of the
# first.

{
    my @ports = ($replica->{port}, $master->{port});
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
        or die "no server: $!\n";
    my $pid = fork;

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{ALRM} = 'DEFAULT';
        alarm 20;

        while (my $c = $listen->accept) {
            my $port = @ports > 1 ? shift @ports : $ports[0];

            sysread $c, my $ping, 65536;
            syswrite $c, "+PONG\r\n";
            sysread $c, my $question, 65536;
            syswrite $c, join '', "*2\r\n", map { '$' . length($_)
                . "\r\n$_\r\n" } '127.0.0.1', $port;
        }

        POSIX::_exit(0);
    }

    my $asked = $replica->calls('scan');

    $r = ctl(['--store', as_user('redis://127.0.0.1:' . $listen->sockport
        . ' sentinel=mymaster'), 'key', 'list']);
    is($r->{status}, 0, 'a replica that was named') or diag($r->{err});
    is($replica->calls('scan'), $asked, 'was not used');
    kill 'KILL', $pid;
    waitpid $pid, 0;
}


# Sentinels.

my $fleet = ApikeySentinel->new(acl => \@acl, sentinel_password => 'watch-0123',
    down_after => 700);
my $words = $fleet->url;
my ($second, @store) = work('sentinels', $words);

for my $case (
    ['another name', $words =~ s/sentinel=mymaster/sentinel=other/r,
        qr/knows no master "other"/],
    ['a password that is missing', $words =~ s/sentinel_password_file=\S+//r,
        qr/NOAUTH|sentinel/],
    ['no sentinels', as_user("redis://127.0.0.1:$master->{port} "
        . 'sentinel=mymaster'), qr/is this a sentinel/],
) {
    my $start = Time::HiRes::time();

    $r = ctl(['--store', $case->[1] =~ /password_file=\Q$dir\E/ ? $case->[1]
        : as_user($case->[1]), 'key', 'list']);
    is($r->{status}, 3, "sentinels, $case->[0]");
    like($r->{err}, $case->[2], "sentinels, $case->[0]: why");
    cmp_ok(Time::HiRes::time() - $start, '<', 5,
        "sentinels, $case->[0]: at once");
}

# a user of the sentinels' own

my ($watcher) = acl('watcher') =~ /^user (.*)/;

for my $node ($fleet->sentinels) {
    is($node->command('ACL', 'SETUSER', split ' ', $watcher), 'OK',
        'ACL SETUSER watcher');
}

my $watched = $words =~ s/sentinel_password_file=\S+/sentinel_user=watcher /r
    . " sentinel_password_file=$dir/password";

is(ctl_json(['--store', as_user($watched), 'key', 'show', $second])->{status},
    'revoked', 'sentinels: a user of theirs');

{
    my $c = RedisClient->new(($fleet->sentinels)[0]{socket});

    $c->command('AUTH', 'watcher', $password);
    is($c->command('SUBSCRIBE', '+switch-master')->[2], 1,
        'sentinels: who may hear of another master');
    $c = RedisClient->new(($fleet->sentinels)[0]{socket});
    $c->command('AUTH', 'watcher', $password);
    eval { $c->command('SENTINEL', 'MASTERS') };
    like($@, qr/NOPERM/, 'sentinels: and no more');
}

import_while('failover', sub { $fleet->failover }, @store);

my $killed = $fleet->kill_master;

ok(ctl_json([@store, 'key', 'create', '--owner', 'k'])->{id},
    'sentinels: the master is killed, a key is made');
isnt($fleet->wait_master_change($killed, 20), $killed, 'by another one');
is(ctl_json([@store, 'key', 'show', $second])->{status}, 'revoked',
    'which has the old ones too');
$fleet->rejoin($killed);

my $frozen = $fleet->freeze_master;

$r = ctl([@store, 'key', 'create', '--owner', 'k']);
is($r->{status}, 0, 'sentinels: the master is frozen, a key is made')
    or diag($r->{err});
$frozen->resume;
undef $fleet;


# A cluster.

my $cluster = ApikeyCluster->new(acl => \@acl, masters => 3, replicas => 1,
    args => ['--cluster-require-full-coverage', 'no']);

($second, @store) = work('cluster', $cluster->url);

my %on;
$on{$cluster->node_of("apikey:key:$_->{id}")->{port}}++
    for @{ ctl_json([@store, 'key', 'list']) };
is(scalar keys %on, 3, 'cluster: all masters have some');

# one seed that lives is enough, and none is told

$words = as_user($cluster->url(($cluster->masters)[0]));
is(ctl_json(['--store', $words, 'key', 'show', $second])->{status}, 'revoked',
    'cluster: one seed');
$words =~ s/127\.0\.0\.1/127.0.0.1:$nobody,127.0.0.1/;
is(ctl_json(['--store', $words, 'key', 'show', $second])->{status}, 'revoked',
    'cluster: a dead seed');

$r = ctl(['--store', as_user('redis://127.0.0.1:'
    . ($cluster->masters)[0]->{port}), 'key', 'import', '--owner', 'a',
    '--keyring', $keyring],
    in => join '', map { "single-$_-123456\n" } 1 .. 50);
is($r->{status}, 3, 'a node that is not said to be of a cluster');
like($r->{err}, qr/say "cluster"|CROSSSLOT/, 'says so');

$r = ctl(['--store', as_user($master->tcp_url) . ' cluster', 'key', 'list']);
is($r->{status}, 3, 'a server that is no cluster');
like($r->{err}, qr/cluster support disabled/, 'says so');

# a slot on its way: ASK for what is gone, and TRYAGAIN

my ($from) = $cluster->node_of("apikey:key:$second");
my ($to) = grep { $_ != $from } $cluster->masters;
my $slot = $cluster->slot("apikey:key:$second");

$cluster->command('HSET', "apikey:key:$second", 'status', 'active');
$cluster->begin_move($slot, $to);
ok(ctl_json([@store, 'key', 'disable', $second])->{changed},
    'cluster: a slot is on its way, the key is not');
$cluster->move_keys($slot, $to, 100);
is(ctl_json([@store, 'key', 'show', $second])->{status}, 'disabled',
    'cluster: ASK, show');
ok(ctl_json([@store, 'key', 'enable', $second])->{changed},
    'cluster: ASK, a transaction');
is(ctl_json([@store, 'key', 'show', $second])->{status}, 'active',
    'cluster: ASK, it was made');
ok(ctl_json([@store, 'key', 'delete', $second])->{deleted},
    'cluster: ASK, delete');

$cluster->end_move($slot, $to);

# a mark and the usage of a key, whose slots are on their way

{
    my $mark = 'apikey:revoked:sub:ask';
    my @revoke = (@store, 'jwt', 'revoke', '--sub', 'ask', '--at');
    my $marks = sub {
        return join ' ', map { "$_->{value} $_->{at}" }
            @{ ctl_json([@store, 'jwt', 'revoked']) };
    };

    ($from, $slot) = ($cluster->node_of($mark), $cluster->slot($mark));
    ($to) = grep { $_ != $from } $cluster->masters;

    $cluster->begin_move($slot, $to);
    ctl_json([@revoke, '1000', '--expires', '2099-01-01']);
    is($marks->(), 'ask 1000', 'cluster: ASK, a new mark');
    is(ctl_json([@revoke, '2000'])->{at}, 2000, 'cluster: ASK, a later one');
    $cluster->end_move($slot, $to);
    is($cluster->command('GET', $mark), 2000, 'cluster: ASK, it was made');

    ($from, $to) = ($to, $from);
    $cluster->begin_move($slot, $to);
    is(ctl_json([@revoke, '3000'])->{at}, 3000,
        'cluster: the slot is on its way, the mark is not');
    $cluster->move_keys($slot, $to, 100);
    is($marks->(), 'ask 3000', 'cluster: ASK, marks');
    ok(ctl_json([@store, 'jwt', 'unrevoke', '--sub', 'ask'])->{removed},
        'cluster: ASK, unrevoke');
    $cluster->end_move($slot, $to);

    my $id = ctl_json([@store, 'key', 'create', '--owner', 'use'])->{id};
    my $usage = "apikey-usage:$id";

    ($from, $slot) = ($cluster->node_of($usage), $cluster->slot($usage));
    ($to) = grep { $_ != $from } $cluster->masters;
    $cluster->command('HSET', $usage, 'requests', 7, 'last_used', 1790000000);
    is(ctl_json([@store, 'key', 'show', $id])->{requests}, 7,
        'cluster: usage');
    $cluster->begin_move($slot, $to);
    $cluster->move_keys($slot, $to, 100);
    is(ctl_json([@store, 'key', 'show', $id])->{requests}, 7,
        'cluster: ASK, usage');
    is(ctl_json([@store, 'key', 'list', '--owner', 'use'])->[0]{last_used},
        1790000000, 'cluster: ASK, usage in a list');
    $r = ctl([@store, 'key', 'delete', $id]);
    is("$r->{status}$r->{err}", 0, 'cluster: ASK, delete');
    $cluster->end_move($slot, $to);
    is($cluster->command('EXISTS', $usage), 0, 'cluster: and its usage');
}

# an import into a slot on its way

{
    my $key = 'to-a-slot-on-its-way-1';
    my @import = (@store, 'key', 'import', '--owner', 'ask');

    ctl_json(\@import, in => "$key\n");

    my ($id) = map { $_->{id} }
        @{ ctl_json([@store, 'key', 'list', '--owner', 'ask']) };

    $from = $cluster->node_of("apikey:key:$id");
    ($to) = grep { $_ != $from } $cluster->masters;
    $slot = $cluster->slot("apikey:key:$id");
    ctl_json([@store, 'key', 'delete', $id]);
    $cluster->begin_move($slot, $to);
    is(ctl_json(\@import, in => "$key\n")->{imported}, 1,
        'cluster: ASK, import');
    is(ctl_json([@store, 'key', 'show', $id])->{owner}, 'ask',
        'cluster: ASK, it is there');
    is(ctl_json(\@import, in => "$key\n")->{there}, 1,
        'cluster: ASK, import again');
    $cluster->end_move($slot, $to);
    is(ctl_json([@store, 'key', 'show', $id])->{owner}, 'ask',
        'cluster: MOVED, it is there');
}

import_while('reshard', sub {
    my ($one, $two) = $cluster->masters;
    $cluster->reshard($one, $two, 600);
}, @store);

# a master that dies

my $victim = $cluster->node_of("apikey:key:dead");

$cluster->kill_node($victim);

$r = ctl([@store, 'key', 'list']);
is($r->{status}, 0, 'cluster: a master is killed, keys are listed')
    or diag($r->{err});
ok(ctl_json([@store, 'key', 'create', '--owner', 'k'])->{id},
    'cluster: a key is made') for 1 .. 6;

# published by any node, heard at any

{
    my ($node) = $cluster->masters;
    my $c = RedisClient->new($node->{socket});

    $c->command('SUBSCRIBE', 'apikey:changed');

    my $id = ctl_json([@store, 'key', 'create', '--owner', 'p'])->{id};
    my $told = $c->reply->[2];

    # those of before may still be on their way from node to node

    for (1 .. 6) {
        last if $told eq "apikey:key:$id";
        $told = $c->reply->[2];
    }

    is($told, "apikey:key:$id", 'cluster: published');
    ctl_json([@store, 'key', 'import', '--owner', 'p'],
        in => "published-12345678\n");
    is($c->reply->[2], '*', 'cluster: an import');
}

# nobody serves some slots

$_->cli('CLUSTER', 'DELSLOTS', 77) for grep { $_->{pid} } $cluster->nodes;
$r = ctl([@store, 'key', 'list']);
is($r->{status}, 3, 'cluster: a slot is served by nobody, and no list is made');
like($r->{err}, qr/nobody serves 1 of its slots/, 'says so');

$cluster->kill_node($_) for ($cluster->masters)[0],
    $cluster->replicas(($cluster->masters)[0]);
$r = ctl([@store, 'key', 'list']);
is($r->{status}, 3, 'cluster: a third of it is gone, and no list is made');
is($r->{out}, '', 'none of it');

done_testing();
