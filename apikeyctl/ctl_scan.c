
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ctl_redis.h"


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
ctl_redis_page(ctl_t *ctl, ak_str_t pattern, char **cursor,
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

    status = ctl_redis_call(ctl, argv, 6, &reply);

    if (status != CTL_DONE) {
        return status;
    }

    e = reply->elements;

    if (reply->type != AK_REPLY_ARRAY || reply->n != 2
        || e[0]->type != AK_REPLY_STRING || e[1]->type != AK_REPLY_ARRAY)
    {
        ctl_reply_free(reply);
        return ctl_redis_failed(ctl, "it answers SCAN with something else");
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


ctl_status_e
ctl_redis_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin, ctl_names_t *names)
{
    char          *cursor, *p, *pattern;
    ctl_status_e   status;

    memset(names, 0, sizeof(ctl_names_t));

    pattern = ctl_alloc((ctl->conf.prefix.len + space.len + begin.len) * 2 + 1);

    p = ctl_redis_glob(pattern, ctl->conf.prefix);
    p = ctl_redis_glob(p, space);
    p = ctl_redis_glob(p, begin);
    *p++ = '*';

    cursor = ctl_strdup(ak_literal("0"));

    do {
        status = ctl_redis_page(ctl, ak_str(pattern, (size_t) (p - pattern)),
                                &cursor, names);

    } while (status == CTL_DONE && strcmp(cursor, "0") != 0);

    ctl_free(cursor);
    ctl_free(pattern);

    if (status != CTL_DONE) {
        ctl_names_free(names);
        return status;
    }

    ctl_names_sort(names);

    return CTL_DONE;
}


/* Where fetching stands, and what the server said that ends it. */

typedef struct {
    ctl_reply_pt  handler;
    void         *data;
    size_t        first;               /* of the batch */
    bool          look;                /* errors are handed on */
    ak_reply_t   *error;
} ctl_fetch_t;


static void
ctl_redis_fetched(void *data, size_t i, const ak_reply_t *reply)
{
    ctl_fetch_t  *f;

    f = data;

    if (reply->type == AK_REPLY_ERROR && !f->look
        && !ak_str_starts(reply->str, ak_literal("WRONGTYPE")))
    {
        if (f->error == NULL) {
            f->error = ctl_reply_copy(reply);
        }

        return;
    }

    f->handler(f->data, f->first + i, reply);
}


/*
 * An answer beyond the limits of a session ends it.  The record that caused it
 * is the first one without an answer; what comes after is asked for anew.
 */

static ctl_status_e
ctl_redis_skip(ctl_t *ctl, ctl_fetch_t *f)
{
    ctl_redis_close(ctl);

    f->handler(f->data, f->first++, NULL);

    return ctl_redis_open(ctl);
}


static ctl_status_e
ctl_redis_fetch_batch(ctl_t *ctl, const ctl_names_t *names, ctl_fetch_t *f)
{
    size_t        i;
    ak_str_t      argv[2];
    ctl_wire_e    wire;
    ctl_batch_t   b;

    memset(&b, 0, sizeof(ctl_batch_t));
    b.handler = ctl_redis_fetched;
    b.data = f;

    wire = CTL_WIRE_OK;
    argv[0] = ak_literal("HGETALL");

    for (i = f->first; i < names->n && b.sent < CTL_PIPELINE; i++) {
        argv[1] = ak_cstr(names->names[i]);
        wire = ctl_redis_send(ctl->redis, &b, argv, 2);

        if (wire != CTL_WIRE_OK) {
            break;
        }
    }

    if (wire == CTL_WIRE_OK) {
        wire = ctl_redis_wait(ctl, &b);
    }

    f->first += b.done;

    if (f->error != NULL) {
        return ctl_redis_refused(ctl, argv[0], f->error->str);
    }

    if (wire == CTL_WIRE_GARBLED) {
        return ctl_redis_skip(ctl, f);
    }

    return (wire == CTL_WIRE_OK) ? CTL_DONE
                                 : ctl_redis_failed(ctl,
                                                    ctl->redis->why.text);
}


static ctl_status_e
ctl_redis_fetch_all(ctl_t *ctl, const ctl_names_t *names, ctl_fetch_t *f)
{
    ctl_status_e  status;

    status = CTL_DONE;

    while (f->first < names->n && status == CTL_DONE) {
        status = ctl_redis_fetch_batch(ctl, names, f);
    }

    ctl_reply_free(f->error);

    return status;
}


ctl_status_e
ctl_redis_fetch(ctl_t *ctl, const ctl_names_t *names, ctl_reply_pt handler,
    void *data)
{
    ctl_fetch_t  f;

    memset(&f, 0, sizeof(ctl_fetch_t));
    f.handler = handler;
    f.data = data;

    return ctl_redis_fetch_all(ctl, names, &f);
}


ctl_status_e
ctl_redis_look(ctl_t *ctl, const ctl_names_t *names, ctl_reply_pt handler,
    void *data)
{
    ctl_fetch_t  f;

    memset(&f, 0, sizeof(ctl_fetch_t));
    f.handler = handler;
    f.data = data;
    f.look = true;

    return ctl_redis_fetch_all(ctl, names, &f);
}
