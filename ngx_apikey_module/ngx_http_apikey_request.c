
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"


/* What is shorter may be a part of anything, and is not looked for. */

#define NGX_HTTP_APIKEY_LOOKED  8


static ngx_int_t ngx_http_apikey_scan(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static bool ngx_http_apikey_view_header(void *host, ak_str_t name, unsigned n,
    ak_str_t *value);
static bool ngx_http_apikey_view_get(void *host, ak_view_e what,
    ak_str_t *value);
static bool ngx_http_apikey_view_variable(void *host, ak_str_t name,
    ak_str_t *value);
static ak_str_t ngx_http_apikey_view_query(ngx_http_request_t *r);
static bool ngx_http_apikey_view_address(ngx_connection_t *c,
    ak_str_t *value);
static ngx_int_t ngx_http_apikey_copy(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ngx_uint_t inject);
static ngx_uint_t ngx_http_apikey_replaced(const ngx_http_apikey_ctx_t *ctx,
    const ngx_table_elt_t *h, ngx_uint_t inject);
static ngx_int_t ngx_http_apikey_new_list(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ngx_list_t *headers);
static ngx_int_t ngx_http_apikey_strip_values(ngx_http_request_t *r,
    const ak_strip_t *strip, ngx_table_elt_t *h);
static void ngx_http_apikey_move_cookie(ngx_http_request_t *r,
    ngx_table_elt_t *from, ngx_table_elt_t *to);
static ngx_int_t ngx_http_apikey_redact(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_int_t ngx_http_apikey_redact_line(ngx_http_request_t *r,
    const ak_strip_t *strip, ngx_str_t *line);
static ngx_int_t ngx_http_apikey_strip_args(ngx_http_request_t *r,
    const ak_strip_t *strip);
static ngx_int_t ngx_http_apikey_add_header(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, const ak_effect_t *effect);
static void ngx_http_apikey_wipe_value(ngx_http_apikey_ctx_t *ctx, u_char *p,
    size_t len);
static void ngx_http_apikey_wipe_headers(ngx_http_apikey_ctx_t *ctx);
static void ngx_http_apikey_wipe_query(ngx_http_apikey_ctx_t *ctx);
static void ngx_http_apikey_wipe_upstream(ngx_http_request_t *r);
static void ngx_http_apikey_wipe_sent(ngx_http_apikey_ctx_t *ctx);
static ngx_uint_t ngx_http_apikey_is_secret(ngx_http_apikey_ctx_t *ctx,
    u_char *p);


/* The parts of headers that can carry a credential, and whose headers. */

typedef struct {
    ak_str_t                      name;
    ak_carrier_e                  type;
} ngx_http_apikey_valued_t;


static const ngx_http_apikey_valued_t  ngx_http_apikey_valued[] = {
    { ak_string("cookie"), AK_CARRIER_COOKIE },
    { ak_string("sec-websocket-protocol"), AK_CARRIER_SUBPROTOCOL }
};


static ngx_inline ak_str_t
ngx_http_apikey_lowcase(const ngx_table_elt_t *h)
{
    return ak_str(h->lowcase_key, h->key.len);
}


static ngx_inline ngx_uint_t
ngx_http_apikey_has_valued(const ak_strip_t *strip)
{
    return ak_strip_has(strip, AK_CARRIER_COOKIE)
           || ak_strip_has(strip, AK_CARRIER_SUBPROTOCOL);
}


static ngx_inline ak_str_t
ngx_http_apikey_ak_str(const ngx_str_t *s)
{
    return ak_str(s->data, s->len);
}


ngx_int_t
ngx_http_apikey_view(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ak_view_t  *view;

    view = &ctx->txn.view;

    view->header = ngx_http_apikey_view_header;
    view->get = ngx_http_apikey_view_get;
    view->variable = ngx_http_apikey_view_variable;
    view->host = r;

    return (ngx_http_apikey_scan(r, ctx) == NGX_OK
            && ngx_http_apikey_redact(r, ctx) == NGX_OK)
           ? NGX_OK : NGX_ERROR;
}


/* The one look at all headers: what carries something is remembered. */

static ngx_int_t
ngx_http_apikey_scan(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_uint_t        i, n, room;
    ak_field_t       *carried, *more;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    carried = ctx->carried;
    room = NGX_HTTP_APIKEY_CARRIED;
    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!ak_strip_header(ctx->mcf->strip,
                                 ngx_http_apikey_lowcase(&h[i])))
            {
                continue;
            }

            if (n == room) {
                more = ngx_palloc(r->pool, 4 * room * sizeof(ak_field_t));
                if (more == NULL) {
                    return NGX_ERROR;
                }

                ngx_memcpy(more, carried, n * sizeof(ak_field_t));
                carried = more;
                room *= 4;
            }

            carried[n].name = ngx_http_apikey_lowcase(&h[i]);
            carried[n].value = ngx_http_apikey_ak_str(&h[i].value);
            n++;
        }
    }

    ctx->txn.view.carried = carried;
    ctx->txn.view.ncarried = n;

    return NGX_OK;
}


