
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_REDIS_H_INCLUDED_
#define _CTL_REDIS_H_INCLUDED_


#include "ctl_fleet.h"


/*
 * The store in Redis, as ctl_store.h has it, on whatever servers there are
 * (ctl_fleet.h).  Every wait has a deadline, those of the store's
 * configuration; a failure is told and is CTL_STORE.
 */

ctl_status_e ctl_redis_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply);
ctl_status_e ctl_redis_remove(ctl_t *ctl, const ak_str_t *argv, size_t argc,
    int64_t *n);

/* A command on one name; the turn is that of the name, and has no wire yet. */

ctl_status_e ctl_redis_call(ctl_t *ctl, ctl_turn_t *turn, const ak_str_t *argv,
    size_t argc, ak_reply_t **reply);


/*
 * How that which a name has is read: by commands on the name, of whose replies
 * one is made.
 */

#define CTL_READ_MAX   2               /* commands */
#define CTL_READ_ARGV  4               /* words of one */

typedef struct {
    size_t         n;
    bool           large;              /* as those of a turn */
    bool           quiet;

    /* Sets the command i of a name, and returns the number of its words. */

    size_t       (*ask)(ak_str_t *argv, ak_str_t key, size_t i);

    /* A reply of its own; NULL: the only one it is. */

    ak_reply_t  *(*join)(ak_reply_t *const *replies);
} ctl_redis_read_t;

/* Records, by HGETALL; the usage of keys, which may be refused to the user. */

extern const ctl_redis_read_t  ctl_redis_record;
extern const ctl_redis_read_t  ctl_redis_usage;

/* Reads within a turn that has a wire; as ctl_turn_call(). */

ctl_status_e ctl_redis_read(ctl_t *ctl, ctl_turn_t *turn,
    const ctl_redis_read_t *how, ak_str_t key, ak_reply_t **reply);

/* In a turn of its own. */

ctl_status_e ctl_redis_read_name(ctl_t *ctl, const ctl_redis_read_t *how,
    ak_str_t key, ak_reply_t **reply);


/* ctl_scan.c; SCAN lets the server go on serving. */

ctl_status_e ctl_redis_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin,
    ctl_names_t *names);

ctl_status_e ctl_redis_fetch(ctl_t *ctl, const ctl_redis_read_t *how,
    const ctl_names_t *names, ctl_reply_pt handler, void *data);

/* ctl_change.c */

ctl_status_e ctl_redis_change(ctl_t *ctl, const ctl_redis_read_t *how,
    ak_str_t key, ctl_decide_pt decide, void *data);

/* ctl_add.c; in a cluster each of them is added, or not, on its own. */

ctl_status_e ctl_redis_add(ctl_t *ctl, ctl_entry_t *entries, size_t n);

/* ctl_redis_mark.c */

ctl_status_e ctl_redis_mark_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);

ctl_status_e ctl_redis_mark_change(ctl_t *ctl, ak_str_t key,
    ctl_decide_pt decide, void *data);


/*
 * Tells caches that this name has changed, for those that the server does not
 * tell itself; CTL_EVERYTHING: any of the names may have.  The change stands
 * where that cannot be done, so it is only warned of, once.
 */

#define CTL_EVERYTHING  "*"

void ctl_redis_publish(ctl_t *ctl, ak_str_t name);


#endif /* _CTL_REDIS_H_INCLUDED_ */
