
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CONF_H_INCLUDED_
#define _AK_CONF_H_INCLUDED_


#include "ak_diag.h"


/*
 * A configuration in nginx's form, told apart into its statements: words that
 * end with ";" or "{", and "}".  Quotes, backslashes and comments are as
 * nginx has them; what words mean is somebody else's business.
 */

#define AK_CONF_WORDS_MAX  128


typedef enum {
    AK_CONF_STATEMENT = 0,     /* words and ";" */
    AK_CONF_BLOCK,             /* words and "{" */
    AK_CONF_CLOSE              /* "}", no words */
} ak_conf_e;


typedef struct {

    /* by the caller */

    ak_str_t   text;
    uint8_t   *buf;            /* of text.len bytes, for words */

    /* the statement */

    ak_conf_e  type;
    unsigned   line;           /* of its end, as nginx tells it */
    ak_str_t   words[AK_CONF_WORDS_MAX];
    size_t     n;

    /* the library's own; zero at first */

    size_t     pos;
    size_t     used;
    unsigned   lines;          /* whose ends have been passed */
} ak_conf_t;


/*
 * The next statement.  AK_NOT_FOUND: there is none any more.
 * AK_ERROR: not of that form; the diagnostic says why, d->line where.
 */

ak_rc_t ak_conf_next(ak_conf_t *c, ak_diag_t *d);


#endif /* _AK_CONF_H_INCLUDED_ */
