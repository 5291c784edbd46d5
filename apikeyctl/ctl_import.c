
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <search.h>
#include <time.h>

#include "ak_mem.h"
#include "ak_time.h"
#include "ctl_bar.h"
#include "ctl_key.h"
#include "ctl_rows.h"


/*
 * Keys of standard input, in batches.  The id of a key is made of the key, so
 * that the same key is found again: what is there is left alone, and an import
 * that was cut off is just repeated.
 */

#define CTL_IMPORT_TOLD  100           /* bad rows */


typedef struct {
    ctl_t         *ctl;
    ctl_rows_t    *rows;
    ak_digest_t   *digest;
    int64_t        now;
    int64_t        expires;            /* of rows that do not say */

    ctl_entry_t   *entries;            /* the batch */
    size_t         n;
    size_t         size;
    void          *names;              /* those of the batch, tsearch(3) */

    uint64_t       imported;
    uint64_t       there;
    uint64_t       skipped;
    ctl_bar_t      bar;
} ctl_import_t;


static const ak_str_t  ctl_expires = ak_string("expires");
static const ak_str_t  ctl_meta = ak_string("meta.");

static const char *const  ctl_import_forms[] = {
    [CTL_ROWS_TEXT] = "text",
    [CTL_ROWS_CSV] = "csv",
    [CTL_ROWS_JSON] = "json"
};


static void
ctl_import_bar(ctl_import_t *im, bool last)
{
    uint64_t  done, all;

    ctl_rows_progress(im->rows, &done, &all);

    ctl_bar_draw(&im->bar, done, all, im->imported + im->there + im->skipped,
                 last);
}


/* A bad row is told by its number and what is wrong, never by its bytes. */

static void
ctl_import_bad(ctl_import_t *im, unsigned number, const char *why)
{
    if (im->skipped++ >= CTL_IMPORT_TOLD) {
        return;
    }

    ctl_bar_leave(&im->bar);

    (void) ctl_fail(CTL_REFUSED, "row %u is skipped: %s%s", number, why,
                    im->skipped == CTL_IMPORT_TOLD
                    ? "; further ones are only counted" : "");
}


/* Where a column goes; NULL: nowhere as it is, or there is no such one. */

static ak_str_t *
ctl_import_place(ak_record_t *rec, ak_str_t *key, ak_str_t name)
{
    size_t  i;
    struct {
        ak_str_t   name;
        ak_str_t  *value;
    } texts[] = {
        { ak_string("key"), key },
        { ak_string("owner"), &rec->owner },
        { ak_string("name"), &rec->name },
        { ak_string("scopes"), &rec->scopes },
        { ak_string("routes"), &rec->routes },
        { ak_string("ips"), &rec->ips },
        { ak_string("rate"), &rec->rate }
    };

    for (i = 0; i < ak_nitems(texts); i++) {
        if (ak_str_eq(name, texts[i].name)) {
            return texts[i].value;
        }
    }

    return NULL;
}


static bool
ctl_import_known(ak_str_t name)
{
    ak_str_t     key;
    ak_record_t  rec;

    return ctl_import_place(&rec, &key, name) != NULL
           || ak_str_eq(name, ctl_expires)
           || ak_str_starts(name, ctl_meta);
}


static bool
ctl_import_utf8(ak_str_t s)
{
    bool     valid;
    json_t  *text;

    text = json_stringn(s.len == 0 ? "" : (const char *) s.data, s.len);
    valid = (text != NULL);
    json_decref(text);

    return valid;
}


/*
 * Columns are told by their number: their values, and the names in what lacks
 * its header, may be keys.
 */

