/* Operations on runs and beside them: what each answers, refuses and leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cpu.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define MODE          "macp.mode.decision.v1"
#define UNKNOWN       "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11"
#define ONE_OF        "must be one of the following values: "
#define TERMINAL_ONLY "only terminal runs (completed, failed, cancelled) can be deleted"

static struct world world;
static enum web_kind web;
/* done: completed; other: completed too; waiting: its session is never opened. */
static struct posted done, other, waiting;

/* --- requests ----------------------------------------------------------------------------------
 */

/* In paths and bodies, {done}, {other} and {waiting} stand for ids of runs. */
struct request_case {
    const char *method, *path;
    const char *body; /* NULL: none */
    int status;
    const char *says; /* part of the body, "" anything */
};

static void
fill(const char *template, char *out, size_t size)
{
    static const struct {
        const char *name;
        const struct posted *run;
    } names[] = {{"{done}", &done}, {"{other}", &other}, {"{waiting}", &waiting}};
    size_t n = 0;

    for (const char *p = template; *p && n + UUID_LEN < size;) {
        const struct posted *run = NULL;

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (strncmp(p, names[i].name, strlen(names[i].name)) == 0) {
                run = names[i].run;
                p += strlen(names[i].name);
            }
        if (run)
            n += (size_t)snprintf(out + n, size - n, "%s", run->run);
        else
            out[n++] = *p++;
    }
    out[n] = '\0';
}

static void
send_case(const struct request_case *c, bool without_key, struct http_reply *r)
{
    char path[1024], body[16384];
    struct err err = {0};

    fill(c->path, path, sizeof path);
    fill(c->body ? c->body : "", body, sizeof body);
    expect_ok(http_send(&world.http,
                        &(struct http_request){.method = c->method,
                                               .path = path,
                                               .body = c->body ? body : NULL,
                                               .body_len = strlen(body),
                                               .without_key = without_key},
                        r, &err),
              &err, path);
}

static void
check_cases(const struct request_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO_HTTP_REPLY r = {0};
        char says[1024];

        send_case(&cases[i], false, &r);
        fill(cases[i].says, says, sizeof says);
        if (r.status != cases[i].status || !strstr(buf_cstr(&r.body), says))
            fail_msg("%s %s %s: wanted %d %s, got %d %.600s", cases[i].method, cases[i].path,
                     cases[i].body ? cases[i].body : "", cases[i].status, says, r.status,
                     buf_cstr(&r.body));
        if (r.body.len > 0 && !r.json && !strstr(buf_cstr(&r.headers), "ndjson"))
            fail_msg("%s %s: no JSON: %.300s", cases[i].method, cases[i].path, buf_cstr(&r.body));
    }
}

#define CONTEXT_TEXT "context overrides are no longer accepted \xe2\x80\x94 session context"

