
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_usage.h"
#include "ngx_http_apikey_zone.h"


#define NGX_HTTP_APIKEY_USAGE_KEYS    1024     /* of a worker's table */
#define NGX_HTTP_APIKEY_USAGE_SLOTS   2048     /* a power of two above it */
#define NGX_HTTP_APIKEY_USAGE_BATCH   500      /* keys in a turn */
#define NGX_HTTP_APIKEY_USAGE_TICK    1000     /* milliseconds */

/* How long nothing is tried after Redis said that it is not allowed. */

#define NGX_HTTP_APIKEY_USAGE_PAUSE   600000


/* What became of one that was sent. */

typedef enum {
    NGX_HTTP_APIKEY_USAGE_FAILED = 0,          /* or nobody knows */
    NGX_HTTP_APIKEY_USAGE_WRITTEN,
    NGX_HTTP_APIKEY_USAGE_DAMAGED              /* and can never be */
} ngx_http_apikey_usage_e;


typedef struct {
    ngx_http_apikey_usage_t      *usage;
    ngx_http_apikey_usage_e       state;
} ngx_http_apikey_write_t;


struct ngx_http_apikey_usage_s {

    /* debug logging of timers takes the first four for a connection's */

    ngx_http_apikey_main_conf_t  *mcf;
    ngx_http_apikey_zone_t       *zone;
    ngx_log_t                    *log;
    ngx_uint_t                    who;

    ngx_event_t                   timer;
    ngx_connection_t             *quit;        /* see below */
    ngx_uint_t                    stopped;
    ngx_uint_t                    full;        /* and the log was told so */

    ngx_uint_t                    lease;       /* 0: this is not our turn */
    ngx_uint_t                    waiting;     /* replies that are to come */
    ngx_uint_t                    nsent;
    ngx_uint_t                    told;        /* that Redis refuses */
    ngx_msec_t                    pause;       /* since it did, or 0 */

    ngx_uint_t                    n;
    uint16_t                      slots[NGX_HTTP_APIKEY_USAGE_SLOTS];
                                               /* 1 + an index, or 0 */

    /* not cleared */

    ngx_http_apikey_used_t        used[NGX_HTTP_APIKEY_USAGE_KEYS];
    ngx_http_apikey_used_t        sent[NGX_HTTP_APIKEY_USAGE_BATCH];
    ngx_http_apikey_write_t       writes[NGX_HTTP_APIKEY_USAGE_BATCH];
};


static void ngx_http_apikey_usage_add(ngx_http_apikey_usage_t *usage,
    ak_str_t id);
static ngx_uint_t ngx_http_apikey_usage_leaving(
    ngx_http_apikey_usage_t *usage);
static ngx_http_apikey_used_t *ngx_http_apikey_usage_slot(
    ngx_http_apikey_usage_t *usage, u_char *id, size_t len, uint32_t hash);
static void ngx_http_apikey_usage_flush(ngx_http_apikey_usage_t *usage);
static void ngx_http_apikey_usage_tick(ngx_event_t *ev);
static void ngx_http_apikey_usage_write(ngx_http_apikey_usage_t *usage);
static ngx_int_t ngx_http_apikey_usage_send(ngx_http_apikey_usage_t *usage,
    ngx_uint_t i);
static ngx_int_t ngx_http_apikey_usage_query(ngx_http_apikey_usage_t *usage,
    const ak_str_t *argv, ak_redis_handler_pt handler, void *data);
static void ngx_http_apikey_usage_last(void *data, const ak_reply_t *reply);
static void ngx_http_apikey_usage_requests(void *data,
    const ak_reply_t *reply);
static void ngx_http_apikey_usage_refused(ngx_http_apikey_usage_t *usage,
    ak_str_t error);
static void ngx_http_apikey_usage_replied(ngx_http_apikey_usage_t *usage);
static void ngx_http_apikey_usage_settled(ngx_http_apikey_usage_t *usage);
static void ngx_http_apikey_usage_watch(ngx_http_apikey_usage_t *usage,
    ngx_cycle_t *cycle);
