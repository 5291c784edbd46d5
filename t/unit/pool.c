
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for pools of slots: their order, and what answers say of them. */


#include "unit.h"

#include "ak_pool.h"


#define NOW    INT64_C(1800000000)     /* Fri, 15 Jan 2027 08:00:00 GMT */
#define NEVER  AK_POOL_NEVER
#define MAX    AK_POOL_WAIT_MAX


static const struct {
    const char    *provider;
    unsigned       status;
    const char    *body;
    ak_outcome_e   outcome;
} outcomes[] = {
    { "openai", 200, "", AK_OUTCOME_GOOD },
    { "openai", 204, "", AK_OUTCOME_GOOD },
    { "openai", 304, "", AK_OUTCOME_GOOD },
    { "openai", 400, "", AK_OUTCOME_GOOD },
    { "openai", 404, "", AK_OUTCOME_GOOD },
    { "openai", 401, "", AK_OUTCOME_REFUSED },
    { "openai", 403, "", AK_OUTCOME_FORBIDDEN },
    { "openai", 402, "", AK_OUTCOME_BUSY },
    { "openai", 429, "", AK_OUTCOME_BUSY },
    { "openai", 499, "", AK_OUTCOME_GOOD },
    { "openai", 500, "", AK_OUTCOME_FAILED },
    { "openai", 503, "", AK_OUTCOME_FAILED },
    { "anthropic", 529, "", AK_OUTCOME_FAILED },
    { "openai", 599, "", AK_OUTCOME_FAILED },
    { "openai", 600, "", AK_OUTCOME_GOOD },
    { "openai", 0, "", AK_OUTCOME_GOOD },
    { "google", 400, "", AK_OUTCOME_GOOD },
    { "google", 400, "{\"reason\":\"API_KEY_INVALID\"}",
      AK_OUTCOME_REFUSED },
    { "google", 403, "", AK_OUTCOME_FORBIDDEN },
    { "google", 403, "API_KEY_SERVICE_BLOCKED", AK_OUTCOME_REFUSED },
    { "google", 401, "", AK_OUTCOME_REFUSED },
    { "serper", 403, "", AK_OUTCOME_REFUSED },
    { "brave", 422, "", AK_OUTCOME_GOOD },
    { "brave", 422, "SUBSCRIPTION_TOKEN_INVALID", AK_OUTCOME_REFUSED }
};


static void
test_outcome(void **state)
{
    size_t    i;
    ak_str_t  body;

    static const ak_provider_t  bare = { .name = ak_string("bare") };

    (void) state;

    for (i = 0; i < ak_nitems(outcomes); i++) {
        body = unit_exact(ak_cstr(outcomes[i].body));
        assert_case(ak_pool_outcome(ak_provider_find(
                                        ak_cstr(outcomes[i].provider)),
                                    outcomes[i].status, body)
                    == outcomes[i].outcome, "%s %u \"%s\"",
                    outcomes[i].provider, outcomes[i].status,
                    outcomes[i].body);
        unit_free(body);
    }

    /* a provider of which nothing is known */

    assert_int_equal(ak_pool_outcome(&bare, 401, S("")),
                     AK_OUTCOME_FORBIDDEN);
    assert_int_equal(ak_pool_outcome(&bare, 429, S("")), AK_OUTCOME_BUSY);
}


/* Headers "name: value" a line; the answer of ak_pool_wait() at NOW. */

