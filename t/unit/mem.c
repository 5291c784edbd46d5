
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for wiping and for comparison in constant time. */


#include "unit.h"


static void
test_wipe(void **state)
{
    size_t   size;
    uint8_t  buf[80];

    (void) state;

    for (size = 0; size <= 64; size++) {
        memset(buf, 0xff, sizeof(buf));

        ak_mem_wipe(buf + 8, size);

        assert_true(unit_zero(buf + 8, size));
        assert_int_equal(buf[7], 0xff);
        assert_int_equal(buf[8 + size], 0xff);
    }
}


/* Each single bit counts, wherever it is. */

static void
test_equal(void **state)
{
    size_t   size, bit;
    uint8_t  a[64], b[64];

    (void) state;

    for (size = 0; size <= sizeof(a); size++) {
        memset(a, 0x5a, sizeof(a));
        memset(b, 0x5a, sizeof(b));

        if (size < sizeof(a)) {
            b[size] = 0;
        }

        assert_true(ak_mem_equal(a, b, size));

        for (bit = 0; bit < size * 8; bit++) {
            b[bit / 8] ^= 1 << bit % 8;
            assert_false(ak_mem_equal(a, b, size));
            b[bit / 8] ^= 1 << bit % 8;
        }
    }
}


/* Differences must not cancel each other out. */

static void
test_equal_several(void **state)
{
    uint8_t  a[4] = { 1, 2, 3, 4 };
    uint8_t  b[4] = { 2, 1, 4, 3 };
    uint8_t  c[4] = { 0x81, 0x82, 3, 4 };

    (void) state;

    assert_false(ak_mem_equal(a, b, 4));
    assert_false(ak_mem_equal(a, c, 4));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_wipe),
    cmocka_unit_test(test_equal),
    cmocka_unit_test(test_equal_several)
};


UNIT_MAIN(tests)
