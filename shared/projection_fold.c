/* The fold: what every event leaves behind, then the reducer of its type. */
#include "shared/projection_state.h"

#include <math.h>

#include "shared/json.h"
#include "shared/uuid.h"

/* --- parts that several reducers change --------------------------------------------------- */

void
projection_set_status(struct projection *p, const char *json)
{
    if (!text_is(p->run_json[RUN_FIELD_STATUS], json))
        projection_put_run(p, RUN_FIELD_STATUS, text_new(&p->names, view_of(json)));
}

bool
projection_status_is(const struct projection *p, const char *json)
{
    return text_is(p->run_json[RUN_FIELD_STATUS], json);
}

/* Copy a value as it is, unless it is missing. */
static void
copy_to_run(struct reduction *r, enum run_field field, const char *member)
{
    const json_t *v = jv_get(r->data, member);

    if (!jv_nullish(v))
        projection_put_run(r->p, field, text_new_json(&r->p->names, v));
}

static void
set_quorum_if_absent(struct projection *p, enum quorum quorum)
{
    if (p->policy.quorum == QUORUM_ABSENT)
        p->policy.quorum = quorum;
}

/* --- run --------------------------------------------------------------------------------- */

static void
note_prompt(struct reduction *r, const json_t *prompt)
{
    struct decision *d = &r->p->decision;

    if (!json_is_string(prompt))
        return;
    if (!d->present) {
        d->present = true;
        text_set(&r->p->names, &d->action, view_of(""));
    }
    text_set(&r->p->names, &d->prompt,
             (struct view){json_string_value(prompt), json_string_length(prompt)});
}

static void
reduce_run(struct reduction *r, bool ending)
{
    /* The status is what the data says, never what the type suggests. */
    if (ending || !r->p->terminal)
        copy_to_run(r, RUN_FIELD_STATUS, "status");
    copy_to_run(r, RUN_FIELD_SESSION, "runtimeSessionId");
    copy_to_run(r, RUN_FIELD_STARTED, "startedAt");
    copy_to_run(r, RUN_FIELD_ENDED, "endedAt");
    copy_to_run(r, RUN_FIELD_TRACE, "traceId");
    copy_to_run(r, RUN_FIELD_MODE, "modeName");
}

static void
reduce_run_created(struct reduction *r)
{
    reduce_run(r, false);
    note_prompt(r, jv_get(r->data, "decisionPrompt"));
}

static void
reduce_run_started(struct reduction *r)
{
    reduce_run(r, false);
}

static void
reduce_run_completed(struct reduction *r)
{
    reduce_run(r, true);
    graph_sweep(r->p, false);
}

/* Votes that were still open when the run broke off are settled by what was evaluated. */
static void
settle_quorum(struct projection *p)
{
    if (p->policy.quorum != QUORUM_PENDING)
        return;
    p->policy.quorum = QUORUM_FAILED;
    for (uint32_t i = 0; i < p->rings[RING_EVALUATIONS].n; i++) {
        const struct evaluation *e = ring_at(p, RING_EVALUATIONS, i);

        if (e->decision == VOTE_ALLOW)
            p->policy.quorum = QUORUM_REACHED;
    }
}

static void
reduce_run_failed(struct reduction *r)
{
    reduce_run(r, true);
    graph_sweep(r->p, true);
    settle_quorum(r->p);
}

static void
reduce_run_cancelled(struct reduction *r)
{
    reduce_run(r, true);
    graph_sweep(r->p, false);
    settle_quorum(r->p);
}

static void
reduce_pause(struct reduction *r)
{
    if (!r->p->terminal)
        copy_to_run(r, RUN_FIELD_STATUS, "status");
    copy_to_run(r, RUN_FIELD_SESSION, "runtimeSessionId");
    copy_to_run(r, RUN_FIELD_TRACE, "traceId");
}

/* --- session ----------------------------------------------------------------------------- */

static const struct session_end {
    const char *state, *status_json;
    bool failed;
} session_ends[] = {
    {"SESSION_STATE_RESOLVED", "\"completed\"", false},
    {"SESSION_STATE_EXPIRED", "\"failed\"", true},
    {"SESSION_STATE_CANCELLED", "\"cancelled\"", false},
};

