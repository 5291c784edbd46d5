
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "session required identity". */


#include "unit.h"

#include <ctype.h>

#include "ak_record.h"
#include "ak_stack.h"


typedef struct {
    unit_pool_t   pool;
    ak_site_t     site;
    ak_stack_t   *s;
    ak_txn_t      t;
} bench_t;


static ak_rc_t
read_lines(bench_t *b, const char *first, const char *second, ak_diag_t *d)
{
    memset(b, 0, sizeof(*b));
    memset(d, 0, sizeof(*d));

    unit_pool_init(&b->pool);
    b->site = unit_site(&b->pool);
    b->s = ak_stack_create(&b->site, S("main"));

    if (unit_add(b->s, first, d) != AK_OK
        || (second != NULL && unit_add(b->s, second, d) != AK_OK))
    {
        return AK_ERROR;
    }

    return ak_stack_link(b->s, NULL, NULL, d);
}


/* After an auth phase that granted. */

static void
begin(bench_t *b, const char *first, const char *second)
{
    ak_diag_t  d;

    assert_case(read_lines(b, first, second, &d) == AK_OK, "%s", d.text);
    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);

    b->t.identified = true;
    b->t.reason = AK_SUCCESS;
    b->t.id = S(UNIT_ID);
    b->t.owner = S("alice");
    b->t.name = S("laptop");
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static ak_str_t
record(bench_t *b, const ak_field_t *meta, size_t n)
{
    size_t       i, len;
    uint8_t     *packed;
    ak_diag_t    d;
    ak_field_t   fields[4 + AK_RECORD_META_MAX] = {
        { ak_string("hash"), ak_string(UNIT_HASH) },
        { ak_string("owner"), ak_string("alice") },
        { ak_string("status"), ak_string("active") },
        { ak_string("created"), ak_string("1700000000") }
    };
    ak_record_t  rec;

    for (i = 0; i < n; i++) {
        fields[4 + i] = meta[i];
    }

    assert_case(ak_record_parse(fields, 4 + n, &rec, &d) == AK_OK, "%s",
                d.text);

    packed = b->pool.mem.alloc(b->pool.mem.data, AK_VALUE_MAX);
    assert_int_equal(ak_record_pack(&rec, packed, &len), AK_OK);

    return ak_str(packed, len);
}


static ak_rc_t
run(bench_t *b)
{
    return ak_stack_run(b->s, &b->t, AK_SESSION_OPEN);
}


static void
check_header(bench_t *b, unsigned n, const char *name, const char *value)
{
    assert_true(n < b->t.neffects);
    assert_str(b->t.effects[n].name, name);
    assert_str(b->t.effects[n].value, value);
}


static void
test_all(void **state)
{
    bench_t           b;
    const ak_field_t  meta[] = {
        { ak_string("meta.email"), ak_string("alice@example.org") },
        { ak_string("meta.team"), ak_string("b\xc3\xbcro") }
    };

    (void) state;

    begin(&b, "session required identity owner=X-User-Name id=X_Key-Id "
          "name=X-Key-Name meta.team=X-Team meta.email=X-Email", NULL);
    b.t.record = record(&b, meta, 2);

    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 5);
    check_header(&b, 0, "X-User-Name", "alice");
    check_header(&b, 1, "X_Key-Id", UNIT_ID);
    check_header(&b, 2, "X-Key-Name", "laptop");
    check_header(&b, 3, "X-Team", "b\xc3\xbcro");
    check_header(&b, 4, "X-Email", "alice@example.org");
    assert_true(b.t.opened != 0);

    /* a second run is as the first */

    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 5);

    end(&b);
}


/* A credential may be wiped, and the id that is a part of it. */

static void
test_id_is_kept(void **state)
{
    char     key[] = UNIT_KEY;
    bench_t  b;

    (void) state;

    begin(&b, "session required identity id=X-Key-Id", NULL);
    b.t.id = ak_str(key + 3, sizeof(UNIT_ID) - 1);

    assert_int_equal(run(&b), AK_OK);
    memset(key, 0, sizeof(key));
    check_header(&b, 0, "X-Key-Id", UNIT_ID);

    end(&b);
}


static void
test_missing(void **state)
{
    bench_t           b;
    const ak_field_t  meta[] = {
        { ak_string("meta.team"), ak_string("core") }
    };

    (void) state;

    begin(&b, "session required identity meta.tea=X-Tea meta.teams=X-Teams "
          "name=X-Name meta.team=X-Team", NULL);

    /* neither a record nor a name */

    b.t.name = ak_str(NULL, 0);
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 0);
    assert_true(b.t.opened == 0);

    b.t.record = S("no record");
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 0);

    b.t.record = record(&b, NULL, 0);
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 0);

    b.t.record = record(&b, meta, 1);
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 1);
    check_header(&b, 0, "X-Team", "core");

    end(&b);
}


