
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_modules.h"


/*
 * auth|account ... deny [reason=WORD]: nobody, as pam_deny(8).  The reason is
 * "forbidden" unless said.
 */

typedef struct {
    ak_str_t     word;
    ak_reason_e  reason;
} ak_deny_conf_t;


static ak_rc_t
ak_deny_init(void *data, const ak_init_t *in)
{
    ak_deny_conf_t *conf = data;

    if (conf->word.len == 0) {
        conf->reason = AK_FORBIDDEN;
        return AK_OK;
    }

    conf->reason = ak_error_reason(conf->word);

    switch (conf->reason) {

    case AK_SUCCESS:
    case AK_IGNORE:
    case AK_REASON_MAX:
        return ak_diag(in->d, "\"%.*s\" is no reason to deny",
                       AK_FMT(conf->word));

    default:
        return AK_OK;
    }
}


static ak_reason_e
ak_deny_run(ak_txn_t *t, const void *data, void *state)
{
    const ak_deny_conf_t *conf = data;

    (void) t;
    (void) state;

    return conf->reason;
}


static const ak_arg_t  ak_deny_args[] = {
    { AK_ARG_TEXT, ak_string("reason"), offsetof(ak_deny_conf_t, word), NULL,
      "what is said of it" },
    { .type = AK_ARG_END }
};


const ak_module_t  ak_mod_deny = {
    .name = ak_string("deny"),
    .about = "denies every request",
    .conf_size = sizeof(ak_deny_conf_t),
    .args = ak_deny_args,
    .init = ak_deny_init,
    .run = { [AK_AUTH] = ak_deny_run, [AK_ACCOUNT] = ak_deny_run }
};
