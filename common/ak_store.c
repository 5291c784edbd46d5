
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_file.h"
#include "ak_key.h"
#include "ak_mem.h"
#include "ak_store.h"


#define AK_STORE_PROVIDER_MAX  64
#define AK_STORE_FILE_MAX      4096       /* bytes of a password file */


static bool ak_store_provider_valid(ak_str_t s);
static ak_rc_t ak_store_join(const ak_str_t *parts, size_t n, uint8_t *dst,
    ak_str_t *key);


ak_rc_t
ak_store_password(const char *path, uint8_t *dst, size_t *len, ak_diag_t *d)
{
    size_t    n, end;
    ak_rc_t   rc;
    uint8_t  *lf, text[AK_STORE_FILE_MAX];

    *len = 0;

    if (ak_file_secret(path, text, sizeof(text), &n, d) != AK_OK) {
        return AK_ERROR;
    }

    lf = memchr(text, '\n', n);
    end = (lf == NULL) ? n : (size_t) (lf - text);

    if (end > 0 && text[end - 1] == '\r') {
        end--;
    }

    if (end == 0) {
        rc = ak_diag(d, "\"%s\" has no password in its first line", path);

    } else if (end > AK_PASSWORD_MAX) {
        rc = ak_diag(d, "the password in \"%s\" is longer than %d bytes",
                     path, AK_PASSWORD_MAX);

    } else {
        memcpy(dst, text, end);
        *len = end;
        rc = AK_OK;
    }

    ak_mem_wipe(text, sizeof(text));

    return rc;
}


ak_rc_t
ak_store_record_key(const ak_store_conf_t *conf, ak_str_t id, uint8_t *dst,
    ak_str_t *key)
{
    ak_str_t  parts[3];

    if (!ak_key_id_valid(id)) {
        return AK_ERROR;
    }

    parts[0] = conf->prefix;
    parts[1] = ak_literal("key:");
    parts[2] = id;

    return ak_store_join(parts, 3, dst, key);
}


ak_rc_t
ak_store_mark_key(const ak_store_conf_t *conf, ak_str_t name, uint8_t *dst,
    ak_str_t *key)
{
    ak_str_t  parts[2];

    parts[0] = conf->prefix;
    parts[1] = name;

    return ak_store_join(parts, 2, dst, key);
}


ak_rc_t
ak_store_channel(const ak_store_conf_t *conf, uint8_t *dst, ak_str_t *channel)
{
    return ak_store_mark_key(conf, ak_literal("changed"), dst, channel);
}


ak_rc_t
ak_store_usage_key(const ak_store_conf_t *conf, ak_str_t id, uint8_t *dst,
    ak_str_t *key)
{
    ak_str_t  prefix, parts[4];

    prefix = conf->prefix;

    if (prefix.len == 0 || !ak_key_id_valid(id)) {
        return AK_ERROR;
    }

    if (prefix.data[prefix.len - 1] == ':') {
        parts[0] = ak_str(prefix.data, prefix.len - 1);
        parts[1] = ak_literal("-usage:");
        parts[2] = id;

        return ak_store_join(parts, 3, dst, key);
    }

    parts[0] = (prefix.data[0] == '-') ? ak_literal("usage:")
                                       : ak_literal("-usage:");
    parts[1] = prefix;
    parts[2] = ak_literal(":");
    parts[3] = id;

    return ak_store_join(parts, 4, dst, key);
}


/*
 * An owner may hold ":" and a provider may not: the last ":" parts them, and
 * no two pairs have one key.
 */

ak_rc_t
ak_store_tokens_key(const ak_store_conf_t *conf, ak_str_t owner,
    ak_str_t provider, uint8_t *dst, ak_str_t *key)
{
    ak_str_t  parts[5];

    if (!ak_str_eq(owner, ak_literal("*")) && !ak_name_valid(owner)) {
        return AK_ERROR;
    }

    if (!ak_store_provider_valid(provider)) {
        return AK_ERROR;
    }

    parts[0] = conf->prefix;
    parts[1] = ak_literal("upstream:");
    parts[2] = owner;
    parts[3] = ak_literal(":");
    parts[4] = provider;

    return ak_store_join(parts, 5, dst, key);
}


