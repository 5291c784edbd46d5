
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for packed sets of sealed tokens. */


#include "unit.h"

#include "ak_tokens.h"


#define TOKEN_1                                                               \
    "ak1.388b2fce.QEFCQ0RFRkdISUpL."                                          \
    "Zt6DtxbfxvUA2ZAqaSIGpq1L_XBbCW94W8fRODKsYyGTTmYmEBLN-Qg"
#define TOKEN_2                                                               \
    "ak1.09f7ecbb.QEFCQ0RFRkdISUpL."                                          \
    "cVnifub5EfW-ltE2SEjjzEREWuBR9MmnGfVSb2zmSRv0HuwXSBTf0N8"

#define FIELD(name, value)  { ak_string(name), ak_string(value) }


static uint8_t  packed[AK_VALUE_MAX];


static ak_str_t
pack(const ak_field_t *fields, size_t n, unsigned expected)
{
    size_t    len;
    uint8_t  *dst;
    unsigned  damaged;

    dst = malloc(AK_VALUE_MAX);
    assert_non_null(dst);

    damaged = 0xa5a5;
    assert_int_equal(ak_tokens_pack(fields, n, dst, &len, &damaged), AK_OK);
    assert_true(len <= AK_VALUE_MAX);
    assert_int_equal(damaged, expected);

    memcpy(packed, dst, len);
    free(dst);

    return ak_str(packed, len);
}


static void
check_slot(ak_str_t set, size_t *pos, const char *name, const char *token)
{
    size_t     len;
    uint8_t    sealed[AK_SEALED_MAX];
    ak_slot_t  slot;

    assert_int_equal(ak_tokens_next(set, pos, &slot), AK_OK);
    assert_str(slot.name, name);

    if (token == NULL) {
        assert_int_equal(slot.sealed.len, 0);
        return;
    }

    assert_int_equal(ak_seal_decode(ak_cstr(token), sealed, &len), AK_OK);
    assert_int_equal(slot.sealed.len, len);
    assert_memory_equal(slot.sealed.data, sealed, len);
}


static void
check_end(ak_str_t set, size_t *pos)
{
    ak_slot_t  slot;

    assert_int_equal(ak_tokens_next(set, pos, &slot), AK_NOT_FOUND);
    assert_int_equal(ak_tokens_next(set, pos, &slot), AK_NOT_FOUND);
}


static void
test_order(void **state)
{
    size_t    pos;
    ak_str_t  set;

    static const ak_field_t  fields[] = {
        FIELD("main", TOKEN_1), FIELD("b", TOKEN_2), FIELD("B", TOKEN_1),
        FIELD("a1", TOKEN_2), FIELD("a", TOKEN_1), FIELD("a.b", TOKEN_2),
        FIELD("10", TOKEN_1), FIELD("9", TOKEN_2)
    };

    (void) state;

    set = pack(fields, ak_nitems(fields), 0);
    pos = 0;

    check_slot(set, &pos, "10", TOKEN_1);
    check_slot(set, &pos, "9", TOKEN_2);
    check_slot(set, &pos, "B", TOKEN_1);
    check_slot(set, &pos, "a", TOKEN_1);
    check_slot(set, &pos, "a.b", TOKEN_2);
    check_slot(set, &pos, "a1", TOKEN_2);
    check_slot(set, &pos, "b", TOKEN_2);
    check_slot(set, &pos, "main", TOKEN_1);
    check_end(set, &pos);
}


static void
test_empty(void **state)
{
    size_t    pos;
    ak_str_t  set;

    (void) state;

    set = pack(NULL, 0, 0);
    pos = 0;
    check_end(set, &pos);
}


/* A damaged token hurts its own slot and no other. */

static void
test_damaged(void **state)
{
    size_t    pos;
    ak_str_t  set;

    static const ak_field_t  fields[] = {
        FIELD("a", TOKEN_1),
        FIELD("b", ""),
        FIELD("c", "sk-proj-in-plain-text"),
        FIELD("d", TOKEN_1 "="),
        FIELD("e", "ak9.388b2fce.QEFCQ0RFRkdISUpL.AAAA"),
        FIELD("f", TOKEN_2)
    };

    (void) state;

    set = pack(fields, ak_nitems(fields), 4);
    pos = 0;

    check_slot(set, &pos, "a", TOKEN_1);
    check_slot(set, &pos, "b", NULL);
    check_slot(set, &pos, "c", NULL);
    check_slot(set, &pos, "d", NULL);
    check_slot(set, &pos, "e", NULL);
    check_slot(set, &pos, "f", TOKEN_2);
    check_end(set, &pos);

    assert_false(unit_leaks(set.data, set.len, S("sk-proj-in-plain-text"), 8));
}


/* A slot with a name of no slot is never handed out as a good one. */

static void
test_bad_names(void **state)
{
    size_t     i, pos, len;
    ak_rc_t    rc;
    unsigned   damaged;
    ak_slot_t  slot;

    static const ak_field_t  fields[] = {
        FIELD("", TOKEN_1), FIELD("a b", TOKEN_1), FIELD("a|b", TOKEN_1),
        FIELD("caf\xc3\xa9", TOKEN_1), FIELD("a/b", TOKEN_1),
        FIELD("01234567890123456789012345678901234567890123456789"
              "01234567890123456789", TOKEN_1)
    };

    (void) state;

    for (i = 0; i < ak_nitems(fields); i++) {

        rc = ak_tokens_pack(&fields[i], 1, packed, &len, &damaged);

        if (rc != AK_OK) {
            continue;
        }

        pos = 0;

        while (ak_tokens_next(ak_str(packed, len), &pos, &slot) == AK_OK) {
            assert_int_equal(slot.sealed.len, 0);
        }
    }
}


