/*
 * decoder.h - a thread that decodes large payloads.
 *
 * Purpose    a payload of a mebibyte takes a tenth of a second to become JSON and text again. The
 *            queue thread has other sessions to serve meanwhile: it holds the envelope, asks here,
 *            and records it when the answer comes by mail.
 * Ownership  struct decoder is heap memory of its shard. The bytes are copied; a decoded payload
 *            belongs to who reads the mail, and goes back by decoder_release: freeing half a
 *            million values takes its time, too.
 * Errors     false: too much is waiting, the caller decodes by itself.
 * Threads    everything from the shard's queue thread; the work is a thread of its own.
 */
#ifndef MACP_OBSERVERD_DECODER_H
#define MACP_OBSERVERD_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/mailbox.h"
#include "observerd/payload.h"
#include "shared/buf.h"

struct decoder;

struct decoded {
    struct mail mail; /* kind: as given to decoder_start */
    int64_t run_key;
    uint64_t token; /* as asked with */
    struct payload payload;
    struct buf text;  /* of payload_inner(payload.value) */
    struct buf bytes; /* the envelope */
};

struct decoder *decoder_start(struct mailbox *reply, int kind) MUST_CHECK;
bool decoder_ask(struct decoder *d, int64_t run_key, uint64_t token, const void *bytes,
                 size_t n) MUST_CHECK;
/* NULL is fine. */
void decoder_release(struct decoder *d, struct decoded *decoded);
/* What is unread in the reply mailbox is freed by decoded_free. */
void decoder_stop(struct decoder *d);
void decoded_free(struct decoded *decoded);

#endif
