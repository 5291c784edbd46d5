
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_pool.h"
#include "ngx_http_apikey_zone.h"


static uint32_t ngx_http_apikey_pool_number(ngx_http_apikey_zone_t *zone,
    const ak_need_t *need);
static ngx_uint_t ngx_http_apikey_pool_trouble(ngx_http_apikey_zone_t *zone);
static ngx_uint_t ngx_http_apikey_pool_left(ngx_http_apikey_zone_t *zone,
    const ak_need_t *need, uint64_t *left);
static ngx_uint_t ngx_http_apikey_pool_taken(void *data, ngx_str_t *key,
    u_char *cell);
static ngx_int_t ngx_http_apikey_pool_key(u_char *buf, u_char letter,
    const ak_place_t *place, ngx_str_t *key, uint32_t *hash);
static ngx_uint_t ngx_http_apikey_pool_add(void *data, ngx_str_t *key,
    u_char *cell);
static ngx_http_apikey_slots_t *ngx_http_apikey_pool_row(ngx_array_t *slots,
    ngx_str_t *provider, ngx_str_t *slot);
static u_char *ngx_http_apikey_pool_name(ngx_str_t *name, u_char *p,
    u_char *last);


void
ngx_http_apikey_pool_lookup(ngx_http_apikey_ctx_t *ctx)
{
    ak_need_t               *need;
    ak_answer_t              answer;
    ngx_http_apikey_zone_t  *zone;

    /* read before anybody else asks */

    static uint64_t          left[AK_SLOTS_MAX];

    zone = ctx->mcf->zone;
    need = &ctx->txn.need;

    ngx_memzero(&answer, sizeof(ak_answer_t));

    answer.rc = AK_NOT_FOUND;

    if (!need->turn && !ngx_http_apikey_pool_trouble(zone)) {

        /* most requests, and without a lock */

        answer.number = (uint32_t) ngx_random();

        ak_txn_answer(&ctx->txn, &answer);
        return;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    answer.number = need->turn ? ngx_http_apikey_pool_number(zone, need)
                               : (uint32_t) ngx_random();

    if (ngx_http_apikey_pool_trouble(zone)
        && ngx_http_apikey_pool_left(zone, need, left))
    {
        answer.rc = AK_OK;
        answer.left = left;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ak_txn_answer(&ctx->txn, &answer);
}


/* Whether any slot may not be ready. */

static ngx_uint_t
ngx_http_apikey_pool_trouble(ngx_http_apikey_zone_t *zone)
{
    return zone->sh->refused
           || (ngx_msec_int_t) (zone->sh->cooling - ngx_current_msec) > 0;
}


static uint32_t
ngx_http_apikey_pool_number(ngx_http_apikey_zone_t *zone,
    const ak_need_t *need)
{
    u_char       buf[NGX_HTTP_APIKEY_KEY_MAX];
    u_char      *cell;
    uint32_t     hash, number, next;
    ngx_str_t    key;
    ak_place_t   place;

    place.owner = need->name;
    place.provider = need->provider;
    place.slot = ak_str(NULL, 0);

    if (ngx_http_apikey_pool_key(buf, NGX_HTTP_APIKEY_TURN, &place, &key,
                                 &hash)
        != NGX_OK)
    {
        return (uint32_t) ngx_random();
    }

    cell = ngx_http_apikey_zone_cell(zone, &key, hash, sizeof(uint32_t), 1);

    if (cell == NULL) {
        return (uint32_t) ngx_random();
    }

    ngx_memcpy(&number, cell, sizeof(uint32_t));

    next = number + 1;
    ngx_memcpy(cell, &next, sizeof(uint32_t));

    return number;
}


/* Returns whether some slot is not ready. */

static ngx_uint_t
ngx_http_apikey_pool_left(ngx_http_apikey_zone_t *zone, const ak_need_t *need,
    uint64_t *left)
{
    u_char            buf[NGX_HTTP_APIKEY_KEY_MAX];
    size_t            pos;
    u_char           *cell;
    uint32_t          hash;
    ngx_str_t         key;
    ngx_uint_t        n, some;
    ak_slot_t         slot;
    ak_place_t        place;
    ak_slot_state_t   state;

    place.owner = need->name;
    place.provider = need->provider;

    some = 0;
    pos = 0;

    for (n = 0; n < AK_SLOTS_MAX; n++) {

        if (ak_tokens_next(need->value, &pos, &slot) != AK_OK) {
            break;
        }

        left[n] = 0;
        place.slot = slot.name;

        if (ngx_http_apikey_pool_key(buf, NGX_HTTP_APIKEY_SLOT, &place, &key,
                                     &hash)
            != NGX_OK)
        {
            continue;
        }

        cell = ngx_http_apikey_zone_cell(zone, &key, hash, 0, 0);

        if (cell == NULL) {
            continue;
        }

        ngx_memcpy(&state, cell, sizeof(ak_slot_state_t));

        left[n] = ak_pool_left(&state, ak_pool_token(slot.sealed),
                               ngx_current_msec);
        some |= (left[n] != 0);
    }

    return some;
}


void
ngx_http_apikey_pool_learn(ngx_http_apikey_ctx_t *ctx, ak_outcome_e outcome,
    ak_pool_header_pt header, void *data)
{
    u_char                      buf[NGX_HTTP_APIKEY_KEY_MAX];
    u_char                     *cell;
    ak_txn_t                   *t;
    uint32_t                    hash;
    uint32_t                    was;
    uint64_t                    wait;
    ngx_str_t                   key;
    ak_place_t                  place;
    ak_slot_state_t             state;
    ngx_http_apikey_zone_t     *zone;
    ngx_http_apikey_zone_sh_t  *sh;

    t = &ctx->txn;
    zone = ctx->mcf->zone;
    sh = zone->sh;

    if (t->token == 0) {
        return;                /* it is of no pool */
    }

    place.owner = ak_txn_key_owner(t);
    place.provider = t->provider;
    place.slot = t->slot;

    if (ngx_http_apikey_pool_key(buf, NGX_HTTP_APIKEY_SLOT, &place, &key,
                                 &hash)
        != NGX_OK)
    {
        return;
    }

    wait = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    cell = ngx_http_apikey_zone_cell(zone, &key, hash,
                                     sizeof(ak_slot_state_t), 1);
    if (cell == NULL) {
        goto done;
    }

    ngx_memcpy(&state, cell, sizeof(ak_slot_state_t));

    if (outcome == AK_OUTCOME_BUSY || outcome == AK_OUTCOME_FAILED) {
        wait = ak_pool_wait(header, data, state.failures, ngx_time());
    }

    was = state.refused;

    ak_pool_learn(&state, t->token, outcome, wait, ngx_current_msec);

    ngx_memcpy(cell, &state, sizeof(ak_slot_state_t));

    if (state.refused) {
        sh->refused = 1;

    } else if (was) {

        /* where it was the last one, requests need not look any more */

        sh->refused = !ngx_http_apikey_zone_slots(zone,
                                                  ngx_http_apikey_pool_taken,
                                                  NULL);
    }

    if ((ngx_msec_int_t) (state.ready - sh->cooling) > 0
        && state.ready != 0)
    {
        sh->cooling = state.ready;
    }

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


static ngx_uint_t
ngx_http_apikey_pool_taken(void *data, ngx_str_t *key, u_char *cell)
{
    ak_slot_state_t  state;

    ngx_memcpy(&state, cell, sizeof(ak_slot_state_t));

    return !state.refused;
}


static ngx_int_t
ngx_http_apikey_pool_key(u_char *buf, u_char letter, const ak_place_t *place,
    ngx_str_t *key, uint32_t *hash)
{
    u_char  *p;

    if (place->owner.len + place->provider.len + place->slot.len + 3
        > NGX_HTTP_APIKEY_KEY_MAX)
    {
        return NGX_ERROR;
    }

    /* an owner may have a ':', the others have none */

    p = buf;
    *p++ = letter;
    p = ngx_cpymem(p, place->owner.data, place->owner.len);
    *p++ = ':';
    p = ngx_cpymem(p, place->provider.data, place->provider.len);

    if (place->slot.len != 0) {
        *p++ = ':';
        p = ngx_cpymem(p, place->slot.data, place->slot.len);
    }

    key->data = buf;
    key->len = p - buf;

    *hash = ngx_murmur_hash2(key->data, key->len);

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_pool_state(ngx_http_apikey_zone_t *zone, ngx_array_t *slots)
{
    ngx_uint_t  all;

    ngx_shmtx_lock(&zone->shpool->mutex);

    all = ngx_http_apikey_zone_slots(zone, ngx_http_apikey_pool_add, slots);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return all ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_apikey_pool_add(void *data, ngx_str_t *key, u_char *cell)
{
    ngx_array_t *slots = data;

    u_char                   *last;
    uint64_t                  left;
    ngx_str_t                 provider, slot;
    ak_slot_state_t           state;
    ngx_http_apikey_slots_t  *s;

    last = key->data + key->len;
    last = ngx_http_apikey_pool_name(&slot, key->data, last);
    last = ngx_http_apikey_pool_name(&provider, key->data, last);

    if (last - key->data != 2 || key->data[1] != '*') {
        slot.len = 0;          /* it is of no concern whose it is */
    }

    s = ngx_http_apikey_pool_row(slots, &provider, &slot);

    if (s == NULL) {
        return 0;
    }

    ngx_memcpy(&state, cell, sizeof(ak_slot_state_t));

    left = ak_pool_left(&state, state.token, ngx_current_msec);

    s->ready = (s->slots == 0) ? left : ngx_min(s->ready, left);
    s->slots++;
    s->refused += (left == AK_POOL_NEVER);
    s->cooling += (left != 0 && left != AK_POOL_NEVER);

    s->total.used += state.used;
    s->total.refusals += state.refusals;
    s->total.busy += state.busy;
    s->total.failed += state.failed;

    return 1;
}


static ngx_http_apikey_slots_t *
ngx_http_apikey_pool_row(ngx_array_t *slots, ngx_str_t *provider,
    ngx_str_t *slot)
{
    ngx_uint_t                i;
    ngx_http_apikey_slots_t  *s;

    s = slots->elts;

    for (i = 0; i < slots->nelts; i++) {

        if (s[i].slot.len == slot->len && s[i].provider.len == provider->len
            && ngx_memcmp(s[i].slot.data, slot->data, slot->len) == 0
            && ngx_memcmp(s[i].provider.data, provider->data, provider->len)
               == 0)
        {
            return &s[i];
        }
    }

    s = ngx_array_push(slots);
    if (s == NULL) {
        return NULL;
    }

    ngx_memzero(s, sizeof(ngx_http_apikey_slots_t));

    s->provider.len = provider->len;
    s->provider.data = ngx_pstrdup(slots->pool, provider);

    s->slot.len = slot->len;
    s->slot.data = ngx_pstrdup(slots->pool, slot);

    return (s->provider.data != NULL && s->slot.data != NULL) ? s : NULL;
}


/* What stands behind the last ':'; returns where that is. */

static u_char *
ngx_http_apikey_pool_name(ngx_str_t *name, u_char *p, u_char *last)
{
    u_char  *q;

    for (q = last; q > p + 1 && q[-1] != ':'; q--) { /* void */ }

    name->data = q;
    name->len = last - q;

    return q - 1;
}
