
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_mem.h"
#include "ak_stack.h"


/*
 * What becomes of a module's answer, pam.conf(5).  AK_ACTION_JUMP + N is to
 * pass over the next N lines.
 */

typedef enum {
    AK_ACTION_IGNORE = 0,
    AK_ACTION_BAD,
    AK_ACTION_DIE,
    AK_ACTION_OK,
    AK_ACTION_DONE,
    AK_ACTION_RESET,
    AK_ACTION_JUMP
} ak_action_e;


/* As written; "include" and "substack" have the name of a stack. */

typedef enum {
    AK_LINE_MODULE = 0,
    AK_LINE_INCLUDE,
    AK_LINE_SUBSTACK
} ak_line_e;


typedef struct {
    ak_line_e           type;
    ak_group_e          group;
    uint8_t             actions[AK_REASON_MAX];
    const ak_module_t  *module;
    void               *conf;
    ak_str_t            stack;         /* that it is written in */
    unsigned            number;        /* and where, from 1 */
    ak_str_t            target;        /* of include and substack */
} ak_line_t;


/* As run: a group's lines in a row, those of a substack one level deeper. */

typedef struct {
    const ak_line_t    *line;          /* a substack's own: its beginning */
    uint8_t             level;
} ak_step_t;


typedef struct {
    ak_step_t          *steps;
    unsigned            n;
    unsigned            included;      /* stacks, each time it is */
    unsigned            phases;        /* that some module has, a bit each */
} ak_chain_t;


struct ak_stack_s {
    ak_site_t          *site;
    ak_str_t            name;
    ak_line_t          *lines;
    unsigned            nlines;
    unsigned            given;         /* lines, those with errors too */
    unsigned            room;
    ak_chain_t          chains[AK_GROUP_MAX];
};


static const ak_str_t  ak_groups[AK_GROUP_MAX] = {
    ak_string("auth"), ak_string("account"), ak_string("session")
};


static const ak_str_t  ak_actions[] = {
    [AK_ACTION_IGNORE] = ak_string("ignore"),
    [AK_ACTION_BAD] = ak_string("bad"),
    [AK_ACTION_DIE] = ak_string("die"),
    [AK_ACTION_OK] = ak_string("ok"),
    [AK_ACTION_DONE] = ak_string("done"),
    [AK_ACTION_RESET] = ak_string("reset")
};


/* The control words, as pam.conf(5) writes their bracket forms. */

typedef struct {
    ak_str_t            word;
    ak_str_t            form;
} ak_control_t;


static const ak_control_t  ak_controls[] = {
    { ak_string("required"),
      ak_string("[success=ok ignore=ignore default=bad]") },

    { ak_string("requisite"),
      ak_string("[success=ok ignore=ignore default=die]") },

    { ak_string("sufficient"),
      ak_string("[success=done default=ignore]") },

    { ak_string("optional"),
      ak_string("[success=ok default=ignore]") }
};


#define AK_UNDEF      0
#define AK_POSITIVE   1
#define AK_NEGATIVE  -1


/*
 * A phase asks a few times at most (four times for every provider that is to
 * be injected); a module that never stops asking is cut off.
 */

#define AK_ASKED_MAX  512


static ak_rc_t ak_stack_line(ak_stack_t *s, ak_line_t **line, ak_diag_t *d);
static ak_rc_t ak_stack_words(ak_stack_t *s, ak_line_t *line,
    const ak_str_t *words, size_t n, ak_diag_t *d);
static ak_rc_t ak_stack_control(ak_line_t *line, const ak_str_t *words,
    size_t n, size_t *used, ak_diag_t *d);
static ak_rc_t ak_stack_bracket(ak_line_t *line, ak_str_t form, ak_diag_t *d);
static ak_rc_t ak_stack_pair(ak_line_t *line, ak_str_t pair, uint8_t *set,
    ak_diag_t *d);
static ak_rc_t ak_stack_action(ak_str_t word, uint8_t *action, ak_diag_t *d);
static ak_rc_t ak_stack_module(ak_stack_t *s, ak_line_t *line, ak_str_t name,
    const ak_str_t *args, size_t n, ak_diag_t *d);
static ak_rc_t ak_stack_blame(const ak_line_t *line, ak_diag_t *d);

static ak_rc_t ak_stack_flatten(ak_stack_t *s, const ak_stack_t *from,
    ak_group_e group, unsigned level, unsigned depth,
    const ak_stack_t *(*find)(void *data, ak_str_t name), void *data,
    ak_diag_t *d);
