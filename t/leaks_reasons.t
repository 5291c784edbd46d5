#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for what refusals give away: every reason of the table, by every
# carrier, with every provider.  Answers, logs, the status page, the store, the
# environment of the workers and, where the log is not at the level debug, their
# memory hold no 12-byte piece of a secret.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyJWT;
use ApikeyTest;
use LeakScan;
use WorkerMemory;

my $t = ApikeyTest->new(reply => sub {
    return [ 200, [ [ 'Content-Type', 'text/plain' ] ], "done\n" ];
});

my $hmac = $t->secret('env-hmac-9Zz8Yy7Xx6Ww5Vv4Uu3Tt2Ss1Rr0Qq9');
my $listed = $t->secret('env-listed-0Aa1Bb2Cc3Dd4');

$ENV{APIKEY_TEST_HMAC} = $hmac;
$ENV{APIKEY_TEST_LIST} = $listed;

my @provider = source('ak_provider.c')
    =~ /(?:ak_bearer|ak_bare)\("([\w-]+)"|\.name = ak_string\("([\w-]+)"\)/g;

@provider = grep { defined } @provider;

my %reason = map { $_ => 1 }
    source('ak_error.c') =~ /^ +ak_(?:row|told|unauthorized)\("(\w+)"/mg;

delete @reason{qw(success ignore)};
cmp_ok(scalar keys %reason, '>', 20, 'the reasons of the table');
cmp_ok(scalar @provider, '>=', 12, 'the providers of the table');


sub source {
    my ($name) = @_;

    open my $fh, '<', ApikeyTest::root() . "/common/$name" or return '';
    local $/;

    return <$fh>;
}


my $providers = join '', map { <<"EOF" } @provider;
        location /provider/$_/ {
            apikey_inject $_;
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
EOF

my $conf = <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store %%STORE%% timeout=500ms;
    apikey_zone keys:8m negative_ttl=1s;

    apikey_stack all {
        auth     sufficient  static  keys=env:APIKEY_TEST_LIST;
        auth     sufficient  jwt     secret=env:APIKEY_TEST_HMAC exp=optional
                                     audience=api from=authorization,cookie:jwt;
        auth     required    key
            from=authorization,x-api-key,x-own,query:key,cookie:key,subprotocol;
        session  required    inject  openai;
        session  optional    identity  owner=X-Owner;
        session  optional    audit  log=%%DIR%%/audit.log;
    }

    apikey_stack tokens {
        auth     required  jwt  secret=env:APIKEY_TEST_HMAC exp=optional
                                audience=api from=authorization,cookie:jwt;
        session  optional  audit  log=%%DIR%%/audit.log;
    }

    apikey_stack scoped {
        auth     required  key;
        account  required  scope  admin;
    }

    apikey_stack rated {
        auth     required  key;
        account  required  rate  rate=1r/m;
    }

    apikey_stack refused {
        auth     required  key;
        session  required  debug  session=upstream_auth_failed;
    }

    log_format all '\$request \$status \$args \$uri \$apikey_id '
                   '\$apikey_owner \$apikey_name \$apikey_kind '
                   '\$apikey_reason \$apikey_module '
                   '\$apikey_cache \$apikey_provider \$apikey_slot';

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log all;
        add_header X-Reason \$apikey_reason always;
        add_header X-All "\$apikey_id \$apikey_owner \$apikey_slot" always;

        apikey all;

        location / { proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /keys { apikey on; apikey_inject openai;
                         proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /none { apikey on; apikey_inject openai fallback=none;
                         proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /tokens { apikey tokens;
                           proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /scoped { apikey scoped;
                           proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /rated { apikey rated;
                          proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /refused { apikey refused;
                            proxy_pass http://127.0.0.1:%%ECHO%%; }
        location /down { apikey on; apikey_inject openai;
                         proxy_pass http://127.0.0.1:%%PORT9%%; }
        location /status { apikey off; apikey_status json; }
        location /metrics { apikey off; apikey_status prometheus; }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%DIR%%/access-limit.log all;
        add_header X-Reason \$apikey_reason always;
        apikey on;
        apikey_fail_limit rate=1r/m burst=1;

        location / { proxy_pass http://127.0.0.1:%%ECHO%%; }
    }

    server {
        listen 127.0.0.1:%%PORT2%%;
        access_log %%DIR%%/access-providers.log all;
        apikey on;

$providers
    }
EOF

$t->http($conf);
$t->closed_port(9);
$t->start;

# Keys of all kinds, and upstream keys, of which some cannot be opened.

my %key = map { $_ => $t->put_key(owner => $_) }
    qw(alice damaged kid carol nothing rated);
my %record = (revoked => { status => 'revoked' },
    disabled => { status => 'disabled' }, expired => { expires => time - 5 });

$key{$_} = $t->put_key(owner => 'alice', %{ $record{$_} }) for keys %record;

my $n = 0;


sub upstream {
    return sprintf 'up-%04d-0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh', ++$n;
}


$t->upstream_key($_, upstream()) for @provider;
$t->upstream_key('openai', upstream(), owner => 'damaged', slot => 'a');
$t->upstream_key('openai', upstream(), owner => 'carol', slot => 'a');
$t->ctl('--keyring', "$t->{dir}/keyring2", 'init');
$t->secret($_) for $t->read_file('keyring2') =~ /^\w+ (\S+)$/mg;
$t->upstream_key('openai', upstream(), owner => 'kid',
    keyring => "$t->{dir}/keyring2");

my $slots = 'apikey:upstream:damaged:openai';
my $sealed = $t->redis_cmd('HGET', $slots, 'a') // '';

like($sealed, qr/^ak1\./, 'a token to damage');
substr($sealed, -9, 1) = substr($sealed, -9, 1) eq 'A' ? 'B' : 'A';
$t->redis_cmd('HSET', $slots, 'a', $sealed);

my $signer = { alg => 'HS256', pk => $hmac };
my %claims = (sub => 'alice', aud => 'api', iat => time - 60, jti => 'one');


sub token {
    my ($claims, $key) = @_;

    my $token = jwt($key || $signer, { %claims, %$claims });

    # a signature is a secret; what is before it says who somebody is

    my ($signature) = $token =~ /([^.]+)\z/;

    $t->secret($signature);

    return $token;
}


# The ways a credential may come; and those of tokens.

my %carrier = (
    authorization => sub { ('', Authorization => "Bearer $_[0]") },
    'x-api-key' => sub { ('', 'x-api-key' => $_[0]) },
    header => sub { ('', 'X-Own' => $_[0]) },
    query => sub { ("?a=b&key=$_[0]&c=d") },
    cookie => sub { ('', Cookie => "a=b; key=$_[0]; c=d") },
    subprotocol => sub { ('', 'Sec-WebSocket-Protocol' =>
        "chat, openai-insecure-api-key.$_[0]", Upgrade => 'websocket',
        Connection => 'upgrade') },
);

my %of_token = (
    authorization => $carrier{authorization},
    cookie => sub { ('', Cookie => "jwt=$_[0]") },
);

my ($texts, %got);


sub ask {
    my ($want, $uri, $way, $credential, %opt) = @_;

    my ($query, @headers) = $way ? $way->($credential) : ('');
    my $r = $t->request('GET', $uri . ($query // ''), \@headers, %opt);

    my $reason = $r->header('X-Reason') // 'none';

    $texts .= $r->text;
    $got{$reason}++;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($reason, $want, "$uri: $want") if defined $want;

    return $r;
}


sub keys_of {
    my ($want, $key, $uri) = @_;

    ask($want, $uri // '/', $carrier{$_}, ref $key ? $key->{key} : $key)
        for sort keys %carrier;
}


sub tokens_of {
    my ($want, $token) = @_;

    ask($want, '/tokens', $of_token{$_}, $token) for sort keys %of_token;
}


my $unknown = $t->secret(make_key()->{key});
my $foreign = $t->secret('foreign-0Aa1Bb2Cc3Dd4Ee5Ff6');
my $other = { alg => 'HS256',
    pk => $t->secret('another-hmac-5Tt4Rr3Ee2Ww1Qq0Zz9') };
my $wrong = $t->secret(ApikeyTest::native_key($key{alice}{id},
    'Ab0Cd1Ef2Gh3Ij4Kl5Mn6Op7Qr8St9Uv'));

my $mistyped = $key{alice}{key};

substr($mistyped, -1) =~ tr/0-9A-Za-z/1-9A-Za-z0/;

# What makes each of them; a new one needs a line here.

my %case = (
    missing => sub { ask('missing', '/') },
    malformed => sub { keys_of('malformed', $mistyped) },
    ambiguous => sub {
        ask('ambiguous', '/keys', sub { ('', Authorization => "Bearer $_[0]",
            'x-api-key' => $unknown) }, $key{alice}{key});
    },
    unknown => sub { keys_of('unknown', $_) for $unknown, $foreign, $wrong },
    revoked => sub { keys_of('revoked', $key{revoked}) },
    disabled => sub { keys_of('disabled', $key{disabled}) },
    expired => sub { keys_of('expired', $key{expired}) },
    jwt_malformed => sub {
        tokens_of('jwt_malformed', jwt($signer, '{"sub":'));
    },
    jwt_encrypted => sub {
        tokens_of('jwt_encrypted', join '.', b64('{"alg":"dir",'
            . '"enc":"A128GCM"}'), '', map { b64($_ x 16) } qw(i c t));
    },
    jwt_signature => sub { tokens_of('jwt_signature', token({}, $other)) },
    jwt_expired => sub {
        tokens_of('jwt_expired', token({ exp => time - 1000 }));
    },
    jwt_not_yet => sub {
        tokens_of('jwt_not_yet', token({ nbf => time + 5000 }));
    },
    jwt_claims => sub {
        tokens_of('jwt_claims', token({ aud => 'another' }));
    },
    jwt_revoked => sub {
        is($t->ctl('jwt', 'revoke', '--jti', 'gone'), 0, 'a revocation');
        wait_for(sub { ask(undef, '/tokens', $of_token{authorization},
            token({ jti => 'gone' }))->header('X-Reason') eq 'jwt_revoked' });
        tokens_of('jwt_revoked', token({ jti => 'gone' }));
    },
    wrong_kind => sub {
        ask('wrong_kind', '/tokens', $carrier{authorization}, $key{alice}{key});
        ask('wrong_kind', '/keys', $carrier{authorization}, token({}));
    },
    forbidden => sub {
        ask('forbidden', '/scoped', $carrier{$_}, $key{alice}{key})
            for qw(authorization x-api-key);
    },
    rate_limited => sub {
        ask(undef, '/rated', $carrier{authorization}, $key{rated}{key});
        ask('rate_limited', '/rated', $carrier{authorization},
            $key{rated}{key});
    },
    too_many_failures => sub {
        ask(undef, '/', $carrier{authorization}, $unknown,
            port => $t->port(1)) for 1 .. 3;
        ask('too_many_failures', '/', $carrier{authorization}, $unknown,
            port => $t->port(1));
    },
    unavailable => sub {
        $t->{redis}->pause;
        ask('unavailable', '/', $carrier{$_}, $t->secret(make_key()->{key}))
            for 'authorization', 'query', 'cookie';
        $t->{redis}->resume;
        ok(wait_for(sub { ask(undef, '/', $carrier{authorization},
            $t->put_key(owner => 'alice')->{key})->status == 200 }),
            'Redis is back');
    },
    upstream_key_missing => sub {
        ask('upstream_key_missing', '/none', $carrier{authorization},
            $key{nothing}{key});
    },
    upstream_key_error => sub {
        keys_of('upstream_key_error', $key{$_}) for qw(damaged kid);
    },
    upstream_auth_failed => sub {
        ask('upstream_auth_failed', '/refused', $carrier{authorization},
            $key{alice}{key});
    },
);


# Everything that the outside gets to see.

sub searched {
    my ($name) = @_;

    my @where = ([ 'answers', $texts ],
        [ 'the status page', $t->get('/status')->text ],
        [ 'metrics', $t->get('/metrics')->text ]);

    push @where, [ $_, $t->read_file($_) ] for 'audit.log', 'access.log',
        'access-limit.log', 'access-providers.log', 'nginx.out';

    push @where, [ "/proc/PID/environ of $_", slurp("/proc/$_/environ") ]
        for $t->workers;

    $t->redis_cmd('CONFIG', 'SET', 'rdbcompression', 'no');
    $t->redis_cmd('SAVE');

    push @where, [ 'the dump of Redis', join '', map {
        slurp("$_->{dir}/dump.rdb") } $t->{redis}->nodes ],
        [ "Redis' log", $t->{redis}->log ];

    for my $where (@where) {
        is($t->leak($where->[1]), undef, "$name, $where->[0]");
    }

    like($t->read_file('access.log'), qr/unknown/, "$name, there are logs");
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;

    return <$fh> // '';
}


# What OpenSSL is given it keeps: secrets of tokens are none of a request.

sub remembered {
    my %secrets = %{ $t->{secrets} };

    delete $secrets{$hmac};

    for my $pid ($t->workers) {
        my ($memory, $piece);

        wait_for(sub {
            $memory = WorkerMemory::writable($pid);
            $piece = LeakScan->new(\%secrets)->find($memory);
            return !defined $piece;
        }, 3);

        my $around = '';

        if (defined $piece) {
            $around = substr $memory, index($memory, $piece) - 60, 200;
            $around =~ s/[^ -~]/./g;
        }

        is($piece, undef, 'the memory of a worker') or diag($around);
    }
}


sub drive {
    my ($level) = @_;

    %got = ();
    $texts = '';

    keys_of(undef, $key{alice});
    ask(undef, '/', $carrier{authorization}, $listed);
    ask(undef, '/', $carrier{authorization}, $key{alice}{key} . ' x');
    ask(undef, '/down', $carrier{authorization}, $key{alice}{key});
    tokens_of(undef, token({}));

    for my $provider (@provider) {
        for my $owner (qw(alice kid damaged)) {
            $texts .= $t->request('GET', "/provider/$provider/",
                [ 'x-api-key' => $key{$owner}{key} ], port => $t->port(2))
                ->text;
        }
    }

    for my $reason (sort keys %reason) {
        ok($case{$reason}, "$level, a case for $reason") or next;
        $case{$reason}->();
        ok($got{$reason}, "$level, $reason was reached");
    }

    searched($level);
}


drive('debug');

# The same where nginx itself prints no headers: then memory is looked at, too.

$t->{level} = 'info';
$t->restart($conf);
drive('info');

SKIP: {
    skip 'memory of sanitizers and valgrind', 1
        if ApikeyTest::flavour() ne 'plain';
    remembered();
}

$t->done;
