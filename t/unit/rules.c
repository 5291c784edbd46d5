
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for lists of scopes, routes and networks. */


#include "unit.h"

#include <arpa/inet.h>

#include "ak_rules.h"


#define S64  "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"


/* A text that is refused, and words of the diagnostic. */

typedef struct {
    const char  *text;
    const char  *word;
} refused_t;


/* The text that ends where its memory does. */

static void
check_refused(ak_rc_t (*check)(ak_str_t list, ak_diag_t *d),
    const refused_t *list, size_t n)
{
    size_t     i;
    ak_str_t   text;
    ak_diag_t  d;

    for (i = 0; i < n; i++) {
        text = unit_exact(ak_cstr(list[i].text));
        d.text[0] = '\0';

        assert_case(check(text, &d) == AK_ERROR, "\"%s\" is taken",
                    list[i].text);
        assert_case(strstr(d.text, list[i].word) != NULL,
                    "\"%s\": \"%s\"", list[i].text, d.text);
        assert_int_equal(check(text, NULL), AK_ERROR);

        unit_free(text);
    }
}


static void
test_list(void **state)
{
    ak_str_t  list, item;

    (void) state;

    list = unit_exact(S(" ,a,, b c,"));

    {
        ak_str_t  rest = list;

        assert_true(ak_rules_next(&rest, &item));
        assert_str(item, "a");
        assert_true(ak_rules_next(&rest, &item));
        assert_str(item, "b");
        assert_true(ak_rules_next(&rest, &item));
        assert_str(item, "c");
        assert_false(ak_rules_next(&rest, &item));
        assert_false(ak_rules_next(&rest, &item));
        assert_int_equal(rest.len, 0);
    }

    unit_free(list);

    list = ak_str(NULL, 0);
    assert_false(ak_rules_next(&list, &item));

    list = S(", ,");
    assert_false(ak_rules_next(&list, &item));

    /* a tab is none of the separators */

    list = S("a\tb");
    assert_true(ak_rules_next(&list, &item));
    assert_str(item, "a\tb");
}


