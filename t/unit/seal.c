
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for sealed tokens. */


#include "unit.h"

#include "ak_seal.h"


/* Sealed by another program under UNIT_MASTER_1 and _2, see unit.h. */

#define NONCE    ".QEFCQ0RFRkdISUpL."
#define FOREIGN_1                                                             \
    "ak1.388b2fce" NONCE                                                      \
    "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg"
#define FOREIGN_2                                                             \
    "ak1.09f7ecbb" NONCE                                                      \
    "cVnifub5EfW-ltE2SEjjzEREWuBR9MmnGfVSb2zmSRv0HuwXSBTf0N8"

/* "sk-a\r\nX-Evil: 1", nothing, and a letter beyond ASCII. */

#define EVIL                                                                  \
    "ak1.388b2fce" NONCE "Zt6Dpmm69PUA97gLA05yEaubPdbPljzCeK44tbroTg"
#define EMPTY                                                                 \
    "ak1.388b2fce" NONCE "-m-IgyniMCY29fIJKLjk7w"
#define ACCENT                                                                \
    "ak1.388b2fce" NONCE "Zt6DBM3IzbU17bSPYWQ69WRpehmKN6YsFIMb"


static const ak_place_t  place = {
    ak_string("alice"), ak_string("openai"), ak_string("default")
};

static ak_keyring_t     *keyring;


static int
setup(void **state)
{
    (void) state;

    keyring = unit_keyring_default();

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    ak_keyring_free(keyring);

    return 0;
}


/* Opens with exactly the room that is due; a failure leaves nothing in it. */

static ak_rc_t
open_binary(const ak_keyring_t *k, const ak_place_t *where, ak_str_t sealed,
    uint8_t *dst, size_t *len)
{
    size_t     size;
    ak_rc_t    rc;
    uint8_t   *room;
    ak_str_t   copy;

    copy = unit_exact(sealed);
    size = sealed.len < AK_SEALED_MIN ? 0 : ak_seal_secret_len(sealed);

    room = malloc(size + 1);
    assert_non_null(room);
    memset(room, 0, size);
    room[size] = 0xa5;

    rc = ak_seal_open(k, where, copy, room);

    assert_int_equal(room[size], 0xa5);

    if (rc == AK_OK) {
        memcpy(dst, room, size);
        *len = size;

    } else {
        assert_true(unit_zero(room, size));
    }

    free(room);
    unit_free(copy);

    return rc;
}


static ak_rc_t
decode(ak_str_t text, uint8_t *dst, size_t *len)
{
    ak_rc_t    rc;
    ak_str_t   copy;

    copy = unit_exact(text);
    rc = ak_seal_decode(copy, dst, len);
    unit_free(copy);

    return rc;
}


static ak_rc_t
open_text(const ak_keyring_t *k, const ak_place_t *where, ak_str_t text,
    uint8_t *dst, size_t *len)
{
    size_t   n;
    uint8_t  sealed[AK_SEALED_MAX + 1];

    sealed[AK_SEALED_MAX] = 0xa5;

    if (decode(text, sealed, &n) != AK_OK) {
        return AK_NOT_FOUND;
    }

    assert_true(n <= AK_SEALED_MAX);
    assert_int_equal(sealed[AK_SEALED_MAX], 0xa5);

    return open_binary(k, where, ak_str(sealed, n), dst, len);
}


static ak_str_t
seal_text(ak_str_t secret, uint8_t *text)
{
    size_t     len;
    ak_diag_t  d;

    assert_int_equal(ak_seal(keyring, &place, secret, text, &len, &d), AK_OK);
    assert_true(len <= AK_SEALED_TEXT_MAX);

    return ak_str(text, len);
}


/* What another program sealed opens here. */

static void
test_vectors(void **state)
{
    size_t         len;
    uint8_t        secret[AK_SECRET_MAX];
    ak_place_t     shared = place;
    ak_keyring_t  *two;

    (void) state;

    assert_int_equal(open_text(keyring, &place, S(FOREIGN_1), secret, &len),
                     AK_OK);
    assert_str(ak_str(secret, len), UNIT_SECRET);

    two = unit_keyring("master " UNIT_MASTER_1 "\nmaster " UNIT_MASTER_2 "\n");
    shared.owner = S("*");

    assert_int_equal(open_text(two, &shared, S(FOREIGN_2), secret, &len),
                     AK_OK);
    assert_str(ak_str(secret, len), UNIT_SECRET);

    ak_keyring_free(two);
}


