
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_strip.h"


/* The headers that carry credentials somewhere, of clients and providers. */

static const ak_str_t  ak_strip_headers[] = {
    ak_string("authorization"),
    ak_string("x-api-key"),
    ak_string("api-key"),
    ak_string("x-goog-api-key"),
    ak_string("x-subscription-token"),
    ak_string("proxy-authorization"),
    ak_string("x-lobe-chat-auth"),
    ak_string("x-provider-api-keys")
};


typedef struct ak_strip_name_s  ak_strip_name_t;

struct ak_strip_name_s {
    ak_str_t          name;
    ak_strip_name_t  *next;
};


/* Headers by their length, longer ones together: it decides most. */

#define AK_STRIP_LENGTHS  32


struct ak_strip_s {
    ak_strip_name_t  *headers[AK_STRIP_LENGTHS + 1];
    ak_strip_name_t  *names[AK_CARRIER_SUBPROTOCOL + 1];
    ak_strip_name_t  *identities;      /* of headers, some */
    ak_mem_t          mem;
};


static ak_rc_t
ak_strip_add(ak_strip_t *s, ak_strip_name_t **list, ak_str_t name)
{
    ak_strip_name_t  *n;

    for (n = *list; n != NULL; n = n->next) {
        if (ak_str_eq(n->name, name)) {
            return AK_OK;
        }
    }

    n = s->mem.alloc(s->mem.data, sizeof(ak_strip_name_t));
    if (n == NULL) {
        return AK_NO_MEMORY;
    }

    n->name = name;
    n->next = *list;
    *list = n;

    return AK_OK;
}


static size_t
ak_strip_row(size_t len)
{
    return (len < AK_STRIP_LENGTHS) ? len : AK_STRIP_LENGTHS;
}


static ak_rc_t
ak_strip_add_carrier(ak_strip_t *s, ak_str_t lowcase)
{
    return ak_strip_add(s, &s->headers[ak_strip_row(lowcase.len)], lowcase);
}


ak_strip_t *
ak_strip_create(ak_mem_t *mem)
{
    size_t       i;
    ak_strip_t  *s;

    s = mem->alloc(mem->data, sizeof(ak_strip_t));
    if (s == NULL) {
        return NULL;
    }

    memset(s, 0, sizeof(ak_strip_t));
    s->mem = *mem;

    for (i = 0; i < ak_nitems(ak_strip_headers); i++) {
        if (ak_strip_add_carrier(s, ak_strip_headers[i]) != AK_OK) {
            return NULL;
        }
    }

    return s;
}


ak_rc_t
ak_strip_add_header(ak_strip_t *s, ak_str_t lowcase)
{
    ak_rc_t  rc;

    rc = ak_strip_add(s, &s->identities, lowcase);

    return (rc == AK_OK) ? ak_strip_add_carrier(s, lowcase) : rc;
}


ak_rc_t
ak_strip_add_carriers(ak_strip_t *s, const ak_carriers_t *carriers)
{
    size_t               i;
    ak_rc_t              rc;
    const ak_carrier_t  *c;

    for (i = 0; i < carriers->n; i++) {
        c = &carriers->list[i];

        switch (c->type) {

        case AK_CARRIER_BEARER:
        case AK_CARRIER_HEADER:
            rc = ak_strip_add_carrier(s, c->name);
            break;

        default:
            rc = ak_strip_add(s, &s->names[c->type], c->name);
            break;
        }

        if (rc != AK_OK) {
            return rc;
        }
    }

    return AK_OK;
}


/* Called for every header of every request. */

bool
ak_strip_header(const ak_strip_t *s, ak_str_t lowcase)
{
    const ak_strip_name_t  *n;

    for (n = s->headers[ak_strip_row(lowcase.len)]; n != NULL; n = n->next) {
        if (ak_view_same_name(lowcase, n->name)) {
            return true;
        }
    }

    return false;
}


