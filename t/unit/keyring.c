
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the keyring: its text, its file, what it never says. */


#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_keyring.h"


#define M1  "master " UNIT_MASTER_1 "\n"
#define M2  "master " UNIT_MASTER_2 "\n"
#define P1  "pepper " UNIT_PEPPER_1 "\n"
#define P2  "pepper " UNIT_PEPPER_2 "\n"


static const uint8_t  kid1[AK_KID_LEN] = { 0x38, 0x8b, 0x2f, 0xce };
static const uint8_t  kid2[AK_KID_LEN] = { 0x09, 0xf7, 0xec, 0xbb };
static const uint8_t  kid3[AK_KID_LEN] = { 0xa4, 0x13, 0x36, 0x64 };


static char  dir[] = "/tmp/ak_keyring_XXXXXX";


static int
setup(void **state)
{
    (void) state;

    return mkdtemp(dir) == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    return rmdir(dir);
}


static ak_keyring_t *
parse(ak_str_t text, ak_diag_t *d)
{
    ak_str_t       copy;
    ak_keyring_t  *k;

    memset(d, 0, sizeof(*d));

    copy = unit_exact(text);
    k = ak_keyring_parse(copy, d);
    memset((void *) copy.data, 0xa5, copy.len);
    unit_free(copy);

    return k;
}


static void
check(const char *text, size_t masters, bool pepper)
{
    ak_diag_t      d;
    ak_keyring_t  *k;

    k = parse(ak_cstr(text), &d);
    assert_case(k != NULL, "refused: %s\n%s", d.text, text);

    assert_int_equal(ak_keyring_masters(k), masters);
    assert_int_equal(ak_keyring_pepper(k) != NULL, pepper);

    ak_keyring_free(k);
}


static void
test_good(void **state)
{
    (void) state;

    check(M1, 1, false);
    check(M1 P1, 1, true);
    check(P1 M1, 1, true);
    check(M1 M2 P1, 2, true);
    check("# a comment\n" M1 "#\n# pepper none\n" P1, 1, true);
    check("\n\n" M1 "\n\n" P1 "\n\n", 1, true);
    check("master " UNIT_MASTER_1, 1, false);
    check(M1 "pepper " UNIT_PEPPER_1, 1, true);
    check(M1 "  \n\t\n" P1, 1, true);
    check("master " UNIT_MASTER_1 "\r\n\r\n# a\r\npepper " UNIT_PEPPER_1
          "\r\n", 1, true);
}


static void
test_kids(void **state)
{
    uint8_t        kid[AK_KID_LEN];
    ak_gcm_t      *sealer;
    ak_diag_t      d;
    ak_keyring_t  *k;

    (void) state;

    k = parse(S(M2 M1 P1), &d);
    assert_non_null(k);

    assert_int_equal(ak_keyring_masters(k), 2);
    assert_memory_equal(ak_keyring_kid(k, 0), kid2, AK_KID_LEN);
    assert_memory_equal(ak_keyring_kid(k, 1), kid1, AK_KID_LEN);

    sealer = ak_keyring_sealer(k, kid);
    assert_non_null(sealer);
    assert_memory_equal(kid, kid2, AK_KID_LEN);

    assert_non_null(ak_keyring_opener(k, kid1));
    assert_non_null(ak_keyring_opener(k, kid2));
    assert_ptr_not_equal(ak_keyring_opener(k, kid1),
                         ak_keyring_opener(k, kid2));
    assert_null(ak_keyring_opener(k, kid3));

    ak_keyring_free(k);
    ak_keyring_free(NULL);
}


static void
test_pepper(void **state)
{
    uint8_t        a[AK_SHA256_LEN], b[AK_SHA256_LEN];
    ak_diag_t      d;
    ak_keyring_t  *k1, *k2;

    static const uint8_t  pepper[32] = {
        0x44, 0xed, 0xf3, 0xac, 0x78, 0x90, 0x89, 0x7d,
        0xfa, 0xbe, 0xd4, 0x5b, 0x8f, 0x4d, 0x4f, 0xf4,
        0xf8, 0x98, 0x3a, 0xf0, 0xc6, 0x61, 0x5f, 0x14,
        0xf1, 0xaa, 0x15, 0x42, 0xf0, 0xca, 0x12, 0x5c
    };

    ak_hmac_t  *h;

    (void) state;

    k1 = parse(S(M1 P1), &d);
    k2 = parse(S(M1 P2), &d);
    h = ak_hmac_create(ak_str(pepper, 32));

    assert_int_equal(ak_hmac(ak_keyring_pepper(k1), S("x"), S("y"), a), AK_OK);
    assert_int_equal(ak_hmac(h, S("x"), S("y"), b), AK_OK);
    assert_memory_equal(a, b, sizeof(a));

    assert_int_equal(ak_hmac(ak_keyring_pepper(k2), S("x"), S("y"), b), AK_OK);
    assert_memory_not_equal(a, b, sizeof(a));

    ak_hmac_free(h);
    ak_keyring_free(k2);
    ak_keyring_free(k1);
}


