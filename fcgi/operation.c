#include "fcgi/operation.h"

#include <string.h>

#include "fcgi/model.h"
#include "fcgi/route.h"

// clang-format off
const struct operation operations[] = {
    {HTTP_POST,   "/runs",                         "runs",      201, ANSWER_OBJECT,  &model_run_created,    NULL, {409}},
    {HTTP_POST,   "/runs/validate",                "runs",      201, ANSWER_OBJECT,  &model_validation,     NULL, {0}},
    {HTTP_GET,    "/runs",                         "runs",      200, ANSWER_OBJECT,  &model_run_page,       NULL, {0}},
    {HTTP_GET,    "/runs/:id",                     "runs",      200, ANSWER_OBJECT,  &model_run,            NULL, {404}},
    {HTTP_GET,    "/runs/:id/state",               "runs",      200, ANSWER_OBJECT,  &model_state,          NULL, {404}},
    {HTTP_GET,    "/runs/:id/events",              "events",    200, ANSWER_EITHER,  &model_event,          &model_event_page, {0}},
    {HTTP_DELETE, "/runs/:id",                     "runs",      204, ANSWER_NOTHING, NULL,                  NULL, {404}},
    {HTTP_POST,   "/runs/:id/archive",             "runs",      201, ANSWER_OBJECT,  &model_run,            NULL, {404}},
    {HTTP_POST,   "/runs/:id/clone",               "runs",      201, ANSWER_OBJECT,  &model_run_created,    NULL, {404}},
    {HTTP_POST,   "/runs/:id/cancel",              "runs",      201, ANSWER_OBJECT,  &model_run,            NULL, {202, 404, 409, 501, 502, 504}},
    {HTTP_POST,   "/runs/:id/suspend",             "runs",      201, ANSWER_OBJECT,  &model_run,            NULL, {202, 404, 409, 501, 504}},
    {HTTP_POST,   "/runs/:id/resume",              "runs",      201, ANSWER_OBJECT,  &model_run,            NULL, {202, 404, 409, 501, 504}},
    {HTTP_POST,   "/runs/compare",                 "runs",      201, ANSWER_OBJECT,  &model_comparison,     NULL, {404}},
    {HTTP_GET,    "/runs/:id/metrics",             "runs",      200, ANSWER_OBJECT,  &model_metrics,        NULL, {404}},
    {HTTP_GET,    "/runs/:id/traces",              "runs",      200, ANSWER_OBJECT,  &model_traces,         NULL, {404}},
    {HTTP_GET,    "/runs/:id/artifacts",           "artifacts", 200, ANSWER_LIST,    &model_artifact,       NULL, {404}},
    {HTTP_POST,   "/runs/:id/artifacts",           "artifacts", 201, ANSWER_OBJECT,  &model_artifact_made,  NULL, {404}},
    {HTTP_GET,    "/runs/:id/messages",            "runs",      200, ANSWER_LIST,    NULL,                  NULL, {0}},
    {HTTP_POST,   "/runs/:id/replay",              "replay",    201, ANSWER_OBJECT,  &model_replay,         NULL, {404}},
    {HTTP_GET,    "/runs/:id/replay/state",        "replay",    200, ANSWER_OBJECT,  &model_state,          NULL, {404}},
    {HTTP_POST,   "/runs/:id/projection/rebuild",  "runs",      201, ANSWER_OBJECT,  &model_rebuilt,        NULL, {202, 404, 409, 504}},
    {HTTP_GET,    "/runs/:id/stream",              "streams",   200, ANSWER_STREAM,  NULL,                  NULL, {404}},
    {HTTP_GET,    "/runs/:id/replay/stream",       "replay",    200, ANSWER_STREAM,  NULL,                  NULL, {404}},
    {HTTP_GET,    "/runs/:id/export",              "exports",   200, ANSWER_EXPORT,  &model_export,         &model_export_line, {404}},
    {HTTP_GET,    "/runs/:id/export/stream",       "exports",   200, ANSWER_LINES,   &model_export_line,    NULL, {404}},
    {HTTP_POST,   "/runs/batch/cancel",            "runs",      201, ANSWER_LIST,    &model_batch_result,   NULL, {0}},
    {HTTP_POST,   "/runs/batch/export",            "exports",   201, ANSWER_LIST,    &model_export,         NULL, {404}},
    {HTTP_POST,   "/runs/batch/archive",           "runs",      201, ANSWER_LIST,    &model_batch_result,   NULL, {0}},
    {HTTP_POST,   "/runs/batch/delete",            "runs",      201, ANSWER_LIST,    &model_batch_result,   NULL, {0}},
    {HTTP_POST,   "/runs/:id/messages",            "removed",   0,   ANSWER_NOTHING, NULL,                  NULL, {410}},
    {HTTP_POST,   "/runs/:id/signal",              "removed",   0,   ANSWER_NOTHING, NULL,                  NULL, {410}},
    {HTTP_POST,   "/runs/:id/context",             "removed",   0,   ANSWER_NOTHING, NULL,                  NULL, {410}},
    {HTTP_GET,    "/events",                       "events",    200, ANSWER_OBJECT,  &model_event_page,     NULL, {0}},
    {HTTP_GET,    "/webhooks",                     "webhooks",  200, ANSWER_LIST,    &model_webhook_listed, NULL, {0}},
    {HTTP_POST,   "/webhooks",                     "webhooks",  201, ANSWER_OBJECT,  &model_webhook,        NULL, {0}},
    {HTTP_PATCH,  "/webhooks/:id",                 "webhooks",  200, ANSWER_OBJECT,  &model_webhook,        NULL, {404}},
    {HTTP_DELETE, "/webhooks/:id",                 "webhooks",  204, ANSWER_NOTHING, NULL,                  NULL, {0}},
    {HTTP_GET,    "/webhooks/:id/deliveries",      "webhooks",  200, ANSWER_OBJECT,  &model_delivery_page,  NULL, {404}},
    {HTTP_POST,   "/webhooks/:id/deliveries/:deliveryId/redeliver",
                                                   "webhooks",  202, ANSWER_OBJECT,  &model_delivery,       NULL, {404, 409}},
    {HTTP_GET,    "/audit",                        "audit",     200, ANSWER_OBJECT,  &model_audit_page,     NULL, {0}},
    {HTTP_GET,    "/dashboard/overview",           "dashboard", 200, ANSWER_OBJECT,  &model_overview,       NULL, {0}},
    {HTTP_GET,    "/dashboard/agents/metrics",     "dashboard", 200, ANSWER_LIST,    &model_agent,          NULL, {0}},
    {HTTP_GET,    "/runtime/manifest",             "runtime",   200, ANSWER_OBJECT,  &model_manifest,       NULL, {0}},
    {HTTP_GET,    "/runtime/modes",                "runtime",   200, ANSWER_LIST,    &model_mode,           NULL, {0}},
    {HTTP_GET,    "/runtime/roots",                "runtime",   200, ANSWER_LIST,    &model_root,           NULL, {0}},
    {HTTP_GET,    "/runtime/health",               "runtime",   200, ANSWER_OBJECT,  &model_runtime_health, NULL, {0}},
    {HTTP_GET,    "/runtime/policies",             "runtime",   200, ANSWER_LIST,    &model_policy,         NULL, {0}},
    {HTTP_GET,    "/runtime/policies/:policyId",   "runtime",   200, ANSWER_OBJECT,  &model_policy,         NULL, {404}},
    {HTTP_POST,   "/runtime/policies",             "runtime",   201, ANSWER_OBJECT,  &model_policy_done,    NULL, {409, 501, 504}},
    {HTTP_DELETE, "/runtime/policies/:policyId",   "runtime",   200, ANSWER_OBJECT,  &model_policy_done,    NULL, {409, 501, 504}},
    {HTTP_POST,   "/admin/circuit-breaker/reset",  "admin",     200, ANSWER_OBJECT,  &model_breaker_reset,  NULL, {504}},
    {HTTP_GET,    "/admin/circuit-breaker/history","admin",     200, ANSWER_OBJECT,  &model_breaker,        NULL, {0}},
    {HTTP_GET,    "/metrics",                      "health",    200, ANSWER_TEXT,    NULL,                  NULL, {0}},
    {HTTP_GET,    "/healthz",                      "health",    200, ANSWER_OBJECT,  &model_live,           NULL, {0}},
    {HTTP_GET,    "/readyz",                       "health",    200, ANSWER_OBJECT,  &model_ready,          NULL, {0}},
};
// clang-format on

const size_t operations_n = ARRAY_LEN(operations);

const struct operation *
operation_of(const struct route *route)
{
    for (size_t i = 0; i < operations_n; i++)
        if (operations[i].method == route->method && strcmp(operations[i].path, route->path) == 0)
            return &operations[i];
    return NULL;
}
