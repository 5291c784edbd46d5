
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <errno.h>
#include <obstack.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ak_jwt_line.h"
#include "ctl_print.h"


/*
 * What a line of a stack would say to a token, check by check: where the
 * module stops at the first that does not hold, all are told here.
 */

#define obstack_chunk_alloc ctl_alloc
#define obstack_chunk_free  ctl_free


typedef struct {
    struct obstack   pool;
    ak_site_t        site;
    ak_jwt_line_t    line;
    ak_jwt_t         jwt;
    ak_jwt_times_t   times;
    uint8_t          token[AK_JWT_MAX];
    ak_reason_e      reason;           /* of the first that does not hold */
    json_t          *checks;
    json_t          *answer;
} ctl_jwt_t;


static void *
ctl_jwt_alloc(void *data, size_t size)
{
    ctl_jwt_t *c = data;

    return obstack_alloc(&c->pool, size);
}


static void
ctl_jwt_warn(void *data, const char *text)
{
    (void) data;

    fprintf(stderr, "apikeyctl: warning: %s\n", text);
}


/* "jwks=keys.json", "secret=file:key": from where the command is called. */

static ak_str_t
ctl_jwt_word(ctl_jwt_t *c, const char *word)
{
    char      *path;
    char       folder[4096];
    size_t     i, len, size;
    ak_str_t   s;

    static const char  *names[] = { "jwks=", "key=", "secret=file:" };

    s = ak_cstr(word);

    for (i = 0; i < ak_nitems(names); i++) {
        len = strlen(names[i]);

        if (strncmp(word, names[i], len) != 0 || word[len] == '/'
            || word[len] == '\0' || getcwd(folder, sizeof(folder)) == NULL)
        {
            continue;
        }

        size = strlen(folder) + s.len + 2;
        path = obstack_alloc(&c->pool, size);
        (void) snprintf(path, size, "%s%s/%s", names[i], folder, word + len);

        return ak_cstr(path);
    }

    return s;
}


static ctl_status_e
ctl_jwt_configure(ctl_t *ctl, ctl_jwt_t *c)
{
    size_t      i;
    ak_str_t    words[CTL_STORE_WORDS_MAX];
    ak_diag_t   d;
    ak_init_t   in = { &c->site, AK_GROUP_AUTH, ak_string("jwt"), 1, &d };

    for (i = 0; i < ctl->nwords; i++) {
        words[i] = ctl_jwt_word(c, ctl->words[i]);
    }

    ak_jwt_line_defaults(&c->line);

    if (ak_args_read(&c->line, ak_jwt_line_args, &c->site.mem, words,
                     ctl->nwords, &d)
        != AK_OK)
    {
        return ctl_usage(ctl, "%s", d.text);
    }

    if (c->line.uri.len != 0) {
        return ctl_fail(CTL_USAGE, "nothing is fetched here; try \"curl -o "
                        "keys.json %s\" and jwks=keys.json",
                        (const char *) c->line.uri.data);
    }

    if (ak_jwt_line_init(&c->line, &in) != AK_OK) {
        return ctl_usage(ctl, "%s", d.text);
    }

    return CTL_DONE;
}


static void
ctl_jwt_row(ctl_jwt_t *c, const char *what, ak_reason_e reason,
    const char *why)
{
    json_t  *row;

    if (c->reason == AK_SUCCESS) {
        c->reason = reason;
    }

    row = json_object();

    ctl_set(row, "check", json_string(what));
    ctl_set(row, "result", json_string(reason == AK_SUCCESS ? "holds"
                                                            : "does not"));
    ctl_set(row, "why", ctl_json(ak_cstr(why)));

    if (json_array_append_new(c->checks, row) != 0) {
        exit(ctl_fail(CTL_REFUSED, "there is no memory"));
    }
}


static void
ctl_jwt_signature(ctl_jwt_t *c)
{
    bool             missing;
    char             why[AK_DIAG_MAX];
    ak_diag_t        d;
    ak_reason_e      reason;
    const ak_jwk_t  *by;

    reason = ak_jwt_verify(&c->jwt, &c->line.rules, c->line.keys.set, &by,
                           &missing, &d);

    if (reason != AK_SUCCESS) {
        ctl_jwt_row(c, "signature", reason, d.text);
        return;
    }

    if (by->kid.len != 0) {
        (void) snprintf(why, sizeof(why), "%.*s, by the key \"%.*s\"",
                        AK_FMT(c->jwt.alg->name), AK_FMT(by->kid));

    } else {
        (void) snprintf(why, sizeof(why), "%.*s", AK_FMT(c->jwt.alg->name));
    }

    ctl_jwt_row(c, "signature", AK_SUCCESS, why);
}


