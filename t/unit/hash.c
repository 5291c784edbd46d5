
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the salted hash of client keys. */


#include "unit.h"

#include "ak_hash.h"


static ak_digest_t   *digest;
static ak_keyring_t  *keyring;


static int
setup(void **state)
{
    (void) state;

    digest = ak_digest_create();
    keyring = unit_keyring_default();

    return digest == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ak_keyring_free(keyring);
    ak_digest_free(digest);

    return 0;
}


static void
test_vectors(void **state)
{
    size_t     len;
    uint8_t    text[AK_HASH_TEXT_MAX];
    ak_hash_t  h;

    (void) state;

    assert_int_equal(ak_hash_parse(S(UNIT_HASH), &h), AK_OK);
    assert_int_equal(h.alg, AK_HASH_SHA256);
    assert_true(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring));
    assert_true(ak_hash_verify(&h, S(UNIT_KEY), digest, NULL));
    assert_false(ak_hash_verify(&h, S(UNIT_FOREIGN), digest, keyring));

    len = ak_hash_format(&h, text);
    assert_str(ak_str(text, len), UNIT_HASH);

    assert_int_equal(ak_hash_parse(S(UNIT_FOREIGN_HASH), &h), AK_OK);
    assert_int_equal(h.alg, AK_HASH_HMAC_SHA256);
    assert_true(ak_hash_verify(&h, S(UNIT_FOREIGN), digest, keyring));
    assert_false(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring));

    len = ak_hash_format(&h, text);
    assert_str(ak_str(text, len), UNIT_FOREIGN_HASH);
}


static void
check_made(ak_hash_alg_e alg, const char *prefix)
{
    size_t     len;
    uint8_t    text[AK_HASH_TEXT_MAX + 1];
    ak_hash_t  h, back;

    assert_int_equal(ak_hash_make(&h, alg, S(UNIT_KEY), digest, keyring),
                     AK_OK);

    memset(text, 0xa5, sizeof(text));
    len = ak_hash_format(&h, text);

    assert_int_equal(len, strlen(prefix) + 22 + 1 + 43);
    assert_int_equal(text[AK_HASH_TEXT_MAX], 0xa5);
    assert_memory_equal(text, prefix, strlen(prefix));
    assert_int_equal(text[strlen(prefix) + 22], '$');

    assert_int_equal(ak_hash_parse(ak_str(text, len), &back), AK_OK);
    assert_int_equal(back.alg, alg);
    assert_true(ak_hash_verify(&back, S(UNIT_KEY), digest, keyring));
}


static void
test_make(void **state)
{
    (void) state;

    check_made(AK_HASH_SHA256, "$sha256$");
    check_made(AK_HASH_HMAC_SHA256, "$hmac-sha256$");
}


static void
test_fresh_salt(void **state)
{
    int        i, j;
    ak_hash_t  h[64];

    (void) state;

    for (i = 0; i < 64; i++) {
        assert_int_equal(ak_hash_make(&h[i], AK_HASH_SHA256, S(UNIT_KEY),
                                      digest, keyring), AK_OK);

        for (j = 0; j < i; j++) {
            assert_memory_not_equal(h[i].salt, h[j].salt, AK_SALT_LEN);
            assert_memory_not_equal(h[i].sum, h[j].sum, AK_SHA256_LEN);
        }
    }
}


static void
test_wrong_key(void **state)
{
    char       key[] = UNIT_KEY;
    size_t     i;
    ak_hash_t  h;

    (void) state;

    assert_int_equal(ak_hash_make(&h, AK_HASH_SHA256, S(UNIT_KEY), digest,
                                  keyring), AK_OK);

    for (i = 0; i < sizeof(key) - 1; i++) {
        key[i] ^= 1;
        assert_false(ak_hash_verify(&h, ak_cstr(key), digest, keyring));
        key[i] ^= 1;

        assert_false(ak_hash_verify(&h, ak_str(key, i), digest, keyring));
    }

    assert_false(ak_hash_verify(&h, S(UNIT_KEY "0"), digest, keyring));
    assert_true(ak_hash_verify(&h, ak_cstr(key), digest, keyring));
}


static void
test_every_bit(void **state)
{
    size_t     bit;
    ak_hash_t  h;

    (void) state;

    assert_int_equal(ak_hash_parse(S(UNIT_HASH), &h), AK_OK);

    for (bit = 0; bit < AK_SHA256_LEN * 8; bit++) {
        h.sum[bit / 8] ^= 1 << bit % 8;
        assert_false(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring));
        h.sum[bit / 8] ^= 1 << bit % 8;
    }

    for (bit = 0; bit < AK_SALT_LEN * 8; bit++) {
        h.salt[bit / 8] ^= 1 << bit % 8;
        assert_false(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring));
        h.salt[bit / 8] ^= 1 << bit % 8;
    }

    assert_true(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring));
}


