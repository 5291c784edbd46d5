
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


/* The value of each letter and 1, so that 0 is none; see ak_base64_letters. */

#define AK_BASE64_COMMON                                                      \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6,         \
    ['G'] = 7, ['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12,      \
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,   \
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,   \
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,   \
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,   \
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,   \
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,   \
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,   \
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,   \
    ['8'] = 61, ['9'] = 62


static const uint8_t  ak_base64_values[][256] = {
    [AK_BASE64] = { AK_BASE64_COMMON, ['+'] = 63, ['/'] = 64 },
    [AK_BASE64URL] = { AK_BASE64_COMMON, ['-'] = 63, ['_'] = 64 }
};


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
    size_t          i, n;
    uint8_t        *p, a, b, c, d;
    uint32_t        bits;
    const uint8_t  *values;

    if (ak_base64_unpadded(variant, src, &n) != AK_OK) {
        return AK_ERROR;
    }

    p = dst;
    values = ak_base64_values[variant];

    for (i = 0; i + 4 <= n; i += 4) {
        a = values[src.data[i]];
        b = values[src.data[i + 1]];
        c = values[src.data[i + 2]];
        d = values[src.data[i + 3]];

        if (a == 0 || b == 0 || c == 0 || d == 0) {
            return AK_ERROR;
        }

        bits = (uint32_t) (a - 1) << 18 | (uint32_t) (b - 1) << 12
               | (uint32_t) (c - 1) << 6 | (uint32_t) (d - 1);

        *p++ = (uint8_t) (bits >> 16);
        *p++ = (uint8_t) (bits >> 8);
        *p++ = (uint8_t) bits;
    }

    /* two or three letters more; bits that are left over must be zero */

    bits = 0;

    for ( /* void */ ; i < n; i++) {
        a = values[src.data[i]];

        if (a == 0) {
            return AK_ERROR;
        }

        bits = bits << 6 | (uint32_t) (a - 1);
    }

    switch (n % 4) {

    case 2:

        if (bits & 0x0f) {
            return AK_ERROR;
        }

        *p++ = (uint8_t) (bits >> 4);
        break;

    case 3:

        if (bits & 0x03) {
            return AK_ERROR;
        }

        *p++ = (uint8_t) (bits >> 10);
        *p++ = (uint8_t) (bits >> 2);
        break;
    }

    *len = p - dst;

    return AK_OK;
}
