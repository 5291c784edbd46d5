
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes stacks: their lines, what they include, and how they run.  The input
 * is text; "a:", "b:" and "c:" before a line say whose it is, "+a" appends the
 * lines of "a".  What modules ask for is answered with bytes of the input.
 */


#include <stdlib.h>

#include "ak_stack.h"


#define FUZZ_STACKS  4
#define FUZZ_WORDS   40
#define FUZZ_LINES   256
#define FUZZ_ASKED   1000


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct fuzz_chunk_s  fuzz_chunk_t;

struct fuzz_chunk_s {
    fuzz_chunk_t    *next;
    max_align_t      data[];
};


typedef struct {
    const uint8_t   *data;
    size_t           size;
    size_t           pos;              /* of the next answer */
    fuzz_chunk_t    *chunks;
    ak_site_t        site;
    ak_stack_t      *stacks[FUZZ_STACKS];
    bool             may_grant;        /* some auth line could */
} fuzz_t;


typedef struct {
    ak_rc_t          rc[AK_PHASE_MAX];
    ak_reason_e      reason;
    unsigned         line;
} fuzz_outcome_t;


static const ak_str_t  fuzz_names[FUZZ_STACKS] = {
    ak_string("main"), ak_string("a"), ak_string("b"), ak_string("c")
};


static ak_digest_t   *fuzz_digest;
static ak_keyring_t  *fuzz_keyring;


static void
fuzz_assert(bool ok)
{
    if (!ok) {
        abort();
    }
}


static void *
fuzz_alloc(void *data, size_t size)
{
    fuzz_t        *f = data;
    fuzz_chunk_t  *chunk;

    chunk = malloc(sizeof(fuzz_chunk_t) + size);
    fuzz_assert(chunk != NULL);

    memset(chunk->data, 0xa5, size);

    chunk->next = f->chunks;
    f->chunks = chunk;

    return chunk->data;
}


static void
fuzz_free(fuzz_t *f)
{
    fuzz_chunk_t  *chunk;

    while (f->chunks != NULL) {
        chunk = f->chunks;
        f->chunks = chunk->next;
        free(chunk);
    }
}


static ak_rc_t
fuzz_hold_keys(void *data, ak_keys_t *keys, ak_diag_t *d)
{
    (void) data;
    (void) d;

    ak_keys_free(keys);

    return AK_OK;
}


static void *
fuzz_open_log(void *data, ak_str_t target, ak_diag_t *d)
{
    return (target.len % 2) ? data : (ak_diag(d, "there is no log"), NULL);
}


static bool
fuzz_header(void *host, ak_str_t name, unsigned n, ak_str_t *value)
{
    (void) host;

    if (n != 0 || !ak_str_eq(name, ak_literal("authorization"))) {
        return false;
    }

    *value = ak_literal("Bearer sk-0123456789abcdef0123456789abcdef");

    return true;
}


static bool
fuzz_get(void *host, ak_view_e what, ak_str_t *value)
{
    (void) host;
    (void) what;

    *value = ak_literal("/");

    return true;
}


static const ak_stack_t *
fuzz_find(void *data, ak_str_t name)
{
    size_t   i;
    fuzz_t  *f = data;

    for (i = 0; i < FUZZ_STACKS; i++) {
        if (ak_str_eq(fuzz_names[i], name)) {
            return f->stacks[i];
        }
    }

    return NULL;
}


/* Whether an auth line of these words could grant at all. */

static bool
fuzz_could_grant(const ak_str_t *words, size_t n)
{
    bool    known, refuses;
    size_t  i;

    known = refuses = false;

    for (i = 2; i < n; i++) {

        if (ak_str_eq(words[i], ak_literal("debug"))
            || ak_str_eq(words[i], ak_literal("key")))
        {
            known = true;
        }

        if (ak_str_starts(words[i], ak_literal("auth="))
            && !ak_str_eq(words[i], ak_literal("auth=success")))
        {
            refuses = true;
        }
    }

    return known && !refuses && ak_str_eq(words[0], ak_literal("auth"));
}


static void
fuzz_line(fuzz_t *f, const uint8_t *p, const uint8_t *end)
{
    size_t          n;
    ak_rc_t         rc;
    ak_str_t        words[FUZZ_WORDS];
    ak_diag_t       d;
    ak_stack_t     *s;
    const uint8_t  *space;

    s = f->stacks[0];

    if (end - p >= 2 && p[0] == '+' && p[1] >= 'a' && p[1] <= 'c') {
        (void) ak_stack_append(s, f->stacks[1 + p[1] - 'a'], &d);
        return;
    }

    if (end - p >= 2 && p[0] >= 'a' && p[0] <= 'c' && p[1] == ':') {
        s = f->stacks[1 + p[0] - 'a'];
        p += 2;
    }

    for (n = 0; p < end && n < FUZZ_WORDS; n++) {
        space = memchr(p, ' ', end - p);
        space = (space == NULL) ? end : space;

        words[n] = (space == p) ? ak_str(NULL, 0) : ak_str(p, space - p);
        p = (space == end) ? end : space + 1;
    }

    d.text[0] = '\0';
    rc = ak_stack_add(s, words, n, &d);

    fuzz_assert(rc == AK_OK || (rc == AK_ERROR && d.text[0] != '\0'));

    if (rc == AK_OK && fuzz_could_grant(words, n)) {
        f->may_grant = true;
    }
}


static void
fuzz_lines(fuzz_t *f)
{
    size_t          n;
    const uint8_t  *p, *end, *line;

    p = f->data;
    end = p + f->size;

    for (n = 0; p < end && n < FUZZ_LINES; n++) {
        line = memchr(p, '\n', end - p);
        line = (line == NULL) ? end : line;

        fuzz_line(f, p, line);
        p = line + 1;
    }
}


