
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes a session with a Redis server that answers anything at all.  Every
 * command that was taken is answered once, with a reply or with none.
 */


#include <stdlib.h>

#include "ak_redis.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
fuzz_reply(void *data, const ak_reply_t *reply)
{
    size_t  *waiting;

    (void) reply;

    waiting = data;

    if ((*waiting)-- == 0) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       i, n, waiting;
    ak_diag_t    d;
    ak_redis_t  *s;

    static const ak_str_t  argv[] = {
        ak_string("HGETALL"), ak_string("apikey:key:A1b2C3d4E5f6")
    };

    s = ak_redis_create(ak_str(NULL, 0), ak_literal("password"), 1, 0);

    if (s == NULL) {
        return 0;
    }

    waiting = 0;

    for (i = 0; i < 4; i++) {
        waiting += ak_redis_send(s, argv, 2, fuzz_reply, &waiting) != NULL;
    }

    for (i = 0; i < size; i += n) {
        n = data[i] % 32 + 1;
        n = n < size - i ? n : size - i;

        ak_redis_written(s, ak_redis_output(s).len);

        if (ak_redis_read(s, data + i, n, &d) != AK_OK) {
            break;
        }
    }

    ak_redis_free(s);

    if (waiting != 0) {
        abort();
    }

    return 0;
}
