
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <signal.h>
#include <stdio.h>

#include "ak_mem.h"
#include "ak_seal.h"
#include "ak_tokens.h"
#include "ctl_bar.h"
#include "ctl_print.h"
#include "ctl_store.h"
#include "ctl_upstream.h"


/*
 * Seals with the first master key what older ones have sealed.  All sets of
 * tokens are read first; those with something to do are changed one by one,
 * each only if it is still what was read.  What is done is no longer found, so
 * that a run that was cut off is just repeated.
 */

#define CTL_RESEAL_TOLD  100           /* tokens that cannot be opened */


/* What came of some tokens. */

typedef struct {
    uint64_t       sealed;             /* anew */
    uint64_t       current;            /* already */
    json_t        *failed;             /* rows */
} ctl_sealed_t;


typedef struct {
    ctl_t         *ctl;
    ctl_names_t    names;              /* all of them */
    ctl_names_t    work;               /* those with something to do */
    size_t         i;                  /* that is worked on */
    size_t         skip;               /* bytes of a name before the owner */
    uint8_t       *tokens;             /* new ones, of one name */
    ctl_sealed_t   all;
    ctl_sealed_t   set;                /* of the name, not yet in all */
    uint64_t       told;
    bool           stopped;
    ctl_bar_t      bar;
} ctl_reseal_t;


static volatile sig_atomic_t  ctl_reseal_stop;


static void
ctl_reseal_signal(int signo)
{
    (void) signo;

    ctl_reseal_stop = 1;
}


/* Once: whoever cannot wait for the end of a change asks twice. */

static void
ctl_reseal_signals(void)
{
    struct sigaction  action;

    memset(&action, 0, sizeof(struct sigaction));
    action.sa_handler = ctl_reseal_signal;
    action.sa_flags = (int) SA_RESETHAND;

    (void) sigaction(SIGINT, &action, NULL);
    (void) sigaction(SIGTERM, &action, NULL);
}


static void
ctl_reseal_failed(ctl_sealed_t *set, const ak_place_t *place,
    const uint8_t *kid, const char *why)
{
    char     text[CTL_KID_TEXT_LEN + 1];
    json_t  *row;

    row = json_object();
    ctl_set(row, "owner", ctl_json(place->owner));
    ctl_set(row, "provider", ctl_json(place->provider));
    ctl_set(row, "slot", ctl_json(place->slot));

    if (kid == NULL) {
        ctl_set(row, "kid", json_null());

    } else {
        ctl_kid_text(kid, text);
        ctl_set(row, "kid", ctl_json(ak_cstr(text)));
    }

    ctl_set(row, "error", json_string(why));
    json_array_append_new(set->failed, row);
}


static const char *
ctl_reseal_text(const json_t *row, const char *field)
{
    const char  *text;

    text = json_string_value(json_object_get(row, field));

    return (text == NULL || *text == '\0') ? "-" : text;
}


static void
ctl_reseal_tell(ctl_reseal_t *rs, const json_t *row)
{
    if (rs->told++ >= CTL_RESEAL_TOLD) {
        return;
    }

    ctl_bar_leave(&rs->bar);

    (void) ctl_fail(CTL_DONE, "left as it is: owner %s, provider %s, slot %s, "
                    "master key %s: %s%s", ctl_reseal_text(row, "owner"),
                    ctl_reseal_text(row, "provider"),
                    ctl_reseal_text(row, "slot"), ctl_reseal_text(row, "kid"),
                    ctl_reseal_text(row, "error"),
                    rs->told == CTL_RESEAL_TOLD
                    ? "; further ones are only counted" : "");
}


/* What came of a name counts once that is certain. */

static void
ctl_reseal_take(ctl_reseal_t *rs)
{
    size_t   i;
    json_t  *row;

    rs->all.sealed += rs->set.sealed;
    rs->all.current += rs->set.current;

    json_array_foreach(rs->set.failed, i, row) {
        ctl_reseal_tell(rs, row);
        json_array_append(rs->all.failed, row);
    }
}


static void
ctl_reseal_forget(ctl_reseal_t *rs)
{
    rs->set.sealed = 0;
    rs->set.current = 0;
    json_array_clear(rs->set.failed);
}


/* Opens a token and seals it; why not, NULL: the new one is there. */

static const char *
ctl_reseal_token(const ctl_t *ctl, const ak_place_t *place, ak_str_t sealed,
    uint8_t *token, size_t *len)
{
    ak_rc_t       rc;
    uint8_t       secret[AK_SECRET_MAX];
    const char   *why;

    rc = ak_seal_open(ctl->keys, place, sealed, secret);

    if (rc == AK_KID_UNKNOWN) {
        why = "unknown master key: none in the keyring has this kid";

    } else if (rc != AK_OK) {
        why = "damaged, or moved here from another place";

    } else {
        rc = ak_seal(ctl->keys, place,
                     ak_str(secret, ak_seal_secret_len(sealed)), token, len,
                     NULL);
        why = (rc == AK_OK) ? NULL : "it could not be sealed";
    }

    ak_mem_wipe(secret, sizeof(secret));

    return why;
}


