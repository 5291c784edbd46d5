
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_STRIP_H_INCLUDED_
#define _AK_STRIP_H_INCLUDED_


#include "ak_cred.h"


/*
 * What must not pass: the parts of a request that can carry a credential, or
 * that claim an identity.  A set is made at configuration time, of the headers
 * that carry credentials anywhere (see ak_strip.c) and what the lines of the
 * configuration's stacks add; what one of them uses is removed wherever the
 * host forwards a request that it guards.
 */

typedef struct ak_strip_s  ak_strip_t;

/* In mem, with the headers of the built-in list; NULL: no memory. */

ak_strip_t *ak_strip_create(ak_mem_t *mem);

/*
 * A header that claims an identity, and what may carry a credential.  Names
 * are not copied.  AK_NO_MEMORY.
 */

ak_rc_t ak_strip_add_header(ak_strip_t *s, ak_str_t lowcase);
ak_rc_t ak_strip_add_carriers(ak_strip_t *s, const ak_carriers_t *carriers);

/*
 * Whether a header is to be removed; the name in lower case, a '_' counts as
 * '-'.
 */

bool ak_strip_header(const ak_strip_t *s, ak_str_t lowcase);

/* The same of those that claim an identity alone. */

bool ak_strip_identity(const ak_strip_t *s, ak_str_t lowcase);

/*
 * Whether the set holds query arguments, cookies or subprotocols at all, and
 * what is left of the value of each: at most its own length is written to dst,
 * *len is set; false: nothing was to be removed.
 */

bool ak_strip_has(const ak_strip_t *s, ak_carrier_e type);
bool ak_strip_value(const ak_strip_t *s, ak_carrier_e type, ak_str_t value,
    uint8_t *dst, size_t *len);


#endif /* _AK_STRIP_H_INCLUDED_ */
