
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the Redis session: handshake, order, cancellation, refusals. */


#include "unit.h"

#include "ak_redis.h"


#define PASSWORD  "correct-horse-battery"
#define PING      "*1\r\n$4\r\nPING\r\n"
#define GET(k)    "*2\r\n$3\r\nGET\r\n$1\r\n" k "\r\n"

#define CALLS     64


/* What the handlers were called with, in order; "-" is NULL. */

typedef struct {
    char                calls[CALLS];
    size_t              n;
    ak_redis_t         *session;
    ak_redis_ticket_t  *victim;
    bool                more;
    bool                refused;
} seen_t;


typedef struct {
    seen_t  *seen;
    char     name;
} waiter_t;


typedef struct {
    const char  *reply;
    const char  *text;
} refusal_t;


/* The last reply of the handshake, and what is to be said of it. */

static const refusal_t  refusals[] = {
    { "-NOAUTH Authentication required.\r\n",
      "the server refused the handshake: NOAUTH Authentication required." },
    { "-LOADING Redis is loading the dataset in memory\r\n",
      "the server refused the handshake: LOADING Redis is loading the dataset "
      "in memory" },
    { "-MASTERDOWN Link with MASTER is down\r\n",
      "the server refused the handshake: MASTERDOWN Link with MASTER is "
      "down" },
    { "-ERR max number of clients reached\r\n",
      "the server refused the handshake: ERR max number of clients reached" },
    { "-ERR unknown command 'PING', with args beginning with: 'hidden'\r\n",
      "the server refused the handshake: ERR unknown command 'PING'" },
    { "-NOPERMISSION\r\n",
      "the server refused the handshake: NOPERMISSION" },
    { "-a\tb\x1b[31m\x80\r\n",
      "the server refused the handshake: a?b?[31m?" },
    { "-0123456789012345678901234567890123456789012345678901234567890123456789"
      "01234567890123456789012345678901234567890123456789\r\n",
      "the server refused the handshake: 0123456789012345678901234567890123456"
      "789012345678901234567890123456789012345678901234567890123456789" },
    { ":1\r\n", "the server's answer to the handshake is none" },
    { "*0\r\n", "the server's answer to the handshake is none" },
    { "$4\r\nPONG\r\n", "the server's answer to the handshake is none" },
    { "HTTP/1.1 400 Bad Request\r\n", "the answer is not RESP2" }
};


static ak_redis_t *
create(const char *user, const char *password, unsigned db)
{
    ak_redis_t  *s;

    s = ak_redis_create(ak_cstr(user), ak_cstr(password), db, 0);
    assert_non_null(s);

    return s;
}


static void
expect_output(ak_redis_t *s, const char *expected)
{
    ak_str_t  out;

    out = ak_redis_output(s);
    assert_str(out, expected);

    if (out.len != 0) {
        ak_redis_written(s, out.len);
    }

    assert_int_equal(ak_redis_output(s).len, 0);
}


static ak_rc_t
answer(ak_redis_t *s, const char *text, ak_diag_t *d)
{
    ak_rc_t   rc;
    ak_str_t  exact;

    exact = unit_exact(ak_cstr(text));
    rc = ak_redis_read(s, exact.data, exact.len, d);
    unit_free(exact);

    return rc;
}


/* A session that is ready, and has nothing to write. */

static ak_redis_t *
create_ready(void)
{
    ak_redis_t  *s;

    s = create(NULL, NULL, 0);
    expect_output(s, PING);
    assert_false(ak_redis_ready(s));
    assert_int_equal(answer(s, "+PONG\r\n", NULL), AK_OK);
    assert_true(ak_redis_ready(s));
    assert_int_equal(ak_redis_waiting(s), 0);

    return s;
}


static void
note(seen_t *seen, char c)
{
    assert_true(seen->n < CALLS - 1);
    seen->calls[seen->n++] = c;
    seen->calls[seen->n] = '\0';
}


static void
on_reply(void *data, const ak_reply_t *reply)
{
    waiter_t  *w = data;

    note(w->seen, w->name);

    if (reply == NULL) {
        note(w->seen, '-');
        return;
    }

    assert_int_equal(reply->type, AK_REPLY_INTEGER);
    note(w->seen, (char) ('0' + reply->integer));
}


