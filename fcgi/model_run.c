/* model_run.c - Runs and what is told about each. */
#include "fcgi/example.h"
#include "fcgi/model.h"

// clang-format off
static const char *const run_statuses[] = {"queued", "starting", "binding_session", "running", "suspended", "completed", "failed", "cancelled", NULL};
static const char *const run_modes[] = {"live", "sandbox", NULL};
static const char *const artifact_kinds[] = {"trace", "json", "report", "log", "bundle", NULL};
static const char *const replay_modes[] = {"instant", "timed", "step", NULL};
static const char *const raw_kinds[] = {"stream-envelope", "session-snapshot", "stream-status", "stream-inline-error", NULL};
static const char *const line_types[] = {"header", "canonical_event", "raw_event", "error", NULL};

static const struct model_member message_members[] = {
    {"message",    MODEL_ANY, 0, NULL, NULL, "\"run 3f2b7c1e-5d14-4b7e-9a53-0c1d2e3f4a51 not found\""},
    {"error",      MODEL_TEXT, 0, NULL, NULL, "\"Not Found\""},
    {"statusCode", MODEL_INT, 0, NULL, NULL, "404"},
    {0},
};
const struct model model_message = {
    "Refusal", "A request that was not understood or finds nothing; message is a list when fields are wrong", NULL, message_members};

static const struct model_member failure_detail_members[] = {
    {"grpcCode",  MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "5"},
    {"commandId", MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"17\""},
    {0},
};
static const struct model model_failure_detail = {
    "FailureDetail", "What a program may look at", NULL, failure_detail_members};

static const struct model_member failure_members[] = {
    {"statusCode", MODEL_INT, 0, NULL, NULL, "410"},
    {"errorCode",  MODEL_TEXT, 0, NULL, NULL, "\"ENDPOINT_REMOVED\""},
    {"message",    MODEL_TEXT, 0, NULL, NULL, "\"...\""},
    {"metadata",   MODEL_OBJECT, MODEL_OPTIONAL, &model_failure_detail},
    {0},
};
const struct model model_failure = {
    "Failure", "A refusal or failure with a code that programs can look at", NULL, failure_members};

static const struct model_member run_members[] = {
    {"id",               MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"status",           MODEL_ONE_OF, 0, NULL, run_statuses, "\"completed\""},
    {"mode",             MODEL_ONE_OF, 0, NULL, run_modes, "\"live\""},
    {"runtimeKind",      MODEL_TEXT, 0, NULL, NULL, "\"rust\""},
    {"runtimeVersion",   MODEL_TEXT, MODEL_NULLABLE},
    {"runtimeSessionId", MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, EXAMPLE_RUN},
    {"traceId",          MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"4bf92f3577b34da6a3ce929d0e0e4736\""},
    {"idempotencyKey",   MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"lastEventSeq",     MODEL_INT, 0, NULL, NULL, "42"},
    {"sourceKind",       MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"session-discovery\""},
    {"sourceRef",        MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"tags",             MODEL_TEXTS},
    {"metadata",         MODEL_FREE, 0, NULL, NULL, "{\"finalAction\":\"approve\",\"durationMs\":4200}"},
    {"errorCode",        MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"errorMessage",     MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"createdAt",        MODEL_TIME},
    {"startedAt",        MODEL_TIME, MODEL_NULLABLE},
    {"endedAt",          MODEL_TIME, MODEL_NULLABLE},
    {"updatedAt",        MODEL_TIME},
    {"archivedAt",       MODEL_TIME, MODEL_NULLABLE, NULL, NULL, "null"},
    {0},
};
const struct model model_run = {
    "Run", "A run: one observed session and what it was started with", NULL, run_members};

static const struct model_member run_page_members[] = {
    {"data",   MODEL_LIST, 0, &model_run},
    {"total",  MODEL_INT, 0, NULL, NULL, "1"},
    {"limit",  MODEL_INT, 0, NULL, NULL, "50"},
    {"offset", MODEL_INT, 0, NULL, NULL, "0"},
    {0},
};
const struct model model_run_page = {
    "RunPage", "A page of runs", NULL, run_page_members};

static const struct model_member run_created_members[] = {
    {"runId",     MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"sessionId", MODEL_TEXT, 0, NULL, NULL, EXAMPLE_RUN},
    {"status",    MODEL_ONE_OF, 0, NULL, run_statuses, "\"queued\""},
    {"traceId",   MODEL_TEXT, 0, NULL, NULL, "\"4bf92f3577b34da6a3ce929d0e0e4736\""},
    {0},
};
const struct model model_run_created = {
    "RunCreated", "What a posted run is called, and the session that an agent shall open", NULL, run_created_members};

