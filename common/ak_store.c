
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <limits.h>

#include "ak_file.h"
#include "ak_key.h"
#include "ak_mem.h"
#include "ak_store.h"
#include "ak_time.h"


#define AK_STORE_PORT          6379
#define AK_STORE_TIMEOUT       1000       /* milliseconds */
#define AK_STORE_TIMEOUT_MAX   3600000
#define AK_STORE_HOST_MAX      253        /* RFC 1035, 2.3.4, as text */
#define AK_STORE_PATH_MAX      107        /* of sockaddr_un.sun_path */
#define AK_FILE_PATH_MAX       1023
#define AK_STORE_PREFIX_MAX    64
#define AK_STORE_PROVIDER_MAX  64
#define AK_STORE_FILE_MAX      4096       /* bytes of a password file */


typedef enum {
    AK_STORE_PASSWORD_FILE = 0,
    AK_STORE_USER,
    AK_STORE_DB,
    AK_STORE_PREFIX,
    AK_STORE_CONNECT_TIMEOUT,
    AK_STORE_COMMAND_TIMEOUT,
    AK_STORE_OPTIONS
} ak_store_option_e;


typedef struct {
    ak_store_conf_t  *conf;
    bool              given[AK_STORE_OPTIONS];
    ak_diag_t        *diag;
} ak_store_parser_t;


static ak_rc_t ak_store_url(ak_store_parser_t *p, ak_str_t url);
static ak_rc_t ak_store_url_unix(ak_store_parser_t *p, ak_str_t path);
static ak_rc_t ak_store_url_file(ak_store_parser_t *p, ak_str_t path);
static ak_rc_t ak_store_url_redis(ak_store_parser_t *p, ak_str_t rest);
static ak_rc_t ak_store_url_unknown(ak_store_parser_t *p, ak_str_t url);
static ak_rc_t ak_store_address(ak_store_parser_t *p, ak_str_t rest);
static ak_rc_t ak_store_host(ak_store_parser_t *p, ak_str_t host, bool v6);
static ak_rc_t ak_store_option(ak_store_parser_t *p, ak_str_t word);
static ak_rc_t ak_store_option_unknown(ak_store_parser_t *p, ak_str_t name);
static ak_rc_t ak_store_user(ak_store_parser_t *p, ak_str_t user);
static ak_rc_t ak_store_db(ak_store_parser_t *p, ak_str_t text);
static ak_rc_t ak_store_prefix(ak_store_parser_t *p, ak_str_t prefix);
static ak_rc_t ak_store_timeout(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, unsigned *ms);
static bool ak_store_find(ak_str_t s, uint8_t c, size_t *pos);
static ak_str_t ak_store_from(ak_str_t s, size_t pos);
static bool ak_store_number(ak_str_t s, unsigned max, unsigned *value);
static bool ak_store_visible(ak_str_t s);
static bool ak_store_provider_valid(ak_str_t s);
static ak_rc_t ak_store_join(const ak_str_t *parts, size_t n, uint8_t *dst,
    ak_str_t *key);


static const ak_str_t  ak_store_options[] = {
    ak_string("password_file"),
    ak_string("user"),
    ak_string("db"),
    ak_string("prefix"),
    ak_string("connect_timeout"),
    ak_string("timeout")
};


/* What the language of stores has, and this version does not. */

static const ak_str_t  ak_store_later[] = {
    ak_string("sentinel"),
    ak_string("cluster"),
    ak_string("ssl_trusted_certificate"),
    ak_string("ssl_name"),
    ak_string("ssl_verify"),
    ak_string("ssl_certificate"),
    ak_string("ssl_certificate_key"),
    ak_string("ssl_protocols"),
    ak_string("ssl_ciphers")
};


