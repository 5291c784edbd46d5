
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_apikey_fleet.h"


/*
 * The nodes of a cluster and the map that says which of them serves a key.
 * The map is asked for from any node that answers, from the configured ones at
 * the beginning; again where a node is lost or says that it moved a slot, soon
 * while something is missing, and now and then.
 */

#define NGX_APIKEY_CLUSTER_SOON    50       /* milliseconds */
#define NGX_APIKEY_CLUSTER_AGAIN   300
#define NGX_APIKEY_CLUSTER_IDLE    10000
#define NGX_APIKEY_CLUSTER_NAMED   60000    /* a node in no map is kept, */
#define NGX_APIKEY_CLUSTER_GUESTS  16       /*   and so many of them */


static ngx_int_t ngx_apikey_cluster_start(ngx_apikey_redis_t *redis);
static void ngx_apikey_cluster_stop(ngx_apikey_redis_t *redis);
static ngx_apikey_node_t *ngx_apikey_cluster_node(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ngx_int_t *rc);
static void ngx_apikey_cluster_lost(ngx_apikey_node_t *node);
static ngx_int_t ngx_apikey_cluster_redirect(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ak_redis_error_e error, const ak_reply_t *reply);

static void ngx_apikey_cluster_guide_ready(void *data);
static void ngx_apikey_cluster_guide_lost(void *data);
static void ngx_apikey_cluster_refresh(ngx_apikey_redis_t *redis,
    ngx_msec_t delay);
static void ngx_apikey_cluster_refresh_handler(ngx_event_t *ev);
static ngx_apikey_link_t *ngx_apikey_cluster_any(ngx_apikey_redis_t *redis);
static void ngx_apikey_cluster_slots(void *data, const ak_reply_t *reply);
static ngx_apikey_node_t *ngx_apikey_cluster_find(ngx_apikey_redis_t *redis,
    ak_str_t host, unsigned port);
static ngx_apikey_node_t *ngx_apikey_cluster_at(ngx_apikey_redis_t *redis,
    ak_str_t host, unsigned port);
static ngx_uint_t ngx_apikey_cluster_guests(ngx_apikey_redis_t *redis);
static ngx_apikey_node_t *ngx_apikey_cluster_number(ngx_apikey_redis_t *redis,
    int number);
static ngx_int_t ngx_apikey_cluster_sync(ngx_apikey_redis_t *redis);
static ngx_uint_t ngx_apikey_cluster_whole(ngx_apikey_redis_t *redis);
static void ngx_apikey_cluster_sweep_handler(ngx_event_t *ev);


const ngx_apikey_topology_t  ngx_apikey_topology_cluster = {
    ngx_apikey_cluster_start,
    ngx_apikey_cluster_stop,
    ngx_apikey_cluster_node,
    ngx_apikey_cluster_lost,
    ngx_apikey_cluster_redirect
};


static ngx_int_t
ngx_apikey_cluster_start(ngx_apikey_redis_t *redis)
{
    ngx_apikey_link_conf_t  *conf;

    redis->map = ak_cluster_create();
    if (redis->map == NULL) {
        return NGX_ERROR;
    }

    conf = &redis->guide_conf;

    ngx_apikey_redis_link_conf(redis, conf);

    conf->what = "the redis cluster";
    conf->flags = AK_REDIS_WIDE;
    conf->judged = 1;
    conf->ready = ngx_apikey_cluster_guide_ready;
    conf->lost = ngx_apikey_cluster_guide_lost;
    conf->data = redis;

    redis->guide = ngx_apikey_link_create(conf, redis->hosts, redis->nhosts,
                                          redis->log);
    if (redis->guide == NULL) {
        return NGX_ERROR;
    }

    redis->refresh.handler = ngx_apikey_cluster_refresh_handler;
    redis->refresh.data = redis;
    redis->refresh.log = redis->log;
    redis->refresh.cancelable = 1;

    redis->sweep.handler = ngx_apikey_cluster_sweep_handler;
    redis->sweep.data = redis;
    redis->sweep.log = redis->log;

    ngx_apikey_link_start(redis->guide, 1);

    return NGX_OK;
}


