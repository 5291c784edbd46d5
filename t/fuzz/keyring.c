
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Fuzzes the text of a keyring. */


#include <stdlib.h>

#include "ak_keyring.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         n;
    ak_diag_t      d;
    ak_keyring_t  *k;

    memset(&d, 0, sizeof(ak_diag_t));
    k = ak_keyring_parse(ak_str(data, size), &d);

    if (k == NULL) {

        if (d.text[0] == '\0') {
            abort();
        }

        return 0;
    }

    for (n = 0; n < ak_keyring_masters(k); n++) {
        if (ak_keyring_opener(k, ak_keyring_kid(k, n)) == NULL) {
            abort();
        }
    }

    ak_keyring_free(k);

    return 0;
}
