
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
#include <nginx.h>

#include "ngx_apikey_dial.h"
#include "ngx_apikey_fetch.h"


#define NGX_APIKEY_FETCH_HEADER_MAX  16384
#define NGX_APIKEY_FETCH_WHY_MAX     256
#define NGX_APIKEY_FETCH_DEPTH       9         /* of a chain of certificates */


/*
 * What the server sends is read into one buffer: the header, of which a parser
 * tells where it ends, and from there on the body as it was sent.
 */

struct ngx_apikey_fetch_s {

    /* debug logging of timers takes the first four for a connection's */

    ngx_pool_t                *pool;       /* of one fetch */
    ngx_connection_t          *connection;
    void                      *data;
    ngx_socket_t               fd;

    ngx_str_t                  uri;
    ngx_str_t                  file;       /* of the configuration, */
    ngx_uint_t                 line;       /*   where it stands */
    ngx_str_t                  path;
    ngx_str_t                  authority;  /* for "Host" */
    ngx_apikey_peer_t          peer;
    ngx_msec_t                 timeout;
    size_t                     max;

    ngx_apikey_fetch_pt        handler;
    ngx_log_t                 *log;

    ngx_event_t                timer;      /* of the whole */
    ngx_apikey_dial_t          dial;

    ngx_buf_t                 *request;
    ngx_buf_t                 *response;
    u_char                    *body;       /* in response, or NULL */
    ngx_http_request_t        *parser;     /* its state, and no request */
    ngx_http_status_t          status;
    off_t                      length;     /* of the body; -1: not said */

    u_char                     why[NGX_APIKEY_FETCH_WHY_MAX];

    unsigned                   busy:1;
    unsigned                   chunked:1;
    unsigned                   headers:1;  /* the status line is parsed */
};


static ngx_int_t ngx_apikey_fetch_peer(ngx_conf_t *cf,
    ngx_apikey_fetch_t *fetch, ngx_url_t *url);
static ngx_int_t ngx_apikey_fetch_tls(ngx_conf_t *cf,
    ngx_apikey_fetch_t *fetch, ngx_str_t *ca);
static void ngx_apikey_fetch_cleanup(void *data);
static ngx_int_t ngx_apikey_fetch_request(ngx_apikey_fetch_t *fetch);
static void ngx_apikey_fetch_timer_handler(ngx_event_t *ev);
static void ngx_apikey_fetch_begin(void *data, ngx_connection_t *c);
static void ngx_apikey_fetch_write_handler(ngx_event_t *wev);
static void ngx_apikey_fetch_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_apikey_fetch_room(ngx_apikey_fetch_t *fetch);
static ngx_int_t ngx_apikey_fetch_parse(ngx_apikey_fetch_t *fetch,
    ngx_uint_t eof);
static ngx_int_t ngx_apikey_fetch_parse_status(ngx_apikey_fetch_t *fetch);
static ngx_int_t ngx_apikey_fetch_parse_headers(ngx_apikey_fetch_t *fetch);
static ngx_int_t ngx_apikey_fetch_parse_header(ngx_apikey_fetch_t *fetch);
static ngx_int_t ngx_apikey_fetch_parse_body(ngx_apikey_fetch_t *fetch,
    ngx_uint_t eof);
static ngx_int_t ngx_apikey_fetch_parse_chunks(ngx_apikey_fetch_t *fetch,
    ngx_str_t *body);
static void ngx_apikey_fetch_fail(ngx_apikey_fetch_t *fetch,
    const char *fmt, ...);
static void ngx_apikey_fetch_done(ngx_apikey_fetch_t *fetch,
    ngx_str_t *body);


