
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_mem.h"
#include "ctl_print.h"
#include "ctl_replace.h"


static ctl_status_e
ctl_init_file(const char *path, const char *text, size_t len)
{
    int  err, fd;

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd == -1) {
        if (errno == EEXIST) {
            return ctl_fail(CTL_REFUSED, "%s exists and is left as it is: "
                            "what its master key has sealed opens with it "
                            "alone; name another file", path);
        }

        return ctl_fail(CTL_KEYRING, "keyring %s cannot be created: %s", path,
                        strerror(errno));
    }

    if (fchmod(fd, 0600) != 0
        || ctl_write_all(fd, ak_str(text, len)) != CTL_DONE
        || fsync(fd) != 0)
    {
        err = errno;
        close(fd);

    } else if (close(fd) == 0) {
        ctl_sync_folder(path);
        return CTL_DONE;

    } else {
        err = errno;
    }

    /* it is ours, created above, and of no use */

    (void) unlink(path);

    return ctl_fail(CTL_KEYRING, "keyring %s cannot be written: %s; nothing "
                    "was left behind", path, strerror(err));
}


ctl_status_e
ctl_init(ctl_t *ctl)
{
    char           text[AK_KEYRING_TEXT_MAX];
    char           kid[CTL_KID_TEXT_LEN + 1];
    size_t         len;
    json_t        *answer;
    ctl_status_e   status;

    if (ctl->keyring == NULL) {
        return ctl_usage(ctl, "no keyring is named: give --keyring FILE, the "
                         "file to write");
    }

    if (strncmp(ctl->keyring, "env:", sizeof("env:") - 1) == 0) {
        return ctl_usage(ctl, "--keyring names an environment variable; init "
                         "writes a file");
    }

    if (ak_keyring_make(text, &len) != AK_OK) {
        return ctl_fail(CTL_KEYRING, "there is no randomness to make a "
                        "keyring of");
    }

    /* what is written is read first, so that a file is never of no use */

    ctl->keys = ak_keyring_parse(ak_str(text, len), NULL);

    if (ctl->keys == NULL) {
        ak_mem_wipe(text, sizeof(text));
        return ctl_fail(CTL_KEYRING, "the new keyring cannot be read");
    }

    ctl_kid_text(ak_keyring_kid(ctl->keys, 0), kid);

    status = ctl_init_file(ctl->keyring, text, len);
    ak_mem_wipe(text, sizeof(text));

    if (status != CTL_DONE) {
        return status;
    }

    if (!ctl->json) {
        ctl_print_text("Keyring written to %s, mode 0600, master key %s.",
                       ctl->keyring, kid);
        ctl_print_text("Keep a copy in a safe place: without it no sealed "
                       "upstream key can be opened.");
        return CTL_DONE;
    }

    answer = json_object();
    ctl_set(answer, "keyring", ctl_json(ak_cstr(ctl->keyring)));
    ctl_set(answer, "kid", ctl_json(ak_cstr(kid)));
    ctl_print_json(answer);
    json_decref(answer);

    return CTL_DONE;
}
