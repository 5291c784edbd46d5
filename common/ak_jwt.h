
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_JWT_H_INCLUDED_
#define _AK_JWT_H_INCLUDED_


#include "ak_args.h"
#include "ak_error.h"
#include "ak_json.h"
#include "ak_jwk.h"


/*
 * JSON Web Tokens: RFC 7519, in the compact form of RFC 7515, and what RFC
 * 8725 advises.  The steps are to be taken in this order: the claims of
 * a token whose signature has not been verified are nobody's.
 */

#define AK_JWT_MAX         16384       /* bytes of a token */
#define AK_JWT_HEADER_MAX  8192        /* bytes of its header, decoded */
#define AK_JWT_KID_MAX     512


typedef struct {
    ak_str_t             input;        /* what is signed, a part of the token */
    ak_str_t             payload;      /* as it is there, in base64url */
    ak_str_t             signature;    /* decoded */
    const ak_jws_alg_t  *alg;
    ak_str_t             kid;          /* empty: there is none */
    ak_str_t             typ;
    json_t              *header;
    json_t              *claims;       /* once they have been read, */
    ak_str_t             text;         /*   from this */
} ak_jwt_t;


/*
 * Takes a token apart, RFC 7515, 5.2, 1 to 7.  AK_SUCCESS, or why not; the
 * diagnostic says it in words and names the section, never a byte of
 * a signature.  To be freed in either case; strings are views of the token,
 * which is to stay, or of mem.
 *
 * AK_JWT_ENCRYPTED: it is a JWE, RFC 7516.  AK_JWT_SIGNATURE: its algorithm is
 * none that is known, "none" among them (RFC 8725, 3.2).  AK_JWT_MALFORMED:
 * all else.  Headers that point to keys (jku, jwk, x5u, x5c) are not looked at.
 */

ak_reason_e ak_jwt_parse(ak_jwt_t *jwt, ak_str_t token, ak_mem_t *mem,
    ak_diag_t *d);
void ak_jwt_free(ak_jwt_t *jwt);


/* What is wanted of a token; lists that are empty want nothing. */

typedef struct {
    ak_words_t  algorithms;
    ak_words_t  issuers;
    ak_words_t  audiences;     /* one of them, or "*": whatever it says */
    ak_words_t  subjects;
    ak_words_t  types;         /* of "typ"; empty: "JWT", "at+jwt" or none */
    ak_words_t  required;      /* claims that must be there */
    int64_t     leeway;        /* seconds */
    int64_t     max_age;       /* seconds since "iat"; 0: any */
    bool        exp_optional;
    bool        strong;        /* no secret that is shorter than the digest,
                                  RFC 7518, 3.2 */
} ak_jwt_rules_t;


/*
 * Verifies the signature with the keys of a set that may.  AK_SUCCESS: *by is
 * the key; AK_JWT_SIGNATURE: none of them, or the algorithm is not among those
 * of the rules; *missing says whether there is no key with this kid, so that
 * newer keys might help.  AK_STORE_UNAVAILABLE: OpenSSL failed.
 */

ak_reason_e ak_jwt_verify(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwks_t *set, const ak_jwk_t **by, bool *missing, ak_diag_t *d);


/* Unix seconds; 0: not there. */

typedef struct {
    int64_t     expires;
    int64_t     not_before;
    int64_t     issued;
} ak_jwt_times_t;

/*
 * Reads the claims (jwt->claims).  AK_SUCCESS and the times;
 * AK_JWT_MALFORMED: they are no JSON object, or a time is none.
 */

ak_reason_e ak_jwt_read(ak_jwt_t *jwt, ak_mem_t *mem, ak_jwt_times_t *times,
    ak_diag_t *d);

/*
 * Reads them, and checks those that do not change: RFC 7519, 4.1.
 * AK_JWT_CLAIMS: they are not what is wanted.
 */

ak_reason_e ak_jwt_claims(ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    ak_mem_t *mem, ak_jwt_times_t *times, ak_diag_t *d);

/*
 * Checks the times, which is to be done each time: AK_JWT_EXPIRED, _NOT_YET;
 * AK_JWT_CLAIMS: one that is wanted is missing.
 */

ak_reason_e ak_jwt_now(const ak_jwt_times_t *times,
    const ak_jwt_rules_t *rules, int64_t now, ak_diag_t *d);

/*
 * All of these checks one by one, for who explains: what the n-th (from 0)
 * looks at, and its outcome; NULL after the last.
 */

const char *ak_jwt_check(size_t n, const ak_jwt_t *jwt,
    const ak_jwt_rules_t *rules, const ak_jwt_times_t *times, int64_t now,
    ak_reason_e *reason, ak_diag_t *d);


#endif /* _AK_JWT_H_INCLUDED_ */
