
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_carry.h"
#include "ak_held.h"
#include "ak_modules.h"
#include "ak_pool.h"


/*
 * session ... inject PROVIDER... [select=first|turn|random|sticky]
 *                               [fallback=shared|none|env:NAME|file:PATH]
 *                               [on_error=fail|fallback]
 *                               [on_busy=soonest|refuse]
 *
 * Puts a provider's key into the forwarded request: for each provider in turn
 * one of the owner's own, else what "fallback" names.  A pool of keys that is
 * there but cannot serve ends the search, since spending another one in silence
 * would be at somebody else's cost.
 */

/* A provider, or the variable that tells it with each request. */

typedef struct {
    const ak_provider_t  *provider;
    ak_str_t              variable;
} ak_inject_word_t;


typedef struct {
    ak_words_t            names;
    const ak_providers_t *own;                 /* of the configuration */
    ak_inject_word_t     *words;
    size_t                n;
    unsigned              select;
    ak_str_t              from;
    ak_key_source_e       fallback;            /* AK_KEY_NONE: there is none */
    ak_held_t             held;                /* AK_KEY_ENV, AK_KEY_FILE */
    unsigned              on_error;
    unsigned              on_busy;
} ak_inject_conf_t;


/* The order is that of the words. */

typedef enum {
    AK_ON_ERROR_FAIL = 0,
    AK_ON_ERROR_FALLBACK
} ak_inject_on_error_e;


typedef enum {
    AK_ON_BUSY_SOONEST = 0,
    AK_ON_BUSY_REFUSE
} ak_inject_on_busy_e;


static const ak_str_t  ak_inject_selects[] = {
    [AK_SELECT_FIRST] = ak_string("first"),
    [AK_SELECT_TURN] = ak_string("turn"),
    [AK_SELECT_RANDOM] = ak_string("random"),
    [AK_SELECT_STICKY] = ak_string("sticky"),
    ak_string("")
};


static const ak_str_t  ak_inject_on_errors[] = {
    [AK_ON_ERROR_FAIL] = ak_string("fail"),
    [AK_ON_ERROR_FALLBACK] = ak_string("fallback"),
    ak_string("")
};


static const ak_str_t  ak_inject_on_busys[] = {
    [AK_ON_BUSY_SOONEST] = ak_string("soonest"),
    [AK_ON_BUSY_REFUSE] = ak_string("refuse"),
    ak_string("")
};


static const ak_arg_t  ak_inject_args[] = {
    { AK_ARG_WORDS, ak_string("PROVIDER"),
      offsetof(ak_inject_conf_t, names), NULL,
      "whose keys to look for, in order" },
    { AK_ARG_CHOICE, ak_string("select"),
      offsetof(ak_inject_conf_t, select), ak_inject_selects,
      "which of several keys serves" },
    { AK_ARG_TEXT, ak_string("fallback"),
      offsetof(ak_inject_conf_t, from), NULL,
      "who has no key gets: shared, none, env:NAME or file:PATH" },
    { AK_ARG_CHOICE, ak_string("on_error"),
      offsetof(ak_inject_conf_t, on_error), ak_inject_on_errors,
      "what becomes of a key that does not open, or was refused" },
    { AK_ARG_CHOICE, ak_string("on_busy"),
      offsetof(ak_inject_conf_t, on_busy), ak_inject_on_busys,
      "what becomes of a request while all keys are to be left alone" },
    { .type = AK_ARG_END }
};


typedef struct {
    size_t                word;
    const ak_provider_t  *provider;
    ak_key_source_e       source;
    ak_need_e             asked;
    ak_str_t              tokens;              /* packed */
    ak_reason_e           reason;              /* of the first pool that could
                                                  not serve */
} ak_inject_state_t;


static const ak_str_t  ak_inject_shared = ak_string("*");


static ak_rc_t ak_inject_variable(ak_inject_word_t *word, ak_str_t name,
    const ak_init_t *in);
static ak_rc_t ak_inject_fallback(ak_inject_conf_t *conf,
    const ak_init_t *in);

static ak_reason_e ak_inject_next(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state);
static ak_reason_e ak_inject_failed(ak_txn_t *t,
    const ak_inject_conf_t *conf, ak_inject_state_t *state,
    ak_reason_e reason);


