/*
 * sweep.h - one pass that removes what is old enough.
 *
 * Purpose    ended runs with a tombstone each, event weeks that no run is left of, events whose run
 *            is gone where the week cannot go yet, audit rows, finished deliveries and commands,
 *            signals that name no session. In small batches, pausing as long as each took.
 * Ownership  struct sweep is the caller's; it holds no memory.
 * Errors     ERR_DB: Postgres is away, the rest waits for the next pass. What Postgres refuses or
 *            does not get done in time is logged, counted in failed, and left out.
 * Threads    one at a time per struct. Any number of instances may sweep: every statement works
 * only while it holds one advisory lock, and a pass that finds it taken is over (busy).
 */
#ifndef MACP_OBSERVERD_SWEEP_H
#define MACP_OBSERVERD_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/config.h"
#include "shared/db.h"

enum sweep_kind {
    SWEEP_RUNS,
    SWEEP_WEEKS,
    SWEEP_ORPHANS, /* rows of events */
    SWEEP_AUDIT,
    SWEEP_DELIVERIES,
    SWEEP_COMMANDS,
    SWEEP_AMBIENT,
    SWEEP__COUNT
};

struct sweep {
    struct db *db;
    int64_t run_days, audit_days, batch;
    bool dry_run; /* only count */
    /* Wait that long; false ends the pass. */
    bool (*pause)(void *ctx, int64_t ms);
    void *ctx;

    /* results */
    int64_t n[SWEEP__COUNT]; /* removed; in a dry run: would be */
    int failed;              /* kinds that could not be finished */
    bool busy;               /* somebody else is at it */
    bool put_off;            /* a week could go, but its tables were in use all the time */
};

/* The ages that are in force now. */
void sweep_init(struct sweep *s, struct db *db, const struct config *cfg);
bool sweep_run(struct sweep *s, struct err *err) MUST_CHECK;

/* What is removed, for people; the same for metrics. */
const char *sweep_name(enum sweep_kind kind);
const char *sweep_label(enum sweep_kind kind);

/*
 * Events whose run is gone: rows in *rows, their runs in *runs. Of every day, or, with all false,
 * of those that a pass has to look at one by one.
 */
bool sweep_count_orphans(struct sweep *s, bool all, int64_t *runs, int64_t *rows,
                         struct err *err) MUST_CHECK;

#endif
