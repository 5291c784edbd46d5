
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for finding the one credential of a request. */


#include "unit.h"

#include "ak_cred.h"


#define KEY    "sk-0123456789abcdef"
#define OTHER  "sk-fedcba9876543210"

/* A real one, RFC 7515, appendix A.1. */

#define JWT                                                                   \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"                                \
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL"   \
    "mNvbS9pc19yb290Ijp0cnVlfQ"                                               \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


static ak_cred_t
collect(const unit_header_t *headers)
{
    ak_view_t  view;
    ak_cred_t  cred;

    view = unit_view(headers);
    memset(&cred, 0xa5, sizeof(cred));

    ak_cred_collect(&view, &cred);

    return cred;
}


static ak_cred_t
one(const char *name, const char *value)
{
    unit_header_t  headers[] = { { name, value }, { NULL, NULL } };

    return collect(headers);
}


static ak_cred_t
two(const char *n1, const char *v1, const char *n2, const char *v2)
{
    unit_header_t  headers[] = { { n1, v1 }, { n2, v2 }, { NULL, NULL } };

    return collect(headers);
}


#define assert_cred(c, k, v)                                                  \
    do {                                                                      \
        ak_cred_t  c_ = (c);                                                  \
        assert_int_equal(c_.kind, k);                                         \
        assert_str(c_.value, v);                                              \
    } while (0)


/* What is no credential has no value that somebody could take for one. */

#define assert_none(c, k)  assert_int_equal((c).kind, k)


static void
test_nothing(void **state)
{
    static const unit_header_t  none[] = { { NULL, NULL } };

    (void) state;

    assert_none(collect(none), AK_CRED_NONE);
    assert_none(one("host", KEY), AK_CRED_NONE);
    assert_none(one("x-api-key2", KEY), AK_CRED_NONE);
    assert_none(one("authorization2", "Bearer " KEY), AK_CRED_NONE);
}


static void
test_bearer(void **state)
{
    ak_cred_t  c;

    (void) state;

    c = one("authorization", "Bearer " KEY);
    assert_cred(c, AK_CRED_KEY, KEY);
    assert_int_equal(c.carrier, AK_CARRIER_BEARER);

    assert_cred(one("authorization", "bearer " KEY), AK_CRED_KEY, KEY);
    assert_cred(one("authorization", "BEARER " KEY), AK_CRED_KEY, KEY);
    assert_cred(one("authorization", "bEaReR " KEY), AK_CRED_KEY, KEY);
    assert_cred(one("authorization", "Bearer   " KEY), AK_CRED_KEY, KEY);
}


static void
test_x_api_key(void **state)
{
    ak_cred_t  c;

    (void) state;

    c = one("x-api-key", KEY);
    assert_cred(c, AK_CRED_KEY, KEY);
    assert_int_equal(c.carrier, AK_CARRIER_X_API_KEY);
}


/* Other schemes are somebody else's: no credential, no error. */

static void
test_other_schemes(void **state)
{
    size_t  i;

    static const char  *others[] = {
        "Basic dXNlcjpwYXNz", "Digest a=b", "Bearer2 " KEY, "Bearers " KEY,
        "Beare " KEY, "Bearer" KEY, "Basic", "Negotiate YII=", KEY, "Bear",
        "xBearer " KEY, "Token " KEY, "Basic Bearer " KEY, "Bearer," KEY
    };

    (void) state;

    for (i = 0; i < ak_nitems(others); i++) {
        assert_case(one("authorization", others[i]).kind == AK_CRED_NONE,
                    "Authorization: %s", others[i]);
    }

    assert_cred(two("authorization", "Basic dXNlcjpwYXNz", "x-api-key", KEY),
                AK_CRED_KEY, KEY);
    assert_cred(two("authorization", "Basic dXNlcjpwYXNz",
                    "authorization", "Bearer " KEY), AK_CRED_KEY, KEY);
    assert_cred(two("authorization", "Bearer " KEY,
                    "authorization", "Basic dXNlcjpwYXNz"), AK_CRED_KEY, KEY);
}


/* There may be no token, but whatever it is it does not become a key. */

