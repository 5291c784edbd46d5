
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>


/*
 * Requests at a steady rate on connections that are kept, and what became of
 * each.  t/lib/LoadGen.pm starts it and reads what it writes:
 *
 *   load PORT CONNECTIONS RATE SECONDS WAIT URI KEYS FRESH EVERY OUT
 *
 * KEYS and FRESH are files of one key a line.  The former are used in turn; of
 * the latter each is used once, by every EVERYth request.  A request that is
 * due while no connection is idle is sent when one is.  When it is over, or at
 * SIGTERM, requests on their way are waited for, WAIT seconds.
 *
 * A server may end an idle connection while a request is on its way to it: as
 * all clients do, this one then asks again, once, on a new connection.
 *
 * OUT: "start EPOCH", a line a request, "retried N", and "unsent N":
 *
 *   DUE SENT ENDED STATUS CODE KIND KEY
 *
 * microseconds since the start; STATUS 0: no answer; CODE: that of the body, or
 * "-"; KIND: "k" or "f"; KEY: the number of the line in that file.
 */


#define LOAD_BUF    65536
#define LOAD_EVENTS 256


typedef struct {
    char       **line;
    size_t       n;
} load_keys_t;


typedef struct load_conn_s  load_conn_t;

struct load_conn_s {
    int          fd;            /* -1: not connected */
    int          busy;
    int          connecting;
    int          reused;        /* it had an answer before */
    int64_t      due;
    int64_t      sent;
    int          kind;
    size_t       key;
    char         request[4096];
    size_t       request_len;
    char         buf[LOAD_BUF];
    size_t       len;           /* what is in buf */
    int64_t      body;          /* -1: no head yet; -2: chunked; else left */
    int          status;
    char         code[48];
    int          close;
    load_conn_t *next;          /* of those that are idle */
};


typedef struct {
    int          port;
    int          ep;
    int          timer;
    double       rate;
    const char  *uri;
    load_keys_t  keys;
    load_keys_t  fresh;
    size_t       every;
    size_t       next_key;
    size_t       next_fresh;
    uint64_t     issued;
    uint64_t     retried;
    size_t       busy;
    load_conn_t *idle;
    FILE        *out;
    int64_t      start;
} load_t;


static void load_lost(load_t *l, load_conn_t *c);


static volatile sig_atomic_t  load_stop;


static void
load_signal(int signo)
{
    load_stop = signo;
}


static void
load_die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}


static int64_t
load_now(const load_t *l)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - l->start;
}


static void
load_read_keys(load_keys_t *keys, const char *path)
{
    char   *line = NULL;
    FILE   *f;
    size_t  size = 0;
    ssize_t len;

    f = fopen(path, "r");
    if (f == NULL) {
        load_die(path);
    }

    while ((len = getline(&line, &size, f)) > 0) {
        line[strcspn(line, "\n")] = '\0';

        if (keys->n % 1024 == 0) {
            keys->line = realloc(keys->line,
                                 (keys->n + 1024) * sizeof(char *));
        }

        keys->line[keys->n++] = line;
        line = NULL;
        size = 0;
    }

    free(line);
    fclose(f);
}


static void
load_watch(load_t *l, load_conn_t *c, int op, uint32_t events)
{
    struct epoll_event  ev;

    ev.events = events;
    ev.data.ptr = c;

    if (epoll_ctl(l->ep, op, c->fd, &ev) == -1) {
        load_die("epoll_ctl");
    }
}


static void
load_close(load_conn_t *c)
{
    if (c->fd != -1) {
        close(c->fd);
        c->fd = -1;
    }
}


/* A request is over, with an answer or without one. */

static void
load_end(load_t *l, load_conn_t *c)
{
    if (c->status == 0 || c->close) {
        load_close(c);
    }

    fprintf(l->out, "%lld %lld %lld %d %s %c %zu\n", (long long) c->due,
            (long long) c->sent, (long long) load_now(l), c->status,
            c->code[0] ? c->code : "-", c->kind, c->key);

    c->busy = 0;
    c->reused = 1;
    c->next = l->idle;
    l->idle = c;
    l->busy--;
}


static void
load_fail(load_t *l, load_conn_t *c)
{
    c->status = 0;
    c->code[0] = '\0';
    load_end(l, c);
}


static int
load_connect(load_t *l, load_conn_t *c)
{
    int                 on = 1;
    struct sockaddr_in  sin;

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    if (c->fd == -1) {
        return -1;
    }

    memset(&sin, 0, sizeof(struct sockaddr_in));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(l->port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int));

    c->connecting = 1;
    c->reused = 0;

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == 0) {
        c->connecting = 0;

    } else if (errno != EINPROGRESS) {
        load_close(c);
        return -1;
    }

    load_watch(l, c, EPOLL_CTL_ADD, c->connecting ? EPOLLOUT : EPOLLIN);

    return 0;
}


/* Requests are small: what a socket does not take at once has failed. */

