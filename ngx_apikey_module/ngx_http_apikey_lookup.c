
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_redis_error.h"
#include "ak_tokens.h"
#include "ngx_http_apikey_counts.h"
#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_pool.h"
#include "ngx_http_apikey_zone.h"


/*
 * What a transaction asks for, from the zone, else from Redis.  All who ask
 * for the same thing share one flight; a worker that finds another one in
 * flight looks at the zone until the answer is there.
 */

#define NGX_HTTP_APIKEY_FIELDS_MAX  64
#define NGX_HTTP_APIKEY_MARK_MAX    64         /* bytes that are kept of one */
#define NGX_HTTP_APIKEY_END_MAX     1000000000 /* milliseconds, 11 days */
#define NGX_HTTP_APIKEY_POLL        2          /* milliseconds */


struct ngx_http_apikey_flight_s {
    ngx_str_node_t                sn;
    ngx_queue_t                   waiters;     /* of ctx */
    ngx_event_t                   timer;
    ngx_msec_t                    deadline;
    uint64_t                      guard;       /* of the zone */
    ngx_http_apikey_main_conf_t  *mcf;
    const ak_limit_t             *limit;       /* of who asked first */
    unsigned                      asked:1;
    unsigned                      outdated:1;  /* it is in no tree any more */
    u_char                        key[1];
};


/* Somebody who wants to know until when a key is in the store. */

typedef struct {
    ngx_http_apikey_main_conf_t  *mcf;
    uint32_t                      hash;
    uint64_t                      guard;
    ngx_msec_t                    asked;
    size_t                        len;
    u_char                        key[1];
} ngx_http_apikey_end_t;


/* Whether it says that something is revoked, and is a text. */

static ngx_inline ngx_uint_t
ngx_http_apikey_is_mark(ngx_str_t *key)
{
    return key->data[0] == NGX_HTTP_APIKEY_MARK
           || key->data[0] == NGX_HTTP_APIKEY_FOREIGN;
}


static ngx_int_t ngx_http_apikey_lookup_redis(
    ngx_http_apikey_main_conf_t *mcf, ngx_http_apikey_ctx_t *ctx,
    ngx_str_t *key);
static void ngx_http_apikey_lookup_ahead(ngx_http_apikey_main_conf_t *mcf,
    ngx_str_t *key, uint32_t hash, uint64_t guard);
static void ngx_http_apikey_lookup_rate(ngx_http_apikey_main_conf_t *mcf,
    ngx_http_apikey_ctx_t *ctx, ngx_str_t *key);
static void ngx_http_apikey_lookup_kept(ngx_http_apikey_main_conf_t *mcf,
    ngx_http_apikey_ctx_t *ctx, ngx_str_t *key);
static void ngx_http_apikey_lookup_pause(ngx_http_apikey_ctx_t *ctx);
static void ngx_http_apikey_pause_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_apikey_lookup_key(const ak_need_t *need,
    u_char *buf, ngx_str_t *key);
static void ngx_http_apikey_answer(ngx_http_apikey_ctx_t *ctx, ak_rc_t rc,
    ak_source_e source, u_char *value, size_t len);
static ngx_http_apikey_flight_t *ngx_http_apikey_flight_create(
    ngx_http_apikey_main_conf_t *mcf, ngx_str_t *key, uint32_t hash,
    uint64_t guard);
static ngx_http_apikey_flight_t *ngx_http_apikey_flight_find(
    ngx_http_apikey_main_conf_t *mcf, ngx_str_t *key, uint32_t hash,
    uint64_t guard, ngx_http_apikey_zone_e *found);
static ngx_int_t ngx_http_apikey_flight_query(
    ngx_http_apikey_flight_t *flight);
static ak_rc_t ngx_http_apikey_lookup_name(const ak_store_conf_t *store,
    ngx_str_t *key, u_char *buf, ak_str_t *name);
static void ngx_http_apikey_lookup_end(ngx_http_apikey_main_conf_t *mcf,
    ngx_str_t *key, uint32_t hash, uint64_t guard);
