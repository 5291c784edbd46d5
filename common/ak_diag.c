
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdarg.h>
#include <stdio.h>

#include "ak_diag.h"


ak_rc_t
ak_diag(ak_diag_t *d, const char *fmt, ...)
{
    va_list  args;

    if (d == NULL) {
        return AK_ERROR;
    }

    va_start(args, fmt);

    if (vsnprintf(d->text, sizeof(d->text), fmt, args) < 0) {
        d->text[0] = '\0';
    }

    va_end(args);

    return AK_ERROR;
}