static void
test_other_algorithm(void **state)
{
    unsigned   alg;
    ak_hash_t  h;

    (void) state;

    assert_int_equal(ak_hash_parse(S(UNIT_HASH), &h), AK_OK);

    for (alg = 0; alg < 256; alg++) {
        h.alg = (uint8_t) alg;
        assert_int_equal(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring),
                         alg == AK_HASH_SHA256);
    }

    assert_int_equal(ak_hash_parse(S(UNIT_FOREIGN_HASH), &h), AK_OK);

    for (alg = 0; alg < 256; alg++) {
        h.alg = (uint8_t) alg;
        assert_int_equal(ak_hash_verify(&h, S(UNIT_FOREIGN), digest, keyring),
                         alg == AK_HASH_HMAC_SHA256);
    }
}


/* An unknown id is compared with a hash that no key has. */

static void
test_null(void **state)
{
    (void) state;

    assert_false(ak_hash_verify(NULL, S(UNIT_KEY), digest, keyring));
    assert_false(ak_hash_verify(NULL, S(UNIT_FOREIGN), digest, keyring));
    assert_false(ak_hash_verify(NULL, S(""), digest, keyring));
    assert_false(ak_hash_verify(NULL, S(UNIT_KEY), digest, NULL));
}


static void
test_pepper(void **state)
{
    ak_hash_t      h;
    ak_keyring_t  *other, *bare;

    (void) state;

    other = unit_keyring("master " UNIT_MASTER_1 "\npepper " UNIT_PEPPER_2
                         "\n");
    bare = unit_keyring("master " UNIT_MASTER_1 "\n");

    assert_int_equal(ak_hash_parse(S(UNIT_FOREIGN_HASH), &h), AK_OK);
    assert_false(ak_hash_verify(&h, S(UNIT_FOREIGN), digest, other));
    assert_false(ak_hash_verify(&h, S(UNIT_FOREIGN), digest, bare));
    assert_false(ak_hash_verify(&h, S(UNIT_FOREIGN), digest, NULL));

    assert_int_equal(ak_hash_make(&h, AK_HASH_HMAC_SHA256, S(UNIT_FOREIGN),
                                  digest, bare), AK_ERROR);
    assert_int_equal(ak_hash_make(&h, AK_HASH_HMAC_SHA256, S(UNIT_FOREIGN),
                                  digest, NULL), AK_ERROR);
    assert_int_equal(ak_hash_make(&h, AK_HASH_SHA256, S(UNIT_KEY), digest,
                                  NULL), AK_OK);

    ak_keyring_free(bare);
    ak_keyring_free(other);
}


#define SALT  "AAECAwQFBgcICQoLDA0ODw"
#define SUM   "-KEZx69zTbc28-thl9oGptlNjbWYh3VtQE0lKZx5vTM"


static void
test_malformed(void **state)
{
    size_t     i;
    ak_hash_t  h;

    static const char  *bad[] = {
        "", "$", "$$", "$$$", "sha256", "$sha256", "$sha256$", "$sha256$$",
        "$sha256$" SALT, "$sha256$" SALT "$", "$sha256$$" SUM,
        "sha256$" SALT "$" SUM,
        "$sha256$" SALT "$" SUM "$",
        "$sha256$" SALT "$" SUM "\n",
        " $sha256$" SALT "$" SUM,
        "$sha256$" SALT "$" SUM "A",
        "$sha256$" SALT "$" SUM "=",
        "$sha256$" SALT "==$" SUM,
        "$sha256$" SALT "A$" SUM,
        "$sha256$AAECAwQFBgcICQoLDA0OD$" SUM,
        "$sha256$AAECAwQFBgcICQoLDA0ODx$" SUM,       /* trailing bits */
        "$sha256$" SALT "$+KEZx69zTbc28+thl9oGptlNjbWYh3VtQE0lKZx5vTM",
        "$sha256$" SALT "$-KEZx69zTbc28-thl9oGptlNjbWYh3VtQE0lKZx5vTN",
        "$sha256$v=1$" SALT "$" SUM,
        "$sha256$" SALT " $" SUM,
        "$SHA256$" SALT "$" SUM,
        "$sha25$" SALT "$" SUM,
        "$sha2566$" SALT "$" SUM,
        "$sha512$" SALT "$" SUM,
        "$sha1$" SALT "$" SUM,
        "$md5$" SALT "$" SUM,
        "$hmac$" SALT "$" SUM,
        "$plain$" SALT "$" SUM,
        "$$" SALT "$" SUM,
        "$argon2id$v=19$m=65536,t=2,p=1$c29tc2FsdA$RdescudvJCsgt3ub+b4dWRWJTm",
        "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    };

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_case(ak_hash_parse(ak_cstr(bad[i]), &h) == AK_ERROR, "\"%s\"",
                    bad[i]);
    }
}


