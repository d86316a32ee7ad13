#include "shared/json.h"

#include <math.h>
#include <stdlib.h>

/* --- text -------------------------------------------------------------------------------- */

#define REPLACEMENT "\xEF\xBF\xBD"

/*
 * Length of the sequence at p, or 0 with *bad = length of the maximal invalid subpart: the
 * longest prefix that could still have become a code point, at least one byte.
 */
static size_t
utf8_next(const unsigned char *p, size_t n, size_t *bad)
{
    unsigned char lo = 0x80, hi = 0xBF;
    size_t need;

    *bad = 1;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    need = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        lo = 0xA0;
    else if (p[0] == 0xED)
        hi = 0x9F;
    else if (p[0] == 0xF0)
        lo = 0x90;
    else if (p[0] == 0xF4)
        hi = 0x8F;
    for (size_t i = 1; i < need; i++) {
        if (i >= n || p[i] < lo || p[i] > hi) {
            *bad = i;
            return 0;
        }
        lo = 0x80;
        hi = 0xBF;
    }
    return need;
}

static bool
scan(const char *s, size_t n, bool nul_allowed)
{
    const unsigned char *p = (const unsigned char *)s;

    for (size_t i = 0, bad; i < n;) {
        size_t len;

        if (p[i] - 1U < 0x7F) { /* ASCII without NUL: nearly everything */
            i++;
            continue;
        }
        len = utf8_next(p + i, n - i, &bad);
        if (!len || (!p[i] && !nul_allowed))
            return false;
        i += len;
    }
    return true;
}

bool
jv_is_clean(const char *p, size_t n)
{
    return scan(p, n, false);
}

bool
jv_is_utf8(const char *p, size_t n)
{
    return scan(p, n, true);
}

static void
clean_utf8(struct buf *out, const char *s, size_t n, bool keep_nul)
{
    const unsigned char *p = (const unsigned char *)s;

    buf_reserve(out, n);
    for (size_t i = 0, bad; i < n;) {
        size_t len = utf8_next(p + i, n - i, &bad);

        if (!len || (!p[i] && !keep_nul)) {
            buf_lit(out, REPLACEMENT);
            i += len ? len : bad;
            continue;
        }
        buf_add(out, p + i, len);
        i += len;
    }
}

void
jv_clean(struct buf *out, const char *p, size_t n)
{
    if (jv_is_clean(p, n))
        buf_add(out, p, n);
    else
        clean_utf8(out, p, n, false);
}

void
jv_write_text(struct buf *out, const char *p, size_t n)
{
    AUTO_BUF clean = {0};

    if (jv_is_clean(p, n)) {
        buf_json_n(out, p, n);
        return;
    }
    clean_utf8(&clean, p, n, false);
    buf_json_n(out, buf_cstr(&clean), clean.len);
}

json_t *
jv_string(const char *p, size_t n)
{
    AUTO_BUF clean = {0};
    json_t *v;

    if (!jv_is_clean(p, n)) {
        clean_utf8(&clean, p, n, false);
        p = buf_cstr(&clean);
        n = clean.len;
    }
    v = json_stringn_nocheck(p, n);
    if (!v)
        BUG("out of memory");
    return v;
}

