
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_mem.h"
#include "ngx_http_apikey_module.h"

#if (NGX_HAVE_PR_SET_DUMPABLE)
#include <sys/prctl.h>
#endif
#include <sys/mman.h>


/*
 * What can be seen of a process from outside.  The master reads the
 * configuration again and again; those that it forks have all that they need.
 */

static void ngx_http_apikey_env_wipe(void);


/*
 * What was read from the environment, which is one of the process, in any of
 * its configurations.  A worker has got another environment, with copies of
 * some of it: so both a value's place and its name are remembered.
 */

typedef struct ngx_http_apikey_env_s  ngx_http_apikey_env_t;

struct ngx_http_apikey_env_s {
    ngx_http_apikey_env_t        *next;
    char                         *value;
    char                          name[1];
};


static ngx_http_apikey_env_t  *ngx_http_apikey_envs;


ak_rc_t
ngx_http_apikey_env(void *data, const char *name, char *value)
{
    size_t                  len;
    ngx_http_apikey_env_t  *env;

    for (env = ngx_http_apikey_envs; env != NULL; env = env->next) {
        if (env->value == value && ngx_strcmp(env->name, name) == 0) {
            return AK_OK;
        }
    }

    len = ngx_strlen(name);

    /* there are no more than there are variables */

    env = ngx_alloc(sizeof(ngx_http_apikey_env_t) + len, ngx_cycle->log);
    if (env == NULL) {
        return AK_ERROR;
    }

    ngx_memcpy(env->name, name, len + 1);
    env->value = value;
    env->next = ngx_http_apikey_envs;
    ngx_http_apikey_envs = env;

    return AK_OK;
}


static void
ngx_http_apikey_env_wipe(void)
{
    char                   *value;
    ngx_http_apikey_env_t  *env;

    for (env = ngx_http_apikey_envs; env != NULL; env = env->next) {
        ak_mem_wipe(env->value, ngx_strlen(env->value));

        value = getenv(env->name);

        if (value != NULL) {
            ak_mem_wipe(value, ngx_strlen(value));
        }
    }
}

void
ngx_http_apikey_process_close(ngx_cycle_t *cycle)
{
    ngx_http_apikey_main_conf_t  *mcf;

    if (cycle->conf_ctx[ngx_http_module.index] == NULL) {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_apikey_module);

    if (mcf == NULL || (!mcf->used && mcf->keyring == NULL)) {
        return;
    }

    /* a process that reads its configuration again may unload this code, too */

    if (ngx_process != NGX_PROCESS_SINGLE) {
        ngx_http_apikey_env_wipe();

        if (ngx_http_apikey_wipe_start() != NGX_OK) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                          "apikey: no memory, buffers of TLS connections to "
                          "upstreams are not wiped when they end");
        }
    }

#if (NGX_HTTP_APIKEY_HAVE_MADV_DONTDUMP)

    if (mcf->shm_zone != NULL
        && madvise(mcf->shm_zone->shm.addr, mcf->shm_zone->shm.size,
                   MADV_DONTDUMP) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "apikey: madvise(MADV_DONTDUMP) failed, the zone will "
                      "be in core files");
    }

#endif

#if (NGX_HAVE_PR_SET_DUMPABLE)

    /*
     * No core file, and nobody but root looks into the memory.  nginx has just
     * allowed it, after it became another user.
     */

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "apikey: prctl(PR_SET_DUMPABLE) failed, keys may be in "
                      "core files");
    }

#endif
}
