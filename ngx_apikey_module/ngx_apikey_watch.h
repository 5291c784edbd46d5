
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_WATCH_H_INCLUDED_
#define _NGX_APIKEY_WATCH_H_INCLUDED_


#include "ngx_apikey_link.h"


/*
 * To be told of changes: a connection to each server that is read from, on
 * which it tracks names by their prefixes (CLIENT TRACKING ... BCAST, with
 * itself as REDIRECT, in RESP2) and says which changed.  Where a server or the
 * user's rights do not allow it, messages that apikeyctl publishes; else
 * nothing.
 *
 * What was read is known to be true as long as every server is watched; it is
 * for the owner to forget what it read when that was not so for a while.
 */

typedef enum {
    NGX_APIKEY_WATCH_NONE = 0,         /* a server is not watched (yet) */
    NGX_APIKEY_WATCH_TTL,              /* there is no way to be told */
    NGX_APIKEY_WATCH_MESSAGES,         /* of changes that apikeyctl makes */
    NGX_APIKEY_WATCH_TRACKING          /* of all changes */
} ngx_apikey_watch_e;


#define NGX_APIKEY_WATCH_PREFIXES  16


typedef struct {
    ak_str_t            *prefixes;     /* none begins with another */
    ngx_uint_t           nprefixes;    /* NGX_APIKEY_WATCH_PREFIXES at most */
    ak_str_t             channel;      /* of apikeyctl's messages */

    /* A name changed; NULL: any of them. */

    void               (*changed)(void *data, ak_str_t *name);

    /*
     * All servers are watched, the least of them this well, until that time
     * (ngx_current_msec), which is renewed; NGX_APIKEY_WATCH_TTL has no end.
     */

    void               (*covered)(void *data, ngx_apikey_watch_e how,
                           ngx_msec_t until);
    void                *data;
} ngx_apikey_watch_conf_t;


typedef struct ngx_apikey_watch_s  ngx_apikey_watch_t;


/* What covers them all. */

typedef struct {
    ngx_event_t          timer;
    ngx_apikey_watch_e   how;
    ngx_uint_t           missing;  /* in a row, at so many looks */
    unsigned             begun:1;
    unsigned             before:1; /* they were covered once */
    unsigned             told;     /* of which way the log was told */
} ngx_apikey_cover_t;


/* Before the client starts; conf outlives it. */

struct ngx_apikey_redis_s;

void ngx_apikey_redis_watch(struct ngx_apikey_redis_s *redis,
    ngx_apikey_watch_conf_t *conf);


/* For the client itself. */

struct ngx_apikey_node_s;

/* The node's link is ready: whatever it is connected to is watched. */

void ngx_apikey_watch_follow(struct ngx_apikey_node_s *node);

/* The node's address is about to change, or the node to end. */

void ngx_apikey_watch_end(struct ngx_apikey_node_s *node);

/* Nodes came or went. */

void ngx_apikey_watch_recount(struct ngx_apikey_redis_s *redis);

void ngx_apikey_watch_stop(struct ngx_apikey_redis_s *redis);


#endif /* _NGX_APIKEY_WATCH_H_INCLUDED_ */
