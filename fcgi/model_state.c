/* model_state.c - The state of a run and its events. */
#include "fcgi/example.h"
#include "fcgi/model.h"

// clang-format off
static const char *const run_statuses[] = {"queued", "starting", "binding_session", "running", "suspended", "completed", "failed", "cancelled", NULL};
static const char *const node_statuses[] = {"idle", "active", "waiting", "completed", "failed", "skipped", NULL};
static const char *const votes[] = {"allow", "deny", NULL};
static const char *const quorums[] = {"pending", "reached", "failed", NULL};

static const struct model_member state_run_members[] = {
    {"runId",            MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"status",           MODEL_ONE_OF, 0, NULL, run_statuses, "\"completed\""},
    {"runtimeSessionId", MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, EXAMPLE_RUN},
    {"startedAt",        MODEL_TIME, MODEL_OPTIONAL},
    {"endedAt",          MODEL_TIME, MODEL_OPTIONAL},
    {"traceId",          MODEL_TEXT, MODEL_OPTIONAL},
    {"modeName",         MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"macp.mode.decision.v1\""},
    {"contextId",        MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"ctx-demo\""},
    {"extensionKeys",    MODEL_TEXTS, MODEL_OPTIONAL, NULL, NULL, "[\"demo.origin\"]"},
    {0},
};
static const struct model model_state_run = {
    "StateRun", "What the events say about the run itself", NULL, state_run_members};

static const struct model_member participant_members[] = {
    {"participantId",    MODEL_TEXT, 0, NULL, NULL, "\"agent://planner\""},
    {"role",             MODEL_TEXT, MODEL_OPTIONAL},
    {"status",           MODEL_ONE_OF, 0, NULL, node_statuses, "\"completed\""},
    {"latestActivityAt", MODEL_TIME, MODEL_OPTIONAL},
    {"latestSummary",    MODEL_TEXT, MODEL_OPTIONAL},
    {0},
};
static const struct model model_participant = {
    "Participant", "Somebody who takes part", NULL, participant_members};

static const struct model_member node_members[] = {
    {"id",     MODEL_TEXT, 0, NULL, NULL, "\"agent://planner\""},
    {"kind",   MODEL_TEXT, 0, NULL, NULL, "\"participant\""},
    {"status", MODEL_ONE_OF, 0, NULL, node_statuses, "\"completed\""},
    {0},
};
static const struct model model_node = {
    "Node", "A node of the graph", NULL, node_members};

static const struct model_member edge_members[] = {
    {"from", MODEL_TEXT, 0, NULL, NULL, "\"agent://planner\""},
    {"to",   MODEL_TEXT, 0, NULL, NULL, "\"__proposal\""},
    {"kind", MODEL_TEXT, 0, NULL, NULL, "\"proposal\""},
    {"ts",   MODEL_TIME},
    {0},
};
static const struct model model_edge = {
    "Edge", "Something that went from one node to another", NULL, edge_members};

static const struct model_member graph_members[] = {
    {"nodes", MODEL_LIST, 0, &model_node},
    {"edges", MODEL_LIST, 0, &model_edge},
    {0},
};
static const struct model model_graph = {
    "Graph", "Who gave what to whom", NULL, graph_members};

static const struct model_member contribution_members[] = {
    {"participantId", MODEL_TEXT, 0, NULL, NULL, "\"agent://reviewer\""},
    {"action",        MODEL_TEXT, 0, NULL, NULL, "\"approve\""},
    {"confidence",    MODEL_NUMBER, MODEL_OPTIONAL},
    {"reasons",       MODEL_TEXTS, 0, NULL, NULL, "[\"clean history\"]"},
    {"ts",            MODEL_TIME},
    {"vote",          MODEL_ONE_OF, MODEL_OPTIONAL, NULL, votes, "\"allow\""},
    {"messageType",   MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"Evaluation\""},
    {0},
};
static const struct model model_contribution = {
    "Contribution", "What one participant said about the decision", NULL, contribution_members};

static const struct model_member superseded_members[] = {
    {"sessionId",      MODEL_TEXT},
    {"commitmentHash", MODEL_TEXT},
    {0},
};
static const struct model model_superseded = {
    "Superseded", "A decision of another session that this one replaces", NULL, superseded_members};

