
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <openssl/err.h>

#include "unit.h"

#include "ak_jwk.h"


#define EC_X  "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y  "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\""   \
              EC_Y "\""
#define ED_X  "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""
#define OCT   "\"kty\":\"oct\",\"k\":\"" ED_X "\""


/* What openssl(1) made of the key of RFC 7515, A.3, and of RFC 8037, A.4. */

#define EC_PEM                                                                \
    "-----BEGIN PUBLIC KEY-----\n"                                            \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"      \
    "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"          \
    "-----END PUBLIC KEY-----\n"

#define ED_PEM                                                                \
    "-----BEGIN PUBLIC KEY-----\n"                                            \
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"          \
    "-----END PUBLIC KEY-----\n"


/* Modulus of that many bytes, which is enough for a key to be taken. */

static char *
rsa(size_t bytes, const char *e)
{
    char    *text;
    size_t   i, len;

    text = malloc(bytes * 2 + 200);
    assert_non_null(text);

    len = (size_t) sprintf(text, "{\"kty\":\"RSA\",\"e\":\"%s\",\"n\":\"", e);

    /* whole groups of three bytes, and what is left of one */

    for (i = 0; i < bytes / 3 * 4; i++) {
        text[len++] = (i == 0) ? '_' : '7';
    }

    strcpy(text + len, bytes % 3 == 1 ? "_w\"}"
                       : bytes % 3 == 2 ? "__8\"}" : "\"}");

    return text;
}


static void
check(const char *text, bool secrets, size_t n, unsigned skipped)
{
    size_t      k;
    unsigned    bad;
    ak_str_t    exact;
    ak_diag_t   d;
    ak_jwks_t  *set;

    exact = unit_exact(ak_cstr(text));
    memset(&d, 0, sizeof(ak_diag_t));
    bad = 0;

    set = ak_jwks_parse(exact, secrets, &bad, &d);
    unit_free(exact);

    assert_case((set != NULL) == (n != 0), "%.100s: %s", text, d.text);
    assert_case(n != 0 || d.text[0] != '\0', "%.100s: no words", text);

    for (k = 0; set != NULL && ak_jwks_at(set, k) != NULL; k++) { /* void */ }

    assert_case(k == n && (n == 0 || bad == skipped),
                "%.100s: %zu keys, %u skipped", text, k, bad);
    assert_null(strstr(d.text, ED_X));
    ak_jwks_free(set);
}


