
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ak_sentinel.h"
#include "ngx_apikey_fleet.h"


/*
 * One master, and sentinels that know which it is.  A connection to one of them
 * asks, and then is told; whenever the master is lost another one is asked.
 */

#define NGX_APIKEY_SENTINEL_PING   1000   /* milliseconds */
#define NGX_APIKEY_SENTINEL_AGAIN  500


static ngx_int_t ngx_apikey_sentinel_start(ngx_apikey_redis_t *redis);
static void ngx_apikey_sentinel_stop(ngx_apikey_redis_t *redis);
static ngx_apikey_node_t *ngx_apikey_sentinel_node(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ngx_int_t *rc);
static void ngx_apikey_sentinel_lost(ngx_apikey_node_t *node);
static void ngx_apikey_sentinel_next(ngx_apikey_redis_t *redis);
static void ngx_apikey_sentinel_again(ngx_event_t *ev);
static ngx_int_t ngx_apikey_sentinel_redirect(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ak_redis_error_e error, const ak_reply_t *reply);

static void ngx_apikey_sentinel_ready(void *data);
static void ngx_apikey_sentinel_gone(void *data);
static void ngx_apikey_sentinel_address(void *data, const ak_reply_t *reply);
static void ngx_apikey_sentinel_subscribed(void *data,
    const ak_reply_t *reply);
static void ngx_apikey_sentinel_message(void *data, const ak_reply_t *reply);
static void ngx_apikey_sentinel_master(ngx_apikey_redis_t *redis,
    ak_str_t host, unsigned port);


const ngx_apikey_topology_t  ngx_apikey_topology_sentinel = {
    ngx_apikey_sentinel_start,
    ngx_apikey_sentinel_stop,
    ngx_apikey_sentinel_node,
    ngx_apikey_sentinel_lost,
    ngx_apikey_sentinel_redirect
};


static ngx_int_t
ngx_apikey_sentinel_start(ngx_apikey_redis_t *redis)
{
    ngx_apikey_link_conf_t  *conf;

    conf = &redis->guide_conf;

    ngx_apikey_redis_link_conf(redis, conf);

    conf->what = "sentinel";
    conf->login = &redis->sentinel_login;
    conf->db = 0;
    conf->ping = NGX_APIKEY_SENTINEL_PING;
    conf->judged = 1;
    conf->ready = ngx_apikey_sentinel_ready;
    conf->lost = ngx_apikey_sentinel_gone;
    conf->message = ngx_apikey_sentinel_message;
    conf->data = redis;

    redis->guide = ngx_apikey_link_create(conf, redis->hosts, redis->nhosts,
                                          redis->log);
    if (redis->guide == NULL) {
        return NGX_ERROR;
    }

    redis->refresh.handler = ngx_apikey_sentinel_again;
    redis->refresh.data = redis;
    redis->refresh.log = redis->log;
    redis->refresh.cancelable = 1;

    ngx_apikey_link_start(redis->guide, 1);

    return NGX_OK;
}


static void
ngx_apikey_sentinel_stop(ngx_apikey_redis_t *redis)
{
    if (redis->refresh.timer_set) {
        ngx_del_timer(&redis->refresh);
    }

    ngx_apikey_link_free(redis->guide);
    redis->guide = NULL;
}


/*
 * Where the master was lost just now, what a sentinel says of it is waited for:
 * the new one may be there already.
 */

static ngx_apikey_node_t *
ngx_apikey_sentinel_node(ngx_apikey_redis_t *redis, ngx_apikey_query_t *q,
    ngx_int_t *rc)
{
    *rc = NGX_DECLINED;

    if (redis->master != NULL
        && (!redis->unsure || ngx_apikey_link_usable(redis->master->link)))
    {
        return redis->master;
    }

    if (redis->guide != NULL && ngx_apikey_link_usable(redis->guide)) {
        *rc = NGX_AGAIN;
        return NULL;
    }

    return redis->master;
}


/*
 * Asked again, and another one: this one may be cut off from the rest.  One
 * that is being connected to will be asked anyway.
 */

static void
ngx_apikey_sentinel_lost(ngx_apikey_node_t *node)
{
    ngx_apikey_redis_t *redis = node->redis;

    if (redis->guide == NULL) {
        return;
    }

    /* once for each sentinel: one of them may not answer at all */

    if (redis->losses < redis->nhosts) {
        redis->losses++;
        redis->unsure = 1;
    }

    ngx_apikey_sentinel_next(redis);

    if (!redis->refresh.timer_set) {
        ngx_add_timer(&redis->refresh, NGX_APIKEY_SENTINEL_AGAIN);
    }
}


