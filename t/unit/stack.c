
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Tests for the stack engine beside conformance.c: every combination of a few
 * lines against a second, plain reading of pam.conf(5) in expect(); hosts that
 * do not keep to the rules; memory, limits, and what a transaction keeps.
 */


#include "unit.h"


typedef struct {
    unit_pool_t   pool;
    ak_site_t     site;
    ak_txn_t      t;
    ak_stack_t   *s;
    bool          linked;
    unsigned      pauses;
} bench_t;


static ak_stack_t *
empty(bench_t *b, const char *name)
{
    ak_stack_t  *s;

    s = ak_stack_create(&b->site, ak_cstr(name));
    assert_non_null(s);

    return s;
}


static void
begin(bench_t *b)
{
    unit_pool_init(&b->pool);
    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);

    b->site = unit_site(&b->pool);
    b->s = empty(b, "main");
    b->linked = false;
    b->pauses = 0;
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static void
add_to(ak_stack_t *s, const char *line)
{
    ak_diag_t  d;

    assert_case(unit_add(s, line, &d) == AK_OK, "%s", d.text);
}


static void
add(bench_t *b, const char *line)
{
    add_to(b->s, line);
}


static void
link_stack(bench_t *b)
{
    ak_diag_t  d;

    assert_case(ak_stack_link(b->s, NULL, NULL, &d) == AK_OK, "%s", d.text);

    b->linked = true;
}


static void
answer(bench_t *b)
{
    ak_answer_t  a;

    memset(&a, 0, sizeof(a));
    ak_txn_answer(&b->t, &a);
}


static ak_rc_t
step(bench_t *b, ak_phase_e phase)
{
    if (!b->linked) {
        link_stack(b);
    }

    return ak_stack_run(b->s, &b->t, phase);
}


static ak_rc_t
run(bench_t *b, ak_phase_e phase)
{
    ak_rc_t   rc;
    unsigned  n;

    for (n = 0; n < 1000; n++) {
        rc = step(b, phase);

        if (rc != AK_AGAIN) {
            assert_int_equal(rc == AK_OK, b->t.reason == AK_SUCCESS);
            return rc;
        }

        assert_int_equal(b->t.need.type, AK_NEED_PAUSE);

        b->pauses++;
        answer(b);
    }

    fail_msg("no end of asking");

    return AK_ERROR;
}


/* pam.conf(5), read once more. */

enum { REQUIRED, REQUISITE, SUFFICIENT, OPTIONAL, CONTROLS };


static const char  *controls[CONTROLS] = {
    "required", "requisite", "sufficient", "optional"
};


typedef struct {
    unsigned     control;
    ak_reason_e  answer;
} line_t;


typedef struct {
    ak_reason_e  reason;
    size_t       line;         /* 0: any */
    size_t       called;
} expected_t;


/*
 * required: failure fails the stack, after the rest has run.  requisite: the
 * same, at once.  sufficient: success ends the stack where no required line
 * failed before; failure is nothing.  optional: counts where nothing else
 * does.  A line that ignores is not there.
 */

static expected_t
expect(const line_t *lines, size_t n)
{
    size_t      i, failed, first, outage, granted;
    expected_t  e;

    failed = first = outage = granted = 0;
    e.called = n;

    for (i = 1; i <= n; i++) {

        if (lines[i - 1].answer == AK_IGNORE) {
            continue;
        }

        if (lines[i - 1].answer == AK_SUCCESS) {
            granted = granted ? granted : i;

            if (lines[i - 1].control == SUFFICIENT && !failed) {
                e.called = i;
                break;
            }

            continue;
        }

        first = first ? first : i;

        if (lines[i - 1].answer == AK_STORE_UNAVAILABLE) {
            outage = outage ? outage : i;
        }

        if (lines[i - 1].control <= REQUISITE) {
            failed = failed ? failed : i;
        }

        if (lines[i - 1].control == REQUISITE) {
            e.called = i;
            break;
        }
    }

    if (granted && !failed) {
        e.reason = AK_SUCCESS;
        e.line = granted;

    } else if (outage && !granted) {
        e.reason = AK_STORE_UNAVAILABLE;
        e.line = outage;

    } else if (failed || first) {
        i = failed ? failed : first;
        e.reason = lines[i - 1].answer;
        e.line = i;

    } else {
        e.reason = AK_MISSING;
        e.line = 0;
    }

    return e;
}


