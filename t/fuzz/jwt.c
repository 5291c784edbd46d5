
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes tokens and sets of keys.  The first byte says which: a token that is
 * verified with a fixed secret and read whether it verifies or not, a set, or
 * a text in PEM.  With FUZZ_ONLY it is 0, 1 or 2 for all.
 */


#include <stddef.h>
#include <stdlib.h>

#include "ak_claim.h"
#include "ak_jwt.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
fuzz_alloc(void *data, size_t size)
{
    struct {
        void         *next;
        max_align_t   data[];
    }      *chunk;
    void  **chunks;

    chunks = data;

    chunk = malloc(sizeof(*chunk) + size);
    chunk->next = *chunks;
    *chunks = chunk;

    return chunk->data;
}


static void
fuzz_token(ak_str_t token)
{
    bool             missing;
    void            *chunks = NULL, *next;
    ak_mem_t         mem = { fuzz_alloc, &chunks };
    ak_str_t         claim;
    ak_jwt_t         jwt;
    ak_diag_t        d;
    ak_jwks_t       *set;
    ak_jwt_times_t   times;
    ak_jwt_rules_t   rules;
    const ak_jwk_t  *by;

    memset(&rules, 0, sizeof(ak_jwt_rules_t));

    set = ak_jwks_secret(ak_literal("a secret of 32 bytes, just so it is"),
                         &d);

    if (ak_jwt_parse(&jwt, token, &mem, &d) == AK_SUCCESS) {

        if (ak_jwt_verify(&jwt, &rules, set, &by, &missing, &d) == AK_SUCCESS
            && jwt.signature.len != jwt.alg->size)
        {
            abort();
        }

        if (ak_jwt_claims(&jwt, &rules, &mem, &times, &d) == AK_SUCCESS) {
            (void) ak_jwt_now(&times, &rules, 1700000000, &d);
            (void) ak_json_path(jwt.claims, ak_literal("a.b.c"));
            (void) ak_claim(jwt.text, ak_literal("a__b"), &mem, &claim);
            (void) ak_claim(jwt.text, ak_literal("sub"), &mem, &claim);
        }
    }

    ak_jwt_free(&jwt);
    ak_jwks_free(set);

    while (chunks != NULL) {
        next = *(void **) chunks;
        free(chunks);
        chunks = next;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ak_str_t    text;
    ak_diag_t   d;
    unsigned    skipped;
    ak_jwks_t  *set;

    if (size == 0) {
        return 0;
    }

    text = ak_str(data + 1, size - 1);

#ifdef FUZZ_ONLY
    switch (FUZZ_ONLY) {
#else
    switch (data[0] % 3) {
#endif

    case 0:
        fuzz_token(text);
        return 0;

    case 1:
        set = ak_jwks_parse(text, true, &skipped, &d);
        break;

    default:
        set = ak_jwks_pem(text, &d);
        break;
    }

    if (set != NULL && ak_jwks_at(set, 0) == NULL) {
        abort();
    }

    ak_jwks_free(set);

    return 0;
}
