
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_apikey_tls.h"


#if (NGX_HTTP_SSL)


struct ngx_apikey_tls_s {
    ngx_ssl_t   ssl;
    ngx_str_t   name;                  /* in place of the peer's */
    ngx_uint_t  verify;
};


static ngx_int_t ngx_apikey_tls_setup(ngx_conf_t *cf, ngx_ssl_t *ssl,
    ngx_apikey_tls_conf_t *conf);
static void ngx_apikey_tls_cleanup(void *data);
static ngx_int_t ngx_apikey_tls_name(ngx_apikey_tls_t *tls,
    ngx_connection_t *c, ngx_apikey_peer_t *peer);


ngx_apikey_tls_t *
ngx_apikey_tls_create(ngx_conf_t *cf, ngx_apikey_tls_conf_t *conf)
{
    ngx_apikey_tls_t    *tls;
    ngx_pool_cleanup_t  *cln;

    tls = ngx_pcalloc(cf->pool, sizeof(ngx_apikey_tls_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (tls == NULL || cln == NULL) {
        return NULL;
    }

    tls->name = conf->name;
    tls->verify = conf->verify;
    tls->ssl.log = cf->log;

    if (ngx_ssl_create(&tls->ssl, conf->protocols, NULL) != NGX_OK) {
        return NULL;
    }

    cln->handler = ngx_apikey_tls_cleanup;
    cln->data = tls;

    if (ngx_apikey_tls_setup(cf, &tls->ssl, conf) != NGX_OK) {
        return NULL;
    }

    return tls;
}


static ngx_int_t
ngx_apikey_tls_setup(ngx_conf_t *cf, ngx_ssl_t *ssl,
    ngx_apikey_tls_conf_t *conf)
{
    /* what has yet to be written may be moved, and may grow */

    (void) SSL_CTX_set_mode(ssl->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                                      |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    if (conf->ciphers.len != 0
        && ngx_ssl_ciphers(cf, ssl, &conf->ciphers, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->certificate.len != 0
        && ngx_ssl_certificate(cf, ssl, &conf->certificate, &conf->key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->trusted.len != 0) {
        return ngx_ssl_trusted_certificate(cf, ssl, &conf->trusted,
                                           conf->depth);
    }

    SSL_CTX_set_verify_depth(ssl->ctx, (int) conf->depth);

    if (SSL_CTX_set_default_verify_paths(ssl->ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_apikey_tls_cleanup(void *data)
{
    ngx_apikey_tls_t *tls = data;

    ngx_ssl_cleanup_ctx(&tls->ssl);
}


ngx_int_t
ngx_apikey_tls_start(ngx_apikey_tls_t *tls, ngx_connection_t *c,
    ngx_apikey_peer_t *peer, void (*done)(ngx_connection_t *c))
{
    ngx_int_t  rc;

    if (ngx_ssl_create_connection(&tls->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_apikey_tls_name(tls, c, peer) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = done;
        return NGX_AGAIN;
    }

    return NGX_OK;
}


/* The chain is verified for this name, RFC 9525, or address. */

static ngx_int_t
ngx_apikey_tls_name(ngx_apikey_tls_t *tls, ngx_connection_t *c,
    ngx_apikey_peer_t *peer)
{
    char  *name;
    SSL   *ssl;

    ssl = c->ssl->connection;

    if (tls->name.len == 0 && peer->literal) {

        if (tls->verify
            && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
                                             (char *) peer->host.data)
               != 1)
        {
            ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                          "the address \"%V\" cannot be verified",
                          &peer->host);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    name = (char *) ((tls->name.len != 0) ? tls->name.data : peer->host.data);

    /* of a unix socket nobody said a name */

    if (*name == '\0') {
        return NGX_ERROR;
    }

    if ((tls->verify && SSL_set1_host(ssl, name) != 1)
        || SSL_set_tlsext_host_name(ssl, name) != 1)
    {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "the name \"%s\" cannot be verified", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_apikey_tls_verify(ngx_apikey_tls_t *tls, ngx_connection_t *c, u_char *why,
    size_t size)
{
    long   rc;
    X509  *cert;

    if (!c->ssl->handshaked) {
        (void) ngx_cpystrn(why, (u_char *) "the TLS handshake failed", size);
        return NGX_DECLINED;
    }

    if (!tls->verify) {
        return NGX_OK;
    }

    /* OpenSSL finds nothing wrong with a certificate that is not there */

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        (void) ngx_cpystrn(why, (u_char *) "it has no certificate", size);
        return NGX_DECLINED;
    }

    X509_free(cert);

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        *ngx_snprintf(why, size - 1, "its certificate is not trusted: %s",
                      X509_verify_cert_error_string(rc))
            = '\0';
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_apikey_tls_end(ngx_connection_t *c)
{
    if (c->ssl == NULL) {
        return;
    }

    c->ssl->no_wait_shutdown = 1;
    c->ssl->no_send_shutdown = 1;

    (void) ngx_ssl_shutdown(c);
}


#else


ngx_apikey_tls_t *
ngx_apikey_tls_create(ngx_conf_t *cf, ngx_apikey_tls_conf_t *conf)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "this nginx was built without TLS");
    return NULL;
}


ngx_int_t
ngx_apikey_tls_start(ngx_apikey_tls_t *tls, ngx_connection_t *c,
    ngx_apikey_peer_t *peer, void (*done)(ngx_connection_t *c))
{
    return NGX_ERROR;
}


ngx_int_t
ngx_apikey_tls_verify(ngx_apikey_tls_t *tls, ngx_connection_t *c, u_char *why,
    size_t size)
{
    (void) ngx_cpystrn(why, (u_char *) "this nginx was built without TLS",
                       size);

    return NGX_DECLINED;
}


void
ngx_apikey_tls_end(ngx_connection_t *c)
{
}


#endif