static void
test_empty(void **state)
{
    size_t     i;
    ak_cred_t  c;

    static const unit_header_t  empty[] = {
        { "authorization", "Bearer" },
        { "authorization", "Bearer " },
        { "authorization", "Bearer    " },
        { "authorization", "" },
        { "x-api-key", "" },
        { "x-api-key", " " }
    };

    (void) state;

    for (i = 0; i < ak_nitems(empty); i++) {
        c = one(empty[i].name, empty[i].value);

        assert_case(c.kind == AK_CRED_NONE || c.kind == AK_CRED_MALFORMED,
                    "%s: \"%s\"", empty[i].name, empty[i].value);

        /* it does not stand in the way of a real one unless it is an error */

        c = two(empty[i].name, empty[i].value, "x-api-key", KEY);
        assert_case(c.kind != AK_CRED_JWT
                    && (c.kind != AK_CRED_KEY || ak_str_eq(c.value, S(KEY))),
                    "%s: \"%s\" and a key", empty[i].name, empty[i].value);
    }
}


static void
test_inner_characters(void **state)
{
    char        value[64];
    unsigned    c;
    ak_cred_t   cred;

    (void) state;

    assert_none(one("authorization", "Bearer sk-01234 56789"),
                AK_CRED_MALFORMED);
    assert_none(one("authorization", "Bearer " KEY " " KEY),
                AK_CRED_MALFORMED);
    assert_none(one("authorization", "Bearer " KEY ", Basic eA=="),
                AK_CRED_MALFORMED);
    assert_none(one("x-api-key", "sk-01234 56789"), AK_CRED_MALFORMED);

    /* visible ASCII and nothing else */

    for (c = 1; c < 256; c++) {
        snprintf(value, sizeof(value), "sk-0123%c456789", (int) c);

        cred = one("x-api-key", value);
        assert_case(cred.kind == (c > 0x20 && c < 0x7f ? AK_CRED_KEY
                                                       : AK_CRED_MALFORMED),
                    "x-api-key with 0x%02x", c);

        snprintf(value, sizeof(value), "Bearer sk-0123%c456789", (int) c);

        cred = one("authorization", value);
        assert_case(cred.kind == (c > 0x20 && c < 0x7f ? AK_CRED_KEY
                                                       : AK_CRED_MALFORMED),
                    "Bearer with 0x%02x", c);
    }
}


static bool
zero_header(void *host, ak_str_t name, unsigned n, ak_str_t *value)
{
    (void) host;

    if (!ak_str_eq(name, S("x-api-key")) || n != 0) {
        return false;
    }

    *value = S("sk-0123\0" "456789");

    return true;
}


static void
test_zero_byte(void **state)
{
    ak_cred_t  c;
    ak_view_t  view = { zero_header, NULL };

    (void) state;

    ak_cred_collect(&view, &c);
    assert_none(c, AK_CRED_MALFORMED);
}


static void
test_lengths(void **state)
{
    char       value[AK_KEY_MAX + 16];
    size_t     n;
    ak_cred_t  c;

    (void) state;

    for (n = 1; n <= AK_KEY_MAX + 1; n++) {
        memset(value, 'k', sizeof(value));
        value[n] = '\0';

        c = one("x-api-key", value);

        assert_case(c.kind == (n >= 8 && n <= 512 ? AK_CRED_KEY
                                                  : AK_CRED_MALFORMED),
                    "a key of %zu bytes", n);

        if (c.kind == AK_CRED_KEY) {
            assert_int_equal(c.value.len, n);
        }
    }
}


static void
test_duplicates(void **state)
{
    ak_cred_t  c;

    (void) state;

    c = two("authorization", "Bearer " KEY, "authorization", "bearer  " KEY);
    assert_cred(c, AK_CRED_KEY, KEY);
    assert_int_equal(c.carrier, AK_CARRIER_BEARER);

    assert_cred(two("x-api-key", KEY, "x-api-key", KEY), AK_CRED_KEY, KEY);
    assert_cred(two("authorization", "Bearer " KEY, "x-api-key", KEY),
                AK_CRED_KEY, KEY);
    assert_cred(two("x-api-key", KEY, "authorization", "Bearer " KEY),
                AK_CRED_KEY, KEY);
    assert_cred(two("authorization", "Bearer " JWT, "x-api-key", JWT),
                AK_CRED_JWT, JWT);
}


