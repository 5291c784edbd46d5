
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_PRINT_H_INCLUDED_
#define _CTL_PRINT_H_INCLUDED_


#include "ctl.h"


/*
 * Every answer is a JSON value; tables for people are made from the same.
 * What is printed may be a key: the buffer of stdout is wiped.
 */

typedef struct {
    const char  *title;
    const char  *field;
    bool         time;                 /* Unix seconds, 0: never */
} ctl_column_t;


void ctl_print_init(void);

/*
 * Flushes stdout and wipes its buffer.  CTL_REFUSED, told: a closed pipe, a
 * full disk; then nothing more can be printed.
 */

ctl_status_e ctl_print_flush(void);

/* A string, bytes that are no UTF-8 replaced. */

json_t *ctl_json(ak_str_t s);

/* Takes the value over. */

void ctl_set(json_t *object, const char *field, json_t *value);

void ctl_print_json(const json_t *value);

/* A line for each of the rows; an object with a line for each column it has. */

void ctl_print_table(const json_t *rows, const ctl_column_t *cols, size_t n);
void ctl_print_object(const json_t *object, const ctl_column_t *cols,
    size_t n);

/* Text, control characters replaced. */

void ctl_print_text(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* The rows in the order of these fields, strings or integers. */

json_t *ctl_sort(json_t *rows, const char *const *fields);


#endif /* _CTL_PRINT_H_INCLUDED_ */
