
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_apikey_watch.h"
#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_zone.h"


/*
 * What changes in Redis, and what of the zone that concerns: names there are
 * keys here.
 */

static ngx_int_t ngx_http_apikey_changes_prefixes(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_apikey_watch_conf_t *conf);
static void ngx_http_apikey_changes_changed(void *data, ak_str_t *name);
static ngx_int_t ngx_http_apikey_changes_key(ak_str_t prefix, ak_str_t name,
    u_char *buf, ngx_str_t *key);
static void ngx_http_apikey_changes_covered(void *data,
    ngx_apikey_watch_e how, ngx_msec_t until);


/* The first letter of a key, for what a name begins with behind the prefix. */

typedef struct {
    ak_str_t    name;
    ngx_uint_t  cut;                   /* it is not of the key */
    u_char      letter;
} ngx_http_apikey_kind_t;


static const ngx_http_apikey_kind_t  ngx_http_apikey_kinds[] = {
    { ak_string("key:"), 1, NGX_HTTP_APIKEY_RECORD },
    { ak_string("upstream:"), 1, NGX_HTTP_APIKEY_TOKENS },
    { ak_string("revoked:"), 0, NGX_HTTP_APIKEY_MARK }
};


ngx_int_t
ngx_http_apikey_changes_resolve(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    ngx_resolver_t            *resolver;
    ngx_http_core_loc_conf_t  *clcf;

    if (mcf->redis == NULL) {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    resolver = clcf->resolver;

    if (resolver != NULL && resolver->connections.nelts == 0) {
        resolver = NULL;
    }

    return ngx_apikey_redis_resolve(cf, mcf->redis, resolver,
                              clcf->resolver_timeout == NGX_CONF_UNSET_MSEC
                              ? 30000 : clcf->resolver_timeout);
}


void
ngx_http_apikey_foreign(void *data, ak_str_t prefix)
{
    ngx_conf_t *cf = data;

    ak_str_t                     *p;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    /* one that is not watched is looked up again after its time */

    p = ngx_array_push(&mcf->foreign);

    if (p != NULL) {
        *p = prefix;
    }
}


ngx_int_t
ngx_http_apikey_changes_init(ngx_conf_t *cf, ngx_http_apikey_main_conf_t *mcf)
{
    u_char                   *buf;
    ngx_apikey_watch_conf_t  *conf;

    mcf->zone->store = mcf->store_hash;

    if (mcf->redis == NULL || !mcf->store->invalidation) {
        return NGX_OK;
    }

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_apikey_watch_conf_t));
    buf = ngx_pnalloc(cf->pool, AK_STORE_KEY_MAX);

    if (conf == NULL || buf == NULL
        || ak_store_channel(mcf->store, buf, &conf->channel) != AK_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_apikey_changes_prefixes(cf, mcf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    conf->changed = ngx_http_apikey_changes_changed;
    conf->covered = ngx_http_apikey_changes_covered;
    conf->data = mcf;

    mcf->zone->covered = 1;

    ngx_apikey_redis_watch(mcf->redis, conf);

    return NGX_OK;
}


/* Redis wants none that begins with another. */

static ngx_int_t
ngx_http_apikey_changes_prefixes(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_apikey_watch_conf_t *conf)
{
    ak_str_t    *p, *all;
    ngx_uint_t   i, k, n;

    n = mcf->foreign.nelts + 1;

    all = ngx_palloc(cf->pool, n * sizeof(ak_str_t));
    p = ngx_palloc(cf->pool, n * sizeof(ak_str_t));

    if (all == NULL || p == NULL) {
        return NGX_ERROR;
    }

    all[0] = mcf->store->prefix;
    ngx_memcpy(all + 1, mcf->foreign.elts, (n - 1) * sizeof(ak_str_t));

    conf->prefixes = p;

    for (i = 0; i < n; i++) {

        for (k = 0; k < n; k++) {

            if (k != i && ak_str_starts(all[i], all[k])
                && (all[i].len > all[k].len || k < i))
            {
                break;
            }
        }

        if (k == n) {
            p[conf->nprefixes++] = all[i];
        }
    }

    if (conf->nprefixes > NGX_APIKEY_WATCH_PREFIXES) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"open_webui=\": there are %ui prefixes to be watched "
                      "in redis, with that of \"apikey_store\", and at most "
                      "%d can be; set \"invalidation=off\", or use fewer",
                      conf->nprefixes, NGX_APIKEY_WATCH_PREFIXES);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_apikey_changes_changed(void *data, ak_str_t *name)
{
    ngx_http_apikey_main_conf_t *mcf = data;

    u_char      buf[NGX_HTTP_APIKEY_KEY_MAX];
    ak_str_t   *foreign;
    ngx_str_t   key;
    ngx_uint_t  i;

    if (name == NULL) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "apikey: anything in redis may have changed");

        ngx_http_apikey_zone_changed(mcf->zone, NULL, 0);
        return;
    }

    if (ngx_http_apikey_changes_key(mcf->store->prefix, *name, buf, &key)
        == NGX_OK)
    {
        ngx_http_apikey_zone_changed(mcf->zone, &key,
                                     ngx_murmur_hash2(key.data, key.len));
    }

    foreign = mcf->foreign.elts;

    for (i = 0; i < mcf->foreign.nelts; i++) {

        if (ak_str_starts(*name, foreign[i])
            && name->len < NGX_HTTP_APIKEY_KEY_MAX)
        {
            buf[0] = NGX_HTTP_APIKEY_FOREIGN;
            ngx_memcpy(buf + 1, name->data, name->len);

            key.data = buf;
            key.len = name->len + 1;

            ngx_http_apikey_zone_changed(mcf->zone, &key,
                                     ngx_murmur_hash2(key.data, key.len));
            break;
        }
    }
}


/* NGX_DECLINED: nothing of that name is looked up. */

static ngx_int_t
ngx_http_apikey_changes_key(ak_str_t prefix, ak_str_t name, u_char *buf,
    ngx_str_t *key)
{
    size_t                         cut;
    ak_str_t                       rest;
    ngx_uint_t                     i;
    const ngx_http_apikey_kind_t  *kind;

    if (!ak_str_starts(name, prefix)) {
        return NGX_DECLINED;
    }

    rest = ak_str(name.data + prefix.len, name.len - prefix.len);

    for (i = 0; i < ak_nitems(ngx_http_apikey_kinds); i++) {
        kind = &ngx_http_apikey_kinds[i];

        if (!ak_str_starts(rest, kind->name)) {
            continue;
        }

        cut = kind->cut ? kind->name.len : 0;

        if (rest.len - cut + 1 > NGX_HTTP_APIKEY_KEY_MAX) {
            return NGX_DECLINED;
        }

        buf[0] = kind->letter;
        ngx_memcpy(buf + 1, rest.data + cut, rest.len - cut);

        key->data = buf;
        key->len = rest.len - cut + 1;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static void
ngx_http_apikey_changes_covered(void *data, ngx_apikey_watch_e how,
    ngx_msec_t until)
{
    ngx_http_apikey_main_conf_t *mcf = data;

    ngx_http_apikey_zone_cover(mcf->zone, (ngx_uint_t) how,
                               how == NGX_APIKEY_WATCH_NONE ? 0 : until);
}
