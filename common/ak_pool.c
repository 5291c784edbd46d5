
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_pool.h"
#include "ak_time.h"


#define AK_POOL_WAIT_FIRST  1000       /* milliseconds */
#define AK_POOL_WAIT_LAST   60000
#define AK_POOL_VALUE_MAX   64         /* bytes of a header worth reading */


typedef struct {
    ak_str_t  suffix;
    uint64_t  ms;
} ak_pool_unit_t;


static const ak_pool_unit_t  ak_pool_units[] = {
    { ak_string("ms"), 1 },
    { ak_string("s"), 1000 },
    { ak_string("m"), 60 * 1000 },
    { ak_string("h"), 60 * 60 * 1000 },
    { ak_string("d"), 24 * 60 * 60 * 1000 }
};


/* A limit of a provider: what is left of it, and when there is more. */

typedef struct {
    ak_str_t  remaining;
    ak_str_t  reset;
} ak_pool_limit_t;


#define ak_pool_openai(what)                                                 \
    { ak_string("x-ratelimit-remaining-" what),                              \
      ak_string("x-ratelimit-reset-" what) }

#define ak_pool_anthropic(what)                                              \
    { ak_string("anthropic-ratelimit-" what "-remaining"),                   \
      ak_string("anthropic-ratelimit-" what "-reset") }


static const ak_pool_limit_t  ak_pool_spans[] = {
    ak_pool_openai("requests"),
    ak_pool_openai("tokens")
};


static const ak_pool_limit_t  ak_pool_points[] = {
    ak_pool_anthropic("requests"),
    ak_pool_anthropic("tokens"),
    ak_pool_anthropic("input-tokens"),
    ak_pool_anthropic("output-tokens")
};


/* The headers of an answer. */

typedef struct {
    ak_pool_header_pt  header;
    void              *data;
    int64_t            now;
} ak_pool_answer_t;


/* A slot while its place is looked for. */

typedef struct {
    uint8_t   index;
    uint64_t  left;
    uint64_t  weight;          /* the largest comes first */
} ak_pool_entry_t;


static bool ak_pool_value(const ak_pool_answer_t *a, ak_str_t name,
    ak_str_t *value);
static bool ak_pool_number(ak_str_t *s, uint64_t unit, ak_str_t *digits,
    uint64_t *ms);
static bool ak_pool_plain(ak_str_t s, uint64_t unit, uint64_t *ms);
static bool ak_pool_span(ak_str_t s, uint64_t *ms);
static bool ak_pool_until(int64_t at, int64_t now, uint64_t *ms);
static bool ak_pool_retry(const ak_pool_answer_t *a, uint64_t *ms);
static bool ak_pool_resets(const ak_pool_answer_t *a, uint64_t *ms);
static bool ak_pool_spent(const ak_pool_answer_t *a, ak_str_t name,
    bool *told);

static uint64_t ak_pool_mix(uint64_t h);
static uint64_t ak_pool_hash(uint64_t h, ak_str_t s);
static void ak_pool_sort(ak_pool_entry_t *list, size_t n);


ak_outcome_e
ak_pool_outcome(const ak_provider_t *p, unsigned status, ak_str_t body)
{
    if (ak_provider_refuses(p, status, body)) {
        return AK_OUTCOME_REFUSED;
    }

    switch (status) {

    case 401:
    case 403:
        return AK_OUTCOME_FORBIDDEN;

    case 402:
    case 429:
        return AK_OUTCOME_BUSY;

    default:
        return (status >= 500 && status <= 599) ? AK_OUTCOME_FAILED
                                                : AK_OUTCOME_GOOD;
    }
}