// clang-format off
static const struct request_case run_cases[] = {
    {"GET",  "/runs/{done}/metrics", NULL, 200, "\"runId\":\"{done}\",\"eventCount\":"},
    {"GET",  "/runs/{waiting}/metrics", NULL, 200, "\"sessionState\":null"},
    {"GET",  "/runs/" UNKNOWN "/metrics", NULL, 404, "run " UNKNOWN " not found"},
    {"GET",  "/runs/nope/metrics", NULL, 400, "Validation failed (uuid is expected)"},
    {"GET",  "/runs/{done}/traces", NULL, 200, "\"runStatus\":\"completed\""},
    {"GET",  "/runs/{waiting}/traces", NULL, 200, "\"spanCount\":0,\"linkedArtifacts\":[]"},
    {"GET",  "/runs/" UNKNOWN "/traces", NULL, 404, "run " UNKNOWN " not found"},
    {"GET",  "/runs/{done}/messages", NULL, 200, "[]"},
    {"GET",  "/runs/" UNKNOWN "/messages", NULL, 200, "[]"},
    {"GET",  "/runs/nope/messages", NULL, 400, "Validation failed (uuid is expected)"},
    {"GET",  "/runs/{done}/artifacts", NULL, 200, "\"kind\":\"bundle\",\"label\":\"first\",\"uri\":null,\"inline\":null,\"createdAt\":\""},
    {"GET",  "/runs/{waiting}/artifacts", NULL, 200, "[]"},
    {"GET",  "/runs/" UNKNOWN "/artifacts", NULL, 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/" UNKNOWN "/artifacts", "{\"kind\":\"log\",\"label\":\"a\"}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/{done}/artifacts", "{}", 400, "[\"kind " ONE_OF "trace, json, report, log, bundle\",\"label should not be empty\",\"label must be a string\"]"},
    {"POST", "/runs/{done}/artifacts", "{\"kind\":\"log\",\"label\":1,\"uri\":2,\"inline\":[]}", 400, "[\"label must be a string\",\"uri must be a string\",\"inline must be an object\"]"},
    {"POST", "/runs/{done}/artifacts", "{\"kind\":\"log\",\"label\":\"a\\u0000b\"}", 400, "label must not contain null characters"},
    {"POST", "/runs/{done}/artifacts", "{\"kind\":\"log\",\"label\":\"a\",\"inline\":{\"a\":\"\\u0000\"}}", 400, "inline must not contain null characters"},
    {"POST", "/runs/{done}/artifacts", "{\"kind\":\"report\",\"label\":\"'; drop table runs; --\",\"uri\":null,\"inline\":{\"n\":[1,\"\\\"\\\\\"]}}", 201, "\"uri\":null,\"inline\":{\"n\":[1,\"\\\"\\\\\"]},\"id\":\""},
    {"POST", "/runs/{done}/replay", NULL, 201, "{\"runId\":\"{done}\",\"mode\":\"timed\",\"speed\":1,\"streamUrl\":\"/runs/{done}/replay/stream?mode=timed&speed=1\",\"stateUrl\":\"/runs/{done}/replay/state\"}"},
    {"POST", "/runs/{done}/replay", "{\"mode\":\"instant\",\"speed\":0.5,\"fromSeq\":2,\"toSeq\":9}", 201, "\"fromSeq\":2,\"toSeq\":9,\"streamUrl\":\"/runs/{done}/replay/stream?mode=instant&speed=0.5&fromSeq=2&toSeq=9\""},
    {"POST", "/runs/{done}/replay", "{\"mode\":\"fast\",\"speed\":\"2\",\"fromSeq\":0}", 400, "[\"mode " ONE_OF "instant, timed, step\",\"speed must not be less than 0.1\",\"speed must be a number conforming to the specified constraints\",\"fromSeq must not be less than 1\"]"},
    {"POST", "/runs/" UNKNOWN "/replay", "{}", 404, "run " UNKNOWN " not found"},
    {"GET",  "/runs/{done}/replay/state?seq=1", NULL, 200, "\"latestSeq\":1,\"totalEvents\":1"},
    {"GET",  "/runs/{done}/replay/state?seq=", NULL, 200, "\"status\":\"completed\""},
    {"GET",  "/runs/{done}/replay/state?seq=-1", NULL, 200, "\"latestSeq\":0,\"totalEvents\":0"},
    {"GET",  "/runs/{done}/replay/state?seq=abc", NULL, 400, "[\"seq must be an integer number\"]"},
    {"GET",  "/runs/{done}/replay/state?seq=1.5", NULL, 400, "[\"seq must be an integer number\"]"},
    {"GET",  "/runs/{done}/replay/state?seq=2147483648", NULL, 400, "seq must not be greater than 2147483647"},
    {"GET",  "/runs/{done}/replay/state?seq=1&seq=2", NULL, 400, "seq must be an integer number"},
    {"GET",  "/runs/" UNKNOWN "/replay/state", NULL, 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/{done}/projection/rebuild", NULL, 201, "\"rebuilt\":true,\"latestSeq\":"},
    {"POST", "/runs/" UNKNOWN "/projection/rebuild", NULL, 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/compare", "{\"leftRunId\":\"{done}\",\"rightRunId\":\"{waiting}\"}", 201, "\"statusMatch\":false"},
    {"POST", "/runs/compare", "{\"leftRunId\":\"{done}\",\"rightRunId\":\"{done}\"}", 201, "\"durationDeltaMs\":0,\"confidenceDelta\":0,\"participantsDiff\":{\"added\":[],\"removed\":[],\"common\":["},
    {"POST", "/runs/compare", "{\"leftRunId\":\"{done}\"}", 400, "[\"rightRunId must be a UUID\"]"},
    {"POST", "/runs/compare", "{\"leftRunId\":\"{done}\",\"rightRunId\":\"5b0f3c64-58a5-9c52-9a5e-0d6f0b7c2f11\"}", 400, "[\"rightRunId must be a UUID\"]"},
    {"POST", "/runs/compare", "{\"leftRunId\":\"" UNKNOWN "\",\"rightRunId\":\"{done}\"}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/{done}/clone", "{\"tags\":1,\"context\":[]}", 400, "[\"each value in tags must be a string\",\"tags must be an array\",\"context must be an object\"]"},
    {"POST", "/runs/{done}/clone", "{\"context\":{\"a\":1}}", 400, CONTEXT_TEXT},
    {"POST", "/runs/{done}/clone", "{\"tags\":[\"a\\u0000\"]}", 400, "tags must not contain null characters"},
    {"POST", "/runs/" UNKNOWN "/clone", "{}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/" UNKNOWN "/archive", NULL, 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/nope/archive", NULL, 400, "Validation failed (uuid is expected)"},
    {"DELETE", "/runs/{waiting}", NULL, 400, TERMINAL_ONLY},
    {"DELETE", "/runs/" UNKNOWN, NULL, 404, "run " UNKNOWN " not found"},
    {"DELETE", "/runs/nope", NULL, 400, "Validation failed (uuid is expected)"},
};
// clang-format on

static void
operations_on_runs_answer_as_documented(void **state)
{
    (void)state;
    check_cases(run_cases, ARRAY_LEN(run_cases));
}

static void
check_keys(const struct request_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO_HTTP_REPLY r = {0};

        send_case(&cases[i], true, &r);
        if (r.status != 401 || !strstr(buf_cstr(&r.body), "Missing Authorization header"))
            fail_msg("%s %s without a key: %d %.200s", cases[i].method, cases[i].path, r.status,
                     buf_cstr(&r.body));
    }
}

static void
operations_on_runs_need_a_key(void **state)
{
    (void)state;
    check_keys(run_cases, ARRAY_LEN(run_cases));
}

/* --- what operations leave behind ----------------------------------------------------------------
 */

static void
post_completed(struct posted *out)
{
    expect_new_session(out->session);
    expect_played(&world, "decision.positive", out->session, NULL);
    expect_posted(&world, MODE, out->session, out);
    expect_status(&world, out->run, "completed");
}

static json_t *
expect_send(const char *method, const char *run, const char *operation, const char *body,
            int status)
{
    AUTO_HTTP_REPLY r = {0};
    char path[256];

    snprintf(path, sizeof path, "/runs/%s%s", run, operation);
    send_case(&(struct request_case){method, path, body, status, ""}, false, &r);
    if (r.status != status)
        fail_msg("%s %s: wanted %d, got %d %.300s", method, path, status, r.status,
                 buf_cstr(&r.body));
    return json_incref(r.json);
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
deleted_run_leaves_a_tombstone_and_an_audit_row_only(void **state)
{
    static const char *const tables[] = {
        "runs",        "run_observers", "run_sessions",         "run_projections",
        "run_metrics", "run_artifacts", "run_participants",     "run_decisions",
        "run_votes",   "run_signals",   "run_llm_calls",        "run_events_raw",
        "commands",    "observer_gaps", "run_events_canonical",
    };
    struct posted run;
    long key;

    (void)state;
    post_completed(&run);
    key = expect_sql_int(&world, "select run_key from macp.runs where id = '%s'", run.run);
    json_decref(expect_send("DELETE", run.run, "", NULL, 204));
    json_decref(expect_send("DELETE", run.run, "", NULL, 404));
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        expect_sql(&world, "0", "select count(*) from macp.%s where run_key = %ld", tables[i], key);
    expect_sql(&world, "1",
               "select count(*) from macp.session_tombstones where session_id = '%s' "
               "and ended_at is not null",
               run.session);
    expect_sql(&world, "t",
               "select actor like 'key-%%' and actor_type = 'service' and resource = "
               "'run' and request_id is not null from macp.audit_log where action = "
               "'run.deleted' and resource_id = '%s'",
               run.run);
    /* The observer that still held the run goes on with others. */
    post_completed(&run);
}

static void
archive_is_repeatable_and_keeps_its_first_time(void **state)
{
    struct posted run;
    json_t *first, *second;

    (void)state;
    post_completed(&run);
    first = expect_send("POST", run.run, "/archive", NULL, 201);
    second = expect_send("POST", run.run, "/archive", NULL, 201);
    assert_string_equal(text_of(first, "archivedAt"), text_of(second, "archivedAt"));
    assert_int_equal(json_array_size(json_object_get(second, "tags")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(second, "tags"), 0)),
                        "archived");
    json_decref(first);
    json_decref(second);
    expect_sql(&world, "2",
               "select count(*) from macp.audit_log where action = 'run.archived' and "
               "resource_id = '%s'",
               run.run);
    first = expect_get(&world, 200, "/runs?search=%s", run.run);
    assert_int_equal(json_integer_value(json_object_get(first, "total")), 0);
    json_decref(first);
}

static void
clone_is_a_new_run_of_the_same_descriptor_with_its_secret(void **state)
{
    json_t *d = world_descriptor(MODE, NULL), *answer, *run;
    json_t *session = json_object_get(d, "session");
    struct posted source;

    (void)state;
    json_object_set_new(session, "metadata",
                        json_pack("{s:{s:s,s:s},s:s}", "cancelCallback", "url",
                                  "http://127.0.0.1:9/cancel", "bearer", "clone-secret",
                                  "sourceRef", "pack/one"));
    json_object_set_new(d, "execution",
                        json_pack("{s:s,s:[s]}", "idempotencyKey", "clone-me", "tags", "old"));
    expect_posted_as(&world, d, &source);
    answer = expect_send("POST", source.run, "/clone", "{\"tags\":[\"new\"],\"context\":{}}", 201);
    assert_string_not_equal(text_of(answer, "runId"), source.run);
    assert_string_not_equal(text_of(answer, "sessionId"), source.session);
    assert_string_equal(text_of(answer, "status"), "queued");
    run = expect_run(&world, text_of(answer, "runId"));
    assert_string_equal(text_of(run, "sourceRef"), "pack/one");
    assert_true(json_is_null(json_object_get(run, "idempotencyKey")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(run, "tags"), 0)), "new");
    expect_sql(&world, "cloned clone-secret",
               "select origin || ' ' || callback_bearer from "
               "macp.runs where id = '%s'",
               text_of(answer, "runId"));
    expect_sql(&world, source.run,
               "select details ->> 'clonedFrom' from macp.audit_log where "
               "action = 'run.cloned' and resource_id = '%s'",
               text_of(answer, "runId"));
    expect_sql(&world, "0",
               "select count(*) from macp.runs r where r::text like '%%clone-secret%%' "
               "and (descriptor::text || metadata::text) like '%%clone-secret%%'");
    json_decref(run);
    json_decref(answer);
}

/* Numbers of artifact events come between those of the live owner. */
static void
artifacts_of_a_live_run_leave_its_numbering_whole(void **state)
{
    enum { ARTIFACTS = 5 };
    struct posted run;
    json_t *made;

    (void)state;
    expect_new_session(run.session);
    expect_posted(&world, MODE, run.session, &run);
    json_decref(expect_control(&world, json_pack("{s:s,s:s,s:s,s:i,s:b}", "cmd", "play", "script",
                                                 "decision.positive", "session", run.session,
                                                 "delayMs", 30, "wait", 0)));
    for (int i = 0; i < ARTIFACTS; i++) {
        made = expect_send("POST", run.run, "/artifacts",
                           "{\"kind\":\"log\",\"label\":\"midway\",\"uri\":\"s3://b/k\"}", 201);
        expect_sql(&world, "1", "select count(*) from macp.run_artifacts where id = '%s'",
                   text_of(made, "id"));
        json_decref(made);
    }
    expect_status(&world, run.run, "completed");
    expect_stored_once(&world, run.run, run.session);
    assert_int_equal(ARTIFACTS,
                     expect_sql_int(&world,
                                    "select count(*) from macp.run_events_canonical e join "
                                    "macp.runs r using (run_key) where r.id = '%s' and e.type = "
                                    "'artifact.created' and e.source_name = "
                                    "'observability-controller'",
                                    run.run));
    expect_state_is_fold(&world, run.run);
    expect_sql(&world, "t",
               "select m.event_count = (select count(*) from macp.run_events_canonical "
               "e where e.run_key = r.run_key) from macp.runs r join macp.run_metrics m using "
               "(run_key) where r.id = '%s'",
               run.run);
}

static json_int_t
latest_seq(const json_t *projection)
{
    return json_integer_value(
        json_object_get(json_object_get(projection, "timeline"), "latestSeq"));
}

static void
rebuild_replaces_a_wrong_projection(void **state)
{
    json_t *before, *after;
    struct posted run;
    int asked = 0;

    (void)state;
    post_completed(&run);
    /* A signal may still come in behind the end: then what was before is not what is. */
    for (;;) {
        before = expect_get(&world, 200, "/runs/%s/state", run.run);
        expect_sql(&world, "",
                   "update macp.run_projections p set decision = '{}' from macp.runs r "
                   "where r.run_key = p.run_key and r.id = '%s'",
                   run.run);
        json_decref(expect_send("POST", run.run, "/projection/rebuild", NULL, 201));
        asked++;
        after = expect_get(&world, 200, "/runs/%s/state", run.run);
        if (latest_seq(before) == latest_seq(after))
            break;
        json_decref(before);
        json_decref(after);
    }
    assert_true(json_equal(before, after));
    json_decref(after);
    after = expect_get(&world, 200, "/runs/%s/replay/state", run.run);
    assert_true(json_equal(before, after));
    json_decref(after);
    json_decref(before);
    assert_int_equal(expect_sql_int(&world,
                                    "select count(*) from macp.audit_log where action = "
                                    "'projection.rebuilt' and resource_id = '%s'",
                                    run.run),
                     asked);
}

/* --- exports and batches
 * -------------------------------------------------------------------------- */

// clang-format off
static const struct request_case export_cases[] = {
    {"GET",  "/runs/{done}/export", NULL, 200, "{\"run\":{\"id\":\"{done}\",\"status\":\"completed\""},
    {"GET",  "/runs/{done}/export?includeCanonical=false", NULL, 200, "\"canonicalEvents\":[],\"rawEvents\":[]"},
    {"GET",  "/runs/{done}/export?includeCanonical=maybe", NULL, 400, "[\"includeCanonical must be a boolean value\"]"},
    {"GET",  "/runs/{done}/export?eventLimit=50001", NULL, 400, "[\"eventLimit must not be greater than 50000\"]"},
    {"GET",  "/runs/{done}/export?eventLimit=0", NULL, 400, "[\"eventLimit must not be less than 1\"]"},
    {"GET",  "/runs/{done}/export?eventLimit=many", NULL, 400, "eventLimit must be an integer number"},
    {"GET",  "/runs/{done}/export?format=%00", NULL, 400, "format must not contain null characters"},
    {"GET",  "/runs/{waiting}/export", NULL, 200, "\"session\":null"},
    {"GET",  "/runs/" UNKNOWN "/export", NULL, 404, "run " UNKNOWN " not found"},
    {"GET",  "/runs/nope/export", NULL, 400, "Validation failed (uuid is expected)"},
    {"GET",  "/runs/{done}/export/stream", NULL, 200, "{\"type\":\"header\",\"run\":{\"id\":\"{done}\""},
    {"GET",  "/runs/{done}/export/stream?eventLimit=x", NULL, 400, "eventLimit must be an integer number"},
    {"GET",  "/runs/" UNKNOWN "/export/stream", NULL, 404, "{\"message\":\"run " UNKNOWN " not found\",\"error\":\"Not Found\",\"statusCode\":404}"},
    {"POST", "/runs/batch/export", "{\"runIds\":[]}", 201, "[]"},
    {"POST", "/runs/batch/export", "{\"runIds\":[\"{done}\",\"" UNKNOWN "\"]}", 404, "run " UNKNOWN " not found"},
    {"POST", "/runs/batch/export", "{\"runIds\":[\"../etc\"]}", 404, "run ../etc not found"},
    {"POST", "/runs/batch/export", "{}", 400, "[\"runIds must be an array\",\"each value in runIds must be a UUID\"]"},
    {"POST", "/runs/batch/archive", NULL, 400, "runIds must be an array"},
    {"POST", "/runs/batch/archive", "{\"runIds\":[1]}", 400, "[\"each value in runIds must be a UUID\"]"},
    {"POST", "/runs/batch/archive", "{\"runIds\":[\"" UNKNOWN "\",\"x'y\"]}", 201, "[{\"runId\":\"" UNKNOWN "\",\"status\":\"failed\",\"error\":\"run " UNKNOWN " not found\"},{\"runId\":\"x'y\",\"status\":\"failed\",\"error\":\"run x'y not found\"}]"},
    {"POST", "/runs/batch/delete", "{\"runIds\":[\"{waiting}\"]}", 201, "[{\"runId\":\"{waiting}\",\"status\":\"failed\",\"error\":\"" TERMINAL_ONLY "\"}]"},
    {"POST", "/runs/batch/delete", "{\"runIds\":\"{done}\"}", 400, "runIds must be an array"},
};
// clang-format on

static void
exports_and_batches_answer_as_documented(void **state)
{
    (void)state;
    check_cases(export_cases, ARRAY_LEN(export_cases));
    check_keys(export_cases, ARRAY_LEN(export_cases));
}

static void
export_has_what_the_other_endpoints_say(void **state)
{
    json_t *bundle = expect_get(&world, 200, "/runs/%s/export?includeRaw=true", done.run);
    json_t *state_now = expect_get(&world, 200, "/runs/%s/state", done.run);
    json_t *events = expect_get(&world, 200, "/runs/%s/events?limit=10000", done.run);
    json_t *session = json_object_get(bundle, "session");

    (void)state;
    assert_true(json_equal(json_object_get(bundle, "projection"), state_now));
    assert_true(json_equal(json_object_get(bundle, "canonicalEvents"), events));
    assert_string_equal(text_of(session, "runtimeSessionId"), done.session);
    assert_string_equal(text_of(session, "sessionState"), "SESSION_STATE_RESOLVED");
    assert_true(json_array_size(json_object_get(bundle, "gaps")) == 0);
    assert_int_equal(json_array_size(json_object_get(bundle, "rawEvents")),
                     expect_sql_int(&world,
                                    "select count(*) from macp.run_events_raw e join "
                                    "macp.runs r using (run_key) where r.id = '%s'",
                                    done.run));
    json_decref(bundle);
    json_decref(state_now);
    json_decref(events);
}

static json_t *
first_raw(const json_t *rows, const char *kind)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row)
        if (strcmp(text_of(row, "kind"), kind) == 0)
            return json_object_get(row, "payload");
    fail_msg("no raw row of kind %s", kind);
    return NULL;
}

