
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_mem.h"
#include "ctl_rows.h"


#define CTL_ROWS_BUFFER  65536
#define CTL_ROWS_NUMBER  24            /* bytes of one, with a zero */


struct ctl_rows_s {
    ctl_rows_e   form;
    ctl_cell_pt  cell;
    const void  *data;                 /* of cell() */
    const char  *needed;

    uint8_t      buf[CTL_ROWS_BUFFER];
    size_t       pos;
    size_t       last;
    bool         end;
    bool         failed;
    uint64_t     done;
    uint64_t     all;
    unsigned     line;                 /* lines that have begun */

    /* the row, as read: for CSV without its quotes */

    uint8_t      text[CTL_ROW_MAX];
    size_t       len;
    size_t       cells[CTL_ROW_FIELDS + 1];    /* where they begin */
    size_t       ncells;

    char        *header;               /* of CSV, names with zeros behind */
    ak_str_t     names[CTL_ROW_FIELDS];
    size_t       nnames;

    json_t      *json;
    char         numbers[CTL_ROW_FIELDS][CTL_ROWS_NUMBER];
};


ctl_rows_t *
ctl_rows_open(ctl_rows_e form, ctl_cell_pt cell, const void *data,
    const char *needed)
{
    ctl_rows_t   *rows;
    struct stat   st;

    rows = ctl_alloc(sizeof(ctl_rows_t));
    memset(rows, 0, sizeof(ctl_rows_t));

    rows->form = form;
    rows->cell = cell;
    rows->data = data;
    rows->needed = needed;

    if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode)) {
        rows->all = (uint64_t) st.st_size;
    }

    return rows;
}


/* The path is not shown: it may be a secret that was typed in its place. */

ctl_status_e
ctl_rows_input(const char *path)
{
    int          fd;
    struct stat  st;

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd != -1 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        fd = -1;
        errno = EISDIR;
    }

    if (fd == -1) {
        return ctl_fail(CTL_REFUSED, "the file cannot be opened: %s",
                        strerror(errno));
    }

    if (dup2(fd, STDIN_FILENO) == -1) {
        (void) ctl_fail(CTL_REFUSED, "the file cannot be read: %s",
                        strerror(errno));
        close(fd);
        return CTL_REFUSED;
    }

    close(fd);

    return CTL_DONE;
}


void
ctl_rows_close(ctl_rows_t *rows)
{
    json_decref(rows->json);
    ctl_free(rows->header);
    ctl_free(rows);
}


void
ctl_rows_progress(const ctl_rows_t *rows, uint64_t *done, uint64_t *all)
{
    *done = rows->done;
    *all = rows->all;
}


/* The next byte; -1: no more. */

static int
ctl_rows_byte(ctl_rows_t *rows)
{
    ssize_t            n;
    static const char  bom[] = { '\xef', '\xbb', '\xbf' };

    while (rows->pos == rows->last) {

        if (rows->end) {
            return -1;
        }

        do {
            n = read(STDIN_FILENO, rows->buf, sizeof(rows->buf));
        } while (n == -1 && errno == EINTR);

        if (n <= 0) {
            rows->end = true;
            rows->failed = (n == -1);
            return -1;
        }

        rows->pos = 0;
        rows->last = (size_t) n;

        /* some programs begin a file with U+FEFF */

        if (rows->done == 0 && rows->last >= sizeof(bom)
            && memcmp(rows->buf, bom, sizeof(bom)) == 0)
        {
            rows->pos = sizeof(bom);
        }

        rows->done += (uint64_t) n;
    }

    return rows->buf[rows->pos++];
}


/* One more byte of the row; what is too much is counted and not kept. */

static void
ctl_rows_keep(ctl_rows_t *rows, int ch)
{
    if (rows->len < sizeof(rows->text)) {
        rows->text[rows->len] = (uint8_t) ch;
    }

    rows->len++;
}


static ak_rc_t
ctl_rows_checked(ctl_rows_t *rows, ak_diag_t *d)
{
    if (rows->len > sizeof(rows->text)) {
        return ak_diag(d, "it is longer than %d bytes", CTL_ROW_MAX);
    }

    return AK_OK;
}


static ak_rc_t
ctl_rows_line(ctl_rows_t *rows, ak_diag_t *d)
{
    int  ch;

    ak_mem_wipe(rows->text, sizeof(rows->text) < rows->len
                            ? sizeof(rows->text) : rows->len);
    rows->len = 0;

    ch = ctl_rows_byte(rows);

    if (ch == -1) {
        return AK_NOT_FOUND;
    }

    rows->line++;

    for ( /* void */ ; ch != -1 && ch != '\n'; ch = ctl_rows_byte(rows)) {
        ctl_rows_keep(rows, ch);
    }

    if (rows->len != 0 && rows->len <= sizeof(rows->text)
        && rows->text[rows->len - 1] == '\r')
    {
        rows->len--;
    }

    return ctl_rows_checked(rows, d);
}


static ak_str_t
ctl_rows_trimmed(const ctl_rows_t *rows)
{
    ak_str_t  s;

    s = ak_str(rows->text, rows->len);

    while (s.len != 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && (s.data[s.len - 1] == ' '
                          || s.data[s.len - 1] == '\t'))
    {
        s.len--;
    }

    return s;
}


