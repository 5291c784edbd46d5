
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_zone.h"


/*
 * "apikey_fail_limit": attempts that failed are counted by source, in the
 * zone.  A source that is over its limit may still use every key that the zone
 * knows; what nobody knows is looked up for it from a second, small bucket, so
 * that a good key is not shut out by its neighbours behind the same address.
 */

#define NGX_HTTP_APIKEY_LIMIT_KEY_MAX                                        \
    (1 + sizeof(uint32_t) + AK_LIMIT_SOURCE_MAX)

#define NGX_HTTP_APIKEY_SOURCE_TEXT_MAX                                      \
    (NGX_SOCKADDR_STRLEN + sizeof("/64") - 1)


static const ak_limit_t *ngx_http_apikey_limit_get(
    ngx_http_apikey_ctx_t *ctx);
static ak_str_t ngx_http_apikey_limit_address(ngx_http_apikey_ctx_t *ctx);
static uint32_t ngx_http_apikey_limit_key(u_char letter,
    const ak_rate_t *rate, ak_str_t source, u_char *buf, ngx_str_t *key);
static uint32_t ngx_http_apikey_limit_source(ngx_http_apikey_ctx_t *ctx,
    u_char letter, const ak_rate_t *rate, u_char *buf, ngx_str_t *key);
static ngx_int_t ngx_http_apikey_limit_spend(ngx_http_apikey_ctx_t *ctx,
    const ak_limit_t *limit);
static ngx_int_t ngx_http_apikey_limit_refuse(ngx_http_apikey_ctx_t *ctx,
    uint64_t retry);
static ngx_uint_t ngx_http_apikey_limit_count(ngx_http_apikey_ctx_t *ctx,
    const ak_limit_t *limit);
static ngx_str_t ngx_http_apikey_limit_text(ngx_http_apikey_ctx_t *ctx,
    u_char *buf);


