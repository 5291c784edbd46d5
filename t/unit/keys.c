
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the keys of a line, and where they come from. */


#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ak_keys.h"


#define SECRET  "Tr0ub4dor-and-3-is-32-bytes-long"

#define ED_X    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED      "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}"

/* "a secret of a set" */

#define OCT     "{\"kty\":\"oct\",\"kid\":\"s\","                             \
                "\"k\":\"YSBzZWNyZXQgb2YgYSBzZXQ\"}"


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


static char       folder[] = "/tmp/ak_keys_XXXXXX";
static char       path[64];
static ak_diag_t  diag;


static int
set_up(void **state)
{
    (void) state;

    if (mkdtemp(folder) == NULL) {
        return -1;
    }

    sprintf(path, "%s/keys", folder);

    return 0;
}


static int
tear_down(void **state)
{
    (void) state;

    unsetenv("UNIT_SECRET");
    unlink(path);

    return rmdir(folder);
}


static void
put(const char *text, size_t len, unsigned mode)
{
    FILE  *f;

    unlink(path);

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}


static ak_keys_t
keys_of(ak_keys_from_e from, const char *source)
{
    ak_keys_t  keys;

    memset(&keys, 0, sizeof(ak_keys_t));
    keys.from = from;
    keys.source = ak_cstr(source);

    return keys;
}


static ak_rc_t
load(ak_keys_t *keys)
{
    memset(&diag, 0, sizeof(ak_diag_t));

    return ak_keys_load(keys, &diag);
}


static size_t
count(const ak_keys_t *keys)
{
    size_t  n;

    for (n = 0; ak_jwks_at(keys->set, n) != NULL; n++) { /* void */ }

    return n;
}


/* Whether the n-th key is that secret: what it signs is verified with it. */

static bool
is_secret(const ak_keys_t *keys, size_t n, const char *secret, size_t len)
{
    uint8_t          mac[32];
    unsigned         size;
    const ak_jwk_t  *k;

    k = ak_jwks_at(keys->set, n);
    assert_non_null(k);

    assert_non_null(HMAC(EVP_sha256(), secret, (int) len,
                         (const uint8_t *) "input", 5, mac, &size));

    return ak_jws_kty(k->key) == AK_KTY_OCT
           && ak_jws_secret_len(k->key) == len
           && ak_jws_verify(k->key, ak_jws_alg(S("HS256")), S("input"),
                            ak_str(mac, size))
              == AK_OK;
}


#define assert_secret(keys, text)                                             \
    do {                                                                      \
        assert_int_equal(count(keys), 1);                                     \
        assert_true(is_secret(keys, 0, text, sizeof(text) - 1));              \
    } while (0)


static void
test_env(void **state)
{
    ak_jwks_t  *set;
    ak_keys_t   keys;

    (void) state;

    keys = keys_of(AK_KEYS_ENV, "UNIT_SECRET");

    unsetenv("UNIT_SECRET");
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "\"env:UNIT_SECRET\""));
    assert_null(keys.set);

    setenv("UNIT_SECRET", "", 1);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "empty"));
    assert_null(keys.set);

    setenv("UNIT_SECRET", SECRET, 1);
    assert_int_equal(load(&keys), AK_OK);
    assert_secret(&keys, SECRET);

    /* it is taken as it is */

    setenv("UNIT_SECRET", " " SECRET "\n", 1);
    assert_int_equal(load(&keys), AK_OK);
    assert_secret(&keys, " " SECRET "\n");

    set = keys.set;
    unsetenv("UNIT_SECRET");
    assert_int_equal(load(&keys), AK_ERROR);
    assert_ptr_equal(keys.set, set);
    assert_secret(&keys, " " SECRET "\n");

    ak_keys_free(&keys);
    assert_null(keys.set);
    ak_keys_free(&keys);
}


static void
test_env_length(void **state)
{
    char      *text;
    ak_keys_t  keys;

    (void) state;

    text = malloc(AK_JWS_SECRET_MAX + 2);
    assert_non_null(text);
    memset(text, 's', AK_JWS_SECRET_MAX + 1);

    keys = keys_of(AK_KEYS_ENV, "UNIT_SECRET");

    text[AK_JWS_SECRET_MAX] = '\0';
    setenv("UNIT_SECRET", text, 1);
    assert_int_equal(load(&keys), AK_OK);
    assert_true(is_secret(&keys, 0, text, AK_JWS_SECRET_MAX));

    text[AK_JWS_SECRET_MAX] = 's';
    text[AK_JWS_SECRET_MAX + 1] = '\0';
    setenv("UNIT_SECRET", text, 1);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_null(strstr(diag.text, "sss"));
    assert_true(is_secret(&keys, 0, text, AK_JWS_SECRET_MAX));

    ak_keys_free(&keys);
    free(text);
}


