
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _CTL_APP_H_INCLUDED_
#define _CTL_APP_H_INCLUDED_


#include "ak_hash.h"
#include "ak_import.h"
#include "ctl_rows.h"


/* What other applications export: their columns, and what they are here. */

typedef struct {
    const char  *name;                 /* theirs */
    const char  *field;                /* ours; NULL: it is left out */
} ctl_app_column_t;


typedef struct {
    const char              *name;     /* of --format */
    ctl_rows_e               rows;
    const char              *needed;   /* the field that each row must have */
    const ctl_app_column_t  *columns;  /* ends with a NULL name */
    ak_hash_alg_e            weak;     /* keys: what "hash" is; 0: none */
    bool                     sealed;   /* there is an application's key, */
    ak_import_form_e         form;     /* by which it is sealed so */
} ctl_app_t;


/* NULL: none has this name. */

const ctl_app_t *ctl_app_of_keys(const char *name);
const ctl_app_t *ctl_app_of_upstream(const char *name);

/* A cell of rows, the data being the application; its field, or NULL. */

ctl_cell_e ctl_app_cell(const void *app, ak_str_t name);
const char *ctl_app_field(const ctl_app_t *app, ak_str_t name);

/*
 * Reads the application's key that --app-key names, env:NAME or file:PATH, into
 * *key, which the caller wipes.
 */

ctl_status_e ctl_app_key(const ctl_t *ctl, const ctl_app_t *app,
    ak_import_key_t *key);

/* When a key ends, as databases say it: Unix seconds, or a time. */

ak_rc_t ctl_app_expires(ak_str_t value, int64_t now, int64_t *at);

/* Whether a database's flag is set. */

bool ctl_app_flag(ak_str_t value);


#endif /* _CTL_APP_H_INCLUDED_ */
