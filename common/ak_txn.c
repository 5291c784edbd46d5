
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_txn.h"


void
ak_txn_init(ak_txn_t *t)
{
    memset(t, 0, sizeof(ak_txn_t));

    t->reason = AK_MISSING;
}


void
ak_txn_answer(ak_txn_t *t, const ak_answer_t *answer)
{
    if (t->need.type == AK_NEED_NONE) {
        return;
    }

    t->answer = *answer;
    t->answered = true;
    t->need.type = AK_NEED_NONE;
}


void
ak_txn_abort(ak_txn_t *t)
{
    unsigned  i;

    for (i = 0; i < t->nsecrets; i++) {
        ak_mem_wipe(t->secrets[i].data, t->secrets[i].size);
    }

    t->nsecrets = 0;
    t->neffects = 0;
    t->need.type = AK_NEED_NONE;
    t->answered = false;
    t->running = false;

    /* the value is the host's and may be wiped next */

    t->cred.value = ak_str(NULL, 0);
}


const ak_cred_t *
ak_txn_cred(ak_txn_t *t)
{
    if (!t->collected) {
        ak_cred_collect(&t->view, &t->cred);
        t->collected = true;
    }

    return &t->cred;
}


ak_reason_e
ak_txn_ask(ak_txn_t *t, ak_need_e type, ak_str_t name, ak_str_t provider)
{
    t->need.type = type;
    t->need.name = name;
    t->need.provider = provider;

    return AK_SUSPEND;
}


uint8_t *
ak_txn_secret(ak_txn_t *t, size_t size)
{
    uint8_t  *p;

    if (t->nsecrets == AK_SECRETS_MAX) {
        return NULL;
    }

    p = t->mem.alloc(t->mem.data, size);

    if (p != NULL) {
        t->secrets[t->nsecrets].data = p;
        t->secrets[t->nsecrets].size = size;
        t->nsecrets++;
    }

    return p;
}


void
ak_txn_secret_drop(ak_txn_t *t)
{
    if (t->nsecrets != 0) {
        t->nsecrets--;
        ak_mem_wipe(t->secrets[t->nsecrets].data,
                    t->secrets[t->nsecrets].size);
    }
}


ak_rc_t
ak_txn_set_header(ak_txn_t *t, ak_str_t name, ak_str_t value)
{
    if (t->neffects == AK_EFFECTS_MAX) {
        return AK_ERROR;
    }

    t->effects[t->neffects].name = name;
    t->effects[t->neffects].value = value;
    t->neffects++;

    return AK_OK;
}
