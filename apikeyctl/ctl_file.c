
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ak_fline.h"
#include "ctl_file.h"
#include "ctl_replace.h"


#define CTL_FILE_MODE  0640            /* of a new one: nginx's group reads */


typedef struct {
    ak_str_t      text;                /* with its end */
    char         *own;                 /* the text, where not the file's */
    char         *name;                /* NULL: none that can be told */
    unsigned      number;
    unsigned      twice;               /* the number of the second one */
    int64_t       ends;                /* of a mark: Unix seconds; 0: never */
    bool          damaged;
    bool          lost;                /* a mark of which there is no name */
    bool          gone;
} ctl_line_t;


struct ctl_file_s {
    char         *path;
    int           lock;                /* -1: not held */
    bool          there;
    struct stat   st;
    char         *text;
    ctl_line_t  **lines;
    size_t        n;
    size_t        size;
    void         *names;               /* lines by name, of tsearch(3) */
};


static const char  ctl_file_what[] = "the store";

static const char  ctl_file_lost[] =
    "a revocation of which nobody can tell whom it concerns; nginx refuses "
    "every token as unavailable until you have mended or removed it";


static ctl_status_e
ctl_file_failed(const ctl_t *ctl, const char *what)
{
    return ctl_fail(CTL_STORE, "the store %s %s: %s", ctl->file->path, what,
                    strerror(errno));
}


static int
ctl_file_compare(const void *one, const void *two)
{
    return strcmp(((const ctl_line_t *) one)->name,
                  ((const ctl_line_t *) two)->name);
}


static ctl_line_t *
ctl_file_find(const ctl_t *ctl, const char *name)
{
    void        **found;
    ctl_line_t    wanted;

    wanted.name = (char *) name;

    found = tfind(&wanted, &ctl->file->names, ctl_file_compare);

    return (found == NULL) ? NULL : *found;
}


static ctl_line_t *
ctl_file_append(ctl_file_t *f)
{
    ctl_line_t  *line;

    if (f->n == f->size) {
        f->size = (f->size == 0) ? 64 : f->size * 2;
        f->lines = ctl_grow(f->lines, f->size * sizeof(ctl_line_t *));
    }

    line = ctl_alloc(sizeof(ctl_line_t));
    memset(line, 0, sizeof(ctl_line_t));

    f->lines[f->n++] = line;
    line->number = (unsigned) f->n;

    return line;
}


/* The name in the store of what a line holds; NULL: of nothing. */

static char *
ctl_file_name(const ctl_t *ctl, const ak_fline_t *line)
{
    ak_rc_t   rc;
    uint8_t   buf[AK_STORE_KEY_MAX];
    ak_str_t  name;

    rc = AK_ERROR;

    if (line->type == AK_FLINE_KEY && line->id.len != 0) {
        rc = ak_store_record_key(&ctl->conf, line->id, buf, &name);

    } else if (line->type == AK_FLINE_UPSTREAM && line->provider.len != 0) {
        rc = ak_store_tokens_key(&ctl->conf, line->owner, line->provider, buf,
                                 &name);

    } else if (line->type == AK_FLINE_MARK && line->id.len != 0) {
        rc = ctl_store_mark_key(ctl, line->id, buf, &name);
    }

    return (rc == AK_OK) ? ctl_strdup(name) : NULL;
}


static int64_t
ctl_file_ends(const ak_fline_t *line)
{
    ak_mark_t  mark;

    if (line->type != AK_FLINE_MARK
        || ak_mark_parse(line->fields, line->n, &mark, NULL) != AK_OK)
    {
        return 0;
    }

    return mark.expires;
}


static ak_str_t
ctl_file_trim(ak_str_t text)
{
    while (text.len != 0 && (text.data[text.len - 1] == '\n'
                             || text.data[text.len - 1] == '\r'))
    {
        text.len--;
    }

    return text;
}


