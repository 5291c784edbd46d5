
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for spans, points in time, and their text. */


#include "unit.h"

#include "ak_time.h"


#define NOW  INT64_C(1800000000)       /* 2027-01-15T08:00:00Z */
#define DAY  INT64_C(86400)


typedef struct {
    const char  *text;
    int64_t      value;
} value_t;


static const value_t  spans[] = {
    { "0", 0 }, { "1", 1000 }, { "0ms", 0 }, { "1ms", 1 }, { "1500ms", 1500 },
    { "1s", 1000 }, { "2m", 120000 }, { "3h", 10800000 },
    { "90d", 90 * DAY * 1000 }, { "2w", 14 * DAY * 1000 },
    { "1y", 365 * DAY * 1000 }, { "100y", 36500 * DAY * 1000 },
    { "007s", 7000 }, { "36500d", 36500 * DAY * 1000 }
};


static const char  *bad_spans[] = {
    "", "s", "d90", "-1s", "+1s", " 1s", "1 s", "1s ", "1.5h", "1M", "1S",
    "1H", "1min", "1sec", "1h30m", "1 d", "0x10", "1e3", "1,000", "never",
    "101y", "36501d", "3153600001s", "9223372036854775807ms",
    "9223372036854775808", "18446744073709551617s",
    "99999999999999999999999999999999", "\xd9\xa1s", "1s\n"
};


/* By Python's datetime. */

static const value_t  points[] = {
    { "never", 0 },
    { "1s", NOW + 1 },
    { "90d", NOW + 90 * DAY },
    { "2027", NOW + 2027 },
    { "2027-01-16", 1800057600 },
    { "2027-01-15T08:00:01Z", NOW + 1 },
    { "2027-01-31", 1801353600 },
    { "2027-01-31T12:00:00Z", 1801396800 },
    { "2028-02-29", 1835395200 },
    { "2028-02-29T23:59:59Z", 1835481599 },
    { "2028-03-01T00:00:00Z", 1835481600 },
    { "2100-03-01", 4107542400 },
    { "2400-02-29T00:00:00Z", 13574563200 },
    { "9999-12-31T23:59:59Z", 253402300799 }
};


static const char  *bad_points[] = {
    "", "Never", "NEVER", "never ", "tomorrow", "2027-02",
    "2027-1-31", "27-01-31", "2027/01/31", "2027-13-01", "2027-00-10",
    "2027-01-00", "2027-01-32", "2027-02-29", "2100-02-29", "2027-04-31",
    "2027-06-31", "2027-09-31", "2027-11-31", "2027-01-31T12:00:00",
    "2027-01-31 12:00:00Z", "2027-01-31T12:00:00z", "2027-01-31t12:00:00Z",
    "2027-01-31T24:00:00Z", "2027-01-31T12:60:00Z", "2027-01-31T12:00:60Z",
    "2027-01-31T12:00:00+00:00", "2027-01-31T12:00:00.5Z", "2027-01-31T12:00Z",
    "2027-01-31Z", "+027-01-31", "2027-01-3a", "-027-01-31", "10000-01-01",
    "2027-01-31T1:200:00Z", "101y"
};


static const char  *past_points[] = {
    "0", "0s", "500ms", "2027-01-15", "2027-01-15T08:00:00Z",
    "2027-01-15T07:59:59Z", "1970-01-01", "0001-01-01", "0000-03-01"
};


static const value_t  texts[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "1970-01-01T00:00:01Z", 1 },
    { "1969-12-31T23:59:59Z", -1 },
    { "2027-01-15T08:00:00Z", NOW },
    { "2000-02-29T00:00:00Z", 951782400 },
    { "2000-03-01T00:00:00Z", 951868800 },
    { "2100-02-28T23:59:59Z", 4107542399 },
    { "2038-01-19T03:14:08Z", 2147483648 },
    { "9999-12-31T23:59:59Z", 253402300799 },
    { "9999-12-31T23:59:59Z", 253402300800 },
    { "9999-12-31T23:59:59Z", INT64_MAX },
    { "0001-01-01T00:00:00Z", -62135596800 },
    { "0000-12-31T23:59:59Z", -62135596801 },
    { "-0001-12-31T23:59:59Z", -62167219201 },
    { "-9999-01-01T00:00:00Z", INT64_MIN }
};


