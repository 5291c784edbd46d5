
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "session required inject". */


#include "unit.h"

#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_pool.h"
#include "ak_stack.h"


#define ROWS_MAX  8


/* A row of the store: what one owner has for one provider. */

typedef struct {
    const char    *owner;
    const char    *provider;
    ak_rc_t        rc;
    ak_str_t       value;
} row_t;


typedef struct {
    unit_pool_t    pool;
    ak_txn_t       t;
    ak_site_t      site;
    ak_stack_t    *s;
    row_t          rows[ROWS_MAX];
    size_t         nrows;
    char           asked[512];         /* "alice:openai *:openai " */
    char           pools[512];         /* the same of slots, "!" with a turn */
    ak_rc_t        rc;                 /* of slots */
    uint64_t       left[AK_SLOTS_MAX];
    uint32_t       number;
    const char    *only;               /* whose slots left[] is of, or NULL */
} bench_t;


static ak_digest_t   *digest;
static ak_keyring_t  *keyring;
static ak_keyring_t  *stranger;


static int
setup(void **state)
{
    (void) state;

    digest = ak_digest_create();
    keyring = unit_keyring_default();
    stranger = unit_keyring("master " UNIT_MASTER_2 "\n");

    return digest == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ak_keyring_free(stranger);
    ak_keyring_free(keyring);
    ak_digest_free(digest);

    return 0;
}


/* The host knows "$p" and "$q"; only the first ever has a value. */

static ak_rc_t
take_variable(void *data, ak_str_t name, ak_diag_t *d)
{
    (void) data;

    if (ak_str_eq(name, S("p")) || ak_str_eq(name, S("q"))) {
        return AK_OK;
    }

    return ak_diag(d, "unknown variable \"%.*s\"", AK_FMT(name));
}


static const char  *variable;


static bool
get_variable(void *host, ak_str_t name, ak_str_t *value)
{
    (void) host;

    assert_true(ak_str_eq(name, S("p")) || ak_str_eq(name, S("q")));

    *value = ak_cstr(variable);

    return variable != NULL && ak_str_eq(name, S("p"));
}


static const char *
kid(const ak_keyring_t *k)
{
    size_t       i;
    static char  text[AK_KID_LEN * 2 + 1];

    for (i = 0; i < AK_KID_LEN; i++) {
        snprintf(text + 2 * i, 3, "%02x", ak_keyring_kid(k, 0)[i]);
    }

    return text;
}


static ak_rc_t
add(bench_t *b, const char *words, ak_diag_t *d)
{
    char  text[512];

    snprintf(text, sizeof(text), "session required inject%s%s",
             *words ? " " : "", words);

    memset(d, 0, sizeof(*d));

    return unit_add(b->s, text, d);
}


