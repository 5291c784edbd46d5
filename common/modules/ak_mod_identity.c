
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_claim.h"
#include "ak_modules.h"


/*
 * session ... identity [owner=HEADER] [id=HEADER] [name=HEADER]
 *                      [meta.KEY=HEADER ...] [claim.PATH=HEADER ...]
 *
 * Tells the upstream who it is.  What a client sends in these headers never
 * gets there, whether there is something to put into them or not.
 */

#define AK_IDENTITY_NAME_MAX  63       /* bytes of a header's name */


typedef enum {
    AK_IDENTITY_OWNER = 0,
    AK_IDENTITY_ID,
    AK_IDENTITY_NAME,
    AK_IDENTITY_META,
    AK_IDENTITY_CLAIM
} ak_identity_e;


typedef struct {
    ak_identity_e          what;
    ak_str_t               key;        /* of META, CLAIM: behind the dot */
    ak_str_t               header;     /* as it is sent */
    ak_str_t               lowcase;
} ak_identity_header_t;


typedef struct {
    ak_pairs_t             pairs;
    ak_identity_header_t  *list;
    size_t                 n;
    bool                   meta;       /* some pair is of META */
} ak_identity_conf_t;


static const ak_str_t  ak_identity_words[] = {
    [AK_IDENTITY_OWNER] = ak_string("owner"),
    [AK_IDENTITY_ID] = ak_string("id"),
    [AK_IDENTITY_NAME] = ak_string("name")
};


static const ak_str_t  ak_identity_meta = ak_string("meta.");
static const ak_str_t  ak_identity_claim = ak_string("claim.");


/* What frames a message, or says what it is, is not for identities. */

static const ak_str_t  ak_identity_taken[] = {
    ak_string("host"),
    ak_string("content-length"),
    ak_string("content-type"),
    ak_string("transfer-encoding"),
    ak_string("connection"),
    ak_string("keep-alive"),
    ak_string("proxy-connection"),
    ak_string("upgrade"),
    ak_string("te"),
    ak_string("trailer"),
    ak_string("expect"),
    ak_string("cookie")
};


static bool
ak_identity_key(ak_identity_header_t *h, ak_str_t word, ak_str_t prefix)
{
    if (word.len <= prefix.len || !ak_str_starts(word, prefix)) {
        return false;
    }

    h->key = ak_str(word.data + prefix.len, word.len - prefix.len);

    return true;
}


static ak_rc_t
ak_identity_what(ak_identity_header_t *h, ak_str_t word, ak_diag_t *d)
{
    unsigned  i;

    if (ak_identity_key(h, word, ak_identity_meta)) {
        h->what = AK_IDENTITY_META;
        return AK_OK;
    }

    if (ak_identity_key(h, word, ak_identity_claim)) {
        h->what = AK_IDENTITY_CLAIM;
        return AK_OK;
    }

    for (i = 0; i < ak_nitems(ak_identity_words); i++) {
        if (ak_str_eq(ak_identity_words[i], word)) {
            h->what = (ak_identity_e) i;
            return AK_OK;
        }
    }

    return ak_diag(d, "unknown argument \"%.*s\", it must be \"owner\", "
                   "\"id\", \"name\", \"meta.KEY\" or \"claim.PATH\"",
                   AK_FMT(word));
}


