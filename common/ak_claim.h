
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CLAIM_H_INCLUDED_
#define _AK_CLAIM_H_INCLUDED_


#include "ak_mem.h"


/*
 * A claim of a verified token (the JSON text of all of them) as text for
 * a header, a variable or a log, in memory of mem: a string as it is, a number
 * and true or false as JSON has them, a list of strings and numbers with
 * commas between, anything else as JSON.
 *
 * The path is the name of a claim, or names of members with "." between them;
 * where there is no such one, "__" is taken for "." and a name in another case
 * will do, if it is the only one: the names of nginx's variables have no dots
 * and no capitals.
 *
 * AK_NOT_FOUND: there is no such claim, it is null, or it has a control
 * character, which headers and logs cannot carry.  AK_NO_MEMORY.
 */

ak_rc_t ak_claim(ak_str_t claims, ak_str_t path, ak_mem_t *mem,
    ak_str_t *value);


#endif /* _AK_CLAIM_H_INCLUDED_ */
