
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <jansson.h>

#include "ngx_http_apikey_status.h"
#include "ngx_http_apikey_zone.h"


/*
 * The page of "apikey_status": what is in force, for all workers as far as the
 * zone knows, and how the connections of the worker that was asked stand.
 * There is nothing in it of a key or an owner.
 */

static ngx_int_t ngx_http_apikey_status_json_handler(ngx_http_request_t *r);
static void ngx_http_apikey_status_server(void *data,
    const ngx_apikey_server_t *server);
static ngx_uint_t ngx_http_apikey_status_mode(ngx_http_apikey_page_t *page);

static json_t *ngx_http_apikey_json_text(u_char *data, size_t len);
static json_t *ngx_http_apikey_json_store(ngx_http_apikey_page_t *page);
static json_t *ngx_http_apikey_json_invalidation(
    ngx_http_apikey_page_t *page);
static json_t *ngx_http_apikey_json_bounds(ngx_http_apikey_page_t *page);
static json_t *ngx_http_apikey_json_zone(ngx_http_apikey_page_t *page);
static json_t *ngx_http_apikey_json_requests(ngx_http_apikey_page_t *page);
static json_t *ngx_http_apikey_json_lookups(ngx_http_apikey_page_t *page);
static json_t *ngx_http_apikey_json_slots(ngx_http_apikey_page_t *page);


const ngx_http_apikey_mode_t  ngx_http_apikey_modes[] = {
    [NGX_HTTP_APIKEY_MODE_NONE] = { "none", 0, 0 },
    [NGX_HTTP_APIKEY_MODE_TTL] = { "ttl", 1, 1 },
    [NGX_HTTP_APIKEY_MODE_MESSAGES] = { "messages", 0, 1 },
    [NGX_HTTP_APIKEY_MODE_TRACKING] = { "tracking", 0, 0 },
    [NGX_HTTP_APIKEY_MODE_OFF] = { "off", 1, 1 }
};


const char  *ngx_http_apikey_topologies[] = {
    [AK_STORE_SINGLE] = "single",
    [AK_STORE_SENTINEL] = "sentinel",
    [AK_STORE_CLUSTER] = "cluster"
};


const char  *ngx_http_apikey_asked[NGX_HTTP_APIKEY_ASKED_MAX] = {
    [NGX_HTTP_APIKEY_ASKED_KEY] = "key",
    [NGX_HTTP_APIKEY_ASKED_UPSTREAM] = "upstream",
    [NGX_HTTP_APIKEY_ASKED_MARK] = "revoked"
};


const char  *ngx_http_apikey_sources[NGX_HTTP_APIKEY_SOURCES] = {
    [AK_SOURCE_NONE] = "none",
    [AK_SOURCE_HIT] = "hit",
    [AK_SOURCE_MISS] = "miss",
    [AK_SOURCE_STALE] = "stale"
};


const char  *ngx_http_apikey_parts[2] = { "kept", "guesses" };


char *
ngx_http_apikey_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                    *value;
    ngx_http_handler_pt           handler;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_apikey_main_conf_t  *mcf;

    value = cf->args->elts;
    handler = ngx_http_apikey_status_json_handler;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "prometheus") == 0) {
            handler = ngx_http_apikey_status_text_handler;

        } else if (ngx_strcmp(value[1].data, "json") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\", it must be "
                               "\"json\" or \"prometheus\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_apikey_status_json_handler
        || clcf->handler == ngx_http_apikey_status_text_handler)
    {
        return "is duplicate";
    }

    clcf->handler = handler;

    /* there is a zone to look at even where nothing is protected */

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);
    mcf->used = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_apikey_status_allowed(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    return ngx_http_discard_request_body(r);
}


