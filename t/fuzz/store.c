
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Fuzzes the words of a store: a URL and its options, one a line. */


#include <stdlib.h>

#include "ak_store.h"


#define FUZZ_WORDS  24


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            n;
    uint8_t           dst[AK_STORE_KEY_MAX];
    ak_str_t          key, words[FUZZ_WORDS];
    ak_diag_t         d;
    const uint8_t    *p, *end, *line;
    ak_store_conf_t   conf;

    p = data;
    end = data + size;

    for (n = 0; p < end && n < FUZZ_WORDS; n++) {
        line = memchr(p, '\n', end - p);
        line = line == NULL ? end : line;
        words[n] = ak_str(p, line - p);
        p = line + 1;
    }

    memset(&d, 0, sizeof(ak_diag_t));

    if (n == 0 || ak_store_conf_parse(&conf, words, n, &d) != AK_OK) {

        if (n != 0 && d.text[0] == '\0') {
            abort();
        }

        return 0;
    }

    if (conf.nhosts > AK_STORE_HOSTS_MAX
        || (ak_store_record_key(&conf, words[0], dst, &key) == AK_OK
            && key.len > AK_STORE_KEY_MAX))
    {
        abort();
    }

    return 0;
}
