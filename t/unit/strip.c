
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for what must not be forwarded. */


#include "unit.h"

#include "ak_strip.h"


#define KEY  "sk-0123456789abcdef"


static unit_pool_t    pool;
static ak_carriers_t  carriers;


static int
setup(void **state)
{
    (void) state;

    unit_pool_init(&pool);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    unit_pool_free(&pool);

    return 0;
}


static ak_strip_t *
strip(const char *from)
{
    ak_diag_t    d;
    ak_strip_t  *s;

    s = ak_strip_create(&pool.mem);
    assert_non_null(s);

    if (from != NULL) {
        assert_case(ak_carriers_parse(ak_cstr(from), &pool.mem, &carriers, &d)
                    == AK_OK, "%s", d.text);
        assert_int_equal(ak_strip_add_carriers(s, &carriers), AK_OK);
    }

    return s;
}


/* What is left; NULL: nothing was to be removed. */

static const char *
left(const ak_strip_t *s, ak_carrier_e type, const char *text)
{
    bool         removed;
    size_t       len, max;
    uint8_t     *dst;
    ak_str_t     value;
    static char  copy[256];

    value = unit_exact(ak_cstr(text));
    max = value.len;
    dst = malloc(max);
    len = SIZE_MAX;

    removed = ak_strip_value(s, type, value, dst, &len);

    assert_true(len <= max);
    assert_true(len < sizeof(copy));

    memcpy(copy, dst == NULL ? (uint8_t *) "" : dst, len);
    copy[len] = '\0';

    free(dst);
    unit_free(value);

    return removed ? copy : NULL;
}


static void
check_left(const ak_strip_t *s, ak_carrier_e type, const char *text,
    const char *expected)
{
    const char  *rest;

    rest = left(s, type, text);

    if (expected == NULL) {
        assert_case(rest == NULL, "\"%s\": \"%s\" is left", text, rest);
        return;
    }

    assert_case(rest != NULL && strcmp(rest, expected) == 0,
                "\"%s\": \"%s\" is left, not \"%s\"", text,
                rest == NULL ? "(all)" : rest, expected);
}


static void
test_headers(void **state)
{
    size_t       i;
    ak_str_t     name;
    ak_strip_t  *s;

    static const char  *removed[] = {
        "authorization", "x-api-key", "api-key", "x-goog-api-key",
        "x-subscription-token", "proxy-authorization", "x-lobe-chat-auth",
        "x-provider-api-keys", "x_api_key", "x-api_key", "x_goog_api_key",
        "proxy_authorization"
    };

    static const char  *passed[] = {
        "", "a", "host", "content-type", "cookie", "sec-websocket-protocol",
        "x-api-keys", "x-api-ke", "xapi-key", "api-kex", "authorizatiom",
        "authorization-x", "x-request-id", "api.key",
        "a-header-whose-name-is-longer-than-sixty-three-bytes-as-some-of-them"
    };

    (void) state;

    s = strip(NULL);

    for (i = 0; i < ak_nitems(removed); i++) {
        name = unit_exact(ak_cstr(removed[i]));
        assert_case(ak_strip_header(s, name), "%s", removed[i]);
        unit_free(name);
    }

    for (i = 0; i < ak_nitems(passed); i++) {
        name = unit_exact(ak_cstr(passed[i]));
        assert_case(!ak_strip_header(s, name), "%s", passed[i]);
        unit_free(name);
    }

    assert_false(ak_strip_has(s, AK_CARRIER_QUERY));
    assert_false(ak_strip_has(s, AK_CARRIER_COOKIE));
    assert_false(ak_strip_has(s, AK_CARRIER_SUBPROTOCOL));
    check_left(s, AK_CARRIER_QUERY, "key=" KEY, NULL);
    check_left(s, AK_CARRIER_COOKIE, "key=" KEY, NULL);
}


