
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the RESP2 codec: hostile input, limits, any chunking. */


#include "unit.h"

#include "ak_resp.h"


#define MESSAGE_SIZE  (2 * AK_RESP_REPLY_MAX)


/* What must be refused as soon as these bytes have come. */

static const char  *garbage[] = {
    "x\r\n", "\r\n", " +OK\r\n", "OK\r\n", "HTTP/1.1 400 Bad Request\r\n",
    "\x15\x03\x01\x00\x02\x02\x46",
    "$x\r\n", "$-2\r\n", "$\r\n", "$1x\r\n", "$+1\r\n", "$ 1\r\n",
    "$99999999999999999999\r\n", "$-9223372036854775809\r\n",
    "$2\r\nabc\r\n", "$2\r\nab\n\n", "$0\r\nab",
    "*x\r\n", "*-2\r\n", "*\r\n", "*99999999999999999999\r\n",
    "*4097\r\n", "*2147483647\r\n", "*2147483648\r\n",
    "*1\r\n*4097\r\n", "*2\r\n:1\r\nx",
    ":x\r\n", ":\r\n", ":1 \r\n", ":1.5\r\n", ":9223372036854775808\r\n",

    /* RESP3 */

    "_\r\n", ",1.5\r\n", "#t\r\n", "(1\r\n", "=6\r\ntxt:ab\r\n",
    "%1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n", ">1\r\n+a\r\n",
    "|1\r\n+a\r\n+b\r\n", "!3\r\nERR\r\n", "*1\r\n_\r\n", "*1\r\n#t\r\n"
};


/* Feeds it in pieces; what comes of it at its end. */

static ak_rc_t
feed(ak_resp_t *r, const char *data, size_t len, size_t piece,
    ak_reply_t **reply)
{
    size_t   i, n;
    ak_rc_t  rc;

    *reply = NULL;
    rc = AK_AGAIN;

    for (i = 0; i < len; i += n) {
        n = len - i < piece ? len - i : piece;

        assert_null(*reply);

        if (ak_resp_feed(r, data + i, n) != AK_OK) {
            return AK_ERROR;
        }

        rc = ak_resp_next(r, reply);

        if (rc == AK_ERROR) {
            return rc;
        }
    }

    return rc;
}


static ak_rc_t
read_one(const char *data, size_t len, size_t piece)
{
    ak_rc_t      rc;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    r = ak_resp_create();
    assert_non_null(r);

    rc = feed(r, data, len, piece, &reply);

    assert_int_equal(rc == AK_OK, reply != NULL);
    assert_int_equal(rc == AK_ERROR, ak_resp_error(r)[0] != '\0');

    ak_reply_free(reply);
    ak_resp_free(r);

    return rc;
}


static ak_reply_t *
read_reply(ak_resp_t *r, const char *text, size_t piece)
{
    ak_reply_t  *reply;

    assert_int_equal(feed(r, text, strlen(text), piece, &reply), AK_OK);

    return reply;
}


