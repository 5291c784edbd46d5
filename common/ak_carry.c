
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_carry.h"


ak_rc_t
ak_carry_begin(ak_txn_t *t, const ak_provider_t *p, size_t len, ak_carry_t *c)
{
    uint8_t              *value;
    const ak_carriage_t  *how;

    /* all of them or none: half of a provider's headers is not its request */

    if (t->neffects + 1 + p->nfixed > AK_EFFECTS_MAX) {
        t->trouble = "needs more headers than a request can be given";
        return AK_ERROR;
    }

    /* where no line has looked for a credential: as the client would send it */

    how = ak_provider_carriage(p, &t->view,
                               ak_txn_cred(t, t->collected != NULL
                                              ? t->collected
                                              : &ak_carriers_default));

    value = ak_txn_secret(t, how->scheme.len + len);

    if (value == NULL) {
        t->trouble = "does not fit into memory";
        return AK_NO_MEMORY;
    }

    memcpy(value, how->scheme.data, how->scheme.len);

    c->provider = p;
    c->header = how->header;
    c->value = ak_str(value, how->scheme.len + len);
    c->key = value + how->scheme.len;

    return AK_OK;
}


ak_rc_t
ak_carry_end(ak_txn_t *t, const ak_carry_t *c)
{
    size_t               i;
    const ak_provider_t *p;

    p = c->provider;

    for (i = 0; i < p->nfixed; i++) {
        if (ak_txn_replace_header(t, p->fixed[i].name, p->fixed[i].lowcase,
                                  p->fixed[i].value)
            != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return ak_txn_set_header(t, c->header, c->value);
}
