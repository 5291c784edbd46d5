
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_FILE_H_INCLUDED_
#define _CTL_FILE_H_INCLUDED_


#include "ctl_store.h"


/*
 * The embedded store (see ak_fline.h), as ctl_store.h has it.
 *
 * Whoever changes the file holds a lock on a file beside it, PATH.lock, since
 * the file itself is replaced: a whole new one is written and synchronised,
 * then renamed, so that a reader, or whoever comes after a crash, finds the
 * old one or the new one.  Lines that are not changed stay as they are, byte
 * for byte, also those that are damaged; marks that have ended go.
 */

ctl_status_e ctl_file_open(ctl_t *ctl);
void ctl_file_close(ctl_t *ctl);

/* Reads the file as it is now; one that is not there has no lines. */

ctl_status_e ctl_file_load(ctl_t *ctl);

ctl_status_e ctl_file_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply);
ctl_status_e ctl_file_remove(ctl_t *ctl, const ak_str_t *argv, size_t argc,
    int64_t *n);
ctl_status_e ctl_file_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin,
    ctl_names_t *names);
ctl_status_e ctl_file_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);
ctl_status_e ctl_file_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data);
ctl_status_e ctl_file_change_all(ctl_t *ctl, const ctl_names_t *names,
    ctl_next_pt next, ctl_decide_pt decide, void *data);
ctl_status_e ctl_file_add(ctl_t *ctl, ctl_entry_t *entries, size_t n);


#endif /* _CTL_FILE_H_INCLUDED_ */
