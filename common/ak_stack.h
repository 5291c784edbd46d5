
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_STACK_H_INCLUDED_
#define _AK_STACK_H_INCLUDED_


#include "ak_args.h"
#include "ak_keys.h"
#include "ak_providers.h"
#include "ak_strip.h"
#include "ak_txn.h"


/*
 * Stacks of modules as in pam.conf(5): lines "group control module arguments".
 * A control word is sugar for a table that says for each answer of the module
 * what becomes of it.
 */

typedef enum {
    AK_GROUP_AUTH = 0,         /* who is it? */
    AK_GROUP_ACCOUNT,          /* may it now? */
    AK_GROUP_SESSION,          /* what does the forwarded request get? */
    AK_GROUP_MAX
} ak_group_e;


/* What the host does for lines when they are read. */

typedef struct {
    ak_mem_t   mem;            /* what a stack is made of; outlives it */

    /*
     * Opens a log, "PATH" or "syslog:...", for ak_txn_t's log().  NULL: it
     * cannot, and the diagnostic says why.
     */

    void    *(*open_log)(void *data, ak_str_t target, ak_diag_t *d);

    /*
     * Looks after a line's keys as long as there are the stacks: frees them
     * at the end, and brings newer ones where what they come from changes.
     * AK_ERROR: it cannot, and the diagnostic says why; the caller frees them.
     */

    ak_rc_t  (*hold_keys)(void *data, ak_keys_t *keys, ak_diag_t *d);

    /*
     * Names in the store that are none of ours and begin so will be asked for
     * (AK_NEED_FOREIGN); or NULL.  The prefix is there as long as the stacks.
     */

    void     (*foreign)(void *data, ak_str_t prefix);

    /*
     * A line is to ask for that variable with each request, see ak_view_t; or
     * NULL: there are none.  AK_ERROR: there is no such one, and the diagnostic
     * says so.  The name is there as long as the stacks.
     */

    ak_rc_t  (*variable)(void *data, ak_str_t name, ak_diag_t *d);

    /* Tells the operator of what is unwise and not wrong; or NULL. */

    void     (*warn)(void *data, const char *text);

    /*
     * Is told of a secret that was read from the environment, and where it is
     * there; or NULL.  AK_ERROR: it is not to be used.
     */

    ak_rc_t  (*env)(void *data, const char *name, char *value);
    void      *data;

    /*
     * The providers of the configuration.  One that a line uses may come
     * later where here() tells the place of the line, for the complaint that
     * it did not come; with NULL it has to be there.
     */

    void    *(*here)(void *data);
    ak_providers_t  providers;
} ak_site_t;


/* What a module's init() is given beside its configuration. */

typedef struct {
    ak_site_t  *site;
    ak_group_e  group;
    ak_str_t    stack;
    unsigned    line;
    ak_diag_t  *d;
} ak_init_t;


/* What a line cannot do without. */

#define AK_NEEDS_STORE    0x1
#define AK_NEEDS_KEYRING  0x2


/*
 * A module.  Functions of phases it has no part in are NULL.  run() returns
 * its answer, or what ak_txn_ask() returned; then it is called again with
 * t->answer and the same state (state_size bytes, zeroed at the first call).
 *
 * A session module has AK_SESSION_OPEN, AK_REPORT or both; answers to
 * AK_SESSION_CLOSE and AK_REPORT count for nothing, and neither may ask.
 */

typedef struct {
    ak_str_t          name;
    const char       *about;           /* half a sentence */
    size_t            conf_size;
    size_t            state_size;
    const ak_arg_t   *args;            /* what a line takes, NULL: nothing */

    /* Sets what arguments that are not given are, where zero is not it. */

    void            (*defaults)(void *conf);

    /* Checks and completes conf, which the arguments were read into. */

    ak_rc_t         (*init)(void *conf, const ak_init_t *in);

    /* AK_NEEDS_*; NULL: nothing. */

    unsigned        (*needs)(const void *conf);

    /* Adds what the line uses of a request and must not be forwarded. */

    ak_rc_t         (*strip)(const void *conf, ak_strip_t *strip);

    ak_reason_e     (*run[AK_PHASE_MAX])(ak_txn_t *t, const void *conf,
                                         void *state);
} ak_module_t;


/* THE table of modules.  NULL: no such module, or after the last. */

const ak_module_t *ak_module_find(ak_str_t name);
const ak_module_t *ak_module_at(size_t n);

bool ak_module_serves(const ak_module_t *m, ak_group_e group);


/*
 * For modules: the provider of that name, built in or of the site.  Where the
 * site has here(), one that is in no block yet is what its block will say.
 * NULL: there is none, or no memory.
 */

const ak_provider_t *ak_site_provider(const ak_init_t *in, ak_str_t name);

/* An empty stack; site and name are kept; NULL: no memory. */

ak_stack_t *ak_stack_create(ak_site_t *site, ak_str_t name);

ak_str_t ak_stack_name(const ak_stack_t *s);

/*
 * Adds a line of n words: group, control (a word, or a bracket form in as many
 * words as it takes), module and arguments; or group, "include" or "substack",
 * and the name of a stack.  Words are copied where they are kept.
 * AK_ERROR: the diagnostic names the line of the stack and the word; the line
 * is not kept, and counts.
 */

ak_rc_t ak_stack_add(ak_stack_t *s, const ak_str_t *words, size_t n,
    ak_diag_t *d);

/* Appends the lines of another stack of the same site; they keep its name. */

ak_rc_t ak_stack_append(ak_stack_t *s, const ak_stack_t *other,
    ak_diag_t *d);

/*
 * Makes a stack ready to run, after its last line: finds what it includes,
 * and checks where its jumps go.  find() returns NULL where there is no stack
 * of that name.
 * AK_ERROR: a stack that is not there, that includes itself, that has more
 * than AK_LINES_MAX lines, or a jump beyond the end.
 */

ak_rc_t ak_stack_link(ak_stack_t *s,
    const ak_stack_t *(*find)(void *data, ak_str_t name), void *data,
    ak_diag_t *d);

/* Whether a linked stack has a line of that group, or of that module. */

bool ak_stack_has(const ak_stack_t *s, ak_group_e group);
bool ak_stack_uses(const ak_stack_t *s, ak_str_t module);

/* What the lines of a linked stack cannot do without: AK_NEEDS_*. */

unsigned ak_stack_needs(const ak_stack_t *s);

/* Adds what the lines of a linked stack keep from being forwarded. */

ak_rc_t ak_stack_strip(const ak_stack_t *s, ak_strip_t *strip);

/*
 * Runs the lines of a phase of a linked stack.
 *
 * AK_OK       the phase grants (t->reason is AK_SUCCESS)
 * AK_DENIED   t->reason says why; t->module, t->stack and t->line who said so
 * AK_AGAIN    t->need says what is asked for
 *
 * An auth phase in which nothing granted denies, and so does an account phase
 * in which lines failed and none granted; a session phase denies where
 * a failure counted.  An account phase without a line, or whose lines all
 * ignore, grants.  AK_ACCOUNT wants AK_AUTH finished before it.  Where nothing
 * granted and an auth module was unavailable, that is the reason, whatever
 * other lines said: an outage is never told as a bad key.
 *
 * AK_SESSION_CLOSE and AK_REPORT are AK_OK and change nothing of the outcome.
 */

ak_rc_t ak_stack_run(const ak_stack_t *s, ak_txn_t *t, ak_phase_e phase);


#endif /* _AK_STACK_H_INCLUDED_ */
