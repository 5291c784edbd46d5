
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <time.h>

#include "ak_time.h"
#include "ctl_doctor.h"
#include "ctl_resolve.h"


#define CTL_CERTIFICATE_SOON  (14 * 86400)


/* A server that was looked for. */

typedef struct {
    ctl_wire_t   *wire;
    ctl_stage_e   stage;
    ak_diag_t     why;
    int64_t       took;                /* ms */
    char          name[300];
} ctl_probe_t;


static void
ctl_doctor_name(ak_str_t host, unsigned port, char *name, size_t size)
{
    bool  v6;

    if (port == 0) {
        (void) snprintf(name, size, "%.*s", (int) host.len,
                        (const char *) host.data);
        return;
    }

    v6 = memchr(host.data, ':', host.len) != NULL;

    (void) snprintf(name, size, "%s%.*s%s:%u", v6 ? "[" : "", (int) host.len,
                    (const char *) host.data, v6 ? "]" : "", port);
}


static void
ctl_doctor_probe(const ctl_wire_conf_t *conf, ak_str_t host, unsigned port,
    ctl_probe_t *p)
{
    memset(p, 0, sizeof(ctl_probe_t));

    ctl_doctor_name(host, port, p->name, sizeof(p->name));

    p->took = ctl_now();
    p->stage = ctl_wire_open(conf, host, port, &p->wire, &p->why);
    p->took = ctl_now() - p->took;
}


static void
ctl_doctor_certificate(ctl_doctor_t *doc, const ctl_probe_t *p)
{
    char      text[AK_TIME_TEXT_SIZE];
    int64_t   end, left;

    if (p->wire->tls == NULL) {
        return;
    }

    end = ctl_tls_expires(p->wire->tls);
    left = end - (int64_t) time(NULL);
    ak_time_format(end, text);

    if (end == 0) {
        ctl_doctor_tell(doc, CTL_FOUND_UNKNOWN, "certificate", p->name, NULL,
                        "it does not say when it expires");

    } else if (left < CTL_CERTIFICATE_SOON) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "certificate", p->name,
                        "renew it", left < 0 ? "it expired at %s"
                                             : "it expires at %s", text);

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "certificate", p->name, NULL,
                        "%s, good until %s", ctl_tls_version(p->wire->tls),
                        text);
    }

    if (!doc->ctl->conf.tls.verify) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "certificate", p->name,
                        "leave ssl_verify=off out", "it is not verified: "
                        "whoever is on the way can be the server");
    }
}


/* found: what it is that this one cannot be reached. */

static void
ctl_doctor_reached(ctl_doctor_t *doc, const ctl_probe_t *p, const char *check,
    ctl_found_e found)
{
    static const char *const  todo[] = {
        [CTL_STAGE_CONNECT] = "is it running, and is the address right?",
        [CTL_STAGE_TLS] = "see the ssl_ options of the store",
        [CTL_STAGE_LOGIN] = "see user= and password_file= of the store",
        [CTL_STAGE_READY] = NULL
    };

    if (p->stage != CTL_STAGE_READY) {
        ctl_doctor_tell(doc, found, p->stage == CTL_STAGE_LOGIN ? "login"
                                                                : check,
                        p->name, todo[p->stage], "%s", p->why.text);
        return;
    }

    ctl_doctor_tell(doc, CTL_FOUND_OK, check, p->name, NULL,
                    "reached in %lld ms, and let in", (long long) p->took);
    ctl_doctor_certificate(doc, p);
}


/* Several hosts of which one is enough. */

static void
ctl_doctor_single(ctl_doctor_t *doc)
{
    bool             good;
    unsigned         i, n;
    ctl_probe_t     *probes;
    ctl_fleet_t     *f;
    const ak_store_conf_t  *conf;

    conf = &doc->ctl->conf;
    f = doc->ctl->fleet;
    n = (conf->nhosts == 0) ? 1 : conf->nhosts;
    probes = ctl_alloc(n * sizeof(ctl_probe_t));
    good = false;

    for (i = 0; i < n; i++) {

        if (conf->nhosts == 0) {
            ctl_doctor_probe(&f->server, conf->path, 0, &probes[i]);

        } else {
            ctl_doctor_probe(&f->server, conf->hosts[i].host,
                             conf->hosts[i].port, &probes[i]);
        }

        good |= (probes[i].stage == CTL_STAGE_READY);
    }

    for (i = 0; i < n; i++) {
        ctl_doctor_reached(doc, &probes[i], "server",
                           good ? CTL_FOUND_WARNING : CTL_FOUND_NO_STORE);

        if (probes[i].wire != NULL) {
            ctl_doctor_server(doc, probes[i].wire);
            ctl_wire_close(probes[i].wire);
        }
    }

    ctl_free(probes);
}


/* What one sentinel says; *agreed is what those before it said. */

