
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_env.h"
#include "ak_render.h"
#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_usage.h"
#include "ngx_http_apikey_zone.h"


static ngx_int_t ngx_http_apikey_keyring_env(ngx_conf_t *cf, ngx_str_t *name,
    ak_str_t *text);
static ngx_int_t ngx_http_apikey_zone_name(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *name, ssize_t *size);
static ngx_int_t ngx_http_apikey_zone_create(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_str_t *name, size_t size);
static ngx_int_t ngx_http_apikey_zone_options(ngx_conf_t *cf,
    ngx_http_apikey_zone_t *zone);
static ngx_int_t ngx_http_apikey_render_bodies(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);
static ngx_int_t ngx_http_apikey_prepare_headers(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);
static ngx_int_t ngx_http_apikey_prepare_provider(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, const ak_provider_t *p);
static ngx_int_t ngx_http_apikey_prepare_header(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ak_str_t name);


#define NGX_HTTP_APIKEY_TTL           60000
#define NGX_HTTP_APIKEY_NEGATIVE_TTL  5000
#define NGX_HTTP_APIKEY_STALE         600000
#define NGX_HTTP_APIKEY_ZONE_SIZE     (8 * 1024 * 1024)


char *
ngx_http_apikey_keyring(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *mcf = conf;

    ak_str_t    text;
    ngx_str_t  *value, name;
    ak_diag_t   diag;

    if (mcf->keyring != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    name = value[1];

    if (ngx_strncmp(name.data, "env:", 4) == 0) {

        if (ngx_http_apikey_keyring_env(cf, &name, &text) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        mcf->keyring = ak_keyring_parse(text, &diag);

    } else {

        if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        mcf->keyring = ak_keyring_load((char *) name.data, &diag);
    }

    if (mcf->keyring != NULL) {
        return NGX_CONF_OK;
    }

    if (diag.line) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keyring \"%V\", line %ui: %s",
                           &name, (ngx_uint_t) diag.line, diag.text);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "keyring \"%V\": %s",
                           &name, diag.text);
    }

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_apikey_keyring_env(ngx_conf_t *cf, ngx_str_t *name, ak_str_t *text)
{
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    /* the master, which reads this, keeps the environment it began with */

    *text = ak_env_secret(&mcf->site,
                          (char *) name->data + sizeof("env:") - 1);

    if (text->data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keyring \"%V\": there is no such variable in "
                           "the environment", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_http_apikey_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *mcf = conf;

    ak_str_t          *words;
    ngx_str_t         *value;
    ak_diag_t          diag;
    ngx_uint_t         i, n;
    ak_store_conf_t   *store;

    if (mcf->store != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    words = ngx_palloc(cf->pool, n * sizeof(ak_str_t));
    store = ngx_pcalloc(cf->pool, sizeof(ak_store_conf_t));

    if (words == NULL || store == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        words[i] = ak_str(value[i + 1].data, value[i + 1].len);
    }

    if (ak_store_conf_parse(store, words, n, &diag) != AK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"apikey_store\": %s",
                           diag.text);
        return NGX_CONF_ERROR;
    }

    mcf->store = store;

    for (i = 0; i < n; i++) {
        mcf->store_hash = mcf->store_hash * 31
                          + ngx_murmur_hash2(value[i + 1].data,
                                             value[i + 1].len);
    }

    /* here and not later: what is wrong with it is wrong with this line */

    if (store->type == AK_STORE_FILE) {
        mcf->file = ngx_http_apikey_file_create(cf, store);

        return (mcf->file == NULL) ? NGX_CONF_ERROR : NGX_CONF_OK;
    }

    mcf->redis = ngx_apikey_redis_create(cf, store);

    return (mcf->redis == NULL) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


char *
ngx_http_apikey_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *mcf = conf;

    ssize_t     size;
    ngx_str_t  *value, name;

    if (mcf->zone != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_apikey_zone_name(cf, &value[1], &name, &size) != NGX_OK
        || ngx_http_apikey_zone_create(cf, mcf, &name, size) != NGX_OK
        || ngx_http_apikey_zone_options(cf, mcf->zone) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "NAME:SIZE" */

static ngx_int_t
ngx_http_apikey_zone_name(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name,
    ssize_t *size)
{
    u_char     *p;
    ngx_str_t   s;

    p = ngx_strlchr(value->data, value->data + value->len, ':');

    if (p == NULL || p == value->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\", it must be NAME:SIZE",
                           value);
        return NGX_ERROR;
    }

    name->data = value->data;
    name->len = p - value->data;

    s.data = p + 1;
    s.len = value->data + value->len - s.data;

    *size = ngx_parse_size(&s);

    if (*size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", value);
        return NGX_ERROR;
    }

    if (*size < (ssize_t) NGX_HTTP_APIKEY_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, the least is %uzk",
                           value, NGX_HTTP_APIKEY_ZONE_MIN / 1024);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_zone_create(ngx_conf_t *cf, ngx_http_apikey_main_conf_t *mcf,
    ngx_str_t *name, size_t size)
{
    ngx_http_apikey_zone_t  *zone;

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->ttl = NGX_HTTP_APIKEY_TTL;
    zone->negative_ttl = NGX_HTTP_APIKEY_NEGATIVE_TTL;
    zone->stale = NGX_HTTP_APIKEY_STALE;
    zone->usage = NGX_HTTP_APIKEY_USAGE_INTERVAL;

    mcf->shm_zone = ngx_shared_memory_add(cf, name, size,
                                          &ngx_http_apikey_module);
    if (mcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    mcf->shm_zone->init = ngx_http_apikey_zone_init;
    mcf->shm_zone->data = zone;

    mcf->zone = zone;

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_zone_options(ngx_conf_t *cf, ngx_http_apikey_zone_t *zone)
{
    size_t       len;
    ngx_int_t    ms;
    ngx_str_t   *value, s;
    ngx_uint_t   i, k;

    struct {
        ngx_str_t    name;
        ngx_msec_t  *ms;
    } options[] = {
        { ngx_string("ttl="), &zone->ttl },
        { ngx_string("negative_ttl="), &zone->negative_ttl },
        { ngx_string("stale="), &zone->stale },
        { ngx_string("usage="), &zone->usage }
    };

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "usage=off") == 0) {
            zone->usage = 0;
            continue;
        }

        for (k = 0; k < ak_nitems(options); k++) {
            len = options[k].name.len;

            if (value[i].len > len
                && ngx_strncmp(value[i].data, options[k].name.data, len) == 0)
            {
                break;
            }
        }

        if (k == ak_nitems(options)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown argument \"%V\"", &value[i]);
            return NGX_ERROR;
        }

        s.data = value[i].data + len;
        s.len = value[i].len - len;

        ms = ngx_parse_time(&s, 0);

        if (ms == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time \"%V\"", &value[i]);
            return NGX_ERROR;
        }

        if (options[k].ms == &zone->usage
            && ms < NGX_HTTP_APIKEY_USAGE_LEAST)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time \"%V\", the least is 1s, and "
                               "\"usage=off\" is for none", &value[i]);
            return NGX_ERROR;
        }

        *options[k].ms = ms;
    }

    return NGX_OK;
}


