
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for base64 and base64url, RFC 4648. */


#include "unit.h"

#include "ak_base64.h"


#define URL_LETTERS                                                           \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


typedef struct {
    const char  *plain;
    const char  *base64;
    const char  *base64url;
} vector_t;


/* RFC 4648, section 10, and the two letters in which the variants differ. */

static const vector_t  vectors[] = {
    { "", "", "" },
    { "f", "Zg==", "Zg" },
    { "fo", "Zm8=", "Zm8" },
    { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg==", "Zm9vYg" },
    { "fooba", "Zm9vYmE=", "Zm9vYmE" },
    { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
    { "\xfb\xff\xfe", "+//+", "-__-" },
    { "\xff\xef", "/+8=", "_-8" }
};


static const char  *bad_base64[] = {
    "Z", "Zg", "Zg=", "Zm8", "Zm9", "Zg===", "Zg==Zg==", "Zg==\n", "Zm9v\n",
    "\nZm9v", "Zm 9v", "Zm9v ", "Zm9v=", "Zm9v====", "=", "==", "===", "====",
    "Z===", "Z=g=", "=Zg=", "Zg=g", "-__-", "_-8=", "Zh==", "Zv==", "Zm9=",
    "Zm+=", "Zm9vYh==", "Zm9v\r\n", "Zm9vZ", "Zm9v.", "\xc5m9v", "Zm9\x80"
};


static const char  *bad_base64url[] = {
    "Z", "Zg==", "Zm8=", "Zg=", "Zm9vY", "Zh", "Zv", "Zm9", "Zm-", "+//+",
    "/+8", "Zg\n", "\nZg", "Z g", "Zm9v ", "Zm9v\n", "Zm9v\t", "Zm9v=",
    "Zm9v.", "Zm9vYh", "=", "Zm9\x80", "\xc5m9v"
};


static ak_rc_t
decode(ak_base64_e variant, ak_str_t src, uint8_t *dst, size_t *len)
{
    ak_rc_t    rc;
    uint8_t   *room;
    ak_str_t   copy;

    /* exactly the room that the header asks for */

    copy = unit_exact(src);
    room = malloc(ak_base64_decoded_max(src.len) + 1);
    assert_non_null(room);
    room[ak_base64_decoded_max(src.len)] = 0xa5;

    rc = ak_base64_decode(variant, copy, room, len);

    assert_int_equal(room[ak_base64_decoded_max(src.len)], 0xa5);

    if (rc == AK_OK) {
        assert_true(*len <= ak_base64_decoded_max(src.len));
        memcpy(dst, room, *len);
    }

    free(room);
    unit_free(copy);

    return rc;
}


static void
test_vectors(void **state)
{
    size_t     i, len;
    uint8_t    dst[64];
    ak_str_t   plain;

    (void) state;

    for (i = 0; i < ak_nitems(vectors); i++) {
        plain = ak_cstr(vectors[i].plain);

        len = ak_base64_encode(AK_BASE64, plain, dst);
        assert_str(ak_str(dst, len), vectors[i].base64);
        assert_int_equal(len, ak_base64_encoded_len(plain.len));

        len = ak_base64_encode(AK_BASE64URL, plain, dst);
        assert_str(ak_str(dst, len), vectors[i].base64url);
        assert_int_equal(len, ak_base64url_encoded_len(plain.len));

        assert_int_equal(decode(AK_BASE64, ak_cstr(vectors[i].base64), dst,
                                &len), AK_OK);
        assert_str(ak_str(dst, len), vectors[i].plain);

        assert_int_equal(decode(AK_BASE64URL, ak_cstr(vectors[i].base64url),
                                dst, &len), AK_OK);
        assert_str(ak_str(dst, len), vectors[i].plain);
    }
}


static void
test_round_trip(void **state)
{
    size_t        i, n, len, back;
    uint8_t       src[256], dst[512], out[512];
    unsigned      v;
    ak_base64_e   variant;

    (void) state;

    for (i = 0; i < sizeof(src); i++) {
        src[i] = (uint8_t) (i * 167 + 13);
    }

    for (v = 0; v < 2; v++) {
        variant = v ? AK_BASE64URL : AK_BASE64;

        for (n = 0; n <= sizeof(src); n++) {
            len = ak_base64_encode(variant, ak_str(src, n), dst);
            assert_int_equal(len, v ? ak_base64url_encoded_len(n)
                                    : ak_base64_encoded_len(n));

            assert_int_equal(decode(variant, ak_str(dst, len), out, &back),
                             AK_OK);
            assert_int_equal(back, n);
            assert_memory_equal(out, src, n);
        }
    }
}


static void
test_strict(void **state)
{
    size_t   i, len;
    uint8_t  dst[64];

    (void) state;

    for (i = 0; i < ak_nitems(bad_base64); i++) {
        assert_case(decode(AK_BASE64, ak_cstr(bad_base64[i]), dst, &len)
                    == AK_ERROR, "base64 takes \"%s\"", bad_base64[i]);
    }

    for (i = 0; i < ak_nitems(bad_base64url); i++) {
        assert_case(decode(AK_BASE64URL, ak_cstr(bad_base64url[i]), dst, &len)
                    == AK_ERROR, "base64url takes \"%s\"", bad_base64url[i]);
    }
}


/* Every byte at every place: only the letters of the alphabet pass. */

static void
test_foreign_letters(void **state)
{
    size_t    at, len;
    uint8_t   text[8], dst[16];
    unsigned  c;
    bool      letter;

    (void) state;

    for (at = 0; at < sizeof(text); at++) {
        memset(text, 'A', sizeof(text));

        for (c = 0; c < 256; c++) {
            text[at] = (uint8_t) c;

            letter = c != 0 && strchr(URL_LETTERS, (int) c) != NULL;

            assert_case((decode(AK_BASE64URL, ak_str(text, 8), dst, &len)
                         == AK_OK) == letter, "base64url: 0x%02x", c);

            if (c == '-' || c == '_') {
                letter = false;
            }

            if (c == '+' || c == '/') {
                letter = true;
            }

            /* "AAAAAAA=" is the padded form of five zero bytes */

            if (c == '=' && at == 7) {
                letter = true;
            }

            assert_case((decode(AK_BASE64, ak_str(text, 8), dst, &len)
                         == AK_OK) == letter, "base64: 0x%02x", c);
        }
    }
}


/* One value has one spelling: what decodes encodes to itself. */

static void
test_one_spelling(void **state)
{
    size_t    i, j, k, len, accepted;
    uint8_t   text[3], dst[8], again[8];

    (void) state;

    accepted = 0;

    for (i = 0; i < 64; i++) {
        for (j = 0; j < 64; j++) {
            text[0] = (uint8_t) URL_LETTERS[i];
            text[1] = (uint8_t) URL_LETTERS[j];

            if (decode(AK_BASE64URL, ak_str(text, 2), dst, &len) == AK_OK) {
                assert_int_equal(len, 1);
                assert_int_equal(ak_base64_encode(AK_BASE64URL,
                                                  ak_str(dst, 1), again), 2);
                assert_memory_equal(again, text, 2);
                accepted++;
            }

            for (k = 0; k < 64; k++) {
                text[2] = (uint8_t) URL_LETTERS[k];

                assert_int_equal(decode(AK_BASE64URL, ak_str(text, 3), dst,
                                        &len) == AK_OK, k % 4 == 0);
            }
        }
    }

    assert_int_equal(accepted, 256);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_vectors),
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_strict),
    cmocka_unit_test(test_foreign_letters),
    cmocka_unit_test(test_one_spelling)
};


UNIT_MAIN(tests)
