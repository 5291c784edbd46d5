
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Tests for what the stack engine does with modules that there are not: those
 * that break the rules, and those that close and report.  The table of modules
 * is fixed; so this program has an engine of its own, under other names, that
 * finds the modules below.
 */


#define ak_stack_create   test_stack_create
#define ak_stack_name     test_stack_name
#define ak_stack_add      test_stack_add
#define ak_stack_append   test_stack_append
#define ak_stack_link     test_stack_link
#define ak_stack_has      test_stack_has
#define ak_stack_uses     test_stack_uses
#define ak_stack_needs    test_stack_needs
#define ak_stack_strip    test_stack_strip
#define ak_stack_run      test_stack_run
#define ak_module_find    test_module_find
#define ak_module_at      test_module_at
#define ak_module_serves  test_module_serves


#include "unit.h"

#include "ak_stack.c"


#define CALLS_MAX  1024


/* Which lines were called, in order: "a" of a group, "-a" and "!a" after. */

static char    calls[CALLS_MAX];
static size_t  ncalls;


static void
called(const char *how, ak_str_t tag)
{
    assert_true(ncalls + strlen(how) + tag.len < CALLS_MAX);

    memcpy(calls + ncalls, how, strlen(how));
    ncalls += strlen(how);

    memcpy(calls + ncalls, tag.data, tag.len);
    ncalls += tag.len;
}


static void
assert_calls(const char *expected)
{
    assert_str(ak_str(calls, ncalls), expected);
    ncalls = 0;
}


typedef struct {
    ak_str_t     tag;
    ak_str_t     word;
    int64_t      asks;
    bool         needless;     /* suspends without asking */
    bool         nobody;       /* grants without an identity */
    bool         wild;         /* an answer that there is not */
    bool         nosy;         /* asks where nobody answers */
    ak_reason_e  answer;
} conf_t;


typedef struct {
    int64_t      asked;
    uint8_t      zero[57];
    char         tag;
} state_t;


static const ak_arg_t  args[] = {
    { AK_ARG_TEXT, ak_string("tag"), offsetof(conf_t, tag), NULL, "" },
    { AK_ARG_TEXT, ak_string("says"), offsetof(conf_t, word), NULL, "" },
    { AK_ARG_NUMBER, ak_string("asks"), offsetof(conf_t, asks), NULL, "" },
    { AK_ARG_FLAG, ak_string("needless"), offsetof(conf_t, needless), NULL,
      "" },
    { AK_ARG_FLAG, ak_string("nobody"), offsetof(conf_t, nobody), NULL, "" },
    { AK_ARG_FLAG, ak_string("wild"), offsetof(conf_t, wild), NULL, "" },
    { AK_ARG_FLAG, ak_string("nosy"), offsetof(conf_t, nosy), NULL, "" },
    { .type = AK_ARG_END }
};


/* What init() was told of the line that was read last. */

static ak_init_t  told;


static ak_rc_t
init(void *data, const ak_init_t *in)
{
    conf_t *conf = data;

    told = *in;

    if (conf->word.len != 0) {
        conf->answer = ak_error_reason(conf->word);
        assert_int_not_equal(conf->answer, AK_REASON_MAX);
    }

    return AK_OK;
}