static ak_rc_t
ak_identity_lowcase(ak_identity_header_t *h, const ak_init_t *in)
{
    size_t     i;
    uint8_t    ch, *p;
    ak_mem_t  *mem;

    mem = &in->site->mem;

    p = mem->alloc(mem->data, h->header.len);
    if (p == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    for (i = 0; i < h->header.len; i++) {
        ch = h->header.data[i];
        p[i] = (ch >= 'A' && ch <= 'Z') ? (uint8_t) (ch | 0x20) : ch;
    }

    h->lowcase = ak_str(p, h->header.len);

    return AK_OK;
}


/*
 * Whether a header is free for use, "creds" being those that carry
 * a credential somewhere.  A '_' counts as '-', as it does for many upstreams.
 */

static ak_rc_t
ak_identity_check(const ak_identity_conf_t *conf, ak_str_t lowcase,
    const ak_strip_t *creds, ak_diag_t *d)
{
    size_t  i;

    if (ak_strip_header(creds, lowcase)) {
        return ak_diag(d, "the header \"%.*s\" carries credentials, no "
                       "identities", AK_FMT(lowcase));
    }

    for (i = 0; i < ak_nitems(ak_identity_taken); i++) {
        if (ak_view_same_name(lowcase, ak_identity_taken[i])) {
            return ak_diag(d, "the header \"%.*s\" is not for identities",
                           AK_FMT(lowcase));
        }
    }

    for (i = 0; i < conf->n; i++) {
        if (ak_view_same_name(lowcase, conf->list[i].lowcase)) {
            return ak_diag(d, "the header \"%.*s\" is named twice",
                           AK_FMT(lowcase));
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_identity_pair(ak_identity_conf_t *conf, const ak_field_t *pair,
    const ak_strip_t *creds, const ak_init_t *in)
{
    ak_identity_header_t  *h;

    h = &conf->list[conf->n];

    memset(h, 0, sizeof(ak_identity_header_t));
    h->header = pair->value;

    if (ak_identity_what(h, pair->name, in->d) != AK_OK) {
        return AK_ERROR;
    }

    if (h->header.len > AK_IDENTITY_NAME_MAX
        || !ak_view_token(h->header))
    {
        return ak_diag(in->d, "\"%.*s\" is no name of a header, of at most %d "
                       "bytes", AK_FMT(h->header), AK_IDENTITY_NAME_MAX);
    }

    if (ak_identity_lowcase(h, in) != AK_OK
        || ak_identity_check(conf, h->lowcase, creds, in->d) != AK_OK)
    {
        return AK_ERROR;
    }

    conf->meta |= (h->what == AK_IDENTITY_META);
    conf->n++;

    return AK_OK;
}


static ak_rc_t
ak_identity_init(void *data, const ak_init_t *in)
{
    ak_identity_conf_t *conf = data;

    size_t       i;
    ak_mem_t    *mem;
    ak_strip_t  *creds;

    if (conf->pairs.n == 0) {
        return ak_diag(in->d, "no header is named, as in \"owner=X-User\"");
    }

    if (conf->pairs.n > AK_EFFECTS_MAX) {
        return ak_diag(in->d, "there are more than %d headers",
                       AK_EFFECTS_MAX);
    }

    mem = &in->site->mem;

    conf->list = mem->alloc(mem->data, conf->pairs.n
                                       * sizeof(ak_identity_header_t));

    /* a new set holds the headers that carry credentials, and no more */

    creds = ak_strip_create(mem);

    if (conf->list == NULL || creds == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    for (i = 0; i < conf->pairs.n; i++) {
        if (ak_identity_pair(conf, &conf->pairs.list[i], creds, in) != AK_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_identity_strip(const void *data, ak_strip_t *strip)
{
    const ak_identity_conf_t *conf = data;

    size_t   i;
    ak_rc_t  rc;

    for (i = 0; i < conf->n; i++) {
        rc = ak_strip_add_header(strip, conf->list[i].lowcase);

        if (rc != AK_OK) {
            return rc;
        }
    }

    return AK_OK;
}


static ak_str_t
ak_identity_value(ak_txn_t *t, const ak_identity_header_t *h,
    const ak_record_t *rec)
{
    ak_str_t  value;

    switch (h->what) {

    case AK_IDENTITY_OWNER:
        return t->owner;

    case AK_IDENTITY_ID:
        return t->id;

    case AK_IDENTITY_NAME:
        return t->name;

    case AK_IDENTITY_CLAIM:
        return (ak_claim(t->claims, h->key, &t->mem, &value) == AK_OK)
               ? value : ak_str(NULL, 0);

    default: /* AK_IDENTITY_META */
        return ak_record_meta(rec, h->key);
    }
}


/* A record's fields are free text: a header is none, RFC 9110, 5.5. */

static bool
ak_identity_sendable(ak_str_t value)
{
    size_t  i;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f) {
            return false;
        }
    }

    return value.len != 0;
}


/* The id may be a part of the credential, which may be wiped before. */

static ak_rc_t
ak_identity_stage(ak_txn_t *t, const ak_identity_header_t *h, ak_str_t value)
{
    uint8_t  *p;

    if (h->what == AK_IDENTITY_ID) {
        p = t->mem.alloc(t->mem.data, value.len);

        if (p == NULL) {
            return AK_NO_MEMORY;
        }

        memcpy(p, value.data, value.len);
        value.data = p;
    }

    if (ak_txn_set_header(t, h->header, value) != AK_OK) {
        t->alert = "the session's lines set too many headers";
        return AK_ERROR;
    }

    return AK_OK;
}


/*
 * Where not all can be told nothing is: an upstream would take half an
 * identity for a whole one.  Then it is not the key that is at fault, as
 * "forbidden" would say, so the reason is that for which operators are called.
 */

static ak_reason_e
ak_identity_open(ak_txn_t *t, const void *data, void *state)
{
    const ak_identity_conf_t *conf = data;

    size_t                       i;
    ak_str_t                     value;
    unsigned                     before;
    ak_record_t                  rec;
    const ak_identity_header_t  *h;

    (void) state;

    /* the host may let pass whom nobody proved, with a key's id at hand */

    if (!t->identified) {
        return AK_IGNORE;
    }

    if (!conf->meta || ak_record_unpack(t->record, &rec) != AK_OK) {
        rec.nmeta = 0;
    }

    before = t->neffects;

    for (i = 0; i < conf->n; i++) {
        h = &conf->list[i];
        value = ak_identity_value(t, h, &rec);

        if (!ak_identity_sendable(value)) {
            continue;
        }

        if (ak_identity_stage(t, h, value) != AK_OK) {
            t->neffects = before;
            return AK_STORE_UNAVAILABLE;
        }
    }

    return (t->neffects == before) ? AK_IGNORE : AK_SUCCESS;
}


static const ak_arg_t  ak_identity_args[] = {
    { AK_ARG_PAIRS, ak_string("owner|id|name|meta.KEY|claim.PATH=HEADER"),
      offsetof(ak_identity_conf_t, pairs), NULL,
      "which header tells what" },
    { .type = AK_ARG_END }
};


const ak_module_t  ak_mod_identity = {
    .name = ak_string("identity"),
    .about = "headers that tell the upstream who it is",
    .conf_size = sizeof(ak_identity_conf_t),
    .args = ak_identity_args,
    .init = ak_identity_init,
    .strip = ak_identity_strip,
    .run = { [AK_SESSION_OPEN] = ak_identity_open }
};
