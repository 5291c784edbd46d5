
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_zone.h"


typedef struct {
    ngx_rbtree_node_t             node;
    ngx_queue_t                   queue;
    ngx_msec_t                    said;        /* when the store said it */
    ngx_msec_t                    busy;        /* a worker asks until then */
    uint16_t                      key_len;
    uint16_t                      value_len;
    int8_t                        rc:4;        /* ak_rc_t; AK_AGAIN: none */
    uint8_t                       room:4;      /* its logarithm */
    u_char                        data[1];     /* key, value */
} ngx_http_apikey_entry_t;


/* How many entries may go to make room for one. */

#define NGX_HTTP_APIKEY_EVICT_MAX  64


static void ngx_http_apikey_zone_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_http_apikey_entry_cmp(ngx_http_apikey_entry_t *e,
    u_char *key, size_t len);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_find(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash);
static ngx_uint_t ngx_http_apikey_zone_shift(size_t size);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_room(
    ngx_http_apikey_zone_t *zone, size_t size, ngx_uint_t *shift);
static ngx_http_apikey_entry_t *ngx_http_apikey_zone_add(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash, size_t len);
static void ngx_http_apikey_zone_delete(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e);
static ngx_uint_t ngx_http_apikey_entry_fresh(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e);
static ngx_msec_t ngx_http_apikey_entry_age(ngx_http_apikey_entry_t *e);


ngx_int_t
ngx_http_apikey_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_apikey_zone_t  *ozone = data;

    ngx_http_apikey_zone_t  *zone;

    zone = shm_zone->data;

    if (ozone) {
        zone->sh = ozone->sh;
        zone->shpool = ozone->shpool;
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

    /* a full zone is no error: entries are evicted */

    zone->shpool->log_nomem = 0;

    return NGX_OK;
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
        ngx_http_apikey_zone_delete(zone, e);

        return ngx_slab_alloc_locked(zone->shpool,
                                     ngx_max(size, (size_t) 1 << *shift));
    }

    for (i = 0; i < NGX_HTTP_APIKEY_EVICT_MAX
                && !ngx_queue_empty(&zone->sh->queue); i++)
    {
        q = ngx_queue_last(&zone->sh->queue);

        ngx_http_apikey_zone_delete(zone,
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

    e = ngx_http_apikey_zone_room(zone,
                                  offsetof(ngx_http_apikey_entry_t, data)
                                  + key->len + len, &shift);
    if (e == NULL) {
        return NULL;
    }

    e->room = shift;
    e->node.key = hash;
    e->said = 0;
    e->busy = 0;
    e->key_len = (uint16_t) key->len;
    e->value_len = (uint16_t) len;
    e->rc = AK_AGAIN;
    ngx_memcpy(e->data, key->data, key->len);

    ngx_rbtree_insert(&zone->sh->rbtree, &e->node);
    ngx_queue_insert_head(&zone->sh->queue, &e->queue);

    return e;
}


static void
ngx_http_apikey_zone_delete(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    ngx_queue_remove(&e->queue);
    ngx_rbtree_delete(&zone->sh->rbtree, &e->node);
    ngx_slab_free_locked(zone->shpool, e);
}


static ngx_uint_t
ngx_http_apikey_entry_fresh(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_entry_t *e)
{
    ngx_msec_t  ttl;

    if (e->rc == AK_AGAIN) {
        return 0;
    }

    ttl = (e->rc == AK_OK) ? zone->ttl : zone->negative_ttl;

    return ngx_http_apikey_entry_age(e) < ttl;
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
    uint32_t hash, ngx_msec_t wait, ak_rc_t *rc, u_char *value, size_t *len)
{
    ngx_http_apikey_zone_e    found;
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL) {
        ngx_queue_remove(&e->queue);
        ngx_queue_insert_head(&zone->sh->queue, &e->queue);
    }

    if (e != NULL && ngx_http_apikey_entry_fresh(zone, e)) {

        *rc = e->rc;
        *len = e->value_len;
        ngx_memcpy(value, e->data + e->key_len, e->value_len);

        found = NGX_HTTP_APIKEY_ZONE_FRESH;

    } else if (e != NULL && e->busy != 0
               && (ngx_msec_int_t) (e->busy - ngx_current_msec) > 0)
    {
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


ngx_int_t
ngx_http_apikey_zone_stale(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, u_char *value, size_t *len)
{
    ngx_int_t                 rc;
    ngx_http_apikey_entry_t  *e;

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e != NULL && e->rc == AK_OK
        && ngx_http_apikey_entry_age(e) < zone->stale)
    {
        *len = e->value_len;
        ngx_memcpy(value, e->data + e->key_len, e->value_len);

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


void
ngx_http_apikey_zone_store(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ak_rc_t rc, ak_str_t value)
{
    ngx_http_apikey_entry_t  *e;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

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

        if (value.len != 0) {
            ngx_memcpy(e->data + e->key_len, value.data, value.len);
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


ngx_int_t
ngx_http_apikey_zone_rate(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance)
{
    ak_bucket_t               bucket;
    ngx_http_apikey_entry_t  *e;

    ngx_memzero(&bucket, sizeof(ak_bucket_t));

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_zone_find(zone, key, hash);

    if (e == NULL) {
        e = ngx_http_apikey_zone_add(zone, key, hash, sizeof(ak_bucket_t));

    } else {
        ngx_queue_remove(&e->queue);
        ngx_queue_insert_head(&zone->sh->queue, &e->queue);

        /* what lies behind a key has no alignment */

        ngx_memcpy(&bucket, e->data + e->key_len, sizeof(ak_bucket_t));
    }

    if (e != NULL) {
        ak_rate_take(rate, &bucket, ngx_current_msec, allowance);
        ngx_memcpy(e->data + e->key_len, &bucket, sizeof(ak_bucket_t));
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return (e == NULL) ? NGX_ERROR : NGX_OK;
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