static const struct {
    const char  *headers;
    uint32_t     failures;
    uint64_t     wait;
} waits[] = {

    /* nothing is said */

    { "", 0, 1000 },
    { "", 1, 2000 },
    { "", 2, 4000 },
    { "", 3, 8000 },
    { "", 4, 16000 },
    { "", 5, 32000 },
    { "", 6, 60000 },
    { "", 7, 60000 },
    { "", 63, 60000 },
    { "", 64, 60000 },
    { "", UINT32_MAX, 60000 },
    { "content-type: text/plain\n", 0, 1000 },

    /* in so many words */

    { "retry-after-ms: 1\n", 9, 1 },
    { "retry-after-ms: 1500\n", 0, 1500 },
    { "retry-after-ms: 1500.2\n", 0, 1501 },
    { "retry-after-ms: 3600001\n", 0, MAX },
    { "retry-after-ms: 250\nretry-after: 7\n", 0, 250 },
    { "retry-after-ms: soon\nretry-after: 7\n", 0, 7000 },
    { "retry-after-ms: 0\nretry-after: 7\n", 0, 7000 },
    { "retry-after: 7\n", 5, 7000 },
    { "retry-after: 0.5\n", 0, 500 },
    { "retry-after: 1.0004\n", 0, 1001 },
    { "retry-after: 007\n", 0, 7000 },
    { "retry-after: 3600\n", 0, MAX },
    { "retry-after: 3601\n", 0, MAX },
    { "retry-after: 99999999999999999999999999999999\n", 0, MAX },
    { "retry-after: 18446744073709551617\n", 0, MAX },
    { "retry-after: Fri, 15 Jan 2027 08:00:09 GMT\n", 0, 9000 },
    { "retry-after: Fri, 15 Jan 2027 23:00:00 GMT\n", 0, MAX },
    { "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\n", 0, MAX },

    /* what is nothing */

    { "retry-after: 0\n", 0, 1000 },
    { "retry-after: 0\n", 3, 8000 },
    { "retry-after: Fri, 15 Jan 2027 08:00:00 GMT\n", 0, 1000 },
    { "retry-after: Fri, 15 Jan 2027 07:59:59 GMT\n", 0, 1000 },
    { "retry-after: Fri, 01 Jan 0000 00:00:00 GMT\n", 0, 1000 },
    { "retry-after: Friday, 15-Jan-27 08:00:09 GMT\n", 0, 1000 },
    { "retry-after: \n", 0, 1000 },
    { "retry-after: -5\n", 0, 1000 },
    { "retry-after: +5\n", 0, 1000 },
    { "retry-after:  5\n", 0, 1000 },
    { "retry-after: 5 \n", 0, 1000 },
    { "retry-after: 5s\n", 0, 1000 },
    { "retry-after: 5,6\n", 0, 1000 },
    { "retry-after: 5.\n", 0, 1000 },
    { "retry-after: .5\n", 0, 1000 },
    { "retry-after: 5.5.5\n", 0, 1000 },
    { "retry-after: 0x10\n", 0, 1000 },
    { "retry-after: 1e3\n", 0, 1000 },
    { "retry-after: nan\n", 0, 1000 },
    { "retry-after: %s%n\n", 0, 1000 },
    { "retry-after: 00000000000000000000000000000000000000000000000000000000"
      "00000000005\n", 0, 1000 },

    /* OpenAI's */

    { "x-ratelimit-remaining-requests: 0\n"
      "x-ratelimit-reset-requests: 1s\n", 4, 1000 },
    { "x-ratelimit-remaining-requests: 0\n"
      "x-ratelimit-reset-requests: 6m0s\n", 0, 360000 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 20ms\n", 0, 20 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 59m2s\n", 0, 3542000 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 1h2m3s\n", 0, MAX },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 1d\n", 0, MAX },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 2m59.56s\n", 0, 179560 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 7.66s\n", 0, 7660 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 1.5h\n", 0, MAX },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 0.01h\n", 0, 36000 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 12\n", 0, 12000 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 0.25\n", 0, 250 },
    { "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-tokens: 99999999999999999999h9999999999999999m\n",
      0, MAX },

    { "x-ratelimit-remaining-requests: 0\n"
      "x-ratelimit-remaining-tokens: 5\n"
      "x-ratelimit-reset-requests: 3s\n"
      "x-ratelimit-reset-tokens: 9s\n", 0, 3000 },
    { "x-ratelimit-remaining-requests: 0\n"
      "x-ratelimit-remaining-tokens: 0\n"
      "x-ratelimit-reset-requests: 3s\n"
      "x-ratelimit-reset-tokens: 9s\n", 0, 9000 },
    { "x-ratelimit-remaining-requests: 1\n"
      "x-ratelimit-remaining-tokens: 1\n"
      "x-ratelimit-reset-requests: 3s\n"
      "x-ratelimit-reset-tokens: 9s\n", 0, 1000 },
    { "x-ratelimit-remaining-requests: 1\n"
      "x-ratelimit-reset-requests: 3s\n"
      "x-ratelimit-reset-tokens: 9s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 3s\n"
      "x-ratelimit-reset-tokens: 9s\n", 0, 9000 },
    { "x-ratelimit-reset-requests: 3s\n", 0, 3000 },
    { "x-ratelimit-remaining-requests: none\n"
      "x-ratelimit-reset-requests: 3s\n", 0, 1000 },
    { "x-ratelimit-remaining-requests: \n"
      "x-ratelimit-reset-requests: 3s\n", 0, 1000 },
    { "retry-after: 2\n"
      "x-ratelimit-reset-requests: 3s\n", 0, 2000 },
    { "retry-after: soon\n"
      "x-ratelimit-reset-requests: 3s\n", 0, 3000 },

    { "x-ratelimit-reset-requests: 0s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1\xc2\xb5s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1s \n", 0, 1000 },
    { "x-ratelimit-reset-requests: -1s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1m-1s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1m1\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1w\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1.s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 1..5s\n", 0, 1000 },
    { "x-ratelimit-reset-requests: 2027-01-15T08:00:09Z\n", 0, 1000 },

    /* Anthropic's */

    { "anthropic-ratelimit-requests-remaining: 0\n"
      "anthropic-ratelimit-requests-reset: 2027-01-15T08:00:05Z\n", 0, 5000 },
    { "anthropic-ratelimit-tokens-remaining: 0\n"
      "anthropic-ratelimit-tokens-reset: 2027-01-15T08:00:05.75Z\n", 0, 5000 },
    { "anthropic-ratelimit-input-tokens-remaining: 0\n"
      "anthropic-ratelimit-input-tokens-reset: 2027-01-15T09:00:07+01:00\n",
      0, 7000 },
    { "anthropic-ratelimit-output-tokens-remaining: 0\n"
      "anthropic-ratelimit-output-tokens-reset: 2027-01-15T08:00:05Z\n"
      "anthropic-ratelimit-requests-remaining: 0\n"
      "anthropic-ratelimit-requests-reset: 2027-01-15T08:00:30Z\n"
      "anthropic-ratelimit-tokens-remaining: 9\n"
      "anthropic-ratelimit-tokens-reset: 2027-01-15T08:00:50Z\n", 0, 30000 },
    { "anthropic-ratelimit-requests-reset: 2027-01-15T08:00:05Z\n", 0, 1000 },
    { "anthropic-ratelimit-requests-remaining: 0\n", 0, 1000 },
    { "anthropic-ratelimit-requests-remaining: 0\n"
      "anthropic-ratelimit-requests-reset: 2027-01-15T07:00:05Z\n", 0, 1000 },
    { "anthropic-ratelimit-requests-remaining: 0\n"
      "anthropic-ratelimit-requests-reset: 5s\n", 0, 1000 },
    { "anthropic-ratelimit-requests-remaining: 0\n"
      "anthropic-ratelimit-requests-reset: 2099-01-15T08:00:05Z\n", 0, MAX }
};


