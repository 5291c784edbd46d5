
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


/*
 * What the unit tests share.  A test is a standalone program: it includes this
 * file first, ends in UNIT_MAIN(tests) and links all of common/.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ak_diag.h"
#include "ak_keyring.h"
#include "ak_stack.h"


/*
 * Keys and tokens that were computed by another program (Python's hashlib,
 * hmac, zlib and cryptography), so that the library is not compared to itself.
 */

#define UNIT_MASTER_1  "lBnIvw9v2kWBL96NxNd38AIxnsBnMSDu2VrjJhjzqAo="
#define UNIT_MASTER_2  "/ANtpOH6RgikuUy2gmHvRItVa9yIGbp8/Q3aIUdlEgQ="
#define UNIT_MASTER_3  "BfQAnYVnD9t4GS4Vv0eTDi+zpg04CysJO0xG/IleZIg="
#define UNIT_PEPPER_1  "RO3zrHiQiX36vtRbj01P9PiYOvDGYV8U8aoVQvDKElw="
#define UNIT_PEPPER_2  "1Pf29XsUh4yzx51WrijjWPUl3MqUHxP3MnElvZc2Wig="

#define UNIT_ID        "A1b2C3d4E5f6"
#define UNIT_KEY       "sk-" UNIT_ID "QwErTyUiOpAsDfGhJkLzXcVbNm012345" "2j5I2Q"
#define UNIT_FOREIGN   "sk-0123456789abcdef0123456789abcdef"
#define UNIT_FID       "h73f56460f66b2efab1718b2f8f55948c"

#define UNIT_HASH                                                             \
    "$sha256$AAECAwQFBgcICQoLDA0ODw$"                                         \
    "-KEZx69zTbc28-thl9oGptlNjbWYh3VtQE0lKZx5vTM"

#define UNIT_FOREIGN_HASH                                                     \
    "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$"                                    \
    "KVxwgXMqq3OJDDNctlBeZZ7tiL15uF7bRUbBtHq82Fo"

#define UNIT_SECRET    "sk-proj-EXAMPLE0123456789"


#define S(s)  ak_literal(s)


#define assert_str(s, expected)                                               \
    unit_str(s, expected, __FILE__, __LINE__)

/* For loops: says which of the cases failed. */

#define assert_case(ok, ...)                                                  \
    do {                                                                      \
        if (!(ok)) {                                                          \
            print_error(__VA_ARGS__);                                         \
            print_error("\n");                                                \
            fail();                                                           \
        }                                                                     \
    } while (0)

#define UNIT_MAIN(tests)                                                      \
    int                                                                       \
    main(void)                                                                \
    {                                                                         \
        return cmocka_run_group_tests(tests, NULL, NULL);                     \
    }


static inline void
unit_str(ak_str_t s, const char *expected, const char *file, int line)
{
    if (!ak_str_eq(s, ak_cstr(expected))) {
        print_error("\"%.*s\" is not \"%s\"\n", (int) s.len,
                    s.data == NULL ? "" : (const char *) s.data, expected);
        _fail(file, line);
    }
}


/*
 * A copy that ends where its memory ends, so that a sanitizer or valgrind sees
 * a read beyond it.  The caller frees it.
 */

static inline ak_str_t
unit_exact(ak_str_t s)
{
    uint8_t  *p;

    p = malloc(s.len);
    assert_true(p != NULL || s.len == 0);

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    return ak_str(p, s.len);
}


static inline void
unit_free(ak_str_t s)
{
    free((void *) s.data);
}


static inline bool
unit_zero(const void *p, size_t size)
{
    size_t          i;
    const uint8_t  *b;

    b = p;

    for (i = 0; i < size; i++) {
        if (b[i] != 0) {
            return false;
        }
    }

    return true;
}


/* Whether text holds any run of "piece" bytes of the secret. */

static inline bool
unit_leaks(const void *text, size_t len, ak_str_t secret, size_t piece)
{
    size_t  i;

    for (i = 0; i + piece <= secret.len; i++) {
        if (memmem(text, len, secret.data + i, piece) != NULL) {
            return true;
        }
    }

    return false;
}


/* Memory that ends with the test; "left" allocations succeed. */

#define UNIT_KEYS_MAX  16

typedef struct unit_chunk_s  unit_chunk_t;

struct unit_chunk_s {
    unit_chunk_t  *next;
    size_t         size;
    max_align_t    data[];
};


typedef struct {
    ak_mem_t       mem;
    unit_chunk_t  *chunks;
    size_t         left;
    ak_keys_t     *keys[UNIT_KEYS_MAX];        /* that lines gave to hold */
    size_t         nkeys;
    char           warned[AK_DIAG_MAX];        /* the last warning */
} unit_pool_t;


static inline void *
unit_pool_alloc(void *data, size_t size)
{
    unit_pool_t   *pool;
    unit_chunk_t  *chunk;

    pool = data;

    if (pool->left == 0) {
        return NULL;
    }

    pool->left--;

    chunk = malloc(sizeof(unit_chunk_t) + size);
    assert_non_null(chunk);

    memset(chunk->data, 0xa5, size);

    chunk->size = size;
    chunk->next = pool->chunks;
    pool->chunks = chunk;

    return chunk->data;
}


static inline void
unit_pool_init(unit_pool_t *pool)
{
    pool->mem.alloc = unit_pool_alloc;
    pool->mem.data = pool;
    pool->chunks = NULL;
    pool->left = SIZE_MAX;
    pool->nkeys = 0;
    pool->warned[0] = '\0';
}