bool
ak_strip_identity(const ak_strip_t *s, ak_str_t lowcase)
{
    const ak_strip_name_t  *n;

    for (n = s->identities; n != NULL; n = n->next) {
        if (ak_view_same_name(lowcase, n->name)) {
            return true;
        }
    }

    return false;
}


bool
ak_strip_has(const ak_strip_t *s, ak_carrier_e type)
{
    return s->names[type] != NULL;
}


/* How the parts of a value are told apart, and a part's name from its value. */

typedef struct {
    uint8_t  separator;
    uint8_t  other;            /* that some take for a separator too */
    uint8_t  equals;           /* 0: the names begin parts */
    bool     spaces;           /* around parts and names, without meaning */
} ak_strip_form_t;


static const ak_strip_form_t  ak_strip_forms[] = {
    [AK_CARRIER_QUERY] = { '&', ';', '=', false },
    [AK_CARRIER_COOKIE] = { ';', ';', '=', true },
    [AK_CARRIER_SUBPROTOCOL] = { ',', ',', 0, true }
};


static ak_str_t
ak_strip_trim(ak_str_t part)
{
    while (part.len != 0 && (part.data[0] == ' ' || part.data[0] == '\t')) {
        part.data++;
        part.len--;
    }

    while (part.len != 0 && (part.data[part.len - 1] == ' '
                             || part.data[part.len - 1] == '\t'))
    {
        part.len--;
    }

    return part;
}


static bool
ak_strip_part(const ak_strip_name_t *names, const ak_strip_form_t *form,
    ak_str_t part)
{
    ak_str_t        name;
    const uint8_t  *eq;

    for ( /* void */ ; names != NULL; names = names->next) {

        if (form->equals == 0) {
            if (ak_str_starts(part, names->name)) {
                return true;
            }

            continue;
        }

        eq = part.len == 0 ? NULL
                           : memchr(part.data, form->equals, part.len);

        name = ak_str(part.data, eq == NULL ? part.len
                                            : (size_t) (eq - part.data));

        if (form->spaces) {
            name = ak_strip_trim(name);
        }

        /* the name as it is, and as who decodes it reads it */

        if (ak_str_eq(name, names->name)
            || ak_cred_same_name(name, names->name))
        {
            return true;
        }
    }

    return false;
}


/* The first separator; NULL: the rest is one part. */

static const uint8_t *
ak_strip_end(const ak_strip_form_t *form, ak_str_t rest)
{
    size_t  i;

    for (i = 0; i < rest.len; i++) {
        if (rest.data[i] == form->separator || rest.data[i] == form->other) {
            return rest.data + i;
        }
    }

    return NULL;
}


bool
ak_strip_value(const ak_strip_t *s, ak_carrier_e type, ak_str_t value,
    uint8_t *dst, size_t *len)
{
    bool                    removed;
    uint8_t                *p, before;
    ak_str_t                part, rest, trimmed;
    const uint8_t          *end;
    const ak_strip_form_t  *form;

    form = &ak_strip_forms[type];
    rest = value;
    removed = false;
    before = form->separator;
    p = dst;

    for ( ;; ) {
        end = ak_strip_end(form, rest);

        part = (end == NULL) ? rest
                             : ak_str(rest.data, (size_t) (end - rest.data));

        trimmed = form->spaces ? ak_strip_trim(part) : part;

        if (ak_strip_part(s->names[type], form, trimmed)) {
            removed = true;

        } else {
            if (p != dst) {
                *p++ = before;

            } else if (form->spaces) {
                part = trimmed;
            }

            if (part.len != 0) {
                memmove(p, part.data, part.len);
                p += part.len;
            }
        }

        if (end == NULL) {
            break;
        }

        before = *end;
        rest = ak_str(end + 1,
                      (size_t) (value.data + value.len - (end + 1)));
    }

    *len = p - dst;

    return removed;
}