static void
test_ambiguous(void **state)
{
    ak_cred_t  c;

    (void) state;

    assert_none(two("authorization", "Bearer " KEY,
                    "authorization", "Bearer " OTHER), AK_CRED_AMBIGUOUS);
    assert_none(two("x-api-key", KEY, "x-api-key", OTHER), AK_CRED_AMBIGUOUS);
    assert_none(two("authorization", "Bearer " KEY, "x-api-key", OTHER),
                AK_CRED_AMBIGUOUS);
    assert_none(two("authorization", "Bearer " JWT, "x-api-key", KEY),
                AK_CRED_AMBIGUOUS);

    /* a prefix of the other is another */

    assert_none(two("x-api-key", KEY, "x-api-key", KEY "0"),
                AK_CRED_AMBIGUOUS);
    assert_none(two("x-api-key", KEY "0", "x-api-key", KEY),
                AK_CRED_AMBIGUOUS);

    /* good beside bad: either word, never a credential */

    c = two("authorization", "Bearer sk 0123456789", "x-api-key", KEY);
    assert_true(c.kind == AK_CRED_AMBIGUOUS || c.kind == AK_CRED_MALFORMED);

    c = two("authorization", "Bearer " KEY, "x-api-key", "short");
    assert_true(c.kind == AK_CRED_AMBIGUOUS || c.kind == AK_CRED_MALFORMED);
}


static void
test_many_duplicates(void **state)
{
    size_t         i;
    unit_header_t  headers[101];

    (void) state;

    for (i = 0; i < 100; i++) {
        headers[i].name = i % 2 ? "authorization" : "x-api-key";
        headers[i].value = i % 2 ? "Bearer " KEY : KEY;
    }

    headers[100].name = NULL;
    assert_cred(collect(headers), AK_CRED_KEY, KEY);

    headers[99].value = "Bearer " OTHER;
    assert_none(collect(headers), AK_CRED_AMBIGUOUS);
}


static void
test_jwt(void **state)
{
    char       value[4096];
    ak_cred_t  c;

    (void) state;

    c = one("authorization", "Bearer " JWT);
    assert_cred(c, AK_CRED_JWT, JWT);
    assert_int_equal(c.carrier, AK_CARRIER_BEARER);

    assert_cred(one("x-api-key", JWT), AK_CRED_JWT, JWT);

    /* tokens of real issuers are longer than any key */

    memset(value, 'A', sizeof(value));
    memcpy(value, "eyJhbGciOiJSUzI1NiJ9.", 21);
    value[2000] = '.';
    value[3000] = '\0';

    assert_cred(one("x-api-key", value), AK_CRED_JWT, value);

    /* an encrypted one (JWE) has five parts and is no key either */

    assert_none(one("x-api-key", "eyJhbGciOiJkaXIifQ..e30.e30.e30"),
                AK_CRED_JWT);
}


static void
test_near_jwt(void **state)
{
    size_t  i;

    static const char  *keys[] = {
        "eyJhbGciOiJIUzI1NiJ9",                        /* one part */
        "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ",             /* two */
        "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln.c2ln",   /* four */
        "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2l=",        /* padding */
        "eyJhbGciOiJIUzI1NiJ9.eyJh+joxfQ.c2ln",        /* not base64url */
        "eyJhbGciOiJIUzI1NiJ9.eyJh/joxfQ.c2ln",
        "eyJhbGciOiJIUzI1NiJ9,eyJhIjoxfQ,c2ln"
    };

    (void) state;

    for (i = 0; i < ak_nitems(keys); i++) {
        assert_case(one("x-api-key", keys[i]).kind == AK_CRED_KEY, "\"%s\"",
                    keys[i]);
    }
}


static void
test_kind_names(void **state)
{
    (void) state;

    assert_str(ak_cred_kind_name(AK_CRED_KEY), "key");
    assert_str(ak_cred_kind_name(AK_CRED_JWT), "jwt");
    assert_str(ak_cred_kind_name(AK_CRED_NONE), "");
    assert_str(ak_cred_kind_name(AK_CRED_MALFORMED), "");
    assert_str(ak_cred_kind_name(AK_CRED_AMBIGUOUS), "");
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_nothing),
    cmocka_unit_test(test_bearer),
    cmocka_unit_test(test_x_api_key),
    cmocka_unit_test(test_other_schemes),
    cmocka_unit_test(test_empty),
    cmocka_unit_test(test_inner_characters),
    cmocka_unit_test(test_zero_byte),
    cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_duplicates),
    cmocka_unit_test(test_ambiguous),
    cmocka_unit_test(test_many_duplicates),
    cmocka_unit_test(test_jwt),
    cmocka_unit_test(test_near_jwt),
    cmocka_unit_test(test_kind_names)
};


UNIT_MAIN(tests)
