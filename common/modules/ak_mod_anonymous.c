
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_modules.h"


/*
 * auth ... anonymous [owner=NAME]: who comes without a credential.
 *
 * Whoever brings one is not anonymous, be it good or not: a key that was
 * mistyped is told so, instead of doing less than it should in silence.
 */

typedef struct {
    ak_str_t  owner;
} ak_anonymous_conf_t;


static const ak_str_t  ak_anonymous_name = ak_string("anonymous");


static ak_rc_t
ak_anonymous_init(void *data, const ak_init_t *in)
{
    ak_anonymous_conf_t *conf = data;

    if (conf->owner.len == 0) {
        conf->owner = ak_anonymous_name;
    }

    if (!ak_name_valid(conf->owner)
        || ak_str_eq(conf->owner, ak_literal("*")))
    {
        return ak_diag(in->d, "\"%.*s\" cannot be an owner",
                       AK_FMT(conf->owner));
    }

    return AK_OK;
}


static ak_reason_e
ak_anonymous_auth(ak_txn_t *t, const void *data, void *state)
{
    const ak_anonymous_conf_t *conf = data;

    ak_identity_t  who = { .source = AK_SOURCE_NONE };

    (void) state;

    /* other lines may have looked elsewhere, and have found something */

    if (t->presented
        || ak_txn_cred(t, &ak_carriers_default)->kind != AK_CRED_NONE)
    {
        return AK_IGNORE;
    }

    who.id = ak_anonymous_name;
    who.owner = conf->owner;

    ak_txn_identify(t, &who);

    return AK_SUCCESS;
}


static const ak_arg_t  ak_anonymous_args[] = {
    { AK_ARG_TEXT, ak_string("owner"), offsetof(ak_anonymous_conf_t, owner),
      NULL, "who they are" },
    { .type = AK_ARG_END }
};


const ak_module_t  ak_mod_anonymous = {
    .name = ak_string("anonymous"),
    .about = "requests without a credential",
    .conf_size = sizeof(ak_anonymous_conf_t),
    .args = ak_anonymous_args,
    .init = ak_anonymous_init,
    .run = { [AK_AUTH] = ak_anonymous_auth }
};
