
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_HELD_H_INCLUDED_
#define _AK_HELD_H_INCLUDED_


#include "ak_env.h"


/*
 * A secret that the configuration names, in an environment variable or a file,
 * and that is wanted with every request.  It is held as two halves, one of them
 * random, which together are the secret: no piece of it lies in memory.  What
 * seals it must not depend on a keyring, which there may not be.
 */

typedef struct {
    uint8_t  *pad;
    uint8_t  *masked;
    size_t    len;             /* of the secret */
} ak_held_t;


/* Whether a text is "env:NAME" or "file:PATH", whatever they are. */

bool ak_held_is_env(ak_str_t from);
bool ak_held_is_file(ak_str_t from);

/*
 * Reads it.  "from" ends with a zero, and a PATH is absolute.  One new line, or
 * one space, at the end is not part of it.  Blocks on the disk.
 * AK_ERROR: it is neither; there is no such variable or file; what
 * ak_file_secret() refuses; it is empty, beyond AK_SECRET_MAX or not visible
 * ASCII.  The diagnostic names the variable or the file.
 */

ak_rc_t ak_held_read(ak_held_t *held, ak_str_t from, ak_site_t *site,
    ak_diag_t *d);

/* The secret to dst, held->len bytes, which the caller wipes. */

void ak_held_open(const ak_held_t *held, uint8_t *dst);


#endif /* _AK_HELD_H_INCLUDED_ */
