
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
#include "ctl_app.h"
#include "ctl_intake.h"
#include "ctl_key.h"


/*
 * Keys of standard input, in batches.  The id of a key is made of the key, so
 * that the same key is found again: what is there is left alone, and an import
 * that was cut off is just repeated.
 */

typedef struct {
    ctl_t            *ctl;
    ctl_intake_t      in;
    ctl_rows_e        form;
    const ctl_app_t  *app;             /* NULL: columns have our names */
    ak_import_key_t   app_key;
    bool              opens;           /* app_key is there */
    uint8_t          *opened;          /* room for a key that was sealed */
    ak_digest_t      *digest;
    int64_t           now;
    int64_t           expires;         /* of rows that do not say */

    ctl_entry_t      *entries;         /* the batch */
    size_t            n;
    size_t            size;
    void             *names;           /* those of the batch, tsearch(3) */
} ctl_import_t;


/* A row: what is no field of a record, beside the record. */

typedef struct {
    ak_str_t     key;
    ak_str_t     hash;
    ak_record_t  rec;
} ctl_import_row_t;


static const ak_str_t  ctl_expires = ak_string("expires");
static const ak_str_t  ctl_meta = ak_string("meta.");

static const char *const  ctl_import_forms[] = {
    [CTL_ROWS_TEXT] = "text",
    [CTL_ROWS_CSV] = "csv",
    [CTL_ROWS_JSON] = "json"
};


/* Where a column goes; NULL: nowhere as it is, or there is no such one. */