/* What follows is cut out of memory of its own, so that no read goes on. */

static ak_str_t  value;


static bool
header(void *data, ak_str_t name, ak_str_t *to)
{
    size_t       len;
    const char  *line, *end;

    for (line = data; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        len = (size_t) (strstr(line, ": ") - line);

        if (ak_str_eq(name, ak_str(line, len))) {
            unit_free(value);
            value = unit_exact(ak_str(line + len + 2,
                                      (size_t) (end - line) - len - 2));
            *to = value;
            return true;
        }
    }

    return false;
}


static void
test_wait(void **state)
{
    size_t    i;
    uint64_t  wait;

    (void) state;

    for (i = 0; i < ak_nitems(waits); i++) {
        wait = ak_pool_wait(header, (void *) waits[i].headers,
                            waits[i].failures, NOW);
        assert_case(wait == waits[i].wait, "%s: %llu, not %llu",
                    waits[i].headers, (unsigned long long) wait,
                    (unsigned long long) waits[i].wait);
    }

    unit_free(value);
    value = ak_str(NULL, 0);
}


/* Whatever a server sends, there is an end to the wait. */

static bool
noise(void *data, ak_str_t name, ak_str_t *to)
{
    size_t              i;
    uint64_t           *seed = data;
    static uint8_t      bytes[80];
    static const char   letters[] = "0123456789.0012hmsd:-+TZ ,G\x80";

    (void) name;

    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;

    for (i = 0; i < sizeof(bytes); i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        bytes[i] = (uint8_t) letters[(*seed >> 33) % (sizeof(letters) - 1)];
    }

    *to = ak_str(bytes, (*seed >> 40) % sizeof(bytes));

    return (*seed >> 50) % 8 != 0;
}


