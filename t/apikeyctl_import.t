#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for apikeyctl key import.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use File::Temp ();
use MIME::Base64 ();
use Test::More;

use ApikeyCtl;
use ApikeyRedis;

my $dir = File::Temp->newdir('apikey-import-XXXXXX', TMPDIR => 1);
my @stores = ("file:$dir/store");
my $redis;

if (ApikeyRedis::available()) {
    $redis = ApikeyRedis->new;
    push @stores, $redis->url;
}

$ENV{APIKEY_KEYRING} = "$dir/keyring";
is(ctl(['init'])->{status}, 0, 'a keyring');

my ($pepper) = slurp("$dir/keyring") =~ /^pepper (\S+)$/m;
my ($r, $d, %by);

$pepper = MIME::Base64::decode_base64($pepper);


# The id of a key of another system, by another implementation.

sub id_of {
    my ($key) = @_;

    return 'h' . substr(Digest::SHA::hmac_sha256_hex("id$key", $pepper), 0,
        32);
}


sub import_rows {
    my ($text, @args) = @_;

    my $r = ctl(['--json', 'key', 'import', @args], in => $text);

    $r->{json} = $r->{out} =~ /^\{/
        ? JSON::PP->new->utf8->decode($r->{out}) : {};

    return $r;
}


sub counts {
    my ($r, $imported, $there, $skipped, $name) = @_;

    is_deeply([ @{ $r->{json} }{qw(imported there skipped)}, $r->{status} ],
        [ $imported, $there, $skipped, $skipped ? 1 : 0 ], $name);
}


for my $store (@stores) {
    my ($kind) = $store =~ /^(\w+)/;
    my @foreign = ('sk-0123456789abcdef0123456789abcdef', 'sk-lh-0Aa1Bb2Cc3',
        'x' x 64);

    $ENV{APIKEY_STORE} = $store;

    my $native = ctl_json(['key', 'create', '--owner', 'first']);

    # text

    $r = import_rows(" $foreign[0]\r\n\n$native->{key}\n$foreign[0]\n"
        . "$foreign[1]", '--owner', 'alice', '--name', 'old');
    counts($r, 2, 2, 0, "$kind, text");
    %by = map { $_->{id} => $_ } @{ ctl_json(['key', 'list']) };
    is($by{id_of($foreign[0])}{owner}, 'alice', "$kind, text, the owner");
    is($by{id_of($foreign[1])}{name}, 'old', "$kind, text, the last line");
    is($by{$native->{id}}{owner}, 'first', "$kind, what is there stays");

    # again, and by another owner

    $r = import_rows("$foreign[0]\n$foreign[1]\n", '--owner', 'mallory');
    counts($r, 0, 2, 0, "$kind, again");
    is(ctl_json(['key', 'show', id_of($foreign[0])])->{owner}, 'alice',
        "$kind, again, nothing changes");

    # bad rows are told and skipped, and none of their bytes

    $r = import_rows("short\n" . ('y' x 513) . "\nwith a space in it\n"
        . substr($native->{key}, 0, -1) . "_\n\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"
        . "\n" . $native->{key} =~ s/.$/$& eq 'A' ? 'B' : 'A'/er
        . "\n$foreign[2]\n", '--owner', 'alice');
    is($r->{json}{imported}, 2, "$kind, bad rows, the others");
    is($r->{json}{skipped}, 5, "$kind, bad rows");
    is($r->{status}, 1, "$kind, bad rows, the status");
    like($r->{err}, qr/row $_ is skipped: /, "$kind, bad rows, row $_")
        for 1, 2, 3, 5, 6;
    unlike($r->{err}, qr/short|yyyy|with a space/, "$kind, nothing is shown");

    # csv

    $r = import_rows(qq{owner,key,expires,scopes,routes,ips,rate,meta.team\r\n}
        . qq{bob,"csv-key-000001",90d,"chat,embed",/v1,10.0.0.0/8,1r/s,}
        . qq{"a ""red"" one"\r\n}
        . qq{,csv-key-000002,,,,,,\n}
        . qq{bob,csv-key-000003,never,,bad route,,,\n}
        . qq{bob,csv-key-000004,,,,10.0.0.1/8,,\n}
        . qq{bob,csv-key-000005,,,,,fast,\n}
        . qq{bob,csv-key-000006,2001-01-01,,,,,\n}
        . qq{bob,csv-key-000007\n}
        . qq{bob,"csv-key-000008"x,,,,,,\n}
        . qq{*,csv-key-000009,,,,,,\n}
        . qq{bob,,,,,,,\n}
        . qq{\n}
        . qq{"bo\nb",csv-key-000010,,,,,,\n}
        . qq{carol,csv-key-000011,,,,,,},
        '--format', 'csv', '--owner', 'dora');
    counts($r, 3, 0, 9, "$kind, csv");
    like($r->{err}, qr/row $_ is skipped/, "$kind, csv, row $_")
        for 4, 5, 6, 7, 8, 9, 10, 11, 13;

    $d = ctl_json(['key', 'show', id_of('csv-key-000001')]);
    is_deeply([ @{$d}{qw(owner scopes routes ips rate)} ],
        [ 'bob', 'chat,embed', '/v1', '10.0.0.0/8', '1r/s' ],
        "$kind, csv, fields");
    is($d->{meta}{team}, 'a "red" one', "$kind, csv, quotes");
    cmp_ok(abs($d->{expires} - time - 90 * 86400), '<', 60,
        "$kind, csv, expires");
    is(ctl_json(['key', 'show', id_of('csv-key-000002')])->{owner}, 'dora',
        "$kind, csv, the owner of those that name none");

    $r = import_rows("key,colour\nabcdefgh1,red\n", '--format', 'csv',
        '--owner', 'a');
    is($r->{status}, 1, "$kind, csv, an unknown column");
    like($r->{err}, qr/column 2 /, "$kind, csv, which one");

    # Whatever is wrong with the columns, no value of theirs is shown: keys
    # stand where there is no header, or where cells are shifted.

    for (["$foreign[0],alice\n$foreign[1],bob\n", 'no header'],
        ["owner,name\nalice,$foreign[0]\n", 'no key column'],
        ["key,owner,owner\n$foreign[0],a,b\n", 'a column twice'],
        ["key,owner,ips\nalice-0001,x,$foreign[0]\n", 'shifted to ips'],
        ["key,owner,routes\nalice-0001,x,$foreign[0]\n", 'shifted to routes'],
        ["key,owner,rate\nalice-0001,x,$foreign[0]\n", 'shifted to rate'],
        ["key,owner,scopes\nalice-0001,x,\"$foreign[0]\"\"\"\n", 'to scopes'],
        ["key,owner,expires\nalice-0001,x,$foreign[0]\n", 'to expires'],
        ["key,owner,meta.x\nalice-0001,x,$foreign[0]\001\n", 'to meta'],
        ["key,owner\rx\n$foreign[0],a\n", 'a lone CR in the header'],
        ["key,owner\n$foreign[0]\rx,a\n", 'a lone CR'])
    {
        my ($text, $name) = @$_;

        $r = import_rows($text, '--format', 'csv');
        is($r->{status}, 1, "$kind, csv, $name");
        unlike("$r->{out}$r->{err}", qr/\Q$foreign[0]\E|\Q$foreign[1]\E/,
            "$kind, csv, $name, no key is shown");
    }

    $r = import_rows(qq({"$foreign[0]":"alice"}\n)
        . qq({"key":"alice-0001","owner":"a","meta.$foreign[0]\\u0001":"b"}\n),
        '--format', 'json');
    is($r->{status}, 1, "$kind, json, keys for names");
    unlike("$r->{out}$r->{err}", qr/\Q$foreign[0]\E/,
        "$kind, json, keys for names, not shown");

    $r = import_rows("\xef\xbb\xbfkey,owner\r\nbom-key-0001,a\r\n",
        '--format', 'csv');
    counts($r, 1, 0, 0, "$kind, csv, a byte order mark");

    # One bad row costs itself alone.

    $r = import_rows("key,owner,routes\nutf-key-0001,a,/a\n"
        . "utf-key-0002,a,/caf\xe9\nutf-key-0003,a,/b\nutf-key-0004,a,"
        . '"' . join(',', map { "/$_" . 'x' x 200 } 1 .. 100) . qq("\n),
        '--format', 'csv');
    counts($r, 2, 0, 2, "$kind, csv, no UTF-8, and too much");
    like($r->{err}, qr/row 3 .*UTF-8/, "$kind, csv, no UTF-8, which row");
    like($r->{err}, qr/row 5 .*too large/, "$kind, csv, too much, which row");

    $r = import_rows("# a note\n#taken-out-key-1\n com-key-0001 \n",
        '--owner', 'a');
    counts($r, 1, 0, 0, "$kind, text, comments");

    is(import_rows('', '--format', 'csv', '--owner', 'a')->{status}, 1,
        "$kind, csv, no header");
    is(import_rows("key\n\"abc", '--format', 'csv', '--owner', 'a')
        ->{status}, 1, "$kind, csv, a quote that does not end");

    # json

    $r = import_rows(qq({"key":"json-key-0001","owner":"eve","meta.x":"1"}\n)
        . qq(\n{"key":"json-key-0002"}\n[1]\n{"key":1}\n)
        . qq({"key":"json-key-0003","key":"json-key-0004"}\n{"owner":"eve"}\n),
        '--format', 'json', '--expires', '1d', '--owner', 'all');
    counts($r, 2, 0, 4, "$kind, json");
    is(ctl_json(['key', 'show', id_of('json-key-0001')])->{meta}{x}, '1',
        "$kind, json, meta");
    cmp_ok(ctl_json(['key', 'show', id_of('json-key-0002')])->{expires}, '>',
        time, "$kind, json, --expires");

    # a dry run, and what is needed

    my $n = @{ ctl_json(['key', 'list']) };

    $r = import_rows("dry-run-key-1\nbad\n", '--dry-run', '--owner', 'a');
    is_deeply([ @{ $r->{json} }{qw(imported skipped)} ], [ 1, 1 ],
        "$kind, dry run");
    is(@{ ctl_json(['key', 'list']) }, $n, "$kind, dry run, nothing written");

    $r = ctl(['key', 'import'], in => "no-owner-key-1\n");
    is($r->{status}, 1, "$kind, no owner");
    like($r->{err}, qr/--owner/, "$kind, no owner, what to do");

    $r = ctl(['key', 'import', '--owner', 'a'], in => "no-pepper-key\n",
        env => { APIKEY_KEYRING => undef });
    is($r->{status}, 1, "$kind, no keyring");
    like($r->{err}, qr/pepper/, "$kind, no keyring, what to do");

    is(ctl(['key', 'import', '--format', 'xml'])->{status}, 2,
        "$kind, an unknown format");

    # more than a batch

    my @many = map { sprintf 'many-keys-%06d', $_ } 1 .. 1203;

    $r = import_rows(join("\n", @many), '--owner', 'many');
    counts($r, 1203, 0, 0, "$kind, many");
    $r = import_rows(join("\n", @many, 'many-keys-one-more'), '--owner',
        'many');
    counts($r, 1, 1203, 0, "$kind, many, and one more");

    $r = ctl(['key', 'import', '--owner', 'a'], in => "words-key-0001\n");
    like($r->{out}, qr/^Imported 1, already there 0, skipped 0\.$/,
        "$kind, in words");
    is($r->{err}, '', "$kind, no bar where there is no terminal");
}

# A bar on a terminal.

my $p = ApikeyCtl::Pty->start(['--store', "file:$dir/store", 'key', 'import',
    '--owner', 'a']);

SKIP: {
    skip 'no terminals', 1 unless $p;

    $p->write("terminal-key-1\n\x04");
    ok($p->expect(qr/\d+ rows/), 'a bar on a terminal');
    $p->wait;
}

done_testing();
