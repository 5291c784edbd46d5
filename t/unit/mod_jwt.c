
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "auth required jwt". */


#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ak_base64.h"
#include "ak_json.h"
#include "ak_jwt.h"
#include "ak_mem.h"
#include "ak_record.h"
#include "ak_stack.h"
#include "ak_verified.h"


#define NOW     1800000000

#define SECRET  "a secret of 32 bytes, just so it"
#define LINE    "auth required jwt secret=env:UNIT_SECRET"
#define URI     "https://example.com/jwks"

#define HS256   "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS  "{\"sub\":\"alice\",\"jti\":\"id-1\",\"iat\":1799999900,"     \
                "\"exp\":1800000600,\"role\":\"admin\"}"

/* What comes before the claims that a test is about. */

#define SOME    "\"exp\":1800000600,"


/* Of HS256, CLAIMS and SECRET, by Python's hmac. */

#define TOKEN                                                                 \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImp0aSI6ImlkL"  \
    "TEiLCJpYXQiOjE3OTk5OTk5MDAsImV4cCI6MTgwMDAwMDYwMCwicm9sZSI6ImFkbWluIn0"  \
    ".ptYt-0UxfWQX4TX5Ui2MFwkSRYVOGM9VdZGKxJxL2GQ"


/* The first two keys of RFC 8032, 7.1. */

#define ED_1    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"one\","       \
                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define ED_2    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"two\","       \
                "\"x\":\"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw\"}"

static const uint8_t  ed_keys[2][32] = {
    { 0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
      0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
      0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60 },
    { 0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3,
      0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab,
      0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb }
};


#define TOKEN_MAX  40000


/* What a store says of a mark; the last one has a NULL name. */

typedef struct {
    const char  *name;
    ak_rc_t      rc;
    const char  *text;
} mark_t;


/* What is kept under one name. */

typedef struct {
    ak_rc_t      rc;
    uint8_t      name[AK_SHA256_LEN];
    uint8_t      value[AK_VALUE_MAX];
    size_t       len;
} kept_t;


typedef struct {
    unit_pool_t     pool;
    ak_site_t       site;
    ak_stack_t     *s;
    ak_txn_t        t;
    char            bearer[TOKEN_MAX];
    unit_header_t   headers[2];

    /* what is answered */

    kept_t          kept;
    const mark_t   *marks;
    ak_rc_t         keep_rc;
    ak_rc_t         keys_rc;
    const char     *newer;             /* keys */

    /* what was asked for: "kept keep mark:... foreign:... keys " */

    char            trace[1024];
    uint8_t         name[AK_SHA256_LEN];       /* of what may be kept */
} bench_t;


static ak_digest_t  *digest;
static bench_t       bench;            /* too large for a frame */
static char          path[32];


static int
setup(void **state)
{
    (void) state;

    digest = ak_digest_create();
    setenv("UNIT_SECRET", SECRET, 1);

    return digest == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ak_digest_free(digest);
    unsetenv("UNIT_SECRET");

    return 0;
}


static void
write_file(const char *text, mode_t mode)
{
    int  fd;

    strcpy(path, "/tmp/unit_jwt_XXXXXX");

    fd = mkstemp(path);
    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}


static size_t
encode(char *dst, const void *data, size_t len)
{
    size_t  n;

    n = ak_base64_encode(AK_BASE64URL, ak_str(data, len), (uint8_t *) dst);
    dst[n] = '\0';

    return n;
}


/* header "." payload; where the signature is to be put. */

static char *
token_input(char *token, const char *header, const char *payload)
{
    char  *p;

    p = token + encode(token, header, strlen(header));
    *p++ = '.';
    p += encode(p, payload, strlen(payload));

    assert_true(p - token < TOKEN_MAX - 200);

    return p;
}


static const char *
sign_with(const char *secret, const char *header, const char *payload)
{
    char         *p;
    uint8_t       mac[32];
    unsigned      len;
    static char   token[TOKEN_MAX];

    p = token_input(token, header, payload);

    assert_non_null(HMAC(EVP_sha256(), secret, (int) strlen(secret),
                         (uint8_t *) token, (size_t) (p - token), mac, &len));
    *p++ = '.';
    encode(p, mac, len);

    return token;
}


static const char *
sign(const char *payload)
{
    return sign_with(SECRET, HS256, payload);
}


/* By one of the two keys, of that name; without one where it is NULL. */

static const char *
sign_ed(unsigned key, const char *kid, const char *payload)
{
    char         *p, header[128];
    size_t        len;
    uint8_t       sig[64];
    EVP_PKEY     *pkey;
    EVP_MD_CTX   *ctx;
    static char   token[TOKEN_MAX];

    if (kid == NULL) {
        snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\"}");

    } else {
        snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
                 kid);
    }

    p = token_input(token, header, payload);
    len = sizeof(sig);

    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, ed_keys[key],
                                        32);
    ctx = EVP_MD_CTX_new();

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, (uint8_t *) token,
                                    (size_t) (p - token)), 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);

    *p++ = '.';
    encode(p, sig, len);

    return token;
}


static ak_rc_t
read_line(bench_t *b, const char *line, ak_diag_t *d)
{
    memset(b, 0, sizeof(*b));
    memset(d, 0, sizeof(*d));

    unit_pool_init(&b->pool);
    b->site = unit_site(&b->pool);
    b->s = ak_stack_create(&b->site, S("test"));

    b->kept.rc = AK_NOT_FOUND;
    b->keys_rc = AK_NOT_FOUND;

    if (unit_add(b->s, line, d) != AK_OK) {
        return AK_ERROR;
    }

    return ak_stack_link(b->s, NULL, NULL, d);
}


static void
begin(bench_t *b, const char *line)
{
    ak_diag_t  d;

    assert_case(read_line(b, line, &d) == AK_OK, "%s: %s", line, d.text);
}


/* With what follows the secret. */

static void
begin_with(bench_t *b, const char *args)
{
    char  line[512];

    snprintf(line, sizeof(line), LINE " %s", args);
    begin(b, line);
}


/* With a set in a file. */

static void
begin_set(bench_t *b, const char *set, mode_t mode)
{
    char  line[128];

    write_file(set, mode);
    snprintf(line, sizeof(line), "auth required jwt jwks=%s", path);
    begin(b, line);
    unlink(path);
}


static void
end(bench_t *b)
{
    ak_txn_abort(&b->t);
    unit_pool_free(&b->pool);
}


static void
note(bench_t *b, const char *what, ak_str_t name)
{
    size_t  len;

    len = strlen(b->trace);

    snprintf(b->trace + len, sizeof(b->trace) - len, "%s%.*s ", what,
             (int) name.len, name.len == 0 ? "" : (const char *) name.data);
}


static void
answer_mark(bench_t *b, const char *what, ak_answer_t *answer)
{
    const mark_t  *m;

    note(b, what, b->t.need.name);

    answer->rc = AK_NOT_FOUND;

    for (m = b->marks; m != NULL && m->name != NULL; m++) {
        if (ak_str_eq(b->t.need.name, ak_cstr(m->name))) {
            answer->rc = m->rc;
            answer->value = ak_cstr(m->text);
        }
    }
}


static void
answer_kept(bench_t *b, ak_answer_t *answer)
{
    note(b, "kept", S(""));

    assert_int_equal(b->t.need.name.len, AK_SHA256_LEN);
    memcpy(b->name, b->t.need.name.data, AK_SHA256_LEN);

    answer->rc = b->kept.rc;

    if (b->kept.rc == AK_OK) {

        if (memcmp(b->kept.name, b->name, AK_SHA256_LEN) != 0) {
            answer->rc = AK_NOT_FOUND;
            return;
        }

        answer->value = ak_str(b->kept.value, b->kept.len);
    }
}


static void
answer_keep(bench_t *b, ak_answer_t *answer)
{
    note(b, "keep", S(""));

    /* what was asked for is what is kept */

    assert_int_equal(b->t.need.name.len, AK_SHA256_LEN);
    assert_memory_equal(b->t.need.name.data, b->name, AK_SHA256_LEN);
    assert_in_range(b->t.need.value.len, 1, AK_VALUE_MAX);

    b->kept.rc = AK_OK;
    b->kept.len = b->t.need.value.len;
    memcpy(b->kept.name, b->name, AK_SHA256_LEN);
    memcpy(b->kept.value, b->t.need.value.data, b->kept.len);

    answer->rc = b->keep_rc;
}


static void
answer_keys(bench_t *b, ak_answer_t *answer)
{
    note(b, "keys", S(""));

    assert_int_equal(b->pool.nkeys, 1);
    assert_ptr_equal(b->t.need.keys, b->pool.keys[0]);

    if (b->newer != NULL) {
        assert_int_equal(ak_keys_take(b->t.need.keys, ak_cstr(b->newer),
                                      NULL, NULL),
                         AK_OK);
    }

    answer->rc = b->keys_rc;
}


static ak_reason_e
run(bench_t *b)
{
    ak_rc_t      rc;
    ak_answer_t  answer;

    for ( ;; ) {
        rc = ak_stack_run(b->s, &b->t, AK_AUTH);

        if (rc != AK_AGAIN) {
            break;
        }

        memset(&answer, 0, sizeof(answer));
        answer.source = AK_SOURCE_MISS;

        switch (b->t.need.type) {

        case AK_NEED_KEPT:
            answer_kept(b, &answer);
            break;

        case AK_NEED_KEEP:
            answer_keep(b, &answer);
            break;

        case AK_NEED_KEYS:
            answer_keys(b, &answer);
            break;

        case AK_NEED_MARK:
            answer_mark(b, "mark:", &answer);
            break;

        default:
            assert_int_equal(b->t.need.type, AK_NEED_FOREIGN);
            answer_mark(b, "foreign:", &answer);
            break;
        }

        ak_txn_answer(&b->t, &answer);
    }

    assert_int_equal(rc == AK_OK, b->t.reason == AK_SUCCESS);
    assert_int_equal(rc == AK_OK, b->t.identified);
    assert_null(b->t.alert);

    return b->t.reason;
}


/* A request with that header, at that time; what came of it. */

