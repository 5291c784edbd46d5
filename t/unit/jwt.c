
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "unit.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ak_base64.h"
#include "ak_jwt.h"


#define SECRET  "a secret of 32 bytes, just so it is"
#define NOW     1700000000


static const ak_jwt_rules_t  no_rules = { .exp_optional = true };


static size_t
encode(char *dst, const void *data, size_t len)
{
    size_t  n;

    n = ak_base64_encode(AK_BASE64URL, ak_str(data, len), (uint8_t *) dst);
    dst[n] = '\0';

    return n;
}


/* header "." payload "." HMAC-SHA-256 of both. */

static char *
sign(const char *header, const char *payload, const char *secret)
{
    char     *token, *p;
    uint8_t   mac[32];
    unsigned  len;

    token = malloc(2 * (strlen(header) + strlen(payload)) + 200);
    assert_non_null(token);

    p = token + encode(token, header, strlen(header));
    *p++ = '.';
    p += encode(p, payload, strlen(payload));

    assert_non_null(HMAC(EVP_sha256(), secret, (int) strlen(secret),
                         (uint8_t *) token, (size_t) (p - token), mac, &len));
    *p++ = '.';
    encode(p, mac, len);

    return token;
}


/* All the steps; of the words there are some exactly where it is refused. */

static ak_reason_e
judge(const char *token, const ak_jwks_t *set, const ak_jwt_rules_t *rules,
    int64_t now)
{
    bool             missing;
    ak_jwt_t         jwt;
    ak_str_t         exact;
    ak_diag_t        d;
    ak_reason_e      reason;
    unit_pool_t      pool;
    const ak_jwk_t  *by;
    ak_jwt_times_t   times;

    unit_pool_init(&pool);
    exact = unit_exact(ak_cstr(token));
    d.text[0] = '\0';

    reason = ak_jwt_parse(&jwt, exact, &pool.mem, &d);

    if (reason == AK_SUCCESS && set != NULL) {
        reason = ak_jwt_verify(&jwt, rules, set, &by, &missing, &d);
    }

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_claims(&jwt, rules, &pool.mem, &times, &d);
    }

    if (reason == AK_SUCCESS) {
        reason = ak_jwt_now(&times, rules, now, &d);
    }

    assert_case((reason == AK_SUCCESS) == (d.text[0] == '\0'),
                "%.100s: %d, \"%s\"", token, reason, d.text);

    ak_jwt_free(&jwt);
    unit_free(exact);
    unit_pool_free(&pool);

    return reason;
}


static void
test_forms(void **state)
{
    size_t       i, k;
    char        *good, *text;
    ak_jwks_t   *set;
    ak_diag_t    d;

    static const char  *bad[] = {
        "", ".", "..", "...", "....", "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.", "eyJhbGciOiJIUzI1NiJ9..",
        "eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30.",
        ".e30.AAAA", "eyJhbGciOiJIUzI1NiJ9..AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA", "eyJhbGciOiJIUzI1NiJ9=.e30.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AA==",
        " eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA ",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA\nAA", "eyJhbGciOiJIUzI1NiJ9.e30.A+/A",
        "eyJhbGciOiJIUzI1NiJ8.e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e31.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e30.AB", "eyJhbGciOiJIUzI1NiJ9.e30.AAAAA"
    };

    (void) state;

    set = ak_jwks_secret(S(SECRET), &d);

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_case(judge(bad[i], set, &no_rules, NOW) != AK_SUCCESS, "%s",
                    bad[i]);
    }

    good = sign("{\"alg\":\"HS256\"}", "{\"sub\":\"alice\"}", SECRET);
    assert_int_equal(judge(good, set, &no_rules, NOW), AK_SUCCESS);

    /* any letter changed, any left out, any put in */

    for (i = 0; good[i] != '\0'; i++) {
        for (k = 0; k < 3; k++) {
            text = malloc(strlen(good) + 2);
            memcpy(text, good, i);
            text[i] = (good[i] == 'x') ? 'y' : 'x';
            strcpy(text + i + (k != 2), good + i + (k != 1));

            if (k == 2) {
                strcpy(text + i, good + i + 1);
            }

            assert_case(judge(text, set, &no_rules, NOW) != AK_SUCCESS,
                        "byte %zu: %s", i, text);
            free(text);
        }
    }

    free(good);
    ak_jwks_free(set);
}