static ak_rc_t
ctl_rows_next_text(ctl_rows_t *rows, ctl_row_t *row, ak_diag_t *d)
{
    ak_rc_t  rc;

    do {
        rc = ctl_rows_line(rows, d);
        row->number = rows->line;

        if (rc != AK_OK) {
            return rc;
        }

        row->fields[0].name = ak_literal("key");
        row->fields[0].value = ctl_rows_trimmed(rows);
        row->n = 1;

        /* a key that was taken out must not come in by this way */

    } while (row->fields[0].value.len == 0
             || row->fields[0].value.data[0] == '#');

    return AK_OK;
}


/* A value that is no string, as databases have them; null is an empty one. */

static ak_rc_t
ctl_rows_json_text(ctl_rows_t *rows, size_t n, ctl_cell_e cell,
    const json_t *value, ak_str_t *text)
{
    if (json_is_string(value)) {
        *text = ak_str(json_string_value(value), json_string_length(value));
        return AK_OK;
    }

    if (json_is_null(value)) {
        *text = ak_literal("");
        return AK_OK;
    }

    if (cell == CTL_CELL_NEEDED) {
        return AK_ERROR;
    }

    if (json_is_boolean(value)) {
        *text = ak_cstr(json_is_true(value) ? "true" : "false");
        return AK_OK;
    }

    if (json_is_integer(value)) {
        (void) snprintf(rows->numbers[n], CTL_ROWS_NUMBER, "%lld",
                        (long long) json_integer_value(value));
        *text = ak_cstr(rows->numbers[n]);
        return AK_OK;
    }

    return AK_ERROR;
}


static ak_rc_t
ctl_rows_json_add(ctl_rows_t *rows, ctl_row_t *row, const char *name,
    const json_t *value, ak_diag_t *d)
{
    ctl_cell_e  cell;

    cell = rows->cell(rows->data, ak_cstr(name));

    if (cell == CTL_CELL_IGNORED) {
        return AK_OK;
    }

    if (row->n == CTL_ROW_FIELDS) {
        return ak_diag(d, "it has more than %d members", CTL_ROW_FIELDS);
    }

    if (ctl_rows_json_text(rows, row->n, cell, value,
                           &row->fields[row->n].value)
        != AK_OK)
    {
        return ak_diag(d, "a member is no string");
    }

    row->fields[row->n].name = ak_cstr(name);
    row->n++;

    return AK_OK;
}


