
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for changes of a keyring: one line changes, all else stays. */


#include "unit.h"

#include "ak_keyring_edit.h"


#define M1  "master " UNIT_MASTER_1 "\n"
#define M2  "master " UNIT_MASTER_2 "\n"
#define M3  "master " UNIT_MASTER_3 "\n"
#define P1  "pepper " UNIT_PEPPER_1 "\n"

#define MASTER_LINE  (sizeof(M1) - 1)


static const uint8_t  kid1[AK_KID_LEN] = { 0x38, 0x8b, 0x2f, 0xce };
static const uint8_t  kid2[AK_KID_LEN] = { 0x09, 0xf7, 0xec, 0xbb };
static const uint8_t  kid3[AK_KID_LEN] = { 0xa4, 0x13, 0x36, 0x64 };

static uint8_t  dst[AK_KEYRING_MAX];


/* The kids of a text, which is a keyring. */

static ak_keyring_t *
keyring(size_t len)
{
    ak_diag_t      d;
    ak_keyring_t  *k;

    k = ak_keyring_parse(ak_str(dst, len), &d);
    assert_case(k != NULL, "%s", d.text);

    return k;
}


/* The new line stands between what was before it and what was behind it. */

static void
check_add(bool first, const char *before, const char *behind)
{
    char           text[1024];
    size_t         len, at;
    uint8_t        kid[AK_KID_LEN];
    ak_str_t       copy;
    ak_diag_t      d;
    ak_keyring_t  *k;

    (void) snprintf(text, sizeof(text), "%s%s", before, behind);
    copy = unit_exact(ak_cstr(text));

    assert_int_equal(ak_keyring_add(copy, first, dst, &len, kid, &d), AK_OK);
    unit_free(copy);

    /* a last line that lacked its end has it now */

    at = strlen(before);

    if (at != 0 && before[at - 1] != '\n') {
        assert_int_equal(dst[at], '\n');
        at++;
    }

    assert_int_equal(len, at + MASTER_LINE + strlen(behind));
    assert_memory_equal(dst, before, strlen(before));
    assert_memory_equal(dst + at, "master ", 7);
    assert_memory_equal(dst + at + MASTER_LINE, behind, strlen(behind));

    k = keyring(len);

    assert_memory_equal(ak_keyring_kid(k, first ? 0
                                                : ak_keyring_masters(k) - 1),
                        kid, AK_KID_LEN);
    ak_keyring_free(k);
}


static void
test_add_first(void **state)
{
    (void) state;

    check_add(true, "", M1);
    check_add(true, "# one\n\n" P1, M1 "# two\n" M2);
    check_add(true, "", "master " UNIT_MASTER_1);
    check_add(true, "# a\r\n", "  master\t" UNIT_MASTER_1 "\r\n" P1 "\n\n");
    check_add(true, "# master " UNIT_MASTER_2 "\n", M1);
}


static void
test_add_last(void **state)
{
    (void) state;

    check_add(false, M1, "");
    check_add(false, "# one\n" M1 "\n" M2, "# two\n" P1);
    check_add(false, M1 "master " UNIT_MASTER_2, "");
    check_add(false, P1 M1, "# master " UNIT_MASTER_2);
}


static void
test_add_is_random(void **state)
{
    size_t   len;
    uint8_t  one[AK_KID_LEN], two[AK_KID_LEN];

    (void) state;

    assert_int_equal(ak_keyring_add(ak_literal(M1), true, dst, &len, one,
                                    NULL), AK_OK);
    assert_int_equal(ak_keyring_add(ak_literal(M1), true, dst, &len, two,
                                    NULL), AK_OK);
    assert_memory_not_equal(one, two, AK_KID_LEN);
}


/* What cannot be done leaves nothing of a secret, and says none. */

static void
check_refused(ak_rc_t rc, ak_rc_t expected, const size_t *len,
    const ak_diag_t *d, const char *why)
{
    assert_int_equal(rc, expected);
    assert_int_equal(*len, 0);
    assert_true(unit_zero(dst, sizeof(dst)));
    assert_case(strstr(d->text, why) != NULL, "%s: %s", why, d->text);
    assert_null(strstr(d->text, "lBnIvw9v"));
}


