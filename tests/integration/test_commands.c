/* What people ask to be done: carried out, refused, or honestly not known yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/json.h"
#include "tests/support/agent.h"
#include "tests/support/expect.h"

#define MODE     "macp.mode.decision.v1"
#define UNKNOWN  "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11"
#define OPERATOR "macp-operator" /* the observers' own name at the runtime */
#define PLANNER  "agent://planner"
#define NO_WAY                                                                                     \
    "run has no cancelCallback in metadata and no policy delegation \xe2\x80\x94 cannot cancel "   \
    "from control-plane"

enum { FLOOD = 100, FLOOD_READS = 30, READ_MS = 1500 };

static struct world world;
static struct agent *agent;

/* --- requests ----------------------------------------------------------------------------------
 */

static void
call(const char *method, const char *path, const char *body, struct http_reply *r)
{
    struct err err = {0};

    expect_ok(http_send(&world.http,
                        &(struct http_request){.method = method,
                                               .path = path,
                                               .body = body,
                                               .body_len = body ? strlen(body) : 0},
                        r, &err),
              &err, path);
}

/* The answer's body; its text must hold what is said. */
static json_t *
expect_call(const char *method, const char *path, const char *body, int status, const char *says)
{
    AUTO_HTTP_REPLY r = {0};

    call(method, path, body, &r);
    if (r.status != status || !strstr(buf_cstr(&r.body), says))
        fail_msg("%s %s %s: wanted %d %s, got %d %.600s", method, path, body ? body : "", status,
                 says, r.status, buf_cstr(&r.body));
    return json_incref(r.json);
}

static void
expect_said(const char *method, const char *path, const char *body, int status, const char *says)
{
    json_decref(expect_call(method, path, body, status, says));
}

static json_t *
command(const struct posted *run, const char *what, int status)
{
    char path[128];

    snprintf(path, sizeof path, "/runs/%s/%s", run->run, what);
    return expect_call("POST", path, "{\"reason\":\"enough\"}", status, "");
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text)
        fail_msg("no text member %s", key);
    return text;
}

static void
expect_text(json_t *object, const char *key, const char *wanted)
{
    assert_string_equal(text_of(object, key), wanted);
    json_decref(object);
}

/* --- runs --------------------------------------------------------------------------------------
 */

static void
open_session(const char *session, const char *initiator)
{
    json_decref(expect_control(
        &world,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:[s,s], s:s, s:s, s:i}}", "cmd", "send", "session",
                  session, "mode", MODE, "type", "SessionStart", "sender", initiator, "payload",
                  "participants", PLANNER, "agent://reviewer", "mode_version", "1.0.0",
                  "configuration_version", "config.default", "ttl_ms", 600000)));
}

/* path: of the agent's callback; NULL: the runtime is asked. */
static void
post_run(const char *path, struct posted *out)
{
    json_t *descriptor = world_descriptor(MODE, NULL), *metadata;
    char url[256];

    if (path)
        metadata = json_pack("{s:{s:s, s:s}}", "cancelCallback", "url",
                             agent_url(agent, path, url, sizeof url), "bearer", "of-the-agent");
    else
        metadata = json_pack("{s:b}", "cancellationDelegated", 1);
    json_object_set_new(json_object_get(descriptor, "session"), "metadata", metadata);
    expect_posted_as(&world, descriptor, out);
}

/* A run whose session is open. */
static void
start_run(const char *path, const char *initiator, struct posted *out)
{
    post_run(path, out);
    open_session(out->session, initiator);
    expect_status(&world, out->run, "running");
}

static void
set_runtime(const char *name, json_t *value)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:o}", "cmd", "set", name, value)));
}

static json_int_t
calls_of(const char *method)
{
    json_t *counters = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    json_int_t n = json_integer_value(json_object_get(json_object_get(counters, "total"), method));

    json_decref(counters);
    return n;
}

static void
expect_audit(const char *run, const char *action, const char *outcome)
{
    expect_sql(&world, "1",
               "select count(*) from macp.audit_log where action = '%s' and resource_id = '%s' and "
               "actor like 'key-%%' and request_id is not null and details->>'outcome' = '%s' and "
               "details->>'reason' = 'enough' and details->>'commandId' is not null",
               action, run, outcome);
    expect_sql(&world, "1",
               "select count(*) from macp.audit_log where action = '%s' and resource_id = '%s'",
               action, run);
}

/* --- cancel: the runtime is asked ----------------------------------------------------------------
 */

