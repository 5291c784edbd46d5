
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the providers of a configuration, and how their keys go out. */


#include "unit.h"

#include "ak_carry.h"
#include "ak_providers.h"


typedef struct {
    unit_pool_t     pool;
    ak_providers_t  own;
    ak_diag_t       d;
} bench_t;


static void
begin(bench_t *b)
{
    memset(b, 0, sizeof(bench_t));
    unit_pool_init(&b->pool);
}


/* A line of words that "|" tells apart; their memory is gone afterwards. */

static ak_rc_t
line(bench_t *b, ak_own_provider_t *p, const char *text)
{
    char       *copy, *word, *bar;
    size_t      n;
    ak_rc_t     rc;
    ak_str_t    words[64];

    copy = strdup(text);
    assert_non_null(copy);

    for (n = 0, word = copy; word != NULL && n < 64; word = bar) {
        bar = strchr(word, '|');

        if (bar != NULL) {
            *bar++ = '\0';
        }

        words[n++] = ak_cstr(word);
    }

    b->d.text[0] = '\0';
    rc = ak_provider_line(p, words, n, &b->pool.mem, &b->d);

    memset(copy, 0x5a, strlen(text));
    free(copy);

    return rc;
}


/* A block of lines, up to NULL; NULL: refused, and the diagnostic says why. */

static const ak_provider_t *
block(bench_t *b, const char *name, const char *const *lines)
{
    char               *copy;
    ak_own_provider_t  *p;

    copy = strdup(name);
    assert_non_null(copy);
    b->d.text[0] = '\0';

    p = ak_provider_begin(&b->own, ak_cstr(copy), &b->pool.mem, &b->d);

    memset(copy, 0x5a, strlen(name));
    free(copy);

    for ( /* void */ ; p != NULL && *lines != NULL; lines++) {
        if (line(b, p, *lines) != AK_OK) {
            return NULL;
        }
    }

    return (p != NULL && ak_provider_end(p, &b->d) == AK_OK) ? &p->provider
                                                             : NULL;
}


/*
 * A row of the built-in table as a block: it says nothing that the words of a
 * block cannot.
 */

static size_t
as_block(const ak_provider_t *p, char lines[][256])
{
    size_t               n;
    const ak_refusal_t  *r;

    n = 0;

    snprintf(lines[n++], 256, "header|%.*s", AK_FMT(p->carriage.header));

    if (p->carriage.scheme.len != 0) {
        snprintf(lines[n++], 256, "scheme|%.*s",
                 (int) p->carriage.scheme.len - 1,
                 (const char *) p->carriage.scheme.data);
    }

    if (p->version.len != 0) {
        snprintf(lines[n++], 256, "since|%.*s=%.*s|header=%.*s|scheme=%.*s",
                 AK_FMT(p->version), AK_FMT(p->since),
                 AK_FMT(p->newer.header), (int) p->newer.scheme.len - 1,
                 (const char *) p->newer.scheme.data);
    }

    for (r = p->refused; r->status != 0; r++) {
        snprintf(lines[n++], 256, r->mark.len ? "refused|%u|text=%.*s"
                                              : "refused|%u",
                 r->status, AK_FMT(r->mark));
    }

    return n;
}


static void
same_carriage(const ak_carriage_t *a, const ak_carriage_t *b)
{
    assert_true(ak_str_eq(a->header, b->header));
    assert_true(ak_str_eq(a->scheme, b->scheme));
}


static void
test_built_in(void **state)
{
    char                  lines[24][256];
    size_t                i, k, n;
    bench_t               b;
    const char           *list[25];
    const ak_provider_t  *p, *q;

    (void) state;

    for (i = 0; (p = ak_provider_at(i)) != NULL; i++) {
        begin(&b);

        n = as_block(p, lines);

        for (k = 0; k < n; k++) {
            list[k] = lines[k];
        }

        list[n] = NULL;
        q = block(&b, "other", list);

        assert_case(q != NULL, "%.*s: %s", AK_FMT(p->name), b.d.text);

        same_carriage(&p->carriage, &q->carriage);
        same_carriage(&p->newer, &q->newer);
        assert_true(ak_str_eq(p->version, q->version));
        assert_true(ak_str_eq(p->since, q->since));
        assert_int_equal(p->nfixed, 0);
        assert_int_equal(q->nfixed, 0);

        for (k = 0; p->refused[k].status != 0; k++) {
            assert_int_equal(p->refused[k].status, q->refused[k].status);
            assert_true(ak_str_eq(p->refused[k].mark, q->refused[k].mark));
        }

        assert_int_equal(q->refused[k].status, 0);

        /* its own name is not to be had */

        assert_non_null(memchr(p->name.data, '\0', p->name.len + 1));
        assert_null(block(&b, (const char *) p->name.data, list));
        assert_non_null(strstr(b.d.text, "is built in"));

        unit_pool_free(&b.pool);
    }
}


