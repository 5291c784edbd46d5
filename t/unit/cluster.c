
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the map of a cluster. */


#include "unit.h"

#include "ak_cluster.h"


#define ID_A  "$40\r\n5e85f370609a96a4af5b5431fa694667faf3452e\r\n"
#define ID_B  "$40\r\naf40c4c44d0588b45812fb34b522857043ece55f\r\n"

/* Nodes as Redis 3, 4 to 6 and 7 tell them. */

#define NODE(host, port)     "*2\r\n" host ":" #port "\r\n"
#define NODE4(host, port)    "*3\r\n" host ":" #port "\r\n" ID_A
#define NODE7(host, port)    "*4\r\n" host ":" #port "\r\n" ID_A "*0\r\n"

#define A  "$1\r\na\r\n"
#define B  "$1\r\nb\r\n"
#define C  "$1\r\nc\r\n"

#define RANGE(n, first, last)  "*" #n "\r\n:" #first "\r\n:" #last "\r\n"


/* Replies of redis-server 7.0.15, with the ids made alike. */

static const char  real_ip[] =
    "*4\r\n*3\r\n:0\r\n:8000\r\n*4\r\n$9\r\n127.0.0.1\r\n:17911\r\n" ID_A
    "*2\r\n$8\r\nhostname\r\n$14\r\nn17911.example\r\n"
    "*3\r\n:8001\r\n:8001\r\n*4\r\n$9\r\n127.0.0.1\r\n:17912\r\n" ID_B
    "*2\r\n$8\r\nhostname\r\n$14\r\nn17912.example\r\n"
    "*3\r\n:8002\r\n:8191\r\n*4\r\n$9\r\n127.0.0.1\r\n:17911\r\n" ID_A
    "*2\r\n$8\r\nhostname\r\n$14\r\nn17911.example\r\n"
    "*3\r\n:8192\r\n:16382\r\n*4\r\n$9\r\n127.0.0.1\r\n:17912\r\n" ID_B
    "*2\r\n$8\r\nhostname\r\n$14\r\nn17912.example\r\n";

/* cluster-preferred-endpoint-type hostname, but one has none */

static const char  real_hostname[] =
    "*4\r\n*3\r\n:0\r\n:8000\r\n*4\r\n$14\r\nn17911.example\r\n:17911\r\n" ID_A
    "*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
    "*3\r\n:8001\r\n:8001\r\n*4\r\n$1\r\n?\r\n:17912\r\n" ID_B
    "*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
    "*3\r\n:8002\r\n:8191\r\n*4\r\n$14\r\nn17911.example\r\n:17911\r\n" ID_A
    "*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
    "*3\r\n:8192\r\n:16382\r\n*4\r\n$1\r\n?\r\n:17912\r\n" ID_B
    "*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n";

/* cluster-preferred-endpoint-type unknown-endpoint */

static const char  real_unknown[] =
    "*2\r\n*3\r\n:0\r\n:8000\r\n*4\r\n$-1\r\n:17911\r\n" ID_A
    "*4\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$8\r\nhostname\r\n$14\r\n"
    "n17911.example\r\n"
    "*3\r\n:8001\r\n:8001\r\n*4\r\n$-1\r\n:17912\r\n" ID_B
    "*4\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$8\r\nhostname\r\n$14\r\n"
    "n17912.example\r\n";

/* What is known before and after a bad reply: slots 0 to 9 are of a:1. */

static const char  known[] = "*1\r\n" RANGE(3, 0, 9) NODE(A, 1);


