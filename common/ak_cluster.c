
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_cluster.h"


#define AK_CLUSTER_HOST_MAX  253       /* RFC 1035, 2.3.4, as text */
#define AK_CLUSTER_BUCKETS   2048      /* a power of two above the nodes */
#define AK_CLUSTER_NOBODY    (-1)


/*
 * Replicas are those of a node and not of a slot: all slots of a master have
 * the same ones.
 */

typedef struct {
    char      *host;                   /* NULL: there is none of this number */
    size_t     len;
    unsigned   port;
    unsigned   slots;                  /* that it serves as their master */
    unsigned   nreplicas;
    int16_t    replicas[AK_CLUSTER_REPLICAS_MAX];
} ak_cluster_entry_t;


typedef struct {
    int16_t             slots[AK_CLUSTER_SLOTS];
    int16_t             buckets[AK_CLUSTER_BUCKETS];
    unsigned            missing;       /* slots of nobody */
    int                 last;          /* one more than the highest number */
    ak_cluster_entry_t  nodes[AK_CLUSTER_NODES_MAX];
} ak_cluster_map_t;


struct ak_cluster_s {
    ak_cluster_map_t   *map;
};


typedef struct {
    ak_cluster_map_t   *map;           /* that is being made */
    ak_cluster_map_t   *known;         /* that it is to be in place of */
    ak_str_t            asked;
} ak_cluster_reader_t;


static ak_cluster_map_t *ak_cluster_map_create(void);
static void ak_cluster_map_free(ak_cluster_map_t *map);
static ak_rc_t ak_cluster_keep(ak_cluster_reader_t *r,
    const ak_reply_t *range);
static ak_rc_t ak_cluster_range(ak_cluster_reader_t *r,
    const ak_reply_t *range);
static ak_rc_t ak_cluster_replicas(ak_cluster_reader_t *r, int master,
    const ak_reply_t *range);
static ak_rc_t ak_cluster_take(ak_cluster_reader_t *r, const ak_reply_t *node,
    int *number);
static ak_rc_t ak_cluster_read(ak_cluster_reader_t *r, const ak_reply_t *node,
    ak_str_t *host, unsigned *port);
static bool ak_cluster_ip(const ak_reply_t *node, ak_str_t *host);
static bool ak_cluster_host_valid(ak_str_t host);
static ak_rc_t ak_cluster_add(ak_cluster_map_t *map,
    const ak_cluster_map_t *known, ak_str_t host, unsigned port, int *number);
static ak_rc_t ak_cluster_put(ak_cluster_map_t *map, int number, ak_str_t host,
    unsigned port);
static int ak_cluster_number(const ak_cluster_map_t *map, ak_str_t host,
    unsigned port);
static unsigned ak_cluster_bucket(const ak_cluster_map_t *map, ak_str_t host,
    unsigned port);
static void ak_cluster_serve(ak_cluster_map_t *map, unsigned slot, int number);


/* CRC-16 with the polynomial 0x1021, four bits at a time. */

static const uint16_t  ak_cluster_crc[] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
    0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef
};


unsigned
ak_cluster_slot(ak_str_t key)
{
    size_t          i;
    uint16_t        crc;
    const uint8_t  *open, *close;

    open = (key.len == 0) ? NULL : memchr(key.data, '{', key.len);

    if (open != NULL) {
        open++;
        close = memchr(open, '}', key.len - (size_t) (open - key.data));

        /* an empty tag is none */

        if (close != NULL && close > open) {
            key = ak_str(open, (size_t) (close - open));
        }
    }

    crc = 0;

    for (i = 0; i < key.len; i++) {
        crc = (uint16_t) (crc << 4)
              ^ ak_cluster_crc[(crc >> 12) ^ (key.data[i] >> 4)];
        crc = (uint16_t) (crc << 4)
              ^ ak_cluster_crc[(crc >> 12) ^ (key.data[i] & 0x0f)];
    }

    return crc % AK_CLUSTER_SLOTS;
}


ak_cluster_t *
ak_cluster_create(void)
{
    ak_cluster_t  *c;

    c = malloc(sizeof(ak_cluster_t));
    if (c == NULL) {
        return NULL;
    }

    c->map = ak_cluster_map_create();

    if (c->map == NULL) {
        free(c);
        return NULL;
    }

    return c;
}


