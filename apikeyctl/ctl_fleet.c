
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <time.h>

#include "ak_mem.h"
#include "ctl_fleet.h"
#include "ctl_resolve.h"


#define CTL_FLEET_PAUSE      100       /* ms, before asking again */
#define CTL_FLEET_REDIRECTS  16


/* Where the store is, as it was given. */

static void
ctl_fleet_where(const ctl_t *ctl, char *text, size_t size)
{
    int                     n;
    bool                    v6;
    size_t                  len;
    unsigned                i;
    const ak_store_conf_t  *conf;

    conf = &ctl->conf;

    if (conf->nhosts == 0) {
        snprintf(text, size, "redis+unix:%.*s", (int) conf->path.len,
                 (const char *) conf->path.data);
        return;
    }

    n = snprintf(text, size, "%s", conf->tls.on ? "rediss://" : "redis://");
    len = (size_t) n;

    for (i = 0; i < conf->nhosts && len < size; i++) {
        v6 = memchr(conf->hosts[i].host.data, ':', conf->hosts[i].host.len)
             != NULL;

        n = snprintf(text + len, size - len, "%s%s%.*s%s:%u", i ? "," : "",
                     v6 ? "[" : "", AK_FMT(conf->hosts[i].host),
                     v6 ? "]" : "", conf->hosts[i].port);

        len += (size_t) n;
    }
}


ctl_status_e
ctl_fleet_failed(const ctl_t *ctl, const char *why)
{
    char  where[512];

    ctl_fleet_where(ctl, where, sizeof(where));

    if (ctl->unsure) {
        return ctl_fail(CTL_STORE, "the store %s failed: %s; it is not known "
                        "whether the change was made, look before you try "
                        "again", where, why);
    }

    return ctl_fail(CTL_STORE, "the store %s is unavailable: %s; nothing was "
                    "changed; is it running, and is --store or APIKEY_STORE "
                    "right?", where, why);
}


/*
 * Redis quotes the arguments of a command that it does not know, a password
 * among them, so the message ends there.
 */

char *
ctl_error_text(const ak_reply_t *reply)
{
    char  *text, *quote;

    text = ctl_strdup(reply->str);
    quote = strstr(text, ", with args");

    if (quote != NULL) {
        *quote = '\0';
    }

    return text;
}


ctl_status_e
ctl_fleet_refused(const ctl_t *ctl, const ctl_wire_t *wire, ak_str_t command,
    const ak_reply_t *reply)
{
    char        *text, where[512], node[300];
    const char  *advice;

    ctl_fleet_where(ctl, where, sizeof(where));

    node[0] = '\0';

    if (wire != NULL && (ctl->conf.nhosts > 1
                         || ctl->conf.topology != AK_STORE_SINGLE))
    {
        snprintf(node, sizeof(node), ", at %.253s:%u,", wire->host,
                 wire->port);
    }

    advice = ak_redis_error_get(ak_redis_error(reply))->advice;

    if (advice == NULL) {
        advice = "see user= and password_file= of the store, and what the "
                 "user may do";
    }

    text = ctl_error_text(reply);

    (void) ctl_fail(CTL_STORE, "the store %s%s refused %.*s: %.200s; %s",
                    where, node, AK_FMT(command), text, advice);
    ctl_free(text);

    return CTL_STORE;
}


static ctl_status_e
ctl_fleet_password(ak_str_t file, ak_str_t user, uint8_t *dst,
    ctl_wire_conf_t *conf)
{
    char       *path;
    size_t      len;
    ak_rc_t     rc;
    ak_diag_t   d;

    conf->user = user;

    if (file.len == 0) {
        return CTL_DONE;
    }

    path = ctl_strdup(file);
    rc = ak_store_password(path, dst, &len, &d);
    ctl_free(path);

    if (rc != AK_OK) {
        return ctl_fail(CTL_STORE, "the store's password file: %s", d.text);
    }

    conf->password = ak_str(dst, len);

    return CTL_DONE;
}


