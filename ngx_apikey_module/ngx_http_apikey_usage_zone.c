
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_usage.h"
#include "ngx_http_apikey_zone.h"


/*
 * A part of the zone is the table's, taken while the zone is new: in one that
 * is full of what is cached there are no pages side by side any more, and an
 * entry of usage is worth less than the record of a key.
 */

#define NGX_HTTP_APIKEY_USAGE_SHARE  16        /* of the zone, one of so many */
#define NGX_HTTP_APIKEY_USAGE_ROOM   1024      /* bytes, at least */
#define NGX_HTTP_APIKEY_USAGE_CHUNK  64        /* entries at a lock */
#define NGX_HTTP_APIKEY_USAGE_LOOK   256       /* entries, for one to go */
#define NGX_HTTP_APIKEY_USAGE_DUE    1024      /* entries in a turn */


typedef struct ngx_http_apikey_usage_entry_s  ngx_http_apikey_usage_entry_t;


/*
 * An entry is free; or it is ready, to be written; or it was written within
 * the interval, and has since been used again (it is dirty) or not.
 */

struct ngx_http_apikey_usage_entry_s {
    ngx_queue_t                     queue;
    ngx_http_apikey_usage_entry_t  *next;      /* of the same bucket */
    ngx_msec_t                      written;
    ngx_http_apikey_used_t          used;      /* requests not yet written */
};


typedef struct {
    ngx_queue_t                     free;
    ngx_queue_t                     ready;     /* has waited longest first */
    ngx_queue_t                     written;   /* the oldest first */
    ngx_uint_t                      dirty;     /* entries with requests */

    ngx_msec_t                      busy;      /* a worker writes until then */
    ngx_uint_t                      lease;     /* the last one's number */
    ngx_msec_t                      pause;     /* no turn until then */
    ngx_uint_t                      refused;   /* who was, or 0 */
    ngx_uint_t                      newest;    /* who was loaded last */

    ngx_uint_t                      mask;      /* of buckets */
    ngx_http_apikey_usage_entry_t  *buckets[1];
} ngx_http_apikey_usage_sh_t;


static ngx_http_apikey_usage_sh_t *ngx_http_apikey_usage_create(
    ngx_http_apikey_zone_t *zone);
static ngx_int_t ngx_http_apikey_usage_add(ngx_http_apikey_usage_sh_t *sh,
    ngx_http_apikey_used_t *used);
static ngx_http_apikey_usage_entry_t *ngx_http_apikey_usage_find(
    ngx_http_apikey_usage_sh_t *sh, ngx_http_apikey_used_t *used);
static ngx_http_apikey_usage_entry_t *ngx_http_apikey_usage_new(
    ngx_http_apikey_usage_sh_t *sh);
static void ngx_http_apikey_usage_free(ngx_http_apikey_usage_sh_t *sh,
    ngx_http_apikey_usage_entry_t *e);
static void ngx_http_apikey_usage_due(ngx_http_apikey_usage_sh_t *sh,
    ngx_msec_t interval);
static ngx_uint_t ngx_http_apikey_usage_passed(ngx_msec_t when);


ngx_int_t
ngx_http_apikey_usage_zone_init(ngx_http_apikey_zone_t *zone, ngx_uint_t who)
{
    ngx_http_apikey_usage_sh_t  *sh;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->sh->usage == NULL) {
        zone->sh->usage = ngx_http_apikey_usage_create(zone);
    }

    sh = zone->sh->usage;

    if (sh != NULL) {
        sh->newest = who;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return (sh == NULL) ? NGX_ERROR : NGX_OK;
}


static ngx_http_apikey_usage_sh_t *
ngx_http_apikey_usage_create(ngx_http_apikey_zone_t *zone)
{
    size_t                          room, head, size;
    ngx_uint_t                      n;
    ngx_http_apikey_usage_sh_t     *sh;
    ngx_http_apikey_usage_entry_t  *e, *last;

    sh = NULL;
    room = (zone->shpool->end - (u_char *) zone->shpool)
           / NGX_HTTP_APIKEY_USAGE_SHARE;
    room = ngx_max(room, NGX_HTTP_APIKEY_USAGE_ROOM);

    for ( /* void */ ; room >= NGX_HTTP_APIKEY_USAGE_ROOM; room /= 2) {

        sh = ngx_slab_alloc_locked(zone->shpool, room);
        if (sh != NULL) {
            break;
        }
    }

    if (sh == NULL) {
        return NULL;
    }

    size = sizeof(ngx_http_apikey_usage_entry_t);

    for (n = 1; 2 * n * size <= room; n *= 2) { /* void */ }

    head = offsetof(ngx_http_apikey_usage_sh_t, buckets)
           + n * sizeof(ngx_http_apikey_usage_entry_t *);

    ngx_memzero(sh, head);

    ngx_queue_init(&sh->free);
    ngx_queue_init(&sh->ready);
    ngx_queue_init(&sh->written);

    sh->mask = n - 1;

    e = (ngx_http_apikey_usage_entry_t *) ((u_char *) sh + head);
    last = e + (room - head) / size;

    for ( /* void */ ; e < last; e++) {
        ngx_queue_insert_tail(&sh->free, &e->queue);
    }

    return sh;
}


