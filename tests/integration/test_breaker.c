/* The breaker towards the runtime, as operators and runs see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/clock.h"
#include "tests/support/expect.h"

#define DECISION "macp.mode.decision.v1"
#define HISTORY  "/admin/circuit-breaker/history"
#define REFUSAL  "Circuit breaker is OPEN — runtime calls are temporarily disabled"

/* Only what happens, and not the time, may end what a test looks at. */
#define NEVER "RUNTIME_CIRCUIT_BREAKER_RESET_MS=3600000"
#define SOON  "RUNTIME_CIRCUIT_BREAKER_RESET_MS=100"

enum { CHANGE_MS = 15000, PUMPED = 60, RATE = 100 };

static struct world world;

/* --- what is shown --------------------------------------------------------------------------- */

struct wanted {
    const char *state;
    json_t *seen;
};

static bool
shows(void *ctx)
{
    struct wanted *w = ctx;

    json_decref(w->seen);
    w->seen = expect_get(&world, 200, HISTORY);
    return strcmp(json_string_value(json_object_get(w->seen, "state")), w->state) == 0;
}

/* The history when the state has become the wanted one. */
static json_t *
expect_becomes(const char *state)
{
    struct wanted w = {.state = state};

    if (!process_poll(shows, &w, process_slow(CHANGE_MS)))
        fail_msg("the breaker is %s, not %s", json_string_value(json_object_get(w.seen, "state")),
                 state);
    return w.seen;
}

/* "CLOSED initial|OPEN 2 consecutive failures"; no state follows itself. */
static void
describe(const json_t *answer, struct buf *out)
{
    const json_t *list = json_object_get(answer, "history"), *entry = NULL;
    const char *before = "";
    size_t i;

    json_array_foreach (list, i, entry) {
        const char *state = json_string_value(json_object_get(entry, "state"));

        assert_string_not_equal(state, before);
        before = state;
        buf_printf(out, "%s%s %s", i ? "|" : "", state,
                   json_string_value(json_object_get(entry, "reason")));
    }
}

static void
fail_calls(bool all)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:i}", "cmd", "set", "failMethod",
                                                 all ? "*" : "", "failStatus", 14)));
}

static void
restart_observer(const char *reset_ms)
{
    static const char *env[] = {NULL, "RUNTIME_CIRCUIT_BREAKER_THRESHOLD=2", NULL};
    struct err err = {0};

    env[0] = reset_ms;
    world.options.observerd_env = env;
    world_stop_observerd(&world, process_slow(CHANGE_MS));
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
}

/* --- tests ----------------------------------------------------------------------------------- */

static json_int_t
pump(const char *session)
{
    json_t *answer = expect_control(
        &world, json_pack("{s:s, s:[s], s:i, s:i, s:b, s:b}", "cmd", "pump", "ids", session,
                          "envelopes", PUMPED, "rate", RATE, "waitSubscribers", 1, "wait", 0));
    json_int_t job = json_integer_value(json_object_get(answer, "job"));

    json_decref(answer);
    return job;
}

/* Calls fail while streams live: what is open is read on, new runs wait, nothing is blamed. */
static void
open_breaker_is_seen_and_runs_wait_for_it(void **state UNUSED)
{
    struct posted open, waiting;
    AUTO_BUF history = {0};
    struct err err = {0};
    json_t *answer;
    json_int_t job;

    restart_observer(NEVER);
    expect_ok(world_wait_ready(&world, &err), &err, "ready");
    expect_posted(&world, DECISION, NULL, &open);
    job = pump(open.session);
    expect_sql_becomes(&world, "t",
                       "select cursor >= 2 from macp.run_observers join macp.runs using (run_key) "
                       "where id = '%s'",
                       open.run);
    fail_calls(true);
    answer = expect_becomes("OPEN");
    describe(answer, &history);
    assert_string_equal(buf_cstr(&history), "CLOSED initial|OPEN 2 consecutive failures");
    json_decref(answer);

    expect_posted(&world, DECISION, NULL, &waiting);
    expect_played(&world, "decision.minimal", waiting.session, NULL);
    answer = expect_get(&world, 200, "/readyz");
    assert_false(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:I, s:b}", "cmd", "job", "id", job, "wait", 1)));
    expect_sql_becomes(&world, "60",
                       "select cursor from macp.run_observers join macp.runs using (run_key) "
                       "where id = '%s'",
                       open.run);
    expect_sql(&world, "running", "select status from macp.runs where id = '%s'", open.run);
    expect_sql(&world, "queued", "select status from macp.runs where id = '%s'", waiting.run);

    /* As after a restart: the watches are open again before anybody may ask. */
    fail_calls(false);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", "connections")));
    answer = expect_becomes("CLOSED");
    buf_reset(&history);
    describe(answer, &history);
    assert_string_equal(buf_cstr(&history),
                        "CLOSED initial|OPEN 2 consecutive failures|HALF_OPEN a stream answers|"
                        "CLOSED half-open probe succeeded");
    json_decref(answer);
    expect_status(&world, open.run, "completed");
    expect_status(&world, waiting.run, "completed");
    assert_int_equal(expect_stored_once(&world, open.run, open.session), PUMPED);
    expect_stored_once(&world, waiting.run, waiting.session);
}