static void ngx_http_apikey_lookup_ended(void *data, const ak_reply_t *reply);
static void ngx_http_apikey_flight_poll(ngx_event_t *ev);
static ngx_uint_t ngx_http_apikey_flight_refused(
    ngx_http_apikey_flight_t *flight);
static void ngx_http_apikey_flight_reply(void *data, const ak_reply_t *reply);
static ak_rc_t ngx_http_apikey_flight_pack(ngx_http_apikey_flight_t *flight,
    const ak_reply_t *reply, size_t *len);
static ak_rc_t ngx_http_apikey_pack_record(ngx_http_apikey_flight_t *flight,
    const ak_field_t *fields, size_t n, size_t *len);
static ak_rc_t ngx_http_apikey_pack_tokens(ngx_http_apikey_flight_t *flight,
    const ak_field_t *fields, size_t n, size_t *len);
static void ngx_http_apikey_flight_done(ngx_http_apikey_flight_t *flight,
    ak_rc_t rc, ak_source_e source, size_t len);


ngx_int_t
ngx_http_apikey_lookup_init(ngx_cycle_t *cycle,
    ngx_http_apikey_main_conf_t *mcf)
{
    ngx_rbtree_init(&mcf->flights, &mcf->sentinel,
                    ngx_str_rbtree_insert_value);

    ngx_http_apikey_counts_open(mcf);

    mcf->value = ngx_palloc(cycle->pool, AK_VALUE_MAX);

    return (mcf->value == NULL) ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_apikey_lookup(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    u_char                        buf[NGX_HTTP_APIKEY_KEY_MAX];
    ak_rc_t                       rc;
    ak_str_t                      value;
    ngx_str_t                     key;
    ak_need_t                    *need;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ctx->mcf;
    need = &ctx->txn.need;

    /* a single process that was reloaded is not told of its new cycle */

    if (mcf->value == NULL
        && ngx_http_apikey_lookup_init((ngx_cycle_t *) ngx_cycle, mcf)
           != NGX_OK)
    {
        ngx_http_apikey_answer(ctx, AK_UNAVAILABLE, AK_SOURCE_NONE, NULL, 0);
        return NGX_OK;
    }

    if (need->type == AK_NEED_PAUSE) {
        ngx_http_apikey_lookup_pause(ctx);
        return NGX_AGAIN;
    }

    if (need->type == AK_NEED_KEYS) {
        return ngx_http_apikey_keys_newer(ctx);
    }

    if (need->type == AK_NEED_SLOTS) {
        ngx_http_apikey_pool_lookup(ctx);
        return NGX_OK;
    }

    if (ngx_http_apikey_lookup_key(need, buf, &key) != NGX_OK) {
        ngx_http_apikey_answer(ctx, need->type == AK_NEED_RECORD
                               || need->type == AK_NEED_TOKENS
                               ? AK_NOT_FOUND : AK_UNAVAILABLE,
                               AK_SOURCE_NONE, NULL, 0);
        return NGX_OK;
    }

    switch (need->type) {

    case AK_NEED_RATE:
        ngx_http_apikey_lookup_rate(mcf, ctx, &key);
        return NGX_OK;

    case AK_NEED_KEPT:
    case AK_NEED_KEEP:
        ngx_http_apikey_lookup_kept(mcf, ctx, &key);
        return NGX_OK;

    default:
        break;
    }

    if (mcf->store == NULL) {

        /*
         * Tokens of issuers need none: then nothing is said of them here; nor
         * does a key of the configuration, and then there are no others.
         */

        ngx_http_apikey_answer(ctx, need->type == AK_NEED_MARK
                               || need->type == AK_NEED_TOKENS
                               ? AK_NOT_FOUND : AK_UNAVAILABLE,
                               AK_SOURCE_NONE, NULL, 0);
        return NGX_OK;
    }

    if (mcf->file != NULL) {
        value = ak_str(NULL, 0);
        rc = ngx_http_apikey_file_lookup(mcf->file, need, &value);

        ngx_http_apikey_answer(ctx, rc, AK_SOURCE_HIT, (u_char *) value.data,
                               value.len);
        return NGX_OK;
    }

    return ngx_http_apikey_lookup_redis(mcf, ctx, &key);
}


static ngx_int_t
ngx_http_apikey_lookup_redis(ngx_http_apikey_main_conf_t *mcf,
    ngx_http_apikey_ctx_t *ctx, ngx_str_t *key)
{
    uint32_t                   hash;
    ngx_http_apikey_said_t     said;
    ngx_http_apikey_zone_e     found;
    ngx_http_apikey_flight_t  *flight;

    hash = ngx_murmur_hash2(key->data, key->len);

    said.value = mcf->value;

    found = ngx_http_apikey_zone_lookup(mcf->zone, key, hash,
                                        ngx_http_apikey_is_mark(key),
                                        mcf->store->timeout, &said);

    if (found == NGX_HTTP_APIKEY_ZONE_FRESH) {
        ngx_http_apikey_answer(ctx, said.rc, AK_SOURCE_HIT, mcf->value,
                               said.len);

        if (said.ahead) {
            ngx_http_apikey_lookup_ahead(mcf, key, hash, said.guard);
        }

        return NGX_OK;
    }

    flight = ngx_http_apikey_flight_find(mcf, key, hash, said.guard, &found);

    if (flight == NULL) {

        if (found == NGX_HTTP_APIKEY_ZONE_MISS
            && ngx_http_apikey_limit_lookup(ctx, key, hash) != NGX_OK)
        {
            ngx_http_apikey_zone_release(mcf->zone, key, hash);
            ngx_http_apikey_answer(ctx, AK_DENIED, AK_SOURCE_NONE, NULL, 0);
            return NGX_OK;
        }

        flight = ngx_http_apikey_flight_create(mcf, key, hash, said.guard);

        if (flight == NULL) {
            ngx_http_apikey_answer(ctx, AK_UNAVAILABLE, AK_SOURCE_NONE,
                                   NULL, 0);
            return NGX_OK;
        }

        flight->limit = ngx_http_apikey_limit_of(ctx);

        if (found == NGX_HTTP_APIKEY_ZONE_BUSY) {
            ngx_add_timer(&flight->timer, NGX_HTTP_APIKEY_POLL);

        } else if (ngx_http_apikey_flight_query(flight) != NGX_OK) {

            /* Redis is known to be down: nobody waits for it */

            ngx_queue_insert_tail(&flight->waiters, &ctx->queue);
            ngx_http_apikey_flight_done(flight, AK_UNAVAILABLE,
                                        AK_SOURCE_NONE, 0);
            return NGX_OK;
        }
    }

    ngx_queue_insert_tail(&flight->waiters, &ctx->queue);
    ctx->waiting = 1;
    ctx->queued = 1;

    return NGX_AGAIN;
}


/* A flight that nobody waits for: what is in use is there when it ages. */

static void
ngx_http_apikey_lookup_ahead(ngx_http_apikey_main_conf_t *mcf,
    ngx_str_t *key, uint32_t hash, uint64_t guard)
{
    ngx_http_apikey_flight_t  *flight;

    if (ngx_str_rbtree_lookup(&mcf->flights, key, hash) != NULL) {
        return;
    }

    flight = ngx_http_apikey_flight_create(mcf, key, hash, guard);

    if (flight == NULL) {
        ngx_http_apikey_zone_release(mcf->zone, key, hash);
        return;
    }

    if (ngx_http_apikey_flight_query(flight) != NGX_OK) {
        ngx_http_apikey_flight_done(flight, AK_UNAVAILABLE, AK_SOURCE_NONE,
                                    0);
    }
}


static void
ngx_http_apikey_lookup_rate(ngx_http_apikey_main_conf_t *mcf,
    ngx_http_apikey_ctx_t *ctx, ngx_str_t *key)
{
    uint32_t     hash;
    ak_answer_t  answer;

    ngx_memzero(&answer, sizeof(ak_answer_t));

    hash = ngx_murmur_hash2(key->data, key->len);

    answer.rc = (ngx_http_apikey_zone_rate(mcf->zone, key, hash,
                                           ctx->txn.need.rate,
                                           &answer.allowance)
                 == NGX_OK)
                ? AK_OK : AK_UNAVAILABLE;

    ak_txn_answer(&ctx->txn, &answer);
}


/* Only the zone has it, and only as long as there is room. */

static void
ngx_http_apikey_lookup_kept(ngx_http_apikey_main_conf_t *mcf,
    ngx_http_apikey_ctx_t *ctx, ngx_str_t *key)
{
    size_t      len;
    uint32_t    hash;
    ngx_int_t   rc;
    ak_need_t  *need;

    need = &ctx->txn.need;
    hash = ngx_murmur_hash2(key->data, key->len);

    if (need->type == AK_NEED_KEEP) {
        ngx_http_apikey_zone_store(mcf->zone, key, hash, AK_OK, need->value,
                                   ngx_http_apikey_zone_guard(mcf->zone,
                                                              hash));
        ngx_http_apikey_answer(ctx, AK_NOT_FOUND, AK_SOURCE_NONE, NULL, 0);
        return;
    }

    rc = ngx_http_apikey_zone_kept(mcf->zone, key, hash, mcf->value, &len);

    if (rc == NGX_OK) {
        ngx_http_apikey_answer(ctx, AK_OK, AK_SOURCE_HIT, mcf->value, len);

    } else if (ngx_http_apikey_limit_verify(ctx) != NGX_OK) {
        ngx_http_apikey_answer(ctx, AK_DENIED, AK_SOURCE_NONE, NULL, 0);

    } else {
        ngx_http_apikey_answer(ctx, AK_NOT_FOUND, AK_SOURCE_NONE, NULL, 0);
    }
}


static void
ngx_http_apikey_lookup_pause(ngx_http_apikey_ctx_t *ctx)
{
    ctx->pause.handler = ngx_http_apikey_pause_handler;
    ctx->pause.data = ctx;
    ctx->pause.log = ctx->request->connection->log;

    ngx_add_timer(&ctx->pause, 1);

    ctx->waiting = 1;
}


static void
ngx_http_apikey_pause_handler(ngx_event_t *ev)
{
    ngx_http_apikey_ctx_t *ctx = ev->data;

    ctx->waiting = 0;

    ngx_http_apikey_answer(ctx, AK_NOT_FOUND, AK_SOURCE_NONE, NULL, 0);
    ngx_http_apikey_resume(ctx);
}


void
ngx_http_apikey_lookup_cancel(ngx_http_apikey_ctx_t *ctx)
{
    if (!ctx->waiting) {
        return;
    }

    ctx->waiting = 0;

    if (ctx->queued) {
        ctx->queued = 0;
        ngx_queue_remove(&ctx->queue);
    }

    if (ctx->pause.timer_set) {
        ngx_del_timer(&ctx->pause);
    }
}


static ngx_int_t
ngx_http_apikey_lookup_key(const ak_need_t *need, u_char *buf, ngx_str_t *key)
{
    u_char  *p;

    static const u_char  letters[] = {
        [AK_NEED_RECORD] = NGX_HTTP_APIKEY_RECORD,
        [AK_NEED_TOKENS] = NGX_HTTP_APIKEY_TOKENS,
        [AK_NEED_RATE] = NGX_HTTP_APIKEY_BUCKET,
        [AK_NEED_KEPT] = NGX_HTTP_APIKEY_KEPT,
        [AK_NEED_KEEP] = NGX_HTTP_APIKEY_KEPT,
        [AK_NEED_MARK] = NGX_HTTP_APIKEY_MARK,
        [AK_NEED_FOREIGN] = NGX_HTTP_APIKEY_FOREIGN
    };

    if (need->type >= ak_nitems(letters) || letters[need->type] == 0
        || need->name.len + need->provider.len + 2 > NGX_HTTP_APIKEY_KEY_MAX)
    {
        return NGX_ERROR;
    }

    p = buf;

    *p++ = letters[need->type];
    p = ngx_cpymem(p, need->name.data, need->name.len);

    if (need->type == AK_NEED_TOKENS) {
        *p++ = ':';
        p = ngx_cpymem(p, need->provider.data, need->provider.len);
    }

    key->data = buf;
    key->len = p - buf;

    return NGX_OK;
}


/* The value is copied: what is answered lives as long as the request. */

static void
ngx_http_apikey_answer(ngx_http_apikey_ctx_t *ctx, ak_rc_t rc,
    ak_source_e source, u_char *value, size_t len)
{
    u_char       *p;
    ak_answer_t   answer;

    ngx_memzero(&answer, sizeof(ak_answer_t));

    ngx_http_apikey_count_lookup(ctx, source);

    answer.rc = rc;
    answer.source = source;

    if (rc == AK_OK) {
        p = ctx->txn.mem.alloc(ctx->txn.mem.data, len);

        if (p == NULL) {
            answer.rc = AK_UNAVAILABLE;

        } else {
            ngx_memcpy(p, value, len);
            answer.value = ak_str(p, len);
        }
    }

    ak_txn_answer(&ctx->txn, &answer);
}


static ngx_http_apikey_flight_t *
ngx_http_apikey_flight_create(ngx_http_apikey_main_conf_t *mcf,
    ngx_str_t *key, uint32_t hash, uint64_t guard)
{
    ngx_http_apikey_flight_t  *flight;

    flight = ngx_calloc(sizeof(ngx_http_apikey_flight_t) + key->len,
                        ngx_cycle->log);
    if (flight == NULL) {
        return NULL;
    }

    ngx_memcpy(flight->key, key->data, key->len);

    flight->sn.node.key = hash;
    flight->sn.str.len = key->len;
    flight->sn.str.data = flight->key;

    flight->mcf = mcf;
    flight->guard = guard;
    flight->deadline = ngx_current_msec + mcf->store->timeout;
    flight->timer.handler = ngx_http_apikey_flight_poll;
    flight->timer.data = flight;
    flight->timer.log = ngx_cycle->log;

    ngx_queue_init(&flight->waiters);
    ngx_rbtree_insert(&mcf->flights, &flight->sn.node);

    return flight;
}


/*
 * One to join.  What was asked before the key changed may bring what was true
 * before it: that is for those who wait for it already, and for nobody else.
 * It may be what makes the zone say that somebody is asking, and will not tell
 * the zone what it brings: so another one has to ask.
 */

static ngx_http_apikey_flight_t *
ngx_http_apikey_flight_find(ngx_http_apikey_main_conf_t *mcf, ngx_str_t *key,
    uint32_t hash, uint64_t guard, ngx_http_apikey_zone_e *found)
{
    ngx_http_apikey_flight_t  *flight;

    if (mcf->flights.root == &mcf->sentinel) {
        return NULL;
    }

    flight = (ngx_http_apikey_flight_t *)
                 ngx_str_rbtree_lookup(&mcf->flights, key, hash);

    if (flight == NULL || !flight->asked || flight->guard == guard) {
        return flight;
    }

    ngx_rbtree_delete(&mcf->flights, &flight->sn.node);
    flight->outdated = 1;

    *found = NGX_HTTP_APIKEY_ZONE_MISS;

    return NULL;
}


static ngx_int_t
ngx_http_apikey_flight_query(ngx_http_apikey_flight_t *flight)
{
    u_char          buf[AK_STORE_KEY_MAX];
    ak_str_t        argv[2];
    ngx_msec_int_t  left;

    /* who waited for another worker has waited */

    left = (ngx_msec_int_t) (flight->deadline - ngx_current_msec);

    if (left <= 0
        || ngx_http_apikey_lookup_name(flight->mcf->store, &flight->sn.str,
                                       buf, &argv[1])
           != AK_OK)
    {
        return NGX_ERROR;
    }

    argv[0] = ngx_http_apikey_is_mark(&flight->sn.str)
              ? ak_literal("GET") : ak_literal("HGETALL");

    flight->asked = 1;

    return ngx_apikey_redis_query(flight->mcf->redis, argv, 2,
                                  (ngx_msec_t) left, 0,
                                  ngx_http_apikey_flight_reply, flight);
}


/* What a key of the zone is called in the store. */

static ak_rc_t
ngx_http_apikey_lookup_name(const ak_store_conf_t *store, ngx_str_t *key,
    u_char *buf, ak_str_t *name)
{
    u_char    *colon;
    ak_str_t   rest, provider;

    rest = ak_str(key->data + 1, key->len - 1);

    switch (key->data[0]) {

    case NGX_HTTP_APIKEY_RECORD:
        return ak_store_record_key(store, rest, buf, name);

    case NGX_HTTP_APIKEY_MARK:
        return ak_store_mark_key(store, rest, buf, name);

    case NGX_HTTP_APIKEY_FOREIGN:
        *name = rest;
        return AK_OK;

    default: /* NGX_HTTP_APIKEY_TOKENS */
        break;
    }

    /* a provider's name has no colon, an owner's may */

    colon = key->data + key->len - 1;

    while (*colon != ':') {
        colon--;
    }

    rest.len = colon - rest.data;
    provider = ak_str(colon + 1, key->data + key->len - (colon + 1));

    return ak_store_tokens_key(store, rest, provider, buf, name);
}


/*
 * How long the store will keep what it has just said: it tells nobody when the
 * time has come, only when it has noticed.  Nobody waits for the answer.
 */

static void
ngx_http_apikey_lookup_end(ngx_http_apikey_main_conf_t *mcf, ngx_str_t *key,
    uint32_t hash, uint64_t guard)
{
    u_char                 buf[AK_STORE_KEY_MAX];
    ak_str_t               argv[2];
    ngx_http_apikey_end_t  *end;

    if (mcf->endless
        || ngx_http_apikey_lookup_name(mcf->store, key, buf, &argv[1])
           != AK_OK)
    {
        return;
    }

    end = ngx_alloc(sizeof(ngx_http_apikey_end_t) + key->len, ngx_cycle->log);
    if (end == NULL) {
        return;
    }

    end->mcf = mcf;
    end->hash = hash;
    end->guard = guard;
    end->asked = ngx_current_msec;
    end->len = key->len;
    ngx_memcpy(end->key, key->data, key->len);

    argv[0] = ak_literal("PTTL");

    if (ngx_apikey_redis_query(mcf->redis, argv, 2, mcf->store->timeout,
                               NGX_APIKEY_REDIS_QUIET,
                               ngx_http_apikey_lookup_ended, end)
        != NGX_OK)
    {
        ngx_free(end);
    }
}


/*
 * A user who may not ask, or whose server does not know the question, does
 * without: then it is known when Redis says so.
 */

static void
ngx_http_apikey_lookup_ended(void *data, const ak_reply_t *reply)
{
    ngx_http_apikey_end_t *end = data;

    int64_t           left;
    ngx_str_t         key;
    ak_redis_error_e  error;

    left = -1;

    if (reply != NULL && reply->type == AK_REPLY_INTEGER) {

        /* of what is there no more, -2: a replica does not tell by itself */

        left = (reply->integer == -2) ? 0 : reply->integer;
    }

    if (left >= 0 && left < NGX_HTTP_APIKEY_END_MAX) {
        key.len = end->len;
        key.data = end->key;

        ngx_http_apikey_zone_ends(end->mcf->zone, &key, end->hash, end->guard,
                                  end->asked + (ngx_msec_t) left);
    }

    error = ak_redis_error(reply);

    if (error == AK_REDIS_ERROR_NOPERM || error == AK_REDIS_ERROR_OTHER) {
        end->mcf->endless = 1;
    }

    ngx_free(end);
}


static void
ngx_http_apikey_flight_poll(ngx_event_t *ev)
{
    ngx_http_apikey_said_t     said;
    ngx_http_apikey_zone_e     found;
    ngx_http_apikey_flight_t  *flight;

    flight = ev->data;

    said.value = flight->mcf->value;

    found = ngx_http_apikey_zone_lookup(flight->mcf->zone, &flight->sn.str,
                                        flight->sn.node.key,
                                        ngx_http_apikey_is_mark(
                                                            &flight->sn.str),
                                        flight->mcf->store->timeout, &said);
    flight->guard = said.guard;

    switch (found) {

    case NGX_HTTP_APIKEY_ZONE_FRESH:

        /* it is not asked for ahead of time: it was said just now */

        if (said.ahead) {
            ngx_http_apikey_zone_release(flight->mcf->zone, &flight->sn.str,
                                         flight->sn.node.key);
        }

        ngx_http_apikey_flight_done(flight, said.rc, AK_SOURCE_HIT, said.len);
        return;

    case NGX_HTTP_APIKEY_ZONE_BUSY:

        if ((ngx_msec_int_t) (flight->deadline - ngx_current_msec) <= 0) {
            ngx_http_apikey_flight_done(flight, AK_UNAVAILABLE,
                                        AK_SOURCE_NONE, 0);
            return;
        }

        ngx_add_timer(&flight->timer, NGX_HTTP_APIKEY_POLL);
        return;

    default:
        break;
    }

    if (ngx_http_apikey_flight_refused(flight)) {
        ngx_http_apikey_zone_release(flight->mcf->zone, &flight->sn.str,
                                     flight->sn.node.key);
        ngx_http_apikey_flight_done(flight, AK_DENIED, AK_SOURCE_NONE, 0);
        return;
    }

    if (ngx_http_apikey_flight_query(flight) != NGX_OK) {
        ngx_http_apikey_flight_done(flight, AK_UNAVAILABLE, AK_SOURCE_NONE,
                                    0);
    }
}


/*
 * The other worker has not asked, perhaps because it must not: neither must
 * this one, unless it may for somebody who waits.
 */

static ngx_uint_t
ngx_http_apikey_flight_refused(ngx_http_apikey_flight_t *flight)
{
    ngx_queue_t            *q;
    ngx_http_apikey_ctx_t  *ctx;

    for (q = ngx_queue_head(&flight->waiters);
         q != ngx_queue_sentinel(&flight->waiters);
         q = ngx_queue_next(q))
    {
        ctx = ngx_queue_data(q, ngx_http_apikey_ctx_t, queue);

        if (ngx_http_apikey_limit_lookup(ctx, &flight->sn.str,
                                         flight->sn.node.key)
            == NGX_OK)
        {
            return 0;
        }
    }

    return !ngx_queue_empty(&flight->waiters);
}


static void
ngx_http_apikey_flight_reply(void *data, const ak_reply_t *reply)
{
    ngx_http_apikey_flight_t *flight = data;

    size_t   len;
    ak_rc_t  rc;

    len = 0;
    rc = (reply == NULL) ? AK_UNAVAILABLE
                         : ngx_http_apikey_flight_pack(flight, reply, &len);

    ngx_http_apikey_flight_done(flight, rc, AK_SOURCE_MISS, len);
}


static ak_rc_t
ngx_http_apikey_flight_pack(ngx_http_apikey_flight_t *flight,
    const ak_reply_t *reply, size_t *len)
{
    size_t      n;
    ak_rc_t     rc;
    ak_str_t    text;
    ngx_str_t   name;
    ngx_uint_t  mark;
    ak_field_t  fields[NGX_HTTP_APIKEY_FIELDS_MAX];

    n = 0;
    text = ak_str(NULL, 0);

    mark = ngx_http_apikey_is_mark(&flight->sn.str);

    name.data = flight->key + 1;
    name.len = flight->sn.str.len - 1;

    rc = mark ? ak_store_text(reply, &text)
              : ak_store_fields(reply, fields, NGX_HTTP_APIKEY_FIELDS_MAX,
                                &n);

    switch (rc) {

    case AK_OK:
        break;

    case AK_NOT_FOUND:
        return rc;

    case AK_UNAVAILABLE:

        /* the client of Redis tells of it, and once */

        return rc;

    default:
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "apikey: \"%V\" in redis is not what it should be",
                      &name);
        return rc;
    }

    if (mark) {
        *len = ngx_min(text.len, NGX_HTTP_APIKEY_MARK_MAX);
        ngx_memcpy(flight->mcf->value, text.data, *len);
        return AK_OK;
    }

    if (flight->key[0] == NGX_HTTP_APIKEY_RECORD) {
        return ngx_http_apikey_pack_record(flight, fields, n, len);
    }

    return ngx_http_apikey_pack_tokens(flight, fields, n, len);
}


