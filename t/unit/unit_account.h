
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _UNIT_ACCOUNT_H_INCLUDED_
#define _UNIT_ACCOUNT_H_INCLUDED_


/* What the tests of account modules share: a stack whose auth grants. */


#include "unit.h"

#include "ak_record.h"


typedef struct {
    unit_pool_t  pool;
    ak_site_t    site;
    ak_stack_t  *s;
    ak_txn_t     t;
    ak_diag_t    d;
    const char  *id;           /* of the key; NULL: it has none */
    uint8_t      packed[AK_VALUE_MAX];
    ak_str_t     record;       /* empty: there is none */
} unit_account_t;


/* Every answer of the module is told, see unit_account_answer(). */

#define UNIT_ACCOUNT  "account [success=ok ignore=bad default=bad] "


/* AK_ERROR: the line was refused, a->d says why. */

static inline ak_rc_t
unit_account_begin(unit_account_t *a, const char *args)
{
    char     line[2048];
    ak_rc_t  rc;

    memset(a, 0, sizeof(unit_account_t));
    unit_pool_init(&a->pool);

    a->site = unit_site(&a->pool);
    a->id = UNIT_ID;
    a->s = ak_stack_create(&a->site, S("api"));
    assert_non_null(a->s);

    assert_int_equal(unit_add(a->s, "auth required debug", &a->d), AK_OK);

    snprintf(line, sizeof(line), UNIT_ACCOUNT "%s", args);
    rc = unit_add(a->s, line, &a->d);

    if (rc == AK_OK) {
        assert_int_equal(ak_stack_link(a->s, NULL, NULL, &a->d), AK_OK);
    }

    return rc;
}


/* A record that has a field of that value. */

static inline void
unit_account_record(unit_account_t *a, const char *field, const char *value)
{
    size_t       len;
    ak_record_t  rec;
    ak_field_t   fields[] = {
        { ak_string("hash"), ak_string(UNIT_HASH) },
        { ak_string("owner"), ak_string("alice") },
        { ak_string("status"), ak_string("active") },
        { ak_cstr(field), ak_cstr(value) }
    };

    assert_int_equal(ak_record_parse(fields, ak_nitems(fields), &rec, &a->d),
                     AK_OK);
    assert_int_equal(ak_record_pack(&rec, a->packed, &len), AK_OK);

    a->record = ak_str(a->packed, len);
}


/* Up to the account phase, with what an auth module would have left. */

static inline void
unit_account_auth(unit_account_t *a)
{
    unit_txn(&a->t, &a->pool, NULL, NULL, NULL);

    assert_int_equal(ak_stack_run(a->s, &a->t, AK_AUTH), AK_OK);

    a->t.id = ak_cstr(a->id);
    a->t.record = a->record;
}


/* The answer of the module, which UNIT_ACCOUNT made the phase's state. */

static inline ak_reason_e
unit_account_answer(unit_account_t *a)
{
    ak_rc_t  rc;

    rc = ak_stack_run(a->s, &a->t, AK_ACCOUNT);

    if (rc == AK_AGAIN) {
        return AK_SUSPEND;
    }

    assert_null(a->t.alert);
    assert_int_equal(rc == AK_OK,
                     a->t.progress.state.status == AK_SUCCESS);

    return (ak_reason_e) a->t.progress.state.status;
}


static inline void
unit_account_end(unit_account_t *a)
{
    ak_txn_abort(&a->t);
    unit_pool_free(&a->pool);
}


/* All of it: a line, and a record with that field, or without it, or none. */

static inline ak_reason_e
unit_account(const char *args, const char *field, const char *value)
{
    ak_reason_e     answer;
    unit_account_t  a;

    assert_case(unit_account_begin(&a, args) == AK_OK, "\"%s\": %s", args,
                a.d.text);

    if (field != NULL) {
        unit_account_record(&a, field, value);
    }

    unit_account_auth(&a);
    answer = unit_account_answer(&a);
    unit_account_end(&a);

    return answer;
}


/* A line that is refused, and words of the diagnostic. */

static inline void
unit_account_refused(const char *args, const char *word)
{
    unit_account_t  a;

    assert_case(unit_account_begin(&a, args) == AK_ERROR, "\"%s\" is taken",
                args);
    assert_case(strstr(a.d.text, "stack \"api\", line 2: ") == a.d.text
                && strstr(a.d.text, word) != NULL,
                "\"%s\" is not in \"%s\"", word, a.d.text);

    unit_pool_free(&a.pool);
}


#endif /* _UNIT_ACCOUNT_H_INCLUDED_ */
