
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_RESP_H_INCLUDED_
#define _AK_RESP_H_INCLUDED_


#include "ak.h"


/*
 * RESP2 (the Redis serialization protocol, version 2) over hiredis as a codec;
 * this is the only file that knows hiredis, 0.14 or 1.x.
 */

#define AK_RESP_BULK_MAX      65536    /* bytes of one string */
#define AK_RESP_REPLY_MAX     262144   /* bytes of one whole reply */
#define AK_RESP_ELEMENTS_MAX  4096     /* of one array */


typedef enum {
    AK_REPLY_STATUS,
    AK_REPLY_ERROR,
    AK_REPLY_INTEGER,
    AK_REPLY_STRING,
    AK_REPLY_NIL,
    AK_REPLY_ARRAY
} ak_reply_e;


typedef struct ak_reply_s {
    ak_reply_e           type;
    ak_str_t             str;          /* status, error, string */
    int64_t              integer;
    size_t               n;            /* array */
    struct ak_reply_s  **elements;
} ak_reply_t;


typedef struct ak_resp_s  ak_resp_t;


/*
 * A reader of replies; NULL: no memory.  The limits above hold for every
 * reply: whoever sends more is cut off, not fed.
 */

ak_resp_t *ak_resp_create(void);
void ak_resp_free(ak_resp_t *r);

/*
 * Wider limits, for what grows with the number of servers or of keys that
 * change at once: the map of a cluster, messages of what changed.
 */

#define AK_RESP_WIDE_REPLY_MAX     8388608
#define AK_RESP_WIDE_ELEMENTS_MAX  131072

void ak_resp_widen(ak_resp_t *r);

/* Takes bytes in.  AK_ERROR: a limit was passed, or no memory. */

ak_rc_t ak_resp_feed(ak_resp_t *r, const void *data, size_t len);

/*
 * The next whole reply, which the caller frees.  AK_AGAIN: not all of it has
 * come yet.  AK_ERROR: no RESP2, or beyond a limit; the reader is of no
 * more use.
 */

ak_rc_t ak_resp_next(ak_resp_t *r, ak_reply_t **reply);

/* After AK_ERROR: what was wrong, in words that hold nothing of the reply. */

const char *ak_resp_error(const ak_resp_t *r);

/* Wipes and frees; NULL is nothing. */

void ak_reply_free(ak_reply_t *reply);

/*
 * Appends the command to *buf (malloc'ed, of *size bytes, *len used, grown as
 * needed).  AK_NO_MEMORY leaves all as it was.
 */

ak_rc_t ak_resp_format(uint8_t **buf, size_t *len, size_t *size,
    const ak_str_t *argv, size_t argc);


#endif /* _AK_RESP_H_INCLUDED_ */
