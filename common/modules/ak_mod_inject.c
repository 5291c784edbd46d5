
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_diag.h"
#include "ak_modules.h"
#include "ak_tokens.h"


/*
 * session ... inject PROVIDER... [fallback=shared|none]
 *                               [on_error=fail|fallback]
 *
 * Puts a provider's key into the forwarded request: for each provider in turn
 * the owner's own, else the shared one.  A key that is there but cannot be
 * opened ends the search, since spending another one in silence would be at
 * somebody else's cost.
 */

typedef struct {
    ak_words_t            names;
    const ak_provider_t **providers;
    size_t                n;
    unsigned              fallback;
    unsigned              on_error;
} ak_inject_conf_t;


/* The order is that of the words. */

typedef enum {
    AK_FALLBACK_SHARED = 0,
    AK_FALLBACK_NONE
} ak_inject_fallback_e;


typedef enum {
    AK_ON_ERROR_FAIL = 0,
    AK_ON_ERROR_FALLBACK
} ak_inject_on_error_e;


static const ak_str_t  ak_inject_fallbacks[] = {
    [AK_FALLBACK_SHARED] = ak_string("shared"),
    [AK_FALLBACK_NONE] = ak_string("none"),
    ak_string("")
};


static const ak_str_t  ak_inject_on_errors[] = {
    [AK_ON_ERROR_FAIL] = ak_string("fail"),
    [AK_ON_ERROR_FALLBACK] = ak_string("fallback"),
    ak_string("")
};


static const ak_arg_t  ak_inject_args[] = {
    { AK_ARG_WORDS, ak_string("PROVIDER"),
      offsetof(ak_inject_conf_t, names), NULL,
      "whose keys to look for, in order" },
    { AK_ARG_CHOICE, ak_string("fallback"),
      offsetof(ak_inject_conf_t, fallback), ak_inject_fallbacks,
      "what serves an owner who has no key" },
    { AK_ARG_CHOICE, ak_string("on_error"),
      offsetof(ak_inject_conf_t, on_error), ak_inject_on_errors,
      "what becomes of a key that does not open" },
    { .type = AK_ARG_END }
};


typedef struct {
    size_t                provider;
    bool                  shared;
    bool                  begun;
    bool                  failed;              /* some key did not open */
} ak_inject_state_t;


static const ak_str_t  ak_inject_shared = ak_string("*");


