
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_fstore.h"
#include "ngx_apikey_fetch.h"
#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_zone.h"


/*
 * The keys of lines that verify tokens, kept fresh.  A file is looked at now
 * and then.  What is fetched is shared by the workers: one of them fetches,
 * before it is too old or because a token names a key that nobody has, and the
 * others find it in the zone.
 */

#define NGX_HTTP_APIKEY_KEYS_TICK  500         /* milliseconds */
#define NGX_HTTP_APIKEY_KEYS_POLL  5


typedef struct {
    ak_keys_t                    *keys;
    ngx_http_apikey_main_conf_t  *mcf;
    ngx_event_t                   timer;       /* to look what is new */
    ngx_log_t                    *log;

    ak_fstamp_t                   stamp;       /* of a file */

    ngx_apikey_fetch_t           *fetch;
    ngx_str_t                     name;        /* of what is shared */
    ngx_http_apikey_shared_t     *shared;
    ngx_uint_t                    version;     /* of what keys has */
    ngx_queue_t                   waiters;     /* of ctx, */
    ngx_uint_t                    attempts;    /*   when the first came */

    unsigned                      fetching:1;
    unsigned                      failed:1;    /* and the log was told so */
} ngx_http_apikey_source_t;


static void ngx_http_apikey_keys_cleanup(void *data);
static void ngx_http_apikey_keys_begin(ngx_http_apikey_source_t *source,
    ngx_cycle_t *cycle);
static void ngx_http_apikey_keys_stamp(ngx_http_apikey_source_t *source);
static void ngx_http_apikey_keys_file(ngx_http_apikey_source_t *source);
static void ngx_http_apikey_keys_tick(ngx_event_t *ev);
static void ngx_http_apikey_keys_arm(ngx_http_apikey_source_t *source);
static ngx_http_apikey_shared_t *ngx_http_apikey_keys_shared(
    ngx_http_apikey_source_t *source);
static void ngx_http_apikey_keys_refresh(ngx_http_apikey_source_t *source);
static ngx_http_apikey_lease_e ngx_http_apikey_keys_fetch(
    ngx_http_apikey_source_t *source, ngx_msec_t refresh);
static void ngx_http_apikey_keys_fetched(void *data, ngx_str_t *body,
    const char *why);
static ngx_int_t ngx_http_apikey_keys_take(ngx_http_apikey_source_t *source,
    ak_str_t text);
static ngx_int_t ngx_http_apikey_keys_sync(ngx_http_apikey_source_t *source);
static void ngx_http_apikey_keys_answer(ngx_http_apikey_ctx_t *ctx,
    ak_rc_t rc);
static void ngx_http_apikey_keys_settle(ngx_http_apikey_source_t *source,
    ak_rc_t rc);


