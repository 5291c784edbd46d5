#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for the documentation: nginx takes every configuration that is shown,
# apikeyctl takes every stack, what is linked is there, and no reason, module
# or command is left out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename ();
use Test::More;
use ApikeyTest;

my $t = ApikeyTest->new(embedded => 1);
my $root = ApikeyTest::root();
my @files = ("$root/README.md", glob("$root/docs/*.md"),
    glob("$root/docs/modules/*.md"));
my %text = map { $_ => ApikeyTest::_read($_) } @files;

$ENV{BREAK_GLASS_KEYS} = 'break-glass-0Aa1Bb2Cc3';
$t->create_key;
$ENV{COHERE_API_KEY} = 'cohere-0Aa1Bb2Cc3';
$ENV{OPENAI_API_KEY} = 'sk-openai-0Aa1Bb2Cc3';
$ENV{WEBUI_SECRET_KEY} = 'webui-secret-0Aa1Bb2Cc3Dd4Ee5Ff6';
$t->file('brave.key', "brave-0Aa1Bb2Cc3\n", 0600);
$t->file('list.keys', "$ENV{BREAK_GLASS_KEYS}\n", 0600);

# RFC 8037, A.2

$t->file('issuer.jwks', '{"kty":"OKP","crv":"Ed25519",'
    . '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}');


# Where an example is to stand, and what of its machine is ours here.

sub whole {
    my ($text) = @_;

    my $dir = $t->{dir};
    my $port = $t->port;

    $text =~ s{/etc/nginx/apikey\.keyring}{$dir/keyring}g;
    $text =~ s{/etc/nginx/apikey\.keys}{$dir/keys}g;
    $text =~ s{/etc/nginx/[\w-]+\.keys}{$dir/list.keys}g;
    $text =~ s{/etc/nginx/brave\.key}{$dir/brave.key}g;
    $text =~ s{/etc/nginx/[\w-]+\.jwks}{$dir/issuer.jwks}g;
    $text =~ s{/var/log/nginx/}{$dir/}g;
    $text =~ s{https://(?:api\.\w+\.\w+|\$\w+)}{http://127.0.0.1:1}g;
    $text =~ s{listen +8080}{listen 127.0.0.1:$port}g;
    $text =~ s{modules/ngx_apikey_module\.so}{$t->{module}}g;

    return $text if $text =~ /^load_module/m;

    if ($text =~ /^(?:auth|account|session)\b/m) {
        $text = "auth required key;\n$text" unless $text =~ /^auth\b/m;
        $text = "apikey_stack example {\n$text}\n";
    }

    $text =~ s/^(location .*?^\})/server {\n$1\n}/msg
        unless $text =~ /^server/m;

    # lines of an http block, which name their own store or none

    my $http = $text =~ /^\s*apikey_store\b/m ? '' : '%%APIKEY%%';

    return $t->_main("$http\n$text");
}


for my $file (@files) {
    my $name = substr $file, length($root) + 1;
    my $n = 0;

    while ($text{$file} =~ /^```nginx\n(.*?)^```$/msg) {
        my $conf = whole($1);
        my ($rc, $out) = $t->check_conf($conf, whole => 1);

        $n++;
        is($rc, 0, "$name, example $n") or diag($conf, $out);

        next unless $conf =~ /apikey_stack/;

        is($t->ctl('stack', 'check', "$t->{dir}/check.conf"), 0,
            "$name, example $n, its stacks") or diag($conf, $t->{err});
    }

    my @broken;

    while ($text{$file} =~ /\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g) {
        my ($path, $anchor) = ($1, $2);
        my $to = length $path
            ? File::Basename::dirname($file) . "/$path" : $file;

        if (!-e $to) {
            push @broken, $path;
            next;
        }

        next unless defined $anchor;

        my @heads = map { s/[^\w -]//gr =~ tr/A-Z /a-z-/r }
            ApikeyTest::_read($to) =~ /^#+ (.*)$/mg;

        push @broken, "$path#$anchor" unless grep { $_ eq $anchor } @heads;
    }

    is_deeply(\@broken, [], "$name, its links");
}

# Each module has a page, and each argument of its table is on it.

my $all = join '', map { ApikeyTest::_read($_) }
    glob "$root/common/modules/ak_mod_*.c";

while ($all =~ /^const ak_module_t  ak_mod_(\w+) =/mg) {
    my $module = $1;
    my $page = $text{"$root/docs/modules/$module.md"} // '';
    my $source = ApikeyTest::_read("$root/common/modules/ak_mod_$module.c")
        . ApikeyTest::_read("$root/common/ak_${module}_line.c");

    like($page, qr/^# \Q$module\E\n/, "a page for $module");
    like($text{"$root/docs/stack.md"}, qr{\(modules/\Q$module\E\.md\)},
        "$module in the list");

    while ($source =~ /\{ AK_ARG_(?!WORDS|PAIRS)\w+,\s+ak_string\("(\w+)"/g) {
        like($page, qr/`[^`\n]*\b$1\b/, "$module, $1");
    }
}

# The table of providers.

my $providers = ApikeyTest::_read("$root/common/ak_provider.c");
my $table = $text{"$root/docs/providers.md"};
my (%refused, %row);

while ($providers =~ /^static const ak_refusal_t  (\w+)\[\] = \{(.*?)^\};/msg) {
    my ($list, $body) = ($1, $2);
    my @by;

    push @by, length $2 ? "$1 with `$2`" : $1
        while $body =~ /\{ (\d+), ak_string\("([^"]*)"\) \}/g;
    $refused{$list} = join ', ', @by;
}

$row{$1} = "`Authorization: Bearer KEY` | $refused{ak_refused_401}"
    while $providers =~ /^ +ak_bearer\("([\w-]+)"\)/mg;
$row{$1} = "`$2: KEY` | $refused{$3}"
    while $providers =~ /^ +ak_bare\("([\w-]+)", "([\w-]+)", (\w+)\)/mg;

cmp_ok(scalar keys %row, '>', 10, 'providers');

for my $name (sort keys %row) {
    ok(index($table, "\n| `$name` | $row{$name} |\n") >= 0, "provider $name");
}

my ($since) = $providers =~ /\.since = ak_string\("([\d-]+)"\)/;

like($table, qr/^\| `anthropic` \| .*\b$since\b/m, 'provider anthropic');
is_deeply([ sort $table =~ /^\| `([\w-]+)` \| `[\w-]+: /mg ],
    [ sort 'anthropic', keys %row ], 'and no other provider');

# Each word of a provider's block.

my $block = ApikeyTest::_read("$root/common/ak_provider_block.c");

while ($block =~ /^ +\{ ak_string\("(\w+)"\), \d+, /mg) {
    next if $1 eq 'query';
    like($table, qr/^\| `$1 /m, "a provider's $1");
}

# Each reason that a stack can give.

my ($errors) = ApikeyTest::_read("$root/common/ak_error.c");

my @words = $errors =~ /^ +ak_[a-z]+\("(\w+)",/mg;

cmp_ok(scalar @words, '>', 15, 'reasons');

for my $word (@words) {
    next if $word =~ /^(?:success|ignore)$/;
    like($text{"$root/docs/errors.md"}, qr/^\| `$word` \|/m, "reason $word");
}

$t->{pid} = 0;
done_testing();
