
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>
#include <nginx.h>

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

    ngx_addr_t                *addrs;
    ngx_pool_t                *pool;       /* of one fetch */
    ngx_connection_t          *connection;
    ngx_socket_t               fd;

    ngx_url_t                  url;
    ngx_str_t                  uri;
    ngx_str_t                  file;       /* of the configuration, */
    ngx_uint_t                 line;       /*   where it stands */
    ngx_str_t                  authority;  /* for "Host" */
    ngx_str_t                  path;
    ngx_msec_t                 timeout;
    size_t                     max;
    ngx_resolver_t            *resolver;
    ngx_msec_t                 resolver_timeout;
#if (NGX_HTTP_SSL)
    ngx_ssl_t                 *ssl;        /* NULL: without */
    ngx_str_t                  name;       /* of the server, without a port */
    ngx_uint_t                 literal;    /* it is an address */
#endif

    ngx_apikey_fetch_pt        handler;
    void                      *data;
    ngx_log_t                 *log;

    ngx_event_t                timer;      /* of the whole */
    ngx_event_t                failed;     /* posted: to tell later */
    ngx_resolver_ctx_t        *resolving;
    ngx_uint_t                 naddrs;
    ngx_uint_t                 first;      /* the address to begin with */
    ngx_uint_t                 tried;
    ngx_peer_connection_t      peer;

    ngx_buf_t                 *request;
    ngx_buf_t                 *response;
    u_char                    *body;       /* in response, or NULL */
    ngx_http_request_t        *parser;     /* its state, and no request */
    ngx_http_status_t          status;
    off_t                      length;     /* of the body; -1: not said */

    u_char                     why[NGX_APIKEY_FETCH_WHY_MAX];

    unsigned                   busy:1;
    unsigned                   starting:1;
    unsigned                   chunked:1;
    unsigned                   headers:1;  /* the status line is parsed */
};


static ngx_int_t ngx_apikey_fetch_tls(ngx_conf_t *cf,
    ngx_apikey_fetch_t *fetch, ngx_str_t *ca);
static void ngx_apikey_fetch_cleanup(void *data);
static ngx_int_t ngx_apikey_fetch_request(ngx_apikey_fetch_t *fetch);
static void ngx_apikey_fetch_timer_handler(ngx_event_t *ev);
static void ngx_apikey_fetch_failed_handler(ngx_event_t *ev);
static void ngx_apikey_fetch_lookup(ngx_apikey_fetch_t *fetch);
static void ngx_apikey_fetch_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_apikey_fetch_connect(ngx_apikey_fetch_t *fetch);
static void ngx_apikey_fetch_next(ngx_apikey_fetch_t *fetch,
    const char *what, ngx_err_t err);
static void ngx_apikey_fetch_close(ngx_apikey_fetch_t *fetch);
static void ngx_apikey_fetch_connected(ngx_event_t *ev);
#if (NGX_HTTP_SSL)
static void ngx_apikey_fetch_handshake(ngx_apikey_fetch_t *fetch);
static void ngx_apikey_fetch_secured(ngx_connection_t *c);
#endif
static void ngx_apikey_fetch_begin(ngx_apikey_fetch_t *fetch);
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

    fetch->url.url.len = uri->len - scheme;
    fetch->url.url.data = uri->data + scheme;
    fetch->url.default_port = tls ? 443 : 80;
    fetch->url.uri_part = 1;
    fetch->url.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &fetch->url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           fetch->url.err ? fetch->url.err : "an error", uri);
        return NULL;
    }

    fetch->path = fetch->url.uri;
    fetch->authority = fetch->url.url;
    fetch->authority.len -= fetch->path.len;

    if (tls && ngx_apikey_fetch_tls(cf, fetch, ca) != NGX_OK) {
        return NULL;
    }

    return fetch;
}


