/* Whatever goes down and comes back, every envelope is stored once and no run is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"

enum {
    PUMPED = 120,
    RATE = 100,
    AGAIN_MS = 15000,
    REFUSED_WITHIN_MS = 2000,
    STOP_WITHIN_MS = 6000
};

static struct world world;

/* Start a session of PUMPED envelopes at RATE a second for the run; returns the job's number. */
static json_int_t
pump_slowly(const char *session)
{
    json_t *answer =
        expect_control(&world, json_pack("{s:s, s:[s], s:i, s:i, s:b}", "cmd", "pump", "ids",
                                         session, "envelopes", PUMPED, "rate", RATE, "wait", 0));
    json_int_t job = json_integer_value(json_object_get(answer, "job"));

    json_decref(answer);
    return job;
}

static void
pumped(json_int_t job)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:I, s:b}", "cmd", "job", "id", job, "wait", 1)));
}

static void
expect_some_stored(const struct posted *run, int at_least)
{
    expect_sql_becomes(&world, "t",
                       "select cursor >= %d from macp.run_observers join macp.runs using (run_key) "
                       "where id = '%s'",
                       at_least, run->run);
}

static void
expect_whole(const struct posted *run)
{
    expect_status(&world, run->run, "completed");
    assert_int_equal(expect_stored_once(&world, run->run, run->session), PUMPED);
    expect_state_is_fold(&world, run->run);
    assert_int_equal(expect_event_count(&world, run->run, "run.completed"), 1);
}

/* --- the observer ---------------------------------------------------------------------------- */

static void
killed_observer_goes_on_where_its_rows_end(void **state)
{
    struct err err = {0};
    struct posted run;
    json_int_t job;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    job = pump_slowly(run.session);
    for (int times = 1; times <= 3; times++) {
        expect_some_stored(&run, times * 10);
        world_kill_observerd(&world);
        expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    }
    pumped(job);
    expect_whole(&run);
}

static void
run_posted_while_no_observer_lives_is_observed_later(void **state)
{
    struct err err = {0};
    struct posted run;

    (void)state;
    world_kill_observerd(&world);
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_sql(&world, "queued", "select status from macp.runs where id = '%s'", run.run);
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_stored_once(&world, run.run, run.session), 6);
}

static void
sigterm_ends_the_observer_in_bounded_time_with_everything_stored(void **state)
{
    struct err err = {0};
    struct posted run;
    int64_t began;
    json_int_t job;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    job = pump_slowly(run.session);
    expect_some_stored(&run, 20);
    began = clock_mono_ms();
    assert_int_equal(world_stop_observerd(&world, process_slow(STOP_WITHIN_MS)), 0);
    assert_true(clock_mono_ms() - began < process_slow(STOP_WITHIN_MS));
    expect_sql(&world, "t",
               "select (select count(*) from macp.run_events_raw e where e.run_key = o.run_key and "
               "e.source = 'session') = o.cursor and o.owner is null from macp.run_observers o "
               "join macp.runs using (run_key) where id = '%s'",
               run.run);
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    pumped(job);
    expect_whole(&run);
}

/* --- Postgres -------------------------------------------------------------------------------- */

static void
postgres_restart_in_the_middle_loses_and_doubles_nothing(void **state)
{
    struct err err = {0};
    struct posted run;
    json_int_t job;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    job = pump_slowly(run.session);
    expect_some_stored(&run, 20);
    expect_ok(world_restart_postgres(&world, &err), &err, "restart Postgres");
    pumped(job);
    expect_whole(&run);
    assert_true(process_alive(&world.observerd));
}

static bool
posts_again(void *ctx)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    json_t *d = world_descriptor(DECISION, NULL);
    bool ok = http_post(&world.http, "/runs", d, &r, &err) && r.status == 201;

    json_decref(d);
    *(int *)ctx = r.status;
    return ok;
}

static void
without_postgres_requests_are_503_at_once_and_recover_by_themselves(void **state)
{
    static const char *const paths[] = {"/runs", "/runs/5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11",
                                        "/runs/5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11/events"};
    struct err err = {0};
    json_t *d = world_descriptor(DECISION, NULL);
    AUTO_HTTP_REPLY r = {0};
    int last = 0;

    (void)state;
    world_stop_postgres(&world);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        expect_ok(http_get(&world.http, &r, &err, "%s", paths[i]), &err, paths[i]);
        assert_int_equal(r.status, 503);
        assert_true(r.elapsed_us / 1000 < process_slow(REFUSED_WITHIN_MS));
    }
    expect_ok(http_post(&world.http, "/runs", d, &r, &err), &err, "POST /runs");
    assert_int_equal(r.status, 503);
    assert_true(r.elapsed_us / 1000 < process_slow(REFUSED_WITHIN_MS));
    expect_ok(http_get(&world.http, &r, &err, "/healthz"), &err, "/healthz");
    assert_int_equal(r.status, 200);
    assert_true(json_is_false(json_object_get(r.json, "ok")));
    expect_ok(http_get(&world.http, &r, &err, "/healthz?strict=1"), &err, "/healthz?strict=1");
    assert_int_equal(r.status, 503);
    expect_ok(world_start_postgres(&world, &err), &err, "start Postgres");
    if (!process_poll(posts_again, &last, process_slow(AGAIN_MS)))
        fail_msg("POST /runs still answers %d", last);
    expect_ok(http_get(&world.http, &r, &err, "/healthz"), &err, "/healthz");
    assert_true(json_is_true(json_object_get(r.json, "ok")));
    json_decref(d);
}

