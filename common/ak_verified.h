
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_VERIFIED_H_INCLUDED_
#define _AK_VERIFIED_H_INCLUDED_


#include "ak_jwt.h"


/*
 * What is kept of a token that was verified, so that it need not be verified
 * each time.  Packed it is of this process's byte order, as records are, and
 * never leaves the machine.
 */

typedef struct {
    ak_jwt_times_t  times;
    uint8_t         key[AK_JWS_ID_LEN];        /* that verified it */
    ak_str_t        alg;       /* and how */
    ak_str_t        record;    /* packed, for account and session lines */
    ak_str_t        claims;    /* JSON */
    ak_str_t        jti;       /* by which it can be revoked; may be empty */
    ak_str_t        sub;
    ak_str_t        user;      /* of Open WebUI */
} ak_verified_t;

/* Its bytes once it is packed; dst has room for them. */

size_t ak_verified_size(const ak_verified_t *v);
void ak_verified_pack(const ak_verified_t *v, uint8_t *dst);

/* AK_ERROR: not what was packed.  Strings point into packed. */

ak_rc_t ak_verified_unpack(ak_str_t packed, ak_verified_t *v);


#endif /* _AK_VERIFIED_H_INCLUDED_ */
