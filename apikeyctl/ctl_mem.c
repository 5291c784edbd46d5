
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_mem.h"
#include "ctl.h"


/*
 * jansson keeps copies of what it is given, new keys among them, hence its
 * memory is this one.  The size stands before the memory.
 */

typedef union {
    size_t       size;
    max_align_t  align;
} ctl_block_t;


void *
ctl_alloc(size_t size)
{
    ctl_block_t  *b;

    b = malloc(sizeof(ctl_block_t) + size);

    if (b == NULL) {
        exit(ctl_fail(CTL_REFUSED, "there is no memory"));
    }

    b->size = size;

    return b + 1;
}


void *
ctl_grow(void *p, size_t size)
{
    void         *q;
    ctl_block_t  *b;

    q = ctl_alloc(size);

    if (p != NULL) {
        b = (ctl_block_t *) p - 1;
        memcpy(q, p, b->size < size ? b->size : size);
        ctl_free(p);
    }

    return q;
}


void
ctl_free(void *p)
{
    ctl_block_t  *b;

    if (p == NULL) {
        return;
    }

    b = (ctl_block_t *) p - 1;

    ak_mem_wipe(p, b->size);
    free(b);
}


char *
ctl_strdup(ak_str_t s)
{
    char  *p;

    p = ctl_alloc(s.len + 1);

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    p[s.len] = '\0';

    return p;
}