/* One end of a line is the editor's; all else is the secret's. */

static void
test_secret(void **state)
{
    size_t     i;
    ak_keys_t  keys;

    static const struct {
        ak_str_t   text;
        ak_str_t   secret;
    } cases[] = {
        { ak_string(SECRET), ak_string(SECRET) },
        { ak_string(SECRET "\n"), ak_string(SECRET) },
        { ak_string(SECRET "\r\n"), ak_string(SECRET) },
        { ak_string(SECRET "\r"), ak_string(SECRET) },
        { ak_string(SECRET "\n\n"), ak_string(SECRET "\n") },
        { ak_string(SECRET "\r\n\r\n"), ak_string(SECRET "\r\n") },
        { ak_string(SECRET "\n\r\n"), ak_string(SECRET "\n") },
        { ak_string(" " SECRET " "), ak_string(" " SECRET " ") },
        { ak_string("\n" SECRET), ak_string("\n" SECRET) },
        { ak_string("a\0b\n"), ak_string("a\0b") },
        { ak_string("x"), ak_string("x") },
        { ak_string("\n\n"), ak_string("\n") }
    };

    static const char  *empty[] = { "", "\n", "\r\n", "\r" };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        put((const char *) cases[i].text.data, cases[i].text.len, 0600);

        keys = keys_of(AK_KEYS_SECRET, path);
        assert_case(load(&keys) == AK_OK, "%zu: %s", i, diag.text);
        assert_int_equal(count(&keys), 1);
        assert_case(is_secret(&keys, 0, (const char *) cases[i].secret.data,
                              cases[i].secret.len), "%zu", i);
        assert_int_equal(ak_jwks_at(keys.set, 0)->kid.len, 0);

        ak_keys_free(&keys);
    }

    for (i = 0; i < ak_nitems(empty); i++) {
        put(empty[i], strlen(empty[i]), 0600);

        keys = keys_of(AK_KEYS_SECRET, path);
        assert_case(load(&keys) == AK_ERROR, "%zu", i);
        assert_non_null(strstr(diag.text, path));
        assert_null(keys.set);
    }
}


static void
test_secret_files(void **state)
{
    size_t     i;
    ak_keys_t  keys;

    static const unsigned  modes[] = { 0644, 0604, 0660, 0602 };

    (void) state;

    keys = keys_of(AK_KEYS_SECRET, path);

    for (i = 0; i < ak_nitems(modes); i++) {
        put(SECRET, sizeof(SECRET) - 1, modes[i]);
        assert_case(load(&keys) == AK_ERROR, "%o", modes[i]);
        assert_non_null(strstr(diag.text, path));
        assert_non_null(strstr(diag.text, "chmod 600"));
        assert_false(unit_leaks(diag.text, strlen(diag.text), S(SECRET), 4));
        assert_null(keys.set);
    }

    put(SECRET, sizeof(SECRET) - 1, 0640);
    assert_int_equal(load(&keys), AK_OK);
    assert_secret(&keys, SECRET);
    ak_keys_free(&keys);

    keys = keys_of(AK_KEYS_SECRET, "");
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "must be absolute"));

    keys = keys_of(AK_KEYS_SECRET, "etc/secret");
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "\"etc/secret\""));
    assert_non_null(strstr(diag.text, "must be absolute"));

    keys = keys_of(AK_KEYS_SECRET, "/nowhere/secret");
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "\"/nowhere/secret\""));

    keys = keys_of(AK_KEYS_SECRET, folder);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "is not a regular file"));
}


/* A public key that were taken as a secret is one that everybody has. */

static void
test_secret_in_pem(void **state)
{
    size_t     i;
    char       advice[128];
    ak_keys_t  keys;

    static const char  *texts[] = {
        EC_PEM, ED_PEM, "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n", "-----BEGIN "
    };

    (void) state;

    sprintf(advice, "use \"key=%s\"", path);
    keys = keys_of(AK_KEYS_SECRET, path);

    for (i = 0; i < ak_nitems(texts); i++) {
        put(texts[i], strlen(texts[i]), 0600);
        assert_case(load(&keys) == AK_ERROR, "%s", texts[i]);
        assert_non_null(strstr(diag.text, advice));
        assert_null(strstr(diag.text, "MFkw"));
        assert_null(keys.set);
    }
}


