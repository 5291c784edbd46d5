
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_jwt_line.h"
#include "ak_mark.h"
#include "ak_mem.h"
#include "ak_modules.h"
#include "ak_record.h"
#include "ak_verified.h"


/*
 * auth ... jwt secret=env:NAME|file:PATH | key=PATH | jwks=PATH | jwks_uri=URI
 *              [issuer=A,...] [audience=A,...] ... [from=CARRIER,...]
 *
 * A JSON Web Token, RFC 7519.  What a token says is looked at once its
 * signature has been verified.  That is done once: what came of it is kept
 * under a digest of the line and the token, and afterwards only what changes
 * is looked at: the keys, the time, and whether it was revoked.
 */


/* What was asked for last. */

typedef enum {
    AK_JWT_BEGIN = 0,
    AK_JWT_LOOKED,             /* for what was kept */
    AK_JWT_NEWER,              /* for newer keys */
    AK_JWT_KEPT,               /* to keep it */
    AK_JWT_MARKED              /* for the mark "mark" */
} ak_jwt_step_e;


/* What a token can be revoked by, and where that stands. */

typedef enum {
    AK_JWT_MARK_JTI = 0,
    AK_JWT_MARK_SUB,
    AK_JWT_MARK_OWNER,         /* where it is another claim */
    AK_JWT_MARK_WEBUI_JTI,
    AK_JWT_MARK_WEBUI_USER,
    AK_JWT_MARKS
} ak_jwt_mark_e;


typedef struct {
    ak_jwt_step_e   step;
    unsigned        mark;      /* ak_jwt_mark_e */
    ak_source_e     source;
    ak_str_t        name;      /* of what is kept */
    ak_verified_t   token;
    ak_str_t        id;        /* "jwt:" and the owner */
    ak_str_t        owner;
} ak_jwt_state_t;


static const struct {
    ak_need_e   need;
    const char *before;        /* behind the prefix, where it is one of ours */
    const char *after;
    bool        always;        /* it is revoked whatever the mark says */
} ak_jwt_marks[AK_JWT_MARKS] = {
    [AK_JWT_MARK_JTI] = { AK_NEED_MARK, AK_MARK_SPACE "jti:", "", true },
    [AK_JWT_MARK_SUB] = { AK_NEED_MARK, AK_MARK_SPACE "sub:", "", false },
    [AK_JWT_MARK_OWNER] = { AK_NEED_MARK, AK_MARK_SPACE "sub:", "", false },
    [AK_JWT_MARK_WEBUI_JTI] = { AK_NEED_FOREIGN, ":auth:token:", ":revoked",
                                true },
    [AK_JWT_MARK_WEBUI_USER] = { AK_NEED_FOREIGN, ":auth:user:",
                                 ":revoked_at", false }
};


static const ak_str_t  ak_jwt_name = ak_string("jwt");
static const ak_str_t  ak_jwt_webui = ak_string(":auth:");


static ak_rc_t ak_jwt_foreign(const ak_jwt_line_t *line, const ak_init_t *in);


static ak_rc_t
ak_jwt_init(void *data, const ak_init_t *in)
{
    ak_jwt_line_t *line = data;

    if (ak_jwt_line_init(line, in) != AK_OK) {
        return AK_ERROR;
    }

    line->held = &line->keys;

    if (in->site->hold_keys(in->site->data, line->held, in->d) != AK_OK) {
        ak_keys_free(&line->keys);
        return AK_ERROR;
    }

    return (line->webui.len != 0) ? ak_jwt_foreign(line, in) : AK_OK;
}


/* What the marks of Open WebUI begin with. */

