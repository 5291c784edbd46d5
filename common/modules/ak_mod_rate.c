
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <inttypes.h>
#include <stdio.h>

#include "ak_modules.h"


/*
 * account ... rate [rate=10r/s] [burst=N]: how many requests a key may make.
 * The field "rate" of its record wins over the line's; where there is neither,
 * the line is passed over.
 *
 * A record's rate has one bucket for each key, whatever line asks; a line's
 * has one for each key and line.  A key without an id, or with one that is
 * beyond AK_NAME_MAX, cannot be told from others and is refused, as one is
 * whose rate cannot be read.
 */

typedef struct {
    ak_str_t   text;           /* as written */
    ak_str_t   burst;
    bool       limited;        /* the line has a rate: */
    ak_rate_t  rate;
    ak_str_t   suffix;         /* ":STACK:LINE", of the bucket's name */
} ak_rate_conf_t;


/* The rate of a record, which lives as long as what asks for it. */

typedef struct {
    ak_rate_t  rate;
} ak_rate_state_t;


#define AK_RATE_LINE_MAX      (2 + 10)         /* ":", ":" and a number */


/*
 * Go's time.Duration of 64 bits of milliseconds, "5124095576030h25m51.615s",
 * and two numbers of 32 bits.
 */

#define AK_RATE_DURATION_MAX  26
#define AK_RATE_NUMBER_MAX    11
#define AK_RATE_REPLY_MAX     (AK_RATE_DURATION_MAX + 2 * AK_RATE_NUMBER_MAX)


static const ak_arg_t  ak_rate_args[] = {
    { AK_ARG_TEXT, ak_string("rate"), offsetof(ak_rate_conf_t, text), NULL,
      "how many requests, \"10r/s\" or \"600r/m\"" },
    { AK_ARG_TEXT, ak_string("burst"), offsetof(ak_rate_conf_t, burst), NULL,
      "how many of them at once" },
    { .type = AK_ARG_END }
};


/* The one text that ak_rate_parse() reads, as a record has it. */

