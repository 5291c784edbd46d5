
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <time.h>

#include "ak_key.h"
#include "ctl_key.h"


static const ctl_column_t  ctl_key_columns[] = {
    { "ID", "id", false },
    { "OWNER", "owner", false },
    { "NAME", "name", false },
    { "STATUS", "status", false },
    { "CREATED", "created", true },
    { "EXPIRES", "expires", true },
    { "LAST USED", "last_used", true },
    { "REQUESTS", "requests", false }
};


/* A word that is none may be a key that was pasted by mistake: never shown. */

ctl_status_e
ctl_key_id(const ctl_t *ctl, ak_str_t *id)
{
    ak_str_t  inner;

    *id = ak_cstr(ctl->words[0]);

    if (ak_str_starts(*id, ak_literal("sk-"))
        || ak_key_parse(*id, &inner) == AK_KEY_NATIVE)
    {
        return ctl_usage(ctl, "this is a key, and keys do not belong on a "
                         "command line; its id is wanted, the %d letters "
                         "that begin %d letters before the key's end",
                         AK_KEY_ID_LEN, AK_KEY_TAIL_LEN);
    }

    if (!ak_key_id_valid(*id)) {
        return ctl_usage(ctl, "this is not the id of a key, which has 1 to %d "
                         "letters and digits; \"apikeyctl key list\" shows "
                         "the ids", AK_ID_MAX);
    }

    return CTL_DONE;
}


/*
 * An id as it may be told.  What has the length of a key, but not that of an
 * id that is made here, may be the key of another system, pasted by mistake.
 */

static const char *
ctl_key_shown(ak_str_t id)
{
    if (id.len < AK_KEY_MIN || id.len == AK_KEY_ID_LEN
        || id.len == AK_KEY_FOREIGN_ID_LEN)
    {
        return (const char *) id.data;
    }

    return "of that id";
}


ctl_status_e
ctl_key_not_found(ak_str_t id)
{
    return ctl_fail(CTL_REFUSED, "there is no key %s in the store; \"apikeyctl "
                    "key list\" shows those there are", ctl_key_shown(id));
}


ctl_status_e
ctl_key_place(ctl_t *ctl, ak_str_t id, uint8_t *dst, ak_str_t *key)
{
    if (ak_store_record_key(&ctl->conf, id, dst, key) != AK_OK) {
        return ctl_usage(ctl, "the prefix of the store is too long");
    }

    return CTL_DONE;
}


static void
ctl_key_set_text(json_t *object, const char *field, ak_str_t value)
{
    if (value.len != 0) {
        ctl_set(object, field, ctl_json(value));
    }
}


json_t *
ctl_key_object(ak_str_t id, const ak_record_t *rec)
{
    char      *name;
    json_t    *meta, *object;
    unsigned   i;

    object = json_object();

    ctl_set(object, "id", ctl_json(id));
    ctl_set(object, "owner", ctl_json(rec->owner));
    ctl_set(object, "name", ctl_json(rec->name));
    ctl_set(object, "status", ctl_json(ak_record_status_name(
                                           (ak_status_e) rec->status)));
    ctl_set(object, "created", json_integer(rec->created));
    ctl_set(object, "expires", json_integer(rec->expires));

    ctl_key_set_text(object, "scopes", rec->scopes);
    ctl_key_set_text(object, "routes", rec->routes);
    ctl_key_set_text(object, "ips", rec->ips);
    ctl_key_set_text(object, "rate", rec->rate);
    ctl_key_set_text(object, "replaced_by", rec->replaced_by);

    if (ak_hash_weak(&rec->hash)) {
        ctl_set(object, "warning", json_string(CTL_KEY_WEAK));
    }

    if (rec->nmeta == 0) {
        return object;
    }

    meta = json_object();

    for (i = 0; i < rec->nmeta; i++) {
        name = ctl_strdup(rec->meta[i].name);

        if (json_object_set_new(meta, name, ctl_json(rec->meta[i].value))
            != 0)
        {
            ctl_set(meta, "?", ctl_json(rec->meta[i].value));
        }

        ctl_free(name);
    }

    ctl_set(object, "meta", meta);

    return object;
}


static const ctl_column_t  ctl_key_lines[] = {
    { "id", "id", false },
    { "owner", "owner", false },
    { "name", "name", false },
    { "status", "status", false },
    { "created", "created", true },
    { "expires", "expires", true },
    { "last used", "last_used", true },
    { "requests", "requests", false },
    { "scopes", "scopes", false },
    { "routes", "routes", false },
    { "ips", "ips", false },
    { "rate", "rate", false },
    { "replaced by", "replaced_by", false },
    { "warning", "warning", false }
};


