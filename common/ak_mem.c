
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <openssl/crypto.h>

#include "ak_mem.h"


void
ak_mem_wipe(void *p, size_t size)
{
    if (p != NULL) {
        OPENSSL_cleanse(p, size);
    }
}


bool
ak_mem_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}
