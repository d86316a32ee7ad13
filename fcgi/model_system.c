/* model_system.c - What is not about one run. */
#include "fcgi/example.h"
#include "fcgi/model.h"

// clang-format off
static const char *const run_statuses[] = {"queued", "starting", "binding_session", "running", "suspended", "completed", "failed", "cancelled", NULL};
static const char *const delivery_statuses[] = {"pending", "delivered", "failed", NULL};
static const char *const breaker_states[] = {"CLOSED", "OPEN", "HALF_OPEN", NULL};
static const char *const database_states[] = {"ok", "unhealthy", NULL};

static const struct model_member webhook_members[] = {
    {"id",        MODEL_UUID, 0, NULL, NULL, EXAMPLE_WEBHOOK},
    {"url",       MODEL_TEXT, 0, NULL, NULL, "\"https://hooks.example.com/macp\""},
    {"events",    MODEL_TEXTS, 0, NULL, NULL, "[\"run.completed\"]"},
    {"secret",    MODEL_TEXT, 0, NULL, NULL, "\"[REDACTED]\""},
    {"active",    MODEL_BOOL},
    {"createdAt", MODEL_TIME},
    {"updatedAt", MODEL_TIME},
    {0},
};
const struct model model_webhook = {
    "Webhook", "A subscription; the secret is never shown", NULL, webhook_members};

static const struct model_member delivery_stats_members[] = {
    {"total",           MODEL_INT, 0, NULL, NULL, "3"},
    {"succeeded",       MODEL_INT, 0, NULL, NULL, "2"},
    {"failed",          MODEL_INT, 0, NULL, NULL, "1"},
    {"lastDeliveredAt", MODEL_TIME, MODEL_NULLABLE},
    {0},
};
static const struct model model_delivery_stats = {
    "DeliveryStats", "What became of a webhook's deliveries", NULL, delivery_stats_members};

static const struct model_member webhook_listed_members[] = {
    {"deliveryStats", MODEL_OBJECT, 0, &model_delivery_stats},
    {0},
};
const struct model model_webhook_listed = {
    "WebhookListed", "A webhook with its figures", &model_webhook, webhook_listed_members};

static const struct model_member delivery_members[] = {
    {"id",             MODEL_UUID},
    {"runId",          MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"event",          MODEL_TEXT, 0, NULL, NULL, "\"run.completed\""},
    {"status",         MODEL_ONE_OF, 0, NULL, delivery_statuses, "\"delivered\""},
    {"attempts",       MODEL_INT, 0, NULL, NULL, "1"},
    {"nextAttemptAt",  MODEL_TIME, MODEL_NULLABLE},
    {"lastAttemptAt",  MODEL_TIME, MODEL_NULLABLE},
    {"responseStatus", MODEL_INT, MODEL_NULLABLE, NULL, NULL, "200"},
    {"errorMessage",   MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "null"},
    {"createdAt",      MODEL_TIME},
    {"deliveredAt",    MODEL_TIME, MODEL_NULLABLE},
    {0},
};
const struct model model_delivery = {
    "Delivery", "One delivery to a webhook", NULL, delivery_members};

static const struct model_member delivery_page_members[] = {
    {"data",   MODEL_LIST, 0, &model_delivery},
    {"total",  MODEL_INT, 0, NULL, NULL, "1"},
    {"limit",  MODEL_INT, 0, NULL, NULL, "50"},
    {"offset", MODEL_INT, 0, NULL, NULL, "0"},
    {0},
};
const struct model model_delivery_page = {
    "DeliveryPage", "A page of deliveries, newest first", NULL, delivery_page_members};

static const struct model_member audit_entry_members[] = {
    {"id",         MODEL_UUID},
    {"actor",      MODEL_TEXT, 0, NULL, NULL, "\"key-1a2b3c4d\""},
    {"actorType",  MODEL_TEXT, 0, NULL, NULL, "\"service\""},
    {"action",     MODEL_TEXT, 0, NULL, NULL, "\"run.archived\""},
    {"resource",   MODEL_TEXT, 0, NULL, NULL, "\"run\""},
    {"resourceId", MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, EXAMPLE_RUN},
    {"details",    MODEL_FREE, 0, NULL, NULL, "{}"},
    {"requestId",  MODEL_TEXT, MODEL_NULLABLE, NULL, NULL, "\"b9d4c1f2-0f6d-4d1b-8f0a-7d3f4b7f2a10\""},
    {"createdAt",  MODEL_TIME},
    {0},
};
static const struct model model_audit_entry = {
    "AuditEntry", "Who did what", NULL, audit_entry_members};

static const struct model_member audit_page_members[] = {
    {"data",  MODEL_LIST, 0, &model_audit_entry},
    {"total", MODEL_INT, 0, NULL, NULL, "1"},
    {0},
};
const struct model model_audit_page = {
    "AuditPage", "A page of the audit log, newest first", NULL, audit_page_members};

