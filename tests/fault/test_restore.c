/* A database that is set back to an older dump while observers and sessions go on. */
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

enum { RUNS = 20, ENVELOPES = 60, RATE = 400, SENT_BEFORE = 20, STOP_MS = 10000 };

static struct world world;

static void
dump(void)
{
    struct err err = {0};

    expect_ok(postgres_dump(world.postgres, world.database, &err), &err, "dump");
}

/* Whoever is connected is cut off, the test, too. */
static void
restore(void)
{
    struct err err = {0};

    db_disconnect(world.db);
    expect_ok(postgres_restore(world.postgres, world.database, &err), &err, "restore");
}

/* Sessions that still go on are read again from where the dump knows them. */
static void
what_the_dump_does_not_know_is_read_again(void **state)
{
    struct crowd c;
    long dumped;

    (void)state;
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c,
               &(struct crowd_load){.n = RUNS, .envelopes = ENVELOPES, .rate = RATE, .open = true});
    crowd_wait_stored(&c, RUNS * ENVELOPES / 4);
    dump();
    dumped = crowd_stored(&c);
    crowd_wait_stored(&c, dumped + RUNS * ENVELOPES / 4);
    restore();
    crowd_pumped(&c);
    for (size_t i = 0; i < RUNS; i++)
        crowd_send(&c, i, "Commitment");
    crowd_expect_whole(&c, "database set back under load");
    crowd_free(&c);
}

/*
 * Sessions that ended since are history that the runtime has dropped: gaps say so. The observer is
 * stopped meanwhile: one that goes on keeps what has ended for a minute before it looks again.
 */
static void
what_the_runtime_does_not_know_any_more_is_a_gap(void **state)
{
    struct crowd_audit a;
    struct err err = {0};
    struct crowd c;

    (void)state;
    json_decref(expect_control(&world, json_pack("{s:s, s:b}", "cmd", "set", "compaction", 1)));
    crowd_post(&c, &world, RUNS);
    crowd_pump(
        &c, &(struct crowd_load){.n = RUNS, .envelopes = SENT_BEFORE, .rate = RATE, .open = true});
    crowd_pumped(&c);
    crowd_wait_stored(&c, RUNS * SENT_BEFORE);
    dump();
    for (size_t i = 0; i < RUNS; i += 2) {
        crowd_send(&c, i, "Evaluation");
        crowd_send(&c, i, "Commitment");
        expect_status(&world, c.runs[i].run, "completed");
    }
    assert_int_equal(world_stop_instance(&world, 0, SIGTERM, process_slow(STOP_MS)), 0);
    restore();
    expect_ok(world_start_instance(&world, 0, &err), &err, "start the observer again");
    crowd_wait_subscribed(&c);
    for (size_t i = 1; i < RUNS; i += 2) {
        crowd_send(&c, i, "Evaluation");
        crowd_send(&c, i, "Commitment");
    }
    crowd_wait_status(&c, "completed");
    crowd_audit(&c, true, &a);
    crowd_print_audit("database set back behind the end of sessions", &a);
    crowd_expect_honest(&a);
    assert_int_equal(a.gaps, RUNS / 2);
    json_decref(expect_control(&world, json_pack("{s:s, s:b}", "cmd", "set", "compaction", 0)));
    crowd_free(&c);
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.without_observerd = true},
                      SCENE_READY | SCENE_INSTANCE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_dump_does_not_know_is_read_again),
        cmocka_unit_test(what_the_runtime_does_not_know_any_more_is_a_gap),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("restore", tests, set_up, scene_close);
}
