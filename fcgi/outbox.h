/*
 * outbox.h - what one subscriber has still to be sent.
 *
 * Purpose    a bounded queue of shared frames and how far the first one has gone; written without
 *            ever waiting.
 * Ownership  the outbox holds references to its frames; outbox_fini drops them. The descriptor is
 *            the caller's.
 * Errors     outbox_push: false when the subscriber is too slow. outbox_flush: OUTBOX_GONE.
 * Threads    the hub's.
 *
 * A newer snapshot replaces one that has not begun to travel: only the newest is of use. A frame
 * larger than the bound passes when nothing else waits.
 */
#ifndef MACP_FCGI_OUTBOX_H
#define MACP_FCGI_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "fcgi/frame.h"
#include "shared/macros.h"

enum {
    OUTBOX_BYTES_MAX = 512 << 10,
    OUTBOX_FRAMES_MAX = 1024,
};

enum outbox_state {
    OUTBOX_EMPTY,
    OUTBOX_BLOCKED, /* the peer does not take more now */
    OUTBOX_GONE,
};

struct outbox {
    struct frame **ring; /* NULL while empty: idle subscribers cost little */
    unsigned cap;        /* a power of two */
    unsigned head, n;
    size_t off;   /* bytes of the first frame already sent */
    size_t bytes; /* unsent */
};

/* Takes a reference of its own. */
bool outbox_push(struct outbox *o, struct frame *f) MUST_CHECK;
/* progress: some bytes went out. */
enum outbox_state outbox_flush(struct outbox *o, int fd, bool *progress);
/* Forget what has not begun to travel. */
void outbox_drop(struct outbox *o);
/* The last thing that is sent. Always fits. */
void outbox_end(struct outbox *o);
/* The next byte would start a record. */
bool outbox_at_boundary(const struct outbox *o);
void outbox_fini(struct outbox *o);

#endif
