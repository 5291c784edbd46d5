
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes records.  The input is a packed record, and lines "name=value" of
 * a record's fields; what parses must survive packing and unpacking.
 */


#include <stdlib.h>

#include "ak_record.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* Reads every byte that the record has. */

static void
fuzz_read(const ak_record_t *rec)
{
    size_t      n, i;
    uint8_t     text[AK_RECORD_TEXT_MAX], sum;
    ak_field_t  fields[AK_RECORD_FIELDS_MAX];

    (void) ak_record_meta(rec, ak_literal("team"));

    sum = 0;
    n = ak_record_fields(rec, fields, text);

    while (n-- != 0) {
        for (i = 0; i < fields[n].value.len; i++) {
            sum |= fields[n].value.data[i];
        }
    }

    if (sum == 0) {            /* there is a hash at least */
        abort();
    }
}


static size_t
fuzz_fields(const uint8_t *p, const uint8_t *end, ak_field_t *fields)
{
    size_t          n;
    const uint8_t  *line, *sign;

    for (n = 0; p < end && n < AK_RECORD_FIELDS_MAX; n++) {
        line = memchr(p, '\n', end - p);
        line = line == NULL ? end : line;
        sign = memchr(p, '=', line - p);
        sign = sign == NULL ? p : sign;

        fields[n].name = ak_str(p, sign - p);
        fields[n].value = ak_str(sign, line - sign);

        if (sign < line) {
            fields[n].value = ak_str(sign + 1, line - sign - 1);
        }

        p = line + 1;
    }

    return n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       n, len;
    uint8_t      packed[AK_VALUE_MAX];
    ak_diag_t    d;
    ak_field_t   fields[AK_RECORD_FIELDS_MAX];
    ak_record_t  rec, back;

    if (ak_record_unpack(ak_str(data, size), &rec) == AK_OK) {
        fuzz_read(&rec);
    }

    n = fuzz_fields(data, data + size, fields);

    if (ak_record_parse(fields, n, &rec, &d) != AK_OK) {
        return 0;
    }

    fuzz_read(&rec);

    if (ak_record_pack(&rec, packed, &len) == AK_OK
        && (ak_record_unpack(ak_str(packed, len), &back) != AK_OK
            || !ak_str_eq(rec.owner, back.owner) || rec.nmeta != back.nmeta
            || rec.status != back.status || rec.expires != back.expires))
    {
        abort();
    }

    return 0;
}
