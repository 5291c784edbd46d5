
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_mem.h"
#include "ak_tokens.h"
#include "ctl_batch.h"
#include "ctl_upstream.h"


void
ctl_batch_begin(ctl_batch_t *b, ctl_t *ctl, ctl_intake_t *in, size_t row)
{
    memset(b, 0, sizeof(ctl_batch_t));

    b->ctl = ctl;
    b->in = in;

    /* Redis is asked of one at a time, and what is done there stays done */

    b->enough = (ctl->conf.type == AK_STORE_FILE) ? ctl_store_batch(ctl) : 1;
    b->secrets = ctl_alloc((b->enough + row) * sizeof(ctl_secret_t));
}


static void
ctl_batch_forget(ctl_batch_t *b)
{
    size_t  i;

    for (i = 0; i < b->n; i++) {
        ctl_free(b->secrets[i].owner);
        ctl_free(b->secrets[i].secret);
    }

    b->n = 0;
    ctl_names_free(&b->names);
    memset(&b->names, 0, sizeof(ctl_names_t));
}


void
ctl_batch_end(ctl_batch_t *b)
{
    ctl_batch_forget(b);
    ctl_free(b->secrets);
    b->secrets = NULL;
}


ctl_secret_t *
ctl_batch_next(ctl_batch_t *b)
{
    ctl_secret_t  *s;

    s = &b->secrets[b->n];
    memset(s, 0, sizeof(ctl_secret_t));

    return s;
}


static void
ctl_batch_bad(ctl_batch_t *b, ctl_secret_t *s, const char *why)
{
    s->bad = true;
    ctl_intake_bad(b->in, s->number, why);
}


/* To b->token; false: that cannot be done, which was told. */

static bool
ctl_batch_seal(ctl_batch_t *b, ctl_secret_t *s, size_t *len)
{
    ak_diag_t  d;

    if (ak_seal(b->ctl->keys, &s->place, ak_str(s->secret, s->len), b->token,
                len, &d)
        == AK_OK)
    {
        return true;
    }

    ctl_batch_bad(b, s, d.text);

    return false;
}


static bool
ctl_batch_turn(void *data, size_t i)
{
    ctl_batch_t  *b = data;

    b->i = i;

    return true;
}


/* As "upstream set" decides, but that the others go on where one cannot. */

static ctl_status_e
ctl_batch_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    size_t               len;
    ak_diag_t            d;
    ctl_batch_t         *b = data;
    ctl_secret_t        *s;
    ctl_status_e         status;
    ctl_upstream_set_t   set;

    s = &b->secrets[b->i];
    *argc = 0;

    if (s->bad || !ctl_batch_seal(b, s, &len)) {
        return CTL_DONE;
    }

    memset(&set, 0, sizeof(ctl_upstream_set_t));
    set.place = s->place;
    set.name = ak_cstr(s->name);
    set.token = ak_str(b->token, len);
    set.keep = !b->ctl->replace;
    set.why = &d;

    status = ctl_upstream_decide(&set, reply, argv, argc);

    if (status == CTL_REFUSED) {
        ctl_batch_bad(b, s, d.text);
        *argc = 0;
        return CTL_DONE;
    }

    s->there = set.replaced;
    s->written = (*argc != 0);

    return status;
}


/* Whether the slot holds what was sealed for it. */

static ctl_status_e
ctl_batch_same(ctl_batch_t *b, const ctl_secret_t *s, bool *same)
{
    size_t        i, n, len;
    uint8_t       sealed[AK_SEALED_MAX], opened[AK_SECRET_MAX];
    ak_str_t      binary;
    ak_reply_t   *reply;
    ak_field_t    fields[CTL_FIELDS_MAX];
    ctl_status_e  status;

    *same = false;

    status = ctl_store_hash(b->ctl, ak_cstr(s->name), &reply);

    if (status != CTL_DONE) {
        return status;
    }

    n = 0;

    if (reply != NULL) {
        (void) ak_store_fields(reply, fields, CTL_FIELDS_MAX, &n);
    }

    for (i = 0; i < n; i++) {

        if (!ak_str_eq(fields[i].name, s->place.slot)
            || ak_seal_decode(fields[i].value, sealed, &len) != AK_OK)
        {
            continue;
        }

        binary = ak_str(sealed, len);

        *same = ak_seal_open(b->ctl->keys, &s->place, binary, opened) == AK_OK
                && ak_seal_secret_len(binary) == s->len
                && ak_mem_equal(opened, s->secret, s->len);

        ak_mem_wipe(opened, sizeof(opened));
    }

    ctl_reply_free(reply);

    return CTL_DONE;
}


