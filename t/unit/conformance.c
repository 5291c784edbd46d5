
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Stacks against pam.conf(5): the cases of conformance.inc, and lines that
 * cannot be read.
 *
 * What a stack did is seen from outside alone.  A line that suspends is seen
 * by its asking; so every case is run with each of its lines suspending in
 * turn, which says which lines were run and how often, and is a proof by the
 * way that suspending changes nothing.
 */


#include "unit.h"


#define STACKS_MAX  8
#define WORDS_MAX   64
#define TEXT_MAX    4096
#define ALL_LINES   SIZE_MAX
#define NO_LINE     (SIZE_MAX - 1)


typedef struct {
    const char  *stack;
    const char  *outcome;
    const char  *run;
} case_t;


typedef struct {
    const char  *stack;                /* its last line is the bad one */
    const char  *says[5];              /* all of them, in the diagnostic */
} error_t;


typedef struct {
    ak_rc_t      rc;
    ak_reason_e  reason;
    unsigned     line;
    unsigned     pauses;
    bool         backwards;            /* a line paused after a later one */
    char         stack[16];
    char         module[16];
} verdict_t;


typedef struct {
    unit_pool_t  pool;
    ak_site_t    site;
    ak_txn_t     t;
    ak_diag_t    d;
    char        *text;                 /* the names of the stacks are in it */
    ak_stack_t  *stacks[STACKS_MAX];
    size_t       n;
} bench_t;


static const case_t  cases[] = {
#include "conformance.inc"
};


static void
begin(bench_t *b)
{
    unit_pool_init(&b->pool);
    b->site = unit_site(&b->pool);
    b->text = NULL;
    b->n = 0;

    memset(&b->d, 0, sizeof(b->d));
    unit_txn(&b->t, &b->pool, NULL, NULL, NULL);
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
    free(b->text);
}


static const ak_stack_t *
find(void *data, ak_str_t name)
{
    size_t   i;
    bench_t *b = data;

    for (i = 0; i < b->n; i++) {
        if (ak_str_eq(ak_stack_name(b->stacks[i]), name)) {
            return b->stacks[i];
        }
    }

    return NULL;
}


static ak_stack_t *
stack(bench_t *b, const char *name)
{
    ak_stack_t  *s;

    s = (ak_stack_t *) find(b, ak_cstr(name));

    if (s == NULL) {
        assert_true(b->n < STACKS_MAX);

        s = ak_stack_create(&b->site, ak_cstr(name));
        assert_non_null(s);

        b->stacks[b->n++] = s;
    }

    return s;
}


/*
 * Splits the text of a case into its lines, and tells the stack of each from
 * the rest: "a: auth required debug" is of "a", others are of "main".
 */