static const struct {
    const char   *header;
    ak_reason_e   reason;
} header_cases[] = {
    { "{\"alg\":\"HS256\"}", AK_SUCCESS },
    { " { \"alg\" : \"HS256\" } ", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"typ\":\"jwt\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"typ\":\"application/at+JWT\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"kid\":\"' OR 1=1 --\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"x\":[1,{\"y\":null}]}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"b64\":true}", AK_SUCCESS },

    /* what points to keys is not followed */

    { "{\"alg\":\"HS256\",\"jku\":\"https://evil.example/\"}", AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
      AK_SUCCESS },
    { "{\"alg\":\"HS256\",\"x5u\":\"http://evil.example/\",\"x5c\":[\"\"]}",
      AK_SUCCESS },

    { "{\"alg\":\"none\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"None\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"NONE\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"nOnE\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"none \"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\" none\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"none\\u0000\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"hs256\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"HS256 \"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"HS1\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"RS256\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"ES256\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"EdDSA\"}", AK_JWT_SIGNATURE },
    { "{\"alg\":\"HS384\"}", AK_JWT_SIGNATURE },

    { "{}", AK_JWT_MALFORMED },
    { "{\"ALG\":\"HS256\"}", AK_JWT_MALFORMED },
    { "{\"alg\":null}", AK_JWT_MALFORMED },
    { "{\"alg\":1}", AK_JWT_MALFORMED },
    { "{\"alg\":[\"HS256\"]}", AK_JWT_MALFORMED },
    { "{\"alg\":{\"HS256\":1}}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"alg\":\"none\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":1}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":null}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":[]}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"typ\":1}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"cty\":\"JWT\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"cty\":1}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
      AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"crit\":[]}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"crit\":[\"alg\"]}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"crit\":\"b64\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"crit\":null}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":true}",
      AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"b64\":false}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"b64\":0}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"enc\":\"A128GCM\"}", AK_JWT_ENCRYPTED },
    { "[\"alg\",\"HS256\"]", AK_JWT_MALFORMED },
    { "\"HS256\"", AK_JWT_MALFORMED },
    { "null", AK_JWT_MALFORMED },
    { "1", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\"", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\"}}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\"} {}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",}", AK_JWT_MALFORMED },
    { "{'alg':'HS256'}", AK_JWT_MALFORMED },
    { "{alg:\"HS256\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\"/**/}", AK_JWT_MALFORMED },
    { "\xef\xbb\xbf{\"alg\":\"HS256\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":\"\xff\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":\"\xc0\xae\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":\"\n\"}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":1e999}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":99999999999999999999}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":01}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":NaN}", AK_JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", AK_JWT_CLAIMS },
    { "{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", AK_JWT_CLAIMS },
    { "{\"alg\":\"HS256\",\"typ\":\"\"}", AK_JWT_CLAIMS },
    { "{\"alg\":\"HS256\",\"typ\":\"JWT \"}", AK_JWT_CLAIMS }
};


static void
test_headers(void **state)
{
    char       *p, *token, *text;
    size_t      i;
    ak_jwks_t  *set;
    ak_diag_t   d;

    (void) state;

    set = ak_jwks_secret(S(SECRET), &d);

    for (i = 0; i < ak_nitems(header_cases); i++) {
        token = sign(header_cases[i].header, "{\"sub\":\"alice\"}", SECRET);
        assert_case(judge(token, set, &no_rules, NOW) == header_cases[i].reason,
                    "%s: %d", header_cases[i].header,
                    judge(token, set, &no_rules, NOW));
        free(token);
    }

    /* deep, long, and many */

    text = malloc(70000);
    assert_non_null(text);

    for (i = 15; i <= 10000; i += (i < 17) ? 1 : 3000) {
        p = text + sprintf(text, "{\"alg\":\"HS256\",\"x\":");
        memset(p, '[', i);
        memset(p + i, ']', i);
        strcpy(p + 2 * i, "}");

        token = sign(text, "{}", SECRET);
        assert_case((judge(token, set, &no_rules, NOW) == AK_SUCCESS)
                    == (i + 1 <= AK_JSON_DEPTH_MAX), "%zu levels", i);
        free(token);
    }

    for (i = 4000; i < 32000; i *= 2) {
        p = text + sprintf(text, "{\"alg\":\"HS256\",\"x\":\"");
        memset(p, 'x', i);
        strcpy(p + i, "\"}");

        token = sign(text, "{}", SECRET);
        assert_case((judge(token, set, &no_rules, NOW) == AK_SUCCESS)
                    == (i < AK_JWT_HEADER_MAX - 100), "%zu bytes", i);
        free(token);
    }

    free(text);
    ak_jwks_free(set);
}


