
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE  200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_file.h"
#include "ak_mem.h"


static ak_rc_t ak_file_check(int fd, const char *path, size_t max,
    bool *shared, ak_diag_t *d);
static ak_rc_t ak_file_read(int fd, const char *path, uint8_t *dst,
    size_t max, size_t *len, ak_diag_t *d);


ak_rc_t
ak_file_secret(const char *path, uint8_t *dst, size_t max, size_t *len,
    ak_diag_t *d)
{
    return ak_file_public(path, dst, max, len, NULL, d);
}


ak_rc_t
ak_file_public(const char *path, uint8_t *dst, size_t max, size_t *len,
    bool *shared, ak_diag_t *d)
{
    int      fd;
    ak_rc_t  rc;

    *len = 0;

    /* without O_NONBLOCK the opening of a pipe would wait for its writer */

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    if (fd == -1) {
        return ak_diag(d, "\"%s\" cannot be opened: %s", path,
                       strerror(errno));
    }

    rc = ak_file_check(fd, path, max, shared, d);

    if (rc == AK_OK) {
        rc = ak_file_read(fd, path, dst, max, len, d);
    }

    (void) close(fd);

    return rc;
}


/* Asks the open file, not the path, which may be another one by now. */

static ak_rc_t
ak_file_check(int fd, const char *path, size_t max, bool *shared,
    ak_diag_t *d)
{
    unsigned     mode;
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return ak_diag(d, "\"%s\" cannot be examined: %s", path,
                       strerror(errno));
    }

    if (!S_ISREG(st.st_mode)) {
        return ak_diag(d, "\"%s\" is not a regular file", path);
    }

    mode = (unsigned) st.st_mode & 07777;

    if (shared != NULL) {
        *shared = (mode & S_IROTH) != 0;

    } else if (mode & S_IROTH) {
        return ak_diag(d, "\"%s\" can be read by everyone (mode %04o), "
                       "use \"chmod 600\"", path, mode);
    }

    if (mode & (S_IWGRP|S_IWOTH)) {
        return ak_diag(d, "\"%s\" can be written by others than its owner "
                       "(mode %04o), use \"chmod 600\"", path, mode);
    }

    if (st.st_size < 0 || (uintmax_t) st.st_size > max) {
        return ak_diag(d, "\"%s\" is longer than %zu bytes", path, max);
    }

    return AK_OK;
}


static ak_rc_t
ak_file_read(int fd, const char *path, uint8_t *dst, size_t max, size_t *len,
    ak_diag_t *d)
{
    int      err;
    char     extra;
    size_t   done;
    ssize_t  n;

    done = 0;

    for ( ;; ) {

        /* at the limit, one byte more tells a file that grew meanwhile */

        if (done < max) {
            n = read(fd, dst + done, max - done);

        } else {
            n = read(fd, &extra, 1);
        }

        if (n == 0) {
            *len = done;
            return AK_OK;
        }

        if (n == -1) {
            err = errno;

            if (err == EINTR) {
                continue;
            }

            ak_mem_wipe(dst, done);
            return ak_diag(d, "\"%s\" cannot be read: %s", path,
                           strerror(err));
        }

        if (done == max) {
            ak_mem_wipe(&extra, 1);
            ak_mem_wipe(dst, done);
            return ak_diag(d, "\"%s\" is longer than %zu bytes", path, max);
        }

        done += (size_t) n;
    }
}
