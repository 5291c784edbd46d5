
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_PROVIDER_H_INCLUDED_
#define _AK_PROVIDER_H_INCLUDED_


#include "ak_cred.h"


/* THE provider table: how a provider's key is carried, and what refuses it. */

typedef struct {
    ak_str_t  header;          /* as it is sent */
    ak_str_t  scheme;          /* before the key: "Bearer ", or "" */
} ak_carriage_t;


/*
 * An answer by which a provider says that a key will not do.  With a mark only
 * where the body's beginning has it: a status that other faults have too.
 */

typedef struct {
    unsigned  status;          /* 0: the end of the list */
    ak_str_t  mark;            /* len 0: the status is enough */
} ak_refusal_t;


/* A header that every request to the provider has, and no secret. */

typedef struct {
    ak_str_t  name;            /* as it is sent */
    ak_str_t  lowcase;
    ak_str_t  value;
} ak_fixed_t;


/*
 * A provider with two conventions tells them apart by the date in a version
 * header that its clients send: from "since" on, newer holds.  A request
 * without the header follows the carrier that the client itself used.
 */

typedef struct {
    ak_str_t             name;
    ak_carriage_t        carriage;
    ak_str_t             version;      /* header, lower case; len 0: one
                                          convention */
    ak_str_t             since;
    ak_carriage_t        newer;

    const ak_refusal_t  *refused;      /* ends with status 0; NULL: none */
    const ak_fixed_t    *fixed;
    size_t               nfixed;
} ak_provider_t;


#define AK_FIXED_MAX     8     /* headers of a provider */
#define AK_REFUSALS_MAX  16


/* A built-in one; NULL: there is no such provider. */

const ak_provider_t *ak_provider_find(ak_str_t name);

/* The n-th built-in one, NULL after the last. */

const ak_provider_t *ak_provider_at(size_t n);

/* How this request's key is to be carried. */

const ak_carriage_t *ak_provider_carriage(const ak_provider_t *p,
    const ak_view_t *view, const ak_cred_t *cred);

/* Whether that answer refuses the key for good. */

bool ak_provider_refuses(const ak_provider_t *p, unsigned status,
    ak_str_t body);

/* Whether it takes a body to tell. */

bool ak_provider_marks(const ak_provider_t *p, unsigned status);

/*
 * Whether s can be the name of a provider: 1 to AK_NAME_MAX of a-z, 0-9, ".",
 * "_" and "-", and not "off".
 */

bool ak_provider_name_valid(ak_str_t s);


#endif /* _AK_PROVIDER_H_INCLUDED_ */