/* Words of a rule, at most three. */

#define W(s)        ak_string(s)
#define WORDS(...)  { (ak_str_t []) { __VA_ARGS__ },                          \
                      sizeof((ak_str_t []) { __VA_ARGS__ }) / sizeof(ak_str_t) }


static const ak_jwt_rules_t  strict = { .leeway = 0 };
static const ak_jwt_rules_t  loose = { .leeway = 60,
                                       .exp_optional = true };
static const ak_jwt_rules_t  young = { .max_age = 600,
                                       .exp_optional = true };

static const ak_jwt_rules_t  iss = { .exp_optional = true,
    .issuers = WORDS(W("https://a.example"), W("https://b.example")) };
static const ak_jwt_rules_t  aud = { .exp_optional = true,
    .audiences = WORDS(W("api"), W("web")) };
static const ak_jwt_rules_t  all = { .exp_optional = true,
    .audiences = WORDS(W("*")) };
static const ak_jwt_rules_t  sub = { .exp_optional = true,
    .subjects = WORDS(W("alice")) };
static const ak_jwt_rules_t  req = { .exp_optional = true,
    .required = WORDS(W("email"), W("realm.roles")) };
static const ak_jwt_rules_t  typ = { .exp_optional = true,
    .types = WORDS(W("at+jwt")) };
static const ak_jwt_rules_t  alg = { .exp_optional = true,
    .algorithms = WORDS(W("HS512"), W("RS256")) };

static const struct {
    const ak_jwt_rules_t  *rules;
    const char            *claims;
    ak_reason_e            reason;
} claim_cases[] = {
    { &strict, "{\"exp\":1700000001}", AK_SUCCESS },
    { &strict, "{\"exp\":1700000000}", AK_JWT_EXPIRED },
    { &strict, "{\"exp\":1699999999}", AK_JWT_EXPIRED },
    { &strict, "{\"exp\":1700000000.9}", AK_JWT_EXPIRED },
    { &strict, "{\"exp\":1.7000000015e9}", AK_SUCCESS },
    { &strict, "{\"exp\":1}", AK_JWT_EXPIRED },
    { &strict, "{}", AK_JWT_CLAIMS },
    { &strict, "{\"EXP\":1800000000}", AK_JWT_CLAIMS },
    { &strict, "{\"exp\":\"1800000000\"}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":null}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":true}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":[1800000000]}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":{}}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":0}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":-1}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":1e300}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":1e400}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":9223372036854775807}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":9223372036854775808}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":1800000000,\"exp\":1}", AK_JWT_MALFORMED },
    { &strict, "{\"exp\":1800000000}x", AK_JWT_MALFORMED },
    { &strict, "[{\"exp\":1800000000}]", AK_JWT_MALFORMED },
    { &strict, "", AK_JWT_MALFORMED },
    { &strict, "null", AK_JWT_MALFORMED },

    { &loose, "{}", AK_SUCCESS },
    { &loose, "{\"exp\":1699999941}", AK_SUCCESS },
    { &loose, "{\"exp\":1699999940}", AK_JWT_EXPIRED },
    { &loose, "{\"nbf\":1700000060}", AK_SUCCESS },
    { &loose, "{\"nbf\":1700000061}", AK_JWT_NOT_YET },
    { &loose, "{\"iat\":1700000060}", AK_SUCCESS },
    { &loose, "{\"iat\":1700000061}", AK_JWT_NOT_YET },
    { &loose, "{\"nbf\":\"now\"}", AK_JWT_MALFORMED },
    { &loose, "{\"iat\":\"now\"}", AK_JWT_MALFORMED },

    { &young, "{\"iat\":1699999400}", AK_SUCCESS },
    { &young, "{\"iat\":1699999399}", AK_JWT_EXPIRED },
    { &young, "{}", AK_JWT_CLAIMS },

    { &iss, "{\"iss\":\"https://b.example\"}", AK_SUCCESS },
    { &iss, "{\"iss\":\"https://b.example/\"}", AK_JWT_CLAIMS },
    { &iss, "{\"iss\":\"HTTPS://b.example\"}", AK_JWT_CLAIMS },
    { &iss, "{\"iss\":[\"https://b.example\"]}", AK_JWT_CLAIMS },
    { &iss, "{\"iss\":\"https://b.example\\u0000\"}", AK_JWT_MALFORMED },
    { &iss, "{\"iss\":null}", AK_JWT_CLAIMS },
    { &iss, "{}", AK_JWT_CLAIMS },

    { &aud, "{\"aud\":\"api\"}", AK_SUCCESS },
    { &aud, "{\"aud\":[\"x\",\"web\"]}", AK_SUCCESS },
    { &aud, "{\"aud\":[1,\"web\"]}", AK_SUCCESS },
    { &aud, "{\"aud\":\"*\"}", AK_JWT_CLAIMS },
    { &aud, "{\"aud\":\"api web\"}", AK_JWT_CLAIMS },
    { &aud, "{\"aud\":[]}", AK_JWT_CLAIMS },
    { &aud, "{\"aud\":{\"api\":1}}", AK_JWT_CLAIMS },
    { &aud, "{\"aud\":null}", AK_JWT_CLAIMS },
    { &aud, "{\"aud\":\"\"}", AK_JWT_CLAIMS },
    { &aud, "{}", AK_JWT_CLAIMS },
    { &all, "{\"aud\":\"anybody\"}", AK_SUCCESS },
    { &loose, "{\"aud\":\"anybody\"}", AK_JWT_CLAIMS },

    { &sub, "{\"sub\":\"alice\"}", AK_SUCCESS },
    { &sub, "{\"sub\":\"bob\"}", AK_JWT_CLAIMS },
    { &sub, "{\"sub\":[\"alice\"]}", AK_JWT_CLAIMS },

    { &req, "{\"email\":\"a@b\",\"realm\":{\"roles\":[]}}", AK_SUCCESS },
    { &req, "{\"email\":null,\"realm.roles\":1}", AK_JWT_CLAIMS },
    { &req, "{\"email\":0,\"realm.roles\":1}", AK_SUCCESS },
    { &req, "{\"email\":\"a@b\",\"realm\":{}}", AK_JWT_CLAIMS },
    { &req, "{\"realm\":{\"roles\":[]}}", AK_JWT_CLAIMS },

    { &typ, "{}", AK_JWT_CLAIMS },
    { &alg, "{}", AK_JWT_SIGNATURE }
};


