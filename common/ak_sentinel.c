
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_sentinel.h"


#define AK_SENTINEL_HOST_MAX   253     /* RFC 1035, 2.3.4, as text */
#define AK_SENTINEL_WORDS      5       /* of a message */


static ak_rc_t ak_sentinel_take(ak_str_t text, ak_str_t number,
    ak_str_t *host, unsigned *port);


ak_rc_t
ak_sentinel_address(const ak_reply_t *reply, ak_str_t *host, unsigned *port)
{
    const ak_reply_t  *h, *p;

    if (reply == NULL || reply->type == AK_REPLY_ERROR) {
        return AK_UNAVAILABLE;
    }

    if (reply->type == AK_REPLY_NIL) {
        return AK_NOT_FOUND;
    }

    if (reply->type != AK_REPLY_ARRAY || reply->n != 2) {
        return AK_ERROR;
    }

    h = reply->elements[0];
    p = reply->elements[1];

    if (h->type != AK_REPLY_STRING || p->type != AK_REPLY_STRING) {
        return AK_ERROR;
    }

    return ak_sentinel_take(h->str, p->str, host, port);
}


ak_rc_t
ak_sentinel_switch(ak_str_t payload, ak_str_t name, ak_str_t *host,
    unsigned *port)
{
    size_t          n;
    ak_str_t        words[AK_SENTINEL_WORDS];
    const uint8_t  *p, *end, *space;

    if (payload.len == 0) {
        return AK_ERROR;
    }

    p = payload.data;
    end = p + payload.len;

    for (n = 0; /* void */ ; n++) {

        if (n == AK_SENTINEL_WORDS) {
            return AK_ERROR;
        }

        space = memchr(p, ' ', (size_t) (end - p));
        words[n] = ak_str(p, (size_t) ((space == NULL ? end : space) - p));

        if (space == NULL) {
            n++;
            break;
        }

        p = space + 1;
    }

    if (n != AK_SENTINEL_WORDS) {
        return AK_ERROR;
    }

    if (!ak_str_eq(words[0], name)) {
        return AK_NOT_FOUND;
    }

    return ak_sentinel_take(words[3], words[4], host, port);
}


ak_rc_t
ak_sentinel_role(const ak_reply_t *reply)
{
    const ak_reply_t  *role;

    if (reply == NULL || reply->type == AK_REPLY_ERROR) {
        return AK_UNAVAILABLE;
    }

    if (reply->type != AK_REPLY_ARRAY || reply->n == 0) {
        return AK_NOT_FOUND;
    }

    role = reply->elements[0];

    return role->type == AK_REPLY_STRING
           && ak_str_eq(role->str, ak_literal("master"))
           ? AK_OK : AK_NOT_FOUND;
}


static ak_rc_t
ak_sentinel_take(ak_str_t text, ak_str_t number, ak_str_t *host,
    unsigned *port)
{
    unsigned  n;

    if (text.len == 0 || text.len > AK_SENTINEL_HOST_MAX
        || !ak_str_visible(text) || !ak_str_number(number, 65535, &n)
        || n == 0)
    {
        return AK_ERROR;
    }

    *host = text;
    *port = n;

    return AK_OK;
}
