
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ctl_doctor.h"


/*
 * What the users of nginx and of apikeyctl must be let do.
 *
 * The server is asked what a user may do (ACL DRYRUN) where it would say.  Else
 * commands are tried that do no harm: reads of names that nobody has, and
 * writes that are queued in a transaction that is never run.  A user who lacks
 * a right is told so before anything else is looked at, so that any other error
 * means that the right is there.
 */

#define CTL_RIGHT_NGINX  0x1
#define CTL_RIGHT_CTL    0x2
#define CTL_RIGHT_ALL    0x3

#define CTL_RIGHT_WORDS  8             /* of a command */
#define CTL_RIGHT_ID     "doctor"      /* of a key that nobody has */


typedef enum {
    CTL_WHEN_ALWAYS = 0,
    CTL_WHEN_DB,                       /* a database other than 0 */
    CTL_WHEN_TOLD,                     /* of changes */
    CTL_WHEN_SENTINEL,
    CTL_WHEN_CLUSTER,
    CTL_WHEN_REPLICAS                  /* of a cluster are read from */
} ctl_when_e;


typedef enum {
    CTL_HOW_TRY = 0,
    CTL_HOW_APART,                     /* on a wire that is thrown away */
    CTL_HOW_QUEUE,                     /* in MULTI */
    CTL_HOW_ASK                        /* by ACL DRYRUN alone */
} ctl_how_e;


typedef enum {
    CTL_MAY = 0,
    CTL_MAY_NOT,
    CTL_MAY_BE                         /* nobody could say */
} ctl_may_e;


/* In words and grants @k is a name of a key, and so on: ctl_right_word(). */

typedef struct {
    unsigned      whose;
    ctl_when_e    when;
    ctl_how_e     how;
    bool          needed;              /* nothing works without it */
    const char   *grant;
    const char   *words[CTL_RIGHT_WORDS];
} ctl_right_t;


