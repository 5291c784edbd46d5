
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_crypt.h"
#include "ak_fline.h"
#include "ak_fstore.h"


/*
 * Entries lie in blocks, one after the other; a table of open addresses leads
 * to them.  It is made for as many as a file of this size can hold, so that no
 * step has to make it anew.
 */

#define AK_FSTORE_BLOCK     (256 * 1024)
#define AK_FSTORE_CHUNK     (64 * 1024)        /* of the file, a read */
#define AK_FSTORE_LINE_MIN  64                 /* bytes of a line with a hash */


typedef struct ak_fblock_s  ak_fblock_t;

struct ak_fblock_s {
    ak_fblock_t  *next;
    size_t        used;
    size_t        size;
    uint8_t       data[];
};


typedef struct {
    uint64_t      hash;
    uint32_t      value_len;
    uint16_t      name_len;
    bool          damaged;
    uint8_t       data[];                      /* name, value */
} ak_fentry_t;


struct ak_fstore_s {
    int           fd;                          /* -1: the file is closed */
    ak_fstamp_t   stamp;
    unsigned      line;                        /* the number of the last one */

    uint8_t      *buf;                         /* what was read, not yet used */
    size_t        pos;
    size_t        last;
    size_t        size;
    bool          end;                         /* of the file */
    bool          skip;                        /* the rest of a line too long */

    uint64_t      seed[2];
    ak_fentry_t **table;
    size_t        mask;
    size_t        count;
    size_t        lost;                        /* marks without a name, */
    unsigned      lost_line;                   /*   and where the first is */
    ak_fblock_t  *blocks;
    size_t        bytes;

    uint8_t       value[AK_VALUE_MAX];
};


/*
 * Names of the table: a letter, then an id, or an owner, a zero, a provider,
 * or "jti:" or "sub:" and which.
 */

#define AK_FSTORE_NAME_MAX  (2 * AK_NAME_MAX + 8)

_Static_assert(1 + AK_MARK_NAME_MAX <= AK_FSTORE_NAME_MAX, "names of marks");


static void
ak_fstore_stamp_of(const struct stat *st, ak_fstamp_t *stamp)
{
    stamp->device = st->st_dev;
    stamp->inode = st->st_ino;
    stamp->size = st->st_size;
    stamp->seconds = st->st_mtim.tv_sec;
    stamp->nanoseconds = st->st_mtim.tv_nsec;
    stamp->changed = st->st_ctim.tv_sec;
    stamp->changed_nanoseconds = st->st_ctim.tv_nsec;
}


ak_rc_t
ak_fstore_stamp(const char *path, ak_fstamp_t *stamp)
{
    struct stat  st;

    if (stat(path, &st) == -1) {
        return AK_ERROR;
    }

    ak_fstore_stamp_of(&st, stamp);

    return AK_OK;
}


/* NULL: no memory */

static ak_fstore_t *
ak_fstore_create(size_t file_size)
{
    size_t        slots;
    ak_fstore_t  *f;

    f = calloc(1, sizeof(ak_fstore_t));
    if (f == NULL) {
        return NULL;
    }

    f->fd = -1;

    /* at most half full */

    slots = 64;

    while (slots / 2 < file_size / AK_FSTORE_LINE_MIN + 1) {
        slots *= 2;
    }

    f->mask = slots - 1;
    f->size = AK_FSTORE_CHUNK;
    f->table = calloc(slots, sizeof(ak_fentry_t *));
    f->buf = malloc(f->size);
    f->bytes = slots * sizeof(ak_fentry_t *);

    if (f->table == NULL || f->buf == NULL
        || ak_random(f->seed, sizeof(f->seed)) != AK_OK)
    {
        (void) ak_fstore_free(f, 0);
        return NULL;
    }

    return f;
}


bool
ak_fstamp_same(const ak_fstamp_t *a, const ak_fstamp_t *b)
{
    return a->device == b->device && a->inode == b->inode
           && a->size == b->size && a->seconds == b->seconds
           && a->nanoseconds == b->nanoseconds
           && a->changed == b->changed
           && a->changed_nanoseconds == b->changed_nanoseconds;
}


