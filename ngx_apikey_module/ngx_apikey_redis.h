
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_REDIS_H_INCLUDED_
#define _NGX_APIKEY_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ak_redis.h"
#include "ak_store.h"


/*
 * A worker's client of Redis: one server, the master that sentinels name, or
 * a cluster.  Whoever asks does not see which.
 */

typedef struct ngx_apikey_redis_s  ngx_apikey_redis_t;


/*
 * At configuration: reads passwords and certificates.  The store's strings
 * outlive the cycle's pool or are of it.  NULL: logged, with the directive's
 * place.
 */

ngx_apikey_redis_t *ngx_apikey_redis_create(ngx_conf_t *cf,
    ak_store_conf_t *store);

/*
 * When all has been read: names are looked up each time with the resolver, or
 * now where there is none (NULL).
 */

ngx_int_t ngx_apikey_redis_resolve(ngx_conf_t *cf, ngx_apikey_redis_t *redis,
    ngx_resolver_t *resolver, ngx_msec_t timeout);

/* In a worker that has just started: begins to connect; waits for nothing. */

void ngx_apikey_redis_start(ngx_apikey_redis_t *redis, ngx_cycle_t *cycle);

/* In a worker that exits: closes, waiters are called with NULL. */

void ngx_apikey_redis_stop(ngx_apikey_redis_t *redis);

/*
 * Asks for one key, which is the command's first argument.  The handler is
 * called once, never before this returns: with the reply, or with NULL when
 * so many milliseconds have passed or the server cannot be reached.
 * NGX_DECLINED: it is known that it cannot; the handler is not called.
 *
 * Within the time the command is sent again where a connection was lost or
 * another server is to be asked; with NGX_APIKEY_REDIS_ONCE only where it is
 * sure that it was not executed.
 */

#define NGX_APIKEY_REDIS_ONCE   0x1
#define NGX_APIKEY_REDIS_QUIET  0x2    /* that it is refused is no news */

ngx_int_t ngx_apikey_redis_query(ngx_apikey_redis_t *redis,
    const ak_str_t *argv, size_t argc, ngx_msec_t timeout, ngx_uint_t flags,
    ak_redis_handler_pt handler, void *data);


/* How a worker's connections stand, for people: ngx_apikey_status.c. */

typedef struct {
    const char          *role;         /* "server", "master", "node" are read
                                          from; "sentinel", "seed" are not */
    ngx_str_t            address;      /* "HOST:PORT"; of the client */
    const char          *state;        /* "up", "lost" (it is made again),
                                          "down" */
    ngx_msec_t           since;        /* so many milliseconds ago */
    const char          *why;          /* it is not up, else empty */
} ngx_apikey_server_t;


typedef struct {
    ngx_uint_t           healthy;      /* a query would reach its server */
    ngx_uint_t           waiting;      /* queries */
} ngx_apikey_state_t;


/*
 * Calls the handler for each server; what it is passed is gone when it
 * returns.  It may not use the client.
 */

typedef void (*ngx_apikey_server_pt)(void *data,
    const ngx_apikey_server_t *server);

void ngx_apikey_redis_status(ngx_apikey_redis_t *redis,
    ngx_apikey_state_t *state, ngx_apikey_server_pt handler, void *data);


#endif /* _NGX_APIKEY_REDIS_H_INCLUDED_ */
