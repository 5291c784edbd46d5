
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <inttypes.h>
#include <obstack.h>
#include <stdio.h>
#include <time.h>

#include "ak_jwt_line.h"
#include "ak_time.h"
#include "ctl_print.h"
#include "ctl_store.h"


/*
 * Marks, by which tokens are revoked: of one token its "jti", of all that
 * somebody has until a time the "sub".
 */

#define obstack_chunk_alloc ctl_alloc
#define obstack_chunk_free  ctl_free

/*
 * How long behind its "exp" the mark of a token stays, seconds: nginx may be
 * told to let a token live longer by "leeway".
 */

#define CTL_MARK_BEHIND  86400


typedef struct {
    char       id[AK_MARK_NAME_MAX + 1];       /* "jti:X", "sub:X" */
    uint8_t    name[AK_STORE_KEY_MAX];
    ak_str_t   key;                            /* the name in the store */
    int64_t    now;
    int64_t    at;
    int64_t    expires;
    char       at_text[24];
    char       expires_text[24];
} ctl_mark_t;


static const ctl_column_t  ctl_mark_columns[] = {
    { "CLAIM", "claim", false },
    { "VALUE", "value", false },
    { "AT", "at", true },
    { "EXPIRES", "expires", true }
};


static const char *
ctl_mark_value(const ctl_mark_t *c)
{
    return c->id + sizeof("jti:") - 1;
}


/* "jti" or "sub", and what it is. */

static ctl_status_e
ctl_mark_name(const ctl_t *ctl, ctl_mark_t *c, const char *claim,
    ak_str_t value)
{
    json_t  *text;

    text = json_stringn(value.len == 0 ? "" : (const char *) value.data,
                        value.len);
    json_decref(text);

    if (text == NULL || !ak_mark_claim_valid(value)) {
        return ctl_usage(ctl, "a \"%s\" of 1 to %d bytes of UTF-8 without "
                         "control characters can be revoked; a token with "
                         "another one is refused anyway", claim,
                         AK_MARK_CLAIM_MAX);
    }

    (void) snprintf(c->id, sizeof(c->id), "%s:%.*s", claim, (int) value.len,
                    (const char *) value.data);

    return CTL_DONE;
}


static void *
ctl_mark_alloc(void *data, size_t size)
{
    struct obstack *pool = data;

    return obstack_alloc(pool, size);
}


/* There is no claim that is this token's alone. */

static ctl_status_e
ctl_mark_no_jti(ak_str_t sub)
{
    if (sub.len == 0) {
        return ctl_fail(CTL_REFUSED, "the token has no \"jti\", by which it "
                        "could be revoked, and no \"sub\"; --sub OWNER is for "
                        "all tokens of its owner, whom nginx logs as "
                        "jwt:OWNER");
    }

    return ctl_fail(CTL_REFUSED, "the token has no \"jti\", by which it alone "
                    "could be revoked; --sub \"%.*s\" is for all tokens that "
                    "its subject has, with --at TIME for those issued up to "
                    "then", AK_FMT(sub));
}


static ctl_status_e
ctl_mark_claims(const ctl_t *ctl, ctl_mark_t *c, ak_jwt_t *jwt, ak_mem_t *mem)
{
    ak_str_t         jti, sub;
    ak_diag_t        d;
    ak_jwt_times_t   times;

    memset(&d, 0, sizeof(ak_diag_t));

    if (ak_jwt_read(jwt, mem, &times, &d) != AK_SUCCESS) {
        return ctl_fail(CTL_REFUSED, "this is no token that nginx accepts: "
                        "%s", d.text);
    }

    (void) ak_jwt_line_text(json_object_get(jwt->claims, "jti"), mem, &jti);
    (void) ak_jwt_line_text(json_object_get(jwt->claims, "sub"), mem, &sub);

    if (jti.len == 0) {
        return ctl_mark_no_jti(sub);
    }

    if (ctl->expires == NULL && times.expires != 0) {
        c->expires = times.expires + CTL_MARK_BEHIND;

        if (c->expires <= c->now) {
            return ctl_fail(CTL_REFUSED, "the token expired more than a day "
                            "ago: it is refused anyway");
        }
    }

    if (!ak_mark_claim_valid(jti)) {
        return ctl_fail(CTL_REFUSED, "the \"jti\" of the token has control "
                        "characters, or is longer than %d bytes: the token is "
                        "refused anyway", AK_MARK_CLAIM_MAX);
    }

    return ctl_mark_name(ctl, c, "jti", jti);
}