static const struct {
    const char  *text;
    ak_rc_t      rc;
} refused[] = {
    { "-ERR This instance has cluster support disabled\r\n", AK_UNAVAILABLE },
    { "-NOPERM this user has no permissions\r\n", AK_UNAVAILABLE },
    { "*0\r\n", AK_UNAVAILABLE },
    { "*1\r\n" RANGE(3, 0, 1) NODE("$1\r\n?\r\n", 1), AK_UNAVAILABLE },

    { "+OK\r\n", AK_ERROR },
    { "*-1\r\n", AK_ERROR },
    { ":1\r\n", AK_ERROR },
    { "$1\r\na\r\n", AK_ERROR },
    { "*1\r\n*0\r\n", AK_ERROR },
    { "*1\r\n:1\r\n", AK_ERROR },
    { "*1\r\n*-1\r\n", AK_ERROR },
    { "*1\r\n*1\r\n:1\r\n", AK_ERROR },
    { "*1\r\n" RANGE(2, 0, 1), AK_ERROR },

    { "*1\r\n" RANGE(3, 2, 1) NODE(B, 1), AK_ERROR },
    { "*1\r\n" RANGE(3, -1, 1) NODE(B, 1), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 16384) NODE(B, 1), AK_ERROR },
    { "*1\r\n" RANGE(3, 16384, 16384) NODE(B, 1), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 9223372036854775807) NODE(B, 1), AK_ERROR },
    { "*1\r\n" RANGE(3, -9223372036854775808, 1) NODE(B, 1), AK_ERROR },
    { "*1\r\n*3\r\n$1\r\n0\r\n:1\r\n" NODE(B, 1), AK_ERROR },
    { "*1\r\n*3\r\n:0\r\n$1\r\n1\r\n" NODE(B, 1), AK_ERROR },
    { "*2\r\n" RANGE(3, 0, 5) NODE(B, 1) RANGE(3, 5, 6) NODE(C, 1),
      AK_ERROR },
    { "*2\r\n" RANGE(3, 5, 5) NODE(B, 1) RANGE(3, 0, 16383) NODE(C, 1),
      AK_ERROR },
    { "*2\r\n" RANGE(3, 5, 6) NODE(B, 1) RANGE(3, 6, 6) NODE(B, 1),
      AK_ERROR },

    { "*1\r\n" RANGE(3, 0, 1) "*0\r\n", AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) "*-1\r\n", AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) ":1\r\n", AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) "*1\r\n" B, AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE(B, 0), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE(B, -1), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE(B, 65536), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE(B, 4294967297), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) "*2\r\n" B "$1\r\n1\r\n", AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) "*2\r\n" B "$-1\r\n", AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE(":1\r\n", 1), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE("*0\r\n", 1), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE("$1\r\n \r\n", 1), AK_ERROR },
    { "*1\r\n" RANGE(3, 0, 1) NODE("$2\r\nb\n\r\n", 1), AK_ERROR },
    { "*1\r\n" RANGE(4, 0, 1) NODE(B, 1) NODE(C, 0), AK_ERROR },
    { "*1\r\n" RANGE(4, 0, 1) NODE(B, 1) "$1\r\nc\r\n", AK_ERROR },

    /* a good range before a bad one */

    { "*2\r\n" RANGE(3, 0, 5) NODE(B, 1) RANGE(3, 7, 6) NODE(C, 1), AK_ERROR }
};


/* In pieces, as a connection gives it. */

static ak_reply_t *
reply_of(const char *text)
{
    size_t       n, len;
    ak_rc_t      rc;
    ak_resp_t   *r;
    ak_reply_t  *reply;

    r = ak_resp_create();
    assert_non_null(r);
    ak_resp_widen(r);

    ak_resp_widen(r);

    len = strlen(text);

    do {
        n = len < 16384 ? len : 16384;

        assert_int_equal(ak_resp_feed(r, text, n), AK_OK);
        rc = ak_resp_next(r, &reply);

        text += n;
        len -= n;

    } while (rc == AK_AGAIN && len > 0);

    assert_case(rc == AK_OK && len == 0, "%s", ak_resp_error(r));

    ak_resp_free(r);

    return reply;
}


