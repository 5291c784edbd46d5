
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_file.h"
#include "ak_keys.h"
#include "ak_mem.h"


static ak_rc_t
ak_keys_set(ak_keys_t *keys, ak_jwks_t *set)
{
    if (set == NULL) {
        return AK_ERROR;
    }

    ak_jwks_free(keys->set);
    keys->set = set;

    return AK_OK;
}


/* The secret of a file without the end of its line: that is the editor's. */

static ak_jwks_t *
ak_keys_secret(const ak_keys_t *keys, ak_str_t secret, ak_diag_t *d)
{
    if (secret.len != 0 && secret.data[secret.len - 1] == '\n') {
        secret.len--;
    }

    if (secret.len != 0 && secret.data[secret.len - 1] == '\r') {
        secret.len--;
    }

    if (ak_str_starts(secret, ak_literal("-----BEGIN "))) {
        ak_diag(d, "it is a key in PEM and no secret: use \"key=%s\"",
                (const char *) keys->source.data);
        return NULL;
    }

    return ak_jwks_secret(secret, d);
}


static ak_rc_t
ak_keys_file(ak_keys_t *keys, uint8_t *text, ak_diag_t *d)
{
    bool         shared;
    size_t       len;
    ak_rc_t      rc;
    ak_diag_t    why;
    ak_jwks_t   *set;
    const char  *path;

    path = (const char *) keys->source.data;

    if (path[0] != '/') {
        return ak_diag(d, "\"%s\": the path of a key must be absolute", path);
    }

    rc = (keys->from == AK_KEYS_SECRET)
         ? ak_file_secret(path, text, AK_JWKS_TEXT_MAX, &len, d)
         : ak_file_public(path, text, AK_JWKS_TEXT_MAX, &len, &shared, d);

    if (rc != AK_OK) {
        return rc;
    }

    switch (keys->from) {

    case AK_KEYS_SECRET:
        set = ak_keys_secret(keys, ak_str(text, len), &why);
        break;

    case AK_KEYS_PEM:
        set = ak_jwks_pem(ak_str(text, len), &why);
        break;

    default: /* AK_KEYS_JWKS */
        set = ak_jwks_parse(ak_str(text, len), !shared, NULL, &why);
        break;
    }

    ak_mem_wipe(text, len);

    if (set == NULL) {
        ak_diag(d, "\"%s\": %.256s", path, why.text);
    }

    return ak_keys_set(keys, set);
}


ak_rc_t
ak_keys_load(ak_keys_t *keys, ak_diag_t *d)
{
    ak_rc_t      rc;
    uint8_t     *text;
    ak_str_t     secret;
    const char  *name;

    if (keys->from == AK_KEYS_ENV) {
        name = (const char *) keys->source.data;
        secret = ak_cstr(getenv(name));

        if (secret.len == 0) {
            return ak_diag(d, "\"env:%s\": there is no such variable in the "
                           "environment, or it is empty", name);
        }

        return ak_keys_set(keys, ak_jwks_secret(secret, d));
    }

    text = malloc(AK_JWKS_TEXT_MAX);

    if (text == NULL) {
        return ak_diag(d, "there is no memory");
    }

    rc = ak_keys_file(keys, text, d);

    free(text);

    return rc;
}


ak_rc_t
ak_keys_take(ak_keys_t *keys, ak_str_t text, unsigned *skipped, ak_diag_t *d)
{
    return ak_keys_set(keys, ak_jwks_parse(text, false, skipped, d));
}


void
ak_keys_free(ak_keys_t *keys)
{
    ak_jwks_free(keys->set);
    keys->set = NULL;
}


/* RFC 1122, 3.2.1.3; no name, since it is a name server that knows names. */

static bool
ak_keys_local(ak_str_t rest)
{
    size_t                 i;
    static const ak_str_t  hosts[] = {
        ak_string("[::1]"), ak_string("127.0.0.1")
    };

    for (i = 0; i < ak_nitems(hosts); i++) {

        if (ak_str_starts(rest, hosts[i])
            && (rest.len == hosts[i].len
                || memchr(":/?", rest.data[hosts[i].len], 3) != NULL))
        {
            return true;
        }
    }

    return false;
}


/* RFC 3986, 3.2.2 and 3.2.3: a host, and perhaps a port. */

static bool
ak_keys_authority(ak_str_t s)
{
    size_t    i;
    unsigned  port;

    /* the colons of an IPv6 address are in brackets */

    i = 0;

    if (s.data[0] == '[') {
        while (i < s.len && s.data[i] != ']') {
            i++;
        }
    }

    while (i < s.len && s.data[i] != ':') {
        i++;
    }

    if (i == 0) {
        return false;
    }

    if (i == s.len) {
        return true;
    }

    port = 0;

    for (i++; i < s.len && port <= 65535; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }

        port = 10 * port + (unsigned) (s.data[i] - '0');
    }

    return port != 0 && port <= 65535;
}


ak_rc_t
ak_keys_uri(ak_str_t uri, ak_diag_t *d)
{
    bool                   tls;
    size_t                 host;
    ak_str_t               rest;
    static const ak_str_t  https = ak_string("https://");
    static const ak_str_t  http = ak_string("http://");

    tls = ak_str_starts(uri, https);

    if (!tls && !ak_str_starts(uri, http)) {
        return ak_diag(d, "\"%.*s\" does not begin with \"https://\"",
                       AK_FMT(uri));
    }

    rest = uri;
    rest.data += tls ? https.len : http.len;
    rest.len -= tls ? https.len : http.len;

    for (host = 0; host < rest.len; host++) {
        if (memchr("/?#@", rest.data[host], 4) != NULL) {
            break;
        }
    }

    /* it is not shown: there may be a password in it */

    if (host < rest.len && rest.data[host] == '@') {
        return ak_diag(d, "the URI of keys has a user, which it cannot have");
    }

    if (host == 0 || !ak_str_visible(rest)
        || !ak_keys_authority(ak_str(rest.data, host))
        || ak_str_starts(rest, ak_literal("unix:"))
        || memchr(rest.data, '#', rest.len) != NULL)
    {
        return ak_diag(d, "\"%.*s\" is no URI of a host, without a fragment",
                       AK_FMT(uri));
    }

    if (!tls && !ak_keys_local(rest)) {
        return ak_diag(d, "\"%.*s\": keys are fetched with \"https://\", or "
                       "from 127.0.0.1 or [::1]: who can change them on "
                       "their way can make tokens", AK_FMT(uri));
    }

    return AK_OK;
}