/* Typed columns were written from the same bytes by another program: both must agree. */
static void
raw_rows_are_rebuilt_from_the_stored_bytes(void **state)
{
    json_t *bundle = expect_get(&world, 200, "/runs/%s/export?includeRaw=true", done.run);
    json_t *rows = json_object_get(bundle, "rawEvents"), *row;
    size_t i;

    (void)state;
    json_array_foreach (rows, i, row) {
        json_t *envelope = json_object_get(json_object_get(row, "payload"), "envelope");

        if (!envelope)
            continue;
        assert_string_equal(text_of(envelope, "macpVersion"), "1.0");
        expect_sql(
            &world, "t",
            "select e.message_id = '%s' and e.message_type = '%s' and e.sender = "
            "'%s' and coalesce(e.mode, '') = '%s' and (e.sent_at is null or (extract(epoch from "
            "e.sent_at) * 1000)::bigint = %lld) and position(decode('%s', 'base64') in e.body) "
            "> 0 from macp.run_events_raw e join macp.runs r using (run_key) where r.id = '%s' "
            "and e.seq = %lld",
            text_of(envelope, "messageId"), text_of(envelope, "messageType"),
            text_of(envelope, "sender"), text_of(envelope, "mode"),
            (long long)json_integer_value(json_object_get(envelope, "timestampUnixMs")),
            text_of(envelope, "payloadBase64"), done.run,
            (long long)json_integer_value(json_object_get(row, "seq")));
    }
    row = json_object_get(first_raw(rows, "session-snapshot"), "sessionSnapshot");
    assert_string_equal(text_of(row, "sessionId"), done.session);
    assert_true(strncmp(text_of(row, "state"), "SESSION_STATE_", 14) == 0);
    assert_true(json_integer_value(json_object_get(row, "startedAtUnixMs")) > 0);
    row = json_object_get(first_raw(rows, "stream-status"), "streamStatus");
    assert_string_equal(text_of(row, "status"), "opened");
    json_decref(bundle);
}

