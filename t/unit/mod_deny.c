
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "auth required deny" and "account required deny". */


#include "unit.h"

#include "ak_stack.h"


typedef struct {
    unit_pool_t   pool;
    ak_site_t     site;
    ak_stack_t   *s;
    ak_txn_t      t;
} bench_t;


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
    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static void
check_denied(bench_t *b, ak_phase_e phase, ak_reason_e reason)
{
    assert_int_equal(ak_stack_run(b->s, &b->t, phase), AK_DENIED);
    assert_int_equal(b->t.reason, reason);
    assert_str(b->t.module, "deny");
    assert_str(b->t.stack, "main");
    assert_null(b->t.alert);
}


static void
test_auth(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, "auth required deny", NULL);
    check_denied(&b, AK_AUTH, AK_FORBIDDEN);
    assert_false(b.t.identified);
    end(&b);

    begin(&b, "auth required debug", "auth required deny");
    check_denied(&b, AK_AUTH, AK_FORBIDDEN);
    assert_int_equal(b.t.line, 2);
    end(&b);
}


static void
test_account(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, "auth required debug", "account required deny");
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    check_denied(&b, AK_ACCOUNT, AK_FORBIDDEN);
    end(&b);

    begin(&b, "auth required debug", "account required deny reason=expired");
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    check_denied(&b, AK_ACCOUNT, AK_EXPIRED);
    end(&b);
}


/* Every reason but the two that are none. */

static void
test_reasons(void **state)
{
    int        i;
    char       line[64];
    bench_t    b;
    ak_diag_t  d;
    ak_str_t   word;

    (void) state;

    for (i = 0; i < AK_REASON_MAX; i++) {
        word = ak_error((ak_reason_e) i)->word;

        snprintf(line, sizeof(line), "auth required deny reason=%.*s",
                 (int) word.len, (const char *) word.data);

        if (i == AK_SUCCESS || i == AK_IGNORE) {
            assert_int_equal(read_lines(&b, line, NULL, &d), AK_ERROR);
            assert_non_null(strstr(d.text, "is no reason to deny"));

        } else {
            begin(&b, line, NULL);
            check_denied(&b, AK_AUTH, (ak_reason_e) i);
        }

        end(&b);
    }
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
        { "auth required deny reason=because",
          "\"because\" is no reason to deny" },
        { "account required deny reason=Forbidden",
          "\"Forbidden\" is no reason to deny" },
        { "auth required deny reason=", "has no value" },
        { "auth required deny forbidden", "unknown argument \"forbidden\"" },
        { "session required deny", "has no part in \"session\"" }
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
    cmocka_unit_test(test_auth),
    cmocka_unit_test(test_account),
    cmocka_unit_test(test_reasons),
    cmocka_unit_test(test_errors)
};


UNIT_MAIN(tests)
