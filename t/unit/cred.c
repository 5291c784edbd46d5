
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for finding the one credential of a request. */


#include "unit.h"

#include "ak_cred.h"


#define KEY    "sk-0123456789abcdef"
#define KEY_1  "%73k-0123456789abcdef"         /* the same, encoded */
#define KEY_2  "sk%2d0123456789abcde%66"
#define OTHER  "sk-fedcba9876543210"

/* A real one, RFC 7515, appendix A.1. */

#define JWT                                                                   \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"                                \
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL"   \
    "mNvbS9pc19yb290Ijp0cnVlfQ"                                               \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


static unit_pool_t    pool;
static ak_carriers_t  carriers;        /* where to look */


static int
setup(void **state)
{
    (void) state;

    unit_pool_init(&pool);
    memset(&unit_request, 0, sizeof(unit_request));
    carriers = ak_carriers_default;

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    unit_pool_free(&pool);

    return 0;
}


static void
from(const char *text)
{
    ak_diag_t  d;

    assert_case(ak_carriers_parse(ak_cstr(text), &pool.mem, &carriers, &d)
                == AK_OK, "\"%s\": %s", text, d.text);
}


static ak_cred_t
collect(const unit_header_t *headers)
{
    ak_view_t  view;
    ak_cred_t  cred;

    view = unit_view(headers);
    memset(&cred, 0xa5, sizeof(cred));

    ak_cred_collect(&view, &carriers, &pool.mem, &cred);

    return cred;
}


/* With a query, which ends where its memory does. */

static bool
exact_get(void *host, ak_view_e what, ak_str_t *value)
{
    if (what != AK_VIEW_QUERY) {
        return false;
    }

    *value = *(ak_str_t *) host;

    return true;
}


