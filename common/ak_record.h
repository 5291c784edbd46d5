
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_RECORD_H_INCLUDED_
#define _AK_RECORD_H_INCLUDED_


#include "ak_diag.h"
#include "ak_hash.h"
#include "ak_view.h"


/*
 * What a store holds of a client key: fields "hash owner name status created
 * expires scopes routes ips rate replaced_by" and "meta.*".
 *
 * A record has two forms: fields, as a store keeps them, and packed, as
 * caches do; packed records are made by this library in this process's byte
 * order and never leave the machine.
 */

#define AK_RECORD_META_MAX    16
#define AK_RECORD_FIELDS_MAX  (16 + AK_RECORD_META_MAX)


typedef enum {
    AK_STATUS_ACTIVE = 1,
    AK_STATUS_DISABLED,
    AK_STATUS_REVOKED
} ak_status_e;


/* The strings are views of what the record was read from. */

typedef struct {
    ak_hash_t    hash;
    uint8_t      status;               /* ak_status_e */
    int64_t      created;              /* Unix seconds */
    int64_t      expires;              /* Unix seconds; 0: never */
    ak_str_t     owner;
    ak_str_t     name;
    ak_str_t     scopes;
    ak_str_t     routes;
    ak_str_t     ips;
    ak_str_t     rate;
    ak_str_t     replaced_by;
    unsigned     nmeta;
    ak_field_t   meta[AK_RECORD_META_MAX];     /* names without "meta." */
} ak_record_t;


/*
 * Reads fields.  Strict: a hash of an unknown algorithm, an unknown status,
 * a number that is none, an owner or hash that is missing or a name beyond its
 * length is AK_ERROR, and the diagnostic names the field (never its value).
 * A field that is unknown is passed over: a newer version may have put
 * it there.
 */

ak_rc_t ak_record_parse(const ak_field_t *fields, size_t n, ak_record_t *rec,
    ak_diag_t *d);

/*
 * Writes the fields of a record, in the order above, those that are empty
 * left out, at most AK_RECORD_FIELDS_MAX.  Numbers and the hash are written to
 * text, meta names too; the other values are the record's own.
 */

#define AK_RECORD_TEXT_MAX  (AK_HASH_TEXT_MAX + 64 \
                             + AK_RECORD_META_MAX * (AK_NAME_MAX + 8))

size_t ak_record_fields(const ak_record_t *rec, ak_field_t *fields,
    uint8_t text[AK_RECORD_TEXT_MAX]);

/*
 * Packs a record into dst, which has room for AK_VALUE_MAX bytes, and sets
 * *len.  AK_ERROR: it does not fit.
 */

ak_rc_t ak_record_pack(const ak_record_t *rec, uint8_t *dst, size_t *len);

/* AK_ERROR: not what ak_record_pack() wrote.  Strings point into packed. */

ak_rc_t ak_record_unpack(ak_str_t packed, ak_record_t *rec);

/*
 * The value of a packed record's meta field, name without "meta.";
 * a NULL data where there is none.
 */

ak_str_t ak_record_meta(const ak_record_t *rec, ak_str_t name);

/* "active", "disabled", "revoked"; "" for what is none of them. */

ak_str_t ak_record_status_name(ak_status_e status);

/*
 * Whether s can be an owner, a key's name or a slot: 1 to AK_NAME_MAX bytes of
 * visible ASCII or UTF-8 beyond it, no space at the ends, no control
 * character.  "*" is no owner of a record: it names the shared keys.
 */

bool ak_name_valid(ak_str_t s);


#endif /* _AK_RECORD_H_INCLUDED_ */