static void
test_pem(void **state)
{
    ak_keys_t  keys;

    (void) state;

    keys = keys_of(AK_KEYS_PEM, path);

    put(EC_PEM, sizeof(EC_PEM) - 1, 0644);
    assert_int_equal(load(&keys), AK_OK);
    assert_int_equal(count(&keys), 1);
    assert_int_equal(ak_jws_kty(ak_jwks_at(keys.set, 0)->key), AK_KTY_EC);

    put("a comment\n" EC_PEM "and\n" ED_PEM,
        sizeof("a comment\n" EC_PEM "and\n" ED_PEM) - 1, 0600);
    assert_int_equal(load(&keys), AK_OK);
    assert_int_equal(count(&keys), 2);
    assert_int_equal(ak_jws_kty(ak_jwks_at(keys.set, 0)->key), AK_KTY_EC);
    assert_int_equal(ak_jws_kty(ak_jwks_at(keys.set, 1)->key), AK_KTY_OKP);

    /* what there was stays */

    put(SECRET, sizeof(SECRET) - 1, 0644);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, path));
    assert_int_equal(count(&keys), 2);

    put(EC_PEM, sizeof(EC_PEM) - 1, 0664);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "can be written by others"));
    assert_int_equal(count(&keys), 2);

    unlink(path);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_int_equal(count(&keys), 2);

    ak_keys_free(&keys);

    keys = keys_of(AK_KEYS_PEM, "key.pem");
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "must be absolute"));
}


/* Secrets of a set are secrets where the world cannot read the file. */

static void
test_jwks(void **state)
{
    ak_keys_t  keys;

    static const char  text[] = "{\"keys\":[" OCT "," ED "]}";

    (void) state;

    keys = keys_of(AK_KEYS_JWKS, path);

    put(text, sizeof(text) - 1, 0644);
    assert_int_equal(load(&keys), AK_OK);
    assert_int_equal(count(&keys), 1);
    assert_int_equal(ak_jws_kty(ak_jwks_at(keys.set, 0)->key), AK_KTY_OKP);

    put(text, sizeof(text) - 1, 0600);
    assert_int_equal(load(&keys), AK_OK);
    assert_int_equal(count(&keys), 2);
    assert_true(is_secret(&keys, 0, "a secret of a set", 17));
    assert_str(ak_jwks_at(keys.set, 0)->kid, "s");
    assert_int_equal(ak_jws_kty(ak_jwks_at(keys.set, 1)->key), AK_KTY_OKP);

    put(text, sizeof(text) - 1, 0640);
    assert_int_equal(load(&keys), AK_OK);
    assert_int_equal(count(&keys), 2);

    put(text, sizeof(text) - 1, 0604);
    assert_int_equal(load(&keys), AK_OK);
    assert_int_equal(count(&keys), 1);

    /* nothing else is in it: it cannot be used */

    put(OCT, sizeof(OCT) - 1, 0644);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, path));
    assert_null(strstr(diag.text, "YSBz"));
    assert_int_equal(count(&keys), 1);

    put(OCT, sizeof(OCT) - 1, 0600);
    assert_int_equal(load(&keys), AK_OK);
    assert_true(is_secret(&keys, 0, "a secret of a set", 17));

    ak_keys_free(&keys);
}


