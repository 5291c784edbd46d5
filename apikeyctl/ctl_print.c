
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>

#include "ak_mem.h"
#include "ak_time.h"
#include "ctl_print.h"


static char  ctl_stdout[65536];
static int   ctl_errno;                /* of the first write that failed */


void
ctl_print_init(void)
{
    json_set_alloc_funcs(ctl_alloc, ctl_free);
    setvbuf(stdout, ctl_stdout, _IOFBF, sizeof(ctl_stdout));
}


static void
ctl_put(const char *p, size_t len)
{
    if (fwrite(p, 1, len, stdout) != len && ctl_errno == 0) {
        ctl_errno = errno;
    }
}


ctl_status_e
ctl_print_flush(void)
{
    int  err;

    errno = 0;

    if (fflush(stdout) != 0 && ctl_errno == 0) {
        ctl_errno = errno;
    }

    /* what a failed flush left behind would be tried again at exit */

    __fpurge(stdout);
    ak_mem_wipe(ctl_stdout, sizeof(ctl_stdout));

    if (ctl_errno == 0 && !ferror(stdout)) {
        return CTL_DONE;
    }

    err = ctl_errno;

    ctl_errno = 0;
    clearerr(stdout);

    return ctl_fail(CTL_REFUSED, "the output cannot be written: %s",
                    err == 0 ? "unknown error" : strerror(err));
}


json_t *
ctl_json(ak_str_t s)
{
    char    *copy;
    size_t   i;
    json_t  *v;

    v = json_stringn(s.len == 0 ? "" : (const char *) s.data, s.len);

    if (v != NULL) {
        return v;
    }

    copy = ctl_strdup(s);

    for (i = 0; i < s.len; i++) {
        if ((uint8_t) copy[i] >= 0x80) {
            copy[i] = '?';
        }
    }

    v = json_stringn(copy, s.len);
    ctl_free(copy);

    return v;
}


void
ctl_set(json_t *object, const char *field, json_t *value)
{
    if (json_object_set_new(object, field, value) != 0) {
        exit(ctl_fail(CTL_REFUSED, "\"%s\" cannot be shown as JSON", field));
    }
}


static int
ctl_print_chunk(const char *p, size_t len, void *data)
{
    (void) data;

    ctl_put(p, len);

    return 0;
}


void
ctl_print_json(const json_t *value)
{
    (void) json_dump_callback(value, ctl_print_chunk, NULL, JSON_ENCODE_ANY);
    ctl_put("\n", 1);
}


/*
 * What stands in the store must not steer a terminal: control characters, the
 * two-byte ones of UTF-8 (U+0080 to U+009F) too, become question marks.
 */

static char *
ctl_clean(ak_str_t s)
{
    char     *p;
    size_t    i;
    uint8_t   ch;

    p = ctl_strdup(s);

    for (i = 0; i < s.len; i++) {
        ch = (uint8_t) p[i];

        if (ch < 0x20 || ch == 0x7f) {
            p[i] = '?';

        } else if (ch == 0xc2 && ((uint8_t) p[i + 1] & 0xe0) == 0x80) {
            p[i] = '?';
            p[i + 1] = '?';
        }
    }

    return p;
}


/* The text of a value; the caller frees it. */

static char *
ctl_cell(const json_t *object, const ctl_column_t *col)
{
    char           buf[AK_TIME_TEXT_SIZE + 24];
    const json_t  *v;

    v = json_object_get(object, col->field);

    if (json_is_string(v) && json_string_length(v) != 0) {
        return ctl_clean(ak_str(json_string_value(v), json_string_length(v)));
    }

    if (json_is_integer(v)) {

        if (!col->time) {
            snprintf(buf, sizeof(buf), "%" PRId64,
                     (int64_t) json_integer_value(v));
            return ctl_strdup(ak_cstr(buf));
        }

        if (json_integer_value(v) == 0) {
            return ctl_strdup(ak_literal("never"));
        }

        ak_time_format(json_integer_value(v), buf);

        return ctl_strdup(ak_cstr(buf));
    }

    if (json_is_boolean(v)) {
        return ctl_strdup(ak_cstr(json_is_true(v) ? "yes" : "no"));
    }

    return ctl_strdup(ak_literal("-"));
}