static ngx_int_t
ngx_apikey_fetch_tls(ngx_conf_t *cf, ngx_apikey_fetch_t *fetch, ngx_str_t *ca)
{
#if (NGX_HTTP_SSL)

    ngx_str_t  name;

    fetch->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (fetch->ssl == NULL) {
        return NGX_ERROR;
    }

    fetch->ssl->log = cf->log;

    if (ngx_ssl_create(fetch->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        fetch->ssl = NULL;
        return NGX_ERROR;
    }

    if (ca->len != 0) {

        if (ngx_ssl_trusted_certificate(cf, fetch->ssl, ca,
                                        NGX_APIKEY_FETCH_DEPTH)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (SSL_CTX_set_default_verify_paths(fetch->ssl->ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    /* OpenSSL wants an end, and an IPv6 address without its brackets */

    name = fetch->url.host;

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    fetch->name.len = name.len;
    fetch->name.data = ngx_pnalloc(cf->pool, name.len + 1);
    if (fetch->name.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(fetch->name.data, name.data, name.len + 1);

    fetch->literal = (fetch->url.naddrs != 0);

    return NGX_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\": this nginx was built without TLS",
                       &fetch->uri);
    return NGX_ERROR;

#endif
}


static void
ngx_apikey_fetch_cleanup(void *data)
{
    ngx_apikey_fetch_t *fetch = data;

    ngx_apikey_fetch_stop(fetch);

#if (NGX_HTTP_SSL)
    if (fetch->ssl != NULL) {
        ngx_ssl_cleanup_ctx(fetch->ssl);
        fetch->ssl = NULL;
    }
#endif
}


ngx_int_t
ngx_apikey_fetch_resolve(ngx_conf_t *cf, ngx_apikey_fetch_t *fetch,
    ngx_resolver_t *resolver, ngx_msec_t timeout)
{
    if (fetch->url.naddrs != 0) {
        return NGX_OK;
    }

    if (resolver != NULL) {
        fetch->resolver = resolver;
        fetch->resolver_timeout = timeout;
        return NGX_OK;
    }

    if (ngx_inet_resolve_host(cf->pool, &fetch->url) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in \"%V\"; with \"resolver\" in the http block it "
                      "is looked up while nginx runs in %V:%ui",
                      fetch->url.err ? fetch->url.err : "an error",
                      &fetch->uri, &fetch->file, fetch->line);
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
    fetch->body = NULL;
    fetch->chunked = 0;
    fetch->headers = 0;
    fetch->length = -1;
    fetch->tried = 0;

    ngx_memzero(&fetch->status, sizeof(ngx_http_status_t));

    if (ngx_apikey_fetch_request(fetch) != NGX_OK) {
        ngx_destroy_pool(fetch->pool);
        fetch->pool = NULL;
        return NGX_ERROR;
    }

    ngx_memzero(&fetch->timer, sizeof(ngx_event_t));
    fetch->timer.handler = ngx_apikey_fetch_timer_handler;
    fetch->timer.data = fetch;
    fetch->timer.log = log;

    ngx_memzero(&fetch->failed, sizeof(ngx_event_t));
    fetch->failed.handler = ngx_apikey_fetch_failed_handler;
    fetch->failed.data = fetch;
    fetch->failed.log = log;

    fetch->busy = 1;
    fetch->starting = 1;

    ngx_add_timer(&fetch->timer, fetch->timeout);

    if (fetch->url.naddrs != 0) {
        fetch->addrs = fetch->url.addrs;
        fetch->naddrs = fetch->url.naddrs;

        ngx_apikey_fetch_connect(fetch);

    } else {
        ngx_apikey_fetch_lookup(fetch);
    }

    fetch->starting = 0;

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

    fetch->first += fetch->tried + 1;

    ngx_apikey_fetch_fail(fetch, "it did not answer within %M ms",
                          fetch->timeout);
}


static void
ngx_apikey_fetch_lookup(ngx_apikey_fetch_t *fetch)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(fetch->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_apikey_fetch_fail(fetch, "there is no resolver for its name");
        return;
    }

    ctx->name = fetch->url.host;
    ctx->handler = ngx_apikey_fetch_resolved;
    ctx->data = fetch;
    ctx->timeout = fetch->resolver_timeout;

    fetch->resolving = ctx;

    /* what is known is told at once, and where it fails ctx is freed */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        fetch->resolving = NULL;
        ngx_apikey_fetch_fail(fetch, "its name cannot be looked up");
    }
}


static void
ngx_apikey_fetch_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_apikey_fetch_t *fetch = ctx->data;

    socklen_t         socklen;
    ngx_uint_t        i;
    struct sockaddr  *sockaddr;

    if (ctx->state) {
        ngx_apikey_fetch_fail(fetch, "its name cannot be looked up (%s)",
                              ngx_resolver_strerror(ctx->state));
        return;
    }

    fetch->naddrs = ctx->naddrs;
    fetch->addrs = ngx_pcalloc(fetch->pool,
                               ctx->naddrs * sizeof(ngx_addr_t));
    if (fetch->addrs == NULL) {
        ngx_apikey_fetch_fail(fetch, "there is no memory");
        return;
    }

    for (i = 0; i < ctx->naddrs; i++) {

        socklen = ctx->addrs[i].socklen;

        sockaddr = ngx_palloc(fetch->pool, socklen);
        if (sockaddr == NULL) {
            ngx_apikey_fetch_fail(fetch, "there is no memory");
            return;
        }

        ngx_memcpy(sockaddr, ctx->addrs[i].sockaddr, socklen);
        ngx_inet_set_port(sockaddr, fetch->url.port);

        fetch->addrs[i].sockaddr = sockaddr;
        fetch->addrs[i].socklen = socklen;
        fetch->addrs[i].name = fetch->authority;
    }

    ngx_resolve_name_done(ctx);
    fetch->resolving = NULL;

    ngx_apikey_fetch_connect(fetch);
}


static void
ngx_apikey_fetch_connect(ngx_apikey_fetch_t *fetch)
{
    ngx_int_t          rc;
    ngx_addr_t        *addr;
    ngx_connection_t  *c;

    addr = &fetch->addrs[(fetch->first + fetch->tried) % fetch->naddrs];

    ngx_memzero(&fetch->peer, sizeof(ngx_peer_connection_t));

    fetch->peer.sockaddr = addr->sockaddr;
    fetch->peer.socklen = addr->socklen;
    fetch->peer.name = &addr->name;
    fetch->peer.get = ngx_event_get_peer;
    fetch->peer.log = fetch->log;
    fetch->peer.log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(&fetch->peer);

    c = fetch->peer.connection;

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        fetch->connection = c;
        ngx_apikey_fetch_next(fetch, "cannot be connected to", 0);
        return;
    }

    fetch->connection = c;

    c->data = fetch;
    c->pool = fetch->pool;
    c->addr_text = fetch->authority;
    c->sendfile = 0;

    c->read->handler = ngx_apikey_fetch_connected;
    c->write->handler = ngx_apikey_fetch_connected;

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* The next address, where there is one. */

static void
ngx_apikey_fetch_next(ngx_apikey_fetch_t *fetch, const char *what,
    ngx_err_t err)
{
    ngx_apikey_fetch_close(fetch);

    if (++fetch->tried < fetch->naddrs) {
        ngx_apikey_fetch_connect(fetch);
        return;
    }

    if (err) {
        ngx_apikey_fetch_fail(fetch, "%V %s (%d: %s)", &fetch->authority,
                              what, err, strerror(err));

    } else {
        ngx_apikey_fetch_fail(fetch, "%V %s", &fetch->authority, what);
    }
}


static void
ngx_apikey_fetch_close(ngx_apikey_fetch_t *fetch)
{
    ngx_connection_t  *c;

    c = fetch->connection;
    fetch->connection = NULL;

    if (c == NULL) {
        return;
    }

#if (NGX_HTTP_SSL)

    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

#endif

    ngx_close_connection(c);
}


static void
ngx_apikey_fetch_connected(ngx_event_t *ev)
{
    int                  err;
    socklen_t            len;
    ngx_connection_t    *c;
    ngx_apikey_fetch_t  *fetch;

    c = ev->data;
    fetch = c->data;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_apikey_fetch_next(fetch, "cannot be connected to", err);
        return;
    }

    if (!ev->write) {
        return;                /* it is the writing that tells */
    }

#if (NGX_HTTP_SSL)

    if (fetch->ssl != NULL) {
        ngx_apikey_fetch_handshake(fetch);
        return;
    }

#endif

    ngx_apikey_fetch_begin(fetch);
}


#if (NGX_HTTP_SSL)

static void
ngx_apikey_fetch_handshake(ngx_apikey_fetch_t *fetch)
{
    int                ok;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = fetch->connection;

    if (ngx_ssl_create_connection(fetch->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_apikey_fetch_fail(fetch, "there is no memory for TLS");
        return;
    }

    /* the chain is verified for this name, RFC 9525, or address */

    if (fetch->literal) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(
                                     SSL_get0_param(c->ssl->connection),
                                     (char *) fetch->name.data);

    } else {
        ok = SSL_set1_host(c->ssl->connection, (char *) fetch->name.data)
             && SSL_set_tlsext_host_name(c->ssl->connection,
                                         (char *) fetch->name.data);
    }

    if (!ok) {
        ngx_ssl_error(NGX_LOG_ERR, fetch->log, 0,
                      "the name \"%V\" cannot be verified", &fetch->name);
        ngx_apikey_fetch_fail(fetch, "its name cannot be verified");
        return;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_apikey_fetch_secured;
        return;
    }

    ngx_apikey_fetch_secured(c);
}


static void
ngx_apikey_fetch_secured(ngx_connection_t *c)
{
    ngx_apikey_fetch_t *fetch = c->data;

    long   rc;
    X509  *cert;

    if (!c->ssl->handshaked) {
        ngx_apikey_fetch_next(fetch, "failed in the TLS handshake", 0);
        return;
    }

    /* OpenSSL finds nothing wrong with a certificate that is not there */

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        ngx_apikey_fetch_fail(fetch, "%V has no certificate",
                              &fetch->authority);
        return;
    }

    X509_free(cert);

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_apikey_fetch_fail(fetch, "the certificate of %V is not trusted: "
                              "%s", &fetch->authority,
                              X509_verify_cert_error_string(rc));
        return;
    }

    ngx_apikey_fetch_begin(fetch);
}

#endif


static void
ngx_apikey_fetch_begin(ngx_apikey_fetch_t *fetch)
{
    ngx_connection_t  *c;

    c = fetch->connection;

    fetch->parser->connection = c;

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

    if (fetch->starting) {
        ngx_post_event(&fetch->failed, &ngx_posted_events);
        return;
    }

    ngx_apikey_fetch_done(fetch, NULL);
}


static void
ngx_apikey_fetch_failed_handler(ngx_event_t *ev)
{
    ngx_apikey_fetch_t *fetch = ev->data;

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

    if (fetch->resolving != NULL) {
        ngx_resolve_name_done(fetch->resolving);
        fetch->resolving = NULL;
    }

    if (fetch->timer.timer_set) {
        ngx_del_timer(&fetch->timer);
    }

    if (fetch->failed.posted) {
        ngx_delete_posted_event(&fetch->failed);
    }

    ngx_apikey_fetch_close(fetch);

    if (fetch->pool != NULL) {
        ngx_destroy_pool(fetch->pool);
        fetch->pool = NULL;
    }
}