static void
test_round_trip(void **state)
{
    size_t    i, n, len;
    uint8_t   in[AK_SECRET_MAX], out[AK_SECRET_MAX];
    uint8_t   text[AK_SEALED_TEXT_MAX + 1];
    ak_str_t  s;

    static const size_t  sizes[] = {
        1, 2, 3, 4, 15, 16, 17, 51, 164, 255, 256, 1000, 4095, AK_SECRET_MAX
    };

    (void) state;

    for (i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t) ('!' + i % 94);
    }

    for (i = 0; i < ak_nitems(sizes); i++) {
        n = sizes[i];
        text[AK_SEALED_TEXT_MAX] = 0xa5;

        s = seal_text(ak_str(in, n), text);

        assert_int_equal(text[AK_SEALED_TEXT_MAX], 0xa5);
        assert_int_equal(open_text(keyring, &place, s, out, &len), AK_OK);
        assert_int_equal(len, n);
        assert_memory_equal(out, in, n);
    }
}


static void
test_shape(void **state)
{
    size_t    i, len;
    uint8_t   text[AK_SEALED_TEXT_MAX], sealed[AK_SEALED_MAX];
    ak_str_t  s;

    (void) state;

    s = seal_text(S(UNIT_SECRET), text);

    assert_int_equal(s.len, 4 + 8 + 1 + 16 + 1
                     + ((sizeof(UNIT_SECRET) - 1 + 16) * 4 + 2) / 3);
    assert_memory_equal(s.data, "ak1.388b2fce.", 13);
    assert_int_equal(s.data[29], '.');
    assert_false(unit_leaks(s.data, s.len, S(UNIT_SECRET), 5));

    for (i = 13; i < s.len; i++) {
        assert_true(i == 29 || s.data[i] != '.');
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                               "uvwxyz0123456789-_.", s.data[i]));
    }

    assert_int_equal(decode(s, sealed, &len), AK_OK);
    assert_int_equal(len, AK_SEALED_MIN + sizeof(UNIT_SECRET) - 1);
    assert_int_equal(ak_seal_secret_len(ak_str(sealed, len)),
                     sizeof(UNIT_SECRET) - 1);
    assert_memory_equal(sealed, "\x38\x8b\x2f\xce", 4);
}


static void
test_fresh_nonce(void **state)
{
    size_t     i, j;
    uint8_t    text[16][AK_SEALED_TEXT_MAX];

    (void) state;

    for (i = 0; i < 16; i++) {
        seal_text(S(UNIT_SECRET), text[i]);

        for (j = 0; j < i; j++) {
            assert_memory_not_equal(text[i] + 13, text[j] + 13, 16);
            assert_memory_not_equal(text[i] + 30, text[j] + 30, 25);
        }
    }
}


static void
check_refused(const ak_keyring_t *k, const ak_place_t *where, ak_str_t secret,
    const char *what)
{
    size_t     len;
    uint8_t    text[AK_SEALED_TEXT_MAX];
    ak_diag_t  d;

    memset(&d, 0, sizeof(d));

    assert_case(ak_seal(k, where, secret, text, &len, &d) == AK_ERROR,
                "sealed: %s", what);
    assert_case(d.text[0] != '\0', "no word about: %s", what);
    assert_false(unit_leaks(d.text, strlen(d.text), secret, 5));
    assert_int_equal(ak_seal(k, where, secret, text, &len, NULL), AK_ERROR);
}