static void
test_refusals(void **state)
{
    bench_t               b;
    const ak_provider_t  *p;

    static const char  *plain[] = { "header|X-K", NULL };
    static const char  *said[] = {
        "header|X-K", "refused|403|404", "refused|422|400|text=BAD KEY", NULL
    };

    (void) state;

    begin(&b);

    p = block(&b, "plain", plain);
    assert_non_null(p);
    assert_true(ak_provider_refuses(p, 401, S("")));
    assert_false(ak_provider_refuses(p, 403, S("")));

    p = block(&b, "said", said);
    assert_non_null(p);
    assert_false(ak_provider_refuses(p, 401, S("")));
    assert_true(ak_provider_refuses(p, 403, S("")));
    assert_true(ak_provider_refuses(p, 404, S("anything")));
    assert_false(ak_provider_refuses(p, 422, S("")));
    assert_false(ak_provider_refuses(p, 422, S("{\"error\":\"BAD KE\"}")));
    assert_true(ak_provider_refuses(p, 422, S("{\"error\":\"BAD KEY\"}")));
    assert_true(ak_provider_refuses(p, 400, S("BAD KEY")));

    unit_pool_free(&b.pool);
}


/* Each of them: which line, and a piece of why. */

static void
test_errors(void **state)
{
    size_t              i;
    bench_t             b;
    ak_own_provider_t  *p;

    static const struct {
        const char  *line;
        const char  *why;
    } cases[] = {
        { "", "unknown word \"\"" },
        { "Header|X-A", "unknown word \"Header\"" },
        { "header", "\"header NAME;\"" },
        { "header|X-A|X-B", "\"header NAME;\"" },
        { "header|", "\"\" is no name of a header" },
        { "header|X:A", "\"X:A\" is no name" },
        { "header|TRANSFER_ENCODING", "nginx's own" },
        { "header|Te", "nginx's own" },
        { "scheme|", "a scheme is one word" },
        { "scheme|Bearer token", "a scheme is one word" },
        { "scheme|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a scheme is one word" },
        { "since|V=2026-01-01", "\"since HEADER=DATE" },
        { "since|=2026-01-01|header=A", "\"\" is no name of a header" },
        { "since||header=A", "HEADER=DATE" },
        { "since|V=2026-01-0x|header=A", "HEADER=DATE" },
        { "since|V=2026-01-011|header=A", "HEADER=DATE" },
        { "since|V=2026/01/01|header=A", "HEADER=DATE" },
        { "since|V=2026-01-01|header=", "\"\" is no name of a header" },
        { "since|V=2026-01-01|header=A|header=B", "\"header=B\"" },
        { "since|V=2026-01-01|header", "\"header\"" },
        { "set|X-A", "\"set HEADER VALUE;\"" },
        { "set|X-A|1|2", "\"set HEADER VALUE;\"" },
        { "set|X-Goog-Api-Key|1", "carries keys" },
        { "set|proxy_authorization|1", "carries keys" },
        { "set|X-A| 1", "the value of \"X-A\"" },
        { "set|X-A|1 ", "the value of \"X-A\"" },
        { "set|X-A|a\tb", "the value of \"X-A\"" },
        { "set|X-A|caf\xc3\xa9", "the value of \"X-A\"" },
        { "set|X-A|${host}", "has a \"$\"" },
        { "query|key", "not put into a query" },
        { "query", "not put into a query" },
        { "refused", "\"refused STATUS..." },
        { "refused|", "\"\" is no status" },
        { "refused|399", "\"399\" is no status" },
        { "refused|+401", "\"+401\" is no status" },
        { "refused|4010", "\"4010\" is no status" },
        { "refused|text=A|401", "\"text=A\" is no status" },
        { "refused|401|text= A", "\"text=\" is not" },
        { "refused|401|401", "401 is there twice" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        begin(&b);

        p = ak_provider_begin(&b.own, S("x"), &b.pool.mem, &b.d);
        assert_non_null(p);
        assert_case(line(&b, p, cases[i].line) == AK_ERROR, "\"%s\"",
                    cases[i].line);
        assert_case(strstr(b.d.text, cases[i].why) != NULL, "\"%s\": %s",
                    cases[i].line, b.d.text);

        unit_pool_free(&b.pool);
    }
}


/* What is wrong with a value is said without it. */

static void
test_no_values(void **state)
{
    size_t              i;
    bench_t             b;
    ak_own_provider_t  *p;

    static const char  *lines[] = {
        "set|X-A|hunter2 ", "set|X-A|$hunter2", "set|api-key|hunter2",
        "set|X-A|hunter2\x01", "scheme|Bearer hunter2", "query|hunter2",
        "refused|401|text=hunter2 "
    };

    (void) state;

    for (i = 0; i < ak_nitems(lines); i++) {
        begin(&b);

        p = ak_provider_begin(&b.own, S("x"), &b.pool.mem, &b.d);
        assert_int_equal(line(&b, p, lines[i]), AK_ERROR);
        assert_case(strstr(b.d.text, "hunter2") == NULL, "%s", b.d.text);

        unit_pool_free(&b.pool);
    }
}


static void
test_names(void **state)
{
    char               name[AK_NAME_MAX + 2];
    size_t             i;
    bench_t            b;
    const char        *lines[] = { "header|X-K", NULL };

    static const char  *good[] = { "a", "0", "a.b_c-d", "-", "offf", "cohere" };
    static const char  *bad[] = { "", "off", "A", "a b", "a:b", "a/b", "*",
                                  "a|b", "\xc3\xa9" };

    (void) state;

    begin(&b);
    memset(name, 'n', sizeof(name));
    name[AK_NAME_MAX] = '\0';

    for (i = 0; i < ak_nitems(good); i++) {
        assert_case(block(&b, good[i], lines) != NULL, "%s", b.d.text);
        assert_null(block(&b, good[i], lines));
        assert_non_null(strstr(b.d.text, "already"));
    }

    assert_non_null(block(&b, name, lines));

    name[AK_NAME_MAX] = 'n';
    name[AK_NAME_MAX + 1] = '\0';
    assert_null(block(&b, name, lines));

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_null(block(&b, bad[i], lines));
        assert_non_null(strstr(b.d.text, "is no name"));
    }

    unit_pool_free(&b.pool);
}


