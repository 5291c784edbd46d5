#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikey_status: both formats, counts of all workers that outlive
# them, how changes become known, and every kind of store.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(workers => 2);
my $single = ApikeyRedis::kind() =~ /^(?:tcp|unix|tls)$/;


sub conf {
    my ($store, $zone, $more) = @_;

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    $store
    apikey_zone keys:1m $zone;

    apikey_stack rated {
        auth     required  key;
        account  required  rate  rate=1r/m;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Pid \$pid always;
        root %%DIR%%/html;

        location / {
            apikey on;
        }

        location /rated {
            apikey rated;
        }

        location /inject {
            apikey on;
            apikey_inject openai;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }

        location /site {
            satisfy any;
            allow 127.0.0.1;
            deny all;
            apikey on;
            alias %%DIR%%/html;
        }

        location = /status {
            apikey_status;
        }

        location = /metrics {
            apikey_status prometheus;
        }
        ${\($more // '')}
    }
EOF
}


sub status {
    my $r = $t->get('/status');
    my $json = $r->status == 200 ? $r->json : undef;

    die 'no status: ' . $r->status . "\n" unless $json;

    return $json;
}


# Prometheus's text: { 'name{labels}' => value }; every line is looked at.

sub metrics {
    my ($text) = @_;

    my (%value, %type, %help, @wrong);
    my $label = qr/[a-z_]+="(?:[^"\\\n]|\\["\\n])*"/;

    push @wrong, 'its end' unless $text =~ /\n\z/;

    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP (\w+) \S.*\.$/) {
            push @wrong, $line if $help{$1}++;

        } elsif ($line =~ /^# TYPE (\w+) (gauge|counter)$/) {
            my ($name, $kind) = ($1, $2);

            push @wrong, $line if $type{$name} || !$help{$name}
                || ($name =~ /_total$/ ? 'counter' : 'gauge') ne $kind;
            $type{$name} = $kind;

        } elsif ($line =~ /^((\w+)(?:\{$label(?:,$label)*\})?)
            [ ](\d+(?:\.\d+)?)$/x)
        {
            push @wrong, $line if !$type{$2} || exists $value{$1};
            $value{$1} = $3;

        } else {
            push @wrong, $line;
        }
    }

    return (\%value, join "\n", @wrong);
}


sub scrape {
    my ($value, $wrong) = metrics($t->get('/metrics')->body);

    is($wrong, '', 'the text of Prometheus');

    return $value;
}


# Waits until both workers say so of $_, one after the other.

sub all_say {
    my ($what) = @_;

    return wait_for(sub {
        my %said;

        for (1 .. 100) {
            local $_ = status();

            return 0 unless $what->();
            $said{$_->{worker}} = 1;
            return 1 if keys %said == 2;
        }

        return 0;
    });
}


# Sent until each worker has had some; returns how many.

