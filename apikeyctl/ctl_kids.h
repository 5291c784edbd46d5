
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_KIDS_H_INCLUDED_
#define _CTL_KIDS_H_INCLUDED_


#include "ctl.h"


/* How many tokens of the store each master key has sealed. */

#define CTL_KIDS_MAX  64               /* of which more are counted together */

typedef struct {
    uint8_t       kid[AK_KID_LEN];
    uint64_t      n;
} ctl_kid_t;

typedef struct {
    ctl_kid_t     kids[CTL_KIDS_MAX];
    size_t        nkids;
    uint64_t      others;              /* under further ones */
    uint64_t      tokens;              /* all of these */
    uint64_t      damaged;             /* slots that hold no token */
    uint64_t      unreadable;          /* sets of which nobody can tell */
} ctl_kids_t;


/*
 * Opens the store and counts; the first kids are those of the master keys of
 * ctl->keys, in their order, whatever was found of them.
 */

ctl_status_e ctl_kids_count(ctl_t *ctl, ctl_kids_t *kids);


#endif /* _CTL_KIDS_H_INCLUDED_ */
