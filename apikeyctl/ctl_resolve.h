
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_RESOLVE_H_INCLUDED_
#define _CTL_RESOLVE_H_INCLUDED_


#include <netdb.h>

#include "ctl.h"


/*
 * getaddrinfo() of a TCP server with a deadline, milliseconds
 * of CLOCK_MONOTONIC.  *res is freed by freeaddrinfo(); otherwise why is set.
 */

int64_t ctl_now(void);

ak_rc_t ctl_resolve(ak_str_t host, unsigned port, int64_t deadline,
    struct addrinfo **res, ak_diag_t *why);


#endif /* _CTL_RESOLVE_H_INCLUDED_ */
