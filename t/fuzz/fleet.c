
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Fuzzes what servers say about where others are, and the words that name
 * them.  The first byte says what the others are: replies, a message of a
 * sentinel, or words, one a line.
 */


#include <stdlib.h>

#include "ak_cluster.h"
#include "ak_redis_error.h"
#include "ak_sentinel.h"
#include "ak_store_conf.h"


#define FUZZ_WORDS  24

#define fuzz_assert(ok)  do { if (!(ok)) { abort(); } } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_address(ak_str_t host, unsigned port, bool empty)
{
    fuzz_assert(host.len <= 253 && (host.len > 0 || empty));
    fuzz_assert(ak_str_visible(host));
    fuzz_assert(port >= 1 && port <= 65535);
}


/* What a map must be, whatever came. */

static void
check_map(const ak_cluster_t *c)
{
    int                n, nodes;
    bool               masters[AK_CLUSTER_NODES_MAX] = { false };
    unsigned           slot, turn, missing;
    ak_cluster_node_t  node;

    nodes = ak_cluster_nodes(c);
    fuzz_assert(nodes >= 0 && nodes <= AK_CLUSTER_NODES_MAX);

    missing = 0;

    for (slot = 0; slot < AK_CLUSTER_SLOTS; slot++) {
        n = ak_cluster_node(c, slot, 0);

        if (n == -1) {
            missing++;
            fuzz_assert(ak_cluster_node(c, slot, 1) == -1);
            continue;
        }

        fuzz_assert(n >= 0 && n < nodes);
        masters[n] = true;

        /* many slots, few that differ */

        if (slot % 257 == 0) {

            for (turn = 1; turn <= AK_CLUSTER_REPLICAS_MAX; turn++) {
                n = ak_cluster_node(c, slot, turn);
                fuzz_assert(n >= 0 && n < nodes);
                fuzz_assert(ak_cluster_node_get(c, n).host.len > 0);
            }
        }
    }

    fuzz_assert(missing == ak_cluster_missing(c));

    for (n = 0; n < nodes; n++) {
        node = ak_cluster_node_get(c, n);
        fuzz_assert(node.master == masters[n]);

        if (node.host.len == 0) {
            fuzz_assert(n != nodes - 1);
            continue;
        }

        check_address(node.host, node.port, false);
        fuzz_assert(ak_cluster_find(c, node.host, node.port) == n);
    }
}


/* Nodes that stay keep their numbers, and nothing changes by a bad reply. */

static void
update(ak_cluster_t *c, const ak_reply_t *reply)
{
    int                i, n, nodes;
    char               hosts[8][256];
    size_t             lens[8];
    ak_rc_t            rc;
    unsigned           missing, ports[8];
    ak_cluster_node_t  node;

    nodes = ak_cluster_nodes(c);
    missing = ak_cluster_missing(c);

    for (i = 0; i < 8; i++) {
        node = ak_cluster_node_get(c, i);

        lens[i] = node.host.len;
        ports[i] = node.port;

        if (node.host.len > 0) {
            memcpy(hosts[i], node.host.data, node.host.len);
        }
    }

    rc = ak_cluster_update(c, reply, ak_literal("asked"));

    fuzz_assert(rc == AK_OK || (ak_cluster_nodes(c) == nodes
                                && ak_cluster_missing(c) == missing));

    for (i = 0; i < 8; i++) {

        if (lens[i] > 0) {
            n = ak_cluster_find(c, ak_str(hosts[i], lens[i]), ports[i]);
            fuzz_assert(n == i || (n == -1 && rc == AK_OK));
        }
    }

    check_map(c);
}