static void
begin(bench_t *b, const unit_header_t *headers, const char *words)
{
    ak_diag_t  d;

    memset(b, 0, sizeof(*b));
    unit_pool_init(&b->pool);
    unit_txn(&b->t, &b->pool, headers, digest, keyring);

    b->rc = AK_NOT_FOUND;
    b->site = unit_site(&b->pool);
    b->site.variable = take_variable;
    b->t.view.variable = get_variable;
    b->s = ak_stack_create(&b->site, S("test"));
    assert_int_equal(unit_add(b->s, "auth required debug owner=alice", &d),
                     AK_OK);
    assert_case(add(b, words, &d) == AK_OK, "%s", d.text);
    assert_int_equal(ak_stack_link(b->s, NULL, NULL, &d), AK_OK);
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static ak_str_t
keep(bench_t *b, const void *data, size_t len)
{
    void  *p;

    p = b->pool.mem.alloc(b->pool.mem.data, len);
    memcpy(p, data, len);

    return ak_str(p, len);
}


static void
put(bench_t *b, const char *owner, const char *provider, ak_rc_t rc,
    ak_str_t value)
{
    row_t  *row;

    assert_true(b->nrows < ROWS_MAX);
    row = &b->rows[b->nrows++];

    row->owner = owner;
    row->provider = provider;
    row->rc = rc;
    row->value = value;
}


/* Fields "slot", "token" of a set; the token is damaged where it is NULL. */

static void
put_fields(bench_t *b, const char *owner, const char *provider,
    const ak_field_t *fields, size_t n)
{
    size_t    len;
    uint8_t   packed[AK_VALUE_MAX];
    unsigned  damaged;

    assert_int_equal(ak_tokens_pack(fields, n, packed, &len, &damaged),
                     AK_OK);
    put(b, owner, provider, AK_OK, keep(b, packed, len));
}


static ak_str_t
seal(bench_t *b, const ak_keyring_t *k, const char *owner,
    const char *provider, const char *slot, const char *secret)
{
    size_t      len;
    uint8_t     text[AK_SEALED_TEXT_MAX];
    ak_place_t  place;

    place.owner = ak_cstr(owner);
    place.provider = ak_cstr(provider);
    place.slot = ak_cstr(slot);

    assert_int_equal(ak_seal(k, &place, ak_cstr(secret), text, &len, NULL),
                     AK_OK);

    return keep(b, text, len);
}


static void
put_secret(bench_t *b, const char *owner, const char *provider,
    const char *secret)
{
    ak_field_t  f;

    f.name = S("default");
    f.value = seal(b, keyring, owner, provider, "default", secret);

    put_fields(b, owner, provider, &f, 1);
}


static void
put_damaged(bench_t *b, const char *owner, const char *provider)
{
    static const ak_field_t  f = {
        ak_string("default"), ak_string("ak1.damaged")
    };

    put_fields(b, owner, provider, &f, 1);
}


/* Sealed under a master key that the keyring has not. */

static void
put_stranger(bench_t *b, const char *owner, const char *provider)
{
    ak_field_t  f;

    f.name = S("default");
    f.value = seal(b, stranger, owner, provider, "default", UNIT_SECRET);

    put_fields(b, owner, provider, &f, 1);
}


/* The tokens of the set must still be there when the slots are asked for. */

static void
answer_slots(bench_t *b)
{
    char         text[128];
    size_t       i, pos;
    ak_slot_t    slot;
    ak_answer_t  a = { .rc = b->rc };

    snprintf(text, sizeof(text), "%.*s:%.*s%s ", AK_FMT(b->t.need.name),
             AK_FMT(b->t.need.provider), b->t.need.turn ? "!" : "");
    assert_true(strlen(b->pools) + strlen(text) < sizeof(b->pools));
    strcat(b->pools, text);

    pos = 0;
    assert_int_equal(ak_tokens_next(b->t.need.value, &pos, &slot), AK_OK);

    for (i = 0; i < b->nrows; i++) {
        if (ak_str_eq(b->t.need.name, ak_cstr(b->rows[i].owner))
            && ak_str_eq(b->t.need.provider, ak_cstr(b->rows[i].provider)))
        {
            assert_ptr_equal(b->t.need.value.data, b->rows[i].value.data);
        }
    }

    if (b->only != NULL && !ak_str_eq(b->t.need.name, ak_cstr(b->only))) {
        a.rc = AK_NOT_FOUND;
    }

    a.left = (a.rc == AK_OK) ? b->left : NULL;
    a.number = b->number;

    ak_txn_answer(&b->t, &a);
}


static void
answer(bench_t *b)
{
    char         text[128];
    size_t       i;
    ak_answer_t  a = { .rc = AK_NOT_FOUND, .source = AK_SOURCE_MISS };

    assert_int_not_equal(b->t.need.name.len, 0);

    if (b->t.need.type == AK_NEED_SLOTS) {
        answer_slots(b);
        return;
    }

    assert_int_equal(b->t.need.type, AK_NEED_TOKENS);

    snprintf(text, sizeof(text), "%.*s:%.*s ", AK_FMT(b->t.need.name),
             AK_FMT(b->t.need.provider));
    assert_true(strlen(b->asked) + strlen(text) < sizeof(b->asked));
    strcat(b->asked, text);

    for (i = 0; i < b->nrows; i++) {
        if (ak_str_eq(b->t.need.name, ak_cstr(b->rows[i].owner))
            && ak_str_eq(b->t.need.provider, ak_cstr(b->rows[i].provider)))
        {
            a.rc = b->rows[i].rc;
            a.value = b->rows[i].value;
        }
    }

    ak_txn_answer(&b->t, &a);
}


static ak_rc_t
open_session(bench_t *b)
{
    ak_rc_t  rc;

    for ( ;; ) {
        rc = ak_stack_run(b->s, &b->t, AK_SESSION_OPEN);

        if (rc != AK_AGAIN) {
            break;
        }

        answer(b);
    }

    assert_int_equal(rc == AK_OK, b->t.reason == AK_SUCCESS);
    assert_null(b->t.alert);

    return rc;
}


static ak_rc_t
run(bench_t *b)
{
    assert_int_equal(ak_stack_run(b->s, &b->t, AK_AUTH), AK_OK);
    assert_int_equal(ak_stack_run(b->s, &b->t, AK_ACCOUNT), AK_OK);

    return open_session(b);
}


static void
check_granted(bench_t *b, const char *header, const char *value,
    const char *provider, bool shared)
{
    ak_rc_t  rc;

    rc = run(b);
    assert_case(rc == AK_OK, "%.*s", AK_FMT(ak_error(b->t.reason)->word));

    assert_int_equal(b->t.neffects, 1);
    assert_int_equal(b->t.effects[0].name.len, strlen(header));
    assert_int_equal(strncasecmp((const char *) b->t.effects[0].name.data,
                                 header, strlen(header)), 0);
    assert_str(b->t.effects[0].value, value);
    assert_str(b->t.provider, provider);
    assert_int_equal(b->t.key_source, shared ? AK_KEY_SHARED : AK_KEY_OWN);
}


static void
check_denied(bench_t *b, ak_reason_e reason)
{
    assert_int_equal(run(b), AK_DENIED);
    assert_case(b->t.reason == reason, "%.*s, not %.*s",
                AK_FMT(ak_error(b->t.reason)->word),
                AK_FMT(ak_error(reason)->word));
    assert_str(b->t.module, "inject");
    assert_int_equal(b->t.neffects, 0);
}


static void
test_owner_first(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    put_secret(&b, "alice", "openai", "sk-of-alice");
    put_secret(&b, "*", "openai", "sk-of-all");

    check_granted(&b, "authorization", "Bearer sk-of-alice", "openai", false);
    assert_string_equal(b.asked, "alice:openai ");
    assert_str(b.t.slot, "default");
    end(&b);
}


static void
test_shared_else(void **state)
{
    size_t   i;
    bench_t  b;

    static const char  *words[] = { "openai", "openai fallback=shared" };

    (void) state;

    for (i = 0; i < ak_nitems(words); i++) {
        begin(&b, NULL, words[i]);
        put_secret(&b, "bob", "openai", "sk-of-bob");
        put_secret(&b, "*", "openai", "sk-of-all");

        check_granted(&b, "authorization", "Bearer sk-of-all", "openai", true);
        assert_string_equal(b.asked, "alice:openai *:openai ");
        end(&b);
    }
}


/* A set that has no slots is nobody's key. */

static void
test_empty_set(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    put_fields(&b, "alice", "openai", NULL, 0);
    put_secret(&b, "*", "openai", "sk-of-all");
    check_granted(&b, "authorization", "Bearer sk-of-all", "openai", true);
    end(&b);
}


static void
test_missing(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    check_denied(&b, AK_UPSTREAM_KEY_MISSING);
    assert_string_equal(b.asked, "alice:openai *:openai ");
    end(&b);

    begin(&b, NULL, "openai anthropic");
    put_secret(&b, "alice", "google", "sk-of-alice");
    check_denied(&b, AK_UPSTREAM_KEY_MISSING);
    end(&b);
}


static void
test_fallback_none(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai fallback=none");
    put_secret(&b, "*", "openai", "sk-of-all");
    check_denied(&b, AK_UPSTREAM_KEY_MISSING);
    assert_string_equal(b.asked, "alice:openai ");
    end(&b);

    begin(&b, NULL, "fallback=none openai anthropic");
    put_secret(&b, "*", "openai", "sk-of-all");
    put_secret(&b, "alice", "anthropic", "sk-of-alice");
    check_granted(&b, "x-api-key", "sk-of-alice", "anthropic", false);
    assert_string_equal(b.asked, "alice:openai alice:anthropic ");
    end(&b);
}


/* The order of the words is the order of preference. */

static void
test_several_providers(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai anthropic google");
    put_secret(&b, "alice", "openai", "sk-openai");
    put_secret(&b, "alice", "google", "sk-google");
    check_granted(&b, "authorization", "Bearer sk-openai", "openai", false);
    end(&b);

    begin(&b, NULL, "google anthropic openai");
    put_secret(&b, "alice", "openai", "sk-openai");
    put_secret(&b, "alice", "google", "sk-google");
    check_granted(&b, "x-goog-api-key", "sk-google", "google", false);
    end(&b);

    begin(&b, NULL, "openai brave google");
    put_secret(&b, "*", "brave", "brave-of-all");
    check_granted(&b, "x-subscription-token", "brave-of-all", "brave", true);
    end(&b);
}


static void
test_every_provider(void **state)
{
    char                  value[64], name[64], header[64];
    size_t                n;
    bench_t               b;
    const ak_provider_t  *p;

    static const unit_header_t  headers[] = {
        { "x-api-key", UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    for (n = 0; (p = ak_provider_at(n)) != NULL; n++) {
        snprintf(name, sizeof(name), "%.*s", AK_FMT(p->name));
        snprintf(header, sizeof(header), "%.*s", AK_FMT(p->carriage.header));
        snprintf(value, sizeof(value), "%.*s%s", AK_FMT(p->carriage.scheme),
                 UNIT_SECRET);

        begin(&b, headers, name);
        put_secret(&b, "alice", name, UNIT_SECRET);
        check_granted(&b, header, value, name, false);
        end(&b);
    }
}


static void
check_anthropic(const unit_header_t *headers, const char *header,
    const char *value)
{
    bench_t  b;

    begin(&b, headers, "anthropic");
    put_secret(&b, "alice", "anthropic", "sk-ant");
    check_granted(&b, header, value, "anthropic", false);
    end(&b);
}


static void
test_anthropic(void **state)
{
    static const unit_header_t  newer[] = {
        { "authorization", "Bearer " UNIT_KEY },
        { "anthropic-version", "2026-10-21" },
        { NULL, NULL }
    };
    static const unit_header_t  older[] = {
        { "x-api-key", UNIT_KEY },
        { "anthropic-version", "2023-06-01" },
        { NULL, NULL }
    };
    static const unit_header_t  crossed[] = {
        { "authorization", "Bearer " UNIT_KEY },
        { "anthropic-version", "2023-06-01" },
        { NULL, NULL }
    };
    static const unit_header_t  bearer[] = {
        { "authorization", "Bearer " UNIT_KEY }, { NULL, NULL }
    };
    static const unit_header_t  bare[] = {
        { "x-api-key", UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    check_anthropic(newer, "authorization", "Bearer sk-ant");
    check_anthropic(older, "x-api-key", "sk-ant");
    check_anthropic(crossed, "x-api-key", "sk-ant");
    check_anthropic(bearer, "authorization", "Bearer sk-ant");
    check_anthropic(bare, "x-api-key", "sk-ant");
}


static void
test_slots(void **state)
{
    bench_t     b;
    ak_field_t  f[3];

    (void) state;

    begin(&b, NULL, "openai");

    f[0].name = S("b");
    f[0].value = seal(&b, keyring, "alice", "openai", "b", "sk-of-slot-b");
    f[1].name = S("a");
    f[1].value = seal(&b, keyring, "alice", "openai", "a", "sk-of-slot-a");
    put_fields(&b, "alice", "openai", f, 2);

    check_granted(&b, "authorization", "Bearer sk-of-slot-a", "openai",
                  false);
    assert_str(b.t.slot, "a");
    end(&b);

    /* a damaged token hurts its own slot only */

    begin(&b, NULL, "openai");

    f[0].name = S("a");
    f[0].value = S("ak1.damaged");
    f[1].name = S("b");
    f[1].value = seal(&b, stranger, "alice", "openai", "b", "sk-of-slot-b");
    f[2].name = S("c");
    f[2].value = seal(&b, keyring, "alice", "openai", "c", "sk-of-slot-c");
    put_fields(&b, "alice", "openai", f, 3);

    check_granted(&b, "authorization", "Bearer sk-of-slot-c", "openai",
                  false);
    assert_str(b.t.slot, "c");
    end(&b);
}


/* More slots than a transaction has room for secrets. */

static void
test_many_damaged_slots(void **state)
{
    char        names[AK_SLOTS_MAX][4];
    size_t      i;
    bench_t     b;
    ak_field_t  f[AK_SLOTS_MAX];

    (void) state;

    begin(&b, NULL, "openai");

    for (i = 0; i < AK_SLOTS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "s%02zu", i);
        f[i].name = ak_cstr(names[i]);
        f[i].value = seal(&b, i + 1 < AK_SLOTS_MAX ? stranger : keyring,
                          "alice", "openai", names[i], "sk-of-the-last");
    }

    put_fields(&b, "alice", "openai", f, AK_SLOTS_MAX);
    check_granted(&b, "authorization", "Bearer sk-of-the-last", "openai",
                  false);
    end(&b);
}


static void
test_damaged(void **state)
{
    bench_t  b;

    (void) state;

    /* another key is not spent in silence */

    begin(&b, NULL, "openai anthropic");
    put_damaged(&b, "alice", "openai");
    put_secret(&b, "*", "openai", "sk-of-all");
    put_secret(&b, "alice", "anthropic", "sk-ant");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    assert_string_equal(b.asked, "alice:openai ");
    assert_non_null(b.t.trouble);
    assert_str(b.t.provider, "openai");
    end(&b);

    begin(&b, NULL, "openai");
    put_damaged(&b, "*", "openai");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    assert_non_null(b.t.trouble);
    end(&b);
}


/* A token that somebody moved is damaged, whoever's it was. */

static void
test_moved(void **state)
{
    bench_t     b;
    ak_field_t  f;

    (void) state;

    begin(&b, NULL, "openai");
    f.name = S("default");
    f.value = seal(&b, keyring, "bob", "openai", "default", "sk-of-bob");
    put_fields(&b, "alice", "openai", &f, 1);
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    end(&b);

    begin(&b, NULL, "openai");
    f.value = seal(&b, keyring, "*", "openai", "default", "sk-of-all");
    put_fields(&b, "alice", "openai", &f, 1);
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    end(&b);

    begin(&b, NULL, "openai");
    f.value = seal(&b, keyring, "alice", "openai", "other", "sk-of-alice");
    put_fields(&b, "alice", "openai", &f, 1);
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    end(&b);
}


static void
test_unknown_kid(void **state)
{
    bench_t      b;
    const char  *damaged;

    (void) state;

    begin(&b, NULL, "openai");
    put_damaged(&b, "alice", "openai");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    damaged = b.t.trouble;
    end(&b);

    begin(&b, NULL, "openai");
    put_stranger(&b, "alice", "openai");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);

    assert_non_null(b.t.trouble);
    assert_string_not_equal(b.t.trouble, damaged);
    assert_string_equal(b.t.trouble, "is sealed under a master key that is "
                        "not in this keyring");
    assert_string_equal(b.t.about, kid(stranger));
    assert_str(b.t.troubled, "default");
    end(&b);
}


static void
test_no_keyring(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    b.t.keyring = NULL;
    put_secret(&b, "alice", "openai", "sk-of-alice");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    assert_non_null(b.t.trouble);
    end(&b);
}


static void
test_unreadable(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    put(&b, "alice", "openai", AK_ERROR, S(""));
    put_secret(&b, "*", "openai", "sk-of-all");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    end(&b);

    begin(&b, NULL, "openai");
    put(&b, "alice", "openai", AK_OK, S("\xff\xff\xff garbage \xff"));
    put_secret(&b, "*", "openai", "sk-of-all");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    end(&b);
}


static void
test_unavailable(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai anthropic on_error=fallback");
    put(&b, "alice", "openai", AK_UNAVAILABLE, S(""));
    put_secret(&b, "*", "openai", "sk-of-all");
    put_secret(&b, "alice", "anthropic", "sk-ant");
    check_denied(&b, AK_STORE_UNAVAILABLE);
    end(&b);

    begin(&b, NULL, "openai anthropic");
    put(&b, "*", "openai", AK_UNAVAILABLE, S(""));
    put_secret(&b, "alice", "anthropic", "sk-ant");
    check_denied(&b, AK_STORE_UNAVAILABLE);
    end(&b);
}


static void
test_on_error(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai on_error=fallback");
    put_damaged(&b, "alice", "openai");
    put_secret(&b, "*", "openai", "sk-of-all");
    check_granted(&b, "authorization", "Bearer sk-of-all", "openai", true);
    end(&b);

    begin(&b, NULL, "openai on_error=fallback");
    put_stranger(&b, "alice", "openai");
    put_secret(&b, "*", "openai", "sk-of-all");
    check_granted(&b, "authorization", "Bearer sk-of-all", "openai", true);
    end(&b);

    begin(&b, NULL, "openai on_error=fail");
    put_damaged(&b, "alice", "openai");
    put_secret(&b, "*", "openai", "sk-of-all");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    end(&b);
}


/*
 * Where nothing is left to fall back to, there was a key that did not open:
 * who hears "missing" would store a second one and never find the first.
 */

static void
test_on_error_nothing_left(void **state)
{
    size_t   i;
    bench_t  b;

    static const char  *words[] = {
        "openai on_error=fallback",
        "openai anthropic on_error=fallback",
        "openai on_error=fallback fallback=none",
        "anthropic openai on_error=fallback"
    };

    (void) state;

    for (i = 0; i < ak_nitems(words); i++) {
        begin(&b, NULL, words[i]);
        put_damaged(&b, "alice", "openai");
        check_denied(&b, AK_UPSTREAM_KEY_ERROR);
        end(&b);
    }
}


/* Somebody else let the request pass: only shared keys can serve it. */

static void
test_nobody(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    put_secret(&b, "alice", "openai", "sk-of-alice");
    put_secret(&b, "*", "openai", "sk-of-all");
    b.t.owner = S("alice");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_AGAIN);
    assert_str(b.t.need.name, "*");
    end(&b);
}


/* The header's value is wiped with the transaction, and so is every try. */

static void
test_wiped(void **state)
{
    bench_t        b;
    ak_str_t       value;
    unit_chunk_t  *c;

    (void) state;

    begin(&b, NULL, "openai");
    put_secret(&b, "alice", "openai", UNIT_SECRET);
    check_granted(&b, "authorization", "Bearer " UNIT_SECRET, "openai",
                  false);

    value = b.t.effects[0].value;
    ak_txn_abort(&b.t);

    assert_true(unit_zero(value.data, value.len));
    assert_int_equal(b.t.neffects, 0);

    for (c = b.pool.chunks; c != NULL; c = c->next) {
        assert_false(unit_leaks(c->data, c->size, S(UNIT_SECRET), 12));
    }

    end(&b);
}


/* Cut off in the middle: nothing is staged and nothing is left. */

static void
test_abort(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_OK);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_AGAIN);

    ak_txn_abort(&b.t);
    assert_int_equal(b.t.neffects, 0);
    assert_int_equal(b.t.need.type, AK_NEED_NONE);
    end(&b);
}


