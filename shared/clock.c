#include "shared/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t
read_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t
clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

int64_t
clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

char *
clock_text(int64_t wall_ms, char *out)
{
    int64_t ms = wall_ms % 1000;
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (ms < 0) {
        ms += 1000;
        s--;
    }
    gmtime_r(&s, &tm);
    /* Years of more than four digits cannot come from a stored time; cut rather than overflow. */
    snprintf(out, CLOCK_TEXT_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
    return out;
}

/* Exactly n digits; moves *p behind them. */
static bool
digits(const char **p, int n, int *out)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*p)[i]))
            return false;
        v = v * 10 + ((*p)[i] - '0');
    }
    *p += n;
    *out = v;
    return true;
}

static int
days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool
parse_date(const char **p, struct tm *tm)
{
    int year, month, day;

    if (!digits(p, 4, &year) || *(*p)++ != '-' || !digits(p, 2, &month) || *(*p)++ != '-' ||
        !digits(p, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    *tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return true;
}

static bool
parse_time_of_day(const char **p, struct tm *tm, int *ms)
{
    *ms = 0;
    if (!digits(p, 2, &tm->tm_hour) || *(*p)++ != ':' || !digits(p, 2, &tm->tm_min))
        return false;
    if (**p == ':') {
        (*p)++;
        if (!digits(p, 2, &tm->tm_sec))
            return false;
        if (**p == '.' || **p == ',') {
            int scale = 100;

            (*p)++;
            if (!isdigit((unsigned char)**p))
                return false;
            for (; isdigit((unsigned char)**p); (*p)++, scale /= 10)
                *ms += (**p - '0') * scale;
        }
    }
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

/* "", Z, +hh, +hhmm, +hh:mm: minutes east of UTC. */
static bool
parse_zone(const char **p, int *minutes)
{
    int sign, h, m = 0;

    *minutes = 0;
    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        return true;
    }
    if (**p != '+' && **p != '-')
        return true;
    sign = **p == '-' ? -1 : 1;
    (*p)++;
    if (!digits(p, 2, &h))
        return false;
    if (**p == ':') {
        (*p)++;
        if (!digits(p, 2, &m))
            return false;
    } else if (isdigit((unsigned char)**p) && !digits(p, 2, &m)) {
        return false;
    }
    *minutes = sign * (h * 60 + m);
    return h < 24 && m < 60;
}

bool
clock_parse(const char *text, int64_t *wall_ms)
{
    const char *p = text;
    int ms = 0, zone = 0;
    struct tm tm;
    time_t s;

    if (!parse_date(&p, &tm))
        return false;
    if (*p == 'T' || *p == 't' || *p == ' ') {
        p++;
        if (!parse_time_of_day(&p, &tm, &ms) || !parse_zone(&p, &zone))
            return false;
    }
    if (*p)
        return false;
    s = timegm(&tm); /* a leap second is the first one of the next minute */
    *wall_ms = ((int64_t)s - zone * 60) * 1000 + ms;
    return true;
}
