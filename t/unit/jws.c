
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "unit.h"

#include "ak_jwt.h"


/* The examples of the standards, with their sections, as they stand there. */

static const struct {
    const char  *name;
    const char  *alg;
    const char  *jwk;
    const char  *token;
} examples[] = {
#include "jws_examples.inc"
};


static const ak_jwt_rules_t  no_rules = { .exp_optional = true };


static ak_reason_e
verify(const char *jwk, ak_str_t token, ak_jwt_t *jwt, unit_pool_t *pool)
{
    bool             missing;
    ak_diag_t        d;
    ak_jwks_t       *set;
    ak_reason_e      reason;
    const ak_jwk_t  *by;

    set = ak_jwks_parse(ak_cstr(jwk), true, NULL, &d);
    assert_case(set != NULL, "%s: %s", jwk, d.text);

    d.text[0] = '\0';
    reason = ak_jwt_parse(jwt, token, &pool->mem, &d);

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_verify(jwt, &no_rules, set, &by, &missing, &d);
    }

    assert_case((reason == AK_SUCCESS) == (d.text[0] == '\0'),
                "%.80s: no words", (const char *) token.data);
    ak_jwks_free(set);

    return reason;
}


static void
test_examples(void **state)
{
    size_t       i;
    ak_jwt_t     jwt;
    unit_pool_t  pool;

    (void) state;

    for (i = 0; i < ak_nitems(examples); i++) {
        unit_pool_init(&pool);

        assert_case(verify(examples[i].jwk, ak_cstr(examples[i].token), &jwt,
                           &pool)
                    == AK_SUCCESS, "%s", examples[i].name);
        assert_str(jwt.alg->name, examples[i].alg);

        ak_jwt_free(&jwt);
        unit_pool_free(&pool);
    }
}


/* Each bit of the signature, and some of what is signed, is of weight. */

static void
test_changed(void **state)
{
    char         *token;
    size_t        i, k, len;
    ak_jwt_t      jwt;
    unit_pool_t   pool;

    (void) state;

    for (i = 0; i < ak_nitems(examples); i++) {
        token = strdup(examples[i].token);
        len = strlen(token);

        for (k = 0; k < len; k += 1 + len / 97) {

            if (token[k] == '.') {
                continue;
            }

            token[k] = (token[k] == 'A') ? 'B' : 'A';

            if (token[k] != examples[i].token[k]) {
                unit_pool_init(&pool);
                assert_case(verify(examples[i].jwk, ak_cstr(token), &jwt,
                                   &pool)
                            != AK_SUCCESS, "%s, byte %zu", examples[i].name,
                            k);
                ak_jwt_free(&jwt);
                unit_pool_free(&pool);
            }

            token[k] = examples[i].token[k];
        }

        free(token);
    }
}


/* A key is for the algorithms of its type and curve, and no other. */

static void
test_pinned(void **state)
{
    size_t               i, n, fits;
    ak_diag_t            d;
    ak_jwks_t           *set;
    const ak_jwk_t      *k;
    const ak_jws_alg_t  *alg;

    (void) state;

    for (i = 0; i < ak_nitems(examples); i++) {
        set = ak_jwks_parse(ak_cstr(examples[i].jwk), true, NULL, &d);
        k = ak_jwks_at(set, 0);
        fits = 0;

        for (n = 0; (alg = ak_jws_alg_at(n)) != NULL; n++) {

            if (ak_jws_fits(k->key, alg)) {
                fits++;
                assert_int_equal(alg->kty, ak_jws_kty(k->key));

            } else {
                assert_int_equal(ak_jws_verify(k->key, alg, S("input"),
                                               S("signature")), AK_DENIED);
                assert_false(ak_jwk_serves(k, alg, ak_str(NULL, 0)));
            }
        }

        assert_int_equal(fits, ak_jws_kty(k->key) == AK_KTY_OCT ? 3
                               : ak_jws_kty(k->key) == AK_KTY_RSA ? 6
                               : ak_jws_kty(k->key) == AK_KTY_OKP ? 2 : 1);
        ak_jwks_free(set);
    }

    /* RFC 9864: a curve of its own name is that one alone */

    set = ak_jwks_parse(S("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
                          "\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapi"
                          "MlrwIaaPcHURo\"}"), false, NULL, &d);
    k = ak_jwks_at(set, 0);
    assert_true(ak_jws_fits(k->key, ak_jws_alg(S("Ed25519"))));
    assert_true(ak_jws_fits(k->key, ak_jws_alg(S("EdDSA"))));
    assert_false(ak_jws_fits(k->key, ak_jws_alg(S("Ed448"))));
    assert_false(ak_jwk_serves(k, ak_jws_alg(S("EdDSA")), ak_str(NULL, 0)));
    ak_jwks_free(set);

    assert_null(ak_jws_alg(S("none")));
    assert_null(ak_jws_alg(S("")));
    assert_null(ak_jws_alg(S("hs256")));
}


/* A good signature with bytes before or behind it, or without some, is none. */

static void
test_lengths(void **state)
{
    size_t           i, len;
    uint8_t          bytes[1024];
    ak_jwt_t         jwt;
    ak_diag_t        d;
    ak_jwks_t       *set;
    unit_pool_t      pool;
    const ak_jwk_t  *k;

    (void) state;

    for (i = 0; i < ak_nitems(examples); i++) {
        unit_pool_init(&pool);

        set = ak_jwks_parse(ak_cstr(examples[i].jwk), true, NULL, &d);
        k = ak_jwks_at(set, 0);

        assert_int_equal(ak_jwt_parse(&jwt, ak_cstr(examples[i].token),
                                      &pool.mem, &d), AK_SUCCESS);
        len = jwt.signature.len;

        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes + 8, jwt.signature.data, len);

        assert_int_equal(ak_jws_verify(k->key, jwt.alg, jwt.input,
                                       ak_str(bytes + 8, len)), AK_OK);
        assert_int_equal(ak_jws_verify(k->key, jwt.alg, jwt.input,
                                       ak_str(bytes + 8, len + 1)), AK_DENIED);
        assert_int_equal(ak_jws_verify(k->key, jwt.alg, jwt.input,
                                       ak_str(bytes + 8, len - 1)), AK_DENIED);
        assert_int_equal(ak_jws_verify(k->key, jwt.alg, jwt.input,
                                       ak_str(bytes + 7, len + 1)), AK_DENIED);
        assert_int_equal(ak_jws_verify(k->key, jwt.alg, jwt.input,
                                       ak_str(bytes + 8, 2 * len)), AK_DENIED);
        assert_int_equal(ak_jws_verify(k->key, jwt.alg, jwt.input,
                                       ak_str(NULL, 0)), AK_DENIED);

        ak_jwt_free(&jwt);
        ak_jwks_free(set);
        unit_pool_free(&pool);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_examples),
    cmocka_unit_test(test_changed),
    cmocka_unit_test(test_pinned)
};


UNIT_MAIN(tests)
