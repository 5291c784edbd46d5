
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for what a Redis server says instead of an answer. */


#include "unit.h"

#include "ak_redis_error.h"


static const struct {
    const char        *text;
    ak_redis_error_e   error;
    ak_redis_do_e      action;
} codes[] = {
    { "MOVED 3999 127.0.0.1:6381", AK_REDIS_ERROR_MOVED,
      AK_REDIS_DO_REDIRECT },
    { "ASK 3999 127.0.0.1:6381", AK_REDIS_ERROR_ASK, AK_REDIS_DO_REDIRECT },
    { "TRYAGAIN Multiple keys request during rehashing of slot",
      AK_REDIS_ERROR_TRYAGAIN, AK_REDIS_DO_RETRY },
    { "CLUSTERDOWN Hash slot not served", AK_REDIS_ERROR_CLUSTERDOWN,
      AK_REDIS_DO_RETRY },
    { "CROSSSLOT Keys in request don't hash to the same slot",
      AK_REDIS_ERROR_CROSSSLOT, AK_REDIS_DO_TELL },
    { "READONLY You can't write against a read only replica.",
      AK_REDIS_ERROR_READONLY, AK_REDIS_DO_TELL },
    { "LOADING Redis is loading the dataset in memory",
      AK_REDIS_ERROR_LOADING, AK_REDIS_DO_LEAVE },
    { "MASTERDOWN Link with MASTER is down", AK_REDIS_ERROR_MASTERDOWN,
      AK_REDIS_DO_LEAVE },
    { "NOAUTH Authentication required.", AK_REDIS_ERROR_NOAUTH,
      AK_REDIS_DO_TELL },
    { "WRONGPASS invalid username-password pair or user is disabled.",
      AK_REDIS_ERROR_WRONGPASS, AK_REDIS_DO_TELL },
    { "NOPERM this user has no permissions to run the 'get' command",
      AK_REDIS_ERROR_NOPERM, AK_REDIS_DO_TELL },
    { "OOM command not allowed when used memory > 'maxmemory'.",
      AK_REDIS_ERROR_OOM, AK_REDIS_DO_TELL },
    { "MISCONF Redis is configured to save RDB snapshots",
      AK_REDIS_ERROR_MISCONF, AK_REDIS_DO_TELL },
    { "NOREPLICAS Not enough good replicas to write.",
      AK_REDIS_ERROR_NOREPLICAS, AK_REDIS_DO_RETRY },
    { "BUSY Redis is busy running a script.", AK_REDIS_ERROR_BUSY,
      AK_REDIS_DO_RETRY },
    { "WRONGTYPE Operation against a key", AK_REDIS_ERROR_WRONGTYPE,
      AK_REDIS_DO_ANSWER },

    { "ERR unknown command", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },
    { "BUSYKEY Target key name already exists.", AK_REDIS_ERROR_OTHER,
      AK_REDIS_DO_TELL },
    { "moved 3999 127.0.0.1:6381", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },
    { "noauth", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },
    { "MOVEDX 1 a:1", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },
    { "", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },
    { " ", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },
    { " MOVED 1 a:1", AK_REDIS_ERROR_OTHER, AK_REDIS_DO_TELL },

    /* nothing but the code */

    { "LOADING", AK_REDIS_ERROR_LOADING, AK_REDIS_DO_LEAVE },
    { "MOVED", AK_REDIS_ERROR_MOVED, AK_REDIS_DO_REDIRECT }
};


static const struct {
    const char  *text;
    unsigned     slot;
    const char  *host;
    unsigned     port;
} good[] = {
    { "MOVED 3999 127.0.0.1:6381", 3999, "127.0.0.1", 6381 },
    { "ASK 0 127.0.0.1:1", 0, "127.0.0.1", 1 },
    { "MOVED 16383 redis-1.my_net.example:65535", 16383,
      "redis-1.my_net.example", 65535 },
    { "MOVED 1 2001:db8::1:6379", 1, "2001:db8::1", 6379 },
    { "MOVED 1 ::1:7", 1, "::1", 7 },
    { "MOVED 1 [::1]:7", 1, "::1", 7 },
    { "ASK 1 :6379", 1, "", 6379 },
    { "MOVED 7 a:1 more", 7, "a", 1 }
};


static const char  *bad[] = {
    "MOVED", "MOVED ", "MOVED 1", "MOVED 1 ", "MOVED 1 a", "MOVED 1 a:",
    "MOVED 1 :", "MOVED a:1", "MOVED  1 a:1", "MOVED 1  a:1", "MOVED x a:1",
    "MOVED -1 a:1", "MOVED +1 a:1", "MOVED 16384 a:1",
    "MOVED 18446744073709551617 a:1", "MOVED 1 a:0", "MOVED 1 a:65536",
    "MOVED 1 a:-1", "MOVED 1 a:6379x", "MOVED 1 a:99999999999999999999",
    "MOVED 1 a\x01:1", "MOVED 1 \xc3\xbc:1", "MOVED 1 a\t:1",
    "ASK", "ASK 1", "ASK 16384 a:1", "ASK 1 ?:6379", "ask 1 a:1", "moved 1 a:1",
    "ERR 1 a:1", "TRYAGAIN 1 a:1", ""
};


/* A reply whose text ends where its memory does. */

static ak_reply_t
error_of(ak_str_t text)
{
    ak_reply_t  reply;

    memset(&reply, 0, sizeof(ak_reply_t));

    reply.type = AK_REPLY_ERROR;
    reply.str = unit_exact(text);

    return reply;
}


