
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_cred.h"


static const ak_carrier_t  ak_cred_default_list[] = {
    { AK_CARRIER_BEARER, ak_string("authorization") },
    { AK_CARRIER_HEADER, ak_string("x-api-key") }
};


const ak_carriers_t  ak_carriers_default = {
    ak_cred_default_list, ak_nitems(ak_cred_default_list)
};


/* Words of "from=" with a name behind them. */

typedef struct {
    ak_str_t      prefix;
    ak_carrier_e  type;
} ak_carrier_prefix_t;


static const ak_carrier_prefix_t  ak_carrier_prefixes[] = {
    { ak_string("query:"), AK_CARRIER_QUERY },
    { ak_string("cookie:"), AK_CARRIER_COOKIE },
    { ak_string("subprotocol:"), AK_CARRIER_SUBPROTOCOL }
};


static const ak_str_t  ak_cred_subprotocol =
    ak_string("openai-insecure-api-key.");


typedef struct {
    const ak_view_t  *view;
    ak_mem_t         *secret;
    ak_cred_t        *cred;
} ak_collect_t;


static uint8_t
ak_cred_lower(uint8_t ch)
{
    return (ch >= 'A' && ch <= 'Z') ? (uint8_t) (ch | 0x20) : ch;
}


static ak_rc_t
ak_carrier_parse(ak_str_t word, ak_carrier_t *c, ak_diag_t *d)
{
    size_t                      i;
    const ak_carrier_prefix_t  *p;

    c->type = AK_CARRIER_HEADER;
    c->name = word;

    if (ak_str_eq(word, ak_literal("subprotocol"))) {
        c->type = AK_CARRIER_SUBPROTOCOL;
        c->name = ak_cred_subprotocol;
        return AK_OK;
    }

    for (i = 0; i < ak_nitems(ak_carrier_prefixes); i++) {
        p = &ak_carrier_prefixes[i];

        if (ak_str_starts(word, p->prefix)) {
            c->type = p->type;
            c->name = ak_str(word.data + p->prefix.len,
                             word.len - p->prefix.len);
            break;
        }
    }

    /* not headers of these names: somebody forgot the ":NAME" */

    if (!ak_view_token(c->name)
        || (c->type == AK_CARRIER_HEADER
            && (ak_str_eq(word, ak_literal("query"))
                || ak_str_eq(word, ak_literal("cookie")))))
    {
        return ak_diag(d, "\"%.*s\" is no carrier: it must be a header, "
                       "query:NAME, cookie:NAME or subprotocol",
                       AK_FMT(word));
    }

    return AK_OK;
}


ak_rc_t
ak_carriers_parse(ak_str_t text, ak_mem_t *mem, ak_carriers_t *carriers,
    ak_diag_t *d)
{
    size_t         i, begin, n;
    uint8_t       *p;
    ak_carrier_t  *list, *c;

    list = mem->alloc(mem->data, AK_CARRIERS_MAX * sizeof(ak_carrier_t));
    p = mem->alloc(mem->data, text.len + 1);

    if (list == NULL || p == NULL) {
        return ak_diag(d, "there is no memory");
    }

    if (text.len != 0) {
        memcpy(p, text.data, text.len);
    }

    p[text.len] = ',';

    begin = 0;
    n = 0;

    for (i = 0; i <= text.len; i++) {

        if (p[i] != ',') {
            continue;
        }

        if (n == AK_CARRIERS_MAX) {
            return ak_diag(d, "\"from\" has more than %d carriers",
                           AK_CARRIERS_MAX);
        }

        c = &list[n++];

        if (ak_carrier_parse(ak_str(p + begin, i - begin), c, d) != AK_OK) {
            return AK_ERROR;
        }

        if (c->type == AK_CARRIER_HEADER) {

            for ( /* void */ ; begin < i; begin++) {
                p[begin] = ak_cred_lower(p[begin]);
            }

            if (ak_str_eq(c->name, ak_literal("authorization"))) {
                c->type = AK_CARRIER_BEARER;
            }
        }

        begin = i + 1;
    }

    carriers->list = list;
    carriers->n = n;

    return AK_OK;
}


static ak_str_t
ak_cred_trim(ak_str_t s)
{
    while (s.len != 0 && s.data[0] == ' ') {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && s.data[s.len - 1] == ' ') {
        s.len--;
    }

    return s;
}


/* What follows "Bearer"; false: the scheme is another one. */