static bool
ngx_http_apikey_view_header(void *host, ak_str_t name, unsigned n,
    ak_str_t *value)
{
    ngx_http_request_t *r = host;

    ngx_uint_t              i;
    ngx_list_part_t        *part;
    ngx_table_elt_t        *h;
    ngx_http_apikey_ctx_t  *ctx;

    /* once they are edited they are not what the client sent any more */

    ctx = ngx_http_apikey_get_ctx(r);

    part = (ctx != NULL && ctx->edited) ? &ctx->headers.part
                                        : &r->headers_in.headers.part;

    for ( /* void */ ; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ak_view_same_name(ngx_http_apikey_lowcase(&h[i]), name)
                && n-- == 0)
            {
                *value = ngx_http_apikey_ak_str(&h[i].value);
                return true;
            }
        }
    }

    return false;
}


static bool
ngx_http_apikey_view_get(void *host, ak_view_e what, ak_str_t *value)
{
    ngx_http_request_t *r = host;

    ngx_uint_t                  key;
    ngx_http_apikey_ctx_t      *ctx;
    ngx_http_variable_value_t  *v;
    static ngx_str_t            request_id = ngx_string("request_id");

    /* those of an error page are not what was decided about */

    ctx = ngx_http_apikey_get_ctx(r);

    switch (what) {

    case AK_VIEW_METHOD:
        *value = ngx_http_apikey_ak_str(ctx != NULL ? &ctx->method
                                                    : &r->method_name);
        break;

    case AK_VIEW_PATH:
        *value = ngx_http_apikey_ak_str(ctx != NULL ? &ctx->uri : &r->uri);
        break;

    case AK_VIEW_QUERY:
        *value = ngx_http_apikey_view_query(r);
        break;

    case AK_VIEW_ADDRESS:
        return ngx_http_apikey_view_address(r->connection, value);

    case AK_VIEW_ADDRESS_TEXT:
        *value = ngx_http_apikey_ak_str(&r->connection->addr_text);
        break;

    default: /* AK_VIEW_REQUEST_ID */

        key = ngx_hash_key(request_id.data, request_id.len);
        v = ngx_http_get_variable(r, &request_id, key);

        if (v == NULL || v->not_found) {
            return false;
        }

        *value = ak_str(v->data, v->len);
        break;
    }

    return value->len != 0;
}


static bool
ngx_http_apikey_view_variable(void *host, ak_str_t name, ak_str_t *value)
{
    ngx_http_request_t *r = host;

    ngx_str_t                   var;
    ngx_http_variable_value_t  *v;

    var = ngx_http_apikey_ngx_str(name);

    v = ngx_http_get_variable(r, &var, ngx_hash_key(var.data, var.len));

    if (v == NULL || v->not_found || !v->valid) {
        return false;
    }

    *value = ak_str(v->data, v->len);

    return true;
}


/* What the client sent: $args has no credential any more. */

