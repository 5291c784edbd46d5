
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_KEY_H_INCLUDED_
#define _CTL_KEY_H_INCLUDED_


#include "ctl_print.h"
#include "ctl_redis.h"


/* What the commands of "key" share. */

/* The name of a record in the store: dst has room for AK_STORE_KEY_MAX. */

ctl_status_e ctl_key_place(ctl_t *ctl, ak_str_t id, uint8_t *dst,
    ak_str_t *key);

/* A record as it is shown, without its hash; printed as lines. */

json_t *ctl_key_object(ak_str_t id, const ak_record_t *rec);
void ctl_key_print_object(const json_t *object);


#endif /* _CTL_KEY_H_INCLUDED_ */