static void
delegated_cancel_ends_the_run_as_the_runtime_says(void **state)
{
    json_int_t before = calls_of("CancelSession");
    struct posted run;
    json_t *row;

    (void)state;
    start_run(NULL, OPERATOR, &run);
    row = command(&run, "cancel", 201);
    assert_string_equal(text_of(row, "id"), run.run);
    assert_string_equal(text_of(row, "status"), "cancelled");
    text_of(row, "endedAt");
    text_of(json_object_get(row, "metadata"), "cancelRequestedAt");
    json_decref(row);
    assert_int_equal(calls_of("CancelSession"), before + 1);
    expect_audit(run.run, "run.cancelled", "accepted");
    expect_stored_once(&world, run.run, run.session);
    assert_int_equal(expect_event_count(&world, run.run, "run.cancelled"), 1);
}

static void
cancel_of_an_ended_run_answers_it_and_asks_nobody(void **state)
{
    json_int_t before;
    struct posted run;

    (void)state;
    start_run(NULL, OPERATOR, &run);
    expect_text(command(&run, "cancel", 201), "status", "cancelled");
    before = calls_of("CancelSession");
    expect_text(command(&run, "cancel", 201), "status", "cancelled");
    assert_int_equal(calls_of("CancelSession"), before);
    expect_audit(run.run, "run.cancelled", "accepted");
}

static void
cancel_that_the_runtime_refuses_leaves_the_run(void **state)
{
    struct posted run;
    json_t *refused;

    (void)state;
    start_run(NULL, PLANNER, &run);
    refused = command(&run, "cancel", 403);
    assert_string_equal(text_of(refused, "errorCode"), "FORBIDDEN");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(refused, "metadata"), "grpcCode")), 7);
    json_decref(refused);
    expect_text(expect_run(&world, run.run), "status", "running");
    expect_audit(run.run, "run.cancelled", "failed");
    expect_sql(&world, "t", "select cancel_requested_at is null from macp.runs where id = '%s'",
               run.run);
}

