
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include "ak_base64.h"
#include "ak_file.h"
#include "ak_keyring.h"
#include "ak_mem.h"


typedef struct {
    uint8_t    kid[AK_KID_LEN];
    ak_gcm_t  *opener;
} ak_master_t;


struct ak_keyring_s {
    ak_master_t   masters[AK_KEYRING_MASTERS];
    size_t        nmasters;
    ak_gcm_t     *sealer;      /* of the first master key */
    ak_hmac_t    *pepper;
};


static ak_rc_t
ak_keyring_add_master(ak_keyring_t *k, const uint8_t *key, ak_diag_t *d)
{
    size_t        i;
    ak_rc_t       rc;
    uint8_t       mac[AK_SHA256_LEN];
    ak_hmac_t    *hmac;
    ak_master_t  *m;

    if (k->nmasters == AK_KEYRING_MASTERS) {
        return ak_diag(d, "there are more than %d master keys",
                       AK_KEYRING_MASTERS);
    }

    hmac = ak_hmac_create(ak_str(key, AK_GCM_KEY_LEN));
    rc = (hmac == NULL) ? AK_ERROR
                        : ak_hmac(hmac, ak_literal("kid"), ak_literal(""),
                                  mac);
    ak_hmac_free(hmac);

    if (rc != AK_OK) {
        return ak_diag(d, "OpenSSL cannot compute HMAC-SHA-256");
    }

    for (i = 0; i < k->nmasters; i++) {
        if (memcmp(k->masters[i].kid, mac, AK_KID_LEN) == 0) {
            return ak_diag(d, "this master key is in the keyring already");
        }
    }

    m = &k->masters[k->nmasters];

    m->opener = ak_gcm_create(key, false);

    if (m->opener == NULL) {
        return ak_diag(d, "OpenSSL cannot prepare AES-256-GCM");
    }

    if (k->nmasters++ == 0) {
        k->sealer = ak_gcm_create(key, true);

        if (k->sealer == NULL) {
            return ak_diag(d, "OpenSSL cannot prepare AES-256-GCM");
        }
    }

    memcpy(m->kid, mac, AK_KID_LEN);
    ak_mem_wipe(mac, sizeof(mac));

    return AK_OK;
}


static ak_rc_t
ak_keyring_add_pepper(ak_keyring_t *k, const uint8_t *key, ak_diag_t *d)
{
    if (k->pepper != NULL) {
        return ak_diag(d, "there is a second pepper");
    }

    k->pepper = ak_hmac_create(ak_str(key, AK_GCM_KEY_LEN));

    if (k->pepper == NULL) {
        return ak_diag(d, "OpenSSL cannot prepare HMAC-SHA-256");
    }

    return AK_OK;
}


static bool
ak_keyring_blank(uint8_t ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}


/* The next word of a line; len 0: there is none. */

static ak_str_t
ak_keyring_word(ak_str_t *line)
{
    size_t    i;
    ak_str_t  word;

    while (line->len != 0 && ak_keyring_blank(line->data[0])) {
        line->data++;
        line->len--;
    }

    for (i = 0; i < line->len && !ak_keyring_blank(line->data[i]); i++) {
        /* void */
    }

    word = ak_str(line->data, i);

    line->data += i;
    line->len -= i;

    return word;
}


/*
 * The diagnostics name no word of the file: a line that is out of order may
 * well be a secret that lost what stood before it.
 */

static ak_rc_t
ak_keyring_line(ak_keyring_t *k, ak_str_t line, ak_diag_t *d)
{
    bool      master;
    size_t    len;
    ak_rc_t   rc;
    uint8_t   key[ak_base64_decoded_max(ak_base64_encoded_len(
                                            AK_GCM_KEY_LEN))];
    ak_str_t  word, value;

    word = ak_keyring_word(&line);

    if (word.len == 0 || word.data[0] == '#') {
        return AK_OK;
    }

    master = ak_str_eq(word, ak_literal("master"));

    if (!master && !ak_str_eq(word, ak_literal("pepper"))) {
        return ak_diag(d, "a line begins with \"master\", \"pepper\" or "
                       "\"#\"");
    }

    value = ak_keyring_word(&line);

    if (value.len == 0) {
        return ak_diag(d, "the key is missing");
    }

    if (ak_keyring_word(&line).len != 0) {
        return ak_diag(d, "there is more on the line than one key");
    }

    if (value.len > ak_base64_encoded_len(AK_GCM_KEY_LEN)) {
        return ak_diag(d, "the key is longer than base64 of %d bytes",
                       AK_GCM_KEY_LEN);
    }

    rc = ak_base64_decode(AK_BASE64, value, key, &len);

    if (rc != AK_OK) {
        rc = ak_diag(d, "the key is not valid base64");

    } else if (len != AK_GCM_KEY_LEN) {
        rc = ak_diag(d, "the key has %zu bytes, it must have %d", len,
                     AK_GCM_KEY_LEN);

    } else if (master) {
        rc = ak_keyring_add_master(k, key, d);

    } else {
        rc = ak_keyring_add_pepper(k, key, d);
    }

    ak_mem_wipe(key, sizeof(key));

    return rc;
}


