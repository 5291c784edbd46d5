
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ak_mem.h"
#include "ngx_apikey_redis.h"


#define NGX_APIKEY_REDIS_READ_SIZE   16384
#define NGX_APIKEY_REDIS_DEADLINES   64       /* to begin with */
#define NGX_APIKEY_REDIS_PAUSE_MIN   100      /* milliseconds */
#define NGX_APIKEY_REDIS_PAUSE_MAX   2000


typedef enum {
    NGX_APIKEY_REDIS_NONE = 0,     /* no connection, and none is planned */
    NGX_APIKEY_REDIS_PAUSE,        /* until the next attempt */
    NGX_APIKEY_REDIS_CONNECT,      /* connecting, then the handshake */
    NGX_APIKEY_REDIS_READY
} ngx_apikey_redis_state_e;


typedef enum {
    NGX_APIKEY_REDIS_BROKEN = 0,   /* not connected, or no more */
    NGX_APIKEY_REDIS_LATE,         /* connecting took too long */
    NGX_APIKEY_REDIS_EXPIRED,      /* a command waited too long */
    NGX_APIKEY_REDIS_REFUSED       /* the session's verdict */
} ngx_apikey_redis_cause_e;


/*
 * A ring of the times by which commands must be answered, the oldest first.
 * It has as many as commands wait, since all have the same time to live and
 * replies come in the order of the commands.
 */

typedef struct {
    ngx_msec_t                *elts;
    ngx_uint_t                 first;
    ngx_uint_t                 n;
    ngx_uint_t                 size;
} ngx_apikey_redis_ring_t;


struct ngx_apikey_redis_s {

    /* debug logging of timers takes the first four for a connection's */

    ngx_addr_t                *addrs;
    ak_store_conf_t           *store;
    ak_redis_t                *session;
    ngx_socket_t               fd;

    ngx_uint_t                 naddrs;
    ngx_uint_t                 current;    /* the address in use */
    ngx_uint_t                 tries;      /* addresses tried this time */
    ngx_str_t                  password;   /* a secret */

    ngx_apikey_redis_state_e   state;
    ngx_peer_connection_t      peer;
    ngx_apikey_redis_ring_t    deadlines;

    ngx_event_t                timer;      /* of connecting or of the pause */
    ngx_event_t                deadline;   /* of the oldest command */
    ngx_msec_t                 pause;
    ngx_msec_t                 ready;      /* since when */

    ngx_str_t                 *name;       /* of the last address tried */
    const char                *reason;     /* why it failed last */
    ngx_err_t                  err;
    ak_diag_t                  diag;

    ngx_log_t                  log;
    ngx_log_t                  quiet;      /* for attempts to connect */

    unsigned                   started:1;
    unsigned                   stopped:1;
    unsigned                   connected:1;
    unsigned                   sent:1;     /* some of the handshake */
    unsigned                   probe:1;    /* to see whether it is back */
    unsigned                   down:1;     /* and the log was told so */
    unsigned                   known:1;    /* the log was told of a first */
};


static ngx_int_t ngx_apikey_redis_resolve(ngx_conf_t *cf,
    ngx_apikey_redis_t *redis);
static ngx_int_t ngx_apikey_redis_password(ngx_conf_t *cf,
    ngx_apikey_redis_t *redis);
static void ngx_apikey_redis_cleanup(void *data);

static ngx_int_t ngx_apikey_redis_usable(ngx_apikey_redis_t *redis);
static ngx_int_t ngx_apikey_redis_connect(ngx_apikey_redis_t *redis,
    ngx_uint_t probe);
static ngx_int_t ngx_apikey_redis_next(ngx_apikey_redis_t *redis);
static ngx_int_t ngx_apikey_redis_open(ngx_apikey_redis_t *redis,
    ngx_addr_t *addr);
static ngx_int_t ngx_apikey_redis_established(ngx_apikey_redis_t *redis);
static void ngx_apikey_redis_accepted(ngx_apikey_redis_t *redis);
static void ngx_apikey_redis_pause(ngx_apikey_redis_t *redis);
static void ngx_apikey_redis_lost(ngx_apikey_redis_t *redis,
    ngx_apikey_redis_cause_e cause, ngx_err_t err, const char *reason);
