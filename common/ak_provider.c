
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_provider.h"


#define ak_bearer(name)                                                      \
    {                                                                        \
        ak_string(name),                                                     \
        { ak_string("Authorization"), ak_string("Bearer ") },                \
        ak_string(""), ak_string(""),                                        \
        { ak_string(""), ak_string("") }                                     \
    }

#define ak_bare(name, header)                                                \
    {                                                                        \
        ak_string(name),                                                     \
        { ak_string(header), ak_string("") },                                \
        ak_string(""), ak_string(""),                                        \
        { ak_string(""), ak_string("") }                                     \
    }


static const ak_provider_t  ak_providers[] = {
    ak_bearer("openai"),

    {
        /* the API of 2026-10-21 takes keys as bearer tokens */

        ak_string("anthropic"),
        { ak_string("x-api-key"), ak_string("") },
        ak_string("anthropic-version"), ak_string("2026-10-21"),
        { ak_string("Authorization"), ak_string("Bearer ") }
    },

    ak_bare("google", "x-goog-api-key"),
    ak_bare("azure-openai", "api-key"),
    ak_bearer("mistral"),
    ak_bearer("groq"),
    ak_bearer("openrouter"),
    ak_bearer("deepseek"),
    ak_bearer("firecrawl"),
    ak_bare("brave", "X-Subscription-Token"),
    ak_bearer("tavily"),
    ak_bare("serper", "X-API-KEY")
};


const ak_provider_t *
ak_provider_find(ak_str_t name)
{
    size_t  i;

    for (i = 0; i < ak_nitems(ak_providers); i++) {
        if (ak_str_eq(ak_providers[i].name, name)) {
            return &ak_providers[i];
        }
    }

    return NULL;
}


const ak_provider_t *
ak_provider_at(size_t n)
{
    return (n < ak_nitems(ak_providers)) ? &ak_providers[n] : NULL;
}


const ak_carriage_t *
ak_provider_carriage(const ak_provider_t *p, const ak_view_t *view,
    const ak_cred_t *cred)
{
    size_t    len;
    bool      newer;
    ak_str_t  version;

    if (p->version.len == 0) {
        return &p->carriage;
    }

    if (view->header(view->host, p->version, 0, &version)
        && version.len != 0)
    {
        /* dates in this form sort as text */

        len = (version.len < p->since.len) ? version.len : p->since.len;
        newer = memcmp(version.data, p->since.data, len) >= 0
                && version.len >= p->since.len;

    } else {
        newer = (cred->carrier == AK_CARRIER_BEARER);
    }

    return newer ? &p->newer : &p->carriage;
}
