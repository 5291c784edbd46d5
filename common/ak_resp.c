
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <limits.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "ak_mem.h"
#include "ak_resp.h"


#define AK_RESP_DEPTH_MAX  7      /* arrays in arrays, as hiredis 0.14 has it */
#define AK_RESP_LINE       3      /* bytes of a type, CR and LF */
#define AK_RESP_HEADER     32     /* more than the length line of a string */
#define AK_RESP_ARGS       32     /* of a command, without an allocation */


#if (HIREDIS_MAJOR >= 1)
typedef size_t  ak_resp_count_t;
#else
typedef int     ak_resp_count_t;
#endif


struct ak_resp_s {
    redisReader  *reader;
    const char   *error;       /* a constant; NULL: none yet */
    size_t        bytes;       /* of the reply being read */
    size_t        nodes;
    size_t        bytes_max;
    size_t        elements_max;
};


static void *ak_resp_string(const redisReadTask *task, char *str, size_t len);
static void *ak_resp_array(const redisReadTask *task, ak_resp_count_t n);
static void *ak_resp_integer(const redisReadTask *task, long long value);
static void *ak_resp_nil(const redisReadTask *task);
static void ak_resp_free_object(void *object);
static ak_reply_t *ak_resp_node(const redisReadTask *task, ak_reply_e type,
    size_t wire, size_t extra);
static void *ak_resp_refuse(const redisReadTask *task, const char *error);
static ak_rc_t ak_resp_fail(ak_resp_t *r, const char *error);
static size_t ak_resp_unread(const ak_resp_t *r);
static ak_rc_t ak_resp_append(uint8_t **buf, size_t *len, size_t *size,
    const char *data, size_t n);

#if (HIREDIS_MAJOR >= 1)
static void *ak_resp_double(const redisReadTask *task, double value, char *str,
    size_t len);
static void *ak_resp_bool(const redisReadTask *task, int value);
#endif


/*
 * The replies are built here rather than by hiredis, so that the limits hold
 * before memory is taken.  A NULL ends the reading: hiredis takes it for a
 * lack of memory and frees what there is of the reply.
 */

static redisReplyObjectFunctions  ak_resp_functions = {
    .createString = ak_resp_string,
    .createArray = ak_resp_array,
    .createInteger = ak_resp_integer,
#if (HIREDIS_MAJOR >= 1)
    .createDouble = ak_resp_double,
    .createBool = ak_resp_bool,
#endif
    .createNil = ak_resp_nil,
    .freeObject = ak_resp_free_object
};


static const char  ak_resp_foreign[] = "the answer is not RESP2";
static const char  ak_resp_memory[] = "no memory for the answer";


ak_resp_t *
ak_resp_create(void)
{
    ak_resp_t  *r;

    r = calloc(1, sizeof(ak_resp_t));
    if (r == NULL) {
        return NULL;
    }

    r->reader = redisReaderCreateWithFunctions(&ak_resp_functions);
    if (r->reader == NULL) {
        free(r);
        return NULL;
    }

    r->reader->privdata = r;

    r->bytes_max = AK_RESP_REPLY_MAX;
    r->elements_max = AK_RESP_ELEMENTS_MAX;

    return r;
}


void
ak_resp_widen(ak_resp_t *r)
{
    r->bytes_max = AK_RESP_WIDE_REPLY_MAX;
    r->elements_max = AK_RESP_WIDE_ELEMENTS_MAX;
}


void
ak_resp_free(ak_resp_t *r)
{
    if (r == NULL) {
        return;
    }

    redisReaderFree(r->reader);
    free(r);
}


ak_rc_t
ak_resp_feed(ak_resp_t *r, const void *data, size_t len)
{
    size_t  unread;

    if (r->error != NULL) {
        return AK_ERROR;
    }

    unread = ak_resp_unread(r);

    if (unread > r->bytes_max || len > r->bytes_max - unread) {
        return ak_resp_fail(r, "too much of an answer at once");
    }

    if (redisReaderFeed(r->reader, data, len) != REDIS_OK) {
        return ak_resp_fail(r, ak_resp_memory);
    }

    return AK_OK;
}