static ak_reason_e
speak(ak_txn_t *t, const void *data, void *st)
{
    state_t       *state = st;
    const conf_t  *conf = data;

    called("", conf->tag);

    /* zeroed at first, then as it was left, with the answer */

    if (state->asked == 0) {
        assert_true(unit_zero(state, sizeof(*state)));
        assert_false(t->answered);

    } else {
        assert_true(t->answered);
        assert_int_equal(t->answer.rc, AK_OK);
        assert_str(t->answer.value, "an answer");
        assert_int_equal(state->tag, conf->tag.data[0]);
    }

    if (conf->needless) {
        return AK_SUSPEND;
    }

    if (state->asked < conf->asks) {
        state->asked++;
        state->tag = (char) conf->tag.data[0];

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


static ak_reason_e
speak_after(ak_txn_t *t, const void *data, void *st)
{
    state_t       *state = st;
    const conf_t  *conf = data;

    assert_true(unit_zero(state, sizeof(*state)));

    called(t->phase == AK_REPORT ? "!" : "-", conf->tag);

    if (conf->nosy) {
        return ak_txn_ask(t, AK_NEED_RECORD, S("id"), S(""));
    }

    return conf->answer;
}


/* Keeps what is secret, and says something of the request and the answer. */

static ak_str_t  kept_secret, opened_secret;


static ak_reason_e
keep_auth(ak_txn_t *t, const void *data, void *state)
{
    uint8_t  *p;

    (void) data;
    (void) state;

    p = ak_txn_secret(t, 16);
    assert_non_null(p);
    memset(p, 'k', 16);
    kept_secret = ak_str(p, 16);

    t->identified = true;
    t->owner = S("alice");
    (void) ak_txn_reply_header(t, S("x-auth"), S("1"));

    return AK_SUCCESS;
}


static ak_reason_e
keep_open(ak_txn_t *t, const void *data, void *state)
{
    uint8_t   *p;
    unsigned   i;

    (void) data;
    (void) state;

    called("", S("k"));

    for (i = 0; i < 2; i++) {
        p = ak_txn_secret(t, 24);
        assert_non_null(p);
        memset(p, 's', 24);
        opened_secret = ak_str(p, 24);
    }

    (void) ak_txn_cred(t, &ak_carriers_default);
    (void) ak_txn_set_header(t, S("x-secret"), opened_secret);
    (void) ak_txn_reply_header(t, S("x-session"), S("1"));

    t->provider = S("openai");
    t->slot = S("a");
    t->key_source = AK_KEY_SHARED;
    t->token = 7;
    t->one = true;
    t->trouble = "is in trouble";
    t->about[0] = '1';
    t->retry = 9;

    return AK_SUCCESS;
}


static ak_rc_t
strip_fails(const void *conf, ak_strip_t *strip)
{
    (void) conf;
    (void) strip;

    return AK_NO_MEMORY;
}


#define MODULE  .about = "", .conf_size = sizeof(conf_t),                     \
                .state_size = sizeof(state_t), .args = args, .init = init


static const ak_module_t  modules[] = {

    { .name = ak_string("speak"), MODULE,
      .run = { [AK_AUTH] = speak, [AK_ACCOUNT] = speak,
               [AK_SESSION_OPEN] = speak } },

    { .name = ak_string("all"), MODULE,
      .run = { [AK_SESSION_OPEN] = speak, [AK_SESSION_CLOSE] = speak_after,
               [AK_REPORT] = speak_after } },

    { .name = ak_string("report"), MODULE,
      .run = { [AK_REPORT] = speak_after } },

    { .name = ak_string("keep"),
      .run = { [AK_AUTH] = keep_auth, [AK_SESSION_OPEN] = keep_open } },

    { .name = ak_string("bare"),
      .strip = strip_fails,
      .run = { [AK_AUTH] = NULL, [AK_ACCOUNT] = speak } }
};


const ak_module_t *
ak_module_at(size_t n)
{
    return (n < ak_nitems(modules)) ? &modules[n] : NULL;
}


const ak_module_t *
ak_module_find(ak_str_t name)
{
    size_t  i;

    for (i = 0; i < ak_nitems(modules); i++) {
        if (ak_str_eq(modules[i].name, name)) {
            return &modules[i];
        }
    }

    return NULL;
}


bool
ak_module_serves(const ak_module_t *m, ak_group_e group)
{
    return m->run[group] != NULL
           || (group == AK_GROUP_SESSION && m->run[AK_REPORT] != NULL);
}


typedef struct {
    unit_pool_t   pool;
    ak_site_t     site;
    ak_txn_t      t;
    ak_stack_t   *s;
} bench_t;


/* The lines end with a NULL. */

static void
begin(bench_t *b, const char **lines)
{
    ak_diag_t  d;

    unit_pool_init(&b->pool);
    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);

    b->site = unit_site(&b->pool);
    b->s = ak_stack_create(&b->site, S("main"));
    assert_non_null(b->s);

    for ( /* void */ ; *lines != NULL; lines++) {
        assert_case(unit_add(b->s, *lines, &d) == AK_OK, "%s", d.text);
    }

    assert_case(ak_stack_link(b->s, NULL, NULL, &d) == AK_OK, "%s", d.text);

    ncalls = 0;
}


#define BEGIN(b, ...)  begin(b, (const char *[]) { __VA_ARGS__, NULL })


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static void
answer(bench_t *b)
{
    ak_answer_t  a;

    memset(&a, 0, sizeof(a));
    a.rc = AK_OK;
    a.value = S("an answer");

    ak_txn_answer(&b->t, &a);
}


static ak_rc_t
run(bench_t *b, ak_phase_e phase)
{
    ak_rc_t   rc;
    unsigned  n;

    for (n = 0; n < 1000; n++) {
        rc = ak_stack_run(b->s, &b->t, phase);

        if (rc != AK_AGAIN) {
            return rc;
        }

        assert_int_equal(b->t.need.type, AK_NEED_RECORD);
        assert_str(b->t.need.name, "id");

        answer(b);
    }

    fail_msg("no end of asking");

    return AK_ERROR;
}


/* Earlier lines are not called again, and each has its own state. */

static void
test_resume(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "auth optional speak tag=a says=unknown",
          "auth required speak tag=b asks=3",
          "auth required speak tag=c asks=2",
          "auth required speak tag=d");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_calls("abbbbcccd");
    end(&b);
}


