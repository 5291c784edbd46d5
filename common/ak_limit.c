
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ak_limit.h"


#define AK_LIMIT_TEXT_MAX  64  /* of a rate with its burst */


typedef enum {
    AK_LIMIT_RATE = 0,
    AK_LIMIT_BURST,
    AK_LIMIT_TOTAL,
    AK_LIMIT_EXEMPT,
    AK_LIMIT_WORDS
} ak_limit_word_e;


static const ak_str_t  ak_limit_names[AK_LIMIT_WORDS] = {
    [AK_LIMIT_RATE] = ak_string("rate="),
    [AK_LIMIT_BURST] = ak_string("burst="),
    [AK_LIMIT_TOTAL] = ak_string("total="),
    [AK_LIMIT_EXEMPT] = ak_string("exempt=")
};


static const ak_rate_t  ak_limit_total = { 1000, 1000, 1000 };


/* Which word it is, and what stands behind it. */

static ak_rc_t
ak_limit_word(ak_str_t word, unsigned *which, ak_str_t *value, ak_diag_t *d)
{
    unsigned         i;
    const ak_str_t  *name;

    for (i = 0; i < AK_LIMIT_WORDS; i++) {
        name = &ak_limit_names[i];

        if (ak_str_starts(word, *name)) {
            break;
        }
    }

    if (i == AK_LIMIT_WORDS) {
        return ak_diag(d, "unknown argument \"%.*s\"", AK_FMT(word));
    }

    *value = ak_str(word.data + name->len, word.len - name->len);

    if (value->len == 0) {
        return ak_diag(d, "the argument \"%.*s\" has no value", AK_FMT(word));
    }

    *which = i;

    return AK_OK;
}


/* One list; with cidrs NULL its items are counted only. */

static ak_rc_t
ak_limit_networks(ak_str_t list, ak_cidr_t *cidrs, size_t *n, ak_diag_t *d)
{
    size_t     found;
    ak_str_t   rest, item;
    ak_cidr_t  cidr;

    found = 0;
    rest = list;

    while (ak_rules_next(&rest, &item)) {

        if (ak_cidr_parse(item, &cidr, d) != AK_OK) {
            return AK_ERROR;
        }

        if (cidrs != NULL) {
            cidrs[*n] = cidr;
        }

        (*n)++;
        found++;
    }

    if (found == 0) {
        return ak_diag(d, "there is no network in \"%.*s\"", AK_FMT(list));
    }

    return AK_OK;
}


/* A rate and its burst, which are two words here. */

static ak_rc_t
ak_limit_rate(ak_str_t text, ak_str_t burst, ak_rate_t *rate, ak_diag_t *d)
{
    int   n;
    char  joined[AK_LIMIT_TEXT_MAX];

    if (ak_rate_parse(text, rate, d) != AK_OK) {
        return AK_ERROR;
    }

    if (burst.len == 0) {
        return AK_OK;
    }

    n = snprintf(joined, sizeof(joined), "%.*s burst=%.*s", AK_FMT(text),
                 AK_FMT(burst));

    if ((size_t) n >= sizeof(joined)
        || ak_rate_parse(ak_str(joined, (size_t) n), rate, NULL) != AK_OK)
    {
        return ak_diag(d, "invalid burst \"%.*s\"", AK_FMT(burst));
    }

    return AK_OK;
}


static ak_rc_t
ak_limit_rates(ak_limit_t *limit, const ak_str_t *given, ak_diag_t *d)
{
    ak_str_t  total;

    if (given[AK_LIMIT_RATE].len == 0) {
        return ak_diag(d, "\"rate=\" is missing, how many attempts may fail, "
                       "such as \"rate=10r/m\"");
    }

    if (ak_limit_rate(given[AK_LIMIT_RATE], given[AK_LIMIT_BURST],
                      &limit->failures, d)
        != AK_OK)
    {
        return AK_ERROR;
    }

    limit->lookups = limit->failures;
    limit->lookups.burst = AK_LIMIT_LOOKUPS;

    total = given[AK_LIMIT_TOTAL];

    limit->total = ak_limit_total;
    limit->bounded = !ak_str_eq(total, ak_literal("off"));

    return (limit->bounded && total.len != 0)
           ? ak_rate_parse(total, &limit->total, d) : AK_OK;
}


ak_rc_t
ak_limit_parse(const ak_str_t *words, size_t n, ak_mem_t *mem,
    ak_limit_t *limit, ak_diag_t *d)
{
    size_t    i;
    unsigned  which;
    ak_str_t  value, given[AK_LIMIT_WORDS] = { { NULL, 0 } };

    memset(limit, 0, sizeof(ak_limit_t));

    for (i = 0; i < n; i++) {

        if (ak_limit_word(words[i], &which, &value, d) != AK_OK) {
            return AK_ERROR;
        }

        if (which == AK_LIMIT_EXEMPT) {

            if (ak_limit_networks(value, NULL, &limit->n, d) != AK_OK) {
                return AK_ERROR;
            }

        } else if (given[which].len != 0) {
            return ak_diag(d, "the argument \"%.*s\" is there twice",
                           (int) ak_limit_names[which].len - 1,
                           (const char *) ak_limit_names[which].data);
        }

        given[which] = value;
    }

    if (ak_limit_rates(limit, given, d) != AK_OK) {
        return AK_ERROR;
    }

    limit->exempt = mem->alloc(mem->data, (limit->n + 1) * sizeof(ak_cidr_t));
    if (limit->exempt == NULL) {
        return ak_diag(d, "there is no memory");
    }

    limit->n = 0;

    for (i = 0; i < n; i++) {
        if (ak_limit_word(words[i], &which, &value, d) == AK_OK
            && which == AK_LIMIT_EXEMPT)
        {
            (void) ak_limit_networks(value, limit->exempt, &limit->n, d);
        }
    }

    return AK_OK;
}


bool
ak_limit_exempt(const ak_limit_t *limit, ak_str_t address)
{
    size_t  i;

    for (i = 0; i < limit->n; i++) {
        if (ak_cidr_match(&limit->exempt[i], address)) {
            return true;
        }
    }

    return false;
}


size_t
ak_limit_source(ak_str_t address, uint8_t *source)
{
    static const uint8_t  mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (address.len == 16
        && memcmp(address.data, mapped, sizeof(mapped)) == 0)
    {
        address = ak_str(address.data + sizeof(mapped), 4);
    }

    if (address.len > AK_LIMIT_SOURCE_MAX) {
        address.len = AK_LIMIT_SOURCE_MAX;
    }

    if (address.len != 0) {
        memcpy(source, address.data, address.len);
    }

    return address.len;
}
