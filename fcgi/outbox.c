#include "fcgi/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    RING_FIRST = 8,
    IOV_MAX_FRAMES = 64,
};

static struct frame **
slot(const struct outbox *o, unsigned i)
{
    return &o->ring[(o->head + i) & (o->cap - 1)];
}

static void
grow(struct outbox *o)
{
    struct frame **ring = xcalloc(o->cap ? o->cap * 2 : RING_FIRST, sizeof *ring);

    for (unsigned i = 0; i < o->n; i++)
        ring[i] = *slot(o, i);
    free(o->ring);
    o->ring = ring;
    o->cap = o->cap ? o->cap * 2 : RING_FIRST;
    o->head = 0;
}

static void
append(struct outbox *o, struct frame *f)
{
    if (o->n == o->cap)
        grow(o);
    *slot(o, o->n++) = frame_ref(f);
    o->bytes += f->len;
}

/* Take out frame i, which is not travelling, keeping the order of the others. */
static void
take_out(struct outbox *o, unsigned i)
{
    struct frame *f = *slot(o, i);

    for (; i + 1 < o->n; i++)
        *slot(o, i) = *slot(o, i + 1);
    o->n--;
    o->bytes -= f->len;
    frame_unref(f);
}

static void
drop_old_snapshot(struct outbox *o)
{
    for (unsigned i = o->n; i-- > (o->off > 0);)
        if ((*slot(o, i))->kind == FRAME_SNAPSHOT) {
            take_out(o, i);
            return; /* there is never more than one */
        }
}

bool
outbox_push(struct outbox *o, struct frame *f)
{
    if (f->kind == FRAME_SNAPSHOT)
        drop_old_snapshot(o);
    if (o->n >= OUTBOX_FRAMES_MAX || (o->n > 0 && o->bytes + f->len > OUTBOX_BYTES_MAX))
        return false;
    append(o, f);
    return true;
}

void
outbox_drop(struct outbox *o)
{
    while (o->n > (o->off > 0))
        take_out(o, o->n - 1);
}

void
outbox_end(struct outbox *o)
{
    struct frame *f = frame_end();

    append(o, f);
    frame_unref(f);
}

bool
outbox_at_boundary(const struct outbox *o)
{
    return o->off == 0;
}

static void
sent(struct outbox *o, size_t n)
{
    o->bytes -= n;
    n += o->off;
    while (o->n > 0 && n >= (*slot(o, 0))->len) {
        n -= (*slot(o, 0))->len;
        frame_unref(*slot(o, 0));
        o->head = (o->head + 1) & (o->cap - 1);
        o->n--;
    }
    o->off = n;
}

enum outbox_state
outbox_flush(struct outbox *o, int fd, bool *progress)
{
    *progress = false;
    while (o->n > 0) {
        struct iovec iov[IOV_MAX_FRAMES];
        struct msghdr msg = {.msg_iov = iov};
        ssize_t n;

        for (; msg.msg_iovlen < o->n && msg.msg_iovlen < IOV_MAX_FRAMES; msg.msg_iovlen++) {
            struct frame *f = *slot(o, (unsigned)msg.msg_iovlen);

            iov[msg.msg_iovlen] = (struct iovec){f->bytes, f->len};
        }
        iov[0].iov_base = (char *)iov[0].iov_base + o->off;
        iov[0].iov_len -= o->off;
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? OUTBOX_BLOCKED : OUTBOX_GONE;
        *progress = true;
        sent(o, (size_t)n);
    }
    free(o->ring);
    *o = (struct outbox){0};
    return OUTBOX_EMPTY;
}

void
outbox_fini(struct outbox *o)
{
    for (unsigned i = 0; i < o->n; i++)
        frame_unref(*slot(o, i));
    free(o->ring);
    *o = (struct outbox){0};
}
