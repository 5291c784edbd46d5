
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_SENTINEL_H_INCLUDED_
#define _AK_SENTINEL_H_INCLUDED_


#include "ak_resp.h"


/*
 * What clients ask of Redis Sentinel, after
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */

#define AK_SENTINEL_CHANNEL  "+switch-master"


/*
 * The reply to SENTINEL GET-MASTER-ADDR-BY-NAME.  host is a view of it.
 * AK_NOT_FOUND: this sentinel knows no such master.  AK_UNAVAILABLE: no reply,
 * or an error.  AK_ERROR: a reply of another shape.
 */

ak_rc_t ak_sentinel_address(const ak_reply_t *reply, ak_str_t *host,
    unsigned *port);

/*
 * The payload of a message of the channel, "NAME OLDHOST OLDPORT HOST PORT".
 * host is a view of it.  AK_NOT_FOUND: it is of another master.  AK_ERROR: a
 * payload of another shape.
 */

ak_rc_t ak_sentinel_switch(ak_str_t payload, ak_str_t name, ak_str_t *host,
    unsigned *port);

/*
 * The reply to ROLE: AK_OK of a master, AK_NOT_FOUND of anything else,
 * AK_UNAVAILABLE: no reply or an error (a user may lack the right).
 */

ak_rc_t ak_sentinel_role(const ak_reply_t *reply);


#endif /* _AK_SENTINEL_H_INCLUDED_ */
