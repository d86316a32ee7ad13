/* The runtime goes away, forgets, cuts, compacts and answers late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum {
    RUNS = 20,
    ENVELOPES = 30,
    RATE = 400,
    OUTAGES = 2,
    OUTAGE_MS = 600,
    FROZEN_MS = 1000,
    CUTS = 24,
    CUT_EVERY_MS = 100,
    BEFORE = 20, /* envelopes of a session before a fault */
    LAGGING = 40,
    AFTER = 3 /* Evaluations sent during one, then the Commitment */
};

static struct world world;

static void
set(json_t *settings)
{
    json_object_set_new(settings, "cmd", json_string("set"));
    json_decref(expect_control(&world, settings));
}

static void
load(struct crowd *c)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    crowd_wait_stored(c, RUNS * 5);
}

static void
cut(const char *what)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", what)));
}

/* Open sessions of BEFORE envelopes, all stored. */
static void
open_sessions(struct crowd *c)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = BEFORE, .open = true});
    crowd_pumped(c);
    crowd_wait_stored(c, RUNS * BEFORE);
}

static void
end_session(struct crowd *c, size_t run)
{
    for (int i = 0; i < AFTER; i++)
        crowd_send(c, run, "Evaluation");
    crowd_send(c, run, "Commitment");
}

static void
observer_leaves(void)
{
    world_stop_instance(&world, 0, SIGKILL, 1000);
}

static void
observer_comes(void)
{
    struct err err = {0};

    expect_ok(world_start_instance(&world, 0, &err), &err, "start the observer");
}

/* --- away and back --------------------------------------------------------------------------- */

static void
runtime_that_comes_back_with_its_memory_is_read_on(void **state)
{
    struct crowd c;

    (void)state;
    load(&c);
    for (int i = 0; i < OUTAGES; i++) {
        set(json_pack("{s:s, s:i}", "failMethod", "*", "failStatus", 14));
        cut("connections");
        process_pause(OUTAGE_MS); /* the fault itself */
        set(json_pack("{s:s}", "failMethod", ""));
        if (i < OUTAGES - 1)
            crowd_wait_stored(&c, crowd_stored(&c) + RUNS / 2);
    }
    crowd_pumped(&c);
    crowd_expect_whole(&c, "runtime away and back");
    crowd_free(&c);
}

static void
runtime_that_stands_still_is_waited_for(void **state)
{
    struct crowd c;

    (void)state;
    load(&c);
    process_signal(&world.runtime, SIGSTOP);
    process_pause(FROZEN_MS); /* the fault itself */
    process_signal(&world.runtime, SIGCONT);
    crowd_pumped(&c);
    crowd_expect_whole(&c, "frozen runtime");
    crowd_free(&c);
}

static void
streams_and_connections_cut_in_a_loop_lose_nothing(void **state)
{
    struct crowd c;

    (void)state;
    load(&c);
    for (int i = 0; i < CUTS && crowd_is_pumping(&c); i++) {
        cut(i % 2 ? "connections" : "streams");
        process_pause(CUT_EVERY_MS); /* between faults */
    }
    crowd_pumped(&c);
    crowd_expect_whole(&c, "cut in a loop");
    crowd_free(&c);
}

static json_int_t
subscriptions(void)
{
    json_t *answer = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    json_int_t n =
        json_integer_value(json_object_get(json_object_get(answer, "total"), "subscribes"));

    json_decref(answer);
    return n;
}

/* The observer stands still a moment: what it does not read fills the way to it. */
static void
subscribers_cut_for_lagging_come_back_for_the_rest(void **state)
{
    json_int_t before;
    struct crowd c;

    (void)state;
    open_sessions(&c);
    before = subscriptions();
    set(json_pack("{s:i}", "lag", 4));
    process_signal(&world.instances[0].process, SIGSTOP);
    for (int n = 0; n < LAGGING; n++)
        for (size_t i = 0; i < RUNS; i++)
            crowd_send(&c, i, n < LAGGING - 1 ? "Evaluation" : "Commitment");
    process_signal(&world.instances[0].process, SIGCONT);
    crowd_wait_status(&c, "completed");
    set(json_pack("{s:i}", "lag", 256));
    crowd_expect_whole(&c, "lag");
    print_message("%lld subscribers cut\n", (long long)(subscriptions() - before));
    assert_true(subscriptions() > before);
    crowd_free(&c);
}