static ak_rc_t
ctl_import_field(ctl_import_t *im, const ctl_row_t *row, size_t n,
    ak_str_t *key, ak_record_t *rec, ak_diag_t *d)
{
    ak_str_t           name, *place;
    const ak_field_t  *f;

    f = &row->fields[n++];

    if (!ctl_import_known(f->name)) {
        return ak_diag(d, "the name of its member %zu is none that is known",
                       n);
    }

    if (f->value.len == 0) {
        return AK_OK;
    }

    if (!ctl_import_utf8(f->name) || !ctl_import_utf8(f->value)) {
        return ak_diag(d, "its value %zu is no UTF-8", n);
    }

    place = ctl_import_place(rec, key, f->name);

    if (place != NULL) {
        *place = f->value;
        return AK_OK;
    }

    if (ak_str_eq(f->name, ctl_expires)) {

        if (ak_time_point(f->value, im->now, &rec->expires, NULL) != AK_OK) {
            return ak_diag(d, "its value %zu, when it expires, is no time",
                           n);
        }

        return AK_OK;
    }

    name = ak_str(f->name.data + ctl_meta.len, f->name.len - ctl_meta.len);

    if (ctl_limits_meta(rec, name, f->value, NULL) != AK_OK) {
        return ak_diag(d, "its value %zu, of meta, has no valid name, is "
                       "longer than %d bytes, has a control character, is "
                       "there twice or is one too many", n, CTL_META_MAX);
    }

    return AK_OK;
}


/* Id and hash of a key, which is ours or of another system. */

static ak_rc_t
ctl_import_hash(ctl_import_t *im, ak_str_t key, ak_record_t *rec,
    uint8_t *buf, ak_str_t *id, ak_diag_t *d)
{
    ak_hash_alg_e  alg;

    switch (ak_key_parse(key, id)) {

    case AK_KEY_NATIVE:
        alg = AK_HASH_SHA256;
        break;

    case AK_KEY_FOREIGN:

        if (ak_key_foreign_id(key, im->ctl->keys, buf) != AK_OK) {
            return ak_diag(d, "its key is of another system, which needs a "
                           "keyring with a pepper");
        }

        *id = ak_str(buf, AK_KEY_FOREIGN_ID_LEN);
        alg = AK_HASH_HMAC_SHA256;
        break;

    case AK_KEY_BAD_CHECKSUM:
        return ak_diag(d, "its key is mistyped: the checksum is wrong");

    default:
        return ak_diag(d, "its key has not 8 to %d visible ASCII characters",
                       AK_KEY_MAX);
    }

    if (ak_hash_make(&rec->hash, alg, key, im->digest, im->ctl->keys)
        != AK_OK)
    {
        return ak_diag(d, "OpenSSL cannot hash its key");
    }

    return AK_OK;
}


static ak_rc_t
ctl_import_check(const ak_record_t *rec, ak_diag_t *d)
{
    size_t   i;

    const ak_str_t  *names[] = { &rec->owner, &rec->name };

    if (rec->owner.len == 0) {
        return ak_diag(d, "it has no owner, and --owner is not given");
    }

    for (i = 0; i < 2 && names[i]->len != 0; i++) {
        if (!ctl_import_utf8(*names[i]) || !ak_name_valid(*names[i])) {
            return ak_diag(d, "its owner or name is not 1 to %d bytes of "
                           "UTF-8 without control characters", AK_NAME_MAX);
        }
    }

    if (ak_str_eq(rec->owner, ak_literal("*"))) {
        return ak_diag(d, "\"*\" is no owner");
    }

    switch (ctl_limits_check(rec, NULL)) {

    case CTL_LIMIT_NONE:
        return AK_OK;

    case CTL_LIMIT_SCOPES:
        return ak_diag(d, "its scopes are no list of scopes");

    case CTL_LIMIT_ROUTES:
        return ak_diag(d, "its routes are no list of routes");

    case CTL_LIMIT_IPS:
        return ak_diag(d, "its ips are no list of networks");

    default:
        return ak_diag(d, "its rate is none");
    }
}


/* The fields with memory of their own, since the row goes. */

