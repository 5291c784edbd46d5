
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_base64.h"
#include "ak_keyring_edit.h"
#include "ak_mem.h"


#define AK_MASTER_WORD  "master "
#define AK_MASTER_LINE  (sizeof(AK_MASTER_WORD) - 1                           \
                         + ak_base64_encoded_len(AK_GCM_KEY_LEN) + 1)


/* A line of a master key, with its end; len 0: there is none. */

typedef struct {
    ak_str_t  first;
    ak_str_t  last;
    ak_str_t  named;                   /* that of the kid */
} ak_master_lines_t;


/* A text that is put together, wherever there is room for it. */

typedef struct {
    uint8_t  *data;
    size_t    len;
    bool      full;
} ak_edit_t;


/* A line that is a keyring of its own is that of a master key. */

static void
ak_keyring_lines(ak_str_t text, const uint8_t *kid, ak_master_lines_t *lines)
{
    ak_str_t        line;
    ak_keyring_t   *k;
    const uint8_t  *eol;

    memset(lines, 0, sizeof(ak_master_lines_t));

    while (text.len != 0) {
        eol = memchr(text.data, '\n', text.len);

        line = ak_str(text.data, eol == NULL
                                 ? text.len : (size_t) (eol + 1 - text.data));

        text.data += line.len;
        text.len -= line.len;

        k = ak_keyring_parse(line, NULL);

        if (k == NULL) {
            continue;
        }

        if (lines->first.len == 0) {
            lines->first = line;
        }

        lines->last = line;

        if (kid != NULL
            && memcmp(ak_keyring_kid(k, 0), kid, AK_KID_LEN) == 0)
        {
            lines->named = line;
        }

        ak_keyring_free(k);
    }
}


static void
ak_edit_put(ak_edit_t *edit, const uint8_t *begin, const uint8_t *end)
{
    size_t  len;

    len = (size_t) (end - begin);

    if (edit->full || len > AK_KEYRING_MAX - edit->len) {
        edit->full = true;
        return;
    }

    memcpy(edit->data + edit->len, begin, len);
    edit->len += len;
}


/* The last line of a text may lack its end, which it needs before another. */

static void
ak_edit_line(ak_edit_t *edit, ak_str_t line)
{
    static const uint8_t  lf = '\n';

    ak_edit_put(edit, line.data, line.data + line.len);

    if (line.len != 0 && line.data[line.len - 1] != lf) {
        ak_edit_put(edit, &lf, &lf + 1);
    }
}


static ak_rc_t
ak_edit_end(ak_edit_t *edit, size_t *len, ak_diag_t *d)
{
    ak_keyring_t  *k;

    k = NULL;

    if (edit->full) {
        (void) ak_diag(d, "the keyring would be longer than %d bytes",
                       AK_KEYRING_MAX);

    } else {
        k = ak_keyring_parse(ak_str(edit->data, edit->len), d);
    }

    if (k == NULL) {
        ak_mem_wipe(edit->data, edit->len);
        return AK_ERROR;
    }

    ak_keyring_free(k);
    *len = edit->len;

    return AK_OK;
}


/* AK_ERROR: the text is none; *masters is set. */

static ak_rc_t
ak_edit_begin(ak_edit_t *edit, ak_str_t text, uint8_t *dst, size_t *len,
    size_t *masters, ak_diag_t *d)
{
    ak_keyring_t  *k;

    memset(edit, 0, sizeof(ak_edit_t));
    edit->data = dst;
    *len = 0;

    k = ak_keyring_parse(text, d);

    if (k == NULL) {
        return AK_ERROR;
    }

    *masters = ak_keyring_masters(k);
    ak_keyring_free(k);

    return AK_OK;
}


/* A line with a key that nobody has had before. */

