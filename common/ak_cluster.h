
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_CLUSTER_H_INCLUDED_
#define _AK_CLUSTER_H_INCLUDED_


#include "ak_resp.h"


/*
 * Who serves which key of a Redis Cluster, after
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */

#define AK_CLUSTER_SLOTS         16384
#define AK_CLUSTER_NODES_MAX     1000   /* the limit that Redis states */
#define AK_CLUSTER_REPLICAS_MAX  8      /* of a master that are kept */


/*
 * The slot of a key: CRC16 (XMODEM) of it, or of what is between its first "{"
 * and the "}" behind that, unless this is nothing, modulo AK_CLUSTER_SLOTS.
 */

unsigned ak_cluster_slot(ak_str_t key);


typedef struct ak_cluster_s  ak_cluster_t;


/* A map in which no slot is served.  NULL: no memory. */

ak_cluster_t *ak_cluster_create(void);
void ak_cluster_free(ak_cluster_t *cluster);

/*
 * Takes the reply to CLUSTER SLOTS in place of what was known.  A node whose
 * host is not told ("" or nil) is at the host that was asked; one at "?" is at
 * its "ip" where that is told, and otherwise nowhere, as are its slots.  Nodes
 * keep their numbers as long as they are in the map; those that left it have
 * none, and theirs go to new nodes after the next update, or at once where
 * there are no others: who keeps something by number looks at host and port.
 *
 * What was known stays with AK_UNAVAILABLE: no reply, an error, or nobody
 * serves any slot, as a node says that is of no cluster yet; AK_ERROR: a reply
 * of another shape, slots of two masters, more than AK_CLUSTER_NODES_MAX nodes;
 * AK_NO_MEMORY.
 */

ak_rc_t ak_cluster_update(ak_cluster_t *cluster, const ak_reply_t *reply,
    ak_str_t asked_host);

/*
 * A slot is at another node, as MOVED said: until the next update.  The node
 * is added where it is new.  AK_NO_MEMORY: it is not, for there is no room.
 * AK_ERROR: there is no such slot, host (an empty one is none: the caller puts
 * the one that it asked in its place) or port.
 */

ak_rc_t ak_cluster_moved(ak_cluster_t *cluster, unsigned slot, ak_str_t host,
    unsigned port);

/*
 * The number of the node that serves a slot: its master, or for turn > 0 its
 * replica number (turn - 1) modulo how many there are, the master where there
 * is none.  -1: nobody is known to serve it, or there is no such slot.
 */

int ak_cluster_node(const ak_cluster_t *cluster, unsigned slot, unsigned turn);

/*
 * Nodes by number, 0 to AK_CLUSTER_NODES_MAX - 1.  host is empty where there
 * is none of that number.  The string is the map's, until the next update.
 */

typedef struct {
    ak_str_t  host;
    unsigned  port;
    bool      master;                  /* of at least one slot */
} ak_cluster_node_t;

ak_cluster_node_t ak_cluster_node_get(const ak_cluster_t *cluster, int number);

/* The number of a node, -1: not known. */

int ak_cluster_find(const ak_cluster_t *cluster, ak_str_t host, unsigned port);

/* One more than the highest number in use. */

int ak_cluster_nodes(const ak_cluster_t *cluster);

/* Slots that nobody is known to serve. */

unsigned ak_cluster_missing(const ak_cluster_t *cluster);


#endif /* _AK_CLUSTER_H_INCLUDED_ */
