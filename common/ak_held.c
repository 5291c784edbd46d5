
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_crypt.h"
#include "ak_file.h"
#include "ak_held.h"


static ak_rc_t ak_held_keep(ak_held_t *held, ak_str_t secret, ak_str_t from,
    ak_mem_t *mem, ak_diag_t *d);
static ak_str_t ak_held_trim(ak_str_t s);


static const ak_str_t  ak_held_env = ak_string("env:");
static const ak_str_t  ak_held_file = ak_string("file:");


bool
ak_held_is_env(ak_str_t from)
{
    return ak_str_starts(from, ak_held_env);
}


bool
ak_held_is_file(ak_str_t from)
{
    return ak_str_starts(from, ak_held_file);
}


ak_rc_t
ak_held_read(ak_held_t *held, ak_str_t from, ak_site_t *site, ak_diag_t *d)
{
    size_t       len;
    ak_rc_t      rc;
    uint8_t      text[AK_SECRET_MAX + 2];
    ak_str_t     value;
    const char  *name;

    if (ak_held_is_env(from)) {
        name = (const char *) from.data + ak_held_env.len;
        value = ak_env_secret(site, name);

        if (value.data == NULL) {
            return ak_diag(d, "\"%.*s\": there is no such variable in the "
                           "environment; set it for whoever starts the proxy",
                           AK_FMT(from));
        }

        return ak_held_keep(held, value, from, &site->mem, d);
    }

    /* what is neither is not shown: it may be the key, put here by mistake */

    name = (const char *) from.data + ak_held_file.len;

    if (!ak_held_is_file(from) || *name != '/') {
        return ak_diag(d, "a key is named as env:NAME, or as file: and the "
                       "absolute path of a file");
    }

    rc = ak_file_secret(name, text, sizeof(text), &len, d);

    if (rc == AK_OK) {
        rc = ak_held_keep(held, ak_str(text, len), from, &site->mem, d);
        ak_mem_wipe(text, len);
    }

    return rc;
}


static ak_rc_t
ak_held_keep(ak_held_t *held, ak_str_t secret, ak_str_t from, ak_mem_t *mem,
    ak_diag_t *d)
{
    size_t  i;

    secret = ak_held_trim(secret);

    if (secret.len == 0) {
        return ak_diag(d, "\"%.*s\" is empty; put the key there",
                       AK_FMT(from));
    }

    if (secret.len > AK_SECRET_MAX) {
        return ak_diag(d, "\"%.*s\" is longer than %d bytes; put the key "
                       "alone there", AK_FMT(from), AK_SECRET_MAX);
    }

    if (!ak_str_visible(secret)) {
        return ak_diag(d, "\"%.*s\" holds what cannot stand in a header: "
                       "a space, a control or a non-ASCII character; put the "
                       "key alone there", AK_FMT(from));
    }

    held->pad = mem->alloc(mem->data, 2 * secret.len);

    if (held->pad == NULL) {
        return ak_diag(d, "there is no memory");
    }

    if (ak_random(held->pad, secret.len) != AK_OK) {
        return ak_diag(d, "OpenSSL has no random bytes");
    }

    held->masked = held->pad + secret.len;
    held->len = secret.len;

    for (i = 0; i < secret.len; i++) {
        held->masked[i] = secret.data[i] ^ held->pad[i];
    }

    return AK_OK;
}


/* Editors and "echo" end a line; who pastes may have caught a space. */

static ak_str_t
ak_held_trim(ak_str_t s)
{
    if (s.len != 0 && s.data[s.len - 1] == ' ') {
        s.len--;
        return s;
    }

    if (s.len != 0 && s.data[s.len - 1] == '\n') {
        s.len--;

        if (s.len != 0 && s.data[s.len - 1] == '\r') {
            s.len--;
        }
    }

    return s;
}


void
ak_held_open(const ak_held_t *held, uint8_t *dst)
{
    size_t  i;

    for (i = 0; i < held->len; i++) {
        dst[i] = held->masked[i] ^ held->pad[i];
    }
}
