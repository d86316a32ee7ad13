/*
 * arena.h - memory of one unit of work (a request, an envelope), freed all at once.
 *
 * Ownership  struct arena is the caller's, a zeroed one is valid; what it hands out lives until
 *            arena_reset or arena_fini and is never freed alone.
 * Errors     none: exhausted memory is BUG().
 * Threads    one owner at a time.
 */
#ifndef MACP_SHARED_ARENA_H
#define MACP_SHARED_ARENA_H

#include <stdint.h>

#include "shared/macros.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the first one is the one with room */
};

void arena_fini(struct arena *a);
/* Everything handed out becomes invalid; one block is kept for reuse. */
void arena_reset(struct arena *a);

void *arena_alloc(struct arena *a, size_t n) MUST_CHECK;  /* 16-byte aligned, not cleared */
void *arena_zalloc(struct arena *a, size_t n) MUST_CHECK; /* cleared */
char *arena_strdup(struct arena *a, const char *s) MUST_CHECK;
/* Exactly n bytes and a NUL; s must have that many. */
char *arena_strndup(struct arena *a, const char *s, size_t n) MUST_CHECK;
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_FMT(2, 3) MUST_CHECK;

#endif