static void
late_answers_only_cost_time(void **state)
{
    struct crowd c;

    (void)state;
    set(json_pack("{s:i}", "headersDelayMs", 400));
    load(&c);
    cut("connections");
    crowd_pumped(&c);
    crowd_expect_whole(&c, "delayed headers");
    set(json_pack("{s:i}", "headersDelayMs", 0));
    crowd_free(&c);
}

/* --- forgets --------------------------------------------------------------------------------- */

static void
forget(void)
{
    json_decref(expect_control(&world, json_pack("{s:s}", "cmd", "forget")));
}

static void
forgotten_sessions_fail_with_everything_stored(void **state)
{
    struct crowd_audit a;
    struct crowd c;

    (void)state;
    open_sessions(&c);
    crowd_audit(&c, false, &a); /* while there is a log to compare with */
    assert_int_equal(a.lost + a.doubled + a.foreign + a.gaps + a.holes, 0);
    assert_int_equal(a.stored, RUNS * BEFORE);
    forget();
    crowd_wait_status(&c, "failed");
    assert_int_equal(crowd_stored(&c), RUNS * BEFORE);
    expect_sql(&world, "20 20",
               "select count(*) filter (where failure_reason = 'runtime_forgot_session') || ' ' || "
               "count(*) filter (where error_message like '%%, %d envelopes stored)') from "
               "macp.runs where id = any('%s')",
               BEFORE, buf_cstr(&c.list));
    expect_sql(
        &world, "20",
        "select count(*) from macp.run_events_canonical join macp.runs using (run_key) where "
        "type = 'run.failed' and runs.id = any('%s')",
        buf_cstr(&c.list));
    expect_state_is_fold(&world, c.runs[0].run);
    crowd_free(&c);
}

/* The second life has ordinals of its own; the first one's end is unknown, and a row says so. */
static void
sessions_started_anew_are_stored_as_a_second_life(void **state)
{
    struct crowd_audit a;
    struct crowd c;

    (void)state;
    open_sessions(&c);
    forget();
    crowd_pump(&c, &(struct crowd_load){.envelopes = 30, .rate = RATE});
    crowd_pumped(&c);
    crowd_wait_status(&c, "completed");
    crowd_audit(&c, false, &a);
    crowd_print_audit("second life", &a);
    crowd_expect_honest(&a);
    assert_int_equal(a.stored, RUNS * 30);
    expect_sql(&world, "20 reset 21 21",
               "select count(*) || ' ' || min(kind) || ' ' || min(from_ordinal) || ' ' || "
               "max(to_ordinal) from macp.observer_gaps join macp.runs using (run_key) where id = "
               "any('%s')",
               buf_cstr(&c.list));
    expect_sql(
        &world, "400",
        "select count(*) from macp.run_events_raw join macp.runs using (run_key) where epoch "
        "= 0 and source = 'session' and id = any('%s')",
        buf_cstr(&c.list));
    expect_state_is_fold(&world, c.runs[0].run);
    crowd_free(&c);
}

/* --- compacts -------------------------------------------------------------------------------- */

/* Half of the sessions end while nobody reads, half of them later. */
static void
observer_is_away_at_the_end_of_half_the_sessions(struct crowd *c)
{
    open_sessions(c);
    observer_leaves();
    for (size_t i = 0; i < RUNS / 2; i++)
        end_session(c, i);
    observer_comes();
    crowd_wait_subscribed(c);
    for (size_t i = RUNS / 2; i < RUNS; i++)
        end_session(c, i);
    crowd_wait_status(c, "completed");
}

