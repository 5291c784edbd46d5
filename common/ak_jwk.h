
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_JWK_H_INCLUDED_
#define _AK_JWK_H_INCLUDED_


#include "ak_jws.h"


/*
 * Sets of keys that verify tokens: JSON Web Keys (RFC 7517), keys in PEM, or
 * a secret.
 */

typedef struct ak_jwks_s  ak_jwks_t;


typedef struct {
    ak_str_t             kid;          /* empty: it has none */
    const ak_jws_alg_t  *alg;          /* that it is for; NULL: all that fit */
    ak_jws_key_t        *key;
} ak_jwk_t;


#define AK_JWKS_KEYS_MAX  64
#define AK_JWKS_TEXT_MAX  (256 * 1024) /* bytes */

/*
 * Reads a set, RFC 7517, 5, or a single key.  As that section has it, a key of
 * an unknown type, for another use, or that cannot be read is passed over and
 * does not spoil the others; of what was passed over *skipped (or NULL) is the
 * count, and the diagnostic says why of the last.
 *
 * "secrets" says whether keys of the type "oct" are taken: those of a file are
 * secrets, those that somebody publishes are none.
 *
 * NULL: it is no set (strict JSON, RFC 8259, no member twice), or there is
 * nothing in it that could be used; the diagnostic says why.
 */

ak_jwks_t *ak_jwks_parse(ak_str_t text, bool secrets, unsigned *skipped,
    ak_diag_t *d);

/* A set of one secret, or of the public keys and certificates of a PEM text. */

ak_jwks_t *ak_jwks_secret(ak_str_t secret, ak_diag_t *d);
ak_jwks_t *ak_jwks_pem(ak_str_t pem, ak_diag_t *d);

void ak_jwks_free(ak_jwks_t *set);

/* NULL: after the last. */

const ak_jwk_t *ak_jwks_at(const ak_jwks_t *set, size_t n);

/*
 * Whether a key may verify a token whose header names this algorithm and this
 * kid (empty: none).  A key without a kid is for tokens with any, a token
 * without one for any key.
 */

bool ak_jwk_serves(const ak_jwk_t *k, const ak_jws_alg_t *alg, ak_str_t kid);

/*
 * Whether the set has a key with these AK_JWS_ID_LEN bytes of id, for that
 * algorithm.
 */

bool ak_jwks_has(const ak_jwks_t *set, const uint8_t *id,
    const ak_jws_alg_t *alg);


#endif /* _AK_JWK_H_INCLUDED_ */
