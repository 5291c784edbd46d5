
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_COUNTS_H_INCLUDED_
#define _NGX_HTTP_APIKEY_COUNTS_H_INCLUDED_


#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_zone.h"


/*
 * What became of requests.  Each worker counts in a place of its own in the
 * zone, without a lock; whoever wants to know adds them up.  A place belongs
 * to a slot of the master's table of processes: two workers that live never
 * have the same, and who takes the slot of one that ended goes on counting
 * where that one stopped.
 */

typedef enum {
    NGX_HTTP_APIKEY_ASKED_OTHER = 0,           /* not of a store */
    NGX_HTTP_APIKEY_ASKED_KEY,
    NGX_HTTP_APIKEY_ASKED_UPSTREAM,
    NGX_HTTP_APIKEY_ASKED_MARK,
    NGX_HTTP_APIKEY_ASKED_MAX
} ngx_http_apikey_asked_e;


#define NGX_HTTP_APIKEY_SOURCES  (AK_SOURCE_STALE + 1)


/* Verdicts by reason; AK_IGNORE: another access module let it pass. */

struct ngx_http_apikey_counts_s {
    ngx_queue_t                   queue;       /* of the zone's counts */
    ngx_int_t                     slot;        /* ngx_process_slot */
    ngx_atomic_uint_t             verdicts[AK_REASON_MAX];
    ngx_atomic_uint_t             lookups[NGX_HTTP_APIKEY_ASKED_MAX]
                                         [NGX_HTTP_APIKEY_SOURCES];
};


/*
 * Finds or makes the place of this worker, mcf->counts.  In a worker that has
 * begun to look things up there is one.
 */

void ngx_http_apikey_counts_open(ngx_http_apikey_main_conf_t *mcf);


/* A zone, as it was at one moment; of all workers, old and new. */

typedef struct {
    ngx_http_apikey_counts_t      total;
    size_t                        free;        /* bytes, in whole pages */
    ngx_uint_t                    entries[2];
    ngx_uint_t                    evicted[2];
    uint32_t                      epoch;
    ngx_uint_t                    ncovers;     /* that are in force */
    ngx_http_apikey_cover_t       covers[NGX_HTTP_APIKEY_COVERS];
} ngx_http_apikey_zone_state_t;

void ngx_http_apikey_zone_state(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_zone_state_t *state);


/* Both are on the way of every request, and cost it a dozen instructions. */

/*
 * The verdict of ctx is told.  A status is that of our denial; without one,
 * and not granted, the request is nobody's that "satisfy any" let pass.
 */

static ngx_inline void
ngx_http_apikey_count_verdict(ngx_http_apikey_ctx_t *ctx)
{
    ak_reason_e  verdict;

    verdict = (ctx->status != 0) ? ctx->txn.reason
                                 : ctx->granted ? AK_SUCCESS : AK_IGNORE;

    /* where nothing was looked up there may be no place yet */

    if (ctx->mcf->counts == NULL) {
        ngx_http_apikey_counts_open(ctx->mcf);
    }

    if (verdict < AK_REASON_MAX) {
        ctx->mcf->counts->verdicts[verdict]++;
    }
}


/* What the transaction of ctx asked for is there. */

static ngx_inline void
ngx_http_apikey_count_lookup(ngx_http_apikey_ctx_t *ctx, ak_source_e source)
{
    static const u_char  asked[AK_NEED_PAUSE + 1] = {
        [AK_NEED_RECORD] = NGX_HTTP_APIKEY_ASKED_KEY,
        [AK_NEED_TOKENS] = NGX_HTTP_APIKEY_ASKED_UPSTREAM,
        [AK_NEED_MARK] = NGX_HTTP_APIKEY_ASKED_MARK,
        [AK_NEED_FOREIGN] = NGX_HTTP_APIKEY_ASKED_MARK
    };

    ctx->mcf->counts->lookups[asked[ctx->txn.need.type]][source]++;
}


#endif /* _NGX_HTTP_APIKEY_COUNTS_H_INCLUDED_ */