static void
on_reply_busy(void *data, const ak_reply_t *reply)
{
    seen_t           *seen;
    waiter_t         *w = data;
    ak_str_t          argv[2];
    static waiter_t   another;

    on_reply(data, reply);

    seen = w->seen;

    if (seen->victim != NULL) {
        ak_redis_cancel(seen->session, seen->victim);
        seen->victim = NULL;
    }

    if (seen->more) {
        another.seen = seen;
        another.name = 'z';

        argv[0] = S("GET");
        argv[1] = S("z");

        seen->refused = ak_redis_send(seen->session, argv, 2, on_reply,
                                      &another) == NULL;
        seen->more = false;
    }
}


static ak_redis_ticket_t *
get(ak_redis_t *s, waiter_t *w, ak_redis_handler_pt handler)
{
    ak_str_t            argv[2];
    ak_redis_ticket_t  *t;

    argv[0] = S("GET");
    argv[1] = ak_str(&w->name, 1);

    t = ak_redis_send(s, argv, 2, handler, w);
    assert_non_null(t);

    return t;
}


static void
test_handshake(void **state)
{
    ak_redis_t  *s;

    (void) state;

    /* each form of it; the last is what a user without a password is */

    s = create(NULL, PASSWORD, 0);
    assert_int_equal(ak_redis_waiting(s), 0);
    expect_output(s, "*2\r\n$4\r\nAUTH\r\n$21\r\n" PASSWORD "\r\n" PING);
    ak_redis_free(s);

    s = create("alice", PASSWORD, 7);
    assert_int_equal(ak_redis_waiting(s), 0);
    expect_output(s, "*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$21\r\n" PASSWORD
                     "\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n" PING);

    assert_int_equal(answer(s, "+OK\r\n", NULL), AK_OK);
    assert_false(ak_redis_ready(s));
    assert_int_equal(answer(s, "+OK\r\n+PO", NULL), AK_OK);
    assert_false(ak_redis_ready(s));
    assert_int_equal(answer(s, "NG\r\n", NULL), AK_OK);
    assert_true(ak_redis_ready(s));
    assert_int_equal(ak_redis_waiting(s), 0);
    ak_redis_free(s);

    s = create("alice", NULL, 0);
    expect_output(s, PING);

    /* who may not do this much was let in nevertheless */

    assert_int_equal(answer(s, "-NOPERM this user has no permissions\r\n",
                            NULL), AK_OK);
    assert_true(ak_redis_ready(s));
    ak_redis_free(s);

    s = create(NULL, NULL, 4294967295);
    expect_output(s, "*2\r\n$6\r\nSELECT\r\n$10\r\n4294967295\r\n" PING);
    ak_redis_free(s);

    ak_redis_free(NULL);
}


static void
test_refused(void **state)
{
    size_t       i;
    seen_t       seen = { .n = 0 };
    waiter_t     a = { &seen, 'a' };
    ak_diag_t    d;
    ak_redis_t  *s;

    (void) state;

    for (i = 0; i < ak_nitems(refusals); i++) {
        memset(&seen, 0, sizeof(seen_t));

        s = create(NULL, NULL, 0);
        (void) get(s, &a, on_reply);

        assert_int_equal(answer(s, refusals[i].reply, &d), AK_ERROR);
        assert_string_equal(d.text, refusals[i].text);

        assert_false(ak_redis_ready(s));
        assert_int_equal(ak_redis_output(s).len, 0);

        /* it stays refused, with the same words */

        memset(&d, 0, sizeof(ak_diag_t));
        assert_int_equal(answer(s, "+PONG\r\n", &d), AK_ERROR);
        assert_string_equal(d.text, refusals[i].text);
        assert_null(ak_redis_send(s, &(ak_str_t) ak_string("PING"), 1,
                                  on_reply, &a));

        assert_int_equal(seen.n, 0);
        ak_redis_free(s);
        assert_string_equal(seen.calls, "a-");
    }
}


static void
test_wrong_password(void **state)
{
    ak_diag_t    d;
    ak_redis_t  *s;

    (void) state;

    s = create("alice", PASSWORD, 3);
    assert_int_equal(answer(s, "-WRONGPASS invalid username-password pair or "
                            "user is disabled.\r\n-NOAUTH x\r\n", &d),
                     AK_ERROR);
    assert_string_equal(d.text, "the server refused the handshake: WRONGPASS "
                        "invalid username-password pair or user is disabled.");
    ak_redis_free(s);

    s = create("alice", PASSWORD, 3);
    assert_int_equal(answer(s, "+OK\r\n-ERR DB index is out of range\r\n", &d),
                     AK_ERROR);
    assert_string_equal(d.text, "the server refused the handshake: ERR DB "
                        "index is out of range");
    ak_redis_free(s);
}


