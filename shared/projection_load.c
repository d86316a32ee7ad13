/* The state from the JSON that projection_write made. */
#include "shared/projection_state.h"

#include <math.h>
#include <stdlib.h>

#include "shared/json.h"

/* Whole numbers up to here are exact in JSON. */
#define COUNT_MAX 9007199254740992.0

/*
 * A state is loaded member by member; the first value that does not fit is remembered and the
 * rest is read as if it were absent, so that only one place has to look for failure. Members
 * that the state does not know are left out.
 */
struct loader {
    struct projection *p;
    struct names *names;
    const char *section;
    bool failed;
    const char *failed_member;
};

static void
fail(struct loader *l, const char *member)
{
    if (!l->failed)
        l->failed_member = member;
    l->failed = true;
}

/* --- members ----------------------------------------------------------------------------- */

static bool
get_view(struct loader *l, const json_t *object, const char *key, struct view *out)
{
    const json_t *v = jv_get(object, key);

    if (jv_nullish(v))
        return false;
    if (!json_is_string(v)) {
        fail(l, key);
        return false;
    }
    *out = (struct view){json_string_value(v), json_string_length(v)};
    return true;
}

static struct text *
get_text(struct loader *l, const json_t *object, const char *key)
{
    struct view v;

    return get_view(l, object, key, &v) ? text_new(l->names, v) : NULL;
}

static struct name *
get_name(struct loader *l, const json_t *object, const char *key)
{
    struct view v;

    return get_view(l, object, key, &v) ? name_intern(l->names, v) : NULL;
}

static struct text *
need_text(struct loader *l, const json_t *object, const char *key)
{
    struct text *text = get_text(l, object, key);

    if (text)
        return text;
    fail(l, key);
    return text_new(l->names, view_of(""));
}

static struct name *
need_name(struct loader *l, const json_t *object, const char *key)
{
    struct name *name = get_name(l, object, key);

    if (name)
        return name;
    fail(l, key);
    return name_intern(l->names, view_of(""));
}

static struct text *
get_json(struct loader *l, const json_t *object, const char *key)
{
    return text_new_json(l->names, jv_get(object, key));
}