static void
test_added_headers(void **state)
{
    char         name[80], other[80];
    size_t       n;
    ak_strip_t  *s;

    (void) state;

    s = strip("X-Acme-Key,authorization");
    assert_true(ak_strip_header(s, S("x-acme-key")));
    assert_true(ak_strip_header(s, S("x_acme_key")));
    assert_true(ak_strip_header(s, S("authorization")));
    assert_false(ak_strip_header(s, S("x-acme-kez")));

    assert_int_equal(ak_strip_add_header(s, S("x_user_id")), AK_OK);
    assert_int_equal(ak_strip_add_header(s, S("x_user_id")), AK_OK);
    assert_true(ak_strip_header(s, S("x-user-id")));
    assert_true(ak_strip_header(s, S("x_user-id")));

    /* of any length */

    memset(name, 'n', sizeof(name));
    memset(other, 'n', sizeof(other));

    for (n = 1; n <= sizeof(name); n++) {
        other[n - 1] = 'o';
        assert_false(ak_strip_header(s, ak_str(name, n)));
        assert_int_equal(ak_strip_add_header(s, ak_str(name, n)), AK_OK);
        assert_true(ak_strip_header(s, ak_str(name, n)));
        assert_false(ak_strip_header(s, ak_str(other, n)));
        other[n - 1] = 'n';
    }
}


static void
test_query(void **state)
{
    size_t       i;
    ak_strip_t  *s;

    static const struct {
        const char  *query;
        const char  *left;
    } list[] = {
        { "", NULL },
        { "a=1", NULL },
        { "a=1&b=2", NULL },
        { "keys=1", NULL },
        { "akey=1&ke=2", NULL },
        { "a=key", NULL },
        { "a=key=1", NULL },
        { "KEY=1", NULL },
        { "key=" KEY, "" },
        { "key", "" },
        { "key=", "" },
        { "key=1=2", "" },
        { "key=" KEY "&a=1", "a=1" },
        { "a=1&key=" KEY, "a=1" },
        { "a=1&key=" KEY "&b=2", "a=1&b=2" },
        { "key=1&key=2&key=3", "" },
        { "key=1&a=1&key=2&b=2&key=3", "a=1&b=2" },
        { "a=1&&key=2&", "a=1&&" },
        { "%6bey=" KEY "&a=1", "a=1" },
        { "%6Bey=" KEY "&a=1", "a=1" },
        { "%6b%65%79=" KEY "&a=%6b", "a=%6b" },
        { "k%65y", "" },
        { "k%6=1&key=2", "k%6=1" },
        { "key%=1&key=2", "key%=1" },
        { "key%00=1", NULL },
        { "%key=1", NULL },
        { " key=1", NULL },
        { "token=x&key=y&a=1", "a=1" },
        { "access_token=x", NULL },

        /* what some take for a separator too */

        { "a=1;b=2&c", NULL },
        { "a=1;key=x;b=2", "a=1;b=2" },
        { "a=1;key=x&b=2", "a=1&b=2" },
        { "a=1&key=x;b=2", "a=1;b=2" },
        { "key=x;a=1", "a=1" },
        { "a=1;key", "a=1" },
        { "a=1%3bkey=x", NULL }
    };

    (void) state;

    s = strip("query:key,query:token");
    assert_true(ak_strip_has(s, AK_CARRIER_QUERY));
    assert_false(ak_strip_has(s, AK_CARRIER_COOKIE));

    for (i = 0; i < ak_nitems(list); i++) {
        check_left(s, AK_CARRIER_QUERY, list[i].query, list[i].left);
    }

    check_left(s, AK_CARRIER_COOKIE, "key=" KEY, NULL);
}