static ak_reason_e
ask_at(bench_t *b, const char *header, const char *value, int64_t now)
{
    ak_txn_abort(&b->t);
    b->trace[0] = '\0';

    assert_true(snprintf(b->bearer, TOKEN_MAX, "%s%s",
                         strcmp(header, "authorization") == 0 ? "Bearer "
                                                              : "", value)
                < TOKEN_MAX);

    memset(b->headers, 0, sizeof(b->headers));
    b->headers[0].name = header;
    b->headers[0].value = b->bearer;

    unit_txn(&b->t, &b->pool, b->headers, digest, NULL);
    b->t.now = now;

    return run(b);
}


static ak_reason_e
ask(bench_t *b, const char *token)
{
    return ask_at(b, "authorization", token, NOW);
}


#define assert_reason(got, expected)                                          \
    unit_reason(got, expected, __FILE__, __LINE__)


static void
unit_reason(ak_reason_e got, ak_reason_e expected, const char *file, int line)
{
    if (got != expected) {
        print_error("%.*s, not %.*s\n", AK_FMT(ak_error(got)->word),
                    AK_FMT(ak_error(expected)->word));
        _fail(file, line);
    }
}


#define MARKS_ALICE  "mark:revoked:jti:id-1 mark:revoked:sub:alice "


