
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Tests for the stack engine.  The modules here do what their arguments say;
 * the verdicts that are expected come from a second, plain reading of
 * pam.conf(5) in expect().
 */


#include "unit.h"

#include "ak_stack.h"


#define CALLS_MAX  4096


typedef struct {
    ak_reason_e  answer;
    unsigned     asks;         /* how often before it answers */
    bool         endless;
    bool         needless;     /* suspends without asking */
    bool         nobody;       /* grants without an identity */
    bool         wild;         /* an answer that there is not */
    char         tag;
} debug_conf_t;


typedef struct {
    unsigned     asked;
    char         tag;
    uint8_t      zero[57];
} debug_state_t;


/* Which lines were called, in order, one letter a call. */

static char    calls[CALLS_MAX];
static size_t  ncalls;


static ak_rc_t
debug_init(void *data, ak_mem_t *mem, const ak_str_t *args, size_t nargs,
    ak_diag_t *d)
{
    size_t         i;
    ak_reason_e    r;
    debug_conf_t  *conf;

    (void) mem;

    conf = data;
    assert_true(unit_zero(conf, sizeof(*conf)));

    conf->tag = '?';

    for (i = 0; i < nargs; i++) {
        r = ak_error_reason(args[i]);

        if (r != AK_REASON_MAX) {
            conf->answer = r;

        } else if (ak_str_starts(args[i], S("asks="))) {
            conf->asks = (unsigned) (args[i].data[5] - '0');

        } else if (ak_str_starts(args[i], S("tag="))) {
            conf->tag = (char) args[i].data[4];

        } else if (ak_str_eq(args[i], S("endless"))) {
            conf->endless = true;

        } else if (ak_str_eq(args[i], S("needless"))) {
            conf->needless = true;

        } else if (ak_str_eq(args[i], S("nobody"))) {
            conf->nobody = true;

        } else if (ak_str_eq(args[i], S("wild"))) {
            conf->wild = true;

        } else {
            return ak_diag(d, "debug: \"%.*s\"", AK_FMT(args[i]));
        }
    }

    return AK_OK;
}


static ak_reason_e
debug_run(ak_txn_t *t, const void *data, void *st)
{
    debug_state_t       *state;
    const debug_conf_t  *conf;

    conf = data;
    state = st;

    if (ncalls < CALLS_MAX) {
        calls[ncalls++] = conf->tag;
    }

    if (state->asked == 0) {
        assert_true(unit_zero(state, sizeof(*state)));
        state->tag = conf->tag;

    } else {
        assert_true(conf->endless || t->answered);
        assert_int_equal(t->answer.rc, AK_OK);
        assert_str(t->answer.value, "an answer");
    }

    assert_int_equal(state->tag, conf->tag);

    if (conf->needless) {
        return AK_SUSPEND;
    }

    if (conf->endless || state->asked < conf->asks) {
        state->asked++;
        return ak_txn_ask(t, AK_NEED_RECORD, S("id"), S(""));
    }

    if (conf->wild) {
        return (ak_reason_e) (AK_SUSPEND + 1);
    }

    if (t->phase == AK_AUTH && conf->answer == AK_SUCCESS && !conf->nobody) {
        t->identified = true;
    }

    return conf->answer;
}


static const ak_module_t  debug = {
    .name = ak_string("debug"),
    .conf_size = sizeof(debug_conf_t),
    .state_size = sizeof(debug_state_t),
    .init = debug_init,
    .run = { [AK_AUTH] = debug_run, [AK_ACCOUNT] = debug_run,
             [AK_SESSION_OPEN] = debug_run }
};


static const ak_module_t  auth_only = {
    .name = ak_string("auth_only"),
    .conf_size = sizeof(debug_conf_t),
    .state_size = sizeof(debug_state_t),
    .init = debug_init,
    .run = { [AK_AUTH] = debug_run }
};


typedef struct {
    unit_pool_t    pool;
    ak_txn_t       t;
    ak_stack_t    *s;
    unsigned       nlines;
} bench_t;


static void
begin(bench_t *b)
{
    unit_pool_init(&b->pool);
    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);

    b->s = ak_stack_create(&b->pool.mem);
    b->nlines = 0;
    assert_non_null(b->s);

    ncalls = 0;
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