/* One that has not answered yet is not left for that. */

static void
ngx_apikey_sentinel_next(ngx_apikey_redis_t *redis)
{
    if (ngx_apikey_link_ready(redis->guide) && !redis->pending) {
        ngx_apikey_link_aim(redis->guide, redis->hosts, redis->nhosts, 1);
    }
}


/*
 * The sentinel that leads a switch-over names the new master at once, but tells
 * of it when the other replicas follow: so they are asked as long as there is
 * no master.
 */

static void
ngx_apikey_sentinel_again(ngx_event_t *ev)
{
    ngx_apikey_redis_t *redis = ev->data;

    if (ngx_exiting || ngx_terminate || ngx_quit
        || redis->master == NULL
        || ngx_apikey_link_ready(redis->master->link))
    {
        return;
    }

    ngx_apikey_sentinel_next(redis);

    ngx_add_timer(ev, NGX_APIKEY_SENTINEL_AGAIN);
}


static ngx_int_t
ngx_apikey_sentinel_redirect(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ak_redis_error_e error, const ak_reply_t *reply)
{
    return NGX_DECLINED;
}


/* To ask and then to subscribe: in between nothing can be missed for long. */

static void
ngx_apikey_sentinel_ready(void *data)
{
    ngx_apikey_redis_t *redis = data;

    ak_str_t  argv[3];

    argv[0] = ak_literal("SENTINEL");
    argv[1] = ak_literal("GET-MASTER-ADDR-BY-NAME");
    argv[2] = redis->store->sentinel;

    redis->pending = (ngx_apikey_link_send(redis->guide, argv, 3,
                                           ngx_apikey_sentinel_address, redis)
                      != NULL);

    argv[0] = ak_literal("SUBSCRIBE");
    argv[1] = ak_literal(AK_SENTINEL_CHANNEL);

    (void) ngx_apikey_link_send(redis->guide, argv, 2,
                                ngx_apikey_sentinel_subscribed, redis);
}


static void
ngx_apikey_sentinel_gone(void *data)
{
    ngx_apikey_redis_t *redis = data;

    if (!redis->stopped) {
        ngx_apikey_redis_unpark(redis);
    }
}


static void
ngx_apikey_sentinel_address(void *data, const ak_reply_t *reply)
{
    ngx_apikey_redis_t *redis = data;

    ak_str_t  host;
    unsigned  port;

    redis->pending = 0;

    if (reply == NULL) {
        return;
    }

    switch (ak_sentinel_address(reply, &host, &port)) {

    case AK_OK:
        ngx_apikey_link_good(redis->guide);
        ngx_apikey_sentinel_master(redis, host, port);
        return;

    case AK_NOT_FOUND:
        ngx_apikey_link_leave(redis->guide, "it knows no master of the name "
                              "in \"sentinel=\"");
        return;

    case AK_UNAVAILABLE:
        ngx_apikey_link_leave(redis->guide, "it refuses to name the master");
        return;

    default:
        ngx_apikey_link_leave(redis->guide, "it is no sentinel");
        return;
    }
}


/* Without being told the loss of the master is what tells. */

static void
ngx_apikey_sentinel_subscribed(void *data, const ak_reply_t *reply)
{
    ngx_apikey_redis_t *redis = data;

    if (reply != NULL && reply->type == AK_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "apikey: a sentinel refuses to subscribe to \"%s\": a "
                      "switch-over is noticed when the master is lost",
                      AK_SENTINEL_CHANNEL);
    }
}


static void
ngx_apikey_sentinel_message(void *data, const ak_reply_t *reply)
{
    ngx_apikey_redis_t *redis = data;

    ak_str_t           host;
    unsigned           port;
    const ak_reply_t  *payload;

    payload = reply->elements[2];

    if (payload->type == AK_REPLY_STRING
        && ak_sentinel_switch(payload->str, redis->store->sentinel, &host,
                              &port)
           == AK_OK)
    {
        ngx_apikey_sentinel_master(redis, host, port);
    }
}


static void
ngx_apikey_sentinel_master(ngx_apikey_redis_t *redis, ak_str_t host,
    unsigned port)
{
    redis->unsure = 0;

    if (redis->master == NULL) {
        redis->master = ngx_apikey_node_create(redis, NULL, 0, host, port);

    } else if (!ngx_apikey_node_is(redis->master, host, port)) {

        if (ngx_apikey_node_move(redis->master, host, port) == NGX_OK) {
            redis->losses = 0;

            ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                          "apikey: the master of redis is %V now",
                          &redis->master->peers[0].text);
        }
    }

    ngx_apikey_redis_unpark(redis);
}
