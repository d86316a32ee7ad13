/* The observer only reads: what the runtime counted. (What the programs are made of:
 * observer_gate.sh.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/scene.h"

enum { SESSIONS = 4 };

static struct world world;

static json_int_t
counted(const json_t *counters, const char *name)
{
    const json_t *ours =
        json_object_get(json_object_get(counters, "callers"), "macp-control-plane");

    assert_non_null(ours);
    return json_integer_value(json_object_get(ours, name));
}

/* Every call that could change something, by whomever: the scripts do not come by the wire. */
static const char *const writing[] = {
    "Send",          "CancelSession",  "SuspendSession",
    "ResumeSession", "RegisterPolicy", "UnregisterPolicy",
};

static void
observing_makes_no_writing_call_and_one_frame_per_stream(void **state)
{
    struct posted runs[SESSIONS];
    json_t *counters;

    (void)state;
    for (int i = 0; i < SESSIONS; i++) {
        expect_posted(&world, "macp.mode.decision.v1", NULL, &runs[i]);
        expect_played(&world, "decision.positive", runs[i].session, NULL);
    }
    for (int i = 0; i < SESSIONS; i++)
        expect_status(&world, runs[i].run, "completed");
    counters = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    for (size_t i = 0; i < ARRAY_LEN(writing); i++) {
        const json_t *n = json_object_get(json_object_get(counters, "total"), writing[i]);

        assert_true(json_is_integer(n));
        assert_int_equal(json_integer_value(n), 0);
    }
    assert_int_equal(counted(counters, "streamEnvelopes"), 0);
    assert_true(counted(counters, "StreamSession") >= SESSIONS);
    assert_int_equal(counted(counters, "streamFrames"), counted(counters, "StreamSession"));
    assert_int_equal(counted(counters, "subscribes"), counted(counters, "StreamSession"));
    /* Half-closes are not looked at: a call that is cancelled ends its request stream as well. */
    json_decref(counters);
}

static void
every_call_carries_the_observers_credential(void **state)
{
    json_t *counters = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    const json_t *nobody = json_object_get(json_object_get(counters, "callers"), "");
    const char *name;
    const json_t *n;

    (void)state;
    json_object_foreach ((json_t *)(uintptr_t)nobody, name, n)
        if (strcmp(name, "Initialize") != 0 && json_integer_value(n) != 0)
            fail_msg("%s was called without a credential", name);
    json_decref(counters);
}

static void
resubscribing_after_a_cut_sends_one_frame_with_the_cursor(void **state)
{
    struct posted run;
    json_t *before, *after;

    (void)state;
    expect_posted(&world, "macp.mode.decision.v1", NULL, &run);
    before = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:s, s:i, s:b}", "cmd", "play",
                                                 "script", "decision.positive", "session",
                                                 run.session, "delayMs", 60, "wait", 0)));
    expect_status(&world, run.run, "running");
    expect_sql_becomes(&world, "t",
                       "select cursor >= 2 from macp.run_observers join macp.runs using (run_key) "
                       "where id = '%s'",
                       run.run);
    json_decref(expect_control(&world, json_pack("{s:s}", "cmd", "cut")));
    expect_status(&world, run.run, "completed");
    after = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    assert_true(counted(after, "StreamSession") >= counted(before, "StreamSession") + 2);
    assert_int_equal(counted(after, "streamFrames"), counted(after, "StreamSession"));
    assert_int_equal(counted(after, "streamEnvelopes"), 0);
    expect_stored_once(&world, run.run, run.session);
    json_decref(after);
    json_decref(before);
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
        cmocka_unit_test(observing_makes_no_writing_call_and_one_frame_per_stream),
        cmocka_unit_test(every_call_carries_the_observers_credential),
        cmocka_unit_test(resubscribing_after_a_cut_sends_one_frame_with_the_cursor),
    };

    return cmocka_run_group_tests_name("observer only", tests, set_up, scene_close);
}