static void
check_auth(const line_t *lines, size_t n, unsigned again)
{
    char        text[128];
    bool        ok;
    size_t      i;
    ak_rc_t     rc;
    bench_t     b;
    expected_t  e;

    begin(&b);
    e = expect(lines, n);

    for (i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "auth %s debug auth=%.*s again=%u",
                 controls[lines[i].control],
                 AK_FMT(ak_error(lines[i].answer)->word), again);
        add(&b, text);
    }

    rc = run(&b, AK_AUTH);

    ok = rc == (e.reason == AK_SUCCESS ? AK_OK : AK_DENIED)
         && b.t.reason == e.reason && b.t.alert == NULL
         && b.pauses == e.called * again;

    if (e.line != 0) {
        ok = ok && b.t.line == e.line && ak_str_eq(b.t.module, S("debug"));
    }

    for (i = 0; i < n && !ok; i++) {
        print_error("auth %s debug auth=%.*s\n", controls[lines[i].control],
                    AK_FMT(ak_error(lines[i].answer)->word));
    }

    assert_case(ok, "gives %d, %.*s, line %u, %u pauses; expected %.*s, line "
                "%zu, %zu pauses", rc, AK_FMT(ak_error(b.t.reason)->word),
                b.t.line, b.pauses, AK_FMT(ak_error(e.reason)->word), e.line,
                e.called * again);

    end(&b);
}


static void
test_one_line(void **state)
{
    int     a;
    line_t  l;

    (void) state;

    for (l.control = 0; l.control < CONTROLS; l.control++) {
        for (a = 0; a < AK_REASON_MAX; a++) {
            l.answer = (ak_reason_e) a;
            check_auth(&l, 1, 1);
        }
    }
}


static void
test_two_lines(void **state)
{
    int     a, b;
    line_t  l[2];

    (void) state;

    for (l[0].control = 0; l[0].control < CONTROLS; l[0].control++) {
        for (l[1].control = 0; l[1].control < CONTROLS; l[1].control++) {

            for (a = 0; a < AK_REASON_MAX; a++) {
                for (b = 0; b < AK_REASON_MAX; b++) {
                    l[0].answer = (ak_reason_e) a;
                    l[1].answer = (ak_reason_e) b;
                    check_auth(l, 2, 1);
                }
            }
        }
    }
}


/* Three lines, with the answers that make a difference. */

static const ak_reason_e  telling[] = {
    AK_SUCCESS, AK_IGNORE, AK_UNKNOWN, AK_JWT_EXPIRED, AK_STORE_UNAVAILABLE
};


static void
three_lines(unsigned again)
{
    size_t  i, k, n, x;
    line_t  l[3];

    n = CONTROLS * ak_nitems(telling);

    for (i = 0; i < n * n * n; i++) {

        x = i;

        for (k = 0; k < 3; k++) {
            l[k].control = x % n / ak_nitems(telling);
            l[k].answer = telling[x % n % ak_nitems(telling)];
            x /= n;
        }

        check_auth(l, 3, again);
    }
}


static void
test_three_lines(void **state)
{
    (void) state;

    three_lines(0);
    three_lines(1);
}


/* An endless asker is cut off, whatever its line says of failures. */

static void
test_endless(void **state)
{
    char      text[64];
    bench_t   b;
    unsigned  c;

    (void) state;

    for (c = 0; c < CONTROLS; c++) {
        begin(&b);

        snprintf(text, sizeof(text), "auth %s debug again=1000000000",
                 controls[c]);
        add(&b, text);
        add(&b, "auth required debug");

        assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
        assert_int_equal(b.t.reason, AK_STORE_UNAVAILABLE);
        assert_non_null(b.t.alert);
        assert_int_equal(b.t.need.type, AK_NEED_NONE);

        /* and so the next phase is closed */

        assert_int_equal(step(&b, AK_ACCOUNT), AK_DENIED);
        end(&b);
    }
}


/* A host that runs the phase again without an answer gets nothing from it. */