ngx_http_apikey_page_t *
ngx_http_apikey_status_page(ngx_http_request_t *r)
{
    ngx_http_apikey_page_t       *page;
    ngx_http_apikey_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    page = ngx_pcalloc(r->pool, sizeof(ngx_http_apikey_page_t));

    if (page == NULL
        || ngx_array_init(&page->servers, r->pool, 4,
                          sizeof(ngx_apikey_server_t))
           != NGX_OK
        || ngx_array_init(&page->slots, r->pool, 8,
                          sizeof(ngx_http_apikey_slots_t))
           != NGX_OK)
    {
        return NULL;
    }

    page->request = r;
    page->mcf = mcf;
    page->healthy = 1;

    if (mcf->redis != NULL) {
        ngx_apikey_redis_status(mcf->redis, &page->redis,
                                ngx_http_apikey_status_server, page);
        page->healthy = page->redis.healthy;
    }

    if (mcf->file != NULL) {
        ngx_http_apikey_file_status(mcf->file, &page->file);
        page->healthy = (page->file.trouble == NULL && page->file.lost == 0);
    }

    ngx_http_apikey_zone_state(mcf->zone, &page->zone);

    if (ngx_http_apikey_pool_state(mcf->zone, &page->slots) != NGX_OK) {
        return NULL;
    }

    page->mode = ngx_http_apikey_status_mode(page);

    return page->failed ? NULL : page;
}


/* The strings are there as long as nobody else has a turn. */

static void
ngx_http_apikey_status_server(void *data, const ngx_apikey_server_t *server)
{
    ngx_http_apikey_page_t *page = data;

    ngx_apikey_server_t  *s;

    s = ngx_array_push(&page->servers);

    if (s == NULL) {
        page->failed = 1;
        return;
    }

    *s = *server;
}


/*
 * While one is told of all changes all of them are in force; but where it
 * ends, one that is told of less goes on to cover the zone.  So no more is
 * promised than what the least of them knows.
 */

static ngx_uint_t
ngx_http_apikey_status_mode(ngx_http_apikey_page_t *page)
{
    ngx_uint_t  i, mode;

    if (!page->mcf->zone->covered) {
        return NGX_HTTP_APIKEY_MODE_OFF;
    }

    if (page->zone.ncovers == 0) {
        return NGX_HTTP_APIKEY_MODE_NONE;
    }

    mode = NGX_HTTP_APIKEY_MODE_TRACKING;

    for (i = 0; i < page->zone.ncovers; i++) {
        mode = ngx_min(mode, page->zone.covers[i].how);
    }

    return mode;
}


