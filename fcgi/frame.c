#include "fcgi/frame.h"

#include <stdlib.h>

#include "fcgi/record.h"
#include "shared/clock.h"

void
frame_text(struct buf *out, const char *name, int64_t seq, const char *data, size_t n)
{
    const char *end = data + n;

    buf_lit(out, "event: ");
    buf_str(out, name);
    if (seq > 0) {
        buf_lit(out, "\nid: ");
        buf_int(out, seq);
    }
    /* Our own JSON has no line ends; JSON that somebody stored as text may, between its tokens. */
    do {
        const char *line = data;

        while (data < end && *data != '\n' && *data != '\r')
            data++;
        buf_lit(out, "\ndata: ");
        buf_add(out, line, (size_t)(data - line));
        if (data < end && *data == '\r' && data + 1 < end && data[1] == '\n')
            data++;
    } while (data++ < end);
    buf_lit(out, "\n\n");
}

static struct frame *
allocate(enum frame_kind kind, size_t len)
{
    struct frame *f = xmalloc(sizeof *f + len);

    *f = (struct frame){.refs = 1, .kind = kind, .len = len};
    return f;
}

struct frame *
frame_new(enum frame_kind kind, const char *text, size_t n)
{
    size_t records = (n + RECORD_MAX - 1) / RECORD_MAX, padding = -n & 7;
    struct frame *f = allocate(kind, n + records * RECORD_HEAD + padding);
    unsigned char *to = f->bytes;

    while (n > 0) {
        size_t part = n < RECORD_MAX ? n : RECORD_MAX;

        n -= part;
        record_head(to, RECORD_STDOUT, FRAME_REQUEST_ID, part, n ? 0 : padding);
        memcpy(to + RECORD_HEAD, text, part);
        text += part;
        to += RECORD_HEAD + part;
    }
    memset(to, 0, padding);
    return f;
}

struct frame *
frame_heartbeat(int64_t wall_ms)
{
    AUTO_BUF data = {0};
    AUTO_BUF text = {0};
    char ts[CLOCK_TEXT_LEN];

    buf_printf(&data, "{\"ts\":\"%s\"}", clock_text(wall_ms, ts));
    frame_text(&text, "heartbeat", 0, data.p, data.len);
    return frame_new(FRAME_HEARTBEAT, text.p, text.len);
}

struct frame *
frame_end(void)
{
    struct frame *f = allocate(FRAME_END, RECORD_END_LEN);

    record_end(f->bytes, FRAME_REQUEST_ID);
    return f;
}

struct frame *
frame_ref(struct frame *f)
{
    f->refs++;
    return f;
}

void
frame_unref(struct frame *f)
{
    if (f && --f->refs == 0)
        free(f);
}