/* A server that repeats what it does not understand must not be quoted. */

static void
test_password_is_not_told(void **state)
{
    size_t               i;
    ak_diag_t            d;
    ak_redis_t          *s;
    static const char   *echoes[] = {
        "-ERR unknown command 'AUTH', with args beginning with: '"
        PASSWORD "' \r\n",
        "-ERR unknown command 'AUTH', with args beginning with: 'correct-hor"
        "\r\n",
        "-" PASSWORD "\r\n",
        "-ERR you said 0123456789012345678901234567890123456789012345678901"
        "2345678901234567890123456789 " PASSWORD "\r\n",
        "+OK\r\n-ERR " PASSWORD " is no database\r\n",
        "+OK\r\n+OK\r\n-ERR bad AUTH " PASSWORD "\r\n"
    };

    (void) state;

    for (i = 0; i < ak_nitems(echoes); i++) {
        s = create(NULL, PASSWORD, 1);
        memset(&d, 0, sizeof(ak_diag_t));

        assert_int_equal(answer(s, echoes[i], &d), AK_ERROR);
        assert_case(!unit_leaks(d.text, strlen(d.text), S(PASSWORD), 4),
                    "%s", d.text);
        ak_redis_free(s);
    }
}


/* Nothing is asked as somebody else, or of another database. */

static void
test_held_back(void **state)
{
    seen_t       seen = { .n = 0 };
    waiter_t     a = { &seen, 'a' }, b = { &seen, 'b' };
    ak_redis_t  *s;

    (void) state;

    s = create(NULL, PASSWORD, 0);

    (void) get(s, &a, on_reply);
    expect_output(s, "*2\r\n$4\r\nAUTH\r\n$21\r\n" PASSWORD "\r\n" PING);
    (void) get(s, &b, on_reply);
    assert_int_equal(ak_redis_output(s).len, 0);

    assert_int_equal(answer(s, "+OK\r\n", NULL), AK_OK);
    assert_int_equal(ak_redis_output(s).len, 0);
    assert_int_equal(answer(s, "+PONG\r\n", NULL), AK_OK);

    expect_output(s, GET("a") GET("b"));
    assert_int_equal(answer(s, ":1\r\n:2\r\n", NULL), AK_OK);
    assert_string_equal(seen.calls, "a1b2");

    ak_redis_free(s);
}


/* Every cut of the output and the input gives the same. */

static void
test_in_pieces(void **state)
{
    char         out[256];
    size_t       i, n, len, piece;
    seen_t       seen;
    waiter_t     a = { &seen, 'a' }, b = { &seen, 'b' };
    ak_str_t     part;
    ak_redis_t  *s;

    static const char  replies[] = "+OK\r\n+PONG\r\n:1\r\n:2\r\n";
    static const char  handshake[] = "*2\r\n$4\r\nAUTH\r\n$21\r\n" PASSWORD
                                     "\r\n" PING;
    static const char  expected[] = "*2\r\n$4\r\nAUTH\r\n$21\r\n" PASSWORD
                                    "\r\n" PING GET("a") GET("b");

    (void) state;

    for (piece = 1; piece < 80; piece++) {
        memset(&seen, 0, sizeof(seen_t));

        s = create(NULL, PASSWORD, 0);
        (void) get(s, &a, on_reply);

        len = 0;
        i = 0;

        for ( ;; ) {
            part = ak_redis_output(s);

            if (part.len == 0) {

                if (i == sizeof(replies) - 1) {
                    break;
                }

                if (i == 0) {
                    assert_int_equal(len, sizeof(handshake) - 1);
                }

                assert_int_equal(ak_redis_read(s, replies + i, 1, NULL),
                                 AK_OK);
                i++;
                continue;
            }

            n = part.len < piece ? part.len : piece;
            memcpy(out + len, part.data, n);
            len += n;
            ak_redis_written(s, n);

            if (len == n) {
                (void) get(s, &b, on_reply);
            }
        }

        assert_true(ak_str_eq(ak_str(out, len),
                              ak_str(expected, sizeof(expected) - 1)));
        assert_string_equal(seen.calls, "a1b2");
        assert_int_equal(ak_redis_waiting(s), 0);

        ak_redis_free(s);
    }
}


