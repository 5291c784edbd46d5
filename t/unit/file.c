
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the reading of secret files. */


#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "ak_file.h"
#include "ak_store.h"


#define SECRET  "Tr0ub4dor-and-3"


typedef struct {
    unsigned  mode;
    bool      good;
} file_mode_t;


static const file_mode_t  modes[] = {
    { 0400, true }, { 0600, true }, { 0640, true }, { 0440, true },
    { 0700, true }, { 0750, true }, { 0601, true },
    { 0644, false }, { 0604, false }, { 0666, false }, { 0660, false },
    { 0620, false }, { 0602, false }, { 0777, false }, { 0444, false }
};


static char  folder[] = "/tmp/ak_file_XXXXXX";
static char  path[64];


static int
set_up(void **state)
{
    (void) state;

    if (mkdtemp(folder) == NULL) {
        return -1;
    }

    sprintf(path, "%s/secret", folder);

    return 0;
}


static int
tear_down(void **state)
{
    (void) state;

    unlink(path);

    return rmdir(folder);
}


static void
put(const void *data, size_t len, unsigned mode)
{
    FILE  *f;

    unlink(path);

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}


static void
test_read(void **state)
{
    size_t   i, len;
    uint8_t  data[256], dst[256];

    (void) state;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) i;
    }

    put(data, sizeof(data), 0600);
    assert_int_equal(ak_file_secret(path, dst, sizeof(dst), &len, NULL),
                     AK_OK);
    assert_int_equal(len, sizeof(data));
    assert_memory_equal(dst, data, sizeof(data));

    put("", 0, 0600);
    assert_int_equal(ak_file_secret(path, dst, sizeof(dst), &len, NULL),
                     AK_OK);
    assert_int_equal(len, 0);
}


static void
test_too_long(void **state)
{
    size_t     len;
    uint8_t    dst[8];
    ak_diag_t  d;

    (void) state;

    put("123456789", 9, 0600);
    assert_int_equal(ak_file_secret(path, dst, sizeof(dst), &len, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "is longer than 8 bytes"));
    assert_int_equal(len, 0);

    put("12345678", 8, 0600);
    assert_int_equal(ak_file_secret(path, dst, sizeof(dst), &len, &d), AK_OK);
    assert_int_equal(len, 8);
}


static void
test_modes(void **state)
{
    size_t     i, len;
    uint8_t    dst[64];
    ak_diag_t  d;

    (void) state;

    for (i = 0; i < ak_nitems(modes); i++) {

        put(SECRET, sizeof(SECRET) - 1, modes[i].mode);

        /* the owner can read it whatever comes next, or is root */

        assert_case((ak_file_secret(path, dst, sizeof(dst), &len, &d)
                     == AK_OK) == modes[i].good, "mode %o", modes[i].mode);

        if (!modes[i].good) {
            assert_non_null(strstr(d.text, path));
            assert_non_null(strstr(d.text, "mode 0"));
            assert_false(unit_leaks(d.text, strlen(d.text), S(SECRET), 4));
        }
    }
}


static void
test_no_file(void **state)
{
    size_t     len;
    uint8_t    dst[64];
    ak_diag_t  d;

    (void) state;

    unlink(path);
    assert_int_equal(ak_file_secret(path, dst, sizeof(dst), &len, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "cannot be opened: No such file"));

    assert_int_equal(ak_file_secret(folder, dst, sizeof(dst), &len, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "is not a regular file"));

    assert_int_equal(ak_file_secret("/dev/null", dst, sizeof(dst), &len, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "is not a regular file"));

    /* a pipe that nobody writes to would be waited for for ever */

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ak_file_secret(path, dst, sizeof(dst), &len, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "is not a regular file"));
}


/* What is public may be read by the world, and not be written by others. */

