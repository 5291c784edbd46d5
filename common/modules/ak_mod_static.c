
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include "ak_env.h"
#include "ak_file.h"
#include "ak_hash.h"
#include "ak_modules.h"


/*
 * auth ... static keys=env:NAME|PATH [owner=NAME] [from=CARRIER,...]
 *
 * A credential against a list, told apart by commas and lines; lines that
 * begin with "#" are comments.  An owner who needs to know more of a key than
 * that it is good has a store.
 *
 * The list is kept as hashes, all with one salt: so a request is hashed once,
 * and compared to all of them.  What an environment variable holds stays in
 * the memory of the process as its starter put it there, unless the host wipes
 * it (ak_env.h); a file does not.
 */

#define AK_STATIC_MAX   65536  /* bytes of a list */
#define AK_STATIC_NAME_MAX  64         /* bytes of the stack's name */

/* "static:STACK:LINE:N": no other line's, which would share its rate */

#define AK_STATIC_ID      "static:%.*s:%u:%zu"
#define AK_STATIC_ID_MAX  (sizeof("static:::") + AK_STATIC_NAME_MAX + 2 * 10)


typedef struct {
    uint8_t           sum[AK_SHA256_LEN];
    uint8_t           id[AK_STATIC_ID_MAX];
    size_t            len;     /* of the id */
} ak_static_key_t;


typedef struct {
    ak_str_t          keys;
    ak_str_t          owner;
    ak_str_t          from;
    ak_carriers_t     carriers;
    uint8_t           salt[AK_SALT_LEN];
    ak_static_key_t  *list;
    size_t            n;
} ak_static_conf_t;


/* What is left of a list, and of its line. */

typedef struct {
    ak_str_t          rest;
    ak_str_t          line;
} ak_static_text_t;


static const ak_str_t  ak_static_name = ak_string("static");


/* What is before the first ch, which is passed over; or all. */

static ak_str_t
ak_static_cut(ak_str_t *s, uint8_t ch)
{
    ak_str_t        head;
    const uint8_t  *end;

    end = memchr(s->data, ch, s->len);

    if (end == NULL) {
        head = *s;
        s->len = 0;
        return head;
    }

    head = ak_str(s->data, (size_t) (end - s->data));
    *s = ak_str(end + 1, s->len - head.len - 1);

    return head;
}


static bool
ak_static_blank(uint8_t ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}