/* Adds a line with words that are gone afterwards; tags are a, b, c. */

static void
add(bench_t *b, const char *group, const char *control, const char *words)
{
    char        text[128], tag[8], *p;
    size_t      n;
    ak_str_t    args[8];
    ak_diag_t   d;

    snprintf(text, sizeof(text), "%s", words);
    snprintf(tag, sizeof(tag), "tag=%c", (int) ('a' + b->nlines++));

    n = 0;
    args[n++] = ak_cstr(tag);

    for (p = strtok(text, " "); p != NULL; p = strtok(NULL, " ")) {
        args[n++] = ak_cstr(p);
    }

    assert_int_equal(ak_stack_add_module(b->s, ak_cstr(group),
                                         ak_cstr(control), &debug, args, n,
                                         &d), AK_OK);

    memset(text, 'z', sizeof(text));
}


static ak_rc_t
run(bench_t *b, ak_phase_e phase)
{
    ak_rc_t      rc;
    unsigned     n;
    ak_answer_t  answer = { AK_OK, AK_SOURCE_HIT, ak_string("an answer") };

    for (n = 0; n < 1000; n++) {
        rc = ak_stack_run(b->s, &b->t, phase);

        if (rc != AK_AGAIN) {
            assert_int_equal(rc == AK_OK, b->t.reason == AK_SUCCESS);
            return rc;
        }

        assert_int_equal(b->t.need.type, AK_NEED_RECORD);
        assert_str(b->t.need.name, "id");

        ak_txn_answer(&b->t, &answer);
    }

    fail_msg("no end of asking");

    return AK_ERROR;
}


static void
check_calls(const char *expected)
{
    assert_str(ak_str(calls, ncalls), expected);
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
    unsigned     line;         /* 0: any */
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
        e.line = (unsigned) granted;

    } else if (outage && !granted) {
        e.reason = AK_STORE_UNAVAILABLE;
        e.line = (unsigned) outage;

    } else if (failed || first) {
        i = failed ? failed : first;
        e.reason = lines[i - 1].answer;
        e.line = (unsigned) i;

    } else {
        e.reason = AK_MISSING;
        e.line = 0;
    }

    return e;
}


static void
describe(const line_t *lines, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        print_error("auth %s %.*s\n", controls[lines[i].control],
                    AK_FMT(ak_error(lines[i].answer)->word));
    }
}


static void
check_auth(const line_t *lines, size_t n, const char *extra)
{
    char        words[64];
    bool        ok;
    size_t      i;
    ak_rc_t     rc;
    bench_t     b;
    expected_t  e;

    begin(&b);
    e = expect(lines, n);

    for (i = 0; i < n; i++) {
        snprintf(words, sizeof(words), "%.*s %s",
                 AK_FMT(ak_error(lines[i].answer)->word), extra);
        add(&b, "auth", controls[lines[i].control], words);
    }

    rc = run(&b, AK_AUTH);

    ok = rc == (e.reason == AK_SUCCESS ? AK_OK : AK_DENIED)
         && b.t.reason == e.reason && b.t.alert == NULL;

    if (e.line != 0) {
        ok = ok && b.t.line == e.line && ak_str_eq(b.t.module, S("debug"));
    }

    if (extra[0] == '\0') {
        ok = ok && ncalls == e.called && memcmp(calls, "abc", ncalls) == 0;
    }

    if (!ok) {
        describe(lines, n);
        print_error("gives %d, %.*s, line %u, %zu calls; expected %.*s, line "
                    "%u, %zu calls\n", rc,
                    AK_FMT(ak_error(b.t.reason)->word), b.t.line, ncalls,
                    AK_FMT(ak_error(e.reason)->word), e.line, e.called);
        fail();
    }

    end(&b);
}