static void
ngx_apikey_cluster_stop(ngx_apikey_redis_t *redis)
{
    if (redis->refresh.timer_set) {
        ngx_del_timer(&redis->refresh);
    }

    if (redis->sweep.posted) {
        ngx_delete_posted_event(&redis->sweep);
    }

    ngx_apikey_link_free(redis->guide);
    redis->guide = NULL;

    if (redis->table != NULL) {
        ngx_free(redis->table);
        redis->table = NULL;
        redis->ntable = 0;
    }

    ak_cluster_free(redis->map);
    redis->map = NULL;
}


static ngx_apikey_node_t *
ngx_apikey_cluster_node(ngx_apikey_redis_t *redis, ngx_apikey_query_t *q,
    ngx_int_t *rc)
{
    ngx_apikey_node_t  *node;

    *rc = NGX_DECLINED;

    if (!redis->loaded) {

        if (redis->guide != NULL && ngx_apikey_link_usable(redis->guide)) {
            *rc = NGX_AGAIN;
        }

        return NULL;
    }

    if (redis->store->replicas) {
        node = ngx_apikey_cluster_number(redis,
                              ak_cluster_node(redis->map, q->slot,
                                        1 + (unsigned) (redis->turn++ % 64)));

        if (node != NULL && ngx_apikey_link_usable(node->link)) {
            return node;
        }
    }

    node = ngx_apikey_cluster_number(redis,
                                     ak_cluster_node(redis->map, q->slot, 0));

    if (node == NULL) {
        ngx_apikey_cluster_refresh(redis, NGX_APIKEY_CLUSTER_SOON);
    }

    return node;
}


/*
 * One that is in no map, and is lost, is asked no more.  What was read from it
 * was watched until now.
 */

