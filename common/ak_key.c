
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


/*
 * Whether all bytes are base62, eight at a time: adding 0x80 less the first of
 * a range sets the top bits of the bytes that are in it or above.
 */

#define ak_each(ch)            (0x0101010101010101u * (ch))
#define ak_each_in(v, lo, hi)                                                \
    (((v) + ak_each(0x80 - (lo))) & ~((v) + ak_each(0x7f - (hi))))


static uint64_t
ak_base62_eight(uint64_t v)
{
    /* | 0x20: both cases of a letter in one range */

    return (ak_each_in(v, '0', '9')
            | ak_each_in(v | ak_each(0x20), 'a', 'z')) & ~v;
}


static bool
ak_base62(const uint8_t *p, size_t len)
{
    size_t    i;
    uint8_t   few[8];
    uint64_t  v, good;

    if (len < 8) {
        memset(few, '0', 8);
        memcpy(few, p, len);
        memcpy(&v, few, 8);

        return (ak_base62_eight(v) & ak_each(0x80)) == ak_each(0x80);
    }

    /* the last eight may be in the ones before them too */

    memcpy(&v, p + len - 8, 8);
    good = ak_base62_eight(v);

    for (i = 0; i + 8 < len; i += 8) {
        memcpy(&v, p + i, 8);
        good &= ak_base62_eight(v);
    }

    return (good & ak_each(0x80)) == ak_each(0x80);
}


/*
 * CRC-32 of ISO 3309, reflected, 0xedb88320, four bytes at a time: a table for
 * each of them.  The function is linear, so that a row is made of what it is
 * for the eight bits.
 */

#define ak_crc32_bit(n, bit, crc)                                            \
    (((n) >> (bit) & 1) * (crc))

#define ak_crc32_of(n, a, b, c, d, e, f, g, h)                               \
    (ak_crc32_bit(n, 0, a) ^ ak_crc32_bit(n, 1, b)                           \
     ^ ak_crc32_bit(n, 2, c) ^ ak_crc32_bit(n, 3, d)                         \
     ^ ak_crc32_bit(n, 4, e) ^ ak_crc32_bit(n, 5, f)                         \
     ^ ak_crc32_bit(n, 6, g) ^ ak_crc32_bit(n, 7, h))

#define ak_crc32_4(n, ...)                                                   \
    ak_crc32_of((n), __VA_ARGS__), ak_crc32_of((n) + 1, __VA_ARGS__),        \
    ak_crc32_of((n) + 2, __VA_ARGS__), ak_crc32_of((n) + 3, __VA_ARGS__)

#define ak_crc32_16(n, ...)                                                  \
    ak_crc32_4((n), __VA_ARGS__), ak_crc32_4((n) + 4, __VA_ARGS__),          \
    ak_crc32_4((n) + 8, __VA_ARGS__), ak_crc32_4((n) + 12, __VA_ARGS__)

#define ak_crc32_64(n, ...)                                                  \
    ak_crc32_16((n), __VA_ARGS__), ak_crc32_16((n) + 16, __VA_ARGS__),       \
    ak_crc32_16((n) + 32, __VA_ARGS__), ak_crc32_16((n) + 48, __VA_ARGS__)

#define ak_crc32_row(...)                                                    \
    ak_crc32_64(0u, __VA_ARGS__), ak_crc32_64(64u, __VA_ARGS__),             \
    ak_crc32_64(128u, __VA_ARGS__), ak_crc32_64(192u, __VA_ARGS__)


static const uint32_t  ak_crc32_table[4][256] = {
    { ak_crc32_row(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832,
                   0x1db71064, 0x3b6e20c8, 0x76dc4190, 0xedb88320) },
    { ak_crc32_row(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08,
                   0x4ac21251, 0x958424a2, 0xf0794f05, 0x3b83984b) },
    { ak_crc32_row(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8,
                   0x1c26a370, 0x384d46e0, 0x709a8dc0, 0xe1351b80) },
    { ak_crc32_row(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef,
                   0x5019579f, 0xa032af3e, 0x9b14583d, 0xed59b63b) }
};


