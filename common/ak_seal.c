
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_base64.h"
#include "ak_diag.h"
#include "ak_mem.h"
#include "ak_seal.h"


#define AK_SEAL_AAD_MAX  (3 * (AK_NAME_MAX + 1) + 8)


static const ak_str_t  ak_seal_version = ak_string("ak1");


static uint8_t *
ak_seal_copy(uint8_t *p, ak_str_t s)
{
    memcpy(p, s.data, s.len);

    return p + s.len;
}


/* "ak1|<owner>|<provider>|<slot>"; AK_ERROR: a name beyond its length */

static ak_rc_t
ak_seal_aad(const ak_place_t *place, uint8_t *dst, ak_str_t *aad)
{
    uint8_t  *p;

    if (place->owner.len > AK_NAME_MAX || place->provider.len > AK_NAME_MAX
        || place->slot.len > AK_NAME_MAX)
    {
        return AK_ERROR;
    }

    p = ak_seal_copy(dst, ak_seal_version);
    *p++ = '|';
    p = ak_seal_copy(p, place->owner);
    *p++ = '|';
    p = ak_seal_copy(p, place->provider);
    *p++ = '|';
    p = ak_seal_copy(p, place->slot);

    *aad = ak_str(dst, p - dst);

    return AK_OK;
}


static size_t
ak_seal_encode(const uint8_t *sealed, size_t len, uint8_t *dst)
{
    size_t             i;
    uint8_t           *p;
    static const char  hex[] = "0123456789abcdef";

    p = ak_seal_copy(dst, ak_seal_version);
    *p++ = '.';

    for (i = 0; i < AK_KID_LEN; i++) {
        *p++ = (uint8_t) hex[sealed[i] >> 4];
        *p++ = (uint8_t) hex[sealed[i] & 15];
    }

    *p++ = '.';
    p += ak_base64_encode(AK_BASE64URL,
                          ak_str(sealed + AK_KID_LEN, AK_GCM_IV_LEN), p);
    *p++ = '.';
    p += ak_base64_encode(AK_BASE64URL,
                          ak_str(sealed + AK_KID_LEN + AK_GCM_IV_LEN,
                                 len - AK_KID_LEN - AK_GCM_IV_LEN),
                          p);

    return p - dst;
}


ak_rc_t
ak_seal(const ak_keyring_t *k, const ak_place_t *place, ak_str_t secret,
    uint8_t *dst, size_t *len, ak_diag_t *d)
{
    uint8_t    aad[AK_SEAL_AAD_MAX], sealed[AK_SEALED_MAX];
    ak_str_t   where;
    ak_gcm_t  *gcm;

    if (secret.len > AK_SECRET_MAX) {
        return ak_diag(d, "the secret is longer than %d bytes",
                       AK_SECRET_MAX);
    }

    if (secret.len == 0 || !ak_str_visible(secret)) {
        return ak_diag(d, "the secret is empty or holds what cannot stand in "
                       "a header: a space, a control or a non-ASCII "
                       "character");
    }

    if (ak_seal_aad(place, aad, &where) != AK_OK) {
        return ak_diag(d, "a name is longer than %d bytes", AK_NAME_MAX);
    }

    gcm = ak_keyring_sealer(k, sealed);

    if (gcm == NULL
        || ak_random(sealed + AK_KID_LEN, AK_GCM_IV_LEN) != AK_OK
        || ak_gcm_seal(gcm, sealed + AK_KID_LEN, where, secret,
                       sealed + AK_KID_LEN + AK_GCM_IV_LEN)
           != AK_OK)
    {
        return ak_diag(d, "OpenSSL cannot seal the secret");
    }

    *len = ak_seal_encode(sealed, AK_SEALED_MIN + secret.len, dst);

    return AK_OK;
}


/* The part of a token up to the next dot, or to the end where it is last. */