static void
load_write(load_t *l, load_conn_t *c)
{
    if (send(c->fd, c->request, c->request_len, MSG_NOSIGNAL)
        != (ssize_t) c->request_len)
    {
        load_lost(l, c);
    }
}


/* The connection ended before an answer began. */

static void
load_lost(load_t *l, load_conn_t *c)
{
    if (!c->reused) {
        load_fail(l, c);
        return;
    }

    l->retried++;
    load_close(c);

    if (load_connect(l, c) == -1) {
        load_fail(l, c);

    } else if (!c->connecting) {
        load_write(l, c);
    }
}


static void
load_send(load_t *l, load_conn_t *c, int64_t due)
{
    const char  *key;

    c->kind = 'k';

    if (l->every && l->next_fresh < l->fresh.n && l->issued % l->every == 0) {
        c->kind = 'f';
        c->key = l->next_fresh++;
        key = l->fresh.line[c->key];

    } else {
        c->key = l->next_key++ % l->keys.n;
        key = l->keys.line[c->key];
    }

    l->issued++;
    l->busy++;

    c->request_len = snprintf(c->request, sizeof(c->request),
                              "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                              "Authorization: Bearer %s\r\n\r\n", l->uri, key);

    if (c->request_len >= sizeof(c->request)) {
        errno = EMSGSIZE;
        load_die("a request");
    }

    c->busy = 1;
    c->due = due;
    c->sent = load_now(l);
    c->len = 0;
    c->body = -1;
    c->status = 0;
    c->close = 0;
    c->code[0] = '\0';

    if (c->fd == -1 && load_connect(l, c) == -1) {
        load_fail(l, c);
        return;
    }

    if (!c->connecting) {
        load_write(l, c);
    }
}


/* Reads the head; the buffer ends in a null character. */

static int
load_head(load_conn_t *c)
{
    char  *end, *p;

    end = strstr(c->buf, "\r\n\r\n");
    if (end == NULL) {
        return c->len < LOAD_BUF - 1 ? 0 : -1;
    }

    if (c->len < 12 || strncmp(c->buf, "HTTP/1.", 7) != 0) {
        return -1;
    }

    c->status = atoi(c->buf + 9);
    c->body = 0;

    for (p = strstr(c->buf, "\r\n"); p < end; p = strstr(p, "\r\n")) {
        p += 2;

        if (strncasecmp(p, "Content-Length:", 15) == 0) {
            c->body = strtoll(p + 15, NULL, 10);

        } else if (strncasecmp(p, "Transfer-Encoding: chunked", 26) == 0) {
            c->body = -2;

        } else if (strncasecmp(p, "Connection: close", 17) == 0) {
            c->close = 1;
        }
    }

    if (c->status == 204 || c->status == 304) {
        c->body = 0;
    }

    end += 4;
    c->len -= end - c->buf;
    memmove(c->buf, end, c->len + 1);

    return 1;
}


/* Of a body the first piece matters, which has the code of a denial. */

static void
load_code(load_conn_t *c)
{
    char    *p;
    size_t   n;

    if (c->status < 400 || c->code[0]) {
        return;
    }

    p = strstr(c->buf, "\"code\":\"");
    if (p == NULL) {
        return;
    }

    p += 8;
    n = strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789");

    if (n < sizeof(c->code)) {
        memcpy(c->code, p, n);
        c->code[n] = '\0';
    }
}


/* 1: all of the answer is there, 0: not yet, -1: it is not one. */

static int
load_answer(load_conn_t *c)
{
    int  rc;

    c->buf[c->len] = '\0';

    if (c->body == -1) {
        rc = load_head(c);

        if (rc != 1) {
            return rc;
        }
    }

    load_code(c);

    if (c->body == -2) {
        if (c->len >= 5 && memcmp(c->buf + c->len - 5, "0\r\n\r\n", 5) == 0) {
            return 1;
        }

        /* the end may be cut in two */

        if (c->len > LOAD_BUF / 2) {
            memmove(c->buf, c->buf + c->len - 4, 4);
            c->len = 4;
        }

        return 0;
    }

    if ((int64_t) c->len >= c->body) {
        return 1;
    }

    if (c->len > LOAD_BUF / 2) {
        c->body -= c->len;
        c->len = 0;
    }

    return 0;
}


static void
load_read(load_t *l, load_conn_t *c)
{
    int      rc;
    ssize_t  n;

    n = recv(c->fd, c->buf + c->len, LOAD_BUF - 1 - c->len, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (!c->busy) {

        /* the server has ended an idle connection */

        load_close(c);
        return;
    }

    if (n <= 0 && c->body == -1 && c->len == 0) {
        load_lost(l, c);
        return;
    }

    if (n <= 0) {
        load_fail(l, c);
        return;
    }

    c->len += n;
    rc = load_answer(c);

    if (rc == 1) {
        load_end(l, c);

    } else if (rc == -1) {
        load_fail(l, c);
    }
}


static void
load_event(load_t *l, load_conn_t *c, uint32_t events)
{
    int        error = 0;
    socklen_t  len = sizeof(int);

    if (c->fd == -1) {
        return;
    }

    if (!c->connecting) {
        load_read(l, c);
        return;
    }

    (void) events;

    c->connecting = 0;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1
        || error != 0)
    {
        load_fail(l, c);
        return;
    }

    load_watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
    load_write(l, c);
}


static void
load_wait(load_t *l, int64_t until)
{
    int                 i, n;
    uint64_t            expired;
    struct itimerspec   it;
    struct epoll_event  events[LOAD_EVENTS];

    until += l->start;

    memset(&it, 0, sizeof(struct itimerspec));
    it.it_value.tv_sec = until / 1000000;
    it.it_value.tv_nsec = until % 1000000 * 1000 + 1;
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &it, NULL);

    n = epoll_wait(l->ep, events, LOAD_EVENTS, -1);

    for (i = 0; i < n; i++) {
        if (events[i].data.ptr != NULL) {
            load_event(l, events[i].data.ptr, events[i].events);

        } else if (read(l->timer, &expired, sizeof(uint64_t)) == -1
                   && errno != EAGAIN)
        {
            load_die("timer");
        }
    }
}