static ak_rc_t
update(ak_cluster_t *c, const char *text)
{
    ak_rc_t      rc;
    ak_reply_t  *reply;

    reply = reply_of(text);
    rc = ak_cluster_update(c, reply, S("asked"));
    ak_reply_free(reply);

    return rc;
}


static ak_cluster_t *
map_of(const char *text)
{
    ak_cluster_t  *c;

    c = ak_cluster_create();
    assert_non_null(c);
    assert_int_equal(update(c, text), AK_OK);

    return c;
}


/* Slot s is served by the node, in that turn. */

static void
check(ak_cluster_t *c, unsigned slot, unsigned turn, const char *host,
    unsigned port)
{
    int                n;
    ak_cluster_node_t  node;

    n = ak_cluster_node(c, slot, turn);
    assert_case(n >= 0, "nobody serves %u", slot);
    assert_true(n < ak_cluster_nodes(c));

    node = ak_cluster_node_get(c, n);

    assert_str(node.host, host);
    assert_int_equal(node.port, port);
    assert_int_equal(ak_cluster_find(c, ak_cstr(host), port), n);

    if (turn == 0) {
        assert_true(node.master);
    }
}


static void
test_slot(void **state)
{
    size_t    i;
    ak_str_t  key;

    /* the example of the specification, and what redis-server 7.0.15 says */

    static const struct {
        const char  *key;
        unsigned     slot;
    } cases[] = {
        { "123456789", 0x31c3 % 16384 }, { "", 0 }, { "foo", 12182 },
        { "{user1000}.following", 3443 }, { "{user1000}.followers", 3443 },
        { "user1000", 3443 },
        { "foo{}{bar}", 8363 },
        { "foo{{bar}}zap", 4015 }, { "{bar", 4015 },
        { "foo{bar}{zap}", 5061 }, { "bar", 5061 },
        { "apikey:key:A1b2C3d4E5f6", 4443 },
        { "a}b{c", 13587 }, { "{x", 11068 }
    };

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        key = unit_exact(ak_cstr(cases[i].key));

        assert_case(ak_cluster_slot(key) == cases[i].slot, "%s: %u",
                    cases[i].key, ak_cluster_slot(key));
        unit_free(key);
    }

    assert_int_equal(ak_cluster_slot(ak_str(NULL, 0)), 0);
}


static void
test_empty(void **state)
{
    ak_cluster_t  *c;

    (void) state;

    c = ak_cluster_create();
    assert_non_null(c);

    assert_int_equal(ak_cluster_missing(c), AK_CLUSTER_SLOTS);
    assert_int_equal(ak_cluster_nodes(c), 0);
    assert_int_equal(ak_cluster_node(c, 0, 0), -1);
    assert_int_equal(ak_cluster_node(c, 16383, 1), -1);
    assert_int_equal(ak_cluster_node(c, 16384, 0), -1);
    assert_int_equal(ak_cluster_node(c, UINT32_MAX, 0), -1);
    assert_int_equal(ak_cluster_find(c, S("a"), 1), -1);
    assert_null(ak_cluster_node_get(c, 0).host.data);
    assert_null(ak_cluster_node_get(c, -1).host.data);
    assert_null(ak_cluster_node_get(c, AK_CLUSTER_NODES_MAX).host.data);

    ak_cluster_free(c);
    ak_cluster_free(NULL);
}


