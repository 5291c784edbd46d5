
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_counts.h"


static void ngx_http_apikey_counts_add(ngx_http_apikey_counts_t *total,
    ngx_http_apikey_counts_t *counts);


void
ngx_http_apikey_counts_open(ngx_http_apikey_main_conf_t *mcf)
{
    ngx_queue_t               *q;
    ngx_http_apikey_zone_t    *zone;
    ngx_http_apikey_counts_t  *counts;

    /* where there is no room they are nobody's */

    static ngx_http_apikey_counts_t  nowhere;

    zone = mcf->zone;

    ngx_shmtx_lock(&zone->shpool->mutex);

    for (q = ngx_queue_head(&zone->sh->counts);
         q != ngx_queue_sentinel(&zone->sh->counts);
         q = ngx_queue_next(q))
    {
        counts = ngx_queue_data(q, ngx_http_apikey_counts_t, queue);

        if (counts->slot == ngx_process_slot) {
            goto done;
        }
    }

    counts = ngx_http_apikey_zone_alloc(zone,
                                        sizeof(ngx_http_apikey_counts_t));
    if (counts != NULL) {
        ngx_memzero(counts, sizeof(ngx_http_apikey_counts_t));

        counts->slot = ngx_process_slot;
        ngx_queue_insert_tail(&zone->sh->counts, &counts->queue);
    }

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (counts == NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "apikey: the zone has no room for the counts of this "
                      "worker: make \"apikey_zone\" larger");

        counts = &nowhere;
    }

    mcf->counts = counts;
}


static void
ngx_http_apikey_counts_add(ngx_http_apikey_counts_t *total,
    ngx_http_apikey_counts_t *counts)
{
    ngx_uint_t  i, k;

    for (i = 0; i < AK_REASON_MAX; i++) {
        total->verdicts[i] += counts->verdicts[i];
    }

    for (i = 0; i < NGX_HTTP_APIKEY_ASKED_MAX; i++) {

        for (k = 0; k < NGX_HTTP_APIKEY_SOURCES; k++) {
            total->lookups[i][k] += counts->lookups[i][k];
        }
    }
}


void
ngx_http_apikey_zone_state(ngx_http_apikey_zone_t *zone,
    ngx_http_apikey_zone_state_t *state)
{
    ngx_uint_t                  i;
    ngx_queue_t                *q;
    ngx_http_apikey_cover_t    *cover;
    ngx_http_apikey_zone_sh_t  *sh;

    ngx_memzero(state, sizeof(ngx_http_apikey_zone_state_t));

    sh = zone->sh;

    ngx_shmtx_lock(&zone->shpool->mutex);

    for (q = ngx_queue_head(&sh->counts);
         q != ngx_queue_sentinel(&sh->counts);
         q = ngx_queue_next(q))
    {
        ngx_http_apikey_counts_add(&state->total,
                                   ngx_queue_data(q, ngx_http_apikey_counts_t,
                                                  queue));
    }

    state->free = zone->shpool->pfree * ngx_pagesize;
    state->epoch = sh->epoch;

    ngx_memcpy(state->entries, sh->entries, sizeof(sh->entries));
    ngx_memcpy(state->evicted, sh->evicted, sizeof(sh->evicted));

    for (i = 0; i < NGX_HTTP_APIKEY_COVERS; i++) {
        cover = &sh->covers[i];

        if (cover->pid != 0
            && (ngx_msec_int_t) (cover->until - ngx_current_msec) > 0)
        {
            state->covers[state->ncovers++] = *cover;
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}