ak_rc_t
ak_resp_next(ak_resp_t *r, ak_reply_t **reply)
{
    void  *object;

    *reply = NULL;

    if (r->error != NULL) {
        return AK_ERROR;
    }

    if (redisReaderGetReply(r->reader, &object) != REDIS_OK) {
        return ak_resp_fail(r, ak_resp_foreign);
    }

    if (object != NULL) {
        r->bytes = 0;
        r->nodes = 0;
        *reply = object;
        return AK_OK;
    }

    /*
     * hiredis waits for the whole of a string, however long it says to be;
     * what is unread here is the beginning of one string or line
     */

    if (ak_resp_unread(r) > AK_RESP_BULK_MAX + AK_RESP_HEADER) {
        return ak_resp_fail(r, "a string of the answer is too long");
    }

    return AK_AGAIN;
}


const char *
ak_resp_error(const ak_resp_t *r)
{
    return r->error == NULL ? "" : r->error;
}


/* The first error stays: it is the cause of those that follow. */

static ak_rc_t
ak_resp_fail(ak_resp_t *r, const char *error)
{
    if (r->error == NULL) {
        r->error = error;
    }

    return AK_ERROR;
}


static size_t
ak_resp_unread(const ak_resp_t *r)
{
    return r->reader->len - r->reader->pos;
}


static void *
ak_resp_string(const redisReadTask *task, char *str, size_t len)
{
    char        *p;
    ak_reply_e   type;
    ak_reply_t  *reply;

    switch (task->type) {

    case REDIS_REPLY_STATUS:
        type = AK_REPLY_STATUS;
        break;

    case REDIS_REPLY_ERROR:
        type = AK_REPLY_ERROR;
        break;

    case REDIS_REPLY_STRING:

        /* its end is in the buffer, but hiredis does not look at it */

        if (str[len] != '\r' || str[len + 1] != '\n') {
            return ak_resp_refuse(task, ak_resp_foreign);
        }

        type = AK_REPLY_STRING;
        break;

    default:
        return ak_resp_refuse(task, ak_resp_foreign);
    }

    if (len > AK_RESP_BULK_MAX) {
        return ak_resp_refuse(task, "a string of the answer is too long");
    }

    reply = ak_resp_node(task, type, AK_RESP_LINE + len, len + 1);
    if (reply == NULL) {
        return NULL;
    }

    p = (char *) (reply + 1);

    if (len > 0) {
        memcpy(p, str, len);
    }

    p[len] = '\0';

    reply->str = ak_str(p, len);

    return reply;
}


static void *
ak_resp_array(const redisReadTask *task, ak_resp_count_t n)
{
    size_t                depth, count;
    ak_reply_t           *reply;
    const ak_resp_t      *r;
    const redisReadTask  *parent;

    r = task->privdata;

    if (task->type != REDIS_REPLY_ARRAY) {
        return ak_resp_refuse(task, ak_resp_foreign);
    }

    count = (size_t) n;

    if (count > r->elements_max) {
        return ak_resp_refuse(task, "an array of the answer is too long");
    }

    depth = 1;

    for (parent = task->parent; parent != NULL; parent = parent->parent) {
        depth++;
    }

    if (depth > AK_RESP_DEPTH_MAX) {
        return ak_resp_refuse(task, "the answer's arrays are too deep");
    }

    reply = ak_resp_node(task, AK_REPLY_ARRAY, AK_RESP_LINE,
                         count * sizeof(ak_reply_t *));
    if (reply == NULL) {
        return NULL;
    }

    reply->n = count;
    reply->elements = (ak_reply_t **) (reply + 1);

    return reply;
}


static void *
ak_resp_integer(const redisReadTask *task, long long value)
{
    ak_reply_t  *reply;

    if (task->type != REDIS_REPLY_INTEGER) {
        return ak_resp_refuse(task, ak_resp_foreign);
    }

    reply = ak_resp_node(task, AK_REPLY_INTEGER, AK_RESP_LINE, 0);
    if (reply == NULL) {
        return NULL;
    }

    reply->integer = value;

    return reply;
}


/* RESP2 has nil strings and nil arrays; a type of its own is RESP3's. */

static void *
ak_resp_nil(const redisReadTask *task)
{
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_ARRAY) {
        return ak_resp_refuse(task, ak_resp_foreign);
    }

    return ak_resp_node(task, AK_REPLY_NIL, AK_RESP_LINE, 0);
}


#if (HIREDIS_MAJOR >= 1)