char *
ngx_http_apikey_realm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_loc_conf_t *lcf = conf;

    ngx_str_t  *value;

    if (lcf->challenge.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return ngx_http_apikey_challenge(cf, &value[1], &lcf->challenge);
}


char *
ngx_http_apikey_challenge(ngx_conf_t *cf, ngx_str_t *realm,
    ngx_str_t *challenge)
{
    ak_diag_t  diag;

    challenge->data = ngx_pnalloc(cf->pool, AK_CHALLENGE_SIZE(realm->len));
    if (challenge->data == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ak_render_challenge(ak_str(realm->data, realm->len), challenge->data,
                            &challenge->len, &diag)
        != AK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the realm %s", diag.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_apikey_conf_complete(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    ngx_str_t  name = ngx_string("apikey");
    ngx_str_t  line = ngx_string("request");
    ngx_str_t  uri = ngx_string("request_uri");

    if (mcf->zone == NULL
        && ngx_http_apikey_zone_create(cf, mcf, &name,
                                       NGX_HTTP_APIKEY_ZONE_SIZE)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* never 0 */

    mcf->born = ((ngx_uint_t) ngx_random() << 1) | 1;

    mcf->digest = ak_digest_create();

    if (mcf->digest == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "apikey: OpenSSL cannot prepare SHA-256");
        return NGX_ERROR;
    }

    mcf->line_index = ngx_http_get_variable_index(cf, &line);
    mcf->uri_index = ngx_http_get_variable_index(cf, &uri);

    if (mcf->line_index == NGX_ERROR || mcf->uri_index == NGX_ERROR
        || ngx_http_apikey_render_bodies(cf, mcf) != NGX_OK
        || ngx_http_apikey_keys_complete(cf, mcf) != NGX_OK
        || ngx_http_apikey_changes_init(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_apikey_prepare_headers(cf, mcf);
}


static ngx_int_t
ngx_http_apikey_render_bodies(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    size_t    len;
    u_char    body[AK_BODY_MAX];
    unsigned  i;

    for (i = 0; i < AK_REASON_MAX; i++) {

        if (ak_error((ak_reason_e) i)->status == 0) {
            continue;
        }

        len = ak_render_body((ak_reason_e) i, body);

        mcf->bodies[i].len = len;
        mcf->bodies[i].data = ngx_pnalloc(cf->pool, len);

        if (len == 0 || mcf->bodies[i].data == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "apikey: there is no memory for the error bodies");
            return NGX_ERROR;
        }

        ngx_memcpy(mcf->bodies[i].data, body, len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_prepare_headers(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    size_t                    i;
    const ak_provider_t      *p;
    const ak_own_provider_t  *own;

    if (ngx_array_init(&mcf->carried, cf->pool, 16,
                       sizeof(ngx_http_apikey_carried_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; (p = ak_provider_at(i)) != NULL; i++) {
        if (ngx_http_apikey_prepare_provider(cf, mcf, p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (own = mcf->site.providers.first; own != NULL; own = own->next) {
        if (ngx_http_apikey_prepare_provider(cf, mcf, &own->provider)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_prepare_provider(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, const ak_provider_t *p)
{
    size_t  i;

    for (i = 0; i < p->nfixed; i++) {
        if (ngx_http_apikey_prepare_header(cf, mcf, p->fixed[i].name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_apikey_prepare_header(cf, mcf, p->carriage.header) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_apikey_prepare_header(cf, mcf, p->newer.header);
}


static ngx_int_t
ngx_http_apikey_prepare_header(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ak_str_t name)
{
    ngx_http_apikey_carried_t  *carried;

    if (name.len == 0) {
        return NGX_OK;
    }

    carried = ngx_array_push(&mcf->carried);
    if (carried == NULL) {
        return NGX_ERROR;
    }

    carried->name = name.data;
    carried->lowcase = ngx_pnalloc(cf->pool, name.len);

    if (carried->lowcase == NULL) {
        return NGX_ERROR;
    }

    carried->hash = ngx_hash_strlow(carried->lowcase, (u_char *) name.data,
                                    name.len);

    return NGX_OK;
}
