
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_KEY_H_INCLUDED_
#define _AK_KEY_H_INCLUDED_


#include "ak_diag.h"
#include "ak_hash.h"


/*
 * Client keys.
 *
 * Native: "sk-", brands "acme-", 12 base62 of id, 32 base62 of secret, 6
 * base62 of the CRC-32 (ISO 3309, as in zlib) of all before them, the most
 * significant digit first; base62 is 0-9A-Za-z.  190 bits of the secret are
 * random.  Foreign: whatever another system made, 8 to 512 visible ASCII
 * characters; its id is "h" and the first 32 hex digits of
 * HMAC-SHA-256(pepper, "id" || key).
 */

#define AK_KEY_ID_LEN          12
#define AK_KEY_SECRET_LEN      32
#define AK_KEY_CHECKSUM_LEN    6
#define AK_KEY_TAIL_LEN        50
#define AK_KEY_FOREIGN_ID_LEN  33


typedef enum {
    AK_KEY_NATIVE,
    AK_KEY_FOREIGN,
    AK_KEY_BAD_CHECKSUM,       /* native in shape, mistyped or made up */
    AK_KEY_BAD                 /* length or characters of no key */
} ak_key_form_e;


/* On AK_KEY_NATIVE *id is set to the id inside the key. */

ak_key_form_e ak_key_parse(ak_str_t key, ak_str_t *id);

/*
 * The id of a foreign key, AK_KEY_FOREIGN_ID_LEN bytes to dst.
 * AK_ERROR: the keyring is NULL or has no pepper.
 */

ak_rc_t ak_key_foreign_id(ak_str_t key, const ak_keyring_t *keyring,
    uint8_t *dst);

/*
 * Keys of which other applications have an unsalted hash and no more, see
 * ak_hash.h: their records are found by an id that is made of that hash, "h"
 * and the first 32 hex digits of HMAC-SHA-256(pepper, "sha3-256" || sum), or
 * "sha256" || sum.
 *
 * ak_key_weak() gives the algorithm that the shape of a key stands for: 64
 * letters and digits (Laminar), "sk-" and 22 letters of base64url (LiteLLM);
 * 0 for any other, so that no other key is ever looked for so.
 */

ak_hash_alg_e ak_key_weak(ak_str_t key);

/*
 * The id that belongs to a sum of AK_SHA256_LEN bytes, AK_KEY_FOREIGN_ID_LEN
 * bytes to dst.  AK_ERROR: the algorithm is not a weak one, or there is no
 * pepper.
 */

ak_rc_t ak_key_weak_id(ak_hash_alg_e alg, const uint8_t *sum,
    const ak_keyring_t *keyring, uint8_t *dst);

/*
 * Makes a native key.  brand is "" or letters [a-z0-9-] of at most 32 bytes
 * without "-" at its ends.  Writes at most AK_KEY_MADE_MAX bytes to dst, which
 * the caller wipes, and sets *len.
 * AK_ERROR: the brand is of another form, or there is no randomness.
 */

#define AK_KEY_MADE_MAX  (3 + 32 + 1 + AK_KEY_TAIL_LEN)

ak_rc_t ak_key_make(ak_str_t brand, uint8_t *dst, size_t *len, ak_diag_t *d);

/*
 * Whether the letters can be the id of a record: base62, 1 to AK_ID_MAX of
 * them.  Store keys and log lines are made of ids that passed here.
 */

bool ak_key_id_valid(ak_str_t id);


#endif /* _AK_KEY_H_INCLUDED_ */