static void
test_claims(void **state)
{
    size_t  i;
    char   *token;

    (void) state;

    for (i = 0; i < ak_nitems(claim_cases); i++) {
        ak_diag_t   d;
        ak_jwks_t  *set = ak_jwks_secret(S(SECRET), &d);

        token = sign("{\"alg\":\"HS256\"}", claim_cases[i].claims, SECRET);
        assert_case(judge(token, set, claim_cases[i].rules, NOW)
                    == claim_cases[i].reason,
                    "%s: %d", claim_cases[i].claims,
                    judge(token, set, claim_cases[i].rules, NOW));
        free(token);
        ak_jwks_free(set);
    }
}


/* R and S of ECDSA on P-256 as a signature, in hex; n is the group's order. */

#define ZERO  "0000000000000000000000000000000000000000000000000000000000000000"
#define ONE   "0000000000000000000000000000000000000000000000000000000000000001"
#define ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
#define MORE  "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552"
#define MOST  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"


static void
test_ecdsa(void **state)
{
    size_t       i, k, len;
    uint8_t      bytes[256];
    unsigned     byte;
    ak_diag_t    d;
    ak_jwks_t   *set;

    static const char  *bad[] = {
        ZERO ZERO, ZERO ONE, ONE ZERO, ORDER ORDER, ORDER ONE, ONE ORDER,
        MORE MORE, ONE MORE, MOST MOST, ONE MOST, ONE ONE, "", "00", ZERO,
        ONE ONE "00", "00" ONE ONE, ONE ONE ONE ONE,
        "3006020101020101", "3006020100020100", "30060201010201ff"
    };

    (void) state;

    set = ak_jwks_parse(S("{\"kty\":\"EC\",\"crv\":\"P-256\","
                          "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
                          "\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI"
                          "5a0\"}"), false, NULL, &d);
    assert_non_null(set);

    for (i = 0; i < ak_nitems(bad); i++) {
        len = strlen(bad[i]) / 2;

        for (k = 0; k < len; k++) {
            assert_int_equal(sscanf(bad[i] + 2 * k, "%2x", &byte), 1);
            bytes[k] = (uint8_t) byte;
        }

        assert_case(ak_jws_verify(ak_jwks_at(set, 0)->key,
                                  ak_jws_alg(S("ES256")), S("input"),
                                  ak_str(bytes, len))
                    == AK_DENIED, "%s", bad[i]);
    }

    ak_jwks_free(set);
}


