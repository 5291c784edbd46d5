
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_TXN_H_INCLUDED_
#define _AK_TXN_H_INCLUDED_


#include "ak_cred.h"
#include "ak_crypt.h"
#include "ak_error.h"
#include "ak_keyring.h"
#include "ak_keys.h"
#include "ak_mem.h"
#include "ak_provider.h"
#include "ak_rate.h"
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
    AK_SESSION_CLOSE,          /* what was opened, in reverse */
    AK_REPORT,                 /* the verdict is known, whatever it is */
    AK_PHASE_MAX
} ak_phase_e;


typedef enum {
    AK_NEED_NONE = 0,
    AK_NEED_RECORD,            /* of the key id "name" */
    AK_NEED_TOKENS,            /* of the owner "name" for "provider" */
    AK_NEED_RATE,              /* a token of the bucket "name" */
    AK_NEED_KEPT,              /* what was kept under "name", any bytes */
    AK_NEED_KEEP,              /* to keep "value" so; the answer is nothing */
    AK_NEED_KEYS,              /* newer ones than "keys" has; AK_NOT_FOUND:
                                  there are none, or it is too early to ask */
    AK_NEED_MARK,              /* the text under the prefix and "name" */
    AK_NEED_FOREIGN,           /* the text under "name", another's */
    AK_NEED_SLOTS,             /* what is known of the slots of the owner "name"
                                  for "provider"; "value" is what AK_NEED_TOKENS
                                  answered, with "turn" a number is wanted */
    AK_NEED_PAUSE              /* to be called again later, for tests */
} ak_need_e;


typedef struct {
    ak_need_e         type;
    ak_str_t          name;
    ak_str_t          provider;
    ak_str_t          value;
    const ak_rate_t  *rate;
    ak_keys_t        *keys;
    bool              turn;
} ak_need_t;


typedef enum {
    AK_SOURCE_NONE = 0,        /* nothing was asked for */
    AK_SOURCE_HIT,             /* the cache, fresh */
    AK_SOURCE_MISS,            /* the store */
    AK_SOURCE_STALE            /* the cache, the store being down */
} ak_source_e;


/*
 * rc is AK_OK (value is packed, see ak_record.h and ak_tokens.h, and lives as
 * long as the transaction; or allowance is set), AK_NOT_FOUND, AK_ERROR (there
 * is something that cannot be read) or AK_UNAVAILABLE; of a record, and of what
 * was kept, also AK_DENIED: nobody looks, since too many attempts have failed.
 * Of slots AK_OK (left) or AK_NOT_FOUND: all of them are ready; never another.
 */

typedef struct {
    ak_rc_t         rc;
    ak_source_e     source;
    ak_str_t        value;
    ak_allowance_t  allowance;
    const uint64_t *left;      /* ak_pool_left() of each, in their order */
    uint32_t        number;    /* with "turn" one more each time, else any */
} ak_answer_t;


/* Whose an injected key is. */

typedef enum {
    AK_KEY_NONE = 0,
    AK_KEY_OWN,
    AK_KEY_SHARED,
    AK_KEY_ENV,
    AK_KEY_FILE
} ak_key_source_e;


/* A header: of the forwarded request, or of the answer to a denied one. */

typedef struct {
    ak_str_t  name;
    ak_str_t  value;           /* the transaction's memory */
    ak_str_t  lowcase;         /* the name, where it replaces what the client
                                  sent under it; else len 0 */
} ak_effect_t;


/* Who it is.  Strings live as long as the transaction. */

typedef struct {
    ak_str_t     id;           /* of the key; may be logged */
    ak_str_t     owner;
    ak_str_t     name;         /* of the key */
    ak_str_t     record;       /* packed, see ak_record.h; may be empty, where
                                  there is none */
    ak_str_t     claims;       /* of a token: JSON; empty: there are none */
    ak_source_e  source;       /* of the record */
} ak_identity_t;


