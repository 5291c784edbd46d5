
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for limits of failed attempts, and of what is one source. */


#include "unit.h"

#include <arpa/inet.h>

#include "ak_limit.h"


static unit_pool_t  pool;


/* Words told apart by spaces; they are gone afterwards. */

static ak_rc_t
parse(const char *text, ak_limit_t *limit, ak_diag_t *d)
{
    char      *copy, *word, *save;
    size_t     n;
    ak_rc_t    rc;
    ak_str_t   words[16];

    copy = strdup(text);
    assert_non_null(copy);

    n = 0;

    for (word = strtok_r(copy, " ", &save); word != NULL && n < 16;
         word = strtok_r(NULL, " ", &save))
    {
        words[n++] = unit_exact(ak_cstr(word));
    }

    free(copy);

    memset(limit, 0xa5, sizeof(ak_limit_t));
    rc = ak_limit_parse(words, n, &pool.mem, limit, d);

    while (n != 0) {
        unit_free(words[--n]);
    }

    return rc;
}


static ak_str_t
address(const char *text, uint8_t *buf)
{
    if (inet_pton(AF_INET, text, buf) == 1) {
        return ak_str(buf, 4);
    }

    assert_int_equal(inet_pton(AF_INET6, text, buf), 1);

    return ak_str(buf, 16);
}


static bool
exempt(const ak_limit_t *limit, const char *text)
{
    uint8_t  buf[16];

    return ak_limit_exempt(limit, address(text, buf));
}


static void
test_parse(void **state)
{
    ak_limit_t  l;

    (void) state;

    unit_pool_init(&pool);

    assert_int_equal(parse("rate=10r/m", &l, NULL), AK_OK);
    assert_int_equal(l.failures.requests, 10);
    assert_int_equal(l.failures.per, 60000);
    assert_int_equal(l.failures.burst, 10);
    assert_int_equal(l.lookups.requests, 10);
    assert_int_equal(l.lookups.per, 60000);
    assert_int_equal(l.lookups.burst, AK_LIMIT_LOOKUPS);
    assert_true(l.bounded);
    assert_int_equal(l.total.requests, 1000);
    assert_int_equal(l.total.per, 1000);
    assert_int_equal(l.total.burst, 1000);
    assert_int_equal(l.n, 0);
    assert_false(exempt(&l, "192.0.2.1"));

    assert_int_equal(parse("total=5r/m burst=3 rate=2r/s", &l, NULL), AK_OK);
    assert_int_equal(l.failures.requests, 2);
    assert_int_equal(l.failures.per, 1000);
    assert_int_equal(l.failures.burst, 3);
    assert_int_equal(l.total.requests, 5);
    assert_int_equal(l.total.per, 60000);

    assert_int_equal(parse("rate=2r/s total=off", &l, NULL), AK_OK);
    assert_false(l.bounded);

    unit_pool_free(&pool);
}


static void
test_exempt(void **state)
{
    ak_limit_t  l;

    (void) state;

    unit_pool_init(&pool);

    assert_int_equal(parse("exempt=10.0.0.0/8,2001:db8::/32 rate=1r/s "
                           "exempt=192.0.2.7", &l, NULL), AK_OK);
    assert_int_equal(l.n, 3);

    assert_true(exempt(&l, "10.1.2.3"));
    assert_true(exempt(&l, "::ffff:10.1.2.3"));
    assert_true(exempt(&l, "2001:db8::1"));
    assert_true(exempt(&l, "192.0.2.7"));
    assert_false(exempt(&l, "192.0.2.8"));
    assert_false(exempt(&l, "11.0.0.1"));
    assert_false(exempt(&l, "2001:db9::1"));
    assert_false(ak_limit_exempt(&l, ak_str(NULL, 0)));

    unit_pool_free(&pool);
}


static void
test_errors(void **state)
{
    size_t      i;
    ak_diag_t   d;
    ak_limit_t  l;

    static const struct {
        const char  *text;
        const char  *word;
    } bad[] = {
        { "", "\"rate=\" is missing" },
        { "burst=1", "\"rate=\" is missing" },
        { "rate=", "\"rate=\" has no value" },
        { "rate=1r/h", "invalid rate \"1r/h\"" },
        { "rate=1r/s burst=0", "invalid burst \"0\"" },
        { "rate=1r/s burst=1 burst=1", "\"burst\" is there twice" },
        { "rate=1r/s rate=1r/s", "\"rate\" is there twice" },
        { "rate=1r/s total=off total=off", "\"total\" is there twice" },
        { "rate=1r/s total=on", "invalid rate \"on\"" },
        { "rate=1r/s exempt=", "\"exempt=\" has no value" },
        { "rate=1r/s exempt=,", "no network in \",\"" },
        { "rate=1r/s exempt=10.0.0.1/8", "10.0.0.1/8" },
        { "rate=1r/s exempt=::1,all", "\"all\"" },
        { "rate=1r/s delay=3", "unknown argument \"delay=3\"" },
        { "rate=1r/s off", "unknown argument \"off\"" }
    };

    (void) state;

    unit_pool_init(&pool);

    for (i = 0; i < ak_nitems(bad); i++) {
        d.text[0] = '\0';

        assert_case(parse(bad[i].text, &l, &d) == AK_ERROR, "\"%s\" is taken",
                    bad[i].text);
        assert_case(strstr(d.text, bad[i].word) != NULL, "\"%s\": \"%s\"",
                    bad[i].text, d.text);
        assert_int_equal(parse(bad[i].text, &l, NULL), AK_ERROR);
    }

    pool.left = 0;
    assert_int_equal(parse("rate=1r/s", &l, NULL), AK_ERROR);

    unit_pool_free(&pool);
}


static void
test_source(void **state)
{
    size_t   i, n, m;
    uint8_t  buf[16], a[AK_LIMIT_SOURCE_MAX], b[AK_LIMIT_SOURCE_MAX];

    static const struct {
        const char  *one;
        const char  *other;
        size_t       len;
        bool         same;
    } list[] = {
        { "192.0.2.1", "192.0.2.1", 4, true },
        { "192.0.2.1", "192.0.2.2", 4, false },
        { "192.0.2.1", "::ffff:192.0.2.1", 4, true },
        { "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", 8, true },
        { "2001:db8:1:2::1", "2001:db8:1:3::1", 8, false },
        { "::1", "::192.0.2.1", 8, true }
    };

    (void) state;

    for (i = 0; i < ak_nitems(list); i++) {
        n = ak_limit_source(address(list[i].one, buf), a);
        m = ak_limit_source(address(list[i].other, buf), b);

        assert_int_equal(n, list[i].len);
        assert_int_equal(m, list[i].len);
        assert_case((memcmp(a, b, n) == 0) == list[i].same, "%s and %s",
                    list[i].one, list[i].other);
    }

    assert_int_equal(ak_limit_source(ak_str(NULL, 0), a), 0);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_parse),
    cmocka_unit_test(test_exempt),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_source)
};


UNIT_MAIN(tests)
