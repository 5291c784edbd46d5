
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

typedef struct {
    ak_str_t       name;
    ak_carriage_t  carriage;
    ak_str_t       version;    /* header, lower case; len 0: one convention */
    ak_str_t       since;
    ak_carriage_t  newer;
} ak_provider_t;


/* NULL: there is no such provider. */

const ak_provider_t *ak_provider_find(ak_str_t name);

/* The n-th provider, NULL after the last. */

const ak_provider_t *ak_provider_at(size_t n);

/* How this request's key is to be carried. */

const ak_carriage_t *ak_provider_carriage(const ak_provider_t *p,
    const ak_view_t *view, const ak_cred_t *cred);


#endif /* _AK_PROVIDER_H_INCLUDED_ */
