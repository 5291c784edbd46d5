
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_RULES_H_INCLUDED_
#define _AK_RULES_H_INCLUDED_


#include "ak_diag.h"


/*
 * What a record and a line of a stack say of who may do what: scopes, routes
 * and networks.  The command checks with these what an operator writes into
 * a record, the modules "scope", "route" and "ip" read it back.
 *
 * A list is a text of items that are separated by spaces or commas, any number
 * of them.  A list without an item is an error: somebody meant to set a limit,
 * and what it was is lost.
 *
 * Nothing is copied: items, and what is parsed from them, point to the text.
 * Diagnostics name the item.
 */

/* Takes the next item off a list.  False: there is none left. */

bool ak_rules_next(ak_str_t *list, ak_str_t *item);


/*
 * A scope: 1 to AK_SCOPE_MAX bytes of what RFC 6749, 3.3, allows in
 * a scope-token (visible ASCII but '"' and '\'), and no comma.  In a record
 * "*" stands for all of them.
 */

#define AK_SCOPE_MAX  64

ak_rc_t ak_scope_check(ak_str_t scope, ak_diag_t *d);
ak_rc_t ak_scopes_check(ak_str_t list, ak_diag_t *d);

/* Whether a list, which ak_scopes_check() takes, holds a scope, or "*". */

bool ak_scopes_hold(ak_str_t list, ak_str_t scope);


/*
 * A route: "/path", or "GET:/path", or "GET|POST:/path".  Methods (RFC 9110,
 * 9.1) are in capitals, as nginx takes them: A to Z, "-" and "_"; HEAD is
 * allowed where GET is.  The path is that of a request after decoding and
 * normalisation (RFC 3986, 6.2.2); of another form it would match nothing, or
 * something else than it seems to, and is an error.
 */

typedef struct {
    ak_str_t  methods;         /* "GET|POST"; empty: any */
    ak_str_t  path;
} ak_route_t;

ak_rc_t ak_route_parse(ak_str_t item, ak_route_t *route, ak_diag_t *d);
ak_rc_t ak_routes_check(ak_str_t list, ak_diag_t *d);

/*
 * Whether a request is for a route: its path is the route's, or begins with it
 * and a "/".  A route that ends in "/" is for all that begins with it.
 */

bool ak_route_match(const ak_route_t *route, ak_str_t method, ak_str_t path);

/*
 * The same for a list.  AK_DENIED: no item matches; AK_ERROR: it cannot be
 * read, whatever some of its items say.
 */

ak_rc_t ak_routes_match(ak_str_t list, ak_str_t method, ak_str_t path);

/*
 * Whether a request's path, decoded and normalised, means the same to whoever
 * reads it next.  It does not where it holds
 *
 *     a backslash, which some take for a "/";
 *     a control byte, at which some stop;
 *     "%2e", "%2f", "%3b", "%5c" or "%00" in any case: it was encoded twice,
 *     and an upstream that decodes twice gets another path;
 *     a segment "." or "..", with or without parameters behind it ("..;x",
 *     RFC 3986, 3.3), which some drop before they resolve the segment.
 */

bool ak_route_plain(ak_str_t path);


/*
 * A network: "192.0.2.0/24", "2001:db8::/32" (RFC 4632, 3.1; RFC 4291, 2.3),
 * or a plain address.  Bits that are set beyond the prefix are an error.  IPv6
 * addresses that are mapped from IPv4 (RFC 4291, 2.5.5.2) are IPv4 addresses:
 * "::ffff:192.0.2.0/120" is "192.0.2.0/24", and no other IPv6 network has
 * IPv4 addresses, not even "::/0".
 */

typedef struct {
    uint8_t   address[16];     /* network order */
    uint8_t   len;             /* 4 or 16 bytes */
    uint8_t   prefix;          /* bits, 0 to 32 or 128 */
} ak_cidr_t;

ak_rc_t ak_cidr_parse(ak_str_t item, ak_cidr_t *cidr, ak_diag_t *d);
ak_rc_t ak_cidrs_check(ak_str_t list, ak_diag_t *d);

/*
 * Whether an address of 4 or 16 bytes in network order is in a network; what
 * has another length is in none.
 */

bool ak_cidr_match(const ak_cidr_t *cidr, ak_str_t address);

/* The same for a list; AK_DENIED and AK_ERROR as of ak_routes_match(). */

ak_rc_t ak_cidrs_match(ak_str_t list, ak_str_t address);


#endif /* _AK_RULES_H_INCLUDED_ */