static void
test_sufficient_resumed(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "auth sufficient speak tag=a says=unavailable asks=1",
          "auth sufficient speak tag=b asks=1",
          "auth required speak tag=c says=unknown");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_calls("aabb");
    assert_int_equal(b.t.line, 2);
    end(&b);
}


/*
 * What cannot be is denied, whatever the line says of failures, is told to the
 * log, and closes the phases that follow.
 */

static void
test_broken(void **state)
{
    char         line[64];
    size_t       i, k;
    bench_t      b;

    static const char  *controls[] = {
        "required", "requisite", "sufficient", "optional",
        "[default=ignore]", "[default=ok]", "[default=1]"
    };

    static const char  *broken[] = { "needless", "wild", "asks=1000000" };

    (void) state;

    for (i = 0; i < ak_nitems(broken); i++) {
        for (k = 0; k < ak_nitems(controls); k++) {

            snprintf(line, sizeof(line), "auth %s speak tag=a %s",
                     controls[k], broken[i]);

            BEGIN(&b, "auth required speak tag=x", line,
                  "auth required speak tag=y", "account required speak tag=z");

            assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
            assert_int_equal(b.t.reason, AK_STORE_UNAVAILABLE);
            assert_non_null(b.t.alert);
            assert_int_equal(b.t.need.type, AK_NEED_NONE);
            assert_int_not_equal(calls[ncalls - 1], 'y');

            assert_int_equal(run(&b, AK_ACCOUNT), AK_DENIED);
            assert_int_not_equal(calls[ncalls - 1], 'z');
            end(&b);
        }
    }
}


static void
test_nobody(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "auth required speak tag=a nobody",
          "account required speak tag=b");

    assert_int_equal(run(&b, AK_AUTH), AK_DENIED);
    assert_int_not_equal(b.t.reason, AK_SUCCESS);
    assert_non_null(b.t.alert);

    assert_int_equal(run(&b, AK_ACCOUNT), AK_DENIED);
    assert_calls("a");
    end(&b);
}


/* The module's view of its line. */

static void
test_told(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "auth required speak tag=a", "session optional all tag=b");

    assert_ptr_equal(told.site, &b.site);
    assert_int_equal(told.group, AK_GROUP_SESSION);
    assert_str(told.stack, "main");
    assert_int_equal(told.line, 2);
    end(&b);
}


/* The last that was opened is closed first, and what was not is not. */

static void
test_close(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "session required all tag=a", "auth required speak tag=x",
          "session optional all tag=b says=ignore",
          "session required speak tag=c", "session optional all tag=d asks=1",
          "session optional all tag=e says=unavailable",
          "session [success=1] all tag=f", "session required all tag=g",
          "session required all tag=h");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(run(&b, AK_ACCOUNT), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_calls("xabcddefh");

    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_calls("-h-f-d-a");

    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_calls("");
    end(&b);
}


/* What was opened before another line refused, or was cut off, is closed. */

