
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <inttypes.h>
#include <strings.h>

#include "ak_base64.h"
#include "ak_jwt.h"


/* RFC 7519, 2: a NumericDate; this is far beyond any. */

#define AK_JWT_TIME_MAX  253402300799  /* 9999-12-31T23:59:59Z */

/* Keys that are tried where a token does not say which: a bound of the work. */

#define AK_JWT_TRIES     16


static ak_reason_e ak_jwt_header(ak_jwt_t *jwt, ak_diag_t *d);


static ak_reason_e
ak_jwt_wrong(ak_diag_t *d, ak_reason_e reason, const char *why)
{
    ak_diag(d, "%s", why);

    return reason;
}


/* The parts between the dots; how many there are, at most 6. */

static size_t
ak_jwt_split(ak_str_t token, ak_str_t parts[6])
{
    size_t          n;
    const uint8_t  *dot;

    for (n = 0; n < 6; n++) {
        dot = token.len == 0 ? NULL : memchr(token.data, '.', token.len);

        if (dot == NULL) {
            parts[n] = token;
            return n + 1;
        }

        parts[n] = ak_str(token.data, (size_t) (dot - token.data));
        token = ak_str(dot + 1, token.len - parts[n].len - 1);
    }

    return n;
}


static ak_rc_t
ak_jwt_decode(ak_str_t text, ak_mem_t *mem, ak_str_t *value)
{
    size_t    len;
    uint8_t  *p;

    p = mem->alloc(mem->data, ak_base64_decoded_max(text.len) + 1);

    if (p == NULL) {
        return AK_NO_MEMORY;
    }

    if (ak_base64_decode(AK_BASE64URL, text, p, &len) != AK_OK) {
        return AK_ERROR;
    }

    *value = ak_str(p, len);

    return AK_OK;
}


ak_reason_e
ak_jwt_parse(ak_jwt_t *jwt, ak_str_t token, ak_mem_t *mem, ak_diag_t *d)
{
    size_t    n;
    ak_rc_t   rc;
    ak_str_t  parts[6], header;

    memset(jwt, 0, sizeof(ak_jwt_t));

    if (token.len > AK_JWT_MAX) {
        ak_diag(d, "it is longer than %d bytes", AK_JWT_MAX);
        return AK_JWT_MALFORMED;
    }

    n = ak_jwt_split(token, parts);

    if (n == 5) {
        return ak_jwt_wrong(d, AK_JWT_ENCRYPTED, "it has five parts: it is "
                            "encrypted (RFC 7516), and only signed tokens "
                            "are taken");
    }

    if (n != 3) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "it has not three parts "
                            "between dots (RFC 7515, 7.1)");
    }

    if (ak_base64_decoded_max(parts[0].len) > AK_JWT_HEADER_MAX) {
        ak_diag(d, "its header is longer than %d bytes", AK_JWT_HEADER_MAX);
        return AK_JWT_MALFORMED;
    }

    rc = ak_jwt_decode(parts[0], mem, &header);

    if (rc == AK_OK) {
        rc = ak_jwt_decode(parts[2], mem, &jwt->signature);
    }

    if (rc == AK_NO_MEMORY) {
        return AK_STORE_UNAVAILABLE;
    }

    if (rc != AK_OK) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "its header or signature is "
                            "no strict base64url (RFC 7515, 2)");
    }

    jwt->input = ak_str(token.data, parts[0].len + 1 + parts[1].len);
    jwt->payload = parts[1];
    jwt->header = ak_json_object(header);

    if (jwt->header == NULL) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "its header is no JSON "
                            "object in UTF-8, or a member is there twice "
                            "(RFC 7515, 4)");
    }

    return ak_jwt_header(jwt, d);
}


void
ak_jwt_free(ak_jwt_t *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->claims);

    jwt->header = NULL;
    jwt->claims = NULL;
}


/* A member that is a string or not there. */

static bool
ak_jwt_string(const ak_jwt_t *jwt, const char *name, ak_str_t *value)
{
    *value = ak_json_text(jwt->header, name);

    return value->data != NULL
           || json_object_get(jwt->header, name) == NULL;
}