static void
test_limits(void **state)
{
    char        names[AK_SLOTS_MAX + 1][4], *big;
    size_t      i, n, len, pos;
    unsigned    damaged;
    ak_slot_t   slot;
    ak_field_t  fields[AK_SLOTS_MAX + 1];

    (void) state;

    for (i = 0; i <= AK_SLOTS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "s%02zu", i);
        fields[i].name = ak_cstr(names[i]);
        fields[i].value = S(TOKEN_1);
    }

    assert_int_equal(ak_tokens_pack(fields, AK_SLOTS_MAX, packed, &len,
                                    &damaged), AK_OK);

    for (pos = 0, n = 0; n < AK_SLOTS_MAX; n++) {
        check_slot(ak_str(packed, len), &pos, names[n], TOKEN_1);
    }

    check_end(ak_str(packed, len), &pos);

    assert_int_equal(ak_tokens_pack(fields, AK_SLOTS_MAX + 1, packed, &len,
                                    &damaged), AK_ERROR);

    /* few slots, but big ones */

    big = malloc(AK_SEALED_TEXT_MAX);
    assert_non_null(big);

    memset(big, 'A', AK_SEALED_TEXT_MAX);
    memcpy(big, "ak1.388b2fce.QEFCQ0RFRkdISUpL.", 30);

    for (i = 0; i < 8; i++) {
        fields[i].value = ak_str(big, 30 + 5480);
    }

    assert_int_equal(ak_tokens_pack(fields, 3, packed, &len, &damaged), AK_OK);
    assert_int_equal(damaged, 0);
    pos = 0;
    assert_int_equal(ak_tokens_next(ak_str(packed, len), &pos, &slot), AK_OK);
    assert_int_equal(slot.sealed.len, 16 + 4110);

    assert_int_equal(ak_tokens_pack(fields, 8, packed, &len, &damaged),
                     AK_ERROR);

    free(big);
}


/* Walks a set that may be anything; it must come to an end. */

static ak_rc_t
walk(ak_str_t set)
{
    size_t     pos, n;
    ak_rc_t    rc;
    ak_slot_t  slot;

    pos = 0;

    for (n = 0; n <= AK_VALUE_MAX; n++) {
        rc = ak_tokens_next(set, &pos, &slot);

        if (rc != AK_OK) {
            assert_true(rc == AK_NOT_FOUND || rc == AK_ERROR);
            return rc;
        }

        assert_true(pos <= set.len);
        assert_true(slot.name.len <= set.len);
        assert_true(slot.sealed.len <= set.len);
        (void) unit_leaks(slot.sealed.data, slot.sealed.len, slot.name, 1);
    }

    fail_msg("no end");

    return AK_ERROR;
}


static void
test_hostile(void **state)
{
    size_t    i, v, pos, ends;
    uint8_t   copy[AK_VALUE_MAX];
    ak_str_t  set, s;
    ak_rc_t   rc;

    static const ak_field_t  fields[] = {
        FIELD("one", TOKEN_1), FIELD("three", TOKEN_2), FIELD("two", "damaged")
    };
    static const uint8_t  values[] = { 0, 1, 0x1c, 0x7f, 0x80, 0xff };

    (void) state;

    set = pack(fields, ak_nitems(fields), 1);
    memcpy(copy, set.data, set.len);
    ends = 0;

    /* a set that is cut off between two slots is a set, others are not */

    for (i = 0; i < set.len; i++) {
        s = unit_exact(ak_str(copy, i));
        rc = walk(s);
        ends += rc == AK_NOT_FOUND;
        unit_free(s);
    }

    assert_true(ends <= ak_nitems(fields));

    for (i = 0; i < set.len; i++) {
        for (v = 0; v < ak_nitems(values); v++) {
            copy[i] = values[v];
            s = unit_exact(ak_str(copy, set.len));
            (void) walk(s);
            unit_free(s);
        }

        copy[i] = set.data[i];
    }

    /* a position beyond the end */

    pos = set.len + 1;
    assert_int_not_equal(ak_tokens_next(set, &pos, &(ak_slot_t) { 0 }), AK_OK);
}


static void
test_slot_valid(void **state)
{
    char      name[65];
    size_t    n;
    uint8_t   b;
    unsigned  c;

    static const char  letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    (void) state;

    memset(name, 's', sizeof(name));

    for (n = 0; n <= 65; n++) {
        assert_int_equal(ak_slot_valid(ak_str(name, n)), n >= 1 && n <= 64);
    }

    for (c = 0; c < 256; c++) {
        b = (uint8_t) c;
        assert_case(ak_slot_valid(ak_str(&b, 1))
                    == (c != 0 && strchr(letters, (int) c) != NULL),
                    "the slot 0x%02x", c);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_order),
    cmocka_unit_test(test_empty),
    cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_bad_names),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_hostile),
    cmocka_unit_test(test_slot_valid)
};


UNIT_MAIN(tests)
