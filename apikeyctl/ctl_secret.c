
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "ak_mem.h"
#include "ctl.h"


/* Beside the longest secret: the end of its line, and one byte more. */

#define CTL_SECRET_END  3


static const int  ctl_signals[] = {
    SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU
};

static volatile sig_atomic_t  ctl_signo;


static void
ctl_secret_handler(int signo)
{
    ctl_signo = signo;
}


typedef struct {
    struct termios    termios;
    struct sigaction  actions[ak_nitems(ctl_signals)];
    sigset_t          mask;
    bool              saved;           /* termios is what it was */
} ctl_terminal_t;


/*
 * Signals are held back but for the time of the wait, so that none of them
 * finds the echo off without being seen.
 */

static ak_rc_t
ctl_terminal_quiet(ctl_terminal_t *t)
{
    size_t            i;
    sigset_t          set;
    struct termios    quiet;
    struct sigaction  sa;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = ctl_secret_handler;
    sigemptyset(&sa.sa_mask);
    sigemptyset(&set);

    for (i = 0; i < ak_nitems(ctl_signals); i++) {
        sigaddset(&set, ctl_signals[i]);
    }

    sigprocmask(SIG_BLOCK, &set, &t->mask);

    for (i = 0; i < ak_nitems(ctl_signals); i++) {
        sigaction(ctl_signals[i], &sa, &t->actions[i]);

        /* what was ignored, as by nohup, is ignored on */

        if (t->actions[i].sa_handler == SIG_IGN) {
            sigaction(ctl_signals[i], &t->actions[i], NULL);
        }
    }

    ctl_signo = 0;

    if (tcgetattr(STDIN_FILENO, &t->termios) != 0) {
        return AK_ERROR;
    }

    t->saved = true;

    quiet = t->termios;
    quiet.c_lflag &= ~(tcflag_t) (ECHO | ECHOE | ECHOK | ECHONL);
    quiet.c_lflag |= ICANON | ISIG;

    return tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0 ? AK_OK : AK_ERROR;
}


static void
ctl_terminal_restore(ctl_terminal_t *t)
{
    size_t  i;

    if (t->saved) {
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &t->termios);
    }

    for (i = 0; i < ak_nitems(ctl_signals); i++) {
        sigaction(ctl_signals[i], &t->actions[i], NULL);
    }

    sigprocmask(SIG_SETMASK, &t->mask, NULL);
}


/* A line of the terminal; AK_AGAIN: a signal came, see ctl_signo. */

static ak_rc_t
ctl_terminal_line(const sigset_t *mask, uint8_t *dst, size_t size,
    size_t *len)
{
    int            rc;
    ssize_t        n;
    struct pollfd  pfd;

    *len = 0;

    for ( ;; ) {
        pfd.fd = STDIN_FILENO;
        pfd.events = POLLIN;

        rc = ppoll(&pfd, 1, NULL, mask);

        if (ctl_signo != 0) {
            return AK_AGAIN;
        }

        if (rc < 0) {
            if (errno == EINTR) {
                continue;
            }

            return AK_ERROR;
        }

        n = read(STDIN_FILENO, dst + *len, size - *len);

        if (n < 0) {
            return AK_ERROR;
        }

        *len += (size_t) n;

        if (n == 0 || *len == size || dst[*len - 1] == '\n') {
            return AK_OK;
        }
    }
}


static ak_rc_t
ctl_secret_prompt(const char *prompt, uint8_t *dst, size_t size, size_t *len)
{
    int             signo;
    ak_rc_t         rc;
    ctl_terminal_t  t;

    memset(&t, 0, sizeof(ctl_terminal_t));

    for ( ;; ) {
        if (ctl_terminal_quiet(&t) != AK_OK) {
            ctl_terminal_restore(&t);
            return AK_ERROR;
        }

        fprintf(stderr, "%s: ", prompt);

        rc = ctl_terminal_line(&t.mask, dst, size, len);

        fputc('\n', stderr);

        if (rc != AK_OK) {
            ak_mem_wipe(dst, size);
        }

        signo = ctl_signo;

        ctl_terminal_restore(&t);

        if (rc != AK_AGAIN) {
            return rc;
        }

        /* ends or stops the process; behind a stop, ask again */

        (void) raise(signo);

        if (signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU) {
            return AK_ERROR;
        }
    }
}


static ak_rc_t
ctl_secret_stdin(uint8_t *dst, size_t size, size_t *len)
{
    ssize_t  n;

    *len = 0;

    while (*len < size) {
        n = read(STDIN_FILENO, dst + *len, size - *len);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }

            return AK_ERROR;
        }

        if (n == 0) {
            break;
        }

        *len += (size_t) n;
    }

    return AK_OK;
}


static bool
ctl_secret_space(uint8_t ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}


static ctl_status_e
ctl_secret_check(const char *what, const uint8_t *p, size_t max, size_t *len)
{
    size_t  i;

    if (*len != 0 && p[*len - 1] == '\n') {
        (*len)--;

        if (*len != 0 && p[*len - 1] == '\r') {
            (*len)--;
        }
    }

    if (*len == 0) {
        return ctl_fail(CTL_REFUSED, "the %s is empty; type it at the "
                        "prompt, or give it on standard input", what);
    }

    if (*len > max) {
        return ctl_fail(CTL_REFUSED, "the %s is longer than %zu bytes; is "
                        "it the right file?", what, max);
    }

    if (ctl_secret_space(p[0]) || ctl_secret_space(p[*len - 1])) {
        return ctl_fail(CTL_REFUSED, "the %s begins or ends with white "
                        "space, which is most likely no part of it; give it "
                        "without", what);
    }

    for (i = 0; i < *len; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7f) {
            return ctl_fail(CTL_REFUSED, "the %s holds white space or what "
                            "is no visible ASCII, and cannot stand in a "
                            "header; give it alone, on one line", what);
        }
    }

    return CTL_DONE;
}


ctl_status_e
ctl_secret_read(const char *prompt, const char *what, uint8_t *dst, size_t max,
    size_t *len)
{
    size_t         size;
    ak_rc_t        rc;
    uint8_t       *input;
    ctl_status_e   status;

    size = max + CTL_SECRET_END;
    input = ctl_alloc(size);

    if (isatty(STDIN_FILENO)) {
        rc = ctl_secret_prompt(prompt, input, size, len);

    } else {
        rc = ctl_secret_stdin(input, size, len);
    }

    if (rc != AK_OK) {
        status = ctl_fail(CTL_REFUSED, "the %s cannot be read: %s", what,
                          strerror(errno));

    } else {
        status = ctl_secret_check(what, input, max, len);
    }

    if (status == CTL_DONE) {
        memcpy(dst, input, *len);
    }

    ctl_free(input);

    return status;
}
