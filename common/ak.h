
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_H_INCLUDED_
#define _AK_H_INCLUDED_


/*
 * Types and limits that every file of the library uses.
 *
 * The library knows nothing of any proxy: no sockets, no event loop, no
 * mutable state outside the objects its caller creates.  No function waits.
 */


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define AK_VERSION             "0.1.0"

#define AK_KEY_MIN             8       /* bytes of a client key */
#define AK_KEY_MAX             512
#define AK_ID_MAX              64      /* bytes of a key id */
#define AK_NAME_MAX            128     /* bytes of an owner, slot or name */
#define AK_SECRET_MAX          4096    /* bytes of an upstream secret */
#define AK_VALUE_MAX           16384   /* bytes of a packed record or set */


/* A run of bytes that somebody else owns; not terminated by a zero. */

typedef struct {
    const uint8_t  *data;
    size_t          len;
} ak_str_t;


#define ak_string(s)           { (const uint8_t *) (s), sizeof(s) - 1 }
#define ak_literal(s)          ((ak_str_t) ak_string(s))
#define ak_nitems(a)           (sizeof(a) / sizeof((a)[0]))


typedef enum {
    AK_OK = 0,
    AK_ERROR = -1,             /* invalid input, or a failed operation */
    AK_AGAIN = -2,             /* ask, then call again */
    AK_DENIED = -3,            /* a verdict, not a failure */
    AK_NOT_FOUND = -4,         /* the store says: there is no such thing */
    AK_UNAVAILABLE = -5,       /* nobody could say */
    AK_KID_UNKNOWN = -6,       /* sealed under a master key not at hand */
    AK_NO_MEMORY = -7
} ak_rc_t;


/* Not for secrets: ak_mem_equal() compares those. */

static inline bool
ak_str_eq(ak_str_t a, ak_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


static inline ak_str_t
ak_str(const void *data, size_t len)
{
    ak_str_t  s = { (const uint8_t *) data, len };

    return s;
}


/* The string of a C string; NULL gives the empty one. */

static inline ak_str_t
ak_cstr(const char *s)
{
    return ak_str(s, s == NULL ? 0 : strlen(s));
}


static inline bool
ak_str_starts(ak_str_t s, ak_str_t prefix)
{
    return prefix.len == 0
           || (s.len >= prefix.len
               && memcmp(s.data, prefix.data, prefix.len) == 0);
}


/* A number of digits only, at least one, of at most max. */

static inline bool
ak_str_number(ak_str_t s, unsigned max, unsigned *value)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }

        n = n * 10 + (s.data[i] - '0');

        if (n > max) {
            return false;
        }
    }

    *value = (unsigned) n;

    return s.len > 0;
}


/*
 * Whether all bytes are visible ASCII, 0x21 to 0x7e, as a key or the value of
 * a header is.  Eight at a time: a byte that is too small borrows from its top
 * bit, one that is too large carries into it or has it set.
 */

static inline uint64_t
ak_str_unseen(const uint8_t *p)
{
    uint64_t  v;

    memcpy(&v, p, 8);

    return ((v - 0x2121212121212121u) & ~v) | (v + 0x0101010101010101u) | v;
}


static inline bool
ak_str_visible(ak_str_t s)
{
    size_t    i;
    uint64_t  bits;

    if (s.len < 8) {

        for (i = 0; i < s.len; i++) {
            if ((uint8_t) (s.data[i] - 0x21) > 0x7e - 0x21) {
                return false;
            }
        }

        return true;
    }

    /* the last eight may be in the ones before them too */

    bits = ak_str_unseen(s.data + s.len - 8);

    for (i = 0; i + 16 < s.len; i += 16) {
        bits |= ak_str_unseen(s.data + i) | ak_str_unseen(s.data + i + 8);
    }

    if (i + 8 < s.len) {
        bits |= ak_str_unseen(s.data + i);
    }

    return (bits & 0x8080808080808080u) == 0;
}


#endif /* _AK_H_INCLUDED_ */