static ngx_uint_t ngx_apikey_redis_again(ngx_apikey_redis_t *redis,
    ngx_apikey_redis_cause_e cause, ngx_uint_t more);
static void ngx_apikey_redis_close(ngx_apikey_redis_t *redis);
static ak_redis_t *ngx_apikey_redis_detach(ngx_apikey_redis_t *redis);
static ngx_uint_t ngx_apikey_redis_exiting(void);

static void ngx_apikey_redis_write_handler(ngx_event_t *wev);
static void ngx_apikey_redis_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_apikey_redis_read(ngx_apikey_redis_t *redis,
    ngx_connection_t *c);
static void ngx_apikey_redis_timer_handler(ngx_event_t *ev);
static void ngx_apikey_redis_deadline_handler(ngx_event_t *ev);

static ngx_int_t ngx_apikey_redis_ring_reserve(ngx_apikey_redis_t *redis);
static void ngx_apikey_redis_ring_push(ngx_apikey_redis_t *redis);
static void ngx_apikey_redis_ring_settle(ngx_apikey_redis_t *redis);

static void ngx_apikey_redis_tell(ngx_apikey_redis_t *redis);
static u_char *ngx_apikey_redis_log_error(ngx_log_t *log, u_char *buf,
    size_t len);


ngx_apikey_redis_t *
ngx_apikey_redis_create(ngx_conf_t *cf, ak_store_conf_t *store)
{
    ngx_pool_cleanup_t  *cln;
    ngx_apikey_redis_t  *redis;

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_apikey_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_apikey_redis_cleanup;
    cln->data = redis;

    redis->store = store;
    redis->fd = (ngx_socket_t) -1;

    if (store->tls.on || store->topology != AK_STORE_SINGLE
        || store->nhosts > 1)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_store\": several hosts, \"sentinel=\", "
                           "\"cluster\" and \"rediss://\" are not supported "
                           "by this version");
        return NULL;
    }

    if (ngx_apikey_redis_resolve(cf, redis) != NGX_OK) {
        return NULL;
    }

    if (store->password_file.len != 0
        && ngx_apikey_redis_password(cf, redis) != NGX_OK)
    {
        return NULL;
    }

    return redis;
}


static ngx_int_t
ngx_apikey_redis_resolve(ngx_conf_t *cf, ngx_apikey_redis_t *redis)
{
    u_char           *p;
    ngx_str_t         host;
    ngx_url_t         u;
    ak_store_conf_t  *store;

    store = redis->store;

    ngx_memzero(&u, sizeof(ngx_url_t));

    host.len = store->hosts[0].host.len;
    host.data = (u_char *) store->hosts[0].host.data;

    u.url.data = ngx_pnalloc(cf->pool, sizeof("unix:[]") - 1 + host.len
                                       + store->path.len + 1);
    if (u.url.data == NULL) {
        return NGX_ERROR;
    }

    if (host.len == 0) {
        p = ngx_cpymem(u.url.data, "unix:", sizeof("unix:") - 1);
        p = ngx_cpymem(p, store->path.data, store->path.len);

    } else if (ngx_strlchr(host.data, host.data + host.len, ':') != NULL) {
        p = ngx_sprintf(u.url.data, "[%V]", &host);

    } else {
        p = ngx_cpymem(u.url.data, host.data, host.len);
    }

    *p = '\0';

    u.url.len = p - u.url.data;
    u.default_port = (in_port_t) store->hosts[0].port;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in the redis address \"%V\"",
                               u.err, &u.url);
        }

        return NGX_ERROR;
    }

    redis->addrs = u.addrs;
    redis->naddrs = u.naddrs;

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_redis_password(ngx_conf_t *cf, ngx_apikey_redis_t *redis)
{
    size_t     len;
    ak_rc_t    rc;
    ngx_str_t  path;
    ak_diag_t  diag;

    path.len = redis->store->password_file.len;
    path.data = ngx_pnalloc(cf->pool, path.len + 1);

    redis->password.data = ngx_pnalloc(cf->pool, AK_PASSWORD_MAX);

    if (path.data == NULL || redis->password.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(path.data, redis->store->password_file.data, path.len);
    path.data[path.len] = '\0';

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ak_store_password((char *) path.data, redis->password.data, &len,
                           &diag);
    if (rc != AK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"password_file\": %s",
                           diag.text);
        return NGX_ERROR;
    }

    redis->password.len = len;

    return NGX_OK;
}