static void
test_cookie(void **state)
{
    size_t       i;
    ak_strip_t  *s;

    static const struct {
        const char  *cookie;
        const char  *left;
    } list[] = {
        { "", NULL },
        { "a=1; b=2", NULL },
        { "tokens=1", NULL },
        { "Token=1", NULL },
        { "token=" KEY, "" },
        { "token", "" },
        { "token=x; a=1", "a=1" },
        { "a=1; token=x", "a=1" },
        { "a=1; token=x; b=2", "a=1; b=2" },
        { "a=1;token=x;b=2", "a=1;b=2" },
        { " token=x", "" },
        { "\ttoken=x;\t a=1", "a=1" },
        { "a=1;  token=x  ; b=2", "a=1; b=2" },
        { "token=x; token=y", "" },
        { "token =x; a=1", "a=1" },
        { "a=1;\ttoken\t=x", "a=1" },
        { "t%6fken=x; a=1", "a=1" }
    };

    (void) state;

    s = strip("cookie:token");
    assert_true(ak_strip_has(s, AK_CARRIER_COOKIE));
    assert_false(ak_strip_header(s, S("cookie")));

    for (i = 0; i < ak_nitems(list); i++) {
        check_left(s, AK_CARRIER_COOKIE, list[i].cookie, list[i].left);
    }

    /* names that would be others once they are decoded */

    s = strip("cookie:a+b,cookie:a%41");
    check_left(s, AK_CARRIER_COOKIE, "x=1; a+b=" KEY "; y=2", "x=1; y=2");
    check_left(s, AK_CARRIER_COOKIE, "x=1; a%41=" KEY, "x=1");
}


static void
test_subprotocol(void **state)
{
    size_t       i;
    ak_strip_t  *s;

    static const struct {
        const char  *value;
        const char  *left;
    } list[] = {
        { "", NULL },
        { "realtime", NULL },
        { "realtime, openai-beta.realtime-v1", NULL },
        { "openai-insecure-api-key", NULL },
        { "openai-insecure-api-key." KEY, "" },
        { "openai-insecure-api-key.", "" },
        { "realtime, openai-insecure-api-key." KEY, "realtime" },
        { "openai-insecure-api-key." KEY ", realtime", "realtime" },
        { "realtime, openai-insecure-api-key." KEY ", openai-beta.realtime-v1",
          "realtime, openai-beta.realtime-v1" },
        { "a,openai-insecure-api-key.x,openai-insecure-api-key.y,b", "a,b" },
        { "a,\topenai-insecure-api-key.x", "a" }
    };

    (void) state;

    s = strip("subprotocol");
    assert_true(ak_strip_has(s, AK_CARRIER_SUBPROTOCOL));

    for (i = 0; i < ak_nitems(list); i++) {
        check_left(s, AK_CARRIER_SUBPROTOCOL, list[i].value, list[i].left);
    }

    s = strip("subprotocol:acme-key.");
    check_left(s, AK_CARRIER_SUBPROTOCOL, "a, acme-key.x", "a");
    check_left(s, AK_CARRIER_SUBPROTOCOL, "openai-insecure-api-key.x", NULL);
}


/*
 * Whatever is sent: what is left holds no credential that would be found, is
 * not to be stripped again, and is all there was where nothing was removed.
 */

static void
check_nothing_found(const ak_strip_t *s, ak_carrier_e type, const char *text)
{
    char            rest[256];
    ak_cred_t       cred;
    ak_view_t       view;
    const char     *p;
    unit_header_t   headers[] = { { NULL, NULL }, { NULL, NULL } };

    p = left(s, type, text);
    snprintf(rest, sizeof(rest), "%s", p == NULL ? text : p);

    assert_case(left(s, type, rest) == NULL, "\"%s\" again", rest);

    headers[0].name = (type == AK_CARRIER_COOKIE) ? "cookie"
                                                  : "sec-websocket-protocol";
    headers[0].value = rest;

    view = unit_view(type == AK_CARRIER_QUERY ? headers + 1 : headers);
    unit_request.get[AK_VIEW_QUERY] = (type == AK_CARRIER_QUERY) ? rest : NULL;

    ak_cred_collect(&view, &carriers, &pool.mem, &cred);

    assert_case(cred.kind == AK_CRED_NONE, "\"%s\" of \"%s\"", rest, text);
}


