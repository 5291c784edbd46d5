
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"

#if (NGX_HTTP_V2)
#include <ngx_http_v2_module.h>
#endif


/*
 * What nginx and OpenSSL keep of a client's key, and of an upstream's, after
 * a request.  All of it is in buffers that are used again: so only what cannot
 * be wanted any more is wiped, and nothing that another request has there.
 */

static void ngx_http_apikey_wipe_buf(ngx_buf_t *b, u_char *last);
#if (NGX_HTTP_V2)
static void ngx_http_apikey_wipe_frames(ngx_http_request_t *r,
    ngx_http_apikey_main_conf_t *mcf);
static void ngx_http_apikey_wipe_received(ngx_event_t *ev);
static void ngx_http_apikey_wipe_table(void *data);
#endif
#if (NGX_SSL)
static void ngx_http_apikey_wipe_closed(void *parent, void *ptr,
    CRYPTO_EX_DATA *ad, int index, long argl, void *argp);
#endif
#if (NGX_HTTP_V2 || NGX_HTTP_SSL)
static ngx_module_t *ngx_http_apikey_find_module(ngx_cycle_t *cycle,
    const char *name);
#endif


#define NGX_HTTP_APIKEY_BLOCK   4096
#define NGX_HTTP_APIKEY_TABLE   4096   /* as large as nginx lets one become */

/*
 * So many empty blocks are the end of what was received: no run of zeros is
 * longer, since a frame has no more than 16384 bytes and a header that is not
 * all zeros.  Where what is new ends amid what is old there may be two of them.
 */

#define NGX_HTTP_APIKEY_BLOCKS  (2 * 16384 / NGX_HTTP_APIKEY_BLOCK + 2)


void
ngx_http_apikey_wipe_input(ngx_http_request_t *r,
    ngx_http_apikey_main_conf_t *mcf)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_connection_t       *c;
    ngx_http_connection_t  *hc;

#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        ngx_http_apikey_wipe_frames(r, mcf);
        return;
    }
#endif

    b = r->header_in;

    if (b == NULL || r->http_version > NGX_HTTP_VERSION_11) {
        return;
    }

    c = r->connection;
    hc = r->http_connection;

    /* behind it are the requests that follow on this connection */

    ngx_http_apikey_wipe_buf(b, b->pos);

    /* a line that did not fit is in an earlier one, too, as far as it did */

    if (c->buffer != NULL && c->buffer != b) {
        ngx_http_apikey_wipe_buf(c->buffer, c->buffer->end);
    }

    for (cl = hc->busy; cl; cl = cl->next) {
        if (cl->buf != b) {
            ngx_http_apikey_wipe_buf(cl->buf, cl->buf->end);
        }
    }

    for (cl = hc->free; cl; cl = cl->next) {
        if (cl->buf != b) {
            ngx_http_apikey_wipe_buf(cl->buf, cl->buf->end);
        }
    }
}


static void
ngx_http_apikey_wipe_buf(ngx_buf_t *b, u_char *last)
{
    if (b->start != NULL && last > b->start) {
        ngx_explicit_memzero(b->start, last - b->start);
    }
}


#if (NGX_HTTP_V2)

static void
ngx_http_apikey_wipe_frames(ngx_http_request_t *r,
    ngx_http_apikey_main_conf_t *mcf)
{
    ngx_connection_t          *c;
    ngx_pool_cleanup_t        *cln;
    ngx_http_v2_connection_t  *h2c;

    h2c = r->stream->connection;
    c = h2c->connection;

    /* frames of other requests may be yet to be parsed: not now */

    if (!mcf->received.posted) {
        mcf->received.handler = ngx_http_apikey_wipe_received;
        mcf->received.data = mcf;
        mcf->received.log = ngx_cycle->log;

        ngx_post_event(&mcf->received, &ngx_posted_events);
    }

    if (c->pool == NULL) {
        return;
    }

    for (cln = c->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_apikey_wipe_table) {
            return;
        }
    }

    cln = ngx_pool_cleanup_add(c->pool, 0);

    if (cln != NULL) {
        cln->handler = ngx_http_apikey_wipe_table;
        cln->data = h2c;
    }
}


/* The buffer is one of the worker: from reading until parsing it is in use. */

