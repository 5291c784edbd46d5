
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for rates and their buckets. */


#include "unit.h"

#include "ak_rate.h"


/* Some time of a host's clock, milliseconds. */

#define T  UINT64_C(1800000000000)


static ak_rate_t
rate(const char *text)
{
    ak_diag_t  d;
    ak_rate_t  r;

    assert_case(ak_rate_parse(ak_cstr(text), &r, &d) == AK_OK, "%s", d.text);

    return r;
}


static ak_allowance_t
take(const ak_rate_t *r, ak_bucket_t *b, uint64_t now)
{
    ak_allowance_t  a;

    memset(&a, 0xa5, sizeof(a));
    ak_rate_take(r, b, now, &a);

    assert_int_equal(a.limit, r->burst);
    assert_true(a.remaining <= a.limit);
    assert_true(a.granted || a.remaining == 0);
    assert_true((a.retry == 0) == (a.remaining != 0));
    assert_true(a.retry <= a.reset);

    return a;
}


static void
test_parse(void **state)
{
    size_t     i;
    ak_str_t   text;
    ak_rate_t  r;

    static const struct {
        const char  *text;
        ak_rate_t    rate;
    } good[] = {
        { "1r/s", { 1, 1000, 1 } },
        { "10r/s", { 10, 1000, 10 } },
        { "600r/m", { 600, 60000, 600 } },
        { "10r/s burst=20", { 10, 1000, 20 } },
        { "10r/m burst=1", { 10, 60000, 1 } },
        { "1000000r/s", { 1000000, 1000, 1000000 } },
        { "1r/m burst=1000000", { 1, 60000, 1000000 } }
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        text = unit_exact(ak_cstr(good[i].text));

        assert_case(ak_rate_parse(text, &r, NULL) == AK_OK
                    && r.requests == good[i].rate.requests
                    && r.per == good[i].rate.per
                    && r.burst == good[i].rate.burst, "\"%s\"", good[i].text);

        unit_free(text);
    }
}


static void
test_parse_errors(void **state)
{
    size_t     i;
    ak_str_t   text;
    ak_diag_t  d;
    ak_rate_t  r;

    static const char  *bad[] = {
        "", "1", "r/s", "0r/s", "0r/m", "-1r/s", "+1r/s", " 1r/s", "1r/s ",
        "1 r/s", "1r/h", "1r/d", "1r", "1r/", "1R/s", "1.5r/s", "1e3r/s",
        "1000001r/s", "4294967297r/s", "18446744073709551617r/s",
        "1r/s burst", "1r/s burst=", "1r/s burst=0", "1r/s burst=-1",
        "1r/s burst=x", "1r/s burst=1x", "1r/s burst=1000001",
        "1r/s burst=4294967297", "1r/s  burst=1", "1r/sburst=1",
        "1r/s,burst=1", "1r/s burst=1 ", "1r/s burst=1 burst=2", "burst=1",
        "1r/s\tburst=1", "1r/s nodelay", "1r/s\n"
    };

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        text = unit_exact(ak_cstr(bad[i]));
        d.text[0] = '\0';

        assert_case(ak_rate_parse(text, &r, &d) == AK_ERROR, "\"%s\"",
                    bad[i]);
        assert_case(strstr(d.text, bad[i]) != NULL, "\"%s\"", d.text);
        assert_int_equal(ak_rate_parse(text, &r, NULL), AK_ERROR);

        unit_free(text);
    }

    assert_int_equal(ak_rate_parse(S("1r/s\0"), &r, NULL), AK_ERROR);
}


/* A new bucket is full, and takes its burst at once. */

static void
test_burst(void **state)
{
    unsigned        i;
    ak_rate_t       r;
    ak_bucket_t     b;
    ak_allowance_t  a;

    (void) state;

    memset(&b, 0, sizeof(b));
    r = rate("10r/s burst=20");

    for (i = 0; i < 20; i++) {
        a = take(&r, &b, T);
        assert_true(a.granted);
        assert_int_equal(a.remaining, 19 - i);
        assert_int_equal(a.reset, 100 * (i + 1));
    }

    for (i = 0; i < 3; i++) {
        a = take(&r, &b, T);
        assert_false(a.granted);
        assert_int_equal(a.retry, 100);
        assert_int_equal(a.reset, 2000);
    }

    /* a denied one costs nothing: the first comes when it was said */

    assert_false(take(&r, &b, T + 99).granted);
    assert_true(take(&r, &b, T + 100).granted);
    assert_false(take(&r, &b, T + 100).granted);
    assert_false(take(&r, &b, T + 199).granted);
    assert_true(take(&r, &b, T + 200).granted);
}