ak_fstore_t *
ak_fstore_open(const char *path, ak_diag_t *d)
{
    int           fd;
    ak_fstore_t  *f;
    struct stat   st;

    /* a pipe must not have it wait */

    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd == -1) {
        ak_diag(d, "the store \"%.200s\" cannot be opened: %s", path,
                strerror(errno));
        return NULL;
    }

    f = NULL;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        ak_diag(d, "the store \"%.200s\" is no regular file", path);

    } else if (st.st_mode & S_IWOTH) {
        ak_diag(d, "everybody may write the store \"%.200s\": chmod o-w it",
                path);

    } else {
        f = ak_fstore_create((size_t) st.st_size);

        if (f == NULL) {
            ak_diag(d, "there is no memory for the store \"%.200s\"", path);
        }
    }

    if (f == NULL) {
        close(fd);
        return NULL;
    }

    f->fd = fd;
    ak_fstore_stamp_of(&st, &f->stamp);

    return f;
}


ak_fstamp_t
ak_fstore_stamped(const ak_fstore_t *f)
{
    return f->stamp;
}


size_t
ak_fstore_count(const ak_fstore_t *f)
{
    return f->count;
}


size_t
ak_fstore_size(const ak_fstore_t *f)
{
    return f->bytes;
}


size_t
ak_fstore_lost(const ak_fstore_t *f, unsigned *line)
{
    *line = f->lost_line;

    return f->lost;
}


ak_rc_t
ak_fstore_free(ak_fstore_t *f, unsigned blocks)
{
    unsigned      n;
    ak_fblock_t  *b;

    for (n = 0; f->blocks != NULL; n++) {

        if (blocks != 0 && n == blocks) {
            return AK_AGAIN;
        }

        b = f->blocks;
        f->blocks = b->next;
        free(b);
    }

    if (f->fd != -1) {
        close(f->fd);
    }

    free(f->table);
    free(f->buf);
    free(f);

    return AK_OK;
}


static uint64_t
ak_fstore_mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;

    return h;
}


/* Seeded: who chooses ids does not choose where they lie. */

static uint64_t
ak_fstore_hash(const ak_fstore_t *f, ak_str_t name)
{
    size_t    i;
    uint64_t  h, v;

    h = f->seed[0] ^ name.len;

    for (i = 0; i < name.len; i += 8) {
        v = 0;
        memcpy(&v, name.data + i, (name.len - i < 8) ? name.len - i : 8);

        h = ak_fstore_mix(h ^ v) + f->seed[1];
    }

    return ak_fstore_mix(h);
}


/* Where the entry is, or is to be. */

static ak_fentry_t **
ak_fstore_slot(const ak_fstore_t *f, ak_str_t name, uint64_t hash)
{
    size_t        i;
    ak_fentry_t  *e;

    for (i = hash & f->mask; f->table[i] != NULL; i = (i + 1) & f->mask) {
        e = f->table[i];

        if (e->hash == hash && ak_str_eq(ak_str(e->data, e->name_len), name)) {
            break;
        }
    }

    return &f->table[i];
}


static void *
ak_fstore_alloc(ak_fstore_t *f, size_t size)
{
    void         *p;
    size_t        room;
    ak_fblock_t  *b;

    size = (size + 7) & ~(size_t) 7;
    b = f->blocks;

    if (b == NULL || b->size - b->used < size) {

        room = (size > AK_FSTORE_BLOCK) ? size : AK_FSTORE_BLOCK;

        b = malloc(sizeof(ak_fblock_t) + room);
        if (b == NULL) {
            return NULL;
        }

        b->next = f->blocks;
        b->used = 0;
        b->size = room;

        f->blocks = b;
        f->bytes += sizeof(ak_fblock_t) + room;
    }

    p = b->data + b->used;
    b->used += size;

    return p;
}


/*
 * The table is as large as lines of a usual length want it.  Where they are
 * shorter, this holds the host up once, for a moment.
 */

static ak_rc_t
ak_fstore_grow(ak_fstore_t *f)
{
    size_t         i, k, mask;
    ak_fentry_t  **table;

    mask = f->mask * 2 + 1;

    table = calloc(mask + 1, sizeof(ak_fentry_t *));
    if (table == NULL) {
        return AK_NO_MEMORY;
    }

    for (i = 0; i <= f->mask; i++) {

        if (f->table[i] == NULL) {
            continue;
        }

        for (k = f->table[i]->hash & mask; table[k] != NULL;
             k = (k + 1) & mask)
        {
            /* void */
        }

        table[k] = f->table[i];
    }

    free(f->table);

    f->bytes += (mask - f->mask) * sizeof(ak_fentry_t *);
    f->table = table;
    f->mask = mask;

    return AK_OK;
}


