
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_view.h"


bool
ak_view_same_name(ak_str_t received, ak_str_t name)
{
    size_t   i;
    uint8_t  ch;

    if (received.len != name.len) {
        return false;
    }

    if (memcmp(received.data, name.data, name.len) == 0) {
        return true;
    }

    for (i = 0; i < name.len; i++) {

        ch = received.data[i];

        if (ch == '_') {
            ch = '-';
        }

        if (ch != (name.data[i] == '_' ? '-' : name.data[i])) {
            return false;
        }
    }

    return true;
}


bool
ak_view_token(ak_str_t s)
{
    size_t             i;
    uint8_t            ch;
    static const char  others[] = "!#$%&'*+-.^_`|~";

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9')
              || memchr(others, ch, sizeof(others) - 1) != NULL))
        {
            return false;
        }
    }

    return s.len != 0;
}
