/*
 * batch.h - what one transaction will write, for many runs.
 *
 * Purpose    rows that are only ever added (raw and canonical events, facts, artifacts, gaps) go
 *            straight into columns; what only the latest value matters of (cursor, status, metrics,
 *            projection) is kept once per run.
 * Ownership  struct batch is the writer's; texts are copied in. Entries are valid until the next
 *            batch_run_entry or reset.
 * Errors     batch_store: as db_pipeline_commit. Threads: one owner at a time (see writer.h).
 *
 * The first statement is the guard: it moves the cursors of all runs of the batch from the old
 * to the new values, or fails the transaction naming the runs that are not ours any more.
 */
#ifndef MACP_OBSERVERD_BATCH_H
#define MACP_OBSERVERD_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/column.h"
#include "shared/db.h"
#include "shared/facts.h"
#include "shared/metrics.h"
#include "shared/projection.h"
#include "shared/run.h"
#include "shared/uuid.h"

/* In the order of the statements; the guard must be the first. */
enum batch_table {
    BATCH_GUARD,
    BATCH_RAW,
    BATCH_CANONICAL,
    BATCH_BOUND,
    BATCH_ARTIFACTS,
    BATCH_GAPS,
    BATCH_REFOLDED, /* takes all facts of a run away: those that follow are all of them */
    BATCH_FACTS, /* one per enum fact_table, in its order; acknowledgements follow their signals */
    BATCH_FACTS_LAST = BATCH_FACTS + FACT__COUNT - 1,
    BATCH_AMBIENT,
    BATCH_COMMANDS, /* carried out by what else is in the batch */
    BATCH_WEBHOOKS, /* counts on from the version that BATCH_RUNS moves */
    BATCH_RUNS,
    BATCH_OBSERVERS,
    BATCH_SESSIONS,
    BATCH_METRICS,
    BATCH_PROJECTIONS,
    BATCH_TABLE__COUNT
};

struct batch_projection {
    int64_t version; /* last folded seq */
    struct buf sections[PROJECTION__COUNT];
};

/* Latest values of one run. Flags say which rows of it are written. */
struct batch_run {
    int64_t run_key, fence;
    char run_id[UUID_LEN];
    int64_t old_cursor, new_cursor, old_seq, new_seq;

    int transitions; /* runs.version grows by as many; 0: the runs row stays */
    enum run_status status;
    int64_t started_ms, ended_ms; /* 0: unchanged */
    char *error_message;          /* NULL: none; heap */
    const char *failure_reason;   /* NULL: none; static */
    int outcome_positive;         /* -1 unknown, 0, 1 */
    char *metadata;               /* JSON object to merge, NULL: none; heap */

    bool observer; /* run_observers beyond the guard's columns */
    int epoch;
    const char *session_state;                      /* static */
    int64_t session_started_ms, session_expires_ms; /* 0: unknown */
    const char *observer_state;                     /* static */
    int64_t poll_remaining_ms;                      /* -1: the deadline stays */
    bool closed;

    bool session; /* run_sessions: state, expiry, last seen */
    int64_t seen_ms;
    bool metrics_dirty;
    struct metrics metrics;
    struct batch_projection *projection; /* NULL: not due */
    bool terminal;                       /* the run ends with this batch */
};

struct batch {
    uint64_t serial; /* tells whether an index of a run is still one of this batch */
    struct rows tables[BATCH_TABLE__COUNT];
    struct batch_run *runs;
    size_t n_runs, cap_runs;
    size_t
        n_dropped; /* of the runs: entries left in place with key 0, so that others keep theirs */
    size_t events;
    size_t state_bytes;   /* of the projections: they become rows when it is stored */
    struct buf log;       /* its envelopes as records of the spool; batch_reset leaves it alone */
    int64_t *received_us; /* clock_mono_us of every envelope in it: how late are they stored? */
    size_t n_received, cap_received;
};

void batch_init(struct batch *b);
void batch_fini(struct batch *b);
void batch_reset(struct batch *b);
bool batch_is_empty(const struct batch *b);
void batch_note_received(struct batch *b, int64_t mono_us);
size_t batch_bytes(const struct batch *b);

/*
 * The run's entry: the one at *index if serial is this batch's, else a new zeroed one with the old
 * and new cursor and seq set as given. *serial and *index are brought up to date.
 */
struct batch_run *batch_run_entry(struct batch *b, uint64_t *serial, size_t *index, int64_t run_key,
                                  int64_t cursor, int64_t seq);

/* The projection to store, sections empty, ready to be written. */
struct batch_projection *batch_projection_start(struct batch_run *r, int64_t version);

/* One row of a fact table. */
void batch_add_fact(struct batch *b, int64_t run_key, const struct fact *f);

/* All facts of a run: they replace those in the batch, and those that are stored. */
void batch_replace_facts(struct batch *b, int64_t run_key, const struct batch *facts);
/* How much the facts in it are. */
size_t batch_fact_bytes(const struct batch *b);

/* Take everything of a run out again. */
void batch_drop_run(struct batch *b, int64_t run_key);
/* Move everything of the first run into an empty batch: to find the one that Postgres refuses. */
void batch_split_first(struct batch *b, struct batch *out);

/* One pipeline, one transaction. */
bool batch_store(struct batch *b, struct db *db, struct err *err) MUST_CHECK;

/*
 * The same rows without the guard, in a transaction that the caller has open and whose runs it has
 * locked; the batch is as good as sent and only fit for batch_reset.
 */
bool batch_store_locked(struct batch *b, struct db *db, struct err *err) MUST_CHECK;

/*
 * Ask Postgres about each canonical row of a batch it refused; replace the data of those it cannot
 * read by {"undecodable":true}. Number of rows replaced, -1 when the connection is gone.
 */
int batch_quarantine(struct batch *b, struct db *db, struct err *err);

#endif
