
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_RENDER_H_INCLUDED_
#define _AK_RENDER_H_INCLUDED_


#include "ak_diag.h"
#include "ak_error.h"


#define AK_BODY_MAX   1024
#define AK_REALM_MAX  256


/*
 * The body of a denial as OpenAI's API writes it, JSON (RFC 8259), for
 * reasons that have a status.  Writes at most AK_BODY_MAX bytes to dst and
 * returns how many; the body depends on the reason alone.
 */

size_t ak_render_body(ak_reason_e reason, uint8_t *dst);

/*
 * The value of WWW-Authenticate (RFC 6750, section 3):
 * Bearer realm="...", error="invalid_token".  The realm becomes
 * a quoted-string (RFC 9110, section 5.6.4); dst has room for
 * AK_CHALLENGE_SIZE(realm.len) bytes; *len is set.
 * AK_ERROR: the realm is longer than AK_REALM_MAX or holds a control
 * character.
 */

#define AK_CHALLENGE_SIZE(n)  ((n) * 2 + 64)

ak_rc_t ak_render_challenge(ak_str_t realm, uint8_t *dst, size_t *len,
    ak_diag_t *d);


#endif /* _AK_RENDER_H_INCLUDED_ */
