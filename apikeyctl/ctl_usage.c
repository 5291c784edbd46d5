
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <time.h>

#include "ak_time.h"
#include "ctl_key.h"
#include "ctl_redis.h"


/* How often keys were used, and when last, which nginx writes to Redis. */

typedef struct {
    json_t       *rows;                /* those of whose keys it is asked */
    ak_reply_t   *error;               /* the first one that Redis gave */
} ctl_usage_t;


static void
ctl_usage_set(json_t *row, json_t *last, json_t *requests)
{
    ctl_set(row, "last_used", last);
    ctl_set(row, "requests", requests);
}


static void
ctl_usage_reply(void *data, size_t i, const ak_reply_t *reply)
{
    json_t       *row;
    ak_rc_t       rc;
    ak_usage_t    usage;
    ctl_usage_t  *u;

    u = data;
    row = json_array_get(u->rows, i);
    rc = ak_store_usage(reply, &usage);

    /* what cannot be read leaves it unknown */

    if (rc == AK_OK || rc == AK_NOT_FOUND) {
        ctl_usage_set(row, usage.last_used == 0
                           ? json_null() : json_integer(usage.last_used),
                      json_integer(usage.requests));

    } else if (rc == AK_UNAVAILABLE && reply != NULL && u->error == NULL) {
        u->error = ctl_reply_copy(reply);
    }
}


/* Records are of more use than nothing: what is refused is told. */

static void
ctl_usage_refused(const ak_reply_t *error)
{
    char  *text;

    text = ctl_error_text(error);

    (void) ctl_fail(CTL_STORE, "the usage of keys is not known, since the "
                    "store refused HGETALL: %.200s%s", text,
                    ak_redis_error(error) == AK_REDIS_ERROR_NOPERM
                    ? "; the user lacks the right to read its names, "
                      "~apikey-usage:*" : "");
    ctl_free(text);
}


ctl_status_e
ctl_usage_add(ctl_t *ctl, json_t *rows)
{
    json_t        *row;
    size_t         i;
    uint8_t        name[AK_STORE_KEY_MAX];
    ak_str_t       key;
    ctl_names_t    names;
    ctl_usage_t    u;
    ctl_status_e   status;

    memset(&names, 0, sizeof(ctl_names_t));
    memset(&u, 0, sizeof(ctl_usage_t));
    u.rows = json_array();

    json_array_foreach(rows, i, row) {

        if (json_object_get(row, "damaged") != NULL) {
            continue;
        }

        ctl_usage_set(row, json_null(), json_null());
        key = ak_cstr(json_string_value(json_object_get(row, "id")));

        if (ctl->conf.type == AK_STORE_REDIS
            && ak_store_usage_key(&ctl->conf, key, name, &key) == AK_OK)
        {
            ctl_names_add(&names, key);
            json_array_append(u.rows, row);
        }
    }

    status = CTL_DONE;

    if (names.n != 0) {
        status = ctl_redis_fetch(ctl, &ctl_redis_usage, &names,
                                 ctl_usage_reply, &u);
    }

    if (status != CTL_DONE) {
        (void) ctl_fleet_failed(ctl, ctl->fleet->why.text);
    }

    if (status == CTL_DONE && u.error != NULL) {
        ctl_usage_refused(u.error);
    }

    ctl_reply_free(u.error);
    ctl_names_free(&names);
    json_decref(u.rows);

    return status;
}


void
ctl_usage_tell(json_t *row)
{
    if (json_is_integer(json_object_get(row, "requests"))
        && json_is_null(json_object_get(row, "last_used")))
    {
        ctl_set(row, "last_used", json_integer(0));
    }
}


ctl_status_e
ctl_usage_span(const ctl_t *ctl, int64_t *span)
{
    *span = 0;

    if (ctl->unused == NULL) {
        return CTL_DONE;
    }

    if (ak_time_span(ak_cstr(ctl->unused), span) != AK_OK) {
        return ctl_usage(ctl, "--unused is no span such as \"90d\", of at "
                         "most 100 years");
    }

    *span /= 1000;

    return CTL_DONE;
}


/* A key that was made lately may yet be used. */

ctl_status_e
ctl_usage_unused(const ctl_t *ctl, json_t *rows, int64_t span)
{
    json_t      *row;
    size_t       i;
    json_int_t   since, last;

    if (ctl->conf.type == AK_STORE_FILE) {
        return ctl_usage(ctl, "the usage of keys is not kept in a file: "
                         "--unused needs Redis");
    }

    for (i = json_array_size(rows); i > 0; i--) {
        row = json_array_get(rows, i - 1);

        if (json_object_get(row, "damaged") != NULL) {
            json_array_remove(rows, i - 1);
            continue;
        }

        if (!json_is_integer(json_object_get(row, "requests"))) {
            return ctl_fail(CTL_STORE, "the usage of key %s is not known, so "
                            "that nobody can say what is unused",
                            json_string_value(json_object_get(row, "id")));
        }

        since = json_integer_value(json_object_get(row, "created"));
        last = json_integer_value(json_object_get(row, "last_used"));
        since = (last > since) ? last : since;

        if (since > (json_int_t) time(NULL) - span) {
            json_array_remove(rows, i - 1);
        }
    }

    return CTL_DONE;
}


/* It is as well done twice, so whoever is lost is asked again. */

void
ctl_usage_forget(ctl_t *ctl, ak_str_t id)
{
    bool          done;
    uint8_t       name[AK_STORE_KEY_MAX];
    ak_str_t      argv[2];
    ak_reply_t   *reply;
    ctl_turn_t    turn;

    argv[0] = ak_literal("DEL");

    if (ctl->conf.type != AK_STORE_REDIS
        || ak_store_usage_key(&ctl->conf, id, name, &argv[1]) != AK_OK)
    {
        return;
    }

    ctl_turn_init(ctl, &turn, argv[1]);
    turn.quiet = true;

    done = (ctl_redis_call(ctl, &turn, argv, 2, &reply) == CTL_DONE
            && reply->type == AK_REPLY_INTEGER);

    ctl_reply_free(reply);

    if (!done) {
        (void) ctl_fail(CTL_STORE, "the key is deleted, but what the store "
                        "has of its usage, %.*s, could not be",
                        AK_FMT(argv[1]));
    }
}
