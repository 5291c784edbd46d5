
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"


static bool ngx_http_apikey_view_header(void *host, ak_str_t name, unsigned n,
    ak_str_t *value);
static ngx_uint_t ngx_http_apikey_same_name(const ngx_str_t *received,
    ak_str_t name);
static ngx_int_t ngx_http_apikey_add_header(ngx_http_request_t *r,
    const ak_effect_t *effect);
static ngx_int_t ngx_http_apikey_wipe_later(ngx_http_request_t *r);
static void ngx_http_apikey_wipe_upstream(void *data);


void
ngx_http_apikey_view(ngx_http_request_t *r, ak_view_t *view)
{
    view->header = ngx_http_apikey_view_header;
    view->host = r;
}


static bool
ngx_http_apikey_view_header(void *host, ak_str_t name, unsigned n,
    ak_str_t *value)
{
    ngx_http_request_t *r = host;

    ngx_uint_t              i;
    ngx_list_part_t        *part;
    ngx_table_elt_t        *h;
    static const ak_str_t   authorization = ak_string("authorization");

    if (ak_str_eq(name, authorization)) {

        /* nginx has refused requests with two of them */

        h = r->headers_in.authorization;

        if (h == NULL || n != 0) {
            return false;
        }

        *value = ak_str(h->value.data, h->value.len);
        return true;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != name.len
                || !ngx_http_apikey_same_name(&h[i].key, name))
            {
                continue;
            }

            if (n-- == 0) {
                *value = ak_str(h[i].value.data, h[i].value.len);
                return true;
            }
        }
    }

    return false;
}


static ngx_uint_t
ngx_http_apikey_same_name(const ngx_str_t *received, ak_str_t name)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < name.len; i++) {

        ch = ngx_tolower(received->data[i]);

        if (ch != name.data[i] && !(ch == '_' && name.data[i] == '-')) {
            return 0;
        }
    }

    return 1;
}


static ngx_inline ngx_uint_t
ngx_http_apikey_strips(const ngx_table_elt_t *h)
{
    return ak_provider_strips(ak_str(h->lowcase_key, h->key.len));
}


/*
 * A header that is to go cannot just be marked: the proxy modules pass every
 * element of the list.  Nor can elements be moved, since headers_in points
 * into the list.  So those that stay are copied to a new one; headers_in goes
 * on pointing to the old elements, which are the same, also to Authorization:
 * nothing forwards that pointer, and $remote_user needs it.
 */

ngx_int_t
ngx_http_apikey_strip(ngx_http_request_t *r)
{
    ngx_uint_t        i, n;
    ngx_list_t        headers;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    n = AK_EFFECTS_MAX;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    if (ngx_list_init(&headers, r->pool, n, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_apikey_strips(&h[i])) {
                continue;
            }

            copy = ngx_list_push(&headers);
            *copy = h[i];      /* there is room for all */
        }
    }

    r->headers_in.headers = headers;
    r->headers_in.headers.last = &r->headers_in.headers.part;

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_edit(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ngx_uint_t inject)
{
    unsigned  i;

    if (!ctx->edited) {
        ctx->headers = r->headers_in.headers;
        ctx->edited = 1;

    } else {

        /* redirected: that upstream is done with, r->upstream is made anew */

        ngx_http_apikey_wipe_upstream(r);
    }

    if (ngx_http_apikey_strip(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!inject || ctx->txn.neffects == 0) {
        return NGX_OK;
    }

    for (i = 0; i < ctx->txn.neffects; i++) {
        if (ngx_http_apikey_add_header(r, &ctx->txn.effects[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_apikey_wipe_later(r);
}


static ngx_int_t
ngx_http_apikey_add_header(ngx_http_request_t *r, const ak_effect_t *effect)
{
    ngx_uint_t                    i;
    ngx_table_elt_t              *h;
    ngx_http_apikey_carried_t    *carried;
    ngx_http_apikey_main_conf_t  *mcf;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = ngx_http_apikey_ngx_str(effect->name);
    h->value = ngx_http_apikey_ngx_str(effect->value);

    /* the names are those of the provider table, prepared at configuration */

    mcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);
    carried = mcf->carried.elts;

    for (i = 0; i < mcf->carried.nelts; i++) {

        if (carried[i].name == effect->name.data) {
            h->hash = carried[i].hash;
            h->lowcase_key = carried[i].lowcase;

            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* The request that carries the key upstream is wiped when this one ends. */

static ngx_int_t
ngx_http_apikey_wipe_later(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_apikey_wipe_upstream;
    cln->data = r;

    return NGX_OK;
}


static void
ngx_http_apikey_wipe_upstream(void *data)
{
    ngx_http_request_t *r = data;

    ngx_buf_t  *b;

    /* the first buffer is the header, the others are the client's body */

    if (r->upstream == NULL || r->upstream->request_bufs == NULL) {
        return;
    }

    b = r->upstream->request_bufs->buf;

    if (b->temporary) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
}


/*
 * The client's credentials lie in the connection's header buffer, which nginx
 * frees or fills again, but does not wipe.
 */

void
ngx_http_apikey_wipe_credentials(ngx_http_apikey_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = ctx->edited ? &ctx->headers.part
                       : &ctx->request->headers_in.headers.part;

    for ( /* void */ ; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_apikey_strips(&h[i])) {
                ngx_explicit_memzero(h[i].value.data, h[i].value.len);
            }
        }
    }
}
