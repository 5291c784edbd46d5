
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ak_mem.h"
#include "ngx_apikey_link.h"


#define NGX_APIKEY_LINK_READ_SIZE   16384
#define NGX_APIKEY_LINK_READS       16        /* in a row */
#define NGX_APIKEY_LINK_PAUSE_MIN   100       /* milliseconds */
#define NGX_APIKEY_LINK_PAUSE_MAX   2000


typedef enum {
    NGX_APIKEY_LINK_NONE = 0,      /* no connection, and none is planned */
    NGX_APIKEY_LINK_PAUSE,         /* until the next attempt */
    NGX_APIKEY_LINK_CONNECT,       /* connecting, then the handshake */
    NGX_APIKEY_LINK_READY
} ngx_apikey_link_state_e;


typedef enum {
    NGX_APIKEY_LINK_BROKEN = 0,    /* not connected, or no more */
    NGX_APIKEY_LINK_LATE,          /* connecting took too long */
    NGX_APIKEY_LINK_MUTE,          /* commands are not answered */
    NGX_APIKEY_LINK_REFUSED        /* the session's verdict, or the owner's */
} ngx_apikey_link_cause_e;


struct ngx_apikey_link_s {

    /* debug logging of timers takes the first four for a connection's */

    ngx_apikey_link_conf_t    *conf;
    ak_redis_t                *session;
    ngx_connection_t          *connection;
    ngx_socket_t               fd;

    ngx_apikey_peer_t         *peers;
    ngx_uint_t                 npeers;
    ngx_uint_t                 current;    /* the peer in use */
    ngx_uint_t                 tries;      /* peers tried in this round */
    ngx_apikey_dial_t          dial;

    ngx_apikey_link_state_e    state;
    ngx_event_t                timer;      /* of connecting, of the pause */
    ngx_event_t                watch;      /* whether there are replies */
    ngx_msec_t                 heard;      /* the last reply, or since when
                                              one is waited for */
    size_t                     waiting;    /* when that was seen */
    ngx_msec_t                 pause;
    ngx_msec_t                 since;      /* ready */
    ngx_msec_t                 ended;      /* when it was no more */

    ngx_err_t                  err;        /* why it failed last */
    ak_diag_t                  why;

    ngx_log_t                  log;
    ngx_log_t                  silent;     /* for attempts to connect */

    unsigned                   started:1;
    unsigned                   stopped:1;
    unsigned                   reading:1;  /* the session calls handlers */
    unsigned                   left:1;     /* and one of them gave it up */
    unsigned                   probe:1;    /* to see whether it is back */
    unsigned                   down:1;     /* and the log was told so */
    unsigned                   refused:1;  /* the last time, a handshake */
    unsigned                   told:1;     /* and the log was told so */
    unsigned                   known:1;    /* the log was told of a first */
    unsigned                   doubt:1;    /* it takes handshakes, and is down:
                                              nothing new before a reply */
};


static void ngx_apikey_login_cleanup(void *data);
static void ngx_apikey_login_again(ngx_apikey_login_t *login, ngx_log_t *log);

static ngx_int_t ngx_apikey_link_connect(ngx_apikey_link_t *link,
    ngx_uint_t probe);
static ngx_int_t ngx_apikey_link_next(ngx_apikey_link_t *link);
static void ngx_apikey_link_connected(void *data, ngx_connection_t *c);
static void ngx_apikey_link_log(ngx_apikey_link_t *link, ngx_log_t *log);
static void ngx_apikey_link_accepted(ngx_apikey_link_t *link);
static void ngx_apikey_link_pause(ngx_apikey_link_t *link);
static void ngx_apikey_link_lost(ngx_apikey_link_t *link,
    ngx_apikey_link_cause_e cause, ngx_err_t err, const char *why);
static ngx_uint_t ngx_apikey_link_again(ngx_apikey_link_t *link,
    ngx_apikey_link_cause_e cause);
static ak_redis_t *ngx_apikey_link_close(ngx_apikey_link_t *link,
    ngx_uint_t late);
static ngx_uint_t ngx_apikey_link_exiting(void);

