
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _AK_FILE_H_INCLUDED_
#define _AK_FILE_H_INCLUDED_


#include "ak_diag.h"


/*
 * Reads a file that holds secrets: at most max bytes to dst, which the caller
 * wipes; *len is set.  Blocks on the disk.
 *
 * AK_ERROR: it cannot be opened or read, is no regular file, is longer than
 * max, or its mode lets the world read it, or the group or the world write it
 * (as ssh does; a group may read, since Kubernetes mounts secrets so).
 */

ak_rc_t ak_file_secret(const char *path, uint8_t *dst, size_t max,
    size_t *len, ak_diag_t *d);

/*
 * The same of a file that the world may read, as public keys are; *shared says
 * whether it may.
 */

ak_rc_t ak_file_public(const char *path, uint8_t *dst, size_t max,
    size_t *len, bool *shared, ak_diag_t *d);


#endif /* _AK_FILE_H_INCLUDED_ */
