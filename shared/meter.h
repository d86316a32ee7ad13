/*
 * meter.h - what the programs count about themselves, in one table.
 *
 * Purpose    each row below is a metric family of the Prometheus text format. Counting is an
 *            atomic addition; pages, the published values and the sum over several processes are
 *            loops over the table.
 * Ownership  the process's own values are static and live as long as it does; those of meters_new
 *            are the caller's (meters_free). Labels are copied.
 * Errors     none while counting. meters_merge returns false for what is no published text.
 * Threads    any, without a lock. A page may be off by what is counted while it is written, but
 *            each histogram adds up.
 *
 * That the process's own values are no member of an object that main passes down is deliberate:
 * nothing reads them to decide anything, and everybody may have something to count.
 *
 * Labels: a series is made when it is first counted. Values come from closed lists wherever a
 * stranger could choose them; beyond METER_SERIES_MAX all further ones of a family are "other".
 */
#ifndef MACP_SHARED_METER_H
#define MACP_SHARED_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"

enum meter_kind {
    METER_COUNTER,
    METER_GAUGE,   /* of several processes: their sum */
    METER_WORST,   /* a gauge; of several processes: the largest */
    METER_SECONDS, /* a histogram; observed in microseconds */
    METER_SIZES,   /* a histogram of plain numbers */
};

/* Upper bounds of histograms, in the unit that is observed. */
#define METER_BOUNDS_NONE 0
#define METER_BOUNDS_RUN                                                                           \
    100000, 500000, 1000000, 2000000, 5000000, 10000000, 30000000, 60000000, 120000000, 300000000, \
        600000000
#define METER_BOUNDS_CALL 10000, 50000, 100000, 500000, 1000000, 5000000, 10000000, 30000000
#define METER_BOUNDS_COMMIT                                                                        \
    1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,      \
        10000000, 30000000, 60000000
#define METER_BOUNDS_ROWS 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000

/* Key, name, kind, labels ("" or up to two, with a comma), bounds, meaning. */
// clang-format off
#define METER_TABLE(X)                                                                             \
    /* --- names that dashboards of the predecessor know --- */                                    \
    X(RUNTIME_STREAMS, "active_runtime_streams", GAUGE, "", NONE,                                  \
      "Runs being observed")                                                                       \
    X(TRANSITIONS, "run_state_transitions_total", COUNTER, "status", NONE,                         \
      "Runs that entered a status")                                                                \
    X(RUN_DURATION, "macp_run_duration_seconds", SECONDS, "terminal_status,mode_name", RUN,        \
      "Time from the start to the end of completed and failed runs")                               \
    X(CALL_DURATION, "grpc_call_duration_seconds", SECONDS, "method,status", CALL,                 \
      "Time of unary calls to the runtime")                                                        \
    X(BREAKER, "circuit_breaker_state", WORST, "", NONE,                                           \
      "Breaker of the calls to the runtime: 0 closed, 1 half open, 2 open")                        \
    X(BREAKER_FAILURES, "macp_circuit_breaker_failures_total", COUNTER, "", NONE,                  \
      "Calls that the breaker counted as failures")                                                \
    X(BREAKER_SUCCESSES, "macp_circuit_breaker_success_total", COUNTER, "", NONE,                  \
      "Calls that the breaker counted as successes")                                               \
    X(OUTBOUND_MESSAGES, "macp_outbound_messages_total", COUNTER, "category,status", NONE,         \
      "Posted runs whose session was subscribed to")                                               \
    X(INBOUND_MESSAGES, "macp_inbound_messages_total", COUNTER, "mode,message_type", NONE,         \
      "Envelopes received and recorded")                                                           \
    X(SIGNALS, "macp_signals_total", COUNTER, "signal_type", NONE,                                 \
      "Signals recorded as events")                                                                \
    X(STREAM_RECONNECTS, "macp_stream_reconnects_total", COUNTER, "", NONE,                        \
      "Session streams that broke off and are opened again")                                       \
    X(RECOVERIES, "macp_recovery_total", COUNTER, "status", NONE,                                  \
      "Unfinished runs taken over from an earlier owner")                                          \
    X(WEBHOOK_DELIVERIES, "macp_webhook_deliveries_total", COUNTER, "status", NONE,                \
      "Webhook deliveries that reached their end")                                                 \
    /* --- is anything lost, or late --- */                                                        \
    X(GAPS, "macp_observer_gaps_total", COUNTER, "kind", NONE,                                     \
      "Gaps recorded: history that could not be read")                                             \
    X(SIGNALS_DROPPED, "macp_observer_signals_dropped_total", COUNTER, "", NONE,                   \
      "Ambient envelopes dropped because too many waited for Postgres")                            \
    X(DUPLICATES, "macp_observer_duplicates_total", COUNTER, "source", NONE,                       \
      "Envelopes left out because they were recorded before")                                      \
    X(UNDECODABLE, "macp_observer_undecodable_total", COUNTER, "mode", NONE,                       \
      "Envelopes that could not be read whole; their bytes are kept")                              \
    X(REFUSED_ROWS, "macp_observer_refused_rows_total", COUNTER, "", NONE,                         \
      "Events whose data Postgres refused; a placeholder is stored")                               \
    X(REFUSED_RUNS, "macp_observer_refused_runs_total", COUNTER, "", NONE,                         \
      "Batches of a run that Postgres refused altogether; the run is taken anew")                  \
    X(REDACT_BLOWN, "macp_observer_redactions_blown_total", COUNTER, "", NONE,                     \
      "Strings redacted as a whole because a pattern took too long")                               \
    X(FENCED, "macp_fenced_writes_total", COUNTER, "", NONE,                                       \
      "Writes refused because another writer had moved the run")                                   \
    X(STREAM_ERRORS, "macp_stream_errors_total", COUNTER, "grpc_code", NONE,                       \
      "Streams of the runtime that ended, by status")                                              \
    X(WATCH_CONNECTED, "macp_watch_connected", GAUGE, "stream", NONE,                              \
      "Watches of the runtime that are open")                                                      \
    X(LAG, "macp_observer_lag_seconds", SECONDS, "", COMMIT,                                       \
      "Time from receiving an envelope to its commit")                                             \
    X(SPOOL_BYTES, "macp_observer_spool_bytes", GAUGE, "", NONE,                                   \
      "Size of the local spool")                                                                   \
    X(SPOOLED, "macp_observer_spooled_total", COUNTER, "", NONE,                                   \
      "Envelopes that went through the spool because Postgres was away")                           \
    X(SPOOL_REFUSED, "macp_observer_spool_refused_total", COUNTER, "", NONE,                       \
      "Times that the spool took no more: it, or its disk, was full")                              \
    /* --- how it works --- */                                                                     \
    X(REMOVED, "macp_retention_removed_total", COUNTER, "kind", NONE,                              \
      "What passes of retention removed: rows, and weeks of events")                               \
    X(PASSES, "macp_retention_passes_total", COUNTER, "outcome", NONE,                             \
      "Passes of retention: done, unfinished or busy")                                             \
    X(ASTRAY, "macp_events_astray", WORST, "", NONE,                                               \
      "Event rows of days that no week was made for, at most 10000")                               \
    X(LEASES, "macp_observer_leases", GAUGE, "state", NONE,                                        \
      "Runs held; claimable runs, told by one instance for all")                                   \
    X(STREAMS_OPEN, "macp_observer_streams_open", GAUGE, "", NONE,                                 \
      "Open session streams")                                                                      \
    X(PARKED, "macp_observer_parked_streams", GAUGE, "", NONE,                                     \
      "Session streams that are not read because a batch is full")                                 \
    X(PARKINGS, "macp_observer_parkings_total", COUNTER, "", NONE,                                 \
      "Times that a session stream had to wait for a full batch")                                  \
    X(EVENTS, "macp_observer_events_total", COUNTER, "", NONE,                                     \
      "Canonical events committed")                                                                \
    X(BATCH_ROWS, "macp_observer_batch_rows", SIZES, "", ROWS,                                     \
      "Raw and canonical rows of a committed batch")                                               \
    X(BATCH_SECONDS, "macp_observer_batch_seconds", SECONDS, "", COMMIT,                           \
      "Time that Postgres took for a committed batch")                                             \
    X(BATCH_RETRIES, "macp_observer_batch_retries_total", COUNTER, "", NONE,                       \
      "Attempts to store a batch that failed because Postgres was away")                           \
    X(DISCOVERED, "macp_observer_discovered_total", COUNTER, "", NONE,                             \
      "Runs created for sessions nobody posted")                                                   \
    X(HEARTBEAT_FAILURES, "macp_observer_heartbeat_failures_total", COUNTER, "", NONE,             \
      "Heartbeats that did not reach Postgres")                                                    \
    X(SPANS, "macp_observer_spans_total", COUNTER, "outcome", NONE,                                \
      "Trace spans exported, or dropped because the collector was away or slow")                   \
    X(AUTH_MINT, "macp_auth_mint_total", COUNTER, "outcome", NONE,                                 \
      "Runtime tokens asked for")                                                                  \
    X(AUTH_FALLBACK, "macp_auth_fallback_total", COUNTER, "outcome", NONE,                         \
      "Calls made with the fallback credential because minting failed")
