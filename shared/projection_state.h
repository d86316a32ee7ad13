/*
 * projection_state.h - the inside of struct projection; for shared/projection*.c and their tests.
 *
 * Purpose    the state of a run as plain structs, small and without searching: texts are shared,
 *            names are interned, lists are bounded.
 * Ownership  everything hangs off struct projection. A text or name is counted: each pointer to
 *            one in the structs below is a reference. Functions that return one lend it unless
 *            they say "new reference".
 * Errors     none; exhausted memory is BUG().
 * Threads    one owner at a time.
 *
 * projection.c        life of a state, its bounded lists
 * projection_names.c  texts and names          projection_value.c     values of event data
 * projection_graph.c  participants, graph      projection_tally.c     votes
 * projection_fold.c   table of reducers        projection_message.c, projection_decision.c  big
 * ones projection_write.c, projection_load.c        stored and wire form
 *
 * Cost of folding one event, whatever the length of the run:
 *   participants, nodes, tallies, artifacts   one lookup in the table of names
 *   edges, votes                              one lookup in a hash of pointers
 *   share of votes, signal acknowledged       scan of at most 50 contributions, 200 signals
 *   Proposal                                  all participants (1,000): it addresses each of them
 *   terminal sweep                            all participants, only while one of them is open
 */
#ifndef MACP_SHARED_PROJECTION_STATE_H
#define MACP_SHARED_PROJECTION_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/projection.h"

enum {
    ITEMS_MAX = 1000, /* participants, artifacts, tallies, votes of one, extension keys */
    EDGES_AFTER_RECEIVED_MAX = 300,
    EDGES_AFTER_SENT_MAX = 200,
};

/* --- texts and names --------------------------------------------------------------------- */

/* A run of bytes, always NUL-ended. */
struct view {
    const char *p;
    size_t n;
};

struct view view_of(const char *s);

/* Immutable and shared, such as the time of an event. Fields called *_json hold JSON text. */
struct text {
    uint32_t refs, len;
    char p[];
};

/*
 * One per distinct text of a state: equal names are equal pointers, and what a name denotes is
 * found without a search. The slots belong to the lists below, -1 means none.
 */
struct name {
    struct name *next; /* in its bucket */
    uint32_t refs, hash, len;
    int32_t participant, node, tally;
    bool linked; /* an artifact of the trace */
    char p[];
};

struct names {
    struct name **buckets;
    uint32_t n_buckets, n;
    size_t bytes; /* of heap memory held by the whole state */
};

/* realloc that keeps the account; n = 0 frees. */
void *names_resize(struct names *names, void *p, size_t old_n, size_t n);

struct name *name_intern(struct names *names, struct view v); /* new reference */
struct name *name_find(const struct names *names, struct view v);
struct name *name_ref(struct name *name); /* new reference; NULL is fine */
void name_unref(struct names *names, struct name *name);

struct text *text_new(struct names *names, struct view v);        /* new reference */
struct text *text_new_json(struct names *names, const json_t *v); /* new reference, NULL: NULL */
struct text *text_ref(struct text *text);                         /* new reference; NULL is fine */
void text_unref(struct names *names, struct text *text);
/* Replace the reference in *slot, which steals value. */
void text_put(struct names *names, struct text **slot, struct text *value);
/* Make *slot a text of v, keeping the old one when it is equal. */
void text_set(struct names *names, struct text **slot, struct view v);
bool text_is(const struct text *text, const char *expected); /* false for NULL */

/* --- lists that keep their newest items --------------------------------------------------- */

enum ring_kind {
    RING_TIMELINE,
    RING_CONTRIBUTIONS,
    RING_EVALUATIONS,
    RING_SIGNALS,
    RING_PROGRESS,
    RING_CALLS,
    RING__COUNT
};

struct ring {
    char *items;
    uint32_t start, n, cap; /* start moves only when the ring has its full size */
};

/* Optional numbers are NAN when absent: what is present is finite (sums may be infinite). */

enum vote { VOTE_NONE, VOTE_ALLOW, VOTE_DENY, VOTE__COUNT };

struct moment {      /* of the timeline */
    struct text *id; /* NULL: computed from run id and seq when written */
    int64_t seq;
    struct text *ts;
    struct name *type;
    struct name *subject_kind; /* NULL with subject_id */
    struct text *subject_id;
};

struct contribution {
    struct name *participant;
    struct text *action;
    double confidence;
    struct text *reasons_json, *ts;
    struct name *message_type; /* NULL when empty */
    enum vote vote;
};

struct evaluation {
    struct text *commitment_id, *reasons_json, *ts;
    enum vote decision;
};

struct signal_entry {
    struct text *id; /* NULL: null */
    struct name *name;
    struct text *severity_json, *source_json, *ts, *payload_json;
    double confidence;
    struct text *acknowledged_at, *acknowledged_by_json;
};

