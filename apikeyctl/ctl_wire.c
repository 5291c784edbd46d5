
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ak_redis_error.h"
#include "ctl_resolve.h"
#include "ctl_wire.h"


#define CTL_READ_SIZE  16384
#define CTL_HANDSHAKE  "refused the handshake: "


/* Waits until the socket is ready or the deadline has passed. */

static ak_rc_t
ctl_wire_poll(int fd, short events, int64_t deadline, ak_diag_t *why)
{
    int            rc;
    int64_t        left;
    struct pollfd  pfd;

    for ( ;; ) {
        left = deadline - ctl_now();

        if (left < 0) {
            return ak_diag(why, "no answer in time");
        }

        pfd.fd = fd;
        pfd.events = events;

        /* one millisecond more, since the clock was rounded down */

        rc = poll(&pfd, 1, (int) left + 1);

        if (rc > 0) {
            return AK_OK;
        }

        if (rc < 0 && errno != EINTR) {
            return ak_diag(why, "%s", strerror(errno));
        }
    }
}


static int
ctl_wire_connect(const struct sockaddr *addr, socklen_t len, int64_t deadline,
    ak_diag_t *why)
{
    int        err, fd;
    socklen_t  size;

    fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        (void) ak_diag(why, "%s", strerror(errno));
        return -1;
    }

    if (connect(fd, addr, len) == 0) {
        return fd;
    }

    /* a unix socket whose queue is full says EAGAIN: no waiting for that */

    err = errno;

    if (err == EINPROGRESS) {
        if (ctl_wire_poll(fd, POLLOUT, deadline, why) != AK_OK) {
            close(fd);
            return -1;
        }

        size = sizeof(err);

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0) {
            err = errno;
        }
    }

    if (err == 0) {
        return fd;
    }

    (void) ak_diag(why, "%s", strerror(err));
    close(fd);

    return -1;
}


static int
ctl_wire_connect_unix(ak_str_t path, int64_t deadline, ak_diag_t *why)
{
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;

    if (path.len >= sizeof(sun.sun_path)) {
        (void) ak_diag(why, "the path of the socket is too long");
        return -1;
    }

    memcpy(sun.sun_path, path.data, path.len);

    return ctl_wire_connect((struct sockaddr *) &sun,
                            sizeof(struct sockaddr_un), deadline, why);
}


/* Every address of the name gets its share of the time. */

static int
ctl_wire_connect_tcp(ak_str_t host, unsigned port, int64_t deadline,
    ak_diag_t *why)
{
    int               fd;
    int64_t           now;
    unsigned          left;
    struct addrinfo  *a, *res;

    if (ctl_resolve(host, port, deadline, &res, why) != AK_OK) {
        return -1;
    }

    left = 0;

    for (a = res; a != NULL; a = a->ai_next) {
        left++;
    }

    fd = -1;

    for (a = res; a != NULL && fd == -1; a = a->ai_next) {
        now = ctl_now();
        fd = ctl_wire_connect(a->ai_addr, a->ai_addrlen,
                              now + (deadline - now) / left, why);
        left--;
    }

    freeaddrinfo(res);

    return fd;
}


/* As read(2) and write(2), but 0 is "when one of the events has come". */

static ssize_t
ctl_wire_write(ctl_wire_t *w, ak_str_t out, short *events)
{
    ssize_t  n;

    if (w->tls != NULL) {
        return ctl_tls_write(w->tls, out, events, &w->why);
    }

    n = send(w->fd, out.data, out.len, MSG_NOSIGNAL);

    if (n > 0) {
        return n;
    }

    if (errno != EAGAIN && errno != EINTR) {
        (void) ak_diag(&w->why, "%s", strerror(errno));
        return -1;
    }

    *events |= POLLOUT;

    return 0;
}


static ssize_t
ctl_wire_read(ctl_wire_t *w, uint8_t *buf, size_t size, short *events)
{
    ssize_t  n;

    if (w->tls != NULL) {
        return ctl_tls_read(w->tls, buf, size, events, &w->why);
    }

    n = recv(w->fd, buf, size, 0);

    if (n > 0) {
        return n;
    }

    if (n == 0) {
        (void) ak_diag(&w->why, "it closed the connection");
        return -1;
    }

    if (errno != EAGAIN && errno != EINTR) {
        (void) ak_diag(&w->why, "%s", strerror(errno));
        return -1;
    }

    *events |= POLLIN;

    return 0;
}


/* Writes what there is to be written, as far as that goes. */

