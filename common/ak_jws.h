
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_JWS_H_INCLUDED_
#define _AK_JWS_H_INCLUDED_


#include "ak_diag.h"


/*
 * Signatures of JSON Web Algorithms: RFC 7518, 3; RFC 8037, 3.1; RFC 8812,
 * 3.2; RFC 9864, 2.2.  A key is of one type, and an algorithm is for one type
 * of key: what a token says of its algorithm can choose among those of the key,
 * and no other (RFC 8725, 3.1).
 */

typedef enum {
    AK_KTY_OCT = 0,            /* RFC 7518, 6.4: a secret */
    AK_KTY_RSA,                /* 6.3 */
    AK_KTY_EC,                 /* 6.2 */
    AK_KTY_OKP                 /* RFC 8037, 2 */
} ak_kty_e;


typedef struct {
    ak_str_t     name;         /* "RS256" */
    ak_kty_e     kty;
    const char  *digest;       /* OpenSSL's name; NULL: the key's own */
    const char  *group;        /* of EC: OpenSSL's name of the curve */
    unsigned     size;         /* bytes of the digest, of a coordinate; of OKP
                                  of a signature, 0: of either curve */
    bool         pss;
} ak_jws_alg_t;


/* THE table of algorithms.  NULL: it is not in it, as "none" is not. */

const ak_jws_alg_t *ak_jws_alg(ak_str_t name);
const ak_jws_alg_t *ak_jws_alg_at(size_t n);


/* A key: a secret, or a public key. */

typedef struct ak_jws_key_s  ak_jws_key_t;

#define AK_JWS_SECRET_MAX  4096        /* bytes */
#define AK_JWS_RSA_MIN     2048        /* bits, RFC 7518, 3.3 */
#define AK_JWS_RSA_MAX     8192        /* more would hold a worker up */
#define AK_JWS_ID_LEN      16          /* bytes */

/*
 * Makes a key.  What is passed is copied.  NULL: it is no key, or a weak one;
 * the diagnostic says why, and never shows a byte of a secret.
 *
 * secret   1 to AK_JWS_SECRET_MAX bytes
 * rsa      modulus and exponent, unsigned, the most significant byte first
 * ec       a point of the group that an algorithm names, both coordinates of
 *          its size; other points are refused
 * okp      curve "Ed25519" or "Ed448", and the public key
 * pem      the first public key or certificate of a PEM text (RFC 7468)
 */

ak_jws_key_t *ak_jws_secret(ak_str_t secret, ak_diag_t *d);
ak_jws_key_t *ak_jws_rsa(ak_str_t n, ak_str_t e, ak_diag_t *d);
ak_jws_key_t *ak_jws_ec(const ak_jws_alg_t *alg, ak_str_t x, ak_str_t y,
    ak_diag_t *d);
ak_jws_key_t *ak_jws_okp(ak_str_t crv, ak_str_t x, ak_diag_t *d);
ak_jws_key_t *ak_jws_pem(ak_str_t pem, ak_diag_t *d);

void ak_jws_key_free(ak_jws_key_t *key);

ak_kty_e ak_jws_kty(const ak_jws_key_t *key);

/* Bytes of a secret; 0 of a public key. */

size_t ak_jws_secret_len(const ak_jws_key_t *key);

/*
 * AK_JWS_ID_LEN bytes that tell a key from others: the beginning of a SHA-256
 * of what it is made of, with something random before a secret's.
 */

const uint8_t *ak_jws_key_id(const ak_jws_key_t *key);

/* Whether the algorithm is for keys of this type, and of this curve. */

bool ak_jws_fits(const ak_jws_key_t *key, const ak_jws_alg_t *alg);

/*
 * Verifies the signature of an input, RFC 7515, 5.2.  AK_OK; AK_DENIED: it is
 * not that of the key, or not of the form and length that the algorithm wants,
 * or the algorithm does not fit the key; AK_ERROR: OpenSSL failed.
 *
 * One at a time may use a key.  HMACs are compared in constant time.
 */

ak_rc_t ak_jws_verify(const ak_jws_key_t *key, const ak_jws_alg_t *alg,
    ak_str_t input, ak_str_t signature);


#endif /* _AK_JWS_H_INCLUDED_ */