ak_rc_t
ngx_http_apikey_hold_keys(void *data, ak_keys_t *keys, ak_diag_t *d)
{
    ngx_conf_t *cf = data;

    ngx_str_t                     uri, ca;
    ngx_pool_cleanup_t           *cln;
    ngx_http_apikey_source_t     *source, **p;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    p = ngx_array_push(&mcf->sources);
    source = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_source_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (p == NULL || source == NULL || cln == NULL) {
        return ak_diag(d, "there is no memory");
    }

    *p = source;

    source->keys = keys;
    source->mcf = mcf;
    keys->host = source;

    ngx_queue_init(&source->waiters);

    if (keys->from == AK_KEYS_URI) {
        uri = ngx_http_apikey_ngx_str(keys->source);
        ca = ngx_http_apikey_ngx_str(keys->ca);

        if (ca.len != 0 && ngx_conf_full_name(cf->cycle, &ca, 1) != NGX_OK) {
            return ak_diag(d, "there is no memory");
        }

        source->fetch = ngx_apikey_fetch_create(cf, &uri, &ca, keys->timeout,
                                                AK_JWKS_TEXT_MAX);
        if (source->fetch == NULL) {
            return ak_diag(d, "the keys of \"%.*s\" cannot be fetched",
                           AK_FMT(keys->source));
        }

        /* what is fetched from whom others trust is another thing */

        source->name.data = ngx_pnalloc(cf->pool, uri.len + ca.len + 1);
        if (source->name.data == NULL) {
            return ak_diag(d, "there is no memory");
        }

        source->name.len = ngx_sprintf(source->name.data, "%V %V", &uri, &ca)
                           - source->name.data;

    } else {

        /* again: it may have changed before it was looked at */

        ngx_http_apikey_keys_stamp(source);

        if (ak_keys_load(keys, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    cln->handler = ngx_http_apikey_keys_cleanup;
    cln->data = source;

    return AK_OK;
}


static void
ngx_http_apikey_keys_cleanup(void *data)
{
    ngx_http_apikey_source_t *source = data;

    ak_keys_free(source->keys);
}


ngx_int_t
ngx_http_apikey_keys_complete(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf)
{
    ngx_uint_t                  i;
    ngx_resolver_t             *resolver;
    ngx_http_apikey_source_t  **source;
    ngx_http_core_loc_conf_t   *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    resolver = clcf->resolver;

    if (resolver != NULL && resolver->connections.nelts == 0) {
        resolver = NULL;
    }

    source = mcf->sources.elts;

    for (i = 0; i < mcf->sources.nelts; i++) {

        if (source[i]->fetch != NULL
            && ngx_apikey_fetch_resolve(cf, source[i]->fetch, resolver,
                              clcf->resolver_timeout == NGX_CONF_UNSET_MSEC
                              ? 30000 : clcf->resolver_timeout)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_apikey_keys_start(ngx_http_apikey_main_conf_t *mcf,
    ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_apikey_source_t  **sources, *source;

    sources = mcf->sources.elts;

    for (i = 0; i < mcf->sources.nelts; i++) {
        source = sources[i];

        ngx_http_apikey_keys_begin(source, cycle);

        /* what is secret is for the master to read */

        if (source->keys->from == AK_KEYS_ENV
            || source->keys->from == AK_KEYS_SECRET)
        {
            continue;
        }

        if (source->fetch == NULL
            && access((char *) source->keys->source.data, R_OK) == -1)
        {
            ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                          "apikey: the keys of \"%s\" cannot be read by the "
                          "worker processes; their changes will not be seen",
                          source->keys->source.data);
        }

        ngx_add_timer(&source->timer, 1);
    }
}


static void
ngx_http_apikey_keys_begin(ngx_http_apikey_source_t *source,
    ngx_cycle_t *cycle)
{
    source->log = cycle->log;

    source->timer.handler = ngx_http_apikey_keys_tick;
    source->timer.data = source;
    source->timer.log = cycle->log;
    source->timer.cancelable = 1;
}


void
ngx_http_apikey_keys_stop(ngx_http_apikey_main_conf_t *mcf)
{
    ngx_uint_t                  i;
    ngx_http_apikey_source_t  **source;

    source = mcf->sources.elts;

    for (i = 0; i < mcf->sources.nelts; i++) {

        if (source[i]->fetch != NULL) {
            ngx_apikey_fetch_stop(source[i]->fetch);

            if (source[i]->fetching) {
                source[i]->fetching = 0;
                ngx_http_apikey_zone_shared_give_up(source[i]->mcf->zone,
                                                    source[i]->shared);
            }
        }
    }
}


static void
ngx_http_apikey_keys_stamp(ngx_http_apikey_source_t *source)
{
    if (ak_fstore_stamp((const char *) source->keys->source.data,
                        &source->stamp)
        != AK_OK)
    {
        ngx_memzero(&source->stamp, sizeof(ak_fstamp_t));
    }
}


/* What cannot be read is told once, and what was read before stays. */

static void
ngx_http_apikey_keys_file(ngx_http_apikey_source_t *source)
{
    ak_diag_t    diag;
    ak_fstamp_t  before;

    before = source->stamp;

    ngx_http_apikey_keys_stamp(source);

    if (ak_fstamp_same(&before, &source->stamp)) {
        return;
    }

    if (ak_keys_load(source->keys, &diag) != AK_OK) {
        ngx_log_error(NGX_LOG_ERR, source->log, 0,
                      "apikey: keys of tokens: %s; those of before stay",
                      diag.text);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, source->log, 0,
                  "apikey: the keys of \"%s\" were read anew",
                  source->keys->source.data);
}


static void
ngx_http_apikey_keys_tick(ngx_event_t *ev)
{
    ngx_http_apikey_source_t *source = ev->data;

    if (source->fetch == NULL) {
        ngx_http_apikey_keys_file(source);

    } else {
        ngx_http_apikey_keys_refresh(source);
    }

    ngx_http_apikey_keys_arm(source);
}


/* Who waits is looked after often, and keeps the worker from exiting. */

static void
ngx_http_apikey_keys_arm(ngx_http_apikey_source_t *source)
{
    ngx_uint_t  waiting;

    waiting = !ngx_queue_empty(&source->waiters);

    if (source->timer.timer_set) {
        ngx_del_timer(&source->timer);
    }

    source->timer.cancelable = !waiting;

    if (waiting || !ngx_exiting) {
        ngx_add_timer(&source->timer,
                      waiting ? NGX_HTTP_APIKEY_KEYS_POLL
                              : NGX_HTTP_APIKEY_KEYS_TICK);
    }
}


static ngx_http_apikey_shared_t *
ngx_http_apikey_keys_shared(ngx_http_apikey_source_t *source)
{
    if (source->shared == NULL) {
        source->shared = ngx_http_apikey_zone_shared(source->mcf->zone,
                                                     &source->name);
    }

    return source->shared;
}


/* What another worker has fetched; or it is due, and nobody is at it. */

static void
ngx_http_apikey_keys_refresh(ngx_http_apikey_source_t *source)
{
    if (ngx_http_apikey_keys_sync(source) == NGX_OK) {
        ngx_http_apikey_keys_settle(source, AK_OK);
    }

    if (source->fetching) {
        return;
    }

    /* who waits waits for one attempt, whoever makes the next */

    if (!ngx_queue_empty(&source->waiters)
        && source->shared->attempts != source->attempts)
    {
        ngx_http_apikey_keys_settle(source, source->shared->failed
                                            ? AK_UNAVAILABLE : AK_NOT_FOUND);
    }

    if (ngx_exiting && ngx_queue_empty(&source->waiters)) {
        return;                /* it is for those who stay */
    }

    switch (ngx_http_apikey_keys_fetch(source, source->keys->refresh)) {

    case NGX_HTTP_APIKEY_LEASE_TAKEN:
    case NGX_HTTP_APIKEY_LEASE_BUSY:
        break;

    case NGX_HTTP_APIKEY_LEASE_FAILED:

        /* another worker was at it, in vain */

        ngx_http_apikey_keys_settle(source, AK_UNAVAILABLE);
        break;

    default: /* NGX_HTTP_APIKEY_LEASE_EARLY */
        ngx_http_apikey_keys_settle(source, AK_NOT_FOUND);
        break;
    }
}


static ngx_http_apikey_lease_e
ngx_http_apikey_keys_fetch(ngx_http_apikey_source_t *source,
    ngx_msec_t refresh)
{
    ngx_http_apikey_lease_e    lease;
    ngx_http_apikey_shared_t  *shared;

    shared = ngx_http_apikey_keys_shared(source);

    if (shared == NULL) {

        if (!source->failed) {
            source->failed = 1;
            ngx_log_error(NGX_LOG_ERR, source->log, 0,
                          "apikey: the zone has no room for what \"%s\" says",
                          source->keys->source.data);
        }

        return NGX_HTTP_APIKEY_LEASE_FAILED;
    }

    lease = ngx_http_apikey_zone_shared_lease(source->mcf->zone, shared,
                                              refresh,
                                              source->keys->interval,
                                              source->keys->timeout
                                              + NGX_HTTP_APIKEY_KEYS_TICK);

    if (lease != NGX_HTTP_APIKEY_LEASE_TAKEN) {
        return lease;
    }

    if (ngx_apikey_fetch_start(source->fetch, ngx_http_apikey_keys_fetched,
                               source, source->log)
        != NGX_OK)
    {
        ngx_http_apikey_zone_shared_fail(source->mcf->zone, shared);
        return NGX_HTTP_APIKEY_LEASE_FAILED;
    }

    source->fetching = 1;

    return NGX_HTTP_APIKEY_LEASE_TAKEN;
}


static void
ngx_http_apikey_keys_fetched(void *data, ngx_str_t *body, const char *why)
{
    ngx_http_apikey_source_t *source = data;

    ngx_uint_t                version;
    ngx_http_apikey_zone_t   *zone;

    source->fetching = 0;
    zone = source->mcf->zone;

    if (body == NULL
        || ngx_http_apikey_keys_take(source, ak_str(body->data, body->len))
           != NGX_OK)
    {
        ngx_http_apikey_zone_shared_fail(zone, source->shared);

        if (body == NULL && !source->failed) {
            source->failed = 1;
            ngx_log_error(NGX_LOG_ERR, source->log, 0,
                          "apikey: \"%s\" cannot be fetched: %s; %s",
                          source->keys->source.data, why,
                          source->keys->set ? "the keys of before stay"
                                            : "there are no keys yet");
        }

        ngx_http_apikey_keys_settle(source, AK_UNAVAILABLE);
        return;
    }

    version = ngx_http_apikey_zone_shared_put(zone, source->shared, body);

    if (version == 0) {
        ngx_log_error(NGX_LOG_ERR, source->log, 0,
                      "apikey: the zone has no room for what \"%s\" said; "
                      "other workers cannot see it",
                      source->keys->source.data);

    } else {
        source->version = version;
    }

    if (source->failed) {
        source->failed = 0;
        ngx_log_error(NGX_LOG_NOTICE, source->log, 0,
                      "apikey: \"%s\" was fetched again",
                      source->keys->source.data);
    }

    ngx_http_apikey_keys_settle(source, AK_OK);
}


static ngx_int_t
ngx_http_apikey_keys_take(ngx_http_apikey_source_t *source, ak_str_t text)
{
    unsigned   skipped;
    ak_diag_t  diag;

    if (ak_keys_take(source->keys, text, &skipped, &diag) != AK_OK) {

        if (!source->failed) {
            source->failed = 1;
            ngx_log_error(NGX_LOG_ERR, source->log, 0,
                          "apikey: what \"%s\" said is no set of keys: %s",
                          source->keys->source.data, diag.text);
        }

        return NGX_ERROR;
    }

    if (skipped) {
        ngx_log_error(NGX_LOG_INFO, source->log, 0,
                      "apikey: %ui key(s) of \"%s\" are of no use: %s",
                      (ngx_uint_t) skipped, source->keys->source.data,
                      diag.text);
    }

    return NGX_OK;
}


/* NGX_OK: there are newer ones, of another worker. */

static ngx_int_t
ngx_http_apikey_keys_sync(ngx_http_apikey_source_t *source)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    ngx_uint_t  version;

    if (ngx_http_apikey_keys_shared(source) == NULL) {
        return NGX_DECLINED;
    }

    version = source->version;

    if (ngx_http_apikey_zone_shared_get(source->mcf->zone, source->shared,
                                        &version, &text)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    source->version = version;

    rc = ngx_http_apikey_keys_take(source, ak_str(text.data, text.len));

    ngx_free(text.data);

    return rc;
}


/* A token names a key that is not there. */

ngx_int_t
ngx_http_apikey_keys_newer(ngx_http_apikey_ctx_t *ctx)
{
    ak_fstamp_t                before;
    ngx_http_apikey_source_t  *source;

    source = ctx->txn.need.keys->host;

    /* a single process that was reloaded is not told of its new cycle */

    if (source->log == NULL) {
        ngx_http_apikey_keys_begin(source, (ngx_cycle_t *) ngx_cycle);
    }

    if (source->fetch == NULL) {
        before = source->stamp;

        if (source->keys->from == AK_KEYS_PEM
            || source->keys->from == AK_KEYS_JWKS)
        {
            ngx_http_apikey_keys_file(source);
        }

        ngx_http_apikey_keys_answer(ctx,
                                    ak_fstamp_same(&before, &source->stamp)
                                    ? AK_NOT_FOUND : AK_OK);
        return NGX_OK;
    }

    if (ngx_http_apikey_keys_sync(source) == NGX_OK) {

        /* those who wait already go on with the next tick */

        ngx_http_apikey_keys_answer(ctx, AK_OK);
        return NGX_OK;
    }

    if (!source->fetching) {

        switch (ngx_http_apikey_keys_fetch(source, 0)) {

        case NGX_HTTP_APIKEY_LEASE_EARLY:
            ngx_http_apikey_keys_answer(ctx, AK_NOT_FOUND);
            return NGX_OK;

        case NGX_HTTP_APIKEY_LEASE_FAILED:
            ngx_http_apikey_keys_answer(ctx, AK_UNAVAILABLE);
            return NGX_OK;

        default: /* this worker fetches now, or another one */
            break;
        }
    }

    if (ngx_queue_empty(&source->waiters)) {
        source->attempts = source->shared->attempts;
    }

    ngx_queue_insert_tail(&source->waiters, &ctx->queue);
    ctx->waiting = 1;
    ctx->queued = 1;

    ngx_http_apikey_keys_arm(source);

    return NGX_AGAIN;
}


static void
ngx_http_apikey_keys_answer(ngx_http_apikey_ctx_t *ctx, ak_rc_t rc)
{
    ak_answer_t  answer;

    ngx_memzero(&answer, sizeof(ak_answer_t));
    answer.rc = rc;

    ak_txn_answer(&ctx->txn, &answer);
}


/* All who wait are answered before any of them goes on. */

static void
ngx_http_apikey_keys_settle(ngx_http_apikey_source_t *source, ak_rc_t rc)
{
    ngx_queue_t             waiters, *q;
    ngx_http_apikey_ctx_t  *ctx;

    if (ngx_queue_empty(&source->waiters)) {
        return;
    }

    ngx_queue_init(&waiters);
    ngx_queue_add(&waiters, &source->waiters);
    ngx_queue_init(&source->waiters);

    for (q = ngx_queue_head(&waiters);
         q != ngx_queue_sentinel(&waiters);
         q = ngx_queue_next(q))
    {
        ctx = ngx_queue_data(q, ngx_http_apikey_ctx_t, queue);
        ngx_http_apikey_keys_answer(ctx, rc);
    }

    ngx_http_apikey_resume_all(&waiters);
}
