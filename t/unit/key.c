
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the grammar, the ids and the making of client keys. */


#include "unit.h"

#include "ak_key.h"


#define BODY   UNIT_ID "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
#define ALNUM                                                                 \
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


static ak_key_form_e
parse(const char *key)
{
    ak_str_t       copy, id;
    ak_key_form_e  form;

    copy = unit_exact(ak_cstr(key));
    id = ak_str(NULL, 0);

    form = ak_key_parse(copy, &id);

    if (form == AK_KEY_NATIVE) {
        assert_int_equal(id.len, AK_KEY_ID_LEN);
        assert_ptr_equal(id.data, copy.data + copy.len - AK_KEY_TAIL_LEN);
    }

    unit_free(copy);

    return form;
}


/* CRC-32 of ISO 3309, bit by bit, and its six base62 digits. */

static void
checksum(const char *s, size_t len, char dst[AK_KEY_CHECKSUM_LEN])
{
    int       i;
    size_t    n;
    uint32_t  crc;

    crc = 0xffffffff;

    for (n = 0; n < len; n++) {
        crc ^= (uint8_t) s[n];

        for (i = 0; i < 8; i++) {
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
    }

    crc = ~crc;

    for (i = AK_KEY_CHECKSUM_LEN - 1; i >= 0; i--) {
        dst[i] = ALNUM[crc % 62];
        crc /= 62;
    }
}


static void
test_native(void **state)
{
    ak_str_t  id;

    (void) state;

    assert_int_equal(ak_key_parse(S(UNIT_KEY), &id), AK_KEY_NATIVE);
    assert_str(id, UNIT_ID);

    assert_int_equal(parse("sk-acme-" BODY "4Gyfcn"), AK_KEY_NATIVE);
    assert_int_equal(parse("sk-a-b-" BODY "0cDJD9"), AK_KEY_NATIVE);
    assert_int_equal(parse("sk-0-" BODY "1Zfphv"), AK_KEY_NATIVE);
}


/*
 * Six base62 digits hold more than 32 bits: the checksum plus 2^32 is another
 * text and must not be taken for the same.
 */

static void
test_checksum_alias(void **state)
{
    (void) state;

    assert_int_equal(parse("sk-" BODY "7PkXEU"), AK_KEY_BAD_CHECKSUM);
    assert_int_equal(parse("sk-acme-" BODY "8xduor"), AK_KEY_BAD_CHECKSUM);
    assert_int_equal(parse("sk-" BODY "zzzzzz"), AK_KEY_BAD_CHECKSUM);
    assert_int_equal(parse("sk-" BODY "000000"), AK_KEY_BAD_CHECKSUM);
}


/* The checksum covers the brand. */

static void
test_brand_is_covered(void **state)
{
    (void) state;

    assert_int_equal(parse("sk-acme-" BODY "2j5I2Q"), AK_KEY_BAD_CHECKSUM);
    assert_int_equal(parse("sk-" BODY "4Gyfcn"), AK_KEY_BAD_CHECKSUM);
    assert_int_equal(parse("sk-acne-" BODY "4Gyfcn"), AK_KEY_BAD_CHECKSUM);
}


static void
test_not_native(void **state)
{
    size_t  i;

    static const char  *foreign[] = {
        "sk--" BODY "2j5I2Q",             /* an empty brand */
        "sk-Acme-" BODY "2j5I2Q",
        "sk-ac_me-" BODY "2j5I2Q",
        "sk-acme--" BODY "2j5I2Q",
        "sk--acme-" BODY "2j5I2Q",
        "sk_" BODY "2j5I2Q",
        "Sk-" BODY "2j5I2Q",
        "pk-" BODY "2j5I2Q",
        BODY "2j5I2Q",
        "sk-" BODY "2j5I2",
        "sk-" BODY "2j5I2Q0",
        "sk-" BODY "2j5I2_",
        "sk-" BODY "2j5-2Q",
        UNIT_FOREIGN,
        "sk-lh-0123456789abcdef",
        "abcdefgh",
        "sk-proj-abc_def-ghi",
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    };

    static const char  *bad[] = {
        "", "a", "abcdefg", "sk-0123 45678", "sk-0123\n45678", "sk-01234567\n",
        "\tsk-01234567", "sk-0123\x7f""45678", "sk-0123\xc3\xa9""45678",
        "sk-" BODY "2j5I2Q ", " sk-" BODY "2j5I2Q", "sk-" BODY "2j5I2\xd1"
    };

    (void) state;

    for (i = 0; i < ak_nitems(foreign); i++) {
        assert_case(parse(foreign[i]) == AK_KEY_FOREIGN, "\"%s\"", foreign[i]);
    }

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_case(parse(bad[i]) == AK_KEY_BAD, "\"%s\"", bad[i]);
    }

    assert_int_equal(ak_key_parse(ak_str("abcdefgh\0" "abcdefgh", 17),
                                  &(ak_str_t) ak_string("")), AK_KEY_BAD);
}


