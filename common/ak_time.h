
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_TIME_H_INCLUDED_
#define _AK_TIME_H_INCLUDED_


#include "ak_diag.h"


/*
 * A span as nginx writes it: digits and one of ms, s, m, h, d, w, y (a year
 * has 365 days), "90d"; digits alone are seconds.  *ms is in milliseconds.
 * AK_ERROR: not of that form, or beyond 100 years.
 */

ak_rc_t ak_time_span(ak_str_t s, int64_t *ms);

/*
 * A point in time as an operator gives it: "never" (0), a span counted from
 * now, a date "2027-01-31" (its first second, UTC), or RFC 3339's
 * "2027-01-31T12:00:00Z".  *at and now are Unix seconds.
 * AK_ERROR: none of these, or not after now; the diagnostic says which.
 */

ak_rc_t ak_time_point(ak_str_t s, int64_t now, int64_t *at, ak_diag_t *d);

/*
 * What headers say, in Unix seconds.  The first is RFC 3339's date-time in any
 * zone, whose fraction is left out; the second is IMF-fixdate of RFC 9110,
 * 5.6.7, "Sun, 31 Jan 2027 12:00:00 GMT".  AK_ERROR: not of that form.
 */

ak_rc_t ak_time_rfc3339(ak_str_t s, int64_t *at);
ak_rc_t ak_time_http(ak_str_t s, int64_t *at);

/* RFC 3339, UTC, "2027-01-31T12:00:00Z" and a zero. */

#define AK_TIME_TEXT_SIZE  sizeof("-2027-01-31T12:00:00Z")

void ak_time_format(int64_t at, char text[AK_TIME_TEXT_SIZE]);


#endif /* _AK_TIME_H_INCLUDED_ */
