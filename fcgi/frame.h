/*
 * frame.h - one frame of an event stream, ready for the wire.
 *
 * Purpose    an event, a snapshot or a heartbeat is formatted once, already inside its FastCGI
 *            records, and the same bytes go to every subscriber.
 * Ownership  counted references (frame_ref, frame_unref).
 * Errors     none.
 * Threads    one at a time: the maker's until it is posted, from then on the hub's. The count is
 *            no atomic.
 *
 * Web servers open one connection per request and call the request number 1, which is what makes
 * the bytes shareable.
 */
#ifndef MACP_FCGI_FRAME_H
#define MACP_FCGI_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/macros.h"

enum frame_kind {
    FRAME_EVENT,
    FRAME_SNAPSHOT,
    FRAME_HEARTBEAT,
    FRAME_END, /* the end of the request, no frame of the stream */
};

enum { FRAME_REQUEST_ID = 1 };

struct frame {
    unsigned refs;
    enum frame_kind kind;
    bool terminal; /* an event that ends its run */
    int64_t seq;   /* of the event; of a snapshot the last event in it */
    int64_t ts_ms; /* of the event */
    size_t len;
    unsigned char bytes[];
};

/*
 * The text form: name, id (only with seq > 0), data on as many lines as it has. Appended.
 */
void frame_text(struct buf *out, const char *name, int64_t seq, const char *data, size_t n);

/* A frame with one reference, of text that frame_text made. */
struct frame *frame_new(enum frame_kind kind, const char *text, size_t n) MUST_CHECK;
struct frame *frame_heartbeat(int64_t wall_ms) MUST_CHECK;
struct frame *frame_end(void) MUST_CHECK;

struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f);

#endif