static ak_rc_t ak_stack_step(ak_stack_t *s, const ak_line_t *line,
    unsigned level, ak_diag_t *d);
static ak_rc_t ak_stack_jumps(const ak_chain_t *c, ak_diag_t *d);
static unsigned ak_stack_jump(const ak_chain_t *c, unsigned at, unsigned n);

static void ak_stack_adopt(ak_txn_t *t);
static ak_rc_t ak_stack_begin(ak_txn_t *t, ak_phase_e phase);
static ak_rc_t ak_stack_steps(const ak_chain_t *c, ak_txn_t *t);
static ak_reason_e ak_stack_call(ak_txn_t *t, const ak_line_t *line);
static unsigned ak_stack_weigh(const ak_chain_t *c, ak_txn_t *t,
    ak_reason_e answer);
static unsigned ak_stack_leave(const ak_chain_t *c, unsigned at);
static ak_rc_t ak_stack_decide(const ak_chain_t *c, ak_txn_t *t);
static ak_rc_t ak_stack_refuse(const ak_chain_t *c, ak_txn_t *t);
static ak_rc_t ak_stack_denied(const ak_chain_t *c, ak_txn_t *t,
    ak_reason_e reason, unsigned line);
static ak_rc_t ak_stack_broken(ak_txn_t *t, const char *what);
static void ak_stack_name_line(const ak_chain_t *c, ak_txn_t *t,
    unsigned line);
static void ak_stack_tell(const ak_chain_t *c, ak_txn_t *t, ak_phase_e phase);


static ak_str_t
ak_stack_copied(const ak_stack_t *s, ak_str_t text)
{
    uint8_t  *p;

    p = s->site->mem.alloc(s->site->mem.data, text.len + 1);

    if (p == NULL) {
        return ak_str(NULL, 0);
    }

    if (text.len != 0) {
        memcpy(p, text.data, text.len);
    }

    p[text.len] = '\0';

    return ak_str(p, text.len);
}


ak_stack_t *
ak_stack_create(ak_site_t *site, ak_str_t name)
{
    ak_stack_t  *s;

    s = site->mem.alloc(site->mem.data, sizeof(ak_stack_t));

    if (s != NULL) {
        memset(s, 0, sizeof(ak_stack_t));
        s->site = site;
        s->name = name;
    }

    return s;
}


ak_str_t
ak_stack_name(const ak_stack_t *s)
{
    return s->name;
}


ak_rc_t
ak_stack_add(ak_stack_t *s, const ak_str_t *words, size_t n, ak_diag_t *d)
{
    ak_line_t  *line;

    if (ak_stack_line(s, &line, d) != AK_OK) {
        return AK_ERROR;
    }

    line->stack = s->name;
    line->number = ++s->given;

    if (ak_stack_words(s, line, words, n, d) != AK_OK) {
        return ak_stack_blame(line, d);
    }

    s->nlines++;

    return AK_OK;
}


ak_rc_t
ak_stack_append(ak_stack_t *s, const ak_stack_t *other, ak_diag_t *d)
{
    unsigned    i;
    ak_line_t  *line;

    for (i = 0; i < other->nlines; i++) {

        if (ak_stack_line(s, &line, d) != AK_OK) {
            return AK_ERROR;
        }

        *line = other->lines[i];
        s->nlines++;
    }

    return AK_OK;
}


/* Where in the configuration the trouble is. */

static ak_rc_t
ak_stack_blame(const ak_line_t *line, ak_diag_t *d)
{
    ak_diag_t  why;

    if (d != NULL) {
        why = *d;
        ak_diag(d, "stack \"%.*s\", line %u: %.256s", AK_FMT(line->stack),
                line->number, why.text);
    }

    return AK_ERROR;
}


/* The next free line of a stack. */

static ak_rc_t
ak_stack_line(ak_stack_t *s, ak_line_t **line, ak_diag_t *d)
{
    unsigned    room;
    ak_mem_t   *mem;
    ak_line_t  *lines;

    if (s->nlines == AK_LINES_MAX) {
        return ak_diag(d, "stack \"%.*s\" has more than %d lines",
                       AK_FMT(s->name), AK_LINES_MAX);
    }

    if (s->nlines == s->room) {
        room = s->room * 2 + 4;
        mem = &s->site->mem;

        lines = mem->alloc(mem->data, room * sizeof(ak_line_t));
        if (lines == NULL) {
            return ak_diag(d, "there is no memory");
        }

        if (s->nlines != 0) {
            memcpy(lines, s->lines, s->nlines * sizeof(ak_line_t));
        }

        s->lines = lines;
        s->room = room;
    }

    *line = &s->lines[s->nlines];
    memset(*line, 0, sizeof(ak_line_t));

    return AK_OK;
}


