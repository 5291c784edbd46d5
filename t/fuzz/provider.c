
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes blocks of providers: a configuration whose blocks are read as nginx
 * and apikeyctl do, and what a provider that was taken must be.
 */


#include <stdlib.h>

#include "ak_conf.h"
#include "ak_providers.h"


#define FUZZ_CHUNKS  4096


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct {
    void            *chunks[FUZZ_CHUNKS];
    size_t           n;
    ak_mem_t         mem;
    ak_providers_t   own;
} fuzz_t;


static void
fuzz_assert(bool ok)
{
    if (!ok) {
        abort();
    }
}


/* It ends, so that what there is no memory for is seen too. */

static void *
fuzz_alloc(void *data, size_t size)
{
    fuzz_t *f = data;

    if (f->n == FUZZ_CHUNKS) {
        return NULL;
    }

    f->chunks[f->n] = malloc(size);
    fuzz_assert(f->chunks[f->n] != NULL);
    memset(f->chunks[f->n], 0xa5, size);

    return f->chunks[f->n++];
}


static void
fuzz_check(fuzz_t *f, const ak_own_provider_t *own)
{
    size_t                i;
    ak_strip_t           *creds;
    const ak_provider_t  *p;

    p = &own->provider;
    creds = ak_strip_create(&f->mem);

    if (creds == NULL) {
        return;
    }

    fuzz_assert(ak_provider_name_valid(p->name));
    fuzz_assert(ak_provider_find(p->name) == NULL);
    fuzz_assert(ak_view_token(p->carriage.header));
    fuzz_assert(p->nfixed <= AK_FIXED_MAX);

    fuzz_assert(p->version.len == 0
                || (p->since.len == 10 && ak_view_token(p->newer.header)));

    for (i = 0; i < p->nfixed; i++) {
        fuzz_assert(ak_view_token(p->fixed[i].name));
        fuzz_assert(!ak_strip_header(creds, p->fixed[i].lowcase));
        fuzz_assert(p->fixed[i].value.len != 0);
    }

    for (i = 0; p->refused[i].status != 0; i++) {
        fuzz_assert(i < AK_REFUSALS_MAX);
        fuzz_assert(ak_provider_refuses(p, p->refused[i].status,
                                        p->refused[i].mark));
    }

    fuzz_assert(i != 0 && !ak_provider_refuses(p, 429, ak_str(NULL, 0)));

    /* what carries its key passes from no client */

    if (ak_providers_strip(&f->own, creds) == AK_OK) {
        fuzz_assert(ak_strip_header(creds, own->lowcase[0]));
    }
}


static void
fuzz_read(fuzz_t *f, ak_conf_t *c)
{
    bool                ok;
    ak_diag_t           d;
    ak_own_provider_t  *p;

    p = NULL;
    d.text[0] = '\0';

    while (ak_conf_next(c, &d) == AK_OK) {
        ok = true;
        d.text[0] = '\0';

        if (c->type == AK_CONF_BLOCK && c->n == 2) {
            p = ak_provider_begin(&f->own, c->words[1], &f->mem, &d);
            ok = (p != NULL);

        } else if (c->type == AK_CONF_STATEMENT && p != NULL) {
            ok = ak_provider_line(p, c->words, c->n, &f->mem, &d) == AK_OK;

        } else if (c->type == AK_CONF_CLOSE && p != NULL) {
            ok = ak_provider_end(p, &d) == AK_OK;

            if (ok) {
                fuzz_check(f, p);
            }

            p = NULL;
        }

        /* a configuration is of no use from its first error on */

        if (!ok) {
            fuzz_assert(d.text[0] != '\0');
            return;
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_t     f;
    ak_conf_t  c;

    memset(&f, 0, sizeof(fuzz_t));
    memset(&c, 0, sizeof(ak_conf_t));

    f.mem.alloc = fuzz_alloc;
    f.mem.data = &f;

    c.text = ak_str(data, size);
    c.buf = malloc(size + 1);
    fuzz_assert(c.buf != NULL);

    fuzz_read(&f, &c);

    while (f.n != 0) {
        free(f.chunks[--f.n]);
    }

    free(c.buf);

    return 0;
}
