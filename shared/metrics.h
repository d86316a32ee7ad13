/*
 * metrics.h - the counters of a run, folded from its canonical events.
 *
 * Purpose    the run_metrics row and the summary that clients read.
 * Ownership  struct metrics is a plain value. Errors: none. Threads: one owner at a time.
 *
 * The row freezes at the first terminal session state or run.* end: late events still count but
 * move last_event_ms no more (the first run.* end moves it a last time).
 */
#ifndef MACP_SHARED_METRICS_H
#define MACP_SHARED_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/event.h"
#include "shared/price.h"

struct metrics {
    int64_t event_count, message_count, signal_count, proposal_count, tool_call_count;
    int64_t decision_count, stream_reconnect_count;
    double prompt_tokens, completion_tokens, total_tokens, estimated_cost_usd;
    bool has_events;
    int64_t first_event_ms, last_event_ms; /* wall clock, when has_events */
    bool frozen, ended;
    char session_state[40]; /* "" until known */
};

/* prices NULL: the built-in list. */
void metrics_fold(struct metrics *m, const struct event *e, const struct price_list *prices);

/* What a llm.call.completed costs in USD by the price list; 0 without tokens. */
double metrics_call_cost(const struct event *e, const struct price_list *prices);

/*
 * The client's summary. With all: every member, null when unknown; else unknown ones are left out.
 */
void metrics_write(const struct metrics *m, const char *run_id, bool all, struct buf *out);

#endif
