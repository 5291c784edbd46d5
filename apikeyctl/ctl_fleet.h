
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_FLEET_H_INCLUDED_
#define _CTL_FLEET_H_INCLUDED_


#include "ak_cluster.h"
#include "ak_redis_error.h"
#include "ctl_wire.h"


/*
 * The servers of the store, and who of them is to be asked:
 *
 *   several hosts     the first that lets us in; where that is a replica and
 *                     something is to be written, the next one
 *   sentinels         the master that they name, if it says that it is one
 *   a cluster         the node that serves the slot of the key
 *
 * Sentinels and clusters mend themselves, so those are asked again for a while;
 * failures of anything else are told at once.
 */

#define CTL_FLEET_PATIENCE  10000      /* ms */


struct ctl_fleet_s {
    const ak_store_conf_t  *conf;
    ctl_tls_t              *tls;
    ctl_wire_conf_t         server;    /* how nodes are spoken to */
    ctl_wire_conf_t         sentinel;
    uint8_t                 password[AK_PASSWORD_MAX];
    uint8_t                 sentinel_password[AK_PASSWORD_MAX];

    ak_cluster_t           *map;
    bool                    stale;     /* the map is to be asked for */
    ctl_wire_t            **wires;     /* of a cluster: by number of node */
    size_t                  nwires;
    ctl_wire_t             *guest;     /* to whom ASK sent */
    ctl_wire_t             *retired;   /* turns may still have them */
    unsigned                host;      /* of several: whose turn it is */
    bool                    hopeless;  /* waiting would not help */
    bool                    warned;    /* that nobody can be told of changes */
    ak_diag_t               why;       /* of what failed last */
};


/* Reads passwords and certificates; no server is asked yet. */

ctl_status_e ctl_fleet_create(ctl_t *ctl);
void ctl_fleet_free(ctl_t *ctl);

/* Makes sure that there is somebody to ask; a failure is told. */

ctl_status_e ctl_fleet_open(ctl_t *ctl);


/*
 * A turn is one command, or one transaction, from the first try to its end:
 *
 *   do {
 *       status = ctl_turn_wire(ctl, &turn);
 *       if (status == CTL_DONE) {
 *           status = ctl_turn_call(ctl, &turn, argv, argc, &reply);
 *       }
 *   } while (status == CTL_AGAIN);
 */

#define CTL_AGAIN  ((ctl_status_e) -1)


typedef struct {
    ctl_wire_t  *wire;
    int          slot;                 /* -1: any node will do */
    int          node;                 /* this node alone; -1: that of slot */
    bool         asking;               /* ASKING goes before each command */
    bool         transaction;          /* what fails leaves the wire unclean */
    bool         queued;               /* in MULTI, which has been ASKING */
    bool         large;                /* a reply beyond limits is NULL */
    bool         quiet;                /* of failures tells who asks */
    bool         change;               /* lost: not known whether it was made */
    unsigned     redirects;
    unsigned     hosts;                /* that were left */
    int64_t      until;                /* when to give up */
} ctl_turn_t;

/* An empty key: any node will do. */

void ctl_turn_init(const ctl_t *ctl, ctl_turn_t *turn, ak_str_t key);

/*
 * Opens turn->wire where it is not open yet.  A failure is told; CTL_AGAIN: the
 * node that was wanted is not there, look at who is.
 */

ctl_status_e ctl_turn_wire(ctl_t *ctl, ctl_turn_t *turn);

/*
 * Asks it one command.  The reply is the caller's, to be freed.  CTL_AGAIN:
 * all of the turn has to be done again.  Errors are told and are CTL_STORE,
 * but for WRONGTYPE, which says something of the key and is handed on.
 *
 * In a quiet turn what the operator has to do something about, as a right that
 * the user lacks, is handed on too, and failures are not told: ctl->fleet->why
 * has them.
 */

ctl_status_e ctl_turn_call(ctl_t *ctl, ctl_turn_t *turn, const ak_str_t *argv,
    size_t argc, ak_reply_t **reply);

/* Whether a reply is handed on so. */

bool ctl_turn_answers(const ctl_turn_t *turn, const ak_reply_t *reply);

/*
 * The same of what was asked in other ways: whether the turn is to be done
 * again after this error, or, with NULL, after the wire broke.
 */

bool ctl_turn_again(ctl_t *ctl, ctl_turn_t *turn, const ak_reply_t *reply);

/* The wire is of no more use to anybody. */

void ctl_turn_drop(ctl_turn_t *turn);


/* Failures, told: all of the store, or what a server answered a command. */

ctl_status_e ctl_fleet_failed(const ctl_t *ctl, const char *why);
ctl_status_e ctl_fleet_refused(const ctl_t *ctl, const ctl_wire_t *wire,
    ak_str_t command, const ak_reply_t *reply);

/* The text of an error, without what it repeats of a command. */

char *ctl_error_text(const ak_reply_t *reply);


/* ctl_nodes.c: who there is. */

/* The open wire that knows the key of a turn; NULL: why. */

ctl_wire_t *ctl_nodes_wire(ctl_t *ctl, const ctl_turn_t *turn);

/* Asks for the map of the cluster. */

ak_rc_t ctl_nodes_learn(ctl_t *ctl);

/* Asks one sentinel for the master; the host is to be freed. */

ak_rc_t ctl_nodes_sentinel(ctl_t *ctl, const ak_store_host_t *sentinel,
    char **host, unsigned *port, ak_diag_t *why);

/* Takes a wire out of use; it lives as long as the fleet. */

void ctl_nodes_retire(ctl_t *ctl, ctl_wire_t **wire);

/* Opens a wire to a node that is none of those known. */

ctl_wire_t *ctl_nodes_guest(ctl_t *ctl, ak_str_t host, unsigned port);


#endif /* _CTL_FLEET_H_INCLUDED_ */
