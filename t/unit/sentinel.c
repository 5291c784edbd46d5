
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for what sentinels say. */


#include "unit.h"

#include "ak_sentinel.h"


#define NAME253                                                               \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


typedef struct {
    const char  *text;
    ak_rc_t      rc;
    const char  *host;
    unsigned     port;
} case_t;


static const case_t  addresses[] = {
    { "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", AK_OK, "127.0.0.1", 6379 },
    { "*2\r\n$3\r\n::1\r\n$1\r\n1\r\n", AK_OK, "::1", 1 },
    { "*2\r\n$5\r\nm.net\r\n$5\r\n65535\r\n", AK_OK, "m.net", 65535 },
    { "*2\r\n$253\r\n" NAME253 "\r\n$1\r\n1\r\n", AK_OK, NAME253, 1 },
    { "*-1\r\n", AK_NOT_FOUND, NULL, 0 },
    { "$-1\r\n", AK_NOT_FOUND, NULL, 0 },
    { "-ERR unknown command 'SENTINEL'\r\n", AK_UNAVAILABLE, NULL, 0 },
    { "-NOAUTH Authentication required.\r\n", AK_UNAVAILABLE, NULL, 0 },
    { "-IDONTKNOW I have not enough information\r\n", AK_UNAVAILABLE, NULL,
      0 },

    { "+OK\r\n", AK_ERROR, NULL, 0 },
    { ":1\r\n", AK_ERROR, NULL, 0 },
    { "$1\r\na\r\n", AK_ERROR, NULL, 0 },
    { "*0\r\n", AK_ERROR, NULL, 0 },
    { "*1\r\n$1\r\na\r\n", AK_ERROR, NULL, 0 },
    { "*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n:1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n:1\r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$-1\r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$-1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n*0\r\n*0\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$0\r\n\r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\n \r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$3\r\na\nb\r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$254\r\nb" NAME253 "\r\n$1\r\n1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$0\r\n\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$1\r\n0\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$5\r\n65536\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$2\r\n-1\r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$2\r\n1 \r\n", AK_ERROR, NULL, 0 },
    { "*2\r\n$1\r\na\r\n$11\r\n42949672977\r\n", AK_ERROR, NULL, 0 }
};


static const case_t  messages[] = {
    { "main 127.0.0.1 6379 127.0.0.1 6380", AK_OK, "127.0.0.1", 6380 },
    { "main a 1 ::1 65535", AK_OK, "::1", 65535 },
    { "main2 127.0.0.1 6379 127.0.0.1 6380", AK_NOT_FOUND, NULL, 0 },
    { "mai 127.0.0.1 6379 127.0.0.1 6380", AK_NOT_FOUND, NULL, 0 },
    { "MAIN 127.0.0.1 6379 127.0.0.1 6380", AK_NOT_FOUND, NULL, 0 },
    { "other a 1 b 0", AK_NOT_FOUND, NULL, 0 },

    { "", AK_ERROR, NULL, 0 },
    { " ", AK_ERROR, NULL, 0 },
    { "main", AK_ERROR, NULL, 0 },
    { "main a 1 b", AK_ERROR, NULL, 0 },
    { "main a 1 b ", AK_ERROR, NULL, 0 },
    { "main a 1  2", AK_ERROR, NULL, 0 },
    { "main a 1 b 2 ", AK_ERROR, NULL, 0 },
    { "main a 1 b 2 c", AK_ERROR, NULL, 0 },
    { "main a 1 b 0", AK_ERROR, NULL, 0 },
    { "main a 1 b 65536", AK_ERROR, NULL, 0 },
    { "main a 1 b x", AK_ERROR, NULL, 0 },
    { "main a 1 b\x01 2", AK_ERROR, NULL, 0 }
};


