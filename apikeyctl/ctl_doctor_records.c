
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <time.h>

#include "ctl_doctor.h"
#include "ctl_key.h"
#include "ctl_upstream.h"


#define CTL_DOCTOR_TOLD  20            /* of one kind, by name */


typedef struct {
    ctl_doctor_t  *doc;
    ctl_names_t    names;
    size_t         skip;               /* bytes of a name before the rest */
    int64_t        now;
    uint64_t       n;
    uint64_t       bad;
    uint64_t       expired;
    uint64_t       weak;
    uint64_t       sealed;
} ctl_census_t;


static void
ctl_census_bad(ctl_census_t *c, ctl_found_e found, const char *check,
    const char *of, const char *todo, const char *why)
{
    if (c->bad++ < CTL_DOCTOR_TOLD) {
        ctl_doctor_tell(c->doc, found, check, of, todo, "%s", why);
    }
}


static void
ctl_census_key(void *data, size_t i, const ak_reply_t *reply)
{
    ak_rc_t        rc;
    ak_diag_t      d;
    const char    *id;
    ak_record_t    rec;
    ctl_census_t  *c;

    c = data;
    id = c->names.names[i] + c->skip;
    d.text[0] = '\0';

    rc = ctl_key_read(reply, &rec, &d);

    if (rc == AK_NOT_FOUND) {
        return;                        /* deleted meanwhile */
    }

    if (rc == AK_OK && !ak_key_id_valid(ak_cstr(id))) {
        rc = ak_diag(&d, "its name in the store holds no valid id");
    }

    c->n++;

    if (rc != AK_OK) {
        ctl_census_bad(c, CTL_FOUND_BAD, "key", id,
                       "mend it, or \"apikeyctl key delete\" it", d.text);
        return;
    }

    c->expired += (rec.expires != 0 && rec.expires <= c->now);
    c->weak += (ak_hash_weak(&rec.hash) && rec.replaced_by.len == 0);
}


/* A token, which is told by its place; its text says nothing. */

static void
ctl_census_token(ctl_census_t *c, ak_place_t *place, const char *name,
    ak_str_t token)
{
    char          kid[CTL_KID_TEXT_LEN + 1];
    char         *slot;
    size_t        len;
    uint8_t       sealed[AK_SEALED_MAX];
    const char   *why;
    ctl_t        *ctl;

    ctl = c->doc->ctl;
    c->sealed++;

    if (ak_seal_decode(token, sealed, &len) != AK_OK) {
        ctl_census_bad(c, CTL_FOUND_BAD, "upstream", name, "set it again",
                       "a slot holds no sealed token");
        return;
    }

    if (ctl->keys == NULL) {
        return;
    }

    why = ctl_upstream_open(ctl, place, ak_str(sealed, len));

    if (why == NULL) {
        return;
    }

    if (ak_keyring_opener(ctl->keys, sealed) != NULL) {
        ctl_census_bad(c, CTL_FOUND_BAD, "upstream", name, "set it again",
                       why);
        return;
    }

    ctl_kid_text(sealed, kid);
    slot = ctl_strdup(place->slot);

    if (c->bad++ < CTL_DOCTOR_TOLD) {
        ctl_doctor_tell(c->doc, CTL_FOUND_NO_KEY, "upstream", name,
                        "add that key to the keyring, or set it again",
                        "slot %.64s is sealed under the master key %s, which "
                        "the keyring has not", slot, kid);
    }

    ctl_free(slot);
}


static void
ctl_census_upstream(void *data, size_t i, const ak_reply_t *reply)
{
    size_t         k, n;
    ak_rc_t        rc;
    ak_place_t     place;
    ak_field_t     fields[CTL_FIELDS_MAX];
    const char    *name;
    ctl_census_t  *c;

    c = data;
    name = c->names.names[i] + c->skip;

    rc = (reply == NULL) ? AK_ERROR
                         : ak_store_fields(reply, fields, CTL_FIELDS_MAX, &n);

    if (rc == AK_NOT_FOUND) {
        return;
    }

    c->n++;

    if (rc != AK_OK || !ctl_upstream_split(ak_cstr(name), &place)) {
        ctl_census_bad(c, CTL_FOUND_BAD, "upstream", name, "delete it",
                       "this is no hash of slots");
        return;
    }

    for (k = 0; k < n; k++) {
        place.slot = fields[k].name;
        ctl_census_token(c, &place, name, fields[k].value);
    }
}


/* Goes through all names of a kind. */

static bool
ctl_census_take(ctl_census_t *c, ctl_doctor_t *doc, ak_str_t space,
    ctl_reply_pt handler)
{
    ctl_status_e  status;

    memset(c, 0, sizeof(ctl_census_t));
    c->doc = doc;
    c->now = (int64_t) time(NULL);
    c->skip = doc->ctl->conf.prefix.len + space.len;

    status = ctl_store_scan(doc->ctl, space, ak_literal(""), &c->names);

    if (status == CTL_DONE) {
        status = ctl_store_fetch(doc->ctl, &c->names, handler, c);
    }

    ctl_names_free(&c->names);

    if (status == CTL_DONE) {
        return true;
    }

    ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "records", "", NULL,
                    "they cannot be read: see the line on standard error");

    return false;
}


void
ctl_doctor_records(ctl_doctor_t *doc)
{
    ctl_census_t  keys, upstream;

    if (!ctl_census_take(&keys, doc, ak_literal("key:"), ctl_census_key)
        || !ctl_census_take(&upstream, doc, ak_literal("upstream:"),
                            ctl_census_upstream))
    {
        return;
    }

    ctl_doctor_tell(doc, CTL_FOUND_OK, "keys", "", keys.expired == 0 ? NULL
                    : "\"apikeyctl key delete\" those that nobody needs",
                    "%llu, of which %llu have expired, and %llu cannot be "
                    "read", (unsigned long long) keys.n,
                    (unsigned long long) keys.expired,
                    (unsigned long long) keys.bad);

    if (keys.weak != 0) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "weak hashes", "",
                        "\"apikeyctl key rotate\" them",
                        "%llu keys came from an application that had an "
                        "unsalted hash of them",
                        (unsigned long long) keys.weak);
    }

    ctl_doctor_tell(doc, CTL_FOUND_OK, "upstream keys", "", NULL,
                    "%llu, of which %llu cannot be %s",
                    (unsigned long long) upstream.sealed,
                    (unsigned long long) upstream.bad,
                    doc->ctl->keys == NULL ? "read (none was opened)"
                                           : "opened");
}
