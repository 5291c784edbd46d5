
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "ak_file.h"
#include "ak_keyring_edit.h"
#include "ctl_kids.h"
#include "ctl_print.h"
#include "ctl_replace.h"


/*
 * Changes of the keyring's file.  nginx opens tokens with all master keys that
 * it has read, so a key must be read by every nginx before the first token is
 * sealed with it, and no token may be left when it goes.
 */

typedef struct {
    ctl_t          *ctl;
    char           *path;
    int             lock;              /* -1: not held */
    struct stat     st;
    ctl_replace_t   replace;
    uint8_t        *text;              /* as it is, and as it is to be */
    uint8_t        *changed;
    size_t          len;
    size_t          size;              /* of what is changed */
} ctl_edit_t;


static ctl_status_e
ctl_edit_named(const ctl_t *ctl)
{
    if (ctl->keyring == NULL) {
        return ctl_usage(ctl, "no keyring is named: give --keyring FILE, or "
                         "set APIKEY_KEYRING");
    }

    if (ctl_keyring_variable(ctl) != NULL) {
        return ctl_usage(ctl, "the keyring is an environment variable, which "
                         "cannot be changed from here: write its text to a "
                         "file with mode 0600, run this with --keyring FILE, "
                         "and put the new text of the file into the variable");
    }

    return CTL_DONE;
}


/* Locks the file, reads it and parses it into ctl->keys. */

