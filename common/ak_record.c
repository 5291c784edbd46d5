
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <inttypes.h>
#include <stdio.h>

#include "ak_record.h"


/* What a packed record begins with; the strings and the meta fields follow. */

#define AK_PACKED_STRINGS  7


typedef struct {
    uint8_t    version;
    uint8_t    status;
    uint8_t    nmeta;
    ak_hash_t  hash;
    uint16_t   sizes[AK_PACKED_STRINGS];
    int64_t    created;
    int64_t    expires;
} ak_packed_t;


#define AK_PACKED_VERSION  2


static const ak_str_t  ak_status_names[] = {
    [AK_STATUS_ACTIVE] = ak_string("active"),
    [AK_STATUS_DISABLED] = ak_string("disabled"),
    [AK_STATUS_REVOKED] = ak_string("revoked")
};


/* The fields that are strings and no more. */

typedef struct {
    ak_str_t  name;
    size_t    offset;
} ak_text_field_t;


#define ak_text_field(field)                                                 \
    { ak_string(#field), offsetof(ak_record_t, field) }


static const ak_text_field_t  ak_text_fields[] = {
    ak_text_field(owner),
    ak_text_field(name),
    ak_text_field(scopes),
    ak_text_field(routes),
    ak_text_field(ips),
    ak_text_field(rate),
    ak_text_field(replaced_by)
};


_Static_assert(ak_nitems(ak_text_fields) == AK_PACKED_STRINGS,
               "a size for every string");


#define ak_text_of(rec, i)                                                   \
    ((ak_str_t *) ((char *) (rec) + ak_text_fields[i].offset))


static const ak_str_t  ak_meta_prefix = ak_string("meta.");


bool
ak_name_valid(ak_str_t s)
{
    size_t  i;

    if (s.len == 0 || s.len > AK_NAME_MAX
        || s.data[0] == ' ' || s.data[s.len - 1] == ' ')
    {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] == 0x7f) {
            return false;
        }
    }

    return true;
}


ak_str_t
ak_record_status_name(ak_status_e status)
{
    if ((unsigned) status >= ak_nitems(ak_status_names)) {
        return ak_literal("");
    }

    return ak_status_names[status];
}


static ak_rc_t
ak_record_status(ak_str_t value, uint8_t *status)
{
    uint8_t  i;

    for (i = AK_STATUS_ACTIVE; i < ak_nitems(ak_status_names); i++) {
        if (ak_str_eq(value, ak_status_names[i])) {
            *status = i;
            return AK_OK;
        }
    }

    return AK_ERROR;
}


/* Unix seconds: digits alone, at most 12 of them, which is the year 33658. */

static ak_rc_t
ak_record_seconds(ak_str_t value, int64_t *seconds)
{
    size_t   i;
    int64_t  n;

    if (value.len == 0 || value.len > 12) {
        return AK_ERROR;
    }

    n = 0;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return AK_ERROR;
        }

        n = n * 10 + (value.data[i] - '0');
    }

    *seconds = n;

    return AK_OK;
}


static ak_rc_t
ak_record_meta_field(ak_record_t *rec, const ak_field_t *f, ak_diag_t *d)
{
    ak_field_t  *meta;

    if (rec->nmeta == AK_RECORD_META_MAX) {
        return ak_diag(d, "there are more than %d fields \"meta.*\"",
                       AK_RECORD_META_MAX);
    }

    meta = &rec->meta[rec->nmeta];

    meta->name = ak_str(f->name.data + ak_meta_prefix.len,
                        f->name.len - ak_meta_prefix.len);
    meta->value = f->value;

    if (!ak_name_valid(meta->name)) {
        return ak_diag(d, "a field \"meta.*\" has no valid name");
    }

    rec->nmeta++;

    return AK_OK;
}