size_t
jv_text_chars(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* --- parsing ----------------------------------------------------------------------------- */

static int
hex4(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20;
        int d = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* Copy one \uXXXX escape (p behind the backslash, at 'u'); a lone surrogate or NUL becomes U+FFFD.
 */
static const char *
fix_escape(struct buf *out, const char *p, const char *end)
{
    int unit = hex4(p + 1, end);

    if (unit >= 0xD800 && unit < 0xDC00 && end - p >= 11 && p[5] == '\\' && p[6] == 'u') {
        int low = hex4(p + 7, end);

        if (low >= 0xDC00 && low < 0xE000) {
            buf_char(out, '\\');
            buf_add(out, p, 11);
            return p + 11;
        }
    }
    if (unit == 0 || (unit >= 0xD800 && unit < 0xE000)) {
        buf_lit(out, "\\ufffd");
        return p + 5;
    }
    buf_lit(out, "\\u"); /* valid or not: the parser judges the digits */
    return p + 1;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *
skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* The end of the longest JSON number at p; p itself when there is none. */
static const char *
number_end(const char *p, const char *end)
{
    const char *whole = p + (*p == '-'), *at;

    if (whole == end || !is_digit(*whole))
        return p;
    at = *whole == '0' ? whole + 1 : skip_digits(whole, end);
    if (end - at >= 2 && *at == '.' && is_digit(at[1]))
        at = skip_digits(at + 1, end);
    if (at < end && (*at == 'e' || *at == 'E')) {
        const char *power = at + 1;

        power += power < end && (*power == '+' || *power == '-');
        if (power < end && is_digit(*power))
            at = skip_digits(power, end);
    }
    return at;
}

/*
 * Copy the number at p, as null when no double can hold it. What follows it is left to the parser:
 * two values in a row are refused with or without the replacement.
 */
static const char *
fix_number(struct buf *out, const char *p, const char *end)
{
    const char *after = number_end(p, end);
    AUTO_BUF text = {0};

    if (after == p)
        after = p + 1; /* a sign alone */
    buf_add(&text, p, (size_t)(after - p));
    if (isinf(strtod(buf_cstr(&text), NULL)))
        buf_lit(out, "null");
    else
        buf_add(out, text.p, text.len);
    return after;
}

/* Copy up to and with the closing quote, escapes fixed; p is behind the opening one. */
static const char *
fix_string(struct buf *out, const char *p, const char *end)
{
    while (p < end) {
        const char *run = p;
        size_t escape;

        while (p < end && *p != '"' && *p != '\\')
            p++;
        buf_add(out, run, (size_t)(p - run));
        if (p == end)
            break;
        if (*p == '"') {
            buf_char(out, '"');
            return p + 1;
        }
        if (p + 1 < end && p[1] == 'u') {
            p = fix_escape(out, p + 1, end);
            continue;
        }
        escape = end - p < 2 ? 1 : 2;
        buf_add(out, p, escape);
        p += escape;
    }
    return p;
}

/* Rewrite what jansson refuses but the rules accept: lone surrogates and overflowing numbers. */
static void
make_parsable(struct buf *out, const char *p, const char *end)
{
    while (p < end) {
        const char *run = p;

        while (p < end && *p != '"' && *p != '-' && !is_digit(*p))
            p++;
        buf_add(out, run, (size_t)(p - run));
        if (p == end)
            break;
        if (*p == '"') {
            buf_char(out, '"');
            p = fix_string(out, p + 1, end);
        } else {
            p = fix_number(out, p, end);
        }
    }
}

static bool
too_deep(const char *p, size_t n)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            if (p[i] == '\\')
                i++;
            else if (p[i] == '"')
                in_string = false;
            continue;
        }
        if (p[i] == '"')
            in_string = true;
        else if (p[i] == '{' || p[i] == '[')
            depth++;
        else if (p[i] == '}' || p[i] == ']')
            depth--;
        if (depth > JV_MAX_DEPTH)
            return true;
    }
    return false;
}

/* Any text may come as a payload; most of what is no JSON shows it at once. */
static bool
may_be_json(const char *p, size_t n)
{
    while (n && memchr(" \t\n\r", *p, 4))
        p++, n--;
    return n && memchr("{[\"-0123456789tfn", *p, 17);
}

json_t *
jv_parse(const char *p, size_t n)
{
    const size_t flags = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;
    AUTO_BUF clean = {0}, fixed = {0};
    json_error_t e;
    json_t *v;

    if (!may_be_json(p, n))
        return NULL;
    if (memchr(p, '\0', n)) /* never JSON, but jansson skips one behind a number */
        return NULL;
    if (!jv_is_utf8(p, n)) {
        clean_utf8(&clean, p, n, true);
        p = buf_cstr(&clean);
        n = clean.len;
    }
    if (too_deep(p, n))
        return NULL;
    if (!memmem(p, n, "\\u", 2)) {
        v = json_loadb(p, n, flags, &e);
        if (v || json_error_code(&e) != json_error_numeric_overflow)
            return v;
    }
    make_parsable(&fixed, p, p + n);
    return json_loadb(buf_cstr(&fixed), fixed.len, flags, &e);
}

static int
base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
jv_base64_decode(const char *p, size_t n, struct buf *out)
{
    unsigned bits = 0;
    int have = 0;
    char *to;

    for (int i = 0; i < 2 && n && p[n - 1] == '='; i++)
        n--;
    if (n % 4 == 1)
        return false;
    to = buf_reserve(out, n / 4 * 3 + 3);
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(p[i]);

        if (v < 0)
            return false;
        bits = bits << 6 | (unsigned)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            *to++ = (char)(bits >> have);
        }
    }
    out->len = (size_t)(to - out->p);
    out->p[out->len] = '\0';
    return true;
}