/* What is left of a bucket never exceeds its burst. */

static void
test_full(void **state)
{
    unsigned        i;
    ak_rate_t       r;
    ak_bucket_t     b;
    ak_allowance_t  a;

    (void) state;

    memset(&b, 0, sizeof(b));
    r = rate("10r/s burst=3");

    assert_true(take(&r, &b, T).granted);

    for (i = 0; i < 3; i++) {
        a = take(&r, &b, T + 1000000);
        assert_true(a.granted);
        assert_int_equal(a.remaining, 2 - i);
    }

    assert_false(take(&r, &b, T + 1000000).granted);
}


/* Requests of all speeds over an hour: as many pass as the rate says. */

static void
test_exact(void **state)
{
    size_t       i, j;
    uint64_t     now, n, asked, expected;
    ak_rate_t    r;
    ak_bucket_t  b;

    static const char  *rates[] = {
        "1r/s", "7r/s", "10r/s", "999r/s", "1r/m", "7r/m", "59r/m", "61r/m",
        "600r/m burst=1"
    };

    static const uint64_t  steps[] = { 1, 3, 17, 1001 };

    (void) state;

    for (i = 0; i < ak_nitems(rates); i++) {
        r = rate(rates[i]);

        for (j = 0; j < ak_nitems(steps); j++) {
            memset(&b, 0, sizeof(b));
            n = 0;
            asked = 0;

            for (now = T; now <= T + 3600000; now += steps[j]) {
                n += take(&r, &b, now).granted;
                asked++;
            }

            expected = r.burst + UINT64_C(3600000) * r.requests / r.per;

            assert_case(n <= expected, "%s, step %u: %llu > %llu", rates[i],
                        (unsigned) steps[j], (unsigned long long) n,
                        (unsigned long long) expected);

            /* and no fewer, unless tokens are lost to a full bucket */

            assert_case(n + 1 >= expected || n == asked || r.burst == 1,
                        "%s, step %u: %llu < %llu", rates[i],
                        (unsigned) steps[j], (unsigned long long) n,
                        (unsigned long long) expected);
        }
    }
}


/* "retry" is the first millisecond in which it is granted, "reset" full. */

static void
test_waits(void **state)
{
    size_t          i;
    unsigned        j, burst;
    ak_rate_t       r;
    ak_bucket_t     b, c;
    ak_allowance_t  a;

    static const char  *rates[] = {
        "1r/s", "3r/s burst=2", "7r/s", "999r/s burst=5", "1000000r/s burst=2",
        "1r/m", "7r/m burst=9", "61r/m burst=3", "1000000r/m burst=1"
    };

    (void) state;

    for (i = 0; i < ak_nitems(rates); i++) {
        r = rate(rates[i]);
        memset(&b, 0, sizeof(b));
        burst = r.burst;

        for (j = 0; j < burst; j++) {
            a = take(&r, &b, T + j % 3);
            assert_true(a.granted);
        }

        a = take(&r, &b, T + 2);

        if (a.granted) {
            continue;          /* it is that fast */
        }

        assert_true(a.retry != 0);

        c = b;
        assert_case(!take(&r, &c, T + 2 + a.retry - 1).granted, "%s",
                    rates[i]);
        c = b;
        assert_case(take(&r, &c, T + 2 + a.retry).granted, "%s", rates[i]);

        c = b;
        assert_case(take(&r, &c, T + 2 + a.reset).remaining == burst - 1,
                    "%s", rates[i]);
        c = b;
        assert_case(burst == 1
                    || take(&r, &c, T + 2 + a.reset - 1).remaining
                       < burst - 1, "%s", rates[i]);
    }
}


/* The greatest numbers there are do not wrap. */

