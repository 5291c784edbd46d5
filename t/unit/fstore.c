
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the embedded store's index. */


#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "ak_fline.h"
#include "ak_fstore.h"


#define LINES_MAX  64

#define RECORD(id, owner)                                                     \
    "{\"key\":\"" id "\",\"hash\":\"" UNIT_HASH "\",\"owner\":\"" owner "\"," \
    "\"status\":\"active\",\"expires\":0}\n"


static char      path[64];
static unsigned  bad_lines[LINES_MAX];
static size_t    nbad;
static char      why[AK_DIAG_MAX];


static void
bad(void *data, unsigned line, const char *text)
{
    assert_ptr_equal(data, bad_lines);

    if (nbad < LINES_MAX) {
        bad_lines[nbad++] = line;
    }

    snprintf(why, sizeof(why), "%s", text);
}


static int
setup(void **state)
{
    int  fd;

    (void) state;

    strcpy(path, "/tmp/ak_fstore_XXXXXX");
    fd = mkstemp(path);

    return fd == -1 ? -1 : close(fd);
}


static int
teardown(void **state)
{
    (void) state;

    return unlink(path);
}


static void
put(const char *text, size_t len)
{
    FILE  *file;

    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}


static ak_fstore_t *
load_by(unsigned lines)
{
    ak_rc_t       rc;
    ak_diag_t     d;
    ak_fstore_t  *f;

    nbad = 0;

    f = ak_fstore_open(path, &d);
    assert_non_null(f);

    do {
        rc = ak_fstore_step(f, lines, bad, bad_lines, &d);
    } while (rc == AK_AGAIN);

    assert_case(rc == AK_OK, "%s", d.text);

    return f;
}


static ak_fstore_t *
load(const char *text)
{
    put(text, strlen(text));

    return load_by(3);
}


static const char *
owner_of(ak_fstore_t *f, const char *id)
{
    ak_rc_t      rc;
    ak_str_t     value;
    ak_record_t  rec;
    static char  owner[AK_NAME_MAX + 1];

    rc = ak_fstore_record(f, ak_cstr(id), &value);

    if (rc == AK_NOT_FOUND) {
        return "(none)";
    }

    if (rc == AK_ERROR) {
        return "(damaged)";
    }

    assert_int_equal(ak_record_unpack(value, &rec), AK_OK);
    snprintf(owner, sizeof(owner), "%.*s", AK_FMT(rec.owner));

    return owner;
}


static void
test_records(void **state)
{
    unsigned      step;
    ak_fstore_t  *f;

    (void) state;

    for (step = 1; step < 6; step++) {

        put(RECORD("a1", "alice") "\n# a note\r\n" RECORD("b2", "bob"),
            strlen(RECORD("a1", "alice") "\n# a note\r\n"
                   RECORD("b2", "bob")));

        f = load_by(step);
        assert_int_equal(nbad, 0);
        assert_int_equal(ak_fstore_count(f), 2);
        assert_string_equal(owner_of(f, "a1"), "alice");
        assert_string_equal(owner_of(f, "b2"), "bob");
        assert_string_equal(owner_of(f, "c3"), "(none)");
        assert_string_equal(owner_of(f, ""), "(none)");
        assert_true(ak_fstore_size(f) > 0);
        assert_int_equal(ak_fstore_free(f, 0), AK_OK);
    }
}


static void
test_empty(void **state)
{
    ak_fstore_t  *f;

    (void) state;

    f = load("");
    assert_int_equal(ak_fstore_count(f), 0);
    assert_string_equal(owner_of(f, "a1"), "(none)");
    ak_fstore_free(f, 0);
}


/* The last line has no end: it is a line all the same, or a damaged one. */

static void
test_last_line(void **state)
{
    char          text[] = RECORD("a1", "alice") RECORD("b2", "bob");
    ak_fstore_t  *f;

    (void) state;

    text[strlen(text) - 1] = '\0';
    f = load(text);
    assert_int_equal(nbad, 0);
    assert_string_equal(owner_of(f, "b2"), "bob");
    ak_fstore_free(f, 0);

    text[strlen(text) - 1] = '\0';
    f = load(text);
    assert_int_equal(nbad, 1);
    assert_int_equal(bad_lines[0], 2);
    assert_string_equal(owner_of(f, "a1"), "alice");
    assert_string_equal(owner_of(f, "b2"), "(none)");
    ak_fstore_free(f, 0);
}


/* A damaged line is told by its number, and costs its own key alone. */

