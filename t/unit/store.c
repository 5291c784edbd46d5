
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the words of a store, its names, and the fields it answers. */


#include "unit.h"

#include "ak_store.h"


#define WORDS_MAX  12
#define SECRET     "hunter2hunter2"


typedef struct {
    const char  *words;                /* parted by spaces */
    const char  *host;
    unsigned     port;
    const char  *path;
    unsigned     db;
    const char  *user;
    const char  *prefix;
    unsigned     connect_timeout;
    unsigned     timeout;
} good_t;


typedef struct {
    const char  *words;
    const char  *text;                 /* a part of the diagnostic */
} bad_t;


#define DEFAULTS  "apikey:", 1000, 1000


static const good_t  good[] = {
    { "redis://h", "h", 6379, "", 0, "", DEFAULTS },
    { "redis://h/", "h", 6379, "", 0, "", DEFAULTS },
    { "redis://h:1", "h", 1, "", 0, "", DEFAULTS },
    { "redis://h:65535/15", "h", 65535, "", 15, "", DEFAULTS },
    { "redis://127.0.0.1:6380/0", "127.0.0.1", 6380, "", 0, "", DEFAULTS },
    { "redis://redis-1.my_net.example:7000", "redis-1.my_net.example", 7000,
      "", 0, "", DEFAULTS },
    { "redis://[::1]", "::1", 6379, "", 0, "", DEFAULTS },
    { "redis://[2001:db8::1.2.3.4]:7/2", "2001:db8::1.2.3.4", 7, "", 2, "",
      DEFAULTS },
    { "redis://bob@h:7/2 password_file=/p", "h", 7, "", 2, "bob", DEFAULTS },
    { "redis://a@b@h password_file=/p", "h", 6379, "", 0, "a@b", DEFAULTS },
    { "redis://h user=bob password_file=/p db=3", "h", 6379, "", 3, "bob",
      DEFAULTS },
    { "redis://h password_file=/p", "h", 6379, "", 0, "", DEFAULTS },
    { "redis+unix:/run/r.sock", "", 0, "/run/r.sock", 0, "", DEFAULTS },
    { "redis+unix:///run/r.sock db=1", "", 0, "/run/r.sock", 1, "", DEFAULTS },
    { "redis+unix:/run/a:b@c?d db=2147483647", "", 0, "/run/a:b@c?d",
      2147483647, "", DEFAULTS },
    { "redis://h prefix=acme:keys: connect_timeout=250ms timeout=2s", "h",
      6379, "", 0, "", "acme:keys:", 250, 2000 },
    { "redis://h timeout=1ms connect_timeout=1h", "h", 6379, "", 0, "",
      "apikey:", 3600000, 1 },
    { "redis://h timeout=5", "h", 6379, "", 0, "", "apikey:", 1000, 5000 }
};


static const bad_t  bad[] = {
    { "", "URL is missing" },
    { "localhost:6379", "must begin with \"redis://\"" },
    { "http://h", "must begin with \"redis://\"" },
    { "REDIS://h", "must begin with \"redis://\"" },
    { "redis:h", "must begin with \"redis://\"" },
    { "redis+unix", "must begin with \"redis://\"" },
    { "rediss://h:6379", "\"rediss:\" is not supported by this version" },
    { "file:", "\"file:\" needs the path" },
    { "file:/etc/keys prefix=a:", "takes no options" },

    { "redis://", "host in the store's URL is missing" },
    { "redis://:6379", "host in the store's URL is missing" },
    { "redis:///0", "host in the store's URL is missing" },
    { "redis://[]:6379", "host in the store's URL is missing" },
    { "redis://[::1", "has no \"]\"" },
    { "redis://[h]", "no name and no address" },
    { "redis://[::1%25eth0]", "no name and no address" },
    { "redis://::1", "must stand in brackets" },
    { "redis://::1:6379", "must stand in brackets" },
    { "redis://h\x01x", "no name and no address" },
    { "redis://h%41", "no name and no address" },
    { "redis://b\xc3\xbc" "cher", "no name and no address" },
    { "redis://h:1,i:2", "several hosts" },
    { "redis://h,i", "several hosts" },

    { "redis://h:", "port in the store's URL must be 1 to 65535" },
    { "redis://h:0", "port in the store's URL must be 1 to 65535" },
    { "redis://h:65536", "port in the store's URL must be 1 to 65535" },
    { "redis://h:18446744073709551617", "must be 1 to 65535" },
    { "redis://h:-1", "port in the store's URL must be 1 to 65535" },
    { "redis://h:6379x", "port in the store's URL must be 1 to 65535" },
    { "redis://h:+1", "port in the store's URL must be 1 to 65535" },
    { "redis://[::1]6379", "port in the store's URL must be 1 to 65535" },

    { "redis://h/x", "database of the store must be a number" },
    { "redis://h/-1", "database of the store must be a number" },
    { "redis://h/1/2", "database of the store must be a number" },
    { "redis://h/2147483648", "database of the store must be a number" },
    { "redis://h db=", "database of the store must be a number" },
    { "redis://h db=1x", "database of the store must be a number" },
    { "redis://h?db=1", "are words after its URL" },
    { "redis://h/1?x=y", "are words after its URL" },

    { "redis://bob:" SECRET "@h", "use \"password_file=\"" },
    { "redis://:" SECRET "@h", "use \"password_file=\"" },
    { "redis://bob:" SECRET "@x@h", "use \"password_file=\"" },
    { "redis://bob:" SECRET "/@h", "use \"password_file=\"" },
    { "redis://h password=" SECRET, "use \"password_file=\"" },
    { "redis://@h", "user of the store must be" },
    { "redis://h user=", "user of the store must be" },
    { "redis://b\x7f@h", "user of the store must be" },
    { "redis://bob@h", "needs \"password_file=\"" },
    { "redis://h user=bob", "needs \"password_file=\"" },
    { "redis://h password_file=", "\"password_file=\" needs a path" },

    { "redis+unix:", "begins with \"/\"" },
    { "redis+unix:/", "begins with \"/\"" },
    { "redis+unix:r.sock", "begins with \"/\"" },
    { "redis+unix://host/r.sock", "has no host" },

    { "redis://h prefix=", "\"prefix=\" of the store must be 1 to 64" },
    { "redis://h prefix=a\xff", "\"prefix=\" of the store must be 1 to 64" },
    { "redis://h prefix=a*", "must not hold any of" },
    { "redis://h prefix=[a]:", "must not hold any of" },
    { "redis://h timeout=0", "\"timeout=\" of the store must be a time" },
    { "redis://h timeout=-1", "\"timeout=\" of the store must be a time" },
    { "redis://h timeout=2h", "\"timeout=\" of the store must be a time" },
    { "redis://h timeout=soon", "\"timeout=\" of the store must be a time" },
    { "redis://h connect_timeout=0ms", "\"connect_timeout=\" of the store" },

    { "redis://h timeout=1s timeout=1s", "\"timeout\" of the store is given" },
    { "redis://h/1 db=1", "\"db\" of the store is given twice" },
    { "redis://b@h user=b", "\"user\" of the store is given twice" },
    { "redis://h timeout", "\"timeout\" of the store needs a value" },
    { "redis://h colour=" SECRET, "unknown option \"colour\" of the store" },
    { "redis://h colour", "unknown option \"colour\" of the store" },
    { "redis://h Timeout=1s", "is no option" },
    { "redis://h " SECRET "!", "is no option" },
    { "redis://h =1", "unknown option \"\" of the store" },
    { "redis://h sentinel=main", "\"sentinel\" of a store is not supported" },
    { "redis://h cluster", "\"cluster\" of a store is not supported" },
    { "redis://h ssl_name=x", "\"ssl_name\" of a store is not supported" }
};