static void
load_run(load_t *l, int64_t end, int64_t wait)
{
    int64_t       now, due, last;
    uint64_t      n = 0;
    load_conn_t  *c;

    for ( ;; ) {
        now = load_now(l);
        due = n / l->rate * 1000000;

        if (load_stop || due >= end || now >= end) {
            break;
        }

        if (due > now || l->idle == NULL) {

            /* with all of them busy only an answer helps, or the end */

            load_wait(l, l->idle == NULL ? end : due);
            continue;
        }

        c = l->idle;
        l->idle = c->next;
        n++;
        load_send(l, c, due);
    }

    last = load_now(l);

    while (l->busy && load_now(l) < last + wait) {
        load_wait(l, last + wait);
    }

    if (last > end) {
        last = end;
    }

    due = last / 1000000.0 * l->rate;
    fprintf(l->out, "retried %llu\n", (unsigned long long) l->retried);
    fprintf(l->out, "unsent %lld\n",
            due > (int64_t) n ? (long long) (due - (int64_t) n) : 0LL);
}


static load_conn_t *
load_open(load_t *l, size_t n)
{
    size_t              i;
    load_conn_t        *conns;
    struct epoll_event  ev;

    l->ep = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);
    conns = calloc(n, sizeof(load_conn_t));

    if (l->ep == -1 || l->timer == -1 || conns == NULL) {
        load_die("start");
    }

    for (i = 0; i < n; i++) {
        conns[i].fd = -1;
        conns[i].next = l->idle;
        l->idle = &conns[i];
    }

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, l->timer, &ev) == -1) {
        load_die("epoll_ctl");
    }

    return conns;
}


static void
load_start(load_t *l)
{
    struct timespec   ts;
    struct sigaction  sa;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = load_signal;
    sigaction(SIGTERM, &sa, NULL);

    l->start = load_now(l);
    clock_gettime(CLOCK_REALTIME, &ts);
    fprintf(l->out, "start %lld.%06ld\n", (long long) ts.tv_sec,
            ts.tv_nsec / 1000);
    fflush(l->out);
}


static void
load_done(load_t *l, load_conn_t *conns, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (conns[i].busy) {
            load_fail(l, &conns[i]);
        }

        load_close(&conns[i]);
    }

    for (i = 0; i < l->keys.n; i++) {
        free(l->keys.line[i]);
    }

    for (i = 0; i < l->fresh.n; i++) {
        free(l->fresh.line[i]);
    }

    free(l->keys.line);
    free(l->fresh.line);
    free(conns);

    if (fclose(l->out) != 0) {
        load_die("the results");
    }
}


int
main(int argc, char **argv)
{
    load_t        l;
    size_t        n;
    load_conn_t  *conns;

    if (argc != 11) {
        fprintf(stderr, "usage: load PORT CONNECTIONS RATE SECONDS WAIT URI "
                "KEYS FRESH EVERY OUT\n");
        return 2;
    }

    memset(&l, 0, sizeof(load_t));

    l.port = atoi(argv[1]);
    n = atoi(argv[2]);
    l.rate = atof(argv[3]);
    l.uri = argv[6];
    l.every = atoi(argv[9]);

    load_read_keys(&l.keys, argv[7]);
    load_read_keys(&l.fresh, argv[8]);

    l.out = fopen(argv[10], "w");

    if (l.out == NULL || n == 0 || l.rate <= 0 || l.keys.n == 0) {
        load_die("bad arguments");
    }

    conns = load_open(&l, n);

    load_start(&l);
    load_run(&l, atof(argv[4]) * 1000000, atof(argv[5]) * 1000000);
    load_done(&l, conns, n);

    return 0;
}