static double
get_number(struct loader *l, const json_t *object, const char *key)
{
    const json_t *v = jv_get(object, key);

    if (!jv_nullish(v) && !json_is_number(v))
        fail(l, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static double
get_count(struct loader *l, const json_t *object, const char *key)
{
    double n = get_number(l, object, key);

    if (fabs(n) <= COUNT_MAX)
        return n;
    fail(l, key);
    return 0;
}

/* A sum of doubles, written as null once it left their range. */
static double
get_sum(struct loader *l, const json_t *object, const char *key)
{
    double n = get_number(l, object, key);

    if (!jv_get(object, key))
        fail(l, key);
    return isnan(n) ? (double)INFINITY : n;
}

static bool
get_bool(struct loader *l, const json_t *object, const char *key)
{
    const json_t *v = jv_get(object, key);

    if (!json_is_boolean(v))
        fail(l, key);
    return json_is_true(v);
}

static const json_t *
need_array(struct loader *l, const json_t *object, const char *key)
{
    const json_t *v = jv_get(object, key);

    if (!json_is_array(v))
        fail(l, key);
    return v;
}

static const json_t *
need_object(struct loader *l, const json_t *object, const char *key)
{
    const json_t *v = jv_get(object, key);

    if (!json_is_object(v))
        fail(l, key);
    return v;
}

/* Index of a member's text in a list of words; n when absent; NULL words never match. */
static unsigned
get_word(struct loader *l, const json_t *object, const char *key, const char *const *words,
         unsigned n)
{
    struct view v;

    if (!get_view(l, object, key, &v))
        return n;
    for (unsigned i = 0; i < n; i++)
        if (words[i] && strcmp(words[i], v.p) == 0)
            return i;
    fail(l, key);
    return n;
}

static enum node_status
need_status(struct loader *l, const json_t *object)
{
    unsigned i = get_word(l, object, "status", node_status_names, NODE_STATUS__COUNT);

    if (i < NODE_STATUS__COUNT)
        return (enum node_status)i;
    fail(l, "status");
    return NODE_IDLE;
}

static enum vote
get_vote(struct loader *l, const json_t *object, const char *key)
{
    static const char *const words[VOTE__COUNT] = {[VOTE_ALLOW] = "allow", [VOTE_DENY] = "deny"};
    unsigned i = get_word(l, object, key, words, VOTE__COUNT);

    return i < VOTE__COUNT ? (enum vote)i : VOTE_NONE;
}

static enum vote
need_vote(struct loader *l, const json_t *object, const char *key)
{
    enum vote vote = get_vote(l, object, key);

    if (vote != VOTE_NONE)
        return vote;
    fail(l, key);
    return VOTE_DENY;
}

static enum outcome
get_outcome(struct loader *l, const json_t *object)
{
    const json_t *v = jv_get(object, "outcomePositive");

    if (!v)
        return OUTCOME_ABSENT;
    if (json_is_null(v))
        return OUTCOME_NULL;
    return get_bool(l, object, "outcomePositive") ? OUTCOME_TRUE : OUTCOME_FALSE;
}

/* --- items of lists ----------------------------------------------------------------------- */

static void
load_moment(struct loader *l, const json_t *v, void *item)
{
    const json_t *subject = jv_get(v, "subject");
    struct moment *m = item;

    m->id = get_text(l, v, "id");
    m->seq = (int64_t)get_count(l, v, "seq");
    m->ts = need_text(l, v, "ts");
    m->type = need_name(l, v, "type");
    if (!jv_nullish(subject)) {
        m->subject_kind = need_name(l, subject, "kind");
        m->subject_id = need_text(l, subject, "id");
    }
}

static void
load_contribution(struct loader *l, const json_t *v, void *item)
{
    struct contribution *c = item;

    c->participant = need_name(l, v, "participantId");
    c->action = need_text(l, v, "action");
    c->confidence = get_number(l, v, "confidence");
    c->reasons_json = get_json(l, v, "reasons");
    c->ts = need_text(l, v, "ts");
    c->vote = get_vote(l, v, "vote");
    c->message_type = get_name(l, v, "messageType");
}

static void
load_evaluation(struct loader *l, const json_t *v, void *item)
{
    struct evaluation *e = item;

    e->commitment_id = need_text(l, v, "commitmentId");
    e->decision = need_vote(l, v, "decision");
    e->reasons_json = get_json(l, v, "reasons");
    e->ts = need_text(l, v, "ts");
}

static void
load_signal(struct loader *l, const json_t *v, void *item)
{
    struct signal_entry *s = item;

    s->id = get_text(l, v, "id");
    s->name = need_name(l, v, "name");
    s->severity_json = get_json(l, v, "severity");
    s->source_json = get_json(l, v, "sourceParticipantId");
    s->ts = need_text(l, v, "ts");
    s->confidence = get_number(l, v, "confidence");
    s->payload_json = get_json(l, v, "payload");
    s->acknowledged_at = get_text(l, v, "acknowledgedAt");
    s->acknowledged_by_json = get_json(l, v, "acknowledgedBy");
}

static void
load_progress_entry(struct loader *l, const json_t *v, void *item)
{
    struct progress_entry *e = item;

    e->participant = need_name(l, v, "participantId");
    e->percentage = get_number(l, v, "percentage");
    e->message = need_text(l, v, "message");
    e->ts = need_text(l, v, "ts");
}

static void
load_call(struct loader *l, const json_t *v, void *item)
{
    struct llm_call *c = item;

    c->participant = need_name(l, v, "participantId");
    c->model_json = get_json(l, v, "model");
    c->prompt_tokens = get_sum(l, v, "promptTokens");
    c->completion_tokens = get_sum(l, v, "completionTokens");
    c->total_tokens = get_sum(l, v, "totalTokens");
    c->latency_ms = get_number(l, v, "latencyMs");
    c->ts = need_text(l, v, "ts");
    c->message_id_json = get_json(l, v, "messageId");
    c->artifact_id_json = get_json(l, v, "artifactId");
    c->cost_usd = get_number(l, v, "estimatedCostUsd");
}

static void
load_ring(struct loader *l, enum ring_kind kind, const json_t *array)
{
    static void (*const loaders[RING__COUNT])(struct loader *, const json_t *, void *) = {
        [RING_TIMELINE] = load_moment,         [RING_CONTRIBUTIONS] = load_contribution,
        [RING_EVALUATIONS] = load_evaluation,  [RING_SIGNALS] = load_signal,
        [RING_PROGRESS] = load_progress_entry, [RING_CALLS] = load_call,
    };

    for (size_t i = 0; i < json_array_size(array); i++)
        loaders[kind](l, json_array_get(array, i), ring_push(l->p, kind));
}

/* --- sections ---------------------------------------------------------------------------- */

static void
load_run(struct loader *l, const json_t *v)
{
    static const char *const members[RUN_FIELD__COUNT] = {
#define X(id, name) [id] = name,
        RUN_FIELD_LIST(X)
#undef X
    };

    for (unsigned i = 0; i < RUN_FIELD__COUNT; i++)
        projection_put_run(l->p, (enum run_field)i, get_json(l, v, members[i]));
    if (!l->p->run_json[RUN_FIELD_STATUS])
        fail(l, "status");
}

static void
load_participants(struct loader *l, const json_t *v)
{
    if (!json_is_array(v))
        fail(l, "list");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        struct participant who = {
            .id = need_name(l, item, "participantId"),
            .role = get_name(l, item, "role"),
            .status = need_status(l, item),
            .latest_activity = get_text(l, item, "latestActivityAt"),
            .latest_summary = get_name(l, item, "latestSummary"),
        };

        graph_load_participant(l->p, &who);
    }
}

static void
load_edge(struct loader *l, const json_t *item)
{
    struct name *from = need_name(l, item, "from"), *to = need_name(l, item, "to");
    struct name *kind = need_name(l, item, "kind");
    struct text *ts = need_text(l, item, "ts");

    graph_add_edge(l->p, from, to, kind, ts);
    name_unref(l->names, from);
    name_unref(l->names, to);
    name_unref(l->names, kind);
    text_unref(l->names, ts);
}

static void
load_graph(struct loader *l, const json_t *v)
{
    const json_t *nodes = need_array(l, v, "nodes"), *edges = need_array(l, v, "edges");

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *item = json_array_get(nodes, i);
        struct node node = {
            .id = need_name(l, item, "id"),
            .kind = need_name(l, item, "kind"),
            .status = need_status(l, item),
        };

        graph_load_node(l->p, &node);
    }
    for (size_t i = 0; i < json_array_size(edges); i++)
        load_edge(l, json_array_get(edges, i));
    graph_trim_edges(l->p, EDGES_AFTER_RECEIVED_MAX);
}