static void
test_refused_secrets(void **state)
{
    char      big[AK_SECRET_MAX + 1];
    char      secret[] = "sk-01234?56789";
    size_t    len;
    uint8_t   text[AK_SEALED_TEXT_MAX];
    unsigned  c;

    (void) state;

    memset(big, 'x', sizeof(big));

    check_refused(keyring, &place, S(""), "nothing");
    check_refused(keyring, &place, ak_str(big, sizeof(big)), "too much");
    check_refused(keyring, &place, S(UNIT_SECRET "\n"), "a line feed");
    check_refused(keyring, &place, S("caf\xc3\xa9-0123456"), "an accent");

    for (c = 0; c < 256; c++) {
        secret[8] = (char) c;

        assert_case(ak_seal(keyring, &place, S(secret), text, &len, NULL)
                    == (c > 0x20 && c < 0x7f ? AK_OK : AK_ERROR),
                    "a secret with 0x%02x", c);
    }
}


static void
test_refused_places(void **state)
{
    char          name[AK_NAME_MAX + 1];
    size_t        i, len;
    uint8_t       text[AK_SEALED_TEXT_MAX];
    ak_str_t      longest, beyond, *part;
    ak_place_t    where;

    (void) state;

    memset(name, 'n', sizeof(name));
    longest = ak_str(name, AK_NAME_MAX);
    beyond = ak_str(name, AK_NAME_MAX + 1);

    for (i = 0; i < 3; i++) {
        where = place;
        part = i == 0 ? &where.owner : i == 1 ? &where.provider : &where.slot;

        *part = beyond;
        check_refused(keyring, &where, S(UNIT_SECRET), "a long name");

        *part = longest;
        assert_int_equal(ak_seal(keyring, &where, S(UNIT_SECRET), text, &len,
                                 NULL), AK_OK);
    }

    where.owner = where.provider = where.slot = longest;
    assert_int_equal(ak_seal(keyring, &where, S(UNIT_SECRET), text, &len,
                             NULL), AK_OK);
}


static void
test_no_master(void **state)
{
    size_t         len;
    uint8_t        secret[AK_SECRET_MAX];
    ak_keyring_t  *k;

    (void) state;

    k = ak_keyring_parse(S("pepper " UNIT_PEPPER_1 "\n"), NULL);

    if (k != NULL) {
        check_refused(k, &place, S(UNIT_SECRET), "no master");
        assert_int_equal(open_text(k, &place, S(FOREIGN_1), secret, &len),
                         AK_KID_UNKNOWN);
    }

    ak_keyring_free(k);
}


/* A token is of no use anywhere but where it was sealed for. */

static void
test_moved(void **state)
{
    size_t    i, len;
    uint8_t   secret[AK_SECRET_MAX];

    static const ak_place_t  elsewhere[] = {
        { ak_string("bob"), ak_string("openai"), ak_string("default") },
        { ak_string("Alice"), ak_string("openai"), ak_string("default") },
        { ak_string("alic"), ak_string("openai"), ak_string("default") },
        { ak_string("alice2"), ak_string("openai"), ak_string("default") },
        { ak_string("*"), ak_string("openai"), ak_string("default") },
        { ak_string(""), ak_string("openai"), ak_string("default") },
        { ak_string("alice"), ak_string("anthropic"), ak_string("default") },
        { ak_string("alice"), ak_string("openai"), ak_string("second") },
        { ak_string("alice"), ak_string("openai"), ak_string("") },
        { ak_string("alice"), ak_string("default"), ak_string("openai") },
        { ak_string("alice|openai"), ak_string("default"), ak_string("") },
        { ak_string("openai"), ak_string("alice"), ak_string("default") }
    };

    (void) state;

    for (i = 0; i < ak_nitems(elsewhere); i++) {
        assert_int_equal(open_text(keyring, &elsewhere[i], S(FOREIGN_1),
                                   secret, &len), AK_ERROR);
    }
}


/*
 * The parts of a place are joined with '|'.  Provider and slot have none, so
 * that one in an owner's name makes no place that is another's.
 */