static ctl_status_e
ctl_edit_begin(ctl_edit_t *edit, ctl_t *ctl)
{
    ak_diag_t     d;
    ctl_status_e  status;

    memset(edit, 0, sizeof(ctl_edit_t));
    edit->ctl = ctl;
    edit->lock = -1;

    status = ctl_edit_named(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    edit->path = ctl_strdup(ak_cstr(ctl->keyring));
    status = ctl_replace_link("keyring", CTL_KEYRING, &edit->path);

    if (status != CTL_DONE) {
        return status;
    }

    /* what is no keyring is left alone, and no lock beside it */

    if (ctl_keyring_load(ctl, &d) != CTL_DONE) {
        return ctl_fail(CTL_KEYRING, "%s", d.text);
    }

    ak_keyring_free(ctl->keys);
    ctl->keys = NULL;

    edit->replace.what = "keyring";
    edit->replace.path = edit->path;
    edit->replace.old = &edit->st;
    edit->replace.failed = CTL_KEYRING;

    edit->lock = ctl_replace_lock(&edit->replace);

    if (edit->lock == -1) {
        return CTL_KEYRING;
    }

    if (stat(edit->path, &edit->st) == -1) {
        return ctl_fail(CTL_KEYRING, "keyring %s cannot be examined: %s",
                        edit->path, strerror(errno));
    }

    edit->text = ctl_alloc(AK_KEYRING_MAX);
    edit->changed = ctl_alloc(AK_KEYRING_MAX);

    if (ak_file_secret(edit->path, edit->text, AK_KEYRING_MAX, &edit->len, &d)
        != AK_OK)
    {
        return ctl_fail(CTL_KEYRING, "keyring: %s", d.text);
    }

    ctl->keys = ak_keyring_parse(ak_str(edit->text, edit->len), &d);

    if (ctl->keys == NULL) {
        return ctl_fail(CTL_KEYRING, "keyring %s, line %u: %s", edit->path,
                        d.line, d.text);
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_edit_put(const void *data, int fd)
{
    const ctl_edit_t  *edit;

    edit = data;

    return ctl_write_all(fd, ak_str(edit->changed, edit->size));
}


static ctl_status_e
ctl_edit_write(const ctl_edit_t *edit)
{
    return ctl_replace(&edit->replace, ctl_edit_put, edit);
}


static void
ctl_edit_end(ctl_edit_t *edit)
{
    if (edit->lock != -1) {
        close(edit->lock);
    }

    ctl_free(edit->text);
    ctl_free(edit->changed);
    ctl_free(edit->path);
}


/* The kids of those that do not seal. */

static void
ctl_edit_others(const ctl_t *ctl, char *text, size_t size)
{
    char    kid[CTL_KID_TEXT_LEN + 1];
    size_t  i, len;

    len = 0;
    text[0] = '\0';

    for (i = 1; i < ak_keyring_masters(ctl->keys) && len < size; i++) {
        ctl_kid_text(ak_keyring_kid(ctl->keys, i), kid);
        len += (size_t) snprintf(text + len, size - len, "%s%s",
                                 i == 1 ? "" : ", ", kid);
    }
}


/* Adds a new one. */

static ctl_status_e
ctl_edit_add(ctl_edit_t *edit, bool first, uint8_t *kid)
{
    char       others[AK_KEYRING_MASTERS * (CTL_KID_TEXT_LEN + 2)];
    ak_diag_t  d;

    if (ak_keyring_masters(edit->ctl->keys) == AK_KEYRING_MASTERS) {
        ctl_edit_others(edit->ctl, others, sizeof(others));

        return ctl_fail(CTL_REFUSED, "keyring %s has %d master keys, and has "
                        "no room for more; nothing was changed: first "
                        "\"apikeyctl keyring retire KID\" one that does not "
                        "seal: %s", edit->path, AK_KEYRING_MASTERS, others);
    }

    if (ak_keyring_add(ak_str(edit->text, edit->len), first, edit->changed,
                       &edit->size, kid, &d)
        != AK_OK)
    {
        return ctl_fail(CTL_KEYRING, "keyring %s: %s; nothing was changed",
                        edit->path, d.text);
    }

    return ctl_edit_write(edit);
}


static void
ctl_edit_print_json(const ctl_t *ctl, const char *kid, const char *old,
    bool seals, bool changed)
{
    json_t  *object;

    object = json_object();
    ctl_set(object, "keyring", ctl_json(ak_cstr(ctl->keyring)));
    ctl_set(object, "kid", ctl_json(ak_cstr(kid)));
    ctl_set(object, "old_kid", ctl_json(ak_cstr(old)));
    ctl_set(object, "seals", json_boolean(seals));
    ctl_set(object, "changed", json_boolean(changed));
    ctl_print_json(object);
    json_decref(object);
}


ctl_status_e
ctl_keyring_add(ctl_t *ctl)
{
    char           text[CTL_KID_TEXT_LEN + 1], old[CTL_KID_TEXT_LEN + 1];
    uint8_t        kid[AK_KID_LEN];
    ctl_edit_t     edit;
    ctl_status_e   status;

    status = ctl_edit_begin(&edit, ctl);

    if (status == CTL_DONE) {
        status = ctl_edit_add(&edit, false, kid);
    }

    ctl_edit_end(&edit);

    if (status != CTL_DONE) {
        return status;
    }

    ctl_kid_text(kid, text);
    ctl_kid_text(ak_keyring_kid(ctl->keys, 0), old);

    if (ctl->json) {
        ctl_edit_print_json(ctl, text, old, false, true);
        return CTL_DONE;
    }

    ctl_print_text("Master key %s added: it opens; %s goes on sealing.", text,
                   old);
    ctl_print_text("Next:");
    ctl_print_text("  1. copy the keyring to every machine that has it, and "
                   "reload nginx on all");
    ctl_print_text("  2. apikeyctl keyring rotate %s", text);

    return CTL_DONE;
}


/* What is left to do; known: nginx has read the new key before. */

static void
ctl_edit_print_steps(const char *old, bool known)
{
    ctl_print_text("Next:");

    if (known) {
        ctl_print_text("  1. copy the keyring to wherever apikeyctl is used; "
                       "every nginx must have read");
        ctl_print_text("     the new key before");

    } else {
        ctl_print_text("  1. copy the keyring to every machine that has it, "
                       "and reload nginx on all;");
        ctl_print_text("     until then let nobody run \"apikeyctl upstream "
                       "set\"");
    }

    ctl_print_text("  2. apikeyctl upstream reseal");
    ctl_print_text("  3. apikeyctl keyring retire %s, then copy and reload "
                   "again", old);
}


static bool
ctl_edit_seals(const ctl_edit_t *edit, const uint8_t *kid)
{
    return memcmp(kid, ak_keyring_kid(edit->ctl->keys, 0), AK_KID_LEN) == 0;
}


/* Moves one that is there to the front. */

static ctl_status_e
ctl_edit_promote(ctl_edit_t *edit, const uint8_t *kid, bool *changed)
{
    ak_rc_t    rc;
    ak_diag_t  d;

    rc = ak_keyring_promote(ak_str(edit->text, edit->len), kid, edit->changed,
                            &edit->size, &d);

    if (rc != AK_OK) {
        return ctl_fail(rc == AK_NOT_FOUND ? CTL_REFUSED : CTL_KEYRING,
                        "keyring %s: %s; nothing was changed; \"apikeyctl "
                        "keyring check\" shows those there are", edit->path,
                        d.text);
    }

    *changed = !ctl_edit_seals(edit, kid);

    return *changed ? ctl_edit_write(edit) : CTL_DONE;
}


ctl_status_e
ctl_keyring_rotate(ctl_t *ctl)
{
    bool           changed, known;
    char           text[CTL_KID_TEXT_LEN + 1], old[CTL_KID_TEXT_LEN + 1];
    uint8_t        kid[AK_KID_LEN];
    ctl_edit_t     edit;
    ctl_status_e   status;

    known = (ctl->nwords != 0);
    changed = true;

    if (known && ctl_kid_parse(ctl, ctl->words[0], kid) != CTL_DONE) {
        return CTL_USAGE;
    }

    status = ctl_edit_begin(&edit, ctl);

    if (status == CTL_DONE) {
        status = known ? ctl_edit_promote(&edit, kid, &changed)
                       : ctl_edit_add(&edit, true, kid);
    }

    ctl_edit_end(&edit);

    if (status != CTL_DONE) {
        return status;
    }

    ctl_kid_text(kid, text);
    ctl_kid_text(ak_keyring_kid(ctl->keys, 0), old);

    if (ctl->json) {
        ctl_edit_print_json(ctl, text, old, true, changed);

    } else if (!changed) {
        ctl_print_text("Master key %s seals already.", text);

    } else {
        ctl_print_text("Master key %s seals now; %s goes on opening.", text,
                       old);
        ctl_edit_print_steps(old, known);
    }

    return CTL_DONE;
}


/* Whether the store has nothing that is sealed under it. */

static ctl_status_e
ctl_edit_unused(const ctl_edit_t *edit, const uint8_t *kid)
{
    size_t        i;
    ctl_t        *ctl;
    uint64_t      n;
    ctl_kids_t    kids;
    ctl_status_e  status;

    ctl = edit->ctl;

    if (ctl->store == NULL) {
        return ctl_usage(ctl, "no store is named, so that nobody knows what "
                         "the key has sealed: give --store URL, or --force");
    }

    status = ctl_kids_count(ctl, &kids);

    if (status != CTL_DONE) {
        return status;
    }

    n = 0;

    for (i = 0; i < kids.nkids; i++) {
        if (memcmp(kids.kids[i].kid, kid, AK_KID_LEN) == 0) {
            n = kids.kids[i].n;
        }
    }

    if (n != 0) {
        return ctl_fail(CTL_REFUSED, "%llu of %llu tokens are sealed under "
                        "it, and would be lost; nothing was changed: first "
                        "%s\"apikeyctl upstream reseal\"",
                        (unsigned long long) n,
                        (unsigned long long) kids.tokens,
                        ctl_edit_seals(edit, kid)
                        ? "let another one seal, \"apikeyctl keyring rotate "
                          "[KID]\", then "
                        : "");
    }

    if (kids.unreadable != 0) {
        return ctl_fail(CTL_REFUSED, "%llu owners' sets of tokens cannot be "
                        "read, and may have some that are sealed under it; "
                        "nothing was changed: see \"apikeyctl upstream "
                        "check\", or give --force",
                        (unsigned long long) kids.unreadable);
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_edit_retire(ctl_edit_t *edit, const uint8_t *kid)
{
    ak_rc_t       rc;
    ak_diag_t     d;
    ctl_status_e  status;

    rc = ak_keyring_remove(ak_str(edit->text, edit->len), kid, edit->changed,
                           &edit->size, &d);

    if (rc != AK_OK) {
        return ctl_fail(CTL_REFUSED, "keyring %s: %s; nothing was changed; "
                        "\"apikeyctl keyring check\" shows those there are",
                        edit->path, d.text);
    }

    status = edit->ctl->force ? CTL_DONE : ctl_edit_unused(edit, kid);

    return (status == CTL_DONE) ? ctl_edit_write(edit) : status;
}


static void
ctl_edit_print_retired(const ctl_t *ctl, bool sealed)
{
    char  text[CTL_KID_TEXT_LEN + 1];

    if (sealed) {
        ctl_kid_text(ak_keyring_kid(ctl->keys, 1), text);
        ctl_print_text("Master key %s is no longer in the keyring; %s seals "
                       "now.", ctl->words[0], text);

    } else {
        ctl_print_text("Master key %s is no longer in the keyring.",
                       ctl->words[0]);
    }

    ctl_print_text("Next: copy the keyring to every machine that has it, and "
                   "reload nginx on all.");
}


ctl_status_e
ctl_keyring_retire(ctl_t *ctl)
{
    bool           sealed;
    json_t        *object;
    uint8_t        kid[AK_KID_LEN];
    ctl_edit_t     edit;
    ctl_status_e   status;

    if (ctl_kid_parse(ctl, ctl->words[0], kid) != CTL_DONE) {
        return CTL_USAGE;
    }

    status = ctl_edit_begin(&edit, ctl);

    if (status == CTL_DONE) {
        status = ctl_edit_retire(&edit, kid);
    }

    sealed = (status == CTL_DONE && ctl_edit_seals(&edit, kid));
    ctl_edit_end(&edit);

    if (status != CTL_DONE) {
        return status;
    }

    if (!ctl->json) {
        ctl_edit_print_retired(ctl, sealed);
        return CTL_DONE;
    }

    object = json_object();
    ctl_set(object, "keyring", ctl_json(ak_cstr(ctl->keyring)));
    ctl_set(object, "kid", ctl_json(ak_cstr(ctl->words[0])));
    ctl_set(object, "retired", json_true());
    ctl_print_json(object);
    json_decref(object);

    return CTL_DONE;
}