static void
test_lengths(void **state)
{
    char    key[AK_KEY_MAX + 2];
    size_t  n;

    (void) state;

    for (n = 0; n <= AK_KEY_MAX + 1; n++) {
        memset(key, '_', sizeof(key));
        key[n] = '\0';

        assert_case(parse(key) == (n >= AK_KEY_MIN && n <= AK_KEY_MAX
                                   ? AK_KEY_FOREIGN : AK_KEY_BAD),
                    "a key of %zu bytes", n);
    }
}


/* The grammar sets no end to the brands, only AK_KEY_MAX does. */

static void
test_long_brand(void **state)
{
    char    key[AK_KEY_MAX + 2];
    size_t  n, at;

    (void) state;

    for (n = AK_KEY_MAX; n <= AK_KEY_MAX + 1; n++) {
        memset(key, 'b', n);
        memcpy(key, "sk-", 3);

        at = n - AK_KEY_TAIL_LEN;
        key[at - 1] = '-';
        memcpy(key + at, BODY, sizeof(BODY) - 1);

        checksum(key, n - AK_KEY_CHECKSUM_LEN, key + n - AK_KEY_CHECKSUM_LEN);
        key[n] = '\0';

        assert_int_equal(parse(key), n <= AK_KEY_MAX ? AK_KEY_NATIVE
                                                     : AK_KEY_BAD);
    }
}


/* CRC-32 finds every change of one character, and every swap of two. */

static void
test_every_change(void **state)
{
    char           key[] = "sk-acme-" BODY "4Gyfcn";
    char           c, was;
    size_t         i;
    unsigned       b;
    ak_key_form_e  form;

    (void) state;

    for (i = 0; i < sizeof(key) - 1; i++) {
        was = key[i];

        for (b = 1; b < 256; b++) {

            if ((char) b == was) {
                continue;
            }

            key[i] = (char) b;
            form = parse(key);

            if (b <= 0x20 || b >= 0x7f) {
                assert_int_equal(form, AK_KEY_BAD);
                continue;
            }

            assert_case(form == AK_KEY_BAD_CHECKSUM || form == AK_KEY_FOREIGN,
                        "\"%s\" passes", key);

            if (i >= 8 && strchr(ALNUM, (int) b) != NULL) {
                assert_int_equal(form, AK_KEY_BAD_CHECKSUM);
            }
        }

        key[i] = was;
    }

    for (i = 8; i + 2 < sizeof(key); i++) {
        c = key[i];

        if (c != key[i + 1]) {
            key[i] = key[i + 1];
            key[i + 1] = c;
            assert_int_equal(parse(key), AK_KEY_BAD_CHECKSUM);
            key[i + 1] = key[i];
            key[i] = c;
        }
    }

    assert_int_equal(parse(key), AK_KEY_NATIVE);
}


static void
test_foreign_id(void **state)
{
    uint8_t        id[AK_KEY_FOREIGN_ID_LEN + 1];
    ak_keyring_t  *k, *other, *bare;

    (void) state;

    k = unit_keyring_default();
    other = unit_keyring("master " UNIT_MASTER_1 "\npepper " UNIT_PEPPER_2
                         "\n");
    bare = unit_keyring("master " UNIT_MASTER_1 "\n");

    id[AK_KEY_FOREIGN_ID_LEN] = 0xa5;

    assert_int_equal(ak_key_foreign_id(S(UNIT_FOREIGN), k, id), AK_OK);
    assert_str(ak_str(id, AK_KEY_FOREIGN_ID_LEN), UNIT_FID);
    assert_int_equal(id[AK_KEY_FOREIGN_ID_LEN], 0xa5);
    assert_true(ak_key_id_valid(ak_str(id, AK_KEY_FOREIGN_ID_LEN)));

    /* again, after another key was in between */

    assert_int_equal(ak_key_foreign_id(S("abcdefgh"), k, id), AK_OK);
    assert_str(ak_str(id, AK_KEY_FOREIGN_ID_LEN),
               "h6e30127e4f95d1415c77debf774cdb3c");
    assert_int_equal(ak_key_foreign_id(S(UNIT_FOREIGN), k, id), AK_OK);
    assert_str(ak_str(id, AK_KEY_FOREIGN_ID_LEN), UNIT_FID);

    assert_int_equal(ak_key_foreign_id(S(UNIT_FOREIGN), other, id), AK_OK);
    assert_memory_not_equal(id, UNIT_FID, AK_KEY_FOREIGN_ID_LEN);

    assert_int_equal(ak_key_foreign_id(S(UNIT_FOREIGN), bare, id), AK_ERROR);
    assert_int_equal(ak_key_foreign_id(S(UNIT_FOREIGN), NULL, id), AK_ERROR);

    ak_keyring_free(bare);
    ak_keyring_free(other);
    ak_keyring_free(k);
}


