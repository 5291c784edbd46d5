
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_redis.h"


#define CTL_TRIES  5


/* A command whose reply is of no interest where it is no error. */

static ctl_status_e
ctl_redis_order(ctl_t *ctl, ctl_turn_t *turn, const ak_str_t *argv,
    size_t argc)
{
    ak_reply_t    *reply;
    ctl_status_e   status;

    status = ctl_turn_call(ctl, turn, argv, argc, &reply);

    if (status == CTL_DONE && reply->type == AK_REPLY_ERROR) {
        status = ctl_fleet_refused(ctl, turn->wire, argv[0], reply);
    }

    ctl_reply_free(reply);

    return status;
}


/* *done is left false where the key has been changed by somebody else. */

static ctl_status_e
ctl_redis_exec(ctl_t *ctl, ctl_turn_t *turn, ak_str_t command, bool *done)
{
    ak_str_t       exec;
    ak_reply_t    *reply;
    ctl_status_e   status;

    exec = ak_literal("EXEC");
    turn->change = true;

    status = ctl_turn_call(ctl, turn, &exec, 1, &reply);

    turn->change = false;

    if (status != CTL_DONE) {
        return status;
    }

    if (reply->type == AK_REPLY_ARRAY && reply->n == 1) {
        *done = true;

        if (reply->elements[0]->type == AK_REPLY_ERROR) {
            status = ctl_fleet_refused(ctl, turn->wire, command,
                                       reply->elements[0]);
        }

    } else if (reply->type != AK_REPLY_NIL) {
        status = ctl_fleet_failed(ctl, "it answers EXEC with something else");
    }

    ctl_reply_free(reply);

    return status;
}


static ctl_status_e
ctl_redis_commit(ctl_t *ctl, ctl_turn_t *turn, const ak_str_t *argv,
    size_t argc, bool *done)
{
    ak_str_t      multi;
    ctl_status_e  status;

    multi = ak_literal("MULTI");
    status = ctl_redis_order(ctl, turn, &multi, 1);

    turn->queued = true;

    if (status == CTL_DONE) {
        status = ctl_redis_order(ctl, turn, argv, argc);
    }

    if (status == CTL_DONE) {
        status = ctl_redis_exec(ctl, turn, argv[0], done);
    }

    turn->queued = false;

    if (status != CTL_DONE) {
        ctl_turn_drop(turn);           /* it may still be in MULTI */

    } else if (*done) {
        ctl_redis_publish(ctl, argv[1]);
    }

    return status;
}


static ctl_status_e
ctl_redis_try(ctl_t *ctl, ctl_turn_t *turn, const ctl_redis_read_t *how,
    ak_str_t key, ctl_decide_pt decide, void *data, bool *done)
{
    size_t         argc;
    ak_str_t       watch[2], argv[CTL_ARGV_MAX];
    ak_reply_t    *reply;
    ctl_status_e   status;

    watch[0] = ak_literal("WATCH");
    watch[1] = key;

    status = ctl_redis_order(ctl, turn, watch, 2);

    if (status != CTL_DONE) {
        return status;
    }

    status = ctl_redis_read(ctl, turn, how, key, &reply);

    if (status != CTL_DONE) {
        return status;
    }

    argc = 0;
    status = decide(data, reply, argv, &argc);

    if (status == CTL_DONE && argc != 0) {
        status = ctl_redis_commit(ctl, turn, argv, argc, done);

    } else {
        *done = true;
    }

    ctl_reply_free(reply);

    return status;
}


ctl_status_e
ctl_redis_change(ctl_t *ctl, const ctl_redis_read_t *how, ak_str_t key,
    ctl_decide_pt decide, void *data)
{
    bool          done;
    unsigned      i;
    ctl_turn_t    turn;
    ctl_status_e  status;

    ctl_turn_init(ctl, &turn, key);
    turn.transaction = true;
    turn.large = how->large;

    done = false;
    status = CTL_DONE;

    /* tries are those that somebody else foiled, not those of a server */

    for (i = 0; i < CTL_TRIES && status == CTL_DONE && !done; i++) {

        do {
            status = ctl_turn_wire(ctl, &turn);

            if (status == CTL_DONE) {
                status = ctl_redis_try(ctl, &turn, how, key, decide, data,
                                       &done);
            }

        } while (status == CTL_AGAIN);
    }

    if (status == CTL_DONE && !done) {
        return ctl_fail(CTL_REFUSED, "somebody else keeps changing it; "
                        "nothing was changed, try again");
    }

    return status;
}
