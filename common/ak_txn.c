
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_stack.h"


void
ak_txn_init(ak_txn_t *t)
{
    memset(t, 0, offsetof(ak_txn_t, effects));
    memset(&t->retry, 0, offsetof(ak_txn_t, progress)
                         - offsetof(ak_txn_t, retry));
    memset(&t->state, 0, offsetof(ak_txn_t, secrets)
                         - offsetof(ak_txn_t, state));

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
    t->nreplies = 0;
    t->need.type = AK_NEED_NONE;
    t->answered = false;
    t->running = false;

    /* the value is the host's and may be wiped next */

    t->cred.value = ak_str(NULL, 0);
}


void
ak_txn_again(ak_txn_t *t, const ak_stack_t *stack)
{
    (void) ak_stack_run(stack, t, AK_SESSION_CLOSE);

    t->anew = true;
    t->avoided = t->provider;
    t->avoided_source = t->key_source;

    while (t->nsecrets > t->kept) {
        ak_txn_secret_drop(t);
    }

    if (t->collected != t->carried_over) {

        /* how it was carried is still so, its value may be wiped by now */

        t->cred.value = ak_str(NULL, 0);
    }

    t->neffects = 0;
    t->nreplies = t->replied;
    t->need.type = AK_NEED_NONE;
    t->answered = false;
    t->running = false;
    t->state = NULL;
    t->opened = 0;
    t->finished[AK_SESSION_OPEN] = false;
}


static void *
ak_txn_secret_alloc(void *data, size_t size)
{
    return ak_txn_secret(data, size);
}


const ak_cred_t *
ak_txn_cred(ak_txn_t *t, const ak_carriers_t *carriers)
{
    ak_mem_t  secret;

    if (t->collected == carriers) {
        return &t->cred;
    }

    secret.alloc = ak_txn_secret_alloc;
    secret.data = t;

    ak_cred_collect(&t->view, carriers, &secret, &t->cred);

    t->collected = carriers;

    if (t->cred.kind != AK_CRED_NONE) {
        t->presented = true;
    }

    return &t->cred;
}


void
ak_txn_identify(ak_txn_t *t, const ak_identity_t *identity)
{
    t->identity = *identity;
    t->proved = true;
}


void
ak_txn_forget(ak_txn_t *t)
{
    t->identified = false;
    t->id = ak_str(NULL, 0);
    t->owner = ak_str(NULL, 0);
    t->name = ak_str(NULL, 0);
    t->record = ak_str(NULL, 0);
    t->claims = ak_str(NULL, 0);
    t->source = AK_SOURCE_NONE;
}


void
ak_txn_suspect(ak_txn_t *t, ak_str_t id, ak_source_e source)
{
    if (!t->identified) {
        t->id = id;
        t->source = source;
    }
}


ak_reason_e
ak_txn_ask(ak_txn_t *t, ak_need_e type, ak_str_t name, ak_str_t provider)
{
    t->need.type = type;
    t->need.name = name;
    t->need.provider = provider;

    return AK_SUSPEND;
}


ak_reason_e
ak_txn_ask_rate(ak_txn_t *t, ak_str_t name, const ak_rate_t *rate)
{
    t->need.rate = rate;

    return ak_txn_ask(t, AK_NEED_RATE, name, ak_str(NULL, 0));
}


ak_reason_e
ak_txn_ask_keep(ak_txn_t *t, ak_str_t name, ak_str_t value)
{
    t->need.value = value;

    return ak_txn_ask(t, AK_NEED_KEEP, name, ak_str(NULL, 0));
}


ak_reason_e
ak_txn_ask_keys(ak_txn_t *t, ak_keys_t *keys)
{
    t->need.keys = keys;

    return ak_txn_ask(t, AK_NEED_KEYS, ak_str(NULL, 0), ak_str(NULL, 0));
}


ak_reason_e
ak_txn_ask_slots(ak_txn_t *t, ak_str_t owner, ak_str_t provider,
    ak_str_t packed, bool turn)
{
    t->need.value = packed;
    t->need.turn = turn;

    return ak_txn_ask(t, AK_NEED_SLOTS, owner, provider);
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


static ak_rc_t
ak_txn_stage(ak_effect_t *list, unsigned *n, unsigned max, ak_str_t name,
    ak_str_t lowcase, ak_str_t value)
{
    if (*n == max) {
        return AK_ERROR;
    }

    list[*n].name = name;
    list[*n].lowcase = lowcase;
    list[*n].value = value;
    (*n)++;

    return AK_OK;
}


ak_rc_t
ak_txn_set_header(ak_txn_t *t, ak_str_t name, ak_str_t value)
{
    return ak_txn_replace_header(t, name, ak_str(NULL, 0), value);
}


ak_rc_t
ak_txn_replace_header(ak_txn_t *t, ak_str_t name, ak_str_t lowcase,
    ak_str_t value)
{
    return ak_txn_stage(t->effects, &t->neffects, AK_EFFECTS_MAX, name,
                        lowcase, value);
}


ak_rc_t
ak_txn_reply_header(ak_txn_t *t, ak_str_t name, ak_str_t value)
{
    return ak_txn_stage(t->replies, &t->nreplies, AK_REPLIES_MAX, name,
                        ak_str(NULL, 0), value);
}
