
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <arpa/inet.h>

#include "ak_rules.h"


/* What remains of an octet that was encoded twice; see ak_route_plain(). */

static const ak_str_t  ak_route_encoded[] = {
    ak_string("2e"), ak_string("2f"), ak_string("3b"), ak_string("5c"),
    ak_string("00")
};


/* The first 12 bytes of an IPv6 address that is mapped from IPv4. */

static const uint8_t  ak_cidr_mapped[] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};


static bool
ak_rules_separates(uint8_t ch)
{
    return ch == ' ' || ch == ',';
}


bool
ak_rules_next(ak_str_t *list, ak_str_t *item)
{
    size_t  i;

    while (list->len != 0 && ak_rules_separates(list->data[0])) {
        list->data++;
        list->len--;
    }

    for (i = 0; i < list->len && !ak_rules_separates(list->data[i]); i++) {
        /* void */
    }

    if (i == 0) {
        return false;
    }

    *item = ak_str(list->data, i);

    list->data += i;
    list->len -= i;

    return true;
}


static ak_rc_t
ak_rules_empty(ak_diag_t *d)
{
    return ak_diag(d, "the list has no item");
}


static bool
ak_rules_control(uint8_t ch)
{
    return ch < 0x20 || ch == 0x7f;
}


ak_rc_t
ak_scope_check(ak_str_t scope, ak_diag_t *d)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < scope.len; i++) {
        ch = scope.data[i];

        if (ch <= 0x20 || ch >= 0x7f || ch == '"' || ch == '\\' || ch == ',') {
            return ak_diag(d, "\"%.*s\" is no scope: it must be visible ASCII "
                           "without quotes, backslashes and commas",
                           AK_FMT(scope));
        }
    }

    if (scope.len == 0 || scope.len > AK_SCOPE_MAX) {
        return ak_diag(d, "\"%.*s\" is no scope: it must have 1 to %d bytes",
                       AK_FMT(scope), AK_SCOPE_MAX);
    }

    return AK_OK;
}