static int
ctl_batch_compare_slots(const ctl_secret_t *a, const ctl_secret_t *b)
{
    int  rc;

    rc = strcmp(a->name, b->name);

    return (rc != 0) ? rc : strcmp(a->slot, b->slot);
}


/* By slot, then as they came. */

static int
ctl_batch_compare(const void *one, const void *two)
{
    int                  rc;
    const ctl_secret_t  *a, *b;

    a = *(ctl_secret_t *const *) one;
    b = *(ctl_secret_t *const *) two;

    rc = ctl_batch_compare_slots(a, b);

    return (rc != 0) ? rc : (a > b) - (a < b);
}


/* What was written is read back; of those for one slot it is the last. */

static ctl_status_e
ctl_batch_verify(ctl_batch_t *b)
{
    bool            same;
    size_t          i, n;
    ctl_secret_t  **sorted, *s;
    ctl_status_e    status;

    n = 0;
    status = ctl_store_reload(b->ctl);
    sorted = ctl_alloc((b->n + 1) * sizeof(ctl_secret_t *));

    for (i = 0; i < b->n; i++) {
        if (b->secrets[i].written && !b->secrets[i].bad) {
            sorted[n++] = &b->secrets[i];
        }
    }

    qsort(sorted, n, sizeof(ctl_secret_t *), ctl_batch_compare);

    for (i = 0; i < n && status == CTL_DONE; i++) {
        s = sorted[i];

        if (i + 1 < n && ctl_batch_compare_slots(s, sorted[i + 1]) == 0) {
            continue;
        }

        status = ctl_batch_same(b, s, &same);

        if (status == CTL_DONE && !same) {
            ctl_batch_bad(b, s, "what the store gives back is not what was "
                          "written; set it again");
        }
    }

    ctl_free(sorted);

    return status;
}


/* The names in the store, in the order of the secrets. */

static void
ctl_batch_names(ctl_batch_t *b)
{
    size_t         i;
    uint8_t        name[AK_STORE_KEY_MAX];
    ak_str_t       key;
    ctl_secret_t  *s;

    for (i = 0; i < b->n; i++) {
        s = &b->secrets[i];

        if (ak_store_tokens_key(&b->ctl->conf, s->place.owner,
                                s->place.provider, name, &key)
            != AK_OK)
        {
            ctl_batch_bad(b, s, "its owner and the prefix of the store are "
                          "too long together");
            key = ak_literal("");
        }

        ctl_names_add(&b->names, key);
        s->name = b->names.names[i];
    }
}


static ctl_status_e
ctl_batch_write(ctl_batch_t *b)
{
    size_t         i;
    ctl_secret_t  *s;
    ctl_status_e   status;

    ctl_batch_names(b);

    status = ctl_store_change_all(b->ctl, &b->names, ctl_batch_turn,
                                  ctl_batch_decide, b);

    if (status == CTL_DONE) {
        status = ctl_batch_verify(b);
    }

    for (i = 0; i < b->n && status == CTL_DONE; i++) {
        s = &b->secrets[i];

        if (s->bad) {
            continue;
        }

        if (!s->written) {
            b->in->there++;
            continue;
        }

        b->in->imported++;
        b->replaced += s->there;
    }

    return status;
}


ctl_status_e
ctl_batch_flush(ctl_batch_t *b, bool last)
{
    size_t        i, len;
    ctl_status_e  status;

    if (b->n == 0 || (b->n < b->enough && !last)) {
        return CTL_DONE;
    }

    status = CTL_DONE;

    if (b->ctl->dry_run) {
        for (i = 0; i < b->n; i++) {
            b->in->imported += ctl_batch_seal(b, &b->secrets[i], &len);
        }

    } else {
        status = ctl_batch_write(b);
    }

    ctl_batch_forget(b);

    return status;
}