static bool
ak_cred_bearer(ak_str_t *value)
{
    size_t                 i;
    static const ak_str_t  scheme = ak_string("bearer");

    if (value->len < scheme.len) {
        return false;
    }

    for (i = 0; i < scheme.len; i++) {
        if ((value->data[i] | 0x20) != scheme.data[i]) {
            return false;
        }
    }

    if (value->len != i && value->data[i] != ' ') {
        return false;
    }

    *value = ak_str(value->data + i, value->len - i);

    return true;
}


static int
ak_cred_hex(uint8_t ch)
{
    ch = ak_cred_lower(ch);

    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


/* The byte at *i, which is moved on; "%" that is followed by no hex is one. */

static uint8_t
ak_cred_decoded(ak_str_t s, size_t *i)
{
    int      hi, lo;
    uint8_t  ch;

    ch = s.data[(*i)++];

    if (ch == '+') {
        return ' ';
    }

    if (ch == '%' && s.len - *i >= 2) {
        hi = ak_cred_hex(s.data[*i]);
        lo = ak_cred_hex(s.data[*i + 1]);

        if (hi >= 0 && lo >= 0) {
            *i += 2;
            return (uint8_t) (hi << 4 | lo);
        }
    }

    return ch;
}


bool
ak_cred_same_name(ak_str_t sent, ak_str_t name)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < sent.len; n++) {
        if (n == name.len || ak_cred_decoded(sent, &i) != name.data[n]) {
            return false;
        }
    }

    return n == name.len;
}


/*
 * Eight bytes at a time: the top bit of each that is between lo and hi, where
 * none has that bit already.
 */

#define ak_cred_ones(n)  ((n) * (uint64_t) 0x0101010101010101u)

#define ak_cred_between(v, lo, hi)                                            \
    (((v) + ak_cred_ones(0x80u - (lo))) & ~((v) + ak_cred_ones(0x7fu - (hi))))


/* Letters, digits, "-", "_" and ".": base64url, and what is between parts. */

static uint64_t
ak_cred_not_compact(const uint8_t *p)
{
    uint64_t  v, good;

    memcpy(&v, p, 8);

    good = ak_cred_between(v | ak_cred_ones(0x20u), 'a', 'z')
           | ak_cred_between(v, '-', '.')
           | ak_cred_between(v, '0', '9')
           | ak_cred_between(v, '_', '_');

    return (~good | v) & ak_cred_ones(0x80u);
}


static unsigned
ak_cred_dots(ak_str_t value)
{
    unsigned        n;
    const uint8_t  *p, *last;

    p = value.data;
    last = value.data + value.len;

    for (n = 0; p < last && n <= 5; n++) {
        p = memchr(p, '.', (size_t) (last - p));

        if (p == NULL) {
            break;
        }

        p++;
    }

    return n;
}


/*
 * JWS has three parts and JWE five; both begin with a JSON object's "{" and
 * what may follow it.
 */

static bool
ak_cred_is_jwt(ak_str_t value)
{
    size_t    i;
    unsigned  dots;
    uint64_t  bad;

    if (!ak_str_starts(value, ak_literal("ey"))
        && !ak_str_starts(value, ak_literal("ew")))
    {
        return false;
    }

    dots = ak_cred_dots(value);

    if ((dots != 2 && dots != 4) || value.len < 8) {
        return false;
    }

    /* the last eight may be in the ones before them too */

    bad = ak_cred_not_compact(value.data + value.len - 8);

    for (i = 0; i + 8 < value.len; i += 8) {
        bad |= ak_cred_not_compact(value.data + i);
    }

    return bad == 0;
}


static ak_cred_kind_e
ak_cred_kind(ak_str_t value)
{
    if (ak_cred_is_jwt(value)) {
        return AK_CRED_JWT;
    }

    if (value.len < AK_KEY_MIN || value.len > AK_KEY_MAX
        || !ak_str_visible(value))
    {
        return AK_CRED_MALFORMED;
    }

    return AK_CRED_KEY;
}


static void
ak_collect_value(ak_collect_t *c, ak_carrier_e carrier, ak_str_t value)
{
    if (c->cred->carrier == AK_CARRIER_NONE) {
        c->cred->carrier = carrier;
        c->cred->value = value;

    } else if (!ak_str_eq(c->cred->value, value)) {
        c->cred->kind = AK_CRED_AMBIGUOUS;
    }
}


static void
ak_collect_header(ak_collect_t *c, const ak_carrier_t *carrier)
{
    ak_str_t           value;
    unsigned           i;
    const ak_field_t  *f;

    for (i = 0; i < c->view->ncarried; i++) {
        f = &c->view->carried[i];

        if (f->name.len != carrier->name.len
            || !ak_view_same_name(f->name, carrier->name))
        {
            continue;
        }

        value = f->value;

        if (carrier->type != AK_CARRIER_BEARER || ak_cred_bearer(&value)) {
            ak_collect_value(c, carrier->type, ak_cred_trim(value));
        }
    }
}


