
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <strings.h>

#include "ak_claim.h"
#include "ak_json.h"


#define AK_CLAIM_PATH_MAX  256
#define AK_CLAIM_UNTOLD    SIZE_MAX    /* jansson has no memory */


/* The one member that has this name in any case, NULL: none, or several. */

static const json_t *
ak_claim_member(const json_t *object, ak_str_t name)
{
    json_t      *value, *found;
    const char  *key;

    found = NULL;

    json_object_foreach((json_t *) object, key, value) {

        if (strlen(key) != name.len
            || strncasecmp(key, (const char *) name.data, name.len) != 0)
        {
            continue;
        }

        if (found != NULL) {
            return NULL;
        }

        found = value;
    }

    return found;
}


static const json_t *
ak_claim_any_case(const json_t *object, ak_str_t path)
{
    ak_str_t        name;
    const uint8_t  *dot;

    for ( ;; ) {
        name = path;
        dot = memchr(path.data, '.', path.len);

        if (dot != NULL) {
            name.len = (size_t) (dot - path.data);
        }

        object = ak_claim_member(object, name);

        if (object == NULL || dot == NULL) {
            return object;
        }

        path = ak_str(dot + 1, path.len - name.len - 1);
    }
}


static const json_t *
ak_claim_find(const json_t *root, ak_str_t path)
{
    size_t         i, n;
    char           dotted[AK_CLAIM_PATH_MAX];
    const json_t  *claim;

    claim = ak_json_path(root, path);

    if (claim != NULL || path.len == 0 || path.len > AK_CLAIM_PATH_MAX) {
        return claim;
    }

    for (i = 0, n = 0; i < path.len; i++) {

        if (path.data[i] == '_' && i + 1 < path.len
            && path.data[i + 1] == '_')
        {
            dotted[n++] = '.';
            i++;
            continue;
        }

        dotted[n++] = (char) path.data[i];
    }

    claim = ak_json_path(root, ak_str(dotted, n));

    return (claim != NULL) ? claim : ak_claim_any_case(root,
                                                       ak_str(dotted, n));
}


/* Whether a list can be told with commas: of strings without, and numbers. */

static bool
ak_claim_plain(const json_t *claim)
{
    size_t   i;
    json_t  *item;

    if (!json_is_array(claim) || json_array_size(claim) == 0) {
        return false;
    }

    json_array_foreach(claim, i, item) {

        if (json_is_string(item)
            && strchr(json_string_value(item), ',') == NULL)
        {
            continue;
        }

        if (!json_is_number(item)) {
            return false;
        }
    }

    return true;
}


/* What it takes to tell; written to dst where that is not NULL. */

static size_t
ak_claim_item(const json_t *item, char *dst, size_t room)
{
    size_t  len;

    if (!json_is_string(item)) {
        len = json_dumpb(item, dst, room, JSON_COMPACT|JSON_ENCODE_ANY);
        return (len == 0) ? AK_CLAIM_UNTOLD : len;
    }

    len = json_string_length(item);

    if (dst != NULL) {
        memcpy(dst, json_string_value(item), len);
    }

    return len;
}


static size_t
ak_claim_tell(const json_t *claim, char *dst, size_t room)
{
    size_t   i, len, n;
    json_t  *item;

    if (!ak_claim_plain(claim)) {
        return ak_claim_item(claim, dst, room);
    }

    len = 0;

    json_array_foreach(claim, i, item) {

        if (i != 0) {
            if (dst != NULL) {
                dst[len] = ',';
            }

            len++;
        }

        n = ak_claim_item(item, dst == NULL ? NULL : dst + len,
                          dst == NULL ? 0 : room - len);

        if (n == AK_CLAIM_UNTOLD) {
            return AK_CLAIM_UNTOLD;
        }

        len += n;
    }

    return len;
}


ak_rc_t
ak_claim(ak_str_t claims, ak_str_t path, ak_mem_t *mem, ak_str_t *value)
{
    char          *p;
    size_t         i, len;
    ak_rc_t        rc;
    json_t        *root;
    const json_t  *claim;

    root = (claims.len == 0) ? NULL : ak_json_object(claims);
    claim = (root == NULL) ? NULL : ak_claim_find(root, path);

    rc = AK_NOT_FOUND;

    if (claim == NULL || json_is_null(claim)) {
        goto done;
    }

    len = ak_claim_tell(claim, NULL, 0);
    p = (len == AK_CLAIM_UNTOLD) ? NULL : mem->alloc(mem->data, len + 1);

    if (p == NULL || ak_claim_tell(claim, p, len) != len) {
        rc = AK_NO_MEMORY;
        goto done;
    }

    for (i = 0; i < len; i++) {
        if ((uint8_t) p[i] < 0x20 || p[i] == 0x7f) {
            goto done;
        }
    }

    *value = ak_str(p, len);
    rc = AK_OK;

done:

    json_decref(root);

    return rc;
}
