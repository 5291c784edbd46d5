
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _AK_MODULES_H_INCLUDED_
#define _AK_MODULES_H_INCLUDED_


#include "ak_stack.h"


extern const ak_module_t  ak_mod_key;
extern const ak_module_t  ak_mod_inject;


#endif /* _AK_MODULES_H_INCLUDED_ */
