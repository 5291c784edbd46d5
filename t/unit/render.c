
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the body of a denial and its challenge. */


#include "unit.h"

#include <jansson.h>

#include "ak_render.h"


static void
check_string(json_t *object, const char *name, ak_str_t expected)
{
    json_t  *value;

    value = json_object_get(object, name);

    assert_true(json_is_string(value));
    assert_true(ak_str_eq(expected, ak_str(json_string_value(value),
                                           json_string_length(value))));
}


static void
check_body(ak_reason_e reason, const char *body, size_t len)
{
    json_t            *root, *error;
    const ak_error_t  *e;

    e = ak_error(reason);

    root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    assert_case(root != NULL, "\"%.*s\" does not parse", (int) len, body);

    assert_true(json_is_object(root));
    assert_int_equal(json_object_size(root), 1);

    error = json_object_get(root, "error");
    assert_true(json_is_object(error));
    assert_int_equal(json_object_size(error), 4);

    check_string(error, "message", e->message);
    check_string(error, "type", e->type);
    check_string(error, "code", e->code);
    assert_true(json_is_null(json_object_get(error, "param")));

    json_decref(root);
}


/* Byte for byte in the shape of the API that SDKs know. */

static void
check_shape(ak_reason_e reason, const char *body, size_t len)
{
    char               tail[256];
    size_t             n;
    const ak_error_t  *e;

    static const char  head[] = "{\"error\":{\"message\":\"";

    e = ak_error(reason);

    n = (size_t) snprintf(tail, sizeof(tail),
                          "\",\"type\":\"%.*s\",\"param\":null,"
                          "\"code\":\"%.*s\"}}", AK_FMT(e->type),
                          AK_FMT(e->code));

    assert_true(len > sizeof(head) - 1 + n);
    assert_memory_equal(body, head, sizeof(head) - 1);
    assert_memory_equal(body + len - n, tail, n);
}


static void
test_bodies(void **state)
{
    int      i;
    size_t   len;
    uint8_t  body[AK_BODY_MAX + 1];

    (void) state;

    for (i = AK_MISSING; i < AK_REASON_MAX; i++) {
        memset(body, 0xa5, sizeof(body));

        len = ak_render_body((ak_reason_e) i, body);

        assert_in_range(len, 1, AK_BODY_MAX);
        assert_int_equal(body[AK_BODY_MAX], 0xa5);

        check_body((ak_reason_e) i, (char *) body, len);
        check_shape((ak_reason_e) i, (char *) body, len);
    }
}


static void
test_body_depends_on_reason_alone(void **state)
{
    size_t   len;
    uint8_t  a[AK_BODY_MAX], b[AK_BODY_MAX];

    (void) state;

    memset(a, 0x00, sizeof(a));
    memset(b, 0xff, sizeof(b));

    len = ak_render_body(AK_UNKNOWN, a);
    assert_int_equal(ak_render_body(AK_UNKNOWN, b), len);
    assert_memory_equal(a, b, len);
}


static void
check_challenge(const char *realm, const char *expected)
{
    size_t     len, size;
    uint8_t   *dst;
    ak_str_t   r;

    r = unit_exact(ak_cstr(realm));
    size = AK_CHALLENGE_SIZE(r.len);

    dst = malloc(size);
    assert_non_null(dst);

    assert_int_equal(ak_render_challenge(r, dst, &len, NULL), AK_OK);
    assert_true(len <= size);
    assert_str(ak_str(dst, len), expected);

    free(dst);
    unit_free(r);
}


static void
test_challenge(void **state)
{
    (void) state;

    check_challenge("api", "Bearer realm=\"api\", error=\"invalid_token\"");
    check_challenge("", "Bearer realm=\"\", error=\"invalid_token\"");
    check_challenge("a b", "Bearer realm=\"a b\", error=\"invalid_token\"");
    check_challenge("a\"b", "Bearer realm=\"a\\\"b\", "
                    "error=\"invalid_token\"");
    check_challenge("a\\b", "Bearer realm=\"a\\\\b\", "
                    "error=\"invalid_token\"");
    check_challenge("\\\"", "Bearer realm=\"\\\\\\\"\", "
                    "error=\"invalid_token\"");
    check_challenge("\", error=\"", "Bearer realm=\"\\\", error=\\\"\", "
                    "error=\"invalid_token\"");
}


static void
test_challenge_limits(void **state)
{
    char       realm[AK_REALM_MAX + 2];
    size_t     i, len;
    uint8_t    dst[AK_CHALLENGE_SIZE(AK_REALM_MAX + 1) + 1];
    ak_diag_t  d;

    (void) state;

    /* the longest, with every character quoted */

    memset(realm, '"', sizeof(realm));
    memset(dst, 0xa5, sizeof(dst));

    assert_int_equal(ak_render_challenge(ak_str(realm, AK_REALM_MAX), dst,
                                         &len, &d), AK_OK);
    assert_true(len <= AK_CHALLENGE_SIZE(AK_REALM_MAX));
    assert_int_equal(dst[AK_CHALLENGE_SIZE(AK_REALM_MAX)], 0xa5);

    for (i = 0; i < AK_REALM_MAX; i++) {
        assert_memory_equal(dst + sizeof("Bearer realm=\"") - 1 + i * 2,
                            "\\\"", 2);
    }

    memset(&d, 0, sizeof(d));
    assert_int_equal(ak_render_challenge(ak_str(realm, AK_REALM_MAX + 1), dst,
                                         &len, &d), AK_ERROR);
    assert_int_not_equal(d.text[0], '\0');
}


static void
test_challenge_control(void **state)
{
    char       realm[3] = "a?b";
    size_t     len;
    uint8_t    dst[AK_CHALLENGE_SIZE(3)];
    unsigned   c;
    ak_diag_t  d;

    (void) state;

    for (c = 0; c < 128; c++) {
        realm[1] = (char) c;
        memset(&d, 0, sizeof(d));

        assert_case(ak_render_challenge(ak_str(realm, 3), dst, &len, &d)
                    == (c < 32 || c == 127 ? AK_ERROR : AK_OK),
                    "character 0x%02x", c);
        assert_int_equal(d.text[0] != '\0', c < 32 || c == 127);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_bodies),
    cmocka_unit_test(test_body_depends_on_reason_alone),
    cmocka_unit_test(test_challenge),
    cmocka_unit_test(test_challenge_limits),
    cmocka_unit_test(test_challenge_control)
};


UNIT_MAIN(tests)
