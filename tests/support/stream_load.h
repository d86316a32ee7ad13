/*
 * stream_load.h - a world under the load of event streams.
 *
 * Purpose    pump sessions, check what clients of streams saw, measure how long events took; used
 *            by tests and benchmarks alike.
 * Ownership  a load is the caller's (stream_load_fini).
 * Errors     false + *err: the world did not play along.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_STREAM_LOAD_H
#define MACP_TESTS_SUPPORT_STREAM_LOAD_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/support/sse.h"
#include "tests/support/world.h"

/* Start pumping whole sessions in the background, rate for all together; the job's number. */
bool stream_load_pump(struct world *w, const char *const *sessions, int n, int envelopes, int rate,
                      int payload_bytes, json_int_t *job, struct err *err) MUST_CHECK;
/* Until a job is done. */
bool stream_load_pumped(struct world *w, json_int_t job, struct err *err) MUST_CHECK;

/*
 * The client saw every event behind `after` up to its last one, each once and in order, as the
 * events endpoint lists them. False: what says what is wrong, or *err why nobody knows.
 */
bool stream_load_complete(struct world *w, const struct sse_client *c, int64_t after, char *what,
                          size_t size, struct err *err) MUST_CHECK;

/* The same for every client of them. */
bool stream_load_all_complete(struct world *w, const struct sse *sse, int64_t after, char *what,
                              size_t size, struct err *err) MUST_CHECK;

struct stream_load_spec {
    int runs, subscribers;
    int envelopes; /* per run */
    int rate;      /* per second, all runs together */
    int timeout_ms;
};

struct stream_load {
    struct sse sse;
    size_t frames, snapshots, bytes;
    size_t events; /* whose latency was taken */
    int64_t p50_ms, p99_ms, max_ms;
    int64_t elapsed_ms;
};

/* Runs are posted, subscribers come (behind event 1), the runtime plays, all streams end. */
bool stream_load_run(struct world *w, const struct stream_load_spec *spec, struct stream_load *out,
                     struct err *err) MUST_CHECK;
void stream_load_fini(struct stream_load *l);

#endif
