
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
        check_carriage(carriage(rows[i].name, headers, AK_CARRIER_X_API_KEY),
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
    check_anthropic("2026-10-21", AK_CARRIER_X_API_KEY, true);
    check_anthropic("2023-06-01", AK_CARRIER_BEARER, false);
    check_anthropic("2023-06-01", AK_CARRIER_X_API_KEY, false);
    check_anthropic("2023-01-01", AK_CARRIER_BEARER, false);

    /* a day before, a day after, much later */

    check_anthropic("2026-10-20", AK_CARRIER_BEARER, false);
    check_anthropic("2026-09-30", AK_CARRIER_BEARER, false);
    check_anthropic("2026-10-22", AK_CARRIER_X_API_KEY, true);
    check_anthropic("2027-01-01", AK_CARRIER_X_API_KEY, true);
    check_anthropic("2030-12-31", AK_CARRIER_X_API_KEY, true);

    /* without it, as the client itself did */

    check_anthropic(NULL, AK_CARRIER_BEARER, true);
    check_anthropic(NULL, AK_CARRIER_X_API_KEY, false);
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


static void
test_enumeration(void **state)
{
    size_t                n, i;
    const ak_provider_t  *p;

    (void) state;

    for (n = 0; ak_provider_at(n) != NULL; n++) {
        p = ak_provider_at(n);

        assert_ptr_equal(ak_provider_find(p->name), p);

        for (i = 0; i < p->name.len; i++) {
            assert_true(islower(p->name.data[i]) || isdigit(p->name.data[i])
                        || p->name.data[i] == '-');
        }

        /* what carries a key is removed when a client sends it */

        assert_true(ak_provider_strips(p->carriage.header));

        if (p->version.len != 0) {
            assert_true(ak_provider_strips(p->newer.header));
            assert_int_equal(p->since.len, 10);
        }

        assert_true(p->carriage.scheme.len == 0
                    || unit_starts(p->carriage.scheme, "Bearer "));
    }

    assert_int_equal(n, ak_nitems(rows) + 1);
    assert_null(ak_provider_at(n + 1));
    assert_null(ak_provider_at(SIZE_MAX));
}


static const char  *credential_headers[] = {
    "authorization", "x-api-key", "api-key", "x-goog-api-key",
    "x-subscription-token", "proxy-authorization", "x-lobe-chat-auth",
    "x-provider-api-keys"
};


/* In any case, and in every mixture of '-' and '_'. */

static void
test_strips(void **state)
{
    char      name[64];
    size_t    i, j, dash;
    unsigned  mask;

    (void) state;

    for (i = 0; i < ak_nitems(credential_headers); i++) {
        for (mask = 0; mask < 32; mask++) {

            snprintf(name, sizeof(name), "%s", credential_headers[i]);

            for (j = 0, dash = 0; name[j] != '\0'; j++) {

                if (name[j] == '-') {
                    name[j] = mask & 1 << dash++ % 3 ? '_' : '-';

                } else if (mask & 8 && (j % 2 == 0 || mask & 16)) {
                    name[j] = (char) toupper(name[j]);
                }
            }

            assert_case(ak_provider_strips(ak_cstr(name)), "\"%s\" stays",
                        name);
        }
    }
}


static void
test_strips_no_others(void **state)
{
    size_t  i;

    static const char  *others[] = {
        "", "-", "a", "host", "accept", "content-type", "content-length",
        "transfer-encoding", "connection", "user-agent", "x-request-id",
        "anthropic-version", "anthropic-beta", "openai-organization",
        "openai-project", "authorization2", "authorizatio", "x-authorization",
        "xapikey", "x-api-keys", "x-api", "api-keys", "x-goog-api-client",
        "www-authenticate", "idempotency-key", "x-stainless-lang"
    };

    (void) state;

    for (i = 0; i < ak_nitems(others); i++) {
        assert_case(!ak_provider_strips(ak_cstr(others[i])), "\"%s\" goes",
                    others[i]);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_table),
    cmocka_unit_test(test_anthropic),
    cmocka_unit_test(test_find),
    cmocka_unit_test(test_enumeration),
    cmocka_unit_test(test_strips),
    cmocka_unit_test(test_strips_no_others)
};


UNIT_MAIN(tests)