static void
ctl_file_read_line(ctl_t *ctl, ak_str_t text)
{
    void       **found;
    ctl_line_t  *line;
    ak_fline_t   parsed;

    line = ctl_file_append(ctl->file);
    line->text = text;

    line->damaged = (ak_fline_parse(ctl_file_trim(text), &parsed, NULL)
                     != AK_OK);
    line->name = ctl_file_name(ctl, &parsed);

    if (parsed.type == AK_FLINE_MARK && parsed.n == 0) {

        /* a mark that says nothing is there all the same */

        line->damaged = true;
    }

    line->lost = (parsed.type == AK_FLINE_MARK && line->name == NULL);
    line->ends = line->damaged ? 0 : ctl_file_ends(&parsed);

    ak_fline_free(&parsed);

    if (line->name == NULL) {
        return;
    }

    found = tsearch(line, &ctl->file->names, ctl_file_compare);

    if (found != NULL && *found != line) {
        (*(ctl_line_t **) found)->twice = line->number;
    }
}


/* The whole text of the file; NULL, told: it cannot be read. */

static char *
ctl_file_text(ctl_t *ctl, int fd, size_t *len)
{
    char     *text;
    size_t    size;
    ssize_t   n;

    size = (size_t) ctl->file->st.st_size + 1;
    text = ctl_alloc(size);
    *len = 0;

    for ( ;; ) {

        if (*len == size) {
            size *= 2;
            text = ctl_grow(text, size);
        }

        n = read(fd, text + *len, size - *len);

        if (n > 0) {
            *len += (size_t) n;

        } else if (n == 0) {
            return text;

        } else if (errno != EINTR) {
            (void) ctl_file_failed(ctl, "cannot be read");
            ctl_free(text);
            return NULL;
        }
    }
}


static void
ctl_file_forget(ctl_file_t *f)
{
    size_t  i;

    for (i = 0; i < f->n; i++) {

        if (f->lines[i]->name != NULL) {
            (void) tdelete(f->lines[i], &f->names, ctl_file_compare);
        }
    }

    for (i = 0; i < f->n; i++) {
        ctl_free(f->lines[i]->name);
        free(f->lines[i]->own);
        ctl_free(f->lines[i]);
    }

    ctl_free(f->lines);
    ctl_free(f->text);

    f->lines = NULL;
    f->text = NULL;
    f->n = 0;
    f->size = 0;
    f->there = false;
}


ctl_status_e
ctl_file_load(ctl_t *ctl)
{
    int          fd;
    char        *p, *end, *last;
    size_t       len;
    ctl_file_t  *f;

    f = ctl->file;
    ctl_file_forget(f);

    fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd == -1) {
        return (errno == ENOENT) ? CTL_DONE
                                 : ctl_file_failed(ctl, "cannot be opened");
    }

    if (fstat(fd, &f->st) == -1 || !S_ISREG(f->st.st_mode)) {
        close(fd);
        return ctl_fail(CTL_STORE, "the store %s is no regular file", f->path);
    }

    f->text = ctl_file_text(ctl, fd, &len);
    close(fd);

    if (f->text == NULL) {
        return CTL_STORE;
    }

    f->there = true;
    last = f->text + len;

    for (p = f->text; p != last; p = end) {
        end = memchr(p, '\n', (size_t) (last - p));
        end = (end == NULL) ? last : end + 1;

        ctl_file_read_line(ctl, ak_str(p, (size_t) (end - p)));
    }

    return CTL_DONE;
}


ctl_status_e
ctl_file_open(ctl_t *ctl)
{
    ctl_file_t  *f;

    f = ctl_alloc(sizeof(ctl_file_t));
    memset(f, 0, sizeof(ctl_file_t));

    f->path = ctl_strdup(ctl->conf.path);
    f->lock = -1;
    ctl->file = f;

    if (ctl_replace_link(ctl_file_what, CTL_STORE, &f->path) != CTL_DONE) {
        return CTL_STORE;
    }

    return ctl_file_load(ctl);
}