/* What is encoded is decoded to memory that is wiped; what is not, is not. */

static void
ak_collect_encoded(ak_collect_t *c, ak_carrier_e carrier, ak_str_t value)
{
    size_t    i;
    uint8_t  *p;
    ak_str_t  decoded;

    if (value.len == 0
        || (memchr(value.data, '%', value.len) == NULL
            && memchr(value.data, '+', value.len) == NULL))
    {
        ak_collect_value(c, carrier, value);
        return;
    }

    p = c->secret->alloc(c->secret->data, value.len);

    if (p == NULL) {
        c->cred->kind = AK_CRED_MALFORMED;
        return;
    }

    decoded = ak_str(p, 0);

    for (i = 0; i < value.len; decoded.len++) {
        p[decoded.len] = ak_cred_decoded(value, &i);
    }

    ak_collect_value(c, carrier, decoded);
}


static void
ak_collect_part(ak_collect_t *c, const ak_carrier_t *carrier, ak_str_t part)
{
    ak_str_t        name;
    const uint8_t  *eq;

    if (carrier->type == AK_CARRIER_SUBPROTOCOL) {

        part = ak_cred_trim(part);

        if (ak_str_starts(part, carrier->name)) {
            ak_collect_value(c, carrier->type,
                             ak_str(part.data + carrier->name.len,
                                    part.len - carrier->name.len));
        }

        return;
    }

    if (carrier->type == AK_CARRIER_COOKIE) {
        part = ak_cred_trim(part);
    }

    eq = (part.len == 0) ? NULL : memchr(part.data, '=', part.len);

    if (eq == NULL) {
        return;
    }

    name = ak_str(part.data, (size_t) (eq - part.data));
    part = ak_str(eq + 1, part.len - name.len - 1);

    if (carrier->type == AK_CARRIER_QUERY) {
        if (ak_cred_same_name(name, carrier->name)) {
            ak_collect_encoded(c, carrier->type, part);
        }

    } else if (ak_str_eq(name, carrier->name)) {
        ak_collect_value(c, carrier->type, part);
    }
}


static void
ak_collect_parts(ak_collect_t *c, const ak_carrier_t *carrier, ak_str_t value,
    uint8_t separator)
{
    const uint8_t  *end;

    while (value.len != 0) {

        end = memchr(value.data, separator, value.len);

        if (end == NULL) {
            ak_collect_part(c, carrier, value);
            return;
        }

        ak_collect_part(c, carrier,
                        ak_str(value.data, (size_t) (end - value.data)));

        value = ak_str(end + 1, (size_t) (value.data + value.len - (end + 1)));
    }
}


static void
ak_collect_carrier(ak_collect_t *c, const ak_carrier_t *carrier)
{
    bool              cookie;
    ak_str_t          value;
    unsigned          n;
    const ak_view_t  *view;

    view = c->view;

    switch (carrier->type) {

    case AK_CARRIER_BEARER:
    case AK_CARRIER_HEADER:
        ak_collect_header(c, carrier);
        return;

    case AK_CARRIER_QUERY:

        if (view->get(view->host, AK_VIEW_QUERY, &value)) {
            ak_collect_parts(c, carrier, value, '&');
        }

        return;

    default:
        break;
    }

    cookie = (carrier->type == AK_CARRIER_COOKIE);

    for (n = 0;
         view->header(view->host,
                      cookie ? ak_literal("cookie")
                             : ak_literal("sec-websocket-protocol"),
                      n, &value);
         n++)
    {
        ak_collect_parts(c, carrier, value, cookie ? ';' : ',');
    }
}


void
ak_cred_collect(const ak_view_t *view, const ak_carriers_t *carriers,
    ak_mem_t *secret, ak_cred_t *cred)
{
    size_t        i;
    ak_collect_t  c = { view, secret, cred };

    memset(cred, 0, sizeof(ak_cred_t));

    for (i = 0; i < carriers->n; i++) {
        ak_collect_carrier(&c, &carriers->list[i]);
    }

    if (cred->carrier != AK_CARRIER_NONE && cred->kind == AK_CRED_NONE) {
        cred->kind = ak_cred_kind(cred->value);
    }
}


ak_str_t
ak_cred_kind_name(ak_cred_kind_e kind)
{
    switch (kind) {

    case AK_CRED_KEY:
        return ak_literal("key");

    case AK_CRED_JWT:
        return ak_literal("jwt");

    default:
        return ak_literal("");
    }
}