static ak_rc_t
ak_jwt_foreign(const ak_jwt_line_t *line, const ak_init_t *in)
{
    uint8_t    *name;
    ak_site_t  *site;

    site = in->site;

    if (site->foreign == NULL) {
        return AK_OK;
    }

    name = site->mem.alloc(site->mem.data,
                           line->webui.len + ak_jwt_webui.len);
    if (name == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    memcpy(name, line->webui.data, line->webui.len);
    memcpy(name + line->webui.len, ak_jwt_webui.data, ak_jwt_webui.len);

    site->foreign(site->data,
                  ak_str(name, line->webui.len + ak_jwt_webui.len));

    return AK_OK;
}


static ak_rc_t
ak_jwt_strip(const void *data, ak_strip_t *strip)
{
    const ak_jwt_line_t *line = data;

    return ak_strip_add_carriers(strip, &line->carriers);
}


/* The record that account and session lines read, as if a store had it. */

static ak_rc_t
ak_jwt_pack(ak_txn_t *t, const ak_record_t *rec, ak_str_t *packed)
{
    size_t    len;
    uint8_t  *p, *buf;
    ak_rc_t   rc;

    buf = malloc(AK_VALUE_MAX);

    if (buf == NULL) {
        return AK_NO_MEMORY;
    }

    rc = ak_record_pack(rec, buf, &len);

    if (rc == AK_OK) {
        p = t->mem.alloc(t->mem.data, len);

        if (p != NULL) {
            memcpy(p, buf, len);
            *packed = ak_str(p, len);
        }

        rc = (p == NULL) ? AK_NO_MEMORY : AK_OK;
    }

    free(buf);

    return rc;
}


static ak_reason_e
ak_jwt_record(ak_txn_t *t, const ak_jwt_line_t *line, const json_t *claims,
    ak_str_t *packed)
{
    ak_rc_t      rc;
    ak_reason_e  reason;
    ak_record_t  rec;

    memset(&rec, 0, sizeof(ak_record_t));
    rec.status = AK_STATUS_ACTIVE;
    rec.name = ak_jwt_name;

    reason = ak_jwt_line_owner(line, claims, &t->mem, &rec.owner, NULL);

    if (reason != AK_SUCCESS) {
        return reason;
    }

    rc = ak_jwt_line_scopes(line, claims, &t->mem, &rec.scopes);

    if (rc == AK_OK) {
        rc = ak_jwt_pack(t, &rec, packed);
    }

    switch (rc) {

    case AK_OK:
        return AK_SUCCESS;

    case AK_NO_MEMORY:
        return AK_STORE_UNAVAILABLE;

    default: /* the scopes are too long */
        return AK_JWT_CLAIMS;
    }
}


/* A claim by which a token is revoked: one that cannot be told is refused. */

static ak_reason_e
ak_jwt_handle(ak_txn_t *t, const json_t *claims, const char *name,
    ak_str_t *value)
{
    ak_rc_t        rc;
    const json_t  *claim;

    *value = ak_str(NULL, 0);
    claim = json_object_get(claims, name);

    if (claim == NULL || json_is_null(claim)) {
        return AK_SUCCESS;
    }

    rc = ak_jwt_line_text(claim, &t->mem, value);

    if (rc == AK_NO_MEMORY) {
        return AK_STORE_UNAVAILABLE;
    }

    if (rc != AK_OK || (value->len != 0 && !ak_mark_claim_valid(*value))) {
        return AK_JWT_CLAIMS;
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_handles(ak_txn_t *t, const ak_jwt_line_t *line, const json_t *claims,
    ak_verified_t *v)
{
    ak_reason_e  reason;

    reason = ak_jwt_handle(t, claims, "jti", &v->jti);

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_handle(t, claims, "sub", &v->sub);
    }

    if (reason == AK_SUCCESS && line->webui.len != 0) {
        reason = ak_jwt_handle(t, claims, "id", &v->user);
    }

    return reason;
}


static ak_reason_e
ak_jwt_take(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_t *jwt,
    ak_verified_t *v)
{
    ak_reason_e  reason;

    reason = ak_jwt_claims(jwt, &line->rules, &t->mem, &v->times, NULL);

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_record(t, line, jwt->claims, &v->record);
    }

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_handles(t, line, jwt->claims, v);
    }

    v->claims = jwt->text;

    return reason;
}


/* The whole of it; *missing: there is no key of this kid, or none at all. */

static ak_reason_e
ak_jwt_examine(ak_txn_t *t, const ak_jwt_line_t *line, ak_str_t token,
    ak_verified_t *v, bool *missing)
{
    ak_jwt_t         jwt;
    ak_reason_e      reason;
    const ak_jwk_t  *by;

    *missing = false;

    reason = ak_jwt_parse(&jwt, token, &t->mem, NULL);

    if (reason == AK_SUCCESS && line->keys.set == NULL) {
        *missing = true;
        reason = AK_STORE_UNAVAILABLE;
    }

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_verify(&jwt, &line->rules, line->keys.set, &by,
                               missing, NULL);
    }

    if (reason == AK_SUCCESS) {
        memcpy(v->key, ak_jws_key_id(by->key), AK_JWS_ID_LEN);
        v->alg = jwt.alg->name;
        reason = ak_jwt_take(t, line, &jwt, v);
    }

    ak_jwt_free(&jwt);

    return reason;
}


/* "revoked:jti:X", "PREFIX:auth:token:X:revoked" */