static void ngx_apikey_link_write_handler(ngx_event_t *wev);
static void ngx_apikey_link_read_handler(ngx_event_t *rev);
static void ngx_apikey_link_retire(ngx_apikey_link_t *link);
static ngx_int_t ngx_apikey_link_read(ngx_apikey_link_t *link,
    ngx_connection_t *c);
static void ngx_apikey_link_settle(ngx_apikey_link_t *link);
static void ngx_apikey_link_message(void *data, const ak_reply_t *reply);
static void ngx_apikey_link_timer_handler(ngx_event_t *ev);
static void ngx_apikey_link_watch_handler(ngx_event_t *ev);
static void ngx_apikey_link_pong(void *data, const ak_reply_t *reply);

static void ngx_apikey_link_tell(ngx_apikey_link_t *link);
static u_char *ngx_apikey_link_log_error(ngx_log_t *log, u_char *buf,
    size_t len);


ngx_int_t
ngx_apikey_login_init(ngx_conf_t *cf, ngx_apikey_login_t *login,
    ak_str_t user, ak_str_t file, const char *option)
{
    size_t               len;
    ak_diag_t            diag;
    ngx_pool_cleanup_t  *cln;

    login->user = user;

    if (file.len == 0) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);

    login->file.len = file.len;
    login->file.data = ngx_pnalloc(cf->pool, file.len + 1);
    login->password.data = ngx_pnalloc(cf->pool, AK_PASSWORD_MAX);

    if (cln == NULL || login->file.data == NULL
        || login->password.data == NULL)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_apikey_login_cleanup;
    cln->data = login;

    ngx_memcpy(login->file.data, file.data, file.len);
    login->file.data[file.len] = '\0';

    if (ngx_conf_full_name(cf->cycle, &login->file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ak_store_password((char *) login->file.data, login->password.data,
                          &len, &diag)
        != AK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s\": %s", option,
                           diag.text);
        return NGX_ERROR;
    }

    login->password.len = len;

    return NGX_OK;
}


static void
ngx_apikey_login_cleanup(void *data)
{
    ngx_apikey_login_t *login = data;

    ak_mem_wipe(login->password.data, AK_PASSWORD_MAX);
    login->password.len = 0;
}


/*
 * A file of a few bytes, read once a connection.  A worker often may not read
 * what the master could: then it goes on with what it has, and says so where
 * that does not do.
 */

static void
ngx_apikey_login_again(ngx_apikey_login_t *login, ngx_log_t *log)
{
    u_char     text[AK_PASSWORD_MAX];
    size_t     len;
    ak_diag_t  diag;

    if (login->file.len == 0) {
        return;
    }

    if (ak_store_password((char *) login->file.data, text, &len, &diag)
        == AK_OK)
    {
        ngx_memcpy(login->password.data, text, len);
        login->password.len = len;
        login->unread = 0;

    } else if (log != NULL && !login->unread) {
        login->unread = 1;

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "apikey: the password that nginx started with is used "
                      "on: %s", diag.text);
    }

    ak_mem_wipe(text, sizeof(text));
}


ngx_apikey_link_t *
ngx_apikey_link_create(ngx_apikey_link_conf_t *conf,
    ngx_apikey_peer_t *peers, ngx_uint_t n, ngx_log_t *log)
{
    ngx_apikey_link_t  *link;

    link = ngx_calloc(sizeof(ngx_apikey_link_t), log);
    if (link == NULL) {
        return NULL;
    }

    link->conf = conf;
    link->peers = peers;
    link->npeers = n;
    link->fd = (ngx_socket_t) -1;

    link->log = *log;
    link->log.handler = ngx_apikey_link_log_error;
    link->log.data = link;
    link->log.action = NULL;
    link->log.connection = 0;

    /* failed attempts are told here, once, and not by the event core each */

    link->silent = link->log;

    if (!(link->silent.log_level & NGX_LOG_DEBUG_ALL)
        && link->silent.log_level > NGX_LOG_ALERT)
    {
        link->silent.log_level = NGX_LOG_ALERT;
    }

    link->timer.handler = ngx_apikey_link_timer_handler;
    link->timer.data = link;
    link->timer.log = &link->log;
    link->timer.cancelable = 1;

    link->watch.handler = ngx_apikey_link_watch_handler;
    link->watch.data = link;
    link->watch.log = &link->log;
    link->watch.cancelable = 1;

    return link;
}