static ak_cred_t
query(const char *text)
{
    ak_str_t   value;
    ak_view_t  view;
    ak_cred_t  cred;

    value = unit_exact(ak_cstr(text));

    memset(&cred, 0xa5, sizeof(cred));
    memset(&view, 0, sizeof(view));
    view.get = exact_get;
    view.host = &value;

    ak_cred_collect(&view, &carriers, &pool.mem, &cred);

    /* what is found is a part of it, or was decoded */

    if (cred.value.data >= value.data
        && cred.value.data < value.data + value.len)
    {
        uint8_t  *p = pool.mem.alloc(pool.mem.data, cred.value.len + 1);

        memcpy(p, cred.value.data, cred.value.len);
        cred.value.data = p;
    }

    unit_free(value);

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
    assert_int_equal(c.carrier, AK_CARRIER_HEADER);

    assert_cred(one("x_api_key", KEY), AK_CRED_KEY, KEY);
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


static void
test_zero_byte(void **state)
{
    ak_view_t   view;
    ak_cred_t   c;
    ak_field_t  field = { ak_string("x-api-key"),
                          ak_string("sk-0123\0" "456789") };

    (void) state;

    view = unit_view(NULL);
    view.carried = &field;
    view.ncarried = 1;

    ak_cred_collect(&view, &carriers, &pool.mem, &c);
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


/* However many there are, every one counts. */

static void
test_many(void **state)
{
    size_t         i;
    unit_header_t  headers[33];

    (void) state;

    for (i = 0; i < 32; i++) {
        headers[i].name = i % 2 ? "authorization" : "x-api-key";
        headers[i].value = i % 2 ? "Bearer " KEY : KEY;
    }

    headers[31].name = NULL;
    assert_cred(collect(headers), AK_CRED_KEY, KEY);

    headers[30].value = OTHER;
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
check_parse(const char *text, size_t n, ...)
{
    size_t               i;
    va_list              args;
    const ak_carrier_t  *c;

    from(text);
    assert_int_equal(carriers.n, n);

    va_start(args, n);

    for (i = 0; i < n; i++) {
        c = &carriers.list[i];
        assert_int_equal(c->type, va_arg(args, int));
        assert_str(c->name, va_arg(args, const char *));
    }

    va_end(args);
}


static void
test_parse(void **state)
{
    (void) state;

    check_parse("authorization", 1, AK_CARRIER_BEARER, "authorization");
    check_parse("Authorization", 1, AK_CARRIER_BEARER, "authorization");
    check_parse("X-Api-Key,authorization", 2,
                AK_CARRIER_HEADER, "x-api-key",
                AK_CARRIER_BEARER, "authorization");
    check_parse("query:Key,cookie:Token,subprotocol,api_key", 4,
                AK_CARRIER_QUERY, "Key",
                AK_CARRIER_COOKIE, "Token",
                AK_CARRIER_SUBPROTOCOL, "openai-insecure-api-key.",
                AK_CARRIER_HEADER, "api_key");
    check_parse("subprotocol:Acme.", 1, AK_CARRIER_SUBPROTOCOL, "Acme.");
    check_parse("query:query,cookie:cookie", 2,
                AK_CARRIER_QUERY, "query", AK_CARRIER_COOKIE, "cookie");
    check_parse("a,b,c,d,e,f,g,h", 8,
                AK_CARRIER_HEADER, "a", AK_CARRIER_HEADER, "b",
                AK_CARRIER_HEADER, "c", AK_CARRIER_HEADER, "d",
                AK_CARRIER_HEADER, "e", AK_CARRIER_HEADER, "f",
                AK_CARRIER_HEADER, "g", AK_CARRIER_HEADER, "h");
}


static void
test_parse_errors(void **state)
{
    size_t         i;
    ak_str_t       text;
    ak_diag_t      d;
    ak_carriers_t  c;

    static const struct {
        const char  *text;
        const char  *word;
    } bad[] = {
        { "", "\"\"" },
        { ",", "\"\"" },
        { "authorization,", "\"\"" },
        { ",authorization", "\"\"" },
        { "a,,b", "\"\"" },
        { "authorization, x-api-key", "\" x-api-key\"" },
        { "query", "\"query\"" },
        { "cookie", "\"cookie\"" },
        { "query:", "\"query:\"" },
        { "cookie:", "\"cookie:\"" },
        { "subprotocol:", "\"subprotocol:\"" },
        { "header:x", "\"header:x\"" },
        { "Query:key", "\"Query:key\"" },
        { "query:a=b", "\"query:a=b\"" },
        { "query:a b", "\"query:a b\"" },
        { "x-\xc3\xa4", "no carrier" },
        { "x\t", "no carrier" },
        { "a,b,c,d,e,f,g,h,i", "more than 8" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        text = unit_exact(ak_cstr(bad[i].text));
        d.text[0] = '\0';

        assert_case(ak_carriers_parse(text, &pool.mem, &c, &d) == AK_ERROR,
                    "\"%s\" is taken", bad[i].text);
        assert_case(strstr(d.text, bad[i].word) != NULL, "\"%s\": %s",
                    bad[i].text, d.text);

        unit_free(text);
    }

    assert_int_equal(ak_carriers_parse(ak_str(NULL, 0), &pool.mem, &c, &d),
                     AK_ERROR);
    assert_int_equal(ak_carriers_parse(S("a\0b"), &pool.mem, &c, &d),
                     AK_ERROR);

    for (i = 0; i < 2; i++) {
        pool.left = i;
        assert_int_equal(ak_carriers_parse(S("a"), &pool.mem, &c, &d),
                         AK_ERROR);
        assert_non_null(strstr(d.text, "memory"));
    }
}


/* What a line does not name is not looked at. */

static void
test_only_named(void **state)
{
    ak_cred_t  c;

    (void) state;

    from("x-acme-key");
    c = two("x-acme-key", KEY, "authorization", "Bearer " OTHER);
    assert_cred(c, AK_CRED_KEY, KEY);
    assert_int_equal(c.carrier, AK_CARRIER_HEADER);

    assert_none(one("x-api-key", KEY), AK_CRED_NONE);
    assert_none(one("authorization", "Bearer " KEY), AK_CRED_NONE);
    assert_none(query("key=" KEY), AK_CRED_NONE);

    /* a header of its own takes no scheme */

    assert_none(one("x-acme-key", "Bearer " KEY), AK_CRED_MALFORMED);

    carriers = ak_carriers_default;
    unit_request.get[AK_VIEW_QUERY] = "key=" OTHER;
    assert_cred(two("x-api-key", KEY, "cookie", "token=" OTHER),
                AK_CRED_KEY, KEY);
}


static void
test_query(void **state)
{
    size_t     i;
    ak_cred_t  c;

    static const char  *none[] = {
        "", "a=1", "key", "keys=" KEY, "akey=" KEY, "KEY=" KEY, "a=key=" KEY,
        "&", "=" KEY, "key;" KEY, "%6bey", "%256bey=" KEY, "key%00=" KEY,
        "k%6=" KEY, "key+=" KEY
    };

    static const char  *found[] = {
        "key=" KEY, "a=1&key=" KEY, "key=" KEY "&a=1", "a=1&key=" KEY "&b",
        "&&key=" KEY "&&", "key=" KEY "&key=" KEY, "a=" OTHER "&key=" KEY,

        /* the name is encoded */

        "%6bey=" KEY, "%6Bey=" KEY, "k%65y=" KEY, "%6b%65%79=" KEY,

        /* the value is */

        "key=" KEY_1, "key=" KEY_2, "key=sk%2D0123456789abcdef",
        "%6bey=" KEY_1, "key=" KEY_1 "&k%65y=" KEY_2 "&key=" KEY
    };

    (void) state;

    from("query:key");

    for (i = 0; i < ak_nitems(none); i++) {
        assert_case(query(none[i]).kind == AK_CRED_NONE, "\"%s\"", none[i]);
    }

    for (i = 0; i < ak_nitems(found); i++) {
        c = query(found[i]);

        assert_case(c.kind == AK_CRED_KEY && ak_str_eq(c.value, S(KEY))
                    && c.carrier == AK_CARRIER_QUERY, "\"%s\"", found[i]);
    }

    assert_cred(query("key=" JWT), AK_CRED_JWT, JWT);
    assert_cred(query("key=sk-0123%2b456789"), AK_CRED_KEY, "sk-0123+456789");
    assert_cred(query("key=sk-0123%3D456="), AK_CRED_KEY, "sk-0123=456=");
    assert_cred(query("key=sk-0123%456789"), AK_CRED_KEY, "sk-0123E6789");

    /* what is no encoding stands for itself */

    assert_cred(query("key=sk-01234567%"), AK_CRED_KEY, "sk-01234567%");
    assert_cred(query("key=sk-01234567%2"), AK_CRED_KEY, "sk-01234567%2");
    assert_cred(query("key=sk-0123%zz4567"), AK_CRED_KEY, "sk-0123%zz4567");
}


static void
test_query_refused(void **state)
{
    size_t  i;

    static const char  *malformed[] = {
        "key=", "key=short", "key=sk-01234+56789", "key=sk-01234%2056789",
        "key=sk-01234%0056789", "key=sk-01234%ff56789", "key=sk-01234 56789",
        "key=%", "key=+"
    };

    static const char  *ambiguous[] = {
        "key=" KEY "&key=" OTHER, "key=" KEY "&%6bey=" OTHER,
        "key=" KEY "&key=", "key=&key=" KEY, "key=" KEY_1 "&key=" OTHER,
        "key=" KEY "&key=" KEY "&key=" OTHER,
        "key=" KEY "&key=" OTHER "&key=" KEY
    };

    (void) state;

    from("query:key");

    for (i = 0; i < ak_nitems(malformed); i++) {
        assert_case(query(malformed[i]).kind == AK_CRED_MALFORMED, "\"%s\"",
                    malformed[i]);
    }

    for (i = 0; i < ak_nitems(ambiguous); i++) {
        assert_case(query(ambiguous[i]).kind == AK_CRED_AMBIGUOUS, "\"%s\"",
                    ambiguous[i]);
    }
}


/* What is decoded is where it is wiped; what need not be is not copied. */

static void
test_query_memory(void **state)
{
    (void) state;

    from("query:key");

    unit_request.get[AK_VIEW_QUERY] = "key=" KEY_1;
    pool.left = 0;
    assert_none(collect(NULL), AK_CRED_MALFORMED);

    /* it is not as if it had not been there */

    unit_request.get[AK_VIEW_QUERY] = "key=" KEY_1 "&key=" KEY;
    assert_none(collect(NULL), AK_CRED_MALFORMED);
    unit_request.get[AK_VIEW_QUERY] = "key=" KEY "&key=" KEY_1;
    assert_none(collect(NULL), AK_CRED_MALFORMED);

    unit_request.get[AK_VIEW_QUERY] = "key=" KEY "&a=%41";
    assert_cred(collect(NULL), AK_CRED_KEY, KEY);

    pool.left = 1;
    unit_request.get[AK_VIEW_QUERY] = "key=" KEY_1;
    assert_cred(collect(NULL), AK_CRED_KEY, KEY);
    assert_int_equal(pool.left, 0);
}


static void
test_cookie(void **state)
{
    size_t     i;
    ak_cred_t  c;

    static const char  *found[] = {
        "token=" KEY, "a=1; token=" KEY, "token=" KEY "; a=1",
        "a=1;token=" KEY ";b=2", "  token=" KEY "  ", ";;token=" KEY ";",
        "token=" KEY "; token=" KEY, "Token=" OTHER "; token=" KEY
    };

    static const char  *none[] = {
        "", "token", "tokens=" KEY, "TOKEN=" KEY, "a=token=" KEY,
        "t%6fken=" KEY, "a=1, token=" KEY
    };

    (void) state;

    from("cookie:token");

    for (i = 0; i < ak_nitems(found); i++) {
        c = one("cookie", found[i]);

        assert_case(c.kind == AK_CRED_KEY && ak_str_eq(c.value, S(KEY))
                    && c.carrier == AK_CARRIER_COOKIE, "\"%s\"", found[i]);
    }

    for (i = 0; i < ak_nitems(none); i++) {
        assert_case(one("cookie", none[i]).kind == AK_CRED_NONE, "\"%s\"",
                    none[i]);
    }

    assert_cred(one("cookie", "token=" JWT), AK_CRED_JWT, JWT);
    assert_cred(one("cookie", "token=sk-0123=456="), AK_CRED_KEY,
                "sk-0123=456=");

    /* a cookie's value is as it is */

    assert_cred(one("cookie", "token=" KEY_2), AK_CRED_KEY, KEY_2);
    assert_none(one("cookie", "token="), AK_CRED_MALFORMED);
    assert_none(one("cookie", "token=sk-01234 56789"), AK_CRED_MALFORMED);

    /* HTTP/2 may split them, RFC 9113, 8.2.3 */

    assert_cred(two("cookie", "a=1", "cookie", "token=" KEY), AK_CRED_KEY,
                KEY);
    assert_none(two("cookie", "token=" KEY, "cookie", "token=" OTHER),
                AK_CRED_AMBIGUOUS);
    assert_none(one("cookie", "token=" KEY "; token=" OTHER),
                AK_CRED_AMBIGUOUS);
}


static void
test_subprotocol(void **state)
{
    ak_cred_t  c;

    static const char  name[] = "sec-websocket-protocol";

    (void) state;

    from("subprotocol");

    c = one(name, "realtime, openai-insecure-api-key." KEY
                  ", openai-beta.realtime-v1");
    assert_cred(c, AK_CRED_KEY, KEY);
    assert_int_equal(c.carrier, AK_CARRIER_SUBPROTOCOL);

    assert_cred(one(name, "openai-insecure-api-key." KEY), AK_CRED_KEY, KEY);
    assert_cred(one(name, "a,openai-insecure-api-key." KEY ",b"), AK_CRED_KEY,
                KEY);
    assert_cred(two(name, "a", name, "openai-insecure-api-key." KEY),
                AK_CRED_KEY, KEY);

    assert_none(one(name, "realtime"), AK_CRED_NONE);
    assert_none(one(name, "openai-insecure-api-key"), AK_CRED_NONE);
    assert_none(one(name, "x-openai-insecure-api-key." KEY), AK_CRED_NONE);
    assert_none(one(name, "openai-insecure-api-key."), AK_CRED_MALFORMED);
    assert_none(one(name, "openai-insecure-api-key." KEY
                          ", openai-insecure-api-key." OTHER),
                AK_CRED_AMBIGUOUS);

    from("subprotocol:acme.");
    assert_cred(one(name, "acme." KEY), AK_CRED_KEY, KEY);
    assert_none(one(name, "openai-insecure-api-key." KEY), AK_CRED_NONE);
}


/* One credential, wherever it is; two, wherever they are, are none. */

static void
test_across(void **state)
{
    size_t         i, j, k;
    ak_cred_t      c;
    unit_header_t  headers[6];

    static const unit_header_t  places[][2] = {
        { { "authorization", "Bearer " KEY },
          { "authorization", "Bearer " OTHER } },
        { { "x-api-key", KEY }, { "x-api-key", OTHER } },
        { { NULL, "a=1&%6bey=" KEY_1 }, { NULL, "a=1&key=" OTHER } },
        { { "cookie", "a=1; token=" KEY }, { "cookie", "token=" OTHER } },
        { { "sec-websocket-protocol", "a, openai-insecure-api-key." KEY },
          { "sec-websocket-protocol", "openai-insecure-api-key." OTHER } }
    };

    (void) state;

    from("authorization,x-api-key,query:key,cookie:token,subprotocol");

    /* i: the place of another one; 5: nowhere */

    for (i = 0; i <= 5; i++) {
        memset(headers, 0, sizeof(headers));

        for (j = 0, k = 0; j < 5; j++) {
            if (places[j][0].name != NULL) {
                headers[k++] = places[j][i == j];

            } else {
                unit_request.get[AK_VIEW_QUERY] = places[j][i == j].value;
            }
        }

        c = collect(headers);
        assert_case(c.kind == (i == 5 ? AK_CRED_KEY : AK_CRED_AMBIGUOUS),
                    "place %u", (unsigned) i);

        if (i == 5) {
            assert_str(c.value, KEY);
            assert_int_equal(c.carrier, AK_CARRIER_BEARER);
        }
    }

    /* the first that had it is told */

    from("subprotocol,cookie:token,query:key,x-api-key,authorization");

    for (j = 0, k = 0; j < 5; j++) {
        if (places[j][0].name != NULL) {
            headers[k++] = places[j][0];
        }
    }

    unit_request.get[AK_VIEW_QUERY] = places[2][0].value;
    c = collect(headers);
    assert_cred(c, AK_CRED_KEY, KEY);
    assert_int_equal(c.carrier, AK_CARRIER_SUBPROTOCOL);
}


static void
test_same_name(void **state)
{
    size_t    i;
    ak_str_t  sent;

    static const struct {
        const char  *sent;
        bool         same;
    } list[] = {
        { "key", true },
        { "%6bey", true },
        { "%6B%65%79", true },
        { "", false },
        { "ke", false },
        { "keys", false },
        { "Key", false },
        { "%4bey", false },
        { "key%", false },
        { "key%2", false },
        { "%key", false },
        { "%6", false },
        { "+key", false },
        { "%256bey", false }
    };

    (void) state;

    for (i = 0; i < ak_nitems(list); i++) {
        sent = unit_exact(ak_cstr(list[i].sent));

        assert_case(ak_cred_same_name(sent, S("key")) == list[i].same,
                    "\"%s\"", list[i].sent);

        unit_free(sent);
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
    cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(test_bearer, setup, teardown),
    cmocka_unit_test_setup_teardown(test_x_api_key, setup, teardown),
    cmocka_unit_test_setup_teardown(test_other_schemes, setup, teardown),
    cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
    cmocka_unit_test_setup_teardown(test_inner_characters, setup, teardown),
    cmocka_unit_test_setup_teardown(test_zero_byte, setup, teardown),
    cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
    cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
    cmocka_unit_test_setup_teardown(test_ambiguous, setup, teardown),
    cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    cmocka_unit_test_setup_teardown(test_jwt, setup, teardown),
    cmocka_unit_test_setup_teardown(test_near_jwt, setup, teardown),
    cmocka_unit_test_setup_teardown(test_parse, setup, teardown),
    cmocka_unit_test_setup_teardown(test_parse_errors, setup, teardown),
    cmocka_unit_test_setup_teardown(test_only_named, setup, teardown),
    cmocka_unit_test_setup_teardown(test_query, setup, teardown),
    cmocka_unit_test_setup_teardown(test_query_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(test_query_memory, setup, teardown),
    cmocka_unit_test_setup_teardown(test_cookie, setup, teardown),
    cmocka_unit_test_setup_teardown(test_subprotocol, setup, teardown),
    cmocka_unit_test_setup_teardown(test_across, setup, teardown),
    cmocka_unit_test_setup_teardown(test_same_name, setup, teardown),
    cmocka_unit_test_setup_teardown(test_kind_names, setup, teardown)
};


UNIT_MAIN(tests)
