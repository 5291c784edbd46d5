
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_KEYS_H_INCLUDED_
#define _AK_KEYS_H_INCLUDED_


#include "ak_jwk.h"


/*
 * The keys of a line that verifies tokens, and where they come from.  What
 * comes from a file or a URI may change while the line is in use: the host
 * looks after that.
 */

typedef enum {
    AK_KEYS_ENV = 0,           /* a secret, in the environment */
    AK_KEYS_SECRET,            /* a secret, in a file */
    AK_KEYS_PEM,               /* public keys and certificates, in a file */
    AK_KEYS_JWKS,              /* a JWK set, in a file */
    AK_KEYS_URI                /* a JWK set that is fetched */
} ak_keys_from_e;


typedef struct {
    ak_keys_from_e  from;
    ak_str_t        source;    /* name, path or URI, with a zero behind it */

    ak_str_t        ca;        /* of URI: certificates to trust; may be empty */
    int64_t         refresh;   /* milliseconds between two that are due, */
    int64_t         interval;  /*   the least between two that are not, */
    int64_t         timeout;   /*   and of one */

    ak_jwks_t      *set;       /* NULL: none yet, of a URI */
    void           *host;      /* the host's own */
} ak_keys_t;


/*
 * Reads what is not a URI, anew if it was read before.  AK_ERROR: the
 * diagnostic says why, and what there was stays.  Secrets are refused from
 * files that the world can read, as ak_file_secret() does.  Blocks on the disk.
 */

ak_rc_t ak_keys_load(ak_keys_t *keys, ak_diag_t *d);

/*
 * Takes a set that was fetched, likewise; *skipped (or NULL) is as
 * ak_jwks_parse() has it.
 */

ak_rc_t ak_keys_take(ak_keys_t *keys, ak_str_t text, unsigned *skipped,
    ak_diag_t *d);

void ak_keys_free(ak_keys_t *keys);

/*
 * Whether a URI can be one of keys: "https://HOST[:PORT][/PATH][?QUERY]", of
 * visible characters and without a user; plain "http://" for 127.0.0.1 and
 * [::1] only, since who can change what is fetched can make tokens.
 */

ak_rc_t ak_keys_uri(ak_str_t uri, ak_diag_t *d);


#endif /* _AK_KEYS_H_INCLUDED_ */
