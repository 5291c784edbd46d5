
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_zone.h"


typedef struct {
    ngx_rbtree_node_t             node;
    ngx_queue_t                   queue;
    ngx_msec_t                    said;        /* when the store said it */
    ngx_msec_t                    busy;        /* a worker asks until then */
    ngx_msec_t                    ends;        /* in the store; 0: never */
    uint32_t                      epoch;       /* in which it was said */
    uint16_t                      key_len;
    uint16_t                      value_len;
    int8_t                        rc:4;        /* ak_rc_t; AK_AGAIN: none */
    uint8_t                       room:4;      /* its logarithm */
    u_char                        data[1];     /* key, value */
} ngx_http_apikey_entry_t;


/* How many entries may go to make room for one. */

#define NGX_HTTP_APIKEY_EVICT_MAX  64

/* The last part of a life in which what is used is asked for anew. */

#define NGX_HTTP_APIKEY_AHEAD      4

/* And for a document, which is of many pages, and rare. */

#define NGX_HTTP_APIKEY_SHARED_EVICT_MAX  4096

/* Slots have room for an id or a source, and a bucket. */

#define NGX_HTTP_APIKEY_GUESS_DATA  48
#define NGX_HTTP_APIKEY_GUESS                                                \
    ngx_align(offsetof(ngx_http_apikey_entry_t, data)                        \
              + NGX_HTTP_APIKEY_GUESS_DATA, NGX_ALIGNMENT)

#define NGX_HTTP_APIKEY_SHARED_ROOM       16384    /* bytes, at least */
#define NGX_HTTP_APIKEY_SHARED_RETRY      1000     /* milliseconds */


static void ngx_http_apikey_zone_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_http_apikey_entry_cmp(ngx_http_apikey_entry_t *e,
    u_char *key, size_t len);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_find(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash);
static ngx_int_t ngx_http_apikey_zone_init_slots(
    ngx_http_apikey_zone_t *zone);
static ngx_uint_t ngx_http_apikey_zone_guess(ngx_str_t *key, size_t len);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_slot(
    ngx_http_apikey_zone_t *zone, size_t len);
static void ngx_http_apikey_zone_touch(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e);
static ngx_uint_t ngx_http_apikey_zone_shift(size_t size);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_room(
    ngx_http_apikey_zone_t *zone, size_t size, ngx_uint_t *shift);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_add(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash, size_t len);
static void ngx_http_apikey_zone_evict(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e);
static void ngx_http_apikey_zone_delete(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_take(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash,
    const ak_rate_t *rate, ak_allowance_t *allowance);
static void ngx_http_apikey_zone_bound(ngx_http_apikey_zone_t *zone);
static ngx_uint_t ngx_http_apikey_zone_of_store(u_char letter);
static ngx_uint_t ngx_http_apikey_zone_other(ngx_http_apikey_zone_t *zone);
static void ngx_http_apikey_zone_forget(ngx_http_apikey_zone_t *zone);
static void ngx_http_apikey_zone_forget_queue(ngx_http_apikey_zone_t *zone,
    ngx_queue_t *queue);
static ngx_uint_t ngx_http_apikey_entry_fresh(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e, ngx_uint_t brief);
static ngx_uint_t ngx_http_apikey_entry_ended(ngx_http_apikey_entry_t *e);
static ngx_msec_t ngx_http_apikey_entry_ttl(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e, ngx_uint_t brief);
static ngx_msec_t ngx_http_apikey_entry_age(ngx_http_apikey_entry_t *e);
static uint64_t ngx_http_apikey_zone_guard_locked(
    ngx_http_apikey_zone_t *zone, uint32_t hash);
static ngx_http_apikey_cover_t *ngx_http_apikey_zone_cover_slot(
    ngx_http_apikey_zone_t *zone);
static ngx_msec_t ngx_http_apikey_zone_covered_until(
    ngx_http_apikey_zone_t *zone);
static ngx_uint_t ngx_http_apikey_zone_trusted(ngx_http_apikey_zone_t *zone);
static ngx_uint_t ngx_http_apikey_zone_past(ngx_msec_t since,
    ngx_msec_t interval);
static u_char *ngx_http_apikey_zone_make_room(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, size_t len);


ngx_int_t
ngx_http_apikey_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_apikey_zone_t  *ozone = data;

    ngx_http_apikey_zone_t  *zone;

    zone = shm_zone->data;

    if (ozone) {
        zone->sh = ozone->sh;
        zone->shpool = ozone->shpool;

        if (zone->sh->store != zone->store) {
            ngx_http_apikey_zone_forget(zone);
        }

        return NGX_OK;
    }

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;
        return NGX_OK;
    }

    zone->sh = ngx_slab_alloc(zone->shpool,
                              sizeof(ngx_http_apikey_zone_sh_t));
    if (zone->sh == NULL) {
        return NGX_ERROR;
    }

    zone->shpool->data = zone->sh;

    ngx_rbtree_init(&zone->sh->rbtree, &zone->sh->sentinel,
                    ngx_http_apikey_zone_insert_value);

    ngx_queue_init(&zone->sh->queue);
    ngx_queue_init(&zone->sh->shared);
    ngx_queue_init(&zone->sh->counts);

    zone->sh->until = 0;
    zone->sh->epoch = 0;
    zone->sh->store = zone->store;
    ngx_memzero(zone->sh->guards, sizeof(zone->sh->guards));
    ngx_memzero(zone->sh->covers, sizeof(zone->sh->covers));
    zone->sh->usage = NULL;
    ngx_queue_init(&zone->sh->pool);
    zone->sh->pooled = 0;
    zone->sh->cooling = ngx_current_msec;
    zone->sh->refused = 0;
    ngx_memzero(zone->sh->entries, sizeof(zone->sh->entries));
    ngx_memzero(zone->sh->evicted, sizeof(zone->sh->evicted));

    /* a full zone is no error: entries are evicted */

    zone->shpool->log_nomem = 0;

    return ngx_http_apikey_zone_init_slots(zone);
}


