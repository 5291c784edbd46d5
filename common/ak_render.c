
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <jansson.h>

#include "ak_render.h"


size_t
ak_render_body(ak_reason_e reason, uint8_t *dst)
{
    size_t             len;
    json_t            *body;
    const ak_error_t  *e;

    e = ak_error(reason);

    body = json_pack("{s:{s:s%, s:s%, s:n, s:s%}}", "error",
                     "message", e->message.data, e->message.len,
                     "type", e->type.data, e->type.len,
                     "param",
                     "code", e->code.data, e->code.len);
    if (body == NULL) {
        return 0;
    }

    len = json_dumpb(body, (char *) dst, AK_BODY_MAX, JSON_COMPACT);

    json_decref(body);

    return (len > AK_BODY_MAX) ? 0 : len;
}


ak_rc_t
ak_render_challenge(ak_str_t realm, uint8_t *dst, size_t *len, ak_diag_t *d)
{
    size_t           i;
    uint8_t         *p;
    const ak_str_t   begin = ak_string("Bearer realm=\"");
    const ak_str_t   end = ak_string("\", error=\"invalid_token\"");

    if (realm.len > AK_REALM_MAX) {
        return ak_diag(d, "is longer than %d bytes", AK_REALM_MAX);
    }

    memcpy(dst, begin.data, begin.len);
    p = dst + begin.len;

    for (i = 0; i < realm.len; i++) {
        if (realm.data[i] < 0x20 || realm.data[i] == 0x7f) {
            return ak_diag(d, "holds a control character");
        }

        if (realm.data[i] == '"' || realm.data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = realm.data[i];
    }

    memcpy(p, end.data, end.len);
    *len = p + end.len - dst;

    return AK_OK;
}