static void
check_made(const char *brand)
{
    char       sum[AK_KEY_CHECKSUM_LEN];
    size_t     len, prefix;
    uint8_t    key[AK_KEY_MADE_MAX + 1];
    ak_str_t   id;
    ak_diag_t  d;

    memset(key, 0xa5, sizeof(key));

    assert_int_equal(ak_key_make(ak_cstr(brand), key, &len, &d), AK_OK);
    assert_true(len <= AK_KEY_MADE_MAX);
    assert_int_equal(key[AK_KEY_MADE_MAX], 0xa5);

    prefix = 3 + strlen(brand) + (brand[0] ? 1 : 0);
    assert_int_equal(len, prefix + AK_KEY_TAIL_LEN);
    assert_memory_equal(key, "sk-", 3);
    assert_memory_equal(key + 3, brand, strlen(brand));
    assert_int_equal(key[prefix - 1], '-');

    assert_int_equal(ak_key_parse(ak_str(key, len), &id), AK_KEY_NATIVE);
    assert_true(ak_key_id_valid(id));

    checksum((char *) key, len - AK_KEY_CHECKSUM_LEN, sum);
    assert_memory_equal(key + len - AK_KEY_CHECKSUM_LEN, sum, sizeof(sum));
}


static void
test_make(void **state)
{
    (void) state;

    check_made("");
    check_made("a");
    check_made("acme");
    check_made("a-b-c");
    check_made("0123456789abcdef0123456789abcdef");
}


static void
test_make_refuses(void **state)
{
    size_t     i, len;
    uint8_t    key[AK_KEY_MADE_MAX];
    ak_str_t   id;
    ak_diag_t  d;

    static const char  *bad[] = {
        "-", "-a", "a-", "A", "aB", "a_b", "a b", "a.b", " a", "a\n",
        "\xc3\xa9", "a|b", "0123456789abcdef0123456789abcdef0"
    };

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        memset(&d, 0, sizeof(d));

        assert_case(ak_key_make(ak_cstr(bad[i]), key, &len, &d) == AK_ERROR,
                    "brand \"%s\"", bad[i]);
        assert_int_not_equal(d.text[0], '\0');
        assert_int_equal(ak_key_make(ak_cstr(bad[i]), key, &len, NULL),
                         AK_ERROR);
    }

    /* two dashes in a row are outside the grammar of native keys */

    if (ak_key_make(S("a--b"), key, &len, &d) == AK_OK) {
        assert_int_equal(ak_key_parse(ak_str(key, len), &id), AK_KEY_NATIVE);
    }
}


static int
compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, AK_KEY_TAIL_LEN);
}


/*
 * Keys differ, in id and in secret, and no letter is favoured: "byte % 62"
 * would make eight of them a quarter more frequent.
 */

static void
test_make_random(void **state)
{
    size_t    i, j, len, count[256];
    uint8_t   key[AK_KEY_MADE_MAX], *all;
    double    mean;

    enum { N = 3000 };

    (void) state;

    memset(count, 0, sizeof(count));
    all = malloc(N * AK_KEY_TAIL_LEN);
    assert_non_null(all);

    for (i = 0; i < N; i++) {
        assert_int_equal(ak_key_make(S(""), key, &len, NULL), AK_OK);
        memcpy(all + i * AK_KEY_TAIL_LEN, key + 3, AK_KEY_TAIL_LEN);

        for (j = 0; j < AK_KEY_ID_LEN + AK_KEY_SECRET_LEN; j++) {
            count[key[3 + j]]++;
        }
    }

    qsort(all, N, AK_KEY_TAIL_LEN, compare_keys);

    for (i = 1; i < N; i++) {
        assert_memory_not_equal(all + (i - 1) * AK_KEY_TAIL_LEN,
                                all + i * AK_KEY_TAIL_LEN, AK_KEY_ID_LEN);
    }

    free(all);

    mean = N * (AK_KEY_ID_LEN + AK_KEY_SECRET_LEN) / 62.0;

    for (i = 0; i < 62; i++) {
        j = (uint8_t) ALNUM[i];
        assert_case(count[j] > mean * 0.86 && count[j] < mean * 1.14,
                    "'%c' came %zu times, not about %.0f", ALNUM[i], count[j],
                    mean);
    }
}