static void
test_truncated(void **state)
{
    size_t     i;
    ak_str_t   s;
    ak_hash_t  h;

    (void) state;

    for (i = 0; i < sizeof(UNIT_FOREIGN_HASH) - 1; i++) {
        s = unit_exact(ak_str(UNIT_FOREIGN_HASH, i));
        assert_int_equal(ak_hash_parse(s, &h), AK_ERROR);
        unit_free(s);
    }
}


#define LMNR_KEY                                                              \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LMNR_HASH     "$sha3-256$HzKPmh_sUHfiqh3X1Ln0ODHDSwsDt5m5AsJI9sX3FZM"
#define LITELLM_KEY   "sk-Ab3_-Ab3_-Ab3_-Ab3_-Zz"
#define LITELLM_HASH                                                          \
    "$sha256-plain$SsjFTPCWmnUsa4CCvDZ5SHhgTdL9SbVEJc4NnZ5xRI8"


static void
check_weak(const char *text, const char *key, ak_hash_alg_e alg)
{
    size_t     i, len;
    uint8_t    back[AK_HASH_TEXT_MAX], sum[AK_SHA256_LEN];
    ak_hash_t  h;

    memset(&h, 0xa5, sizeof(ak_hash_t));
    assert_int_equal(ak_hash_parse(ak_cstr(text), &h), AK_OK);
    assert_int_equal(h.alg, alg);
    assert_true(ak_hash_weak(&h));

    assert_true(ak_hash_verify(&h, ak_cstr(key), digest, NULL));
    assert_false(ak_hash_verify(&h, S(UNIT_KEY), digest, keyring));
    assert_false(ak_hash_verify(&h, S(""), digest, keyring));

    assert_int_equal(ak_hash_plain(alg, ak_cstr(key), digest, sum), AK_OK);
    assert_memory_equal(sum, h.sum, AK_SHA256_LEN);

    len = ak_hash_format(&h, back);
    assert_str(ak_str(back, len), text);

    for (i = 0; i < AK_SHA256_LEN * 8; i++) {
        h.sum[i / 8] ^= (uint8_t) (1 << i % 8);
        assert_false(ak_hash_verify(&h, ak_cstr(key), digest, keyring));
        h.sum[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    for (i = 0; i < strlen(text); i++) {
        assert_int_equal(ak_hash_parse(ak_str(text, i), &h), AK_ERROR);
    }

    assert_int_equal(ak_hash_make(&h, alg, ak_cstr(key), digest, keyring),
                     AK_ERROR);
}


static void
test_weak(void **state)
{
    uint8_t    sum[AK_SHA256_LEN];
    ak_hash_t  h;

    (void) state;

    check_weak(LMNR_HASH, LMNR_KEY, AK_HASH_SHA3_256);
    check_weak(LITELLM_HASH, LITELLM_KEY, AK_HASH_SHA256_PLAIN);

    assert_int_equal(ak_hash_parse(S(UNIT_HASH), &h), AK_OK);
    assert_false(ak_hash_weak(&h));
    assert_int_equal(ak_hash_parse(S(UNIT_FOREIGN_HASH), &h), AK_OK);
    assert_false(ak_hash_weak(&h));

    assert_int_equal(ak_hash_plain(AK_HASH_SHA256, S("x"), digest, sum),
                     AK_ERROR);
    assert_int_equal(ak_hash_plain((ak_hash_alg_e) 0, S("x"), digest, sum),
                     AK_ERROR);

    /* with a salt they are of no algorithm that is known, and the reverse */

    assert_int_equal(ak_hash_parse(S("$sha3-256$AAECAwQFBgcICQoLDA0ODw$"
                                     "HzKPmh_sUHfiqh3X1Ln0ODHDSwsDt5m5AsJI9s"
                                     "X3FZM"), &h), AK_ERROR);
    assert_int_equal(ak_hash_parse(S("$sha256$HzKPmh_sUHfiqh3X1Ln0ODHDSwsDt5"
                                     "m5AsJI9sX3FZM"), &h), AK_ERROR);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_vectors),
    cmocka_unit_test(test_make),
    cmocka_unit_test(test_fresh_salt),
    cmocka_unit_test(test_wrong_key),
    cmocka_unit_test(test_every_bit),
    cmocka_unit_test(test_other_algorithm),
    cmocka_unit_test(test_null),
    cmocka_unit_test(test_pepper),
    cmocka_unit_test(test_malformed),
    cmocka_unit_test(test_truncated),
    cmocka_unit_test(test_weak)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