void
ngx_apikey_link_free(ngx_apikey_link_t *link)
{
    if (link == NULL) {
        return;
    }

    link->stopped = 1;

    ak_redis_free(ngx_apikey_link_close(link, 0));

    ngx_free(link);
}


/* The first attempt is made by the event loop, as are all others. */

void
ngx_apikey_link_start(ngx_apikey_link_t *link, ngx_msec_t delay)
{
    if (link->started || link->stopped) {
        return;
    }

    link->started = 1;
    link->ended = ngx_current_msec;
    link->state = NGX_APIKEY_LINK_PAUSE;

    ngx_add_timer(&link->timer, ngx_max(delay, 1));
}


void
ngx_apikey_link_aim(ngx_apikey_link_t *link, ngx_apikey_peer_t *peers,
    ngx_uint_t n, ngx_uint_t next)
{
    ak_redis_t  *session;

    session = ngx_apikey_link_close(link, 0);

    /* what is known of others says nothing of these */

    if (peers != link->peers && link->down) {
        link->down = 0;
        link->known = 0;
    }

    link->peers = peers;
    link->npeers = n;
    link->current = next ? (link->current + 1) % n : 0;
    link->pause = 0;
    link->doubt = 0;
    link->dial.first = 0;

    if (link->started && !ngx_apikey_link_exiting()) {
        link->state = NGX_APIKEY_LINK_PAUSE;
        ngx_add_timer(&link->timer, 1);
    }

    ak_redis_free(session);
}


void
ngx_apikey_link_leave(ngx_apikey_link_t *link, const char *why)
{
    if (link->state != NGX_APIKEY_LINK_READY
        && link->state != NGX_APIKEY_LINK_CONNECT)
    {
        return;
    }

    /* a handler must not end the session that called it */

    if (link->reading) {

        if (!link->left) {
            link->left = 1;
            (void) ak_diag(&link->why, "%s", why);
        }

        return;
    }

    ngx_apikey_link_lost(link, NGX_APIKEY_LINK_REFUSED, 0, why);
}


ak_redis_ticket_t *
ngx_apikey_link_send(ngx_apikey_link_t *link, const ak_str_t *argv,
    size_t argc, ak_redis_handler_pt handler, void *data)
{
    ngx_connection_t   *c;
    ak_redis_ticket_t  *ticket;

    if (!ngx_apikey_link_usable(link)) {
        return NULL;
    }

    ticket = ak_redis_send(link->session, argv, argc, handler, data);
    if (ticket == NULL) {
        return NULL;
    }

    if (link->waiting++ == 0) {
        link->heard = ngx_current_msec;

        /* the timer may be that of the next PING */

        if (link->state == NGX_APIKEY_LINK_READY
            && (!link->watch.timer_set || link->conf->ping != 0))
        {
            ngx_add_timer(&link->watch, link->conf->timeout);
        }
    }

    c = link->connection;

    if (c != NULL) {
        c->idle = 0;
    }

    if (link->state == NGX_APIKEY_LINK_READY) {

        /* commands of one turn of the event loop are written together */

        if (c->write->ready) {
            ngx_post_event(c->write, &ngx_posted_events);
        }
    }

    return ticket;
}


void
ngx_apikey_link_good(ngx_apikey_link_t *link)
{
    if (!link->conf->quiet && !link->doubt && (link->down || !link->known)) {
        ngx_log_error(NGX_LOG_NOTICE, &link->log, 0,
                      "apikey: %s is available", link->conf->what);
    }

    link->down = 0;
    link->told = 0;
    link->known = 1;
}


/* Whether a command would be answered, for all that is known. */

ngx_uint_t
ngx_apikey_link_usable(ngx_apikey_link_t *link)
{
    if (link->stopped || !link->started) {
        return 0;
    }

    switch (link->state) {

    case NGX_APIKEY_LINK_READY:
        return 1;

    case NGX_APIKEY_LINK_CONNECT:
        return !link->probe;

    case NGX_APIKEY_LINK_PAUSE:

        if (link->down) {
            return 0;
        }

        break;

    default: /* NGX_APIKEY_LINK_NONE */
        break;
    }

    return ngx_apikey_link_connect(link, 0) == NGX_OK;
}