static inline void
unit_pool_free(unit_pool_t *pool)
{
    unit_chunk_t  *chunk;

    while (pool->nkeys != 0) {
        ak_keys_free(pool->keys[--pool->nkeys]);
    }

    while (pool->chunks != NULL) {
        chunk = pool->chunks;
        pool->chunks = chunk->next;
        free(chunk);
    }
}


/* A request: names in lower case; the last one has a NULL name. */

typedef struct {
    const char  *name;
    const char  *value;
} unit_header_t;


static inline bool
unit_header(void *host, ak_str_t name, unsigned n, ak_str_t *value)
{
    size_t                i;
    const unit_header_t  *h;

    for (i = 0; i < name.len; i++) {
        assert_false(name.data[i] >= 'A' && name.data[i] <= 'Z');
        assert_int_not_equal(name.data[i], '_');
    }

    for (h = host; h != NULL && h->name != NULL; h++) {

        if (ak_str_eq(name, ak_cstr(h->name)) && n-- == 0) {
            *value = ak_cstr(h->value);
            return true;
        }
    }

    return false;
}


/* What the request is beside its headers; NULL: it has no such thing. */

static struct {
    const char  *get[AK_VIEW_REQUEST_ID + 1];
    ak_str_t     address;
} unit_request = { .get = { [AK_VIEW_METHOD] = "GET", [AK_VIEW_PATH] = "/" } };


static inline bool
unit_get(void *host, ak_view_e what, ak_str_t *value)
{
    (void) host;

    if (what == AK_VIEW_ADDRESS) {
        *value = unit_request.address;

    } else {
        *value = ak_cstr(unit_request.get[what]);
    }

    return value->data != NULL;
}


/* The headers that carry something: all but those that are asked for. */

static inline ak_view_t
unit_view(const unit_header_t *headers)
{
    unsigned              i;
    ak_view_t             view;
    ak_field_t           *carried;
    const unit_header_t  *h;
    static unsigned       turn;
    static ak_field_t     fields[8][32];
    static const char    *others[] = { "cookie", "sec-websocket-protocol",
                                       "anthropic-version" };

    carried = fields[turn++ % 8];

    view.carried = carried;
    view.ncarried = 0;
    view.header = unit_header;
    view.get = unit_get;
    view.variable = NULL;
    view.host = (void *) headers;

    for (h = headers; h != NULL && h->name != NULL; h++) {

        for (i = 0; i < 3; i++) {
            if (strcmp(h->name, others[i]) == 0) {
                break;
            }
        }

        if (i != 3) {
            continue;
        }

        assert_true(view.ncarried < 32);

        carried[view.ncarried].name = ak_cstr(h->name);
        carried[view.ncarried].value = ak_cstr(h->value);
        view.ncarried++;
    }

    return view;
}


static inline ak_keyring_t *
unit_keyring(const char *text)
{
    ak_diag_t      d;
    ak_keyring_t  *k;

    k = ak_keyring_parse(ak_cstr(text), &d);
    assert_non_null(k);

    return k;
}


#define unit_keyring_default()                                                \
    unit_keyring("master " UNIT_MASTER_1 "\npepper " UNIT_PEPPER_1 "\n")


/* A transaction of a host with everything at hand. */

static inline void
unit_txn(ak_txn_t *t, unit_pool_t *pool, const unit_header_t *headers,
    ak_digest_t *digest, const ak_keyring_t *keyring)
{
    ak_txn_init(t);

    t->mem = pool->mem;
    t->view = unit_view(headers);
    t->digest = digest;
    t->keyring = keyring;
    t->now = 1800000000;
}


/* Where the lines of a stack are read; logs open, and are nothing. */

static inline void *
unit_open_log(void *data, ak_str_t target, ak_diag_t *d)
{
    if (ak_str_starts(target, S("/nowhere/"))) {
        ak_diag(d, "there is no such folder");
        return NULL;
    }

    return data;
}


static inline ak_rc_t
unit_hold_keys(void *data, ak_keys_t *keys, ak_diag_t *d)
{
    unit_pool_t *pool = data;

    if (pool->nkeys == UNIT_KEYS_MAX) {
        return ak_diag(d, "there is no room for keys");
    }

    pool->keys[pool->nkeys++] = keys;

    return AK_OK;
}


static inline void
unit_warn(void *data, const char *text)
{
    unit_pool_t *pool = data;

    (void) snprintf(pool->warned, sizeof(pool->warned), "%s", text);
}


static inline ak_site_t
unit_site(unit_pool_t *pool)
{
    ak_site_t  site = {
        .mem = pool->mem,
        .open_log = unit_open_log,
        .hold_keys = unit_hold_keys,
        .warn = unit_warn,
        .data = pool
    };

    return site;
}


/*
 * Adds a line to a stack, its words told apart by single spaces; the memory of
 * the words is gone afterwards.
 */

static inline ak_rc_t
unit_add(ak_stack_t *s, const char *text, ak_diag_t *d)
{
    char      *copy, *word, *save;
    size_t     n;
    ak_rc_t    rc;
    ak_str_t   words[64];

    copy = strdup(text);
    assert_non_null(copy);

    n = 0;

    for (word = strtok_r(copy, " ", &save); word != NULL && n < 64;
         word = strtok_r(NULL, " ", &save))
    {
        words[n++] = ak_cstr(word);
    }

    rc = ak_stack_add(s, words, n, d);

    memset(copy, 0x5a, strlen(text));
    free(copy);

    return rc;
}


#endif /* _UNIT_H_INCLUDED_ */
