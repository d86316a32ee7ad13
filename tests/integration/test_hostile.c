/* A session whose senders do everything they can: it is stored whole, and others do not notice. */
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
#include "tests/support/hostile.h"
#include "tests/support/latency.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"

enum {
    NEIGHBOUR_ENVELOPES = 400,
    NEIGHBOUR_RATE = 50, /* a second */
    WAIT_MS = 120000,
    /*
     * What the daemon may grow by. A payload of a mebibyte makes up to 16 MiB of rows: its text,
     * escaped, and its base64 in two events. Three of those are in flight (in hand, pending, being
     * sent), some as JSON values and once more in libpq's buffer; the rest is the runtime's window.
     */
    GROWTH_MAX_KB = 256 * 1024,
    /* Nobody starves. How long it takes on a quiet machine is bench_neighbour's to say. */
    P99_MAX_MS = 5000,
};

static struct world world;

static void
start_neighbour(const struct posted *run)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:[s], s:i, s:i, s:b, s:b}", "cmd", "pump", "ids",
                                         run->session, "envelopes", NEIGHBOUR_ENVELOPES, "rate",
                                         NEIGHBOUR_RATE, "waitSubscribers", 1, "wait", 0)));
}

static void
a_hostile_session_is_stored_whole_and_its_neighbour_is_served(void **state)
{
    struct posted hostile, neighbour;
    struct latency_figures seen;
    struct latency *watch;
    struct err err = {0};
    long before, peak;
    int sent = 0;

    (void)state;
    expect_posted(&world, DECISION, NULL, &hostile);
    expect_ok(hostile_open(&world, hostile.session, &err), &err, "opening");
    expect_status(&world, hostile.run, "running");
    before = memory_kib(world.observerd.pid);
    assert_true(before > 0);

    expect_posted(&world, DECISION, NULL, &neighbour);
    watch = latency_watch(world.admin_url, neighbour.session, NEIGHBOUR_ENVELOPES, WAIT_MS);
    start_neighbour(&neighbour);
    for (unsigned way = 0; way < HOSTILE__COUNT; way++)
        expect_ok(hostile_send(&world, hostile.session, (enum hostile_way)way, &sent, &err), &err,
                  hostile_name((enum hostile_way)way));
    expect_ok(hostile_close(&world, hostile.session, &err), &err, "closing");
    expect_ok(latency_finish(watch, &seen, &err), &err, "watching the neighbour");
    expect_status(&world, neighbour.run, "completed");
    expect_status(&world, hostile.run, "completed");
    peak = memory_peak_kib(world.observerd.pid);
    assert_true(peak > 0);

    print_message("%d hostile envelopes; daemon %ld KiB before, %ld KiB at its peak; neighbour p50 "
                  "%ld ms, p99 %ld ms, max %ld ms\n",
                  sent, before, peak, (long)seen.p50_ms, (long)seen.p99_ms, (long)seen.max_ms);
    assert_true(sent > HOSTILE_SENDERS);
    assert_int_equal(expect_stored_once(&world, hostile.run, hostile.session), sent + 2);
    assert_int_equal(expect_stored_once(&world, neighbour.run, neighbour.session),
                     NEIGHBOUR_ENVELOPES);
    expect_sql(&world, "0", "select count(*) from macp.observer_gaps");
    expect_state_is_fold(&world, neighbour.run);
    assert_true(peak - before < process_slow(GROWTH_MAX_KB)); /* sanitizers take more of it too */
    assert_true(seen.p99_ms < process_slow(P99_MAX_MS));
}

static int
set_up(void **state)
{
    static const char *const runtime[] = {"--set", "compaction=false", NULL};

    return scene_open(state, &world, &(struct world_options){.runtime_args = runtime}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hostile_session_is_stored_whole_and_its_neighbour_is_served),
    };

    return cmocka_run_group_tests_name("hostile", tests, set_up, scene_close);
}
