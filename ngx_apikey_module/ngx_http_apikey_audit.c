
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"


/* The logs that lines of a stack write to: files, or a syslog server. */

typedef struct {
    ngx_open_file_t              *file;
    ngx_syslog_peer_t            *peer;
    ngx_uint_t                    failed;      /* told, once */
} ngx_http_apikey_log_t;


static ngx_syslog_peer_t *ngx_http_apikey_open_syslog(ngx_conf_t *cf,
    ngx_str_t *target);
static void ngx_http_apikey_write_file(ngx_http_request_t *r,
    ngx_http_apikey_log_t *log, u_char *buf, size_t len);


void *
ngx_http_apikey_open_log(void *data, ak_str_t target, ak_diag_t *d)
{
    ngx_conf_t *cf = data;

    ngx_str_t               name;
    ngx_http_apikey_log_t  *log;

    log = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_log_t));
    if (log == NULL) {
        ak_diag(d, "there is no memory");
        return NULL;
    }

    name.len = target.len;
    name.data = ngx_pnalloc(cf->pool, target.len + 1);

    if (name.data == NULL) {
        ak_diag(d, "there is no memory");
        return NULL;
    }

    (void) ngx_cpystrn(name.data, (u_char *) target.data, target.len + 1);

    if (ak_str_starts(target, ak_literal("syslog:"))) {
        log->peer = ngx_http_apikey_open_syslog(cf, &name);

    } else {
        log->file = ngx_conf_open_file(cf->cycle, &name);
    }

    if (log->peer == NULL && log->file == NULL) {
        ak_diag(d, "the log \"%.*s\" cannot be opened", AK_FMT(target));
        return NULL;
    }

    return log;
}


/* nginx reads "syslog:..." from a directive's first argument. */

static ngx_syslog_peer_t *
ngx_http_apikey_open_syslog(ngx_conf_t *cf, ngx_str_t *target)
{
    char               *rv;
    ngx_str_t           words[2];
    ngx_array_t         args, *save;
    ngx_syslog_peer_t  *peer;

    peer = ngx_pcalloc(cf->pool, sizeof(ngx_syslog_peer_t));
    if (peer == NULL) {
        return NULL;
    }

    ngx_str_set(&words[0], "audit");
    words[1] = *target;

    ngx_memzero(&args, sizeof(ngx_array_t));
    args.elts = words;
    args.nelts = 2;

    save = cf->args;
    cf->args = &args;

    rv = ngx_syslog_process_conf(cf, peer);

    cf->args = save;

    return (rv == NGX_CONF_OK) ? peer : NULL;
}


void
ngx_http_apikey_write_log(void *host, void *data, ak_str_t line)
{
    ngx_http_request_t *r = host;
    ngx_http_apikey_log_t *log = data;

    u_char  *buf, *p;

    buf = ngx_pnalloc(r->pool, NGX_MAX_ERROR_STR + line.len + 1);
    if (buf == NULL) {
        return;
    }

    p = buf;

    if (log->peer != NULL) {
        p = ngx_syslog_add_header(log->peer, p);
    }

    p = ngx_cpymem(p, line.data, line.len);

    if (log->peer != NULL) {
        (void) ngx_syslog_send(log->peer, buf, p - buf);
        return;
    }

    *p++ = LF;

    ngx_http_apikey_write_file(r, log, buf, p - buf);
}


/* One write a line, which the kernel appends as a whole. */

static void
ngx_http_apikey_write_file(ngx_http_request_t *r, ngx_http_apikey_log_t *log,
    u_char *buf, size_t len)
{
    ssize_t  n;

    n = ngx_write_fd(log->file->fd, buf, len);

    if (n == (ssize_t) len) {
        log->failed = 0;
        return;
    }

    if (!log->failed) {
        log->failed = 1;

        ngx_log_error(NGX_LOG_ALERT, r->connection->log,
                      (n == -1) ? ngx_errno : 0,
                      "apikey: the audit log \"%V\" cannot be written to",
                      &log->file->name);
    }
}