static void
test_full(void **state)
{
    size_t      i, len;
    uint8_t     kid[AK_KID_LEN];
    uint8_t    *text;
    ak_diag_t   d;

    (void) state;

    text = malloc(AK_KEYRING_MAX);
    assert_non_null(text);

    memcpy(text, M1, MASTER_LINE);
    len = MASTER_LINE;

    for (i = 1; i < AK_KEYRING_MASTERS; i++) {
        assert_int_equal(ak_keyring_add(ak_str(text, len), i % 2, dst, &len,
                                        kid, &d), AK_OK);
        memcpy(text, dst, len);
    }

    i = len;
    memset(dst, 0, sizeof(dst));
    check_refused(ak_keyring_add(ak_str(text, i), true, dst, &len, kid, &d),
                  AK_ERROR, &len, &d, "8 master keys already");

    /* no room in the file, rather than for a key */

    memset(text, '#', AK_KEYRING_MAX);
    memcpy(text, M1, MASTER_LINE);
    check_refused(ak_keyring_add(ak_str(text, AK_KEYRING_MAX - 10), false, dst,
                                 &len, kid, &d),
                  AK_ERROR, &len, &d, "longer than");
    free(text);
}


static void
check_promote(const char *text, const uint8_t *kid, const char *expected)
{
    size_t     len;
    ak_str_t   copy;
    ak_diag_t  d;

    copy = unit_exact(ak_cstr(text));

    assert_int_equal(ak_keyring_promote(copy, kid, dst, &len, &d), AK_OK);
    unit_free(copy);

    assert_int_equal(len, strlen(expected));
    assert_memory_equal(dst, expected, len);
}


static void
test_promote(void **state)
{
    (void) state;

    check_promote(M1 M2, kid2, M2 M1);
    check_promote(M1 M2, kid1, M1 M2);
    check_promote("#a\n" M1 "#b\n" M2 P1 M3 "#c", kid3,
                  "#a\n" M3 M1 "#b\n" M2 P1 "#c");
    check_promote(M1 "master " UNIT_MASTER_2, kid2, M2 M1);
    check_promote(M1 " master  " UNIT_MASTER_2 "\r\n" P1, kid2,
                  " master  " UNIT_MASTER_2 "\r\n" M1 P1);
}


static void
check_remove(const char *text, const uint8_t *kid, const char *expected)
{
    size_t     len;
    ak_str_t   copy;
    ak_diag_t  d;

    copy = unit_exact(ak_cstr(text));

    assert_int_equal(ak_keyring_remove(copy, kid, dst, &len, &d), AK_OK);
    unit_free(copy);

    assert_int_equal(len, strlen(expected));
    assert_memory_equal(dst, expected, len);
}


static void
test_remove(void **state)
{
    (void) state;

    check_remove(M1 M2, kid2, M1);
    check_remove(M1 M2, kid1, M2);
    check_remove("#a\n" M1 "#b\n" M2 P1 M3 "#c", kid2,
                 "#a\n" M1 "#b\n" P1 M3 "#c");
    check_remove(M1 "master " UNIT_MASTER_2, kid2, M1);
}


static void
test_refused(void **state)
{
    size_t     len;
    uint8_t    kid[AK_KID_LEN];
    ak_diag_t  d;

    (void) state;

    memset(dst, 0, sizeof(dst));

    check_refused(ak_keyring_promote(ak_literal(M1 M2), kid3, dst, &len, &d),
                  AK_NOT_FOUND, &len, &d, "no such master key");
    check_refused(ak_keyring_remove(ak_literal(M1 M2), kid3, dst, &len, &d),
                  AK_NOT_FOUND, &len, &d, "no such master key");
    check_refused(ak_keyring_remove(ak_literal(M1 P1), kid1, dst, &len, &d),
                  AK_ERROR, &len, &d, "only master key");
    check_refused(ak_keyring_add(ak_literal(M1 "master short\n"), true, dst,
                                 &len, kid, &d),
                  AK_ERROR, &len, &d, "not valid base64");
    assert_int_equal(d.line, 2);
    check_refused(ak_keyring_promote(ak_literal(P1), kid1, dst, &len, &d),
                  AK_ERROR, &len, &d, "no line");
    check_refused(ak_keyring_remove(ak_literal(""), kid1, dst, &len, &d),
                  AK_ERROR, &len, &d, "no line");
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_add_first),
    cmocka_unit_test(test_add_last),
    cmocka_unit_test(test_add_is_random),
    cmocka_unit_test(test_full),
    cmocka_unit_test(test_promote),
    cmocka_unit_test(test_remove),
    cmocka_unit_test(test_refused)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
