
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "ctl_replace.h"


static ctl_status_e
ctl_replace_failed(const ctl_replace_t *r, const char *how)
{
    return ctl_fail(r->failed, "%s %s %s: %s", r->what, r->path, how,
                    strerror(errno));
}


ctl_status_e
ctl_replace_link(const char *what, ctl_status_e failed, char **path)
{
    char         *real;
    struct stat   st;

    if (lstat(*path, &st) == -1 || !S_ISLNK(st.st_mode)) {
        return CTL_DONE;
    }

    real = realpath(*path, NULL);

    if (real == NULL) {
        return ctl_fail(failed, "%s %s is a link that cannot be followed: %s",
                        what, *path, strerror(errno));
    }

    ctl_free(*path);
    *path = ctl_strdup(ak_cstr(real));
    free(real);

    return CTL_DONE;
}


static char *
ctl_replace_beside(const ctl_replace_t *r, const char *suffix)
{
    char    *path;
    size_t   len;

    len = strlen(r->path);
    path = ctl_alloc(len + strlen(suffix) + 1);

    memcpy(path, r->path, len);
    strcpy(path + len, suffix);

    return path;
}


/*
 * A new one is his whose the file is, so that root does not lock him out.  What
 * is there before is nobody's to give away: it may be a link to anything.
 */

static int
ctl_replace_open_lock(const ctl_replace_t *r, const char *path)
{
    int          fd;
    struct stat  st;

    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd == -1) {
        return (errno == EEXIST) ? open(path, O_RDWR | O_CLOEXEC) : -1;
    }

    if (stat(r->path, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == -1) {
        /* whoever is not root keeps it */
        return fd;
    }

    return fd;
}


int
ctl_replace_lock(const ctl_replace_t *r)
{
    int    fd;
    char  *path;

    path = ctl_replace_beside(r, ".lock");

    fd = ctl_replace_open_lock(r, path);

    while (fd != -1 && flock(fd, LOCK_EX) == -1) {

        if (errno != EINTR) {
            close(fd);
            fd = -1;
        }
    }

    if (fd == -1) {
        (void) ctl_fail(r->failed, "%s %s cannot be locked: %s: %s", r->what,
                        r->path, path, strerror(errno));
    }

    ctl_free(path);

    return fd;
}


ctl_status_e
ctl_write_all(int fd, ak_str_t text)
{
    ssize_t  n;

    while (text.len != 0) {
        n = write(fd, text.data, text.len);

        if (n == -1) {

            if (errno == EINTR) {
                continue;
            }

            return CTL_REFUSED;
        }

        text.data += n;
        text.len -= (size_t) n;
    }

    return CTL_DONE;
}


/*
 * What the new file is to be: the old one's mode, and whose it is, since that
 * says whether nginx may read it.
 */

static ctl_status_e
ctl_replace_adopt(const ctl_replace_t *r, int fd)
{
    struct stat         st;
    const struct stat  *old;

    old = r->old;

    if (fstat(fd, &st) == -1) {
        return ctl_replace_failed(r, "cannot be written; it is as it was");
    }

    if (old != NULL && (old->st_uid != st.st_uid || old->st_gid != st.st_gid)
        && fchown(fd, old->st_uid, old->st_gid) == -1)
    {
        return ctl_fail(r->failed, "%s %s belongs to the user %u and the "
                        "group %u, which you cannot give it; run this as root "
                        "or as that user; it is as it was", r->what, r->path,
                        (unsigned) old->st_uid, (unsigned) old->st_gid);
    }

    if (fchmod(fd, old != NULL ? old->st_mode & 07777 : r->mode) == -1) {
        return ctl_replace_failed(r, "cannot be written; it is as it was");
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_replace_whole(const ctl_replace_t *r, ctl_put_pt put, const void *data)
{
    int           fd;
    char         *temp;
    ctl_status_e  status;

    temp = ctl_replace_beside(r, ".new");

    /* what somebody who was killed left: the lock says that nobody else is */

    (void) unlink(temp);

    fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd == -1) {
        ctl_free(temp);
        return ctl_replace_failed(r, "cannot be written beside");
    }

    status = ctl_replace_adopt(r, fd);

    if (status == CTL_DONE
        && (put(data, fd) != CTL_DONE || fsync(fd) == -1
            || rename(temp, r->path) == -1))
    {
        status = ctl_replace_failed(r, "cannot be written; it is as it was");
    }

    if (status != CTL_DONE) {
        (void) unlink(temp);
    }

    close(fd);
    ctl_free(temp);

    if (status == CTL_DONE) {
        ctl_sync_folder(r->path);
    }

    return status;
}


/* Whoever ends it meanwhile waits for that: half a file would be left. */

ctl_status_e
ctl_replace(const ctl_replace_t *r, ctl_put_pt put, const void *data)
{
    sigset_t      set, mask;
    ctl_status_e  status;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTERM);

    (void) sigprocmask(SIG_BLOCK, &set, &mask);

    status = ctl_replace_whole(r, put, data);

    (void) sigprocmask(SIG_SETMASK, &mask, NULL);

    return status;
}


void
ctl_sync_folder(const char *path)
{
    int    fd;
    char  *folder, *slash;

    folder = ctl_alloc(strlen(path) + 2);
    strcpy(folder, path);
    slash = strrchr(folder, '/');

    if (slash == NULL) {
        strcpy(folder, ".");

    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }

    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd != -1) {
        /* some file systems cannot; the file itself has been synced */
        (void) fsync(fd);
        close(fd);
    }

    ctl_free(folder);
}