static void
lines_keep_the_type_of_each_event(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    char type[128];
    json_t *events = expect_get(&world, 200, "/runs/%s/events?limit=10000", done.run);
    size_t n = 0, raw = 0;

    (void)state;
    send_case(&(struct request_case){"GET", "/runs/{done}/export?format=jsonl&includeRaw=true",
                                     NULL, 200, ""},
              false, &r);
    assert_string_equal(http_header(&r, "Content-Type", type, sizeof type), "application/x-ndjson");
    for (char *p = r.body.p, *end; *p; p = end + 1) {
        json_t *line;

        end = strchr(p, '\n');
        assert_non_null(end);
        *end = '\0';
        line = json_loads(p, 0, NULL);
        assert_non_null(line);
        if (strcmp(text_of(line, "type"), "canonical_event") == 0)
            assert_string_equal(text_of(line, "eventType"),
                                text_of(json_array_get(events, n++), "type"));
        else if (strcmp(text_of(line, "type"), "raw_event") == 0)
            raw += text_of(line, "eventType")[0] == 's';
        else
            assert_string_equal(text_of(line, "type"), "header");
        json_decref(line);
    }
    assert_int_equal(n, json_array_size(events));
    assert_true(raw > 0);
    json_decref(events);
}

/* Peak memory of the process that answers, in KiB. */
static long
fcgi_peak_kib(void)
{
    long kib = memory_peak_kib(world_handler_pid(&world));

    if (kib == 0)
        fail_msg("macp-fcgi is not to be found");
    return kib;
}