static void
test_real(void **state)
{
    ak_cluster_t  *c;

    (void) state;

    c = map_of(real_ip);

    assert_int_equal(ak_cluster_nodes(c), 2);
    assert_int_equal(ak_cluster_missing(c), 1);
    assert_int_equal(ak_cluster_node(c, 16383, 0), -1);
    check(c, 0, 0, "127.0.0.1", 17911);
    check(c, 8000, 0, "127.0.0.1", 17911);
    check(c, 8001, 0, "127.0.0.1", 17912);
    check(c, 8002, 0, "127.0.0.1", 17911);
    check(c, 8191, 0, "127.0.0.1", 17911);
    check(c, 8192, 0, "127.0.0.1", 17912);
    check(c, 16382, 0, "127.0.0.1", 17912);

    /* no replicas: reading from them means the master */

    check(c, 0, 1, "127.0.0.1", 17911);

    ak_cluster_free(c);

    c = map_of(real_hostname);
    check(c, 0, 0, "n17911.example", 17911);
    check(c, 8001, 0, "127.0.0.1", 17912);
    assert_int_equal(ak_cluster_missing(c), 1);
    ak_cluster_free(c);

    c = map_of(real_unknown);
    check(c, 0, 0, "asked", 17911);
    check(c, 8001, 0, "asked", 17912);
    ak_cluster_free(c);
}


static void
test_versions(void **state)
{
    ak_cluster_t  *c;

    (void) state;

    /* Redis 3 */

    c = map_of("*2\r\n" RANGE(4, 0, 5460) NODE(A, 7000) NODE(A, 7003)
               RANGE(5, 5461, 16383) NODE(A, 7001) NODE(B, 7004)
               NODE(C, 7005));

    assert_int_equal(ak_cluster_missing(c), 0);
    assert_int_equal(ak_cluster_nodes(c), 5);
    check(c, 5460, 0, "a", 7000);
    check(c, 5460, 1, "a", 7003);
    check(c, 5460, 2, "a", 7003);
    check(c, 5461, 0, "a", 7001);
    check(c, 16383, 1, "b", 7004);
    check(c, 16383, 2, "c", 7005);
    check(c, 16383, 3, "b", 7004);
    check(c, 16383, UINT32_MAX, "b", 7004);

    assert_false(ak_cluster_node_get(c, ak_cluster_node(c, 0, 1)).master);

    ak_cluster_free(c);

    /* 4 to 6, of a node that does not know its own address */

    c = map_of("*1\r\n" RANGE(4, 0, 16383) NODE4("$0\r\n\r\n", 1)
               NODE4("$3\r\n::1\r\n", 2));
    check(c, 0, 0, "asked", 1);
    check(c, 0, 1, "::1", 2);
    ak_cluster_free(c);

    /* 7, and whatever else may follow */

    c = map_of("*1\r\n" RANGE(4, 0, 16383) NODE7(A, 1)
               "*5\r\n" B ":2\r\n" ID_B "*0\r\n:7\r\n");
    check(c, 0, 0, "a", 1);
    check(c, 0, 1, "b", 2);
    ak_cluster_free(c);

    /* nodes at no known host: such a replica, such a master */

    c = map_of("*2\r\n" RANGE(5, 0, 99) NODE7(A, 1) NODE7("$1\r\n?\r\n", 2)
               NODE7(C, 3) RANGE(4, 100, 199) NODE7("$1\r\n?\r\n", 4)
               NODE7(B, 5));
    check(c, 0, 1, "c", 3);
    check(c, 0, 2, "c", 3);
    assert_int_equal(ak_cluster_node(c, 100, 0), -1);
    assert_int_equal(ak_cluster_node(c, 100, 1), -1);
    assert_int_equal(ak_cluster_missing(c), AK_CLUSTER_SLOTS - 100);
    assert_int_equal(ak_cluster_nodes(c), 2);
    ak_cluster_free(c);
}