static void
test_scopes(void **state)
{
    size_t  i;

    static const char  *good[] = {
        "a", "chat models", "chat,models", "*", S64, "!#$%&'()*+-./:;<=>?@[]",
        "https://www.googleapis.com/auth/drive", "^_`{|}~", S64 " " S64
    };

    static const refused_t  bad[] = {
        { "", "no item" },
        { " , ", "no item" },
        { S64 "s", "1 to 64" },
        { "chat " S64 "s", "1 to 64" },
        { "chat mo\"dels", "\"mo\"dels\"" },
        { "mo\\dels", "no scope" },
        { "chat\tmodels", "no scope" },
        { "chat\x7f", "no scope" },
        { "ch\xc3\xa4t", "no scope" },
        { "chat\n", "no scope" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        assert_case(ak_scopes_check(ak_cstr(good[i]), NULL) == AK_OK, "\"%s\"",
                    good[i]);
    }

    check_refused(ak_scopes_check, bad, ak_nitems(bad));
}


/* RFC 6749, 3.3: %x21 / %x23-5B / %x5D-7E; and no comma. */

static void
test_scope_bytes(void **state)
{
    bool      good;
    uint8_t   text[3] = "a.b";
    unsigned  c;

    (void) state;

    for (c = 0; c < 256; c++) {
        text[1] = (uint8_t) c;

        good = (c == 0x21 || (c >= 0x23 && c <= 0x5b)
                || (c >= 0x5d && c <= 0x7e)) && c != ',';

        assert_case((ak_scope_check(ak_str(text, 3), NULL) == AK_OK) == good,
                    "0x%02x", c);
    }

    assert_int_equal(ak_scope_check(ak_str(NULL, 0), NULL), AK_ERROR);
}


static void
test_scopes_hold(void **state)
{
    (void) state;

    assert_true(ak_scopes_hold(S("a b,c"), S("a")));
    assert_true(ak_scopes_hold(S("a b,c"), S("b")));
    assert_true(ak_scopes_hold(S("a b,c"), S("c")));
    assert_false(ak_scopes_hold(S("a b,c"), S("d")));
    assert_false(ak_scopes_hold(S("a b,c"), S("a b")));
    assert_false(ak_scopes_hold(S("a b,c"), S("*")));
    assert_false(ak_scopes_hold(S("aa"), S("a")));
    assert_false(ak_scopes_hold(S("a"), S("aa")));
    assert_false(ak_scopes_hold(S("A"), S("a")));
    assert_false(ak_scopes_hold(ak_str(NULL, 0), S("a")));
    assert_true(ak_scopes_hold(S("*"), S("a")));
    assert_true(ak_scopes_hold(S("b *"), S("a")));
}


static void
test_routes(void **state)
{
    size_t  i;

    static const char  *good[] = {
        "/", "/v1", "/v1/", "/v1/chat/completions", "GET:/v1", "GET|POST:/v1",
        "M-SEARCH|X_Y:/v1", "/a:b", "GET:/a:b", "/v1,GET:/v2", "/.well-known",
        "/a/..b/b../...", "/a=b;c@d", "/\xc3\xa4", "/~x", "/v1beta/models/a:b"
    };

    static const refused_t  bad[] = {
        { "", "no item" },
        { ",", "no item" },
        { "v1", "begin with \"/\"" },
        { "/v1 v2/x", "\"v2/x\"" },
        { "GET", "begin with \"/\"" },
        { "GET:", "begin with \"/\"" },
        { "GET:v1", "begin with \"/\"" },
        { "GET:POST:/v1", "begin with \"/\"" },
        { ":/v1", "capitals" },
        { "get:/v1", "capitals" },
        { "GET|:/v1", "capitals" },
        { "|GET:/v1", "capitals" },
        { "GET||POST:/v1", "capitals" },
        { "GET/POST:/v1", "capitals" },
        { "*:/v1", "capitals" },
        { "/v1?x", "pattern" },
        { "/v1#x", "pattern" },
        { "/v1/*", "pattern" },
        { "/v1/%41", "\"%\"" },
        { "/v1\\x", "backslash" },
        { "//", "\"//\"" },
        { "/v1//x", "\"//\"" },
        { "/v1//", "\"//\"" },
        { "/.", "segment" },
        { "/..", "segment" },
        { "/./x", "segment" },
        { "/v1/../x", "segment" },
        { "/v1/..;a/x", "segment" },
        { "/v1/.", "segment" },
        { "/v1/../", "segment" },
        { "/v1\tx", "control" },
        { "/v1\x7f", "control" },
        { "/v1\n", "control" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        assert_case(ak_routes_check(ak_cstr(good[i]), NULL) == AK_OK, "\"%s\"",
                    good[i]);
    }

    check_refused(ak_routes_check, bad, ak_nitems(bad));

    /* what no list can hold, but a line's word can */

    assert_int_equal(ak_route_parse(S("/a,/b"), &(ak_route_t) { 0 }, NULL),
                     AK_ERROR);
    assert_int_equal(ak_route_parse(S("/a b"), &(ak_route_t) { 0 }, NULL),
                     AK_ERROR);
    assert_int_equal(ak_route_parse(S("/a\0b"), &(ak_route_t) { 0 }, NULL),
                     AK_ERROR);
    assert_int_equal(ak_route_parse(S(""), &(ak_route_t) { 0 }, NULL),
                     AK_ERROR);
}


static void
test_route_parts(void **state)
{
    ak_route_t  r;

    (void) state;

    assert_int_equal(ak_route_parse(S("/v1:x"), &r, NULL), AK_OK);
    assert_str(r.methods, "");
    assert_str(r.path, "/v1:x");

    assert_int_equal(ak_route_parse(S("GET|POST:/v1:x"), &r, NULL), AK_OK);
    assert_str(r.methods, "GET|POST");
    assert_str(r.path, "/v1:x");
}


static void
test_route_match(void **state)
{
    size_t      i;
    ak_str_t    path;
    ak_route_t  r;

    static const struct {
        const char  *route;
        const char  *method;
        const char  *path;
        bool         matches;
    } list[] = {
        { "/api/models", "GET", "/api/models", true },
        { "/api/models", "GET", "/api/models/", true },
        { "/api/models", "GET", "/api/models/x", true },
        { "/api/models", "GET", "/api/models-x", false },
        { "/api/models", "GET", "/api/model", false },
        { "/api/models", "GET", "/api/Models", false },
        { "/api/models", "GET", "", false },
        { "/api/models/", "GET", "/api/models/", true },
        { "/api/models/", "GET", "/api/models/x", true },
        { "/api/models/", "GET", "/api/models", false },
        { "/api/models/", "GET", "/api/models-x", false },
        { "/", "GET", "/", true },
        { "/", "GET", "/x", true },
        { "/", "GET", "*", false },
        { "GET:/", "HEAD", "/", true },
        { "GET|POST:/", "HEAD", "/", true },
        { "POST|GET:/", "HEAD", "/", true },
        { "POST|GET:/", "GET", "/", true },
        { "POST|GET:/", "POST", "/", true },
        { "POST|GET:/", "PUT", "/", false },
        { "POST|GET:/", "GE", "/", false },
        { "POST|GET:/", "GETX", "/", false },
        { "POST|GET:/", "get", "/", false },
        { "POST|GET:/", "POST|GET", "/", false },
        { "POST|GET:/", "", "/", false },
        { "HEAD:/", "GET", "/", false },
        { "HEAD:/", "HEAD", "/", true },
        { "/", "", "/", true }
    };

    (void) state;

    for (i = 0; i < ak_nitems(list); i++) {
        path = unit_exact(ak_cstr(list[i].path));

        assert_int_equal(ak_route_parse(ak_cstr(list[i].route), &r, NULL),
                         AK_OK);
        assert_case(ak_route_match(&r, ak_cstr(list[i].method), path)
                    == list[i].matches, "%s for %s %s", list[i].route,
                    list[i].method, list[i].path);

        unit_free(path);
    }
}


static void
test_routes_match(void **state)
{
    (void) state;

    assert_int_equal(ak_routes_match(S("/a GET:/b"), S("PUT"), S("/a")),
                     AK_OK);
    assert_int_equal(ak_routes_match(S("/a,GET:/b"), S("GET"), S("/b/c")),
                     AK_OK);
    assert_int_equal(ak_routes_match(S("/a,GET:/b"), S("PUT"), S("/b")),
                     AK_DENIED);
    assert_int_equal(ak_routes_match(S("/a"), S("GET"), S("/c")), AK_DENIED);
    assert_int_equal(ak_routes_match(S("/a b"), S("GET"), S("/a")), AK_ERROR);
    assert_int_equal(ak_routes_match(S("b /a"), S("GET"), S("/a")), AK_ERROR);
    assert_int_equal(ak_routes_match(S(" "), S("GET"), S("/a")), AK_ERROR);
    assert_int_equal(ak_routes_match(S(""), S("GET"), S("/a")), AK_ERROR);
}


static void
test_route_plain(void **state)
{
    size_t    i;
    char      text[8];
    ak_str_t  path;
    unsigned  c;

    static const struct {
        const char  *path;
        bool         plain;
    } list[] = {
        { "/", true },
        { "/v1/chat", true },
        { "/100%", true },
        { "/100%2", true },
        { "/a%20b%25", true },
        { "/%e2%82%ac", true },
        { "/%f2%c5%002", false },
        { "/%2", true },
        { "/%20e", true },
        { "/.well-known/a..b/...", true },
        { "/a/.b/..c", true },
        { "/a;b/c;.", true },
        { "/%2e", false },
        { "/%2E", false },
        { "/%2f", false },
        { "/%2F", false },
        { "/%5c", false },
        { "/%5C", false },
        { "/%00", false },
        { "/a%%2e", false },
        { "/x%5cy", false },
        { "/a\\b", false },
        { "/.", false },
        { "/..", false },
        { "/a/./b", false },
        { "/a/../b", false },
        { "/a/..;/b", false },
        { "/a/..;x=y/b", false },
        { "/a/.;x", false }
    };

    (void) state;

    for (i = 0; i < ak_nitems(list); i++) {
        path = unit_exact(ak_cstr(list[i].path));

        assert_case(ak_route_plain(path) == list[i].plain, "\"%s\"",
                    list[i].path);

        unit_free(path);
    }

    for (c = 0; c < 256; c++) {
        memcpy(text, "/a.b", 4);
        text[2] = (char) c;

        assert_case(ak_route_plain(ak_str(text, 4))
                    == (c >= 0x20 && c != 0x7f && c != '\\'), "0x%02x", c);
    }

    /* what is encoded is one of these, and nothing else is refused */

    for (c = 0; c < 256; c++) {
        snprintf(text, sizeof(text), "/%%%02x", c);

        assert_case(ak_route_plain(ak_cstr(text))
                    == (c != '.' && c != '/' && c != ';' && c != '\\'
                        && c != '\0'),
                    "\"%s\"", text);
    }
}


static void
test_cidrs(void **state)
{
    size_t  i;

    static const char  *good[] = {
        "0.0.0.0/0", "10.0.0.0/8", "10.0.0.1", "10.0.0.1/32", "::", "::/0",
        "::1", "2001:db8::/32", "2001:db8::1/128", "2001:DB8::/32",
        "10.0.0.0/8,::1 192.0.2.0/25", "::ffff:10.0.0.0/104",
        "::ffff:0:0/96", "::ffff:10.0.0.1", "128.0.0.0/1", "192.0.2.2/31",
        "2001:0db8:0000:0000:0000:0000:255.255.255.255"
    };

    static const refused_t  bad[] = {
        { "", "no item" },
        { " ,", "no item" },
        { "localhost", "\"localhost\"" },
        { "10.0.0.0/8 here", "\"here\"" },
        { "10", "no network" },
        { "10.0.0", "no network" },
        { "10.0.0.0.0", "no network" },
        { "10.0.0.256", "no network" },
        { "010.0.0.1", "no network" },
        { "0x0a.0.0.1", "no network" },
        { "10.0.0.1:80", "no network" },
        { "[::1]", "no network" },
        { ":::", "no network" },
        { "1::2::3", "no network" },
        { "fe80::1%eth0", "no network" },
        { "*", "no network" },
        { "/8", "no network" },
        { "10.0.0.0/", "from 0 to 32" },
        { "10.0.0.0/33", "from 0 to 32" },
        { "10.0.0.0/-1", "from 0 to 32" },
        { "10.0.0.0/+8", "from 0 to 32" },
        { "10.0.0.0/08", "from 0 to 32" },
        { "10.0.0.0/00", "from 0 to 32" },
        { "10.0.0.0/8/8", "from 0 to 32" },
        { "10.0.0.0/256", "from 0 to 32" },
        { "10.0.0.0/4294967304", "from 0 to 32" },
        { "10.0.0.0/255.0.0.0", "from 0 to 32" },
        { "::/129", "from 0 to 128" },
        { "::/999", "from 0 to 128" },
        { "10.0.0.1/8", "\"10.0.0.0/8\"" },
        { "192.0.2.3/31", "\"192.0.2.2/31\"" },
        { "128.0.0.0/0", "\"0.0.0.0/0\"" },
        { "2001:db8::1/32", "\"2001:db8::/32\"" },
        { "::1/127", "\"::/127\"" },
        { "::ffff:10.0.0.1/104", "bits beyond" },
        { "::ffff:10.0.0.0/8", "bits beyond" },
        { "::ffff:0:0/95", "bits beyond" },
        { "2001:0db8:0000:0000:0000:0000:255.255.255.2555555", "no network" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        assert_case(ak_cidrs_check(ak_cstr(good[i]), NULL) == AK_OK, "\"%s\"",
                    good[i]);
    }

    check_refused(ak_cidrs_check, bad, ak_nitems(bad));

    assert_int_equal(ak_cidr_parse(S("10.0.0.1\0"), &(ak_cidr_t) { 0 }, NULL),
                     AK_ERROR);
    assert_int_equal(ak_cidr_parse(S("10.0.0.1,"), &(ak_cidr_t) { 0 }, NULL),
                     AK_ERROR);
}


static void
test_cidr_parts(void **state)
{
    ak_cidr_t  c;

    (void) state;

    assert_int_equal(ak_cidr_parse(S("192.0.2.1"), &c, NULL), AK_OK);
    assert_int_equal(c.len, 4);
    assert_int_equal(c.prefix, 32);
    assert_memory_equal(c.address, "\xc0\x00\x02\x01", 4);

    assert_int_equal(ak_cidr_parse(S("::ffff:192.0.2.0/120"), &c, NULL),
                     AK_OK);
    assert_int_equal(c.len, 4);
    assert_int_equal(c.prefix, 24);
    assert_memory_equal(c.address, "\xc0\x00\x02\x00\0\0\0\0\0\0\0\0\0\0\0\0",
                        16);

    assert_int_equal(ak_cidr_parse(S("2001:db8::/33"), &c, NULL), AK_OK);
    assert_int_equal(c.len, 16);
    assert_int_equal(c.prefix, 33);
    assert_memory_equal(c.address, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0",
                        16);
}


/* For each prefix: an address that differs in its last bit, or one behind. */

static void
check_prefixes(int family, unsigned len)
{
    char       text[INET6_ADDRSTRLEN + 8];
    uint8_t    address[16], other[16];
    unsigned   prefix, bit, i;
    ak_cidr_t  c;

    for (prefix = 0; prefix <= len * 8; prefix++) {

        for (i = 0; i < len; i++) {
            address[i] = 0;
        }

        for (bit = 0; bit < prefix; bit++) {
            address[bit / 8] |= (uint8_t) (0x80 >> bit % 8);
        }

        assert_non_null(inet_ntop(family, address, text, sizeof(text)));
        snprintf(text + strlen(text), 8, "/%u", prefix);

        assert_case(ak_cidr_parse(ak_cstr(text), &c, NULL) == AK_OK, "%s",
                    text);
        assert_true(ak_cidr_match(&c, ak_str(address, len)));

        for (bit = 0; bit < len * 8; bit++) {
            memcpy(other, address, len);
            other[bit / 8] ^= (uint8_t) (0x80 >> bit % 8);

            assert_case(ak_cidr_match(&c, ak_str(other, len))
                        == (bit >= prefix), "%s, bit %u", text, bit);
        }
    }
}


static void
test_cidr_match(void **state)
{
    (void) state;

    check_prefixes(AF_INET, 4);
    check_prefixes(AF_INET6, 16);
}


static void
test_cidrs_match(void **state)
{
    static const ak_str_t  v4 = ak_string("\xc0\x00\x02\x01");
    static const ak_str_t  mapped =
        ak_string("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01");
    static const ak_str_t  v6 =
        ak_string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");

    (void) state;

    assert_int_equal(ak_cidrs_match(S("10.0.0.0/8 192.0.2.0/24"), v4), AK_OK);
    assert_int_equal(ak_cidrs_match(S("10.0.0.0/8,192.0.2.1"), mapped),
                     AK_OK);
    assert_int_equal(ak_cidrs_match(S("::ffff:192.0.2.1"), v4), AK_OK);
    assert_int_equal(ak_cidrs_match(S("::ffff:0:0/96"), v4), AK_OK);
    assert_int_equal(ak_cidrs_match(S("::ffff:0:0/96"), v6), AK_DENIED);
    assert_int_equal(ak_cidrs_match(S("::/0"), v6), AK_OK);
    assert_int_equal(ak_cidrs_match(S("::/0"), v4), AK_DENIED);
    assert_int_equal(ak_cidrs_match(S("::/0"), mapped), AK_DENIED);
    assert_int_equal(ak_cidrs_match(S("0.0.0.0/0"), mapped), AK_OK);
    assert_int_equal(ak_cidrs_match(S("0.0.0.0/0"), v6), AK_DENIED);
    assert_int_equal(ak_cidrs_match(S("0.0.0.0/0,::/0"), ak_str(NULL, 0)),
                     AK_DENIED);
    assert_int_equal(ak_cidrs_match(S("0.0.0.0/0,::/0"), ak_str(v6.data, 15)),
                     AK_DENIED);
    assert_int_equal(ak_cidrs_match(S("192.0.2.1 x"), v4), AK_ERROR);
    assert_int_equal(ak_cidrs_match(S(""), v4), AK_ERROR);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_list),
    cmocka_unit_test(test_scopes),
    cmocka_unit_test(test_scope_bytes),
    cmocka_unit_test(test_scopes_hold),
    cmocka_unit_test(test_routes),
    cmocka_unit_test(test_route_parts),
    cmocka_unit_test(test_route_match),
    cmocka_unit_test(test_routes_match),
    cmocka_unit_test(test_route_plain),
    cmocka_unit_test(test_cidrs),
    cmocka_unit_test(test_cidr_parts),
    cmocka_unit_test(test_cidr_match),
    cmocka_unit_test(test_cidrs_match)
};


UNIT_MAIN(tests)
