
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"


static char *ngx_http_apikey_provider_line(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_apikey_provider_wrong(ngx_conf_t *cf,
    const ak_own_provider_t *p, ak_diag_t *diag);


/* More words than a line of a provider can have. */

#define NGX_HTTP_APIKEY_WORDS_MAX  (AK_REFUSALS_MAX + 8)


typedef struct {
    ak_own_provider_t            *provider;
    ak_mem_t                     *mem;
} ngx_http_apikey_block_t;


char *
ngx_http_apikey_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *mcf = conf;

    char                     *rv;
    ngx_str_t                *value;
    ak_diag_t                 diag;
    ngx_conf_t                save;
    ngx_http_apikey_block_t   block;

    value = cf->args->elts;

    block.mem = &mcf->site.mem;
    block.provider = ak_provider_begin(&mcf->site.providers,
                                       ak_str(value[1].data, value[1].len),
                                       block.mem, &diag);

    if (block.provider == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", diag.text);
        return NGX_CONF_ERROR;
    }

    block.provider->where = ngx_http_apikey_provider_used(cf);

    save = *cf;
    cf->handler = ngx_http_apikey_provider_line;
    cf->handler_conf = (void *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ak_provider_end(block.provider, &diag) != AK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", diag.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_apikey_provider_line(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_http_apikey_block_t *block = conf;

    ak_str_t    words[NGX_HTTP_APIKEY_WORDS_MAX];
    ngx_str_t  *value;
    ak_diag_t   diag;
    ngx_uint_t  i;

    value = cf->args->elts;

    if (cf->args->nelts > NGX_HTTP_APIKEY_WORDS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there are too many words in a line");
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < cf->args->nelts; i++) {
        words[i] = ak_str(value[i].data, value[i].len);
    }

    if (ak_provider_line(block->provider, words, cf->args->nelts, block->mem,
                         &diag)
        != AK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", diag.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void *
ngx_http_apikey_provider_used(void *data)
{
    ngx_conf_t *cf = data;

    ngx_http_apikey_where_t  *where;

    where = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_where_t));

    if (where != NULL && cf->conf_file != NULL) {
        where->file = cf->conf_file->file.name;
        where->line = cf->conf_file->line;
    }

    return where;
}


char *
ngx_http_apikey_providers_check(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    ak_diag_t                 diag;
    const ak_own_provider_t  *missing;

    missing = ak_providers_missing(mcf->site.providers.first, &diag);

    if (missing != NULL) {
        return ngx_http_apikey_provider_wrong(cf, missing, &diag);
    }

    return (ak_providers_strip(&mcf->site.providers, mcf->strip) == AK_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_apikey_providers_clash(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    ak_diag_t                 diag;
    const ak_own_provider_t  *p;

    p = ak_providers_clash(&mcf->site.providers, mcf->strip, &diag);

    return (p == NULL) ? NGX_CONF_OK
                       : ngx_http_apikey_provider_wrong(cf, p, &diag);
}


static char *
ngx_http_apikey_provider_wrong(ngx_conf_t *cf, const ak_own_provider_t *p,
    ak_diag_t *diag)
{
    ngx_http_apikey_where_t  *where;

    where = p->where;

    if (where != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in %V:%ui", diag->text,
                      &where->file, where->line);
    }

    return NGX_CONF_ERROR;
}