/* What the runtime's statuses are in HTTP; the run stays as it is. */
static void
runtime_statuses_are_mapped_as_documented(void **state)
{
    static const struct {
        int grpc, status;
        const char *code;
    } cases[] = {
        {3, 400, "VALIDATION_ERROR"}, {16, 401, "UNAUTHENTICATED"},
        {8, 429, "RATE_LIMITED"},     {12, 501, "NOT_IMPLEMENTED"},
        {9, 409, "CONFLICT"},         {14, 503, "RUNTIME_UNAVAILABLE"},
        {4, 504, "RUNTIME_TIMEOUT"},  {13, 500, "INTERNAL_ERROR"},
    };
    struct posted run;

    (void)state;
    start_run(NULL, OPERATOR, &run);
    set_runtime("failMethod", json_string("CancelSession"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        set_runtime("failStatus", json_integer(cases[i].grpc));
        expect_text(command(&run, "cancel", cases[i].status), "errorCode", cases[i].code);
    }
    set_runtime("failMethod", json_string(""));
    set_runtime("failStatus", json_integer(14));
    expect_text(expect_run(&world, run.run), "status", "running");
    expect_text(command(&run, "cancel", 201), "status", "cancelled");
}

static void
cancel_before_the_session_opens_ends_the_run(void **state)
{
    struct posted asked, promised;

    (void)state;
    post_run(NULL, &asked);
    expect_text(command(&asked, "cancel", 201), "status", "cancelled");
    post_run("/ok", &promised);
    expect_text(command(&promised, "cancel", 201), "status", "cancelled");
    /* Its session may open all the same: nobody waits for it any more. */
    open_session(promised.session, PLANNER);
    expect_text(expect_run(&world, promised.run), "status", "cancelled");
    assert_int_equal(expect_event_count(&world, promised.run, "session.bound"), 0);
}

static void
nobody_to_ask_is_told_at_once(void **state)
{
    struct posted run;
    json_t *refused;

    (void)state;
    expect_posted(&world, MODE, NULL, &run);
    refused = command(&run, "cancel", 400);
    assert_string_equal(text_of(refused, "message"), NO_WAY);
    json_decref(refused);
    open_session(run.session, PLANNER);
    expect_status(&world, run.run, "running");
    json_decref(command(&run, "cancel", 400));
    expect_sql(&world, "0",
               "select count(*) from macp.commands join macp.runs r using (run_key) "
               "where r.id = '%s'",
               run.run);
}

/* --- cancel: the agent is asked ------------------------------------------------------------------
 */

/* A run whose agent cancels its session when it is asked to. */
static void
start_obeying_run(struct posted *out)
{
    char path[WORLD_SESSION_LEN + 32], url[WORLD_SESSION_LEN + 64];
    json_t *descriptor;

    expect_new_session(out->session);
    snprintf(path, sizeof path, "/obey/%s", out->session);
    descriptor = world_descriptor(MODE, out->session);
    json_object_set_new(json_object_get(descriptor, "session"), "metadata",
                        json_pack("{s:{s:s, s:s}}", "cancelCallback", "url",
                                  agent_url(agent, path, url, sizeof url), "bearer",
                                  "of-the-agent"));
    expect_posted_as(&world, descriptor, out);
    open_session(out->session, PLANNER);
    expect_status(&world, out->run, "running");
}

static void
agent_that_cancels_its_session_ends_the_run(void **state)
{
    char path[WORLD_SESSION_LEN + 32], request[4096], wanted[256];
    struct posted run;

    (void)state;
    start_obeying_run(&run);
    snprintf(path, sizeof path, "/runs/%s/cancel", run.run);
    expect_said("POST", path, "{\"reason\":\"say \\\"no\\\" \\u2014 \\n\"}", 201,
                "\"status\":\"cancelled\"");
    agent_last(agent, request, sizeof request);
    snprintf(wanted, sizeof wanted,
             "{\"runId\":\"%s\",\"reason\":\"say \\\"no\\\" \xe2\x80\x94 \\n\"}", run.run);
    assert_non_null(strstr(request, wanted));
    assert_non_null(strcasestr(request, "content-type: application/json\r\n"));
    assert_non_null(strcasestr(request, "content-length: "));
    assert_null(strcasestr(request, "transfer-encoding"));
    assert_non_null(strstr(request, "Bearer of-the-agent\r\n"));
    expect_stored_once(&world, run.run, run.session);
}

/* As the SDKs do it: the promise is shown, and the run is what the runtime says. */
static void
agent_that_only_promises_gets_a_202_and_is_believed_later(void **state)
{
    struct posted run;
    json_t *row;
    int asked;

    (void)state;
    start_run("/ok", PLANNER, &run);
    row = command(&run, "cancel", 202);
    assert_string_equal(text_of(row, "status"), "running");
    text_of(json_object_get(row, "metadata"), "cancelRequestedAt");
    json_decref(row);
    expect_audit(run.run, "run.cancelled", "accepted");
    /* Asked for again while it is open: the same command, and the agent hears nothing. */
    asked = agent_calls(agent, "/ok");
    json_decref(command(&run, "cancel", 202));
    assert_int_equal(agent_calls(agent, "/ok"), asked);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cancel", "session", run.session)));
    expect_status(&world, run.run, "cancelled");
    expect_sql_becomes(&world, "done",
                       "select string_agg(c.state, ' ') from macp.commands c join macp.runs r "
                       "using (run_key) where r.id = '%s'",
                       run.run);
    expect_audit(run.run, "run.cancelled", "accepted");
}

/* Whoever agreed an hour ago and did nothing is asked anew, and waited for as the first time. */
static void
promise_that_was_not_kept_shortens_no_later_wait(void **state)
{
    struct posted run;

    (void)state;
    start_obeying_run(&run);
    expect_sql(&world, "",
               "update macp.runs set cancel_requested_at = now() - interval '1 hour' "
               "where id = '%s'",
               run.run);
    expect_text(command(&run, "cancel", 201), "status", "cancelled");
}

static void
agent_that_fails_is_a_502_without_its_address(void **state)
{
    static const char *const paths[] = {"/error", "/close", "/redirect", "/hang", "/nowhere"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct posted run;
        json_t *refused;

        start_run(paths[i], PLANNER, &run);
        refused = command(&run, "cancel", 502);
        assert_string_equal(text_of(refused, "errorCode"), "INTERNAL_ERROR");
        assert_string_equal(text_of(refused, "message"), "cancel callback failed");
        json_decref(refused);
        expect_text(expect_run(&world, run.run), "status", "running");
        expect_audit(run.run, "run.cancelled", "failed");
    }
}

/* --- suspend and resume --------------------------------------------------------------------------
 */

static void
suspend_and_resume_follow_the_runtime(void **state)
{
    struct posted run;

    (void)state;
    start_run(NULL, OPERATOR, &run);
    expect_text(command(&run, "resume", 400), "message",
                "only suspended runs can be resumed (current status: running)");
    expect_text(command(&run, "suspend", 201), "status", "suspended");
    expect_text(command(&run, "suspend", 400), "message",
                "only running runs can be suspended (current status: suspended)");
    expect_text(command(&run, "resume", 201), "status", "running");
    expect_audit(run.run, "run.suspended", "done");
    expect_audit(run.run, "run.resumed", "done");
    assert_int_equal(expect_event_count(&world, run.run, "run.suspended"), 1);
    assert_int_equal(expect_event_count(&world, run.run, "run.resumed"), 1);
    expect_text(command(&run, "suspend", 201), "status", "suspended");
    expect_text(command(&run, "cancel", 201), "status", "cancelled");
    expect_text(command(&run, "resume", 400), "message",
                "only suspended runs can be resumed (current status: cancelled)");
}

static void
suspend_that_the_runtime_refuses_leaves_the_run(void **state)
{
    struct posted run, waiting;

    (void)state;
    start_run(NULL, PLANNER, &run);
    expect_text(command(&run, "suspend", 403), "errorCode", "FORBIDDEN");
    expect_text(expect_run(&world, run.run), "status", "running");
    expect_audit(run.run, "run.suspended", "failed");
    post_run(NULL, &waiting);
    json_decref(command(&waiting, "suspend", 400));
}

/* --- what is refused before anything is asked
 * ------------------------------------------------------ */

struct refusal {
    const char *method, *path, *body;
    int status;
    const char *says;
};

// clang-format off
static const struct refusal refusals[] = {
    {"POST", "/runs/" UNKNOWN "/cancel",  "{}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/" UNKNOWN "/suspend", "{}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/" UNKNOWN "/resume",  "{}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/nope/cancel",  "{}", 400, "Validation failed (uuid is expected)"},
    {"POST", "/runs/nope/suspend", "{}", 400, "Validation failed (uuid is expected)"},
    {"POST", "/runs/nope/resume",  "{}", 400, "Validation failed (uuid is expected)"},
    {"POST", "/runs/" UNKNOWN "/cancel",  "{\"reason\":1}", 400, "[\"reason must be a string\"]"},
    {"POST", "/runs/" UNKNOWN "/suspend", "{\"reason\":[]}", 400, "[\"reason must be a string\"]"},
    {"POST", "/runs/" UNKNOWN "/resume",  "{\"reason\":{}}", 400, "[\"reason must be a string\"]"},
    {"POST", "/runs/" UNKNOWN "/cancel",  "{\"reason\":\"a\\u0000b\"}", 400, "reason must not contain null characters"},
    {"POST", "/runs/" UNKNOWN "/cancel",  "{\"reason\":", 400, "Bad Request"},
    {"POST", "/runs/batch/cancel", "{}", 400, "runIds must be an array"},
    {"POST", "/runs/batch/cancel", "{\"runIds\":\"a\"}", 400, "runIds must be an array"},
    {"POST", "/runs/batch/cancel", "{\"runIds\":[1]}", 400, "each value in runIds must be a UUID"},
    {"POST", "/runtime/policies", NULL, 400, "policyId is required"},
    {"POST", "/runtime/policies", "{\"policyId\":\" \"}", 400, "policyId is required"},
    {"POST", "/runtime/policies", "{\"policyId\":1}", 400, "[\"policyId must be a string\"]"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\\u0000\"}", 400, "policyId must not contain null characters"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"mode\":1,\"description\":2}", 400, "[\"mode must be a string\",\"description must be a string\"]"},
    {"POST", "/runtime/policies", "{\"policyId\":\"policy.default\",\"rules\":{}}", 400, "policy.default is reserved and cannot be registered"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"schemaVersion\":0,\"rules\":{}}", 400, "schemaVersion must be > 0"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"schemaVersion\":-1,\"rules\":{}}", 400, "schemaVersion must be > 0"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"schemaVersion\":1.5,\"rules\":{}}", 400, "schemaVersion must be an integer number"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"schemaVersion\":\"1\",\"rules\":{}}", 400, "schemaVersion must be an integer number"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\"}", 400, "rules must be a JSON object"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"rules\":[]}", 400, "rules must be a JSON object"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"rules\":\"{}\"}", 400, "rules must be a JSON object"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"rules\":{\"voting\":{\"algorithm\":\"weighted\"}}}", 400, "weighted voting algorithm requires a weights map"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"rules\":{\"voting\":{\"algorithm\":\"supermajority\",\"threshold\":0.5}}}", 400, "supermajority voting requires threshold > 0.5"},
    {"POST", "/runtime/policies", "{\"policyId\":\"a\",\"rules\":{\"commitment\":{\"authority\":\"designated_role\",\"designated_roles\":[]}}}", 400, "designated_role authority requires non-empty designated_roles list"},
};
// clang-format on

static void
wrong_requests_are_refused_and_ask_for_nothing(void **state)
{
    long before = expect_sql_int(&world, "select count(*) from macp.commands");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        expect_said(refusals[i].method, refusals[i].path, refusals[i].body, refusals[i].status,
                    refusals[i].says);
    assert_int_equal(expect_sql_int(&world, "select count(*) from macp.commands"), before);
}

static void
commands_need_a_key(void **state)
{
    static const struct refusal all[] = {
        {"POST", "/runs/" UNKNOWN "/cancel"},
        {"POST", "/runs/" UNKNOWN "/suspend"},
        {"POST", "/runs/" UNKNOWN "/resume"},
        {"POST", "/runs/batch/cancel"},
        {"POST", "/runtime/policies"},
        {"DELETE", "/runtime/policies/a"},
        {"POST", "/admin/circuit-breaker/reset"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};

        expect_ok(http_send(&world.http,
                            &(struct http_request){.method = all[i].method,
                                                   .path = all[i].path,
                                                   .body = "{}",
                                                   .body_len = 2,
                                                   .without_key = true},
                            &r, &err),
                  &err, all[i].path);
        if (r.status != 401)
            fail_msg("%s %s without a key: %d", all[i].method, all[i].path, r.status);
    }
}

/* --- batch ---------------------------------------------------------------------------------------
 */

static void
batch_cancel_tells_of_each_run_and_waits_once(void **state)
{
    static const char *const wanted[] = {"cancelled", "requested", "requested", "failed",
                                         "failed",    "failed",    "cancelled"};
    struct posted good, promised[2], stuck, ended;
    int64_t began = clock_mono_ms();
    char body[1024];
    json_t *list;

    (void)state;
    start_run(NULL, OPERATOR, &good);
    start_run("/ok", PLANNER, &promised[0]);
    start_run("/ok", PLANNER, &promised[1]);
    expect_posted(&world, MODE, NULL, &stuck);
    post_run(NULL, &ended);
    json_decref(command(&ended, "cancel", 201));
    snprintf(body, sizeof body,
             "{\"runIds\":[\"%s\",\"%s\",\"%s\",\"%s\",\"" UNKNOWN "\",\"nope\",\"%s\"]}", good.run,
             promised[0].run, promised[1].run, stuck.run, ended.run);
    began = clock_mono_ms();
    list = expect_call("POST", "/runs/batch/cancel", body, 201, "");
    /* Two waits of two seconds would be four. */
    assert_true(clock_mono_ms() - began < process_slow(3500));
    assert_int_equal(json_array_size(list), ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_string_equal(text_of(json_array_get(list, i), "status"), wanted[i]);
    assert_string_equal(text_of(json_array_get(list, 0), "runId"), good.run);
    assert_string_equal(text_of(json_array_get(list, 3), "error"), NO_WAY);
    assert_string_equal(text_of(json_array_get(list, 4), "error"), "run " UNKNOWN " not found");
    assert_string_equal(text_of(json_array_get(list, 5), "error"), "run nope not found");
    json_decref(list);
    expect_sql(&world, "batch cancel",
               "select details->>'reason' from macp.audit_log where action = 'run.cancelled' and "
               "resource_id = '%s'",
               good.run);
    expect_said("POST", "/runs/batch/cancel", "{\"runIds\":[]}", 201, "[]");
}

/* --- policies ------------------------------------------------------------------------------------
 */

#define POLICY_PATH "/runtime/policies/policy.of%2Ftests"
#define POLICY(rules)                                                                              \
    "{\"policyId\":\"policy.of/tests\",\"mode\":\"" MODE "\",\"description\":\"\\\"\\u2014\","     \
    "\"rules\":" rules ",\"unknown\":1}"

static void
policy_is_there_when_its_registration_is_answered(void **state)
{
    (void)state;
    expect_said("POST", "/runtime/policies",
                POLICY("{\"voting\":{\"algorithm\":\"majority\",\"threshold\":0.6}}"), 201,
                "{\"ok\":true}");
    expect_said("GET", POLICY_PATH, NULL, 200,
                "\"rules\":{\"voting\":{\"algorithm\":\"majority\",\"threshold\":0.6}}");
    expect_said("POST", "/runtime/policies", POLICY("{}"), 409, "\"errorCode\":\"CONFLICT\"");
    expect_said("DELETE", POLICY_PATH, NULL, 200, "{\"ok\":true}");
    expect_said("GET", POLICY_PATH, NULL, 404, "\"errorCode\":\"NOT_FOUND\"");
    expect_said("DELETE", POLICY_PATH, NULL, 409, "policy not found");
    expect_said("DELETE", "/runtime/policies/policy.default", NULL, 409, "cannot be removed");
    expect_sql(&world,
               "policy.registered done, policy.registered failed, policy.unregistered "
               "done, policy.unregistered failed",
               "select string_agg(action || ' ' || (details->>'outcome'), ', ' order by action, "
               "details->>'outcome') from macp.audit_log where resource = 'policy' and resource_id "
               "= 'policy.of/tests' and actor like 'key-%%'");
}

static void
policy_that_the_runtime_refuses_is_an_error(void **state)
{
    (void)state;
    expect_said("POST", "/runtime/policies", POLICY("{\"voting\":5}"), 400,
                "{\"message\":\"INVALID_POLICY_DEFINITION: voting must be an object\"");
    set_runtime("policiesReadOnly", json_true());
    expect_said("POST", "/runtime/policies", POLICY("{}"), 409, "\"grpcCode\":9");
    expect_said("DELETE", POLICY_PATH, NULL, 409, "\"grpcCode\":9");
    set_runtime("policiesReadOnly", json_false());
    set_runtime("failMethod", json_string("RegisterPolicy"));
    set_runtime("failStatus", json_integer(7));
    expect_said("POST", "/runtime/policies", POLICY("{}"), 403, "\"errorCode\":\"FORBIDDEN\"");
    set_runtime("failMethod", json_string(""));
    set_runtime("failStatus", json_integer(14));
}

static void
overlong_policy_ids_are_refused(void **state)
{
    char body[1024], id[300];

    (void)state;
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    snprintf(body, sizeof body, "{\"policyId\":\"%s\",\"rules\":{}}", id);
    expect_said("POST", "/runtime/policies", body, 400,
                "policyId must be shorter than or equal to 255 characters");
    snprintf(body, sizeof body, "/runtime/policies/%s", id);
    expect_said("DELETE", body, NULL, 400,
                "policyId must be shorter than or equal to 255 characters");
}

/* However little of it can be stored, nobody behind it waits. */
static void
what_postgres_refuses_of_a_command_holds_up_no_other(void **state)
{
    struct err err = {0};

    (void)state;
    expect_said("POST", "/runtime/policies", POLICY("{}"), 201, "{\"ok\":true}");
    expect_ok(
        db_script(world.db,
                  "create function macp.refuse() returns trigger language plpgsql as $$ begin "
                  "raise exception 'refused'; end $$;"
                  "create trigger refuse before update on macp.commands for each row "
                  "when (new.result::text like '%already%') execute function macp.refuse();"
                  "create trigger refuse before insert on macp.audit_log for each row "
                  "when (new.resource_id like 'policy.unspeakable%') execute function "
                  "macp.refuse();"
                  "insert into macp.commands (kind, args, deadline) select 'policy-unregister', "
                  "jsonb_build_object('policyId', 'policy.unspeakable' || s), now() + s * interval "
                  "'1 hour' from generate_series(-1, 3) s",
                  &err),
        &err, "refuse");
    expect_sql_becomes(&world, "3",
                       "select count(*) from macp.commands where state = 'running' and args ->> "
                       "'policyId' like 'policy.unspeakable%%'");
    expect_said("POST", "/runtime/policies", POLICY("{}"), 409, "why cannot be stored");
    expect_said("DELETE", POLICY_PATH, NULL, 200, "{\"ok\":true}");
    expect_sql_becomes(&world, "2",
                       "select count(*) from macp.commands where state = 'expired' and args ->> "
                       "'policyId' like 'policy.unspeakable%%'");
    expect_ok(db_script(world.db,
                        "drop function macp.refuse() cascade;"
                        "delete from macp.commands where args ->> 'policyId' like "
                        "'policy.unspeakable%'",
                        &err),
              &err, "refuse no more");
}

/* --- breaker -------------------------------------------------------------------------------------
 */

static void
breaker_reset_reaches_every_observer(void **state)
{
    (void)state;
    expect_said("POST", "/admin/circuit-breaker/reset", NULL, 200,
                "{\"status\":\"ok\",\"state\":\"CLOSED\"}");
    expect_sql(&world, "t",
               "select bool_and(breaker_reset_at > now() - interval '1 minute') from "
               "macp.observer_instances where alive_until > now()");
    expect_sql(&world, "circuit-breaker",
               "select resource from macp.audit_log where action = 'circuit_breaker.reset'");
}

/* --- many ----------------------------------------------------------------------------------------
 */

struct flood {
    pthread_t thread;
    struct http http;
    char path[128];
    int status;
};

static atomic_int flooding;

static void *
flood_main(void *arg)
{
    struct flood *f = arg;
    AUTO_HTTP_REPLY r = {0};
    struct err err;

    if (http_send(
            &f->http,
            &(struct http_request){.method = "POST", .path = f->path, .body = "{}", .body_len = 2},
            &r, &err))
        f->status = r.status;
    atomic_fetch_sub(&flooding, 1);
    return NULL;
}

static void
agents_that_hang_do_not_keep_readers_waiting(void **state)
{
    static struct flood floods[FLOOD];
    int accepted = 0, failed = 0, reads = 0;
    struct posted run;

    (void)state;
    for (int i = 0; i < FLOOD; i++) {
        post_run("/hang", &run);
        floods[i].http = world.http;
        snprintf(floods[i].path, sizeof floods[i].path, "/runs/%s/cancel", run.run);
    }
    atomic_store(&flooding, FLOOD);
    for (int i = 0; i < FLOOD; i++)
        if (pthread_create(&floods[i].thread, NULL, flood_main, &floods[i]) != 0)
            fail_msg("no thread");
    while (atomic_load(&flooding) > 0 || reads < FLOOD_READS) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};

        expect_ok(http_get(&world.http, &r, &err, "/runs/%s", run.run), &err, "read");
        assert_int_equal(r.status, 200);
        if (r.elapsed_us / 1000 >= process_slow(READ_MS))
            fail_msg("a read took %lld ms", (long long)r.elapsed_us / 1000);
        reads++;
    }
    for (int i = 0; i < FLOOD; i++) {
        pthread_join(floods[i].thread, NULL);
        accepted += floods[i].status == 202;
        failed += floods[i].status == 502 || floods[i].status == 504;
    }
    assert_int_equal(accepted + failed, FLOOD);
    assert_true(failed > 0 && accepted > 0);
    expect_sql_becomes(&world, "0",
                       "select count(*) from macp.commands where state in ('requested', "
                       "'running') and kind = 'cancel' and run_key in (select run_key from "
                       "macp.runs where callback_url like '%%/hang')");
}

