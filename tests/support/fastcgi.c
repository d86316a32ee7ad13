#include "tests/support/fastcgi.h"

#include <string.h>

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, HEAD = 8, PIECE = 60000 };

static void
record(struct buf *out, int type, const void *p, size_t n)
{
    const unsigned char head[HEAD] = {1,          (unsigned char)type,     0,
                                      FASTCGI_ID, (unsigned char)(n >> 8), (unsigned char)n};

    buf_add(out, head, sizeof head);
    buf_add(out, p, n);
}

void
fastcgi_head(struct buf *out, const struct fastcgi_param *params)
{
    static const unsigned char responder[8] = {0, 1};
    AUTO_BUF text = {0};

    record(out, BEGIN, responder, sizeof responder);
    for (; params->name; params++) {
        buf_char(&text, (char)strlen(params->name));
        buf_char(&text, (char)strlen(params->value));
        buf_str(&text, params->name);
        buf_str(&text, params->value);
    }
    record(out, PARAMS, text.p, text.len);
    record(out, PARAMS, "", 0);
}

void
fastcgi_body(struct buf *out, const void *p, size_t n)
{
    for (const char *from = p; n > 0;) {
        size_t now = n < PIECE ? n : PIECE;

        record(out, STDIN, from, now);
        from += now;
        n -= now;
    }
}

void
fastcgi_body_end(struct buf *out)
{
    record(out, STDIN, "", 0);
}

bool
fastcgi_output(const struct buf *raw, struct buf *out)
{
    bool ended = false;

    for (size_t at = 0; at < raw->len;) {
        const unsigned char *h = (const unsigned char *)raw->p + at;
        size_t n;

        if (ended || raw->len - at < HEAD || h[0] != 1 || (h[2] << 8 | h[3]) != FASTCGI_ID)
            return false;
        n = (size_t)h[4] << 8 | h[5];
        if (raw->len - at - HEAD < n + h[6])
            return false;
        if (h[1] == STDOUT)
            buf_add(out, h + HEAD, n);
        ended = h[1] == END;
        at += HEAD + n + h[6];
    }
    return ended;
}
