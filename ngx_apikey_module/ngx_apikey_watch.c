
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_apikey_fleet.h"


#define NGX_APIKEY_WATCH_PING      1000     /* milliseconds */
#define NGX_APIKEY_WATCH_RENEW     500
#define NGX_APIKEY_WATCH_FOREVER   10000    /* and renewed */
#define NGX_APIKEY_WATCH_MISSING   4        /* times that, before it is told */
#define NGX_APIKEY_WATCH_CHANNEL   "__redis__:invalidate"


/* The connection that watches one node. */

struct ngx_apikey_watch_s {
    ngx_apikey_node_t       *node;
    ngx_apikey_link_conf_t   conf;
    ngx_apikey_link_t       *link;
    ngx_apikey_peer_t       *peer;     /* of the node, */
    ngx_apikey_peer_t        own;      /*   and only that address of it */
    ngx_addr_t               addr;
    ngx_sockaddr_t           sockaddr;
    ngx_apikey_watch_e       how;
};


static ngx_int_t ngx_apikey_watch_place(ngx_apikey_watch_t *watch,
    ngx_apikey_link_t *link);
static void ngx_apikey_watch_ready(void *data);
static void ngx_apikey_watch_send(ngx_apikey_watch_t *watch,
    const ak_str_t *argv, size_t argc, ak_redis_handler_pt handler);
static void ngx_apikey_watch_lost(void *data);
static void ngx_apikey_watch_id(void *data, const ak_reply_t *reply);
static ngx_int_t ngx_apikey_watch_track(ngx_apikey_watch_t *watch,
    int64_t id);
static void ngx_apikey_watch_tracked(void *data, const ak_reply_t *reply);
static void ngx_apikey_watch_subscribe(ngx_apikey_watch_t *watch,
    ak_str_t channel, ak_redis_handler_pt handler);
static void ngx_apikey_watch_armed(void *data, const ak_reply_t *reply);
static void ngx_apikey_watch_fallback(ngx_apikey_watch_t *watch,
    const ak_reply_t *reply);
static ngx_uint_t ngx_apikey_watch_passes(ngx_apikey_watch_t *watch,
    const ak_reply_t *reply);
static void ngx_apikey_watch_listens(void *data, const ak_reply_t *reply);
static void ngx_apikey_watch_message(void *data, const ak_reply_t *reply);
static void ngx_apikey_watch_timer(ngx_event_t *ev);
static ngx_apikey_watch_e ngx_apikey_watch_least(ngx_apikey_redis_t *redis,
    ngx_msec_t *until);
static void ngx_apikey_watch_missing(ngx_apikey_redis_t *redis);
static void ngx_apikey_watch_tell(ngx_apikey_redis_t *redis,
    ngx_apikey_watch_e how);


void
ngx_apikey_redis_watch(ngx_apikey_redis_t *redis,
    ngx_apikey_watch_conf_t *conf)
{
    redis->watch = conf;
}


void
ngx_apikey_watch_follow(ngx_apikey_node_t *node)
{
    ngx_apikey_redis_t *redis = node->redis;

    ngx_apikey_watch_t      *watch;
    ngx_apikey_link_conf_t  *conf;

    if (redis->watch == NULL || redis->stopped) {
        return;
    }

    watch = node->watch;

    if (watch != NULL) {

        if (ngx_apikey_watch_place(watch, node->link) == NGX_OK) {
            watch->how = NGX_APIKEY_WATCH_NONE;

            ngx_apikey_link_aim(watch->link, &watch->own, 1, 0);
            ngx_apikey_watch_recount(redis);
        }

        return;
    }

    watch = ngx_calloc(sizeof(ngx_apikey_watch_t), redis->log);
    if (watch == NULL) {
        return;
    }

    watch->node = node;

    (void) ngx_apikey_watch_place(watch, node->link);

    conf = &watch->conf;

    ngx_apikey_redis_link_conf(redis, conf);

    conf->flags = AK_REDIS_WIDE;
    conf->ping = NGX_APIKEY_WATCH_PING;
    conf->quiet = 1;
    conf->ready = ngx_apikey_watch_ready;
    conf->lost = ngx_apikey_watch_lost;
    conf->message = ngx_apikey_watch_message;
    conf->data = watch;

    watch->link = ngx_apikey_link_create(conf, &watch->own, 1, redis->log);

    if (watch->link == NULL) {
        ngx_free(watch);
        return;
    }

    node->watch = watch;

    ngx_apikey_link_start(watch->link, 1);

    if (!redis->cover.begun) {
        redis->cover.begun = 1;
        redis->cover.timer.handler = ngx_apikey_watch_timer;
        redis->cover.timer.data = redis;
        redis->cover.timer.log = redis->log;
        redis->cover.timer.cancelable = 1;

        ngx_add_timer(&redis->cover.timer, NGX_APIKEY_WATCH_RENEW);
    }

    ngx_apikey_watch_recount(redis);
}


