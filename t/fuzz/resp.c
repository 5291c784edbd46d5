
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes the reader of replies.  The first byte says how many bytes come at
 * a time.
 */


#include <stdlib.h>

#include "ak_resp.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       n, step;
    ak_rc_t      rc;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    r = ak_resp_create();

    if (r == NULL || size == 0) {
        ak_resp_free(r);
        return 0;
    }

    step = data[0] + 1;

    for (n = 1, rc = AK_OK; n < size; n += step) {

        if (step > size - n) {
            step = size - n;
        }

        if (ak_resp_feed(r, data + n, step) != AK_OK) {
            break;
        }

        while ((rc = ak_resp_next(r, &reply)) == AK_OK) {
            ak_reply_free(reply);
        }

        if (rc != AK_AGAIN) {
            break;
        }
    }

    ak_resp_free(r);

    return 0;
}
