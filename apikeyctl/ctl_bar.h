
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_BAR_H_INCLUDED_
#define _CTL_BAR_H_INCLUDED_


#include "ctl.h"


/*
 * How far a long command is, drawn on stderr where that is a terminal, at most
 * once a second.
 */

typedef struct {
    const char  *what;                 /* is counted */
    bool         on;
    int64_t      drawn;                /* when, seconds */
} ctl_bar_t;


void ctl_bar_init(ctl_bar_t *bar, const char *what);

/*
 * "done" of "all" is the bar (all 0: nobody knows, there is none), n the number
 * beside it; the last one is drawn whatever the time, and ends its line.
 */

void ctl_bar_draw(ctl_bar_t *bar, uint64_t done, uint64_t all, uint64_t n,
    bool last);

/* Before something else is printed on stderr. */

void ctl_bar_leave(const ctl_bar_t *bar);


#endif /* _CTL_BAR_H_INCLUDED_ */
