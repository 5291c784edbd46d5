
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_counts.h"
#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_usage.h"


static ngx_http_apikey_ctx_t *ngx_http_apikey_create_ctx(
    ngx_http_request_t *r);
static ngx_http_apikey_ctx_t *ngx_http_apikey_get_free(
    ngx_http_apikey_main_conf_t *mcf);
static void *ngx_http_apikey_alloc(void *data, size_t size);
static void ngx_http_apikey_cleanup(void *data);
static ak_rc_t ngx_http_apikey_drive(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, const ak_stack_t *stack, ak_phase_e phase);
static ngx_int_t ngx_http_apikey_suspend(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static void ngx_http_apikey_detach(void *data);
static void ngx_http_apikey_decide(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ak_rc_t rc);
static ngx_int_t ngx_http_apikey_deny(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_int_t ngx_http_apikey_subrequest(ngx_http_request_t *r,
    ngx_http_apikey_loc_conf_t *lcf, ngx_http_apikey_ctx_t *ctx);
static ngx_int_t ngx_http_apikey_session(ngx_http_request_t *r,
    ngx_http_apikey_loc_conf_t *lcf, ngx_http_apikey_ctx_t *ctx);
static void ngx_http_apikey_log_trouble(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);


/* Contexts that a worker keeps for requests to come. */

#define NGX_HTTP_APIKEY_FREE_MAX  256


/* Who is it, and may it now?  Subrequests are not asked: nginx skips them. */

ngx_int_t
ngx_http_apikey_access_handler(ngx_http_request_t *r)
{
    ak_rc_t                      rc;
    ngx_http_apikey_ctx_t       *ctx;
    ngx_http_apikey_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx != NULL && ctx->waiting) {
        return NGX_AGAIN;
    }

    if (lcf->stack == NULL) {
        return NGX_DECLINED;
    }

    if (ctx == NULL) {
        ctx = ngx_http_apikey_create_ctx(r);

        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_http_set_ctx(r, ctx, ngx_http_apikey_module);

    if (ctx->decided && ctx->rules != lcf->rules) {

        /* redirected to where others may pass: what was said does not count */

        ctx->decided = 0;
        ctx->granted = 0;
        ctx->reported = 0;
        ctx->refused = 0;
        ctx->txn.finished[AK_AUTH] = false;
    }

    if (!ctx->decided) {

        ctx->stack = lcf->stack;
        ctx->rules = lcf->rules;
        ctx->method = r->method_name;
        ctx->uri = r->uri;
        rc = AK_OK;

        if (!ctx->txn.finished[AK_AUTH]) {
            rc = ngx_http_apikey_drive(r, ctx, lcf->stack, AK_AUTH);
        }

        if (rc == AK_OK) {
            rc = ngx_http_apikey_drive(r, ctx, lcf->stack, AK_ACCOUNT);
        }

        if (rc == AK_AGAIN) {
            return ngx_http_apikey_suspend(r, ctx);
        }

        ngx_http_apikey_decide(r, ctx, rc);
    }

    return ctx->granted ? NGX_OK : ngx_http_apikey_deny(r, ctx);
}


/*
 * What does the forwarded request get?  This is after all access modules: one
 * that shares the Authorization header with us has read it by now.
 */

ngx_int_t
ngx_http_apikey_precontent_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_apikey_ctx_t       *ctx;
    ngx_http_apikey_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    ctx = ngx_http_apikey_get_ctx(r);

    if (r != r->main) {
        return ngx_http_apikey_subrequest(r, lcf, ctx);
    }

    if (ctx != NULL && ctx->waiting) {
        return NGX_AGAIN;
    }

    if (lcf->stack == NULL) {

        /* redirected: what was put in for the other location stays there */

        if (ctx != NULL && ctx->edited
            && ngx_http_apikey_edit(r, ctx, 0) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_DECLINED;
    }

    if (ctx == NULL) {

        /* "satisfy any", and another module let it pass before us */

        ctx = ngx_http_apikey_create_ctx(r);

        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->decided = 1;
        ctx->stack = lcf->stack;
        ctx->method = r->method_name;
        ctx->uri = r->uri;
        ctx->txn.reason = AK_SUCCESS;
    }

    if (!ctx->granted || ctx->rules != lcf->rules) {

        /* the same after our denial, or a redirect: it is nobody, and where
           it is redirected to the stack is asked again */

        ak_txn_forget(&ctx->txn);
        ctx->rules = NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_apikey_module);

    rc = ngx_http_apikey_session(r, lcf, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_apikey_edit(r, ctx, 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_apikey_watch_upstream(r, ctx);

    return NGX_DECLINED;
}


ngx_http_apikey_ctx_t *
ngx_http_apikey_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_apikey_module);

    if (ctx != NULL || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    /* redirects wipe r->ctx, and subrequests have one of their own */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_apikey_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_http_apikey_ctx_t *
ngx_http_apikey_create_ctx(ngx_http_request_t *r)
{
    ak_txn_t                     *t;
    ngx_pool_cleanup_t           *cln;
    ngx_http_apikey_ctx_t        *ctx;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_http_apikey_get_free(mcf);
    if (ctx == NULL) {
        return NULL;
    }

    ngx_memzero((u_char *) ctx + sizeof(ak_txn_t),
                offsetof(ngx_http_apikey_ctx_t, headers) - sizeof(ak_txn_t));

    ctx->request = r;
    ctx->pool = r->pool;
    ctx->mcf = mcf;
    ctx->used = 0;

    t = &ctx->txn;

    ak_txn_init(t);

    t->mem.alloc = ngx_http_apikey_alloc;
    t->mem.data = ctx;
    t->digest = mcf->digest;
    t->keyring = mcf->keyring;
    t->now = ngx_time();
    t->log = ngx_http_apikey_write_log;

    /* the cleanup sees to ctx from now on, whatever fails */

    cln->handler = ngx_http_apikey_cleanup;
    cln->data = ctx;

    return (ngx_http_apikey_view(r, ctx) == NGX_OK) ? ctx : NULL;
}


static ngx_http_apikey_ctx_t *
ngx_http_apikey_get_free(ngx_http_apikey_main_conf_t *mcf)
{
    ngx_http_apikey_ctx_t  *ctx;

    ctx = mcf->free;

    if (ctx == NULL) {
        return ngx_alloc(sizeof(ngx_http_apikey_ctx_t), ngx_cycle->log);
    }

    mcf->free = ctx->next;
    mcf->nfree--;

    return ctx;
}


/* For as long as the request: from its arena, else from its pool. */

static void *
ngx_http_apikey_alloc(void *data, size_t size)
{
    ngx_http_apikey_ctx_t *ctx = data;

    u_char  *p;

    size = ngx_align(size, NGX_ALIGNMENT);

    if (size > NGX_HTTP_APIKEY_ARENA - ctx->used) {
        return ngx_palloc(ctx->request->pool, size);
    }

    p = ctx->arena + ctx->used;
    ctx->used += size;

    return p;
}


/*
 * The end of a request that modules of the stack may see: in the cleanup r has
 * lost its pool, and with it what they look at and allocate from.
 */

ngx_int_t
ngx_http_apikey_log_handler(ngx_http_request_t *r)
{
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL || r != r->main) {
        return NGX_OK;
    }

    ngx_http_apikey_lookup_cancel(ctx);

    if (ctx->decided) {
        ngx_http_apikey_report(ctx);
    }

    ngx_http_apikey_usage_count(ctx);

    if (ctx->session != NULL) {
        (void) ak_stack_run(ctx->session, &ctx->txn, AK_SESSION_CLOSE);
        ctx->session = NULL;
    }

    return NGX_OK;
}


/* After the log has been written, before the pool is freed. */

static void
ngx_http_apikey_cleanup(void *data)
{
    ngx_http_apikey_ctx_t *ctx = data;

    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ctx->mcf;

    ngx_http_apikey_lookup_cancel(ctx);
    ngx_http_apikey_wipe(ctx);
    ak_txn_abort(&ctx->txn);

    if (mcf->nfree == NGX_HTTP_APIKEY_FREE_MAX) {
        ngx_free(ctx);
        return;
    }

    ctx->next = mcf->free;
    mcf->free = ctx;
    mcf->nfree++;
}


void
ngx_http_apikey_report(ngx_http_apikey_ctx_t *ctx)
{
    if (!ctx->reported) {
        ctx->reported = 1;
        ngx_http_apikey_count_verdict(ctx);
        (void) ak_stack_run(ctx->stack, &ctx->txn, AK_REPORT);
    }
}


static ak_rc_t
ngx_http_apikey_drive(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    const ak_stack_t *stack, ak_phase_e phase)
{
    ak_rc_t  rc;

    for ( ;; ) {
        rc = ak_stack_run(stack, &ctx->txn, phase);

        if (rc != AK_AGAIN || ngx_http_apikey_lookup(r, ctx) == NGX_AGAIN) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_http_apikey_suspend(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_http_cleanup_t  *cln;

    if (!ctx->guarded) {

        /* a request may be terminated long before its pool is destroyed */

        cln = ngx_http_cleanup_add(r, 0);

        if (cln == NULL) {
            ngx_http_apikey_lookup_cancel(ctx);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cln->handler = ngx_http_apikey_detach;
        cln->data = ctx;

        ctx->guarded = 1;
    }

    /* a client that goes away is seen, and nothing else moves the request */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_http_apikey_lookup_cancel(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_AGAIN;
}


void
ngx_http_apikey_resume_all(ngx_queue_t *waiters)
{
    ngx_queue_t            *q;
    ngx_http_apikey_ctx_t  *ctx;

    while (!ngx_queue_empty(waiters)) {
        q = ngx_queue_head(waiters);
        ngx_queue_remove(q);

        ctx = ngx_queue_data(q, ngx_http_apikey_ctx_t, queue);

        ctx->queued = 0;

        if (ctx->waiting) {
            ctx->waiting = 0;
            ngx_http_apikey_resume(ctx);
        }
    }
}


static void
ngx_http_apikey_detach(void *data)
{
    ngx_http_apikey_lookup_cancel(data);
}


void
ngx_http_apikey_resume(ngx_http_apikey_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    /* neither r nor ctx may be there after this */

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_apikey_decide(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ak_rc_t rc)
{
    ngx_str_t           id, word;
    const ak_error_t   *e;

    ctx->decided = 1;

    if (rc == AK_OK) {
        ctx->granted = 1;
        return;
    }

    if (ctx->txn.alert != NULL) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "apikey: %s", ctx->txn.alert);
    }

    ngx_http_apikey_limit_denied(ctx);

    e = ak_error(ctx->txn.reason);
    id = ngx_http_apikey_ngx_str(ctx->txn.id);
    word = ngx_http_apikey_ngx_str(e->word);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "apikey: denied, reason \"%V\", key id \"%V\"", &word, &id);
}


/* The one place where a verdict becomes a status; the filter adds the body. */

static ngx_int_t
ngx_http_apikey_deny(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ctx->status = ak_error(ctx->txn.reason)->status;
    ctx->body_sent = 0;

    if (ctx->status == 0) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "apikey: denied without a reason");

        ctx->txn.reason = AK_STORE_UNAVAILABLE;
        ctx->status = NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ctx->status;
}


/*
 * A subrequest has its parent's headers as they were when it was made.  What
 * was put in is for the parent's upstream and no other, be it of a mirror or
 * of a part of the page.  Before the parent's headers are edited (auth_request)
 * the location's own configuration says whether credentials pass.
 */

static ngx_int_t
ngx_http_apikey_subrequest(ngx_http_request_t *r,
    ngx_http_apikey_loc_conf_t *lcf, ngx_http_apikey_ctx_t *ctx)
{
    if (lcf->stack == NULL && (ctx == NULL || !ctx->edited)) {
        return NGX_DECLINED;
    }

    return (ngx_http_apikey_strip(r, ctx) == NGX_OK)
           ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_apikey_session(ngx_http_request_t *r,
    ngx_http_apikey_loc_conf_t *lcf, ngx_http_apikey_ctx_t *ctx)
{
    ak_rc_t  rc;

    /* whatever status follows is not ours until we deny again */

    ctx->status = 0;

    if (ctx->session == lcf->stack) {
        return NGX_OK;         /* redirected: it is open already */
    }

    if (ctx->session != NULL) {
        (void) ak_stack_run(ctx->session, &ctx->txn, AK_SESSION_CLOSE);
        ctx->session = NULL;
    }

    rc = ngx_http_apikey_drive(r, ctx, lcf->stack, AK_SESSION_OPEN);

    if (rc == AK_AGAIN) {
        return ngx_http_apikey_suspend(r, ctx);
    }

    if (ctx->txn.trouble != NULL) {
        ngx_http_apikey_log_trouble(r, ctx);
    }

    if (rc != AK_OK) {
        ngx_http_apikey_decide(r, ctx, rc);
        return ngx_http_apikey_deny(r, ctx);
    }

    ctx->session = lcf->stack;

    ngx_http_apikey_report(ctx);

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_session_again(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx)
{
    ak_rc_t            rc;
    ak_txn_t           was;
    const ak_stack_t  *stack;

    stack = ctx->session;

    if (stack == NULL) {
        return NGX_DECLINED;
    }

    was = ctx->txn;

    ctx->session = NULL;
    ctx->txn.avoid = ctx->txn.slot;

    ak_txn_again(&ctx->txn, stack);

    rc = ngx_http_apikey_drive(r, ctx, stack, AK_SESSION_OPEN);

    ctx->txn.avoid = ak_str(NULL, 0);

    if (rc == AK_AGAIN) {

        /* the zone does not know any more what it knew: that takes too long */

        ngx_http_apikey_lookup_cancel(ctx);
        ak_txn_abort(&ctx->txn);

    } else if (ctx->txn.trouble != NULL) {
        ngx_http_apikey_log_trouble(r, ctx);
    }

    if (rc != AK_OK) {

        /*
         * It was granted, and what the client gets is the upstream's answer to
         * the first key, maybe that of another server.
         */

        ctx->txn.reason = AK_SUCCESS;
        ctx->txn.retry = 0;
        ctx->txn.provider = was.provider;
        ctx->txn.slot = was.slot;
        ctx->txn.key_source = was.key_source;
        ctx->txn.token = was.token;
        ctx->txn.carried = was.carried;
        ctx->txn.one = was.one;

        return NGX_DECLINED;
    }

    ctx->session = stack;

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_refuse(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ctx->txn.reason = AK_UPSTREAM_AUTH_FAILED;
    ctx->reported = 0;

    return ngx_http_apikey_deny(r, ctx);
}


static void
ngx_http_apikey_log_trouble(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_str_t  owner, provider, slot;

    owner = ngx_http_apikey_ngx_str(ctx->txn.owner);
    provider = ngx_http_apikey_ngx_str(ctx->txn.provider);
    slot = ngx_http_apikey_ngx_str(ctx->txn.troubled);

    if (ctx->txn.about[0] != '\0') {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "apikey: an upstream key is sealed under master key %s, "
                      "not in this keyring; owner \"%V\", provider \"%V\", "
                      "slot \"%V\"",
                      ctx->txn.about, &owner, &provider, &slot);

    } else {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "apikey: an upstream key %s; owner \"%V\", "
                      "provider \"%V\", slot \"%V\"",
                      ctx->txn.trouble, &owner, &provider, &slot);
    }

    ctx->txn.trouble = NULL;
}