static void
test_public(void **state)
{
    bool         shared, others;
    size_t       i, len;
    uint8_t      dst[64];
    unsigned     readable;
    ak_diag_t    d;

    (void) state;

    readable = 0;

    for (i = 0; i < ak_nitems(modes); i++) {

        put(SECRET, sizeof(SECRET) - 1, modes[i].mode);

        others = (modes[i].mode & 0022) != 0;
        shared = (modes[i].mode & 0004) == 0;
        memset(&d, 0, sizeof(d));

        assert_case((ak_file_public(path, dst, sizeof(dst), &len, &shared, &d)
                     == AK_OK) == !others, "mode %o: %s", modes[i].mode,
                    d.text);

        if (others) {
            assert_non_null(strstr(d.text, path));
            assert_non_null(strstr(d.text, "can be written by others"));
            assert_int_equal(len, 0);
            continue;
        }

        assert_str(ak_str(dst, len), SECRET);
        assert_case(shared == ((modes[i].mode & 0004) != 0), "mode %o",
                    modes[i].mode);
        readable += shared;
    }

    assert_int_equal(readable, 3);
}


static void
test_public_limits(void **state)
{
    bool       shared;
    size_t     len;
    uint8_t    dst[8];
    ak_diag_t  d;

    (void) state;

    put("12345678", 8, 0644);
    assert_int_equal(ak_file_public(path, dst, sizeof(dst), &len, &shared,
                                    &d),
                     AK_OK);
    assert_int_equal(len, 8);
    assert_true(shared);

    put("123456789", 9, 0644);
    assert_int_equal(ak_file_public(path, dst, sizeof(dst), &len, &shared,
                                    &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "is longer than 8 bytes"));
    assert_int_equal(len, 0);

    put("", 0, 0644);
    assert_int_equal(ak_file_public(path, dst, sizeof(dst), &len, &shared,
                                    &d),
                     AK_OK);
    assert_int_equal(len, 0);

    unlink(path);
    assert_int_equal(ak_file_public(path, dst, sizeof(dst), &len, &shared,
                                    &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "cannot be opened"));

    assert_int_equal(ak_file_public(folder, dst, sizeof(dst), &len, &shared,
                                    &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "is not a regular file"));

    /* who does not ask whether it is shared does not want it to be */

    put(SECRET, 8, 0644);
    assert_int_equal(ak_file_public(path, dst, sizeof(dst), &len, NULL, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "can be read by everyone"));
}


/* The password of a store is the first line of such a file. */

static void
test_password(void **state)
{
    char               text[600];
    size_t             i, len;
    uint8_t            dst[AK_PASSWORD_MAX];
    ak_diag_t          d;
    static const char  *good[] = {
        SECRET, SECRET "\n", SECRET "\r\n", SECRET "\nmore\n", SECRET "\n\n"
    };

    static const char  *empty[] = { "", "\n", "\r\n", "\n" SECRET "\n" };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        put(good[i], strlen(good[i]), 0600);
        assert_int_equal(ak_store_password(path, dst, &len, &d), AK_OK);
        assert_str(ak_str(dst, len), SECRET);
    }

    for (i = 0; i < ak_nitems(empty); i++) {
        put(empty[i], strlen(empty[i]), 0600);
        assert_int_equal(ak_store_password(path, dst, &len, &d), AK_ERROR);
        assert_non_null(strstr(d.text, "has no password in its first line"));
        assert_int_equal(len, 0);
    }

    /* blanks are a part of it, as is every other byte */

    put(" a\0b \n", 6, 0600);
    assert_int_equal(ak_store_password(path, dst, &len, &d), AK_OK);
    assert_true(ak_str_eq(ak_str(dst, len), ak_str(" a\0b ", 5)));

    memset(text, 'x', sizeof(text));

    put(text, AK_PASSWORD_MAX, 0600);
    assert_int_equal(ak_store_password(path, dst, &len, &d), AK_OK);
    assert_int_equal(len, AK_PASSWORD_MAX);

    put(text, AK_PASSWORD_MAX + 1, 0600);
    assert_int_equal(ak_store_password(path, dst, &len, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "longer than 512 bytes"));
    assert_null(strstr(d.text, "xxxx"));

    put(SECRET, sizeof(SECRET) - 1, 0644);
    assert_int_equal(ak_store_password(path, dst, &len, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "can be read by everyone"));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_read),
    cmocka_unit_test(test_too_long),
    cmocka_unit_test(test_modes),
    cmocka_unit_test(test_no_file),
    cmocka_unit_test(test_public),
    cmocka_unit_test(test_public_limits),
    cmocka_unit_test(test_password)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
