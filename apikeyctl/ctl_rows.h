
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_ROWS_H_INCLUDED_
#define _CTL_ROWS_H_INCLUDED_


#include "ctl.h"


/*
 * Rows of standard input: keys, or records of them, in one of three forms.
 * What was read is wiped when it is no longer used.
 */

typedef enum {
    CTL_ROWS_TEXT = 0,                 /* a key a line */
    CTL_ROWS_CSV,                      /* RFC 4180, with a header */
    CTL_ROWS_JSON,                     /* an object a line */
    CTL_ROWS_ANY                       /* what an application exports: JSON
                                          where it begins with "{", or CSV */
} ctl_rows_e;


/* What a column, or a member, is. */

typedef enum {
    CTL_CELL_UNKNOWN = 0,
    CTL_CELL_IGNORED,                  /* of any type, it is left out */
    CTL_CELL_TEXT,
    CTL_CELL_NEEDED                    /* CSV must have one of these */
} ctl_cell_e;

typedef ctl_cell_e (*ctl_cell_pt)(const void *data, ak_str_t name);


#define CTL_ROW_MAX      65536         /* bytes */
#define CTL_ROW_FIELDS   64


typedef struct ctl_rows_s  ctl_rows_t;


typedef struct {
    unsigned    number;                /* of its first line */
    ak_field_t  fields[CTL_ROW_FIELDS];
    size_t      n;
} ctl_row_t;


/* cell() says what a name is; "needed" is the column that must be there. */

ctl_rows_t *ctl_rows_open(ctl_rows_e form, ctl_cell_pt cell,
    const void *data, const char *needed);
void ctl_rows_close(ctl_rows_t *rows);

/* Standard input is this file from now on. */

ctl_status_e ctl_rows_input(const char *path);

/*
 * The next row, which lives until the next call.  AK_NOT_FOUND: no more.
 * AK_ERROR: a bad one, and the diagnostic says why, never with its bytes;
 * reading goes on behind it.  AK_UNAVAILABLE: the input itself is of no use.
 */

ak_rc_t ctl_rows_next(ctl_rows_t *rows, ctl_row_t *row, ak_diag_t *d);

/* Bytes read so far, and all there are (0: nobody knows). */

void ctl_rows_progress(const ctl_rows_t *rows, uint64_t *done,
    uint64_t *all);


#endif /* _CTL_ROWS_H_INCLUDED_ */
