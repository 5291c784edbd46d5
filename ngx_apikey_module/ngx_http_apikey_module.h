
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_
#define _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <nginx.h>

#include "ak_limit.h"
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
typedef struct ngx_http_apikey_file_s    ngx_http_apikey_file_t;
typedef struct ngx_http_apikey_usage_s   ngx_http_apikey_usage_t;
typedef struct ngx_http_apikey_counts_s  ngx_http_apikey_counts_t;


/* Where a directive stands, for complaints that come later. */

typedef struct {
    ngx_str_t                     file;
    ngx_uint_t                    line;
} ngx_http_apikey_where_t;


/* A header that is put in, as nginx wants its headers. */

typedef struct {
    const uint8_t                *name;        /* that of the provider table */
    u_char                       *lowcase;
    ngx_uint_t                    hash;
} ngx_http_apikey_carried_t;


typedef struct ngx_http_apikey_ctx_s  ngx_http_apikey_ctx_t;


typedef struct {
    ak_keyring_t                 *keyring;
    ak_digest_t                  *digest;
    ak_store_conf_t              *store;
    uint32_t                      store_hash;  /* of its words */
    ngx_apikey_redis_t           *redis;
    ngx_http_apikey_file_t       *file;
    ngx_shm_zone_t               *shm_zone;
    ngx_http_apikey_zone_t       *zone;
    ngx_http_apikey_counts_t     *counts;      /* a worker's own */

    ak_site_t                     site;
    ngx_array_t                   stacks;      /* by name; the first is
                                                  that of "apikey on" */
    ngx_array_t                   sources;     /* of keys of tokens */
    ngx_array_t                   foreign;     /* prefixes, ak_str_t */
    ak_strip_t                   *strip;       /* what must not pass */
    ngx_uint_t                    used;        /* by some location */
    ngx_uint_t                    born;        /* another one at each load */

    ngx_int_t                     line_index;  /* of $request */
    ngx_int_t                     uri_index;   /* of $request_uri */

    ngx_str_t                     bodies[AK_REASON_MAX];
    ngx_array_t                   carried;     /* ngx_http_apikey_carried_t */

    /* a worker's own: lookups under way, by key, and a place for replies */

    ngx_rbtree_t                  flights;
    ngx_rbtree_node_t             sentinel;
    u_char                       *value;       /* AK_VALUE_MAX bytes */
    ngx_uint_t                    endless;     /* it may not ask for ends */

    ngx_http_apikey_usage_t      *usage;
    ngx_uint_t                    uncounted;   /* there is none to be */

    /* contexts that no request uses */

    ngx_http_apikey_ctx_t        *free;
    ngx_uint_t                    nfree;

    ngx_event_t                   received;    /* wipes frames of HTTP/2, */
    void                         *frames;      /*   of its configuration */
} ngx_http_apikey_main_conf_t;


typedef struct {
    ngx_str_t                     name;        /* of the stack; len 0: off */
    ak_stack_t                   *inject;      /* the line of apikey_inject */
    ngx_flag_t                    pass;        /* the client's credential */
    ngx_http_apikey_where_t       named;
    ngx_http_apikey_where_t       injected;
    ngx_http_apikey_where_t       passed;

    ngx_str_t                     challenge;   /* WWW-Authenticate */
    ngx_flag_t                    intercept;   /* the upstream's refusals */
    ak_limit_t                   *limit;       /* NULL: no apikey_fail_limit */
    ak_stack_t                   *stack;       /* NULL: not enabled */
    ak_stack_t                   *rules;       /* it, as it is named */
} ngx_http_apikey_loc_conf_t;


#define NGX_HTTP_APIKEY_ARENA     1024
#define NGX_HTTP_APIKEY_HEADERS   24
#define NGX_HTTP_APIKEY_CARRIED   8


/*
 * A request's, shared by what it is redirected to.  It comes from a list and
 * goes back there, so that most requests need no memory of their pool.
 */

struct ngx_http_apikey_ctx_s {
    ak_txn_t                      txn;         /* first */
    ngx_http_request_t           *request;
    ngx_pool_t                   *pool;        /* of it, while it is freed */
    ngx_http_apikey_main_conf_t  *mcf;

    ngx_uint_t                    status;      /* of our denial, or 0 */
    const ak_stack_t             *stack;       /* that decided */
    const ak_stack_t             *rules;       /* what it was made of */
    ngx_str_t                     method;      /* what it was asked about */
    ngx_str_t                     uri;
    const ak_stack_t             *session;     /* whose session is open */

    /* of the upstream: what is called in its callbacks' place */

    ngx_http_handler_pt           content;
    ngx_int_t                   (*process_header)(ngx_http_request_t *r);
    ngx_int_t                   (*reinit_request)(ngx_http_request_t *r);
    ngx_http_upstream_conf_t     *upstream_conf;       /* while it is not in
                                                          force, or NULL */
    struct {
        ngx_event_free_peer_pt    free;
        void                     *data;
        ngx_uint_t                tries;
    }                             peer;
    ngx_uint_t                    answer;      /* the last one's status */
    ngx_uint_t                    answered;    /* of r->upstream_states */

