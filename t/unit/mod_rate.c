
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "account required rate". */


#include "unit.h"
#include "unit_account.h"


#define N128                                                                  \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"        \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* More zeros than a diagnostic quotes bytes. */

#define Z70                                                                   \
    "0000000000000000000000000000000000000000000000000000000000000000000000"


static const ak_allowance_t  granted = { .granted = true, .limit = 10,
                                         .remaining = 9, .reset = 100 };


static void
begin(unit_account_t *a, const char *args, const char *rate)
{
    assert_case(unit_account_begin(a, args) == AK_OK, "\"%s\": %s", args,
                a->d.text);

    if (rate != NULL) {
        unit_account_record(a, "rate", rate);
    }

    unit_account_auth(a);
}


static ak_reason_e
answer(unit_account_t *a, ak_rc_t rc, const ak_allowance_t *allowance)
{
    ak_answer_t  answer;

    memset(&answer, 0, sizeof(answer));

    answer.rc = rc;

    if (allowance != NULL) {
        answer.allowance = *allowance;
    }

    ak_txn_answer(&a->t, &answer);

    return unit_account_answer(a);
}


static void
check_need(unit_account_t *a, const char *name, unsigned requests,
    unsigned per, unsigned burst)
{
    assert_int_equal(unit_account_answer(a), AK_SUSPEND);

    assert_int_equal(a->t.need.type, AK_NEED_RATE);
    assert_str(a->t.need.name, name);
    assert_non_null(a->t.need.rate);
    assert_int_equal(a->t.need.rate->requests, requests);
    assert_int_equal(a->t.need.rate->per, per);
    assert_int_equal(a->t.need.rate->burst, burst);
}


static void
check_reply(const ak_txn_t *t, unsigned n, const char *name,
    const char *value)
{
    assert_true(n < t->nreplies);
    assert_str(t->replies[n].name, name);
    assert_str(t->replies[n].value, value);
}


static void
test_line(void **state)
{
    unit_account_t  a;

    (void) state;

    begin(&a, "rate rate=10r/s", NULL);
    check_need(&a, UNIT_ID ":api:2", 10, 1000, 10);
    assert_int_equal(answer(&a, AK_OK, &granted), AK_SUCCESS);
    assert_int_equal(a.t.nreplies, 0);
    assert_int_equal(a.t.retry, 0);
    unit_account_end(&a);

    begin(&a, "rate burst=7 rate=600r/m", NULL);
    check_need(&a, UNIT_ID ":api:2", 600, 60000, 7);
    unit_account_end(&a);

    /* a record that has no rate */

    begin(&a, "rate rate=10r/s", "");
    check_need(&a, UNIT_ID ":api:2", 10, 1000, 10);
    unit_account_end(&a);
}


static void
test_record(void **state)
{
    const ak_rate_t  *rate;
    unit_account_t    a;

    (void) state;

    begin(&a, "rate", "10r/s burst=20");
    check_need(&a, UNIT_ID, 10, 1000, 20);
    assert_int_equal(answer(&a, AK_OK, &granted), AK_SUCCESS);
    unit_account_end(&a);

    /* it wins; and what was asked with lives on after the answer */

    begin(&a, "rate rate=5r/s burst=6", "7r/m");
    check_need(&a, UNIT_ID, 7, 60000, 7);
    rate = a.t.need.rate;
    assert_int_equal(answer(&a, AK_OK, &granted), AK_SUCCESS);
    assert_int_equal(rate->requests, 7);
    unit_account_end(&a);
}


static void
test_neither(void **state)
{
    (void) state;

    assert_int_equal(unit_account("rate", NULL, NULL), AK_IGNORE);
    assert_int_equal(unit_account("rate", "rate", ""), AK_IGNORE);
}


static void
test_doubt(void **state)
{
    size_t          i;
    unit_account_t  a;

    static const char  *rates[] = {
        "10", "10r/h", "0r/s", "10r/s burst=0", "10r/s burst", "r/s", " 1r/s",
        "10r/s ", "1000001r/s", "10r/s burst=1000001", "unlimited"
    };

    (void) state;

    for (i = 0; i < ak_nitems(rates); i++) {
        assert_case(unit_account("rate rate=1000r/s", "rate", rates[i])
                    == AK_FORBIDDEN, "\"%s\"", rates[i]);
    }

    /* a record that is none */

    assert_int_equal(unit_account_begin(&a, "rate rate=1r/s"), AK_OK);
    unit_account_record(&a, "rate", "1r/s");
    a.record.len--;
    unit_account_auth(&a);
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);
}


static void
test_ids(void **state)
{
    unit_account_t  a;

    (void) state;

    begin(&a, "rate rate=1r/s", NULL);
    a.t.id = ak_str(NULL, 0);
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);

    begin(&a, "rate", "1r/s");
    a.t.id = ak_str(NULL, 0);
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);

    /* where nothing is limited, it matters not */

    begin(&a, "rate", NULL);
    a.t.id = ak_str(NULL, 0);
    assert_int_equal(unit_account_answer(&a), AK_IGNORE);
    unit_account_end(&a);

    begin(&a, "rate rate=1r/s", NULL);
    a.t.id = S(N128);
    check_need(&a, N128 ":api:2", 1, 1000, 1);
    unit_account_end(&a);

    begin(&a, "rate rate=1r/s", NULL);
    a.t.id = S(N128 "n");
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);
}