ngx_uint_t
ngx_apikey_link_ready(ngx_apikey_link_t *link)
{
    return link->state == NGX_APIKEY_LINK_READY;
}


ngx_apikey_link_is_e
ngx_apikey_link_is(ngx_apikey_link_t *link)
{
    if (link->state == NGX_APIKEY_LINK_READY) {
        return NGX_APIKEY_LINK_IS_UP;
    }

    return (link->down || !link->known) ? NGX_APIKEY_LINK_IS_DOWN
                                        : NGX_APIKEY_LINK_IS_LOST;
}


ngx_msec_t
ngx_apikey_link_since(ngx_apikey_link_t *link)
{
    return (link->state == NGX_APIKEY_LINK_READY) ? link->since
                                                  : link->ended;
}


ngx_msec_t
ngx_apikey_link_heard(ngx_apikey_link_t *link)
{
    return link->heard;
}


ngx_apikey_peer_t *
ngx_apikey_link_peer(ngx_apikey_link_t *link)
{
    return &link->peers[link->current];
}


const char *
ngx_apikey_link_why(ngx_apikey_link_t *link)
{
    return link->why.text;
}


ngx_addr_t *
ngx_apikey_link_addr(ngx_apikey_link_t *link)
{
    return ngx_apikey_dial_addr(&link->dial);
}


void
ngx_apikey_link_cancel(ngx_apikey_link_t *link, ak_redis_ticket_t *ticket)
{
    ak_redis_cancel(link->session, ticket);
}


/*
 * Begins a round through all peers.  Nobody waits yet: there was no session,
 * so that a failure has nobody to call.
 */

static ngx_int_t
ngx_apikey_link_connect(ngx_apikey_link_t *link, ngx_uint_t probe)
{
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    link->probe = probe;
    link->tries = 0;

    if (ngx_apikey_link_next(link) == NGX_OK) {
        return NGX_OK;
    }

    ngx_apikey_link_pause(link);
    ngx_apikey_link_tell(link);

    return NGX_ERROR;
}


/* Tries the next peer of a round. */

static ngx_int_t
ngx_apikey_link_next(ngx_apikey_link_t *link)
{
    ak_str_t             password;
    ngx_apikey_login_t  *login;

    login = link->conf->login;

    link->tries++;
    link->err = 0;

    ngx_apikey_login_again(login, link->down ? &link->log : NULL);

    password = ak_str(login->password.data, login->password.len);

    link->session = ak_redis_create(login->user, password, link->conf->db,
                                    link->conf->flags);

    if (link->session == NULL) {
        (void) ak_diag(&link->why, "there is no memory");
        return NGX_ERROR;
    }

    if (link->conf->message != NULL) {
        ak_redis_subscribed(link->session, ngx_apikey_link_message, link);
    }

    link->log.action = "connecting to";

    if (ngx_apikey_dial(&link->dial, &link->peers[link->current],
                        ngx_apikey_link_connected, link, &link->silent,
                        link->down ? &link->silent : &link->log)
        != NGX_OK)
    {
        ak_redis_free(ngx_apikey_link_close(link, 0));
        (void) ak_diag(&link->why, "there is no memory");
        return NGX_ERROR;
    }

    link->state = NGX_APIKEY_LINK_CONNECT;

    ngx_add_timer(&link->timer, link->conf->connect_timeout);

    return NGX_OK;
}


static void
ngx_apikey_link_connected(void *data, ngx_connection_t *c)
{
    ngx_apikey_link_t *link = data;

    if (c == NULL) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_BROKEN, link->dial.err,
                             (char *) link->dial.why);
        return;
    }

    link->connection = c;
    link->log.connection = c->number;
    link->log.action = "shaking hands with";

    c->data = link;

    /* in TLS 1.3 a server refuses a client after the handshake */

    ngx_apikey_link_log(link, link->down ? &link->silent : &link->log);

    c->read->handler = ngx_apikey_link_read_handler;
    c->write->handler = ngx_apikey_link_write_handler;
    c->idle = (link->waiting == 0);

    ngx_apikey_link_write_handler(c->write);
}


