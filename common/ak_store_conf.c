
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <limits.h>

#include "ak_store_conf.h"
#include "ak_time.h"


#define AK_STORE_PORT           6379
#define AK_STORE_SENTINEL_PORT  26379
#define AK_STORE_TIMEOUT        1000       /* milliseconds */
#define AK_STORE_TIMEOUT_MAX    3600000
#define AK_STORE_HOST_MAX       253        /* RFC 1035, 2.3.4, as text */
#define AK_STORE_PATH_MAX       107        /* of sockaddr_un.sun_path */
#define AK_STORE_FILE_PATH_MAX  1023
#define AK_STORE_PREFIX_MAX     64
#define AK_STORE_SENTINEL_MAX   64
#define AK_STORE_CIPHERS_MAX    1024
#define AK_STORE_DEPTH          9
#define AK_STORE_DEPTH_MAX      100


typedef enum {
    AK_STORE_PASSWORD_FILE = 0,
    AK_STORE_USER,
    AK_STORE_DB,
    AK_STORE_PREFIX,
    AK_STORE_CONNECT_TIMEOUT,
    AK_STORE_COMMAND_TIMEOUT,
    AK_STORE_SENTINEL_NAME,
    AK_STORE_SENTINEL_USER,
    AK_STORE_SENTINEL_PASSWORD_FILE,
    AK_STORE_CLUSTER_WORD,
    AK_STORE_READ,
    AK_STORE_INVALIDATION,
    AK_STORE_SSL_FIRST,
    AK_STORE_SSL_TRUSTED = AK_STORE_SSL_FIRST,
    AK_STORE_SSL_NAME,
    AK_STORE_SSL_VERIFY,
    AK_STORE_SSL_VERIFY_DEPTH,
    AK_STORE_SSL_CERTIFICATE,
    AK_STORE_SSL_CERTIFICATE_KEY,
    AK_STORE_SSL_PROTOCOLS,
    AK_STORE_SSL_CIPHERS,
    AK_STORE_OPTIONS
} ak_store_option_e;


typedef struct {
    ak_store_conf_t  *conf;
    bool              given[AK_STORE_OPTIONS];
    ak_diag_t        *diag;
} ak_store_parser_t;


/* Takes the value of the option of that name to where it belongs. */

typedef ak_rc_t (*ak_store_set_pt)(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);


typedef struct {
    ak_str_t         name;
    ak_store_set_pt  set;              /* NULL: a word that has no value */
    size_t           offset;           /* of the field */
} ak_store_option_t;


