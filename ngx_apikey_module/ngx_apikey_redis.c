
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_apikey_fleet.h"


#define NGX_APIKEY_REDIS_TRIES  8         /* sendings of one query */
#define NGX_APIKEY_REDIS_LATER  20        /* milliseconds */
#define NGX_APIKEY_REDIS_PING   15000     /* of an idle connection */
#define NGX_APIKEY_REDIS_FORGET 60000     /* milliseconds without errors */


static ngx_int_t ngx_apikey_redis_hosts(ngx_conf_t *cf,
    ngx_apikey_redis_t *redis);
static ngx_int_t ngx_apikey_redis_host(ngx_conf_t *cf,
    ngx_apikey_redis_t *redis, ngx_apikey_peer_t *peer,
    ak_store_host_t *host);
static ngx_int_t ngx_apikey_redis_unix(ngx_conf_t *cf,
    ngx_apikey_redis_t *redis, ngx_apikey_peer_t *peer);
static ngx_int_t ngx_apikey_redis_tls(ngx_conf_t *cf,
    ngx_apikey_redis_t *redis);
static ngx_int_t ngx_apikey_redis_path(ngx_conf_t *cf, ngx_str_t *path,
    ak_str_t *text);
static void ngx_apikey_redis_cleanup(void *data);

static ngx_int_t ngx_apikey_peer_set(ngx_pool_t *pool,
    ngx_apikey_peer_t *peer, ak_str_t host, unsigned port);
static ngx_int_t ngx_apikey_node_address(ngx_apikey_node_t *node,
    ak_str_t host, unsigned port);
static void ngx_apikey_node_ready(void *data);
static void ngx_apikey_node_lost(void *data);

static ngx_int_t ngx_apikey_single_start(ngx_apikey_redis_t *redis);
static void ngx_apikey_single_stop(ngx_apikey_redis_t *redis);
static ngx_apikey_node_t *ngx_apikey_single_node(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ngx_int_t *rc);
static void ngx_apikey_single_lost(ngx_apikey_node_t *node);
static ngx_int_t ngx_apikey_single_redirect(ngx_apikey_redis_t *redis,
    ngx_apikey_query_t *q, ak_redis_error_e error, const ak_reply_t *reply);

static ngx_apikey_query_t *ngx_apikey_query_create(ngx_apikey_redis_t *redis,
    const ak_str_t *argv, size_t argc);
static ngx_int_t ngx_apikey_query_send(ngx_apikey_query_t *q);
static void ngx_apikey_query_again(ngx_apikey_query_t *q, ngx_uint_t later);
static void ngx_apikey_query_reply(void *data, const ak_reply_t *reply);
static void ngx_apikey_query_tell(ngx_apikey_query_t *q,
    ak_redis_error_e error, const ak_reply_t *reply);
static void ngx_apikey_query_lost(ngx_apikey_query_t *q);
static void ngx_apikey_query_timer(ngx_event_t *ev);
static void ngx_apikey_query_done(ngx_apikey_query_t *q,
    const ak_reply_t *reply);


static const ngx_apikey_topology_t  ngx_apikey_topology_single = {
    ngx_apikey_single_start,
    ngx_apikey_single_stop,
    ngx_apikey_single_node,
    ngx_apikey_single_lost,
    ngx_apikey_single_redirect
};


