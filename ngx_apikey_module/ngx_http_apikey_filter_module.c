
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"


/*
 * The body and the headers of a denial.  The access handler only returns
 * a status, so that "satisfy", "auth_delay" and "error_page" work as with
 * nginx's own modules; what nginx would then say in HTML is replaced here.
 */

static ngx_int_t ngx_http_apikey_filter_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_apikey_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_apikey_denial_headers(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_int_t ngx_http_apikey_add_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);


static ngx_http_module_t  ngx_http_apikey_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_apikey_filter_init,           /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_apikey_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_apikey_filter_module_ctx,    /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_apikey_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                    *body;
    ngx_http_apikey_ctx_t        *ctx, *here;
    ngx_http_apikey_main_conf_t  *mcf;

    /*
     * The upstream has answered, and what it was asked is not needed.  Of what
     * was put in ngx_http_apikey_upstream.c sees to that.
     */

    if (r == r->main && r->upstream != NULL) {
        ctx = ngx_http_apikey_get_ctx(r);

        if (ctx != NULL && ctx->injected && ctx->txn.carried == NULL) {
            ngx_http_apikey_wipe_peer(r);
        }
    }

    ctx = ngx_http_apikey_get_ctx(r);

    if (r != r->main) {

        if (r->background && r->upstream != NULL && ctx != NULL) {
            ngx_http_apikey_background(r, ctx);
        }

        return ngx_http_next_header_filter(r);
    }

    /* whatever status an "error_page" that led here gives to its answer */

    if (ctx != NULL && ctx->hide) {

        /* the upstream is done with, and its headers with it */

        ctx->hide = 0;
        ngx_http_clean_header(r);

        return ngx_http_apikey_refuse(r, ctx);
    }

    if (ctx == NULL || ctx->status == 0
        || ctx->status != r->headers_out.status
        || r->headers_out.status < NGX_HTTP_BAD_REQUEST)
    {
        return ngx_http_next_header_filter(r);
    }

    /*
     * An error page, to which a redirect has led, has wiped r->ctx: its body
     * is the operator's, while the headers are still those of our denial.
     */

    here = ngx_http_get_module_ctx(r, ngx_http_apikey_module);

    if (here != NULL) {
        mcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);
        body = &mcf->bodies[ctx->txn.reason];

        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
        r->headers_out.charset.len = 0;

        ngx_http_clear_content_length(r);
        ngx_http_clear_accept_ranges(r);
        ngx_http_clear_last_modified(r);
        ngx_http_clear_etag(r);

        r->headers_out.content_length_n = body->len;
    }

    ngx_http_apikey_report(ctx);

    if (ngx_http_apikey_denial_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_apikey_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t                    *b;
    ngx_str_t                    *body;
    ngx_chain_t                   out, *cl;
    ngx_http_apikey_ctx_t        *ctx;
    ngx_http_apikey_main_conf_t  *mcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_apikey_module);

    if (ctx == NULL || in == NULL || r != r->main || ctx->status == 0
        || ctx->status != r->headers_out.status)
    {
        return ngx_http_next_body_filter(r, in);
    }

    /* nginx's own page is not sent */

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
    }

    if (ctx->body_sent) {
        return NGX_OK;
    }

    ctx->body_sent = 1;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);
    body = &mcf->bodies[ctx->txn.reason];

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


static ngx_int_t
ngx_http_apikey_denial_headers(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx)
{
    unsigned                     i;
    uint64_t                     retry;
    ngx_str_t                    value;
    const ak_error_t            *e;
    const ak_effect_t           *reply;
    ngx_http_apikey_loc_conf_t  *lcf;

    e = ak_error(ctx->txn.reason);

    ngx_str_set(&value, "no-store");

    if (ngx_http_apikey_add_header(r, "Cache-Control", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (e->status == NGX_HTTP_UNAUTHORIZED) {

        lcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

        if (ngx_http_apikey_add_header(r, "WWW-Authenticate", &lcf->challenge)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < ctx->txn.nreplies; i++) {

        reply = &ctx->txn.replies[i];
        value = ngx_http_apikey_ngx_str(reply->value);

        if (ngx_http_apikey_add_header(r, (const char *) reply->name.data,
                                       &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* whole seconds: the first at which another request makes sense */

    retry = e->retry_after;

    if (retry && ctx->txn.retry) {
        retry = (ctx->txn.retry + 999) / 1000;
    }

    if (retry) {

        value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%uL", retry)
                    - value.data;

        if (ngx_http_apikey_add_header(r, "Retry-After", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (e->final) {
        ngx_str_set(&value, "false");

        return ngx_http_apikey_add_header(r, "x-should-retry", &value);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_apikey_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_apikey_body_filter;

    return NGX_OK;
}
