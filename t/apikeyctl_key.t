#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl key: create, list, show, disable, enable, revoke, delete.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

my $redis = ApikeyRedis->new;

delete $ENV{APIKEY_KEYRING};
$ENV{APIKEY_STORE} = $redis->url;

my ($r, $d, @keys);

sub field {
    my ($id, $field) = @_;

    return $redis->cli('HGET', "apikey:key:$id", $field);
}

# an empty store

is_deeply(ctl_json(['key', 'list']), [], 'no keys');
like(ctl(['key', 'list'])->{out}, qr/^ID +OWNER +NAME +STATUS/, 'a header');

# create

my $now = time;
$d = ctl_json(['key', 'create', '--owner', 'alice', '--name', 'laptop',
    '--expires', '90d']);
push @keys, $d->{key};

is_deeply([sort keys %$d], [qw(created expires id key name owner status)],
    'fields of create --json');
like($d->{key}, qr/^sk-[0-9A-Za-z]{50}$/, 'a native key');
is(substr($d->{key}, 3, 12), $d->{id}, 'its id');
is("$d->{owner} $d->{name} $d->{status}", 'alice laptop active', 'the rest');
cmp_ok(abs($d->{created} - $now), '<=', 5, 'created now');
is($d->{expires}, $d->{created} + 90 * 86400, 'expires in 90 days');

my $id = $d->{id};
my %record = split /\n/, $redis->cli('HGETALL', "apikey:key:$id");

is_deeply([sort keys %record], [qw(created expires hash name owner status)],
    'fields of the record');
is($record{expires}, $d->{expires}, 'expires in the record');

my ($salt, $sum) = $record{hash} =~ /^\$sha256\$([\w-]{22})\$([\w-]{43})$/;

ok(defined $sum, 'a salted hash');
is(MIME::Base64::decode_base64url($sum || ''),
    Digest::SHA::sha256(MIME::Base64::decode_base64url($salt || ''),
        $d->{key}), 'of the whole key');

$r = ctl(['key', 'create', '--owner', "b\xc3\xb6b", '--brand', 'acme']);
is($r->{status}, 0, 'create');
is($r->{err}, '', 'nothing on stderr');
like($r->{out}, qr/^key +(sk-acme-[0-9A-Za-z]{50})$/m, 'a branded key');
push @keys, $r->{out} =~ /^key +(\S+)$/m;
like($r->{out}, qr/^owner +b\xc3\xb6b$/m, 'an owner in UTF-8');
like($r->{out}, qr/^expires +never$/m, 'never expires');
like($r->{out}, qr/^created +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/m, 'a time');
like($r->{out}, qr/will not be shown again/, 'told that it is shown once');

$d = ctl_json(['key', 'create', '--owner', 'carol', '--expires',
    '2099-01-31']);
push @keys, $d->{key};
is($d->{expires}, 4073500800, 'expires at a date');
is($d->{name}, '', 'no name');

$d = ctl_json(['key', 'create', '--owner=carol', '--expires=never']);
push @keys, $d->{key};
is($d->{expires}, 0, 'expires never');
is(field($d->{id}, 'expires'), '0', 'expires never in the record');

# --json before the noun, between, and behind the verb

for my $args (['--json', 'key', 'list'], ['key', '--json', 'list'],
    ['key', 'list', '--json'])
{
    is(scalar @{ JSON::PP->new->utf8->decode(ctl($args)->{out}) }, 4,
        "@$args");
}

# list

$d = ctl_json(['key', 'list']);
is(join(' ', map { $_->{owner} } @$d), "alice b\x{f6}b carol carol",
    'list by owner');
ok(!(grep { exists $_->{key} || exists $_->{hash} } @$d), 'without hashes');

$d = ctl_json(['key', 'list', '--owner', 'carol']);
is(scalar @$d, 2, 'list of an owner');
is_deeply(ctl_json(['key', 'list', '--owner', 'car']), [], 'of nobody');

$r = ctl(['key', 'list']);
unlike($r->{out}, qr/sha256/, 'a table without hashes');

utf8::decode(my $table = $r->{out});
my @lines = split /\n/, $table;
is(scalar @lines, 5, 'five lines');
is(index($lines[0], 'STATUS'), index($lines[2], 'active'),
    'columns stand under each other behind UTF-8');

# show

$d = ctl_json(['key', 'show', $id]);
is_deeply([sort keys %$d], [qw(created expires id last_used name owner requests
    status)], 'fields of show --json');
is($d->{id}, $id, 'the record');

$r = ctl(['key', 'show', $id]);
is($r->{status}, 0, 'show');
like($r->{out}, qr/^name +laptop$/m, 'a line of it');
unlike($r->{out}, qr/sha256/, 'without the hash');

$redis->cli('HSET', "apikey:key:$id", 'scopes', 'chat', 'meta.team', 'core',
    'from_the_future', '1');