static void
test_close_in_part(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "session required all tag=a",
          "session requisite all tag=b says=upstream_key_error",
          "session required all tag=c");

    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_DENIED);
    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_calls("ab-a");
    assert_int_equal(b.t.reason, AK_UPSTREAM_KEY_ERROR);
    assert_int_equal(b.t.line, 2);
    end(&b);

    BEGIN(&b, "session required all tag=a", "session required all tag=b "
          "asks=1", "session required all tag=c");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_AGAIN);
    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_calls("ab-a");
    end(&b);

    BEGIN(&b, "session required all tag=a");
    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_calls("");
    end(&b);
}


/* All are reported to, in order, whatever the verdict and their control. */

static void
test_report(void **state)
{
    char         line[64];
    size_t       i;
    bench_t      b;
    ak_rc_t      rc;

    static const char  *verdicts[] = { "success", "revoked", "unavailable" };

    (void) state;

    for (i = 0; i < ak_nitems(verdicts); i++) {

        snprintf(line, sizeof(line), "auth required speak tag=x says=%s",
                 verdicts[i]);

        BEGIN(&b, "session required report tag=a", line,
              "session requisite report tag=b says=forbidden",
              "session sufficient all tag=c",
              "session [default=die] report tag=d says=unavailable");

        rc = run(&b, AK_AUTH);
        assert_int_equal(rc == AK_OK, i == 0);
        assert_calls("x");

        assert_int_equal(run(&b, AK_REPORT), AK_OK);
        assert_calls("!a!b!c!d");

        assert_str(ak_error(b.t.reason)->word, verdicts[i]);
        assert_int_equal(b.t.line, 2);
        assert_null(b.t.alert);
        end(&b);
    }
}


/* A line that only reports has no say in whether a session opens. */

static void
test_report_alone(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "session required report tag=a says=forbidden",
          "session required all tag=b");

    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_calls("b");

    assert_int_equal(run(&b, AK_SESSION_CLOSE), AK_OK);
    assert_int_equal(run(&b, AK_REPORT), AK_OK);
    assert_calls("-b!a!b");
    end(&b);
}


/* Neither may ask: who does is passed over. */

static void
test_nosy(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "session required all tag=a nosy", "session required all tag=b");

    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_CLOSE), AK_OK);
    assert_int_equal(b.t.need.type, AK_NEED_NONE);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_REPORT), AK_OK);
    assert_int_equal(b.t.need.type, AK_NEED_NONE);
    assert_calls("ab-b-a!a!b");
    end(&b);
}


static void
test_strip_fails(void **state)
{
    bench_t      b;
    ak_strip_t  *strip;

    (void) state;

    BEGIN(&b, "account required speak tag=a", "account required bare");

    strip = ak_strip_create(&b.pool.mem);
    assert_int_equal(ak_stack_strip(b.s, strip), AK_NO_MEMORY);
    end(&b);
}


/* A module that takes no arguments is told so of any. */

static void
test_no_arguments(void **state)
{
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    BEGIN(&b, "account required bare");

    assert_int_equal(unit_add(b.s, "account required bare tag=a", &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "tag=a"));
    assert_int_equal(unit_add(b.s, "session required bare", &d), AK_ERROR);
    assert_non_null(strstr(d.text, "bare"));
    end(&b);
}


/*
 * Taken back: lines that opened are closed, the last first, and are opened
 * anew; what auth has found out stays.
 */

