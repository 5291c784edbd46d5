
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_status.h"
#include "ngx_http_apikey_zone.h"


/*
 * The page of "apikey_status" as text for Prometheus:
 * https://prometheus.io/docs/instrumenting/exposition_formats/, 0.0.4.
 */

static void ngx_http_apikey_put(ngx_http_apikey_page_t *page,
    const char *fmt, ...);
static void ngx_http_apikey_put_store(ngx_http_apikey_page_t *page);
static void ngx_http_apikey_put_servers(ngx_http_apikey_page_t *page);
static void ngx_http_apikey_put_invalidation(ngx_http_apikey_page_t *page);
static void ngx_http_apikey_put_zone(ngx_http_apikey_page_t *page);
static void ngx_http_apikey_put_counts(ngx_http_apikey_page_t *page);
static void ngx_http_apikey_put_slots(ngx_http_apikey_page_t *page);
static void ngx_http_apikey_put_answers(ngx_http_apikey_page_t *page,
    ngx_http_apikey_slots_t *s, const char *outcome, uint64_t n);
static ngx_str_t ngx_http_apikey_label(ngx_http_apikey_page_t *page,
    ngx_str_t *text);


ngx_int_t
ngx_http_apikey_status_text_handler(ngx_http_request_t *r)
{
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

    page->text = ngx_array_create(r->pool, 8192, 1);
    if (page->text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_apikey_put_store(page);
    ngx_http_apikey_put_servers(page);
    ngx_http_apikey_put_invalidation(page);
    ngx_http_apikey_put_zone(page);
    ngx_http_apikey_put_counts(page);
    ngx_http_apikey_put_slots(page);

    if (page->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = page->text->elts;
    body.len = page->text->nelts;

    ngx_str_set(&type, "text/plain; version=0.0.4; charset=utf-8");

    return ngx_http_apikey_status_send(r, &type, sizeof("text/plain") - 1,
                                       &body);
}


/* A line, or a few; what is longer than there is room for fails the page. */

static void
ngx_http_apikey_put(ngx_http_apikey_page_t *page, const char *fmt, ...)
{
    u_char   buf[NGX_MAX_ERROR_STR], *p, *last;
    va_list  args;

    va_start(args, fmt);
    last = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    p = (last == buf + sizeof(buf))
        ? NULL : ngx_array_push_n(page->text, last - buf);

    if (p == NULL) {
        page->failed = 1;
        return;
    }

    ngx_memcpy(p, buf, last - buf);
}


#define ngx_http_apikey_put_head(page, name, type, help)                     \
    ngx_http_apikey_put(page, "# HELP " name " " help "\n"                   \
                              "# TYPE " name " " type "\n")


static void
ngx_http_apikey_put_store(ngx_http_apikey_page_t *page)
{
    ak_store_conf_t  *store;

    store = page->mcf->store;

    ngx_http_apikey_put_head(page, "apikey_healthy", "gauge",
        "Whether the store answers the worker that was asked.");
    ngx_http_apikey_put(page, "apikey_healthy %ui\n", page->healthy);

    ngx_http_apikey_put_head(page, "apikey_store_info", "gauge",
        "Where records live.");

    if (store == NULL) {
        ngx_http_apikey_put(page, "apikey_store_info{type=\"none\"} 1\n");
        return;
    }

    if (page->mcf->redis != NULL) {
        ngx_http_apikey_put(page, "apikey_store_info{type=\"redis\","
                            "topology=\"%s\",tls=\"%s\"} 1\n",
                            ngx_http_apikey_topologies[store->topology],
                            store->tls.on ? "on" : "off");

        ngx_http_apikey_put_head(page, "apikey_redis_waiting", "gauge",
            "Queries of the worker that was asked that wait for an answer.");
        ngx_http_apikey_put(page, "apikey_redis_waiting %ui\n",
                            page->redis.waiting);
        return;
    }

    ngx_http_apikey_put(page, "apikey_store_info{type=\"file\"} 1\n");

    ngx_http_apikey_put_head(page, "apikey_file_entries", "gauge",
        "Entries of the file.");
    ngx_http_apikey_put(page, "apikey_file_entries %uz\n",
                        page->file.entries);

    ngx_http_apikey_put_head(page, "apikey_file_damaged_lines", "gauge",
        "Lines of the file that cannot be read.");
    ngx_http_apikey_put(page, "apikey_file_damaged_lines %ui\n",
                        page->file.damaged);

    ngx_http_apikey_put_head(page, "apikey_file_lost_revocations", "gauge",
        "Revocations of which nobody can tell whom they concern.");
    ngx_http_apikey_put(page, "apikey_file_lost_revocations %uz\n",
                        page->file.lost);
}


static void
ngx_http_apikey_put_servers(ngx_http_apikey_page_t *page)
{
    ngx_str_t             address;
    ngx_uint_t            i;
    ngx_apikey_server_t  *s;

    if (page->mcf->redis == NULL) {
        return;
    }

    s = page->servers.elts;

    ngx_http_apikey_put_head(page, "apikey_redis_up", "gauge",
        "Whether the worker that was asked is connected to a server.");

    for (i = 0; i < page->servers.nelts; i++) {
        address = ngx_http_apikey_label(page, &s[i].address);

        ngx_http_apikey_put(page, "apikey_redis_up{role=\"%s\","
                            "server=\"%V\"} %d\n", s[i].role, &address,
                            ngx_strcmp(s[i].state, "up") == 0);
    }

    ngx_http_apikey_put_head(page, "apikey_redis_since_seconds", "gauge",
        "For how long that has been so.");

    for (i = 0; i < page->servers.nelts; i++) {
        address = ngx_http_apikey_label(page, &s[i].address);

        ngx_http_apikey_put(page, "apikey_redis_since_seconds{role=\"%s\","
                            "server=\"%V\"} %M.%03M\n", s[i].role, &address,
                            s[i].since / 1000, s[i].since % 1000);
    }
}


static void
ngx_http_apikey_put_invalidation(ngx_http_apikey_page_t *page)
{
    ngx_uint_t               i, k, n;
    ngx_http_apikey_zone_t  *zone;

    if (page->mcf->redis == NULL) {
        return;
    }

    zone = page->mcf->zone;

    ngx_http_apikey_put_head(page, "apikey_invalidation", "gauge",
        "How changes in Redis become known; 1 of the mode in force.");

    for (i = 0; i < NGX_HTTP_APIKEY_MODE_MAX; i++) {
        ngx_http_apikey_put(page, "apikey_invalidation{mode=\"%s\"} %d\n",
                            ngx_http_apikey_modes[i].word, i == page->mode);
    }

    ngx_http_apikey_put_head(page, "apikey_invalidation_workers", "gauge",
        "Workers that are told of changes so.");

    for (i = NGX_HTTP_APIKEY_MODE_TTL; i <= NGX_HTTP_APIKEY_MODE_TRACKING;
         i++)
    {
        n = 0;

        for (k = 0; k < page->zone.ncovers; k++) {
            n += (page->zone.covers[k].how == i);
        }

        ngx_http_apikey_put(page, "apikey_invalidation_workers"
                            "{mode=\"%s\"} %ui\n",
                            ngx_http_apikey_modes[i].word, n);
    }

    ngx_http_apikey_put_head(page, "apikey_distrusted_total", "counter",
        "Times that all that was kept was not trusted any more.");
    ngx_http_apikey_put(page, "apikey_distrusted_total %uD\n",
                        page->zone.epoch);

    ngx_http_apikey_put_head(page, "apikey_bound_seconds", "gauge",
        "The times of apikey_zone.");
    ngx_http_apikey_put(page,
                        "apikey_bound_seconds{bound=\"ttl\"} %M.%03M\n"
                        "apikey_bound_seconds{bound=\"negative_ttl\"} "
                        "%M.%03M\n"
                        "apikey_bound_seconds{bound=\"stale\"} %M.%03M\n",
                        zone->ttl / 1000, zone->ttl % 1000,
                        zone->negative_ttl / 1000, zone->negative_ttl % 1000,
                        zone->stale / 1000, zone->stale % 1000);
}


static void
ngx_http_apikey_put_zone(ngx_http_apikey_page_t *page)
{
    ngx_uint_t  i;

    ngx_http_apikey_put_head(page, "apikey_zone_size_bytes", "gauge",
        "Size of the zone.");
    ngx_http_apikey_put(page, "apikey_zone_size_bytes %uz\n",
                        page->mcf->shm_zone->shm.size);

    ngx_http_apikey_put_head(page, "apikey_zone_free_bytes", "gauge",
        "What of it is in pages that nothing uses.");
    ngx_http_apikey_put(page, "apikey_zone_free_bytes %uz\n",
                        page->zone.free);

    ngx_http_apikey_put_head(page, "apikey_zone_entries", "gauge",
        "Entries; guesses are what anybody can cause to be kept.");

    for (i = 0; i < ak_nitems(ngx_http_apikey_parts); i++) {
        ngx_http_apikey_put(page, "apikey_zone_entries{part=\"%s\"} %ui\n",
                            ngx_http_apikey_parts[i], page->zone.entries[i]);
    }

    ngx_http_apikey_put_head(page, "apikey_zone_evicted_total", "counter",
        "Entries that went to make room.");

    for (i = 0; i < ak_nitems(ngx_http_apikey_parts); i++) {
        ngx_http_apikey_put(page, "apikey_zone_evicted_total{part=\"%s\"} "
                            "%ui\n", ngx_http_apikey_parts[i],
                            page->zone.evicted[i]);
    }
}


static void
ngx_http_apikey_put_counts(ngx_http_apikey_page_t *page)
{
    ngx_str_t           word;
    ngx_uint_t          i, k;
    const ak_error_t   *e;
    ngx_atomic_uint_t  *n;

    n = page->zone.total.verdicts;

    ngx_http_apikey_put_head(page, "apikey_requests_total", "counter",
        "Verdicts; passed is what another access module has let pass.");
    ngx_http_apikey_put(page,
                        "apikey_requests_total{result=\"granted\"} %uA\n"
                        "apikey_requests_total{result=\"passed\"} %uA\n",
                        n[AK_SUCCESS], n[AK_IGNORE]);

    for (i = 0; i < AK_REASON_MAX; i++) {
        e = ak_error((ak_reason_e) i);
        word = ngx_http_apikey_ngx_str(e->word);

        if (e->status != 0) {
            ngx_http_apikey_put(page, "apikey_requests_total"
                                "{result=\"denied\",reason=\"%V\"} %uA\n",
                                &word, n[i]);
        }
    }

    ngx_http_apikey_put_head(page, "apikey_lookups_total", "counter",
        "What requests asked for, and where the answer came from.");

    for (i = NGX_HTTP_APIKEY_ASKED_KEY; i < NGX_HTTP_APIKEY_ASKED_MAX; i++) {

        n = page->zone.total.lookups[i];

        for (k = 0; k < NGX_HTTP_APIKEY_SOURCES; k++) {
            ngx_http_apikey_put(page, "apikey_lookups_total{kind=\"%s\","
                                "source=\"%s\"} %uA\n",
                                ngx_http_apikey_asked[i],
                                ngx_http_apikey_sources[k], n[k]);
        }
    }
}


/* Owners' own slots are told of by provider, and have no name. */

static void
ngx_http_apikey_put_slots(ngx_http_apikey_page_t *page)
{
    ngx_uint_t                i;
    ngx_http_apikey_slots_t  *s;

    s = page->slots.elts;

    ngx_http_apikey_put_head(page, "apikey_upstream_slots", "gauge",
        "Slots of upstream keys by what their provider said last; those of "
        "owners have no name.");

    for (i = 0; i < page->slots.nelts; i++) {
        ngx_http_apikey_put(page,
            "apikey_upstream_slots{provider=\"%V\",slot=\"%V\","
            "state=\"ready\"} %ui\n"
            "apikey_upstream_slots{provider=\"%V\",slot=\"%V\","
            "state=\"cooling\"} %ui\n"
            "apikey_upstream_slots{provider=\"%V\",slot=\"%V\","
            "state=\"refused\"} %ui\n",
            &s[i].provider, &s[i].slot,
            s[i].slots - s[i].cooling - s[i].refused,
            &s[i].provider, &s[i].slot, s[i].cooling,
            &s[i].provider, &s[i].slot, s[i].refused);
    }

    ngx_http_apikey_put_head(page, "apikey_upstream_answers_total", "counter",
        "Answers of providers to upstream keys, by what they said of them.");

    for (i = 0; i < page->slots.nelts; i++) {
        ngx_http_apikey_put_answers(page, &s[i], "good", s[i].total.used
                                    - s[i].total.refusals - s[i].total.busy
                                    - s[i].total.failed);
        ngx_http_apikey_put_answers(page, &s[i], "refused",
                                    s[i].total.refusals);
        ngx_http_apikey_put_answers(page, &s[i], "busy", s[i].total.busy);
        ngx_http_apikey_put_answers(page, &s[i], "failed", s[i].total.failed);
    }
}


static void
ngx_http_apikey_put_answers(ngx_http_apikey_page_t *page,
    ngx_http_apikey_slots_t *s, const char *outcome, uint64_t n)
{
    ngx_http_apikey_put(page, "apikey_upstream_answers_total{provider=\"%V\","
                        "slot=\"%V\",outcome=\"%s\"} %uL\n",
                        &s->provider, &s->slot, outcome, n);
}


/* As a label's value: a path may be any bytes. */

static ngx_str_t
ngx_http_apikey_label(ngx_http_apikey_page_t *page, ngx_str_t *text)
{
    size_t     i;
    u_char    *p, c;
    ngx_str_t  label;

    label.len = 0;
    label.data = ngx_pnalloc(page->request->pool, 2 * text->len + 1);

    if (label.data == NULL) {
        page->failed = 1;
        return label;
    }

    p = label.data;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c == '\\' || c == '"') {
            *p++ = '\\';
        }

        *p++ = (c < ' ' || c > '~') ? '?' : c;
    }

    label.len = p - label.data;

    return label;
}