static void
test_nothing_found(void **state)
{
    char          text[64];
    size_t        i, j, n;
    uint32_t      seed;
    ak_strip_t   *s;

    static const char *const  parts[] = {
        "k", "key", "%6bey", "=", "=", "&", ";", ",", " ", "\t", "%", "+",
        KEY, "x", "pre.", "%3d"
    };

    (void) state;

    s = strip("query:key,cookie:key,subprotocol:pre.");
    seed = 1;

    for (i = 0; i < 30000; i++) {
        text[0] = '\0';
        seed = seed * 1664525 + 1013904223;
        n = seed >> 29;

        for (j = 0; j < n; j++) {
            seed = seed * 1664525 + 1013904223;

            if (strlen(text) + sizeof(KEY) < sizeof(text)) {
                strcat(text, parts[(seed >> 16) % ak_nitems(parts)]);
            }
        }

        check_nothing_found(s, AK_CARRIER_QUERY, text);
        check_nothing_found(s, AK_CARRIER_COOKIE, text);
        check_nothing_found(s, AK_CARRIER_SUBPROTOCOL, text);

        if (i % 1000 == 0) {
            unit_pool_free(&pool);
            s = strip("query:key,cookie:key,subprotocol:pre.");
        }
    }

    unit_request.get[AK_VIEW_QUERY] = NULL;
}


static void
test_no_memory(void **state)
{
    size_t       i;
    ak_diag_t    d;
    ak_strip_t  *s;

    (void) state;

    s = NULL;

    for (i = 0; s == NULL; i++) {
        assert_true(i < 20);
        pool.left = i;
        s = ak_strip_create(&pool.mem);
    }

    assert_int_equal(i - 1, 9);

    pool.left = SIZE_MAX;
    assert_int_equal(ak_carriers_parse(S("x-a,query:b"), &pool.mem, &carriers,
                                       &d), AK_OK);

    pool.left = 0;
    assert_int_equal(ak_strip_add_carriers(s, &carriers), AK_NO_MEMORY);
    assert_int_equal(ak_strip_add_header(s, S("x-b")), AK_NO_MEMORY);

    pool.left = 1;
    assert_int_equal(ak_strip_add_carriers(s, &carriers), AK_NO_MEMORY);

    /* what is there already takes none */

    pool.left = SIZE_MAX;
    assert_int_equal(ak_strip_add_header(s, S("x-c")), AK_OK);
    carriers.n = 1;

    pool.left = 0;
    assert_int_equal(ak_strip_add_carriers(s, &carriers), AK_OK);
    assert_int_equal(ak_strip_add_header(s, S("x-c")), AK_OK);

    /* one of both is found in two lists */

    pool.left = 0;
    assert_int_equal(ak_strip_add_header(s, S("x-a")), AK_NO_MEMORY);
    pool.left = 1;
    assert_int_equal(ak_strip_add_header(s, S("x-a")), AK_OK);
}


static void
test_identities(void **state)
{
    ak_diag_t    d;
    ak_strip_t  *s;

    (void) state;

    s = ak_strip_create(&pool.mem);
    assert_non_null(s);
    assert_int_equal(ak_carriers_parse(S("x-token"), &pool.mem, &carriers,
                                       &d), AK_OK);
    assert_int_equal(ak_strip_add_carriers(s, &carriers), AK_OK);
    assert_int_equal(ak_strip_add_header(s, S("x-user")), AK_OK);

    assert_true(ak_strip_header(s, S("x-user")));
    assert_true(ak_strip_identity(s, S("x-user")));
    assert_true(ak_strip_identity(s, S("x_user")));
    assert_true(ak_strip_header(s, S("x-token")));
    assert_false(ak_strip_identity(s, S("x-token")));
    assert_false(ak_strip_identity(s, S("authorization")));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
    cmocka_unit_test_setup_teardown(test_added_headers, setup, teardown),
    cmocka_unit_test_setup_teardown(test_query, setup, teardown),
    cmocka_unit_test_setup_teardown(test_cookie, setup, teardown),
    cmocka_unit_test_setup_teardown(test_subprotocol, setup, teardown),
    cmocka_unit_test_setup_teardown(test_nothing_found, setup, teardown),
    cmocka_unit_test_setup_teardown(test_identities, setup, teardown),
    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown)
};


UNIT_MAIN(tests)