uint64_t
ak_pool_wait(ak_pool_header_pt header, void *data, uint32_t failures,
    int64_t now)
{
    uint64_t          ms;
    ak_pool_answer_t  a = { header, data, now };

    if (ak_pool_retry(&a, &ms) || ak_pool_resets(&a, &ms)) {
        return (ms > AK_POOL_WAIT_MAX) ? AK_POOL_WAIT_MAX : ms;
    }

    if (failures > 6) {
        failures = 6;
    }

    ms = (uint64_t) AK_POOL_WAIT_FIRST << failures;

    return (ms > AK_POOL_WAIT_LAST) ? AK_POOL_WAIT_LAST : ms;
}


/*
 * What the provider says in so many words.  A wait of nothing is none: who is
 * told to come back at once, and fails again, would do so without end.
 */

static bool
ak_pool_retry(const ak_pool_answer_t *a, uint64_t *ms)
{
    int64_t   at;
    ak_str_t  value;

    if (ak_pool_value(a, ak_literal("retry-after-ms"), &value)
        && ak_pool_plain(value, 1, ms) && *ms != 0)
    {
        return true;
    }

    if (!ak_pool_value(a, ak_literal("retry-after"), &value)) {
        return false;
    }

    if (ak_pool_plain(value, 1000, ms)) {
        return *ms != 0;
    }

    return ak_time_http(value, &at) == AK_OK
           && ak_pool_until(at, a->now, ms);
}


/* The longest of the limits that are used up. */

static bool
ak_pool_resets(const ak_pool_answer_t *a, uint64_t *ms)
{
    bool      told, spent[ak_nitems(ak_pool_spans)];
    size_t    i;
    int64_t   at;
    uint64_t  wait;
    ak_str_t  value;

    *ms = 0;
    told = false;

    for (i = 0; i < ak_nitems(ak_pool_spans); i++) {
        spent[i] = ak_pool_spent(a, ak_pool_spans[i].remaining, &told);
    }

    /* where nothing is said of what is left, any of them may be meant */

    for (i = 0; i < ak_nitems(ak_pool_spans); i++) {

        if ((spent[i] || !told)
            && ak_pool_value(a, ak_pool_spans[i].reset, &value)
            && ak_pool_span(value, &wait) && wait > *ms)
        {
            *ms = wait;
        }
    }

    for (i = 0; i < ak_nitems(ak_pool_points); i++) {

        if (ak_pool_spent(a, ak_pool_points[i].remaining, &told)
            && ak_pool_value(a, ak_pool_points[i].reset, &value)
            && ak_time_rfc3339(value, &at) == AK_OK
            && ak_pool_until(at, a->now, &wait) && wait > *ms)
        {
            *ms = wait;
        }
    }

    return *ms != 0;
}


static bool
ak_pool_spent(const ak_pool_answer_t *a, ak_str_t name, bool *told)
{
    uint64_t  n;
    ak_str_t  value;

    if (!a->header(a->data, name, &value)) {
        return false;
    }

    *told = true;

    return value.len <= AK_POOL_VALUE_MAX && ak_pool_plain(value, 1, &n)
           && n == 0;
}


static bool
ak_pool_value(const ak_pool_answer_t *a, ak_str_t name, ak_str_t *value)
{
    return a->header(a->data, name, value) && value->len != 0
           && value->len <= AK_POOL_VALUE_MAX;
}


static bool
ak_pool_until(int64_t at, int64_t now, uint64_t *ms)
{
    if (at <= now) {
        return false;
    }

    *ms = (at - now > AK_POOL_WAIT_MAX / 1000) ? AK_POOL_WAIT_MAX
                                              : (uint64_t) (at - now) * 1000;

    return true;
}


/* Digits alone, or with a fraction, as SDKs take them. */

static bool
ak_pool_plain(ak_str_t s, uint64_t unit, uint64_t *ms)
{
    ak_str_t  number;

    return ak_pool_number(&s, unit, &number, ms) && s.len == 0;
}


/* "6m0s", "1.5s", "20ms", "1h2m3s", or seconds alone. */

