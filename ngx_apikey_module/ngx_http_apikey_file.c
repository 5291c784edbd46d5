
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_fstore.h"
#include "ngx_http_apikey_module.h"


/*
 * The store of "file:".  What the configuration read is shared by the workers
 * until the file changes; then each reads it anew, a few lines at a time
 * between its other events, and goes on with what it has until that is done.
 */

#define NGX_HTTP_APIKEY_FILE_INTERVAL  200     /* milliseconds */
#define NGX_HTTP_APIKEY_FILE_LINES     256     /* a step, a millisecond */
#define NGX_HTTP_APIKEY_FILE_BLOCKS    1
#define NGX_HTTP_APIKEY_FILE_TOLD      10      /* damaged lines, in the log */


struct ngx_http_apikey_file_s {
    char                         *path;
    ak_fstore_t                  *store;
    ak_fstore_t                  *next;        /* while it is read */
    ak_fstore_t                  *last;        /* while it is freed */
    ak_fstamp_t                   refused;     /* told, once */
    ngx_event_t                   timer;
    ngx_event_t                   step;
    ngx_log_t                    *log;
    ngx_uint_t                    damaged;
    ngx_uint_t                    missing;     /* told, once */
};


static void ngx_http_apikey_file_cleanup(void *data);
static void ngx_http_apikey_file_check(ngx_event_t *ev);
static void ngx_http_apikey_file_begin(ngx_http_apikey_file_t *file,
    const ak_fstamp_t *stamp);
static void ngx_http_apikey_file_step(ngx_event_t *ev);
static void ngx_http_apikey_file_done(ngx_http_apikey_file_t *file);
static void ngx_http_apikey_file_bad(void *data, unsigned line,
    const char *why);
static void ngx_http_apikey_file_tell(ngx_http_apikey_file_t *file,
    ak_fstore_t *store);


ngx_http_apikey_file_t *
ngx_http_apikey_file_create(ngx_conf_t *cf, ak_store_conf_t *store)
{
    ak_rc_t                  rc;
    ngx_str_t                name;
    ak_diag_t                diag;
    ngx_pool_cleanup_t      *cln;
    ngx_http_apikey_file_t  *file;

    file = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_file_t));
    name.data = ngx_pnalloc(cf->pool, store->path.len + 1);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (file == NULL || name.data == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_apikey_file_cleanup;
    cln->data = file;

    name.len = store->path.len;
    (void) ngx_cpystrn(name.data, (u_char *) store->path.data, name.len + 1);

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NULL;
    }

    file->path = (char *) name.data;
    file->log = cf->log;

    file->store = ak_fstore_open(file->path, &diag);

    if (file->store == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"apikey_store\": %s",
                           diag.text);
        return NULL;
    }

    do {
        rc = ak_fstore_step(file->store, NGX_HTTP_APIKEY_FILE_LINES,
                            ngx_http_apikey_file_bad, file, &diag);
    } while (rc == AK_AGAIN);

    if (rc != AK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"apikey_store\": %s",
                           diag.text);
        return NULL;
    }

    ngx_http_apikey_file_tell(file, file->store);

    return file;
}


static void
ngx_http_apikey_file_cleanup(void *data)
{
    ngx_http_apikey_file_t *file = data;

    ak_fstore_t  **p, *stores[] = { file->store, file->next, file->last };
    ngx_uint_t     i;

    for (i = 0, p = stores; i < 3; i++, p++) {
        if (*p != NULL) {
            (void) ak_fstore_free(*p, 0);
        }
    }
}


void
ngx_http_apikey_file_start(ngx_http_apikey_file_t *file, ngx_cycle_t *cycle)
{
    file->log = cycle->log;

    file->timer.handler = ngx_http_apikey_file_check;
    file->timer.data = file;
    file->timer.log = cycle->log;
    file->timer.cancelable = 1;

    file->step.handler = ngx_http_apikey_file_step;
    file->step.data = file;
    file->step.log = cycle->log;

    /* the master may read what its workers may not */

    if (access(file->path, R_OK) == -1) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                      "apikey: the store \"%s\" cannot be read by the worker "
                      "processes; its changes will not be seen", file->path);
    }

    ngx_add_timer(&file->timer, NGX_HTTP_APIKEY_FILE_INTERVAL);
}


ak_rc_t
ngx_http_apikey_file_lookup(ngx_http_apikey_file_t *file,
    const ak_need_t *need, ak_str_t *value)
{
    switch (need->type) {

    case AK_NEED_RECORD:
        return ak_fstore_record(file->store, need->name, value);

    case AK_NEED_MARK:
        return ak_fstore_mark(file->store, need->name, ngx_time(), value);

    case AK_NEED_FOREIGN:
        return AK_UNAVAILABLE;

    default: /* AK_NEED_TOKENS */
        break;
    }

    return ak_fstore_tokens(file->store, need->name, need->provider, value);
}