static void
test_one_line(void **state)
{
    int     answer;
    line_t  l;

    (void) state;

    for (l.control = 0; l.control < CONTROLS; l.control++) {
        for (answer = 0; answer < AK_REASON_MAX; answer++) {
            l.answer = (ak_reason_e) answer;
            check_auth(&l, 1, "");
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
                    check_auth(l, 2, "");
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
three_lines(const char *extra)
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

        check_auth(l, 3, extra);
    }
}


static void
test_three_lines(void **state)
{
    (void) state;

    three_lines("");
}


/* The same verdicts when every line has to ask, once or three times. */

static void
test_three_lines_asking(void **state)
{
    (void) state;

    three_lines("asks=1");
    three_lines("asks=3");
}


static void
test_resume(void **state)
{
    bench_t  b;

    (void) state;

    /* earlier lines are not called again, and each has its own state */

    begin(&b);
    add(&b, "auth", "optional", "unknown");
    add(&b, "auth", "required", "success asks=3");
    add(&b, "auth", "required", "success asks=2");
    add(&b, "auth", "required", "success");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    check_calls("abbbbcccd");
    end(&b);
}


static void
test_asking_grants_after_suspension(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "sufficient", "unavailable asks=1");
    add(&b, "auth", "sufficient", "success asks=1");
    add(&b, "auth", "required", "unknown");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    check_calls("aabb");
    assert_int_equal(b.t.line, 2);
    end(&b);
}


/* An endless asker is cut off, whatever its line says of failures. */

static void
test_endless(void **state)
{
    bench_t   b;
    unsigned  c;

    (void) state;

    for (c = 0; c < CONTROLS; c++) {
        begin(&b);
        add(&b, "auth", controls[c], "endless");
        add(&b, "auth", "required", "success");

        assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
        assert_int_not_equal(b.t.reason, AK_SUCCESS);
        assert_non_null(b.t.alert);
        assert_int_equal(b.t.need.type, AK_NEED_NONE);
        end(&b);
    }
}


static void
test_needless(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "sufficient", "needless");
    add(&b, "auth", "required", "success");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_DENIED);
    assert_int_not_equal(b.t.reason, AK_SUCCESS);
    assert_non_null(b.t.alert);
    end(&b);
}


static void
test_wild_answer(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "optional", "wild");
    add(&b, "auth", "required", "success");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_DENIED);
    assert_int_not_equal(b.t.reason, AK_SUCCESS);
    assert_non_null(b.t.alert);
    end(&b);
}


/* A host that runs the phase again without an answer gets nothing from it. */

static void
test_unanswered(void **state)
{
    int      i;
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success asks=1");

    for (i = 0; i < 10; i++) {
        assert_int_not_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    }

    end(&b);
}


/* An answer that nobody asked for is nothing. */

static void
test_unasked(void **state)
{
    bench_t      b;
    ak_answer_t  answer = { AK_OK, AK_SOURCE_HIT, ak_string("an answer") };

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success asks=1");

    ak_txn_answer(&b.t, &answer);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_AGAIN);

    ak_txn_answer(&b.t, &answer);
    ak_txn_answer(&b.t, &answer);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    check_calls("aa");
    end(&b);
}


static void
test_other_phase_while_suspended(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success asks=1");
    add(&b, "account", "required", "success");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_AGAIN);
    assert_int_not_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_OK);
    check_calls("a");
    end(&b);
}


static void
test_empty_auth(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_equal(b.t.reason, AK_MISSING);
    end(&b);

    begin(&b);
    add(&b, "account", "required", "success");
    add(&b, "session", "required", "success");
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_equal(b.t.reason, AK_MISSING);
    assert_int_equal(ncalls, 0);
    end(&b);
}


static void
test_nobody(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success nobody");
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_not_equal(b.t.reason, AK_SUCCESS);
    assert_non_null(b.t.alert);

    /* and so the next phase is closed */

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_DENIED);
    end(&b);
}


static void
test_account_before_auth(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success asks=1");
    add(&b, "account", "required", "success");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_DENIED);
    assert_int_not_equal(b.t.reason, AK_SUCCESS);
    assert_non_null(b.t.alert);
    assert_int_equal(ncalls, 0);
    end(&b);

    begin(&b);
    add(&b, "auth", "required", "unknown");
    add(&b, "account", "required", "success");

    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_DENIED);
    check_calls("a");
    end(&b);
}


/* A transaction that is denied after all has nothing left of the grant. */