char *
ngx_http_apikey_fail_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_loc_conf_t *lcf = conf;

    ak_str_t                     *words;
    ngx_str_t                    *value;
    ak_diag_t                     diag;
    ngx_uint_t                    i, n;
    ngx_http_apikey_main_conf_t  *mcf;

    if (lcf->limit != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (n == 1 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->limit = NULL;
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    words = ngx_palloc(cf->temp_pool, n * sizeof(ak_str_t));
    lcf->limit = ngx_palloc(cf->pool, sizeof(ak_limit_t));

    if (words == NULL || lcf->limit == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        words[i] = ak_str(value[i + 1].data, value[i + 1].len);
    }

    if (ak_limit_parse(words, n, &mcf->site.mem, lcf->limit, &diag)
        != AK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"apikey_fail_limit\": %s",
                           diag.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* What holds for the request; NULL: nothing does. */

static const ak_limit_t *
ngx_http_apikey_limit_get(ngx_http_apikey_ctx_t *ctx)
{
    ngx_http_apikey_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_apikey_module);

    if (lcf->limit == NULL
        || ak_limit_exempt(lcf->limit, ngx_http_apikey_limit_address(ctx)))
    {
        return NULL;
    }

    return lcf->limit;
}


static ak_str_t
ngx_http_apikey_limit_address(ngx_http_apikey_ctx_t *ctx)
{
    ak_str_t   address;
    ak_view_t  *view;

    view = &ctx->txn.view;

    return view->get(view->host, AK_VIEW_ADDRESS, &address)
           ? address : ak_str(NULL, 0);
}


/*
 * The name of a bucket.  The rate is a part of it: servers that have another
 * one count for themselves, and what a reload leaves as it was goes on.
 */

static uint32_t
ngx_http_apikey_limit_key(u_char letter, const ak_rate_t *rate,
    ak_str_t source, u_char *buf, ngx_str_t *key)
{
    u_char    *p;
    uint32_t   digest;

    digest = ngx_murmur_hash2((u_char *) rate, sizeof(ak_rate_t));

    p = buf;

    *p++ = letter;
    p = ngx_cpymem(p, &digest, sizeof(uint32_t));
    p = ngx_cpymem(p, source.data, source.len);

    key->data = buf;
    key->len = p - buf;

    return ngx_murmur_hash2(key->data, key->len);
}


static uint32_t
ngx_http_apikey_limit_source(ngx_http_apikey_ctx_t *ctx, u_char letter,
    const ak_rate_t *rate, u_char *buf, ngx_str_t *key)
{
    size_t   len;
    uint8_t  source[AK_LIMIT_SOURCE_MAX];

    len = ak_limit_source(ngx_http_apikey_limit_address(ctx), source);

    return ngx_http_apikey_limit_key(letter, rate, ak_str(source, len), buf,
                                     key);
}


const ak_limit_t *
ngx_http_apikey_limit_of(ngx_http_apikey_ctx_t *ctx)
{
    const ak_limit_t  *limit;

    limit = ngx_http_apikey_limit_get(ctx);

    return (limit == NULL || !limit->bounded) ? NULL : limit;
}


ngx_int_t
ngx_http_apikey_limit_lookup(ngx_http_apikey_ctx_t *ctx, ngx_str_t *key,
    uint32_t hash)
{
    u_char                   buf[NGX_HTTP_APIKEY_LIMIT_KEY_MAX];
    uint32_t                 h;
    ngx_str_t                name;
    ak_allowance_t           allowance;
    const ak_limit_t        *limit;
    ngx_http_apikey_zone_t  *zone;

    if (key->data[0] != NGX_HTTP_APIKEY_RECORD) {
        return NGX_OK;         /* who asks has proved something */
    }

    limit = ngx_http_apikey_limit_get(ctx);
    zone = ctx->mcf->zone;

    if (limit == NULL || ngx_http_apikey_zone_known(zone, key, hash)) {
        return NGX_OK;
    }

    if (limit->bounded) {
        h = ngx_http_apikey_limit_key(NGX_HTTP_APIKEY_ABSENT, &limit->total,
                                      ak_str(NULL, 0), buf, &name);

        ngx_http_apikey_zone_look(zone, &name, h, &limit->total, &allowance);

        if (!allowance.granted) {
            return ngx_http_apikey_limit_refuse(ctx, allowance.retry);
        }
    }

    return ngx_http_apikey_limit_spend(ctx, limit);
}


ngx_int_t
ngx_http_apikey_limit_verify(ngx_http_apikey_ctx_t *ctx)
{
    const ak_limit_t  *limit;

    limit = ngx_http_apikey_limit_get(ctx);

    return (limit == NULL) ? NGX_OK : ngx_http_apikey_limit_spend(ctx, limit);
}


/* Nothing, of a source that is not over its limit. */

static ngx_int_t
ngx_http_apikey_limit_spend(ngx_http_apikey_ctx_t *ctx,
    const ak_limit_t *limit)
{
    u_char                   buf[NGX_HTTP_APIKEY_LIMIT_KEY_MAX];
    uint64_t                 retry;
    uint32_t                 hash;
    ngx_str_t                name;
    ak_allowance_t           allowance;
    ngx_http_apikey_zone_t  *zone;

    zone = ctx->mcf->zone;

    hash = ngx_http_apikey_limit_source(ctx, NGX_HTTP_APIKEY_FAILURES,
                                        &limit->failures, buf, &name);

    ngx_http_apikey_zone_look(zone, &name, hash, &limit->failures,
                              &allowance);

    if (allowance.granted) {
        return NGX_OK;
    }

    retry = allowance.retry;

    hash = ngx_http_apikey_limit_source(ctx, NGX_HTTP_APIKEY_ALLOWANCE,
                                        &limit->lookups, buf, &name);

    if (ngx_http_apikey_zone_rate(zone, &name, hash, &limit->lookups,
                                  &allowance)
        == NGX_OK
        && allowance.granted)
    {
        return NGX_OK;
    }

    return ngx_http_apikey_limit_refuse(ctx, retry);
}


static ngx_int_t
ngx_http_apikey_limit_refuse(ngx_http_apikey_ctx_t *ctx, uint64_t retry)
{
    ctx->refused = 1;
    ctx->retry = ngx_max(ctx->retry, retry);

    return NGX_BUSY;
}


void
ngx_http_apikey_limit_absent(ngx_http_apikey_main_conf_t *mcf,
    const ak_limit_t *limit)
{
    u_char          buf[NGX_HTTP_APIKEY_LIMIT_KEY_MAX];
    uint32_t        hash;
    ngx_str_t       name;
    ngx_uint_t      emptied;
    ak_allowance_t  allowance;

    hash = ngx_http_apikey_limit_key(NGX_HTTP_APIKEY_ABSENT, &limit->total,
                                     ak_str(NULL, 0), buf, &name);

    ngx_http_apikey_zone_fail(mcf->zone, &name, hash, &limit->total,
                              &allowance, &emptied);

    if (emptied) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "apikey: too many keys that do not exist were asked "
                      "for, keys that are not cached are refused");
    }
}


