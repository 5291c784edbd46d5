
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_REPLACE_H_INCLUDED_
#define _CTL_REPLACE_H_INCLUDED_


#include <sys/stat.h>

#include "ctl.h"


/*
 * Files that are replaced as a whole, so that whoever reads one sees the old
 * one or the new one: under a lock, by a file beside it that is renamed when it
 * is on the disk.  Failures are told, and leave the file as it is.
 */

typedef struct {
    const char         *what;          /* it is, for messages */
    const char         *path;
    const struct stat  *old;           /* of the one there; NULL: none is */
    mode_t              mode;          /* of a new one */
    ctl_status_e        failed;        /* the status of a failure */
} ctl_replace_t;


/*
 * A link is another name of a file, and not the file: *path, which is the
 * caller's and was made by ctl_strdup(), becomes what it leads to.
 */

ctl_status_e ctl_replace_link(const char *what, ctl_status_e failed,
    char **path);

/* Waits for its turn.  The descriptor, whose closing ends it; -1: told. */

int ctl_replace_lock(const ctl_replace_t *r);

/*
 * Puts what put() writes in the place of the file, with the mode of the old one
 * and whose it is; the lock must be held.
 */

typedef ctl_status_e (*ctl_put_pt)(const void *data, int fd);

ctl_status_e ctl_replace(const ctl_replace_t *r, ctl_put_pt put,
    const void *data);

/* All of the text, or CTL_REFUSED and errno; not told. */

ctl_status_e ctl_write_all(int fd, ak_str_t text);

/* The name of a new file is on the disk only when its folder is. */

void ctl_sync_folder(const char *path);


#endif /* _CTL_REPLACE_H_INCLUDED_ */
