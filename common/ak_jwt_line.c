
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include "ak_env.h"
#include "ak_crypt.h"
#include "ak_jwt_line.h"
#include "ak_mem.h"
#include "ak_record.h"
#include "ak_rules.h"


#define AK_JWT_LEEWAY    30000         /* milliseconds */
#define AK_JWT_REFRESH   (10 * 60 * 1000)
#define AK_JWT_INTERVAL  (10 * 1000)
#define AK_JWT_TIMEOUT   (5 * 1000)

#define AK_JWT_DIGITS    24            /* of a claim that is an integer */


typedef enum {
    AK_JWT_EXP_REQUIRED = 0,
    AK_JWT_EXP_OPTIONAL
} ak_jwt_exp_e;


typedef enum {
    AK_JWT_WEAK_WARN = 0,
    AK_JWT_WEAK_REFUSE
} ak_jwt_weak_e;


static const ak_str_t  ak_jwt_exps[] = {
    [AK_JWT_EXP_REQUIRED] = ak_string("required"),
    [AK_JWT_EXP_OPTIONAL] = ak_string("optional"),
    ak_string("")
};


static const ak_str_t  ak_jwt_weaks[] = {
    [AK_JWT_WEAK_WARN] = ak_string("warn"),
    [AK_JWT_WEAK_REFUSE] = ak_string("refuse"),
    ak_string("")
};


const ak_arg_t  ak_jwt_line_args[] = {
    { AK_ARG_TEXT, ak_string("secret"), offsetof(ak_jwt_line_t, secret), NULL,
      "the secret of HS*, env:NAME or file:PATH" },
    { AK_ARG_TEXT, ak_string("key"), offsetof(ak_jwt_line_t, pem), NULL,
      "a file with public keys in PEM" },
    { AK_ARG_TEXT, ak_string("jwks"), offsetof(ak_jwt_line_t, jwks), NULL,
      "a file with a JWK set" },
    { AK_ARG_TEXT, ak_string("jwks_uri"), offsetof(ak_jwt_line_t, uri), NULL,
      "where a JWK set is fetched from" },
    { AK_ARG_TEXT, ak_string("jwks_ca"), offsetof(ak_jwt_line_t, keys.ca),
      NULL, "a file with the certificates that are trusted there" },
    { AK_ARG_SPAN, ak_string("jwks_refresh"),
      offsetof(ak_jwt_line_t, keys.refresh), NULL, "how often it is fetched" },
    { AK_ARG_SPAN, ak_string("jwks_interval"),
      offsetof(ak_jwt_line_t, keys.interval), NULL,
      "how often at most it is fetched for an unknown kid" },
    { AK_ARG_SPAN, ak_string("jwks_timeout"),
      offsetof(ak_jwt_line_t, keys.timeout), NULL, "how long that may take" },
    { AK_ARG_LIST, ak_string("issuer"),
      offsetof(ak_jwt_line_t, rules.issuers), NULL, "who may have issued it" },
    { AK_ARG_LIST, ak_string("audience"),
      offsetof(ak_jwt_line_t, rules.audiences), NULL,
      "for whom it may be; \"*\" for whomever" },
    { AK_ARG_LIST, ak_string("subject"),
      offsetof(ak_jwt_line_t, rules.subjects), NULL, "of whom it may be" },
    { AK_ARG_LIST, ak_string("algorithms"),
      offsetof(ak_jwt_line_t, rules.algorithms), NULL,
      "those of the keys that are accepted" },
    { AK_ARG_LIST, ak_string("typ"), offsetof(ak_jwt_line_t, rules.types),
      NULL, "the types that are accepted" },
    { AK_ARG_LIST, ak_string("require"),
      offsetof(ak_jwt_line_t, rules.required), NULL,
      "claims that must be there" },
    { AK_ARG_SPAN, ak_string("leeway"), offsetof(ak_jwt_line_t, leeway), NULL,
      "how far clocks may differ" },
    { AK_ARG_SPAN, ak_string("max_age"), offsetof(ak_jwt_line_t, max_age),
      NULL, "how old it may be" },
    { AK_ARG_CHOICE, ak_string("exp"), offsetof(ak_jwt_line_t, exp),
      ak_jwt_exps, "whether it must expire" },
    { AK_ARG_TEXT, ak_string("owner"), offsetof(ak_jwt_line_t, owner), NULL,
      "the claim that says who it is" },
    { AK_ARG_TEXT, ak_string("scopes"), offsetof(ak_jwt_line_t, scopes), NULL,
      "the claim with the scopes" },
    { AK_ARG_CHOICE, ak_string("weak"), offsetof(ak_jwt_line_t, weak),
      ak_jwt_weaks, "what becomes of a secret that is too short" },
    { AK_ARG_TEXT, ak_string("open_webui"),
      offsetof(ak_jwt_line_t, webui), NULL,
      "the prefix of Open WebUI's own keys in the store" },
    { AK_ARG_TEXT, ak_string("from"), offsetof(ak_jwt_line_t, from), NULL,
      "where to look for the token, in order" },
    { .type = AK_ARG_END }
};


