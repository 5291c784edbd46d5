
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "ak_crypt.h"
#include "ak_mem.h"


struct ak_digest_s {
    EVP_MD      *md;
    EVP_MD_CTX  *ctx;
};


struct ak_hmac_s {
    EVP_MAC      *mac;
    EVP_MAC_CTX  *ctx;
};


struct ak_gcm_s {
    EVP_CIPHER      *cipher;
    EVP_CIPHER_CTX  *ctx;
};


/* What OpenSSL said is of no use to anybody here, and harm to others. */

static ak_rc_t
ak_crypt_failed(void)
{
    ERR_clear_error();

    return AK_ERROR;
}


ak_digest_t *
ak_digest_create(void)
{
    ak_digest_t  *d;

    d = OPENSSL_zalloc(sizeof(ak_digest_t));
    if (d == NULL) {
        ak_crypt_failed();
        return NULL;
    }

    d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->ctx = EVP_MD_CTX_new();

    if (d->md == NULL || d->ctx == NULL
        || EVP_DigestInit_ex2(d->ctx, d->md, NULL) != 1)
    {
        ak_crypt_failed();
        ak_digest_free(d);
        return NULL;
    }

    return d;
}


void
ak_digest_free(ak_digest_t *d)
{
    if (d == NULL) {
        return;
    }

    EVP_MD_CTX_free(d->ctx);
    EVP_MD_free(d->md);
    OPENSSL_free(d);
}


ak_rc_t
ak_digest(ak_digest_t *d, ak_str_t a, ak_str_t b, uint8_t *dst)
{
    /* NULL: the digest that the context already has, with nothing fetched */

    if (EVP_DigestInit_ex2(d->ctx, NULL, NULL) != 1
        || EVP_DigestUpdate(d->ctx, a.data, a.len) != 1
        || EVP_DigestUpdate(d->ctx, b.data, b.len) != 1
        || EVP_DigestFinal_ex(d->ctx, dst, NULL) != 1)
    {
        return ak_crypt_failed();
    }

    return AK_OK;
}


ak_hmac_t *
ak_hmac_create(ak_str_t key)
{
    ak_hmac_t   *h;
    OSSL_PARAM   params[2];

    h = OPENSSL_zalloc(sizeof(ak_hmac_t));
    if (h == NULL) {
        ak_crypt_failed();
        return NULL;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    h->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h->ctx = (h->mac == NULL) ? NULL : EVP_MAC_CTX_new(h->mac);

    if (h->ctx == NULL
        || EVP_MAC_init(h->ctx, key.data, key.len, params) != 1)
    {
        ak_crypt_failed();
        ak_hmac_free(h);
        return NULL;
    }

    return h;
}


void
ak_hmac_free(ak_hmac_t *h)
{
    if (h == NULL) {
        return;
    }

    EVP_MAC_CTX_free(h->ctx);
    EVP_MAC_free(h->mac);
    OPENSSL_free(h);
}


ak_rc_t
ak_hmac(ak_hmac_t *h, ak_str_t a, ak_str_t b, uint8_t *dst)
{
    size_t  len;

    if (EVP_MAC_init(h->ctx, NULL, 0, NULL) != 1
        || EVP_MAC_update(h->ctx, a.data, a.len) != 1
        || EVP_MAC_update(h->ctx, b.data, b.len) != 1
        || EVP_MAC_final(h->ctx, dst, &len, AK_SHA256_LEN) != 1
        || len != AK_SHA256_LEN)
    {
        return ak_crypt_failed();
    }

    return AK_OK;
}


ak_rc_t
ak_random(void *dst, size_t size)
{
    if (RAND_priv_bytes_ex(NULL, dst, size, 0) != 1) {
        return ak_crypt_failed();
    }

    return AK_OK;
}


ak_gcm_t *
ak_gcm_create(const uint8_t key[AK_GCM_KEY_LEN], bool seal)
{
    ak_gcm_t  *g;

    g = OPENSSL_zalloc(sizeof(ak_gcm_t));
    if (g == NULL) {
        ak_crypt_failed();
        return NULL;
    }

    g->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    g->ctx = EVP_CIPHER_CTX_new();

    if (g->cipher == NULL || g->ctx == NULL
        || EVP_CipherInit_ex2(g->ctx, g->cipher, key, NULL, seal, NULL) != 1)
    {
        ak_crypt_failed();
        ak_gcm_free(g);
        return NULL;
    }

    return g;
}


void
ak_gcm_free(ak_gcm_t *g)
{
    if (g == NULL) {
        return;
    }

    EVP_CIPHER_CTX_free(g->ctx);
    EVP_CIPHER_free(g->cipher);
    OPENSSL_free(g);
}


ak_rc_t
ak_gcm_seal(ak_gcm_t *g, const uint8_t iv[AK_GCM_IV_LEN], ak_str_t aad,
    ak_str_t src, uint8_t *dst)
{
    int  n;

    if (EVP_EncryptInit_ex2(g->ctx, NULL, NULL, iv, NULL) != 1
        || EVP_EncryptUpdate(g->ctx, NULL, &n, aad.data, (int) aad.len) != 1
        || EVP_EncryptUpdate(g->ctx, dst, &n, src.data, (int) src.len) != 1
        || (size_t) n != src.len
        || EVP_EncryptFinal_ex(g->ctx, dst + src.len, &n) != 1
        || EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_GET_TAG, AK_GCM_TAG_LEN,
                               dst + src.len)
           != 1)
    {
        return ak_crypt_failed();
    }

    return AK_OK;
}


ak_rc_t
ak_gcm_open(ak_gcm_t *g, const uint8_t iv[AK_GCM_IV_LEN], ak_str_t aad,
    ak_str_t src, uint8_t *dst)
{
    int       n;
    size_t    len;
    uint8_t  *tag;

    if (src.len < AK_GCM_TAG_LEN) {
        return AK_ERROR;
    }

    len = src.len - AK_GCM_TAG_LEN;
    tag = (uint8_t *) src.data + len;

    if (EVP_DecryptInit_ex2(g->ctx, NULL, NULL, iv, NULL) != 1
        || EVP_DecryptUpdate(g->ctx, NULL, &n, aad.data, (int) aad.len) != 1
        || EVP_DecryptUpdate(g->ctx, dst, &n, src.data, (int) len) != 1
        || (size_t) n != len
        || EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_SET_TAG, AK_GCM_TAG_LEN,
                               tag)
           != 1
        || EVP_DecryptFinal_ex(g->ctx, dst + len, &n) != 1)
    {
        ak_mem_wipe(dst, len);
        return ak_crypt_failed();
    }

    return AK_OK;
}