static void
test_replicas(void **state)
{
    int            i, n;
    char           text[1024];
    ak_cluster_t  *c;

    (void) state;

    /* the same twice, and the master among them */

    c = map_of("*1\r\n" RANGE(7, 0, 9) NODE(A, 1) NODE(B, 1) NODE(A, 1)
               NODE(B, 1) NODE(C, 1));
    check(c, 0, 1, "b", 1);
    check(c, 0, 2, "c", 1);
    check(c, 0, 3, "b", 1);
    assert_int_equal(ak_cluster_nodes(c), 3);
    ak_cluster_free(c);

    /* those of several ranges, once each */

    c = map_of("*3\r\n" RANGE(3, 0, 1) NODE(A, 1) RANGE(4, 4, 5) NODE(A, 1)
               NODE(B, 1) RANGE(5, 2, 3) NODE(A, 1) NODE(C, 1) NODE(B, 1));
    check(c, 0, 1, "b", 1);
    check(c, 4, 2, "c", 1);
    check(c, 2, 3, "b", 1);
    ak_cluster_free(c);

    /* more than are kept, in one range and in several */

    n = sprintf(text, "*1\r\n*12\r\n:0\r\n:9\r\n");

    for (i = 0; i < 10; i++) {
        n += sprintf(text + n, "*2\r\n$1\r\na\r\n:%d\r\n", 100 + i);
    }

    c = map_of(text);
    assert_int_equal(ak_cluster_nodes(c), 1 + AK_CLUSTER_REPLICAS_MAX);
    check(c, 0, 0, "a", 100);
    check(c, 0, 8, "a", 108);
    check(c, 0, 9, "a", 101);
    assert_int_equal(ak_cluster_find(c, S("a"), 109), -1);
    ak_cluster_free(c);

    n = sprintf(text, "*10\r\n");

    for (i = 0; i < 10; i++) {
        n += sprintf(text + n, RANGE(4, %d, %d) NODE(A, 100)
                     "*2\r\n$1\r\na\r\n:%d\r\n", i, i, 101 + i);
    }

    c = map_of(text);
    check(c, 9, 8, "a", 108);
    check(c, 9, 9, "a", 101);
    assert_int_equal(ak_cluster_nodes(c), 1 + AK_CLUSTER_REPLICAS_MAX);
    ak_cluster_free(c);
}


static void
test_refused(void **state)
{
    size_t         i;
    ak_rc_t        rc;
    ak_cluster_t  *c;
    ak_reply_t    *reply;

    (void) state;

    c = map_of(known);

    for (i = 0; i < ak_nitems(refused); i++) {
        rc = update(c, refused[i].text);

        assert_case(rc == refused[i].rc, "%d: %s", rc, refused[i].text);
        assert_int_equal(ak_cluster_missing(c), AK_CLUSTER_SLOTS - 10);
        assert_int_equal(ak_cluster_nodes(c), 1);
        check(c, 9, 0, "a", 1);
        assert_int_equal(ak_cluster_find(c, S("b"), 1), -1);
    }

    assert_int_equal(ak_cluster_update(c, NULL, S("asked")), AK_UNAVAILABLE);

    /* a host that is not told, where none was asked (a socket, say) */

    reply = reply_of(real_unknown);
    assert_int_equal(ak_cluster_update(c, reply, ak_str(NULL, 0)), AK_ERROR);
    ak_reply_free(reply);

    check(c, 9, 0, "a", 1);
    ak_cluster_free(c);
}


/* Ranges of one slot each, of so many masters at ports from "base" on. */

static char *
many(unsigned ranges, unsigned masters, unsigned replicas, unsigned base)
{
    char      *text, *p;
    unsigned   i, j, m;

    text = malloc(64 + (size_t) ranges * (64 + 256 * (1 + replicas)));
    assert_non_null(text);

    p = text + sprintf(text, "*%u\r\n", ranges);

    for (i = 0; i < ranges; i++) {
        m = i % masters;

        p += sprintf(p, "*%u\r\n:%u\r\n:%u\r\n", 3 + replicas, i * 4, i * 4);

        for (j = 0; j <= replicas; j++) {
            p += sprintf(p, "*4\r\n$50\r\nredis-%03u-%u."
                         "name-that-is-long-for-a-node-internal.\r\n"
                         ":%u\r\n" ID_A "*2\r\n$2\r\nip\r\n"
                         "$15\r\n192.168.100.100\r\n",
                         m % 1000, j, base + m);
        }
    }

    return text;
}