/* Which of the arguments that name keys is given: one, and one only. */

static ak_rc_t
ak_jwt_line_source(ak_jwt_line_t *line, ak_diag_t *d)
{
    ak_keys_t  *keys;

    static const ak_str_t  env = ak_string("env:");
    static const ak_str_t  file = ak_string("file:");

    if ((line->secret.len != 0) + (line->pem.len != 0)
        + (line->jwks.len != 0) + (line->uri.len != 0)
        != 1)
    {
        return ak_diag(d, "one of \"secret\", \"key\", \"jwks\" and "
                       "\"jwks_uri\" is wanted");
    }

    keys = &line->keys;

    if (line->pem.len != 0) {
        keys->from = AK_KEYS_PEM;
        keys->source = line->pem;

    } else if (line->jwks.len != 0) {
        keys->from = AK_KEYS_JWKS;
        keys->source = line->jwks;

    } else if (line->uri.len != 0) {
        keys->from = AK_KEYS_URI;
        keys->source = line->uri;

        return ak_keys_uri(line->uri, d);

    } else if (ak_str_starts(line->secret, env)) {
        keys->from = AK_KEYS_ENV;
        keys->source = ak_str(line->secret.data + env.len,
                              line->secret.len - env.len);

    } else if (ak_str_starts(line->secret, file)) {
        keys->from = AK_KEYS_SECRET;
        keys->source = ak_str(line->secret.data + file.len,
                              line->secret.len - file.len);

    } else {

        /* the word is not shown: it may be a secret that was put here */

        return ak_diag(d, "\"secret\" must be env:NAME or file:PATH");
    }

    return AK_OK;
}


/* The longest digest of the algorithms that are named, or HS256's. */

static unsigned
ak_jwt_line_digest(const ak_jwt_line_t *line)
{
    size_t               i;
    unsigned             size;
    const ak_jws_alg_t  *alg;

    size = (line->rules.algorithms.n == 0) ? 32 : 0;

    for (i = 0; i < line->rules.algorithms.n; i++) {
        alg = ak_jws_alg(line->rules.algorithms.list[i]);

        if (alg != NULL && alg->kty == AK_KTY_OCT && alg->size > size) {
            size = alg->size;
        }
    }

    return size;
}


/* RFC 7518, 3.2: a secret is at least as long as the digest. */

static void
ak_jwt_line_weak(const ak_jwt_line_t *line, const ak_init_t *in)
{
    size_t           i, len;
    unsigned         size;
    ak_diag_t        d;
    const ak_jwk_t  *k;

    size = ak_jwt_line_digest(line);

    for (i = 0; (k = ak_jwks_at(line->keys.set, i)) != NULL; i++) {
        len = ak_jws_secret_len(k->key);

        if (ak_jws_kty(k->key) != AK_KTY_OCT || len >= size
            || in->site->warn == NULL)
        {
            continue;
        }

        ak_diag(&d, "stack \"%.*s\", line %u: a secret of %zu bytes is "
                "shorter than a digest of %u, and may be guessed (RFC 7518, "
                "3.2)%s", AK_FMT(in->stack), in->line, len, size,
                line->rules.strong ? ": its tokens will be refused" : "");

        in->site->warn(in->site->data, d.text);
    }
}


/* Each algorithm is one, and some key is for it. */

static ak_rc_t
ak_jwt_line_algorithms(const ak_jwt_line_t *line, ak_diag_t *d)
{
    size_t               i, k;
    ak_str_t             name;
    const ak_jwk_t      *jwk;
    const ak_jws_alg_t  *alg;

    for (i = 0; i < line->rules.algorithms.n; i++) {
        name = line->rules.algorithms.list[i];
        alg = ak_jws_alg(name);

        if (alg == NULL) {
            return ak_diag(d, "unknown algorithm \"%.*s\"", AK_FMT(name));
        }

        if (line->keys.set == NULL) {
            continue;
        }

        for (k = 0; (jwk = ak_jwks_at(line->keys.set, k)) != NULL; k++) {
            if (ak_jwk_serves(jwk, alg, ak_str(NULL, 0))) {
                break;
            }
        }

        if (jwk == NULL) {
            return ak_diag(d, "no key is for the algorithm \"%.*s\"",
                           AK_FMT(name));
        }
    }

    return AK_OK;
}


/* What was kept of a token under another configuration is not looked at. */

