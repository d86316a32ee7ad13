/* The state as JSON, section by section. */
#include "shared/projection_state.h"

#include <math.h>

#include "shared/json.h"
#include "shared/uuid.h"

/* --- members ----------------------------------------------------------------------------- */

/* Name and colon of the next member of the object being written. */
static void
member(struct buf *out, const char *name)
{
    if (out->p[out->len - 1] != '{')
        buf_char(out, ',');
    buf_char(out, '"');
    buf_str(out, name); /* our own names need no escapes */
    buf_lit(out, "\":");
}

/* Comma before the next element of the array being written. */
static void
element(struct buf *out)
{
    if (out->p[out->len - 1] != '[')
        buf_char(out, ',');
}

static void
put_name(struct buf *out, const char *key, const struct name *v)
{
    if (!v)
        return;
    member(out, key);
    buf_json_n(out, v->p, v->len);
}

static void
put_text(struct buf *out, const char *key, const struct text *v)
{
    if (!v)
        return;
    member(out, key);
    buf_json_n(out, v->p, v->len);
}

static void
put_json(struct buf *out, const char *key, const struct text *v)
{
    if (!v)
        return;
    member(out, key);
    buf_add(out, v->p, v->len);
}

static void
put_string(struct buf *out, const char *key, const char *v)
{
    if (!v)
        return;
    member(out, key);
    buf_json(out, v);
}

static void
put_number(struct buf *out, const char *key, double v)
{
    member(out, key);
    jv_write_number(out, v);
}

static void
put_optional(struct buf *out, const char *key, double v)
{
    if (!isnan(v))
        put_number(out, key, v);
}

static void
put_bool(struct buf *out, const char *key, bool v)
{
    member(out, key);
    buf_str(out, v ? "true" : "false");
}

static void
put_outcome(struct buf *out, const char *key, enum outcome v)
{
    static const char *const json[OUTCOME__COUNT] = {
        [OUTCOME_NULL] = "null", [OUTCOME_FALSE] = "false", [OUTCOME_TRUE] = "true"};

    if (v == OUTCOME_ABSENT)
        return;
    member(out, key);
    buf_str(out, json[v]);
}

static const char *
vote_text(enum vote vote)
{
    return vote == VOTE_NONE ? NULL : vote == VOTE_ALLOW ? "allow" : "deny";
}

/* --- items of lists ----------------------------------------------------------------------- */

static void
write_moment(const struct projection *p, const void *item, struct buf *out)
{
    const struct moment *m = item;
    char computed[UUID_LEN];

    member(out, "id");
    if (m->id)
        buf_json_n(out, m->id->p, m->id->len);
    else
        buf_json(out, projection_event_id(p, m->seq, computed) ? computed : NULL);
    member(out, "seq");
    buf_int(out, m->seq);
    put_text(out, "ts", m->ts);
    put_name(out, "type", m->type);
    if (m->subject_id) {
        member(out, "subject");
        buf_char(out, '{');
        put_name(out, "kind", m->subject_kind);
        put_text(out, "id", m->subject_id);
        buf_char(out, '}');
    }
}

static void
write_contribution(const struct projection *p, const void *item, struct buf *out)
{
    const struct contribution *c = item;

    (void)p;
    put_name(out, "participantId", c->participant);
    put_text(out, "action", c->action);
    put_optional(out, "confidence", c->confidence);
    put_json(out, "reasons", c->reasons_json);
    put_text(out, "ts", c->ts);
    put_string(out, "vote", vote_text(c->vote));
    put_name(out, "messageType", c->message_type);
}

static void
write_evaluation(const struct projection *p, const void *item, struct buf *out)
{
    const struct evaluation *e = item;

    (void)p;
    put_text(out, "commitmentId", e->commitment_id);
    put_string(out, "decision", vote_text(e->decision));
    put_json(out, "reasons", e->reasons_json);
    put_text(out, "ts", e->ts);
}

static void
write_signal(const struct projection *p, const void *item, struct buf *out)
{
    const struct signal_entry *s = item;

    (void)p;
    member(out, "id");
    buf_json(out, s->id ? s->id->p : NULL);
    put_name(out, "name", s->name);
    put_json(out, "severity", s->severity_json);
    put_json(out, "sourceParticipantId", s->source_json);
    put_text(out, "ts", s->ts);
    put_optional(out, "confidence", s->confidence);
    put_json(out, "payload", s->payload_json);
    put_text(out, "acknowledgedAt", s->acknowledged_at);
    put_json(out, "acknowledgedBy", s->acknowledged_by_json);
}

static void
write_progress_entry(const struct projection *p, const void *item, struct buf *out)
{
    const struct progress_entry *e = item;

    (void)p;
    put_name(out, "participantId", e->participant);
    put_optional(out, "percentage", e->percentage);
    put_text(out, "message", e->message);
    put_text(out, "ts", e->ts);
}