static void
test_unavailable(void **state)
{
    size_t          i;
    unit_account_t  a;

    static const ak_rc_t  rcs[] = {
        AK_UNAVAILABLE, AK_ERROR, AK_NOT_FOUND, AK_NO_MEMORY
    };

    (void) state;

    for (i = 0; i < ak_nitems(rcs); i++) {
        begin(&a, "rate rate=10r/s", NULL);
        check_need(&a, UNIT_ID ":api:2", 10, 1000, 10);

        /* whatever else the answer says */

        assert_int_equal(answer(&a, rcs[i], &granted), AK_STORE_UNAVAILABLE);
        assert_int_equal(a.t.nreplies, 0);
        unit_account_end(&a);
    }
}


static void
test_limited(void **state)
{
    unit_account_t  a;

    static const ak_allowance_t  none = {
        .limit = 20, .remaining = 0, .reset = 62000, .retry = 1234
    };

    (void) state;

    begin(&a, "rate rate=10r/s", NULL);
    check_need(&a, UNIT_ID ":api:2", 10, 1000, 10);
    assert_int_equal(answer(&a, AK_OK, &none), AK_RATE_LIMITED);

    assert_int_equal(a.t.reason, AK_RATE_LIMITED);
    assert_str(a.t.module, "rate");
    assert_int_equal(a.t.retry, 1234);

    assert_int_equal(a.t.nreplies, 3);
    check_reply(&a.t, 0, "x-ratelimit-limit-requests", "20");
    check_reply(&a.t, 1, "x-ratelimit-remaining-requests", "0");
    check_reply(&a.t, 2, "x-ratelimit-reset-requests", "1m2s");
    assert_int_equal(a.t.neffects, 0);
    unit_account_end(&a);
}


/* As Go's time.Duration.String() writes them. */

static void
test_durations(void **state)
{
    size_t          i;
    ak_allowance_t  none;
    unit_account_t  a;

    static const struct {
        uint64_t     ms;
        const char  *text;
    } durations[] = {
        { 0, "0s" },
        { 1, "1ms" },
        { 20, "20ms" },
        { 999, "999ms" },
        { 1000, "1s" },
        { 1001, "1.001s" },
        { 1010, "1.01s" },
        { 1500, "1.5s" },
        { 10000, "10s" },
        { 59999, "59.999s" },
        { 60000, "1m0s" },
        { 60020, "1m0.02s" },
        { 360000, "6m0s" },
        { 600000, "10m0s" },
        { 3599999, "59m59.999s" },
        { 3600000, "1h0m0s" },
        { 3723000, "1h2m3s" },
        { 3603000, "1h0m3s" },
        { 86400000, "24h0m0s" },
        { 60000000000, "16666h40m0s" },
        { UINT64_MAX, "5124095576030h25m51.615s" }
    };

    (void) state;

    memset(&none, 0, sizeof(none));
    none.limit = UINT32_MAX;
    none.remaining = UINT32_MAX;
    none.retry = 1;

    for (i = 0; i < ak_nitems(durations); i++) {
        none.reset = durations[i].ms;

        begin(&a, "rate rate=10r/s", NULL);
        check_need(&a, UNIT_ID ":api:2", 10, 1000, 10);
        assert_int_equal(answer(&a, AK_OK, &none), AK_RATE_LIMITED);
        check_reply(&a.t, 0, "x-ratelimit-limit-requests", "4294967295");
        check_reply(&a.t, 2, "x-ratelimit-reset-requests", durations[i].text);
        unit_account_end(&a);
    }
}


/* The first is told of, and the wait is for both. */

static void
test_two_lines(void **state)
{
    unit_account_t  a;

    static const ak_allowance_t  first = {
        .limit = 1, .reset = 500, .retry = 500
    };

    static const ak_allowance_t  second = {
        .limit = 2, .reset = 9000, .retry = 9000
    };

    (void) state;

    assert_int_equal(unit_account_begin(&a, "rate rate=1r/s"), AK_OK);
    assert_int_equal(unit_add(a.s, UNIT_ACCOUNT "rate rate=2r/m", &a.d),
                     AK_OK);
    assert_int_equal(ak_stack_link(a.s, NULL, NULL, &a.d), AK_OK);
    unit_account_auth(&a);

    check_need(&a, UNIT_ID ":api:2", 1, 1000, 1);
    assert_int_equal(answer(&a, AK_OK, &first), AK_SUSPEND);
    assert_str(a.t.need.name, UNIT_ID ":api:3");
    assert_int_equal(answer(&a, AK_OK, &second), AK_RATE_LIMITED);

    assert_int_equal(a.t.line, 2);
    assert_int_equal(a.t.retry, 9000);
    assert_int_equal(a.t.nreplies, 3);
    check_reply(&a.t, 0, "x-ratelimit-limit-requests", "1");
    unit_account_end(&a);

    /* the other way round */

    unit_account_begin(&a, "rate rate=1r/s");
    unit_add(a.s, UNIT_ACCOUNT "rate rate=2r/m", &a.d);
    ak_stack_link(a.s, NULL, NULL, &a.d);
    unit_account_auth(&a);

    check_need(&a, UNIT_ID ":api:2", 1, 1000, 1);
    assert_int_equal(answer(&a, AK_OK, &second), AK_SUSPEND);
    assert_int_equal(answer(&a, AK_OK, &first), AK_RATE_LIMITED);
    assert_int_equal(a.t.retry, 9000);
    check_reply(&a.t, 0, "x-ratelimit-limit-requests", "2");
    unit_account_end(&a);
}


