/*
 * run_trace.h - the spans of a run.
 *
 * Purpose    run.lifecycle from the run's start to its end, with the events that matter as events
 *            of it; below it runtime.await_session_open and, for each envelope,
 *            stream.handle_raw_event. The lifecycle span is sent by whoever sees the end: its id
 *            follows from the run's, so spans that others sent before are its children.
 * Ownership  struct run_trace is part of its session.
 * Errors     none. Threads: the queue thread.
 */
#ifndef MACP_OBSERVERD_RUN_TRACE_H
#define MACP_OBSERVERD_RUN_TRACE_H

#include "observerd/runtime.h"
#include "observerd/tracer.h"
#include "shared/event.h"

struct session;

struct run_trace {
    bool sampled;
    char span_id[TRACER_ID_LEN];
    char traceparent[RT_TRACEPARENT_LEN]; /* what calls about the run carry */
    int64_t adopted_us;
    struct buf events; /* of run.lifecycle, as far as this process saw them */
};

void run_trace_begin(struct session *s);
void run_trace_fini(struct run_trace *t);
void run_trace_opened(const struct session *s);
void run_trace_event(struct session *s, const struct event *e);
void run_trace_envelope(const struct session *s, const char *message_type, int64_t start_us);
/* error NULL: it ended well. */
void run_trace_ended(const struct session *s, int64_t ended_ms, const char *error);

#endif