/* Nothing that ends a header, or that some reader takes for an end. */

static void
test_control_characters(void **state)
{
    int      i;
    char     name[] = "a?b";
    bench_t  b;

    (void) state;

    begin(&b, "session required identity owner=X-Owner name=X-Name", NULL);

    for (i = 0; i < 256; i++) {
        name[1] = (char) i;
        b.t.name = ak_str(name, 3);

        assert_int_equal(run(&b), AK_OK);
        assert_case(b.t.neffects == (i < 0x20 || i == 0x7f ? 1u : 2u),
                    "%02x", i);
        check_header(&b, 0, "X-Owner", "alice");
    }

    b.t.name = ak_str("ab\n", 3);
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 1);

    end(&b);
}


/*
 * "satisfy any": nginx lets pass whom our auth lines refused, when the id of
 * the key that was tried is known.
 */

static void
test_nobody(void **state)
{
    bench_t  b;

    (void) state;

    begin(&b, "session required identity owner=X-Owner id=X-Key-Id", NULL);
    b.t.identified = false;

    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 0);

    end(&b);
}


static void
test_strip(void **state)
{
    bench_t      b;
    ak_strip_t  *strip;

    (void) state;

    begin(&b, "session required identity owner=X-User-Name id=x_key_id",
          NULL);

    strip = ak_strip_create(&b.pool.mem);
    assert_false(ak_strip_header(strip, S("x-user-name")));
    assert_int_equal(ak_stack_strip(b.s, strip), AK_OK);

    assert_true(ak_strip_header(strip, S("x-user-name")));
    assert_true(ak_strip_header(strip, S("x_user_name")));
    assert_true(ak_strip_header(strip, S("x-key-id")));
    assert_true(ak_strip_header(strip, S("x_key-id")));
    assert_false(ak_strip_header(strip, S("x-user-names")));

    end(&b);

    /* without memory for a name it is not left out in silence */

    begin(&b, "session required identity owner=X-User-Name", NULL);

    strip = ak_strip_create(&b.pool.mem);
    b.pool.left = 0;
    assert_int_equal(ak_stack_strip(b.s, strip), AK_NO_MEMORY);

    end(&b);
}


/* All or nothing, and nothing is a denial. */

static void
test_full(void **state)
{
    bench_t           b;
    unsigned          i;
    const ak_field_t  meta[] = {
        { ak_string("meta.a"), ak_string("1") },
        { ak_string("meta.b"), ak_string("2") },
        { ak_string("meta.c"), ak_string("3") },
        { ak_string("meta.d"), ak_string("4") },
        { ak_string("meta.e"), ak_string("5") },
        { ak_string("meta.f"), ak_string("6") }
    };

    (void) state;

    begin(&b, "session required identity owner=X-Owner name=X-Name", NULL);

    for (i = 0; i <= AK_EFFECTS_MAX; i++) {
        assert_int_equal(run(&b), AK_OK);
        assert_int_equal(b.t.neffects, 2);
    }

    end(&b);

    begin(&b, "session required identity owner=H1 name=H2 id=H3 "
          "meta.a=H4 meta.b=H5 meta.c=H6 meta.d=H7 meta.e=H8 meta.f=H9",
          "session required identity owner=I1 name=I2 id=I3 "
          "meta.a=I4 meta.b=I5 meta.c=I6 meta.d=I7 meta.e=I8");
    b.t.record = record(&b, meta, 6);

    assert_int_equal(run(&b), AK_DENIED);
    assert_int_equal(b.t.reason, AK_STORE_UNAVAILABLE);
    assert_str(b.t.module, "identity");
    assert_int_equal(b.t.line, 2);
    assert_non_null(b.t.alert);
    assert_int_equal(b.t.neffects, 9);

    /* one less fits */

    b.t.name = ak_str(NULL, 0);
    assert_int_equal(run(&b), AK_OK);
    assert_int_equal(b.t.neffects, 15);

    end(&b);
}