static void
apply_session_state(struct reduction *r, const json_t *state, bool may_open)
{
    struct projection *p = r->p;

    for (size_t i = 0; i < ARRAY_LEN(session_ends); i++) {
        if (!value_is(state, session_ends[i].state))
            continue;
        if (!p->terminal)
            projection_set_status(p, session_ends[i].status_json);
        if (projection_status_is(p, session_ends[i].status_json))
            graph_sweep(p, session_ends[i].failed);
        return;
    }
    if (value_is(state, "SESSION_STATE_SUSPENDED") && !p->terminal)
        projection_set_status(p, "\"suspended\"");
    if (value_is(state, "SESSION_STATE_OPEN") && may_open &&
        (projection_status_is(p, "\"queued\"") || projection_status_is(p, "\"starting\"") ||
         projection_status_is(p, "\"binding_session\"") ||
         projection_status_is(p, "\"suspended\"")))
        projection_set_status(p, "\"running\"");
}

static void
note_extensions(struct reduction *r, const json_t *keys)
{
    AUTO_BUF json = {0};
    size_t n = json_array_size(keys);

    if (!json_is_array(keys))
        return;
    buf_char(&json, '[');
    for (size_t i = 0; i < n && i < ITEMS_MAX; i++) {
        if (i)
            buf_char(&json, ',');
        jv_write(&json, json_array_get(keys, i));
    }
    buf_char(&json, ']');
    projection_put_run(r->p, RUN_FIELD_EXTENSIONS,
                       text_new(&r->p->names, (struct view){json.p, json.len}));
}

static void
reduce_session(struct reduction *r)
{
    const json_t *context = jv_get(r->data, "contextId");

    copy_to_run(r, RUN_FIELD_SESSION, "sessionId");
    if (json_is_string(context))
        copy_to_run(r, RUN_FIELD_CONTEXT, "contextId");
    note_extensions(r, jv_get(r->data, "extensionKeys"));
}

static void
reduce_session_bound(struct reduction *r)
{
    const json_t *expected = jv_get(r->data, "expectedCommitments");
    const json_t *version = jv_get(r->data, "policyVersion");
    struct policy *policy = &r->p->policy;
    AUTO_BUF scratch = {0};

    reduce_session(r);
    if (json_is_array(expected)) {
        text_put(&r->p->names, &policy->expected_json, text_new_json(&r->p->names, expected));
        if (json_array_size(expected))
            set_quorum_if_absent(r->p, QUORUM_PENDING);
    }
    if ((!policy->version || !policy->version->len) && jv_truthy(version))
        text_set(&r->p->names, &policy->version, value_view(version, "", &scratch));
    if (projection_status_is(r->p, "\"queued\"") || projection_status_is(r->p, "\"starting\""))
        projection_set_status(r->p, "\"binding_session\"");
    apply_session_state(r, jv_get(r->data, "state"), false);
}

static void
reduce_session_state(struct reduction *r)
{
    reduce_session(r);
    apply_session_state(r, jv_get(r->data, "state"), true);
}

/* --- signals and progress ----------------------------------------------------------------- */

static void
reduce_signal(struct reduction *r)
{
    struct names *names = &r->p->names;
    AUTO_BUF scratch = {0};
    char computed[UUID_LEN];
    struct view id = r->e->subject_id ? view_of(r->e->subject_id) : reduction_id(r, computed);
    const json_t *type = jv_first_of(r->payload, "signalType");
    struct signal_entry *s = ring_push(r->p, RING_SIGNALS);

    if (!type)
        type = jv_first_of(r->data, "messageType");
    s->id = id.p ? text_new(names, id) : NULL;
    s->name = name_intern(names, value_view(type, "Signal", &scratch));
    s->severity_json = text_new_json(names, jv_get(r->payload, "severity"));
    s->source_json = text_new_json(names, jv_get(r->data, "sender"));
    s->ts = text_ref(r->ts);
    s->confidence = value_num(jv_get(r->payload, "confidence"));
    s->payload_json = text_new_json(names, r->payload);
}

static void
reduce_signal_acknowledged(struct reduction *r)
{
    AUTO_BUF scratch = {0};
    struct view target =
        reduction_str(r, jv_first_of(r->payload, "signalId", "signal_id"), &scratch);
    const json_t *sender = jv_get(r->data, "sender");

    for (uint32_t i = 0; target.n && i < r->p->rings[RING_SIGNALS].n; i++) {
        struct signal_entry *s = ring_at(r->p, RING_SIGNALS, i);

        if (!s->id || s->id->len != target.n || memcmp(s->id->p, target.p, target.n) != 0)
            continue;
        text_put(&r->p->names, &s->acknowledged_at, text_ref(r->ts));
        if (jv_truthy(sender))
            text_put(&r->p->names, &s->acknowledged_by_json, text_new_json(&r->p->names, sender));
        return; /* the first one of that id */
    }
}