ak_rc_t
ak_store_conf_parse(ak_store_conf_t *conf, const ak_str_t *words, size_t n,
    ak_diag_t *d)
{
    size_t             i;
    ak_store_parser_t  p;

    memset(conf, 0, sizeof(ak_store_conf_t));
    memset(&p, 0, sizeof(ak_store_parser_t));

    conf->type = AK_STORE_REDIS;
    conf->prefix = ak_literal("apikey:");
    conf->connect_timeout = AK_STORE_TIMEOUT;
    conf->timeout = AK_STORE_TIMEOUT;

    p.conf = conf;
    p.diag = d;

    if (n == 0 || words[0].len == 0) {
        return ak_diag(d, "the store's URL is missing, such as "
                       "\"redis://127.0.0.1:6379\"");
    }

    if (ak_store_url(&p, words[0]) != AK_OK) {
        return AK_ERROR;
    }

    if (conf->type == AK_STORE_FILE && n > 1) {
        return ak_diag(d, "a store \"file:\" takes no options, such as "
                       "\"%.*s\"", AK_FMT(words[1]));
    }

    for (i = 1; i < n; i++) {

        if (ak_store_option(&p, words[i]) != AK_OK) {
            return AK_ERROR;
        }
    }

    if (conf->user.len > 0 && conf->password_file.len == 0) {
        return ak_diag(d, "a user of the store needs \"password_file=\"");
    }

    return AK_OK;
}


static ak_rc_t
ak_store_url(ak_store_parser_t *p, ak_str_t url)
{
    static const ak_str_t  tcp = ak_string("redis://");
    static const ak_str_t  local = ak_string("redis+unix:");
    static const ak_str_t  file = ak_string("file:");

    if (ak_str_starts(url, tcp)) {
        return ak_store_url_redis(p, ak_store_from(url, tcp.len));
    }

    if (ak_str_starts(url, local)) {
        return ak_store_url_unix(p, ak_store_from(url, local.len));
    }

    if (ak_str_starts(url, file)) {
        return ak_store_url_file(p, ak_store_from(url, file.len));
    }

    return ak_store_url_unknown(p, url);
}


/* The rest of the URL may hold a password: only constants are shown. */

static ak_rc_t
ak_store_url_unknown(ak_store_parser_t *p, ak_str_t url)
{
    size_t                 i;
    static const ak_str_t  later[] = {
        ak_string("rediss:")
    };

    for (i = 0; i < ak_nitems(later); i++) {

        if (ak_str_starts(url, later[i])) {
            return ak_diag(p->diag, "a store \"%.*s\" is not supported by "
                           "this version", AK_FMT(later[i]));
        }
    }

    return ak_diag(p->diag, "the store's URL must begin with "
                   "\"redis://\", \"redis+unix:\" or \"file:\"");
}


static ak_rc_t
ak_store_url_unix(ak_store_parser_t *p, ak_str_t path)
{
    /* "redis+unix:///run/redis.sock" is what many will write */

    if (ak_str_starts(path, ak_literal("///"))) {
        path = ak_store_from(path, 2);

    } else if (ak_str_starts(path, ak_literal("//"))) {
        return ak_diag(p->diag, "\"redis+unix:\" has no host, only a path");
    }

    if (path.len < 2 || path.data[0] != '/') {
        return ak_diag(p->diag, "\"redis+unix:\" needs the path of a socket "
                       "that begins with \"/\"");
    }

    if (path.len > AK_STORE_PATH_MAX || memchr(path.data, 0, path.len) != NULL)
    {
        return ak_diag(p->diag, "the path in \"redis+unix:\" is longer than "
                       "%d bytes, or holds a zero byte", AK_STORE_PATH_MAX);
    }

    p->conf->path = path;

    return AK_OK;
}


/* "file:///var/lib/keys" is what many will write */

static ak_rc_t
ak_store_url_file(ak_store_parser_t *p, ak_str_t path)
{
    if (ak_str_starts(path, ak_literal("///"))) {
        path = ak_store_from(path, 2);
    }

    if (path.len == 0 || path.len > AK_FILE_PATH_MAX
        || memchr(path.data, 0, path.len) != NULL)
    {
        return ak_diag(p->diag, "\"file:\" needs the path of a file, of at "
                       "most %d bytes", AK_FILE_PATH_MAX);
    }

    p->conf->type = AK_STORE_FILE;
    p->conf->path = path;

    return AK_OK;
}