static ak_rc_t
ak_rate_join(ak_rate_conf_t *conf, const ak_init_t *in)
{
    int        n;
    char      *p;
    size_t     size;
    ak_mem_t  *mem;

    mem = &in->site->mem;
    size = conf->text.len + sizeof(" burst=") + conf->burst.len;

    p = mem->alloc(mem->data, size);
    if (p == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    n = snprintf(p, size, "%.*s burst=%.*s",
                 (int) conf->text.len, (const char *) conf->text.data,
                 (int) conf->burst.len, (const char *) conf->burst.data);

    conf->text = ak_str(p, (size_t) n);

    return AK_OK;
}


static ak_rc_t
ak_rate_suffix(ak_rate_conf_t *conf, const ak_init_t *in)
{
    int        n;
    char      *p;
    size_t     size;
    ak_mem_t  *mem;

    mem = &in->site->mem;
    size = in->stack.len + AK_RATE_LINE_MAX + 1;

    p = mem->alloc(mem->data, size);
    if (p == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    n = snprintf(p, size, ":%.*s:%u", (int) in->stack.len,
                 (const char *) in->stack.data, in->line);

    conf->suffix = ak_str(p, (size_t) n);

    return AK_OK;
}


static ak_rc_t
ak_rate_init(void *data, const ak_init_t *in)
{
    ak_rate_conf_t *conf = data;

    if (conf->text.len == 0) {
        return (conf->burst.len == 0)
               ? AK_OK : ak_diag(in->d, "\"burst=\" wants a \"rate=\"");
    }

    if (conf->burst.len != 0 && ak_rate_join(conf, in) != AK_OK) {
        return AK_ERROR;
    }

    if (ak_rate_parse(conf->text, &conf->rate, in->d) != AK_OK) {
        return AK_ERROR;
    }

    conf->limited = true;

    /* buckets are kept by name: none may be without bounds */

    if (in->stack.len > AK_NAME_MAX) {
        return ak_diag(in->d, "the name of the stack is longer than %d bytes",
                       AK_NAME_MAX);
    }

    return ak_rate_suffix(conf, in);
}


/* Of the key and the line. */

static ak_reason_e
ak_rate_ask_line(ak_txn_t *t, const ak_rate_conf_t *conf)
{
    uint8_t  *p;

    p = t->mem.alloc(t->mem.data, t->id.len + conf->suffix.len);
    if (p == NULL) {
        return AK_STORE_UNAVAILABLE;
    }

    memcpy(p, t->id.data, t->id.len);
    memcpy(p + t->id.len, conf->suffix.data, conf->suffix.len);

    return ak_txn_ask_rate(t, ak_str(p, t->id.len + conf->suffix.len),
                           &conf->rate);
}


static ak_reason_e
ak_rate_ask(ak_txn_t *t, const ak_rate_conf_t *conf, ak_rate_state_t *state)
{
    ak_record_t  rec;

    rec.rate = ak_str(NULL, 0);

    if (t->record.len != 0 && ak_record_unpack(t->record, &rec) != AK_OK) {
        return AK_FORBIDDEN;
    }

    if (rec.rate.len == 0 && !conf->limited) {
        return AK_IGNORE;
    }

    if (t->id.len == 0 || t->id.len > AK_NAME_MAX) {
        return AK_FORBIDDEN;
    }

    if (rec.rate.len == 0) {
        return ak_rate_ask_line(t, conf);
    }

    if (ak_rate_parse(rec.rate, &state->rate, NULL) != AK_OK) {
        return AK_FORBIDDEN;
    }

    return ak_txn_ask_rate(t, t->id, &state->rate);
}


/*
 * As Go writes a duration, which is how OpenAI's API does: "20ms", "1.5s",
 * "6m0s", "1h2m3s".
 */

static size_t
ak_rate_duration(uint64_t ms, char *text, size_t size)
{
    int       n;
    size_t    len;
    unsigned  seconds, rest;

    if (ms != 0 && ms < 1000) {
        return (size_t) snprintf(text, size, "%ums", (unsigned) ms);
    }

    n = 0;

    if (ms >= 3600000) {
        n = snprintf(text, size, "%" PRIu64 "h", ms / 3600000);
    }

    if (ms >= 60000) {
        n += snprintf(text + n, size - n, "%um",
                      (unsigned) (ms / 60000 % 60));
    }

    seconds = (unsigned) (ms / 1000 % 60);
    rest = (unsigned) (ms % 1000);

    if (rest == 0) {
        return (size_t) (n + snprintf(text + n, size - n, "%us", seconds));
    }

    n += snprintf(text + n, size - n, "%u.%03u", seconds, rest);

    for (len = (size_t) n; text[len - 1] == '0'; len--) {
        /* void */
    }

    text[len++] = 's';

    return len;
}


/*
 * What OpenAI's API says, and SDKs read.  Without memory for it, or beyond
 * AK_REPLIES_MAX, the answer is the same but for these headers.
 */

static void
ak_rate_reply(ak_txn_t *t, const ak_allowance_t *allowance)
{
    char   *p;
    size_t  n;

    p = t->mem.alloc(t->mem.data, AK_RATE_REPLY_MAX);
    if (p == NULL) {
        return;
    }

    n = (size_t) snprintf(p, AK_RATE_NUMBER_MAX, "%" PRIu32,
                          allowance->limit);

    (void) ak_txn_reply_header(t, ak_literal("x-ratelimit-limit-requests"),
                               ak_str(p, n));
    p += n;

    n = (size_t) snprintf(p, AK_RATE_NUMBER_MAX, "%" PRIu32,
                          allowance->remaining);

    (void) ak_txn_reply_header(t,
                               ak_literal("x-ratelimit-remaining-requests"),
                               ak_str(p, n));
    p += n;

    n = ak_rate_duration(allowance->reset, p, AK_RATE_DURATION_MAX);

    (void) ak_txn_reply_header(t, ak_literal("x-ratelimit-reset-requests"),
                               ak_str(p, n));
}


static ak_reason_e
ak_rate_judge(ak_txn_t *t)
{
    const ak_allowance_t  *allowance;

    allowance = &t->answer.allowance;

    if (t->answer.rc != AK_OK) {
        return AK_STORE_UNAVAILABLE;
    }

    if (allowance->granted) {
        return AK_SUCCESS;
    }

    /*
     * The first line that has no token left is the one that is told of; where
     * a later one has none either, the client has to wait for both.
     */

    if (t->retry == 0) {
        ak_rate_reply(t, allowance);
    }

    if (t->retry < allowance->retry) {
        t->retry = allowance->retry;
    }

    return AK_RATE_LIMITED;
}


static ak_reason_e
ak_rate_account(ak_txn_t *t, const void *conf, void *state)
{
    return t->answered ? ak_rate_judge(t) : ak_rate_ask(t, conf, state);
}


const ak_module_t  ak_mod_rate = {
    .name = ak_string("rate"),
    .about = "how many requests a key may make",
    .conf_size = sizeof(ak_rate_conf_t),
    .state_size = sizeof(ak_rate_state_t),
    .args = ak_rate_args,
    .init = ak_rate_init,
    .run = { [AK_ACCOUNT] = ak_rate_account }
};