static void
test_reload(void **state)
{
    size_t      i;
    char       *text;
    ak_jwks_t  *set;
    ak_keys_t   keys;

    static const char  *bad[] = {
        "", "{", "[]", "{}", "{\"keys\":[]}", "{\"keys\":[{}]}", EC_PEM
    };

    (void) state;

    keys = keys_of(AK_KEYS_JWKS, path);

    put(ED, sizeof(ED) - 1, 0644);
    assert_int_equal(load(&keys), AK_OK);
    set = keys.set;

    for (i = 0; i < ak_nitems(bad); i++) {
        put(bad[i], strlen(bad[i]), 0644);
        assert_case(load(&keys) == AK_ERROR, "%s", bad[i]);
        assert_case(strstr(diag.text, path) != NULL, "%s", diag.text);
        assert_ptr_equal(keys.set, set);
        assert_int_equal(count(&keys), 1);
    }

    /* a file of the longest length is read, and no longer one */

    text = malloc(AK_JWKS_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', AK_JWKS_TEXT_MAX + 1);
    memcpy(text, OCT, sizeof(OCT) - 1);

    put(text, AK_JWKS_TEXT_MAX + 1, 0600);
    assert_int_equal(load(&keys), AK_ERROR);
    assert_non_null(strstr(diag.text, "is longer than 262144 bytes"));
    assert_ptr_equal(keys.set, set);

    put(text, AK_JWKS_TEXT_MAX, 0600);
    assert_int_equal(load(&keys), AK_OK);
    assert_true(is_secret(&keys, 0, "a secret of a set", 17));

    free(text);
    ak_keys_free(&keys);
}


/* What is fetched is public, whatever it says. */

static void
test_take(void **state)
{
    unsigned    skipped;
    ak_jwks_t  *set;
    ak_keys_t   keys;

    (void) state;

    keys = keys_of(AK_KEYS_URI, "https://example.com/jwks");

    assert_int_equal(ak_keys_take(&keys, S("{"), &skipped, &diag), AK_ERROR);
    assert_null(keys.set);

    assert_int_equal(ak_keys_take(&keys, S(OCT), &skipped, &diag), AK_ERROR);
    assert_null(keys.set);

    skipped = 9;
    assert_int_equal(ak_keys_take(&keys, S("{\"keys\":[" ED "]}"), &skipped,
                                  &diag),
                     AK_OK);
    assert_int_equal(skipped, 0);
    assert_int_equal(count(&keys), 1);
    set = keys.set;

    assert_int_equal(ak_keys_take(&keys, S("{\"keys\":[]}"), NULL, &diag),
                     AK_ERROR);
    assert_ptr_equal(keys.set, set);
    assert_int_equal(count(&keys), 1);

    assert_int_equal(ak_keys_take(&keys, S("{\"keys\":[" OCT "," ED ",{},"
                                           ED "]}"), &skipped, &diag),
                     AK_OK);
    assert_int_equal(skipped, 2);
    assert_int_equal(count(&keys), 2);
    assert_int_equal(ak_jws_kty(ak_jwks_at(keys.set, 0)->key), AK_KTY_OKP);

    assert_int_equal(ak_keys_take(&keys, S(ED), NULL, NULL), AK_OK);
    assert_int_equal(count(&keys), 1);

    ak_keys_free(&keys);
    assert_null(keys.set);
}


static void
check_uri(ak_str_t uri, const char *why)
{
    ak_rc_t   rc;
    ak_str_t  exact;

    memset(&diag, 0, sizeof(ak_diag_t));
    exact = unit_exact(uri);
    rc = ak_keys_uri(exact, &diag);
    unit_free(exact);

    if (why == NULL) {
        assert_case(rc == AK_OK, "%.*s: %s", (int) uri.len,
                    (const char *) uri.data, diag.text);
        return;
    }

    assert_null(strstr(diag.text, "password"));
    assert_case(rc == AK_ERROR, "%.*s is taken", (int) uri.len,
                (const char *) uri.data);
    assert_case(strstr(diag.text, why) != NULL, "%.*s: %s", (int) uri.len,
                (const char *) uri.data, diag.text);
}


static void
test_good_uris(void **state)
{
    size_t  i;

    static const char  *good[] = {
        "https://example.com",
        "https://example.com/",
        "https://example.com/.well-known/jwks.json",
        "https://example.com:8443/a/b?c=d&e=f",
        "https://example.com?c=d",
        "https://example.com:443",
        "https://example.com/a@b",
        "https://example.com/?user@host",
        "https://EXAMPLE.com/a%20b;c",
        "https://192.0.2.1/jwks",
        "https://[2001:db8::1]:8443/jwks",
        "https://localhost/jwks",
        "https://localhost.evil.com/",
        "https://x",
        "http://127.0.0.1",
        "http://127.0.0.1:8080/jwks?a=b",
        "http://127.0.0.1?a",
        "https://example.com:65535",
        "http://127.0.0.1/jwks",
        "http://127.0.0.1:8080",
        "http://[::1]/jwks",
        "http://[::1]:8080/jwks",
        "http://127.0.0.1/a@b"
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        check_uri(ak_cstr(good[i]), NULL);
    }
}


static const char  no_scheme[] = "does not begin with \"https://\"";
static const char  no_host[] = "is no URI of a host";
static const char  no_tls[] = "or from 127.0.0.1 or [::1]";
static const char  has_user[] = "has a user";

static const struct {
    const char  *uri;
    const char  *why;
} bad_uris[] = {
    { "", no_scheme },
    { "https", no_scheme },
    { "https:", no_scheme },
    { "https:/", no_scheme },
    { "https:/example.com", no_scheme },
    { "example.com/jwks", no_scheme },
    { "//example.com/jwks", no_scheme },
    { "/etc/jwks", no_scheme },
    { "ftp://example.com/", no_scheme },
    { "file:///etc/jwks", no_scheme },
    { "httpss://example.com/", no_scheme },
    { " https://example.com/", no_scheme },
    { "http", no_scheme },
    { "http:/localhost", no_scheme },

    { "https://", no_host },
    { "https:///", no_host },
    { "https:///jwks", no_host },
    { "https://?a", no_host },
    { "https://#a", no_host },
    { "https://@", has_user },

    /* a port and no host, and what is no port */

    { "https://:8443/", no_host },
    { "https://:", no_host },
    { "https://example.com:x/", no_host },
    { "https://example.com:/", no_host },
    { "https://example.com:0/", no_host },
    { "https://example.com:65536/", no_host },
    { "https://unix:/run/x", no_host },
    { "https://example.com:99999/", no_host },
    { "http://localhost:80:evil.com/", no_host },

    { "https://@example.com/", has_user },
    { "https://user@example.com/", has_user },
    { "https://user:password@example.com/", has_user },
    { "https://example.com@evil.com", has_user },
    { "https://example.com#a", no_host },
    { "https://example.com/#", no_host },
    { "https://example.com/a#b", no_host },
    { "https://example.com?a#b", no_host },
    { "https://example.com/a b", no_host },
    { "https://exam ple.com/", no_host },
    { "https://example.com/ ", no_host },
    { "https://example.com/\n", no_host },
    { "https://example.com/a\r\nHost:x", no_host },
    { "https://example.com/\t", no_host },
    { "https://example.com/\x7f", no_host },
    { "https://example.com/\x01", no_host },
    { "https://example.com/j\xc3\xb6rg", no_host },
    { "http://", no_host },
    { "http:///", no_host },
    { "http://localhost@evil.com/", has_user },
    { "http://127.0.0.1@evil", has_user },
    { "http://127.0.0.1:80@evil", has_user },
    { "http://[::1]@evil", has_user },
    { "http://127.0.0.1/#a", no_host },

    { "http://example.com/", no_tls },
    { "http://localhost", no_tls },
    { "http://localhost:8080/jwks?a=b", no_tls },
    { "http://localhost.evil.com", no_tls },
    { "http://localhosts/", no_tls },
    { "http://127.0.0.1.evil.com/", no_tls },
    { "http://127.0.0.10/", no_tls },
    { "http://127.0.0.", no_tls },
    { "http://127.1/", no_tls },
    { "http://0.0.0.0/", no_tls },
    { "http://[::1", no_tls },
    { "http://[::1]evil.com/", no_tls },
    { "http://[::10]/", no_tls },
    { "http://[::ffff:127.0.0.1]/", no_tls },
    { "http://::1/", no_host },
    { "http://192.168.0.1/", no_tls },
    { "http://evil.com/localhost", no_tls },
    { "http://evil.com?localhost", no_tls }
};


static void
test_bad_uris(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < ak_nitems(bad_uris); i++) {
        check_uri(ak_cstr(bad_uris[i].uri), bad_uris[i].why);
    }

    check_uri(S("https://example.com/\0"), no_host);
    check_uri(S("https://exam\0ple.com/"), no_host);
    check_uri(S("http://localhost\0"), no_host);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_env),
    cmocka_unit_test(test_env_length),
    cmocka_unit_test(test_secret),
    cmocka_unit_test(test_secret_files),
    cmocka_unit_test(test_secret_in_pem),
    cmocka_unit_test(test_pem),
    cmocka_unit_test(test_jwks),
    cmocka_unit_test(test_reload),
    cmocka_unit_test(test_take),
    cmocka_unit_test(test_good_uris),
    cmocka_unit_test(test_bad_uris)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