static void
ctl_file_unlock(ctl_file_t *f)
{
    if (f->lock != -1) {
        close(f->lock);
        f->lock = -1;
    }
}


void
ctl_file_close(ctl_t *ctl)
{
    ctl_file_t  *f;

    f = ctl->file;

    if (f == NULL) {
        return;
    }

    ctl_file_unlock(f);
    ctl_file_forget(f);
    ctl_free(f->path);
    ctl_free(f);

    ctl->file = NULL;
}


static ctl_replace_t
ctl_file_replace(const ctl_file_t *f)
{
    ctl_replace_t  r;

    r.what = ctl_file_what;
    r.path = f->path;
    r.old = f->there ? &f->st : NULL;
    r.mode = CTL_FILE_MODE;
    r.failed = CTL_STORE;

    return r;
}


/* Waits for its turn, and reads what is there then. */

static ctl_status_e
ctl_file_begin(ctl_t *ctl)
{
    ctl_replace_t  r;

    r = ctl_file_replace(ctl->file);
    ctl->file->lock = ctl_replace_lock(&r);

    return (ctl->file->lock == -1) ? CTL_STORE : ctl_file_load(ctl);
}


/* All lines to a file; those that lack an end and are not last get one. */

static ctl_status_e
ctl_file_put_lines(const void *data, int fd)
{
    char              *buf;
    size_t             i, len, size;
    ak_str_t           text;
    const ctl_file_t  *f;

    f = data;
    size = 1024 * 1024;
    buf = ctl_alloc(size);
    len = 0;

    for (i = 0; i < f->n; i++) {

        if (f->lines[i]->gone) {
            continue;
        }

        text = f->lines[i]->text;

        if (len + text.len + 1 > size) {

            if (ctl_write_all(fd, ak_str(buf, len)) != CTL_DONE) {
                ctl_free(buf);
                return CTL_STORE;
            }

            len = 0;

            if (text.len + 1 > size) {
                size = text.len + 1;
                buf = ctl_grow(buf, size);
            }
        }

        memcpy(buf + len, text.data, text.len);
        len += text.len;

        if (text.len == 0 || text.data[text.len - 1] != '\n') {
            buf[len++] = '\n';
        }
    }

    i = ctl_write_all(fd, ak_str(buf, len));
    ctl_free(buf);

    return (ctl_status_e) i;
}


/* Marks that have ended say nothing: they go with the next change. */

static void
ctl_file_drop_marks(ctl_file_t *f)
{
    size_t      i;
    int64_t     now;
    ak_mark_t   mark;

    now = time(NULL);

    for (i = 0; i < f->n; i++) {
        mark.expires = f->lines[i]->ends;

        if (ak_mark_ended(&mark, now)) {
            f->lines[i]->gone = true;
        }
    }
}


/* The new file in the place of the old one, or nothing. */

static ctl_status_e
ctl_file_commit(ctl_t *ctl)
{
    ctl_replace_t  r;

    ctl_file_drop_marks(ctl->file);

    r = ctl_file_replace(ctl->file);

    return ctl_replace(&r, ctl_file_put_lines, ctl->file);
}


/* A line as HGETALL would give it. */

static ak_reply_t *
ctl_file_reply(const ctl_line_t *line)
{
    size_t       i;
    ak_reply_t  *reply;
    ak_fline_t   parsed;

    reply = ctl_reply_string(AK_REPLY_ARRAY, ak_literal(""));

    if (line == NULL || line->gone) {
        return reply;
    }

    if (line->damaged || line->twice
        || ak_fline_parse(ctl_file_trim(line->text), &parsed, NULL) != AK_OK)
    {
        ctl_reply_free(reply);

        return ctl_reply_string(AK_REPLY_ERROR,
                                ak_literal("WRONGTYPE damaged line"));
    }

    reply->elements = ctl_alloc((2 * parsed.n + 1) * sizeof(ak_reply_t *));

    for (i = 0; i < parsed.n; i++) {
        reply->elements[reply->n++] = ctl_reply_string(AK_REPLY_STRING,
                                                       parsed.fields[i].name);
        reply->elements[reply->n++] = ctl_reply_string(AK_REPLY_STRING,
                                                       parsed.fields[i].value);
    }

    ak_fline_free(&parsed);

    return reply;
}