static void
ngx_apikey_cluster_lost(ngx_apikey_node_t *node)
{
    ngx_apikey_redis_t *redis = node->redis;

    ngx_apikey_cluster_refresh(redis, NGX_APIKEY_CLUSTER_SOON);

    if (!node->kept && node->named) {
        ngx_apikey_watch_end(node);

        node->named = 0;
        ngx_post_event(&redis->sweep, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_apikey_cluster_redirect(ngx_apikey_redis_t *redis, ngx_apikey_query_t *q,
    ak_redis_error_e error, const ak_reply_t *reply)
{
    ak_str_t            host;
    unsigned            slot, port;
    ngx_str_t          *asked;
    ngx_apikey_node_t  *node;

    if (error == AK_REDIS_ERROR_TRYAGAIN) {
        return NGX_OK;
    }

    ngx_apikey_cluster_refresh(redis, NGX_APIKEY_CLUSTER_SOON);

    if (error == AK_REDIS_ERROR_CLUSTERDOWN) {
        ngx_apikey_redis_tell(redis, error, reply);
        return NGX_OK;
    }

    if (ak_redis_error_redirect(reply, &slot, &host, &port) != AK_OK) {
        return NGX_DECLINED;
    }

    if (host.len == 0) {
        asked = &q->node->peers[0].host;
        host = ak_str(asked->data, asked->len);
    }

    node = ngx_apikey_cluster_find(redis, host, port);

    if (node == NULL
        && ngx_apikey_cluster_guests(redis) < NGX_APIKEY_CLUSTER_GUESTS)
    {
        node = ngx_apikey_node_create(redis, NULL, 0, host, port);
    }

    if (node == NULL) {
        return NGX_DECLINED;
    }

    node->named = 1;
    node->when = ngx_current_msec;

    if (error == AK_REDIS_ERROR_ASK) {
        q->asking = 1;

    } else if (ak_cluster_moved(redis->map, slot, host, port) == AK_OK) {
        (void) ngx_apikey_cluster_sync(redis);
    }

    q->target = node;

    return NGX_OK;
}


static void
ngx_apikey_cluster_guide_ready(void *data)
{
    ngx_apikey_redis_t *redis = data;

    if (!redis->loaded) {
        ngx_apikey_cluster_refresh(redis, 1);
    }
}


static void
ngx_apikey_cluster_guide_lost(void *data)
{
    ngx_apikey_redis_t *redis = data;

    if (!redis->stopped && !redis->loaded) {
        ngx_apikey_redis_unpark(redis);
    }
}


/* No later than that. */

static void
ngx_apikey_cluster_refresh(ngx_apikey_redis_t *redis, ngx_msec_t delay)
{
    ngx_msec_int_t  since;

    if (redis->stopped) {
        return;
    }

    since = (ngx_msec_int_t) (ngx_current_msec - redis->asked);

    if (redis->asked != 0 && since < NGX_APIKEY_CLUSTER_AGAIN / 2) {
        delay = ngx_max(delay, NGX_APIKEY_CLUSTER_AGAIN / 2);
    }

    if (redis->refresh.timer_set) {

        if ((ngx_msec_int_t) (redis->refresh.timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) delay)
        {
            return;
        }

        ngx_del_timer(&redis->refresh);
    }

    ngx_add_timer(&redis->refresh, delay);
}


static void
ngx_apikey_cluster_refresh_handler(ngx_event_t *ev)
{
    ngx_apikey_redis_t *redis = ev->data;

    ak_str_t            argv[2];
    ngx_apikey_link_t  *link;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (redis->asking == NULL) {
        argv[0] = ak_literal("CLUSTER");
        argv[1] = ak_literal("SLOTS");

        link = ngx_apikey_cluster_any(redis);

        if (link != NULL
            && ngx_apikey_link_send(link, argv, 2, ngx_apikey_cluster_slots,
                                    redis)
               != NULL)
        {
            redis->asking = link;
            redis->asked = ngx_current_msec;
        }
    }

    ngx_add_timer(ev, ngx_apikey_cluster_whole(redis)
                      ? NGX_APIKEY_CLUSTER_IDLE : NGX_APIKEY_CLUSTER_AGAIN);
}


/* A link that is ready, another one each time. */

static ngx_apikey_link_t *
ngx_apikey_cluster_any(ngx_apikey_redis_t *redis)
{
    ngx_queue_t        *q;
    ngx_apikey_node_t  *node;

    if (redis->guide != NULL && !redis->loaded) {
        return ngx_apikey_link_ready(redis->guide) ? redis->guide : NULL;
    }

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        if (ngx_apikey_link_ready(node->link)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&redis->nodes, q);
            return node->link;
        }
    }

    return (redis->guide != NULL && ngx_apikey_link_ready(redis->guide))
           ? redis->guide : NULL;
}


static void
ngx_apikey_cluster_slots(void *data, const ak_reply_t *reply)
{
    ngx_apikey_redis_t *redis = data;

    ak_rc_t             rc;
    ngx_str_t          *host;
    ngx_apikey_link_t  *link;

    link = redis->asking;
    redis->asking = NULL;

    if (reply == NULL || redis->stopped) {
        return;
    }

    host = &ngx_apikey_link_peer(link)->host;

    rc = ak_cluster_update(redis->map, reply, ak_str(host->data, host->len));

    if (rc == AK_OK && ngx_apikey_cluster_sync(redis) == NGX_OK) {
        if (link == redis->guide) {
            ngx_apikey_link_good(link);
        }

        redis->loaded = 1;
        redis->guide_conf.quiet = 1;

        ngx_apikey_redis_unpark(redis);
        return;
    }

    if (reply->type == AK_REPLY_ERROR) {
        ngx_apikey_redis_tell(redis, ak_redis_error(reply), reply);
    }

    if (link == redis->guide) {
        ngx_apikey_link_leave(link, (rc == AK_ERROR)
                              ? "it says no map of a cluster"
                              : "it refuses to say the map of the cluster");
    }
}


static ngx_apikey_node_t *
ngx_apikey_cluster_find(ngx_apikey_redis_t *redis, ak_str_t host,
    unsigned port)
{
    ngx_queue_t        *q;
    ngx_apikey_node_t  *node;

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        if (ngx_apikey_node_is(node, host, port)) {
            return node;
        }
    }

    return NULL;
}


