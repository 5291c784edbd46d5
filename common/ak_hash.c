
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_base64.h"
#include "ak_hash.h"
#include "ak_mem.h"


typedef struct {
    ak_str_t       prefix;
    ak_hash_alg_e  alg;
} ak_hash_name_t;


static const ak_hash_name_t  ak_hash_names[] = {
    { ak_string("$sha256$"), AK_HASH_SHA256 },
    { ak_string("$hmac-sha256$"), AK_HASH_HMAC_SHA256 }
};


#define AK_SALT_TEXT_LEN  ak_base64url_encoded_len(AK_SALT_LEN)
#define AK_SUM_TEXT_LEN   ak_base64url_encoded_len(AK_SHA256_LEN)


static ak_rc_t
ak_hash_sum(const ak_hash_t *h, ak_str_t key, ak_digest_t *digest,
    const ak_keyring_t *keyring, uint8_t sum[AK_SHA256_LEN])
{
    ak_str_t    salt;
    ak_hmac_t  *pepper;

    salt = ak_str(h->salt, AK_SALT_LEN);

    switch (h->alg) {

    case AK_HASH_SHA256:
        return ak_digest(digest, salt, key, sum);

    case AK_HASH_HMAC_SHA256:
        pepper = (keyring == NULL) ? NULL : ak_keyring_pepper(keyring);

        if (pepper == NULL) {
            return AK_ERROR;
        }

        return ak_hmac(pepper, salt, key, sum);

    default:
        return AK_ERROR;
    }
}


ak_rc_t
ak_hash_make(ak_hash_t *h, ak_hash_alg_e alg, ak_str_t key,
    ak_digest_t *digest, const ak_keyring_t *keyring)
{
    h->alg = (uint8_t) alg;

    if (ak_random(h->salt, AK_SALT_LEN) != AK_OK) {
        return AK_ERROR;
    }

    return ak_hash_sum(h, key, digest, keyring, h->sum);
}


static ak_rc_t
ak_hash_part(ak_str_t text, uint8_t *dst, size_t want)
{
    size_t   len;
    uint8_t  bytes[ak_base64_decoded_max(AK_SUM_TEXT_LEN)];

    if (text.len != ak_base64url_encoded_len(want)
        || ak_base64_decode(AK_BASE64URL, text, bytes, &len) != AK_OK
        || len != want)
    {
        return AK_ERROR;
    }

    memcpy(dst, bytes, want);

    return AK_OK;
}


ak_rc_t
ak_hash_parse(ak_str_t text, ak_hash_t *h)
{
    size_t           i;
    ak_str_t         salt, sum;
    const uint8_t   *p;

    for (i = 0; i < ak_nitems(ak_hash_names); i++) {
        if (ak_str_starts(text, ak_hash_names[i].prefix)) {
            break;
        }
    }

    if (i == ak_nitems(ak_hash_names)
        || text.len != ak_hash_names[i].prefix.len
                       + AK_SALT_TEXT_LEN + 1 + AK_SUM_TEXT_LEN)
    {
        return AK_ERROR;
    }

    p = text.data + ak_hash_names[i].prefix.len;
    salt = ak_str(p, AK_SALT_TEXT_LEN);

    p += AK_SALT_TEXT_LEN;
    sum = ak_str(p + 1, AK_SUM_TEXT_LEN);

    if (*p != '$'
        || ak_hash_part(salt, h->salt, AK_SALT_LEN) != AK_OK
        || ak_hash_part(sum, h->sum, AK_SHA256_LEN) != AK_OK)
    {
        return AK_ERROR;
    }

    h->alg = (uint8_t) ak_hash_names[i].alg;

    return AK_OK;
}


size_t
ak_hash_format(const ak_hash_t *h, uint8_t *dst)
{
    size_t    i;
    uint8_t  *p;

    p = dst;

    for (i = 0; i < ak_nitems(ak_hash_names); i++) {
        if (ak_hash_names[i].alg == (ak_hash_alg_e) h->alg) {
            memcpy(p, ak_hash_names[i].prefix.data,
                   ak_hash_names[i].prefix.len);
            p += ak_hash_names[i].prefix.len;
        }
    }

    p += ak_base64_encode(AK_BASE64URL, ak_str(h->salt, AK_SALT_LEN), p);
    *p++ = '$';
    p += ak_base64_encode(AK_BASE64URL, ak_str(h->sum, AK_SHA256_LEN), p);

    return p - dst;
}


bool
ak_hash_verify(const ak_hash_t *h, ak_str_t key, ak_digest_t *digest,
    const ak_keyring_t *keyring)
{
    bool                    equal;
    uint8_t                 sum[AK_SHA256_LEN];
    const ak_hash_t        *against;
    static const ak_hash_t  nobody = { .alg = AK_HASH_SHA256 };

    against = (h == NULL) ? &nobody : h;

    if (ak_hash_sum(against, key, digest, keyring, sum) != AK_OK) {
        return false;
    }

    equal = ak_mem_equal(sum, against->sum, AK_SHA256_LEN);

    ak_mem_wipe(sum, sizeof(sum));

    return equal && h != NULL;
}