static void
test_codes(void **state)
{
    bool                     seen[AK_REDIS_ERRORS] = { false };
    size_t                   i;
    ak_reply_t               reply;
    ak_redis_error_e         error;
    const ak_redis_error_t  *e;

    (void) state;

    for (i = 0; i < ak_nitems(codes); i++) {
        reply = error_of(ak_cstr(codes[i].text));
        error = ak_redis_error(&reply);

        assert_case(error == codes[i].error, "%s: %d", codes[i].text, error);

        e = ak_redis_error_get(error);
        assert_case(e->action == codes[i].action, "%s", codes[i].text);

        assert_true(ak_str_starts(reply.str, e->code));
        assert_int_equal(e->advice == NULL, error == AK_REDIS_ERROR_OTHER);

        seen[error] = true;
        unit_free(reply.str);
    }

    for (i = AK_REDIS_ERROR_OTHER; i < AK_REDIS_ERRORS; i++) {
        assert_case(seen[i], "error %zu has no test", i);
    }
}


static void
test_none(void **state)
{
    ak_reply_t  reply;

    (void) state;

    assert_int_equal(ak_redis_error(NULL), AK_REDIS_ERROR_NONE);

    reply = error_of(S("MOVED 1 a:1"));
    reply.type = AK_REPLY_STRING;
    assert_int_equal(ak_redis_error(&reply), AK_REDIS_ERROR_NONE);
    reply.type = AK_REPLY_STATUS;
    assert_int_equal(ak_redis_error(&reply), AK_REDIS_ERROR_NONE);
    unit_free(reply.str);

    assert_int_equal(ak_redis_error_get(AK_REDIS_ERROR_NONE)->action,
                     AK_REDIS_DO_ANSWER);
    assert_null(ak_redis_error_get(AK_REDIS_ERROR_NONE)->advice);

    /* what is no error of the table is one of those that it does not know */

    assert_ptr_equal(ak_redis_error_get(AK_REDIS_ERRORS),
                     ak_redis_error_get(AK_REDIS_ERROR_OTHER));
}


static void
test_redirect(void **state)
{
    size_t      i;
    unsigned    slot, port;
    ak_str_t    host;
    ak_reply_t  reply;

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        reply = error_of(ak_cstr(good[i].text));

        assert_case(ak_redis_error_redirect(&reply, &slot, &host, &port)
                    == AK_OK, "%s", good[i].text);

        assert_int_equal(slot, good[i].slot);
        assert_int_equal(port, good[i].port);
        assert_str(host, good[i].host);

        unit_free(reply.str);
    }
}


static void
test_redirect_bad(void **state)
{
    char        text[300];
    size_t      i;
    unsigned    slot, port;
    ak_str_t    host;
    ak_reply_t  reply;

    (void) state;

    slot = 7;
    port = 8;
    host = S("as it was");

    for (i = 0; i < ak_nitems(bad); i++) {
        reply = error_of(ak_cstr(bad[i]));

        assert_case(ak_redis_error_redirect(&reply, &slot, &host, &port)
                    == AK_ERROR, "%s", bad[i]);

        assert_int_equal(slot, 7);
        assert_int_equal(port, 8);
        assert_str(host, "as it was");

        unit_free(reply.str);
    }

    assert_int_equal(ak_redis_error_redirect(NULL, &slot, &host, &port),
                     AK_ERROR);

    reply = error_of(S("MOVED 1 a:1"));
    reply.type = AK_REPLY_STRING;
    assert_int_equal(ak_redis_error_redirect(&reply, &slot, &host, &port),
                     AK_ERROR);
    unit_free(reply.str);

    /* a host is as long as a name may be */

    for (i = 253; i <= 254; i++) {
        memcpy(text, "MOVED 1 ", 8);
        memset(text + 8, 'a', i);
        strcpy(text + 8 + i, ":1");

        reply = error_of(ak_cstr(text));

        assert_int_equal(ak_redis_error_redirect(&reply, &slot, &host, &port),
                         i == 253 ? AK_OK : AK_ERROR);
        unit_free(reply.str);
    }
}


static void
test_text(void **state)
{
    char        text[AK_REDIS_ERROR_TEXT_MAX];
    char        lines[300];
    ak_reply_t  reply;

    (void) state;

    memset(&reply, 0, sizeof(ak_reply_t));

    reply.type = AK_REPLY_ERROR;

    reply.str = ak_literal("NOPERM this user has no permissions");
    ak_redis_error_text(&reply, text);
    assert_string_equal(text, "NOPERM this user has no permissions");

    reply.str = ak_literal("ERR unknown command 'AUTH', with args beginning "
                           "with: 'secret'");
    ak_redis_error_text(&reply, text);
    assert_string_equal(text, "ERR unknown command 'AUTH'");

    reply.str = ak_str("a\0b\n\x80", 5);
    ak_redis_error_text(&reply, text);
    assert_string_equal(text, "a?b??");

    memset(lines, 'x', sizeof(lines));
    reply.str = ak_str(lines, sizeof(lines));
    ak_redis_error_text(&reply, text);
    assert_int_equal(strlen(text), AK_REDIS_ERROR_TEXT_MAX - 1);

    reply.str = ak_str(NULL, 0);
    ak_redis_error_text(&reply, text);
    assert_string_equal(text, "");

    reply.type = AK_REPLY_STATUS;
    reply.str = ak_literal("OK");
    ak_redis_error_text(&reply, text);
    assert_string_equal(text, "");
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_codes),
    cmocka_unit_test(test_none),
    cmocka_unit_test(test_redirect),
    cmocka_unit_test(test_redirect_bad),
    cmocka_unit_test(test_text)
};


UNIT_MAIN(tests)
