
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_REDIS_H_INCLUDED_
#define _CTL_REDIS_H_INCLUDED_


#include "ak_redis.h"
#include "ctl_store.h"


/*
 * The store, asked and waited for.  Every wait has a deadline, those of the
 * store's configuration; a failure is told and is CTL_STORE.
 */

/* What came of waiting, and a session with what went wrong. */

typedef enum {
    CTL_WIRE_OK = 0,
    CTL_WIRE_DOWN,                     /* refused, closed, late */
    CTL_WIRE_GARBLED                   /* an answer that cannot be used */
} ctl_wire_e;


struct ctl_redis_s {
    int          fd;
    ak_redis_t  *session;
    ak_diag_t    why;
};


/* Opens the store of ctl->conf into ctl->redis. */

ctl_status_e ctl_redis_open(ctl_t *ctl);
void ctl_redis_close(ctl_t *ctl);

/*
 * One command.  The reply is the caller's, to be freed with ctl_reply_free().
 * An error reply is told and is CTL_STORE, but for WRONGTYPE, which says
 * something of the key rather than of the store and is handed on.
 */

ctl_status_e ctl_redis_call(ctl_t *ctl, const ak_str_t *argv, size_t argc,
    ak_reply_t **reply);

/* HGETALL likewise; *reply is NULL where it was larger than any record. */

ctl_status_e ctl_redis_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply);

/*
 * The parts of it, for pipelines: commands of which each waits for its reply,
 * which come in order and end with the handler's call.  ctl_redis_wait() gives
 * every reply the time of one command.  Failures are yet to be told, by the
 * first two below.
 */

typedef struct {
    ctl_reply_pt  handler;
    void         *data;
    size_t        sent;
    size_t        done;
} ctl_batch_t;

ctl_status_e ctl_redis_failed(const ctl_t *ctl, const char *why);
ctl_status_e ctl_redis_refused(const ctl_t *ctl, ak_str_t command,
    ak_str_t message);

ctl_wire_e ctl_redis_send(ctl_redis_t *c, ctl_batch_t *b, const ak_str_t *argv,
    size_t argc);
ctl_wire_e ctl_redis_wait(ctl_t *ctl, ctl_batch_t *b);


/* As those of ctl_store.h; SCAN lets the server go on serving. */

ctl_status_e ctl_redis_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin,
    ctl_names_t *names);

ctl_status_e ctl_redis_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);

/* The same; what the server refuses is handed on too, as an error. */

ctl_status_e ctl_redis_look(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);

/* ctl_change.c */

ctl_status_e ctl_redis_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data);

/* The same, with what is there read in another way than by HGETALL. */

typedef ctl_status_e (*ctl_redis_read_pt)(ctl_t *ctl, ak_str_t key,
    ak_reply_t **reply);

ctl_status_e ctl_redis_change_by(ctl_t *ctl, ctl_redis_read_pt read,
    ak_str_t key, ctl_decide_pt decide, void *data);

ctl_status_e ctl_redis_add(ctl_t *ctl, ctl_entry_t *entries, size_t n);

/* ctl_redis_mark.c */

ctl_status_e ctl_redis_mark_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);

ctl_status_e ctl_redis_mark_change(ctl_t *ctl, ak_str_t key,
    ctl_decide_pt decide, void *data);


#endif /* _CTL_REDIS_H_INCLUDED_ */
