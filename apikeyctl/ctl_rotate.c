
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <time.h>

#include "ak_mem.h"
#include "ak_time.h"
#include "ctl_key.h"


#define CTL_GRACE  "24h"


/*
 * The successor is written and printed before the old key is ended: whatever
 * happens between, there is a key that works and that somebody has.
 */

typedef struct {
    ak_str_t  id;                      /* of the old key */
    ak_str_t  place;
    int64_t   now;
    int64_t   until;
    ak_str_t  successor;
    char      text[32];                /* of until */
} ctl_rotate_t;


static ctl_status_e
ctl_rotate_may(const ctl_rotate_t *r, const ak_reply_t *reply,
    ak_record_t *rec)
{
    ak_rc_t    rc;
    ak_diag_t  d;

    rc = ctl_key_read(reply, rec, &d);

    if (rc == AK_NOT_FOUND) {
        return ctl_key_not_found(r->id);
    }

    if (rc != AK_OK) {
        return ctl_fail(CTL_REFUSED, "the record of this key is damaged: %s; "
                        "its key is refused as it is; create another", d.text);
    }

    if (rec->replaced_by.len != 0) {
        return ctl_fail(CTL_REFUSED, "key %.*s has a successor already: %.*s; "
                        "rotate that one", AK_FMT(r->id),
                        AK_FMT(rec->replaced_by));
    }

    if (rec->status != AK_STATUS_ACTIVE) {
        return ctl_fail(CTL_REFUSED, "key %.*s is %.*s; %s", AK_FMT(r->id),
                        AK_FMT(ak_record_status_name(
                                   (ak_status_e) rec->status)),
                        rec->status == AK_STATUS_DISABLED
                        ? "enable it before" : "create another key");
    }

    if (rec->expires != 0 && rec->expires <= r->now) {
        return ctl_fail(CTL_REFUSED, "key %.*s has expired; create another "
                        "key", AK_FMT(r->id));
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_rotate_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    int            n;
    ak_record_t    rec;
    ctl_rotate_t  *r;
    ctl_status_e   status;

    r = data;

    status = ctl_rotate_may(r, reply, &rec);

    if (status != CTL_DONE) {
        return status;
    }

    if (rec.expires != 0 && rec.expires < r->until) {
        r->until = rec.expires;
    }

    n = snprintf(r->text, sizeof(r->text), "%lld", (long long) r->until);

    argv[0] = ak_literal("HSET");
    argv[1] = r->place;
    argv[2] = ak_literal("replaced_by");
    argv[3] = r->successor;
    argv[4] = ak_literal("expires");
    argv[5] = ak_str(r->text, (size_t) n);
    *argc = 6;

    return CTL_DONE;
}


static ctl_status_e
ctl_rotate_grace(const ctl_t *ctl, ctl_rotate_t *r)
{
    int64_t      ms;
    const char  *grace;

    grace = (ctl->grace == NULL) ? CTL_GRACE : ctl->grace;

    if (ak_time_span(ak_cstr(grace), &ms) != AK_OK) {
        return ctl_usage(ctl, "--grace is a span such as 24h, 7d, or 0");
    }

    r->now = (int64_t) time(NULL);
    r->until = r->now + ms / 1000;

    return CTL_DONE;
}


/* What the new key takes over: all but its secret and its age. */

static ctl_status_e
ctl_rotate_make(ctl_t *ctl, ctl_rotate_t *r, const ak_reply_t *reply,
    ctl_new_key_t *new)
{
    ak_record_t   rec;
    ctl_status_e  status;

    status = ctl_rotate_may(r, reply, &rec);

    if (status != CTL_DONE) {
        return status;
    }

    new->record = rec;
    new->record.created = r->now;
    new->record.status = AK_STATUS_ACTIVE;

    return ctl_key_write(ctl, new);
}


static ctl_status_e
ctl_rotate_end_old(ctl_t *ctl, ctl_rotate_t *r, const ctl_new_key_t *new)
{
    ctl_status_e  status;

    r->successor = new->id;

    status = ctl_store_change(ctl, r->place, ctl_rotate_decide, r);

    if (status == CTL_REFUSED && !ctl->unsure) {

        /* somebody else was faster, and has made another successor */

        return ctl_key_take_back(ctl, new, "could not take the place of the "
                                 "old one");
    }

    if (status != CTL_DONE) {
        return ctl_fail(status, "the new key %.*s is made and works; whether "
                        "the old one, %.*s, is ended, is to be seen with "
                        "\"apikeyctl key show\"", AK_FMT(new->id),
                        AK_FMT(r->id));
    }

    return status;
}


ctl_status_e
ctl_key_rotate(ctl_t *ctl)
{
    uint8_t         name[AK_STORE_KEY_MAX];
    ak_reply_t     *reply;
    ctl_status_e    status;
    ctl_rotate_t    r;
    ctl_new_key_t   new;

    memset(&r, 0, sizeof(ctl_rotate_t));
    memset(&new, 0, sizeof(ctl_new_key_t));
    reply = NULL;

    status = ctl_rotate_grace(ctl, &r);

    if (status == CTL_DONE) {
        status = ctl_key_id(ctl, &r.id);
    }

    if (status == CTL_DONE && ctl->brand != NULL) {
        status = ctl_key_check_brand(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_key_place(ctl, r.id, name, &r.place);
    }

    if (status == CTL_DONE) {
        status = ctl_store_hash(ctl, r.place, &reply);
    }

    if (status == CTL_DONE) {
        status = ctl_rotate_make(ctl, &r, reply, &new);
    }

    if (status == CTL_DONE) {
        status = ctl_key_hand_out(ctl, &new);
    }

    if (status == CTL_DONE) {
        status = ctl_rotate_end_old(ctl, &r, &new);
    }

    ctl_reply_free(reply);
    ak_mem_wipe(&new, sizeof(ctl_new_key_t));

    return status;
}