static void ngx_http_apikey_usage_unwatch(ngx_http_apikey_usage_t *usage);
static void ngx_http_apikey_usage_quit(ngx_event_t *rev);
static void ngx_http_apikey_usage_cleanup(void *data);


void
ngx_http_apikey_usage_start(ngx_http_apikey_main_conf_t *mcf,
    ngx_cycle_t *cycle)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_apikey_usage_t  *usage;

    if (mcf->redis == NULL || mcf->zone->usage == 0) {
        mcf->uncounted = 1;
        return;
    }

    usage = ngx_palloc(cycle->pool, sizeof(ngx_http_apikey_usage_t));
    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (usage == NULL || cln == NULL
        || ngx_http_apikey_usage_zone_init(mcf->zone, mcf->born) != NGX_OK)
    {
        mcf->uncounted = 1;
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "apikey: the zone has no room for the usage of keys, "
                      "which is not counted; it has in a larger one, or in "
                      "a new one");
        return;
    }

    ngx_memzero(usage, offsetof(ngx_http_apikey_usage_t, used));

    usage->mcf = mcf;
    usage->zone = mcf->zone;
    usage->log = cycle->log;
    usage->who = mcf->born;

    usage->timer.handler = ngx_http_apikey_usage_tick;
    usage->timer.data = usage;
    usage->timer.log = cycle->log;
    usage->timer.cancelable = 1;

    cln->handler = ngx_http_apikey_usage_cleanup;
    cln->data = usage;

    mcf->usage = usage;

    ngx_http_apikey_usage_watch(usage, cycle);

    /* what a worker has left behind that is no more */

    ngx_add_timer(&usage->timer, NGX_HTTP_APIKEY_USAGE_TICK);
}


/*
 * A worker that is to exit tells its idle connections: this is one without a
 * socket, for nothing else.
 */

static void
ngx_http_apikey_usage_watch(ngx_http_apikey_usage_t *usage,
    ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    if (ngx_process != NGX_PROCESS_WORKER) {
        return;
    }

    c = ngx_get_connection(0, cycle->log);
    if (c == NULL) {
        return;
    }

    c->data = usage;
    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_http_apikey_usage_quit;
    c->idle = 1;

    usage->quit = c;
}


static void
ngx_http_apikey_usage_unwatch(ngx_http_apikey_usage_t *usage)
{
    if (usage->quit != NULL) {
        ngx_free_connection(usage->quit);
        usage->quit->fd = (ngx_socket_t) -1;
        usage->quit = NULL;
    }
}


static void
ngx_http_apikey_usage_quit(ngx_event_t *rev)
{
    ngx_connection_t         *c;
    ngx_http_apikey_usage_t  *usage;

    c = rev->data;
    usage = c->data;

    ngx_http_apikey_usage_unwatch(usage);
    ngx_http_apikey_usage_flush(usage);
    ngx_http_apikey_usage_write(usage);
}


void
ngx_http_apikey_usage_stop(ngx_http_apikey_main_conf_t *mcf)
{
    if (mcf->usage != NULL && !mcf->usage->stopped) {
        ngx_http_apikey_usage_unwatch(mcf->usage);
        ngx_http_apikey_usage_flush(mcf->usage);
        ngx_http_apikey_usage_cleanup(mcf->usage);
    }
}


/*
 * The pool of a cycle that is no more, in a process that goes on: the zone may
 * be gone with it.
 */

static void
ngx_http_apikey_usage_cleanup(void *data)
{
    ngx_http_apikey_usage_t *usage = data;

    usage->stopped = 1;

    if (usage->timer.timer_set) {
        ngx_del_timer(&usage->timer);
    }
}


void
ngx_http_apikey_usage_count(ngx_http_apikey_ctx_t *ctx)
{
    ak_txn_t                     *t;
    ngx_http_apikey_main_conf_t  *mcf;

    t = &ctx->txn;
    mcf = ctx->mcf;

    /*
     * A session is open where it was let pass, by us or by another module;
     * claims are those of a token, of which the store has no record.
     */

    if (ctx->session == NULL || !ctx->granted || !t->identified
        || t->record.len == 0 || t->claims.len != 0 || mcf->uncounted)
    {
        return;
    }

    if (mcf->usage == NULL) {

        /* a single process that was reloaded is not told of its new cycle */

        ngx_http_apikey_usage_start(mcf, (ngx_cycle_t *) ngx_cycle);

        if (mcf->usage == NULL) {
            return;
        }
    }

    ngx_http_apikey_usage_add(mcf->usage, t->id);
}


