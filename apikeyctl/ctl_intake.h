
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_INTAKE_H_INCLUDED_
#define _CTL_INTAKE_H_INCLUDED_


#include "ctl_bar.h"
#include "ctl_rows.h"


/* What imports share: rows are taken in and counted, bad ones are told. */

typedef struct {
    ctl_t       *ctl;
    ctl_rows_t  *rows;
    uint64_t     imported;
    uint64_t     there;
    uint64_t     skipped;
    ctl_bar_t    bar;
} ctl_intake_t;


/* Takes the rows over, which ctl_intake_end() closes. */

void ctl_intake_begin(ctl_intake_t *in, ctl_t *ctl, ctl_rows_t *rows);
void ctl_intake_end(ctl_intake_t *in);

/* A bad row is told by its number and what is wrong, never by its bytes. */

void ctl_intake_bad(ctl_intake_t *in, unsigned number, const char *why);

/*
 * Hands every row to row(), whose AK_ERROR says that it is bad, and calls
 * flush() behind each, and with "last" behind the last one; a status of its own
 * ends the import.
 */

typedef ak_rc_t (*ctl_intake_row_pt)(void *data, const ctl_row_t *row,
    ak_diag_t *d);
typedef ctl_status_e (*ctl_intake_flush_pt)(void *data, bool last);

ctl_status_e ctl_intake_run(ctl_intake_t *in, ctl_intake_row_pt row,
    ctl_intake_flush_pt flush, void *data);


#endif /* _CTL_INTAKE_H_INCLUDED_ */
