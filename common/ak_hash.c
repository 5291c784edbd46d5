
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_base64.h"
#include "ak_hash.h"
#include "ak_mem.h"


typedef struct {
    ak_str_t       prefix;
    ak_hash_alg_e  alg;
    bool           weak;               /* without salt */
} ak_hash_name_t;


static const ak_hash_name_t  ak_hash_names[] = {
    { ak_string("$sha256$"), AK_HASH_SHA256, false },
    { ak_string("$hmac-sha256$"), AK_HASH_HMAC_SHA256, false },
    { ak_string("$sha3-256$"), AK_HASH_SHA3_256, true },
    { ak_string("$sha256-plain$"), AK_HASH_SHA256_PLAIN, true }
};


#define AK_SALT_TEXT_LEN  ak_base64url_encoded_len(AK_SALT_LEN)
#define AK_SUM_TEXT_LEN   ak_base64url_encoded_len(AK_SHA256_LEN)


/* NULL: an algorithm that is not known. */

static const ak_hash_name_t *
ak_hash_name(unsigned alg)
{
    size_t  i;

    for (i = 0; i < ak_nitems(ak_hash_names); i++) {
        if (ak_hash_names[i].alg == (ak_hash_alg_e) alg) {
            return &ak_hash_names[i];
        }
    }

    return NULL;
}


bool
ak_hash_weak(const ak_hash_t *h)
{
    const ak_hash_name_t  *name;

    name = ak_hash_name(h->alg);

    return name != NULL && name->weak;
}


ak_rc_t
ak_hash_plain(ak_hash_alg_e alg, ak_str_t key, ak_digest_t *digest,
    uint8_t *dst)
{
    switch (alg) {

    case AK_HASH_SHA3_256:
        return ak_digest_sha3(digest, key, dst);

    case AK_HASH_SHA256_PLAIN:
        return ak_digest(digest, ak_str(NULL, 0), key, dst);

    default:
        return AK_ERROR;
    }
}


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
        return ak_hash_plain((ak_hash_alg_e) h->alg, key, digest, sum);
    }
}


ak_rc_t
ak_hash_make(ak_hash_t *h, ak_hash_alg_e alg, ak_str_t key,
    ak_digest_t *digest, const ak_keyring_t *keyring)
{
    h->alg = (uint8_t) alg;

    if (ak_hash_weak(h) || ak_random(h->salt, AK_SALT_LEN) != AK_OK) {
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
    size_t           i, len;
    ak_str_t         salt, sum;
    const uint8_t   *p;

    for (i = 0; i < ak_nitems(ak_hash_names); i++) {
        if (ak_str_starts(text, ak_hash_names[i].prefix)) {
            break;
        }
    }

    if (i == ak_nitems(ak_hash_names)) {
        return AK_ERROR;
    }

    len = ak_hash_names[i].weak ? 0 : AK_SALT_TEXT_LEN + 1;

    if (text.len != ak_hash_names[i].prefix.len + len + AK_SUM_TEXT_LEN) {
        return AK_ERROR;
    }

    p = text.data + ak_hash_names[i].prefix.len;
    salt = ak_str(p, AK_SALT_TEXT_LEN);
    sum = ak_str(p + len, AK_SUM_TEXT_LEN);

    memset(h->salt, 0, AK_SALT_LEN);

    if (len != 0
        && (p[AK_SALT_TEXT_LEN] != '$'
            || ak_hash_part(salt, h->salt, AK_SALT_LEN) != AK_OK))
    {
        return AK_ERROR;
    }

    if (ak_hash_part(sum, h->sum, AK_SHA256_LEN) != AK_OK) {
        return AK_ERROR;
    }

    h->alg = (uint8_t) ak_hash_names[i].alg;

    return AK_OK;
}


size_t
ak_hash_format(const ak_hash_t *h, uint8_t *dst)
{
    uint8_t               *p;
    const ak_hash_name_t  *name;

    p = dst;
    name = ak_hash_name(h->alg);

    if (name != NULL) {
        memcpy(p, name->prefix.data, name->prefix.len);
        p += name->prefix.len;
    }

    if (name == NULL || !name->weak) {
        p += ak_base64_encode(AK_BASE64URL, ak_str(h->salt, AK_SALT_LEN), p);
        *p++ = '$';
    }

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