static ak_str_t
ngx_http_apikey_view_query(ngx_http_request_t *r)
{
    u_char                 *p, *last;
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL || ctx->unparsed_uri.len == 0) {
        return ngx_http_apikey_ak_str(&r->args);
    }

    last = ctx->unparsed_uri.data + ctx->unparsed_uri.len;
    p = ngx_strlchr(ctx->unparsed_uri.data, last, '?');

    return (p == NULL) ? ak_str(NULL, 0) : ak_str(p + 1, last - (p + 1));
}


/* The realip module has put the client's own address here. */

static bool
ngx_http_apikey_view_address(ngx_connection_t *c, ak_str_t *value)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (c->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) c->sockaddr;
        *value = ak_str(&sin->sin_addr, 4);
        return true;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) c->sockaddr;
        *value = ak_str(&sin6->sin6_addr, 16);
        return true;
#endif

    default:
        return false;
    }
}


/*
 * A header that is to go cannot just be marked: the proxy modules pass every
 * element of the list.  Nor can elements be moved, since headers_in points
 * into the list.  So those that stay are copied to a new one; headers_in goes
 * on pointing to the old elements, which are the same, also to Authorization:
 * nothing forwards that pointer, and $remote_user needs it.
 */

static ngx_int_t
ngx_http_apikey_copy(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ngx_uint_t inject)
{
    bool                        (*forbidden)(const ak_strip_t *s,
                                             ak_str_t lowcase);
    ngx_uint_t                    i, valued;
    ngx_list_t                    headers;
    ngx_list_part_t              *part;
    ngx_table_elt_t              *h, *copy;
    const ak_strip_t             *strip;
    ngx_http_apikey_loc_conf_t   *lcf;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);
    strip = mcf->strip;

    /* what an operator passes is the credential, and never an identity */

    forbidden = lcf->pass ? ak_strip_identity : ak_strip_header;

    valued = !lcf->pass && ngx_http_apikey_has_valued(strip);

    if (ngx_http_apikey_new_list(r, ctx, &headers) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (forbidden(strip, ngx_http_apikey_lowcase(&h[i]))
                || ngx_http_apikey_replaced(ctx, &h[i], inject))
            {
                continue;
            }

            copy = ngx_list_push(&headers);
            *copy = h[i];      /* there is room for all */

            if (!valued) {
                continue;
            }

            if (ngx_http_apikey_strip_values(r, strip, copy) != NGX_OK) {
                return NGX_ERROR;
            }

            ngx_http_apikey_move_cookie(r, &h[i], copy);
        }
    }

    r->headers_in.headers = headers;
    r->headers_in.headers.last = &r->headers_in.headers.part;

    return ngx_http_apikey_strip_args(r, strip);
}


ngx_int_t
ngx_http_apikey_strip(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    return ngx_http_apikey_copy(r, ctx, 0);
}


/*
 * A fixed header of a provider goes where one is put in its place, and where
 * the request is for another upstream than the one it was put in for.
 */

static ngx_uint_t
ngx_http_apikey_replaced(const ngx_http_apikey_ctx_t *ctx,
    const ngx_table_elt_t *h, ngx_uint_t inject)
{
    unsigned            i;
    const ak_effect_t  *effect;

    if (ctx == NULL) {
        return 0;
    }

    if (ctx->edited
        && ak_providers_fixed(&ctx->mcf->site.providers, h->value.data))
    {
        return 1;
    }

    for (i = 0; inject && i < ctx->txn.neffects; i++) {
        effect = &ctx->txn.effects[i];

        if (effect->lowcase.len != 0
            && ak_view_same_name(ngx_http_apikey_lowcase(h), effect->lowcase))
        {
            return 1;
        }
    }

    return 0;
}


/* $http_cookie and $cookie_NAME, and who puts them into a header, see this. */

static void
ngx_http_apikey_move_cookie(ngx_http_request_t *r, ngx_table_elt_t *from,
    ngx_table_elt_t *to)
{
#if (nginx_version >= 1023000)

    ngx_table_elt_t  **p;

    for (p = &r->headers_in.cookie; *p != NULL; p = &(*p)->next) {
        if (*p == from) {
            *p = to;
            break;
        }
    }

#else

    ngx_uint_t         i;
    ngx_table_elt_t  **cookies;

    cookies = r->headers_in.cookies.elts;

    for (i = 0; i < r->headers_in.cookies.nelts; i++) {
        if (cookies[i] == from) {
            cookies[i] = to;
            break;
        }
    }

#endif
}


