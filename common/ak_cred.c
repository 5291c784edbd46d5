
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_cred.h"


typedef struct {
    ak_str_t      header;
    ak_str_t      scheme;      /* lower case; len 0: the value is bare */
    ak_carrier_e  carrier;
} ak_carrier_row_t;


static const ak_carrier_row_t  ak_carriers[] = {
    { ak_string("authorization"), ak_string("bearer"), AK_CARRIER_BEARER },
    { ak_string("x-api-key"), ak_string(""), AK_CARRIER_X_API_KEY }
};


/*
 * The credential in a header's value: what follows the scheme and its spaces.
 * False: the scheme is another one.
 */

static bool
ak_cred_value(ak_str_t value, ak_str_t scheme, ak_str_t *cred)
{
    size_t  i;

    if (scheme.len != 0) {
        if (value.len < scheme.len) {
            return false;
        }

        for (i = 0; i < scheme.len; i++) {
            if ((value.data[i] | 0x20) != scheme.data[i]) {
                return false;
            }
        }

        if (value.len != i && value.data[i] != ' ') {
            return false;
        }

        while (i < value.len && value.data[i] == ' ') {
            i++;
        }

        value = ak_str(value.data + i, value.len - i);
    }

    while (value.len != 0 && value.data[value.len - 1] == ' ') {
        value.len--;
    }

    *cred = value;

    return true;
}


/* JWS has three parts and JWE five; both begin with a JSON object's "{". */

static bool
ak_cred_is_jwt(ak_str_t value)
{
    size_t    i;
    uint8_t   ch;
    unsigned  dots;

    if (!ak_str_starts(value, ak_literal("ey"))) {
        return false;
    }

    dots = 0;

    for (i = 0; i < value.len; i++) {
        ch = value.data[i];

        if (ch == '.') {
            dots++;
            continue;
        }

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_'))
        {
            return false;
        }
    }

    return dots == 2 || dots == 4;
}


static ak_cred_kind_e
ak_cred_kind(ak_str_t value)
{
    if (ak_cred_is_jwt(value)) {
        return AK_CRED_JWT;
    }

    if (value.len < AK_KEY_MIN || value.len > AK_KEY_MAX
        || !ak_str_visible(value))
    {
        return AK_CRED_MALFORMED;
    }

    return AK_CRED_KEY;
}


void
ak_cred_collect(const ak_view_t *view, ak_cred_t *cred)
{
    size_t                   i;
    ak_str_t                 header, value;
    unsigned                 n;
    const ak_carrier_row_t  *row;

    memset(cred, 0, sizeof(ak_cred_t));

    for (i = 0; i < ak_nitems(ak_carriers); i++) {
        row = &ak_carriers[i];

        for (n = 0; view->header(view->host, row->header, n, &header); n++) {

            if (!ak_cred_value(header, row->scheme, &value)) {
                continue;
            }

            if (cred->carrier == AK_CARRIER_NONE) {
                cred->carrier = row->carrier;
                cred->value = value;

            } else if (!ak_str_eq(cred->value, value)) {
                cred->kind = AK_CRED_AMBIGUOUS;
            }
        }
    }

    if (cred->carrier != AK_CARRIER_NONE && cred->kind == AK_CRED_NONE) {
        cred->kind = ak_cred_kind(cred->value);
    }
}


ak_str_t
ak_cred_kind_name(ak_cred_kind_e kind)
{
    switch (kind) {

    case AK_CRED_KEY:
        return ak_literal("key");

    case AK_CRED_JWT:
        return ak_literal("jwt");

    default:
        return ak_literal("");
    }
}
