#include "shared/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void
buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->p)
        b->p[0] = '\0';
}

char *
buf_reserve(struct buf *b, size_t n)
{
    if (b->cap - b->len < n + 1) {
        size_t cap = (b->len + n) * 2 + 64;

        b->p = xrealloc(b->p, cap);
        b->cap = cap;
        b->p[b->len] = '\0';
    }
    return b->p + b->len;
}

void
buf_shrink(struct buf *b)
{
    if (!b->p)
        return;
    b->cap = b->len + 1;
    b->p = xrealloc(b->p, b->cap);
}

const char *
buf_cstr(const struct buf *b)
{
    return b->p ? b->p : "";
}

char *
buf_steal(struct buf *b)
{
    char *p = b->p ? b->p : xstrdup("");

    *b = (struct buf){0};
    return p;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
    char *end = buf_reserve(b, n);

    if (n)
        memcpy(end, p, n);
    b->len += n;
    b->p[b->len] = '\0';
}

void
buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void
buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void
buf_int(struct buf *b, int64_t v)
{
    char digits[24], *end = digits + sizeof digits, *p = end;
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do
        *--p = (char)('0' + left % 10);
    while (left /= 10);
    if (v < 0)
        *--p = '-';
    buf_add(b, p, (size_t)(end - p));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("bad format %s", fmt);
    buf_reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

static void
json_escape(struct buf *b, unsigned char c)
{
    static const char short_form[] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                      ['\t'] = 't', ['"'] = '"',  ['\\'] = '\\'};
    static const char digits[] = "0123456789abcdef";

    if (c < sizeof short_form && short_form[c])
        buf_add(b, (const char[]){'\\', short_form[c]}, 2);
    else
        buf_add(b, (const char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

void
buf_json_n(struct buf *b, const char *s, size_t n)
{
    buf_reserve(b, n + 2);
    buf_char(b, '"');
    for (size_t i = 0; i < n;) {
        size_t run = i;

        while (run < n && (unsigned char)s[run] >= 0x20 && s[run] != '"' && s[run] != '\\')
            run++;
        buf_add(b, s + i, run - i);
        if (run < n)
            json_escape(b, (unsigned char)s[run++]);
        i = run;
    }
    buf_char(b, '"');
}

void
buf_json(struct buf *b, const char *s)
{
    if (s)
        buf_json_n(b, s, strlen(s));
    else
        buf_lit(b, "null");
}

void
buf_prom(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n') {
            buf_lit(b, "\\n");
            continue;
        }
        if (*s == '"' || *s == '\\')
            buf_char(b, '\\');
        buf_char(b, *s);
    }
}

void
buf_base64(struct buf *b, const void *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = p;
    char *out = buf_reserve(b, (n + 2) / 3 * 4);
    size_t o = 0;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16;

        if (i + 1 < n)
            v |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < n)
            v |= in[i + 2];
        out[o++] = digits[v >> 18];
        out[o++] = digits[v >> 12 & 63];
        out[o++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        out[o++] = i + 2 < n ? digits[v & 63] : '=';
    }
    b->len += o;
    b->p[b->len] = '\0';
}
