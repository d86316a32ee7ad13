#include "shared/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Numbers: how they print, and what number a value is. */

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- printing ---------------------------------------------------------------------------- */

struct decimal {
    char digits[24]; /* no leading or trailing zeros */
    int len;
    int point; /* the value is 0.digits * 10^point */
};

/* Lay the digits out the way JavaScript prints numbers. */
static void
layout(char *out, const char *sign, const struct decimal *d)
{
    static const char zeros[] = "000000000000000000000";
    const char *p = d->digits;

    if (d->point > 21 || d->point <= -6)
        snprintf(out, JV_NUMBER_LEN, "%s%c%s%.*se%+d", sign, p[0], d->len > 1 ? "." : "",
                 d->len - 1, p + 1, d->point - 1);
    else if (d->point <= 0)
        snprintf(out, JV_NUMBER_LEN, "%s0.%.*s%.*s", sign, -d->point, zeros, d->len, p);
    else if (d->len <= d->point)
        snprintf(out, JV_NUMBER_LEN, "%s%.*s%.*s", sign, d->len, p, d->point - d->len, zeros);
    else
        snprintf(out, JV_NUMBER_LEN, "%s%.*s.%.*s", sign, d->point, p, d->len - d->point,
                 p + d->point);
}

/* Read what "%.*e" printed. */
static void
read_scientific(const char *text, struct decimal *d)
{
    d->len = 0;
    d->point = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
    for (const char *p = text; *p != 'e'; p++)
        if (*p != '.')
            d->digits[d->len++] = *p;
    while (d->len > 1 && d->digits[d->len - 1] == '0')
        d->len--;
}

/* The decimal one unit of the last printed place above; false when a carry would be needed. */
static bool
last_place_up(char *text)
{
    char *last = strchr(text, 'e') - 1;

    if (!is_digit(*last) || *last == '9')
        return false;
    ++*last;
    return true;
}

/*
 * Fewest digits that read back as v (> 0). Fifteen digits are exact for every normal number, so
 * only denormals start lower. Below a power of two doubles lie twice as close as above it:
 * there the nearest 16-digit decimal may read back as the neighbour while the next one up does
 * not.
 */
static void
shortest(double v, struct decimal *d)
{
    char text[40];

    for (int precision = v < 0x1p-1022 ? 0 : 14; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, v);
        if (strtod(text, NULL) == v)
            break;
        if (precision == 15 && last_place_up(text) && strtod(text, NULL) == v)
            break;
    }
    read_scientific(text, d);
}

/* Numbers like 0.25 or 12.5, without the costly way: digits / 10^6 is exact when it equals v. */
static bool
few_digits(double v, struct decimal *d)
{
    double scaled = v * 1e6;
    uint64_t n;

    if (!(scaled >= 1 && scaled < 1e15))
        return false;
    n = (uint64_t)(scaled + 0.5);
    if ((double)n / 1e6 != v)
        return false;
    d->len = snprintf(d->digits, sizeof d->digits, "%llu", (unsigned long long)n);
    d->point = d->len - 6;
    while (d->len > 1 && d->digits[d->len - 1] == '0')
        d->len--;
    return true;
}

/* A number that prints as an integer. */
static bool
is_whole(double v)
{
    return fabs(v) < 1e15 && v == (double)(int64_t)v;
}

const char *
jv_number_text(double v, char out[JV_NUMBER_LEN])
{
    struct decimal d;

    if (isnan(v))
        return "NaN";
    if (isinf(v))
        return v > 0 ? "Infinity" : "-Infinity";
    if (is_whole(v)) {
        snprintf(out, JV_NUMBER_LEN, "%lld", (long long)v);
        return out;
    }
    if (!few_digits(fabs(v), &d))
        shortest(fabs(v), &d);
    layout(out, v < 0 ? "-" : "", &d);
    return out;
}

void
jv_write_number(struct buf *out, double v)
{
    char text[JV_NUMBER_LEN];

    if (is_whole(v)) /* nearly every number: half a million may come in one payload */
        buf_int(out, (int64_t)v);
    else
        buf_str(out, isfinite(v) ? jv_number_text(v, text) : "null");
}

/* --- reading ----------------------------------------------------------------------------- */

/* Bits per digit of a 0x, 0o or 0b literal; 0 when s is none. */
static int
radix_bits(const char *s)
{
    if (s[0] != '0' || !s[1] || !s[2])
        return 0;
    switch (s[1] | 0x20) {
    case 'x':
        return 4;
    case 'o':
        return 3;
    case 'b':
        return 1;
    default:
        return 0;
    }
}

/*
 * The value of such a literal; false when s is none. Bits that do not fit are folded into the
 * lowest one, so that the one rounding at the end is right.
 */
static bool
radix_literal(const char *s, double *out)
{
    int bits = radix_bits(s), dropped = 0;
    uint64_t m = 0;

    if (!bits)
        return false;
    for (const char *p = s + 2; *p; p++) {
        int c = *p | 0x20;
        int d = is_digit(*p) ? *p - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;

        if (d >= 1 << bits)
            return false;
        if (m < UINT64_C(1) << 59) {
            m = m << bits | (uint64_t)d;
        } else {
            m |= d != 0;
            dropped += dropped < 4096 ? bits : 0; /* far beyond the largest double */
        }
    }
    *out = ldexp((double)m, dropped);
    return true;
}

/* Sign, digits with an optional dot, exponent: nothing else that strtod would take. */
static bool
is_decimal(const char *s)
{
    size_t whole, fraction = 0;

    s += *s == '+' || *s == '-';
    whole = strspn(s, "0123456789");
    s += whole;
    if (*s == '.') {
        fraction = strspn(s + 1, "0123456789");
        s += 1 + fraction;
    }
    if (!whole && !fraction)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        if (!strspn(s, "0123456789"))
            return false;
        s += strspn(s, "0123456789");
    }
    return !*s;
}

static double
text_to_number(const char *p, size_t n)
{
    static const char space[] = " \t\n\r\v\f";
    AUTO_BUF text = {0};
    const char *s;
    double v;

    while (n && strchr(space, *p) && *p)
        p++, n--;
    while (n && strchr(space, p[n - 1]) && p[n - 1])
        n--;
    if (!n)
        return 0;
    buf_add(&text, p, n);
    s = buf_cstr(&text);
    if (strlen(s) != n)
        return NAN;
    if (strcmp(s + (*s == '+' || *s == '-'), "Infinity") == 0)
        return *s == '-' ? -INFINITY : INFINITY;
    if (radix_literal(s, &v))
        return v;
    return is_decimal(s) ? strtod(s, NULL) : NAN;
}

double
jv_num(const json_t *v)
{
    AUTO_BUF text = {0};

    if (!v)
        return NAN;
    switch (json_typeof(v)) {
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(v);
    case JSON_TRUE:
        return 1;
    case JSON_FALSE:
    case JSON_NULL:
        return 0;
    case JSON_STRING:
        return text_to_number(json_string_value(v), json_string_length(v));
    case JSON_ARRAY:
        jv_str(&text, v);
        return text_to_number(buf_cstr(&text), text.len);
    case JSON_OBJECT:
        break;
    }
    return NAN;
}
