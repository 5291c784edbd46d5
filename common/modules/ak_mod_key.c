
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_hash.h"
#include "ak_key.h"
#include "ak_modules.h"


/*
 * auth ... key: an API key against the record that the store has of it.
 *
 * The secret is proved first: whether a key is disabled, revoked or expired is
 * told only to who holds it.
 */

static ak_reason_e
ak_key_judge(ak_txn_t *t)
{
    bool         found;
    ak_record_t  rec;

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
        return AK_UNKNOWN;
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

    t->identified = true;
    t->owner = rec.owner;
    t->name = rec.name;
    t->record = t->answer.value;

    return AK_SUCCESS;
}


static ak_reason_e
ak_key_lookup(ak_txn_t *t, const ak_cred_t *cred)
{
    uint8_t  *id;

    switch (ak_key_parse(cred->value, &t->id)) {

    case AK_KEY_NATIVE:
        break;

    case AK_KEY_FOREIGN:

        id = t->mem.alloc(t->mem.data, AK_KEY_FOREIGN_ID_LEN);
        if (id == NULL) {
            return AK_STORE_UNAVAILABLE;
        }

        if (ak_key_foreign_id(cred->value, t->keyring, id) != AK_OK) {
            return AK_UNKNOWN;
        }

        t->id = ak_str(id, AK_KEY_FOREIGN_ID_LEN);
        break;

    default:
        return AK_MALFORMED;
    }

    return ak_txn_ask(t, AK_NEED_RECORD, t->id, ak_str(NULL, 0));
}


static ak_reason_e
ak_key_auth(ak_txn_t *t, const void *conf, void *state)
{
    const ak_cred_t  *cred;

    (void) conf;
    (void) state;

    if (t->answered) {
        t->source = t->answer.source;
        return ak_key_judge(t);
    }

    cred = ak_txn_cred(t);

    switch (cred->kind) {

    case AK_CRED_KEY:
        return ak_key_lookup(t, cred);

    case AK_CRED_MALFORMED:
        return AK_MALFORMED;

    case AK_CRED_AMBIGUOUS:
        return AK_AMBIGUOUS;

    default:
        return AK_IGNORE;
    }
}


const ak_module_t  ak_mod_key = {
    .name = ak_string("key"),
    .run = { [AK_AUTH] = ak_key_auth }
};
