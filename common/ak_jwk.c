
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_base64.h"
#include "ak_json.h"
#include "ak_jwk.h"
#include "ak_mem.h"


#define AK_JWK_PART_MAX  2048          /* bytes of a member, decoded */


struct ak_jwks_s {
    ak_jwk_t  list[AK_JWKS_KEYS_MAX];
    size_t    n;
};


/* A member of base64url, decoded: at most as many bytes as a key can have. */

typedef struct {
    uint8_t   data[AK_JWK_PART_MAX];
    ak_str_t  value;
} ak_jwk_part_t;


static ak_rc_t
ak_jwk_part(const json_t *jwk, const char *name, ak_jwk_part_t *part)
{
    size_t    len;
    ak_str_t  text;

    text = ak_json_text(jwk, name);

    if (text.len == 0
        || ak_base64_decoded_max(text.len) > AK_JWK_PART_MAX
        || ak_base64_decode(AK_BASE64URL, text, part->data, &len) != AK_OK
        || len == 0)
    {
        return AK_ERROR;
    }

    part->value = ak_str(part->data, len);

    return AK_OK;
}


static ak_jws_key_t *
ak_jwk_rsa(const json_t *jwk, ak_diag_t *d)
{
    ak_jwk_part_t  n, e;

    if (ak_jwk_part(jwk, "n", &n) != AK_OK
        || ak_jwk_part(jwk, "e", &e) != AK_OK)
    {
        ak_diag(d, "\"n\" or \"e\" is missing or no base64url");
        return NULL;
    }

    return ak_jws_rsa(n.value, e.value, d);
}


static ak_jws_key_t *
ak_jwk_ec(const json_t *jwk, ak_diag_t *d)
{
    size_t               i;
    ak_str_t             crv;
    ak_jwk_part_t        x, y;
    const ak_jws_alg_t  *alg;

    /* RFC 7518, 6.2.1.1; RFC 8812, 3.1 */

    static const struct {
        ak_str_t   crv;
        ak_str_t   alg;
    } curves[] = {
        { ak_string("P-256"), ak_string("ES256") },
        { ak_string("P-384"), ak_string("ES384") },
        { ak_string("P-521"), ak_string("ES512") },
        { ak_string("secp256k1"), ak_string("ES256K") }
    };

    crv = ak_json_text(jwk, "crv");
    alg = NULL;

    for (i = 0; i < ak_nitems(curves); i++) {
        if (ak_str_eq(curves[i].crv, crv)) {
            alg = ak_jws_alg(curves[i].alg);
        }
    }

    if (alg == NULL) {
        ak_diag(d, "its curve is none that is known");
        return NULL;
    }

    if (ak_jwk_part(jwk, "x", &x) != AK_OK
        || ak_jwk_part(jwk, "y", &y) != AK_OK)
    {
        ak_diag(d, "\"x\" or \"y\" is missing or no base64url");
        return NULL;
    }

    return ak_jws_ec(alg, x.value, y.value, d);
}


static ak_jws_key_t *
ak_jwk_okp(const json_t *jwk, ak_diag_t *d)
{
    ak_jwk_part_t  x;

    if (ak_jwk_part(jwk, "x", &x) != AK_OK) {
        ak_diag(d, "\"x\" is missing or no base64url");
        return NULL;
    }

    return ak_jws_okp(ak_json_text(jwk, "crv"), x.value, d);
}


static ak_jws_key_t *
ak_jwk_oct(const json_t *jwk, ak_diag_t *d)
{
    ak_str_t        text;
    ak_jwk_part_t   k;
    ak_jws_key_t   *key;

    if (ak_jwk_part(jwk, "k", &k) != AK_OK) {
        ak_diag(d, "\"k\" is missing or no base64url");
        return NULL;
    }

    key = ak_jws_secret(k.value, d);

    text = ak_json_text(jwk, "k");
    ak_mem_wipe((uint8_t *) text.data, text.len);
    ak_mem_wipe(&k, sizeof(ak_jwk_part_t));

    return key;
}


/* RFC 7517, 4.2 and 4.3: "use" and "key_ops", where they are there. */

static bool
ak_jwk_verifies(const json_t *jwk)
{
    size_t         i;
    json_t        *op;
    const json_t  *use, *ops;

    use = json_object_get(jwk, "use");

    if (use != NULL && !ak_str_eq(ak_json_text(jwk, "use"),
                                  ak_literal("sig")))
    {
        return false;
    }

    ops = json_object_get(jwk, "key_ops");

    if (ops == NULL) {
        return true;
    }

    json_array_foreach(ops, i, op) {
        if (json_is_string(op)
            && strcmp(json_string_value(op), "verify") == 0)
        {
            return true;
        }
    }

    return false;
}