static ak_rc_t
ak_jwt_line_fingerprint(ak_jwt_line_t *line, ak_diag_t *d)
{
    size_t             i, k;
    ak_rc_t            rc;
    ak_str_t           so_far;
    ak_digest_t       *digest;
    const ak_words_t  *lists[] = {
        &line->rules.issuers, &line->rules.audiences, &line->rules.subjects,
        &line->rules.algorithms, &line->rules.types, &line->rules.required
    };
    const ak_str_t     texts[] = {
        line->keys.source, line->owner, line->scopes, line->webui
    };

    digest = ak_digest_create();

    if (digest == NULL) {
        return ak_diag(d, "OpenSSL has no memory or no SHA-256");
    }

    memset(line->digest, 0, AK_SHA256_LEN);
    so_far = ak_str(line->digest, AK_SHA256_LEN);
    rc = AK_OK;

    /* each text is hashed behind what was hashed so far and what it is */

    for (i = 0; rc == AK_OK && i < ak_nitems(texts); i++) {
        line->digest[0] ^= (uint8_t) (0x80 | i);
        rc = ak_digest(digest, so_far, texts[i], line->digest);
    }

    for (i = 0; rc == AK_OK && i < ak_nitems(lists); i++) {
        for (k = 0; rc == AK_OK && k < lists[i]->n; k++) {
            line->digest[0] ^= (uint8_t) (i + 1);
            rc = ak_digest(digest, so_far, lists[i]->list[k], line->digest);
        }
    }

    line->digest[0] ^= line->rules.strong;

    ak_digest_free(digest);

    return (rc == AK_OK) ? AK_OK
                         : ak_diag(d, "OpenSSL cannot compute SHA-256");
}


void
ak_jwt_line_defaults(void *data)
{
    ak_jwt_line_t *line = data;

    line->leeway = AK_JWT_LEEWAY;
    line->max_age = -1;
    line->keys.refresh = -1;
    line->keys.interval = -1;
    line->keys.timeout = -1;
}


static ak_rc_t
ak_jwt_line_times(ak_jwt_line_t *line, ak_diag_t *d)
{
    ak_keys_t  *keys;

    keys = &line->keys;

    if (line->max_age == 0) {
        return ak_diag(d, "\"max_age\" is a second or more");
    }

    /* up to the next second: less than one is not "any" */

    line->rules.leeway = (line->leeway + 999) / 1000;
    line->rules.max_age = (line->max_age == -1) ? 0
                                                : (line->max_age + 999) / 1000;

    if (line->uri.len == 0
        && (keys->refresh != -1 || keys->interval != -1
            || keys->timeout != -1 || keys->ca.len != 0))
    {
        return ak_diag(d, "\"jwks_ca\", \"jwks_refresh\", "
                       "\"jwks_interval\" and \"jwks_timeout\" are for "
                       "\"jwks_uri\"");
    }

    if (keys->refresh == -1) {
        keys->refresh = AK_JWT_REFRESH;
    }

    if (keys->interval == -1) {
        keys->interval = AK_JWT_INTERVAL;
    }

    if (keys->timeout == -1) {
        keys->timeout = AK_JWT_TIMEOUT;
    }

    if (keys->refresh < 1000 || keys->interval < 1000 || keys->timeout < 1) {
        return ak_diag(d, "\"jwks_refresh\" and \"jwks_interval\" are "
                       "a second or more, and \"jwks_timeout\" is not 0");
    }

    return AK_OK;
}


ak_rc_t
ak_jwt_line_init(ak_jwt_line_t *line, const ak_init_t *in)
{
    if (ak_jwt_line_source(line, in->d) != AK_OK
        || ak_jwt_line_times(line, in->d) != AK_OK)
    {
        return AK_ERROR;
    }

    if (line->owner.len == 0) {
        line->owner = (line->webui.len != 0) ? ak_literal("id")
                                             : ak_literal("sub");
    }

    if (line->webui.len > AK_JWT_PREFIX_MAX) {
        return ak_diag(in->d, "the prefix of \"open_webui\" is longer than %d "
                       "bytes", AK_JWT_PREFIX_MAX);
    }

    line->rules.exp_optional = (line->exp == AK_JWT_EXP_OPTIONAL);
    line->rules.strong = (line->weak == AK_JWT_WEAK_REFUSE);

    line->carriers = ak_carriers_default;

    if (line->from.len != 0
        && ak_carriers_parse(line->from, &in->site->mem, &line->carriers,
                             in->d)
           != AK_OK)
    {
        return AK_ERROR;
    }

    if (ak_jwt_line_fingerprint(line, in->d) != AK_OK) {
        return AK_ERROR;
    }

    if (line->keys.from == AK_KEYS_ENV
        && ak_env_secret(in->site, (const char *) line->keys.source.data).data
           == NULL)
    {
        return ak_diag(in->d, "\"env:%s\": there is no such variable in the "
                       "environment, or it is empty",
                       (const char *) line->keys.source.data);
    }

    if (line->keys.from != AK_KEYS_URI
        && ak_keys_load(&line->keys, in->d) != AK_OK)
    {
        return AK_ERROR;
    }

    if (ak_jwt_line_algorithms(line, in->d) != AK_OK) {
        ak_keys_free(&line->keys);
        return AK_ERROR;
    }

    if (line->keys.set != NULL) {
        ak_jwt_line_weak(line, in);
    }

    return AK_OK;
}