static void
test_bar(void **state)
{
    size_t   len, n;
    uint8_t  text[AK_SEALED_TEXT_MAX], secret[AK_SECRET_MAX];

    static const ak_place_t  barred = {
        ak_string("alice|openai"), ak_string("openai"), ak_string("default")
    };
    static const ak_place_t  others[] = {
        { ak_string("alice"), ak_string("openai"), ak_string("default") },
        { ak_string("alice|openai"), ak_string("openai"), ak_string("") },
        { ak_string("alice|openai|openai"), ak_string("default"),
          ak_string("") },
        { ak_string("alice|"), ak_string("openai"), ak_string("default") }
    };

    (void) state;

    if (ak_seal(keyring, &barred, S(UNIT_SECRET), text, &len, NULL) != AK_OK) {
        return;
    }

    for (n = 0; n < ak_nitems(others); n++) {
        assert_int_equal(open_text(keyring, &others[n], ak_str(text, len),
                                   secret, &(size_t) { 0 }), AK_ERROR);
    }

    assert_int_equal(open_text(keyring, &barred, ak_str(text, len), secret,
                               &n), AK_OK);
}


static void
test_every_bit(void **state)
{
    size_t   bit, len, n;
    ak_rc_t  rc;
    uint8_t  sealed[AK_SEALED_MAX], secret[AK_SECRET_MAX];

    (void) state;

    assert_int_equal(decode(S(FOREIGN_1), sealed, &len), AK_OK);

    for (bit = 0; bit < len * 8; bit++) {
        sealed[bit / 8] ^= 1 << bit % 8;

        rc = open_binary(keyring, &place, ak_str(sealed, len), secret, &n);

        assert_case(rc == (bit < AK_KID_LEN * 8 ? AK_KID_UNKNOWN : AK_ERROR),
                    "bit %zu gives %d", bit, rc);

        sealed[bit / 8] ^= 1 << bit % 8;
    }

    assert_int_equal(open_binary(keyring, &place, ak_str(sealed, len), secret,
                                 &n), AK_OK);
}


/* The same with another master key at hand under the kid that comes out. */

static void
test_wrong_kid(void **state)
{
    size_t         len, n;
    uint8_t        sealed[AK_SEALED_MAX], secret[AK_SECRET_MAX];
    ak_keyring_t  *two;

    (void) state;

    two = unit_keyring("master " UNIT_MASTER_1 "\nmaster " UNIT_MASTER_2 "\n");

    assert_int_equal(decode(S(FOREIGN_1), sealed, &len), AK_OK);
    memcpy(sealed, "\x09\xf7\xec\xbb", AK_KID_LEN);

    assert_int_equal(open_binary(two, &place, ak_str(sealed, len), secret,
                                 &n), AK_ERROR);

    ak_keyring_free(two);
}


static void
test_truncated(void **state)
{
    char      text[sizeof(FOREIGN_1) + 8];
    size_t    i, len, n;
    uint8_t   sealed[AK_SEALED_MAX], secret[AK_SECRET_MAX];
    unsigned  c;

    (void) state;

    assert_int_equal(decode(S(FOREIGN_1), sealed, &len), AK_OK);

    for (i = 0; i < len; i++) {
        assert_int_equal(open_binary(keyring, &place, ak_str(sealed, i),
                                     secret, &n), AK_ERROR);
    }

    for (i = 0; i < sizeof(FOREIGN_1) - 1; i++) {
        assert_int_not_equal(open_text(keyring, &place, ak_str(FOREIGN_1, i),
                                       secret, &n), AK_OK);
    }

    /* every other character, at every place */

    for (i = 0; i < sizeof(FOREIGN_1) - 1; i++) {
        memcpy(text, FOREIGN_1, sizeof(FOREIGN_1));

        for (c = 0; c < 256; c++) {
            text[i] = (char) c;

            if (FOREIGN_1[i] != (char) c) {
                assert_int_not_equal(open_text(keyring, &place,
                                               ak_str(text,
                                                      sizeof(FOREIGN_1) - 1),
                                               secret, &n), AK_OK);
            }
        }
    }
}


