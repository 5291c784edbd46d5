
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "ctl_doctor.h"


#define CTL_TRACKS    6                /* the major version that tracks keys */
#define CTL_SKEW_MAX  2000             /* ms between two clocks */
#define CTL_LAG_MAX   10               /* s of a replica */


/* A server that is looked at; info is NULL where it did not say. */

typedef struct {
    ctl_doctor_t  *doc;
    ctl_wire_t    *wire;
    char           name[300];
    char          *info;
} ctl_patient_t;


/* One command; NULL where the wire broke, or it was refused. */

static ak_reply_t *
ctl_patient_ask(ctl_patient_t *p, const char *one, const char *two,
    const char *three)
{
    size_t       argc;
    ak_str_t     argv[3];
    ak_reply_t  *reply;

    argc = 1 + (two != NULL) + (three != NULL);

    argv[0] = ak_cstr(one);
    argv[1] = ak_cstr(two);
    argv[2] = ak_cstr(three);

    if (ctl_wire_ask(p->wire, argv, argc, &reply) != CTL_WIRE_OK
        || reply->type == AK_REPLY_ERROR)
    {
        ctl_reply_free(reply);
        return NULL;
    }

    return reply;
}


/* The value of a line "name:value" of INFO; false: there is none. */

static bool
ctl_patient_info(const ctl_patient_t *p, const char *name, char *value,
    size_t size)
{
    size_t       len, n;
    const char  *line;

    n = strlen(name);
    line = p->info;

    while (line != NULL && *line != '\0') {

        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            line += n + 1;
            len = strcspn(line, "\r\n");
            len = (len < size) ? len : size - 1;

            memcpy(value, line, len);
            value[len] = '\0';

            return true;
        }

        line = strchr(line, '\n');
        line = (line == NULL) ? NULL : line + 1;
    }

    return false;
}


/* The value of a member of a map, as RESP2 has it: name, value, ... */

static const ak_reply_t *
ctl_patient_member(const ak_reply_t *map, const char *name)
{
    size_t  i;

    for (i = 0; map != NULL && i + 1 < map->n; i += 2) {
        if (ak_str_eq(map->elements[i]->str, ak_cstr(name))) {
            return map->elements[i + 1];
        }
    }

    return NULL;
}


/* HELLO is open to all users, but is of version 6. */

static void
ctl_patient_version(ctl_patient_t *p)
{
    char               version[64];
    ak_reply_t        *hello;
    const ak_reply_t  *said;

    hello = ctl_patient_ask(p, "HELLO", "2", NULL);
    said = ctl_patient_member(hello, "version");

    if (said != NULL) {
        (void) snprintf(version, sizeof(version), "%.*s", AK_FMT(said->str));

    } else if (!ctl_patient_info(p, "redis_version", version,
                                 sizeof(version)))
    {
        (void) snprintf(version, sizeof(version), "older than 6");
    }

    ctl_reply_free(hello);

    if (atoi(version) >= CTL_TRACKS) {
        ctl_doctor_tell(p->doc, CTL_FOUND_OK, "version", p->name, NULL,
                        "%s, which tracks what caches hold", version);

    } else {
        ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "version", p->name,
                        "take Redis 6 or later", "%s, which does not track "
                        "what caches hold: they see changes that are not "
                        "published only after their ttl", version);
    }
}


static void
ctl_patient_memory(ctl_patient_t *p)
{
    char         policy[64], max[32];
    ak_reply_t  *reply;

    policy[0] = '\0';

    if (!ctl_patient_info(p, "maxmemory_policy", policy, sizeof(policy))) {
        reply = ctl_patient_ask(p, "CONFIG", "GET", "maxmemory-policy");

        if (reply != NULL && reply->n == 2) {
            (void) snprintf(policy, sizeof(policy), "%.*s",
                            AK_FMT(reply->elements[1]->str));
        }

        ctl_reply_free(reply);
    }

    if (policy[0] == '\0') {
        ctl_doctor_tell(p->doc, CTL_FOUND_UNKNOWN, "memory", p->name, NULL,
                        "the user may ask neither INFO nor CONFIG GET");
        return;
    }

    if (strcmp(policy, "noeviction") == 0) {
        ctl_doctor_tell(p->doc, CTL_FOUND_OK, "memory", p->name, NULL,
                        "maxmemory-policy noeviction");
        return;
    }

    if (!ctl_patient_info(p, "maxmemory", max, sizeof(max))) {
        max[0] = '\0';
    }

    ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "memory", p->name,
                    "CONFIG SET maxmemory-policy noeviction",
                    "maxmemory-policy %s: records may be evicted%s", policy,
                    strcmp(max, "0") == 0 ? ", once maxmemory is set" : "");
}