    ngx_queue_t                   queue;       /* while it waits */
    ngx_event_t                   pause;
    uint64_t                      retry;       /* see limited; milliseconds */

    unsigned                      decided:1;   /* by auth and account */
    unsigned                      granted:1;
    unsigned                      waiting:1;
    unsigned                      queued:1;    /* in a flight's queue */
    unsigned                      guarded:1;   /* a cleanup detaches it */
    unsigned                      edited:1;
    unsigned                      injected:1;  /* the upstream gets a secret */
    unsigned                      reported:1;
    unsigned                      body_sent:1;
    unsigned                      refused:1;   /* something was not looked up */
    unsigned                      counted:1;   /* as an attempt that failed, */
    unsigned                      limited:1;   /*   of a source with too many */
    unsigned                      again:1;     /* sent with another key */
    unsigned                      hide:1;      /* the upstream's answer */
    unsigned                      headed:1;    /* its header was read */

    /* as it was sent, where a query has carried something */

    ngx_str_t                     unparsed_uri;
    ngx_str_t                     request_line;

    /* the same, from the first edit on */

    ngx_list_t                    headers;

    /* not cleared */

    size_t                        used;        /* of the arena */
    ngx_http_apikey_ctx_t        *next;        /* while it is free */

    ak_field_t                    carried[NGX_HTTP_APIKEY_CARRIED];
    ngx_table_elt_t               list[NGX_HTTP_APIKEY_HEADERS];
    u_char                        arena[NGX_HTTP_APIKEY_ARENA];
};


/* ngx_http_apikey_conf.c */

