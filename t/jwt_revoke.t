#!/usr/bin/perl

# (C) ngx_apikey_module contributors

# Tests for tokens that are revoked by apikeyctl: the same with the embedded
# store as with Redis, in all workers and without a reload; and what a damaged
# revocation costs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes ();

use ApikeyTest;
use ApikeyJWT;
use ApikeyRedis;

my $key = jwt_key('ES256', 'k');
my $n = 0;
my $t;


sub begin {
    my (%opt) = @_;

    $t = ApikeyTest->new(level => 'info', workers => 2, %opt);
    $t->create_key if $opt{embedded};
    $t->file('keys.json', jwks($key), 0644);

    $t->http(<<'EOF');
    %%APIKEY%%

    apikey_zone keys:1m ttl=10m negative_ttl=1s stale=10m;

    apikey_stack tokens {
        auth sufficient key;
        auth required   jwt jwks=%%DIR%%/keys.json exp=optional owner=email;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Reason $apikey_reason always;
        add_header X-Worker $pid always;

        location / { apikey tokens; proxy_pass http://127.0.0.1:%%ECHO%%; }
    }
EOF
    $t->start;
}


# A token that has not been seen before, unless it is said what it is.

sub token {
    my (%claims) = @_;

    return jwt($key, { sub => 'alice', email => 'a@example.org',
        jti => 'j' . ++$n, iat => time - 100, exp => time + 600, %claims });
}


sub answer {
    my ($token) = @_;

    my $r = $t->with_key('/', $token);

    return $r->status . ' ' . ($r->header('X-Reason') // '');
}


# Until both workers answer so.

sub everywhere {
    my ($token, $expected) = @_;

    return wait_for(sub {
        my %answer;

        for (1 .. 200) {
            my $r = $t->with_key('/', $token);

            $answer{ $r->header('X-Worker') } = 1;
            return 0 if $r->status . ' ' . ($r->header('X-Reason') // '')
                ne $expected;
            return 1 if keys %answer == 2;
        }
    });
}


sub done_by {
    my ($args, $in) = @_;

    my $rc = $t->ctl('jwt', @$args, { stdin => $in });

    diag($t->{err}) if $rc;

    return $rc eq '0';
}


sub is_revoked { return everywhere($_[0], '401 jwt_revoked') }
sub is_good { return everywhere($_[0], '200 ') }


# What holds of either store.

sub common {
    my $token = token(jti => 'one');

    ok(is_good($token), 'a token');
    ok(done_by(['revoke'], $token), 'it is revoked');

    my $start = Time::HiRes::time();

    ok(is_revoked($token), 'it is refused');
    cmp_ok(Time::HiRes::time() - $start, '<',
        ($t->{embedded} ? 2 : 3) * ApikeyTest::slow(), 'soon');
    ok(is_revoked(token(jti => 'one', sub => 'bob')), 'whose ever it is');
    is(answer(token(jti => 'on')), '200 ', 'another jti');
    is(answer(token(sub => 'one', email => 'b@example.org')), '200 ',
        'a sub that is called so');
    is(answer($t->create_key->{key}), '200 ', 'a key') if !$t->{embedded};

    is($t->ctl('--json', 'jwt', 'revoked'), 0, 'listing');
    is_deeply([ map { "$_->{claim} $_->{value}" }
        @{ JSON::PP->new->utf8->decode($t->{out}) } ], [ 'jti one' ],
        'what there is');

    ok(done_by(['unrevoke', '--jti', 'one']), 'taken back');
    ok(is_good($token), 'it is good again');

    # of somebody, until a time

    my $at = time - 50;
    my $old = token(iat => $at);
    my $new = token(iat => $at + 1);
    my $undated = jwt($key, { sub => 'alice', email => 'a@example.org',
        jti => 'undated' });

    ok(is_good($_), 'before') for $old, $new, $undated;
    ok(done_by(['revoke', '--sub', 'alice', '--at', $at]), 'of a user');
    ok(is_revoked($old), 'issued then');
    ok(is_revoked(token(iat => $at - 1000)), 'issued before');
    ok(is_revoked($undated), 'nobody knows when');
    ok(is_good($new), 'issued afterwards');
    ok(is_good(token(sub => 'alice2', iat => $at)), 'of another user');

    # until now, which is later: all there are

    ok(done_by(['revoke', '--sub', 'alice']), 'until now');
    ok(is_revoked($new), 'the one issued afterwards too');
    ok(is_good(token(iat => time + 5)), 'signed in again');
    ok(done_by(['unrevoke', '--sub', 'alice']), 'taken back');
    ok(is_good($_), 'all are good') for $old, $new, $undated;

    # by the owner, where that is another claim

    ok(done_by(['revoke', '--sub', 'a@example.org']), 'the owner');
    ok(is_revoked($old), 'by the owner');
    ok(done_by(['unrevoke', '--sub', 'a@example.org']), 'taken back');
    ok(is_good($old), 'and good');

    # a mark that ends by itself

    ok(done_by(['revoke', '--sub', 'alice', '--expires', '3s']), 'a while');
    ok(is_revoked($old), 'for a while');
    ok(is_good($old), 'a while has passed');

    hostile();
}


sub hostile {
    my %revoked;

    for my $jti ('a:b', ':', "\x{e9}\x{1f511}", 'x' x 255, ' ', '"}',
        '{"revoked":"jti:z"}', '../../x', '*', '%s%n')
    {
        $revoked{$jti} = token(jti => $jti);
        done_by(['revoke'], $revoked{$jti}) or fail('a jti');
    }

    is(scalar(grep { !is_revoked($revoked{$_}) } keys %revoked), 0,
        'made-up names are revoked');

    for my $jti ('a', 'b', 'z', 'x' x 254, '**') {
        ok(is_good(token(jti => $jti)), 'and no other: ' . substr $jti, 0, 9);
    }

    for my $jti ("a\nb", 'x' x 256, 'x' x 500) {
        is(answer(token(jti => $jti)), '401 jwt_claims',
            'what cannot be revoked is refused');
    }

    is(answer(jwt($key, '{"sub":"alice","email":"a","jti":"a\u0000b"}')),
        '401 jwt_malformed', 'and so is a NUL');

    done_by(['unrevoke'], $revoked{$_}) or fail('a jti') for keys %revoked;
    is(scalar(grep { !is_good($revoked{$_}) } keys %revoked), 0,
        'all of them are good again');
}


sub slurp {
    open my $fh, '<:raw', $t->{store} or die "$t->{store}: $!\n";
    local $/;

    return scalar <$fh>;
}


sub replace {
    my ($text) = @_;

    rename $t->file('new', $text, 0640), $t->{store} or die "rename: $!\n";
}


# A file's own: what a damaged mark costs.

sub damage {
    my $key = $t->create_key;
    my $keys = slurp();
    my $line = $keys =~ tr/\n//;
    my $mark = $t->mark;
    my @bob = (sub => 'bob', email => 'b@example.org');
    my ($good, $one) = (token(@bob, jti => 'good'), token(@bob, jti => 'one'));
    my $later = token(iat => time + 5);

    # a mark that has a name revokes more than it may have said

    replace($keys . '{"revoked":"sub:alice","at":"soon","expires":0}' . "\n"
        . '{"revoked":"jti:one"}' . "\n");
    ok(is_revoked($later), 'a damaged mark: all are refused');
    ok(is_revoked($one), 'a mark that says nothing: it is refused');
    ok(is_good($good), 'others are not');

    for (1, 2) {
        like($t->error_log($mark), qr/\[error\] .*line @{[ $line + $_ ]}: .*at/,
            'the line is told');
    }

    replace($keys . qq({"revoked":"sub:alice","at":1}\n) x 2);
    ok(is_revoked($later), 'twice: all are refused');

    # one of which nobody can tell the name: nobody is known to be good

    my $sane = qq($keys\{"revoked":"jti:one","at":1}\n);

    $line += 2;
    $t->expect_alert(qr/a revocation of which nobody can tell/);
    $mark = $t->mark;
    replace($sane . '{"revoked":"jti:go');
    ok(everywhere($good, '503 unavailable'), 'lost: nobody can say');
    is(answer($one), '401 jwt_revoked', 'lost: of others it is known');
    is($t->with_key('/', $key)->status, 200, 'lost: keys are not concerned');
    like($t->error_log($mark),
        qr/\[crit\] .*line $line: a revocation of .* one of 1; every token/,
        'lost: it is told');
    like(($t->check_conf("apikey_store file:$t->{store};"))[1],
        qr/\[crit\] .*line $line: a revocation/, 'lost: nginx -t tells it');
    ok($t->reload, 'lost: a reload');
    ok(everywhere($good, '503 unavailable'), 'lost: as before');

    replace($sane);
    ok(is_good($good), 'mended');
    is(answer($one), '401 jwt_revoked', 'mended, the other one is there');

    # damage that is no mark's costs no token

    replace("${sane}garbage\n{\"key\":\"x\n");
    ok(is_revoked($one), 'garbage: revoked');
    ok(is_good($good), 'garbage: good');
    replace($sane);
}


# It is read when it changes, and when nginx starts, and no more.

sub reading {
    my $gone = "$t->{store}.gone";
    my $mark = $t->mark;
    my ($good, $one) = (token(jti => 'good'), token(jti => 'one'));

    rename $t->{store}, $gone or die "rename: $!\n";
    ok(wait_for(sub { $t->error_log($mark) =~ /cannot be looked at/ }),
        'gone: it is told');
    ok(is_revoked($one), 'gone: what was read is in force');
    ok(is_good($good), 'gone: also what was not there');
    rename $gone, $t->{store} or die "rename: $!\n";

    ok($t->reload, 'a reload');
    is(answer($one), '401 jwt_revoked', 'what nginx reads when it starts');
    ok(done_by(['revoke', '--jti', 'good']), 'one more');
    ok(is_revoked($good), 'after a reload');
}


subtest file => sub {
    begin(embedded => 1);
    common();
    damage();
    reading();
    $t->done;
};


subtest Redis => sub {
    plan(skip_all => 'redis-server is not installed')
        unless ApikeyRedis::available();

    begin();
    common();
    $t->done;
};


done_testing();
