
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "session optional audit". */


#include "unit.h"

#include <jansson.h>

#include "ak_stack.h"


#define LINE  "session optional audit log=/var/log/audit"

#define MEMBERS                                                               \
    "time,request_id,verdict,reason,stack,module,line,key,owner,source,"      \
    "method,path,cache,provider,slot,"


typedef struct {
    unit_pool_t    pool;
    ak_site_t      site;
    ak_stack_t    *s;
    ak_txn_t       t;
    const char    *get[AK_VIEW_REQUEST_ID + 1];

    /* what was written, and how often */

    char           text[16384];
    size_t         len;
    unsigned       n;
} bench_t;


static bench_t  *bench;


static void *
open_log(void *data, ak_str_t target, ak_diag_t *d)
{
    (void) data;

    if (ak_str_starts(target, S("/nowhere/"))) {
        ak_diag(d, "there is no such folder");
        return NULL;
    }

    assert_str(target, "/var/log/audit");

    return bench->text;
}


/* The line is gone when this returns. */

static void
keep_line(void *host, void *log, ak_str_t line)
{
    assert_ptr_equal(host, bench);
    assert_ptr_equal(log, bench->text);
    assert_true(line.len < sizeof(bench->text));

    memcpy(bench->text, line.data, line.len);
    bench->text[line.len] = '\0';

    bench->len = line.len;
    bench->n++;
}


static bool
get(void *host, ak_view_e what, ak_str_t *value)
{
    bench_t *b = host;

    assert_int_not_equal(what, AK_VIEW_QUERY);

    if (b->get[what] == NULL) {
        return false;
    }

    *value = ak_cstr(b->get[what]);

    return true;
}


static ak_rc_t
read_line(bench_t *b, const char *line, ak_diag_t *d)
{
    memset(b, 0, sizeof(*b));
    memset(d, 0, sizeof(*d));
    bench = b;

    unit_pool_init(&b->pool);
    b->site = unit_site(&b->pool);
    b->site.open_log = open_log;
    b->s = ak_stack_create(&b->site, S("main"));

    if (unit_add(b->s, line, d) != AK_OK) {
        return AK_ERROR;
    }

    return ak_stack_link(b->s, NULL, NULL, d);
}


static void
begin(bench_t *b, const char *line)
{
    ak_diag_t  d;

    assert_case(read_line(b, line, &d) == AK_OK, "%s", d.text);

    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);
    b->t.view.get = get;
    b->t.view.host = b;
    b->t.log = keep_line;
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static void
report(bench_t *b)
{
    b->n = 0;
    b->len = 0;

    assert_int_equal(ak_stack_run(b->s, &b->t, AK_REPORT), AK_OK);
}


/* The line as a reader has it; the caller frees it. */

static json_t *
read_report(bench_t *b)
{
    char           names[256];
    void          *it;
    json_t        *o;
    json_error_t   error;

    report(b);
    assert_int_equal(b->n, 1);

    o = json_loadb(b->text, b->len, JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL,
                   &error);
    assert_case(o != NULL, "%s: %s", error.text, b->text);
    assert_true(json_is_object(o));

    /* one line, whatever is in it */

    assert_null(memchr(b->text, '\n', b->len));
    assert_null(memchr(b->text, '\r', b->len));

    names[0] = '\0';

    for (it = json_object_iter(o); it != NULL;
         it = json_object_iter_next(o, it))
    {
        strcat(names, json_object_iter_key(it));
        strcat(names, ",");
    }

    assert_string_equal(names, MEMBERS);

    return o;
}


static void
check_member(bench_t *b, const char *name, const char *value, size_t len)
{
    json_t  *o, *m;

    o = read_report(b);
    m = json_object_get(o, name);

    assert_case(json_is_string(m) && json_string_length(m) == len
                && memcmp(json_string_value(m), value, len) == 0,
                "%s: %s", name, b->text);

    json_decref(o);
}