static void
history_compacted_while_the_observer_was_away_is_named_exactly(void **state)
{
    struct crowd_audit a;
    struct crowd c;

    (void)state;
    set(json_pack("{s:b}", "compaction", 1));
    observer_is_away_at_the_end_of_half_the_sessions(&c);
    crowd_audit(&c, false, &a);
    crowd_print_audit("compacted while away", &a);
    crowd_expect_honest(&a);
    assert_int_equal(a.gaps, RUNS / 2);
    assert_int_equal(a.missing, RUNS / 2 * (AFTER + 1));
    for (size_t i = 0; i < RUNS; i++)
        expect_sql(&world, i < RUNS / 2 ? "compacted 21 24" : "",
                   "select kind || ' ' || from_ordinal || ' ' || to_ordinal from "
                   "macp.observer_gaps join macp.runs using (run_key) where id = '%s'",
                   c.runs[i].run);
    expect_state_is_fold(&world, c.runs[0].run);
    expect_state_is_fold(&world, c.runs[RUNS - 1].run);
    set(json_pack("{s:b}", "compaction", 0));
    crowd_free(&c);
}

static void
session_that_nobody_saw_is_one_gap_and_a_completed_run(void **state)
{
    struct crowd_audit a;
    struct crowd c;

    (void)state;
    set(json_pack("{s:b}", "compaction", 1));
    observer_leaves();
    crowd_post(&c, &world, 3);
    crowd_pump(&c, &(struct crowd_load){.envelopes = BEFORE});
    crowd_pumped(&c);
    observer_comes();
    crowd_wait_status(&c, "completed");
    crowd_audit(&c, false, &a);
    crowd_print_audit("never seen", &a);
    crowd_expect_honest(&a);
    assert_int_equal(a.gaps, 3);
    assert_int_equal(a.missing, 3 * BEFORE);
    assert_int_equal(a.stored, 0);
    set(json_pack("{s:b}", "compaction", 0));
    crowd_free(&c);
}

/* The gap counts the last message, which comes all the same: it is stored, and numbered last. */
static void
last_message_behind_the_compaction_error_is_stored(void **state)
{
    struct crowd_audit a;
    struct crowd c;

    (void)state;
    set(json_pack("{s:b, s:b}", "compaction", 1, "compactionRace", 1));
    observer_is_away_at_the_end_of_half_the_sessions(&c);
    crowd_audit(&c, true, &a);
    crowd_print_audit("compaction race", &a);
    crowd_expect_honest(&a);
    assert_int_equal(a.gaps, RUNS / 2);
    assert_int_equal(a.stored, RUNS / 2 * (BEFORE + 1) + RUNS / 2 * (BEFORE + AFTER + 1));
    set(json_pack("{s:b, s:b}", "compaction", 0, "compactionRace", 0));
    crowd_free(&c);
}

/* Both tellers of an end, in either order and apart; with compaction nothing comes twice. */
static void
end_told_before_or_behind_the_last_message_loses_nothing(void **state)
{
    (void)state;
    for (int first = 0; first <= 1; first++) {
        struct crowd c;

        set(json_pack("{s:b, s:b, s:i}", "compaction", 1, "resolvedFirst", first, "resolvedGapMs",
                      300));
        load(&c);
        crowd_pumped(&c);
        crowd_expect_whole(&c, first ? "resolved before the commitment" : "commitment first");
        crowd_free(&c);
    }
    set(json_pack("{s:b, s:b, s:i}", "compaction", 0, "resolvedFirst", 0, "resolvedGapMs", 0));
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.without_observerd = true},
                      SCENE_INSTANCE | SCENE_WITNESS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runtime_that_comes_back_with_its_memory_is_read_on),
        cmocka_unit_test(runtime_that_stands_still_is_waited_for),
        cmocka_unit_test(streams_and_connections_cut_in_a_loop_lose_nothing),
        cmocka_unit_test(subscribers_cut_for_lagging_come_back_for_the_rest),
        cmocka_unit_test(late_answers_only_cost_time),
        cmocka_unit_test(history_compacted_while_the_observer_was_away_is_named_exactly),
        cmocka_unit_test(session_that_nobody_saw_is_one_gap_and_a_completed_run),
        cmocka_unit_test(last_message_behind_the_compaction_error_is_stored),
        cmocka_unit_test(end_told_before_or_behind_the_last_message_loses_nothing),
        cmocka_unit_test(forgotten_sessions_fail_with_everything_stored),
        cmocka_unit_test(sessions_started_anew_are_stored_as_a_second_life),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("runtime", tests, set_up, scene_close);
}