ak_rc_t
ak_jwt_line_text(const json_t *claim, ak_mem_t *mem, ak_str_t *text)
{
    char  *p;
    int    n;

    *text = ak_str(NULL, 0);

    if (!json_is_string(claim) && !json_is_integer(claim)) {
        return AK_ERROR;
    }

    text->len = json_is_string(claim) ? json_string_length(claim)
                                      : AK_JWT_DIGITS;

    p = mem->alloc(mem->data, text->len + 1);
    text->data = (uint8_t *) p;

    if (p == NULL) {
        return AK_NO_MEMORY;
    }

    if (json_is_string(claim)) {
        memcpy(p, json_string_value(claim), text->len);

    } else {
        n = snprintf(p, AK_JWT_DIGITS, "%" JSON_INTEGER_FORMAT,
                     json_integer_value(claim));
        text->len = (size_t) n;
    }

    return AK_OK;
}


ak_reason_e
ak_jwt_line_owner(const ak_jwt_line_t *line, const json_t *claims,
    ak_mem_t *mem, ak_str_t *owner, ak_diag_t *d)
{
    ak_rc_t  rc;

    rc = ak_jwt_line_text(ak_json_path(claims, line->owner), mem, owner);

    if (rc == AK_NO_MEMORY) {
        ak_diag(d, "there is no memory");
        return AK_STORE_UNAVAILABLE;
    }

    if (rc != AK_OK || !ak_name_valid(*owner) || owner->len > AK_JWT_OWNER_MAX
        || ak_str_eq(*owner, ak_literal("*")))
    {
        ak_diag(d, "the claim \"%.*s\", which says who it is, is missing or "
                "no name of an owner", AK_FMT(line->owner));
        return AK_JWT_CLAIMS;
    }

    return AK_SUCCESS;
}


/* "*" is all scopes in a record, and no word of an issuer's. */

static void
ak_jwt_line_scope(ak_str_t name, ak_str_t *scopes, uint8_t *text)
{
    if (ak_scope_check(name, NULL) != AK_OK
        || ak_str_eq(name, ak_literal("*")))
    {
        return;
    }

    if (scopes->len != 0) {
        text[scopes->len++] = ' ';
    }

    memcpy(text + scopes->len, name.data, name.len);
    scopes->len += name.len;
}


static void
ak_jwt_line_split(ak_str_t names, ak_str_t *scopes, uint8_t *text)
{
    ak_str_t        name;
    const uint8_t  *space;

    while (names.len != 0) {
        name = names;
        space = memchr(names.data, ' ', names.len);

        if (space != NULL) {
            name.len = (size_t) (space - names.data);
        }

        ak_jwt_line_scope(name, scopes, text);

        if (space == NULL) {
            break;
        }

        names = ak_str(space + 1, names.len - name.len - 1);
    }
}


ak_rc_t
ak_jwt_line_scopes(const ak_jwt_line_t *line, const json_t *claims,
    ak_mem_t *mem, ak_str_t *scopes)
{
    size_t         i, size;
    json_t        *item;
    uint8_t       *text;
    const json_t  *claim;

    *scopes = ak_str(NULL, 0);

    claim = (line->scopes.len != 0) ? ak_json_path(claims, line->scopes)
                                    : NULL;

    if (!json_is_string(claim) && !json_is_array(claim)) {
        return AK_OK;
    }

    size = json_is_string(claim)
           ? json_string_length(claim)
           : json_array_size(claim) * (AK_SCOPE_MAX + 1);

    text = mem->alloc(mem->data, size + 1);

    if (text == NULL) {
        return AK_NO_MEMORY;
    }

    scopes->data = text;

    if (json_is_string(claim)) {
        ak_jwt_line_split(ak_str(json_string_value(claim),
                                 json_string_length(claim)), scopes, text);
    }

    json_array_foreach(claim, i, item) {

        if (json_is_string(item)) {
            ak_jwt_line_scope(ak_str(json_string_value(item),
                                     json_string_length(item)), scopes, text);
        }
    }

    return AK_OK;
}