static bool
ak_store_provider_valid(ak_str_t s)
{
    size_t   i;
    uint8_t  c;

    if (s.len == 0 || s.len > AK_STORE_PROVIDER_MAX) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if ((c < '0' || c > '9') && ((c | 0x20) < 'a' || (c | 0x20) > 'z')
            && c != '-' && c != '_' && c != '.')
        {
            return false;
        }
    }

    return true;
}


static ak_rc_t
ak_store_join(const ak_str_t *parts, size_t n, uint8_t *dst, ak_str_t *key)
{
    size_t  i, len;

    len = 0;

    for (i = 0; i < n; i++) {

        if (parts[i].len > AK_STORE_KEY_MAX - len) {
            return AK_ERROR;
        }

        if (parts[i].len > 0) {
            memcpy(dst + len, parts[i].data, parts[i].len);
            len += parts[i].len;
        }
    }

    *key = ak_str(dst, len);

    return AK_OK;
}


ak_rc_t
ak_store_fields(const ak_reply_t *reply, ak_field_t *fields, size_t max,
    size_t *n)
{
    size_t             i;
    const ak_reply_t  *name, *value;

    *n = 0;

    if (reply == NULL) {
        return AK_UNAVAILABLE;
    }

    if (reply->type == AK_REPLY_ERROR) {
        return ak_str_starts(reply->str, ak_literal("WRONGTYPE "))
               ? AK_ERROR : AK_UNAVAILABLE;
    }

    if (reply->type != AK_REPLY_ARRAY || reply->n % 2 != 0
        || reply->n / 2 > max)
    {
        return AK_ERROR;
    }

    if (reply->n == 0) {
        return AK_NOT_FOUND;
    }

    for (i = 0; i < reply->n; i += 2) {
        name = reply->elements[i];
        value = reply->elements[i + 1];

        if (name->type != AK_REPLY_STRING || value->type != AK_REPLY_STRING) {
            return AK_ERROR;
        }

        fields[i / 2].name = name->str;
        fields[i / 2].value = value->str;
    }

    *n = reply->n / 2;

    return AK_OK;
}


ak_rc_t
ak_store_text(const ak_reply_t *reply, ak_str_t *text)
{
    *text = ak_str(NULL, 0);

    if (reply == NULL) {
        return AK_UNAVAILABLE;
    }

    switch (reply->type) {

    case AK_REPLY_STRING:
        *text = reply->str;
        return AK_OK;

    case AK_REPLY_NIL:
        return AK_NOT_FOUND;

    case AK_REPLY_ERROR:
        return ak_str_starts(reply->str, ak_literal("WRONGTYPE "))
               ? AK_ERROR : AK_UNAVAILABLE;

    default:
        return AK_ERROR;
    }
}


/* Digits alone, at most 18 of them; anything else is 0. */

static int64_t
ak_store_count(ak_str_t s)
{
    size_t   i;
    int64_t  n;

    n = 0;

    if (s.len > 18) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }

        n = n * 10 + (s.data[i] - '0');
    }

    return n;
}


ak_rc_t
ak_store_usage(const ak_reply_t *reply, ak_usage_t *usage)
{
    size_t      i, n;
    ak_rc_t     rc;
    ak_field_t  fields[AK_USAGE_FIELDS_MAX];

    memset(usage, 0, sizeof(ak_usage_t));

    rc = ak_store_fields(reply, fields, AK_USAGE_FIELDS_MAX, &n);

    if (rc != AK_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        if (ak_str_eq(fields[i].name, ak_literal(AK_USAGE_REQUESTS))) {
            usage->requests = ak_store_count(fields[i].value);

        } else if (ak_str_eq(fields[i].name,
                             ak_literal(AK_USAGE_LAST_USED)))
        {
            usage->last_used = ak_store_count(fields[i].value);
        }
    }

    return AK_OK;
}