static void
test_strip(void **state)
{
    bench_t      b;
    ak_strip_t  *strip;

    static const char  *lines[] = {
        "header|X-My_Key", "since|V=2026-01-01|header=X-Newer", "set|X-Set|1",
        NULL
    };

    (void) state;

    begin(&b);

    strip = ak_strip_create(&b.pool.mem);
    assert_non_null(block(&b, "x", lines));
    assert_false(ak_strip_header(strip, S("x-my-key")));

    assert_int_equal(ak_providers_strip(&b.own, strip), AK_OK);
    assert_true(ak_strip_header(strip, S("x-my-key")));
    assert_true(ak_strip_header(strip, S("x_my_key")));
    assert_true(ak_strip_header(strip, S("x-newer")));
    assert_false(ak_strip_header(strip, S("v")));
    assert_false(ak_strip_header(strip, S("x-set")));

    /* the operator may pass a credential, so it is no identity */

    assert_false(ak_strip_identity(strip, S("x-my-key")));

    /* which nobody else may write */

    assert_null(ak_providers_clash(&b.own, strip, &b.d));
    assert_int_equal(ak_strip_add_header(strip, S("x-other")), AK_OK);
    assert_null(ak_providers_clash(&b.own, strip, &b.d));
    assert_int_equal(ak_strip_add_header(strip, S("x_set")), AK_OK);
    assert_ptr_equal(ak_providers_clash(&b.own, strip, &b.d), b.own.first);
    assert_non_null(strstr(b.d.text, "\"x-set\""));
    assert_int_equal(ak_strip_add_header(strip, S("x-newer")), AK_OK);
    assert_ptr_equal(ak_providers_clash(&b.own, strip, &b.d), b.own.first);
    assert_non_null(strstr(b.d.text, "\"x-newer\""));

    unit_pool_free(&b.pool);
}


/* A line may use what comes later, where the site says so. */

static void *
here(void *data)
{
    return data;
}