static void
test_id_valid(void **state)
{
    char      id[AK_ID_MAX + 1];
    uint8_t   c;
    unsigned  i;

    (void) state;

    memset(id, 'x', sizeof(id));

    for (i = 0; i <= AK_ID_MAX + 1; i++) {
        assert_int_equal(ak_key_id_valid(ak_str(id, i)),
                         i >= 1 && i <= AK_ID_MAX);
    }

    for (i = 0; i < 256; i++) {
        c = (uint8_t) i;
        assert_case(ak_key_id_valid(ak_str(&c, 1))
                    == (i != 0 && strchr(ALNUM, (int) i) != NULL),
                    "the id 0x%02x", i);

        id[20] = (char) i;
        assert_int_equal(ak_key_id_valid(ak_str(id, 40)),
                         i != 0 && strchr(ALNUM, (int) i) != NULL);
    }
}


#define LMNR_KEY                                                              \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"


/* Shapes that applications make, and ids of their sums, by Python's hmac. */

static void
test_weak(void **state)
{
    size_t         i;
    uint8_t        id[AK_KEY_FOREIGN_ID_LEN], sum[AK_SHA256_LEN];
    ak_digest_t   *digest;
    ak_keyring_t  *keyring;

    static const struct {
        const char     *key;
        ak_hash_alg_e   alg;
    } shapes[] = {
        { LMNR_KEY, AK_HASH_SHA3_256 },
        { "sk-Ab3_-Ab3_-Ab3_-Ab3_-Zz", AK_HASH_SHA256_PLAIN },
        { LMNR_KEY "c", (ak_hash_alg_e) 0 },
        { &LMNR_KEY[1], (ak_hash_alg_e) 0 },
        { "-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
          (ak_hash_alg_e) 0 },
        { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb_",
          (ak_hash_alg_e) 0 },
        { "sk-Ab3_-Ab3_-Ab3_-Ab3_-Z", (ak_hash_alg_e) 0 },
        { "sk-Ab3_-Ab3_-Ab3_-Ab3_-Zz0", (ak_hash_alg_e) 0 },
        { "sk-Ab3_-Ab3_-Ab3_-Ab3_-Z.", (ak_hash_alg_e) 0 },
        { "pk-Ab3_-Ab3_-Ab3_-Ab3_-Zz", (ak_hash_alg_e) 0 },
        { UNIT_KEY, (ak_hash_alg_e) 0 }, { UNIT_FOREIGN, (ak_hash_alg_e) 0 },
        { "", (ak_hash_alg_e) 0 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(shapes); i++) {
        assert_case(ak_key_weak(ak_cstr(shapes[i].key)) == shapes[i].alg,
                    "%s", shapes[i].key);
    }

    digest = ak_digest_create();
    keyring = unit_keyring_default();

    assert_int_equal(ak_hash_plain(AK_HASH_SHA3_256, S(LMNR_KEY), digest, sum),
                     AK_OK);
    assert_int_equal(ak_key_weak_id(AK_HASH_SHA3_256, sum, keyring, id),
                     AK_OK);
    assert_str(ak_str(id, sizeof(id)), "h852f7c98f6a1faa37ae1cd402e33b2b7");

    assert_int_equal(ak_hash_plain(AK_HASH_SHA256_PLAIN,
                                   ak_cstr(shapes[1].key), digest, sum),
                     AK_OK);
    assert_int_equal(ak_key_weak_id(AK_HASH_SHA256_PLAIN, sum, keyring, id),
                     AK_OK);
    assert_str(ak_str(id, sizeof(id)), "h6fbe08773092bc7e0e930b4f3be77654");

    assert_int_equal(ak_key_weak_id(AK_HASH_SHA256, sum, keyring, id),
                     AK_ERROR);
    assert_int_equal(ak_key_weak_id(AK_HASH_SHA3_256, sum, NULL, id),
                     AK_ERROR);

    ak_keyring_free(keyring);
    ak_digest_free(digest);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_native),
    cmocka_unit_test(test_checksum_alias),
    cmocka_unit_test(test_brand_is_covered),
    cmocka_unit_test(test_not_native),
    cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_long_brand),
    cmocka_unit_test(test_every_change),
    cmocka_unit_test(test_foreign_id),
    cmocka_unit_test(test_make),
    cmocka_unit_test(test_make_refuses),
    cmocka_unit_test(test_make_random),
    cmocka_unit_test(test_id_valid),
    cmocka_unit_test(test_weak)
};


UNIT_MAIN(tests)
