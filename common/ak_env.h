
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_ENV_H_INCLUDED_
#define _AK_ENV_H_INCLUDED_


#include "ak_stack.h"


/*
 * Secrets in the environment.  All that read one ask here, so that the host is
 * told where they are, and can have its processes forget them.
 */

/*
 * The value of a variable, with a zero behind it: the environment's own memory.
 * data is NULL where there is no such variable, or where the host, who is told
 * by ak_site_t's env(), cannot remember it.
 */

ak_str_t ak_env_secret(const ak_site_t *site, const char *name);


#endif /* _AK_ENV_H_INCLUDED_ */
