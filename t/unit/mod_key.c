
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "auth required key". */


#include "unit.h"

#include "ak_hash.h"
#include "ak_record.h"
#include "ak_stack.h"


#define NOW  1800000000

#define JWT                                                                   \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9"                               \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

/* The same id, another secret, and a checksum that fits. */

#define WRONG_KEY                                                             \
    "sk-" UNIT_ID "QwErTyUiOpAsDfGhJkLzXcVbNm012346" "0FlVng"


typedef struct {
    unit_pool_t           pool;
    ak_txn_t              t;
    ak_site_t             site;
    ak_stack_t           *s;

    /* what the store answers */

    ak_rc_t               rc;
    ak_str_t              value;
    const char           *id;
    unsigned              asked;
} bench_t;


static ak_digest_t   *digest;
static ak_keyring_t  *keyring;
static uint8_t        packed[AK_VALUE_MAX];


static ak_str_t
record(const char *hash, const char *status, const char *expires)
{
    size_t       len;
    ak_diag_t    d;
    ak_record_t  rec;
    ak_field_t   fields[] = {
        { ak_string("hash"), ak_cstr(hash) },
        { ak_string("owner"), ak_string("alice") },
        { ak_string("name"), ak_string("laptop") },
        { ak_string("status"), ak_cstr(status) },
        { ak_string("created"), ak_string("1700000000") },
        { ak_string("expires"), ak_cstr(expires) }
    };

    assert_int_equal(ak_record_parse(fields, ak_nitems(fields), &rec, &d),
                     AK_OK);
    assert_int_equal(ak_record_pack(&rec, packed, &len), AK_OK);

    return ak_str(packed, len);
}


static int
setup(void **state)
{
    (void) state;

    digest = ak_digest_create();
    keyring = unit_keyring_default();

    return digest == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ak_keyring_free(keyring);
    ak_digest_free(digest);

    return 0;
}


static void
begin(bench_t *b, const unit_header_t *headers)
{
    ak_diag_t  d;

    memset(b, 0, sizeof(*b));
    unit_pool_init(&b->pool);
    unit_txn(&b->t, &b->pool, headers, digest, keyring);
    b->t.now = NOW;

    b->site = unit_site(&b->pool);
    b->s = ak_stack_create(&b->site, S("test"));
    assert_int_equal(unit_add(b->s, "auth required key", &d), AK_OK);
    assert_int_equal(ak_stack_link(b->s, NULL, NULL, &d), AK_OK);

    b->id = UNIT_ID;
}


