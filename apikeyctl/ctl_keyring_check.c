
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_kids.h"
#include "ctl_print.h"


static const ctl_column_t  ctl_masters_columns[] = {
    { "KID", "kid", false },
    { "SEALS", "seals", false },
    { "IN KEYRING", "in_keyring", false },
    { "TOKENS", "tokens", false }
};


static json_t *
ctl_check_row(const uint8_t *kid, bool seals, bool here, json_t *tokens)
{
    char     text[CTL_KID_TEXT_LEN + 1];
    json_t  *row;

    row = json_object();
    ctl_kid_text(kid, text);

    ctl_set(row, "kid", ctl_json(ak_cstr(text)));
    ctl_set(row, "seals", json_boolean(seals));
    ctl_set(row, "in_keyring", json_boolean(here));
    ctl_set(row, "tokens", tokens);

    return row;
}


/* A row for each master key, then for each that the store has beside them. */

static json_t *
ctl_check_rows(const ctl_t *ctl, const ctl_kids_t *kids, uint64_t *unknown)
{
    size_t   i, n;
    json_t  *rows;

    rows = json_array();
    n = ak_keyring_masters(ctl->keys);
    *unknown = 0;

    for (i = 0; i < n; i++) {
        json_array_append_new(rows,
            ctl_check_row(ak_keyring_kid(ctl->keys, i), i == 0, true,
                          kids == NULL
                          ? json_null()
                          : json_integer((json_int_t) kids->kids[i].n)));
    }

    if (kids == NULL) {
        return rows;
    }

    *unknown = kids->others;

    for (i = n; i < kids->nkids; i++) {
        *unknown += kids->kids[i].n;

        json_array_append_new(rows,
            ctl_check_row(kids->kids[i].kid, false, false,
                          json_integer((json_int_t) kids->kids[i].n)));
    }

    return rows;
}


static void
ctl_check_print(const ctl_t *ctl, const ctl_kids_t *kids, json_t *rows,
    uint64_t unknown)
{
    bool     pepper;
    json_t  *object;

    pepper = (ak_keyring_pepper(ctl->keys) != NULL);

    if (!ctl->json) {
        ctl_print_table(rows, ctl_masters_columns,
                        ak_nitems(ctl_masters_columns));
        ctl_print_text("%s", pepper
                       ? "There is a pepper."
                       : "There is no pepper: keys of other systems are "
                         "refused.");
        return;
    }

    object = json_object();
    ctl_set(object, "keyring", ctl_json(ak_cstr(ctl->keyring)));
    ctl_set(object, "masters", json_incref(rows));
    ctl_set(object, "pepper", json_boolean(pepper));

    if (kids != NULL) {
        ctl_set(object, "tokens", json_integer((json_int_t) kids->tokens));
        ctl_set(object, "unknown", json_integer((json_int_t) unknown));
        ctl_set(object, "damaged", json_integer((json_int_t) kids->damaged));
        ctl_set(object, "unreadable",
                json_integer((json_int_t) kids->unreadable));
    }

    ctl_print_json(object);
    json_decref(object);
}


/* What is wrong, worst last; it says the exit status. */

static ctl_status_e
ctl_check_tell(const ctl_kids_t *kids, uint64_t unknown)
{
    ctl_status_e  status;

    status = ctl_print_flush();

    if (kids->damaged != 0) {
        status = ctl_fail(CTL_REFUSED, "%llu slots hold no sealed token; "
                          "\"apikeyctl upstream check\" shows them",
                          (unsigned long long) kids->damaged);
    }

    if (kids->unreadable != 0) {
        status = ctl_fail(CTL_REFUSED, "%llu owners' sets of tokens cannot be "
                          "read; \"apikeyctl upstream check\" shows them",
                          (unsigned long long) kids->unreadable);
    }

    if (unknown != 0) {
        status = ctl_fail(CTL_KEYRING, "%llu of %llu tokens are sealed under "
                          "master keys that are not in this keyring; add "
                          "these, or set the upstream keys anew",
                          (unsigned long long) unknown,
                          (unsigned long long) kids->tokens);
    }

    return status;
}


ctl_status_e
ctl_keyring_check(ctl_t *ctl)
{
    json_t              *rows;
    uint64_t             unknown;
    ctl_kids_t           counted;
    ctl_status_e         status;
    const ctl_kids_t    *kids;

    status = ctl_keyring_open(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    kids = NULL;

    if (ctl->store != NULL) {
        status = ctl_kids_count(ctl, &counted);

        if (status == CTL_USAGE) {
            return status;
        }

        kids = (status == CTL_DONE) ? &counted : NULL;
    }

    /* the keyring is told of even where the store cannot be asked */

    rows = ctl_check_rows(ctl, kids, &unknown);
    ctl_check_print(ctl, kids, rows, unknown);
    json_decref(rows);

    return (kids == NULL) ? status : ctl_check_tell(kids, unknown);
}