struct progress_entry {
    struct name *participant;
    double percentage;
    struct text *message, *ts;
};

struct llm_call {
    struct name *participant;
    struct text *model_json, *ts, *message_id_json, *artifact_id_json;
    double prompt_tokens, completion_tokens, total_tokens; /* never absent */
    double latency_ms, cost_usd;
};

/* Append a zeroed item, dropping the oldest one of a full ring. Valid until the next push. */
void *ring_push(struct projection *p, enum ring_kind kind);
/* Item i, oldest first. */
void *ring_at(const struct projection *p, enum ring_kind kind, uint32_t i);

/* --- participants and graph -------------------------------------------------------------- */

enum node_status { /* of participants and nodes; the order up to failed is the rank of a node */
                   NODE_SKIPPED,
                   NODE_IDLE,
                   NODE_WAITING,
                   NODE_ACTIVE,
                   NODE_COMPLETED,
                   NODE_FAILED,
                   NODE_STATUS__COUNT
};

extern const char *const node_status_names[NODE_STATUS__COUNT];

struct participant {
    struct name *id, *role, *latest_summary; /* role and summary: NULL when absent */
    struct text *latest_activity;            /* NULL when absent */
    enum node_status status;
};

struct node {
    struct name *id, *kind;
    enum node_status status;
};

struct edge {
    struct name *from, *to, *kind;
    struct text *ts;
    uint32_t next; /* slot + 1 in its bucket */
};

/* A window [start, start + n) of slots that moves as old edges are dropped. */
struct edges {
    struct edge *items;
    uint32_t *buckets; /* as many as slots: slot + 1 of the newest edge, chained by next */
    uint32_t start, n, cap;
};

/* The participant of a name, added when it may be; NULL for reserved names and a full list. */
struct participant *graph_participant(struct projection *p, struct name *id);
void graph_load_participant(struct projection *p, const struct participant *loaded);
void graph_load_node(struct projection *p, const struct node *loaded);
/* A sender (with its summary) or an addressee; empty names are nobody. */
void graph_acted(struct projection *p, struct name *id, struct name *summary, struct text *ts);
void graph_addressed(struct projection *p, struct name *id);
/* Add a synthetic node or raise its status. */
void graph_upsert_node(struct projection *p, const char *id, const char *kind,
                       enum node_status status);
void graph_add_edge(struct projection *p, struct name *from, struct name *to, struct name *kind,
                    struct text *ts);
/* Add an edge or renew the time of the oldest equal one. */
void graph_upsert_edge(struct projection *p, struct name *from, struct name *to, struct name *kind,
                       struct text *ts);
void graph_trim_edges(struct projection *p, uint32_t max);
/* The end of a run: every open participant gets its last status. */
void graph_sweep(struct projection *p, bool failed);
void graph_fini(struct projection *p);

/* --- votes ------------------------------------------------------------------------------- */

struct ballot {
    struct name *participant, *message_type;
    enum vote vote;
};

struct tally {
    struct name *id; /* of the proposal */
    double allow, deny, threshold, required, cast;
    struct ballot *ballots;
    uint32_t n, cap, n_allow;
    uint32_t *index; /* open addressing over ballots, slot + 1; NULL while there are few */
    uint32_t index_cap;
};

/* The tally of a proposal, added when there is room; else NULL. */
struct tally *tally_of(struct projection *p, struct name *proposal);
/* One vote per sender and message type: the latest counts. */
void tally_vote(struct projection *p, struct tally *t, struct name *sender,
                struct name *message_type, enum vote vote);
/* Append as it was stored. */
void tally_load_ballot(struct projection *p, struct tally *t, struct name *sender,
                       struct name *message_type, enum vote vote);
void tally_count(struct projection *p, struct tally *t);
void tally_fini(struct projection *p);

/* --- the state --------------------------------------------------------------------------- */

/* Members of the run section behind runId; copied from event data, so any JSON. */
#define RUN_FIELD_LIST(X)                                                                          \
    X(RUN_FIELD_STATUS, "status")                                                                  \
    X(RUN_FIELD_SESSION, "runtimeSessionId")                                                       \
    X(RUN_FIELD_STARTED, "startedAt")                                                              \
    X(RUN_FIELD_ENDED, "endedAt")                                                                  \
    X(RUN_FIELD_TRACE, "traceId")                                                                  \
    X(RUN_FIELD_MODE, "modeName")                                                                  \
    X(RUN_FIELD_CONTEXT, "contextId")                                                              \
    X(RUN_FIELD_EXTENSIONS, "extensionKeys")

enum run_field {
#define X(id, member) id,
    RUN_FIELD_LIST(X)
#undef X
        RUN_FIELD__COUNT
};