/* Its signature is not looked at: whoever has it may want it to end. */

static ctl_status_e
ctl_mark_token(const ctl_t *ctl, ctl_mark_t *c)
{
    size_t          len;
    uint8_t        *token;
    ak_mem_t        mem;
    ak_jwt_t        jwt;
    ak_diag_t       d;
    ctl_status_e    status;
    struct obstack  pool;

    token = ctl_alloc(AK_JWT_MAX);
    memset(&d, 0, sizeof(ak_diag_t));

    status = ctl_secret_read("Token (it is not shown)", "token", token,
                             AK_JWT_MAX, &len);

    if (status != CTL_DONE) {
        ctl_free(token);
        return status;
    }

    obstack_init(&pool);
    mem.alloc = ctl_mark_alloc;
    mem.data = &pool;

    (void) ak_jwt_parse(&jwt, ak_str(token, len), &mem, &d);

    if (jwt.payload.len == 0) {
        status = ctl_fail(CTL_REFUSED, "this is no token that nginx accepts: "
                          "%s", d.text[0] == '\0' ? "it has no claims"
                                                  : d.text);

    } else {
        status = ctl_mark_claims(ctl, c, &jwt, &mem);
    }

    ak_jwt_free(&jwt);
    obstack_free(&pool, NULL);
    ctl_free(token);

    return status;
}


/* Which mark the command line means, or the token of standard input. */

static ctl_status_e
ctl_mark_which(const ctl_t *ctl, ctl_mark_t *c)
{
    memset(c, 0, sizeof(ctl_mark_t));
    c->now = time(NULL);

    if (ctl->jti != NULL && ctl->sub != NULL) {
        return ctl_usage(ctl, "--jti and --sub exclude each other");
    }

    if (ctl->at != NULL && ctl->sub == NULL) {
        return ctl_usage(ctl, "--at is for --sub: a token that is revoked by "
                         "its \"jti\" is so whenever it was issued");
    }

    if (ctl->jti != NULL) {
        return ctl_mark_name(ctl, c, "jti", ak_cstr(ctl->jti));
    }

    if (ctl->sub != NULL) {
        return ctl_mark_name(ctl, c, "sub", ak_cstr(ctl->sub));
    }

    return CTL_DONE;
}


/* A point in time that may have been: no span, which is one from now. */