$d = ctl_json(['key', 'show', $id]);
is($d->{scopes}, 'chat', 'scopes');
is_deeply($d->{meta}, { team => 'core' }, 'meta');
like(ctl(['key', 'show', $id])->{out}, qr/^meta\.team +core$/m, 'meta line');

# disable, enable, revoke

$r = ctl(['key', 'disable', $id]);
is($r->{status}, 0, 'disable');
like($r->{out}, qr/^Key $id is now disabled/, 'says so');
is(field($id, 'status'), 'disabled', 'disabled');
is(field($id, 'from_the_future'), '1', 'other fields stay');
is(field($id, 'hash'), $record{hash}, 'the hash stays');

is_deeply(ctl_json(['key', 'disable', $id]),
    { id => $id, status => 'disabled', changed => JSON::PP::false },
    'disable again');
is_deeply(ctl_json(['key', 'enable', $id]),
    { id => $id, status => 'active', changed => JSON::PP::true }, 'enable');
is(field($id, 'status'), 'active', 'enabled');

is(ctl(['key', 'revoke', $id])->{status}, 0, 'revoke');
is(field($id, 'status'), 'revoked', 'revoked');
is(ctl(['key', 'revoke', $id])->{status}, 0, 'revoke again');

for my $verb ('enable', 'disable') {
    $r = ctl(['key', $verb, $id]);
    is($r->{status}, 1, "$verb a revoked key");
    like($r->{err}, qr/^apikeyctl: .*revoked, which is final/, 'says why');
    is($r->{out}, '', 'nothing is told as done');
    is(field($id, 'status'), 'revoked', 'still revoked');
}

# what is not there

for my $verb (qw(show disable enable revoke delete)) {
    $r = ctl(['key', $verb, 'AAAAAAAAAAAA']);
    is($r->{status}, 1, "$verb of no key");
    like($r->{err}, qr/^apikeyctl: there is no key AAAAAAAAAAAA/, 'says so');
    is($r->{out}, '', 'nothing printed');
}

is($redis->cli('EXISTS', 'apikey:key:AAAAAAAAAAAA'), '0',
    'no record was made by a change');

# a foreign key pasted for an id is not told

$r = ctl(['key', 'show', 'f' x 64]);
is($r->{status}, 1, 'a foreign key for an id');
unlike($r->{err}, qr/ffff/, 'not told');

for my $key (@keys) {
    $r = ctl(['key', 'revoke', $key]);
    is($r->{status}, 2, 'a whole key for an id');
    unlike($r->{out} . $r->{err}, qr/\Q@{[substr $key, -38]}\E/, 'not told');
}

# delete

$redis->cli('HSET', "apikey-usage:$id", 'requests', 7);
$r = ctl(['key', 'delete', $id]);
is($r->{status}, 0, 'delete');
is($r->{err}, '', 'nothing to complain of');
is($redis->cli('EXISTS', "apikey:key:$id"), '0', 'deleted');
is($redis->cli('EXISTS', "apikey-usage:$id"), '0', 'and its usage');
is(ctl(['key', 'delete', $id])->{status}, 1, 'delete again');

# expired keys are shown so to people

$d = ctl_json(['key', 'create', '--owner', 'dora']);
push @keys, $d->{key};
$redis->cli('HSET', "apikey:key:$d->{id}", 'expires', $now - 100);
like(ctl(['key', 'list'])->{out}, qr/^$d->{id} +dora +- +expired /m,
    'an expired key');
is(ctl_json(['key', 'show', $d->{id}])->{status}, 'active',
    'the status of the record for machines');

# damaged records hurt themselves only

$redis->cli('HSET', 'apikey:key:bad1', 'owner', 'carol', 'hash', 'md5');
$redis->cli('SET', 'apikey:key:bad2', 'no hash');
$redis->cli('HSET', 'apikey:key:bad3', map { ($_, $_) } 1 .. 60);
$redis->cli('HSET', 'apikey:key:bad4', map { ($_, $_) } 1 .. 2500);
$redis->cli('HSET', 'apikey:key:bad4', map { ($_, $_) } 2500 .. 5000);
$redis->cli('HSET', "apikey:key:b\x1b[31mad", 'owner', 'eve');
$redis->cli('HSET', 'apikey:key:bad6', 'hash', $record{hash}, 'owner', 'eve',
    'status', 'activ');
$redis->cli('HSET', 'apikey:key:bad7', 'hash', $record{hash}, 'status',
    'active', 'owner', 'eve', 'expires', '12x');
$redis->cli('HSET', 'apikey:key:aaa', 'hash', $record{hash}, 'status',
    'active', 'owner', "mal\xff\x1b[2J", 'scopes', "\xff\x1b[2J");

$d = ctl_json(['key', 'list']);
my %damaged = map { ($_->{id} => $_->{damaged}) }
    grep { $_->{status} eq 'damaged' } @$d;

is(scalar keys %damaged, 8, 'damaged records are listed as such')
    or diag(explain(\%damaged));
