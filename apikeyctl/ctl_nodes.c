
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ak_sentinel.h"
#include "ctl_fleet.h"


/* Adds to what is wrong who it is of, where there is more than one. */

static void
ctl_nodes_why(ctl_t *ctl, ak_str_t host, unsigned port, const char *text)
{
    char          who[300];
    ak_diag_t    *why;
    ak_diag_t     before;

    why = &ctl->fleet->why;
    before = *why;

    if (ctl->conf.nhosts < 2 && ctl->conf.topology == AK_STORE_SINGLE) {
        (void) ak_diag(why, "%s", text);
        return;
    }

    (void) snprintf(who, sizeof(who), "%.*s:%u: ", (int) host.len,
                    (const char *) host.data, port);

    /* several sentinels name the same master */

    if (strstr(before.text, who) == NULL) {
        (void) ak_diag(why, "%s%s%s%s", before.text,
                       before.text[0] == '\0' ? "" : "; ", who, text);
    }
}


/* Opens a wire to a server of the store. */

static ctl_wire_t *
ctl_nodes_open(ctl_t *ctl, ak_str_t host, unsigned port)
{
    ak_diag_t     d;
    ctl_wire_t   *w;
    ctl_stage_e   stage;

    stage = ctl_wire_open(&ctl->fleet->server, host, port, &w, &d);

    if (stage != CTL_STAGE_READY) {
        ctl_nodes_why(ctl, host, port, d.text);
    }

    /* who is refused now will be refused in a moment, too */

    if ((stage == CTL_STAGE_TLS && strstr(d.text, "certificate") != NULL)
        || (stage == CTL_STAGE_LOGIN && strstr(d.text, "NOAUTH") != NULL)
        || (stage == CTL_STAGE_LOGIN && strstr(d.text, "WRONGPASS") != NULL))
    {
        ctl->fleet->hopeless = true;
    }

    return w;
}


void
ctl_nodes_retire(ctl_t *ctl, ctl_wire_t **wire)
{
    if (*wire != NULL) {
        (*wire)->broken = true;
        (*wire)->next = ctl->fleet->retired;
        ctl->fleet->retired = *wire;
        *wire = NULL;
    }
}


static ctl_wire_t *
ctl_nodes_single(ctl_t *ctl)
{
    unsigned                i, n;
    ctl_wire_t             *w;
    const ak_store_host_t  *h;

    if (ctl->conf.nhosts == 0) {
        return ctl_nodes_open(ctl, ctl->conf.path, 0);
    }

    for (i = 0; i < ctl->conf.nhosts; i++) {
        n = (ctl->fleet->host + i) % ctl->conf.nhosts;
        h = &ctl->conf.hosts[n];
        w = ctl_nodes_open(ctl, h->host, h->port);

        if (w != NULL) {
            ctl->fleet->host = n;
            return w;
        }
    }

    return NULL;
}


ak_rc_t
ctl_nodes_sentinel(ctl_t *ctl, const ak_store_host_t *sentinel, char **host,
    unsigned *port, ak_diag_t *why)
{
    char         *text;
    ak_rc_t       rc;
    ak_str_t      name, argv[3];
    ctl_wire_t   *w;
    ak_reply_t   *reply;

    *host = NULL;

    if (ctl_wire_open(&ctl->fleet->sentinel, sentinel->host, sentinel->port,
                      &w, why)
        != CTL_STAGE_READY)
    {
        return AK_UNAVAILABLE;
    }

    argv[0] = ak_literal("SENTINEL");
    argv[1] = ak_literal("GET-MASTER-ADDR-BY-NAME");
    argv[2] = ctl->conf.sentinel;

    if (ctl_wire_ask(w, argv, 3, &reply) != CTL_WIRE_OK) {
        (void) ak_diag(why, "%s", w->why.text);
    }

    rc = ak_sentinel_address(reply, &name, port);

    if (rc == AK_OK) {
        *host = ctl_strdup(name);

    } else if (rc == AK_NOT_FOUND) {
        (void) ak_diag(why, "this sentinel knows no master \"%.*s\"; see "
                       "sentinel= of the store", AK_FMT(ctl->conf.sentinel));

    } else if (reply != NULL && reply->type == AK_REPLY_ERROR) {
        text = ctl_error_text(reply);
        (void) ak_diag(why, "%.200s; is this a sentinel, and may "
                       "sentinel_user= ask it?", text);
        ctl_free(text);

    } else if (reply != NULL) {
        (void) ak_diag(why, "it answers what no sentinel would");
    }

    ctl_reply_free(reply);
    ctl_wire_close(w);

    return rc;
}


/* A server that became a replica is no master any more, whoever says so. */

