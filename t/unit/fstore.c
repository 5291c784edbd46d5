
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


#define NOW  1800000000

#define MARK(id, at, more)                                                    \
    "{\"revoked\":\"" id "\",\"at\":" at more "}\n"


/* What is said of a mark: its time, or another answer. */

static const char *
mark_of(ak_fstore_t *f, const char *name, int64_t now)
{
    ak_str_t     exact, value;
    static char  text[64];

    exact = unit_exact(ak_cstr(name));
    text[0] = '\0';

    switch (ak_fstore_mark(f, exact, now, &value)) {

    case AK_OK:
        snprintf(text, sizeof(text), "%.*s", AK_FMT(value));
        break;

    case AK_NOT_FOUND:
        strcpy(text, "(none)");
        break;

    case AK_ERROR:
        strcpy(text, "(damaged)");
        break;

    default:
        strcpy(text, "(unavailable)");
    }

    unit_free(exact);

    return text;
}


static void
test_marks(void **state)
{
    char          name[600];
    unsigned      line;
    ak_fstore_t  *f;

    (void) state;

    f = load(RECORD("a1", "alice")
             MARK("jti:a1", "5", "")
             MARK("sub:a1", "\"6.5\"", ",\"expires\":0")
             MARK("jti:a:b \xc3\xa9", "7", ",\"expires\":1800000010"));

    assert_int_equal(nbad, 0);
    assert_int_equal(ak_fstore_count(f), 4);
    assert_int_equal(ak_fstore_lost(f, &line), 0);

    assert_string_equal(mark_of(f, "revoked:jti:a1", NOW), "5");
    assert_string_equal(mark_of(f, "revoked:sub:a1", NOW), "6.5");
    assert_string_equal(mark_of(f, "revoked:jti:a:b \xc3\xa9", NOW), "7");
    assert_string_equal(owner_of(f, "a1"), "alice");

    /* until it ends */

    assert_string_equal(mark_of(f, "revoked:jti:a:b \xc3\xa9", NOW + 9), "7");
    assert_string_equal(mark_of(f, "revoked:jti:a:b \xc3\xa9", NOW + 10),
                        "(none)");
    assert_string_equal(mark_of(f, "revoked:jti:a1", INT64_MAX), "5");

    /* names do not run into each other, nor those of keys into marks */

    assert_string_equal(mark_of(f, "revoked:jti:a", NOW), "(none)");
    assert_string_equal(mark_of(f, "revoked:jti:a2", NOW), "(none)");
    assert_string_equal(mark_of(f, "revoked:a1", NOW), "(none)");
    assert_string_equal(mark_of(f, "jti:a1", NOW), "(none)");
    assert_string_equal(mark_of(f, "revoked:", NOW), "(none)");
    assert_string_equal(mark_of(f, "", NOW), "(none)");
    assert_string_equal(owner_of(f, "jti:a1"), "(none)");

    /* longer than any */

    memset(name, 'x', sizeof(name));
    memcpy(name, "revoked:jti:", 12);
    name[sizeof(name) - 1] = '\0';
    assert_string_equal(mark_of(f, name, NOW), "(none)");
    name[12 + AK_MARK_CLAIM_MAX] = '\0';
    assert_string_equal(mark_of(f, name, NOW), "(none)");

    ak_fstore_free(f, 0);
}


/* A mark that is damaged and has a name revokes more, and others nothing. */

static void
test_marks_damaged(void **state)
{
    size_t        i;
    unsigned      line;
    ak_fstore_t  *f;

    static const char  *names[] = {
        "revoked:sub:a", "revoked:sub:b", "revoked:sub:c", "revoked:sub:d",
        "revoked:jti:e", "revoked:sub:f"
    };

    (void) state;

    f = load(MARK("sub:a", "\"soon\"", "")
             "{\"revoked\":\"sub:b\"}\n"
             MARK("sub:c", "5", ",\"expires\":\"x\"")
             MARK("sub:d", "-5", "")
             MARK("jti:e", "[5]", "")
             MARK("sub:f", "5", "") MARK("sub:f", "6", "")
             MARK("sub:g", "7", ""));

    assert_int_equal(nbad, 6);
    assert_int_equal(ak_fstore_lost(f, &line), 0);

    for (i = 0; i < ak_nitems(names); i++) {
        assert_case(strcmp(mark_of(f, names[i], NOW), "(damaged)") == 0, "%s",
                    names[i]);
    }

    assert_string_equal(mark_of(f, "revoked:sub:g", NOW), "7");
    assert_string_equal(mark_of(f, "revoked:sub:h", NOW), "(none)");
    ak_fstore_free(f, 0);
}


