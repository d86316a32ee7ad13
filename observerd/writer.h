/*
 * writer.h - the thread that commits: one connection, two batches, swapped.
 *
 * Purpose    while one batch is on its way to Postgres the next one fills. The writer takes what
 *            is there as soon as its connection is free: little load means small batches and low
 *            latency, much load makes them grow.
 * Ownership  struct writer is heap memory of its shard. The pending batch may be touched between
 *            writer_lock and writer_unlock only. Results are taken by the shard's queue thread.
 * Errors     Postgres being away is no error: the batch is kept and sent again, and an unknown
 *            outcome is settled by reading. What a run lost is reported as a result.
 * Threads    lock, unlock, is_full, take_results, forget: the queue thread; stop, end_by and
 *            copy_logs: any.
 */
#ifndef MACP_OBSERVERD_WRITER_H
#define MACP_OBSERVERD_WRITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/batch.h"
#include "observerd/notifier.h"
#include "shared/config.h"

struct writer;

enum writer_verdict {
    WRITER_COMMITTED,
    WRITER_LOST,    /* the guard refused: somebody else owns the run, or appended to it */
    WRITER_REFUSED, /* Postgres refuses the run's rows, even without their data */
};

struct writer_result {
    int64_t run_key, fence; /* of the owner whose rows they were */
    enum writer_verdict verdict;
    bool terminal; /* the end of the run is committed */
    bool closed;   /* its observer row is closed */
};

struct writer_options {
    const char *name; /* of the connection; static */
    const struct config *cfg;
    struct notifier *notifier;
    /* clock_mono_ms until which this instance counts as alive; past it nothing is written. */
    const _Atomic int64_t *alive_until_ms;
    void (*wake)(void *ctx); /* results are there, or room: runs on the writer's thread */
    void *ctx;
    struct writer *after; /* its batches go first, for a moment; NULL: nobody's */
};

struct writer *writer_start(const struct writer_options *o) MUST_CHECK;
/* Whatever happens, it stops trying then (clock_mono_ms): the program ends. */
void writer_end_by(struct writer *w, int64_t mono_ms);
/* Commit what is pending within the time, then end the thread and free. False: rows were left. */
bool writer_stop(struct writer *w, int64_t limit_ms);

/* The batch to add to. */
struct batch *writer_lock(struct writer *w);
void writer_unlock(struct writer *w);
/* The pending batch has reached its bound: do not read more from the runtime. */
bool writer_is_full(struct writer *w);
/* Nothing is pending, on its way, or given up. */
bool writer_is_idle(struct writer *w);

/* How long the batch on its way has been on its way; 0: there is none. */
int64_t writer_stuck_ms(struct writer *w);
/* Serial of the last batch with anything in it: when the writer is past it, all so far is stored.
 */
uint64_t writer_last_serial(struct writer *w);
/* The logs of what is pending and on its way, appended. */
void writer_copy_logs(struct writer *w, struct buf *out);

/* The batch with this serial, and all before it, are stored or given up. */
bool writer_is_past(struct writer *w, uint64_t serial);

/* Up to max results; the rest stays. */
size_t writer_take_results(struct writer *w, struct writer_result *out, size_t max);

/*
 * The queue thread knows that the run is not ours under this fence any more: nothing of it is
 * pending after this. Until then the writer leaves out what is added to a run that it lost.
 */
void writer_forget(struct writer *w, int64_t run_key, int64_t fence);

#endif