/*
 * One slot.  token NULL: it is only looked at.  True: there is something to do,
 * or *len bytes of a new token.
 */

static bool
ctl_reseal_slot(ctl_reseal_t *rs, const ak_place_t *place, ak_str_t text,
    uint8_t *token, size_t *len)
{
    size_t       size;
    uint8_t      sealed[AK_SEALED_MAX];
    const char  *why;

    if (!ak_slot_valid(place->slot)
        || ak_seal_decode(text, sealed, &size) != AK_OK)
    {
        ctl_reseal_failed(&rs->set, place, NULL,
                          "damaged: this is no sealed token");
        return false;
    }

    if (memcmp(sealed, ak_keyring_kid(rs->ctl->keys, 0), AK_KID_LEN) == 0) {
        rs->set.current++;
        return false;
    }

    if (token == NULL && ak_keyring_opener(rs->ctl->keys, sealed) != NULL) {
        return true;
    }

    why = (token == NULL)
          ? "unknown master key: none in the keyring has this kid"
          : ctl_reseal_token(rs->ctl, place, ak_str(sealed, size), token,
                             len);

    if (why != NULL) {
        ctl_reseal_failed(&rs->set, place, sealed, why);
        return false;
    }

    rs->set.sealed++;

    return true;
}


/*
 * The slots of a set; false: none of them can be used, and that is what came
 * of it.  There is no way to mend a set beyond the limits of ak_tokens.h here.
 */

static bool
ctl_reseal_fields(ctl_reseal_t *rs, ak_place_t *place,
    const ak_reply_t *reply, ak_field_t *fields, size_t *n)
{
    ak_rc_t  rc;

    *n = 0;
    rc = (reply == NULL) ? AK_ERROR
                         : ak_store_fields(reply, fields, CTL_FIELDS_MAX, n);

    if (rc == AK_NOT_FOUND) {
        *n = 0;
        return true;
    }

    if (rc == AK_OK && *n <= AK_SLOTS_MAX) {
        return true;
    }

    place->slot = ak_literal("");
    ctl_reseal_failed(&rs->set, place, NULL, rc == AK_OK
                      ? "the owner has too many slots of this provider, and "
                        "none can be used"
                      : "damaged: this is no hash of slots, or too large a "
                        "one");

    return false;
}


/* The place of a name of the store; what is no place is left alone. */

static bool
ctl_reseal_place(const ctl_reseal_t *rs, const char *name, ak_place_t *place)
{
    memset(place, 0, sizeof(ak_place_t));

    return ctl_upstream_split(ak_cstr(name + rs->skip), place);
}


/* The first look, at all names. */

static void
ctl_reseal_look(void *data, size_t i, const ak_reply_t *reply)
{
    bool           work;
    size_t         k, n;
    ak_field_t     fields[CTL_FIELDS_MAX];
    ak_place_t     place;
    ctl_reseal_t  *rs;

    rs = data;
    work = false;
    ctl_reseal_forget(rs);

    if (!ctl_reseal_place(rs, rs->names.names[i], &place)
        || !ctl_reseal_fields(rs, &place, reply, fields, &n))
    {
        n = 0;
    }

    for (k = 0; k < n; k++) {
        place.slot = fields[k].name;
        work |= ctl_reseal_slot(rs, &place, fields[k].value, NULL, NULL);
    }

    if (work) {
        /* its slots are counted when it is changed */
        ctl_names_add(&rs->work, ak_cstr(rs->names.names[i]));

    } else {
        ctl_reseal_take(rs);
    }
}


/* The change of a name, maybe more than once: see ctl_store_change(). */

static ctl_status_e
ctl_reseal_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    size_t         k, n, len;
    uint8_t       *token;
    ak_field_t     fields[CTL_FIELDS_MAX];
    ak_place_t     place;
    const char    *name;
    ctl_reseal_t  *rs;

    rs = data;
    name = rs->work.names[rs->i];
    ctl_reseal_forget(rs);

    *argc = 0;

    if (!ctl_reseal_place(rs, name, &place)
        || !ctl_reseal_fields(rs, &place, reply, fields, &n))
    {
        return CTL_DONE;
    }

    argv[0] = ak_literal("HSET");
    argv[1] = ak_cstr(name);

    for (k = 0; k < n; k++) {
        place.slot = fields[k].name;
        token = rs->tokens + k * AK_SEALED_TEXT_MAX;

        if (ctl_reseal_slot(rs, &place, fields[k].value, token, &len)) {
            *argc = (*argc == 0) ? 2 : *argc;
            argv[(*argc)++] = place.slot;
            argv[(*argc)++] = ak_str(token, len);
        }
    }

    return CTL_DONE;
}


