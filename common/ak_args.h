
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_ARGS_H_INCLUDED_
#define _AK_ARGS_H_INCLUDED_


#include "ak_diag.h"
#include "ak_mem.h"
#include "ak_view.h"


/*
 * The arguments of a stack's line, as data: a module declares what it takes,
 * and one reader serves all of them.
 */

typedef enum {
    AK_ARG_END = 0,
    AK_ARG_TEXT,               /* NAME=VALUE -> ak_str_t, never empty */
    AK_ARG_LIST,               /* NAME=A,B -> ak_words_t, none of them empty */
    AK_ARG_NUMBER,             /* NAME=DIGITS -> int64_t, up to 10^9 */
    AK_ARG_SPAN,               /* NAME=10s -> int64_t, milliseconds */
    AK_ARG_CHOICE,             /* NAME=WORD -> unsigned, the index in words */
    AK_ARG_FLAG,               /* NAME -> bool */
    AK_ARG_WORDS,              /* bare words -> ak_words_t; without PAIRS also
                                  what has a '=', but no name before it */
    AK_ARG_PAIRS               /* any other NAME=VALUE -> ak_pairs_t */
} ak_arg_e;


typedef struct {
    ak_arg_e         type;
    ak_str_t         name;     /* WORDS, PAIRS: what they are, for messages */
    size_t           offset;   /* in the line's configuration */
    const ak_str_t  *words;    /* of CHOICE; ends with one of len 0 */
    const char      *help;     /* half a sentence */
} ak_arg_t;


typedef struct {
    ak_str_t        *list;
    size_t           n;
} ak_words_t;


typedef struct {
    ak_field_t      *list;
    size_t           n;
} ak_pairs_t;


/*
 * Reads words into conf by the schema, which ends with AK_ARG_END (NULL: the
 * module takes none).  Strings are copied to mem, with
 * a zero behind them.  What is not given is left
 * as it is.
 * AK_ERROR: an unknown or repeated argument, or a bad value; the diagnostic
 * names the word.
 */

ak_rc_t ak_args_read(void *conf, const ak_arg_t *schema, ak_mem_t *mem,
    const ak_str_t *words, size_t n, ak_diag_t *d);


#endif /* _AK_ARGS_H_INCLUDED_ */
