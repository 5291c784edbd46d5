
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_crypt.h"
#include "ak_key.h"
#include "ak_mem.h"


#define AK_KEY_PREFIX     "sk-"
#define AK_KEY_BRAND_MAX  32


static const char  ak_base62_letters[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";


static bool
ak_base62(uint8_t ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
           || (ch >= 'a' && ch <= 'z');
}


/* CRC-32 of ISO 3309, four bits a step. */

static uint32_t
ak_crc32(const uint8_t *p, size_t len)
{
    uint32_t               crc;
    static const uint32_t  table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
    };

    crc = 0xffffffff;

    while (len--) {
        crc ^= *p++;
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }

    return crc ^ 0xffffffff;
}


static void
ak_key_checksum(const uint8_t *p, size_t len, uint8_t *dst)
{
    int       i;
    uint32_t  crc;

    crc = ak_crc32(p, len);

    for (i = AK_KEY_CHECKSUM_LEN - 1; i >= 0; i--) {
        dst[i] = (uint8_t) ak_base62_letters[crc % 62];
        crc /= 62;
    }
}


/* "sk-" ([a-z0-9]+ "-")* in front of the tail of fifty letters. */

static bool
ak_key_head_valid(const uint8_t *p, size_t len)
{
    size_t   i;
    uint8_t  ch, prev;

    if (len < sizeof(AK_KEY_PREFIX) - 1
        || memcmp(p, AK_KEY_PREFIX, sizeof(AK_KEY_PREFIX) - 1) != 0)
    {
        return false;
    }

    prev = '-';

    for (i = sizeof(AK_KEY_PREFIX) - 1; i < len; i++) {
        ch = p[i];

        if (ch == '-') {
            if (prev == '-') {
                return false;
            }

        } else if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'))) {
            return false;
        }

        prev = ch;
    }

    return prev == '-';
}


static bool
ak_key_is_native(ak_str_t key)
{
    size_t  i, head;

    if (key.len < sizeof(AK_KEY_PREFIX) - 1 + AK_KEY_TAIL_LEN) {
        return false;
    }

    head = key.len - AK_KEY_TAIL_LEN;

    if (!ak_key_head_valid(key.data, head)) {
        return false;
    }

    for (i = head; i < key.len; i++) {
        if (!ak_base62(key.data[i])) {
            return false;
        }
    }

    return true;
}


ak_key_form_e
ak_key_parse(ak_str_t key, ak_str_t *id)
{
    size_t   i, body;
    uint8_t  checksum[AK_KEY_CHECKSUM_LEN];

    if (key.len < AK_KEY_MIN || key.len > AK_KEY_MAX) {
        return AK_KEY_BAD;
    }

    if (ak_key_is_native(key)) {
        body = key.len - AK_KEY_CHECKSUM_LEN;

        ak_key_checksum(key.data, body, checksum);

        if (memcmp(checksum, key.data + body, AK_KEY_CHECKSUM_LEN) != 0) {
            return AK_KEY_BAD_CHECKSUM;
        }

        *id = ak_str(key.data + key.len - AK_KEY_TAIL_LEN, AK_KEY_ID_LEN);

        return AK_KEY_NATIVE;
    }

    for (i = 0; i < key.len; i++) {
        if (key.data[i] <= 0x20 || key.data[i] >= 0x7f) {
            return AK_KEY_BAD;
        }
    }

    return AK_KEY_FOREIGN;
}


ak_rc_t
ak_key_foreign_id(ak_str_t key, const ak_keyring_t *keyring, uint8_t *dst)
{
    size_t             i;
    uint8_t            mac[AK_SHA256_LEN];
    ak_hmac_t         *pepper;
    static const char  hex[] = "0123456789abcdef";

    pepper = (keyring == NULL) ? NULL : ak_keyring_pepper(keyring);

    if (pepper == NULL
        || ak_hmac(pepper, ak_literal("id"), key, mac) != AK_OK)
    {
        return AK_ERROR;
    }

    *dst++ = 'h';

    for (i = 0; i < (AK_KEY_FOREIGN_ID_LEN - 1) / 2; i++) {
        *dst++ = (uint8_t) hex[mac[i] >> 4];
        *dst++ = (uint8_t) hex[mac[i] & 15];
    }

    ak_mem_wipe(mac, sizeof(mac));

    return AK_OK;
}


/* Letters without bias: bytes of 248 and more, 4 * 62, are drawn again. */

static ak_rc_t
ak_key_letters(uint8_t *dst, size_t n)
{
    size_t   i, made;
    uint8_t  bytes[64];

    made = 0;

    while (made < n) {
        if (ak_random(bytes, sizeof(bytes)) != AK_OK) {
            return AK_ERROR;
        }

        for (i = 0; i < sizeof(bytes) && made < n; i++) {
            if (bytes[i] < 248) {
                dst[made++] = (uint8_t) ak_base62_letters[bytes[i] % 62];
            }
        }
    }

    ak_mem_wipe(bytes, sizeof(bytes));

    return AK_OK;
}


ak_rc_t
ak_key_make(ak_str_t brand, uint8_t *dst, size_t *len, ak_diag_t *d)
{
    uint8_t  *p;

    memcpy(dst, AK_KEY_PREFIX, sizeof(AK_KEY_PREFIX) - 1);
    p = dst + sizeof(AK_KEY_PREFIX) - 1;

    if (brand.len > AK_KEY_BRAND_MAX) {
        return ak_diag(d, "a brand has at most %d letters", AK_KEY_BRAND_MAX);
    }

    if (brand.len != 0) {
        memcpy(p, brand.data, brand.len);
        p += brand.len;
        *p++ = '-';

        if (!ak_key_head_valid(dst, p - dst)) {
            return ak_diag(d, "a brand is of the letters a-z and 0-9, with "
                           "single \"-\" between them");
        }
    }

    if (ak_key_letters(p, AK_KEY_ID_LEN + AK_KEY_SECRET_LEN) != AK_OK) {
        return ak_diag(d, "there is no randomness to make a key of");
    }

    p += AK_KEY_ID_LEN + AK_KEY_SECRET_LEN;

    ak_key_checksum(dst, p - dst, p);
    *len = p + AK_KEY_CHECKSUM_LEN - dst;

    return AK_OK;
}


bool
ak_key_id_valid(ak_str_t id)
{
    size_t  i;

    if (id.len == 0 || id.len > AK_ID_MAX) {
        return false;
    }

    for (i = 0; i < id.len; i++) {
        if (!ak_base62(id.data[i])) {
            return false;
        }
    }

    return true;
}
