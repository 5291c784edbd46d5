
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_seal.h"
#include "ctl_kids.h"
#include "ctl_store.h"


static void
ctl_kids_token(ctl_kids_t *kids, const uint8_t *kid)
{
    size_t  i;

    kids->tokens++;

    for (i = 0; i < kids->nkids; i++) {
        if (memcmp(kids->kids[i].kid, kid, AK_KID_LEN) == 0) {
            kids->kids[i].n++;
            return;
        }
    }

    if (i == CTL_KIDS_MAX) {
        kids->others++;
        return;
    }

    memcpy(kids->kids[i].kid, kid, AK_KID_LEN);
    kids->kids[i].n = 1;
    kids->nkids++;
}


static void
ctl_kids_set(void *data, size_t i, const ak_reply_t *reply)
{
    size_t       k, n, len;
    ak_rc_t      rc;
    uint8_t      sealed[AK_SEALED_MAX];
    ak_field_t   fields[CTL_FIELDS_MAX];
    ctl_kids_t  *kids;

    (void) i;

    kids = data;
    n = 0;
    rc = (reply == NULL) ? AK_ERROR
                         : ak_store_fields(reply, fields, CTL_FIELDS_MAX, &n);

    if (rc != AK_OK && rc != AK_NOT_FOUND) {
        kids->unreadable++;
        return;
    }

    for (k = 0; k < n; k++) {

        if (ak_seal_decode(fields[k].value, sealed, &len) == AK_OK) {
            ctl_kids_token(kids, sealed);

        } else {
            kids->damaged++;
        }
    }
}


ctl_status_e
ctl_kids_count(ctl_t *ctl, ctl_kids_t *kids)
{
    size_t        i;
    ctl_names_t   names;
    ctl_status_e  status;

    memset(kids, 0, sizeof(ctl_kids_t));
    kids->nkids = ak_keyring_masters(ctl->keys);

    for (i = 0; i < kids->nkids; i++) {
        memcpy(kids->kids[i].kid, ak_keyring_kid(ctl->keys, i), AK_KID_LEN);
    }

    status = ctl_store_open(ctl);

    if (status == CTL_DONE) {
        status = ctl_store_scan(ctl, ak_literal("upstream:"), ak_literal(""),
                                &names);
    }

    if (status == CTL_DONE) {
        status = ctl_store_fetch(ctl, &names, ctl_kids_set, kids);
        ctl_names_free(&names);
    }

    return status;
}
