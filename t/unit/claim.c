
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for claims as text. */


#include "unit.h"

#include "ak_claim.h"


static unit_pool_t  pool;


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


static ak_rc_t
ask(const char *claims, const char *path, ak_str_t *value)
{
    ak_rc_t   rc;
    ak_str_t  text, name;

    text = unit_exact(ak_cstr(claims));
    name = unit_exact(ak_cstr(path));
    *value = S("untouched");

    rc = ak_claim(text, name, &pool.mem, value);

    memset((void *) text.data, 0x5a, text.len);
    unit_free(text);
    unit_free(name);

    return rc;
}


static void
check(const char *claims, const char *path, const char *expected)
{
    ak_rc_t   rc;
    ak_str_t  value;

    rc = ask(claims, path, &value);

    assert_case(rc == AK_OK, "%s of %s: %d", path, claims, rc);
    assert_case(ak_str_eq(value, ak_cstr(expected)),
                "%s of %s: \"%.*s\", not \"%s\"", path, claims,
                (int) value.len, (const char *) value.data, expected);
}


static void
check_none(const char *claims, const char *path)
{
    ak_rc_t   rc;
    ak_str_t  value;

    rc = ask(claims, path, &value);

    assert_case(rc == AK_NOT_FOUND, "%s of %s: %d", path, claims, rc);
    assert_str(value, "untouched");
}


static void
test_strings(void **state)
{
    (void) state;

    check("{\"a\":\"b\"}", "a", "b");
    check("{\"a\":\"b\",\"c\":\"d\"}", "c", "d");
    check("{\"a\":\"\"}", "a", "");
    check("{\"a\":\" b, \\\"c\\\" \\\\ \"}", "a", " b, \"c\" \\ ");
    check("{\"a\":\"J\\u00f6rg \xe2\x82\xac\"}", "a",
          "J\xc3\xb6rg \xe2\x82\xac");
    check("{\"a\":\"12\"}", "a", "12");
    check("{\"a\":\"null\"}", "a", "null");
}


static void
test_numbers(void **state)
{
    (void) state;

    check("{\"a\":0}", "a", "0");
    check("{\"a\":-7}", "a", "-7");
    check("{\"a\":1800000000}", "a", "1800000000");
    check("{\"a\":9223372036854775807}", "a", "9223372036854775807");
    check("{\"a\":-9223372036854775808}", "a", "-9223372036854775808");
    check("{\"a\":1.5}", "a", "1.5");
    check("{\"a\":true}", "a", "true");
    check("{\"a\":false}", "a", "false");
}


static void
test_lists(void **state)
{
    (void) state;

    check("{\"a\":[\"b\"]}", "a", "b");
    check("{\"a\":[\"b\",\"c\",\"d\"]}", "a", "b,c,d");
    check("{\"a\":[1,22,333]}", "a", "1,22,333");
    check("{\"a\":[\"b\",1,2.5,\"c\"]}", "a", "b,1,2.5,c");
    check("{\"a\":[\"\",\"b\",\"\"]}", "a", ",b,");
    check("{\"a\":[\"b c\",\"\\\"\"]}", "a", "b c,\"");
}


/* What commas cannot tell is told as JSON. */

static void
test_json(void **state)
{
    (void) state;

    check("{\"a\":[\"b,c\"]}", "a", "[\"b,c\"]");
    check("{\"a\":[\"b\",\"c,d\"]}", "a", "[\"b\",\"c,d\"]");
    check("{\"a\":[ \"c,d\" , \"b\" ]}", "a", "[\"c,d\",\"b\"]");
    check("{\"a\":[]}", "a", "[]");
    check("{\"a\":[true]}", "a", "[true]");
    check("{\"a\":[\"b\",null]}", "a", "[\"b\",null]");
    check("{\"a\":[\"b\",[\"c\"]]}", "a", "[\"b\",[\"c\"]]");
    check("{\"a\":[1,{}]}", "a", "[1,{}]");
    check("{\"a\":{}}", "a", "{}");
    check("{\"a\":{ \"b\" : [1, \"c\"] }}", "a", "{\"b\":[1,\"c\"]}");
}


static void
test_nested(void **state)
{
    static const char  claims[] =
        "{\"realm_access\":{\"roles\":[\"user\",\"admin\"]},"
        "\"a\":{\"b\":{\"c\":\"deep\"}}}";

    (void) state;

    check(claims, "realm_access.roles", "user,admin");
    check(claims, "a.b.c", "deep");
    check(claims, "a.b", "{\"c\":\"deep\"}");

    check(claims, "realm_access__roles", "user,admin");
    check(claims, "a__b__c", "deep");
    check(claims, "a.b__c", "deep");
    check(claims, "a__b.c", "deep");

    check_none(claims, "a.c");
    check_none(claims, "a.b.c.d");
    check_none(claims, "a__c");
    check_none(claims, "a_b_c");
    check_none(claims, "a.");
    check_none(claims, ".a");
    check_none(claims, "a..b");
    check_none(claims, "a____b");
    check_none(claims, "a__");
    check_none(claims, "__");
    check_none(claims, "realm_access.roles.0");
}


/* The exact name first, then the one with dots, then dots for "__". */

