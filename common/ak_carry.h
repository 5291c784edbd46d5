
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CARRY_H_INCLUDED_
#define _AK_CARRY_H_INCLUDED_


#include "ak_txn.h"


/*
 * How a provider's key gets into the forwarded request: the header that
 * carries it, with its scheme, and the provider's fixed headers.
 */

typedef struct {
    const ak_provider_t  *provider;
    ak_str_t              header;
    ak_str_t              value;       /* with the scheme; a secret */
    uint8_t              *key;
} ak_carry_t;


/*
 * Memory for a key of len bytes, at c->key, which is the transaction's last
 * secret: where the key cannot be had, ak_txn_secret_drop() gives it back.
 * AK_NO_MEMORY; AK_ERROR: the request cannot take so many headers.  Either says
 * why in t->trouble.
 */

ak_rc_t ak_carry_begin(ak_txn_t *t, const ak_provider_t *p, size_t len,
    ak_carry_t *c);

/* The key is at c->key: stages what carries it. */

ak_rc_t ak_carry_end(ak_txn_t *t, const ak_carry_t *c);


#endif /* _AK_CARRY_H_INCLUDED_ */
