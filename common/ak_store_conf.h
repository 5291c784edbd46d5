
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_STORE_CONF_H_INCLUDED_
#define _AK_STORE_CONF_H_INCLUDED_


#include "ak_diag.h"


/*
 * Where records live: the words of "apikey_store" and of apikeyctl's --store,
 *
 *   redis://[user@]host[:port][,host[:port]...][/db] [options]
 *   rediss://...                     the same over TLS
 *   redis+unix:PATH [options]
 *   file:PATH
 *
 * with the options
 *
 *   password_file=PATH user=NAME db=N
 *   prefix=STRING                    "apikey:" unless said
 *   connect_timeout=SPAN timeout=SPAN             1s unless said
 *   sentinel=NAME                    the hosts are sentinels of that master
 *   sentinel_user=NAME sentinel_password_file=PATH
 *   cluster                          the hosts are nodes of a cluster
 *   read=master|replica              of a cluster; master unless said
 *   ssl_trusted_certificate=PATH     the system's unless said
 *   ssl_name=NAME                    the host's unless said
 *   ssl_verify=on|off ssl_verify_depth=N          on, 9 unless said
 *   ssl_certificate=PATH ssl_certificate_key=PATH
 *   ssl_protocols=NAME,...           TLSv1.2,TLSv1.3 unless said
 *   ssl_ciphers=LIST                 of TLS 1.2, as OpenSSL spells it
 *   invalidation=on|off              on unless said
 *
 * Several hosts that are neither sentinels nor nodes are tried in turn.
 */

#define AK_STORE_HOSTS_MAX  16


typedef enum {
    AK_STORE_REDIS = 1,
    AK_STORE_FILE
} ak_store_type_e;


typedef enum {
    AK_STORE_SINGLE = 0,
    AK_STORE_SENTINEL,
    AK_STORE_CLUSTER
} ak_store_topology_e;


typedef struct {
    ak_str_t         host;             /* name or address, IPv6 without
                                          brackets */
    unsigned         port;
} ak_store_host_t;


#define AK_STORE_TLSV1_2  0x1
#define AK_STORE_TLSV1_3  0x2


typedef struct {
    bool             on;
    bool             verify;
    unsigned         depth;            /* of a chain */
    unsigned         protocols;        /* of the above */
    ak_str_t         trusted;          /* paths; empty: none given */
    ak_str_t         certificate;
    ak_str_t         certificate_key;
    ak_str_t         name;             /* empty: the host's */
    ak_str_t         ciphers;
} ak_store_tls_t;


typedef struct {
    ak_store_type_e      type;
    ak_store_topology_e  topology;
    ak_store_host_t      hosts[AK_STORE_HOSTS_MAX];
    unsigned             nhosts;       /* 0: unix, or a file */
    ak_str_t             path;         /* of the unix socket, or the file */
    unsigned             db;
    ak_str_t             user;
    ak_str_t             password_file;
    ak_str_t             prefix;
    ak_str_t             sentinel;     /* name of the master */
    ak_str_t             sentinel_user;
    ak_str_t             sentinel_password_file;
    bool                 replicas;     /* read from them */
    bool                 invalidation;
    ak_store_tls_t       tls;
    unsigned             connect_timeout;  /* ms, name to handshake */
    unsigned             timeout;      /* ms, of one command */
} ak_store_conf_t;


/*
 * Reads the words, of which the first is the URL.  Strings are views of the
 * words.  AK_ERROR: the diagnostic names the word and what is wrong; a URL
 * with a password in it is refused, since configurations are read by many.
 */

ak_rc_t ak_store_conf_parse(ak_store_conf_t *conf, const ak_str_t *words,
    size_t n, ak_diag_t *d);


#endif /* _AK_STORE_CONF_H_INCLUDED_ */
