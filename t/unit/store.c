
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the names of a store, and what it answers. */


#include "unit.h"

#include "ak_store.h"


static void
test_names(void **state)
{
    char             text[600];
    uint8_t          dst[AK_STORE_KEY_MAX];
    ak_str_t         key;
    ak_store_conf_t  conf;

    (void) state;

    memset(&conf, 0, sizeof(ak_store_conf_t));
    conf.prefix = S("apikey:");

    assert_int_equal(ak_store_record_key(&conf, S(UNIT_ID), dst, &key), AK_OK);
    assert_str(key, "apikey:key:" UNIT_ID);

    assert_int_equal(ak_store_tokens_key(&conf, S("alice"), S("openai"), dst,
                                         &key), AK_OK);
    assert_str(key, "apikey:upstream:alice:openai");

    assert_int_equal(ak_store_tokens_key(&conf, S("*"), S("azure-openai"),
                                         dst, &key), AK_OK);
    assert_str(key, "apikey:upstream:*:azure-openai");

    conf.prefix = S("p");
    assert_int_equal(ak_store_tokens_key(&conf, S("team:a b\xc3\xa9"),
                                         S("x_y.z"), dst, &key), AK_OK);
    assert_str(key, "pupstream:team:a b\xc3\xa9:x_y.z");

    /* what is no id, no owner and no provider names nothing */

    assert_int_equal(ak_store_record_key(&conf, S(""), dst, &key), AK_ERROR);
    assert_int_equal(ak_store_record_key(&conf, S("a b"), dst, &key),
                     AK_ERROR);
    assert_int_equal(ak_store_record_key(&conf, S("a:b"), dst, &key),
                     AK_ERROR);
    assert_int_equal(ak_store_record_key(&conf, S("a\r\nDEL x"), dst, &key),
                     AK_ERROR);

    assert_int_equal(ak_store_tokens_key(&conf, S(""), S("openai"), dst, &key),
                     AK_ERROR);
    assert_int_equal(ak_store_tokens_key(&conf, S("a\n"), S("openai"), dst,
                                         &key), AK_ERROR);
    assert_int_equal(ak_store_tokens_key(&conf, S("a"), S(""), dst, &key),
                     AK_ERROR);
    assert_int_equal(ak_store_tokens_key(&conf, S("a"), S("b:openai"), dst,
                                         &key), AK_ERROR);
    assert_int_equal(ak_store_tokens_key(&conf, S("a"), S("op enai"), dst,
                                         &key), AK_ERROR);

    memset(text, 'a', sizeof(text));
    assert_int_equal(ak_store_record_key(&conf, ak_str(text, AK_ID_MAX), dst,
                                         &key), AK_OK);
    assert_int_equal(ak_store_record_key(&conf, ak_str(text, AK_ID_MAX + 1),
                                         dst, &key), AK_ERROR);

    /* a name that does not fit is refused, not cut */

    conf.prefix = ak_str(text, AK_STORE_KEY_MAX - 6);
    assert_int_equal(ak_store_record_key(&conf, S("ab"), dst, &key), AK_OK);
    assert_int_equal(key.len, AK_STORE_KEY_MAX);
    assert_int_equal(ak_store_record_key(&conf, S("abc"), dst, &key),
                     AK_ERROR);

    conf.prefix = ak_str(text, 600);
    assert_int_equal(ak_store_record_key(&conf, S("a"), dst, &key), AK_ERROR);
}


static void
test_channel(void **state)
{
    char             text[AK_STORE_KEY_MAX];
    uint8_t          dst[AK_STORE_KEY_MAX];
    ak_str_t         channel;
    ak_store_conf_t  conf;

    (void) state;

    memset(&conf, 0, sizeof(ak_store_conf_t));

    conf.prefix = S("apikey:");
    assert_int_equal(ak_store_channel(&conf, dst, &channel), AK_OK);
    assert_str(channel, "apikey:changed");
    assert_ptr_equal(channel.data, dst);

    conf.prefix = S("p");
    assert_int_equal(ak_store_channel(&conf, dst, &channel), AK_OK);
    assert_str(channel, "pchanged");

    memset(text, 'a', sizeof(text));
    conf.prefix = ak_str(text, AK_STORE_KEY_MAX - 7);
    assert_int_equal(ak_store_channel(&conf, dst, &channel), AK_OK);
    assert_int_equal(channel.len, AK_STORE_KEY_MAX);

    conf.prefix.len++;
    assert_int_equal(ak_store_channel(&conf, dst, &channel), AK_ERROR);
}


