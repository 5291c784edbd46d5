
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_IMPORT_H_INCLUDED_
#define _AK_IMPORT_H_INCLUDED_


#include "ak_crypt.h"


/*
 * Provider keys as other applications have sealed them:
 *
 *   lmnr            XChaCha20-Poly1305-IETF; nonce and ciphertext with tag in
 *                   hex, two columns; the associated data is the name of the
 *                   key, as in OPENAI_API_KEY; the key is 64 hex digits
 *   intern3-gcm     base64(nonce[12] ciphertext tag[16]), AES-256-GCM; the
 *                   secret is decoded as atob() does, and repeated or cut
 *                   to 32 bytes
 *   intern3-cbc     hex(iv[16]):hex(ciphertext), AES-256-CBC with PKCS#7; the
 *                   key is 64 hex digits
 *   lobechat-vault  hex(nonce[12]):hex(tag[16]):hex(ciphertext), AES-256-GCM;
 *                   the secret is base64 of 32 bytes
 *
 * CBC authenticates nothing.  What it opens must be visible ASCII; beyond that
 * nobody can tell whether it was changed.
 */

typedef enum {
    AK_IMPORT_LMNR = 0,
    AK_IMPORT_INTERN3_GCM,
    AK_IMPORT_INTERN3_CBC,
    AK_IMPORT_LOBECHAT_VAULT
} ak_import_form_e;


typedef enum {
    AK_IMPORT_OK = 0,
    AK_IMPORT_KEY_MISSING,     /* the application's secret is not given */
    AK_IMPORT_KEY_LENGTH,      /* it is of another length */
    AK_IMPORT_AUTH_FAILED,     /* another key or name, or it was changed */
    AK_IMPORT_BAD_NONCE,       /* the nonce is missing or of another length */
    AK_IMPORT_BAD_ENCODING,    /* this is no hex, base64, or not its form */
    AK_IMPORT_CLASSES
} ak_import_e;


typedef struct {
    ak_import_form_e  form;
    uint8_t           key[AK_GCM_KEY_LEN];     /* the caller wipes it */
} ak_import_key_t;


/* What is in a row; nonce and name are of lmnr alone. */

typedef struct {
    ak_str_t  value;
    ak_str_t  nonce;
    ak_str_t  name;
} ak_import_sealed_t;


/* The class in the words that are told: "authentication failed". */

const char *ak_import_class(ak_import_e class);

/*
 * Reads the secret of an application, as its environment has it; white space
 * at the ends is nothing.  The rest of the classes but a missing key, a wrong
 * length and a bad encoding cannot be.  On failure k->key is wiped.
 */

ak_import_e ak_import_key(ak_import_key_t *k, ak_import_form_e form,
    ak_str_t text);

/*
 * Opens what was sealed: dst has room for sealed->value.len bytes, which the
 * caller wipes; *len is set.  A failure leaves nothing of the plaintext there.
 */

ak_import_e ak_import_open(const ak_import_key_t *k,
    const ak_import_sealed_t *sealed, uint8_t *dst, size_t *len);

/*
 * The provider that another application calls so, which may be the name of its
 * variable: "GEMINI_API_KEY", "azure", "openai".  len 0: none that is known.
 */

ak_str_t ak_import_provider(ak_str_t name);


#endif /* _AK_IMPORT_H_INCLUDED_ */
