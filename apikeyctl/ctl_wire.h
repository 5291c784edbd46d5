
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_WIRE_H_INCLUDED_
#define _CTL_WIRE_H_INCLUDED_


#include "ak_redis.h"
#include "ctl_store.h"
#include "ctl_tls.h"


/* One connection to one server, asked and waited for, with deadlines. */

typedef struct {
    const ctl_tls_t  *tls;             /* NULL: none */
    ak_str_t          user;
    ak_str_t          password;
    unsigned          db;
    unsigned          flags;           /* of ak_redis_create() */
    unsigned          connect_timeout; /* ms, name to handshake */
    unsigned          timeout;         /* ms, of one command */
} ctl_wire_conf_t;


typedef struct ctl_wire_s  ctl_wire_t;

struct ctl_wire_s {
    int               fd;
    ctl_tls_conn_t   *tls;
    ak_redis_t       *session;
    char             *host;            /* of a unix socket its path */
    unsigned          port;            /* and 0 */
    unsigned          timeout;
    bool              broken;          /* of no more use */
    ak_diag_t         why;
    ctl_wire_t       *next;            /* of those that are retired */
};


/* What came of waiting. */

typedef enum {
    CTL_WIRE_OK = 0,
    CTL_WIRE_DOWN,                     /* refused, closed, late */
    CTL_WIRE_GARBLED                   /* an answer that cannot be used */
} ctl_wire_e;


/* How far opening one came. */

typedef enum {
    CTL_STAGE_CONNECT = 0,             /* no connection */
    CTL_STAGE_TLS,                     /* a connection, but no TLS */
    CTL_STAGE_LOGIN,                   /* the server refused who came */
    CTL_STAGE_READY
} ctl_stage_e;


/*
 * Opens one, every address of the host in its turn; with CTL_STAGE_READY *wire
 * is set, else why.
 */

ctl_stage_e ctl_wire_open(const ctl_wire_conf_t *conf, ak_str_t host,
    unsigned port, ctl_wire_t **wire, ak_diag_t *why);
void ctl_wire_close(ctl_wire_t *w);


/*
 * Pipelines: commands of which each waits for its reply, which come in order
 * and end with the handler's call.  ctl_wire_wait() gives every reply the time
 * of one command.  A batch that was not waited for to its end leaves a broken
 * wire.
 */

typedef struct {
    ctl_reply_pt  handler;
    void         *data;
    size_t        sent;
    size_t        done;
} ctl_batch_t;

ctl_wire_e ctl_wire_send(ctl_wire_t *w, ctl_batch_t *b, const ak_str_t *argv,
    size_t argc);
ctl_wire_e ctl_wire_wait(ctl_wire_t *w, ctl_batch_t *b);

/* ASKING, whose reply nobody wants to see. */

ctl_wire_e ctl_wire_asking(ctl_wire_t *w);

/* Writes what can be written at once, so that a server may begin. */

void ctl_wire_push(ctl_wire_t *w);

/*
 * One command.  *reply, a copy, is the caller's, NULL but for CTL_WIRE_OK.
 */

ctl_wire_e ctl_wire_ask(ctl_wire_t *w, const ak_str_t *argv, size_t argc,
    ak_reply_t **reply);


#endif /* _CTL_WIRE_H_INCLUDED_ */