static void
load_decision(struct loader *l, const json_t *v)
{
    const json_t *current = jv_get(v, "current"), *proposals = jv_get(current, "proposals");
    struct decision *d = &l->p->decision;

    if (jv_nullish(current))
        return;
    d->present = true;
    d->action = get_text(l, current, "action");
    d->confidence = get_number(l, current, "confidence");
    d->reasons_json = get_json(l, current, "reasons");
    d->finalized = get_bool(l, current, "finalized");
    d->proposal_id = get_text(l, current, "proposalId");
    d->outcome = get_outcome(l, current);
    d->prompt = get_text(l, current, "prompt");
    d->has_proposals = json_is_array(proposals);
    load_ring(l, RING_CONTRIBUTIONS, proposals);
    d->resolved_at = get_text(l, current, "resolvedAt");
    d->resolved_by_json = get_json(l, current, "resolvedBy");
    d->supersedes_json = get_json(l, current, "supersedes");
}

static void
load_signals(struct loader *l, const json_t *v)
{
    load_ring(l, RING_SIGNALS, need_array(l, v, "signals"));
}

static void
load_progress(struct loader *l, const json_t *v)
{
    load_ring(l, RING_PROGRESS, need_array(l, v, "entries"));
}

static void
load_timeline(struct loader *l, const json_t *v)
{
    l->p->latest_seq = (int64_t)get_count(l, v, "latestSeq");
    l->p->total_events = get_count(l, v, "totalEvents");
    load_ring(l, RING_TIMELINE, need_array(l, v, "recent"));
}