static ak_str_t
ak_static_trim(ak_str_t s)
{
    while (s.len != 0 && ak_static_blank(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && ak_static_blank(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


/*
 * The next entry of a list; false: there is none.  Comments are comments in
 * a variable too, which may hold the text of a file: a key that somebody took
 * out in this way must not be good.
 */

static bool
ak_static_next(ak_static_text_t *text, ak_str_t *entry)
{
    for ( ;; ) {

        while (text->line.len != 0) {
            *entry = ak_static_trim(ak_static_cut(&text->line, ','));

            if (entry->len != 0) {
                return true;
            }
        }

        if (text->rest.len == 0) {
            return false;
        }

        text->line = ak_static_trim(ak_static_cut(&text->rest, '\n'));

        if (text->line.len != 0 && text->line.data[0] == '#') {
            text->line.len = 0;
        }
    }
}


/* Counts the entries and checks each; no byte of them is ever shown. */

static ak_rc_t
ak_static_count(ak_static_conf_t *conf, ak_str_t list, ak_diag_t *d)
{
    ak_str_t          entry;
    ak_static_text_t  text = { list, { NULL, 0 } };

    while (ak_static_next(&text, &entry)) {
        conf->n++;

        if (entry.len < AK_KEY_MIN || entry.len > AK_KEY_MAX) {
            return ak_diag(d, "entry %zu of \"%.*s\" must have %d to %d "
                           "bytes, it has %zu", conf->n, AK_FMT(conf->keys),
                           AK_KEY_MIN, AK_KEY_MAX, entry.len);
        }

        /* one that was taken out of the middle of a line must not be good */

        if (entry.data[0] == '#') {
            return ak_diag(d, "entry %zu of \"%.*s\" begins with \"#\", "
                           "which makes a comment of whole lines only",
                           conf->n, AK_FMT(conf->keys));
        }

        if (!ak_str_visible(entry)) {
            return ak_diag(d, "entry %zu of \"%.*s\" holds what is no visible "
                           "ASCII character", conf->n, AK_FMT(conf->keys));
        }
    }

    if (conf->n == 0) {
        return ak_diag(d, "there is no key in \"%.*s\"", AK_FMT(conf->keys));
    }

    return AK_OK;
}


static ak_rc_t
ak_static_hash(ak_static_conf_t *conf, ak_str_t list, const ak_init_t *in,
    ak_digest_t *digest)
{
    size_t            n;
    ak_str_t          entry;
    ak_static_key_t  *key;
    ak_static_text_t  text = { list, { NULL, 0 } };

    for (n = 0; ak_static_next(&text, &entry); n++) {
        key = &conf->list[n];

        key->len = (size_t) snprintf((char *) key->id, sizeof(key->id),
                                     AK_STATIC_ID, (int) in->stack.len,
                                     (const char *) in->stack.data, in->line,
                                     n + 1);

        if (ak_digest(digest, ak_str(conf->salt, AK_SALT_LEN), entry,
                      key->sum)
            != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_static_read(ak_static_conf_t *conf, ak_str_t list, const ak_init_t *in)
{
    ak_rc_t       rc;
    ak_mem_t     *mem;
    ak_digest_t  *digest;

    if (ak_static_count(conf, list, in->d) != AK_OK) {
        return AK_ERROR;
    }

    if (in->stack.len > AK_STATIC_NAME_MAX) {
        return ak_diag(in->d, "the name of the stack is longer than %d bytes",
                       AK_STATIC_NAME_MAX);
    }

    mem = &in->site->mem;

    conf->list = mem->alloc(mem->data, conf->n * sizeof(ak_static_key_t));
    if (conf->list == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    if (ak_random(conf->salt, AK_SALT_LEN) != AK_OK) {
        return ak_diag(in->d, "OpenSSL has no random bytes");
    }

    digest = ak_digest_create();
    rc = (digest == NULL) ? AK_ERROR : ak_static_hash(conf, list, in,
                                                        digest);
    ak_digest_free(digest);

    if (rc != AK_OK) {
        return ak_diag(in->d, "OpenSSL cannot compute SHA-256");
    }

    return AK_OK;
}


static ak_rc_t
ak_static_file(ak_static_conf_t *conf, const ak_init_t *in)
{
    size_t    len;
    ak_rc_t   rc;
    uint8_t  *text;

    text = malloc(AK_STATIC_MAX);
    if (text == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    rc = ak_file_secret((const char *) conf->keys.data, text, AK_STATIC_MAX,
                        &len, in->d);

    if (rc == AK_OK) {
        rc = ak_static_read(conf, ak_str(text, len), in);
        ak_mem_wipe(text, len);
    }

    free(text);

    return rc;
}


static ak_rc_t
ak_static_env(ak_static_conf_t *conf, const char *name, const ak_init_t *in)
{
    ak_str_t  list;

    list = ak_env_secret(in->site, name);

    if (list.data == NULL) {
        return ak_diag(in->d, "\"%.*s\": there is no such variable in the "
                       "environment", AK_FMT(conf->keys));
    }

    if (list.len > AK_STATIC_MAX) {
        return ak_diag(in->d, "\"%.*s\" is longer than %d bytes",
                       AK_FMT(conf->keys), AK_STATIC_MAX);
    }

    return ak_static_read(conf, list, in);
}


static ak_rc_t
ak_static_init(void *data, const ak_init_t *in)
{
    ak_static_conf_t *conf = data;

    ak_rc_t                rc;
    static const ak_str_t  env = ak_string("env:");

    if (conf->owner.len == 0) {
        conf->owner = ak_static_name;
    }

    if (!ak_name_valid(conf->owner)
        || ak_str_eq(conf->owner, ak_literal("*")))
    {
        return ak_diag(in->d, "\"%.*s\" cannot be an owner",
                       AK_FMT(conf->owner));
    }

    conf->carriers = ak_carriers_default;

    if (conf->from.len != 0) {
        rc = ak_carriers_parse(conf->from, &in->site->mem, &conf->carriers,
                               in->d);
        if (rc != AK_OK) {
            return rc;
        }
    }

    if (conf->keys.len == 0) {
        return ak_diag(in->d, "\"keys\" is missing, env:NAME or a file");
    }

    if (ak_str_starts(conf->keys, env)) {
        return ak_static_env(conf, (const char *) conf->keys.data + env.len,
                             in);
    }

    /* the word is not shown: it may be a key that was put here by mistake */

    if (conf->keys.data[0] != '/') {
        return ak_diag(in->d, "\"keys\" must be env:NAME or the absolute "
                       "path of a file");
    }

    return ak_static_file(conf, in);
}


static ak_rc_t
ak_static_strip(const void *data, ak_strip_t *strip)
{
    const ak_static_conf_t *conf = data;

    return ak_strip_add_carriers(strip, &conf->carriers);
}


static ak_reason_e
ak_static_judge(ak_txn_t *t, const ak_static_conf_t *conf, ak_str_t value)
{
    size_t                  i;
    uint8_t                 sum[AK_SHA256_LEN];
    ak_identity_t           who = { .source = AK_SOURCE_NONE };
    const ak_static_key_t  *key, *found;

    if (ak_digest(t->digest, ak_str(conf->salt, AK_SALT_LEN), value, sum)
        != AK_OK)
    {
        return AK_STORE_UNAVAILABLE;   /* nobody knows whether it is good */
    }

    /* all of them, whichever it is; of equal ones it is the first */

    found = NULL;

    for (i = conf->n; i != 0; i--) {
        key = &conf->list[i - 1];
        found = ak_mem_equal(key->sum, sum, AK_SHA256_LEN) ? key : found;
    }

    if (found == NULL) {
        return AK_UNKNOWN;
    }

    who.id = ak_str(found->id, found->len);
    who.owner = conf->owner;
    who.name = ak_static_name;

    ak_txn_identify(t, &who);

    return AK_SUCCESS;
}


static ak_reason_e
ak_static_auth(ak_txn_t *t, const void *data, void *state)
{
    const ak_static_conf_t *conf = data;

    const ak_cred_t  *cred;

    (void) state;

    cred = ak_txn_cred(t, &conf->carriers);

    switch (cred->kind) {

    case AK_CRED_KEY:
    case AK_CRED_JWT:          /* a list may hold anything */
        return ak_static_judge(t, conf, cred->value);

    case AK_CRED_MALFORMED:
        return AK_MALFORMED;

    case AK_CRED_AMBIGUOUS:
        return AK_AMBIGUOUS;

    default:
        return AK_IGNORE;
    }
}


static const ak_arg_t  ak_static_args[] = {
    { AK_ARG_TEXT, ak_string("keys"), offsetof(ak_static_conf_t, keys), NULL,
      "the list, env:NAME or the absolute path of a file" },
    { AK_ARG_TEXT, ak_string("owner"), offsetof(ak_static_conf_t, owner),
      NULL, "whose keys they are" },
    { AK_ARG_TEXT, ak_string("from"), offsetof(ak_static_conf_t, from), NULL,
      "where to look for the key, in order" },
    { .type = AK_ARG_END }
};


const ak_module_t  ak_mod_static = {
    .name = ak_string("static"),
    .about = "a credential of a list in a file or environment variable",
    .conf_size = sizeof(ak_static_conf_t),
    .args = ak_static_args,
    .init = ak_static_init,
    .strip = ak_static_strip,
    .run = { [AK_AUTH] = ak_static_auth }
};