ctl_status_e
ctl_file_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply)
{
    char  *name;

    if (!ctl->file->there) {
        return ctl_fail(CTL_REFUSED, "the store %s is not there yet; "
                        "\"apikeyctl key create\" makes it",
                        ctl->file->path);
    }

    name = ctl_strdup(key);
    *reply = ctl_file_reply(ctl_file_find(ctl, name));
    ctl_free(name);

    return CTL_DONE;
}


ctl_status_e
ctl_file_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin, ctl_names_t *names)
{
    size_t       i;
    ak_str_t     rest;
    ctl_line_t  *line;

    memset(names, 0, sizeof(ctl_names_t));

    if (!ctl->file->there) {
        return ctl_fail(CTL_REFUSED, "the store %s is not there yet; "
                        "\"apikeyctl key create\" makes it",
                        ctl->file->path);
    }

    for (i = 0; i < ctl->file->n; i++) {
        line = ctl->file->lines[i];

        if (line->name == NULL) {
            if (line->damaged) {
                (void) ctl_fail(CTL_DONE, "the store %s, line %u, is %s",
                                ctl->file->path, line->number,
                                line->lost ? ctl_file_lost : "damaged");
            }

            continue;
        }

        rest = ak_cstr(line->name + ctl->conf.prefix.len);

        if (ak_str_starts(rest, space)
            && ak_str_starts(ak_str(rest.data + space.len,
                                    rest.len - space.len), begin))
        {
            ctl_names_add(names, ak_cstr(line->name));
        }
    }

    ctl_names_sort(names);

    return CTL_DONE;
}


ctl_status_e
ctl_file_fetch(ctl_t *ctl, const ctl_names_t *names, ctl_reply_pt handler,
    void *data)
{
    size_t       i;
    ak_reply_t  *reply;

    for (i = 0; i < names->n; i++) {
        reply = ctl_file_reply(ctl_file_find(ctl, names->names[i]));
        handler(data, i, reply);
        ctl_reply_free(reply);
    }

    return CTL_DONE;
}


/* The place of a field in a parsed line, which may be behind the last. */

static size_t
ctl_file_field(const ak_fline_t *line, ak_str_t name)
{
    size_t  i;

    for (i = 0; i < line->n; i++) {
        if (ak_str_eq(line->fields[i].name, name)) {
            break;
        }
    }

    return i;
}


/* False: there is no room for it. */

static bool
ctl_file_set(ak_fline_t *line, ak_str_t name, ak_str_t value)
{
    size_t  i;

    i = ctl_file_field(line, name);

    if (i == AK_FLINE_FIELDS_MAX) {
        return false;
    }

    line->n += (i == line->n);
    line->fields[i].name = name;
    line->fields[i].value = value;

    return true;
}


/* False: it is not there. */

static bool
ctl_file_unset(ak_fline_t *line, ak_str_t name)
{
    size_t  i;

    i = ctl_file_field(line, name);

    if (i == line->n) {
        return false;
    }

    line->n--;
    memmove(&line->fields[i], &line->fields[i + 1],
            (line->n - i) * sizeof(ak_field_t));

    return true;
}


/* What a new line under this name is of. */

