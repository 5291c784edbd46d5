
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_SEAL_H_INCLUDED_
#define _AK_SEAL_H_INCLUDED_


#include "ak_keyring.h"


/*
 * Sealed tokens: "ak1.<kid>.<nonce>.<ciphertext+tag>", kid in hex, the rest in
 * base64url without padding; AES-256-GCM with a random 96-bit nonce and the
 * associated data "ak1|<owner>|<provider>|<slot>", so that a token opens only
 * in the place that it was sealed for.
 *
 * In caches a token is kept in its binary form: kid, nonce, ciphertext, tag.
 */

#define AK_SEALED_MIN        (AK_KID_LEN + AK_GCM_IV_LEN + AK_GCM_TAG_LEN)
#define AK_SEALED_MAX        (AK_SEALED_MIN + AK_SECRET_MAX)
#define AK_SEALED_TEXT_MAX   (AK_SEALED_MAX * 4 / 3 + 16)


/* Where a token belongs; provider and slot have no '|'. */

typedef struct {
    ak_str_t  owner;           /* "*": the shared keys */
    ak_str_t  provider;
    ak_str_t  slot;
} ak_place_t;


/*
 * Seals the secret with the keyring's first master key: writes the text of
 * the token to dst, which has room for AK_SEALED_TEXT_MAX bytes, and sets
 * *len.  AK_ERROR: no master key, a secret that is empty, beyond AK_SECRET_MAX
 * or not visible ASCII (it becomes a header), or names beyond AK_NAME_MAX.
 */

ak_rc_t ak_seal(const ak_keyring_t *k, const ak_place_t *place,
    ak_str_t secret, uint8_t *dst, size_t *len, ak_diag_t *d);

/*
 * The binary form of a token's text: at most AK_SEALED_MAX bytes to dst, *len
 * is set.  AK_ERROR: not a token.
 */

ak_rc_t ak_seal_decode(ak_str_t text, uint8_t *dst, size_t *len);

/* How long the secret inside a binary token is. */

#define ak_seal_secret_len(sealed)  ((sealed).len - AK_SEALED_MIN)

/*
 * Opens a binary token into dst, ak_seal_secret_len() bytes, which the caller
 * wipes.  AK_KID_UNKNOWN: sealed under a master key that is not in this
 * keyring.  AK_ERROR: damaged, or moved from another place, or the secret
 * cannot stand in a header.  On failure dst holds nothing of the secret.
 */

ak_rc_t ak_seal_open(const ak_keyring_t *k, const ak_place_t *place,
    ak_str_t sealed, uint8_t *dst);


#endif /* _AK_SEAL_H_INCLUDED_ */
