
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_APIKEY_TLS_H_INCLUDED_
#define _NGX_APIKEY_TLS_H_INCLUDED_


#include "ngx_apikey_dial.h"


/*
 * Begins the handshake on a connection: NGX_OK: it is over, well or not;
 * NGX_AGAIN: done will be called when it is; NGX_ERROR.
 */

ngx_int_t ngx_apikey_tls_start(ngx_apikey_tls_t *tls, ngx_connection_t *c,
    ngx_apikey_peer_t *peer, void (*done)(ngx_connection_t *c));

/*
 * After it: whether the peer can be trusted.  NGX_DECLINED: no, and why has a
 * clause of at most that size, with its zero.
 */

ngx_int_t ngx_apikey_tls_verify(ngx_apikey_tls_t *tls, ngx_connection_t *c,
    u_char *why, size_t size);

/* Before a connection is closed, with TLS or without. */

void ngx_apikey_tls_end(ngx_connection_t *c);


#endif /* _NGX_APIKEY_TLS_H_INCLUDED_ */
