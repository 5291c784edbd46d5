
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_REDIS_H_INCLUDED_
#define _AK_REDIS_H_INCLUDED_


#include "ak_diag.h"
#include "ak_resp.h"


/*
 * A session with a Redis server, without the wires: bytes go in, bytes come
 * out, replies meet the commands they answer.  The owner of the socket, be it
 * an event loop or a blocking tool, carries the bytes and keeps the time.
 *
 * Commands are pipelined.  The handshake (AUTH, SELECT, PING) goes before them,
 * and they are held back until the server has accepted it: a command must not
 * run as another user or on another database.  So there may be new output after
 * every ak_redis_read().
 */

typedef struct ak_redis_s  ak_redis_t;


/*
 * Called once for every accepted command: with its reply, which is the
 * session's and ends with the call, or with NULL where none will come (the
 * session ended).  The handler may send further commands but must not
 * free the session.
 */

typedef void (*ak_redis_handler_pt)(void *data, const ak_reply_t *reply);


/*
 * A session that has yet to say who it is.  user, password: empty ones are not
 * sent (a password alone is AUTH password; both is Redis 6 ACL).  They are
 * copied into the output and wiped with it.  db 0 is not selected.
 * NULL: no memory.
 */

#define AK_REDIS_READONLY  0x1         /* to read from a replica of a cluster */
#define AK_REDIS_MASTER    0x2         /* the server must be a master */
#define AK_REDIS_WIDE      0x4         /* with the limits of ak_resp_widen() */

ak_redis_t *ak_redis_create(ak_str_t user, ak_str_t password, unsigned db,
    unsigned flags);

/* Ends the session: handlers that wait are called with NULL.  Wipes. */

void ak_redis_free(ak_redis_t *s);

/*
 * Sends a command.  Returns a ticket for ak_redis_cancel(), NULL where there
 * is no memory or too many wait (AK_REDIS_WAITING_MAX); then handler is never
 * called.
 */

#define AK_REDIS_WAITING_MAX  65536

typedef struct ak_redis_ticket_s  ak_redis_ticket_t;

ak_redis_ticket_t *ak_redis_send(ak_redis_t *s, const ak_str_t *argv,
    size_t argc, ak_redis_handler_pt handler, void *data);

/*
 * Nobody waits for the reply any more: it will be read and dropped.  A ticket
 * is good until its handler was called; that of a session which is being
 * freed is still good here.
 */

void ak_redis_cancel(ak_redis_t *s, ak_redis_ticket_t *ticket);

/*
 * The session will subscribe to channels: messages of them go to the handler,
 * other replies to the commands that they answer.  One channel a SUBSCRIBE.
 */

void ak_redis_subscribed(ak_redis_t *s, ak_redis_handler_pt handler,
    void *data);

/* What is to be written; len 0: nothing. */

ak_str_t ak_redis_output(const ak_redis_t *s);

/* So many bytes of it were written; they are wiped. */

void ak_redis_written(ak_redis_t *s, size_t n);

/*
 * Bytes were read; handlers of the replies in them are called.
 * AK_ERROR: the session is of no more use (no RESP2, a limit, a refused
 * handshake, a reply to no command); the diagnostic says why, and the owner
 * closes the socket and frees the session.
 */

ak_rc_t ak_redis_read(ak_redis_t *s, const void *data, size_t len,
    ak_diag_t *d);

/* Whether the server has accepted the handshake. */

bool ak_redis_ready(const ak_redis_t *s);

/* How many commands, without those of the handshake, wait for replies. */

size_t ak_redis_waiting(const ak_redis_t *s);


#endif /* _AK_REDIS_H_INCLUDED_ */
