
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ak_mem.h"
#include "ak_provider.h"
#include "ak_seal.h"
#include "ak_tokens.h"
#include "ctl_print.h"
#include "ctl_store.h"
#include "ctl_upstream.h"


#define CTL_SHARED  "*"                /* the owner of the shared keys */


static const ctl_column_t  ctl_list_columns[] = {
    { "OWNER", "owner", false },
    { "PROVIDER", "provider", false },
    { "SLOT", "slot", false },
    { "KID", "kid", false },
    { "IN KEYRING", "in_keyring", false }
};


static const ctl_column_t  ctl_check_columns[] = {
    { "OWNER", "owner", false },
    { "PROVIDER", "provider", false },
    { "SLOT", "slot", false },
    { "KID", "kid", false },
    { "OPENS", "ok", false },
    { "WHY NOT", "error", false }
};


static ctl_status_e
ctl_upstream_owner(const ctl_t *ctl, bool needed)
{
    if (ctl->owner != NULL && ctl->shared) {
        return ctl_usage(ctl, "--owner and --shared exclude each other");
    }

    if (ctl->owner != NULL) {
        return ctl_name_check(ctl, "--owner", ctl->owner);
    }

    if (needed && !ctl->shared) {
        return ctl_usage(ctl, "whose upstream key is it? give --owner OWNER, "
                         "or --shared for those who have none of their own");
    }

    return CTL_DONE;
}


/*
 * What was given for a provider is never shown where it is refused: it may be
 * a secret that was typed in its place.  Any name may be a provider's, but
 * hardly one with many digits.
 */

#define CTL_PROVIDER_DIGITS  6


static bool
ctl_upstream_secret(ak_str_t name)
{
    size_t  i, digits;

    digits = 0;

    for (i = 0; i < name.len; i++) {
        digits += (name.data[i] >= '0' && name.data[i] <= '9');
    }

    return digits > CTL_PROVIDER_DIGITS
           || ak_str_starts(name, ak_literal("sk-"));
}


static ctl_status_e
ctl_upstream_provider(const ctl_t *ctl)
{
    ak_str_t  name;

    name = ak_cstr(ctl->words[0]);

    if (ak_provider_find(name) != NULL) {
        return CTL_DONE;
    }

    if (!ak_provider_name_valid(name)) {
        return ctl_usage(ctl, "a provider is a name of 1 to %d of a-z, 0-9, "
                         "\".\", \"_\" and \"-\"", AK_NAME_MAX);
    }

    if (ctl_upstream_secret(name)) {
        return ctl_usage(ctl, "that is more like a key than the name of a "
                         "provider; the key is read from standard input");
    }

    return CTL_DONE;
}


/* For a secret that is stored: nobody would find out before nginx is asked. */

static void
ctl_upstream_note(ak_str_t name)
{
    char                  known[512];
    size_t                i, len;
    const ak_provider_t  *p;

    if (ak_provider_find(name) != NULL) {
        return;
    }

    len = 0;
    known[0] = '\0';

    for (i = 0; (p = ak_provider_at(i)) != NULL; i++) {
        if (len + p->name.len + 3 > sizeof(known)) {
            break;
        }

        len += (size_t) snprintf(known + len, sizeof(known) - len, "%s%.*s",
                                 i == 0 ? "" : ", ", AK_FMT(p->name));
    }

    fprintf(stderr, "apikeyctl: warning: \"%.*s\" is not built in: nginx needs "
            "an apikey_provider block of that name. Built in are %s\n",
            AK_FMT(name), known);
}


/* Where the upstream key of the command line belongs. */