typedef struct {
    const char  *text;
    unsigned     line;         /* 0: of none */
} bad_t;


static const bad_t  bad[] = {

    /* an unknown word, in every way that a secret can be beside it */

    { "mastr " UNIT_MASTER_2 "\n", 1 },
    { M1 "# c\nMASTER " UNIT_MASTER_2 "\n", 3 },
    { M1 UNIT_MASTER_2 "\n", 2 },
    { M1 UNIT_MASTER_2 " master\n", 2 },
    { M1 "master=" UNIT_MASTER_2 "\n", 2 },
    { M1 "master:" UNIT_MASTER_2 "\n", 2 },
    { M1 "master" UNIT_MASTER_2 "\n", 2 },
    { M1 "masters " UNIT_MASTER_2 "\n", 2 },
    { M1 "salt " UNIT_MASTER_2 "\n", 2 },
    { M1 "\xef\xbb\xbfmaster " UNIT_MASTER_2 "\n", 2 },

    /* no value, or more than one */

    { "master\n", 1 },
    { "master \n", 1 },
    { M1 "pepper", 2 },
    { "master " UNIT_MASTER_2 " " UNIT_MASTER_3 "\n", 1 },
    { "master " UNIT_MASTER_2 "# a comment\n", 1 },
    { "master \"" UNIT_MASTER_2 "\"\n", 1 },

    /* short, long, bad base64 */

    { "master lBnIvw9v2kWBL96NxNd38AIxnsBnMSDu2VrjJhjzqA==\n", 1 },
    { M1 "pepper RO3zrHiQiX36vtRbj01P9A==\n", 2 },
    { "master lBnIvw9v2kWBL96NxNd38AIxnsBnMSDu2VrjJhjzqAo7\n", 1 },
    { "master lBnIvw9v2kWBL96NxNd38AIxnsBnMSDu2VrjJhjzqAo\n", 1 },
    { "master lBnIvw9v2kWBL96NxNd38AIxnsBnMSDu2VrjJhjzqAp=\n", 1 },
    { "master lBnIvw9v2kWBL96NxNd38AIx*sBnMSDu2VrjJhjzqAo=\n", 1 },
    { "master lBnIvw9v2kWBL96NxNd38AIxn sBnMSDu2VrjJhjzqAo=\n", 1 },
    { "master _ANtpOH6RgikuUy2gmHvRItVa9yIGbp8_Q3aIUdlEgQ=\n", 1 },
    { "master 9419c8bf0f6fda45812fde8dc4d777f002319ec0673120eed95ae32618f3a8"
      "0a\n", 1 },

    /* only one pepper can be the pepper */

    { M1 P1 "\n" P2, 4 },
    { M1 P1 P1, 3 }
};


static void
check_diag(const ak_diag_t *d, const char *name)
{
    size_t  i;

    static const char  *secrets[] = {
        UNIT_MASTER_1, UNIT_MASTER_2, UNIT_MASTER_3, UNIT_PEPPER_1,
        UNIT_PEPPER_2,
        "9419c8bf0f6fda45812fde8dc4d777f002319ec0673120eed95ae32618f3a80a"
    };

    assert_case(d->text[0] != '\0', "no word about: %s", name);

    for (i = 0; i < ak_nitems(secrets); i++) {
        assert_case(!unit_leaks(d->text, strlen(d->text), ak_cstr(secrets[i]),
                                5), "\"%s\" tells of: %s", d->text, name);
    }
}