static ak_rc_t
ctl_wire_flush(ctl_wire_t *w, short *events, bool *moved)
{
    ssize_t   n;
    ak_str_t  out;

    for ( ;; ) {
        out = ak_redis_output(w->session);

        if (out.len == 0) {
            return AK_OK;
        }

        n = ctl_wire_write(w, out, events);

        if (n <= 0) {
            return (n == 0) ? AK_OK : AK_ERROR;
        }

        *moved = true;
        ak_redis_written(w->session, (size_t) n);
    }
}


/* Writes and reads once, and waits where neither could be done. */

static ctl_wire_e
ctl_wire_step(ctl_wire_t *w, int64_t deadline)
{
    bool     moved;
    short    events;
    ssize_t  n;
    uint8_t  buf[CTL_READ_SIZE];

    events = 0;
    moved = false;

    if (ctl_now() > deadline) {
        (void) ak_diag(&w->why, "no answer in time");
        return CTL_WIRE_DOWN;
    }

    if (ctl_wire_flush(w, &events, &moved) != AK_OK) {
        return CTL_WIRE_DOWN;
    }

    n = ctl_wire_read(w, buf, sizeof(buf), &events);

    if (n > 0) {
        w->why.text[0] = '\0';

        return ak_redis_read(w->session, buf, (size_t) n, &w->why) == AK_OK
               ? CTL_WIRE_OK : CTL_WIRE_GARBLED;
    }

    if (n < 0) {
        return CTL_WIRE_DOWN;
    }

    if (moved) {
        return CTL_WIRE_OK;
    }

    return ctl_wire_poll(w->fd, events, deadline, &w->why) == AK_OK
           ? CTL_WIRE_OK : CTL_WIRE_DOWN;
}


static ak_rc_t
ctl_wire_secure(ctl_wire_t *w, const ctl_tls_t *tls, int64_t deadline)
{
    short    events;
    ak_rc_t  rc;

    w->tls = ctl_tls_open(tls, w->fd, ak_cstr(w->host), &w->why);

    if (w->tls == NULL) {
        return AK_ERROR;
    }

    for ( ;; ) {
        events = 0;
        rc = ctl_tls_handshake(w->tls, &events, &w->why);

        if (rc != AK_AGAIN) {
            return rc;
        }

        if (ctl_wire_poll(w->fd, events, deadline, &w->why) != AK_OK) {

            /* Redis without TLS waits for the end of a line */

            if (ctl_now() >= deadline) {
                (void) ak_diag(&w->why, "no answer in time; does it speak TLS "
                               "there?");
            }

            return AK_ERROR;
        }
    }
}