static void
ngx_http_apikey_usage_add(ngx_http_apikey_usage_t *usage, ak_str_t id)
{
    uint32_t                 hash;
    ngx_http_apikey_used_t  *used;

    if (id.len == 0 || id.len > AK_ID_MAX) {
        return;
    }

    hash = ngx_murmur_hash2((u_char *) id.data, id.len);
    used = ngx_http_apikey_usage_slot(usage, (u_char *) id.data, id.len, hash);

    if (used == NULL) {

        /* Full.  What the zone has no room for stays. */

        ngx_http_apikey_usage_flush(usage);

        used = ngx_http_apikey_usage_slot(usage, (u_char *) id.data, id.len,
                                          hash);
        if (used == NULL) {
            return;
        }
    }

    used->requests++;
    used->last = ngx_time();

    /* where it is set for later it is moved, which costs nothing mostly */

    if (used->requests == 1 && usage->n == 1) {
        usage->timer.cancelable = !ngx_http_apikey_usage_leaving(usage);
        ngx_add_timer(&usage->timer, NGX_HTTP_APIKEY_USAGE_TICK);
    }
}


/*
 * Whether the zone goes with this worker and its like: after a reload there are
 * others, who write what is left.
 */

static ngx_uint_t
ngx_http_apikey_usage_leaving(ngx_http_apikey_usage_t *usage)
{
    return ngx_exiting
           && ngx_http_apikey_usage_newest(usage->zone, usage->who);
}


/* The entry of an id, which is made where there is none; NULL: full. */

static ngx_http_apikey_used_t *
ngx_http_apikey_usage_slot(ngx_http_apikey_usage_t *usage, u_char *id,
    size_t len, uint32_t hash)
{
    ngx_uint_t               i;
    ngx_http_apikey_used_t  *used;

    for (i = hash % NGX_HTTP_APIKEY_USAGE_SLOTS;
         usage->slots[i] != 0;
         i = (i + 1) % NGX_HTTP_APIKEY_USAGE_SLOTS)
    {
        used = &usage->used[usage->slots[i] - 1];

        if (used->hash == hash && used->len == len
            && ngx_memcmp(used->id, id, len) == 0)
        {
            return used;
        }
    }

    if (usage->n == NGX_HTTP_APIKEY_USAGE_KEYS) {
        return NULL;
    }

    used = &usage->used[usage->n++];
    usage->slots[i] = (uint16_t) usage->n;

    used->requests = 0;
    used->last = 0;
    used->hash = hash;
    used->len = (u_char) len;
    ngx_memcpy(used->id, id, len);

    return used;
}


/* To the zone; what it has no room for stays here. */

static void
ngx_http_apikey_usage_flush(ngx_http_apikey_usage_t *usage)
{
    ngx_uint_t               i, left;
    ngx_http_apikey_used_t   used, *slot;

    if (usage->n == 0) {
        return;
    }

    left = ngx_http_apikey_usage_merge(usage->zone, usage->used, usage->n);

    usage->n = 0;
    ngx_memzero(usage->slots, sizeof(usage->slots));

    for (i = 0; i < left; i++) {
        used = usage->used[i];

        slot = ngx_http_apikey_usage_slot(usage, used.id, used.len,
                                          used.hash);
        slot->requests = used.requests;
        slot->last = used.last;
    }

    if (left != 0 && !usage->full) {
        ngx_log_error(NGX_LOG_WARN, usage->log, 0,
                      "apikey: the zone is too small for the usage of all "
                      "keys, that of some is not counted");
    }

    usage->full = (left != 0);
}