static bool
ctl_doctor_sentinel(ctl_doctor_t *doc, const ak_store_host_t *h, char **agreed)
{
    char         *host, master[300];
    ak_rc_t       rc;
    unsigned      port;
    ak_diag_t     d;
    ctl_probe_t   p;

    ctl_doctor_probe(&doc->ctl->fleet->sentinel, h->host, h->port, &p);
    ctl_doctor_reached(doc, &p, "sentinel", CTL_FOUND_WARNING);

    if (p.wire == NULL) {
        return false;
    }

    ctl_wire_close(p.wire);

    d.text[0] = '\0';
    rc = ctl_nodes_sentinel(doc->ctl, h, &host, &port, &d);

    if (rc != AK_OK) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "sentinel", p.name, NULL,
                        "%s", d.text);
        return false;
    }

    ctl_doctor_name(ak_cstr(host), port, master, sizeof(master));
    ctl_free(host);

    if (*agreed == NULL) {
        *agreed = ctl_strdup(ak_cstr(master));

    } else if (strcmp(*agreed, master) != 0) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "sentinel", p.name,
                        "look again in a moment; if that stays so, \"SENTINEL "
                        "RESET\" where it is wrong", "it says that %s is the "
                        "master, others say %s", master, *agreed);
    }

    return true;
}


static void
ctl_doctor_sentinels(ctl_doctor_t *doc)
{
    char                   *agreed;
    unsigned                i, good;
    const ak_store_conf_t  *conf;

    conf = &doc->ctl->conf;
    agreed = NULL;
    good = 0;

    for (i = 0; i < conf->nhosts; i++) {
        good += ctl_doctor_sentinel(doc, &conf->hosts[i], &agreed);
    }

    if (good == 0) {
        ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "sentinel", "",
                        "see the hosts and sentinel= of the store",
                        "no sentinel names a master");

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "sentinel", "", NULL,
                        "the master \"%.*s\" is %s", AK_FMT(conf->sentinel),
                        agreed);
    }

    ctl_free(agreed);
}


static void
ctl_doctor_node(ctl_doctor_t *doc, int number)
{
    ctl_probe_t         p;
    ak_cluster_node_t   node;

    node = ak_cluster_node_get(doc->ctl->fleet->map, number);

    if (node.host.len == 0) {
        return;
    }

    ctl_doctor_probe(&doc->ctl->fleet->server, node.host, node.port, &p);
    ctl_doctor_reached(doc, &p, node.master ? "master" : "replica",
                       node.master ? CTL_FOUND_NO_STORE : CTL_FOUND_WARNING);

    if (p.wire != NULL) {
        ctl_doctor_server(doc, p.wire);
        ctl_wire_close(p.wire);
    }
}


/* Seeds are looked at too: nginx starts with them. */

static void
ctl_doctor_cluster(ctl_doctor_t *doc)
{
    int                     i;
    unsigned                k, missing;
    ctl_probe_t             p;
    ctl_fleet_t            *f;
    const ak_store_host_t  *h;

    f = doc->ctl->fleet;
    f->why.text[0] = '\0';

    if (ctl_nodes_learn(doc->ctl) != AK_OK) {
        ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "cluster", "", NULL,
                        "no host of the store says who its nodes are: %s",
                        f->why.text);
        return;
    }

    for (k = 0; k < doc->ctl->conf.nhosts; k++) {
        h = &doc->ctl->conf.hosts[k];

        if (ak_cluster_find(f->map, h->host, h->port) >= 0) {
            continue;
        }

        ctl_doctor_probe(&f->server, h->host, h->port, &p);
        ctl_doctor_reached(doc, &p, "server", CTL_FOUND_WARNING);
        ctl_wire_close(p.wire);
    }

    missing = ak_cluster_missing(f->map);

    if (missing == 0) {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "cluster", "", NULL,
                        "every slot is served");

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "cluster", "",
                        "\"redis-cli --cluster check\" says more",
                        "nobody serves %u of its slots", missing);
    }

    for (i = 0; i < ak_cluster_nodes(f->map); i++) {
        ctl_doctor_node(doc, i);
    }
}


ctl_status_e
ctl_doctor_redis(ctl_doctor_t *doc)
{
    ctl_t         *ctl;
    ctl_turn_t     turn;
    ctl_wire_t    *w;
    ctl_status_e   status;

    ctl = doc->ctl;
    status = ctl_fleet_create(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    switch (ctl->conf.topology) {

    case AK_STORE_SENTINEL:
        ctl_doctor_sentinels(doc);
        break;

    case AK_STORE_CLUSTER:
        ctl_doctor_cluster(doc);
        break;

    default:
        ctl_doctor_single(doc);
    }

    if (doc->n[CTL_FOUND_NO_STORE] != 0) {
        return CTL_DONE;
    }

    ctl_turn_init(ctl, &turn, ak_literal(""));
    w = ctl_nodes_wire(ctl, &turn);

    if (w == NULL) {
        ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "server", "", NULL, "%s",
                        ctl->fleet->why.text);
        return CTL_DONE;
    }

    if (ctl->conf.topology == AK_STORE_SENTINEL) {
        ctl_doctor_server(doc, w);
    }

    ctl_doctor_rights(doc, w);

    return CTL_DONE;
}
