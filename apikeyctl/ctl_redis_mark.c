
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <time.h>

#include "ctl_redis.h"


/*
 * Marks in Redis, which are texts that have a time to live, as the hashes that
 * ctl_store.h tells of.  What is read of a text is no more than nginx reads.
 */

#define CTL_MARK_LAST  "63"            /* the last byte that is read */

/*
 * A mark ends half a second after the second that it is to end in, so that
 * what is left of its time always tells the same second.
 */

#define CTL_MARK_HALF  500             /* milliseconds */


static int64_t
ctl_redis_mark_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
ctl_redis_mark_add(ak_reply_t *hash, const char *name, ak_str_t value)
{
    hash->elements[hash->n++] = ctl_reply_string(AK_REPLY_STRING,
                                                 ak_cstr(name));
    hash->elements[hash->n++] = ctl_reply_string(AK_REPLY_STRING, value);
}


/* Of GETRANGE and PTTL only the latter tells whether there is something. */

static ak_reply_t *
ctl_redis_mark_hash(ak_reply_t *const *replies)
{
    char               expires[32];
    int64_t            at;
    ak_reply_t        *hash;
    const ak_reply_t  *text, *left;

    text = replies[0];
    left = replies[1];

    if (left->type != AK_REPLY_INTEGER || left->integer == -2) {
        return ctl_reply_string(AK_REPLY_ARRAY, ak_literal(""));
    }

    if (text->type != AK_REPLY_STRING) {
        return ctl_reply_string(AK_REPLY_ERROR,
                                ak_literal("WRONGTYPE no text"));
    }

    at = (left->integer < 0) ? 0
                             : (ctl_redis_mark_now() + left->integer) / 1000;

    snprintf(expires, sizeof(expires), "%lld", (long long) at);

    hash = ctl_reply_string(AK_REPLY_ARRAY, ak_literal(""));
    hash->elements = ctl_alloc(4 * sizeof(ak_reply_t *));

    ctl_redis_mark_add(hash, "at", text->str);
    ctl_redis_mark_add(hash, "expires", ak_cstr(expires));

    return hash;
}


static size_t
ctl_redis_mark_ask(ak_str_t *argv, ak_str_t key, size_t i)
{
    argv[0] = (i == 0) ? ak_literal("GETRANGE") : ak_literal("PTTL");
    argv[1] = key;
    argv[2] = ak_literal("0");
    argv[3] = ak_literal(CTL_MARK_LAST);

    return (i == 0) ? 4 : 2;
}


static const ctl_redis_read_t  ctl_redis_mark = {
    2, false, false, ctl_redis_mark_ask, ctl_redis_mark_hash
};


typedef struct {
    ctl_decide_pt  decide;
    void          *data;
    char           span[32];           /* milliseconds from now */
} ctl_redis_mark_t;


/* HSET of the two fields is SET with what is left. */

static ctl_status_e
ctl_redis_mark_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    int64_t            span;
    ak_mark_t          mark;
    ak_field_t         fields[2];
    ctl_status_e       status;
    ctl_redis_mark_t  *m;

    m = data;

    status = m->decide(m->data, reply, argv, argc);

    if (status != CTL_DONE || *argc != 6) {
        return status;
    }

    fields[0].name = argv[2];
    fields[0].value = argv[3];
    fields[1].name = argv[4];
    fields[1].value = argv[5];

    (void) ak_mark_parse(fields, 2, &mark, NULL);

    argv[0] = ak_literal("SET");
    argv[2] = mark.at;
    *argc = 3;

    if (mark.expires != 0) {
        span = mark.expires * 1000 + CTL_MARK_HALF - ctl_redis_mark_now();

        snprintf(m->span, sizeof(m->span), "%lld",
                 (long long) (span < 1 ? 1 : span));

        argv[3] = ak_literal("PX");
        argv[4] = ak_cstr(m->span);
        *argc = 5;
    }

    return CTL_DONE;
}


ctl_status_e
ctl_redis_mark_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data)
{
    ctl_redis_mark_t  m;

    m.decide = decide;
    m.data = data;

    return ctl_redis_change(ctl, &ctl_redis_mark, key, ctl_redis_mark_decide,
                            &m);
}


ctl_status_e
ctl_redis_mark_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data)
{
    return ctl_redis_fetch(ctl, &ctl_redis_mark, names, handler, data);
}
