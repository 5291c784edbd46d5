
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_redis.h"


/*
 * Adding records where there are none of their names, many at once.
 *
 * Each is written under another name and gets its own by RENAMENX, which does
 * nothing where that is taken; in a transaction, so that the other name is seen
 * by nobody and is never left behind.  A cluster runs transactions of a single
 * slot alone, hence one for each record there.
 */

#define CTL_ADD_COMMANDS  3            /* of a record */


typedef struct {
    ctl_entry_t  *entries;
    size_t        n;
    ctl_turn_t    turn;
    ctl_batch_t   batch;
    ak_reply_t   *error;               /* the first one */
    bool          again;               /* some may be ours that are there */
    bool          done;
} ctl_group_t;


/*
 * The other name, in the slot of the first: that is made of what stands in
 * braces, where there are any.
 */

static char *
ctl_add_name(const ctl_t *ctl, const char *key)
{
    char        *name;
    size_t       len;
    ak_str_t     prefix;

    len = strlen(key);
    prefix = ctl->conf.prefix;
    name = ctl_alloc(prefix.len + len + 3);

    memcpy(name, key, len);
    memcpy(name + len, "+", 2);

    if (ctl->conf.topology != AK_STORE_CLUSTER
        || ak_cluster_slot(ak_cstr(name)) == ak_cluster_slot(ak_cstr(key)))
    {
        return name;
    }

    memcpy(name, prefix.data, prefix.len);
    name[prefix.len] = '{';
    memcpy(name + prefix.len + 1, key, len);
    memcpy(name + prefix.len + 1 + len, "}", 2);

    return name;
}


static size_t
ctl_add_hset(const ctl_entry_t *e, const char *name, ak_str_t *argv)
{
    size_t  k, argc;

    argv[0] = ak_literal("HSET");
    argv[1] = ak_cstr(name);
    argc = 2;

    for (k = 0; k < e->n; k++) {
        argv[argc++] = e->fields[k].name;
        argv[argc++] = e->fields[k].value;
    }

    return argc;
}


static ctl_wire_e
ctl_add_send_one(const ctl_t *ctl, ctl_group_t *g, const ctl_entry_t *e)
{
    char        *name;
    size_t       argc;
    ak_str_t     argv[CTL_ARGV_MAX];
    ctl_wire_e   wire;

    name = ctl_add_name(ctl, e->key);
    argc = ctl_add_hset(e, name, argv);

    wire = ctl_wire_send(g->turn.wire, &g->batch, argv, argc);

    if (wire == CTL_WIRE_OK) {
        argv[0] = ak_literal("RENAMENX");
        argv[2] = ak_cstr(e->key);
        wire = ctl_wire_send(g->turn.wire, &g->batch, argv, 3);
    }

    if (wire == CTL_WIRE_OK) {
        argv[0] = ak_literal("DEL");
        wire = ctl_wire_send(g->turn.wire, &g->batch, argv, 2);
    }

    ctl_free(name);

    return wire;
}


static ctl_wire_e
ctl_add_send(const ctl_t *ctl, ctl_group_t *g)
{
    size_t      i;
    ak_str_t    argv[1];
    ctl_wire_e  wire;

    wire = CTL_WIRE_OK;

    if (g->turn.asking) {
        wire = ctl_wire_asking(g->turn.wire);
    }

    argv[0] = ak_literal("MULTI");

    if (wire == CTL_WIRE_OK) {
        wire = ctl_wire_send(g->turn.wire, &g->batch, argv, 1);
    }

    for (i = 0; i < g->n && wire == CTL_WIRE_OK; i++) {
        wire = ctl_add_send_one(ctl, g, &g->entries[i]);
    }

    argv[0] = ak_literal("EXEC");

    if (wire == CTL_WIRE_OK) {
        wire = ctl_wire_send(g->turn.wire, &g->batch, argv, 1);
    }

    return wire;
}


static void
ctl_add_failed(ctl_group_t *g, const ak_reply_t *reply)
{
    if (g->error == NULL) {
        g->error = ctl_reply_copy(reply);
    }
}


/* What EXEC answered: which names were taken. */

static void
ctl_add_seen(ctl_group_t *g, const ak_reply_t *reply)
{
    size_t             i;
    const ak_reply_t  *renamed;

    if (reply->type != AK_REPLY_ARRAY || reply->n != g->n * CTL_ADD_COMMANDS) {
        return;
    }

    for (i = 0; i < reply->n; i++) {
        if (reply->elements[i]->type == AK_REPLY_ERROR) {
            ctl_add_failed(g, reply->elements[i]);
        }
    }

    for (i = 0; i < g->n; i++) {
        renamed = reply->elements[i * CTL_ADD_COMMANDS + 1];
        g->entries[i].there = (renamed->integer == 0);
    }

    g->done = (g->error == NULL);
}


static void
ctl_add_reply(void *data, size_t i, const ak_reply_t *reply)
{
    ctl_group_t  *g;

    g = data;

    if (reply->type == AK_REPLY_ERROR) {
        ctl_add_failed(g, reply);

    } else if (i == g->n * CTL_ADD_COMMANDS + 1) {
        ctl_add_seen(g, reply);
    }
}


/* Sends a group on its way; it is waited for by ctl_add_end(). */

