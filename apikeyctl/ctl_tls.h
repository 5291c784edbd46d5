
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_TLS_H_INCLUDED_
#define _CTL_TLS_H_INCLUDED_


#include <sys/types.h>

#include "ak_store_conf.h"


/*
 * TLS over sockets that do not block; the only file of the command that knows
 * OpenSSL's libssl.  Nothing here waits: what cannot go on now says which
 * events of poll(2) it waits for.
 */

typedef struct ctl_tls_s       ctl_tls_t;      /* certificates and rules */
typedef struct ctl_tls_conn_s  ctl_tls_conn_t; /* one connection */


/* NULL: a file cannot be read, or is none; the diagnostic names it. */

ctl_tls_t *ctl_tls_create(const ak_store_tls_t *conf, ak_diag_t *why);
void ctl_tls_free(ctl_tls_t *tls);

/*
 * A connection over a connected socket, which stays the caller's, to a host
 * whose name, or address, must be in the certificate, unless the rules have
 * a name of their own.
 */

ctl_tls_conn_t *ctl_tls_open(const ctl_tls_t *tls, int fd, ak_str_t host,
    ak_diag_t *why);
void ctl_tls_close(ctl_tls_conn_t *c);

/* AK_AGAIN: when one of the events has come. */

ak_rc_t ctl_tls_handshake(ctl_tls_conn_t *c, short *events, ak_diag_t *why);

/* As read(2) and write(2), but 0 is "when one of the events has come". */

ssize_t ctl_tls_read(ctl_tls_conn_t *c, void *dst, size_t size, short *events,
    ak_diag_t *why);
ssize_t ctl_tls_write(ctl_tls_conn_t *c, ak_str_t text, short *events,
    ak_diag_t *why);

/* When the server's certificate expires, Unix seconds; 0: it cannot be told. */

int64_t ctl_tls_expires(const ctl_tls_conn_t *c);

/* "TLSv1.3" */

const char *ctl_tls_version(const ctl_tls_conn_t *c);


#endif /* _CTL_TLS_H_INCLUDED_ */