ngx_apikey_redis_t *
ngx_apikey_redis_create(ngx_conf_t *cf, ak_store_conf_t *store)
{
    ngx_apikey_redis_t  *redis;
    ngx_pool_cleanup_t  *cln;

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_apikey_redis_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (redis == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_apikey_redis_cleanup;
    cln->data = redis;

    redis->store = store;
    redis->fd = (ngx_socket_t) -1;
    redis->file = cf->conf_file->file.name.data;
    redis->line = cf->conf_file->line;

    ngx_queue_init(&redis->nodes);
    ngx_queue_init(&redis->queries);
    ngx_queue_init(&redis->parked);

    switch (store->topology) {

    case AK_STORE_SENTINEL:
        redis->topology = &ngx_apikey_topology_sentinel;
        break;

    case AK_STORE_CLUSTER:
        redis->topology = &ngx_apikey_topology_cluster;
        break;

    default: /* AK_STORE_SINGLE */
        redis->topology = &ngx_apikey_topology_single;
        break;
    }

    if ((store->tls.on && ngx_apikey_redis_tls(cf, redis) != NGX_OK)
        || ngx_apikey_redis_hosts(cf, redis) != NGX_OK
        || ngx_apikey_login_init(cf, &redis->login, store->user,
                                 store->password_file, "password_file")
           != NGX_OK
        || ngx_apikey_login_init(cf, &redis->sentinel_login,
                                 store->sentinel_user,
                                 store->sentinel_password_file,
                                 "sentinel_password_file")
           != NGX_OK)
    {
        return NULL;
    }

    return redis;
}


static ngx_int_t
ngx_apikey_redis_hosts(ngx_conf_t *cf, ngx_apikey_redis_t *redis)
{
    ngx_uint_t        i;
    ak_store_conf_t  *store;

    store = redis->store;

    redis->nhosts = ngx_max(store->nhosts, 1);
    redis->hosts = ngx_pcalloc(cf->pool,
                               redis->nhosts * sizeof(ngx_apikey_peer_t));
    if (redis->hosts == NULL) {
        return NGX_ERROR;
    }

    if (store->nhosts == 0) {
        return ngx_apikey_redis_unix(cf, redis, redis->hosts);
    }

    for (i = 0; i < store->nhosts; i++) {

        if (ngx_apikey_redis_host(cf, redis, &redis->hosts[i],
                                  &store->hosts[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_redis_host(ngx_conf_t *cf, ngx_apikey_redis_t *redis,
    ngx_apikey_peer_t *peer, ak_store_host_t *host)
{
    peer->tls = redis->tls;

    return ngx_apikey_peer_set(cf->pool, peer, host->host, host->port);
}


static ngx_int_t
ngx_apikey_redis_unix(ngx_conf_t *cf, ngx_apikey_redis_t *redis,
    ngx_apikey_peer_t *peer)
{
    u_char     *p;
    ngx_url_t   u;
    ak_str_t   *path;

    path = &redis->store->path;

    ngx_memzero(&u, sizeof(ngx_url_t));

    p = ngx_pnalloc(cf->pool, sizeof("unix:") - 1 + path->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    u.url.data = p;

    p = ngx_cpymem(p, "unix:", sizeof("unix:") - 1);
    p = ngx_cpymem(p, path->data, path->len);
    *p = '\0';

    u.url.len = p - u.url.data;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {

        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in the redis address \"%V\"",
                               u.err, &u.url);
        }

        return NGX_ERROR;
    }

    ngx_str_set(&peer->host, "");
    peer->text = u.url;
    peer->addrs = u.addrs;
    peer->naddrs = u.naddrs;

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_redis_tls(ngx_conf_t *cf, ngx_apikey_redis_t *redis)
{
    ak_store_tls_t         *tls;
    ngx_apikey_tls_conf_t   conf;

    tls = &redis->store->tls;

    ngx_memzero(&conf, sizeof(ngx_apikey_tls_conf_t));

    if (ngx_apikey_redis_path(cf, &conf.trusted, &tls->trusted) != NGX_OK
        || ngx_apikey_redis_path(cf, &conf.certificate, &tls->certificate)
           != NGX_OK
        || ngx_apikey_redis_path(cf, &conf.key, &tls->certificate_key)
           != NGX_OK
        || ngx_apikey_redis_path(cf, &conf.ciphers, &tls->ciphers) != NGX_OK
        || ngx_apikey_redis_path(cf, &conf.name, &tls->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)

    if (tls->protocols & AK_STORE_TLSV1_2) {
        conf.protocols |= NGX_SSL_TLSv1_2;
    }

    if (tls->protocols & AK_STORE_TLSV1_3) {
        conf.protocols |= NGX_SSL_TLSv1_3;
    }

#endif

    conf.depth = (ngx_int_t) tls->depth;
    conf.verify = tls->verify;

    redis->tls = ngx_apikey_tls_create(cf, &conf);

    if (redis->tls == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_store\": its TLS cannot be set up, for "
                           "the reason above");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* A copy that ends with a zero. */

static ngx_int_t
ngx_apikey_redis_path(ngx_conf_t *cf, ngx_str_t *path, ak_str_t *text)
{
    path->len = text->len;
    path->data = ngx_pnalloc(cf->pool, text->len + 1);

    if (path->data == NULL) {
        return NGX_ERROR;
    }

    /* what is not configured has no data */

    if (text->len != 0) {
        ngx_memcpy(path->data, text->data, text->len);
    }

    path->data[text->len] = '\0';

    return NGX_OK;
}


static void
ngx_apikey_redis_cleanup(void *data)
{
    ngx_apikey_redis_t *redis = data;

    ngx_apikey_redis_stop(redis);
}


ngx_int_t
ngx_apikey_redis_resolve(ngx_conf_t *cf, ngx_apikey_redis_t *redis,
    ngx_resolver_t *resolver, ngx_msec_t timeout)
{
    ngx_uint_t   i;
    const char  *err;

    redis->resolver = resolver;
    redis->resolver_timeout = timeout;

    for (i = 0; i < redis->nhosts; i++) {

        if (ngx_apikey_peer_resolve(cf->pool, &redis->hosts[i], resolver,
                                    timeout, &err)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "%s in the redis address \"%V\"; with \"resolver\" "
                          "in the http block it is looked up while nginx runs "
                          "in %s:%ui", err, &redis->hosts[i].text,
                          redis->file, redis->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* "HOST:PORT"; the host may be a name, which is then looked up. */

static ngx_int_t
ngx_apikey_peer_set(ngx_pool_t *pool, ngx_apikey_peer_t *peer, ak_str_t host,
    unsigned port)
{
    u_char     *p;
    ngx_str_t   text;
    ngx_uint_t  v6;

    v6 = (memchr(host.data, ':', host.len) != NULL);

    peer->host.len = host.len;
    peer->host.data = ngx_pnalloc(pool, host.len + 1);

    text.data = ngx_pnalloc(pool, host.len + sizeof("[]:65535"));

    if (peer->host.data == NULL || text.data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(peer->host.data, host.data, host.len) = '\0';

    p = ngx_sprintf(text.data, v6 ? "[%V]:%ud" : "%V:%ud", &peer->host, port);
    *p = '\0';

    text.len = p - text.data;

    peer->text = text;
    peer->port = (in_port_t) port;

    return (ngx_apikey_peer_literal(pool, peer) == NGX_ERROR) ? NGX_ERROR
                                                              : NGX_OK;
}


void
ngx_apikey_redis_start(ngx_apikey_redis_t *redis, ngx_cycle_t *cycle)
{
    if (redis->started) {
        return;
    }

    redis->started = 1;
    redis->log = cycle->log;

    if (redis->topology->start(redis) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, redis->log, 0,
                      "apikey: there is no memory for the client of redis");
    }

    /* a worker that was killed, and whose place this is, covers no more */

    ngx_apikey_watch_recount(redis);
}


/* Whoever waits is told while everything is there still. */

void
ngx_apikey_redis_stop(ngx_apikey_redis_t *redis)
{
    ngx_queue_t         *q;
    ngx_apikey_query_t  *query;

    if (!redis->started || redis->stopped) {
        return;
    }

    redis->stopped = 1;

    while (!ngx_queue_empty(&redis->queries)) {
        q = ngx_queue_head(&redis->queries);
        query = ngx_queue_data(q, ngx_apikey_query_t, queue);

        ngx_apikey_query_done(query, NULL);
    }

    ngx_apikey_watch_stop(redis);

    redis->topology->stop(redis);

    while (!ngx_queue_empty(&redis->nodes)) {
        q = ngx_queue_head(&redis->nodes);
        ngx_apikey_node_free(ngx_queue_data(q, ngx_apikey_node_t, queue));
    }
}


void
ngx_apikey_redis_link_conf(ngx_apikey_redis_t *redis,
    ngx_apikey_link_conf_t *conf)
{
    ngx_memzero(conf, sizeof(ngx_apikey_link_conf_t));

    conf->what = "redis";
    conf->login = &redis->login;
    conf->db = redis->store->db;
    conf->connect_timeout = redis->store->connect_timeout;
    conf->timeout = redis->store->timeout;
    conf->ping = NGX_APIKEY_REDIS_PING;
}


ngx_apikey_node_t *
ngx_apikey_node_create(ngx_apikey_redis_t *redis, ngx_apikey_peer_t *peers,
    ngx_uint_t n, ak_str_t host, unsigned port)
{
    ngx_apikey_node_t       *node;
    ngx_apikey_link_conf_t  *conf;

    node = ngx_calloc(sizeof(ngx_apikey_node_t), redis->log);
    if (node == NULL) {
        return NULL;
    }

    node->redis = redis;
    node->peers = peers;
    node->npeers = n;

    conf = &node->conf;

    ngx_apikey_redis_link_conf(redis, conf);

    if (redis->store->topology == AK_STORE_SENTINEL) {
        conf->flags = AK_REDIS_MASTER;

    } else if (redis->store->topology == AK_STORE_CLUSTER) {
        conf->flags = AK_REDIS_WIDE
                      | (redis->store->replicas ? AK_REDIS_READONLY : 0);
    }

    conf->ready = ngx_apikey_node_ready;
    conf->lost = ngx_apikey_node_lost;
    conf->data = node;

    if (peers == NULL && ngx_apikey_node_address(node, host, port) != NGX_OK)
    {
        ngx_free(node);
        return NULL;
    }

    node->link = ngx_apikey_link_create(conf, node->peers, node->npeers,
                                        redis->log);
    if (node->link == NULL) {

        if (node->pool != NULL) {
            ngx_destroy_pool(node->pool);
        }

        ngx_free(node);
        return NULL;
    }

    ngx_queue_insert_tail(&redis->nodes, &node->queue);

    ngx_apikey_link_start(node->link, 1);

    return node;
}


static ngx_int_t
ngx_apikey_node_address(ngx_apikey_node_t *node, ak_str_t host, unsigned port)
{
    ngx_pool_t          *pool;
    ngx_apikey_peer_t   *peer;
    ngx_apikey_redis_t  *redis;

    redis = node->redis;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, redis->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    peer = ngx_pcalloc(pool, sizeof(ngx_apikey_peer_t));

    if (peer == NULL
        || ngx_apikey_peer_set(pool, peer, host, port) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    peer->tls = redis->tls;
    peer->resolver = redis->resolver;
    peer->resolver_timeout = redis->resolver_timeout;

    node->pool = pool;
    node->peers = peer;
    node->npeers = 1;

    return NGX_OK;
}


ngx_int_t
ngx_apikey_node_move(ngx_apikey_node_t *node, ak_str_t host, unsigned port)
{
    ngx_pool_t  *pool;

    pool = node->pool;

    if (ngx_apikey_node_address(node, host, port) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_apikey_watch_end(node);
    ngx_apikey_link_aim(node->link, node->peers, node->npeers, 0);

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }

    return NGX_OK;
}


void
ngx_apikey_node_free(ngx_apikey_node_t *node)
{
    ngx_queue_remove(&node->queue);

    ngx_apikey_watch_end(node);
    ngx_apikey_link_free(node->link);

    if (node->pool != NULL) {
        ngx_destroy_pool(node->pool);
    }

    ngx_free(node);
}


ngx_uint_t
ngx_apikey_node_is(ngx_apikey_node_t *node, ak_str_t host, unsigned port)
{
    return node->peers[0].port == port
           && node->peers[0].host.len == host.len
           && ngx_strncmp(node->peers[0].host.data, host.data, host.len) == 0;
}


static void
ngx_apikey_node_ready(void *data)
{
    ngx_apikey_node_t *node = data;

    node->redis->told = 0;
    node->redis->losses = 0;

    ngx_apikey_watch_follow(node);
    ngx_apikey_redis_unpark(node->redis);
}


static void
ngx_apikey_node_lost(void *data)
{
    ngx_apikey_node_t *node = data;

    if (!node->redis->stopped) {
        node->redis->topology->lost(node);
    }
}


static ngx_int_t
ngx_apikey_single_start(ngx_apikey_redis_t *redis)
{
    ak_str_t  none;

    none = ak_str(NULL, 0);

    return (ngx_apikey_node_create(redis, redis->hosts, redis->nhosts, none, 0)
            == NULL)
           ? NGX_ERROR : NGX_OK;
}


static void
ngx_apikey_single_stop(ngx_apikey_redis_t *redis)
{
}


static ngx_apikey_node_t *
ngx_apikey_single_node(ngx_apikey_redis_t *redis, ngx_apikey_query_t *q,
    ngx_int_t *rc)
{
    *rc = NGX_DECLINED;

    return ngx_queue_empty(&redis->nodes)
           ? NULL
           : ngx_queue_data(ngx_queue_head(&redis->nodes), ngx_apikey_node_t,
                            queue);
}


static void
ngx_apikey_single_lost(ngx_apikey_node_t *node)
{
}


static ngx_int_t
ngx_apikey_single_redirect(ngx_apikey_redis_t *redis, ngx_apikey_query_t *q,
    ak_redis_error_e error, const ak_reply_t *reply)
{
    return NGX_DECLINED;
}


ngx_int_t
ngx_apikey_redis_query(ngx_apikey_redis_t *redis, const ak_str_t *argv,
    size_t argc, ngx_msec_t timeout, ngx_uint_t flags,
    ak_redis_handler_pt handler, void *data)
{
    ngx_apikey_query_t  *q;

    /* a single process that was reloaded is not told of its new cycle */

    if (!redis->started) {
        ngx_apikey_redis_start(redis, (ngx_cycle_t *) ngx_cycle);
    }

    if (redis->stopped) {
        return NGX_DECLINED;
    }

    q = ngx_apikey_query_create(redis, argv, argc);
    if (q == NULL) {
        return NGX_DECLINED;
    }

    q->flags = flags;
    q->handler = handler;
    q->data = data;
    q->deadline = ngx_current_msec + timeout;

    if (ngx_apikey_query_send(q) != NGX_OK) {
        ngx_free(q);
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&redis->queries, &q->queue);
    ngx_add_timer(&q->timer, timeout);

    return NGX_OK;
}


/* The words are copied: they may have to be sent again. */

static ngx_apikey_query_t *
ngx_apikey_query_create(ngx_apikey_redis_t *redis, const ak_str_t *argv,
    size_t argc)
{
    size_t               i, len;
    u_char              *p;
    ngx_apikey_query_t  *q;

    len = sizeof(ngx_apikey_query_t) + argc * sizeof(ak_str_t);

    for (i = 0; i < argc; i++) {
        len += argv[i].len;
    }

    q = ngx_alloc(len, redis->log);
    if (q == NULL) {
        return NULL;
    }

    ngx_memzero(q, sizeof(ngx_apikey_query_t));

    q->redis = redis;
    q->argc = argc;

    p = (u_char *) (q->argv + argc);

    for (i = 0; i < argc; i++) {
        q->argv[i] = ak_str(p, argv[i].len);
        p = ngx_cpymem(p, argv[i].data, argv[i].len);
    }

    if (redis->store->topology == AK_STORE_CLUSTER) {
        q->slot = ak_cluster_slot(q->argv[1]);
    }

    q->timer.handler = ngx_apikey_query_timer;
    q->timer.data = q;
    q->timer.log = redis->log;

    return q;
}


static ngx_int_t
ngx_apikey_query_send(ngx_apikey_query_t *q)
{
    ak_str_t             asking;
    ngx_int_t            rc;
    ngx_apikey_node_t   *node;
    ngx_apikey_redis_t  *redis;

    redis = q->redis;
    node = q->target;

    if (node == NULL) {
        node = redis->topology->node(redis, q, &rc);
    }

    if (node == NULL) {

        if (rc == NGX_AGAIN) {
            ngx_queue_insert_tail(&redis->parked, &q->parked);
            q->is_parked = 1;
            return NGX_OK;
        }

        return NGX_DECLINED;
    }

    q->target = NULL;

    if (q->asking) {
        q->asking = 0;
        asking = ak_literal("ASKING");

        if (ngx_apikey_link_send(node->link, &asking, 1, NULL, NULL) == NULL) {
            return NGX_DECLINED;
        }
    }

    q->ticket = ngx_apikey_link_send(node->link, q->argv, q->argc,
                                     ngx_apikey_query_reply, q);
    if (q->ticket == NULL) {
        return NGX_DECLINED;
    }

    q->node = node;

    return NGX_OK;
}


static void
ngx_apikey_query_again(ngx_apikey_query_t *q, ngx_uint_t later)
{
    if (q->redis->stopped || ++q->tries >= NGX_APIKEY_REDIS_TRIES) {
        ngx_apikey_query_done(q, NULL);
        return;
    }

    if (later) {
        q->later = 1;
        ngx_del_timer(&q->timer);
        ngx_add_timer(&q->timer, NGX_APIKEY_REDIS_LATER);
        return;
    }

    if (ngx_apikey_query_send(q) != NGX_OK) {
        ngx_apikey_query_done(q, NULL);
    }
}


static void
ngx_apikey_query_reply(void *data, const ak_reply_t *reply)
{
    ngx_apikey_query_t *q = data;

    ak_redis_error_e         error;
    ngx_apikey_node_t       *node;
    ngx_apikey_redis_t      *redis;
    const ak_redis_error_t  *e;

    redis = q->redis;

    q->ticket = NULL;

    if (reply == NULL) {
        ngx_apikey_query_lost(q);
        return;
    }

    error = ak_redis_error(reply);

    if (error == AK_REDIS_ERROR_NONE) {
        ngx_apikey_query_done(q, reply);
        return;
    }

    node = q->node;
    e = ak_redis_error_get(error);

    switch (e->action) {

    case AK_REDIS_DO_ANSWER:
        break;

    case AK_REDIS_DO_REDIRECT:
    case AK_REDIS_DO_RETRY:

        if (redis->topology->redirect(redis, q, error, reply) == NGX_OK) {
            ngx_apikey_query_again(q, e->action == AK_REDIS_DO_RETRY);
            return;
        }

        ngx_apikey_query_tell(q, error, reply);
        break;

    case AK_REDIS_DO_LEAVE:
        ngx_apikey_link_leave(node->link, e->advice);
        ngx_apikey_query_again(q, 1);
        return;

    default: /* AK_REDIS_DO_TELL */

        ngx_apikey_query_tell(q, error, reply);

        if (error == AK_REDIS_ERROR_READONLY) {
            redis->topology->lost(node);
        }

        break;
    }

    ngx_apikey_query_done(q, reply);
}


static void
ngx_apikey_query_tell(ngx_apikey_query_t *q, ak_redis_error_e error,
    const ak_reply_t *reply)
{
    if (!(q->flags & NGX_APIKEY_REDIS_QUIET)) {
        ngx_apikey_redis_tell(q->redis, error, reply);
    }
}


/* What was written may have been executed. */

static void
ngx_apikey_query_lost(ngx_apikey_query_t *q)
{
    if (q->flags & NGX_APIKEY_REDIS_ONCE) {
        ngx_apikey_query_done(q, NULL);
        return;
    }

    ngx_apikey_query_again(q, 0);
}


static void
ngx_apikey_query_timer(ngx_event_t *ev)
{
    ngx_apikey_query_t *q = ev->data;

    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (q->deadline - ngx_current_msec);

    if (!q->later || left <= 0) {
        ngx_apikey_query_done(q, NULL);
        return;
    }

    q->later = 0;
    ngx_add_timer(ev, (ngx_msec_t) left);

    if (ngx_apikey_query_send(q) != NGX_OK) {
        ngx_apikey_query_done(q, NULL);
    }
}


static void
ngx_apikey_query_done(ngx_apikey_query_t *q, const ak_reply_t *reply)
{
    void                 *data;
    ak_redis_handler_pt   handler;

    if (q->ticket != NULL) {
        ngx_apikey_link_cancel(q->node->link, q->ticket);
    }

    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    if (q->is_parked) {
        ngx_queue_remove(&q->parked);
    }

    ngx_queue_remove(&q->queue);

    handler = q->handler;
    data = q->data;

    ngx_free(q);

    handler(data, reply);
}


void
ngx_apikey_redis_unpark(ngx_apikey_redis_t *redis)
{
    ngx_queue_t         *e, parked;
    ngx_apikey_query_t  *q;

    if (ngx_queue_empty(&redis->parked)) {
        return;
    }

    /* they may be parked again */

    ngx_queue_init(&parked);
    ngx_queue_add(&parked, &redis->parked);
    ngx_queue_init(&redis->parked);

    while (!ngx_queue_empty(&parked)) {
        e = ngx_queue_head(&parked);
        q = ngx_queue_data(e, ngx_apikey_query_t, parked);

        ngx_queue_remove(e);
        q->is_parked = 0;

        if (ngx_apikey_query_send(q) != NGX_OK) {
            ngx_apikey_query_done(q, NULL);
        }
    }
}


void
ngx_apikey_redis_tell(ngx_apikey_redis_t *redis, ak_redis_error_e error,
    const ak_reply_t *reply)
{
    char                     text[AK_REDIS_ERROR_TEXT_MAX];
    const ak_redis_error_t  *e;

    /* that there were none for a while, is as good as a new connection */

    if (ngx_current_msec - redis->erred >= NGX_APIKEY_REDIS_FORGET) {
        redis->told = 0;
    }

    redis->erred = ngx_current_msec;

    if (redis->told & ((ngx_uint_t) 1 << error)) {
        return;
    }

    redis->told |= (ngx_uint_t) 1 << error;

    e = ak_redis_error_get(error);

    ak_redis_error_text(reply, text);

    ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                  "apikey: redis answers \"%s\"%s%s", text,
                  e->advice != NULL ? ": " : "",
                  e->advice != NULL ? e->advice : "");
}