/* What the operator has added has lines of its own, and the key is the last. */

void
ctl_key_print_object(json_t *object)
{
    char          *names[AK_RECORD_META_MAX];
    json_t        *value;
    size_t         i, n, size;
    const char    *name;
    ctl_column_t   cols[ak_nitems(ctl_key_lines) + AK_RECORD_META_MAX + 1];

    memcpy(cols, ctl_key_lines, sizeof(ctl_key_lines));

    n = 0;

    json_object_foreach(json_object_get(object, "meta"), name, value) {

        size = sizeof("meta.") + strlen(name);
        names[n] = ctl_alloc(size);
        (void) snprintf(names[n], size, "meta.%s", name);
        ctl_set(object, names[n], json_incref(value));

        cols[ak_nitems(ctl_key_lines) + n] = (ctl_column_t) {
            names[n], names[n], false
        };

        n++;
    }

    cols[ak_nitems(ctl_key_lines) + n] = (ctl_column_t) {
        "key", "key", false
    };

    ctl_print_object(object, cols, ak_nitems(ctl_key_lines) + n + 1);

    for (i = 0; i < n; i++) {
        json_object_del(object, names[i]);
        ctl_free(names[i]);
    }
}


ak_rc_t
ctl_key_read(const ak_reply_t *reply, ak_record_t *rec, ak_diag_t *d)
{
    size_t      n;
    ak_rc_t     rc;
    ak_field_t  fields[AK_RECORD_FIELDS_MAX];

    if (reply == NULL) {
        return ak_diag(d, "it is larger than a record can be");
    }

    if (reply->type == AK_REPLY_ERROR) {
        return ak_diag(d, "it is no hash of fields");
    }

    rc = ak_store_fields(reply, fields, AK_RECORD_FIELDS_MAX, &n);

    if (rc == AK_NOT_FOUND) {
        return AK_NOT_FOUND;
    }

    if (rc != AK_OK) {
        return ak_diag(d, "it has more than %d fields", AK_RECORD_FIELDS_MAX);
    }

    return ak_record_parse(fields, n, rec, d);
}


/* A status for people tells that an active key has expired. */

static void
ctl_key_tell_expired(json_t *object)
{
    json_int_t   expires;
    const char  *status;

    expires = json_integer_value(json_object_get(object, "expires"));
    status = json_string_value(json_object_get(object, "status"));

    if (expires != 0 && expires <= (json_int_t) time(NULL)
        && status != NULL && strcmp(status, "active") == 0)
    {
        ctl_set(object, "status", json_string("expired"));
    }
}


/* key list */

typedef struct {
    ctl_t        *ctl;
    ctl_names_t   names;
    size_t        skip;                /* bytes of a name before the id */
    json_t       *rows;
} ctl_key_list_t;


/* Whether a record that is damaged is of the owner that was asked for. */

static bool
ctl_key_owned(const ak_reply_t *reply, ak_str_t owner)
{
    size_t  i;

    if (reply == NULL || reply->type != AK_REPLY_ARRAY) {
        return false;
    }

    for (i = 0; i + 1 < reply->n; i += 2) {
        if (ak_str_eq(reply->elements[i]->str, ak_literal("owner"))) {
            return ak_str_eq(reply->elements[i + 1]->str, owner);
        }
    }

    return false;
}


static void
ctl_key_row(void *data, size_t i, const ak_reply_t *reply)
{
    json_t          *row;
    ak_rc_t          rc;
    ak_str_t         id, owner;
    ak_diag_t        d;
    ak_record_t      rec;
    ctl_key_list_t  *list;

    list = data;

    id = ak_cstr(list->names.names[i] + list->skip);
    owner = ak_cstr(list->ctl->owner);

    d.text[0] = '\0';

    rc = ctl_key_read(reply, &rec, &d);

    if (rc == AK_NOT_FOUND) {
        return;                        /* deleted meanwhile */
    }

    if (rc == AK_OK && !ak_key_id_valid(id)) {
        rc = ak_diag(&d, "its name in the store holds no valid id");
    }

    if (list->ctl->owner != NULL
        && (rc == AK_OK ? !ak_str_eq(rec.owner, owner)
                        : !ctl_key_owned(reply, owner)))
    {
        return;
    }

    if (rc == AK_OK) {
        row = ctl_key_object(id, &rec);

    } else {
        row = json_object();
        ctl_set(row, "id", ctl_json(id));
        ctl_set(row, "status", json_string("damaged"));
        ctl_set(row, "damaged", ctl_json(ak_cstr(d.text)));
    }

    json_array_append_new(list->rows, row);
}