/* A sanitizer keeps freed memory aside for a while. */
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static void
long_export_is_streamed_in_bounded_memory(void **state)
{
    enum { EVENTS = 20000, EVENT_BYTES = 4000, GROWTH_KIB = SANITIZED ? 512 << 10 : 32 << 10 };
    AUTO_HTTP_REPLY r = {0};
    struct posted run;
    char path[128];
    size_t lines = 0;
    long before;

    (void)state;
    post_completed(&run);
    expect_sql(
        &world, "",
        "insert into macp.run_events_canonical (day, run_key, seq, ts, type, "
        "source_kind, source_name, data) select r.day, r.run_key, 100000 + n, now(), "
        "'message.received', 'runtime', 'rust-runtime', jsonb_build_object('text', "
        "repeat(md5(n::text), %d)) from macp.runs r, generate_series(1, %d) n where r.id = '%s'",
        EVENT_BYTES / 32, EVENTS, run.run);
    before = fcgi_peak_kib();
    snprintf(path, sizeof path, "/runs/%s/export/stream", run.run);
    send_case(&(struct request_case){"GET", path, NULL, 200, ""}, false, &r);
    assert_int_equal(r.status, 200);
    assert_true(r.body.len > (size_t)EVENTS * EVENT_BYTES);
    for (const char *p = r.body.p; (p = strchr(p, '\n')); p++)
        lines++;
    assert_true(lines > EVENTS);
    if (fcgi_peak_kib() - before > GROWTH_KIB)
        fail_msg("macp-fcgi grew by %ld KiB", fcgi_peak_kib() - before);
}

static void
batches_take_two_hundred_runs_and_no_more(void **state)
{
    enum { MOST = 200 };
    struct buf body = {0};
    json_t *answer;

    (void)state;
    buf_lit(&body, "{\"runIds\":[");
    for (int i = 0; i < MOST; i++)
        buf_printf(&body, "%s\"" UNKNOWN "\"", i ? "," : "");
    buf_lit(&body, "]}");
    answer = expect_send("POST", "batch", "/delete", buf_cstr(&body), 201);
    assert_int_equal(json_array_size(answer), MOST);
    json_decref(answer);
    body.len -= strlen("]}");
    buf_lit(&body, ",\"" UNKNOWN "\"]}");
    answer = expect_send("POST", "batch", "/delete", buf_cstr(&body), 400);
    assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "message"), 0)),
                        "runIds must contain no more than 200 elements");
    json_decref(answer);
    buf_fini(&body);
}

static void
batches_do_to_each_run_what_one_request_does(void **state)
{
    struct posted one, two;
    char body[256];
    json_t *answer;

    (void)state;
    post_completed(&one);
    post_completed(&two);
    snprintf(body, sizeof body, "{\"runIds\":[\"%s\",\"" UNKNOWN "\",\"%s\"]}", one.run, two.run);
    answer = expect_send("POST", "batch", "/archive", body, 201);
    assert_string_equal(text_of(json_array_get(answer, 0), "status"), "archived");
    assert_string_equal(text_of(json_array_get(answer, 1), "status"), "failed");
    assert_string_equal(text_of(json_array_get(answer, 2), "status"), "archived");
    json_decref(answer);
    expect_sql(&world, "2",
               "select count(*) from macp.runs where archived_at is not null and id in "
               "('%s', '%s')",
               one.run, two.run);
    answer = expect_send("POST", "batch", "/delete", body, 201);
    assert_string_equal(text_of(json_array_get(answer, 0), "status"), "deleted");
    assert_string_equal(text_of(json_array_get(answer, 1), "status"), "failed");
    assert_string_equal(text_of(json_array_get(answer, 2), "status"), "deleted");
    json_decref(answer);
    snprintf(body, sizeof body, "{\"runIds\":[\"%s\",\"%s\",\"%s\"]}", done.run, other.run,
             done.run);
    answer = expect_send("POST", "batch", "/export", body, 201);
    assert_int_equal(json_array_size(answer), 3);
    assert_string_equal(text_of(json_object_get(json_array_get(answer, 1), "run"), "id"),
                        other.run);
    assert_true(json_array_size(json_object_get(json_array_get(answer, 2), "canonicalEvents")) > 0);
    json_decref(answer);
}

