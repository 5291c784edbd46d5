
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "ak_fline.h"
#include "ak_key.h"


/* A number, as the text that a field is; the longest and a zero. */

#define AK_FLINE_NUMBER  24


typedef struct {
    json_t  *root;
    char    *numbers;          /* the texts of fields that are numbers */
} ak_fline_json_t;


static bool
ak_fline_blank(ak_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '#') {
            return true;
        }

        if (text.data[i] != ' ' && text.data[i] != '\t'
            && text.data[i] != '\r')
        {
            return false;
        }
    }

    return true;
}


/* Whether it begins with {"revoked", or ends in the midst of that. */

static bool
ak_fline_like_mark(ak_str_t text)
{
    size_t  i, n;

    static const char  begin[] = "{\"revoked\"";

    n = 0;

    for (i = 0; i < text.len && n < sizeof(begin) - 1; i++) {

        if (text.data[i] == (uint8_t) begin[n]) {
            n++;

        } else if (text.data[i] != ' ' && text.data[i] != '\t') {
            return false;
        }
    }

    return n > 2;
}


static ak_str_t
ak_fline_string(const json_t *value)
{
    return ak_str(json_string_value(value), json_string_length(value));
}


/* A member that must be a string; one that is not there gives len 0. */

static ak_rc_t
ak_fline_member(const json_t *root, const char *name, ak_str_t *s,
    ak_diag_t *d)
{
    const json_t  *value;

    *s = ak_str(NULL, 0);
    value = json_object_get(root, name);

    if (value == NULL) {
        return AK_OK;
    }

    if (!json_is_string(value)) {
        return ak_diag(d, "the member \"%s\" is no string", name);
    }

    *s = ak_fline_string(value);

    return AK_OK;
}


static ak_rc_t
ak_fline_add(ak_fline_t *line, const char *name, ak_str_t value,
    ak_diag_t *d)
{
    if (line->n == AK_FLINE_FIELDS_MAX) {
        return ak_diag(d, "there are more than %d members",
                       AK_FLINE_FIELDS_MAX);
    }

    line->fields[line->n].name = ak_cstr(name);
    line->fields[line->n].value = value;
    line->n++;

    return AK_OK;
}


/* A field of a record: a string, or a number as its text. */

static ak_rc_t
ak_fline_field(ak_fline_t *line, const char *name, const json_t *value,
    ak_diag_t *d)
{
    int               n;
    char             *text;
    ak_fline_json_t  *j;

    if (json_is_string(value)) {
        return ak_fline_add(line, name, ak_fline_string(value), d);
    }

    if (!json_is_integer(value)) {
        return ak_diag(d, "the member \"%.64s\" is neither a string nor "
                       "a whole number", name);
    }

    j = line->json;

    if (j->numbers == NULL) {
        j->numbers = malloc(AK_FLINE_FIELDS_MAX * AK_FLINE_NUMBER);

        if (j->numbers == NULL) {
            return ak_diag(d, "there is no memory");
        }
    }

    if (line->n == AK_FLINE_FIELDS_MAX) {
        return ak_fline_add(line, name, ak_str(NULL, 0), d);
    }

    text = j->numbers + line->n * AK_FLINE_NUMBER;

    n = snprintf(text, AK_FLINE_NUMBER, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));

    return ak_fline_add(line, name, ak_str(text, (size_t) n), d);
}


/* All members but the one that is the name. */