static void
ngx_apikey_redis_cleanup(void *data)
{
    ngx_apikey_redis_t *redis = data;

    ngx_apikey_redis_stop(redis);

    if (redis->password.data != NULL) {
        ak_mem_wipe(redis->password.data, AK_PASSWORD_MAX);
        redis->password.len = 0;
    }
}


void
ngx_apikey_redis_start(ngx_apikey_redis_t *redis, ngx_cycle_t *cycle)
{
    if (redis->started) {
        return;
    }

    redis->started = 1;

    redis->log = *cycle->log;
    redis->log.handler = ngx_apikey_redis_log_error;
    redis->log.data = redis;
    redis->log.action = NULL;
    redis->log.connection = 0;

    /* failed attempts are told here, once, and not by the event core each */

    redis->quiet = redis->log;

    if (!(redis->quiet.log_level & NGX_LOG_DEBUG_ALL)
        && redis->quiet.log_level > NGX_LOG_ALERT)
    {
        redis->quiet.log_level = NGX_LOG_ALERT;
    }

    redis->timer.handler = ngx_apikey_redis_timer_handler;
    redis->timer.data = redis;
    redis->timer.log = &redis->log;
    redis->timer.cancelable = 1;

    redis->deadline.handler = ngx_apikey_redis_deadline_handler;
    redis->deadline.data = redis;
    redis->deadline.log = &redis->log;

    /* the first attempt is made by the event loop, as are all others */

    redis->state = NGX_APIKEY_REDIS_PAUSE;
    ngx_add_timer(&redis->timer, 1);
}


void
ngx_apikey_redis_stop(ngx_apikey_redis_t *redis)
{
    if (!redis->started || redis->stopped) {
        return;
    }

    redis->stopped = 1;

    ngx_apikey_redis_close(redis);
    ak_redis_free(ngx_apikey_redis_detach(redis));

    if (redis->deadlines.elts != NULL) {
        ngx_free(redis->deadlines.elts);
        redis->deadlines.elts = NULL;
        redis->deadlines.size = 0;
    }
}


ak_redis_ticket_t *
ngx_apikey_redis_query(ngx_apikey_redis_t *redis, const ak_str_t *argv,
    size_t argc, ak_redis_handler_pt handler, void *data)
{
    ngx_connection_t   *c;
    ak_redis_ticket_t  *ticket;

    if (!redis->started) {
        ngx_apikey_redis_start(redis, (ngx_cycle_t *) ngx_cycle);
    }

    if (redis->stopped) {
        return NULL;
    }

    if (ngx_apikey_redis_usable(redis) != NGX_OK) {
        return NULL;
    }

    if (ngx_apikey_redis_ring_reserve(redis) != NGX_OK) {
        return NULL;
    }

    ticket = ak_redis_send(redis->session, argv, argc, handler, data);
    if (ticket == NULL) {
        return NULL;
    }

    ngx_apikey_redis_ring_push(redis);

    c = redis->peer.connection;

    c->idle = 0;

    /* commands of one turn of the event loop are written together */

    if (redis->state == NGX_APIKEY_REDIS_READY && c->write->ready) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return ticket;
}


/* Whether a command would be answered, for all that is known. */

static ngx_int_t
ngx_apikey_redis_usable(ngx_apikey_redis_t *redis)
{
    switch (redis->state) {

    case NGX_APIKEY_REDIS_READY:
        return NGX_OK;

    case NGX_APIKEY_REDIS_CONNECT:
        return redis->probe ? NGX_ERROR : NGX_OK;

    case NGX_APIKEY_REDIS_PAUSE:

        if (redis->down) {
            return NGX_ERROR;
        }

        break;

    default: /* NGX_APIKEY_REDIS_NONE */
        break;
    }

    return ngx_apikey_redis_connect(redis, 0);
}


