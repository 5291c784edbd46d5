
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_TXN_H_INCLUDED_
#define _AK_TXN_H_INCLUDED_


#include "ak_cred.h"
#include "ak_crypt.h"
#include "ak_error.h"
#include "ak_keyring.h"
#include "ak_mem.h"
#include "ak_provider.h"
#include "ak_record.h"


/*
 * A transaction: one request on its way through a stack.
 *
 * The host fills in the first part and calls ak_stack_run() for each phase.
 * AK_AGAIN means that "need" says what a module asks for; the host finds it
 * out (from a cache, a store, a file: that is its business), calls
 * ak_txn_answer() and runs the phase again.  Effects are staged here and are
 * the host's to apply once AK_SESSION_OPEN returned AK_OK.
 */

typedef enum {
    AK_AUTH = 0,
    AK_ACCOUNT,
    AK_SESSION_OPEN,
    AK_SESSION_CLOSE,
    AK_PHASE_MAX
} ak_phase_e;


typedef enum {
    AK_NEED_NONE = 0,
    AK_NEED_RECORD,            /* of the key id "name" */
    AK_NEED_TOKENS             /* of the owner "name" for "provider" */
} ak_need_e;


typedef struct {
    ak_need_e  type;
    ak_str_t   name;
    ak_str_t   provider;
} ak_need_t;


typedef enum {
    AK_SOURCE_NONE = 0,        /* nothing was asked for */
    AK_SOURCE_HIT,             /* the cache, fresh */
    AK_SOURCE_MISS,            /* the store */
    AK_SOURCE_STALE            /* the cache, the store being down */
} ak_source_e;


/*
 * rc is AK_OK (value is packed, see ak_record.h and ak_tokens.h, and lives as
 * long as the transaction), AK_NOT_FOUND, AK_ERROR (there is something that
 * cannot be read) or AK_UNAVAILABLE.
 */

typedef struct {
    ak_rc_t      rc;
    ak_source_e  source;
    ak_str_t     value;
} ak_answer_t;


typedef struct {
    ak_str_t  name;            /* header */
    ak_str_t  value;           /* a secret of the transaction */
} ak_effect_t;


#define AK_EFFECTS_MAX  4
#define AK_SECRETS_MAX  8
#define AK_LINES_MAX    64     /* of a stack */


typedef struct ak_stack_s  ak_stack_t;


/* Where a phase stands: pam.conf(5)'s impression, and the line it is at. */

typedef struct {
    unsigned     line;
    unsigned     asked;        /* how often a line asked, all lines */
    int8_t       impression;
    ak_reason_e  status;       /* of the first line that counted */
    ak_reason_e  first;        /* of the first line that failed at all */
    unsigned     status_line;
    unsigned     first_line;
    bool         unavailable;
    unsigned     unavailable_line;
    bool         granted;      /* a line was let count as success */
    unsigned     grantor;
} ak_progress_t;


typedef struct ak_txn_s {

    /* by the host, before the first run */

    ak_mem_t             mem;
    ak_view_t            view;
    ak_digest_t         *digest;
    const ak_keyring_t  *keyring;      /* NULL: there is none */
    int64_t              now;          /* Unix seconds */

    /* between the host and the modules */

    ak_need_t            need;
    ak_answer_t          answer;
    bool                 answered;

    /* the outcome */

    ak_reason_e          reason;       /* AK_SUCCESS, or why not */
    ak_str_t             module;       /* the module that decided */
    unsigned             line;         /* its line in the stack, from 1 */
    const char          *alert;        /* a broken invariant, for the log */

    ak_str_t             id;           /* of the key; may be logged */
    bool                 identified;   /* some module proved who it is: */
    ak_str_t             owner;
    ak_str_t             name;         /* of the key */
    ak_str_t             record;       /* packed, see ak_record.h */
    ak_source_e          source;       /* of the record */
    ak_str_t             provider;     /* whose key is injected */
    ak_str_t             slot;
    bool                 shared;       /* the key is nobody's own */
    const char          *trouble;      /* why a secret could not be opened */

    ak_effect_t          effects[AK_EFFECTS_MAX];
    unsigned             neffects;

    /* the library's own */

    ak_cred_t            cred;
    bool                 collected;
    ak_progress_t        progress;
    void                *state;        /* of the line that asked */
    ak_phase_e           phase;
    bool                 running;
    bool                 finished[AK_PHASE_MAX];
    struct {
        uint8_t  *data;
        size_t    size;
    }                    secrets[AK_SECRETS_MAX];
    unsigned             nsecrets;
} ak_txn_t;


/* Zeroes a transaction.  The host then fills in its part. */

void ak_txn_init(ak_txn_t *t);

/*
 * Takes the answer to t->need; the phase is then to be run again.  An answer
 * that nobody asked for is nothing.
 */

void ak_txn_answer(ak_txn_t *t, const ak_answer_t *answer);

/*
 * Ends the transaction wherever it is: wipes every secret and forgets the
 * staged effects, which point to them.  Again is nothing.  The outcome, which
 * is no secret, stays readable.
 */

void ak_txn_abort(ak_txn_t *t);

/* For modules: the client's credential, collected at the first call. */

const ak_cred_t *ak_txn_cred(ak_txn_t *t);

/*
 * For modules: asks for something; "return ak_txn_ask(...)".  The strings live
 * as long as the transaction.
 */

ak_reason_e ak_txn_ask(ak_txn_t *t, ak_need_e type, ak_str_t name,
    ak_str_t provider);

/* For modules: memory that is wiped at the end.  NULL: no more. */

uint8_t *ak_txn_secret(ak_txn_t *t, size_t size);

/* For modules: wipes and forgets the secret that was got last. */

void ak_txn_secret_drop(ak_txn_t *t);

/* For modules: stages a request header.  AK_ERROR: beyond AK_EFFECTS_MAX. */

ak_rc_t ak_txn_set_header(ak_txn_t *t, ak_str_t name, ak_str_t value);


#endif /* _AK_TXN_H_INCLUDED_ */
