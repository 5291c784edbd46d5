
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_JSON_H_INCLUDED_
#define _AK_JSON_H_INCLUDED_


#include <jansson.h>

#include "ak.h"


/*
 * JSON of others, read strictly: RFC 8259, UTF-8, no member twice (RFC 8725,
 * 2.6, and RFC 7515, 4), no NUL in a string, nothing behind the value, and not
 * nested deeper than AK_JSON_DEPTH_MAX.  NULL: it is not that.
 */

#define AK_JSON_DEPTH_MAX  16

json_t *ak_json_object(ak_str_t text);

/* A member that is a string, as a view of it; data is NULL where it is not. */

ak_str_t ak_json_text(const json_t *object, const char *name);

/*
 * A member by its path, "resource_access.account": first as one name, then
 * as members of members.  NULL: there is none.
 */

const json_t *ak_json_path(const json_t *object, ak_str_t path);


#endif /* _AK_JSON_H_INCLUDED_ */
