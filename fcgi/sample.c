/*
 * sample.c - requests and the answers they get, as the documentation shows them.
 *
 * Answers of successes are not written down here: they are made of the model's own samples.
 */
#include "fcgi/example.h"
#include "fcgi/operation.h"

#define RUN     "/runs/" EXAMPLE_RUN_ID
#define LIVE    "/runs/" EXAMPLE_LIVE_ID
#define NONE    "/runs/" EXAMPLE_UNKNOWN_ID
#define NO_RUN  ERR_NOT_FOUND, "run " EXAMPLE_UNKNOWN_ID " not found"
#define NO_UUID ERR_VALIDATION, "Validation failed (uuid is expected)"
#define NO_HOOK ERR_NOT_FOUND, "webhook " EXAMPLE_UNKNOWN_ID " not found"
#define ONE_OF  " must be one of the following values: "
#define REMOVED(what)                                                                              \
    ERR_ENDPOINT_REMOVED,                                                                          \
        "POST /runs/:id/" what " has been removed. Agents authenticate to the runtime directly "   \
        "via macp-sdk-python / macp-sdk-typescript. See "                                          \
        "https://github.com/multiagentcoordinationprotocol/docs/blob/main/ONBOARDING_AN_AGENT.md"
#define DESCRIPTOR(session, execution)                                                             \
    "{\"mode\":\"live\",\"runtime\":{\"kind\":\"rust\"},\"session\":{" session                     \
    "\"modeName\":\"macp.mode.decision.v1\",\"modeVersion\":\"1.0.0\","                            \
    "\"configurationVersion\":\"config.default\",\"ttlMs\":60000,"                                 \
    "\"participants\":[{\"id\":\"agent://planner\"},{\"id\":\"agent://reviewer\"}]}" execution "}"
#define POLICY(id)                                                                                 \
    "{\"policyId\":\"" id "\",\"mode\":\"macp.mode.decision.v1\","                                 \
    "\"description\":\"majority of all\",\"rules\":{\"voting\":{\"algorithm\":\"majority\"}},"     \
    "\"schemaVersion\":1}"
#define REDELIVER(hook, delivery) "/webhooks/" hook "/deliveries/" delivery "/redeliver"
#define IDS(a, b)                 "{\"runIds\":[\"" a "\",\"" b "\"]}"

