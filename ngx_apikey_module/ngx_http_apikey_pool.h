
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_POOL_H_INCLUDED_
#define _NGX_HTTP_APIKEY_POOL_H_INCLUDED_


#include "ak_pool.h"
#include "ngx_http_apikey_module.h"


/*
 * What the zone knows of the slots of upstream keys: see ak_pool.h, whose
 * clock is ngx_current_msec.
 */

/* AK_NEED_SLOTS of ctx: answered at once. */

void ngx_http_apikey_pool_lookup(ngx_http_apikey_ctx_t *ctx);

/*
 * The provider answered the key that was put in for ctx; header and data are
 * those of ak_pool_wait().
 */

void ngx_http_apikey_pool_learn(ngx_http_apikey_ctx_t *ctx,
    ak_outcome_e outcome, ak_pool_header_pt header, void *data);


/*
 * For the status page: a shared slot, or all that owners have of their own for
 * a provider, of whom nothing more is told.
 */

typedef struct {
    ngx_str_t                     provider;
    ngx_str_t                     slot;        /* len 0: owners' */
    ngx_uint_t                    slots;
    ngx_uint_t                    refused;     /* of them, now */
    ngx_uint_t                    cooling;
    uint64_t                      ready;       /* milliseconds until one is */
    ak_slot_state_t               total;       /* the counts */
} ngx_http_apikey_slots_t;


/* Pushes what the zone knows.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_apikey_pool_state(ngx_http_apikey_zone_t *zone,
    ngx_array_t *slots);


#endif /* _NGX_HTTP_APIKEY_POOL_H_INCLUDED_ */
