
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
ctl_redis_try(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide, void *data,
    bool *done)
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

    status = ctl_redis_hash(ctl, key, &reply);

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
ctl_redis_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide, void *data)
{
    bool          done;
    unsigned      i;
    ctl_status_e  status;

    done = false;
    status = CTL_DONE;

    for (i = 0; i < CTL_TRIES && status == CTL_DONE && !done; i++) {
        status = ctl_redis_try(ctl, key, decide, data, &done);
    }

    if (status == CTL_DONE && !done) {
        return ctl_fail(CTL_REFUSED, "somebody else keeps changing it; "
                        "nothing was changed, try again");
    }

    return status;
}