static void
test_span(void **state)
{
    size_t    i;
    int64_t   ms;
    ak_str_t  text;

    (void) state;

    for (i = 0; i < ak_nitems(spans); i++) {
        ms = -1;
        text = unit_exact(ak_cstr(spans[i].text));
        assert_case(ak_time_span(text, &ms) == AK_OK, "%s", spans[i].text);
        assert_case(ms == spans[i].value, "%s", spans[i].text);
        unit_free(text);
    }

    for (i = 0; i < ak_nitems(bad_spans); i++) {
        text = unit_exact(ak_cstr(bad_spans[i]));
        assert_case(ak_time_span(text, &ms) == AK_ERROR, "%s", bad_spans[i]);
        unit_free(text);
    }

    assert_int_equal(ak_time_span(ak_str("1s\0", 3), &ms), AK_ERROR);
}


static void
test_point(void **state)
{
    size_t     i;
    int64_t    at;
    ak_str_t   text;
    ak_diag_t  d;

    (void) state;

    for (i = 0; i < ak_nitems(points); i++) {
        at = -1;
        text = unit_exact(ak_cstr(points[i].text));
        assert_case(ak_time_point(text, NOW, &at, NULL) == AK_OK,
                    "%s", points[i].text);
        assert_case(at == points[i].value, "%s", points[i].text);
        unit_free(text);
    }

    for (i = 0; i < ak_nitems(bad_points); i++) {
        text = unit_exact(ak_cstr(bad_points[i]));
        assert_case(ak_time_point(text, NOW, &at, &d) == AK_ERROR,
                    "%s", bad_points[i]);
        assert_case(strstr(d.text, "is no time") != NULL, "%s", d.text);
        unit_free(text);
    }

    for (i = 0; i < ak_nitems(past_points); i++) {
        assert_case(ak_time_point(ak_cstr(past_points[i]), NOW, &at, &d)
                    == AK_ERROR, "%s", past_points[i]);
        assert_case(strstr(d.text, "is not in the future") != NULL,
                    "%s", d.text);
    }
}


static void
test_format(void **state)
{
    char    text[AK_TIME_TEXT_SIZE];
    size_t  i;

    (void) state;

    for (i = 0; i < ak_nitems(texts); i++) {
        ak_time_format(texts[i].value, text);
        assert_string_equal(text, texts[i].text);
    }
}


/* What is written is read, in every year and around every day's end. */

static void
test_round_trip(void **state)
{
    char     text[AK_TIME_TEXT_SIZE];
    int64_t  at, again;

    (void) state;

    for (at = DAY - 1; at < INT64_C(253402300799); at += 3 * DAY / 2 - 7) {
        ak_time_format(at, text);
        assert_case(ak_time_point(ak_cstr(text), 0, &again, NULL) == AK_OK
                    && again == at, "%s", text);
    }
}


/* RFC 3339, 5.8, and what providers send; by Python's datetime. */

static const value_t  rfc3339[] = {
    { "2027-01-15T08:00:00Z", NOW },
    { "2027-01-15t08:00:00z", NOW },
    { "2027-01-15 08:00:00Z", NOW },
    { "2027-01-15T08:00:00.1Z", NOW },
    { "2027-01-15T08:00:00.999999999999Z", NOW },
    { "2027-01-15T08:00:00+00:00", NOW },
    { "2027-01-15T09:30:00+01:30", NOW },
    { "2027-01-15T03:00:00.5-05:00", NOW },
    { "2026-12-31T23:59:60Z", 1798761599 },
    { "1985-04-12T23:20:50.52Z", 482196050 },
    { "1996-12-19T16:39:57-08:00", 851042397 },
    { "1937-01-01T12:00:27.87+00:20", -1041337173 },
    { "9999-12-31T23:59:59Z", 253402300799 },
    { "0000-01-01T00:00:00Z", -62167219200 }
};


