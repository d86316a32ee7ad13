/*
 * projection.h - the state of a run, folded from its canonical events.
 *
 * Purpose    one pure function (state, event) -> state that the live path, readers' tails,
 *            replay, rebuild and the tests all use; plus its stored and wire form.
 * Ownership  struct projection is heap memory of its owner (projection_free); it copies what it
 *            keeps of an event.
 * Errors     folding cannot fail. projection_load fails on text that is no projection.
 * Threads    one owner at a time.
 *
 * A reducer has no I/O and no clock. Folding events all at once, in any split, or from stored
 * rows gives the same state. The cost of one event does not grow with the run; what it may depend
 * on is said in projection_state.h.
 */
#ifndef MACP_SHARED_PROJECTION_H
#define MACP_SHARED_PROJECTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/event.h"

enum { PROJECTION_SCHEMA_VERSION = 3 };

/* The sections: JSON member on the wire, column of run_projections. Order of the wire form. */
#define PROJECTION_SECTION_LIST(X)                                                                 \
    X(PROJECTION_RUN, "run", "run_summary")                                                        \
    X(PROJECTION_PARTICIPANTS, "participants", "participants")                                     \
    X(PROJECTION_GRAPH, "graph", "graph")                                                          \
    X(PROJECTION_DECISION, "decision", "decision")                                                 \
    X(PROJECTION_SIGNALS, "signals", "signals")                                                    \
    X(PROJECTION_PROGRESS, "progress", "progress")                                                 \
    X(PROJECTION_TIMELINE, "timeline", "timeline")                                                 \
    X(PROJECTION_TRACE, "trace", "trace_summary")                                                  \
    X(PROJECTION_OUTBOUND, "outboundMessages", "outbound_messages")                                \
    X(PROJECTION_POLICY, "policy", "policy")                                                       \
    X(PROJECTION_LLM, "llm", "llm")

enum projection_section {
#define X(id, member, column) id,
    PROJECTION_SECTION_LIST(X)
#undef X
        PROJECTION__COUNT
};

struct projection;

/* The initial state of a run. */
struct projection *projection_new(const char *run_id) MUST_CHECK;
void projection_free(struct projection *p);

void projection_fold(struct projection *p, const struct event *e);

/*
 * From the wire form (an object with all section members). What projection_write wrote comes back
 * exactly; members it does not write are left out, lists beyond their bounds keep their newest
 * items. On failure *out is untouched.
 */
bool projection_load(const json_t *document, struct projection **out, struct err *err) MUST_CHECK;
/*
 * From the section columns, as JSON texts indexed by section. A state that is not as of the stored
 * version fails: folding the events behind that version onto it would be wrong.
 */
bool projection_load_sections(const char *const texts[PROJECTION__COUNT], int64_t version,
                              struct projection **out, struct err *err) MUST_CHECK;

/* One section as JSON text, appended. */
void projection_write_section(const struct projection *p, enum projection_section s,
                              struct buf *out);
/* The whole state as one JSON object, appended. */
void projection_write(const struct projection *p, struct buf *out);

/* Largest sequence number folded so far (timeline.latestSeq). */
int64_t projection_latest_seq(const struct projection *p);

/* Final action and confidence of a finalized decision; false when there is none. */
bool projection_final_decision(const struct projection *p, const char **action,
                               bool *has_confidence, double *confidence);

/* 1 positive, 0 negative, -1 undecided or unknown. */
int projection_outcome(const struct projection *p);

/* Heap bytes held, for benchmarks and the memory bound test. */
size_t projection_memory(const struct projection *p);

#endif