static void
test_noise(void **state)
{
    size_t    i;
    uint64_t  seed, wait;

    (void) state;

    seed = 1;

    for (i = 0; i < 20000; i++) {
        wait = ak_pool_wait(noise, &seed, (uint32_t) i, NOW);
        assert_true(wait >= 1 && wait <= MAX);
    }
}


static void
test_token(void **state)
{
    size_t    i, n;
    uint8_t   bytes[AK_SEALED_MIN + 40];
    uint64_t  all[1 + 8 * 16], token;

    (void) state;

    memset(bytes, 0, sizeof(bytes));
    n = 0;

    all[n++] = ak_pool_token(ak_str(bytes, sizeof(bytes)));

    /* each bit counts of what is random, and of the end of the tag */

    for (i = 0; i < 8 * sizeof(bytes); i++) {

        if ((i / 8 >= AK_KID_LEN && i / 8 < AK_KID_LEN + 8)
            || i / 8 >= sizeof(bytes) - 8)
        {
            bytes[i / 8] ^= (uint8_t) (1 << i % 8);
            all[n++] = ak_pool_token(ak_str(bytes, sizeof(bytes)));
            bytes[i / 8] ^= (uint8_t) (1 << i % 8);
        }
    }

    assert_int_equal(n, ak_nitems(all));

    for (i = 0; i < n; i++) {
        assert_true(all[i] != 0);

        for (token = i + 1; token < n; token++) {
            assert_true(all[i] != all[token]);
        }
    }

    /* what is no token is not read beyond its end */

    for (i = 0; i < AK_SEALED_MIN; i++) {
        ak_str_t  s = unit_exact(ak_str(bytes, i));

        assert_int_equal(ak_pool_token(s), 1);
        unit_free(s);
    }
}


static void
test_learn(void **state)
{
    ak_slot_state_t  s;

    (void) state;

    memset(&s, 0, sizeof(s));
    assert_int_equal(ak_pool_left(&s, 5, 1000), 0);

    ak_pool_learn(&s, 5, AK_OUTCOME_GOOD, 0, 1000);
    assert_int_equal(s.token, 5);
    assert_int_equal(s.used, 1);
    assert_int_equal(ak_pool_left(&s, 5, 1000), 0);

    ak_pool_learn(&s, 5, AK_OUTCOME_BUSY, 3000, 1000);
    assert_int_equal(s.busy, 1);
    assert_int_equal(s.failures, 1);
    assert_int_equal(s.ready, 4000);
    assert_int_equal(ak_pool_left(&s, 5, 1000), 3000);
    assert_int_equal(ak_pool_left(&s, 5, 3999), 1);
    assert_int_equal(ak_pool_left(&s, 5, 4000), 0);
    assert_int_equal(ak_pool_left(&s, 6, 1000), 0);

    /* one that was on its way with it is no failure more, nor a wait less */

    ak_pool_learn(&s, 5, AK_OUTCOME_BUSY, 1000, 1001);
    assert_int_equal(s.busy, 2);
    assert_int_equal(s.failures, 1);
    assert_int_equal(s.ready, 4000);

    ak_pool_learn(&s, 5, AK_OUTCOME_FAILED, 5000, 1002);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.failures, 1);
    assert_int_equal(s.ready, 6002);

    ak_pool_learn(&s, 5, AK_OUTCOME_FAILED, 2000, 6002);
    assert_int_equal(s.failures, 2);
    assert_int_equal(s.ready, 8002);

    /* it says nothing of whether it is busy */

    ak_pool_learn(&s, 5, AK_OUTCOME_FORBIDDEN, 7000, 6003);
    assert_int_equal(s.refusals, 1);
    assert_int_equal(s.refused, 0);
    assert_int_equal(s.failures, 2);
    assert_int_equal(s.ready, 8002);

    ak_pool_learn(&s, 5, AK_OUTCOME_GOOD, 0, 6004);
    assert_int_equal(s.failures, 0);
    assert_int_equal(ak_pool_left(&s, 5, 6004), 0);

    ak_pool_learn(&s, 5, AK_OUTCOME_REFUSED, 0, 6005);
    assert_int_equal(s.refusals, 2);
    assert_true(ak_pool_left(&s, 5, 6005) == NEVER);
    assert_true(ak_pool_left(&s, 5, UINT64_MAX - 1) == NEVER);

    /* another key in its place is another's story */

    assert_int_equal(ak_pool_left(&s, 7, 6005), 0);
    ak_pool_learn(&s, 7, AK_OUTCOME_FORBIDDEN, 0, 6006);
    assert_int_equal(s.token, 7);
    assert_int_equal(ak_pool_left(&s, 7, 6006), 0);
    assert_int_equal(ak_pool_left(&s, 5, 6006), 0);

    assert_int_equal(s.used, 9);
    assert_int_equal(s.refusals, 3);
    assert_int_equal(s.busy, 2);
    assert_int_equal(s.failed, 2);

    ak_pool_learn(&s, 7, AK_OUTCOME_REFUSED, 0, 6007);
    ak_pool_learn(&s, 7, AK_OUTCOME_GOOD, 0, 6008);
    assert_int_equal(ak_pool_left(&s, 7, 6008), 0);

    /* no wait is endless, and no count comes round */

    ak_pool_learn(&s, 7, AK_OUTCOME_BUSY, UINT64_MAX, 7000);
    assert_int_equal(ak_pool_left(&s, 7, 7000), MAX);
    s.ready = UINT64_MAX - 1;
    assert_int_equal(ak_pool_left(&s, 7, 7000), MAX);
    s.ready = 0;
    s.failures = UINT32_MAX;
    ak_pool_learn(&s, 7, AK_OUTCOME_BUSY, 1, 7000);
    assert_int_equal(s.failures, UINT32_MAX);
}


