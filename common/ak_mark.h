
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_MARK_H_INCLUDED_
#define _AK_MARK_H_INCLUDED_


#include "ak_diag.h"
#include "ak_view.h"


/*
 * What says in a store that tokens are revoked: a mark, whose name behind the
 * store's prefix is AK_MARK_SPACE and a handle, a claim of a token:
 *
 *   revoked:jti:<jti>    the token with this "jti"
 *   revoked:sub:<sub>    those of this "sub", or owner, that were issued at or
 *                        before the time that the mark says
 */

#define AK_MARK_SPACE      "revoked:"
#define AK_MARK_CLAIM_MAX  255         /* bytes of a jti or sub */
#define AK_MARK_NAME_MAX   (sizeof("jti:") - 1 + AK_MARK_CLAIM_MAX)


/*
 * Whether the text of a claim can be a handle: 1 to AK_MARK_CLAIM_MAX bytes,
 * none of them a control character, so that it can stand in a log, and be
 * written down by an operator.  A token with another one is refused.
 */

bool ak_mark_claim_valid(ak_str_t s);

/* Whether it is "jti:" or "sub:" and a handle. */

bool ak_mark_name_valid(ak_str_t name);

/*
 * The time that a mark says: Unix seconds, perhaps with a fraction, which is
 * left out.  AK_ERROR: it is none; then nobody can tell which tokens are good,
 * and none is.
 */

ak_rc_t ak_mark_time(ak_str_t text, int64_t *at);


/* A mark as fields "at" and "expires", as the embedded store has it. */

typedef struct {
    ak_str_t  at;                      /* a view of the field */
    int64_t   expires;                 /* Unix seconds; 0: never */
} ak_mark_t;

/*
 * Reads fields; those that are unknown are passed over.  AK_ERROR: "at" is
 * missing or no time, or "expires" is none, and the diagnostic says which;
 * what could be read is set.
 */

ak_rc_t ak_mark_parse(const ak_field_t *fields, size_t n, ak_mark_t *mark,
    ak_diag_t *d);

/* Whether it has ended, so that it says nothing any more. */

bool ak_mark_ended(const ak_mark_t *mark, int64_t now);


#endif /* _AK_MARK_H_INCLUDED_ */
