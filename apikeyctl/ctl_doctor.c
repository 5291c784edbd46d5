
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdio.h>

#include "ctl_doctor.h"


static const char *const  ctl_found_names[] = {
    [CTL_FOUND_OK] = "ok",
    [CTL_FOUND_UNKNOWN] = "unknown",
    [CTL_FOUND_WARNING] = "warning",
    [CTL_FOUND_BAD] = "failed",
    [CTL_FOUND_NO_STORE] = "failed",
    [CTL_FOUND_NO_KEY] = "failed"
};


static const ctl_column_t  ctl_doctor_columns[] = {
    { "RESULT", "result", false },
    { "CHECK", "check", false },
    { "OF", "of", false },
    { "WHAT", "text", false }
};


void
ctl_doctor_tell(ctl_doctor_t *doc, ctl_found_e found, const char *check,
    const char *of, const char *todo, const char *fmt, ...)
{
    char      what[1024], text[2048];
    json_t   *row;
    va_list   args;

    va_start(args, fmt);
    (void) vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);

    (void) snprintf(text, sizeof(text), "%s%s%s", what,
                    todo == NULL ? "" : "; ", todo == NULL ? "" : todo);

    row = json_object();
    ctl_set(row, "check", json_string(check));
    ctl_set(row, "of", ctl_json(ak_cstr(of)));
    ctl_set(row, "result", json_string(ctl_found_names[found]));
    ctl_set(row, "what", ctl_json(ak_cstr(what)));
    ctl_set(row, "todo", todo == NULL ? json_null()
                                      : ctl_json(ak_cstr(todo)));
    ctl_set(row, "text", ctl_json(ak_cstr(text)));

    json_array_append_new(doc->checks, row);

    doc->n[found]++;
}


static void
ctl_doctor_keyring(ctl_doctor_t *doc)
{
    ctl_t      *ctl;
    ak_diag_t   d;

    ctl = doc->ctl;

    if (ctl->keyring == NULL) {
        ctl_doctor_tell(doc, CTL_FOUND_UNKNOWN, "keyring", "",
                        "give --keyring FILE, or set APIKEY_KEYRING",
                        "none is named, so that sealed keys are not opened");
        return;
    }

    if (ctl_keyring_load(ctl, &d) != CTL_DONE) {
        ctl_doctor_tell(doc, CTL_FOUND_NO_KEY, "keyring", ctl->keyring, NULL,
                        "%s", d.text);
        return;
    }

    if (ak_keyring_masters(ctl->keys) == 0
        || ak_keyring_pepper(ctl->keys) == NULL)
    {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "keyring", ctl->keyring,
                        "\"apikeyctl init\" makes one that has both",
                        "it has no %s",
                        ak_keyring_masters(ctl->keys) == 0
                        ? "master key, so that no upstream key can be sealed"
                        : "pepper, so that keys of other systems are refused");
        return;
    }

    ctl_doctor_tell(doc, CTL_FOUND_OK, "keyring", ctl->keyring, NULL,
                    "master keys: %zu, and a pepper",
                    ak_keyring_masters(ctl->keys));
}


static const char *
ctl_doctor_summary(const ctl_doctor_t *doc)
{
    if (doc->n[CTL_FOUND_BAD] != 0 || doc->n[CTL_FOUND_NO_STORE] != 0
        || doc->n[CTL_FOUND_NO_KEY] != 0)
    {
        return ctl_found_names[CTL_FOUND_BAD];
    }

    return ctl_found_names[doc->n[CTL_FOUND_WARNING] != 0 ? CTL_FOUND_WARNING
                                                          : CTL_FOUND_OK];
}


static void
ctl_doctor_print(const ctl_doctor_t *doc)
{
    size_t    i;
    json_t   *object, *row;

    if (!doc->ctl->json) {
        ctl_print_table(doc->checks, ctl_doctor_columns,
                        ak_nitems(ctl_doctor_columns));
        return;
    }

    json_array_foreach(doc->checks, i, row) {
        json_object_del(row, "text");
    }

    object = json_object();
    ctl_set(object, "result", json_string(ctl_doctor_summary(doc)));
    ctl_set(object, "checks", json_incref(doc->checks));
    ctl_print_json(object);
    json_decref(object);
}


ctl_status_e
ctl_doctor(ctl_t *ctl)
{
    ctl_doctor_t  doc;
    ctl_status_e  status;

    memset(&doc, 0, sizeof(ctl_doctor_t));
    doc.ctl = ctl;

    status = ctl_store_conf(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    doc.checks = json_array();

    ctl_doctor_keyring(&doc);

    status = (ctl->conf.type == AK_STORE_FILE) ? ctl_doctor_file(&doc)
                                               : ctl_doctor_redis(&doc);

    if (status == CTL_DONE) {

        if (doc.list) {
            ctl_doctor_records(&doc);
        }

        ctl_doctor_print(&doc);

        if (doc.n[CTL_FOUND_NO_STORE] != 0) {
            status = CTL_STORE;

        } else if (doc.n[CTL_FOUND_NO_KEY] != 0) {
            status = CTL_KEYRING;

        } else if (doc.n[CTL_FOUND_BAD] != 0) {
            status = CTL_REFUSED;
        }
    }

    json_decref(doc.checks);

    return status;
}
