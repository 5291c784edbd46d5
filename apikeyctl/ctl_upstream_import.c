
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ak_tokens.h"
#include "ctl_app.h"
#include "ctl_batch.h"
#include "ctl_print.h"
#include "ctl_store.h"
#include "ctl_upstream.h"


/*
 * Keys of providers out of other applications.  Each is opened, sealed anew,
 * written, read back and opened once more.  A slot that is there is left alone,
 * so that an import that was cut off is just repeated.
 */

#define CTL_ROW_SECRETS  64            /* of a row: a vault holds several */


typedef struct {
    ctl_t            *ctl;
    ctl_intake_t      in;
    const ctl_app_t  *app;
    ak_import_key_t   key;
    uint64_t          ignored;         /* rows that have no key to import */
    uint64_t          classes[AK_IMPORT_CLASSES];

    unsigned          number;          /* of the row */
    size_t            first;           /* of its secrets in the batch */
    ctl_batch_t       batch;
} ctl_imports_t;


typedef struct {
    ak_str_t  owner;
    ak_str_t  name;
    ak_str_t  provider;
    ak_str_t  slot;
    ak_str_t  nonce;
    ak_str_t  value;
} ctl_upstream_row_t;


static const struct {
    const char  *field;
    size_t       offset;
} ctl_upstream_fields[] = {
    { "owner", offsetof(ctl_upstream_row_t, owner) },
    { "name", offsetof(ctl_upstream_row_t, name) },
    { "provider", offsetof(ctl_upstream_row_t, provider) },
    { "slot", offsetof(ctl_upstream_row_t, slot) },
    { "nonce", offsetof(ctl_upstream_row_t, nonce) },
    { "value", offsetof(ctl_upstream_row_t, value) }
};


static ak_rc_t
ctl_upstream_fill(const ctl_imports_t *im, const ctl_row_t *r,
    ctl_upstream_row_t *row, ak_diag_t *d)
{
    size_t       i, k;
    ak_str_t    *place;
    const char  *field;

    for (i = 0; i < r->n; i++) {
        field = ctl_app_field(im->app, r->fields[i].name);

        if (field == NULL) {

            if (ctl_app_cell(im->app, r->fields[i].name) == CTL_CELL_IGNORED) {
                continue;
            }

            return ak_diag(d, "the name of its member %zu is none that is "
                           "known", i + 1);
        }

        for (k = 0; k < ak_nitems(ctl_upstream_fields); k++) {
            if (strcmp(field, ctl_upstream_fields[k].field) == 0
                && r->fields[i].value.len != 0)
            {
                place = (ak_str_t *) (void *)
                        ((char *) row + ctl_upstream_fields[k].offset);
                *place = r->fields[i].value;
            }
        }
    }

    return AK_OK;
}


/* Whose it is: the row says, or the command line. */

static ak_rc_t
ctl_upstream_whose(const ctl_imports_t *im, const ctl_upstream_row_t *row,
    ak_str_t *owner, ak_diag_t *d)
{
    json_t  *text;

    if (row->owner.len == 0) {

        if (im->ctl->owner == NULL && !im->ctl->shared) {
            return ak_diag(d, "it has no owner, and neither --owner nor "
                           "--shared is given");
        }

        *owner = ak_cstr(im->ctl->shared ? "*" : im->ctl->owner);
        return AK_OK;
    }

    *owner = row->owner;

    text = json_stringn((const char *) owner->data, owner->len);
    json_decref(text);

    if (text == NULL || !ak_name_valid(*owner)) {
        return ak_diag(d, "its owner is not 1 to %d bytes of UTF-8 without "
                       "control characters", AK_NAME_MAX);
    }

    if (ak_str_eq(*owner, ak_literal("*"))) {
        return ak_diag(d, "\"*\" is no owner; --shared shares the keys of "
                       "rows that name none");
    }

    return AK_OK;
}


static ak_str_t
ctl_upstream_trimmed(ak_str_t s)
{
    while (s.len != 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && (s.data[s.len - 1] == ' '
                          || s.data[s.len - 1] == '\t'
                          || s.data[s.len - 1] == '\r'))
    {
        s.len--;
    }

    return s;
}


/* One secret more of the row; the n-th of its slot has a number behind. */

