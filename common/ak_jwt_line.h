
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_JWT_LINE_H_INCLUDED_
#define _AK_JWT_LINE_H_INCLUDED_


#include "ak_jwt.h"
#include "ak_stack.h"


/*
 * What a line "auth ... jwt ..." says: read by the module, and by who explains
 * what it would do with a token.
 */

#define AK_JWT_OWNER_MAX  (AK_NAME_MAX - 4)    /* "jwt:" before it */
#define AK_JWT_PREFIX_MAX 128


typedef struct {
    ak_str_t        secret;
    ak_str_t        pem;
    ak_str_t        jwks;
    ak_str_t        uri;
    ak_str_t        owner;             /* the claim */
    ak_str_t        scopes;            /* the claim; empty: none */
    ak_str_t        webui;             /* prefix; empty: not Open WebUI */
    ak_str_t        from;
    int64_t         leeway;            /* milliseconds, as arguments are */
    int64_t         max_age;
    unsigned        exp;
    unsigned        weak;
    ak_jwt_rules_t  rules;
    ak_carriers_t   carriers;
    ak_keys_t       keys;
    ak_keys_t      *held;              /* they, for who brings newer ones */
    uint8_t         digest[AK_SHA256_LEN];     /* of all that decides */
} ak_jwt_line_t;


extern const ak_arg_t  ak_jwt_line_args[];

/* Before the arguments are read: what they are unless they say so. */

void ak_jwt_line_defaults(void *line);

/*
 * Checks and completes what the arguments were read into, and loads the keys,
 * which are line->keys and not held yet.  AK_ERROR: the diagnostic says why.
 */

ak_rc_t ak_jwt_line_init(ak_jwt_line_t *line, const ak_init_t *in);

/*
 * A claim that is a string or an integer, as text in memory of mem.  AK_ERROR:
 * it is neither, or not there.  AK_NO_MEMORY.
 */

ak_rc_t ak_jwt_line_text(const json_t *claim, ak_mem_t *mem, ak_str_t *text);

/*
 * Whose it is: AK_SUCCESS and the text of the claim "owner" in memory of mem;
 * AK_JWT_CLAIMS: it is none that can be an owner; AK_STORE_UNAVAILABLE: there
 * is no memory.
 */

ak_reason_e ak_jwt_line_owner(const ak_jwt_line_t *line, const json_t *claims,
    ak_mem_t *mem, ak_str_t *owner, ak_diag_t *d);

/*
 * The scopes of the claim "scopes": names between spaces (RFC 8693, 4.2), or
 * a list of names.  What is no scope is left out, and "*", which is all of them
 * where an operator says it.  AK_NO_MEMORY.
 */

ak_rc_t ak_jwt_line_scopes(const ak_jwt_line_t *line, const json_t *claims,
    ak_mem_t *mem, ak_str_t *scopes);


#endif /* _AK_JWT_LINE_H_INCLUDED_ */
