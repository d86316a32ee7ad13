#include "observerd/redact_syntax.h"

#include <stdint.h>
#include <string.h>

struct scan {
    const char *p;
    struct buf *out;
    struct err *err;
    bool in_class;
    bool quantified; /* the last thing was a quantifier: another one would be possessive */
};

static bool
refuse(struct scan *s, const char *what)
{
    return err_set(s->err, ERR_CONFIG, "%s is not supported in a redaction pattern", what);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void
put_code_point(struct scan *s, uint32_t c)
{
    buf_printf(s->out, "\\x{%x}", c);
}

/* n hexadecimal digits at p; -1 when they are not there. */
static int64_t
hex(const char *p, size_t n)
{
    int64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        int c = p[i] | 0x20;
        int d = is_digit(p[i]) ? p[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* \uXXXX, a pair of them, or \u{X}; s->p is behind the u. */
static bool
unicode_escape(struct scan *s)
{
    const char *close = *s->p == '{' ? strchr(s->p, '}') : NULL;
    int64_t c, low;

    if (close) {
        size_t n = (size_t)(close - s->p) - 1;

        c = n >= 1 && n <= 6 ? hex(s->p + 1, n) : -1;
        s->p = close + 1;
    } else {
        c = hex(s->p, 4);
        s->p += c < 0 ? 0 : 4;
        if (c >= 0xD800 && c < 0xDC00 && s->p[0] == '\\' && s->p[1] == 'u') {
            low = hex(s->p + 2, 4);
            if (low >= 0xDC00 && low < 0xE000) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                s->p += 6;
            }
        }
    }
    if (c < 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return refuse(s, "this \\u escape");
    put_code_point(s, (uint32_t)c);
    return true;
}

/* \1 and so on; \0 is the NUL character. s->p is at the digit. */
static bool
number_escape(struct scan *s)
{
    const char *start = s->p;

    while (is_digit(*s->p))
        s->p++;
    if (*start == '0' && s->p == start + 1) {
        put_code_point(s, 0);
        return true;
    }
    if (*start == '0' || s->in_class || s->p - start > 3)
        return refuse(s, "an octal escape");
    buf_printf(s->out, "\\g{%.*s}", (int)(s->p - start), start);
    return true;
}

static bool
letter_escape(struct scan *s, char c)
{
    switch (c) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 's':
    case 'S':
    case 'b': /* in a class a backspace, in both dialects */
    case 'n':
    case 'r':
    case 't':
    case 'f':
        buf_printf(s->out, "\\%c", c);
        return true;
    case 'B':
        if (s->in_class)
            return refuse(s, "\\B in a class");
        buf_lit(s->out, "\\B");
        return true;
    case 'v': /* one character there, a class here */
        put_code_point(s, '\v');
        return true;
    case 'c':
        if (!is_letter(*s->p))
            return refuse(s, "\\c without a letter");
        put_code_point(s, (uint32_t)*s->p++ & 31);
        return true;
    case 'x':
        if (hex(s->p, 2) < 0)
            return refuse(s, "\\x without two digits");
        put_code_point(s, (uint32_t)hex(s->p, 2));
        s->p += 2;
        return true;
    case 'u':
        return unicode_escape(s);
    case 'k':
        if (s->in_class || *s->p != '<')
            return refuse(s, "\\k without a name");
        buf_lit(s->out, "\\k");
        return true;
    default:
        return refuse(s, "this letter behind a backslash");
    }
}

/* s->p is behind the backslash. */
static bool
escape(struct scan *s)
{
    char c = *s->p;

    if (!c)
        return refuse(s, "a backslash at the end");
    if (is_digit(c))
        return number_escape(s);
    s->p++;
    if (is_letter(c))
        return letter_escape(s, c);
    if ((unsigned char)c < 0x80 && c != '_')
        buf_char(s->out, '\\');
    buf_char(s->out, c);
    return true;
}

/* s->p is behind the opening parenthesis. */
static bool
group(struct scan *s)
{
    static const char *const known[] = {"?:", "?=", "?!", "?<=", "?<!", "?<"};

    buf_char(s->out, '(');
    if (*s->p == '*')
        return refuse(s, "(*");
    if (*s->p != '?')
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i]);

        if (strncmp(s->p, known[i], n) == 0) {
            buf_add(s->out, known[i], n);
            s->p += n;
            return true;
        }
    }
    return refuse(s, "this kind of group");
}

/* Length of {n}, {n,} or {n,m} at p, 0 when the brace stands for itself. */
static size_t
braces(const char *p)
{
    size_t n = 1 + strspn(p + 1, "0123456789");

    if (n == 1)
        return 0;
    if (p[n] == ',')
        n += 1 + strspn(p + n + 1, "0123456789");
    return p[n] == '}' ? n + 1 : 0;
}

static bool
quantifier(struct scan *s, size_t n)
{
    if (s->quantified)
        return refuse(s, "a quantifier behind a quantifier");
    buf_add(s->out, s->p, n);
    s->p += n;
    if (*s->p == '?')
        buf_char(s->out, *s->p++);
    s->quantified = true;
    return true;
}

static bool
in_class(struct scan *s)
{
    char c = *s->p++;

    if (c == '\\')
        return escape(s);
    if (c == '[') /* no named classes in JavaScript */
        buf_char(s->out, '\\');
    buf_char(s->out, c);
    if (c == ']')
        s->in_class = false;
    return true;
}

static bool
outside(struct scan *s)
{
    size_t n = *s->p == '{' ? braces(s->p) : strspn(s->p, "*+?") > 0;

    if (n)
        return quantifier(s, n);
    s->quantified = false;
    switch (*s->p++) {
    case '\\':
        return escape(s);
    case '(':
        return group(s);
    case '[':
        s->in_class = true;
        buf_char(s->out, '[');
        if (*s->p == '^')
            buf_char(s->out, *s->p++);
        return true;
    case '{':
        buf_lit(s->out, "\\{");
        return true;
    default:
        buf_char(s->out, s->p[-1]);
        return true;
    }
}

bool
redact_translate(const char *source, struct buf *out, struct err *err)
{
    struct scan s = {.p = source, .out = out, .err = err};

    while (*s.p)
        if (!(s.in_class ? in_class(&s) : outside(&s)))
            return false;
    return true;
}
