
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_TOKENS_H_INCLUDED_
#define _AK_TOKENS_H_INCLUDED_


#include "ak_record.h"
#include "ak_seal.h"


/*
 * The sealed tokens that one owner has for one provider: slot names with
 * tokens, packed for caches in the order of their names.  A token that cannot
 * be read stays in the set as a slot of no bytes, so that its owner is told of
 * a damaged key rather than of a missing one.
 */

#define AK_SLOTS_MAX  32


typedef struct {
    ak_str_t  name;
    ak_str_t  sealed;          /* binary, see ak_seal.h; len 0: damaged */
} ak_slot_t;


/*
 * Packs the fields of a store (slot, text of a token) into dst, which has room
 * for AK_VALUE_MAX bytes, and sets *len; *damaged counts the tokens that could
 * not be read.  AK_ERROR: beyond AK_SLOTS_MAX or AK_VALUE_MAX.
 */

ak_rc_t ak_tokens_pack(const ak_field_t *fields, size_t n, uint8_t *dst,
    size_t *len, unsigned *damaged);

/*
 * The slot at *pos, which starts at 0 and is moved on.  AK_NOT_FOUND: no more.
 * AK_ERROR: not what ak_tokens_pack() wrote.
 */

ak_rc_t ak_tokens_next(ak_str_t packed, size_t *pos, ak_slot_t *slot);

/* Whether s can be the name of a slot: [A-Za-z0-9._-], 1 to 64 of them. */

bool ak_slot_valid(ak_str_t s);


#endif /* _AK_TOKENS_H_INCLUDED_ */
