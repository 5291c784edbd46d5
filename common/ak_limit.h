
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_LIMIT_H_INCLUDED_
#define _AK_LIMIT_H_INCLUDED_


#include "ak_mem.h"
#include "ak_rate.h"
#include "ak_rules.h"


/*
 * How many attempts of one source may fail, and what becomes of one that is
 * over it.  The host keeps the buckets.
 */

typedef struct {
    ak_rate_t   failures;      /* of a source */
    ak_rate_t   lookups;       /* of a source that has no token of these, of
                                  what the cache does not know */
    ak_rate_t   total;         /* of all: look-ups of what is not there */
    bool        bounded;       /* there is a total */
    ak_cidr_t  *exempt;        /* networks that are not counted nor limited */
    size_t      n;
} ak_limit_t;


#define AK_LIMIT_LOOKUPS  100  /* at once, of a source that is over it */


/*
 * Reads "rate=10r/m [burst=N] [total=RATE|off] [exempt=CIDR,...]"; exempt may
 * be repeated.  The networks are of mem.
 * AK_ERROR: the diagnostic names the word.
 */

ak_rc_t ak_limit_parse(const ak_str_t *words, size_t n, ak_mem_t *mem,
    ak_limit_t *limit, ak_diag_t *d);

/*
 * Whether an address (see AK_VIEW_ADDRESS) is in one of the networks; what has
 * none, on a unix socket, is not.
 */

bool ak_limit_exempt(const ak_limit_t *limit, ak_str_t address);

/*
 * What counts as one source: an IPv4 address, also where it is mapped to IPv6
 * (RFC 4291, 2.5.5.2); of an IPv6 address the first 64 bits, which is the
 * least that a customer gets (RFC 6177, 2); what has no address is one.
 * Returns how many bytes, 4, 8 or 0, it has put into source.
 */

#define AK_LIMIT_SOURCE_MAX  8

size_t ak_limit_source(ak_str_t address, uint8_t *source);


#endif /* _AK_LIMIT_H_INCLUDED_ */
