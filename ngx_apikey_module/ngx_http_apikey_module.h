
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_
#define _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ak_stack.h"
#include "ak_store.h"
#include "ngx_apikey_redis.h"


/*
 * The way of a request: the access handler drives the stack's auth and account
 * lines, the precontent handler its session lines; what these ask for comes
 * from ngx_http_apikey_lookup.c (zone, then Redis).  A grant edits headers_in
 * (ngx_http_apikey_request.c), a denial returns its status, to which the
 * filter gives its body.
 */

typedef struct ngx_http_apikey_zone_s    ngx_http_apikey_zone_t;
typedef struct ngx_http_apikey_flight_s  ngx_http_apikey_flight_t;


/* Where a directive stands, for complaints that come later. */

typedef struct {
    ngx_str_t                     file;
    ngx_uint_t                    line;
} ngx_http_apikey_where_t;


/* A header that carries a provider's key, as nginx wants its headers. */

typedef struct {
    const uint8_t                *name;        /* that of the provider table */
    u_char                       *lowcase;
    ngx_uint_t                    hash;
} ngx_http_apikey_carried_t;


typedef struct {
    ak_keyring_t                 *keyring;
    ak_digest_t                  *digest;
    ak_store_conf_t              *store;
    ngx_apikey_redis_t           *redis;
    ngx_shm_zone_t               *shm_zone;
    ngx_http_apikey_zone_t       *zone;
    ak_stack_t                   *stack;       /* of "apikey on" */

    ngx_http_apikey_where_t       enabled;     /* the first "apikey on" */
    ngx_http_apikey_where_t       injected;    /* the first inject */

    ngx_str_t                     bodies[AK_REASON_MAX];
    ngx_array_t                   carried;     /* ngx_http_apikey_carried_t */

    /* a worker's own: lookups under way, by key, and a place for replies */

    ngx_rbtree_t                  flights;
    ngx_rbtree_node_t             sentinel;
    u_char                       *value;       /* AK_VALUE_MAX bytes */
} ngx_http_apikey_main_conf_t;


typedef struct {
    ngx_flag_t                    enable;
    ngx_str_t                     challenge;   /* WWW-Authenticate */
    ak_stack_t                   *inject;      /* NULL: nothing is */
    ak_stack_t                   *stack;       /* NULL: not enabled */
} ngx_http_apikey_loc_conf_t;


/* A request's, shared by what it is redirected to. */

typedef struct {
    ak_txn_t                      txn;         /* first */
    ngx_http_request_t           *request;

    ngx_uint_t                    status;      /* of our denial, or 0 */
    const ak_stack_t             *session;     /* whose session is open */

    ngx_list_t                    headers;     /* while edited, as sent */

    ngx_queue_t                   queue;       /* while it waits */

    unsigned                      decided:1;   /* by auth and account */
    unsigned                      granted:1;
    unsigned                      waiting:1;
    unsigned                      guarded:1;   /* a cleanup detaches it */
    unsigned                      edited:1;
    unsigned                      body_sent:1;
} ngx_http_apikey_ctx_t;


/* ngx_http_apikey_conf.c */

char *ngx_http_apikey_keyring(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_inject(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_realm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* What only the whole configuration can tell: completes it, or complains. */

ngx_int_t ngx_http_apikey_conf_complete(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);

/* WWW-Authenticate of a realm, into the configuration's pool. */

char *ngx_http_apikey_challenge(ngx_conf_t *cf, ngx_str_t *realm,
    ngx_str_t *challenge);


/* ngx_http_apikey_handler.c */

ngx_int_t ngx_http_apikey_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_apikey_precontent_handler(ngx_http_request_t *r);

/* The request's context, also after redirects have wiped r->ctx, or NULL. */

ngx_http_apikey_ctx_t *ngx_http_apikey_get_ctx(ngx_http_request_t *r);

/* The answer that ctx waited for is in its transaction: goes on. */

void ngx_http_apikey_resume(ngx_http_apikey_ctx_t *ctx);


/* ngx_http_apikey_request.c */

/* The request as the library sees it. */

void ngx_http_apikey_view(ngx_http_request_t *r, ak_view_t *view);

/* Removes every header that can carry a credential. */

ngx_int_t ngx_http_apikey_strip(ngx_http_request_t *r);

/*
 * Strips, also of what an earlier location put in, and adds what the session
 * has staged where "inject" says so.
 */

ngx_int_t ngx_http_apikey_edit(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ngx_uint_t inject);

/* Wipes what the client sent. */

void ngx_http_apikey_wipe_credentials(ngx_http_apikey_ctx_t *ctx);


/* ngx_http_apikey_lookup.c */

/*
 * Answers what ctx's transaction asks for: NGX_OK, it is answered; NGX_AGAIN,
 * ngx_http_apikey_resume() will be called.
 */

ngx_int_t ngx_http_apikey_lookup(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/* ctx does not wait any more. */

void ngx_http_apikey_lookup_cancel(ngx_http_apikey_ctx_t *ctx);

ngx_int_t ngx_http_apikey_lookup_init(ngx_cycle_t *cycle,
    ngx_http_apikey_main_conf_t *mcf);


/* ngx_http_apikey_variables.c */

ngx_int_t ngx_http_apikey_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_apikey_module;
extern ngx_module_t  ngx_http_apikey_filter_module;


static ngx_inline ngx_str_t
ngx_http_apikey_ngx_str(ak_str_t s)
{
    ngx_str_t  str;

    str.len = s.len;
    str.data = (u_char *) s.data;

    return str;
}


#endif /* _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_ */
