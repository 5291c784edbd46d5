package PoolTest;

# (C) ngx_apikey_module contributors

# What the tests of pools share: a provider that says to each key what it is
# told, and keys that it tells apart by their last letters.
#
#   my $t = ApikeyTest->new(reply => sub {
#       my ($key, $rule) = rule(@_) or return;        of a request
#       ...
#   });
#   my %key = PoolTest::serves($t, @owners);    client keys that they get
#   my $id = put($owner, $slot, $provider);     a new key in a slot; no owner:
#                                               shared; no provider: openai
#   rules($id => { status => 401 });      from now on, and nothing else is
#                                         said; "all" is of all other keys
#   ask($owner, $uri, method => 'POST', headers => [ ... ], body => $text)
#   fresh($id, @ask)                      forgets rules; until it serves

use strict;
use warnings;

use parent 'Exporter';

use File::Temp ();
use JSON::PP ();

use ApikeyTest;

our @EXPORT = qw(rule rules put ask fresh);

our $tmp = File::Temp->newdir('apikey-rules-XXXXXX', TMPDIR => 1);

my $json = JSON::PP->new->canonical;
my $rules = "$tmp/rules";
my ($t, %key, $n);


sub serves {
    my ($test, @owners) = @_;

    $t = $test;
    $key{$_} = $t->create_key(owner => $_)->{key} for @owners;

    return %key;
}


# The upstream is a process of its own: it is told by a file.

sub rules {
    my (%rule) = @_;

    open my $fh, '>', "$rules.new" or die "$rules: $!\n";
    print $fh $json->encode(\%rule);
    close $fh or die "$rules: $!\n";
    rename "$rules.new", $rules or die "$rules: $!\n";
}


rules();


sub rule {
    my ($req) = @_;

    my ($key) = map { $_->[1] =~ /-(\w+)$/ } grep {
        $_->[0] =~ /^(?:authorization|x-subscription-token|x-api-key)$/i }
        @{ $req->{headers} };

    open my $fh, '<', $rules or return;

    my $all = $json->decode(join '', <$fh>);
    my $rule = $all->{$key // ''} || $all->{all} or return;

    return ($key // '', $rule);
}


sub put {
    my ($owner, $slot, $provider) = @_;

    my $id = $slot . ++$n;

    $t->upstream_key($provider // 'openai', "sk-provider-"
        . join('', map { chr 65 + int rand 26 } 1 .. 32) . "-$id",
        owner => $owner, slot => $slot);

    return $id;
}


sub ask {
    my ($owner, $uri, %opt) = @_;

    return $t->request($opt{method} // 'GET', $uri,
        [ Authorization => "Bearer $key{$owner}", @{ $opt{headers} || [] } ],
        body => $opt{body});
}


sub fresh {
    my ($id, @ask) = @_;

    rules();

    return wait_for(sub {
        my $r = ask(@ask);
        return join('', @{ credentials($r) }) =~ /-\Q$id\E$/;
    });
}


1;
