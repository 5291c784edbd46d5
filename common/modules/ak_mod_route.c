
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_modules.h"
#include "ak_rules.h"


/*
 * account ... route [ITEM...]: what may be requested, as "/v1/models" or
 * "GET|POST:/v1/chat".  The request must be for one of the items of the line,
 * where it has any, and for one of those of the field "routes" of the key's
 * record, where that has any; where neither has, the line is passed over.
 *
 * Where there is any item, a path that an upstream might read as another one
 * than was matched here is refused, whatever the items say: see
 * ak_route_plain().
 */

typedef struct {
    ak_words_t   items;
    ak_route_t  *routes;       /* as many */
} ak_route_conf_t;


static const ak_arg_t  ak_route_args[] = {
    { AK_ARG_WORDS, ak_string("ITEM"), offsetof(ak_route_conf_t, items), NULL,
      "a path, \"GET:\" or \"GET|POST:\" before it" },
    { .type = AK_ARG_END }
};


static ak_rc_t
ak_route_init(void *data, const ak_init_t *in)
{
    ak_route_conf_t *conf = data;

    size_t     i;
    ak_mem_t  *mem;

    mem = &in->site->mem;

    conf->routes = mem->alloc(mem->data,
                              (conf->items.n + 1) * sizeof(ak_route_t));
    if (conf->routes == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    for (i = 0; i < conf->items.n; i++) {
        if (ak_route_parse(conf->items.list[i], &conf->routes[i], in->d)
            != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static bool
ak_route_line_matches(const ak_route_conf_t *conf, ak_str_t method,
    ak_str_t path)
{
    size_t  i;

    for (i = 0; i < conf->items.n; i++) {
        if (ak_route_match(&conf->routes[i], method, path)) {
            return true;
        }
    }

    return conf->items.n == 0;
}


static ak_reason_e
ak_route_account(ak_txn_t *t, const void *data, void *state)
{
    const ak_route_conf_t *conf = data;

    ak_str_t          method, path;
    ak_record_t       rec;
    const ak_view_t  *view;

    (void) state;

    rec.routes = ak_str(NULL, 0);

    if (t->record.len != 0 && ak_record_unpack(t->record, &rec) != AK_OK) {
        return AK_FORBIDDEN;
    }

    if (conf->items.n == 0 && rec.routes.len == 0) {
        return AK_IGNORE;
    }

    view = &t->view;

    if (!view->get(view->host, AK_VIEW_METHOD, &method)
        || !view->get(view->host, AK_VIEW_PATH, &path)
        || !ak_route_plain(path)
        || !ak_route_line_matches(conf, method, path))
    {
        return AK_FORBIDDEN;
    }

    if (rec.routes.len != 0
        && ak_routes_match(rec.routes, method, path) != AK_OK)
    {
        return AK_FORBIDDEN;
    }

    return AK_SUCCESS;
}


const ak_module_t  ak_mod_route = {
    .name = ak_string("route"),
    .about = "what may be requested",
    .conf_size = sizeof(ak_route_conf_t),
    .args = ak_route_args,
    .init = ak_route_init,
    .run = { [AK_ACCOUNT] = ak_route_account }
};
