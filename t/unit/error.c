
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the table of reasons. */


#include "unit.h"

#include <ctype.h>

#include "ak_error.h"


typedef struct {
    ak_reason_e  reason;
    const char  *word;
    unsigned     status;
    const char  *code;
    bool         retry;
    bool         final;
} row_t;


static const row_t  rows[] = {
    { AK_MISSING, "missing", 401, "invalid_api_key", false, false },
    { AK_MALFORMED, "malformed", 401, "invalid_api_key", false, false },
    { AK_AMBIGUOUS, "ambiguous", 401, "invalid_api_key", false, false },
    { AK_UNKNOWN, "unknown", 401, "invalid_api_key", false, false },
    { AK_REVOKED, "revoked", 401, "invalid_api_key", false, false },
    { AK_DISABLED, "disabled", 401, "invalid_api_key", false, false },
    { AK_EXPIRED, "expired", 401, "invalid_api_key", false, false },
    { AK_JWT_MALFORMED, "jwt_malformed", 401, "invalid_api_key", false, false },
    { AK_JWT_ENCRYPTED, "jwt_encrypted", 401, "invalid_api_key", false, false },
    { AK_JWT_SIGNATURE, "jwt_signature", 401, "invalid_api_key", false, false },
    { AK_JWT_EXPIRED, "jwt_expired", 401, "invalid_api_key", false, false },
    { AK_JWT_NOT_YET, "jwt_not_yet", 401, "invalid_api_key", false, false },
    { AK_JWT_CLAIMS, "jwt_claims", 401, "invalid_api_key", false, false },
    { AK_JWT_REVOKED, "jwt_revoked", 401, "invalid_api_key", false, false },
    { AK_WRONG_KIND, "wrong_kind", 401, "invalid_api_key", false, false },
    { AK_FORBIDDEN, "forbidden", 403, "permission_denied", false, false },
    { AK_RATE_LIMITED, "rate_limited", 429, "rate_limit_exceeded", true,
      false },
    { AK_TOO_MANY_FAILURES, "too_many_failures", 429,
      "too_many_failed_attempts", true, false },
    { AK_STORE_UNAVAILABLE, "unavailable", 503, "auth_unavailable", true,
      false },
    { AK_UPSTREAM_KEY_MISSING, "upstream_key_missing", 403,
      "upstream_key_missing", false, true },
    { AK_UPSTREAM_KEY_ERROR, "upstream_key_error", 502, "upstream_key_error",
      false, true },
    { AK_UPSTREAM_AUTH_FAILED, "upstream_auth_failed", 502,
      "upstream_auth_failed", false, true }
};


static void
test_rows(void **state)
{
    size_t             i;
    const ak_error_t  *e;

    (void) state;

    assert_int_equal(ak_nitems(rows) + 2, AK_REASON_MAX);

    for (i = 0; i < ak_nitems(rows); i++) {
        e = ak_error(rows[i].reason);

        assert_non_null(e);
        assert_str(e->word, rows[i].word);
        assert_str(e->code, rows[i].code);
        assert_int_equal(e->status, rows[i].status);
        assert_int_equal(e->final, rows[i].final);
        assert_case((e->retry_after != 0) == rows[i].retry,
                    "Retry-After of \"%s\"", rows[i].word);
        assert_int_not_equal(e->type.len, 0);

        if (e->status == 401) {
            assert_str(e->type, "invalid_request_error");
        }

        /* where nothing came, nobody has tried anything */

        assert_case(e->attempt == (e->status == 401
                                   && rows[i].reason != AK_MISSING),
                    "attempt of \"%s\"", rows[i].word);
    }
}


static void
test_success_and_ignore(void **state)
{
    (void) state;

    assert_int_equal(ak_error(AK_SUCCESS)->status, 0);
    assert_str(ak_error(AK_SUCCESS)->word, "success");
    assert_int_equal(ak_error(AK_IGNORE)->status, 0);
    assert_str(ak_error(AK_IGNORE)->word, "ignore");
}


static void
test_messages(void **state)
{
    size_t             i, j;
    const ak_error_t  *a, *b;

    (void) state;

    for (i = 0; i < ak_nitems(rows); i++) {
        a = ak_error(rows[i].reason);

        assert_case(a->message.len >= 10, "message of \"%s\"", rows[i].word);

        for (j = 0; j < a->message.len; j++) {
            assert_true(isprint(a->message.data[j]));
        }

        for (j = 0; j < i; j++) {
            b = ak_error(rows[j].reason);
            assert_case(!ak_str_eq(a->message, b->message),
                        "\"%s\" says the same as \"%s\"", rows[i].word,
                        rows[j].word);
        }
    }
}


/* An unknown id and a wrong secret share a row; it must fit both. */

static void
test_unknown_reveals_nothing(void **state)
{
    size_t             i;
    char               text[1024];
    const ak_error_t  *e;

    static const char  *telling[] = {
        "exist", "not found", "no such", "unknown", "secret", "checksum",
        "hash", "revoked", "expired", "disabled", "record"
    };

    (void) state;

    e = ak_error(AK_UNKNOWN);
    assert_true(e->message.len < sizeof(text));

    for (i = 0; i < e->message.len; i++) {
        text[i] = (char) tolower(e->message.data[i]);
    }

    text[i] = '\0';

    for (i = 0; i < ak_nitems(telling); i++) {
        assert_case(strstr(text, telling[i]) == NULL, "it says \"%s\"",
                    telling[i]);
    }
}


static void
test_out_of_range(void **state)
{
    const ak_error_t  *e;

    (void) state;

    e = ak_error(AK_STORE_UNAVAILABLE);

    assert_ptr_equal(ak_error(AK_REASON_MAX), e);
    assert_ptr_equal(ak_error((ak_reason_e) (AK_REASON_MAX + 1)), e);
    assert_ptr_equal(ak_error((ak_reason_e) -1), e);
    assert_ptr_equal(ak_error((ak_reason_e) 0x7fffffff), e);
}


static void
test_words(void **state)
{
    int                i;
    size_t             n;
    const ak_error_t  *e;

    static const char  *none[] = {
        "", "Missing", "missing ", " missing", "miss", "missing_", "default",
        "jwt", "unavailabl", "store_unavailable", "suspend"
    };

    (void) state;

    for (i = 0; i < AK_REASON_MAX; i++) {
        e = ak_error((ak_reason_e) i);

        assert_int_not_equal(e->word.len, 0);
        assert_int_equal(ak_error_reason(e->word), i);

        for (n = 0; n < e->word.len; n++) {
            assert_true(islower(e->word.data[n]) || e->word.data[n] == '_');
        }
    }

    for (n = 0; n < ak_nitems(none); n++) {
        assert_int_equal(ak_error_reason(ak_cstr(none[n])), AK_REASON_MAX);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_success_and_ignore),
    cmocka_unit_test(test_messages),
    cmocka_unit_test(test_unknown_reveals_nothing),
    cmocka_unit_test(test_out_of_range),
    cmocka_unit_test(test_words)
};


UNIT_MAIN(tests)
