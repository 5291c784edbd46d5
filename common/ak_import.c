
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_base64.h"
#include "ak_import.h"
#include "ak_mem.h"
#include "ak_provider.h"


#define AK_IMPORT_SECRET_MAX  1024     /* bytes of an application's secret */
#define AK_IMPORT_WEAK_MIN    8        /* letters that Intern3 asks for */
#define AK_IMPORT_PARTS       3


/* A form: how many parts of hex, and which key. */

static const struct {
    bool    hex_key;
    size_t  parts;
} ak_import_forms[] = {
    [AK_IMPORT_LMNR] = { true, 0 },
    [AK_IMPORT_INTERN3_GCM] = { false, 0 },
    [AK_IMPORT_INTERN3_CBC] = { true, 2 },
    [AK_IMPORT_LOBECHAT_VAULT] = { false, 3 }
};


/*
 * THE table of foreign names.  A name that is one of ours, or a variable made
 * of it, as GROQ_API_KEY of "groq", needs no line here.
 */

static const struct {
    ak_str_t  foreign;
    ak_str_t  ours;
} ak_import_providers[] = {
    { ak_string("azure"), ak_string("azure-openai") },
    { ak_string("azureopenai"), ak_string("azure-openai") },
    { ak_string("openai-azure"), ak_string("azure-openai") },
    { ak_string("AZURE_API_KEY"), ak_string("azure-openai") },
    { ak_string("AZURE_OPENAI_KEY"), ak_string("azure-openai") },
    { ak_string("brave-search"), ak_string("brave") },
    { ak_string("BRAVE_SEARCH_API_KEY"), ak_string("brave") },
    { ak_string("claude"), ak_string("anthropic") },
    { ak_string("gemini"), ak_string("google") },
    { ak_string("GEMINI_API_KEY"), ak_string("google") },
    { ak_string("GOOGLE_GENERATIVE_AI_API_KEY"), ak_string("google") },
    { ak_string("mistralai"), ak_string("mistral") }
};


static const char *const  ak_import_classes[AK_IMPORT_CLASSES] = {
    [AK_IMPORT_OK] = "opened",
    [AK_IMPORT_KEY_MISSING] = "key missing",
    [AK_IMPORT_KEY_LENGTH] = "key length",
    [AK_IMPORT_AUTH_FAILED] = "authentication failed",
    [AK_IMPORT_BAD_NONCE] = "bad nonce",
    [AK_IMPORT_BAD_ENCODING] = "bad encoding"
};


const char *
ak_import_class(ak_import_e class)
{
    return ak_import_classes[class];
}


static bool
ak_import_space(uint8_t ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}


