
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ctl_bar.h"


#define CTL_BAR_WIDTH  30


void
ctl_bar_init(ctl_bar_t *bar, const char *what)
{
    bar->what = what;
    bar->on = isatty(STDERR_FILENO);
    bar->drawn = 0;
}


void
ctl_bar_draw(ctl_bar_t *bar, uint64_t done, uint64_t all, uint64_t n,
    bool last)
{
    int      i, full;
    char     text[CTL_BAR_WIDTH + 1];
    int64_t  now;

    now = (int64_t) time(NULL);

    if (!bar->on || (!last && now == bar->drawn)) {
        return;
    }

    bar->drawn = now;

    if (all == 0) {
        fprintf(stderr, "\r%llu %s", (unsigned long long) n, bar->what);

    } else {
        full = (int) (done * CTL_BAR_WIDTH / all);

        for (i = 0; i < CTL_BAR_WIDTH; i++) {
            text[i] = (i < full) ? '#' : '.';
        }

        text[CTL_BAR_WIDTH] = '\0';

        fprintf(stderr, "\r[%s] %3d%% %llu %s", text, (int) (done * 100 / all),
                (unsigned long long) n, bar->what);
    }

    if (last) {
        fputc('\n', stderr);
    }
}


void
ctl_bar_leave(const ctl_bar_t *bar)
{
    if (bar->on) {
        fputc('\r', stderr);
    }
}