/* The largest reply that the limits of ak_resp.h are made for. */

static void
test_large(void **state)
{
    char               *text;
    unsigned            i;
    ak_cluster_t       *c;
    ak_cluster_node_t   node;

    (void) state;

    text = many(AK_RESP_ELEMENTS_MAX, 100, 2, 7000);
    c = map_of(text);
    free(text);

    assert_int_equal(ak_cluster_nodes(c), 300);
    assert_int_equal(ak_cluster_missing(c),
                     AK_CLUSTER_SLOTS - AK_RESP_ELEMENTS_MAX);

    for (i = 0; i < AK_RESP_ELEMENTS_MAX; i++) {
        node = ak_cluster_node_get(c, ak_cluster_node(c, i * 4, 0));
        assert_int_equal(node.port, 7000 + i % 100);
        node = ak_cluster_node_get(c, ak_cluster_node(c, i * 4, 2));
        assert_int_equal(node.port, 7000 + i % 100);
        assert_int_equal(node.host.data[10], '2');
    }

    ak_cluster_free(c);
}


static void
test_nodes_max(void **state)
{
    char          *text;
    unsigned       i;
    ak_cluster_t  *c;

    (void) state;

    text = many(AK_CLUSTER_NODES_MAX, AK_CLUSTER_NODES_MAX, 0, 1000);
    c = map_of(text);
    free(text);
    assert_int_equal(ak_cluster_nodes(c), AK_CLUSTER_NODES_MAX);

    text = many(AK_CLUSTER_NODES_MAX + 1, AK_CLUSTER_NODES_MAX + 1, 0, 1000);
    assert_int_equal(update(c, text), AK_ERROR);
    free(text);

    assert_int_equal(ak_cluster_moved(c, 1, S("x"), 1), AK_NO_MEMORY);
    assert_int_equal(ak_cluster_node(c, 1, 0), -1);

    /* all others: there are no numbers that were nobody's */

    text = many(AK_CLUSTER_NODES_MAX, AK_CLUSTER_NODES_MAX, 0, 10000);
    assert_int_equal(update(c, text), AK_OK);
    free(text);

    assert_int_equal(ak_cluster_nodes(c), AK_CLUSTER_NODES_MAX);

    for (i = 0; i < AK_CLUSTER_NODES_MAX; i++) {
        assert_int_equal(ak_cluster_node_get(c, ak_cluster_node(c, i * 4, 0))
                         .port, 10000 + i);
    }

    ak_cluster_free(c);
}


static void
test_numbers(void **state)
{
    int            a, b, n;
    ak_cluster_t  *c;

    (void) state;

    c = map_of("*3\r\n" RANGE(3, 0, 1) NODE(A, 1) RANGE(3, 2, 3) NODE(B, 1)
               RANGE(3, 4, 5) NODE(C, 1));

    a = ak_cluster_find(c, S("a"), 1);
    b = ak_cluster_find(c, S("b"), 1);
    n = ak_cluster_find(c, S("c"), 1);

    /* in another order, with a new one before them; c left */

    assert_int_equal(update(c, "*3\r\n" RANGE(3, 0, 1) NODE(A, 2)
                            RANGE(3, 2, 3) NODE(B, 1)
                            RANGE(3, 4, 5) NODE(A, 1)), AK_OK);

    assert_int_equal(ak_cluster_find(c, S("a"), 1), a);
    assert_int_equal(ak_cluster_find(c, S("b"), 1), b);
    assert_int_equal(ak_cluster_find(c, S("c"), 1), -1);
    assert_null(ak_cluster_node_get(c, n).host.data);
    assert_int_equal(ak_cluster_find(c, S("a"), 2), 3);
    assert_int_equal(ak_cluster_nodes(c), 4);

    /* c comes back, to the number that was nobody's */

    assert_int_equal(update(c, "*4\r\n" RANGE(3, 0, 1) NODE(C, 1)
                            RANGE(3, 2, 3) NODE(B, 1)
                            RANGE(3, 4, 5) NODE(A, 1)
                            RANGE(3, 6, 6) NODE(A, 2)), AK_OK);

    assert_int_equal(ak_cluster_find(c, S("a"), 1), a);
    assert_int_equal(ak_cluster_find(c, S("b"), 1), b);
    assert_int_equal(ak_cluster_find(c, S("c"), 1), n);
    assert_int_equal(ak_cluster_find(c, S("a"), 2), 3);
    check(c, 0, 0, "c", 1);
    check(c, 4, 0, "a", 1);

    ak_cluster_free(c);
}