// clang-format off
const struct sample samples[] = {
    {HTTP_POST, "/runs", "minimal", "/runs", DESCRIPTOR("", ""), 201, 0, NULL},
    {HTTP_POST, "/runs", "tagged", "/runs", DESCRIPTOR("\"metadata\":{\"scenarioRef\":\"fraud/high-value@1.0.0\",\"environment\":\"staging\"},", ",\"execution\":{\"idempotencyKey\":\"launch-7\",\"tags\":[\"fraud\"],\"requester\":{\"actorId\":\"ann\",\"actorType\":\"user\"}}"), 201, 0, NULL},
    {HTTP_POST, "/runs", "sessionTooShort", "/runs", DESCRIPTOR("\"sessionId\":\"too-short\",", ""), 400, ERR_VALIDATION, "session.sessionId must be a UUID v4/v7 or base64url 22+ chars"},
    {HTTP_POST, "/runs", "empty", "/runs", "{}", 400, ERR_VALIDATION, "[\"mode" ONE_OF "live, sandbox\",\"runtime should not be null or undefined\",\"session should not be null or undefined\"]"},
    {HTTP_POST, "/runs", "unknownMember", "/runs", DESCRIPTOR("", ",\"kickoff\":[]"), 400, ERR_VALIDATION, "[\"property kickoff should not exist\"]"},
    {HTTP_POST, "/runs", "sessionTaken", "/runs", DESCRIPTOR("\"sessionId\":\"" EXAMPLE_SESSION_ID "\",", ""), 409, ERR_SESSION_EXISTS, "session " EXAMPLE_SESSION_ID " already belongs to run " EXAMPLE_UNKNOWN_ID},
    {HTTP_POST, "/runs/validate", "valid", "/runs/validate", DESCRIPTOR("", ""), 201, 0, NULL},
    {HTTP_POST, "/runs/validate", "badMode", "/runs/validate", "{\"mode\":\"test\",\"runtime\":{\"kind\":\"rust\"}}", 400, ERR_VALIDATION, "[\"mode" ONE_OF "live, sandbox\"]"},
    {HTTP_GET, "/runs", "newest", "/runs?limit=2", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs", "filtered", "/runs?status=completed&createdAfter=2020-01-01&search=3f2b7c1e&sortBy=updatedAt&sortOrder=asc", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs", "limitTooHigh", "/runs?limit=201", NULL, 400, ERR_VALIDATION, "[\"limit must not be greater than 200\"]"},
    {HTTP_GET, "/runs/:id", "completed", RUN, NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id", "notAUuid", "/runs/not-a-uuid", NULL, 400, NO_UUID},
    {HTTP_GET, "/runs/:id", "unknown", NONE, NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/state", "completed", RUN "/state", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/state", "running", LIVE "/state", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/state", "notAUuid", "/runs/not-a-uuid/state", NULL, 400, NO_UUID},
    {HTTP_GET, "/runs/:id/state", "unknown", NONE "/state", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/events", "plain", RUN "/events?afterSeq=3&limit=5", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/events", "byType", RUN "/events?type=run.created,decision.finalized", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/events", "newestFirst", RUN "/events?beforeSeq=2147483647&limit=5", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/events", "badCursor", RUN "/events?afterSeq=-1", NULL, 400, ERR_VALIDATION, "[\"afterSeq must not be less than 0\"]"},
    {HTTP_DELETE, "/runs/:id", "ended", "/runs/" EXAMPLE_OLD_ID, NULL, 204, 0, NULL},
    {HTTP_DELETE, "/runs/:id", "running", LIVE, NULL, 400, ERR_VALIDATION, "only terminal runs (completed, failed, cancelled) can be deleted"},
    {HTTP_DELETE, "/runs/:id", "unknown", NONE, NULL, 404, NO_RUN},
    {HTTP_POST, "/runs/:id/archive", "archived", "/runs/" EXAMPLE_OTHER_ID "/archive", NULL, 201, 0, NULL},
    {HTTP_POST, "/runs/:id/archive", "notAUuid", "/runs/not-a-uuid/archive", NULL, 400, NO_UUID},
    {HTTP_POST, "/runs/:id/archive", "unknown", NONE "/archive", NULL, 404, NO_RUN},
    {HTTP_POST, "/runs/:id/clone", "tagged", RUN "/clone", "{\"tags\":[\"again\"]}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/clone", "badTags", RUN "/clone", "{\"tags\":1}", 400, ERR_VALIDATION, "[\"each value in tags must be a string\",\"tags must be an array\"]"},
    {HTTP_POST, "/runs/:id/clone", "unknown", NONE "/clone", "{}", 404, NO_RUN},
    {HTTP_POST, "/runs/:id/cancel", "alreadyEnded", RUN "/cancel", "{\"reason\":\"enough\"}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/cancel", "nobodyToAsk", LIVE "/cancel", "{}", 400, ERR_VALIDATION, "run has no cancelCallback in metadata and no policy delegation \xe2\x80\x94 cannot cancel from control-plane"},
    {HTTP_POST, "/runs/:id/cancel", "unknown", NONE "/cancel", "{}", 404, NO_RUN},
    {HTTP_POST, "/runs/:id/suspend", "running", LIVE "/suspend", "{\"reason\":\"lunch\"}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/suspend", "ended", RUN "/suspend", "{}", 400, ERR_VALIDATION, "only running runs can be suspended (current status: completed)"},
    {HTTP_POST, "/runs/:id/suspend", "unknown", NONE "/suspend", "{}", 404, NO_RUN},
    {HTTP_POST, "/runs/:id/resume", "suspended", LIVE "/resume", "{}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/resume", "badReason", LIVE "/resume", "{\"reason\":1}", 400, ERR_VALIDATION, "[\"reason must be a string\"]"},
    {HTTP_POST, "/runs/:id/resume", "unknown", NONE "/resume", "{}", 404, NO_RUN},
    {HTTP_POST, "/runs/compare", "two", "/runs/compare", "{\"leftRunId\":\"" EXAMPLE_RUN_ID "\",\"rightRunId\":\"" EXAMPLE_OTHER_ID "\"}", 201, 0, NULL},
    {HTTP_POST, "/runs/compare", "oneMissing", "/runs/compare", "{\"leftRunId\":\"" EXAMPLE_RUN_ID "\"}", 400, ERR_VALIDATION, "[\"rightRunId must be a UUID\"]"},
    {HTTP_POST, "/runs/compare", "unknown", "/runs/compare", "{\"leftRunId\":\"" EXAMPLE_RUN_ID "\",\"rightRunId\":\"" EXAMPLE_UNKNOWN_ID "\"}", 404, NO_RUN},
    {HTTP_GET, "/runs/:id/metrics", "completed", RUN "/metrics", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/metrics", "notAUuid", "/runs/not-a-uuid/metrics", NULL, 400, NO_UUID},
    {HTTP_GET, "/runs/:id/metrics", "unknown", NONE "/metrics", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/traces", "completed", RUN "/traces", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/traces", "notAUuid", "/runs/not-a-uuid/traces", NULL, 400, NO_UUID},
    {HTTP_GET, "/runs/:id/traces", "unknown", NONE "/traces", NULL, 404, NO_RUN},
    {HTTP_POST, "/runs/:id/artifacts", "report", RUN "/artifacts", "{\"kind\":\"report\",\"label\":\"summary\",\"inline\":{\"n\":1}}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/artifacts", "link", RUN "/artifacts", "{\"kind\":\"trace\",\"label\":\"spans\",\"uri\":\"https://jaeger.example/trace/1\"}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/artifacts", "empty", RUN "/artifacts", "{}", 400, ERR_VALIDATION, "[\"kind" ONE_OF "trace, json, report, log, bundle\",\"label should not be empty\",\"label must be a string\"]"},
    {HTTP_POST, "/runs/:id/artifacts", "unknown", NONE "/artifacts", "{\"kind\":\"log\",\"label\":\"a\"}", 404, NO_RUN},
    {HTTP_GET, "/runs/:id/artifacts", "all", RUN "/artifacts", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/artifacts", "notAUuid", "/runs/not-a-uuid/artifacts", NULL, 400, NO_UUID},
    {HTTP_GET, "/runs/:id/artifacts", "unknown", NONE "/artifacts", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/messages", "none", RUN "/messages", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/messages", "notAUuid", "/runs/not-a-uuid/messages", NULL, 400, NO_UUID},
    {HTTP_POST, "/runs/:id/replay", "slowly", RUN "/replay", "{\"mode\":\"timed\",\"speed\":0.5,\"fromSeq\":2,\"toSeq\":9}", 201, 0, NULL},
    {HTTP_POST, "/runs/:id/replay", "badMode", RUN "/replay", "{\"mode\":\"fast\"}", 400, ERR_VALIDATION, "[\"mode" ONE_OF "instant, timed, step\"]"},
    {HTTP_POST, "/runs/:id/replay", "unknown", NONE "/replay", "{}", 404, NO_RUN},
    {HTTP_GET, "/runs/:id/replay/state", "atFive", RUN "/replay/state?seq=5", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/replay/state", "noNumber", RUN "/replay/state?seq=abc", NULL, 400, ERR_VALIDATION, "[\"seq must be an integer number\"]"},
    {HTTP_GET, "/runs/:id/replay/state", "unknown", NONE "/replay/state", NULL, 404, NO_RUN},
    {HTTP_POST, "/runs/:id/projection/rebuild", "rebuilt", RUN "/projection/rebuild", NULL, 201, 0, NULL},
    {HTTP_POST, "/runs/:id/projection/rebuild", "notAUuid", "/runs/not-a-uuid/projection/rebuild", NULL, 400, NO_UUID},
    {HTTP_POST, "/runs/:id/projection/rebuild", "unknown", NONE "/projection/rebuild", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/stream", "live", LIVE "/stream?includeSnapshot=true&afterSeq=0", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/stream", "badHeartbeat", RUN "/stream?heartbeatMs=1", NULL, 400, ERR_VALIDATION, "[\"heartbeatMs must not be less than 1000\"]"},
    {HTTP_GET, "/runs/:id/stream", "unknown", NONE "/stream", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/replay/stream", "atOnce", RUN "/replay/stream?mode=instant", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/replay/stream", "badMode", RUN "/replay/stream?mode=fast", NULL, 400, ERR_VALIDATION, "[\"mode" ONE_OF "instant, timed, step\"]"},
    {HTTP_GET, "/runs/:id/replay/stream", "unknown", NONE "/replay/stream", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/export", "whole", RUN "/export?includeRaw=true", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/export", "running", LIVE "/export", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/export", "tooMany", RUN "/export?eventLimit=50001", NULL, 400, ERR_VALIDATION, "[\"eventLimit must not be greater than 50000\"]"},
    {HTTP_GET, "/runs/:id/export", "unknown", NONE "/export", NULL, 404, NO_RUN},
    {HTTP_GET, "/runs/:id/export/stream", "lines", RUN "/export/stream?includeRaw=true", NULL, 200, 0, NULL},
    {HTTP_GET, "/runs/:id/export/stream", "noFlag", RUN "/export/stream?includeCanonical=maybe", NULL, 400, ERR_VALIDATION, "[\"includeCanonical must be a boolean value\"]"},
    {HTTP_GET, "/runs/:id/export/stream", "unknown", NONE "/export/stream", NULL, 404, NO_RUN},
    {HTTP_POST, "/runs/batch/cancel", "twoNeitherCancelled", "/runs/batch/cancel", IDS(EXAMPLE_OTHER_ID, EXAMPLE_UNKNOWN_ID), 201, 0, NULL},
    {HTTP_POST, "/runs/batch/cancel", "noList", "/runs/batch/cancel", "{}", 400, ERR_VALIDATION, "[\"runIds must be an array\",\"each value in runIds must be a UUID\"]"},
    {HTTP_POST, "/runs/batch/export", "two", "/runs/batch/export", IDS(EXAMPLE_RUN_ID, EXAMPLE_OTHER_ID), 201, 0, NULL},
    {HTTP_POST, "/runs/batch/export", "noList", "/runs/batch/export", "{\"runIds\":\"all\"}", 400, ERR_VALIDATION, "[\"runIds must be an array\",\"each value in runIds must be a UUID\"]"},
    {HTTP_POST, "/runs/batch/export", "unknown", "/runs/batch/export", IDS(EXAMPLE_RUN_ID, EXAMPLE_UNKNOWN_ID), 404, NO_RUN},
    {HTTP_POST, "/runs/batch/archive", "twoOneUnknown", "/runs/batch/archive", IDS(EXAMPLE_OTHER_ID, EXAMPLE_UNKNOWN_ID), 201, 0, NULL},
    {HTTP_POST, "/runs/batch/archive", "noIds", "/runs/batch/archive", "{\"runIds\":[1]}", 400, ERR_VALIDATION, "[\"each value in runIds must be a UUID\"]"},
    {HTTP_POST, "/runs/batch/delete", "twoNeitherDeleted", "/runs/batch/delete", IDS(EXAMPLE_LIVE_ID, EXAMPLE_UNKNOWN_ID), 201, 0, NULL},
    {HTTP_POST, "/runs/batch/delete", "noList", "/runs/batch/delete", "{}", 400, ERR_VALIDATION, "[\"runIds must be an array\",\"each value in runIds must be a UUID\"]"},
    {HTTP_POST, "/runs/:id/messages", "removed", RUN "/messages", NULL, 410, REMOVED("messages")},
    {HTTP_POST, "/runs/:id/messages", "notAUuid", "/runs/not-a-uuid/messages", NULL, 400, NO_UUID},
    {HTTP_POST, "/runs/:id/signal", "removed", RUN "/signal", NULL, 410, REMOVED("signal")},
    {HTTP_POST, "/runs/:id/signal", "notAUuid", "/runs/not-a-uuid/signal", NULL, 400, NO_UUID},
    {HTTP_POST, "/runs/:id/context", "removed", RUN "/context", NULL, 410, REMOVED("context")},
    {HTTP_POST, "/runs/:id/context", "notAUuid", "/runs/not-a-uuid/context", NULL, 400, NO_UUID},
    {HTTP_GET, "/events", "decisions", "/events?type=decision.finalized&limit=1", NULL, 200, 0, NULL},
    {HTTP_GET, "/events", "ofOneRun", "/events?runId=" EXAMPLE_RUN_ID "&afterSeq=5", NULL, 200, 0, NULL},
    {HTTP_GET, "/events", "newestFirst", "/events?beforeSeq=9007199254740992&limit=5", NULL, 200, 0, NULL},
    {HTTP_GET, "/events", "noRun", "/events?runId=x", NULL, 400, ERR_VALIDATION, "[\"runId must be a UUID\"]"},
    {HTTP_POST, "/webhooks", "completed", "/webhooks", "{\"url\":\"https://hooks.example.com/macp\",\"secret\":\"change-me\",\"events\":[\"run.completed\"]}", 201, 0, NULL},
    {HTTP_POST, "/webhooks", "noHost", "/webhooks", "{\"url\":\"http://localhost/x\",\"secret\":\"s\"}", 400, ERR_VALIDATION, "[\"url must be a URL address\"]"},
    {HTTP_GET, "/webhooks", "all", "/webhooks", NULL, 200, 0, NULL},
    {HTTP_PATCH, "/webhooks/:id", "off", "/webhooks/" EXAMPLE_IDLE_ID, "{\"active\":false}", 200, 0, NULL},
    {HTTP_PATCH, "/webhooks/:id", "noFlag", "/webhooks/" EXAMPLE_WEBHOOK_ID, "{\"active\":\"yes\"}", 400, ERR_VALIDATION, "[\"active must be a boolean value\"]"},
    {HTTP_PATCH, "/webhooks/:id", "unknown", "/webhooks/" EXAMPLE_UNKNOWN_ID, "{}", 404, NO_HOOK},
    {HTTP_GET, "/webhooks/:id/deliveries", "delivered", "/webhooks/" EXAMPLE_WEBHOOK_ID "/deliveries?status=delivered", NULL, 200, 0, NULL},
    {HTTP_GET, "/webhooks/:id/deliveries", "noStatus", "/webhooks/" EXAMPLE_WEBHOOK_ID "/deliveries?status=lost", NULL, 400, ERR_VALIDATION, "[\"status" ONE_OF "pending, delivered, failed\"]"},
    {HTTP_GET, "/webhooks/:id/deliveries", "unknown", "/webhooks/" EXAMPLE_UNKNOWN_ID "/deliveries", NULL, 404, NO_HOOK},
    {HTTP_POST, "/webhooks/:id/deliveries/:deliveryId/redeliver", "again", REDELIVER(EXAMPLE_WEBHOOK_ID, EXAMPLE_DELIVERY_ID), NULL, 202, 0, NULL},
    {HTTP_POST, "/webhooks/:id/deliveries/:deliveryId/redeliver", "unknown", REDELIVER(EXAMPLE_WEBHOOK_ID, EXAMPLE_UNKNOWN_ID), NULL, 404, ERR_NOT_FOUND, "delivery " EXAMPLE_UNKNOWN_ID " not found"},
    {HTTP_POST, "/webhooks/:id/deliveries/:deliveryId/redeliver", "notActive", REDELIVER(EXAMPLE_IDLE_ID, EXAMPLE_UNSENT_ID), NULL, 409, ERR_CONFLICT, "webhook " EXAMPLE_IDLE_ID " is not active"},
    {HTTP_DELETE, "/webhooks/:id", "deleted", "/webhooks/" EXAMPLE_WEBHOOK_ID, NULL, 204, 0, NULL},
    {HTTP_DELETE, "/webhooks/:id", "notAUuid", "/webhooks/not-a-uuid", NULL, 400, NO_UUID},
    {HTTP_GET, "/audit", "archived", "/audit?action=run.archived&limit=1", NULL, 200, 0, NULL},
    {HTTP_GET, "/audit", "noTime", "/audit?createdAfter=yesterday", NULL, 400, ERR_VALIDATION, "[\"createdAfter must be a valid ISO 8601 date string\"]"},
    {HTTP_GET, "/dashboard/overview", "day", "/dashboard/overview?window=24h", NULL, 200, 0, NULL},
    {HTTP_GET, "/dashboard/overview", "noWindow", "/dashboard/overview?window=2h", NULL, 400, ERR_VALIDATION, "[\"window" ONE_OF "15m, 1h, 6h, 24h, 7d, 30d\"]"},
    {HTTP_GET, "/dashboard/agents/metrics", "all", "/dashboard/agents/metrics", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/manifest", "known", "/runtime/manifest", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/modes", "known", "/runtime/modes", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/roots", "known", "/runtime/roots", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/health", "reachable", "/runtime/health", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/policies", "ofAMode", "/runtime/policies?mode=macp.mode.decision.v1", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/policies/:policyId", "default", "/runtime/policies/policy.default", NULL, 200, 0, NULL},
    {HTTP_GET, "/runtime/policies/:policyId", "unknown", "/runtime/policies/no%2Fsuch", NULL, 404, 0, "{\"statusCode\":404,\"errorCode\":\"NOT_FOUND\",\"message\":\"Policy 'no/such' not found\",\"metadata\":{\"grpcCode\":5}}"},
    {HTTP_POST, "/runtime/policies", "majority", "/runtime/policies", POLICY("demo.fraud"), 201, 0, NULL},
    {HTTP_POST, "/runtime/policies", "noId", "/runtime/policies", "{\"rules\":{}}", 400, ERR_VALIDATION, "policyId is required"},
    {HTTP_POST, "/runtime/policies", "reserved", "/runtime/policies", POLICY("policy.default"), 400, ERR_VALIDATION, "policy.default is reserved and cannot be registered"},
    {HTTP_DELETE, "/runtime/policies/:policyId", "unregistered", "/runtime/policies/demo.fraud", NULL, 200, 0, NULL},
    {HTTP_POST, "/admin/circuit-breaker/reset", "reset", "/admin/circuit-breaker/reset", NULL, 200, 0, NULL},
    {HTTP_GET, "/admin/circuit-breaker/history", "day", "/admin/circuit-breaker/history?window=24h", NULL, 200, 0, NULL},
    {HTTP_GET, "/metrics", "text", "/metrics", NULL, 200, 0, NULL},
    {HTTP_GET, "/healthz", "alive", "/healthz", NULL, 200, 0, NULL},
    {HTTP_GET, "/readyz", "ready", "/readyz?strict=1", NULL, 200, 0, NULL},
};
// clang-format on

const size_t samples_n = ARRAY_LEN(samples);
