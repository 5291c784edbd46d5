
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the lines of the embedded store. */


#include "unit.h"

#include "ak_fline.h"


typedef struct {
    const char  *text;
    const char  *why;
} bad_t;


static const bad_t  bad[] = {
    { "{", "no JSON object" },
    { "[]", "no JSON object" },
    { "\"key\"", "no JSON object" },
    { "{} {}", "no JSON object" },
    { "{}", "no member \"key\"" },
    { "{\"id\":\"a\"}", "no member \"key\"" },
    { "{\"key\":1}", "\"key\" is no string" },
    { "{\"key\":\"\"}", "no id" },
    { "{\"key\":\"a-b\"}", "no id" },
    { "{\"key\":\"a\",\"key\":\"b\"}", "there twice" },
    { "{\"key\":\"a\",\"owner\":\"x\",\"owner\":\"y\"}", "there twice" },
    { "{\"key\":\"a\",\"owner\":null}", "\"owner\" is neither" },
    { "{\"key\":\"a\",\"owner\":{}}", "\"owner\" is neither" },
    { "{\"key\":\"a\",\"expires\":1.5}", "\"expires\" is neither" },
    { "{\"key\":\"a\",\"expires\":true}", "\"expires\" is neither" },
    { "{\"upstream\":\"\"}", "no name of an owner" },
    { "{\"upstream\":1}", "\"upstream\" is no string" },
    { "{\"upstream\":\"a\"}", "\"provider\" is missing" },
    { "{\"upstream\":\"a\",\"provider\":\"p:q\"}", "\"provider\" is missing" },
    { "{\"upstream\":\"a\",\"provider\":\"p\"}", "\"slots\" is missing" },
    { "{\"upstream\":\"a\",\"provider\":\"p\",\"slots\":[]}",
      "\"slots\" is missing" },
    { "{\"upstream\":\"a\",\"provider\":\"p\",\"slots\":{\"s\":1}}",
      "of \"slots\" is no string" },
    { "{\"revoked\":1}", "\"revoked\" is no string" },
    { "{\"revoked\":\"\"}", "neither \"jti:\" nor \"sub:\"" },
    { "{\"revoked\":\"jti:\"}", "neither \"jti:\" nor \"sub:\"" },
    { "{\"revoked\":\"iss:x\"}", "neither \"jti:\" nor \"sub:\"" },
    { "{\"revoked\":\"jti:a\\nb\"}", "neither \"jti:\" nor \"sub:\"" },
    { "{\"revoked\":\"jti:a\\u0000b\"}", "no JSON object" },
    { "{\"revoked\":\"jti:a\",\"revoked\":\"jti:b\"}", "there twice" },
    { "{\"revoked\":\"jti:a\",\"at\":1,\"at\":2}", "there twice" },
    { "{\"revoked\":\"jti:a\",\"at\":[1]}", "\"at\" is neither" },
    { "{\"revoked\":\"jti:a\",\"at\":1.5}", "\"at\" is neither" }
};


static ak_rc_t
parse(const char *text, ak_fline_t *line, ak_diag_t *d)
{
    ak_rc_t   rc;
    ak_str_t  exact;

    d->text[0] = '\0';

    exact = unit_exact(ak_cstr(text));
    rc = ak_fline_parse(exact, line, d);
    unit_free(exact);

    return rc;
}


static void
test_nothing(void **state)
{
    size_t        i;
    ak_diag_t     d;
    ak_fline_t    line;
    static const char  *texts[] = { "", " ", "\r", "# a note", "  # {", "\t" };

    (void) state;

    for (i = 0; i < ak_nitems(texts); i++) {
        assert_int_equal(parse(texts[i], &line, &d), AK_OK);
        assert_int_equal(line.type, AK_FLINE_NOTHING);
        ak_fline_free(&line);
    }
}


static void
test_bad(void **state)
{
    size_t      i;
    ak_diag_t   d;
    ak_fline_t  line;

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_case(parse(bad[i].text, &line, &d) == AK_ERROR, "%s",
                    bad[i].text);
        assert_case(strstr(d.text, bad[i].why) != NULL, "%s: %s",
                    bad[i].text, d.text);
        ak_fline_free(&line);
    }
}


/* A diagnostic goes to a log: no value is in it. */

static void
test_told_nothing(void **state)
{
    ak_diag_t   d;
    ak_fline_t  line;

    (void) state;

    assert_int_equal(parse("{\"key\":\"a\",\"hash\":\"" UNIT_HASH, &line, &d),
                     AK_ERROR);
    assert_false(unit_leaks(d.text, strlen(d.text), S(UNIT_HASH), 8));
    ak_fline_free(&line);
}


