
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the provider table and the list of credential headers. */


#include "unit.h"

#include <ctype.h>
#include <strings.h>

#include "ak_provider.h"


typedef struct {
    const char  *name;
    const char  *header;
    const char  *scheme;
} row_t;


/* From the providers' own clients and documentation. */

static const row_t  rows[] = {
    { "openai", "authorization", "Bearer " },
    { "google", "x-goog-api-key", "" },
    { "azure-openai", "api-key", "" },
    { "mistral", "authorization", "Bearer " },
    { "groq", "authorization", "Bearer " },
    { "openrouter", "authorization", "Bearer " },
    { "deepseek", "authorization", "Bearer " },
    { "firecrawl", "authorization", "Bearer " },
    { "brave", "x-subscription-token", "" },
    { "tavily", "authorization", "Bearer " },
    { "serper", "x-api-key", "" }
};


static void
check_carriage(const ak_carriage_t *c, const char *header, const char *scheme)
{
    assert_non_null(c);
    assert_case(c->header.len == strlen(header)
                && strncasecmp((const char *) c->header.data, header,
                               c->header.len) == 0,
                "header \"%.*s\", not \"%s\"", AK_FMT(c->header), header);
    assert_str(c->scheme, scheme);
}


static const ak_carriage_t *
carriage(const char *provider, const unit_header_t *headers,
    ak_carrier_e carrier)
{
    ak_view_t             view;
    ak_cred_t             cred;
    const ak_provider_t  *p;

    p = ak_provider_find(ak_cstr(provider));
    assert_case(p != NULL, "no provider \"%s\"", provider);

    view = unit_view(headers);
    memset(&cred, 0, sizeof(cred));
    cred.carrier = carrier;
    cred.kind = carrier == AK_CARRIER_NONE ? AK_CRED_NONE : AK_CRED_KEY;
    cred.value = carrier == AK_CARRIER_NONE ? S("") : S(UNIT_KEY);

    return ak_provider_carriage(p, &view, &cred);
}


/* One convention, whatever the client used. */

static void
test_table(void **state)
{
    size_t  i;

    static const unit_header_t  headers[] = {
        { "anthropic-version", "2026-10-21" }, { NULL, NULL }
    };

    (void) state;

    for (i = 0; i < ak_nitems(rows); i++) {
        check_carriage(carriage(rows[i].name, NULL, AK_CARRIER_NONE),
                       rows[i].header, rows[i].scheme);
        check_carriage(carriage(rows[i].name, NULL, AK_CARRIER_BEARER),
                       rows[i].header, rows[i].scheme);
        check_carriage(carriage(rows[i].name, headers, AK_CARRIER_HEADER),
                       rows[i].header, rows[i].scheme);
    }
}


static void
check_anthropic(const char *version, ak_carrier_e carrier, bool bearer)
{
    unit_header_t         headers[] = {
        { "anthropic-version", version }, { NULL, NULL }
    };

    const ak_carriage_t  *c;

    c = carriage("anthropic", version == NULL ? NULL : headers, carrier);

    if (bearer) {
        check_carriage(c, "authorization", "Bearer ");

    } else {
        check_carriage(c, "x-api-key", "");
    }
}


static void
test_anthropic(void **state)
{
    (void) state;

    /* the version decides, not the carrier */

    check_anthropic("2026-10-21", AK_CARRIER_BEARER, true);
    check_anthropic("2026-10-21", AK_CARRIER_HEADER, true);
    check_anthropic("2023-06-01", AK_CARRIER_BEARER, false);
    check_anthropic("2023-06-01", AK_CARRIER_HEADER, false);
    check_anthropic("2023-01-01", AK_CARRIER_BEARER, false);

    /* a day before, a day after, much later */

    check_anthropic("2026-10-20", AK_CARRIER_BEARER, false);
    check_anthropic("2026-09-30", AK_CARRIER_BEARER, false);
    check_anthropic("2026-10-22", AK_CARRIER_HEADER, true);
    check_anthropic("2027-01-01", AK_CARRIER_HEADER, true);
    check_anthropic("2030-12-31", AK_CARRIER_HEADER, true);

    /* without it, as the client itself did */

    check_anthropic(NULL, AK_CARRIER_BEARER, true);
    check_anthropic(NULL, AK_CARRIER_HEADER, false);
}


static void
test_find(void **state)
{
    size_t  i;

    static const char  *none[] = {
        "", "open", "openai2", "openai ", " openai", "open_ai", "azure",
        "*", "openai|default", "x"
    };

    (void) state;

    for (i = 0; i < ak_nitems(none); i++) {
        assert_null(ak_provider_find(ak_cstr(none[i])));
    }
}


static bool
unit_starts(ak_str_t s, const char *prefix)
{
    return s.len >= strlen(prefix)
           && memcmp(s.data, prefix, strlen(prefix)) == 0;
}


static bool
strips(const ak_strip_t *strip, ak_str_t header)
{
    char    name[64];
    size_t  i;

    for (i = 0; i < header.len; i++) {
        name[i] = (char) tolower(header.data[i]);
    }

    return ak_strip_header(strip, ak_str(name, header.len));
}


static void
test_enumeration(void **state)
{
    size_t                n, i;
    ak_strip_t           *strip;
    unit_pool_t           pool;
    const ak_provider_t  *p;

    (void) state;

    unit_pool_init(&pool);
    strip = ak_strip_create(&pool.mem);
    assert_non_null(strip);

    for (n = 0; ak_provider_at(n) != NULL; n++) {
        p = ak_provider_at(n);

        assert_ptr_equal(ak_provider_find(p->name), p);

        for (i = 0; i < p->name.len; i++) {
            assert_true(islower(p->name.data[i]) || isdigit(p->name.data[i])
                        || p->name.data[i] == '-');
        }

        /* what carries a key is removed when a client sends it */

        assert_true(strips(strip, p->carriage.header));

        if (p->version.len != 0) {
            assert_true(strips(strip, p->newer.header));
            assert_int_equal(p->since.len, 10);
        }

        assert_true(p->carriage.scheme.len == 0
                    || unit_starts(p->carriage.scheme, "Bearer "));
    }

    assert_int_equal(n, ak_nitems(rows) + 1);
    assert_null(ak_provider_at(n + 1));
    assert_null(ak_provider_at(SIZE_MAX));

    unit_pool_free(&pool);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_table),
    cmocka_unit_test(test_anthropic),
    cmocka_unit_test(test_find),
    cmocka_unit_test(test_enumeration)
};


UNIT_MAIN(tests)
