
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

#define CTL_MARKS      64              /* on their way at once */
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


/* Of the answers of GETRANGE and PTTL; only the latter tells what is there. */

static ak_reply_t *
ctl_redis_mark_hash(const ak_reply_t *text, const ak_reply_t *left)
{
    char         expires[32];
    int64_t      at;
    ak_reply_t  *hash;

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
ctl_redis_mark_ask(ak_str_t *argv, ak_str_t name, bool left)
{
    argv[0] = left ? ak_literal("PTTL") : ak_literal("GETRANGE");
    argv[1] = name;
    argv[2] = ak_literal("0");
    argv[3] = ak_literal(CTL_MARK_LAST);

    return left ? 2 : 4;
}


static ctl_status_e
ctl_redis_mark_read(ctl_t *ctl, ak_str_t key, ak_reply_t **reply)
{
    size_t         argc;
    ak_str_t       argv[4];
    ak_reply_t    *text, *left;
    ctl_status_e   status;

    argc = ctl_redis_mark_ask(argv, key, false);
    status = ctl_redis_call(ctl, argv, argc, &text);

    if (status != CTL_DONE) {
        return status;
    }

    argc = ctl_redis_mark_ask(argv, key, true);
    status = ctl_redis_call(ctl, argv, argc, &left);

    if (status == CTL_DONE) {
        *reply = ctl_redis_mark_hash(text, left);
        ctl_reply_free(left);
    }

    ctl_reply_free(text);

    return status;
}


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

    return ctl_redis_change_by(ctl, ctl_redis_mark_read, key,
                               ctl_redis_mark_decide, &m);
}


/* Where fetching stands, and what the server said that ends it. */

typedef struct {
    ctl_reply_pt   handler;
    void          *data;
    size_t         first;              /* of the batch */
    ak_reply_t    *text;               /* whose time is yet to come */
    ak_reply_t    *error;
} ctl_redis_marks_t;


static void
ctl_redis_mark_fetched(void *data, size_t i, const ak_reply_t *reply)
{
    ak_reply_t         *hash;
    ctl_redis_marks_t  *m;

    m = data;

    if (m->error != NULL) {
        return;
    }

    if (reply->type == AK_REPLY_ERROR
        && !ak_str_starts(reply->str, ak_literal("WRONGTYPE")))
    {
        m->error = ctl_reply_copy(reply);
        return;
    }

    if (i % 2 == 0) {
        m->text = ctl_reply_copy(reply);
        return;
    }

    hash = ctl_redis_mark_hash(m->text, reply);
    m->handler(m->data, m->first + i / 2, hash);

    ctl_reply_free(hash);
    ctl_reply_free(m->text);
    m->text = NULL;
}


static ctl_status_e
ctl_redis_mark_fetch_batch(ctl_t *ctl, const ctl_names_t *names,
    ctl_redis_marks_t *m)
{
    size_t       i, n, argc;
    ak_str_t     argv[4];
    ctl_wire_e   wire;
    ctl_batch_t  b;

    memset(&b, 0, sizeof(ctl_batch_t));
    b.handler = ctl_redis_mark_fetched;
    b.data = m;

    wire = CTL_WIRE_OK;
    n = names->n - m->first;
    n = (n > CTL_MARKS) ? CTL_MARKS : n;

    for (i = 0; i < 2 * n && wire == CTL_WIRE_OK; i++) {
        argc = ctl_redis_mark_ask(argv,
                                  ak_cstr(names->names[m->first + i / 2]),
                                  i % 2 == 1);
        wire = ctl_redis_send(ctl->redis, &b, argv, argc);
    }

    if (wire == CTL_WIRE_OK) {
        wire = ctl_redis_wait(ctl, &b);
    }

    m->first += n;

    if (m->error != NULL) {
        return ctl_redis_refused(ctl, ak_literal("GETRANGE or PTTL"),
                                 m->error->str);
    }

    return (wire == CTL_WIRE_OK) ? CTL_DONE
                                 : ctl_redis_failed(ctl,
                                                    ctl->redis->why.text);
}


ctl_status_e
ctl_redis_mark_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data)
{
    ctl_status_e       status;
    ctl_redis_marks_t  m;

    memset(&m, 0, sizeof(ctl_redis_marks_t));
    m.handler = handler;
    m.data = data;

    status = CTL_DONE;

    while (m.first < names->n && status == CTL_DONE) {
        status = ctl_redis_mark_fetch_batch(ctl, names, &m);
    }

    ctl_reply_free(m.text);
    ctl_reply_free(m.error);

    return status;
}