static void
test_unanswered(void **state)
{
    int      i;
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug again=1");

    for (i = 0; i < 10; i++) {
        assert_int_equal(step(&b, AK_AUTH), AK_AGAIN);
        assert_int_equal(b.t.need.type, AK_NEED_PAUSE);
    }

    answer(&b);
    assert_int_equal(step(&b, AK_AUTH), AK_OK);
    end(&b);
}


/* An answer that nobody asked for is nothing. */

static void
test_unasked(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug again=2");

    answer(&b);
    assert_int_equal(step(&b, AK_AUTH), AK_AGAIN);

    answer(&b);
    answer(&b);
    assert_int_equal(step(&b, AK_AUTH), AK_AGAIN);

    answer(&b);
    assert_int_equal(step(&b, AK_AUTH), AK_OK);
    end(&b);
}


static void
test_other_phase_while_suspended(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug again=1");
    add(&b, "account required debug");

    assert_int_equal(step(&b, AK_AUTH), AK_AGAIN);
    assert_int_equal(step(&b, AK_ACCOUNT), AK_DENIED);
    assert_non_null(b.t.alert);
    end(&b);
}


static void
test_account_before_auth(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug");
    add(&b, "account required debug");

    assert_int_equal(step(&b, AK_ACCOUNT), AK_DENIED);
    assert_int_not_equal(b.t.reason, AK_SUCCESS);
    assert_non_null(b.t.alert);
    end(&b);
}


/* Who it is says the line that grants, and no other. */