static ak_rc_t
ak_seal_part(ak_str_t *text, bool last, ak_str_t *part)
{
    const uint8_t  *dot;

    dot = memchr(text->data, '.', text->len);

    if ((dot == NULL) != last) {
        return AK_ERROR;
    }

    *part = ak_str(text->data, last ? text->len : (size_t) (dot - text->data));

    if (!last) {
        text->data += part->len + 1;
        text->len -= part->len + 1;
    }

    return AK_OK;
}


static ak_rc_t
ak_seal_kid(ak_str_t hex, uint8_t *dst)
{
    size_t   i;
    uint8_t  ch, value;

    if (hex.len != AK_KID_LEN * 2) {
        return AK_ERROR;
    }

    for (i = 0; i < hex.len; i++) {
        ch = hex.data[i];

        if (ch >= '0' && ch <= '9') {
            value = ch - '0';

        } else if (ch >= 'a' && ch <= 'f') {
            value = ch - 'a' + 10;

        } else {
            return AK_ERROR;
        }

        dst[i / 2] = (uint8_t) (i % 2 ? dst[i / 2] | value : value << 4);
    }

    return AK_OK;
}


ak_rc_t
ak_seal_decode(ak_str_t text, uint8_t *dst, size_t *len)
{
    size_t    n;
    uint8_t   iv[ak_base64_decoded_max(
                     ak_base64url_encoded_len(AK_GCM_IV_LEN))];
    uint8_t   bytes[ak_base64_decoded_max(
                        ak_base64url_encoded_len(AK_SEALED_MAX))];
    ak_str_t  version, kid, nonce, body;

    if (text.len > AK_SEALED_TEXT_MAX
        || ak_seal_part(&text, false, &version) != AK_OK
        || ak_seal_part(&text, false, &kid) != AK_OK
        || ak_seal_part(&text, false, &nonce) != AK_OK
        || ak_seal_part(&text, true, &body) != AK_OK
        || !ak_str_eq(version, ak_seal_version)
        || ak_seal_kid(kid, dst) != AK_OK
        || nonce.len != ak_base64url_encoded_len(AK_GCM_IV_LEN)
        || ak_base64_decode(AK_BASE64URL, nonce, iv, &n) != AK_OK
        || n != AK_GCM_IV_LEN
        || body.len > ak_base64url_encoded_len(AK_SECRET_MAX + AK_GCM_TAG_LEN)
        || ak_base64_decode(AK_BASE64URL, body, bytes, &n) != AK_OK
        || n <= AK_GCM_TAG_LEN)
    {
        return AK_ERROR;
    }

    memcpy(dst + AK_KID_LEN, iv, AK_GCM_IV_LEN);
    memcpy(dst + AK_KID_LEN + AK_GCM_IV_LEN, bytes, n);

    *len = AK_KID_LEN + AK_GCM_IV_LEN + n;

    return AK_OK;
}


ak_rc_t
ak_seal_open(const ak_keyring_t *k, const ak_place_t *place, ak_str_t sealed,
    uint8_t *dst)
{
    uint8_t         aad[AK_SEAL_AAD_MAX];
    ak_str_t        where, body;
    ak_gcm_t       *gcm;
    const uint8_t  *iv;

    if (sealed.len <= AK_SEALED_MIN || sealed.len > AK_SEALED_MAX
        || ak_seal_aad(place, aad, &where) != AK_OK)
    {
        return AK_ERROR;
    }

    gcm = ak_keyring_opener(k, sealed.data);

    if (gcm == NULL) {
        return AK_KID_UNKNOWN;
    }

    iv = sealed.data + AK_KID_LEN;
    body = ak_str(iv + AK_GCM_IV_LEN,
                  sealed.len - AK_KID_LEN - AK_GCM_IV_LEN);

    if (ak_gcm_open(gcm, iv, where, body, dst) != AK_OK) {
        return AK_ERROR;
    }

    /* it becomes the value of a header, and no more than that */

    if (!ak_str_visible(ak_str(dst, ak_seal_secret_len(sealed)))) {
        ak_mem_wipe(dst, ak_seal_secret_len(sealed));
        return AK_ERROR;
    }

    return AK_OK;
}