static ak_rc_t
ak_store_url_redis(ak_store_parser_t *p, ak_str_t rest)
{
    size_t    i, at;
    ak_str_t  user;

    /* the last "@" ends it: a password may hold others */

    for (at = rest.len; at > 0; at--) {

        if (rest.data[at - 1] == '@') {
            break;
        }
    }

    if (at > 0) {
        user = ak_str(rest.data, at - 1);

        if (ak_store_find(user, ':', &i)) {
            return ak_diag(p->diag, "a password in the store's URL is read by "
                           "too many, use \"password_file=\"");
        }

        if (ak_store_user(p, user) != AK_OK) {
            return AK_ERROR;
        }

        p->given[AK_STORE_USER] = true;
        rest = ak_store_from(rest, at);
    }

    if (ak_store_find(rest, '?', &i)) {
        return ak_diag(p->diag, "options of a store are words after its URL, "
                       "not \"?...\" in it");
    }

    if (ak_store_find(rest, '/', &i)) {

        if (i + 1 < rest.len) {

            if (ak_store_db(p, ak_store_from(rest, i + 1)) != AK_OK) {
                return AK_ERROR;
            }

            p->given[AK_STORE_DB] = true;
        }

        rest.len = i;
    }

    return ak_store_address(p, rest);
}


/* RFC 3986, 3.2.2: an IPv6 address stands in brackets. */

static ak_rc_t
ak_store_address(ak_store_parser_t *p, ak_str_t rest)
{
    bool      v6;
    size_t    end;
    ak_str_t  host, port;

    if (ak_store_find(rest, ',', &end)) {
        return ak_diag(p->diag, "several hosts in the store's URL are not "
                       "supported by this version");
    }

    v6 = rest.len > 0 && rest.data[0] == '[';

    if (v6) {

        if (!ak_store_find(rest, ']', &end)) {
            return ak_diag(p->diag, "\"[\" in the store's URL has no \"]\"");
        }

        host = ak_str(rest.data + 1, end - 1);
        port = ak_store_from(rest, end + 1);

    } else {

        if (!ak_store_find(rest, ':', &end)) {
            end = rest.len;
        }

        host = ak_str(rest.data, end);
        port = ak_store_from(rest, end);

        if (port.len > 0
            && ak_store_find(ak_store_from(port, 1), ':', &end))
        {
            return ak_diag(p->diag, "an IPv6 address in the store's URL must "
                           "stand in brackets, as in \"redis://[::1]:6379\"");
        }
    }

    p->conf->port = AK_STORE_PORT;

    if (port.len > 0
        && (port.data[0] != ':'
            || !ak_store_number(ak_store_from(port, 1), 65535,
                                &p->conf->port)
            || p->conf->port == 0))
    {
        return ak_diag(p->diag, "the port in the store's URL must be 1 to "
                       "65535");
    }

    return ak_store_host(p, host, v6);
}