static const ctl_right_t  ctl_rights[] = {
    { CTL_RIGHT_ALL, CTL_WHEN_ALWAYS, CTL_HOW_TRY, true,
      "+hgetall ~@p*", { "HGETALL", "@k" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_ALWAYS, CTL_HOW_TRY, true,
      "+hgetall ~@p*", { "HGETALL", "@u" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+get ~@p*", { "GET", "@m" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+pttl ~@p*", { "PTTL", "@k" } },
    { CTL_RIGHT_ALL, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+ping", { "PING" } },
    { CTL_RIGHT_ALL, CTL_WHEN_DB, CTL_HOW_TRY, true,
      "+select", { "SELECT", "@d" } },
    { CTL_RIGHT_ALL, CTL_WHEN_SENTINEL, CTL_HOW_TRY, false,
      "+role", { "ROLE" } },
    { CTL_RIGHT_ALL, CTL_WHEN_CLUSTER, CTL_HOW_TRY, true,
      "+cluster|slots", { "CLUSTER", "SLOTS" } },
    { CTL_RIGHT_ALL, CTL_WHEN_CLUSTER, CTL_HOW_APART, false,
      "+asking", { "ASKING" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_REPLICAS, CTL_HOW_APART, true,
      "+readonly", { "READONLY" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_TOLD, CTL_HOW_TRY, false,
      "+client|id", { "CLIENT", "ID" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_TOLD, CTL_HOW_APART, false,
      "+client|tracking", { "CLIENT", "TRACKING", "ON", "REDIRECT", "0",
                            "BCAST", "PREFIX", "@p" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_TOLD, CTL_HOW_APART, false,
      "+subscribe &__redis__:invalidate",
      { "SUBSCRIBE", "__redis__:invalidate" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_TOLD, CTL_HOW_APART, false,
      "+subscribe &@c", { "SUBSCRIBE", "@c" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_ALWAYS, CTL_HOW_ASK, false,
      "+hincrby ~@s*", { "HINCRBY", "@sdoctor", "n", "1" } },
    { CTL_RIGHT_NGINX, CTL_WHEN_ALWAYS, CTL_HOW_ASK, false,
      "+hset ~@s*", { "HSET", "@sdoctor", "n", "1" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+scan", { "SCAN", "0", "COUNT", "1" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_APART, false,
      "+watch ~@p*", { "WATCH", "@k" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_APART, false,
      "+multi", { "MULTI" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_APART, false,
      "+exec", { "EXEC" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_QUEUE, false,
      "+hset ~@p*", { "HSET", "@k", "n", "1" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_QUEUE, false,
      "+hdel ~@p*", { "HDEL", "@k", "n" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_QUEUE, false,
      "+del ~@p*", { "DEL", "@k" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_QUEUE, false,
      "+renamenx ~@p*", { "RENAMENX", "@k", "@k" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+getrange ~@p*", { "GETRANGE", "@m", "0", "0" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+pttl ~@p*", { "PTTL", "@m" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_QUEUE, false,
      "+set ~@p*", { "SET", "@m", "1", "PX", "1" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_TRY, false,
      "+hgetall ~@s*", { "HGETALL", "@sdoctor" } },
    { CTL_RIGHT_CTL, CTL_WHEN_ALWAYS, CTL_HOW_QUEUE, false,
      "+del ~@s*", { "DEL", "@sdoctor" } },
    { CTL_RIGHT_CTL, CTL_WHEN_TOLD, CTL_HOW_QUEUE, false,
      "+publish &@c", { "PUBLISH", "@c", "doctor" } }
};


/* Whose rights, and what was found of them. */

typedef struct {
    ctl_doctor_t  *doc;
    ctl_wire_t    *wire;
    ak_str_t       user;
    bool           ask;                /* by ACL DRYRUN */
    unsigned       role;
    char           lacks[1024];
    bool           useless;            /* what it lacks is needed */
    bool           unsure;             /* of something */
} ctl_rights_t;


/* Puts what "@x" means in the place of it; to be freed. */

static char *
ctl_right_word(const ctl_t *ctl, const char *word)
{
    char         text[AK_STORE_KEY_MAX * 2];
    uint8_t      name[AK_STORE_KEY_MAX];
    size_t       n;
    ak_str_t     s;
    const char  *at, *what;

    at = strchr(word, '@');

    if (at == NULL) {
        return ctl_strdup(ak_cstr(word));
    }

    s = ctl->conf.prefix;
    what = "";

    switch (at[1]) {

    case 'k':
        what = "key:doctor";
        break;

    case 'u':
        what = "upstream:*:doctor";
        break;

    case 'm':
        what = "revoked:jti:doctor";
        break;

    case 's':

        /* where the names of usage begin */

        if (ak_store_usage_key(&ctl->conf, ak_literal(CTL_RIGHT_ID), name, &s)
            == AK_OK)
        {
            s.len -= sizeof(CTL_RIGHT_ID) - 1;

        } else {
            s.len = 0;
        }

        break;

    case 'c':

        if (ak_store_channel(&ctl->conf, name, &s) != AK_OK) {
            s.len = 0;
        }

        break;

    case 'd':
        (void) snprintf(text, sizeof(text), "%u", ctl->conf.db);
        return ctl_strdup(ak_cstr(text));
    }

    n = (size_t) (at - word);

    (void) snprintf(text, sizeof(text), "%.*s%.*s%s%s", (int) n, word,
                    (int) s.len, (const char *) s.data, what, at + 2);

    return ctl_strdup(ak_cstr(text));
}


static bool
ctl_right_applies(const ctl_t *ctl, const ctl_right_t *r)
{
    switch (r->when) {

    case CTL_WHEN_DB:
        return ctl->conf.db != 0;

    case CTL_WHEN_TOLD:
        return ctl->conf.invalidation;

    case CTL_WHEN_SENTINEL:
        return ctl->conf.topology == AK_STORE_SENTINEL;

    case CTL_WHEN_CLUSTER:
        return ctl->conf.topology == AK_STORE_CLUSTER;

    case CTL_WHEN_REPLICAS:
        return ctl->conf.topology == AK_STORE_CLUSTER && ctl->conf.replicas;

    default:
        return true;
    }
}


static size_t
ctl_right_argv(const ctl_t *ctl, const ctl_right_t *r, ak_str_t *argv)
{
    size_t  n;

    for (n = 0; n < CTL_RIGHT_WORDS && r->words[n] != NULL; n++) {
        argv[n] = ak_cstr(ctl_right_word(ctl, r->words[n]));
    }

    return n;
}


static void
ctl_right_argv_free(const ak_str_t *argv, size_t n)
{
    while (n-- > 0) {
        ctl_free((void *) argv[n].data);
    }
}


/*
 * What an answer says of a right; the answer goes.  That of EXEC has NOPERM
 * among its words.
 */

static ctl_may_e
ctl_right_answer(ctl_wire_e wire, ak_reply_t *reply)
{
    ctl_may_e  may;

    if (wire != CTL_WIRE_OK) {
        may = CTL_MAY_BE;

    } else if (reply->type == AK_REPLY_ERROR
               && strstr((const char *) reply->str.data, "NOPERM") != NULL)
    {
        may = CTL_MAY_NOT;

    } else {
        may = CTL_MAY;
    }

    ctl_reply_free(reply);

    return may;
}


/* ACL DRYRUN says OK, or in a string why not. */

static ctl_may_e
ctl_right_ask(ctl_rights_t *of, const ak_str_t *argv, size_t argc)
{
    ctl_may_e    may;
    ak_str_t     all[CTL_RIGHT_WORDS + 3];
    ak_reply_t  *reply;

    all[0] = ak_literal("ACL");
    all[1] = ak_literal("DRYRUN");
    all[2] = of->user;
    memcpy(&all[3], argv, argc * sizeof(ak_str_t));

    if (ctl_wire_ask(of->wire, all, argc + 3, &reply) != CTL_WIRE_OK) {
        return CTL_MAY_BE;
    }

    switch (reply->type) {

    case AK_REPLY_STATUS:
        may = CTL_MAY;
        break;

    case AK_REPLY_STRING:
        may = CTL_MAY_NOT;
        break;

    default:
        may = CTL_MAY_BE;
    }

    ctl_reply_free(reply);

    return may;
}


/* On a wire of its own; a write is queued where, and only where, MULTI is. */

static ctl_may_e
ctl_right_apart(ctl_rights_t *of, const ctl_right_t *r, const ak_str_t *argv,
    size_t argc)
{
    ctl_may_e    may;
    ak_str_t     multi;
    ak_diag_t    d;
    ctl_wire_e   wire;
    ctl_wire_t  *w;
    ak_reply_t  *reply;

    if (ctl_wire_open(&of->doc->ctl->fleet->server, ak_cstr(of->wire->host),
                      of->wire->port, &w, &d)
        != CTL_STAGE_READY)
    {
        return CTL_MAY_BE;
    }

    may = CTL_MAY;

    if (r->how == CTL_HOW_QUEUE) {
        multi = ak_literal("MULTI");
        wire = ctl_wire_ask(w, &multi, 1, &reply);

        if (wire != CTL_WIRE_OK || reply->type != AK_REPLY_STATUS) {
            may = CTL_MAY_BE;
        }

        ctl_reply_free(reply);
    }

    if (may == CTL_MAY) {
        wire = ctl_wire_ask(w, argv, argc, &reply);
        may = ctl_right_answer(wire, reply);
    }

    ctl_wire_close(w);

    return may;
}


static ctl_may_e
ctl_right_may(ctl_rights_t *of, const ctl_right_t *r)
{
    size_t       argc;
    ak_str_t     argv[CTL_RIGHT_WORDS];
    ctl_may_e    may;
    ctl_wire_e   wire;
    ak_reply_t  *reply;

    argc = ctl_right_argv(of->doc->ctl, r, argv);

    if (of->ask) {
        may = ctl_right_ask(of, argv, argc);

    } else if (r->how == CTL_HOW_ASK) {
        may = CTL_MAY_BE;

    } else if (r->how == CTL_HOW_TRY) {
        wire = ctl_wire_ask(of->wire, argv, argc, &reply);
        may = ctl_right_answer(wire, reply);

    } else {
        may = ctl_right_apart(of, r, argv, argc);
    }

    ctl_right_argv_free(argv, argc);

    return may;
}


static void
ctl_rights_lack(ctl_rights_t *of, const ctl_right_t *r)
{
    char    *grant;
    size_t   len;

    grant = ctl_right_word(of->doc->ctl, r->grant);
    len = strlen(of->lacks);

    if (strstr(of->lacks, grant) == NULL) {
        (void) snprintf(of->lacks + len, sizeof(of->lacks) - len, "%s%s",
                        len == 0 ? "" : " ", grant);
    }

    of->useless |= r->needed;
    ctl_free(grant);
}


static void
ctl_rights_look(ctl_rights_t *of)
{
    size_t       i;
    const ctl_t  *ctl;

    ctl = of->doc->ctl;

    for (i = 0; i < ak_nitems(ctl_rights); i++) {

        if (!(ctl_rights[i].whose & of->role)
            || !ctl_right_applies(ctl, &ctl_rights[i]))
        {
            continue;
        }

        switch (ctl_right_may(of, &ctl_rights[i])) {

        case CTL_MAY:
            break;

        case CTL_MAY_NOT:
            ctl_rights_lack(of, &ctl_rights[i]);
            break;

        default:
            of->unsure |= (ctl_rights[i].how == CTL_HOW_ASK);
        }
    }
}


/* Who this is: the user that the server says, or that was given. */

static char *
ctl_rights_whoami(const ctl_t *ctl, ctl_wire_t *w)
{
    char        *name;
    ak_str_t     argv[2];
    ak_reply_t  *reply;

    argv[0] = ak_literal("ACL");
    argv[1] = ak_literal("WHOAMI");

    name = NULL;

    if (ctl_wire_ask(w, argv, 2, &reply) == CTL_WIRE_OK
        && reply->type == AK_REPLY_STRING)
    {
        name = ctl_strdup(reply->str);
    }

    ctl_reply_free(reply);

    if (name != NULL) {
        return name;
    }

    return ctl_strdup(ctl->conf.user.len == 0 ? ak_literal("default")
                                              : ctl->conf.user);
}


/* Whether the server would say what this user may do; else why. */

static bool
ctl_rights_asks(ctl_wire_t *w, ak_str_t user, char **why)
{
    bool         ok;
    ak_str_t     argv[4];
    ak_reply_t  *reply;

    argv[0] = ak_literal("ACL");
    argv[1] = ak_literal("DRYRUN");
    argv[2] = user;
    argv[3] = ak_literal("PING");

    *why = NULL;

    ok = (ctl_wire_ask(w, argv, 4, &reply) == CTL_WIRE_OK
          && reply->type != AK_REPLY_ERROR);

    if (!ok) {
        *why = (reply == NULL) ? ctl_strdup(ak_literal("no answer"))
                               : ctl_error_text(reply);
    }

    ctl_reply_free(reply);

    return ok;
}


/* other: what the same user has of the other role, NULL where it has none. */

static void
ctl_rights_tell(const ctl_rights_t *of, const ctl_rights_t *other)
{
    char         todo[1400];
    bool         nginx;
    const char  *user, *who;

    nginx = (of->role == CTL_RIGHT_NGINX);
    who = nginx ? "nginx" : "apikeyctl";
    user = (const char *) of->user.data;

    if (of->lacks[0] == '\0') {
        ctl_doctor_tell(of->doc, CTL_FOUND_OK, "rights", user, NULL,
                        "all that %s needs%s", who, of->unsure
                        ? "; whether it may count usage is not known, since "
                          "ACL DRYRUN is refused" : "");
        return;
    }

    /* most users are of one of them, and have no need of the other's rights */

    if (other != NULL && other->lacks[0] == '\0') {
        ctl_doctor_tell(of->doc, CTL_FOUND_UNKNOWN, "rights", user,
                        nginx ? "where nginx has another user, --user NAME "
                                "looks at that" : NULL,
                        "not those of %s: %s", who, of->lacks);
        return;
    }

    (void) snprintf(todo, sizeof(todo), "ACL SETUSER %s %s", user, of->lacks);

    ctl_doctor_tell(of->doc, of->useless ? CTL_FOUND_BAD : CTL_FOUND_WARNING,
                    "rights", user, todo, "%s lacks some that %s needs",
                    of->useless ? "it" : "it works, but", who);
}


/* The rights of another user, which only the server can tell. */

static void
ctl_rights_of_other(ctl_doctor_t *doc, ctl_wire_t *w)
{
    char          *why;
    ctl_rights_t   of;

    memset(&of, 0, sizeof(ctl_rights_t));
    of.doc = doc;
    of.wire = w;
    of.user = ak_cstr(doc->ctl->user);
    of.role = CTL_RIGHT_NGINX;
    of.ask = ctl_rights_asks(w, of.user, &why);

    if (!of.ask) {
        ctl_doctor_tell(doc, CTL_FOUND_UNKNOWN, "rights", doc->ctl->user,
                        "run it with the user and password of nginx",
                        "the server would not say: %.200s", why);
        ctl_free(why);
        return;
    }

    ctl_rights_look(&of);
    ctl_rights_tell(&of, NULL);
}


void
ctl_doctor_rights(ctl_doctor_t *doc, ctl_wire_t *w)
{
    char          *me, *why;
    ctl_rights_t   nginx, ctl;

    me = ctl_rights_whoami(doc->ctl, w);

    memset(&nginx, 0, sizeof(ctl_rights_t));
    nginx.doc = doc;
    nginx.wire = w;
    nginx.user = ak_cstr(me);
    nginx.ask = ctl_rights_asks(w, nginx.user, &why);
    ctl_free(why);

    ctl = nginx;
    nginx.role = CTL_RIGHT_NGINX;
    ctl.role = CTL_RIGHT_CTL;

    ctl_rights_look(&nginx);
    ctl_rights_look(&ctl);

    if (doc->ctl->user != NULL) {
        ctl_rights_of_other(doc, w);
        ctl_rights_tell(&ctl, NULL);

    } else {
        ctl_rights_tell(&nginx, &ctl);
        ctl_rights_tell(&ctl, &nginx);
    }

    doc->list = (strstr(ctl.lacks, "+scan") == NULL && !ctl.useless);

    if (!doc->list) {
        ctl_doctor_tell(doc, CTL_FOUND_UNKNOWN, "records", "",
                        "run it with the user of apikeyctl too",
                        "this user may not list them");
    }

    ctl_free(me);
}
