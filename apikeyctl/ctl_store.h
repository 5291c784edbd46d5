
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_STORE_H_INCLUDED_
#define _CTL_STORE_H_INCLUDED_


#include "ak_mark.h"
#include "ctl.h"


/*
 * The store, whichever kind it is.  What it holds are hashes of fields under
 * the names that ak_store.h gives; they are handed on as the replies that
 * Redis gives to HGETALL, and commands on one of them are those of Redis.
 */

/* Reads the words of --store into ctl->conf. */

ctl_status_e ctl_store_conf(ctl_t *ctl);

/* The same, and opens the store.  A file need not be there yet. */

ctl_status_e ctl_store_open(ctl_t *ctl);
void ctl_store_close(ctl_t *ctl);

/*
 * The hash of a name, an empty array where there is none.  An error says that
 * it is damaged; NULL, that it is larger than any record.  To be freed.
 */

ctl_status_e ctl_store_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply);

/* Reads a file again, as it is now; Redis is asked each time anyway. */

ctl_status_e ctl_store_reload(ctl_t *ctl);

/* Runs DEL or HDEL on one name; *n: how many keys or fields that removed. */

ctl_status_e ctl_store_remove(ctl_t *ctl, const ak_str_t *argv, size_t argc,
    int64_t *n);


/* A sorted list of names (ctl_scan.c). */

typedef struct {
    char    **names;
    size_t    n;
    size_t    size;
} ctl_names_t;

void ctl_names_add(ctl_names_t *names, ak_str_t name);
void ctl_names_sort(ctl_names_t *names);
void ctl_names_free(ctl_names_t *names);

/*
 * The store's names that begin with its prefix and with the two strings, each
 * once.
 */

ctl_status_e ctl_store_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin,
    ctl_names_t *names);

/*
 * The hashes of all names.  The handler is called in order, its reply ends
 * with the call, and is as that of ctl_store_hash().
 */

typedef void (*ctl_reply_pt)(void *data, size_t i, const ak_reply_t *reply);

ctl_status_e ctl_store_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);

/*
 * Changes a hash so that nobody else's change is lost or undone: decide() sees
 * what ctl_store_hash() gave and sets a command of that one name, HSET, HDEL
 * or DEL (*argc 0: there is nothing to do, as must be with NULL), which is run
 * if the hash is still what decide() saw; else decide() is asked again.
 * A status of its own other than CTL_DONE ends it.
 */

#define CTL_ARGV_MAX  (2 + 2 * AK_RECORD_FIELDS_MAX)

typedef ctl_status_e (*ctl_decide_pt)(void *data, const ak_reply_t *reply,
    ak_str_t *argv, size_t *argc);

ctl_status_e ctl_store_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data);

/*
 * The same of many names, one after the other; a file is written once, at the
 * end.  next() is called before each, and ends all by false: what was changed
 * before stays so, as it does after a failure, but for a file.
 */

typedef bool (*ctl_next_pt)(void *data, size_t i);

ctl_status_e ctl_store_change_all(ctl_t *ctl, const ctl_names_t *names,
    ctl_next_pt next, ctl_decide_pt decide, void *data);


/*
 * Marks (see ak_mark.h) are hashes of the fields "at" and "expires", in Redis
 * too, where they are texts that have a time to live: they are fetched and
 * changed as above, by the following; a change is DEL, or HSET of both fields.
 * The name of one is written to dst of AK_STORE_KEY_MAX bytes, id being "jti:"
 * or "sub:" and which.
 */

ak_rc_t ctl_store_mark_key(const ctl_t *ctl, ak_str_t id, uint8_t *dst,
    ak_str_t *key);
ctl_status_e ctl_store_mark_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data);
ctl_status_e ctl_store_mark_change(ctl_t *ctl, ak_str_t key,
    ctl_decide_pt decide, void *data);


/*
 * Tells caches of a name again that was so already: the first time may have
 * ended before they were told.
 */

void ctl_store_tell(ctl_t *ctl, ak_str_t key);


/* A record that is to be added where there is none of its name. */

typedef struct {
    char       *key;                   /* the name */
    ak_field_t  fields[AK_RECORD_FIELDS_MAX];
    size_t      n;
    char       *text;                  /* what the fields are in */
    bool        there;                 /* set: there was one already */
} ctl_entry_t;

/* How many entries are best added at once. */

size_t ctl_store_batch(const ctl_t *ctl);

/*
 * Adds those that are not there: all of them or none, but for a cluster, where
 * each is all there or not at all.
 */

ctl_status_e ctl_store_add(ctl_t *ctl, ctl_entry_t *entries, size_t n);

/* Replies that are the command's own. */

ak_reply_t *ctl_reply_copy(const ak_reply_t *reply);
ak_reply_t *ctl_reply_string(ak_reply_e type, ak_str_t s);
void ctl_reply_free(ak_reply_t *reply);


#endif /* _CTL_STORE_H_INCLUDED_ */
