
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ak_modules.h"
#include "ak_time.h"


/*
 * session ... audit log=PATH|syslog:... [granted=on|off]
 *
 * Writes who asked for what, and what became of it: a line of JSON (RFC 8259)
 * a request, always with the same members in the same order.  Of what
 * a request carries there is the method, the path and the id of the key.
 */

#define AK_AUDIT_TEXT_MAX  128         /* bytes of a member */
#define AK_AUDIT_PATH_MAX  512


/*
 * A line: at most 6 bytes for each of the path and of 9 other members that are
 * not of this library, and what is around them.
 */

#define AK_AUDIT_MAX                                                         \
    (6 * (AK_AUDIT_PATH_MAX + 9 * AK_AUDIT_TEXT_MAX) + 512)


typedef struct {
    ak_str_t   target;
    unsigned   granted;
    void      *log;
} ak_audit_conf_t;


/* The order is that of the words. */

typedef enum {
    AK_AUDIT_ON = 0,
    AK_AUDIT_OFF
} ak_audit_granted_e;


static const ak_str_t  ak_audit_granted[] = {
    [AK_AUDIT_ON] = ak_string("on"),
    [AK_AUDIT_OFF] = ak_string("off"),
    ak_string("")
};


static const ak_str_t  ak_audit_sources[] = {
    [AK_SOURCE_NONE] = ak_string("none"),
    [AK_SOURCE_HIT] = ak_string("hit"),
    [AK_SOURCE_MISS] = ak_string("miss"),
    [AK_SOURCE_STALE] = ak_string("stale")
};


typedef struct {
    uint8_t   *p;
    uint8_t   *last;
} ak_audit_line_t;


static ak_rc_t
ak_audit_init(void *data, const ak_init_t *in)
{
    ak_audit_conf_t *conf = data;

    if (conf->target.len == 0) {
        return ak_diag(in->d, "\"log\" is missing, a file or syslog:...");
    }

    if (in->site->open_log == NULL) {
        return ak_diag(in->d, "there are no logs here");
    }

    conf->log = in->site->open_log(in->site->data, conf->target, in->d);

    return (conf->log == NULL) ? AK_ERROR : AK_OK;
}


static void
ak_audit_put(ak_audit_line_t *l, ak_str_t text)
{
    if (text.len <= (size_t) (l->last - l->p)) {
        memcpy(l->p, text.data, text.len);
        l->p += text.len;
    }
}


/*
 * The length of the character that p begins with, UTF-8 (RFC 3629, 4);
 * 0: it is none.
 */

static size_t
ak_audit_char(const uint8_t *p, size_t len)
{
    size_t   i, n;
    uint8_t  min, max;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }

    n = 2 + (p[0] >= 0xe0) + (p[0] >= 0xf0);

    /* neither longer than it must be, nor a surrogate, nor beyond Unicode */

    min = (p[0] == 0xe0) ? 0xa0 : (p[0] == 0xf0) ? 0x90 : 0x80;
    max = (p[0] == 0xed) ? 0x9f : (p[0] == 0xf4) ? 0x8f : 0xbf;

    if (len < n || p[1] < min || p[1] > max) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


/*
 * Puts a character.  Those that command a terminal, which may show the log,
 * are escaped, beside those that JSON wants to be.
 */

static void
ak_audit_escaped(ak_audit_line_t *l, ak_str_t ch)
{
    bool      plain;
    char      text[sizeof("\\u0000")];
    unsigned  code;

    code = ch.data[ch.len - 1];

    if (ch.len == 1) {
        plain = (code >= 0x20 && code != 0x7f && code != '"' && code != '\\');

    } else { /* U+0080 to U+009f begin with c2 */
        plain = (ch.data[0] != 0xc2 || code >= 0xa0);
    }

    if (plain) {
        ak_audit_put(l, ch);
        return;
    }

    (void) snprintf(text, sizeof(text), "\\u%04x", code);
    ak_audit_put(l, ak_cstr(text));
}


/* At most max bytes of the text, whole characters. */

