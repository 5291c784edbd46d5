
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes the credential of a request, the grammar of keys, and what is left of
 * a request when credentials are taken out of it.  The lines of the input are
 * Authorization, x-api-key, a query, a cookie and a list of subprotocols.
 */


#include <stddef.h>
#include <stdlib.h>

#include "ak_key.h"
#include "ak_strip.h"


#define LINES  5


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* A chain, to be freed at the end. */

typedef struct fuzz_chunk_s  fuzz_chunk_t;

struct fuzz_chunk_s {
    fuzz_chunk_t  *next;
    max_align_t    data[];
};


static void *
fuzz_alloc(void *data, size_t size)
{
    fuzz_chunk_t  **chunks, *c;

    chunks = data;

    c = malloc(sizeof(fuzz_chunk_t) + size);
    c->next = *chunks;
    *chunks = c;

    return c->data;
}


static bool
fuzz_header(void *host, ak_str_t name, unsigned n, ak_str_t *value)
{
    const ak_str_t  *lines;

    lines = host;
    *value = lines[ak_str_eq(name, ak_literal("cookie")) ? 3 : 4];

    return n == 0;
}


static bool
fuzz_get(void *host, ak_view_e what, ak_str_t *value)
{
    const ak_str_t  *lines;

    lines = host;
    *value = lines[2];

    return what == AK_VIEW_QUERY;
}


/* What is left holds no credential any more. */

static void
fuzz_strip(const ak_strip_t *strip, const ak_str_t *lines)
{
    size_t        i, len, again;
    uint8_t      *dst, *dst2;
    static const ak_carrier_e  types[] = {
        AK_CARRIER_QUERY, AK_CARRIER_COOKIE, AK_CARRIER_SUBPROTOCOL
    };

    for (i = 0; i < 3; i++) {
        dst = malloc(lines[i + 2].len + 1);
        dst2 = malloc(lines[i + 2].len + 1);

        (void) ak_strip_value(strip, types[i], lines[i + 2], dst, &len);

        if (len > lines[i + 2].len
            || ak_strip_value(strip, types[i], ak_str(dst, len), dst2, &again))
        {
            abort();
        }

        free(dst);
        free(dst2);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          i;
    fuzz_chunk_t   *c, *chunks = NULL;
    ak_mem_t        mem = { fuzz_alloc, &chunks };
    ak_str_t        id, lines[LINES];
    ak_cred_t       cred;
    ak_view_t       view;
    ak_field_t      carried[2];
    ak_strip_t     *strip;
    ak_carriers_t   all;
    const uint8_t  *line, *last;

    last = data + size;

    for (i = 0; i < LINES; i++) {
        line = (data != last) ? memchr(data, '\n', (size_t) (last - data))
                              : NULL;
        line = (line == NULL) ? last : line;

        lines[i] = ak_str(data, (size_t) (line - data));
        data = (line == last) ? last : line + 1;
    }

    if (ak_carriers_parse(ak_literal("authorization,x-api-key,query:key,"
                                     "cookie:token,subprotocol"),
                          &mem, &all, NULL)
        != AK_OK)
    {
        abort();
    }

    carried[0].name = ak_literal("authorization");
    carried[0].value = lines[0];
    carried[1].name = ak_literal("x-api-key");
    carried[1].value = lines[1];

    memset(&view, 0, sizeof(ak_view_t));
    view.carried = carried;
    view.ncarried = 2;
    view.header = fuzz_header;
    view.get = fuzz_get;
    view.host = lines;

    ak_cred_collect(&view, &all, &mem, &cred);

    if (cred.kind == AK_CRED_KEY
        && (ak_key_parse(cred.value, &id) == AK_KEY_BAD
            || cred.value.len > AK_KEY_MAX))
    {
        abort();
    }

    if (ak_key_parse(lines[0], &id) == AK_KEY_NATIVE && !ak_key_id_valid(id)) {
        abort();
    }

    strip = ak_strip_create(&mem);

    if (strip == NULL || ak_strip_add_carriers(strip, &all) != AK_OK) {
        abort();
    }

    fuzz_strip(strip, lines);

    while (chunks != NULL) {
        c = chunks;
        chunks = c->next;
        free(c);
    }

    return 0;
}
