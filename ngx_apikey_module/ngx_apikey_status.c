
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_apikey_fleet.h"


static void ngx_apikey_status_link(ngx_apikey_link_t *link, const char *role,
    ngx_apikey_server_pt handler, void *data);


void
ngx_apikey_redis_status(ngx_apikey_redis_t *redis, ngx_apikey_state_t *state,
    ngx_apikey_server_pt handler, void *data)
{
    ngx_queue_t        *q;
    ngx_apikey_node_t  *node;

    static const char  *roles[] = { "server", "master", "node" };

    /* a single process that was reloaded is not told of its new cycle */

    if (!redis->started) {
        ngx_apikey_redis_start(redis, (ngx_cycle_t *) ngx_cycle);
    }

    ngx_memzero(state, sizeof(ngx_apikey_state_t));

    for (q = ngx_queue_head(&redis->queries);
         q != ngx_queue_sentinel(&redis->queries);
         q = ngx_queue_next(q))
    {
        state->waiting++;
    }

    state->healthy = !ngx_queue_empty(&redis->nodes);

    if (redis->store->topology == AK_STORE_CLUSTER
        && (!redis->loaded || ak_cluster_missing(redis->map) != 0))
    {
        state->healthy = 0;
    }

    /* of a cluster whose map is known any node is as good to ask */

    if (redis->guide != NULL && !redis->loaded) {
        ngx_apikey_status_link(redis->guide,
                               redis->store->topology == AK_STORE_SENTINEL
                               ? "sentinel" : "seed", handler, data);
    }

    for (q = ngx_queue_head(&redis->nodes);
         q != ngx_queue_sentinel(&redis->nodes);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_apikey_node_t, queue);

        if (redis->store->topology == AK_STORE_CLUSTER && !node->kept
            && node->named == 0)
        {
            continue;
        }

        /* one that only another node has named may go again */

        if ((redis->store->topology != AK_STORE_CLUSTER || node->kept)
            && ngx_apikey_link_is(node->link) == NGX_APIKEY_LINK_IS_DOWN)
        {
            state->healthy = 0;
        }

        ngx_apikey_status_link(node->link, roles[redis->store->topology],
                               handler, data);
    }
}


static void
ngx_apikey_status_link(ngx_apikey_link_t *link, const char *role,
    ngx_apikey_server_pt handler, void *data)
{
    ngx_apikey_link_is_e  is;
    ngx_apikey_server_t   server;

    static const char  *states[] = { "down", "lost", "up" };

    is = ngx_apikey_link_is(link);

    server.role = role;
    server.address = ngx_apikey_link_peer(link)->text;
    server.state = states[is];
    server.since = ngx_current_msec - ngx_apikey_link_since(link);
    server.why = "";

    if (is != NGX_APIKEY_LINK_IS_UP) {
        server.why = ngx_apikey_link_why(link);

        if (server.why[0] == '\0') {
            server.why = "it has not answered yet";
        }
    }

    handler(data, &server);
}