/* One agent has promised and its run is looked at all the time; the answer of the other is awaited
 * beyond the end of the shards. */
static void
observer_leaves_in_order_while_agents_are_asked(void **state)
{
    static const char *const paths[] = {"/ok", "/hang"};
    struct flood asked[ARRAY_LEN(paths)] = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        int before = agent_calls(agent, paths[i]);
        struct posted run;

        start_run(paths[i], PLANNER, &run);
        asked[i].http = world.http;
        snprintf(asked[i].path, sizeof asked[i].path, "/runs/%s/cancel", run.run);
        atomic_fetch_add(&flooding, 1);
        if (pthread_create(&asked[i].thread, NULL, flood_main, &asked[i]) != 0)
            fail_msg("no thread");
        while (agent_calls(agent, paths[i]) == before)
            process_pause(5);
    }
    assert_int_equal(world_stop_observerd(&world, process_slow(10000)), 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        pthread_join(asked[i].thread, NULL);
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
}

/* --- nobody there --------------------------------------------------------------------------------
 */

static void
command_without_an_observer_lives_on(void **state)
{
    struct err err = {0};
    json_t *refused;
    char id[32];

    (void)state;
    world_stop_observerd(&world, 10000);
    refused = expect_call("POST", "/admin/circuit-breaker/reset", NULL, 504, "RUNTIME_TIMEOUT");
    snprintf(id, sizeof id, "%s", text_of(json_object_get(refused, "metadata"), "commandId"));
    json_decref(refused);
    expect_sql(&world, "requested", "select state from macp.commands where id = %s", id);
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    expect_sql_becomes(&world, "done", "select state from macp.commands where id = %s", id);
}

