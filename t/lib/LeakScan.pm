package LeakScan;

# (C) ngx_apikey_module contributors

# Looks for pieces of secrets, 12 bytes of them at any place, in texts of any
# length: in a time that does not depend on how many secrets there are.
#
#   my $scan = LeakScan->new({ SECRET => PUBLIC, ... });
#   my $piece = $scan->find($text);         the first one, or undef
#   my @of = $scan->of($piece);             whose it is: "3 of SECRET"
#
# PUBLIC is what a secret begins with and anybody may see, or ''.

use strict;
use warnings;

our $PIECE = 12;

# Of 12 bytes that stand anywhere, six are one of the text's words of six.

my $WORD = 6;
my $CHUNK = $WORD * 100_000;


sub new {
    my ($class, $secrets) = @_;

    my (%piece, %word);

    for my $text (keys %$secrets) {
        my $public = $secrets->{$text};

        for my $at (0 .. length($text) - $PIECE) {

            # what is public may be anywhere, and a letter or two that follow
            # it by chance

            next if length $public && $at + $PIECE < length($public) + 4;

            my $piece = substr $text, $at, $PIECE;

            $piece{$piece} = 1;
            $word{substr $piece, $_, $WORD} = 1 for 0 .. $WORD;
        }
    }

    return bless { secrets => [ keys %$secrets ], piece => \%piece,
        word => \%word }, $class;
}


sub find {
    my ($self, $text) = @_;

    my ($piece, $word) = @{$self}{qw(piece word)};

    return undef if !%$piece || !defined $text;

    for (my $from = 0; $from < length $text; $from += $CHUNK) {
        my $at = $from - $WORD;

        for (unpack "(a$WORD)*", substr $text, $from, $CHUNK) {
            $at += $WORD;
            next unless exists $word->{$_};

            for my $p ($at - ($PIECE - $WORD) .. $at) {
                next if $p < 0 || $p + $PIECE > length $text;

                my $found = substr $text, $p, $PIECE;

                return $found if exists $piece->{$found};
            }
        }
    }

    return undef;
}


sub of {
    my ($self, $piece) = @_;

    return map { index($_, $piece) . " of $_" }
        grep { index($_, $piece) >= 0 } @{ $self->{secrets} };
}


1;
