
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ngx_apikey_dial.h"
#include "ngx_apikey_tls.h"


static void ngx_apikey_dial_lookup(ngx_apikey_dial_t *dial);
static void ngx_apikey_dial_resolved(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_apikey_dial_addresses(ngx_apikey_dial_t *dial,
    ngx_resolver_ctx_t *ctx);
static void ngx_apikey_dial_connect(ngx_apikey_dial_t *dial);
static void ngx_apikey_dial_next(ngx_apikey_dial_t *dial, ngx_err_t err,
    const char *why);
static void ngx_apikey_dial_connected(ngx_event_t *ev);
static void ngx_apikey_dial_secured(ngx_connection_t *c);
static void ngx_apikey_dial_done(ngx_apikey_dial_t *dial);
static void ngx_apikey_dial_fail(ngx_apikey_dial_t *dial, ngx_err_t err,
    const char *why);
static void ngx_apikey_dial_failed(ngx_event_t *ev);
static void ngx_apikey_dial_close(ngx_apikey_dial_t *dial);


ngx_int_t
ngx_apikey_peer_literal(ngx_pool_t *pool, ngx_apikey_peer_t *peer)
{
    ngx_int_t    rc;
    ngx_addr_t  *addr;

    addr = ngx_pcalloc(pool, sizeof(ngx_addr_t));
    if (addr == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_parse_addr(pool, addr, peer->host.data, peer->host.len);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_inet_set_port(addr->sockaddr, peer->port);

    addr->name = peer->text;

    peer->addrs = addr;
    peer->naddrs = 1;
    peer->literal = 1;

    return NGX_OK;
}


ngx_int_t
ngx_apikey_peer_resolve(ngx_pool_t *pool, ngx_apikey_peer_t *peer,
    ngx_resolver_t *resolver, ngx_msec_t timeout, const char **err)
{
    ngx_url_t  u;

    *err = "no memory";

    if (peer->naddrs != 0) {
        return NGX_OK;
    }

    if (resolver != NULL) {
        peer->resolver = resolver;
        peer->resolver_timeout = timeout;
        return NGX_OK;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host = peer->host;
    u.port = peer->port;

    if (ngx_inet_resolve_host(pool, &u) != NGX_OK) {

        if (u.err) {
            *err = u.err;
        }

        return NGX_ERROR;
    }

    peer->addrs = u.addrs;
    peer->naddrs = u.naddrs;

    return NGX_OK;
}


ngx_int_t
ngx_apikey_dial(ngx_apikey_dial_t *dial, ngx_apikey_peer_t *peer,
    ngx_apikey_dial_pt handler, void *data, ngx_log_t *log,
    ngx_log_t *tls_log)
{
    dial->pool = ngx_create_pool(NGX_MIN_POOL_SIZE, log);
    if (dial->pool == NULL) {
        return NGX_ERROR;
    }

    dial->peer = peer;
    dial->fd = (ngx_socket_t) -1;
    dial->handler = handler;
    dial->data = data;
    dial->log = log;
    dial->tls_log = tls_log;
    dial->tried = 0;
    dial->err = 0;
    dial->why[0] = '\0';

    ngx_memzero(&dial->failed, sizeof(ngx_event_t));
    dial->failed.handler = ngx_apikey_dial_failed;
    dial->failed.data = dial;
    dial->failed.log = log;

    if (peer->naddrs != 0) {
        dial->addrs = peer->addrs;
        dial->naddrs = peer->naddrs;

        ngx_apikey_dial_connect(dial);

    } else {
        ngx_apikey_dial_lookup(dial);
    }

    return NGX_OK;
}


static void
ngx_apikey_dial_lookup(ngx_apikey_dial_t *dial)
{
    ngx_resolver_ctx_t  *ctx;

    if (dial->peer->resolver == NULL) {
        ngx_apikey_dial_fail(dial, 0, "its name cannot be looked up without "
                             "\"resolver\" in the http block");
        return;
    }

    ctx = ngx_resolve_start(dial->peer->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_apikey_dial_fail(dial, 0, "there is no resolver for its name");
        return;
    }

    ctx->name = dial->peer->host;
    ctx->handler = ngx_apikey_dial_resolved;
    ctx->data = dial;
    ctx->timeout = dial->peer->resolver_timeout;

    dial->resolving = ctx;

    /* what is known is told at once, and where it fails ctx is freed */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        dial->resolving = NULL;
        ngx_apikey_dial_fail(dial, 0, "its name cannot be looked up");
    }
}


static void
ngx_apikey_dial_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_apikey_dial_t *dial = ctx->data;

    u_char     why[NGX_APIKEY_DIAL_WHY_MAX];
    ngx_int_t  rc, state;

    state = ctx->state;
    rc = (state == 0) ? ngx_apikey_dial_addresses(dial, ctx) : NGX_ERROR;

    ngx_resolve_name_done(ctx);
    dial->resolving = NULL;

    if (state != 0) {
        *ngx_snprintf(why, sizeof(why) - 1, "its name cannot be looked up "
                      "(%s)", ngx_resolver_strerror(state)) = '\0';
        ngx_apikey_dial_fail(dial, 0, (char *) why);
        return;
    }

    if (rc != NGX_OK) {
        ngx_apikey_dial_fail(dial, 0, "there is no memory");
        return;
    }

    ngx_apikey_dial_connect(dial);
}


static ngx_int_t
ngx_apikey_dial_addresses(ngx_apikey_dial_t *dial, ngx_resolver_ctx_t *ctx)
{
    socklen_t         socklen;
    ngx_uint_t        i;
    ngx_addr_t       *addrs;
    struct sockaddr  *sockaddr;

    addrs = ngx_pcalloc(dial->pool, ctx->naddrs * sizeof(ngx_addr_t));
    if (addrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->naddrs; i++) {

        socklen = ctx->addrs[i].socklen;

        sockaddr = ngx_palloc(dial->pool, socklen);
        if (sockaddr == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(sockaddr, ctx->addrs[i].sockaddr, socklen);
        ngx_inet_set_port(sockaddr, dial->peer->port);

        addrs[i].sockaddr = sockaddr;
        addrs[i].socklen = socklen;
        addrs[i].name = dial->peer->text;
    }

    dial->addrs = addrs;
    dial->naddrs = ctx->naddrs;

    return NGX_OK;
}


static void
ngx_apikey_dial_connect(ngx_apikey_dial_t *dial)
{
    ngx_int_t               rc;
    ngx_addr_t             *addr;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *pc;

    addr = &dial->addrs[(dial->first + dial->tried) % dial->naddrs];

    pc = &dial->pc;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = addr->sockaddr;
    pc->socklen = addr->socklen;
    pc->name = &dial->peer->text;
    pc->get = ngx_event_get_peer;
    pc->log = dial->log;
    pc->log_error = NGX_ERROR_ERR;
    pc->so_keepalive = (addr->sockaddr->sa_family != AF_UNIX);

    rc = ngx_event_connect_peer(pc);

    c = pc->connection;
    dial->connection = c;

    if (rc == NGX_DECLINED) {
        ngx_apikey_dial_next(dial, ngx_socket_errno, "connect() failed");
        return;
    }

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_apikey_dial_next(dial, 0, "there is no socket for it");
        return;
    }

    c->data = dial;
    c->pool = dial->pool;
    c->addr_text = dial->peer->text;
    c->sendfile = 0;

    c->read->handler = ngx_apikey_dial_connected;
    c->write->handler = ngx_apikey_dial_connected;

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* The next address, where there is one. */

static void
ngx_apikey_dial_next(ngx_apikey_dial_t *dial, ngx_err_t err, const char *why)
{
    ngx_apikey_dial_close(dial);

    if (++dial->tried < dial->naddrs) {
        ngx_apikey_dial_connect(dial);
        return;
    }

    ngx_apikey_dial_fail(dial, err, why);
}


/* The first event of a connection tells whether there is one. */

static void
ngx_apikey_dial_connected(ngx_event_t *ev)
{
    int                 err;
    socklen_t           len;
    ngx_connection_t   *c;
    ngx_apikey_dial_t  *dial;

    c = ev->data;
    dial = c->data;

    err = 0;
    len = sizeof(int);

    /* BSDs and Linux give the pending error, Solaris fails with it */

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_apikey_dial_next(dial, err, "connect() failed");
        return;
    }

    if (!ev->write) {
        return;                /* it is the writing that tells */
    }

    if (dial->addrs[(dial->first + dial->tried) % dial->naddrs]
            .sockaddr->sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        ngx_apikey_dial_next(dial, 0, "TCP_NODELAY cannot be set");
        return;
    }

    if (dial->peer->tls == NULL) {
        ngx_apikey_dial_done(dial);
        return;
    }

    c->log = dial->tls_log;
    c->read->log = dial->tls_log;
    c->write->log = dial->tls_log;

    switch (ngx_apikey_tls_start(dial->peer->tls, c, dial->peer,
                                 ngx_apikey_dial_secured))
    {
    case NGX_OK:
        ngx_apikey_dial_secured(c);
        return;

    case NGX_AGAIN:
        return;

    default:
        ngx_apikey_dial_next(dial, 0, "TLS cannot be begun");
        return;
    }
}


static void
ngx_apikey_dial_secured(ngx_connection_t *c)
{
    ngx_apikey_dial_t *dial = c->data;

    u_char  why[NGX_APIKEY_DIAL_WHY_MAX];

    if (ngx_apikey_tls_verify(dial->peer->tls, c, why, sizeof(why))
        != NGX_OK)
    {
        ngx_apikey_dial_next(dial, 0, (char *) why);
        return;
    }

    ngx_apikey_dial_done(dial);
}


static void
ngx_apikey_dial_done(ngx_apikey_dial_t *dial)
{
    /* the address that answered is the first to be asked again */

    dial->first = (dial->first + dial->tried) % dial->naddrs;
    dial->tried = 0;

    dial->handler(dial->data, dial->connection);
}


/* Not before ngx_apikey_dial() has returned. */

static void
ngx_apikey_dial_fail(ngx_apikey_dial_t *dial, ngx_err_t err, const char *why)
{
    dial->err = err;

    (void) ngx_cpystrn(dial->why, (u_char *) why, NGX_APIKEY_DIAL_WHY_MAX);

    ngx_post_event(&dial->failed, &ngx_posted_events);
}


static void
ngx_apikey_dial_failed(ngx_event_t *ev)
{
    ngx_apikey_dial_t *dial = ev->data;

    dial->handler(dial->data, NULL);
}


static void
ngx_apikey_dial_close(ngx_apikey_dial_t *dial)
{
    ngx_connection_t  *c;

    c = dial->connection;
    dial->connection = NULL;

    if (c == NULL) {
        return;
    }

    ngx_apikey_tls_end(c);
    ngx_close_connection(c);
}


void
ngx_apikey_dial_end(ngx_apikey_dial_t *dial, ngx_uint_t late)
{
    if (dial->pool == NULL) {
        return;
    }

    if (late) {
        dial->first += dial->tried + 1;
    }

    if (dial->resolving != NULL) {
        ngx_resolve_name_done(dial->resolving);
        dial->resolving = NULL;
    }

    if (dial->failed.posted) {
        ngx_delete_posted_event(&dial->failed);
    }

    ngx_apikey_dial_close(dial);

    ngx_destroy_pool(dial->pool);
    dial->pool = NULL;
    dial->addrs = NULL;
    dial->naddrs = 0;
}


ngx_str_t *
ngx_apikey_dial_name(ngx_apikey_dial_t *dial)
{
    return &dial->peer->text;
}


ngx_addr_t *
ngx_apikey_dial_addr(ngx_apikey_dial_t *dial)
{
    if (dial->connection == NULL) {
        return NULL;
    }

    return &dial->addrs[(dial->first + dial->tried) % dial->naddrs];
}