static const char  *bad_rfc3339[] = {
    "", "Z", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15T08:00Z",
    "2027-01-15T08:00:00.Z", "2027-01-15T08:00:00.", "2027-01-15T08:00:00.5",
    "2027-01-15T08:00:00,5Z", "2027-01-15T08:00:00ZZ",
    "2027-01-15T08:00:00Z ", " 2027-01-15T08:00:00Z", "2027-01-15T08:00:00+",
    "2027-01-15T08:00:00+1", "2027-01-15T08:00:00+0100",
    "2027-01-15T08:00:00+24:00", "2027-01-15T08:00:00+01:60",
    "2027-01-15T08:00:00~01:00", "2027-01-15T08:00:00+01:00Z",
    "2027-02-29T08:00:00Z", "2027-13-15T08:00:00Z", "2027-01-00T08:00:00Z",
    "2027-01-15T24:00:00Z", "2027-01-15T08:60:00Z", "2027-01-15T08:00:61Z",
    "2027-01-15_08:00:00Z", "2027/01/15T08:00:00Z", "+027-01-15T08:00:00Z",
    "6m0s", "Fri, 15 Jan 2027 08:00:00 GMT"
};


static const value_t  http[] = {
    { "Fri, 15 Jan 2027 08:00:00 GMT", NOW },
    { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
    { "Mon, 15 Jan 2027 08:00:00 GMT", NOW },
    { "Tue, 29 Feb 2028 23:59:59 GMT", 1835481599 },
    { "Thu, 31 Dec 2026 23:59:60 GMT", 1798761600 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 }
};


static const char  *bad_http[] = {
    "", "GMT", "Fri, 15 Jan 2027 08:00:00", "Fri, 15 Jan 2027 08:00:00 gmt",
    "Fri, 15 Jan 2027 08:00:00 UTC", "fri, 15 Jan 2027 08:00:00 GMT",
    "Fri, 15 jan 2027 08:00:00 GMT", "Fri, 15 Jum 2027 08:00:00 GMT",
    "riS, 15 Jan 2027 08:00:00 GMT", "Fri, 15 anF 2027 08:00:00 GMT",
    "Fri, 29 Feb 2027 08:00:00 GMT", "Fri, 00 Jan 2027 08:00:00 GMT",
    "Fri, 32 Jan 2027 08:00:00 GMT", "Fri, 15 Jan 2027 24:00:00 GMT",
    "Fri, 15 Jan 2027 08:60:00 GMT", "Fri, 15 Jan 2027 08:00:61 GMT",
    "Fri, 5 Jan 2027 08:00:00 GMT", "Fri, 15 Jan 2027 08:00:00 GMT ",
    " Fri, 15 Jan 2027 08:00:00 GMT", "Fri 15 Jan 2027 08:00:00 GMT",
    "Fri, 15-Jan-2027 08:00:00 GMT", "Friday, 15-Jan-27 08:00:00 GMT",
    "Fri Jan 15 08:00:00 2027", "Fri, -5 Jan 2027 08:00:00 GMT",
    "2027-01-15T08:00:00Z"
};


static void
check_header(ak_rc_t (*read)(ak_str_t s, int64_t *at), const value_t *good,
    size_t ngood, const char **bad, size_t nbad)
{
    size_t    i;
    int64_t   at;
    ak_str_t  text;

    for (i = 0; i < ngood; i++) {
        text = unit_exact(ak_cstr(good[i].text));
        assert_case(read(text, &at) == AK_OK && at == good[i].value, "%s",
                    good[i].text);
        unit_free(text);
    }

    for (i = 0; i < nbad; i++) {
        text = unit_exact(ak_cstr(bad[i]));
        assert_case(read(text, &at) == AK_ERROR, "%s", bad[i]);
        unit_free(text);
    }
}


static void
test_headers(void **state)
{
    (void) state;

    check_header(ak_time_rfc3339, rfc3339, ak_nitems(rfc3339), bad_rfc3339,
                 ak_nitems(bad_rfc3339));
    check_header(ak_time_http, http, ak_nitems(http), bad_http,
                 ak_nitems(bad_http));
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_span),
    cmocka_unit_test(test_point),
    cmocka_unit_test(test_format),
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_headers)
};


UNIT_MAIN(tests)
