
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <errno.h>
#include <obstack.h>
#include <stdio.h>
#include <stdlib.h>

#include "ak_conf.h"
#include "ak_stack.h"
#include "ctl_print.h"


/*
 * Stacks of a file, read by what nginx reads them with.  All that is wrong is
 * told, each with the line it is in, and the stacks that are right are listed.
 */

#define CTL_STACK_FILE_MAX  (4 * 1024 * 1024)
#define CTL_STACKS_MAX      256
#define CTL_BARE            "(file)"   /* the name of a file that is a stack */

#define obstack_chunk_alloc ctl_alloc
#define obstack_chunk_free  ctl_free


typedef struct {
    const char      *path;
    struct obstack   pool;             /* what the stacks are made of */
    ak_site_t        site;
    ak_conf_t        conf;
    ak_stack_t      *stacks[CTL_STACKS_MAX];
    size_t           n;
    unsigned         providers;        /* blocks */
    unsigned         depth;
    ak_stack_t      *stack;            /* whose block it is in, or NULL */
    unsigned         wrong;
    json_t          *rows;

    ak_own_provider_t  *provider;      /* the same of providers */
} ctl_check_t;


static void *
ctl_stack_alloc(void *data, size_t size)
{
    ctl_check_t *check = data;

    return obstack_alloc(&check->pool, size);
}


/* The log is not opened: it is nginx that writes to it. */

static void *
ctl_stack_open_log(void *data, ak_str_t target, ak_diag_t *d)
{
    if (ak_str_eq(target, ak_literal("syslog:"))) {
        ak_diag(d, "\"syslog:\" needs a server");
        return NULL;
    }

    return data;
}


/* The keys were there, and are of no more use. */

static ak_rc_t
ctl_stack_hold_keys(void *data, ak_keys_t *keys, ak_diag_t *d)
{
    (void) data;
    (void) d;

    ak_keys_free(keys);

    return AK_OK;
}


/* It is nginx that knows which there are. */

static ak_rc_t
ctl_stack_variable(void *data, ak_str_t name, ak_diag_t *d)
{
    (void) data;
    (void) name;
    (void) d;

    return AK_OK;
}


static void
ctl_stack_warn(void *data, const char *text)
{
    (void) data;

    fprintf(stderr, "apikeyctl: warning: %s\n", text);
}


static void
ctl_stack_wrong(ctl_check_t *check, unsigned line, const char *why)
{
    check->wrong++;

    (void) ctl_fail(CTL_REFUSED, "%s:%u: %s", check->path, line, why);
}


/* The line, for the complaint that a provider did not come. */

static void *
ctl_stack_here(void *data)
{
    unsigned    *line;
    ctl_check_t *check = data;

    line = obstack_alloc(&check->pool, sizeof(unsigned));
    *line = check->conf.line;

    return line;
}


static ak_stack_t *
ctl_stack_find(ctl_check_t *check, ak_str_t name)
{
    size_t  i;

    for (i = 0; i < check->n; i++) {
        if (ak_str_eq(ak_stack_name(check->stacks[i]), name)) {
            return check->stacks[i];
        }
    }

    return NULL;
}


static const ak_stack_t *
ctl_stack_target(void *data, ak_str_t name)
{
    return ctl_stack_find(data, name);
}


static ak_stack_t *
ctl_stack_new(ctl_check_t *check, ak_str_t name)
{
    ak_stack_t  *s;

    if (check->n == CTL_STACKS_MAX) {
        ctl_stack_wrong(check, check->conf.line, "there are too many stacks");
        return NULL;
    }

    if (ctl_stack_find(check, name) != NULL
        || ak_str_eq(name, ak_literal("on"))
        || ak_str_eq(name, ak_literal("off")))
    {
        ctl_stack_wrong(check, check->conf.line,
                        "there is a stack of this name already");
    }

    s = ak_stack_create(&check->site,
                        ak_str(obstack_copy(&check->pool, name.data,
                                            name.len), name.len));

    if (s != NULL) {
        check->stacks[check->n++] = s;
    }

    return s;
}


/* A line as it was written, for the list. */