ak_keyring_t *
ak_keyring_parse(ak_str_t text, ak_diag_t *d)
{
    unsigned         line;
    ak_diag_t        scratch;
    ak_keyring_t    *k;
    const uint8_t   *p, *end, *eol;

    if (d == NULL) {
        d = &scratch;
    }

    d->line = 0;

    k = calloc(1, sizeof(ak_keyring_t));
    if (k == NULL) {
        ak_diag(d, "there is no memory");
        return NULL;
    }

    p = text.data;
    end = p + text.len;

    for (line = 1; p < end; line++) {
        eol = memchr(p, '\n', end - p);
        eol = (eol == NULL) ? end : eol;

        if (ak_keyring_line(k, ak_str(p, eol - p), d) != AK_OK) {
            d->line = line;
            ak_keyring_free(k);
            return NULL;
        }

        p = eol + 1;
    }

    if (k->nmasters == 0) {
        ak_diag(d, "there is no line \"master <base64 of %d bytes>\"",
                AK_GCM_KEY_LEN);
        ak_keyring_free(k);
        return NULL;
    }

    return k;
}


ak_keyring_t *
ak_keyring_load(const char *path, ak_diag_t *d)
{
    size_t         len;
    uint8_t       *text;
    ak_keyring_t  *k;

    text = malloc(AK_KEYRING_MAX);
    if (text == NULL) {
        ak_diag(d, "there is no memory");
        return NULL;
    }

    if (d != NULL) {
        d->line = 0;
    }

    k = NULL;

    if (ak_file_secret(path, text, AK_KEYRING_MAX, &len, d) == AK_OK) {
        k = ak_keyring_parse(ak_str(text, len), d);
        ak_mem_wipe(text, len);
    }

    free(text);

    return k;
}


void
ak_keyring_free(ak_keyring_t *k)
{
    size_t  i;

    if (k == NULL) {
        return;
    }

    for (i = 0; i < k->nmasters; i++) {
        ak_gcm_free(k->masters[i].opener);
    }

    ak_gcm_free(k->sealer);
    ak_hmac_free(k->pepper);

    ak_mem_wipe(k, sizeof(ak_keyring_t));
    free(k);
}


ak_rc_t
ak_keyring_make(char *dst, size_t *len)
{
    int      n;
    uint8_t  keys[2][AK_GCM_KEY_LEN];
    uint8_t  text[2][ak_base64_encoded_len(AK_GCM_KEY_LEN)];

    if (ak_random(keys, sizeof(keys)) != AK_OK) {
        return AK_ERROR;
    }

    ak_base64_encode(AK_BASE64, ak_str(keys[0], AK_GCM_KEY_LEN), text[0]);
    ak_base64_encode(AK_BASE64, ak_str(keys[1], AK_GCM_KEY_LEN), text[1]);

    n = snprintf(dst, AK_KEYRING_TEXT_MAX,
                 "# Keyring of ngx_apikey_module. Keep it secret and backed "
                 "up:\n# without it no sealed upstream key can be opened.\n"
                 "master %.*s\npepper %.*s\n",
                 (int) sizeof(text[0]), (char *) text[0],
                 (int) sizeof(text[1]), (char *) text[1]);

    ak_mem_wipe(keys, sizeof(keys));
    ak_mem_wipe(text, sizeof(text));

    if (n < 0 || n >= AK_KEYRING_TEXT_MAX) {
        return AK_ERROR;
    }

    *len = (size_t) n;

    return AK_OK;
}


size_t
ak_keyring_masters(const ak_keyring_t *k)
{
    return k->nmasters;
}


const uint8_t *
ak_keyring_kid(const ak_keyring_t *k, size_t n)
{
    return k->masters[n].kid;
}


ak_gcm_t *
ak_keyring_opener(const ak_keyring_t *k, const uint8_t kid[AK_KID_LEN])
{
    size_t  i;

    for (i = 0; i < k->nmasters; i++) {
        if (memcmp(k->masters[i].kid, kid, AK_KID_LEN) == 0) {
            return k->masters[i].opener;
        }
    }

    return NULL;
}


ak_gcm_t *
ak_keyring_sealer(const ak_keyring_t *k, uint8_t kid[AK_KID_LEN])
{
    if (k->sealer != NULL) {
        memcpy(kid, k->masters[0].kid, AK_KID_LEN);
    }

    return k->sealer;
}


ak_hmac_t *
ak_keyring_pepper(const ak_keyring_t *k)
{
    return k->pepper;
}