static void
load_trace(struct loader *l, const json_t *v)
{
    const json_t *artifacts = need_array(l, v, "linkedArtifacts");

    l->p->trace.trace_id = get_text(l, v, "traceId");
    l->p->trace.last_span_id = get_text(l, v, "lastSpanId");
    l->p->trace.span_count = get_count(l, v, "spanCount");
    for (size_t i = 0; i < json_array_size(artifacts); i++) {
        const json_t *item = json_array_get(artifacts, i);

        if (json_is_string(item))
            projection_link_artifact(
                l->p, (struct view){json_string_value(item), json_string_length(item)});
        else
            fail(l, "linkedArtifacts");
    }
}

static void
load_outbound(struct loader *l, const json_t *v)
{
    l->p->outbound_total = get_count(l, v, "total");
    l->p->outbound_queued = get_count(l, v, "queued");
    l->p->outbound_accepted = get_count(l, v, "accepted");
    l->p->outbound_rejected = get_count(l, v, "rejected");
}

static void
load_tally(struct loader *l, const json_t *item)
{
    const json_t *quorum = need_object(l, item, "quorum"), *votes = need_array(l, item, "votes");
    struct name *id = need_name(l, item, "commitmentId");
    struct tally *t = tally_of(l->p, id);

    name_unref(l->names, id);
    if (!t || t->n) { /* more than there may be, or one proposal twice */
        fail(l, "voteTally");
        return;
    }
    t->allow = get_count(l, item, "allow");
    t->deny = get_count(l, item, "deny");
    t->threshold = get_count(l, item, "threshold");
    t->required = get_count(l, quorum, "required");
    t->cast = get_count(l, quorum, "cast");
    for (size_t i = 0; i < json_array_size(votes); i++) {
        const json_t *vote = json_array_get(votes, i);
        struct name *who = need_name(l, vote, "participantId");
        struct name *type = need_name(l, vote, "messageType");

        tally_load_ballot(l->p, t, who, type, need_vote(l, vote, "vote"));
        name_unref(l->names, who);
        name_unref(l->names, type);
    }
}

static void
load_policy(struct loader *l, const json_t *v)
{
    static const char *const quorums[QUORUM__COUNT] = {
        [QUORUM_PENDING] = "pending", [QUORUM_REACHED] = "reached", [QUORUM_FAILED] = "failed"};
    const json_t *tallies = jv_get(v, "voteTally");
    struct policy *policy = &l->p->policy;
    unsigned quorum = get_word(l, v, "quorumStatus", quorums, QUORUM__COUNT);

    policy->version = get_text(l, v, "policyVersion");
    policy->description = get_text(l, v, "policyDescription");
    policy->resolved_at = get_text(l, v, "resolvedAt");
    policy->outcome = get_outcome(l, v);
    policy->expected_json = get_json(l, v, "expectedCommitments");
    policy->quorum = quorum < QUORUM__COUNT ? (enum quorum)quorum : QUORUM_ABSENT;
    load_ring(l, RING_EVALUATIONS, need_array(l, v, "commitmentEvaluations"));
    for (size_t i = 0; i < json_array_size(tallies); i++)
        load_tally(l, json_array_get(tallies, i));
}