void
ngx_http_apikey_file_status(ngx_http_apikey_file_t *file,
    ngx_http_apikey_file_state_t *state)
{
    unsigned     line;
    ak_fstamp_t  none;

    ngx_memzero(&none, sizeof(ak_fstamp_t));

    state->entries = ak_fstore_count(file->store);
    state->lost = ak_fstore_lost(file->store, &line);
    state->damaged = file->damaged;
    state->trouble = file->missing
                     ? "it cannot be looked at"
                     : ak_fstamp_same(&file->refused, &none)
                     ? NULL : "it cannot be read";
}


static void
ngx_http_apikey_file_check(ngx_event_t *ev)
{
    ngx_http_apikey_file_t *file = ev->data;

    ak_fstamp_t  stamp, stamped;

    if (file->next == NULL && file->last == NULL) {

        stamped = ak_fstore_stamped(file->store);

        if (ak_fstore_stamp(file->path, &stamp) != AK_OK) {

            if (!file->missing) {
                file->missing = 1;
                ngx_log_error(NGX_LOG_ERR, file->log, ngx_errno,
                              "apikey: the store \"%s\" cannot be looked "
                              "at; what was read of it stays in force",
                              file->path);
            }

        } else {
            file->missing = 0;

            if (!ak_fstamp_same(&stamp, &stamped)) {
                ngx_http_apikey_file_begin(file, &stamp);
            }
        }
    }

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_HTTP_APIKEY_FILE_INTERVAL);
    }
}


/* What does not work is tried again at the next look, and told once. */

static void
ngx_http_apikey_file_begin(ngx_http_apikey_file_t *file,
    const ak_fstamp_t *stamp)
{
    ak_diag_t  diag;

    file->damaged = 0;
    file->next = ak_fstore_open(file->path, &diag);

    if (file->next == NULL) {

        if (!ak_fstamp_same(stamp, &file->refused)) {
            file->refused = *stamp;
            ngx_log_error(NGX_LOG_ERR, file->log, 0,
                          "apikey: %s; what was read before stays in force",
                          diag.text);
        }

        return;
    }

    ngx_memzero(&file->refused, sizeof(ak_fstamp_t));

    ngx_post_event(&file->step, &ngx_posted_next_events);
}


/* Between two steps all other events that are there have their turn. */

static void
ngx_http_apikey_file_step(ngx_event_t *ev)
{
    ngx_http_apikey_file_t *file = ev->data;

    ak_rc_t    rc;
    ak_diag_t  diag;

    if (file->last != NULL) {

        rc = ak_fstore_free(file->last, NGX_HTTP_APIKEY_FILE_BLOCKS);

        if (rc != AK_AGAIN) {
            file->last = NULL;
        }

    } else {
        rc = ak_fstore_step(file->next, NGX_HTTP_APIKEY_FILE_LINES,
                            ngx_http_apikey_file_bad, file, &diag);

        if (rc == AK_OK) {
            ngx_http_apikey_file_done(file);
            rc = AK_AGAIN;

        } else if (rc != AK_AGAIN) {

            /* it changed meanwhile, perhaps: the next look will tell */

            ngx_log_error(NGX_LOG_WARN, file->log, 0, "apikey: %s",
                          diag.text);

            file->last = file->next;
            file->next = NULL;
            rc = AK_AGAIN;
        }
    }

    if (rc == AK_AGAIN && !ngx_exiting) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_http_apikey_file_done(ngx_http_apikey_file_t *file)
{
    ngx_http_apikey_file_tell(file, file->next);

    file->last = file->store;
    file->store = file->next;
    file->next = NULL;

    ngx_log_error(NGX_LOG_NOTICE, file->log, 0,
                  "apikey: the store \"%s\" was read anew, entries: %uz",
                  file->path, ak_fstore_count(file->store));
}


static void
ngx_http_apikey_file_bad(void *data, unsigned line, const char *why)
{
    ngx_http_apikey_file_t *file = data;

    if (file->damaged++ < NGX_HTTP_APIKEY_FILE_TOLD) {
        ngx_log_error(NGX_LOG_ERR, file->log, 0,
                      "apikey: the store \"%s\", line %ui: %s",
                      file->path, (ngx_uint_t) line, why);
    }
}


/* A revocation that is lost is told in any case: it is the costliest line. */

static void
ngx_http_apikey_file_tell(ngx_http_apikey_file_t *file, ak_fstore_t *store)
{
    size_t    lost;
    unsigned  line;

    lost = ak_fstore_lost(store, &line);

    if (lost != 0) {
        ngx_log_error(NGX_LOG_CRIT, file->log, 0,
                      "apikey: the store \"%s\", line %ui: a revocation of "
                      "which nobody can tell whom it concerns, one of %uz; "
                      "every token is refused as unavailable until that is "
                      "mended", file->path, (ngx_uint_t) line, lost);
    }

    if (file->damaged > NGX_HTTP_APIKEY_FILE_TOLD) {
        ngx_log_error(NGX_LOG_ERR, file->log, 0,
                      "apikey: the store \"%s\" has %ui damaged lines",
                      file->path, file->damaged);
    }
}
