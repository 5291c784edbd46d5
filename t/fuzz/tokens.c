
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes packed sets of tokens, and the packing of lines "slot=token".  What
 * was packed is walked to its end.
 */


#include <stdlib.h>

#include "ak_tokens.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static ak_rc_t
fuzz_walk(ak_str_t packed, size_t *slots)
{
    size_t     pos;
    ak_rc_t    rc;
    ak_slot_t  slot;

    pos = 0;
    *slots = 0;

    for ( ;; ) {
        rc = ak_tokens_next(packed, &pos, &slot);

        if (rc != AK_OK) {
            return rc;
        }

        if (slot.name.data < packed.data
            || slot.sealed.data + slot.sealed.len > packed.data + packed.len
            || ++*slots > packed.len)
        {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          n, len, slots;
    uint8_t         packed[AK_VALUE_MAX];
    unsigned        damaged;
    ak_field_t      fields[AK_SLOTS_MAX + 1];
    const uint8_t  *p, *end, *line, *sign;

    (void) fuzz_walk(ak_str(data, size), &slots);

    p = data;
    end = data + size;

    for (n = 0; p < end && n <= AK_SLOTS_MAX; n++) {
        line = memchr(p, '\n', end - p);
        line = line == NULL ? end : line;
        sign = memchr(p, '=', line - p);
        sign = sign == NULL ? line : sign;

        fields[n].name = ak_str(p, sign - p);
        fields[n].value = ak_str(sign, line - sign);
        p = line + 1;
    }

    if (ak_tokens_pack(fields, n, packed, &len, &damaged) == AK_OK
        && (fuzz_walk(ak_str(packed, len), &slots) != AK_NOT_FOUND
            || slots > n || damaged > n))
    {
        abort();
    }

    return 0;
}