static ak_rc_t
ak_inject_init(void *data, const ak_init_t *in)
{
    ak_inject_conf_t *conf = data;

    size_t             i, j;
    ak_str_t           name;
    ak_mem_t          *mem;
    ak_inject_word_t  *word;

    mem = &in->site->mem;
    conf->own = &in->site->providers;

    conf->words = mem->alloc(mem->data, (conf->names.n + 1)
                                        * sizeof(ak_inject_word_t));
    if (conf->words == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    for (i = 0; i < conf->names.n; i++) {
        name = conf->names.list[i];
        word = &conf->words[i];

        word->provider = NULL;
        word->variable = ak_str(NULL, 0);

        if (memchr(name.data, '$', name.len) != NULL) {
            if (ak_inject_variable(word, name, in) != AK_OK) {
                return AK_ERROR;
            }

        } else {
            word->provider = ak_site_provider(in, name);

            if (word->provider == NULL) {
                return ak_diag(in->d, "unknown provider \"%.*s\"",
                               AK_FMT(name));
            }
        }

        for (j = 0; j < i; j++) {
            if (conf->words[j].provider == word->provider
                && ak_str_eq(conf->words[j].variable, word->variable))
            {
                return ak_diag(in->d, "the provider \"%.*s\" is named twice",
                               AK_FMT(name));
            }
        }
    }

    conf->n = conf->names.n;

    if (conf->n == 0) {
        return ak_diag(in->d, "no provider is named");
    }

    return ak_inject_fallback(conf, in);
}


/* "$name" or "${name}", and nothing beside it. */

static ak_rc_t
ak_inject_variable(ak_inject_word_t *word, ak_str_t name, const ak_init_t *in)
{
    size_t    i;
    uint8_t   ch;
    ak_str_t  s;

    s = ak_str(name.data + 1, name.len - 1);

    if (s.len > 1 && s.data[0] == '{' && s.data[s.len - 1] == '}') {
        s = ak_str(s.data + 1, s.len - 2);
    }

    for (i = 0; i < s.len; i++) {
        ch = s.data[i] | 0x20;

        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'
                                           && ch == s.data[i])
              || s.data[i] == '_'))
        {
            break;
        }
    }

    if (name.data[0] != '$' || s.len == 0 || i != s.len) {
        return ak_diag(in->d, "\"%.*s\": a variable is a word of its own, "
                       "$name or ${name}", AK_FMT(name));
    }

    if (in->site->variable == NULL) {
        return ak_diag(in->d, "\"%.*s\": there are no variables here; name "
                       "the provider", AK_FMT(name));
    }

    word->variable = s;

    return in->site->variable(in->site->data, s, in->d);
}


static ak_rc_t
ak_inject_fallback(ak_inject_conf_t *conf, const ak_init_t *in)
{
    if (conf->from.len == 0 || ak_str_eq(conf->from, ak_literal("shared"))) {
        conf->fallback = AK_KEY_SHARED;
        return AK_OK;
    }

    if (ak_str_eq(conf->from, ak_literal("none"))) {
        conf->fallback = AK_KEY_NONE;
        return AK_OK;
    }

    if (ak_held_is_env(conf->from)) {
        conf->fallback = AK_KEY_ENV;

    } else if (ak_held_is_file(conf->from)) {
        conf->fallback = AK_KEY_FILE;

    } else {

        /* the word is not shown: it may be a key, put here by mistake */

        return ak_diag(in->d, "\"fallback\" must be shared, none, env:NAME "
                       "or file:PATH");
    }

    if (conf->n != 1 || conf->words[0].provider == NULL) {
        return ak_diag(in->d, "\"fallback=%.*s\" is the key of one provider: "
                       "the line must name that one alone, and not by "
                       "a variable", AK_FMT(conf->from));
    }

    return ak_held_read(&conf->held, conf->from, in->site, in->d);
}


/* Which provider a word is of this request; NULL: of none. */

static const ak_provider_t *
ak_inject_provider(const ak_txn_t *t, const ak_inject_conf_t *conf,
    const ak_inject_word_t *word)
{
    ak_str_t  name;

    if (word->variable.len == 0) {
        return word->provider;
    }

    if (t->view.variable == NULL
        || !t->view.variable(t->view.host, word->variable, &name)
        || name.len == 0)
    {
        return NULL;
    }

    return ak_providers_named(conf->own, name);
}