void
ngx_apikey_redis_cancel(ngx_apikey_redis_t *redis, ak_redis_ticket_t *ticket)
{
    ak_redis_cancel(redis->session, ticket);
}


/*
 * Begins a round through all addresses.  Nobody waits yet: there was no
 * session, so that a failure has nobody to call.
 */

static ngx_int_t
ngx_apikey_redis_connect(ngx_apikey_redis_t *redis, ngx_uint_t probe)
{
    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    redis->probe = probe;
    redis->tries = 0;

    if (ngx_apikey_redis_next(redis) == NGX_OK) {
        return NGX_OK;
    }

    ak_redis_free(ngx_apikey_redis_detach(redis));

    ngx_apikey_redis_pause(redis);
    ngx_apikey_redis_tell(redis);

    return NGX_ERROR;
}


/* Tries the addresses that are left of a round. */

static ngx_int_t
ngx_apikey_redis_next(ngx_apikey_redis_t *redis)
{
    ak_str_t          user, password;
    ak_store_conf_t  *store;

    if (redis->session == NULL) {
        store = redis->store;
        user = store->user;
        password = ak_str(redis->password.data, redis->password.len);

        redis->session = ak_redis_create(user, password, store->db);

        if (redis->session == NULL) {
            redis->err = 0;
            redis->reason = "no memory";
            return NGX_ERROR;
        }
    }

    while (redis->tries < redis->naddrs) {
        redis->tries++;

        if (ngx_apikey_redis_open(redis, &redis->addrs[redis->current])
            == NGX_OK)
        {
            return NGX_OK;
        }

        redis->current = (redis->current + 1) % redis->naddrs;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_apikey_redis_open(ngx_apikey_redis_t *redis, ngx_addr_t *addr)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *pc;

    pc = &redis->peer;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = addr->sockaddr;
    pc->socklen = addr->socklen;
    pc->name = &addr->name;
    pc->get = ngx_event_get_peer;
    pc->log = &redis->quiet;
    pc->log_error = NGX_ERROR_INFO;
    pc->so_keepalive = (addr->sockaddr->sa_family != AF_UNIX);

    redis->name = &addr->name;
    redis->log.action = "connecting to redis";

    rc = ngx_event_connect_peer(pc);

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, &redis->log, 0,
                   "apikey redis connect: %i", rc);

    if (rc == NGX_DECLINED) {
        redis->err = ngx_socket_errno;
        redis->reason = "connect() failed";
        return NGX_ERROR;
    }

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        redis->err = 0;
        redis->reason = "there is no socket for it";
        return NGX_ERROR;
    }

    c = pc->connection;

    c->data = redis;
    c->log = &redis->log;
    c->read->log = &redis->log;
    c->write->log = &redis->log;
    c->read->handler = ngx_apikey_redis_read_handler;
    c->write->handler = ngx_apikey_redis_write_handler;
    c->idle = (redis->deadlines.n == 0);

    redis->log.connection = c->number;
    redis->state = NGX_APIKEY_REDIS_CONNECT;
    redis->connected = 0;
    redis->sent = 0;

    ngx_add_timer(&redis->timer, redis->store->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


/* The first event of a connection tells whether there is one. */

static ngx_int_t
ngx_apikey_redis_established(ngx_apikey_redis_t *redis)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    if (redis->connected) {
        return NGX_OK;
    }

    c = redis->peer.connection;

    err = 0;
    len = sizeof(int);

    /* BSDs and Linux give the pending error, Solaris fails with it */

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err != 0) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN, err,
                              "connect() failed");
        return NGX_ERROR;
    }

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN, 0,
                              "TCP_NODELAY cannot be set");
        return NGX_ERROR;
    }

    redis->connected = 1;
    redis->log.action = "shaking hands with redis";

    return NGX_OK;
}