/* Where it has no name nobody can say that a token is not meant. */

static void
test_marks_lost(void **state)
{
    size_t        i;
    unsigned      line;
    ak_fstore_t  *f;

    static const char  *texts[] = {
        "{\"revoked\":\"jti:y\n", "{\"revoked\":\"iss:y\",\"at\":5}\n",
        "{\"revoked\":7,\"at\":5}\n", "{\"revo",
        "{\"revoked\":\"jti:y\",\"revoked\":\"jti:z\",\"at\":5}\n"
    };

    (void) state;

    for (i = 0; i < ak_nitems(texts); i++) {
        char  text[512];

        snprintf(text, sizeof(text), "%s%s", RECORD("a1", "alice")
                 MARK("jti:a", "5", ""), texts[i]);
        f = load(text);

        assert_case(nbad == 1 && bad_lines[0] == 3, "%s: told", texts[i]);
        assert_case(ak_fstore_lost(f, &line) == 1 && line == 3, "%s: lost",
                    texts[i]);

        assert_string_equal(mark_of(f, "revoked:jti:a", NOW), "5");
        assert_string_equal(mark_of(f, "revoked:jti:b", NOW),
                            "(unavailable)");
        assert_string_equal(mark_of(f, "revoked:sub:b", NOW),
                            "(unavailable)");
        assert_string_equal(owner_of(f, "a1"), "alice");
        assert_string_equal(owner_of(f, "b1"), "(none)");
        ak_fstore_free(f, 0);
    }

    /* what cannot be seen to be one costs its line */

    f = load("{\n{\"reboked\":\"jti:a\",\"at\":5}\ngarbage\n");
    assert_int_equal(nbad, 3);
    assert_int_equal(ak_fstore_lost(f, &line), 0);
    assert_string_equal(mark_of(f, "revoked:jti:b", NOW), "(none)");
    ak_fstore_free(f, 0);
}


/* One that is too long to be read is lost too. */

static void
test_mark_long(void **state)
{
    char         *text;
    size_t        len;
    unsigned      line;
    ak_fstore_t  *f;

    (void) state;

    len = AK_FLINE_MAX * 3;
    text = malloc(len);
    assert_non_null(text);

    memset(text, 'x', len);
    memcpy(text, "#\n{\"revoked\":\"jti:", 19);
    put(text, len);
    free(text);

    f = load_by(1);
    assert_int_equal(nbad, 1);
    assert_int_equal(bad_lines[0], 2);
    assert_int_equal(ak_fstore_lost(f, &line), 1);
    assert_int_equal(line, 2);
    assert_string_equal(mark_of(f, "revoked:jti:b", NOW), "(unavailable)");
    ak_fstore_free(f, 0);
}


/*
 * Whatever becomes of a line's bytes, the token that it revoked is not let in
 * by a change of one of them in what is no name: and nothing is read beyond.
 */

static void
test_mark_mutations(void **state)
{
    size_t        i, k, len;
    unsigned      line;
    const char   *said;
    ak_fstore_t  *f;

    static const char  written[] = MARK("jti:abc", "1800000000",
                                        ",\"expires\":1900000000");
    static const uint8_t  with[] = { 0, '\n', '"', '{', ' ', 'x', 0xff, '9' };
    char  text[sizeof(written)];

    (void) state;

    len = sizeof(written) - 1;

    for (i = 0; i < len; i++) {
        for (k = 0; k < ak_nitems(with); k++) {
            memcpy(text, written, sizeof(written));
            text[i] = (char) with[k];

            put(text, len);
            f = load_by(2);
            said = mark_of(f, "revoked:jti:abc", 1);

            /* but for what is seen as a mark, 0 to 9, and the name, to 18 */

            if (i > 9 && (i < 12 || i > 18)) {
                assert_case(strcmp(said, "(none)") != 0, "byte %zu: %s", i,
                            text);
            }

            ak_fstore_free(f, 0);
        }

        /* cut off */

        put(written, i);
        f = load_by(2);
        assert_case(i < 3 || ak_fstore_lost(f, &line) == 1
                    || strcmp(mark_of(f, "revoked:jti:abc", 1), "(none)")
                       != 0, "cut at %zu", i);
        ak_fstore_free(f, 0);
    }
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
    cmocka_unit_test(test_marks),
    cmocka_unit_test(test_marks_damaged),
    cmocka_unit_test(test_marks_lost),
    cmocka_unit_test(test_mark_long),
    cmocka_unit_test(test_mark_mutations),
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
