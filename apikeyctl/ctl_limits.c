
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_rate.h"
#include "ak_rules.h"
#include "ctl_key.h"


ctl_limit_e
ctl_limits_check(const ak_record_t *rec, ak_diag_t *d)
{
    ak_rate_t  rate;

    if (rec->scopes.len != 0 && ak_scopes_check(rec->scopes, d) != AK_OK) {
        return CTL_LIMIT_SCOPES;
    }

    if (rec->routes.len != 0 && ak_routes_check(rec->routes, d) != AK_OK) {
        return CTL_LIMIT_ROUTES;
    }

    if (rec->ips.len != 0 && ak_cidrs_check(rec->ips, d) != AK_OK) {
        return CTL_LIMIT_IPS;
    }

    if (rec->rate.len != 0 && ak_rate_parse(rec->rate, &rate, d) != AK_OK) {
        return CTL_LIMIT_RATE;
    }

    return CTL_LIMIT_NONE;
}


bool
ctl_limits_fit(const ak_record_t *rec)
{
    bool      fits;
    size_t    len;
    uint8_t  *packed;

    packed = ctl_alloc(AK_VALUE_MAX);
    fits = (ak_record_pack(rec, packed, &len) == AK_OK);
    ctl_free(packed);

    return fits;
}


ak_rc_t
ctl_limits_meta(ak_record_t *rec, ak_str_t name, ak_str_t value, ak_diag_t *d)
{
    size_t    i;
    json_t   *text;
    unsigned  k;

    if (!ak_name_valid(name)) {
        return ak_diag(d, "\"meta\" has no valid name");
    }

    text = json_stringn((const char *) value.data, value.len);
    json_decref(text);

    if (text == NULL || value.len == 0 || value.len > CTL_META_MAX) {
        return ak_diag(d, "the value of meta \"%.*s\" is not 1 to %d bytes of "
                       "UTF-8", AK_FMT(name), CTL_META_MAX);
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f) {
            return ak_diag(d, "the value of meta \"%.*s\" has a control "
                           "character", AK_FMT(name));
        }
    }

    for (k = 0; k < rec->nmeta; k++) {
        if (ak_str_eq(rec->meta[k].name, name)) {
            return ak_diag(d, "meta \"%.*s\" is there twice", AK_FMT(name));
        }
    }

    if (rec->nmeta == AK_RECORD_META_MAX) {
        return ak_diag(d, "there are more than %d of meta",
                       AK_RECORD_META_MAX);
    }

    rec->meta[rec->nmeta].name = name;
    rec->meta[rec->nmeta].value = value;
    rec->nmeta++;

    return AK_OK;
}


/* The values joined by commas, at p, which is moved on. */

static ak_str_t
ctl_limits_join(const ctl_list_t *list, char **p)
{
    char    *begin;
    size_t   i, len;

    begin = *p;

    for (i = 0; i < list->n; i++) {

        if (i != 0) {
            *(*p)++ = ',';
        }

        len = strlen(list->values[i]);
        memcpy(*p, list->values[i], len);
        *p += len;
    }

    return ak_str(begin, (size_t) (*p - begin));
}


static size_t
ctl_limits_size(const ctl_list_t *list)
{
    size_t  i, size;

    size = 0;

    for (i = 0; i < list->n; i++) {
        size += strlen(list->values[i]) + 1;
    }

    return size;
}


ctl_status_e
ctl_limits_read(const ctl_t *ctl, ak_record_t *rec, char **text)
{
    char              *p;
    size_t             i, k;
    ak_str_t           name;
    ak_diag_t          d;
    const char        *eq, *meta;
    const ctl_list_t  *lists[] = { &ctl->scopes, &ctl->routes, &ctl->ips };

    for (i = 0; i < ak_nitems(lists); i++) {
        for (k = 0; k < lists[i]->n; k++) {
            if (*lists[i]->values[k] == '\0') {
                return ctl_usage(ctl, "--scope, --route and --ip want "
                                 "a value");
            }
        }
    }

    *text = ctl_alloc(ctl_limits_size(&ctl->scopes)
                      + ctl_limits_size(&ctl->routes)
                      + ctl_limits_size(&ctl->ips) + 1);
    p = *text;

    rec->scopes = ctl_limits_join(&ctl->scopes, &p);
    rec->routes = ctl_limits_join(&ctl->routes, &p);
    rec->ips = ctl_limits_join(&ctl->ips, &p);
    rec->rate = ak_cstr(ctl->rate);

    if (ctl_limits_check(rec, &d) != CTL_LIMIT_NONE) {
        return ctl_usage(ctl, "%s", d.text);
    }

    for (i = 0; i < ctl->meta.n; i++) {
        meta = ctl->meta.values[i];
        eq = strchr(meta, '=');

        if (eq == NULL) {
            return ctl_usage(ctl, "--meta is NAME=VALUE");
        }

        name = ak_str(meta, (size_t) (eq - meta));

        if (ctl_limits_meta(rec, name, ak_cstr(eq + 1), &d) != AK_OK) {
            return ctl_usage(ctl, "%s", d.text);
        }
    }

    if (!ctl_limits_fit(rec)) {
        return ctl_usage(ctl, "all this is too large for a record");
    }

    return CTL_DONE;
}
