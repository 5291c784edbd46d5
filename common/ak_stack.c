
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_mem.h"
#include "ak_stack.h"


/* What becomes of a module's answer, pam.conf(5). */

typedef enum {
    AK_ACTION_IGNORE = 0,
    AK_ACTION_BAD,
    AK_ACTION_DIE,
    AK_ACTION_OK,
    AK_ACTION_DONE,
    AK_ACTION_RESET
} ak_action_e;


typedef struct {
    ak_group_e          group;
    uint8_t             actions[AK_REASON_MAX];
    const ak_module_t  *module;
    void               *conf;
} ak_line_t;


struct ak_stack_s {
    ak_mem_t            mem;
    ak_line_t          *lines;
    unsigned            nlines;
    unsigned            room;
};


/* The control words, written as pam.conf(5) writes their bracket forms. */

typedef struct {
    ak_str_t            word;
    ak_action_e         success;
    ak_action_e         ignore;
    ak_action_e         others;
} ak_control_t;


static const ak_control_t  ak_controls[] = {
    { ak_string("required"),
      AK_ACTION_OK, AK_ACTION_IGNORE, AK_ACTION_BAD },

    { ak_string("requisite"),
      AK_ACTION_OK, AK_ACTION_IGNORE, AK_ACTION_DIE },

    { ak_string("sufficient"),
      AK_ACTION_DONE, AK_ACTION_IGNORE, AK_ACTION_IGNORE },

    { ak_string("optional"),
      AK_ACTION_OK, AK_ACTION_IGNORE, AK_ACTION_IGNORE }
};


static const ak_str_t  ak_groups[AK_GROUP_MAX] = {
    ak_string("auth"), ak_string("account"), ak_string("session")
};


#define AK_UNDEF      0
#define AK_POSITIVE   1
#define AK_NEGATIVE  -1


/*
 * A phase asks a few times at most (twice for every provider that is to be
 * injected); a module that never stops asking is cut off.
 */

#define AK_ASKED_MAX  128


ak_stack_t *
ak_stack_create(ak_mem_t *mem)
{
    ak_stack_t  *s;

    s = mem->alloc(mem->data, sizeof(ak_stack_t));

    if (s != NULL) {
        memset(s, 0, sizeof(ak_stack_t));
        s->mem = *mem;
    }

    return s;
}


ak_stack_t *
ak_stack_copy(const ak_stack_t *s, ak_mem_t *mem)
{
    ak_stack_t  *copy;

    copy = ak_stack_create(mem);

    if (copy == NULL || s->nlines == 0) {
        return copy;
    }

    copy->lines = mem->alloc(mem->data, s->nlines * sizeof(ak_line_t));

    if (copy->lines == NULL) {
        return NULL;
    }

    memcpy(copy->lines, s->lines, s->nlines * sizeof(ak_line_t));
    copy->nlines = s->nlines;
    copy->room = s->nlines;

    return copy;
}


/* The next free line of a stack; NULL: no memory. */

static ak_line_t *
ak_stack_line(ak_stack_t *s)
{
    unsigned    room;
    ak_line_t  *lines;

    if (s->nlines == s->room) {
        room = s->room * 2 + 4;

        lines = s->mem.alloc(s->mem.data, room * sizeof(ak_line_t));
        if (lines == NULL) {
            return NULL;
        }

        if (s->nlines != 0) {
            memcpy(lines, s->lines, s->nlines * sizeof(ak_line_t));
        }

        s->lines = lines;
        s->room = room;
    }

    memset(&s->lines[s->nlines], 0, sizeof(ak_line_t));

    return &s->lines[s->nlines];
}


static ak_rc_t
ak_stack_control(ak_line_t *line, ak_str_t word, ak_diag_t *d)
{
    size_t               i;
    const ak_control_t  *c;

    for (i = 0; i < ak_nitems(ak_controls); i++) {
        c = &ak_controls[i];

        if (ak_str_eq(c->word, word)) {
            memset(line->actions, c->others, AK_REASON_MAX);
            line->actions[AK_SUCCESS] = (uint8_t) c->success;
            line->actions[AK_IGNORE] = (uint8_t) c->ignore;

            return AK_OK;
        }
    }

    return ak_diag(d, "unknown control \"%.*s\"", AK_FMT(word));
}