like($damaged{bad1}, qr/"hash"/, 'a bad hash');
like($damaged{bad2}, qr/no hash/, 'no hash at all');
like($damaged{bad3}, qr/fields/, 'too many fields');
like($damaged{bad4}, qr/larger|fields/, 'larger than a session takes');
like($damaged{bad6}, qr/"status"/, 'a bad status');
like($damaged{bad7}, qr/"expires"/, 'a bad time');
is(scalar(grep { $_->{status} eq 'active' } @$d), 4, 'the others are there');

$r = ctl(['key', 'list']);
is($r->{status}, 0, 'a list with damaged records');
unlike($r->{out}, qr/\x1b/, 'nothing that steers a terminal');
like($r->{out}, qr/^damaged record bad1: .*"hash"/m, 'says why');

is_deeply([sort map { $_->{id} } @{ ctl_json(['key', 'list', '--owner',
    'eve']) }], ["b\x1b[31mad", 'bad6', 'bad7'], 'damaged ones of an owner');

for my $bad (qw(bad1 bad2 bad3 bad4)) {
    $r = ctl(['key', 'show', $bad]);
    is($r->{status}, 1, "show $bad");
    like($r->{err}, qr/record of key $bad is damaged/, "show $bad: why");

    for my $verb (qw(enable disable)) {
        is(ctl(['key', $verb, $bad])->{status}, 1, "$verb $bad");
    }
}

is(ctl(['key', 'revoke', 'bad1'])->{status}, 0, 'revoke a damaged record');
is(field('bad1', 'status'), 'revoked', 'revoked');
is(ctl(['key', 'revoke', 'bad2'])->{status}, 1, 'revoke what is no hash');
is(ctl(['key', 'delete', $_])->{status}, 0, "delete $_") for qw(bad2 bad4);

# many keys, and other keys beside them

my $hash = $record{hash};

for my $n (1 .. 2000) {
    $redis->send('HSET', sprintf('apikey:key:many%08d', $n), 'hash', $hash,
        'owner', 'many', 'status', 'active', 'created', $n, 'expires', 0);
    $redis->send('SET', "other:$n", $n);
    $redis->reply for 1 .. 2;
}

$d = ctl_json(['key', 'list', '--owner', 'many']);
is(scalar @$d, 2000, 'two thousand keys, each once');
is(join(',', map { $_->{created} } @$d), join(',', 1 .. 2000), 'in order');
like($redis->cli('INFO', 'commandstats'), qr/cmdstat_scan:/, 'SCAN was used');
unlike($redis->cli('INFO', 'commandstats'), qr/cmdstat_keys:/, 'KEYS was not');

for my $n (1 .. 2000) {
    $redis->command('DEL', sprintf 'apikey:key:many%08d', $n);
    $redis->command('DEL', "other:$n");
}

# a prefix

my $prefix = 'one-of.two:';
my @store = ('--store', $redis->unix_url . " prefix=$prefix");

$d = ctl_json([@store, 'key', 'create', '--owner', 'pia']);
push @keys, $d->{key};
is($redis->cli('EXISTS', "${prefix}key:$d->{id}"), '1', 'a prefix');
is(scalar @{ ctl_json([@store, 'key', 'list']) }, 1, 'its keys alone');

# a key that cannot be printed is taken back

if (-e '/dev/full') {
    my $before = $redis->cli('DBSIZE');

    for my $args (['key', 'create', '--owner', 'full'],
        ['key', 'create', '--owner', 'full', '--json'])
    {
        $r = ctl($args, out => '/dev/full');
        is($r->{status}, 1, "@$args on a full disk");
        like($r->{err}, qr/could not be printed and was deleted/, 'says so');
        unlike($r->{err}, qr/sk-/, 'the key is not told');
    }

    is($redis->cli('DBSIZE'), $before, 'no record is left');
    is(ctl(['key', 'list'], out => '/dev/full')->{status}, 1,
        'a list on a full disk');
}

{
    my $program = ctl_program();

    is(system("'$program' key create --owner closed >&- 2>/dev/null") >> 8, 1,
        'a closed stdout');

    # nobody reads any more when it begins

    pipe my $reader, my $writer or die "pipe: $!\n";
    close $reader;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{PIPE} = 'DEFAULT';
        open STDOUT, '>&', $writer;
        open STDERR, '>', '/dev/null';
        exec $program, 'key', 'list' or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    is($?, 1 << 8, 'a closed pipe is an error');
    is_deeply(ctl_json(['key', 'list', '--owner', 'closed']), [],
        'no record is left');
}

# no key is in the store, in pieces of twelve letters that are no id

my $dump = $redis->dump;

for my $key (@keys) {
    my $tail = substr $key, -38;
    my @found = grep { index($dump, substr $tail, $_, 12) >= 0 } 0 .. 26;

    is(scalar @found, 0, 'nothing of the secret of a key is in the store');
}

done_testing();