/* --- beside runs
 * ----------------------------------------------------------------------------------- */

// clang-format off
static const struct request_case other_cases[] = {
    {"POST", "/webhooks", "{\"url\":\"http://localhost/x\",\"secret\":\"s\"}", 400, "[\"url must be a URL address\"]"},
    {"POST", "/webhooks", "{}", 400, "[\"url must be a URL address\",\"secret should not be empty\",\"secret must be a string\"]"},
    {"POST", "/webhooks", "{\"url\":\"https://hooks.example.com/x\",\"secret\":\"\"}", 400, "[\"secret should not be empty\"]"},
    {"POST", "/webhooks", "{\"url\":\"https://hooks.example.com/x\",\"secret\":\"a\",\"events\":\"run.completed\"}", 400, "[\"each value in events must be a string\",\"events must be an array\"]"},
    {"POST", "/webhooks", "{\"url\":\"http://169.254.169.254/latest\",\"secret\":\"a\"}", 400, "url is not allowed: "},
    {"POST", "/webhooks", "{\"url\":\"ftp://files.example.com/\",\"secret\":\"a\"}", 400, "[\"url must be a URL address\"]"},
    {"PATCH", "/webhooks/" UNKNOWN, "{\"active\":false}", 404, "webhook " UNKNOWN " not found"},
    {"PATCH", "/webhooks/" UNKNOWN, "{\"active\":\"yes\"}", 400, "[\"active must be a boolean value\"]"},
    {"PATCH", "/webhooks/nope", "{}", 400, "Validation failed (uuid is expected)"},
    {"DELETE", "/webhooks/" UNKNOWN, NULL, 204, ""},
    {"DELETE", "/webhooks/nope", NULL, 400, "Validation failed (uuid is expected)"},
    {"GET", "/webhooks", NULL, 200, "["},
    {"GET", "/webhooks/" UNKNOWN "/deliveries", NULL, 404, "webhook " UNKNOWN " not found"},
    {"GET", "/webhooks/" UNKNOWN "/deliveries?status=lost", NULL, 400, "status " ONE_OF "pending, delivered, failed"},
    {"GET", "/webhooks/" UNKNOWN "/deliveries?offset=100001", NULL, 400, "[\"offset must not be greater than 100000\"]"},
    {"GET", "/audit?limit=201", NULL, 400, "[\"limit must not be greater than 200\"]"},
    {"GET", "/audit?createdAfter=yesterday", NULL, 400, "[\"createdAfter must be a valid ISO 8601 date string\"]"},
    {"GET", "/audit?actor=nobody%27--", NULL, 200, "{\"data\":[],\"total\":0}"},
    {"GET", "/audit?action=run.create&limit=1", NULL, 200, "\"action\":\"run.created\",\"resource\":\"run\""},
    {"GET", "/audit?createdAfter=2001-01-01&createdBefore=2001-01-02", NULL, 200, "{\"data\":[],\"total\":0}"},
    {"GET", "/events?runId=x", NULL, 400, "[\"runId must be a UUID\"]"},
    {"GET", "/events?runId={done}&afterSeq=2147483648", NULL, 400, "[\"afterSeq must not be greater than 2147483647\"]"},
    {"GET", "/events?runId={done}&beforeSeq=2147483648", NULL, 400, "[\"beforeSeq must not be greater than 2147483647\"]"},
    {"GET", "/events?runId={done}&afterSeq=2147483648&beforeSeq=2147483649", NULL, 400, "[\"afterSeq must not be greater than 2147483647\",\"beforeSeq must not be greater than 2147483647\"]"},
    {"GET", "/events?beforeSeq=9007199254740992&limit=1", NULL, 200, "\"nextCursor\":"},
    {"GET", "/events?beforeSeq=9007199254740994", NULL, 400, "[\"beforeSeq must not be greater than 9007199254740992\"]"},
    {"GET", "/events?beforeSeq=x", NULL, 400, "beforeSeq must be an integer number"},
    {"GET", "/events?beforeSeq=0", NULL, 200, "{\"data\":[],\"total\":"},
    {"GET", "/events?afterSeq=-1", NULL, 400, "afterSeq must not be less than 0"},
    {"GET", "/events?afterTs=2026-W05", NULL, 400, "afterTs must be a valid ISO 8601 date string"},
    {"GET", "/events?runId=" UNKNOWN, NULL, 200, "{\"data\":[],\"total\":0,\"limit\":500}"},
    {"GET", "/events?runId={done}&limit=20000", NULL, 200, "\"limit\":10000}"},
    {"GET", "/runs/{done}/events?type=run.created&limit=20000", NULL, 200, "\"total\":1,\"limit\":10000,"},
    {"GET", "/events?scenarioRef=%25", NULL, 200, "{\"data\":[],\"total\":0,\"limit\":500}"},
    {"GET", "/dashboard/overview?window=2h", NULL, 400, "window " ONE_OF "15m, 1h, 6h, 24h, 7d, 30d"},
    {"GET", "/dashboard/overview?range=1h", NULL, 400, "range " ONE_OF "24h, 7d, 30d"},
    {"GET", "/dashboard/overview?from=soon", NULL, 400, "from must be a valid ISO 8601 date string"},
    {"GET", "/dashboard/overview?window=15m", NULL, 200, "\"runtimeHealth\":{\"ok\":true,\"runtimeKind\":\"rust\""},
    {"GET", "/dashboard/overview?from=2001-01-01&to=2001-01-02", NULL, 200, "\"totalRuns\":0"},
    {"GET", "/dashboard/overview?environment=%27%3B--", NULL, 200, "\"totalRuns\":0"},
    {"GET", "/dashboard/agents/metrics", NULL, 200, "\"participantId\":\"agent://"},
    {"GET", "/runtime/manifest", NULL, 200, "\"supportedModes\":["},
    {"GET", "/runtime/health", NULL, 200, "{\"ok\":true,\"runtimeKind\":\"rust\",\"manifest\":{"},
    {"GET", "/admin/circuit-breaker/history", NULL, 200, "{\"state\":\"CLOSED\",\"history\":["},
    {"GET", "/admin/circuit-breaker/history?since=x&window=15m", NULL, 200, "\"state\":\"CLOSED\""},
};
// clang-format on