static void
test_who(void **state)
{
    size_t   i, k;
    bench_t  b;

    static const struct {
        const char  *lines[4];
        const char  *owner;
    } cases[] = {
        { { "auth required debug owner=alice",
            "auth required debug owner=bob" }, "alice" },

        { { "auth optional debug owner=alice",
            "auth sufficient debug owner=bob" }, "alice" },

        { { "auth [success=ignore] debug owner=eve",
            "auth required debug owner=alice" }, "alice" },

        { { "auth [success=1] debug owner=eve",
            "auth required debug owner=bob",
            "auth required debug owner=alice" }, "alice" },

        { { "auth required debug owner=eve",
            "auth [success=reset] debug owner=mallory",
            "auth required debug owner=alice" }, "alice" },

        { { "auth required debug owner=eve",
            "auth [default=reset] debug auth=unknown",
            "auth required debug owner=alice" }, "alice" },

        { { "auth optional debug auth=unknown owner=eve",
            "auth required debug again=2 owner=alice",
            "auth optional debug again=2 owner=bob" }, "alice" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        begin(&b);

        for (k = 0; k < 4 && cases[i].lines[k] != NULL; k++) {
            add(&b, cases[i].lines[k]);
        }

        assert_int_equal(run(&b, AK_AUTH), AK_OK);
        assert_true(b.t.identified);
        assert_str(b.t.owner, cases[i].owner);
        end(&b);
    }
}


/* A transaction that is denied after all has nothing left of the grant. */

static void
test_denial_takes_back(void **state)
{
    bench_t      b;
    ak_stack_t  *open;

    (void) state;

    begin(&b);
    add(&b, "auth required debug owner=alice");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_true(b.t.identified);
    assert_str(b.t.owner, "alice");

    open = b.s;
    b.s = empty(&b, "closed");
    b.linked = false;
    add(&b, "auth required debug auth=unknown");

    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_false(b.t.identified);
    assert_str(b.t.owner, "");

    b.s = open;
    assert_int_equal(run(&b, AK_ACCOUNT), AK_DENIED);
    end(&b);
}


static void
test_phases_without_lines(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(run(&b, AK_ACCOUNT), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_int_equal(run(&b, AK_REPORT), AK_OK);
    end(&b);
}


/* What is told of the end changes nothing of the outcome. */

static void
test_end_keeps_outcome(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug auth=revoked");
    add(&b, "session required debug session=unavailable");

    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_equal(step(&b, AK_SESSION_CLOSE), AK_OK);
    assert_int_equal(step(&b, AK_REPORT), AK_OK);

    assert_int_equal(b.t.reason, AK_REVOKED);
    assert_int_equal(b.t.line, 1);
    assert_str(b.t.module, "debug");
    assert_str(b.t.stack, "main");
    end(&b);
}


/* Memory that runs out at any moment never grants what it would deny. */

static void
test_no_memory(void **state)
{
    size_t   left;
    ak_rc_t  rc;
    bench_t  b;

    (void) state;

    for (left = 0; left < 4; left++) {
        begin(&b);
        add(&b, "auth required debug");
        add(&b, "auth required debug auth=unknown");
        link_stack(&b);

        b.pool.left = left;
        assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
        end(&b);

        begin(&b);
        add(&b, "auth required debug");
        link_stack(&b);

        b.pool.left = left;
        rc = run(&b, AK_AUTH);
        assert_int_equal(rc == AK_OK, left != 0);
        assert_int_equal(b.t.reason == AK_STORE_UNAVAILABLE, left == 0);
        end(&b);
    }
}


/* Nor when lines are read: each failure is told; a line is whole or not. */

static void
test_add_no_memory(void **state)
{
    bool        added;
    size_t      left;
    bench_t     b;
    ak_diag_t   d;

    (void) state;

    added = false;

    for (left = 0; !added; left++) {
        assert_true(left < 100);

        begin(&b);
        b.pool.left = left;
        memset(&d, 0, sizeof(d));

        added = unit_add(b.s, "auth required debug auth=success owner=alice",
                         &d) == AK_OK
                && unit_add(b.s, "auth include main", &d) == AK_OK;

        assert_true(added || strstr(d.text, "memory") != NULL);
        end(&b);
    }

    for (left = 0; left < 3; left++) {
        begin(&b);
        add(&b, "auth required debug");

        b.pool.left = left;
        assert_int_equal(ak_stack_link(b.s, NULL, NULL, &d), AK_ERROR);
        assert_non_null(strstr(d.text, "memory"));
        end(&b);
    }

    unit_pool_init(&b.pool);
    b.pool.left = 0;
    b.site = unit_site(&b.pool);
    assert_null(ak_stack_create(&b.site, S("main")));
}


static void
test_abort(void **state)
{
    int       i;
    bench_t   b;
    uint8_t  *secret, *second;

    (void) state;

    begin(&b);
    add(&b, "auth required debug again=1");
    assert_int_equal(step(&b, AK_AUTH), AK_AGAIN);

    secret = ak_txn_secret(&b.t, 32);
    second = ak_txn_secret(&b.t, 100);
    assert_non_null(secret);
    assert_non_null(second);

    memset(secret, 's', 32);
    memset(second, 't', 100);

    assert_int_equal(ak_txn_set_header(&b.t, S("authorization"),
                                       ak_str(secret, 32)), AK_OK);
    assert_int_equal(ak_txn_reply_header(&b.t, S("x-left"),
                                         ak_str(second, 100)), AK_OK);

    for (i = 0; i < 3; i++) {
        ak_txn_abort(&b.t);

        assert_true(unit_zero(secret, 32));
        assert_true(unit_zero(second, 100));
        assert_int_equal(b.t.neffects, 0);
        assert_int_equal(b.t.nreplies, 0);
        assert_int_equal(b.t.need.type, AK_NEED_NONE);
    }

    /* what comes too late is nothing */

    answer(&b);
    assert_int_not_equal(step(&b, AK_ACCOUNT), AK_OK);
    end(&b);
}


static void
test_abort_keeps_outcome(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug auth=revoked");
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);

    ak_txn_abort(&b.t);
    assert_int_equal(b.t.reason, AK_REVOKED);
    assert_int_equal(b.t.line, 1);
    assert_str(b.t.module, "debug");
    end(&b);
}


static void
test_secret_drop(void **state)
{
    bench_t   b;
    uint8_t  *first, *last;

    (void) state;

    begin(&b);
    first = ak_txn_secret(&b.t, 16);
    last = ak_txn_secret(&b.t, 16);
    memset(first, 'f', 16);
    memset(last, 'l', 16);

    ak_txn_secret_drop(&b.t);
    assert_true(unit_zero(last, 16));
    assert_int_equal(first[15], 'f');

    ak_txn_secret_drop(&b.t);
    assert_true(unit_zero(first, 16));
    ak_txn_secret_drop(&b.t);
    end(&b);
}


static void
test_limits(void **state)
{
    int      i;
    bench_t  b;

    (void) state;

    begin(&b);

    for (i = 0; i < AK_SECRETS_MAX; i++) {
        assert_non_null(ak_txn_secret(&b.t, 8));
    }

    assert_null(ak_txn_secret(&b.t, 8));

    for (i = 0; i < AK_EFFECTS_MAX; i++) {
        assert_int_equal(ak_txn_set_header(&b.t, S("a"), S("b")), AK_OK);
    }

    assert_int_equal(ak_txn_set_header(&b.t, S("a"), S("b")), AK_ERROR);
    assert_int_equal(b.t.neffects, AK_EFFECTS_MAX);

    for (i = 0; i < AK_REPLIES_MAX; i++) {
        assert_int_equal(ak_txn_reply_header(&b.t, S("a"), S("b")), AK_OK);
    }

    assert_int_equal(ak_txn_reply_header(&b.t, S("a"), S("b")), AK_ERROR);
    assert_int_equal(b.t.nreplies, AK_REPLIES_MAX);
    end(&b);

    begin(&b);
    b.pool.left = 0;
    assert_null(ak_txn_secret(&b.t, 8));
    end(&b);
}


/* As many lines as there may be can run, suspend, and be jumped over. */

static void
test_most_lines(void **state)
{
    int        i;
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    begin(&b);
    add(&b, "auth [success=63] debug");

    for (i = 1; i < AK_LINES_MAX; i++) {
        add(&b, "auth required debug auth=unknown");
    }

    memset(&d, 0, sizeof(d));
    assert_int_equal(unit_add(b.s, "auth required debug", &d), AK_ERROR);
    assert_non_null(strstr(d.text, "\"main\""));
    assert_non_null(strstr(d.text, "64"));

    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_equal(b.t.reason, AK_MISSING);
    end(&b);

    begin(&b);

    for (i = 0; i < AK_LINES_MAX; i++) {
        add(&b, "auth required debug again=1");
    }

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(b.pauses, AK_LINES_MAX);
    end(&b);
}


static const ak_stack_t *
find_one(void *data, ak_str_t name)
{
    const ak_stack_t  *s;

    s = data;

    return ak_str_eq(ak_stack_name(s), name) ? s : NULL;
}


/* What is included counts where it is included, each time. */

static void
test_most_lines_included(void **state)
{
    int          i, copies;
    bench_t      b;
    ak_rc_t      rc;
    ak_diag_t    d;
    ak_stack_t  *other;

    (void) state;

    for (copies = 3; copies <= 4; copies++) {
        begin(&b);
        other = empty(&b, "other");

        for (i = 0; i < 21; i++) {
            add_to(other, "auth required debug again=1");
        }

        for (i = 0; i < copies; i++) {
            add(&b, "auth include other");
        }

        rc = ak_stack_link(b.s, find_one, other, &d);

        if (copies == 4) {
            assert_int_equal(rc, AK_ERROR);
            assert_non_null(strstr(d.text, "\"main\""));
            assert_non_null(strstr(d.text, "64"));

        } else {
            assert_int_equal(rc, AK_OK);
            b.linked = true;
            assert_int_equal(run(&b, AK_AUTH), AK_OK);
            assert_int_equal(b.pauses, 63);
        }

        end(&b);
    }
}


/* What is appended is another stack's, and neither knows of the other. */

static void
test_append(void **state)
{
    bench_t      b;
    ak_diag_t    d;
    ak_stack_t  *base, *copy;

    (void) state;

    begin(&b);
    base = empty(&b, "base");
    add_to(base, "auth required debug");
    add_to(base, "auth required debug auth=expired");

    copy = b.s;
    assert_int_equal(ak_stack_append(copy, base, &d), AK_OK);
    add(&b, "session required debug");

    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_equal(b.t.reason, AK_EXPIRED);
    assert_str(b.t.stack, "base");
    assert_int_equal(b.t.line, 2);
    assert_true(ak_stack_has(copy, AK_GROUP_SESSION));

    b.s = base;
    link_stack(&b);
    assert_false(ak_stack_has(base, AK_GROUP_SESSION));
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);

    /* of nothing, too */

    b.s = empty(&b, "nothing");
    assert_int_equal(ak_stack_append(b.s, empty(&b, "void"), &d), AK_OK);
    link_stack(&b);
    assert_false(ak_stack_has(b.s, AK_GROUP_AUTH));
    end(&b);
}