ngx_int_t
ngx_http_apikey_status_send(ngx_http_request_t *r, ngx_str_t *type,
    size_t type_len, ngx_str_t *body)
{
    ngx_int_t         rc;
    ngx_buf_t        *b;
    ngx_chain_t       out;
    ngx_table_elt_t  *h;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type_len;
    r->headers_out.content_type_lowcase = NULL;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_apikey_status_json_handler(ngx_http_request_t *r)
{
    json_t                  *json;
    ngx_int_t                rc;
    ngx_str_t                body, type;
    ngx_http_apikey_page_t  *page;

    rc = ngx_http_apikey_status_allowed(r);

    if (rc != NGX_OK) {
        return rc;
    }

    page = ngx_http_apikey_status_page(r);
    if (page == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = json_pack("{s:b, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "healthy", (int) page->healthy,
                     "version", AK_VERSION,
                     "worker", (json_int_t) ngx_pid,
                     "store", ngx_http_apikey_json_store(page),
                     "invalidation", ngx_http_apikey_json_invalidation(page),
                     "bounds", ngx_http_apikey_json_bounds(page),
                     "zone", ngx_http_apikey_json_zone(page),
                     "requests", ngx_http_apikey_json_requests(page),
                     "lookups", ngx_http_apikey_json_lookups(page),
                     "slots", ngx_http_apikey_json_slots(page));

    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = json_dumpb(json, NULL, 0, JSON_INDENT(2));
    body.data = ngx_pnalloc(r->pool, body.len + 1);

    if (body.data != NULL) {
        (void) json_dumpb(json, (char *) body.data, body.len, JSON_INDENT(2));
        body.data[body.len++] = LF;
    }

    json_decref(json);

    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&type, "application/json");

    return ngx_http_apikey_status_send(r, &type, type.len, &body);
}


/* A path may be any bytes; what is no text is not shown. */

static json_t *
ngx_http_apikey_json_text(u_char *data, size_t len)
{
    json_t  *text;

    text = json_stringn((const char *) data, len);

    return (text != NULL) ? text : json_string("");
}


static json_t *
ngx_http_apikey_json_store(ngx_http_apikey_page_t *page)
{
    json_t               *list;
    ngx_uint_t            i;
    ak_store_conf_t      *store;
    ngx_apikey_server_t  *s;

    store = page->mcf->store;

    if (store == NULL) {
        return json_pack("{s:s}", "type", "none");
    }

    if (store->type == AK_STORE_FILE) {
        return json_pack("{s:s, s:o, s:I, s:I, s:I, s:s?}",
                         "type", "file",
                         "path", ngx_http_apikey_json_text(
                                            (u_char *) store->path.data,
                                            store->path.len),
                         "entries", (json_int_t) page->file.entries,
                         "damaged_lines", (json_int_t) page->file.damaged,
                         "lost_revocations", (json_int_t) page->file.lost,
                         "trouble", page->file.trouble);
    }

    list = json_array();
    s = page->servers.elts;

    for (i = 0; i < page->servers.nelts; i++) {
        json_array_append_new(list,
                  json_pack("{s:s, s:o, s:s, s:I, s:o}",
                            "role", s[i].role,
                            "address", ngx_http_apikey_json_text(
                                            s[i].address.data,
                                            s[i].address.len),
                            "state", s[i].state,
                            "since_ms", (json_int_t) s[i].since,
                            "why", ngx_http_apikey_json_text(
                                            (u_char *) s[i].why,
                                            ngx_strlen(s[i].why))));
    }

    return json_pack("{s:s, s:s, s:b, s:I, s:o}",
                     "type", "redis",
                     "topology", ngx_http_apikey_topologies[store->topology],
                     "tls", (int) store->tls.on,
                     "waiting", (json_int_t) page->redis.waiting,
                     "servers", list);
}


static json_t *
ngx_http_apikey_json_invalidation(ngx_http_apikey_page_t *page)
{
    json_t                   *list;
    ngx_uint_t                i;
    ngx_http_apikey_cover_t  *cover;

    if (page->mcf->redis == NULL) {
        return json_null();
    }

    list = json_array();

    for (i = 0; i < page->zone.ncovers; i++) {
        cover = &page->zone.covers[i];

        json_array_append_new(list,
                  json_pack("{s:I, s:s, s:I}",
                            "pid", (json_int_t) cover->pid,
                            "mode", ngx_http_apikey_modes[cover->how].word,
                            "until_ms", (json_int_t) (cover->until
                                                      - ngx_current_msec)));
    }

    return json_pack("{s:s, s:I, s:o}",
                     "mode", ngx_http_apikey_modes[page->mode].word,
                     "distrusted", (json_int_t) page->zone.epoch,
                     "workers", list);
}


static json_t *
ngx_http_apikey_json_bounds(ngx_http_apikey_page_t *page)
{
    ngx_http_apikey_zone_t        *zone;
    const ngx_http_apikey_mode_t  *mode;

    if (page->mcf->redis == NULL) {
        return json_null();
    }

    zone = page->mcf->zone;
    mode = &ngx_http_apikey_modes[page->mode];

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}",
                     "ttl_ms", (json_int_t) zone->ttl,
                     "negative_ttl_ms", (json_int_t) zone->negative_ttl,
                     "stale_ms", (json_int_t) zone->stale,
                     "apikeyctl_ms", (json_int_t) (mode->ctl ? zone->ttl : 0),
                     "others_ms", (json_int_t) (mode->others ? zone->ttl : 0),
                     "outage_ms", (json_int_t) (mode->ctl
                                                ? ngx_max(zone->ttl,
                                                          zone->stale)
                                                : zone->stale));
}