static void
test_denial_takes_back(void **state)
{
    bench_t      b;
    ak_stack_t  *open;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success");
    assert_int_equal(run(&b, AK_AUTH), AK_OK);

    open = b.s;
    b.s = ak_stack_create(&b.pool.mem);
    add(&b, "auth", "required", "unknown");
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);

    b.s = open;
    assert_int_equal(run(&b, AK_ACCOUNT), AK_DENIED);

    /* nor is who it was then who it is now */

    b.s = ak_stack_create(&b.pool.mem);
    add(&b, "auth", "required", "success nobody");
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    end(&b);
}


typedef struct {
    const char  *control;
    const char  *answer;
    const char  *control2;
    const char  *answer2;
    ak_reason_e  reason;
    unsigned     line;
} account_t;


/* Account lines follow auth lines; reasons are those of the first to fail. */

static const account_t  accounts[] = {
    { "required", "success", NULL, NULL, AK_SUCCESS, 0 },
    { "required", "ignore", NULL, NULL, AK_SUCCESS, 0 },
    { "required", "forbidden", NULL, NULL, AK_FORBIDDEN, 2 },
    { "requisite", "rate_limited", NULL, NULL, AK_RATE_LIMITED, 2 },
    { "required", "unavailable", NULL, NULL, AK_STORE_UNAVAILABLE, 2 },
    { "required", "forbidden", "required", "rate_limited", AK_FORBIDDEN, 2 },
    { "required", "success", "required", "rate_limited", AK_RATE_LIMITED, 3 },
    { "requisite", "forbidden", "required", "success", AK_FORBIDDEN, 2 },
    { "sufficient", "success", "required", "forbidden", AK_SUCCESS, 0 },
    { "sufficient", "forbidden", "required", "success", AK_SUCCESS, 0 },
    { "sufficient", "forbidden", "sufficient", "success", AK_SUCCESS, 0 },
    { "required", "forbidden", "sufficient", "success", AK_FORBIDDEN, 2 },
    { "optional", "forbidden", "required", "success", AK_SUCCESS, 0 },
    { "optional", "success", "required", "forbidden", AK_FORBIDDEN, 3 },

    /* an outage of the second does not outrank the first's denial here */

    { "required", "forbidden", "required", "unavailable", AK_FORBIDDEN, 2 }
};


static void
check_account(const account_t *a, const char *extra)
{
    char     words[64];
    ak_rc_t  rc;
    bench_t  b;

    begin(&b);
    add(&b, "auth", "required", "success");

    snprintf(words, sizeof(words), "%s %s", a->answer, extra);
    add(&b, "account", a->control, words);

    if (a->control2 != NULL) {
        snprintf(words, sizeof(words), "%s %s", a->answer2, extra);
        add(&b, "account", a->control2, words);
    }

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    check_calls("a");

    rc = run(&b, AK_ACCOUNT);
    assert_case(rc == (a->reason == AK_SUCCESS ? AK_OK : AK_DENIED)
                && b.t.reason == a->reason
                && (a->line == 0 || b.t.line == a->line),
                "account %s %s, %s %s: %d, %.*s, line %u", a->control,
                a->answer, a->control2 == NULL ? "" : a->control2,
                a->answer2 == NULL ? "" : a->answer2, rc,
                AK_FMT(ak_error(b.t.reason)->word), b.t.line);
    end(&b);
}


static void
test_account(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < ak_nitems(accounts); i++) {
        check_account(&accounts[i], "");
        check_account(&accounts[i], "asks=2");
    }
}


/*
 * "Either of these" is written with sufficient lines.  pam.conf(5): a stack in
 * which no line was let count as success is no success; so where all of them
 * fail, nobody said yes.
 */