/* Before each name, when the one before it is done. */

static bool
ctl_reseal_next(void *data, size_t i)
{
    ctl_reseal_t  *rs;

    rs = data;

    if (i != 0) {
        ctl_reseal_take(rs);
    }

    ctl_reseal_forget(rs);
    rs->i = i;

    if (ctl_reseal_stop) {
        rs->stopped = true;
        return false;
    }

    ctl_bar_draw(&rs->bar, i, rs->work.n, rs->all.sealed, false);

    return true;
}


static ctl_status_e
ctl_reseal_run(ctl_reseal_t *rs)
{
    ctl_t         *ctl;
    ctl_status_e   status;

    ctl = rs->ctl;

    status = ctl_store_open(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    rs->skip = ctl->conf.prefix.len + sizeof("upstream:") - 1;

    status = ctl_store_scan(ctl, ak_literal("upstream:"), ak_literal(""),
                            &rs->names);

    if (status == CTL_DONE) {
        status = ctl_store_fetch(ctl, &rs->names, ctl_reseal_look, rs);
    }

    if (status != CTL_DONE || rs->work.n == 0) {
        return status;
    }

    ctl_reseal_forget(rs);

    status = ctl_store_change_all(ctl, &rs->work, ctl_reseal_next,
                                  ctl_reseal_decide, rs);

    if (status == CTL_DONE && !rs->stopped) {
        ctl_reseal_take(rs);
    }

    ctl_bar_draw(&rs->bar, rs->i + !rs->stopped, rs->work.n, rs->all.sealed,
                 true);

    return status;
}


static void
ctl_reseal_print(const ctl_reseal_t *rs)
{
    char     kid[CTL_KID_TEXT_LEN + 1];
    size_t   failed;
    json_t  *object;

    ctl_kid_text(ak_keyring_kid(rs->ctl->keys, 0), kid);
    failed = json_array_size(rs->all.failed);

    if (!rs->ctl->json) {
        ctl_print_text("Sealed anew %llu, already under %s %llu, left as they "
                       "are %zu.", (unsigned long long) rs->all.sealed, kid,
                       (unsigned long long) rs->all.current, failed);
        return;
    }

    object = json_object();
    ctl_set(object, "kid", ctl_json(ak_cstr(kid)));
    ctl_set(object, "resealed", json_integer((json_int_t) rs->all.sealed));
    ctl_set(object, "already", json_integer((json_int_t) rs->all.current));
    ctl_set(object, "failed", json_incref(rs->all.failed));
    ctl_set(object, "complete", json_boolean(!rs->stopped && failed == 0));
    ctl_print_json(object);
    json_decref(object);
}


/* What was not done, and what to do about it. */

static ctl_status_e
ctl_reseal_end(const ctl_reseal_t *rs, ctl_status_e status)
{
    size_t  failed;

    if (status != CTL_DONE) {
        return ctl_fail(status, "not all tokens were sealed anew; repeat "
                        "\"apikeyctl upstream reseal\" to go on: what is done "
                        "is skipped");
    }

    status = ctl_print_flush();
    failed = json_array_size(rs->all.failed);

    if (failed != 0) {
        status = ctl_fail(CTL_REFUSED, "%zu could not be opened; add their "
                          "master keys to the keyring, or set them anew",
                          failed);
    }

    if (rs->stopped) {
        status = ctl_fail(CTL_REFUSED, "interrupted; repeat \"apikeyctl "
                          "upstream reseal\" to go on: what is done is "
                          "skipped");
    }

    return status;
}


ctl_status_e
ctl_upstream_reseal(ctl_t *ctl)
{
    ctl_reseal_t  rs;
    ctl_status_e  status;

    memset(&rs, 0, sizeof(ctl_reseal_t));
    rs.ctl = ctl;

    status = ctl_keyring_open(ctl);

    if (status == CTL_DONE) {
        status = ctl_store_conf(ctl);
    }

    if (status != CTL_DONE) {
        return status;
    }

    rs.tokens = ctl_alloc(AK_SLOTS_MAX * AK_SEALED_TEXT_MAX);
    rs.all.failed = json_array();
    rs.set.failed = json_array();

    ctl_bar_init(&rs.bar, "tokens");
    ctl_reseal_signals();

    status = ctl_reseal_run(&rs);

    if (status == CTL_DONE) {
        ctl_reseal_print(&rs);
    }

    status = ctl_reseal_end(&rs, status);

    json_decref(rs.all.failed);
    json_decref(rs.set.failed);
    ctl_names_free(&rs.names);
    ctl_names_free(&rs.work);
    ctl_free(rs.tokens);

    return status;
}