static void
ctl_jwt_claims(ctl_jwt_t *c)
{
    size_t        i;
    ak_str_t      owner, scopes;
    ak_diag_t     d;
    const char   *what;
    ak_reason_e   reason;

    reason = ak_jwt_read(&c->jwt, &c->site.mem, &c->times, &d);
    ctl_jwt_row(c, "claims", reason, reason == AK_SUCCESS ? "" : d.text);

    if (reason != AK_SUCCESS) {
        return;
    }

    ctl_set(c->answer, "claims", json_incref(c->jwt.claims));

    for (i = 0; ; i++) {
        d.text[0] = '\0';
        what = ak_jwt_check(i, &c->jwt, &c->line.rules, &c->times, time(NULL),
                            &reason, &d);

        if (what == NULL) {
            break;
        }

        ctl_jwt_row(c, what, reason, d.text);
    }

    reason = ak_jwt_line_owner(&c->line, c->jwt.claims, &c->site.mem, &owner,
                               &d);

    ctl_jwt_row(c, "owner", reason, reason == AK_SUCCESS ? "" : d.text);

    if (reason == AK_SUCCESS) {
        ctl_set(c->answer, "owner", ctl_json(owner));
    }

    if (ak_jwt_line_scopes(&c->line, c->jwt.claims, &c->site.mem, &scopes)
        == AK_OK && scopes.len != 0)
    {
        ctl_set(c->answer, "scopes", ctl_json(scopes));
    }
}


static void
ctl_jwt_examine(ctl_jwt_t *c, ak_str_t token)
{
    ak_diag_t    d;
    ak_reason_e  reason;

    reason = ak_jwt_parse(&c->jwt, token, &c->site.mem, &d);

    ctl_jwt_row(c, "form", reason, reason == AK_SUCCESS ? "" : d.text);

    if (c->jwt.header != NULL) {
        ctl_set(c->answer, "header", json_incref(c->jwt.header));
    }

    /* without an algorithm there is nothing to verify, but much to tell */

    if (reason == AK_SUCCESS) {
        ctl_jwt_signature(c);
    }

    if (c->jwt.payload.len != 0) {
        ctl_jwt_claims(c);
    }
}


static void
ctl_jwt_print(const ctl_t *ctl, ctl_jwt_t *c)
{
    char    *text;
    size_t   i;
    json_t  *part;

    static const char  *parts[] = { "header", "claims" };

    static const ctl_column_t  columns[] = {
        { "CHECK", "check", false },
        { "RESULT", "result", false },
        { "WHY", "why", false }
    };

    ctl_set(c->answer, "accepted", json_boolean(c->reason == AK_SUCCESS));
    ctl_set(c->answer, "reason",
            ctl_json(c->reason == AK_SUCCESS ? ak_str(NULL, 0)
                                             : ak_error(c->reason)->word));
    ctl_set(c->answer, "checks", json_incref(c->checks));

    if (ctl->json) {
        ctl_print_json(c->answer);
        return;
    }

    for (i = 0; i < ak_nitems(parts); i++) {
        part = json_object_get(c->answer, parts[i]);
        text = json_dumps(part, JSON_COMPACT|JSON_ENCODE_ANY);

        if (part != NULL && text != NULL) {
            ctl_print_text("%s: %s", parts[i], text);
        }

        ctl_free(text);        /* jansson's memory is ours */
    }

    putchar('\n');
    ctl_print_table(c->checks, columns, ak_nitems(columns));
    putchar('\n');

    if (c->reason == AK_SUCCESS) {
        ctl_print_text("It is accepted, and the owner is \"%s\".",
                  json_string_value(json_object_get(c->answer, "owner")));

    } else {
        ctl_print_text("It is refused: %.*s.",
                       AK_FMT(ak_error(c->reason)->word));
    }
}


ctl_status_e
ctl_jwt_check(ctl_t *ctl)
{
    size_t         len;
    ctl_jwt_t     *c;
    ctl_status_e   status;

    c = ctl_alloc(sizeof(ctl_jwt_t));
    memset(c, 0, sizeof(ctl_jwt_t));

    obstack_init(&c->pool);

    c->site.mem.alloc = ctl_jwt_alloc;
    c->site.mem.data = c;
    c->site.warn = ctl_jwt_warn;
    c->reason = AK_SUCCESS;
    c->checks = json_array();
    c->answer = json_object();

    status = ctl_jwt_configure(ctl, c);

    if (status == CTL_DONE) {
        status = ctl_secret_read("Token (it is not shown)", "token", c->token,
                                 AK_JWT_MAX, &len);
    }

    if (status == CTL_DONE) {
        ctl_jwt_examine(c, ak_str(c->token, len));
        ctl_jwt_print(ctl, c);

        status = (c->reason == AK_SUCCESS) ? CTL_DONE : CTL_REFUSED;
    }

    ak_jwt_free(&c->jwt);
    ak_keys_free(&c->line.keys);
    json_decref(c->checks);
    json_decref(c->answer);
    obstack_free(&c->pool, NULL);
    ctl_free(c);

    return status;
}