static void
ctl_key_print_list(const ctl_t *ctl, const json_t *rows)
{
    size_t         i;
    json_t        *row;
    const json_t  *why;

    if (ctl->json) {
        ctl_print_json(rows);
        return;
    }

    json_array_foreach(rows, i, row) {
        ctl_key_tell_expired(row);
        ctl_usage_tell(row);
    }

    ctl_print_table(rows, ctl_key_columns, ak_nitems(ctl_key_columns));

    json_array_foreach(rows, i, row) {
        why = json_object_get(row, "damaged");

        if (why != NULL) {
            ctl_print_text("damaged record %s: %s; its key is refused",
                           json_string_value(json_object_get(row, "id")),
                           json_string_value(why));
        }

        why = json_object_get(row, "warning");

        if (why != NULL) {
            ctl_print_text("%s: %s",
                           json_string_value(json_object_get(row, "id")),
                           json_string_value(why));
        }
    }
}


ctl_status_e
ctl_key_list(ctl_t *ctl)
{
    int64_t                   span;
    ctl_status_e              status;
    ctl_key_list_t            list;
    static const char *const  order[] = { "owner", "created", "id", NULL };

    status = ctl_usage_span(ctl, &span);

    if (status == CTL_DONE && ctl->owner != NULL) {
        status = ctl_name_check(ctl, "--owner", ctl->owner);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status != CTL_DONE) {
        return status;
    }

    memset(&list, 0, sizeof(ctl_key_list_t));
    list.ctl = ctl;
    list.rows = json_array();
    list.skip = ctl->conf.prefix.len + sizeof("key:") - 1;

    status = ctl_store_scan(ctl, ak_literal("key:"), ak_literal(""),
                            &list.names);

    if (status == CTL_DONE) {
        status = ctl_store_fetch(ctl, &list.names, ctl_key_row, &list);
    }

    if (status == CTL_DONE) {
        status = ctl_usage_add(ctl, list.rows);
    }

    if (status == CTL_DONE && ctl->unused != NULL) {
        status = ctl_usage_unused(ctl, list.rows, span);
    }

    if (status == CTL_DONE) {
        list.rows = ctl_sort(list.rows, order);
        ctl_key_print_list(ctl, list.rows);
    }

    json_decref(list.rows);
    ctl_names_free(&list.names);

    return status;
}


/* key show */

static ctl_status_e
ctl_key_print(ctl_t *ctl, ak_str_t id, const ak_reply_t *reply)
{
    json_t        *object, *rows;
    ak_rc_t        rc;
    ak_diag_t      d;
    ak_record_t    rec;
    ctl_status_e   status;

    rc = ctl_key_read(reply, &rec, &d);

    if (rc == AK_NOT_FOUND) {
        return ctl_key_not_found(id);
    }

    if (rc != AK_OK) {
        return ctl_fail(CTL_REFUSED, "the record of key %s is damaged: %s; "
                        "its key is refused; delete it",
                        ctl_key_shown(id), d.text);
    }

    object = ctl_key_object(id, &rec);

    rows = json_array();
    json_array_append(rows, object);
    status = ctl_usage_add(ctl, rows);
    json_decref(rows);

    if (status == CTL_DONE && ctl->json) {
        ctl_print_json(object);

    } else if (status == CTL_DONE) {
        ctl_key_tell_expired(object);
        ctl_usage_tell(object);
        ctl_key_print_object(object);
    }

    json_decref(object);

    return status;
}


ctl_status_e
ctl_key_show(ctl_t *ctl)
{
    uint8_t       name[AK_STORE_KEY_MAX];
    ak_str_t      id, key;
    ak_reply_t   *reply;
    ctl_status_e  status;

    status = ctl_key_id(ctl, &id);

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_key_place(ctl, id, name, &key);
    }

    if (status == CTL_DONE) {
        status = ctl_store_hash(ctl, key, &reply);
    }

    if (status == CTL_DONE) {
        status = ctl_key_print(ctl, id, reply);
        ctl_reply_free(reply);
    }

    return status;
}


