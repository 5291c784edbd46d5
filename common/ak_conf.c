
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_conf.h"


static bool
ak_conf_space(uint8_t ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}


static ak_rc_t
ak_conf_error(ak_conf_t *c, ak_diag_t *d, const char *why)
{
    if (d != NULL) {
        d->line = c->lines + 1;
    }

    return ak_diag(d, "%s", why);
}


/* Up to the next byte that says something; false: there is none. */

static bool
ak_conf_skip(ak_conf_t *c)
{
    bool     comment;
    uint8_t  ch;

    comment = false;

    for ( /* void */ ; c->pos < c->text.len; c->pos++) {
        ch = c->text.data[c->pos];

        if (ch == '\n') {
            c->lines++;
            comment = false;

        } else if (ch == '#') {
            comment = true;

        } else if (!comment && !ak_conf_space(ch)) {
            return true;
        }
    }

    return false;
}


static void
ak_conf_put(ak_conf_t *c, uint8_t ch)
{
    c->lines += (ch == '\n');
    c->buf[c->used++] = ch;
}


/* What stands behind a backslash; others stay as they are, both bytes. */

static void
ak_conf_escaped(ak_conf_t *c)
{
    uint8_t  ch;

    ch = c->text.data[c->pos++];

    switch (ch) {

    case '"':
    case '\'':
    case '\\':
        ak_conf_put(c, ch);
        break;

    case 't':
        ak_conf_put(c, '\t');
        break;

    case 'r':
        ak_conf_put(c, '\r');
        break;

    case 'n':
        c->buf[c->used++] = '\n';
        break;

    default:
        ak_conf_put(c, '\\');
        ak_conf_put(c, ch);
        break;
    }
}


static ak_rc_t
ak_conf_quoted(ak_conf_t *c, ak_diag_t *d)
{
    uint8_t  ch, quote;

    quote = c->text.data[c->pos++];

    while (c->pos < c->text.len) {
        ch = c->text.data[c->pos++];

        if (ch == quote) {

            if (c->pos < c->text.len
                && !ak_conf_space(c->text.data[c->pos])
                && memchr(";{)", c->text.data[c->pos], 3) == NULL)
            {
                return ak_conf_error(c, d, "a quote is followed by something "
                                     "that is not a space, \";\" or \"{\"");
            }

            return AK_OK;
        }

        if (ch == '\\' && c->pos < c->text.len) {
            ak_conf_escaped(c);

        } else {
            ak_conf_put(c, ch);
        }
    }

    return ak_conf_error(c, d, "a quote is never closed");
}


static void
ak_conf_bare(ak_conf_t *c)
{
    uint8_t  ch;

    while (c->pos < c->text.len) {
        ch = c->text.data[c->pos];

        if (ak_conf_space(ch) || ch == ';'
            || (ch == '{' && (c->pos == 0
                              || c->text.data[c->pos - 1] != '$')))
        {
            return;
        }

        c->pos++;

        if (ch == '\\' && c->pos < c->text.len) {
            ak_conf_escaped(c);

        } else {
            ak_conf_put(c, ch);
        }
    }
}


static ak_rc_t
ak_conf_word(ak_conf_t *c, ak_diag_t *d)
{
    size_t   begin;
    uint8_t  ch;

    if (c->n == AK_CONF_WORDS_MAX) {
        return ak_conf_error(c, d, "there are too many words");
    }

    begin = c->used;
    ch = c->text.data[c->pos];

    if (ch == '"' || ch == '\'') {

        if (ak_conf_quoted(c, d) != AK_OK) {
            return AK_ERROR;
        }

    } else {
        ak_conf_bare(c);
    }

    c->words[c->n++] = ak_str(c->buf + begin, c->used - begin);

    return AK_OK;
}


ak_rc_t
ak_conf_next(ak_conf_t *c, ak_diag_t *d)
{
    uint8_t  ch;

    c->n = 0;
    c->used = 0;

    while (ak_conf_skip(c)) {

        ch = c->text.data[c->pos];

        if (ch != ';' && ch != '{' && ch != '}') {

            if (ak_conf_word(c, d) != AK_OK) {
                return AK_ERROR;
            }

            continue;
        }

        c->pos++;
        c->line = c->lines + 1;

        if ((ch == '}') != (c->n == 0)) {
            return ak_conf_error(c, d, ch == ';' ? "unexpected \";\""
                                       : ch == '{' ? "unexpected \"{\""
                                       : "unexpected \"}\"");
        }

        c->type = (ch == ';') ? AK_CONF_STATEMENT
                  : (ch == '{') ? AK_CONF_BLOCK : AK_CONF_CLOSE;

        return AK_OK;
    }

    if (c->n != 0) {
        return ak_conf_error(c, d, "the file ends within a statement, \";\" "
                             "or \"}\" is expected");
    }

    return AK_NOT_FOUND;
}
