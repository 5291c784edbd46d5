
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_KEYRING_EDIT_H_INCLUDED_
#define _AK_KEYRING_EDIT_H_INCLUDED_


#include "ak_keyring.h"


/*
 * Changes of the text of a keyring, a line of a master key each.  Whatever
 * else the text has, comments, the pepper, other master keys and their order,
 * stays as it is, byte for byte.
 *
 * The new text is written to dst, which has room for AK_KEYRING_MAX bytes and
 * is not the text; *len is set.  It has been read: it is a keyring.  The caller
 * wipes both texts.  On failure dst holds nothing, and the diagnostic has the
 * reason, and no byte of a secret.
 */

/*
 * Adds a fresh random master key before all others, so that it seals, or
 * behind them, so that it opens only; kid is set.  AK_ERROR: the text is no
 * keyring, it has AK_KEYRING_MASTERS already, or there is no randomness.
 */

ak_rc_t ak_keyring_add(ak_str_t text, bool first, uint8_t *dst, size_t *len,
    uint8_t kid[AK_KID_LEN], ak_diag_t *d);

/*
 * Moves the master key with that kid before all others, so that it seals.
 * AK_NOT_FOUND: there is none.
 */

ak_rc_t ak_keyring_promote(ak_str_t text, const uint8_t kid[AK_KID_LEN],
    uint8_t *dst, size_t *len, ak_diag_t *d);

/*
 * Removes the master key with that kid.  AK_NOT_FOUND: there is none.
 * AK_ERROR: it is the only one.
 */

ak_rc_t ak_keyring_remove(ak_str_t text, const uint8_t kid[AK_KID_LEN],
    uint8_t *dst, size_t *len, ak_diag_t *d);


#endif /* _AK_KEYRING_EDIT_H_INCLUDED_ */