ngx_apikey_fetch_t *
ngx_apikey_fetch_create(ngx_conf_t *cf, ngx_str_t *uri, ngx_str_t *ca,
    ngx_msec_t timeout, size_t max)
{
    size_t               scheme;
    ngx_url_t            url;
    ngx_uint_t           tls;
    ngx_pool_cleanup_t  *cln;
    ngx_apikey_fetch_t  *fetch;

    fetch = ngx_pcalloc(cf->pool, sizeof(ngx_apikey_fetch_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (fetch == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_apikey_fetch_cleanup;
    cln->data = fetch;

    tls = (ngx_strncmp(uri->data, "https://", 8) == 0);
    scheme = tls ? 8 : 7;

    fetch->fd = (ngx_socket_t) -1;
    fetch->uri = *uri;
    fetch->file = cf->conf_file->file.name;
    fetch->line = cf->conf_file->line;
    fetch->timeout = timeout;
    fetch->max = max;

    ngx_memzero(&url, sizeof(ngx_url_t));

    url.url.len = uri->len - scheme;
    url.url.data = uri->data + scheme;
    url.default_port = tls ? 443 : 80;
    url.uri_part = 1;
    url.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           url.err ? url.err : "an error", uri);
        return NULL;
    }

    if (ngx_apikey_fetch_peer(cf, fetch, &url) != NGX_OK
        || (tls && ngx_apikey_fetch_tls(cf, fetch, ca) != NGX_OK))
    {
        return NULL;
    }

    return fetch;
}


/* The name without the brackets of an IPv6 address, and with an end. */

static ngx_int_t
ngx_apikey_fetch_peer(ngx_conf_t *cf, ngx_apikey_fetch_t *fetch,
    ngx_url_t *url)
{
    ngx_str_t           name;
    ngx_apikey_peer_t  *peer;

    fetch->path = url->uri;
    fetch->authority = url->url;
    fetch->authority.len -= fetch->path.len;

    peer = &fetch->peer;
    name = url->host;

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    peer->host.len = name.len;
    peer->host.data = ngx_pnalloc(cf->pool, name.len + 1);
    if (peer->host.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(peer->host.data, name.data, name.len + 1);

    peer->text = fetch->authority;
    peer->port = url->port;
    peer->addrs = url->addrs;
    peer->naddrs = url->naddrs;
    peer->literal = (url->naddrs != 0);

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_fetch_tls(ngx_conf_t *cf, ngx_apikey_fetch_t *fetch, ngx_str_t *ca)
{
    ngx_apikey_tls_conf_t  conf;

    ngx_memzero(&conf, sizeof(ngx_apikey_tls_conf_t));

    conf.trusted = *ca;
    conf.depth = NGX_APIKEY_FETCH_DEPTH;
    conf.verify = 1;
#if (NGX_HTTP_SSL)
    conf.protocols = NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3;
#endif

    fetch->peer.tls = ngx_apikey_tls_create(cf, &conf);

    return (fetch->peer.tls == NULL) ? NGX_ERROR : NGX_OK;
}


static void
ngx_apikey_fetch_cleanup(void *data)
{
    ngx_apikey_fetch_t *fetch = data;

    ngx_apikey_fetch_stop(fetch);
}


ngx_int_t
ngx_apikey_fetch_resolve(ngx_conf_t *cf, ngx_apikey_fetch_t *fetch,
    ngx_resolver_t *resolver, ngx_msec_t timeout)
{
    const char  *err;

    if (ngx_apikey_peer_resolve(cf->pool, &fetch->peer, resolver, timeout,
                                &err)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in \"%V\"; with \"resolver\" in the http block it "
                      "is looked up while nginx runs in %V:%ui",
                      err, &fetch->uri, &fetch->file, fetch->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_apikey_fetch_start(ngx_apikey_fetch_t *fetch, ngx_apikey_fetch_pt handler,
    void *data, ngx_log_t *log)
{
    if (fetch->busy) {
        return NGX_BUSY;
    }

    fetch->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);
    if (fetch->pool == NULL) {
        return NGX_ERROR;
    }

    fetch->handler = handler;
    fetch->data = data;
    fetch->log = log;
    fetch->connection = NULL;
    fetch->body = NULL;
    fetch->chunked = 0;
    fetch->headers = 0;
    fetch->length = -1;

    ngx_memzero(&fetch->status, sizeof(ngx_http_status_t));

    if (ngx_apikey_fetch_request(fetch) != NGX_OK
        || ngx_apikey_dial(&fetch->dial, &fetch->peer, ngx_apikey_fetch_begin,
                           fetch, log, log)
           != NGX_OK)
    {
        ngx_destroy_pool(fetch->pool);
        fetch->pool = NULL;
        return NGX_ERROR;
    }

    ngx_memzero(&fetch->timer, sizeof(ngx_event_t));
    fetch->timer.handler = ngx_apikey_fetch_timer_handler;
    fetch->timer.data = fetch;
    fetch->timer.log = log;

    fetch->busy = 1;

    ngx_add_timer(&fetch->timer, fetch->timeout);

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_fetch_request(ngx_apikey_fetch_t *fetch)
{
    size_t      len;
    ngx_buf_t  *b;

    static u_char  method[] = "GET ";
    static u_char  host[] = " HTTP/1.1" CRLF "Host: ";
    static u_char  rest[] = CRLF "Accept: application/json" CRLF
                            "User-Agent: ngx_apikey_module" CRLF
                            "Connection: close" CRLF CRLF;

    len = sizeof(method) + 1 + fetch->path.len + sizeof(host)
          + fetch->authority.len + sizeof(rest);

    b = ngx_create_temp_buf(fetch->pool, len);
    fetch->response = ngx_create_temp_buf(fetch->pool,
                                          NGX_APIKEY_FETCH_HEADER_MAX);
    fetch->parser = ngx_pcalloc(fetch->pool, sizeof(ngx_http_request_t));

    if (b == NULL || fetch->response == NULL || fetch->parser == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, method, sizeof(method) - 1);

    /* "https://host", "https://host?query" */

    if (fetch->path.len == 0 || fetch->path.data[0] != '/') {
        *b->last++ = '/';
    }

    b->last = ngx_cpymem(b->last, fetch->path.data, fetch->path.len);
    b->last = ngx_cpymem(b->last, host, sizeof(host) - 1);
    b->last = ngx_cpymem(b->last, fetch->authority.data,
                         fetch->authority.len);
    b->last = ngx_cpymem(b->last, rest, sizeof(rest) - 1);

    fetch->request = b;

    return NGX_OK;
}


static void
ngx_apikey_fetch_timer_handler(ngx_event_t *ev)
{
    ngx_apikey_fetch_t *fetch = ev->data;

    /* the next time with the next of its addresses */

    ngx_apikey_dial_end(&fetch->dial, 1);

    ngx_apikey_fetch_fail(fetch, "it did not answer within %M ms",
                          fetch->timeout);
}


static void
ngx_apikey_fetch_begin(void *data, ngx_connection_t *c)
{
    ngx_apikey_fetch_t *fetch = data;

    if (c == NULL) {

        if (fetch->dial.err) {
            ngx_apikey_fetch_fail(fetch, "%V: %s (%d: %s)", &fetch->authority,
                                  fetch->dial.why, fetch->dial.err,
                                  strerror(fetch->dial.err));

        } else {
            ngx_apikey_fetch_fail(fetch, "%V: %s", &fetch->authority,
                                  fetch->dial.why);
        }

        return;
    }

    fetch->connection = c;
    fetch->parser->connection = c;

    c->data = fetch;
    c->write->handler = ngx_apikey_fetch_write_handler;
    c->read->handler = ngx_apikey_fetch_read_handler;

    ngx_apikey_fetch_write_handler(c->write);
}


static void
ngx_apikey_fetch_write_handler(ngx_event_t *wev)
{
    ssize_t              n;
    ngx_buf_t           *b;
    ngx_connection_t    *c;
    ngx_apikey_fetch_t  *fetch;

    c = wev->data;
    fetch = c->data;
    b = fetch->request;

    while (b->pos < b->last) {

        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            ngx_apikey_fetch_fail(fetch, "%V closed the connection",
                                  &fetch->authority);
            return;
        }

        b->pos += n;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_apikey_fetch_fail(fetch, "there is an internal error");
        return;
    }

    if (b->pos == b->last && c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_apikey_fetch_read_handler(ngx_event_t *rev)
{
    ssize_t              n;
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_connection_t    *c;
    ngx_apikey_fetch_t  *fetch;

    c = rev->data;
    fetch = c->data;

    for ( ;; ) {

        if (ngx_apikey_fetch_room(fetch) != NGX_OK) {
            return;
        }

        b = fetch->response;

        n = c->recv(c, b->last, b->end - b->last);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_apikey_fetch_fail(fetch, "there is an internal error");
            }

            return;
        }

        if (n == NGX_ERROR) {
            ngx_apikey_fetch_fail(fetch, "%V broke the connection",
                                  &fetch->authority);
            return;
        }

        b->last += n;

        rc = ngx_apikey_fetch_parse(fetch, n == 0);

        if (rc != NGX_AGAIN) {
            return;
        }
    }
}


/* What is read grows up to its limit; what was parsed keeps its place in it. */

static ngx_int_t
ngx_apikey_fetch_room(ngx_apikey_fetch_t *fetch)
{
    size_t      size, limit;
    ngx_buf_t  *b, *more;

    b = fetch->response;

    if (b->last < b->end) {
        return NGX_OK;
    }

    size = b->end - b->start;

    /* chunks say how long they are, each time */

    limit = NGX_APIKEY_FETCH_HEADER_MAX + 2 * fetch->max;

    if (fetch->body == NULL || size >= limit) {
        ngx_apikey_fetch_fail(fetch, "the answer of %V is too large",
                              &fetch->authority);
        return NGX_ERROR;
    }

    more = ngx_create_temp_buf(fetch->pool, ngx_min(2 * size, limit));
    if (more == NULL) {
        ngx_apikey_fetch_fail(fetch, "there is no memory");
        return NGX_ERROR;
    }

    /* the header has been parsed: nothing points into it any more */

    more->last = ngx_cpymem(more->start, fetch->body,
                            b->last - fetch->body);
    (void) ngx_pfree(fetch->pool, b->start);

    fetch->body = more->start;
    fetch->response = more;

    return NGX_OK;
}


/* NGX_AGAIN: more is to be read; else the handler was called. */

static ngx_int_t
ngx_apikey_fetch_parse(ngx_apikey_fetch_t *fetch, ngx_uint_t eof)
{
    ngx_int_t  rc;

    if (fetch->body == NULL) {

        rc = fetch->headers ? NGX_OK : ngx_apikey_fetch_parse_status(fetch);

        if (rc == NGX_OK) {
            rc = ngx_apikey_fetch_parse_headers(fetch);
        }

        if (rc == NGX_AGAIN && eof) {
            ngx_apikey_fetch_fail(fetch, "%V closed the connection",
                                  &fetch->authority);
            return NGX_DONE;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        fetch->body = fetch->response->pos;
    }

    return ngx_apikey_fetch_parse_body(fetch, eof);
}


static ngx_int_t
ngx_apikey_fetch_parse_status(ngx_apikey_fetch_t *fetch)
{
    ngx_int_t  rc;

    rc = ngx_http_parse_status_line(fetch->parser, fetch->response,
                                    &fetch->status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        ngx_apikey_fetch_fail(fetch, "%V does not speak HTTP",
                              &fetch->authority);
        return NGX_DONE;
    }

    if (fetch->status.code != NGX_HTTP_OK) {
        ngx_apikey_fetch_fail(fetch, "%V answered %ui", &fetch->authority,
                              fetch->status.code);
        return NGX_DONE;
    }

    fetch->headers = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_fetch_parse_headers(ngx_apikey_fetch_t *fetch)
{
    ngx_int_t  rc;

    for ( ;; ) {

        rc = ngx_http_parse_header_line(fetch->parser, fetch->response, 1);

        switch (rc) {

        case NGX_OK:

            if (ngx_apikey_fetch_parse_header(fetch) != NGX_OK) {
                return NGX_DONE;
            }

            break;

        case NGX_HTTP_PARSE_HEADER_DONE:
            return NGX_OK;

        case NGX_AGAIN:
            return NGX_AGAIN;

        default:
            ngx_apikey_fetch_fail(fetch, "%V sent an invalid header",
                                  &fetch->authority);
            return NGX_DONE;
        }
    }
}


/* RFC 9112, 6: how long the body is; RFC 9110, 8.4: and whether encoded. */

static ngx_int_t
ngx_apikey_fetch_parse_header(ngx_apikey_fetch_t *fetch)
{
    ngx_str_t            name, value;
    ngx_http_request_t  *p;

    p = fetch->parser;

    name.data = p->header_name_start;
    name.len = p->header_name_end - p->header_name_start;
    value.data = p->header_start;
    value.len = p->header_end - p->header_start;

    if (name.len == 14
        && ngx_strncasecmp(name.data, (u_char *) "content-length", 14) == 0)
    {
        fetch->length = ngx_atoof(value.data, value.len);

        if (fetch->length == NGX_ERROR
            || fetch->length > (off_t) fetch->max)
        {
            ngx_apikey_fetch_fail(fetch, "the answer of %V is too large",
                                  &fetch->authority);
            return NGX_ERROR;
        }

    } else if (name.len == 17
               && ngx_strncasecmp(name.data, (u_char *) "transfer-encoding",
                                  17)
                  == 0)
    {
        if (value.len != 7
            || ngx_strncasecmp(value.data, (u_char *) "chunked", 7) != 0)
        {
            ngx_apikey_fetch_fail(fetch, "%V sent an unknown encoding",
                                  &fetch->authority);
            return NGX_ERROR;
        }

        fetch->chunked = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_apikey_fetch_parse_body(ngx_apikey_fetch_t *fetch, ngx_uint_t eof)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    body.data = fetch->body;
    body.len = fetch->response->last - fetch->body;

    if (fetch->chunked) {
        rc = ngx_apikey_fetch_parse_chunks(fetch, &body);

    } else if (fetch->length != -1) {
        rc = ((off_t) body.len < fetch->length) ? NGX_AGAIN : NGX_OK;
        body.len = ngx_min(body.len, (size_t) fetch->length);

    } else {
        rc = eof ? NGX_OK : NGX_AGAIN;
    }

    if (rc == NGX_AGAIN && !eof) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        ngx_apikey_fetch_fail(fetch, "the answer of %V is incomplete",
                              &fetch->authority);

    } else if (body.len > fetch->max) {
        ngx_apikey_fetch_fail(fetch, "the answer of %V is too large",
                              &fetch->authority);

    } else {
        ngx_apikey_fetch_done(fetch, &body);
    }

    return NGX_DONE;
}


/*
 * RFC 9112, 7.1.  There are few bytes and few reads, so that what there is is
 * looked at from the beginning each time.
 */

static ngx_int_t
ngx_apikey_fetch_parse_chunks(ngx_apikey_fetch_t *fetch, ngx_str_t *body)
{
    u_char              *p, *start;
    size_t               n;
    ngx_int_t            rc;
    ngx_buf_t            b;
    ngx_http_chunked_t   chunked;

    ngx_memzero(&chunked, sizeof(ngx_http_chunked_t));
    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = body->data;
    b.last = body->data + body->len;

    start = ngx_pnalloc(fetch->pool, body->len + 1);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    for ( ;; ) {

#if (nginx_version >= 1027002)
        rc = ngx_http_parse_chunked(fetch->parser, &b, &chunked, 0);
#else
        rc = ngx_http_parse_chunked(fetch->parser, &b, &chunked);
#endif

        if (rc != NGX_OK) {
            break;
        }

        n = ngx_min(chunked.size, b.last - b.pos);

        p = ngx_cpymem(p, b.pos, n);
        b.pos += n;
        chunked.size -= n;
    }

    if (rc == NGX_DONE) {
        body->data = start;
        body->len = p - start;
        return NGX_OK;
    }

    (void) ngx_pfree(fetch->pool, start);

    return rc;                 /* NGX_AGAIN, NGX_ERROR */
}


static void
ngx_apikey_fetch_fail(ngx_apikey_fetch_t *fetch, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    *ngx_vslprintf(fetch->why, fetch->why + NGX_APIKEY_FETCH_WHY_MAX - 1, fmt,
                   args)
        = '\0';
    va_end(args);

    ngx_apikey_fetch_done(fetch, NULL);
}


static void
ngx_apikey_fetch_done(ngx_apikey_fetch_t *fetch, ngx_str_t *body)
{
    ngx_pool_t  *pool;

    pool = fetch->pool;
    fetch->pool = NULL;

    ngx_apikey_fetch_stop(fetch);

    fetch->handler(fetch->data, body, (const char *) fetch->why);

    ngx_destroy_pool(pool);
}


void
ngx_apikey_fetch_stop(ngx_apikey_fetch_t *fetch)
{
    if (!fetch->busy) {
        return;
    }

    fetch->busy = 0;

    if (fetch->timer.timer_set) {
        ngx_del_timer(&fetch->timer);
    }

    fetch->connection = NULL;
    ngx_apikey_dial_end(&fetch->dial, 0);

    if (fetch->pool != NULL) {
        ngx_destroy_pool(fetch->pool);
        fetch->pool = NULL;
    }
}