static void
runtime_that_is_gone_and_comes_back_closes_it(void **state UNUSED)
{
    struct err err = {0};
    AUTO_BUF history = {0};
    struct posted run;
    json_t *answer;

    restart_observer(SOON);
    expect_ok(world_wait_ready(&world, &err), &err, "ready");
    world_kill_runtime(&world);
    json_decref(expect_becomes("HALF_OPEN"));
    json_decref(expect_becomes("OPEN"));
    expect_posted(&world, DECISION, NULL, &run);
    expect_ok(world_start_runtime(&world, &err), &err, "start the runtime");
    expect_played(&world, "decision.positive", run.session, NULL);
    expect_status(&world, run.run, "completed");
    answer = expect_becomes("CLOSED");
    describe(answer, &history);
    if (strncmp(buf_cstr(&history), "CLOSED initial|OPEN ", 20) != 0 ||
        !strstr(buf_cstr(&history), "|HALF_OPEN reset timeout after "))
        fail_msg("history: %s", buf_cstr(&history));
    json_decref(answer);
}

static bool
was_reset(void *ctx UNUSED)
{
    AUTO_BUF history = {0};
    json_t *answer = expect_get(&world, 200, HISTORY);

    describe(answer, &history);
    json_decref(answer);
    return strstr(buf_cstr(&history),
                  "CLOSED initial|OPEN 2 consecutive failures|CLOSED manual reset");
}

static void
open_breaker_refuses_commands_until_it_is_reset(void **state UNUSED)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    json_t *answer;
    int64_t began;

    fail_calls(true);
    restart_observer(NEVER);
    json_decref(expect_becomes("OPEN"));
    expect_sql_becomes(&world, REFUSAL " (last failure: UNAVAILABLE: scripted failure)",
                       "select detail from macp.runtime_catalog where kind = 'manifest'");
    expect_ok(http_send(&world.http,
                        &(struct http_request){.method = "DELETE",
                                               .path = "/runtime/policies/no-such-policy"},
                        &r, &err),
              &err, "a command");
    assert_int_equal(r.status, 503);
    assert_string_equal(json_string_value(json_object_get(r.json, "errorCode")),
                        "CIRCUIT_BREAKER_OPEN");
    assert_string_equal(json_string_value(json_object_get(r.json, "message")), REFUSAL);

    /* The runtime fails still: it will not stay closed, but it was told. */
    answer = expect_post(&world, 200, "/admin/circuit-breaker/reset", NULL);
    assert_string_equal(json_string_value(json_object_get(answer, "state")), "CLOSED");
    json_decref(answer);
    began = clock_mono_ms();
    assert_true(process_poll(was_reset, NULL, process_slow(CHANGE_MS)));
    assert_true(clock_mono_ms() - began < process_slow(1000) + 500); /* and a crowded machine */
    fail_calls(false);
}

static void
instance(const char *id, const char *state, const char *history)
{
    struct err err = {0};
    char none[2];

    expect_ok(world_sql(&world, none, sizeof(none), &err,
                        "insert into macp.observer_instances (instance_id, alive_until, host, "
                        "version, breaker_state, breaker_history) values ('%s', now() + interval "
                        "'1 hour', 'h', '1', '%s', '%s')",
                        id, state, history),
              &err, "insert an instance");
}

#define ENTRY(state, minute, reason)                                                               \
    "{\"state\":\"" state "\",\"enteredAt\":\"2026-01-02T03:" minute                               \
    ":00.000Z\",\"reason\":\"" reason "\"}"

/* What is shown is the worst of all at every moment, not what somebody said last. */
static void
histories_of_several_observers_are_one(void **state UNUSED)
{
    struct err err = {0};
    AUTO_BUF history = {0};
    json_t *answer;
    char none[2];

    world_stop_observerd(&world, process_slow(CHANGE_MS));
    instance("00000000-0000-4000-8000-000000000001", "CLOSED",
             "[" ENTRY("CLOSED", "00", "initial") "," ENTRY("OPEN", "10", "first") "," ENTRY(
                 "HALF_OPEN", "20", "a") "," ENTRY("CLOSED", "21", "b") "]");
    instance("00000000-0000-4000-8000-000000000002", "HALF_OPEN",
             "[" ENTRY("CLOSED", "05", "initial") "," ENTRY("OPEN", "12", "second") "," ENTRY(
                 "HALF_OPEN", "30", "c") "]");
    answer = expect_get(&world, 200, HISTORY);
    describe(answer, &history);
    assert_string_equal(buf_cstr(&history), "CLOSED initial|OPEN first|HALF_OPEN c");
    assert_string_equal(json_string_value(json_object_get(answer, "state")), "HALF_OPEN");
    json_decref(answer);
    buf_reset(&history);
    answer = expect_get(&world, 200, HISTORY "?since=2026-01-02T03:10:00.001Z");
    describe(answer, &history);
    assert_string_equal(buf_cstr(&history), "HALF_OPEN c");
    json_decref(answer);
    expect_ok(world_sql(&world, none, sizeof(none), &err,
                        "delete from macp.observer_instances where host = 'h'"),
              &err, "delete the instances");
}

static int
set_up(void **state UNUSED)
{
    struct err err = {0};

    expect_ok(world_start(&world, &(struct world_options){0}, &err), &err, "start the world");
    return 0;
}

static int
tear_down(void **state UNUSED)
{
    world_stop(&world);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_breaker_is_seen_and_runs_wait_for_it),
        cmocka_unit_test(runtime_that_is_gone_and_comes_back_closes_it),
        cmocka_unit_test(open_breaker_refuses_commands_until_it_is_reset),
        cmocka_unit_test(histories_of_several_observers_are_one),
    };

    return cmocka_run_group_tests_name("breaker", tests, set_up, tear_down);
}
