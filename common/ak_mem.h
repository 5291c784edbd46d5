
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_MEM_H_INCLUDED_
#define _AK_MEM_H_INCLUDED_


#include "ak.h"


/*
 * Where a transaction gets its memory.  What alloc() returns is aligned for
 * any type, is not zeroed, and lives until the host ends the transaction;
 * NULL means that there is no more.
 */

typedef struct {
    void  *(*alloc)(void *data, size_t size);
    void  *data;
} ak_mem_t;


/* Overwrites size bytes in a way that the compiler does not leave out. */

void ak_mem_wipe(void *p, size_t size);

/* Compares in a time that depends on size alone. */

bool ak_mem_equal(const void *a, const void *b, size_t size);


#endif /* _AK_MEM_H_INCLUDED_ */