static void
test_has_and_uses(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug");
    add(&b, "session required inject openai");

    assert_false(ak_stack_has(b.s, AK_GROUP_AUTH));    /* not linked yet */
    link_stack(&b);

    assert_true(ak_stack_has(b.s, AK_GROUP_AUTH));
    assert_false(ak_stack_has(b.s, AK_GROUP_ACCOUNT));
    assert_true(ak_stack_has(b.s, AK_GROUP_SESSION));
    assert_true(ak_stack_uses(b.s, S("inject")));
    assert_true(ak_stack_uses(b.s, S("debug")));
    assert_false(ak_stack_uses(b.s, S("key")));
    assert_false(ak_stack_uses(b.s, S("")));
    assert_str(ak_stack_name(b.s), "main");
    end(&b);
}


/* A stack that is not linked has no line that could grant. */

static void
test_not_linked(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth required debug");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_DENIED);
    end(&b);
}


static void
test_strip(void **state)
{
    bench_t      b;
    ak_strip_t  *strip;

    (void) state;

    begin(&b);
    add(&b, "auth required key from=x-goog-api-key,query:k");
    add(&b, "auth required debug");
    link_stack(&b);

    strip = ak_strip_create(&b.pool.mem);
    assert_non_null(strip);

    assert_false(ak_strip_has(strip, AK_CARRIER_QUERY));
    assert_int_equal(ak_stack_strip(b.s, strip), AK_OK);
    assert_true(ak_strip_has(strip, AK_CARRIER_QUERY));
    assert_true(ak_strip_header(strip, S("x-goog-api-key")));
    end(&b);
}