static void
test_bad(void **state)
{
    size_t         i;
    ak_diag_t      d;
    ak_keyring_t  *k;

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        k = parse(ak_cstr(bad[i].text), &d);

        assert_case(k == NULL, "accepted: %s", bad[i].text);
        assert_case(d.line == bad[i].line, "line %u, not %u (%s): %s", d.line,
                    bad[i].line, d.text, bad[i].text);
        check_diag(&d, bad[i].text);

        assert_null(ak_keyring_parse(ak_cstr(bad[i].text), NULL));
    }
}


static void
test_eight_masters(void **state)
{
    char            text[AK_KEYRING_MASTERS * 64 + 64];
    size_t          i, n;
    ak_diag_t       d;
    ak_keyring_t   *k;

    (void) state;

    n = 0;

    for (i = 0; i < AK_KEYRING_MASTERS; i++) {
        n += (size_t) sprintf(text + n, "master %c" "%s\n", (int) ('A' + i),
                              &UNIT_MASTER_1[1]);
    }

    k = parse(ak_cstr(text), &d);
    assert_non_null(k);
    assert_int_equal(ak_keyring_masters(k), AK_KEYRING_MASTERS);

    for (i = 0; i < AK_KEYRING_MASTERS; i++) {
        assert_non_null(ak_keyring_opener(k, ak_keyring_kid(k, i)));
    }

    ak_keyring_free(k);

    sprintf(text + n, M2);
    assert_null(parse(ak_cstr(text), &d));
    assert_int_equal(d.line, AK_KEYRING_MASTERS + 1);
    check_diag(&d, "nine masters");
}


static void
test_zero_byte(void **state)
{
    ak_diag_t  d;

    (void) state;

    assert_null(parse(S(M1 "\0\n"), &d));
    check_diag(&d, "a zero byte");
    assert_null(parse(S("master " UNIT_MASTER_1 "\0\n"), &d));
    check_diag(&d, "a zero byte");
    assert_null(parse(S("master\0" UNIT_MASTER_1 "\n"), &d));
    check_diag(&d, "a zero byte");
}


/* Without a master key nothing can be sealed; nothing at all is refused. */

static void
test_no_master(void **state)
{
    size_t         i;
    uint8_t        kid[AK_KID_LEN];
    ak_diag_t      d;
    ak_keyring_t  *k;

    static const char  *texts[] = { "", "\n", "# nothing\n", P1 };

    (void) state;

    for (i = 0; i < ak_nitems(texts); i++) {
        k = parse(ak_cstr(texts[i]), &d);

        if (k == NULL) {
            check_diag(&d, texts[i]);
            continue;
        }

        assert_case(ak_str_eq(ak_cstr(texts[i]), S(P1)),
                    "a keyring that holds nothing is accepted: \"%s\"",
                    texts[i]);

        assert_int_equal(ak_keyring_masters(k), 0);
        assert_null(ak_keyring_sealer(k, kid));
        assert_null(ak_keyring_opener(k, kid1));
        ak_keyring_free(k);
    }
}


static void
test_make(void **state)
{
    char           a[AK_KEYRING_TEXT_MAX + 1], b[AK_KEYRING_TEXT_MAX];
    size_t         alen, blen;
    ak_diag_t      d;
    ak_keyring_t  *ka, *kb;

    (void) state;

    a[AK_KEYRING_TEXT_MAX] = 'z';

    assert_int_equal(ak_keyring_make(a, &alen), AK_OK);
    assert_int_equal(ak_keyring_make(b, &blen), AK_OK);
    assert_true(alen <= AK_KEYRING_TEXT_MAX);
    assert_int_equal(a[AK_KEYRING_TEXT_MAX], 'z');
    assert_int_equal(a[alen - 1], '\n');

    ka = parse(ak_str(a, alen), &d);
    kb = parse(ak_str(b, blen), &d);
    assert_non_null(ka);
    assert_non_null(kb);

    assert_int_equal(ak_keyring_masters(ka), 1);
    assert_non_null(ak_keyring_pepper(ka));
    assert_memory_not_equal(ak_keyring_kid(ka, 0), ak_keyring_kid(kb, 0),
                            AK_KID_LEN);

    ak_keyring_free(kb);
    ak_keyring_free(ka);
}


static void
in_dir(char path[64], const char *name)
{
    snprintf(path, 64, "%s/%s", dir, name);
}


static void
write_file(const char *path, const char *text, size_t len, mode_t mode)
{
    int  fd;

    fd = open(path, O_CREAT|O_TRUNC|O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t) len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}