static const struct model_member kpis_members[] = {
    {"totalRuns",     MODEL_INT, 0, NULL, NULL, "12"},
    {"activeRuns",    MODEL_INT, 0, NULL, NULL, "1"},
    {"completedRuns", MODEL_INT, 0, NULL, NULL, "9"},
    {"failedRuns",    MODEL_INT, 0, NULL, NULL, "1"},
    {"cancelledRuns", MODEL_INT, 0, NULL, NULL, "1"},
    {"suspendedRuns", MODEL_INT, 0, NULL, NULL, "0"},
    {"avgDurationMs", MODEL_NUMBER, MODEL_NULLABLE, NULL, NULL, "4200"},
    {"totalSignals",  MODEL_INT, 0, NULL, NULL, "70"},
    {"totalTokens",   MODEL_NUMBER, 0, NULL, NULL, "5740"},
    {"totalCostUsd",  MODEL_NUMBER, 0, NULL, NULL, "0.01"},
    {0},
};
static const struct model model_kpis = {
    "Kpis", "Figures over the span of time", NULL, kpis_members};

static const struct model_member recent_run_members[] = {
    {"id",          MODEL_UUID, 0, NULL, NULL, EXAMPLE_RUN},
    {"status",      MODEL_ONE_OF, 0, NULL, run_statuses, "\"completed\""},
    {"runtimeKind", MODEL_TEXT, 0, NULL, NULL, "\"rust\""},
    {"sourceRef",   MODEL_TEXT, MODEL_OPTIONAL},
    {"startedAt",   MODEL_TIME, MODEL_OPTIONAL},
    {"endedAt",     MODEL_TIME, MODEL_OPTIONAL},
    {"createdAt",   MODEL_TIME},
    {0},
};
static const struct model model_recent_run = {
    "RecentRun", "A run, briefly", NULL, recent_run_members};

static const struct model_member health_brief_members[] = {
    {"ok",          MODEL_BOOL},
    {"runtimeKind", MODEL_TEXT, 0, NULL, NULL, "\"rust\""},
    {"detail",      MODEL_TEXT, 0, NULL, NULL, "\"connected\""},
    {0},
};
static const struct model model_health_brief = {
    "RuntimeHealthBrief", "Whether the observers reach the runtime", NULL, health_brief_members};

static const struct model_member series_members[] = {
    {"labels", MODEL_TEXTS, 0, NULL, NULL, "[\"2026-05-01T10:00:00.000Z\"]"},
    {"data",   MODEL_NUMBERS, 0, NULL, NULL, "[3]"},
    {0},
};
static const struct model model_series = {
    "Series", "As many labels as figures", NULL, series_members};

static const struct model_member overview_members[] = {
    {"kpis",          MODEL_OBJECT, 0, &model_kpis},
    {"recentRuns",    MODEL_LIST, 0, &model_recent_run},
    {"runtimeHealth", MODEL_OBJECT, 0, &model_health_brief},
    {"charts",        MODEL_MAP, 0, &model_series},
    {0},
};
const struct model model_overview = {
    "Overview", "Figures and charts over a span of time", NULL, overview_members};

static const struct model_member agent_members[] = {
    {"participantId",     MODEL_TEXT, 0, NULL, NULL, "\"agent://planner\""},
    {"runs",              MODEL_INT, 0, NULL, NULL, "12"},
    {"signals",           MODEL_INT, 0, NULL, NULL, "30"},
    {"messages",          MODEL_INT, 0, NULL, NULL, "96"},
    {"averageConfidence", MODEL_NUMBER, 0, NULL, NULL, "0.8"},
    {"averageLatencyMs",  MODEL_NUMBER, MODEL_OPTIONAL, NULL, NULL, "890"},
    {0},
};
const struct model model_agent = {
    "AgentMetrics", "What one participant did, over all runs", NULL, agent_members};

static const struct model_member manifest_members[] = {
    {"agentId",            MODEL_TEXT, 0, NULL, NULL, "\"macp-runtime\""},
    {"title",              MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"MACP runtime\""},
    {"description",        MODEL_TEXT, MODEL_OPTIONAL},
    {"supportedModes",     MODEL_TEXTS, 0, NULL, NULL, "[\"macp.mode.decision.v1\"]"},
    {"metadata",           MODEL_FREE, 0, NULL, NULL, "{}"},
    {"inputContentTypes",  MODEL_TEXTS, MODEL_OPTIONAL},
    {"outputContentTypes", MODEL_TEXTS, MODEL_OPTIONAL},
    {"transportEndpoints", MODEL_ANY, MODEL_OPTIONAL, NULL, NULL, "[]"},
    {0},
};
const struct model model_manifest = {
    "Manifest", "What the runtime says about itself; a runtime may say more", NULL, manifest_members};