char *ngx_http_apikey_keyring(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* What only the whole configuration can tell: completes it, or complains. */

ngx_int_t ngx_http_apikey_conf_complete(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);


/* ngx_http_apikey_stack.c */

/* The built-in stack, and a place for others. */

ngx_int_t ngx_http_apikey_stacks_init(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);

char *ngx_http_apikey_stacks_check(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);

char *ngx_http_apikey_stack(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_inject(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_apikey_pass_credential(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_apikey_realm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Makes the stack of a location, of the one that it names and of its line of
 * apikey_inject, or complains.
 */

char *ngx_http_apikey_location_stack(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_http_apikey_loc_conf_t *lcf);

/* WWW-Authenticate of a realm, into the configuration's pool. */

char *ngx_http_apikey_challenge(ngx_conf_t *cf, ngx_str_t *realm,
    ngx_str_t *challenge);


/* ngx_http_apikey_provider.c */

char *ngx_http_apikey_provider(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* For ak_site_t, whose data is a ngx_conf_t. */

void *ngx_http_apikey_provider_used(void *data);

/* When all blocks are read: complains of those that did not come. */

char *ngx_http_apikey_providers_check(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);

/* The same of headers that the stacks of locations write too. */

char *ngx_http_apikey_providers_clash(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);


/* ngx_http_apikey_audit.c: for ak_site_t and ak_txn_t */

void *ngx_http_apikey_open_log(void *data, ak_str_t target, ak_diag_t *d);
void ngx_http_apikey_write_log(void *host, void *log, ak_str_t line);


/* ngx_http_apikey_handler.c */

ngx_int_t ngx_http_apikey_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_apikey_precontent_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_apikey_log_handler(ngx_http_request_t *r);

/*
 * Opens the session anew, where the transaction is to avoid a slot, without
 * waiting.  NGX_DECLINED: no other key can be put in.
 */

ngx_int_t ngx_http_apikey_session_again(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/* The upstream refused the key: the status that the client is to get. */

ngx_int_t ngx_http_apikey_refuse(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/* The request's context, also after redirects have wiped r->ctx, or NULL. */

ngx_http_apikey_ctx_t *ngx_http_apikey_get_ctx(ngx_http_request_t *r);

/* Tells the stack's lines of the verdict, once. */

void ngx_http_apikey_report(ngx_http_apikey_ctx_t *ctx);

/* The answer that ctx waited for is in its transaction: goes on. */

void ngx_http_apikey_resume(ngx_http_apikey_ctx_t *ctx);

/*
 * The same of all in a queue, who have been answered: one that goes on may end
 * others.
 */

void ngx_http_apikey_resume_all(ngx_queue_t *waiters);


/* ngx_http_apikey_request.c */

/* The request as the library sees it, into the transaction of ctx. */

ngx_int_t ngx_http_apikey_view(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/*
 * Removes every part that can carry a credential or claims an identity, also
 * of what an earlier location put in.
 */

ngx_int_t ngx_http_apikey_strip(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/* Strips, and adds what the session has staged where "inject" says so. */

ngx_int_t ngx_http_apikey_edit(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ngx_uint_t inject);

/* What is at p ends with the pool; a large piece is known by its start. */

ngx_uint_t ngx_http_apikey_in_pool(ngx_pool_t *pool, u_char *p);

/* Wipes what the client sent, and what was sent upstream. */

void ngx_http_apikey_wipe(ngx_http_apikey_ctx_t *ctx);


/* ngx_http_apikey_upstream.c */

/* From now on the answer to what was put in is looked at. */

void ngx_http_apikey_watch_upstream(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/* r is of nginx's cache, for the request of ctx, and has an answer. */

void ngx_http_apikey_background(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);


/* ngx_http_apikey_wipe.c */

/*
 * At the end of r, when its log has been written: wipes what was read for it
 * into buffers of its connection.
 */

void ngx_http_apikey_wipe_input(ngx_http_request_t *r,
    ngx_http_apikey_main_conf_t *mcf);

/*
 * Wipes what the connection to r's upstream keeps of what was sent over TLS,
 * if all of it was sent.  While the connection is r's: when the upstream has
 * answered, or before r gives it up.
 */

void ngx_http_apikey_wipe_peer(ngx_http_request_t *r);

/*
 * While r's pool is freed: wipes what its upstream answered, where that was not
 * passed to the client.
 */

void ngx_http_apikey_wipe_answer(ngx_http_request_t *r, ngx_pool_t *pool);

/*
 * Once in a process that lives no longer than its configuration: from now on
 * the same is wiped of each connection that ends.
 */

ngx_int_t ngx_http_apikey_wipe_start(void);

/* When all has been read: has OpenSSL wipe what it received, in all servers. */

ngx_int_t ngx_http_apikey_wipe_tls(ngx_conf_t *cf);


/* ngx_http_apikey_process.c */

/* For ak_site_t. */

ak_rc_t ngx_http_apikey_env(void *data, const char *name, char *value);

/*
 * In a process that has been forked to serve: forgets secrets of the
 * environment, and leaves nothing to core files.
 */

void ngx_http_apikey_process_close(ngx_cycle_t *cycle);


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


/* ngx_http_apikey_limit.c */

char *ngx_http_apikey_fail_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Whether a record, which is not in the zone or too old there, may be looked
 * up for ctx, and whether a token may be verified.  NGX_BUSY: too many
 * attempts have failed.
 */

ngx_int_t ngx_http_apikey_limit_lookup(ngx_http_apikey_ctx_t *ctx,
    ngx_str_t *key, uint32_t hash);
ngx_int_t ngx_http_apikey_limit_verify(ngx_http_apikey_ctx_t *ctx);

/* What is to be told, for ctx, of a record that is not there; or NULL. */

const ak_limit_t *ngx_http_apikey_limit_of(ngx_http_apikey_ctx_t *ctx);
void ngx_http_apikey_limit_absent(ngx_http_apikey_main_conf_t *mcf,
    const ak_limit_t *limit);

/*
 * ctx is denied: counts it, once, where it may have been a guess, and sets the
 * reason anew where there were too many.
 */

void ngx_http_apikey_limit_denied(ngx_http_apikey_ctx_t *ctx);


/* ngx_http_apikey_file.c */

/* Reads a store of "file:"; NULL: it cannot, and the directive is blamed. */

ngx_http_apikey_file_t *ngx_http_apikey_file_create(ngx_conf_t *cf,
    ak_store_conf_t *store);

/* From now on changes are looked for. */

void ngx_http_apikey_file_start(ngx_http_apikey_file_t *file,
    ngx_cycle_t *cycle);

ak_rc_t ngx_http_apikey_file_lookup(ngx_http_apikey_file_t *file,
    const ak_need_t *need, ak_str_t *value);


/* How the worker that asks stands with its file. */

typedef struct {
    size_t                        entries;
    ngx_uint_t                    damaged;     /* lines, at the last reading */
    size_t                        lost;        /* revocations */
    const char                   *trouble;     /* why changes are not seen, or
                                                  NULL */
} ngx_http_apikey_file_state_t;

void ngx_http_apikey_file_status(ngx_http_apikey_file_t *file,
    ngx_http_apikey_file_state_t *state);


/* ngx_http_apikey_changes.c */

/* For ak_site_t, whose data is a ngx_conf_t. */

void ngx_http_apikey_foreign(void *data, ak_str_t prefix);

/* When all has been read: where Redis is, and what is watched there. */

ngx_int_t ngx_http_apikey_changes_resolve(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);
ngx_int_t ngx_http_apikey_changes_init(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);


/* ngx_http_apikey_keys.c */

/* For ak_site_t. */

ak_rc_t ngx_http_apikey_hold_keys(void *data, ak_keys_t *keys, ak_diag_t *d);

/* When all has been read. */

ngx_int_t ngx_http_apikey_keys_complete(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf);

/* In a worker: from now on changes are looked for, and no more. */

void ngx_http_apikey_keys_start(ngx_http_apikey_main_conf_t *mcf,
    ngx_cycle_t *cycle);
void ngx_http_apikey_keys_stop(ngx_http_apikey_main_conf_t *mcf);

/* AK_NEED_KEYS, as ngx_http_apikey_lookup() does. */

ngx_int_t ngx_http_apikey_keys_newer(ngx_http_apikey_ctx_t *ctx);


/* ngx_http_apikey_status.c */

char *ngx_http_apikey_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


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