/*
 * To be watched is the server that is read from: behind one name there may be
 * several, and another one than before.  NGX_DECLINED: it is there already.
 */

static ngx_int_t
ngx_apikey_watch_place(ngx_apikey_watch_t *watch, ngx_apikey_link_t *link)
{
    ngx_addr_t         *addr;
    ngx_apikey_peer_t  *peer;

    peer = ngx_apikey_link_peer(link);
    addr = ngx_apikey_link_addr(link);

    if (addr == NULL) {
        return NGX_DECLINED;
    }

    if (watch->peer == peer
        && ngx_cmp_sockaddr(&watch->sockaddr.sockaddr, watch->addr.socklen,
                            addr->sockaddr, addr->socklen, 1)
           == NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(&watch->sockaddr, addr->sockaddr, addr->socklen);

    watch->addr.sockaddr = &watch->sockaddr.sockaddr;
    watch->addr.socklen = addr->socklen;
    watch->addr.name = peer->text;

    watch->peer = peer;
    watch->own = *peer;
    watch->own.addrs = &watch->addr;
    watch->own.naddrs = 1;

    return NGX_OK;
}


void
ngx_apikey_watch_end(ngx_apikey_node_t *node)
{
    ngx_apikey_watch_t  *watch;

    watch = node->watch;

    if (watch == NULL) {
        return;
    }

    node->watch = NULL;

    watch->conf.lost = NULL;
    ngx_apikey_link_free(watch->link);
    ngx_free(watch);

    ngx_apikey_watch_recount(node->redis);
}


void
ngx_apikey_watch_stop(ngx_apikey_redis_t *redis)
{
    if (redis->cover.timer.timer_set) {
        ngx_del_timer(&redis->cover.timer);
    }

    if (redis->watch != NULL && redis->cover.begun) {
        redis->watch->covered(redis->watch->data, NGX_APIKEY_WATCH_NONE, 0);
    }

    redis->watch = NULL;
}


/* The id is this connection's own: it tells itself. */

static void
ngx_apikey_watch_ready(void *data)
{
    ngx_apikey_watch_t *watch = data;

    ak_str_t  argv[2];

    argv[0] = ak_literal("CLIENT");
    argv[1] = ak_literal("ID");

    ngx_apikey_watch_send(watch, argv, 2, ngx_apikey_watch_id);
}


/* What cannot be asked is not watched: it is begun anew. */

static void
ngx_apikey_watch_send(ngx_apikey_watch_t *watch, const ak_str_t *argv,
    size_t argc, ak_redis_handler_pt handler)
{
    if (ngx_apikey_link_send(watch->link, argv, argc, handler, watch) == NULL)
    {
        ngx_apikey_link_leave(watch->link, "it cannot be asked");
    }
}


static void
ngx_apikey_watch_lost(void *data)
{
    ngx_apikey_watch_t *watch = data;

    /* who is never told has missed nothing */

    if (watch->how != NGX_APIKEY_WATCH_NONE
        && watch->how != NGX_APIKEY_WATCH_TTL)
    {
        watch->how = NGX_APIKEY_WATCH_NONE;
        ngx_apikey_watch_recount(watch->node->redis);
    }
}


static void
ngx_apikey_watch_id(void *data, const ak_reply_t *reply)
{
    ngx_apikey_watch_t *watch = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != AK_REPLY_INTEGER
        || ngx_apikey_watch_track(watch, reply->integer) != NGX_OK)
    {
        ngx_apikey_watch_fallback(watch, reply);
    }
}


static ngx_int_t
ngx_apikey_watch_track(ngx_apikey_watch_t *watch, int64_t id)
{
    u_char                    text[NGX_INT64_LEN];
    ak_str_t                  argv[6 + 2 * NGX_APIKEY_WATCH_PREFIXES];
    ngx_uint_t                i, n;
    ngx_apikey_watch_conf_t  *conf;

    conf = watch->node->redis->watch;

    if (conf == NULL) {
        return NGX_ERROR;
    }

    argv[0] = ak_literal("CLIENT");
    argv[1] = ak_literal("TRACKING");
    argv[2] = ak_literal("ON");
    argv[3] = ak_literal("REDIRECT");
    argv[4] = ak_str(text, ngx_sprintf(text, "%L", id) - text);
    argv[5] = ak_literal("BCAST");

    n = 6;

    for (i = 0; i < conf->nprefixes; i++) {
        argv[n++] = ak_literal("PREFIX");
        argv[n++] = conf->prefixes[i];
    }

    ngx_apikey_watch_send(watch, argv, n, ngx_apikey_watch_tracked);

    return NGX_OK;
}


