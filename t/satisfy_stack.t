#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for "satisfy any" and "satisfy all": every combination of allow or
# deny, auth_basic and a stack, with every kind of client, against what the
# documentation of the directive says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(level => 'info');

my %access = (
    none => '',
    allow => 'allow 127.0.0.1; deny all;',
    deny => 'deny all;',
);
my %basic = (
    none => '',
    basic => 'auth_basic "people"; auth_basic_user_file %%DIR%%/htpasswd;',
);
my %stack = (
    off => 'apikey off;',
    on => 'apikey on;',
    stack => 'apikey many;',
);
my (@places, $locations);

for my $satisfy ('all', 'any') {
    for my $access (sort keys %access) {
        for my $basic (sort keys %basic) {
            for my $stack (sort keys %stack) {
                push @places, [ $satisfy, $access, $basic, $stack ];
                $locations .= <<"EOF";

        location = /$satisfy/$access/$basic/$stack {
            satisfy $satisfy;
            $access{$access}
            $basic{$basic}
            $stack{$stack}
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
EOF
            }
        }
    }
}

$t->http(<<"EOF");
    %%APIKEY%%

    apikey_stack many {
        auth     sufficient  static  keys=%%DIR%%/static.keys;
        auth     required    key;
        account  required    route;
        session  optional    identity owner=X-Owner;
        session  optional    audit   log=%%DIR%%/audit.log;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Reason \$apikey_reason always;
        add_header X-Module \$apikey_module always;
$locations
        location /site/ {
            satisfy any;
            auth_basic "people";
            auth_basic_user_file %%DIR%%/htpasswd;
            apikey on;
            root %%DIR%%;
        }
    }
EOF

my $static = $t->secret('static-key-0Aa1Bb2Cc3Dd4Ee5');

$t->file('static.keys', "$static\n", 0600);
$t->file('site/index.html', "the site\n");
$t->file('htpasswd', "anna:{PLAIN}anna-pass-0Aa1Bb2Cc3\n");
$t->start;

# What a client may bring, and whether "on" and the stack take it: the status
# that each answers with, 200 for a yes.

my %key = (
    nothing => [ undef, 401, 401 ],
    known => [ $t->put_key(owner => 'alice')->{key}, 200, 200 ],
    listed => [ $static, 401, 200 ],
    unknown => [ make_key()->{key}, 401, 401 ],
    elsewhere => [ $t->put_key(routes => '/elsewhere')->{key}, 200, 403 ],
);
my %person = (
    nobody => [ undef, 401 ],
    anna => [ 'anna:anna-pass-0Aa1Bb2Cc3', 200 ],
    'a wrong password' => [ 'anna:no', 401 ],
);


# The documentation: "all" needs every module that is configured, "any" one;
# of denials the first counts with "all", and with "any" a 401 is preferred, as
# it tells the client what it could do.

sub expected {
    my ($satisfy, @votes) = @_;

    my @no = grep { $_ != 200 } @votes;

    return 200 if !@no || $satisfy eq 'any' && @no < @votes;
    return $no[0] if $satisfy eq 'all';
    return (grep { $_ == 401 } @no) ? 401 : 403;
}


for my $place (@places) {
    my ($satisfy, $access, $basic, $stack) = @$place;
    my (@wrong, $n);

    for my $key (sort keys %key) {
        for my $person (sort keys %person) {
            my (@headers, @votes);
            my ($value, $on, $many) = @{ $key{$key} };
            my ($pair, $right) = @{ $person{$person} };
            my $ours = $stack eq 'on' ? $on : $many;

            push @headers, 'x-api-key' => $value if defined $value;
            push @headers, Authorization => 'Basic ' . encode_base64($pair, '')
                if defined $pair;

            push @votes, $access eq 'allow' ? 200 : 403 if $access ne 'none';
            push @votes, $ours if $stack ne 'off';

            # Our denials come before a password is computed on.

            my $first = !grep { $_ != 200 } @votes[0 .. $#votes - 1];

            push @votes, $right if $basic ne 'none';

            my $want = expected($satisfy, @votes);
            my $r = $t->get('/' . join('/', @$place), @headers);
            my $what = "$key, $person: " . $r->status;

            $n++;
            push @wrong, "$what, not $want" if $r->status != $want;

            # What we decided is told as ours, and nothing else is.

            my $decided = $stack ne 'off' && $want == $ours && $want != 200
                && ($satisfy eq 'any' || $first);
            my $is_ours = $r->body =~ /^\{"error":/ ? 1 : 0;

            push @wrong, "$what, whose body is it"
                if $want != 200 && $is_ours != ($decided ? 1 : 0);

            # An upstream never sees a key, whoever let the request pass.

            push @wrong, "$what, the upstream saw a key"
                if $want == 200 && $stack ne 'off' && @{ credentials($r) };

            push @wrong, "$what, a reason" if $want == 200
                && length($r->header('X-Reason') // '');
        }
    }

    is(join("\n", @wrong), "", "satisfy $satisfy, access $access, auth $basic, "
        . "apikey $stack: $n clients");
}

# Somebody let in by another module has no owner.

is_deeply([ seen($t->get('/any/allow/none/stack', 'X-Owner' => 'eve'),
    'x-owner') ], [], 'let in by the address: no owner, nor a forged one');
is_deeply([ seen($t->get('/any/deny/none/stack', 'x-api-key' => $static,
    'X-Owner' => 'eve'), 'x-owner') ], [ 'static' ], 'let in by the stack');


# Neither has one whom the stack denied, and a password let in.

my @both = ('x-api-key' => $key{elsewhere}[0],
    Authorization => 'Basic ' . encode_base64('anna:anna-pass-0Aa1Bb2Cc3', ''));
my $both = $t->get('/any/none/basic/stack', @both);

is($both->status, 200, 'denied by the stack, let in by the password');
is_deeply([ seen($both, 'x-owner') ], [], 'and nobody');

# A redirect to the index asks all of them again.

my @anna = (Authorization => 'Basic '
    . encode_base64('anna:anna-pass-0Aa1Bb2Cc3', ''));

for (['a password', @anna], ['a key', 'x-api-key' => $key{known}[0]],
    ['both', @anna, 'x-api-key' => $key{known}[0]],
    ['a password and a bad key', @anna, 'x-api-key' => make_key()->{key}])
{
    my ($name, @h) = @$_;

    is($t->get('/site/', @h)->body, "the site\n", "the index, $name");
}

is($t->get('/site/')->status, 401, 'the index, nothing');

$t->done;
