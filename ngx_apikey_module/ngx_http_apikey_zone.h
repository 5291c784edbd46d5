
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_ZONE_H_INCLUDED_
#define _NGX_HTTP_APIKEY_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ak.h"
#include "ngx_http_apikey_module.h"


/*
 * The cache that all workers share: what the store said of a key, packed, with
 * the time it was said.  It holds salted hashes and sealed tokens, no secrets.
 */

#define NGX_HTTP_APIKEY_ZONE_MIN  (8 * ngx_pagesize)


/* The keys of the zone: a letter for the kind, then the names. */

#define NGX_HTTP_APIKEY_RECORD      'k'        /* id */
#define NGX_HTTP_APIKEY_TOKENS      't'        /* owner ":" provider */
#define NGX_HTTP_APIKEY_BUCKET      'b'        /* of a rate: its name */
#define NGX_HTTP_APIKEY_KEPT        'j'        /* a digest */
#define NGX_HTTP_APIKEY_MARK        'm'        /* name under the prefix */
#define NGX_HTTP_APIKEY_FOREIGN     'f'        /* name */
#define NGX_HTTP_APIKEY_TURN        'p'        /* owner ":" provider */
#define NGX_HTTP_APIKEY_SLOT        's'        /* the same ":" slot */

/* These begin with a digest of a rate: see ngx_http_apikey_limit.c. */

#define NGX_HTTP_APIKEY_FAILURES    'l'        /* source */
#define NGX_HTTP_APIKEY_ALLOWANCE   'a'        /* source */
#define NGX_HTTP_APIKEY_ABSENT      'g'        /* of all */


/*
 * What anybody can cause to be kept, who has no good key, is kept apart, in an
 * eighth of the zone: that there is no key of an id, and the buckets of
 * sources.  It takes no room from what is good, and what is good takes none
 * from it.
 */

#define NGX_HTTP_APIKEY_ZONE_SHARE  8

/* What is known of slots is kept apart too: so many bytes of zone for each. */

#define NGX_HTTP_APIKEY_SLOT_SHARE  4096


#define NGX_HTTP_APIKEY_KEY_MAX     480        /* bytes, with its letter */


#define NGX_HTTP_APIKEY_GUARDS    1024
#define NGX_HTTP_APIKEY_COVERS    128          /* workers, old and new */


/* That a worker is told of changes in the store, and until when. */

typedef struct {
    ngx_pid_t                     pid;
    ngx_msec_t                    until;
    ngx_uint_t                    how;         /* ngx_apikey_watch_e */
} ngx_http_apikey_cover_t;


typedef struct {
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;
    ngx_queue_t                   queue;       /* last used first */
    ngx_queue_t                   shared;      /* what is never evicted */

    /* what the store said is true as long as one worker is told of changes */

    ngx_msec_t                    until;       /* the longest of covers */
    uint32_t                      epoch;       /* times nobody was told */
    uint32_t                      store;       /* that said all this */
    uint32_t                      guards[NGX_HTTP_APIKEY_GUARDS];
    ngx_http_apikey_cover_t       covers[NGX_HTTP_APIKEY_COVERS];

    ngx_queue_t                   guesses;     /* in slots, last used first */
    ngx_queue_t                   spare;       /* slots that were used */
    u_char                       *slots;
    u_char                       *fresh;       /* the first that never was */
    u_char                       *last;        /* behind the last one */

    void                         *usage;       /* of keys; NULL: no table */

    /* ngx_http_apikey_pool.c */

    ngx_queue_t                   pool;        /* slots, last used first */
    ngx_uint_t                    pooled;      /* how many they are */
    ngx_msec_t                    cooling;     /* some are, until then */
    ngx_uint_t                    refused;     /* some may be */

    /* for the status page; 1: of what anybody can cause */

    ngx_queue_t                   counts;      /* ngx_http_apikey_counts_t */
    ngx_uint_t                    entries[2];
    ngx_uint_t                    evicted[2];
} ngx_http_apikey_zone_sh_t;