ak_rc_t
ak_scopes_check(ak_str_t list, ak_diag_t *d)
{
    size_t    n;
    ak_str_t  item;

    for (n = 0; ak_rules_next(&list, &item); n++) {
        if (ak_scope_check(item, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return (n != 0) ? AK_OK : ak_rules_empty(d);
}


bool
ak_scopes_hold(ak_str_t list, ak_str_t scope)
{
    ak_str_t  item;

    while (ak_rules_next(&list, &item)) {
        if (ak_str_eq(item, scope) || ak_str_eq(item, ak_literal("*"))) {
            return true;
        }
    }

    return false;
}


/* Whether some segment is "." or "..", its parameters aside. */

static bool
ak_route_dots(ak_str_t path)
{
    size_t  i, end;

    for (i = 0; i < path.len; i++) {

        if (path.data[i] != '/') {
            continue;
        }

        for (end = i + 1; end < path.len && path.data[end] == '.'; end++) {
            /* void */
        }

        if (end - i - 1 != 1 && end - i - 1 != 2) {
            continue;
        }

        if (end == path.len || path.data[end] == '/' || path.data[end] == ';')
        {
            return true;
        }
    }

    return false;
}


/* Why a path is none of a route; NULL: it is one. */

static const char *
ak_route_fault(ak_str_t path)
{
    size_t   i;
    uint8_t  ch;

    if (path.len == 0 || path.data[0] != '/') {
        return "its path must begin with \"/\"";
    }

    for (i = 0; i < path.len; i++) {
        ch = path.data[i];

        if (ak_rules_control(ch)) {
            return "its path holds a control character";
        }

        if (ak_rules_separates(ch)) {
            return "its path holds a space or a comma, which separate routes";
        }

        if (strchr("?#*", ch) != NULL) {
            return "its path holds \"?\", \"#\" or \"*\"; it is a plain "
                   "path, not a pattern or a URL";
        }

        if (ch == '%') {
            return "its path holds \"%\"; it is matched after decoding";
        }

        if (ch == '\\') {
            return "its path holds a backslash";
        }

        if (ch == '/' && i + 1 < path.len && path.data[i + 1] == '/') {
            return "its path holds \"//\"";
        }
    }

    if (ak_route_dots(path)) {
        return "its path holds a segment \".\" or \"..\"";
    }

    return NULL;
}


/* Takes the next of "GET|POST" off; an empty one too. */

static ak_str_t
ak_route_method(ak_str_t *methods)
{
    size_t    i;
    ak_str_t  method;

    for (i = 0; i < methods->len && methods->data[i] != '|'; i++) {
        /* void */
    }

    method = ak_str(methods->data, i);

    methods->data += i;
    methods->len -= i;

    return method;
}


static bool
ak_route_methods_valid(ak_str_t methods)
{
    size_t    i;
    uint8_t   ch;
    ak_str_t  method;

    for ( ;; ) {
        method = ak_route_method(&methods);

        for (i = 0; i < method.len; i++) {
            ch = method.data[i];

            if (!((ch >= 'A' && ch <= 'Z') || ch == '-' || ch == '_')) {
                return false;
            }
        }

        if (method.len == 0) {
            return false;
        }

        if (methods.len == 0) {
            return true;
        }

        methods.data++;
        methods.len--;
    }
}


ak_rc_t
ak_route_parse(ak_str_t item, ak_route_t *route, ak_diag_t *d)
{
    const char     *fault;
    const uint8_t  *colon;

    route->methods = ak_str(NULL, 0);
    route->path = item;

    /* a ":" behind the first "/" is the path's */

    if (item.len != 0 && item.data[0] != '/') {

        colon = memchr(item.data, ':', item.len);

        if (colon != NULL) {
            route->methods = ak_str(item.data, (size_t) (colon - item.data));
            route->path = ak_str(colon + 1,
                                 item.len - route->methods.len - 1);

            if (!ak_route_methods_valid(route->methods)) {
                return ak_diag(d, "\"%.*s\" is no route: before the \":\" "
                               "there must be methods in capitals, as "
                               "\"GET|POST\"", AK_FMT(item));
            }
        }
    }

    fault = ak_route_fault(route->path);

    if (fault != NULL) {
        return ak_diag(d, "\"%.*s\" is no route: %s", AK_FMT(item), fault);
    }

    return AK_OK;
}


ak_rc_t
ak_routes_check(ak_str_t list, ak_diag_t *d)
{
    size_t      n;
    ak_str_t    item;
    ak_route_t  route;

    for (n = 0; ak_rules_next(&list, &item); n++) {
        if (ak_route_parse(item, &route, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return (n != 0) ? AK_OK : ak_rules_empty(d);
}


static bool
ak_route_match_method(ak_str_t methods, ak_str_t method)
{
    ak_str_t  one;

    if (methods.len == 0) {
        return true;
    }

    for ( ;; ) {
        one = ak_route_method(&methods);

        if (ak_str_eq(one, method)) {
            return true;
        }

        if (ak_str_eq(one, ak_literal("GET"))
            && ak_str_eq(method, ak_literal("HEAD")))
        {
            return true;
        }

        if (methods.len == 0) {
            return false;
        }

        methods.data++;
        methods.len--;
    }
}


bool
ak_route_match(const ak_route_t *route, ak_str_t method, ak_str_t path)
{
    if (!ak_str_starts(path, route->path)) {
        return false;
    }

    /* "/v1/models" is not for "/v1/models-x" */

    if (path.len != route->path.len
        && path.data[route->path.len] != '/'
        && route->path.data[route->path.len - 1] != '/')
    {
        return false;
    }

    return ak_route_match_method(route->methods, method);
}


ak_rc_t
ak_routes_match(ak_str_t list, ak_str_t method, ak_str_t path)
{
    bool        matched;
    size_t      n;
    ak_str_t    item;
    ak_route_t  route;

    matched = false;

    for (n = 0; ak_rules_next(&list, &item); n++) {

        if (ak_route_parse(item, &route, NULL) != AK_OK) {
            return AK_ERROR;
        }

        matched = matched || ak_route_match(&route, method, path);
    }

    if (n == 0) {
        return AK_ERROR;
    }

    return matched ? AK_OK : AK_DENIED;
}


static bool
ak_route_encoded_twice(const uint8_t *hex)
{
    size_t   i;
    uint8_t  low[2];

    /* what else becomes one of these digits is a control byte */

    low[0] = hex[0] | 0x20;
    low[1] = hex[1] | 0x20;

    for (i = 0; i < ak_nitems(ak_route_encoded); i++) {
        if (memcmp(low, ak_route_encoded[i].data, 2) == 0) {
            return true;
        }
    }

    return false;
}


bool
ak_route_plain(ak_str_t path)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < path.len; i++) {
        ch = path.data[i];

        if (ak_rules_control(ch) || ch == '\\') {
            return false;
        }

        if (ch == '%' && path.len - i > 2
            && ak_route_encoded_twice(path.data + i + 1))
        {
            return false;
        }
    }

    return !ak_route_dots(path);
}


/* Bits beyond the prefix, cleared; false: there were none. */

static bool
ak_cidr_mask(ak_cidr_t *c)
{
    bool      found;
    uint8_t   mask;
    unsigned  i;

    found = false;

    for (i = c->prefix / 8; i < c->len; i++) {

        mask = (i == c->prefix / 8u) ? (uint8_t) (0xff00 >> c->prefix % 8) : 0;

        if (c->address[i] & ~mask) {
            found = true;
            c->address[i] &= mask;
        }
    }

    return found;
}


static bool
ak_cidr_prefix(ak_str_t digits, ak_cidr_t *c)
{
    size_t    i;
    unsigned  n;

    if (digits.len == 0 || digits.len > 3
        || (digits.len != 1 && digits.data[0] == '0'))
    {
        return false;
    }

    n = 0;

    for (i = 0; i < digits.len; i++) {

        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return false;
        }

        n = n * 10 + (digits.data[i] - '0');
    }

    if (n > c->len * 8u) {
        return false;
    }

    c->prefix = (uint8_t) n;

    return true;
}


static bool
ak_cidr_address(ak_str_t s, ak_cidr_t *c)
{
    char  text[INET6_ADDRSTRLEN];

    /* a zero byte would end the text before its end */

    if (s.len == 0 || s.len >= sizeof(text)
        || memchr(s.data, '\0', s.len) != NULL)
    {
        return false;
    }

    memcpy(text, s.data, s.len);
    text[s.len] = '\0';

    if (inet_pton(AF_INET, text, c->address) == 1) {
        c->len = 4;

    } else if (inet_pton(AF_INET6, text, c->address) == 1) {
        c->len = 16;

    } else {
        return false;
    }

    c->prefix = (uint8_t) (c->len * 8);

    return true;
}


static ak_rc_t
ak_cidr_host_bits(ak_str_t item, const ak_cidr_t *c, ak_diag_t *d)
{
    char  text[INET6_ADDRSTRLEN];

    text[0] = '\0';

    (void) inet_ntop(c->len == 4 ? AF_INET : AF_INET6, c->address, text,
                     sizeof(text));

    return ak_diag(d, "\"%.*s\" is no network: it has bits beyond its prefix; "
                   "that network is \"%s/%u\"", AK_FMT(item), text,
                   c->prefix);
}


ak_rc_t
ak_cidr_parse(ak_str_t item, ak_cidr_t *cidr, ak_diag_t *d)
{
    ak_str_t        address;
    const uint8_t  *slash;

    slash = (item.len == 0) ? NULL : memchr(item.data, '/', item.len);

    address = ak_str(item.data, slash == NULL ? item.len
                                              : (size_t) (slash - item.data));

    memset(cidr, 0, sizeof(ak_cidr_t));

    if (!ak_cidr_address(address, cidr)) {
        return ak_diag(d, "\"%.*s\" is no network: it must be an IP address "
                       "or as \"192.0.2.0/24\" or \"2001:db8::/32\"",
                       AK_FMT(item));
    }

    if (slash != NULL
        && !ak_cidr_prefix(ak_str(slash + 1, item.len - address.len - 1),
                           cidr))
    {
        return ak_diag(d, "\"%.*s\" is no network: its prefix must be a "
                       "number from 0 to %u", AK_FMT(item), cidr->len * 8u);
    }

    if (ak_cidr_mask(cidr)) {
        return ak_cidr_host_bits(item, cidr, d);
    }

    /* without bits beyond it, the prefix of a mapped one is 96 or more */

    if (cidr->len == 16
        && memcmp(cidr->address, ak_cidr_mapped, sizeof(ak_cidr_mapped)) == 0)
    {
        memmove(cidr->address, cidr->address + 12, 4);
        memset(cidr->address + 4, 0, 12);
        cidr->len = 4;
        cidr->prefix = (uint8_t) (cidr->prefix - 96);
    }

    return AK_OK;
}


ak_rc_t
ak_cidrs_check(ak_str_t list, ak_diag_t *d)
{
    size_t     n;
    ak_str_t   item;
    ak_cidr_t  cidr;

    for (n = 0; ak_rules_next(&list, &item); n++) {
        if (ak_cidr_parse(item, &cidr, d) != AK_OK) {
            return AK_ERROR;
        }
    }

    return (n != 0) ? AK_OK : ak_rules_empty(d);
}


bool
ak_cidr_match(const ak_cidr_t *cidr, ak_str_t address)
{
    uint8_t   mask;
    unsigned  bytes;

    if (address.len == 16
        && memcmp(address.data, ak_cidr_mapped, sizeof(ak_cidr_mapped)) == 0)
    {
        address = ak_str(address.data + 12, 4);
    }

    if (address.len != cidr->len) {
        return false;
    }

    bytes = cidr->prefix / 8;

    if (memcmp(address.data, cidr->address, bytes) != 0) {
        return false;
    }

    if (bytes == cidr->len) {
        return true;
    }

    mask = (uint8_t) (0xff00 >> cidr->prefix % 8);

    return (address.data[bytes] & mask) == cidr->address[bytes];
}


ak_rc_t
ak_cidrs_match(ak_str_t list, ak_str_t address)
{
    bool       matched;
    size_t     n;
    ak_str_t   item;
    ak_cidr_t  cidr;

    matched = false;

    for (n = 0; ak_rules_next(&list, &item); n++) {

        if (ak_cidr_parse(item, &cidr, NULL) != AK_OK) {
            return AK_ERROR;
        }

        matched = matched || ak_cidr_match(&cidr, address);
    }

    if (n == 0) {
        return AK_ERROR;
    }

    return matched ? AK_OK : AK_DENIED;
}