/* With room for what stays and what is put in: the context's, where it can. */

static ngx_int_t
ngx_http_apikey_new_list(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ngx_list_t *headers)
{
    ngx_uint_t        n;
    ngx_list_part_t  *part;

    n = AK_EFFECTS_MAX;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    if (r != r->main || ctx == NULL || ctx->edited
        || n > NGX_HTTP_APIKEY_HEADERS + AK_EFFECTS_MAX - 4)
    {
        return ngx_list_init(headers, r->pool, n, sizeof(ngx_table_elt_t));
    }

    headers->part.elts = ctx->list;
    headers->part.nelts = 0;
    headers->part.next = NULL;
    headers->last = &headers->part;
    headers->size = sizeof(ngx_table_elt_t);
    headers->nalloc = NGX_HTTP_APIKEY_HEADERS;
    headers->pool = r->pool;

    return NGX_OK;
}


/* Takes a credential out of a header that may say other things too. */

static ngx_int_t
ngx_http_apikey_strip_values(ngx_http_request_t *r, const ak_strip_t *strip,
    ngx_table_elt_t *h)
{
    size_t                           len;
    u_char                          *p;
    ngx_uint_t                       i;
    const ngx_http_apikey_valued_t  *valued;

    for (i = 0; i < ak_nitems(ngx_http_apikey_valued); i++) {
        valued = &ngx_http_apikey_valued[i];

        if (!ak_strip_has(strip, valued->type)
            || !ak_view_same_name(ngx_http_apikey_lowcase(h), valued->name))
        {
            continue;
        }

        p = ngx_pnalloc(r->pool, h->value.len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (ak_strip_value(strip, valued->type,
                           ngx_http_apikey_ak_str(&h->value), p, &len))
        {
            p[len] = '\0';
            h->value.data = p;
            h->value.len = len;
        }
    }

    return NGX_OK;
}


/*
 * What a query carries is taken out of the request line too, before anything
 * is logged: every line of an error log ends with it, and so do most of an
 * access log.
 */

static ngx_int_t
ngx_http_apikey_redact(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_str_t  uri, line;

    if (!ak_strip_has(ctx->mcf->strip, AK_CARRIER_QUERY)) {
        return NGX_OK;
    }

    uri = r->unparsed_uri;
    line = r->request_line;

    if (ngx_http_apikey_redact_line(r, ctx->mcf->strip, &r->unparsed_uri)
        != NGX_OK
        || ngx_http_apikey_redact_line(r, ctx->mcf->strip, &r->request_line)
           != NGX_OK
        || ngx_http_apikey_strip_args(r, ctx->mcf->strip) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (uri.data != r->unparsed_uri.data) {
        ctx->unparsed_uri = uri;
        ctx->request_line = line;

        /* what they were before may have been looked at */

        r->variables[ctx->mcf->line_index].valid = 0;
        r->variables[ctx->mcf->line_index].not_found = 0;
        r->variables[ctx->mcf->uri_index].valid = 0;
        r->variables[ctx->mcf->uri_index].not_found = 0;
    }

    return NGX_OK;
}


/* "GET /path?query HTTP/1.1", or a part of it; anew where it changes. */

static ngx_int_t
ngx_http_apikey_redact_line(ngx_http_request_t *r, const ak_strip_t *strip,
    ngx_str_t *line)
{
    size_t   len, left;
    u_char  *p, *query, *end, *last;

    last = line->data + line->len;
    query = ngx_strlchr(line->data, last, '?');

    if (query == NULL) {
        return NGX_OK;
    }

    query++;
    end = ngx_strlchr(query, last, ' ');

    if (end == NULL) {
        end = last;
    }

    p = ngx_pnalloc(r->pool, line->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = query - line->data;

    if (!ak_strip_value(strip, AK_CARRIER_QUERY, ak_str(query, end - query),
                        p + len, &left))
    {
        return NGX_OK;
    }

    ngx_memcpy(p, line->data, len);

    /* without the "?" where nothing is left behind it */

    len = left ? len + left : len - 1;

    ngx_memcpy(p + len, end, last - end);

    line->data = p;
    line->len = len + (last - end);

    /* nginx looks one byte beyond, where a line has its end */

    p[line->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_strip_args(ngx_http_request_t *r, const ak_strip_t *strip)
{
    size_t   len;
    u_char  *p;

    if (r->args.len == 0 || !ak_strip_has(strip, AK_CARRIER_QUERY)) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, r->args.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ak_strip_value(strip, AK_CARRIER_QUERY,
                       ngx_http_apikey_ak_str(&r->args), p, &len))
    {
        p[len] = '\0';
        r->args.data = p;
        r->args.len = len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_edit(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ngx_uint_t inject)
{
    unsigned                     i;
    ngx_list_t                   headers;
    ngx_http_apikey_loc_conf_t  *lcf;

    headers = r->headers_in.headers;

    if (ctx->edited && ctx->injected) {

        /* redirected: that upstream is done with, r->upstream is made anew */

        ngx_http_apikey_wipe_upstream(r);
        ctx->injected = 0;
    }

    if (ngx_http_apikey_copy(r, ctx, inject) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ctx->edited) {
        ctx->headers = headers;
        ctx->edited = 1;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    if (lcf->pass) {
        ctx->injected = 1;
    }

    for (i = 0; inject && i < ctx->txn.neffects; i++) {

        if (ngx_http_apikey_add_header(r, ctx, &ctx->txn.effects[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ctx->injected = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_add_header(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    const ak_effect_t *effect)
{
    ngx_uint_t                  i;
    ngx_table_elt_t            *h;
    ngx_http_apikey_carried_t  *carried;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = ngx_http_apikey_ngx_str(effect->name);
    h->value = ngx_http_apikey_ngx_str(effect->value);

    /* the names of the provider table were prepared at configuration */

    carried = ctx->mcf->carried.elts;

    for (i = 0; i < ctx->mcf->carried.nelts; i++) {

        if (carried[i].name == effect->name.data) {
            h->hash = carried[i].hash;
            h->lowcase_key = carried[i].lowcase;

            return NGX_OK;
        }
    }

    h->lowcase_key = ngx_pnalloc(r->pool, h->key.len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return NGX_OK;
}


/*
 * What the client sent lies in buffers that nginx frees or fills again, but
 * does not wipe; neither does it wipe what it sent upstream.
 */

void
ngx_http_apikey_wipe(ngx_http_apikey_ctx_t *ctx)
{
    if (ctx->injected && ctx->request->request_body_no_buffering) {
        ngx_http_apikey_wipe_sent(ctx);
    }

    ngx_http_apikey_wipe_headers(ctx);
    ngx_http_apikey_wipe_query(ctx);
    ngx_http_apikey_wipe_input(ctx->request, ctx->mcf);

    if (ctx->injected) {
        ngx_http_apikey_wipe_upstream(ctx->request);
        ngx_http_apikey_wipe_answer(ctx->request, ctx->pool);
    }
}


ngx_uint_t
ngx_http_apikey_in_pool(ngx_pool_t *pool, u_char *p)
{
    ngx_pool_t        *block;
    ngx_pool_large_t  *large;

    for (block = pool; block; block = block->d.next) {
        if (p >= (u_char *) block && p < block->d.end) {
            return 1;
        }
    }

    for (large = pool->large; large; large = large->next) {
        if (p == large->alloc) {
            return 1;
        }
    }

    return 0;
}


/*
 * Other modules may have set a header to what the configuration says: that is
 * not this request's, and will be wanted again.
 */

static void
ngx_http_apikey_wipe_value(ngx_http_apikey_ctx_t *ctx, u_char *p, size_t len)
{
    ngx_buf_t           *b;
    ngx_uint_t           ours;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = ctx->request;
    b = r->header_in;

    ours = (b != NULL && p >= b->start && p < b->end);

    for (cl = r->http_connection->busy; !ours && cl; cl = cl->next) {
        ours = (p >= cl->buf->start && p < cl->buf->end);
    }

#if (NGX_HTTP_V2)
    if (!ours && r->stream != NULL) {
        ours = ngx_http_apikey_in_pool(r->stream->pool, p);
    }
#endif

    if (ours || ngx_http_apikey_in_pool(ctx->pool, p)) {
        ngx_explicit_memzero(p, len);
    }
}


static void
ngx_http_apikey_wipe_headers(ngx_http_apikey_ctx_t *ctx)
{
    ngx_uint_t         i, k;
    ngx_list_part_t   *part;
    ngx_table_elt_t   *h;
    const ak_view_t   *view;

    view = &ctx->txn.view;

    for (i = 0; i < view->ncarried; i++) {
        ngx_http_apikey_wipe_value(ctx,
                                   (u_char *) view->carried[i].value.data,
                                   view->carried[i].value.len);
    }

    if (!ngx_http_apikey_has_valued(ctx->mcf->strip)) {
        return;
    }

    part = ctx->edited ? &ctx->headers.part
                       : &ctx->request->headers_in.headers.part;

    for ( /* void */ ; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (k = 0; k < ak_nitems(ngx_http_apikey_valued); k++) {

                if (ak_strip_has(ctx->mcf->strip,
                                 ngx_http_apikey_valued[k].type)
                    && ak_view_same_name(ngx_http_apikey_lowcase(&h[i]),
                                         ngx_http_apikey_valued[k].name))
                {
                    ngx_http_apikey_wipe_value(ctx, h[i].value.data,
                                               h[i].value.len);
                }
            }
        }
    }
}


static void
ngx_http_apikey_wipe_query(ngx_http_apikey_ctx_t *ctx)
{
    if (ctx->unparsed_uri.len == 0) {
        return;
    }

    ngx_explicit_memzero(ctx->unparsed_uri.data, ctx->unparsed_uri.len);
    ngx_explicit_memzero(ctx->request_line.data, ctx->request_line.len);
}


/* The first buffer is the header, the others are the client's body. */

static void
ngx_http_apikey_wipe_upstream(ngx_http_request_t *r)
{
    ngx_buf_t  *b;

    if (r->upstream == NULL || r->upstream->request_bufs == NULL) {
        return;
    }

    /* where it could not be made it is the client's body still */

    if (r->request_body_no_buffering
        || (r->request_body != NULL
            && r->request_body->bufs == r->upstream->request_bufs))
    {
        return;
    }

    b = r->upstream->request_bufs->buf;

    if (b->temporary) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
}


/*
 * A body that is not buffered is sent in chains that are used again as soon as
 * they are sent, even that of the header: its buffer may be any other one by
 * now, or one that is freed.  So what was put in is looked for.
 */

static void
ngx_http_apikey_wipe_sent(ngx_http_apikey_ctx_t *ctx)
{
    unsigned      i;
    u_char       *p, *last;
    ngx_str_t     value;
    ngx_pool_t   *pool;

    for (i = 0; i < ctx->txn.neffects; i++) {

        value = ngx_http_apikey_ngx_str(ctx->txn.effects[i].value);

        if (value.data == NULL || value.len < NGX_HTTP_APIKEY_LOOKED
            || !ngx_http_apikey_is_secret(ctx, value.data))
        {
            continue;
        }

        for (pool = ctx->pool; pool; pool = pool->d.next) {

            p = (u_char *) pool;
            last = pool->d.last;

            while ((p = memmem(p, last - p, value.data, value.len)) != NULL) {

                if (p != value.data) {
                    ngx_explicit_memzero(p, value.len);
                }

                p += value.len;
            }
        }
    }
}


static ngx_uint_t
ngx_http_apikey_is_secret(ngx_http_apikey_ctx_t *ctx, u_char *p)
{
    unsigned   i;
    ak_txn_t  *t;

    t = &ctx->txn;

    for (i = 0; i < t->nsecrets; i++) {
        if (p >= t->secrets[i].data
            && p < t->secrets[i].data + t->secrets[i].size)
        {
            return 1;
        }
    }

    return 0;
}
