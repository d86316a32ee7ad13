/* Fifty sessions of four hundred envelopes, as fast as the runtime can: all of it is stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"

enum { SESSIONS = 50, ENVELOPES = 400 };

static struct world world;

/* The runtime drops a subscriber that is 256 envelopes behind and keeps its history. */
static void
flat_out_sessions_are_stored_completely_and_in_order(void **state)
{
    static struct posted runs[SESSIONS];
    json_t *ids = json_array();

    (void)state;
    for (int i = 0; i < SESSIONS; i++) {
        expect_posted(&world, DECISION, NULL, &runs[i]);
        json_array_append_new(ids, json_string(runs[i].session));
    }
    json_decref(expect_control(&world, json_pack("{s:s, s:o, s:i, s:b}", "cmd", "pump", "ids", ids,
                                                 "envelopes", ENVELOPES, "waitSubscribers", 1)));
    for (int i = 0; i < SESSIONS; i++)
        expect_status(&world, runs[i].run, "completed");
    for (int i = 0; i < SESSIONS; i++)
        assert_int_equal(expect_stored_once(&world, runs[i].run, runs[i].session), ENVELOPES);
    expect_state_is_fold(&world, runs[0].run);
    expect_state_is_fold(&world, runs[SESSIONS - 1].run);
    expect_sql(&world, "0", "select count(*) from macp.observer_gaps");
}

static int
set_up(void **state)
{
    static const char *const runtime[] = {"--set", "compaction=false", "--set", "lag=256", NULL};

    return scene_open(state, &world, &(struct world_options){.runtime_args = runtime}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_out_sessions_are_stored_completely_and_in_order),
    };

    return cmocka_run_group_tests_name("volume", tests, set_up, scene_close);
}