static void
test_usage_names(void **state)
{
    char             text[600];
    size_t           i;
    uint8_t          dst[AK_STORE_KEY_MAX];
    ak_str_t         key;
    ak_store_conf_t  conf;

    static const struct {
        const char  *prefix;
        const char  *name;
    } cases[] = {
        { "apikey:", "apikey-usage:" UNIT_ID },
        { "a:b:", "a:b-usage:" UNIT_ID },
        { ":", "-usage:" UNIT_ID },
        { "::", ":-usage:" UNIT_ID },
        { "-:", "--usage:" UNIT_ID },
        { "usage:", "usage-usage:" UNIT_ID },
        { "p", "-usage:p:" UNIT_ID },
        { "u", "-usage:u:" UNIT_ID },
        { "p-usage", "-usage:p-usage:" UNIT_ID },
        { "-", "usage:-:" UNIT_ID },
        { "-usage", "usage:-usage:" UNIT_ID },
        { "-usage:-", "usage:-usage:-:" UNIT_ID }
    };

    (void) state;

    memset(&conf, 0, sizeof(ak_store_conf_t));

    for (i = 0; i < ak_nitems(cases); i++) {
        conf.prefix = ak_cstr(cases[i].prefix);

        assert_int_equal(ak_store_usage_key(&conf, S(UNIT_ID), dst, &key),
                         AK_OK);
        assert_str(key, cases[i].name);

        /* or each write would wake whoever watches the prefix */

        assert_case(!ak_str_starts(key, conf.prefix), "%s", cases[i].prefix);
    }

    conf.prefix = S("apikey:");
    assert_int_equal(ak_store_usage_key(&conf, S(""), dst, &key), AK_ERROR);
    assert_int_equal(ak_store_usage_key(&conf, S("a:b"), dst, &key),
                     AK_ERROR);

    conf.prefix = S("");
    assert_int_equal(ak_store_usage_key(&conf, S(UNIT_ID), dst, &key),
                     AK_ERROR);

    memset(text, 'a', sizeof(text));
    conf.prefix = ak_str(text, AK_STORE_KEY_MAX - 10);
    assert_int_equal(ak_store_usage_key(&conf, S("ab"), dst, &key), AK_OK);
    assert_int_equal(key.len, AK_STORE_KEY_MAX);
    assert_int_equal(ak_store_usage_key(&conf, S("abc"), dst, &key),
                     AK_ERROR);
}


static ak_rc_t
fields_of(const char *text, size_t max, ak_field_t *fields, size_t *n,
    ak_reply_t **reply, ak_resp_t **r)
{
    *r = ak_resp_create();
    assert_non_null(*r);
    assert_int_equal(ak_resp_feed(*r, text, strlen(text)), AK_OK);
    assert_int_equal(ak_resp_next(*r, reply), AK_OK);

    return ak_store_fields(*reply, fields, max, n);
}