void
ak_cluster_free(ak_cluster_t *cluster)
{
    if (cluster != NULL) {
        ak_cluster_map_free(cluster->map);
        free(cluster);
    }
}


static ak_cluster_map_t *
ak_cluster_map_create(void)
{
    size_t             i;
    ak_cluster_map_t  *map;

    map = calloc(1, sizeof(ak_cluster_map_t));
    if (map == NULL) {
        return NULL;
    }

    for (i = 0; i < AK_CLUSTER_SLOTS; i++) {
        map->slots[i] = AK_CLUSTER_NOBODY;
    }

    for (i = 0; i < AK_CLUSTER_BUCKETS; i++) {
        map->buckets[i] = AK_CLUSTER_NOBODY;
    }

    map->missing = AK_CLUSTER_SLOTS;

    return map;
}


static void
ak_cluster_map_free(ak_cluster_map_t *map)
{
    int  i;

    for (i = 0; i < map->last; i++) {
        free(map->nodes[i].host);
    }

    free(map);
}


/* A map is made aside, so that a bad reply changes nothing. */

ak_rc_t
ak_cluster_update(ak_cluster_t *cluster, const ak_reply_t *reply,
    ak_str_t asked_host)
{
    size_t               i;
    ak_rc_t              rc;
    ak_cluster_reader_t  r;

    if (reply == NULL || reply->type == AK_REPLY_ERROR) {
        return AK_UNAVAILABLE;
    }

    if (reply->type != AK_REPLY_ARRAY) {
        return AK_ERROR;
    }

    r.known = cluster->map;
    r.asked = asked_host;
    r.map = ak_cluster_map_create();

    if (r.map == NULL) {
        return AK_NO_MEMORY;
    }

    rc = AK_OK;

    /* first those that have numbers, so that no new node takes one of them */

    for (i = 0; i < reply->n && rc == AK_OK; i++) {
        rc = ak_cluster_keep(&r, reply->elements[i]);
    }

    for (i = 0; i < reply->n && rc == AK_OK; i++) {
        rc = ak_cluster_range(&r, reply->elements[i]);
    }

    if (rc == AK_OK && r.map->missing == AK_CLUSTER_SLOTS) {
        rc = AK_UNAVAILABLE;
    }

    if (rc == AK_OK) {
        cluster->map = r.map;
        r.map = r.known;
    }

    ak_cluster_map_free(r.map);

    return rc;
}


/* A range is [first slot, last slot, master, replica ...]. */