static ak_rc_t
ak_keyring_fresh(uint8_t line[AK_MASTER_LINE], uint8_t *kid)
{
    ak_rc_t        rc;
    uint8_t        key[AK_GCM_KEY_LEN];
    ak_keyring_t  *k;

    rc = ak_random(key, sizeof(key));

    if (rc == AK_OK) {
        memcpy(line, AK_MASTER_WORD, sizeof(AK_MASTER_WORD) - 1);
        ak_base64_encode(AK_BASE64, ak_str(key, sizeof(key)),
                         line + sizeof(AK_MASTER_WORD) - 1);
        line[AK_MASTER_LINE - 1] = '\n';

        k = ak_keyring_parse(ak_str(line, AK_MASTER_LINE), NULL);
        rc = (k == NULL) ? AK_ERROR : AK_OK;

        if (k != NULL) {
            memcpy(kid, ak_keyring_kid(k, 0), AK_KID_LEN);
            ak_keyring_free(k);
        }
    }

    ak_mem_wipe(key, sizeof(key));

    return rc;
}


ak_rc_t
ak_keyring_add(ak_str_t text, bool first, uint8_t *dst, size_t *len,
    uint8_t kid[AK_KID_LEN], ak_diag_t *d)
{
    size_t              masters;
    uint8_t             line[AK_MASTER_LINE];
    ak_edit_t           edit;
    const uint8_t      *end;
    ak_master_lines_t   lines;

    if (ak_edit_begin(&edit, text, dst, len, &masters, d) != AK_OK) {
        return AK_ERROR;
    }

    if (masters == AK_KEYRING_MASTERS) {
        return ak_diag(d, "there are %d master keys already, and there is no "
                       "room for more", AK_KEYRING_MASTERS);
    }

    if (ak_keyring_fresh(line, kid) != AK_OK) {
        ak_mem_wipe(line, sizeof(line));
        return ak_diag(d, "there is no randomness to make a master key of");
    }

    ak_keyring_lines(text, NULL, &lines);
    end = text.data + text.len;

    if (first) {
        ak_edit_put(&edit, text.data, lines.first.data);
        ak_edit_put(&edit, line, line + sizeof(line));
        ak_edit_put(&edit, lines.first.data, end);

    } else {
        ak_edit_put(&edit, text.data, lines.last.data);
        ak_edit_line(&edit, lines.last);
        ak_edit_put(&edit, line, line + sizeof(line));
        ak_edit_put(&edit, lines.last.data + lines.last.len, end);
    }

    ak_mem_wipe(line, sizeof(line));

    return ak_edit_end(&edit, len, d);
}


ak_rc_t
ak_keyring_promote(ak_str_t text, const uint8_t kid[AK_KID_LEN], uint8_t *dst,
    size_t *len, ak_diag_t *d)
{
    size_t             masters;
    ak_edit_t          edit;
    ak_master_lines_t  lines;

    if (ak_edit_begin(&edit, text, dst, len, &masters, d) != AK_OK) {
        return AK_ERROR;
    }

    ak_keyring_lines(text, kid, &lines);

    if (lines.named.len == 0) {
        (void) ak_diag(d, "there is no such master key");
        return AK_NOT_FOUND;
    }

    if (lines.named.data == lines.first.data) {
        ak_edit_put(&edit, text.data, text.data + text.len);
        return ak_edit_end(&edit, len, d);
    }

    ak_edit_put(&edit, text.data, lines.first.data);
    ak_edit_line(&edit, lines.named);
    ak_edit_put(&edit, lines.first.data, lines.named.data);
    ak_edit_put(&edit, lines.named.data + lines.named.len,
                text.data + text.len);

    return ak_edit_end(&edit, len, d);
}


ak_rc_t
ak_keyring_remove(ak_str_t text, const uint8_t kid[AK_KID_LEN], uint8_t *dst,
    size_t *len, ak_diag_t *d)
{
    size_t             masters;
    ak_edit_t          edit;
    ak_master_lines_t  lines;

    if (ak_edit_begin(&edit, text, dst, len, &masters, d) != AK_OK) {
        return AK_ERROR;
    }

    ak_keyring_lines(text, kid, &lines);

    if (lines.named.len == 0) {
        (void) ak_diag(d, "there is no such master key");
        return AK_NOT_FOUND;
    }

    if (masters == 1) {
        return ak_diag(d, "it is the only master key; add another one first");
    }

    ak_edit_put(&edit, text.data, lines.named.data);
    ak_edit_put(&edit, lines.named.data + lines.named.len,
                text.data + text.len);

    return ak_edit_end(&edit, len, d);
}