static ak_rc_t
ctl_upstream_keep(ctl_imports_t *im, const ak_place_t *place, unsigned n,
    ak_str_t secret, ak_diag_t *d)
{
    int            len;
    ctl_secret_t  *s;

    if (im->batch.n - im->first == CTL_ROW_SECRETS) {
        return ak_diag(d, "it has more than %d keys", CTL_ROW_SECRETS);
    }

    s = ctl_batch_next(&im->batch);

    len = snprintf(s->slot, CTL_SLOT_TEXT, n == 1 ? "%.*s" : "%.*s-%u",
                   AK_FMT(place->slot), n);

    if (place->slot.len > 64 || len < 0
        || !ak_slot_valid(ak_str(s->slot, (size_t) len)))
    {
        return ak_diag(d, "its slot is not a name of 1 to 64 letters, digits, "
                       "\".\", \"_\" and \"-\"");
    }

    s->owner = ctl_strdup(place->owner);
    s->secret = ctl_strdup(secret);
    s->len = secret.len;
    s->place.owner = ak_cstr(s->owner);
    s->place.provider = place->provider;
    s->place.slot = ak_str(s->slot, (size_t) len);
    s->number = im->number;

    im->batch.n++;

    return AK_OK;
}


/*
 * Several keys of a provider stand in one value, with "," or ";" between them,
 * in the environment and in vaults; no provider's key has either.
 */

static ak_rc_t
ctl_upstream_split_keys(ctl_imports_t *im, const ak_place_t *place,
    ak_str_t value, ak_diag_t *d)
{
    size_t    i, begin;
    unsigned  n;
    ak_str_t  part;

    n = 0;
    begin = 0;

    for (i = 0; i <= value.len; i++) {

        if (i < value.len && value.data[i] != ',' && value.data[i] != ';') {
            continue;
        }

        part = ctl_upstream_trimmed(ak_str(value.data + begin, i - begin));
        begin = i + 1;

        if (part.len != 0
            && ctl_upstream_keep(im, place, ++n, part, d) != AK_OK)
        {
            return AK_ERROR;
        }
    }

    im->ignored += (n == 0);

    return AK_OK;
}


static ak_rc_t
ctl_upstream_known(ak_str_t name, ak_place_t *place, ak_diag_t *d)
{
    place->provider = ak_import_provider(name);

    return (place->provider.len != 0)
           ? AK_OK : ak_diag(d, "its provider is missing, or none that is "
                             "known");
}


/* The keys of a vault: of one provider, or of each that has one. */

static ak_rc_t
ctl_upstream_vault(ctl_imports_t *im, const ctl_upstream_row_t *row,
    ak_place_t *place, ak_str_t plain, ak_diag_t *d)
{
    size_t       before;
    json_t      *vault, *member, *key;
    ak_rc_t      rc;
    const char  *name;

    rc = AK_OK;
    before = im->batch.n;
    vault = json_loadb((const char *) plain.data, plain.len,
                       JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(vault)) {
        rc = ak_diag(d, "its vault is no JSON object");

    } else if (json_is_string(json_object_get(vault, "apiKey"))) {
        key = json_object_get(vault, "apiKey");
        rc = ctl_upstream_known(row->provider, place, d);

        if (rc == AK_OK) {
            rc = ctl_upstream_split_keys(im, place,
                                         ak_cstr(json_string_value(key)), d);
        }

    } else {
        json_object_foreach(vault, name, member) {
            key = json_object_get(member, "apiKey");

            if (!json_is_string(key) || json_string_length(key) == 0) {
                continue;
            }

            if (ctl_upstream_known(ak_cstr(name), place, d) != AK_OK
                || ctl_upstream_split_keys(im, place,
                                           ak_cstr(json_string_value(key)), d)
                   != AK_OK)
            {
                /* the other providers are none the worse for it */

                ctl_intake_bad(&im->in, im->number, d->text);
            }
        }

        im->ignored += (im->batch.n == before);
    }

    json_decref(vault);

    return rc;
}


static ak_rc_t
ctl_upstream_unseal(ctl_imports_t *im, const ctl_upstream_row_t *row,
    ak_place_t *place, ak_diag_t *d)
{
    size_t              len;
    ak_rc_t             rc;
    uint8_t            *plain;
    ak_import_e         class;
    ak_import_sealed_t  sealed;

    sealed.value = row->value;
    sealed.nonce = row->nonce;
    sealed.name = row->name;

    plain = ctl_alloc(row->value.len + 1);
    class = ak_import_open(&im->key, &sealed, plain, &len);

    if (class != AK_IMPORT_OK) {
        im->classes[class]++;
        rc = ak_diag(d, "%s", ak_import_class(class));

    } else if (im->app->form == AK_IMPORT_LOBECHAT_VAULT) {
        rc = ctl_upstream_vault(im, row, place, ak_str(plain, len), d);

    } else {
        rc = ctl_upstream_known(row->provider.len != 0 ? row->provider
                                                       : row->name,
                                place, d);

        if (rc == AK_OK) {
            rc = ctl_upstream_keep(im, place, 1, ak_str(plain, len), d);
        }
    }

    ctl_free(plain);

    return rc;
}