static void
test_types(void **state)
{
    size_t       piece;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    (void) state;

    r = ak_resp_create();
    assert_non_null(r);

    for (piece = 1; piece < 64; piece++) {
        reply = read_reply(r, "+OK\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_STATUS);
        assert_str(reply->str, "OK");
        ak_reply_free(reply);

        reply = read_reply(r, "-ERR no such thing\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_ERROR);
        assert_str(reply->str, "ERR no such thing");
        ak_reply_free(reply);

        reply = read_reply(r, ":-9223372036854775808\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_INTEGER);
        assert_true(reply->integer == INT64_MIN);
        ak_reply_free(reply);

        reply = read_reply(r, "$7\r\n$5\r\na\n*\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_STRING);
        assert_str(reply->str, "$5\r\na\n*");
        ak_reply_free(reply);

        reply = read_reply(r, "$0\r\n\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_STRING);
        assert_int_equal(reply->str.len, 0);
        ak_reply_free(reply);

        reply = read_reply(r, "$-1\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_NIL);
        ak_reply_free(reply);

        reply = read_reply(r, "*-1\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_NIL);
        ak_reply_free(reply);

        reply = read_reply(r, "*0\r\n", piece);
        assert_int_equal(reply->type, AK_REPLY_ARRAY);
        assert_int_equal(reply->n, 0);
        ak_reply_free(reply);
    }

    ak_resp_free(r);
}


static void
test_nested(void **state)
{
    size_t       piece;
    ak_resp_t   *r;
    ak_reply_t  *reply, *inner;

    (void) state;

    r = ak_resp_create();
    assert_non_null(r);

    for (piece = 1; piece < 64; piece++) {
        reply = read_reply(r, "*4\r\n$1\r\n0\r\n*2\r\n:7\r\n$-1\r\n"
                              "*0\r\n-ERR x\r\n", piece);

        assert_int_equal(reply->n, 4);
        assert_str(reply->elements[0]->str, "0");

        inner = reply->elements[1];
        assert_int_equal(inner->n, 2);
        assert_true(inner->elements[0]->integer == 7);
        assert_int_equal(inner->elements[1]->type, AK_REPLY_NIL);

        assert_int_equal(reply->elements[2]->type, AK_REPLY_ARRAY);
        assert_int_equal(reply->elements[2]->n, 0);
        assert_int_equal(reply->elements[3]->type, AK_REPLY_ERROR);

        ak_reply_free(reply);
    }

    ak_resp_free(r);
}


static void
test_several_at_once(void **state)
{
    int          i;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    (void) state;

    r = ak_resp_create();
    assert_non_null(r);

    assert_int_equal(ak_resp_next(r, &reply), AK_AGAIN);
    assert_null(reply);

    assert_int_equal(ak_resp_feed(r, ":0\r\n:1\r\n:2\r\n:", 13), AK_OK);

    for (i = 0; i < 3; i++) {
        assert_int_equal(ak_resp_next(r, &reply), AK_OK);
        assert_true(reply->integer == i);
        ak_reply_free(reply);
    }

    assert_int_equal(ak_resp_next(r, &reply), AK_AGAIN);
    assert_int_equal(ak_resp_feed(r, "3\r\n", 3), AK_OK);
    assert_int_equal(ak_resp_next(r, &reply), AK_OK);
    assert_true(reply->integer == 3);
    ak_reply_free(reply);

    ak_resp_free(r);
}


static void
test_garbage(void **state)
{
    size_t       i;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    (void) state;

    for (i = 0; i < ak_nitems(garbage); i++) {
        assert_case(read_one(garbage[i], strlen(garbage[i]), 1) == AK_ERROR,
                    "byte by byte: %s", garbage[i]);
        assert_case(read_one(garbage[i], strlen(garbage[i]), 4096) == AK_ERROR,
                    "at once: %s", garbage[i]);
    }

    /* an error lasts */

    r = ak_resp_create();
    assert_non_null(r);

    assert_int_equal(feed(r, "x\r\n", 3, 3, &reply), AK_ERROR);
    assert_int_equal(ak_resp_feed(r, "+OK\r\n", 5), AK_ERROR);
    assert_int_equal(ak_resp_next(r, &reply), AK_ERROR);
    assert_null(reply);
    assert_string_equal(ak_resp_error(r), "the answer is not RESP2");

    ak_resp_free(r);
}


static void
test_string_limit(void **state)
{
    int      n;
    char    *text;
    size_t   i;
    ak_rc_t  rc;

    (void) state;

    text = malloc(MESSAGE_SIZE);
    assert_non_null(text);

    for (i = AK_RESP_BULK_MAX - 1; i <= AK_RESP_BULK_MAX + 1; i++) {
        n = sprintf(text, "$%zu\r\n", i);
        memset(text + n, 'a', i);
        memcpy(text + n + i, "\r\n", 2);

        rc = (i <= AK_RESP_BULK_MAX) ? AK_OK : AK_ERROR;

        assert_int_equal(read_one(text, n + i + 2, 16384), rc);
        assert_int_equal(read_one(text, n + i + 2, MESSAGE_SIZE), rc);

        text[0] = '+';
        memset(text + 1, 'a', i);
        memcpy(text + 1 + i, "\r\n", 2);

        assert_int_equal(read_one(text, i + 3, 16384), rc);
    }

    /* what has no end is cut off early, however long it says to be */

    n = sprintf(text, "$1000000000\r\n");
    memset(text + n, 'a', MESSAGE_SIZE - n);
    assert_int_equal(read_one(text, AK_RESP_BULK_MAX + 64, 16384), AK_ERROR);

    memset(text, 'a', MESSAGE_SIZE);
    text[0] = '-';
    assert_int_equal(read_one(text, AK_RESP_BULK_MAX + 64, 16384), AK_ERROR);

    memset(text, '1', MESSAGE_SIZE);
    text[0] = '*';
    assert_int_equal(read_one(text, AK_RESP_BULK_MAX + 64, 16384), AK_ERROR);

    free(text);
}


/* What has not been read yet is never more than a reply can be. */

static void
test_feed_limit(void **state)
{
    char        *text;
    size_t       i;
    ak_resp_t   *r;

    (void) state;

    text = calloc(1, AK_RESP_REPLY_MAX + 1);
    assert_non_null(text);

    r = ak_resp_create();
    assert_non_null(r);
    assert_int_equal(ak_resp_feed(r, text, AK_RESP_REPLY_MAX + 1), AK_ERROR);
    ak_resp_free(r);

    r = ak_resp_create();
    assert_non_null(r);

    for (i = 0; i < AK_RESP_REPLY_MAX; i += 4096) {
        assert_int_equal(ak_resp_feed(r, text, 4096), AK_OK);
    }

    assert_int_equal(ak_resp_feed(r, text, 1), AK_ERROR);
    assert_string_equal(ak_resp_error(r), "too much of an answer at once");

    ak_resp_free(r);
    free(text);
}


/* The limits are those of one reply, not of a connection. */

static void
test_many_replies(void **state)
{
    int          i, n;
    char        *text;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    (void) state;

    text = malloc(AK_RESP_BULK_MAX + 32);
    assert_non_null(text);

    r = ak_resp_create();
    assert_non_null(r);

    n = sprintf(text, "$%d\r\n", AK_RESP_BULK_MAX);
    memset(text + n, 'a', AK_RESP_BULK_MAX);
    memcpy(text + n + AK_RESP_BULK_MAX, "\r\n", 2);

    for (i = 0; i < 20; i++) {
        assert_int_equal(feed(r, text, n + AK_RESP_BULK_MAX + 2, 16384,
                              &reply), AK_OK);
        assert_int_equal(reply->str.len, AK_RESP_BULK_MAX);
        ak_reply_free(reply);
    }

    for (i = 0; i < 4 * AK_RESP_ELEMENTS_MAX; i++) {
        assert_int_equal(feed(r, ":1\r\n", 4, 4, &reply), AK_OK);
        ak_reply_free(reply);
    }

    ak_resp_free(r);
    free(text);
}


static size_t
repeat(char *dst, const char *piece, size_t n)
{
    size_t  len;

    len = strlen(piece);

    while (n-- > 0) {
        memcpy(dst, piece, len);
        dst += len;
    }

    return len;
}


static void
test_reply_limits(void **state)
{
    char    *text;
    size_t   i, n, len;

    (void) state;

    text = malloc(8 * AK_RESP_REPLY_MAX);
    assert_non_null(text);

    /* elements of one array */

    n = (size_t) sprintf(text, "*%d\r\n", AK_RESP_ELEMENTS_MAX);
    n += repeat(text + n, ":1\r\n", AK_RESP_ELEMENTS_MAX)
         * AK_RESP_ELEMENTS_MAX;
    assert_int_equal(read_one(text, n, 16384), AK_OK);

    /* of several arrays together */

    n = (size_t) sprintf(text, "*4\r\n");

    for (i = 0; i < 4; i++) {
        n += (size_t) sprintf(text + n, "*%d\r\n", AK_RESP_ELEMENTS_MAX);
        n += repeat(text + n, ":1\r\n", AK_RESP_ELEMENTS_MAX)
             * AK_RESP_ELEMENTS_MAX;
    }

    assert_int_equal(read_one(text, n, 16384), AK_ERROR);

    /* bytes */

    for (i = 4; i <= 5; i++) {
        n = (size_t) sprintf(text, "*%zu\r\n", i);
        len = AK_RESP_REPLY_MAX / 4 - 64;

        while (n < i * len) {
            n += (size_t) sprintf(text + n, "$%zu\r\n", len);
            memset(text + n, 'a', len);
            memcpy(text + n + len, "\r\n", 2);
            n += len + 2;
        }

        assert_int_equal(read_one(text, n, 16384),
                         i == 4 ? AK_OK : AK_ERROR);
    }

    free(text);
}


static void
test_depth(void **state)
{
    char    text[256];
    size_t  depth, len;

    (void) state;

    for (depth = 1; depth <= 9; depth++) {
        len = repeat(text, "*1\r\n", depth) * depth;
        memcpy(text + len, ":1\r\n", 4);

        assert_case(read_one(text, len + 4, 1)
                    == (depth <= 7 ? AK_OK : AK_ERROR), "depth %zu", depth);
    }
}


/* A reply that is dropped half read must leave nothing behind. */

static void
test_unfinished(void **state)
{
    size_t             i;
    static const char  text[] = "*3\r\n$3\r\nabc\r\n*2\r\n:1\r\n*1\r\n$1\r\n"
                                "x\r\n+OK\r\n";

    (void) state;

    for (i = 0; i < sizeof(text) - 1; i++) {
        assert_int_equal(read_one(text, i, 3), AK_AGAIN);
    }

    assert_int_equal(read_one(text, i, 3), AK_OK);

    ak_reply_free(NULL);
    ak_resp_free(NULL);
}


/* Nonsense that is near the sense; a sanitizer is to see what becomes of it. */

static void
test_noise(void **state)
{
    char               text[64];
    size_t             i, k, len;
    uint32_t           x;
    ak_resp_t         *r;
    ak_reply_t        *reply;
    static const char  letters[] = "*$+-:\r\n\r\n\r\n0123489a";

    (void) state;

    x = 2463534242;

    for (i = 0; i < 200000; i++) {
        len = 1 + i % sizeof(text);

        for (k = 0; k < len; k++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            text[k] = letters[x % (sizeof(letters) - 1)];
        }

        text[0] = "*$+-:"[i % 5];

        r = ak_resp_create();
        assert_non_null(r);

        assert_int_equal(ak_resp_feed(r, text, len), AK_OK);

        while (ak_resp_next(r, &reply) == AK_OK) {
            ak_reply_free(reply);
        }

        ak_resp_free(r);
    }
}


static void
test_format(void **state)
{
    size_t    i, len, size;
    uint8_t  *buf;
    ak_str_t  argv[100];

    (void) state;

    buf = NULL;
    len = 0;
    size = 0;

    argv[0] = S("SET");
    argv[1] = ak_str(NULL, 0);
    argv[2] = ak_str("a\0\r\n", 4);

    assert_int_equal(ak_resp_format(&buf, &len, &size, argv, 3), AK_OK);
    assert_true(ak_str_eq(ak_str(buf, len),
                          S("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\0\r\n\r\n")));

    argv[0] = S("PING");

    assert_int_equal(ak_resp_format(&buf, &len, &size, argv, 1), AK_OK);
    assert_true(ak_str_eq(ak_str(buf, len),
                          S("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\0\r\n\r\n"
                            "*1\r\n$4\r\nPING\r\n")));
    assert_true(len <= size);

    for (i = 0; i < 100; i++) {
        argv[i] = S("x");
    }

    len = 0;

    assert_int_equal(ak_resp_format(&buf, &len, &size, argv, 100), AK_OK);
    assert_int_equal(len, sizeof("*100\r\n") - 1 + 100 * 7);
    assert_memory_equal(buf, "*100\r\n$1\r\nx\r\n", 13);
    assert_memory_equal(buf + len - 7, "$1\r\nx\r\n", 7);

    free(buf);
}


/* What goes out comes in: the codec reads what it wrote. */

static void
test_round_trip(void **state)
{
    size_t       i, len, size;
    uint8_t     *buf, all[256];
    ak_str_t     argv[2];
    ak_resp_t   *r;
    ak_reply_t  *reply;

    (void) state;

    for (i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t) i;
    }

    buf = NULL;
    len = 0;
    size = 0;

    argv[0] = ak_str(all, sizeof(all));
    argv[1] = S("");

    assert_int_equal(ak_resp_format(&buf, &len, &size, argv, 2), AK_OK);

    r = ak_resp_create();
    assert_non_null(r);

    assert_int_equal(feed(r, (char *) buf, len, 1, &reply), AK_OK);
    assert_int_equal(reply->n, 2);
    assert_true(ak_str_eq(reply->elements[0]->str, argv[0]));
    assert_int_equal(reply->elements[1]->type, AK_REPLY_STRING);
    assert_int_equal(reply->elements[1]->str.len, 0);

    ak_reply_free(reply);
    ak_resp_free(r);
    free(buf);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_types),
    cmocka_unit_test(test_nested),
    cmocka_unit_test(test_several_at_once),
    cmocka_unit_test(test_garbage),
    cmocka_unit_test(test_string_limit),
    cmocka_unit_test(test_feed_limit),
    cmocka_unit_test(test_many_replies),
    cmocka_unit_test(test_reply_limits),
    cmocka_unit_test(test_depth),
    cmocka_unit_test(test_unfinished),
    cmocka_unit_test(test_noise),
    cmocka_unit_test(test_format),
    cmocka_unit_test(test_round_trip)
};


UNIT_MAIN(tests)