static ak_rc_t
ak_stack_words(ak_stack_t *s, ak_line_t *line, const ak_str_t *words,
    size_t n, ak_diag_t *d)
{
    size_t    i, used;
    unsigned  group;

    for (group = 0; n != 0 && group < AK_GROUP_MAX; group++) {
        if (ak_str_eq(ak_groups[group], words[0])) {
            break;
        }
    }

    if (n == 0 || group == AK_GROUP_MAX) {
        return ak_diag(d, "unknown group \"%.*s\", it must be \"auth\", "
                       "\"account\" or \"session\"",
                       AK_FMT(n == 0 ? ak_literal("") : words[0]));
    }

    line->group = (ak_group_e) group;

    if (n == 1) {
        return ak_diag(d, "a control and a module are missing after "
                       "\"%.*s\"", AK_FMT(words[0]));
    }

    if (ak_str_eq(words[1], ak_literal("include"))) {
        line->type = AK_LINE_INCLUDE;

    } else if (ak_str_eq(words[1], ak_literal("substack"))) {
        line->type = AK_LINE_SUBSTACK;
    }

    if (line->type != AK_LINE_MODULE) {

        if (n != 3) {
            return ak_diag(d, "\"%.*s\" takes the name of a stack and no "
                           "more", AK_FMT(words[1]));
        }

        line->target = ak_stack_copied(s, words[2]);

        return (line->target.data == NULL)
               ? ak_diag(d, "there is no memory") : AK_OK;
    }

    if (ak_stack_control(line, words + 1, n - 1, &used, d) != AK_OK) {
        return AK_ERROR;
    }

    i = 1 + used;

    if (i == n) {
        return ak_diag(d, "a module is missing after \"%.*s\"",
                       AK_FMT(words[n - 1]));
    }

    return ak_stack_module(s, line, words[i], words + i + 1, n - i - 1, d);
}


static ak_rc_t
ak_stack_control(ak_line_t *line, const ak_str_t *words, size_t n,
    size_t *used, ak_diag_t *d)
{
    size_t   i, len;
    uint8_t  form[1024];

    *used = 1;

    for (i = 0; i < ak_nitems(ak_controls); i++) {
        if (ak_str_eq(ak_controls[i].word, words[0])) {
            return ak_stack_bracket(line, ak_controls[i].form, d);
        }
    }

    if (words[0].len == 0 || words[0].data[0] != '[') {
        return ak_diag(d, "unknown control \"%.*s\"", AK_FMT(words[0]));
    }

    /* the words up to "]", joined again */

    len = 0;

    for (i = 0; i < n; i++) {

        if (words[i].len > sizeof(form) - 1 - len) {
            return ak_diag(d, "the control that begins with \"%.*s\" is too "
                           "long", AK_FMT(words[0]));
        }

        if (words[i].len != 0) {
            memcpy(form + len, words[i].data, words[i].len);
            len += words[i].len;
        }

        if (len != 0 && form[len - 1] == ']') {
            *used = i + 1;
            return ak_stack_bracket(line, ak_str(form, len), d);
        }

        form[len++] = ' ';
    }

    return ak_diag(d, "the control that begins with \"%.*s\" has no \"]\"",
                   AK_FMT(words[0]));
}


/*
 * "[value=action ...]".  A value that is not named, where there is no
 * "default", is bad, as pam.conf(5) has it.
 */

static ak_rc_t
ak_stack_bracket(ak_line_t *line, ak_str_t form, ak_diag_t *d)
{
    size_t    i, begin;
    uint8_t   set[AK_REASON_MAX + 1];
    unsigned  pairs;

    memset(set, 0, sizeof(set));
    memset(line->actions, AK_ACTION_BAD, AK_REASON_MAX);

    pairs = 0;
    begin = 1;

    for (i = 1; i < form.len; i++) {

        if (form.data[i] != ' ' && i != form.len - 1) {
            continue;
        }

        if (i != begin) {
            if (ak_stack_pair(line, ak_str(form.data + begin, i - begin), set,
                              d)
                != AK_OK)
            {
                return AK_ERROR;
            }

            pairs++;
        }

        begin = i + 1;
    }

    if (pairs == 0) {
        return ak_diag(d, "the control \"%.*s\" is empty", AK_FMT(form));
    }

    return AK_OK;
}