static const struct model_member current_members[] = {
    {"action",          MODEL_TEXT, 0, NULL, NULL, "\"approve\""},
    {"confidence",      MODEL_NUMBER, MODEL_OPTIONAL},
    {"reasons",         MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"finalized",       MODEL_BOOL},
    {"proposalId",      MODEL_TEXT, 0, NULL, NULL, "\"p1\""},
    {"outcomePositive", MODEL_BOOL, MODEL_NULLABLE | MODEL_OPTIONAL},
    {"prompt",          MODEL_TEXT, MODEL_OPTIONAL},
    {"proposals",       MODEL_LIST, MODEL_OPTIONAL, &model_contribution},
    {"resolvedAt",      MODEL_TIME, MODEL_OPTIONAL},
    {"resolvedBy",      MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"agent://planner\""},
    {"supersedes",      MODEL_OBJECT, MODEL_OPTIONAL, &model_superseded},
    {0},
};
static const struct model model_current = {
    "Current", "The decision as it stands", NULL, current_members};

static const struct model_member decision_members[] = {
    {"current", MODEL_OBJECT, MODEL_OPTIONAL, &model_current},
    {0},
};
static const struct model model_decision = {
    "Decision", "Empty until there is something to decide", NULL, decision_members};

static const struct model_member signal_members[] = {
    {"id",                  MODEL_TEXT, 0, NULL, NULL, "\"b3c1d6a8-8f0e-4a51-9d7a-51d3c0a6a111\""},
    {"name",                MODEL_TEXT, 0, NULL, NULL, "\"session.context\""},
    {"severity",            MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "\"info\""},
    {"sourceParticipantId", MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "\"agent://planner\""},
    {"ts",                  MODEL_TIME},
    {"confidence",          MODEL_NUMBER, MODEL_OPTIONAL},
    {"payload",             MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "{\"signalType\":\"session.context\"}"},
    {"acknowledgedAt",      MODEL_TIME, MODEL_OPTIONAL},
    {"acknowledgedBy",      MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "\"agent://reviewer\""},
    {0},
};
static const struct model model_signal = {
    "Signal", "A signal that a participant gave", NULL, signal_members};

static const struct model_member signals_members[] = {
    {"signals", MODEL_LIST, 0, &model_signal},
    {0},
};
static const struct model model_signals = {
    "Signals", "The latest signals", NULL, signals_members};

static const struct model_member progress_entry_members[] = {
    {"participantId", MODEL_TEXT, 0, NULL, NULL, "\"agent://reviewer\""},
    {"percentage",    MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "75"},
    {"message",       MODEL_TEXT, 0, NULL, NULL, "\"voting\""},
    {"ts",            MODEL_TIME},
    {0},
};
static const struct model model_progress_entry = {
    "ProgressEntry", "How far a participant was", NULL, progress_entry_members};

static const struct model_member progress_members[] = {
    {"entries", MODEL_LIST, 0, &model_progress_entry},
    {0},
};
static const struct model model_progress = {
    "Progress", "The latest reports", NULL, progress_members};

static const struct model_member subject_members[] = {
    {"kind", MODEL_TEXT, 0, NULL, NULL, "\"run\""},
    {"id",   MODEL_TEXT, 0, NULL, NULL, EXAMPLE_RUN},
    {0},
};
static const struct model model_subject = {
    "Subject", "What an event is about", NULL, subject_members};

static const struct model_member moment_members[] = {
    {"id",      MODEL_UUID, MODEL_NULLABLE},
    {"seq",     MODEL_INT, 0, NULL, NULL, "1"},
    {"ts",      MODEL_TIME},
    {"type",    MODEL_TEXT, 0, NULL, NULL, "\"run.created\""},
    {"subject", MODEL_OBJECT, MODEL_OPTIONAL, &model_subject},
    {0},
};
static const struct model model_moment = {
    "Moment", "A recent event, briefly", NULL, moment_members};

static const struct model_member timeline_members[] = {
    {"latestSeq",   MODEL_INT, 0, NULL, NULL, "42"},
    {"totalEvents", MODEL_INT, 0, NULL, NULL, "31"},
    {"recent",      MODEL_LIST, 0, &model_moment},
    {0},
};
static const struct model model_timeline = {
    "Timeline", "How far the state is", NULL, timeline_members};

