
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the arguments of a stack's line. */


#include "unit.h"

#include "ak_args.h"


typedef struct {
    ak_str_t    text;
    int64_t     number;
    int64_t     span;
    unsigned    choice;
    bool        flag;
    ak_words_t  words;
    ak_pairs_t  pairs;
    ak_words_t  list;
    ak_str_t    name;
} conf_t;


static const ak_str_t  choices[] = {
    ak_string("red"), ak_string("green"), ak_string("")
};


#define ROW(type, name, field, words)                                         \
    { AK_ARG_##type, ak_string(name), offsetof(conf_t, field), words, "" }

#define COMMON                                                                \
    ROW(TEXT, "text", text, NULL),                                            \
    ROW(NUMBER, "number", number, NULL),                                      \
    ROW(SPAN, "span", span, NULL),                                            \
    ROW(CHOICE, "choice", choice, choices),                                   \
    ROW(FLAG, "flag", flag, NULL),                                           \
    ROW(LIST, "list", list, NULL)


static const ak_arg_t  plain[] = { COMMON, { .type = AK_ARG_END } };


static const ak_arg_t  worded[] = {
    COMMON, ROW(WORDS, "WORD", words, NULL), { .type = AK_ARG_END }
};


static const ak_arg_t  paired[] = {
    ROW(PAIRS, "NAME=VALUE", pairs, NULL), COMMON, { .type = AK_ARG_END }
};


static const ak_arg_t  both[] = {
    ROW(PAIRS, "NAME=VALUE", pairs, NULL), ROW(WORDS, "WORD", words, NULL),
    COMMON, { .type = AK_ARG_END }
};


static unit_pool_t  pool;
static ak_diag_t    diag;
static conf_t       conf;


static int
setup(void **state)
{
    (void) state;

    unit_pool_init(&pool);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    unit_pool_free(&pool);

    return 0;
}


/* Words told apart by single spaces, whose memory is gone afterwards. */

static ak_rc_t
read_words(const ak_arg_t *schema, const char *line)
{
    char      *copy, *word, *rest;
    size_t     i, n;
    ak_rc_t    rc;
    ak_str_t   words[80];

    memset(&conf, 0, sizeof(conf));
    diag.text[0] = '\0';

    copy = strdup(line);
    assert_non_null(copy);

    n = 0;
    rest = copy;

    while (line[0] != '\0' && (word = strsep(&rest, " ")) != NULL) {
        assert_true(n < 80);
        words[n++] = unit_exact(ak_cstr(word));
    }

    free(copy);

    rc = ak_args_read(&conf, schema, &pool.mem, words, n, &diag);

    for (i = 0; i < n; i++) {
        if (words[i].len != 0) {
            memset((void *) words[i].data, 0x5a, words[i].len);
        }

        unit_free(words[i]);
    }

    return rc;
}


static void
check(const ak_arg_t *schema, const char *line)
{
    assert_case(read_words(schema, line) == AK_OK, "\"%s\": %s", line,
                diag.text);
}


static void
check_error(const ak_arg_t *schema, const char *line, const char *word)
{
    assert_case(read_words(schema, line) == AK_ERROR, "\"%s\" is taken",
                line);
    assert_case(strstr(diag.text, word) != NULL, "\"%s\": \"%s\"", line,
                diag.text);
}


static void
test_none(void **state)
{
    (void) state;

    assert_int_equal(ak_args_read(NULL, NULL, &pool.mem, NULL, 0, &diag),
                     AK_OK);
    check(NULL, "");
    check(plain, "");
    assert_true(unit_zero(&conf, sizeof(conf)));

    check_error(NULL, "x", "unknown argument \"x\"");
    check_error(NULL, "x=y", "unknown argument \"x=y\"");
}


static void
test_text(void **state)
{
    (void) state;

    check(plain, "text=abc");
    assert_str(conf.text, "abc");

    /* terminated, for those who need it */

    assert_int_equal(conf.text.data[3], '\0');

    check(plain, "text=a=b==");
    assert_str(conf.text, "a=b==");

    check_error(plain, "text=", "\"text=\" has no value");
    check_error(plain, "text", "unknown argument \"text\"");
    check_error(plain, "Text=abc", "unknown argument \"Text=abc\"");
    check_error(plain, "texts=abc", "unknown argument");
    check_error(plain, "tex=abc", "unknown argument");
    check_error(plain, "=abc", "unknown argument \"=abc\"");
    check_error(plain, "text=a text=a", "\"text\" is there twice");
}


static void
test_number(void **state)
{
    size_t  i;

    static const char  *bad[] = {
        "number=-1", "number=+1", "number=1000000001", "number=1x",
        "number=x", "number=1.5", "number=0x10", "number=4294967297",
        "number=18446744073709551617", "number=00000000001"
    };

    (void) state;

    check(plain, "number=0");
    assert_int_equal(conf.number, 0);
    check(plain, "number=1000000000");
    assert_int_equal(conf.number, 1000000000);
    check(plain, "number=0000000007");
    assert_int_equal(conf.number, 7);

    for (i = 0; i < ak_nitems(bad); i++) {
        check_error(plain, bad[i], bad[i]);
    }

    check_error(plain, "number=", "has no value");
    check_error(plain, "number=1 number=1", "twice");
}


static void
test_span(void **state)
{
    (void) state;

    check(plain, "span=10s");
    assert_int_equal(conf.span, 10000);
    check(plain, "span=5");
    assert_int_equal(conf.span, 5000);
    check(plain, "span=20ms");
    assert_int_equal(conf.span, 20);

    check_error(plain, "span=s", "\"span=s\"");
    check_error(plain, "span=-1s", "invalid time");
    check_error(plain, "span=1x", "invalid time");
    check_error(plain, "span=", "has no value");
}


static void
test_choice(void **state)
{
    (void) state;

    check(plain, "choice=red");
    assert_int_equal(conf.choice, 0);
    check(plain, "choice=green");
    assert_int_equal(conf.choice, 1);

    check_error(plain, "choice=blue", "\"choice=blue\"");
    check_error(plain, "choice=gree", "invalid value");
    check_error(plain, "choice=Red", "invalid value");
    check_error(plain, "choice=", "has no value");
    check_error(plain, "choice=red choice=green", "twice");
}


static void
test_flag(void **state)
{
    (void) state;

    check(plain, "flag");
    assert_true(conf.flag);

    check_error(plain, "flag=on", "unknown argument \"flag=on\"");
    check_error(plain, "flag=", "unknown argument");
    check_error(plain, "flag flag", "\"flag\" is there twice");
    check_error(plain, "fla", "unknown argument");

    /* a flag is no word, and a word no flag */

    check(worded, "a flag b");
    assert_true(conf.flag);
    assert_int_equal(conf.words.n, 2);
}


static void
test_list(void **state)
{
    (void) state;

    check(plain, "list=a");
    assert_int_equal(conf.list.n, 1);
    assert_str(conf.list.list[0], "a");

    check(plain, "list=abc,d,ef");
    assert_int_equal(conf.list.n, 3);
    assert_str(conf.list.list[0], "abc");
    assert_str(conf.list.list[1], "d");
    assert_str(conf.list.list[2], "ef");

    /* each is terminated, for those who need it */

    assert_int_equal(conf.list.list[0].data[3], '\0');
    assert_int_equal(conf.list.list[1].data[1], '\0');
    assert_int_equal(conf.list.list[2].data[2], '\0');

    /* other signs are a part of them, and the same twice is there twice */

    check(plain, "list=https://a.example/?b=c,d;e,=,d;e flag");
    assert_int_equal(conf.list.n, 4);
    assert_str(conf.list.list[0], "https://a.example/?b=c");
    assert_str(conf.list.list[1], "d;e");
    assert_str(conf.list.list[2], "=");
    assert_str(conf.list.list[3], "d;e");
    assert_true(conf.flag);

    /* beside words and pairs */

    check(both, "a,b list=c,d e=f,g");
    assert_int_equal(conf.words.n, 1);
    assert_str(conf.words.list[0], "a,b");
    assert_int_equal(conf.list.n, 2);
    assert_str(conf.list.list[1], "d");
    assert_int_equal(conf.pairs.n, 1);
    assert_str(conf.pairs.list[0].value, "f,g");
}


static void
test_list_errors(void **state)
{
    size_t  i;

    static const char  *empty[] = {
        "list=,", "list=,a", "list=a,", "list=a,,b", "list=,,", "list=a,b,"
    };

    (void) state;

    for (i = 0; i < ak_nitems(empty); i++) {
        check_error(plain, empty[i], empty[i]);
        assert_non_null(strstr(diag.text, "an item is empty"));
    }

    check_error(plain, "list=", "\"list=\" has no value");
    check_error(plain, "list", "unknown argument \"list\"");
    check_error(plain, "lists=a", "unknown argument");
    check_error(plain, "list=a list=b", "\"list\" is there twice");
}


/* More items than a line has words. */

static void
test_list_many(void **state)
{
    char    line[5 + 1000];
    size_t  i;

    (void) state;

    memcpy(line, "list=", 5);

    for (i = 0; i < 500; i++) {
        line[5 + 2 * i] = (char) ('a' + i % 26);
        line[6 + 2 * i] = ',';
    }

    line[5 + 2 * 500 - 1] = '\0';

    check(plain, line);
    assert_int_equal(conf.list.n, 500);

    for (i = 0; i < 500; i++) {
        assert_int_equal(conf.list.list[i].len, 1);
        assert_int_equal(conf.list.list[i].data[0], 'a' + i % 26);
    }
}


static void
test_words(void **state)
{
    (void) state;

    check(worded, "a b text=x a");
    assert_int_equal(conf.words.n, 3);
    assert_str(conf.words.list[0], "a");
    assert_str(conf.words.list[1], "b");
    assert_str(conf.words.list[2], "a");
    assert_str(conf.text, "x");

    /* the name of an argument that takes a value is a word without one */

    check(worded, "text");
    assert_str(conf.words.list[0], "text");

    check_error(plain, "a", "unknown argument \"a\"");
    check_error(paired, "a", "unknown argument \"a\"");
}


/* What has a '=' but nothing like a name before it is a word. */

static void
test_words_with_equals(void **state)
{
    size_t  i;

    static const char  *words[] = {
        "/v1/a=b", "GET:/v1/a=b", "https://example.com/a=b", "a.b=c", "=a",
        "="
    };

    static const char  *mistakes[] = {
        "txt=a", "a_b=c", "a-b=c", "A1=c", "0=1", "flag=on", "WORD=x"
    };

    (void) state;

    for (i = 0; i < ak_nitems(words); i++) {
        check(worded, words[i]);
        assert_int_equal(conf.words.n, 1);
        assert_str(conf.words.list[0], words[i]);

        check_error(plain, words[i], words[i]);
    }

    for (i = 0; i < ak_nitems(mistakes); i++) {
        check_error(worded, mistakes[i], mistakes[i]);
    }
}


static void
test_pairs(void **state)
{
    (void) state;

    check(paired, "x-user=$owner https://example.com/a=b text=y A=c=d");
    assert_int_equal(conf.pairs.n, 3);
    assert_str(conf.pairs.list[0].name, "x-user");
    assert_str(conf.pairs.list[0].value, "$owner");
    assert_str(conf.pairs.list[1].name, "https://example.com/a");
    assert_str(conf.pairs.list[1].value, "b");
    assert_str(conf.pairs.list[2].name, "A");
    assert_str(conf.pairs.list[2].value, "c=d");
    assert_str(conf.text, "y");

    check_error(paired, "a=b a=c", "\"a\" is there twice");
    check_error(paired, "a=", "\"a=\" has no value");
    check_error(paired, "=a", "unknown argument \"=a\"");
    check_error(paired, "=", "unknown argument \"=\"");

    check(both, "a b=c flag /d=e");
    assert_int_equal(conf.words.n, 1);
    assert_int_equal(conf.pairs.n, 2);
    assert_str(conf.pairs.list[1].name, "/d");
    assert_true(conf.flag);
}


/* An argument that is quoted and empty. */

static void
test_empty(void **state)
{
    ak_str_t  empty = ak_str(NULL, 0);

    (void) state;

    assert_int_equal(ak_args_read(&conf, plain, &pool.mem, &empty, 1, &diag),
                     AK_ERROR);

    memset(&conf, 0, sizeof(conf));
    assert_int_equal(ak_args_read(&conf, worded, &pool.mem, &empty, 1, &diag),
                     AK_OK);
    assert_int_equal(conf.words.n, 1);
    assert_int_equal(conf.words.list[0].len, 0);
}


static void
test_kept(void **state)
{
    ak_str_t  word = S("number=7");

    (void) state;

    memset(&conf, 0, sizeof(conf));
    conf.choice = 1;
    conf.span = 99;

    assert_int_equal(ak_args_read(&conf, plain, &pool.mem, &word, 1, &diag),
                     AK_OK);
    assert_int_equal(conf.number, 7);
    assert_int_equal(conf.choice, 1);
    assert_int_equal(conf.span, 99);
}


static void
test_many(void **state)
{
    size_t  i;
    char    line[256];

    (void) state;

    for (i = 0; i < 64; i++) {
        memcpy(line + 2 * i, "w ", 2);
    }

    line[127] = '\0';
    check(worded, line);
    assert_int_equal(conf.words.n, 64);

    memcpy(line + 127, " w", 3);
    check_error(worded, line, "more than 64");
}


static void
test_no_memory(void **state)
{
    size_t   i;
    ak_rc_t  rc;

    (void) state;

    rc = AK_ERROR;

    for (i = 0; rc != AK_OK; i++) {
        assert_true(i < 50);
        pool.left = i;
        rc = read_words(both, "a b=c text=x d list=e,f");
        assert_true(rc == AK_OK || strstr(diag.text, "memory") != NULL);
    }

    /* three lists, six strings and a name */

    assert_int_equal(i - 1, 10);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test_setup_teardown(test_none, setup, teardown),
    cmocka_unit_test_setup_teardown(test_text, setup, teardown),
    cmocka_unit_test_setup_teardown(test_number, setup, teardown),
    cmocka_unit_test_setup_teardown(test_span, setup, teardown),
    cmocka_unit_test_setup_teardown(test_choice, setup, teardown),
    cmocka_unit_test_setup_teardown(test_flag, setup, teardown),
    cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    cmocka_unit_test_setup_teardown(test_list_errors, setup, teardown),
    cmocka_unit_test_setup_teardown(test_list_many, setup, teardown),
    cmocka_unit_test_setup_teardown(test_words, setup, teardown),
    cmocka_unit_test_setup_teardown(test_words_with_equals, setup, teardown),
    cmocka_unit_test_setup_teardown(test_pairs, setup, teardown),
    cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
    cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
    cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown)
};


UNIT_MAIN(tests)
