
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
    EVP_MD      *sha3;                 /* NULL: OpenSSL has none */
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

    d->sha3 = EVP_MD_fetch(NULL, "SHA3-256", NULL);

    if (d->sha3 == NULL) {
        ak_crypt_failed();
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
    EVP_MD_free(d->sha3);
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


ak_rc_t
ak_digest_sha3(ak_digest_t *d, ak_str_t a, uint8_t *dst)
{
    /*
     * A context of its own, which is wiped when it is freed: one that stays
     * keeps the last block of what it has read.
     */

    if (d->sha3 == NULL
        || EVP_Digest(a.data, a.len, dst, NULL, d->sha3, NULL) != 1)
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


#define AK_CHACHA_BLOCK  64
#define AK_CHACHA_HALF   16


static uint32_t
ak_word(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


/*
 * HChaCha20 by a block of ChaCha20, which is the state behind the rounds plus
 * the state before them: less the constants and the nonce, which the words 0
 * to 3 and 12 to 15 began as, it is the subkey.
 */

static ak_rc_t
ak_hchacha(const uint8_t *key, const uint8_t *nonce, uint8_t *subkey)
{
    int              n, i, k;
    ak_rc_t          rc;
    uint8_t          block[AK_CHACHA_BLOCK];
    uint32_t         word;
    EVP_CIPHER      *cipher;
    EVP_CIPHER_CTX  *ctx;
    const uint8_t   *began;

    static const uint8_t  zeros[AK_CHACHA_BLOCK];
    static const char     sigma[] = "expand 32-byte k";

    rc = AK_OK;
    cipher = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
    ctx = EVP_CIPHER_CTX_new();

    if (cipher == NULL || ctx == NULL
        || EVP_EncryptInit_ex2(ctx, cipher, key, nonce, NULL) != 1
        || EVP_EncryptUpdate(ctx, block, &n, zeros, AK_CHACHA_BLOCK) != 1
        || n != AK_CHACHA_BLOCK)
    {
        rc = ak_crypt_failed();
    }

    for (i = 0; i < 8 && rc == AK_OK; i++) {
        k = (i < 4) ? i : i + 8;
        began = (i < 4) ? (const uint8_t *) sigma + i * 4
                        : nonce + (i - 4) * 4;

        word = ak_word(block + k * 4) - ak_word(began);

        subkey[i * 4] = (uint8_t) word;
        subkey[i * 4 + 1] = (uint8_t) (word >> 8);
        subkey[i * 4 + 2] = (uint8_t) (word >> 16);
        subkey[i * 4 + 3] = (uint8_t) (word >> 24);
    }

    ak_mem_wipe(block, sizeof(block));
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);

    return rc;
}


/* ChaCha20-Poly1305 of RFC 8439; src is ciphertext and tag. */

static ak_rc_t
ak_chacha_open(const uint8_t *key, const uint8_t *nonce, ak_str_t aad,
    ak_str_t src, uint8_t *dst)
{
    int              n;
    size_t           len;
    ak_rc_t          rc;
    EVP_CIPHER      *cipher;
    EVP_CIPHER_CTX  *ctx;

    rc = AK_OK;
    len = src.len - AK_GCM_TAG_LEN;
    cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    ctx = EVP_CIPHER_CTX_new();

    if (cipher == NULL || ctx == NULL
        || EVP_DecryptInit_ex2(ctx, cipher, key, nonce, NULL) != 1
        || EVP_DecryptUpdate(ctx, NULL, &n, aad.data, (int) aad.len) != 1
        || EVP_DecryptUpdate(ctx, dst, &n, src.data, (int) len) != 1
        || (size_t) n != len
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AK_GCM_TAG_LEN,
                               (uint8_t *) src.data + len)
           != 1
        || EVP_DecryptFinal_ex(ctx, dst + len, &n) != 1)
    {
        ak_mem_wipe(dst, len);
        rc = ak_crypt_failed();
    }

    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);

    return rc;
}


ak_rc_t
ak_xchacha_open(const uint8_t key[AK_XCHACHA_KEY_LEN],
    const uint8_t nonce[AK_XCHACHA_NONCE_LEN], ak_str_t aad, ak_str_t src,
    uint8_t *dst)
{
    ak_rc_t  rc;
    uint8_t  subkey[AK_XCHACHA_KEY_LEN], rest[AK_GCM_IV_LEN];

    if (src.len < AK_GCM_TAG_LEN) {
        return AK_ERROR;
    }

    memset(rest, 0, 4);
    memcpy(rest + 4, nonce + AK_CHACHA_HALF,
           AK_XCHACHA_NONCE_LEN - AK_CHACHA_HALF);

    rc = ak_hchacha(key, nonce, subkey);

    if (rc == AK_OK) {
        rc = ak_chacha_open(subkey, rest, aad, src, dst);
    }

    ak_mem_wipe(subkey, sizeof(subkey));

    return rc;
}


ak_rc_t
ak_cbc_open(const uint8_t key[AK_GCM_KEY_LEN],
    const uint8_t iv[AK_CBC_BLOCK_LEN], ak_str_t src, uint8_t *dst,
    size_t *len)
{
    int              n, last;
    ak_rc_t          rc;
    EVP_CIPHER      *cipher;
    EVP_CIPHER_CTX  *ctx;

    if (src.len == 0 || src.len % AK_CBC_BLOCK_LEN != 0) {
        return AK_ERROR;
    }

    rc = AK_OK;
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    ctx = EVP_CIPHER_CTX_new();

    if (cipher == NULL || ctx == NULL
        || EVP_DecryptInit_ex2(ctx, cipher, key, iv, NULL) != 1
        || EVP_DecryptUpdate(ctx, dst, &n, src.data, (int) src.len) != 1
        || EVP_DecryptFinal_ex(ctx, dst + n, &last) != 1)
    {
        ak_mem_wipe(dst, src.len);
        rc = ak_crypt_failed();

    } else {
        *len = (size_t) n + (size_t) last;
    }

    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);

    return rc;
}
