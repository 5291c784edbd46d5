
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_time.h"


#define AK_TIME_SECOND    INT64_C(1000)
#define AK_TIME_MINUTE    (60 * AK_TIME_SECOND)
#define AK_TIME_HOUR      (60 * AK_TIME_MINUTE)
#define AK_TIME_DAY       (24 * AK_TIME_HOUR)
#define AK_TIME_YEAR      (365 * AK_TIME_DAY)
#define AK_TIME_SPAN_MAX  (100 * AK_TIME_YEAR)

/* days from 0000-03-01 to 1970-01-01, and in 400 Gregorian years */

#define AK_TIME_EPOCH     INT64_C(719468)
#define AK_TIME_ERA       INT64_C(146097)

/* the first second of -9999 and the last of 9999 */

#define AK_TIME_MIN       INT64_C(-377705116800)
#define AK_TIME_MAX       INT64_C(253402300799)


typedef struct {
    ak_str_t  name;
    int64_t   ms;
} ak_time_unit_t;


static const ak_time_unit_t  ak_time_units[] = {
    { ak_string(""), AK_TIME_SECOND },
    { ak_string("ms"), 1 },
    { ak_string("s"), AK_TIME_SECOND },
    { ak_string("m"), AK_TIME_MINUTE },
    { ak_string("h"), AK_TIME_HOUR },
    { ak_string("d"), AK_TIME_DAY },
    { ak_string("w"), 7 * AK_TIME_DAY },
    { ak_string("y"), AK_TIME_YEAR }
};


static bool ak_time_date(ak_str_t s, int64_t *at);
static bool ak_time_zone(ak_str_t s, size_t pos, int64_t *offset);
static bool ak_time_word(ak_str_t s, size_t pos, const char *names,
    int64_t *n);
static bool ak_time_digits(ak_str_t s, size_t pos, size_t n, int64_t *value);
static int64_t ak_time_month_days(int64_t year, int64_t month);
static int64_t ak_time_days(int64_t year, int64_t month, int64_t day);
static char *ak_time_put(char *p, int64_t value, size_t digits, char end);


ak_rc_t
ak_time_span(ak_str_t s, int64_t *ms)
{
    size_t    i, digits;
    int64_t   value;
    ak_str_t  unit;

    value = 0;

    for (digits = 0; digits < s.len; digits++) {

        if (s.data[digits] < '0' || s.data[digits] > '9') {
            break;
        }

        value = value * 10 + (s.data[digits] - '0');

        if (value > AK_TIME_SPAN_MAX) {
            return AK_ERROR;
        }
    }

    if (digits == 0) {
        return AK_ERROR;
    }

    unit = ak_str(s.data + digits, s.len - digits);

    for (i = 0; i < ak_nitems(ak_time_units); i++) {

        if (!ak_str_eq(unit, ak_time_units[i].name)) {
            continue;
        }

        if (value > AK_TIME_SPAN_MAX / ak_time_units[i].ms) {
            return AK_ERROR;
        }

        *ms = value * ak_time_units[i].ms;

        return AK_OK;
    }

    return AK_ERROR;
}


ak_rc_t
ak_time_point(ak_str_t s, int64_t now, int64_t *at, ak_diag_t *d)
{
    int64_t  ms, point;

    if (ak_str_eq(s, ak_literal("never"))) {
        *at = 0;
        return AK_OK;
    }

    if (ak_time_span(s, &ms) == AK_OK) {
        point = now + ms / 1000;

    } else if (!ak_time_date(s, &point)) {
        return ak_diag(d, "\"%.*s\" is no time: it may be \"never\", a span "
                       "such as \"90d\" of at most 100 years, a date such as "
                       "\"2027-01-31\", or \"2027-01-31T12:00:00Z\"",
                       AK_FMT(s));
    }

    if (point <= now) {
        return ak_diag(d, "\"%.*s\" is not in the future", AK_FMT(s));
    }

    *at = point;

    return AK_OK;
}


/* RFC 3339, 5.6: full-date, or date-time in UTC without a fraction. */