static ak_str_t
ak_inject_owner(const ak_txn_t *t, const ak_inject_state_t *state)
{
    return (state->source == AK_KEY_SHARED) ? ak_inject_shared : t->owner;
}


/* A slot was refused: another of the same provider is wanted. */

static bool
ak_inject_again(const ak_txn_t *t)
{
    return t->avoid.len != 0 && t->avoided.len != 0;
}


static bool
ak_inject_wanted(const ak_txn_t *t, const ak_inject_conf_t *conf,
    const ak_inject_state_t *state)
{
    size_t  i;

    if (state->provider == NULL) {
        return false;
    }

    /* the request is on its way to the one that refused a key of it */

    if (ak_inject_again(t)
        && !ak_str_eq(state->provider->name, t->avoided))
    {
        return false;
    }

    /* a variable may say what another word does */

    for (i = 0; i < state->word; i++) {
        if (ak_inject_provider(t, conf, &conf->words[i]) == state->provider) {
            return false;
        }
    }

    return true;
}


static void
ak_inject_trouble(ak_txn_t *t, const char *trouble)
{
    t->trouble = trouble;
    t->troubled = t->slot;
    t->about[0] = '\0';
}


static void
ak_inject_unknown_kid(ak_txn_t *t, const uint8_t *kid)
{
    size_t             i;
    static const char  hex[] = "0123456789abcdef";

    ak_inject_trouble(t, "is sealed under a master key that is not in this "
                         "keyring");

    for (i = 0; i < AK_KID_LEN; i++) {
        t->about[2 * i] = hex[kid[i] >> 4];
        t->about[2 * i + 1] = hex[kid[i] & 15];
    }

    t->about[2 * i] = '\0';
}


static ak_rc_t
ak_inject_unseal(ak_txn_t *t, const ak_provider_t *p, ak_str_t owner,
    const ak_slot_t *slot, uint8_t *dst)
{
    ak_rc_t     rc;
    ak_place_t  place;

    place.owner = owner;
    place.provider = p->name;
    place.slot = slot->name;

    rc = ak_seal_open(t->keyring, &place, slot->sealed, dst);

    if (rc == AK_KID_UNKNOWN) {
        ak_inject_unknown_kid(t, slot->sealed.data);

    } else if (rc != AK_OK) {
        ak_inject_trouble(t, "is damaged, or was sealed for another place");
    }

    return rc;
}


/* Puts the key of a slot into the request; NULL: the one that is held. */

static ak_rc_t
ak_inject_slot(ak_txn_t *t, const ak_provider_t *p, ak_str_t owner,
    const ak_slot_t *slot, const ak_held_t *held)
{
    size_t      len;
    ak_carry_t  carry;

    if (slot != NULL && slot->sealed.len <= AK_SEALED_MIN) {
        ak_inject_trouble(t, "is no sealed token");
        return AK_ERROR;
    }

    len = (slot != NULL) ? ak_seal_secret_len(slot->sealed) : held->len;

    if (ak_carry_begin(t, p, len, &carry) != AK_OK) {
        ak_inject_trouble(t, t->trouble);
        return AK_ERROR;
    }

    if (slot == NULL) {
        ak_held_open(held, carry.key);

    } else if (ak_inject_unseal(t, p, owner, slot, carry.key) != AK_OK) {
        ak_txn_secret_drop(t);
        return AK_ERROR;
    }

    return ak_carry_end(t, &carry);
}


/* Says whose key it is that serves, or would have. */

static void
ak_inject_tell(ak_txn_t *t, const ak_inject_state_t *state, ak_str_t slot)
{
    t->provider = state->provider->name;
    t->key_source = state->source;
    t->slot = slot;
}


static ak_reason_e
ak_inject_held(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    ak_inject_tell(t, state, ak_str(NULL, 0));

    if (ak_inject_slot(t, state->provider, t->owner, NULL, &conf->held)
        != AK_OK)
    {
        return ak_inject_failed(t, conf, state, AK_UPSTREAM_KEY_ERROR);
    }

    t->carried = state->provider;
    t->one = true;

    return AK_SUCCESS;
}