static void
test_no_memory(void **state)
{
    size_t   left;
    ak_rc_t  rc;
    bench_t  b;

    (void) state;

    for (left = 0; left < 6; left++) {
        begin(&b, NULL, "openai");
        put_secret(&b, "alice", "openai", "sk-of-alice");
        b.pool.left = left + 1;        /* one is for debug */

        rc = run(&b);
        assert_int_equal(rc == AK_OK, b.t.neffects == 1);
        end(&b);
    }

    assert_int_equal(rc, AK_OK);
}


/* Slots "a", "b", "c" ... whose secrets are "key-a", "key-b", "key-c" ... */

static void
put_slots(bench_t *b, const char *owner, size_t n)
{
    char        names[AK_SLOTS_MAX][2], secret[] = "key-?";
    size_t      i;
    ak_field_t  f[AK_SLOTS_MAX];

    for (i = 0; i < n; i++) {
        names[i][0] = (char) ('a' + i);
        names[i][1] = '\0';
        secret[sizeof(secret) - 2] = names[i][0];

        f[i].name = ak_cstr(names[i]);
        f[i].value = seal(b, keyring, owner, "openai", names[i], secret);
    }

    put_fields(b, owner, "openai", f, n);
}


/* Granted, by the slot of that letter of that source. */

static void
check_slot(bench_t *b, char slot, ak_key_source_e source, bool one)
{
    char  name[2] = { slot, '\0' }, value[] = "Bearer key-?";

    value[sizeof(value) - 2] = slot;

    assert_case(b->t.reason == AK_SUCCESS, "%.*s",
                AK_FMT(ak_error(b->t.reason)->word));
    assert_int_equal(b->t.neffects, 1);
    assert_str(b->t.effects[0].value, value);
    assert_str(b->t.slot, name);
    assert_str(b->t.provider, "openai");
    assert_int_equal(b->t.key_source, source);
    assert_int_equal(b->t.one, one);
    assert_int_not_equal(b->t.token, 0);
    assert_ptr_equal(b->t.carried, ak_provider_find(S("openai")));
}


