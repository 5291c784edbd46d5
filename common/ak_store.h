
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_STORE_H_INCLUDED_
#define _AK_STORE_H_INCLUDED_


#include "ak_diag.h"
#include "ak_mem.h"
#include "ak_record.h"
#include "ak_resp.h"
#include "ak_store_conf.h"


/*
 * Reads the password from a file: its first line, at most 512 bytes to dst,
 * which the caller wipes; *len is set.  Refused as ak_keyring_load() does.
 */

#define AK_PASSWORD_MAX  512

ak_rc_t ak_store_password(const char *path, uint8_t *dst, size_t *len,
    ak_diag_t *d);

/*
 * The store's names: <prefix>key:<id>, <prefix>upstream:<owner>:<provider>, and
 * those of marks, <prefix>revoked:jti:<jti> and <prefix>revoked:sub:<sub>, of
 * which what is behind the prefix is passed.
 * They are written to dst of AK_STORE_KEY_MAX bytes; AK_ERROR: too long.
 */

#define AK_STORE_KEY_MAX  512

ak_rc_t ak_store_record_key(const ak_store_conf_t *conf, ak_str_t id,
    uint8_t *dst, ak_str_t *key);
ak_rc_t ak_store_tokens_key(const ak_store_conf_t *conf, ak_str_t owner,
    ak_str_t provider, uint8_t *dst, ak_str_t *key);
ak_rc_t ak_store_mark_key(const ak_store_conf_t *conf, ak_str_t name,
    uint8_t *dst, ak_str_t *key);

/*
 * The Pub/Sub channel to which apikeyctl publishes the name of each key that
 * it has changed, after the change: <prefix>changed.  The message is the whole
 * name, with the prefix.  dst as above.
 */

ak_rc_t ak_store_channel(const ak_store_conf_t *conf, uint8_t *dst,
    ak_str_t *channel);

/*
 * Where the usage of a key is: it never begins with the prefix, which caches
 * watch.  The ":" that ends the prefix is replaced by "-usage:" (apikey:,
 * apikey-usage:<id>).  Where none ends it, it is -usage:<prefix>:<id>, or
 * usage:<prefix>:<id> for a prefix that begins with "-".
 */

ak_rc_t ak_store_usage_key(const ak_store_conf_t *conf, ak_str_t id,
    uint8_t *dst, ak_str_t *key);

/*
 * The fields of an HGETALL reply.  AK_NOT_FOUND: the reply is an empty array.
 * AK_UNAVAILABLE: no reply, or the server answered with an error.  AK_ERROR:
 * a reply of another shape, beyond max, or the error that the key holds no
 * hash (WRONGTYPE): that one key is damaged.
 */

ak_rc_t ak_store_fields(const ak_reply_t *reply, ak_field_t *fields,
    size_t max, size_t *n);

/*
 * The text of a GET reply, likewise.  AK_NOT_FOUND: there is none.  AK_ERROR:
 * there is something that is no text.
 */

ak_rc_t ak_store_text(const ak_reply_t *reply, ak_str_t *text);

/*
 * The usage of a key, of an HGETALL reply likewise.  AK_NOT_FOUND: it was not
 * used.  What is no number is as if it were not there.
 */

#define AK_USAGE_REQUESTS   "requests"
#define AK_USAGE_LAST_USED  "last_used"

#define AK_USAGE_FIELDS_MAX  16

typedef struct {
    int64_t  requests;
    int64_t  last_used;                /* Unix seconds; 0: it is not known */
} ak_usage_t;

ak_rc_t ak_store_usage(const ak_reply_t *reply, ak_usage_t *usage);


#endif /* _AK_STORE_H_INCLUDED_ */
