
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "account required route". */


#include "unit.h"
#include "unit_account.h"


typedef struct {
    const char  *args;
    const char  *routes;       /* NULL: the record has none */
    const char  *method;
    const char  *path;
    ak_reason_e  answer;
} case_t;


static const case_t  cases[] = {

    /* neither the line nor the record says anything */

    { "route", NULL, "GET", "/v1/chat", AK_IGNORE },
    { "route", NULL, "GET", "/v1\\chat", AK_IGNORE },

    /* the line alone */

    { "route /v1/chat", NULL, "GET", "/v1/chat", AK_SUCCESS },
    { "route /v1/chat", NULL, "POST", "/v1/chat/completions", AK_SUCCESS },
    { "route /v1/chat", NULL, "GET", "/v1/chat/", AK_SUCCESS },
    { "route /v1/chat", NULL, "GET", "/v1/chat-x", AK_FORBIDDEN },
    { "route /v1/chat", NULL, "GET", "/v1/cha", AK_FORBIDDEN },
    { "route /v1/chat", NULL, "GET", "/v1", AK_FORBIDDEN },
    { "route /v1/chat", NULL, "GET", "/", AK_FORBIDDEN },
    { "route /v1/chat", NULL, "GET", "/V1/chat", AK_FORBIDDEN },
    { "route /v1/chat", NULL, "GET", "/x/v1/chat", AK_FORBIDDEN },
    { "route /v1/a /v1/b", NULL, "GET", "/v1/b", AK_SUCCESS },
    { "route /v1/a /v1/b", NULL, "GET", "/v1/c", AK_FORBIDDEN },
    { "route /", NULL, "GET", "/anything/at/all", AK_SUCCESS },
    { "route /v1/a=b", NULL, "GET", "/v1/a=b", AK_SUCCESS },

    /* the record alone */

    { "route", "/v1/chat", "GET", "/v1/chat", AK_SUCCESS },
    { "route", "/v1/chat", "GET", "/v1/models", AK_FORBIDDEN },
    { "route", "/v1/models,/v1/chat", "GET", "/v1/chat/x", AK_SUCCESS },
    { "route", " /v1/models , /v1/chat ", "GET", "/v1/chat", AK_SUCCESS },
    { "route", "/api/models", "GET", "/api/models-x", AK_FORBIDDEN },

    /* both: one of each */

    { "route /v1", "/v1/chat", "GET", "/v1/chat", AK_SUCCESS },
    { "route /v1", "/v1/chat", "GET", "/v1/models", AK_FORBIDDEN },
    { "route /v1/chat", "/v1", "GET", "/v1/models", AK_FORBIDDEN },
    { "route /v1/chat", "/v1", "GET", "/v1/chat", AK_SUCCESS },
    { "route GET:/v1", "POST:/v1", "GET", "/v1", AK_FORBIDDEN },
    { "route GET|POST:/v1", "POST:/v1", "POST", "/v1", AK_SUCCESS },

    /* methods */

    { "route GET:/v1", NULL, "GET", "/v1", AK_SUCCESS },
    { "route GET:/v1", NULL, "HEAD", "/v1", AK_SUCCESS },
    { "route GET:/v1", NULL, "POST", "/v1", AK_FORBIDDEN },
    { "route HEAD:/v1", NULL, "GET", "/v1", AK_FORBIDDEN },
    { "route POST:/v1 GET:/v2", NULL, "POST", "/v2", AK_FORBIDDEN },
    { "route POST|GET:/v1", NULL, "HEAD", "/v1", AK_SUCCESS },
    { "route POST|PUT:/v1", NULL, "HEAD", "/v1", AK_FORBIDDEN },
    { "route", "GET|POST:/v1/chat,DELETE:/v1/files", "DELETE", "/v1/files/1",
      AK_SUCCESS },
    { "route", "GET|POST:/v1/chat,DELETE:/v1/files", "DELETE", "/v1/chat",
      AK_FORBIDDEN },

    /* a path that an upstream might read as another one */

    { "route /v1", NULL, "GET", "/v1/%2e%2e/admin", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/%2E%2E/admin", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/..%2fadmin", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/..%5Cadmin", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/a%00", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/..\\admin", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/a\nb", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/..;/admin", AK_FORBIDDEN },
    { "route /", NULL, "GET", "/v1/%2e", AK_FORBIDDEN },
    { "route", "/v1", "GET", "/v1/%2e%2e/admin", AK_FORBIDDEN },
    { "route /v1", NULL, "GET", "/v1/100%", AK_SUCCESS },
    { "route /v1", NULL, "GET", "/v1/100%20", AK_SUCCESS },
    { "route /v1", NULL, "GET", "/v1/a..b/...", AK_SUCCESS },
    { "route /v1", NULL, "GET", "/v1/\xc3\xa4", AK_SUCCESS },

    /* a record that cannot be read, whatever else is in it */

    { "route", "/v1 v2", "GET", "/v1", AK_FORBIDDEN },
    { "route", "v2,/v1", "GET", "/v1", AK_FORBIDDEN },
    { "route", "/v1 /v2/*", "GET", "/v1", AK_FORBIDDEN },
    { "route", "/v1 get:/v2", "GET", "/v1", AK_FORBIDDEN },
    { "route /v1", " , ", "GET", "/v1", AK_FORBIDDEN },
    { "route", ",", "GET", "/v1", AK_FORBIDDEN },

    /* a host that does not know */

    { "route /", NULL, NULL, "/", AK_FORBIDDEN },
    { "route /", NULL, "GET", NULL, AK_FORBIDDEN },
    { "route /", NULL, "GET", "", AK_FORBIDDEN }
};


static void
test_cases(void **state)
{
    size_t         i;
    ak_reason_e    answer;
    const case_t  *c;

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        c = &cases[i];

        unit_request.get[AK_VIEW_METHOD] = c->method;
        unit_request.get[AK_VIEW_PATH] = c->path;

        answer = unit_account(c->args, "routes", c->routes);

        assert_case(answer == c->answer, "\"%s\" and \"%s\" for \"%s\": %d",
                    c->args, c->routes == NULL ? "(none)" : c->routes,
                    c->path == NULL ? "(none)" : c->path, (int) answer);
    }
}