static void
test_granted(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, LINE);

    b.t.reason = AK_SUCCESS;
    b.t.stack = S("main");
    b.t.module = S("key");
    b.t.line = 3;
    b.t.id = S(UNIT_ID);
    b.t.owner = S("alice");
    b.t.source = AK_SOURCE_HIT;
    b.t.provider = S("openai");
    b.t.slot = S("default");

    b.get[AK_VIEW_REQUEST_ID] = "0123456789abcdef";
    b.get[AK_VIEW_ADDRESS_TEXT] = "192.0.2.1";
    b.get[AK_VIEW_METHOD] = "POST";
    b.get[AK_VIEW_PATH] = "/v1/chat/completions";

    report(&b);
    assert_int_equal(b.n, 1);
    assert_string_equal(b.text,
        "{\"time\":\"2027-01-15T08:00:00Z\","
        "\"request_id\":\"0123456789abcdef\",\"verdict\":\"granted\","
        "\"reason\":\"success\",\"stack\":\"main\",\"module\":\"key\","
        "\"line\":3,\"key\":\"" UNIT_ID "\",\"owner\":\"alice\","
        "\"source\":\"192.0.2.1\",\"method\":\"POST\","
        "\"path\":\"/v1/chat/completions\",\"cache\":\"hit\","
        "\"provider\":\"openai\",\"slot\":\"default\"}");

    json_decref(read_report(&b));
    end(&b);
}


/* The same members where there is nothing to say. */

static void
test_denied(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, LINE);
    report(&b);
    assert_string_equal(b.text,
        "{\"time\":\"2027-01-15T08:00:00Z\",\"request_id\":\"\","
        "\"verdict\":\"denied\",\"reason\":\"missing\",\"stack\":\"\","
        "\"module\":\"\",\"line\":0,\"key\":\"\",\"owner\":\"\","
        "\"source\":\"\",\"method\":\"\",\"path\":\"\",\"cache\":\"none\","
        "\"provider\":\"\",\"slot\":\"\"}");

    json_decref(read_report(&b));
    end(&b);
}


static void
test_words(void **state)
{
    int                 i;
    bench_t             b;
    ak_str_t            word;
    static const char  *caches[] = { "none", "hit", "miss", "stale" };

    (void) state;

    begin(&b, LINE);

    for (i = AK_MISSING; i < AK_REASON_MAX; i++) {
        b.t.reason = (ak_reason_e) i;
        word = ak_error(b.t.reason)->word;

        check_member(&b, "reason", (const char *) word.data, word.len);
        check_member(&b, "verdict", "denied", 6);
    }

    for (i = AK_SOURCE_NONE; i <= AK_SOURCE_STALE; i++) {
        b.t.source = (ak_source_e) i;
        check_member(&b, "cache", caches[i], strlen(caches[i]));
    }

    end(&b);
}


static void
test_choice(void **state)
{
    size_t   i;
    bench_t  b;

    static const struct {
        const char   *line;
        ak_reason_e   reason;
        unsigned      n;
    } cases[] = {
        { LINE, AK_SUCCESS, 1 },
        { LINE, AK_UNKNOWN, 1 },
        { LINE " granted=on", AK_SUCCESS, 1 },
        { LINE " granted=off", AK_SUCCESS, 0 },
        { LINE " granted=off", AK_UNKNOWN, 1 },
        { LINE " granted=off", AK_RATE_LIMITED, 1 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        begin(&b, cases[i].line);
        b.t.reason = cases[i].reason;
        report(&b);
        assert_case(b.n == cases[i].n, "case %zu", i);

        b.t.log = NULL;
        report(&b);
        assert_int_equal(b.n, 0);

        end(&b);
    }
}


/* In a session phase it says nothing, and hinders nobody. */

static void
test_session(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, LINE);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_SESSION_OPEN), AK_OK);
    assert_int_equal(b.n, 0);

    report(&b);
    assert_int_equal(b.n, 1);

    end(&b);
}


