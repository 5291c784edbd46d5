
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_REDIS_ERROR_H_INCLUDED_
#define _AK_REDIS_ERROR_H_INCLUDED_


#include "ak_resp.h"


/* The one table of what a server says instead of an answer. */

typedef enum {
    AK_REDIS_ERROR_NONE = 0,           /* it is no error */
    AK_REDIS_ERROR_OTHER,
    AK_REDIS_ERROR_MOVED,
    AK_REDIS_ERROR_ASK,
    AK_REDIS_ERROR_TRYAGAIN,
    AK_REDIS_ERROR_CLUSTERDOWN,
    AK_REDIS_ERROR_CROSSSLOT,
    AK_REDIS_ERROR_READONLY,
    AK_REDIS_ERROR_LOADING,
    AK_REDIS_ERROR_MASTERDOWN,
    AK_REDIS_ERROR_NOAUTH,
    AK_REDIS_ERROR_WRONGPASS,
    AK_REDIS_ERROR_NOPERM,
    AK_REDIS_ERROR_OOM,
    AK_REDIS_ERROR_MISCONF,
    AK_REDIS_ERROR_NOREPLICAS,
    AK_REDIS_ERROR_BUSY,               /* a script runs */
    AK_REDIS_ERROR_WRONGTYPE,
    AK_REDIS_ERRORS
} ak_redis_error_e;


/* What is to be done about one. */

typedef enum {
    AK_REDIS_DO_ANSWER = 0,            /* it is the answer, hand it on */
    AK_REDIS_DO_REDIRECT,              /* ask the node that it names */
    AK_REDIS_DO_RETRY,                 /* ask again in a moment */
    AK_REDIS_DO_LEAVE,                 /* the server is of no use now */
    AK_REDIS_DO_TELL                   /* the operator must do something */
} ak_redis_do_e;


typedef struct {
    ak_str_t       code;               /* "MOVED" */
    ak_redis_do_e  action;
    const char    *advice;             /* a clause for the operator, or NULL */
} ak_redis_error_t;


/* Which error a reply is; an error of no known code is OTHER. */

ak_redis_error_e ak_redis_error(const ak_reply_t *reply);

const ak_redis_error_t *ak_redis_error_get(ak_redis_error_e error);

/*
 * "MOVED 3999 127.0.0.1:6381" and "ASK ...": the slot and the node.  The host
 * is a view of the reply, IPv6 without brackets (the last ":" parts the port);
 * an empty one is that of the node which was asked.  AK_ERROR: not of this
 * shape, or the host is "?", which is unknown; nothing is set.
 */

ak_rc_t ak_redis_error_redirect(const ak_reply_t *reply, unsigned *slot,
    ak_str_t *host, unsigned *port);

/*
 * What the server says in words, for a log: cut, with "?" for what cannot be
 * shown, and without the arguments that some servers repeat, which may be
 * secret.  text has room for AK_REDIS_ERROR_TEXT_MAX bytes, with its zero.
 */

#define AK_REDIS_ERROR_TEXT_MAX  101

void ak_redis_error_text(const ak_reply_t *reply, char *text);


#endif /* _AK_REDIS_ERROR_H_INCLUDED_ */