static void
test_no_record(void **state)
{
    unit_account_t  a;

    (void) state;

    unit_request.get[AK_VIEW_METHOD] = "GET";
    unit_request.get[AK_VIEW_PATH] = "/v1";

    assert_int_equal(unit_account("route", NULL, NULL), AK_IGNORE);
    assert_int_equal(unit_account("route /v1", NULL, NULL), AK_SUCCESS);
    assert_int_equal(unit_account("route /v2", NULL, NULL), AK_FORBIDDEN);

    /* one that is no record */

    assert_int_equal(unit_account_begin(&a, "route /v1"), AK_OK);
    unit_account_record(&a, "routes", "/v1");
    a.record.len--;
    unit_account_auth(&a);
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);
}


static void
test_lines(void **state)
{
    (void) state;

    unit_account_refused("route v1/chat", "\"v1/chat\"");
    unit_account_refused("route /v1 GET", "\"GET\"");
    unit_account_refused("route get:/v1", "capitals");
    unit_account_refused("route GET,POST:/v1", "capitals");
    unit_account_refused("route /v1,/v2", "comma");
    unit_account_refused("route /v1/*", "pattern");
    unit_account_refused("route https://example.com/v1", "no route");
    unit_account_refused("route GET:https://example.com/v1", "begin with");
    unit_account_refused("route /v1 methods=GET", "\"methods=GET\"");
}


static void
test_no_memory(void **state)
{
    size_t          i;
    ak_rc_t         rc;
    unit_account_t  a;

    (void) state;

    assert_int_equal(unit_account_begin(&a, "route /v1"), AK_OK);

    rc = AK_ERROR;

    for (i = 0; rc != AK_OK; i++) {
        assert_true(i < 100);
        a.pool.left = i;
        rc = unit_add(a.s, "account required route /v1 /v2", &a.d);
    }

    assert_true(i > 3);
    unit_account_end(&a);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_cases),
    cmocka_unit_test(test_no_record),
    cmocka_unit_test(test_lines),
    cmocka_unit_test(test_no_memory)
};


UNIT_MAIN(tests)