struct ngx_http_apikey_zone_s {
    ngx_http_apikey_zone_sh_t    *sh;
    ngx_slab_pool_t              *shpool;
    ngx_msec_t                    ttl;
    ngx_msec_t                    negative_ttl;
    ngx_msec_t                    stale;
    ngx_uint_t                    covered;     /* what is not, is not fresh */
    ngx_uint_t                    told;        /* this worker is, of changes, */
    ngx_msec_t                    until;       /*   until then */
    uint32_t                      store;       /* a hash of its words */
    ngx_msec_t                    usage;       /* 0: it is not counted */
};


typedef enum {
    NGX_HTTP_APIKEY_ZONE_FRESH,        /* rc and value are what was said */
    NGX_HTTP_APIKEY_ZONE_BUSY,         /* another worker is asking */
    NGX_HTTP_APIKEY_ZONE_MISS          /* the caller is to ask */
} ngx_http_apikey_zone_e;


/* What the store said of a key. */

typedef struct {
    ak_rc_t                       rc;
    u_char                       *value;       /* has room for AK_VALUE_MAX */
    size_t                        len;
    uint64_t                      guard;       /* of what will be said */
    ngx_uint_t                    ahead;       /* it is fresh, but the caller
                                                  is to ask for it anew */
} ngx_http_apikey_said_t;


/* A document that one worker fetches for all. */

typedef struct {
    ngx_queue_t                   queue;
    ngx_msec_t                    said;        /* when it was fetched last; */
    ngx_msec_t                    due;         /*   when it was tried because
                                                    it was due, */
    ngx_msec_t                    asked;       /*   or asked for; 0: never */
    ngx_msec_t                    busy;        /* a worker fetches until then */
    ngx_uint_t                    version;     /* of text; 0: there is none */
    ngx_uint_t                    failed;      /* the last time */
    ngx_uint_t                    attempts;    /* that have ended */
    size_t                        len;
    size_t                        room;        /* for text */
    u_char                       *text;
    size_t                        name_len;
    u_char                        name[1];
} ngx_http_apikey_shared_t;


typedef enum {
    NGX_HTTP_APIKEY_LEASE_TAKEN,       /* the caller is to fetch */
    NGX_HTTP_APIKEY_LEASE_BUSY,        /* another worker does */
    NGX_HTTP_APIKEY_LEASE_EARLY,       /* it is not the time */
    NGX_HTTP_APIKEY_LEASE_FAILED       /* nor is it, and the last one failed */
} ngx_http_apikey_lease_e;


ngx_int_t ngx_http_apikey_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/*
 * Looks a key up.  A value is copied to said->value; with "brief" it is fresh
 * for no longer than what is not there.  After MISS others are told BUSY until
 * the caller stores or releases the key, or "wait" milliseconds have passed.
 *
 * What is used and about to age is to be asked for before it does: one caller
 * is told FRESH and "ahead", and has to do as after MISS.
 */

ngx_http_apikey_zone_e ngx_http_apikey_zone_lookup(
    ngx_http_apikey_zone_t *zone, ngx_str_t *key, uint32_t hash,
    ngx_uint_t brief, ngx_msec_t wait, ngx_http_apikey_said_t *said);

/*
 * What was said last and no longer than "stale" ago: AK_OK and a value, or
 * AK_NOT_FOUND.  NGX_DECLINED: nothing.
 */

ngx_int_t ngx_http_apikey_zone_stale(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash, ak_rc_t *rc, u_char *value, size_t *len);

/*
 * Keeps what the store said: AK_OK and a value, AK_NOT_FOUND, or AK_ERROR (it
 * cannot be read).  Where the zone is full, what was not used for longest goes.
 *
 * guard is that of the look-up before the store was asked: where the key has
 * changed since, the answer may be older than the change and is not kept;
 * where this worker was not told of changes, it is kept but is not fresh.
 */

void ngx_http_apikey_zone_store(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ak_rc_t rc, ak_str_t value, uint64_t guard);

/*
 * What is kept under that key is in the store until then (ngx_current_msec),
 * where the key has not changed since the guard.
 */

void ngx_http_apikey_zone_ends(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, uint64_t guard, ngx_msec_t ends);

/* As it is now, for what is not looked up. */

