
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for what is kept of verified tokens. */


#include "unit.h"

#include "ak_verified.h"


/* Three times, a key, and five sizes of 32 bits: rounded up to 8. */

#define HEAD   64
#define SIZES  (3 * 8 + AK_JWS_ID_LEN)

#define TEXTS  6


static void
fill(ak_verified_t *v, const char *record, const char *claims,
    const char *jti, const char *sub, const char *user)
{
    size_t  i;

    memset(v, 0, sizeof(ak_verified_t));

    v->times.expires = 1800000600;
    v->times.not_before = 1799999000;
    v->times.issued = 1799999999;

    for (i = 0; i < AK_JWS_ID_LEN; i++) {
        v->key[i] = (uint8_t) (0xf0 + i);
    }

    v->alg = S("ES256");
    v->record = ak_cstr(record);
    v->claims = ak_cstr(claims);
    v->jti = ak_cstr(jti);
    v->sub = ak_cstr(sub);
    v->user = ak_cstr(user);
}


/* Memory that ends where what was packed does. */

static ak_str_t
pack(const ak_verified_t *v)
{
    size_t    size;
    uint8_t  *p;

    size = ak_verified_size(v);
    p = malloc(size);
    assert_non_null(p);

    memset(p, 0xa5, size);
    ak_verified_pack(v, p);

    return ak_str(p, size);
}


static void
check(const char *record, const char *claims, const char *jti,
    const char *sub, const char *user)
{
    ak_str_t       packed;
    ak_verified_t  v, back;

    fill(&v, record, claims, jti, sub, user);
    packed = pack(&v);

    assert_int_equal(packed.len, HEAD + strlen("ES256") + strlen(record)
                                 + strlen(claims) + strlen(jti) + strlen(sub)
                                 + strlen(user));

    memset(&back, 0x5a, sizeof(ak_verified_t));
    assert_int_equal(ak_verified_unpack(packed, &back), AK_OK);

    assert_int_equal(back.times.expires, 1800000600);
    assert_int_equal(back.times.not_before, 1799999000);
    assert_int_equal(back.times.issued, 1799999999);
    assert_memory_equal(back.key, v.key, AK_JWS_ID_LEN);

    assert_str(back.alg, "ES256");
    assert_str(back.record, record);
    assert_str(back.claims, claims);
    assert_str(back.jti, jti);
    assert_str(back.sub, sub);
    assert_str(back.user, user);

    /* views of what was packed, one behind the other */

    assert_ptr_equal(back.alg.data, packed.data + HEAD);
    assert_ptr_equal(back.user.data + back.user.len,
                     packed.data + packed.len);

    unit_free(packed);
}


static void
test_round_trip(void **state)
{
    (void) state;

    check("record", "{\"sub\":\"alice\"}", "id-1", "alice", "u-1");
    check("r", "", "", "", "");
    check("", "c", "", "", "");
    check("", "", "j", "", "");
    check("", "", "", "s", "");
    check("", "", "", "", "u");
    check("", "", "", "", "");
    check("same", "same", "same", "same", "same");
}


/* Any bytes, among them zeroes and those of a head. */

static void
test_bytes(void **state)
{
    uint8_t        bytes[256];
    size_t         i;
    ak_str_t       packed;
    ak_verified_t  v, back;

    (void) state;

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t) i;
    }

    fill(&v, "", "{}", "", "", "");
    v.record = ak_str(bytes, sizeof(bytes));
    v.sub = ak_str(bytes, 1);
    v.times.issued = -1;
    v.times.expires = INT64_MAX;
    v.times.not_before = INT64_MIN;

    packed = pack(&v);

    assert_int_equal(ak_verified_unpack(packed, &back), AK_OK);
    assert_true(ak_str_eq(back.record, v.record));
    assert_true(ak_str_eq(back.sub, v.sub));
    assert_true(back.times.issued == -1);
    assert_true(back.times.expires == INT64_MAX);
    assert_true(back.times.not_before == INT64_MIN);

    unit_free(packed);
}


