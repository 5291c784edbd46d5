
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_rate.h"


#define AK_RATE_MAX   1000000
#define AK_RATE_UNIT  60000u   /* parts of a token; see ak_bucket_t */
#define AK_RATE_STEP  60000u   /* milliseconds that a clock is behind at most */


/* Digits at the beginning of text, which is moved on; 0: none, or too many. */

static uint32_t
ak_rate_number(ak_str_t *text)
{
    uint32_t  n;

    n = 0;

    while (text->len != 0 && text->data[0] >= '0' && text->data[0] <= '9') {

        n = n * 10 + (text->data[0] - '0');

        if (n > AK_RATE_MAX) {
            return 0;
        }

        text->data++;
        text->len--;
    }

    return n;
}


static bool
ak_rate_word(ak_str_t *text, ak_str_t word)
{
    if (!ak_str_starts(*text, word)) {
        return false;
    }

    text->data += word.len;
    text->len -= word.len;

    return true;
}


ak_rc_t
ak_rate_parse(ak_str_t text, ak_rate_t *rate, ak_diag_t *d)
{
    ak_str_t  rest;

    rest = text;

    rate->requests = ak_rate_number(&rest);

    if (ak_rate_word(&rest, ak_literal("r/s"))) {
        rate->per = 1000;

    } else if (ak_rate_word(&rest, ak_literal("r/m"))) {
        rate->per = 60000;

    } else {
        rate->requests = 0;
    }

    rate->burst = rate->requests;

    if (rest.len != 0 && rate->requests != 0) {
        rate->burst = ak_rate_word(&rest, ak_literal(" burst="))
                      ? ak_rate_number(&rest) : 0;
    }

    if (rate->requests == 0 || rate->burst == 0 || rest.len != 0) {
        return ak_diag(d, "invalid rate \"%.*s\", it must be as \"10r/s\" or "
                       "\"600r/m burst=20\", of numbers from 1 to %d",
                       AK_FMT(text), AK_RATE_MAX);
    }

    return AK_OK;
}


/* Milliseconds until so many parts have come back, rounded up. */

static uint64_t
ak_rate_wait(uint64_t parts, uint64_t speed)
{
    return (parts + speed - 1) / speed;
}


/* How the bucket stands at that time, after a token was taken or not. */

static void
ak_rate_count(const ak_rate_t *rate, ak_bucket_t *bucket, uint64_t now,
    bool take, ak_allowance_t *allowance)
{
    uint64_t  speed, full, came, behind, missing;

    /* parts a millisecond, and in a full bucket */

    speed = (uint64_t) rate->requests * (AK_RATE_UNIT / rate->per);
    full = (uint64_t) rate->burst * AK_RATE_UNIT;

    missing = (bucket->missing < full) ? bucket->missing : full;

    if (now > bucket->when) {

        came = now - bucket->when;

        /* so long that it is full, whatever the product would be */

        missing = (came >= ak_rate_wait(missing, speed))
                  ? 0 : missing - came * speed;

        bucket->when = now;

    } else if (bucket->when - now > AK_RATE_STEP) {

        /* a clock that was set back: nothing would come until it is there */

        bucket->when = now;
    }

    behind = bucket->when - now;

    allowance->granted = (full - missing >= AK_RATE_UNIT);

    if (take && allowance->granted) {
        missing += AK_RATE_UNIT;
    }

    bucket->missing = missing;

    allowance->limit = rate->burst;
    allowance->remaining = (uint32_t) ((full - missing) / AK_RATE_UNIT);
    allowance->reset = (missing == 0)
                       ? 0 : behind + ak_rate_wait(missing, speed);
    allowance->retry = (full - missing >= AK_RATE_UNIT)
                       ? 0 : behind + ak_rate_wait(missing + AK_RATE_UNIT
                                                   - full, speed);
}


void
ak_rate_take(const ak_rate_t *rate, ak_bucket_t *bucket, uint64_t now,
    ak_allowance_t *allowance)
{
    ak_rate_count(rate, bucket, now, true, allowance);
}


void
ak_rate_look(const ak_rate_t *rate, const ak_bucket_t *bucket, uint64_t now,
    ak_allowance_t *allowance)
{
    ak_bucket_t  copy;

    copy = *bucket;

    ak_rate_count(rate, &copy, now, false, allowance);
}