static ctl_wire_t *
ctl_nodes_master_at(ctl_t *ctl, ak_str_t host, unsigned port)
{
    ak_rc_t      rc;
    ak_str_t     argv[1];
    ctl_wire_t  *w;
    ak_reply_t  *reply;

    w = ctl_nodes_open(ctl, host, port);

    if (w == NULL) {
        return NULL;
    }

    argv[0] = ak_literal("ROLE");

    if (ctl_wire_ask(w, argv, 1, &reply) != CTL_WIRE_OK) {
        ctl_nodes_why(ctl, host, port, w->why.text);
        ctl_wire_close(w);
        return NULL;
    }

    rc = ak_sentinel_role(reply);
    ctl_reply_free(reply);

    /* who may not ask finds it out when writing */

    if (rc == AK_OK || rc == AK_UNAVAILABLE) {
        return w;
    }

    ctl_nodes_why(ctl, host, port, "the sentinels name it, but it is no "
                  "master");
    ctl_wire_close(w);

    return NULL;
}


static ctl_wire_t *
ctl_nodes_master(ctl_t *ctl)
{
    char                   *host;
    unsigned                i, port;
    ak_diag_t               d;
    ctl_wire_t             *w;
    const ak_store_host_t  *h;

    ctl->fleet->hopeless = true;

    for (i = 0; i < ctl->conf.nhosts; i++) {
        h = &ctl->conf.hosts[i];
        d.text[0] = '\0';

        if (ctl_nodes_sentinel(ctl, h, &host, &port, &d) != AK_OK) {
            ctl_nodes_why(ctl, h->host, h->port, d.text);
            continue;
        }

        ctl->fleet->hopeless = false;

        w = ctl_nodes_master_at(ctl, ak_cstr(host), port);
        ctl_free(host);

        if (w != NULL) {
            return w;
        }
    }

    return NULL;
}


/* Numbers of nodes that left may be those of others now. */

static void
ctl_nodes_renumber(ctl_t *ctl)
{
    size_t              i, n;
    ctl_wire_t         *w;
    ctl_fleet_t        *f;
    ak_cluster_node_t   node;

    f = ctl->fleet;
    n = (size_t) ak_cluster_nodes(f->map);

    for (i = 0; i < f->nwires; i++) {
        w = f->wires[i];

        if (w == NULL) {
            continue;
        }

        node = (i < n) ? ak_cluster_node_get(f->map, (int) i)
                       : (ak_cluster_node_t) { { NULL, 0 }, 0, false };

        if (node.host.len == 0 || node.port != w->port
            || !ak_str_eq(node.host, ak_cstr(w->host)))
        {
            ctl_nodes_retire(ctl, &f->wires[i]);
        }
    }

    if (n > f->nwires) {
        f->wires = ctl_grow(f->wires, n * sizeof(ctl_wire_t *));

        while (f->nwires < n) {
            f->wires[f->nwires++] = NULL;
        }
    }
}


static ak_rc_t
ctl_nodes_learn_from(ctl_t *ctl, ctl_wire_t *w)
{
    char        *text;
    ak_rc_t      rc;
    ak_str_t     argv[2], host;
    ak_reply_t  *reply;

    host = ak_cstr(w->host);

    argv[0] = ak_literal("CLUSTER");
    argv[1] = ak_literal("SLOTS");

    if (ctl_wire_ask(w, argv, 2, &reply) != CTL_WIRE_OK) {
        ctl_nodes_why(ctl, host, w->port, w->why.text);
        return AK_UNAVAILABLE;
    }

    rc = ak_cluster_update(ctl->fleet->map, reply, host);

    if (rc == AK_OK) {
        ctl->fleet->stale = false;
        ctl->fleet->hopeless = false;

    } else if (reply->type == AK_REPLY_ERROR) {
        text = ctl_error_text(reply);
        ctl_nodes_why(ctl, host, w->port, text);
        ctl_free(text);

    } else {
        ctl_nodes_why(ctl, host, w->port, rc == AK_UNAVAILABLE
                      ? "it knows nobody who serves a slot"
                      : "its map of the cluster is none");
    }

    ctl_reply_free(reply);

    return rc;
}


/* Asks a server with a wire of its own, which is kept where it is a node's. */

static ak_rc_t
ctl_nodes_learn_at(ctl_t *ctl, ak_str_t host, unsigned port)
{
    int           number;
    ctl_wire_t   *w;
    ctl_fleet_t  *f;

    f = ctl->fleet;
    w = ctl_nodes_open(ctl, host, port);

    if (w == NULL) {
        return AK_UNAVAILABLE;
    }

    if (ctl_nodes_learn_from(ctl, w) != AK_OK) {
        ctl_wire_close(w);
        return AK_ERROR;
    }

    ctl_nodes_renumber(ctl);
    number = ak_cluster_find(f->map, ak_cstr(w->host), port);

    if (number >= 0 && f->wires[number] == NULL) {
        f->wires[number] = w;

    } else {
        ctl_wire_close(w);
    }

    return AK_OK;
}


/* Nodes that are known may be there still where none that was given is. */