static bool
ak_pool_span(ak_str_t s, uint64_t *ms)
{
    size_t    i, len;
    uint64_t  part;
    ak_str_t  number, rest;

    if (ak_pool_plain(s, 1000, ms)) {
        return true;
    }

    *ms = 0;

    do {
        if (!ak_pool_number(&s, 1, &number, &part)) {
            return false;
        }

        for (len = 0; len < s.len; len++) {
            if (s.data[len] >= '0' && s.data[len] <= '9') {
                break;
            }
        }

        rest = ak_str(s.data, len);
        s = ak_str(s.data + len, s.len - len);

        for (i = 0; i < ak_nitems(ak_pool_units); i++) {
            if (ak_str_eq(rest, ak_pool_units[i].suffix)) {
                break;
            }
        }

        if (i == ak_nitems(ak_pool_units)) {
            return false;
        }

        (void) ak_pool_plain(number, ak_pool_units[i].ms, &part);

        *ms += part;

    } while (s.len != 0);

    return true;
}


/*
 * Cuts a number off, in units of that many milliseconds.  A part of one counts
 * as a whole, and what is beyond the longest wait as that.
 */

static bool
ak_pool_number(ak_str_t *s, uint64_t unit, ak_str_t *number, uint64_t *ms)
{
    size_t    i, dot;
    uint64_t  value, part, scale;

    value = 0;
    part = 0;
    scale = 1;
    dot = s->len;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] == '.' && dot == s->len && i != 0) {
            dot = i;
            continue;
        }

        if (s->data[i] < '0' || s->data[i] > '9') {
            break;
        }

        if (dot == s->len) {
            value = value * 10 + (s->data[i] - '0');
            value = (value > AK_POOL_WAIT_MAX) ? AK_POOL_WAIT_MAX : value;

        } else if (scale < 1000000) {
            part = part * 10 + (s->data[i] - '0');
            scale *= 10;
        }
    }

    if (i == 0 || i == dot + 1) {
        return false;
    }

    *number = ak_str(s->data, i);
    *s = ak_str(s->data + i, s->len - i);
    *ms = value * unit + (part * unit + scale - 1) / scale;

    if (*ms > AK_POOL_WAIT_MAX) {
        *ms = AK_POOL_WAIT_MAX;
    }

    return true;
}


uint64_t
ak_pool_token(ak_str_t sealed)
{
    uint64_t  nonce, tag;

    if (sealed.len < AK_SEALED_MIN) {
        return 1;              /* it is none, and never opens */
    }

    /* random bytes, and those that all others have a part in */

    memcpy(&nonce, sealed.data + AK_KID_LEN, sizeof(nonce));
    memcpy(&tag, sealed.data + sealed.len - sizeof(tag), sizeof(tag));

    nonce = ak_pool_mix(nonce) ^ tag;

    return (nonce == 0) ? 1 : nonce;
}


void
ak_pool_learn(ak_slot_state_t *state, uint64_t token, ak_outcome_e outcome,
    uint64_t wait, uint64_t now)
{
    if (state->token != token) {
        state->token = token;
        state->ready = 0;
        state->failures = 0;
        state->refused = 0;
    }

    state->used++;

    switch (outcome) {

    case AK_OUTCOME_REFUSED:
        state->refusals++;
        state->refused = 1;
        return;

    case AK_OUTCOME_FORBIDDEN:
        state->refusals++;
        return;

    case AK_OUTCOME_BUSY:
        state->busy++;
        break;

    case AK_OUTCOME_FAILED:
        state->failed++;
        break;

    default:
        state->ready = 0;
        state->failures = 0;
        state->refused = 0;
        return;
    }

    /* requests that were on their way together fail together: that is once */

    if (state->ready <= now && state->failures != UINT32_MAX) {
        state->failures++;
    }

    if (wait > AK_POOL_WAIT_MAX) {
        wait = AK_POOL_WAIT_MAX;
    }

    if (state->ready < now + wait) {
        state->ready = now + wait;
    }
}


