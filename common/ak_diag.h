
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_DIAG_H_INCLUDED_
#define _AK_DIAG_H_INCLUDED_


#include "ak.h"


#define AK_DIAG_MAX  384


/*
 * Why some input was refused, in words for the person who wrote it.  Whoever
 * fills it in never copies a byte of a secret into it.
 */

typedef struct {
    unsigned  line;                    /* of the file; 0: not of a file */
    char      text[AK_DIAG_MAX];       /* ends with a zero */
} ak_diag_t;


/*
 * Sets the text, cut to what fits, and returns AK_ERROR, so that a parser can
 * "return ak_diag(d, ...)".  d may be NULL.  The line is left as it is.
 */

ak_rc_t ak_diag(ak_diag_t *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* For "%.*s" with an ak_str_t; cut at 64 bytes. */

#define AK_FMT(s)  ((int) ((s).len > 64 ? 64 : (s).len)), \
                   ((const char *) (s).data)


#endif /* _AK_DIAG_H_INCLUDED_ */
