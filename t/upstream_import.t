#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl upstream import: what other applications have sealed
# reaches the upstream to the byte, and what is damaged never does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use MIME::Base64 ();
use Test::More;
use Time::HiRes ();

use ApikeyCtl ();
use ApikeyTest;

my $json = JSON::PP->new->utf8->canonical;
my $v = $json->decode(ApikeyCtl::slurp("$FindBin::Bin/vectors/imports.json"));
my $secret = $v->{lmnr}{plaintext};
my ($t, $kind, $r);

my @lmnr = (nonce_hex => $v->{lmnr}{nonce_hex}, name => $v->{lmnr}{aad});


sub row {
    return $json->encode({ @_ }) . "\n";
}


# Other letters of the same kind: the text decodes, to something else.

sub flipped {
    my ($text, $at) = @_;

    my $ch = substr $text, $at, 1;

    substr $text, $at, 1, $ch eq '0' ? '1' : $ch =~ /\d/ ? '0'
        : $ch eq 'a' ? 'b' : 'a';

    return $text;
}


sub import_rows {
    my ($format, $key, $rows, @args) = @_;

    local $ENV{APP_KEY} = $key;

    my $rc = $t->ctl('--json', 'upstream', 'import', '--format', $format,
        (defined $key ? ('--app-key', 'env:APP_KEY') : ()), @args,
        { stdin => $rows });

    my $sum = $t->{out} =~ /^\{/ ? $json->decode($t->{out}) : {};

    return { %$sum, status => $rc, err => $t->{err} };
}


sub counts {
    my ($r, $imported, $there, $skipped, $name) = @_;

    is_deeply([ @{$r}{qw(imported there skipped status)} ],
        [ $imported, $there, $skipped, $skipped ? 1 : 0 ], "$kind, $name")
        or diag($r->{err});
    unlike($r->{err}, qr/EXAMPLE/, "$kind, $name, no secret is shown");
}


sub slots {
    $t->ctl('--json', 'upstream', 'list') == 0 or die $t->{err};

    return map { "$_->{owner} $_->{provider} $_->{slot}" }
        @{ $json->decode($t->{out}) };
}


# What each application has: owner, format, its key, the members of a row.

my @good = (
    ['lmnr', 'lmnr', $v->{lmnr}{key_hex}, @lmnr,
        value => $v->{lmnr}{value_hex}],
    (map { ["gcm-$_", 'intern3-gcm', $v->{intern3_gcm}[$_]{secret},
        provider => 'openai', value => $v->{intern3_gcm}[$_]{enc}] } 0 .. 2),
    ['cbc', 'intern3-cbc', $v->{intern3_cbc_legacy}{key_hex},
        provider => 'openai', value => $v->{intern3_cbc_legacy}{enc}],
    ['vault', 'lobechat-vault', $v->{lobe_vault}{secret_b64},
        provider => 'openai', value => $v->{lobe_vault}{enc}],
    ['json', 'json', undef, provider => 'openai', secret => $secret],
);

my %value = map { $_->[0] => { @{$_}[3 .. $#$_] }->{value} } @good;
my ($iv, $ct) = split /:/, $value{cbc};
my @vault = split /:/, $value{vault};

my @bad = (
    ['lmnr', 'a ciphertext', 'authentication failed',
        value => flipped($value{lmnr}, 0)],
    ['lmnr', 'a tag', 'authentication failed',
        value => flipped($value{lmnr}, -1)],
    ['lmnr', 'a cut tag', 'authentication failed',
        value => substr $value{lmnr}, 0, -2],
    ['lmnr', 'a nonce', 'authentication failed',
        nonce_hex => flipped($v->{lmnr}{nonce_hex}, 3)],
    ['lmnr', 'a short nonce', 'bad nonce',
        nonce_hex => substr $v->{lmnr}{nonce_hex}, 2],
    ['lmnr', 'no nonce', 'bad nonce', nonce_hex => ''],
    ['lmnr', 'no hex', 'bad encoding', value => "x$value{lmnr}"],
    (map { ['lmnr', "the name $_", 'authentication failed', name => $_] }
        @{ $v->{lmnr}{must_fail_aad} }),
    (map { my $gcm = $_;
        (['gcm-' . $gcm, 'a nonce', 'authentication failed',
            value => flipped($value{"gcm-$gcm"}, 0)],
        ['gcm-' . $gcm, 'a ciphertext', 'authentication failed',
            value => flipped($value{"gcm-$gcm"}, 20)],
        ['gcm-' . $gcm, 'a tag', 'authentication failed',
            value => flipped($value{"gcm-$gcm"}, -6)]) } 0 .. 2),
    ['gcm-0', 'no base64', 'bad encoding', value => "$value{'gcm-0'}*"],
    ['gcm-0', 'a short one', 'bad nonce', value => 'EBESExQV'],
    ['cbc', 'a padding', 'authentication failed',
        value => "$iv:" . flipped($ct, -1)],
    ['cbc', 'a cut block', 'authentication failed',
        value => "$iv:" . substr $ct, 0, 62],
    ['cbc', 'a short IV', 'bad nonce', value => substr($iv, 2) . ":$ct"],
    ['cbc', 'no colon', 'bad encoding', value => "$iv$ct"],
    ['vault', 'a tag', 'authentication failed',
        value => join(':', $vault[0], flipped($vault[1], 0), $vault[2])],
    ['vault', 'a ciphertext', 'authentication failed',
        value => join(':', @vault[0, 1], flipped($vault[2], 0))],
    ['vault', 'a short nonce', 'bad nonce',
        value => join(':', substr($vault[0], 2), @vault[1, 2])],
    ['vault', 'two parts', 'bad encoding', value => "$vault[0]:$vault[1]"],
);


# Every byte of what is authenticated, one by one; CBC's text is not.

sub every_byte {
    my ($bytes) = @_;

    return map { my $other = $bytes;
        substr($other, $_, 1) ^= "\x01"; $other } 0 .. length($bytes) - 1;
}


sub tests_of_every_byte {
    my @lmnr_row = (owner => 'bad', @lmnr, value => $value{lmnr});

    my @rows = (
        ['lmnr', 79, (map { row(@lmnr_row, nonce_hex => unpack 'H*', $_) }
            every_byte(pack 'H*', $v->{lmnr}{nonce_hex})),
            (map { row(@lmnr_row, value => unpack 'H*', $_) }
            every_byte(pack 'H*', $value{lmnr})),
            map { row(@lmnr_row, name => $_) } every_byte($v->{lmnr}{aad})],
        (map { ["gcm-$_", 53, map { row(owner => 'bad', provider => 'openai',
                value => MIME::Base64::encode_base64($_, '')) }
            every_byte(MIME::Base64::decode_base64($value{"gcm-$_"}))] }
            0 .. 2),
        ['vault', 66, map { my $n = $_; map { row(owner => 'bad',
                provider => 'openai', value => join ':', @vault[0 .. $n - 1],
                unpack('H*', $_), @vault[$n + 1 .. 2]) }
            every_byte(pack 'H*', $vault[$n]) } 0 .. 2],
    );

    for (@rows) {
        my ($owner, $n, @all) = @$_;
        my ($good) = grep { $_->[0] eq $owner } @good;

        is(scalar @all, $n, "$kind, $owner, so many bytes");
        $r = import_rows($good->[1], $good->[2], join '', @all);
        counts($r, 0, 0, $n, "$owner, every byte");
        is_deeply($r->{errors}, { 'authentication failed' => $n },
            "$kind, $owner, every byte, the class");
    }
}


sub tests_of_keys {
    my ($lmnr) = map { [ @$_ ] } grep { $_->[0] eq 'lmnr' } @good;
    my $rows = row(owner => 'nobody', @{$lmnr}[3 .. $#$lmnr]);

    for (['', 'key missing', 4], [undef, 'key missing', 2],
        ["\"$lmnr->[2]\"", 'key length', 4], ['0123', 'key length', 4],
        ['g' x 64, 'bad encoding', 4])
    {
        my ($key, $class, $status) = @$_;

        $r = import_rows('lmnr', $key, $rows);
        is($r->{status}, $status, "$kind, $class, the status");
        like($r->{err}, qr/\Q$class\E/, "$kind, $class");
        unlike($r->{err}, qr/0123456789abcdef|gggg/,
            "$kind, $class, the key is not shown");
    }

    $r = import_rows('lmnr', 'f' x 64, $rows);
    counts($r, 0, 0, 1, 'another key');
    is_deeply($r->{errors}, { 'authentication failed' => 1 },
        "$kind, another key, its class");

    my $file = $t->file('app.key', "$lmnr->[2]\n", 0600);

    is($t->ctl('--json', 'upstream', 'import', '--format', 'lmnr',
        '--app-key', "file:$file", '--dry-run', { stdin => $rows }), 0,
        "$kind, the key in a file");

    chmod 0644, $file;
    is($t->ctl('upstream', 'import', '--format', 'lmnr',
        '--app-key', "file:$file", '--dry-run', { stdin => $rows }), 4,
        "$kind, a key that the world reads");
    is($t->ctl('upstream', 'import', '--format', 'lmnr',
        '--app-key', $lmnr->[2], { stdin => $rows }), 2,
        "$kind, a key on the command line");
    unlike($t->{err}, qr/0123456789abcdef/,
        "$kind, a key on the command line, not shown");
}


sub tests_of_env {
    my $env = <<'EOF';
# comment
export OPENAI_API_KEY="sk-env-a\$b-0001"  # the first
ANTHROPIC_API_KEY='sk-ant-env-0002'
GEMINI_API_KEY = AIza-env-0003 # three
GROQ_API_KEY=
PORT=3000

MISTRAL_API_KEY=m-env-0004, m-env-0005,,
TAVILY_API_KEY="unfinished
no variable
EOF

    $r = import_rows('env', undef, $env, '--owner', 'env');
    counts($r, 5, 0, 2, 'env');
    is($r->{ignored}, 2, "$kind, env, what has no key");
    like($r->{err}, qr/row 9 .*\n.*row 10 /, "$kind, env, the rows");
    unlike($r->{err}, qr/unfinished|no variable/, "$kind, env, no bytes");

    is_deeply([ grep { /^env / } slots() ],
        [ 'env anthropic default', 'env google default',
            'env mistral default', 'env mistral default-2',
            'env openai default' ], "$kind, env, the slots");

    my $path = $t->file('dot.env', $env);
    my $rc = $t->ctl('--json', 'upstream', 'import', '--format', 'env',
        '--owner', 'env', $path);

    is($rc, 1, "$kind, env, of a file");
    is($json->decode($t->{out})->{there}, 5, "$kind, env, all are there");
}


# Vaults of several providers, and plaintexts that are no key; sealed by
# Python's cryptography.

sub tests_of_vaults {
    my $several = '101112131415161718191a1b:b13bf1c2f43bb171e5de40fe3ad33985:'
        . '562e192362f2058fe159447c41f17948f54222a45c4950fa037f6ba4ba6b938a'
        . '9779564b76428a3be97e2f97901a56b77fb744044264f27aace8de89d6286029'
        . '304c1bc28191728d1a257f0a4058a239fdc8ec4dc60ac06b3ee73add753c62eb'
        . 'ecd8dbaca8de796ea4be469e8876689f82de9ee7ad528189c87c4eb170384f65'
        . '1c04a2903ce0017ae017c49ad9978b356d5267a708cf2ef9f5125abcc1a0c7af'
        . 'ce48';
    my $empty = '101112131415161718191a1b:c770bc123f2bd82506fcddd3cec563d7:'
        . '5671';
    my $list = '101112131415161718191a1b:99fa073a7c350dced12d484ce8eea512:'
        . '763d2b';
    my $rows = join '', "user_id,key_vaults\n",
        map { "vaults,$_\n" } $several, $empty, $list, $value{vault};

    # openai has two, azure one, ollama is not known, others have none

    $r = import_rows('lobechat-vault', $v->{lobe_vault}{secret_b64}, $rows);
    counts($r, 3, 0, 3, 'vaults');
    is($r->{ignored}, 1, "$kind, vaults, an empty one");
    like($r->{err}, qr/row $_/, "$kind, vaults, $_")
        for '2 .*provider', '4 .*JSON', '5 .*provider';
    is_deeply([ grep { /^vaults / } slots() ],
        [ 'vaults azure-openai default', 'vaults openai default',
            'vaults openai default-2' ], "$kind, vaults, the slots");

    # "sk-cut-off", a zero, "behind-a-zero"

    $r = import_rows('intern3-gcm', $v->{intern3_gcm}[0]{secret},
        row(owner => 'zero', provider => 'openai', value => 'EBESExQVFhcYGRob'
            . 'XmdbMHLoSYmlBT88Rel5bfQWYbMEX0m4elsKxqpXv8+HpkBFE02V0w=='));
    counts($r, 0, 0, 1, 'a zero in a key');
}


sub tests_of_rows {

    # CSV, with columns of no use, and rows that are bad for other reasons

    my $csv = "id,created_at,name,project_id,nonce_hex,value\n"
        . join '', map { "1,2,$_->[0],$_->[1],$v->{lmnr}{nonce_hex},"
            . "$v->{lmnr}{value_hex}\n" }
        ['OPENAI_API_KEY', 'csv'], ['OPENAI_API_KEY', '*'],
        ['OPENAI_API_KEY', ''], ['OPENAI_API_KEY', 'csv'];

    $r = import_rows('lmnr', $v->{lmnr}{key_hex}, $csv);
    counts($r, 1, 1, 2, 'csv');
    like($r->{err}, qr/row 3 .*owner.*\n.*row 4 .*owner/, "$kind, csv, rows");

    $r = import_rows('json', undef, row(owner => 'more', provider => 'none',
            secret => $secret)
        . row(owner => 'more', provider => 'openai', secret => "a\0b")
        . row(owner => 'more', provider => 'openai', slot => 'a/b',
            secret => $secret)
        . row(owner => 'more', provider => 'openai', secret => 'a b')
        . row(owner => 'more', provider => 'openai')
        . row(owner => 'more', provider => 'gemini', slot => 's1',
            secret => $secret)
        . row(provider => 'GROQ_API_KEY', secret => 'gsk-shared'), '--shared');
    counts($r, 2, 0, 5, 'json');
    is_deeply([ grep { /^(more|\*) / } slots() ],
        [ '* groq default', 'more google s1' ], "$kind, json, the slots");

    # what is there stays, and is replaced when that is said

    $r = import_rows('json', undef, row(owner => 'json',
        provider => 'openai', secret => 'sk-another-00001'));
    counts($r, 0, 1, 0, 'again');

    $r = import_rows('json', undef, row(owner => 'swap', provider => 'openai',
            secret => 'sk-swap-000001')
        . row(owner => 'swap', provider => 'openai', secret => $secret),
        '--replace');
    counts($r, 2, 0, 0, 'replaced');
    is($r->{replaced}, 1, "$kind, replaced, how many");

    my @before = slots();

    $r = import_rows('json', undef, row(owner => 'dry', provider => 'openai',
        secret => $secret), '--dry-run');
    counts($r, 1, 0, 0, 'a dry run');
    is_deeply([ slots() ], \@before, "$kind, a dry run writes nothing");

    is(import_rows('xml', undef, '')->{status}, 2, "$kind, no such format");
    is(import_rows('json', 'x', '')->{status}, 2, "$kind, a useless key");
    is($t->ctl('upstream', 'import', '--format', 'json', '--owner', 'a',
        '--shared'), 2, "$kind, two owners");
}


# A file that is not there yet is made, and it is not written for each row.

sub tests_of_a_new_file {
    my $n = ApikeyTest::flavour() eq 'plain' ? 4000 : 50;
    my $fresh = "$t->{dir}/fresh";
    my @args = ('--json', '--store', "file:$fresh", 'upstream');
    my $rows = join '', map { row(owner => "o$_", provider => 'openai',
        secret => "sk-of-the-owner-$_") } 1 .. $n, 1, 2;
    my $bad = row(owner => 'bad', provider => 'openai', secret => 'a b');

    my @import = (@args, 'import', '--format', 'json');
    my $from = Time::HiRes::time();

    is($t->ctl(@import, { stdin => $rows . $bad }), 1, 'a new file')
        or diag($t->{err});
    cmp_ok(Time::HiRes::time() - $from, '<', 10, 'a new file, in good time');
    like($t->{err}, qr/^apikeyctl: row @{[ $n + 3 ]} is skipped: [^\n]*\n\z/,
        'a new file, the bad row alone is told');

    my $sum = $json->decode($t->{out} || '{}');

    is_deeply([ @{$sum}{qw(imported there skipped)} ], [ $n, 2, 1 ],
        'a new file, what came of it');
    is($t->ctl(@args, 'check'), 0, 'a new file, all open');
    is(scalar @{ $json->decode($t->{out}) }, $n, 'a new file, a slot each');

    # the last of those for a slot stands, all count

    is($t->ctl(@import, '--replace', { stdin => $rows }), 0, 'once more');
    $sum = $json->decode($t->{out} || '{}');
    is_deeply([ @{$sum}{qw(imported replaced skipped)} ],
        [ $n + 2, $n + 2, 0 ], 'once more, what came of it');

    # what cannot be read is not what has been imported before

    is($t->ctl(@import, $t->{dir}), 1, 'a folder');
    is($t->{err}, "apikeyctl: the file cannot be opened: Is a directory\n",
        'a folder, says so');
    is($t->ctl(@args, 'import', '--format', 'lmnr', '--app-key', 'file:'
        . $t->file('hex', $v->{lmnr}{key_hex}, 0600), { stdin => "x\n" }), 1,
        'no header');
    like($t->{err}, qr/^[^\n]*nothing was imported\n\z/, 'no header, is all');

    # a set that cannot be changed is told with its row, the others go on

    my $text = ApikeyCtl::slurp($fresh);
    $text =~ s/^.*"o7".*$/{"upstream":"o7","provider":"openai","slots":3}/m;
    $t->file('fresh', $text, 0640);

    is($t->ctl(@import, '--replace', { stdin => join '', map { row(
        owner => "o$_", provider => 'groq', secret => "gsk-$_-0000000") .
        row(owner => "o$_", provider => 'openai', secret => "sk-$_-0000000")
        } 6 .. 8 }), 1, 'a damaged set');
    like($t->{err}, qr/^apikeyctl: row 4 is skipped: what .*changed\n\z/,
        'a damaged set, the row is told');
    $sum = $json->decode($t->{out} || '{}');
    is_deeply([ @{$sum}{qw(imported replaced skipped)} ], [ 5, 2, 1 ],
        'a damaged set, the others are imported');
}


for my $embedded (0, 1) {
    $kind = $embedded ? 'file' : 'redis';
    $t = ApikeyTest->new(embedded => $embedded, level => 'info');

    $t->http(<<'EOF');
    %%APIKEY%%

    server {
        listen 127.0.0.1:%%PORT%%;

        apikey on;
        apikey_inject openai fallback=none;

        location / {
            proxy_pass http://127.0.0.1:%%ECHO%%;
        }
    }
EOF

    $t->secret($secret);

    my %key = map { $_ => $t->create_key(owner => $_)->{key} }
        (map { $_->[0] } @good), 'bad', 'swap';

    for my $good (@good) {
        my ($owner, $format, $key, @row) = @$good;

        $r = import_rows($format, $key, row(@row, owner => $owner));
        counts($r, 1, 0, 0, $owner);
    }

    my @before = slots();

    is(@before, @good, "$kind, a slot for each");

    for my $bad (@bad) {
        my ($owner, $what, $class, @row) = @$bad;
        my ($good) = grep { $_->[0] eq $owner } @good;
        my (undef, $format, $key, @rest) = @$good;

        $r = import_rows($format, $key,
            row(@rest, @row, owner => 'bad'));
        counts($r, 0, 0, 1, "$owner, $what");
        is_deeply($r->{errors}, { $class => 1 }, "$kind, $owner, $what, class");
        like($r->{err}, qr/row 1 is skipped: \Q$class\E/,
            "$kind, $owner, $what, told");
    }

    tests_of_every_byte();
    is_deeply([ slots() ], \@before, "$kind, nothing of them was written");

    tests_of_keys();
    is_deeply([ slots() ], \@before, "$kind, nothing by wrong keys");
    tests_of_env();
    tests_of_vaults();
    tests_of_rows();

    is($t->ctl('upstream', 'check'), 0, "$kind, all of them open");

    $t->start;

    for my $owner ((map { $_->[0] } @good), 'swap') {
        is_deeply(credentials($t->get('/', 'x-api-key' => $key{$owner})),
            [ "authorization: Bearer $secret" ], "$kind, $owner, injected");
    }

    $t->{echo}[0]->clear;
    denied($t->get('/', 'x-api-key' => $key{bad}), 403,
        'upstream_key_missing', "$kind, of what is damaged nothing is used");
    is(scalar(my @seen = $t->{echo}[0]->requests), 0,
        "$kind, and nothing reaches the upstream");

    tests_of_a_new_file() if $embedded;

    unless ($embedded) {
        ok($t->stop, "nginx ends cleanly");
        is($t->leak($t->error_log), undef, "no credential in the error log");
    }

    $t->done if $embedded;
}
