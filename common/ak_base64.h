
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_BASE64_H_INCLUDED_
#define _AK_BASE64_H_INCLUDED_


#include "ak.h"


/*
 * RFC 4648: sections 4 (base64, padded) and 5 (base64url, here never padded).
 *
 * Decoding is strict, so that one value has one spelling: no white space, no
 * foreign letter, the exact padding, and zero trailing bits (section 3.5).
 */

typedef enum {
    AK_BASE64,
    AK_BASE64URL
} ak_base64_e;


#define ak_base64url_encoded_len(n)  (((n) * 4 + 2) / 3)
#define ak_base64_encoded_len(n)     (((n) + 2) / 3 * 4)
#define ak_base64_decoded_max(n)     (((n) + 3) / 4 * 3)


/* Writes to dst, which has room for the encoded length; returns that. */

size_t ak_base64_encode(ak_base64_e variant, ak_str_t src, uint8_t *dst);

/*
 * Writes to dst, which has room for ak_base64_decoded_max(src.len) bytes, and
 * sets *len.  AK_ERROR: not in the variant's strict form; dst then holds
 * an undefined part of the value.
 */

ak_rc_t ak_base64_decode(ak_base64_e variant, ak_str_t src, uint8_t *dst,
    size_t *len);


#endif /* _AK_BASE64_H_INCLUDED_ */
