#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for sentinels that want a password, or TLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use ApikeyRedis;
use ApikeySentinel;
use ApikeyTest;

plan(skip_all => 'there is no redis-server')
    unless ApikeyRedis::available();
ApikeyRedis::needs_store('tcp');


my $t = ApikeyTest->new(redis => 0, level => 'info');
my $s = $t->{redis} = ApikeySentinel->new(replicas => 1, sentinels => 1,
    password => 'data-pw-8c1f', sentinel_password => 'watch-pw-77d2');


sub conf {
    my ($store) = @_;

    return <<"EOF";
    apikey_keyring %%KEYRING%%;
    apikey_store $store;
    apikey_zone keys:1m ttl=10m stale=10m;

    server {
        listen 127.0.0.1:%%PORT%%;
        apikey on;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF
}


sub status { return $t->with_key('/', $_[0])->status }


my $url = $s->url;
my ($key, $other) = map { $t->put_key } 1, 2;

$t->secret($_) for qw(data-pw-8c1f watch-pw-77d2);

$t->http(conf($url))->start;
is(status($key), 200, 'passwords of both');

# The sentinel's is another one.

my $wrong = $t->file('wrong', "wrong-pw-5a5a5a5a\n", 0600);

$t->secret('wrong-pw-5a5a5a5a');
$t->restart(conf($url =~ s/sentinel_password_file=\S+/
    sentinel_password_file=$wrong/xr));
is(status($key), 503, 'a wrong password');
like($t->error_log, qr/sentinel\ is\ unavailable:\ the\ server\ refused\ the
    \ handshake:\ (?:WRONGPASS|ERR\ invalid\ password)/x, 'the log says why');

my $mark = $t->mark;

$t->restart(conf($url =~ s/ sentinel_password_file=\S+//r));
is(status($key), 503, 'no password for the sentinel');
like($t->error_log($mark), qr/sentinel is unavailable: .*NOAUTH/,
    'the log says that too');

$mark = $t->mark;
$t->restart(conf($url =~ s/ password_file=\S+//r));
is(status($key), 503, 'no password for the master');
like($t->error_log($mark), qr/redis is unavailable: .*NOAUTH/, 'and that');
unlike($t->error_log($mark), qr/sentinel is unavailable/,
    'the sentinel is well');

# A user of the sentinel with no more rights than it needs, without and with
# that to subscribe.

my ($sentinel) = $s->sentinels;
my $file = $t->file('user', "user-pw-90ab90ab\n", 0600);

$t->secret('user-pw-90ab90ab');
$sentinel->command(qw(ACL SETUSER asks on >user-pw-90ab90ab),
    qw(+sentinel|get-master-addr-by-name +ping));
$url =~ s/sentinel_password_file=\S+/sentinel_password_file=$file/;
$url .= ' sentinel_user=asks';
$mark = $t->mark;
$t->restart(conf($url));
is(status($key), 200, 'a user of the sentinel');
ok(wait_for(sub { $t->error_log($mark) =~ /refuses to subscribe/ }, 5),
    'that it may not subscribe is told');

# Then the loss of the master is what tells.

$s->failover;
ok(wait_for(sub { status($other) == 200 }, 10), 'a switch without being told');
ok(wait_for(sub { $t->error_log($mark) =~ /the master of redis is/ }, 10),
    'the new master is in use');

$sentinel->command(qw(ACL SETUSER asks &+switch-master +subscribe));
$mark = $t->mark;
$t->restart;
is(status($key), 200, 'a user who may subscribe');
unlike($t->error_log($mark), qr/refuses to subscribe/, 'does');

# TLS, whose authority is not the system's.

my $tls = ApikeySentinel->new(replicas => 0, sentinels => 1, tls => 1);

$t->{redis} = $tls;
$key = $t->put_key;
$t->restart(conf($tls->url));
is(status($key), 200, 'by TLS');

$mark = $t->mark;
$t->restart(conf($tls->url =~ s/ ssl_trusted_certificate=\S+//r));
is(status($key), 503, 'by TLS, a stranger');
like($t->error_log($mark), qr/sentinel is unavailable: .*certificate/,
    'the log says so');

$t->done;