static json_t *
ngx_http_apikey_json_zone(ngx_http_apikey_page_t *page)
{
    json_t          *json;
    ngx_uint_t       i;
    ngx_shm_zone_t  *shm_zone;

    shm_zone = page->mcf->shm_zone;

    json = json_pack("{s:o, s:I, s:I}",
                     "name", ngx_http_apikey_json_text(
                                                    shm_zone->shm.name.data,
                                                    shm_zone->shm.name.len),
                     "size_bytes", (json_int_t) shm_zone->shm.size,
                     "free_bytes", (json_int_t) page->zone.free);

    for (i = 0; i < ak_nitems(ngx_http_apikey_parts); i++) {
        json_object_set_new(json, ngx_http_apikey_parts[i],
                  json_pack("{s:I, s:I}",
                            "entries", (json_int_t) page->zone.entries[i],
                            "evicted", (json_int_t) page->zone.evicted[i]));
    }

    return json;
}


static json_t *
ngx_http_apikey_json_requests(ngx_http_apikey_page_t *page)
{
    json_t             *denied;
    ngx_uint_t          i;
    const ak_error_t   *e;
    ngx_atomic_uint_t  *n;

    denied = json_object();
    n = page->zone.total.verdicts;

    for (i = 0; i < AK_REASON_MAX; i++) {
        e = ak_error((ak_reason_e) i);

        if (e->status != 0) {
            json_object_set_new(denied, (const char *) e->word.data,
                                json_integer((json_int_t) n[i]));
        }
    }

    return json_pack("{s:I, s:I, s:o}",
                     "granted", (json_int_t) n[AK_SUCCESS],
                     "passed", (json_int_t) n[AK_IGNORE],
                     "denied", denied);
}


static json_t *
ngx_http_apikey_json_lookups(ngx_http_apikey_page_t *page)
{
    json_t             *json, *kind;
    ngx_uint_t          i, k;
    ngx_atomic_uint_t  *n;

    json = json_object();

    for (i = NGX_HTTP_APIKEY_ASKED_KEY; i < NGX_HTTP_APIKEY_ASKED_MAX; i++) {

        kind = json_object();
        n = page->zone.total.lookups[i];

        for (k = 0; k < NGX_HTTP_APIKEY_SOURCES; k++) {
            json_object_set_new(kind, ngx_http_apikey_sources[k],
                                json_integer((json_int_t) n[k]));
        }

        json_object_set_new(json, ngx_http_apikey_asked[i], kind);
    }

    return json;
}


static json_t *
ngx_http_apikey_json_slots(ngx_http_apikey_page_t *page)
{
    json_t                   *list;
    ngx_uint_t                i;
    ngx_http_apikey_slots_t  *s;

    list = json_array();
    s = page->slots.elts;

    for (i = 0; i < page->slots.nelts; i++, s++) {
        json_array_append_new(list,
                  json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:o, s:I, s:I,"
                            " s:I, s:I}",
                            "provider", ngx_http_apikey_json_text(
                                            s->provider.data,
                                            s->provider.len),
                            "slot", (s->slot.len == 0) ? json_null()
                                    : ngx_http_apikey_json_text(s->slot.data,
                                                                s->slot.len),
                            "source", (s->slot.len == 0) ? "own" : "shared",
                            "slots", (json_int_t) s->slots,
                            "refused", (json_int_t) s->refused,
                            "cooling", (json_int_t) s->cooling,
                            "ready_ms", (s->ready == AK_POOL_NEVER)
                                        ? json_null()
                                        : json_integer((json_int_t) s->ready),
                            "answers", (json_int_t) s->total.used,
                            "answers_refused",
                                        (json_int_t) s->total.refusals,
                            "answers_busy", (json_int_t) s->total.busy,
                            "answers_failed",
                                        (json_int_t) s->total.failed));
    }

    return list;
}
