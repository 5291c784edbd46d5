
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_H_INCLUDED_
#define _CTL_H_INCLUDED_


#include <jansson.h>

#include "ak_diag.h"
#include "ak_keyring.h"
#include "ak_record.h"
#include "ak_resp.h"
#include "ak_store.h"


/*
 * apikeyctl, the operator's command.
 *
 * Functions that can fail return an exit status; whoever finds the failure
 * tells it on stderr, so that a caller only hands the status on.  A command
 * prints on stdout when all that it had to do is done.
 */

typedef enum {
    CTL_DONE = 0,
    CTL_REFUSED = 1,           /* or not found, or not to be done */
    CTL_USAGE = 2,
    CTL_STORE = 3,             /* unavailable, or it refused a command */
    CTL_KEYRING = 4
} ctl_status_e;


#define CTL_STORE_WORDS_MAX  32
#define CTL_FIELDS_MAX       (AK_RESP_ELEMENTS_MAX / 2)
#define CTL_KID_TEXT_LEN     (AK_KID_LEN * 2)


typedef struct ctl_fleet_s    ctl_fleet_t;
typedef struct ctl_file_s     ctl_file_t;
typedef struct ctl_command_s  ctl_command_t;


/* The values of an option that may be given several times. */

#define CTL_LIST_MAX  64

typedef struct {
    const char  *values[CTL_LIST_MAX];
    size_t       n;
} ctl_list_t;


typedef struct {

    /* the command line */

    const ctl_command_t  *command;
    char                **words;       /* those behind noun and verb */
    size_t                nwords;
    const char           *store;
    const char           *keyring;
    const char           *owner;
    const char           *name;
    const char           *expires;
    const char           *brand;
    const char           *slot;
    const char           *rate;
    const char           *grace;
    const char           *unused;
    const char           *format;
    const char           *jti;
    const char           *sub;
    const char           *at;
    const char           *user;
    const char           *app_key;
    ctl_list_t            scopes;
    ctl_list_t            routes;
    ctl_list_t            ips;
    ctl_list_t            meta;
    bool                  shared;
    bool                  dry_run;
    bool                  force;
    bool                  replace;
    bool                  json;

    /* what is open */

    ak_store_conf_t       conf;
    ak_str_t              store_words[CTL_STORE_WORDS_MAX];
    ctl_fleet_t          *fleet;
    ctl_file_t           *file;
    ak_keyring_t         *keys;
    bool                  unsure;      /* a change is on its way */
} ctl_t;


struct ctl_command_s {
    const char    *noun;
    const char    *verb;               /* NULL: the noun says it all */
    ctl_status_e (*run)(ctl_t *ctl);
    unsigned       options;            /* bits, see apikeyctl.c */
    unsigned       min;                /* words, at least and at most */
    unsigned       max;
    const char    *synopsis;
    const char    *about;
    const char    *help;
};


/* apikeyctl.c: "apikeyctl: ..." on stderr, control characters replaced. */

ctl_status_e ctl_fail(ctl_status_e status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A usage error: the same, and where help is to be had. */

ctl_status_e ctl_usage(const ctl_t *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether the value of an option can be an owner or a name. */

ctl_status_e ctl_name_check(const ctl_t *ctl, const char *option,
    const char *value);

/* ctl_mem.c: memory that is wiped when it is freed; never NULL. */

void *ctl_alloc(size_t size);
void *ctl_grow(void *p, size_t size);
void ctl_free(void *p);
char *ctl_strdup(ak_str_t s);

/* ctl_keyring.c: loads the keyring into ctl->keys; kid in hex and a zero. */

ctl_status_e ctl_keyring_open(ctl_t *ctl);

/* The same of a keyring that is named; a failure is not told. */

ctl_status_e ctl_keyring_load(ctl_t *ctl, ak_diag_t *d);

/* Where the keyring is an environment variable, its name; else NULL. */

const char *ctl_keyring_variable(const ctl_t *ctl);

void ctl_kid_text(const uint8_t *kid, char text[CTL_KID_TEXT_LEN + 1]);

/* The kid that a word of the command line is. */

ctl_status_e ctl_kid_parse(const ctl_t *ctl, const char *word,
    uint8_t kid[AK_KID_LEN]);

/*
 * ctl_secret.c: the secret of stdin, at most max bytes to dst; "what" it is,
 * for messages.
 */

ctl_status_e ctl_secret_read(const char *prompt, const char *what,
    uint8_t *dst, size_t max, size_t *len);

/* The commands. */

ctl_status_e ctl_init(ctl_t *ctl);

ctl_status_e ctl_keyring_check(ctl_t *ctl);
ctl_status_e ctl_keyring_add(ctl_t *ctl);
ctl_status_e ctl_keyring_rotate(ctl_t *ctl);
ctl_status_e ctl_keyring_retire(ctl_t *ctl);

ctl_status_e ctl_key_create(ctl_t *ctl);
ctl_status_e ctl_key_list(ctl_t *ctl);
ctl_status_e ctl_key_show(ctl_t *ctl);
ctl_status_e ctl_key_disable(ctl_t *ctl);
ctl_status_e ctl_key_enable(ctl_t *ctl);
ctl_status_e ctl_key_revoke(ctl_t *ctl);
ctl_status_e ctl_key_delete(ctl_t *ctl);
ctl_status_e ctl_key_rotate(ctl_t *ctl);
ctl_status_e ctl_key_import(ctl_t *ctl);

ctl_status_e ctl_upstream_set(ctl_t *ctl);
ctl_status_e ctl_upstream_list(ctl_t *ctl);
ctl_status_e ctl_upstream_check(ctl_t *ctl);
ctl_status_e ctl_upstream_reseal(ctl_t *ctl);
ctl_status_e ctl_upstream_delete(ctl_t *ctl);
ctl_status_e ctl_upstream_import(ctl_t *ctl);

ctl_status_e ctl_stack_check(ctl_t *ctl);

ctl_status_e ctl_jwt_check(ctl_t *ctl);
ctl_status_e ctl_jwt_revoke(ctl_t *ctl);
ctl_status_e ctl_jwt_revoked(ctl_t *ctl);
ctl_status_e ctl_jwt_unrevoke(ctl_t *ctl);

ctl_status_e ctl_doctor(ctl_t *ctl);


#endif /* _CTL_H_INCLUDED_ */