ngx_uint_t
ngx_http_apikey_usage_merge(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_used_t *used, ngx_uint_t n)
{
    ngx_uint_t                   i, left;
    ngx_http_apikey_usage_sh_t  *sh;

    sh = zone->sh->usage;
    left = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    for (i = 0; i < n; i++) {

        if (i % NGX_HTTP_APIKEY_USAGE_CHUNK == 0 && i != 0) {
            ngx_shmtx_unlock(&zone->shpool->mutex);
            ngx_shmtx_lock(&zone->shpool->mutex);
        }

        if (ngx_http_apikey_usage_add(sh, &used[i]) != NGX_OK) {
            used[left++] = used[i];
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return left;
}


static ngx_int_t
ngx_http_apikey_usage_add(ngx_http_apikey_usage_sh_t *sh,
    ngx_http_apikey_used_t *used)
{
    ngx_http_apikey_usage_entry_t  *e, **bucket;

    e = ngx_http_apikey_usage_find(sh, used);

    if (e != NULL) {

        if (e->used.requests == 0) {
            sh->dirty++;
        }

        e->used.requests += used->requests;
        e->used.last = ngx_max(e->used.last, used->last);

        return NGX_OK;
    }

    e = ngx_http_apikey_usage_new(sh);
    if (e == NULL) {
        return NGX_DECLINED;
    }

    e->used = *used;

    bucket = &sh->buckets[used->hash & sh->mask];
    e->next = *bucket;
    *bucket = e;

    ngx_queue_insert_tail(&sh->ready, &e->queue);
    sh->dirty++;

    return NGX_OK;
}


static ngx_http_apikey_usage_entry_t *
ngx_http_apikey_usage_find(ngx_http_apikey_usage_sh_t *sh,
    ngx_http_apikey_used_t *used)
{
    ngx_http_apikey_usage_entry_t  *e;

    for (e = sh->buckets[used->hash & sh->mask]; e != NULL; e = e->next) {

        if (e->used.hash == used->hash && e->used.len == used->len
            && ngx_memcmp(e->used.id, used->id, used->len) == 0)
        {
            return e;
        }
    }

    return NULL;
}


/*
 * One that is free, or was written longest ago and not used since: what it
 * knows is when it may be written again.
 */

static ngx_http_apikey_usage_entry_t *
ngx_http_apikey_usage_new(ngx_http_apikey_usage_sh_t *sh)
{
    ngx_uint_t                      i;
    ngx_queue_t                    *q;
    ngx_http_apikey_usage_entry_t  *e;

    q = ngx_queue_head(&sh->written);

    for (i = 0; ngx_queue_empty(&sh->free); i++) {

        if (i == NGX_HTTP_APIKEY_USAGE_LOOK
            || q == ngx_queue_sentinel(&sh->written))
        {
            return NULL;
        }

        e = ngx_queue_data(q, ngx_http_apikey_usage_entry_t, queue);
        q = ngx_queue_next(q);

        if (e->used.requests == 0) {
            ngx_http_apikey_usage_free(sh, e);
        }
    }

    q = ngx_queue_head(&sh->free);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_http_apikey_usage_entry_t, queue);
}


static void
ngx_http_apikey_usage_free(ngx_http_apikey_usage_sh_t *sh,
    ngx_http_apikey_usage_entry_t *e)
{
    ngx_http_apikey_usage_entry_t  **p;

    for (p = &sh->buckets[e->used.hash & sh->mask];
         *p != NULL;
         p = &(*p)->next)
    {
        if (*p == e) {
            *p = e->next;
            break;
        }
    }

    ngx_queue_remove(&e->queue);
    ngx_queue_insert_head(&sh->free, &e->queue);
}


/* Another worker changes it meanwhile: it is one word. */

ngx_uint_t
ngx_http_apikey_usage_dirty(ngx_http_apikey_zone_t *zone)
{
    ngx_http_apikey_usage_sh_t *sh = zone->sh->usage;

    return *(volatile ngx_uint_t *) &sh->dirty;
}


ngx_uint_t
ngx_http_apikey_usage_newest(ngx_http_apikey_zone_t *zone, ngx_uint_t who)
{
    ngx_http_apikey_usage_sh_t *sh = zone->sh->usage;

    return *(volatile ngx_uint_t *) &sh->newest == who;
}


/* The interval of those that were written first has passed; 0: of all. */

static void
ngx_http_apikey_usage_due(ngx_http_apikey_usage_sh_t *sh, ngx_msec_t interval)
{
    ngx_uint_t                      i;
    ngx_queue_t                    *q;
    ngx_http_apikey_usage_entry_t  *e;

    for (i = 0; interval == 0 || i < NGX_HTTP_APIKEY_USAGE_DUE; i++) {

        if (ngx_queue_empty(&sh->written)) {
            return;
        }

        q = ngx_queue_head(&sh->written);
        e = ngx_queue_data(q, ngx_http_apikey_usage_entry_t, queue);

        if (!ngx_http_apikey_usage_passed(e->written + interval)) {
            return;
        }

        if (e->used.requests == 0) {
            ngx_http_apikey_usage_free(sh, e);

        } else {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&sh->ready, q);
        }
    }
}