static void
test_damaged(void **state)
{
    ak_fstore_t  *f;

    (void) state;

    f = load(RECORD("a1", "alice")
             "{\"key\":\"b2\",\"owner\":\"bob\",\"status\":\"active\"}\n"
             "garbage\n"
             "{\"key\":\"c3\",\"hash\":\"$md5$x\",\"owner\":\"carol\"}\n"
             RECORD("d4", "dave"));

    assert_int_equal(nbad, 3);
    assert_int_equal(bad_lines[0], 2);
    assert_int_equal(bad_lines[1], 3);
    assert_int_equal(bad_lines[2], 4);

    assert_string_equal(owner_of(f, "a1"), "alice");
    assert_string_equal(owner_of(f, "b2"), "(damaged)");
    assert_string_equal(owner_of(f, "c3"), "(damaged)");
    assert_string_equal(owner_of(f, "d4"), "dave");
    ak_fstore_free(f, 0);
}


/* Nobody knows which of two is meant. */

static void
test_twice(void **state)
{
    ak_fstore_t  *f;

    (void) state;

    f = load(RECORD("a1", "alice") RECORD("b2", "bob") RECORD("a1", "mallory"));
    assert_int_equal(nbad, 1);
    assert_int_equal(bad_lines[0], 3);
    assert_non_null(strstr(why, "second time"));
    assert_string_equal(owner_of(f, "a1"), "(damaged)");
    assert_string_equal(owner_of(f, "b2"), "bob");
    ak_fstore_free(f, 0);
}


static void
test_tokens(void **state)
{
    char          text[8192], token[AK_SEALED_TEXT_MAX];
    size_t        len, pos;
    uint8_t       sealed[AK_SEALED_TEXT_MAX];
    ak_str_t      value;
    ak_slot_t     slot;
    ak_place_t    place = { S("alice"), S("openai"), S("default") };
    ak_diag_t     d;
    ak_fstore_t  *f;
    ak_keyring_t *keyring;

    (void) state;

    keyring = unit_keyring_default();
    assert_int_equal(ak_seal(keyring, &place, S(UNIT_SECRET), sealed, &len,
                             &d), AK_OK);
    snprintf(token, sizeof(token), "%.*s", (int) len, (char *) sealed);

    snprintf(text, sizeof(text),
             "{\"upstream\":\"alice\",\"provider\":\"openai\",\"slots\":{"
             "\"default\":\"%s\",\"second\":\"garbage\"}}\n"
             "{\"upstream\":\"*\",\"provider\":\"openai\",\"slots\":{}}\n",
             token);

    f = load(text);
    assert_int_equal(nbad, 1);
    assert_int_equal(bad_lines[0], 1);

    assert_int_equal(ak_fstore_tokens(f, S("alice"), S("openai"), &value),
                     AK_OK);
    pos = 0;
    assert_int_equal(ak_tokens_next(value, &pos, &slot), AK_OK);
    assert_str(slot.name, "default");
    assert_true(slot.sealed.len > 0);
    assert_int_equal(ak_tokens_next(value, &pos, &slot), AK_OK);
    assert_int_equal(slot.sealed.len, 0);

    assert_int_equal(ak_fstore_tokens(f, S("alice"), S("google"), &value),
                     AK_NOT_FOUND);
    assert_int_equal(ak_fstore_tokens(f, S("bob"), S("openai"), &value),
                     AK_NOT_FOUND);

    /* a name does not run into the next */

    assert_int_equal(ak_fstore_tokens(f, S("aliceopenai"), S(""), &value),
                     AK_NOT_FOUND);

    ak_fstore_free(f, 0);
    ak_keyring_free(keyring);
}


static void
test_long_line(void **state)
{
    char         *text;
    size_t        head, long_len;
    ak_fstore_t  *f;

    (void) state;

    head = strlen(RECORD("a1", "alice"));
    long_len = AK_FLINE_MAX * 3;

    text = malloc(2 * head + long_len + 1);
    assert_non_null(text);

    memcpy(text, RECORD("a1", "alice"), head);
    memset(text + head, 'x', long_len);
    text[head + long_len] = '\n';
    memcpy(text + head + long_len + 1, RECORD("b2", "bobby"), head);

    put(text, 2 * head + long_len + 1);
    free(text);

    f = load_by(1);
    assert_int_equal(nbad, 1);
    assert_int_equal(bad_lines[0], 2);
    assert_non_null(strstr(why, "longer"));
    assert_string_equal(owner_of(f, "a1"), "alice");
    assert_string_equal(owner_of(f, "b2"), "bobby");
    ak_fstore_free(f, 0);
}