static void
ngx_apikey_link_log(ngx_apikey_link_t *link, ngx_log_t *log)
{
    link->connection->log = log;
    link->connection->read->log = log;
    link->connection->write->log = log;
}


/* The handshake is over: what was held back can be written. */

static void
ngx_apikey_link_accepted(ngx_apikey_link_t *link)
{
    ngx_connection_t  *c;

    c = link->connection;

    ngx_del_timer(&link->timer);

    link->state = NGX_APIKEY_LINK_READY;
    link->since = ngx_current_msec;
    link->heard = ngx_current_msec;
    link->log.action = NULL;

    ngx_apikey_link_log(link, &link->log);

    if (!link->conf->judged) {
        ngx_apikey_link_good(link);
    }

    if (link->waiting != 0) {
        ngx_add_timer(&link->watch, link->conf->timeout);

        if (c->write->ready) {
            ngx_post_event(c->write, &ngx_posted_events);
        }

    } else if (link->conf->ping != 0) {
        ngx_add_timer(&link->watch, link->conf->ping);
    }

    if (link->conf->ready != NULL) {
        link->conf->ready(link->conf->data);
    }
}


static void
ngx_apikey_link_pause(ngx_apikey_link_t *link)
{
    link->log.action = NULL;

    if (ngx_apikey_link_exiting()) {
        link->state = NGX_APIKEY_LINK_NONE;
        return;
    }

    link->pause = (link->pause == 0)
                  ? NGX_APIKEY_LINK_PAUSE_MIN
                  : ngx_min(link->pause * 2, NGX_APIKEY_LINK_PAUSE_MAX);

    link->state = NGX_APIKEY_LINK_PAUSE;

    /* workers that lost one server do not come back to it all at once */

    ngx_add_timer(&link->timer,
                  link->pause + ngx_random() % (link->pause / 4));
}


/*
 * The only end of a connection that was not asked for.  What comes next is
 * settled before the waiters are called, since they may ask for more.
 */

static void
ngx_apikey_link_lost(ngx_apikey_link_t *link, ngx_apikey_link_cause_e cause,
    ngx_err_t err, const char *why)
{
    ak_redis_t  *session;
    ngx_uint_t   again, refused;

    refused = (link->state == NGX_APIKEY_LINK_READY
               && cause == NGX_APIKEY_LINK_REFUSED);

    link->refused = (link->state == NGX_APIKEY_LINK_CONNECT
                     && cause == NGX_APIKEY_LINK_REFUSED);

    link->err = err;

    /* it may be said by the session, which ends here */

    if (why != link->why.text) {
        (void) ak_diag(&link->why, "%s", why);
    }

    if (link->state == NGX_APIKEY_LINK_READY && !link->down
        && !link->conf->quiet)
    {
        ngx_log_error(NGX_LOG_INFO, &link->log, err,
                      "apikey: the connection to %s is over: %s",
                      link->conf->what, link->why.text);
    }

    again = ngx_apikey_link_again(link, cause);

    session = ngx_apikey_link_close(link, cause == NGX_APIKEY_LINK_LATE);

    if (!again || ngx_apikey_link_next(link) != NGX_OK) {
        ngx_apikey_link_pause(link);
        ngx_apikey_link_tell(link);

        if (refused) {
            link->doubt = 1;
        }
    }

    /* its owner first: those who waited may ask for another server at once */

    if (link->conf->lost != NULL) {
        link->conf->lost(link->conf->data);
    }

    ak_redis_free(session);
}


/*
 * Whether to connect again at once: to the next peer of a round, or where a
 * connection that held for a while was closed, which servers do to idle ones.
 */

static ngx_uint_t
ngx_apikey_link_again(ngx_apikey_link_t *link, ngx_apikey_link_cause_e cause)
{
    ngx_msec_t  held;

    if (link->state == NGX_APIKEY_LINK_CONNECT
        || cause == NGX_APIKEY_LINK_REFUSED)
    {
        link->current = (link->current + 1) % link->npeers;

        return link->tries < link->npeers && !ngx_apikey_link_exiting();
    }

    held = ngx_current_msec - link->since;

    if (held >= NGX_APIKEY_LINK_PAUSE_MAX) {
        link->pause = 0;
    }

    link->probe = 0;
    link->tries = 0;

    return held >= NGX_APIKEY_LINK_PAUSE_MIN
           && cause == NGX_APIKEY_LINK_BROKEN
           && !ngx_apikey_link_exiting();
}


