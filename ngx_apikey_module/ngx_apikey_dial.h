
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_DIAL_H_INCLUDED_
#define _NGX_APIKEY_DIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>


/*
 * From a name to a connection that can be used: its addresses are looked up,
 * tried in turn, and where TLS is wanted the server's certificate is verified.
 */

/* How TLS is spoken; of the configuration. */

typedef struct ngx_apikey_tls_s  ngx_apikey_tls_t;


typedef struct {
    ngx_str_t           trusted;       /* files; empty: the system's */
    ngx_str_t           certificate;   /* of the client, empty: none */
    ngx_str_t           key;
    ngx_str_t           ciphers;       /* of TLS 1.2, empty: nginx's */
    ngx_str_t           name;          /* to verify, empty: the peer's */
    ngx_uint_t          protocols;     /* NGX_SSL_TLSv1_2 and so on */
    ngx_int_t           depth;         /* of a chain */
    ngx_uint_t          verify;
} ngx_apikey_tls_conf_t;


/*
 * At configuration; strings are of the cycle's pool and end with a zero.
 * NULL: logged.
 */

ngx_apikey_tls_t *ngx_apikey_tls_create(ngx_conf_t *cf,
    ngx_apikey_tls_conf_t *conf);


/* Who is to be reached.  The strings end with a zero. */

typedef struct {
    ngx_str_t           host;          /* name or address without brackets */
    ngx_str_t           text;          /* with the port, for people */
    in_port_t           port;
    ngx_addr_t         *addrs;         /* that are known; */
    ngx_uint_t          naddrs;        /*   0: they are looked up each time */
    ngx_uint_t          literal;       /* the host is an address */
    ngx_resolver_t     *resolver;      /* or NULL */
    ngx_msec_t          resolver_timeout;
    ngx_apikey_tls_t   *tls;           /* NULL: without */
} ngx_apikey_peer_t;


/*
 * A peer of the configuration: "HOST:PORT" of url, which has been parsed with
 * no_resolve.  Without a resolver its name is looked up now; NGX_ERROR: that
 * failed, and err says why.
 */

ngx_int_t ngx_apikey_peer_resolve(ngx_pool_t *pool, ngx_apikey_peer_t *peer,
    ngx_resolver_t *resolver, ngx_msec_t timeout, const char **err);

/* Sets the addresses where the host is an address. */

ngx_int_t ngx_apikey_peer_literal(ngx_pool_t *pool, ngx_apikey_peer_t *peer);


#define NGX_APIKEY_DIAL_WHY_MAX  256


typedef struct ngx_apikey_dial_s  ngx_apikey_dial_t;


/*
 * The outcome, c NULL where it failed, for which why has a clause and err the
 * system's error, or 0.  A connection remains the dial's: ngx_apikey_dial_end()
 * closes it.
 */

typedef void (*ngx_apikey_dial_pt)(void *data, ngx_connection_t *c);


struct ngx_apikey_dial_s {

    /* debug logging of events takes the first four for a connection's */

    ngx_apikey_peer_t     *peer;
    ngx_pool_t            *pool;       /* of one dialling */
    ngx_connection_t      *connection;
    ngx_socket_t           fd;

    ngx_apikey_dial_pt     handler;
    void                  *data;
    ngx_log_t             *log;
    ngx_log_t             *tls_log;

    ngx_addr_t            *addrs;
    ngx_uint_t             naddrs;
    ngx_uint_t             first;      /* the address to begin with */
    ngx_uint_t             tried;
    ngx_resolver_ctx_t    *resolving;
    ngx_peer_connection_t  pc;
    ngx_event_t            failed;     /* posted: to tell later */

    ngx_err_t              err;
    u_char                 why[NGX_APIKEY_DIAL_WHY_MAX];
};


/*
 * Begins.  The handler is called once, never before this returns, unless
 * ngx_apikey_dial_end() comes first.  There is no deadline: the caller ends it.
 * nginx tells the log what fails in connecting, and tls_log what fails then.
 */

ngx_int_t ngx_apikey_dial(ngx_apikey_dial_t *dial, ngx_apikey_peer_t *peer,
    ngx_apikey_dial_pt handler, void *data, ngx_log_t *log,
    ngx_log_t *tls_log);

/* Closes what there is, at any time; the next one begins with another address
   where late says that this one did not answer. */

void ngx_apikey_dial_end(ngx_apikey_dial_t *dial, ngx_uint_t late);

/* Of the peer in use, or of the last one that was. */

ngx_str_t *ngx_apikey_dial_name(ngx_apikey_dial_t *dial);

/* Of the connection that there is; NULL: there is none. */

ngx_addr_t *ngx_apikey_dial_addr(ngx_apikey_dial_t *dial);


#endif /* _NGX_APIKEY_DIAL_H_INCLUDED_ */
