
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes the credential of a request and the grammar of keys.  The first line
 * of the input is Authorization, the rest is x-api-key.
 */


#include <stdlib.h>

#include "ak_cred.h"
#include "ak_key.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static bool
fuzz_header(void *host, ak_str_t name, unsigned n, ak_str_t *value)
{
    const ak_str_t  *headers;

    headers = host;

    if (n != 0) {
        return false;
    }

    if (ak_str_eq(name, ak_literal("authorization"))) {
        *value = headers[0];
        return true;
    }

    *value = headers[1];

    return ak_str_eq(name, ak_literal("x-api-key")) && value->data != NULL;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ak_str_t        id, headers[2];
    ak_cred_t       cred;
    ak_view_t       view = { fuzz_header, headers };
    const uint8_t  *line;

    line = size != 0 ? memchr(data, '\n', size) : NULL;
    headers[0] = ak_str(data, line == NULL ? size : (size_t) (line - data));
    headers[1] = line == NULL ? ak_str(NULL, 0)
                              : ak_str(line + 1, data + size - line - 1);

    ak_cred_collect(&view, &cred);

    if (cred.kind == AK_CRED_KEY
        && (ak_key_parse(cred.value, &id) == AK_KEY_BAD
            || cred.value.len > AK_KEY_MAX))
    {
        abort();
    }

    if (ak_key_parse(headers[0], &id) == AK_KEY_NATIVE
        && !ak_key_id_valid(id))
    {
        abort();
    }

    return 0;
}
