
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_redis.h"


#define CTL_TRIES  5


/* A command whose reply is of no interest where it is no error. */

static ctl_status_e
ctl_redis_order(ctl_t *ctl, const ak_str_t *argv, size_t argc)
{
    ak_reply_t    *reply;
    ctl_status_e   status;

    status = ctl_redis_call(ctl, argv, argc, &reply);

    if (status == CTL_DONE && reply->type == AK_REPLY_ERROR) {
        status = ctl_redis_refused(ctl, argv[0], reply->str);
    }

    ctl_reply_free(reply);

    return status;
}


/* *done is left false where the key has been changed by somebody else. */

static ctl_status_e
ctl_redis_commit(ctl_t *ctl, const ak_str_t *argv, size_t argc, bool *done)
{
    ak_str_t       exec;
    ak_reply_t    *reply;
    ctl_status_e   status;

    exec = ak_literal("MULTI");
    status = ctl_redis_order(ctl, &exec, 1);

    if (status == CTL_DONE) {
        status = ctl_redis_order(ctl, argv, argc);
    }

    if (status != CTL_DONE) {
        return status;
    }

    exec = ak_literal("EXEC");
    ctl->unsure = true;

    status = ctl_redis_call(ctl, &exec, 1, &reply);

    if (status != CTL_DONE) {
        return status;
    }

    ctl->unsure = false;

    if (reply->type == AK_REPLY_ARRAY && reply->n == 1) {
        *done = true;

        if (reply->elements[0]->type == AK_REPLY_ERROR) {
            status = ctl_redis_refused(ctl, argv[0], reply->elements[0]->str);
        }

    } else if (reply->type != AK_REPLY_NIL) {
        status = ctl_redis_failed(ctl, "it answers EXEC with something else");
    }

    ctl_reply_free(reply);

    return status;
}


static ctl_status_e
ctl_redis_try(ctl_t *ctl, ctl_redis_read_pt read, ak_str_t key,
    ctl_decide_pt decide, void *data, bool *done)
{
    size_t         argc;
    ak_str_t       watch[2], argv[CTL_ARGV_MAX];
    ak_reply_t    *reply;
    ctl_status_e   status;

    watch[0] = ak_literal("WATCH");
    watch[1] = key;

    status = ctl_redis_order(ctl, watch, 2);

    if (status != CTL_DONE) {
        return status;
    }

    status = read(ctl, key, &reply);

    if (status != CTL_DONE) {
        return status;
    }

    argc = 0;
    status = decide(data, reply, argv, &argc);

    if (status == CTL_DONE && argc != 0) {
        status = ctl_redis_commit(ctl, argv, argc, done);

    } else {
        *done = true;
    }

    ctl_reply_free(reply);

    return status;
}


ctl_status_e
ctl_redis_change_by(ctl_t *ctl, ctl_redis_read_pt read, ak_str_t key,
    ctl_decide_pt decide, void *data)
{
    bool          done;
    unsigned      i;
    ctl_status_e  status;

    done = false;
    status = CTL_DONE;

    for (i = 0; i < CTL_TRIES && status == CTL_DONE && !done; i++) {
        status = ctl_redis_try(ctl, read, key, decide, data, &done);
    }

    if (status == CTL_DONE && !done) {
        return ctl_fail(CTL_REFUSED, "somebody else keeps changing it; "
                        "nothing was changed, try again");
    }

    return status;
}


ctl_status_e
ctl_redis_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide, void *data)
{
    return ctl_redis_change_by(ctl, ctl_redis_hash, key, decide, data);
}


/* Adding, for whole batches: which are there, then the others at once. */

typedef struct {
    ctl_entry_t  *entries;
    size_t        n;
    size_t        watches;             /* replies before those of EXISTS */
    size_t        added;
    bool          refused;
    bool          changed;             /* by somebody else, meanwhile */
} ctl_add_t;