static void
test_many(void **state)
{
    int           i;
    FILE         *file;
    char          id[16];
    ak_rc_t       rc;
    ak_fstore_t  *f;

    (void) state;

    file = fopen(path, "w");
    assert_non_null(file);

    for (i = 0; i < 20000; i++) {
        fprintf(file, "{\"key\":\"k%d\",\"hash\":\"%s\",\"owner\":\"o%d\","
                "\"status\":\"active\"}\n", i, UNIT_HASH, i);
    }

    assert_int_equal(fclose(file), 0);

    f = load_by(64);
    assert_int_equal(nbad, 0);
    assert_int_equal(ak_fstore_count(f), 20000);

    for (i = 0; i < 20000; i += 7) {
        snprintf(id, sizeof(id), "k%d", i);
        assert_int_equal(atoi(owner_of(f, id) + 1), i);
    }

    assert_string_equal(owner_of(f, "k20000"), "(none)");

    /* freed a block at a time */

    for (i = 0; (rc = ak_fstore_free(f, 1)) == AK_AGAIN; i++) { /* void */ }

    assert_int_equal(rc, AK_OK);
    assert_true(i > 5);
}


/* Short lines, which are damaged, do not cost those behind them. */

static void
test_short(void **state)
{
    char         *p, *text;
    size_t        i;
    ak_str_t      value;
    ak_fstore_t  *f;

    (void) state;

    text = malloc(5000 * sizeof("{\"key\":\"a0000\"}\n")
                  + sizeof(RECORD("last", "alice")));
    assert_non_null(text);

    for (i = 0, p = text; i < 5000; i++) {
        p += sprintf(p, "{\"key\":\"a%zu\"}\n", i);
    }

    strcpy(p, RECORD("last", "alice"));

    f = load(text);
    free(text);

    assert_int_equal(ak_fstore_count(f), 5001);
    assert_int_equal(ak_fstore_record(f, S("last"), &value), AK_OK);
    assert_int_equal(ak_fstore_record(f, S("a0"), &value), AK_ERROR);
    assert_int_equal(ak_fstore_record(f, S("a4999"), &value), AK_ERROR);
    assert_int_equal(ak_fstore_record(f, S("a5000"), &value), AK_NOT_FOUND);
    (void) ak_fstore_free(f, 0);
}


static void
test_changed(void **state)
{
    FILE         *file;
    ak_rc_t       rc;
    ak_diag_t     d;
    ak_fstamp_t   stamp, stamped;
    ak_fstore_t  *f;

    (void) state;

    put(RECORD("a1", "alice"), strlen(RECORD("a1", "alice")));

    f = ak_fstore_open(path, &d);
    assert_non_null(f);

    file = fopen(path, "a");
    assert_non_null(file);
    fputs(RECORD("b2", "bob"), file);
    assert_int_equal(fclose(file), 0);

    do {
        rc = ak_fstore_step(f, 1, bad, bad_lines, &d);
    } while (rc == AK_AGAIN);

    assert_int_equal(rc, AK_ERROR);
    assert_non_null(strstr(d.text, "changed"));

    stamped = ak_fstore_stamped(f);
    assert_int_equal(ak_fstore_stamp(path, &stamp), AK_OK);
    assert_int_not_equal(stamp.size, stamped.size);

    /* half read is no reason to keep any of it */

    assert_int_equal(ak_fstore_free(f, 0), AK_OK);
}


static void
test_refused(void **state)
{
    char         text[96];
    ak_diag_t    d;
    ak_fstamp_t  stamp;

    (void) state;

    assert_null(ak_fstore_open("/nowhere/keys", &d));
    assert_non_null(strstr(d.text, "cannot be opened"));
    assert_int_equal(ak_fstore_stamp("/nowhere/keys", &stamp), AK_ERROR);

    assert_null(ak_fstore_open("/tmp", &d));
    assert_non_null(strstr(d.text, "no regular file"));

    snprintf(text, sizeof(text), "%s.pipe", path);
    assert_int_equal(mkfifo(text, 0600), 0);
    assert_null(ak_fstore_open(text, &d));
    assert_non_null(strstr(d.text, "no regular file"));
    assert_int_equal(unlink(text), 0);

    put("", 0);
    assert_int_equal(chmod(path, 0606), 0);
    assert_null(ak_fstore_open(path, &d));
    assert_non_null(strstr(d.text, "everybody may write"));
    assert_int_equal(chmod(path, 0600), 0);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_records),
    cmocka_unit_test(test_empty),
    cmocka_unit_test(test_last_line),
    cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_twice),
    cmocka_unit_test(test_tokens),
    cmocka_unit_test(test_long_line),
    cmocka_unit_test(test_many),
    cmocka_unit_test(test_short),
    cmocka_unit_test(test_changed),
    cmocka_unit_test(test_refused)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
