
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the headers of a request, as the library sees them. */


#include "unit.h"

#include <limits.h>

#include "ak_view.h"


static void
test_same_name(void **state)
{
    size_t    i;
    ak_str_t  received;

    static const struct {
        const char  *received;
        const char  *name;
        bool         same;
    } list[] = {
        { "x-api-key", "x-api-key", true },
        { "x_api_key", "x-api-key", true },
        { "x-api_key", "x-api-key", true },
        { "x-api-key", "x_api_key", true },
        { "x_api-key", "x-api_key", true },
        { "x-api-key", "x-api-kez", false },
        { "x-api-ke", "x-api-key", false },
        { "x-api-key-", "x-api-key", false },
        { "xxapi-key", "x-api-key", false },
        { "x-api-key", "xxapi-key", false },
        { "x.api.key", "x-api-key", false },
        { "-", "_", true },
        { "a", "a", true },
        { "authorization", "authorization", true }
    };

    (void) state;

    for (i = 0; i < ak_nitems(list); i++) {
        received = unit_exact(ak_cstr(list[i].received));

        assert_case(ak_view_same_name(received, ak_cstr(list[i].name))
                    == list[i].same, "%s and %s", list[i].received,
                    list[i].name);

        unit_free(received);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_same_name)
};


UNIT_MAIN(tests)