#define AK_EFFECTS_MAX  16
#define AK_REPLIES_MAX  4
#define AK_SECRETS_MAX  8
#define AK_LINES_MAX    64     /* of a stack, with what it includes */
#define AK_LEVELS_MAX   8      /* of substacks and includes */


typedef struct ak_stack_s  ak_stack_t;


/* pam.conf(5)'s state of a stack: an impression, and the line that made it. */

typedef struct {
    int8_t       impression;
    uint8_t      status;       /* ak_reason_e */
    uint8_t      line;         /* from 1; 0: none */
    bool         granted;      /* a line was let count as success */
} ak_state_t;


/* Where a phase stands. */

typedef struct {
    ak_state_t   state;
    ak_state_t   levels[AK_LEVELS_MAX];        /* when substacks were entered */
    ak_state_t   first;        /* the first failure of a line, counted or not */
    uint8_t      at;           /* the line it is at */
    uint16_t     asked;        /* how often lines asked */
    uint8_t      unavailable;  /* the first line that was, from 1 */
} ak_progress_t;


typedef struct ak_txn_s {

    /* by the host, before the first run */

    ak_mem_t             mem;
    ak_view_t            view;
    ak_digest_t         *digest;
    const ak_keyring_t  *keyring;      /* NULL: there is none */
    int64_t              now;          /* Unix seconds */
    ak_str_t             avoid;        /* a slot that was refused just now, of
                                          the pool that "provider" and
                                          "key_source" told of when
                                          ak_txn_again() was called, for the
                                          run after that; len 0: none */

    /* writes a line to a log that ak_site_t's open_log() returned */

    void               (*log)(void *host, void *log, ak_str_t line);

    /* between the host and the modules */

    ak_need_t            need;
    ak_answer_t          answer;
    bool                 answered;

    /* the outcome */

    ak_reason_e          reason;       /* AK_SUCCESS, or why not */
    ak_str_t             module;       /* the module that decided, */
    ak_str_t             stack;        /* the stack that its line is in, */
    unsigned             line;         /* and which one of it, from 1 */
    const char          *alert;        /* a broken invariant, for the log */

    bool                 identified;   /* a line proved who it is, and counts */
    ak_str_t             id;           /* see ak_identity_t; without that: of */
    ak_str_t             owner;        /*   the key that was refused */
    ak_str_t             name;
    ak_str_t             record;
    ak_str_t             claims;
    ak_source_e          source;
    ak_str_t             provider;     /* whose key is injected */
    ak_str_t             slot;
    ak_key_source_e      key_source;
    uint64_t             token;        /* ak_pool_token() of what was opened;
                                          0: it is of no pool */
    const ak_provider_t *carried;      /* the row of "provider" */
    bool                 one;          /* no other slot could serve */
    const char          *trouble;      /* why a secret could not be opened: it
                                          "is ..."; NULL: none was in trouble */
    char                 about[AK_KID_LEN * 2 + 1];    /* and the kid that is
                                          not in the keyring; "": it is not
                                          that */
    ak_str_t             troubled;     /* the slot it was in; "slot" may be the
                                          one that served instead */

    /* staged: of the request, and of the answer to a denied one */

    unsigned             neffects;
    unsigned             nreplies;
    ak_effect_t          effects[AK_EFFECTS_MAX];
    ak_effect_t          replies[AK_REPLIES_MAX];
    uint64_t             retry;        /* milliseconds; 0: the reason's own */

    /* the library's own */

    ak_cred_t            cred;
    const ak_carriers_t *collected;    /* cred is what they held, or NULL */
    bool                 presented;    /* some line saw a credential */
    bool                 proved;       /* the line that was called knows who: */
    ak_identity_t        identity;
    ak_progress_t        progress;
    void                *state;        /* of the line that asked */
    ak_phase_e           phase;
    bool                 running;
    bool                 finished[AK_PHASE_MAX];
    uint64_t             opened;       /* session lines, a bit each */
    bool                 anew;         /* the session's next run is the one
                                          that ak_txn_again() wants */
    ak_str_t             avoided;      /* the provider of "avoid"; len 0: this
                                          is another run */
    ak_key_source_e      avoided_source;
    const ak_carriers_t *carried_over; /* "collected", and how many secrets */
    unsigned             kept;         /*   and replies, before the session */
    unsigned             replied;
    unsigned             nsecrets;
    struct {
        uint8_t  *data;
        size_t    size;
    }                    secrets[AK_SECRETS_MAX];
} ak_txn_t;


