
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_PROVIDER_H_INCLUDED_
#define _AK_PROVIDER_H_INCLUDED_


#include "ak_cred.h"


/* THE provider table: which header carries a provider's key. */

typedef struct {
    ak_str_t  header;          /* as it is sent */
    ak_str_t  scheme;          /* before the key: "Bearer ", or "" */
} ak_carriage_t;


/*
 * A provider with two conventions tells them apart by the date in a version
 * header that its clients send: from "since" on, newer holds.  A request
 * without the header follows the carrier that the client itself used.
 */

/*
 * An answer by which a provider says that a key will not do.  With a mark only
 * where the body's beginning has it: a status that other faults have too.
 */

typedef struct {
    unsigned  status;          /* 0: the end of the list */
    ak_str_t  mark;            /* len 0: the status is enough */
} ak_refusal_t;


typedef struct {
    ak_str_t       name;
    ak_carriage_t  carriage;
    ak_str_t       version;    /* header, lower case; len 0: one convention */
    ak_str_t       since;
    ak_carriage_t  newer;

    const ak_refusal_t  *refused;      /* ends with status 0; NULL: none */
} ak_provider_t;


/* NULL: there is no such provider. */

const ak_provider_t *ak_provider_find(ak_str_t name);

/* The n-th provider, NULL after the last. */

const ak_provider_t *ak_provider_at(size_t n);

/* How this request's key is to be carried. */

const ak_carriage_t *ak_provider_carriage(const ak_provider_t *p,
    const ak_view_t *view, const ak_cred_t *cred);

/* Whether that answer refuses the key for good. */

bool ak_provider_refuses(const ak_provider_t *p, unsigned status,
    ak_str_t body);

/* Whether it takes a body to tell. */

bool ak_provider_marks(const ak_provider_t *p, unsigned status);


#endif /* _AK_PROVIDER_H_INCLUDED_ */