static ngx_apikey_node_t *
ngx_apikey_cluster_at(ngx_apikey_redis_t *redis, ak_str_t host, unsigned port)
{
    ngx_apikey_node_t  *node;

    node = ngx_apikey_cluster_find(redis, host, port);

    if (node == NULL) {
        node = ngx_apikey_node_create(redis, NULL, 0, host, port);
    }

    return node;
}


/*
 * How many nodes are there that no map has: each has connections, and the words
 * of a server that is mad or lies are without a number.
 */

static ngx_uint_t
ngx_apikey_cluster_guests(ngx_apikey_redis_t *redis)
{
    ngx_uint_t          n;
    ngx_queue_t        *q;
    ngx_apikey_node_t  *node;

    n = 0;

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);
        n += !node->kept;
    }

    return n;
}


static ngx_apikey_node_t *
ngx_apikey_cluster_number(ngx_apikey_redis_t *redis, int number)
{
    return (number < 0 || (ngx_uint_t) number >= redis->ntable)
           ? NULL : redis->table[number];
}


/*
 * The table is made after the map: of its masters, and of all where replicas
 * are read from.  What is not in it any more is freed when nobody uses it.
 */

static ngx_int_t
ngx_apikey_cluster_sync(ngx_apikey_redis_t *redis)
{
    int                  i, n;
    ngx_queue_t         *q;
    ak_cluster_node_t    at;
    ngx_apikey_node_t   *node, **table;

    n = ak_cluster_nodes(redis->map);

    table = ngx_calloc(ngx_max(n, 1) * sizeof(ngx_apikey_node_t *),
                       redis->log);
    if (table == NULL) {
        return NGX_ERROR;
    }

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        /* that others named one that leaves the map is from before */

        if (node->kept) {
            node->kept = 0;
            node->named = 0;
        }
    }

    for (i = 0; i < n; i++) {
        at = ak_cluster_node_get(redis->map, i);

        if (at.host.len == 0 || (!at.master && !redis->store->replicas)) {
            continue;
        }

        node = ngx_apikey_cluster_at(redis, at.host, at.port);

        if (node != NULL) {
            node->kept = 1;
            table[i] = node;
        }
    }

    if (redis->table != NULL) {
        ngx_free(redis->table);
    }

    redis->table = table;
    redis->ntable = (ngx_uint_t) n;

    ngx_post_event(&redis->sweep, &ngx_posted_events);

    return NGX_OK;
}


/* Whether all slots are served by nodes that answer. */

static ngx_uint_t
ngx_apikey_cluster_whole(ngx_apikey_redis_t *redis)
{
    ngx_uint_t  i;

    if (!redis->loaded || ak_cluster_missing(redis->map) != 0) {
        return 0;
    }

    for (i = 0; i < redis->ntable; i++) {

        if (redis->table[i] != NULL
            && !ngx_apikey_link_ready(redis->table[i]->link))
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_apikey_cluster_sweep_handler(ngx_event_t *ev)
{
    ngx_apikey_redis_t *redis = ev->data;

    ngx_queue_t         *q, *next, *e;
    ngx_apikey_node_t   *node;
    ngx_apikey_query_t  *query;

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = next)
    {
        next = ngx_queue_next(q);
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        if (node->kept
            || (node->named
                && ngx_current_msec - node->when < NGX_APIKEY_CLUSTER_NAMED))
        {
            continue;
        }

        /* a query that was told to ask it has to find another */

        for (e = ngx_queue_head(&redis->queries);
             e != ngx_queue_sentinel(&redis->queries);
             e = ngx_queue_next(e))
        {
            query = ngx_queue_data(e, ngx_apikey_query_t, queue);

            if (query->target == node) {
                query->target = NULL;
                query->asking = 0;
            }
        }

        ngx_apikey_node_free(node);
    }

    ngx_apikey_watch_recount(redis);
}