static void
ctl_stack_row(ctl_check_t *check, const ak_stack_t *s)
{
    char      *args, *p;
    size_t     i, module, size;
    json_t    *row;
    ak_conf_t *c;

    c = &check->conf;
    module = 2;

    if (c->words[1].len != 0 && c->words[1].data[0] == '[') {

        while (module < c->n && c->words[module - 1].data
                                [c->words[module - 1].len - 1] != ']')
        {
            module++;
        }
    }

    size = 1;

    for (i = 0; i < c->n; i++) {
        size += c->words[i].len + 1;
    }

    args = ctl_alloc(2 * size);
    row = json_object();

    ctl_set(row, "stack", ctl_json(ak_stack_name(s)));
    ctl_set(row, "group", ctl_json(c->words[0]));

    for (p = args, i = 1; i < c->n; i++) {

        if (i == module) {
            ctl_set(row, "control", ctl_json(ak_cstr(args)));
            ctl_set(row, "module", ctl_json(c->words[i]));
            p = args;
            *p = '\0';
            continue;
        }

        if (p != args) {
            *p++ = ' ';
        }

        memcpy(p, c->words[i].data, c->words[i].len);
        p += c->words[i].len;
        *p = '\0';
    }

    ctl_set(row, "arguments", ctl_json(ak_cstr(module + 1 < c->n ? args
                                                                 : "")));
    json_array_append_new(check->rows, row);
    ctl_free(args);
}


static void
ctl_stack_line(ctl_check_t *check, ak_stack_t *s)
{
    ak_diag_t  d;

    if (ak_stack_add(s, check->conf.words, check->conf.n, &d) != AK_OK) {
        ctl_stack_wrong(check, check->conf.line, d.text);
        return;
    }

    ctl_stack_row(check, s);
}


static void
ctl_stack_open(ctl_check_t *check)
{
    ak_str_t   *words;
    ak_diag_t   d;

    words = check->conf.words;
    check->depth++;

    if (check->stack != NULL || check->provider != NULL) {
        ctl_stack_wrong(check, check->conf.line, "unexpected \"{\"");
        return;
    }

    if (check->conf.n != 2) {
        return;
    }

    if (ak_str_eq(words[0], ak_literal("apikey_stack"))) {
        check->stack = ctl_stack_new(check, words[1]);

    } else if (ak_str_eq(words[0], ak_literal("apikey_provider"))) {
        check->providers++;
        check->provider = ak_provider_begin(&check->site.providers, words[1],
                                            &check->site.mem, &d);

        if (check->provider == NULL) {
            ctl_stack_wrong(check, check->conf.line, d.text);
        }
    }
}


static void
ctl_stack_close(ctl_check_t *check)
{
    ak_diag_t  d;

    if (check->provider != NULL
        && ak_provider_end(check->provider, &d) != AK_OK)
    {
        ctl_stack_wrong(check, check->conf.line, d.text);
    }

    check->stack = NULL;
    check->provider = NULL;

    if (check->depth == 0) {
        ctl_stack_wrong(check, check->conf.line, "unexpected \"}\"");
        return;
    }

    check->depth--;
}


/* A line of a stack without a block: the file is one. */

static void
ctl_stack_bare(ctl_check_t *check)
{
    ak_str_t    *words;
    ak_stack_t  *s;

    words = check->conf.words;

    if (check->depth != 0
        || !(ak_str_eq(words[0], ak_literal("auth"))
             || ak_str_eq(words[0], ak_literal("account"))
             || ak_str_eq(words[0], ak_literal("session"))))
    {
        return;
    }

    s = ctl_stack_find(check, ak_literal(CTL_BARE));

    if (s == NULL) {
        s = ctl_stack_new(check, ak_literal(CTL_BARE));
    }

    if (s != NULL) {
        ctl_stack_line(check, s);
    }
}


/* The lines of a block, or of the whole file, up to its end. */

static void
ctl_stack_read(ctl_check_t *check)
{
    ak_rc_t     rc;
    ak_diag_t   d;
    ak_conf_t  *c;

    c = &check->conf;

    while ((rc = ak_conf_next(c, &d)) == AK_OK) {

        if (c->type == AK_CONF_CLOSE) {
            ctl_stack_close(check);

        } else if (c->type == AK_CONF_BLOCK) {
            ctl_stack_open(check);

        } else if (check->stack != NULL) {
            ctl_stack_line(check, check->stack);

        } else if (check->provider == NULL) {
            ctl_stack_bare(check);

        } else if (ak_provider_line(check->provider, c->words, c->n,
                                    &check->site.mem, &d)
                   != AK_OK)
        {
            ctl_stack_wrong(check, c->line, d.text);
        }
    }

    if (rc != AK_NOT_FOUND) {
        ctl_stack_wrong(check, d.line, d.text);
    }
}