static ak_jws_key_t *
ak_jwk_key(const json_t *jwk, bool secrets, ak_diag_t *d)
{
    ak_str_t  kty;

    kty = ak_json_text(jwk, "kty");

    if (ak_str_eq(kty, ak_literal("RSA"))) {
        return ak_jwk_rsa(jwk, d);
    }

    if (ak_str_eq(kty, ak_literal("EC"))) {
        return ak_jwk_ec(jwk, d);
    }

    if (ak_str_eq(kty, ak_literal("OKP"))) {
        return ak_jwk_okp(jwk, d);
    }

    if (!ak_str_eq(kty, ak_literal("oct"))) {
        ak_diag(d, "its type is none that is known");
        return NULL;
    }

    if (!secrets) {
        ak_diag(d, "it is a secret, and everybody can read it there");
        return NULL;
    }

    return ak_jwk_oct(jwk, d);
}


static char *
ak_jwk_copy(ak_str_t s)
{
    char  *p;

    p = malloc(s.len + 1);

    if (p != NULL) {
        memcpy(p, s.data == NULL ? (const uint8_t *) "" : s.data, s.len);
        p[s.len] = '\0';
    }

    return p;
}


static ak_rc_t
ak_jwks_add(ak_jwks_t *set, ak_jws_key_t *key, const ak_jws_alg_t *alg,
    ak_str_t kid, ak_diag_t *d)
{
    char      *p;
    ak_jwk_t  *k;

    p = (set->n < AK_JWKS_KEYS_MAX) ? ak_jwk_copy(kid) : NULL;

    if (p == NULL) {
        ak_jws_key_free(key);
        return ak_diag(d, "there are more than %d keys, or no memory",
                       AK_JWKS_KEYS_MAX);
    }

    k = &set->list[set->n++];
    k->kid = ak_str(p, kid.len);
    k->alg = alg;
    k->key = key;

    return AK_OK;
}


static ak_rc_t
ak_jwks_read(ak_jwks_t *set, const json_t *jwk, bool secrets, ak_diag_t *d)
{
    ak_jws_key_t        *key;
    const json_t        *name, *kid;
    const ak_jws_alg_t  *alg;

    if (!json_is_object(jwk)) {
        return ak_diag(d, "it is no object");
    }

    if (!ak_jwk_verifies(jwk)) {
        return ak_diag(d, "it is not for signatures");
    }

    kid = json_object_get(jwk, "kid");
    name = json_object_get(jwk, "alg");
    alg = NULL;

    if (name != NULL) {
        alg = ak_jws_alg(ak_json_text(jwk, "alg"));

        if (alg == NULL) {
            return ak_diag(d, "its algorithm is none that is known");
        }
    }

    if (kid != NULL && !json_is_string(kid)) {
        return ak_diag(d, "its \"kid\" is no string");
    }

    key = ak_jwk_key(jwk, secrets, d);

    if (key == NULL) {
        return AK_ERROR;
    }

    if (alg != NULL && !ak_jws_fits(key, alg)) {
        ak_jws_key_free(key);
        return ak_diag(d, "its algorithm is not for keys of its type");
    }

    return ak_jwks_add(set, key, alg, ak_json_text(jwk, "kid"), d);
}


/* What there is of a set, where it is enough. */

static ak_jwks_t *
ak_jwks_done(ak_jwks_t *set, unsigned skipped, ak_diag_t *d)
{
    ak_diag_t  why;

    if (set->n != 0) {
        return set;
    }

    ak_jwks_free(set);

    if (skipped == 0) {
        ak_diag(d, "there is no key in it");

    } else if (d != NULL) {
        why = *d;
        ak_diag(d, "none of its keys can be used: %.300s", why.text);
    }

    return NULL;
}


ak_jwks_t *
ak_jwks_parse(ak_str_t text, bool secrets, unsigned *skipped, ak_diag_t *d)
{
    size_t      i;
    json_t     *root, *jwk;
    unsigned    bad;
    ak_diag_t   why;
    ak_jwks_t  *set;

    root = (text.len > AK_JWKS_TEXT_MAX) ? NULL : ak_json_object(text);

    if (root == NULL) {
        ak_diag(d, "it is no JSON object of at most %d bytes, or a member is "
                "there twice", AK_JWKS_TEXT_MAX);
        return NULL;
    }

    set = calloc(1, sizeof(ak_jwks_t));

    if (set == NULL) {
        json_decref(root);
        ak_diag(d, "there is no memory");
        return NULL;
    }

    bad = 0;
    jwk = json_object_get(root, "keys");

    if (jwk == NULL) {
        bad += (ak_jwks_read(set, root, secrets, &why) != AK_OK);

    } else {
        json_array_foreach(json_object_get(root, "keys"), i, jwk) {
            bad += (ak_jwks_read(set, jwk, secrets, &why) != AK_OK);
        }
    }

    json_decref(root);

    if (bad != 0 && d != NULL) {
        *d = why;
    }

    if (skipped != NULL) {
        *skipped = bad;
    }

    return ak_jwks_done(set, bad, d);
}