static const struct model_member runtime_report_members[] = {
    {"reachable",      MODEL_BOOL},
    {"supportedModes", MODEL_TEXTS, 0, NULL, NULL, "[\"macp.mode.decision.v1\"]"},
    {"capabilities",   MODEL_FREE, MODEL_OPTIONAL, NULL, NULL, "{\"sessions\":{\"stream\":true,\"listSessions\":true,\"watchSessions\":true}}"},
    {0},
};
static const struct model model_runtime_report = {
    "RuntimeReport", "What the runtime offers, as far as it is known", NULL, runtime_report_members};

static const struct model_member validation_members[] = {
    {"valid",    MODEL_BOOL},
    {"errors",   MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"warnings", MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"runtime",  MODEL_OBJECT, 0, &model_runtime_report},
    {0},
};
const struct model model_validation = {
    "Validation", "Whether a descriptor would be accepted, and why not", NULL, validation_members};

static const struct model_member metrics_counts_members[] = {
    {"runId",                MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"eventCount",           MODEL_INT, 0, NULL, NULL, "31"},
    {"messageCount",         MODEL_INT, 0, NULL, NULL, "8"},
    {"signalCount",          MODEL_INT, 0, NULL, NULL, "7"},
    {"proposalCount",        MODEL_INT, 0, NULL, NULL, "4"},
    {"toolCallCount",        MODEL_INT, 0, NULL, NULL, "0"},
    {"decisionCount",        MODEL_INT, 0, NULL, NULL, "1"},
    {"streamReconnectCount", MODEL_INT, 0, NULL, NULL, "0"},
    {"promptTokens",         MODEL_NUMBER, 0, NULL, NULL, "420"},
    {"completionTokens",     MODEL_NUMBER, 0, NULL, NULL, "154"},
    {"totalTokens",          MODEL_NUMBER, 0, NULL, NULL, "574"},
    {"estimatedCostUsd",     MODEL_NUMBER, 0, NULL, NULL, "0.0008"},
    {0},
};
static const struct model model_metrics_counts = {
    "MetricsCounts", "Counters of a run", NULL, metrics_counts_members};

static const struct model_member metrics_members[] = {
    {"firstEventAt", MODEL_TIME, MODEL_NULLABLE},
    {"lastEventAt",  MODEL_TIME, MODEL_NULLABLE},
    {"durationMs",   MODEL_INT, MODEL_NULLABLE, NULL, NULL, "4200"},
    {"sessionState", MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"SESSION_STATE_RESOLVED\""},
    {0},
};
const struct model model_metrics = {
    "Metrics", "Counters and times of a run", &model_metrics_counts, metrics_members};

static const struct model_member metrics_export_members[] = {
    {"firstEventAt", MODEL_TIME, MODEL_OPTIONAL},
    {"lastEventAt",  MODEL_TIME, MODEL_OPTIONAL},
    {"durationMs",   MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "4200"},
    {"sessionState", MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"SESSION_STATE_RESOLVED\""},
    {0},
};
static const struct model model_metrics_export = {
    "MetricsExport", "Counters of a run, without what is not known", &model_metrics_counts, metrics_export_members};

static const struct model_member traces_members[] = {
    {"runStatus",   MODEL_ONE_OF, 0, NULL, run_statuses, "\"completed\""},
    {"scenarioRef", MODEL_TEXT, MODEL_OPTIONAL},
    {0},
};
const struct model model_traces = {
    "Traces", "The trace summary of a run", &model_state_trace, traces_members};

static const struct model_member artifact_members[] = {
    {"id",        MODEL_UUID},
    {"runId",     MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"kind",      MODEL_ONE_OF, 0, NULL, artifact_kinds, "\"report\""},
    {"label",     MODEL_TEXT, 0, NULL, NULL, "\"summary\""},
    {"uri",       MODEL_TEXT, MODEL_NULLABLE},
    {"inline",    MODEL_ANY, MODEL_NULLABLE, NULL, NULL, "{\"n\":1}"},
    {"createdAt", MODEL_TIME},
    {0},
};
const struct model model_artifact = {
    "Artifact", "Something attached to a run", NULL, artifact_members};

static const struct model_member artifact_made_members[] = {
    {"id",        MODEL_UUID},
    {"runId",     MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"kind",      MODEL_ONE_OF, 0, NULL, artifact_kinds, "\"report\""},
    {"label",     MODEL_TEXT, 0, NULL, NULL, "\"summary\""},
    {"uri",       MODEL_TEXT, MODEL_NULLABLE | MODEL_OPTIONAL},
    {"inline",    MODEL_ANY, MODEL_NULLABLE | MODEL_OPTIONAL, NULL, NULL, "{\"n\":1}"},
    {"createdAt", MODEL_TIME},
    {0},
};
const struct model model_artifact_made = {
    "ArtifactMade", "An artifact as it was just stored; uri and inline as they were sent", NULL, artifact_made_members};

