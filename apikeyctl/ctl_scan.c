
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include "ctl_redis.h"
#include "ctl_resolve.h"


#define CTL_PIPELINE   64              /* commands on their way at once */
#define CTL_SCAN_HINT  "250"           /* well below AK_RESP_ELEMENTS_MAX */


void
ctl_names_add(ctl_names_t *names, ak_str_t name)
{
    if (names->n == names->size) {
        names->size = (names->size == 0) ? 64 : names->size * 2;
        names->names = ctl_grow(names->names, names->size * sizeof(char *));
    }

    names->names[names->n++] = ctl_strdup(name);
}


static int
ctl_names_compare(const void *one, const void *two)
{
    return strcmp(*(char *const *) one, *(char *const *) two);
}


/* SCAN may tell of a key more than once. */

void
ctl_names_sort(ctl_names_t *names)
{
    size_t  i, n;

    if (names->n == 0) {
        return;
    }

    qsort(names->names, names->n, sizeof(char *), ctl_names_compare);

    n = 1;

    for (i = 1; i < names->n; i++) {
        if (strcmp(names->names[i], names->names[n - 1]) == 0) {
            ctl_free(names->names[i]);

        } else {
            names->names[n++] = names->names[i];
        }
    }

    names->n = n;
}


void
ctl_names_free(ctl_names_t *names)
{
    size_t  i;

    for (i = 0; i < names->n; i++) {
        ctl_free(names->names[i]);
    }

    ctl_free(names->names);
    memset(names, 0, sizeof(ctl_names_t));
}


/* Appends to a pattern; what has a meaning there is told to have none. */

static char *
ctl_redis_glob(char *p, ak_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (memchr("*?[]\\^-", s.data[i], 7) != NULL) {
            *p++ = '\\';
        }

        *p++ = (char) s.data[i];
    }

    return p;
}


/* A page of SCAN: its names are added, *cursor is the next page's. */

static ctl_status_e
ctl_redis_page(ctl_t *ctl, ctl_turn_t *turn, ak_str_t pattern, char **cursor,
    ctl_names_t *names)
{
    size_t         i;
    ak_str_t       name, argv[6];
    ak_reply_t    *reply;
    ak_reply_t   **e;
    ctl_status_e   status;

    argv[0] = ak_literal("SCAN");
    argv[1] = ak_cstr(*cursor);
    argv[2] = ak_literal("MATCH");
    argv[3] = pattern;
    argv[4] = ak_literal("COUNT");
    argv[5] = ak_literal(CTL_SCAN_HINT);

    status = ctl_turn_call(ctl, turn, argv, 6, &reply);

    if (status != CTL_DONE) {
        return status;
    }

    e = reply->elements;

    if (reply->type != AK_REPLY_ARRAY || reply->n != 2
        || e[0]->type != AK_REPLY_STRING || e[1]->type != AK_REPLY_ARRAY)
    {
        ctl_reply_free(reply);
        return ctl_fleet_failed(ctl, "it answers SCAN with something else");
    }

    for (i = 0; i < e[1]->n; i++) {

        /* a name with a zero in it is none that is written here */

        name = e[1]->elements[i]->str;

        if (name.len != 0 && memchr(name.data, '\0', name.len) == NULL) {
            ctl_names_add(names, name);
        }
    }

    ctl_free(*cursor);
    *cursor = ctl_strdup(e[0]->str);

    ctl_reply_free(reply);

    return CTL_DONE;
}


/* All pages of one server; -1: of the one that there is. */

static ctl_status_e
ctl_redis_scan_node(ctl_t *ctl, int node, ak_str_t pattern,
    ctl_names_t *names)
{
    char          *cursor;
    ctl_turn_t     turn;
    ctl_status_e   status;

    ctl_turn_init(ctl, &turn, ak_literal(""));
    turn.node = node;

    status = ctl_turn_wire(ctl, &turn);
    cursor = ctl_strdup(ak_literal("0"));

    while (status == CTL_DONE) {
        status = ctl_redis_page(ctl, &turn, pattern, &cursor, names);

        if (status == CTL_DONE && strcmp(cursor, "0") == 0) {
            break;
        }
    }

    ctl_free(cursor);

    return status;
}


/* The cluster as a whole; a list without some of its slots would be a lie. */

static ctl_status_e
ctl_redis_scan_cluster(ctl_t *ctl, ak_str_t pattern, ctl_names_t *names)
{
    int                 i;
    char                why[64];
    unsigned            missing;
    ctl_fleet_t        *f;
    ctl_status_e        status;
    ak_cluster_node_t   node;

    f = ctl->fleet;

    if (f->stale && ctl_nodes_learn(ctl) != AK_OK) {
        return ctl_fleet_failed(ctl, f->why.text);
    }

    missing = ak_cluster_missing(f->map);

    if (missing != 0) {
        (void) snprintf(why, sizeof(why), "nobody serves %u of its slots",
                        missing);
        return ctl_fleet_failed(ctl, why);
    }

    status = CTL_DONE;

    for (i = 0; i < ak_cluster_nodes(f->map) && status == CTL_DONE; i++) {
        node = ak_cluster_node_get(f->map, i);

        if (node.host.len != 0 && node.master) {
            status = ctl_redis_scan_node(ctl, i, pattern, names);
        }
    }

    return status;
}


