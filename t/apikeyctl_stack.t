#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl stack check.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Test::More;

use ApikeyCtl;

my $dir = File::Temp->newdir('apikey-stack-XXXXXX', TMPDIR => 1);
my $path = "$dir/nginx.conf";
my ($r, $d);


sub check {
    my ($text, @args) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh;

    return ctl([@args, 'stack', 'check', $path]);
}


my $good = <<'EOF';
http {
    # auth required nonsense;
    apikey_stack api {
        auth     [success=done default=ignore] static keys=env:STATIC_KEYS;
        auth     include  "inner";
        account  required rate rate=10r/s burst=20;
        session  optional audit 'log=/var/log/audit log';
    }

    server { location / { apikey api; set $x "a;b{c}"; } }

    apikey_stack inner {
        auth required key from=authorization,query:key; # from the query too
    }
}
EOF

$ENV{STATIC_KEYS} = 'static-key-0001';

$r = check($good);
is($r->{status}, 0, 'good') or diag($r->{err});
like($r->{out}, qr/^STACK +GROUP +CONTROL +MODULE +ARGUMENTS$/m, 'a table');
unlike($r->{out}, qr/static-key-0001/, 'no secret');

$r = check($good, '--json');
$d = JSON::PP->new->utf8->decode($r->{out});
is(@$d, 5, 'five lines');
is_deeply($d->[0], { stack => 'api', group => 'auth',
    control => '[success=done default=ignore]', module => 'static',
    arguments => 'keys=env:STATIC_KEYS' }, 'a line');
is($d->[3]{arguments}, 'log=/var/log/audit log', 'quotes');

# All that is wrong is told, with its line.

$r = check(<<'EOF');
apikey_stack a {
    auth required kee;
    auht required key;
    auth requird key;
    auth [success=okay] key;
    auth [success=ok key;
    auth required key from=;
    auth required key colour=red;
    account required key;
    account required rate rate=10;
    auth include b;
    session required inject openia;
}

apikey_stack a { auth required key; }
EOF
is($r->{status}, 1, 'bad');

for ([2, 'kee'], [3, 'auht'], [4, 'requird'], [5, 'okay'],
    [6, 'no "]"'], [7, 'from='], [8, 'colour=red'],
    [9, 'has no part in "account"'], [10, '10'], [12, 'openia'],
    [15, 'already'])
{
    like($r->{err}, qr/^apikeyctl: \Q$path:$_->[0]:\E .*\Q$_->[1]\E/m,
        "line $_->[0]");

    # of the stack, too: those with mistakes count

    like($r->{err}, qr/^\S+ \Q$path:$_->[0]:\E stack "a", line @{[ $_->[0]
        - 1 ]}: /m, "line $_->[0], in the stack") if $_->[0] < 15;
}

like($r->{err}, qr/there is no stack "b"/, 'an include of nothing');
is($r->{out}, '', 'bad, no list');

for (['auth required key', 'the file ends within'],
    ['auth required key; }', 'unexpected "}"'],
    ['auth required "key;', 'a quote is never closed'],
    ['auth required "key"x;', 'a quote is followed'],
    [';', 'unexpected ";"'],
    ['apikey_stack a { auth required key; { } }', 'unexpected "{"'],
    ['apikey_stack a { auth substack a; }', 'include itself'],
    ['auth [default=2] key; auth required key;', 'beyond the end'],
    ['server { }', 'there is no apikey_stack block'],
    ['auth required static keys=env:NOT_SET_ANYWHERE;', 'NOT_SET_ANYWHERE'])
{
    $r = check($_->[0]);
    is($r->{status}, 1, $_->[0]);
    like($r->{err}, qr/\Q$_->[1]\E/, "$_->[0], why");
}

# A file of lines alone

$r = check("auth required key;\naccount required ip 10.0.0.0/8;\n");
is($r->{status}, 0, 'lines alone');
like($r->{out}, qr/^\(file\) +account +required +ip +10\.0\.0\.0\/8/m,
    'lines alone, listed');

# Only nginx knows which variables there are.

$r = check("auth required key;\n"
    . "session required inject \$arg_provider \${other} openai select=turn;\n");
is($r->{status}, 0, 'a variable') or diag($r->{err});

$r = check("auth required key;\nsession required inject my\$arg_provider;\n");
is($r->{status}, 1, 'a variable in a word');
like($r->{err}, qr/a variable is a word of its own/,
    'a variable in a word, why');

# Blocks of providers, before and after what uses them

$r = check(<<'EOF2');
http {
    apikey_provider early { header X-Early-Key; scheme Token; }
    apikey_stack a {
        auth     required  key;
        session  required  inject  early late openai;
    }
    apikey_provider late { header X-Late-Key; refused 403 text=BAD; }
}
EOF2
is($r->{status}, 0, 'providers') or diag($r->{err});
like($r->{out}, qr/inject +early late openai$/m, 'providers, the stack');

is(check("apikey_provider x { header X-K; }\n")->{status}, 0,
    'a provider alone');

$r = check(<<'EOF2');
apikey_stack a {
    auth     required  key;
    session  required  inject  never;
}
apikey_provider openai { header X-K; }
apikey_provider x {
    query  key;
    set    X-Api-Key 1;
}
apikey_provider y { header X-K; }
apikey_provider y { header X-K; }
EOF2
is($r->{status}, 1, 'bad providers');
like($r->{err}, qr/^apikeyctl: \Q$path:$_->[0]:\E .*\Q$_->[1]\E/m,
    "providers, line $_->[0]")
    for [3, 'stack "a", line 2: there is no "apikey_provider" block of the '
        . 'unknown provider "never"'], [5, '"openai" is built in'],
        [7, 'is not put into a query'], [8, 'carries keys'],
        [9, '"x" has no "header NAME;"'], [11, '"y" already'];

is(ctl(['stack', 'check', "$dir/none"])->{status}, 1, 'no file');
is(ctl(['stack', 'check'])->{status}, 2, 'no word');
like(ctl(['stack', 'check', '--help'])->{out}, qr/nginx -t/, 'help');

done_testing();