/* What is known of the slots of three, and which one serves. */

typedef struct {
    const char  *words;
    uint64_t     left[3];
    uint32_t     number;
    char         slot;         /* 0: none, for that reason */
    bool         one;
    ak_reason_e  reason;
    uint64_t     retry;
} pool_case_t;


#define NEVER  AK_POOL_NEVER

static const pool_case_t  pool_cases[] = {

    { "openai", { 0, 0, 0 }, 7, 'a', false, 0, 0 },
    { "openai select=first", { 0, 0, 0 }, 7, 'a', false, 0, 0 },
    { "openai", { NEVER, 0, 0 }, 0, 'b', false, 0, 0 },
    { "openai", { NEVER, 0, NEVER }, 0, 'b', true, 0, 0 },
    { "openai", { 1, 0, 0 }, 0, 'b', false, 0, 0 },
    { "openai", { NEVER, NEVER, NEVER }, 0, 0, false,
      AK_UPSTREAM_AUTH_FAILED, 0 },

    { "openai select=turn", { 0, 0, 0 }, 0, 'a', false, 0, 0 },
    { "openai select=turn", { 0, 0, 0 }, 1, 'b', false, 0, 0 },
    { "openai select=turn", { 0, 0, 0 }, 2, 'c', false, 0, 0 },
    { "openai select=turn", { 0, 0, 0 }, 3, 'a', false, 0, 0 },
    { "openai select=turn", { 0, 5, 0 }, 1, 'c', false, 0, 0 },
    { "openai select=turn", { 0, 5, 0 }, 2, 'a', false, 0, 0 },

    /* all are to be left alone: the one that is ready soonest */

    { "openai", { 9, 8, 7 }, 0, 'c', false, 0, 0 },
    { "openai on_busy=soonest", { 9, 8, NEVER }, 0, 'b', false, 0, 0 },
    { "openai select=turn", { 9, 8, 7 }, 1, 'c', false, 0, 0 },
    { "openai select=random", { 9, 8, 7 }, 1, 'c', false, 0, 0 },
    { "openai select=sticky", { 9, 8, 7 }, 1, 'c', false, 0, 0 },
    { "openai", { 9, NEVER, NEVER }, 0, 'a', true, 0, 0 },

    { "openai on_busy=refuse", { 9000, 8000, 7001 }, 0, 0, false,
      AK_RATE_LIMITED, 7001 },
    { "openai on_busy=refuse", { NEVER, 8000, NEVER }, 0, 0, false,
      AK_RATE_LIMITED, 8000 },
    { "openai on_busy=refuse", { 9000, 8000, 0 }, 0, 'c', true, 0, 0 },
    { "openai on_busy=refuse", { 0, 8000, 0 }, 0, 'a', false, 0, 0 },
    { "openai on_busy=refuse", { NEVER, NEVER, NEVER }, 0, 0, false,
      AK_UPSTREAM_AUTH_FAILED, 0 },

    /* busy is no error: the shared key is not spent */

    { "openai on_busy=refuse on_error=fallback", { 3, 2, 1 }, 0, 0, false,
      AK_RATE_LIMITED, 1 }
};