ngx_uint_t
ngx_http_apikey_usage_lease(ngx_http_apikey_zone_t *zone, ngx_uint_t who,
    ngx_uint_t last, ngx_msec_t wait, ngx_uint_t *refused)
{
    ngx_uint_t                   lease, pause;
    ngx_http_apikey_usage_sh_t  *sh;

    sh = zone->sh->usage;
    lease = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (sh->refused != 0) {
        pause = (sh->refused == who);

    } else {
        pause = !last;
    }

    if (sh->pause == 0 || ngx_http_apikey_usage_passed(sh->pause)) {
        pause = 0;
    }

    if (!pause && (sh->busy == 0 || ngx_http_apikey_usage_passed(sh->busy))) {

        ngx_http_apikey_usage_due(sh, last ? 0 : zone->usage);

        if (!ngx_queue_empty(&sh->ready)) {
            sh->busy = ngx_current_msec + wait;
            lease = ++sh->lease;
            *refused = (sh->refused == who);
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return lease;
}


ngx_uint_t
ngx_http_apikey_usage_take(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_used_t *used, ngx_uint_t max)
{
    ngx_uint_t                      n;
    ngx_queue_t                    *q;
    ngx_http_apikey_usage_sh_t     *sh;
    ngx_http_apikey_usage_entry_t  *e;

    sh = zone->sh->usage;

    ngx_shmtx_lock(&zone->shpool->mutex);

    for (n = 0; n < max && !ngx_queue_empty(&sh->ready); n++) {

        if (n % NGX_HTTP_APIKEY_USAGE_CHUNK == 0 && n != 0) {
            ngx_shmtx_unlock(&zone->shpool->mutex);
            ngx_shmtx_lock(&zone->shpool->mutex);

            if (ngx_queue_empty(&sh->ready)) {
                break;
            }
        }

        q = ngx_queue_head(&sh->ready);
        e = ngx_queue_data(q, ngx_http_apikey_usage_entry_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&sh->written, q);

        e->written = ngx_current_msec;
        used[n] = e->used;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return n;
}


/* What was sent is taken off only now: in between more may have come. */

void
ngx_http_apikey_usage_settle(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_used_t *used, ngx_uint_t written)
{
    ngx_http_apikey_usage_sh_t     *sh;
    ngx_http_apikey_usage_entry_t  *e;

    sh = zone->sh->usage;

    ngx_shmtx_lock(&zone->shpool->mutex);

    e = ngx_http_apikey_usage_find(sh, used);

    if (e != NULL && e->used.requests != 0) {

        if (!written) {
            ngx_queue_remove(&e->queue);
            ngx_queue_insert_tail(&sh->ready, &e->queue);

        } else {
            e->used.requests -= ngx_min(e->used.requests, used->requests);

            if (e->used.requests == 0) {
                sh->dirty--;
            }
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


void
ngx_http_apikey_usage_done(ngx_http_apikey_zone_t *zone, ngx_uint_t lease,
    ngx_msec_t pause, ngx_uint_t refused)
{
    ngx_http_apikey_usage_sh_t  *sh;

    sh = zone->sh->usage;

    ngx_shmtx_lock(&zone->shpool->mutex);

    /* one that took too long is somebody else's now */

    if (sh->lease == lease) {
        sh->busy = 0;
        sh->pause = ngx_current_msec + pause;
        sh->refused = refused;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


static ngx_uint_t
ngx_http_apikey_usage_passed(ngx_msec_t when)
{
    return (ngx_msec_int_t) (ngx_current_msec - when) >= 0;
}