static ak_rc_t
run(bench_t *b)
{
    ak_rc_t      rc;
    ak_answer_t  answer;

    for ( ;; ) {
        rc = ak_stack_run(b->s, &b->t, AK_AUTH);

        if (rc != AK_AGAIN) {
            break;
        }

        assert_int_equal(b->t.need.type, AK_NEED_RECORD);
        assert_str(b->t.need.name, b->id);
        assert_int_equal(b->asked++, 0);

        answer.rc = b->rc;
        answer.source = AK_SOURCE_MISS;
        answer.value = b->value;
        ak_txn_answer(&b->t, &answer);
    }

    assert_int_equal(rc == AK_OK, b->t.reason == AK_SUCCESS);
    assert_int_equal(rc == AK_OK, b->t.identified);
    assert_int_equal(b->t.claims.len, 0);
    assert_null(b->t.alert);

    return rc;
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


/* One request with "Authorization: Bearer KEY" and one answer. */

static void
check(const char *key, ak_rc_t rc, ak_str_t value, int64_t now,
    ak_reason_e expected)
{
    char           bearer[AK_KEY_MAX * 2];
    bench_t        b;
    unit_header_t  headers[] = { { "authorization", bearer }, { NULL, NULL } };

    snprintf(bearer, sizeof(bearer), "Bearer %s", key);

    begin(&b, headers);
    b.t.now = now;
    b.rc = rc;
    b.value = value;

    if (strcmp(key, UNIT_FOREIGN) == 0) {
        b.id = UNIT_FID;
    }

    (void) run(&b);

    assert_case(b.t.reason == expected, "%s: %.*s, not %.*s", key,
                AK_FMT(ak_error(b.t.reason)->word),
                AK_FMT(ak_error(expected)->word));
    assert_int_equal(b.asked, 1);
    end(&b);
}


/* A request that is refused without asking any store. */

static void
check_unasked(const unit_header_t *headers, ak_reason_e expected)
{
    bench_t  b;

    begin(&b, headers);
    assert_int_equal(run(&b), AK_DENIED);
    assert_case(b.t.reason == expected, "%.*s, not %.*s",
                AK_FMT(ak_error(b.t.reason)->word),
                AK_FMT(ak_error(expected)->word));
    assert_int_equal(b.asked, 0);
    end(&b);
}


static void
check_bearer(const char *value, ak_reason_e expected)
{
    unit_header_t  headers[] = { { "authorization", value }, { NULL, NULL } };

    check_unasked(headers, expected);
}


static void
test_granted(void **state)
{
    bench_t  b;

    static const unit_header_t  headers[] = {
        { "x-api-key", UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    begin(&b, headers);
    b.rc = AK_OK;
    b.value = record(UNIT_HASH, "active", "0");

    assert_int_equal(run(&b), AK_OK);
    assert_str(b.t.id, UNIT_ID);
    assert_str(b.t.owner, "alice");
    assert_str(b.t.name, "laptop");
    assert_str(b.t.module, "key");
    assert_int_equal(b.t.line, 1);
    assert_int_equal(b.t.source, AK_SOURCE_MISS);
    assert_int_equal(b.asked, 1);
    assert_int_equal(b.t.neffects, 0);

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_OK);
    end(&b);
}


static void
test_missing(void **state)
{
    static const unit_header_t  none[] = { { NULL, NULL } };
    static const unit_header_t  cookie[] = {
        { "cookie", "token=" UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    check_unasked(none, AK_MISSING);
    check_unasked(cookie, AK_MISSING);
    check_bearer("Basic dXNlcjpwYXNz", AK_MISSING);
}


static void
test_malformed(void **state)
{
    (void) state;

    check_bearer("Bearer short", AK_MALFORMED);
    check_bearer("Bearer sk-0123 456789", AK_MALFORMED);
    check_bearer("Bearer sk-0123\xc3\xa9""456789", AK_MALFORMED);

    /* a bad checksum costs no look-up */

    check_bearer("Bearer sk-" UNIT_ID "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
                 "2j5I2R", AK_MALFORMED);
}


static void
test_ambiguous(void **state)
{
    static const unit_header_t  headers[] = {
        { "authorization", "Bearer " UNIT_KEY },
        { "x-api-key", UNIT_FOREIGN },
        { NULL, NULL }
    };

    (void) state;

    check_unasked(headers, AK_AMBIGUOUS);
}


static void
test_wrong_kind(void **state)
{
    (void) state;

    check_bearer("Bearer " JWT, AK_WRONG_KIND);
}


static void
test_unknown(void **state)
{
    (void) state;

    check(UNIT_KEY, AK_NOT_FOUND, S(""), NOW, AK_UNKNOWN);
    check(WRONG_KEY, AK_OK, record(UNIT_HASH, "active", "0"), NOW,
          AK_UNKNOWN);
    check(UNIT_KEY, AK_OK, record(UNIT_FOREIGN_HASH, "active", "0"), NOW,
          AK_UNKNOWN);
}


static void
test_status(void **state)
{
    (void) state;

    check(UNIT_KEY, AK_OK, record(UNIT_HASH, "active", "0"), NOW, AK_SUCCESS);
    check(UNIT_KEY, AK_OK, record(UNIT_HASH, "revoked", "0"), NOW,
          AK_REVOKED);
    check(UNIT_KEY, AK_OK, record(UNIT_HASH, "disabled", "0"), NOW,
          AK_DISABLED);
}


static void
test_expiry(void **state)
{
    ak_str_t  value;

    (void) state;

    value = record(UNIT_HASH, "active", "1800000000");

    check(UNIT_KEY, AK_OK, value, NOW - 1, AK_SUCCESS);
    check(UNIT_KEY, AK_OK, value, NOW, AK_EXPIRED);
    check(UNIT_KEY, AK_OK, value, NOW + 1, AK_EXPIRED);

    value = record(UNIT_HASH, "active", "1");
    check(UNIT_KEY, AK_OK, value, NOW, AK_EXPIRED);

    value = record(UNIT_HASH, "active", "0");
    check(UNIT_KEY, AK_OK, value, 253402300799, AK_SUCCESS);
}


/* What a key's state is, is told only to who has its secret. */

static void
test_told_to_the_holder_only(void **state)
{
    (void) state;

    check(WRONG_KEY, AK_OK, record(UNIT_HASH, "revoked", "0"), NOW,
          AK_UNKNOWN);
    check(WRONG_KEY, AK_OK, record(UNIT_HASH, "disabled", "0"), NOW,
          AK_UNKNOWN);
    check(WRONG_KEY, AK_OK, record(UNIT_HASH, "active", "1"), NOW,
          AK_UNKNOWN);
}


static void
test_unavailable(void **state)
{
    (void) state;

    check(UNIT_KEY, AK_UNAVAILABLE, S(""), NOW, AK_STORE_UNAVAILABLE);
    check(UNIT_FOREIGN, AK_UNAVAILABLE, S(""), NOW, AK_STORE_UNAVAILABLE);
}


/* The store was not asked, of a source with too many failures. */

static void
test_limited(void **state)
{
    (void) state;

    check(UNIT_KEY, AK_DENIED, S(""), NOW, AK_TOO_MANY_FAILURES);
    check(UNIT_FOREIGN, AK_DENIED, record(UNIT_HASH, "active", "0"), NOW,
          AK_TOO_MANY_FAILURES);
}


/* A record that cannot be read is none. */

static void
test_damaged(void **state)
{
    ak_str_t  value;

    (void) state;

    value = record(UNIT_HASH, "active", "0");

    check(UNIT_KEY, AK_ERROR, S(""), NOW, AK_UNKNOWN);
    check(UNIT_KEY, AK_OK, S(""), NOW, AK_UNKNOWN);
    check(UNIT_KEY, AK_OK, S("garbage"), NOW, AK_UNKNOWN);
    check(UNIT_KEY, AK_OK, ak_str(value.data, value.len - 1), NOW,
          AK_UNKNOWN);
}


/* Between them the answers of a store that nobody foresaw. */

static void
test_other_answers(void **state)
{
    int  rc;

    (void) state;

    for (rc = -16; rc < 0; rc++) {
        if (rc != AK_UNAVAILABLE && rc != AK_DENIED
            && rc != AK_NO_MEMORY)
        {
            check(UNIT_KEY, (ak_rc_t) rc, record(UNIT_HASH, "active", "0"),
                  NOW, AK_UNKNOWN);
        }
    }
}


static void
test_foreign(void **state)
{
    ak_str_t  value;

    (void) state;

    value = record(UNIT_FOREIGN_HASH, "active", "0");

    check(UNIT_FOREIGN, AK_OK, value, NOW, AK_SUCCESS);
    check(UNIT_FOREIGN, AK_NOT_FOUND, S(""), NOW, AK_UNKNOWN);
    check(UNIT_FOREIGN, AK_OK, record(UNIT_HASH, "active", "0"), NOW,
          AK_UNKNOWN);
    check(UNIT_FOREIGN, AK_OK, record(UNIT_FOREIGN_HASH, "revoked", "0"), NOW,
          AK_REVOKED);
}


/* Without a pepper foreign keys have no id, and native ones go on. */

static void
test_no_pepper(void **state)
{
    size_t         i;
    bench_t        b;
    ak_keyring_t  *bare[2];

    static const unit_header_t  foreign[] = {
        { "x-api-key", UNIT_FOREIGN }, { NULL, NULL }
    };
    static const unit_header_t  native[] = {
        { "x-api-key", UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    bare[0] = NULL;
    bare[1] = unit_keyring("master " UNIT_MASTER_1 "\n");

    for (i = 0; i < 2; i++) {
        begin(&b, foreign);
        b.t.keyring = bare[i];
        assert_int_equal(run(&b), AK_DENIED);
        assert_int_equal(b.asked, 0);
        assert_int_equal(ak_error(b.t.reason)->status, 401);
        end(&b);

        begin(&b, native);
        b.t.keyring = bare[i];
        b.rc = AK_OK;
        b.value = record(UNIT_HASH, "active", "0");
        assert_int_equal(run(&b), AK_OK);
        end(&b);
    }

    ak_keyring_free(bare[1]);
}


/* No memory is an outage or a denial, never a grant. */

static void
test_no_memory(void **state)
{
    size_t   left;
    bench_t  b;

    static const unit_header_t  headers[] = {
        { "x-api-key", UNIT_FOREIGN }, { NULL, NULL }
    };

    (void) state;

    for (left = 0; left < 4; left++) {
        begin(&b, headers);
        b.id = UNIT_FID;
        b.rc = AK_NOT_FOUND;
        b.pool.left = left;
        assert_int_equal(run(&b), AK_DENIED);
        end(&b);
    }
}


/* The credential is not kept when the transaction is over. */

static void
test_abort(void **state)
{
    bench_t  b;

    static const unit_header_t  headers[] = {
        { "x-api-key", UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    begin(&b, headers);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_AGAIN);
    ak_txn_abort(&b.t);
    assert_int_equal(b.t.cred.value.len, 0);
    assert_int_not_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    end(&b);
}


static void
test_arguments(void **state)
{
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    begin(&b, NULL);
    memset(&d, 0, sizeof(d));
    assert_int_equal(unit_add(b.s, "auth required key colour=red", &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "colour=red"));
    end(&b);
}


#define LMNR_KEY                                                              \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LMNR_HASH  "$sha3-256$HzKPmh_sUHfiqh3X1Ln0ODHDSwsDt5m5AsJI9sX3FZM"


/* What is asked for, in order, with the answers; n of them. */

static void
check_asked(const char *key, const char *const *ids, const ak_rc_t *answers,
    unsigned n, ak_str_t value, ak_reason_e expected)
{
    char           bearer[128];
    bench_t        b;
    ak_rc_t        rc;
    ak_answer_t    answer;
    unit_header_t  headers[] = { { "authorization", bearer }, { NULL, NULL } };

    snprintf(bearer, sizeof(bearer), "Bearer %s", key);
    begin(&b, headers);

    while ((rc = ak_stack_run(b.s, &b.t, AK_AUTH)) == AK_AGAIN) {
        assert_true(b.asked < n);
        assert_int_equal(b.t.need.type, AK_NEED_RECORD);
        assert_str(b.t.need.name, ids[b.asked]);

        memset(&answer, 0, sizeof(ak_answer_t));
        answer.rc = answers[b.asked++];
        answer.source = AK_SOURCE_MISS;
        answer.value = (answer.rc == AK_OK) ? value : S("");
        ak_txn_answer(&b.t, &answer);
    }

    assert_int_equal(b.asked, n);
    assert_int_equal(b.t.reason, expected);
    assert_int_equal(rc, expected == AK_SUCCESS ? AK_OK : AK_DENIED);
    assert_str(b.t.id, ids[n - 1]);
    end(&b);
}


static void
test_weak(void **state)
{
    unsigned  i;
    ak_str_t  value;

    static const char *const  ids[] = {
        "hdbc2cb0f2e385a77ea5a769520544a8b",
        "h852f7c98f6a1faa37ae1cd402e33b2b7"
    };
    static const struct {
        ak_rc_t      answers[2];
        unsigned     n;
        ak_reason_e  expected;
    } cases[] = {
        { { AK_NOT_FOUND, AK_OK }, 2, AK_SUCCESS },
        { { AK_NOT_FOUND, AK_NOT_FOUND }, 2, AK_UNKNOWN },
        { { AK_NOT_FOUND, AK_ERROR }, 2, AK_UNKNOWN },
        { { AK_NOT_FOUND, AK_UNAVAILABLE }, 2, AK_STORE_UNAVAILABLE },
        { { AK_NOT_FOUND, AK_DENIED }, 2, AK_TOO_MANY_FAILURES },

        /* over the limit: what is known passes, and nobody learns more */

        { { AK_DENIED, AK_OK }, 2, AK_SUCCESS },
        { { AK_DENIED, AK_NOT_FOUND }, 2, AK_TOO_MANY_FAILURES },
        { { AK_DENIED, AK_DENIED }, 2, AK_TOO_MANY_FAILURES },

        /* a record of its own, damaged or not at hand, is not passed by */

        { { AK_ERROR, AK_OK }, 1, AK_UNKNOWN },
        { { AK_UNAVAILABLE, AK_OK }, 1, AK_STORE_UNAVAILABLE },
        { { AK_OK, AK_OK }, 1, AK_SUCCESS }
    };

    (void) state;

    value = record(LMNR_HASH, "active", "0");

    for (i = 0; i < ak_nitems(cases); i++) {
        check_asked(LMNR_KEY, ids, cases[i].answers, cases[i].n, value,
                    cases[i].expected);
    }

    value = record(LMNR_HASH, "revoked", "0");
    check_asked(LMNR_KEY, ids, cases[0].answers, 2, value, AK_REVOKED);
}


/* A record that lies under the id of another key is no match. */

static void
test_weak_moved(void **state)
{
    (void) state;

    check(UNIT_FOREIGN, AK_OK, record(LMNR_HASH, "active", "0"), NOW,
          AK_UNKNOWN);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_granted),
    cmocka_unit_test(test_missing),
    cmocka_unit_test(test_malformed),
    cmocka_unit_test(test_ambiguous),
    cmocka_unit_test(test_wrong_kind),
    cmocka_unit_test(test_unknown),
    cmocka_unit_test(test_status),
    cmocka_unit_test(test_expiry),
    cmocka_unit_test(test_told_to_the_holder_only),
    cmocka_unit_test(test_unavailable),
    cmocka_unit_test(test_limited),
    cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_other_answers),
    cmocka_unit_test(test_foreign),
    cmocka_unit_test(test_no_pepper),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_arguments),
    cmocka_unit_test(test_weak),
    cmocka_unit_test(test_weak_moved)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