static void
test_sets(void **state)
{
    char    *text, *p;
    size_t   i;

    static const struct {
        const char  *text;
        bool         secrets;
        size_t       n;
        unsigned     skipped;
    } cases[] = {
        { "{\"keys\":[{" EC "},{" ED "},{" OCT "}]}", true, 3, 0 },
        { "{\"keys\":[{" EC "},{" ED "},{" OCT "}]}", false, 2, 1 },
        { "{" EC "}", false, 1, 0 },
        { " {\"keys\":[{" EC ",\"kid\":\"1\"}]} ", false, 1, 0 },
        { "{\"keys\":[{" EC "}],\"more\":1}", false, 1, 0 },

        /* RFC 7517, 5: what is not understood is passed over */

        { "{\"keys\":[{\"kty\":\"AKP\"},{" ED "}]}", false, 1, 1 },
        { "{\"keys\":[1,null,\"x\",[],{},{" ED "}]}", false, 1, 5 },
        { "{\"keys\":[{" ED ",\"use\":\"enc\"},{" ED "}]}", false, 1, 1 },
        { "{\"keys\":[{" ED ",\"use\":1},{" ED "}]}", false, 1, 1 },
        { "{\"keys\":[{" ED ",\"key_ops\":[\"sign\"]},{" ED "}]}", false, 1,
          1 },
        { "{\"keys\":[{" ED ",\"key_ops\":\"verify\"},{" ED "}]}", false, 1,
          1 },
        { "{" ED ",\"key_ops\":[\"sign\",\"verify\"],\"use\":\"sig\"}", false,
          1, 0 },
        { "{\"keys\":[{" EC ",\"alg\":\"ES384\"},{" ED "}]}", false, 1, 1 },
        { "{\"keys\":[{" EC ",\"alg\":\"RSA-OAEP\"},{" ED "}]}", false, 1, 1 },
        { "{\"keys\":[{" EC ",\"alg\":1},{" ED "}]}", false, 1, 1 },
        { "{\"keys\":[{" EC ",\"kid\":1},{" ED "}]}", false, 1, 1 },
        { "{" EC ",\"alg\":\"ES256\",\"kid\":\"\"}", false, 1, 0 },

        /* a point that is not on the curve, and what is no point at all */

        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\""
          EC_X "\"}", false, 0, 1 },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", false, 0,
          1 },
        { "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\""
          EC_Y "\"}", false, 0, 1 },
        { "{\"kty\":\"EC\",\"crv\":\"P-256K\",\"x\":\"" EC_X "\",\"y\":\""
          EC_Y "\"}", false, 0, 1 },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA" "\",\"y\":\""
          EC_Y "\"}", false, 0, 1 },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "=\",\"y\":\""
          EC_Y "\"}", false, 0, 1 },
        { "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}", false, 0,
          1 },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED_X "\"}", false, 0,
          1 },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", false, 0, 1 },
        { "{\"kty\":\"oct\",\"k\":\"\"}", true, 0, 1 },
        { "{\"kty\":\"oct\",\"k\":\"a=\"}", true, 0, 1 },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\"}", false, 0, 1 },

        /* no set */

        { "", false, 0, 0 },
        { "[]", false, 0, 0 },
        { "{}", false, 0, 1 },
        { "{\"keys\":[]}", false, 0, 0 },
        { "{\"keys\":{}}", false, 0, 0 },
        { "{\"keys\":[{" ED "}]", false, 0, 0 },
        { "{\"keys\":[{" ED "}]} x", false, 0, 0 },
        { "{\"keys\":[{" ED "}],\"keys\":[]}", false, 0, 0 },
        { "{\"keys\":[{" ED ",\"x\":\"" ED_X "\"}]}", false, 0, 0 },
        { "{\"keys\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", false, 0, 0 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        check(cases[i].text, cases[i].secrets, cases[i].n, cases[i].skipped);
    }

    /* more keys than there is room for: the first count */

    text = malloc(100 * (sizeof(ED) + 8) + 32);
    assert_non_null(text);
    p = text + sprintf(text, "{\"keys\":[");

    for (i = 0; i < 80; i++) {
        p += sprintf(p, "%s{" ED "}", i == 0 ? "" : ",");
    }

    strcpy(p, "]}");
    check(text, false, AK_JWKS_KEYS_MAX, 80 - AK_JWKS_KEYS_MAX);
    free(text);
}


static void
test_rsa(void **state)
{
    size_t  i;
    char   *text;

    static const struct {
        size_t       bytes;
        const char  *e;
        size_t       n;
    } cases[] = {
        { 256, "AQAB", 1 },
        { 256, "Aw", 1 },
        { 512, "AQAB", 1 },
        { 1024, "AQAB", 1 },
        { 255, "AQAB", 0 },
        { 128, "AQAB", 0 },
        { 64, "AQAB", 0 },
        { 1026, "AQAB", 0 },
        { 256, "AQ", 0 },              /* 1: everybody can sign */
        { 256, "AA", 0 },
        { 256, "AQAA", 0 },            /* even */
        { 256, "AQAAAAAAAAAB", 0 },    /* beyond 64 bits */
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        text = rsa(cases[i].bytes, cases[i].e);
        check(text, false, cases[i].n, cases[i].n == 0);
        free(text);
    }
}


static const ak_jwk_t *
first(const ak_jwks_t *set)
{
    assert_non_null(set);

    return ak_jwks_at(set, 0);
}


/* A certificate of its own, made by openssl-req(1). */

