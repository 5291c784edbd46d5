
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_KEYRING_H_INCLUDED_
#define _AK_KEYRING_H_INCLUDED_


#include "ak_crypt.h"
#include "ak_diag.h"


/*
 * The keyring: lines "master <base64 of 32 bytes>", of which the first seals
 * and all open, and at most one "pepper <base64 of 32 bytes>"; "#" begins
 * a comment line, blank lines are nothing.
 */

#define AK_KID_LEN          4          /* bytes; in text 8 hex digits */
#define AK_KEYRING_MASTERS  8          /* at most */
#define AK_KEYRING_MAX      65536      /* bytes of the file, at most */


typedef struct ak_keyring_s  ak_keyring_t;


/*
 * Reads the text of a keyring.  NULL: refused; the diagnostic has the line and
 * the reason, and no byte of a secret.  The caller wipes the text.
 */

ak_keyring_t *ak_keyring_parse(ak_str_t text, ak_diag_t *d);

/*
 * Reads a keyring file.  Refused beside what ak_keyring_parse() refuses: a
 * file that the world can read or the group or the world can write, and what
 * is no regular file.  Blocks on the disk.
 */

ak_keyring_t *ak_keyring_load(const char *path, ak_diag_t *d);

/* Wipes and frees; NULL is nothing. */

void ak_keyring_free(ak_keyring_t *k);

/*
 * Makes the text of a new keyring with one master key and a pepper: at most
 * AK_KEYRING_TEXT_MAX bytes to dst, which the caller wipes; *len is set.
 */

#define AK_KEYRING_TEXT_MAX  512

ak_rc_t ak_keyring_make(char *dst, size_t *len);

/* How many master keys there are, and the kid of the n-th. */

size_t ak_keyring_masters(const ak_keyring_t *k);
const uint8_t *ak_keyring_kid(const ak_keyring_t *k, size_t n);

/* The opener of the master key with that kid; NULL: not in this keyring. */

ak_gcm_t *ak_keyring_opener(const ak_keyring_t *k,
    const uint8_t kid[AK_KID_LEN]);

/* The first master key's sealer, and its kid; NULL: there is no master. */

ak_gcm_t *ak_keyring_sealer(const ak_keyring_t *k, uint8_t kid[AK_KID_LEN]);

/* HMAC under the pepper; NULL: the keyring has none. */

ak_hmac_t *ak_keyring_pepper(const ak_keyring_t *k);


#endif /* _AK_KEYRING_H_INCLUDED_ */