static void
test_arguments(void **state)
{
    char       line[256];
    size_t     i;
    ak_diag_t  d;

    static const char  one_of[] = "one of \"secret\", \"key\", \"jwks\" and "
                                  "\"jwks_uri\"";

    static const struct {
        const char  *args;
        const char  *why;
    } bad[] = {
        { "", one_of },
        { "issuer=a", one_of },
        { "secret=env:UNIT_SECRET key=/a", one_of },
        { "secret=env:UNIT_SECRET jwks=/a", one_of },
        { "secret=env:UNIT_SECRET jwks_uri=" URI, one_of },
        { "key=/a jwks=/b", one_of },
        { "key=/a jwks_uri=" URI, one_of },
        { "jwks=/a jwks_uri=" URI, one_of },
        { "secret=env:UNIT_SECRET key=/a jwks=/b jwks_uri=" URI, one_of },

        { "secret=env:", "no such variable" },
        { "secret=env:UNIT_NONE", "\"env:UNIT_NONE\"" },
        { "secret=file:", "must be absolute" },
        { "secret=file:a", "must be absolute" },
        { "secret=file:/nowhere/a", "/nowhere/a" },
        { "key=a.pem", "must be absolute" },
        { "key=/nowhere/a.pem", "/nowhere/a.pem" },
        { "jwks=a.json", "must be absolute" },
        { "jwks=/nowhere/a.json", "/nowhere/a.json" },
        { "jwks_uri=http://example.com/", "\"http://example.com/\"" },
        { "jwks_uri=https://user@example.com/", "has a user" },
        { "jwks_uri=/etc/jwks", "does not begin with" },
        { "secret=env:UNIT_SECRET jwks_refresh=1s", "are for \"jwks_uri\"" },
        { "secret=env:UNIT_SECRET jwks_ca=/a", "are for \"jwks_uri\"" },
        { "secret=env:UNIT_SECRET max_age=0", "\"max_age\" is a second" },
        { "jwks_uri=" URI " jwks_refresh=999ms", "\"jwks_refresh\"" },
        { "jwks_uri=" URI " jwks_refresh=0", "\"jwks_refresh\"" },
        { "jwks_uri=" URI " jwks_interval=999ms", "\"jwks_interval\"" },
        { "jwks_uri=" URI " jwks_interval=0", "\"jwks_interval\"" },
        { "jwks_uri=" URI " jwks_timeout=0", "\"jwks_timeout\"" },
        { "jwks_uri=" URI " jwks_refresh=x", "\"jwks_refresh=x\"" },
        { "jwks_uri=" URI " jwks_ca=", "has no value" },

        { "secret=env:UNIT_SECRET algorithms=HS257", "algorithm \"HS257\"" },
        { "secret=env:UNIT_SECRET algorithms=none", "algorithm \"none\"" },
        { "secret=env:UNIT_SECRET algorithms=hs256", "algorithm \"hs256\"" },
        { "secret=env:UNIT_SECRET algorithms=RS256",
          "no key is for the algorithm \"RS256\"" },
        { "secret=env:UNIT_SECRET algorithms=HS256,ES256",
          "no key is for the algorithm \"ES256\"" },
        { "jwks_uri=" URI " algorithms=RS257", "algorithm \"RS257\"" },

        { "secret=env:UNIT_SECRET leeway=x", "\"leeway=x\"" },
        { "secret=env:UNIT_SECRET leeway=-1s", "\"leeway=-1s\"" },
        { "secret=env:UNIT_SECRET max_age=old", "\"max_age=old\"" },
        { "secret=env:UNIT_SECRET exp=maybe", "\"exp=maybe\"" },
        { "secret=env:UNIT_SECRET weak=maybe", "\"weak=maybe\"" },
        { "secret=env:UNIT_SECRET issuer=a,,b", "\"issuer=a,,b\"" },
        { "secret=env:UNIT_SECRET audience=,", "\"audience=,\"" },
        { "secret=env:UNIT_SECRET from=no:carrier", "\"no:carrier\"" },
        { "secret=env:UNIT_SECRET from=cookie", "\"cookie\"" },
        { "secret=env:UNIT_SECRET owner=", "\"owner=\"" },
        { "secret=env:UNIT_SECRET colour=red", "\"colour=red\"" },
        { "secret=env:UNIT_SECRET word", "\"word\"" },
        { "secret=env:UNIT_SECRET secret=env:UNIT_SECRET", "twice" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        snprintf(line, sizeof(line), "auth required jwt %s", bad[i].args);

        assert_case(read_line(&bench, line, &d) == AK_ERROR, "\"%s\" is taken",
                    line);
        assert_case(strstr(d.text, bad[i].why) != NULL, "\"%s\": %s", line,
                    d.text);

        /* nobody is given keys to look after that belong to no line */

        assert_int_equal(bench.pool.nkeys, 0);
        end(&bench);
    }
}


static void
test_good_arguments(void **state)
{
    size_t     i;
    ak_diag_t  d;

    static const char  *good[] = {
        LINE,
        LINE " algorithms=HS256,HS384,HS512",
        LINE " issuer=https://a,https://b audience=* subject=x typ=JWT,at+jwt"
        " require=jti,realm_access.roles leeway=0 max_age=1d exp=optional"
        " owner=azp scopes=scope weak=refuse open_webui=open-webui"
        " from=x-api-key,cookie:token",

        /* of a URI nobody knows what keys there will be */

        "auth required jwt jwks_uri=" URI " algorithms=RS256,HS256",
        "auth required jwt jwks_uri=" URI " jwks_refresh=1s jwks_interval=1s"
        " jwks_timeout=1ms jwks_ca=/etc/ca.pem",
        "auth required jwt jwks_uri=http://127.0.0.1:8080/"
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        assert_case(read_line(&bench, good[i], &d) == AK_OK, "\"%s\": %s",
                    good[i], d.text);
        assert_int_equal(bench.pool.nkeys, 1);
        end(&bench);
    }

    /* it is a module of auth */

    assert_int_equal(read_line(&bench, "account required jwt "
                               "secret=env:UNIT_SECRET", &d), AK_ERROR);
    end(&bench);
}


static void
test_keys_held(void **state)
{
    ak_diag_t         d;
    const ak_keys_t  *keys;

    (void) state;

    begin(&bench, "auth required jwt jwks_uri=" URI " jwks_refresh=2m "
          "jwks_interval=3s jwks_timeout=4s jwks_ca=/etc/ca.pem");
    keys = bench.pool.keys[0];
    assert_int_equal(keys->from, AK_KEYS_URI);
    assert_str(keys->source, URI);
    assert_str(keys->ca, "/etc/ca.pem");
    assert_int_equal(keys->refresh, 120000);
    assert_int_equal(keys->interval, 3000);
    assert_int_equal(keys->timeout, 4000);
    assert_null(keys->set);
    end(&bench);

    begin(&bench, "auth required jwt jwks_uri=" URI);
    keys = bench.pool.keys[0];
    assert_int_equal(keys->refresh, 600000);
    assert_int_equal(keys->interval, 10000);
    assert_int_equal(keys->timeout, 5000);
    assert_int_equal(keys->ca.len, 0);
    end(&bench);

    begin(&bench, LINE);
    keys = bench.pool.keys[0];
    assert_int_equal(keys->from, AK_KEYS_ENV);
    assert_str(keys->source, "UNIT_SECRET");
    assert_non_null(keys->set);
    end(&bench);

    /* where nobody holds them they are freed: a leak, were they not */

    assert_int_equal(read_line(&bench, LINE, &d), AK_OK);
    assert_int_equal(bench.pool.nkeys, 1);

    while (bench.pool.nkeys < UNIT_KEYS_MAX) {
        bench.pool.keys[bench.pool.nkeys] = bench.pool.keys[0];
        bench.pool.nkeys++;
    }

    assert_int_equal(unit_add(bench.s, LINE, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "no room for keys"));
    end(&bench);
}


/* Somebody who put the secret where its name belongs is not shown it. */

static void
test_secret_not_shown(void **state)
{
    char       line[128];
    size_t     i;
    ak_diag_t  d;

    static const char  *secrets[] = {
        "hunter2hunter2hunter2", "ENV:hunter2hunter2", "environ:hunter2",
        "env/hunter2", "/etc/hunter2", "enc:hunter2", "fil:hunter2"
    };

    (void) state;

    for (i = 0; i < ak_nitems(secrets); i++) {
        snprintf(line, sizeof(line), "auth required jwt secret=%s",
                 secrets[i]);

        assert_int_equal(read_line(&bench, line, &d), AK_ERROR);
        assert_non_null(strstr(d.text, "must be env:NAME or file:PATH"));
        assert_null(strstr(d.text, "hunter"));
        end(&bench);
    }

    /* nor of one whose line is bad in another way */

    assert_int_equal(read_line(&bench, LINE " algorithms=RS256", &d),
                     AK_ERROR);
    assert_false(unit_leaks(d.text, strlen(d.text), S(SECRET), 8));
    end(&bench);
}


static void
test_prefix_length(void **state)
{
    char       line[512];
    ak_diag_t  d;

    (void) state;

    snprintf(line, sizeof(line), LINE " open_webui=%0128d", 0);
    assert_int_equal(read_line(&bench, line, &d), AK_OK);
    end(&bench);

    snprintf(line, sizeof(line), LINE " open_webui=%0129d", 0);
    assert_int_equal(read_line(&bench, line, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "longer than 128"));
    assert_int_equal(bench.pool.nkeys, 0);
    end(&bench);
}


/* RFC 7518, 3.2: it is told, and refused where that is wanted. */

static void
test_weak(void **state)
{
    size_t  i;
    char    line[128];

    static const struct {
        const char  *secret;
        const char  *args;
        const char  *warned;           /* NULL: nothing is said */
        ak_reason_e  reason;           /* of a token of HS256 */
    } cases[] = {
        { SECRET, "", NULL, AK_SUCCESS },
        { SECRET, "weak=refuse", NULL, AK_SUCCESS },
        { SECRET, "algorithms=HS256", NULL, AK_SUCCESS },
        { SECRET, "algorithms=HS256,HS512", "a secret of 32 bytes is shorter "
          "than a digest of 64", AK_SUCCESS },
        { SECRET, "algorithms=HS384,HS256", "than a digest of 48",
          AK_SUCCESS },
        { "hunter2", "", "a secret of 7 bytes is shorter than a digest of 32",
          AK_SUCCESS },
        { "hunter2", "weak=warn", "a secret of 7 bytes", AK_SUCCESS },
        { "hunter2", "weak=refuse", "its tokens will be refused",
          AK_JWT_SIGNATURE },
        { "a secret of 31 bytes, just this", "", "a secret of 31 bytes",
          AK_SUCCESS },
        { "a secret of 31 bytes, just this", "weak=refuse",
          "its tokens will be refused", AK_JWT_SIGNATURE }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        setenv("UNIT_SECRET", cases[i].secret, 1);
        snprintf(line, sizeof(line), LINE " %s", cases[i].args);
        begin(&bench, line);

        if (cases[i].warned == NULL) {
            assert_string_equal(bench.pool.warned, "");

        } else {
            assert_case(strstr(bench.pool.warned, cases[i].warned) != NULL,
                        "%zu: \"%s\"", i, bench.pool.warned);
            assert_non_null(strstr(bench.pool.warned,
                                   "stack \"test\", line 1"));
            assert_null(strstr(bench.pool.warned, "hunter"));
            assert_int_equal(strstr(bench.pool.warned, "refused") != NULL,
                             cases[i].reason != AK_SUCCESS);
        }

        assert_reason(ask(&bench, sign_with(cases[i].secret, HS256, CLAIMS)),
                      cases[i].reason);

        /* newer keys would be of no help */

        assert_null(strstr(bench.trace, "keys"));
        end(&bench);
    }

    setenv("UNIT_SECRET", SECRET, 1);
}


static void
test_weak_in_set(void **state)
{
    ak_diag_t  d;

    (void) state;

    /* "hunter2", and public keys, which have no such length */

    begin_set(&bench, "{\"keys\":[" ED_1 ",{\"kty\":\"oct\","
              "\"k\":\"aHVudGVyMg\"}]}", 0600);
    assert_non_null(strstr(bench.pool.warned, "a secret of 7 bytes"));
    end(&bench);

    begin_set(&bench, ED_1, 0600);
    assert_string_equal(bench.pool.warned, "");
    end(&bench);

    /* nobody may be there to hear it */

    setenv("UNIT_SECRET", "hunter2", 1);
    begin(&bench, LINE);
    bench.pool.warned[0] = '\0';
    bench.site.warn = NULL;
    assert_int_equal(unit_add(bench.s, LINE, &d), AK_OK);
    assert_string_equal(bench.pool.warned, "");
    end(&bench);

    setenv("UNIT_SECRET", SECRET, 1);
}


/* What is none of its business, and what is none of anybody's. */

static void
test_credentials(void **state)
{
    size_t  i;

    static const struct {
        const char  *header;
        const char  *value;
        ak_reason_e  reason;
        unsigned     line;             /* 0: it ignored it */
    } cases[] = {
        { "accept", "*/*", AK_MISSING, 0 },
        { "x-other", TOKEN, AK_MISSING, 0 },
        { "x-api-key", UNIT_KEY, AK_WRONG_KIND, 0 },
        { "authorization", UNIT_KEY, AK_WRONG_KIND, 0 },
        { "x-api-key", UNIT_FOREIGN, AK_WRONG_KIND, 0 },
        { "authorization", "short", AK_MALFORMED, 1 },
        { "authorization", TOKEN " x", AK_MALFORMED, 1 },
        { "authorization", TOKEN, AK_SUCCESS, 1 },
        { "x-api-key", TOKEN, AK_SUCCESS, 1 }
    };

    (void) state;

    begin(&bench, LINE);

    for (i = 0; i < ak_nitems(cases); i++) {
        bench.kept.rc = AK_NOT_FOUND;

        assert_case(ask_at(&bench, cases[i].header, cases[i].value, NOW)
                    == cases[i].reason, "%zu: %.*s", i,
                    AK_FMT(ak_error(bench.t.reason)->word));
        assert_int_equal(bench.t.line, cases[i].line);
        assert_string_equal(bench.trace, cases[i].reason == AK_SUCCESS
                            ? "kept keep " MARKS_ALICE : "");
    }

    end(&bench);
}


static void
test_ambiguous(void **state)
{
    static const unit_header_t  headers[] = {
        { "authorization", "Bearer " TOKEN },
        { "x-api-key", TOKEN "x" },
        { NULL, NULL }
    };

    static const unit_header_t  twice[] = {
        { "authorization", "Bearer " TOKEN },
        { "x-api-key", TOKEN },
        { NULL, NULL }
    };

    (void) state;

    begin(&bench, LINE);

    unit_txn(&bench.t, &bench.pool, headers, digest, NULL);
    assert_reason(run(&bench), AK_AMBIGUOUS);
    assert_string_equal(bench.trace, "");

    unit_txn(&bench.t, &bench.pool, twice, digest, NULL);
    assert_reason(run(&bench), AK_SUCCESS);

    end(&bench);
}


static void
test_from(void **state)
{
    ak_strip_t  *strip;

    (void) state;

    begin_with(&bench, "from=cookie:token");

    assert_reason(ask_at(&bench, "cookie", "a=b; token=" TOKEN "; c=d", NOW),
                  AK_SUCCESS);
    assert_str(bench.t.owner, "alice");
    assert_reason(ask_at(&bench, "cookie", "tokens=" TOKEN, NOW), AK_MISSING);
    assert_reason(ask(&bench, TOKEN), AK_MISSING);

    strip = ak_strip_create(&bench.pool.mem);
    assert_int_equal(ak_stack_strip(bench.s, strip), AK_OK);
    assert_false(ak_strip_header(strip, S("x-my-token")));
    end(&bench);

    begin_with(&bench, "from=X-My-Token");
    assert_reason(ask_at(&bench, "x-my-token", TOKEN, NOW), AK_SUCCESS);
    assert_reason(ask(&bench, TOKEN), AK_MISSING);

    strip = ak_strip_create(&bench.pool.mem);
    assert_int_equal(ak_stack_strip(bench.s, strip), AK_OK);
    assert_true(ak_strip_header(strip, S("x-my-token")));
    end(&bench);
}


static void
test_granted(void **state)
{
    ak_record_t    rec;
    ak_verified_t  v;

    (void) state;

    begin(&bench, LINE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);

    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);

    assert_str(bench.t.id, "jwt:alice");
    assert_str(bench.t.owner, "alice");
    assert_str(bench.t.name, "jwt");
    assert_str(bench.t.module, "jwt");
    assert_str(bench.t.claims, CLAIMS);
    assert_int_equal(bench.t.line, 1);
    assert_int_equal(bench.t.source, AK_SOURCE_MISS);
    assert_int_equal(bench.t.neffects, 0);

    memset(&rec, 0, sizeof(rec));
    assert_int_equal(ak_record_unpack(bench.t.record, &rec), AK_OK);
    assert_str(rec.owner, "alice");
    assert_str(rec.name, "jwt");
    assert_int_equal(rec.status, AK_STATUS_ACTIVE);
    assert_int_equal(rec.scopes.len, 0);
    assert_int_equal(rec.routes.len, 0);
    assert_int_equal(rec.ips.len, 0);
    assert_int_equal(rec.rate.len, 0);
    assert_int_equal(rec.nmeta, 0);

    assert_int_equal(ak_stack_run(bench.s, &bench.t, AK_ACCOUNT), AK_OK);

    /* what is to be kept */

    assert_int_equal(ak_verified_unpack(ak_str(bench.kept.value,
                                               bench.kept.len), &v),
                     AK_OK);
    assert_int_equal(v.times.expires, 1800000600);
    assert_int_equal(v.times.issued, 1799999900);
    assert_int_equal(v.times.not_before, 0);
    assert_true(ak_jwks_has(bench.pool.keys[0]->set, v.key,
                            ak_jws_alg(v.alg)));
    assert_str(v.claims, CLAIMS);
    assert_str(v.jti, "id-1");
    assert_str(v.sub, "alice");
    assert_int_equal(v.user.len, 0);
    assert_true(ak_str_eq(v.record, bench.t.record));

    /* no part of the token itself */

    assert_null(memmem(bench.kept.value, bench.kept.len, "eyJ", 3));
    assert_null(memmem(bench.kept.value, bench.kept.len, "ptYt-0", 6));

    end(&bench);
}


/* What is refused before anything is kept. */