static void
load_llm(struct loader *l, const json_t *v)
{
    const json_t *totals = need_object(l, v, "totals");

    load_ring(l, RING_CALLS, need_array(l, v, "calls"));
    l->p->llm_call_count = get_count(l, totals, "callCount");
    l->p->llm_prompt_tokens = get_sum(l, totals, "promptTokens");
    l->p->llm_completion_tokens = get_sum(l, totals, "completionTokens");
    l->p->llm_total_tokens = get_sum(l, totals, "totalTokens");
    l->p->llm_cost_usd = get_sum(l, totals, "estimatedCostUsd");
}

static const struct section {
    const char *member;
    void (*load)(struct loader *l, const json_t *v);
} sections[PROJECTION__COUNT] = {
    [PROJECTION_RUN] = {"run", load_run},
    [PROJECTION_PARTICIPANTS] = {"participants", load_participants},
    [PROJECTION_GRAPH] = {"graph", load_graph},
    [PROJECTION_DECISION] = {"decision", load_decision},
    [PROJECTION_SIGNALS] = {"signals", load_signals},
    [PROJECTION_PROGRESS] = {"progress", load_progress},
    [PROJECTION_TIMELINE] = {"timeline", load_timeline},
    [PROJECTION_TRACE] = {"trace", load_trace},
    [PROJECTION_OUTBOUND] = {"outboundMessages", load_outbound},
    [PROJECTION_POLICY] = {"policy", load_policy},
    [PROJECTION_LLM] = {"llm", load_llm},
};

/* --- documents --------------------------------------------------------------------------- */

static bool
load_values(const json_t *const values[PROJECTION__COUNT], struct projection **out, struct err *err)
{
    const char *run_id = jv_cstr(jv_get(values[PROJECTION_RUN], "runId"));
    struct loader l = {0};

    if (!run_id)
        return err_set(err, ERR_INTERNAL, "stored projection has no run.runId");
    l.p = projection_alloc(view_of(run_id));
    l.names = &l.p->names;
    for (unsigned i = 0; i < PROJECTION__COUNT && !l.failed; i++) {
        l.section = sections[i].member;
        sections[i].load(&l, values[i]);
    }
    if (l.failed) {
        projection_free(l.p);
        return err_set(err, ERR_INTERNAL, "stored projection of run %s: bad %s.%s", run_id,
                       l.section, l.failed_member);
    }
    *out = l.p;
    return true;
}

bool
projection_load(const json_t *document, struct projection **out, struct err *err)
{
    const json_t *values[PROJECTION__COUNT];

    for (unsigned i = 0; i < PROJECTION__COUNT; i++)
        values[i] = jv_get(document, sections[i].member);
    return load_values(values, out, err);
}

/*
 * Text that projection_write_section made, so it needs no cleaning. The depth limit of foreign
 * text does not apply: a section holds payloads of that depth some levels down.
 */
static json_t *
parse_stored(const char *text)
{
    return text ? json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL) : NULL;
}

bool
projection_load_sections(const char *const texts[PROJECTION__COUNT], int64_t version,
                         struct projection **out, struct err *err)
{
    json_t *values[PROJECTION__COUNT] = {0};
    struct projection *p = NULL;
    bool ok = true;

    for (unsigned i = 0; i < PROJECTION__COUNT && ok; i++) {
        values[i] = parse_stored(texts[i]);
        if (!values[i])
            ok = err_set(err, ERR_INTERNAL, "stored projection: %s is no JSON", sections[i].member);
    }
    ok = ok && load_values((const json_t *const *)values, &p, err);
    for (unsigned i = 0; i < PROJECTION__COUNT; i++)
        json_decref(values[i]);
    if (ok && projection_latest_seq(p) != version)
        ok = err_set(err, ERR_INTERNAL, "stored projection: as of event %lld, not %lld",
                     (long long)projection_latest_seq(p), (long long)version);
    if (ok)
        *out = p;
    else
        projection_free(p);
    return ok;
}