static const struct model_member mode_members[] = {
    {"mode",                 MODEL_TEXT, 0, NULL, NULL, "\"macp.mode.decision.v1\""},
    {"modeVersion",          MODEL_TEXT, 0, NULL, NULL, "\"1.0.0\""},
    {"title",                MODEL_TEXT, 0, NULL, NULL, "\"Decision\""},
    {"description",          MODEL_TEXT, 0, NULL, NULL, "\"...\""},
    {"determinismClass",     MODEL_TEXT, 0, NULL, NULL, "\"semantic-deterministic\""},
    {"participantModel",     MODEL_TEXT, 0, NULL, NULL, "\"declared\""},
    {"messageTypes",         MODEL_TEXTS, 0, NULL, NULL, "[\"Proposal\",\"Vote\",\"Commitment\"]"},
    {"terminalMessageTypes", MODEL_TEXTS, 0, NULL, NULL, "[\"Commitment\"]"},
    {"schemaUris",           MODEL_FREE, 0, NULL, NULL, "{}"},
    {0},
};
const struct model model_mode = {
    "Mode", "A mode that the runtime offers", NULL, mode_members};

static const struct model_member root_members[] = {
    {"uri",  MODEL_TEXT, 0, NULL, NULL, "\"file:///workspace\""},
    {"name", MODEL_TEXT, 0, NULL, NULL, "\"workspace\""},
    {0},
};
const struct model model_root = {
    "Root", "A root that the runtime offers", NULL, root_members};

static const struct model_member runtime_health_members[] = {
    {"manifest", MODEL_OBJECT, MODEL_OPTIONAL, &model_manifest},
    {0},
};
const struct model model_runtime_health = {
    "RuntimeHealth", "Whether the observers reach the runtime, and what it says about itself", &model_health_brief, runtime_health_members};

static const struct model_member policy_members[] = {
    {"policyId",           MODEL_TEXT, 0, NULL, NULL, "\"policy.default\""},
    {"mode",               MODEL_TEXT, 0, NULL, NULL, "\"*\""},
    {"description",        MODEL_TEXT, 0, NULL, NULL, "\"Default policy\""},
    {"rules",              MODEL_ANY, 0, NULL, NULL, "{}"},
    {"schemaVersion",      MODEL_INT, 0, NULL, NULL, "1"},
    {"registeredAtUnixMs", MODEL_INT, 0, NULL, NULL, "0"},
    {0},
};
const struct model model_policy = {
    "Policy", "A policy that the runtime knows", NULL, policy_members};

static const struct model_member policy_done_members[] = {
    {"ok", MODEL_BOOL},
    {0},
};
const struct model model_policy_done = {
    "PolicyDone", "The runtime accepted it", NULL, policy_done_members};

static const struct model_member breaker_entry_members[] = {
    {"state",     MODEL_ONE_OF, 0, NULL, breaker_states, "\"CLOSED\""},
    {"enteredAt", MODEL_TIME},
    {"reason",    MODEL_TEXT, MODEL_OPTIONAL, NULL, NULL, "\"initial\""},
    {0},
};
static const struct model model_breaker_entry = {
    "BreakerEntry", "A state and when it was entered", NULL, breaker_entry_members};

static const struct model_member breaker_members[] = {
    {"state",   MODEL_ONE_OF, 0, NULL, breaker_states, "\"CLOSED\""},
    {"history", MODEL_LIST, 0, &model_breaker_entry},
    {0},
};
const struct model model_breaker = {
    "Breaker", "State and history of the circuit breaker, oldest first", NULL, breaker_members};

static const struct model_member breaker_reset_members[] = {
    {"status", MODEL_TEXT, 0, NULL, NULL, "\"ok\""},
    {"state",  MODEL_ONE_OF, 0, NULL, breaker_states, "\"CLOSED\""},
    {0},
};
const struct model model_breaker_reset = {
    "BreakerReset", "The breaker after a reset", NULL, breaker_reset_members};

static const struct model_member live_members[] = {
    {"ok",      MODEL_BOOL},
    {"service", MODEL_TEXT, 0, NULL, NULL, "\"macp-control-plane\""},
    {0},
};
const struct model model_live = {
    "Live", "Whether the service can do its work", NULL, live_members};

static const struct model_member ready_members[] = {
    {"ok",             MODEL_BOOL},
    {"database",       MODEL_ONE_OF, 0, NULL, database_states, "\"ok\""},
    {"runtime",        MODEL_OBJECT, 0, &model_runtime_health},
    {"streamConsumer", MODEL_ONE_OF, 0, NULL, database_states, "\"ok\""},
    {"circuitBreaker", MODEL_ONE_OF, 0, NULL, breaker_states, "\"CLOSED\""},
    {0},
};
const struct model model_ready = {
    "Ready", "Whether all parts are in place", NULL, ready_members};

// clang-format on