static void
test_refused(void **state)
{
    size_t  i;
    char    wrong[sizeof(TOKEN)];

    static const struct {
        const char  *header;
        const char  *claims;
        ak_reason_e  reason;
    } cases[] = {
        { "{\"alg\":\"none\"}", CLAIMS, AK_JWT_SIGNATURE },
        { "{\"alg\":\"HS512\"}", CLAIMS, AK_JWT_SIGNATURE },
        { "{\"alg\":\"EdDSA\"}", CLAIMS, AK_JWT_SIGNATURE },
        { "{\"alg\":1}", CLAIMS, AK_JWT_MALFORMED },
        { "{\"alg\":\"HS256\",\"crit\":[\"a\"]}", CLAIMS, AK_JWT_MALFORMED },
        { "{\"alg\":\"HS256\",\"enc\":\"A\"}", CLAIMS, AK_JWT_ENCRYPTED },
        { HS256, "[]", AK_JWT_MALFORMED },
        { HS256, "{\"sub\":\"alice\",\"exp\":\"x\"}", AK_JWT_MALFORMED },
        { "{\"alg\":\"HS256\",\"typ\":\"x\"}", CLAIMS, AK_JWT_CLAIMS },
        { HS256, "{" SOME "\"sub\":\"alice\",\"iss\":\"b\"}", AK_JWT_CLAIMS },
        { HS256, "{" SOME "\"sub\":\"alice\",\"aud\":\"b\",\"iss\":\"a\"}",
          AK_JWT_CLAIMS },
        { HS256, "{" SOME "\"iss\":\"a\"}", AK_JWT_CLAIMS }
    };

    (void) state;

    begin_with(&bench, "issuer=a");

    for (i = 0; i < ak_nitems(cases); i++) {
        assert_case(ask(&bench, sign_with(SECRET, cases[i].header,
                                          cases[i].claims))
                    == cases[i].reason, "%zu: %.*s", i,
                    AK_FMT(ak_error(bench.t.reason)->word));

        /* of a secret there is no newer one, and the host says so */

        assert_null(strstr(bench.trace, "keep"));
        assert_null(strstr(bench.trace, "mark"));

        /* nobody is suspected by what nobody has signed */

        assert_int_equal(bench.t.id.len, 0);
        assert_int_equal(bench.t.claims.len, 0);
    }

    end(&bench);

    begin(&bench, LINE);
    strcpy(wrong, TOKEN);
    wrong[sizeof(TOKEN) - 10] ^= 1;
    assert_reason(ask(&bench, wrong), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");
    assert_reason(ask(&bench, sign_with(SECRET "x", HS256, CLAIMS)),
                  AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");
    end(&bench);
}


static void
test_length(void **state)
{
    char  *claims;

    (void) state;

    claims = malloc(TOKEN_MAX);
    assert_non_null(claims);

    begin(&bench, LINE);

    /* of 12227 bytes base64url makes 16303, 81 are around them */

    snprintf(claims, TOKEN_MAX, "{" SOME "\"sub\":\"alice\",\"x\":\"%*s\"}",
             12227 - 39, "");
    assert_int_equal(strlen(claims), 12227);
    assert_int_equal(strlen(sign(claims)), AK_JWT_MAX);
    assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep mark:revoked:sub:alice ");

    snprintf(claims, TOKEN_MAX, "{" SOME "\"sub\":\"alice\",\"x\":\"%*s\"}",
             12228 - 39, "");
    assert_int_equal(strlen(sign(claims)), AK_JWT_MAX + 1);
    assert_reason(ask(&bench, sign(claims)), AK_JWT_MALFORMED);
    assert_string_equal(bench.trace, "");

    end(&bench);
    free(claims);
}


/* Too large to be kept: it is verified each time. */

static void
test_too_large_to_keep(void **state)
{
    char    *claims, *p;
    size_t   i;

    (void) state;

    claims = malloc(TOKEN_MAX);
    assert_non_null(claims);

    /* the scopes are in the claims, and once more in the record */

    p = claims + sprintf(claims, "{" SOME "\"sub\":\"alice\",\"s\":\"");

    for (i = 0; i < 2900; i++) {
        p += sprintf(p, "s%zu ", 100 + i % 900);
    }

    strcpy(p, "\"}");
    p = strrchr(claims, ' ');

    /* as many as a token can hold */

    while (strlen(claims) > 12100) {
        p = claims + strlen(claims) - 2;

        do {
            p--;
        } while (*p != ' ');

        strcpy(p, "\"}");
    }

    begin(&bench, LINE " scopes=s");

    for (i = 0; i < 2; i++) {
        assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
        assert_string_equal(bench.trace, "kept mark:revoked:sub:alice ");
        assert_int_equal(bench.t.source, AK_SOURCE_MISS);
        assert_true(bench.t.claims.len + bench.t.record.len > AK_VALUE_MAX);
    }

    end(&bench);
    free(claims);
}


/* It is not verified again: not even one that is none has to be. */

static void
test_kept(void **state)
{
    (void) state;

    begin(&bench, LINE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);

    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);
    assert_int_equal(bench.t.source, AK_SOURCE_HIT);
    assert_str(bench.t.id, "jwt:alice");
    assert_str(bench.t.owner, "alice");
    assert_str(bench.t.name, "jwt");
    assert_str(bench.t.claims, CLAIMS);
    assert_int_equal(ak_stack_run(bench.s, &bench.t, AK_ACCOUNT), AK_OK);

    /* the signature is a part of its name */

    assert_reason(ask(&bench, sign_with("another", HS256, CLAIMS)),
                  AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");
    assert_int_equal(bench.t.source, AK_SOURCE_NONE);

    /* with what was kept put under its name it is as good as the other */

    memcpy(bench.kept.name, bench.name, AK_SHA256_LEN);
    assert_reason(ask(&bench, sign_with("another", HS256, CLAIMS)),
                  AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);
    assert_str(bench.t.id, "jwt:alice");

    end(&bench);
}


static void
test_kept_answers(void **state)
{
    size_t   i;
    kept_t  *kept;

    static const ak_rc_t  rcs[] = {
        AK_NOT_FOUND, AK_ERROR, AK_UNAVAILABLE, AK_NO_MEMORY
    };

    (void) state;

    kept = malloc(sizeof(kept_t));
    assert_non_null(kept);

    begin(&bench, LINE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    *kept = bench.kept;

    /* whatever the cache says, or says of what it is to keep */

    for (i = 0; i < ak_nitems(rcs); i++) {
        bench.kept.rc = rcs[i];
        bench.keep_rc = rcs[i];
        assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
        assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);
        assert_int_equal(bench.t.source, AK_SOURCE_MISS);
    }

    /* what cannot be read is verified anew */

    for (i = 0; i < kept->len; i++) {
        bench.kept = *kept;
        bench.kept.len = i;
        assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
        assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);
    }

    bench.kept = *kept;
    bench.kept.value[bench.kept.len++] = 'x';
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);

    bench.kept = *kept;
    memset(bench.kept.value, 'x', bench.kept.len);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);

    end(&bench);
    free(kept);
}


/* A record that is none in what is otherwise whole: nobody is granted. */

static void
test_kept_record(void **state)
{
    ak_verified_t  v;

    (void) state;

    begin(&bench, LINE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);

    assert_int_equal(ak_verified_unpack(ak_str(bench.kept.value,
                                               bench.kept.len), &v),
                     AK_OK);
    memset((void *) v.record.data, 'x', v.record.len);

    assert_reason(ask(&bench, TOKEN), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept ");

    end(&bench);
}


static void
test_kept_times(void **state)
{
    char         claims[128];
    size_t       i;
    const char  *token;

    static const struct {
        const char  *args;
        const char  *claims;
        int64_t      now;
        ak_reason_e  reason;
    } cases[] = {
        { "leeway=0", "\"exp\":1800000600", 599, AK_SUCCESS },
        { "leeway=0", "\"exp\":1800000600", 600, AK_JWT_EXPIRED },
        { "leeway=10s", "\"exp\":1800000600", 609, AK_SUCCESS },
        { "leeway=10s", "\"exp\":1800000600", 610, AK_JWT_EXPIRED },
        { "", "\"exp\":1800000600", 629, AK_SUCCESS },
        { "", "\"exp\":1800000600", 630, AK_JWT_EXPIRED },
        { "", "\"exp\":1800000600", 100000, AK_JWT_EXPIRED },

        { "leeway=0", SOME "\"nbf\":1799999990", -10, AK_SUCCESS },
        { "leeway=0", SOME "\"nbf\":1799999990", -11, AK_JWT_NOT_YET },
        { "", SOME "\"nbf\":1799999990", -40, AK_SUCCESS },
        { "", SOME "\"nbf\":1799999990", -41, AK_JWT_NOT_YET },

        { "leeway=0", SOME "\"iat\":1799999990", -10, AK_SUCCESS },
        { "leeway=0", SOME "\"iat\":1799999990", -11, AK_JWT_NOT_YET },

        { "leeway=0 max_age=1m", SOME "\"iat\":1799999990", 50, AK_SUCCESS },
        { "leeway=0 max_age=1m", SOME "\"iat\":1799999990", 51,
          AK_JWT_EXPIRED },
        /* less than a second is no limit at all */

        { "leeway=0 max_age=500ms", SOME "\"iat\":1800000000", 300,
          AK_JWT_EXPIRED },

        { "max_age=1m", SOME "\"iat\":1799999990", 80, AK_SUCCESS },
        { "max_age=1m", SOME "\"iat\":1799999990", 81, AK_JWT_EXPIRED },
        { "exp=optional max_age=1h leeway=1s", "\"iat\":1799999990", 3591,
          AK_SUCCESS },
        { "exp=optional max_age=1h leeway=1s", "\"iat\":1799999990", 3592,
          AK_JWT_EXPIRED }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        snprintf(claims, sizeof(claims), "{\"sub\":\"alice\",%s}",
                 cases[i].claims);
        token = sign(claims);

        begin_with(&bench, cases[i].args);
        assert_case(ask(&bench, token) == AK_SUCCESS, "%zu", i);

        /* of what was kept */

        assert_case(ask_at(&bench, "authorization", token,
                           NOW + cases[i].now) == cases[i].reason,
                    "%zu: %.*s", i, AK_FMT(ak_error(bench.t.reason)->word));
        assert_int_equal(bench.t.source, AK_SOURCE_HIT);
        assert_null(strstr(bench.trace, "keep"));
        assert_int_equal(strstr(bench.trace, "mark") != NULL,
                         cases[i].reason == AK_SUCCESS);
        assert_str(bench.t.id, "jwt:alice");

        /* and of what was not */

        bench.kept.rc = AK_NOT_FOUND;
        assert_case(ask_at(&bench, "authorization", token,
                           NOW + cases[i].now) == cases[i].reason,
                    "%zu: %.*s", i, AK_FMT(ak_error(bench.t.reason)->word));
        assert_int_equal(bench.t.source, AK_SOURCE_MISS);
        assert_str(bench.t.id, "jwt:alice");

        end(&bench);
    }
}


static void
test_times_missing(void **state)
{
    (void) state;

    begin(&bench, LINE);
    assert_reason(ask(&bench, sign("{\"sub\":\"alice\"}")), AK_JWT_CLAIMS);
    end(&bench);

    begin_with(&bench, "exp=optional");
    assert_reason(ask(&bench, sign("{\"sub\":\"alice\"}")), AK_SUCCESS);
    end(&bench);

    begin_with(&bench, "max_age=1h");
    assert_reason(ask(&bench, sign("{" SOME "\"sub\":\"alice\"}")),
                  AK_JWT_CLAIMS);
    end(&bench);
}


/* Whether it is kept or not: which key it is of, is looked at each time. */

static void
test_kept_keys(void **state)
{
    ak_keys_t   *keys;
    const char  *token;

    (void) state;

    begin_set(&bench, ED_1, 0644);
    keys = bench.pool.keys[0];
    token = sign_ed(0, "one", CLAIMS);

    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);

    /* the same key among others is the same */

    assert_int_equal(ak_keys_take(keys, S("{\"keys\":[" ED_2 "," ED_1 "]}"),
                                  NULL, NULL),
                     AK_OK);
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);
    assert_int_equal(bench.t.source, AK_SOURCE_HIT);

    /* it is gone, and asked for once */

    assert_int_equal(ak_keys_take(keys, S(ED_2), NULL, NULL), AK_OK);
    assert_reason(ask(&bench, token), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept keys ");
    assert_int_equal(bench.t.source, AK_SOURCE_NONE);

    /* a token that does not say which key is of none of those that remain */

    bench.kept.rc = AK_NOT_FOUND;
    assert_reason(ask(&bench, sign_ed(0, NULL, CLAIMS)), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");

    /* it is back: what was kept is good again */

    bench.kept.rc = AK_OK;
    token = sign_ed(0, "one", CLAIMS);
    assert_int_equal(ak_keys_take(keys, S(ED_1), NULL, NULL), AK_OK);
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);

    /* there are none at all */

    ak_keys_free(keys);
    assert_reason(ask(&bench, token), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept keys ");

    end(&bench);
}


static void
test_kept_secret(void **state)
{
    size_t          size;
    uint8_t        *packed;
    ak_verified_t   v;

    (void) state;

    begin(&bench, LINE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);

    /* a secret that is read again has another name, and is as good */

    assert_int_equal(ak_keys_load(bench.pool.keys[0], NULL), AK_OK);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);

    /* nothing is left of what was kept and is not good any more */

    assert_int_equal(ak_verified_unpack(ak_str(bench.kept.value,
                                               bench.kept.len), &v),
                     AK_OK);
    v.user = S("u");
    size = ak_verified_size(&v);
    packed = malloc(size);
    assert_non_null(packed);
    ak_verified_pack(&v, packed);
    memcpy(bench.kept.value, packed, size);
    bench.kept.len = size;
    free(packed);

    assert_int_equal(ak_keys_load(bench.pool.keys[0], NULL), AK_OK);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);

    setenv("UNIT_SECRET", "another secret of the same line", 1);
    assert_int_equal(ak_keys_load(bench.pool.keys[0], NULL), AK_OK);
    assert_reason(ask(&bench, TOKEN), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");

    setenv("UNIT_SECRET", SECRET, 1);
    end(&bench);
}


