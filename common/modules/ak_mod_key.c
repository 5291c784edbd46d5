
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_hash.h"
#include "ak_key.h"
#include "ak_mem.h"
#include "ak_modules.h"


/*
 * auth ... key [from=CARRIER,...]: an API key against the record that the
 * store has of it.
 *
 * The secret is proved first: whether a key is disabled, revoked or expired is
 * told only to who holds it.
 *
 * A key of a shape of which another application may have left nothing but an
 * unsalted hash is asked for a second time, by the id of that hash, where its
 * own id has no record.  No other key is, and a limit of failed attempts holds
 * for both questions.
 */

typedef struct {
    ak_str_t       from;
    ak_carriers_t  carriers;
} ak_key_conf_t;


typedef struct {
    ak_str_t       id;         /* of the key that is asked for */
    bool           again;      /* it is asked for by its weak hash */
    bool           denied;     /* the first time nobody looked */
} ak_key_state_t;


static ak_rc_t
ak_key_init(void *data, const ak_init_t *in)
{
    ak_key_conf_t *conf = data;

    if (conf->from.len == 0) {
        conf->carriers = ak_carriers_default;
        return AK_OK;
    }

    return ak_carriers_parse(conf->from, &in->site->mem, &conf->carriers,
                             in->d);
}


static ak_rc_t
ak_key_strip(const void *data, ak_strip_t *strip)
{
    const ak_key_conf_t *conf = data;

    return ak_strip_add_carriers(strip, &conf->carriers);
}


/* The id of a key's weak hash over its own; AK_ERROR: there is no such. */

static ak_rc_t
ak_key_weaken(ak_txn_t *t, ak_key_state_t *state)
{
    ak_rc_t        rc;
    uint8_t        sum[AK_SHA256_LEN];
    uint8_t       *id;
    ak_hash_alg_e  alg;

    alg = ak_key_weak(t->cred.value);

    if (alg == 0 || ak_hash_plain(alg, t->cred.value, t->digest, sum) != AK_OK)
    {
        return AK_ERROR;
    }

    rc = AK_ERROR;
    id = t->mem.alloc(t->mem.data, AK_KEY_FOREIGN_ID_LEN);

    if (id != NULL
        && ak_key_weak_id(alg, sum, t->keyring, id) == AK_OK)
    {
        state->id = ak_str(id, AK_KEY_FOREIGN_ID_LEN);
        rc = AK_OK;
    }

    ak_mem_wipe(sum, sizeof(sum));

    return rc;
}


static bool
ak_key_once_more(ak_txn_t *t, ak_key_state_t *state)
{
    if (state->again
        || (t->answer.rc != AK_NOT_FOUND && t->answer.rc != AK_DENIED)
        || ak_key_weaken(t, state) != AK_OK)
    {
        return false;
    }

    state->again = true;
    state->denied = (t->answer.rc == AK_DENIED);

    return true;
}


static ak_reason_e
ak_key_judge(ak_txn_t *t, ak_key_state_t *state)
{
    bool           found;
    ak_str_t       id;
    ak_record_t    rec;
    ak_identity_t  who;

    id = state->id;

    ak_txn_suspect(t, id, t->answer.source);

    switch (t->answer.rc) {

    case AK_UNAVAILABLE:
        return AK_STORE_UNAVAILABLE;

    case AK_OK:
        found = (ak_record_unpack(t->answer.value, &rec) == AK_OK);
        break;

    default:                   /* a record that cannot be read is none */
        found = false;
        break;
    }

    if (!ak_hash_verify(found ? &rec.hash : NULL, t->cred.value, t->digest,
                        t->keyring))
    {
        return (t->answer.rc == AK_DENIED || state->denied)
               ? AK_TOO_MANY_FAILURES : AK_UNKNOWN;
    }

    switch (rec.status) {

    case AK_STATUS_ACTIVE:
        break;

    case AK_STATUS_DISABLED:
        return AK_DISABLED;

    default:
        return AK_REVOKED;
    }

    if (rec.expires != 0 && rec.expires <= t->now) {
        return AK_EXPIRED;
    }

    memset(&who, 0, sizeof(ak_identity_t));
    who.id = id;
    who.owner = rec.owner;
    who.name = rec.name;
    who.record = t->answer.value;
    who.source = t->answer.source;

    ak_txn_identify(t, &who);

    return AK_SUCCESS;
}


static ak_reason_e
ak_key_lookup(ak_txn_t *t, const ak_cred_t *cred, ak_key_state_t *state)
{
    uint8_t        *id;
    ak_str_t        part;
    ak_key_form_e   form;

    form = ak_key_parse(cred->value, &part);

    if (form != AK_KEY_NATIVE && form != AK_KEY_FOREIGN) {
        return AK_MALFORMED;
    }

    /* memory of its own: the key, which it may be a part of, is wiped */

    id = t->mem.alloc(t->mem.data, AK_KEY_FOREIGN_ID_LEN);
    if (id == NULL) {
        return AK_STORE_UNAVAILABLE;
    }

    if (form == AK_KEY_NATIVE) {
        memcpy(id, part.data, part.len);
        state->id = ak_str(id, part.len);

    } else {

        if (ak_key_foreign_id(cred->value, t->keyring, id) != AK_OK) {
            return AK_UNKNOWN;
        }

        state->id = ak_str(id, AK_KEY_FOREIGN_ID_LEN);
    }

    ak_txn_suspect(t, state->id, AK_SOURCE_NONE);

    return ak_txn_ask(t, AK_NEED_RECORD, state->id, ak_str(NULL, 0));
}


static ak_reason_e
ak_key_auth(ak_txn_t *t, const void *data, void *st)
{
    const ak_key_conf_t *conf = data;
    ak_key_state_t *state = st;

    const ak_cred_t  *cred;

    if (t->answered) {

        if (ak_key_once_more(t, state)) {
            return ak_txn_ask(t, AK_NEED_RECORD, state->id, ak_str(NULL, 0));
        }

        return ak_key_judge(t, state);
    }

    cred = ak_txn_cred(t, &conf->carriers);

    switch (cred->kind) {

    case AK_CRED_KEY:
        return ak_key_lookup(t, cred, state);

    case AK_CRED_MALFORMED:
        return AK_MALFORMED;

    case AK_CRED_AMBIGUOUS:
        return AK_AMBIGUOUS;

    default:
        return AK_IGNORE;
    }
}


static const ak_arg_t  ak_key_args[] = {
    { AK_ARG_TEXT, ak_string("from"), offsetof(ak_key_conf_t, from), NULL,
      "where to look for the key, in order" },
    { .type = AK_ARG_END }
};


static unsigned
ak_key_needs(const void *conf)
{
    (void) conf;

    return AK_NEEDS_STORE;
}


const ak_module_t  ak_mod_key = {
    .name = ak_string("key"),
    .about = "an API key that the store has a record of",
    .conf_size = sizeof(ak_key_conf_t),
    .state_size = sizeof(ak_key_state_t),
    .args = ak_key_args,
    .init = ak_key_init,
    .needs = ak_key_needs,
    .strip = ak_key_strip,
    .run = { [AK_AUTH] = ak_key_auth }
};
