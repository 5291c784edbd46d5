
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_providers.h"
#include "ak_time.h"


/* The statements of a block, by their first word. */

typedef struct {
    ak_own_provider_t  *p;
    const ak_str_t     *words;
    size_t              n;
    ak_mem_t           *mem;
    ak_diag_t          *d;
} ak_provider_stmt_t;


typedef struct {
    ak_str_t            word;
    size_t              min;           /* words, with the first one */
    size_t              max;
    ak_rc_t           (*read)(const ak_provider_stmt_t *s);
    const char         *usage;
} ak_provider_word_t;


static ak_rc_t ak_provider_header(const ak_provider_stmt_t *s);
static ak_rc_t ak_provider_scheme(const ak_provider_stmt_t *s);
static ak_rc_t ak_provider_since(const ak_provider_stmt_t *s);
static ak_rc_t ak_provider_set(const ak_provider_stmt_t *s);
static ak_rc_t ak_provider_refused(const ak_provider_stmt_t *s);
static ak_rc_t ak_provider_query(const ak_provider_stmt_t *s);


static const ak_provider_word_t  ak_provider_words[] = {
    { ak_string("header"), 2, 2, ak_provider_header, "NAME" },
    { ak_string("scheme"), 2, 2, ak_provider_scheme, "WORD" },
    { ak_string("since"), 3, 4, ak_provider_since,
      "HEADER=DATE header=NAME [scheme=WORD]" },
    { ak_string("set"), 3, 3, ak_provider_set, "HEADER VALUE" },
    { ak_string("refused"), 2, SIZE_MAX, ak_provider_refused,
      "STATUS... [text=MARK]" },
    { ak_string("query"), 1, SIZE_MAX, ak_provider_query, "" }
};


/*
 * Headers that a request has for its connection, its body or its host, and
 * one that has several things in it: they are the proxy's to make.
 */

static const ak_str_t  ak_provider_taken[] = {
    ak_string("host"),
    ak_string("connection"),
    ak_string("content-length"),
    ak_string("transfer-encoding"),
    ak_string("te"),
    ak_string("trailer"),
    ak_string("upgrade"),
    ak_string("keep-alive"),
    ak_string("proxy-connection"),
    ak_string("expect"),
    ak_string("cookie")
};


static uint8_t *
ak_provider_copy(ak_mem_t *mem, ak_str_t s, ak_str_t *copy)
{
    uint8_t  *p;

    p = mem->alloc(mem->data, s.len + 1);

    if (p != NULL) {
        if (s.len != 0) {
            memcpy(p, s.data, s.len);
        }

        p[s.len] = '\0';
        *copy = ak_str(p, s.len);
    }

    return p;
}


static ak_rc_t
ak_provider_lowcase(ak_mem_t *mem, ak_str_t s, ak_str_t *copy)
{
    size_t    i;
    uint8_t  *p;

    p = ak_provider_copy(mem, s, copy);

    if (p == NULL) {
        return AK_NO_MEMORY;
    }

    for (i = 0; i < s.len; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z') {
            p[i] |= 0x20;
        }
    }

    return AK_OK;
}


ak_rc_t
ak_provider_line(ak_own_provider_t *p, const ak_str_t *words, size_t n,
    ak_mem_t *mem, ak_diag_t *d)
{
    size_t                     i;
    ak_provider_stmt_t         s;
    const ak_provider_word_t  *w;

    for (i = 0; i < ak_nitems(ak_provider_words); i++) {
        w = &ak_provider_words[i];

        if (!ak_str_eq(w->word, words[0])) {
            continue;
        }

        if (n < w->min || n > w->max) {
            return ak_diag(d, "\"%.*s\" takes other words: \"%.*s %s;\"",
                           AK_FMT(w->word), AK_FMT(w->word), w->usage);
        }

        s.p = p;
        s.words = words;
        s.n = n;
        s.mem = mem;
        s.d = d;

        return w->read(&s);
    }

    return ak_diag(d, "unknown word \"%.*s\" in a provider: \"header\", "
                   "\"scheme\", \"since\", \"set\" and \"refused\" are known",
                   AK_FMT(words[0]));
}