static void
test_later(void **state)
{
    bench_t                   b;
    ak_site_t                 site;
    ak_init_t                 in;
    const ak_provider_t      *p;
    const ak_own_provider_t  *missing;

    static const char  *lines[] = { "header|X-K", NULL };

    (void) state;

    begin(&b);

    site = unit_site(&b.pool);
    memset(&in, 0, sizeof(ak_init_t));
    in.site = &site;
    in.stack = S("staff");
    in.line = 3;

    assert_ptr_equal(ak_site_provider(&in, S("openai")),
                     ak_provider_find(S("openai")));
    assert_null(ak_site_provider(&in, S("later")));

    site.here = here;
    p = ak_site_provider(&in, S("later"));
    assert_non_null(p);
    assert_null(ak_site_provider(&in, S("La ter")));

    in.line = 4;
    assert_ptr_equal(ak_site_provider(&in, S("later")), p);
    assert_ptr_not_equal(ak_site_provider(&in, S("never")), p);

    missing = ak_providers_missing(site.providers.first, &b.d);
    assert_ptr_equal(missing, p);
    assert_non_null(strstr(b.d.text, "stack \"staff\", line 3: "));
    assert_non_null(strstr(b.d.text, "unknown provider \"later\""));
    assert_ptr_equal(missing->where, site.data);

    b.own = site.providers;
    assert_ptr_equal(block(&b, "later", lines), p);
    assert_str(p->carriage.header, "X-K");

    missing = ak_providers_missing(b.own.first, &b.d);
    assert_non_null(missing);
    assert_str(missing->provider.name, "never");
    assert_null(ak_providers_missing(missing->next, &b.d));

    unit_pool_free(&b.pool);
}


static void
test_memory(void **state)
{
    size_t   n;
    bench_t  b;
    bool     ok;

    static const char  *lines[] = {
        "header|X-K", "scheme|Token", "since|V=2026-01-01|header=A|scheme=B",
        "set|X-A|1", "refused|401|text=A", NULL
    };

    (void) state;

    for (n = 0, ok = false; !ok; n++) {
        begin(&b);
        b.pool.left = n;

        ok = block(&b, "x", lines) != NULL;

        if (!ok) {
            assert_non_null(strstr(b.d.text, "there is no memory"));
        }

        unit_pool_free(&b.pool);
        assert_true(n < 100);
    }

    assert_true(n > 8);
}


static void
prepare(bench_t *b, ak_txn_t *t)
{
    ak_txn_init(t);

    t->mem = b->pool.mem;
    t->view = unit_view(NULL);
}


static void
test_carry(void **state)
{
    size_t                i;
    bench_t               b;
    ak_txn_t              t;
    ak_carry_t            c;
    const ak_provider_t  *p;

    static const char  *lines[] = {
        "header|X-Key", "scheme|Token", "set|X-Region|eu west", "set|Org|1",
        NULL
    };

    (void) state;

    begin(&b);
    p = block(&b, "x", lines);
    assert_non_null(p);

    prepare(&b, &t);
    assert_int_equal(ak_carry_begin(&t, p, 6, &c), AK_OK);
    assert_int_equal(t.neffects, 0);
    memcpy(c.key, "secret", 6);
    assert_int_equal(ak_carry_end(&t, &c), AK_OK);

    assert_int_equal(t.neffects, 3);
    assert_str(t.effects[0].name, "X-Region");
    assert_str(t.effects[0].lowcase, "x-region");
    assert_str(t.effects[0].value, "eu west");
    assert_str(t.effects[1].name, "Org");
    assert_true(ak_providers_fixed(&b.own, t.effects[1].value.data));
    assert_str(t.effects[2].name, "X-Key");
    assert_str(t.effects[2].lowcase, "");
    assert_str(t.effects[2].value, "Token secret");
    assert_false(ak_providers_fixed(&b.own, t.effects[2].value.data));

    /* it is wiped with the others */

    assert_int_equal(t.nsecrets, 1);
    assert_ptr_equal(t.secrets[0].data, t.effects[2].value.data);
    assert_int_equal(t.secrets[0].size, 12);
    ak_txn_abort(&t);

    /* all headers or none */

    for (i = 0; i < 4; i++) {
        prepare(&b, &t);

        while (t.neffects < AK_EFFECTS_MAX - i) {
            assert_int_equal(ak_txn_set_header(&t, S("A"), S("b")), AK_OK);
        }

        assert_int_equal(ak_carry_begin(&t, p, 6, &c),
                         i < 3 ? AK_ERROR : AK_OK);
        assert_int_equal(t.nsecrets, i < 3 ? 0 : 1);
        assert_true((t.trouble != NULL) == (i < 3));
        ak_txn_abort(&t);
    }

    prepare(&b, &t);
    b.pool.left = 0;
    assert_int_equal(ak_carry_begin(&t, p, 6, &c), AK_NO_MEMORY);
    assert_non_null(t.trouble);

    unit_pool_free(&b.pool);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_built_in),
    cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_no_values),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_strip),
    cmocka_unit_test(test_later),
    cmocka_unit_test(test_memory),
    cmocka_unit_test(test_carry)
};


UNIT_MAIN(tests)
