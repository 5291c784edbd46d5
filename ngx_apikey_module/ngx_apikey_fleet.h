
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_FLEET_H_INCLUDED_
#define _NGX_APIKEY_FLEET_H_INCLUDED_


#include "ak_cluster.h"
#include "ak_redis_error.h"
#include "ngx_apikey_link.h"
#include "ngx_apikey_redis.h"
#include "ngx_apikey_watch.h"


/*
 * What the parts of the client know of each other.  A query is sent to a node;
 * the topology says which, and learns where nodes are.
 */

typedef struct ngx_apikey_node_s   ngx_apikey_node_t;
typedef struct ngx_apikey_query_s  ngx_apikey_query_t;


/* A server that is read from. */

struct ngx_apikey_node_s {
    ngx_queue_t                   queue;     /* of redis->nodes */
    ngx_apikey_redis_t           *redis;
    ngx_pool_t                   *pool;      /* NULL: the cycle's */
    ngx_apikey_peer_t            *peers;
    ngx_uint_t                    npeers;
    ngx_apikey_link_conf_t        conf;
    ngx_apikey_link_t            *link;
    ngx_apikey_watch_t           *watch;     /* NULL: there is none */
    ngx_uint_t                    kept;      /* by the last map of a cluster */
    ngx_uint_t                    named;     /* by another node, */
    ngx_msec_t                    when;      /*   the last time */
};


struct ngx_apikey_query_s {
    ngx_queue_t                   queue;     /* of redis->queries */
    ngx_queue_t                   parked;    /* of redis->parked */
    ngx_apikey_redis_t           *redis;
    ngx_apikey_node_t            *node;      /* that was asked */
    ngx_apikey_node_t            *target;    /* that is to be asked, or NULL */
    ak_redis_ticket_t            *ticket;    /* NULL: it is with no link */
    ngx_event_t                   timer;
    ngx_msec_t                    deadline;
    ak_redis_handler_pt           handler;
    void                         *data;
    ngx_uint_t                    flags;
    ngx_uint_t                    tries;
    unsigned                      slot;
    unsigned                      asking:1;  /* ASK was answered */
    unsigned                      later:1;   /* it waits for a moment */
    unsigned                      is_parked:1;
    size_t                        argc;
    ak_str_t                      argv[1];
};


typedef struct {
    ngx_int_t                   (*start)(ngx_apikey_redis_t *redis);
    void                        (*stop)(ngx_apikey_redis_t *redis);

    /*
     * The node to ask; NULL with NGX_AGAIN: it is being found out, with
     * NGX_DECLINED: there is none.
     */

    ngx_apikey_node_t          *(*node)(ngx_apikey_redis_t *redis,
                                    ngx_apikey_query_t *q, ngx_int_t *rc);

    /* A node's connection is over, or it says that it is not what it was. */

    void                        (*lost)(ngx_apikey_node_t *node);

    /* After MOVED, ASK, CLUSTERDOWN.  NGX_OK: the query can be sent again. */

    ngx_int_t                   (*redirect)(ngx_apikey_redis_t *redis,
                                    ngx_apikey_query_t *q,
                                    ak_redis_error_e error,
                                    const ak_reply_t *reply);
} ngx_apikey_topology_t;


struct ngx_apikey_redis_s {

    /* debug logging of timers takes the first four for a connection's */

    const ngx_apikey_topology_t  *topology;
    ak_store_conf_t              *store;
    ngx_apikey_tls_t             *tls;
    ngx_socket_t                  fd;

    ngx_apikey_peer_t            *hosts;     /* of the configuration */
    ngx_uint_t                    nhosts;
    ngx_apikey_login_t            login;
    ngx_apikey_login_t            sentinel_login;
    ngx_resolver_t               *resolver;
    ngx_msec_t                    resolver_timeout;
    u_char                       *file;      /* where it is configured */
    ngx_uint_t                    line;

    ngx_queue_t                   nodes;
    ngx_queue_t                   queries;   /* all */
    ngx_queue_t                   parked;    /* for which no node is known */
    ngx_uint_t                    told;      /* errors, a bit each */
    ngx_msec_t                    erred;     /* the last time */

    /* to a sentinel, or to any node of a cluster */

    ngx_apikey_link_conf_t        guide_conf;
    ngx_apikey_link_t            *guide;
    ngx_apikey_node_t            *master;    /* that sentinels named */
    ngx_uint_t                    losses;    /* of it, since it answered */

    ak_cluster_t                 *map;
    ngx_apikey_node_t           **table;     /* nodes by their numbers */
    ngx_uint_t                    ntable;
    ngx_event_t                   refresh;   /* of the map, of the master */
    ngx_event_t                   sweep;     /* posted: nodes that left */
    ngx_msec_t                    asked;     /* for the map, the last time */
    ngx_apikey_link_t            *asking;    /* for the map, or NULL */
    ngx_uint_t                    turn;      /* of replicas */

    ngx_apikey_watch_conf_t      *watch;     /* NULL: nobody wants to know */
    ngx_apikey_cover_t            cover;

    ngx_log_t                    *log;

    unsigned                      started:1;
    unsigned                      stopped:1;
    unsigned                      loaded:1;  /* a map was */
    unsigned                      unsure:1;  /* sentinels are asked again, */
    unsigned                      pending:1; /*   and one has to answer */
};


/* ngx_apikey_redis.c */

/*
 * A node; its peers are of the configuration, or NULL and its own, of that host
 * and port.  It is being connected to.  NULL: no memory.
 */

ngx_apikey_node_t *ngx_apikey_node_create(ngx_apikey_redis_t *redis,
    ngx_apikey_peer_t *peers, ngx_uint_t n, ak_str_t host, unsigned port);

/* The node is at another address now.  Not in one of its handlers. */

ngx_int_t ngx_apikey_node_move(ngx_apikey_node_t *node, ak_str_t host,
    unsigned port);

/* Not in one of its handlers; nobody must find it any more. */

void ngx_apikey_node_free(ngx_apikey_node_t *node);

ngx_uint_t ngx_apikey_node_is(ngx_apikey_node_t *node, ak_str_t host,
    unsigned port);

/* Sends those who waited to know the node, or tells them that there is none. */

void ngx_apikey_redis_unpark(ngx_apikey_redis_t *redis);

/* Tells the log of an error, once until a server comes back. */

void ngx_apikey_redis_tell(ngx_apikey_redis_t *redis, ak_redis_error_e error,
    const ak_reply_t *reply);

/* A link's configuration with what all of a store have in common. */

void ngx_apikey_redis_link_conf(ngx_apikey_redis_t *redis,
    ngx_apikey_link_conf_t *conf);

extern const ngx_apikey_topology_t  ngx_apikey_topology_sentinel;
extern const ngx_apikey_topology_t  ngx_apikey_topology_cluster;


#endif /* _NGX_APIKEY_FLEET_H_INCLUDED_ */
