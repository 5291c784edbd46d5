
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_USAGE_H_INCLUDED_
#define _NGX_HTTP_APIKEY_USAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ak.h"
#include "ngx_http_apikey_module.h"


/*
 * How often keys are used, and when last.  A worker gathers in a table of its
 * own, which every second is added to the zone's; from there it is written to
 * Redis, by one worker at a time, and a key once in an interval.
 */

#define NGX_HTTP_APIKEY_USAGE_INTERVAL  60000      /* milliseconds */
#define NGX_HTTP_APIKEY_USAGE_LEAST     1000


typedef struct {
    uint64_t                      requests;
    time_t                        last;        /* Unix seconds */
    uint32_t                      hash;
    u_char                        len;
    u_char                        id[AK_ID_MAX];
} ngx_http_apikey_used_t;


/* ngx_http_apikey_usage.c */

/* A request ends: counts it, where it was granted by the record of a key. */

void ngx_http_apikey_usage_count(ngx_http_apikey_ctx_t *ctx);

/* In a worker that starts, and in one that exits, before Redis is stopped. */

void ngx_http_apikey_usage_start(ngx_http_apikey_main_conf_t *mcf,
    ngx_cycle_t *cycle);
void ngx_http_apikey_usage_stop(ngx_http_apikey_main_conf_t *mcf);


/*
 * ngx_http_apikey_usage_zone.c: the zone's table, which has a room of its own,
 * so that it takes no place from what is cached.  Its functions take the lock
 * of the zone for short.
 */

/*
 * Makes the table where there is none; NGX_ERROR: there is no room.  "who"
 * tells one load of the configuration from the next.
 */

ngx_int_t ngx_http_apikey_usage_zone_init(ngx_http_apikey_zone_t *zone,
    ngx_uint_t who);

/* Whether nobody was loaded after "who"; without the lock. */

ngx_uint_t ngx_http_apikey_usage_newest(ngx_http_apikey_zone_t *zone,
    ngx_uint_t who);

/*
 * Adds up.  Returns how many were not, since there is no room: they are the
 * first ones of the array then.
 */

ngx_uint_t ngx_http_apikey_usage_merge(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_used_t *used, ngx_uint_t n);

/* Whether there is something to write; without the lock. */

ngx_uint_t ngx_http_apikey_usage_dirty(ngx_http_apikey_zone_t *zone);

/*
 * A turn to write: 0, it is another worker's, or nothing is due; else a number
 * for ngx_http_apikey_usage_done(), before which, or for "wait" milliseconds,
 * nobody else has one.  *refused: the last turn was, of the same "who"; others
 * do not wait because of that.  With "last" all is due that is to be written.
 */

ngx_uint_t ngx_http_apikey_usage_lease(ngx_http_apikey_zone_t *zone,
    ngx_uint_t who, ngx_uint_t last, ngx_msec_t wait, ngx_uint_t *refused);

/*
 * What is to be written now; returns how many.  A dead worker's is due again
 * an interval later.
 */

ngx_uint_t ngx_http_apikey_usage_take(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_used_t *used, ngx_uint_t max);

/* It was written, or it was not and is due at once. */

void ngx_http_apikey_usage_settle(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_used_t *used, ngx_uint_t written);

/* The end of a turn; the next one is after "pause".  refused: who was, or 0. */

void ngx_http_apikey_usage_done(ngx_http_apikey_zone_t *zone,
    ngx_uint_t lease, ngx_msec_t pause, ngx_uint_t refused);


#endif /* _NGX_HTTP_APIKEY_USAGE_H_INCLUDED_ */