static void
ngx_apikey_watch_tracked(void *data, const ak_reply_t *reply)
{
    ngx_apikey_watch_t *watch = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != AK_REPLY_STATUS) {
        ngx_apikey_watch_fallback(watch, reply);
        return;
    }

    ngx_apikey_watch_subscribe(watch, ak_literal(NGX_APIKEY_WATCH_CHANNEL),
                               ngx_apikey_watch_armed);
}


static void
ngx_apikey_watch_subscribe(ngx_apikey_watch_t *watch, ak_str_t channel,
    ak_redis_handler_pt handler)
{
    ak_str_t  argv[2];

    argv[0] = ak_literal("SUBSCRIBE");
    argv[1] = channel;

    ngx_apikey_watch_send(watch, argv, 2, handler);
}


static void
ngx_apikey_watch_armed(void *data, const ak_reply_t *reply)
{
    ngx_apikey_watch_t *watch = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != AK_REPLY_ARRAY) {
        ngx_apikey_watch_fallback(watch, reply);
        return;
    }

    watch->how = NGX_APIKEY_WATCH_TRACKING;
    ngx_apikey_watch_recount(watch->node->redis);
}


static void
ngx_apikey_watch_fallback(ngx_apikey_watch_t *watch, const ak_reply_t *reply)
{
    ngx_apikey_watch_conf_t  *conf;

    conf = watch->node->redis->watch;

    if (conf != NULL && !ngx_apikey_watch_passes(watch, reply)) {
        ngx_apikey_watch_subscribe(watch, conf->channel,
                                   ngx_apikey_watch_listens);
    }
}


/*
 * A server that is busy or loading has refused nothing: it is tried again, and
 * until then it is not watched.
 */

static ngx_uint_t
ngx_apikey_watch_passes(ngx_apikey_watch_t *watch, const ak_reply_t *reply)
{
    ak_redis_error_e  error;

    error = ak_redis_error(reply);

    switch (error) {

    case AK_REDIS_ERROR_NONE:
    case AK_REDIS_ERROR_OTHER:
    case AK_REDIS_ERROR_NOPERM:
        return 0;

    default:
        ngx_apikey_link_leave(watch->link, ak_redis_error_get(error)->advice);
        return 1;
    }
}


static void
ngx_apikey_watch_listens(void *data, const ak_reply_t *reply)
{
    ngx_apikey_watch_t *watch = data;

    if (reply == NULL || ngx_apikey_watch_passes(watch, reply)) {
        return;
    }

    watch->how = (reply->type == AK_REPLY_ARRAY) ? NGX_APIKEY_WATCH_MESSAGES
                                                 : NGX_APIKEY_WATCH_TTL;

    ngx_apikey_watch_recount(watch->node->redis);
}


/*
 * Of the server: an array of names, or nil after FLUSHALL; of apikeyctl: one
 * name, or "*" for many.  What is neither may mean any of them.
 */

static void
ngx_apikey_watch_message(void *data, const ak_reply_t *reply)
{
    ngx_apikey_watch_t *watch = data;

    size_t                    i;
    ak_str_t                  name;
    const ak_reply_t         *payload;
    ngx_apikey_watch_conf_t  *conf;

    conf = watch->node->redis->watch;

    if (conf == NULL) {
        return;
    }

    payload = reply->elements[2];

    if (payload->type == AK_REPLY_STRING
        && !ak_str_eq(payload->str, ak_literal("*")))
    {
        name = payload->str;
        conf->changed(conf->data, &name);
        return;
    }

    if (payload->type != AK_REPLY_ARRAY) {
        conf->changed(conf->data, NULL);
        return;
    }

    for (i = 0; i < payload->n; i++) {

        if (payload->elements[i]->type != AK_REPLY_STRING) {
            conf->changed(conf->data, NULL);
            return;
        }

        name = payload->elements[i]->str;
        conf->changed(conf->data, &name);
    }
}


