package RedisTLS;

# (C) ngx_apikey_module contributors

# Certificates for one test file, made by the command openssl: two authorities
# that know nothing of each other, and what they sign.
#
#   my $tls = RedisTLS->new($dir);
#
#   $tls->ca  $tls->other_ca           files of the authorities
#   $tls->cert($name)  $tls->key($name)         files of a certificate
#       server    localhost, 127.0.0.1 and ::1     of the first authority
#       client    no names                         of the first authority
#       stranger  no names                         of the other authority
#   $tls->issue($name, san => 'DNS:redis.test', ca => 'other-ca', days => -1)
#                                      one more; days => -1: expired
#   $tls->server_args($clients)        for redis-server; who shall have a
#                                      certificate: no, optional or yes
#   $tls->cli_args                     for redis-cli
#   $tls->words($clients)              for the store: " ssl_...=..."

use strict;
use warnings;

use IPC::Open3 ();


sub new {
    my ($class, $dir) = @_;

    my $self = bless { dir => $dir }, $class;

    mkdir $dir;

    for my $name ('ca', 'other-ca') {
        $self->_openssl('req', '-x509', _newkey(), '-keyout',
            $self->key($name), '-out', $self->cert($name), '-days', 2,
            '-subj', "/CN=apikey test $name");
    }

    $self->issue('server', san => 'DNS:localhost,IP:127.0.0.1,IP:::1');
    $self->issue('client');
    $self->issue('stranger', ca => 'other-ca');

    return $self;
}


sub _newkey {
    return ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes');
}


sub _openssl {
    my ($self, @args) = @_;

    my $pid = IPC::Open3::open3(my $in, my $out, undef, 'openssl', @args);
    close $in;

    local $/;
    my $text = <$out> // '';
    waitpid $pid, 0;

    die "openssl @args: $text\n" if $? != 0;
}


sub issue {
    my ($self, $name, %opt) = @_;

    my $ca = $opt{ca} || 'ca';
    my ($csr, $ext) = map { "$self->{dir}/$name.$_" } qw(csr ext);

    $self->_openssl('req', _newkey(), '-keyout', $self->key($name), '-out',
        $csr, '-subj', "/CN=apikey test $name");

    open my $fh, '>', $ext or die "$ext: $!\n";
    print $fh "basicConstraints = CA:FALSE\n";
    print $fh "subjectAltName = $opt{san}\n" if defined $opt{san};
    close $fh or die "$ext: $!\n";

    $self->_openssl('x509', '-req', '-in', $csr, '-CA', $self->cert($ca),
        '-CAkey', $self->key($ca), '-set_serial', ++$self->{serial}, '-days',
        $opt{days} // 2, '-extfile', $ext, '-out', $self->cert($name));

    unlink $csr, $ext;

    return $self->cert($name);
}


sub cert {
    my ($self, $name) = @_;

    return "$self->{dir}/$name.pem";
}


sub key {
    my ($self, $name) = @_;

    return "$self->{dir}/$name.key";
}


sub ca { return $_[0]->cert('ca') }
sub other_ca { return $_[0]->cert('other-ca') }


sub server_args {
    my ($self, $clients, $name) = @_;

    $name ||= 'server';

    return ('--tls-cert-file', $self->cert($name),
        '--tls-key-file', $self->key($name),
        '--tls-ca-cert-file', $self->ca,
        '--tls-auth-clients', $clients || 'no');
}


sub cli_args {
    my ($self) = @_;

    return ('--tls', '--cacert', $self->ca, '--cert', $self->cert('client'),
        '--key', $self->key('client'));
}


sub words {
    my ($self, $clients) = @_;

    my $words = ' ssl_trusted_certificate=' . $self->ca;

    $words .= ' ssl_certificate=' . $self->cert('client')
        . ' ssl_certificate_key=' . $self->key('client')
        if ($clients || 'no') eq 'yes';

    return $words;
}


1;