static void
ctl_import_keep(ctl_entry_t *e, const ak_record_t *rec)
{
    char      *p;
    size_t     i, size;
    uint8_t    text[AK_RECORD_TEXT_MAX];
    ak_str_t  *s;

    e->n = ak_record_fields(rec, e->fields, text);
    size = 0;

    for (i = 0; i < e->n; i++) {
        size += e->fields[i].name.len + e->fields[i].value.len;
    }

    e->text = ctl_alloc(size + 1);
    p = e->text;

    for (i = 0; i < 2 * e->n; i++) {
        s = (i % 2 == 0) ? &e->fields[i / 2].name : &e->fields[i / 2].value;

        memcpy(p, s->data, s->len);
        s->data = (uint8_t *) p;
        p += s->len;
    }
}


static int
ctl_import_compare(const void *one, const void *two)
{
    return strcmp(one, two);
}


static void
ctl_import_no_free(void *node)
{
    (void) node;
}


static void
ctl_import_forget(ctl_import_t *im)
{
    size_t  i;

    tdestroy(im->names, ctl_import_no_free);
    im->names = NULL;

    for (i = 0; i < im->n; i++) {
        ctl_free(im->entries[i].key);
        ctl_free(im->entries[i].text);
    }

    im->n = 0;
}


/* Hands the batch to the store. */

static ctl_status_e
ctl_import_flush(ctl_import_t *im)
{
    size_t        i;
    ctl_status_e  status;

    status = CTL_DONE;

    if (!im->ctl->dry_run) {
        status = ctl_store_add(im->ctl, im->entries, im->n);
    }

    for (i = 0; i < im->n && status == CTL_DONE; i++) {

        if (im->entries[i].there) {
            im->there++;

        } else {
            im->imported++;
        }
    }

    ctl_import_forget(im);
    ctl_import_bar(im, false);

    return status;
}