static ak_rc_t
ngx_http_apikey_pack_record(ngx_http_apikey_flight_t *flight,
    const ak_field_t *fields, size_t n, size_t *len)
{
    ngx_str_t    id;
    ak_diag_t    diag;
    ak_record_t  rec;

    id.data = flight->key + 1;
    id.len = flight->sn.str.len - 1;

    if (ak_record_parse(fields, n, &rec, &diag) != AK_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "apikey: the record of key \"%V\" is damaged: %s",
                      &id, diag.text);
        return AK_ERROR;
    }

    if (ak_record_pack(&rec, flight->mcf->value, len) != AK_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "apikey: the record of key \"%V\" is too large", &id);
        return AK_ERROR;
    }

    return AK_OK;
}


static ak_rc_t
ngx_http_apikey_pack_tokens(ngx_http_apikey_flight_t *flight,
    const ak_field_t *fields, size_t n, size_t *len)
{
    unsigned   damaged;
    ngx_str_t  name;

    name.data = flight->key + 1;
    name.len = flight->sn.str.len - 1;

    if (ak_tokens_pack(fields, n, flight->mcf->value, len, &damaged)
        != AK_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "apikey: the upstream keys of \"%V\" are too many",
                      &name);
        return AK_ERROR;
    }

    if (damaged) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "apikey: %ui upstream key(s) of \"%V\" cannot be read",
                      (ngx_uint_t) damaged, &name);
    }

    return AK_OK;
}


