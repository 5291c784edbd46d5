
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _NGX_HTTP_APIKEY_STATUS_H_INCLUDED_
#define _NGX_HTTP_APIKEY_STATUS_H_INCLUDED_


#include "ngx_apikey_watch.h"
#include "ngx_http_apikey_counts.h"
#include "ngx_http_apikey_module.h"
#include "ngx_http_apikey_pool.h"


/* Of the files of the page of "apikey_status", and of nobody else. */

/* How changes in Redis become known, and which of them when. */

typedef struct {
    const char                   *word;
    ngx_uint_t                    ctl;         /* those that apikeyctl makes */
    ngx_uint_t                    others;      /*   are known after the ttl,
                                                    or at once, 0 */
} ngx_http_apikey_mode_t;


typedef enum {
    NGX_HTTP_APIKEY_MODE_NONE = NGX_APIKEY_WATCH_NONE,
    NGX_HTTP_APIKEY_MODE_TTL = NGX_APIKEY_WATCH_TTL,
    NGX_HTTP_APIKEY_MODE_MESSAGES = NGX_APIKEY_WATCH_MESSAGES,
    NGX_HTTP_APIKEY_MODE_TRACKING = NGX_APIKEY_WATCH_TRACKING,
    NGX_HTTP_APIKEY_MODE_OFF,
    NGX_HTTP_APIKEY_MODE_MAX
} ngx_http_apikey_mode_e;


typedef struct {
    ngx_http_request_t           *request;
    ngx_http_apikey_main_conf_t  *mcf;
    ngx_uint_t                    healthy;
    ngx_uint_t                    mode;
    ngx_array_t                   servers;     /* ngx_apikey_server_t */
    ngx_array_t                   slots;       /* ngx_http_apikey_slots_t */
    ngx_uint_t                    failed;      /* there is no memory */
    ngx_array_t                  *text;        /* of what is sent */
    ngx_apikey_state_t            redis;
    ngx_http_apikey_file_state_t  file;
    ngx_http_apikey_zone_state_t  zone;
} ngx_http_apikey_page_t;


/* ngx_http_apikey_status.c: the page's words */

extern const ngx_http_apikey_mode_t  ngx_http_apikey_modes[];
extern const char                   *ngx_http_apikey_topologies[];
extern const char                   *ngx_http_apikey_asked[];
extern const char                   *ngx_http_apikey_sources[];
extern const char                   *ngx_http_apikey_parts[2];

/* Whether the request may see the page: NGX_OK, or what to answer. */

ngx_int_t ngx_http_apikey_status_allowed(ngx_http_request_t *r);

/* What is in force now; NULL: no memory. */

ngx_http_apikey_page_t *ngx_http_apikey_status_page(ngx_http_request_t *r);

ngx_int_t ngx_http_apikey_status_send(ngx_http_request_t *r, ngx_str_t *type,
    size_t type_len, ngx_str_t *body);


/* ngx_http_apikey_status_text.c */

ngx_int_t ngx_http_apikey_status_text_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_APIKEY_STATUS_H_INCLUDED_ */