static ak_rc_t
ak_store_host(ak_store_parser_t *p, ak_str_t host, bool v6)
{
    bool     ok;
    size_t   i;
    uint8_t  c;

    if (host.len == 0) {
        return ak_diag(p->diag, "the host in the store's URL is missing");
    }

    if (host.len > AK_STORE_HOST_MAX) {
        return ak_diag(p->diag, "the host in the store's URL is longer than "
                       "%d bytes", AK_STORE_HOST_MAX);
    }

    for (i = 0; i < host.len; i++) {
        c = host.data[i];

        if (v6) {
            ok = (c >= '0' && c <= '9') || c == ':' || c == '.'
                 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');

        } else {
            ok = (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'
                 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        }

        if (!ok) {
            return ak_diag(p->diag, "the host in the store's URL is no name "
                           "and no address");
        }
    }

    p->conf->host = host;

    return AK_OK;
}


static ak_rc_t
ak_store_option(ak_store_parser_t *p, ak_str_t word)
{
    size_t            end;
    ak_str_t          name, value;
    ak_store_conf_t  *conf;
    unsigned          i;

    conf = p->conf;

    if (!ak_store_find(word, '=', &end)) {
        return ak_store_option_unknown(p, word);
    }

    name = ak_str(word.data, end);
    value = ak_store_from(word, end + 1);

    for (i = 0; i < AK_STORE_OPTIONS; i++) {

        if (ak_str_eq(name, ak_store_options[i])) {
            break;
        }
    }

    if (i == AK_STORE_OPTIONS) {
        return ak_store_option_unknown(p, name);
    }

    if (p->given[i]) {
        return ak_diag(p->diag, "\"%.*s\" of the store is given twice",
                       AK_FMT(name));
    }

    p->given[i] = true;

    switch ((ak_store_option_e) i) {

    case AK_STORE_USER:
        return ak_store_user(p, value);

    case AK_STORE_DB:
        return ak_store_db(p, value);

    case AK_STORE_PREFIX:
        return ak_store_prefix(p, value);

    case AK_STORE_CONNECT_TIMEOUT:
        return ak_store_timeout(p, name, value, &conf->connect_timeout);

    case AK_STORE_COMMAND_TIMEOUT:
        return ak_store_timeout(p, name, value, &conf->timeout);

    default: /* AK_STORE_PASSWORD_FILE */

        if (value.len == 0 || memchr(value.data, 0, value.len) != NULL) {
            return ak_diag(p->diag, "\"password_file=\" needs a path");
        }

        conf->password_file = value;

        return AK_OK;
    }
}


/* Only the name is shown: the value of a mistyped one may be a secret. */

static ak_rc_t
ak_store_option_unknown(ak_store_parser_t *p, ak_str_t name)
{
    size_t  i;

    for (i = 0; i < ak_nitems(ak_store_later); i++) {

        if (ak_str_eq(name, ak_store_later[i])) {
            return ak_diag(p->diag, "\"%.*s\" of a store is not supported by "
                           "this version", AK_FMT(name));
        }
    }

    for (i = 0; i < AK_STORE_OPTIONS; i++) {

        if (ak_str_eq(name, ak_store_options[i])) {
            return ak_diag(p->diag, "\"%.*s\" of the store needs a value",
                           AK_FMT(name));
        }
    }

    if (ak_str_eq(name, ak_literal("password"))) {
        return ak_diag(p->diag, "a password among the store's options is read "
                       "by too many, use \"password_file=\"");
    }

    /* what has letters of a value is none of a name */

    for (i = 0; i < name.len; i++) {

        if ((name.data[i] < 'a' || name.data[i] > 'z') && name.data[i] != '_')
        {
            return ak_diag(p->diag, "a word after the store's URL is no "
                           "option");
        }
    }

    return ak_diag(p->diag, "unknown option \"%.*s\" of the store",
                   AK_FMT(name));
}


static ak_rc_t
ak_store_user(ak_store_parser_t *p, ak_str_t user)
{
    if (user.len == 0 || user.len > AK_NAME_MAX || !ak_store_visible(user)) {
        return ak_diag(p->diag, "the user of the store must be 1 to %d "
                       "visible ASCII characters", AK_NAME_MAX);
    }

    p->conf->user = user;

    return AK_OK;
}


static ak_rc_t
ak_store_db(ak_store_parser_t *p, ak_str_t text)
{
    if (!ak_store_number(text, INT_MAX, &p->conf->db)) {
        return ak_diag(p->diag, "the database of the store must be a number "
                       "from 0 on");
    }

    return AK_OK;
}


/* The glob letters of SCAN and KEYS would match more than the prefix. */

static ak_rc_t
ak_store_prefix(ak_store_parser_t *p, ak_str_t prefix)
{
    size_t  i;

    if (prefix.len == 0 || prefix.len > AK_STORE_PREFIX_MAX
        || !ak_store_visible(prefix))
    {
        return ak_diag(p->diag, "\"prefix=\" of the store must be 1 to %d "
                       "visible ASCII characters", AK_STORE_PREFIX_MAX);
    }

    for (i = 0; i < prefix.len; i++) {

        if (strchr("*?[]\\^", prefix.data[i]) != NULL) {
            return ak_diag(p->diag, "\"prefix=\" of the store must not hold "
                           "any of * ? [ ] \\ ^");
        }
    }

    p->conf->prefix = prefix;

    return AK_OK;
}


static ak_rc_t
ak_store_timeout(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    unsigned *ms)
{
    int64_t  span;

    if (ak_time_span(value, &span) != AK_OK || span < 1
        || span > AK_STORE_TIMEOUT_MAX)
    {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be a time from "
                       "\"1ms\" to \"1h\"", AK_FMT(name));
    }

    *ms = (unsigned) span;

    return AK_OK;
}


