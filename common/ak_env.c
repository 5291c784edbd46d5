
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_env.h"


ak_str_t
ak_env_secret(const ak_site_t *site, const char *name)
{
    char  *value;

    value = getenv(name);

    if (value == NULL
        || (site->env != NULL
            && site->env(site->data, name, value) != AK_OK))
    {
        return ak_str(NULL, 0);
    }

    return ak_cstr(value);
}