/* Nothing of the stack is among what is packed: the same is always the same. */

static void
test_same(void **state)
{
    ak_str_t       one, two;
    ak_verified_t  v;

    (void) state;

    fill(&v, "record", "{}", "j", "s", "u");

    one = pack(&v);
    two = pack(&v);

    assert_true(ak_str_eq(one, two));

    unit_free(one);
    unit_free(two);
}


/* Packed data need not be aligned. */

static void
test_unaligned(void **state)
{
    size_t         i;
    uint8_t       *p;
    ak_str_t       packed;
    ak_verified_t  v, back;

    (void) state;

    fill(&v, "record", "{}", "j", "s", "u");
    packed = pack(&v);

    p = malloc(packed.len + 8);
    assert_non_null(p);

    for (i = 0; i < 8; i++) {
        memcpy(p + i, packed.data, packed.len);

        assert_int_equal(ak_verified_unpack(ak_str(p + i, packed.len), &back),
                         AK_OK);
        assert_str(back.record, "record");
        assert_str(back.user, "u");
    }

    free(p);
    unit_free(packed);
}


static void
test_truncated(void **state)
{
    size_t         len;
    ak_str_t       packed, part;
    ak_verified_t  v, back;

    (void) state;

    fill(&v, "record", "{\"sub\":\"alice\"}", "id-1", "alice", "u-1");
    packed = pack(&v);

    for (len = 0; len < packed.len; len++) {
        part = unit_exact(ak_str(packed.data, len));

        assert_case(ak_verified_unpack(part, &back) == AK_ERROR,
                    "%zu of %zu bytes are taken", len, packed.len);

        unit_free(part);
    }

    assert_int_equal(ak_verified_unpack(ak_str(NULL, 0), &back), AK_ERROR);

    unit_free(packed);
}


static void
test_more(void **state)
{
    uint8_t       *p;
    ak_str_t       packed;
    ak_verified_t  v, back;

    (void) state;

    fill(&v, "record", "{}", "j", "s", "u");
    packed = pack(&v);

    p = malloc(packed.len + 1);
    assert_non_null(p);
    memcpy(p, packed.data, packed.len);
    p[packed.len] = 'x';

    assert_int_equal(ak_verified_unpack(ak_str(p, packed.len + 1), &back),
                     AK_ERROR);

    free(p);
    unit_free(packed);
}


/* A size of the head that is not that of the text. */

static void
test_sizes(void **state)
{
    size_t         i, k;
    uint8_t       *size;
    uint32_t       was, bad;
    ak_str_t       packed;
    ak_verified_t  v, back;

    static const uint32_t  sizes[] = {
        1000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff
    };

    (void) state;

    fill(&v, "record", "claims", "jti", "sub", "user");
    packed = pack(&v);

    for (i = 0; i < TEXTS; i++) {
        size = (uint8_t *) packed.data + SIZES + 4 * i;

        memcpy(&was, size, 4);
        assert_in_range(was, 3, 6);

        for (k = 0; k < ak_nitems(sizes); k++) {
            memcpy(size, &sizes[k], 4);
            assert_case(ak_verified_unpack(packed, &back) == AK_ERROR,
                        "size %zu: %u is taken", i, sizes[k]);
        }

        bad = was + 1;
        memcpy(size, &bad, 4);
        assert_int_equal(ak_verified_unpack(packed, &back), AK_ERROR);

        bad = was - 1;
        memcpy(size, &bad, 4);
        assert_int_equal(ak_verified_unpack(packed, &back), AK_ERROR);

        memcpy(size, &was, 4);
        assert_int_equal(ak_verified_unpack(packed, &back), AK_OK);
    }

    unit_free(packed);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_bytes),
    cmocka_unit_test(test_same),
    cmocka_unit_test(test_unaligned),
    cmocka_unit_test(test_truncated),
    cmocka_unit_test(test_more),
    cmocka_unit_test(test_sizes)
};


UNIT_MAIN(tests)
