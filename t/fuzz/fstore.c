
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_conf.h"
#include "ak_fline.h"
#include "ak_fstore.h"
#include "ak_tokens.h"


/* The embedded store as it may lie on a disk, and configurations likewise. */


static void
bad(void *data, unsigned line, const char *why)
{
    (void) data;

    if (line == 0 || why[0] == '\0') {
        abort();
    }
}


/*
 * A mark is there as long as it has not ended, damaged or not; where one has
 * no name there is nothing of which it is known that there is no mark.
 */

static void
look_up_mark(const ak_fstore_t *f, const ak_fline_t *line, ak_rc_t parsed)
{
    ak_rc_t    rc;
    uint8_t    name[sizeof(AK_MARK_SPACE) + AK_MARK_NAME_MAX];
    unsigned   number;
    ak_str_t   value;
    ak_mark_t  mark;

    if (line->id.len == 0) {

        if (parsed == AK_OK || ak_fstore_lost(f, &number) == 0 || number == 0
            || ak_fstore_mark(f, ak_literal("revoked:x"), 0, &value)
               != AK_UNAVAILABLE)
        {
            abort();
        }

        return;
    }

    if (line->id.len > AK_MARK_NAME_MAX) {
        abort();
    }

    memcpy(name, AK_MARK_SPACE, sizeof(AK_MARK_SPACE) - 1);
    memcpy(name + sizeof(AK_MARK_SPACE) - 1, line->id.data, line->id.len);

    rc = ak_fstore_mark(f, ak_str(name, sizeof(AK_MARK_SPACE) - 1
                                        + line->id.len), -1, &value);

    if (rc != AK_ERROR
        && (rc != AK_OK || parsed != AK_OK
            || ak_mark_parse(line->fields, line->n, &mark, NULL) != AK_OK
            || !ak_str_eq(mark.at, value)))
    {
        abort();
    }
}


static void
look_up(const ak_fstore_t *f, ak_str_t text)
{
    size_t       pos;
    char        *again;
    ak_rc_t      rc;
    size_t       len;
    ak_str_t     value;
    ak_slot_t    slot;
    ak_fline_t   line;
    ak_record_t  rec;

    rc = ak_fline_parse(text, &line, NULL);

    if (line.type == AK_FLINE_MARK) {
        look_up_mark(f, &line, rc);
    }

    if (rc == AK_OK) {

        if (line.type == AK_FLINE_KEY) {
            rc = ak_fstore_record(f, line.id, &value);

            if (rc == AK_OK && ak_record_unpack(value, &rec) != AK_OK) {
                abort();
            }

        } else if (line.type == AK_FLINE_UPSTREAM) {
            rc = ak_fstore_tokens(f, line.owner, line.provider, &value);

            for (pos = 0; rc == AK_OK; /* void */ ) {
                rc = ak_tokens_next(value, &pos, &slot);
            }
        }

        if (line.type != AK_FLINE_NOTHING) {
            again = ak_fline_format(&line, &len);
            free(again);
        }
    }

    ak_fline_free(&line);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             fd;
    char            path[64];
    uint8_t        *words;
    ak_rc_t         rc;
    ak_str_t        text;
    ak_conf_t       conf;
    ak_diag_t       d;
    ak_fstore_t    *f;
    const uint8_t  *end, *p;

    fd = memfd_create("store", MFD_CLOEXEC);

    if (fd == -1 || write(fd, data, size) != (ssize_t) size) {
        abort();
    }

    (void) fchmod(fd, 0600);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

    f = ak_fstore_open(path, &d);

    if (f == NULL) {
        abort();
    }

    do {
        rc = ak_fstore_step(f, 1 + size % 3, bad, NULL, &d);
    } while (rc == AK_AGAIN);

    for (p = data; rc == AK_OK && p < data + size; p = end + 1) {
        end = memchr(p, '\n', (size_t) (data + size - p));
        end = (end == NULL) ? data + size : end;
        text = ak_str(p, (size_t) (end - p));

        look_up(f, text);
    }

    ak_fstore_free(f, 0);
    close(fd);

    words = malloc(size + 1);

    memset(&conf, 0, sizeof(conf));
    conf.text = ak_str(data, size);
    conf.buf = words;

    while (ak_conf_next(&conf, &d) == AK_OK) { /* void */ }

    free(words);

    return 0;
}