void
ngx_http_apikey_limit_denied(ngx_http_apikey_ctx_t *ctx)
{
    ngx_uint_t         attempt;
    const ak_limit_t  *limit;

    limit = ngx_http_apikey_limit_get(ctx);
    attempt = ak_error(ctx->txn.reason)->attempt;

    if (limit == NULL
        || !(attempt || ctx->txn.reason == AK_TOO_MANY_FAILURES))
    {
        return;
    }

    if (!ctx->refused && attempt && !ctx->counted) {
        ctx->counted = 1;
        ctx->limited = ngx_http_apikey_limit_count(ctx, limit);
    }

    /* nobody knows whether what was not looked up is good */

    if (ctx->refused || ctx->limited) {
        ctx->txn.reason = AK_TOO_MANY_FAILURES;
        ctx->txn.retry = ctx->retry;
    }
}


/* An attempt that failed; whether its source is over the limit. */

static ngx_uint_t
ngx_http_apikey_limit_count(ngx_http_apikey_ctx_t *ctx,
    const ak_limit_t *limit)
{
    u_char          buf[NGX_HTTP_APIKEY_LIMIT_KEY_MAX];
    u_char          text[NGX_HTTP_APIKEY_SOURCE_TEXT_MAX];
    uint32_t        hash;
    ngx_str_t       name;
    ngx_uint_t      emptied;
    ak_allowance_t  allowance;

    hash = ngx_http_apikey_limit_source(ctx, NGX_HTTP_APIKEY_FAILURES,
                                        &limit->failures, buf, &name);

    ngx_http_apikey_zone_fail(ctx->mcf->zone, &name, hash, &limit->failures,
                              &allowance, &emptied);

    if (emptied) {
        name = ngx_http_apikey_limit_text(ctx, text);

        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "apikey: too many attempts of source \"%V\" have "
                      "failed, it is limited", &name);
    }

    ctx->retry = ngx_max(ctx->retry, allowance.retry);

    return !allowance.granted;
}


/* A source as operators write it. */

static ngx_str_t
ngx_http_apikey_limit_text(ngx_http_apikey_ctx_t *ctx, u_char *buf)
{
    size_t     len;
    uint8_t    source[16];
    ngx_str_t  text;

    ngx_memzero(source, sizeof(source));

    len = ak_limit_source(ngx_http_apikey_limit_address(ctx), source);

    text.data = buf;

    switch (len) {

    case 0:
        ngx_str_set(&text, "unix:");
        break;

    case 4:
        text.len = ngx_inet_ntop(AF_INET, source, buf, NGX_SOCKADDR_STRLEN);
        break;

    default:
#if (NGX_HAVE_INET6)
        text.len = ngx_inet_ntop(AF_INET6, source, buf, NGX_SOCKADDR_STRLEN);
        text.len = ngx_cpymem(buf + text.len, "/64", sizeof("/64") - 1) - buf;
#else
        text.len = 0;
#endif
        break;
    }

    return text;
}
