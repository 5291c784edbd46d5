
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_ERROR_H_INCLUDED_
#define _AK_ERROR_H_INCLUDED_


#include "ak.h"


/*
 * What a stack module can answer, and why a request is refused.  The set is
 * closed: control words compile to a table indexed by it.  The order is that
 * of the table in ak_error.c, the one source of words, statuses, codes,
 * messages, metrics labels and of the list in the documentation.
 */

typedef enum {
    AK_SUCCESS = 0,
    AK_IGNORE,

    AK_MISSING,
    AK_MALFORMED,
    AK_AMBIGUOUS,
    AK_UNKNOWN,
    AK_REVOKED,
    AK_DISABLED,
    AK_EXPIRED,

    AK_JWT_MALFORMED,
    AK_JWT_ENCRYPTED,
    AK_JWT_SIGNATURE,
    AK_JWT_EXPIRED,
    AK_JWT_NOT_YET,
    AK_JWT_CLAIMS,
    AK_JWT_REVOKED,
    AK_WRONG_KIND,

    AK_FORBIDDEN,
    AK_RATE_LIMITED,
    AK_TOO_MANY_FAILURES,
    AK_STORE_UNAVAILABLE,

    AK_UPSTREAM_KEY_MISSING,
    AK_UPSTREAM_KEY_ERROR,
    AK_UPSTREAM_AUTH_FAILED,

    AK_REASON_MAX,             /* how many there are */
    AK_SUSPEND = AK_REASON_MAX /* a module's answer only: ask, call again */
} ak_reason_e;


typedef struct {
    ak_str_t      word;        /* in logs, variables and metrics */
    unsigned      status;      /* HTTP; 0 for success and ignore */
    ak_str_t      code;        /* "code" of the body */
    ak_str_t      type;        /* "type" of the body */
    ak_str_t      message;     /* for the person who reads the answer */
    unsigned      retry_after; /* seconds; 0: no Retry-After */
    bool          final;       /* "x-should-retry: false" for SDKs */
    bool          attempt;     /* a credential came and is not good: it may
                                  have been a guess */
} ak_error_t;


/* Never NULL; an unknown reason gives the row of AK_STORE_UNAVAILABLE. */

const ak_error_t *ak_error(ak_reason_e reason);

/* The reason of a word; AK_REASON_MAX where there is no such word. */

ak_reason_e ak_error_reason(ak_str_t word);


#endif /* _AK_ERROR_H_INCLUDED_ */