static ak_rc_t
ak_stack_pair(ak_line_t *line, ak_str_t pair, uint8_t *set, ak_diag_t *d)
{
    uint8_t         action = AK_ACTION_BAD;
    ak_str_t        value, word;
    unsigned        reason, i;
    const uint8_t  *eq;

    eq = memchr(pair.data, '=', pair.len);

    if (eq == NULL) {
        return ak_diag(d, "\"%.*s\" in the control must be value=action",
                       AK_FMT(pair));
    }

    value = ak_str(pair.data, (size_t) (eq - pair.data));
    word = ak_str(eq + 1, pair.len - value.len - 1);

    if (ak_stack_action(word, &action, d) != AK_OK) {
        return AK_ERROR;
    }

    reason = ak_str_eq(value, ak_literal("default")) ? AK_REASON_MAX
                                                     : ak_error_reason(value);

    if (reason == AK_REASON_MAX
        && !ak_str_eq(value, ak_literal("default")))
    {
        return ak_diag(d, "unknown value \"%.*s\" in the control",
                       AK_FMT(value));
    }

    if (set[reason]) {
        return ak_diag(d, "the value \"%.*s\" is there twice in the control",
                       AK_FMT(value));
    }

    set[reason] = 1;

    if (reason != AK_REASON_MAX) {
        line->actions[reason] = action;
        return AK_OK;
    }

    /* "default" may be anywhere; it is for those that are never named */

    for (i = 0; i < AK_REASON_MAX; i++) {
        if (!set[i]) {
            line->actions[i] = action;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_stack_action(ak_str_t word, uint8_t *action, ak_diag_t *d)
{
    size_t    i;
    unsigned  n;

    for (i = 0; i < ak_nitems(ak_actions); i++) {
        if (ak_str_eq(ak_actions[i], word)) {
            *action = (uint8_t) i;
            return AK_OK;
        }
    }

    n = 0;

    for (i = 0; i < word.len && i < 3; i++) {

        if (word.data[i] < '0' || word.data[i] > '9') {
            break;
        }

        n = n * 10 + (word.data[i] - '0');
    }

    if (word.len == 0 || i != word.len || n == 0 || n > AK_LINES_MAX) {
        return ak_diag(d, "unknown action \"%.*s\" in the control",
                       AK_FMT(word));
    }

    *action = (uint8_t) (AK_ACTION_JUMP + n);

    return AK_OK;
}


static ak_rc_t
ak_stack_module(ak_stack_t *s, ak_line_t *line, ak_str_t name,
    const ak_str_t *args, size_t n, ak_diag_t *d)
{
    ak_init_t           in;
    ak_mem_t           *mem;
    const ak_module_t  *m;

    m = ak_module_find(name);

    if (m == NULL) {
        return ak_diag(d, "unknown module \"%.*s\"", AK_FMT(name));
    }

    if (!ak_module_serves(m, line->group)) {
        return ak_diag(d, "the module \"%.*s\" has no part in \"%.*s\"",
                       AK_FMT(name), AK_FMT(ak_groups[line->group]));
    }

    mem = &s->site->mem;
    line->module = m;

    if (m->conf_size != 0) {
        line->conf = mem->alloc(mem->data, m->conf_size);

        if (line->conf == NULL) {
            return ak_diag(d, "there is no memory");
        }

        memset(line->conf, 0, m->conf_size);

        if (m->defaults != NULL) {
            m->defaults(line->conf);
        }
    }

    if (ak_args_read(line->conf, m->args, mem, args, n, d) != AK_OK) {
        return AK_ERROR;
    }

    if (m->init == NULL) {
        return AK_OK;
    }

    in.site = s->site;
    in.group = line->group;
    in.stack = line->stack;
    in.line = line->number;
    in.d = d;

    return m->init(line->conf, &in);
}


ak_rc_t
ak_stack_link(ak_stack_t *s,
    const ak_stack_t *(*find)(void *data, ak_str_t name), void *data,
    ak_diag_t *d)
{
    unsigned     group;
    ak_mem_t    *mem;
    ak_chain_t  *c;

    mem = &s->site->mem;

    for (group = 0; group < AK_GROUP_MAX; group++) {
        c = &s->chains[group];

        c->n = 0;
        c->included = 0;
        c->phases = 0;
        c->steps = mem->alloc(mem->data, AK_LINES_MAX * sizeof(ak_step_t));

        if (c->steps == NULL) {
            return ak_diag(d, "there is no memory");
        }

        if (ak_stack_flatten(s, s, (ak_group_e) group, 0, 0, find, data, d)
            != AK_OK
            || ak_stack_jumps(c, d) != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


/*
 * What is included is as if it stood here; a substack is a level deeper, and
 * a step without a module says where it begins.
 */

static ak_rc_t
ak_stack_flatten(ak_stack_t *s, const ak_stack_t *from, ak_group_e group,
    unsigned level, unsigned depth,
    const ak_stack_t *(*find)(void *data, ak_str_t name), void *data,
    ak_diag_t *d)
{
    unsigned           i;
    const ak_line_t   *line;
    const ak_stack_t  *target;

    for (i = 0; i < from->nlines; i++) {
        line = &from->lines[i];

        if (line->group != group) {
            continue;
        }

        if (line->type != AK_LINE_INCLUDE
            && ak_stack_step(s, line, level, d) != AK_OK)
        {
            return AK_ERROR;
        }

        if (line->type == AK_LINE_MODULE) {
            continue;
        }

        target = (find == NULL) ? NULL : find(data, line->target);

        if (target == NULL) {
            ak_diag(d, "there is no stack \"%.*s\"", AK_FMT(line->target));
            return ak_stack_blame(line, d);
        }

        if (++s->chains[group].included > AK_LINES_MAX) {
            return ak_diag(d, "stack \"%.*s\" includes others more than %d "
                           "times", AK_FMT(s->name), AK_LINES_MAX);
        }

        if (depth + 1 == AK_LEVELS_MAX) {
            ak_diag(d, "\"%.*s\" is included more than %d levels deep; does "
                    "it include itself?", AK_FMT(line->target),
                    AK_LEVELS_MAX - 1);
            return ak_stack_blame(line, d);
        }

        if (ak_stack_flatten(s, target, group,
                             level + (line->type == AK_LINE_SUBSTACK),
                             depth + 1, find, data, d)
            != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_stack_step(ak_stack_t *s, const ak_line_t *line, unsigned level,
    ak_diag_t *d)
{
    unsigned     phase;
    ak_chain_t  *c;

    c = &s->chains[line->group];

    if (c->n == AK_LINES_MAX) {
        return ak_diag(d, "stack \"%.*s\" has more than %d lines with what it "
                       "includes", AK_FMT(s->name), AK_LINES_MAX);
    }

    c->steps[c->n].line = line;
    c->steps[c->n].level = (uint8_t) level;
    c->n++;

    for (phase = 0; line->module != NULL && phase < AK_PHASE_MAX; phase++) {
        if (line->module->run[phase] != NULL) {
            c->phases |= 1u << phase;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_stack_jumps(const ak_chain_t *c, ak_diag_t *d)
{
    unsigned          i, r, n;
    const ak_line_t  *line;

    for (i = 0; i < c->n; i++) {
        line = c->steps[i].line;

        for (r = 0; line->module != NULL && r < AK_REASON_MAX; r++) {

            if (line->actions[r] < AK_ACTION_JUMP) {
                continue;
            }

            n = line->actions[r] - AK_ACTION_JUMP;

            if (ak_stack_jump(c, i, n) == c->n + 1) {
                ak_diag(d, "the jump over %u lines goes beyond the end", n);
                return ak_stack_blame(line, d);
            }
        }
    }

    return AK_OK;
}


/*
 * Where a jump from a step over the next n of its level goes; a substack is
 * one, and what lies above the level is beyond: c->n + 1.
 */

static unsigned
ak_stack_jump(const ak_chain_t *c, unsigned at, unsigned n)
{
    uint8_t  level;

    level = c->steps[at].level;

    for (at++; n != 0; n--) {

        if (at == c->n || c->steps[at].level < level) {
            return c->n + 1;
        }

        do {
            at++;
        } while (at < c->n && c->steps[at].level > level);
    }

    return at;
}


bool
ak_stack_has(const ak_stack_t *s, ak_group_e group)
{
    return s->chains[group].n != 0;
}


bool
ak_stack_uses(const ak_stack_t *s, ak_str_t module)
{
    unsigned            i, group;
    const ak_chain_t   *c;
    const ak_module_t  *m;

    for (group = 0; group < AK_GROUP_MAX; group++) {
        c = &s->chains[group];

        for (i = 0; i < c->n; i++) {
            m = c->steps[i].line->module;

            if (m != NULL && ak_str_eq(m->name, module)) {
                return true;
            }
        }
    }

    return false;
}


unsigned
ak_stack_needs(const ak_stack_t *s)
{
    unsigned           i, group, needs;
    const ak_line_t   *line;
    const ak_chain_t  *c;

    needs = 0;

    for (group = 0; group < AK_GROUP_MAX; group++) {
        c = &s->chains[group];

        for (i = 0; i < c->n; i++) {
            line = c->steps[i].line;

            if (line->module != NULL && line->module->needs != NULL) {
                needs |= line->module->needs(line->conf);
            }
        }
    }

    return needs;
}


ak_rc_t
ak_stack_strip(const ak_stack_t *s, ak_strip_t *strip)
{
    ak_rc_t             rc;
    unsigned            i, group;
    const ak_line_t    *line;
    const ak_chain_t   *c;

    for (group = 0; group < AK_GROUP_MAX; group++) {
        c = &s->chains[group];

        for (i = 0; i < c->n; i++) {
            line = c->steps[i].line;

            if (line->module != NULL && line->module->strip != NULL) {
                rc = line->module->strip(line->conf, strip);

                if (rc != AK_OK) {
                    return rc;
                }
            }
        }
    }

    return AK_OK;
}


static const ak_group_e  ak_stack_groups[AK_PHASE_MAX] = {
    [AK_AUTH] = AK_GROUP_AUTH,
    [AK_ACCOUNT] = AK_GROUP_ACCOUNT,
    [AK_SESSION_OPEN] = AK_GROUP_SESSION,
    [AK_SESSION_CLOSE] = AK_GROUP_SESSION,
    [AK_REPORT] = AK_GROUP_SESSION
};


ak_rc_t
ak_stack_run(const ak_stack_t *s, ak_txn_t *t, ak_phase_e phase)
{
    ak_rc_t            rc;
    const ak_chain_t  *c;

    c = &s->chains[ak_stack_groups[phase]];

    if (phase == AK_SESSION_CLOSE || phase == AK_REPORT) {
        ak_stack_tell(c, t, phase);
        return AK_OK;
    }

    if (!t->running && ak_stack_begin(t, phase) != AK_OK) {
        return AK_DENIED;
    }

    if (t->phase != phase) {
        return ak_stack_broken(t, "resumed in another phase");
    }

    if (t->need.type != AK_NEED_NONE) {
        return AK_AGAIN;       /* a host that runs what was not answered */
    }

    if (c->phases & (1u << phase)) {
        rc = ak_stack_steps(c, t);

        if (rc != AK_OK) {
            return rc;
        }
    }

    return ak_stack_decide(c, t);
}


static ak_rc_t
ak_stack_begin(ak_txn_t *t, ak_phase_e phase)
{
    if (phase == AK_ACCOUNT && !t->finished[AK_AUTH]) {
        return ak_stack_broken(t, "account asked before auth has granted");
    }

    if (phase == AK_AUTH) {

        /* who it was in an earlier run is not who it is now */

        memset(t->finished, 0, sizeof(t->finished));
        ak_txn_forget(t);
        t->presented = false;
        t->collected = NULL;
        t->nreplies = 0;
        t->retry = 0;
        t->anew = false;
        t->alert = NULL;
    }

    if (phase == AK_SESSION_OPEN) {

        /* what an earlier run staged is not this one's */

        if (!t->anew) {
            t->avoided = ak_str(NULL, 0);
        }

        t->anew = false;
        t->neffects = 0;
        t->opened = 0;
        t->retry = 0;
        t->provider = ak_str(NULL, 0);
        t->slot = ak_str(NULL, 0);
        t->key_source = AK_KEY_NONE;
        t->token = 0;
        t->carried = NULL;
        t->one = false;
        t->trouble = NULL;
        t->about[0] = '\0';
        t->troubled = ak_str(NULL, 0);
        t->carried_over = t->collected;
        t->kept = t->nsecrets;
        t->replied = t->nreplies;
    }

    /* the levels are written when a substack is entered */

    memset(&t->progress.state, 0, sizeof(ak_state_t));
    memset(&t->progress.first, 0,
           sizeof(ak_progress_t) - offsetof(ak_progress_t, first));

    t->phase = phase;
    t->running = true;
    t->answered = false;
    t->state = NULL;

    return AK_OK;
}


/* Goes on from where it is.  AK_OK: to the end. */

static ak_rc_t
ak_stack_steps(const ak_chain_t *c, ak_txn_t *t)
{
    ak_reason_e       answer;
    ak_progress_t    *p;
    const ak_line_t  *line;

    p = &t->progress;

    while (p->at < c->n) {

        line = c->steps[p->at].line;

        if (line->module == NULL) {
            p->levels[c->steps[p->at].level + 1] = p->state;
            p->at++;
            continue;
        }

        if (line->module->run[t->phase] == NULL) {
            p->at++;
            continue;
        }

        t->proved = false;

        answer = ak_stack_call(t, line);

        if (answer == AK_SUSPEND) {
            if (t->need.type == AK_NEED_NONE || ++p->asked > AK_ASKED_MAX) {
                return ak_stack_broken(t, "a module asks without end");
            }

            return AK_AGAIN;
        }

        t->state = NULL;
        t->need.type = AK_NEED_NONE;

        if ((unsigned) answer > AK_SUSPEND) {
            return ak_stack_broken(t, "a module gave no known answer");
        }

        if (t->phase == AK_SESSION_OPEN && answer == AK_SUCCESS) {
            t->opened |= 1ull << p->at;
        }

        p->at = (uint8_t) ak_stack_weigh(c, t, answer);
    }

    return AK_OK;
}


/* Calls the module of a line, with the state that it left when it asked. */

static ak_reason_e
ak_stack_call(ak_txn_t *t, const ak_line_t *line)
{
    ak_reason_e         answer;
    const ak_module_t  *m;

    m = line->module;

    if (t->state == NULL && m->state_size != 0) {
        t->state = t->mem.alloc(t->mem.data, m->state_size);

        if (t->state == NULL) {
            return AK_STORE_UNAVAILABLE;
        }

        memset(t->state, 0, m->state_size);
    }

    answer = m->run[t->phase](t, line->conf, t->state);

    t->answered = false;

    return answer;
}


/*
 * Takes an answer into the impression, as pam.conf(5) has it: "ok" overrides
 * a state that would be success and no other, the first "bad" stays.  Returns
 * the step to go on with.
 */

static unsigned
ak_stack_weigh(const ak_chain_t *c, ak_txn_t *t, ak_reason_e answer)
{
    uint8_t         action = AK_ACTION_BAD;
    unsigned        at;
    ak_state_t      now;
    ak_progress_t  *p;

    p = &t->progress;
    at = p->at;
    action = c->steps[at].line->actions[answer];

    now.status = (uint8_t) answer;
    now.line = (uint8_t) (at + 1);
    now.granted = p->state.granted;

    if (answer != AK_SUCCESS && answer != AK_IGNORE) {

        if (p->first.line == 0) {
            p->first.status = now.status;
            p->first.line = now.line;
        }

        if (answer == AK_STORE_UNAVAILABLE && p->unavailable == 0) {
            p->unavailable = now.line;
        }
    }

    switch (action) {

    case AK_ACTION_IGNORE:
        break;

    case AK_ACTION_OK:
    case AK_ACTION_DONE:

        if (p->state.impression == AK_UNDEF
            || (p->state.impression == AK_POSITIVE
                && p->state.status == AK_SUCCESS))
        {
            now.impression = AK_POSITIVE;

            /* who grants, and who it is, is what the first that did says */

            if (answer == AK_SUCCESS && p->state.impression == AK_UNDEF) {
                ak_stack_adopt(t);
            }

            if (answer != AK_SUCCESS || p->state.impression == AK_UNDEF) {
                p->state = now;
            }
        }

        if (answer == AK_SUCCESS) {
            p->state.granted = true;
        }

        if (action == AK_ACTION_DONE && p->state.impression == AK_POSITIVE) {
            return ak_stack_leave(c, at);
        }

        break;

    case AK_ACTION_BAD:
    case AK_ACTION_DIE:

        if (p->state.impression != AK_NEGATIVE) {
            now.impression = AK_NEGATIVE;
            p->state = now;
        }

        if (action == AK_ACTION_DIE) {
            return ak_stack_leave(c, at);
        }

        break;

    case AK_ACTION_RESET:

        if (c->steps[at].level == 0) {
            memset(&p->state, 0, sizeof(ak_state_t));

        } else {
            p->state = p->levels[c->steps[at].level];
        }

        if (t->phase == AK_AUTH && p->state.impression == AK_UNDEF) {
            ak_txn_forget(t);
        }

        break;

    default:
        return ak_stack_jump(c, at, action - AK_ACTION_JUMP);
    }

    return at + 1;
}


static void
ak_stack_adopt(ak_txn_t *t)
{
    if (t->phase != AK_AUTH || !t->proved) {
        return;
    }

    t->identified = true;
    t->id = t->identity.id;
    t->owner = t->identity.owner;
    t->name = t->identity.name;
    t->record = t->identity.record;
    t->claims = t->identity.claims;
    t->source = t->identity.source;
}


/* The end of a substack, or of all. */

static unsigned
ak_stack_leave(const ak_chain_t *c, unsigned at)
{
    uint8_t  level;

    level = c->steps[at].level;

    if (level == 0) {
        return c->n;
    }

    do {
        at++;
    } while (at < c->n && c->steps[at].level >= level);

    return at;
}


static ak_rc_t
ak_stack_decide(const ak_chain_t *c, ak_txn_t *t)
{
    ak_progress_t  *p;

    p = &t->progress;

    if (p->state.impression == AK_NEGATIVE
        || p->state.status != AK_SUCCESS)
    {
        return ak_stack_refuse(c, t);
    }

    if (p->state.impression == AK_UNDEF
        && (t->phase == AK_AUTH
            || (t->phase == AK_ACCOUNT && p->first.line != 0)))
    {
        return ak_stack_refuse(c, t);
    }

    if (t->phase == AK_AUTH) {

        if (!t->identified) {
            return ak_stack_broken(t, "granted without an identity");
        }

        ak_stack_name_line(c, t, p->state.line);
    }

    t->reason = AK_SUCCESS;
    t->running = false;
    t->finished[t->phase] = true;

    return AK_OK;
}


/*
 * Nothing granted.  The reason is that of the first line whose failure
 * counted, else of the first that failed at all; but where an auth module was
 * unavailable nobody knows whether it would have granted.
 */

static ak_rc_t
ak_stack_refuse(const ak_chain_t *c, ak_txn_t *t)
{
    ak_progress_t  *p;

    p = &t->progress;

    if (t->phase == AK_AUTH && p->unavailable && !p->state.granted) {
        return ak_stack_denied(c, t, AK_STORE_UNAVAILABLE, p->unavailable);
    }

    if (p->state.impression != AK_UNDEF) {

        if (p->state.status == AK_SUCCESS || p->state.status == AK_IGNORE) {

            /* a line says that success, or no answer, is a failure */

            return ak_stack_denied(c, t,
                                   t->phase == AK_AUTH ? AK_MISSING
                                                       : AK_FORBIDDEN,
                                   p->state.line);
        }

        return ak_stack_denied(c, t, (ak_reason_e) p->state.status,
                               p->state.line);
    }

    if (p->first.line != 0) {
        return ak_stack_denied(c, t, (ak_reason_e) p->first.status,
                               p->first.line);
    }

    /* no line failed: was there a credential, of a kind that none takes? */

    return ak_stack_denied(c, t, t->presented ? AK_WRONG_KIND : AK_MISSING, 0);
}


static ak_rc_t
ak_stack_denied(const ak_chain_t *c, ak_txn_t *t, ak_reason_e reason,
    unsigned line)
{
    t->reason = reason;
    t->running = false;

    ak_stack_name_line(c, t, line);

    return AK_DENIED;
}


/* Says which line decided; 0: none. */

static void
ak_stack_name_line(const ak_chain_t *c, ak_txn_t *t, unsigned line)
{
    const ak_line_t  *l;

    if (line == 0) {
        t->module = ak_str(NULL, 0);
        t->stack = ak_str(NULL, 0);
        t->line = 0;
        return;
    }

    l = c->steps[line - 1].line;

    t->module = l->module->name;
    t->stack = l->stack;
    t->line = l->number;
}


/* Denies because something that cannot be is so. */

static ak_rc_t
ak_stack_broken(ak_txn_t *t, const char *what)
{
    t->alert = what;
    t->reason = AK_STORE_UNAVAILABLE;
    t->running = false;
    t->need.type = AK_NEED_NONE;

    return AK_DENIED;
}


/* Closes what was opened, the last first; or reports to all. */

static void
ak_stack_tell(const ak_chain_t *c, ak_txn_t *t, ak_phase_e phase)
{
    unsigned          i, at;
    const ak_line_t  *line;

    if ((c->phases & (1u << phase)) == 0) {
        return;
    }

    t->running = false;
    t->phase = phase;
    t->state = NULL;

    for (i = 0; i < c->n; i++) {

        at = (phase == AK_SESSION_CLOSE) ? c->n - 1 - i : i;
        line = c->steps[at].line;

        if (line->module == NULL || line->module->run[phase] == NULL) {
            continue;
        }

        if (phase == AK_SESSION_CLOSE && !(t->opened & (1ull << at))) {
            continue;
        }

        (void) ak_stack_call(t, line);

        t->state = NULL;
        t->need.type = AK_NEED_NONE;
    }

    if (phase == AK_SESSION_CLOSE) {
        t->opened = 0;
    }
}