/*
 * Closes the connection.  The session is the caller's to free, once no state
 * depends on it.
 */

static ak_redis_t *
ngx_apikey_link_close(ngx_apikey_link_t *link, ngx_uint_t late)
{
    ak_redis_t  *session;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    if (link->watch.timer_set) {
        ngx_del_timer(&link->watch);
    }

    if (link->state == NGX_APIKEY_LINK_READY) {
        link->ended = ngx_current_msec;
    }

    ngx_apikey_dial_end(&link->dial, late);

    link->connection = NULL;
    link->state = NGX_APIKEY_LINK_NONE;
    link->log.connection = 0;
    link->log.action = NULL;
    link->left = 0;
    link->waiting = 0;

    session = link->session;
    link->session = NULL;

    return session;
}


static ngx_uint_t
ngx_apikey_link_exiting(void)
{
    return ngx_exiting || ngx_terminate || ngx_quit;
}


static void
ngx_apikey_link_write_handler(ngx_event_t *wev)
{
    ssize_t             n;
    ak_str_t            out;
    ngx_connection_t   *c;
    ngx_apikey_link_t  *link;

    c = wev->data;
    link = c->data;

    for ( ;; ) {
        out = ak_redis_output(link->session);

        if (out.len == 0) {
            break;
        }

        n = c->send(c, (u_char *) out.data, out.len);

        if (n == NGX_ERROR) {
            ngx_apikey_link_lost(link, NGX_APIKEY_LINK_BROKEN,
                                 ngx_socket_errno, "send() failed");
            return;
        }

        if (n <= 0) {
            break;
        }

        ak_redis_written(link->session, (size_t) n);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_BROKEN, 0,
                             "its events cannot be had");
        return;
    }

    /* what TLS has read along with its handshake makes no event */

    if (c->read->ready && !c->read->posted) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_apikey_link_read_handler(ngx_event_t *rev)
{
    ngx_uint_t          n;
    ngx_connection_t   *c;
    ngx_apikey_link_t  *link;

    c = rev->data;
    link = c->data;

    /* the worker exits, or its shutdown took too long */

    if (c->close) {
        ngx_apikey_link_retire(link);
        return;
    }

    n = 0;

    do {
        if (n++ == NGX_APIKEY_LINK_READS) {

            /* where all changes at once, others have a turn too */

            ngx_post_event(rev, &ngx_posted_next_events);
            return;
        }

        if (ngx_apikey_link_read(link, c) != NGX_OK) {
            return;
        }

    } while (rev->ready);

    if (link->waiting == 0 && ngx_apikey_link_exiting()) {
        ngx_apikey_link_retire(link);
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_BROKEN, 0,
                             "its events cannot be had");
    }
}


static void
ngx_apikey_link_retire(ngx_apikey_link_t *link)
{
    (void) ak_diag(&link->why, "the worker exits");

    ak_redis_free(ngx_apikey_link_close(link, 0));

    if (link->conf->lost != NULL) {
        link->conf->lost(link->conf->data);
    }
}


/* NGX_DONE: the connection that was read is gone. */

static ngx_int_t
ngx_apikey_link_read(ngx_apikey_link_t *link, ngx_connection_t *c)
{
    u_char       buf[NGX_APIKEY_LINK_READ_SIZE];
    ak_rc_t      rc;
    ssize_t      n;
    ak_redis_t  *session;

    n = c->recv(c, buf, sizeof(buf));

    if (n == NGX_AGAIN) {
        return NGX_OK;
    }

    if (n == NGX_ERROR) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_BROKEN,
                             ngx_socket_errno, "recv() failed");
        return NGX_DONE;
    }

    if (n == 0) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_BROKEN, 0,
                             "the server closed the connection");
        return NGX_DONE;
    }

    session = link->session;

    link->reading = 1;

    rc = ak_redis_read(session, buf, (size_t) n, &link->why);

    link->reading = 0;

    if (rc != AK_OK || link->left) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_REFUSED, 0,
                             link->why.text);
        return NGX_DONE;
    }

    ngx_apikey_link_settle(link);

    if (link->state == NGX_APIKEY_LINK_CONNECT && ak_redis_ready(session)) {
        ngx_apikey_link_accepted(link);
    }

    return (link->session == session) ? NGX_OK : NGX_DONE;
}