/* What another store said is not true of this one. */

static void
ngx_http_apikey_zone_forget(ngx_http_apikey_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    zone->sh->store = zone->store;
    zone->sh->epoch++;

    /* nor does it cover this one that another is watched */

    zone->sh->until = ngx_current_msec;
    ngx_memzero(zone->sh->covers, sizeof(zone->sh->covers));

    ngx_http_apikey_zone_forget_queue(zone, &zone->sh->queue);
    ngx_http_apikey_zone_forget_queue(zone, &zone->sh->guesses);

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


static void
ngx_http_apikey_zone_forget_queue(ngx_http_apikey_zone_t *zone,
    ngx_queue_t *queue)
{
    ngx_queue_t              *q, *next;
    ngx_http_apikey_entry_t  *e;

    for (q = ngx_queue_head(queue); q != ngx_queue_sentinel(queue); q = next) {

        next = ngx_queue_next(q);
        e = ngx_queue_data(q, ngx_http_apikey_entry_t, queue);

        if (ngx_http_apikey_zone_of_store(e->data[0])) {
            ngx_http_apikey_zone_delete(zone, e);
        }
    }
}


static ngx_uint_t
ngx_http_apikey_zone_of_store(u_char letter)
{
    switch (letter) {

    case NGX_HTTP_APIKEY_RECORD:
    case NGX_HTTP_APIKEY_TOKENS:
    case NGX_HTTP_APIKEY_MARK:
    case NGX_HTTP_APIKEY_FOREIGN:
        return 1;

    default:
        return 0;
    }
}


/*
 * The zone is another store's since a reload: a worker that was there before
 * goes on with its own store, and without the zone.
 */

static ngx_uint_t
ngx_http_apikey_zone_other(ngx_http_apikey_zone_t *zone)
{
    return zone->sh->store != zone->store;
}


static ngx_int_t
ngx_http_apikey_zone_init_slots(ngx_http_apikey_zone_t *zone)
{
    size_t                      size;
    ngx_http_apikey_zone_sh_t  *sh;

    sh = zone->sh;

    size = (zone->shpool->end - zone->shpool->start)
           / NGX_HTTP_APIKEY_ZONE_SHARE;
    size = ngx_align(size, ngx_pagesize);

    sh->slots = ngx_slab_alloc(zone->shpool, size);
    if (sh->slots == NULL) {
        return NGX_ERROR;
    }

    sh->fresh = sh->slots;
    sh->last = sh->slots
               + size / NGX_HTTP_APIKEY_GUESS * NGX_HTTP_APIKEY_GUESS;

    ngx_queue_init(&sh->guesses);
    ngx_queue_init(&sh->spare);

    return NGX_OK;
}


/* Whether anybody can cause an entry of that key and length. */

static ngx_uint_t
ngx_http_apikey_zone_guess(ngx_str_t *key, size_t len)
{
    switch (key->data[0]) {

    case NGX_HTTP_APIKEY_RECORD:
        return len == 0;

    case NGX_HTTP_APIKEY_FAILURES:
    case NGX_HTTP_APIKEY_ALLOWANCE:
    case NGX_HTTP_APIKEY_ABSENT:
        return 1;

    default:
        return 0;
    }
}


/* A slot; where all are taken, that which was not used for longest. */

static ngx_http_apikey_entry_t *
ngx_http_apikey_zone_slot(ngx_http_apikey_zone_t *zone, size_t len)
{
    ngx_queue_t                *q;
    ngx_http_apikey_entry_t    *e;
    ngx_http_apikey_zone_sh_t  *sh;

    sh = zone->sh;

    if (len > NGX_HTTP_APIKEY_GUESS_DATA) {
        return NULL;
    }

    if (ngx_queue_empty(&sh->spare) && sh->fresh != sh->last) {
        e = (ngx_http_apikey_entry_t *) sh->fresh;
        sh->fresh += NGX_HTTP_APIKEY_GUESS;
        return e;
    }

    if (ngx_queue_empty(&sh->spare)) {
        ngx_http_apikey_zone_evict(zone,
                                   ngx_queue_data(
                                               ngx_queue_last(&sh->guesses),
                                               ngx_http_apikey_entry_t,
                                               queue));
    }

    q = ngx_queue_head(&sh->spare);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_http_apikey_entry_t, queue);
}