static ak_str_t
ak_import_trim(ak_str_t s)
{
    while (s.len != 0 && ak_import_space(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && ak_import_space(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


static int
ak_import_hex_digit(uint8_t ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


/* Digits of either case, to dst of half their number. */

static ak_rc_t
ak_import_hex(ak_str_t s, uint8_t *dst)
{
    int     high, low;
    size_t  i;

    if (s.len % 2 != 0) {
        return AK_ERROR;
    }

    for (i = 0; i < s.len; i += 2) {
        high = ak_import_hex_digit(s.data[i]);
        low = ak_import_hex_digit(s.data[i + 1]);

        if (high < 0 || low < 0) {
            return AK_ERROR;
        }

        *dst++ = (uint8_t) (high << 4 | low);
    }

    return AK_OK;
}


/*
 * Base64 as atob() reads it (WHATWG, "forgiving-base64 decode"): padding may be
 * missing, and bits that are left over may be anything.
 */

static ak_rc_t
ak_import_atob(ak_str_t s, uint8_t *dst, size_t *len)
{
    size_t    i, n, part;
    ak_rc_t   rc;
    uint8_t   text[4], bytes[3];

    n = 0;
    rc = AK_OK;

    if (s.len % 4 == 0) {
        for (i = 0; i < 2 && s.len != 0 && s.data[s.len - 1] == '='; i++) {
            s.len--;
        }
    }

    if (s.len % 4 == 1) {
        return AK_ERROR;
    }

    for (i = 0; i < s.len && rc == AK_OK; i += 4) {

        /* an "A" more, which is zeros, takes up what is left over */

        part = (s.len - i < 4) ? s.len - i : 4;
        memset(text, 'A', sizeof(text));
        memcpy(text, s.data + i, part);

        rc = ak_base64_decode(AK_BASE64, ak_str(text, 4), bytes, len);
        memcpy(dst + n, bytes, part - 1);
        n += part - 1;
    }

    *len = n;
    ak_mem_wipe(text, sizeof(text));
    ak_mem_wipe(bytes, sizeof(bytes));

    return rc;
}


static ak_import_e
ak_import_key_hex(ak_import_key_t *k, ak_str_t text)
{
    if (text.len != 2 * AK_GCM_KEY_LEN) {
        return AK_IMPORT_KEY_LENGTH;
    }

    return (ak_import_hex(text, k->key) == AK_OK) ? AK_IMPORT_OK
                                                  : AK_IMPORT_BAD_ENCODING;
}


/* Intern3 takes any length and repeats it, LobeChat takes its own alone. */

static ak_import_e
ak_import_key_base64(ak_import_key_t *k, ak_str_t text)
{
    size_t       i, len;
    uint8_t      bytes[ak_base64_decoded_max(AK_IMPORT_SECRET_MAX)];
    ak_import_e  class;

    if (text.len > AK_IMPORT_SECRET_MAX
        || (k->form == AK_IMPORT_INTERN3_GCM
            && text.len < AK_IMPORT_WEAK_MIN))
    {
        return AK_IMPORT_KEY_LENGTH;
    }

    class = AK_IMPORT_OK;

    if (ak_import_atob(text, bytes, &len) != AK_OK) {
        class = AK_IMPORT_BAD_ENCODING;

    } else if (len == 0 || (k->form == AK_IMPORT_LOBECHAT_VAULT
                            && len != AK_GCM_KEY_LEN))
    {
        class = AK_IMPORT_KEY_LENGTH;

    } else {
        for (i = 0; i < AK_GCM_KEY_LEN; i++) {
            k->key[i] = bytes[i % len];
        }
    }

    ak_mem_wipe(bytes, sizeof(bytes));

    return class;
}


ak_import_e
ak_import_key(ak_import_key_t *k, ak_import_form_e form, ak_str_t text)
{
    ak_import_e  class;

    k->form = form;
    text = ak_import_trim(text);

    if (text.len == 0) {
        class = AK_IMPORT_KEY_MISSING;

    } else if (ak_import_forms[form].hex_key) {
        class = ak_import_key_hex(k, text);

    } else {
        class = ak_import_key_base64(k, text);
    }

    if (class != AK_IMPORT_OK) {
        ak_mem_wipe(k->key, sizeof(k->key));
    }

    return class;
}


static ak_import_e
ak_import_open_lmnr(const ak_import_key_t *k,
    const ak_import_sealed_t *sealed, uint8_t *bytes, uint8_t *dst,
    size_t *len)
{
    uint8_t   nonce[AK_XCHACHA_NONCE_LEN];
    ak_str_t  text;

    text = ak_import_trim(sealed->nonce);

    if (text.len != 2 * AK_XCHACHA_NONCE_LEN) {
        return AK_IMPORT_BAD_NONCE;
    }

    if (ak_import_hex(text, nonce) != AK_OK) {
        return AK_IMPORT_BAD_ENCODING;
    }

    text = ak_import_trim(sealed->value);

    if (text.len == 0 || ak_import_hex(text, bytes) != AK_OK) {
        return AK_IMPORT_BAD_ENCODING;
    }

    if (text.len / 2 < AK_GCM_TAG_LEN
        || ak_xchacha_open(k->key, nonce, sealed->name,
                           ak_str(bytes, text.len / 2), dst)
           != AK_OK)
    {
        return AK_IMPORT_AUTH_FAILED;
    }

    *len = text.len / 2 - AK_GCM_TAG_LEN;

    return AK_IMPORT_OK;
}


/* src is ciphertext and tag. */

static ak_import_e
ak_import_open_gcm(const ak_import_key_t *k, const uint8_t *iv, ak_str_t src,
    uint8_t *dst, size_t *len)
{
    ak_rc_t    rc;
    ak_gcm_t  *g;

    if (src.len < AK_GCM_TAG_LEN) {
        return AK_IMPORT_AUTH_FAILED;
    }

    g = ak_gcm_create(k->key, false);
    rc = (g == NULL) ? AK_ERROR
                     : ak_gcm_open(g, iv, ak_str(NULL, 0), src, dst);
    ak_gcm_free(g);

    *len = src.len - AK_GCM_TAG_LEN;

    return (rc == AK_OK) ? AK_IMPORT_OK : AK_IMPORT_AUTH_FAILED;
}


static ak_import_e
ak_import_open_intern3(const ak_import_key_t *k, ak_str_t text,
    uint8_t *bytes, uint8_t *dst, size_t *len)
{
    size_t  n;

    if (text.len == 0
        || ak_base64_decode(AK_BASE64, text, bytes, &n) != AK_OK)
    {
        return AK_IMPORT_BAD_ENCODING;
    }

    if (n < AK_GCM_IV_LEN) {
        return AK_IMPORT_BAD_NONCE;
    }

    return ak_import_open_gcm(k, bytes,
                              ak_str(bytes + AK_GCM_IV_LEN,
                                     n - AK_GCM_IV_LEN),
                              dst, len);
}


/* Splits at colons and decodes the parts, one behind another. */

static ak_import_e
ak_import_split(ak_str_t text, size_t want, uint8_t *bytes,
    ak_str_t parts[AK_IMPORT_PARTS])
{
    size_t          n;
    ak_str_t        part;
    const uint8_t  *colon;

    for (n = 0; n < want; n++) {
        colon = (text.len == 0) ? NULL : memchr(text.data, ':', text.len);

        if ((colon == NULL) != (n == want - 1)) {
            return AK_IMPORT_BAD_ENCODING;
        }

        part = text;

        if (colon != NULL) {
            part.len = (size_t) (colon - text.data);
            text = ak_str(colon + 1, text.len - part.len - 1);
        }

        if (ak_import_hex(part, bytes) != AK_OK) {
            return AK_IMPORT_BAD_ENCODING;
        }

        parts[n] = ak_str(bytes, part.len / 2);
        bytes += part.len / 2;
    }

    return AK_IMPORT_OK;
}


static ak_import_e
ak_import_open_cbc(const ak_import_key_t *k, const ak_str_t *parts,
    uint8_t *dst, size_t *len)
{
    if (parts[0].len != AK_CBC_BLOCK_LEN) {
        return AK_IMPORT_BAD_NONCE;
    }

    if (ak_cbc_open(k->key, parts[0].data, parts[1], dst, len) != AK_OK) {
        return AK_IMPORT_AUTH_FAILED;
    }

    if (*len == 0 || !ak_str_visible(ak_str(dst, *len))) {
        ak_mem_wipe(dst, parts[1].len);
        return AK_IMPORT_AUTH_FAILED;
    }

    return AK_IMPORT_OK;
}


static ak_import_e
ak_import_open_vault(const ak_import_key_t *k, const ak_str_t *parts,
    uint8_t *bytes, uint8_t *dst, size_t *len)
{
    uint8_t  iv[AK_GCM_IV_LEN], tag[AK_GCM_TAG_LEN];

    if (parts[0].len != AK_GCM_IV_LEN) {
        return AK_IMPORT_BAD_NONCE;
    }

    if (parts[1].len != AK_GCM_TAG_LEN) {
        return AK_IMPORT_AUTH_FAILED;
    }

    /* the tag stands before the ciphertext, and is wanted behind it */

    memcpy(iv, parts[0].data, AK_GCM_IV_LEN);
    memcpy(tag, parts[1].data, AK_GCM_TAG_LEN);
    memmove(bytes, parts[2].data, parts[2].len);
    memcpy(bytes + parts[2].len, tag, AK_GCM_TAG_LEN);

    return ak_import_open_gcm(k, iv,
                              ak_str(bytes, parts[2].len + AK_GCM_TAG_LEN),
                              dst, len);
}


ak_import_e
ak_import_open(const ak_import_key_t *k, const ak_import_sealed_t *sealed,
    uint8_t *dst, size_t *len)
{
    size_t        want;
    uint8_t      *bytes;
    ak_str_t      text, parts[AK_IMPORT_PARTS];
    ak_import_e   class;

    *len = 0;
    text = ak_import_trim(sealed->value);

    if (text.len > AK_FOREIGN_MAX) {
        return AK_IMPORT_BAD_ENCODING;
    }

    bytes = malloc(text.len + 1);

    if (bytes == NULL) {
        return AK_IMPORT_BAD_ENCODING;
    }

    want = ak_import_forms[k->form].parts;
    class = (want == 0) ? AK_IMPORT_OK
                        : ak_import_split(text, want, bytes, parts);

    if (class == AK_IMPORT_OK) {

        switch (k->form) {

        case AK_IMPORT_LMNR:
            class = ak_import_open_lmnr(k, sealed, bytes, dst, len);
            break;

        case AK_IMPORT_INTERN3_GCM:
            class = ak_import_open_intern3(k, text, bytes, dst, len);
            break;

        case AK_IMPORT_INTERN3_CBC:
            class = ak_import_open_cbc(k, parts, dst, len);
            break;

        case AK_IMPORT_LOBECHAT_VAULT:
            class = ak_import_open_vault(k, parts, bytes, dst, len);
            break;
        }
    }

    if (class != AK_IMPORT_OK) {
        *len = 0;
    }

    free(bytes);                       /* ciphertext, no secret */

    return class;
}


/* GROQ_API_KEY, OPENAI_API_KEYS: of the provider "groq", "openai". */

static ak_str_t
ak_import_variable(ak_str_t name)
{
    size_t                i, k;
    uint8_t               lower[64];
    ak_str_t              stem;
    const ak_provider_t  *p;

    static const ak_str_t  ends[] = {
        ak_string("_API_KEY"), ak_string("_API_KEYS")
    };

    for (i = 0; i < ak_nitems(ends); i++) {

        if (name.len <= ends[i].len
            || name.len - ends[i].len > sizeof(lower)
            || memcmp(name.data + name.len - ends[i].len, ends[i].data,
                      ends[i].len) != 0)
        {
            continue;
        }

        stem = ak_str(lower, name.len - ends[i].len);

        for (k = 0; k < stem.len; k++) {
            lower[k] = name.data[k];

            if (lower[k] >= 'A' && lower[k] <= 'Z') {
                lower[k] |= 0x20;

            } else if (lower[k] == '_') {
                lower[k] = '-';
            }
        }

        p = ak_provider_find(stem);

        if (p != NULL) {
            return p->name;
        }
    }

    return ak_str(NULL, 0);
}


ak_str_t
ak_import_provider(ak_str_t name)
{
    size_t                i;
    const ak_provider_t  *p;

    p = ak_provider_find(name);

    if (p != NULL) {
        return p->name;
    }

    for (i = 0; i < ak_nitems(ak_import_providers); i++) {
        if (ak_str_eq(name, ak_import_providers[i].foreign)) {
            p = ak_provider_find(ak_import_providers[i].ours);
            return (p == NULL) ? ak_str(NULL, 0) : p->name;
        }
    }

    return ak_import_variable(name);
}