static void
command_that_nobody_carries_out_in_time_expires(void **state)
{
    struct err err = {0};
    struct posted run;
    char id[32];
    json_t *refused;

    (void)state;
    start_run(NULL, OPERATOR, &run);
    world_stop_observerd(&world, 10000);
    refused = command(&run, "suspend", 504);
    snprintf(id, sizeof id, "%s", text_of(json_object_get(refused, "metadata"), "commandId"));
    json_decref(refused);
    expect_sql(&world, "", "update macp.commands set deadline = now() where id = %s", id);
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    expect_sql_becomes(&world, "expired", "select state from macp.commands where id = %s", id);
    expect_audit(run.run, "run.suspended", "expired");
    expect_text(expect_run(&world, run.run), "status", "running");
}

/* --- another one goes on -------------------------------------------------------------------------
 */

static void
command_of_an_observer_that_was_killed_is_finished_by_another(void **state)
{
    char first[UUID_LEN];
    struct posted run;
    struct err err = {0};
    int asked;

    (void)state;
    start_run("/ok", PLANNER, &run);
    json_decref(command(&run, "cancel", 202));
    asked = agent_calls(agent, "/ok");
    expect_ok(world_sql(&world, first, sizeof first, &err,
                        "select owner from macp.commands c join macp.runs r using (run_key) where "
                        "r.id = '%s'",
                        run.run),
              &err, "owner");
    world_kill_observerd(&world);
    expect_ok(world_start_second_observerd(&world, &err), &err, "second observer");
    expect_sql_becomes(&world, "t",
                       "select c.owner = o.owner and c.owner <> '%s' from macp.commands c join "
                       "macp.run_observers o using (run_key) join macp.runs r using (run_key) "
                       "where r.id = '%s'",
                       first, run.run);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cancel", "session", run.session)));
    expect_status(&world, run.run, "cancelled");
    expect_sql_becomes(&world, "done",
                       "select c.state from macp.commands c join macp.runs r using (run_key) where "
                       "r.id = '%s'",
                       run.run);
    assert_int_equal(agent_calls(agent, "/ok"), asked);
    expect_audit(run.run, "run.cancelled", "accepted");
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    world_stop_second_observerd(&world, 10000);
}