ctl_status_e
ctl_fleet_create(ctl_t *ctl)
{
    ctl_fleet_t            *f;
    ctl_status_e            status;
    const ak_store_conf_t  *conf;

    conf = &ctl->conf;

    f = ctl_alloc(sizeof(ctl_fleet_t));
    memset(f, 0, sizeof(ctl_fleet_t));

    ctl->fleet = f;
    f->conf = conf;

    if (conf->tls.on) {
        f->tls = ctl_tls_create(&conf->tls, &f->why);

        if (f->tls == NULL) {
            return ctl_fail(CTL_STORE, "the store's %s", f->why.text);
        }
    }

    f->server.tls = f->tls;
    f->server.db = conf->db;
    f->server.connect_timeout = conf->connect_timeout;
    f->server.timeout = conf->timeout;

    if (conf->topology == AK_STORE_CLUSTER) {
        f->server.flags = AK_REDIS_WIDE;       /* for the map */
    }

    f->sentinel = f->server;
    f->sentinel.db = 0;

    status = ctl_fleet_password(conf->password_file, conf->user, f->password,
                                &f->server);

    if (status == CTL_DONE) {
        status = ctl_fleet_password(conf->sentinel_password_file,
                                    conf->sentinel_user,
                                    f->sentinel_password, &f->sentinel);
    }

    if (status != CTL_DONE) {
        return status;
    }

    if (conf->topology == AK_STORE_CLUSTER) {
        f->map = ak_cluster_create();
        f->stale = true;

        return (f->map == NULL) ? ctl_fail(CTL_REFUSED, "there is no memory")
                                : CTL_DONE;
    }

    f->nwires = 1;
    f->wires = ctl_alloc(sizeof(ctl_wire_t *));
    f->wires[0] = NULL;

    return CTL_DONE;
}


void
ctl_fleet_free(ctl_t *ctl)
{
    size_t        i;
    ctl_wire_t   *w;
    ctl_fleet_t  *f;

    f = ctl->fleet;

    if (f == NULL) {
        return;
    }

    for (i = 0; i < f->nwires; i++) {
        ctl_nodes_retire(ctl, &f->wires[i]);
    }

    ctl_nodes_retire(ctl, &f->guest);

    while (f->retired != NULL) {
        w = f->retired;
        f->retired = w->next;
        ctl_wire_close(w);
    }

    ctl_free(f->wires);
    ctl_tls_free(f->tls);

    if (f->map != NULL) {
        ak_cluster_free(f->map);
    }

    ctl_free(f);
    ctl->fleet = NULL;
}