enum outcome {
    OUTCOME_ABSENT, /* undecided */
    OUTCOME_NULL,   /* decided, unknown */
    OUTCOME_FALSE,
    OUTCOME_TRUE,
    OUTCOME__COUNT
};

enum quorum { QUORUM_ABSENT, QUORUM_PENDING, QUORUM_REACHED, QUORUM_FAILED, QUORUM__COUNT };

struct decision { /* decision.current; texts are NULL and confidence NAN when absent */
    bool present, finalized, has_proposals;
    enum outcome outcome;
    double confidence;
    struct text *action, *reasons_json, *proposal_id, *prompt;
    struct text *resolved_at, *resolved_by_json, *supersedes_json;
};

struct policy {
    struct text *version, *description, *resolved_at, *expected_json; /* version: NULL is "" */
    enum outcome outcome;
    enum quorum quorum;
    struct tally *tallies;
    uint32_t n_tallies, tallies_cap;
};

struct trace_state {
    struct text *trace_id, *last_span_id;
    double span_count;
    struct name **artifacts; /* insertion order */
    uint32_t n_artifacts, artifacts_cap;
};

struct projection {
    struct names names;
    struct text *run_id;
    bool computes_ids; /* the run id is a UUID, so event ids can be computed */
    bool terminal;     /* run status completed, failed or cancelled */
    struct text *run_json[RUN_FIELD__COUNT];

    struct participant *participants;
    uint32_t n_participants, participants_cap;
    uint32_t n_open;   /* participants that are not completed, failed or skipped */
    uint32_t n_voters; /* participants with role voter */
    struct node *nodes;
    uint32_t n_nodes, nodes_cap;
    struct edges edges;

    struct ring rings[RING__COUNT];
    struct decision decision;
    struct policy policy;
    struct trace_state trace;
    int64_t latest_seq;
    double total_events;
    double outbound_total, outbound_queued, outbound_accepted, outbound_rejected;
    double llm_call_count, llm_prompt_tokens, llm_completion_tokens, llm_total_tokens, llm_cost_usd;
};

/* A state without content, not even a status. */
struct projection *projection_alloc(struct view run_id) MUST_CHECK;
/* Steals the JSON text; keeps terminal up to date. */
void projection_put_run(struct projection *p, enum run_field field, struct text *json);
/* Room for one more item of an array with n used ones. */
void *projection_grow(struct projection *p, void *items, size_t item_size, uint32_t n,
                      uint32_t *cap);
/* The id of an event whose id is not stored; false when there is none. */
bool projection_event_id(const struct projection *p, int64_t seq, char *out);
/* Remember an artifact unless it is known or the list is full. */
void projection_link_artifact(struct projection *p, struct view id);

/* --- reducers ---------------------------------------------------------------------------- */

struct reduction {
    struct projection *p;
    const struct event *e;
    const json_t *data, *payload; /* NULL when absent; payload is data.decodedPayload */
    struct text *ts;
    struct name *type;
};

/* The text of a value, in scratch unless it is a string; of an absent one, the fallback. */
struct view value_view(const json_t *v, const char *fallback, struct buf *scratch);
double value_num(const json_t *v); /* NAN when there is no finite number */
bool value_is(const json_t *v, const char *expected);
bool view_is(struct view v, const char *expected);
/* Equal to one of the words, A to Z without regard to case. */
bool view_in(struct view v, const char *const *words, size_t n);
/* The text of a value, of an absent one the id of the event's subject, else "". */
struct view reduction_str(const struct reduction *r, const json_t *v, struct buf *scratch);
/* The event's own id, in computed (UUID_LEN bytes) unless it is stored; p = NULL: none. */
struct view reduction_id(const struct reduction *r, char *computed);

/* A run status, as JSON text. */
void projection_set_status(struct projection *p, const char *json);
bool projection_status_is(const struct projection *p, const char *json);

typedef void (*reducer_fn)(struct reduction *r);

/* Indexed by type; the last entry is for types outside the list. No entry is NULL. */
extern const reducer_fn projection_reducers[EVENT__COUNT + 1];

/* What a message or commitment means; reports tell the same story. */
enum vote decision_vote(struct view message_type, const json_t *payload);
const json_t *decision_proposal(const json_t *payload); /* the id's value; lends, may be NULL */
enum outcome decision_outcome(const json_t *payload, struct view action);
/* Of a commitment not folded yet: as said, else the share of votes for; NAN when unknown. */
double decision_confidence(const struct projection *p, const json_t *payload);

/* Those that live in files of their own. */
void reduce_participant_seen(struct reduction *r);
void reduce_message_sent(struct reduction *r);
void reduce_send_failed(struct reduction *r);
void reduce_message_received(struct reduction *r);
void reduce_proposal(struct reduction *r);
void reduce_decision(struct reduction *r);

#endif
