
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "account required scope". */


#include "unit.h"
#include "unit_account.h"


#define S64  "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"


typedef struct {
    const char  *args;
    const char  *scopes;       /* NULL: the record has none */
    ak_reason_e  answer;
} case_t;


static const case_t  cases[] = {

    { "scope chat", "chat", AK_SUCCESS },
    { "scope chat", "models chat", AK_SUCCESS },
    { "scope chat", "models,chat", AK_SUCCESS },
    { "scope chat", " , models, chat,", AK_SUCCESS },
    { "scope chat", "models", AK_FORBIDDEN },
    { "scope chat", "Chat", AK_FORBIDDEN },
    { "scope chat", "chat2", AK_FORBIDDEN },
    { "scope chat", "cha", AK_FORBIDDEN },
    { "scope chat", "chat:read", AK_FORBIDDEN },
    { "scope chat", "", AK_FORBIDDEN },
    { "scope chat", NULL, AK_FORBIDDEN },

    /* all of them */

    { "scope chat models", "chat", AK_FORBIDDEN },
    { "scope chat models", "models", AK_FORBIDDEN },
    { "scope chat models", "models chat", AK_SUCCESS },
    { "scope chat models", "files models chat", AK_SUCCESS },
    { "scope a b c", "a b d", AK_FORBIDDEN },
    { "scope chat chat", "chat", AK_SUCCESS },

    /* any of them; the flag may stand anywhere */

    { "scope chat models any", "chat", AK_SUCCESS },
    { "scope any chat models", "models", AK_SUCCESS },
    { "scope chat any models", "files models", AK_SUCCESS },
    { "scope chat models any", "files", AK_FORBIDDEN },
    { "scope chat models any", "any", AK_FORBIDDEN },
    { "scope chat models any", NULL, AK_FORBIDDEN },
    { "scope chat any", "chat", AK_SUCCESS },
    { "scope chat any", "models", AK_FORBIDDEN },

    /* all that there are */

    { "scope chat", "*", AK_SUCCESS },
    { "scope chat models", "*", AK_SUCCESS },
    { "scope chat models", "files,*", AK_SUCCESS },
    { "scope chat models any", "*", AK_SUCCESS },
    { "scope chat", "*chat", AK_FORBIDDEN },
    { "scope chat", "chat*", AK_FORBIDDEN },
    { "scope *", "chat", AK_FORBIDDEN },
    { "scope *", "*", AK_SUCCESS },

    /* what cannot be read grants nothing, whatever else is in it */

    { "scope chat", "chat mod\"els", AK_FORBIDDEN },
    { "scope chat", "* mod\\els", AK_FORBIDDEN },
    { "scope chat", "chat\tmodels", AK_FORBIDDEN },
    { "scope chat", "chat \xc3\xa4", AK_FORBIDDEN },
    { "scope chat", "chat " S64 "s", AK_FORBIDDEN },
    { "scope chat any", " ,", AK_FORBIDDEN },

    /* the edges of what a scope is */

    { "scope " S64, S64, AK_SUCCESS },
    { "scope !#[]~", "!#[]~", AK_SUCCESS },
    { "scope https://example.com/x=y", "https://example.com/x=y", AK_SUCCESS }
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
        answer = unit_account(c->args, "scopes", c->scopes);

        assert_case(answer == c->answer, "\"%s\" of \"%s\": %d", c->args,
                    c->scopes == NULL ? "(none)" : c->scopes, (int) answer);
    }
}


static void
test_no_record(void **state)
{
    unit_account_t  a;

    (void) state;

    assert_int_equal(unit_account("scope chat", NULL, NULL), AK_FORBIDDEN);
    assert_int_equal(unit_account("scope chat any", NULL, NULL),
                     AK_FORBIDDEN);

    /* one that is no record */

    assert_int_equal(unit_account_begin(&a, "scope chat"), AK_OK);
    unit_account_record(&a, "scopes", "chat");
    a.record.len--;
    unit_account_auth(&a);
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);
}


static void
test_lines(void **state)
{
    (void) state;

    unit_account_refused("scope", "no scope is named");
    unit_account_refused("scope any", "no scope is named");
    unit_account_refused("scope chat,models", "\"chat,models\"");
    unit_account_refused("scope chat mod\"els", "\"mod\"els\"");
    unit_account_refused("scope mod\\els", "\"mod\\els\"");
    unit_account_refused("scope mod\x7f" "els", "no scope");
    unit_account_refused("scope mod\xc3\xa4", "no scope");
    unit_account_refused("scope chat " S64 "s", "1 to 64 bytes");
    unit_account_refused("scope chat all=yes", "\"all=yes\"");
    unit_account_refused("scope any any chat", "\"any\" is there twice");
}


static void
test_groups(void **state)
{
    const ak_module_t  *m;

    (void) state;

    m = ak_module_find(S("scope"));
    assert_non_null(m);
    assert_false(ak_module_serves(m, AK_GROUP_AUTH));
    assert_true(ak_module_serves(m, AK_GROUP_ACCOUNT));
    assert_false(ak_module_serves(m, AK_GROUP_SESSION));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_cases),
    cmocka_unit_test(test_no_record),
    cmocka_unit_test(test_lines),
    cmocka_unit_test(test_groups)
};


UNIT_MAIN(tests)