static void
ctl_patient_disk(ctl_patient_t *p)
{
    bool         aof;
    char         value[64];
    ak_reply_t  *reply;

    if (!ctl_patient_info(p, "aof_enabled", value, sizeof(value))) {
        ctl_doctor_tell(p->doc, CTL_FOUND_UNKNOWN, "persistence", p->name,
                        NULL, "the user may not ask INFO");
        return;
    }

    aof = (strcmp(value, "1") == 0);

    if ((ctl_patient_info(p, "rdb_last_bgsave_status", value, sizeof(value))
         && strcmp(value, "ok") != 0)
        || (aof && ctl_patient_info(p, "aof_last_write_status", value,
                                    sizeof(value))
            && strcmp(value, "ok") != 0))
    {
        ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "persistence", p->name,
                        "see its log, and whether the disk is full",
                        "it could not write its data to the disk");
        return;
    }

    if (aof) {
        ctl_doctor_tell(p->doc, CTL_FOUND_OK, "persistence", p->name, NULL,
                        "appendonly yes");
        return;
    }

    reply = ctl_patient_ask(p, "CONFIG", "GET", "save");

    if (reply == NULL || reply->n != 2) {
        ctl_doctor_tell(p->doc, CTL_FOUND_UNKNOWN, "persistence", p->name,
                        NULL, "appendonly no; whether it saves snapshots is "
                        "not told (CONFIG GET)");

    } else if (reply->elements[1]->str.len == 0) {
        ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "persistence", p->name,
                        "CONFIG SET appendonly yes",
                        "it writes nothing to the disk: all keys are gone "
                        "when it ends");

    } else {
        ctl_doctor_tell(p->doc, CTL_FOUND_OK, "persistence", p->name, NULL,
                        "snapshots, save \"%.*s\"",
                        AK_FMT(reply->elements[1]->str));
    }

    ctl_reply_free(reply);
}


/* "slave0:ip=10.0.0.6,port=6379,state=online,offset=14,lag=0" */

static void
ctl_patient_replicas(ctl_patient_t *p)
{
    char         name[32], value[256];
    unsigned     i, bad;
    const char  *lag;

    bad = 0;

    for (i = 0; ; i++) {
        (void) snprintf(name, sizeof(name), "slave%u", i);

        if (!ctl_patient_info(p, name, value, sizeof(value))) {
            break;
        }

        lag = strstr(value, "lag=");

        if (strstr(value, "state=online") == NULL
            || (lag != NULL && atoi(lag + 4) > CTL_LAG_MAX))
        {
            bad++;
            ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "replicas", p->name,
                            "see its log; a failover now would lose changes",
                            "one does not keep up: %s", value);
        }
    }

    if (bad == 0) {
        ctl_doctor_tell(p->doc, CTL_FOUND_OK, "role", p->name, NULL,
                        "master, replicas: %u", i);
    }
}


static void
ctl_patient_role(ctl_patient_t *p)
{
    char          role[32], link[32];
    ctl_found_e   found;

    if (!ctl_patient_info(p, "role", role, sizeof(role))) {
        return;                        /* told with the others of INFO */
    }

    if (strcmp(role, "master") == 0) {
        ctl_patient_replicas(p);
        return;
    }

    if (ctl_patient_info(p, "master_link_status", link, sizeof(link))
        && strcmp(link, "up") != 0)
    {
        ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "role", p->name,
                        "see its log", "a replica that has lost its master");
        return;
    }

    /* in a cluster that is as it should be */

    found = (p->doc->ctl->conf.topology == AK_STORE_CLUSTER)
            ? CTL_FOUND_OK : CTL_FOUND_WARNING;

    ctl_doctor_tell(p->doc, found, "role", p->name,
                    found == CTL_FOUND_OK ? NULL
                    : "name its master first, or the sentinels",
                    "a replica%s", found == CTL_FOUND_OK ? ""
                    : ": apikeyctl cannot change anything there");
}


static void
ctl_patient_clock(ctl_patient_t *p)
{
    char             text[32];
    int64_t          there, here, skew;
    ak_reply_t      *reply;
    struct timeval   tv;

    reply = ctl_patient_ask(p, "TIME", NULL, NULL);

    if (reply == NULL || reply->n != 2 || reply->elements[0]->str.len > 20) {
        ctl_reply_free(reply);
        ctl_doctor_tell(p->doc, CTL_FOUND_UNKNOWN, "clock", p->name, NULL,
                        "the user may not ask TIME");
        return;
    }

    gettimeofday(&tv, NULL);

    (void) snprintf(text, sizeof(text), "%.*s",
                    AK_FMT(reply->elements[0]->str));
    there = (int64_t) strtoll(text, NULL, 10) * 1000;

    (void) snprintf(text, sizeof(text), "%.6s",
                    (const char *) reply->elements[1]->str.data);
    there += (int64_t) strtoll(text, NULL, 10) / 1000;

    ctl_reply_free(reply);

    here = (int64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
    skew = there - here;

    if (skew > CTL_SKEW_MAX || skew < -CTL_SKEW_MAX) {
        ctl_doctor_tell(p->doc, CTL_FOUND_WARNING, "clock", p->name,
                        "let both be set by NTP", "it is %" PRId64 " ms %s "
                        "the clock here: when keys expire depends on it",
                        skew < 0 ? -skew : skew,
                        skew < 0 ? "behind" : "ahead of");

    } else {
        ctl_doctor_tell(p->doc, CTL_FOUND_OK, "clock", p->name, NULL,
                        "%" PRId64 " ms from the clock here", skew);
    }
}


void
ctl_doctor_server(ctl_doctor_t *doc, ctl_wire_t *w)
{
    ak_reply_t     *reply;
    ctl_patient_t   p;

    memset(&p, 0, sizeof(ctl_patient_t));
    p.doc = doc;
    p.wire = w;

    if (w->port == 0) {
        (void) snprintf(p.name, sizeof(p.name), "%s", w->host);

    } else {
        (void) snprintf(p.name, sizeof(p.name), "%.255s:%u", w->host, w->port);
    }

    reply = ctl_patient_ask(&p, "INFO", NULL, NULL);

    if (reply != NULL) {
        p.info = ctl_strdup(reply->str);
    }

    ctl_reply_free(reply);

    ctl_patient_version(&p);
    ctl_patient_role(&p);
    ctl_patient_memory(&p);
    ctl_patient_disk(&p);
    ctl_patient_clock(&p);

    ctl_free(p.info);
}