/*
 * The value of a line of a .env file: in quotes of any kind, or up to a
 * comment.  In double quotes a backslash stands for what follows.
 */

static ak_rc_t
ctl_upstream_env_value(ak_str_t s, char *dst, size_t *len, ak_diag_t *d)
{
    size_t   i, n;
    uint8_t  quote;

    n = 0;
    quote = (s.len != 0 && (s.data[0] == '"' || s.data[0] == '\''
                            || s.data[0] == '`'))
            ? s.data[0] : 0;

    for (i = (quote != 0); i < s.len; i++) {

        if (quote != 0 ? s.data[i] == quote
                       : s.data[i] == '#' && i != 0
                         && (s.data[i - 1] == ' ' || s.data[i - 1] == '\t'))
        {
            break;
        }

        if (quote == '"' && s.data[i] == '\\' && i + 1 < s.len) {
            i++;
        }

        dst[n++] = (char) s.data[i];
    }

    if (quote != 0) {

        if (i == s.len) {
            return ak_diag(d, "its quotes do not end on the line");
        }

        s = ctl_upstream_trimmed(ak_str(s.data + i + 1, s.len - i - 1));

        if (s.len != 0 && s.data[0] != '#') {
            return ak_diag(d, "there is something behind its quotes");
        }

    } else {
        n = ctl_upstream_trimmed(ak_str(dst, n)).len;
    }

    *len = n;

    return AK_OK;
}


/* Variables that name no provider are of other use. */

static ak_rc_t
ctl_upstream_env(ctl_imports_t *im, ak_str_t line, ak_place_t *place,
    ak_diag_t *d)
{
    char           *value;
    size_t          len;
    ak_rc_t         rc;
    ak_str_t        name, rest;
    const uint8_t  *equal;

    if (ak_str_starts(line, ak_literal("export "))) {
        line = ctl_upstream_trimmed(ak_str(line.data + 7, line.len - 7));
    }

    equal = memchr(line.data, '=', line.len);

    if (equal == NULL || equal == line.data) {
        return ak_diag(d, "it is no NAME=VALUE");
    }

    name = ctl_upstream_trimmed(ak_str(line.data,
                                       (size_t) (equal - line.data)));
    rest = ctl_upstream_trimmed(ak_str(equal + 1, line.len - 1
                                       - (size_t) (equal - line.data)));

    place->provider = ak_import_provider(name);

    if (place->provider.len == 0) {
        im->ignored++;
        return AK_OK;
    }

    len = 0;
    value = ctl_alloc(rest.len + 1);
    rc = ctl_upstream_env_value(rest, value, &len, d);

    if (rc == AK_OK) {
        rc = ctl_upstream_split_keys(im, place, ak_str(value, len), d);
    }

    ctl_free(value);

    return rc;
}


static ak_rc_t
ctl_upstream_row(void *data, const ctl_row_t *r, ak_diag_t *d)
{
    ak_place_t           place;
    ctl_imports_t       *im = data;
    ctl_upstream_row_t   row;

    memset(&row, 0, sizeof(ctl_upstream_row_t));
    memset(&place, 0, sizeof(ak_place_t));

    im->number = r->number;
    im->first = im->batch.n;

    if (ctl_upstream_fill(im, r, &row, d) != AK_OK
        || ctl_upstream_whose(im, &row, &place.owner, d) != AK_OK)
    {
        return AK_ERROR;
    }

    place.slot = (row.slot.len != 0) ? row.slot
                 : ak_cstr(im->ctl->slot == NULL ? "default" : im->ctl->slot);

    if (im->app->rows == CTL_ROWS_TEXT) {
        return ctl_upstream_env(im, row.value, &place, d);
    }

    if (im->app->sealed) {
        return ctl_upstream_unseal(im, &row, &place, d);
    }

    if (ctl_upstream_known(row.provider, &place, d) != AK_OK) {
        return AK_ERROR;
    }

    return ctl_upstream_keep(im, &place, 1, row.value, d);
}