static ctl_status_e
ctl_mark_at(const ctl_t *ctl, ctl_mark_t *c)
{
    ak_str_t  s;

    c->at = c->now;

    if (ctl->at == NULL) {
        return CTL_DONE;
    }

    s = ak_cstr(ctl->at);

    if (s.len == 0 || strchr("smhdwyr", s.data[s.len - 1]) != NULL
        || ak_time_point(s, 0, &c->at, NULL) != AK_OK)
    {
        return ctl_usage(ctl, "--at is a time such as 2026-11-21T12:00:00Z, a "
                         "date such as 2026-11-21 (its first second, UTC), or "
                         "Unix seconds");
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_mark_times(const ctl_t *ctl, ctl_mark_t *c)
{
    ak_diag_t     d;
    ctl_status_e  status;

    status = ctl_mark_at(ctl, c);

    if (status == CTL_DONE && ctl->expires != NULL
        && ak_time_point(ak_cstr(ctl->expires), c->now, &c->expires, &d)
           != AK_OK)
    {
        return ctl_usage(ctl, "--expires: %s", d.text);
    }

    return status;
}


/* The name of it in the store, which is not asked yet. */

static ctl_status_e
ctl_mark_place(ctl_t *ctl, ctl_mark_t *c)
{
    ctl_status_e  status;

    status = ctl_store_conf(ctl);

    if (status == CTL_DONE && c->id[0] == '\0') {
        status = ctl_mark_token(ctl, c);
    }

    if (status == CTL_DONE
        && ctl_store_mark_key(ctl, ak_cstr(c->id), c->name, &c->key) != AK_OK)
    {
        status = ctl_usage(ctl, "the name and the prefix of the store are too "
                           "long together");
    }

    return status;
}


/*
 * What a reply says.  AK_NOT_FOUND: there is none, or none any more.
 * AK_ERROR: there is something, by which nothing is good.
 */

static ak_rc_t
ctl_mark_read(const ak_reply_t *reply, bool jti, int64_t now, ak_mark_t *mark,
    int64_t *at)
{
    size_t      n;
    ak_rc_t     rc;
    ak_field_t  fields[AK_RECORD_FIELDS_MAX];

    *at = 0;

    rc = ak_store_fields(reply, fields, AK_RECORD_FIELDS_MAX, &n);

    if (rc != AK_OK) {
        return (rc == AK_NOT_FOUND) ? rc : AK_ERROR;
    }

    rc = ak_mark_parse(fields, n, mark, NULL);

    /* the mark of a token counts whatever it says */

    if (ak_mark_time(mark->at, at) != AK_OK && jti) {
        rc = AK_OK;
    }

    return (rc == AK_OK && ak_mark_ended(mark, now)) ? AK_NOT_FOUND : rc;
}


/* A mark that is there already is never made to revoke less. */

static ctl_status_e
ctl_mark_decide(void *data, const ak_reply_t *reply, ak_str_t *argv,
    size_t *argc)
{
    bool         jti;
    int64_t      at;
    ak_rc_t      rc;
    ak_mark_t    mark;
    ctl_mark_t  *c;

    c = data;
    jti = (c->id[0] == 'j');

    rc = ctl_mark_read(reply, jti, c->now, &mark, &at);

    if (rc == AK_ERROR) {
        return ctl_fail(CTL_REFUSED, "the mark that is there cannot be read, "
                        "and refuses all; remove it first, with \"apikeyctl "
                        "jwt unrevoke\"; nothing was changed");
    }

    if (rc == AK_OK) {
        if (jti ? at != 0 : at > c->at) {
            c->at = at;
        }

        if (mark.expires == 0
            || (c->expires != 0 && mark.expires > c->expires))
        {
            c->expires = mark.expires;
        }
    }

    (void) snprintf(c->at_text, sizeof(c->at_text), "%" PRId64, c->at);
    (void) snprintf(c->expires_text, sizeof(c->expires_text), "%" PRId64,
                    c->expires);

    argv[0] = ak_literal("HSET");
    argv[1] = c->key;
    argv[2] = ak_literal("at");
    argv[3] = ak_cstr(c->at_text);
    argv[4] = ak_literal("expires");
    argv[5] = ak_cstr(c->expires_text);
    *argc = 6;

    return CTL_DONE;
}


static json_t *
ctl_mark_object(ak_str_t id)
{
    json_t  *object;

    object = json_object();

    ctl_set(object, "claim", ctl_json(ak_str(id.data, 3)));
    ctl_set(object, "value", ctl_json(ak_str(id.data + 4, id.len - 4)));

    return object;
}


static void
ctl_mark_print(const ctl_t *ctl, const ctl_mark_t *c)
{
    char     at[AK_TIME_TEXT_SIZE], expires[AK_TIME_TEXT_SIZE];
    json_t  *object;

    if (ctl->json) {
        object = ctl_mark_object(ak_cstr(c->id));
        ctl_set(object, "at", json_integer(c->at));
        ctl_set(object, "expires", json_integer(c->expires));
        ctl_print_json(object);
        json_decref(object);
        return;
    }

    ak_time_format(c->at, at);
    ak_time_format(c->expires, expires);

    if (c->id[0] == 'j') {
        ctl_print_text("Revoked: the token with jti %s.", ctl_mark_value(c));

    } else {
        ctl_print_text("Revoked: the tokens of %s that were issued up to %s.",
                       ctl_mark_value(c), at);
    }

    if (c->expires != 0) {
        ctl_print_text("The mark stays until %s.", expires);

    } else {
        ctl_print_text("The mark stays for ever; --expires lets one end with "
                       "the last token that it concerns.");
    }
}


ctl_status_e
ctl_jwt_revoke(ctl_t *ctl)
{
    ctl_mark_t    c;
    ctl_status_e  status;

    status = ctl_mark_which(ctl, &c);

    if (status == CTL_DONE) {
        status = ctl_mark_times(ctl, &c);
    }

    if (status == CTL_DONE) {
        status = ctl_mark_place(ctl, &c);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    if (status == CTL_DONE) {
        status = ctl_store_mark_change(ctl, c.key, ctl_mark_decide, &c);
    }

    if (status == CTL_DONE) {
        ctl_mark_print(ctl, &c);
    }

    return status;
}


ctl_status_e
ctl_jwt_unrevoke(ctl_t *ctl)
{
    int64_t       n;
    json_t       *object;
    ak_str_t      argv[2];
    ctl_mark_t    c;
    ctl_status_e  status;

    status = ctl_mark_which(ctl, &c);

    if (status == CTL_DONE) {
        status = ctl_mark_place(ctl, &c);
    }

    if (status == CTL_DONE) {
        status = ctl_store_open(ctl);
    }

    argv[0] = ak_literal("DEL");
    argv[1] = c.key;

    if (status == CTL_DONE) {
        status = ctl_store_remove(ctl, argv, 2, &n);
    }

    if (status != CTL_DONE) {
        return status;
    }

    if (n == 0) {
        return ctl_fail(CTL_REFUSED, "there is no mark of %.3s %s; "
                        "\"apikeyctl jwt revoked\" shows those there are",
                        c.id, ctl_mark_value(&c));
    }

    if (!ctl->json) {
        ctl_print_text("Mark removed: %.3s %s.", c.id, ctl_mark_value(&c));
        return CTL_DONE;
    }

    object = ctl_mark_object(ak_cstr(c.id));
    ctl_set(object, "removed", json_true());
    ctl_print_json(object);
    json_decref(object);

    return CTL_DONE;
}


typedef struct {
    ctl_names_t   names;
    size_t        skip;                /* bytes of a name before "jti:" */
    int64_t       now;
    json_t       *rows;
} ctl_mark_list_t;


static void
ctl_mark_row(void *data, size_t i, const ak_reply_t *reply)
{
    bool              jti;
    json_t           *row;
    int64_t           at;
    ak_rc_t           rc;
    ak_str_t          id;
    ak_mark_t         mark;
    ctl_mark_list_t  *list;

    list = data;
    id = ak_cstr(list->names.names[i] + list->skip);

    /* nobody asks for others, whatever else has written them */

    if (!ak_mark_name_valid(id)) {
        return;
    }

    jti = (id.data[0] == 'j');
    rc = ctl_mark_read(reply, jti, list->now, &mark, &at);

    if (rc == AK_NOT_FOUND) {
        return;
    }

    row = ctl_mark_object(id);

    if (rc == AK_OK) {
        ctl_set(row, "at", at == 0 ? json_null() : json_integer(at));
        ctl_set(row, "expires", json_integer(mark.expires));

    } else {
        ctl_set(row, "at", json_null());
        ctl_set(row, "expires", json_null());
        ctl_set(row, "damaged",
                json_string(jti ? "the token is refused"
                                : "every token of it is refused"));
    }

    json_array_append_new(list->rows, row);
}


static void
ctl_mark_print_list(const ctl_t *ctl, const ctl_mark_list_t *list)
{
    size_t   i;
    json_t  *row, *why;

    if (ctl->json) {
        ctl_print_json(list->rows);
        return;
    }

    ctl_print_table(list->rows, ctl_mark_columns,
                    ak_nitems(ctl_mark_columns));

    json_array_foreach(list->rows, i, row) {
        why = json_object_get(row, "damaged");

        if (why != NULL) {
            ctl_print_text("damaged mark %s %s: %s",
                           json_string_value(json_object_get(row, "claim")),
                           json_string_value(json_object_get(row, "value")),
                           json_string_value(why));
        }
    }
}


ctl_status_e
ctl_jwt_revoked(ctl_t *ctl)
{
    ctl_status_e              status;
    ctl_mark_list_t           list;
    static const char *const  order[] = { "claim", "value", NULL };

    status = ctl_store_open(ctl);

    if (status != CTL_DONE) {
        return status;
    }

    memset(&list, 0, sizeof(ctl_mark_list_t));
    list.skip = ctl->conf.prefix.len + sizeof(AK_MARK_SPACE) - 1;
    list.now = time(NULL);
    list.rows = json_array();

    status = ctl_store_scan(ctl, ak_literal(AK_MARK_SPACE), ak_literal(""),
                            &list.names);

    if (status == CTL_DONE) {
        status = ctl_store_mark_fetch(ctl, &list.names, ctl_mark_row, &list);
    }

    if (status == CTL_DONE) {
        list.rows = ctl_sort(list.rows, order);
        ctl_mark_print_list(ctl, &list);
    }

    json_decref(list.rows);
    ctl_names_free(&list.names);

    return status;
}