static uint32_t
ak_crc32(const uint8_t *p, size_t len)
{
    uint32_t  crc;

    crc = 0xffffffff;

    for ( /* void */ ; len >= 4; len -= 4, p += 4) {
        crc = ak_crc32_table[3][(crc ^ p[0]) & 0xff]
              ^ ak_crc32_table[2][(crc >> 8 ^ p[1]) & 0xff]
              ^ ak_crc32_table[1][(crc >> 16 ^ p[2]) & 0xff]
              ^ ak_crc32_table[0][crc >> 24 ^ p[3]];
    }

    while (len--) {
        crc = ak_crc32_table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
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
    size_t  head;

    if (key.len < sizeof(AK_KEY_PREFIX) - 1 + AK_KEY_TAIL_LEN) {
        return false;
    }

    head = key.len - AK_KEY_TAIL_LEN;

    if (!ak_key_head_valid(key.data, head)) {
        return false;
    }

    return ak_base62(key.data + head, AK_KEY_TAIL_LEN);
}


ak_key_form_e
ak_key_parse(ak_str_t key, ak_str_t *id)
{
    size_t   body;
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

    return ak_str_visible(key) ? AK_KEY_FOREIGN : AK_KEY_BAD;
}


static ak_rc_t
ak_key_id_of(ak_str_t label, ak_str_t s, const ak_keyring_t *keyring,
    uint8_t *dst)
{
    size_t             i;
    uint8_t            mac[AK_SHA256_LEN];
    ak_hmac_t         *pepper;
    static const char  hex[] = "0123456789abcdef";

    pepper = (keyring == NULL) ? NULL : ak_keyring_pepper(keyring);

    if (pepper == NULL || ak_hmac(pepper, label, s, mac) != AK_OK) {
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


ak_rc_t
ak_key_foreign_id(ak_str_t key, const ak_keyring_t *keyring, uint8_t *dst)
{
    return ak_key_id_of(ak_literal("id"), key, keyring, dst);
}


/*
 * No label begins as another does, "id" included: no key has the id of
 * another's sum.
 */

static const struct {
    ak_hash_alg_e  alg;
    ak_str_t       label;
    ak_str_t       prefix;             /* of the key */
    size_t         letters;            /* behind it */
    bool           url;                /* "-" and "_" are letters */
} ak_key_weaks[] = {
    { AK_HASH_SHA3_256, ak_string("sha3-256"), ak_string(""), 64, false },
    { AK_HASH_SHA256_PLAIN, ak_string("sha256"), ak_string("sk-"), 22, true }
};


static bool
ak_key_letters_valid(const uint8_t *p, size_t len, bool url)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!ak_base62(p + i, 1) && !(url && (p[i] == '-' || p[i] == '_'))) {
            return false;
        }
    }

    return true;
}


ak_hash_alg_e
ak_key_weak(ak_str_t key)
{
    size_t    i, n;
    ak_str_t  prefix;

    for (i = 0; i < ak_nitems(ak_key_weaks); i++) {
        n = ak_key_weaks[i].letters;
        prefix = ak_key_weaks[i].prefix;

        if (key.len == prefix.len + n && ak_str_starts(key, prefix)
            && ak_key_letters_valid(key.data + prefix.len, n,
                                    ak_key_weaks[i].url))
        {
            return ak_key_weaks[i].alg;
        }
    }

    return (ak_hash_alg_e) 0;
}


ak_rc_t
ak_key_weak_id(ak_hash_alg_e alg, const uint8_t *sum,
    const ak_keyring_t *keyring, uint8_t *dst)
{
    size_t  i;

    for (i = 0; i < ak_nitems(ak_key_weaks); i++) {
        if (ak_key_weaks[i].alg == alg) {
            return ak_key_id_of(ak_key_weaks[i].label,
                                ak_str(sum, AK_SHA256_LEN), keyring, dst);
        }
    }

    return AK_ERROR;
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
    return id.len != 0 && id.len <= AK_ID_MAX && ak_base62(id.data, id.len);
}
