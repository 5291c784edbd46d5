
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_FSTORE_H_INCLUDED_
#define _AK_FSTORE_H_INCLUDED_


#include "ak_diag.h"
#include "ak_record.h"


/*
 * The embedded store in memory: an index of a file (see ak_fline.h), built in
 * steps, so that an event loop goes on meanwhile, and read without the file.
 */

typedef struct ak_fstore_s  ak_fstore_t;


/* What a file was when it was opened; all zero: there was none. */

typedef struct {
    uint64_t  device;
    uint64_t  inode;
    uint64_t  size;
    int64_t   seconds;         /* of the last modification */
    int64_t   nanoseconds;
    int64_t   changed;         /* the same, of the mode and owner too */
    int64_t   changed_nanoseconds;
} ak_fstamp_t;

/* AK_ERROR: there is no such file, or it cannot be looked at. */

ak_rc_t ak_fstore_stamp(const char *path, ak_fstamp_t *stamp);

bool ak_fstamp_same(const ak_fstamp_t *a, const ak_fstamp_t *b);


/*
 * Opens the file, to be read by ak_fstore_step(); blocks on the disk.  NULL:
 * it cannot be opened, is no regular file, or its mode lets the world write
 * it; the diagnostic says why.
 */

ak_fstore_t *ak_fstore_open(const char *path, ak_diag_t *d);

/*
 * Reads on: at most "lines" lines, a chunk of the file at a time.
 * AK_AGAIN: there are more.  AK_OK: it is complete, the file is closed.
 * AK_ERROR: it could not be read, or it changed meanwhile; to be freed.
 *
 * bad() is called for each line that is damaged, with its number from 1; such
 * a line costs its own key, upstream key or mark alone.  What is there twice
 * is damaged in both places.  A mark of which nobody can tell the name costs
 * the answer that there is none: see ak_fstore_mark().
 */

ak_rc_t ak_fstore_step(ak_fstore_t *f, unsigned lines,
    void (*bad)(void *data, unsigned line, const char *why), void *data,
    ak_diag_t *d);

/*
 * Frees at most "blocks" blocks of memory (0: all); AK_AGAIN: there is more.
 */

ak_rc_t ak_fstore_free(ak_fstore_t *f, unsigned blocks);

ak_fstamp_t ak_fstore_stamped(const ak_fstore_t *f);

/* How many keys, sets of upstream keys and marks are in it, and its bytes. */

size_t ak_fstore_count(const ak_fstore_t *f);
size_t ak_fstore_size(const ak_fstore_t *f);

/*
 * How many lines are marks of which nobody can tell the name; *line: the
 * number of the first.
 */

size_t ak_fstore_lost(const ak_fstore_t *f, unsigned *line);

/*
 * What a complete index holds, packed (see ak_record.h and ak_tokens.h), as
 * long as the index lives.  AK_NOT_FOUND; AK_ERROR: it is damaged.
 */

ak_rc_t ak_fstore_record(const ak_fstore_t *f, ak_str_t id, ak_str_t *value);
ak_rc_t ak_fstore_tokens(const ak_fstore_t *f, ak_str_t owner,
    ak_str_t provider, ak_str_t *value);

/*
 * The time that a mark says, as text, of the name that ak_mark.h has.
 * AK_NOT_FOUND: there is none, or it has ended at "now", Unix seconds; but
 * AK_UNAVAILABLE where there are marks whose names are lost, of which this may
 * have been one.  AK_ERROR: there is one, and it is damaged.
 */

ak_rc_t ak_fstore_mark(const ak_fstore_t *f, ak_str_t name, int64_t now,
    ak_str_t *value);


#endif /* _AK_FSTORE_H_INCLUDED_ */
