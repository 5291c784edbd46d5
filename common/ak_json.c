
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_json.h"


/* jansson would follow 2048 levels; strings may hold brackets. */

static bool
ak_json_deep(ak_str_t text)
{
    bool      string;
    size_t    i;
    unsigned  depth;

    string = false;
    depth = 0;

    for (i = 0; i < text.len; i++) {

        switch (text.data[i]) {

        case '\\':
            i += string;
            break;

        case '"':
            string = !string;
            break;

        case '{':
        case '[':
            if (!string && ++depth > AK_JSON_DEPTH_MAX) {
                return true;
            }

            break;

        case '}':
        case ']':
            depth -= (!string && depth != 0);
            break;

        default:
            break;
        }
    }

    return false;
}


json_t *
ak_json_object(ak_str_t text)
{
    json_t  *value;

    if (text.len == 0 || ak_json_deep(text)) {
        return NULL;
    }

    value = json_loadb((const char *) text.data, text.len,
                       JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(value)) {
        json_decref(value);
        return NULL;
    }

    return value;
}


ak_str_t
ak_json_text(const json_t *object, const char *name)
{
    const json_t  *value;

    value = json_object_get(object, name);

    if (!json_is_string(value)) {
        return ak_str(NULL, 0);
    }

    return ak_str(json_string_value(value), json_string_length(value));
}


const json_t *
ak_json_path(const json_t *object, ak_str_t path)
{
    char           name[128];
    size_t         i;
    const json_t  *value;

    if (!json_is_object(object) || path.len == 0
        || path.len >= sizeof(name))
    {
        return NULL;
    }

    memcpy(name, path.data, path.len);
    name[path.len] = '\0';

    value = json_object_get(object, name);

    if (value != NULL) {
        return value;
    }

    /* the longest name first: those with dots in them are URIs */

    for (i = path.len - 1; i != 0; i--) {

        if (name[i] != '.') {
            continue;
        }

        name[i] = '\0';

        value = ak_json_path(json_object_get(object, name),
                             ak_str(path.data + i + 1, path.len - i - 1));

        if (value != NULL) {
            return value;
        }
    }

    return NULL;
}