static bool
ak_store_find(ak_str_t s, uint8_t c, size_t *pos)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] == c) {
            *pos = i;
            return true;
        }
    }

    return false;
}


static ak_str_t
ak_store_from(ak_str_t s, size_t pos)
{
    return ak_str(s.data + pos, s.len - pos);
}


static bool
ak_store_number(ak_str_t s, unsigned max, unsigned *value)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }

        n = n * 10 + (s.data[i] - '0');

        if (n > max) {
            return false;
        }
    }

    *value = (unsigned) n;

    return s.len > 0;
}


static bool
ak_store_visible(ak_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] <= ' ' || s.data[i] > '~') {
            return false;
        }
    }

    return true;
}


ak_rc_t
ak_store_password(const char *path, uint8_t *dst, size_t *len, ak_diag_t *d)
{
    size_t   n, end;
    ak_rc_t  rc;
    uint8_t  text[AK_STORE_FILE_MAX];

    *len = 0;

    if (ak_file_secret(path, text, sizeof(text), &n, d) != AK_OK) {
        return AK_ERROR;
    }

    if (!ak_store_find(ak_str(text, n), '\n', &end)) {
        end = n;
    }

    if (end > 0 && text[end - 1] == '\r') {
        end--;
    }

    if (end == 0) {
        rc = ak_diag(d, "\"%s\" has no password in its first line", path);

    } else if (end > AK_PASSWORD_MAX) {
        rc = ak_diag(d, "the password in \"%s\" is longer than %d bytes",
                     path, AK_PASSWORD_MAX);

    } else {
        memcpy(dst, text, end);
        *len = end;
        rc = AK_OK;
    }

    ak_mem_wipe(text, sizeof(text));

    return rc;
}


ak_rc_t
ak_store_record_key(const ak_store_conf_t *conf, ak_str_t id, uint8_t *dst,
    ak_str_t *key)
{
    ak_str_t  parts[3];

    if (!ak_key_id_valid(id)) {
        return AK_ERROR;
    }

    parts[0] = conf->prefix;
    parts[1] = ak_literal("key:");
    parts[2] = id;

    return ak_store_join(parts, 3, dst, key);
}


ak_rc_t
ak_store_mark_key(const ak_store_conf_t *conf, ak_str_t name, uint8_t *dst,
    ak_str_t *key)
{
    ak_str_t  parts[2];

    parts[0] = conf->prefix;
    parts[1] = name;

    return ak_store_join(parts, 2, dst, key);
}


ak_rc_t
ak_store_usage_key(const ak_store_conf_t *conf, ak_str_t id, uint8_t *dst,
    ak_str_t *key)
{
    ak_str_t  prefix, parts[4];

    prefix = conf->prefix;

    if (prefix.len == 0 || !ak_key_id_valid(id)) {
        return AK_ERROR;
    }

    if (prefix.data[prefix.len - 1] == ':') {
        parts[0] = ak_str(prefix.data, prefix.len - 1);
        parts[1] = ak_literal("-usage:");
        parts[2] = id;

        return ak_store_join(parts, 3, dst, key);
    }

    parts[0] = (prefix.data[0] == '-') ? ak_literal("usage:")
                                       : ak_literal("-usage:");
    parts[1] = prefix;
    parts[2] = ak_literal(":");
    parts[3] = id;

    return ak_store_join(parts, 4, dst, key);
}


/*
 * An owner may hold ":" and a provider may not: the last ":" parts them, and
 * no two pairs have one key.
 */

ak_rc_t
ak_store_tokens_key(const ak_store_conf_t *conf, ak_str_t owner,
    ak_str_t provider, uint8_t *dst, ak_str_t *key)
{
    ak_str_t  parts[5];

    if (!ak_str_eq(owner, ak_literal("*")) && !ak_name_valid(owner)) {
        return AK_ERROR;
    }

    if (!ak_store_provider_valid(provider)) {
        return AK_ERROR;
    }

    parts[0] = conf->prefix;
    parts[1] = ak_literal("upstream:");
    parts[2] = owner;
    parts[3] = ak_literal(":");
    parts[4] = provider;

    return ak_store_join(parts, 5, dst, key);
}