static ak_rc_t
ak_provider_no_memory(const ak_provider_stmt_t *s)
{
    return ak_diag(s->d, "there is no memory");
}


static ak_rc_t
ak_provider_twice(const ak_provider_stmt_t *s)
{
    return ak_diag(s->d, "\"%.*s\" is there twice", AK_FMT(s->words[0]));
}


/* The name of a header that this library may put in. */

static ak_rc_t
ak_provider_header_name(const ak_provider_stmt_t *s, ak_str_t name,
    ak_str_t *copy, ak_str_t *lowcase)
{
    size_t  i;

    if (!ak_view_token(name) || name.len > AK_HEADER_MAX) {
        return ak_diag(s->d, "\"%.*s\" is no name of a header",
                       AK_FMT(name));
    }

    if (ak_provider_copy(s->mem, name, copy) == NULL
        || ak_provider_lowcase(s->mem, name, lowcase) != AK_OK)
    {
        return ak_provider_no_memory(s);
    }

    for (i = 0; i < ak_nitems(ak_provider_taken); i++) {
        if (ak_view_same_name(*lowcase, ak_provider_taken[i])) {
            return ak_diag(s->d, "the header \"%.*s\" is nginx's own to make",
                           AK_FMT(name));
        }
    }

    return AK_OK;
}


/* With the space that comes between it and the key. */

static ak_rc_t
ak_provider_scheme_word(const ak_provider_stmt_t *s, ak_str_t word,
    ak_str_t *scheme)
{
    uint8_t  *p;

    if (!ak_view_token(word) || word.len > AK_SCHEME_MAX) {
        return ak_diag(s->d, "a scheme is one word of at most %d letters, "
                       "digits and \"-\", such as Bearer", AK_SCHEME_MAX);
    }

    p = s->mem->alloc(s->mem->data, word.len + 1);

    if (p == NULL) {
        return ak_provider_no_memory(s);
    }

    memcpy(p, word.data, word.len);
    p[word.len] = ' ';

    *scheme = ak_str(p, word.len + 1);

    return AK_OK;
}


static ak_rc_t
ak_provider_header(const ak_provider_stmt_t *s)
{
    ak_carriage_t  *c;

    c = &s->p->provider.carriage;

    if (c->header.len != 0) {
        return ak_provider_twice(s);
    }

    return ak_provider_header_name(s, s->words[1], &c->header,
                                   &s->p->lowcase[0]);
}


static ak_rc_t
ak_provider_scheme(const ak_provider_stmt_t *s)
{
    ak_carriage_t  *c;

    c = &s->p->provider.carriage;

    if (c->scheme.len != 0) {
        return ak_provider_twice(s);
    }

    return ak_provider_scheme_word(s, s->words[1], &c->scheme);
}


/* "YYYY-MM-DD": such dates sort as text. */

static bool
ak_provider_date(ak_str_t s)
{
    size_t   i;
    int64_t  at;

    for (i = 0; i < s.len; i++) {
        if ((i == 4 || i == 7) ? s.data[i] != '-'
                               : (s.data[i] < '0' || s.data[i] > '9'))
        {
            return false;
        }
    }

    /* and a day that there is: a slip of the pen would be in force for ever */

    return s.len == 10 && ak_time_point(s, INT64_MIN, &at, NULL) == AK_OK;
}


/* What comes behind NAME=; false: the word does not begin so. */

static bool
ak_provider_value(ak_str_t word, ak_str_t name, ak_str_t *value)
{
    if (!ak_str_starts(word, name) || word.len == name.len
        || word.data[name.len] != '=')
    {
        return false;
    }

    *value = ak_str(word.data + name.len + 1, word.len - name.len - 1);

    return true;
}