static const struct model_member state_trace_members[] = {
    {"traceId",         MODEL_TEXT, MODEL_OPTIONAL},
    {"spanCount",       MODEL_INT, 0, NULL, NULL, "1"},
    {"lastSpanId",      MODEL_TEXT, MODEL_OPTIONAL},
    {"linkedArtifacts", MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {0},
};
const struct model model_state_trace = {
    "StateTrace", "What tracing knows", NULL, state_trace_members};

static const struct model_member outbound_members[] = {
    {"total",    MODEL_INT, 0, NULL, NULL, "0"},
    {"queued",   MODEL_INT, 0, NULL, NULL, "0"},
    {"accepted", MODEL_INT, 0, NULL, NULL, "0"},
    {"rejected", MODEL_INT, 0, NULL, NULL, "0"},
    {0},
};
static const struct model model_outbound = {
    "Outbound", "Messages sent for the run: none, the service only observes", NULL, outbound_members};

static const struct model_member evaluation_members[] = {
    {"commitmentId", MODEL_TEXT, 0, NULL, NULL, "\"c1\""},
    {"decision",     MODEL_ONE_OF, 0, NULL, votes, "\"allow\""},
    {"reasons",      MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"ts",           MODEL_TIME},
    {0},
};
static const struct model model_evaluation = {
    "Evaluation", "A policy's judgement on a commitment", NULL, evaluation_members};

static const struct model_member quorum_members[] = {
    {"required", MODEL_NUMBER, 0, NULL, NULL, "2"},
    {"cast",     MODEL_NUMBER, 0, NULL, NULL, "2"},
    {0},
};
static const struct model model_quorum = {
    "Quorum", "Votes needed and given", NULL, quorum_members};

static const struct model_member ballot_members[] = {
    {"participantId", MODEL_TEXT, 0, NULL, NULL, "\"agent://reviewer\""},
    {"messageType",   MODEL_TEXT, 0, NULL, NULL, "\"Vote\""},
    {"vote",          MODEL_ONE_OF, MODEL_OPTIONAL, NULL, votes, "\"allow\""},
    {0},
};
static const struct model model_ballot = {
    "Ballot", "One vote", NULL, ballot_members};

static const struct model_member tally_members[] = {
    {"commitmentId", MODEL_TEXT, 0, NULL, NULL, "\"p1\""},
    {"allow",        MODEL_NUMBER, 0, NULL, NULL, "2"},
    {"deny",         MODEL_NUMBER, 0, NULL, NULL, "0"},
    {"threshold",    MODEL_NUMBER, 0, NULL, NULL, "2"},
    {"quorum",       MODEL_OBJECT, 0, &model_quorum},
    {"votes",        MODEL_LIST, 0, &model_ballot},
    {0},
};
static const struct model model_tally = {
    "Tally", "The votes on one commitment", NULL, tally_members};

static const struct model_member state_policy_members[] = {
    {"policyVersion",         MODEL_TEXT, 0, NULL, NULL, "\"policy.default\""},
    {"policyDescription",     MODEL_TEXT, MODEL_OPTIONAL},
    {"resolvedAt",            MODEL_TIME, MODEL_OPTIONAL},
    {"outcomePositive",       MODEL_BOOL, MODEL_NULLABLE | MODEL_OPTIONAL},
    {"commitmentEvaluations", MODEL_LIST, 0, &model_evaluation},
    {"expectedCommitments",   MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "[]"},
    {"voteTally",             MODEL_LIST, MODEL_OPTIONAL, &model_tally},
    {"quorumStatus",          MODEL_ONE_OF, MODEL_OPTIONAL, NULL, quorums, "\"reached\""},
    {0},
};
static const struct model model_state_policy = {
    "StatePolicy", "What the policy says", NULL, state_policy_members};

static const struct model_member llm_call_members[] = {
    {"participantId",    MODEL_TEXT, 0, NULL, NULL, "\"agent://reviewer\""},
    {"model",            MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "\"gpt-4o-mini\""},
    {"promptTokens",     MODEL_NUMBER, 0, NULL, NULL, "180"},
    {"completionTokens", MODEL_NUMBER, 0, NULL, NULL, "64"},
    {"totalTokens",      MODEL_NUMBER, 0, NULL, NULL, "244"},
    {"latencyMs",        MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "890"},
    {"ts",               MODEL_TIME},
    {"messageId",        MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "\"m-7\""},
    {"artifactId",       MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "null"},
    {"estimatedCostUsd", MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "0.0004"},
    {0},
};
static const struct model model_llm_call = {
    "LlmCall", "One call of a language model", NULL, llm_call_members};

static const struct model_member llm_totals_members[] = {
    {"callCount",        MODEL_NUMBER, 0, NULL, NULL, "1"},
    {"promptTokens",     MODEL_NUMBER, 0, NULL, NULL, "180"},
    {"completionTokens", MODEL_NUMBER, 0, NULL, NULL, "64"},
    {"totalTokens",      MODEL_NUMBER, 0, NULL, NULL, "244"},
    {"estimatedCostUsd", MODEL_NUMBER, 0, NULL, NULL, "0.0004"},
    {0},
};
static const struct model model_llm_totals = {
    "LlmTotals", "All calls together", NULL, llm_totals_members};

static const struct model_member llm_members[] = {
    {"calls",  MODEL_LIST, 0, &model_llm_call},
    {"totals", MODEL_OBJECT, 0, &model_llm_totals},
    {0},
};
static const struct model model_llm = {
    "Llm", "Calls of language models", NULL, llm_members};

static const struct model_member state_members[] = {
    {"run",              MODEL_OBJECT, 0, &model_state_run},
    {"participants",     MODEL_LIST, 0, &model_participant},
    {"graph",            MODEL_OBJECT, 0, &model_graph},
    {"decision",         MODEL_OBJECT, 0, &model_decision},
    {"signals",          MODEL_OBJECT, 0, &model_signals},
    {"progress",         MODEL_OBJECT, 0, &model_progress},
    {"timeline",         MODEL_OBJECT, 0, &model_timeline},
    {"trace",            MODEL_OBJECT, 0, &model_state_trace},
    {"outboundMessages", MODEL_OBJECT, 0, &model_outbound},
    {"policy",           MODEL_OBJECT, 0, &model_state_policy},
    {"llm",              MODEL_OBJECT, 0, &model_llm},
    {0},
};
const struct model model_state = {
    "State", "Everything the events of a run say, folded", NULL, state_members};

static const struct model_member rebuilt_members[] = {
    {"rebuilt",   MODEL_BOOL},
    {"latestSeq", MODEL_INT, 0, NULL, NULL, "42"},
    {0},
};
const struct model model_rebuilt = {
    "Rebuilt", "A state that was folded and stored again", &model_state, rebuilt_members};

static const struct model_member event_source_members[] = {
    {"kind",    MODEL_TEXT, 0, NULL, NULL, "\"runtime\""},
    {"name",    MODEL_TEXT, 0, NULL, NULL, "\"rust-runtime\""},
    {"rawType", MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"Proposal\""},
    {0},
};
static const struct model model_event_source = {
    "EventSource", "Who tells of an event", NULL, event_source_members};

static const struct model_member event_trace_members[] = {
    {"traceId",      MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"4bf92f3577b34da6a3ce929d0e0e4736\""},
    {"spanId",       MODEL_TEXT, MODEL_OPTIONAL},
    {"parentSpanId", MODEL_TEXT, MODEL_OPTIONAL},
    {0},
};
static const struct model model_event_trace = {
    "EventTrace", "Where an event stands in a trace", NULL, event_trace_members};

static const struct model_member event_body_members[] = {
    {"id",            MODEL_UUID},
    {"runId",         MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"seq",           MODEL_INT, 0, NULL, NULL, "12"},
    {"ts",            MODEL_TIME},
    {"schemaVersion", MODEL_INT, 0, NULL, NULL, "3"},
    {"subject",       MODEL_OBJECT, MODEL_OPTIONAL, &model_subject},
    {"source",        MODEL_OBJECT, 0, &model_event_source},
    {"trace",         MODEL_OBJECT, MODEL_OPTIONAL, &model_event_trace},
    {"data",          MODEL_FREE, 0, NULL, NULL, "{\"sender\":\"agent://planner\",\"messageType\":\"Proposal\",\"decodedPayload\":{\"proposalId\":\"p1\",\"option\":\"approve\"}}"},
    {"sourceKind",    MODEL_TEXT, 0, NULL, NULL, "\"runtime\""},
    {"subjectKind",   MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"proposal\""},
    {"subjectId",     MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"p1\""},
    {"sourceName",    MODEL_TEXT, 0, NULL, NULL, "\"rust-runtime\""},
    {"rawType",       MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"Proposal\""},
    {"traceId",       MODEL_TEXT, MODEL_NULLABLE},
    {"spanId",        MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"parentSpanId",  MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"createdAt",     MODEL_TIME, MODEL_NULLABLE},
    {0},
};
static const struct model model_event_body = {
    "EventBody", "What every form of an event has", NULL, event_body_members};

static const struct model_member event_members[] = {
    {"type", MODEL_TEXT, 0, NULL, NULL, "\"proposal.created\""},
    {0},
};
const struct model model_event = {
    "Event", "A canonical event", &model_event_body, event_members};

static const struct model_member event_page_members[] = {
    {"data",       MODEL_LIST, 0, &model_event},
    {"total",      MODEL_INT, 0, NULL, NULL, "1"},
    {"limit",      MODEL_INT, 0, NULL, NULL, "200"},
    {"nextCursor", MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "12"},
    {0},
};
const struct model model_event_page = {
    "EventPage", "A page of events; nextCursor goes back as afterSeq, or as beforeSeq", NULL, event_page_members};

// clang-format on
