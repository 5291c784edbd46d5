
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_mem.h"
#include "ctl.h"


#define CTL_ENV  "env:"


void
ctl_kid_text(const uint8_t *kid, char text[CTL_KID_TEXT_LEN + 1])
{
    size_t             i;
    static const char  hex[] = "0123456789abcdef";

    for (i = 0; i < AK_KID_LEN; i++) {
        *text++ = hex[kid[i] >> 4];
        *text++ = hex[kid[i] & 15];
    }

    *text = '\0';
}


ctl_status_e
ctl_kid_parse(const ctl_t *ctl, const char *word, uint8_t kid[AK_KID_LEN])
{
    size_t       i;
    const char  *digit;

    static const char  hex[] = "0123456789abcdef";

    memset(kid, 0, AK_KID_LEN);

    for (i = 0; i < CTL_KID_TEXT_LEN && word[i] != '\0'; i++) {
        digit = strchr(hex, word[i]);

        if (digit == NULL) {
            break;
        }

        kid[i / 2] = (uint8_t) (kid[i / 2] << 4 | (digit - hex));
    }

    if (i != CTL_KID_TEXT_LEN || word[i] != '\0') {
        return ctl_usage(ctl, "a master key is named by its kid, 8 of 0-9 and "
                         "a-f; \"apikeyctl keyring check\" shows them");
    }

    return CTL_DONE;
}


const char *
ctl_keyring_variable(const ctl_t *ctl)
{
    return (strncmp(ctl->keyring, CTL_ENV, sizeof(CTL_ENV) - 1) == 0)
           ? ctl->keyring + sizeof(CTL_ENV) - 1 : NULL;
}


static ak_keyring_t *
ctl_keyring_env(const char *name, ak_diag_t *d)
{
    char          *text;
    ak_keyring_t  *k;

    text = getenv(name);

    if (text == NULL || *text == '\0') {
        ak_diag(d, "there is no such environment variable");
        return NULL;
    }

    k = ak_keyring_parse(ak_cstr(text), d);

    /* the environment is ours, nobody reads it after this */

    ak_mem_wipe(text, strlen(text));

    return k;
}


ctl_status_e
ctl_keyring_load(ctl_t *ctl, ak_diag_t *d)
{
    ak_diag_t    why;
    const char  *variable;

    memset(&why, 0, sizeof(ak_diag_t));
    variable = ctl_keyring_variable(ctl);

    if (variable != NULL) {
        ctl->keys = ctl_keyring_env(variable, &why);

    } else {
        ctl->keys = ak_keyring_load(ctl->keyring, &why);
    }

    if (ctl->keys != NULL) {
        return CTL_DONE;
    }

    d->line = why.line;

    if (why.line != 0) {
        (void) ak_diag(d, "keyring %s, line %u: %s", ctl->keyring, why.line,
                       why.text);

    } else if (strstr(why.text, ctl->keyring) != NULL) {

        /* what is wrong with the file itself names it already */

        (void) ak_diag(d, "keyring: %s", why.text);

    } else {
        (void) ak_diag(d, "keyring %s: %s", ctl->keyring, why.text);
    }

    return CTL_KEYRING;
}


ctl_status_e
ctl_keyring_open(ctl_t *ctl)
{
    ak_diag_t  d;

    if (ctl->keyring == NULL) {
        return ctl_usage(ctl, "no keyring is named: give --keyring FILE, or "
                         "set APIKEY_KEYRING; \"apikeyctl init\" makes one");
    }

    if (ctl_keyring_load(ctl, &d) != CTL_DONE) {
        return ctl_fail(CTL_KEYRING, "%s", d.text);
    }

    return CTL_DONE;
}