static ak_rc_t
ctl_file_new_line(const ctl_t *ctl, const char *name, ak_fline_t *parsed)
{
    ak_str_t     rest;
    const char  *colon;

    memset(parsed, 0, sizeof(ak_fline_t));

    rest = ak_cstr(name + ctl->conf.prefix.len);

    if (ak_str_starts(rest, ak_literal("key:"))) {
        parsed->type = AK_FLINE_KEY;
        parsed->id = ak_str(rest.data + 4, rest.len - 4);
        return AK_OK;
    }

    if (ak_str_starts(rest, ak_literal(AK_MARK_SPACE))) {
        parsed->type = AK_FLINE_MARK;
        parsed->id = ak_cstr((const char *) rest.data
                             + sizeof(AK_MARK_SPACE) - 1);
        return AK_OK;
    }

    colon = strrchr(name, ':');

    if (!ak_str_starts(rest, ak_literal("upstream:")) || colon == NULL) {
        return AK_ERROR;
    }

    parsed->type = AK_FLINE_UPSTREAM;
    parsed->owner.data = rest.data + sizeof("upstream:") - 1;
    parsed->owner.len = (size_t) ((const uint8_t *) colon
                                  - parsed->owner.data);
    parsed->provider = ak_cstr(colon + 1);

    return AK_OK;
}


/* The text of a line from what it holds; an empty set is no line. */

static ctl_status_e
ctl_file_format(const ctl_t *ctl, ctl_line_t *line, const ak_fline_t *parsed)
{
    char    *text;
    size_t   len;

    if (parsed->n == 0) {
        line->gone = true;
        return CTL_DONE;
    }

    text = ak_fline_format(parsed, &len);

    if (text == NULL) {
        return ctl_fail(CTL_REFUSED, "a value is no UTF-8, which the store %s "
                        "cannot hold; nothing was changed", ctl->file->path);
    }

    free(line->own);
    line->own = text;
    line->text = ak_str(text, len);
    line->ends = ctl_file_ends(parsed);
    line->gone = false;
    line->damaged = false;

    return CTL_DONE;
}


static ctl_line_t *
ctl_file_add_line(ctl_t *ctl, const char *name)
{
    ctl_line_t  *line;

    line = ctl_file_append(ctl->file);
    line->name = ctl_strdup(ak_cstr(name));
    (void) tsearch(line, &ctl->file->names, ctl_file_compare);

    return line;
}


/* HSET, HDEL or DEL on a line; *n as Redis answers the latter two. */

static ctl_status_e
ctl_file_apply(ctl_t *ctl, const ak_str_t *argv, size_t argc, int64_t *n)
{
    char          *name;
    size_t         i;
    ak_fline_t     parsed;
    ctl_line_t    *line;
    ctl_status_e   status;

    name = ctl_strdup(argv[1]);
    line = ctl_file_find(ctl, name);
    *n = 0;

    if (ak_str_eq(argv[0], ak_literal("DEL"))) {

        /* every line of the name, so that a doubled one can be mended so */

        for (i = 0; i < ctl->file->n; i++) {
            line = ctl->file->lines[i];

            if (line->name != NULL && strcmp(line->name, name) == 0) {
                line->gone = true;
                *n = 1;
            }
        }

        ctl_free(name);
        return CTL_DONE;
    }

    if (line != NULL && (line->damaged || line->twice)) {
        ctl_free(name);
        return ctl_fail(CTL_REFUSED, "the store %s, line %u, is damaged or "
                        "there twice; nothing was changed", ctl->file->path,
                        line->number);
    }

    status = CTL_DONE;

    if (line == NULL || line->gone) {
        status = (ctl_file_new_line(ctl, name, &parsed) == AK_OK)
                 ? CTL_DONE : CTL_REFUSED;

    } else {
        (void) ak_fline_parse(ctl_file_trim(line->text), &parsed, NULL);
    }

    if (ak_str_eq(argv[0], ak_literal("HDEL"))) {

        for (i = 2; i < argc; i++) {
            *n += ctl_file_unset(&parsed, argv[i]);
        }

    } else {

        for (i = 2; i + 1 < argc && status == CTL_DONE; i += 2) {
            if (!ctl_file_set(&parsed, argv[i], argv[i + 1])) {
                status = ctl_fail(CTL_REFUSED, "the line of the store %s "
                                  "would have more than %d members; nothing "
                                  "was changed", ctl->file->path,
                                  AK_FLINE_FIELDS_MAX);
            }
        }
    }

    if (status == CTL_DONE && (line != NULL || parsed.n != 0)) {

        if (line == NULL) {
            line = ctl_file_add_line(ctl, name);
        }

        status = ctl_file_format(ctl, line, &parsed);
    }

    ak_fline_free(&parsed);
    ctl_free(name);

    return status;
}


