
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_cluster.h"
#include "ak_redis_error.h"


#define AK_REDIS_HOST_MAX  253         /* RFC 1035, 2.3.4, as text */


static bool ak_redis_error_cut(ak_str_t *s, uint8_t c, ak_str_t *word);


static const ak_redis_error_t  ak_redis_errors[AK_REDIS_ERRORS] = {

    [AK_REDIS_ERROR_NONE] =
        { ak_string(""), AK_REDIS_DO_ANSWER, NULL },
    [AK_REDIS_ERROR_OTHER] =
        { ak_string(""), AK_REDIS_DO_TELL, NULL },
    [AK_REDIS_ERROR_MOVED] =
        { ak_string("MOVED"), AK_REDIS_DO_REDIRECT,
          "it is a node of a cluster: say \"cluster\"" },
    [AK_REDIS_ERROR_ASK] =
        { ak_string("ASK"), AK_REDIS_DO_REDIRECT,
          "it is a node of a cluster: say \"cluster\"" },
    [AK_REDIS_ERROR_TRYAGAIN] =
        { ak_string("TRYAGAIN"), AK_REDIS_DO_RETRY,
          "its slots are being moved" },
    [AK_REDIS_ERROR_CLUSTERDOWN] =
        { ak_string("CLUSTERDOWN"), AK_REDIS_DO_RETRY,
          "the cluster does not serve: see CLUSTER INFO" },
    [AK_REDIS_ERROR_CROSSSLOT] =
        { ak_string("CROSSSLOT"), AK_REDIS_DO_TELL,
          "a cluster takes one name in one command" },
    [AK_REDIS_ERROR_READONLY] =
        { ak_string("READONLY"), AK_REDIS_DO_TELL,
          "it is a replica" },
    [AK_REDIS_ERROR_LOADING] =
        { ak_string("LOADING"), AK_REDIS_DO_LEAVE,
          "it is loading its data" },
    [AK_REDIS_ERROR_MASTERDOWN] =
        { ak_string("MASTERDOWN"), AK_REDIS_DO_LEAVE,
          "it is a replica without its master" },
    [AK_REDIS_ERROR_NOAUTH] =
        { ak_string("NOAUTH"), AK_REDIS_DO_TELL,
          "it wants a password: give password_file=" },
    [AK_REDIS_ERROR_WRONGPASS] =
        { ak_string("WRONGPASS"), AK_REDIS_DO_TELL,
          "user= or the password in password_file= is wrong" },
    [AK_REDIS_ERROR_NOPERM] =
        { ak_string("NOPERM"), AK_REDIS_DO_TELL,
          "the user lacks a right: see the ACL line in docs/store.md" },
    [AK_REDIS_ERROR_OOM] =
        { ak_string("OOM"), AK_REDIS_DO_TELL,
          "it is out of memory (maxmemory)" },
    [AK_REDIS_ERROR_MISCONF] =
        { ak_string("MISCONF"), AK_REDIS_DO_TELL,
          "it cannot write its data to disk, and takes no changes" },
    [AK_REDIS_ERROR_NOREPLICAS] =
        { ak_string("NOREPLICAS"), AK_REDIS_DO_RETRY,
          "it has too few replicas (min-replicas-to-write)" },
    [AK_REDIS_ERROR_BUSY] =
        { ak_string("BUSY"), AK_REDIS_DO_RETRY,
          "it is busy with a script" },
    [AK_REDIS_ERROR_WRONGTYPE] =
        { ak_string("WRONGTYPE"), AK_REDIS_DO_ANSWER,
          "that name holds something else" }
};


ak_redis_error_e
ak_redis_error(const ak_reply_t *reply)
{
    size_t    i;
    ak_str_t  rest, code;

    if (reply == NULL || reply->type != AK_REPLY_ERROR) {
        return AK_REDIS_ERROR_NONE;
    }

    rest = reply->str;

    if (!ak_redis_error_cut(&rest, ' ', &code)) {
        code = reply->str;
    }

    for (i = AK_REDIS_ERROR_OTHER + 1; i < AK_REDIS_ERRORS; i++) {

        if (ak_str_eq(code, ak_redis_errors[i].code)) {
            return (ak_redis_error_e) i;
        }
    }

    return AK_REDIS_ERROR_OTHER;
}


const ak_redis_error_t *
ak_redis_error_get(ak_redis_error_e error)
{
    if ((unsigned) error >= AK_REDIS_ERRORS) {
        error = AK_REDIS_ERROR_OTHER;
    }

    return &ak_redis_errors[error];
}


void
ak_redis_error_text(const ak_reply_t *reply, char *text)
{
    size_t                 i, len;
    static const ak_str_t  args = ak_string(", with args");

    len = (reply->type == AK_REPLY_ERROR) ? reply->str.len : 0;

    if (len > AK_REDIS_ERROR_TEXT_MAX - 1) {
        len = AK_REDIS_ERROR_TEXT_MAX - 1;
    }

    for (i = 0; i < len; i++) {

        if (ak_str_starts(ak_str(reply->str.data + i, reply->str.len - i),
                          args))
        {
            break;
        }

        text[i] = (char) reply->str.data[i];

        if (text[i] < ' ' || text[i] > '~') {
            text[i] = '?';
        }
    }

    text[i] = '\0';
}


/* A host may hold ":" itself, so the last one parts it from the port. */

ak_rc_t
ak_redis_error_redirect(const ak_reply_t *reply, unsigned *slot,
    ak_str_t *host, unsigned *port)
{
    size_t            i;
    unsigned          s, p;
    ak_str_t          rest, word;
    ak_redis_error_e  error;

    error = ak_redis_error(reply);

    if (error != AK_REDIS_ERROR_MOVED && error != AK_REDIS_ERROR_ASK) {
        return AK_ERROR;
    }

    rest = reply->str;

    if (!ak_redis_error_cut(&rest, ' ', &word)
        || !ak_redis_error_cut(&rest, ' ', &word)
        || !ak_str_number(word, AK_CLUSTER_SLOTS - 1, &s))
    {
        return AK_ERROR;
    }

    /* what later versions may add is behind a space */

    word = rest;
    (void) ak_redis_error_cut(&rest, ' ', &word);

    for (i = word.len; i > 0; i--) {

        if (word.data[i - 1] == ':') {
            break;
        }
    }

    if (i == 0 || i - 1 > AK_REDIS_HOST_MAX
        || !ak_str_number(ak_str(word.data + i, word.len - i), 65535, &p)
        || p == 0)
    {
        return AK_ERROR;
    }

    word.len = i - 1;

    if (!ak_str_visible(word)) {
        return AK_ERROR;
    }

    /* Redis writes IPv6 without brackets, those who stand in for it may not */

    if (word.len > 2 && word.data[0] == '[' && word.data[word.len - 1] == ']')
    {
        word = ak_str(word.data + 1, word.len - 2);
    }

    /* Redis 7: a node without the name that it should have, at no known host */

    if (ak_str_eq(word, ak_literal("?"))) {
        return AK_ERROR;
    }

    *slot = s;
    *host = word;
    *port = p;

    return AK_OK;
}


/* The word before the first c; s goes on behind it. */

static bool
ak_redis_error_cut(ak_str_t *s, uint8_t c, ak_str_t *word)
{
    const uint8_t  *p;

    if (s->len == 0) {
        return false;
    }

    p = memchr(s->data, c, s->len);

    if (p == NULL) {
        return false;
    }

    *word = ak_str(s->data, (size_t) (p - s->data));
    *s = ak_str(p + 1, s->len - word->len - 1);

    return true;
}
