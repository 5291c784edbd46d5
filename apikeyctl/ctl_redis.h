
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_REDIS_H_INCLUDED_
#define _CTL_REDIS_H_INCLUDED_


#include "ak_redis.h"
#include "ctl.h"


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


/* Reads the words of --store into ctl->conf. */

ctl_status_e ctl_redis_conf(ctl_t *ctl);

/* The same, and opens the store into ctl->redis. */

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

ak_reply_t *ctl_reply_copy(const ak_reply_t *reply);
void ctl_reply_free(ak_reply_t *reply);

/*
 * The parts of it, for pipelines: commands of which each waits for its reply,
 * which come in order and end with the handler's call.  ctl_redis_wait() gives
 * every reply the time of one command.  Failures are yet to be told, by the
 * first two below.
 */

typedef void (*ctl_reply_pt)(void *data, size_t i, const ak_reply_t *reply);

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


/* A sorted list of names (ctl_scan.c). */

typedef struct {
    char    **names;
    size_t    n;
    size_t    size;
} ctl_names_t;

void ctl_names_free(ctl_names_t *names);

/*
 * The store's keys that begin with its prefix and with the two strings, each
 * once, found with SCAN, so that the server goes on serving.
 */

ctl_status_e ctl_redis_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin,
    ctl_names_t *names);

/*
 * HGETALL of every name, pipelined.  The handler is called in order, its reply
 * ends with the call, and is NULL where it was larger than any record.
 */

ctl_status_e ctl_redis_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);

/*
 * Changes a hash so that nobody else's change is lost or undone
 * (ctl_change.c): decide() sees what ctl_redis_hash() gave and sets a command
 * of that one key (*argc 0: there is nothing to do, as must be with NULL),
 * which is run if the key is still what decide() saw; else decide() is asked
 * again.  A status of its own other than CTL_DONE ends it.
 */

#define CTL_ARGV_MAX  (2 + 2 * AK_RECORD_FIELDS_MAX)

typedef ctl_status_e (*ctl_decide_pt)(void *data, const ak_reply_t *reply,
    ak_str_t *argv, size_t *argc);

ctl_status_e ctl_redis_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data);


#endif /* _CTL_REDIS_H_INCLUDED_ */
