
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_usage.h"


static ngx_int_t ngx_http_apikey_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_apikey_init(ngx_conf_t *cf);
static void *ngx_http_apikey_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_apikey_init_main_conf(ngx_conf_t *cf, void *conf);
static void ngx_http_apikey_cleanup_main_conf(void *data);
static void *ngx_http_apikey_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_apikey_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_http_apikey_main_conf_t *ngx_http_apikey_worker_conf(
    ngx_cycle_t *cycle);
static ngx_int_t ngx_http_apikey_init_process(ngx_cycle_t *cycle);
static void ngx_http_apikey_exit_process(ngx_cycle_t *cycle);


static ngx_str_t  ngx_http_apikey_default_realm = ngx_string("api");


static ngx_command_t  ngx_http_apikey_commands[] = {

    { ngx_string("apikey_keyring"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_apikey_keyring,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_apikey_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_apikey_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_stack"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_apikey_stack,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_apikey_provider,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_apikey,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_inject"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_apikey_inject,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_pass_credential"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_apikey_pass_credential,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_apikey_loc_conf_t, pass),
      NULL },

    { ngx_string("apikey_realm"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_apikey_realm,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_fail_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_apikey_fail_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_intercept_refused"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_apikey_loc_conf_t, intercept),
      NULL },

    { ngx_string("apikey_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_apikey_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_apikey_module_ctx = {
    ngx_http_apikey_preconfiguration,      /* preconfiguration */
    ngx_http_apikey_init,                  /* postconfiguration */

    ngx_http_apikey_create_main_conf,      /* create main configuration */
    ngx_http_apikey_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_apikey_create_loc_conf,       /* create location configuration */
    ngx_http_apikey_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_apikey_module = {
    NGX_MODULE_V1,
    &ngx_http_apikey_module_ctx,           /* module context */
    ngx_http_apikey_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_apikey_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_apikey_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_apikey_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_apikey_add_variables(cf);
}


static ngx_int_t
ngx_http_apikey_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt          *h;
    ngx_http_core_main_conf_t    *cmcf;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    if (ngx_http_apikey_changes_resolve(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!mcf->used) {
        return NGX_OK;         /* requests are none of our business */
    }

    if (ngx_http_apikey_providers_clash(cf, mcf) != NGX_CONF_OK
        || ngx_http_apikey_conf_complete(cf, mcf) != NGX_OK
        || ngx_http_apikey_wipe_tls(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_apikey_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_apikey_precontent_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_apikey_log_handler;

    return NGX_OK;
}


static void *
ngx_http_apikey_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /* OpenSSL's objects are not of the pool: a reload would leak them */

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_apikey_cleanup_main_conf;
    cln->data = mcf;

    return (ngx_http_apikey_stacks_init(cf, mcf) == NGX_OK) ? mcf : NULL;
}


static char *
ngx_http_apikey_init_main_conf(ngx_conf_t *cf, void *conf)
{
    char  *rv;

    rv = ngx_http_apikey_providers_check(cf, conf);

    return (rv == NGX_CONF_OK) ? ngx_http_apikey_stacks_check(cf, conf) : rv;
}


static void
ngx_http_apikey_cleanup_main_conf(void *data)
{
    ngx_http_apikey_main_conf_t *mcf = data;

    ngx_http_apikey_ctx_t  *ctx;

    ak_keyring_free(mcf->keyring);
    ak_digest_free(mcf->digest);

    while (mcf->free != NULL) {
        ctx = mcf->free;
        mcf->free = ctx->next;
        ngx_free(ctx);
    }
}


static void *
ngx_http_apikey_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_apikey_loc_conf_t  *lcf;

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->name = { 0, NULL };
     *     lcf->challenge = { 0, NULL };
     *     lcf->stack = NULL;
     *     lcf->rules = NULL;
     */

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    lcf->inject = NGX_CONF_UNSET_PTR;
    lcf->limit = NGX_CONF_UNSET_PTR;
    lcf->intercept = NGX_CONF_UNSET;
    lcf->pass = NGX_CONF_UNSET;

    return lcf;
}


static char *
ngx_http_apikey_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_apikey_loc_conf_t *prev = parent;
    ngx_http_apikey_loc_conf_t *conf = child;

    ngx_http_apikey_main_conf_t  *mcf;

    if (prev->challenge.data == NULL
        && ngx_http_apikey_challenge(cf, &ngx_http_apikey_default_realm,
                                     &prev->challenge)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->challenge.data == NULL) {
        conf->challenge = prev->challenge;
    }

    ngx_conf_merge_ptr_value(conf->limit, prev->limit, NULL);
    ngx_conf_merge_value(conf->intercept, prev->intercept, 1);

    if (conf->name.data == NULL && conf->inject == NGX_CONF_UNSET_PTR
        && conf->pass == NGX_CONF_UNSET && prev->stack != NULL)
    {
        /* the very same stack: a session opened with it stays open */

        conf->name = prev->name;
        conf->inject = prev->inject;
        conf->pass = prev->pass;
        conf->stack = prev->stack;
        conf->rules = prev->rules;

        return NGX_CONF_OK;
    }

    if (conf->name.data == NULL) {
        conf->name = prev->name;
        conf->named = prev->named;
    }

    if (conf->inject == NGX_CONF_UNSET_PTR) {
        conf->inject = prev->inject;
        conf->injected = prev->injected;
    }

    ngx_conf_init_ptr_value(conf->inject, NULL);

    if (conf->pass == NGX_CONF_UNSET) {
        conf->pass = prev->pass;
        conf->passed = prev->passed;
    }

    ngx_conf_init_value(conf->pass, 0);

    if (conf->name.len == 0) {
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    return ngx_http_apikey_location_stack(cf, mcf, conf);
}


/* NULL: the process serves no requests, or none of ours. */

static ngx_http_apikey_main_conf_t *
ngx_http_apikey_worker_conf(ngx_cycle_t *cycle)
{
    ngx_http_apikey_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NULL;
    }

    if (cycle->conf_ctx[ngx_http_module.index] == NULL) {
        return NULL;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_apikey_module);

    return (mcf == NULL || !mcf->used) ? NULL : mcf;
}


static ngx_int_t
ngx_http_apikey_init_process(ngx_cycle_t *cycle)
{
    ngx_http_apikey_main_conf_t  *mcf;

    ngx_http_apikey_process_close(cycle);

    mcf = ngx_http_apikey_worker_conf(cycle);

    if (mcf == NULL) {
        return NGX_OK;
    }

    if (ngx_http_apikey_lookup_init(cycle, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mcf->redis != NULL) {
        ngx_apikey_redis_start(mcf->redis, cycle);
    }

    if (mcf->file != NULL) {
        ngx_http_apikey_file_start(mcf->file, cycle);
    }

    ngx_http_apikey_keys_start(mcf, cycle);
    ngx_http_apikey_usage_start(mcf, cycle);

    return NGX_OK;
}


static void
ngx_http_apikey_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_apikey_worker_conf(cycle);

    if (mcf == NULL) {
        return;
    }

    ngx_http_apikey_keys_stop(mcf);
    ngx_http_apikey_usage_stop(mcf);

    if (mcf->redis != NULL) {
        ngx_apikey_redis_stop(mcf->redis);
    }
}