static void
test_written_is_wiped(void **state)
{
    ak_str_t     out;
    ak_redis_t  *s;

    (void) state;

    s = create("alice", PASSWORD, 0);
    out = ak_redis_output(s);

    ak_redis_written(s, out.len - 1);
    assert_true(unit_zero(out.data, out.len - 1));
    assert_false(unit_zero(out.data, out.len));

    ak_redis_free(s);
}


static void
test_cancel(void **state)
{
    seen_t              seen = { .n = 0 };
    waiter_t            a = { &seen, 'a' }, b = { &seen, 'b' },
                        c = { &seen, 'c' };
    ak_redis_t         *s;
    ak_redis_ticket_t  *t;

    (void) state;

    s = create_ready();

    (void) get(s, &a, on_reply);
    t = get(s, &b, on_reply);
    (void) get(s, &c, on_reply);

    ak_redis_cancel(s, t);
    assert_int_equal(ak_redis_waiting(s), 3);

    assert_int_equal(answer(s, ":1\r\n:2\r\n:3\r\n", NULL), AK_OK);
    assert_string_equal(seen.calls, "a1c3");
    assert_int_equal(ak_redis_waiting(s), 0);

    /* and where no reply will come */

    (void) get(s, &a, on_reply);
    t = get(s, &b, on_reply);
    (void) get(s, &c, on_reply);
    ak_redis_cancel(s, t);

    ak_redis_free(s);
    assert_string_equal(seen.calls, "a1c3a-c-");
}


/* A handler can send and cancel, in its reply as well as at the end. */

static void
test_busy_handler(void **state)
{
    seen_t       seen = { .n = 0 };
    waiter_t     a = { &seen, 'a' }, b = { &seen, 'b' }, c = { &seen, 'c' };
    ak_redis_t  *s;

    (void) state;

    s = create_ready();

    seen.session = s;
    seen.more = true;

    (void) get(s, &a, on_reply_busy);
    seen.victim = get(s, &b, on_reply);
    (void) get(s, &c, on_reply);
    expect_output(s, GET("a") GET("b") GET("c"));

    assert_int_equal(answer(s, ":1\r\n:2\r\n:3\r\n", NULL), AK_OK);
    assert_string_equal(seen.calls, "a1c3");
    assert_false(seen.refused);

    expect_output(s, GET("z"));
    assert_int_equal(answer(s, ":9\r\n", NULL), AK_OK);
    assert_string_equal(seen.calls, "a1c3z9");

    seen.more = true;

    (void) get(s, &a, on_reply_busy);
    seen.victim = get(s, &b, on_reply);
    (void) get(s, &c, on_reply);

    ak_redis_free(s);
    assert_string_equal(seen.calls, "a1c3z9a-c-");
    assert_true(seen.refused);
}


static void
test_not_asked(void **state)
{
    seen_t       seen = { .n = 0 };
    waiter_t     a = { &seen, 'a' };
    ak_diag_t    d;
    ak_redis_t  *s;

    (void) state;

    s = create_ready();
    (void) get(s, &a, on_reply);

    assert_int_equal(answer(s, ":1\r\n:2\r\n", &d), AK_ERROR);
    assert_string_equal(d.text, "the server answered what was not asked");
    assert_string_equal(seen.calls, "a1");
    assert_false(ak_redis_ready(s));

    ak_redis_free(s);
    assert_string_equal(seen.calls, "a1");
}


/* What comes before the broken part counts, what comes after it does not. */

static void
test_broken_stream(void **state)
{
    seen_t       seen = { .n = 0 };
    waiter_t     a = { &seen, 'a' }, b = { &seen, 'b' }, c = { &seen, 'c' };
    ak_diag_t    d;
    ak_redis_t  *s;

    (void) state;

    s = create_ready();

    (void) get(s, &a, on_reply);
    (void) get(s, &b, on_reply);
    (void) get(s, &c, on_reply);

    assert_int_equal(answer(s, ":1\r\n*4097\r\n:3\r\n", &d), AK_ERROR);
    assert_string_equal(d.text, "an array of the answer is too long");
    assert_string_equal(seen.calls, "a1");

    ak_redis_free(s);
    assert_string_equal(seen.calls, "a1b-c-");
}


