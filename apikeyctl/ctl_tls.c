
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "ctl.h"
#include "ctl_tls.h"


struct ctl_tls_s {
    SSL_CTX               *ctx;
    const ak_store_tls_t  *conf;
};


struct ctl_tls_conn_s {
    SSL   *ssl;
    bool   verify;
};


static ak_rc_t
ctl_tls_failed(ak_diag_t *why, const char *what, ak_str_t of)
{
    char         *text;
    const char   *reason;
    unsigned long err;

    err = ERR_peek_error();
    text = ctl_strdup(of);

    if (ERR_SYSTEM_ERROR(err)) {
        reason = strerror(ERR_GET_REASON(err));

    } else {
        reason = ERR_reason_error_string(err);
    }

    ERR_clear_error();

    (void) ak_diag(why, "%s%s%s%s: %s", what, of.len == 0 ? "" : " \"", text,
                   of.len == 0 ? "" : "\"",
                   reason == NULL ? "refused by OpenSSL" : reason);
    ctl_free(text);

    return AK_ERROR;
}


/* A key with a password is not asked for it: nobody may be there. */

static int
ctl_tls_no_password(char *buf, int size, int rwflag, void *data)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) data;

    return 0;
}


/* Those who may have signed the server's certificate. */

static ak_rc_t
ctl_tls_trust(ctl_tls_t *tls, ak_diag_t *why)
{
    int    ok;
    char  *path;

    SSL_CTX_set_verify_depth(tls->ctx, (int) tls->conf->depth);

    if (!tls->conf->verify) {
        SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_NONE, NULL);
        return AK_OK;
    }

    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);

    if (tls->conf->trusted.len == 0) {
        return SSL_CTX_set_default_verify_paths(tls->ctx) == 1
               ? AK_OK : ctl_tls_failed(why, "the system's certificates",
                                        ak_literal(""));
    }

    path = ctl_strdup(tls->conf->trusted);
    ok = SSL_CTX_load_verify_locations(tls->ctx, path, NULL);
    ctl_free(path);

    return (ok == 1) ? AK_OK : ctl_tls_failed(why, "ssl_trusted_certificate",
                                              tls->conf->trusted);
}


static ak_rc_t
ctl_tls_identity(ctl_tls_t *tls, ak_diag_t *why)
{
    int       ok;
    char     *path;
    ak_str_t  key;

    if (tls->conf->certificate.len == 0) {
        return AK_OK;
    }

    path = ctl_strdup(tls->conf->certificate);
    ok = SSL_CTX_use_certificate_chain_file(tls->ctx, path);
    ctl_free(path);

    if (ok != 1) {
        return ctl_tls_failed(why, "ssl_certificate", tls->conf->certificate);
    }

    key = tls->conf->certificate_key.len == 0 ? tls->conf->certificate
                                              : tls->conf->certificate_key;
    path = ctl_strdup(key);
    ok = SSL_CTX_use_PrivateKey_file(tls->ctx, path, SSL_FILETYPE_PEM);
    ctl_free(path);

    if (ok != 1 || SSL_CTX_check_private_key(tls->ctx) != 1) {
        return ctl_tls_failed(why, "ssl_certificate_key", key);
    }

    return AK_OK;
}


static ak_rc_t
ctl_tls_rules(ctl_tls_t *tls, ak_diag_t *why)
{
    int       ok;
    char     *ciphers;
    unsigned  protocols;

    protocols = tls->conf->protocols;

    (void) SSL_CTX_set_min_proto_version(tls->ctx,
                                         protocols & AK_STORE_TLSV1_2
                                         ? TLS1_2_VERSION : TLS1_3_VERSION);
    (void) SSL_CTX_set_max_proto_version(tls->ctx,
                                         protocols & AK_STORE_TLSV1_3
                                         ? TLS1_3_VERSION : TLS1_2_VERSION);

    SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION
                                  | SSL_OP_NO_COMPRESSION
                                  | SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                               | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(tls->ctx, ctl_tls_no_password);

    if (tls->conf->ciphers.len == 0) {
        return AK_OK;
    }

    ciphers = ctl_strdup(tls->conf->ciphers);
    ok = SSL_CTX_set_cipher_list(tls->ctx, ciphers);
    ctl_free(ciphers);

    return (ok == 1) ? AK_OK : ctl_tls_failed(why, "ssl_ciphers",
                                              tls->conf->ciphers);
}


ctl_tls_t *
ctl_tls_create(const ak_store_tls_t *conf, ak_diag_t *why)
{
    ctl_tls_t  *tls;

    ERR_clear_error();

    tls = ctl_alloc(sizeof(ctl_tls_t));
    tls->conf = conf;
    tls->ctx = SSL_CTX_new(TLS_client_method());

    if (tls->ctx == NULL) {
        (void) ctl_tls_failed(why, "TLS", ak_literal(""));

    } else if (ctl_tls_rules(tls, why) == AK_OK
               && ctl_tls_trust(tls, why) == AK_OK
               && ctl_tls_identity(tls, why) == AK_OK)
    {
        return tls;
    }

    ctl_tls_free(tls);

    return NULL;
}


void
ctl_tls_free(ctl_tls_t *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        ctl_free(tls);
    }
}


/*
 * Who the certificate must be of.  RFC 6125, 6.4: a name of DNS, an address as
 * it is; SNI has names alone (RFC 6066, 3).
 */