static ak_reason_e
ak_jwt_header(ak_jwt_t *jwt, ak_diag_t *d)
{
    ak_str_t  alg, cty;

    if (!ak_jwt_string(jwt, "alg", &alg) || alg.data == NULL) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "\"alg\" is missing or no "
                            "string (RFC 7515, 4.1.1)");
    }

    if (!ak_jwt_string(jwt, "kid", &jwt->kid)
        || jwt->kid.len > AK_JWT_KID_MAX)
    {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "\"kid\" is no string, or "
                            "too long (RFC 7515, 4.1.4)");
    }

    if (!ak_jwt_string(jwt, "typ", &jwt->typ)
        || !ak_jwt_string(jwt, "cty", &cty))
    {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "\"typ\" or \"cty\" is no "
                            "string (RFC 7515, 4.1.9, 4.1.10)");
    }

    /* none is understood, so that each that is critical is refused */

    if (json_object_get(jwt->header, "crit") != NULL) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "\"crit\" names what is not "
                            "understood here (RFC 7515, 4.1.11)");
    }

    if (json_object_get(jwt->header, "b64") != NULL
        && !json_is_true(json_object_get(jwt->header, "b64")))
    {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "its payload is not encoded "
                            "(RFC 7797, 3)");
    }

    if (json_object_get(jwt->header, "enc") != NULL) {
        return ak_jwt_wrong(d, AK_JWT_ENCRYPTED, "it is encrypted (RFC 7516, "
                            "4.1.2), and only signed tokens are taken");
    }

    if (cty.len != 0) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "another token is nested in "
                            "it (RFC 7519, 5.2)");
    }

    jwt->alg = ak_jws_alg(alg);

    if (jwt->alg == NULL) {
        ak_diag(d, "its algorithm \"%.*s\" is none that is accepted (RFC "
                "8725, 3.2)", AK_FMT(alg));
        return AK_JWT_SIGNATURE;
    }

    return AK_SUCCESS;
}


static bool
ak_jwt_listed(const ak_words_t *list, ak_str_t word)
{
    size_t  i;

    for (i = 0; i < list->n; i++) {
        if (ak_str_eq(list->list[i], word)) {
            return true;
        }
    }

    return false;
}


static bool
ak_jwt_weak(const ak_jwk_t *k, const ak_jws_alg_t *alg)
{
    return ak_jws_kty(k->key) == AK_KTY_OCT
           && ak_jws_secret_len(k->key) < alg->size;
}


ak_reason_e
ak_jwt_verify(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwks_t *set, const ak_jwk_t **by, bool *missing, ak_diag_t *d)
{
    size_t           i;
    bool             weak;
    unsigned         tried;
    const ak_jwk_t  *k;

    *missing = true;

    if (rules->algorithms.n != 0
        && !ak_jwt_listed(&rules->algorithms, jwt->alg->name))
    {
        *missing = false;
        ak_diag(d, "its algorithm \"%.*s\" is not among those of "
                "\"algorithms\" (RFC 8725, 3.1)", AK_FMT(jwt->alg->name));
        return AK_JWT_SIGNATURE;
    }

    tried = 0;
    weak = false;

    for (i = 0; (k = ak_jwks_at(set, i)) != NULL; i++) {

        if (!ak_jwk_serves(k, jwt->alg, jwt->kid) || tried == AK_JWT_TRIES) {
            continue;
        }

        *missing = false;

        if (rules->strong && ak_jwt_weak(k, jwt->alg)) {
            weak = true;
            continue;
        }

        tried++;

        switch (ak_jws_verify(k->key, jwt->alg, jwt->input, jwt->signature)) {

        case AK_OK:
            *by = k;
            return AK_SUCCESS;

        case AK_DENIED:
            break;

        default:
            ak_diag(d, "OpenSSL cannot verify with this key");
            return AK_STORE_UNAVAILABLE;
        }
    }

    if (tried == 0 && weak) {
        ak_diag(d, "its algorithm \"%.*s\" wants a secret of %u bytes or more "
                "(RFC 7518, 3.2)", AK_FMT(jwt->alg->name), jwt->alg->size);

    } else if (tried == 0) {
        ak_diag(d, "no key is for its algorithm \"%.*s\" and its kid \"%.*s\" "
                "(RFC 7515, 6)", AK_FMT(jwt->alg->name), AK_FMT(jwt->kid));

    } else {
        ak_diag(d, "its signature is that of none of %u key(s) (RFC 7515, "
                "5.2)", tried);
    }

    return AK_JWT_SIGNATURE;
}


/* A NumericDate, RFC 7519, 2: a number, perhaps with a fraction. */

static bool
ak_jwt_time(const json_t *claims, const char *name, int64_t *at)
{
    double         value;
    const json_t  *claim;

    *at = 0;
    claim = json_object_get(claims, name);

    if (claim == NULL) {
        return true;
    }

    if (!json_is_number(claim)) {
        return false;
    }

    value = json_number_value(claim);

    if (!(value >= 1 && value <= (double) AK_JWT_TIME_MAX)) {
        return false;
    }

    *at = (int64_t) value;

    return true;
}


/* RFC 7519, 4.1.3: a string, or a list of them. */