static void
test_limits(void **state)
{
    size_t       i;
    seen_t       seen = { .n = 0 };
    waiter_t     a = { &seen, 'a' };
    ak_str_t     ping;
    ak_redis_t  *s;

    (void) state;

    s = create_ready();
    ping = S("PING");

    /* a command of nothing has no reply that could be waited for */

    assert_null(ak_redis_send(s, &ping, 0, on_reply, &a));
    assert_int_equal(ak_redis_waiting(s), 0);

    for (i = 0; i < AK_REDIS_WAITING_MAX; i++) {
        ak_redis_cancel(s, ak_redis_send(s, &ping, 1, on_reply, &a));
    }

    assert_null(ak_redis_send(s, &ping, 1, on_reply, &a));
    assert_int_equal(ak_redis_waiting(s), AK_REDIS_WAITING_MAX);
    assert_int_equal(ak_redis_output(s).len,
                     AK_REDIS_WAITING_MAX * (sizeof(PING) - 1));

    ak_redis_written(s, ak_redis_output(s).len);
    assert_int_equal(ak_redis_output(s).len, 0);

    for (i = 0; i < AK_REDIS_WAITING_MAX; i++) {
        assert_int_equal(ak_redis_read(s, "+PONG\r\n", 7, NULL), AK_OK);
    }

    assert_int_equal(ak_redis_waiting(s), 0);

    (void) get(s, &a, on_reply);
    expect_output(s, GET("a"));
    assert_int_equal(answer(s, ":5\r\n", NULL), AK_OK);
    assert_string_equal(seen.calls, "a5");

    ak_redis_free(s);
}


/* More than is fed to the codec at once, in one read. */

static void
test_long_read(void **state)
{
    char        *text;
    size_t       i, n;
    ak_str_t     ping;
    ak_redis_t  *s;

    (void) state;

    n = 100000;
    text = malloc(n * 7);
    assert_non_null(text);

    s = create_ready();
    ping = S("PING");

    n = AK_REDIS_WAITING_MAX;

    for (i = 0; i < n; i++) {
        memcpy(text + i * 7, "+PONG\r\n", 7);
        ak_redis_cancel(s, ak_redis_send(s, &ping, 1, on_reply, NULL));
    }

    assert_int_equal(ak_redis_read(s, text, n * 7, NULL), AK_OK);
    assert_int_equal(ak_redis_waiting(s), 0);

    ak_redis_free(s);
    free(text);
}


/* Commands that come while others are half written keep their bytes. */

static void
test_half_written(void **state)
{
    char         out[64 * sizeof(GET("a"))];
    size_t       i, n, len;
    seen_t       seen = { .n = 0 };
    waiter_t     w[26];
    ak_str_t     part;
    ak_redis_t  *s;

    (void) state;

    s = create_ready();
    len = 0;

    for (i = 0; i < 26; i++) {
        w[i].seen = &seen;
        w[i].name = (char) ('a' + i);
        ak_redis_cancel(s, get(s, &w[i], on_reply));

        part = ak_redis_output(s);
        n = part.len < 17 ? part.len : 17;
        memcpy(out + len, part.data, n);
        ak_redis_written(s, n);
        len += n;
    }

    part = ak_redis_output(s);
    memcpy(out + len, part.data, part.len);
    len += part.len;
    ak_redis_written(s, part.len);

    n = sizeof(GET("a")) - 1;
    assert_int_equal(len, 26 * n);

    for (i = 0; i < 26; i++) {
        assert_memory_equal(out + i * n, GET("a"), n - 3);
        assert_int_equal(out[i * n + n - 3], 'a' + (int) i);
    }

    ak_redis_free(s);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_handshake),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_wrong_password),
    cmocka_unit_test(test_password_is_not_told),
    cmocka_unit_test(test_held_back),
    cmocka_unit_test(test_in_pieces),
    cmocka_unit_test(test_written_is_wiped),
    cmocka_unit_test(test_cancel),
    cmocka_unit_test(test_busy_handler),
    cmocka_unit_test(test_not_asked),
    cmocka_unit_test(test_broken_stream),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_long_read),
    cmocka_unit_test(test_half_written)
};


UNIT_MAIN(tests)
