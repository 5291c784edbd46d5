
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_redis.h"


static size_t ctl_redis_hgetall(ak_str_t *argv, ak_str_t key, size_t i);


const ctl_redis_read_t  ctl_redis_record = {
    1, true, false, ctl_redis_hgetall, NULL
};

const ctl_redis_read_t  ctl_redis_usage = {
    1, true, true, ctl_redis_hgetall, NULL
};


ctl_status_e
ctl_redis_call(ctl_t *ctl, ctl_turn_t *turn, const ak_str_t *argv,
    size_t argc, ak_reply_t **reply)
{
    ctl_status_e  status;

    do {
        status = ctl_turn_wire(ctl, turn);

        if (status == CTL_DONE) {
            status = ctl_turn_call(ctl, turn, argv, argc, reply);
        }

    } while (status == CTL_AGAIN);

    return status;
}


static size_t
ctl_redis_hgetall(ak_str_t *argv, ak_str_t key, size_t i)
{
    (void) i;

    argv[0] = ak_literal("HGETALL");
    argv[1] = key;

    return 2;
}


ctl_status_e
ctl_redis_read(ctl_t *ctl, ctl_turn_t *turn, const ctl_redis_read_t *how,
    ak_str_t key, ak_reply_t **reply)
{
    size_t         i, argc;
    ak_str_t       argv[CTL_READ_ARGV];
    ak_reply_t    *replies[CTL_READ_MAX];
    ctl_status_e   status;

    *reply = NULL;
    status = CTL_DONE;
    memset(replies, 0, sizeof(replies));

    for (i = 0; i < how->n && status == CTL_DONE; i++) {
        argc = how->ask(argv, key, i);
        status = ctl_turn_call(ctl, turn, argv, argc, &replies[i]);
    }

    if (how->join == NULL) {
        *reply = replies[0];
        return status;
    }

    if (status == CTL_DONE) {
        *reply = how->join(replies);
    }

    for (i = 0; i < how->n; i++) {
        ctl_reply_free(replies[i]);
    }

    return status;
}


ctl_status_e
ctl_redis_read_name(ctl_t *ctl, const ctl_redis_read_t *how, ak_str_t key,
    ak_reply_t **reply)
{
    ctl_turn_t    turn;
    ctl_status_e  status;

    *reply = NULL;

    ctl_turn_init(ctl, &turn, key);
    turn.large = how->large;
    turn.quiet = how->quiet;

    do {
        status = ctl_turn_wire(ctl, &turn);

        if (status == CTL_DONE) {
            status = ctl_redis_read(ctl, &turn, how, key, reply);
        }

    } while (status == CTL_AGAIN);

    return status;
}


ctl_status_e
ctl_redis_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply)
{
    return ctl_redis_read_name(ctl, &ctl_redis_record, key, reply);
}


ctl_status_e
ctl_redis_remove(ctl_t *ctl, const ak_str_t *argv, size_t argc, int64_t *n)
{
    ak_reply_t    *reply;
    ctl_turn_t     turn;
    ctl_status_e   status;

    *n = 0;

    ctl_turn_init(ctl, &turn, argv[1]);
    turn.change = true;

    status = ctl_redis_call(ctl, &turn, argv, argc, &reply);

    if (status != CTL_DONE) {
        return status;
    }

    if (reply->type == AK_REPLY_ERROR) {
        status = ctl_fleet_refused(ctl, turn.wire, argv[0], reply);

    } else if (reply->type == AK_REPLY_INTEGER) {
        *n = reply->integer;
    }

    ctl_reply_free(reply);

    if (status == CTL_DONE) {
        ctl_redis_publish(ctl, argv[1]);
    }

    return status;
}


static void
ctl_redis_unpublished(ctl_t *ctl, const ak_reply_t *reply)
{
    char      *text;
    ak_str_t   channel;
    uint8_t    buf[AK_STORE_KEY_MAX];

    if (ctl->fleet->warned) {
        return;
    }

    ctl->fleet->warned = true;

    if (ak_store_channel(&ctl->conf, buf, &channel) != AK_OK) {
        channel = ak_literal("");
    }

    if (ak_redis_error(reply) == AK_REDIS_ERROR_NOPERM) {
        (void) ctl_fail(CTL_DONE, "warning: it is done, but the user may not "
                        "PUBLISH to %.*s: where the server cannot track what "
                        "caches hold, they see it only after their ttl; "
                        "grant +publish &%.*s", AK_FMT(channel),
                        AK_FMT(channel));
        return;
    }

    text = (reply != NULL && reply->type == AK_REPLY_ERROR)
           ? ctl_error_text(reply) : ctl_strdup(ak_literal("no answer"));

    (void) ctl_fail(CTL_DONE, "warning: it is done, but nobody could be told "
                    "of it by PUBLISH (%.200s): where the server cannot track "
                    "what caches hold, they see it only after their ttl",
                    text);
    ctl_free(text);
}


/* One try, with the wire that is there: the change itself was harder. */

void
ctl_redis_publish(ctl_t *ctl, ak_str_t name)
{
    uint8_t       buf[AK_STORE_KEY_MAX];
    ak_str_t      argv[3];
    ak_reply_t   *reply;
    ctl_turn_t    turn;

    if (!ctl->conf.invalidation
        || ak_store_channel(&ctl->conf, buf, &argv[1]) != AK_OK)
    {
        return;
    }

    argv[0] = ak_literal("PUBLISH");
    argv[2] = name;

    ctl_turn_init(ctl, &turn, ak_literal(""));

    reply = NULL;
    turn.wire = ctl_nodes_wire(ctl, &turn);

    if (turn.wire == NULL
        || ctl_wire_ask(turn.wire, argv, 3, &reply) != CTL_WIRE_OK
        || reply->type != AK_REPLY_INTEGER)
    {
        ctl_redis_unpublished(ctl, reply);
    }

    ctl_reply_free(reply);
}


ak_reply_t *
ctl_reply_copy(const ak_reply_t *reply)
{
    size_t       i;
    ak_reply_t  *copy;

    copy = ctl_alloc(sizeof(ak_reply_t));
    *copy = *reply;

    copy->str.data = (uint8_t *) ctl_strdup(reply->str);
    copy->elements = ctl_alloc(reply->n * sizeof(ak_reply_t *));

    for (i = 0; i < reply->n; i++) {
        copy->elements[i] = ctl_reply_copy(reply->elements[i]);
    }

    return copy;
}


ak_reply_t *
ctl_reply_string(ak_reply_e type, ak_str_t s)
{
    ak_reply_t  *reply;

    reply = ctl_alloc(sizeof(ak_reply_t));
    memset(reply, 0, sizeof(ak_reply_t));

    reply->type = type;
    reply->str.data = (uint8_t *) ctl_strdup(s);
    reply->str.len = s.len;

    return reply;
}


void
ctl_reply_free(ak_reply_t *reply)
{
    size_t  i;

    if (reply == NULL) {
        return;
    }

    for (i = 0; i < reply->n; i++) {
        ctl_reply_free(reply->elements[i]);
    }

    ctl_free(reply->elements);
    ctl_free((void *) reply->str.data);
    ctl_free(reply);
}
