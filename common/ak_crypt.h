
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CRYPT_H_INCLUDED_
#define _AK_CRYPT_H_INCLUDED_


#include "ak.h"


/*
 * A thin layer over OpenSSL's EVP.  Every failure leaves OpenSSL's error
 * queue empty, since what stays there is blamed on the next TLS connection.
 */

#define AK_SHA256_LEN   32
#define AK_GCM_KEY_LEN  32
#define AK_GCM_IV_LEN   12
#define AK_GCM_TAG_LEN  16


/*
 * A digest at the ready.  Fetching an algorithm costs ten times the hashing of
 * a key, so the fetched one is kept; one at a time may use it.  NULL: OpenSSL
 * has no memory or no SHA-256.
 */

typedef struct ak_digest_s  ak_digest_t;

ak_digest_t *ak_digest_create(void);
void ak_digest_free(ak_digest_t *d);

/* SHA-256 (FIPS 180-4) of a and b joined, AK_SHA256_LEN bytes to dst. */

ak_rc_t ak_digest(ak_digest_t *d, ak_str_t a, ak_str_t b, uint8_t *dst);

/*
 * SHA3-256 (FIPS 202) of a, AK_SHA256_LEN bytes to dst, for the few keys that
 * need it: it makes a context each time.
 */

ak_rc_t ak_digest_sha3(ak_digest_t *d, ak_str_t a, uint8_t *dst);


/* HMAC-SHA-256 (RFC 2104) under one key; one at a time may use it. */

typedef struct ak_hmac_s  ak_hmac_t;

ak_hmac_t *ak_hmac_create(ak_str_t key);
void ak_hmac_free(ak_hmac_t *h);

/* The HMAC of a and b joined, AK_SHA256_LEN bytes to dst. */

ak_rc_t ak_hmac(ak_hmac_t *h, ak_str_t a, ak_str_t b, uint8_t *dst);

/* size random bytes from OpenSSL's private generator. */

ak_rc_t ak_random(void *dst, size_t size);


/*
 * AES-256-GCM (NIST SP 800-38D) under one key, whose schedule is computed
 * once.  An object either seals or opens.
 */

typedef struct ak_gcm_s  ak_gcm_t;

ak_gcm_t *ak_gcm_create(const uint8_t key[AK_GCM_KEY_LEN], bool seal);
void ak_gcm_free(ak_gcm_t *g);

/* dst gets src.len bytes of ciphertext and AK_GCM_TAG_LEN of tag. */

ak_rc_t ak_gcm_seal(ak_gcm_t *g, const uint8_t iv[AK_GCM_IV_LEN],
    ak_str_t aad, ak_str_t src, uint8_t *dst);

/*
 * src is ciphertext and tag; dst gets src.len - AK_GCM_TAG_LEN bytes.
 * AK_ERROR: not what was sealed; dst is wiped.
 */

ak_rc_t ak_gcm_open(ak_gcm_t *g, const uint8_t iv[AK_GCM_IV_LEN],
    ak_str_t aad, ak_str_t src, uint8_t *dst);


/*
 * What other applications have sealed, for imports: a cipher is fetched each
 * time.  src is at most AK_FOREIGN_MAX bytes.
 */

#define AK_XCHACHA_KEY_LEN    32
#define AK_XCHACHA_NONCE_LEN  24
#define AK_CBC_BLOCK_LEN      16
#define AK_FOREIGN_MAX        65536

/*
 * XChaCha20-Poly1305-IETF (draft-irtf-cfrg-xchacha-03).  src is ciphertext
 * and a tag of 16 bytes; dst gets src.len - 16 bytes.  AK_ERROR: not what was
 * sealed; dst holds nothing of it.
 */

ak_rc_t ak_xchacha_open(const uint8_t key[AK_XCHACHA_KEY_LEN],
    const uint8_t nonce[AK_XCHACHA_NONCE_LEN], ak_str_t aad, ak_str_t src,
    uint8_t *dst);

/*
 * AES-256-CBC (NIST SP 800-38A) with the padding of PKCS#7 (RFC 5652, 6.3).
 * dst has room for src.len bytes, *len is set.  It authenticates nothing:
 * AK_OK only says that the padding is one.  AK_ERROR: that is not so; dst
 * holds nothing.
 */

ak_rc_t ak_cbc_open(const uint8_t key[AK_GCM_KEY_LEN],
    const uint8_t iv[AK_CBC_BLOCK_LEN], ak_str_t src, uint8_t *dst,
    size_t *len);


#endif /* _AK_CRYPT_H_INCLUDED_ */