static bool
ak_store_provider_valid(ak_str_t s)
{
    size_t   i;
    uint8_t  c;

    if (s.len == 0 || s.len > AK_STORE_PROVIDER_MAX) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if ((c < '0' || c > '9') && ((c | 0x20) < 'a' || (c | 0x20) > 'z')
            && c != '-' && c != '_' && c != '.')
        {
            return false;
        }
    }

    return true;
}


static ak_rc_t
ak_store_join(const ak_str_t *parts, size_t n, uint8_t *dst, ak_str_t *key)
{
    size_t  i, len;

    len = 0;

    for (i = 0; i < n; i++) {

        if (parts[i].len > AK_STORE_KEY_MAX - len) {
            return AK_ERROR;
        }

        if (parts[i].len > 0) {
            memcpy(dst + len, parts[i].data, parts[i].len);
            len += parts[i].len;
        }
    }

    *key = ak_str(dst, len);

    return AK_OK;
}


ak_rc_t
ak_store_fields(const ak_reply_t *reply, ak_field_t *fields, size_t max,
    size_t *n)
{
    size_t             i;
    const ak_reply_t  *name, *value;

    *n = 0;

    if (reply == NULL) {
        return AK_UNAVAILABLE;
    }

    if (reply->type == AK_REPLY_ERROR) {
        return ak_str_starts(reply->str, ak_literal("WRONGTYPE "))
               ? AK_ERROR : AK_UNAVAILABLE;
    }

    if (reply->type != AK_REPLY_ARRAY || reply->n % 2 != 0
        || reply->n / 2 > max)
    {
        return AK_ERROR;
    }

    if (reply->n == 0) {
        return AK_NOT_FOUND;
    }

    for (i = 0; i < reply->n; i += 2) {
        name = reply->elements[i];
        value = reply->elements[i + 1];

        if (name->type != AK_REPLY_STRING || value->type != AK_REPLY_STRING) {
            return AK_ERROR;
        }

        fields[i / 2].name = name->str;
        fields[i / 2].value = value->str;
    }

    *n = reply->n / 2;

    return AK_OK;
}


ak_rc_t
ak_store_text(const ak_reply_t *reply, ak_str_t *text)
{
    *text = ak_str(NULL, 0);

    if (reply == NULL) {
        return AK_UNAVAILABLE;
    }

    switch (reply->type) {

    case AK_REPLY_STRING:
        *text = reply->str;
        return AK_OK;

    case AK_REPLY_NIL:
        return AK_NOT_FOUND;

    case AK_REPLY_ERROR:
        return ak_str_starts(reply->str, ak_literal("WRONGTYPE "))
               ? AK_ERROR : AK_UNAVAILABLE;

    default:
        return AK_ERROR;
    }
}


/* Digits alone, at most 18 of them; anything else is 0. */

static int64_t
ak_store_count(ak_str_t s)
{
    size_t   i;
    int64_t  n;

    n = 0;

    if (s.len > 18) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }

        n = n * 10 + (s.data[i] - '0');
    }

    return n;
}


ak_rc_t
ak_store_usage(const ak_reply_t *reply, ak_usage_t *usage)
{
    size_t      i, n;
    ak_rc_t     rc;
    ak_field_t  fields[AK_USAGE_FIELDS_MAX];

    memset(usage, 0, sizeof(ak_usage_t));

    rc = ak_store_fields(reply, fields, AK_USAGE_FIELDS_MAX, &n);

    if (rc != AK_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        if (ak_str_eq(fields[i].name, ak_literal(AK_USAGE_REQUESTS))) {
            usage->requests = ak_store_count(fields[i].value);

        } else if (ak_str_eq(fields[i].name,
                             ak_literal(AK_USAGE_LAST_USED)))
        {
            usage->last_used = ak_store_count(fields[i].value);
        }
    }

    return AK_OK;
}