static ak_rc_t
ctl_import_row(ctl_import_t *im, const ctl_row_t *row, ak_diag_t *d)
{
    size_t        i;
    uint8_t       buf[AK_KEY_FOREIGN_ID_LEN], name[AK_STORE_KEY_MAX];
    ak_str_t      key, id, place;
    ak_record_t   rec;
    ctl_entry_t  *e;

    memset(&rec, 0, sizeof(ak_record_t));

    key = ak_str(NULL, 0);
    rec.owner = ak_cstr(im->ctl->owner);
    rec.name = ak_cstr(im->ctl->name);
    rec.status = AK_STATUS_ACTIVE;
    rec.created = im->now;
    rec.expires = im->expires;

    for (i = 0; i < row->n; i++) {
        if (ctl_import_field(im, row, i, &key, &rec, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    if (key.len == 0) {
        return ak_diag(d, "it has no key");
    }

    if (ctl_import_check(&rec, d) != AK_OK
        || ctl_import_hash(im, key, &rec, buf, &id, d) != AK_OK)
    {
        return AK_ERROR;
    }

    if (!ctl_limits_fit(&rec)) {
        return ak_diag(d, "it is too large for a record");
    }

    if (ak_store_record_key(&im->ctl->conf, id, name, &place) != AK_OK) {
        return ak_diag(d, "the prefix of the store is too long");
    }

    e = &im->entries[im->n];
    memset(e, 0, sizeof(ctl_entry_t));

    e->key = ctl_strdup(place);

    if (*(char **) tsearch(e->key, &im->names, ctl_import_compare)
        != e->key)
    {
        ctl_free(e->key);
        im->there++;
        return AK_OK;
    }

    ctl_import_keep(e, &rec);
    im->n++;

    return AK_OK;
}


static ctl_status_e
ctl_import_rows(ctl_import_t *im)
{
    ak_rc_t       rc;
    ak_diag_t     d;
    ctl_row_t     row;
    ctl_status_e  status;

    for ( ;; ) {
        d.text[0] = '\0';
        rc = ctl_rows_next(im->rows, &row, &d);

        if (rc == AK_NOT_FOUND) {
            return ctl_import_flush(im);
        }

        if (rc == AK_UNAVAILABLE) {
            return ctl_fail(CTL_REFUSED, "%s", d.text);
        }

        if (rc == AK_OK) {
            rc = ctl_import_row(im, &row, &d);
        }

        if (rc != AK_OK) {
            ctl_import_bad(im, row.number, d.text);
        }

        if (im->n == im->size) {
            status = ctl_import_flush(im);

            if (status != CTL_DONE) {
                return status;
            }
        }
    }
}


static void
ctl_import_print(const ctl_import_t *im)
{
    json_t  *object;

    if (!im->ctl->json) {
        ctl_print_text("%s%llu, already there %llu, skipped %llu.",
                       im->ctl->dry_run ? "To be imported or there: "
                                        : "Imported ",
                       (unsigned long long) im->imported,
                       (unsigned long long) im->there,
                       (unsigned long long) im->skipped);
        return;
    }

    object = json_object();
    ctl_set(object, "imported", json_integer((json_int_t) im->imported));
    ctl_set(object, "there", json_integer((json_int_t) im->there));
    ctl_set(object, "skipped", json_integer((json_int_t) im->skipped));
    ctl_set(object, "dry_run", json_boolean(im->ctl->dry_run));
    ctl_print_json(object);
    json_decref(object);
}


static ctl_status_e
ctl_import_options(ctl_import_t *im, ctl_rows_e *form)
{
    size_t        i;
    ctl_t        *ctl;
    ak_diag_t     d;
    ctl_status_e  status;

    ctl = im->ctl;
    *form = CTL_ROWS_TEXT;

    for (i = 0; ctl->format != NULL; i++) {

        if (i == ak_nitems(ctl_import_forms)) {
            return ctl_usage(ctl, "--format is text, csv or json");
        }

        if (strcmp(ctl->format, ctl_import_forms[i]) == 0) {
            *form = (ctl_rows_e) i;
            break;
        }
    }

    status = CTL_DONE;

    if (ctl->owner != NULL) {
        status = ctl_name_check(ctl, "--owner", ctl->owner);
    }

    if (status == CTL_DONE && ctl->name != NULL) {
        status = ctl_name_check(ctl, "--name", ctl->name);
    }

    if (status != CTL_DONE) {
        return status;
    }

    if (ctl->expires != NULL
        && ak_time_point(ak_cstr(ctl->expires), im->now, &im->expires, &d)
           != AK_OK)
    {
        return ctl_usage(ctl, "--expires: %s", d.text);
    }

    /* keys that were made here need no pepper */

    return (ctl->keyring == NULL) ? CTL_DONE : ctl_keyring_open(ctl);
}


ctl_status_e
ctl_key_import(ctl_t *ctl)
{
    ctl_rows_e    form;
    ctl_import_t  im;
    ctl_status_e  status;

    memset(&im, 0, sizeof(ctl_import_t));
    im.ctl = ctl;
    im.now = (int64_t) time(NULL);
    ctl_bar_init(&im.bar, "rows");

    status = ctl_import_options(&im, &form);

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status != CTL_DONE) {
        return status;
    }

    im.digest = ak_digest_create();

    if (im.digest == NULL) {
        return ctl_fail(CTL_REFUSED, "OpenSSL cannot prepare SHA-256");
    }

    im.size = ctl_store_batch(ctl);
    im.entries = ctl_alloc(im.size * sizeof(ctl_entry_t));
    im.rows = ctl_rows_open(form, ctl_import_known);

    status = ctl_import_rows(&im);
    ctl_import_bar(&im, true);

    if (status == CTL_DONE) {
        ctl_import_print(&im);
        status = im.skipped ? CTL_REFUSED : CTL_DONE;

    } else {
        (void) ctl_fail(status, "%llu keys were imported before; repeat the "
                        "import to go on", (unsigned long long) im.imported);
    }

    ctl_import_forget(&im);
    ctl_rows_close(im.rows);
    ctl_free(im.entries);
    ak_digest_free(im.digest);

    return status;
}