static ak_rc_t
ak_provider_since(const ak_provider_stmt_t *s)
{
    size_t          i;
    ak_rc_t         rc;
    ak_str_t        version, value;
    const uint8_t  *eq;
    ak_provider_t  *p;

    p = &s->p->provider;
    version = s->words[1];

    if (p->version.len != 0) {
        return ak_provider_twice(s);
    }

    eq = version.len == 0 ? NULL : memchr(version.data, '=', version.len);

    if (eq == NULL
        || !ak_provider_date(ak_str(eq + 1, (size_t) (version.data
                                            + version.len - (eq + 1)))))
    {
        return ak_diag(s->d, "\"since\" begins with HEADER=DATE, the date as "
                       "2026-10-21");
    }

    version.len = (size_t) (eq - version.data);

    if (ak_provider_header_name(s, version, &value, &p->version) != AK_OK) {
        return AK_ERROR;
    }

    if (ak_provider_copy(s->mem, ak_str(eq + 1, 10), &p->since) == NULL) {
        return ak_provider_no_memory(s);
    }

    for (i = 2; i < s->n; i++) {

        if (p->newer.header.len == 0
            && ak_provider_value(s->words[i], ak_literal("header"), &value))
        {
            rc = ak_provider_header_name(s, value, &p->newer.header,
                                         &s->p->lowcase[1]);

        } else if (p->newer.scheme.len == 0
                   && ak_provider_value(s->words[i], ak_literal("scheme"),
                                        &value))
        {
            rc = ak_provider_scheme_word(s, value, &p->newer.scheme);

        } else {
            rc = ak_diag(s->d, "\"%.*s\" is not what \"since\" takes: "
                         "header=NAME and scheme=WORD, each once",
                         AK_FMT(s->words[i]));
        }

        if (rc != AK_OK) {
            return AK_ERROR;
        }
    }

    return (p->newer.header.len != 0) ? AK_OK
           : ak_diag(s->d, "\"since\" has no header=NAME");
}


/* Printable ASCII, without spaces at its ends. */

static bool
ak_provider_text(ak_str_t s, size_t max)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] > 0x7e) {
            return false;
        }
    }

    return s.len != 0 && s.len <= max && s.data[0] != ' '
           && s.data[s.len - 1] != ' ';
}


/*
 * The value is in a file that many read, and in no message: whoever puts a key
 * there in spite of all is not to find it in a log too.
 */

static ak_rc_t
ak_provider_set(const ak_provider_stmt_t *s)
{
    size_t          i;
    ak_strip_t     *creds;
    ak_fixed_t     *f;
    ak_provider_t  *p;

    p = &s->p->provider;

    if (p->nfixed == AK_FIXED_MAX) {
        return ak_diag(s->d, "there are more than %d headers set",
                       AK_FIXED_MAX);
    }

    f = &s->p->fixed[p->nfixed];

    if (ak_provider_header_name(s, s->words[1], &f->name, &f->lowcase)
        != AK_OK)
    {
        return AK_ERROR;
    }

    /* a new set holds the headers that carry credentials, and no more */

    creds = ak_strip_create(s->mem);

    if (creds == NULL) {
        return ak_provider_no_memory(s);
    }

    if (ak_strip_header(creds, f->lowcase)) {
        return ak_diag(s->d, "\"set %.*s\": this header carries keys, which "
                       "belong into the store", AK_FMT(s->words[1]));
    }

    for (i = 0; i < p->nfixed; i++) {
        if (ak_view_same_name(f->lowcase, p->fixed[i].lowcase)) {
            return ak_diag(s->d, "the header \"%.*s\" is set twice",
                           AK_FMT(s->words[1]));
        }
    }

    if (!ak_provider_text(s->words[2], AK_FIXED_VALUE)) {
        return ak_diag(s->d, "the value of \"%.*s\" is not 1 to %d printable "
                       "ASCII characters without spaces around them",
                       AK_FMT(s->words[1]), AK_FIXED_VALUE);
    }

    if (memchr(s->words[2].data, '$', s->words[2].len) != NULL) {
        return ak_diag(s->d, "the value of \"%.*s\" has a \"$\": a provider "
                       "takes no variables, \"proxy_set_header\" does",
                       AK_FMT(s->words[1]));
    }

    if (ak_provider_copy(s->mem, s->words[2], &f->value) == NULL) {
        return ak_provider_no_memory(s);
    }

    p->nfixed++;

    return AK_OK;
}