/* Lines that take other tokens, or take them otherwise, share nothing. */

static void
test_names(void **state)
{
    size_t   i, k;
    uint8_t  names[32][AK_SHA256_LEN];

    static const char  *args[] = {
        "", "issuer=a", "issuer=b", "issuer=ab", "issuer=a,b", "issuer=b,a",
        "audience=a", "audience=b", "audience=*", "issuer=a audience=b",
        "issuer=b audience=a", "subject=a", "typ=a", "require=a",
        "algorithms=HS256", "algorithms=HS256,HS512", "algorithms=HS512",
        "owner=a", "owner=b", "scopes=a", "scopes=b", "scopes=sub",
        "owner=a scopes=b", "owner=b scopes=a", "owner=id",
        "owner=sub open_webui=a", "open_webui=a", "open_webui=b",
        "weak=refuse", "weak=refuse issuer=a"
    };

    (void) state;

    assert_true(ak_nitems(args) <= ak_nitems(names));

    for (i = 0; i < ak_nitems(args); i++) {
        begin_with(&bench, args[i]);
        (void) ask(&bench, TOKEN);
        memcpy(names[i], bench.name, AK_SHA256_LEN);

        for (k = 0; k < i; k++) {
            assert_case(memcmp(names[i], names[k], AK_SHA256_LEN) != 0,
                        "\"%s\" and \"%s\"", args[i], args[k]);
        }

        /* another token of the same line */

        (void) ask(&bench, TOKEN "x");
        assert_memory_not_equal(bench.name, names[i], AK_SHA256_LEN);

        (void) ask(&bench, TOKEN);
        assert_memory_equal(bench.name, names[i], AK_SHA256_LEN);
        end(&bench);
    }

    /* the same line anew, as after a reload, and what is said by default */

    begin(&bench, LINE);
    (void) ask(&bench, TOKEN);
    assert_memory_equal(bench.name, names[0], AK_SHA256_LEN);
    end(&bench);

    begin_with(&bench, "owner=sub");
    (void) ask(&bench, TOKEN);
    assert_memory_equal(bench.name, names[0], AK_SHA256_LEN);
    end(&bench);

    begin_with(&bench, "issuer=a");
    (void) ask(&bench, TOKEN);
    assert_memory_equal(bench.name, names[1], AK_SHA256_LEN);
    end(&bench);
}


/* What one line granted is nothing to another. */

static void
test_not_shared(void **state)
{
    kept_t  *kept;

    (void) state;

    kept = malloc(sizeof(kept_t));
    assert_non_null(kept);

    begin(&bench, LINE);
    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    *kept = bench.kept;
    end(&bench);

    begin_with(&bench, "issuer=https://a.example");
    bench.kept = *kept;
    assert_reason(ask(&bench, TOKEN), AK_JWT_CLAIMS);
    assert_string_equal(bench.trace, "kept ");
    end(&bench);

    free(kept);
}


/* No keys yet, of a URI. */