static void
ctl_redis_add_seen(void *data, size_t i, const ak_reply_t *reply)
{
    ctl_add_t  *add;

    add = data;

    if (reply->type == AK_REPLY_ERROR) {
        add->refused = true;

    } else if (i >= add->watches && i - add->watches < add->n) {
        add->entries[i - add->watches].there = (reply->integer != 0);
    }
}


static void
ctl_redis_add_done(void *data, size_t i, const ak_reply_t *reply)
{
    ctl_add_t  *add;

    add = data;

    if (reply->type == AK_REPLY_ERROR) {
        add->refused = true;

    } else if (i == add->added + 1 && reply->type != AK_REPLY_ARRAY) {
        add->changed = true;
    }
}


static ctl_wire_e
ctl_redis_add_look(ctl_t *ctl, ctl_add_t *add)
{
    size_t       i;
    ak_str_t     argv[2];
    ctl_wire_e   wire;
    ctl_batch_t  b;

    memset(&b, 0, sizeof(ctl_batch_t));
    b.handler = ctl_redis_add_seen;
    b.data = add;

    add->watches = add->n;
    wire = CTL_WIRE_OK;

    for (i = 0; i < 2 * add->n && wire == CTL_WIRE_OK; i++) {
        argv[0] = (i < add->n) ? ak_literal("WATCH") : ak_literal("EXISTS");
        argv[1] = ak_cstr(add->entries[i % add->n].key);
        wire = ctl_redis_send(ctl->redis, &b, argv, 2);
    }

    return (wire == CTL_WIRE_OK) ? ctl_redis_wait(ctl, &b) : wire;
}


static ctl_wire_e
ctl_redis_add_write(ctl_t *ctl, ctl_add_t *add)
{
    size_t        i, k, argc;
    ak_str_t      argv[CTL_ARGV_MAX];
    ctl_wire_e    wire;
    ctl_batch_t   b;
    ctl_entry_t  *e;

    memset(&b, 0, sizeof(ctl_batch_t));
    b.handler = ctl_redis_add_done;
    b.data = add;

    add->added = 0;

    argv[0] = ak_literal("MULTI");
    wire = ctl_redis_send(ctl->redis, &b, argv, 1);

    for (i = 0; i < add->n && wire == CTL_WIRE_OK; i++) {
        e = &add->entries[i];

        if (e->there) {
            continue;
        }

        argv[0] = ak_literal("HSET");
        argv[1] = ak_cstr(e->key);
        argc = 2;

        for (k = 0; k < e->n; k++) {
            argv[argc++] = e->fields[k].name;
            argv[argc++] = e->fields[k].value;
        }

        wire = ctl_redis_send(ctl->redis, &b, argv, argc);
        add->added++;
    }

    argv[0] = ak_literal("EXEC");

    if (wire == CTL_WIRE_OK) {
        wire = ctl_redis_send(ctl->redis, &b, argv, 1);
    }

    return (wire == CTL_WIRE_OK) ? ctl_redis_wait(ctl, &b) : wire;
}


ctl_status_e
ctl_redis_add(ctl_t *ctl, ctl_entry_t *entries, size_t n)
{
    unsigned    i;
    ctl_add_t   add;

    for (i = 0; i < CTL_TRIES && n != 0; i++) {

        memset(&add, 0, sizeof(ctl_add_t));
        add.entries = entries;
        add.n = n;

        if (ctl_redis_add_look(ctl, &add) != CTL_WIRE_OK
            || (!add.refused
                && ctl_redis_add_write(ctl, &add) != CTL_WIRE_OK))
        {
            return ctl_redis_failed(ctl, ctl->redis->why.text);
        }

        if (add.refused) {
            return ctl_redis_failed(ctl, "it refuses to add records");
        }

        if (!add.changed) {
            return CTL_DONE;
        }
    }

    return (n == 0) ? CTL_DONE
                    : ctl_fail(CTL_REFUSED, "somebody else keeps changing "
                               "what is to be added; try again");
}