static bool
ak_jwt_audience(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules)
{
    size_t         i;
    json_t        *item;
    const json_t  *aud;

    if (ak_jwt_listed(&rules->audiences, ak_literal("*"))) {
        return true;
    }

    aud = json_object_get(jwt->claims, "aud");

    /* who does not say who he is, is not meant where somebody is */

    if (aud == NULL) {
        return rules->audiences.n == 0;
    }

    if (json_is_string(aud)) {
        return ak_jwt_listed(&rules->audiences,
                             ak_json_text(jwt->claims, "aud"));
    }

    json_array_foreach(aud, i, item) {
        if (json_is_string(item)
            && ak_jwt_listed(&rules->audiences,
                             ak_str(json_string_value(item),
                                    json_string_length(item))))
        {
            return true;
        }
    }

    return false;
}


/* RFC 7515, 4.1.9: media types, in any case, "application/" left out. */

static bool
ak_jwt_same_type(ak_str_t typ, ak_str_t name)
{
    size_t                 i;
    static const ak_str_t  prefix = ak_string("application/");

    if (typ.len > prefix.len
        && strncasecmp((const char *) typ.data, (const char *) prefix.data,
                       prefix.len) == 0)
    {
        typ.data += prefix.len;
        typ.len -= prefix.len;
    }

    if (typ.len != name.len) {
        return false;
    }

    for (i = 0; i < typ.len; i++) {
        if ((typ.data[i] | 0x20) != (name.data[i] | 0x20)) {
            return false;
        }
    }

    return true;
}


static bool
ak_jwt_type(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules)
{
    size_t  i;

    if (rules->types.n == 0) {
        return jwt->typ.data == NULL
               || ak_jwt_same_type(jwt->typ, ak_literal("JWT"))
               || ak_jwt_same_type(jwt->typ, ak_literal("at+jwt"));
    }

    for (i = 0; jwt->typ.data != NULL && i < rules->types.n; i++) {
        if (ak_jwt_same_type(jwt->typ, rules->types.list[i])) {
            return true;
        }
    }

    return false;
}


/* A check of a token: AK_SUCCESS, or why not. */

typedef ak_reason_e (*ak_jwt_check_pt)(const ak_jwt_t *jwt,
    const ak_jwt_rules_t *rules, const ak_jwt_times_t *times, int64_t now,
    ak_diag_t *d);