static ctl_status_e
ctl_upstream_place(const ctl_t *ctl, ak_place_t *place)
{
    ctl_status_e  status;

    status = ctl_upstream_owner(ctl, true);

    if (status == CTL_DONE) {
        status = ctl_upstream_provider(ctl);
    }

    if (status != CTL_DONE) {
        return status;
    }

    place->owner = ak_cstr(ctl->shared ? CTL_SHARED : ctl->owner);
    place->provider = ak_cstr(ctl->words[0]);
    place->slot = ak_cstr(ctl->slot == NULL ? "default" : ctl->slot);

    if (!ak_slot_valid(place->slot)) {
        return ctl_usage(ctl, "--slot is a name of 1 to 64 letters, digits, "
                         "\".\", \"_\" and \"-\"");
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_upstream_name(const ctl_t *ctl, const ak_place_t *place, uint8_t *dst,
    ak_str_t *key)
{
    if (ak_store_tokens_key(&ctl->conf, place->owner, place->provider, dst,
                            key)
        != AK_OK)
    {
        return ctl_usage(ctl, "the owner and the prefix of the store are too "
                         "long together");
    }

    return CTL_DONE;
}


static json_t *
ctl_upstream_object(const ak_place_t *place)
{
    json_t  *object;

    object = json_object();

    ctl_set(object, "owner", ctl_json(place->owner));
    ctl_set(object, "shared",
            json_boolean(ak_str_eq(place->owner, ak_literal(CTL_SHARED))));
    ctl_set(object, "provider", ctl_json(place->provider));
    ctl_set(object, "slot", ctl_json(place->slot));

    return object;
}


/* upstream set */

static ctl_status_e
ctl_upstream_refuse(const ctl_upstream_set_t *set, const char *text)
{
    if (set->why == NULL) {
        return ctl_fail(CTL_REFUSED, "%s", text);
    }

    (void) ak_diag(set->why, "%s", text);

    return CTL_REFUSED;
}


/*
 * A set beyond the limits of ak_tokens.h could be used by nobody, so what the
 * set would be is packed before it is written.
 */

ctl_status_e
ctl_upstream_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    size_t               i, len, n;
    ak_rc_t              rc;
    uint8_t              packed[AK_VALUE_MAX];
    unsigned             damaged;
    ak_diag_t            d;
    ak_field_t           fields[AK_SLOTS_MAX + 1];
    ctl_upstream_set_t  *set;

    set = data;

    if (reply == NULL || reply->type != AK_REPLY_ARRAY) {
        return ctl_upstream_refuse(set, "what the store has in this place is "
                                   "no hash of slots, or too large a one; "
                                   "nothing was changed");
    }

    rc = ak_store_fields(reply, fields, AK_SLOTS_MAX, &n);
    n = (rc == AK_NOT_FOUND) ? 0 : n;

    if (rc == AK_OK || rc == AK_NOT_FOUND) {

        for (i = 0; i < n; i++) {
            if (ak_str_eq(fields[i].name, set->place.slot)) {
                break;
            }
        }

        set->replaced = (i < n);

        if (set->replaced && set->keep) {
            *argc = 0;
            return CTL_DONE;
        }

        n = (i < n) ? n : n + 1;

        fields[i].name = set->place.slot;
        fields[i].value = set->token;

        rc = ak_tokens_pack(fields, n, packed, &len, &damaged);
    }

    if (rc != AK_OK) {
        ak_diag(&d, "there is no room for another slot: an owner has at most "
                "%d of a provider, and %d bytes together; delete one first",
                AK_SLOTS_MAX, AK_VALUE_MAX);

        return ctl_upstream_refuse(set, d.text);
    }

    argv[0] = ak_literal("HSET");
    argv[1] = set->name;
    argv[2] = set->place.slot;
    argv[3] = set->token;
    *argc = 4;

    return CTL_DONE;
}


static ctl_status_e
ctl_upstream_seal(ctl_t *ctl, const ak_place_t *place, uint8_t *token,
    size_t *len)
{
    size_t        size;
    ak_rc_t       rc;
    uint8_t       secret[AK_SECRET_MAX];
    ak_diag_t     d;
    ctl_status_e  status;

    status = ctl_secret_read("Upstream key (it is not shown)", "secret",
                             secret, AK_SECRET_MAX, &size);

    if (status != CTL_DONE) {
        return status;
    }

    rc = ak_seal(ctl->keys, place, ak_str(secret, size), token, len, &d);
    ak_mem_wipe(secret, sizeof(secret));

    if (rc != AK_OK) {
        return ctl_fail(CTL_REFUSED, "%s", d.text);
    }

    return CTL_DONE;
}


static void
ctl_upstream_print_set(const ctl_t *ctl, const ctl_upstream_set_t *set)
{
    char     kid[CTL_KID_TEXT_LEN + 1];
    json_t  *object;

    ctl_kid_text(ak_keyring_kid(ctl->keys, 0), kid);

    if (!ctl->json) {
        ctl_print_text("Upstream key %s: owner %s, provider %s, slot %s, "
                       "master key %s.", set->replaced ? "replaced" : "set",
                       (const char *) set->place.owner.data,
                       (const char *) set->place.provider.data,
                       (const char *) set->place.slot.data, kid);
        return;
    }

    object = ctl_upstream_object(&set->place);
    ctl_set(object, "kid", ctl_json(ak_cstr(kid)));
    ctl_set(object, "replaced", json_boolean(set->replaced));
    ctl_print_json(object);
    json_decref(object);
}


ctl_status_e
ctl_upstream_set(ctl_t *ctl)
{
    size_t              len;
    uint8_t             name[AK_STORE_KEY_MAX], token[AK_SEALED_TEXT_MAX];
    ctl_status_e        status;
    ctl_upstream_set_t  set;

    memset(&set, 0, sizeof(ctl_upstream_set_t));

    status = ctl_upstream_place(ctl, &set.place);

    if (status == CTL_DONE) {
        status = ctl_store_conf(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_upstream_name(ctl, &set.place, name, &set.name);
    }

    if (status == CTL_DONE) {
        status = ctl_keyring_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_upstream_seal(ctl, &set.place, token, &len);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        set.token = ak_str(token, len);
        status = ctl_store_change(ctl, set.name, ctl_upstream_decide, &set);
    }

    if (status == CTL_DONE) {
        ctl_upstream_print_set(ctl, &set);
        ctl_upstream_note(set.place.provider);
    }

    return status;
}


/* upstream list, upstream check */

typedef struct {
    ctl_t        *ctl;
    ctl_names_t   names;
    size_t        skip;                /* bytes of a name before the owner */
    bool          open;                /* check: open every token */
    unsigned      failed;
    json_t       *rows;
} ctl_upstream_list_t;


bool
ctl_upstream_split(ak_str_t name, ak_place_t *place)
{
    size_t  i;

    for (i = name.len; i > 0; i--) {
        if (name.data[i - 1] == ':') {
            place->owner = ak_str(name.data, i - 1);
            place->provider = ak_str(name.data + i, name.len - i);
            return true;
        }
    }

    return false;
}


const char *
ctl_upstream_open(const ctl_t *ctl, const ak_place_t *place, ak_str_t sealed)
{
    ak_rc_t  rc;
    uint8_t  secret[AK_SECRET_MAX];

    rc = ak_seal_open(ctl->keys, place, sealed, secret);
    ak_mem_wipe(secret, sizeof(secret));

    switch (rc) {

    case AK_OK:
        return NULL;

    case AK_KID_UNKNOWN:
        return "unknown master key: none in the keyring has this kid";

    default:
        return "damaged, or moved here from another place";
    }
}


static void
ctl_upstream_row(ctl_upstream_list_t *list, const ak_place_t *place,
    ak_str_t token, const char *why)
{
    char           kid[CTL_KID_TEXT_LEN + 1];
    size_t         len;
    json_t        *row;
    uint8_t        sealed[AK_SEALED_MAX];
    ak_keyring_t  *keys;

    row = ctl_upstream_object(place);
    keys = list->ctl->keys;

    if (ak_seal_decode(token, sealed, &len) != AK_OK) {
        ctl_set(row, "kid", json_null());
        ctl_set(row, "in_keyring", json_null());
        why = (why == NULL) ? "damaged: this is no sealed token" : why;

    } else {
        ctl_kid_text(sealed, kid);
        ctl_set(row, "kid", ctl_json(ak_cstr(kid)));
        ctl_set(row, "in_keyring",
                keys == NULL ? json_null()
                             : json_boolean(ak_keyring_opener(keys, sealed)
                                            != NULL));

        if (why == NULL && list->open) {
            why = ctl_upstream_open(list->ctl, place, ak_str(sealed, len));
        }
    }

    if (list->open) {
        ctl_set(row, "ok", json_boolean(why == NULL));
    }

    if (why != NULL) {
        ctl_set(row, "error", json_string(why));
        list->failed++;
    }

    json_array_append_new(list->rows, row);
}


/* Why none of the tokens of a set can be used; NULL: nothing is wrong. */

static const char *
ctl_upstream_set_trouble(const ak_reply_t *reply, ak_field_t *fields,
    size_t *n)
{
    size_t    len;
    uint8_t   packed[AK_VALUE_MAX];
    unsigned  damaged;

    *n = 0;

    if (reply == NULL) {
        return "damaged: larger than the keys of an owner can be";
    }

    if (ak_store_fields(reply, fields, CTL_FIELDS_MAX, n) != AK_OK) {
        return "damaged: this is no hash of slots";
    }

    if (*n > AK_SLOTS_MAX
        || ak_tokens_pack(fields, *n, packed, &len, &damaged) != AK_OK)
    {
        return "the owner has too many slots of this provider, or too large "
               "ones, and none can be used";
    }

    return NULL;
}


static void
ctl_upstream_rows(void *data, size_t i, const ak_reply_t *reply)
{
    size_t                k, n;
    ak_place_t            place;
    const char           *trouble, *why;
    ak_field_t            fields[CTL_FIELDS_MAX];
    const ctl_t          *ctl;
    ctl_upstream_list_t  *list;

    list = data;
    ctl = list->ctl;

    if (!ctl_upstream_split(ak_cstr(list->names.names[i] + list->skip),
                            &place)
        || (ctl->owner != NULL && !ak_str_eq(place.owner,
                                             ak_cstr(ctl->owner)))
        || (ctl->shared && !ak_str_eq(place.owner, ak_literal(CTL_SHARED)))
        || (reply != NULL && reply->type == AK_REPLY_ARRAY && reply->n == 0))
    {
        return;
    }

    trouble = ctl_upstream_set_trouble(reply, fields, &n);

    if (n == 0) {
        place.slot = ak_literal("");
        ctl_upstream_row(list, &place, ak_literal(""), trouble);
    }

    for (k = 0; k < n; k++) {
        place.slot = fields[k].name;
        why = trouble;

        if (why == NULL && !ak_slot_valid(place.slot)) {
            why = "damaged: its slot has no valid name";
        }

        ctl_upstream_row(list, &place, fields[k].value, why);
    }
}


static ctl_status_e
ctl_upstream_collect(ctl_upstream_list_t *list)
{
    ctl_t                    *ctl;
    ak_str_t                  begin;
    ctl_status_e              status;
    static const char *const  order[] = { "owner", "provider", "slot", NULL };

    ctl = list->ctl;

    status = ctl_store_open(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    list->skip = ctl->conf.prefix.len + sizeof("upstream:") - 1;
    begin = ctl->shared ? ak_literal(CTL_SHARED ":") : ak_cstr(ctl->owner);

    status = ctl_store_scan(ctl, ak_literal("upstream:"), begin,
                            &list->names);

    if (status == CTL_DONE) {
        status = ctl_store_fetch(ctl, &list->names, ctl_upstream_rows, list);
    }

    if (status == CTL_DONE) {
        list->rows = ctl_sort(list->rows, order);
    }

    return status;
}


static void
ctl_upstream_print(const ctl_upstream_list_t *list)
{
    size_t         i;
    json_t        *row;
    const json_t  *why;

    if (list->ctl->json) {
        ctl_print_json(list->rows);

    } else if (list->open) {
        ctl_print_table(list->rows, ctl_check_columns,
                        ak_nitems(ctl_check_columns));

    } else {
        ctl_print_table(list->rows, ctl_list_columns,
                        ak_nitems(ctl_list_columns));

        json_array_foreach(list->rows, i, row) {
            why = json_object_get(row, "error");

            if (why != NULL) {
                ctl_print_text("%s, %s, slot %s: %s",
                               json_string_value(
                                   json_object_get(row, "owner")),
                               json_string_value(
                                   json_object_get(row, "provider")),
                               json_string_value(
                                   json_object_get(row, "slot")),
                               json_string_value(why));
            }
        }
    }
}


static ctl_status_e
ctl_upstream_walk(ctl_t *ctl, bool open)
{
    size_t               n;
    ctl_status_e         status;
    ctl_upstream_list_t  list;

    status = ctl_upstream_owner(ctl, false);

    if (status == CTL_DONE && (open || ctl->keyring != NULL)) {
        status = ctl_keyring_open(ctl);
    }

    if (status != CTL_DONE) {
        return status;
    }

    memset(&list, 0, sizeof(ctl_upstream_list_t));
    list.ctl = ctl;
    list.open = open;
    list.rows = json_array();

    status = ctl_upstream_collect(&list);

    if (status == CTL_DONE) {
        ctl_upstream_print(&list);
        n = json_array_size(list.rows);

        if (open && list.failed != 0) {
            status = ctl_print_flush();
            (void) ctl_fail(CTL_REFUSED, "%u of %zu upstream keys cannot be "
                            "opened; add their master key to the keyring, or "
                            "set them anew", list.failed, n);
            status = CTL_REFUSED;
        }
    }

    json_decref(list.rows);
    ctl_names_free(&list.names);

    return status;
}


ctl_status_e
ctl_upstream_list(ctl_t *ctl)
{
    return ctl_upstream_walk(ctl, false);
}


ctl_status_e
ctl_upstream_check(ctl_t *ctl)
{
    return ctl_upstream_walk(ctl, true);
}


ctl_status_e
ctl_upstream_delete(ctl_t *ctl)
{
    json_t       *object;
    uint8_t       name[AK_STORE_KEY_MAX];
    int64_t       found;
    ak_str_t      argv[3];
    ak_place_t    place;
    ctl_status_e  status;

    status = ctl_upstream_place(ctl, &place);

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    argv[0] = ak_literal("HDEL");
    argv[2] = place.slot;

    if (status == CTL_DONE) {
        status = ctl_upstream_name(ctl, &place, name, &argv[1]);
    }

    if (status != CTL_DONE) {
        return status;
    }

    status = ctl_store_remove(ctl, argv, 3, &found);

    if (status != CTL_DONE) {
        return status;
    }

    if (found != 1) {
        return ctl_fail(CTL_REFUSED, "there is no upstream key of owner %s, "
                        "provider %s, slot %s; \"apikeyctl upstream list\" "
                        "shows those there are",
                        (const char *) place.owner.data,
                        (const char *) place.provider.data,
                        (const char *) place.slot.data);
    }

    if (!ctl->json) {
        ctl_print_text("Upstream key deleted: owner %s, provider %s, slot "
                       "%s.", (const char *) place.owner.data,
                       (const char *) place.provider.data,
                       (const char *) place.slot.data);
        return CTL_DONE;
    }

    object = ctl_upstream_object(&place);
    ctl_set(object, "deleted", json_true());
    ctl_print_json(object);
    json_decref(object);

    return CTL_DONE;
}
