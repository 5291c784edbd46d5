
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_pool.h"


/*
 * What a provider says of the key that was put in.  The content handler of the
 * location runs as it always does; after it the upstream's callbacks are
 * ours, which call the module's own.  So the header of an answer is seen before
 * nginx decides about it, and a request whose key was refused can be sent
 * once more, with another key, in nginx's own way: as to a "next upstream".
 */

static ngx_int_t ngx_http_apikey_content_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_reinit_request(ngx_http_request_t *r);
static void ngx_http_apikey_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static ngx_int_t ngx_http_apikey_answered(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ak_outcome_e ngx_http_apikey_learn(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_uint_t ngx_http_apikey_needs_body(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_uint_t ngx_http_apikey_head(ngx_http_request_t *r);
static ngx_uint_t ngx_http_apikey_chunks_end(ak_str_t body);
static ngx_uint_t ngx_http_apikey_is_hex(u_char ch);
static ak_str_t ngx_http_apikey_answer_body(ngx_http_upstream_t *u);
static bool ngx_http_apikey_answer_header(void *data, ak_str_t name,
    ak_str_t *value);
static void ngx_http_apikey_log_outcome(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ak_outcome_e outcome);
static ngx_int_t ngx_http_apikey_send_again(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_http_upstream_conf_t *ngx_http_apikey_own_conf(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_next(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static void ngx_http_apikey_anew(ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_hide(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);


void
ngx_http_apikey_watch_upstream(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx)
{
    if (ctx->txn.carried == NULL || r->content_handler == NULL
        || r->content_handler == ngx_http_apikey_content_handler)
    {
        return;
    }

    ctx->content = r->content_handler;
    r->content_handler = ngx_http_apikey_content_handler;
}


/* The upstream is there when it returns, and its answer is not. */

static ngx_int_t
ngx_http_apikey_content_handler(ngx_http_request_t *r)
{
    void                  **loc_conf;
    ngx_int_t               rc;
    ngx_http_upstream_t    *u;
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    /* redirected: an earlier upstream may have ended in whatever state */

    ctx->upstream_conf = NULL;
    ctx->headed = 0;
    ctx->hide = 0;

    /* it may look at r->content_handler, and be asked once more */

    r->content_handler = ctx->content;
    loc_conf = r->loc_conf;

    rc = ctx->content(r);

    u = r->upstream;

    /*
     * Where it failed at once, what is there now may be the upstream of an
     * error page, of which the location says what it gets.
     */

    if (rc != NGX_DONE || r->loc_conf != loc_conf || ctx->txn.carried == NULL
        || u == NULL || u->process_header == NULL
        || u->process_header == ngx_http_apikey_process_header)
    {
        return rc;
    }

    ctx->process_header = u->process_header;
    ctx->reinit_request = u->reinit_request;

    u->process_header = ngx_http_apikey_process_header;
    u->reinit_request = ngx_http_apikey_reinit_request;

    return rc;
}


static ngx_int_t
ngx_http_apikey_process_header(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_upstream_t    *u;
    ngx_http_apikey_ctx_t  *ctx;

    u = r->upstream;
    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx->headed) {
        return ngx_http_apikey_answered(r, ctx);
    }

    rc = ctx->process_header(r);

    /* behind the status line another one reads the headers */

    if (u->process_header != ngx_http_apikey_process_header) {
        ctx->process_header = u->process_header;
        u->process_header = ngx_http_apikey_process_header;
    }

#if (NGX_HTTP_CACHE)

    /* of nginx's cache, maybe in the place of what was just answered */

    if (r->cached) {
        return rc;
    }

#endif

    if (rc != NGX_OK || ctx->txn.carried == NULL) {
        return rc;
    }

    return ngx_http_apikey_answered(r, ctx);
}


/* nginx sends the request to the next upstream, for whatever reason. */

static ngx_int_t
ngx_http_apikey_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_upstream_t        *u;
    ngx_http_apikey_ctx_t      *ctx;
    ngx_http_upstream_state_t  *state;

    u = r->upstream;
    ctx = ngx_http_apikey_get_ctx(r);

    rc = ctx->reinit_request(r);

    ctx->headed = 0;

    /* not all of them begin with another one than they end with */

    if (u->process_header != ngx_http_apikey_process_header) {
        ctx->process_header = u->process_header;
        u->process_header = ngx_http_apikey_process_header;
    }

    if (ctx->upstream_conf != NULL) {

        /* nginx was told of another status */

        state = r->upstream_states->elts;

        state[ctx->answered].status = ctx->answer;

        u->conf = ctx->upstream_conf;
        ctx->upstream_conf = NULL;
    }

    return rc;
}


static ngx_int_t
ngx_http_apikey_answered(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ak_outcome_e                 outcome;
    ngx_http_apikey_loc_conf_t  *lcf;

    if (ngx_http_apikey_needs_body(r, ctx)) {
        ctx->headed = 1;
        return NGX_AGAIN;
    }

    ctx->headed = 0;

    outcome = ngx_http_apikey_learn(r, ctx);

    if (outcome == AK_OUTCOME_GOOD || outcome == AK_OUTCOME_FAILED) {
        return NGX_OK;
    }

    rc = ngx_http_apikey_send_again(r, ctx);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    if (outcome == AK_OUTCOME_BUSY || !lcf->intercept) {
        return NGX_OK;
    }

    return ngx_http_apikey_hide(r, ctx);
}


static ak_outcome_e
ngx_http_apikey_learn(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ak_outcome_e          outcome;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ctx->answer = u->headers_in.status_n;

    ngx_http_apikey_wipe_peer(r);

    outcome = ak_pool_outcome(ctx->txn.carried, ctx->answer,
                              ngx_http_apikey_answer_body(u));

    ngx_http_apikey_pool_learn(ctx, outcome, ngx_http_apikey_answer_header,
                               u);

    if (outcome != AK_OUTCOME_GOOD && outcome != AK_OUTCOME_FAILED) {
        ngx_http_apikey_log_outcome(r, ctx, outcome);
    }

    return outcome;
}


/* nginx's cache asks with the request's key, and nobody but it gets this. */

void
ngx_http_apikey_background(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ak_outcome_e  outcome;

    if (!ctx->injected || ctx->txn.carried == NULL
#if (NGX_HTTP_CACHE)
        || r->cached
#endif
        )
    {
        return;
    }

    outcome = ngx_http_apikey_learn(r, ctx);

    if (outcome == AK_OUTCOME_REFUSED || outcome == AK_OUTCOME_FORBIDDEN) {
#if (NGX_HTTP_CACHE)
        r->upstream->cacheable = 0;
#endif
    }
}


/*
 * Where it takes the body to tell, more of it is read: as much as there is, and
 * as has room behind the header.  nginx does so as if the header went on.
 */

static ngx_uint_t
ngx_http_apikey_needs_body(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ak_str_t                         body;
    ngx_http_upstream_t             *u;
    ngx_http_upstream_headers_in_t  *in;

    u = r->upstream;
    in = &u->headers_in;

    if (!ak_provider_marks(ctx->txn.carried, in->status_n)
        || u->buffer.last == u->buffer.end || ngx_http_apikey_head(r))
    {
        return 0;
    }

    body = ngx_http_apikey_answer_body(u);

    if (ak_provider_refuses(ctx->txn.carried, in->status_n, body)) {
        return 0;
    }

    if (in->chunked) {
        return !ngx_http_apikey_chunks_end(body);
    }

    return in->content_length_n > 0
           && (off_t) body.len < in->content_length_n;
}


/* "proxy_method" and "proxy_cache_convert_head" make it another method. */

static ngx_uint_t
ngx_http_apikey_head(ngx_http_request_t *r)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = r->request_body_no_buffering ? NULL : r->upstream->request_bufs;

    if (cl == NULL || cl->buf->end - cl->buf->start < 5) {
        return r->method == NGX_HTTP_HEAD;
    }

    b = cl->buf;

    return ngx_strncmp(b->start, "HEAD ", 5) == 0
           || (r->method == NGX_HTTP_HEAD
               && ngx_strncmp(b->start, "GET ", 4) != 0);
}


/*
 * Whether the last chunk has begun, after which nothing is to be waited for.
 * It is neither where it makes no sense: that is told by who passes it on.
 */

static ngx_uint_t
ngx_http_apikey_chunks_end(ak_str_t body)
{
    size_t   size;
    u_char  *p, *q, *last, *digits;

    p = (u_char *) body.data;
    last = p + body.len;

    for ( ;; ) {

        q = memchr(p, LF, last - p);

        if (q == NULL) {
            return 0;
        }

        for (digits = p; digits < q && ngx_http_apikey_is_hex(*digits); ) {
            digits++;
        }

        if (digits == p || digits - p > 8) {
            return 1;
        }

        size = (size_t) ngx_hextoi(p, digits - p);

        if (size == 0) {
            return 1;
        }

        /* the data, and its end of line */

        if ((size_t) (last - (q + 1)) < size + 2) {
            return 0;
        }

        p = q + 1 + size + 2;
    }
}


static ngx_uint_t
ngx_http_apikey_is_hex(u_char ch)
{
    return (ch >= '0' && ch <= '9')
           || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f');
}


/* What of it is there. */

static ak_str_t
ngx_http_apikey_answer_body(ngx_http_upstream_t *u)
{
    return ak_str(u->buffer.pos, u->buffer.last - u->buffer.pos);
}


static bool
ngx_http_apikey_answer_header(void *data, ak_str_t name, ak_str_t *value)
{
    ngx_http_upstream_t *u = data;

    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &u->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash != 0 && h[i].key.len == name.len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name.data,
                                   name.len)
                   == 0)
            {
                *value = ak_str(h[i].value.data, h[i].value.len);
                return true;
            }
        }
    }

    return false;
}