static ak_rc_t
ak_inject_init(void *data, const ak_init_t *in)
{
    ak_inject_conf_t *conf = data;

    size_t                i, j;
    ak_str_t              name;
    ak_mem_t             *mem;
    const ak_provider_t  *p;

    mem = &in->site->mem;

    conf->providers = mem->alloc(mem->data, (conf->names.n + 1)
                                            * sizeof(ak_provider_t *));
    if (conf->providers == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    for (i = 0; i < conf->names.n; i++) {
        name = conf->names.list[i];
        p = ak_provider_find(name);

        if (p == NULL) {
            return ak_diag(in->d, "unknown provider \"%.*s\"", AK_FMT(name));
        }

        for (j = 0; j < conf->n; j++) {
            if (conf->providers[j] == p) {
                return ak_diag(in->d, "the provider \"%.*s\" is named twice",
                               AK_FMT(name));
            }
        }

        conf->providers[conf->n++] = p;
    }

    if (conf->n == 0) {
        return ak_diag(in->d, "no provider is named");
    }

    return AK_OK;
}


static ak_str_t
ak_inject_owner(const ak_txn_t *t, const ak_inject_state_t *state)
{
    return state->shared ? ak_inject_shared : t->owner;
}


/* A key that is there but does not open is never told as a missing one. */

static ak_reason_e
ak_inject_nothing(const ak_inject_state_t *state)
{
    return state->failed ? AK_UPSTREAM_KEY_ERROR : AK_UPSTREAM_KEY_MISSING;
}


static ak_reason_e
ak_inject_ask(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    if (state->provider == conf->n) {
        return ak_inject_nothing(state);
    }

    return ak_txn_ask(t, AK_NEED_TOKENS, ak_inject_owner(t, state),
                      conf->providers[state->provider]->name);
}


/*
 * Who comes first for a provider: its owner, where there is one.  Another
 * module of the proxy may have let the request pass ("satisfy any"): nobody
 * is known then, and only shared keys can serve.
 */

static ak_reason_e
ak_inject_provider(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    state->shared = !t->identified;

    if (state->shared && conf->fallback == AK_FALLBACK_NONE) {
        return ak_inject_nothing(state);
    }

    return ak_inject_ask(t, conf, state);
}


static ak_reason_e
ak_inject_next(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    if (!state->shared && conf->fallback != AK_FALLBACK_NONE) {
        state->shared = true;
        return ak_inject_ask(t, conf, state);
    }

    state->provider++;

    return ak_inject_provider(t, conf, state);
}


static ak_rc_t
ak_inject_slot(ak_txn_t *t, const ak_provider_t *p, ak_str_t owner,
    const ak_slot_t *slot)
{
    ak_rc_t               rc;
    uint8_t              *value;
    size_t                len;
    ak_place_t            place;
    const ak_carriage_t  *c;

    if (slot->sealed.len <= AK_SEALED_MIN) {
        t->trouble = "is no sealed token";
        return AK_ERROR;
    }

    /* where no line has looked for a credential: as the client would send it */

    c = ak_provider_carriage(p, &t->view,
                             ak_txn_cred(t, t->collected != NULL
                                            ? t->collected
                                            : &ak_carriers_default));

    len = c->scheme.len + ak_seal_secret_len(slot->sealed);
    value = ak_txn_secret(t, len);

    if (value == NULL) {
        t->trouble = "does not fit into memory";
        return AK_ERROR;
    }

    memcpy(value, c->scheme.data, c->scheme.len);

    place.owner = owner;
    place.provider = p->name;
    place.slot = slot->name;

    rc = ak_seal_open(t->keyring, &place, slot->sealed,
                      value + c->scheme.len);

    if (rc != AK_OK) {
        t->trouble = (rc == AK_KID_UNKNOWN)
                     ? "is sealed under a master key that is not in the "
                       "keyring"
                     : "is damaged, or was sealed for another place";
        ak_txn_secret_drop(t);
        return AK_ERROR;
    }

    return ak_txn_set_header(t, c->header, ak_str(value, len));
}


/* The first slot that opens; AK_NOT_FOUND: there is none at all. */

static ak_rc_t
ak_inject_open(ak_txn_t *t, const ak_provider_t *p, ak_str_t owner)
{
    size_t     pos;
    ak_rc_t    rc, slots;
    ak_slot_t  slot;

    pos = 0;
    slots = AK_NOT_FOUND;

    for ( ;; ) {
        rc = ak_tokens_next(t->answer.value, &pos, &slot);

        if (rc != AK_OK) {
            return (rc == AK_NOT_FOUND) ? slots : AK_ERROR;
        }

        t->provider = p->name;
        t->slot = slot.name;

        if (ak_inject_slot(t, p, owner, &slot) == AK_OK) {
            return AK_OK;
        }

        slots = AK_ERROR;
    }
}


static ak_reason_e
ak_inject_session(ak_txn_t *t, const void *data, void *st)
{
    ak_rc_t                  rc;
    ak_inject_state_t       *state;
    const ak_provider_t     *p;
    const ak_inject_conf_t  *conf;

    conf = data;
    state = st;

    if (t->keyring == NULL) {
        t->trouble = "cannot be opened without a keyring";
        return AK_UPSTREAM_KEY_ERROR;
    }

    if (!state->begun) {
        state->begun = true;
        return ak_inject_provider(t, conf, state);
    }

    p = conf->providers[state->provider];
    rc = t->answer.rc;

    if (rc == AK_OK) {
        rc = ak_inject_open(t, p, ak_inject_owner(t, state));
    }

    switch (rc) {

    case AK_OK:
        t->shared = state->shared;
        return AK_SUCCESS;

    case AK_NOT_FOUND:
        return ak_inject_next(t, conf, state);

    case AK_UNAVAILABLE:
        return AK_STORE_UNAVAILABLE;

    default:
        t->provider = p->name;
        state->failed = true;

        if (t->trouble == NULL) {
            t->trouble = "cannot be read";
        }

        if (conf->on_error == AK_ON_ERROR_FALLBACK && !state->shared) {
            return ak_inject_next(t, conf, state);
        }

        return AK_UPSTREAM_KEY_ERROR;
    }
}


const ak_module_t  ak_mod_inject = {
    .name = ak_string("inject"),
    .about = "a provider's key into the forwarded request",
    .conf_size = sizeof(ak_inject_conf_t),
    .state_size = sizeof(ak_inject_state_t),
    .args = ak_inject_args,
    .init = ak_inject_init,
    .run = { [AK_SESSION_OPEN] = ak_inject_session }
};
