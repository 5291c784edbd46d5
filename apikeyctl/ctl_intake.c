
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ctl_intake.h"


#define CTL_INTAKE_TOLD  100           /* bad rows */


void
ctl_intake_begin(ctl_intake_t *in, ctl_t *ctl, ctl_rows_t *rows)
{
    memset(in, 0, sizeof(ctl_intake_t));

    in->ctl = ctl;
    in->rows = rows;
    ctl_bar_init(&in->bar, "rows");
}


static void
ctl_intake_bar(ctl_intake_t *in, bool last)
{
    uint64_t  done, all;

    ctl_rows_progress(in->rows, &done, &all);

    ctl_bar_draw(&in->bar, done, all, in->imported + in->there + in->skipped,
                 last);
}


void
ctl_intake_end(ctl_intake_t *in)
{
    ctl_rows_close(in->rows);
    in->rows = NULL;
}


void
ctl_intake_bad(ctl_intake_t *in, unsigned number, const char *why)
{
    if (in->skipped++ >= CTL_INTAKE_TOLD) {
        return;
    }

    ctl_bar_leave(&in->bar);

    (void) ctl_fail(CTL_REFUSED, "row %u is skipped: %s%s", number, why,
                    in->skipped == CTL_INTAKE_TOLD
                    ? "; further ones are only counted" : "");
}


static ctl_status_e
ctl_intake_rows(ctl_intake_t *in, ctl_intake_row_pt row,
    ctl_intake_flush_pt flush, void *data)
{
    ak_rc_t       rc;
    ak_diag_t     d;
    ctl_row_t     r;
    ctl_status_e  status;

    for ( ;; ) {
        d.text[0] = '\0';
        rc = ctl_rows_next(in->rows, &r, &d);

        if (rc == AK_UNAVAILABLE) {
            return ctl_fail(CTL_REFUSED, "%s", d.text);
        }

        if (rc == AK_NOT_FOUND) {
            return flush(data, true);
        }

        if (rc == AK_OK) {
            rc = row(data, &r, &d);
        }

        if (rc != AK_OK) {
            ctl_intake_bad(in, r.number, d.text);
        }

        status = flush(data, false);

        if (status != CTL_DONE) {
            return status;
        }

        ctl_intake_bar(in, false);
    }
}


ctl_status_e
ctl_intake_run(ctl_intake_t *in, ctl_intake_row_pt row,
    ctl_intake_flush_pt flush, void *data)
{
    ctl_status_e  status;

    status = ctl_intake_rows(in, row, flush, data);
    ctl_intake_bar(in, true);

    /* input that is of no use from its beginning is not repeated */

    if (status == CTL_DONE
        || (status == CTL_REFUSED && in->imported + in->there == 0))
    {
        return status;
    }

    return ctl_fail(status, "%llu keys were imported before; repeat the "
                    "import to go on", (unsigned long long) in->imported);
}