uint64_t ngx_http_apikey_zone_guard(ngx_http_apikey_zone_t *zone,
    uint32_t hash);

/* The key, or with NULL any key, has changed in the store. */

void ngx_http_apikey_zone_changed(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash);

/*
 * This worker is told of changes in the store until that time, in such a way
 * (ngx_apikey_watch_e); 0: it is not.
 */

void ngx_http_apikey_zone_cover(ngx_http_apikey_zone_t *zone, ngx_uint_t how,
    ngx_msec_t until);

/*
 * Takes a token of the bucket of that key, which is made where there is none.
 * NGX_ERROR: the zone is full of what is newer.
 */

ngx_int_t ngx_http_apikey_zone_rate(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash, const ak_rate_t *rate,
    ak_allowance_t *allowance);

/*
 * The same of a bucket of sources; there always is one.  *emptied: its last
 * token was taken, and so it had not been for as long as it takes to fill.
 */

void ngx_http_apikey_zone_fail(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance,
    ngx_uint_t *emptied);

/* How a bucket stands, one that is not there being full; nothing is taken. */

void ngx_http_apikey_zone_look(ngx_http_apikey_zone_t *zone, ngx_str_t *key,
    uint32_t hash, const ak_rate_t *rate, ak_allowance_t *allowance);

/* Whether the store said last, however long ago, that there is such a thing. */

ngx_uint_t ngx_http_apikey_zone_known(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash);

/*
 * What was kept under a key with ngx_http_apikey_zone_store(), however long
 * ago; NGX_DECLINED: it is not there any more.
 */

ngx_int_t ngx_http_apikey_zone_kept(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash, u_char *value, size_t *len);

/*
 * Bytes that are changed in place, whose key has the letter of a slot or of
 * a turn; the zone's mutex is held.  With "make" they are made where there are
 * none, all zero.  NULL: they are not there, or there is no room.  They have no
 * alignment.
 */

u_char *ngx_http_apikey_zone_cell(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash, size_t size, ngx_uint_t make);

/*
 * Those of slots, the one used last first, until the handler returns 0, which
 * is returned then.
 */

ngx_uint_t ngx_http_apikey_zone_slots(ngx_http_apikey_zone_t *zone,
    ngx_uint_t (*handler)(void *data, ngx_str_t *key, u_char *cell),
    void *data);

/*
 * The document of a name; it is there as long as the zone.  NULL: there is no
 * room.
 */

ngx_http_apikey_shared_t *ngx_http_apikey_zone_shared(
    ngx_http_apikey_zone_t *zone, ngx_str_t *name);

/*
 * Who is to fetch it?  Times are milliseconds.  With "refresh" it is because
 * it is as old; with 0 because somebody asks for a newer one.  Neither is done
 * twice within "interval".  After TAKEN others are told BUSY for "wait", or
 * until one of those below is called.
 */

ngx_http_apikey_lease_e ngx_http_apikey_zone_shared_lease(
    ngx_http_apikey_zone_t *zone, ngx_http_apikey_shared_t *shared,
    ngx_msec_t refresh, ngx_msec_t interval, ngx_msec_t wait);

/* Fetched; the version that it has now, or 0: there is no room. */

ngx_uint_t ngx_http_apikey_zone_shared_put(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, ngx_str_t *text);

void ngx_http_apikey_zone_shared_fail(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared);
void ngx_http_apikey_zone_shared_give_up(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared);

/*
 * A copy where the version is another one than *version, which is set; to be
 * freed with ngx_free().  NGX_DECLINED: it is not.
 */

ngx_int_t ngx_http_apikey_zone_shared_get(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_shared_t *shared, ngx_uint_t *version, ngx_str_t *text);

/*
 * Memory for what stays as long as the zone, whose mutex is held; entries go
 * for it.  NULL: there is no room.
 */

void *ngx_http_apikey_zone_alloc(ngx_http_apikey_zone_t *zone, size_t size);

/* The store did not say. */

void ngx_http_apikey_zone_release(ngx_http_apikey_zone_t *zone,
    ngx_str_t *key, uint32_t hash);


#endif /* _NGX_HTTP_APIKEY_ZONE_H_INCLUDED_ */