static void
test_pools(void **state)
{
    size_t              i;
    bench_t             b;
    const pool_case_t  *c;

    (void) state;

    for (i = 0; i < ak_nitems(pool_cases); i++) {
        c = &pool_cases[i];

        begin(&b, NULL, c->words);
        put_slots(&b, "alice", 3);
        put_secret(&b, "*", "openai", "sk-of-all");

        b.rc = AK_OK;
        b.number = c->number;
        memcpy(b.left, c->left, sizeof(c->left));

        if (c->slot != 0) {
            assert_case(run(&b) == AK_OK, "%zu: %s", i, c->words);
            check_slot(&b, c->slot, AK_KEY_OWN, c->one);
            assert_int_equal(b.t.retry, 0);

        } else {
            check_denied(&b, c->reason);
            assert_int_equal(b.t.retry, c->retry);
            assert_str(b.t.provider, "openai");
            assert_int_equal(b.t.slot.len, 0);
            assert_int_equal(b.t.token, 0);
            assert_null(b.t.trouble);
        }

        assert_string_equal(b.asked, "alice:openai ");
        end(&b);
    }
}


/* A number is asked for where it is used, and the shared keys are a pool. */

static void
test_turn(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai select=turn");
    put_slots(&b, "*", 3);
    b.number = 5;
    assert_int_equal(run(&b), AK_OK);
    assert_string_equal(b.pools, "*:openai! ");
    check_slot(&b, 'c', AK_KEY_SHARED, false);
    end(&b);

    begin(&b, NULL, "openai select=turn");
    put_slots(&b, "alice", 1);
    assert_int_equal(run(&b), AK_OK);
    assert_string_equal(b.pools, "alice:openai ");
    check_slot(&b, 'a', AK_KEY_OWN, true);
    end(&b);

    begin(&b, NULL, "openai select=random");
    put_slots(&b, "alice", 3);
    assert_int_equal(run(&b), AK_OK);
    assert_string_equal(b.pools, "alice:openai ");
    end(&b);
}


/* A host that cannot tell of slots: all of them are ready. */

static void
test_slots_unknown(void **state)
{
    size_t   i;
    bench_t  b;

    static const ak_rc_t  rcs[] = {
        AK_NOT_FOUND, AK_UNAVAILABLE, AK_ERROR, AK_DENIED
    };

    (void) state;

    for (i = 0; i < ak_nitems(rcs); i++) {
        begin(&b, NULL, "openai on_busy=refuse");
        put_slots(&b, "alice", 2);
        b.rc = rcs[i];
        b.left[0] = NEVER;
        b.left[1] = 1;
        assert_int_equal(run(&b), AK_OK);
        check_slot(&b, 'a', AK_KEY_OWN, false);
        end(&b);
    }
}


/* RANDOM is so whatever the host's number is. */

static void
test_random(void **state)
{
    char      slot;
    size_t    i;
    unsigned  seen;
    bench_t   b;

    (void) state;

    seen = 0;

    for (i = 0; i < 200 && seen != 7; i++) {
        begin(&b, NULL, "openai select=random");
        put_slots(&b, "alice", 3);
        assert_int_equal(run(&b), AK_OK);
        slot = (char) b.t.slot.data[0];
        check_slot(&b, slot, AK_KEY_OWN, false);
        seen |= 1u << (slot - 'a');
        end(&b);
    }

    assert_int_equal(seen, 7);
}


static char
sticky(const char *id, const char *owner, uint64_t left_a)
{
    char     slot;
    bench_t  b;

    begin(&b, NULL, "openai select=sticky");
    put_slots(&b, owner, 4);
    b.rc = AK_OK;
    b.left[0] = left_a;
    b.number = left_a == 0 ? 1 : 2;

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_OK);
    b.t.id = ak_cstr(id);
    b.t.owner = ak_cstr(owner);

    assert_int_equal(open_session(&b), AK_OK);
    slot = (char) b.t.slot.data[0];
    end(&b);

    return slot;
}


/* By the key's id, or where there is none by the owner. */

static void
test_sticky(void **state)
{
    char      id[16], slot, moved;
    size_t    i;
    unsigned  ids, owners;

    (void) state;

    ids = 0;
    owners = 0;

    for (i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "client-%zu", i);

        slot = sticky(id, "alice", 0);
        assert_int_equal(sticky(id, "alice", 0), slot);
        assert_int_equal(sticky(id, "bob", 0), slot);
        ids |= 1u << (slot - 'a');

        /* a slot that is out moves its own clients, and no other's */

        moved = sticky(id, "alice", 10);
        assert_int_not_equal(moved, 'a');
        assert_true(slot == 'a' || moved == slot);

        slot = sticky(NULL, id, 0);
        owners |= 1u << (slot - 'a');
    }

    assert_int_equal(ids, 15);
    assert_int_equal(owners, 15);
}


/* Slots of alice by name; the one called "b" is another keyring's. */

static void
put_mixed(bench_t *b, const char *names)
{
    char        name[2] = { 0 }, slots[3][2], secret[] = "key-?";
    size_t      i;
    ak_field_t  f[3];

    for (i = 0; names[i] != '\0'; i++) {
        name[0] = names[i];
        secret[sizeof(secret) - 2] = names[i];
        memcpy(slots[i], name, 2);

        f[i].name = ak_cstr(slots[i]);
        f[i].value = seal(b, names[i] == 'b' ? stranger : keyring, "alice",
                          "openai", name, secret);
    }

    put_fields(b, "alice", "openai", f, i);
}


/* A slot that does not open is passed over, whatever its turn is. */

static void
test_pool_damaged(void **state)
{
    bench_t     b;
    ak_field_t  f[2];

    (void) state;

    begin(&b, NULL, "openai select=turn");
    put_mixed(&b, "abc");
    b.number = 1;

    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'c', AK_KEY_OWN, false);
    assert_string_equal(b.t.about, kid(stranger));
    assert_str(b.t.troubled, "b");
    end(&b);

    /* the rest was refused: that is what the owner has to know */

    begin(&b, NULL, "openai");
    put_mixed(&b, "bc");
    b.rc = AK_OK;
    b.left[1] = NEVER;
    check_denied(&b, AK_UPSTREAM_AUTH_FAILED);
    assert_string_equal(b.t.about, kid(stranger));
    end(&b);

    /* and here it is to be left alone */

    begin(&b, NULL, "openai on_busy=refuse");
    put_mixed(&b, "bc");
    b.rc = AK_OK;
    b.left[1] = 1234;
    check_denied(&b, AK_RATE_LIMITED);
    assert_int_equal(b.t.retry, 1234);
    end(&b);

    /* the kid is that of the last trouble, or of none */

    begin(&b, NULL, "openai");
    f[0].name = S("a");
    f[0].value = seal(&b, stranger, "alice", "openai", "a", "key-a");
    f[1].name = S("b");
    f[1].value = S("ak1.damaged");
    put_fields(&b, "alice", "openai", f, 2);
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    assert_string_equal(b.t.about, "");
    assert_str(b.t.troubled, "b");
    assert_str(b.t.slot, "b");
    end(&b);
}


