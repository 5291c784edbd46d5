
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_VIEW_H_INCLUDED_
#define _AK_VIEW_H_INCLUDED_


#include "ak.h"


/*
 * How the library sees a request.  What it is given is the host's and lives as
 * long as the transaction.
 */

typedef struct {
    ak_str_t  name;
    ak_str_t  value;
} ak_field_t;


typedef enum {
    AK_VIEW_METHOD = 0,        /* "GET" */
    AK_VIEW_PATH,              /* decoded and normalised, as locations see it */
    AK_VIEW_QUERY,             /* as it was sent, without the "?" */
    AK_VIEW_ADDRESS,           /* the client's: 4 or 16 bytes, network order;
                                  none for a unix socket */
    AK_VIEW_ADDRESS_TEXT,
    AK_VIEW_REQUEST_ID
} ak_view_e;


typedef struct {

    /*
     * The headers of which ak_strip_header() says that they must not be
     * forwarded, as they were received, names in lower case.
     */

    const ak_field_t  *carried;
    unsigned           ncarried;

    /*
     * Any other header: the n-th (from 0) value of the one called name, which
     * is in lower case with '-'; a received '_' counts as '-'.  False: there
     * is no such one.
     */

    bool             (*header)(void *host, ak_str_t name, unsigned n,
                               ak_str_t *value);

    /* False: there is no such thing in this request. */

    bool             (*get)(void *host, ak_view_e what, ak_str_t *value);

    /*
     * A variable of the proxy, of those that ak_site_t's variable() took; or
     * NULL.  False: it has no value in this request.
     */

    bool             (*variable)(void *host, ak_str_t name, ak_str_t *value);

    void              *host;
} ak_view_t;


/* Whether a received name, in lower case, is "name"; '_' counts as '-'. */

bool ak_view_same_name(ak_str_t received, ak_str_t name);

/* Whether s can be the name of a header: a token, RFC 9110, 5.6.2. */

bool ak_view_token(ak_str_t s);


#endif /* _AK_VIEW_H_INCLUDED_ */
