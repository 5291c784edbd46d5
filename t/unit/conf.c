
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the reader of configurations. */


#include "unit.h"

#include "ak_conf.h"


/*
 * All statements as one text: words between "|", then ";", "{" or "}", and
 * the line; or what is wrong with it, and where.
 */

static const char *
told(const char *text)
{
    char              *p;
    size_t             i;
    ak_rc_t            rc;
    ak_str_t           exact;
    ak_conf_t          c;
    ak_diag_t          d;
    static char        out[4096];
    static const char  ends[] = ";{}";

    memset(&c, 0, sizeof(c));
    exact = unit_exact(ak_cstr(text));
    c.text = exact;
    c.buf = malloc(exact.len + 1);
    assert_non_null(c.buf);

    p = out;
    *p = '\0';

    while ((rc = ak_conf_next(&c, &d)) == AK_OK) {

        for (i = 0; i < c.n; i++) {
            p += sprintf(p, "%s%.*s", i ? "|" : "", AK_FMT(c.words[i]));
        }

        p += sprintf(p, "%c%u ", ends[c.type], c.line);
    }

    if (rc == AK_ERROR) {
        sprintf(p, "%s at %u", d.text, d.line);
    }

    free(c.buf);
    unit_free(exact);

    return out;
}


static void
test_statements(void **state)
{
    (void) state;

    assert_string_equal(told(""), "");
    assert_string_equal(told(" \n\t# a; b {\n"), "");
    assert_string_equal(told("a;"), "a;1 ");
    assert_string_equal(told("a b\tc\r\n d;"), "a|b|c|d;2 ");
    assert_string_equal(told("a { b; }\nc d;"), "a{1 b;1 }1 c|d;2 ");
    assert_string_equal(told("a{b;}"), "a{1 b;1 }1 ");
    assert_string_equal(told("a #b\nc;"), "a|c;2 ");
    assert_string_equal(told("a b#c;"), "a|b#c;1 ");
    assert_string_equal(told("a ${b} c;"), "a|${b}|c;1 ");
    assert_string_equal(told("a [b=c d=e];"), "a|[b=c|d=e];1 ");
}


static void
test_quotes(void **state)
{
    (void) state;

    assert_string_equal(told("a \"b c\";"), "a|b c;1 ");
    assert_string_equal(told("a 'b;{}c' d;"), "a|b;{}c|d;1 ");
    assert_string_equal(told("a \"\" '';"), "a||;1 ");
    assert_string_equal(told("a \"b\nc\" d\n;"), "a|b\nc|d;3 ");
    assert_string_equal(told("a \"'\" '\"';"), "a|'|\";1 ");
    assert_string_equal(told("a b\"c;"), "a|b\"c;1 ");
    assert_string_equal(told("a \"\\\"\\\\\\t\\d\";"), "a|\"\\\t\\d;1 ");
    assert_string_equal(told("a b\\ c\\;d;"), "a|b\\ c\\;d;1 ");
    assert_string_equal(told("\"a\"{ }"), "a{1 }1 ");
}


static void
test_wrong(void **state)
{
    (void) state;

    assert_string_equal(told("a;\n;"), "a;1 unexpected \";\" at 2");
    assert_string_equal(told("{"), "unexpected \"{\" at 1");
    assert_string_equal(told("a }"), "unexpected \"}\" at 1");
    assert_non_null(strstr(told("a b"), "ends within a statement"));
    assert_non_null(strstr(told("a \"b"), "never closed"));
    assert_non_null(strstr(told("a \"b\"c;"), "followed by"));
    assert_non_null(strstr(told("a \"b\\"), "never closed"));
}


static void
test_many_words(void **state)
{
    char    text[2 * AK_CONF_WORDS_MAX + 8], *p;
    size_t  i;

    (void) state;

    for (p = text, i = 0; i < AK_CONF_WORDS_MAX; i++) {
        *p++ = 'a';
        *p++ = ' ';
    }

    strcpy(p, ";");
    assert_null(strstr(told(text), "too many"));

    strcpy(p, "a;");
    assert_non_null(strstr(told(text), "too many words"));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_statements),
    cmocka_unit_test(test_quotes),
    cmocka_unit_test(test_wrong),
    cmocka_unit_test(test_many_words)
};


UNIT_MAIN(tests)