/* Whose keys were all refused: the shared ones serve only where it is said. */

static void
test_refused(void **state)
{
    size_t   i;
    bench_t  b;

    static const char  *alone[] = {
        "openai", "openai on_error=fail", "openai anthropic",
        "openai on_error=fallback fallback=none",
        "openai fallback=env:UNIT_INJECT"
    };

    (void) state;

    setenv("UNIT_INJECT", "key-of-env", 1);

    for (i = 0; i < ak_nitems(alone); i++) {
        begin(&b, NULL, alone[i]);
        put_slots(&b, "alice", 2);
        put_secret(&b, "*", "openai", "sk-of-all");
        put_secret(&b, "*", "anthropic", "sk-ant");
        b.rc = AK_OK;
        b.left[0] = b.left[1] = NEVER;
        check_denied(&b, AK_UPSTREAM_AUTH_FAILED);
        assert_string_equal(b.asked, "alice:openai ");
        assert_int_equal(b.t.key_source, AK_KEY_OWN);
        end(&b);
    }

    begin(&b, NULL, "openai on_error=fallback");
    put_slots(&b, "alice", 2);
    put_slots(&b, "*", 1);
    b.rc = AK_OK;
    b.only = "alice";
    b.left[0] = b.left[1] = NEVER;
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_SHARED, true);
    end(&b);

    /* an own key of which a shared one could take the place is not alone */

    begin(&b, NULL, "openai on_error=fallback");
    put_slots(&b, "alice", 1);
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, false);
    end(&b);

    begin(&b, NULL, "openai on_error=fallback fallback=none");
    put_slots(&b, "alice", 1);
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, true);
    end(&b);

    /* both of them: nothing is left */

    begin(&b, NULL, "openai on_error=fallback");
    put_slots(&b, "alice", 2);
    put_slots(&b, "*", 2);
    b.rc = AK_OK;
    b.left[0] = b.left[1] = NEVER;
    check_denied(&b, AK_UPSTREAM_AUTH_FAILED);
    assert_int_equal(b.t.key_source, AK_KEY_SHARED);
    end(&b);

    /* who has none is not served by another provider's instead */

    begin(&b, NULL, "openai anthropic on_error=fallback");
    put_slots(&b, "*", 2);
    put_secret(&b, "alice", "anthropic", "sk-ant");
    b.rc = AK_OK;
    b.left[0] = b.left[1] = NEVER;
    check_denied(&b, AK_UPSTREAM_AUTH_FAILED);
    assert_string_equal(b.asked, "alice:openai *:openai ");
    end(&b);

    /* what was refused is not told as missing */

    begin(&b, NULL, "openai on_error=fallback");
    put_slots(&b, "alice", 1);
    b.rc = AK_OK;
    b.left[0] = NEVER;
    check_denied(&b, AK_UPSTREAM_AUTH_FAILED);
    assert_string_equal(b.asked, "alice:openai *:openai ");
    end(&b);
}


/* The slot that served is refused by its provider, and another is wanted. */

static void
again(bench_t *b)
{
    b->t.avoid = b->t.slot;
    ak_txn_again(&b->t, b->s);

    assert_int_equal(b->t.neffects, 0);
    assert_int_equal(b->t.nsecrets, 0);
}


static void
test_again(void **state)
{
    bench_t   b;
    ak_str_t  value;

    (void) state;

    begin(&b, NULL, "openai");
    put_slots(&b, "alice", 2);
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, false);

    value = b.t.effects[0].value;
    again(&b);
    assert_true(unit_zero(value.data, value.len));

    assert_int_equal(open_session(&b), AK_OK);
    check_slot(&b, 'b', AK_KEY_OWN, true);
    end(&b);

    /* there is no other: the owner is told that it was refused */

    begin(&b, NULL, "openai");
    put_slots(&b, "alice", 1);
    put_slots(&b, "*", 1);
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, true);
    again(&b);
    assert_int_equal(open_session(&b), AK_DENIED);
    assert_int_equal(b.t.reason, AK_UPSTREAM_AUTH_FAILED);
    end(&b);

    /* a shared slot of the same name is another one */

    begin(&b, NULL, "openai on_error=fallback");
    put_slots(&b, "alice", 1);
    put_slots(&b, "*", 1);
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, false);
    again(&b);
    assert_int_equal(open_session(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_SHARED, true);
    end(&b);

    /* the others are to be left alone */

    begin(&b, NULL, "openai on_busy=refuse");
    put_slots(&b, "alice", 2);
    b.rc = AK_OK;
    b.left[1] = 70;
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, true);
    again(&b);
    assert_int_equal(open_session(&b), AK_DENIED);
    assert_int_equal(b.t.reason, AK_RATE_LIMITED);
    assert_int_equal(b.t.retry, 70);
    end(&b);
}


/* A request that is on its way to one provider gets no key of another. */

static void
test_again_same_provider(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai anthropic on_error=fallback");
    put_slots(&b, "alice", 1);
    put_secret(&b, "alice", "anthropic", "sk-ant");
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, false);
    again(&b);
    assert_int_equal(open_session(&b), AK_DENIED);
    assert_int_equal(b.t.reason, AK_UPSTREAM_AUTH_FAILED);
    assert_null(strstr(b.asked, "anthropic"));
    end(&b);

    begin(&b, NULL, "anthropic openai");
    put_slots(&b, "alice", 2);
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, false);
    again(&b);
    put_secret(&b, "alice", "anthropic", "sk-ant");
    assert_int_equal(open_session(&b), AK_OK);
    check_slot(&b, 'b', AK_KEY_OWN, true);
    end(&b);
}


/* A run that is for another reason, as after a redirect, avoids nothing. */

static void
test_again_once(void **state)
{
    unsigned  i;
    bench_t   b;

    (void) state;

    for (i = 0; i < 2; i++) {
        begin(&b, NULL, "openai");
        put_slots(&b, "alice", 2);
        assert_int_equal(run(&b), AK_OK);
        again(&b);

        if (i == 0) {
            assert_int_equal(open_session(&b), AK_OK);
            check_slot(&b, 'b', AK_KEY_OWN, true);
            assert_int_equal(open_session(&b), AK_OK);

        } else {
            assert_int_equal(run(&b), AK_OK);
        }

        check_slot(&b, 'a', AK_KEY_OWN, false);
        end(&b);
    }
}


/* Without ak_txn_again() there is no pool that a slot is to be avoided of. */

static void
test_avoid_nothing(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, NULL, "openai");
    put_slots(&b, "alice", 2);
    b.t.avoid = S("a");
    assert_int_equal(run(&b), AK_OK);
    check_slot(&b, 'a', AK_KEY_OWN, false);
    end(&b);
}