static size_t
split(const char *text, ak_str_t *words)
{
    size_t  n, len;

    for (n = 0; *text != '\0'; n++) {
        assert_true(n < WORDS_MAX);

        len = strcspn(text, " ");
        words[n] = unit_exact(ak_str(text, len));

        text += len;
        text += (*text == ' ');
    }

    return n;
}


static void
release(ak_str_t *words, size_t n)
{
    while (n-- > 0) {
        unit_free(words[n]);
    }
}


static void
test_good(void **state)
{
    size_t            i, n;
    ak_str_t          words[WORDS_MAX];
    ak_diag_t         d;
    const good_t     *g;
    ak_store_conf_t   conf;

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        g = &good[i];

        memset(&d, 0, sizeof(ak_diag_t));
        memset(&conf, 0xa5, sizeof(ak_store_conf_t));

        n = split(g->words, words);

        assert_case(ak_store_conf_parse(&conf, words, n, &d) == AK_OK,
                    "%s: %s", g->words, d.text);

        assert_int_equal(conf.type, AK_STORE_REDIS);
        assert_str(conf.host, g->host);
        assert_str(conf.path, g->path);
        assert_str(conf.user, g->user);
        assert_str(conf.prefix, g->prefix);
        assert_int_equal(conf.port, g->port);
        assert_int_equal(conf.db, g->db);
        assert_int_equal(conf.connect_timeout, g->connect_timeout);
        assert_int_equal(conf.timeout, g->timeout);
        assert_str(conf.password_file,
                   strstr(g->words, "password_file") ? "/p" : "");

        release(words, n);
    }
}


static void
test_bad(void **state)
{
    size_t           i, n;
    ak_str_t         words[WORDS_MAX];
    ak_diag_t        d;
    ak_store_conf_t  conf;

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        memset(&d, 0, sizeof(ak_diag_t));

        n = split(bad[i].words, words);

        assert_case(ak_store_conf_parse(&conf, words, n, &d) == AK_ERROR,
                    "%s", bad[i].words);
        assert_case(strstr(d.text, bad[i].text) != NULL,
                    "%s: %s", bad[i].words, d.text);
        assert_case(!unit_leaks(d.text, strlen(d.text), S(SECRET), 4),
                    "%s: %s", bad[i].words, d.text);

        assert_int_equal(ak_store_conf_parse(&conf, words, n, NULL),
                         AK_ERROR);

        release(words, n);
    }
}


static void
test_lengths(void **state)
{
    char              text[512];
    ak_str_t          words[2];
    ak_store_conf_t   conf;

    (void) state;

    memset(text, 'a', sizeof(text));

    memcpy(text, "redis://", 8);
    words[0] = ak_str(text, 8 + 253);
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_OK);
    words[0].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_ERROR);

    memcpy(text, "redis+unix:/", 12);
    words[0] = ak_str(text, 11 + 107);
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_OK);
    words[0].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_ERROR);

    words[0] = S("redis://h");
    memcpy(text, "prefix=", 7);
    words[1] = ak_str(text, 7 + 64);
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_OK);
    words[1].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    /* a zero byte would end what the system is asked for */

    words[0] = ak_str("redis+unix:/a\0b", 15);
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_ERROR);

    words[0] = S("redis://h");
    words[1] = ak_str("password_file=/a\0b", 18);
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    assert_int_equal(ak_store_conf_parse(&conf, words, 0, NULL), AK_ERROR);
}


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
    cmocka_unit_test(test_good),
    cmocka_unit_test(test_bad),
    cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_usage_names),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_usage)
};


UNIT_MAIN(tests)