/* Replies have come, or parts of one, which do not count. */

static void
ngx_apikey_link_settle(ngx_apikey_link_t *link)
{
    size_t  waiting;

    waiting = ak_redis_waiting(link->session);

    if (waiting < link->waiting || waiting == 0) {
        link->heard = ngx_current_msec;
    }

    if (waiting < link->waiting && link->doubt
        && link->state == NGX_APIKEY_LINK_READY)
    {
        link->doubt = 0;

        if (!link->conf->quiet) {
            ngx_log_error(NGX_LOG_NOTICE, &link->log, 0,
                          "apikey: %s is available", link->conf->what);
        }
    }

    link->waiting = waiting;

    if (waiting == 0 && link->connection != NULL) {
        link->connection->idle = 1;
    }
}


static void
ngx_apikey_link_message(void *data, const ak_reply_t *reply)
{
    ngx_apikey_link_t *link = data;

    link->heard = ngx_current_msec;

    link->conf->message(link->conf->data, reply);
}


static void
ngx_apikey_link_timer_handler(ngx_event_t *ev)
{
    ngx_apikey_link_t *link = ev->data;

    if (link->state == NGX_APIKEY_LINK_CONNECT) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_LATE, NGX_ETIMEDOUT,
                             link->connection != NULL
                             ? "no answer to the handshake"
                             : "connect() took too long");
        return;
    }

    if (ngx_apikey_link_exiting()) {
        link->state = NGX_APIKEY_LINK_NONE;
        return;
    }

    (void) ngx_apikey_link_connect(link, link->down);
}


/*
 * The timer is not moved with every command: it looks at the time of the last
 * reply when it fires.
 */

static void
ngx_apikey_link_watch_handler(ngx_event_t *ev)
{
    ngx_apikey_link_t *link = ev->data;

    ak_str_t    ping;
    ngx_msec_t  limit, silence;

    if (link->state != NGX_APIKEY_LINK_READY) {
        return;
    }

    limit = (link->waiting != 0) ? link->conf->timeout : link->conf->ping;

    if (limit == 0) {
        return;
    }

    silence = ngx_current_msec - link->heard;

    if (silence < limit) {
        ngx_add_timer(ev, limit - silence);
        return;
    }

    if (link->waiting != 0) {
        ngx_apikey_link_lost(link, NGX_APIKEY_LINK_MUTE, NGX_ETIMEDOUT,
                             "no reply in time");
        return;
    }

    ping = ak_literal("PING");

    (void) ngx_apikey_link_send(link, &ping, 1, ngx_apikey_link_pong, link);
}


/* That it came at all is what matters: a user may lack the right. */

static void
ngx_apikey_link_pong(void *data, const ak_reply_t *reply)
{
    ngx_apikey_link_t *link = data;

    if (reply != NULL) {
        ngx_add_timer(&link->watch, link->conf->ping);
    }
}


/*
 * One line for an outage, however long, and one more where the server is back
 * and does not want this client: that is for somebody to mend.
 */

static void
ngx_apikey_link_tell(ngx_apikey_link_t *link)
{
    if (link->down && (link->told || !link->refused)) {
        return;
    }

    link->down = 1;
    link->told = link->refused;

    if (!link->conf->quiet && !link->doubt) {
        ngx_log_error(NGX_LOG_ERR, &link->log, link->err,
                      "apikey: %s is unavailable: %s", link->conf->what,
                      link->why.text);
    }
}


static u_char *
ngx_apikey_link_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char             *p;
    ngx_apikey_link_t  *link;

    p = buf;
    link = log->data;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s %s", log->action,
                         link->conf->what);
        len -= p - buf;
    }

    if (link->npeers != 0) {
        p = ngx_snprintf(p, len, ", redis: %V",
                         &link->peers[link->current].text);
    }

    return p;
}