static ak_rc_t
ak_cluster_keep(ak_cluster_reader_t *r, const ak_reply_t *range)
{
    int       n;
    size_t    i;
    ak_rc_t   rc;
    unsigned  port;
    ak_str_t  host;

    if (range->type != AK_REPLY_ARRAY || range->n < 3) {
        return AK_ERROR;
    }

    for (i = 2; i < range->n; i++) {
        rc = ak_cluster_read(r, range->elements[i], &host, &port);

        if (rc == AK_NOT_FOUND) {
            continue;
        }

        if (rc != AK_OK) {
            return rc;
        }

        n = ak_cluster_number(r->known, host, port);

        if (n != AK_CLUSTER_NOBODY && r->map->nodes[n].host == NULL) {
            rc = ak_cluster_put(r->map, n, host, port);

            if (rc != AK_OK) {
                return rc;
            }
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_cluster_range(ak_cluster_reader_t *r, const ak_reply_t *range)
{
    int       master;
    ak_rc_t   rc;
    int64_t   slot, first, last;

    if (range->elements[0]->type != AK_REPLY_INTEGER
        || range->elements[1]->type != AK_REPLY_INTEGER)
    {
        return AK_ERROR;
    }

    first = range->elements[0]->integer;
    last = range->elements[1]->integer;

    if (first < 0 || last < first || last >= AK_CLUSTER_SLOTS) {
        return AK_ERROR;
    }

    rc = ak_cluster_take(r, range->elements[2], &master);

    /* nobody knows where the master is: nor who serves its slots */

    if (rc != AK_OK) {
        return (rc == AK_NOT_FOUND) ? AK_OK : rc;
    }

    for (slot = first; slot <= last; slot++) {

        if (r->map->slots[slot] != AK_CLUSTER_NOBODY) {
            return AK_ERROR;
        }

        ak_cluster_serve(r->map, (unsigned) slot, master);
    }

    return ak_cluster_replicas(r, master, range);
}


/* Those of all its ranges, which ought to be the same. */

static ak_rc_t
ak_cluster_replicas(ak_cluster_reader_t *r, int master,
    const ak_reply_t *range)
{
    int                  n;
    size_t               i;
    ak_rc_t              rc;
    unsigned             j;
    ak_cluster_entry_t  *e;

    e = &r->map->nodes[master];

    for (i = 3; i < range->n && e->nreplicas < AK_CLUSTER_REPLICAS_MAX; i++) {
        rc = ak_cluster_take(r, range->elements[i], &n);

        if (rc == AK_NOT_FOUND) {
            continue;
        }

        if (rc != AK_OK) {
            return rc;
        }

        for (j = 0; j < e->nreplicas; j++) {

            if (e->replicas[j] == n) {
                break;
            }
        }

        if (n != master && j == e->nreplicas) {
            e->replicas[e->nreplicas++] = (int16_t) n;
        }
    }

    return AK_OK;
}


/* The number of a node, which is added where it is new. */

static ak_rc_t
ak_cluster_take(ak_cluster_reader_t *r, const ak_reply_t *node, int *number)
{
    ak_rc_t   rc;
    unsigned  port;
    ak_str_t  host;

    rc = ak_cluster_read(r, node, &host, &port);

    if (rc != AK_OK) {
        return rc;
    }

    *number = ak_cluster_number(r->map, host, port);

    if (*number != AK_CLUSTER_NOBODY) {
        return AK_OK;
    }

    return ak_cluster_add(r->map, r->known, host, port, number);
}


/*
 * A node is [host, port], from Redis 4 on with its id, from 7 on with an array
 * of names and values too.  AK_NOT_FOUND: at no known host.
 */

static ak_rc_t
ak_cluster_read(ak_cluster_reader_t *r, const ak_reply_t *node,
    ak_str_t *host, unsigned *port)
{
    const ak_reply_t  *h, *p;

    if (node->type != AK_REPLY_ARRAY || node->n < 2) {
        return AK_ERROR;
    }

    h = node->elements[0];
    p = node->elements[1];

    if ((h->type != AK_REPLY_STRING && h->type != AK_REPLY_NIL)
        || p->type != AK_REPLY_INTEGER || p->integer < 1
        || p->integer > 65535)
    {
        return AK_ERROR;
    }

    *port = (unsigned) p->integer;
    *host = (h->type == AK_REPLY_STRING) ? h->str : ak_str(NULL, 0);

    if (host->len == 0) {
        *host = r->asked;
    }

    /* it has no name, though it should: at times its address is known */

    if (ak_str_eq(*host, ak_literal("?")) && !ak_cluster_ip(node, host)) {
        return AK_NOT_FOUND;
    }

    return ak_cluster_host_valid(*host) ? AK_OK : AK_ERROR;
}


static bool
ak_cluster_ip(const ak_reply_t *node, ak_str_t *host)
{
    size_t             i;
    const ak_reply_t  *more, *name, *value;

    if (node->n < 4 || node->elements[3]->type != AK_REPLY_ARRAY) {
        return false;
    }

    more = node->elements[3];

    for (i = 0; i + 1 < more->n; i += 2) {
        name = more->elements[i];
        value = more->elements[i + 1];

        if (name->type == AK_REPLY_STRING && value->type == AK_REPLY_STRING
            && value->str.len > 0 && ak_str_eq(name->str, ak_literal("ip")))
        {
            *host = value->str;
            return true;
        }
    }

    return false;
}


static bool
ak_cluster_host_valid(ak_str_t host)
{
    return host.len > 0 && host.len <= AK_CLUSTER_HOST_MAX
           && ak_str_visible(host);
}


/*
 * Gives a new node a number.  One that was nobody's before is better: whoever
 * keeps something by number sees the old node go and then the new one come.
 */

static ak_rc_t
ak_cluster_add(ak_cluster_map_t *map, const ak_cluster_map_t *known,
    ak_str_t host, unsigned port, int *number)
{
    int  i, n;

    n = AK_CLUSTER_NOBODY;

    for (i = 0; i < AK_CLUSTER_NODES_MAX; i++) {

        if (map->nodes[i].host != NULL) {
            continue;
        }

        if (known->nodes[i].host == NULL) {
            n = i;
            break;
        }

        if (n == AK_CLUSTER_NOBODY) {
            n = i;
        }
    }

    if (n == AK_CLUSTER_NOBODY) {
        return AK_ERROR;
    }

    *number = n;

    return ak_cluster_put(map, n, host, port);
}


static ak_rc_t
ak_cluster_put(ak_cluster_map_t *map, int number, ak_str_t host,
    unsigned port)
{
    ak_cluster_entry_t  *e;

    e = &map->nodes[number];

    e->host = malloc(host.len);
    if (e->host == NULL) {
        return AK_NO_MEMORY;
    }

    memcpy(e->host, host.data, host.len);
    e->len = host.len;
    e->port = port;

    if (number >= map->last) {
        map->last = number + 1;
    }

    map->buckets[ak_cluster_bucket(map, host, port)] = (int16_t) number;

    return AK_OK;
}


static int
ak_cluster_number(const ak_cluster_map_t *map, ak_str_t host, unsigned port)
{
    return map->buckets[ak_cluster_bucket(map, host, port)];
}


/* Where the node is (FNV-1a), or would be: there is always an empty one. */

static unsigned
ak_cluster_bucket(const ak_cluster_map_t *map, ak_str_t host, unsigned port)
{
    size_t                     i;
    uint32_t                   h;
    const ak_cluster_entry_t  *e;

    h = (2166136261u ^ port) * 16777619u;

    for (i = 0; i < host.len; i++) {
        h = (h ^ host.data[i]) * 16777619u;
    }

    for (h ^= h >> 16; /* void */ ; h++) {
        h %= AK_CLUSTER_BUCKETS;

        if (map->buckets[h] == AK_CLUSTER_NOBODY) {
            return h;
        }

        e = &map->nodes[map->buckets[h]];

        if (e->port == port && ak_str_eq(ak_str(e->host, e->len), host)) {
            return h;
        }
    }
}


static void
ak_cluster_serve(ak_cluster_map_t *map, unsigned slot, int number)
{
    if (map->slots[slot] == AK_CLUSTER_NOBODY) {
        map->missing--;

    } else {
        map->nodes[map->slots[slot]].slots--;
    }

    map->slots[slot] = (int16_t) number;
    map->nodes[number].slots++;
}


ak_rc_t
ak_cluster_moved(ak_cluster_t *cluster, unsigned slot, ak_str_t host,
    unsigned port)
{
    int                n;
    ak_rc_t            rc;
    ak_cluster_map_t  *map;

    map = cluster->map;

    if (slot >= AK_CLUSTER_SLOTS || port < 1 || port > 65535
        || !ak_cluster_host_valid(host))
    {
        return AK_ERROR;
    }

    n = ak_cluster_number(map, host, port);

    if (n == AK_CLUSTER_NOBODY) {
        rc = ak_cluster_add(map, map, host, port, &n);

        if (rc != AK_OK) {
            return AK_NO_MEMORY;
        }
    }

    ak_cluster_serve(map, slot, n);

    return AK_OK;
}


int
ak_cluster_node(const ak_cluster_t *cluster, unsigned slot, unsigned turn)
{
    int                        n;
    const ak_cluster_entry_t  *e;

    if (slot >= AK_CLUSTER_SLOTS) {
        return AK_CLUSTER_NOBODY;
    }

    n = cluster->map->slots[slot];

    if (n == AK_CLUSTER_NOBODY || turn == 0) {
        return n;
    }

    e = &cluster->map->nodes[n];

    return (e->nreplicas == 0) ? n : e->replicas[(turn - 1) % e->nreplicas];
}


ak_cluster_node_t
ak_cluster_node_get(const ak_cluster_t *cluster, int number)
{
    ak_cluster_node_t          node;
    const ak_cluster_entry_t  *e;

    memset(&node, 0, sizeof(ak_cluster_node_t));

    if (number < 0 || number >= cluster->map->last) {
        return node;
    }

    e = &cluster->map->nodes[number];

    node.host = ak_str(e->host, e->len);
    node.port = e->port;
    node.master = e->slots > 0;

    return node;
}


int
ak_cluster_find(const ak_cluster_t *cluster, ak_str_t host, unsigned port)
{
    return ak_cluster_number(cluster->map, host, port);
}


int
ak_cluster_nodes(const ak_cluster_t *cluster)
{
    return cluster->map->last;
}


unsigned
ak_cluster_missing(const ak_cluster_t *cluster)
{
    return cluster->map->missing;
}