static ak_rc_t
ctl_tls_name(const ctl_tls_t *tls, ctl_tls_conn_t *c, const char *name)
{
    X509_VERIFY_PARAM  *param;

    param = SSL_get0_param(c->ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1) {
        return AK_OK;
    }

    ERR_clear_error();

    if (SSL_set_tlsext_host_name(c->ssl, name) != 1) {
        return AK_ERROR;
    }

    if (!tls->conf->verify) {
        return AK_OK;
    }

    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);

    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 ? AK_OK : AK_ERROR;
}


ctl_tls_conn_t *
ctl_tls_open(const ctl_tls_t *tls, int fd, ak_str_t host, ak_diag_t *why)
{
    char            *name;
    ak_rc_t          rc;
    ctl_tls_conn_t  *c;

    ERR_clear_error();

    c = ctl_alloc(sizeof(ctl_tls_conn_t));
    c->verify = tls->conf->verify;
    c->ssl = SSL_new(tls->ctx);

    rc = AK_ERROR;

    if (c->ssl != NULL && SSL_set_fd(c->ssl, fd) == 1) {
        name = ctl_strdup(tls->conf->name.len == 0 ? host : tls->conf->name);
        rc = ctl_tls_name(tls, c, name);
        ctl_free(name);
    }

    if (rc == AK_OK) {
        SSL_set_connect_state(c->ssl);
        return c;
    }

    (void) ctl_tls_failed(why, "TLS", ak_literal(""));
    ctl_tls_close(c);

    return NULL;
}


void
ctl_tls_close(ctl_tls_conn_t *c)
{
    if (c == NULL) {
        return;
    }

    /* says goodbye where that can be done at once */

    if (c->ssl != NULL && SSL_is_init_finished(c->ssl)) {
        (void) SSL_shutdown(c->ssl);
    }

    ERR_clear_error();
    SSL_free(c->ssl);
    ctl_free(c);
}


/* What a call that did no more than rc says; it waits, or has failed. */

static ak_rc_t
ctl_tls_result(ctl_tls_conn_t *c, int rc, short *events, ak_diag_t *why)
{
    int   err;
    long  verdict;

    err = errno;

    switch (SSL_get_error(c->ssl, rc)) {

    case SSL_ERROR_WANT_READ:
        *events |= POLLIN;
        return AK_AGAIN;

    case SSL_ERROR_WANT_WRITE:
        *events |= POLLOUT;
        return AK_AGAIN;

    case SSL_ERROR_ZERO_RETURN:
        return ak_diag(why, "it closed the connection");

    case SSL_ERROR_SYSCALL:

        if (ERR_peek_error() == 0) {
            return ak_diag(why, "%s", err == 0 ? "it closed the connection"
                                               : strerror(err));
        }

        break;
    }

    verdict = SSL_get_verify_result(c->ssl);

    if (c->verify && verdict != X509_V_OK) {
        ERR_clear_error();

        return ak_diag(why, "its certificate is refused: %s; see "
                       "ssl_trusted_certificate= and ssl_name=",
                       X509_verify_cert_error_string(verdict));
    }

    switch (ERR_GET_REASON(ERR_peek_error())) {

    case SSL_R_WRONG_VERSION_NUMBER:
        ERR_clear_error();
        return ak_diag(why, "it does not speak TLS there; is it a port for "
                       "redis:// ?");

    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        ERR_clear_error();
        return ak_diag(why, "it closed the connection");
    }

    return ctl_tls_failed(why, "TLS", ak_literal(""));
}


ak_rc_t
ctl_tls_handshake(ctl_tls_conn_t *c, short *events, ak_diag_t *why)
{
    int  rc;

    errno = 0;
    ERR_clear_error();

    rc = SSL_do_handshake(c->ssl);

    return (rc == 1) ? AK_OK : ctl_tls_result(c, rc, events, why);
}


ssize_t
ctl_tls_read(ctl_tls_conn_t *c, void *dst, size_t size, short *events,
    ak_diag_t *why)
{
    int  rc;

    errno = 0;
    ERR_clear_error();

    rc = SSL_read(c->ssl, dst, size > INT_MAX ? INT_MAX : (int) size);

    if (rc > 0) {
        return rc;
    }

    return ctl_tls_result(c, rc, events, why) == AK_AGAIN ? 0 : -1;
}


ssize_t
ctl_tls_write(ctl_tls_conn_t *c, ak_str_t text, short *events, ak_diag_t *why)
{
    int  rc;

    errno = 0;
    ERR_clear_error();

    rc = SSL_write(c->ssl, text.data,
                   text.len > INT_MAX ? INT_MAX : (int) text.len);

    if (rc > 0) {
        return rc;
    }

    return ctl_tls_result(c, rc, events, why) == AK_AGAIN ? 0 : -1;
}


int64_t
ctl_tls_expires(const ctl_tls_conn_t *c)
{
    X509              *cert;
    struct tm          tm;
    const ASN1_TIME   *end;

    cert = SSL_get0_peer_certificate(c->ssl);

    if (cert == NULL) {
        return 0;
    }

    end = X509_get0_notAfter(cert);

    return (ASN1_TIME_to_tm(end, &tm) == 1) ? (int64_t) timegm(&tm) : 0;
}


const char *
ctl_tls_version(const ctl_tls_conn_t *c)
{
    return SSL_get_version(c->ssl);
}
