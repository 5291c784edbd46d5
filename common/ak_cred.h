
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CRED_H_INCLUDED_
#define _AK_CRED_H_INCLUDED_


#include "ak_diag.h"
#include "ak_mem.h"
#include "ak_view.h"


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
    AK_CARRIER_HEADER,         /* a header of its own, the value bare */
    AK_CARRIER_QUERY,          /* ?NAME=, RFC 6750, 2.3 */
    AK_CARRIER_COOKIE,
    AK_CARRIER_SUBPROTOCOL     /* an item of Sec-WebSocket-Protocol that
                                  begins with NAME: browsers' WebSocket API
                                  can set no other header */
} ak_carrier_e;


typedef struct {
    ak_carrier_e  type;
    ak_str_t      name;        /* lower case where it is a header's */
} ak_carrier_t;


/* Where a line of a stack looks for its credential, in order. */

typedef struct {
    const ak_carrier_t  *list;
    size_t               n;
} ak_carriers_t;


typedef struct {
    ak_cred_kind_e  kind;
    ak_carrier_e    carrier;   /* the first that had it */
    ak_str_t        value;     /* a secret */
} ak_cred_t;


/* authorization, x-api-key */

extern const ak_carriers_t  ak_carriers_default;

/*
 * Reads "authorization,x-api-key,query:key,cookie:token,subprotocol": header
 * names in any case; "subprotocol:PREFIX" for another prefix than
 * "openai-insecure-api-key.".  Strings are copied to mem.
 * AK_ERROR: the diagnostic names the word.
 */

#define AK_CARRIERS_MAX  8

ak_rc_t ak_carriers_parse(ak_str_t text, ak_mem_t *mem,
    ak_carriers_t *carriers, ak_diag_t *d);

/*
 * Finds the one credential of a request.  Authorization counts where its
 * scheme is Bearer in any case (RFC 9110, 11.1); other schemes are somebody
 * else's.  The same value in several places is one credential.  A value that
 * is percent-encoded in a query is decoded to memory of "secret", which wipes
 * it; where that has none the credential is malformed.
 */

void ak_cred_collect(const ak_view_t *view, const ak_carriers_t *carriers,
    ak_mem_t *secret, ak_cred_t *cred);

/*
 * Whether the name of a query argument, as it was sent, is "name" once its
 * percent-encoding (RFC 3986, 2.1) and "+" are decoded.
 */

bool ak_cred_same_name(ak_str_t sent, ak_str_t name);

/* "key", "jwt", "" for the kinds that are neither. */

ak_str_t ak_cred_kind_name(ak_cred_kind_e kind);


#endif /* _AK_CRED_H_INCLUDED_ */