static ak_reason_e
ak_jwt_check_type(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) times;
    (void) now;

    if (!ak_jwt_type(jwt, rules)) {
        return ak_jwt_wrong(d, AK_JWT_CLAIMS, "its \"typ\" is that of another "
                            "kind of token (RFC 8725, 3.11)");
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_issuer(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) times;
    (void) now;

    if (rules->issuers.n != 0
        && !ak_jwt_listed(&rules->issuers, ak_json_text(jwt->claims, "iss")))
    {
        return ak_jwt_wrong(d, AK_JWT_CLAIMS, "\"iss\" is not the issuer that "
                            "is wanted (RFC 7519, 4.1.1)");
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_subject(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) times;
    (void) now;

    if (rules->subjects.n != 0
        && !ak_jwt_listed(&rules->subjects, ak_json_text(jwt->claims, "sub")))
    {
        return ak_jwt_wrong(d, AK_JWT_CLAIMS, "\"sub\" is not the subject "
                            "that is wanted (RFC 7519, 4.1.2)");
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_audience(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) times;
    (void) now;

    if (!ak_jwt_audience(jwt, rules)) {
        return ak_jwt_wrong(d, AK_JWT_CLAIMS, rules->audiences.n == 0
                            ? "it is for the audience in \"aud\", and none is "
                              "configured (RFC 7519, 4.1.3)"
                            : "\"aud\" is not the audience that is wanted "
                              "(RFC 7519, 4.1.3)");
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_required(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    size_t         i;
    const json_t  *claim;

    (void) times;
    (void) now;

    for (i = 0; i < rules->required.n; i++) {
        claim = ak_json_path(jwt->claims, rules->required.list[i]);

        if (claim == NULL || json_is_null(claim)) {
            ak_diag(d, "the claim \"%.*s\" is missing",
                    AK_FMT(rules->required.list[i]));
            return AK_JWT_CLAIMS;
        }
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_expires(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) jwt;

    if (times->expires == 0 && !rules->exp_optional) {
        return ak_jwt_wrong(d, AK_JWT_CLAIMS, "it never expires: \"exp\" is "
                            "missing (RFC 7519, 4.1.4)");
    }

    if (times->expires != 0 && now >= times->expires + rules->leeway) {
        ak_diag(d, "it has expired %" PRId64 " s ago (RFC 7519, 4.1.4)",
                now - times->expires);
        return AK_JWT_EXPIRED;
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_not_before(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) jwt;

    if (times->not_before > now + rules->leeway) {
        ak_diag(d, "it is not valid before %" PRId64 " s from now (RFC 7519, "
                "4.1.5)", times->not_before - now);
        return AK_JWT_NOT_YET;
    }

    return AK_SUCCESS;
}


static ak_reason_e
ak_jwt_check_issued(const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    (void) jwt;

    if (times->issued > now + rules->leeway) {
        ak_diag(d, "it was issued %" PRId64 " s from now, by \"iat\" (RFC "
                "7519, 4.1.6)", times->issued - now);
        return AK_JWT_NOT_YET;
    }

    if (rules->max_age == 0) {
        return AK_SUCCESS;
    }

    if (times->issued == 0) {
        return ak_jwt_wrong(d, AK_JWT_CLAIMS, "its age cannot be told: "
                            "\"iat\" is missing (RFC 7519, 4.1.6)");
    }

    if (now - times->issued > rules->max_age + rules->leeway) {
        ak_diag(d, "it was issued %" PRId64 " s ago, which is more than "
                "\"max_age\"", now - times->issued);
        return AK_JWT_EXPIRED;
    }

    return AK_SUCCESS;
}


/* THE table of checks, of a token whose signature is right. */

static const struct {
    const char       *what;
    bool              changes;         /* with the time */
    ak_jwt_check_pt   check;
} ak_jwt_checks[] = {
    { "typ", false, ak_jwt_check_type },
    { "iss", false, ak_jwt_check_issuer },
    { "aud", false, ak_jwt_check_audience },
    { "sub", false, ak_jwt_check_subject },
    { "require", false, ak_jwt_check_required },
    { "exp", true, ak_jwt_check_expires },
    { "nbf", true, ak_jwt_check_not_before },
    { "iat", true, ak_jwt_check_issued }
};


const char *
ak_jwt_check(size_t n, const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_reason_e *reason,
    ak_diag_t *d)
{
    if (n >= ak_nitems(ak_jwt_checks)) {
        return NULL;
    }

    *reason = ak_jwt_checks[n].check(jwt, rules, times, now, d);

    return ak_jwt_checks[n].what;
}


static ak_reason_e
ak_jwt_run(bool changes, const ak_jwt_t *jwt, const ak_jwt_rules_t *rules,
    const ak_jwt_times_t *times, int64_t now, ak_diag_t *d)
{
    size_t       i;
    ak_reason_e  reason;

    for (i = 0; i < ak_nitems(ak_jwt_checks); i++) {

        if (ak_jwt_checks[i].changes != changes) {
            continue;
        }

        reason = ak_jwt_checks[i].check(jwt, rules, times, now, d);

        if (reason != AK_SUCCESS) {
            return reason;
        }
    }

    return AK_SUCCESS;
}


ak_reason_e
ak_jwt_read(ak_jwt_t *jwt, ak_mem_t *mem, ak_jwt_times_t *times, ak_diag_t *d)
{
    ak_rc_t  rc;

    rc = ak_jwt_decode(jwt->payload, mem, &jwt->text);

    if (rc == AK_NO_MEMORY) {
        return AK_STORE_UNAVAILABLE;
    }

    jwt->claims = (rc == AK_OK) ? ak_json_object(jwt->text) : NULL;

    if (jwt->claims == NULL) {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "its claims are no JSON "
                            "object in strict base64url, or one is there "
                            "twice (RFC 7519, 4)");
    }

    if (!ak_jwt_time(jwt->claims, "exp", &times->expires)
        || !ak_jwt_time(jwt->claims, "nbf", &times->not_before)
        || !ak_jwt_time(jwt->claims, "iat", &times->issued))
    {
        return ak_jwt_wrong(d, AK_JWT_MALFORMED, "\"exp\", \"nbf\" or \"iat\" "
                            "is no time (RFC 7519, 2)");
    }

    return AK_SUCCESS;
}


ak_reason_e
ak_jwt_claims(ak_jwt_t *jwt, const ak_jwt_rules_t *rules, ak_mem_t *mem,
    ak_jwt_times_t *times, ak_diag_t *d)
{
    ak_reason_e  reason;

    reason = ak_jwt_read(jwt, mem, times, d);

    return (reason == AK_SUCCESS) ? ak_jwt_run(false, jwt, rules, times, 0, d)
                                  : reason;
}


ak_reason_e
ak_jwt_now(const ak_jwt_times_t *times, const ak_jwt_rules_t *rules,
    int64_t now, ak_diag_t *d)
{
    return ak_jwt_run(true, NULL, rules, times, now, d);
}