static void
test_registry(void **state)
{
    size_t              n;
    const ak_module_t  *m;

    (void) state;

    for (n = 0; (m = ak_module_at(n)) != NULL; n++) {
        assert_ptr_equal(ak_module_find(m->name), m);
        assert_non_null(m->about);
        assert_true(ak_module_serves(m, AK_GROUP_AUTH)
                    || ak_module_serves(m, AK_GROUP_ACCOUNT)
                    || ak_module_serves(m, AK_GROUP_SESSION));
    }

    assert_true(n >= 2);
    assert_null(ak_module_at(SIZE_MAX));
    assert_null(ak_module_find(S("")));
    assert_null(ak_module_find(S("Key")));

    m = ak_module_find(S("key"));
    assert_non_null(m);
    assert_true(ak_module_serves(m, AK_GROUP_AUTH));
    assert_false(ak_module_serves(m, AK_GROUP_SESSION));

    m = ak_module_find(S("inject"));
    assert_non_null(m);
    assert_true(ak_module_serves(m, AK_GROUP_SESSION));
    assert_false(ak_module_serves(m, AK_GROUP_AUTH));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_one_line),
    cmocka_unit_test(test_two_lines),
    cmocka_unit_test(test_three_lines),
    cmocka_unit_test(test_endless),
    cmocka_unit_test(test_unanswered),
    cmocka_unit_test(test_unasked),
    cmocka_unit_test(test_other_phase_while_suspended),
    cmocka_unit_test(test_account_before_auth),
    cmocka_unit_test(test_who),
    cmocka_unit_test(test_denial_takes_back),
    cmocka_unit_test(test_phases_without_lines),
    cmocka_unit_test(test_end_keeps_outcome),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_add_no_memory),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_abort_keeps_outcome),
    cmocka_unit_test(test_secret_drop),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_most_lines),
    cmocka_unit_test(test_most_lines_included),
    cmocka_unit_test(test_append),
    cmocka_unit_test(test_has_and_uses),
    cmocka_unit_test(test_not_linked),
    cmocka_unit_test(test_strip),
    cmocka_unit_test(test_registry)
};


UNIT_MAIN(tests)
