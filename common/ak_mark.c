
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_mark.h"


#define AK_MARK_TEXT_MAX    20         /* bytes of a time, with its fraction */
#define AK_MARK_DIGITS_MAX  15


bool
ak_mark_claim_valid(ak_str_t s)
{
    size_t  i;

    if (s.len == 0 || s.len > AK_MARK_CLAIM_MAX) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] == 0x7f) {
            return false;
        }
    }

    return true;
}


bool
ak_mark_name_valid(ak_str_t name)
{
    return (ak_str_starts(name, ak_literal("jti:"))
            || ak_str_starts(name, ak_literal("sub:")))
           && ak_mark_claim_valid(ak_str(name.data + 4, name.len - 4));
}


ak_rc_t
ak_mark_time(ak_str_t text, int64_t *at)
{
    bool    point;
    size_t  i;

    *at = 0;

    if (text.len == 0 || text.len > AK_MARK_TEXT_MAX || text.data[0] == '.') {
        return AK_ERROR;
    }

    point = false;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '.' && !point) {
            point = true;
            continue;
        }

        if (text.data[i] < '0' || text.data[i] > '9'
            || (i == AK_MARK_DIGITS_MAX && !point))
        {
            return AK_ERROR;
        }

        if (!point) {
            *at = 10 * *at + (text.data[i] - '0');
        }
    }

    return AK_OK;
}


ak_rc_t
ak_mark_parse(const ak_field_t *fields, size_t n, ak_mark_t *mark,
    ak_diag_t *d)
{
    size_t   i;
    int64_t  at;

    mark->at = ak_str(NULL, 0);
    mark->expires = 0;

    for (i = 0; i < n; i++) {

        if (ak_str_eq(fields[i].name, ak_literal("at"))) {
            mark->at = fields[i].value;
        }
    }

    for (i = 0; i < n; i++) {

        if (ak_str_eq(fields[i].name, ak_literal("expires"))
            && ak_mark_time(fields[i].value, &mark->expires) != AK_OK)
        {
            mark->expires = 0;
            return ak_diag(d, "the member \"expires\" is no time in Unix "
                           "seconds");
        }
    }

    if (ak_mark_time(mark->at, &at) != AK_OK) {
        return ak_diag(d, "the member \"at\" is missing or no time in Unix "
                       "seconds");
    }

    return AK_OK;
}


bool
ak_mark_ended(const ak_mark_t *mark, int64_t now)
{
    return mark->expires != 0 && mark->expires <= now;
}