ak_jwks_t *
ak_jwks_secret(ak_str_t secret, ak_diag_t *d)
{
    ak_jwks_t     *set;
    ak_jws_key_t  *key;

    set = calloc(1, sizeof(ak_jwks_t));
    key = (set == NULL) ? NULL : ak_jws_secret(secret, d);

    if (key == NULL
        || ak_jwks_add(set, key, NULL, ak_str(NULL, 0), d) != AK_OK)
    {
        ak_jwks_free(set);
        return NULL;
    }

    return set;
}


/* Where the first of these words is; NULL: it is not there. */

static const uint8_t *
ak_jwk_find(ak_str_t s, ak_str_t word)
{
    const uint8_t  *p;

    while (s.len >= word.len) {

        if (ak_str_starts(s, word)) {
            return s.data;
        }

        p = memchr(s.data + 1, word.data[0], s.len - 1);

        if (p == NULL) {
            break;
        }

        s = ak_str(p, (size_t) (s.data + s.len - p));
    }

    return NULL;
}


/*
 * The next block of a PEM text, RFC 7468, 2, up to the end of its last line;
 * what is before and behind it is nothing.
 */

static bool
ak_jwk_block(ak_str_t *pem, ak_str_t *block)
{
    const uint8_t  *p, *end, *last;

    last = pem->data + pem->len;
    p = ak_jwk_find(*pem, ak_literal("-----BEGIN "));

    if (p == NULL) {
        return false;
    }

    end = ak_jwk_find(ak_str(p, (size_t) (last - p)), ak_literal("-----END "));
    end = (end == NULL) ? NULL : memchr(end, '\n', (size_t) (last - end));

    if (end == NULL) {
        end = last;

    } else {
        end++;
    }

    *block = ak_str(p, (size_t) (end - p));
    *pem = ak_str(end, (size_t) (last - end));

    return true;
}


ak_jwks_t *
ak_jwks_pem(ak_str_t pem, ak_diag_t *d)
{
    ak_str_t       block;
    ak_jwks_t     *set;
    ak_jws_key_t  *key;

    static const ak_str_t  parameters = ak_string("-----BEGIN EC PARAMETERS");

    set = calloc(1, sizeof(ak_jwks_t));

    if (set == NULL) {
        ak_diag(d, "there is no memory");
        return NULL;
    }

    while (ak_jwk_block(&pem, &block)) {

        if (ak_str_starts(block, parameters)) {
            continue;          /* the key that follows has them too */
        }

        key = ak_jws_pem(block, d);

        if (key == NULL
            || ak_jwks_add(set, key, NULL, ak_str(NULL, 0), d) != AK_OK)
        {
            ak_jwks_free(set);
            return NULL;
        }
    }

    if (set->n == 0) {
        ak_diag(d, "there is no public key and no certificate in PEM");
        ak_jwks_free(set);
        return NULL;
    }

    return set;
}


void
ak_jwks_free(ak_jwks_t *set)
{
    size_t  i;

    if (set == NULL) {
        return;
    }

    for (i = 0; i < set->n; i++) {
        ak_jws_key_free(set->list[i].key);
        free((void *) set->list[i].kid.data);
    }

    free(set);
}


const ak_jwk_t *
ak_jwks_at(const ak_jwks_t *set, size_t n)
{
    return (n < set->n) ? &set->list[n] : NULL;
}


bool
ak_jwk_serves(const ak_jwk_t *k, const ak_jws_alg_t *alg, ak_str_t kid)
{
    if (!ak_jws_fits(k->key, alg) || (k->alg != NULL && k->alg != alg)) {
        return false;
    }

    return k->kid.len == 0 || kid.len == 0 || ak_str_eq(k->kid, kid);
}


bool
ak_jwks_has(const ak_jwks_t *set, const uint8_t *id, const ak_jws_alg_t *alg)
{
    size_t           i;
    const ak_jwk_t  *k;

    for (i = 0; i < set->n; i++) {
        k = &set->list[i];

        if (memcmp(ak_jws_key_id(k->key), id, AK_JWS_ID_LEN) == 0
            && (k->alg == NULL || k->alg == alg))
        {
            return true;
        }
    }

    return false;
}