static ak_rc_t
ctl_nodes_learn_known(ctl_t *ctl)
{
    int                 i, n;
    char               *host;
    ak_rc_t             rc;
    ctl_fleet_t        *f;
    ak_cluster_node_t   node;

    f = ctl->fleet;
    n = ak_cluster_nodes(f->map);

    for (i = 0; i < n; i++) {
        node = ak_cluster_node_get(f->map, i);

        if (node.host.len == 0) {
            continue;
        }

        /* the map's own string goes with the update */

        host = ctl_strdup(node.host);
        rc = ctl_nodes_learn_at(ctl, ak_cstr(host), node.port);
        ctl_free(host);

        if (rc == AK_OK) {
            return AK_OK;
        }
    }

    return AK_UNAVAILABLE;
}


ak_rc_t
ctl_nodes_learn(ctl_t *ctl)
{
    size_t                  i;
    ctl_wire_t             *w;
    ctl_fleet_t            *f;
    const ak_store_host_t  *h;

    f = ctl->fleet;

    for (i = 0; i < f->nwires; i++) {
        w = f->wires[i];

        if (w != NULL && !w->broken && ctl_nodes_learn_from(ctl, w) == AK_OK) {
            ctl_nodes_renumber(ctl);
            return AK_OK;
        }
    }

    for (i = 0; i < ctl->conf.nhosts; i++) {
        h = &ctl->conf.hosts[i];

        if (ctl_nodes_learn_at(ctl, h->host, h->port) == AK_OK) {
            return AK_OK;
        }
    }

    if (ctl_nodes_learn_known(ctl) == AK_OK) {
        return AK_OK;
    }

    f->hopeless = (ak_cluster_nodes(f->map) == 0);

    return AK_UNAVAILABLE;
}


/* Any master will do, best one that is open. */

static int
ctl_nodes_any(ctl_t *ctl)
{
    int                 i, n, found;
    ctl_fleet_t        *f;
    ak_cluster_node_t   node;

    f = ctl->fleet;
    n = ak_cluster_nodes(f->map);
    found = -1;

    for (i = 0; i < n; i++) {
        node = ak_cluster_node_get(f->map, i);

        if (node.host.len == 0 || !node.master) {
            continue;
        }

        if ((size_t) i < f->nwires && f->wires[i] != NULL
            && !f->wires[i]->broken)
        {
            return i;
        }

        found = (found < 0) ? i : found;
    }

    return found;
}


static int
ctl_nodes_number(ctl_t *ctl, const ctl_turn_t *turn)
{
    if (turn->node >= 0) {
        return turn->node;
    }

    return (turn->slot < 0)
           ? ctl_nodes_any(ctl)
           : ak_cluster_node(ctl->fleet->map, (unsigned) turn->slot, 0);
}


static ctl_wire_t *
ctl_nodes_of_cluster(ctl_t *ctl, const ctl_turn_t *turn)
{
    int                 number;
    ctl_fleet_t        *f;
    ak_cluster_node_t   node;

    f = ctl->fleet;

    if (f->stale && ctl_nodes_learn(ctl) != AK_OK) {
        return NULL;
    }

    number = ctl_nodes_number(ctl, turn);

    if (number < 0) {
        f->stale = true;
        (void) ak_diag(&f->why, "no node of the cluster serves the slot %d",
                       turn->slot);
        return NULL;
    }

    /* MOVED may have brought a node that is new */

    ctl_nodes_renumber(ctl);

    if (f->wires[number] != NULL && f->wires[number]->broken) {
        ctl_nodes_retire(ctl, &f->wires[number]);
    }

    if (f->wires[number] == NULL) {
        node = ak_cluster_node_get(f->map, number);

        if (node.host.len == 0) {
            (void) ak_diag(&f->why, "the node has left the cluster");
            return NULL;
        }

        f->wires[number] = ctl_nodes_open(ctl, node.host, node.port);
    }

    return f->wires[number];
}


ctl_wire_t *
ctl_nodes_wire(ctl_t *ctl, const ctl_turn_t *turn)
{
    ctl_fleet_t  *f;

    f = ctl->fleet;

    f->why.text[0] = '\0';
    f->hopeless = false;

    if (ctl->conf.topology == AK_STORE_CLUSTER) {
        return ctl_nodes_of_cluster(ctl, turn);
    }

    if (f->wires[0] != NULL && !f->wires[0]->broken) {
        return f->wires[0];
    }

    ctl_nodes_retire(ctl, &f->wires[0]);

    f->wires[0] = (ctl->conf.topology == AK_STORE_SENTINEL)
                  ? ctl_nodes_master(ctl) : ctl_nodes_single(ctl);

    return f->wires[0];
}


ctl_wire_t *
ctl_nodes_guest(ctl_t *ctl, ak_str_t host, unsigned port)
{
    ctl_fleet_t  *f;

    f = ctl->fleet;

    if (f->guest != NULL && !f->guest->broken && f->guest->port == port
        && ak_str_eq(host, ak_cstr(f->guest->host)))
    {
        return f->guest;
    }

    ctl_nodes_retire(ctl, &f->guest);
    f->guest = ctl_nodes_open(ctl, host, port);

    return f->guest;
}