/* Puts a value under a name; one that is there already damages both. */

static ak_rc_t
ak_fstore_put(ak_fstore_t *f, ak_str_t name, ak_str_t value, bool damaged,
    ak_diag_t *d)
{
    uint64_t       hash;
    ak_fentry_t   *e, **slot;

    hash = ak_fstore_hash(f, name);
    slot = ak_fstore_slot(f, name, hash);

    if (*slot != NULL) {
        (*slot)->damaged = true;
        return ak_diag(d, "it is there a second time");
    }

    if (f->count > f->mask / 4 * 3) {

        if (ak_fstore_grow(f) != AK_OK) {
            return AK_NO_MEMORY;
        }

        slot = ak_fstore_slot(f, name, hash);
    }

    e = ak_fstore_alloc(f, sizeof(ak_fentry_t) + name.len + value.len);
    if (e == NULL) {
        return AK_NO_MEMORY;
    }

    e->hash = hash;
    e->value_len = (uint32_t) value.len;
    e->name_len = (uint16_t) name.len;
    e->damaged = damaged;

    memcpy(e->data, name.data, name.len);

    if (value.len != 0) {
        memcpy(e->data + name.len, value.data, value.len);
    }

    *slot = e;
    f->count++;

    return AK_OK;
}


/* Of a key, and of a mark. */

static ak_str_t
ak_fstore_id_name(uint8_t dst[AK_FSTORE_NAME_MAX], uint8_t letter,
    ak_str_t id)
{
    dst[0] = letter;
    memcpy(dst + 1, id.data, id.len);

    return ak_str(dst, 1 + id.len);
}


static ak_str_t
ak_fstore_tokens_name(uint8_t dst[AK_FSTORE_NAME_MAX], ak_str_t owner,
    ak_str_t provider)
{
    uint8_t  *p;

    p = dst;
    *p++ = 't';

    memcpy(p, owner.data, owner.len);
    p += owner.len;
    *p++ = '\0';

    memcpy(p, provider.data, provider.len);
    p += provider.len;

    return ak_str(dst, (size_t) (p - dst));
}


static ak_str_t
ak_fstore_line_name(uint8_t dst[AK_FSTORE_NAME_MAX], const ak_fline_t *line)
{
    switch (line->type) {

    case AK_FLINE_KEY:
        return ak_fstore_id_name(dst, 'k', line->id);

    case AK_FLINE_MARK:
        return ak_fstore_id_name(dst, 'm', line->id);

    default: /* AK_FLINE_UPSTREAM */
        return ak_fstore_tokens_name(dst, line->owner, line->provider);
    }
}


/* When it ends, then the text of its time. */

static ak_rc_t
ak_fstore_pack_mark(ak_fstore_t *f, const ak_fline_t *line, size_t *len,
    ak_diag_t *d)
{
    ak_mark_t  mark;

    if (ak_mark_parse(line->fields, line->n, &mark, d) != AK_OK) {
        return AK_ERROR;
    }

    memcpy(f->value, &mark.expires, sizeof(int64_t));
    memcpy(f->value + sizeof(int64_t), mark.at.data, mark.at.len);

    *len = sizeof(int64_t) + mark.at.len;

    return AK_OK;
}


static ak_rc_t
ak_fstore_pack(ak_fstore_t *f, const ak_fline_t *line, size_t *len,
    ak_diag_t *d)
{
    unsigned     damaged;
    ak_record_t  rec;

    if (line->type == AK_FLINE_MARK) {
        return ak_fstore_pack_mark(f, line, len, d);
    }

    if (line->type == AK_FLINE_KEY) {

        if (ak_record_parse(line->fields, line->n, &rec, d) != AK_OK) {
            return AK_ERROR;
        }

        if (ak_record_pack(&rec, f->value, len) != AK_OK) {
            return ak_diag(d, "the record is too large");
        }

        return AK_OK;
    }

    if (ak_tokens_pack(line->fields, line->n, f->value, len, &damaged)
        != AK_OK)
    {
        return ak_diag(d, "the upstream keys are too many");
    }

    if (damaged) {

        /* the others of the set are as good as ever */

        return ak_diag(d, "%u upstream key(s) cannot be read", damaged);
    }

    return AK_OK;
}