static void
test_no_tokens(void **state)
{
    size_t   i, len;
    uint8_t  sealed[AK_SEALED_MAX];

    static const char  *bad[] = {
        "", "a", "ak1", "ak1.", "ak1...", "ak1.388b2fce", "ak1.388b2fce..",
        "ak1.388b2fce" NONCE, "ak1.388b2fce" NONCE "AAAA",
        " " FOREIGN_1, FOREIGN_1 " ", FOREIGN_1 "\n", FOREIGN_1 "=",
        FOREIGN_1 ".", FOREIGN_1 ".AAAA",
        "ak2.388b2fce" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "AK1.388b2fce" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388B2FCE" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388b2fc" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388b2fcea" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388b2fce.QEFCQ0RFRkdISUo."
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388b2fce.QEFCQ0RFRkdISUpLTA."
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388b2fce" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L/XBbCW94W8fRODKsYyGTTmYmEBLN+Qg",
        "ak1.388b2fce" NONCE
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qh",
        "ak1-388b2fce-QEFCQ0RFRkdISUpL-"
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        "ak1.388b2fce QEFCQ0RFRkdISUpL "
        "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg",
        UNIT_SECRET
    };

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_case(decode(ak_cstr(bad[i]), sealed, &len) == AK_ERROR,
                    "\"%s\" is taken for a token", bad[i]);
    }
}


/* Longer than any secret may be: refused before anything is written. */

static void
test_too_long(void **state)
{
    char    *text;
    size_t   n, len;
    uint8_t  sealed[AK_SEALED_MAX + 1];

    (void) state;

    text = malloc(40000);
    assert_non_null(text);

    for (n = AK_SEALED_TEXT_MAX - 8; n < 40000; n = n * 3 / 2 + 1) {
        memset(text, 'A', n);
        memcpy(text, "ak1.388b2fce" NONCE, 30);
        sealed[AK_SEALED_MAX] = 0xa5;

        if (decode(ak_str(text, n), sealed, &len) == AK_OK) {
            assert_true(len <= AK_SEALED_MAX);
        }

        assert_int_equal(sealed[AK_SEALED_MAX], 0xa5);
    }

    free(text);
}


/* A secret that could not stand in a header does not get out. */

static void
test_evil_content(void **state)
{
    size_t   len;
    uint8_t  secret[AK_SECRET_MAX];

    (void) state;

    assert_int_equal(open_text(keyring, &place, S(EVIL), secret, &len),
                     AK_ERROR);
    assert_int_equal(open_text(keyring, &place, S(ACCENT), secret, &len),
                     AK_ERROR);
    assert_int_not_equal(open_text(keyring, &place, S(EMPTY), secret, &len),
                         AK_OK);
}


/* A rotation: the new master key seals, the old one goes on opening. */

static void
test_rotation(void **state)
{
    size_t         len, n;
    uint8_t        text[AK_SEALED_TEXT_MAX], secret[AK_SECRET_MAX];
    ak_str_t       s;
    ak_keyring_t  *both, *fresh;

    (void) state;

    both = unit_keyring("master " UNIT_MASTER_3 "\nmaster " UNIT_MASTER_1
                        "\n");
    fresh = unit_keyring("master " UNIT_MASTER_3 "\n");

    assert_int_equal(open_text(both, &place, S(FOREIGN_1), secret, &n), AK_OK);
    assert_str(ak_str(secret, n), UNIT_SECRET);

    assert_int_equal(open_text(fresh, &place, S(FOREIGN_1), secret, &n),
                     AK_KID_UNKNOWN);

    assert_int_equal(ak_seal(both, &place, S(UNIT_SECRET), text, &len, NULL),
                     AK_OK);
    s = ak_str(text, len);
    assert_memory_equal(text, "ak1.a4133664.", 13);

    assert_int_equal(open_text(fresh, &place, s, secret, &n), AK_OK);
    assert_int_equal(open_text(keyring, &place, s, secret, &n),
                     AK_KID_UNKNOWN);

    ak_keyring_free(fresh);
    ak_keyring_free(both);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_vectors),
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_shape),
    cmocka_unit_test(test_fresh_nonce),
    cmocka_unit_test(test_refused_secrets),
    cmocka_unit_test(test_refused_places),
    cmocka_unit_test(test_no_master),
    cmocka_unit_test(test_moved),
    cmocka_unit_test(test_bar),
    cmocka_unit_test(test_every_bit),
    cmocka_unit_test(test_wrong_kid),
    cmocka_unit_test(test_truncated),
    cmocka_unit_test(test_no_tokens),
    cmocka_unit_test(test_too_long),
    cmocka_unit_test(test_evil_content),
    cmocka_unit_test(test_rotation)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