static void
ngx_apikey_watch_timer(ngx_event_t *ev)
{
    ngx_apikey_redis_t *redis = ev->data;

    if (redis->stopped) {
        return;
    }

    ngx_apikey_watch_recount(redis);
    ngx_apikey_watch_missing(redis);

    ngx_add_timer(ev, NGX_APIKEY_WATCH_RENEW);
}


/*
 * Where a server answers and yet is not watched, as where it takes no more
 * connections, nothing seems wrong but that it is asked for each request.
 */

static void
ngx_apikey_watch_missing(ngx_apikey_redis_t *redis)
{
    ngx_queue_t        *q;
    ngx_apikey_node_t  *node;

    if (redis->cover.how != NGX_APIKEY_WATCH_NONE) {
        return;
    }

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        if (node->watch == NULL || node->watch->how != NGX_APIKEY_WATCH_NONE
            || !ngx_apikey_link_ready(node->link))
        {
            continue;
        }

        if (++redis->cover.missing == NGX_APIKEY_WATCH_MISSING) {
            redis->cover.told = NGX_APIKEY_WATCH_NONE;

            ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                          "apikey: changes in redis are not known, it is "
                          "asked for each request: the connection that tells "
                          "of them cannot be had: %s",
                          ngx_apikey_link_why(node->watch->link));
        }

        return;
    }
}


void
ngx_apikey_watch_recount(ngx_apikey_redis_t *redis)
{
    ngx_msec_t          until;
    ngx_apikey_watch_e  how, was;

    if (redis->watch == NULL || redis->stopped) {
        return;
    }

    how = ngx_apikey_watch_least(redis, &until);

    was = redis->cover.how;
    redis->cover.how = how;

    ngx_apikey_watch_tell(redis, how);

    redis->watch->covered(redis->watch->data, how, until);

    if (how == NGX_APIKEY_WATCH_NONE) {
        return;
    }

    redis->cover.missing = 0;

    /*
     * Other workers may have been told all the time, but of other servers: who
     * was a master before, or is one in their maps still.
     */

    if (was == NGX_APIKEY_WATCH_NONE && redis->cover.before) {
        redis->watch->changed(redis->watch->data, NULL);
    }

    redis->cover.before = 1;
}


static ngx_apikey_watch_e
ngx_apikey_watch_least(ngx_apikey_redis_t *redis, ngx_msec_t *until)
{
    ngx_msec_t           end;
    ngx_queue_t         *q;
    ngx_apikey_node_t   *node;
    ngx_apikey_watch_e   least;

    *until = ngx_current_msec + NGX_APIKEY_WATCH_FOREVER;
    least = NGX_APIKEY_WATCH_TRACKING;

    if (ngx_queue_empty(&redis->nodes)
        || (redis->store->topology == AK_STORE_CLUSTER && !redis->loaded))
    {
        return NGX_APIKEY_WATCH_NONE;
    }

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        /* one that is in no map, and that nobody has named, is not read from */

        if (redis->store->topology == AK_STORE_CLUSTER && !node->kept
            && !node->named)
        {
            continue;
        }

        if (node->watch == NULL || node->watch->how == NGX_APIKEY_WATCH_NONE)
        {
            return NGX_APIKEY_WATCH_NONE;
        }

        least = ngx_min(least, node->watch->how);

        if (node->watch->how != NGX_APIKEY_WATCH_TTL) {
            end = ngx_apikey_link_heard(node->watch->link)
                  + NGX_APIKEY_WATCH_PING + NGX_APIKEY_WATCH_RENEW
                  + redis->store->timeout;

            if ((ngx_msec_int_t) (end - *until) < 0) {
                *until = end;
            }
        }
    }

    return least;
}


/* Once for each way, however often connections come and go. */

static void
ngx_apikey_watch_tell(ngx_apikey_redis_t *redis, ngx_apikey_watch_e how)
{
    if (how == NGX_APIKEY_WATCH_NONE
        || redis->cover.told == (unsigned) how)
    {
        return;
    }

    redis->cover.told = (unsigned) how;

    switch (how) {

    case NGX_APIKEY_WATCH_TRACKING:
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "apikey: changes in redis are known at once");
        break;

    case NGX_APIKEY_WATCH_MESSAGES:
        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "apikey: redis refuses CLIENT TRACKING: changes that "
                      "apikeyctl makes are known at once, others after the "
                      "ttl of \"apikey_zone\"");
        break;

    default: /* NGX_APIKEY_WATCH_TTL */
        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "apikey: redis refuses CLIENT TRACKING and SUBSCRIBE: "
                      "changes are known after the ttl of \"apikey_zone\"");
        break;
    }
}