static void
ak_audit_string(ak_audit_line_t *l, ak_str_t text, size_t max)
{
    size_t    i, n;
    ak_str_t  ch;

    ak_audit_put(l, ak_literal("\""));

    for (i = 0; i < text.len; i += ch.len) {
        n = ak_audit_char(text.data + i, text.len - i);
        ch = ak_str(text.data + i, n == 0 ? 1 : n);

        if (i + ch.len > max) {
            break;
        }

        if (n == 0) {
            ak_audit_put(l, ak_literal("\\ufffd"));

        } else {
            ak_audit_escaped(l, ch);
        }
    }

    ak_audit_put(l, ak_literal("\""));
}


/* "prefix" is what is before the value: a comma and the member's name. */

static void
ak_audit_text(ak_audit_line_t *l, const char *prefix, ak_str_t text)
{
    ak_audit_put(l, ak_cstr(prefix));
    ak_audit_string(l, text, AK_AUDIT_TEXT_MAX);
}


static ak_str_t
ak_audit_view(const ak_txn_t *t, ak_view_e what)
{
    ak_str_t  value;

    if (!t->view.get(t->view.host, what, &value)) {
        return ak_str(NULL, 0);
    }

    return value;
}


static void
ak_audit_decision(ak_audit_line_t *l, const ak_txn_t *t)
{
    char  text[AK_TIME_TEXT_SIZE];

    ak_time_format(t->now, text);

    ak_audit_text(l, "{\"time\":", ak_cstr(text));
    ak_audit_text(l, ",\"request_id\":",
                  ak_audit_view(t, AK_VIEW_REQUEST_ID));
    ak_audit_text(l, ",\"verdict\":",
                  t->reason == AK_SUCCESS ? ak_literal("granted")
                                          : ak_literal("denied"));
    ak_audit_text(l, ",\"reason\":", ak_error(t->reason)->word);
    ak_audit_text(l, ",\"stack\":", t->stack);
    ak_audit_text(l, ",\"module\":", t->module);

    (void) snprintf(text, sizeof(text), "%u", t->line);

    ak_audit_put(l, ak_literal(",\"line\":"));
    ak_audit_put(l, ak_cstr(text));
}


static void
ak_audit_request(ak_audit_line_t *l, const ak_txn_t *t)
{
    ak_audit_text(l, ",\"key\":", t->id);
    ak_audit_text(l, ",\"owner\":", t->owner);
    ak_audit_text(l, ",\"source\":", ak_audit_view(t, AK_VIEW_ADDRESS_TEXT));
    ak_audit_text(l, ",\"method\":", ak_audit_view(t, AK_VIEW_METHOD));

    ak_audit_put(l, ak_literal(",\"path\":"));
    ak_audit_string(l, ak_audit_view(t, AK_VIEW_PATH), AK_AUDIT_PATH_MAX);

    ak_audit_text(l, ",\"cache\":", ak_audit_sources[t->source]);
    ak_audit_text(l, ",\"provider\":", t->provider);
    ak_audit_text(l, ",\"slot\":", t->slot);
    ak_audit_put(l, ak_literal("}"));
}


static ak_reason_e
ak_audit_report(ak_txn_t *t, const void *data, void *state)
{
    const ak_audit_conf_t *conf = data;

    uint8_t          text[AK_AUDIT_MAX];
    ak_audit_line_t  l = { text, text + sizeof(text) };

    (void) state;

    if (t->log == NULL
        || (t->reason == AK_SUCCESS && conf->granted == AK_AUDIT_OFF))
    {
        return AK_IGNORE;
    }

    ak_audit_decision(&l, t);
    ak_audit_request(&l, t);

    t->log(t->view.host, conf->log, ak_str(text, (size_t) (l.p - text)));

    return AK_SUCCESS;
}


static const ak_arg_t  ak_audit_args[] = {
    { AK_ARG_TEXT, ak_string("log"), offsetof(ak_audit_conf_t, target), NULL,
      "where to, a file or syslog:..." },
    { AK_ARG_CHOICE, ak_string("granted"), offsetof(ak_audit_conf_t, granted),
      ak_audit_granted, "whether requests that pass are written too" },
    { .type = AK_ARG_END }
};


const ak_module_t  ak_mod_audit = {
    .name = ak_string("audit"),
    .about = "a line of JSON for every request",
    .conf_size = sizeof(ak_audit_conf_t),
    .args = ak_audit_args,
    .init = ak_audit_init,
    .run = { [AK_REPORT] = ak_audit_report }
};