static void
test_key(void **state)
{
    char       *text;
    size_t      len;
    ak_diag_t   d;
    ak_fline_t  line, again;
    static const char  written[] =
        "{\"key\":\"A1b2\",\"hash\":\"" UNIT_HASH "\",\"owner\":\"alice\","
        "\"status\":\"active\",\"created\":1700000000,\"expires\":0,"
        "\"meta.team\":\"r\\u00e9d\"}";

    (void) state;

    assert_int_equal(parse(written, &line, &d), AK_OK);
    assert_int_equal(line.type, AK_FLINE_KEY);
    assert_str(line.id, "A1b2");
    assert_int_equal(line.n, 6);
    assert_str(line.fields[0].name, "hash");
    assert_str(line.fields[0].value, UNIT_HASH);
    assert_str(line.fields[3].value, "1700000000");
    assert_str(line.fields[4].value, "0");
    assert_str(line.fields[5].name, "meta.team");
    assert_str(line.fields[5].value, "r\xc3\xa9" "d");

    text = ak_fline_format(&line, &len);
    assert_non_null(text);
    assert_int_equal(text[len - 1], '\n');
    assert_non_null(strstr(text, "\"created\":1700000000,\"expires\":0"));

    assert_int_equal(ak_fline_parse(ak_str(text, len - 1), &again, &d), AK_OK);
    assert_int_equal(again.n, line.n);
    assert_true(ak_str_eq(again.fields[5].value, line.fields[5].value));

    ak_fline_free(&again);
    ak_fline_free(&line);
    free(text);
}


static void
test_upstream(void **state)
{
    char       *text;
    size_t      len;
    ak_diag_t   d;
    ak_fline_t  line;
    static const char  written[] =
        "{\"upstream\":\"*\",\"provider\":\"openai\","
        "\"slots\":{\"default\":\"ak1.x\",\"two\":\"ak1.y\"}}";

    (void) state;

    assert_int_equal(parse(written, &line, &d), AK_OK);
    assert_int_equal(line.type, AK_FLINE_UPSTREAM);
    assert_str(line.owner, "*");
    assert_str(line.provider, "openai");
    assert_int_equal(line.n, 2);

    text = ak_fline_format(&line, &len);
    assert_non_null(text);
    assert_int_equal(len, strlen(written) + 1);
    assert_memory_equal(text, written, len - 1);

    ak_fline_free(&line);
    free(text);
}


static void
test_mark(void **state)
{
    char       *text;
    size_t      len;
    ak_diag_t   d;
    ak_fline_t  line;
    static const char  written[] =
        "{\"revoked\":\"sub:\xc3\xa9:\\\"x\\\"\",\"at\":1795235813,"
        "\"expires\":0,\"by\":\"ops\"}";

    (void) state;

    assert_int_equal(parse(written, &line, &d), AK_OK);
    assert_int_equal(line.type, AK_FLINE_MARK);
    assert_str(line.id, "sub:\xc3\xa9:\"x\"");
    assert_int_equal(line.n, 3);
    assert_str(line.fields[0].name, "at");
    assert_str(line.fields[0].value, "1795235813");
    assert_str(line.fields[1].value, "0");

    text = ak_fline_format(&line, &len);
    assert_non_null(text);
    assert_int_equal(len, strlen(written) + 1);
    assert_memory_equal(text, written, len - 1);

    ak_fline_free(&line);
    free(text);
}


/*
 * What can be seen to be a mark is one, whatever else is wrong with it; so is
 * none that cannot.
 */

static void
test_lost_mark(void **state)
{
    char       *text;
    size_t      i;
    ak_diag_t   d;
    ak_fline_t  line;

    static const struct {
        const char  *text;
        ak_fline_e   type;
    } cases[] = {
        { "{\"revoked\":\"jti:a", AK_FLINE_MARK },
        { "{\"revoked\"", AK_FLINE_MARK },
        { "{\"revo", AK_FLINE_MARK },
        { "{\"r", AK_FLINE_MARK },
        { " {\t\"revoked\" : garbage", AK_FLINE_MARK },
        { "{\"revoked\":\"jti:\xff\"}", AK_FLINE_MARK },
        { "{\"revoked\":null}", AK_FLINE_MARK },
        { "{\"revoked\":\"jti:\",\"key\":\"a\"}", AK_FLINE_MARK },
        { "{\"at\":1,\"revoked\":\"x\"}", AK_FLINE_MARK },
        { "{\"", AK_FLINE_NOTHING },
        { "{", AK_FLINE_NOTHING },
        { "{\"rev0ked\":\"jti:a\"}", AK_FLINE_NOTHING },
        { "{\"revokedx\":\"jti:a\"}", AK_FLINE_NOTHING },
        { "revoked", AK_FLINE_NOTHING },
        { "{\"key\":\"a\",\"status\":\"revoked", AK_FLINE_NOTHING }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_case(parse(cases[i].text, &line, &d) == AK_ERROR, "%s",
                    cases[i].text);
        assert_case(line.type == cases[i].type, "%s: type %d", cases[i].text,
                    (int) line.type);
        assert_int_equal(line.id.len, 0);
        ak_fline_free(&line);
    }

    /* too long to be read at all */

    text = malloc(AK_FLINE_MAX + 20);
    assert_non_null(text);
    memset(text, 'x', AK_FLINE_MAX + 20);
    memcpy(text, "{\"revoked\"", 10);

    assert_int_equal(ak_fline_parse(ak_str(text, AK_FLINE_MAX + 20), &line,
                                    &d), AK_ERROR);
    assert_int_equal(line.type, AK_FLINE_MARK);
    ak_fline_free(&line);
    free(text);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_nothing),
    cmocka_unit_test(test_bad),
    cmocka_unit_test(test_told_nothing),
    cmocka_unit_test(test_key),
    cmocka_unit_test(test_upstream),
    cmocka_unit_test(test_mark),
    cmocka_unit_test(test_lost_mark)
};


UNIT_MAIN(tests)