/*
 * The flight has landed; mcf->value is what it brought.  All who waited are
 * answered before any of them goes on: a request that goes on may end others.
 */

static void
ngx_http_apikey_flight_done(ngx_http_apikey_flight_t *flight, ak_rc_t rc,
    ak_source_e source, size_t len)
{
    ak_rc_t                       said;
    uint32_t                      hash;
    ngx_str_t                    *key;
    ngx_queue_t                   waiters, *q;
    ngx_http_apikey_ctx_t        *ctx;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = flight->mcf;
    key = &flight->sn.str;
    hash = flight->sn.node.key;

    if (!flight->outdated) {
        ngx_rbtree_delete(&mcf->flights, &flight->sn.node);
    }

    if (flight->timer.timer_set) {
        ngx_del_timer(&flight->timer);
    }

    if (rc == AK_UNAVAILABLE) {

        if (!flight->outdated) {
            ngx_http_apikey_zone_release(mcf->zone, key, hash);
        }

        if (ngx_http_apikey_zone_stale(mcf->zone, key, hash, &said,
                                       mcf->value, &len)
            == NGX_OK
            && (said == AK_OK || key->data[0] != NGX_HTTP_APIKEY_RECORD))
        {
            /* that there is no such key may have changed; that nobody had
               revoked a token, or that an owner has no upstream keys of his
               own, is as good as a record of before */

            rc = said;
            source = AK_SOURCE_STALE;
        }

    } else if (source == AK_SOURCE_MISS) {

        if (rc == AK_NOT_FOUND && flight->limit != NULL
            && key->data[0] == NGX_HTTP_APIKEY_RECORD)
        {
            ngx_http_apikey_limit_absent(mcf, flight->limit);
        }

        if (!flight->outdated) {
            ngx_http_apikey_zone_store(mcf->zone, key, hash, rc,
                                       ak_str(mcf->value,
                                              rc == AK_OK ? len : 0),
                                       flight->guard);

            if (rc == AK_OK && !ngx_http_apikey_is_mark(key)) {
                ngx_http_apikey_lookup_end(mcf, key, hash, flight->guard);
            }
        }
    }

    ngx_queue_init(&waiters);

    if (!ngx_queue_empty(&flight->waiters)) {
        ngx_queue_add(&waiters, &flight->waiters);
    }

    ngx_free(flight);

    for (q = ngx_queue_head(&waiters);
         q != ngx_queue_sentinel(&waiters);
         q = ngx_queue_next(q))
    {
        ctx = ngx_queue_data(q, ngx_http_apikey_ctx_t, queue);
        ngx_http_apikey_answer(ctx, rc, source, mcf->value, len);
    }

    ngx_http_apikey_resume_all(&waiters);
}