static void
write_call(const struct projection *p, const void *item, struct buf *out)
{
    const struct llm_call *c = item;

    (void)p;
    put_name(out, "participantId", c->participant);
    put_json(out, "model", c->model_json);
    put_number(out, "promptTokens", c->prompt_tokens);
    put_number(out, "completionTokens", c->completion_tokens);
    put_number(out, "totalTokens", c->total_tokens);
    put_optional(out, "latencyMs", c->latency_ms);
    put_text(out, "ts", c->ts);
    put_json(out, "messageId", c->message_id_json);
    put_json(out, "artifactId", c->artifact_id_json);
    put_optional(out, "estimatedCostUsd", c->cost_usd);
}

static void
put_ring(const struct projection *p, enum ring_kind kind, const char *key, struct buf *out)
{
    static void (*const writers[RING__COUNT])(const struct projection *, const void *,
                                              struct buf *) = {
        [RING_TIMELINE] = write_moment,         [RING_CONTRIBUTIONS] = write_contribution,
        [RING_EVALUATIONS] = write_evaluation,  [RING_SIGNALS] = write_signal,
        [RING_PROGRESS] = write_progress_entry, [RING_CALLS] = write_call,
    };

    member(out, key);
    buf_char(out, '[');
    for (uint32_t i = 0; i < p->rings[kind].n; i++) {
        element(out);
        buf_char(out, '{');
        writers[kind](p, ring_at(p, kind, i), out);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

/* --- sections ---------------------------------------------------------------------------- */

static void
write_run(const struct projection *p, struct buf *out)
{
    static const char *const members[RUN_FIELD__COUNT] = {
#define X(id, name) [id] = name,
        RUN_FIELD_LIST(X)
#undef X
    };

    buf_char(out, '{');
    put_text(out, "runId", p->run_id);
    for (unsigned i = 0; i < RUN_FIELD__COUNT; i++)
        put_json(out, members[i], p->run_json[i]);
    buf_char(out, '}');
}

static void
write_participants(const struct projection *p, struct buf *out)
{
    buf_char(out, '[');
    for (uint32_t i = 0; i < p->n_participants; i++) {
        const struct participant *who = &p->participants[i];

        element(out);
        buf_char(out, '{');
        put_name(out, "participantId", who->id);
        put_name(out, "role", who->role);
        put_string(out, "status", node_status_names[who->status]);
        put_text(out, "latestActivityAt", who->latest_activity);
        put_name(out, "latestSummary", who->latest_summary);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void
write_graph(const struct projection *p, struct buf *out)
{
    buf_lit(out, "{\"nodes\":[");
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct node *node = &p->nodes[i];

        element(out);
        buf_char(out, '{');
        put_name(out, "id", node->id);
        put_name(out, "kind", node->kind);
        put_string(out, "status", node_status_names[node->status]);
        buf_char(out, '}');
    }
    buf_lit(out, "],\"edges\":[");
    for (uint32_t i = 0; i < p->edges.n; i++) {
        const struct edge *edge = &p->edges.items[p->edges.start + i];

        element(out);
        buf_char(out, '{');
        put_name(out, "from", edge->from);
        put_name(out, "to", edge->to);
        put_name(out, "kind", edge->kind);
        put_text(out, "ts", edge->ts);
        buf_char(out, '}');
    }
    buf_lit(out, "]}");
}

static void
write_decision(const struct projection *p, struct buf *out)
{
    const struct decision *d = &p->decision;

    buf_char(out, '{');
    if (d->present) {
        member(out, "current");
        buf_char(out, '{');
        put_text(out, "action", d->action);
        put_optional(out, "confidence", d->confidence);
        put_json(out, "reasons", d->reasons_json);
        put_bool(out, "finalized", d->finalized);
        put_text(out, "proposalId", d->proposal_id);
        put_outcome(out, "outcomePositive", d->outcome);
        put_text(out, "prompt", d->prompt);
        if (d->has_proposals)
            put_ring(p, RING_CONTRIBUTIONS, "proposals", out);
        put_text(out, "resolvedAt", d->resolved_at);
        put_json(out, "resolvedBy", d->resolved_by_json);
        put_json(out, "supersedes", d->supersedes_json);
        buf_char(out, '}');
    }
    buf_char(out, '}');
}

static void
write_signals(const struct projection *p, struct buf *out)
{
    buf_char(out, '{');
    put_ring(p, RING_SIGNALS, "signals", out);
    buf_char(out, '}');
}

static void
write_progress(const struct projection *p, struct buf *out)
{
    buf_char(out, '{');
    put_ring(p, RING_PROGRESS, "entries", out);
    buf_char(out, '}');
}

static void
write_timeline(const struct projection *p, struct buf *out)
{
    buf_lit(out, "{\"latestSeq\":");
    buf_int(out, p->latest_seq);
    put_number(out, "totalEvents", p->total_events);
    put_ring(p, RING_TIMELINE, "recent", out);
    buf_char(out, '}');
}

static void
write_trace(const struct projection *p, struct buf *out)
{
    buf_char(out, '{');
    put_text(out, "traceId", p->trace.trace_id);
    put_number(out, "spanCount", p->trace.span_count);
    put_text(out, "lastSpanId", p->trace.last_span_id);
    member(out, "linkedArtifacts");
    buf_char(out, '[');
    for (uint32_t i = 0; i < p->trace.n_artifacts; i++) {
        element(out);
        buf_json_n(out, p->trace.artifacts[i]->p, p->trace.artifacts[i]->len);
    }
    buf_lit(out, "]}");
}

static void
write_outbound(const struct projection *p, struct buf *out)
{
    buf_char(out, '{');
    put_number(out, "total", p->outbound_total);
    put_number(out, "queued", p->outbound_queued);
    put_number(out, "accepted", p->outbound_accepted);
    put_number(out, "rejected", p->outbound_rejected);
    buf_char(out, '}');
}

static void
write_tally(const struct tally *t, struct buf *out)
{
    buf_char(out, '{');
    put_name(out, "commitmentId", t->id);
    put_number(out, "allow", t->allow);
    put_number(out, "deny", t->deny);
    put_number(out, "threshold", t->threshold);
    member(out, "quorum");
    buf_char(out, '{');
    put_number(out, "required", t->required);
    put_number(out, "cast", t->cast);
    buf_lit(out, "},\"votes\":[");
    for (uint32_t i = 0; i < t->n; i++) {
        element(out);
        buf_char(out, '{');
        put_name(out, "participantId", t->ballots[i].participant);
        put_name(out, "messageType", t->ballots[i].message_type);
        put_string(out, "vote", vote_text(t->ballots[i].vote));
        buf_char(out, '}');
    }
    buf_lit(out, "]}");
}

static void
write_policy(const struct projection *p, struct buf *out)
{
    static const char *const quorums[QUORUM__COUNT] = {
        [QUORUM_PENDING] = "pending", [QUORUM_REACHED] = "reached", [QUORUM_FAILED] = "failed"};
    const struct policy *policy = &p->policy;

    buf_char(out, '{');
    put_string(out, "policyVersion", policy->version ? policy->version->p : "");
    put_text(out, "policyDescription", policy->description);
    put_text(out, "resolvedAt", policy->resolved_at);
    put_outcome(out, "outcomePositive", policy->outcome);
    put_ring(p, RING_EVALUATIONS, "commitmentEvaluations", out);
    put_json(out, "expectedCommitments", policy->expected_json);
    if (policy->n_tallies) {
        member(out, "voteTally");
        buf_char(out, '[');
        for (uint32_t i = 0; i < policy->n_tallies; i++) {
            element(out);
            write_tally(&policy->tallies[i], out);
        }
        buf_char(out, ']');
    }
    put_string(out, "quorumStatus", quorums[policy->quorum]);
    buf_char(out, '}');
}

static void
write_llm(const struct projection *p, struct buf *out)
{
    buf_char(out, '{');
    put_ring(p, RING_CALLS, "calls", out);
    member(out, "totals");
    buf_char(out, '{');
    put_number(out, "callCount", p->llm_call_count);
    put_number(out, "promptTokens", p->llm_prompt_tokens);
    put_number(out, "completionTokens", p->llm_completion_tokens);
    put_number(out, "totalTokens", p->llm_total_tokens);
    put_number(out, "estimatedCostUsd", p->llm_cost_usd);
    buf_lit(out, "}}");
}

static const struct section {
    const char *member;
    void (*write)(const struct projection *p, struct buf *out);
} sections[PROJECTION__COUNT] = {
    [PROJECTION_RUN] = {"run", write_run},
    [PROJECTION_PARTICIPANTS] = {"participants", write_participants},
    [PROJECTION_GRAPH] = {"graph", write_graph},
    [PROJECTION_DECISION] = {"decision", write_decision},
    [PROJECTION_SIGNALS] = {"signals", write_signals},
    [PROJECTION_PROGRESS] = {"progress", write_progress},
    [PROJECTION_TIMELINE] = {"timeline", write_timeline},
    [PROJECTION_TRACE] = {"trace", write_trace},
    [PROJECTION_OUTBOUND] = {"outboundMessages", write_outbound},
    [PROJECTION_POLICY] = {"policy", write_policy},
    [PROJECTION_LLM] = {"llm", write_llm},
};

void
projection_write_section(const struct projection *p, enum projection_section s, struct buf *out)
{
    sections[s].write(p, out);
}

void
projection_write(const struct projection *p, struct buf *out)
{
    buf_char(out, '{');
    for (unsigned i = 0; i < PROJECTION__COUNT; i++) {
        member(out, sections[i].member);
        sections[i].write(p, out);
    }
    buf_char(out, '}');
}