static const struct model_member artifact_export_members[] = {
    {"id",        MODEL_UUID},
    {"runId",     MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"kind",      MODEL_ONE_OF, 0, NULL, artifact_kinds, "\"report\""},
    {"label",     MODEL_TEXT, 0, NULL, NULL, "\"summary\""},
    {"uri",       MODEL_TEXT, MODEL_OPTIONAL},
    {"inline",    MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "{\"n\":1}"},
    {"createdAt", MODEL_TIME},
    {0},
};
static const struct model model_artifact_export = {
    "ArtifactExport", "An artifact, without what it has not", NULL, artifact_export_members};

static const struct model_member replay_members[] = {
    {"runId",     MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"mode",      MODEL_ONE_OF, 0, NULL, replay_modes, "\"timed\""},
    {"speed",     MODEL_NUMBER, 0, NULL, NULL, "1"},
    {"fromSeq",   MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "1"},
    {"toSeq",     MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "42"},
    {"streamUrl", MODEL_TEXT, 0, NULL, NULL, "\"/runs/3f2b7c1e-5d14-4b7e-9a53-0c1d2e3f4a51/replay/stream?mode=timed&speed=1\""},
    {"stateUrl",  MODEL_TEXT, 0, NULL, NULL, "\"/runs/3f2b7c1e-5d14-4b7e-9a53-0c1d2e3f4a51/replay/state\""},
    {0},
};
const struct model model_replay = {
    "Replay", "Where to replay a run", NULL, replay_members};

static const struct model_member side_members[] = {
    {"runId",      MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"status",     MODEL_ONE_OF, 0, NULL, run_statuses, "\"completed\""},
    {"modeName",   MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"macp.mode.decision.v1\""},
    {"durationMs", MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "4200"},
    {0},
};
static const struct model model_side = {
    "Side", "One of two compared runs", NULL, side_members};

static const struct model_member participants_diff_members[] = {
    {"added",   MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"removed", MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"common",  MODEL_TEXTS, 0, NULL, NULL, "[\"agent://planner\"]"},
    {0},
};
static const struct model model_participants_diff = {
    "ParticipantsDiff", "Added: only right; removed: only left", NULL, participants_diff_members};

