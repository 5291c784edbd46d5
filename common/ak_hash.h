
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_HASH_H_INCLUDED_
#define _AK_HASH_H_INCLUDED_


#include "ak_crypt.h"
#include "ak_keyring.h"


/*
 * The salted hash of a client key, a PHC string:
 *
 *   $sha256$<salt>$<SHA-256(salt || key)>              native keys
 *   $hmac-sha256$<salt>$<HMAC-SHA-256(pepper, salt || key)>   foreign keys
 *
 * in base64url without padding, with 16 random bytes of salt.  A native key
 * has 190 random bits, which no dictionary holds; a foreign one may be weak,
 * so that its hash is of no use to who lacks the pepper.
 *
 *   $sha3-256$<SHA3-256(key)>          of Laminar
 *   $sha256-plain$<SHA-256(key)>       of LiteLLM
 *
 * are what other applications have of keys that they do not know any more.
 * They are weak, without salt and pepper, and to be replaced.
 */

#define AK_SALT_LEN       16
#define AK_HASH_TEXT_MAX  96


typedef enum {
    AK_HASH_SHA256 = 1,
    AK_HASH_HMAC_SHA256 = 2,
    AK_HASH_SHA3_256 = 3,              /* weak; the salt is zeros */
    AK_HASH_SHA256_PLAIN = 4
} ak_hash_alg_e;


typedef struct {
    uint8_t  alg;                      /* ak_hash_alg_e */
    uint8_t  salt[AK_SALT_LEN];
    uint8_t  sum[AK_SHA256_LEN];
} ak_hash_t;


/*
 * Hashes the key with a fresh salt.
 * AK_ERROR: no randomness, no pepper for AK_HASH_HMAC_SHA256, or a weak
 * algorithm, of which no hash is made.
 */

ak_rc_t ak_hash_make(ak_hash_t *h, ak_hash_alg_e alg, ak_str_t key,
    ak_digest_t *digest, const ak_keyring_t *keyring);

/*
 * The sum of a weak algorithm, AK_SHA256_LEN bytes to dst.  AK_ERROR: it is
 * none, or a failure of OpenSSL.
 */

ak_rc_t ak_hash_plain(ak_hash_alg_e alg, ak_str_t key, ak_digest_t *digest,
    uint8_t *dst);

/* Whether the key should be replaced, since its hash is weak. */

bool ak_hash_weak(const ak_hash_t *h);

/* AK_ERROR: an unknown algorithm, or not of the form above. */

ak_rc_t ak_hash_parse(ak_str_t text, ak_hash_t *h);

/* Writes at most AK_HASH_TEXT_MAX bytes, returns how many. */

size_t ak_hash_format(const ak_hash_t *h, uint8_t *dst);

/*
 * Whether the key has this hash, in a time that does not depend on where they
 * differ.  h == NULL does the work of a comparison and is false: so an unknown
 * id costs what a wrong secret costs.  A failure of OpenSSL is false.
 */

bool ak_hash_verify(const ak_hash_t *h, ak_str_t key, ak_digest_t *digest,
    const ak_keyring_t *keyring);


#endif /* _AK_HASH_H_INCLUDED_ */