static void
check_held(bench_t *b, ak_key_source_e source, const char *value)
{
    assert_int_equal(run(b), AK_OK);
    assert_int_equal(b->t.neffects, 1);
    assert_str(b->t.effects[0].value, value);
    assert_str(b->t.provider, "openai");
    assert_int_equal(b->t.slot.len, 0);
    assert_int_equal(b->t.key_source, source);
    assert_int_equal(b->t.token, 0);
    assert_true(b->t.one);
    assert_ptr_equal(b->t.carried, ak_provider_find(S("openai")));
}


static void
test_env(void **state)
{
    size_t   i;
    bench_t  b;

    static const char  *texts[] = {
        UNIT_SECRET, UNIT_SECRET "\n", UNIT_SECRET "\r\n", UNIT_SECRET " "
    };

    (void) state;

    for (i = 0; i < ak_nitems(texts); i++) {
        setenv("UNIT_INJECT", texts[i], 1);
        begin(&b, NULL, "openai fallback=env:UNIT_INJECT");
        put_secret(&b, "*", "openai", "sk-of-all");
        check_held(&b, AK_KEY_ENV, "Bearer " UNIT_SECRET);
        assert_string_equal(b.asked, "alice:openai ");
        end(&b);
    }

    /* it needs no keyring; a key that does is not told as a missing one */

    begin(&b, NULL, "openai fallback=env:UNIT_INJECT");
    b.t.keyring = NULL;
    check_held(&b, AK_KEY_ENV, "Bearer " UNIT_SECRET);
    end(&b);

    begin(&b, NULL, "openai fallback=env:UNIT_INJECT");
    b.t.keyring = NULL;
    put_secret(&b, "alice", "openai", "sk-of-alice");
    check_denied(&b, AK_UPSTREAM_KEY_ERROR);
    assert_string_equal(b.t.trouble, "cannot be opened without a keyring");
    end(&b);

    begin(&b, NULL, "openai fallback=env:UNIT_INJECT on_error=fallback");
    b.t.keyring = NULL;
    put_secret(&b, "alice", "openai", "sk-of-alice");
    check_held(&b, AK_KEY_ENV, "Bearer " UNIT_SECRET);
    end(&b);

    /* who has a key of his own is served by that */

    begin(&b, NULL, "openai fallback=env:UNIT_INJECT");
    put_secret(&b, "alice", "openai", "sk-of-alice");
    check_granted(&b, "authorization", "Bearer sk-of-alice", "openai", false);
    end(&b);

    /* and nobody by what is held */

    begin(&b, NULL, "openai fallback=env:UNIT_INJECT");
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_OK);
    assert_str(b.t.effects[0].value, "Bearer " UNIT_SECRET);
    assert_string_equal(b.asked, "");
    end(&b);

    /* the store is down: nobody knows whether there is a key of his own */

    begin(&b, NULL, "openai fallback=env:UNIT_INJECT");
    put(&b, "alice", "openai", AK_UNAVAILABLE, S(""));
    check_denied(&b, AK_STORE_UNAVAILABLE);
    end(&b);
}


/* Neither the configuration nor what a request leaves has a piece of it. */

static void
test_held_wiped(void **state)
{
    bench_t        b;
    unit_chunk_t  *c;

    (void) state;

    setenv("UNIT_INJECT", UNIT_SECRET, 1);
    begin(&b, NULL, "openai fallback=env:UNIT_INJECT");

    for (c = b.pool.chunks; c != NULL; c = c->next) {
        assert_false(unit_leaks(c->data, c->size, S(UNIT_SECRET), 6));
    }

    check_held(&b, AK_KEY_ENV, "Bearer " UNIT_SECRET);
    ak_txn_abort(&b.t);

    for (c = b.pool.chunks; c != NULL; c = c->next) {
        assert_false(unit_leaks(c->data, c->size, S(UNIT_SECRET), 6));
    }

    end(&b);
}


static char  folder[] = "/tmp/ak_inject_XXXXXX";


static const char *
file(const char *text, size_t len, mode_t mode)
{
    FILE         *f;
    static char   path[64];

    snprintf(path, sizeof(path), "%s/key", folder);
    (void) unlink(path);

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);

    return path;
}


/* Refused, and the diagnostic has these words and nothing of the key. */

static void
check_held_refused(const char *words, const char *named)
{
    bench_t    b;
    ak_diag_t  d;

    begin(&b, NULL, "openai");
    assert_case(add(&b, words, &d) == AK_ERROR, "\"%s\" is taken", words);
    assert_case(strstr(d.text, named) != NULL, "\"%s\" is not in \"%s\"",
                named, d.text);
    assert_false(unit_leaks(d.text, strlen(d.text), S(UNIT_SECRET), 6));
    end(&b);
}


static void
test_file(void **state)
{
    char         words[128];
    size_t       i;
    bench_t      b;
    const char  *path;
    static char  longest[AK_SECRET_MAX + 2];

    static const struct {
        const char  *text;
        mode_t       mode;
        const char  *named;
    } bad[] = {
        { UNIT_SECRET, 0604, "use \"chmod 600\"" },
        { UNIT_SECRET, 0620, "use \"chmod 600\"" },
        { "", 0600, "is empty" },
        { "\n", 0600, "is empty" },
        { UNIT_SECRET "\n\n", 0600, "put the key alone there" },
        { UNIT_SECRET "\nx", 0600, "put the key alone there" },
        { "a key", 0600, "put the key alone there" },
        { "k\xc3\xa9y", 0600, "put the key alone there" }
    };

    (void) state;

    assert_non_null(mkdtemp(folder));

    path = file(UNIT_SECRET "\n", sizeof(UNIT_SECRET), 0640);
    snprintf(words, sizeof(words), "openai fallback=file:%s", path);

    begin(&b, NULL, words);
    (void) unlink(path);
    check_held(&b, AK_KEY_FILE, "Bearer " UNIT_SECRET);
    end(&b);

    for (i = 0; i < ak_nitems(bad); i++) {
        (void) file(bad[i].text, strlen(bad[i].text), bad[i].mode);
        check_held_refused(words, bad[i].named);
        check_held_refused(words, path);
    }

    memset(longest, 'k', sizeof(longest));
    longest[AK_SECRET_MAX] = '\n';
    (void) file(longest, AK_SECRET_MAX + 1, 0600);
    begin(&b, NULL, words);
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.effects[0].value.len, AK_SECRET_MAX + 7);
    end(&b);

    longest[AK_SECRET_MAX] = 'k';
    (void) file(longest, AK_SECRET_MAX + 1, 0600);
    check_held_refused(words, "is longer than");

    (void) unlink(path);
    check_held_refused(words, path);
    assert_int_equal(rmdir(folder), 0);
}