static ctl_status_e
ctl_add_begin(ctl_t *ctl, ctl_group_t *g)
{
    ctl_status_e  status;

    memset(&g->batch, 0, sizeof(ctl_batch_t));
    g->batch.handler = ctl_add_reply;
    g->batch.data = g;

    ctl_reply_free(g->error);
    g->error = NULL;

    status = ctl_turn_wire(ctl, &g->turn);

    if (status == CTL_DONE && ctl_add_send(ctl, g) == CTL_WIRE_OK) {
        ctl_wire_push(g->turn.wire);
    }

    return status;
}


static ctl_status_e
ctl_add_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    ctl_entry_t  *e;

    e = data;

    e->there = (reply == NULL || reply->type != AK_REPLY_ARRAY
                || reply->n != 0);

    if (!e->there) {
        *argc = ctl_add_hset(e, e->key, argv);
    }

    return CTL_DONE;
}


/*
 * While a slot is moved, commands of two names that are not there have to wait
 * for its end; those of one name have not.
 */

static ctl_status_e
ctl_add_alone(ctl_t *ctl, ctl_group_t *g)
{
    ctl_status_e  status;

    status = ctl_redis_change(ctl, &ctl_redis_record,
                              ak_cstr(g->entries[0].key), ctl_add_decide,
                              &g->entries[0]);
    g->done = (status == CTL_DONE);

    return status;
}


/*
 * Waits for a group.  One whose answer was lost is sent again: what was added
 * is there then, and nothing is added twice.
 */

static ctl_status_e
ctl_add_end(ctl_t *ctl, ctl_group_t *g)
{
    ctl_wire_t  *w;

    w = g->turn.wire;

    if (ctl_wire_wait(w, &g->batch) != CTL_WIRE_OK
        || (w->broken && !g->done && g->error == NULL))
    {
        if (ctl_turn_again(ctl, &g->turn, NULL)) {
            g->again = true;
            return CTL_AGAIN;
        }

        ctl->unsure = true;

        return ctl_fleet_failed(ctl, w->why.text);
    }

    if (g->done) {
        return CTL_DONE;
    }

    if (g->error == NULL) {
        return ctl_fleet_failed(ctl, "it answers EXEC with something else");
    }

    if (ak_redis_error(g->error) == AK_REDIS_ERROR_TRYAGAIN && g->n == 1) {
        return ctl_add_alone(ctl, g);
    }

    return ctl_turn_again(ctl, &g->turn, g->error)
           ? CTL_AGAIN : ctl_fleet_refused(ctl, w, ak_literal("to add records"),
                                           g->error);
}


/* All groups at once, then those again that have to be. */

static ctl_status_e
ctl_add_groups(ctl_t *ctl, ctl_group_t *groups, size_t n)
{
    size_t        i;
    ctl_status_e  status, one;

    status = CTL_DONE;

    for (i = 0; i < n && status == CTL_DONE; i++) {
        status = ctl_add_begin(ctl, &groups[i]);
    }

    for (i = 0; i < n; i++) {

        if (groups[i].turn.wire == NULL) {
            continue;
        }

        if (status != CTL_DONE) {
            ctl_turn_drop(&groups[i].turn);
            continue;
        }

        one = ctl_add_end(ctl, &groups[i]);

        if (one != CTL_DONE && one != CTL_AGAIN) {
            status = one;
        }
    }

    for (i = 0; i < n; i++) {
        while (status == CTL_DONE && !groups[i].done) {
            status = ctl_add_begin(ctl, &groups[i]);

            if (status == CTL_DONE) {
                status = ctl_add_end(ctl, &groups[i]);
                status = (status == CTL_AGAIN) ? CTL_DONE : status;
            }
        }
    }

    return status;
}


/* New names matter to caches too: they remember that there were none. */

static void
ctl_add_publish(ctl_t *ctl, const ctl_group_t *groups, size_t ngroups)
{
    bool    added;
    size_t  i, k;

    added = false;

    for (i = 0; i < ngroups; i++) {
        added |= groups[i].again;

        for (k = 0; k < groups[i].n && groups[i].done; k++) {
            added |= !groups[i].entries[k].there;
        }
    }

    if (added) {
        ctl_redis_publish(ctl, ak_literal(CTL_EVERYTHING));
    }
}


ctl_status_e
ctl_redis_add(ctl_t *ctl, ctl_entry_t *entries, size_t n)
{
    size_t         i, ngroups, each;
    ctl_group_t   *groups;
    ctl_status_e   status;

    if (n == 0) {
        return CTL_DONE;
    }

    each = (ctl->conf.topology == AK_STORE_CLUSTER) ? 1 : n;
    ngroups = n / each;

    groups = ctl_alloc(ngroups * sizeof(ctl_group_t));
    memset(groups, 0, ngroups * sizeof(ctl_group_t));

    for (i = 0; i < ngroups; i++) {
        groups[i].entries = &entries[i * each];
        groups[i].n = each;

        ctl_turn_init(ctl, &groups[i].turn, ak_cstr(entries[i * each].key));
    }

    status = ctl_add_groups(ctl, groups, ngroups);

    ctl_add_publish(ctl, groups, ngroups);     /* some may be there, anyway */

    for (i = 0; i < ngroups; i++) {
        ctl_reply_free(groups[i].error);
    }

    ctl_free(groups);

    return status;
}
