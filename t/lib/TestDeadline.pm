package TestDeadline;

# (C) ngx_apikey_module contributors

# perl -MTestDeadline=600 t/x.t: a test that waits for ever is ended after so
# many seconds, and says where it was.

use strict;
use warnings;

use Carp ();


sub import {
    my ($class, $seconds) = @_;

    $SIG{ALRM} = sub {
        Carp::cluck("$0 was not over after $seconds seconds");

        # and the end of it may wait for ever too

        $SIG{ALRM} = 'DEFAULT';
        alarm 30;
        exit 1;
    };

    alarm $seconds;
}


1;