static void
test_exact_names(void **state)
{
    static const char  uri[] =
        "{\"https://example.com/roles\":[\"x\"],"
        "\"https://example.com/a\":{\"b\":\"y\"}}";

    (void) state;

    check("{\"a.b\":\"exact\",\"a\":{\"b\":\"nested\"}}", "a.b", "exact");
    check("{\"a__b\":\"exact\",\"a\":{\"b\":\"nested\"}}", "a__b", "exact");
    check("{\"a__b\":\"exact\",\"a\":{\"b\":\"nested\"}}", "a.b", "nested");
    check("{\"a.b\":\"exact\",\"a\":{\"b\":\"nested\"}}", "a__b", "exact");
    check("{\"a\":{\"b__c\":\"x\",\"b\":{\"c\":\"y\"}}}", "a.b__c", "x");
    check("{\"a_\":{\"b\":\"x\"}}", "a_.b", "x");

    /* of three, the first two are the dot */

    check("{\"a\":{\"_b\":\"x\"}}", "a___b", "x");
    check("{\"a_\":\"x\"}", "a_", "x");
    check("{\"_a\":\"x\"}", "_a", "x");

    check(uri, "https://example.com/roles", "x");
    check(uri, "https://example.com/a.b", "y");

    /* one that is null is there */

    check_none("{\"a__b\":null,\"a\":{\"b\":\"nested\"}}", "a__b");
    check_none("{\"a.b\":null,\"a\":{\"b\":\"nested\"}}", "a.b");
}


static void
test_missing(void **state)
{
    size_t    i;
    char      path[400];

    static const char  *bad[] = {
        "", "null", "\"a\"", "[\"a\"]", "{", "{\"a\":1", "{\"a\":1}x",
        "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}"
    };

    (void) state;

    check_none("{}", "a");
    check_none("{\"a\":null}", "a");
    check_none("{\"a\":\"b\"}", "b");
    check("{\"a\":\"b\"}", "A", "b");
    check("{\"Realm\":{\"Roles\":\"b\"}}", "realm__roles", "b");
    check("{\"A\":\"b\",\"a\":\"c\"}", "a", "c");
    check_none("{\"aB\":\"b\",\"Ab\":\"c\"}", "ab");
    check_none("{\"a\":\"b\"}", "a.b");
    check_none("{\"a\":\"b\"}", "");
    check_none("{\"\":\"b\"}", "");

    for (i = 0; i < ak_nitems(bad); i++) {
        check_none(bad[i], "a");
    }

    /* names of any length, with and without what could be dots */

    for (i = 1; i < sizeof(path); i++) {
        memset(path, '_', i);
        path[i] = '\0';
        check_none("{\"a\":\"b\"}", path);

        memset(path, 'a', i);
        path[i] = '\0';

        if (i != 1) {
            check_none("{\"a\":\"b\"}", path);
        }
    }
}


static void
test_control_characters(void **state)
{
    int       ch;
    size_t    i;
    char      text[64], expected[2];
    unsigned  used;

    static const char  *forms[] = {
        "{\"a\":\"\\u%04x\"}", "{\"a\":\"b\\u%04x\"}",
        "{\"a\":\"\\u%04xb\"}", "{\"a\":[\"b\",\"c\\u%04xd\"]}"
    };

    (void) state;

    used = 0;

    for (ch = 1; ch < 0x80; ch++) {

        if (ch >= 0x20 && ch != 0x7f) {
            snprintf(text, sizeof(text), forms[0], ch);
            snprintf(expected, sizeof(expected), "%c", ch);
            check(text, "a", expected);
            used++;
            continue;
        }

        for (i = 0; i < ak_nitems(forms); i++) {
            snprintf(text, sizeof(text), forms[i], ch);
            check_none(text, "a");
        }
    }

    assert_int_equal(used, 95);

    /* JSON escapes them, but for DEL */

    check("{\"a\":{\"b\":\"\\n\"}}", "a", "{\"b\":\"\\n\"}");
    check("{\"a\":[\"b,c\",\"\\r\\n\"]}", "a", "[\"b,c\",\"\\r\\n\"]");
    check_none("{\"a\":[\"b,c\",\"\\u007f\"]}", "a");
}


static void
test_no_memory(void **state)
{
    size_t    i;
    ak_str_t  value;

    static const char  *claims[] = {
        "{\"a\":\"b\"}", "{\"a\":12}", "{\"a\":[\"b\",\"c\"]}",
        "{\"a\":{\"b\":1}}", "{\"a\":\"\"}"
    };

    (void) state;

    for (i = 0; i < ak_nitems(claims); i++) {
        pool.left = 0;
        assert_int_equal(ask(claims[i], "a", &value), AK_NO_MEMORY);
        assert_str(value, "untouched");

        /* it takes one piece, and none where there is nothing */

        pool.left = 1;
        assert_int_equal(ask(claims[i], "a", &value), AK_OK);
        assert_int_equal(pool.left, 0);
        check_none(claims[i], "c");
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
    cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
    cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
    cmocka_unit_test_setup_teardown(test_json, setup, teardown),
    cmocka_unit_test_setup_teardown(test_nested, setup, teardown),
    cmocka_unit_test_setup_teardown(test_exact_names, setup, teardown),
    cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
    cmocka_unit_test_setup_teardown(test_control_characters, setup, teardown),
    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown)
};


UNIT_MAIN(tests)
