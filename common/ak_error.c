
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_error.h"


/*
 * The messages are read by people who hold a key that did not work.  "unknown"
 * is said of an unknown id and of a wrong secret alike; what is known of
 * a record is told only to who has proved the key.
 */

#define ak_told(word, status, code, type, retry, final, attempt, message)     \
    {                                                                        \
        ak_string(word), status, ak_string(code), ak_string(type),           \
        ak_string(message), retry, final, attempt                            \
    }

#define ak_row(word, status, code, type, retry, final, message)              \
    ak_told(word, status, code, type, retry, final, false, message)

#define ak_unauthorized(word, message)                                       \
    ak_told(word, 401, "invalid_api_key", "invalid_request_error", 0, false, \
            true, message)


static const ak_error_t  ak_errors[] = {

    ak_row("success", 0, "", "", 0, false, ""),

    ak_row("ignore", 0, "", "", 0, false, ""),

    ak_row("missing", 401, "invalid_api_key", "invalid_request_error",
           0, false,
        "No API key was provided. Send your key in the Authorization header "
        "(Authorization: Bearer sk-...) or in the x-api-key header."),

    ak_unauthorized("malformed",
        "The API key provided is malformed: it is incomplete or mistyped. "
        "Copy the whole key again, without spaces or quotes."),

    ak_unauthorized("ambiguous",
        "The request carries different credentials in several places. Send "
        "one API key, in one header."),

    ak_unauthorized("unknown",
        "Incorrect API key provided. Check that you use the right key for "
        "this service, or ask its operator for a new one."),

    ak_unauthorized("revoked",
        "This API key has been revoked. Ask the operator of this service for "
        "a new one."),

    ak_unauthorized("disabled",
        "This API key is disabled. Ask the operator of this service to "
        "enable it."),

    ak_unauthorized("expired",
        "This API key has expired. Ask the operator of this service for "
        "a new one."),

    ak_unauthorized("jwt_malformed",
        "The token provided is not a well-formed JWT. Sign in again to get "
        "a new one."),

    ak_unauthorized("jwt_encrypted",
        "The token provided is an encrypted one (JWE), which cannot be read "
        "here. Send one that is only signed."),

    ak_unauthorized("jwt_signature",
        "The signature of the token provided cannot be verified. Sign in "
        "again to get a new one."),

    ak_unauthorized("jwt_expired",
        "The token provided has expired. Sign in again to get a new one."),

    ak_unauthorized("jwt_not_yet",
        "The token provided is not valid yet. Check the clock of the machine "
        "that issued it."),

    ak_unauthorized("jwt_claims",
        "The token provided was not issued for this service."),

    ak_unauthorized("jwt_revoked",
        "The token provided has been revoked. Sign in again to get a new "
        "one."),

    ak_unauthorized("wrong_kind",
        "A credential of another kind was provided than this service takes "
        "here. If you sent a session token (JWT), create an API key (sk-...) "
        "and send that; if you sent an API key, check where it belongs."),

    ak_row("forbidden", 403, "permission_denied", "invalid_request_error",
           0, false,
        "This API key has no permission for this request."),

    ak_row("rate_limited", 429, "rate_limit_exceeded", "rate_limit_error",
           1, false,
        "Rate limit reached for this API key. Wait before you try again."),

    ak_row("too_many_failures", 429, "too_many_failed_attempts",
           "rate_limit_error", 60, false,
        "Too many failed attempts from your address. Wait before you try "
        "again, with a valid API key."),

    ak_row("unavailable", 503, "auth_unavailable", "server_error", 1, false,
        "The API key could not be checked for the moment; nothing is known "
        "to be wrong with it. Try again shortly."),

    ak_row("upstream_key_missing", 403, "upstream_key_missing",
           "invalid_request_error", 0, true,
        "Your API key is valid, but no provider key is stored for it. Ask "
        "the operator of this service to add one."),

    ak_row("upstream_key_error", 502, "upstream_key_error", "server_error",
           0, true,
        "Your API key is valid, but the provider key stored for it cannot be "
        "opened. Ask the operator of this service to store it again."),

    ak_row("upstream_auth_failed", 502, "upstream_auth_failed",
           "server_error", 0, true,
        "Your API key is valid, but the provider refused the key of this "
        "service. Ask its operator to check the provider key.")
};


_Static_assert(ak_nitems(ak_errors) == AK_REASON_MAX,
               "a row for every reason");


const ak_error_t *
ak_error(ak_reason_e reason)
{
    if ((unsigned) reason >= AK_REASON_MAX) {
        reason = AK_STORE_UNAVAILABLE;
    }

    return &ak_errors[reason];
}


ak_reason_e
ak_error_reason(ak_str_t word)
{
    unsigned  i;

    for (i = 0; i < AK_REASON_MAX; i++) {
        if (ak_str_eq(ak_errors[i].word, word)) {
            return (ak_reason_e) i;
        }
    }

    return AK_REASON_MAX;
}
