#include "observerd/run_trace.h"

#include <stdio.h>

#include "observerd/session.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"

enum { EVENTS_MAX = 64 << 10 }; /* bytes: a run may have any number of signals */

/* Canonical events that are events of the span, and which of their data they carry. */
static const struct {
    enum event_type type;
    const char *name;
    struct {
        const char *attribute, *member;
    } data[2];
} marks[] = {
    {EVENT_SIGNAL_EMITTED, "signal.emitted", {{"name", "signalType"}, {"sender", "sender"}}},
    {EVENT_SIGNAL_ACKNOWLEDGED,
     "signal.acknowledged",
     {{"signalId", "signalId"}, {"sender", "sender"}}},
    {EVENT_POLICY_DENIED, "policy.denied", {{"errorCode", "errorCode"}}},
    {EVENT_DECISION_FINALIZED,
     "decision.finalized",
     {{"action", "action"}, {"outcome", "outcome"}}},
};

void
run_trace_begin(struct session *s)
{
    struct run_trace *t = &s->trace;

    t->sampled = tracer_samples(s->shard->o.tracer, s->run.trace_id);
    t->adopted_us = clock_wall_us();
    tracer_run_id(s->run.run_id, t->span_id);
    snprintf(t->traceparent, sizeof t->traceparent, "00-%.32s-%s-%s", s->run.trace_id, t->span_id,
             t->sampled ? "01" : "00");
}

void
run_trace_fini(struct run_trace *t)
{
    buf_fini(&t->events);
}

void
run_trace_opened(const struct session *s)
{
    const struct run_trace *t = &s->trace;

    if (!t->sampled)
        return;
    tracer_add(s->shard->o.tracer,
               &(struct span){.name = "runtime.await_session_open",
                              .trace_id = s->run.trace_id,
                              .parent_id = t->span_id,
                              .start_us = t->adopted_us,
                              .end_us = clock_wall_us(),
                              .attributes = {{"run_id", s->run.run_id},
                                             {"runtime_kind", s->run.runtime_kind},
                                             {"session_id", s->run.session_id}}});
}

void
run_trace_event(struct session *s, const struct event *e)
{
    struct run_trace *t = &s->trace;

    if (!t->sampled || t->events.len >= EVENTS_MAX)
        return;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        struct span_attribute attributes[4] = {{.key = "seq", .number = e->seq}};
        int n = 1;

        if (marks[i].type != e->type)
            continue;
        for (size_t d = 0; d < ARRAY_LEN(marks[i].data); d++) {
            const char *text =
                marks[i].data[d].member ? jv_cstr(jv_get(e->data, marks[i].data[d].member)) : NULL;

            if (text)
                attributes[n++] = (struct span_attribute){marks[i].data[d].attribute, text};
        }
        tracer_event(&t->events, marks[i].name, e->ts_ms, attributes);
    }
}

void
run_trace_envelope(const struct session *s, const char *message_type, int64_t start_us)
{
    if (!s->trace.sampled)
        return;
    tracer_add(s->shard->o.tracer,
               &(struct span){.name = "stream.handle_raw_event",
                              .trace_id = s->run.trace_id,
                              .parent_id = s->trace.span_id,
                              .start_us = start_us,
                              .end_us = clock_wall_us(),
                              .attributes = {{"run_id", s->run.run_id},
                                             {"macp.raw_kind", "stream-envelope"},
                                             {"macp.message_type", message_type},
                                             {"macp.session_id", s->run.session_id}}});
}

void
run_trace_ended(const struct session *s, int64_t ended_ms, const char *error)
{
    if (!s->trace.sampled)
        return;
    tracer_add(
        s->shard->o.tracer,
        &(struct span){.name = "run.lifecycle",
                       .trace_id = s->run.trace_id,
                       .id = s->trace.span_id,
                       .start_us = (s->run.started_ms ? s->run.started_ms : ended_ms) * 1000,
                       .end_us = ended_ms * 1000,
                       .error = error,
                       .attributes = {{"run_id", s->run.run_id},
                                      {"runtime_kind", s->run.runtime_kind},
                                      {"mode_name", s->run.mode_name},
                                      {"execution_mode", "live"},
                                      {"run.terminal_status", run_status_name(s->run.status)}},
                       .events = buf_cstr(&s->trace.events)});
}