#define CERT_PEM  \
    "-----BEGIN CERTIFICATE-----\n"                                           \
    "MIIC+TCCAeGgAwIBAgIUT4+xE5+pzhjXHJKtAvktmtl+uUAwDQYJKoZIhvcNAQEL\n"      \
    "BQAwDDEKMAgGA1UEAwwBYTAeFw0yNjExMjEwNzU1NTFaFw0yNjEyMjEwNzU1NTFa\n"      \
    "MAwxCjAIBgNVBAMMAWEwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQDH\n"      \
    "9JaL7ZEv0GoTxJjewGkEGplxSzXnEBn0CZYrRVtxPlwNWRXa16Fs0XSbXq21JoJR\n"      \
    "FWokj8GapMIW7vd/Yx3fbiuxyKAvk3XYZ4i8B64Tbgm+jfLWRNXjOnINSoB53xt3\n"      \
    "IRcfb/sbHsPlGlbVxpHkyoxHY02OQ+ct+UUQH0ronFR8w/YGHGRyGofLhNiTA2rd\n"      \
    "8UOScTvLCuTjGnzpnlzUuLQGBIi/vyd5miRTf+qJsugRYFK8DpvJ09lir5xI1J8N\n"      \
    "4qX/qVCu7V4XgXrp/lOZhZvzFtXWx0v0b4oCvhOhHxDbduVgajpOF4EcneAkACAW\n"      \
    "TXPXcTmKtuGYd4MPyM9vAgMBAAGjUzBRMB0GA1UdDgQWBBRp6m7tWD426NQSWHpV\n"      \
    "+ZHT9A93HTAfBgNVHSMEGDAWgBRp6m7tWD426NQSWHpV+ZHT9A93HTAPBgNVHRMB\n"      \
    "Af8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQCcAmUdj1M/4R2jnz+e6X7EFtkS\n"      \
    "Rs4wGtM7Ve9DD2S23VoPggsKsYoIQAMpQjcccpYhPP2Pb+UXFX9bnh4yrpovnlL/\n"      \
    "RrSVKDJEPVqYEbrCGlY+cUbHH26USm/V07XvnUAGB1ZJvEIym5oeIwqDdYY6zQZ7\n"      \
    "QDbqO2R5AXh54nu60fhiEcEfOUplfOTh7UEmwB2tOUUkQ8m9M3IIRVGctm0uhPeQ\n"      \
    "7dK0ALQcOfZRmc1XpOp1QYW9TJpllF1pbvCAp6tXbhbGQB1MX3f9IYI14UcsiUIt\n"      \
    "0YzGmQEbVL28OHSiCiWqCG4K9tVCFGEkw52PiHqTCzVXw9Vn01vQf3OyVvSW\n"          \
    "-----END CERTIFICATE-----\n"