static ak_rc_t
ak_record_field(ak_record_t *rec, const ak_field_t *f, ak_diag_t *d)
{
    size_t   i;
    ak_rc_t  rc;

    rc = AK_OK;

    if (ak_str_eq(f->name, ak_literal("hash"))) {
        rc = ak_hash_parse(f->value, &rec->hash);

    } else if (ak_str_eq(f->name, ak_literal("status"))) {
        rc = ak_record_status(f->value, &rec->status);

    } else if (ak_str_eq(f->name, ak_literal("created"))) {
        rc = ak_record_seconds(f->value, &rec->created);

    } else if (ak_str_eq(f->name, ak_literal("expires"))) {
        rc = ak_record_seconds(f->value, &rec->expires);

    } else if (ak_str_starts(f->name, ak_meta_prefix)) {
        return ak_record_meta_field(rec, f, d);

    } else {
        for (i = 0; i < ak_nitems(ak_text_fields); i++) {
            if (ak_str_eq(f->name, ak_text_fields[i].name)) {
                *ak_text_of(rec, i) = f->value;
            }
        }
    }

    if (rc != AK_OK) {
        return ak_diag(d, "the field \"%.*s\" is invalid", AK_FMT(f->name));
    }

    return AK_OK;
}


ak_rc_t
ak_record_parse(const ak_field_t *fields, size_t n, ak_record_t *rec,
    ak_diag_t *d)
{
    size_t  i;

    memset(rec, 0, sizeof(ak_record_t));

    for (i = 0; i < n; i++) {
        if (ak_record_field(rec, &fields[i], d) != AK_OK) {
            return AK_ERROR;
        }
    }

    if (rec->hash.alg == 0) {
        return ak_diag(d, "there is no field \"hash\"");
    }

    if (rec->status == 0) {
        return ak_diag(d, "there is no field \"status\"");
    }

    if (!ak_name_valid(rec->owner) || ak_str_eq(rec->owner, ak_literal("*"))) {
        return ak_diag(d, "the field \"owner\" is missing or invalid");
    }

    if (rec->name.len != 0 && !ak_name_valid(rec->name)) {
        return ak_diag(d, "the field \"name\" is invalid");
    }

    return AK_OK;
}


static void
ak_record_put(ak_field_t *fields, size_t *n, ak_str_t name, ak_str_t value)
{
    if (value.len != 0) {
        fields[*n].name = name;
        fields[*n].value = value;
        (*n)++;
    }
}


static ak_str_t
ak_record_put_seconds(uint8_t **text, int64_t seconds)
{
    int       n;
    ak_str_t  s;

    n = snprintf((char *) *text, 24, "%" PRId64, seconds);
    s = ak_str(*text, (size_t) n);
    *text += n;

    return s;
}


size_t
ak_record_fields(const ak_record_t *rec, ak_field_t *fields,
    uint8_t text[AK_RECORD_TEXT_MAX])
{
    size_t     i, n;
    uint8_t   *p;
    ak_str_t   s;

    n = 0;
    p = text;

    s = ak_str(p, ak_hash_format(&rec->hash, p));
    p += s.len;

    ak_record_put(fields, &n, ak_literal("hash"), s);
    ak_record_put(fields, &n, ak_literal("owner"), rec->owner);
    ak_record_put(fields, &n, ak_literal("name"), rec->name);
    ak_record_put(fields, &n, ak_literal("status"),
                  ak_record_status_name((ak_status_e) rec->status));
    ak_record_put(fields, &n, ak_literal("created"),
                  ak_record_put_seconds(&p, rec->created));
    ak_record_put(fields, &n, ak_literal("expires"),
                  ak_record_put_seconds(&p, rec->expires));

    /* the first two, owner and name, have been put above */

    for (i = 2; i < ak_nitems(ak_text_fields); i++) {
        ak_record_put(fields, &n, ak_text_fields[i].name,
                      *ak_text_of(rec, i));
    }

    for (i = 0; i < rec->nmeta; i++) {
        s = ak_str(p, ak_meta_prefix.len + rec->meta[i].name.len);

        memcpy(p, ak_meta_prefix.data, ak_meta_prefix.len);
        memcpy(p + ak_meta_prefix.len, rec->meta[i].name.data,
               rec->meta[i].name.len);
        p += s.len;

        ak_record_put(fields, &n, s, rec->meta[i].value);
    }

    return n;
}


