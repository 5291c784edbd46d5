
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ctl_resolve.h"


/*
 * getaddrinfo() knows no deadline, so a thread waits for it.  Whoever of the
 * two, the thread and the one who asked, is the last to leave frees all.
 */

typedef struct {
    pthread_mutex_t   mutex;
    pthread_cond_t    done_cond;
    char             *host;
    char              port[8];
    int               rc;
    struct addrinfo  *res;
    bool              done;
    bool              abandoned;
} ctl_lookup_t;


int64_t
ctl_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static int
ctl_getaddrinfo(const char *host, const char *port, int flags,
    struct addrinfo **res)
{
    struct addrinfo  hints;

    memset(&hints, 0, sizeof(struct addrinfo));

    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | flags;

    *res = NULL;

    return getaddrinfo(host, port, &hints, res);
}


static void
ctl_lookup_free(ctl_lookup_t *l)
{
    if (l->res != NULL) {
        freeaddrinfo(l->res);
    }

    pthread_cond_destroy(&l->done_cond);
    pthread_mutex_destroy(&l->mutex);
    ctl_free(l->host);
    ctl_free(l);
}


static void *
ctl_lookup_thread(void *data)
{
    int               rc;
    bool              abandoned;
    ctl_lookup_t     *l;
    struct addrinfo  *res;

    l = data;

    rc = ctl_getaddrinfo(l->host, l->port, AI_ADDRCONFIG, &res);

    pthread_mutex_lock(&l->mutex);

    l->rc = rc;
    l->res = res;
    l->done = true;
    abandoned = l->abandoned;
    pthread_cond_signal(&l->done_cond);

    pthread_mutex_unlock(&l->mutex);

    if (abandoned) {
        ctl_lookup_free(l);
    }

    return NULL;
}


static ctl_lookup_t *
ctl_lookup_start(char *host, const char *port)
{
    ctl_lookup_t        *l;
    pthread_t            thread;
    pthread_condattr_t   attr;

    l = ctl_alloc(sizeof(ctl_lookup_t));
    memset(l, 0, sizeof(ctl_lookup_t));

    l->host = host;
    snprintf(l->port, sizeof(l->port), "%s", port);

    pthread_mutex_init(&l->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->done_cond, &attr);
    pthread_condattr_destroy(&attr);

    if (pthread_create(&thread, NULL, ctl_lookup_thread, l) != 0) {
        ctl_lookup_free(l);
        return NULL;
    }

    pthread_detach(thread);

    return l;
}


static ak_rc_t
ctl_lookup_wait(ctl_lookup_t *l, int64_t deadline, struct addrinfo **res,
    ak_diag_t *why)
{
    int              rc;
    bool             done;
    struct timespec  ts;

    ts.tv_sec = deadline / 1000;
    ts.tv_nsec = deadline % 1000 * 1000000;

    pthread_mutex_lock(&l->mutex);

    rc = 0;

    while (!l->done && rc == 0) {
        rc = pthread_cond_timedwait(&l->done_cond, &l->mutex, &ts);
    }

    done = l->done;
    l->abandoned = !done;

    pthread_mutex_unlock(&l->mutex);

    if (!done) {
        return ak_diag(why, "the name could not be resolved in time");
    }

    rc = l->rc;
    *res = l->res;
    l->res = NULL;

    ctl_lookup_free(l);

    if (rc != 0) {
        return ak_diag(why, "the name cannot be resolved: %s",
                       gai_strerror(rc));
    }

    return AK_OK;
}


ak_rc_t
ctl_resolve(ak_str_t host, unsigned port, int64_t deadline,
    struct addrinfo **res, ak_diag_t *why)
{
    char           number[8], *name;
    ctl_lookup_t  *l;

    snprintf(number, sizeof(number), "%u", port % 65536);
    name = ctl_strdup(host);

    if (ctl_getaddrinfo(name, number, AI_NUMERICHOST, res) == 0) {
        ctl_free(name);
        return AK_OK;
    }

    l = ctl_lookup_start(name, number);

    if (l == NULL) {
        return ak_diag(why, "there is no thread to resolve the name in");
    }

    return ctl_lookup_wait(l, deadline, res, why);
}