static void
ngx_http_apikey_wipe_received(ngx_event_t *ev)
{
    u_char                       *p, *last;
    size_t                        size;
    ngx_uint_t                    empty;
    ngx_module_t                 *module;
    ngx_http_v2_main_conf_t      *h2mcf;
    ngx_http_apikey_main_conf_t  *mcf;
    static u_char                 zeros[NGX_HTTP_APIKEY_BLOCK];

    mcf = ev->data;

    if (mcf->frames == NULL) {
        module = ngx_http_apikey_find_module((ngx_cycle_t *) ngx_cycle,
                                             "ngx_http_v2_module");
        if (module == NULL) {
            return;
        }

        mcf->frames = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                                          (*module));
    }

    h2mcf = mcf->frames;

    p = h2mcf->recv_buffer;

    if (p == NULL) {
        return;
    }

    last = p + h2mcf->recv_buffer_size;
    empty = 0;

    while (p < last && empty < NGX_HTTP_APIKEY_BLOCKS) {
        size = ngx_min((size_t) (last - p), NGX_HTTP_APIKEY_BLOCK);

        if (ngx_memcmp(p, zeros, size) == 0) {
            empty++;

        } else {
            ngx_explicit_memzero(p, size);
            empty = 0;
        }

        p += size;
    }
}


/* What a client let the connection remember is in it as long as that lives. */

static void
ngx_http_apikey_wipe_table(void *data)
{
    ngx_http_v2_connection_t *h2c = data;

    if (h2c->hpack.storage != NULL) {
        ngx_explicit_memzero(h2c->hpack.storage, NGX_HTTP_APIKEY_TABLE);
    }
}

#endif


/*
 * The connection to the upstream has a buffer before OpenSSL, for writing,
 * that is not given back while the connection is open.
 */

void
ngx_http_apikey_wipe_peer(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)
    ngx_buf_t         *b;
    ngx_connection_t  *c;

    if (r->upstream == NULL) {
        return;
    }

    c = r->upstream->peer.connection;

    if (c == NULL || c->ssl == NULL || c->ssl->buf == NULL) {
        return;
    }

    b = c->ssl->buf;

    if (b->start != NULL && b->pos == b->last) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
#endif
}


/*
 * An upstream may say again what it was sent, most of all where it refuses it.
 * Once the answer is on its way to the client the buffer may have been freed.
 */

void
ngx_http_apikey_wipe_answer(ngx_http_request_t *r, ngx_pool_t *pool)
{
    ngx_uint_t            i;
    ngx_list_part_t      *part;
    ngx_table_elt_t      *h;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL || (u->pipe != NULL && u->pipe->free_bufs)) {
        return;
    }

    ngx_http_apikey_wipe_buf(&u->buffer, u->buffer.end);

    for (part = &u->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_apikey_in_pool(pool, h[i].value.data)) {
                ngx_explicit_memzero(h[i].value.data, h[i].value.len);
            }
        }
    }
}


/*
 * As ngx_http_apikey_wipe_peer(), of a connection that ends, for whatever
 * reason.  OpenSSL tells it while the connection is still whole, which nothing
 * in nginx does.
 */

ngx_int_t
ngx_http_apikey_wipe_start(void)
{
#if (NGX_SSL)
    return SSL_get_ex_new_index(0, NULL, NULL, NULL,
                                ngx_http_apikey_wipe_closed)
           == -1 ? NGX_ERROR : NGX_OK;
#else
    return NGX_OK;
#endif
}


#if (NGX_SSL)

static void
ngx_http_apikey_wipe_closed(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
    int index, long argl, void *argp)
{
    ngx_ssl_conn_t *ssl_conn = parent;

    ngx_buf_t         *b;
    ngx_connection_t  *c;

    c = ngx_ssl_get_connection(ssl_conn);

    if (c == NULL || c->ssl == NULL || c->ssl->connection != ssl_conn
        || c->ssl->buf == NULL)
    {
        return;
    }

    b = c->ssl->buf;

    ngx_http_apikey_wipe_buf(b, b->end);
}

#endif


/*
 * OpenSSL deciphers what it receives in a buffer that it frees as it is.  Here
 * it is asked to wipe it, in all servers: the key is in the first of it, when
 * it is not yet known which location will be asked.
 */

ngx_int_t
ngx_http_apikey_wipe_tls(ngx_conf_t *cf)
{
#if (NGX_HTTP_SSL && defined SSL_OP_CLEANSE_PLAINTEXT)
    ngx_uint_t                   i;
    ngx_module_t                *module;
    ngx_http_ssl_srv_conf_t     *sscf;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_core_main_conf_t   *cmcf;

    module = ngx_http_apikey_find_module(cf->cycle, "ngx_http_ssl_module");

    if (module == NULL) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        sscf = cscfp[i]->ctx->srv_conf[module->ctx_index];

        if (sscf != NULL && sscf->ssl.ctx != NULL) {
            SSL_CTX_set_options(sscf->ssl.ctx, SSL_OP_CLEANSE_PLAINTEXT);
        }
    }
#endif

    return NGX_OK;
}


#if (NGX_HTTP_V2 || NGX_HTTP_SSL)

/* By its name: nginx may have been built without it. */

static ngx_module_t *
ngx_http_apikey_find_module(ngx_cycle_t *cycle, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; cycle->modules[i]; i++) {
        if (ngx_strcmp(cycle->modules[i]->name, name) == 0) {
            return cycle->modules[i];
        }
    }

    return NULL;
}

#endif