static void
ngx_http_apikey_log_outcome(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ak_outcome_e outcome)
{
    const char  *what;
    ngx_str_t    owner, provider, slot;
    ngx_uint_t   level;

    owner = ngx_http_apikey_ngx_str(ak_txn_key_owner(&ctx->txn));
    provider = ngx_http_apikey_ngx_str(ctx->txn.provider);
    slot = ngx_http_apikey_ngx_str(ctx->txn.slot);

    switch (outcome) {

    case AK_OUTCOME_REFUSED:
        what = "refuses an upstream key, which is not used again until it is "
               "another one";
        level = NGX_LOG_ERR;
        break;

    case AK_OUTCOME_FORBIDDEN:
        what = "forbids what was asked for with an upstream key";
        level = NGX_LOG_WARN;
        break;

    default: /* AK_OUTCOME_BUSY */
        what = "takes no more requests with an upstream key for now";
        level = NGX_LOG_INFO;
        break;
    }

    ngx_log_error(level, r->connection->log, 0,
                  "apikey: the provider %s, status %ui; owner \"%V\", "
                  "provider \"%V\", slot \"%V\"",
                  what, ctx->answer, &owner, &provider, &slot);
}


/*
 * Once more, with the key of another slot.  NGX_DECLINED: there is none, or
 * the body was not kept; then the transaction tells of the first slot still.
 */

