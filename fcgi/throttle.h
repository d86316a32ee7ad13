/*
 * throttle.h - rate limits in memory, per caller and route.
 *
 * Purpose    a sliding window of hits per (caller, route); the hit above the limit blocks that
 *            pair for one window.
 * Ownership  struct throttle is heap memory (throttle_free). Callers' names are copied.
 * Errors     none: without room for a new caller the one unseen the longest is forgotten.
 * Threads    any; a lock per shard.
 *
 * The window is kept in slots, so a hit may stop counting up to a thirty-second of the window
 * early.
 */
#ifndef MACP_FCGI_THROTTLE_H
#define MACP_FCGI_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/macros.h"

struct throttle;

struct throttle_answer {
    bool allowed;
    int64_t remaining; /* hits left, when allowed */
    int64_t reset_s;   /* until the oldest hit stops counting, rounded up */
    int64_t retry_s;   /* until the block ends, rounded up, when not allowed */
};

struct throttle *throttle_new(int64_t limit, int64_t window_ms) MUST_CHECK;
void throttle_free(struct throttle *t);

/* Count one hit at a monotonic time. */
void throttle_hit(struct throttle *t, const char *caller, int route, int64_t now_ms,
                  struct throttle_answer *out);

#endif