static ak_reason_e
ak_jwt_mark_ask(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state,
    ak_str_t what)
{
    size_t    before, after, prefix;
    uint8_t  *name, *p;
    unsigned  m;

    m = state->mark;

    prefix = (ak_jwt_marks[m].need == AK_NEED_FOREIGN) ? line->webui.len : 0;
    before = strlen(ak_jwt_marks[m].before);
    after = strlen(ak_jwt_marks[m].after);

    name = t->mem.alloc(t->mem.data, prefix + before + what.len + after);

    if (name == NULL) {
        return AK_STORE_UNAVAILABLE;
    }

    p = name;

    if (prefix != 0) {
        memcpy(p, line->webui.data, prefix);
        p += prefix;
    }

    memcpy(p, ak_jwt_marks[m].before, before);
    p += before;

    memcpy(p, what.data, what.len);
    p += what.len;

    memcpy(p, ak_jwt_marks[m].after, after);
    p += after;

    state->step = AK_JWT_MARKED;

    return ak_txn_ask(t, ak_jwt_marks[m].need,
                      ak_str(name, (size_t) (p - name)), ak_str(NULL, 0));
}


static ak_reason_e
ak_jwt_grant(ak_txn_t *t, const ak_jwt_state_t *state)
{
    ak_identity_t  who;

    memset(&who, 0, sizeof(ak_identity_t));
    who.id = state->id;
    who.owner = state->owner;
    who.name = ak_jwt_name;
    who.record = state->token.record;
    who.claims = state->token.claims;
    who.source = state->source;

    ak_txn_identify(t, &who);

    return AK_SUCCESS;
}


/* Asks for the marks that it can have, from state->mark on. */

static ak_reason_e
ak_jwt_marks_next(ak_txn_t *t, const ak_jwt_line_t *line,
    ak_jwt_state_t *state)
{
    ak_str_t  what;

    for ( /* void */ ; state->mark < AK_JWT_MARKS; state->mark++) {

        what = ak_str(NULL, 0);

        switch (state->mark) {

        case AK_JWT_MARK_JTI:
            what = state->token.jti;
            break;

        case AK_JWT_MARK_SUB:
            what = state->token.sub;
            break;

        case AK_JWT_MARK_OWNER:

            if (!ak_str_eq(state->owner, state->token.sub)) {
                what = state->owner;
            }

            break;

        case AK_JWT_MARK_WEBUI_JTI:

            if (line->webui.len != 0) {
                what = state->token.jti;
            }

            break;

        default: /* AK_JWT_MARK_WEBUI_USER */
            what = state->token.user;
            break;
        }

        if (what.len != 0) {
            return ak_jwt_mark_ask(t, line, state, what);
        }
    }

    return ak_jwt_grant(t, state);
}


/*
 * Whether a token was issued at or before the time that a mark says; of what
 * is no time nobody can tell.
 */

static bool
ak_jwt_before(const ak_verified_t *v, ak_str_t mark)
{
    int64_t  at;

    return v->times.issued == 0 || ak_mark_time(mark, &at) != AK_OK
           || v->times.issued <= at;
}


static ak_reason_e
ak_jwt_marked(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    switch (t->answer.rc) {

    case AK_NOT_FOUND:
        break;

    case AK_UNAVAILABLE:
        return AK_STORE_UNAVAILABLE;

    case AK_OK:

        if (!ak_jwt_marks[state->mark].always
            && !ak_jwt_before(&state->token, t->answer.value))
        {
            break;
        }

        return AK_JWT_REVOKED;

    default:                   /* there is something */
        return AK_JWT_REVOKED;
    }

    state->mark++;

    return ak_jwt_marks_next(t, line, state);
}


/* It is what it says to be: what is left is what changes. */

static ak_reason_e
ak_jwt_judge(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    uint8_t      *id;
    ak_reason_e   reason;
    ak_record_t   rec;

    static const ak_str_t  prefix = ak_string("jwt:");

    if (ak_record_unpack(state->token.record, &rec) != AK_OK) {
        return AK_STORE_UNAVAILABLE;
    }

    id = t->mem.alloc(t->mem.data, prefix.len + rec.owner.len);

    if (id == NULL) {
        return AK_STORE_UNAVAILABLE;
    }

    memcpy(id, prefix.data, prefix.len);
    memcpy(id + prefix.len, rec.owner.data, rec.owner.len);

    state->id = ak_str(id, prefix.len + rec.owner.len);
    state->owner = rec.owner;

    ak_txn_suspect(t, state->id, state->source);

    reason = ak_jwt_now(&state->token.times, &line->rules, t->now, NULL);

    return (reason == AK_SUCCESS) ? ak_jwt_marks_next(t, line, state)
                                  : reason;
}