static ngx_int_t
ngx_http_apikey_send_again(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (ctx->again || ctx->txn.token == 0 || ctx->txn.one
        || r->request_body_no_buffering)
    {
        return NGX_DECLINED;
    }

    ctx->again = 1;

    if (ngx_http_apikey_session_again(r, ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_http_apikey_edit(r, ctx, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    u->request_bufs = (r->request_body != NULL) ? r->request_body->bufs
                                                : NULL;

    if (u->create_request(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_apikey_next(r, ctx);
}


/* A copy of the location's, which is to be changed for this request alone. */

static ngx_http_upstream_conf_t *
ngx_http_apikey_own_conf(ngx_http_request_t *r)
{
    ngx_http_upstream_conf_t  *conf;

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));

    if (conf != NULL) {
        *conf = *r->upstream->conf;
    }

    return conf;
}


/*
 * Has nginx take the next upstream, which may be the same one.  It does so
 * for a 403 without holding it against the server, whatever "next_upstream"
 * says, by a configuration of this request's own; that there was no other
 * server to try is what free_peer() puts right.
 */

static ngx_int_t
ngx_http_apikey_next(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_http_upstream_t       *u;
    ngx_http_upstream_conf_t  *conf;

    u = r->upstream;

    conf = ngx_http_apikey_own_conf(r);
    if (conf == NULL) {
        return NGX_ERROR;
    }

    conf->next_upstream |= NGX_HTTP_UPSTREAM_FT_HTTP_403
                           |NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;
    conf->next_upstream_timeout = 0;

    ctx->answered = r->upstream_states->nelts - 1;
    ctx->upstream_conf = u->conf;
    u->conf = conf;

    ctx->peer.tries = ngx_max(u->peer.tries, 1);
    ctx->peer.free = u->peer.free;
    ctx->peer.data = u->peer.data;

    u->peer.tries = ctx->peer.tries + 1;
    u->peer.free = ngx_http_apikey_free_peer;
    u->peer.data = ctx;

    /* of this answer nothing but its status is looked at any more */

    ngx_http_apikey_wipe_answer(r, r->pool);

    u->headers_in.status_n = NGX_HTTP_FORBIDDEN;

    return NGX_OK;
}


static void
ngx_http_apikey_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_apikey_ctx_t *ctx = data;

    pc->free = ctx->peer.free;
    pc->data = ctx->peer.data;

    pc->free(pc, pc->data, state);

    ngx_http_apikey_anew(ctx->request);

    pc->tries = ctx->peer.tries;
}


/*
 * The server is as good as any, while balancers would now avoid it: the other
 * ones may be down, or for when it is.
 */

static void
ngx_http_apikey_anew(ngx_http_request_t *r)
{
    ngx_http_upstream_t           *u;
    ngx_peer_connection_t          peer;
    ngx_http_upstream_srv_conf_t  *uscf;

    u = r->upstream;
    uscf = u->upstream;

    if (uscf == NULL || uscf->peer.init == NULL) {
        return;                /* addresses of a name in a variable */
    }

    peer = u->peer;

    /* else they take it for their own */

    u->peer.data = NULL;

    if (uscf->peer.init(r, uscf) != NGX_OK) {
        u->peer = peer;
    }
}


/*
 * The answer ends here: neither its body, which may have pieces of the key,
 * nor its headers are the client's, nor is there anything to intercept, or to
 * be asked of another server.
 */

static ngx_int_t
ngx_http_apikey_hide(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_http_upstream_t       *u;
    ngx_http_upstream_conf_t  *conf;

    u = r->upstream;

    conf = ngx_http_apikey_own_conf(r);
    if (conf == NULL) {
        return NGX_ERROR;
    }

    conf->next_upstream = 0;
    conf->intercept_errors = 0;
#if (NGX_HTTP_CACHE)
    conf->cache_use_stale = 0;

    if (r->cache != NULL) {
        r->cache->stale_error = 0;
    }

    u->cacheable = 0;
#endif

    u->conf = conf;
    u->headers_in.x_accel_redirect = NULL;

    ctx->hide = 1;

    return NGX_OK;
}