/* NULL: it does not fit */

static uint8_t *
ak_record_pack_str(uint8_t *p, const uint8_t *end, ak_str_t s)
{
    uint16_t  len;

    if (p == NULL || s.len > UINT16_MAX
        || (size_t) (end - p) < sizeof(len) + s.len)
    {
        return NULL;
    }

    len = (uint16_t) s.len;

    memcpy(p, &len, sizeof(len));
    p += sizeof(len);

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    return p + s.len;
}


ak_rc_t
ak_record_pack(const ak_record_t *rec, uint8_t *dst, size_t *len)
{
    size_t        i;
    uint8_t      *p, *end;
    ak_str_t      s;
    ak_packed_t   head;

    memset(&head, 0, sizeof(ak_packed_t));

    head.version = AK_PACKED_VERSION;
    head.status = rec->status;
    head.nmeta = (uint8_t) rec->nmeta;
    head.hash = rec->hash;
    head.created = rec->created;
    head.expires = rec->expires;

    p = dst + sizeof(ak_packed_t);
    end = dst + AK_VALUE_MAX;

    for (i = 0; i < AK_PACKED_STRINGS; i++) {
        s = *ak_text_of(rec, i);

        if (s.len > (size_t) (end - p)) {
            return AK_ERROR;
        }

        if (s.len != 0) {
            memcpy(p, s.data, s.len);
        }

        head.sizes[i] = (uint16_t) s.len;
        p += s.len;
    }

    memcpy(dst, &head, sizeof(ak_packed_t));

    for (i = 0; i < rec->nmeta; i++) {
        p = ak_record_pack_str(p, end, rec->meta[i].name);
        p = ak_record_pack_str(p, end, rec->meta[i].value);
    }

    if (p == NULL) {
        return AK_ERROR;
    }

    *len = p - dst;

    return AK_OK;
}


static ak_rc_t
ak_record_unpack_str(ak_str_t *rest, ak_str_t *s)
{
    uint16_t  len;

    if (rest->len < sizeof(len)) {
        return AK_ERROR;
    }

    memcpy(&len, rest->data, sizeof(len));

    if (rest->len - sizeof(len) < len) {
        return AK_ERROR;
    }

    *s = ak_str(rest->data + sizeof(len), len);

    rest->data += sizeof(len) + len;
    rest->len -= sizeof(len) + len;

    return AK_OK;
}


ak_rc_t
ak_record_unpack(ak_str_t packed, ak_record_t *rec)
{
    size_t       i;
    ak_str_t     rest;
    ak_packed_t  head;

    if (packed.len < sizeof(ak_packed_t)) {
        return AK_ERROR;
    }

    memcpy(&head, packed.data, sizeof(ak_packed_t));

    if (head.version != AK_PACKED_VERSION || head.nmeta > AK_RECORD_META_MAX) {
        return AK_ERROR;
    }

    rec->hash = head.hash;
    rec->status = head.status;
    rec->created = head.created;
    rec->expires = head.expires;
    rec->nmeta = head.nmeta;

    rest = ak_str(packed.data + sizeof(ak_packed_t),
                  packed.len - sizeof(ak_packed_t));

    for (i = 0; i < AK_PACKED_STRINGS; i++) {

        if (head.sizes[i] > rest.len) {
            return AK_ERROR;
        }

        *ak_text_of(rec, i) = ak_str(rest.data, head.sizes[i]);

        rest.data += head.sizes[i];
        rest.len -= head.sizes[i];
    }

    for (i = 0; i < rec->nmeta; i++) {
        if (ak_record_unpack_str(&rest, &rec->meta[i].name) != AK_OK
            || ak_record_unpack_str(&rest, &rec->meta[i].value) != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return (rest.len == 0) ? AK_OK : AK_ERROR;
}


ak_str_t
ak_record_meta(const ak_record_t *rec, ak_str_t name)
{
    unsigned  i;

    for (i = 0; i < rec->nmeta; i++) {
        if (ak_str_eq(rec->meta[i].name, name)) {
            return rec->meta[i].value;
        }
    }

    return ak_str(NULL, 0);
}
