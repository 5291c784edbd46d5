
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_ZONE_H_INCLUDED_
#define _NGX_HTTP_APIKEY_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ak.h"
#include "ngx_http_apikey_module.h"


/*
 * The cache that all workers share: what the store said of a key, packed, with
 * the time it was said.  It holds salted hashes and sealed tokens, no secrets.
 */

#define NGX_HTTP_APIKEY_ZONE_MIN  (8 * ngx_pagesize)


typedef struct {
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;
    ngx_queue_t                   queue;       /* last used first */
} ngx_http_apikey_zone_sh_t;


struct ngx_http_apikey_zone_s {
    ngx_http_apikey_zone_sh_t    *sh;
    ngx_slab_pool_t              *shpool;
    ngx_msec_t                    ttl;
    ngx_msec_t                    negative_ttl;
    ngx_msec_t                    stale;
};


typedef enum {
    NGX_HTTP_APIKEY_ZONE_FRESH,        /* rc and value are what was said */
    NGX_HTTP_APIKEY_ZONE_BUSY,         /* another worker is asking */
    NGX_HTTP_APIKEY_ZONE_MISS          /* the caller is to ask */
} ngx_http_apikey_zone_e;


ngx_int_t ngx_http_apikey_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/*
 * Looks a key up.  A value is copied to value, which has room for AK_VALUE_MAX
 * bytes.  After MISS others are told BUSY until the caller stores or releases
 * the key, or "wait" milliseconds have passed.
 */

ngx_http_apikey_zone_e ngx_http_apikey_zone_lookup(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash,
    ngx_msec_t wait, ak_rc_t *rc, u_char *value, size_t *len);

/* What was said last and no longer than "stale" ago; NGX_DECLINED: nothing. */

ngx_int_t ngx_http_apikey_zone_stale(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash, u_char *value, size_t *len);

/*
 * Keeps what the store said: AK_OK and a value, AK_NOT_FOUND, or AK_ERROR (it
 * cannot be read).  Where the zone is full, what was not used for longest goes.
 */

void ngx_http_apikey_zone_store(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ak_rc_t rc, ak_str_t value);

/*
 * Takes a token of the bucket of that key, which is made where there is none.
 * NGX_ERROR: the zone is full of what is newer.
 */

ngx_int_t ngx_http_apikey_zone_rate(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash, const ak_rate_t *rate,
    ak_allowance_t *allowance);

/* The store did not say. */

void ngx_http_apikey_zone_release(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash);


#endif /* _NGX_HTTP_APIKEY_ZONE_H_INCLUDED_ */
