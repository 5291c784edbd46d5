
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_PROVIDERS_H_INCLUDED_
#define _AK_PROVIDERS_H_INCLUDED_


#include "ak_provider.h"
#include "ak_strip.h"


/*
 * The providers that a configuration adds to the table, by blocks
 *
 *     apikey_provider NAME {
 *         header   NAME;
 *         scheme   WORD;
 *         since    HEADER=DATE header=NAME [scheme=WORD];
 *         set      HEADER VALUE;
 *         refused  STATUS... [text=MARK];
 *     }
 *
 * A block may come after what uses its provider (ak_site_provider()).  Names
 * of the built-in table are not to be had: sealed keys are bound to the name
 * of their provider, and it means the same wherever they are used.
 */

typedef struct ak_own_provider_s  ak_own_provider_t;

struct ak_own_provider_s {
    ak_provider_t       provider;      /* first */
    bool                defined;       /* by a block; else it was only used */

    ak_str_t            stack;         /* of the first use, and its line */
    unsigned            line;
    void               *where;         /* the host's: of that, and then of
                                          the block */

    ak_str_t            lowcase[2];    /* the headers that carry keys */
    size_t              nrefused;
    ak_refusal_t        refused[AK_REFUSALS_MAX + 1];
    ak_fixed_t          fixed[AK_FIXED_MAX];
    ak_own_provider_t  *next;
};


/* All zero: there are none. */

typedef struct {
    ak_own_provider_t  *first;
} ak_providers_t;


#define AK_HEADER_MAX    128   /* bytes of the name of a header */
#define AK_SCHEME_MAX    32
#define AK_FIXED_VALUE   512   /* bytes at most */
#define AK_MARK_MAX      128


/* A built-in one, or one of a block; NULL: there is none of that name. */

const ak_provider_t *ak_providers_named(const ak_providers_t *own,
    ak_str_t name);

/*
 * The first one, "from" it on, that was used and has no block; NULL: all have.
 * The diagnostic says who used it; "where" is the host's to add.
 */

const ak_own_provider_t *ak_providers_missing(const ak_own_provider_t *from,
    ak_diag_t *d);

/*
 * Begins a block, takes its statements (n words before ";", at least one),
 * and ends it.
 * Words are copied to mem.
 * AK_ERROR: the diagnostic names the word; the configuration is of no use.
 */

ak_own_provider_t *ak_provider_begin(ak_providers_t *own, ak_str_t name,
    ak_mem_t *mem, ak_diag_t *d);
ak_rc_t ak_provider_line(ak_own_provider_t *p, const ak_str_t *words,
    size_t n, ak_mem_t *mem, ak_diag_t *d);
ak_rc_t ak_provider_end(ak_own_provider_t *p, ak_diag_t *d);

/*
 * Adds the headers that carry keys to what clients may not send.
 * AK_NO_MEMORY.
 */

ak_rc_t ak_providers_strip(const ak_providers_t *own, ak_strip_t *strip);

/*
 * The first one that puts in a header which a line of some stack writes an
 * identity to: the upstream would get it twice.  NULL: there is none.
 */

const ak_own_provider_t *ak_providers_clash(const ak_providers_t *own,
    const ak_strip_t *strip, ak_diag_t *d);

/* Whether it is, itself, the value of a fixed header of some provider. */

bool ak_providers_fixed(const ak_providers_t *own, const uint8_t *value);


#endif /* _AK_PROVIDERS_H_INCLUDED_ */
