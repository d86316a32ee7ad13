/*
 * latency.h - how long an envelope takes until a reader of the tables sees it.
 *
 * Purpose    a thread with a connection of its own looks at a run's cursor once a millisecond and
 *            notes when each ordinal was there first.
 * Ownership  latency_watch gives a handle, latency_finish takes it back, whatever it returns.
 * Errors     false + *err: not all envelopes came in time, or Postgres could not be asked.
 * Threads    both calls: the test's; the watching is a thread of its own.
 */
#ifndef MACP_TESTS_SUPPORT_LATENCY_H
#define MACP_TESTS_SUPPORT_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/macros.h"

struct latency;

struct latency_figures {
    int n;
    int64_t p50_ms, p99_ms, max_ms; /* +-1: envelopes carry whole milliseconds */
};

struct latency *latency_watch(const char *url, const char *session, int envelopes,
                              int timeout_ms) MUST_CHECK;
/* Wait until all of them were seen. The first one is left out: the run had to be found for it. */
bool latency_finish(struct latency *l, struct latency_figures *out, struct err *err) MUST_CHECK;

#endif
