
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_modules.h"
#include "ak_rules.h"


/*
 * account ... ip [CIDR...]: where a request may come from.  The client's
 * address must be in one of the networks of the line, where it has any, and in
 * one of those of the field "ips" of the key's record, where that has any;
 * where neither has, the line is passed over.  A client without an address,
 * on a unix socket, is in no network.
 */

typedef struct {
    ak_words_t  items;
    ak_cidr_t  *cidrs;         /* as many */
} ak_ip_conf_t;


static const ak_arg_t  ak_ip_args[] = {
    { AK_ARG_WORDS, ak_string("CIDR"), offsetof(ak_ip_conf_t, items), NULL,
      "a network or an address that the client may have" },
    { .type = AK_ARG_END }
};


static ak_rc_t
ak_ip_init(void *data, const ak_init_t *in)
{
    ak_ip_conf_t *conf = data;

    size_t     i;
    ak_mem_t  *mem;

    mem = &in->site->mem;

    conf->cidrs = mem->alloc(mem->data,
                             (conf->items.n + 1) * sizeof(ak_cidr_t));
    if (conf->cidrs == NULL) {
        return ak_diag(in->d, "there is no memory");
    }

    for (i = 0; i < conf->items.n; i++) {
        if (ak_cidr_parse(conf->items.list[i], &conf->cidrs[i], in->d)
            != AK_OK)
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static bool
ak_ip_line_matches(const ak_ip_conf_t *conf, ak_str_t address)
{
    size_t  i;

    for (i = 0; i < conf->items.n; i++) {
        if (ak_cidr_match(&conf->cidrs[i], address)) {
            return true;
        }
    }

    return conf->items.n == 0;
}


static ak_reason_e
ak_ip_account(ak_txn_t *t, const void *data, void *state)
{
    const ak_ip_conf_t *conf = data;

    ak_str_t     address;
    ak_record_t  rec;

    (void) state;

    rec.ips = ak_str(NULL, 0);

    if (t->record.len != 0 && ak_record_unpack(t->record, &rec) != AK_OK) {
        return AK_FORBIDDEN;
    }

    if (conf->items.n == 0 && rec.ips.len == 0) {
        return AK_IGNORE;
    }

    if (!t->view.get(t->view.host, AK_VIEW_ADDRESS, &address)
        || !ak_ip_line_matches(conf, address))
    {
        return AK_FORBIDDEN;
    }

    if (rec.ips.len != 0 && ak_cidrs_match(rec.ips, address) != AK_OK) {
        return AK_FORBIDDEN;
    }

    return AK_SUCCESS;
}


const ak_module_t  ak_mod_ip = {
    .name = ak_string("ip"),
    .about = "where requests may come from",
    .conf_size = sizeof(ak_ip_conf_t),
    .args = ak_ip_args,
    .init = ak_ip_init,
    .run = { [AK_ACCOUNT] = ak_ip_account }
};