/* Where it is too large to be kept, that costs time only. */

static ak_reason_e
ak_jwt_keep(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    size_t    size;
    uint8_t  *p;

    p = NULL;
    size = ak_verified_size(&state->token);

    if (size <= AK_VALUE_MAX
        && ak_jwt_now(&state->token.times, &line->rules, t->now, NULL)
           == AK_SUCCESS)
    {
        p = t->mem.alloc(t->mem.data, size);
    }

    if (p == NULL) {
        return ak_jwt_judge(t, line, state);
    }

    ak_verified_pack(&state->token, p);

    state->step = AK_JWT_KEPT;

    return ak_txn_ask_keep(t, state->name, ak_str(p, size));
}


static ak_reason_e
ak_jwt_verified(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    bool         missing;
    ak_reason_e  reason;

    memset(&state->token, 0, sizeof(ak_verified_t));
    state->source = AK_SOURCE_MISS;

    reason = ak_jwt_examine(t, line, t->cred.value, &state->token, &missing);

    if (missing && state->step != AK_JWT_NEWER) {
        state->step = AK_JWT_NEWER;

        return ak_txn_ask_keys(t, line->held);
    }

    return (reason == AK_SUCCESS) ? ak_jwt_keep(t, line, state) : reason;
}


/* What was kept is good as long as its key is one of the line's. */

static ak_reason_e
ak_jwt_looked(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    if (t->answer.rc == AK_OK && line->keys.set != NULL
        && ak_verified_unpack(t->answer.value, &state->token) == AK_OK
        && ak_jwks_has(line->keys.set, state->token.key,
                       ak_jws_alg(state->token.alg)))
    {
        state->source = AK_SOURCE_HIT;

        return ak_jwt_judge(t, line, state);
    }

    if (t->answer.rc == AK_DENIED) {
        return AK_TOO_MANY_FAILURES;
    }

    return ak_jwt_verified(t, line, state);
}


static ak_reason_e
ak_jwt_newer(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    if (t->answer.rc == AK_UNAVAILABLE) {
        return AK_STORE_UNAVAILABLE;
    }

    return ak_jwt_verified(t, line, state);
}


static ak_reason_e
ak_jwt_look(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state,
    ak_str_t token)
{
    uint8_t  *name;

    if (token.len > AK_JWT_MAX) {
        return AK_JWT_MALFORMED;
    }

    name = t->mem.alloc(t->mem.data, AK_SHA256_LEN);

    if (name == NULL
        || ak_digest(t->digest, ak_str(line->digest, AK_SHA256_LEN), token,
                     name)
           != AK_OK)
    {
        return AK_STORE_UNAVAILABLE;
    }

    state->name = ak_str(name, AK_SHA256_LEN);
    state->step = AK_JWT_LOOKED;

    return ak_txn_ask(t, AK_NEED_KEPT, state->name, ak_str(NULL, 0));
}


static ak_reason_e
ak_jwt_begin(ak_txn_t *t, const ak_jwt_line_t *line, ak_jwt_state_t *state)
{
    const ak_cred_t  *cred;

    cred = ak_txn_cred(t, &line->carriers);

    switch (cred->kind) {

    case AK_CRED_JWT:
        return ak_jwt_look(t, line, state, cred->value);

    case AK_CRED_MALFORMED:
        return AK_MALFORMED;

    case AK_CRED_AMBIGUOUS:
        return AK_AMBIGUOUS;

    default:
        return AK_IGNORE;
    }
}


static ak_reason_e
ak_jwt_auth(ak_txn_t *t, const void *line, void *data)
{
    ak_jwt_state_t *state = data;

    switch (state->step) {

    case AK_JWT_BEGIN:
        return ak_jwt_begin(t, line, state);

    case AK_JWT_LOOKED:
        return ak_jwt_looked(t, line, state);

    case AK_JWT_NEWER:
        return ak_jwt_newer(t, line, state);

    case AK_JWT_KEPT:
        return ak_jwt_judge(t, line, state);

    default: /* AK_JWT_MARKED */
        return ak_jwt_marked(t, line, state);
    }
}


const ak_module_t  ak_mod_jwt = {
    .name = ak_string("jwt"),
    .about = "a signed token of an issuer",
    .conf_size = sizeof(ak_jwt_line_t),
    .state_size = sizeof(ak_jwt_state_t),
    .args = ak_jwt_line_args,
    .defaults = ak_jwt_line_defaults,
    .init = ak_jwt_init,
    .strip = ak_jwt_strip,
    .run = { [AK_AUTH] = ak_jwt_auth }
};