static void
test_moved(void **state)
{
    char           long_host[255];
    ak_cluster_t  *c;

    (void) state;

    c = map_of("*2\r\n" RANGE(4, 0, 1) NODE(A, 1) NODE(B, 1)
               RANGE(3, 2, 2) NODE(C, 1));

    /* to a known master, to a replica, to a new node, to a free slot */

    assert_int_equal(ak_cluster_moved(c, 2, S("a"), 1), AK_OK);
    check(c, 2, 0, "a", 1);
    check(c, 2, 1, "b", 1);
    assert_int_equal(ak_cluster_find(c, S("c"), 1), 2);
    assert_false(ak_cluster_node_get(c, 2).master);

    assert_int_equal(ak_cluster_moved(c, 1, S("b"), 1), AK_OK);
    check(c, 0, 0, "a", 1);
    check(c, 1, 0, "b", 1);
    check(c, 1, 1, "b", 1);

    assert_int_equal(ak_cluster_moved(c, 1, S("new"), 65535), AK_OK);
    check(c, 1, 0, "new", 65535);
    check(c, 1, 1, "new", 65535);
    assert_int_equal(ak_cluster_nodes(c), 4);

    assert_int_equal(ak_cluster_missing(c), AK_CLUSTER_SLOTS - 3);
    assert_int_equal(ak_cluster_moved(c, 16383, S("new"), 65535), AK_OK);
    assert_int_equal(ak_cluster_missing(c), AK_CLUSTER_SLOTS - 4);
    check(c, 16383, 0, "new", 65535);

    /* what is none */

    memset(long_host, 'a', sizeof(long_host));

    assert_int_equal(ak_cluster_moved(c, 16384, S("x"), 1), AK_ERROR);
    assert_int_equal(ak_cluster_moved(c, 0, S(""), 1), AK_ERROR);
    assert_int_equal(ak_cluster_moved(c, 0, S("x y"), 1), AK_ERROR);
    assert_int_equal(ak_cluster_moved(c, 0, S("x"), 0), AK_ERROR);
    assert_int_equal(ak_cluster_moved(c, 0, S("x"), 65536), AK_ERROR);
    assert_int_equal(ak_cluster_moved(c, 0, ak_str(long_host, 254), 1),
                     AK_ERROR);
    assert_int_equal(ak_cluster_moved(c, 0, ak_str(long_host, 253), 1), AK_OK);

    /* the next update says how it is */

    assert_int_equal(update(c, known), AK_OK);
    check(c, 0, 0, "a", 1);
    check(c, 1, 0, "a", 1);
    assert_int_equal(ak_cluster_find(c, S("new"), 65535), -1);
    assert_int_equal(ak_cluster_missing(c), AK_CLUSTER_SLOTS - 10);

    ak_cluster_free(c);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_slot),
    cmocka_unit_test(test_empty),
    cmocka_unit_test(test_real),
    cmocka_unit_test(test_versions),
    cmocka_unit_test(test_replicas),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_large),
    cmocka_unit_test(test_nodes_max),
    cmocka_unit_test(test_numbers),
    cmocka_unit_test(test_moved)
};


UNIT_MAIN(tests)