/* --- as the predecessor did it
 * -------------------------------------------------------------------- */

static const char *const observerd_env[] = {"CANCEL_CALLBACK_TIMEOUT_MS=1000", NULL};

static void
optimistic_cancel_takes_the_promise_for_the_deed(void **state)
{
    static const char *const optimistic_env[] = {"CANCEL_CALLBACK_TIMEOUT_MS=1000",
                                                 "CANCEL_OPTIMISTIC=true", NULL};
    struct posted promised, refused;
    struct err err = {0};

    (void)state;
    world_stop_observerd(&world, 10000);
    world.options.observerd_env = optimistic_env;
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    start_run("/ok", PLANNER, &promised);
    expect_text(command(&promised, "cancel", 201), "status", "cancelled");
    start_run(NULL, PLANNER, &refused);
    expect_text(command(&refused, "cancel", 201), "status", "cancelled");
    world_stop_observerd(&world, 10000);
    world.options.observerd_env = observerd_env;
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
}

static int
set_up(void **state)
{
    static const char *const fcgi_env[] = {"CANCEL_CALLBACK_TIMEOUT_MS=1000",
                                           "COMMAND_WAIT_MS=3000", "FCGI_THREADS=8", NULL};
    struct err err = {0};

    (void)state;
    if (world_start(&world,
                    &(struct world_options){.runtime_bearer = "tok-operator",
                                            .observerd_env = observerd_env,
                                            .fcgi_env = fcgi_env},
                    &err) &&
        agent_start(world.control_path, &agent, &err))
        return 0;
    print_error("%s\n", err.msg);
    world_stop(&world);
    return -1;
}