static bool
ak_time_date(ak_str_t s, int64_t *at)
{
    int64_t  year, month, day, hour, minute, second;

    hour = 0;
    minute = 0;
    second = 0;

    if (s.len != sizeof("2027-01-31") - 1
        && s.len != sizeof("2027-01-31T12:00:00Z") - 1)
    {
        return false;
    }

    if (!ak_time_digits(s, 0, 4, &year) || s.data[4] != '-'
        || !ak_time_digits(s, 5, 2, &month) || s.data[7] != '-'
        || !ak_time_digits(s, 8, 2, &day))
    {
        return false;
    }

    if (s.len > 10
        && (s.data[10] != 'T' || !ak_time_digits(s, 11, 2, &hour)
            || s.data[13] != ':' || !ak_time_digits(s, 14, 2, &minute)
            || s.data[16] != ':' || !ak_time_digits(s, 17, 2, &second)
            || s.data[19] != 'Z'))
    {
        return false;
    }

    if (month < 1 || month > 12 || day < 1
        || day > ak_time_month_days(year, month)
        || hour > 23 || minute > 59 || second > 59)
    {
        return false;
    }

    *at = ak_time_days(year, month, day) * 86400
          + hour * 3600 + minute * 60 + second;

    return true;
}


ak_rc_t
ak_time_rfc3339(ak_str_t s, int64_t *at)
{
    size_t    pos;
    int64_t   second, offset;
    uint8_t   text[sizeof("2027-01-31T12:00:00Z") - 1];
    ak_str_t  date;

    if (s.len < sizeof(text)) {
        return AK_ERROR;
    }

    /* up to the seconds it is what an operator writes */

    memcpy(text, s.data, sizeof(text));
    text[sizeof(text) - 1] = 'Z';

    if (text[10] == 't' || text[10] == ' ') {
        text[10] = 'T';
    }

    pos = sizeof(text) - 1;

    if (s.data[pos] == '.') {

        for (pos++; pos < s.len; pos++) {
            if (s.data[pos] < '0' || s.data[pos] > '9') {
                break;
            }
        }

        if (pos == sizeof(text)) {
            return AK_ERROR;
        }
    }

    if (!ak_time_zone(s, pos, &offset)) {
        return AK_ERROR;
    }

    /* a leap second is the end of the one before it */

    date = ak_str(text, sizeof(text));

    if (ak_time_digits(date, 17, 2, &second) && second == 60) {
        memcpy(text + 17, "59", 2);
    }

    if (!ak_time_date(date, at)) {
        return AK_ERROR;
    }

    *at -= offset;

    return AK_OK;
}


/* "Z", or "+01:00" and the end; *offset is in seconds. */

static bool
ak_time_zone(ak_str_t s, size_t pos, int64_t *offset)
{
    int64_t  hour, minute;

    if (s.len == pos + 1) {
        *offset = 0;
        return (s.data[pos] | 0x20) == 'z';
    }

    if (s.len != pos + sizeof("+01:00") - 1
        || (s.data[pos] != '+' && s.data[pos] != '-')
        || !ak_time_digits(s, pos + 1, 2, &hour) || s.data[pos + 3] != ':'
        || !ak_time_digits(s, pos + 4, 2, &minute)
        || hour > 23 || minute > 59)
    {
        return false;
    }

    *offset = hour * 3600 + minute * 60;

    if (s.data[pos] == '-') {
        *offset = -*offset;
    }

    return true;
}


/* The name of the day is not compared to the date. */