static void
test_modes(void **state)
{
    char           path[64];
    size_t         i;
    mode_t         mode;
    ak_diag_t      d;
    ak_keyring_t  *k;

    static const mode_t  passes[] = { 0600, 0400, 0640, 0440, 0700 };
    static const mode_t  refused[] = {
        0644, 0604, 0620, 0660, 0602, 0606, 0666, 0622, 0444, 0404, 0777, 0642
    };

    (void) state;

    in_dir(path, "keyring");

    for (i = 0; i < ak_nitems(passes) + ak_nitems(refused); i++) {
        mode = i < ak_nitems(passes) ? passes[i]
                                     : refused[i - ak_nitems(passes)];

        write_file(path, M1 P1, sizeof(M1 P1) - 1, mode);
        memset(&d, 0, sizeof(d));

        k = ak_keyring_load(path, &d);
        assert_case((k != NULL) == (i < ak_nitems(passes)), "mode %04o: %s",
                    (unsigned) mode, d.text);

        if (k == NULL) {
            check_diag(&d, "the mode");
            assert_null(ak_keyring_load(path, NULL));
        }

        ak_keyring_free(k);
        unlink(path);
    }
}


/* Kubernetes mounts secrets as links to files. */

static void
test_link(void **state)
{
    char           path[64], link[64];
    ak_diag_t      d;
    ak_keyring_t  *k;

    (void) state;

    in_dir(path, "..data");
    in_dir(link, "keyring");

    write_file(path, M1, sizeof(M1) - 1, 0640);
    assert_int_equal(symlink(path, link), 0);

    k = ak_keyring_load(link, &d);
    assert_non_null(k);
    ak_keyring_free(k);

    chmod(path, 0644);
    assert_null(ak_keyring_load(link, &d));

    unlink(link);
    unlink(path);
}


/* None of these may hang or pass. */

static void
test_no_file(void **state)
{
    char       path[64];
    ak_diag_t  d;

    (void) state;

    alarm(20);

    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load(dir, &d));
    check_diag(&d, "a directory");

    in_dir(path, "missing");
    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load(path, &d));
    check_diag(&d, "a missing file");

    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load("", &d));
    check_diag(&d, "an empty name");

    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load("/dev/null", &d));
    check_diag(&d, "a device");

    in_dir(path, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load(path, &d));
    check_diag(&d, "a pipe");
    unlink(path);

    alarm(0);
}


static void
test_file_size(void **state)
{
    char           path[64], *text;
    ak_diag_t      d;
    ak_keyring_t  *k;

    (void) state;

    in_dir(path, "keyring");

    text = malloc(AK_KEYRING_MAX + 1);
    assert_non_null(text);

    memset(text, '\n', AK_KEYRING_MAX + 1);
    memcpy(text + AK_KEYRING_MAX - sizeof(M1) + 1, M1, sizeof(M1) - 1);

    write_file(path, text, AK_KEYRING_MAX, 0600);
    k = ak_keyring_load(path, &d);
    assert_non_null(k);
    ak_keyring_free(k);

    write_file(path, text, AK_KEYRING_MAX + 1, 0600);
    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load(path, &d));
    check_diag(&d, "a long file");

    write_file(path, "", 0, 0600);
    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load(path, &d));
    check_diag(&d, "an empty file");

    free(text);
    unlink(path);
}


/* What parse() has to say keeps its line when it comes from a file. */

static void
test_file_line(void **state)
{
    char       path[64];
    ak_diag_t  d;

    (void) state;

    in_dir(path, "keyring");
    write_file(path, M1 "\nmaster short\n", sizeof(M1 "\nmaster short\n") - 1,
               0600);

    memset(&d, 0, sizeof(d));
    assert_null(ak_keyring_load(path, &d));
    assert_int_equal(d.line, 3);
    check_diag(&d, "a bad line");

    unlink(path);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_good),
    cmocka_unit_test(test_kids),
    cmocka_unit_test(test_pepper),
    cmocka_unit_test(test_bad),
    cmocka_unit_test(test_eight_masters),
    cmocka_unit_test(test_zero_byte),
    cmocka_unit_test(test_no_master),
    cmocka_unit_test(test_make),
    cmocka_unit_test(test_modes),
    cmocka_unit_test(test_link),
    cmocka_unit_test(test_no_file),
    cmocka_unit_test(test_file_size),
    cmocka_unit_test(test_file_line)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
