
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_UPSTREAM_H_INCLUDED_
#define _CTL_UPSTREAM_H_INCLUDED_


#include "ak_seal.h"
#include "ctl.h"


/*
 * "<owner>:<provider>"; an owner may have colons, a provider has none.  False:
 * there is no colon.
 */

bool ctl_upstream_split(ak_str_t name, ak_place_t *place);

/*
 * Opens what was sealed, with ctl->keys, and forgets it: why that cannot be
 * done, NULL if it can.
 */

const char *ctl_upstream_open(const ctl_t *ctl, const ak_place_t *place,
    ak_str_t sealed);

/*
 * Puts a token into its slot, a change of "name" for ctl_store_change(), which
 * is that of the place.  CTL_REFUSED: that cannot be done, which was told on
 * standard error, or to "why" where there is one.
 */

typedef struct {
    ak_place_t  place;
    ak_str_t    name;
    ak_str_t    token;
    bool        keep;                  /* what is there stays */
    bool        replaced;              /* there was something */
    ak_diag_t  *why;
} ctl_upstream_set_t;

ctl_status_e ctl_upstream_decide(void *data, const ak_reply_t *reply,
    ak_str_t *argv, size_t *argc);


#endif /* _CTL_UPSTREAM_H_INCLUDED_ */