static ak_rc_t
ctl_rows_next_json(ctl_rows_t *rows, ctl_row_t *row, ak_diag_t *d)
{
    json_t      *value;
    ak_rc_t      rc;
    const char  *name;

    do {
        rc = ctl_rows_line(rows, d);
        row->number = rows->line;

        if (rc != AK_OK) {
            return rc;
        }

    } while (ctl_rows_trimmed(rows).len == 0);

    json_decref(rows->json);

    rows->json = json_loadb((char *) rows->text, rows->len,
                            JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(rows->json)) {
        return ak_diag(d, "it is no JSON object, or a member is there twice");
    }

    json_object_foreach(rows->json, name, value) {

        if (ctl_rows_json_add(rows, row, name, value, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static void
ctl_rows_cell(ctl_rows_t *rows)
{
    if (rows->ncells < CTL_ROW_FIELDS) {
        rows->cells[rows->ncells + 1] = rows->len;
    }

    rows->ncells++;
}


/*
 * A record of RFC 4180: cells between commas, in double quotes where they hold
 * a comma, a quote (doubled) or the end of a line.
 */

static ak_rc_t
ctl_rows_record(ctl_rows_t *rows, ak_diag_t *d)
{
    int   ch;
    bool  begun, bad, quoted, was_quoted;

    ak_mem_wipe(rows->text, sizeof(rows->text) < rows->len
                            ? sizeof(rows->text) : rows->len);

    rows->len = 0;
    rows->ncells = 0;
    rows->cells[0] = 0;

    begun = false;
    bad = false;
    quoted = false;
    was_quoted = false;

    for ( ;; ) {
        ch = ctl_rows_byte(rows);

        if (ch == -1 && !begun) {
            return AK_NOT_FOUND;
        }

        if (!begun) {
            begun = true;
            rows->line++;
        }

        if (quoted) {

            if (ch == -1) {
                bad = true;
                break;
            }

            if (ch != '"') {
                rows->line += (ch == '\n');
                ctl_rows_keep(rows, ch);
                continue;
            }

            ch = ctl_rows_byte(rows);

            if (ch == '"') {
                ctl_rows_keep(rows, ch);
                continue;
            }

            quoted = false;
            was_quoted = true;
        }

        if (ch == '\r') {

            /* a part of the end of a line, or nothing that belongs here */

            ch = ctl_rows_byte(rows);
            bad |= (ch != '\n' && ch != -1);
        }

        if (ch == ',' || ch == '\n' || ch == -1) {
            ctl_rows_cell(rows);
            was_quoted = false;

            if (ch != ',') {
                break;
            }

            continue;
        }

        if (ch == '"' && !was_quoted && rows->ncells < CTL_ROW_FIELDS
            && rows->len == rows->cells[rows->ncells])
        {
            quoted = true;
            continue;
        }

        /* nothing stands around quotes */

        bad |= (was_quoted || ch == '"');
        ctl_rows_keep(rows, ch);
    }

    if (bad) {
        return ak_diag(d, "its quotes or ends are not those of RFC 4180");
    }

    if (rows->ncells > CTL_ROW_FIELDS) {
        return ak_diag(d, "it has more than %d columns", CTL_ROW_FIELDS);
    }

    return ctl_rows_checked(rows, d);
}


static ak_rc_t ctl_rows_names(const ctl_rows_t *rows, ak_diag_t *d);


/* The first record names the columns. */

static ak_rc_t
ctl_rows_header(ctl_rows_t *rows, ak_diag_t *d)
{
    size_t    i;
    ak_rc_t   rc;

    rc = ctl_rows_record(rows, d);

    if (rc == AK_NOT_FOUND) {
        ak_diag(d, "there is no header");
        return AK_UNAVAILABLE;
    }

    if (rc != AK_OK) {
        return AK_UNAVAILABLE;
    }

    rows->header = ctl_alloc(rows->len + 1);
    memcpy(rows->header, rows->text, rows->len);
    rows->nnames = rows->ncells;

    for (i = 0; i < rows->ncells; i++) {
        rows->names[i] = ak_str(rows->header + rows->cells[i],
                                rows->cells[i + 1] - rows->cells[i]);
    }

    return ctl_rows_names(rows, d);
}


/* A name is not shown: where there is no header it is a key. */

static ak_rc_t
ctl_rows_names(const ctl_rows_t *rows, ak_diag_t *d)
{
    bool        needed;
    size_t      i, k;
    ctl_cell_e  cell;

    needed = false;

    for (i = 0; i < rows->nnames; i++) {
        cell = rows->cell(rows->data, rows->names[i]);
        needed |= (cell == CTL_CELL_NEEDED);

        if (cell == CTL_CELL_UNKNOWN) {
            ak_diag(d, "the first row must name the columns: that of column "
                    "%zu is no name of one; nothing was imported", i + 1);
            return AK_UNAVAILABLE;
        }

        for (k = 0; k < i; k++) {
            if (ak_str_eq(rows->names[i], rows->names[k])) {
                ak_diag(d, "columns %zu and %zu have the same name; nothing "
                        "was imported", k + 1, i + 1);
                return AK_UNAVAILABLE;
            }
        }
    }

    if (!needed) {
        ak_diag(d, "the first row must name the columns: there is none with "
                "the name \"%s\"; nothing was imported", rows->needed);
        return AK_UNAVAILABLE;
    }

    return AK_OK;
}


static ak_rc_t
ctl_rows_next_csv(ctl_rows_t *rows, ctl_row_t *row, ak_diag_t *d)
{
    size_t   i;
    ak_rc_t  rc;

    if (rows->header == NULL) {
        rc = ctl_rows_header(rows, d);

        if (rc != AK_OK) {
            return rc;
        }
    }

    do {
        row->number = rows->line + 1;
        rc = ctl_rows_record(rows, d);

        if (rc != AK_OK) {
            return rc;
        }

    } while (rows->ncells == 1 && rows->len == 0);

    if (rows->ncells != rows->nnames) {
        return ak_diag(d, "it has %zu columns and not %zu", rows->ncells,
                       rows->nnames);
    }

    for (i = 0; i < rows->ncells; i++) {
        row->fields[i].name = rows->names[i];
        row->fields[i].value = ak_str(rows->text + rows->cells[i],
                                      rows->cells[i + 1] - rows->cells[i]);
    }

    row->n = rows->ncells;

    return AK_OK;
}


/* Which form it is, by the first byte that is no white space. */

static void
ctl_rows_guess(ctl_rows_t *rows)
{
    int  ch;

    do {
        ch = ctl_rows_byte(rows);
        rows->line += (ch == '\n');
    } while (ch == ' ' || (ch >= '\t' && ch <= '\r'));

    rows->pos -= (ch != -1);
    rows->form = (ch == '{') ? CTL_ROWS_JSON : CTL_ROWS_CSV;
}


ak_rc_t
ctl_rows_next(ctl_rows_t *rows, ctl_row_t *row, ak_diag_t *d)
{
    ak_rc_t  rc;

    row->n = 0;
    row->number = rows->line;

    if (rows->form == CTL_ROWS_ANY) {
        ctl_rows_guess(rows);
    }

    switch (rows->form) {

    case CTL_ROWS_TEXT:
        rc = ctl_rows_next_text(rows, row, d);
        break;

    case CTL_ROWS_CSV:
        rc = ctl_rows_next_csv(rows, row, d);
        break;

    default:
        rc = ctl_rows_next_json(rows, row, d);
        break;
    }

    if (rows->failed) {
        ak_diag(d, "what is to be imported cannot be read");
        return AK_UNAVAILABLE;
    }

    return rc;
}