/* Prepares a transaction.  The host then fills in its part. */

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

/*
 * Takes back what session lines have done, wipes what they opened, and has them
 * run anew by ak_stack_run(): for a host whose upstream refused the slot that
 * it puts into t->avoid.  Who it is stays, and so do the secrets of lines of
 * auth.  What the outcome said of the key is there until the new run.
 */

void ak_txn_again(ak_txn_t *t, const ak_stack_t *stack);

/* Whose the pool is that "provider" and "slot" are of: "*", the shared keys. */

static inline ak_str_t
ak_txn_key_owner(const ak_txn_t *t)
{
    return (t->key_source == AK_KEY_OWN) ? t->owner : ak_literal("*");
}

/*
 * Forgets who it is: for a host that lets a request pass which the stack did
 * not grant.
 */

void ak_txn_forget(ak_txn_t *t);

/*
 * For modules: the client's credential in those carriers; collected anew only
 * where they are others than those of the call before.
 */

const ak_cred_t *ak_txn_cred(ak_txn_t *t, const ak_carriers_t *carriers);

/*
 * For modules of auth, before "return AK_SUCCESS": who it is.  It is so where
 * the line is the one that grants; a line whose success does not count, or
 * comes after another's, says nothing of it.
 */

void ak_txn_identify(ak_txn_t *t, const ak_identity_t *identity);

/* For modules of auth: whose key is looked at, for the log of a denial. */

void ak_txn_suspect(ak_txn_t *t, ak_str_t id, ak_source_e source);

/*
 * For modules: asks for something; "return ak_txn_ask(...)".  The strings live
 * as long as the transaction.
 */

ak_reason_e ak_txn_ask(ak_txn_t *t, ak_need_e type, ak_str_t name,
    ak_str_t provider);

/* For modules: a token of the bucket "name"; the rate lives as long. */

ak_reason_e ak_txn_ask_rate(ak_txn_t *t, ak_str_t name,
    const ak_rate_t *rate);

/* For modules: to keep a value, which lives as long, or newer keys. */

ak_reason_e ak_txn_ask_keep(ak_txn_t *t, ak_str_t name, ak_str_t value);
ak_reason_e ak_txn_ask_keys(ak_txn_t *t, ak_keys_t *keys);

/*
 * For modules: what is known of the slots of a set that AK_NEED_TOKENS answered
 * for that owner and provider.
 */

ak_reason_e ak_txn_ask_slots(ak_txn_t *t, ak_str_t owner, ak_str_t provider,
    ak_str_t packed, bool turn);

/* For modules: memory that is wiped at the end.  NULL: no more. */

uint8_t *ak_txn_secret(ak_txn_t *t, size_t size);

/* For modules: wipes and forgets the secret that was got last. */

void ak_txn_secret_drop(ak_txn_t *t);

/*
 * For modules: stages a header of the forwarded request, one that is never the
 * client's or one that replaces the client's, or of the answer where the
 * request is denied.  AK_ERROR: beyond AK_EFFECTS_MAX, AK_REPLIES_MAX.
 */

ak_rc_t ak_txn_set_header(ak_txn_t *t, ak_str_t name, ak_str_t value);
ak_rc_t ak_txn_replace_header(ak_txn_t *t, ak_str_t name, ak_str_t lowcase,
    ak_str_t value);
ak_rc_t ak_txn_reply_header(ak_txn_t *t, ak_str_t name, ak_str_t value);


#endif /* _AK_TXN_H_INCLUDED_ */
