/*
 * envelope.h - the bytes of an envelope as fields, and what identifies it in an index.
 *
 * Purpose    one reading of the wire for both ways an envelope can come: the session's stream and
 *            the signal watch.
 * Ownership  texts are cleaned copies in the arena; the payload points into the bytes given.
 * Errors     envelope_read and wire_texts say whether the bytes were whole; what was read before
 *            the flaw is kept. Threads: any.
 */
#ifndef MACP_OBSERVERD_ENVELOPE_H
#define MACP_OBSERVERD_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/normalize.h"
#include "shared/arena.h"
#include "shared/macros.h"

bool envelope_read(const void *bytes, size_t n, struct arena *a, struct envelope *out) MUST_CHECK;

/* Text fields 1..max of any message into texts[1..max]; the others keep what they were. */
bool wire_texts(const void *bytes, size_t n, struct arena *a, const char **texts,
                uint32_t max) MUST_CHECK;

/* The text as an index can hold it: itself, or its hash when it is too long. NULL stays NULL. */
const char *envelope_key(struct arena *a, const char *text) MUST_CHECK;

/*
 * What tells this envelope from others of its session, sender and type: its message id as a key;
 * when it has none, the hash of all its bytes.
 */
const char *envelope_identity(struct arena *a, const struct envelope *e, const void *bytes,
                              size_t n) MUST_CHECK;

#endif