static void
ngx_http_apikey_usage_tick(ngx_event_t *ev)
{
    ngx_msec_t                next;
    ngx_http_apikey_usage_t  *usage;

    usage = ev->data;

    ev->cancelable = 1;

    ngx_http_apikey_usage_flush(usage);
    ngx_http_apikey_usage_write(usage);

    /* others may leave something behind: they are looked after now and then */

    next = (usage->n != 0 || ngx_http_apikey_usage_dirty(usage->zone))
           ? NGX_HTTP_APIKEY_USAGE_TICK : usage->zone->usage;

    ngx_add_timer(ev, next);
}


static void
ngx_http_apikey_usage_write(ngx_http_apikey_usage_t *usage)
{
    ngx_uint_t        i, last;
    ak_store_conf_t  *store;

    last = ngx_http_apikey_usage_leaving(usage);

    if (usage->lease != 0 || (ngx_exiting && !last)) {
        return;                /* replies are to come; it is for who stays */
    }

    store = usage->mcf->store;

    usage->lease = ngx_http_apikey_usage_lease(usage->zone, usage->who, last,
                                               store->timeout
                                               + store->connect_timeout
                                               + NGX_HTTP_APIKEY_USAGE_TICK,
                                               &usage->told);
    if (usage->lease == 0) {
        return;
    }

    /* after a refusal one tells as much as all do */

    usage->nsent = ngx_http_apikey_usage_take(usage->zone, usage->sent,
                                         usage->told
                                         ? 1 : NGX_HTTP_APIKEY_USAGE_BATCH);
    usage->pause = 0;
    usage->waiting = 0;

    for (i = 0; i < usage->nsent; i++) {
        usage->writes[i].usage = usage;
        usage->writes[i].state = NGX_HTTP_APIKEY_USAGE_FAILED;
    }

    for (i = 0; i < usage->nsent; i++) {
        if (ngx_http_apikey_usage_send(usage, i) != NGX_OK) {
            break;             /* Redis is down, also for the others */
        }
    }

    if (usage->waiting == 0) {
        ngx_http_apikey_usage_settled(usage);
    }
}


/*
 * The time first: sending it twice does no harm, and where its reply does not
 * come, nor will that of the number.
 */