/* n slots "s00", "s01" ... but the ones in "without", a bit each. */

static uint8_t  packed[AK_VALUE_MAX];


static ak_str_t
pack(size_t n, uint32_t without)
{
    char         names[AK_SLOTS_MAX][4];
    size_t       i, len, count;
    unsigned     damaged;
    ak_field_t   fields[AK_SLOTS_MAX];

    count = 0;

    for (i = 0; i < n; i++) {

        if (without & (1u << i)) {
            continue;
        }

        snprintf(names[i], sizeof(names[i]), "s%02u", (unsigned) i % 100);
        fields[count].name = ak_cstr(names[i]);
        fields[count].value = S("");
        count++;
    }

    assert_int_equal(ak_tokens_pack(fields, count, packed, &len, &damaged),
                     AK_OK);

    return ak_str(packed, len);
}


/* The order as letters, 'a' for the first slot. */

static const char *
order(ak_str_t set, ak_select_e select, const uint64_t *left,
    const char *avoid, uint32_t number, const char *client)
{
    size_t       i, n;
    uint8_t      indices[AK_SLOTS_MAX];
    static char  text[AK_SLOTS_MAX + 1];

    n = ak_pool_order(set, select, left, ak_cstr(avoid), number,
                      ak_cstr(client), indices);
    assert_true(n <= AK_SLOTS_MAX);

    for (i = 0; i < n; i++) {
        text[i] = (char) ('a' + indices[i]);
    }

    text[n] = '\0';

    return text;
}