static uint8_t
fuzz_byte(fuzz_t *f)
{
    return f->data[f->pos++ % f->size];
}


static void
fuzz_answer(fuzz_t *f, ak_txn_t *t)
{
    size_t       at;
    ak_answer_t  answer;

    static const ak_rc_t  rcs[] = {
        AK_OK, AK_NOT_FOUND, AK_ERROR, AK_UNAVAILABLE
    };

    memset(&answer, 0, sizeof(answer));

    answer.rc = rcs[fuzz_byte(f) % ak_nitems(rcs)];
    answer.source = fuzz_byte(f) % (AK_SOURCE_STALE + 1);
    answer.allowance.granted = fuzz_byte(f) % 2;

    if (answer.rc == AK_OK) {
        at = fuzz_byte(f) % f->size;
        answer.value = ak_str(f->data + at, f->size - at);
    }

    ak_txn_answer(t, &answer);
}


static ak_rc_t
fuzz_phase(fuzz_t *f, ak_txn_t *t, ak_phase_e phase)
{
    ak_rc_t   rc;
    unsigned  asked;

    for (asked = 0; asked < FUZZ_ASKED; asked++) {

        rc = ak_stack_run(f->stacks[0], t, phase);

        if (rc != AK_AGAIN) {
            fuzz_assert(t->need.type == AK_NEED_NONE);
            return rc;
        }

        fuzz_assert(t->need.type != AK_NEED_NONE);
        fuzz_answer(f, t);
    }

    abort();
}


/* What is said of a verdict in ak_stack.h, whatever the lines are. */

static void
fuzz_check(fuzz_t *f, const ak_txn_t *t, ak_phase_e phase, ak_rc_t rc)
{
    fuzz_assert(rc == AK_OK || rc == AK_DENIED);

    if (phase == AK_SESSION_CLOSE || phase == AK_REPORT) {
        fuzz_assert(rc == AK_OK);
        return;
    }

    if (rc == AK_DENIED) {
        fuzz_assert(t->reason > AK_IGNORE && t->reason < AK_REASON_MAX);
        fuzz_assert(t->alert == NULL || t->reason == AK_STORE_UNAVAILABLE);
        return;
    }

    fuzz_assert(t->reason == AK_SUCCESS && t->alert == NULL);

    if (phase == AK_AUTH) {
        fuzz_assert(t->identified && f->may_grant);
        fuzz_assert(ak_stack_has(f->stacks[0], AK_GROUP_AUTH));
        fuzz_assert(t->line != 0 && t->module.len != 0 && t->stack.len != 0);
    }
}


static void
fuzz_run(fuzz_t *f, fuzz_outcome_t *o)
{
    ak_txn_t    t;
    ak_phase_e  phase;

    static const ak_field_t  carried[] = {
        { ak_string("authorization"),
          ak_string("Bearer sk-0123456789abcdef0123456789abcdef") }
    };

    memset(o, 0, sizeof(*o));
    f->pos = 0;

    ak_txn_init(&t);

    t.mem = f->site.mem;
    t.view.carried = carried;
    t.view.ncarried = 1;
    t.view.header = fuzz_header;
    t.view.get = fuzz_get;
    t.digest = fuzz_digest;
    t.keyring = fuzz_keyring;
    t.now = 1800000000;

    /* all phases, as no host does: who is denied goes no further */

    for (phase = AK_AUTH; phase < AK_PHASE_MAX; phase++) {
        t.alert = NULL;
        o->rc[phase] = fuzz_phase(f, &t, phase);
        fuzz_check(f, &t, phase, o->rc[phase]);

        if (phase == AK_ACCOUNT) {
            fuzz_assert(o->rc[phase] != AK_OK || o->rc[AK_AUTH] == AK_OK);
        }
    }

    o->reason = t.reason;
    o->line = t.line;

    ak_txn_abort(&t);
}


static void
fuzz_setup(void)
{
    ak_diag_t  d;

    static const char  text[] =
        "master lBnIvw9v2kWBL96NxNd38AIxnsBnMSDu2VrjJhjzqAo=\n"
        "pepper RO3zrHiQiX36vtRbj01P9PiYOvDGYV8U8aoVQvDKElw=\n";

    fuzz_digest = ak_digest_create();
    fuzz_keyring = ak_keyring_parse(ak_literal(text), &d);

    fuzz_assert(fuzz_digest != NULL && fuzz_keyring != NULL);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          i;
    fuzz_t          f;
    ak_diag_t       d;
    fuzz_outcome_t  first, again;

    if (size == 0) {
        return 0;
    }

    if (fuzz_digest == NULL) {
        fuzz_setup();
    }

    memset(&f, 0, sizeof(f));
    f.data = data;
    f.size = size;
    f.site.mem.alloc = fuzz_alloc;
    f.site.mem.data = &f;
    f.site.open_log = fuzz_open_log;
    f.site.hold_keys = fuzz_hold_keys;
    f.site.data = &f;

    for (i = 0; i < FUZZ_STACKS; i++) {
        f.stacks[i] = ak_stack_create(&f.site, fuzz_names[i]);
    }

    fuzz_lines(&f);

    d.text[0] = '\0';

    if (ak_stack_link(f.stacks[0], fuzz_find, &f, &d) != AK_OK) {
        fuzz_assert(d.text[0] != '\0');
        fuzz_free(&f);
        return 0;
    }

    /* a stack keeps nothing of those who passed through it */

    fuzz_run(&f, &first);
    fuzz_run(&f, &again);

    fuzz_assert(memcmp(&first, &again, sizeof(first)) == 0);
    fuzz_free(&f);

    return 0;
}
