
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* memmem() */
#endif

#include "ak_provider.h"


/* Who refuses a key with a status that other faults have too, is told by it. */

static const ak_refusal_t  ak_refused_401[] = {
    { 401, ak_string("") }, { .status = 0 }
};

static const ak_refusal_t  ak_refused_google[] = {
    { 400, ak_string("API_KEY_") }, { 401, ak_string("") },
    { 403, ak_string("API_KEY_") }, { .status = 0 }
};

static const ak_refusal_t  ak_refused_brave[] = {
    { 401, ak_string("") }, { 403, ak_string("") },
    { 422, ak_string("SUBSCRIPTION_TOKEN_INVALID") }, { .status = 0 }
};

static const ak_refusal_t  ak_refused_401_403[] = {
    { 401, ak_string("") }, { 403, ak_string("") }, { .status = 0 }
};


#define ak_bearer(provider)                                                  \
    {                                                                        \
        .name = ak_string(provider),                                         \
        .carriage = { ak_string("Authorization"), ak_string("Bearer ") },    \
        .refused = ak_refused_401                                            \
    }

#define ak_bare(provider, as, by)                                            \
    {                                                                        \
        .name = ak_string(provider),                                         \
        .carriage = { ak_string(as), ak_string("") },                        \
        .refused = by                                                        \
    }


static const ak_provider_t  ak_providers[] = {
    ak_bearer("openai"),

    {
        /* the API of 2026-10-21 takes keys as bearer tokens */

        .name = ak_string("anthropic"),
        .carriage = { ak_string("x-api-key"), ak_string("") },
        .version = ak_string("anthropic-version"),
        .since = ak_string("2026-10-21"),
        .newer = { ak_string("Authorization"), ak_string("Bearer ") },
        .refused = ak_refused_401
    },

    ak_bare("google", "x-goog-api-key", ak_refused_google),
    ak_bare("azure-openai", "api-key", ak_refused_401),
    ak_bearer("mistral"),
    ak_bearer("groq"),
    ak_bearer("openrouter"),
    ak_bearer("deepseek"),
    ak_bearer("firecrawl"),
    ak_bare("brave", "X-Subscription-Token", ak_refused_brave),
    ak_bearer("tavily"),
    ak_bare("serper", "X-API-KEY", ak_refused_401_403)
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


bool
ak_provider_refuses(const ak_provider_t *p, unsigned status, ak_str_t body)
{
    const ak_refusal_t  *r;

    if (p->refused == NULL) {
        return false;
    }

    for (r = p->refused; r->status != 0; r++) {

        if (r->status == status
            && (r->mark.len == 0
                || (body.len >= r->mark.len
                    && memmem(body.data, body.len, r->mark.data, r->mark.len)
                       != NULL)))
        {
            return true;
        }
    }

    return false;
}


bool
ak_provider_marks(const ak_provider_t *p, unsigned status)
{
    const ak_refusal_t  *r;

    for (r = p->refused; r != NULL && r->status != 0; r++) {
        if (r->status == status && r->mark.len != 0) {
            return true;
        }
    }

    return false;
}


bool
ak_provider_name_valid(ak_str_t s)
{
    size_t   i;
    uint8_t  ch;

    if (s.len == 0 || s.len > AK_NAME_MAX || ak_str_eq(s, ak_literal("off"))) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
              || ch == '.' || ch == '_' || ch == '-'))
        {
            return false;
        }
    }

    return true;
}