/* key disable, enable, revoke */

typedef struct {
    ak_str_t     id;
    ak_str_t     place;
    ak_status_e  want;
    bool         changed;
} ctl_key_change_t;


static ctl_status_e
ctl_key_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    bool               hash;
    ak_rc_t            rc;
    ak_diag_t          d;
    const char        *id;
    ak_record_t        rec;
    ctl_key_change_t  *change;

    change = data;
    id = ctl_key_shown(change->id);

    change->changed = false;

    rc = ctl_key_read(reply, &rec, &d);

    if (rc == AK_NOT_FOUND) {
        return ctl_key_not_found(change->id);
    }

    hash = (reply != NULL && reply->type == AK_REPLY_ARRAY);

    if (!hash || (rc != AK_OK && change->want != AK_STATUS_REVOKED)) {
        return ctl_fail(CTL_REFUSED, "the record of key %s is damaged: %s; "
                        "its key is refused as it is; it can be %sdeleted",
                        id, d.text, hash ? "revoked or " : "");
    }

    if (rc == AK_OK && rec.status == change->want) {
        return CTL_DONE;
    }

    if (rc == AK_OK && rec.status == AK_STATUS_REVOKED) {
        return ctl_fail(CTL_REFUSED, "key %s is revoked, which is final; "
                        "create another key", id);
    }

    change->changed = true;

    argv[0] = ak_literal("HSET");
    argv[1] = change->place;
    argv[2] = ak_literal("status");
    argv[3] = ak_record_status_name(change->want);
    *argc = 4;

    return CTL_DONE;
}


static ctl_status_e
ctl_key_change(ctl_t *ctl, ak_status_e want)
{
    json_t            *object;
    uint8_t            name[AK_STORE_KEY_MAX];
    ak_str_t           word;
    ctl_status_e       status;
    ctl_key_change_t   change;

    memset(&change, 0, sizeof(ctl_key_change_t));
    change.want = want;

    status = ctl_key_id(ctl, &change.id);

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_key_place(ctl, change.id, name, &change.place);
    }

    if (status == CTL_DONE) {
        status = ctl_store_change(ctl, change.place, ctl_key_decide, &change);
    }

    if (status != CTL_DONE) {
        return status;
    }

    if (!change.changed) {
        ctl_store_tell(ctl, change.place);
    }

    word = ak_record_status_name(want);

    if (!ctl->json) {
        ctl_print_text("Key %.*s is %s%.*s.", AK_FMT(change.id),
                       change.changed ? "now " : "already ", AK_FMT(word));
        return CTL_DONE;
    }

    object = json_object();
    ctl_set(object, "id", ctl_json(change.id));
    ctl_set(object, "status", ctl_json(word));
    ctl_set(object, "changed", json_boolean(change.changed));
    ctl_print_json(object);
    json_decref(object);

    return CTL_DONE;
}


ctl_status_e
ctl_key_disable(ctl_t *ctl)
{
    return ctl_key_change(ctl, AK_STATUS_DISABLED);
}


ctl_status_e
ctl_key_enable(ctl_t *ctl)
{
    return ctl_key_change(ctl, AK_STATUS_ACTIVE);
}


ctl_status_e
ctl_key_revoke(ctl_t *ctl)
{
    return ctl_key_change(ctl, AK_STATUS_REVOKED);
}


ctl_status_e
ctl_key_delete(ctl_t *ctl)
{
    json_t       *object;
    int64_t       found;
    uint8_t       name[AK_STORE_KEY_MAX];
    ak_str_t      id, argv[2];
    ctl_status_e  status;

    status = ctl_key_id(ctl, &id);

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    argv[0] = ak_literal("DEL");

    if (status == CTL_DONE) {
        status = ctl_key_place(ctl, id, name, &argv[1]);
    }

    if (status != CTL_DONE) {
        return status;
    }

    status = ctl_store_remove(ctl, argv, 2, &found);

    if (status != CTL_DONE) {
        return status;
    }

    if (found != 1) {
        return ctl_key_not_found(id);
    }

    ctl_usage_forget(ctl, id);

    if (!ctl->json) {
        ctl_print_text("Key %.*s is deleted.", AK_FMT(id));
        return CTL_DONE;
    }

    object = json_object();
    ctl_set(object, "id", ctl_json(id));
    ctl_set(object, "deleted", json_true());
    ctl_print_json(object);
    json_decref(object);

    return CTL_DONE;
}