static ak_reason_e
ak_inject_source(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    if (state->source == AK_KEY_ENV || state->source == AK_KEY_FILE) {
        return ak_inject_held(t, conf, state);
    }

    state->asked = AK_NEED_TOKENS;

    return ak_txn_ask(t, AK_NEED_TOKENS, ak_inject_owner(t, state),
                      state->provider->name);
}


/*
 * Goes on with the provider of the word it is at, or of the next that names
 * one.  Its owner comes first, where there is one: another module of the proxy
 * may have let the request pass ("satisfy any"), and nobody is known then.
 *
 * Keys that are there but cannot serve are never told as missing ones.
 */

static ak_reason_e
ak_inject_word(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    for ( /* void */ ; state->word < conf->n; state->word++) {

        state->provider = ak_inject_provider(t, conf,
                                             &conf->words[state->word]);
        state->source = t->identified ? AK_KEY_OWN : conf->fallback;

        if (state->source != AK_KEY_NONE && ak_inject_wanted(t, conf, state)) {
            return ak_inject_source(t, conf, state);
        }
    }

    return (state->reason == AK_SUCCESS) ? AK_UPSTREAM_KEY_MISSING
                                         : state->reason;
}


static ak_reason_e
ak_inject_next(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    if (state->source == AK_KEY_OWN && conf->fallback != AK_KEY_NONE) {
        state->source = conf->fallback;
        return ak_inject_source(t, conf, state);
    }

    state->word++;

    return ak_inject_word(t, conf, state);
}


/* The keys of a source are there, and none of them can serve. */

static ak_reason_e
ak_inject_failed(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state, ak_reason_e reason)
{
    if (state->reason == AK_SUCCESS) {
        state->reason = reason;
    }

    if (conf->on_error == AK_ON_ERROR_FALLBACK
        && state->source == AK_KEY_OWN)
    {
        return ak_inject_next(t, conf, state);
    }

    return reason;
}


/* The same of keys that are not even tried. */

static ak_reason_e
ak_inject_closed(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state, const char *trouble)
{
    ak_inject_tell(t, state, ak_str(NULL, 0));
    ak_inject_trouble(t, trouble);

    return ak_inject_failed(t, conf, state, AK_UPSTREAM_KEY_ERROR);
}


/* How many slots there are up to the end, or to where it is damaged. */

static size_t
ak_inject_slots(ak_str_t packed, ak_slot_t *slots)
{
    size_t  n, pos;

    pos = 0;

    for (n = 0; n < AK_SLOTS_MAX; n++) {
        if (ak_tokens_next(packed, &pos, &slots[n]) != AK_OK) {
            break;
        }
    }

    return n;
}


static ak_reason_e
ak_inject_tokens(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    size_t     n;
    ak_slot_t  slots[AK_SLOTS_MAX];

    switch (t->answer.rc) {

    case AK_OK:
        break;

    case AK_NOT_FOUND:
        return ak_inject_next(t, conf, state);

    case AK_UNAVAILABLE:
        return AK_STORE_UNAVAILABLE;

    default:
        return ak_inject_closed(t, conf, state, "cannot be read");
    }

    if (t->answer.value.len == 0) {
        return ak_inject_next(t, conf, state);
    }

    n = ak_inject_slots(t->answer.value, slots);

    if (n == 0) {
        return ak_inject_closed(t, conf, state, "cannot be read");
    }

    if (t->keyring == NULL) {
        return ak_inject_closed(t, conf, state,
                                "cannot be opened without a keyring");
    }

    state->asked = AK_NEED_SLOTS;
    state->tokens = t->answer.value;

    return ak_txn_ask_slots(t, ak_inject_owner(t, state),
                            state->provider->name, state->tokens,
                            conf->select == AK_SELECT_TURN && n > 1);
}


/* The order to try them in. */

