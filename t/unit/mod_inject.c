
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "session required inject". */


#include "unit.h"

#include <strings.h>

#include "ak_seal.h"
#include "ak_stack.h"
#include "ak_tokens.h"


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

    b->site = unit_site(&b->pool);
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


static void
answer(bench_t *b)
{
    char         text[128];
    size_t       i;
    ak_answer_t  a = { .rc = AK_NOT_FOUND, .source = AK_SOURCE_MISS };

    assert_int_equal(b->t.need.type, AK_NEED_TOKENS);
    assert_int_not_equal(b->t.need.name.len, 0);

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
run(bench_t *b)
{
    ak_rc_t  rc;

    assert_int_equal(ak_stack_run(b->s, &b->t, AK_AUTH), AK_OK);
    assert_int_equal(ak_stack_run(b->s, &b->t, AK_ACCOUNT), AK_OK);

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
    assert_int_equal(b->t.shared, shared);
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
    assert_non_null(strstr(b.t.trouble, "master"));
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
    check_arguments("openai fallback=maybe", "fallback=maybe");
    check_arguments("openai fallback=", "fallback=");
    check_arguments("openai on_error=maybe", "on_error=maybe");
    check_arguments("openai select=best", "select=best");
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
    cmocka_unit_test(test_arguments)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