/* Somebody was revoked, and nobody knows who. */

static void
ak_fstore_lose(ak_fstore_t *f, unsigned line)
{
    if (f->lost++ == 0) {
        f->lost_line = line;
    }
}


/* A line that has a name and is damaged denies what it names. */

static ak_rc_t
ak_fstore_line(ak_fstore_t *f, ak_str_t text, ak_diag_t *d)
{
    bool        damaged, named;
    size_t      len;
    ak_rc_t     rc;
    uint8_t     buf[AK_FSTORE_NAME_MAX];
    ak_str_t    name;
    ak_diag_t   twice;
    ak_fline_t  line;

    len = 0;
    rc = ak_fline_parse(text, &line, d);

    if (rc == AK_OK && line.type == AK_FLINE_NOTHING) {
        return AK_OK;
    }

    named = (line.type == AK_FLINE_UPSTREAM)
            ? line.owner.len != 0 && line.provider.len != 0
            : line.id.len != 0;

    if (line.type == AK_FLINE_MARK && !named) {
        ak_fstore_lose(f, f->line);
    }

    damaged = (rc != AK_OK);

    if (!damaged) {
        rc = ak_fstore_pack(f, &line, &len, d);

        /* slots that cannot be read are a part of their set */

        damaged = (rc != AK_OK)
                  && (line.type != AK_FLINE_UPSTREAM || len == 0);
    }

    if (named) {
        name = ak_fstore_line_name(buf, &line);

        switch (ak_fstore_put(f, name, ak_str(f->value, damaged ? 0 : len),
                              damaged, &twice))
        {
        case AK_OK:
            break;

        case AK_NO_MEMORY:
            rc = AK_NO_MEMORY;
            break;

        default:
            *d = twice;
            rc = AK_ERROR;
            break;
        }
    }

    ak_fline_free(&line);

    return rc;
}


/* The rest of a line that is too long is passed over. */

static void
ak_fstore_skip(ak_fstore_t *f)
{
    ak_fline_t  line;

    if (!f->skip) {
        (void) ak_fline_parse(ak_str(f->buf, f->last), &line, NULL);

        if (line.type == AK_FLINE_MARK) {
            ak_fstore_lose(f, f->line + 1);
        }

        ak_fline_free(&line);
    }

    f->skip = true;
    f->last = 0;
}


/* Reads on where there is room.  AK_ERROR: it cannot. */

static ak_rc_t
ak_fstore_fill(ak_fstore_t *f, ak_diag_t *d)
{
    size_t    size;
    ssize_t   n;
    uint8_t  *p;

    if (f->pos != 0) {
        memmove(f->buf, f->buf + f->pos, f->last - f->pos);
        f->last -= f->pos;
        f->pos = 0;
    }

    if (f->last == f->size) {

        if (f->size > AK_FLINE_MAX) {
            ak_fstore_skip(f);

        } else {
            p = realloc(f->buf, f->size * 2);
            if (p == NULL) {
                return ak_diag(d, "there is no memory");
            }

            f->buf = p;
            f->size *= 2;
        }
    }

    size = f->size - f->last;

    if (size > AK_FSTORE_CHUNK) {
        size = AK_FSTORE_CHUNK;
    }

    do {
        n = read(f->fd, f->buf + f->last, size);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        return ak_diag(d, "the store cannot be read: %s", strerror(errno));
    }

    f->last += (size_t) n;
    f->end = (n == 0);

    return AK_OK;
}


/*
 * The next line, without its end.  AK_NOT_FOUND: there is none any more;
 * *skipped: it was too long, and what is here is its end.
 */

