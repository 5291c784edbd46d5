
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_modules.h"
#include "ak_rules.h"


/*
 * account ... scope NAME... [any]: the key's record must have all of these
 * scopes in its field "scopes"; with "any", one of them.  A record that has
 * "*" has all.
 */

typedef struct {
    ak_words_t  names;
    bool        any;
} ak_scope_conf_t;


static const ak_arg_t  ak_scope_args[] = {
    { AK_ARG_WORDS, ak_string("NAME"), offsetof(ak_scope_conf_t, names), NULL,
      "a scope that the key must have" },
    { AK_ARG_FLAG, ak_string("any"), offsetof(ak_scope_conf_t, any), NULL,
      "one of the scopes is enough" },
    { .type = AK_ARG_END }
};


static ak_rc_t
ak_scope_init(void *data, const ak_init_t *in)
{
    ak_scope_conf_t *conf = data;

    size_t  i;

    if (conf->names.n == 0) {
        return ak_diag(in->d, "no scope is named");
    }

    for (i = 0; i < conf->names.n; i++) {
        if (ak_scope_check(conf->names.list[i], in->d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static ak_reason_e
ak_scope_account(ak_txn_t *t, const void *data, void *state)
{
    const ak_scope_conf_t *conf = data;

    bool         held;
    size_t       i;
    ak_record_t  rec;

    (void) state;

    /* what is not there, or cannot be read, holds nothing */

    if (ak_record_unpack(t->record, &rec) != AK_OK
        || ak_scopes_check(rec.scopes, NULL) != AK_OK)
    {
        return AK_FORBIDDEN;
    }

    for (i = 0; i < conf->names.n; i++) {
        held = ak_scopes_hold(rec.scopes, conf->names.list[i]);

        if (held == conf->any) {
            return held ? AK_SUCCESS : AK_FORBIDDEN;
        }
    }

    return conf->any ? AK_FORBIDDEN : AK_SUCCESS;
}


const ak_module_t  ak_mod_scope = {
    .name = ak_string("scope"),
    .about = "the key must have scopes",
    .conf_size = sizeof(ak_scope_conf_t),
    .args = ak_scope_args,
    .init = ak_scope_init,
    .run = { [AK_ACCOUNT] = ak_scope_account }
};