static void
test_pem(void **state)
{
    size_t      i;
    ak_diag_t   d;
    ak_jwks_t  *jwk, *pem;

    static const char  *blocks[] = {
        CERT_PEM EC_PEM, EC_PEM CERT_PEM, CERT_PEM "text\n" ED_PEM
    };

    (void) state;

    /* one key has one id, however it was read */

    jwk = ak_jwks_parse(S("{" EC "}"), false, NULL, &d);
    pem = ak_jwks_pem(S("some text\n" EC_PEM), &d);
    assert_memory_equal(ak_jws_key_id(first(jwk)->key),
                        ak_jws_key_id(first(pem)->key), AK_JWS_ID_LEN);
    assert_true(ak_jwks_has(pem, ak_jws_key_id(first(jwk)->key), NULL));
    assert_true(ak_jws_fits(first(pem)->key, ak_jws_alg(S("ES256"))));
    assert_false(ak_jws_fits(first(pem)->key, ak_jws_alg(S("ES384"))));
    ak_jwks_free(jwk);
    ak_jwks_free(pem);

    pem = ak_jwks_pem(S(EC_PEM ED_PEM), &d);
    assert_non_null(pem);
    assert_non_null(ak_jwks_at(pem, 1));
    assert_null(ak_jwks_at(pem, 2));
    assert_int_equal(ak_jws_kty(ak_jwks_at(pem, 1)->key), AK_KTY_OKP);

    jwk = ak_jwks_parse(S("{" ED "}"), false, NULL, &d);
    assert_true(ak_jwks_has(pem, ak_jws_key_id(first(jwk)->key), NULL));
    ak_jwks_free(jwk);

    jwk = ak_jwks_secret(S("a secret"), &d);
    assert_false(ak_jwks_has(pem, ak_jws_key_id(first(jwk)->key), NULL));
    ak_jwks_free(jwk);
    ak_jwks_free(pem);

    /* each block is one key, whatever kind the others are of */

    for (i = 0; i < ak_nitems(blocks); i++) {
        pem = ak_jwks_pem(ak_cstr(blocks[i]), &d);
        assert_non_null(pem);
        assert_non_null(ak_jwks_at(pem, 1));
        assert_null(ak_jwks_at(pem, 2));
        assert_int_equal(ERR_peek_error(), 0);
        assert_memory_not_equal(ak_jws_key_id(first(pem)->key),
                                ak_jws_key_id(ak_jwks_at(pem, 1)->key),
                                AK_JWS_ID_LEN);
        ak_jwks_free(pem);
    }

    pem = ak_jwks_pem(S("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                        "-----END EC PARAMETERS-----\n" EC_PEM), &d);
    assert_non_null(pem);
    assert_null(ak_jwks_at(pem, 1));
    ak_jwks_free(pem);

    assert_null(ak_jwks_pem(S(""), &d));
    assert_null(ak_jwks_pem(S("no key"), &d));
    assert_null(ak_jwks_pem(S(EC_PEM "-----BEGIN PUBLIC KEY-----\nAA==\n"
                              "-----END PUBLIC KEY-----\n"), &d));
}


static void
test_serves(void **state)
{
    ak_diag_t            d;
    ak_jwks_t           *set;
    const ak_jwk_t      *any, *named, *bound;
    const ak_jws_alg_t  *hs256 = ak_jws_alg(S("HS256"));
    const ak_jws_alg_t  *hs512 = ak_jws_alg(S("HS512"));
    const ak_jws_alg_t  *eddsa = ak_jws_alg(S("EdDSA"));

    (void) state;

    set = ak_jwks_parse(S("{\"keys\":[{" OCT "},{" OCT ",\"kid\":\"a\"},"
                          "{" OCT ",\"alg\":\"HS512\"}]}"), true, NULL, &d);
    any = first(set);
    named = ak_jwks_at(set, 1);
    bound = ak_jwks_at(set, 2);

    assert_true(ak_jwk_serves(any, hs256, S("a")));
    assert_true(ak_jwk_serves(any, hs512, ak_str(NULL, 0)));
    assert_false(ak_jwk_serves(any, eddsa, ak_str(NULL, 0)));
    assert_true(ak_jwk_serves(named, hs256, S("a")));
    assert_false(ak_jwk_serves(named, hs256, S("A")));
    assert_true(ak_jwk_serves(named, hs256, ak_str(NULL, 0)));
    assert_true(ak_jwk_serves(bound, hs512, S("a")));
    assert_false(ak_jwk_serves(bound, hs256, S("a")));
    assert_int_equal(ak_jws_secret_len(any->key), 32);

    /* a key for one algorithm is not there for another */

    assert_true(ak_jwks_has(set, ak_jws_key_id(bound->key), hs512));
    assert_false(ak_jwks_has(set, ak_jws_key_id(bound->key), hs256));
    assert_true(ak_jwks_has(set, ak_jws_key_id(any->key), hs256));

    /* the id of a secret tells nothing of it */

    assert_memory_not_equal(ak_jws_key_id(any->key),
                            ak_jws_key_id(named->key), AK_JWS_ID_LEN);
    ak_jwks_free(set);

    assert_null(ak_jwks_secret(ak_str(NULL, 0), &d));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_sets),
    cmocka_unit_test(test_rsa),
    cmocka_unit_test(test_pem),
    cmocka_unit_test(test_serves)
};


UNIT_MAIN(tests)
