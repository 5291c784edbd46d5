
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes sealed tokens, as text and in binary.  Nothing that a fuzzer makes
 * opens: that would be a forgery.
 */


#include <stdlib.h>

#include "ak_seal.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
fuzz_open(const ak_keyring_t *k, ak_str_t sealed)
{
    uint8_t           *dst;
    const ak_place_t   place = {
        ak_string("alice"), ak_string("openai"), ak_string("default")
    };

    dst = malloc(sealed.len + 1);

    if (dst != NULL && ak_seal_open(k, &place, sealed, dst) == AK_OK) {
        abort();
    }

    free(dst);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                len;
    uint8_t               sealed[AK_SEALED_MAX];
    static ak_keyring_t  *k;

    /* its kid is 27196c7a */

    if (k == NULL) {
        k = ak_keyring_parse(ak_literal("master AAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                                        "AAAAAAAAAAAAAA=\n"), NULL);
        if (k == NULL) {
            abort();
        }
    }

    if (ak_seal_decode(ak_str(data, size), sealed, &len) == AK_OK) {

        if (len < AK_SEALED_MIN || len > AK_SEALED_MAX) {
            abort();
        }

        fuzz_open(k, ak_str(sealed, len));
    }

    fuzz_open(k, ak_str(data, size));

    return 0;
}