static void
test_extremes(void **state)
{
    unsigned        i;
    ak_rate_t       r;
    ak_bucket_t     b;
    ak_allowance_t  a;

    (void) state;

    r = rate("1r/m burst=1000000");
    memset(&b, 0, sizeof(b));

    for (i = 0; i < 1000000; i++) {
        assert_true(take(&r, &b, T).granted);
    }

    a = take(&r, &b, T);
    assert_false(a.granted);
    assert_int_equal(a.retry, 60000);
    assert_int_equal(a.reset, UINT64_C(60000) * 1000000);

    a = take(&r, &b, UINT64_MAX);
    assert_true(a.granted);
    assert_int_equal(a.remaining, 999999);

    r = rate("1000000r/s");
    memset(&b, 0, sizeof(b));
    a = take(&r, &b, UINT64_MAX);
    assert_int_equal(a.remaining, 999999);
    assert_int_equal(a.reset, 1);

    /* the beginning of a clock */

    memset(&b, 0, sizeof(b));
    r = rate("1r/s");
    assert_true(take(&r, &b, 0).granted);
    assert_false(take(&r, &b, 0).granted);
    assert_false(take(&r, &b, 999).granted);
    assert_true(take(&r, &b, 1000).granted);

    /* bytes that are no bucket of this rate */

    memset(&b, 0xff, sizeof(b));
    a = take(&r, &b, T);
    assert_false(a.granted);
    assert_int_equal(a.retry, 1000);
    assert_true(take(&r, &b, T + 1000).granted);
}


/* The rate of a record may change under its bucket. */

static void
test_changed(void **state)
{
    unsigned        i;
    ak_rate_t       wide, narrow;
    ak_bucket_t     b;
    ak_allowance_t  a;

    (void) state;

    wide = rate("10r/s burst=100");
    narrow = rate("10r/s burst=2");
    memset(&b, 0, sizeof(b));

    for (i = 0; i < 100; i++) {
        assert_true(take(&wide, &b, T).granted);
    }

    a = take(&narrow, &b, T);
    assert_false(a.granted);
    assert_int_equal(a.retry, 100);
    assert_int_equal(a.reset, 200);

    assert_true(take(&narrow, &b, T + 100).granted);
}


/* Clocks of processes differ by a little: no time counts twice. */

static void
test_back(void **state)
{
    unsigned        i;
    ak_rate_t       r;
    ak_bucket_t     b;
    ak_allowance_t  a;

    (void) state;

    r = rate("10r/s burst=1");
    memset(&b, 0, sizeof(b));

    assert_true(take(&r, &b, T).granted);

    for (i = 0; i < 100; i++) {
        assert_false(take(&r, &b, T + 50).granted);
        assert_false(take(&r, &b, T).granted);
    }

    /* what is said is true by the clock that is behind */

    a = take(&r, &b, T);
    assert_int_equal(a.retry, 100);
    assert_int_equal(a.reset, 100);
    assert_false(take(&r, &b, T + 99).granted);
    assert_true(take(&r, &b, T + 100).granted);
}


/* A clock that is set back stops nobody for as long as it was ahead. */

static void
test_set_back(void **state)
{
    ak_rate_t       r;
    ak_bucket_t     b;
    ak_allowance_t  a;

    (void) state;

    r = rate("1r/s");
    memset(&b, 0, sizeof(b));

    assert_true(take(&r, &b, T).granted);

    a = take(&r, &b, T - 60000);
    assert_false(a.granted);
    assert_int_equal(a.retry, 61000);

    a = take(&r, &b, T - 60001);
    assert_false(a.granted);
    assert_int_equal(a.retry, 1000);
    assert_int_equal(a.reset, 1000);
    assert_true(take(&r, &b, T - 60001 + 1000).granted);
}


/* Looking takes nothing, and says what taking would. */

static void
test_look(void **state)
{
    ak_rate_t       r;
    ak_bucket_t     b, before;
    ak_allowance_t  a;

    (void) state;

    r = rate("1r/s burst=2");
    memset(&b, 0, sizeof(b));

    ak_rate_look(&r, &b, T, &a);
    assert_true(a.granted);
    assert_int_equal(a.remaining, 2);
    assert_true(unit_zero(&b, sizeof(b)));

    take(&r, &b, T);
    take(&r, &b, T);
    before = b;

    ak_rate_look(&r, &b, T + 400, &a);
    assert_false(a.granted);
    assert_int_equal(a.retry, 600);
    assert_int_equal(a.reset, 1600);

    ak_rate_look(&r, &b, T + 1000, &a);
    assert_true(a.granted);
    assert_int_equal(a.remaining, 1);
    assert_int_equal(a.retry, 0);

    assert_memory_equal(&b, &before, sizeof(b));
    assert_true(take(&r, &b, T + 1000).granted);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_parse),
    cmocka_unit_test(test_parse_errors),
    cmocka_unit_test(test_burst),
    cmocka_unit_test(test_full),
    cmocka_unit_test(test_exact),
    cmocka_unit_test(test_waits),
    cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_changed),
    cmocka_unit_test(test_back),
    cmocka_unit_test(test_set_back),
    cmocka_unit_test(test_look)
};


UNIT_MAIN(tests)
