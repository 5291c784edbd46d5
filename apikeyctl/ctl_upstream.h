
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
 * Puts a token into its slot, as "upstream set" does; *there: the slot held one
 * already, which with "keep" stays as it is.
 */

ctl_status_e ctl_upstream_put(ctl_t *ctl, const ak_place_t *place,
    ak_str_t token, bool keep, bool *there);


#endif /* _CTL_UPSTREAM_H_INCLUDED_ */