/* The handshake is over: what was held back can be written. */

static void
ngx_apikey_redis_accepted(ngx_apikey_redis_t *redis)
{
    ngx_connection_t  *c;

    c = redis->peer.connection;

    ngx_del_timer(&redis->timer);

    redis->state = NGX_APIKEY_REDIS_READY;
    redis->ready = ngx_current_msec;
    redis->log.action = NULL;

    if (redis->down || !redis->known) {
        ngx_log_error(NGX_LOG_NOTICE, &redis->log, 0,
                      "apikey: redis is available");
    }

    redis->down = 0;
    redis->known = 1;

    if (redis->deadlines.n != 0 && c->write->ready) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static void
ngx_apikey_redis_pause(ngx_apikey_redis_t *redis)
{
    redis->log.action = NULL;

    if (ngx_apikey_redis_exiting()) {
        redis->state = NGX_APIKEY_REDIS_NONE;
        return;
    }

    redis->pause = (redis->pause == 0)
                   ? NGX_APIKEY_REDIS_PAUSE_MIN
                   : ngx_min(redis->pause * 2, NGX_APIKEY_REDIS_PAUSE_MAX);

    redis->state = NGX_APIKEY_REDIS_PAUSE;

    /* workers that lost one server do not come back to it all at once */

    ngx_add_timer(&redis->timer,
                  redis->pause + ngx_random() % (redis->pause / 4));
}


/*
 * The only end of a connection that was not asked for.  What comes next is
 * settled before the waiters are called, since they may ask for more.
 */

static void
ngx_apikey_redis_lost(ngx_apikey_redis_t *redis,
    ngx_apikey_redis_cause_e cause, ngx_err_t err, const char *reason)
{
    ak_redis_t  *session, *rest;
    ngx_uint_t   again, failed, more;

    redis->err = err;
    redis->reason = reason;

    if (redis->state == NGX_APIKEY_REDIS_READY) {
        ngx_log_error(NGX_LOG_INFO, &redis->log, err,
                      "apikey: the connection to redis is over: %s", reason);
    }

    more = 0;

    if (redis->state == NGX_APIKEY_REDIS_CONNECT) {
        redis->current = (redis->current + 1) % redis->naddrs;

        more = (redis->tries < redis->naddrs
                && (cause == NGX_APIKEY_REDIS_BROKEN
                    || cause == NGX_APIKEY_REDIS_LATE));
    }

    again = ngx_apikey_redis_again(redis, cause, more);

    ngx_apikey_redis_close(redis);

    session = NULL;
    rest = NULL;
    failed = 0;

    /* a session that has told nobody who it is can begin anew elsewhere */

    if (redis->sent || !more) {
        failed = redis->deadlines.n;
        session = ngx_apikey_redis_detach(redis);
    }

    if (!again || ngx_apikey_redis_next(redis) != NGX_OK) {
        failed = 1;
        rest = ngx_apikey_redis_detach(redis);
        ngx_apikey_redis_pause(redis);
    }

    if (failed) {
        ngx_apikey_redis_tell(redis);
    }

    ak_redis_free(session);
    ak_redis_free(rest);
}


/*
 * Whether to connect again at once: to the next address of a round, or where
 * a connection that held for a while was closed, which servers do to idle ones.
 */

static ngx_uint_t
ngx_apikey_redis_again(ngx_apikey_redis_t *redis,
    ngx_apikey_redis_cause_e cause, ngx_uint_t more)
{
    ngx_msec_t  held;

    if (redis->state == NGX_APIKEY_REDIS_CONNECT) {
        return more && (redis->deadlines.n != 0 || !ngx_apikey_redis_exiting());
    }

    held = ngx_current_msec - redis->ready;

    if (held >= NGX_APIKEY_REDIS_PAUSE_MAX) {
        redis->pause = 0;
    }

    redis->probe = 0;
    redis->tries = 0;

    return held >= NGX_APIKEY_REDIS_PAUSE_MIN
           && cause != NGX_APIKEY_REDIS_EXPIRED
           && !ngx_apikey_redis_exiting();
}


/* Closes the connection; the session stays. */

static void
ngx_apikey_redis_close(ngx_apikey_redis_t *redis)
{
    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    if (redis->peer.connection != NULL) {
        ngx_close_connection(redis->peer.connection);
        redis->peer.connection = NULL;
    }

    redis->state = NGX_APIKEY_REDIS_NONE;
    redis->connected = 0;
    redis->log.connection = 0;
    redis->log.action = NULL;
}


/* The session is the caller's to free, once no state depends on it. */

static ak_redis_t *
ngx_apikey_redis_detach(ngx_apikey_redis_t *redis)
{
    ak_redis_t  *session;

    session = redis->session;

    redis->session = NULL;
    redis->sent = 0;

    redis->deadlines.first = 0;
    redis->deadlines.n = 0;

    if (redis->deadline.timer_set) {
        ngx_del_timer(&redis->deadline);
    }

    return session;
}


static ngx_uint_t
ngx_apikey_redis_exiting(void)
{
    return ngx_exiting || ngx_terminate || ngx_quit;
}


static void
ngx_apikey_redis_write_handler(ngx_event_t *wev)
{
    ssize_t              n;
    ak_str_t             out;
    ngx_connection_t    *c;
    ngx_apikey_redis_t  *redis;

    c = wev->data;
    redis = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, wev->log, 0,
                   "apikey redis write handler");

    if (ngx_apikey_redis_established(redis) != NGX_OK) {
        return;
    }

    for ( ;; ) {
        out = ak_redis_output(redis->session);

        if (out.len == 0) {
            break;
        }

        n = c->send(c, (u_char *) out.data, out.len);

        if (n == NGX_ERROR) {
            ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN,
                                  ngx_socket_errno, "send() failed");
            return;
        }

        if (n <= 0) {
            break;
        }

        redis->sent = 1;

        ak_redis_written(redis->session, (size_t) n);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN, 0,
                              "its events cannot be had");
    }
}