static void
operations_beside_runs_answer_as_documented(void **state)
{
    (void)state;
    check_cases(other_cases, ARRAY_LEN(other_cases));
    check_keys(other_cases, ARRAY_LEN(other_cases));
}

static json_t *
expect_call(const char *method, const char *path, const char *body, int status)
{
    AUTO_HTTP_REPLY r = {0};

    send_case(&(struct request_case){method, path, body, status, ""}, false, &r);
    if (r.status != status)
        fail_msg("%s %s: wanted %d, got %d %.300s", method, path, status, r.status,
                 buf_cstr(&r.body));
    if (strstr(buf_cstr(&r.body), "hook-secret"))
        fail_msg("%s %s tells a secret", method, path);
    return json_incref(r.json);
}

static void
webhook_lives_and_never_tells_its_secret(void **state)
{
    json_t *made, *changed, *list, *deliveries;
    char path[128], id[UUID_LEN];

    (void)state;
    made = expect_call("POST", "/webhooks",
                       "{\"url\":\"https://hooks.example.com/a\",\"secret\":"
                       "\"hook-secret\",\"events\":[\"run.completed\"],\"active\":false}",
                       201);
    snprintf(id, sizeof id, "%s", text_of(made, "id"));
    assert_string_equal(text_of(made, "secret"), "[REDACTED]");
    assert_true(json_is_true(json_object_get(made, "active")));
    expect_sql(&world, "hook-secret", "select secret from macp.webhooks where id = '%s'", id);

    snprintf(path, sizeof path, "/webhooks/%s", id);
    changed = expect_call("PATCH", path, "{\"active\":false,\"url\":null,\"events\":[]}", 200);
    assert_true(json_is_false(json_object_get(changed, "active")));
    assert_string_equal(text_of(changed, "url"), "https://hooks.example.com/a");
    assert_int_equal(json_array_size(json_object_get(changed, "events")), 0);
    assert_string_equal(text_of(changed, "createdAt"), text_of(made, "createdAt"));

    expect_sql(
        &world, "",
        "insert into macp.webhook_deliveries (public_id, webhook_key, run_key, "
        "run_version, event, body, status, attempts, delivered_at) select gen_random_uuid(), "
        "webhook_key, 1, n, 'run.completed', '{}', case n when 1 then 'failed' else 'delivered' "
        "end, n, now() from macp.webhooks, generate_series(1, 3) n where id = '%s'",
        id);
    list = expect_call("GET", "/webhooks", NULL, 200);
    assert_int_equal(json_array_size(list), 1);
    changed = (json_decref(changed),
               json_incref(json_object_get(json_array_get(list, 0), "deliveryStats")));
    assert_int_equal(json_integer_value(json_object_get(changed, "total")), 3);
    assert_int_equal(json_integer_value(json_object_get(changed, "succeeded")), 2);
    assert_int_equal(json_integer_value(json_object_get(changed, "failed")), 1);

    snprintf(path, sizeof path, "/webhooks/%s/deliveries?status=delivered&limit=1", id);
    deliveries = expect_call("GET", path, NULL, 200);
    assert_int_equal(json_integer_value(json_object_get(deliveries, "total")), 2);
    assert_int_equal(json_array_size(json_object_get(deliveries, "data")), 1);

    snprintf(path, sizeof path, "/webhooks/%s", id);
    json_decref(expect_call("DELETE", path, NULL, 204));
    expect_sql(&world, "0", "select count(*) from macp.webhook_deliveries");
    expect_sql(&world, "webhook.created,webhook.updated,webhook.deleted",
               "select string_agg(action, "
               "',' order by audit_key) from macp.audit_log where resource_id = '%s'",
               id);
    json_decref(made);
    json_decref(changed);
    json_decref(list);
    json_decref(deliveries);
}

/* Pages of the cross-run list, put together, are all events once. */
static void
events_of_all_runs_page_without_gap_or_double(void **state)
{
    json_t *seen = json_object();
    long long cursor = 0, total = -1;
    int pages = 0;

    (void)state;
    /* Runs that are over: nothing is added while we page. */
    do {
        json_t *page = expect_get(&world, 200,
                                  "/events?limit=17&type=message.received,run.created,"
                                  "decision.finalized&scenarioRef=&afterSeq=%lld",
                                  cursor);
        json_t *data = json_object_get(page, "data"), *event;
        size_t i;

        if (total >= 0)
            assert_int_equal(json_integer_value(json_object_get(page, "total")), total);
        total = json_integer_value(json_object_get(page, "total"));
        json_array_foreach (data, i, event) {
            if (json_object_get(seen, text_of(event, "id")))
                fail_msg("event %s comes twice", text_of(event, "id"));
            json_object_set_new(seen, text_of(event, "id"), json_true());
        }
        cursor = json_integer_value(json_object_get(page, "nextCursor"));
        pages++;
        json_decref(page);
    } while (cursor && pages < 10000);
    /* Counting ends at a thousand: one more says that there are more. */
    assert_int_equal(total, json_object_size(seen) > 1000 ? 1001 : json_object_size(seen));
    assert_true(pages > 3);
    json_decref(seen);
}

static void
events_of_one_run_page_by_their_numbers(void **state)
{
    json_t *all = expect_get(&world, 200, "/events?runId=%s&limit=10000", done.run);
    json_t *plain = expect_get(&world, 200, "/runs/%s/events?limit=10000", done.run);
    json_t *page = expect_get(&world, 200, "/events?runId=%s&limit=5&afterSeq=3", done.run);
    json_t *data = json_object_get(page, "data");

    (void)state;
    assert_true(json_equal(json_object_get(all, "data"), plain));
    assert_null(json_object_get(all, "nextCursor"));
    assert_int_equal(json_array_size(data), 5);
    assert_true(json_integer_value(json_object_get(json_array_get(data, 0), "seq")) > 3);
    assert_int_equal(json_integer_value(json_object_get(page, "nextCursor")),
                     json_integer_value(json_object_get(json_array_get(data, 4), "seq")));
    json_decref(all);
    json_decref(plain);
    json_decref(page);
}