/* --- writing ----------------------------------------------------------------------------- */

/* A value inside another one whose text is there already. */
struct known {
    const json_t *value; /* NULL: none */
    const struct buf *text;
};

static void write_value(struct buf *out, const json_t *v, const struct known *known);

static void
write_object(struct buf *out, const json_t *v, const struct known *known)
{
    const char *key;
    json_t *member;
    bool first = true;

    buf_char(out, '{');
    json_object_foreach ((json_t *)v, key, member) {
        if (!first)
            buf_char(out, ',');
        first = false;
        buf_json(out, key);
        buf_char(out, ':');
        write_value(out, member, known);
    }
    buf_char(out, '}');
}

static void
write_array(struct buf *out, const json_t *v, const struct known *known)
{
    size_t n = json_array_size(v);

    buf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ',');
        write_value(out, json_array_get(v, i), known);
    }
    buf_char(out, ']');
}

static void
write_value(struct buf *out, const json_t *v, const struct known *known)
{
    if (!v) {
        buf_lit(out, "null");
        return;
    }
    if (v == known->value) {
        buf_add(out, buf_cstr(known->text), known->text->len);
        return;
    }
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        write_object(out, v, known);
        break;
    case JSON_ARRAY:
        write_array(out, v, known);
        break;
    case JSON_STRING:
        buf_json_n(out, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        buf_int(out, json_integer_value(v));
        break;
    case JSON_REAL:
        jv_write_number(out, json_real_value(v));
        break;
    case JSON_TRUE:
        buf_lit(out, "true");
        break;
    case JSON_FALSE:
        buf_lit(out, "false");
        break;
    case JSON_NULL:
        buf_lit(out, "null");
        break;
    }
}

void
jv_write(struct buf *out, const json_t *v)
{
    write_value(out, v, &(struct known){0});
}

void
jv_write_around(struct buf *out, const json_t *v, const json_t *known, const struct buf *text)
{
    write_value(out, v, &(struct known){known, text});
}

/* --- values ------------------------------------------------------------------------------ */

json_t *
jv_get(const json_t *v, const char *key)
{
    return json_object_get(v, key); /* NULL for what is no object */
}

json_t *
jv_first(const json_t *v, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *member = jv_get(v, keys[i]);

        if (!jv_nullish(member))
            return member;
    }
    return NULL;
}

bool
jv_nullish(const json_t *v)
{
    return !v || json_is_null(v);
}

bool
jv_truthy(const json_t *v)
{
    if (jv_nullish(v) || json_is_false(v))
        return false;
    if (json_is_number(v))
        return json_number_value(v) != 0;
    return !json_is_string(v) || json_string_length(v) > 0;
}

const char *
jv_cstr(const json_t *v)
{
    return json_string_value(v);
}

void
jv_str(struct buf *out, const json_t *v)
{
    char text[JV_NUMBER_LEN];

    if (!v) {
        buf_lit(out, "undefined");
        return;
    }
    switch (json_typeof(v)) {
    case JSON_STRING:
        buf_add(out, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        buf_str(out, jv_number_text(json_number_value(v), text));
        break;
    case JSON_TRUE:
        buf_lit(out, "true");
        break;
    case JSON_FALSE:
        buf_lit(out, "false");
        break;
    case JSON_NULL:
        buf_lit(out, "null");
        break;
    case JSON_OBJECT:
        buf_lit(out, "[object Object]");
        break;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(v); i++) {
            const json_t *item = json_array_get(v, i);

            if (i)
                buf_char(out, ',');
            if (!jv_nullish(item))
                jv_str(out, item);
        }
        break;
    }
}

bool
jv_opt_num(const json_t *v, double *out)
{
    double n;

    if (jv_nullish(v))
        return false;
    n = jv_num(v);
    if (!isfinite(n))
        return false;
    *out = n;
    return true;
}

json_t *
jv_real(double v)
{
    json_t *n = isfinite(v) ? json_real(v) : json_null();

    if (!n)
        BUG("out of memory");
    return n;
}

void
jv_put(json_t *object, const char *key, json_t *value)
{
    if (value && json_object_set_new_nocheck(object, key, value) != 0)
        BUG("cannot set %s", key);
}
