
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "auth sufficient anonymous". */


#include "unit.h"

#include "ak_stack.h"


#define JWT                                                                   \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9"                               \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


typedef struct {
    unit_pool_t   pool;
    ak_site_t     site;
    ak_stack_t   *s;
    ak_txn_t      t;
} bench_t;


static ak_digest_t  *digest;


static int
setup(void **state)
{
    (void) state;

    digest = ak_digest_create();
    setenv("UNIT_KEYS", "sk-the-first", 1);

    return digest == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    unsetenv("UNIT_KEYS");
    ak_digest_free(digest);

    return 0;
}


static ak_rc_t
read_lines(bench_t *b, const char *first, const char *second, ak_diag_t *d)
{
    memset(b, 0, sizeof(*b));
    memset(d, 0, sizeof(*d));

    unit_pool_init(&b->pool);
    b->site = unit_site(&b->pool);
    b->s = ak_stack_create(&b->site, S("main"));

    if (unit_add(b->s, first, d) != AK_OK
        || (second != NULL && unit_add(b->s, second, d) != AK_OK))
    {
        return AK_ERROR;
    }

    return ak_stack_link(b->s, NULL, NULL, d);
}


static void
begin(bench_t *b, const char *first, const char *second)
{
    ak_diag_t  d;

    assert_case(read_lines(b, first, second, &d) == AK_OK, "%s", d.text);
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static ak_reason_e
ask(bench_t *b, const unit_header_t *headers)
{
    unit_txn(&b->t, &b->pool, headers, digest, NULL);
    (void) ak_stack_run(b->s, &b->t, AK_AUTH);

    return b->t.reason;
}


static void
test_nothing(void **state)
{
    bench_t               b;
    const unit_header_t   other[] = {
        { "authorization", "Basic YWxpY2U6c2VjcmV0" },
        { "api-key", UNIT_KEY },
        { NULL, NULL }
    };

    (void) state;

    begin(&b, "auth required anonymous", NULL);
    assert_int_equal(ask(&b, NULL), AK_SUCCESS);
    assert_true(b.t.identified);
    assert_str(b.t.owner, "anonymous");
    assert_str(b.t.id, "anonymous");
    assert_str(b.t.module, "anonymous");
    assert_int_equal(b.t.name.len, 0);
    assert_int_equal(b.t.record.len, 0);
    assert_int_equal(b.t.source, AK_SOURCE_NONE);

    /* what is in no default carrier is nobody's credential here */

    assert_int_equal(ask(&b, other), AK_SUCCESS);
    end(&b);

    begin(&b, "auth required anonymous owner=guest", NULL);
    assert_int_equal(ask(&b, NULL), AK_SUCCESS);
    assert_str(b.t.owner, "guest");
    assert_str(b.t.id, "anonymous");
    end(&b);
}


static void
test_credential(void **state)
{
    size_t   i;
    bench_t  b;

    static const unit_header_t  cases[][3] = {
        { { "authorization", "Bearer " UNIT_KEY }, { NULL, NULL } },
        { { "authorization", "bearer " UNIT_FOREIGN }, { NULL, NULL } },
        { { "authorization", "Bearer " JWT }, { NULL, NULL } },
        { { "authorization", "Bearer short" }, { NULL, NULL } },
        { { "authorization", "Bearer" }, { NULL, NULL } },
        { { "x-api-key", UNIT_KEY }, { NULL, NULL } },
        { { "x_api_key", UNIT_KEY }, { NULL, NULL } },
        { { "x-api-key", "" }, { NULL, NULL } },
        { { "authorization", "Bearer " UNIT_KEY },
          { "x-api-key", UNIT_FOREIGN }, { NULL, NULL } }
    };

    (void) state;

    begin(&b, "auth required anonymous", NULL);

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_case(ask(&b, cases[i]) != AK_SUCCESS, "case %zu", i);
        assert_false(b.t.identified);

        /* it had nothing to say */

        assert_int_equal(b.t.line, 0);
    }

    end(&b);
}


/* What a line before it found elsewhere counts as well. */

static void
test_presented(void **state)
{
    bench_t               b;
    const unit_header_t   good[] = {
        { "x-my-key", "sk-the-first" }, { NULL, NULL }
    };
    const unit_header_t   wrong[] = {
        { "x-my-key", "sk-the-other" }, { NULL, NULL }
    };

    (void) state;

    begin(&b, "auth sufficient static keys=env:UNIT_KEYS from=x-my-key",
          "auth sufficient anonymous");

    assert_int_equal(ask(&b, good), AK_SUCCESS);
    assert_str(b.t.owner, "static");

    assert_int_equal(ask(&b, wrong), AK_UNKNOWN);
    assert_false(b.t.identified);

    assert_int_equal(ask(&b, NULL), AK_SUCCESS);
    assert_str(b.t.owner, "anonymous");

    end(&b);
}


/* Asked again, it does not forget that a key came. */

static void
test_again(void **state)
{
    int            i;
    bench_t        b;
    unit_header_t  headers[] = { { "x-other", "sk-not-good" }, { NULL, NULL } };

    (void) state;

    begin(&b, "auth sufficient static keys=env:UNIT_KEYS from=x-other",
          "auth required anonymous");

    unit_txn(&b.t, &b.pool, headers, digest, NULL);

    for (i = 0; i < 2; i++) {
        assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_DENIED);
        assert_int_equal(b.t.reason, AK_UNKNOWN);
    }

    end(&b);
}


/* The first that grants says who it is, and all of it. */

static void
test_after_another(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, "auth required debug owner=alice", "auth required anonymous");

    unit_txn(&b.t, &b.pool, NULL, digest, NULL);

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    assert_str(b.t.owner, "alice");
    assert_str(b.t.id, "");

    end(&b);

    begin(&b, "auth [success=ignore] debug owner=alice",
          "auth required anonymous");

    unit_txn(&b.t, &b.pool, NULL, digest, NULL);
    b.t.name = S("a name");
    b.t.record = S("a record");
    b.t.source = AK_SOURCE_STALE;

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    assert_str(b.t.owner, "anonymous");
    assert_str(b.t.id, "anonymous");
    assert_int_equal(b.t.name.len, 0);
    assert_int_equal(b.t.record.len, 0);
    assert_int_equal(b.t.source, AK_SOURCE_NONE);

    end(&b);
}


static void
test_errors(void **state)
{
    size_t     i;
    bench_t    b;
    ak_diag_t  d;

    static const struct {
        const char  *line;
        const char  *message;
    } cases[] = {
        { "auth required anonymous owner=*", "\"*\" cannot be an owner" },
        { "auth required anonymous owner=a\1", "cannot be an owner" },
        { "auth required anonymous owner=", "has no value" },
        { "auth required anonymous guest", "unknown argument \"guest\"" },
        { "account required anonymous", "has no part in \"account\"" },
        { "session required anonymous", "has no part in \"session\"" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_case(read_lines(&b, cases[i].line, NULL, &d) == AK_ERROR,
                    "%s: accepted", cases[i].line);
        assert_case(strstr(d.text, cases[i].message) != NULL, "%s: %s",
                    cases[i].line, d.text);
        end(&b);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_nothing),
    cmocka_unit_test(test_credential),
    cmocka_unit_test(test_presented),
    cmocka_unit_test(test_again),
    cmocka_unit_test(test_after_another),
    cmocka_unit_test(test_errors)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