static void
overview_counts_what_the_tables_hold(void **state)
{
    static const struct {
        const char *kpi, *sql;
    } kpis[] = {
        {"totalRuns", "count(*)"},
        {"completedRuns", "count(*) filter (where status = 'completed')"},
        {"activeRuns", "count(*) filter (where status not in ('completed','failed','cancelled'))"},
        {"totalTokens", "coalesce(sum(total_tokens), 0)::bigint"},
    };
    json_t *overview = expect_get(&world, 200, "/dashboard/overview");
    json_t *charts = json_object_get(overview, "charts"), *chart;
    const char *name;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kpis); i++)
        assert_int_equal(
            json_number_value(json_object_get(json_object_get(overview, "kpis"), kpis[i].kpi)),
            expect_sql_int(&world,
                           "select %s from macp.runs left join macp.run_metrics using "
                           "(run_key) where mode <> 'sandbox' and archived_at is null",
                           kpis[i].sql));
    assert_int_equal(json_object_size(charts), 13);
    json_object_foreach (charts, name, chart)
        if (!json_is_array(json_object_get(chart, "labels")) ||
            json_array_size(json_object_get(chart, "labels")) !=
                json_array_size(json_object_get(chart, "data")))
            fail_msg("chart %s", name);
    chart = json_array_get(json_object_get(json_object_get(charts, "runVolume"), "labels"), 0);
    assert_int_equal(strlen(json_string_value(chart)), 24);
    chart = json_array_get(json_object_get(json_object_get(charts, "decisionOutcome"), "data"), 0);
    assert_true(json_number_value(chart) > 0);
    assert_true(json_array_size(json_object_get(overview, "recentRuns")) <= 10);
    json_decref(overview);
}

static void
catalog_is_served_with_its_age_and_503_when_never_known(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    char age[32];

    (void)state;
    send_case(&(struct request_case){"GET", "/runtime/manifest", NULL, 200, ""}, false, &r);
    assert_true(strlen(http_header(&r, "Age", age, sizeof age)) > 0);
    /* The observers read the roots again and again: not any more. */
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "set", "failMethod", "ListRoots")));
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", "connections")));
    expect_sql_becomes(&world, "f", "select ok from macp.runtime_catalog where kind = 'roots'");
    expect_sql(&world, "", "delete from macp.runtime_catalog where kind = 'roots'");
    json_decref(expect_call("GET", "/runtime/roots", NULL, 503));
    expect_sql(
        &world, "",
        "insert into macp.runtime_catalog (kind, ok, body, fetched_at) values "
        "('roots', false, '{\"roots\":[{\"uri\":\"file:///a\",\"name\":\"a\"}]}', now() - "
        "interval '90 s') on conflict (kind) do update set body = excluded.body, fetched_at = "
        "excluded.fetched_at");
    http_reply_fini(&r);
    r = (struct http_reply){0};
    send_case(&(struct request_case){"GET", "/runtime/roots", NULL, 200, ""}, false, &r);
    assert_string_equal(buf_cstr(&r.body), "[{\"uri\":\"file:///a\",\"name\":\"a\"}]");
    assert_true(strtol(http_header(&r, "Age", age, sizeof age), NULL, 10) >= 90);
    json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "set", "failMethod", "")));
}

static void
metrics_page_needs_no_key_and_names_routes_by_template(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    char type[128];

    (void)state;
    send_case(&(struct request_case){"GET", "/metrics", NULL, 200, ""}, true, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(http_header(&r, "Content-Type", type, sizeof type),
                        "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(r.body.p, "http_requests_total{method=\"GET\",path=\"/runs/:id\","
                                     "status_code=\"200\"} "));
    assert_non_null(strstr(r.body.p, "\nprocess_cpu_seconds_total "));
    assert_null(strstr(r.body.p, done.run));
}

/* --- set-up --------------------------------------------------------------------------------------
 */

/* Not a set-up function: a failed expectation must fail a test. */
static void
runs_to_work_on_are_there(void **state)
{
    (void)state;
    post_completed(&done);
    post_completed(&other);
    expect_posted(&world, MODE, NULL, &waiting);
    json_decref(expect_send("POST", done.run, "/artifacts",
                            "{\"kind\":\"bundle\",\"label\":\"first\"}", 201));
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.web = web}, 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_to_work_on_are_there),
        cmocka_unit_test(operations_on_runs_answer_as_documented),
        cmocka_unit_test(operations_on_runs_need_a_key),
        cmocka_unit_test(deleted_run_leaves_a_tombstone_and_an_audit_row_only),
        cmocka_unit_test(archive_is_repeatable_and_keeps_its_first_time),
        cmocka_unit_test(clone_is_a_new_run_of_the_same_descriptor_with_its_secret),
        cmocka_unit_test(artifacts_of_a_live_run_leave_its_numbering_whole),
        cmocka_unit_test(rebuild_replaces_a_wrong_projection),
        cmocka_unit_test(exports_and_batches_answer_as_documented),
        cmocka_unit_test(export_has_what_the_other_endpoints_say),
        cmocka_unit_test(raw_rows_are_rebuilt_from_the_stored_bytes),
        cmocka_unit_test(lines_keep_the_type_of_each_event),
        cmocka_unit_test(long_export_is_streamed_in_bounded_memory),
        cmocka_unit_test(batches_take_two_hundred_runs_and_no_more),
        cmocka_unit_test(batches_do_to_each_run_what_one_request_does),
        cmocka_unit_test(operations_beside_runs_answer_as_documented),
        cmocka_unit_test(webhook_lives_and_never_tells_its_secret),
        cmocka_unit_test(events_of_all_runs_page_without_gap_or_double),
        cmocka_unit_test(events_of_one_run_page_by_their_numbers),
        cmocka_unit_test(overview_counts_what_the_tables_hold),
        cmocka_unit_test(catalog_is_served_with_its_age_and_503_when_never_known),
        cmocka_unit_test(metrics_page_needs_no_key_and_names_routes_by_template),
    };

    if (!web_read_arguments(argc, argv, &web))
        return 2;
    return cmocka_run_group_tests_name("operations", tests, set_up, scene_close);
}
