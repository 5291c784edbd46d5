
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_file.h"
#include "ctl_redis.h"


#define CTL_FILE_BATCH   20000
#define CTL_REDIS_BATCH  500


ctl_status_e
ctl_store_conf(ctl_t *ctl)
{
    size_t       i, n;
    ak_diag_t    d;
    const char  *p;

    if (ctl->store == NULL) {
        return ctl_usage(ctl, "no store is named: give --store URL, or set "
                         "APIKEY_STORE, as in redis://127.0.0.1:6379");
    }

    n = 0;

    for (p = ctl->store; *p != '\0'; p += i) {
        i = strcspn(p, " ");

        if (i == 0) {
            i = 1;
            continue;
        }

        if (n == CTL_STORE_WORDS_MAX) {
            return ctl_usage(ctl, "the store has more than %d words",
                             CTL_STORE_WORDS_MAX);
        }

        ctl->store_words[n++] = ak_str(p, i);
    }

    memset(&d, 0, sizeof(ak_diag_t));

    if (ak_store_conf_parse(&ctl->conf, ctl->store_words, n, &d) != AK_OK) {
        return ctl_usage(ctl, "the store is not understood: %s", d.text);
    }

    return CTL_DONE;
}


static bool
ctl_store_is_file(const ctl_t *ctl)
{
    return ctl->conf.type == AK_STORE_FILE;
}


ctl_status_e
ctl_store_open(ctl_t *ctl)
{
    ctl_status_e  status;

    status = ctl_store_conf(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    return ctl_store_is_file(ctl) ? ctl_file_open(ctl) : ctl_fleet_open(ctl);
}


void
ctl_store_close(ctl_t *ctl)
{
    ctl_file_close(ctl);
    ctl_fleet_free(ctl);
}


ctl_status_e
ctl_store_hash(ctl_t *ctl, ak_str_t key, ak_reply_t **reply)
{
    return ctl_store_is_file(ctl) ? ctl_file_hash(ctl, key, reply)
                                  : ctl_redis_hash(ctl, key, reply);
}


ctl_status_e
ctl_store_reload(ctl_t *ctl)
{
    return ctl_store_is_file(ctl) ? ctl_file_load(ctl) : CTL_DONE;
}


ctl_status_e
ctl_store_remove(ctl_t *ctl, const ak_str_t *argv, size_t argc, int64_t *n)
{
    return ctl_store_is_file(ctl) ? ctl_file_remove(ctl, argv, argc, n)
                                  : ctl_redis_remove(ctl, argv, argc, n);
}


ctl_status_e
ctl_store_scan(ctl_t *ctl, ak_str_t space, ak_str_t begin, ctl_names_t *names)
{
    return ctl_store_is_file(ctl) ? ctl_file_scan(ctl, space, begin, names)
                                  : ctl_redis_scan(ctl, space, begin, names);
}


ctl_status_e
ctl_store_fetch(ctl_t *ctl, const ctl_names_t *names, ctl_reply_pt handler,
    void *data)
{
    return ctl_store_is_file(ctl)
           ? ctl_file_fetch(ctl, names, handler, data)
           : ctl_redis_fetch(ctl, &ctl_redis_record, names, handler, data);
}


ctl_status_e
ctl_store_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide, void *data)
{
    return ctl_store_is_file(ctl)
           ? ctl_file_change(ctl, key, decide, data)
           : ctl_redis_change(ctl, &ctl_redis_record, key, decide, data);
}


static ctl_status_e
ctl_redis_change_all(ctl_t *ctl, const ctl_names_t *names, ctl_next_pt next,
    ctl_decide_pt decide, void *data)
{
    size_t        i;
    ctl_status_e  status;

    status = CTL_DONE;

    for (i = 0; i < names->n && status == CTL_DONE && next(data, i); i++) {
        status = ctl_redis_change(ctl, &ctl_redis_record,
                                  ak_cstr(names->names[i]), decide, data);
    }

    return status;
}


ctl_status_e
ctl_store_change_all(ctl_t *ctl, const ctl_names_t *names, ctl_next_pt next,
    ctl_decide_pt decide, void *data)
{
    return ctl_store_is_file(ctl)
           ? ctl_file_change_all(ctl, names, next, decide, data)
           : ctl_redis_change_all(ctl, names, next, decide, data);
}


ak_rc_t
ctl_store_mark_key(const ctl_t *ctl, ak_str_t id, uint8_t *dst, ak_str_t *key)
{
    uint8_t  name[sizeof(AK_MARK_SPACE) + AK_MARK_NAME_MAX];

    if (!ak_mark_name_valid(id)) {
        return AK_ERROR;
    }

    memcpy(name, AK_MARK_SPACE, sizeof(AK_MARK_SPACE) - 1);
    memcpy(name + sizeof(AK_MARK_SPACE) - 1, id.data, id.len);

    return ak_store_mark_key(&ctl->conf,
                             ak_str(name, sizeof(AK_MARK_SPACE) - 1 + id.len),
                             dst, key);
}


ctl_status_e
ctl_store_mark_fetch(ctl_t *ctl, const ctl_names_t *names,
    ctl_reply_pt handler, void *data)
{
    return ctl_store_is_file(ctl)
           ? ctl_file_fetch(ctl, names, handler, data)
           : ctl_redis_mark_fetch(ctl, names, handler, data);
}


ctl_status_e
ctl_store_mark_change(ctl_t *ctl, ak_str_t key, ctl_decide_pt decide,
    void *data)
{
    return ctl_store_is_file(ctl)
           ? ctl_file_change(ctl, key, decide, data)
           : ctl_redis_mark_change(ctl, key, decide, data);
}


void
ctl_store_tell(ctl_t *ctl, ak_str_t key)
{
    if (!ctl_store_is_file(ctl)) {
        ctl_redis_publish(ctl, key);
    }
}


size_t
ctl_store_batch(const ctl_t *ctl)
{
    return ctl_store_is_file(ctl) ? CTL_FILE_BATCH : CTL_REDIS_BATCH;
}


ctl_status_e
ctl_store_add(ctl_t *ctl, ctl_entry_t *entries, size_t n)
{
    return ctl_store_is_file(ctl) ? ctl_file_add(ctl, entries, n)
                                  : ctl_redis_add(ctl, entries, n);
}