static void
ngx_apikey_redis_read_handler(ngx_event_t *rev)
{
    ngx_connection_t    *c;
    ngx_apikey_redis_t  *redis;

    c = rev->data;
    redis = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, rev->log, 0,
                   "apikey redis read handler");

    /* the worker exits, or its shutdown took too long */

    if (c->close) {
        ngx_apikey_redis_close(redis);
        ak_redis_free(ngx_apikey_redis_detach(redis));
        return;
    }

    if (ngx_apikey_redis_established(redis) != NGX_OK) {
        return;
    }

    do {
        if (ngx_apikey_redis_read(redis, c) != NGX_OK) {
            return;
        }

    } while (rev->ready);

    if (redis->deadlines.n == 0 && ngx_apikey_redis_exiting()) {
        ngx_apikey_redis_close(redis);
        ak_redis_free(ngx_apikey_redis_detach(redis));
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN, 0,
                              "its events cannot be had");
    }
}


static ngx_int_t
ngx_apikey_redis_read(ngx_apikey_redis_t *redis, ngx_connection_t *c)
{
    u_char   buf[NGX_APIKEY_REDIS_READ_SIZE];
    ak_rc_t  rc;
    ssize_t  n;

    n = c->recv(c, buf, sizeof(buf));

    if (n == NGX_AGAIN) {
        return NGX_OK;
    }

    if (n == NGX_ERROR) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN,
                              ngx_socket_errno, "recv() failed");
        return NGX_ERROR;
    }

    if (n == 0) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_BROKEN, 0,
                              "the server closed the connection");
        return NGX_ERROR;
    }

    rc = ak_redis_read(redis->session, buf, (size_t) n, &redis->diag);

    ngx_apikey_redis_ring_settle(redis);

    if (rc != AK_OK) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_REFUSED, 0,
                              redis->diag.text);
        return NGX_ERROR;
    }

    if (redis->state == NGX_APIKEY_REDIS_CONNECT
        && ak_redis_ready(redis->session))
    {
        ngx_apikey_redis_accepted(redis);
    }

    return NGX_OK;
}