static void
test_account_all_fail(void **state)
{
    size_t  i;

    static const account_t  all_fail[] = {
        { "sufficient", "forbidden", NULL, NULL, AK_FORBIDDEN, 2 },
        { "optional", "forbidden", NULL, NULL, AK_FORBIDDEN, 2 },
        { "sufficient", "forbidden", "sufficient", "rate_limited",
          AK_FORBIDDEN, 2 },
        { "sufficient", "ignore", "sufficient", "forbidden",
          AK_FORBIDDEN, 3 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(all_fail); i++) {
        check_account(&all_fail[i], "");
    }
}


static void
test_phases_without_lines(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(run(&b, AK_ACCOUNT), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    check_calls("a");
    end(&b);
}


static void
test_session(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "session", "required", "upstream_key_missing asks=1");
    add(&b, "auth", "required", "success");
    add(&b, "session", "required", "success");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(run(&b, AK_ACCOUNT), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_DENIED);
    assert_int_equal(b.t.reason, AK_UPSTREAM_KEY_MISSING);
    assert_int_equal(b.t.line, 1);
    assert_str(b.t.module, "debug");
    check_calls("baac");
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
        add(&b, "auth", "required", "success");
        add(&b, "auth", "required", "unknown");
        b.pool.left = left;
        assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
        end(&b);

        begin(&b);
        add(&b, "auth", "required", "success");
        b.pool.left = left;
        rc = run(&b, AK_AUTH);
        assert_int_equal(rc == AK_OK, left != 0);
        end(&b);
    }
}


static void
test_add_no_memory(void **state)
{
    size_t      left;
    bench_t     b;
    ak_diag_t   d;
    ak_str_t    arg = ak_string("success");

    (void) state;

    unit_pool_init(&b.pool);
    b.pool.left = 0;
    assert_null(ak_stack_create(&b.pool.mem));

    for (left = 0; left < 8; left++) {
        begin(&b);
        b.pool.left = left;
        memset(&d, 0, sizeof(d));

        if (ak_stack_add_module(b.s, S("auth"), S("required"), &debug, &arg,
                                1, &d) == AK_OK)
        {
            assert_true(ak_stack_has(b.s, AK_GROUP_AUTH));

        } else {
            assert_int_not_equal(d.text[0], '\0');
            assert_false(ak_stack_has(b.s, AK_GROUP_AUTH));
        }

        end(&b);
    }
}


static void
test_abort(void **state)
{
    int       i;
    bench_t   b;
    uint8_t  *secret, *second;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success asks=1");
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_AGAIN);

    secret = ak_txn_secret(&b.t, 32);
    second = ak_txn_secret(&b.t, 100);
    assert_non_null(secret);
    assert_non_null(second);

    memset(secret, 's', 32);
    memset(second, 't', 100);

    assert_int_equal(ak_txn_set_header(&b.t, S("authorization"),
                                       ak_str(secret, 32)), AK_OK);
    assert_int_equal(b.t.neffects, 1);

    for (i = 0; i < 3; i++) {
        ak_txn_abort(&b.t);

        assert_true(unit_zero(secret, 32));
        assert_true(unit_zero(second, 100));
        assert_int_equal(b.t.neffects, 0);
        assert_int_equal(b.t.need.type, AK_NEED_NONE);
    }

    /* what comes too late is nothing */

    ak_txn_answer(&b.t, &(ak_answer_t) { AK_OK, AK_SOURCE_HIT,
                                         ak_string("an answer") });
    assert_int_not_equal(ak_stack_run(b.s, &b.t, AK_ACCOUNT), AK_OK);
    end(&b);
}


static void
test_abort_keeps_outcome(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "revoked");
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
    end(&b);

    begin(&b);
    b.pool.left = 0;
    assert_null(ak_txn_secret(&b.t, 8));
    end(&b);
}


static void
check_refused(const ak_module_t *m, const char *group, const char *control,
    const char *module, const char *arg, const char *named)
{
    ak_rc_t    rc;
    bench_t    b;
    ak_str_t   args[1];
    ak_diag_t  d;

    begin(&b);
    memset(&d, 0, sizeof(d));
    args[0] = ak_cstr(arg);

    if (m != NULL) {
        rc = ak_stack_add_module(b.s, ak_cstr(group), ak_cstr(control), m,
                                 args, arg != NULL, &d);

    } else {
        rc = ak_stack_add(b.s, ak_cstr(group), ak_cstr(control),
                          ak_cstr(module), args, arg != NULL, &d);
    }

    assert_case(rc == AK_ERROR, "%s %s %s is taken", group, control, module);
    assert_case(strstr(d.text, named) != NULL, "\"%s\" does not name \"%s\"",
                d.text, named);

    /* nothing of it was added */

    assert_false(ak_stack_has(b.s, AK_GROUP_AUTH));
    assert_false(ak_stack_has(b.s, AK_GROUP_ACCOUNT));
    assert_false(ak_stack_has(b.s, AK_GROUP_SESSION));
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    end(&b);
}


