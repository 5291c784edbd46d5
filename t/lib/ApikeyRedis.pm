package ApikeyRedis;

# (C) ngx_apikey_module contributors

# A private Redis for one test file, in a temporary folder that goes away with
# it: a server on a unix socket and on a free loopback port or, where
# APIKEY_TEST_STORE asks for it, a fleet.
#
#   my $r = ApikeyRedis->new;               starts it, waits until it answers
#   my $r = ApikeyRedis->new(dir => $dir, args => ['--maxmemory', '10mb'],
#                            acl => ['user app on >pw ~* +@all'],
#                            start => 0);   all of them optional
#   my $r = ApikeyRedis->new(tls => 1, clients => 'yes');
#                                           has a port for TLS too; who shall
#                                           have a certificate: no (unless set),
#                                           optional or yes
#   my $r = ApikeyRedis->new(store => 'tcp');   whatever the environment says
#
# RedisNode tells what can be done with it; with tls => 1 also:
#
#   $r->tls                           the certificates, a RedisTLS
#   $r->ca  $r->other_ca              files of authorities: ours, a stranger's
#   $r->client_cert  $r->client_key
#
# The environment APIKEY_TEST_STORE is the kind of the store of all the tests:
#
#   tcp        one server; what is used unless it is set
#   unix tls   the same, by its socket, or by TLS
#   sentinel   a master and a replica, watched by three sentinels
#   cluster    three masters of a Redis Cluster
#
#   $r->url  $r->unix_url             for --store and apikey_store: words of
#                                     the kind; where it is not set, what
#                                     their names say
#   $r->tcp_url $r->socket_url $r->tls_url      what their names say, always
#   ApikeyRedis::kind()               tcp, unix, ...
#   ApikeyRedis::needs_store('tcp', 'unix');    or else skips the whole test
#   ApikeyRedis::available()          whether there is a redis-server here
#   ApikeyRedis::free_port()          a free loopback port
#
# The server is ended when the object goes, by its process id.

use strict;
use warnings;

use parent 'RedisNode';

use Test::More ();

use RedisTLS;
use TestProc;


my %class = (tcp => '', unix => '', tls => '', sentinel => 'ApikeySentinel',
    cluster => 'ApikeyCluster');


sub kind {
    my $kind = $ENV{APIKEY_TEST_STORE} || 'tcp';

    die "APIKEY_TEST_STORE=$kind: one of @{[ sort keys %class ]}\n"
        unless exists $class{$kind};

    return $kind;
}


sub needs_store {
    my (@kinds) = @_;

    my $kind = kind();

    Test::More::plan(skip_all => "is about the store @kinds, not $kind")
        unless grep { $_ eq $kind } @kinds;
}


sub available {
    for my $dir (split /:/, $ENV{PATH} // '') {
        return 1 if -x "$dir/redis-server";
    }

    return 0;
}


sub free_port {
    return TestProc::free_port();
}


sub new {
    my ($class, %opt) = @_;

    my $kind = $opt{store} || kind();
    my $asked = !$opt{store} && $ENV{APIKEY_TEST_STORE};

    delete $opt{store};

    if ($class{$kind}) {
        require "$class{$kind}.pm";
        return $class{$kind}->for_suite(%opt);
    }

    if (!defined $opt{dir}) {
        $opt{tmp} = File::Temp->newdir('apikey-redis-XXXXXX', TMPDIR => 1);
        $opt{dir} = $opt{tmp}->dirname;
    }

    $opt{tls} = RedisTLS->new("$opt{dir}/tls")
        if $opt{tls} && !ref $opt{tls} || !$opt{tls} && $kind eq 'tls';

    return $class->SUPER::new(%opt, kind => $kind, asked => $asked);
}


sub _words {
    my ($self, $kind) = @_;

    return $kind eq 'unix' ? $self->socket_url
        : $kind eq 'tls' ? $self->tls_url : $self->tcp_url;
}


sub url {
    my ($self) = @_;

    return $self->_words($self->{kind});
}


sub unix_url {
    my ($self) = @_;

    return $self->_words($self->{kind} eq 'tcp' && !$self->{asked} ? 'unix'
        : $self->{kind});
}


sub tls { return $_[0]{tls} }
sub ca { return $_[0]{tls}->ca }
sub other_ca { return $_[0]{tls}->other_ca }
sub client_cert { return $_[0]{tls}->cert('client') }
sub client_key { return $_[0]{tls}->key('client') }


1;