static void
test_fields(void **state)
{
    size_t       i, n;
    ak_rc_t      rc;
    ak_resp_t   *r;
    ak_field_t   fields[2];
    ak_reply_t  *reply;

    static const struct {
        const char  *text;
        ak_rc_t      rc;
    } cases[] = {
        { "*4\r\n$1\r\na\r\n$2\r\nxy\r\n$1\r\nb\r\n$0\r\n\r\n", AK_OK },
        { "*0\r\n", AK_NOT_FOUND },
        { "*-1\r\n", AK_ERROR },
        { "$-1\r\n", AK_ERROR },
        { "+OK\r\n", AK_ERROR },
        { ":1\r\n", AK_ERROR },
        { "$1\r\na\r\n", AK_ERROR },
        { "*1\r\n$1\r\na\r\n", AK_ERROR },
        { "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", AK_ERROR },
        { "*2\r\n$1\r\na\r\n:1\r\n", AK_ERROR },
        { "*2\r\n$-1\r\n$1\r\na\r\n", AK_ERROR },
        { "*2\r\n$1\r\na\r\n*0\r\n", AK_ERROR },
        { "*6\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n", AK_ERROR },
        { "*6\r\n$1\r\na\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nb\r\n"
          "$1\r\nc\r\n$1\r\nc\r\n", AK_ERROR },
        { "-WRONGTYPE Operation against a key\r\n", AK_ERROR },
        { "-WRONGTYPED\r\n", AK_UNAVAILABLE },
        { "-NOAUTH Authentication required.\r\n", AK_UNAVAILABLE },
        { "-LOADING Redis is loading\r\n", AK_UNAVAILABLE }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        n = 99;
        rc = fields_of(cases[i].text, 2, fields, &n, &reply, &r);

        assert_case(rc == cases[i].rc, "%s", cases[i].text);
        assert_int_equal(n, rc == AK_OK ? 2 : 0);

        if (rc == AK_OK) {
            assert_str(fields[0].name, "a");
            assert_str(fields[0].value, "xy");
            assert_str(fields[1].name, "b");
            assert_str(fields[1].value, "");
        }

        ak_reply_free(reply);
        ak_resp_free(r);
    }

    assert_int_equal(ak_store_fields(NULL, fields, 2, &n), AK_UNAVAILABLE);
}


static void
test_usage(void **state)
{
    size_t       i;
    ak_rc_t      rc;
    ak_resp_t   *r;
    ak_reply_t  *reply;
    ak_usage_t   usage;

    static const struct {
        const char  *text;
        ak_rc_t      rc;
        int64_t      requests;
        int64_t      last_used;
    } cases[] = {
        { "*4\r\n$8\r\nrequests\r\n$2\r\n42\r\n"
          "$9\r\nlast_used\r\n$10\r\n1795235813\r\n",
          AK_OK, 42, 1795235813 },
        { "*4\r\n$1\r\nx\r\n$1\r\n1\r\n"
          "$8\r\nrequests\r\n$1\r\n7\r\n", AK_OK, 7, 0 },
        { "*2\r\n$8\r\nrequests\r\n$2\r\n-1\r\n", AK_OK, 0, 0 },
        { "*2\r\n$8\r\nrequests\r\n$3\r\n1.5\r\n", AK_OK, 0, 0 },
        { "*2\r\n$8\r\nrequests\r\n$0\r\n\r\n", AK_OK, 0, 0 },
        { "*2\r\n$8\r\nrequests\r\n$18\r\n999999999999999999\r\n",
          AK_OK, INT64_C(999999999999999999), 0 },
        { "*2\r\n$8\r\nrequests\r\n$19\r\n1000000000000000000\r\n",
          AK_OK, 0, 0 },
        { "*0\r\n", AK_NOT_FOUND, 0, 0 },
        { "-WRONGTYPE Operation against a key\r\n", AK_ERROR, 0, 0 },
        { "-NOPERM no\r\n", AK_UNAVAILABLE, 0, 0 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        r = ak_resp_create();
        assert_non_null(r);
        assert_int_equal(ak_resp_feed(r, cases[i].text,
                                      strlen(cases[i].text)), AK_OK);
        assert_int_equal(ak_resp_next(r, &reply), AK_OK);

        memset(&usage, 0xff, sizeof(ak_usage_t));
        rc = ak_store_usage(reply, &usage);

        assert_case(rc == cases[i].rc, "%s", cases[i].text);
        assert_int_equal(usage.requests, cases[i].requests);
        assert_int_equal(usage.last_used, cases[i].last_used);

        ak_reply_free(reply);
        ak_resp_free(r);
    }

    assert_int_equal(ak_store_usage(NULL, &usage), AK_UNAVAILABLE);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_channel),
    cmocka_unit_test(test_usage_names),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_usage)
};


UNIT_MAIN(tests)
