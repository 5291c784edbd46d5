
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include "ak_mem.h"
#include "ak_redis.h"
#include "ak_redis_error.h"
#include "ak_sentinel.h"


#define AK_REDIS_CHUNK       16384    /* bytes fed to the codec at once */
#define AK_REDIS_KEPT        65536    /* bytes of an idle output buffer */


struct ak_redis_ticket_s {
    ak_redis_ticket_t    *next;
    ak_redis_handler_pt   handler;    /* NULL: cancelled */
    void                 *data;
};


struct ak_redis_s {
    ak_resp_t            *resp;

    uint8_t              *out;
    size_t                out_pos;    /* before it all is written */
    size_t                out_len;
    size_t                out_size;
    size_t                out_hold;   /* the end of the handshake */

    ak_redis_ticket_t    *first;      /* that wait, in the order of sending */
    ak_redis_ticket_t   **last;
    ak_redis_ticket_t    *spare;
    size_t                waiting;

    unsigned              handshake;  /* replies of it that are to come */
    uint8_t              *password;   /* until then; a secret */
    size_t                password_len;

    ak_redis_handler_pt   message;    /* of a subscription, or NULL */
    void                 *message_data;

    bool                  dead;
    ak_diag_t             diag;       /* why */
};


static ak_rc_t ak_redis_handshake(ak_redis_t *s, ak_str_t user,
    ak_str_t password, unsigned db, unsigned flags);
static ak_rc_t ak_redis_handshake_send(ak_redis_t *s, const ak_str_t *argv,
    size_t argc, ak_redis_handler_pt handler);
static void ak_redis_accepted(void *data, const ak_reply_t *reply);
static void ak_redis_readonly(void *data, const ak_reply_t *reply);
static void ak_redis_role(void *data, const ak_reply_t *reply);
static void ak_redis_alive(void *data, const ak_reply_t *reply);
static void ak_redis_refused(ak_redis_t *s, const ak_reply_t *reply);
static bool ak_redis_contains(ak_str_t text, ak_str_t part);
static void ak_redis_forget_password(ak_redis_t *s);
static ak_redis_ticket_t *ak_redis_ticket(ak_redis_t *s);
static ak_redis_ticket_t *ak_redis_shift(ak_redis_t *s);
static void ak_redis_compact(ak_redis_t *s);
static bool ak_redis_is_message(const ak_reply_t *reply);
static ak_rc_t ak_redis_feed(ak_redis_t *s, const uint8_t *data, size_t len);


ak_redis_t *
ak_redis_create(ak_str_t user, ak_str_t password, unsigned db,
    unsigned flags)
{
    ak_redis_t  *s;

    s = calloc(1, sizeof(ak_redis_t));
    if (s == NULL) {
        return NULL;
    }

    s->last = &s->first;

    s->resp = ak_resp_create();

    if (s->resp != NULL && (flags & AK_REDIS_WIDE)) {
        ak_resp_widen(s->resp);
    }

    if (s->resp == NULL
        || ak_redis_handshake(s, user, password, db, flags) != AK_OK)
    {
        ak_redis_free(s);
        return NULL;
    }

    return s;
}


/*
 * PING comes last: a server that is loading, that lost its master or that wants
 * a password nobody gave says so there, before a command depends on it.
 */

static ak_rc_t
ak_redis_handshake(ak_redis_t *s, ak_str_t user, ak_str_t password,
    unsigned db, unsigned flags)
{
    int       n;
    char      text[16];
    size_t    argc;
    ak_str_t  argv[3];

    if (password.len > 0) {
        s->password = malloc(password.len);
        if (s->password == NULL) {
            return AK_NO_MEMORY;
        }

        memcpy(s->password, password.data, password.len);
        s->password_len = password.len;

        argc = 0;
        argv[argc++] = ak_literal("AUTH");

        if (user.len > 0) {
            argv[argc++] = user;
        }

        argv[argc++] = password;

        if (ak_redis_handshake_send(s, argv, argc, ak_redis_accepted)
            != AK_OK)
        {
            return AK_NO_MEMORY;
        }
    }

    if (db > 0) {
        n = snprintf(text, sizeof(text), "%u", db);

        argv[0] = ak_literal("SELECT");
        argv[1] = ak_str(text, (size_t) n);

        if (ak_redis_handshake_send(s, argv, 2, ak_redis_accepted) != AK_OK) {
            return AK_NO_MEMORY;
        }
    }

    if (flags & AK_REDIS_READONLY) {
        argv[0] = ak_literal("READONLY");

        if (ak_redis_handshake_send(s, argv, 1, ak_redis_readonly) != AK_OK) {
            return AK_NO_MEMORY;
        }
    }

    if (flags & AK_REDIS_MASTER) {
        argv[0] = ak_literal("ROLE");

        if (ak_redis_handshake_send(s, argv, 1, ak_redis_role) != AK_OK) {
            return AK_NO_MEMORY;
        }
    }

    argv[0] = ak_literal("PING");

    return ak_redis_handshake_send(s, argv, 1, ak_redis_alive);
}


