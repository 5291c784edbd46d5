package WorkerMemory;

# (C) ngx_apikey_module contributors

# What is in the memory of a process, as root sees it.
#
#   WorkerMemory::writable($pid)    all that it may write to; undef: cannot
#   WorkerMemory::image($pid, $dir) the same as gcore(1) takes it, with what is
#                                   kept out of core files; undef: no gcore
#   WorkerMemory::areas($pid)       { name flags size } of each

use strict;
use warnings;
no warnings 'portable';


sub writable {
    my ($pid) = @_;

    my $text = '';

    open my $maps, '<', "/proc/$pid/maps" or return undef;
    open my $mem, '<:raw', "/proc/$pid/mem" or return undef;

    while (my $line = <$maps>) {
        my ($from, $to) = $line =~ /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
        next if $line =~ /\[v(?:var|dso)/;

        my ($at, $end) = (hex $from, hex $to);

        sysseek $mem, $at, 0;

        while ($at < $end) {
            my $n = sysread $mem, my $part, 1 << 20 < $end - $at ? 1 << 20
                : $end - $at;

            last unless $n;
            $text .= $part;
            $at += $n;
        }
    }

    return $text;
}


sub image {
    my ($pid, $dir) = @_;

    my ($gcore) = grep { -x } map { "$_/gcore" } split /:/, $ENV{PATH} // '';

    return undef unless defined $gcore;

    system("$gcore -a -o $dir/core $pid > $dir/gcore.out 2>&1");

    open my $fh, '<:raw', "$dir/core.$pid" or return undef;
    local $/;
    my $text = <$fh>;
    unlink "$dir/core.$pid";

    return $text;
}


sub areas {
    my ($pid) = @_;

    my @areas;

    open my $fh, '<', "/proc/$pid/smaps" or return;

    while (my $line = <$fh>) {
        if ($line =~ /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$/) {
            push @areas, { name => $1, flags => '', size => 0 };

        } elsif ($line =~ /^Size:\s+(\d+) kB/) {
            $areas[-1]{size} = $1 * 1024;

        } elsif ($line =~ /^VmFlags: (.*?)\s*$/) {
            $areas[-1]{flags} = $1;
        }
    }

    return @areas;
}


1;