static size_t
ak_inject_order(ak_txn_t *t, const ak_inject_conf_t *conf,
    const ak_inject_state_t *state, size_t all, const uint64_t *left,
    uint8_t *order)
{
    uint32_t  number;
    ak_str_t  avoid;

    number = t->answer.number;

    if (conf->select == AK_SELECT_RANDOM && all > 1) {

        /* where there are no random bytes any number will do */

        (void) ak_random(&number, sizeof(number));
    }

    avoid = (ak_inject_again(t) && state->source == t->avoided_source)
            ? t->avoid : ak_str(NULL, 0);

    return ak_pool_order(state->tokens, (ak_select_e) conf->select, left,
                         avoid, number, t->id.len != 0 ? t->id : t->owner,
                         order);
}


/* All that are left are to be left alone; the first of them ends that first. */

static ak_reason_e
ak_inject_busy(ak_txn_t *t, const ak_inject_state_t *state, uint64_t wait)
{
    ak_inject_tell(t, state, ak_str(NULL, 0));

    t->retry = wait;

    return AK_RATE_LIMITED;
}


/* Whether something could have served beside the slot that does. */

static bool
ak_inject_others(const ak_inject_conf_t *conf, const ak_inject_state_t *state,
    const uint64_t *left, const uint8_t *rest, size_t n)
{
    if (conf->on_error == AK_ON_ERROR_FALLBACK
        && state->source == AK_KEY_OWN && conf->fallback != AK_KEY_NONE)
    {
        return true;
    }

    return n != 0 && (conf->on_busy == AK_ON_BUSY_SOONEST
                      || left == NULL || left[rest[0]] == 0);
}


static ak_reason_e
ak_inject_pool(ak_txn_t *t, const ak_inject_conf_t *conf,
    ak_inject_state_t *state)
{
    size_t            i, n, all;
    uint8_t           order[AK_SLOTS_MAX];
    ak_slot_t         slots[AK_SLOTS_MAX], *slot;
    const uint64_t   *left;

    left = (t->answer.rc == AK_OK) ? t->answer.left : NULL;

    all = ak_inject_slots(state->tokens, slots);
    n = ak_inject_order(t, conf, state, all, left, order);

    for (i = 0; i < n; i++) {
        slot = &slots[order[i]];

        if (conf->on_busy == AK_ON_BUSY_REFUSE
            && left != NULL && left[order[i]] != 0)
        {
            return ak_inject_busy(t, state, left[order[i]]);
        }

        ak_inject_tell(t, state, slot->name);

        if (ak_inject_slot(t, state->provider, ak_inject_owner(t, state),
                           slot, NULL)
            == AK_OK)
        {
            t->token = ak_pool_token(slot->sealed);
            t->carried = state->provider;
            t->one = !ak_inject_others(conf, state, left, order + i + 1,
                                       n - i - 1);
            return AK_SUCCESS;
        }
    }

    if (n == all) {
        return ak_inject_failed(t, conf, state, AK_UPSTREAM_KEY_ERROR);
    }

    /* those that are not in the order are what the provider refuses */

    ak_inject_tell(t, state, ak_str(NULL, 0));

    return ak_inject_failed(t, conf, state, AK_UPSTREAM_AUTH_FAILED);
}


static ak_reason_e
ak_inject_session(ak_txn_t *t, const void *data, void *st)
{
    ak_inject_state_t       *state;
    const ak_inject_conf_t  *conf;

    conf = data;
    state = st;

    switch (state->asked) {

    case AK_NEED_TOKENS:
        return ak_inject_tokens(t, conf, state);

    case AK_NEED_SLOTS:
        return ak_inject_pool(t, conf, state);

    default:
        return ak_inject_word(t, conf, state);
    }
}


/* A key of the configuration is there without either. */

static unsigned
ak_inject_needs(const void *data)
{
    const ak_inject_conf_t *conf = data;

    return (conf->fallback == AK_KEY_ENV || conf->fallback == AK_KEY_FILE)
           ? 0 : AK_NEEDS_STORE | AK_NEEDS_KEYRING;
}


const ak_module_t  ak_mod_inject = {
    .name = ak_string("inject"),
    .about = "a provider's key into the forwarded request",
    .conf_size = sizeof(ak_inject_conf_t),
    .state_size = sizeof(ak_inject_state_t),
    .args = ak_inject_args,
    .init = ak_inject_init,
    .needs = ak_inject_needs,
    .run = { [AK_SESSION_OPEN] = ak_inject_session }
};
