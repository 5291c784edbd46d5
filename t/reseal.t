#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the rotation of the master key, from the new key to the end of the
# old one, with nginx under load: no request fails, and every owner's own secret
# goes upstream.  And for reseal: cut off, beside others who write, with tokens
# that cannot be opened.
#
# APIKEY_RESEAL=100000 has so many tokens, instead of 2,000.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(:flock);
use JSON::PP ();
use Test::More;
use Time::HiRes ();

use ApikeyCtl;
use ApikeyRedis;
use ApikeyTest;
use FakeRedis;
use FaultProxy;
use LoadGen;
use TestProc;

plan(skip_all => 'redis-server is not installed')
    unless ApikeyRedis::available();

my $slow = ApikeyTest::flavour() ne 'plain';
my $tokens = $ENV{APIKEY_RESEAL} || ($slow ? 300 : 2000);
my $clients = $slow ? 50 : 500;
my $seal = File::Basename::dirname(ctl_program()) . '/seal';


# The upstream says whether it was sent the secret of the owner.

sub reply {
    my ($req) = @_;

    my ($owner) = seen($req, 'x-owner');
    my $sent = join ' ', @{ credentials($req) };

    return $sent eq "authorization: Bearer " . secret_of($owner) ? undef
        : [ 500, undef, "wrong secret\n" ];
}


sub secret_of { return "sk-upstream-of-$_[0]-0Aa1Bb2Cc3Dd4" }


# Tokens of the owners o1, o2, ... by the first master key of the keyring.

sub put_tokens {
    my ($t, $n) = @_;

    open my $fh, '>', "$t->{dir}/rows" or die;
    print $fh map { "o$_ openai default " . secret_of("o$_") . "\n" } 1 .. $n;
    close $fh;

    my @token = `$seal $t->{keyring} < $t->{dir}/rows`;

    chomp @token;
    die "seal\n" if @token != $n;

    if ($t->{embedded}) {
        $t->file('keys', join('', map { qq({"upstream":"o$_","provider":)
            . qq("openai","slots":{"default":"$token[$_ - 1]"}}\n) } 1 .. $n),
            0640);
        return;
    }

    for (my $i = 0; $i < $n; $i += 1000) {
        my $last = $i + 1000 < $n ? $i + 999 : $n - 1;

        $t->redis_send('HSET', 'apikey:upstream:o' . ($_ + 1) . ':openai',
            'default', $token[$_]) for $i .. $last;
        $t->redis_reply for $i .. $last;
    }
}


sub put_keys {
    my ($t, $n) = @_;

    my @keys = map { make_key() } 1 .. $n;

    is($t->ctl('key', 'import', '--format', 'csv', { stdin => "key,owner\n"
        . join '', map { "$keys[$_ - 1]{key},o$_\n" } 1 .. $n }), 0,
        'the keys of clients') or diag($t->{err});

    return @keys;
}


sub json {
    my ($t, @args) = @_;

    my $rc = $t->ctl('--json', @args);

    is($rc, 0, "@args") or diag($t->{err});

    return $rc eq '0' ? JSON::PP->new->utf8->decode($t->{out}) : {};
}