static ngx_inline ngx_uint_t
ngx_http_apikey_zone_in_slot(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    return (u_char *) e >= zone->sh->slots && (u_char *) e < zone->sh->last;
}


static ngx_inline ngx_queue_t *
ngx_http_apikey_zone_queue(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    if (ngx_http_apikey_zone_in_slot(zone, e)) {
        return &zone->sh->guesses;
    }

    return (e->data[0] == NGX_HTTP_APIKEY_SLOT) ? &zone->sh->pool
                                                : &zone->sh->queue;
}


static void
ngx_http_apikey_zone_touch(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    ngx_queue_remove(&e->queue);
    ngx_queue_insert_head(ngx_http_apikey_zone_queue(zone, e), &e->queue);
}


static void
ngx_http_apikey_zone_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t        **p;
    ngx_http_apikey_entry_t   *e, *et;

    e = (ngx_http_apikey_entry_t *) node;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            et = (ngx_http_apikey_entry_t *) temp;

            p = (ngx_http_apikey_entry_cmp(et, e->data, e->key_len) < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


/* Where key stands beside the entry's. */

static ngx_int_t
ngx_http_apikey_entry_cmp(ngx_http_apikey_entry_t *e, u_char *key, size_t len)
{
    return ngx_memn2cmp(key, e->data, len, (size_t) e->key_len);
}


static ngx_http_apikey_entry_t *
ngx_http_apikey_zone_find(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash)
{
    ngx_int_t                 rc;
    ngx_rbtree_node_t        *node, *sentinel;
    ngx_http_apikey_entry_t  *e;

    node = zone->sh->rbtree.root;
    sentinel = zone->sh->rbtree.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        e = (ngx_http_apikey_entry_t *) node;

        rc = ngx_http_apikey_entry_cmp(e, key->data, key->len);

        if (rc == 0) {
            return e;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


/* The slab's sizes are powers of two; what is larger has pages. */

static ngx_uint_t
ngx_http_apikey_zone_shift(size_t size)
{
    ngx_uint_t  shift;

    for (shift = 3; ((size_t) 1 << shift) < size; shift++) { /* void */ }

    return ngx_min(shift, 15);
}


/*
 * Room for an entry.  In a full zone memory that is freed serves its own size
 * again, so that the one of those not used for longest goes which is as large;
 * what is smaller goes only where there is none.
 */

static ngx_http_apikey_entry_t *
ngx_http_apikey_zone_room(ngx_http_apikey_zone_t *zone, size_t size,
    ngx_uint_t *shift)
{
    void                     *p;
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_http_apikey_entry_t  *e;

    *shift = ngx_http_apikey_zone_shift(size);

    p = ngx_slab_alloc_locked(zone->shpool, size);
    if (p != NULL) {
        return p;
    }

    q = ngx_queue_last(&zone->sh->queue);

    for (i = 0; i < NGX_HTTP_APIKEY_EVICT_MAX
                && q != ngx_queue_sentinel(&zone->sh->queue); i++)
    {
        e = ngx_queue_data(q, ngx_http_apikey_entry_t, queue);
        q = ngx_queue_prev(q);

        if (e->room < *shift) {
            continue;
        }

        *shift = e->room;
        ngx_http_apikey_zone_evict(zone, e);

        return ngx_slab_alloc_locked(zone->shpool,
                                     ngx_max(size, (size_t) 1 << *shift));
    }

    for (i = 0; i < NGX_HTTP_APIKEY_EVICT_MAX
                && !ngx_queue_empty(&zone->sh->queue); i++)
    {
        q = ngx_queue_last(&zone->sh->queue);

        ngx_http_apikey_zone_evict(zone,
                          ngx_queue_data(q, ngx_http_apikey_entry_t, queue));

        p = ngx_slab_alloc_locked(zone->shpool, size);
        if (p != NULL) {
            return p;
        }
    }

    return NULL;
}


static ngx_http_apikey_entry_t *
ngx_http_apikey_zone_add(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, size_t len)
{
    ngx_uint_t                shift;
    ngx_http_apikey_entry_t  *e;

    if (ngx_http_apikey_zone_guess(key, len)) {
        shift = 0;
        e = ngx_http_apikey_zone_slot(zone, key->len + len);

    } else {
        e = ngx_http_apikey_zone_room(zone,
                                      offsetof(ngx_http_apikey_entry_t, data)
                                      + key->len + len, &shift);
    }

    if (e == NULL) {
        return NULL;
    }

    e->room = shift;
    e->node.key = hash;
    e->said = 0;
    e->busy = 0;
    e->ends = 0;
    e->epoch = 0;
    e->key_len = (uint16_t) key->len;
    e->value_len = (uint16_t) len;
    e->rc = AK_AGAIN;
    ngx_memcpy(e->data, key->data, key->len);

    zone->sh->entries[ngx_http_apikey_zone_in_slot(zone, e)]++;

    ngx_rbtree_insert(&zone->sh->rbtree, &e->node);
    ngx_queue_insert_head(ngx_http_apikey_zone_queue(zone, e), &e->queue);

    return e;
}


static void
ngx_http_apikey_zone_evict(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    zone->sh->evicted[ngx_http_apikey_zone_in_slot(zone, e)]++;

    ngx_http_apikey_zone_delete(zone, e);
}


static void
ngx_http_apikey_zone_delete(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    zone->sh->entries[ngx_http_apikey_zone_in_slot(zone, e)]--;

    ngx_queue_remove(&e->queue);
    ngx_rbtree_delete(&zone->sh->rbtree, &e->node);

    if (ngx_http_apikey_zone_in_slot(zone, e)) {
        ngx_queue_insert_head(&zone->sh->spare, &e->queue);

    } else {
        ngx_slab_free_locked(zone->shpool, e);
    }
}


/* Nor is fresh what may have changed without anybody being told. */

static ngx_uint_t
ngx_http_apikey_entry_fresh(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e, ngx_uint_t brief)
{
    if (e->rc == AK_AGAIN) {
        return 0;
    }

    if (e->epoch != zone->sh->epoch || !ngx_http_apikey_zone_trusted(zone)
        || ngx_http_apikey_entry_ended(e))
    {
        return 0;
    }

    return ngx_http_apikey_entry_age(e)
           < ngx_http_apikey_entry_ttl(zone, e, brief);
}


static ngx_uint_t
ngx_http_apikey_zone_trusted(ngx_http_apikey_zone_t *zone)
{
    return !zone->covered
           || (ngx_msec_int_t) (zone->sh->until - ngx_current_msec) > 0;
}


/* The store does not say so: it notices some time later. */

static ngx_uint_t
ngx_http_apikey_entry_ended(ngx_http_apikey_entry_t *e)
{
    return e->ends != 0 && (ngx_msec_int_t) (e->ends - ngx_current_msec) <= 0;
}


static ngx_msec_t
ngx_http_apikey_entry_ttl(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e, ngx_uint_t brief)
{
    return (e->rc == AK_OK && !brief) ? zone->ttl : zone->negative_ttl;
}


/* Another worker's clock may have been read a little after this one's. */

static ngx_msec_t
ngx_http_apikey_entry_age(ngx_http_apikey_entry_t *e)
{
    ngx_msec_int_t  age;

    age = (ngx_msec_int_t) (ngx_current_msec - e->said);

    return (age > 0) ? (ngx_msec_t) age : 0;
}


ngx_http_apikey_zone_e
ngx_http_apikey_zone_lookup(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ngx_uint_t brief, ngx_msec_t wait,
    ngx_http_apikey_said_t *said)
{
    ngx_uint_t                asking;
    ngx_msec_t                ttl;
    ngx_http_apikey_zone_e    found;
    ngx_http_apikey_entry_t  *e;

    said->ahead = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    said->guard = ngx_http_apikey_zone_guard_locked(zone, hash);

    if (ngx_http_apikey_zone_other(zone)) {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        return NGX_HTTP_APIKEY_ZONE_MISS;
    }

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL) {
        ngx_http_apikey_zone_touch(zone, e);
    }

    /* what is not trusted is not waited for: each worker asks for itself */

    asking = (e != NULL && e->busy != 0
              && (ngx_msec_int_t) (e->busy - ngx_current_msec) > 0
              && ngx_http_apikey_zone_trusted(zone));

    if (e != NULL && ngx_http_apikey_entry_fresh(zone, e, brief)) {

        said->rc = e->rc;
        said->len = e->value_len;
        ngx_memcpy(said->value, e->data + e->key_len, e->value_len);

        found = NGX_HTTP_APIKEY_ZONE_FRESH;

        ttl = ngx_http_apikey_entry_ttl(zone, e, brief);

        if (e->rc == AK_OK && !asking
            && ngx_http_apikey_entry_age(e)
               >= ttl - ttl / NGX_HTTP_APIKEY_AHEAD)
        {
            e->busy = ngx_current_msec + wait;
            said->ahead = 1;
        }

    } else if (asking) {
        found = NGX_HTTP_APIKEY_ZONE_BUSY;

    } else {

        if (e == NULL) {
            e = ngx_http_apikey_zone_add(zone, key, hash, 0);
        }

        if (e != NULL) {
            e->busy = ngx_current_msec + wait;
        }

        found = NGX_HTTP_APIKEY_ZONE_MISS;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return found;
}


/*
 * Keys share counters: a change of one costs others a look-up at most.
 *
 * A worker that is not told of changes itself may read from a server of which
 * the others are not told either: what it asks for is of an epoch that is over.
 */

static uint64_t
ngx_http_apikey_zone_guard_locked(ngx_http_apikey_zone_t *zone, uint32_t hash)
{
    uint32_t  epoch;

    epoch = zone->sh->epoch;

    if (zone->covered
        && (!zone->told
            || (ngx_msec_int_t) (zone->until - ngx_current_msec) <= 0))
    {
        epoch--;
    }

    return (uint64_t) epoch << 32
           | zone->sh->guards[hash % NGX_HTTP_APIKEY_GUARDS];
}


uint64_t
ngx_http_apikey_zone_guard(ngx_http_apikey_zone_t *zone, uint32_t hash)
{
    uint64_t  guard;

    ngx_shmtx_lock(&zone->shpool->mutex);

    guard = ngx_http_apikey_zone_guard_locked(zone, hash);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return guard;
}


/*
 * What is of no use any more is not there to be used in an outage either, but
 * for that of an old epoch, of which nobody knows whether it changed.
 */

void
ngx_http_apikey_zone_changed(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash)
{
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (key == NULL) {
        zone->sh->epoch++;

    } else {
        zone->sh->guards[hash % NGX_HTTP_APIKEY_GUARDS]++;

        e = ngx_http_apikey_zone_find(zone, key, hash);

        if (e != NULL) {
            ngx_http_apikey_zone_delete(zone, e);
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * Where nobody covered, what was said before is not trusted any more.  Nor is
 * it where a worker's cover is lost: when it finds out, that may have been so
 * for a while, in which others who relied on it have come back.
 */

void
ngx_http_apikey_zone_cover(ngx_http_apikey_zone_t *zone, ngx_uint_t how,
    ngx_msec_t until)
{
    ngx_uint_t                gap, exiting;
    ngx_http_apikey_cover_t  *cover;

    exiting = ngx_exiting || ngx_terminate || ngx_quit;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (ngx_http_apikey_zone_other(zone)) {
        until = 0;
    }

    gap = (ngx_http_apikey_zone_covered_until(zone) == ngx_current_msec);

    cover = ngx_http_apikey_zone_cover_slot(zone);

    if (cover != NULL) {

        if (cover->pid == ngx_pid && until == 0 && !exiting) {
            zone->sh->epoch++;
        }

        cover->pid = until ? ngx_pid : 0;
        cover->until = until;
        cover->how = how;
    }

    zone->told = (cover != NULL && until != 0);
    zone->until = until;

    zone->sh->until = ngx_http_apikey_zone_covered_until(zone);

    if (gap && zone->sh->until != ngx_current_msec) {
        zone->sh->epoch++;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * The latest of what workers said, or now.  A worker that has ended without a
 * word, as by a signal, does not cover, though what it said goes on for a
 * while: whoever takes its place would not know of the gap between them.  And
 * nobody knows what it was told last.
 */

static ngx_msec_t
ngx_http_apikey_zone_covered_until(ngx_http_apikey_zone_t *zone)
{
    ngx_uint_t                i;
    ngx_msec_t                longest;
    ngx_http_apikey_cover_t  *cover;

    longest = ngx_current_msec;

    for (i = 0; i < NGX_HTTP_APIKEY_COVERS; i++) {
        cover = &zone->sh->covers[i];

        if (cover->pid == 0) {
            continue;
        }

        if (cover->pid != ngx_pid && kill(cover->pid, 0) == -1
            && ngx_errno == ESRCH)
        {
            cover->pid = 0;
            zone->sh->epoch++;
            continue;
        }

        if ((ngx_msec_int_t) (cover->until - longest) > 0) {
            longest = cover->until;
        }
    }

    return longest;
}


/* That of this process, else one that nobody uses, else one that has lapsed. */

static ngx_http_apikey_cover_t *
ngx_http_apikey_zone_cover_slot(ngx_http_apikey_zone_t *zone)
{
    ngx_uint_t                i;
    ngx_http_apikey_cover_t  *cover, *spare, *lapsed;

    spare = NULL;
    lapsed = NULL;

    for (i = 0; i < NGX_HTTP_APIKEY_COVERS; i++) {
        cover = &zone->sh->covers[i];

        if (cover->pid == ngx_pid) {
            return cover;
        }

        if (cover->pid == 0) {
            spare = (spare == NULL) ? cover : spare;

        } else if ((ngx_msec_int_t) (cover->until - ngx_current_msec) <= 0) {
            lapsed = cover;
        }
    }

    return (spare != NULL) ? spare : lapsed;
}


ngx_int_t
ngx_http_apikey_zone_stale(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ak_rc_t *said, u_char *value, size_t *len)
{
    ngx_int_t                 rc;
    ngx_http_apikey_entry_t  *e;

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL && !ngx_http_apikey_zone_other(zone)
        && (e->rc == AK_OK || e->rc == AK_NOT_FOUND)
        && ngx_http_apikey_entry_age(e) < zone->stale
        && !ngx_http_apikey_entry_ended(e))
    {
        *said = e->rc;
        *len = e->value_len;
        ngx_memcpy(value, e->data + e->key_len, e->value_len);

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


ngx_int_t
ngx_http_apikey_zone_kept(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, u_char *value, size_t *len)
{
    ngx_int_t                 rc;
    ngx_http_apikey_entry_t  *e;

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL) {
        ngx_http_apikey_zone_touch(zone, e);

        *len = e->value_len;
        ngx_memcpy(value, e->data + e->key_len, e->value_len);

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


void
ngx_http_apikey_zone_store(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ak_rc_t rc, ak_str_t value, uint64_t guard)
{
    uint64_t                  now;
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (ngx_http_apikey_zone_of_store(key->data[0])
        && ngx_http_apikey_zone_other(zone))
    {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        return;
    }

    e = ngx_http_apikey_zone_find(zone, key, hash);

    now = ngx_http_apikey_zone_guard_locked(zone, hash);

    if ((uint32_t) now != (uint32_t) guard) {

        /* a mark may be that of who asked since: it costs one more look-up,
           but nobody waits for one whose answer is dropped here */

        if (e != NULL && e->rc == AK_AGAIN) {
            ngx_http_apikey_zone_delete(zone, e);
        }

        ngx_shmtx_unlock(&zone->shpool->mutex);
        return;
    }

    if (e != NULL && e->value_len != value.len) {
        ngx_http_apikey_zone_delete(zone, e);
        e = NULL;
    }

    if (e == NULL) {
        e = ngx_http_apikey_zone_add(zone, key, hash, value.len);
    }

    if (e != NULL) {
        e->rc = (int8_t) rc;
        e->said = ngx_current_msec;
        e->busy = 0;
        e->ends = 0;
        e->epoch = (uint32_t) (guard >> 32);

        if (value.len != 0) {
            ngx_memcpy(e->data + e->key_len, value.data, value.len);
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


u_char *
ngx_http_apikey_zone_cell(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, size_t size, ngx_uint_t make)
{
    ngx_http_apikey_entry_t  *e;

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL) {
        ngx_http_apikey_zone_touch(zone, e);
        return e->data + e->key_len;
    }

    if (!make) {
        return NULL;
    }

    e = ngx_http_apikey_zone_add(zone, key, hash, size);

    if (e == NULL) {
        return NULL;
    }

    ngx_memzero(e->data + e->key_len, size);

    if (key->data[0] == NGX_HTTP_APIKEY_SLOT) {
        zone->sh->pooled++;
        ngx_http_apikey_zone_bound(zone);
    }

    return e->data + e->key_len;
}


/* The slot that was not used for longest goes where they are too many. */

static void
ngx_http_apikey_zone_bound(ngx_http_apikey_zone_t *zone)
{
    size_t  size;

    size = zone->shpool->end - zone->shpool->start;

    if (zone->sh->pooled <= size / NGX_HTTP_APIKEY_SLOT_SHARE) {
        return;
    }

    zone->sh->pooled--;
    ngx_http_apikey_zone_delete(zone,
                                ngx_queue_data(ngx_queue_last(&zone->sh->pool),
                                               ngx_http_apikey_entry_t,
                                               queue));
}


ngx_uint_t
ngx_http_apikey_zone_slots(ngx_http_apikey_zone_t *zone,
    ngx_uint_t (*handler)(void *data, ngx_str_t *key, u_char *cell),
    void *data)
{
    ngx_str_t                 key;
    ngx_queue_t              *q;
    ngx_http_apikey_entry_t  *e;

    for (q = ngx_queue_head(&zone->sh->pool);
         q != ngx_queue_sentinel(&zone->sh->pool);
         q = ngx_queue_next(q))
    {
        e = ngx_queue_data(q, ngx_http_apikey_entry_t, queue);

        key.len = e->key_len;
        key.data = e->data;

        if (!handler(data, &key, e->data + e->key_len)) {
            return 0;
        }
    }

    return 1;
}


/* Takes a token; NULL: there is no room for a bucket. */

static ngx_http_apikey_entry_t *
ngx_http_apikey_zone_take(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance)
{
    ak_bucket_t               bucket;
    ngx_http_apikey_entry_t  *e;

    ngx_memzero(&bucket, sizeof(ak_bucket_t));

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e == NULL) {
        e = ngx_http_apikey_zone_add(zone, key, hash, sizeof(ak_bucket_t));

    } else {
        ngx_http_apikey_zone_touch(zone, e);

        /* what lies behind a key has no alignment */

        ngx_memcpy(&bucket, e->data + e->key_len, sizeof(ak_bucket_t));
    }

    if (e != NULL) {
        ak_rate_take(rate, &bucket, ngx_current_msec, allowance);
        ngx_memcpy(e->data + e->key_len, &bucket, sizeof(ak_bucket_t));
    }

    return e;
}


void
ngx_http_apikey_zone_ends(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, uint64_t guard, ngx_msec_t ends)
{
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL && !ngx_http_apikey_zone_other(zone)
        && (uint32_t) ngx_http_apikey_zone_guard_locked(zone, hash)
           == (uint32_t) guard)
    {
        e->ends = ends;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


ngx_int_t
ngx_http_apikey_zone_rate(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance)
{
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_take(zone, key, hash, rate, allowance);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return (e == NULL) ? NGX_ERROR : NGX_OK;
}


void
ngx_http_apikey_zone_fail(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance,
    ngx_uint_t *emptied)
{
    ngx_http_apikey_entry_t  *e;

    *emptied = 0;
    ngx_memzero(allowance, sizeof(ak_allowance_t));

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_take(zone, key, hash, rate, allowance);

    /* "said" is when it was */

    if (e != NULL && allowance->granted && allowance->remaining == 0
        && (e->said == 0
            || ngx_http_apikey_entry_age(e) >= allowance->reset))
    {
        e->said = ngx_current_msec;
        *emptied = 1;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


void
ngx_http_apikey_zone_look(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance)
{
    ak_bucket_t               bucket;
    ngx_http_apikey_entry_t  *e;

    ngx_memzero(&bucket, sizeof(ak_bucket_t));

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL) {
        ngx_memcpy(&bucket, e->data + e->key_len, sizeof(ak_bucket_t));
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ak_rate_look(rate, &bucket, ngx_current_msec, allowance);
}


ngx_uint_t
ngx_http_apikey_zone_known(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash)
{
    ngx_uint_t                known;
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);
    known = (e != NULL && e->rc == AK_OK);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return known;
}


void
ngx_http_apikey_zone_release(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash)
{
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL) {
        e->busy = 0;

        if (e->rc == AK_AGAIN) {
            ngx_http_apikey_zone_delete(zone, e);
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


void *
ngx_http_apikey_zone_alloc(ngx_http_apikey_zone_t *zone, size_t size)
{
    void        *p;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_APIKEY_SHARED_EVICT_MAX; i++) {

        p = ngx_slab_alloc_locked(zone->shpool, size);

        if (p != NULL || ngx_queue_empty(&zone->sh->queue)) {
            return p;
        }

        ngx_http_apikey_zone_evict(zone,
                     ngx_queue_data(ngx_queue_last(&zone->sh->queue),
                                    ngx_http_apikey_entry_t, queue));
    }

    return NULL;
}


ngx_http_apikey_shared_t *
ngx_http_apikey_zone_shared(ngx_http_apikey_zone_t *zone, ngx_str_t *name)
{
    ngx_queue_t               *q;
    ngx_http_apikey_shared_t  *shared;

    ngx_shmtx_lock(&zone->shpool->mutex);

    for (q = ngx_queue_head(&zone->sh->shared);
         q != ngx_queue_sentinel(&zone->sh->shared);
         q = ngx_queue_next(q))
    {
        shared = ngx_queue_data(q, ngx_http_apikey_shared_t, queue);

        if (shared->name_len == name->len
            && ngx_memcmp(shared->name, name->data, name->len) == 0)
        {
            goto done;
        }
    }

    shared = ngx_http_apikey_zone_alloc(zone,
                                        sizeof(ngx_http_apikey_shared_t)
                                        + name->len);
    if (shared != NULL) {
        ngx_memzero(shared, sizeof(ngx_http_apikey_shared_t));

        shared->name_len = name->len;
        ngx_memcpy(shared->name, name->data, name->len);

        ngx_queue_insert_tail(&zone->sh->shared, &shared->queue);
    }

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return shared;
}


/* Whether it is as long ago, or never was. */

static ngx_uint_t
ngx_http_apikey_zone_past(ngx_msec_t since, ngx_msec_t interval)
{
    return since == 0
           || (ngx_msec_int_t) (ngx_current_msec - since)
              >= (ngx_msec_int_t) interval;
}


ngx_http_apikey_lease_e
ngx_http_apikey_zone_shared_lease(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, ngx_msec_t refresh, ngx_msec_t interval,
    ngx_msec_t wait)
{
    ngx_uint_t                due;
    ngx_msec_t                now;
    ngx_http_apikey_lease_e   lease;

    now = ngx_current_msec ? ngx_current_msec : 1;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (shared->busy != 0
        && (ngx_msec_int_t) (shared->busy - ngx_current_msec) > 0)
    {
        lease = NGX_HTTP_APIKEY_LEASE_BUSY;
        goto done;
    }

    if (refresh == 0) {
        due = ngx_http_apikey_zone_past(shared->asked, interval);

    } else {

        /* without any it is tried more often */

        if (shared->said == 0) {
            interval = ngx_min(interval, NGX_HTTP_APIKEY_SHARED_RETRY);
        }

        due = ngx_http_apikey_zone_past(shared->said, refresh)
              && ngx_http_apikey_zone_past(shared->due, interval);
    }

    if (!due) {
        lease = shared->failed ? NGX_HTTP_APIKEY_LEASE_FAILED
                               : NGX_HTTP_APIKEY_LEASE_EARLY;
        goto done;
    }

    if (refresh == 0) {
        shared->asked = now;

    } else {
        shared->due = now;
    }

    shared->busy = now + wait;

    lease = NGX_HTTP_APIKEY_LEASE_TAKEN;

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return lease;
}


/*
 * Room for a document.  There is more than it needs, taken while the zone is
 * new: in one that is full there are no pages side by side any more, and the
 * next one may be longer.
 */

static u_char *
ngx_http_apikey_zone_make_room(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, size_t len)
{
    u_char  *p;
    size_t   room;

    if (len <= shared->room) {
        return shared->text;
    }

    room = ngx_max(NGX_HTTP_APIKEY_SHARED_ROOM, 2 * len);
    p = ngx_slab_alloc_locked(zone->shpool, room);

    if (p == NULL) {
        room = len;
        p = ngx_http_apikey_zone_alloc(zone, room);
    }

    if (p != NULL) {

        if (shared->text != NULL) {
            ngx_slab_free_locked(zone->shpool, shared->text);
        }

        /* what was there is not here */

        shared->text = p;
        shared->room = room;
        shared->len = 0;
    }

    return p;
}


ngx_uint_t
ngx_http_apikey_zone_shared_put(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, ngx_str_t *text)
{
    u_char      *p;
    ngx_uint_t   version;

    ngx_shmtx_lock(&zone->shpool->mutex);

    shared->busy = 0;
    shared->attempts++;

    p = ngx_http_apikey_zone_make_room(zone, shared, text->len);

    if (p != NULL
        && (shared->version == 0 || shared->len != text->len
            || ngx_memcmp(p, text->data, text->len) != 0))
    {
        ngx_memcpy(p, text->data, text->len);
        shared->len = text->len;
        shared->version++;
    }

    shared->failed = (p == NULL);

    if (p != NULL) {
        shared->said = ngx_current_msec ? ngx_current_msec : 1;
    }

    version = (p == NULL) ? 0 : shared->version;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return version;
}


void
ngx_http_apikey_zone_shared_fail(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    shared->busy = 0;
    shared->failed = 1;
    shared->attempts++;

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/* As if it had not been tried. */

void
ngx_http_apikey_zone_shared_give_up(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    shared->busy = 0;
    shared->due = 0;
    shared->asked = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


ngx_int_t
ngx_http_apikey_zone_shared_get(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, ngx_uint_t *version, ngx_str_t *text)
{
    ngx_int_t  rc;

    /* a look without the lock: it is one word */

    if (*(volatile ngx_uint_t *) &shared->version == *version) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&zone->shpool->mutex);

    text->len = shared->len;
    text->data = ngx_alloc(text->len, ngx_cycle->log);

    if (text->data != NULL) {
        ngx_memcpy(text->data, shared->text, text->len);
        *version = shared->version;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}
