
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for digests, HMAC and AES-256-GCM with published vectors. */


#include "unit.h"

#include <openssl/err.h>

#include "ak_crypt.h"


static size_t
unhex(const char *hex, uint8_t *dst)
{
    size_t    n;
    unsigned  byte;

    for (n = 0; hex[n * 2] != '\0'; n++) {
        assert_int_equal(sscanf(hex + n * 2, "%2x", &byte), 1);
        dst[n] = (uint8_t) byte;
    }

    return n;
}


static void
check_hex(const uint8_t *data, size_t len, const char *hex)
{
    uint8_t  expected[256];

    assert_int_equal(unhex(hex, expected), len);
    assert_memory_equal(data, expected, len);
}


static void
check_digest(ak_digest_t *d, ak_str_t s, const char *hex)
{
    size_t   i;
    uint8_t  sum[AK_SHA256_LEN];

    for (i = 0; i <= s.len; i += s.len < 100 ? 1 : s.len / 10) {
        assert_int_equal(ak_digest(d, ak_str(s.data, i),
                                   ak_str(s.data + i, s.len - i), sum), AK_OK);
        check_hex(sum, sizeof(sum), hex);
    }
}


/* FIPS 180-4, as in NIST's examples. */

static void
test_sha256(void **state)
{
    uint8_t      *million;
    ak_digest_t  *d;

    (void) state;

    d = ak_digest_create();
    assert_non_null(d);

    check_digest(d, S("abc"), "ba7816bf8f01cfea414140de5dae2223"
                 "b00361a396177a9cb410ff61f20015ad");
    check_digest(d, S(""), "e3b0c44298fc1c149afbf4c8996fb924"
                 "27ae41e4649b934ca495991b7852b855");
    check_digest(d, S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnop"
                      "q"), "248d6a61d20638b8e5c026930c3e6039"
                 "a33ce45964ff2167f6ecedd419db06c1");

    million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);

    check_digest(d, ak_str(million, 1000000),
                 "cdc76e5c9914fb9281a1c7e284d73e67"
                 "f1809a48a497200e046d39ccc7112cd0");

    free(million);
    ak_digest_free(d);
}


static void
check_hmac(ak_str_t key, ak_str_t data, const char *hex)
{
    int         round;
    size_t      i;
    uint8_t     sum[AK_SHA256_LEN];
    ak_hmac_t  *h;

    h = ak_hmac_create(key);
    assert_non_null(h);

    /* an object is used again and again */

    for (round = 0; round < 2; round++) {
        for (i = 0; i <= data.len; i++) {
            assert_int_equal(ak_hmac(h, ak_str(data.data, i),
                                     ak_str(data.data + i, data.len - i),
                                     sum), AK_OK);
            check_hex(sum, sizeof(sum), hex);
        }
    }

    ak_hmac_free(h);
}


/* RFC 4231, section 4. */