static ak_rc_t
ak_fline_fields(ak_fline_t *line, json_t *root, const char *but, ak_diag_t *d)
{
    json_t      *value;
    const char  *name;

    json_object_foreach(root, name, value) {

        if (strcmp(name, but) != 0
            && ak_fline_field(line, name, value, d) != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_fline_key(ak_fline_t *line, json_t *root, ak_diag_t *d)
{
    if (ak_fline_member(root, "key", &line->id, d) != AK_OK) {
        return AK_ERROR;
    }

    if (!ak_key_id_valid(line->id)) {
        line->id = ak_str(NULL, 0);
        return ak_diag(d, "the member \"key\" is no id of a key");
    }

    return ak_fline_fields(line, root, "key", d);
}


static ak_rc_t
ak_fline_mark(ak_fline_t *line, json_t *root, ak_diag_t *d)
{
    if (ak_fline_member(root, "revoked", &line->id, d) != AK_OK) {
        return AK_ERROR;
    }

    if (!ak_mark_name_valid(line->id)) {
        line->id = ak_str(NULL, 0);
        return ak_diag(d, "the member \"revoked\" is neither \"jti:\" nor "
                       "\"sub:\" and what a token can have there");
    }

    return ak_fline_fields(line, root, "revoked", d);
}


static ak_rc_t
ak_fline_upstream(ak_fline_t *line, json_t *root, ak_diag_t *d)
{
    json_t      *slots, *value;
    const char  *name;

    if (ak_fline_member(root, "upstream", &line->owner, d) != AK_OK
        || ak_fline_member(root, "provider", &line->provider, d) != AK_OK)
    {
        return AK_ERROR;
    }

    if (!ak_name_valid(line->owner)) {
        line->owner = ak_str(NULL, 0);
        return ak_diag(d, "the member \"upstream\" is no name of an owner");
    }

    if (!ak_name_valid(line->provider)
        || memchr(line->provider.data, ':', line->provider.len) != NULL)
    {
        line->provider = ak_str(NULL, 0);
        return ak_diag(d, "the member \"provider\" is missing or no name");
    }

    slots = json_object_get(root, "slots");

    if (!json_is_object(slots)) {
        return ak_diag(d, "the member \"slots\" is missing or no object");
    }

    json_object_foreach(slots, name, value) {

        if (!json_is_string(value)) {
            return ak_diag(d, "a member of \"slots\" is no string");
        }

        if (ak_fline_add(line, name, ak_fline_string(value), d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


ak_rc_t
ak_fline_parse(ak_str_t text, ak_fline_t *line, ak_diag_t *d)
{
    json_error_t      error;
    ak_fline_json_t  *j;

    line->type = AK_FLINE_NOTHING;
    line->id = ak_str(NULL, 0);
    line->owner = ak_str(NULL, 0);
    line->provider = ak_str(NULL, 0);
    line->n = 0;
    line->json = NULL;

    if (ak_fline_blank(text)) {
        return AK_OK;
    }

    if (ak_fline_like_mark(text)) {
        line->type = AK_FLINE_MARK;
    }

    if (text.len > AK_FLINE_MAX) {
        return ak_diag(d, "it is longer than %d bytes", AK_FLINE_MAX);
    }

    j = calloc(1, sizeof(ak_fline_json_t));
    if (j == NULL) {
        return ak_diag(d, "there is no memory");
    }

    line->json = j;

    j->root = json_loadb((const char *) text.data, text.len,
                         JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(j->root)) {

        /* jansson's text may quote the line, so only the place is told */

        return ak_diag(d, "it is no JSON object, or a member is there twice "
                       "(at byte %d)", error.position);
    }

    if (line->type == AK_FLINE_MARK) {
        return ak_fline_mark(line, j->root, d);
    }

    if (json_object_get(j->root, "key") != NULL) {
        line->type = AK_FLINE_KEY;
        return ak_fline_key(line, j->root, d);
    }

    if (json_object_get(j->root, "upstream") != NULL) {
        line->type = AK_FLINE_UPSTREAM;
        return ak_fline_upstream(line, j->root, d);
    }

    if (json_object_get(j->root, "revoked") != NULL) {
        line->type = AK_FLINE_MARK;
        return ak_fline_mark(line, j->root, d);
    }

    return ak_diag(d, "there is no member \"key\", \"upstream\" or "
                   "\"revoked\"");
}


void
ak_fline_free(ak_fline_t *line)
{
    ak_fline_json_t  *j;

    j = line->json;

    if (j != NULL) {
        json_decref(j->root);
        free(j->numbers);
        free(j);
    }

    line->json = NULL;
    line->n = 0;
}


static int
ak_fline_set(json_t *object, ak_str_t name, ak_str_t value)
{
    char     key[AK_NAME_MAX + 8];
    json_t  *string;

    if (name.len >= sizeof(key)) {
        return -1;
    }

    memcpy(key, name.data, name.len);
    key[name.len] = '\0';

    string = json_stringn((const char *) value.data, value.len);

    return (string == NULL) ? -1 : json_object_set_new(object, key, string);
}


/* Times are numbers to who reads JSON. */

static int
ak_fline_set_field(json_t *object, const ak_field_t *f)
{
    size_t       i, k;
    json_int_t   n;

    static const char  *times[] = { "created", "expires", "at" };

    for (k = 0; k < ak_nitems(times); k++) {
        if (ak_str_eq(f->name, ak_cstr(times[k]))) {
            break;
        }
    }

    if (k == ak_nitems(times)) {
        return ak_fline_set(object, f->name, f->value);
    }

    n = 0;

    for (i = 0; i < f->value.len && i < 12; i++) {

        if (f->value.data[i] < '0' || f->value.data[i] > '9') {
            break;
        }

        n = n * 10 + (f->value.data[i] - '0');
    }

    if (i != f->value.len || f->value.len == 0) {
        return ak_fline_set(object, f->name, f->value);
    }

    return json_object_set_new(object, times[k], json_integer(n));
}


char *
ak_fline_format(const ak_fline_t *line, size_t *len)
{
    int      bad;
    char    *text;
    json_t  *root, *into;
    size_t   i, size;

    root = json_object();
    into = root;
    bad = 0;

    if (line->type == AK_FLINE_KEY) {
        bad |= ak_fline_set(root, ak_literal("key"), line->id);

    } else if (line->type == AK_FLINE_MARK) {
        bad |= ak_fline_set(root, ak_literal("revoked"), line->id);

    } else {
        into = json_object();
        bad |= ak_fline_set(root, ak_literal("upstream"), line->owner);
        bad |= ak_fline_set(root, ak_literal("provider"), line->provider);
        bad |= json_object_set_new(root, "slots", into);
    }

    for (i = 0; i < line->n; i++) {
        bad |= (line->type == AK_FLINE_UPSTREAM)
               ? ak_fline_set(into, line->fields[i].name,
                              line->fields[i].value)
               : ak_fline_set_field(into, &line->fields[i]);
    }

    /* in memory of free(3): jansson may have been given other functions */

    size = bad ? 0 : json_dumpb(root, NULL, 0, JSON_COMPACT);
    text = (size == 0) ? NULL : malloc(size + 2);

    if (text != NULL) {
        *len = json_dumpb(root, text, size, JSON_COMPACT);
        text[(*len)++] = '\n';
        text[*len] = '\0';
    }

    json_decref(root);

    return text;
}