sub make {
    my (%opt) = @_;

    my $t = ApikeyTest->new(workers => 2, level => 'info', reply => \&reply,
        %opt);

    $t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai fallback=none;

        location / {
            proxy_set_header X-Owner $apikey_owner;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

    return $t;
}


# From one key to the next

for my $kind ('redis', 'embedded') {
    next if $kind eq 'embedded' && $ENV{APIKEY_TEST_STORE};

    my $t = make(embedded => $kind eq 'embedded');

    put_tokens($t, $tokens);

    my @keys = put_keys($t, $clients);
    my ($old) = map { $_->{kid} } @{ json($t, 'keyring', 'check')->{masters} };

    $t->start;

    my $load = LoadGen->start(port => $t->port, rate => $slow ? 50 : 400,
        seconds => 120, keys => \@keys);
    my $from = Time::HiRes::time();

    # every worker learns the new key before anything is sealed with it; in two
    # steps, or in one, where nobody else seals

    my $two = $kind eq 'redis';
    my $new = json($t, 'keyring', $two ? 'add' : 'rotate')->{kid};

    ok($t->reload, "$kind, a reload");
    is(json($t, 'keyring', 'rotate', $new)->{old_kid}, $two ? $old : $new,
        "$kind, the new one seals");

    # what is sealed at once is opened at once

    $t->upstream_key('openai', secret_of('late'), owner => 'late');

    my $late = $t->create_key(owner => 'late');

    # a file is looked at from time to time

    ok(wait_for(sub { $t->with_key('/', $late)->status != 401 }),
        "$kind, a new owner");
    is($t->with_key('/', $late)->status, 200, "$kind, sealed with the new one");

    my $began = Time::HiRes::time();
    my $d = json($t, 'upstream', 'reseal');
    my $took = Time::HiRes::time() - $began;

    is($d->{resealed}, $tokens, "$kind, all are sealed anew");
    is($d->{already}, 1, "$kind, but the one that is");
    note(sprintf '%s: %d tokens in %.2f s', $kind, $tokens, $took);

    is(json($t, 'keyring', 'retire', $old)->{kid}, $old, "$kind, retire");
    ok($t->reload, "$kind, another reload");

    # all of them once more

    wait_for(sub { Time::HiRes::time() - $from > 3 });
    $load->stop;

    my $n = $load->count;

    cmp_ok($n, '>', 100, "$kind, there were requests");
    is($load->count(status => 200), $n, "$kind, none failed")
        or diag(explain($load->summary->{status}));

    my @bad = grep { $t->with_key('/', $_)->status != 200 } @keys;

    is(scalar @bad, 0, "$kind, each owner's own secret goes upstream");

    $d = json($t, 'keyring', 'check');
    is_deeply($d->{masters}, [ { kid => $new, seals => JSON::PP::true,
        in_keyring => JSON::PP::true, tokens => $tokens + 1 } ],
        "$kind, one master key has sealed all");
    json($t, 'upstream', 'check');
    ok($t->stop, "$kind, nginx ends cleanly");
}


# Cut off, by a signal that lets it end a change, and by one that does not

my $t = ApikeyTest->new;
my $many = 300;

put_tokens($t, $many);

# a server that takes its time for changes, so that there is something left

my $proxy = ApikeyRedis::kind() =~ /sentinel|cluster/ ? undef
    : FaultProxy->new(to => $t->{redis}{socket});

$proxy->mode('delay', seconds => 0.005, match => 'WATCH') if $proxy;

for my $case ([ 'INT', 256, qr/^apikeyctl: interrupted; repeat/m ],
    [ 'TERM', 256, qr/^apikeyctl: interrupted; repeat/m ], [ 'KILL', 9, qr// ])
{
    my ($signal, $status, $err) = @$case;

    next unless $proxy;

    json($t, 'keyring', 'rotate');

    my $kid = json($t, 'keyring', 'check')->{masters}[0]{kid};

    local @ENV{qw(APIKEY_STORE APIKEY_KEYRING)} = ($proxy->url, $t->{keyring});

    my $pid = fork;

    if ($pid == 0) {
        open STDERR, '>', "$t->{dir}/err";
        open STDOUT, '>', "$t->{dir}/out";
        exec ctl_program(), 'upstream', 'reseal' or POSIX::_exit(127);
    }

    # the first of them, in the order of names

    my $name = 'apikey:upstream:o100:openai';

    ok(wait_for(sub {
        $t->redis_cmd('HGET', $name, 'default') =~ /^ak1\.$kid\./ }),
        "$signal, it has begun");

    kill $signal, $pid;
    waitpid $pid, 0;
    is($?, $status, "$signal, its end");
    like($t->read_file('err'), $err, "$signal, what it says");

    my $check = json($t, 'keyring', 'check');
    my ($done, $left) = map { $_->{tokens} } @{ $check->{masters} }[0, 1];

    is($done + $left, $many, "$signal, none is lost");
    ok($done > 0 && $left > 0, "$signal, in the middle") or diag($done);
    json($t, 'upstream', 'check');

    my $d = json($t, 'upstream', 'reseal');

    is($d->{resealed}, $left, "$signal, again: what was left");
    is($d->{already}, $done, "$signal, again: what was done");
    json($t, 'keyring', 'retire', $check->{masters}[1]{kid});
}

# What cannot be opened is told and left; the others are sealed anew.

{
    $t->redis_cmd('DEL', "apikey:upstream:o$_:openai") for 1 .. $many;
    put_tokens($t, 3);
    $t->upstream_key('openai', 'another-secret', owner => 'o1', slot => 'b');

    my ($old) = map { $_->{kid} } @{ json($t, 'keyring', 'check')->{masters} };

    json($t, 'keyring', 'rotate');

    my $token = $t->redis_cmd('HGET', 'apikey:upstream:o2:openai', 'default');
    my $alien = $token =~ s/\.$old\./.deadbeef./r;

    $t->redis_cmd('HSET', 'apikey:upstream:o1:openai', 'moved', $token, 'text',
        'no token', 'alien', $alien);
    $t->redis_cmd('HSET', 'apikey:upstream:o4:openai', 'alien', $alien);
    $t->redis_cmd('SET', 'apikey:upstream:o5:openai', 'no hash');

    is($t->ctl('--json', 'upstream', 'reseal'), 1, 'not all of them open');

    my $d = JSON::PP->new->utf8->decode($t->{out});

    is($d->{resealed}, 4, 'those that do are sealed anew');
    ok(!$d->{complete}, 'not all are');

    my %failed = map { ("$_->{owner}/$_->{slot}/" . ($_->{kid} // 'none')
        => $_->{error}) } @{ $d->{failed} };

    is(join(' ', sort keys %failed), "o1/alien/deadbeef o1/moved/$old "
        . 'o1/text/none o4/alien/deadbeef o5//none', 'which are not');
    like($failed{'o4/alien/deadbeef'}, qr/unknown master key/, 'an alien one');
    like($failed{"o1/moved/$old"}, qr/damaged, or moved/, 'one that was moved');
    like($failed{'o1/text/none'}, qr/no sealed token/, 'one that is none');
    like($failed{'o5//none'}, qr/no hash/, 'a set that is none');
    like($t->{err}, qr/^apikeyctl:\ left\ as\ it\ is:\ owner\ o1,\ provider
        \ openai,\ slot\ moved,\ master\ key\ $old:\ damaged/mx,
        'told to people too');
    like($t->{err}, qr/^apikeyctl: 5 could not be opened/m, 'how many');
    is($t->redis_cmd('HGET', 'apikey:upstream:o1:openai', 'moved'), $token,
        'they are as they were');

    is($t->ctl('keyring', 'retire', $old), 1,
        'the old key stays, for the one that was moved');
    is($t->ctl('keyring', 'check'), 4, 'keyring check tells of them');

    $t->redis_cmd('DEL', "apikey:upstream:o$_:openai") for 1, 4, 5;
    is($t->ctl('keyring', 'retire', $old), 0, 'without them it goes');
}

# A bar on a terminal

{
    json($t, 'keyring', 'rotate');

    local @ENV{qw(APIKEY_STORE APIKEY_KEYRING)} = ($t->_store, $t->{keyring});

    my $pty = ApikeyCtl::Pty->start([ 'upstream', 'reseal' ]);

    SKIP: {
        skip 'no terminals here', 2 unless $pty;
        is($pty->wait, 0, 'on a terminal');
        like($pty->{seen}, qr/\[#{30}\] 100% 2 tokens\r\n/, 'a bar');
    }
}

# Somebody else's change between the look and the change stands.  The server is
# one that says so.

SKIP: {
    skip 'there is one server only', 4 if $ENV{APIKEY_TEST_STORE};

    put_tokens($t, 1);

    my %token = (old => $t->redis_cmd('HGET', 'apikey:upstream:o1:openai',
        'default'));

    json($t, 'keyring', 'rotate');
    put_tokens($t, 1);
    $token{new} = $t->redis_cmd('HGET', 'apikey:upstream:o1:openai',
        'default');

    my $f = FakeRedis->new(reply => sub {
        my ($state, $port, @argv) = @_;
        my $name = 'apikey:upstream:o1:openai';

        return [ '0', [ $name ] ] if $argv[0] eq 'SCAN';
        return \'+OK' if $argv[0] =~ /^(?:WATCH|MULTI)$/;
        return \'+QUEUED' if $argv[0] eq 'HSET';
        return [ 'default', $state->{foiled} ? $token{new} : $token{old} ]
            if $argv[0] eq 'HGETALL';

        if ($argv[0] eq 'EXEC') {
            $state->{foiled} = 1;
            return undef;
        }

        return;
    });

    my $r = ctl(['--json', '--store', "redis://127.0.0.1:$f->{ports}[0]",
        '--keyring', $t->{keyring}, 'upstream', 'reseal']);

    is($r->{status}, 0, 'reseal is foiled') or diag($r->{err});

    my $d = $r->{status} ? {} : JSON::PP->new->utf8->decode($r->{out});

    is("$d->{resealed} $d->{already}", '0 1',
        'what somebody else has set is not sealed over');

    my @asked = map { $_->[1] } $f->asked;

    is(scalar(grep { $_ eq 'HSET' } @asked), 1, 'nor written to');
    is(scalar(grep { $_ eq 'WATCH' } @asked), 2, 'it looked again');
    $f->stop;
}

# The embedded store is written once; a file whose turn never came is as it was.

SKIP: {
    skip 'is about the embedded store', 12 if $ENV{APIKEY_TEST_STORE};

    my $e = ApikeyTest->new(embedded => 1);

    put_tokens($e, 50);
    json($e, 'keyring', 'rotate');

    my $before = slurp($e->{store});
    my $inode = (stat $e->{store})[1];

    local @ENV{qw(APIKEY_STORE APIKEY_KEYRING)} = ($e->_store, $e->{keyring});

    for my $signal (qw(KILL INT)) {
        open my $lock, '>>', "$e->{store}.lock" or die;
        flock $lock, LOCK_EX;

        my $pid = fork;

        if ($pid == 0) {
            close $lock;
            open STDERR, '>', "$e->{dir}/err";
            open STDOUT, '>&', \*STDERR;
            exec ctl_program(), 'upstream', 'reseal' or POSIX::_exit(127);
        }

        ok(wait_for(sub {
            slurp('/proc/locks') =~ /-> FLOCK +ADVISORY +WRITE $pid / }),
            "$signal, it waits for its turn");

        kill $signal, $pid;
        close $lock;
        waitpid $pid, 0;
        isnt($?, 0, "$signal, its end");
        is(slurp($e->{store}), $before, "$signal, the file is as it was");
    }

    is((stat $e->{store})[1], $inode, 'the file itself');
    is(json($e, 'upstream', 'reseal')->{resealed}, 50, 'again');
    isnt((stat $e->{store})[1], $inode, 'a new file');
    ok(!-e "$e->{store}.new", 'nothing is left');
}

done_testing();
