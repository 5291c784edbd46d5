
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
 * A worker's connection to Redis on nginx's own events.  ak_redis.h speaks the
 * protocol; this carries its bytes, keeps the time and reconnects.
 */

typedef struct ngx_apikey_redis_s  ngx_apikey_redis_t;


/*
 * At configuration: resolves the address, reads the password.  The store's
 * strings outlive the cycle's pool or are of it.  NULL: logged, with the
 * directive's place.
 */

ngx_apikey_redis_t *ngx_apikey_redis_create(ngx_conf_t *cf,
    ak_store_conf_t *store);

/* In a worker that has just started: begins to connect; waits for nothing. */

void ngx_apikey_redis_start(ngx_apikey_redis_t *redis, ngx_cycle_t *cycle);

/* In a worker that exits: closes, waiters are called with NULL. */

void ngx_apikey_redis_stop(ngx_apikey_redis_t *redis);

/*
 * Sends a command.  The handler is called once, never before this returns:
 * with the reply, or with NULL when "timeout" has passed or the connection
 * was lost.  NULL: Redis is known to be down; the handler is not called.
 *
 * A command that comes while the connection is being made waits for it, within
 * its own deadline.
 */

ak_redis_ticket_t *ngx_apikey_redis_query(ngx_apikey_redis_t *redis,
    const ak_str_t *argv, size_t argc, ak_redis_handler_pt handler,
    void *data);

/* The handler will not be called any more. */

void ngx_apikey_redis_cancel(ngx_apikey_redis_t *redis,
    ak_redis_ticket_t *ticket);


#endif /* _NGX_APIKEY_REDIS_H_INCLUDED_ */
