
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_POOL_H_INCLUDED_
#define _AK_POOL_H_INCLUDED_


#include "ak_provider.h"
#include "ak_tokens.h"


/*
 * The slots that an owner has for a provider are a pool: which of them serves
 * a request, and what the provider's answers say of them.  Nothing here keeps
 * anything: the host keeps a state for each slot, and gives it back.
 */

typedef enum {
    AK_SELECT_FIRST = 0,       /* by name */
    AK_SELECT_TURN,
    AK_SELECT_RANDOM,
    AK_SELECT_STICKY           /* the same for the same client key */
} ak_select_e;


/* What a provider's answer says of the key that it was sent. */

typedef enum {
    AK_OUTCOME_GOOD = 0,       /* nothing is wrong with it */
    AK_OUTCOME_REFUSED,        /* it will not be taken again */
    AK_OUTCOME_FORBIDDEN,      /* not for this request: 401, 403 that do not
                                  refuse it for good */
    AK_OUTCOME_BUSY,           /* not now: 429, 402 */
    AK_OUTCOME_FAILED          /* the provider fails: 5xx */
} ak_outcome_e;


/* What is kept of a slot; all zero: nothing is known. */

typedef struct {
    uint64_t  token;           /* ak_pool_token() of the one it is about */
    uint64_t  ready;           /* milliseconds, the host's clock; 0: it is */
    uint32_t  failures;        /* BUSY and FAILED in a row; those that come
                                  while it is left alone are no more */
    uint32_t  refused;         /* bool */
    uint64_t  used;            /* answers, and how many of them were ... */
    uint64_t  refusals;
    uint64_t  busy;
    uint64_t  failed;
} ak_slot_state_t;


#define AK_POOL_NEVER     UINT64_MAX
#define AK_POOL_WAIT_MAX  3600000      /* milliseconds */


/*
 * The outcome of a provider's answer.  body is what of it has come by now,
 * maybe nothing: where the provider's refusal has a mark, it is looked for
 * there.
 */

ak_outcome_e ak_pool_outcome(const ak_provider_t *p, unsigned status,
    ak_str_t body);

/*
 * How long a slot is to be left alone after BUSY or FAILED, milliseconds, at
 * most AK_POOL_WAIT_MAX: retry-after-ms, Retry-After (RFC 9110, 10.2.3: seconds
 * or a date), else the longest of x-ratelimit-reset-* and
 * anthropic-ratelimit-*-reset of what has nothing remaining.  What cannot be
 * read, is zero or is past says nothing.  Where the answer says nothing, it is
 * a second, which doubles with each of the "failures" in a row that came before
 * this one, up to a minute.  now is Unix seconds.
 * header: false: there is no such one; names are in lower case.
 */

typedef bool (*ak_pool_header_pt)(void *data, ak_str_t name, ak_str_t *value);

uint64_t ak_pool_wait(ak_pool_header_pt header, void *data, uint32_t failures,
    int64_t now);

/* Tells one sealed token (binary) of a slot from another; never 0. */

uint64_t ak_pool_token(ak_str_t sealed);

/*
 * An answer for that token came: counts it, and keeps what it says.  wait is
 * that of ak_pool_wait(), now and state->ready are of the same clock.  What
 * was known of another token is forgotten but for the counts; an answer GOOD
 * ends what was known, and no other makes a wait shorter.  FORBIDDEN is counted
 * as a refusal, and nothing else.
 */

void ak_pool_learn(ak_slot_state_t *state, uint64_t token,
    ak_outcome_e outcome, uint64_t wait, uint64_t now);

/*
 * How long the slot with that token is to be left alone, milliseconds: 0: it
 * is ready, AK_POOL_NEVER: it is refused.
 */

uint64_t ak_pool_left(const ak_slot_state_t *state, uint64_t token,
    uint64_t now);

/*
 * The order in which slots are to be tried: indices of the n slots of "packed"
 * (see ak_tokens.h) into order, which has room for AK_SLOTS_MAX; returns how
 * many.  Ready ones come first, in the order of "select", then those that are
 * ready soonest; refused ones and the one called "avoid" are left out.  left
 * is what ak_pool_left() said of each, or NULL: all are ready.  "number" is for
 * TURN one more with each request, for RANDOM a random one; "client" is for
 * STICKY.  The same input gives the same order in every process and version.
 */

size_t ak_pool_order(ak_str_t packed, ak_select_e select,
    const uint64_t *left, ak_str_t avoid, uint32_t number, ak_str_t client,
    uint8_t *order);


#endif /* _AK_POOL_H_INCLUDED_ */