static const struct {
    ak_select_e   select;
    size_t        n;
    uint64_t      left[5];
    const char   *avoid;
    uint32_t      number;
    const char   *order;
} orders[] = {
    { AK_SELECT_FIRST, 0, { 0 }, "", 0, "" },
    { AK_SELECT_TURN, 0, { 0 }, "", 0, "" },
    { AK_SELECT_TURN, 0, { 0 }, "", 7, "" },
    { AK_SELECT_FIRST, 1, { 0 }, "", 0, "a" },
    { AK_SELECT_FIRST, 1, { 5 }, "", 0, "a" },
    { AK_SELECT_FIRST, 1, { NEVER }, "", 0, "" },
    { AK_SELECT_FIRST, 1, { 0 }, "s00", 0, "" },
    { AK_SELECT_TURN, 1, { NEVER }, "", 3, "" },
    { AK_SELECT_FIRST, 3, { 0, 0, 0 }, "", 2, "abc" },
    { AK_SELECT_FIRST, 3, { 0, 0, 0 }, "s", 2, "abc" },
    { AK_SELECT_FIRST, 3, { 0, 0, 0 }, "s01", 2, "ac" },
    { AK_SELECT_FIRST, 3, { 5, 0, 0 }, "", 2, "bca" },
    { AK_SELECT_FIRST, 3, { 5, 4, 3 }, "", 2, "cba" },
    { AK_SELECT_FIRST, 3, { 5, 5, 5 }, "", 2, "abc" },
    { AK_SELECT_FIRST, 5, { 9, NEVER, 0, 8, 0 }, "s04", 2, "cda" },
    { AK_SELECT_FIRST, 3, { NEVER, NEVER, NEVER }, "", 0, "" },
    { AK_SELECT_FIRST, 3, { MAX, NEVER, 1 }, "", 0, "ca" },

    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "", 0, "abc" },
    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "", 1, "bca" },
    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "", 2, "cab" },
    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "", 3, "abc" },
    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "", UINT32_MAX, "abc" },
    { AK_SELECT_TURN, 3, { 0, 7, 0 }, "", 0, "acb" },
    { AK_SELECT_TURN, 3, { 0, 7, 0 }, "", 1, "cab" },
    { AK_SELECT_TURN, 3, { 0, 7, 0 }, "", 2, "acb" },
    { AK_SELECT_TURN, 3, { 0, NEVER, 0 }, "", 1, "ca" },
    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "s02", 1, "ba" },
    { AK_SELECT_TURN, 3, { 0, 0, 0 }, "s02", 2, "ab" },
    { AK_SELECT_TURN, 3, { 8, 7, 9 }, "", 2, "bac" },
    { AK_SELECT_TURN, 5, { 0, 9, 0, 8, 0 }, "", 4, "ceadb" },

    { AK_SELECT_RANDOM, 3, { 5, 4, 3 }, "", 2, "cba" },
    { AK_SELECT_STICKY, 3, { 5, 4, 3 }, "", 2, "cba" },
    { AK_SELECT_STICKY, 3, { NEVER, 4, NEVER }, "", 2, "b" },
    { AK_SELECT_STICKY, 3, { NEVER, NEVER, NEVER }, "", 2, "" }
};


static void
test_order(void **state)
{
    size_t       i;
    ak_str_t     set;
    const char  *text;

    (void) state;

    for (i = 0; i < ak_nitems(orders); i++) {
        set = unit_exact(pack(orders[i].n, 0));
        text = order(set, orders[i].select, orders[i].left, orders[i].avoid,
                     orders[i].number, "client");
        assert_case(strcmp(text, orders[i].order) == 0, "%zu: %s, not %s", i,
                    text, orders[i].order);
        unit_free(set);
    }

    /* nothing is known: all are ready */

    assert_string_equal(order(pack(3, 0), AK_SELECT_TURN, NULL, "", 1, ""),
                        "bca");
}


/* Each slot once, whatever is selected, and as many as there can be. */

static void
test_all(void **state)
{
    size_t       i, j, n;
    uint8_t      indices[AK_SLOTS_MAX];
    uint64_t     left[AK_SLOTS_MAX];
    uint32_t     seen;
    ak_select_e  select;

    (void) state;

    for (select = AK_SELECT_FIRST; select <= AK_SELECT_STICKY; select++) {

        for (j = 0; j < 100; j++) {

            for (i = 0; i < AK_SLOTS_MAX; i++) {
                left[i] = (i * 7 + j) % 3 * 100;
            }

            n = ak_pool_order(pack(AK_SLOTS_MAX, 0), select,
                              j == 0 ? NULL : left, S(""), (uint32_t) j,
                              S("client"), indices);
            assert_int_equal(n, AK_SLOTS_MAX);

            seen = 0;

            for (i = 0; i < n; i++) {
                assert_true(indices[i] < AK_SLOTS_MAX);
                seen |= 1u << indices[i];

                if (j != 0 && i != 0) {
                    assert_true(left[indices[i - 1]] <= left[indices[i]]);
                }
            }

            assert_true(seen == UINT32_MAX);
        }
    }
}


/* What is no set, or ends early, has the slots up to there. */

static void
test_damaged(void **state)
{
    size_t    len, cut;
    ak_str_t  set, part;

    (void) state;

    set = pack(3, 0);

    for (cut = 0; cut <= set.len; cut++) {
        part = unit_exact(ak_str(set.data, cut));
        len = strlen(order(part, AK_SELECT_TURN, NULL, "", 0, ""));
        assert_int_equal(len, cut / (set.len / 3));
        unit_free(part);
    }

    assert_string_equal(order(S("\xff\xff\xff\xff garbage"), AK_SELECT_STICKY,
                              NULL, "", 0, "client"), "");
}