static void
test_lines(void **state)
{
    size_t          i;
    unit_account_t  a;

    static const char  *bursts[] = {
        "rate rate=1r/s burst=0",
        "rate rate=1r/s burst=-1",
        "rate rate=1r/s burst=1000001",
        "rate rate=1r/s burst=2x",
        "rate rate=1r/s burst=" Z70 "5x"
    };

    (void) state;

    unit_account_refused("rate rate=10", "\"10\"");
    unit_account_refused("rate rate=10r/h", "\"10r/h\"");
    unit_account_refused("rate burst=10", "wants a \"rate=\"");
    unit_account_refused("rate 10r/s", "\"10r/s\"");
    unit_account_refused("rate rate=", "no value");
    unit_account_refused("rate rate=1r/s rate=2r/s", "twice");

    for (i = 0; i < ak_nitems(bursts); i++) {
        unit_account_refused(bursts[i], "invalid rate");
    }

    /* the burst is said once */

    assert_int_equal(unit_account_begin(&a, "rate"), AK_OK);

    {
        ak_str_t  words[] = { S("account"), S("required"), S("rate"),
                              S("rate=1r/s burst=2"), S("burst=3") };

        assert_int_equal(ak_stack_add(a.s, words, 5, &a.d), AK_ERROR);
        assert_int_equal(ak_stack_add(a.s, words, 4, &a.d), AK_OK);
    }

    unit_account_end(&a);
}


static void
test_stack_names(void **state)
{
    ak_diag_t    d;
    ak_site_t    site;
    ak_stack_t  *s;
    unit_pool_t  pool;

    (void) state;

    unit_pool_init(&pool);
    site = unit_site(&pool);

    s = ak_stack_create(&site, S(N128));
    assert_int_equal(unit_add(s, "account required rate rate=1r/s", &d),
                     AK_OK);

    s = ak_stack_create(&site, S(N128 "n"));
    assert_int_equal(unit_add(s, "account required rate rate=1r/s", &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "longer than 128"));
    assert_int_equal(unit_add(s, "account required rate", &d), AK_OK);

    unit_pool_free(&pool);
}


static void
test_no_memory(void **state)
{
    size_t          i;
    ak_rc_t         rc;
    unit_account_t  a;

    static const ak_allowance_t  none = { .limit = 1, .retry = 7 };

    (void) state;

    assert_int_equal(unit_account_begin(&a, "rate"), AK_OK);

    rc = AK_ERROR;

    for (i = 0; rc != AK_OK; i++) {
        assert_true(i < 100);
        a.pool.left = i;
        rc = unit_add(a.s, "account required rate rate=1r/s burst=2", &a.d);
    }

    assert_true(i > 3);
    unit_account_end(&a);

    /* of a request: for the state, then for the bucket's name */

    for (i = 0; i < 2; i++) {
        begin(&a, "rate rate=1r/s", NULL);
        a.pool.left = i;
        assert_int_equal(unit_account_answer(&a), AK_STORE_UNAVAILABLE);
        unit_account_end(&a);
    }

    /* a denial goes without headers */

    begin(&a, "rate rate=1r/s", NULL);
    check_need(&a, UNIT_ID ":api:2", 1, 1000, 1);
    a.pool.left = 0;
    assert_int_equal(answer(&a, AK_OK, &none), AK_RATE_LIMITED);
    assert_int_equal(a.t.nreplies, 0);
    assert_int_equal(a.t.retry, 7);
    unit_account_end(&a);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_line),
    cmocka_unit_test(test_record),
    cmocka_unit_test(test_neither),
    cmocka_unit_test(test_doubt),
    cmocka_unit_test(test_ids),
    cmocka_unit_test(test_unavailable),
    cmocka_unit_test(test_limited),
    cmocka_unit_test(test_durations),
    cmocka_unit_test(test_two_lines),
    cmocka_unit_test(test_lines),
    cmocka_unit_test(test_stack_names),
    cmocka_unit_test(test_no_memory)
};


UNIT_MAIN(tests)