ctl_status_e
ctl_file_remove(ctl_t *ctl, const ak_str_t *argv, size_t argc, int64_t *n)
{
    ctl_status_e  status;

    *n = 0;

    status = ctl_file_begin(ctl);

    if (status == CTL_DONE) {
        status = ctl_file_apply(ctl, argv, argc, n);
    }

    if (status == CTL_DONE && *n != 0) {
        status = ctl_file_commit(ctl);
    }

    ctl_file_unlock(ctl->file);

    return status;
}


/* *changed is set where something was, which is not in the file yet. */

static ctl_status_e
ctl_file_change_line(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data, bool *changed)
{
    char          *name;
    size_t         argc;
    int64_t        n;
    ak_str_t       argv[CTL_ARGV_MAX];
    ak_reply_t    *reply;
    ctl_status_e   status;

    argc = 0;
    name = ctl_strdup(key);
    reply = ctl_file_reply(ctl_file_find(ctl, name));

    status = decide(data, reply, argv, &argc);

    if (status == CTL_DONE && argc != 0) {
        status = ctl_file_apply(ctl, argv, argc, &n);
        *changed = true;
    }

    ctl_reply_free(reply);
    ctl_free(name);

    return status;
}


ctl_status_e
ctl_file_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide, void *data)
{
    bool          changed;
    ctl_status_e  status;

    changed = false;
    status = ctl_file_begin(ctl);

    if (status == CTL_DONE) {
        status = ctl_file_change_line(ctl, key, decide, data, &changed);
    }

    if (status == CTL_DONE && changed) {
        status = ctl_file_commit(ctl);
    }

    ctl_file_unlock(ctl->file);

    return status;
}


ctl_status_e
ctl_file_change_all(ctl_t *ctl, const ctl_names_t *names, ctl_next_pt next,
    ctl_decide_pt decide, void *data)
{
    bool          changed;
    size_t        i;
    ctl_status_e  status;

    changed = false;
    status = ctl_file_begin(ctl);

    for (i = 0; i < names->n && status == CTL_DONE && next(data, i); i++) {
        status = ctl_file_change_line(ctl, ak_cstr(names->names[i]), decide,
                                      data, &changed);
    }

    if (status == CTL_DONE && changed) {
        status = ctl_file_commit(ctl);
    }

    ctl_file_unlock(ctl->file);

    return status;
}


ctl_status_e
ctl_file_add(ctl_t *ctl, ctl_entry_t *entries, size_t n)
{
    size_t         i, added;
    ak_fline_t     parsed;
    ctl_line_t    *line;
    ctl_status_e   status;

    added = 0;
    status = ctl_file_begin(ctl);

    for (i = 0; i < n && status == CTL_DONE; i++) {
        line = ctl_file_find(ctl, entries[i].key);
        entries[i].there = (line != NULL);

        if (line != NULL) {
            continue;
        }

        if (ctl_file_new_line(ctl, entries[i].key, &parsed) != AK_OK) {
            status = CTL_REFUSED;
            break;
        }

        memcpy(parsed.fields, entries[i].fields,
               entries[i].n * sizeof(ak_field_t));
        parsed.n = entries[i].n;

        line = ctl_file_add_line(ctl, entries[i].key);
        status = ctl_file_format(ctl, line, &parsed);
        added++;
    }

    if (status == CTL_DONE && added != 0) {
        status = ctl_file_commit(ctl);
    }

    ctl_file_unlock(ctl->file);

    return status;
}