/* The public key, in every form, is no secret for HMAC. */

static void
test_confusion(void **state)
{
    size_t      i;
    char       *token;
    ak_diag_t   d;
    ak_jwks_t  *set;

#define X  "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    static const char  *secrets[] = {
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        "-----END PUBLIC KEY-----\n",
        "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X "\"}", X, "", "x"
    };

    (void) state;

    set = ak_jwks_parse(S("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X
                          "\",\"kid\":\"1\"}"), false, NULL, &d);
    assert_non_null(set);

    for (i = 0; i < ak_nitems(secrets); i++) {
        token = sign("{\"alg\":\"HS256\",\"kid\":\"1\"}", "{}", secrets[i]);
        assert_int_equal(judge(token, set, &no_rules, NOW), AK_JWT_SIGNATURE);
        free(token);

        token = sign("{\"alg\":\"EdDSA\",\"kid\":\"1\"}", "{}", secrets[i]);
        assert_int_equal(judge(token, set, &no_rules, NOW), AK_JWT_SIGNATURE);
        free(token);
    }

    ak_jwks_free(set);
}


static void
test_encrypted(void **state)
{
    (void) state;

    assert_int_equal(judge("eyJhbGciOiJkaXIifQ.AAAA.AAAA.AAAA.AAAA", NULL,
                           &no_rules, NOW), AK_JWT_ENCRYPTED);
}


/* Whether newer keys might help is said where, and only where, they might. */

static void
test_missing(void **state)
{
    size_t      i;

    static const struct {
        const char  *header;
        const char  *secret;
        bool         missing;
        ak_reason_e  reason;
    } cases[] = {
        { "{\"alg\":\"HS256\",\"kid\":\"a\"}", SECRET, false, AK_SUCCESS },
        { "{\"alg\":\"HS256\",\"kid\":\"b\"}", SECRET, true,
          AK_JWT_SIGNATURE },
        { "{\"alg\":\"HS256\",\"kid\":\"a\"}", "other", false,
          AK_JWT_SIGNATURE },
        { "{\"alg\":\"HS256\"}", SECRET, false, AK_SUCCESS },
        { "{\"alg\":\"HS256\"}", "other", false, AK_JWT_SIGNATURE },
        { "{\"alg\":\"ES256\",\"kid\":\"a\"}", SECRET, true,
          AK_JWT_SIGNATURE }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        bool             missing;
        char            *token;
        ak_jwt_t         jwt;
        ak_diag_t        d;
        ak_jwks_t       *set;
        unit_pool_t      pool;
        const ak_jwk_t  *by;

        unit_pool_init(&pool);
        set = ak_jwks_parse(S("{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"YSBzZWNyZ"
                              "XQgb2YgMzIgYnl0ZXMsIGp1c3Qgc28gaXQgaXM\"}"),
                            true, NULL, &d);
        assert_non_null(set);

        token = sign(cases[i].header, "{}", cases[i].secret);
        assert_int_equal(ak_jwt_parse(&jwt, ak_cstr(token), &pool.mem, &d),
                         AK_SUCCESS);
        assert_int_equal(ak_jwt_verify(&jwt, &no_rules, set, &by, &missing,
                                       &d), cases[i].reason);
        assert_case(missing == cases[i].missing, "%s", cases[i].header);

        ak_jwt_free(&jwt);
        ak_jwks_free(set);
        free(token);
        unit_pool_free(&pool);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_forms),
    cmocka_unit_test(test_headers),
    cmocka_unit_test(test_claims),
    cmocka_unit_test(test_ecdsa),
    cmocka_unit_test(test_confusion),
    cmocka_unit_test(test_encrypted),
    cmocka_unit_test(test_missing)
};


UNIT_MAIN(tests)
