
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_claim.h"
#include "ngx_http_apikey_module.h"


/*
 * None of them holds a secret.  They change while a request goes on, so that
 * none is cacheable: a log or a map that looks early sees more later.
 */

static ngx_int_t ngx_http_apikey_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_identity_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_kind_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_cache_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_source_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_meta_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_int_t ngx_http_apikey_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void *ngx_http_apikey_pool_alloc(void *data, size_t size);


#define ngx_http_apikey_var(name, handler, data, flags)                      \
    { ngx_string(name), NULL, handler, (uintptr_t) (data),                   \
      NGX_HTTP_VAR_NOCACHEABLE|(flags), 0 }


static ngx_http_variable_t  ngx_http_apikey_vars[] = {

    ngx_http_apikey_var("apikey_id", ngx_http_apikey_text_variable,
                        offsetof(ngx_http_apikey_ctx_t, txn.id), 0),

    ngx_http_apikey_var("apikey_owner", ngx_http_apikey_identity_variable,
                        offsetof(ngx_http_apikey_ctx_t, txn.owner), 0),

    ngx_http_apikey_var("apikey_name", ngx_http_apikey_identity_variable,
                        offsetof(ngx_http_apikey_ctx_t, txn.name), 0),

    ngx_http_apikey_var("apikey_kind", ngx_http_apikey_kind_variable, 0, 0),

    ngx_http_apikey_var("apikey_reason", ngx_http_apikey_reason_variable,
                        0, 0),

    ngx_http_apikey_var("apikey_module", ngx_http_apikey_text_variable,
                        offsetof(ngx_http_apikey_ctx_t, txn.module), 0),

    ngx_http_apikey_var("apikey_cache", ngx_http_apikey_cache_variable, 0, 0),

    ngx_http_apikey_var("apikey_provider", ngx_http_apikey_text_variable,
                        offsetof(ngx_http_apikey_ctx_t, txn.provider), 0),

    ngx_http_apikey_var("apikey_slot", ngx_http_apikey_text_variable,
                        offsetof(ngx_http_apikey_ctx_t, txn.slot), 0),

    ngx_http_apikey_var("apikey_upstream_source",
                        ngx_http_apikey_source_variable, 0, 0),

    ngx_http_apikey_var("apikey_meta_", ngx_http_apikey_meta_variable, 0,
                        NGX_HTTP_VAR_PREFIX),

    ngx_http_apikey_var("apikey_claim_", ngx_http_apikey_claim_variable, 0,
                        NGX_HTTP_VAR_PREFIX),

    ngx_http_null_variable
};


ngx_int_t
ngx_http_apikey_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_apikey_vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_set_variable(ngx_http_variable_value_t *v, ak_str_t s)
{
    if (s.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = s.len;
    v->data = (u_char *) s.data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_set_variable(v, *(ak_str_t *)
                                              ((u_char *) ctx + data));
}


/* A record speaks for who has proved the key only. */

static ngx_int_t
ngx_http_apikey_identity_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL || !ctx->txn.identified) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_text_variable(r, v, data);
}


static ngx_int_t
ngx_http_apikey_kind_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_set_variable(v,
                                        ak_cred_kind_name(ctx->txn.cred.kind));
}


/* Nothing where the request was granted. */

static ngx_int_t
ngx_http_apikey_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL || !ctx->decided || ctx->txn.reason == AK_SUCCESS) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_set_variable(v, ak_error(ctx->txn.reason)->word);
}


static ngx_int_t
ngx_http_apikey_source_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_apikey_ctx_t  *ctx;
    static const ak_str_t   words[] = {
        [AK_KEY_NONE] = ak_string(""),
        [AK_KEY_OWN] = ak_string("own"),
        [AK_KEY_SHARED] = ak_string("shared"),
        [AK_KEY_ENV] = ak_string("env"),
        [AK_KEY_FILE] = ak_string("file")
    };

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_set_variable(v, words[ctx->txn.key_source]);
}


static ngx_int_t
ngx_http_apikey_cache_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_apikey_ctx_t  *ctx;
    static const ak_str_t   words[] = {
        [AK_SOURCE_NONE] = ak_string(""),
        [AK_SOURCE_HIT] = ak_string("hit"),
        [AK_SOURCE_MISS] = ak_string("miss"),
        [AK_SOURCE_STALE] = ak_string("stale")
    };

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_set_variable(v, words[ctx->txn.source]);
}


static ngx_int_t
ngx_http_apikey_meta_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    ak_str_t                key;
    ak_record_t             rec;
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL || !ctx->txn.identified
        || ak_record_unpack(ctx->txn.record, &rec) != AK_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    key = ak_str(name->data + sizeof("apikey_meta_") - 1,
                 name->len - (sizeof("apikey_meta_") - 1));

    return ngx_http_apikey_set_variable(v, ak_record_meta(&rec, key));
}


static ngx_int_t
ngx_http_apikey_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    ak_mem_t                mem;
    ak_str_t                claim, value;
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL || !ctx->txn.identified) {
        v->not_found = 1;
        return NGX_OK;
    }

    claim = ak_str(name->data + sizeof("apikey_claim_") - 1,
                   name->len - (sizeof("apikey_claim_") - 1));

    /* not of the context's arena: a log may look after it is wiped */

    mem.alloc = ngx_http_apikey_pool_alloc;
    mem.data = r->pool;

    if (ak_claim(ctx->txn.claims, claim, &mem, &value) != AK_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_apikey_set_variable(v, value);
}


static void *
ngx_http_apikey_pool_alloc(void *data, size_t size)
{
    return ngx_pnalloc(data, size);
}
