
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CRED_H_INCLUDED_
#define _AK_CRED_H_INCLUDED_


#include "ak.h"


/*
 * How the library sees a request: as headers that can be asked for.
 *
 * header() sets *value to the n-th (from 0) value of the header called name
 * and returns true, or returns false where there is no such one.  The name is
 * in lower case with '-'; a received '_' counts as '-'.  The value is the
 * host's and lives as long as the transaction.
 */

typedef struct {
    bool  (*header)(void *host, ak_str_t name, unsigned n, ak_str_t *value);
    void  *host;
} ak_view_t;


typedef enum {
    AK_CRED_NONE = 0,          /* nothing that could be one of ours */
    AK_CRED_KEY,
    AK_CRED_JWT,               /* a compact JWS or JWE, RFC 7515 and 7516 */
    AK_CRED_MALFORMED,
    AK_CRED_AMBIGUOUS          /* different values in two places */
} ak_cred_kind_e;


typedef enum {
    AK_CARRIER_NONE = 0,
    AK_CARRIER_BEARER,         /* Authorization: Bearer, RFC 6750, 2.1 */
    AK_CARRIER_X_API_KEY
} ak_carrier_e;


typedef struct {
    ak_cred_kind_e  kind;
    ak_carrier_e    carrier;
    ak_str_t        value;     /* the host's memory; a secret */
} ak_cred_t;


/*
 * Finds the one credential of a request.  Authorization counts where its
 * scheme is Bearer in any case (RFC 9110, 11.1); other schemes are somebody
 * else's.  The same value in several places is one credential.
 */

void ak_cred_collect(const ak_view_t *view, ak_cred_t *cred);

/* "key", "jwt", "" for the kinds that are neither. */

ak_str_t ak_cred_kind_name(ak_cred_kind_e kind);


#endif /* _AK_CRED_H_INCLUDED_ */