/* Characters of UTF-8, each taken to be one column wide. */

static size_t
ctl_width(const char *s)
{
    size_t  n;

    for (n = 0; *s != '\0'; s++) {
        n += ((uint8_t) *s & 0xc0) != 0x80;
    }

    return n;
}


static void
ctl_print_cell(const char *s, size_t width, bool last)
{
    size_t  n;

    ctl_put(s, strlen(s));

    if (last) {
        ctl_put("\n", 1);
        return;
    }

    for (n = ctl_width(s); n < width + 2; n++) {
        ctl_put(" ", 1);
    }
}


void
ctl_print_table(const json_t *rows, const ctl_column_t *cols, size_t n)
{
    char    **cells;
    size_t    i, j, k, nrows, w, *width;

    nrows = json_array_size(rows);
    cells = ctl_alloc((nrows + 1) * n * sizeof(char *));
    width = ctl_alloc(n * sizeof(size_t));

    for (j = 0; j < n; j++) {
        cells[j] = ctl_strdup(ak_cstr(cols[j].title));
        width[j] = ctl_width(cells[j]);

        for (i = 0; i < nrows; i++) {
            k = (i + 1) * n + j;
            cells[k] = ctl_cell(json_array_get(rows, i), &cols[j]);
            w = ctl_width(cells[k]);
            width[j] = (w > width[j]) ? w : width[j];
        }
    }

    for (k = 0; k < (nrows + 1) * n; k++) {
        ctl_print_cell(cells[k], width[k % n], k % n == n - 1);
        ctl_free(cells[k]);
    }

    ctl_free(width);
    ctl_free(cells);
}


void
ctl_print_object(const json_t *object, const ctl_column_t *cols, size_t n)
{
    char    *cell;
    size_t   i, width;

    width = 0;

    for (i = 0; i < n; i++) {
        if (json_object_get(object, cols[i].field) != NULL
            && ctl_width(cols[i].title) > width)
        {
            width = ctl_width(cols[i].title);
        }
    }

    for (i = 0; i < n; i++) {
        if (json_object_get(object, cols[i].field) == NULL) {
            continue;
        }

        cell = ctl_cell(object, &cols[i]);

        ctl_print_cell(cols[i].title, width, false);
        ctl_print_cell(cell, 0, true);

        ctl_free(cell);
    }
}


void
ctl_print_text(const char *fmt, ...)
{
    int       n;
    char     *clean, text[2048];
    va_list   args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    if (n < 0) {
        return;
    }

    clean = ctl_clean(ak_cstr(text));

    ctl_put(clean, strlen(clean));
    ctl_put("\n", 1);

    ctl_free(clean);
}


static const char *const  *ctl_order;


static int
ctl_compare(const void *one, const void *two)
{
    int                 rc;
    json_int_t          m, n;
    const char *const  *f;
    const json_t       *a, *b, *x, *y;

    a = *(json_t *const *) one;
    b = *(json_t *const *) two;

    for (f = ctl_order; *f != NULL; f++) {
        x = json_object_get(a, *f);
        y = json_object_get(b, *f);

        if (json_is_string(x) && json_is_string(y)) {
            rc = strcmp(json_string_value(x), json_string_value(y));

        } else if (json_is_integer(x) && json_is_integer(y)) {
            m = json_integer_value(x);
            n = json_integer_value(y);
            rc = (m > n) - (m < n);

        } else {
            /* those that lack the field come last */
            rc = (x == NULL) - (y == NULL);
        }

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


json_t *
ctl_sort(json_t *rows, const char *const *fields)
{
    size_t    i, n;
    json_t  **list, *sorted;

    n = json_array_size(rows);
    list = ctl_alloc(n * sizeof(json_t *));

    for (i = 0; i < n; i++) {
        list[i] = json_array_get(rows, i);
    }

    ctl_order = fields;
    qsort(list, n, sizeof(json_t *), ctl_compare);

    sorted = json_array();

    for (i = 0; i < n; i++) {
        json_array_append(sorted, list[i]);
    }

    ctl_free(list);
    json_decref(rows);

    return sorted;
}
