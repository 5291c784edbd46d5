
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_base64.h"


/*
 * OpenSSL's decoder forgives white space, a missing end and trailing bits;
 * what a secret, a token or a signature is made of must have one spelling.
 */

static const char  ak_base64_letters[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
};


size_t
ak_base64_encode(ak_base64_e variant, ak_str_t src, uint8_t *dst)
{
    size_t       i, rest;
    uint32_t     bits;
    uint8_t     *p;
    const char  *letters;

    p = dst;
    letters = ak_base64_letters[variant];

    for (i = 0; i < src.len; i += 3) {
        rest = src.len - i;

        bits = (uint32_t) src.data[i] << 16;
        bits |= (rest > 1) ? (uint32_t) src.data[i + 1] << 8 : 0;
        bits |= (rest > 2) ? src.data[i + 2] : 0;

        *p++ = letters[bits >> 18];
        *p++ = letters[(bits >> 12) & 63];

        if (rest > 1) {
            *p++ = letters[(bits >> 6) & 63];

        } else if (variant == AK_BASE64) {
            *p++ = '=';
        }

        if (rest > 2) {
            *p++ = letters[bits & 63];

        } else if (variant == AK_BASE64) {
            *p++ = '=';
        }
    }

    return p - dst;
}


static int
ak_base64_value(ak_base64_e variant, uint8_t ch)
{
    if (ch >= 'A' && ch <= 'Z') {
        return ch - 'A';
    }

    if (ch >= 'a' && ch <= 'z') {
        return ch - 'a' + 26;
    }

    if (ch >= '0' && ch <= '9') {
        return ch - '0' + 52;
    }

    if (ch == (uint8_t) ak_base64_letters[variant][62]) {
        return 62;
    }

    if (ch == (uint8_t) ak_base64_letters[variant][63]) {
        return 63;
    }

    return -1;
}


/* How many letters come before the padding; AK_ERROR: wrongly padded. */

static ak_rc_t
ak_base64_unpadded(ak_base64_e variant, ak_str_t src, size_t *len)
{
    *len = src.len;

    if (variant == AK_BASE64) {
        if (src.len % 4 != 0) {
            return AK_ERROR;
        }

        if (src.len != 0 && src.data[src.len - 1] == '=') {
            *len -= (src.data[src.len - 2] == '=') ? 2 : 1;
        }
    }

    return (*len % 4 == 1) ? AK_ERROR : AK_OK;
}


ak_rc_t
ak_base64_decode(ak_base64_e variant, ak_str_t src, uint8_t *dst, size_t *len)
{
    int        value;
    size_t     i, n;
    uint8_t   *p;
    uint32_t   bits;
    unsigned   held;

    if (ak_base64_unpadded(variant, src, &n) != AK_OK) {
        return AK_ERROR;
    }

    p = dst;
    bits = 0;
    held = 0;

    for (i = 0; i < n; i++) {
        value = ak_base64_value(variant, src.data[i]);

        if (value == -1) {
            return AK_ERROR;
        }

        bits = (bits << 6) | (uint32_t) value;
        held += 6;

        if (held >= 8) {
            held -= 8;
            *p++ = (uint8_t) (bits >> held);
            bits &= (1u << held) - 1;
        }
    }

    if (bits != 0) {
        return AK_ERROR;
    }

    *len = p - dst;

    return AK_OK;
}