static void
test_hmac(void **state)
{
    uint8_t  key[131], data[152];

    (void) state;

    memset(key, 0x0b, 20);
    check_hmac(ak_str(key, 20), S("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b"
               "881dc200c9833da726e9376c2e32cff7");

    check_hmac(S("Jefe"), S("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c7"
               "5a003f089d2739839dec58b964ec3843");

    memset(key, 0xaa, sizeof(key));
    memset(data, 0xdd, 50);
    check_hmac(ak_str(key, 20), ak_str(data, 50),
               "773ea91e36800e46854db8ebd09181a7"
               "2959098b3ef8c122d9635514ced565fe");

    check_hmac(ak_str(key, 131),
               S("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f"
               "8e0bc6213728c5140546040f0ee37f54");

    check_hmac(ak_str(key, 131),
               S("This is a test using a larger than block-size key and a larg"
                 "er than block-size data. The key needs to be hashed before b"
                 "eing used by the HMAC algorithm."),
               "9b09ffa71b942fcb27635fbcd5b0e944"
               "bfdc63644f0713938a7f51535c3a35e2");
}


/* Two keys at once do not get into each other's way. */

static void
test_hmac_two(void **state)
{
    uint8_t     a[AK_SHA256_LEN], b[AK_SHA256_LEN], again[AK_SHA256_LEN];
    ak_hmac_t  *one, *two;

    (void) state;

    one = ak_hmac_create(S("one"));
    two = ak_hmac_create(S("two"));

    assert_int_equal(ak_hmac(one, S("x"), S("y"), a), AK_OK);
    assert_int_equal(ak_hmac(two, S("x"), S("y"), b), AK_OK);
    assert_int_equal(ak_hmac(one, S("xy"), S(""), again), AK_OK);

    assert_memory_equal(a, again, sizeof(a));
    assert_memory_not_equal(a, b, sizeof(a));

    ak_hmac_free(two);
    ak_hmac_free(one);
}


/* McGrew and Viega, "The Galois/Counter Mode of Operation", cases 13 to 16. */

typedef struct {
    const char  *key;
    const char  *iv;
    const char  *aad;
    const char  *plain;
    const char  *sealed;
} gcm_vector_t;


#define ZERO_16     "00000000000000000000000000000000"
#define FEFF        "feffe9928665731c6d6a8f9467308308"
#define GCM_PLAIN                                                             \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"        \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_CIPHER                                                            \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"        \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"


static const gcm_vector_t  gcm_vectors[] = {
    { ZERO_16 ZERO_16, "000000000000000000000000", "", "",
      "530f8afbc74536b9a963b4f1c4cb738b" },

    { ZERO_16 ZERO_16, "000000000000000000000000", "", ZERO_16,
      "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },

    { FEFF FEFF, "cafebabefacedbaddecaf888", "", GCM_PLAIN "1aafd255",
      GCM_CIPHER "898015ad" "b094dac5d93471bdec1a502270e3cc6c" },

    { FEFF FEFF, "cafebabefacedbaddecaf888",
      "feedfacedeadbeeffeedfacedeadbeefabaddad2", GCM_PLAIN,
      GCM_CIPHER "76fc6ece0f4e1768cddf8853bb2d551b" }
};


static void
test_gcm_vectors(void **state)
{
    size_t     i, n, len, alen;
    uint8_t    key[32], iv[12], aad[64], plain[64], sealed[80], out[81];
    ak_gcm_t  *seal, *open;

    (void) state;

    for (i = 0; i < ak_nitems(gcm_vectors); i++) {
        unhex(gcm_vectors[i].key, key);
        unhex(gcm_vectors[i].iv, iv);
        alen = unhex(gcm_vectors[i].aad, aad);
        n = unhex(gcm_vectors[i].plain, plain);
        len = unhex(gcm_vectors[i].sealed, sealed);

        seal = ak_gcm_create(key, true);
        open = ak_gcm_create(key, false);
        assert_non_null(seal);
        assert_non_null(open);

        memset(out, 0xa5, sizeof(out));
        assert_int_equal(ak_gcm_seal(seal, iv, ak_str(aad, alen),
                                     ak_str(plain, n), out), AK_OK);
        assert_memory_equal(out, sealed, len);
        assert_int_equal(out[len], 0xa5);

        memset(out, 0xa5, sizeof(out));
        assert_int_equal(ak_gcm_open(open, iv, ak_str(aad, alen),
                                     ak_str(sealed, len), out), AK_OK);
        assert_memory_equal(out, plain, n);
        assert_int_equal(out[n], 0xa5);

        ak_gcm_free(open);
        ak_gcm_free(seal);
    }
}


static void
refuse(ak_gcm_t *g, const uint8_t *iv, ak_str_t aad, ak_str_t src)
{
    uint8_t  out[64];

    memset(out, 0xa5, sizeof(out));

    assert_int_equal(ak_gcm_open(g, iv, aad, src, out), AK_ERROR);
    assert_int_equal(ERR_peek_error(), 0);

    if (src.len >= AK_GCM_TAG_LEN) {
        assert_true(unit_zero(out, src.len - AK_GCM_TAG_LEN));
    }
}


static void
test_gcm_damage(void **state)
{
    size_t     i, bit;
    uint8_t    key[32], iv[12], sealed[16 + 20], out[20];
    ak_gcm_t  *seal, *open;

    (void) state;

    memset(key, 7, sizeof(key));
    memset(iv, 9, sizeof(iv));

    seal = ak_gcm_create(key, true);
    open = ak_gcm_create(key, false);

    assert_int_equal(ak_gcm_seal(seal, iv, S("aad"),
                                 S("twenty bytes of text"), sealed), AK_OK);

    for (bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= 1 << bit % 8;
        refuse(open, iv, S("aad"), ak_str(sealed, sizeof(sealed)));
        sealed[bit / 8] ^= 1 << bit % 8;
    }

    for (bit = 0; bit < sizeof(iv) * 8; bit++) {
        iv[bit / 8] ^= 1 << bit % 8;
        refuse(open, iv, S("aad"), ak_str(sealed, sizeof(sealed)));
        iv[bit / 8] ^= 1 << bit % 8;
    }

    refuse(open, iv, S("aae"), ak_str(sealed, sizeof(sealed)));
    refuse(open, iv, S("aad "), ak_str(sealed, sizeof(sealed)));
    refuse(open, iv, S("aa"), ak_str(sealed, sizeof(sealed)));
    refuse(open, iv, S(""), ak_str(sealed, sizeof(sealed)));

    for (i = 0; i < sizeof(sealed); i++) {
        refuse(open, iv, S("aad"), ak_str(sealed, i));
    }

    /* the opener is none the worse for it */

    assert_int_equal(ak_gcm_open(open, iv, S("aad"),
                                 ak_str(sealed, sizeof(sealed)), out), AK_OK);
    assert_memory_equal(out, "twenty bytes of text", 20);

    ak_gcm_free(open);
    ak_gcm_free(seal);
}


static void
test_random(void **state)
{
    int      i;
    size_t   n;
    uint8_t  a[32], b[32], seen[32];

    (void) state;

    memset(seen, 0, sizeof(seen));

    for (i = 0; i < 64; i++) {
        memset(a, 0, sizeof(a));
        memset(b, 0, sizeof(b));

        assert_int_equal(ak_random(a, 31), AK_OK);
        assert_int_equal(a[31], 0);
        assert_int_equal(ak_random(b, 31), AK_OK);
        assert_memory_not_equal(a, b, 31);

        for (n = 0; n < 31; n++) {
            seen[n] |= a[n];
        }
    }

    for (i = 0; i < 31; i++) {
        assert_int_not_equal(seen[i], 0);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_sha256),
    cmocka_unit_test(test_hmac),
    cmocka_unit_test(test_hmac_two),
    cmocka_unit_test(test_gcm_vectors),
    cmocka_unit_test(test_gcm_damage),
    cmocka_unit_test(test_random)
};


UNIT_MAIN(tests)
