
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes what other applications have sealed, and their secrets.  Nothing that
 * a fuzzer makes opens, but by CBC, which authenticates nothing: what that
 * opens is visible.
 */


#include <stdlib.h>

#include "ak_import.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t              n, len;
    uint8_t            *dst;
    ak_str_t            all;
    ak_import_key_t     k;
    ak_import_sealed_t  sealed;

    if (size < 2) {
        return 0;
    }

    /* the first two bytes: the form, and how much is the nonce */

    n = (data[1] < size - 2) ? data[1] : size - 2;
    all = ak_str(data + 2, size - 2);

    (void) ak_import_key(&k, (ak_import_form_e) (data[0] % 4), all);
    (void) ak_import_provider(all);

    memset(k.key, 1, sizeof(k.key));

    sealed.nonce = ak_str(all.data, n);
    sealed.value = ak_str(all.data + n, all.len - n);
    sealed.name = ak_literal("OPENAI_API_KEY");

    dst = malloc(sealed.value.len + 1);

    if (dst != NULL
        && ak_import_open(&k, &sealed, dst, &len) == AK_IMPORT_OK
        && (k.form != AK_IMPORT_INTERN3_CBC
            || !ak_str_visible(ak_str(dst, len))))
    {
        abort();
    }

    free(dst);

    return 0;
}