static ak_str_t *
ctl_import_place(ctl_import_row_t *row, ak_str_t name)
{
    size_t        i;
    ak_record_t  *rec = &row->rec;
    struct {
        ak_str_t   name;
        ak_str_t  *value;
    } texts[] = {
        { ak_string("key"), &row->key },
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


static ctl_cell_e
ctl_import_cell(const void *data, ak_str_t name)
{
    static ctl_import_row_t  row;      /* asked of, and not written to */

    (void) data;

    if (ak_str_eq(name, ak_literal("key"))) {
        return CTL_CELL_NEEDED;
    }

    return (ctl_import_place(&row, name) != NULL
            || ak_str_eq(name, ctl_expires)
            || ak_str_starts(name, ctl_meta))
           ? CTL_CELL_TEXT : CTL_CELL_UNKNOWN;
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
 * What only applications have.  A key that was switched off there is none here;
 * one that could only write gets a scope for that.
 */

static bool
ctl_import_special(ctl_import_row_t *row, ak_str_t name, ak_str_t value)
{
    if (ak_str_eq(name, ak_literal("hash"))) {
        row->hash = value;

    } else if (ak_str_eq(name, ak_literal("ingest"))) {

        if (ctl_app_flag(value)) {
            row->rec.scopes = ak_literal("ingest");
        }

    } else if (ak_str_eq(name, ak_literal("enabled"))) {

        if (!ctl_app_flag(value)) {
            row->rec.status = AK_STATUS_DISABLED;
        }

    } else if (ak_str_eq(name, ak_literal("blocked"))) {

        if (ctl_app_flag(value)) {
            row->rec.status = AK_STATUS_DISABLED;
        }

    } else {
        return false;
    }

    return true;
}


/*
 * Columns are told by their number: their values, and the names in what lacks
 * its header, may be keys.
 */

static ak_rc_t
ctl_import_field(ctl_import_t *im, const ctl_row_t *r, size_t n,
    ctl_import_row_t *row, ak_diag_t *d)
{
    ak_rc_t            rc;
    ak_str_t           name, *place;
    const ak_field_t  *f;

    f = &r->fields[n++];
    name = (im->app == NULL) ? f->name
                             : ak_cstr(ctl_app_field(im->app, f->name));

    if (im->app == NULL ? ctl_import_cell(NULL, name) == CTL_CELL_UNKNOWN
                        : ctl_app_cell(im->app, f->name) == CTL_CELL_UNKNOWN)
    {
        return ak_diag(d, "the name of its member %zu is none that is known",
                       n);
    }

    if (f->value.len == 0 || name.len == 0) {
        return AK_OK;
    }

    if (!ctl_import_utf8(f->name) || !ctl_import_utf8(f->value)) {
        return ak_diag(d, "its value %zu is no UTF-8", n);
    }

    if (im->app != NULL && ctl_import_special(row, name, f->value)) {
        return AK_OK;
    }

    place = ctl_import_place(row, name);

    if (place != NULL) {
        *place = f->value;
        return AK_OK;
    }

    if (ak_str_eq(name, ctl_expires)) {
        rc = (im->app == NULL)
             ? ak_time_point(f->value, im->now, &row->rec.expires, NULL)
             : ctl_app_expires(f->value, im->now, &row->rec.expires);

        if (rc != AK_OK) {
            return ak_diag(d, "its value %zu, when it expires, is no time%s",
                           n, im->app == NULL ? "" : " to come");
        }

        return AK_OK;
    }

    name = ak_str(name.data + ctl_meta.len, name.len - ctl_meta.len);

    if (ctl_limits_meta(&row->rec, name, f->value, NULL) != AK_OK) {
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


/* A key that its application has the hash of: 64 hex digits. */

static ak_rc_t
ctl_import_weak(ctl_import_t *im, ak_str_t hex, ak_record_t *rec,
    uint8_t *buf, ak_str_t *id, ak_diag_t *d)
{
    size_t       i;
    const char  *p, *q;
    static const char  digits[] = "0123456789abcdef";

    if (hex.len != 2 * AK_SHA256_LEN) {
        return ak_diag(d, "its hash has not 64 hex digits");
    }

    for (i = 0; i < AK_SHA256_LEN; i++) {
        p = memchr(digits, hex.data[2 * i] | 0x20, 16);
        q = memchr(digits, hex.data[2 * i + 1] | 0x20, 16);

        if (p == NULL || q == NULL) {
            return ak_diag(d, "its hash has not 64 hex digits");
        }

        rec->hash.sum[i] = (uint8_t) ((p - digits) << 4 | (q - digits));
    }

    rec->hash.alg = (uint8_t) im->app->weak;

    if (ak_key_weak_id(im->app->weak, rec->hash.sum, im->ctl->keys, buf)
        != AK_OK)
    {
        return ak_diag(d, "its key is of another system, which needs a "
                       "keyring with a pepper");
    }

    *id = ak_str(buf, AK_KEY_FOREIGN_ID_LEN);

    return AK_OK;
}


/* LobeHub seals its keys, to show them again; raw ones have no colon. */

static ak_rc_t
ctl_import_unseal(ctl_import_t *im, ctl_import_row_t *row, ak_diag_t *d)
{
    size_t              len;
    ak_import_e         class;
    ak_import_sealed_t  sealed;

    if (im->app == NULL || !im->app->sealed
        || memchr(row->key.data, ':', row->key.len) == NULL)
    {
        return AK_OK;
    }

    memset(&sealed, 0, sizeof(ak_import_sealed_t));
    sealed.value = row->key;

    class = im->opens ? ak_import_open(&im->app_key, &sealed, im->opened, &len)
                      : AK_IMPORT_KEY_MISSING;

    if (class != AK_IMPORT_OK) {
        return ak_diag(d, "%s", ak_import_class(class));
    }

    row->key = ak_str(im->opened, len);

    return AK_OK;
}


static ak_rc_t
ctl_import_identify(ctl_import_t *im, ctl_import_row_t *row, uint8_t *buf,
    ak_str_t *id, ak_diag_t *d)
{
    if (im->app != NULL && im->app->weak != 0) {

        return (row->hash.len == 0)
               ? ak_diag(d, "it has no hash")
               : ctl_import_weak(im, row->hash, &row->rec, buf, id, d);
    }

    if (row->key.len == 0) {
        return ak_diag(d, "it has no key");
    }

    if (ctl_import_unseal(im, row, d) != AK_OK) {
        return AK_ERROR;
    }

    return ctl_import_hash(im, row->key, &row->rec, buf, id, d);
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


/* Hands the batch to the store, once it is full. */

static ctl_status_e
ctl_import_flush(void *data, bool last)
{
    size_t         i;
    ctl_import_t  *im = data;
    ctl_status_e   status;

    if (im->n < im->size && !last) {
        return CTL_DONE;
    }

    status = CTL_DONE;

    if (!im->ctl->dry_run) {
        status = ctl_store_add(im->ctl, im->entries, im->n);
    }

    for (i = 0; i < im->n && status == CTL_DONE; i++) {

        if (im->entries[i].there) {
            im->in.there++;

        } else {
            im->in.imported++;
        }
    }

    ctl_import_forget(im);

    return status;
}


static ak_rc_t
ctl_import_add(ctl_import_t *im, const ctl_row_t *r, ctl_import_row_t *row,
    ak_diag_t *d)
{
    size_t        i;
    uint8_t       buf[AK_KEY_FOREIGN_ID_LEN], name[AK_STORE_KEY_MAX];
    ak_str_t      id, place;
    ctl_entry_t  *e;

    for (i = 0; i < r->n; i++) {
        if (ctl_import_field(im, r, i, row, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    if (row->key.len == 0 && row->hash.len == 0) {
        return ak_diag(d, "it has no %s",
                       im->app == NULL ? "key" : im->app->columns[0].name);
    }

    if (ctl_import_check(&row->rec, d) != AK_OK
        || ctl_import_identify(im, row, buf, &id, d) != AK_OK)
    {
        return AK_ERROR;
    }

    if (!ctl_limits_fit(&row->rec)) {
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
        im->in.there++;
        return AK_OK;
    }

    ctl_import_keep(e, &row->rec);
    im->n++;

    return AK_OK;
}


static ak_rc_t
ctl_import_row(void *data, const ctl_row_t *r, ak_diag_t *d)
{
    ctl_import_t      *im = data;
    ctl_import_row_t   row;

    memset(&row, 0, sizeof(ctl_import_row_t));

    row.rec.owner = ak_cstr(im->ctl->owner);
    row.rec.name = ak_cstr(im->ctl->name);
    row.rec.status = AK_STATUS_ACTIVE;
    row.rec.created = im->now;
    row.rec.expires = im->expires;

    return ctl_import_add(im, r, &row, d);
}


static void
ctl_import_print(const ctl_import_t *im)
{
    json_t              *object;
    const ctl_intake_t  *in = &im->in;

    if (!im->ctl->json) {
        ctl_print_text("%s%llu, already there %llu, skipped %llu.",
                       im->ctl->dry_run ? "To be imported or there: "
                                        : "Imported ",
                       (unsigned long long) in->imported,
                       (unsigned long long) in->there,
                       (unsigned long long) in->skipped);
        return;
    }

    object = json_object();
    ctl_set(object, "imported", json_integer((json_int_t) in->imported));
    ctl_set(object, "there", json_integer((json_int_t) in->there));
    ctl_set(object, "skipped", json_integer((json_int_t) in->skipped));
    ctl_set(object, "dry_run", json_boolean(im->ctl->dry_run));
    ctl_print_json(object);
    json_decref(object);
}


static ctl_status_e
ctl_import_format(ctl_import_t *im)
{
    size_t  i;
    ctl_t  *ctl;

    ctl = im->ctl;
    im->form = CTL_ROWS_TEXT;

    if (ctl->format == NULL) {
        return CTL_DONE;
    }

    im->app = ctl_app_of_keys(ctl->format);

    if (im->app != NULL) {
        im->form = im->app->rows;
        return CTL_DONE;
    }

    for (i = 0; i < ak_nitems(ctl_import_forms); i++) {
        if (strcmp(ctl->format, ctl_import_forms[i]) == 0) {
            im->form = (ctl_rows_e) i;
            return CTL_DONE;
        }
    }

    return ctl_usage(ctl, "--format is text, csv, json, open-webui, lmnr, "
                     "lobehub or litellm");
}


static ctl_status_e
ctl_import_options(ctl_import_t *im)
{
    ctl_t        *ctl;
    ak_diag_t     d;
    ctl_status_e  status;

    ctl = im->ctl;
    status = ctl_import_format(im);

    if (status == CTL_DONE && ctl->owner != NULL) {
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

    if (ctl->app_key != NULL) {

        if (im->app == NULL || !im->app->sealed) {
            return ctl_usage(ctl, "this format has nothing that is sealed: "
                             "--app-key is of no use");
        }

        status = ctl_app_key(ctl, im->app, &im->app_key);
        im->opens = (status == CTL_DONE);
    }

    /* keys that were made here need no pepper */

    if (status == CTL_DONE && ctl->keyring != NULL) {
        status = ctl_keyring_open(ctl);
    }

    return status;
}


static ctl_status_e
ctl_import_all(ctl_import_t *im)
{
    ctl_status_e  status;

    im->digest = ak_digest_create();

    if (im->digest == NULL) {
        return ctl_fail(CTL_REFUSED, "OpenSSL cannot prepare SHA-256");
    }

    im->size = ctl_store_batch(im->ctl);
    im->entries = ctl_alloc(im->size * sizeof(ctl_entry_t));
    im->opened = im->opens ? ctl_alloc(CTL_ROW_MAX) : NULL;

    ctl_intake_begin(&im->in, im->ctl,
                     ctl_rows_open(im->form,
                                   im->app == NULL ? ctl_import_cell
                                                   : ctl_app_cell,
                                   im->app,
                                   im->app == NULL
                                   ? "key" : im->app->columns[0].name));

    status = ctl_intake_run(&im->in, ctl_import_row, ctl_import_flush, im);

    if (status == CTL_DONE) {
        ctl_import_print(im);
        status = im->in.skipped ? CTL_REFUSED : CTL_DONE;
    }

    ctl_import_forget(im);
    ctl_intake_end(&im->in);
    ctl_free(im->entries);
    ctl_free(im->opened);
    ak_digest_free(im->digest);

    return status;
}


ctl_status_e
ctl_key_import(ctl_t *ctl)
{
    ctl_import_t  im;
    ctl_status_e  status;

    memset(&im, 0, sizeof(ctl_import_t));
    im.ctl = ctl;
    im.now = (int64_t) time(NULL);

    status = ctl_import_options(&im);

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_import_all(&im);
    }

    ak_mem_wipe(&im.app_key, sizeof(ak_import_key_t));

    return status;
}