static void
test_held_arguments(void **state)
{
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    setenv("UNIT_INJECT", UNIT_SECRET, 1);
    unsetenv("UNIT_NONE");
    setenv("UNIT_EMPTY", "", 1);

    check_held_refused("openai fallback=env:UNIT_NONE", "env:UNIT_NONE");
    check_held_refused("openai fallback=env:UNIT_EMPTY", "env:UNIT_EMPTY");
    check_held_refused("openai fallback=env:", "no such variable");
    check_held_refused("openai fallback=file:", "absolute");
    check_held_refused("openai fallback=file:key", "absolute");
    check_held_refused("openai fallback=file:" UNIT_SECRET, "absolute");
    check_held_refused("openai fallback=" UNIT_SECRET, "\"fallback\" must be");
    check_held_refused("openai google fallback=env:UNIT_INJECT",
                       "the key of one provider");
    check_held_refused("$p fallback=env:UNIT_INJECT",
                       "the key of one provider");
    check_held_refused("fallback=env:UNIT_INJECT", "no provider");

    begin(&b, NULL, "openai");
    b.pool.left = 4;
    assert_int_equal(add(&b, "openai fallback=env:UNIT_INJECT", &d),
                     AK_ERROR);
    end(&b);
}


static void check_arguments(const char *words, const char *named);


static void
check_variable(const char *words, const char *value, const char *asked)
{
    bench_t  b;

    variable = value;

    begin(&b, NULL, words);
    check_denied(&b, AK_UPSTREAM_KEY_MISSING);
    assert_string_equal(b.asked, asked);
    end(&b);

    variable = NULL;
}


static void
test_variables(void **state)
{
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    check_variable("$p", "openai", "alice:openai *:openai ");
    check_variable("${p}", "openai", "alice:openai *:openai ");
    check_variable("$p fallback=none", "google", "alice:google ");
    check_variable("$p google fallback=none", "openai",
                   "alice:openai alice:google ");
    check_variable("$p google fallback=none", NULL, "alice:google ");
    check_variable("$p google fallback=none", "", "alice:google ");
    check_variable("$p google fallback=none", "nosuch", "alice:google ");
    check_variable("$p google fallback=none", "google", "alice:google ");
    check_variable("google $p fallback=none", "google", "alice:google ");
    check_variable("$q google $p fallback=none", "brave",
                   "alice:google alice:brave ");
    check_variable("$p $q", NULL, "");
    check_variable("$p", "openai google", "");
    check_variable("$p", "$p", "");

    variable = "anthropic";
    begin(&b, NULL, "$p openai");
    put_secret(&b, "alice", "openai", "sk-of-alice");
    put_secret(&b, "alice", "anthropic", "sk-ant");
    check_granted(&b, "x-api-key", "sk-ant", "anthropic", false);
    end(&b);

    /* a host without variables at run time: they have no value */

    begin(&b, NULL, "$p openai");
    b.t.view.variable = NULL;
    put_secret(&b, "alice", "openai", "sk-of-alice");
    put_secret(&b, "alice", "anthropic", "sk-ant");
    check_granted(&b, "authorization", "Bearer sk-of-alice", "openai", false);
    end(&b);

    check_arguments("$nosuch", "nosuch");
    check_arguments("$", "a variable is a word of its own");
    check_arguments("${}", "a variable is a word of its own");
    check_arguments("${p", "a variable is a word of its own");
    check_arguments("$p}", "a variable is a word of its own");
    check_arguments("$p$q", "a variable is a word of its own");
    check_arguments("$p-x", "a variable is a word of its own");
    check_arguments("x$p", "a variable is a word of its own");
    check_arguments("open$p", "a variable is a word of its own");
    check_arguments("$p openai ${p}", "named twice");

    begin(&b, NULL, "openai");
    b.site.variable = NULL;
    assert_int_equal(add(&b, "$p", &d), AK_ERROR);
    assert_non_null(strstr(d.text, "there are no variables here"));
    end(&b);
}


/* Every provider there is, with all that is asked of each. */

static void
test_many_providers(void **state)
{
    char                  words[512], name[64];
    size_t                n;
    bench_t               b;
    const ak_provider_t  *p;

    (void) state;

    strcpy(words, "on_error=fallback");

    for (n = 0; (p = ak_provider_at(n)) != NULL; n++) {
        snprintf(name, sizeof(name), " %.*s", AK_FMT(p->name));
        strcat(words, name);
    }

    begin(&b, NULL, words);

    for (n = 0; n < ROWS_MAX && (p = ak_provider_at(n)) != NULL; n++) {
        snprintf(name, sizeof(name), "%.*s", AK_FMT(p->name));
        put_stranger(&b, "alice", strdup(name));
    }

    check_denied(&b, AK_UPSTREAM_KEY_ERROR);

    for (n = 0; n < b.nrows; n++) {
        free((char *) b.rows[n].provider);
    }

    end(&b);
}


static void
check_arguments(const char *words, const char *named)
{
    bench_t    b;
    ak_diag_t  d;

    begin(&b, NULL, "openai");
    assert_case(add(&b, words, &d) == AK_ERROR, "\"%s\" is taken", words);
    assert_case(strstr(d.text, named) != NULL, "\"%s\" does not name \"%s\"",
                d.text, named);
    end(&b);
}


static void
test_arguments(void **state)
{
    (void) state;

    check_arguments("", "provider");
    check_arguments("fallback=none", "provider");
    check_arguments("nosuch", "nosuch");
    check_arguments("openai nosuch", "nosuch");
    check_arguments("OpenAI", "OpenAI");
    check_arguments("openai colour=red", "colour=red");
    check_arguments("openai fallback=maybe", "\"fallback\" must be");
    check_arguments("openai fallback=", "fallback=");
    check_arguments("openai on_error=maybe", "on_error=maybe");
    check_arguments("openai select=best", "select=best");
    check_arguments("openai on_busy=maybe", "on_busy=maybe");
    check_arguments("openai anthropic openai", "openai");
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_owner_first),
    cmocka_unit_test(test_shared_else),
    cmocka_unit_test(test_empty_set),
    cmocka_unit_test(test_missing),
    cmocka_unit_test(test_fallback_none),
    cmocka_unit_test(test_several_providers),
    cmocka_unit_test(test_every_provider),
    cmocka_unit_test(test_anthropic),
    cmocka_unit_test(test_slots),
    cmocka_unit_test(test_many_damaged_slots),
    cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_moved),
    cmocka_unit_test(test_unknown_kid),
    cmocka_unit_test(test_no_keyring),
    cmocka_unit_test(test_unreadable),
    cmocka_unit_test(test_unavailable),
    cmocka_unit_test(test_on_error),
    cmocka_unit_test(test_on_error_nothing_left),
    cmocka_unit_test(test_nobody),
    cmocka_unit_test(test_wiped),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_pools),
    cmocka_unit_test(test_turn),
    cmocka_unit_test(test_slots_unknown),
    cmocka_unit_test(test_random),
    cmocka_unit_test(test_sticky),
    cmocka_unit_test(test_pool_damaged),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_again),
    cmocka_unit_test(test_again_same_provider),
    cmocka_unit_test(test_again_once),
    cmocka_unit_test(test_avoid_nothing),
    cmocka_unit_test(test_env),
    cmocka_unit_test(test_held_wiped),
    cmocka_unit_test(test_file),
    cmocka_unit_test(test_held_arguments),
    cmocka_unit_test(test_variables),
    cmocka_unit_test(test_many_providers),
    cmocka_unit_test(test_arguments)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
