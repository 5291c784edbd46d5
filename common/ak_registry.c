
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "modules/ak_modules.h"
#include "ak_stack.h"


/* A new module is one file in modules/ and one row here. */

static const ak_module_t *const  ak_modules[] = {
    &ak_mod_anonymous,
    &ak_mod_audit,
    &ak_mod_debug,
    &ak_mod_deny,
    &ak_mod_identity,
    &ak_mod_inject,
    &ak_mod_ip,
    &ak_mod_jwt,
    &ak_mod_key,
    &ak_mod_rate,
    &ak_mod_route,
    &ak_mod_scope,
    &ak_mod_static
};


const ak_module_t *
ak_module_at(size_t n)
{
    return (n < ak_nitems(ak_modules)) ? ak_modules[n] : NULL;
}


const ak_module_t *
ak_module_find(ak_str_t name)
{
    size_t  i;

    for (i = 0; i < ak_nitems(ak_modules); i++) {
        if (ak_str_eq(ak_modules[i]->name, name)) {
            return ak_modules[i];
        }
    }

    return NULL;
}


bool
ak_module_serves(const ak_module_t *m, ak_group_e group)
{
    switch (group) {

    case AK_GROUP_AUTH:
        return m->run[AK_AUTH] != NULL;

    case AK_GROUP_ACCOUNT:
        return m->run[AK_ACCOUNT] != NULL;

    default:
        return m->run[AK_SESSION_OPEN] != NULL || m->run[AK_REPORT] != NULL;
    }
}