static void
ngx_apikey_redis_timer_handler(ngx_event_t *ev)
{
    ngx_apikey_redis_t  *redis;

    redis = ev->data;

    if (redis->state == NGX_APIKEY_REDIS_CONNECT) {
        ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_LATE, NGX_ETIMEDOUT,
                              redis->connected ? "no answer to the handshake"
                                               : "connect() took too long");
        return;
    }

    if (ngx_apikey_redis_exiting()) {
        redis->state = NGX_APIKEY_REDIS_NONE;
        return;
    }

    (void) ngx_apikey_redis_connect(redis, redis->down);
}


/*
 * The timer is not moved with every command: it looks at the oldest when it
 * fires.
 */

static void
ngx_apikey_redis_deadline_handler(ngx_event_t *ev)
{
    ngx_msec_int_t            left;
    ngx_apikey_redis_t       *redis;
    ngx_apikey_redis_ring_t  *ring;

    redis = ev->data;
    ring = &redis->deadlines;

    if (ring->n == 0) {
        return;
    }

    left = (ngx_msec_int_t) (ring->elts[ring->first] - ngx_current_msec);

    if (left > 0) {
        ngx_add_timer(ev, (ngx_msec_t) left);
        return;
    }

    ngx_apikey_redis_lost(redis, NGX_APIKEY_REDIS_EXPIRED, NGX_ETIMEDOUT,
                          "no reply in time");
}


static ngx_int_t
ngx_apikey_redis_ring_reserve(ngx_apikey_redis_t *redis)
{
    ngx_uint_t                i, size;
    ngx_msec_t               *elts;
    ngx_apikey_redis_ring_t  *ring;

    ring = &redis->deadlines;

    if (ring->n < ring->size) {
        return NGX_OK;
    }

    size = (ring->size == 0) ? NGX_APIKEY_REDIS_DEADLINES : ring->size * 2;

    elts = ngx_alloc(size * sizeof(ngx_msec_t), &redis->log);
    if (elts == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ring->n; i++) {
        elts[i] = ring->elts[(ring->first + i) % ring->size];
    }

    if (ring->elts != NULL) {
        ngx_free(ring->elts);
    }

    ring->elts = elts;
    ring->first = 0;
    ring->size = size;

    return NGX_OK;
}


static void
ngx_apikey_redis_ring_push(ngx_apikey_redis_t *redis)
{
    ngx_msec_t                timeout;
    ngx_apikey_redis_ring_t  *ring;

    ring = &redis->deadlines;
    timeout = redis->store->timeout;

    ring->elts[(ring->first + ring->n) % ring->size] = ngx_current_msec
                                                       + timeout;
    ring->n++;

    /* a worker that exits waits for those who wait, and for nothing else */

    redis->deadline.cancelable = 0;

    if (!redis->deadline.timer_set) {
        ngx_add_timer(&redis->deadline, timeout);
    }
}


/* Drops the times of what has been answered, cancelled or not. */

static void
ngx_apikey_redis_ring_settle(ngx_apikey_redis_t *redis)
{
    ngx_uint_t                waiting;
    ngx_apikey_redis_ring_t  *ring;

    ring = &redis->deadlines;
    waiting = ak_redis_waiting(redis->session);

    while (ring->n > waiting) {
        ring->first = (ring->first + 1) % ring->size;
        ring->n--;
    }

    if (ring->n == 0) {
        redis->deadline.cancelable = 1;
        redis->peer.connection->idle = 1;
    }
}


/* One line for an outage, however long. */

static void
ngx_apikey_redis_tell(ngx_apikey_redis_t *redis)
{
    if (redis->down) {
        return;
    }

    redis->down = 1;

    ngx_log_error(NGX_LOG_ERR, &redis->log, redis->err,
                  "apikey: redis is unavailable: %s", redis->reason);
}


static u_char *
ngx_apikey_redis_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char              *p;
    ngx_apikey_redis_t  *redis;

    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
    }

    redis = log->data;

    if (redis->name != NULL) {
        p = ngx_snprintf(p, len, ", redis: %V", redis->name);
    }

    return p;
}