static void *
ak_resp_double(const redisReadTask *task, double value, char *str, size_t len)
{
    (void) value;
    (void) str;
    (void) len;

    return ak_resp_refuse(task, ak_resp_foreign);
}


static void *
ak_resp_bool(const redisReadTask *task, int value)
{
    (void) value;

    return ak_resp_refuse(task, ak_resp_foreign);
}

#endif


static void
ak_resp_free_object(void *object)
{
    ak_reply_free(object);
}


/*
 * A node with zeroed room behind it, hung into the array that it is of, so
 * that it is freed with it.  wire: the least that it takes of the connection.
 */

static ak_reply_t *
ak_resp_node(const redisReadTask *task, ak_reply_e type, size_t wire,
    size_t extra)
{
    ak_resp_t   *r;
    ak_reply_t  *reply, *parent;

    r = task->privdata;

    r->bytes += wire;
    r->nodes++;

    if (r->bytes > r->bytes_max || r->nodes > 2 * r->elements_max) {
        return ak_resp_refuse(task, "the answer is too long");
    }

    reply = calloc(1, sizeof(ak_reply_t) + extra);
    if (reply == NULL) {
        return ak_resp_refuse(task, ak_resp_memory);
    }

    reply->type = type;

    if (task->parent != NULL) {
        parent = task->parent->obj;
        parent->elements[task->idx] = reply;
    }

    return reply;
}


static void *
ak_resp_refuse(const redisReadTask *task, const char *error)
{
    (void) ak_resp_fail(task->privdata, error);

    return NULL;
}


/* The depth of the recursion is bounded by AK_RESP_DEPTH_MAX. */

void
ak_reply_free(ak_reply_t *reply)
{
    size_t  i;

    if (reply == NULL) {
        return;
    }

    /* a reply that was not read to its end has elements that are NULL */

    for (i = 0; i < reply->n; i++) {
        ak_reply_free(reply->elements[i]);
    }

    if (reply->str.len > 0) {
        ak_mem_wipe(reply + 1, reply->str.len);
    }

    free(reply);
}


ak_rc_t
ak_resp_format(uint8_t **buf, size_t *len, size_t *size, const ak_str_t *argv,
    size_t argc)
{
    char         *cmd, **heap;
    size_t        i, sizes[AK_RESP_ARGS], *lens;
    ak_rc_t       rc;
    long long     n;
    const char   *args[AK_RESP_ARGS], **list;

    heap = NULL;
    list = args;
    lens = sizes;

    if (argc > AK_RESP_ARGS) {

        if (argc > INT_MAX / (sizeof(char *) + sizeof(size_t))) {
            return AK_NO_MEMORY;
        }

        heap = malloc(argc * (sizeof(char *) + sizeof(size_t)));
        if (heap == NULL) {
            return AK_NO_MEMORY;
        }

        list = (const char **) heap;
        lens = (size_t *) (heap + argc);
    }

    for (i = 0; i < argc; i++) {
        list[i] = argv[i].len > 0 ? (const char *) argv[i].data : "";
        lens[i] = argv[i].len;
    }

    cmd = NULL;
    rc = AK_NO_MEMORY;

    n = redisFormatCommandArgv(&cmd, (int) argc, list, lens);

    if (n > 0) {
        rc = ak_resp_append(buf, len, size, cmd, (size_t) n);

        /* it may hold a password */

        ak_mem_wipe(cmd, (size_t) n);
        redisFreeCommand(cmd);
    }

    free(heap);

    return rc;
}


/* Not realloc(): that would leave a copy behind that nobody wipes. */

static ak_rc_t
ak_resp_append(uint8_t **buf, size_t *len, size_t *size, const char *data,
    size_t n)
{
    size_t    room;
    uint8_t  *p;

    if (n > SIZE_MAX / 2 - *len) {
        return AK_NO_MEMORY;
    }

    if (n > *size - *len) {
        room = *size * 2;

        if (room < *len + n) {
            room = *len + n;
        }

        p = malloc(room);
        if (p == NULL) {
            return AK_NO_MEMORY;
        }

        if (*buf != NULL) {
            memcpy(p, *buf, *len);
            ak_mem_wipe(*buf, *len);
            free(*buf);
        }

        *buf = p;
        *size = room;
    }

    memcpy(*buf + *len, data, n);
    *len += n;

    return AK_OK;
}