static ak_rc_t
ak_redis_handshake_send(ak_redis_t *s, const ak_str_t *argv, size_t argc,
    ak_redis_handler_pt handler)
{
    if (ak_redis_send(s, argv, argc, handler, s) == NULL) {
        return AK_NO_MEMORY;
    }

    s->handshake++;
    s->out_hold = s->out_len;

    return AK_OK;
}


static void
ak_redis_accepted(void *data, const ak_reply_t *reply)
{
    ak_redis_t  *s = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != AK_REPLY_STATUS) {
        ak_redis_refused(s, reply);
        return;
    }

    s->handshake--;
}


/* A server that is no node of a cluster, or a user who may not: it will say. */

static void
ak_redis_readonly(void *data, const ak_reply_t *reply)
{
    ak_redis_t  *s = data;

    if (reply != NULL) {
        s->handshake--;
    }
}


/*
 * A server that a sentinel named may have been told otherwise meanwhile, or
 * that sentinel is the one who was not told.  A user who may not ask has to
 * trust it.
 */

static void
ak_redis_role(void *data, const ak_reply_t *reply)
{
    ak_redis_t  *s = data;

    if (reply == NULL) {
        return;
    }

    if (ak_sentinel_role(reply) == AK_NOT_FOUND) {
        s->dead = true;
        (void) ak_diag(&s->diag, "the server is not the master");
        return;
    }

    s->handshake--;
}


/* A user who may not do this much is known to a server that is alive. */

static void
ak_redis_alive(void *data, const ak_reply_t *reply)
{
    ak_redis_t  *s = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != AK_REPLY_STATUS
        && !(reply->type == AK_REPLY_ERROR
             && ak_str_starts(reply->str, ak_literal("NOPERM "))))
    {
        ak_redis_refused(s, reply);
        return;
    }

    s->handshake--;

    ak_redis_forget_password(s);
}


static void
ak_redis_refused(ak_redis_t *s, const ak_reply_t *reply)
{
    char      text[AK_REDIS_ERROR_TEXT_MAX];
    ak_str_t  password;

    s->dead = true;

    if (reply->type != AK_REPLY_ERROR) {
        (void) ak_diag(&s->diag, "the server's answer to the handshake "
                       "is none");
        return;
    }

    password = ak_str(s->password, s->password_len);

    if (password.len > 0 && ak_redis_contains(reply->str, password)) {
        (void) ak_diag(&s->diag, "the server refused the handshake; its words "
                       "repeat the password");
        return;
    }

    ak_redis_error_text(reply, text);

    (void) ak_diag(&s->diag, "the server refused the handshake: %s", text);
}


static bool
ak_redis_contains(ak_str_t text, ak_str_t part)
{
    size_t  i;

    for (i = 0; i + part.len <= text.len; i++) {

        if (memcmp(text.data + i, part.data, part.len) == 0) {
            return true;
        }
    }

    return false;
}


static void
ak_redis_forget_password(ak_redis_t *s)
{
    if (s->password == NULL) {
        return;
    }

    ak_mem_wipe(s->password, s->password_len);
    free(s->password);

    s->password = NULL;
    s->password_len = 0;
}


void
ak_redis_free(ak_redis_t *s)
{
    ak_redis_ticket_t  *t;

    if (s == NULL) {
        return;
    }

    /* handlers can cancel other tickets, so none is freed before the end */

    s->dead = true;

    for (t = ak_redis_shift(s); t != NULL; t = ak_redis_shift(s)) {

        if (t->handler != NULL) {
            t->handler(t->data, NULL);
        }

        t->next = s->spare;
        s->spare = t;
    }

    while (s->spare != NULL) {
        t = s->spare;
        s->spare = t->next;
        free(t);
    }

    if (s->out != NULL) {
        ak_mem_wipe(s->out, s->out_len);
        free(s->out);
    }

    ak_redis_forget_password(s);
    ak_resp_free(s->resp);
    free(s);
}


ak_redis_ticket_t *
ak_redis_send(ak_redis_t *s, const ak_str_t *argv, size_t argc,
    ak_redis_handler_pt handler, void *data)
{
    ak_redis_ticket_t  *t;

    /* an empty command has no reply */

    if (s->dead || argc == 0 || s->waiting >= AK_REDIS_WAITING_MAX) {
        return NULL;
    }

    t = ak_redis_ticket(s);
    if (t == NULL) {
        return NULL;
    }

    ak_redis_compact(s);

    if (ak_resp_format(&s->out, &s->out_len, &s->out_size, argv, argc)
        != AK_OK)
    {
        t->next = s->spare;
        s->spare = t;
        return NULL;
    }

    t->next = NULL;
    t->handler = handler;
    t->data = data;

    *s->last = t;
    s->last = &t->next;
    s->waiting++;

    return t;
}


