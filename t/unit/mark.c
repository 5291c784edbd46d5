
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for marks, by which tokens are revoked. */


#include "unit.h"

#include "ak_mark.h"


#define NAME_250                                                              \
    "0123456789012345678901234567890123456789012345678901234567890123456789"  \
    "0123456789012345678901234567890123456789012345678901234567890123456789"  \
    "0123456789012345678901234567890123456789012345678901234567890123456789"  \
    "0123456789012345678901234567890123456789"


static void
test_names(void **state)
{
    size_t  i;

    static const struct {
        ak_str_t  name;
        bool      valid;
    } cases[] = {
        { ak_string("jti:a"), true },
        { ak_string("sub:alice"), true },
        { ak_string("jti::"), true },
        { ak_string("jti:a:b c"), true },
        { ak_string("sub:\xc3\xa9 \xf0\x9f\x94\x91"), true },
        { ak_string("sub:*"), true },
        { ak_string("jti:" NAME_250 "12345"), true },
        { ak_string("jti:" NAME_250 "123456"), false },
        { ak_string("jti:" NAME_250 NAME_250), false },
        { ak_string("jti:"), false },
        { ak_string("sub:"), false },
        { ak_string("jti"), false },
        { ak_string("jt"), false },
        { ak_string(""), false },
        { ak_string("JTI:a"), false },
        { ak_string("iss:a"), false },
        { ak_string("a"), false },
        { ak_string("jti:a\nb"), false },
        { ak_string("jti:a\0b"), false },
        { ak_string("jti:\x1f"), false },
        { ak_string("jti:\x7f"), false },
        { ak_string("jti:\t"), false },
        { ak_string("jti: "), true }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        ak_str_t  exact = unit_exact(cases[i].name);

        assert_case(ak_mark_name_valid(exact) == cases[i].valid, "%zu: %.*s",
                    i, AK_FMT(exact));
        unit_free(exact);
    }
}


static void
test_times(void **state)
{
    size_t    i;
    int64_t   at;
    ak_str_t  exact;

    static const struct {
        const char  *text;
        int64_t      at;       /* -1: it is none */
    } cases[] = {
        { "0", 0 }, { "1", 1 }, { "1799999900", 1799999900 },
        { "000001799999900", 1799999900 },
        { "999999999999999", 999999999999999 },
        { "1799999900.", 1799999900 }, { "1799999900.999", 1799999900 },
        { "", -1 }, { ".", -1 }, { ".5", -1 }, { "1.2.3", -1 }, { "x", -1 },
        { "-1", -1 }, { "+1", -1 }, { " 1", -1 }, { "1 ", -1 },
        { "0000000000000001", -1 }, { "18446744073709551617", -1 },
        { "1.00000000000000000000", -1 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        exact = unit_exact(ak_cstr(cases[i].text));

        assert_case(ak_mark_time(exact, &at)
                    == (cases[i].at == -1 ? AK_ERROR : AK_OK), "\"%s\"",
                    cases[i].text);
        assert_case(cases[i].at == -1 || at == cases[i].at, "\"%s\"",
                    cases[i].text);
        unit_free(exact);
    }
}


static void
test_fields(void **state)
{
    size_t      i;
    ak_rc_t     rc;
    ak_diag_t   d;
    ak_mark_t   mark;
    ak_field_t  fields[3] = {
        { ak_string("at"), ak_string("") },
        { ak_string("expires"), ak_string("") },
        { ak_string("by"), ak_string("ops") }
    };

    static const struct {
        const char  *at;
        const char  *expires;
        const char  *why;      /* NULL: nothing is wrong */
    } cases[] = {
        { "5", "9", NULL }, { "5", "0", NULL }, { "5.5", "9", NULL },
        { "", "9", "\"at\" is missing" }, { "soon", "9", "\"at\"" },
        { "5", "", "\"expires\"" }, { "5", "never", "\"expires\"" },
        { "5", "-9", "\"expires\"" }, { "x", "x", "\"expires\"" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        fields[0].value = ak_cstr(cases[i].at);
        fields[1].value = ak_cstr(cases[i].expires);

        rc = ak_mark_parse(fields, 3, &mark, &d);

        assert_case(rc == (cases[i].why == NULL ? AK_OK : AK_ERROR), "%zu", i);
        assert_case(cases[i].why == NULL
                    || strstr(d.text, cases[i].why) != NULL, "%s", d.text);
        assert_str(mark.at, cases[i].at);
    }

    /* without an end, and without anything */

    fields[0].value = S("5");
    assert_int_equal(ak_mark_parse(fields, 1, &mark, &d), AK_OK);
    assert_int_equal(mark.expires, 0);
    assert_int_equal(ak_mark_parse(fields, 0, &mark, &d), AK_ERROR);
    assert_int_equal(ak_mark_parse(fields + 1, 1, &mark, NULL), AK_ERROR);
}


static void
test_ended(void **state)
{
    ak_mark_t  mark = { ak_string("5"), 0 };

    (void) state;

    assert_false(ak_mark_ended(&mark, INT64_MAX));

    mark.expires = 1800000000;
    assert_false(ak_mark_ended(&mark, 1799999999));
    assert_true(ak_mark_ended(&mark, 1800000000));
    assert_true(ak_mark_ended(&mark, 1800000001));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_times),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_ended)
};


UNIT_MAIN(tests)