static void
test_no_memory(void **state)
{
    size_t       left;
    bench_t      b;
    ak_rc_t      rc;
    ak_diag_t    d;
    ak_stack_t  *s;

    (void) state;

    begin(&b, "session required identity owner=X-Owner id=X-Key-Id", NULL);

    b.pool.left = 0;
    assert_int_equal(run(&b), AK_DENIED);
    assert_int_equal(b.t.reason, AK_STORE_UNAVAILABLE);
    assert_int_equal(b.t.neffects, 0);
    assert_null(b.t.alert);
    end(&b);

    rc = AK_ERROR;

    for (left = 0; rc != AK_OK; left++) {
        assert_true(left < 30);

        unit_pool_init(&b.pool);
        b.site = unit_site(&b.pool);
        s = ak_stack_create(&b.site, S("main"));

        b.pool.left = left;
        memset(&d, 0, sizeof(d));

        rc = unit_add(s, "session required identity owner=X-Owner id=X-Id",
                      &d);

        if (rc != AK_OK) {
            assert_non_null(strstr(d.text, "no memory"));
        }

        unit_pool_free(&b.pool);
    }

    assert_true(left > 5);
}


static void
check_error(const char *line, const char *message)
{
    bench_t    b;
    ak_diag_t  d;

    assert_case(read_lines(&b, line, NULL, &d) == AK_ERROR, "%s: accepted",
                line);
    assert_case(strstr(d.text, message) != NULL, "%s: \"%s\" is not in \"%s\"",
                line, message, d.text);

    end(&b);
}


static void
test_errors(void **state)
{
    (void) state;

    check_error("session required identity", "no header is named");
    check_error("session required identity owner=", "has no value");
    check_error("session required identity owner",
                "unknown argument \"owner\"");
    check_error("session required identity owners=X-A",
                "unknown argument \"owners\"");
    check_error("session required identity Owner=X-A",
                "unknown argument \"Owner\"");
    check_error("session required identity meta.=X-A",
                "unknown argument \"meta.\"");
    check_error("session required identity meta=X-A",
                "unknown argument \"meta\"");
    check_error("session required identity provider=X-A",
                "unknown argument \"provider\"");
    check_error("session required identity owner=X-A owner=X-B",
                "\"owner\" is there twice");
    check_error("session required identity owner=X-A id=x-a",
                "the header \"x-a\" is named twice");
    check_error("session required identity owner=X-A-B meta.c=X_A_B",
                "the header \"x_a_b\" is named twice");
    check_error("auth required identity owner=X-A", "has no part in \"auth\"");
    check_error("session required identity "
                "meta.1=H1 meta.2=H2 meta.3=H3 meta.4=H4 meta.5=H5 meta.6=H6 "
                "meta.7=H7 meta.8=H8 meta.9=H9 meta.10=H10 meta.11=H11 "
                "meta.12=H12 meta.13=H13 meta.14=H14 meta.15=H15 "
                "meta.16=H16 meta.17=H17", "more than 16 headers");
}


static void
test_names(void **state)
{
    int        i;
    char       line[160];
    bench_t    b;
    size_t     n;
    ak_diag_t  d;

    static const char  *taken[] = {
        "Host", "Content-Length", "Transfer-Encoding", "Connection",
        "Upgrade", "TE", "Trailer", "Expect", "Content-Type", "Cookie",
        "Keep-Alive", "Proxy-Connection", "Authorization", "X-API-Key",
        "Api-Key", "X-Goog-Api-Key", "X-Subscription-Token",
        "Proxy-Authorization", "X-Lobe-Chat-Auth", "X-Provider-Api-Keys",
        "X_Api_Key", "CONTENT_LENGTH", "x_goog-api_key"
    };

    (void) state;

    for (n = 0; n < ak_nitems(taken); n++) {
        snprintf(line, sizeof(line), "session required identity owner=%s",
                 taken[n]);

        assert_case(read_lines(&b, line, NULL, &d) == AK_ERROR, "%s", line);
        assert_case(strcasestr(d.text, taken[n]) != NULL, "%s: %s", line,
                    d.text);
        end(&b);
    }

    /* what is a token, by RFC 9110; a space would end the word */

    for (i = 1; i < 256; i++) {

        if (i == ' ') {
            continue;
        }

        snprintf(line, sizeof(line), "session required identity owner=X%cY",
                 i);

        assert_case((read_lines(&b, line, NULL, &d) == AK_OK)
                    == (i < 0x80 && (isalnum(i)
                                     || strchr("!#$%&'*+-.^_`|~", i) != NULL)),
                    "%02x", i);
        end(&b);
    }

    for (i = 62; i < 66; i++) {
        snprintf(line, sizeof(line), "session required identity owner=%0*d",
                 i, 0);

        assert_case((read_lines(&b, line, NULL, &d) == AK_OK) == (i < 64),
                    "%d", i);
        end(&b);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_all),
    cmocka_unit_test(test_id_is_kept),
    cmocka_unit_test(test_missing),
    cmocka_unit_test(test_control_characters),
    cmocka_unit_test(test_nobody),
    cmocka_unit_test(test_strip),
    cmocka_unit_test(test_full),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_names)
};


UNIT_MAIN(tests)