sub spread {
    my ($what) = @_;

    my (%pid, $n);

    for (1 .. 400) {
        my $r = $what->();

        $n++;
        $pid{$r->header('X-Pid') // ''}++;
        last if keys %pid == 2 && $n >= 20;
    }

    return $n;
}


$t->file('html/index.html', "served\n");
$t->file('html/file', "served\n");
$t->http(conf('apikey_store %%STORE%%;',
    'ttl=10m negative_ttl=5m stale=20m'))->start;

my ($r, $s, $m);

# What it looks like.

$r = $t->get('/status');
is($r->status, 200, 'json');
is($r->header('Content-Type'), 'application/json', 'json, its type');
is($r->header('Cache-Control'), 'no-store', 'json, not cached');

$r = $t->get('/metrics');
is($r->status, 200, 'prometheus');
is($r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8',
    'prometheus, its type');
is($r->header('Cache-Control'), 'no-store', 'prometheus, not cached');

$r = $t->request('HEAD', '/status');
is($r->status, 200, 'HEAD');
is($r->body, '', 'HEAD, no body');
cmp_ok($r->header('Content-Length'), '>', 100, 'HEAD, its length');

for my $method (qw(POST PUT DELETE OPTIONS)) {
    is($t->request($method, '/status', [], body => 'x' x 100)->status, 405,
        "$method");
}

# At the beginning.

ok(wait_for(sub { status()->{healthy} && @{ status()->{invalidation}{workers} }
    == 2 }), 'healthy, and both workers are told of changes');

$s = status();
is_deeply([ sort keys %$s ], [ sort qw(healthy version worker store
    invalidation bounds zone requests lookups slots) ], 'its parts');
is($s->{store}{type}, 'redis', 'the store');
is($s->{store}{topology}, $single ? 'single' : ApikeyRedis::kind(),
    'its topology');
is($s->{store}{waiting}, 0, 'nobody waits');

my %roles = (single => [ 'server' ], sentinel => [ 'master', 'sentinel' ],
    cluster => [ ('node') x 3 ]);

is_deeply([ sort map { $_->{role} } @{ $s->{store}{servers} } ],
    $roles{$s->{store}{topology}}, 'its servers');
is($s->{invalidation}{mode}, 'tracking', 'changes are known at once');
is_deeply($s->{bounds}, { ttl_ms => 600000, negative_ttl_ms => 300000,
    stale_ms => 1200000, apikeyctl_ms => 0, others_ms => 0,
    outage_ms => 1200000 }, 'the bounds');
is($s->{zone}{size_bytes}, 1048576, 'the size of the zone');
is($s->{requests}{granted}, 0, 'nothing was granted');
is_deeply([ sort keys %{ $s->{requests}{denied} } ],
    [ sort grep { !/^(?:success|ignore)$/ }
        ApikeyTest::_read(ApikeyTest::root() . '/common/ak_error.c')
        =~ /^ +ak_[a-z]+\("(\w+)",/mg ], 'all reasons');

if ($single) {
    my $server = $s->{store}{servers}[0];

    is($server->{state}, 'up', 'it is up');
    is($server->{why}, '', 'and there is no reason why not');
    like($server->{address}, qr/^127\.0\.0\.1:\d+$|^unix:\S+\.sock$/,
        'its address');
}

# Counts, of two workers.

my $good = $t->put_key;
my $off = $t->put_key(status => 'disabled');
my $rated = $t->put_key;
my $unknown = make_key();
my %n;

$t->secret($unknown->{key});

$n{granted} = spread(sub { $t->with_key('/file', $good) });
$n{missing} = spread(sub { $t->get('/file') });
$n{disabled} = spread(sub { $t->with_key('/file', $off) });
$n{unknown} = spread(sub { $t->with_key('/file', $unknown) });
$n{malformed} = spread(sub { $t->with_key('/file', 'sk-123') });
$n{passed} = spread(sub { $t->get('/site/file') });
$n{upstream_key_missing} = 3;
$t->with_key('/inject', $good) for 1 .. 3;
$t->with_key('/rated', $rated) for 1 .. 3;
$n{rate_limited} = 2;
$n{granted} += 1;


sub counts {
    my ($name) = @_;

    my $s = status();
    my %got = (granted => $s->{requests}{granted},
        passed => $s->{requests}{passed},
        map { $_ => $s->{requests}{denied}{$_} }
        grep { $s->{requests}{denied}{$_} } keys %{ $s->{requests}{denied} });

    is_deeply(\%got, \%n, $name);

    return $s;
}


$s = counts('the counts of two workers');
is($s->{lookups}{key}{miss}, 4, 'each key was looked up once');
is($s->{lookups}{key}{hit}, $n{granted} + $n{disabled} + $n{unknown} + 5 - 4,
    'and then was there');
is($s->{lookups}{key}{stale} + $s->{lookups}{key}{none}, 0, 'always');
is($s->{lookups}{upstream}{miss}, 2, 'upstream keys, of two owners');
is($s->{lookups}{upstream}{hit}, 4, 'upstream keys, again');
is($s->{zone}{kept}{entries}, 6,
    'entries: three keys, two owners without upstream keys, a bucket')
    or diag(explain($s->{zone}));
is($s->{zone}{kept}{evicted}, 0, 'nothing had to go');

$m = scrape();
is($m->{'apikey_requests_total{result="granted"}'}, $n{granted},
    'prometheus, granted');
is($m->{'apikey_requests_total{result="passed"}'}, $n{passed},
    'prometheus, passed');
is($m->{"apikey_requests_total{result=\"denied\",reason=\"$_\"}"}, $n{$_},
    "prometheus, $_") for grep { !/^(?:granted|passed)$/ } sort keys %n;
is($m->{'apikey_lookups_total{kind="key",source="miss"}'}, 4,
    'prometheus, look-ups');
is($m->{'apikey_healthy'}, 1, 'prometheus, healthy');
is($m->{'apikey_invalidation{mode="tracking"}'}, 1, 'prometheus, the mode');
is($m->{'apikey_invalidation{mode="ttl"}'}, 0, 'prometheus, no other mode');
is($m->{'apikey_invalidation_workers{mode="tracking"}'}, 2,
    'prometheus, the workers');
is($m->{'apikey_bound_seconds{bound="stale"}'}, '1200.000',
    'prometheus, a bound');
is(scalar(grep { /^apikey_redis_up\{/ && $m->{$_} } keys %$m),
    scalar @{ $s->{store}{servers} }, 'prometheus, all servers are up');

# An entry that goes is one less.

$t->redis_cmd('HSET', "apikey:key:$off->{id}", 'name', 'another');
ok(wait_for(sub { status()->{zone}{kept}{entries} == 5 }),
    'entries, when a key has changed');

# Nothing of whom they were.

for my $uri ('/status', '/metrics') {
    my $text = $t->get($uri)->text;

    is($t->leak($text), undef, "$uri, no secret");
    unlike($text, qr/\Q$good->{id}\E|\Q$off->{id}\E|alice/,
        "$uri, no id, no owner");
}

# They are there after a reload, and when a worker died.

ok($t->reload, 'a reload');
counts('the counts after a reload');
$n{granted} += spread(sub { $t->with_key('/file', $good) });
$n{missing} += spread(sub { $t->get('/file') });
counts('they go on after a reload');

$t->expect_alert(qr/worker process \d+ exited on signal 9/);

my ($victim) = $t->workers;

kill 'KILL', $victim;
ok(wait_for(sub { my @w = $t->workers; @w == 2
    && !grep { $_ == $victim } @w }), 'another worker for one that died');
$n{granted} += spread(sub { $t->with_key('/file', $good) });
counts('the counts when a worker has died');

# Whoever comes takes the place of one that went: the zone does not fill up.

my $free;

for my $n (1 .. 10) {
    $t->reload;
    wait_for(sub { scalar($t->workers) == 2 });
    status();
    $free = status()->{zone}{free_bytes} if $n == 2;
}

cmp_ok(status()->{zone}{free_bytes}, '>=', $free - 4096,
    'reloads leave nothing behind');
counts('the counts after more of them');

# Stopped, and back.

my %saved = map { $_ => $t->redis_cmd('HGETALL', $_) }
    @{ $t->redis_cmd('KEYS', '*') } if $single;

SKIP: {
    skip 'one server', 11 unless $single;

    my $distrusted = status()->{invalidation}{distrusted};

    $t->{redis}->stop;
    ok(all_say(sub { !$_->{healthy} && $_->{invalidation}{mode} eq 'none' }),
        'stopped, unhealthy, and nobody is told of changes');

    $s = status();
    is($s->{store}{servers}[0]{state}, 'down', 'stopped, the server is down');
    isnt($s->{store}{servers}[0]{why}, '', 'stopped, why');
    is($s->{bounds}{others_ms}, 0, 'not covered: each request asks');

    my $stale = $s->{lookups}{key}{stale};

    $t->with_key('/file', $good) for 1 .. 3;
    $n{granted} += 3;
    $t->with_key('/file', make_key()->{key});
    $n{unavailable}++;
    $s = counts('stopped, the counts');
    is($s->{lookups}{key}{stale}, $stale + 3, 'stopped, stale');
    is($s->{lookups}{key}{none}, 1, 'stopped, no answer');

    $m = scrape();
    is($m->{apikey_healthy}, 0, 'stopped, prometheus');

    $t->{redis}->start;
    $t->redis_cmd('HSET', $_, @{ $saved{$_} }) for keys %saved;

    ok(all_say(sub { $_->{healthy}
        && $_->{invalidation}{mode} eq 'tracking' }),
        'back, healthy');
    cmp_ok(status()->{invalidation}{distrusted}, '>', $distrusted,
        'back, nothing of before is trusted');
}

# Frozen: a query waits.

SKIP: {
    skip 'one server', 3 unless $single;

    $t->restart(conf('apikey_store %%STORE%% timeout=60s;', 'ttl=10m'));
    $t->{redis}->pause;

    my $c = $t->connect(timeout => 60);

    $c->send(ApikeyHTTP::bytes('GET', '/file',
        [ 'x-api-key' => $good->{key} ]));
    ok(wait_for(sub { status()->{store}{waiting} == 1 }), 'a query waits');
    $t->{redis}->resume;
    is($c->response->status, 200, 'it is answered');
    ok(wait_for(sub { status()->{store}{waiting} == 0 }), 'and waits no more');
}

# A server that refuses to tell of changes, or to tell of all.

SKIP: {
    skip 'one server', 20 unless $single;

    my %may = (messages => [ 'messages', 0, '+client|id', '+subscribe',
            '&apikey:changed' ],
        ttl => [ 'ttl', 45000 ],
        tracking => [ 'tracking', 0, '+client|id', '+client|tracking',
            '+subscribe', '&__redis__:invalidate' ],
        off => [ 'off', 45000, '+client', '+subscribe', 'allchannels' ]);

    $t->file('redis.pw', "app-password-0Aa1Bb2Cc3\n", 0600);

    for my $mode (sort keys %may) {
        my (undef, $ctl, @right) = @{ $may{$mode} };
        my $more = $mode eq 'off' ? 'invalidation=off' : '';

        $t->redis_cmd('ACL', 'SETUSER', 'app', 'reset', 'on',
            '>app-password-0Aa1Bb2Cc3', '~apikey:*', '+hgetall', '+ping',
            '+select', @right);
        $t->restart(conf("apikey_store %%STORE%% user=app
            password_file=%%DIR%%/redis.pw $more;", 'ttl=45s'));

        ok(wait_for(sub { status()->{invalidation}{mode} eq $mode }), $mode)
            or diag($t->get('/status')->body);
        ok(wait_for(sub { status()->{healthy} }), "$mode, healthy");
        is_deeply([ @{ status()->{bounds} }{qw(apikeyctl_ms others_ms)} ],
            [ $ctl, $mode eq 'tracking' ? 0 : 45000 ], "$mode, its bounds");
        is(scrape()->{"apikey_invalidation{mode=\"$mode\"}"}, 1,
            "$mode, prometheus");
    }
}

# A zone that is full.

SKIP: {
    skip 'many keys', 2 if ApikeyTest::slow() > 1;

    (my $conf = conf('apikey_store %%STORE%%;', 'ttl=10m'))
        =~ s/keys:1m/keys:32k/;
    $t->restart($conf);

    for (1 .. 150) {
        my $key = make_key();

        $t->redis_cmd('HSET', "apikey:key:$key->{id}",
            $t->record($key->{key}, 'meta.team' => 'x' x 200));
        $t->with_key('/file', $key->{key});
    }

    cmp_ok(status()->{zone}{kept}{evicted}, '>', 50, 'what went is counted');
    is(status()->{requests}{granted}, 150, 'and all were granted');
}

# The page itself can be protected, by whatever protects others.

$t->restart(conf('apikey_store %%STORE%%;', 'ttl=10m', <<'EOF'));
        location = /guarded {
            apikey on;
            apikey_status;
        }

        location = /denied {
            deny all;
            apikey_status;
        }
EOF

is($t->get('/guarded')->status, 401, 'guarded by a key');
is($t->get('/denied')->status, 403, 'denied');

# A file.

my $file = "$t->{dir}/keys";

$t->ctl('key', 'create', '--owner', 'alice', { store => "file:$file" }) == 0
    or die $t->{err};
$t->secret($1) while $t->{out} =~ /(sk-\w+)/g;
$t->restart(conf("apikey_store file:$file;", 'ttl=10m'));

$s = status();
ok($s->{healthy}, 'a file, healthy');
is_deeply($s->{store}, { type => 'file', path => $file, entries => 1,
    damaged_lines => 0, lost_revocations => 0, trouble => undef },
    'a file, how it stands');
is($s->{invalidation}, undef, 'a file, nothing to be told of');
is($s->{bounds}, undef, 'a file, no times');

$m = scrape();
is($m->{'apikey_store_info{type="file"}'}, 1, 'a file, prometheus');
is($m->{apikey_file_entries}, 1, 'a file, its entries');

rename $file, "$file.away";
ok(all_say(sub { !$_->{healthy} && defined $_->{store}{trouble} }),
    'a file that is gone');
is(status()->{store}{entries}, 1, 'what was read stays');
rename "$file.away", $file;
ok(all_say(sub { $_->{healthy} }), 'a file that is back');

open my $fh, '>>', $file or die "$file: $!\n";
print $fh "{\"revoked\"\n";
close $fh;
ok(all_say(sub { !$_->{healthy} && $_->{store}{lost_revocations} }),
    'a revocation that is lost');
$t->expect_alert(qr/a revocation of which nobody can tell/);

# No store at all, and nothing that is protected.

$t->restart(<<'EOF');
    server {
        listen 127.0.0.1:%%PORT%%;

        location = /status {
            apikey_status json;
        }

        location = /metrics {
            apikey_status prometheus;
        }
    }
EOF

$s = status();
ok($s->{healthy}, 'no store, healthy');
is_deeply($s->{store}, { type => 'none' }, 'no store');
is(scrape()->{'apikey_store_info{type="none"}'}, 1, 'no store, prometheus');

# What it does not take.

for my $bad (
    [ 'apikey_status xml;', qr/invalid value "xml", it must be "json" or/ ],
    [ 'apikey_status json prometheus;', qr/invalid number of arguments/ ],
    [ 'apikey_status; apikey_status prometheus;', qr/is duplicate/ ],
) {
    my ($rc, $out) = $t->check_conf("server { location / { $bad->[0] } }");

    is($rc, 1, $bad->[0]);
    like($out, $bad->[1], "$bad->[0], why");
}

$t->done;