/* By turns each has its share, also when one drops out and comes back. */

static void
test_turns(void **state)
{
    char      text[31];
    uint32_t  i;
    uint64_t  left[3] = { 0, 0, 0 };

    (void) state;

    for (i = 0; i < 12; i++) {
        left[0] = (i >= 4 && i < 8) ? 1000 : 0;
        text[i] = *order(pack(3, 0), AK_SELECT_TURN, left, "", i, "");
    }

    text[i] = '\0';

    assert_string_equal(text, "abcabcbccabc");
}


#define CLIENTS  12000


/* The index of the slot that each client is sent to, of 8 but for those. */

static void
spread(ak_select_e select, uint32_t without, uint8_t *slots)
{
    char      client[32];
    size_t    i;
    uint8_t   indices[AK_SLOTS_MAX], names[8], n;
    ak_str_t  set;

    n = 0;

    for (i = 0; i < 8; i++) {
        if (!(without & (1u << i))) {
            names[n++] = (uint8_t) i;
        }
    }

    set = pack(8, without);

    for (i = 0; i < CLIENTS; i++) {
        snprintf(client, sizeof(client), "client-%zu", i);
        assert_int_equal(ak_pool_order(set, select, NULL, S(""),
                                       (uint32_t) i, ak_cstr(client),
                                       indices), n);
        slots[i] = names[indices[0]];
    }
}


static void
check_balance(const uint8_t *slots, uint32_t without)
{
    size_t    i, n, part;
    unsigned  counts[8] = { 0 };

    n = 8;

    for (i = 0; i < 8; i++) {
        n -= (without >> i) & 1;
    }

    for (i = 0; i < CLIENTS; i++) {
        counts[slots[i]]++;
    }

    part = CLIENTS / n;

    for (i = 0; i < 8; i++) {

        if (without & (1u << i)) {
            assert_int_equal(counts[i], 0);

        } else {
            assert_in_range(counts[i], part - part / 8, part + part / 8);
        }
    }
}


static void
test_sticky(void **state)
{
    size_t          i, gone;
    static uint8_t  all[CLIENTS], less[CLIENTS], more[CLIENTS];

    (void) state;

    spread(AK_SELECT_STICKY, 0, all);
    check_balance(all, 0);

    for (gone = 0; gone < 8; gone++) {
        spread(AK_SELECT_STICKY, 1u << gone, less);
        check_balance(less, 1u << gone);

        for (i = 0; i < CLIENTS; i++) {
            assert_true(all[i] == gone || all[i] == less[i]);
        }
    }

    /* back again, all is as it was */

    spread(AK_SELECT_STICKY, 0, more);
    assert_memory_equal(all, more, CLIENTS);
}


/* Computed by Python: the same in every process, and in versions to come. */

static void
test_stable(void **state)
{
    static const struct {
        const char  *client;
        const char  *order;
    } cases[] = {
        { "", "bedac" },
        { "0123456789ab", "cedba" },
        { "alice", "eacbd" }
    };

    size_t  i;

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_string_equal(order(pack(5, 0), AK_SELECT_STICKY, NULL, "",
                                  (uint32_t) i, cases[i].client),
                            cases[i].order);
    }
}


/* Each has its share, and no number, nor the client, tells of the next. */

static void
test_random(void **state)
{
    size_t          i, same;
    static uint8_t  slots[CLIENTS];

    (void) state;

    spread(AK_SELECT_RANDOM, 0, slots);
    check_balance(slots, 0);

    same = 0;

    for (i = 1; i < CLIENTS; i++) {
        same += (slots[i] == slots[i - 1]);
    }

    assert_in_range(same, CLIENTS / 8 - CLIENTS / 64,
                    CLIENTS / 8 + CLIENTS / 64);

    spread(AK_SELECT_RANDOM, 1u << 3, slots);
    check_balance(slots, 1u << 3);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_outcome),
    cmocka_unit_test(test_wait),
    cmocka_unit_test(test_noise),
    cmocka_unit_test(test_token),
    cmocka_unit_test(test_learn),
    cmocka_unit_test(test_order),
    cmocka_unit_test(test_all),
    cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_turns),
    cmocka_unit_test(test_sticky),
    cmocka_unit_test(test_stable),
    cmocka_unit_test(test_random)
};


UNIT_MAIN(tests)