/* In percent; a fraction counts where there is no percentage. */
static double
percentage_of(const json_t *payload)
{
    const json_t *percentage = jv_get(payload, "percentage");
    const json_t *fraction = jv_get(payload, "progress");
    double percent;

    if (!jv_nullish(percentage))
        return value_num(percentage);
    percent = jv_nullish(fraction) ? NAN : jv_num(fraction) * 100;
    return isfinite(percent) ? percent : NAN;
}

static void
reduce_progress(struct reduction *r)
{
    struct names *names = &r->p->names;
    AUTO_BUF from = {0}, said = {0};
    struct progress_entry *e = ring_push(r->p, RING_PROGRESS);

    e->participant = name_intern(names, value_view(jv_first_of(r->data, "sender"), "", &from));
    e->percentage = percentage_of(r->payload);
    e->message =
        text_new(names, value_view(jv_first_of(r->payload, "message", "status"), "", &said));
    e->ts = text_ref(r->ts);
}

static void
reduce_artifact(struct reduction *r)
{
    char computed[UUID_LEN];
    struct view id = r->e->subject_id ? view_of(r->e->subject_id) : reduction_id(r, computed);

    projection_link_artifact(r->p, id.p ? id : view_of("null"));
}

/* --- policy ------------------------------------------------------------------------------ */

static void
reduce_policy_resolved(struct reduction *r)
{
    struct names *names = &r->p->names;
    struct policy *policy = &r->p->policy;
    AUTO_BUF scratch = {0}, words = {0};
    const json_t *found = jv_first_of(r->payload, "policyVersion");
    struct view version =
        value_view(found ? found : jv_first_of(r->data, "policyVersion"), "", &scratch);
    struct view description = value_view(jv_first_of(r->payload, "description"), "", &words);

    if (version.n)
        text_set(names, &policy->version, version);
    if (description.n)
        text_set(names, &policy->description, description);
    text_put(names, &policy->resolved_at, text_ref(r->ts));
}

static void
reduce_policy_evaluated(struct reduction *r)
{
    struct names *names = &r->p->names;
    const json_t *decision = jv_get(r->payload, "decision");
    const json_t *reasons = jv_first_of(r->payload, "reasons");
    bool allows = value_is(decision, "allow");
    AUTO_BUF scratch = {0};
    struct evaluation *e;

    if (!allows && !value_is(decision, "deny"))
        return;
    e = ring_push(r->p, RING_EVALUATIONS);
    e->commitment_id =
        text_new(names, reduction_str(r, jv_first_of(r->payload, "commitmentId"), &scratch));
    e->decision = allows ? VOTE_ALLOW : VOTE_DENY;
    e->reasons_json = reasons ? text_new_json(names, reasons) : text_new(names, view_of("[]"));
    e->ts = text_ref(r->ts);
    if (allows)
        r->p->policy.quorum = QUORUM_REACHED;
}

/* --- llm calls --------------------------------------------------------------------------- */

static double
number_or(const json_t *v, double fallback)
{
    double n = value_num(v);

    return isnan(n) ? fallback : n;
}

static void
reduce_llm_call(struct reduction *r)
{
    struct projection *p = r->p;
    AUTO_BUF scratch = {0};
    struct llm_call *c;

    if (!jv_truthy(r->payload))
        return;
    c = ring_push(p, RING_CALLS);
    c->participant =
        name_intern(&p->names, value_view(jv_first_of(r->data, "sender"), "", &scratch));
    c->model_json = text_new_json(&p->names, jv_get(r->payload, "model"));
    c->prompt_tokens = number_or(jv_get(r->payload, "promptTokens"), 0);
    c->completion_tokens = number_or(jv_get(r->payload, "completionTokens"), 0);
    c->total_tokens =
        number_or(jv_get(r->payload, "totalTokens"), c->prompt_tokens + c->completion_tokens);
    c->latency_ms = value_num(jv_get(r->payload, "latencyMs"));
    c->ts = text_ref(r->ts);
    c->message_id_json = text_new_json(&p->names, jv_get(r->data, "messageId"));
    c->artifact_id_json = text_new_json(&p->names, jv_get(r->payload, "artifactId"));
    c->cost_usd = value_num(jv_get(r->payload, "estimatedCostUsd"));
    p->llm_call_count++;
    p->llm_prompt_tokens += c->prompt_tokens;
    p->llm_completion_tokens += c->completion_tokens;
    p->llm_total_tokens += c->total_tokens;
    p->llm_cost_usd += isnan(c->cost_usd) ? 0 : c->cost_usd;
}