// clang-format on

enum meter_id {
#define X(key, ...) METER_##key,
    METER_TABLE(X)
#undef X
        METER__COUNT
};

enum { METER_LABELS_MAX = 2, METER_SERIES_MAX = 64, METER_BOUNDS_MAX = 15 };

struct meter_row {
    const char *name;
    enum meter_kind kind;
    const char *labels;                   /* names, with commas; "": none */
    int64_t bounds[METER_BOUNDS_MAX + 1]; /* ended by 0 */
    const char *help;
};

const struct meter_row *meter_row(enum meter_id id);

/* --- counting ------------------------------------------------------------------------------ */

/* The values of the row's labels, in their order, end the arguments. */
#define METER_VALUES(...) ((const char *const[METER_LABELS_MAX + 1]){__VA_ARGS__})
/* Counters and gauges: n more. */
#define meter_add(id, n, ...) meter_add_labelled((id), (n), METER_VALUES(__VA_ARGS__))
/* Gauges, and counters that are kept elsewhere: the value itself. */
#define meter_put(id, v, ...) meter_put_labelled((id), (v), METER_VALUES(__VA_ARGS__))
/* Histograms. */
#define meter_observe(id, v, ...) meter_observe_labelled((id), (v), METER_VALUES(__VA_ARGS__))

void meter_add_labelled(enum meter_id id, int64_t n, const char *const *labels);
void meter_put_labelled(enum meter_id id, int64_t v, const char *const *labels);
void meter_observe_labelled(enum meter_id id, int64_t v, const char *const *labels);

/* --- values as a whole --------------------------------------------------------------------- */

struct meters;

/* This process's. */
struct meters *meters_own(void);
struct meters *meters_new(void) MUST_CHECK;
void meters_free(struct meters *m);

/* As JSON, for other processes. */
void meters_write_json(const struct meters *m, struct buf *out);
/* Add what another process published; families and buckets unknown here are left out. */
bool meters_merge(struct meters *m, const char *json, size_t n) MUST_CHECK;
void meters_add_all(struct meters *m, const struct meters *other);
/* All families in the text format; those without labels are there from the start. */
void meters_write_page(const struct meters *m, struct buf *out);

#endif