static ak_redis_ticket_t *
ak_redis_ticket(ak_redis_t *s)
{
    ak_redis_ticket_t  *t;

    t = s->spare;

    if (t != NULL) {
        s->spare = t->next;
        return t;
    }

    return malloc(sizeof(ak_redis_ticket_t));
}


static ak_redis_ticket_t *
ak_redis_shift(ak_redis_t *s)
{
    ak_redis_ticket_t  *t;

    t = s->first;

    if (t == NULL) {
        return NULL;
    }

    s->first = t->next;

    if (s->first == NULL) {
        s->last = &s->first;
    }

    s->waiting--;

    return t;
}


void
ak_redis_cancel(ak_redis_t *s, ak_redis_ticket_t *ticket)
{
    (void) s;

    ticket->handler = NULL;
    ticket->data = NULL;
}


/*
 * Moves what is unwritten to the front once that is the lesser part, so that
 * moving costs no more than the writing did.
 */

static void
ak_redis_compact(ak_redis_t *s)
{
    size_t  rest;

    if (s->out_pos == 0 || s->out_pos < s->out_len / 2) {
        return;
    }

    rest = s->out_len - s->out_pos;

    memmove(s->out, s->out + s->out_pos, rest);
    ak_mem_wipe(s->out + rest, s->out_pos);

    s->out_hold = s->out_hold > s->out_pos ? s->out_hold - s->out_pos : 0;
    s->out_pos = 0;
    s->out_len = rest;
}


ak_str_t
ak_redis_output(const ak_redis_t *s)
{
    size_t  end;

    end = s->handshake > 0 ? s->out_hold : s->out_len;

    if (s->dead || end <= s->out_pos) {
        return ak_str(NULL, 0);
    }

    return ak_str(s->out + s->out_pos, end - s->out_pos);
}


void
ak_redis_written(ak_redis_t *s, size_t n)
{
    ak_mem_wipe(s->out + s->out_pos, n);
    s->out_pos += n;

    if (s->out_pos < s->out_len) {
        return;
    }

    s->out_pos = 0;
    s->out_len = 0;
    s->out_hold = 0;

    if (s->out_size > AK_REDIS_KEPT) {
        free(s->out);
        s->out = NULL;
        s->out_size = 0;
    }
}


ak_rc_t
ak_redis_read(ak_redis_t *s, const void *data, size_t len, ak_diag_t *d)
{
    size_t          n;
    const uint8_t  *p;

    for (p = data; len > 0 && !s->dead; p += n, len -= n) {
        n = len < AK_REDIS_CHUNK ? len : AK_REDIS_CHUNK;

        if (ak_redis_feed(s, p, n) != AK_OK) {
            s->dead = true;
        }
    }

    if (s->dead) {
        return ak_diag(d, "%s", s->diag.text);
    }

    return AK_OK;
}


void
ak_redis_subscribed(ak_redis_t *s, ak_redis_handler_pt handler, void *data)
{
    s->message = handler;
    s->message_data = data;
}


/* "message", the channel and the payload: nothing else has this shape there. */

static bool
ak_redis_is_message(const ak_reply_t *reply)
{
    return reply->type == AK_REPLY_ARRAY && reply->n == 3
           && reply->elements[0]->type == AK_REPLY_STRING
           && ak_str_eq(reply->elements[0]->str, ak_literal("message"));
}


static ak_rc_t
ak_redis_feed(ak_redis_t *s, const uint8_t *data, size_t len)
{
    ak_rc_t             rc;
    ak_reply_t         *reply;
    ak_redis_ticket_t  *t;

    rc = ak_resp_feed(s->resp, data, len);

    while (rc == AK_OK) {
        rc = ak_resp_next(s->resp, &reply);

        if (rc != AK_OK) {
            break;
        }

        if (s->message != NULL && ak_redis_is_message(reply)) {
            s->message(s->message_data, reply);
            ak_reply_free(reply);

            if (s->dead) {
                return AK_ERROR;
            }

            continue;
        }

        t = ak_redis_shift(s);

        if (t == NULL) {
            ak_reply_free(reply);
            return ak_diag(&s->diag, "the server answered what was not "
                           "asked");
        }

        if (t->handler != NULL) {
            t->handler(t->data, reply);
        }

        ak_reply_free(reply);

        t->next = s->spare;
        s->spare = t;

        if (s->dead) {
            return AK_ERROR;
        }
    }

    if (rc == AK_AGAIN) {
        return AK_OK;
    }

    return ak_diag(&s->diag, "%s", ak_resp_error(s->resp));
}


bool
ak_redis_ready(const ak_redis_t *s)
{
    return s->handshake == 0 && !s->dead;
}


size_t
ak_redis_waiting(const ak_redis_t *s)
{
    return s->waiting - s->handshake;
}