static int
tear_down(void **state)
{
    (void)state;
    agent_stop(agent);
    world_stop(&world);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delegated_cancel_ends_the_run_as_the_runtime_says),
        cmocka_unit_test(cancel_of_an_ended_run_answers_it_and_asks_nobody),
        cmocka_unit_test(cancel_that_the_runtime_refuses_leaves_the_run),
        cmocka_unit_test(runtime_statuses_are_mapped_as_documented),
        cmocka_unit_test(cancel_before_the_session_opens_ends_the_run),
        cmocka_unit_test(nobody_to_ask_is_told_at_once),
        cmocka_unit_test(agent_that_cancels_its_session_ends_the_run),
        cmocka_unit_test(agent_that_only_promises_gets_a_202_and_is_believed_later),
        cmocka_unit_test(promise_that_was_not_kept_shortens_no_later_wait),
        cmocka_unit_test(agent_that_fails_is_a_502_without_its_address),
        cmocka_unit_test(suspend_and_resume_follow_the_runtime),
        cmocka_unit_test(suspend_that_the_runtime_refuses_leaves_the_run),
        cmocka_unit_test(wrong_requests_are_refused_and_ask_for_nothing),
        cmocka_unit_test(commands_need_a_key),
        cmocka_unit_test(batch_cancel_tells_of_each_run_and_waits_once),
        cmocka_unit_test(policy_is_there_when_its_registration_is_answered),
        cmocka_unit_test(policy_that_the_runtime_refuses_is_an_error),
        cmocka_unit_test(overlong_policy_ids_are_refused),
        cmocka_unit_test(what_postgres_refuses_of_a_command_holds_up_no_other),
        cmocka_unit_test(breaker_reset_reaches_every_observer),
        cmocka_unit_test(agents_that_hang_do_not_keep_readers_waiting),
        cmocka_unit_test(observer_leaves_in_order_while_agents_are_asked),
        cmocka_unit_test(command_without_an_observer_lives_on),
        cmocka_unit_test(command_that_nobody_carries_out_in_time_expires),
        cmocka_unit_test(command_of_an_observer_that_was_killed_is_finished_by_another),
        cmocka_unit_test(optimistic_cancel_takes_the_promise_for_the_deed),
    };

    return cmocka_run_group_tests_name("commands", tests, set_up, tear_down);
}