static void
test_no_keys(void **state)
{
    const char  *token;

    static const char  line[] = "auth required jwt jwks_uri=" URI;

    (void) state;

    token = sign_ed(0, "one", CLAIMS);

    begin(&bench, line);
    bench.keys_rc = AK_UNAVAILABLE;
    assert_reason(ask(&bench, token), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept keys ");

    bench.keys_rc = AK_NOT_FOUND;
    assert_reason(ask(&bench, token), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept keys ");

    bench.keys_rc = AK_OK;
    assert_reason(ask(&bench, token), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept keys ");

    bench.keys_rc = AK_ERROR;
    assert_reason(ask(&bench, token), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept keys ");

    /* what is no token is none whatever keys there are */

    assert_reason(ask(&bench, "eyJ4IjoxfQ.eyJ4IjoxfQ.AAAA"),
                  AK_JWT_MALFORMED);
    assert_string_equal(bench.trace, "kept ");
    assert_reason(ask(&bench, "eyJhbGciOiJub25lIn0.eyJ4IjoxfQ."),
                  AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");

    /* they come */

    bench.keys_rc = AK_OK;
    bench.newer = "{\"keys\":[" ED_1 "]}";
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keys keep " MARKS_ALICE);
    assert_str(bench.t.id, "jwt:alice");
    assert_int_equal(bench.t.source, AK_SOURCE_MISS);

    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept " MARKS_ALICE);
    end(&bench);

    /* the keys came although the one who waited for them did not hear it */

    begin(&bench, line);
    bench.keys_rc = AK_NOT_FOUND;
    bench.newer = "{\"keys\":[" ED_1 "]}";
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keys keep " MARKS_ALICE);
    end(&bench);
}


/* A kid that no key has may be that of a newer one. */

static void
test_unknown_kid(void **state)
{
    const char  *token;

    (void) state;

    begin_set(&bench, ED_1, 0644);
    token = sign_ed(1, "two", CLAIMS);

    bench.keys_rc = AK_NOT_FOUND;
    assert_reason(ask(&bench, token), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept keys ");
    assert_int_equal(bench.t.id.len, 0);

    bench.keys_rc = AK_UNAVAILABLE;
    assert_reason(ask(&bench, token), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept keys ");

    /* there are newer ones, and it is not among them: once is enough */

    bench.keys_rc = AK_OK;
    bench.newer = "{\"keys\":[" ED_1 "]}";
    assert_reason(ask(&bench, token), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept keys ");

    bench.newer = "{\"keys\":[" ED_1 "," ED_2 "]}";
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keys keep " MARKS_ALICE);

    /* a key of that name that is another */

    assert_reason(ask(&bench, sign_ed(0, "two", CLAIMS)), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");

    /* a token that names none may be of each */

    assert_reason(ask(&bench, sign_ed(1, NULL, CLAIMS)), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept keep " MARKS_ALICE);

    /* newer keys would not help: the algorithm is not wanted */

    end(&bench);

    begin_with(&bench, "algorithms=HS512");
    assert_reason(ask(&bench, TOKEN), AK_JWT_SIGNATURE);
    assert_string_equal(bench.trace, "kept ");
    end(&bench);
}


/* Which marks are looked for, in order. */

static void
test_mark_names(void **state)
{
    size_t  i;
    char    claims[256];

    static const struct {
        const char  *args;
        const char  *claims;
        const char  *trace;
    } cases[] = {
        { "", "\"sub\":\"a\"", "mark:revoked:sub:a " },
        { "", "\"sub\":\"a\",\"jti\":\"x\"",
          "mark:revoked:jti:x mark:revoked:sub:a " },
        { "", "\"sub\":\"a\",\"jti\":\"\"", "mark:revoked:sub:a " },
        { "", "\"sub\":\"a\",\"jti\":null", "mark:revoked:sub:a " },
        { "", "\"sub\":\"a\",\"jti\":7",
          "mark:revoked:jti:7 mark:revoked:sub:a " },
        { "", "\"sub\":-12", "mark:revoked:sub:-12 " },
        { "", "\"sub\":\"a\",\"id\":\"u\"", "mark:revoked:sub:a " },

        { "owner=azp", "\"sub\":\"a\",\"azp\":\"b\",\"jti\":\"x\"",
          "mark:revoked:jti:x mark:revoked:sub:a mark:revoked:sub:b " },
        { "owner=azp", "\"sub\":\"a\",\"azp\":\"a\"", "mark:revoked:sub:a " },
        { "owner=azp", "\"azp\":\"b\"", "mark:revoked:sub:b " },
        { "owner=azp", "\"azp\":\"7\",\"sub\":7", "mark:revoked:sub:7 " },
        { "owner=jti", "\"jti\":\"x\"",
          "mark:revoked:jti:x mark:revoked:sub:x " },

        { "open_webui=open-webui", "\"id\":\"u\"",
          "mark:revoked:sub:u foreign:open-webui:auth:user:u:revoked_at " },
        { "open_webui=open-webui", "\"id\":\"u\",\"jti\":\"x\"",
          "mark:revoked:jti:x mark:revoked:sub:u "
          "foreign:open-webui:auth:token:x:revoked "
          "foreign:open-webui:auth:user:u:revoked_at " },
        { "open_webui=p:q owner=sub",
          "\"id\":\"u\",\"jti\":\"x\",\"sub\":\"a\"",
          "mark:revoked:jti:x mark:revoked:sub:a "
          "foreign:p:q:auth:token:x:revoked "
          "foreign:p:q:auth:user:u:revoked_at " },
        { "open_webui=p owner=sub", "\"sub\":\"a\",\"jti\":\"x\"",
          "mark:revoked:jti:x mark:revoked:sub:a "
          "foreign:p:auth:token:x:revoked " },
        { "open_webui=p", "\"sub\":\"a\",\"id\":7",
          "mark:revoked:sub:a mark:revoked:sub:7 "
          "foreign:p:auth:user:7:revoked_at " }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        begin_with(&bench, cases[i].args);
        snprintf(claims, sizeof(claims), "{" SOME "%s}", cases[i].claims);

        assert_case(ask(&bench, sign(claims)) == AK_SUCCESS, "%zu: %.*s", i,
                    AK_FMT(ak_error(bench.t.reason)->word));
        assert_memory_equal(bench.trace, "kept keep ", 10);
        assert_string_equal(bench.trace + 10, cases[i].trace);

        /* the same of what was kept */

        assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
        assert_memory_equal(bench.trace, "kept ", 5);
        assert_string_equal(bench.trace + 5, cases[i].trace);
        end(&bench);
    }
}


#define NAME_JTI  "revoked:jti:x"
#define NAME_SUB  "revoked:sub:a"
#define NAME_OWN  "revoked:sub:u"
#define NAME_WT   "w:auth:token:x:revoked"
#define NAME_WU   "w:auth:user:u:revoked_at"


/* One mark of five, and whether the token was issued when. */

static void
check_mark(const char *iat, const char *name, ak_rc_t rc, const char *text,
    ak_reason_e expected)
{
    int      kept;
    char     claims[256];
    mark_t   marks[2];

    snprintf(claims, sizeof(claims), "{" SOME "%s\"sub\":\"a\",\"id\":\"u\","
             "\"jti\":\"x\"}", iat);

    memset(marks, 0, sizeof(marks));
    marks[0].name = name;
    marks[0].rc = rc;
    marks[0].text = text;

    begin_with(&bench, "open_webui=w");
    bench.marks = marks;

    for (kept = 0; kept < 2; kept++) {

        assert_case(ask(&bench, sign(claims)) == expected,
                    "%s of %s: %d \"%s\": %.*s, not %.*s", name, iat, rc,
                    text, AK_FMT(ak_error(bench.t.reason)->word),
                    AK_FMT(ak_error(expected)->word));

        /* it was asked for, and is the last where it says no */

        assert_non_null(strstr(bench.trace, name));
        assert_int_equal(strstr(bench.trace, NAME_WU) != NULL,
                         expected == AK_SUCCESS
                         || strcmp(name, NAME_WU) == 0);

        /* whose it was is for the log, and that is all */

        assert_str(bench.t.id, "jwt:u");
        assert_int_equal(bench.t.source, kept ? AK_SOURCE_HIT
                                              : AK_SOURCE_MISS);
        assert_int_equal(bench.t.owner.len, expected == AK_SUCCESS ? 1 : 0);
        assert_int_equal(bench.t.claims.len != 0, expected == AK_SUCCESS);
    }

    end(&bench);
}


static void
test_mark_answers(void **state)
{
    size_t  i, k;

    static const char  iat[] = "\"iat\":1799999900,";
    static const char  *names[] = {
        NAME_JTI, NAME_SUB, NAME_OWN, NAME_WT, NAME_WU
    };

    /* there is something that cannot be read: it is something */

    static const ak_rc_t  others[] = {
        AK_ERROR, AK_DENIED, AK_AGAIN, AK_KID_UNKNOWN, AK_NO_MEMORY
    };

    (void) state;

    for (i = 0; i < ak_nitems(names); i++) {
        check_mark(iat, names[i], AK_NOT_FOUND, "", AK_SUCCESS);
        check_mark(iat, names[i], AK_NOT_FOUND, "1800000000", AK_SUCCESS);
        check_mark(iat, names[i], AK_UNAVAILABLE, "", AK_STORE_UNAVAILABLE);
        check_mark(iat, names[i], AK_UNAVAILABLE, "1", AK_STORE_UNAVAILABLE);
        check_mark(iat, names[i], AK_OK, "1800000000", AK_JWT_REVOKED);

        for (k = 0; k < ak_nitems(others); k++) {
            check_mark(iat, names[i], others[k], "1", AK_JWT_REVOKED);
        }
    }
}


/* A token is revoked whatever the mark says, an owner's are until a time. */

static void
test_mark_times(void **state)
{
    size_t  i, k;

    static const struct {
        const char  *name;
        bool         always;
    } names[] = {
        { NAME_JTI, true }, { NAME_SUB, false }, { NAME_OWN, false },
        { NAME_WT, true }, { NAME_WU, false }
    };

    static const struct {
        const char  *iat;
        const char  *text;
        bool         revoked;
    } cases[] = {
        { "\"iat\":1799999900,", "1799999899", false },
        { "\"iat\":1799999900,", "1799999900", true },
        { "\"iat\":1799999900,", "1799999901", true },
        { "\"iat\":1799999900,", "0", false },
        { "\"iat\":1799999900,", "1", false },
        { "\"iat\":1799999900,", "000001799999899", false },
        { "\"iat\":1799999900,", "000001799999900", true },
        { "\"iat\":1799999900,", "999999999999999", true },

        /* RFC 7519, 2: with a fraction */

        { "\"iat\":1799999900,", "1799999899.999", false },
        { "\"iat\":1799999900,", "1799999900.0", true },
        { "\"iat\":1799999900,", "1799999900.123456789", true },
        { "\"iat\":1799999900.9,", "1799999900.1", true },
        { "\"iat\":1799999900.9,", "1799999899.9", false },
        { "\"iat\":1799999900.0,", "1799999899", false },

        /* it does not say when it was issued */

        { "", "1", true },
        { "", "0", true },
        { "", "1799999899", true },
        { "", "", true },

        /* what is no time */

        { "\"iat\":1799999900,", "", true },
        { "\"iat\":1799999900,", "x", true },
        { "\"iat\":1799999900,", "1x", true },
        { "\"iat\":1799999900,", "true", true },
        { "\"iat\":1799999900,", "-1", true },
        { "\"iat\":1799999900,", "+1", true },
        { "\"iat\":1799999900,", " 1", true },
        { "\"iat\":1799999900,", "1 ", true },
        { "\"iat\":1799999900,", "1\n", true },
        { "\"iat\":1799999900,", "0x1", true },
        { "\"iat\":1799999900,", "1e3", true },
        { "\"iat\":1799999900,", "2026-01-01", true },
        { "\"iat\":1799999900,", "0000000000000001", true },
        { "\"iat\":1799999900,", "18446744073709551617", true },
        { "\"iat\":1799999900,", "1.00000000000000000000", true }
    };

    (void) state;

    for (i = 0; i < ak_nitems(names); i++) {
        for (k = 0; k < ak_nitems(cases); k++) {
            check_mark(cases[k].iat, names[i].name, AK_OK, cases[k].text,
                       names[i].always || cases[k].revoked ? AK_JWT_REVOKED
                                                           : AK_SUCCESS);
        }
    }
}


/* A mark that lets a token pass is not the last. */

static void
test_marks_together(void **state)
{
    static const char  claims[] =
        "{" SOME "\"iat\":1799999900,\"sub\":\"a\",\"id\":\"u\","
        "\"jti\":\"x\"}";

    static const mark_t  first[] = {
        { NAME_SUB, AK_OK, "1" }, { NAME_WU, AK_OK, "1800000000" },
        { NULL, AK_OK, NULL }
    };

    static const mark_t  none[] = {
        { NAME_SUB, AK_OK, "1" }, { NAME_OWN, AK_OK, "2" },
        { NAME_WU, AK_OK, "3" }, { NULL, AK_OK, NULL }
    };

    /* an outage is told as one although a later mark would say no */

    static const mark_t  outage[] = {
        { NAME_JTI, AK_UNAVAILABLE, "" }, { NAME_SUB, AK_OK, "1800000000" },
        { NULL, AK_OK, NULL }
    };

    (void) state;

    begin_with(&bench, "open_webui=w");

    bench.marks = first;
    assert_reason(ask(&bench, sign(claims)), AK_JWT_REVOKED);

    bench.marks = none;
    assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);

    bench.marks = outage;
    assert_reason(ask(&bench, sign(claims)), AK_STORE_UNAVAILABLE);
    assert_string_equal(bench.trace, "kept mark:" NAME_JTI " ");

    /* revoked while it was kept, and taken back */

    bench.marks = NULL;
    assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
    assert_int_equal(bench.t.source, AK_SOURCE_HIT);

    end(&bench);
}


/* A claim by which it is revoked and that cannot be told is refused. */

static void
test_handles(void **state)
{
    char    claims[1024];
    size_t  i, k, len;

    static const char  *names[] = { "jti", "sub", "id" };
    static const char  *bad[] = {
        "true", "false", "1.5", "[]", "[\"x\"]", "{}", "{\"a\":1}"
    };

    (void) state;

    begin_with(&bench, "owner=azp open_webui=w");

    for (i = 0; i < ak_nitems(names); i++) {
        for (k = 0; k < ak_nitems(bad); k++) {
            snprintf(claims, sizeof(claims), "{" SOME "\"azp\":\"b\","
                     "\"%s\":%s}", names[i], bad[k]);
            assert_case(ask(&bench, sign(claims)) == AK_JWT_CLAIMS, "%s",
                        claims);
            assert_string_equal(bench.trace, "kept ");
            assert_int_equal(bench.t.id.len, 0);
        }

        for (len = 254; len <= 257; len++) {
            snprintf(claims, sizeof(claims), "{" SOME "\"azp\":\"b\","
                     "\"%s\":\"%0*d\"}", names[i], (int) len, 0);
            assert_case((ask(&bench, sign(claims)) == AK_SUCCESS)
                        == (len <= 255), "%s of %zu bytes", names[i], len);
            assert_reason(bench.t.reason, len <= 255 ? AK_SUCCESS
                                                     : AK_JWT_CLAIMS);
        }

        snprintf(claims, sizeof(claims), "{" SOME "\"azp\":\"b\",\"%s\":null}",
                 names[i]);
        assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
        assert_string_equal(bench.trace, "kept keep mark:revoked:sub:b ");
    }

    end(&bench);

    /* "id" is one of Open WebUI's only */

    begin_with(&bench, "owner=azp");
    assert_reason(ask(&bench, sign("{" SOME "\"azp\":\"b\",\"id\":[]}")),
                  AK_SUCCESS);
    end(&bench);
}


static void
test_owner(void **state)
{
    size_t  i;
    char    claims[512];

    static const struct {
        const char  *args;
        const char  *claims;
        const char  *owner;            /* NULL: jwt_claims */
    } cases[] = {
        { "", "\"sub\":\"alice\"", "alice" },
        { "", "\"sub\":\"J\\u00f6rg B\"", "J\xc3\xb6rg B" },
        { "", "\"sub\":7", "7" },
        { "", "\"sub\":0", "0" },
        { "", "\"sub\":-9223372036854775808", "-9223372036854775808" },
        { "", "\"sub\":9223372036854775807", "9223372036854775807" },
        { "", "\"sub\":\"**\"", "**" },
        { "owner=azp", "\"sub\":\"a\",\"azp\":\"b\"", "b" },
        { "owner=a.b", "\"a\":{\"b\":\"c\"}", "c" },
        { "owner=a.b", "\"a\":{\"b\":\"c\"},\"a.b\":\"d\"", "d" },
        { "owner=https://x/y", "\"https://x/y\":\"c\"", "c" },
        { "open_webui=w", "\"sub\":\"a\",\"id\":\"u\"", "u" },
        { "open_webui=w owner=sub", "\"sub\":\"a\",\"id\":\"u\"", "a" },
        { "open_webui=w owner=email", "\"email\":\"a@b\"", "a@b" },

        { "", "\"name\":\"alice\"", NULL },
        { "", "\"sub\":null", NULL },
        { "", "\"sub\":\"\"", NULL },
        { "", "\"sub\":\"*\"", NULL },
        { "", "\"sub\":true", NULL },
        { "", "\"sub\":1.5", NULL },
        { "", "\"sub\":[\"alice\"]", NULL },
        { "", "\"sub\":{\"a\":\"alice\"}", NULL },
        { "", "\"sub\":\" alice\"", NULL },
        { "", "\"sub\":\"alice \"", NULL },
        { "", "\"sub\":\"al\\nice\"", NULL },
        { "", "\"sub\":\"al\\rice\"", NULL },
        { "", "\"sub\":\"al\\tice\"", NULL },
        { "", "\"sub\":\"al\\u001bice\"", NULL },
        { "", "\"sub\":\"al\\u007fice\"", NULL },
        { "owner=azp", "\"sub\":\"a\"", NULL },
        { "owner=azp", "\"sub\":\"a\",\"azp\":\"*\"", NULL },
        { "owner=a.b", "\"a\":{\"c\":\"d\"}", NULL },
        { "owner=a__b", "\"a\":{\"b\":\"c\"}", NULL },
        { "open_webui=w", "\"sub\":\"a\"", NULL }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        begin_with(&bench, cases[i].args);
        snprintf(claims, sizeof(claims), "{" SOME "%s}", cases[i].claims);

        assert_case(ask(&bench, sign(claims)) == (cases[i].owner == NULL
                                                  ? AK_JWT_CLAIMS
                                                  : AK_SUCCESS),
                    "%s: %.*s", claims,
                    AK_FMT(ak_error(bench.t.reason)->word));
        assert_str(bench.t.owner, cases[i].owner);

        if (cases[i].owner == NULL) {
            assert_int_equal(bench.t.id.len, 0);
            assert_string_equal(bench.trace, "kept ");

        } else {
            snprintf(claims, sizeof(claims), "jwt:%s", cases[i].owner);
            assert_str(bench.t.id, claims);
        }

        end(&bench);
    }

    /* "jwt:" and it are as long as a name can be */

    begin(&bench, LINE);

    snprintf(claims, sizeof(claims), "{" SOME "\"sub\":\"%0124d\"}", 0);
    assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
    assert_int_equal(bench.t.id.len, AK_NAME_MAX);

    snprintf(claims, sizeof(claims), "{" SOME "\"sub\":\"%0125d\"}", 0);
    assert_reason(ask(&bench, sign(claims)), AK_JWT_CLAIMS);

    end(&bench);
}


static void
test_scopes(void **state)
{
    size_t       i;
    char         claims[512];
    ak_record_t  rec;

    static const struct {
        const char  *args;
        const char  *claims;
        const char  *scopes;
    } cases[] = {
        { "scopes=scope", "\"scope\":\"chat models:read\"",
          "chat models:read" },
        { "scopes=scope", "\"scope\":\"chat\"", "chat" },
        { "scopes=scope", "\"scope\":\"\"", "" },
        { "scopes=scope", "\"scope\":[\"chat\",\"models:read\"]",
          "chat models:read" },
        { "scopes=scope", "\"scope\":[\"chat\"]", "chat" },
        { "scopes=scope", "\"scope\":[]", "" },

        /* what is no scope */

        { "scopes=scope", "\"scope\":[\"\",\"chat\",\"\",\"b\",\"\"]",
          "chat b" },
        { "scopes=scope", "\"scope\":[\"a b\",\"chat\"]", "chat" },
        { "scopes=scope", "\"scope\":[\"chat\",\"a,b\"]", "chat" },
        { "scopes=scope", "\"scope\":[\"chat\",\"a\\\"b\",\"a\\\\b\"]",
          "chat" },
        { "scopes=scope", "\"scope\":[1,\"chat\",null,true,[\"x\"],{}]",
          "chat" },
        { "scopes=scope", "\"scope\":[\"a\\nb\",\"a\\u007f\"]", "" },
        { "scopes=scope", "\"scope\":[\"J\\u00f6rg\",\"chat\"]", "chat" },
        { "scopes=scope", "\"scope\":[[\"chat\"]]", "" },
        { "scopes=scope", "\"scope\":1", "" },
        { "scopes=scope", "\"scope\":true", "" },
        { "scopes=scope", "\"scope\":null", "" },
        { "scopes=scope", "\"scope\":{\"chat\":true}", "" },
        { "scopes=scope", "\"x\":\"chat\"", "" },

        /* of a string too, what is no scope is left out */

        { "scopes=scope", "\"scope\":\"chat J\\u00f6rg\"", "chat" },
        { "scopes=scope", "\"scope\":\"a\\\"b chat\"", "chat" },
        { "scopes=scope", "\"scope\":\"chat\\nx\"", "" },

        { "scopes=a.b", "\"a\":{\"b\":[\"chat\",\"x\"]}", "chat x" },
        { "scopes=a.b", "\"a\":{\"b\":\"chat\"}", "chat" },
        { "scopes=a.b", "\"a\":{\"b\":\"chat\"},\"a.b\":\"x\"", "x" },
        { "scopes=a.b", "\"a\":[\"b\"]", "" },

        { "", "\"scope\":\"chat\",\"scopes\":\"chat\",\"scp\":\"chat\"", "" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        begin_with(&bench, cases[i].args);
        snprintf(claims, sizeof(claims), "{" SOME "\"sub\":\"alice\",%s}",
                 cases[i].claims);

        assert_case(ask(&bench, sign(claims)) == AK_SUCCESS, "%s", claims);

        memset(&rec, 0, sizeof(rec));
        assert_int_equal(ak_record_unpack(bench.t.record, &rec), AK_OK);
        assert_str(rec.scopes, cases[i].scopes);

        /* and so it is the next time */

        assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
        assert_int_equal(bench.t.source, AK_SOURCE_HIT);
        assert_int_equal(ak_record_unpack(bench.t.record, &rec), AK_OK);
        assert_str(rec.scopes, cases[i].scopes);
        assert_str(rec.owner, "alice");
        end(&bench);
    }
}


static void
test_scopes_length(void **state)
{
    char         *claims, *p;
    size_t        i;
    ak_record_t   rec;

    (void) state;

    claims = malloc(TOKEN_MAX);
    assert_non_null(claims);

    begin_with(&bench, "scopes=scope");

    snprintf(claims, TOKEN_MAX, "{" SOME "\"sub\":\"a\",\"scope\":"
             "[\"%064d\",\"%065d\"]}", 0, 0);
    assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
    assert_int_equal(ak_record_unpack(bench.t.record, &rec), AK_OK);
    assert_int_equal(rec.scopes.len, 64);

    /* as many as there can be in a token */

    p = claims + sprintf(claims, "{" SOME "\"sub\":\"a\",\"scope\":[");

    for (i = 0; i < 3000; i++) {
        p += sprintf(p, "\"a\",");
    }

    strcpy(p, "\"b\"]}");

    assert_reason(ask(&bench, sign(claims)), AK_SUCCESS);
    assert_int_equal(ak_record_unpack(bench.t.record, &rec), AK_OK);
    assert_int_equal(rec.scopes.len, 2 * 3000 + 1);

    end(&bench);
    free(claims);
}


/* Memory of which the n-th piece, from 0, is not there; the others are. */

typedef struct {
    unit_pool_t  *pool;
    size_t        at;
    size_t        n;
} hole_t;


static hole_t  hole;


static void *
hole_alloc(void *data, size_t size)
{
    (void) data;

    return (hole.n++ == hole.at) ? NULL
                                 : unit_pool_alloc(hole.pool, size);
}


static void *
hole_malloc(size_t size)
{
    return (hole.n++ == hole.at) ? NULL : malloc(size);
}


#define RICH                                                                  \
    "{" SOME "\"iat\":1799999900,\"sub\":\"a\",\"id\":\"u\",\"jti\":\"x\","   \
    "\"scope\":[\"chat\",\"b\"]}"

#define RICH_MARKS                                                            \
    "mark:" NAME_JTI " mark:" NAME_SUB " mark:" NAME_OWN " foreign:" NAME_WT  \
    " foreign:" NAME_WU " "


/* Who is granted although something was not there, is granted in full. */

static void
check_whole(void)
{
    ak_record_t  rec;

    assert_str(bench.t.id, "jwt:u");
    assert_str(bench.t.owner, "u");
    assert_non_null(strstr(bench.trace, RICH_MARKS));

    memset(&rec, 0, sizeof(rec));
    assert_int_equal(ak_record_unpack(bench.t.record, &rec), AK_OK);
    assert_str(rec.owner, "u");
    assert_str(rec.scopes, "chat b");
}


/* From some piece on there is no more: it never grants. */

static void
test_no_memory(void **state)
{
    size_t  left, kept, pieces[2];

    (void) state;

    /* with nothing kept, and with what was */

    for (kept = 0; kept < 2; kept++) {

        for (left = 0; left < 64; left++) {
            begin_with(&bench, "scopes=scope open_webui=w");

            if (kept) {
                assert_reason(ask(&bench, sign(RICH)), AK_SUCCESS);
            }

            bench.pool.left = left;

            if (ask(&bench, sign(RICH)) == AK_SUCCESS) {
                check_whole();
                assert_str(bench.t.claims, RICH);
                end(&bench);
                break;
            }

            assert_int_equal(bench.pool.left, 0);
            assert_false(bench.t.identified);
            assert_int_equal(bench.t.claims.len, 0);
            end(&bench);
        }

        pieces[kept] = left;
    }

    assert_in_range(pieces[0], 16, 24);

    /* the line's state, two names, and five marks */

    assert_int_equal(pieces[1], 8);
}


/* One piece is not there, and all that come later are. */

static void
test_hole(void **state)
{
    unsigned       granted;
    ak_record_t    rec;
    ak_verified_t  v;

    (void) state;

    granted = 0;

    for (hole.at = 0; hole.at < 64; hole.at++) {
        begin_with(&bench, "scopes=scope open_webui=w");
        hole.pool = &bench.pool;
        hole.n = 0;

        (void) snprintf(bench.bearer, TOKEN_MAX, "Bearer %s", sign(RICH));
        bench.headers[0].name = "authorization";
        bench.headers[0].value = bench.bearer;

        unit_txn(&bench.t, &bench.pool, bench.headers, digest, NULL);
        bench.t.mem.alloc = hole_alloc;

        if (run(&bench) == AK_SUCCESS) {
            check_whole();
            assert_str(bench.t.claims, RICH);
            granted++;

        } else {

            /* of some pieces it is told as jwt_claims */

            assert_reason(bench.t.reason, AK_STORE_UNAVAILABLE);

            assert_int_equal(bench.t.claims.len, 0);
        }

        /* what is kept is whole, whatever came of it */

        if (bench.kept.rc == AK_OK) {
            assert_int_equal(ak_verified_unpack(ak_str(bench.kept.value,
                                                       bench.kept.len), &v),
                             AK_OK);
            assert_int_equal(ak_record_unpack(v.record, &rec), AK_OK);
            assert_str(v.claims, RICH);
            assert_str(v.jti, "x");
            assert_str(v.user, "u");
        }

        end(&bench);

        if (hole.n <= hole.at) {
            break;
        }
    }

    /* the copy that is to be kept, and none at all */

    assert_int_equal(granted, 2);
    assert_in_range(hole.at, 16, 20);
}


/* The same of the memory that JSON is read into. */

static void
test_json_hole(void **state)
{
    size_t    at;
    unsigned  granted;

    (void) state;

    granted = 0;

    for (at = 0; at < 1000; at++) {
        begin_with(&bench, "scopes=scope open_webui=w");

        hole.at = at;
        hole.n = 0;
        json_set_alloc_funcs(hole_malloc, free);

        (void) ask(&bench, sign(RICH));

        json_set_alloc_funcs(malloc, free);

        if (bench.t.reason == AK_SUCCESS) {
            check_whole();

            assert_int_equal(bench.t.claims.len, sizeof(RICH) - 1);

            /* they are what the memory held before */

            assert_str(bench.t.claims, RICH);

            granted++;
        }

        end(&bench);

        if (hole.n <= at) {
            break;
        }
    }

    assert_in_range(at, 20, 900);
    assert_true(granted >= 1);
}


/* No signature is verified for a source with too many failures. */

static void
test_limited(void **state)
{
    ak_answer_t  answer;

    static const unit_header_t  headers[] = {
        { "authorization", "Bearer " TOKEN }, { NULL, NULL }
    };

    (void) state;

    begin(&bench, LINE);
    unit_txn(&bench.t, &bench.pool, headers, digest, NULL);

    assert_int_equal(ak_stack_run(bench.s, &bench.t, AK_AUTH), AK_AGAIN);
    assert_int_equal(bench.t.need.type, AK_NEED_KEPT);

    memset(&answer, 0, sizeof(answer));
    answer.rc = AK_DENIED;
    ak_txn_answer(&bench.t, &answer);

    assert_int_equal(ak_stack_run(bench.s, &bench.t, AK_AUTH), AK_DENIED);
    assert_int_equal(bench.t.reason, AK_TOO_MANY_FAILURES);
    assert_false(bench.t.identified);

    ak_txn_abort(&bench.t);
    end(&bench);
}


/* A transaction that ends while it waits leaves nothing behind. */

static void
test_abort(void **state)
{
    static const ak_need_e  needs[] = {
        AK_NEED_KEPT, AK_NEED_KEEP, AK_NEED_MARK, AK_NEED_MARK
    };

    size_t       i, k;
    ak_answer_t  answer;

    static const unit_header_t  headers[] = {
        { "authorization", "Bearer " TOKEN }, { NULL, NULL }
    };

    (void) state;

    for (i = 0; i < ak_nitems(needs); i++) {
        begin(&bench, LINE);
        unit_txn(&bench.t, &bench.pool, headers, digest, NULL);

        memset(&answer, 0, sizeof(answer));
        answer.rc = AK_NOT_FOUND;

        for (k = 0; k <= i; k++) {
            assert_int_equal(ak_stack_run(bench.s, &bench.t, AK_AUTH),
                             AK_AGAIN);
            assert_int_equal(bench.t.need.type, needs[k]);
            assert_false(bench.t.identified);

            if (k < i) {
                ak_txn_answer(&bench.t, &answer);
            }
        }

        ak_txn_abort(&bench.t);
        assert_int_equal(bench.t.cred.value.len, 0);
        assert_int_not_equal(ak_stack_run(bench.s, &bench.t, AK_AUTH), AK_OK);
        assert_false(bench.t.identified);
        end(&bench);
    }
}


/* Two lines: each takes the tokens of its own issuer. */

static void
test_two_lines(void **state)
{
    ak_diag_t    d;
    const char  *token;

    (void) state;

    setenv("UNIT_OTHER", "another secret of as many bytes.", 1);

    memset(&bench, 0, sizeof(bench));
    unit_pool_init(&bench.pool);
    bench.site = unit_site(&bench.pool);
    bench.s = ak_stack_create(&bench.site, S("test"));
    bench.kept.rc = AK_NOT_FOUND;

    assert_int_equal(unit_add(bench.s, "auth sufficient jwt "
                              "secret=env:UNIT_OTHER owner=azp", &d),
                     AK_OK);
    assert_int_equal(unit_add(bench.s, LINE, &d), AK_OK);
    assert_int_equal(ak_stack_link(bench.s, NULL, NULL, &d), AK_OK);

    assert_reason(ask(&bench, TOKEN), AK_SUCCESS);
    assert_int_equal(bench.t.line, 2);
    assert_str(bench.t.owner, "alice");
    assert_string_equal(bench.trace, "kept kept keep " MARKS_ALICE);

    token = sign_with("another secret of as many bytes.", HS256,
                      "{" SOME "\"azp\":\"bob\",\"sub\":\"alice\"}");
    assert_reason(ask(&bench, token), AK_SUCCESS);
    assert_int_equal(bench.t.line, 1);
    assert_str(bench.t.owner, "bob");

    /* the second line says nothing of what the first one could not take */

    token = sign_with("another secret of as many bytes.", HS256, CLAIMS);
    bench.kept.rc = AK_NOT_FOUND;
    assert_int_not_equal(ask(&bench, token), AK_SUCCESS);
    assert_string_equal(bench.trace, "kept kept ");

    unsetenv("UNIT_OTHER");
    end(&bench);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_arguments),
    cmocka_unit_test(test_good_arguments),
    cmocka_unit_test(test_keys_held),
    cmocka_unit_test(test_secret_not_shown),
    cmocka_unit_test(test_prefix_length),
    cmocka_unit_test(test_weak),
    cmocka_unit_test(test_weak_in_set),
    cmocka_unit_test(test_credentials),
    cmocka_unit_test(test_ambiguous),
    cmocka_unit_test(test_from),
    cmocka_unit_test(test_granted),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_length),
    cmocka_unit_test(test_too_large_to_keep),
    cmocka_unit_test(test_kept),
    cmocka_unit_test(test_kept_answers),
    cmocka_unit_test(test_kept_record),
    cmocka_unit_test(test_kept_times),
    cmocka_unit_test(test_times_missing),
    cmocka_unit_test(test_kept_keys),
    cmocka_unit_test(test_kept_secret),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_not_shared),
    cmocka_unit_test(test_no_keys),
    cmocka_unit_test(test_unknown_kid),
    cmocka_unit_test(test_mark_names),
    cmocka_unit_test(test_mark_answers),
    cmocka_unit_test(test_mark_times),
    cmocka_unit_test(test_marks_together),
    cmocka_unit_test(test_handles),
    cmocka_unit_test(test_owner),
    cmocka_unit_test(test_scopes),
    cmocka_unit_test(test_scopes_length),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_hole),
    cmocka_unit_test(test_json_hole),
    cmocka_unit_test(test_limited),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_two_lines)
};


int
main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
