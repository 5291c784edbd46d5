
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_KEY_H_INCLUDED_
#define _CTL_KEY_H_INCLUDED_


#include "ak_key.h"
#include "ctl_print.h"
#include "ctl_store.h"


/* What the commands of "key" share. */

/* The name of a record in the store: dst has room for AK_STORE_KEY_MAX. */

ctl_status_e ctl_key_place(ctl_t *ctl, ak_str_t id, uint8_t *dst,
    ak_str_t *key);

/* Of a key whose hash is weak, see ak_hash.h. */

#define CTL_KEY_WEAK  "weak hash: rotate"

/* A record as it is shown, without its hash; printed as lines. */

json_t *ctl_key_object(ak_str_t id, const ak_record_t *rec);
void ctl_key_print_object(json_t *object);


/* The id of the command line, checked. */

ctl_status_e ctl_key_id(const ctl_t *ctl, ak_str_t *id);

ctl_status_e ctl_key_not_found(ak_str_t id);

/*
 * Reads the hash of a record.  AK_NOT_FOUND: there is no such record.
 * AK_ERROR: it is damaged, and the diagnostic says how.
 */

ak_rc_t ctl_key_read(const ak_reply_t *reply, ak_record_t *rec, ak_diag_t *d);


/*
 * What limits a key (ctl_limits.c): which field does not say what it should;
 * the diagnostic quotes it.
 */

typedef enum {
    CTL_LIMIT_NONE = 0,
    CTL_LIMIT_SCOPES,
    CTL_LIMIT_ROUTES,
    CTL_LIMIT_IPS,
    CTL_LIMIT_RATE
} ctl_limit_e;

#define CTL_META_MAX  1024             /* bytes of a value */

ctl_limit_e ctl_limits_check(const ak_record_t *rec, ak_diag_t *d);

/* Whether nginx can keep the record. */

bool ctl_limits_fit(const ak_record_t *rec);

/* Those of the command line into a record; *text is to be freed with it. */

ctl_status_e ctl_limits_read(const ctl_t *ctl, ak_record_t *rec,
    char **text);

/* Adds "NAME=VALUE"; strings are views of it. */

ak_rc_t ctl_limits_meta(ak_record_t *rec, ak_str_t name, ak_str_t value,
    ak_diag_t *d);


/*
 * Usage (ctl_usage.c): the fields "last_used", null for never, and "requests"
 * of rows; both are null where it is not known, as with a file, or because
 * Redis does not let it be read, which is told.  For people, never is 0.
 */

ctl_status_e ctl_usage_add(ctl_t *ctl, json_t *rows);
void ctl_usage_tell(json_t *row);

/* --unused in seconds; leaves the rows of keys not used for so long. */

ctl_status_e ctl_usage_span(const ctl_t *ctl, int64_t *span);
ctl_status_e ctl_usage_unused(const ctl_t *ctl, json_t *rows, int64_t span);

/* Removes that of a key; a failure is told and no more. */

void ctl_usage_forget(ctl_t *ctl, ak_str_t id);


/* A new key (ctl_create.c). */

typedef struct {
    uint8_t      key[AK_KEY_MADE_MAX];
    size_t       len;
    ak_str_t     id;
    ak_record_t  record;
    uint8_t      name[AK_STORE_KEY_MAX];
    ak_str_t     place;
    uint8_t      text[AK_RECORD_TEXT_MAX];
    bool         taken;
} ctl_new_key_t;

/* Checks --brand by making a key with it. */

ctl_status_e ctl_key_check_brand(const ctl_t *ctl);

/* Makes a key of new->record's fields and writes its record. */

ctl_status_e ctl_key_write(ctl_t *ctl, ctl_new_key_t *new);

/* Prints it, once; where that cannot be done, deletes its record again. */

ctl_status_e ctl_key_hand_out(ctl_t *ctl, const ctl_new_key_t *new);

/* Deletes its record again, and tells why. */

ctl_status_e ctl_key_take_back(ctl_t *ctl, const ctl_new_key_t *new,
    const char *why);


#endif /* _CTL_KEY_H_INCLUDED_ */
