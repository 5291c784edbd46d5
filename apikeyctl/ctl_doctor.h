
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_DOCTOR_H_INCLUDED_
#define _CTL_DOCTOR_H_INCLUDED_


#include "ctl_fleet.h"
#include "ctl_print.h"


/* What "apikeyctl doctor" finds out, a line for each of it. */

typedef enum {
    CTL_FOUND_OK = 0,
    CTL_FOUND_UNKNOWN,                 /* the server would not say */
    CTL_FOUND_WARNING,
    CTL_FOUND_BAD,                     /* exit status 1 */
    CTL_FOUND_NO_STORE,                /* 3 */
    CTL_FOUND_NO_KEY                   /* 4 */
} ctl_found_e;


typedef struct {
    ctl_t        *ctl;
    json_t       *checks;
    unsigned      n[CTL_FOUND_NO_KEY + 1];     /* how many of each */
    bool          list;                /* records may be listed */
} ctl_doctor_t;


/*
 * Adds a line: what was looked at and of whom, what was found, and what is to
 * be done (NULL: nothing).
 */

void ctl_doctor_tell(ctl_doctor_t *doc, ctl_found_e found, const char *check,
    const char *of, const char *todo, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/*
 * ctl_doctor_redis.c: who can be reached.  ctl->fleet is open after it where
 * somebody can.  ctl_doctor_server.c: what one of them says of itself.
 */

ctl_status_e ctl_doctor_redis(ctl_doctor_t *doc);
void ctl_doctor_server(ctl_doctor_t *doc, ctl_wire_t *w);

/* ctl_doctor_rights.c: what the user may do, seen at a server. */

void ctl_doctor_rights(ctl_doctor_t *doc, ctl_wire_t *w);

/* ctl_doctor_file.c, ctl_doctor_records.c */

ctl_status_e ctl_doctor_file(ctl_doctor_t *doc);
void ctl_doctor_records(ctl_doctor_t *doc);


#endif /* _CTL_DOCTOR_H_INCLUDED_ */