static ak_rc_t
ak_fstore_next(ak_fstore_t *f, ak_str_t *text, bool *skipped, ak_diag_t *d)
{
    size_t    len;
    uint8_t  *p;

    for ( ;; ) {
        len = f->last - f->pos;
        p = (len == 0) ? NULL : memchr(f->buf + f->pos, '\n', len);

        if (p != NULL || f->end) {
            break;
        }

        if (ak_fstore_fill(f, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    if (p == NULL && len == 0 && !f->skip) {
        return AK_NOT_FOUND;
    }

    *skipped = f->skip;
    f->skip = false;

    *text = ak_str(f->buf + f->pos,
                   (p == NULL) ? len : (size_t) (p - (f->buf + f->pos)));

    f->pos += text->len + (p != NULL);
    f->line++;

    return AK_OK;
}


/* The whole file is in; was it one file all the time? */

static ak_rc_t
ak_fstore_complete(ak_fstore_t *f, ak_diag_t *d)
{
    ak_fstamp_t  now;
    struct stat  st;

    memset(&now, 0, sizeof(ak_fstamp_t));

    if (fstat(f->fd, &st) == 0) {
        ak_fstore_stamp_of(&st, &now);
    }

    close(f->fd);
    f->fd = -1;

    free(f->buf);
    f->buf = NULL;

    if (now.size != f->stamp.size || now.seconds != f->stamp.seconds
        || now.nanoseconds != f->stamp.nanoseconds)
    {
        return ak_diag(d, "the store changed while it was read");
    }

    return AK_OK;
}


ak_rc_t
ak_fstore_step(ak_fstore_t *f, unsigned lines,
    void (*bad)(void *data, unsigned line, const char *why), void *data,
    ak_diag_t *d)
{
    bool       skipped;
    ak_rc_t    rc;
    ak_str_t   text;
    ak_diag_t  why;

    for ( /* void */ ; lines != 0; lines--) {

        rc = ak_fstore_next(f, &text, &skipped, d);

        if (rc == AK_NOT_FOUND) {
            return ak_fstore_complete(f, d);
        }

        if (rc != AK_OK) {
            return rc;
        }

        if (skipped) {
            ak_diag(&why, "it is longer than %d bytes", AK_FLINE_MAX);
            rc = AK_ERROR;

        } else {
            rc = ak_fstore_line(f, text, &why);
        }

        if (rc == AK_NO_MEMORY) {
            return ak_diag(d, "there is no memory");
        }

        if (rc != AK_OK) {
            bad(data, f->line, why.text);
        }
    }

    return AK_AGAIN;
}


static ak_rc_t
ak_fstore_find(const ak_fstore_t *f, ak_str_t name, ak_str_t *value)
{
    ak_fentry_t  *e;

    e = *ak_fstore_slot(f, name, ak_fstore_hash(f, name));

    if (e == NULL) {
        return AK_NOT_FOUND;
    }

    if (e->damaged) {
        return AK_ERROR;
    }

    *value = ak_str(e->data + e->name_len, e->value_len);

    return AK_OK;
}


ak_rc_t
ak_fstore_record(const ak_fstore_t *f, ak_str_t id, ak_str_t *value)
{
    uint8_t  buf[AK_FSTORE_NAME_MAX];

    if (id.len > AK_NAME_MAX) {
        return AK_NOT_FOUND;
    }

    return ak_fstore_find(f, ak_fstore_id_name(buf, 'k', id), value);
}


ak_rc_t
ak_fstore_tokens(const ak_fstore_t *f, ak_str_t owner, ak_str_t provider,
    ak_str_t *value)
{
    uint8_t  buf[AK_FSTORE_NAME_MAX];

    if (owner.len > AK_NAME_MAX || provider.len > AK_NAME_MAX) {
        return AK_NOT_FOUND;
    }

    return ak_fstore_find(f, ak_fstore_tokens_name(buf, owner, provider),
                          value);
}


ak_rc_t
ak_fstore_mark(const ak_fstore_t *f, ak_str_t name, int64_t now,
    ak_str_t *value)
{
    ak_rc_t    rc;
    uint8_t    buf[AK_FSTORE_NAME_MAX];
    ak_str_t   packed;
    ak_mark_t  mark;

    static const ak_str_t  space = ak_string(AK_MARK_SPACE);

    rc = AK_NOT_FOUND;

    if (ak_str_starts(name, space)
        && name.len - space.len <= AK_MARK_NAME_MAX)
    {
        name = ak_str(name.data + space.len, name.len - space.len);
        rc = ak_fstore_find(f, ak_fstore_id_name(buf, 'm', name), &packed);
    }

    if (rc == AK_OK) {
        memcpy(&mark.expires, packed.data, sizeof(int64_t));
        mark.at = ak_str(packed.data + sizeof(int64_t),
                         packed.len - sizeof(int64_t));

        if (ak_mark_ended(&mark, now)) {
            rc = AK_NOT_FOUND;
        }

        *value = mark.at;
    }

    return (rc == AK_NOT_FOUND && f->lost != 0) ? AK_UNAVAILABLE : rc;
}