/* Providers that lines use and no block describes. */

static void
ctl_stack_missing(ctl_check_t *check)
{
    ak_diag_t                 d;
    const ak_own_provider_t  *p;

    p = ak_providers_missing(check->site.providers.first, &d);

    while (p != NULL) {
        ctl_stack_wrong(check, *(const unsigned *) p->where, d.text);
        p = ak_providers_missing(p->next, &d);
    }
}


static void
ctl_stack_link(ctl_check_t *check)
{
    size_t     i;
    ak_diag_t  d;

    for (i = 0; i < check->n; i++) {

        if (ak_stack_link(check->stacks[i], ctl_stack_target, check, &d)
            != AK_OK)
        {
            check->wrong++;
            (void) ctl_fail(CTL_REFUSED, "%s: %s", check->path, d.text);
        }
    }
}


static ctl_status_e
ctl_stack_load(ctl_check_t *check)
{
    FILE    *file;
    size_t   len;
    char    *text;

    file = fopen(check->path, "r");

    if (file == NULL) {
        return ctl_fail(CTL_REFUSED, "%s cannot be opened: %s", check->path,
                        strerror(errno));
    }

    text = ctl_alloc(CTL_STACK_FILE_MAX + 1);
    len = fread(text, 1, CTL_STACK_FILE_MAX + 1, file);

    if (ferror(file) || len > CTL_STACK_FILE_MAX) {
        fclose(file);
        ctl_free(text);
        return ctl_fail(CTL_REFUSED, "%s cannot be read, or is larger than %d "
                        "bytes", check->path, CTL_STACK_FILE_MAX);
    }

    fclose(file);

    check->conf.text = ak_str(text, len);
    check->conf.buf = ctl_alloc(2 * len + 1);

    return CTL_DONE;
}


static void
ctl_stack_print(const ctl_t *ctl, const ctl_check_t *check)
{
    static const ctl_column_t  columns[] = {
        { "STACK", "stack", false },
        { "GROUP", "group", false },
        { "CONTROL", "control", false },
        { "MODULE", "module", false },
        { "ARGUMENTS", "arguments", false }
    };

    if (ctl->json) {
        ctl_print_json(check->rows);

    } else {
        ctl_print_table(check->rows, columns, ak_nitems(columns));
    }
}


ctl_status_e
ctl_stack_check(ctl_t *ctl)
{
    ctl_check_t   *check;
    ctl_status_e   status;

    check = ctl_alloc(sizeof(ctl_check_t));
    memset(check, 0, sizeof(ctl_check_t));

    check->path = ctl->words[0];
    obstack_init(&check->pool);

    check->site.mem.alloc = ctl_stack_alloc;
    check->site.mem.data = check;
    check->site.open_log = ctl_stack_open_log;
    check->site.hold_keys = ctl_stack_hold_keys;
    check->site.variable = ctl_stack_variable;
    check->site.here = ctl_stack_here;
    check->site.warn = ctl_stack_warn;
    check->site.data = check;
    check->rows = json_array();

    status = ctl_stack_load(check);

    if (status == CTL_DONE) {
        ctl_stack_read(check);
        ctl_stack_missing(check);
        ctl_stack_link(check);

        if (check->n + check->providers == 0 && check->wrong == 0) {
            ctl_stack_wrong(check, 1, "there is no apikey_stack block, no "
                            "apikey_provider block and no line of a stack");
        }

        if (check->wrong == 0) {
            ctl_stack_print(ctl, check);
        }

        status = check->wrong ? CTL_REFUSED : CTL_DONE;

        ctl_free((void *) check->conf.text.data);
        ctl_free(check->conf.buf);
    }

    json_decref(check->rows);
    obstack_free(&check->pool, NULL);
    ctl_free(check);

    return status;
}