static const case_t  roles[] = {
    { "*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n"
      "$4\r\n9001\r\n$7\r\n3129242\r\n", AK_OK, NULL, 0 },
    { "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", AK_OK, NULL, 0 },
    { "*1\r\n$6\r\nmaster\r\n", AK_OK, NULL, 0 },
    { "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$9\r\nconnected\r\n"
      ":3167038\r\n", AK_NOT_FOUND, NULL, 0 },
    { "*2\r\n$8\r\nsentinel\r\n*1\r\n$4\r\nmain\r\n", AK_NOT_FOUND, NULL, 0 },
    { "*1\r\n$7\r\nmasters\r\n", AK_NOT_FOUND, NULL, 0 },
    { "*1\r\n*1\r\n$6\r\nmaster\r\n", AK_NOT_FOUND, NULL, 0 },
    { "*1\r\n+master\r\n", AK_NOT_FOUND, NULL, 0 },
    { "*0\r\n", AK_NOT_FOUND, NULL, 0 },
    { "*-1\r\n", AK_NOT_FOUND, NULL, 0 },
    { "$6\r\nmaster\r\n", AK_NOT_FOUND, NULL, 0 },
    { "+OK\r\n", AK_NOT_FOUND, NULL, 0 },
    { "-NOPERM this user has no permissions to run the 'role' command\r\n",
      AK_UNAVAILABLE, NULL, 0 },
    { "-ERR unknown command\r\n", AK_UNAVAILABLE, NULL, 0 }
};


static ak_reply_t *
reply_of(const char *text)
{
    ak_resp_t   *r;
    ak_reply_t  *reply;

    r = ak_resp_create();
    assert_non_null(r);

    assert_int_equal(ak_resp_feed(r, text, strlen(text)), AK_OK);
    assert_int_equal(ak_resp_next(r, &reply), AK_OK);

    ak_resp_free(r);

    return reply;
}


static void
check(const case_t *c, ak_rc_t rc, ak_str_t host, unsigned port)
{
    assert_case(rc == c->rc, "%d: %s", rc, c->text);

    if (rc == AK_OK) {
        assert_str(host, c->host);
        assert_int_equal(port, c->port);

    } else {
        assert_str(host, "as it was");
        assert_int_equal(port, 7);
    }
}


static void
test_address(void **state)
{
    size_t       i;
    ak_rc_t      rc;
    unsigned     port;
    ak_str_t     host;
    ak_reply_t  *reply;

    (void) state;

    for (i = 0; i < ak_nitems(addresses); i++) {
        host = S("as it was");
        port = 7;

        reply = reply_of(addresses[i].text);
        rc = ak_sentinel_address(reply, &host, &port);

        check(&addresses[i], rc, host, port);
        ak_reply_free(reply);
    }

    assert_int_equal(ak_sentinel_address(NULL, &host, &port), AK_UNAVAILABLE);
}


static void
test_switch(void **state)
{
    size_t    i;
    ak_rc_t   rc;
    unsigned  port;
    ak_str_t  host, text;

    (void) state;

    for (i = 0; i < ak_nitems(messages); i++) {
        host = S("as it was");
        port = 7;

        text = unit_exact(ak_cstr(messages[i].text));
        rc = ak_sentinel_switch(text, S("main"), &host, &port);

        check(&messages[i], rc, host, port);
        unit_free(text);
    }

    assert_int_equal(ak_sentinel_switch(ak_str(NULL, 0), S("main"), &host,
                                        &port), AK_ERROR);
}


static void
test_role(void **state)
{
    size_t       i;
    ak_rc_t      rc;
    ak_reply_t  *reply;

    (void) state;

    for (i = 0; i < ak_nitems(roles); i++) {
        reply = reply_of(roles[i].text);
        rc = ak_sentinel_role(reply);

        assert_case(rc == roles[i].rc, "%d: %s", rc, roles[i].text);
        ak_reply_free(reply);
    }

    assert_int_equal(ak_sentinel_role(NULL), AK_UNAVAILABLE);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_address),
    cmocka_unit_test(test_switch),
    cmocka_unit_test(test_role)
};


UNIT_MAIN(tests)
