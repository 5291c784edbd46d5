
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdlib.h>

#include "ak_file.h"
#include "ak_mem.h"
#include "ak_time.h"
#include "ctl_app.h"


#define CTL_APP_KEY_MAX  4096


/*
 * Client keys.  A field that is NULL is of no use here; the first column is the
 * one that there must be.
 */

static const ctl_app_column_t  ctl_app_open_webui[] = {
    { "key", "key" }, { "api_key", "key" },
    { "owner", "owner" }, { "user_id", "owner" }, { "email", "owner" },
    { "name", "name" }, { "expires_at", "expires" },
    { "id", NULL }, { "data", NULL }, { "last_used_at", NULL },
    { "created_at", NULL }, { "updated_at", NULL },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_lmnr_keys[] = {
    { "hash", "hash" },
    { "owner", "owner" }, { "project_id", "owner" }, { "projectId", "owner" },
    { "name", "name" },
    { "shorthand", "meta.shorthand" },
    { "is_ingest_only", "ingest" }, { "isIngestOnly", "ingest" },
    { "expires_at", "expires" }, { "expiresAt", "expires" },
    { "id", NULL }, { "created_at", NULL }, { "value", NULL },
    { "user_id", NULL },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_lobehub[] = {
    { "key", "key" },
    { "owner", "owner" }, { "user_id", "owner" },
    { "name", "name" }, { "enabled", "enabled" },
    { "expires_at", "expires" },
    { "id", NULL }, { "key_hash", NULL }, { "scopes", NULL },
    { "last_used_at", NULL }, { "accessed_at", NULL },
    { "created_at", NULL }, { "updated_at", NULL },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_litellm[] = {
    { "token", "hash" }, { "hashed_token", "hash" },
    { "owner", "owner" }, { "user_id", "owner" }, { "team_id", NULL },
    { "key_alias", "name" }, { "name", "name" },
    { "key_name", "meta.shorthand" },
    { "expires", "expires" }, { "blocked", "blocked" },
    { "spend", NULL }, { "created_at", NULL }, { "updated_at", NULL },
    { NULL, NULL }
};


static const ctl_app_t  ctl_apps_of_keys[] = {
    { .name = "open-webui", .rows = CTL_ROWS_ANY, .needed = "key",
      .columns = ctl_app_open_webui },
    { .name = "lmnr", .rows = CTL_ROWS_ANY, .needed = "hash",
      .columns = ctl_app_lmnr_keys, .weak = AK_HASH_SHA3_256 },
    { .name = "lobehub", .rows = CTL_ROWS_ANY, .needed = "key",
      .columns = ctl_app_lobehub, .sealed = true,
      .form = AK_IMPORT_LOBECHAT_VAULT },
    { .name = "litellm", .rows = CTL_ROWS_ANY, .needed = "hash",
      .columns = ctl_app_litellm, .weak = AK_HASH_SHA256_PLAIN }
};


/* Keys of providers. */

static const ctl_app_column_t  ctl_app_lmnr[] = {
    { "value", "value" }, { "nonce", "nonce" }, { "nonce_hex", "nonce" },
    { "owner", "owner" }, { "project_id", "owner" },
    { "name", "name" }, { "provider", "provider" }, { "slot", "slot" },
    { "id", NULL }, { "created_at", NULL },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_intern3[] = {
    { "value", "value" }, { "encryptedKey", "value" },
    { "encrypted_key", "value" },
    { "owner", "owner" }, { "userId", "owner" }, { "user_id", "owner" },
    { "provider", "provider" }, { "name", "provider" }, { "slot", "slot" },
    { "_id", NULL }, { "_creationTime", NULL }, { "enabled", NULL },
    { "isActive", NULL }, { "createdAt", NULL }, { "updatedAt", NULL },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_vault[] = {
    { "value", "value" }, { "key_vaults", "value" }, { "keyVaults", "value" },
    { "owner", "owner" }, { "user_id", "owner" }, { "userId", "owner" },
    { "provider", "provider" }, { "provider_id", "provider" },
    { "slot", "slot" },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_json[] = {
    { "secret", "value" },
    { "owner", "owner" }, { "provider", "provider" }, { "slot", "slot" },
    { NULL, NULL }
};

static const ctl_app_column_t  ctl_app_env[] = {
    { "key", "value" },                /* what rows of text are called */
    { NULL, NULL }
};


static const ctl_app_t  ctl_apps_of_upstream[] = {
    { .name = "lmnr", .rows = CTL_ROWS_ANY, .needed = "value",
      .columns = ctl_app_lmnr, .sealed = true, .form = AK_IMPORT_LMNR },
    { .name = "intern3-gcm", .rows = CTL_ROWS_ANY, .needed = "value",
      .columns = ctl_app_intern3, .sealed = true,
      .form = AK_IMPORT_INTERN3_GCM },
    { .name = "intern3-cbc", .rows = CTL_ROWS_ANY, .needed = "value",
      .columns = ctl_app_intern3, .sealed = true,
      .form = AK_IMPORT_INTERN3_CBC },
    { .name = "lobechat-vault", .rows = CTL_ROWS_ANY, .needed = "value",
      .columns = ctl_app_vault, .sealed = true,
      .form = AK_IMPORT_LOBECHAT_VAULT },
    { .name = "env", .rows = CTL_ROWS_TEXT, .needed = "value",
      .columns = ctl_app_env },
    { .name = "json", .rows = CTL_ROWS_JSON, .needed = "value",
      .columns = ctl_app_json }
};


static const ctl_app_t *
ctl_app_find(const ctl_app_t *apps, size_t n, const char *name)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (strcmp(apps[i].name, name) == 0) {
            return &apps[i];
        }
    }

    return NULL;
}


const ctl_app_t *
ctl_app_of_keys(const char *name)
{
    return ctl_app_find(ctl_apps_of_keys, ak_nitems(ctl_apps_of_keys), name);
}


const ctl_app_t *
ctl_app_of_upstream(const char *name)
{
    return ctl_app_find(ctl_apps_of_upstream,
                        ak_nitems(ctl_apps_of_upstream), name);
}


static const ctl_app_column_t *
ctl_app_column(const ctl_app_t *app, ak_str_t name)
{
    const ctl_app_column_t  *c;

    for (c = app->columns; c->name != NULL; c++) {
        if (ak_str_eq(name, ak_cstr(c->name))) {
            return c;
        }
    }

    return NULL;
}


ctl_cell_e
ctl_app_cell(const void *data, ak_str_t name)
{
    const ctl_app_t         *app = data;
    const ctl_app_column_t  *c;

    c = ctl_app_column(app, name);

    if (c == NULL) {
        return CTL_CELL_UNKNOWN;
    }

    if (c->field == NULL) {
        return CTL_CELL_IGNORED;
    }

    return (strcmp(c->field, app->needed) == 0) ? CTL_CELL_NEEDED
                                                : CTL_CELL_TEXT;
}


const char *
ctl_app_field(const ctl_app_t *app, ak_str_t name)
{
    const ctl_app_column_t  *c;

    c = ctl_app_column(app, name);

    return (c == NULL) ? NULL : c->field;
}


static ctl_status_e
ctl_app_key_env(const char *name, const ctl_app_t *app, ak_import_key_t *key,
    ak_import_e *class)
{
    char  *text;

    text = getenv(name);
    *class = ak_import_key(key, app->form, ak_cstr(text));

    if (text != NULL) {
        ak_mem_wipe(text, strlen(text));
    }

    return CTL_DONE;
}


static ctl_status_e
ctl_app_key_file(const char *path, const ctl_app_t *app, ak_import_key_t *key,
    ak_import_e *class)
{
    size_t     len;
    uint8_t    text[CTL_APP_KEY_MAX];
    ak_diag_t  d;

    if (ak_file_secret(path, text, sizeof(text), &len, &d) != AK_OK) {
        return ctl_fail(CTL_KEYRING, "the application's key: %s", d.text);
    }

    *class = ak_import_key(key, app->form, ak_str(text, len));
    ak_mem_wipe(text, sizeof(text));

    return CTL_DONE;
}


/* What a key of this application should look like. */

static const char *
ctl_app_key_shape(const ctl_app_t *app)
{
    switch (app->form) {

    case AK_IMPORT_INTERN3_GCM:
        return "at least 8 letters of base64 (ENCRYPTION_KEY)";

    case AK_IMPORT_LOBECHAT_VAULT:
        return "base64 of 32 bytes (KEY_VAULTS_SECRET)";

    default:
        return "64 hex digits, without quotes (AEAD_SECRET_KEY of Laminar, "
               "ENCRYPTION_KEY of Intern3)";
    }
}


ctl_status_e
ctl_app_key(const ctl_t *ctl, const ctl_app_t *app, ak_import_key_t *key)
{
    const char    *source;
    ak_import_e    class;
    ctl_status_e   status;

    source = ctl->app_key;

    if (source == NULL) {
        return ctl_usage(ctl, "%s: --app-key env:NAME or file:PATH says where "
                         "the application's own key is",
                         ak_import_class(AK_IMPORT_KEY_MISSING));
    }

    if (strncmp(source, "env:", 4) == 0) {
        status = ctl_app_key_env(source + 4, app, key, &class);

    } else if (strncmp(source, "file:", 5) == 0) {
        status = ctl_app_key_file(source + 5, app, key, &class);

    } else {
        /* it is not shown: it may be the key itself */

        return ctl_usage(ctl, "--app-key is env:NAME or file:PATH; the key "
                         "itself is never given on the command line");
    }

    if (status != CTL_DONE || class == AK_IMPORT_OK) {
        return status;
    }

    return ctl_fail(CTL_KEYRING, "the application's key: %s; it must be %s",
                    ak_import_class(class), ctl_app_key_shape(app));
}


static bool
ctl_app_digits(ak_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
    }

    return s.len != 0 && s.len < 16;
}


/* "2027-01-31 12:00:00.5+00" is what PostgreSQL prints. */

ak_rc_t
ctl_app_expires(ak_str_t value, int64_t now, int64_t *at)
{
    size_t   i;
    uint8_t  text[sizeof("2027-01-31T12:00:00Z")];

    static const size_t  whole = sizeof("2027-01-31T12:00:00") - 1;

    if (ctl_app_digits(value)) {
        *at = 0;

        for (i = 0; i < value.len; i++) {
            *at = *at * 10 + (value.data[i] - '0');
        }

        return (*at == 0 || *at > now) ? AK_OK : AK_ERROR;
    }

    if (value.len < whole || (value.data[10] != ' ' && value.data[10] != 'T'))
    {
        return ak_time_point(value, now, at, NULL);
    }

    memcpy(text, value.data, whole);
    text[10] = 'T';
    text[whole] = 'Z';

    value.data += whole;
    value.len -= whole;

    if (value.len != 0 && value.data[0] == '.') {
        do {
            value.data++;
            value.len--;
        } while (value.len != 0 && value.data[0] >= '0'
                 && value.data[0] <= '9');
    }

    /* any other zone would have to be counted, and is refused */

    if (value.len != 0 && !ak_str_eq(value, ak_literal("Z"))
        && !ak_str_eq(value, ak_literal("+00"))
        && !ak_str_eq(value, ak_literal("+00:00")))
    {
        return AK_ERROR;
    }

    return ak_time_point(ak_str(text, whole + 1), now, at, NULL);
}


bool
ctl_app_flag(ak_str_t value)
{
    size_t  i;

    static const ak_str_t  set[] = {
        ak_string("true"), ak_string("t"), ak_string("1"), ak_string("TRUE"),
        ak_string("True")
    };

    for (i = 0; i < ak_nitems(set); i++) {
        if (ak_str_eq(value, set[i])) {
            return true;
        }
    }

    return false;
}