static ctl_status_e
ctl_upstream_flush(void *data, bool last)
{
    ctl_imports_t  *im = data;

    return ctl_batch_flush(&im->batch, last);
}


static void
ctl_imports_print(const ctl_imports_t *im)
{
    size_t   i;
    json_t  *object, *classes;

    if (!im->ctl->json) {
        ctl_print_text("%s%llu (%llu replaced), already there %llu, without a "
                       "key %llu, skipped %llu.",
                       im->ctl->dry_run ? "To be imported or there: "
                                        : "Imported ",
                       (unsigned long long) im->in.imported,
                       (unsigned long long) im->batch.replaced,
                       (unsigned long long) im->in.there,
                       (unsigned long long) im->ignored,
                       (unsigned long long) im->in.skipped);
        return;
    }

    object = json_object();
    classes = json_object();

    for (i = AK_IMPORT_KEY_MISSING; i < AK_IMPORT_CLASSES; i++) {
        if (im->classes[i] != 0) {
            ctl_set(classes, ak_import_class((ak_import_e) i),
                    json_integer((json_int_t) im->classes[i]));
        }
    }

    ctl_set(object, "imported", json_integer((json_int_t) im->in.imported));
    ctl_set(object, "replaced", json_integer((json_int_t) im->batch.replaced));
    ctl_set(object, "there", json_integer((json_int_t) im->in.there));
    ctl_set(object, "ignored", json_integer((json_int_t) im->ignored));
    ctl_set(object, "skipped", json_integer((json_int_t) im->in.skipped));
    ctl_set(object, "errors", classes);
    ctl_set(object, "dry_run", json_boolean(im->ctl->dry_run));
    ctl_print_json(object);
    json_decref(object);
}


static ctl_status_e
ctl_imports_options(ctl_imports_t *im)
{
    ctl_t         *ctl;
    ctl_status_e   status;

    ctl = im->ctl;
    im->app = (ctl->format == NULL) ? NULL : ctl_app_of_upstream(ctl->format);

    if (im->app == NULL) {
        return ctl_usage(ctl, "--format is lmnr, intern3-gcm, intern3-cbc, "
                         "lobechat-vault, env or json");
    }

    if (ctl->owner != NULL && ctl->shared) {
        return ctl_usage(ctl, "--owner and --shared exclude each other");
    }

    if (ctl->owner != NULL) {
        status = ctl_name_check(ctl, "--owner", ctl->owner);

        if (status != CTL_DONE) {
            return status;
        }
    }

    if (ctl->slot != NULL && !ak_slot_valid(ak_cstr(ctl->slot))) {
        return ctl_usage(ctl, "--slot is a name of 1 to 64 letters, digits, "
                         "\".\", \"_\" and \"-\"");
    }

    if (!im->app->sealed) {
        return (ctl->app_key == NULL)
               ? CTL_DONE : ctl_usage(ctl, "this format has nothing that is "
                                      "sealed: --app-key is of no use");
    }

    return ctl_app_key(ctl, im->app, &im->key);
}


static ctl_status_e
ctl_imports_all(ctl_imports_t *im)
{
    ctl_status_e  status;

    ctl_intake_begin(&im->in, im->ctl,
                     ctl_rows_open(im->app->rows, ctl_app_cell, im->app,
                                   im->app->columns[0].name));

    ctl_batch_begin(&im->batch, im->ctl, &im->in, CTL_ROW_SECRETS);

    status = ctl_intake_run(&im->in, ctl_upstream_row, ctl_upstream_flush,
                            im);

    if (status == CTL_DONE) {
        ctl_imports_print(im);
        status = im->in.skipped ? CTL_REFUSED : CTL_DONE;
    }

    ctl_batch_end(&im->batch);
    ctl_intake_end(&im->in);

    return status;
}


ctl_status_e
ctl_upstream_import(ctl_t *ctl)
{
    ctl_status_e    status;
    ctl_imports_t  *im;

    im = ctl_alloc(sizeof(ctl_imports_t));
    memset(im, 0, sizeof(ctl_imports_t));
    im->ctl = ctl;

    status = ctl_imports_options(im);

    if (status == CTL_DONE) {
        status = ctl_keyring_open(ctl);
    }

    if (status == CTL_DONE && ctl->nwords != 0) {
        status = ctl_rows_input(ctl->words[0]);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_imports_all(im);
    }

    ctl_free(im);

    return status;
}
