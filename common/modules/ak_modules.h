
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _AK_MODULES_H_INCLUDED_
#define _AK_MODULES_H_INCLUDED_


#include "ak_stack.h"


extern const ak_module_t  ak_mod_anonymous;
extern const ak_module_t  ak_mod_audit;
extern const ak_module_t  ak_mod_debug;
extern const ak_module_t  ak_mod_deny;
extern const ak_module_t  ak_mod_identity;
extern const ak_module_t  ak_mod_inject;
extern const ak_module_t  ak_mod_ip;
extern const ak_module_t  ak_mod_jwt;
extern const ak_module_t  ak_mod_key;
extern const ak_module_t  ak_mod_rate;
extern const ak_module_t  ak_mod_route;
extern const ak_module_t  ak_mod_scope;
extern const ak_module_t  ak_mod_static;


#endif /* _AK_MODULES_H_INCLUDED_ */
