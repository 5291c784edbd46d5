
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_BATCH_H_INCLUDED_
#define _CTL_BATCH_H_INCLUDED_


#include "ak_seal.h"
#include "ctl_intake.h"
#include "ctl_store.h"


/*
 * Secrets of providers on their way into their slots.  A file is written once
 * for many of them, since each time it is written as a whole.
 */

#define CTL_SLOT_TEXT    96


typedef struct {
    ak_place_t    place;
    char         *owner;               /* what the place is of */
    char          slot[CTL_SLOT_TEXT];
    char         *secret;              /* any bytes */
    size_t        len;
    unsigned      number;              /* of its row */

    const char   *name;                /* in the store */
    bool          there;               /* the slot held something */
    bool          written;
    bool          bad;                 /* that was told */
} ctl_secret_t;


typedef struct {
    ctl_t         *ctl;
    ctl_intake_t  *in;
    uint64_t       replaced;

    ctl_secret_t  *secrets;
    size_t         n;
    size_t         enough;             /* to be written */
    size_t         i;                  /* that is written */
    ctl_names_t    names;
    uint8_t        token[AK_SEALED_TEXT_MAX];
} ctl_batch_t;


/* A row has "row" secrets at most.  The store is open. */

void ctl_batch_begin(ctl_batch_t *b, ctl_t *ctl, ctl_intake_t *in, size_t row);
void ctl_batch_end(ctl_batch_t *b);

/*
 * Room for one more, all zero, to be counted by b->n++ when it is complete;
 * owner and secret are the batch's then, and wiped by it.
 */

ctl_secret_t *ctl_batch_next(ctl_batch_t *b);

/*
 * After each row: if there are enough, or it is the last one, they are sealed,
 * written, read back and opened.  What is bad of one is told with its row and
 * counted; an error is one of the store.
 */

ctl_status_e ctl_batch_flush(ctl_batch_t *b, bool last);


#endif /* _CTL_BATCH_H_INCLUDED_ */