uint64_t
ak_pool_left(const ak_slot_state_t *state, uint64_t token, uint64_t now)
{
    uint64_t  left;

    if (state->token != token) {
        return 0;
    }

    if (state->refused) {
        return AK_POOL_NEVER;
    }

    if (state->ready <= now) {
        return 0;
    }

    left = state->ready - now;

    return (left > AK_POOL_WAIT_MAX) ? AK_POOL_WAIT_MAX : left;
}


/*
 * STICKY is rendezvous hashing: each client weighs all slots for itself, so
 * that one that goes or comes moves its own clients alone.  RANDOM is the same
 * of a client that is never the same.
 */

static uint64_t
ak_pool_seed(ak_select_e select, uint32_t number, ak_str_t client)
{
    switch (select) {

    case AK_SELECT_RANDOM:
        return ak_pool_mix(number);

    case AK_SELECT_STICKY:
        return ak_pool_hash(0, client);

    default:
        return 0;
    }
}


/* Whose turn it is among the ready ones comes first of all. */

static void
ak_pool_turn(ak_pool_entry_t *list, size_t n, size_t ready, size_t turn)
{
    size_t  i, at;

    at = 0;

    for (i = 0; i < n; i++) {
        if (list[i].left == 0) {
            list[i].weight = ready - (at + ready - turn) % ready;
            at++;
        }
    }
}


size_t
ak_pool_order(ak_str_t packed, ak_select_e select, const uint64_t *left,
    ak_str_t avoid, uint32_t number, ak_str_t client, uint8_t *order)
{
    size_t            i, n, ready, pos;
    uint64_t          seed;
    ak_slot_t         slot;
    ak_pool_entry_t   list[AK_SLOTS_MAX], *e;

    n = 0;
    ready = 0;
    pos = 0;
    seed = ak_pool_seed(select, number, client);

    for (i = 0; i < AK_SLOTS_MAX; i++) {

        if (ak_tokens_next(packed, &pos, &slot) != AK_OK) {
            break;
        }

        if ((left != NULL && left[i] == AK_POOL_NEVER)
            || (avoid.len != 0 && ak_str_eq(slot.name, avoid)))
        {
            continue;
        }

        e = &list[n++];

        e->index = (uint8_t) i;
        e->left = (left == NULL) ? 0 : left[i];
        e->weight = 0;

        ready += (e->left == 0);

        if (select == AK_SELECT_RANDOM || select == AK_SELECT_STICKY) {
            e->weight = ak_pool_hash(seed, slot.name);
        }
    }

    if (select == AK_SELECT_TURN && ready != 0) {
        ak_pool_turn(list, n, ready, number % ready);
    }

    ak_pool_sort(list, n);

    for (i = 0; i < n; i++) {
        order[i] = list[i].index;
    }

    return n;
}


/* By the time left, then by weight, then by name, which is how they come. */

static void
ak_pool_sort(ak_pool_entry_t *list, size_t n)
{
    size_t           i, j;
    ak_pool_entry_t  e;

    for (i = 1; i < n; i++) {
        e = list[i];

        for (j = i; j > 0; j--) {

            if (list[j - 1].left < e.left
                || (list[j - 1].left == e.left
                    && list[j - 1].weight >= e.weight))
            {
                break;
            }

            list[j] = list[j - 1];
        }

        list[j] = e;
    }
}


/* The finalizer of SplitMix64: every bit of h has its part in every other. */

static uint64_t
ak_pool_mix(uint64_t h)
{
    h += UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);

    return h ^ (h >> 31);
}


/*
 * Eight bytes at a time, the first one lowest, so that it is the same on every
 * machine; the length tells the last ones from zeros.
 */

static uint64_t
ak_pool_hash(uint64_t h, ak_str_t s)
{
    size_t    i, j;
    uint64_t  v;

    h = ak_pool_mix(h ^ s.len);

    for (i = 0; i < s.len; i += 8) {
        v = 0;

        for (j = 0; j < 8 && i + j < s.len; j++) {
            v |= (uint64_t) s.data[i + j] << (8 * j);
        }

        h = ak_pool_mix(h ^ v);
    }

    return h;
}
