
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_LINK_H_INCLUDED_
#define _NGX_APIKEY_LINK_H_INCLUDED_


#include "ak_redis.h"
#include "ak_store.h"
#include "ngx_apikey_dial.h"


/*
 * A worker's connection to one server that keeps itself up: ak_redis.h speaks
 * the protocol; this dials, carries its bytes, sees that the server answers,
 * and connects again, at once or after a pause that grows.
 *
 * It is the circuit breaker too: while a server is known to be down nothing
 * is sent to it but the handshake of the next attempt.
 */

typedef struct ngx_apikey_link_s  ngx_apikey_link_t;


typedef enum {
    NGX_APIKEY_LINK_IS_DOWN = 0,
    NGX_APIKEY_LINK_IS_LOST,
    NGX_APIKEY_LINK_IS_UP
} ngx_apikey_link_is_e;


/* Who one is to a server; the password is wiped with the cycle. */

typedef struct {
    ak_str_t           user;
    ngx_str_t          file;           /* ends with a zero; empty: none */
    ngx_str_t          password;       /* a secret */
    ngx_uint_t         unread;         /* the file could not be read again */
} ngx_apikey_login_t;


/*
 * At configuration: reads the file (empty: there is none), relative to that of
 * nginx.  It is read again for each connection.  NGX_ERROR: logged.
 */

ngx_int_t ngx_apikey_login_init(ngx_conf_t *cf, ngx_apikey_login_t *login,
    ak_str_t user, ak_str_t file, const char *option);


typedef struct {
    const char          *what;         /* is at the other end, for the log */
    ngx_apikey_login_t  *login;
    unsigned             db;
    unsigned             flags;        /* AK_REDIS_READONLY and so on */
    ngx_msec_t           connect_timeout;
    ngx_msec_t           timeout;      /* without any reply */
    ngx_msec_t           ping;         /* one is sent after so long without a
                                          reply; 0: never */
    ngx_uint_t           quiet;        /* its state is somebody else's news */
    ngx_uint_t           judged;       /* ngx_apikey_link_good() says that it
                                          is of use, and not the handshake */

    /*
     * The server has accepted the handshake; the connection is over or could
     * not be made, for which ngx_apikey_link_why() is the reason; a message of
     * a subscription.  Each may be NULL.  They may send and leave; only the
     * first two may aim the link at others, none may free it.
     */

    void               (*ready)(void *data);
    void               (*lost)(void *data);
    void               (*message)(void *data, const ak_reply_t *reply);
    void                *data;
} ngx_apikey_link_conf_t;


/*
 * A link to the peers, which are tried in turn; conf, peers and log outlive
 * it.  It does nothing yet.  NULL: no memory.
 */

ngx_apikey_link_t *ngx_apikey_link_create(ngx_apikey_link_conf_t *conf,
    ngx_apikey_peer_t *peers, ngx_uint_t n, ngx_log_t *log);

/* Closes it first; handlers are called with NULL.  NULL is nothing. */

void ngx_apikey_link_free(ngx_apikey_link_t *link);

/* Begins to connect, and to stay so, after a delay of milliseconds. */

void ngx_apikey_link_start(ngx_apikey_link_t *link, ngx_msec_t delay);

/*
 * From now on to these peers, beginning with the first, or with the one after
 * the last one that was tried: what there is, is closed.  Not in a handler.
 */

void ngx_apikey_link_aim(ngx_apikey_link_t *link, ngx_apikey_peer_t *peers,
    ngx_uint_t n, ngx_uint_t next);

/*
 * The server is of no use as it is: closes the connection, and tries the next
 * peer, or again after a pause.
 */

void ngx_apikey_link_leave(ngx_apikey_link_t *link, const char *why);

/* The server is what its owner wants. */

void ngx_apikey_link_good(ngx_apikey_link_t *link);

/*
 * Sends a command.  The handler is called once, never before this returns:
 * with the reply, or with NULL when the connection was lost.  NULL: the server
 * is known to be down; the handler is not called.
 *
 * A command that comes while the connection is being made waits for it.
 */

ak_redis_ticket_t *ngx_apikey_link_send(ngx_apikey_link_t *link,
    const ak_str_t *argv, size_t argc, ak_redis_handler_pt handler,
    void *data);

/* The handler will not be called any more. */

void ngx_apikey_link_cancel(ngx_apikey_link_t *link,
    ak_redis_ticket_t *ticket);

/* Whether the handshake was accepted; whether a command would be taken. */

ngx_uint_t ngx_apikey_link_ready(ngx_apikey_link_t *link);
ngx_uint_t ngx_apikey_link_usable(ngx_apikey_link_t *link);

/*
 * How it stands: up; lost, and made again; or known to be down, which it is
 * until it has been up once.  Since when (ngx_current_msec) it is up or not.
 */

ngx_apikey_link_is_e ngx_apikey_link_is(ngx_apikey_link_t *link);
ngx_msec_t ngx_apikey_link_since(ngx_apikey_link_t *link);

/* When the last reply came, or since when one is waited for. */

ngx_msec_t ngx_apikey_link_heard(ngx_apikey_link_t *link);

/* The peer in use, or the last one that was; why it is not. */

ngx_apikey_peer_t *ngx_apikey_link_peer(ngx_apikey_link_t *link);
const char *ngx_apikey_link_why(ngx_apikey_link_t *link);

/* The address that it is connected to; NULL: to none. */

ngx_addr_t *ngx_apikey_link_addr(ngx_apikey_link_t *link);


#endif /* _NGX_APIKEY_LINK_H_INCLUDED_ */