static void
test_again(void **state)
{
    bench_t   b;
    ak_str_t  opened;
    unsigned  i;

    static const unit_header_t  headers[] = {
        { "authorization", "Bearer " UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    BEGIN(&b, "auth required keep",
          "session required all tag=a",
          "session optional all tag=b says=forbidden",
          "session required keep",
          "session required all tag=c asks=1");

    b.t.view = unit_view(headers);

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(run(&b, AK_ACCOUNT), AK_OK);

    for (i = 0; i < 20; i++) {
        assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
        assert_calls("abkcc");
        assert_true(b.t.finished[AK_SESSION_OPEN]);
        assert_int_equal(b.t.neffects, 1);
        assert_int_equal(b.t.nreplies, 2);
        assert_int_equal(b.t.nsecrets, 3);
        assert_int_equal(b.t.cred.carrier, AK_CARRIER_BEARER);
        opened = opened_secret;

        ak_txn_again(&b.t, b.s);

        assert_calls("-c-a");
        assert_true(unit_zero(opened.data, opened.len));
        assert_int_equal(kept_secret.data[0], 'k');
        assert_int_equal(b.t.nsecrets, 1);
        assert_int_equal(b.t.neffects, 0);
        assert_int_equal(b.t.nreplies, 1);
        assert_str(b.t.replies[0].name, "x-auth");
        assert_true(b.t.finished[AK_AUTH] && b.t.finished[AK_ACCOUNT]);
        assert_false(b.t.finished[AK_SESSION_OPEN]);
        assert_str(b.t.owner, "alice");

        /* which pool it was, for the new run and for the host */

        assert_str(b.t.avoided, "openai");
        assert_int_equal(b.t.avoided_source, AK_KEY_SHARED);
        assert_str(b.t.slot, "a");
        assert_int_equal(b.t.token, 7);

        /* how the client carried its key is known, but not what it was */

        assert_int_equal(b.t.cred.carrier, AK_CARRIER_BEARER);
        assert_int_equal(b.t.cred.value.len, 0);
    }

    ak_txn_abort(&b.t);
    assert_true(unit_zero(kept_secret.data, kept_secret.len));
    end(&b);
}


/* In the middle of the run: what was opened by then is closed. */

static void
test_again_suspended(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "auth required keep",
          "session required all tag=a",
          "session required all tag=b asks=1",
          "session required all tag=c");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_AGAIN);
    assert_calls("ab");

    ak_txn_again(&b.t, b.s);
    assert_calls("-a");
    assert_int_equal(b.t.need.type, AK_NEED_NONE);

    /* a late answer is nothing */

    answer(&b);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_calls("abbc");
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_CLOSE), AK_OK);
    assert_calls("-c-b-a");
    end(&b);
}


/* The same of lines that have nothing to close. */

static void
test_again_bare(void **state)
{
    bench_t  b;

    (void) state;

    BEGIN(&b, "auth required keep", "session required speak tag=a",
          "session required speak tag=b asks=1");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_AGAIN);
    assert_calls("ab");

    ak_txn_again(&b.t, b.s);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_calls("abb");
    end(&b);
}


/* A run that follows tells nothing of the one before it. */

static void
test_session_anew(void **state)
{
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    BEGIN(&b, "auth required keep", "session required keep");

    assert_int_equal(run(&b, AK_AUTH), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);
    assert_int_equal(b.t.retry, 9);

    b.s = ak_stack_create(&b.site, S("other"));
    assert_int_equal(unit_add(b.s, "session required all tag=a", &d), AK_OK);
    assert_int_equal(ak_stack_link(b.s, NULL, NULL, &d), AK_OK);
    assert_int_equal(run(&b, AK_SESSION_OPEN), AK_OK);

    assert_int_equal(b.t.neffects, 0);
    assert_int_equal(b.t.provider.len, 0);
    assert_int_equal(b.t.slot.len, 0);
    assert_int_equal(b.t.key_source, AK_KEY_NONE);
    assert_int_equal(b.t.token, 0);
    assert_int_equal(b.t.retry, 0);
    assert_int_equal(b.t.about[0], '\0');
    assert_false(b.t.one);
    assert_null(b.t.trouble);
    assert_null(b.t.carried);
    end(&b);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_resume),
    cmocka_unit_test(test_sufficient_resumed),
    cmocka_unit_test(test_broken),
    cmocka_unit_test(test_nobody),
    cmocka_unit_test(test_told),
    cmocka_unit_test(test_close),
    cmocka_unit_test(test_close_in_part),
    cmocka_unit_test(test_report),
    cmocka_unit_test(test_report_alone),
    cmocka_unit_test(test_nosy),
    cmocka_unit_test(test_strip_fails),
    cmocka_unit_test(test_no_arguments),
    cmocka_unit_test(test_again),
    cmocka_unit_test(test_again_suspended),
    cmocka_unit_test(test_again_bare),
    cmocka_unit_test(test_session_anew)
};


UNIT_MAIN(tests)