static const struct model_member signals_diff_members[] = {
    {"added",   MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {"removed", MODEL_TEXTS, 0, NULL, NULL, "[]"},
    {0},
};
static const struct model model_signals_diff = {
    "SignalsDiff", "By name", NULL, signals_diff_members};

static const struct model_member comparison_members[] = {
    {"left",             MODEL_OBJECT, 0, &model_side},
    {"right",            MODEL_OBJECT, 0, &model_side},
    {"statusMatch",      MODEL_BOOL},
    {"durationDeltaMs",  MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "0"},
    {"confidenceDelta",  MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "0"},
    {"participantsDiff", MODEL_OBJECT, 0, &model_participants_diff},
    {"signalsDiff",      MODEL_OBJECT, 0, &model_signals_diff},
    {0},
};
const struct model model_comparison = {
    "Comparison", "Two runs side by side; differences are right minus left", NULL, comparison_members};

static const struct model_member run_source_members[] = {
    {"kind", MODEL_TEXT, 0, NULL, NULL, "\"session-discovery\""},
    {"ref",  MODEL_TEXT, MODEL_OPTIONAL},
    {0},
};
static const struct model model_run_source = {
    "RunSource", "Where a run came from", NULL, run_source_members};

static const struct model_member run_export_members[] = {
    {"id",               MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"status",           MODEL_ONE_OF, 0, NULL, run_statuses, "\"completed\""},
    {"runtimeKind",      MODEL_TEXT, 0, NULL, NULL, "\"rust\""},
    {"runtimeVersion",   MODEL_TEXT, MODEL_OPTIONAL},
    {"runtimeSessionId", MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, EXAMPLE_RUN},
    {"traceId",          MODEL_TEXT, MODEL_OPTIONAL},
    {"createdAt",        MODEL_TIME},
    {"startedAt",        MODEL_TIME, MODEL_OPTIONAL},
    {"endedAt",          MODEL_TIME, MODEL_OPTIONAL},
    {"tags",             MODEL_TEXTS},
    {"archivedAt",       MODEL_TIME, MODEL_NULLABLE, NULL, NULL, "null"},
    {"source",           MODEL_OBJECT, MODEL_OPTIONAL, &model_run_source},
    {"metadata",         MODEL_FREE, 0, NULL, NULL, "{}"},
    {0},
};
static const struct model model_run_export = {
    "RunExport", "A run in an export", NULL, run_export_members};

static const struct model_member session_members[] = {
    {"runId",                  MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"runtimeKind",            MODEL_TEXT, 0, NULL, NULL, "\"rust\""},
    {"runtimeSessionId",       MODEL_TEXT, 0, NULL, NULL, EXAMPLE_RUN},
    {"modeName",               MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"macp.mode.decision.v1\""},
    {"modeVersion",            MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"1.0.0\""},
    {"configurationVersion",   MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"config.default\""},
    {"policyVersion",          MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"policy.default\""},
    {"initiatorParticipantId", MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"agent://planner\""},
    {"sessionState",           MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"SESSION_STATE_RESOLVED\""},
    {"expiresAt",              MODEL_TIME, MODEL_NULLABLE},
    {"lastSeenAt",             MODEL_TIME, MODEL_NULLABLE},
    {"capabilities",           MODEL_ANY, MODEL_NULLABLE, NULL, NULL, "{}"},
    {"lastStreamCursor",       MODEL_INT, MODEL_NULLABLE, NULL, NULL, "13"},
    {"streamConnectedAt",      MODEL_ANY, MODEL_NULLABLE, NULL, NULL, "null"},
    {"streamDisconnectedAt",   MODEL_ANY, MODEL_NULLABLE, NULL, NULL, "null"},
    {"metadata",               MODEL_ANY, MODEL_NULLABLE, NULL, NULL, "{\"participants\":[{\"id\":\"agent://planner\"}]}"},
    {"createdAt",              MODEL_TIME, MODEL_NULLABLE},
    {"updatedAt",              MODEL_TIME, MODEL_NULLABLE},
    {0},
};
static const struct model model_session = {
    "Session", "The session of a run", NULL, session_members};

static const struct model_member gap_members[] = {
    {"kind",        MODEL_TEXT, 0, NULL, NULL, "\"compacted\""},
    {"epoch",       MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "1"},
    {"fromOrdinal", MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "1"},
    {"toOrdinal",   MODEL_INT, MODEL_OPTIONAL, NULL, NULL, "9"},
    {"fromTs",      MODEL_TIME, MODEL_OPTIONAL},
    {"toTs",        MODEL_TIME, MODEL_OPTIONAL},
    {"detail",      MODEL_TEXT, MODEL_OPTIONAL},
    {"notedAt",     MODEL_TIME},
    {0},
};
static const struct model model_gap = {
    "Gap", "Something that could not be observed", NULL, gap_members};

static const struct model_member raw_event_members[] = {
    {"id",         MODEL_UUID},
    {"runId",      MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"seq",        MODEL_INT, 0, NULL, NULL, "3"},
    {"ts",         MODEL_TIME},
    {"kind",       MODEL_ONE_OF, 0, NULL, raw_kinds, "\"stream-envelope\""},
    {"sourceName", MODEL_TEXT, 0, NULL, NULL, "\"rust-runtime\""},
    {"payload",    MODEL_FREE, 0, NULL, NULL, "{\"kind\":\"stream-envelope\",\"receivedAt\":\"2026-05-01T10:00:00.125Z\",\"envelope\":{\"messageType\":\"Proposal\"}}"},
    {"traceId",    MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"spanId",     MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"createdAt",  MODEL_TIME, MODEL_NULLABLE},
    {0},
};
static const struct model model_raw_event = {
    "RawEvent", "What the runtime sent, as it was stored", NULL, raw_event_members};

static const struct model_member export_members[] = {
    {"run",             MODEL_OBJECT, 0, &model_run_export},
    {"session",         MODEL_OBJECT, MODEL_NULLABLE, &model_session},
    {"projection",      MODEL_OBJECT, MODEL_NULLABLE, &model_state},
    {"metrics",         MODEL_OBJECT, MODEL_NULLABLE, &model_metrics_export},
    {"artifacts",       MODEL_LIST, 0, &model_artifact_export},
    {"gaps",            MODEL_LIST, 0, &model_gap},
    {"canonicalEvents", MODEL_LIST, 0, &model_event},
    {"rawEvents",       MODEL_LIST, 0, &model_raw_event},
    {"exportedAt",      MODEL_TIME},
    {0},
};
const struct model model_export = {
    "Export", "Everything stored about a run", NULL, export_members};

static const struct model_member export_line_members[] = {
    {"type",      MODEL_ONE_OF, 0, NULL, line_types, "\"canonical_event\""},
    {"eventType", MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"run.created\""},
    {0},
};
const struct model model_export_line = {
    "ExportLine", "A line of an export: the header first, then a line per event, with its own type in eventType", NULL, export_line_members};

static const struct model_member batch_result_members[] = {
    {"runId",  MODEL_TEXT, 0, NULL, NULL, EXAMPLE_RUN},
    {"status", MODEL_TEXT, 0, NULL, NULL, "\"archived\""},
    {"error",  MODEL_TEXT, MODEL_OPTIONAL},
    {0},
};
const struct model model_batch_result = {
    "BatchResult", "What became of one run of a batch", NULL, batch_result_members};

// clang-format on