/* The observer must find its way back as well: proven by a run from start to end. */
static void
after_a_postgres_outage_runs_are_observed_again(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    expect_stored_once(&world, run.run, run.session);
}

/* --- the runtime ----------------------------------------------------------------------------- */

static void
cut_streams_are_taken_up_at_the_cursor(void **state)
{
    static const char *const what[] = {"streams", "connections", "streams"};
    struct posted run;
    json_int_t job;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    job = pump_slowly(run.session);
    for (size_t i = 0; i < ARRAY_LEN(what); i++) {
        expect_some_stored(&run, (int)(i + 1) * 20);
        json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", what[i])));
    }
    pumped(job);
    expect_whole(&run);
}

static void
subscriber_that_lagged_comes_back_for_the_rest(void **state)
{
    struct posted run;

    (void)state;
    json_decref(expect_control(&world, json_pack("{s:s, s:i}", "cmd", "set", "lag", 8)));
    expect_posted(&world, DECISION, NULL, &run);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:[s], s:i, s:b}", "cmd", "pump", "ids",
                                         run.session, "envelopes", 2000, "waitSubscribers", 1)));
    json_decref(expect_control(&world, json_pack("{s:s, s:i}", "cmd", "set", "lag", 256)));
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_stored_once(&world, run.run, run.session), 2000);
    expect_state_is_fold(&world, run.run);
}

static void
unavailable_calls_keep_a_run_waiting_until_they_work_again(void **state)
{
    struct posted run;

    (void)state;
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:i}", "cmd", "set", "failMethod",
                                                 "GetSession", "failStatus", 14)));
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_sql_becomes(&world, "starting", "select status from macp.runs where id = '%s'", run.run);
    json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "set", "failMethod", "")));
    expect_status(&world, run.run, "completed");
    expect_stored_once(&world, run.run, run.session);
}

/* Last: it ends the runtime that the other tests use. */
static void
without_a_runtime_runs_stay_queued_and_go_on_when_it_comes(void **state)
{
    struct err err = {0};
    struct posted run;
    json_t *ready;

    (void)state;
    world_kill_observerd(&world);
    world_kill_runtime(&world);
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_posted(&world, DECISION, NULL, &run);
    /* Owned, so the observer has seen it, and still queued: it is not given up. */
    expect_sql_becomes(&world, "queued owned",
                       "select status || case when owner is null then '' else ' owned' end from "
                       "macp.runs join macp.run_observers using (run_key) where id = '%s'",
                       run.run);
    /* An answer counts for a while: the runtime's last one was just now, and shall be long ago. */
    expect_ok(db_script(world.db,
                        "update macp.runtime_catalog set fetched_at = now() - interval "
                        "'1 minute'",
                        &err),
              &err, "age the catalog");
    ready = expect_get(&world, 200, "/readyz");
    assert_true(json_is_false(json_object_get(ready, "ok")));
    json_decref(ready);
    expect_sql(&world, "queued", "select status from macp.runs where id = '%s'", run.run);
    expect_ok(world_start_runtime(&world, &err), &err, "start the runtime");
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_stored_once(&world, run.run, run.session), 6);
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){0}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_observer_goes_on_where_its_rows_end),
        cmocka_unit_test(run_posted_while_no_observer_lives_is_observed_later),
        cmocka_unit_test(sigterm_ends_the_observer_in_bounded_time_with_everything_stored),
        cmocka_unit_test(postgres_restart_in_the_middle_loses_and_doubles_nothing),
        cmocka_unit_test(without_postgres_requests_are_503_at_once_and_recover_by_themselves),
        cmocka_unit_test(after_a_postgres_outage_runs_are_observed_again),
        cmocka_unit_test(cut_streams_are_taken_up_at_the_cursor),
        cmocka_unit_test(subscriber_that_lagged_comes_back_for_the_rest),
        cmocka_unit_test(unavailable_calls_keep_a_run_waiting_until_they_work_again),
        cmocka_unit_test(without_a_runtime_runs_stay_queued_and_go_on_when_it_comes),
    };

    return cmocka_run_group_tests_name("recovery", tests, set_up, scene_close);
}
