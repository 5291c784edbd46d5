
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_STACK_H_INCLUDED_
#define _AK_STACK_H_INCLUDED_


#include "ak_diag.h"
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


/*
 * A module.  Functions of phases it has no part in are NULL.  run() returns
 * its answer, or what ak_txn_ask() returned; then it is called again with
 * t->answer and the same state (state_size bytes, zeroed at the first call).
 */

typedef struct {
    ak_str_t      name;
    size_t        conf_size;
    size_t        state_size;

    /* Reads the arguments of a line into conf, which is zeroed. */

    ak_rc_t     (*init)(void *conf, ak_mem_t *mem, const ak_str_t *args,
                        size_t nargs, ak_diag_t *d);

    ak_reason_e (*run[AK_PHASE_MAX])(ak_txn_t *t, const void *conf,
                                     void *state);
} ak_module_t;


/* THE table of modules.  NULL: no such module, or after the last. */

const ak_module_t *ak_module_find(ak_str_t name);
const ak_module_t *ak_module_at(size_t n);

bool ak_module_serves(const ak_module_t *m, ak_group_e group);


/* An empty stack in mem, which must outlive it; NULL: no memory. */

ak_stack_t *ak_stack_create(ak_mem_t *mem);

/* A copy that can be added to; the lines' configurations are shared. */

ak_stack_t *ak_stack_copy(const ak_stack_t *s, ak_mem_t *mem);

/*
 * Adds a line.  args are copied where they are kept.
 * AK_ERROR: an unknown word, a module that has no part in the group, arguments
 * that the module refuses, or more than AK_LINES_MAX lines; the diagnostic
 * names the word.
 */

ak_rc_t ak_stack_add(ak_stack_t *s, ak_str_t group, ak_str_t control,
    ak_str_t module, const ak_str_t *args, size_t nargs, ak_diag_t *d);

/* For tests and hosts with modules of their own. */

ak_rc_t ak_stack_add_module(ak_stack_t *s, ak_str_t group, ak_str_t control,
    const ak_module_t *module, const ak_str_t *args, size_t nargs,
    ak_diag_t *d);

/* Whether the stack has a line of that group. */

bool ak_stack_has(const ak_stack_t *s, ak_group_e group);

/*
 * Runs the lines of a phase.
 *
 * AK_OK       the phase grants (t->reason is AK_SUCCESS)
 * AK_DENIED   t->reason says why, t->module and t->line who said so
 * AK_AGAIN    t->need says what is asked for
 *
 * An auth phase in which nothing granted denies, and so does an account phase
 * in which lines failed and none granted.  A phase without a line, or whose
 * lines all ignore, grants; a session phase denies where a failure counted.
 * AK_ACCOUNT wants AK_AUTH finished before it.  Where nothing granted and an
 * auth module was unavailable, that is the reason, whatever other
 * lines said: an outage is never told as a bad key.
 */

ak_rc_t ak_stack_run(const ak_stack_t *s, ak_txn_t *t, ak_phase_e phase);


#endif /* _AK_STACK_H_INCLUDED_ */