static ak_rc_t ak_store_url(ak_store_parser_t *p, ak_str_t url);
static ak_rc_t ak_store_url_unix(ak_store_parser_t *p, ak_str_t path);
static ak_rc_t ak_store_url_file(ak_store_parser_t *p, ak_str_t path);
static ak_rc_t ak_store_url_redis(ak_store_parser_t *p, ak_str_t rest);
static ak_rc_t ak_store_hosts(ak_store_parser_t *p, ak_str_t rest);
static ak_rc_t ak_store_address(ak_store_parser_t *p, ak_str_t text);
static ak_rc_t ak_store_host(ak_store_parser_t *p, ak_str_t host, bool v6);
static bool ak_store_host_valid(ak_str_t host, bool v6);
static ak_rc_t ak_store_option(ak_store_parser_t *p, ak_str_t word);
static ak_rc_t ak_store_option_unknown(ak_store_parser_t *p, ak_str_t name);
static ak_rc_t ak_store_user(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_db(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_prefix(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_timeout(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_path(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_sentinel(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_read(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_switch(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_ssl_name(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_ssl_depth(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_ssl_protocols(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_ssl_ciphers(ak_store_parser_t *p, ak_str_t name,
    ak_str_t value, void *field);
static ak_rc_t ak_store_check(ak_store_parser_t *p);
static ak_rc_t ak_store_check_topology(ak_store_parser_t *p);
static ak_rc_t ak_store_check_hosts(ak_store_parser_t *p);
static ak_rc_t ak_store_check_ssl(ak_store_parser_t *p);
static bool ak_store_find(ak_str_t s, uint8_t c, size_t *pos);
static ak_str_t ak_store_from(ak_str_t s, size_t pos);
static bool ak_store_same(ak_str_t a, ak_str_t b);


#define ak_store_field(f)  offsetof(ak_store_conf_t, f)


static const ak_store_option_t  ak_store_options[] = {

    [AK_STORE_PASSWORD_FILE] =
        { ak_string("password_file"), ak_store_path,
          ak_store_field(password_file) },
    [AK_STORE_USER] =
        { ak_string("user"), ak_store_user, ak_store_field(user) },
    [AK_STORE_DB] =
        { ak_string("db"), ak_store_db, ak_store_field(db) },
    [AK_STORE_PREFIX] =
        { ak_string("prefix"), ak_store_prefix, ak_store_field(prefix) },
    [AK_STORE_CONNECT_TIMEOUT] =
        { ak_string("connect_timeout"), ak_store_timeout,
          ak_store_field(connect_timeout) },
    [AK_STORE_COMMAND_TIMEOUT] =
        { ak_string("timeout"), ak_store_timeout, ak_store_field(timeout) },
    [AK_STORE_SENTINEL_NAME] =
        { ak_string("sentinel"), ak_store_sentinel,
          ak_store_field(sentinel) },
    [AK_STORE_SENTINEL_USER] =
        { ak_string("sentinel_user"), ak_store_user,
          ak_store_field(sentinel_user) },
    [AK_STORE_SENTINEL_PASSWORD_FILE] =
        { ak_string("sentinel_password_file"), ak_store_path,
          ak_store_field(sentinel_password_file) },
    [AK_STORE_CLUSTER_WORD] =
        { ak_string("cluster"), NULL, 0 },
    [AK_STORE_READ] =
        { ak_string("read"), ak_store_read, ak_store_field(replicas) },
    [AK_STORE_INVALIDATION] =
        { ak_string("invalidation"), ak_store_switch,
          ak_store_field(invalidation) },
    [AK_STORE_SSL_TRUSTED] =
        { ak_string("ssl_trusted_certificate"), ak_store_path,
          ak_store_field(tls.trusted) },
    [AK_STORE_SSL_NAME] =
        { ak_string("ssl_name"), ak_store_ssl_name,
          ak_store_field(tls.name) },
    [AK_STORE_SSL_VERIFY] =
        { ak_string("ssl_verify"), ak_store_switch,
          ak_store_field(tls.verify) },
    [AK_STORE_SSL_VERIFY_DEPTH] =
        { ak_string("ssl_verify_depth"), ak_store_ssl_depth,
          ak_store_field(tls.depth) },
    [AK_STORE_SSL_CERTIFICATE] =
        { ak_string("ssl_certificate"), ak_store_path,
          ak_store_field(tls.certificate) },
    [AK_STORE_SSL_CERTIFICATE_KEY] =
        { ak_string("ssl_certificate_key"), ak_store_path,
          ak_store_field(tls.certificate_key) },
    [AK_STORE_SSL_PROTOCOLS] =
        { ak_string("ssl_protocols"), ak_store_ssl_protocols,
          ak_store_field(tls.protocols) },
    [AK_STORE_SSL_CIPHERS] =
        { ak_string("ssl_ciphers"), ak_store_ssl_ciphers,
          ak_store_field(tls.ciphers) }
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
    conf->invalidation = true;
    conf->tls.verify = true;
    conf->tls.depth = AK_STORE_DEPTH;
    conf->tls.protocols = AK_STORE_TLSV1_2 | AK_STORE_TLSV1_3;

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
        return ak_diag(d, "a store \"file:\" takes no options, but a word "
                       "follows its path");
    }

    for (i = 1; i < n; i++) {

        if (ak_store_option(&p, words[i]) != AK_OK) {
            return AK_ERROR;
        }
    }

    return ak_store_check(&p);
}


/* What is unknown is not shown: the rest of the URL may hold a password. */

static ak_rc_t
ak_store_url(ak_store_parser_t *p, ak_str_t url)
{
    static const ak_str_t  tcp = ak_string("redis://");
    static const ak_str_t  tls = ak_string("rediss://");
    static const ak_str_t  local = ak_string("redis+unix:");
    static const ak_str_t  file = ak_string("file:");

    if (ak_str_starts(url, tcp)) {
        return ak_store_url_redis(p, ak_store_from(url, tcp.len));
    }

    if (ak_str_starts(url, tls)) {
        p->conf->tls.on = true;
        return ak_store_url_redis(p, ak_store_from(url, tls.len));
    }

    if (ak_str_starts(url, local)) {
        return ak_store_url_unix(p, ak_store_from(url, local.len));
    }

    if (ak_str_starts(url, file)) {
        return ak_store_url_file(p, ak_store_from(url, file.len));
    }

    return ak_diag(p->diag, "the store's URL must begin with \"redis://\", "
                   "\"rediss://\", \"redis+unix:\" or \"file:\"");
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

    if (path.len == 0 || path.len > AK_STORE_FILE_PATH_MAX
        || memchr(path.data, 0, path.len) != NULL)
    {
        return ak_diag(p->diag, "\"file:\" needs the path of a file, of at "
                       "most %d bytes", AK_STORE_FILE_PATH_MAX);
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

        if (ak_store_user(p, ak_literal("user"), user, &p->conf->user)
            != AK_OK)
        {
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

            if (ak_store_db(p, ak_literal("db"), ak_store_from(rest, i + 1),
                            &p->conf->db)
                != AK_OK)
            {
                return AK_ERROR;
            }

            p->given[AK_STORE_DB] = true;
        }

        rest.len = i;
    }

    return ak_store_hosts(p, rest);
}


static ak_rc_t
ak_store_hosts(ak_store_parser_t *p, ak_str_t rest)
{
    bool    more;
    size_t  end;

    do {
        more = ak_store_find(rest, ',', &end);

        if (!more) {
            end = rest.len;
        }

        if (p->conf->nhosts == AK_STORE_HOSTS_MAX) {
            return ak_diag(p->diag, "the store's URL has more than %d hosts",
                           AK_STORE_HOSTS_MAX);
        }

        if (ak_store_address(p, ak_str(rest.data, end)) != AK_OK) {
            return AK_ERROR;
        }

        if (more) {
            rest = ak_store_from(rest, end + 1);
        }

    } while (more);

    return AK_OK;
}


/*
 * RFC 3986, 3.2.2: an IPv6 address stands in brackets.  A port that is not
 * given stays 0, since an option says which one is meant.
 */

static ak_rc_t
ak_store_address(ak_store_parser_t *p, ak_str_t text)
{
    bool      v6;
    size_t    end;
    unsigned  number;
    ak_str_t  host, port;

    v6 = text.len > 0 && text.data[0] == '[';

    if (v6) {

        if (!ak_store_find(text, ']', &end)) {
            return ak_diag(p->diag, "\"[\" in the store's URL has no \"]\"");
        }

        host = ak_str(text.data + 1, end - 1);
        port = ak_store_from(text, end + 1);

    } else {

        if (!ak_store_find(text, ':', &end)) {
            end = text.len;
        }

        host = ak_str(text.data, end);
        port = ak_store_from(text, end);

        if (port.len > 0
            && ak_store_find(ak_store_from(port, 1), ':', &end))
        {
            return ak_diag(p->diag, "an IPv6 address in the store's URL must "
                           "stand in brackets, as in \"redis://[::1]:6379\"");
        }
    }

    number = 0;

    if (port.len > 0
        && (port.data[0] != ':'
            || !ak_str_number(ak_store_from(port, 1), 65535, &number)
            || number == 0))
    {
        return ak_diag(p->diag, "the port in the store's URL must be 1 to "
                       "65535");
    }

    p->conf->hosts[p->conf->nhosts].port = number;

    return ak_store_host(p, host, v6);
}


static ak_rc_t
ak_store_host(ak_store_parser_t *p, ak_str_t host, bool v6)
{
    if (host.len == 0) {
        return ak_diag(p->diag, "the host in the store's URL is missing");
    }

    if (host.len > AK_STORE_HOST_MAX) {
        return ak_diag(p->diag, "the host in the store's URL is longer than "
                       "%d bytes", AK_STORE_HOST_MAX);
    }

    if (!ak_store_host_valid(host, v6)) {
        return ak_diag(p->diag, "the host in the store's URL is no name and "
                       "no address");
    }

    p->conf->hosts[p->conf->nhosts++].host = host;

    return AK_OK;
}


static bool
ak_store_host_valid(ak_str_t host, bool v6)
{
    bool     ok;
    size_t   i;
    uint8_t  c;

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
            return false;
        }
    }

    return true;
}


static ak_rc_t
ak_store_option(ak_store_parser_t *p, ak_str_t word)
{
    bool                      valued;
    size_t                    i, end;
    ak_str_t                  name, value;
    const ak_store_option_t  *o;

    name = word;
    value = ak_str(NULL, 0);
    valued = ak_store_find(word, '=', &end);

    if (valued) {
        name = ak_str(word.data, end);
        value = ak_store_from(word, end + 1);
    }

    for (i = 0; i < AK_STORE_OPTIONS; i++) {

        if (ak_str_eq(name, ak_store_options[i].name)) {
            break;
        }
    }

    if (i == AK_STORE_OPTIONS) {
        return ak_store_option_unknown(p, name);
    }

    o = &ak_store_options[i];

    if (valued != (o->set != NULL)) {
        return ak_diag(p->diag, "\"%.*s\" of the store %s value",
                       AK_FMT(name), valued ? "takes no" : "needs a");
    }

    if (p->given[i]) {
        return ak_diag(p->diag, "\"%.*s\" of the store is given twice",
                       AK_FMT(name));
    }

    p->given[i] = true;

    if (o->set == NULL) {
        return AK_OK;
    }

    return o->set(p, name, value, (uint8_t *) p->conf + o->offset);
}


/* Only the name is shown: the value of a mistyped one may be a secret. */

static ak_rc_t
ak_store_option_unknown(ak_store_parser_t *p, ak_str_t name)
{
    size_t  i;

    if (ak_str_eq(name, ak_literal("password"))
        || ak_str_eq(name, ak_literal("sentinel_password")))
    {
        return ak_diag(p->diag, "a password among the store's options is read "
                       "by too many, use \"%.*s_file=\"", AK_FMT(name));
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
ak_store_user(ak_store_parser_t *p, ak_str_t name, ak_str_t value, void *field)
{
    ak_str_t *user = field;

    if (value.len == 0 || value.len > AK_NAME_MAX || !ak_str_visible(value)) {
        return ak_diag(p->diag, "the %.*s of the store must be 1 to %d "
                       "visible ASCII characters", AK_FMT(name), AK_NAME_MAX);
    }

    *user = value;

    return AK_OK;
}


static ak_rc_t
ak_store_db(ak_store_parser_t *p, ak_str_t name, ak_str_t value, void *field)
{
    (void) name;

    if (!ak_str_number(value, INT_MAX, field)) {
        return ak_diag(p->diag, "the database of the store must be a number "
                       "from 0 on");
    }

    return AK_OK;
}


/* The glob letters of SCAN and KEYS would match more than the prefix. */

static ak_rc_t
ak_store_prefix(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    size_t     i;
    ak_str_t  *prefix = field;

    if (value.len == 0 || value.len > AK_STORE_PREFIX_MAX
        || !ak_str_visible(value))
    {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be 1 to %d "
                       "visible ASCII characters", AK_FMT(name),
                       AK_STORE_PREFIX_MAX);
    }

    for (i = 0; i < value.len; i++) {

        if (strchr("*?[]\\^", value.data[i]) != NULL) {
            return ak_diag(p->diag, "\"%.*s=\" of the store must not hold "
                           "any of * ? [ ] \\ ^", AK_FMT(name));
        }
    }

    *prefix = value;

    return AK_OK;
}


static ak_rc_t
ak_store_timeout(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    int64_t    span;
    unsigned  *ms = field;

    if (ak_time_span(value, &span) != AK_OK || span < 1
        || span > AK_STORE_TIMEOUT_MAX)
    {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be a time from "
                       "\"1ms\" to \"1h\"", AK_FMT(name));
    }

    *ms = (unsigned) span;

    return AK_OK;
}


static ak_rc_t
ak_store_path(ak_store_parser_t *p, ak_str_t name, ak_str_t value, void *field)
{
    ak_str_t *path = field;

    if (value.len == 0 || memchr(value.data, 0, value.len) != NULL) {
        return ak_diag(p->diag, "\"%.*s=\" needs a path", AK_FMT(name));
    }

    *path = value;

    return AK_OK;
}


static ak_rc_t
ak_store_sentinel(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    ak_str_t *sentinel = field;

    if (value.len == 0 || value.len > AK_STORE_SENTINEL_MAX
        || !ak_str_visible(value))
    {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be the name of a "
                       "master, 1 to %d visible ASCII characters",
                       AK_FMT(name), AK_STORE_SENTINEL_MAX);
    }

    *sentinel = value;

    return AK_OK;
}


static ak_rc_t
ak_store_read(ak_store_parser_t *p, ak_str_t name, ak_str_t value, void *field)
{
    bool *replicas = field;

    *replicas = ak_str_eq(value, ak_literal("replica"));

    if (!*replicas && !ak_str_eq(value, ak_literal("master"))) {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be \"master\" or "
                       "\"replica\"", AK_FMT(name));
    }

    return AK_OK;
}


static ak_rc_t
ak_store_switch(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    bool *on = field;

    *on = ak_str_eq(value, ak_literal("on"));

    if (!*on && !ak_str_eq(value, ak_literal("off"))) {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be \"on\" or "
                       "\"off\"", AK_FMT(name));
    }

    return AK_OK;
}


static ak_rc_t
ak_store_ssl_name(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    size_t     i;
    ak_str_t  *host = field;

    if (value.len == 0 || value.len > AK_STORE_HOST_MAX
        || !ak_store_host_valid(value, ak_store_find(value, ':', &i)))
    {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be a name or an "
                       "address, 1 to %d bytes", AK_FMT(name),
                       AK_STORE_HOST_MAX);
    }

    *host = value;

    return AK_OK;
}


static ak_rc_t
ak_store_ssl_depth(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    if (!ak_str_number(value, AK_STORE_DEPTH_MAX, field)) {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be a number from "
                       "0 to %d", AK_FMT(name), AK_STORE_DEPTH_MAX);
    }

    return AK_OK;
}


static ak_rc_t
ak_store_ssl_protocols(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    size_t     i, end;
    unsigned  *set = field;

    static const struct {
        ak_str_t  name;
        unsigned  bit;
    } protocols[] = {
        { ak_string("TLSv1.2"), AK_STORE_TLSV1_2 },
        { ak_string("TLSv1.3"), AK_STORE_TLSV1_3 }
    };

    *set = 0;

    for ( ;; ) {

        if (!ak_store_find(value, ',', &end)) {
            end = value.len;
        }

        for (i = 0; i < ak_nitems(protocols); i++) {

            if (ak_str_eq(ak_str(value.data, end), protocols[i].name)) {
                *set |= protocols[i].bit;
                break;
            }
        }

        if (i == ak_nitems(protocols)) {
            return ak_diag(p->diag, "\"%.*s=\" of the store must be "
                           "\"TLSv1.2\", \"TLSv1.3\" or \"TLSv1.2,TLSv1.3\"",
                           AK_FMT(name));
        }

        if (end == value.len) {
            return AK_OK;
        }

        value = ak_store_from(value, end + 1);
    }
}


static ak_rc_t
ak_store_ssl_ciphers(ak_store_parser_t *p, ak_str_t name, ak_str_t value,
    void *field)
{
    ak_str_t *ciphers = field;

    if (value.len == 0 || value.len > AK_STORE_CIPHERS_MAX
        || !ak_str_visible(value))
    {
        return ak_diag(p->diag, "\"%.*s=\" of the store must be a list of "
                       "ciphers, 1 to %d visible ASCII characters",
                       AK_FMT(name), AK_STORE_CIPHERS_MAX);
    }

    *ciphers = value;

    return AK_OK;
}


/* What no word alone can say: whether they go together. */

static ak_rc_t
ak_store_check(ak_store_parser_t *p)
{
    ak_store_conf_t  *conf;

    conf = p->conf;

    if (ak_store_check_topology(p) != AK_OK
        || ak_store_check_hosts(p) != AK_OK
        || ak_store_check_ssl(p) != AK_OK)
    {
        return AK_ERROR;
    }

    if (conf->user.len > 0 && conf->password_file.len == 0) {
        return ak_diag(p->diag, "a user of the store needs "
                       "\"password_file=\"");
    }

    if (conf->sentinel_user.len > 0 && conf->sentinel_password_file.len == 0) {
        return ak_diag(p->diag, "\"sentinel_user\" of the store needs "
                       "\"sentinel_password_file=\"");
    }

    return AK_OK;
}


static ak_rc_t
ak_store_check_topology(ak_store_parser_t *p)
{
    size_t            i;
    ak_store_conf_t  *conf;

    static const ak_store_option_e  sentinels[] = {
        AK_STORE_SENTINEL_USER, AK_STORE_SENTINEL_PASSWORD_FILE
    };

    conf = p->conf;

    if (p->given[AK_STORE_SENTINEL_NAME] && p->given[AK_STORE_CLUSTER_WORD]) {
        return ak_diag(p->diag, "\"sentinel\" and \"cluster\" of the store "
                       "exclude each other: the hosts are one or the other");
    }

    if (p->given[AK_STORE_SENTINEL_NAME]) {
        conf->topology = AK_STORE_SENTINEL;

    } else if (p->given[AK_STORE_CLUSTER_WORD]) {
        conf->topology = AK_STORE_CLUSTER;
    }

    if (conf->topology != AK_STORE_SINGLE && conf->path.len > 0) {
        return ak_diag(p->diag, "\"%s\" of the store needs a URL with hosts, "
                       "not \"redis+unix:\"",
                       conf->topology == AK_STORE_SENTINEL ? "sentinel"
                                                           : "cluster");
    }

    if (conf->topology == AK_STORE_CLUSTER && conf->db != 0) {
        return ak_diag(p->diag, "a cluster has no database but 0");
    }

    if (conf->topology != AK_STORE_CLUSTER && conf->replicas) {
        return ak_diag(p->diag, "\"read=replica\" of the store needs "
                       "\"cluster\"");
    }

    for (i = 0; i < ak_nitems(sentinels); i++) {

        if (p->given[sentinels[i]] && conf->topology != AK_STORE_SENTINEL) {
            return ak_diag(p->diag, "\"%.*s\" of the store needs "
                           "\"sentinel=\"",
                           AK_FMT(ak_store_options[sentinels[i]].name));
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_store_check_hosts(ak_store_parser_t *p)
{
    unsigned          i, j;
    ak_store_host_t  *hosts;

    hosts = p->conf->hosts;

    for (i = 0; i < p->conf->nhosts; i++) {

        if (hosts[i].port == 0) {
            hosts[i].port = p->conf->topology == AK_STORE_SENTINEL
                            ? AK_STORE_SENTINEL_PORT : AK_STORE_PORT;
        }

        for (j = 0; j < i; j++) {

            if (hosts[i].port == hosts[j].port
                && ak_store_same(hosts[i].host, hosts[j].host))
            {
                return ak_diag(p->diag, "host number %u in the store's URL is "
                               "the same as number %u", i + 1, j + 1);
            }
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_store_check_ssl(ak_store_parser_t *p)
{
    unsigned         i;
    ak_store_tls_t  *tls;

    tls = &p->conf->tls;

    for (i = AK_STORE_SSL_FIRST; i < AK_STORE_OPTIONS; i++) {

        if (p->given[i] && !tls->on) {
            return ak_diag(p->diag, "\"%.*s\" of the store needs a URL that "
                           "begins with \"rediss://\"",
                           AK_FMT(ak_store_options[i].name));
        }
    }

    if (p->given[AK_STORE_SSL_CERTIFICATE]
        != p->given[AK_STORE_SSL_CERTIFICATE_KEY])
    {
        return ak_diag(p->diag, "\"ssl_certificate\" and "
                       "\"ssl_certificate_key\" of the store need each other");
    }

    if (!tls->verify && p->given[AK_STORE_SSL_TRUSTED]) {
        return ak_diag(p->diag, "\"ssl_trusted_certificate\" of the store is "
                       "of no use with \"ssl_verify=off\"");
    }

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


/* Hosts are of letters, digits, "-", ".", "_" and ":". */

static bool
ak_store_same(ak_str_t a, ak_str_t b)
{
    size_t   i;
    uint8_t  c;

    if (a.len != b.len) {
        return false;
    }

    for (i = 0; i < a.len; i++) {
        c = a.data[i] ^ b.data[i];

        if (c != 0 && (c != 0x20 || (a.data[i] | 0x20) < 'a')) {
            return false;
        }
    }

    return true;
}