static void
test_refused_lines(void **state)
{
    (void) state;

    check_refused(NULL, "auht", "required", "key", NULL, "auht");
    check_refused(NULL, "password", "required", "key", NULL, "password");
    check_refused(NULL, "Auth", "required", "key", NULL, "Auth");
    check_refused(NULL, "auth", "requird", "key", NULL, "requird");
    check_refused(NULL, "auth", "Required", "key", NULL, "Required");
    check_refused(NULL, "auth", "required ", "key", NULL, "required ");
    check_refused(NULL, "auth", "[success=maybe]", "key", NULL,
                  "success=maybe");
    check_refused(NULL, "auth", "required", "kye", NULL, "kye");
    check_refused(NULL, "auth", "required", "key", "colour=red", "colour=red");
    check_refused(NULL, "account", "required", "key", NULL, "key");
    check_refused(NULL, "account", "required", "key", NULL, "account");
    check_refused(NULL, "auth", "required", "inject", "openai", "inject");

    check_refused(&auth_only, "session", "required", NULL, "success",
                  "auth_only");
    check_refused(&debug, "auth", "required", NULL, "whatever", "whatever");
}


static void
test_too_many_lines(void **state)
{
    int        i;
    bench_t    b;
    ak_str_t   arg = ak_string("success");
    ak_diag_t  d;

    (void) state;

    begin(&b);

    for (i = 0; i < AK_LINES_MAX; i++) {
        add(&b, "auth", "required", "success asks=1");
    }

    assert_int_equal(ak_stack_add_module(b.s, S("auth"), S("required"),
                                         &debug, &arg, 1, &d), AK_ERROR);
    assert_int_not_equal(d.text[0], '\0');

    /* so many lines may ask */

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(ncalls, AK_LINES_MAX * 2);
    end(&b);
}


static void
test_copy(void **state)
{
    bench_t      b;
    ak_stack_t  *original, *copy;

    (void) state;

    begin(&b);
    add(&b, "auth", "required", "success");

    original = b.s;
    copy = ak_stack_copy(b.s, &b.pool.mem);
    assert_non_null(copy);

    b.s = copy;
    add(&b, "session", "required", "success");
    add(&b, "auth", "required", "unknown");

    assert_true(ak_stack_has(copy, AK_GROUP_SESSION));
    assert_false(ak_stack_has(original, AK_GROUP_SESSION));
    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);

    b.s = original;
    ncalls = 0;
    unit_txn(&b.t, &b.pool, NULL, NULL, NULL);
    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    check_calls("a");

    /* of nothing, too */

    copy = ak_stack_copy(ak_stack_create(&b.pool.mem), &b.pool.mem);
    assert_non_null(copy);
    assert_false(ak_stack_has(copy, AK_GROUP_AUTH));
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
    cmocka_unit_test(test_three_lines_asking),
    cmocka_unit_test(test_resume),
    cmocka_unit_test(test_asking_grants_after_suspension),
    cmocka_unit_test(test_endless),
    cmocka_unit_test(test_needless),
    cmocka_unit_test(test_wild_answer),
    cmocka_unit_test(test_unanswered),
    cmocka_unit_test(test_unasked),
    cmocka_unit_test(test_other_phase_while_suspended),
    cmocka_unit_test(test_empty_auth),
    cmocka_unit_test(test_nobody),
    cmocka_unit_test(test_account_before_auth),
    cmocka_unit_test(test_denial_takes_back),
    cmocka_unit_test(test_account),
    cmocka_unit_test(test_account_all_fail),
    cmocka_unit_test(test_phases_without_lines),
    cmocka_unit_test(test_session),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_add_no_memory),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_abort_keeps_outcome),
    cmocka_unit_test(test_secret_drop),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_refused_lines),
    cmocka_unit_test(test_too_many_lines),
    cmocka_unit_test(test_copy),
    cmocka_unit_test(test_registry)
};


UNIT_MAIN(tests)
