
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for secrets of the environment: the host is told of each. */


#include "unit.h"

#include "ak_env.h"


static unsigned  told;
static char     *where;


static ak_rc_t
test_env(void *data, const char *name, char *value)
{
    assert_null(data);
    assert_string_equal(name, "UNIT_ENV");

    told++;
    where = value;

    return (strcmp(value, "not-now") == 0) ? AK_ERROR : AK_OK;
}


static void
test_read(void **state)
{
    ak_str_t   s;
    ak_site_t  site = { .env = test_env };

    (void) state;

    assert_null(ak_env_secret(&site, "UNIT_ENV_NONE").data);
    assert_int_equal(told, 0);

    setenv("UNIT_ENV", "", 1);
    s = ak_env_secret(&site, "UNIT_ENV");
    assert_non_null(s.data);
    assert_int_equal(s.len, 0);
    assert_int_equal(told, 1);

    setenv("UNIT_ENV", "a-secret-value", 1);
    s = ak_env_secret(&site, "UNIT_ENV");
    assert_int_equal(s.len, 14);
    assert_memory_equal(s.data, "a-secret-value", 15);
    assert_int_equal(told, 2);

    /* it is the environment's own, where it can be wiped */

    assert_ptr_equal(where, getenv("UNIT_ENV"));
    assert_ptr_equal(s.data, where);
}


static void
test_forgetful(void **state)
{
    ak_site_t  site = { .env = test_env };

    (void) state;

    /* what could not be wiped is not used */

    setenv("UNIT_ENV", "not-now", 1);
    assert_null(ak_env_secret(&site, "UNIT_ENV").data);

    /* a host that does not ask is not told */

    site.env = NULL;
    assert_int_equal(ak_env_secret(&site, "UNIT_ENV").len, 7);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_read),
    cmocka_unit_test(test_forgetful)
};


UNIT_MAIN(tests)