static ak_rc_t
ak_stack_group(ak_line_t *line, ak_str_t word, ak_diag_t *d)
{
    unsigned  i;

    for (i = 0; i < AK_GROUP_MAX; i++) {
        if (ak_str_eq(ak_groups[i], word)) {
            line->group = (ak_group_e) i;
            return AK_OK;
        }
    }

    return ak_diag(d, "unknown group \"%.*s\"", AK_FMT(word));
}


ak_rc_t
ak_stack_add_module(ak_stack_t *s, ak_str_t group, ak_str_t control,
    const ak_module_t *module, const ak_str_t *args, size_t nargs,
    ak_diag_t *d)
{
    ak_line_t  *line;

    if (s->nlines == AK_LINES_MAX) {
        return ak_diag(d, "a stack has at most %d lines", AK_LINES_MAX);
    }

    line = ak_stack_line(s);

    if (line == NULL) {
        return ak_diag(d, "there is no memory");
    }

    if (ak_stack_group(line, group, d) != AK_OK
        || ak_stack_control(line, control, d) != AK_OK)
    {
        return AK_ERROR;
    }

    if (!ak_module_serves(module, line->group)) {
        return ak_diag(d, "the module \"%.*s\" has no part in \"%.*s\"",
                       AK_FMT(module->name), AK_FMT(group));
    }

    line->module = module;

    if (module->conf_size != 0) {
        line->conf = s->mem.alloc(s->mem.data, module->conf_size);

        if (line->conf == NULL) {
            return ak_diag(d, "there is no memory");
        }

        memset(line->conf, 0, module->conf_size);
    }

    if (module->init != NULL) {
        if (module->init(line->conf, &s->mem, args, nargs, d) != AK_OK) {
            return AK_ERROR;
        }

    } else if (nargs != 0) {
        return ak_diag(d, "unknown argument \"%.*s\"", AK_FMT(args[0]));
    }

    s->nlines++;

    return AK_OK;
}


ak_rc_t
ak_stack_add(ak_stack_t *s, ak_str_t group, ak_str_t control, ak_str_t module,
    const ak_str_t *args, size_t nargs, ak_diag_t *d)
{
    const ak_module_t  *m;

    m = ak_module_find(module);

    if (m == NULL) {
        return ak_diag(d, "unknown module \"%.*s\"", AK_FMT(module));
    }

    return ak_stack_add_module(s, group, control, m, args, nargs, d);
}


bool
ak_stack_has(const ak_stack_t *s, ak_group_e group)
{
    unsigned  i;

    for (i = 0; i < s->nlines; i++) {
        if (s->lines[i].group == group) {
            return true;
        }
    }

    return false;
}