/* The mark of a line, which is behind its statuses or nowhere. */

static ak_rc_t
ak_provider_mark(const ak_provider_stmt_t *s, ak_str_t *mark, size_t *n)
{
    ak_str_t  value;

    *mark = ak_str(NULL, 0);
    *n = s->n;

    if (!ak_provider_value(s->words[s->n - 1], ak_literal("text"), &value)) {
        return AK_OK;
    }

    if (--(*n) == 1) {
        return ak_diag(s->d, "\"refused\" has no status");
    }

    if (!ak_provider_text(value, AK_MARK_MAX)) {
        return ak_diag(s->d, "\"text=\" is not 1 to %d printable ASCII "
                       "characters without spaces around them", AK_MARK_MAX);
    }

    return (ak_provider_copy(s->mem, value, mark) != NULL)
           ? AK_OK : ak_provider_no_memory(s);
}


static ak_rc_t
ak_provider_refused(const ak_provider_stmt_t *s)
{
    size_t              i, k, n;
    unsigned            status;
    ak_str_t            mark;
    ak_own_provider_t  *p;

    p = s->p;

    if (ak_provider_mark(s, &mark, &n) != AK_OK) {
        return AK_ERROR;
    }

    for (i = 1; i < n; i++) {

        if (!ak_str_number(s->words[i], 499, &status) || status < 400) {
            return ak_diag(s->d, "\"%.*s\" is no status from 400 to 499",
                           AK_FMT(s->words[i]));
        }

        if (status == 429) {
            return ak_diag(s->d, "429 says that a key is busy, and not that "
                           "it will not do");
        }

        for (k = 0; k < p->nrefused; k++) {
            if (p->refused[k].status == status
                && ak_str_eq(p->refused[k].mark, mark))
            {
                return ak_diag(s->d, "the status %u is there twice", status);
            }
        }

        if (p->nrefused == AK_REFUSALS_MAX) {
            return ak_diag(s->d, "there are more than %d statuses",
                           AK_REFUSALS_MAX);
        }

        p->refused[p->nrefused].status = status;
        p->refused[p->nrefused].mark = mark;
        p->nrefused++;
    }

    return AK_OK;
}


/*
 * The query of a forwarded request is in the lines of the proxy's error log
 * ("upstream: ..."), in its variables, in what it redirects to, and in the
 * keys of its cache: no place for a secret.
 */

static ak_rc_t
ak_provider_query(const ak_provider_stmt_t *s)
{
    return ak_diag(s->d, "a key is not put into a query: nginx would write it "
                   "to its error log, to $args and to the keys of caches; "
                   "\"header NAME;\" is what there is");
}


ak_rc_t
ak_provider_end(ak_own_provider_t *own, ak_diag_t *d)
{
    size_t             i;
    ak_provider_t     *p;
    const ak_fixed_t  *f;

    p = &own->provider;

    if (p->carriage.header.len == 0) {
        return ak_diag(d, "the provider \"%.*s\" has no \"header NAME;\": "
                       "what carries its key?", AK_FMT(p->name));
    }

    if (own->nrefused == 0) {
        own->refused[0].status = 401;
        own->nrefused = 1;
    }

    for (i = 0; i < p->nfixed; i++) {
        f = &p->fixed[i];

        if (ak_view_same_name(f->lowcase, own->lowcase[0])
            || ak_view_same_name(f->lowcase, own->lowcase[1]))
        {
            return ak_diag(d, "the header \"%.*s\" carries the key, and "
                           "cannot be set", AK_FMT(f->name));
        }

        if (ak_view_same_name(f->lowcase, p->version)) {
            return ak_diag(d, "the header \"%.*s\" is the client's to send, "
                           "\"since\" looks at it; it cannot be set",
                           AK_FMT(f->name));
        }
    }

    return AK_OK;
}