ak_rc_t
ak_time_http(ak_str_t s, int64_t *at)
{
    size_t             i;
    int64_t            year, month, day, hour, minute, second;
    static const char  days[] = "SunMonTueWedThuFriSat";
    static const char  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char  form[] = "***, ** *** **** **:**:** GMT";

    if (s.len != sizeof(form) - 1) {
        return AK_ERROR;
    }

    for (i = 0; form[i] != '\0'; i++) {
        if (form[i] != '*' && s.data[i] != (uint8_t) form[i]) {
            return AK_ERROR;
        }
    }

    if (!ak_time_word(s, 0, days, &day)
        || !ak_time_word(s, 8, months, &month)
        || !ak_time_digits(s, 5, 2, &day) || !ak_time_digits(s, 12, 4, &year)
        || !ak_time_digits(s, 17, 2, &hour)
        || !ak_time_digits(s, 20, 2, &minute)
        || !ak_time_digits(s, 23, 2, &second)
        || day < 1 || day > ak_time_month_days(year, month)
        || hour > 23 || minute > 59 || second > 60)
    {
        return AK_ERROR;
    }

    *at = ak_time_days(year, month, day) * 86400
          + hour * 3600 + minute * 60 + second;

    return AK_OK;
}


/* Which one of names, of three letters each, is there; from 1. */

static bool
ak_time_word(ak_str_t s, size_t pos, const char *names, int64_t *n)
{
    size_t  i;

    for (i = 0; names[i] != '\0'; i += 3) {

        if (memcmp(s.data + pos, names + i, 3) == 0) {
            *n = (int64_t) (i / 3) + 1;
            return true;
        }
    }

    return false;
}


static bool
ak_time_digits(ak_str_t s, size_t pos, size_t n, int64_t *value)
{
    size_t  i;

    *value = 0;

    for (i = pos; i < pos + n; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }

        *value = *value * 10 + (s.data[i] - '0');
    }

    return true;
}


static int64_t
ak_time_month_days(int64_t year, int64_t month)
{
    static const int8_t  days[] = { 31, 28, 31, 30, 31, 30,
                                    31, 31, 30, 31, 30, 31 };

    if (month == 2
        && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
    {
        return 29;
    }

    return days[month - 1];
}


/*
 * Days from 1970-01-01.  A year that starts in March ends with the leap day,
 * so that a month's offset into it, (153 * month + 2) / 5, knows no exception.
 */

static int64_t
ak_time_days(int64_t year, int64_t month, int64_t day)
{
    int64_t  era;

    if (month > 2) {
        month -= 3;

    } else {
        month += 9;
        year--;
    }

    era = (year >= 0 ? year : year - 399) / 400;
    year -= era * 400;

    return era * AK_TIME_ERA + year * 365 + year / 4 - year / 100
           + (153 * month + 2) / 5 + day - 1 - AK_TIME_EPOCH;
}


void
ak_time_format(int64_t at, char text[AK_TIME_TEXT_SIZE])
{
    char     *p;
    int64_t   days, secs, era, year, month;

    if (at < AK_TIME_MIN) {
        at = AK_TIME_MIN;
    }

    if (at > AK_TIME_MAX) {
        at = AK_TIME_MAX;
    }

    days = (at >= 0 ? at : at - 86399) / 86400;
    secs = at - days * 86400;

    /* the inverse of ak_time_days() */

    days += AK_TIME_EPOCH;
    era = (days >= 0 ? days : days - AK_TIME_ERA + 1) / AK_TIME_ERA;
    days -= era * AK_TIME_ERA;

    year = (days - days / 1460 + days / 36524 - days / 146096) / 365;
    days -= year * 365 + year / 4 - year / 100;
    month = (5 * days + 2) / 153;
    days -= (153 * month + 2) / 5;

    year += era * 400 + (month >= 10);
    month += (month < 10) ? 3 : -9;

    *text = '-';
    p = text + (year < 0);

    p = ak_time_put(p, year < 0 ? -year : year, 4, '-');
    p = ak_time_put(p, month, 2, '-');
    p = ak_time_put(p, days + 1, 2, 'T');
    p = ak_time_put(p, secs / 3600, 2, ':');
    p = ak_time_put(p, secs / 60 % 60, 2, ':');
    p = ak_time_put(p, secs % 60, 2, 'Z');

    *p = '\0';
}


static char *
ak_time_put(char *p, int64_t value, size_t digits, char end)
{
    size_t  i;

    for (i = digits; i > 0; i--) {
        p[i - 1] = (char) ('0' + value % 10);
        value /= 10;
    }

    p[digits] = end;

    return p + digits + 1;
}