static ak_group_e
ak_stack_phase_group(ak_phase_e phase)
{
    switch (phase) {

    case AK_AUTH:
        return AK_GROUP_AUTH;

    case AK_ACCOUNT:
        return AK_GROUP_ACCOUNT;

    default:
        return AK_GROUP_SESSION;
    }
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


static ak_rc_t
ak_stack_denied(const ak_stack_t *s, ak_txn_t *t, ak_reason_e reason,
    unsigned line)
{
    t->reason = reason;
    t->running = false;
    t->line = line;
    t->module = (line == 0) ? ak_str(NULL, 0) : s->lines[line - 1].module->name;

    return AK_DENIED;
}


/*
 * Nothing granted.  The reason is that of the first required or requisite line
 * that failed, else of the first that failed at all; but where an auth module
 * was unavailable nobody knows whether it would have granted.
 */

static ak_rc_t
ak_stack_refuse(const ak_stack_t *s, ak_txn_t *t)
{
    ak_progress_t  *p;

    p = &t->progress;

    if (p->unavailable && !p->granted) {
        return ak_stack_denied(s, t, AK_STORE_UNAVAILABLE,
                               p->unavailable_line);
    }

    if (p->impression == AK_NEGATIVE) {
        return ak_stack_denied(s, t, p->status, p->status_line);
    }

    if (p->first != AK_SUCCESS) {
        return ak_stack_denied(s, t, p->first, p->first_line);
    }

    if (t->collected && (t->cred.kind == AK_CRED_KEY
                         || t->cred.kind == AK_CRED_JWT))
    {
        /* there was a credential, of a kind that no line takes */

        return ak_stack_denied(s, t, AK_WRONG_KIND, 0);
    }

    return ak_stack_denied(s, t, AK_MISSING, 0);
}


static ak_rc_t
ak_stack_decide(const ak_stack_t *s, ak_txn_t *t)
{
    ak_progress_t  *p;

    p = &t->progress;

    if (p->impression == AK_NEGATIVE) {
        return ak_stack_refuse(s, t);
    }

    if (p->impression == AK_UNDEF
        && (t->phase == AK_AUTH
            || (t->phase == AK_ACCOUNT && p->first != AK_SUCCESS)))
    {
        return ak_stack_refuse(s, t);
    }

    if (t->phase == AK_AUTH) {

        if (!t->identified) {
            return ak_stack_broken(t, "granted without an identity");
        }

        t->line = p->grantor;
        t->module = s->lines[p->grantor - 1].module->name;
    }

    t->reason = AK_SUCCESS;
    t->running = false;
    t->finished[t->phase] = true;

    return AK_OK;
}


/* Takes a module's answer into the impression; true: the phase is decided. */

static bool
ak_stack_weigh(ak_txn_t *t, const ak_line_t *line, unsigned number,
    ak_reason_e answer)
{
    ak_action_e     action;
    ak_progress_t  *p;

    p = &t->progress;
    action = (ak_action_e) line->actions[answer];

    if (answer != AK_SUCCESS && answer != AK_IGNORE) {

        if (p->first == AK_SUCCESS) {
            p->first = answer;
            p->first_line = number;
        }

        if (answer == AK_STORE_UNAVAILABLE && t->phase == AK_AUTH
            && !p->unavailable)
        {
            p->unavailable = true;
            p->unavailable_line = number;
        }
    }

    switch (action) {

    case AK_ACTION_OK:
    case AK_ACTION_DONE:

        if (answer == AK_SUCCESS && !p->granted) {
            p->granted = true;
            p->grantor = number;
        }

        if (p->impression == AK_UNDEF && answer == AK_SUCCESS) {
            p->impression = AK_POSITIVE;
        }

        return action == AK_ACTION_DONE && p->impression == AK_POSITIVE;

    case AK_ACTION_BAD:
    case AK_ACTION_DIE:

        if (p->impression != AK_NEGATIVE) {
            p->impression = AK_NEGATIVE;
            p->status = answer;
            p->status_line = number;
        }

        return action == AK_ACTION_DIE;

    case AK_ACTION_RESET:
        p->impression = AK_UNDEF;
        return false;

    default: /* AK_ACTION_IGNORE */
        return false;
    }
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
        t->identified = false;
        t->owner = ak_str(NULL, 0);
        t->name = ak_str(NULL, 0);
        t->record = ak_str(NULL, 0);
    }

    if (phase == AK_SESSION_OPEN) {

        /* what an earlier run staged is not this one's */

        t->neffects = 0;
        t->provider = ak_str(NULL, 0);
        t->slot = ak_str(NULL, 0);
        t->shared = false;
    }

    memset(&t->progress, 0, sizeof(ak_progress_t));

    t->phase = phase;
    t->running = true;
    t->answered = false;
    t->state = NULL;

    return AK_OK;
}


/* Calls the module of a line, with the state that it left when it asked. */

static ak_reason_e
ak_stack_call(ak_txn_t *t, const ak_line_t *line)
{
    ak_reason_e          answer;
    const ak_module_t   *m;

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


ak_rc_t
ak_stack_run(const ak_stack_t *s, ak_txn_t *t, ak_phase_e phase)
{
    ak_group_e        group;
    ak_reason_e       answer;
    ak_progress_t    *p;
    const ak_line_t  *line;

    if (!t->running && ak_stack_begin(t, phase) != AK_OK) {
        return AK_DENIED;
    }

    if (t->phase != phase) {
        return ak_stack_broken(t, "resumed in another phase");
    }

    if (t->need.type != AK_NEED_NONE) {
        return AK_AGAIN;       /* a host that runs what was not answered */
    }

    p = &t->progress;
    group = ak_stack_phase_group(phase);

    for ( /* void */ ; p->line < s->nlines; p->line++) {

        line = &s->lines[p->line];

        if (line->group != group || line->module->run[phase] == NULL) {
            continue;
        }

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

        if (ak_stack_weigh(t, line, p->line + 1, answer)) {
            break;
        }
    }

    return ak_stack_decide(s, t);
}
