
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_RATE_H_INCLUDED_
#define _AK_RATE_H_INCLUDED_


#include "ak_diag.h"


/*
 * A limit of requests: "10r/s" or "600r/m", with "burst=N" behind it where
 * more than one may come at once, "10r/s burst=20".
 */

typedef struct {
    uint32_t  requests;        /* 1 to 10^6 */
    uint32_t  per;             /* milliseconds: 1000 or 60000 */
    uint32_t  burst;           /* 1 to 10^6; "requests" unless said */
} ak_rate_t;

/* AK_ERROR: not of that form; the diagnostic says what is wrong. */

ak_rc_t ak_rate_parse(ak_str_t text, ak_rate_t *rate, ak_diag_t *d);


/* A bucket of tokens: full when new (all zero); the host keeps its bytes. */

typedef struct {
    uint64_t  when;            /* milliseconds, of the host's clock */
    uint64_t  missing;         /* to full, in 1/60000 of a token */
} ak_bucket_t;


/* How things stand for the client. */

typedef struct {
    bool      granted;
    uint32_t  limit;           /* requests at once: the burst */
    uint32_t  remaining;
    uint64_t  reset;           /* milliseconds until the bucket is full */
    uint64_t  retry;           /* milliseconds until there is a token */
} ak_allowance_t;

/*
 * Takes a token, where there is one, at the time now (milliseconds of a clock
 * that may step back by a little between processes: no time counts twice; a
 * step of more than a minute is taken for a clock that was set back).
 */

void ak_rate_take(const ak_rate_t *rate, ak_bucket_t *bucket, uint64_t now,
    ak_allowance_t *allowance);

/* The same without taking it: whether there is one, and what is left. */

void ak_rate_look(const ak_rate_t *rate, const ak_bucket_t *bucket,
    uint64_t now, ak_allowance_t *allowance);


#endif /* _AK_RATE_H_INCLUDED_ */