static ak_rc_t
ctl_wire_login(ctl_wire_t *w, const ctl_wire_conf_t *conf, int64_t deadline)
{
    w->session = ak_redis_create(conf->user, conf->password, conf->db,
                                 conf->flags);

    if (w->session == NULL) {
        return ak_diag(&w->why, "there is no memory");
    }

    while (!ak_redis_ready(w->session)) {
        if (ctl_wire_step(w, deadline) != CTL_WIRE_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


/* Adds what is to be done to what the server said at the handshake. */

static void
ctl_wire_advise(ctl_wire_t *w)
{
    ak_diag_t    said;
    ak_reply_t   reply;
    const char  *at, *advice;

    at = strstr(w->why.text, CTL_HANDSHAKE);

    if (at == NULL) {
        return;
    }

    memset(&reply, 0, sizeof(ak_reply_t));
    reply.type = AK_REPLY_ERROR;
    reply.str = ak_cstr(at + sizeof(CTL_HANDSHAKE) - 1);

    advice = ak_redis_error_get(ak_redis_error(&reply))->advice;

    if (advice != NULL) {
        said = w->why;
        (void) ak_diag(&w->why, "%s; %s", said.text, advice);
    }
}


static ctl_stage_e
ctl_wire_begin(ctl_wire_t *w, const ctl_wire_conf_t *conf)
{
    int64_t  deadline;

    deadline = ctl_now() + conf->connect_timeout;

    w->fd = (w->port == 0)
            ? ctl_wire_connect_unix(ak_cstr(w->host), deadline, &w->why)
            : ctl_wire_connect_tcp(ak_cstr(w->host), w->port, deadline,
                                   &w->why);

    if (w->fd == -1) {
        return CTL_STAGE_CONNECT;
    }

    if (conf->tls != NULL && w->port != 0
        && ctl_wire_secure(w, conf->tls, deadline) != AK_OK)
    {
        return CTL_STAGE_TLS;
    }

    if (ctl_wire_login(w, conf, deadline) == AK_OK) {
        return CTL_STAGE_READY;
    }

    ctl_wire_advise(w);

    return CTL_STAGE_LOGIN;
}


ctl_stage_e
ctl_wire_open(const ctl_wire_conf_t *conf, ak_str_t host, unsigned port,
    ctl_wire_t **wire, ak_diag_t *why)
{
    ctl_wire_t   *w;
    ctl_stage_e   stage;

    w = ctl_alloc(sizeof(ctl_wire_t));
    memset(w, 0, sizeof(ctl_wire_t));

    w->fd = -1;
    w->host = ctl_strdup(host);
    w->port = port;
    w->timeout = conf->timeout;

    stage = ctl_wire_begin(w, conf);

    if (stage == CTL_STAGE_READY) {
        *wire = w;
        return stage;
    }

    (void) ak_diag(why, "%s", w->why.text);

    *wire = NULL;
    ctl_wire_close(w);

    return stage;
}


void
ctl_wire_close(ctl_wire_t *w)
{
    if (w == NULL) {
        return;
    }

    ak_redis_free(w->session);
    ctl_tls_close(w->tls);

    if (w->fd != -1) {
        close(w->fd);
    }

    ctl_free(w->host);
    ctl_free(w);
}


static void
ctl_wire_reply(void *data, const ak_reply_t *reply)
{
    ctl_batch_t  *b;

    /* NULL: the session has ended, and the batch with it */

    if (reply != NULL) {
        b = data;
        b->handler(b->data, b->done++, reply);
    }
}


static void
ctl_wire_ignore(void *data, const ak_reply_t *reply)
{
    (void) data;
    (void) reply;
}


static ctl_wire_e
ctl_wire_fail(ctl_wire_t *w, ctl_wire_e result)
{
    w->broken = true;

    return result;
}


ctl_wire_e
ctl_wire_send(ctl_wire_t *w, ctl_batch_t *b, const ak_str_t *argv, size_t argc)
{
    if (w->broken) {
        return CTL_WIRE_DOWN;
    }

    if (ak_redis_send(w->session, argv, argc, ctl_wire_reply, b) == NULL) {
        (void) ak_diag(&w->why, "there is no memory");
        return ctl_wire_fail(w, CTL_WIRE_DOWN);
    }

    b->sent++;

    return CTL_WIRE_OK;
}


ctl_wire_e
ctl_wire_asking(ctl_wire_t *w)
{
    ak_str_t  argv[1];

    argv[0] = ak_literal("ASKING");

    if (w->broken
        || ak_redis_send(w->session, argv, 1, ctl_wire_ignore, NULL) == NULL)
    {
        return ctl_wire_fail(w, CTL_WIRE_DOWN);
    }

    return CTL_WIRE_OK;
}


void
ctl_wire_push(ctl_wire_t *w)
{
    bool   moved;
    short  events;

    events = 0;

    if (!w->broken && ctl_wire_flush(w, &events, &moved) != AK_OK) {
        w->broken = true;
    }
}


/* The time is that of one command: every reply begins it anew. */

ctl_wire_e
ctl_wire_wait(ctl_wire_t *w, ctl_batch_t *b)
{
    size_t      done;
    int64_t     deadline;
    ctl_wire_e  wire;

    done = b->done;
    deadline = ctl_now() + w->timeout;

    while (b->done < b->sent) {

        if (w->broken) {
            return CTL_WIRE_DOWN;
        }

        wire = ctl_wire_step(w, deadline);

        if (wire != CTL_WIRE_OK) {
            return ctl_wire_fail(w, wire);
        }

        if (b->done != done) {
            done = b->done;
            deadline = ctl_now() + w->timeout;
        }
    }

    return CTL_WIRE_OK;
}


static void
ctl_wire_keep(void *data, size_t i, const ak_reply_t *reply)
{
    ak_reply_t  **copy;

    (void) i;

    copy = data;
    *copy = ctl_reply_copy(reply);
}


ctl_wire_e
ctl_wire_ask(ctl_wire_t *w, const ak_str_t *argv, size_t argc,
    ak_reply_t **reply)
{
    ctl_wire_e   wire;
    ctl_batch_t  b;

    *reply = NULL;

    memset(&b, 0, sizeof(ctl_batch_t));
    b.handler = ctl_wire_keep;
    b.data = reply;

    wire = ctl_wire_send(w, &b, argv, argc);

    if (wire == CTL_WIRE_OK) {
        wire = ctl_wire_wait(w, &b);
    }

    /* what came behind it may have been garbage */

    if (wire != CTL_WIRE_OK) {
        ctl_reply_free(*reply);
        *reply = NULL;
    }

    return wire;
}
