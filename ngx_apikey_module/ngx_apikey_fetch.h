
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_FETCH_H_INCLUDED_
#define _NGX_APIKEY_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>


/*
 * Fetches a document over HTTP/1.1 (RFC 9112) on nginx's own events, and over
 * TLS with verification.  There is one fetch of an object at a time.
 */

typedef struct ngx_apikey_fetch_s  ngx_apikey_fetch_t;


/*
 * The outcome.  body is NULL where it failed, and why is a sentence; both are
 * there until this returns.
 */

typedef void (*ngx_apikey_fetch_pt)(void *data, ngx_str_t *body,
    const char *why);


/*
 * At configuration: "uri" and "ca" (certificates to trust, in PEM; empty: those
 * of the system) are of the cycle's pool and end with a zero.  timeout is in
 * milliseconds, from the name to the last byte; max is bytes of the body.
 * NULL: logged.
 */

ngx_apikey_fetch_t *ngx_apikey_fetch_create(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_str_t *ca, ngx_msec_t timeout, size_t max);

/*
 * When all has been read: the host's name is looked up each time with the
 * resolver, or now where there is none (NULL).
 */

ngx_int_t ngx_apikey_fetch_resolve(ngx_conf_t *cf, ngx_apikey_fetch_t *fetch,
    ngx_resolver_t *resolver, ngx_msec_t timeout);

/*
 * Begins.  The handler is called once, never before this returns.  NGX_BUSY:
 * it is under way.
 */

ngx_int_t ngx_apikey_fetch_start(ngx_apikey_fetch_t *fetch,
    ngx_apikey_fetch_pt handler, void *data, ngx_log_t *log);

/* Ends what is under way; the handler is not called. */

void ngx_apikey_fetch_stop(ngx_apikey_fetch_t *fetch);


#endif /* _NGX_APIKEY_FETCH_H_INCLUDED_ */
