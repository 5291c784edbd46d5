
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "auth required static". */


#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "ak_mem.h"
#include "ak_record.h"
#include "ak_stack.h"


#define JWT                                                                   \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9"                               \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

#define LIST                                                                  \
    "\n , sk-the-first ,\tsk-the-second\r\n"                                  \
    "# sk-taken-out-1, sk-taken-out-2\n"                                      \
    "  #sk-taken-out-3\n"                                                     \
    ",,\n"                                                                    \
    JWT "\n"                                                                  \
    "sk-the-fourth,sk-the-fifth"


typedef struct {
    unit_pool_t   pool;
    ak_site_t     site;
    ak_stack_t   *s;
    ak_txn_t      t;
} bench_t;


static ak_digest_t  *digest;


static int
setup(void **state)
{
    (void) state;

    digest = ak_digest_create();

    return digest == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ak_digest_free(digest);
    unsetenv("UNIT_KEYS");

    return 0;
}


static ak_rc_t
read_lines(bench_t *b, const char *const *lines, ak_diag_t *d)
{
    memset(b, 0, sizeof(*b));
    memset(d, 0, sizeof(*d));

    unit_pool_init(&b->pool);
    b->site = unit_site(&b->pool);
    b->s = ak_stack_create(&b->site, S("main"));

    for ( /* void */ ; *lines != NULL; lines++) {
        if (unit_add(b->s, *lines, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return ak_stack_link(b->s, NULL, NULL, d);
}


static ak_rc_t
read_line(bench_t *b, const char *line, ak_diag_t *d)
{
    const char  *lines[] = { line, NULL };

    return read_lines(b, lines, d);
}


static void
begin(bench_t *b, const char *line)
{
    ak_diag_t  d;

    assert_case(read_line(b, line, &d) == AK_OK, "%s", d.text);
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


/* What is said of a request with that credential in that header. */

static ak_reason_e
ask_in(bench_t *b, const char *header, const char *value)
{
    char           text[1024];
    unit_header_t  headers[] = { { header, text }, { NULL, NULL } };

    snprintf(text, sizeof(text), "%s%s",
             strcmp(header, "authorization") == 0 ? "Bearer " : "", value);

    unit_txn(&b->t, &b->pool, headers, digest, NULL);
    (void) ak_stack_run(b->s, &b->t, AK_AUTH);

    return b->t.reason;
}


static ak_reason_e
ask(bench_t *b, const char *value)
{
    return ask_in(b, "authorization", value);
}


static void
write_file(char path[32], const void *text, size_t len, mode_t mode)
{
    int  fd;

    strcpy(path, "/tmp/unit_static_XXXXXX");

    fd = mkstemp(path);
    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}


static void
check_list(bench_t *b)
{
    size_t  i;

    static const struct {
        const char   *value;
        const char   *id;
        ak_reason_e   reason;
    } cases[] = {
        { "sk-the-first", "static:main:1:1", AK_SUCCESS },
        { "sk-the-second", "static:main:1:2", AK_SUCCESS },
        { JWT, "static:main:1:3", AK_SUCCESS },
        { "sk-the-fourth", "static:main:1:4", AK_SUCCESS },
        { "sk-the-fifth", "static:main:1:5", AK_SUCCESS },
        { "sk-taken-out-1", "", AK_UNKNOWN },
        { "sk-taken-out-2", "", AK_UNKNOWN },
        { "sk-taken-out-3", "", AK_UNKNOWN },
        { "#sk-taken-out-3", "", AK_UNKNOWN },
        { "sk-the-firs", "", AK_UNKNOWN },
        { "sk-the-firsT", "", AK_UNKNOWN },
        { "sk-the-first,", "", AK_UNKNOWN },
        { "k-the-first", "", AK_UNKNOWN },
        { JWT "k", "", AK_UNKNOWN },
        { UNIT_KEY, "", AK_UNKNOWN },
        { "sk-the", "", AK_MALFORMED }
    };

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_case(ask(b, cases[i].value) == cases[i].reason,
                    "%s: %s", cases[i].value,
                    (char *) ak_error(b->t.reason)->word.data);

        assert_str(b->t.id, cases[i].id);
        assert_int_equal(b->t.identified, cases[i].reason == AK_SUCCESS);
    }
}


static void
test_variable(void **state)
{
    bench_t  b;

    (void) state;

    setenv("UNIT_KEYS", LIST, 1);
    begin(&b, "auth required static keys=env:UNIT_KEYS");
    check_list(&b);

    /* it is not read again */

    setenv("UNIT_KEYS", "sk-another", 1);
    check_list(&b);
    assert_int_equal(ask(&b, "sk-another"), AK_UNKNOWN);

    end(&b);
}


static void
test_file(void **state)
{
    char     path[32], line[128];
    bench_t  b;

    (void) state;

    write_file(path, LIST, sizeof(LIST) - 1, 0640);
    snprintf(line, sizeof(line), "auth required static keys=%s", path);

    begin(&b, line);
    unlink(path);

    check_list(&b);
    end(&b);
}


static void
test_outcome(void **state)
{
    bench_t  b;

    (void) state;

    setenv("UNIT_KEYS", "sk-the-first", 1);

    begin(&b, "auth required static keys=env:UNIT_KEYS");
    assert_int_equal(ask(&b, "sk-the-first"), AK_SUCCESS);
    assert_str(b.t.owner, "static");
    assert_str(b.t.name, "static");
    assert_str(b.t.id, "static:main:1:1");
    assert_str(b.t.module, "static");
    assert_int_equal(b.t.record.len, 0);
    assert_int_equal(b.t.source, AK_SOURCE_NONE);
    end(&b);

    begin(&b, "auth required static keys=env:UNIT_KEYS owner=ci");
    assert_int_equal(ask(&b, "sk-the-first"), AK_SUCCESS);
    assert_str(b.t.owner, "ci");
    assert_str(b.t.name, "static");
    end(&b);
}


/* Nothing is left of what the line before said of the same credential. */

static void
test_after_key(void **state)
{
    bench_t               b;
    ak_diag_t             d;
    ak_answer_t           answer;
    static const char    *lines[] = {
        "auth sufficient key",
        "auth required static keys=env:UNIT_KEYS",
        NULL
    };
    const unit_header_t   headers[] = {
        { "x-api-key", UNIT_KEY }, { NULL, NULL }
    };

    (void) state;

    setenv("UNIT_KEYS", UNIT_KEY, 1);
    assert_int_equal(read_lines(&b, lines, &d), AK_OK);

    unit_txn(&b.t, &b.pool, headers, digest, NULL);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_AGAIN);

    memset(&answer, 0, sizeof(answer));
    answer.rc = AK_NOT_FOUND;
    answer.source = AK_SOURCE_MISS;
    ak_txn_answer(&b.t, &answer);

    b.t.record = S("not empty");
    b.t.name = S("not static");

    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_OK);
    assert_str(b.t.id, "static:main:2:1");
    assert_str(b.t.name, "static");
    assert_int_equal(b.t.record.len, 0);
    assert_int_equal(b.t.source, AK_SOURCE_NONE);

    end(&b);
}


static void
test_carriers(void **state)
{
    bench_t               b;
    ak_diag_t             d;
    ak_strip_t           *strip;
    const unit_header_t   two[] = {
        { "authorization", "Bearer sk-the-first" },
        { "x-api-key", "sk-the-second" },
        { NULL, NULL }
    };

    (void) state;

    setenv("UNIT_KEYS", "sk-the-first,sk-the-second", 1);

    begin(&b, "auth required static keys=env:UNIT_KEYS");

    assert_int_equal(ask_in(&b, "x-api-key", "sk-the-first"), AK_SUCCESS);
    assert_int_equal(ask_in(&b, "x-my-key", "sk-the-first"), AK_MISSING);
    assert_int_equal(b.t.line, 0);
    assert_int_equal(ask_in(&b, "x-api-key", ""), AK_MALFORMED);

    unit_txn(&b.t, &b.pool, two, digest, NULL);
    assert_int_equal(ak_stack_run(b.s, &b.t, AK_AUTH), AK_DENIED);
    assert_int_equal(b.t.reason, AK_AMBIGUOUS);
    assert_false(b.t.identified);
    end(&b);

    begin(&b, "auth required static keys=env:UNIT_KEYS from=X-My-Key");
    assert_int_equal(ask_in(&b, "x-my-key", "sk-the-first"), AK_SUCCESS);
    assert_int_equal(ask_in(&b, "x-api-key", "sk-the-first"), AK_MISSING);

    strip = ak_strip_create(&b.pool.mem);
    assert_false(ak_strip_header(strip, S("x-my-key")));
    assert_int_equal(ak_stack_strip(b.s, strip), AK_OK);
    assert_true(ak_strip_header(strip, S("x-my-key")));
    end(&b);

    assert_int_equal(read_line(&b, "auth required static "
                               "keys=env:UNIT_KEYS from=no:carrier", &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "no:carrier"));
    end(&b);
}


/* The position is that of the first of equal ones; none is ever left out. */

static void
test_many(void **state)
{
    char      id[32], value[32];
    char     *list, *p;
    bench_t   b;
    size_t    i;

    (void) state;

    list = malloc(3000 * 20);
    assert_non_null(list);

    for (i = 1, p = list; i <= 3000; i++) {
        p += sprintf(p, "key-%05zu%c", i > 2000 ? i - 2000 : i,
                     i % 7 ? ',' : '\n');
    }

    setenv("UNIT_KEYS", list, 1);
    free(list);

    begin(&b, "auth required static keys=env:UNIT_KEYS");

    for (i = 1; i <= 2000; i++) {
        sprintf(value, "key-%05zu", i);
        sprintf(id, "static:main:1:%zu", i);

        assert_int_equal(ask(&b, value), AK_SUCCESS);
        assert_str(b.t.id, id);
    }

    assert_int_equal(ask(&b, "key-02001"), AK_UNKNOWN);
    assert_int_equal(ask(&b, "key-00000"), AK_UNKNOWN);

    end(&b);
}


static void
test_lengths(void **state)
{
    char     *p, text[1200];
    bench_t   b;

    (void) state;

    /* 8 and 512 bytes; the value of a JWT's form is longer */

    memset(text, 'k', sizeof(text));
    memcpy(text, "12345678,", 9);
    text[9 + 512] = '\0';

    setenv("UNIT_KEYS", text, 1);
    begin(&b, "auth required static keys=env:UNIT_KEYS");

    assert_int_equal(ask(&b, "12345678"), AK_SUCCESS);
    assert_int_equal(ask(&b, text + 9), AK_SUCCESS);
    assert_str(b.t.id, "static:main:1:2");

    memset(text, 'k', sizeof(text));
    p = memcpy(text, "ey", 2);
    p[400] = '.';
    p[500] = '.';
    p[700] = '\0';
    assert_int_equal(ask(&b, text), AK_UNKNOWN);

    end(&b);
}


static void
check_error(const char *line, const char *message)
{
    bench_t    b;
    ak_diag_t  d;

    assert_case(read_line(&b, line, &d) == AK_ERROR, "%s: accepted", line);
    assert_case(strstr(d.text, message) != NULL, "%s: \"%s\" is not in \"%s\"",
                line, message, d.text);

    end(&b);
}


static void
test_errors(void **state)
{
    (void) state;

    unsetenv("UNIT_NONE");
    setenv("UNIT_KEYS", "sk-the-first", 1);

    check_error("auth required static", "\"keys\" is missing");
    check_error("auth required static owner=a", "\"keys\" is missing");
    check_error("auth required static keys=env:UNIT_NONE",
                "\"env:UNIT_NONE\": there is no such variable");
    check_error("auth required static keys=env:", "there is no such variable");
    check_error("auth required static keys=/nowhere/keys",
                "\"/nowhere/keys\" cannot be opened");
    check_error("auth required static keys=/tmp", "is not a regular file");
    check_error("auth required static keys=env:UNIT_KEYS owner=*",
                "\"*\" cannot be an owner");
    check_error("auth required static keys=env:UNIT_KEYS owner=a\1b",
                "cannot be an owner");
    check_error("account required static keys=env:UNIT_KEYS",
                "has no part in \"account\"");
    check_error("auth required static keys=env:UNIT_KEYS other=1",
                "unknown argument \"other=1\"");
}


/* What is wrong is named by its number alone. */

static void
test_entries(void **state)
{
    size_t     i;
    bench_t    b;
    ak_diag_t  d;

    static const struct {
        const char  *list;
        const char  *message;
        const char  *secret;
    } cases[] = {
        { "", "there is no key in \"env:UNIT_KEYS\"", "" },
        { " \n,, \r\n\t,", "there is no key", "" },
        { "# none\n#QwErTyUiOp", "there is no key", "QwErTyUiOp" },
        { "QwErTyU", "entry 1 ", "QwErTyU" },
        { "sk-the-first, #QwErTyUiOp", "begins with \"#\"", "QwErTyUiOp" },
        { "sk-the-first\n# two\n,,sk-the-second,\nQwErTyU\n", "entry 3 ",
          "QwErTyU" },
        { "sk-the-first,QwEr TyUiOp", "entry 2 ", "QwEr TyUiOp" },
        { "sk-the-first,QwEr\tTyUiOp", "entry 2 ", "TyUiOp" },
        { "sk-the-first,QwErTyUiOp\1", "entry 2 ", "QwErTyUiOp" },
        { "sk-the-first,QwErTyUiOp\xc3\xa4", "entry 2 ", "QwErTyUiOp" },
        { "\xef\xbb\xbfQwErTyUiOp", "entry 1 ", "QwErTyUiOp" },
        { "QwErTyUi\rQwErTyUiOp", "entry 1 ", "QwErTyUiOp" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        setenv("UNIT_KEYS", cases[i].list, 1);

        assert_case(read_line(&b, "auth required static keys=env:UNIT_KEYS",
                              &d) == AK_ERROR, "case %zu: accepted", i);
        assert_case(strstr(d.text, cases[i].message) != NULL,
                    "case %zu: %s", i, d.text);
        assert_false(unit_leaks(d.text, strlen(d.text),
                                ak_cstr(cases[i].secret), 4));
        end(&b);
    }
}


static void
test_entry_too_long(void **state)
{
    char       text[600];
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    memset(text, 'Q', sizeof(text));
    text[513] = '\0';
    setenv("UNIT_KEYS", text, 1);

    assert_int_equal(read_line(&b, "auth required static "
                               "keys=env:UNIT_KEYS", &d), AK_ERROR);
    assert_non_null(strstr(d.text, "entry 1 "));
    assert_null(strstr(d.text, "QQ"));

    end(&b);
}


/* A key where the place of the list should be is not shown. */

static void
test_key_by_mistake(void **state)
{
    bench_t    b;
    ak_diag_t  d;

    (void) state;

    assert_int_equal(read_line(&b, "auth required static keys=" UNIT_KEY, &d),
                     AK_ERROR);
    assert_non_null(strstr(d.text, "absolute path"));
    assert_false(unit_leaks(d.text, strlen(d.text), S(UNIT_KEY), 8));

    end(&b);
}


static void
test_file_refused(void **state)
{
    char       path[32], line[128], *text;
    size_t     i;
    bench_t    b;
    ak_diag_t  d;

    static const struct {
        size_t       len;
        mode_t       mode;
        const char  *message;
    } cases[] = {
        { 100, 0644, "can be read by everyone" },
        { 100, 0660, "can be written by others" },
        { 0, 0600, "there is no key" },
        { 65537, 0600, "is longer than 65536 bytes" }
    };

    (void) state;

    text = malloc(65537);
    assert_non_null(text);

    for (i = 0; i < 65537; i++) {
        text[i] = (i % 100 == 99) ? '\n' : 'k';
    }

    for (i = 0; i < ak_nitems(cases); i++) {
        write_file(path, text, cases[i].len, cases[i].mode);
        snprintf(line, sizeof(line), "auth required static keys=%s", path);

        assert_case(read_line(&b, line, &d) == AK_ERROR, "case %zu", i);
        assert_case(strstr(d.text, cases[i].message) != NULL, "case %zu: %s",
                    i, d.text);

        unlink(path);
        end(&b);
    }

    write_file(path, text, 65536, 0600);
    snprintf(line, sizeof(line), "auth required static keys=%s", path);
    begin(&b, line);
    unlink(path);
    end(&b);

    text[65536] = '\0';
    setenv("UNIT_KEYS", text, 1);
    begin(&b, "auth required static keys=env:UNIT_KEYS");
    end(&b);

    text = realloc(text, 65538);
    assert_non_null(text);
    text[65536] = 'k';
    text[65537] = '\0';
    setenv("UNIT_KEYS", text, 1);
    check_error("auth required static keys=env:UNIT_KEYS",
                "is longer than 65536 bytes");

    free(text);
}


/* Only hashes are kept, and not the same ones for two lines. */

static void
test_kept(void **state)
{
    bench_t        b;
    uint8_t        sums[2][AK_SHA256_LEN];
    unsigned       i;
    unit_chunk_t  *c;

    (void) state;

    setenv("UNIT_KEYS", UNIT_KEY "," UNIT_FOREIGN, 1);

    for (i = 0; i < 2; i++) {
        begin(&b, "auth required static keys=env:UNIT_KEYS");

        for (c = b.pool.chunks; c != NULL; c = c->next) {
            assert_false(unit_leaks(c->data, c->size, S(UNIT_KEY), 8));
            assert_false(unit_leaks(c->data, c->size, S(UNIT_FOREIGN), 8));

            /* that which holds the id of the second key is the list */

            if (memmem(c->data, c->size, "static:main:1:2", 15) != NULL) {
                memcpy(sums[i], c->data, AK_SHA256_LEN);
            }
        }

        assert_int_equal(ask(&b, UNIT_FOREIGN), AK_SUCCESS);
        end(&b);
    }

    assert_memory_not_equal(sums[0], sums[1], AK_SHA256_LEN);
}


#define MASK  0x5a


/* Whether the heap has what is "text" once it is unmasked. */

static bool
heap_holds(const uint8_t *text, size_t len)
{
    char            line[512];
    bool            found;
    FILE           *f;
    size_t          n;
    unsigned long   from, to;
    const uint8_t  *p;

    found = false;

    f = fopen("/proc/self/maps", "r");
    assert_non_null(f);

    while (fgets(line, sizeof(line), f) != NULL) {

        if (strstr(line, "[heap]") == NULL
            || sscanf(line, "%lx-%lx rw", &from, &to) != 2)
        {
            continue;
        }

        for (p = (const uint8_t *) from; p + len <= (const uint8_t *) to;
             p++)
        {
            for (n = 0; n < len && p[n] == (text[n] ^ MASK); n++) {
                /* void */
            }

            found |= (n == len);
        }
    }

    fclose(f);

    return found;
}


/* Whether what malloc() gives is where it is looked for. */

static bool
heap_known(void)
{
    bool      known;
    size_t    n;
    uint8_t   masked[12];
    uint8_t  *p;

    p = malloc(sizeof(masked));
    assert_non_null(p);

    for (n = 0; n < sizeof(masked); n++) {
        p[n] = (uint8_t) ('a' + n * 7);
        masked[n] = p[n] ^ MASK;
    }

    known = heap_holds(masked, sizeof(masked));
    free(p);

    return known;
}


/* The list of a file is nowhere, once it is read. */

static void
test_wiped(void **state)
{
    int        i;
    char       path[32], line[128];
    size_t     n;
    bench_t    b;
    uint8_t    masked[96], text[96];
    ak_diag_t  d;

    (void) state;

    if (!heap_known()) {
        return;                /* a sanitizer or valgrind has its own */
    }

    for (i = 0; i < 2; i++) {

        /* not at the beginning, where free() puts something of its own */

        for (n = 0; n < sizeof(text); n++) {
            masked[n] = (uint8_t) ((n < 64 ? '\n' : '!' + i + n - 64) ^ MASK);
            text[n] = masked[n] ^ MASK;
        }

        /* the second time with an error behind it */

        if (i == 1) {
            text[90] = ',';
        }

        write_file(path, text, sizeof(text), 0600);
        ak_mem_wipe(text, sizeof(text));

        snprintf(line, sizeof(line), "auth required static keys=%s", path);
        assert_int_equal(read_line(&b, line, &d), i == 0 ? AK_OK : AK_ERROR);
        unlink(path);

        assert_false(heap_holds(masked + 70, 12));
        end(&b);
    }
}


static void
test_no_memory(void **state)
{
    size_t       left;
    bench_t      b;
    ak_rc_t      rc;
    ak_diag_t    d;
    ak_stack_t  *s;

    (void) state;

    setenv("UNIT_KEYS", "sk-the-first", 1);
    rc = AK_ERROR;

    for (left = 0; rc != AK_OK; left++) {
        assert_true(left < 20);

        unit_pool_init(&b.pool);
        b.site = unit_site(&b.pool);
        s = ak_stack_create(&b.site, S("main"));

        b.pool.left = left;
        memset(&d, 0, sizeof(d));

        rc = unit_add(s, "auth required static keys=env:UNIT_KEYS "
                      "from=x-my-key", &d);

        if (rc != AK_OK) {
            assert_non_null(strstr(d.text, "no memory"));
        }

        unit_pool_free(&b.pool);
    }

    assert_true(left > 5);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_variable),
    cmocka_unit_test(test_file),
    cmocka_unit_test(test_outcome),
    cmocka_unit_test(test_after_key),
    cmocka_unit_test(test_carriers),
    cmocka_unit_test(test_many),
    cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_entries),
    cmocka_unit_test(test_entry_too_long),
    cmocka_unit_test(test_key_by_mistake),
    cmocka_unit_test(test_file_refused),
    cmocka_unit_test(test_kept),
    cmocka_unit_test(test_wiped),
    cmocka_unit_test(test_no_memory)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