ctl_status_e
ctl_redis_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin, ctl_names_t *names)
{
    char          *p, *glob;
    int64_t        until;
    ak_str_t       pattern;
    ctl_status_e   status;

    memset(names, 0, sizeof(ctl_names_t));

    glob = ctl_alloc((ctl->conf.prefix.len + space.len + begin.len) * 2 + 1);

    p = ctl_redis_glob(glob, ctl->conf.prefix);
    p = ctl_redis_glob(p, space);
    p = ctl_redis_glob(p, begin);
    *p++ = '*';

    pattern = ak_str(glob, (size_t) (p - glob));
    until = ctl_now() + CTL_FLEET_PATIENCE;

    /* a cursor is of one server, so whoever takes its place begins anew */

    do {
        ctl_names_free(names);

        status = (ctl->conf.topology == AK_STORE_CLUSTER)
                 ? ctl_redis_scan_cluster(ctl, pattern, names)
                 : ctl_redis_scan_node(ctl, -1, pattern, names);

    } while (status == CTL_AGAIN && ctl_now() < until);

    ctl_free(glob);

    if (status == CTL_AGAIN) {
        status = ctl_fleet_failed(ctl, ctl->fleet->why.text);
    }

    if (status != CTL_DONE) {
        ctl_names_free(names);
        return status;
    }

    ctl_names_sort(names);

    return CTL_DONE;
}


/* One of the names that are read together. */

typedef struct {
    ctl_turn_t    turn;
    ctl_batch_t   batch;
    ak_reply_t   *replies[CTL_READ_MAX];
} ctl_fetch_t;


static void
ctl_redis_fetched(void *data, size_t i, const ak_reply_t *reply)
{
    ctl_fetch_t  *f;

    f = data;
    f->replies[i] = ctl_reply_copy(reply);
}


static void
ctl_redis_fetch_send(ctl_fetch_t *f, const ctl_redis_read_t *how, ak_str_t key)
{
    size_t    i, argc;
    ak_str_t  argv[CTL_READ_ARGV];

    for (i = 0; i < how->n; i++) {
        argc = how->ask(argv, key, i);
        (void) ctl_wire_send(f->turn.wire, &f->batch, argv, argc);
    }
}


/* Asks for some at once, each of its own node. */

static ctl_status_e
ctl_redis_fetch_ask(ctl_t *ctl, const ctl_redis_read_t *how,
    char *const *names, ctl_fetch_t *list, size_t n)
{
    size_t        i;
    ctl_fetch_t  *f;
    ctl_status_e  status;

    status = CTL_DONE;

    for (i = 0; i < n; i++) {
        f = &list[i];
        memset(f, 0, sizeof(ctl_fetch_t));

        f->batch.handler = ctl_redis_fetched;
        f->batch.data = f;

        ctl_turn_init(ctl, &f->turn, ak_cstr(names[i]));
        f->turn.quiet = how->quiet;

        if (status == CTL_DONE) {
            status = ctl_turn_wire(ctl, &f->turn);
        }

        if (status == CTL_DONE) {
            ctl_redis_fetch_send(f, how, ak_cstr(names[i]));
        }
    }

    for (i = 0; i < n; i++) {
        if (list[i].turn.wire != NULL) {
            ctl_wire_push(list[i].turn.wire);
        }
    }

    /* what is not waited for any more must not be answered to */

    for (i = 0; i < n; i++) {
        f = &list[i];

        if (f->turn.wire != NULL && status == CTL_DONE) {
            (void) ctl_wire_wait(f->turn.wire, &f->batch);

        } else {
            ctl_turn_drop(&f->turn);
        }
    }

    return status;
}


/*
 * Whoever got no answer, or one that is no answer, is asked for alone: a wire
 * ends with an answer beyond its limits, and the names behind that one have
 * done nothing wrong.
 */

static ctl_status_e
ctl_redis_fetch_end(ctl_t *ctl, const ctl_redis_read_t *how, ak_str_t key,
    ctl_fetch_t *f, ak_reply_t **reply)
{
    size_t  i;

    for (i = 0; i < how->n; i++) {
        if (f->replies[i] == NULL || !ctl_turn_answers(&f->turn, f->replies[i]))
        {
            return ctl_redis_read_name(ctl, how, key, reply);
        }
    }

    *reply = (how->join == NULL) ? ctl_reply_copy(f->replies[0])
                                 : how->join(f->replies);

    return CTL_DONE;
}


static ctl_status_e
ctl_redis_fetch_some(ctl_t *ctl, const ctl_redis_read_t *how,
    const ctl_names_t *names, size_t first, size_t n, ctl_reply_pt handler,
    void *data)
{
    size_t         i, k;
    ak_reply_t    *reply;
    ctl_fetch_t    list[CTL_PIPELINE];
    ctl_status_e   status;

    status = ctl_redis_fetch_ask(ctl, how, names->names + first, list, n);

    for (i = 0; i < n; i++) {
        reply = NULL;

        if (status == CTL_DONE) {
            status = ctl_redis_fetch_end(ctl, how,
                                         ak_cstr(names->names[first + i]),
                                         &list[i], &reply);
        }

        if (status == CTL_DONE) {
            handler(data, first + i, reply);
        }

        ctl_reply_free(reply);

        for (k = 0; k < how->n; k++) {
            ctl_reply_free(list[i].replies[k]);
        }
    }

    return status;
}


ctl_status_e
ctl_redis_fetch(ctl_t *ctl, const ctl_redis_read_t *how,
    const ctl_names_t *names, ctl_reply_pt handler, void *data)
{
    size_t        first, n;
    ctl_status_e  status;

    status = CTL_DONE;

    for (first = 0; first < names->n && status == CTL_DONE; first += n) {
        n = names->n - first;
        n = (n < CTL_PIPELINE) ? n : CTL_PIPELINE;

        status = ctl_redis_fetch_some(ctl, how, names, first, n, handler,
                                      data);
    }

    return status;
}
