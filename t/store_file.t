#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the embedded store: the same keys with no server, changes without a
# reload, and damage that costs one key only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes ();

use ApikeyTest;

my $t = ApikeyTest->new(embedded => 1, workers => 2, level => 'info');
my $json = JSON::PP->new->canonical;
my $file = $t->{store};

$t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        add_header X-Owner $apikey_owner always;
        add_header X-Cache $apikey_cache always;
        add_header X-Worker $pid always;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /inject {
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF


sub slurp {
    open my $fh, '<:raw', $file or die "$file: $!\n";
    local $/;

    return scalar <$fh>;
}


# Replaces the file as apikeyctl does.

sub replace {
    my ($text, $mode) = @_;

    rename $t->file('keys.new', $text, $mode // 0640), $file
        or die "$file: $!\n";
}


sub line {
    my ($key, %field) = @_;

    return $json->encode({ key => $key->{id},
        $t->record($key->{key}, %field) }) . "\n";
}


# The answers of both workers, by their process ids.

sub everywhere {
    my ($uri, $key) = @_;

    my %answer;

    wait_for(sub {
        my $r = $t->with_key($uri, $key);

        $answer{ $r->header('X-Worker') } = $r;

        return keys %answer == 2;
    });

    return map { $answer{$_}->status } sort keys %answer;
}


# Until both workers have the change.

sub taken_up {
    my ($mark) = @_;

    return wait_for(sub {
        my %pid = map { $_ => 1 }
            $t->error_log($mark) =~ / (\d+)#\d+: apikey: .* was read anew/g;

        return keys %pid == 2;
    });
}


sub change {
    my ($what) = @_;

    my $mark = $t->mark;

    $what->();

    return taken_up($mark);
}


my $alice = $t->create_key(owner => 'alice');
my $upstream = $t->upstream_key('openai', 'up-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7');
my ($bob, $r, $text, $mark, $own);

chmod 0644, $file;
$t->start;

# A key, no key

$r = $t->with_key('/', $alice);
is($r->status, 200, 'a key');
is($r->header('X-Owner'), 'alice', 'its owner');
is_deeply(credentials($t->with_key('/inject', $alice)),
    [ "authorization: Bearer $upstream" ], 'the upstream key');
denied($t->get('/'), 401, 'invalid_api_key', 'no key');
denied($t->with_key('/', make_key()), 401, 'invalid_api_key', 'an unknown key');

# Changes by apikeyctl, within a second, without a reload

my $start = Time::HiRes::time();

ok(change(sub { $bob = $t->create_key(owner => 'bob') }), 'a new key');
is_deeply([ everywhere('/', $bob) ], [ 200, 200 ], 'a new key serves');
cmp_ok(Time::HiRes::time() - $start, '<', 10 * ApikeyTest::slow(),
    'a new key, soon');

ok(change(sub { $t->ctl('key', 'disable', $bob->{id}) }), 'disable');
is_deeply([ everywhere('/', $bob) ], [ 401, 401 ], 'disabled');
ok(change(sub { $t->ctl('key', 'enable', $bob->{id}) }), 'enable');
is_deeply([ everywhere('/', $bob) ], [ 200, 200 ], 'enabled');
ok(change(sub { $t->ctl('key', 'revoke', $bob->{id}) }), 'revoke');
is_deeply([ everywhere('/', $bob) ], [ 401, 401 ], 'revoked');
ok(change(sub { $t->ctl('key', 'delete', $bob->{id}) }), 'delete');
is_deeply([ everywhere('/', $bob) ], [ 401, 401 ], 'deleted');

ok(change(sub {
    $own = $t->upstream_key('openai', 'up-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2',
        owner => 'alice');
}), 'an upstream key of her own');
is_deeply(credentials($t->with_key('/inject', $alice)),
    [ "authorization: Bearer $own" ], 'her own upstream key');

# Damage is told with its line and costs that key only.

$text = slurp();
$mark = $t->mark;
$bob = make_key();
$t->secret($bob->{key});

my $bad = line($bob, owner => 'bob');
$bad =~ s/"sha256\$|"\$sha256\$/"\$sha1\$/;

replace("# a note\n" . $bad . "\n{\"key\":\"cut\n" . $text);
ok(taken_up($mark), 'damaged lines');
like($t->error_log($mark), qr/\[error\] .*"\Q$file\E", line 2: /,
    'the line of a bad hash is told');
like($t->error_log($mark), qr/\[error\] .*"\Q$file\E", line 4: /,
    'the line of bad JSON is told');
is($t->with_key('/', $alice)->status, 200, 'damage beside, a key serves');
denied($t->with_key('/', $bob), 401, 'invalid_api_key', 'a damaged key');

# A key that is there twice: nobody can say which is right.

ok(change(sub { replace($text . line($bob) . line($bob, owner => 'eve')) }),
    'a key twice');
denied($t->with_key('/', $bob), 401, 'invalid_api_key', 'a key twice');
is($t->with_key('/', $alice)->status, 200, 'a key twice, another serves');

# What cannot be read leaves in force what was read.

for (
    ['gone', sub { rename $file, "$file.away" }, qr/cannot be looked at/],
    ['writable by the world', sub { replace($text, 0666) },
        qr/everybody may write/],
    ['a folder', sub { rename $file, "$file.away"; mkdir $file },
        qr/regular/],
) {
    my ($name, $what, $told) = @$_;

    $mark = $t->mark;
    $what->();
    ok(wait_for(sub { $t->error_log($mark) =~ /\[error\] .*$told/ }),
        "$name: told");
    is_deeply([ everywhere('/', $alice) ], [ 200, 200 ], "$name: it goes on");

    $mark = $t->mark;
    rmdir $file if -d $file;
    replace($text);
    ok(taken_up($mark), "$name: the file is back");
}

# A change that was refused is taken up as soon as it is mended, though its
# contents are the same.

$mark = $t->mark;
replace('', 0666);
ok(wait_for(sub { $t->error_log($mark) =~ /everybody may write/ }),
    'a change that is refused');
chmod 0640, $file;
ok(taken_up($mark), 'it is mended');
is_deeply([ everywhere('/', $alice) ], [ 401, 401 ], 'it is in force');
ok(change(sub { replace($text) }), 'as before');

# An empty file has no keys.

ok(change(sub { replace('') }), 'empty');
is_deeply([ everywhere('/', $alice) ], [ 401, 401 ], 'empty: no key');
ok(change(sub { replace($text) }), 'filled again');
is_deeply([ everywhere('/', $alice) ], [ 200, 200 ], 'filled again: a key');

# Written in place, in pieces, by an editor that does not rename

ok(change(sub {
    open my $fh, '>>', $file or die "$file: $!\n";
    print $fh line($bob, owner => 'bob');
    close $fh;
}), 'appended to');
is_deeply([ everywhere('/', $bob) ], [ 200, 200 ], 'appended to: both serve');

# Many keys are taken up while requests go on.

my $n = ApikeyTest::flavour() eq 'plain' ? 100_000 : 5_000;
my $record = { $t->record($bob->{key}, owner => 'many') };

$mark = $t->mark;
replace($text . line($bob) . join '', map {
    $record->{key} = sprintf 'k%011d', $_;
    $json->encode($record) . "\n";
} 1 .. $n);

my ($requests, $wrong) = (0, 0);

until ($t->error_log($mark) =~ /was read anew.*was read anew/s
       || $requests > 20000)
{
    $requests++;
    $wrong++ if $t->with_key('/', $bob)->status != 200;
}

is($wrong, 0, 'many keys: no request suffers') or diag("of $requests");
ok(taken_up($mark), 'many keys: taken up');
like($t->error_log($mark), qr/entries: @{[ $n + 4 ]}$/m, 'many keys: all');
is_deeply([ everywhere('/', $bob) ], [ 200, 200 ], 'many keys: a key');

# A reload in the middle of it

replace($text . line($bob));
ok($t->reload, 'a reload');
is_deeply([ everywhere('/', $bob) ], [ 200, 200 ], 'a reload: a key');

# Files that nginx refuses to start with

my $rc;

for (
    ['a file that is not there', "file:$t->{dir}/none", qr/none.*no such/i],
    ['a folder', "file:$t->{dir}", qr/regular/],
    ['no path', 'file:', qr/apikey_store/],
    ['options', "file:$file timeout=1s", qr/takes no options/],
) {
    my ($name, $store, $told) = @$_;

    ($rc, $text) = $t->check_conf("apikey_store $store;");
    is($rc, 1, "$name: refused");
    like($text, qr/$told.* in .*check\.conf:\d+/, "$name: why");
}

$t->done;
