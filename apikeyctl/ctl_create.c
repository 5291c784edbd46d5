
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <time.h>

#include "ak_key.h"
#include "ak_mem.h"
#include "ak_time.h"
#include "ctl_key.h"


#define CTL_ID_TRIES  3


/* Before the store is asked for anything, by making a key with it. */

ctl_status_e
ctl_key_check_brand(const ctl_t *ctl)
{
    size_t     len;
    ak_rc_t    rc;
    uint8_t    key[AK_KEY_MADE_MAX];
    ak_diag_t  d;

    rc = ak_key_make(ak_cstr(ctl->brand), key, &len, &d);
    ak_mem_wipe(key, sizeof(key));

    if (rc != AK_OK) {
        return ctl_usage(ctl, "--brand: %s", d.text);
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_key_describe(const ctl_t *ctl, ak_record_t *rec)
{
    ak_diag_t     d;
    ctl_status_e  status;

    if (ctl->owner == NULL) {
        return ctl_usage(ctl, "--owner is missing: whose key is it?");
    }

    status = ctl_name_check(ctl, "--owner", ctl->owner);

    if (status == CTL_DONE && ctl->name != NULL) {
        status = ctl_name_check(ctl, "--name", ctl->name);
    }

    if (status != CTL_DONE) {
        return status;
    }

    rec->owner = ak_cstr(ctl->owner);
    rec->name = ak_cstr(ctl->name);
    rec->status = AK_STATUS_ACTIVE;
    rec->created = (int64_t) time(NULL);

    if (ctl->expires != NULL
        && ak_time_point(ak_cstr(ctl->expires), rec->created, &rec->expires,
                         &d) != AK_OK)
    {
        return ctl_usage(ctl, "--expires: %s", d.text);
    }

    return (ctl->brand == NULL) ? CTL_DONE : ctl_key_check_brand(ctl);
}


static ctl_status_e
ctl_key_make(ctl_t *ctl, ctl_new_key_t *new)
{
    ak_rc_t       rc;
    ak_diag_t     d;
    ak_digest_t  *digest;

    if (ak_key_make(ak_cstr(ctl->brand), new->key, &new->len, &d) != AK_OK) {
        return ctl_fail(CTL_REFUSED, "%s", d.text);
    }

    if (ak_key_parse(ak_str(new->key, new->len), &new->id) != AK_KEY_NATIVE) {
        return ctl_fail(CTL_REFUSED, "the new key is not valid");
    }

    digest = ak_digest_create();

    rc = (digest == NULL) ? AK_ERROR
                          : ak_hash_make(&new->record.hash, AK_HASH_SHA256,
                                         ak_str(new->key, new->len), digest,
                                         NULL);
    ak_digest_free(digest);

    if (rc != AK_OK) {
        return ctl_fail(CTL_REFUSED, "OpenSSL cannot hash the new key");
    }

    return ctl_key_place(ctl, new->id, new->name, &new->place);
}


static ctl_status_e
ctl_key_decide_create(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    size_t          i, n;
    ak_field_t      fields[AK_RECORD_FIELDS_MAX];
    ctl_new_key_t  *new;

    new = data;

    if (reply == NULL || reply->type != AK_REPLY_ARRAY || reply->n != 0) {
        new->taken = true;
        return CTL_DONE;
    }

    argv[0] = ak_literal("HSET");
    argv[1] = new->place;
    *argc = 2;

    n = ak_record_fields(&new->record, fields, new->text);

    for (i = 0; i < n; i++) {
        argv[(*argc)++] = fields[i].name;
        argv[(*argc)++] = fields[i].value;
    }

    return CTL_DONE;
}


/* Another id is drawn where there is a record already. */

ctl_status_e
ctl_key_write(ctl_t *ctl, ctl_new_key_t *new)
{
    unsigned      i;
    ctl_status_e  status;

    for (i = 0; i < CTL_ID_TRIES; i++) {
        new->taken = false;

        status = ctl_key_make(ctl, new);

        if (status == CTL_DONE) {
            status = ctl_store_change(ctl, new->place, ctl_key_decide_create,
                                      new);
        }

        if (status == CTL_DONE && new->taken) {
            continue;
        }

        if (status != CTL_DONE && ctl->unsure) {
            (void) ctl_fail(status, "the new key %.*s was not printed; if the "
                            "store has it, delete it", AK_FMT(new->id));
        }

        return status;
    }

    return ctl_fail(CTL_REFUSED, "every id that was drawn is taken; is the "
                    "random generator of this machine broken?");
}


static void
ctl_key_print_new(const ctl_t *ctl, const ctl_new_key_t *new)
{
    json_t  *object, *parts;

    parts = ctl_key_object(new->id, &new->record);
    object = json_object();

    ctl_set(object, "id", ctl_json(new->id));
    ctl_set(object, "key", ctl_json(ak_str(new->key, new->len)));
    json_object_update(object, parts);

    if (ctl->json) {
        ctl_print_json(object);

    } else {
        ctl_key_print_object(object);
        ctl_print_text("Keep the key now: it will not be shown again, and "
                       "nothing can restore it.");
    }

    json_decref(parts);
    json_decref(object);
}


ctl_status_e
ctl_key_take_back(ctl_t *ctl, const ctl_new_key_t *new, const char *why)
{
    int64_t       n;
    ak_str_t      argv[2];
    ctl_status_e  status;

    argv[0] = ak_literal("DEL");
    argv[1] = new->place;

    status = ctl_store_remove(ctl, argv, 2, &n);

    if (status != CTL_DONE) {
        return ctl_fail(CTL_REFUSED, "the new key %.*s %s and is in the "
                        "store; delete it", AK_FMT(new->id), why);
    }

    return ctl_fail(CTL_REFUSED, "the new key %.*s %s and was deleted again; "
                    "create another", AK_FMT(new->id), why);
}


ctl_status_e
ctl_key_hand_out(ctl_t *ctl, const ctl_new_key_t *new)
{
    ctl_key_print_new(ctl, new);

    if (ctl_print_flush() == CTL_DONE) {
        return CTL_DONE;
    }

    /* a key that nobody has seen is of no use to anybody */

    return ctl_key_take_back(ctl, new, "could not be printed");
}


ctl_status_e
ctl_key_create(ctl_t *ctl)
{
    char           *text;
    ctl_status_e    status;
    ctl_new_key_t   new;

    memset(&new, 0, sizeof(ctl_new_key_t));
    text = NULL;

    status = ctl_key_describe(ctl, &new.record);

    if (status == CTL_DONE) {
        status = ctl_limits_read(ctl, &new.record, &text);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_key_write(ctl, &new);
    }

    if (status == CTL_DONE) {
        status = ctl_key_hand_out(ctl, &new);
    }

    ak_mem_wipe(&new, sizeof(ctl_new_key_t));
    ctl_free(text);

    return status;
}