static ngx_int_t
ngx_http_apikey_usage_send(ngx_http_apikey_usage_t *usage, ngx_uint_t i)
{
    u_char                    buf[AK_STORE_KEY_MAX], number[NGX_INT64_LEN];
    ak_str_t                  argv[4];
    ngx_http_apikey_used_t   *used;
    ngx_http_apikey_write_t  *write;

    used = &usage->sent[i];
    write = &usage->writes[i];

    if (ak_store_usage_key(usage->mcf->store, ak_str(used->id, used->len),
                           buf, &argv[1])
        != AK_OK)
    {
        write->state = NGX_HTTP_APIKEY_USAGE_DAMAGED;
        return NGX_OK;
    }

    argv[0] = ak_literal("HSET");
    argv[2] = ak_literal(AK_USAGE_LAST_USED);
    argv[3] = ak_str(number, ngx_sprintf(number, "%T", used->last) - number);

    if (ngx_http_apikey_usage_query(usage, argv, ngx_http_apikey_usage_last,
                                    write)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    argv[0] = ak_literal("HINCRBY");
    argv[2] = ak_literal(AK_USAGE_REQUESTS);
    argv[3] = ak_str(number, ngx_sprintf(number, "%uL", used->requests)
                             - number);

    return ngx_http_apikey_usage_query(usage, argv,
                                       ngx_http_apikey_usage_requests, write);
}


static ngx_int_t
ngx_http_apikey_usage_query(ngx_http_apikey_usage_t *usage,
    const ak_str_t *argv, ak_redis_handler_pt handler, void *data)
{
    if (ngx_apikey_redis_query(usage->mcf->redis, argv, 4,
                               usage->mcf->store->timeout,
                               NGX_APIKEY_REDIS_ONCE, handler, data)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    usage->waiting++;

    return NGX_OK;
}


static void
ngx_http_apikey_usage_last(void *data, const ak_reply_t *reply)
{
    ngx_http_apikey_write_t *write = data;

    if (reply != NULL && reply->type == AK_REPLY_ERROR) {
        ngx_http_apikey_usage_refused(write->usage, reply->str);
    }

    ngx_http_apikey_usage_replied(write->usage);
}


static void
ngx_http_apikey_usage_requests(void *data, const ak_reply_t *reply)
{
    ngx_http_apikey_write_t *write = data;

    if (reply == NULL) {

        /* it may have been done: better twice than never */

        write->state = NGX_HTTP_APIKEY_USAGE_FAILED;

    } else if (reply->type != AK_REPLY_ERROR) {
        write->state = NGX_HTTP_APIKEY_USAGE_WRITTEN;

    } else if (ak_str_starts(reply->str, ak_literal("WRONGTYPE "))
               || ak_str_starts(reply->str, ak_literal("ERR hash value "))
               || ak_str_starts(reply->str, ak_literal("ERR increment ")))
    {
        /* what is there is none of ours: that one key is damaged */

        write->state = NGX_HTTP_APIKEY_USAGE_DAMAGED;

    } else {
        ngx_http_apikey_usage_refused(write->usage, reply->str);
    }

    ngx_http_apikey_usage_replied(write->usage);
}


/* The message is not told: it may hold anything. */

static void
ngx_http_apikey_usage_refused(ngx_http_apikey_usage_t *usage, ak_str_t error)
{
    const char  *why;

    if (ak_str_starts(error, ak_literal("WRONGTYPE "))) {
        return;
    }

    usage->pause = NGX_HTTP_APIKEY_USAGE_PAUSE;

    if (ak_str_starts(error, ak_literal("NOPERM "))) {
        why = "its user lacks the right to HSET and HINCRBY the names of "
              "usage (ACL: ~apikey-usage:* +hset +hincrby)";

    } else if (ak_str_starts(error, ak_literal("READONLY "))) {
        why = "it is a read-only replica";

    } else {
        why = "it answers with an error";
        usage->pause = usage->zone->usage;
    }

    if (!usage->told) {
        usage->told = 1;
        ngx_log_error(NGX_LOG_ERR, usage->log, 0,
                      "apikey: redis does not let the usage of keys be "
                      "written: %s; it is tried again in %M s, or after a "
                      "reload", why, usage->pause / 1000);
    }
}


static void
ngx_http_apikey_usage_replied(ngx_http_apikey_usage_t *usage)
{
    if (--usage->waiting == 0) {
        ngx_http_apikey_usage_settled(usage);
    }
}


/* The end of a turn. */

static void
ngx_http_apikey_usage_settled(ngx_http_apikey_usage_t *usage)
{
    ngx_str_t                 id;
    ngx_uint_t                i, written, refused;
    ngx_http_apikey_usage_e   state;

    if (usage->stopped) {
        return;
    }

    written = 0;

    for (i = 0; i < usage->nsent; i++) {
        state = usage->writes[i].state;

        if (state == NGX_HTTP_APIKEY_USAGE_DAMAGED) {
            id.data = usage->sent[i].id;
            id.len = usage->sent[i].len;

            ngx_log_error(NGX_LOG_ERR, usage->log, 0,
                          "apikey: the usage of key \"%V\" in redis is not "
                          "what it should be, and is not written", &id);
        }

        written += (state == NGX_HTTP_APIKEY_USAGE_WRITTEN);

        ngx_http_apikey_usage_settle(usage->zone, &usage->sent[i],
                                     state != NGX_HTTP_APIKEY_USAGE_FAILED);
    }

    /* while Redis is down nobody knows whether it still refuses */

    refused = (usage->pause != 0 || (usage->told && written == 0));

    if (usage->told && !refused) {
        ngx_log_error(NGX_LOG_NOTICE, usage->log, 0,
                      "apikey: the usage of keys is written again");
    }

    ngx_http_apikey_usage_done(usage->zone, usage->lease,
                               usage->pause ? usage->pause
                                            : NGX_HTTP_APIKEY_USAGE_TICK,
                               refused ? usage->who : 0);
    usage->lease = 0;

    if (ngx_exiting && written != 0) {
        ngx_http_apikey_usage_write(usage);    /* the rest, as long as it can */
    }
}
