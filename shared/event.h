/*
 * event.h - a canonical event: the closed list of types, the struct, its one JSON shape.
 *
 * Purpose    everything that happens to a run is one of these types; producers, the fold, the
 *            tables and the wire agree through this list.
 * Ownership  struct event borrows its strings; data is a reference the holder must drop
 *            (event_list does it for its events).
 * Errors     event_type_parse returns EVENT_UNKNOWN for names outside the list.
 * Threads    one owner at a time.
 */
#ifndef MACP_SHARED_EVENT_H
#define MACP_SHARED_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/clock.h"

enum { EVENT_SCHEMA_VERSION = 3 };

/* Sequence numbers are 32-bit columns; JSON carries them as doubles. */
#define EVENT_SEQ_MAX 2147483647

#define EVENT_TYPE_LIST(X)                                                                         \
    X(EVENT_RUN_CREATED, "run.created")                                                            \
    X(EVENT_RUN_STARTED, "run.started")                                                            \
    X(EVENT_RUN_COMPLETED, "run.completed")                                                        \
    X(EVENT_RUN_FAILED, "run.failed")                                                              \
    X(EVENT_RUN_CANCELLED, "run.cancelled")                                                        \
    X(EVENT_RUN_SUSPENDED, "run.suspended")                                                        \
    X(EVENT_RUN_RESUMED, "run.resumed")                                                            \
    X(EVENT_SESSION_BOUND, "session.bound")                                                        \
    X(EVENT_SESSION_STREAM_OPENED, "session.stream.opened")                                        \
    X(EVENT_SESSION_STATE_CHANGED, "session.state.changed")                                        \
    X(EVENT_PARTICIPANT_SEEN, "participant.seen")                                                  \
    X(EVENT_MESSAGE_SENT, "message.sent")                                                          \
    X(EVENT_MESSAGE_RECEIVED, "message.received")                                                  \
    X(EVENT_MESSAGE_SEND_FAILED, "message.send_failed")                                            \
    X(EVENT_SIGNAL_EMITTED, "signal.emitted")                                                      \
    X(EVENT_SIGNAL_ACKNOWLEDGED, "signal.acknowledged")                                            \
    X(EVENT_PROPOSAL_CREATED, "proposal.created")                                                  \
    X(EVENT_PROPOSAL_UPDATED, "proposal.updated")                                                  \
    X(EVENT_DECISION_PROPOSED, "decision.proposed")                                                \
    X(EVENT_DECISION_FINALIZED, "decision.finalized")                                              \
    X(EVENT_PROGRESS_REPORTED, "progress.reported")                                                \
    X(EVENT_TOOL_CALLED, "tool.called")                                                            \
    X(EVENT_TOOL_COMPLETED, "tool.completed")                                                      \
    X(EVENT_ARTIFACT_CREATED, "artifact.created")                                                  \
    X(EVENT_POLICY_RESOLVED, "policy.resolved")                                                    \
    X(EVENT_POLICY_COMMITMENT_EVALUATED, "policy.commitment.evaluated")                            \
    X(EVENT_POLICY_DENIED, "policy.denied")                                                        \
    X(EVENT_LLM_CALL_COMPLETED, "llm.call.completed")

enum event_type {
#define X(id, name) id,
    EVENT_TYPE_LIST(X)
#undef X
        EVENT__COUNT,
    EVENT_UNKNOWN = EVENT__COUNT /* only in foreign data; folds like a type without effect */
};

const char *event_type_name(enum event_type type);
enum event_type event_type_parse(const char *name);

/* Source kinds and names. */
#define EVENT_SOURCE_RUNTIME "runtime"
#define EVENT_SOURCE_SELF    "macp-control-plane"
#define EVENT_RUNTIME_NAME   "rust-runtime"

struct event {
    const char *id;          /* NULL: computed from run id and seq (uuid_of_event) */
    int64_t seq;             /* 0 until numbered */
    int64_t ts_ms;           /* wall clock */
    char ts[CLOCK_TEXT_LEN]; /* the same as text */
    enum event_type type;
    const char *type_name;                 /* NULL: event_type_name(type) */
    const char *subject_kind, *subject_id; /* both NULL when absent, never empty */
    const char *source_kind, *source_name;
    const char *raw_type; /* NULL for events of our own */
    const char *trace_id, *span_id, *parent_span_id;
    const char *cost_model; /* llm.call.completed: model before redaction; not stored */
    json_t *data;           /* object */
};

struct event_list {
    struct event *items;
    size_t n, cap;
    /* A large value in the data of several of them, and its text; NULL: none. Borrowed. */
    const json_t *known;
    const struct buf *known_text;
};

/* Append a zeroed event with its type, time and new empty data object; valid until the next add. */
struct event *event_list_add(struct event_list *list, enum event_type type, int64_t ts_ms);
/* Drop the events (and their data), keep the capacity. */
void event_list_reset(struct event_list *list);
void event_list_fini(struct event_list *list);

void event_set_time(struct event *e, int64_t ts_ms);
/* Absent when kind or id is empty or NULL. */
void event_set_subject(struct event *e, const char *kind, const char *id);

/*
 * From the nested JSON form (type, seq, ts, data; optional id, subject, source, trace). Strings
 * are borrowed from the document, data is a new reference. False, *out untouched, when a required
 * member is missing or ts is no time.
 */
bool event_read(const json_t *document, struct event *out) MUST_CHECK;

#endif
