
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_verified.h"


#define AK_VERIFIED_TEXTS  6


typedef struct {
    ak_jwt_times_t  times;
    uint8_t         key[AK_JWS_ID_LEN];
    uint32_t        sizes[AK_VERIFIED_TEXTS];
} ak_verified_head_t;


static ak_str_t *
ak_verified_text(ak_verified_t *v, size_t n)
{
    ak_str_t  *texts[AK_VERIFIED_TEXTS] = {
        &v->alg, &v->record, &v->claims, &v->jti, &v->sub, &v->user
    };

    return texts[n];
}


size_t
ak_verified_size(const ak_verified_t *v)
{
    return sizeof(ak_verified_head_t) + v->alg.len + v->record.len
           + v->claims.len + v->jti.len + v->sub.len + v->user.len;
}


void
ak_verified_pack(const ak_verified_t *v, uint8_t *dst)
{
    size_t              i;
    ak_str_t            s;
    ak_verified_t       copy = *v;
    ak_verified_head_t  head;

    memset(&head, 0, sizeof(ak_verified_head_t));
    head.times = v->times;
    memcpy(head.key, v->key, AK_JWS_ID_LEN);

    for (i = 0; i < AK_VERIFIED_TEXTS; i++) {
        head.sizes[i] = (uint32_t) ak_verified_text(&copy, i)->len;
    }

    memcpy(dst, &head, sizeof(ak_verified_head_t));
    dst += sizeof(ak_verified_head_t);

    for (i = 0; i < AK_VERIFIED_TEXTS; i++) {
        s = *ak_verified_text(&copy, i);

        if (s.len != 0) {
            memcpy(dst, s.data, s.len);
            dst += s.len;
        }
    }
}


ak_rc_t
ak_verified_unpack(ak_str_t packed, ak_verified_t *v)
{
    size_t              i, left;
    const uint8_t      *p;
    ak_verified_head_t  head;

    if (packed.len < sizeof(ak_verified_head_t)) {
        return AK_ERROR;
    }

    memcpy(&head, packed.data, sizeof(ak_verified_head_t));

    v->times = head.times;
    memcpy(v->key, head.key, AK_JWS_ID_LEN);

    p = packed.data + sizeof(ak_verified_head_t);
    left = packed.len - sizeof(ak_verified_head_t);

    for (i = 0; i < AK_VERIFIED_TEXTS; i++) {

        if (head.sizes[i] > left) {
            return AK_ERROR;
        }

        *ak_verified_text(v, i) = ak_str(p, head.sizes[i]);

        p += head.sizes[i];
        left -= head.sizes[i];
    }

    return (left == 0) ? AK_OK : AK_ERROR;
}