ctl_status_e
ctl_fleet_open(ctl_t *ctl)
{
    ctl_turn_t    turn;
    ctl_status_e  status;

    status = ctl_fleet_create(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    ctl_turn_init(ctl, &turn, ak_literal(""));

    return ctl_turn_wire(ctl, &turn);
}


void
ctl_turn_init(const ctl_t *ctl, ctl_turn_t *turn, ak_str_t key)
{
    memset(turn, 0, sizeof(ctl_turn_t));

    turn->node = -1;
    turn->slot = -1;
    turn->until = ctl_now() + CTL_FLEET_PATIENCE;

    if (ctl->conf.topology == AK_STORE_CLUSTER && key.len != 0) {
        turn->slot = (int) ak_cluster_slot(key);
    }
}


/* False: it is of no use to ask once more. */

static bool
ctl_turn_pause(ctl_t *ctl, const ctl_turn_t *turn)
{
    struct timespec  ts;

    if (ctl->conf.topology == AK_STORE_SINGLE || ctl_now() >= turn->until) {
        return false;
    }

    ctl->fleet->stale = true;

    ts.tv_sec = 0;
    ts.tv_nsec = CTL_FLEET_PAUSE * 1000000L;

    (void) nanosleep(&ts, NULL);

    return true;
}


static ctl_status_e
ctl_turn_failed(const ctl_t *ctl, const ctl_turn_t *turn)
{
    return turn->quiet ? CTL_STORE
                       : ctl_fleet_failed(ctl, ctl->fleet->why.text);
}


ctl_status_e
ctl_turn_wire(ctl_t *ctl, ctl_turn_t *turn)
{
    ctl_fleet_t  *f;

    f = ctl->fleet;

    for ( ;; ) {
        turn->wire = turn->asking ? f->guest : ctl_nodes_wire(ctl, turn);

        if (turn->wire != NULL && !turn->wire->broken) {
            return CTL_DONE;
        }

        turn->asking = false;

        if (f->hopeless || !ctl_turn_pause(ctl, turn)) {
            return ctl_turn_failed(ctl, turn);
        }

        if (turn->node >= 0) {
            return CTL_AGAIN;          /* another one may have its part now */
        }
    }
}


void
ctl_turn_drop(ctl_turn_t *turn)
{
    if (turn->wire != NULL) {
        turn->wire->broken = true;
        turn->wire = NULL;
    }
}


static bool
ctl_turn_redirect(ctl_t *ctl, ctl_turn_t *turn, const ak_reply_t *reply)
{
    bool          ask;
    unsigned      slot, port;
    ak_str_t      host;
    ctl_fleet_t  *f;

    f = ctl->fleet;
    ask = (ak_redis_error(reply) == AK_REDIS_ERROR_ASK);

    if (f->map == NULL || turn->redirects++ == CTL_FLEET_REDIRECTS
        || ak_redis_error_redirect(reply, &slot, &host, &port) != AK_OK)
    {
        return false;
    }

    if (host.len == 0) {
        host = ak_cstr(turn->wire->host);
    }

    if (ask) {
        turn->asking = (ctl_nodes_guest(ctl, host, port) != NULL);
        return turn->asking || ctl_turn_pause(ctl, turn);
    }

    /* the map as a whole may be old, but this is enough to go on */

    return ak_cluster_moved(f->map, slot, host, port) == AK_OK;
}


static bool
ctl_turn_leave(ctl_t *ctl, ctl_turn_t *turn)
{
    ctl_turn_drop(turn);

    if (ctl->conf.topology != AK_STORE_SINGLE) {
        return ctl_turn_pause(ctl, turn);
    }

    /* the next host, till all were asked */

    if (++turn->hosts >= ctl->conf.nhosts) {
        return false;
    }

    ctl->fleet->host = (ctl->fleet->host + 1) % ctl->conf.nhosts;

    return true;
}


/* Who takes no changes has a master somewhere, and that is wanted here. */

static ak_redis_do_e
ctl_turn_action(const ak_reply_t *reply)
{
    ak_redis_error_e  error;

    error = ak_redis_error(reply);

    return (error == AK_REDIS_ERROR_READONLY)
           ? AK_REDIS_DO_LEAVE : ak_redis_error_get(error)->action;
}


bool
ctl_turn_again(ctl_t *ctl, ctl_turn_t *turn, const ak_reply_t *reply)
{
    bool        again;
    ctl_wire_t  *wire;

    turn->asking = false;

    if (reply == NULL) {

        if (turn->wire != NULL) {
            (void) ak_diag(&ctl->fleet->why, "%s", turn->wire->why.text);
        }

        return ctl_turn_leave(ctl, turn);
    }

    wire = turn->wire;

    switch (ctl_turn_action(reply)) {

    case AK_REDIS_DO_REDIRECT:
        again = ctl_turn_redirect(ctl, turn, reply);
        break;

    case AK_REDIS_DO_RETRY:
        again = ctl_turn_pause(ctl, turn);
        break;

    case AK_REDIS_DO_LEAVE:
        return ctl_turn_leave(ctl, turn);

    default:
        again = false;
    }

    /* what was begun there must not be gone on with by another turn */

    if (turn->transaction && wire != NULL) {
        wire->broken = true;
    }

    return again;
}


bool
ctl_turn_answers(const ctl_turn_t *turn, const ak_reply_t *reply)
{
    ak_redis_do_e  action;

    if (reply->type != AK_REPLY_ERROR) {
        return true;
    }

    action = ctl_turn_action(reply);

    return action == AK_REDIS_DO_ANSWER
           || (turn->quiet && action == AK_REDIS_DO_TELL);
}


/* What is to be done about an error; *reply goes. */

static ctl_status_e
ctl_turn_error(ctl_t *ctl, ctl_turn_t *turn, ak_str_t command,
    ak_reply_t **reply)
{
    char         *text;
    ctl_wire_t   *wire;
    ctl_status_e  status;

    wire = turn->wire;

    if (ctl_turn_again(ctl, turn, *reply)) {
        status = CTL_AGAIN;

    } else if (turn->quiet) {
        text = ctl_error_text(*reply);
        (void) ak_diag(&ctl->fleet->why, "%s", text);
        ctl_free(text);
        status = CTL_STORE;

    } else {
        status = ctl_fleet_refused(ctl, wire, command, *reply);
    }

    ctl_reply_free(*reply);
    *reply = NULL;

    return status;
}


ctl_status_e
ctl_turn_call(ctl_t *ctl, ctl_turn_t *turn, const ak_str_t *argv, size_t argc,
    ak_reply_t **reply)
{
    ctl_wire_e  wire;

    *reply = NULL;
    wire = CTL_WIRE_OK;

    if (turn->asking && !turn->queued) {
        wire = ctl_wire_asking(turn->wire);
    }

    ctl->unsure = turn->change;

    if (wire == CTL_WIRE_OK) {
        wire = ctl_wire_ask(turn->wire, argv, argc, reply);
    }

    if (wire == CTL_WIRE_OK) {
        ctl->unsure = false;           /* it said yes or no */

        return ctl_turn_answers(turn, *reply)
               ? CTL_DONE : ctl_turn_error(ctl, turn, argv[0], reply);
    }

    if (wire == CTL_WIRE_GARBLED && turn->large) {
        return CTL_DONE;
    }

    (void) ak_diag(&ctl->fleet->why, "%s", turn->wire->why.text);

    if (wire == CTL_WIRE_DOWN && !turn->change
        && ctl_turn_again(ctl, turn, NULL))
    {
        return CTL_AGAIN;
    }

    return ctl_turn_failed(ctl, turn);
}
