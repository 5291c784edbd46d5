
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_tokens.h"


/* A packed slot: its sizes, its name, its token. */

typedef struct {
    uint16_t  name;
    uint16_t  sealed;
} ak_slot_head_t;


bool
ak_slot_valid(ak_str_t s)
{
    size_t   i;
    uint8_t  ch;

    if (s.len == 0 || s.len > 64) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9')
              || ch == '.' || ch == '_' || ch == '-'))
        {
            return false;
        }
    }

    return true;
}


static int
ak_slot_cmp(ak_str_t a, ak_str_t b)
{
    int  rc;

    rc = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}


/* The fields with valid names by name, into order; at most AK_SLOTS_MAX. */

static size_t
ak_tokens_sort(const ak_field_t *fields, size_t n, const ak_field_t **order)
{
    size_t  i, j, count;

    count = 0;

    for (i = 0; i < n; i++) {
        if (!ak_slot_valid(fields[i].name)) {
            continue;
        }

        for (j = count; j > 0; j--) {
            if (ak_slot_cmp(order[j - 1]->name, fields[i].name) <= 0) {
                break;
            }

            order[j] = order[j - 1];
        }

        order[j] = &fields[i];
        count++;
    }

    return count;
}


ak_rc_t
ak_tokens_pack(const ak_field_t *fields, size_t n, uint8_t *dst, size_t *len,
    unsigned *damaged)
{
    size_t             i, count, sealed_len;
    uint8_t           *p, sealed[AK_SEALED_MAX];
    ak_slot_head_t     head;
    const ak_field_t  *order[AK_SLOTS_MAX], *f;

    if (n > AK_SLOTS_MAX) {
        return AK_ERROR;
    }

    p = dst;
    count = ak_tokens_sort(fields, n, order);
    *damaged = (unsigned) (n - count);

    for (i = 0; i < count; i++) {
        f = order[i];

        if (ak_seal_decode(f->value, sealed, &sealed_len) != AK_OK) {
            sealed_len = 0;
            (*damaged)++;
        }

        if (sizeof(head) + f->name.len + sealed_len
            > AK_VALUE_MAX - (size_t) (p - dst))
        {
            return AK_ERROR;
        }

        head.name = (uint16_t) f->name.len;
        head.sealed = (uint16_t) sealed_len;

        memcpy(p, &head, sizeof(head));
        p += sizeof(head);
        memcpy(p, f->name.data, f->name.len);
        p += f->name.len;
        memcpy(p, sealed, sealed_len);
        p += sealed_len;
    }

    *len = p - dst;

    return AK_OK;
}


ak_rc_t
ak_tokens_next(ak_str_t packed, size_t *pos, ak_slot_t *slot)
{
    size_t           rest;
    ak_slot_head_t   head;
    const uint8_t   *p;

    if (*pos == packed.len) {
        return AK_NOT_FOUND;
    }

    if (*pos > packed.len || packed.len - *pos < sizeof(head)) {
        return AK_ERROR;
    }

    p = packed.data + *pos;
    memcpy(&head, p, sizeof(head));
    p += sizeof(head);

    rest = packed.len - *pos - sizeof(head);

    if (rest < (size_t) head.name + head.sealed
        || (head.sealed != 0 && head.sealed <= AK_SEALED_MIN))
    {
        return AK_ERROR;
    }

    slot->name = ak_str(p, head.name);
    slot->sealed = ak_str(p + head.name, head.sealed);

    *pos += sizeof(head) + head.name + head.sealed;

    return AK_OK;
}
