
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

#include "ak_mem.h"
#include "ak_redis.h"
#include "ctl_redis.h"
#include "ctl_resolve.h"


#define CTL_READ_SIZE  16384


static void
ctl_redis_where(const ctl_t *ctl, char *text, size_t size)
{
    const ak_store_conf_t  *conf;

    conf = &ctl->conf;

    if (conf->nhosts == 0) {
        snprintf(text, size, "redis+unix:%.*s", (int) conf->path.len,
                 (const char *) conf->path.data);

    } else {
        snprintf(text, size, "redis://%.*s:%u", (int) conf->hosts[0].host.len,
                 (const char *) conf->hosts[0].host.data,
                 conf->hosts[0].port);
    }
}


ctl_status_e
ctl_redis_failed(const ctl_t *ctl, const char *why)
{
    char  where[512];

    ctl_redis_where(ctl, where, sizeof(where));

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

ctl_status_e
ctl_redis_refused(const ctl_t *ctl, ak_str_t command, ak_str_t message)
{
    char   where[512];
    char  *text, *quote;

    ctl_redis_where(ctl, where, sizeof(where));

    text = ctl_strdup(message);
    quote = strstr(text, ", with args");

    if (quote != NULL) {
        *quote = '\0';
    }

    (void) ctl_fail(CTL_STORE, "the store %s refused %.*s: %.200s; see user= "
                    "and password_file= of the store, and what the user may "
                    "do", where, (int) command.len,
                    (const char *) command.data, text);
    ctl_free(text);

    return CTL_STORE;
}


/* Waits until the socket is ready or the deadline has passed. */

static ak_rc_t
ctl_redis_poll(int fd, short events, int64_t deadline, ak_diag_t *why)
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
ctl_redis_connect(const struct sockaddr *addr, socklen_t len, int64_t deadline,
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
        if (ctl_redis_poll(fd, POLLOUT, deadline, why) != AK_OK) {
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
ctl_redis_connect_unix(const ak_store_conf_t *conf, int64_t deadline,
    ak_diag_t *why)
{
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;

    if (conf->path.len >= sizeof(sun.sun_path)) {
        (void) ak_diag(why, "the path of the socket is too long");
        return -1;
    }

    memcpy(sun.sun_path, conf->path.data, conf->path.len);

    return ctl_redis_connect((struct sockaddr *) &sun,
                             sizeof(struct sockaddr_un), deadline, why);
}


/* Every address of the name gets its share of the time. */

static int
ctl_redis_connect_tcp(const ak_store_conf_t *conf, int64_t deadline,
    ak_diag_t *why)
{
    int               fd;
    int64_t           now;
    unsigned          left;
    struct addrinfo  *a, *res;

    if (ctl_resolve(conf->hosts[0].host, conf->hosts[0].port, deadline, &res,
                    why)
        != AK_OK)
    {
        return -1;
    }

    left = 0;

    for (a = res; a != NULL; a = a->ai_next) {
        left++;
    }

    fd = -1;

    for (a = res; a != NULL && fd == -1; a = a->ai_next) {
        now = ctl_now();
        fd = ctl_redis_connect(a->ai_addr, a->ai_addrlen,
                               now + (deadline - now) / left, why);
        left--;
    }

    freeaddrinfo(res);

    return fd;
}


/* Writes what there is to be written, and reads what has come. */

static ctl_wire_e
ctl_redis_step(ctl_redis_t *c, int64_t deadline)
{
    short     events;
    ssize_t   n;
    uint8_t   buf[CTL_READ_SIZE];
    ak_str_t  out;

    out = ak_redis_output(c->session);
    events = (out.len != 0) ? POLLIN | POLLOUT : POLLIN;

    if (ctl_redis_poll(c->fd, events, deadline, &c->why) != AK_OK) {
        return CTL_WIRE_DOWN;
    }

    if (out.len != 0) {
        n = send(c->fd, out.data, out.len, MSG_NOSIGNAL);

        if (n > 0) {
            ak_redis_written(c->session, (size_t) n);

        } else if (errno != EAGAIN && errno != EINTR) {
            (void) ak_diag(&c->why, "%s", strerror(errno));
            return CTL_WIRE_DOWN;
        }
    }

    n = recv(c->fd, buf, sizeof(buf), 0);

    if (n > 0) {
        c->why.text[0] = '\0';

        return ak_redis_read(c->session, buf, (size_t) n, &c->why) == AK_OK
               ? CTL_WIRE_OK : CTL_WIRE_GARBLED;
    }

    if (n == 0) {
        (void) ak_diag(&c->why, "it closed the connection");
        return CTL_WIRE_DOWN;
    }

    if (errno != EAGAIN && errno != EINTR) {
        (void) ak_diag(&c->why, "%s", strerror(errno));
        return CTL_WIRE_DOWN;
    }

    return CTL_WIRE_OK;
}


/* The user's name and password, then the handshake up to its end. */

static ctl_status_e
ctl_redis_handshake(ctl_t *ctl, int64_t deadline)
{
    char         *path;
    size_t        len;
    ak_rc_t       rc;
    uint8_t       password[AK_PASSWORD_MAX];
    ctl_redis_t  *c;

    len = 0;
    c = ctl->redis;

    if (ctl->conf.password_file.len != 0) {
        path = ctl_strdup(ctl->conf.password_file);
        rc = ak_store_password(path, password, &len, &c->why);

        if (rc != AK_OK) {
            (void) ctl_fail(CTL_STORE, "the store's password file: %s",
                            c->why.text);
        }

        ctl_free(path);

        if (rc != AK_OK) {
            return CTL_STORE;
        }
    }

    c->session = ak_redis_create(ctl->conf.user, ak_str(password, len),
                                 ctl->conf.db, 0);
    ak_mem_wipe(password, sizeof(password));

    if (c->session == NULL) {
        return ctl_fail(CTL_REFUSED, "there is no memory");
    }

    while (!ak_redis_ready(c->session)) {
        if (ctl_redis_step(c, deadline) != CTL_WIRE_OK) {
            return ctl_redis_failed(ctl, c->why.text);
        }
    }

    return CTL_DONE;
}


ctl_status_e
ctl_redis_open(ctl_t *ctl)
{
    int64_t       deadline;
    ctl_redis_t  *c;

    if (ctl->conf.tls.on || ctl->conf.topology != AK_STORE_SINGLE
        || ctl->conf.nhosts > 1)
    {
        return ctl_usage(ctl, "several hosts, \"sentinel=\", \"cluster\" and "
                         "\"rediss://\" are not supported by this version");
    }

    c = ctl_alloc(sizeof(ctl_redis_t));
    memset(c, 0, sizeof(ctl_redis_t));
    ctl->redis = c;

    deadline = ctl_now() + ctl->conf.connect_timeout;

    c->fd = (ctl->conf.nhosts == 0)
            ? ctl_redis_connect_unix(&ctl->conf, deadline, &c->why)
            : ctl_redis_connect_tcp(&ctl->conf, deadline, &c->why);

    if (c->fd == -1) {
        return ctl_redis_failed(ctl, c->why.text);
    }

    return ctl_redis_handshake(ctl, deadline);
}


void
ctl_redis_close(ctl_t *ctl)
{
    ctl_redis_t  *c;

    c = ctl->redis;

    if (c == NULL) {
        return;
    }

    if (c->session != NULL) {
        ak_redis_free(c->session);
    }

    if (c->fd != -1) {
        close(c->fd);
    }

    ctl_free(c);
    ctl->redis = NULL;
}


static void
ctl_redis_reply(void *data, const ak_reply_t *reply)
{
    ctl_batch_t  *b;

    b = data;

    /* NULL: the session has ended, which its owner knows */

    if (reply != NULL) {
        b->handler(b->data, b->done++, reply);
    }
}


ctl_wire_e
ctl_redis_send(ctl_redis_t *c, ctl_batch_t *b, const ak_str_t *argv,
    size_t argc)
{
    if (ak_redis_send(c->session, argv, argc, ctl_redis_reply, b) == NULL) {
        (void) ak_diag(&c->why, "there is no memory");
        return CTL_WIRE_DOWN;
    }

    b->sent++;

    return CTL_WIRE_OK;
}


/* The time is that of one command: every reply begins it anew. */

ctl_wire_e
ctl_redis_wait(ctl_t *ctl, ctl_batch_t *b)
{
    size_t      done;
    int64_t     deadline;
    ctl_wire_e  wire;

    done = b->done;
    deadline = ctl_now() + ctl->conf.timeout;

    while (b->done < b->sent) {
        wire = ctl_redis_step(ctl->redis, deadline);

        if (wire != CTL_WIRE_OK) {
            return wire;
        }

        if (b->done != done) {
            done = b->done;
            deadline = ctl_now() + ctl->conf.timeout;
        }
    }

    return CTL_WIRE_OK;
}


ak_reply_t *
ctl_reply_copy(const ak_reply_t *reply)
{
    size_t       i;
    ak_reply_t  *copy;

    copy = ctl_alloc(sizeof(ak_reply_t));
    *copy = *reply;

    copy->str.data = (uint8_t *) ctl_strdup(reply->str);
    copy->elements = ctl_alloc(reply->n * sizeof(ak_reply_t *));

    for (i = 0; i < reply->n; i++) {
        copy->elements[i] = ctl_reply_copy(reply->elements[i]);
    }

    return copy;
}


ak_reply_t *
ctl_reply_string(ak_reply_e type, ak_str_t s)
{
    ak_reply_t  *reply;

    reply = ctl_alloc(sizeof(ak_reply_t));
    memset(reply, 0, sizeof(ak_reply_t));

    reply->type = type;
    reply->str.data = (uint8_t *) ctl_strdup(s);
    reply->str.len = s.len;

    return reply;
}


void
ctl_reply_free(ak_reply_t *reply)
{
    size_t  i;

    if (reply == NULL) {
        return;
    }

    for (i = 0; i < reply->n; i++) {
        ctl_reply_free(reply->elements[i]);
    }

    ctl_free(reply->elements);
    ctl_free((void *) reply->str.data);
    ctl_free(reply);
}


static void
ctl_redis_keep(void *data, size_t i, const ak_reply_t *reply)
{
    ak_reply_t  **copy;

    (void) i;

    copy = data;
    *copy = ctl_reply_copy(reply);
}


/* One command; *reply, a copy, is NULL but for CTL_WIRE_OK. */

static ctl_wire_e
ctl_redis_ask(ctl_t *ctl, const ak_str_t *argv, size_t argc,
    ak_reply_t **reply)
{
    ctl_wire_e   wire;
    ctl_batch_t  b;

    *reply = NULL;

    memset(&b, 0, sizeof(ctl_batch_t));
    b.handler = ctl_redis_keep;
    b.data = reply;

    wire = ctl_redis_send(ctl->redis, &b, argv, argc);

    if (wire == CTL_WIRE_OK) {
        wire = ctl_redis_wait(ctl, &b);
    }

    if (wire != CTL_WIRE_OK) {
        ctl_reply_free(*reply);
        *reply = NULL;
    }

    return wire;
}


/* Tells an error reply, unless it is one to be handed on. */

static ctl_status_e
ctl_redis_judge(ctl_t *ctl, ak_str_t command, ak_reply_t **reply)
{
    ctl_status_e  status;

    if ((*reply)->type != AK_REPLY_ERROR
        || ak_str_starts((*reply)->str, ak_literal("WRONGTYPE")))
    {
        return CTL_DONE;
    }

    /* it said no, so nothing was done */

    ctl->unsure = false;
    status = ctl_redis_refused(ctl, command, (*reply)->str);

    ctl_reply_free(*reply);
    *reply = NULL;

    return status;
}


ctl_status_e
ctl_redis_call(ctl_t *ctl, const ak_str_t *argv, size_t argc,
    ak_reply_t **reply)
{
    if (ctl_redis_ask(ctl, argv, argc, reply) != CTL_WIRE_OK) {
        return ctl_redis_failed(ctl, ctl->redis->why.text);
    }

    return ctl_redis_judge(ctl, argv[0], reply);
}


ctl_status_e
ctl_redis_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply)
{
    ak_str_t    argv[2];
    ctl_wire_e  wire;

    argv[0] = ak_literal("HGETALL");
    argv[1] = key;

    wire = ctl_redis_ask(ctl, argv, 2, reply);

    if (wire == CTL_WIRE_OK) {
        return ctl_redis_judge(ctl, argv[0], reply);
    }

    if (wire == CTL_WIRE_DOWN) {
        return ctl_redis_failed(ctl, ctl->redis->why.text);
    }

    /* the session ended with the answer that was too much for it */

    ctl_redis_close(ctl);

    return ctl_redis_open(ctl);
}