static size_t
split(char *text, const char **names, char **lines)
{
    char    *line, *save;
    size_t   n;

    n = 0;

    for (line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
    {
        assert_true(n < WORDS_MAX);

        names[n] = "main";
        lines[n] = line;

        if (line[0] != '\0' && line[1] == ':') {
            line[1] = '\0';
            names[n] = line;
            lines[n] = line + 3;
        }

        n++;
    }

    return n;
}


static bool
runs(const char *line)
{
    return strstr(line, " include ") == NULL
           && strstr(line, " substack ") == NULL;
}


/* Makes the stacks; the line "who", or all, suspend "again" times. */

static ak_rc_t
make(bench_t *b, const char *text, size_t who, unsigned again)
{
    char         line[TEXT_MAX], *lines[WORDS_MAX];
    size_t       i, n;
    ak_rc_t      rc;
    const char  *names[WORDS_MAX];

    b->text = strdup(text);
    assert_non_null(b->text);

    (void) stack(b, "main");

    rc = AK_OK;
    n = split(b->text, names, lines);

    for (i = 0; i < n && rc == AK_OK; i++) {
        snprintf(line, sizeof(line), "%s", lines[i]);

        if ((who == i || who == ALL_LINES) && runs(line)) {
            snprintf(line, sizeof(line), "%s again=%u", lines[i], again);
        }

        rc = unit_add(stack(b, names[i]), line, &b->d);
    }

    if (rc != AK_OK) {
        return rc;
    }

    return ak_stack_link(stack(b, "main"), find, b, &b->d);
}


/* Runs a phase to its end, counting how often it suspended. */

static ak_rc_t
run_phase(bench_t *b, ak_phase_e phase, verdict_t *v)
{
    int          at;
    ak_rc_t      rc;
    ak_answer_t  answer;

    memset(&answer, 0, sizeof(answer));
    at = -1;

    for ( ;; ) {
        rc = ak_stack_run(stack(b, "main"), &b->t, phase);

        if (rc != AK_AGAIN) {
            return rc;
        }

        assert_int_equal(b->t.need.type, AK_NEED_PAUSE);
        assert_true(v->pauses < 1000);

        v->pauses++;
        v->backwards |= b->t.progress.at < at;
        at = b->t.progress.at;

        ak_txn_answer(&b->t, &answer);
    }
}


static void
run_phases(bench_t *b, verdict_t *v)
{
    memset(v, 0, sizeof(*v));

    v->rc = run_phase(b, AK_AUTH, v);

    if (v->rc == AK_OK) {
        v->rc = run_phase(b, AK_ACCOUNT, v);
    }

    if (v->rc == AK_OK) {
        v->rc = run_phase(b, AK_SESSION_OPEN, v);
    }

    v->reason = b->t.reason;
    v->line = b->t.line;

    snprintf(v->stack, sizeof(v->stack), "%.*s", AK_FMT(b->t.stack));
    snprintf(v->module, sizeof(v->module), "%.*s", AK_FMT(b->t.module));
}


static void
run_case(const case_t *c, size_t who, unsigned again, verdict_t *v)
{
    bench_t  b;

    begin(&b);

    assert_case(make(&b, c->stack, who, again) == AK_OK, "%s\n%s", c->stack,
                b.d.text);

    run_phases(&b, v);

    assert_case(b.t.alert == NULL, "%s\n%s", c->stack, b.t.alert);
    end(&b);
}


/* The outcome in the words of the table: "granted", "unknown a2". */

static void
describe(const verdict_t *v, char *text, size_t size)
{
    bool  main;

    main = strcmp(v->stack, "main") == 0;

    if (v->rc == AK_OK) {
        snprintf(text, size, "%s", v->reason == AK_SUCCESS ? "granted" : "?");
        return;
    }

    snprintf(text, size, "%.*s %s%u", AK_FMT(ak_error(v->reason)->word),
             main ? "" : v->stack, v->line);
}


static bool
is_outcome(const verdict_t *v, const char *outcome)
{
    char    text[64];
    size_t  len;

    describe(v, text, sizeof(text));

    if (strcmp(text, outcome) == 0) {
        return v->rc == AK_OK || strcmp(v->module, "debug") == 0;
    }

    /* an outcome of which no line is determined */

    len = strlen(outcome);

    return v->rc == AK_DENIED && strchr(outcome, ' ') == NULL
           && strncmp(text, outcome, len) == 0 && text[len] == ' ';
}


static bool
is_same(const verdict_t *a, const verdict_t *b)
{
    return a->rc == b->rc && a->reason == b->reason && a->line == b->line
           && strcmp(a->stack, b->stack) == 0
           && strcmp(a->module, b->module) == 0;
}


/* How often "tag" is among the words. */

static unsigned
count(const char *words, const char *tag)
{
    size_t       len;
    unsigned     n;
    const char  *p;

    n = 0;
    len = strlen(tag);

    for (p = words; *p != '\0'; p += *p == ' ') {
        n += strcspn(p, " ") == len && strncmp(p, tag, len) == 0;
        p += strcspn(p, " ");
    }

    return n;
}


static unsigned
count_words(const char *words)
{
    unsigned     n;
    const char  *p;

    n = *words != '\0';

    for (p = words; *p != '\0'; p++) {
        n += *p == ' ';
    }

    return n;
}


static void
test_cases(void **state)
{
    char       text[64];
    size_t     i;
    unsigned   bad;
    verdict_t  v;

    (void) state;

    bad = 0;

    for (i = 0; i < ak_nitems(cases); i++) {
        run_case(&cases[i], NO_LINE, 0, &v);

        if (!is_outcome(&v, cases[i].outcome) || v.pauses != 0) {
            describe(&v, text, sizeof(text));
            print_error("%s\nis \"%s\", not \"%s\"\n\n", cases[i].stack, text,
                        cases[i].outcome);
            bad++;
        }
    }

    assert_int_equal(bad, 0);
}


/*
 * Lets one line after the other suspend: those that are to be run, and no
 * others, are seen, and the verdict stays.
 */

static unsigned
check_each_line(const case_t *c, const verdict_t *sync, unsigned again)
{
    char        *copy, tag[16], *lines[WORDS_MAX];
    size_t       i, k, n;
    unsigned     bad, line;
    verdict_t    v;
    const char  *names[WORDS_MAX];

    copy = strdup(c->stack);
    assert_non_null(copy);

    bad = 0;
    n = split(copy, names, lines);

    for (i = 0; i < n; i++) {

        for (k = 0, line = 1; k < i; k++) {
            line += strcmp(names[k], names[i]) == 0;
        }

        snprintf(tag, sizeof(tag), "%s%u",
                 strcmp(names[i], "main") == 0 ? "" : names[i], line);

        run_case(c, i, again, &v);

        if (!is_same(&v, sync) || v.pauses != count(c->run, tag) * again) {
            print_error("%s\nwith line %s suspending %u times: %u pauses, "
                        "%s verdict\n\n", c->stack, tag, again, v.pauses,
                        is_same(&v, sync) ? "the same" : "another");
            bad++;
        }
    }

    free(copy);

    return bad;
}


static void
test_lines_run(void **state)
{
    size_t     i;
    unsigned   bad;
    verdict_t  sync;

    (void) state;

    bad = 0;

    for (i = 0; i < ak_nitems(cases); i++) {
        run_case(&cases[i], NO_LINE, 0, &sync);
        bad += check_each_line(&cases[i], &sync, 1);
        bad += check_each_line(&cases[i], &sync, 3);
    }

    assert_int_equal(bad, 0);
}


/* A line that is run again would ask again, having forgotten that it did. */

static void
test_all_suspending(void **state)
{
    size_t     i;
    unsigned   again, bad;
    verdict_t  sync, v;

    (void) state;

    bad = 0;

    for (i = 0; i < ak_nitems(cases); i++) {
        run_case(&cases[i], NO_LINE, 0, &sync);

        for (again = 1; again <= 3; again += 2) {
            run_case(&cases[i], ALL_LINES, again, &v);

            if (!is_same(&v, &sync) || v.backwards
                || v.pauses != count_words(cases[i].run) * again)
            {
                print_error("%s\nwith all lines suspending %u times: "
                            "%u pauses\n\n", cases[i].stack, again, v.pauses);
                bad++;
            }
        }
    }

    assert_int_equal(bad, 0);
}


/*
 * Lines that cannot be read, the last of each text.  The diagnostic names the
 * stack, the line, and the word.  pam.conf(5) has PAM go on where a line is
 * malformed, and fail when it comes to it; here it is the configuration that
 * fails.
 */

static const error_t  errors[] = {

    /* groups; "password" is of the command's */

    { "auht required debug", { "\"main\"", "line 1", "\"auht\"" } },
    { "Auth required debug", { "\"main\"", "line 1", "\"Auth\"" } },
    { "AUTH required debug", { "\"main\"", "line 1", "\"AUTH\"" } },
    { "-auth required debug", { "\"main\"", "line 1", "\"-auth\"" } },
    { "password required debug", { "\"main\"", "line 1", "\"password\"" } },
    { "required debug", { "\"main\"", "line 1", "\"required\"" } },
    { "auth required debug\nauthentication required debug",
      { "\"main\"", "line 2", "\"authentication\"" } },

    /* words that are not there */

    { "auth", { "\"main\"", "line 1", "\"auth\"" } },
    { "auth required debug\nsession",
      { "\"main\"", "line 2", "\"session\"" } },
    { "auth required", { "\"main\"", "line 1", "\"required\"" } },
    { "auth [success=ok]", { "\"main\"", "line 1", "[success=ok]" } },
    { "auth include", { "\"main\"", "line 1", "\"include\"" } },
    { "auth substack", { "\"main\"", "line 1", "\"substack\"" } },

    /* control words */

    { "auth requird debug", { "\"main\"", "line 1", "\"requird\"" } },
    { "auth Required debug", { "\"main\"", "line 1", "\"Required\"" } },
    { "auth binding debug", { "\"main\"", "line 1", "\"binding\"" } },
    { "auth debug", { "\"main\"", "line 1", "\"debug\"" } },
    { "auth success=ok debug", { "\"main\"", "line 1", "\"success=ok\"" } },
    { "auth success=ok] debug", { "\"main\"", "line 1", "success=ok]" } },
    { "auth 1 debug", { "\"main\"", "line 1", "\"1\"" } },

    /* the bracket form */

    { "auth [] debug", { "\"main\"", "line 1", "[]" } },
    { "auth [ ] debug", { "\"main\"", "line 1", "[" } },
    { "auth [success=ok debug", { "\"main\"", "line 1", "[success=ok" } },
    { "auth [success=ok default=bad debug auth=unknown",
      { "\"main\"", "line 1", "[success=ok" } },
    { "auth [success] debug", { "\"main\"", "line 1", "\"success\"" } },
    { "auth [success=] debug", { "\"main\"", "line 1", "\"\"" } },
    { "auth [=ok] debug", { "\"main\"", "line 1", "\"\"" } },
    { "auth [success = ok] debug", { "\"main\"", "line 1", "\"success\"" } },
    { "auth [success=maybe] debug", { "\"main\"", "line 1", "\"maybe\"" } },
    { "auth [success=OK] debug", { "\"main\"", "line 1", "\"OK\"" } },
    { "auth [success=ok,default=bad] debug",
      { "\"main\"", "line 1", "ok,default=bad" } },
    { "auth [succes=ok] debug", { "\"main\"", "line 1", "\"succes\"" } },
    { "auth [Success=ok] debug", { "\"main\"", "line 1", "\"Success\"" } },
    { "auth [user_unknown=bad] debug",
      { "\"main\"", "line 1", "\"user_unknown\"" } },
    { "auth [[success=ok]] debug", { "\"main\"", "line 1", "ok]" } },
    { "auth [success=ok success=bad] debug",
      { "\"main\"", "line 1", "\"success\"", "twice" } },
    { "auth [default=bad success=ok default=die] debug",
      { "\"main\"", "line 1", "\"default\"", "twice" } },

    /* "Note that N equal to 0 is not allowed." */

    { "auth [success=0] debug", { "\"main\"", "line 1", "\"0\"" } },
    { "auth [success=00] debug", { "\"main\"", "line 1", "\"00\"" } },
    { "auth [success=-1] debug", { "\"main\"", "line 1", "\"-1\"" } },
    { "auth [success=+1] debug", { "\"main\"", "line 1", "\"+1\"" } },
    { "auth [success=1x] debug", { "\"main\"", "line 1", "\"1x\"" } },
    { "auth [success=65] debug", { "\"main\"", "line 1", "\"65\"" } },
    { "auth [success=4294967297] debug",
      { "\"main\"", "line 1", "\"4294967297\"" } },

    /* modules and their arguments */

    { "auth required kye", { "\"main\"", "line 1", "\"kye\"" } },
    { "auth required Debug", { "\"main\"", "line 1", "\"Debug\"" } },
    { "auth required pam_debug.so",
      { "\"main\"", "line 1", "\"pam_debug.so\"" } },
    { "account required key", { "\"main\"", "line 1", "key", "account" } },
    { "auth required inject openai",
      { "\"main\"", "line 1", "inject", "auth" } },
    { "auth required debug\nauth required debug colour=red",
      { "\"main\"", "line 2", "colour=red" } },
    { "auth required debug auth=maybe", { "\"main\"", "line 1", "maybe" } },
    { "auth required debug again=often",
      { "\"main\"", "line 1", "again=often" } },
    { "auth required debug again", { "\"main\"", "line 1", "again" } },
    { "auth required debug auth=", { "\"main\"", "line 1", "auth=" } },
    { "auth required debug auth=unknown auth=success",
      { "\"main\"", "line 1", "auth", "twice" } },

    /* other stacks; what is wrong in one is told of its own line */

    { "auth include nowhere", { "\"main\"", "line 1", "\"nowhere\"" } },
    { "auth required debug\nauth substack nowhere",
      { "\"main\"", "line 2", "\"nowhere\"" } },
    { "auth include a again=1\na: auth required debug",
      { "\"main\"", "line 1", "\"include\"" } },
    { "auth substack a b\na: auth required debug",
      { "\"main\"", "line 1", "\"substack\"" } },
    { "auth include a\na: auth required debug\na: auth requird debug",
      { "\"a\"", "line 2", "\"requird\"" } },
    { "auth include a\na: auth required debug\na: auth include b",
      { "\"a\"", "line 2", "\"b\"" } },
    { "session substack a\na: session substack b\nb: session include c",
      { "\"b\"", "line 1", "\"c\"" } },

    /* what includes itself */

    { "auth include main", { "\"main\"", "line 1", "\"main\"" } },
    { "auth substack main", { "\"main\"", "line 1", "\"main\"" } },
    { "auth required debug\nauth include a\na: auth substack a",
      { "\"a\"", "line 1", "\"a\"" } },
    { "auth include a\na: auth substack b\nb: auth include a",
      { "itself" } },

    /* jumps beyond the end: of the stack, of a group, of a substack */

    { "auth [success=1] debug", { "\"main\"", "line 1", "1" } },
    { "auth required debug\nauth [default=2] debug\nauth required debug",
      { "\"main\"", "line 2", "2" } },
    { "auth [success=1] debug\naccount required debug",
      { "\"main\"", "line 1", "1" } },
    { "auth [success=2] debug\nauth substack a\na: auth required debug\n"
      "a: auth required debug", { "\"main\"", "line 1", "2" } },
    { "auth [success=3] debug\nauth include a\na: auth required debug\n"
      "a: auth required debug", { "\"main\"", "line 1", "3" } },
    { "auth substack a\nauth required debug\na: auth [success=1] debug",
      { "\"a\"", "line 1", "1" } },
    { "auth substack a\nauth required debug\na: auth required debug\n"
      "a: auth [ignore=2] debug\na: auth required debug",
      { "\"a\"", "line 2", "2" } },
    { "auth substack a\nauth substack a\na: auth [default=1] debug",
      { "\"a\"", "line 1", "1" } },
    { "auth include a\na: auth [unavailable=1] debug",
      { "\"a\"", "line 1", "1" } }
};


static void
test_errors(void **state)
{
    size_t   i, k;
    bench_t  b;

    (void) state;

    for (i = 0; i < ak_nitems(errors); i++) {
        begin(&b);

        assert_case(make(&b, errors[i].stack, NO_LINE, 0) == AK_ERROR,
                    "this is taken:\n%s", errors[i].stack);

        for (k = 0; k < 5 && errors[i].says[k] != NULL; k++) {
            assert_case(strstr(b.d.text, errors[i].says[k]) != NULL,
                        "%s\nis told as: %s\nwithout %s", errors[i].stack,
                        b.d.text, errors[i].says[k]);
        }

        end(&b);
    }
}


/* A line that was refused is not there. */

static void
test_refused_is_not_there(void **state)
{
    size_t     i;
    bench_t    b;
    verdict_t  v;

    static const char  *refused[] = {
        "auth requird debug auth=unknown", "auth required debug auth=maybe",
        "auth required nosuch", "auth [success=0] debug", "auth include"
    };

    (void) state;

    begin(&b);

    for (i = 0; i < ak_nitems(refused); i++) {
        assert_int_equal(unit_add(stack(&b, "main"), refused[i], &b.d),
                         AK_ERROR);
    }

    assert_int_equal(unit_add(stack(&b, "main"), "auth required debug", &b.d),
                     AK_OK);
    assert_int_equal(ak_stack_link(stack(&b, "main"), find, &b, &b.d), AK_OK);

    run_phases(&b, &v);

    assert_int_equal(v.rc, AK_OK);

    /* it counts, so that the numbers are those of the text */

    assert_int_equal(v.line, ak_nitems(refused) + 1);
    end(&b);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_cases),
    cmocka_unit_test(test_lines_run),
    cmocka_unit_test(test_all_suspending),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_refused_is_not_there)
};


UNIT_MAIN(tests)
