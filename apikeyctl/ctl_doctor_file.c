
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_fstore.h"
#include "ctl_doctor.h"
#include "ctl_file.h"


#define CTL_DOCTOR_STEP  1000          /* lines at a time */


typedef struct {
    ctl_doctor_t  *doc;
    const char    *path;
    unsigned       bad;
} ctl_lines_t;


static void
ctl_doctor_mode(ctl_doctor_t *doc, const char *path, const struct stat *st)
{
    unsigned  mode;

    mode = (unsigned) st->st_mode & 07777;

    if (mode & S_IWOTH) {
        ctl_doctor_tell(doc, CTL_FOUND_BAD, "mode", path, "chmod o= it",
                        "%04o: everybody may write it, and nginx refuses it",
                        mode);

    } else if (mode & S_IROTH) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "mode", path, "chmod o= it",
                        "%04o: everybody may read who has keys", mode);

    } else if (!(mode & S_IRGRP)) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "mode", path,
                        "chgrp it to the group of nginx, and chmod g+r",
                        "%04o: workers of nginx that run as another user do "
                        "not see changes", mode);

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "mode", path, NULL, "%04o", mode);
    }

    if (st->st_uid == geteuid() || geteuid() == 0) {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "owner", path, NULL,
                        "user %u, group %u", (unsigned) st->st_uid,
                        (unsigned) st->st_gid);

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "owner", path,
                        "run apikeyctl as its owner",
                        "it is of user %u, who is somebody else: what is "
                        "changed here could not stay theirs",
                        (unsigned) st->st_uid);
    }
}


/* The lock is taken where it is there, and let go at once; none is made. */

static void
ctl_doctor_lock(ctl_doctor_t *doc, const char *path)
{
    int    fd;
    char  *lock;

    lock = ctl_alloc(strlen(path) + sizeof(".lock"));
    (void) snprintf(lock, strlen(path) + sizeof(".lock"), "%s.lock", path);

    fd = open(lock, O_RDWR | O_CLOEXEC);

    if (fd == -1 && errno == ENOENT) {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "lock", lock, NULL,
                        "there is none yet");

    } else if (fd == -1) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "lock", lock,
                        "run apikeyctl as the user that made it", "%s",
                        strerror(errno));

    } else if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "lock", lock,
                        "look again in a moment; fuser(1) says who",
                        "somebody is changing the store now");

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "lock", lock, NULL, "free");
    }

    if (fd != -1) {
        close(fd);
    }

    ctl_free(lock);
}


/* Whoever changes the file makes another one beside it. */

static void
ctl_doctor_folder(ctl_doctor_t *doc, const char *path)
{
    char  *folder, *slash;

    folder = ctl_strdup(ak_cstr(path));
    slash = strrchr(folder, '/');

    if (slash == NULL) {
        strcpy(folder, ".");

    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }

    if (access(folder, W_OK | X_OK) == -1) {
        ctl_doctor_tell(doc, CTL_FOUND_WARNING, "folder", folder,
                        "run apikeyctl as who may", "it cannot be written "
                        "in: %s", strerror(errno));
    }

    ctl_free(folder);
}


static void
ctl_doctor_line(void *data, unsigned line, const char *why)
{
    ctl_lines_t  *lines;

    lines = data;

    if (lines->bad++ < 20) {
        ctl_doctor_tell(lines->doc, CTL_FOUND_BAD, "line", lines->path,
                        "mend or delete it", "line %u: %s", line, why);
    }
}


/* Reads it as nginx does. */

static void
ctl_doctor_lines(ctl_doctor_t *doc, const char *path)
{
    ak_rc_t       rc;
    ak_diag_t     d;
    ctl_lines_t   lines;
    ak_fstore_t  *f;

    memset(&lines, 0, sizeof(ctl_lines_t));
    lines.doc = doc;
    lines.path = path;

    f = ak_fstore_open(path, &d);

    if (f == NULL) {
        ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "file", path, NULL, "%s",
                        d.text);
        return;
    }

    do {
        rc = ak_fstore_step(f, CTL_DOCTOR_STEP, ctl_doctor_line, &lines, &d);
    } while (rc == AK_AGAIN);

    if (rc != AK_OK) {
        ctl_doctor_tell(doc, CTL_FOUND_NO_STORE, "file", path, NULL, "%s",
                        d.text);

    } else {
        ctl_doctor_tell(doc, CTL_FOUND_OK, "file", path, NULL,
                        "%zu entries, %zu bytes in memory, %u damaged lines",
                        ak_fstore_count(f), ak_fstore_size(f), lines.bad);
        doc->list = true;
    }

    (void) ak_fstore_free(f, 0);
}


ctl_status_e
ctl_doctor_file(ctl_doctor_t *doc)
{
    char         *path;
    struct stat   st;

    path = ctl_strdup(doc->ctl->conf.path);

    if (stat(path, &st) == -1 || !S_ISREG(st.st_mode)) {
        ctl_doctor_tell(doc, errno == ENOENT ? CTL_FOUND_BAD
                                             : CTL_FOUND_NO_STORE,
                        "file", path, "\"apikeyctl key create\" makes it",
                        "%s", errno == 0 ? "it is no regular file"
                                         : strerror(errno));
        ctl_free(path);
        return CTL_DONE;
    }

    ctl_doctor_mode(doc, path, &st);
    ctl_doctor_lock(doc, path);
    ctl_doctor_folder(doc, path);
    ctl_doctor_lines(doc, path);

    if (doc->list && ctl_file_open(doc->ctl) != CTL_DONE) {
        doc->list = false;
    }

    ctl_free(path);

    return CTL_DONE;
}