static void
test_escapes(void **state)
{
    size_t   i;
    bench_t  b;

    static const struct {
        const char  *path;
        const char  *value;            /* as it is read */
        const char  *text;             /* as it is written */
    } cases[] = {
        { "/a\"b\\c/", "/a\"b\\c/", "/a\\u0022b\\u005cc/" },
        { "/\n\r\t\x1b[2J", "/\n\r\t\x1b[2J",
          "/\\u000a\\u000d\\u0009\\u001b[2J" },
        { "/\x7f", "/\x7f", "/\\u007f" },
        { "/\xc2\x80\xc2\x9b\xc2\xa0", "/\xc2\x80\xc2\x9b\xc2\xa0",
          "/\\u0080\\u009b\xc2\xa0" },
        { "/\xc3\x9f\xdf\xbf", "/\xc3\x9f\xdf\xbf", "/\xc3\x9f\xdf\xbf" },
        { "/\xe2\x82\xac\xe0\xa0\x80", "/\xe2\x82\xac\xe0\xa0\x80",
          "/\xe2\x82\xac\xe0\xa0\x80" },
        { "/\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf",
          "/\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf",
          "/\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf" },

        /* no UTF-8, RFC 3629 */

        { "/\x80", "/\xef\xbf\xbd", "/\\ufffd" },
        { "/\xff" "a", "/\xef\xbf\xbd" "a", "/\\ufffda" },
        { "/\xc3", "/\xef\xbf\xbd", "/\\ufffd" },
        { "/\xc3" "a", "/\xef\xbf\xbd" "a", "/\\ufffda" },
        { "/\xc3\"", "/\xef\xbf\xbd\"", "/\\ufffd\\u0022" },
        { "/\xc0\xaf", "/\xef\xbf\xbd\xef\xbf\xbd", "/\\ufffd\\ufffd" },
        { "/\xc1\xbf", "/\xef\xbf\xbd\xef\xbf\xbd", "/\\ufffd\\ufffd" },
        { "/\xe2\x82", "/\xef\xbf\xbd\xef\xbf\xbd", "/\\ufffd\\ufffd" },
        { "/\xe2\x82\"", "/\xef\xbf\xbd\xef\xbf\xbd\"",
          "/\\ufffd\\ufffd\\u0022" },
        { "/\xe0\x9f\xbf", "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "/\\ufffd\\ufffd\\ufffd" },
        { "/\xed\xa0\x80", "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "/\\ufffd\\ufffd\\ufffd" },
        { "/\xf0\x9f\x98", "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "/\\ufffd\\ufffd\\ufffd" },
        { "/\xf0\x8f\xbf\xbf",
          "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "/\\ufffd\\ufffd\\ufffd\\ufffd" },
        { "/\xf4\x90\x80\x80",
          "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "/\\ufffd\\ufffd\\ufffd\\ufffd" },
        { "/\xf5\x80", "/\xef\xbf\xbd\xef\xbf\xbd", "/\\ufffd\\ufffd" }
    };

    (void) state;

    begin(&b, LINE);

    for (i = 0; i < ak_nitems(cases); i++) {
        b.get[AK_VIEW_PATH] = cases[i].path;
        check_member(&b, "path", cases[i].value, strlen(cases[i].value));
        assert_case(strstr(b.text, cases[i].text) != NULL, "case %zu: %s", i,
                    b.text);

        b.t.owner = ak_cstr(cases[i].path);
        check_member(&b, "owner", cases[i].value, strlen(cases[i].value));
    }

    end(&b);
}


/* Any bytes, at the end of their memory. */

static void
test_any_bytes(void **state)
{
    int       i;
    bench_t   b;
    size_t    n;
    uint8_t   bytes[24];
    ak_str_t  exact;

    (void) state;

    begin(&b, LINE);
    srandom(1);

    for (i = 0; i < 20000; i++) {

        for (n = 0; n < sizeof(bytes); n++) {
            bytes[n] = (uint8_t) (random() % 3 ? 0x80 | random() : random());
        }

        exact = unit_exact(ak_str(bytes, random() % (sizeof(bytes) + 1)));

        b.t.id = exact;
        b.t.owner = exact;
        b.t.slot = exact;

        json_decref(read_report(&b));
        unit_free(exact);
    }

    end(&b);
}


static void
check_cut(bench_t *b, const char *before, const char *piece, size_t len)
{
    char    path[2048];
    size_t  n;

    n = strlen(strcpy(path, before));

    while (n + strlen(piece) < sizeof(path)) {
        n += strlen(strcpy(path + n, piece));
    }

    b->get[AK_VIEW_PATH] = path;
    check_member(b, "path", path, len);
}


static void
test_cut(void **state)
{
    char      path[514], longest[256];
    bench_t   b;

    (void) state;

    begin(&b, LINE);

    check_cut(&b, "", "a", 512);
    check_cut(&b, "", "\xc3\xa4", 512);
    check_cut(&b, "/", "\xc3\xa4", 511);
    check_cut(&b, "", "\xe2\x82\xac", 510);
    check_cut(&b, "/", "\xe2\x82\xac", 511);
    check_cut(&b, "//", "\xe2\x82\xac", 512);
    check_cut(&b, "", "\xf0\x9f\x98\x80", 512);
    check_cut(&b, "/", "\xf0\x9f\x98\x80", 509);
    check_cut(&b, "///", "\xf0\x9f\x98\x80", 511);

    memset(path, 'a', sizeof(path));
    path[513] = '\0';
    b.get[AK_VIEW_PATH] = path;
    check_member(&b, "path", path, 512);

    path[512] = '\0';
    check_member(&b, "path", path, 512);

    path[511] = '\0';
    check_member(&b, "path", path, 511);

    memset(longest, 'o', sizeof(longest));
    b.t.owner = ak_str(longest, 128);
    check_member(&b, "owner", longest, 128);

    b.t.owner = ak_str(longest, 129);
    check_member(&b, "owner", longest, 128);

    end(&b);
}


/* The longest line is whole. */

static void
test_longest(void **state)
{
    char          bytes[2048];
    bench_t       b;
    ak_str_t      all;
    const char  **get;

    (void) state;

    memset(bytes, 1, sizeof(bytes) - 1);
    bytes[sizeof(bytes) - 1] = '\0';
    all = ak_cstr(bytes);

    begin(&b, LINE);

    b.t.reason = AK_UPSTREAM_AUTH_FAILED;
    b.t.source = AK_SOURCE_STALE;
    b.t.now = INT64_MIN;
    b.t.line = UINT32_MAX;
    b.t.stack = all;
    b.t.module = all;
    b.t.id = all;
    b.t.owner = all;
    b.t.provider = all;
    b.t.slot = all;

    for (get = b.get; get <= &b.get[AK_VIEW_REQUEST_ID]; get++) {
        *get = bytes;
    }

    check_member(&b, "slot", bytes, 128);
    check_member(&b, "path", bytes, 512);
    assert_true(b.len > 6 * (512 + 9 * 128));

    end(&b);
}


/* What it must not know is at hand. */

static void
test_no_secret(void **state)
{
    bench_t               b;
    ak_diag_t             d;
    const unit_header_t   headers[] = {
        { "authorization", "Bearer " UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    assert_int_equal(read_line(&b, LINE, &d), AK_OK);
    assert_int_equal(unit_add(b.s, "auth required key", &d), AK_OK);
    assert_int_equal(ak_stack_link(b.s, NULL, NULL, &d), AK_OK);

    unit_txn(&b.t, &b.pool, headers, NULL, NULL);
    b.t.view.get = get;
    b.t.view.host = &b;
    b.t.log = keep_line;
    b.get[AK_VIEW_QUERY] = "key=" UNIT_KEY;

    /* the key's id is known, and what the client sent */

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_AGAIN);
    assert_int_equal(b.t.cred.kind, AK_CRED_KEY);

    check_member(&b, "key", UNIT_ID, sizeof(UNIT_ID) - 1);
    assert_false(unit_leaks(b.text, b.len,
                            S("QwErTyUiOpAsDfGhJkLzXcVbNm0123452j5I2Q"), 4));

    end(&b);
}


static void
test_errors(void **state)
{
    size_t       i;
    bench_t      b;
    ak_diag_t    d;
    ak_stack_t  *s;

    static const struct {
        const char  *line;
        const char  *message;
    } cases[] = {
        { "session optional audit", "\"log\" is missing" },
        { "session optional audit granted=off", "\"log\" is missing" },
        { "session optional audit log=", "has no value" },
        { "session optional audit log=/nowhere/audit",
          "there is no such folder" },
        { LINE " granted=maybe", "invalid value in \"granted=maybe\"" },
        { LINE " other=1", "unknown argument \"other=1\"" },
        { "auth required audit log=/var/log/audit", "has no part in \"auth\"" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_case(read_line(&b, cases[i].line, &d) == AK_ERROR,
                    "%s: accepted", cases[i].line);
        assert_case(strstr(d.text, cases[i].message) != NULL, "%s: %s",
                    cases[i].line, d.text);
        end(&b);
    }

    unit_pool_init(&b.pool);
    b.site = unit_site(&b.pool);
    b.site.open_log = NULL;
    s = ak_stack_create(&b.site, S("main"));

    assert_int_equal(unit_add(s, LINE, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "there are no logs here"));
    unit_pool_free(&b.pool);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_granted),
    cmocka_unit_test(test_denied),
    cmocka_unit_test(test_words),
    cmocka_unit_test(test_choice),
    cmocka_unit_test(test_session),
    cmocka_unit_test(test_escapes),
    cmocka_unit_test(test_any_bytes),
    cmocka_unit_test(test_cut),
    cmocka_unit_test(test_longest),
    cmocka_unit_test(test_no_secret),
    cmocka_unit_test(test_errors)
};


UNIT_MAIN(tests)
