
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_providers.h"
#include "ak_stack.h"


static ak_own_provider_t *
ak_providers_find(const ak_providers_t *own, ak_str_t name)
{
    ak_own_provider_t  *p;

    for (p = own->first; p != NULL; p = p->next) {
        if (ak_str_eq(p->provider.name, name)) {
            return p;
        }
    }

    return NULL;
}


/* At the end of the list, which is in the order of the uses. */

static ak_own_provider_t *
ak_providers_add(ak_providers_t *own, ak_str_t name, ak_mem_t *mem)
{
    uint8_t            *copy;
    ak_own_provider_t  *p, **last;

    p = mem->alloc(mem->data, sizeof(ak_own_provider_t));

    if (p == NULL) {
        return NULL;
    }

    memset(p, 0, sizeof(ak_own_provider_t));

    copy = mem->alloc(mem->data, name.len + 1);

    if (copy == NULL) {
        return NULL;
    }

    memcpy(copy, name.data, name.len);
    copy[name.len] = '\0';

    p->provider.name = ak_str(copy, name.len);

    p->provider.refused = p->refused;
    p->provider.fixed = p->fixed;

    for (last = &own->first; *last != NULL; last = &(*last)->next) {
        /* void */
    }

    *last = p;

    return p;
}


const ak_provider_t *
ak_site_provider(const ak_init_t *in, ak_str_t name)
{
    ak_site_t            *site;
    ak_own_provider_t    *p;
    const ak_provider_t  *built_in;

    site = in->site;
    built_in = ak_provider_find(name);

    if (built_in != NULL) {
        return built_in;
    }

    p = ak_providers_find(&site->providers, name);

    if (p != NULL) {
        return &p->provider;
    }

    if (site->here == NULL || !ak_provider_name_valid(name)) {
        return NULL;
    }

    p = ak_providers_add(&site->providers, name, &site->mem);

    if (p == NULL) {
        return NULL;
    }

    p->stack = in->stack;
    p->line = in->line;
    p->where = site->here(site->data);

    return &p->provider;
}


const ak_provider_t *
ak_providers_named(const ak_providers_t *own, ak_str_t name)
{
    const ak_provider_t      *built_in;
    const ak_own_provider_t  *p;

    built_in = ak_provider_find(name);

    if (built_in != NULL) {
        return built_in;
    }

    p = ak_providers_find(own, name);

    return (p != NULL && p->defined) ? &p->provider : NULL;
}


const ak_own_provider_t *
ak_providers_missing(const ak_own_provider_t *from, ak_diag_t *d)
{
    const ak_own_provider_t  *p;

    for (p = from; p != NULL; p = p->next) {

        if (!p->defined) {
            ak_diag(d, "stack \"%.*s\", line %u: there is no "
                    "\"apikey_provider\" block of the unknown provider "
                    "\"%.*s\"", AK_FMT(p->stack), p->line,
                    AK_FMT(p->provider.name));
            return p;
        }
    }

    return NULL;
}


ak_own_provider_t *
ak_provider_begin(ak_providers_t *own, ak_str_t name, ak_mem_t *mem,
    ak_diag_t *d)
{
    ak_own_provider_t  *p;

    if (!ak_provider_name_valid(name)) {
        ak_diag(d, "\"%.*s\" is no name of a provider: that is 1 to %d of "
                "a-z, 0-9, \".\", \"_\" and \"-\", and not \"off\"",
                AK_FMT(name), AK_NAME_MAX);
        return NULL;
    }

    if (ak_provider_find(name) != NULL) {
        ak_diag(d, "the provider \"%.*s\" is built in; take another name, and "
                "store its keys under that", AK_FMT(name));
        return NULL;
    }

    p = ak_providers_find(own, name);

    if (p != NULL && p->defined) {
        ak_diag(d, "there is a provider \"%.*s\" already", AK_FMT(name));
        return NULL;
    }

    if (p == NULL) {
        p = ak_providers_add(own, name, mem);

        if (p == NULL) {
            ak_diag(d, "there is no memory");
            return NULL;
        }
    }

    p->defined = true;

    return p;
}


ak_rc_t
ak_providers_strip(const ak_providers_t *own, ak_strip_t *strip)
{
    size_t                    i;
    ak_rc_t                   rc;
    ak_carrier_t              carrier;
    ak_carriers_t             carriers;
    const ak_own_provider_t  *p;

    carriers.list = &carrier;
    carriers.n = 1;
    carrier.type = AK_CARRIER_HEADER;

    for (p = own->first; p != NULL; p = p->next) {

        for (i = 0; i < ak_nitems(p->lowcase); i++) {
            carrier.name = p->lowcase[i];

            rc = carrier.name.len == 0 ? AK_OK
                                       : ak_strip_add_carriers(strip,
                                                               &carriers);
            if (rc != AK_OK) {
                return rc;
            }
        }
    }

    return AK_OK;
}


static bool
ak_providers_claims(const ak_strip_t *strip, ak_str_t lowcase, ak_diag_t *d)
{
    if (lowcase.len == 0 || !ak_strip_identity(strip, lowcase)) {
        return false;
    }

    ak_diag(d, "the header \"%.*s\" of a provider is one that an \"identity\" "
            "line writes", AK_FMT(lowcase));

    return true;
}


const ak_own_provider_t *
ak_providers_clash(const ak_providers_t *own, const ak_strip_t *strip,
    ak_diag_t *d)
{
    size_t                    i;
    const ak_own_provider_t  *p;

    for (p = own->first; p != NULL; p = p->next) {

        for (i = 0; i < ak_nitems(p->lowcase); i++) {
            if (ak_providers_claims(strip, p->lowcase[i], d)) {
                return p;
            }
        }

        for (i = 0; i < p->provider.nfixed; i++) {
            if (ak_providers_claims(strip, p->fixed[i].lowcase, d)) {
                return p;
            }
        }
    }

    return NULL;
}


bool
ak_providers_fixed(const ak_providers_t *own, const uint8_t *value)
{
    size_t                    i;
    const ak_own_provider_t  *p;

    for (p = own->first; p != NULL; p = p->next) {

        for (i = 0; i < p->provider.nfixed; i++) {
            if (p->provider.fixed[i].value.data == value) {
                return true;
            }
        }
    }

    return false;
}
