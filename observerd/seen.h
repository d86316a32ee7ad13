/*
 * seen.h - which envelopes of a session are stored already.
 *
 * Purpose    an envelope with an id that arrives twice (same id, type and sender) is dropped.
 * Ownership  struct seen is the caller's, a zeroed one is empty; seen_fini frees.
 * Errors     none. Threads: the run's owner.
 *
 * Holds 64-bit keyed hashes: 16 bytes an envelope at most. Two different envelopes of one session
 * share a hash with a chance of n^2 / 2^65, and the key is random, so nobody can aim for it.
 */
#ifndef MACP_OBSERVERD_SEEN_H
#define MACP_OBSERVERD_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
    uint64_t *slots; /* 0: free */
    size_t n, cap;   /* cap is a power of two, at most half full */
};

void seen_fini(struct seen *s);
/* Remember; false when it was there already. */
bool seen_add(struct seen *s, const char *message_id, const char *message_type, const char *sender);

#endif