/* --- the fold ---------------------------------------------------------------------------- */

static void
no_effect(struct reduction *r)
{
    (void)r; /* the timeline and the trace saw it */
}

const reducer_fn projection_reducers[EVENT__COUNT + 1] = {
    [EVENT_RUN_CREATED] = reduce_run_created,
    [EVENT_RUN_STARTED] = reduce_run_started,
    [EVENT_RUN_COMPLETED] = reduce_run_completed,
    [EVENT_RUN_FAILED] = reduce_run_failed,
    [EVENT_RUN_CANCELLED] = reduce_run_cancelled,
    [EVENT_RUN_SUSPENDED] = reduce_pause,
    [EVENT_RUN_RESUMED] = reduce_pause,
    [EVENT_SESSION_BOUND] = reduce_session_bound,
    [EVENT_SESSION_STREAM_OPENED] = no_effect,
    [EVENT_SESSION_STATE_CHANGED] = reduce_session_state,
    [EVENT_PARTICIPANT_SEEN] = reduce_participant_seen,
    [EVENT_MESSAGE_SENT] = reduce_message_sent,
    [EVENT_MESSAGE_RECEIVED] = reduce_message_received,
    [EVENT_MESSAGE_SEND_FAILED] = reduce_send_failed,
    [EVENT_SIGNAL_EMITTED] = reduce_signal,
    [EVENT_SIGNAL_ACKNOWLEDGED] = reduce_signal_acknowledged,
    [EVENT_PROPOSAL_CREATED] = reduce_proposal,
    [EVENT_PROPOSAL_UPDATED] = reduce_proposal,
    [EVENT_DECISION_PROPOSED] = no_effect,
    [EVENT_DECISION_FINALIZED] = reduce_decision,
    [EVENT_PROGRESS_REPORTED] = reduce_progress,
    [EVENT_TOOL_CALLED] = no_effect,
    [EVENT_TOOL_COMPLETED] = no_effect,
    [EVENT_ARTIFACT_CREATED] = reduce_artifact,
    [EVENT_POLICY_RESOLVED] = reduce_policy_resolved,
    [EVENT_POLICY_COMMITMENT_EVALUATED] = reduce_policy_evaluated,
    [EVENT_POLICY_DENIED] = no_effect,
    [EVENT_LLM_CALL_COMPLETED] = reduce_llm_call,
    [EVENT_UNKNOWN] = no_effect,
};

static void
note_timeline(struct reduction *r)
{
    struct names *names = &r->p->names;
    const struct event *e = r->e;
    struct moment *m;

    if (e->seq > r->p->latest_seq)
        r->p->latest_seq = e->seq;
    r->p->total_events++;
    m = ring_push(r->p, RING_TIMELINE);
    m->id = e->id ? text_new(names, view_of(e->id)) : NULL;
    m->seq = e->seq;
    m->ts = text_ref(r->ts);
    m->type = name_ref(r->type);
    if (e->subject_id) {
        m->subject_kind = name_intern(names, view_of(e->subject_kind));
        m->subject_id = text_new(names, view_of(e->subject_id));
    }
}

static void
note_trace(struct reduction *r)
{
    struct trace_state *trace = &r->p->trace;

    if (r->e->trace_id && *r->e->trace_id)
        text_set(&r->p->names, &trace->trace_id, view_of(r->e->trace_id));
    if (r->e->span_id && *r->e->span_id) {
        text_set(&r->p->names, &trace->last_span_id, view_of(r->e->span_id));
        trace->span_count++; /* per event, not per distinct span */
    }
}

void
projection_fold(struct projection *p, const struct event *e)
{
    const char *type = e->type_name ? e->type_name : event_type_name(e->type);
    struct reduction r = {
        .p = p,
        .e = e,
        .data = e->data,
        .payload = jv_get(e->data, "decodedPayload"),
        .ts = text_new(&p->names, view_of(e->ts)),
        .type = name_intern(&p->names, view_of(type)),
    };

    note_timeline(&r);
    note_trace(&r);
    projection_reducers[e->type < EVENT__COUNT ? e->type : EVENT_UNKNOWN](&r);
    text_unref(&p->names, r.ts);
    name_unref(&p->names, r.type);
}