static void
redirect(ak_cluster_t *c, const ak_reply_t *reply)
{
    unsigned                 slot, port;
    ak_str_t                 host;
    ak_redis_error_e         error;
    const ak_redis_error_t  *e;

    error = ak_redis_error(reply);
    e = ak_redis_error_get(error);

    fuzz_assert((error == AK_REDIS_ERROR_NONE)
                == (reply->type != AK_REPLY_ERROR));
    fuzz_assert(ak_str_starts(reply->str, e->code));

    if (ak_redis_error_redirect(reply, &slot, &host, &port) != AK_OK) {
        return;
    }

    fuzz_assert(e->action == AK_REDIS_DO_REDIRECT);
    fuzz_assert(slot < AK_CLUSTER_SLOTS);
    check_address(host, port, true);

    host = (host.len == 0) ? ak_literal("asked") : host;

    if (ak_cluster_moved(c, slot, host, port) == AK_OK) {
        fuzz_assert(ak_cluster_node(c, slot, 0)
                    == ak_cluster_find(c, host, port));

    } else {
        fuzz_assert(ak_cluster_nodes(c) == AK_CLUSTER_NODES_MAX);
    }
}


static void
replies(const uint8_t *data, size_t size)
{
    unsigned       port;
    ak_str_t       host;
    ak_resp_t     *r;
    ak_reply_t    *reply;
    ak_cluster_t  *c;

    r = ak_resp_create();
    c = ak_cluster_create();

    fuzz_assert(r != NULL && c != NULL);

    ak_resp_widen(r);

    if (size > 0 && ak_resp_feed(r, data, size) == AK_OK) {

        while (ak_resp_next(r, &reply) == AK_OK) {
            redirect(c, reply);
            update(c, reply);

            if (ak_sentinel_address(reply, &host, &port) == AK_OK) {
                check_address(host, port, false);
            }

            (void) ak_sentinel_role(reply);

            ak_reply_free(reply);
        }
    }

    ak_cluster_free(c);
    ak_resp_free(r);
}


static void
check_conf(const ak_store_conf_t *conf)
{
    unsigned  i;

    fuzz_assert(conf->nhosts <= AK_STORE_HOSTS_MAX);
    fuzz_assert((conf->nhosts == 0) == (conf->path.len > 0));
    fuzz_assert(conf->topology == AK_STORE_SINGLE || conf->nhosts > 0);
    fuzz_assert((conf->topology == AK_STORE_SENTINEL)
                == (conf->sentinel.len > 0));
    fuzz_assert(conf->topology != AK_STORE_CLUSTER || conf->db == 0);
    fuzz_assert(!conf->replicas || conf->topology == AK_STORE_CLUSTER);
    fuzz_assert(conf->sentinel_user.len == 0
                || conf->sentinel_password_file.len > 0);
    fuzz_assert(conf->tls.on || (conf->tls.verify && conf->tls.name.len == 0));
    fuzz_assert(conf->tls.protocols != 0);
    fuzz_assert((conf->tls.certificate.len == 0)
                == (conf->tls.certificate_key.len == 0));

    for (i = 0; i < conf->nhosts; i++) {
        check_address(conf->hosts[i].host, conf->hosts[i].port, false);
    }
}


static void
words(const uint8_t *data, size_t size)
{
    size_t            n;
    ak_str_t          list[FUZZ_WORDS];
    ak_diag_t         d;
    const uint8_t    *p, *end, *line;
    ak_store_conf_t   conf;

    p = data;
    end = data + size;

    for (n = 0; p < end && n < FUZZ_WORDS; n++) {
        line = memchr(p, '\n', (size_t) (end - p));
        line = line == NULL ? end : line;
        list[n] = ak_str(p, (size_t) (line - p));
        p = line + 1;
    }

    memset(&d, 0, sizeof(ak_diag_t));

    if (ak_store_conf_parse(&conf, list, n, &d) == AK_OK) {
        check_conf(&conf);

    } else {
        fuzz_assert(d.text[0] != '\0');
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned  port;
    ak_str_t  host;

    if (size == 0) {
        return 0;
    }

    switch (data[0]) {

    case 'm':

        if (ak_sentinel_switch(ak_str(data + 1, size - 1), ak_literal("main"),
                               &host, &port)
            == AK_OK)
        {
            check_address(host, port, false);
        }

        (void) ak_cluster_slot(ak_str(data + 1, size - 1));
        break;

    case 'w':
        words(data + 1, size - 1);
        break;

    default:
        replies(data + 1, size - 1);
    }

    return 0;
}
