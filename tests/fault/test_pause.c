/* An observer that stands still, as on a machine that is frozen, and wakes up again. */
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
    ENVELOPES = 60,
    RATE = 300,
    LEASE_MS = 3000,
    TAKEN_WITHIN_MS = LEASE_MS + 5000,
    SHORT_PAUSE_MS = 800,
    STOP_WITHIN_MS = 8000,
    LOG_BYTES = 1 << 20
};

static struct world world;

static void
start(size_t instance)
{
    struct err err = {0};

    expect_ok(world_start_instance(&world, instance, &err), &err, "start an observer");
}

static void
observer_paused_for_less_than_its_lease_keeps_its_runs(void **state)
{
    struct crowd c;

    (void)state;
    crowd_post(&c, &world, RUNS);
    crowd_wait_owned(&c, world.instances[0].id, RUNS, TAKEN_WITHIN_MS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = 20, .rate = RATE});
    crowd_wait_stored(&c, RUNS * 4);
    process_signal(&world.instances[0].process, SIGSTOP);
    process_pause(SHORT_PAUSE_MS); /* the fault itself, nothing is waited for */
    process_signal(&world.instances[0].process, SIGCONT);
    crowd_pumped(&c);
    crowd_expect_whole(&c, "short pause");
    expect_sql(&world, "1", "select max(fence) from macp.run_observers");
    crowd_free(&c);
}

/* How many of its runs the instance had to let go, because the rows had moved without it. */
static int
count_let_go(size_t instance)
{
    static const char said[] = "another writer has moved the run";
    char *log = process_log_tail(world.instances[instance].process.log, LOG_BYTES);
    int n = 0;

    for (const char *at = log; (at = strstr(at, said)) != NULL; at += sizeof said - 1)
        n++;
    free(log);
    return n;
}

static bool
has_let_go(void *ctx)
{
    (void)ctx;
    return count_let_go(0) >= RUNS;
}

/* It wakes up with envelopes in hand that the other one has stored, and must store none of them. */
static void
observer_paused_for_longer_than_its_lease_writes_nothing_stale(void **state)
{
    char woken[64];
    struct err err = {0};
    struct crowd c;

    (void)state;
    crowd_post(&c, &world, RUNS);
    crowd_wait_owned(&c, world.instances[0].id, RUNS, TAKEN_WITHIN_MS);
    start(1);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE, .open = true});
    crowd_wait_stored(&c, RUNS * 10);
    process_signal(&world.instances[0].process, SIGSTOP);
    crowd_wait_owned(&c, world.instances[1].id, RUNS, TAKEN_WITHIN_MS);
    crowd_pumped(&c);
    crowd_wait_stored(&c, RUNS * ENVELOPES);
    expect_ok(world_sql(&world, woken, sizeof woken, &err, "select clock_timestamp()"), &err,
              "now");
    process_signal(&world.instances[0].process, SIGCONT);
    for (size_t i = 0; i < RUNS; i++) {
        crowd_send(&c, i, "Evaluation");
        crowd_send(&c, i, "Commitment");
    }
    crowd_expect_whole(&c, "pause longer than the lease");
    /* It had something to write for all of them, and is refused. */
    process_poll(has_let_go, NULL, process_slow(TAKEN_WITHIN_MS));
    assert_int_equal(count_let_go(0), RUNS);
    assert_true(process_alive(&world.instances[0].process));
    expect_sql(&world, "0", "select count(*) from witness.write where writer = '%s' and at > '%s'",
               world.instances[0].id, woken);
    crowd_expect_owners_only_wrote(&world);
    assert_int_equal(crowd_owned(&c, world.instances[1].id), RUNS);
    crowd_free(&c);
}

/* After the freeze it is an observer like any other again. */
static void
woken_observer_takes_new_runs_again(void **state)
{
    struct crowd c;

    (void)state;
    assert_int_equal(world_stop_instance(&world, 1, SIGTERM, process_slow(STOP_WITHIN_MS)), 0);
    crowd_post(&c, &world, 4);
    crowd_pump(&c, &(struct crowd_load){.envelopes = 10});
    crowd_pumped(&c);
    crowd_expect_whole(&c, "after the pause");
    crowd_free(&c);
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
        cmocka_unit_test(observer_paused_for_less_than_its_lease_keeps_its_runs),
        cmocka_unit_test(observer_paused_for_longer_than_its_lease_writes_nothing_stale),
        cmocka_unit_test(woken_observer_takes_new_runs_again),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("pause", tests, set_up, scene_close);
}
