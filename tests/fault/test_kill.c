/* kill -9 at random points under load, and a second observer that takes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum {
    RUNS = 20,
    ENVELOPES = 180,
    RATE = 560,
    KILLS = 5, /* per round */
    ROUNDS_SHORT = 1,
    ROUNDS_LONG = 10,
    LEASE_MS = 3000,
    TAKEN_WITHIN_MS = LEASE_MS + 5000
};

static struct world world;
static struct crowd_audit total;
static long rounds = ROUNDS_SHORT, kills, kills_under_load, slowest_takeover_ms;
static bool compaction; /* what ends while nobody reads it is gone */

static void
start(size_t instance)
{
    struct err err = {0};

    expect_ok(world_start_instance(&world, instance, &err), &err, "start an observer");
}

static void
kill_now(struct crowd *c, size_t instance)
{
    kills++;
    kills_under_load += crowd_is_pumping(c);
    assert_int_equal(world_stop_instance(&world, instance, SIGKILL, 1000), 128 + SIGKILL);
}

/* One in four while it starts, the others while it stores. It comes back with its id, at once. */
static void
kill_at_random(struct crowd *c, size_t instance)
{
    if (random() % 4 != 0 && crowd_is_pumping(c))
        crowd_wait_stored(c, crowd_stored(c) + 1);
    process_pause((int)(random() % 400));
    kill_now(c, instance);
    start(instance);
}

/* The other one has to wait for the lease of the one that died. */
static void
change_instance(struct crowd *c, size_t from, size_t to)
{
    long took;

    /* It stores again, so it has its runs back: none is free for the other one. */
    crowd_wait_stored(c, crowd_stored(c) + 1);
    crowd_wait_owned(c, world.instances[from].id, RUNS, TAKEN_WITHIN_MS);
    world.instances[to].id[0] = '\0';
    start(to);
    crowd_wait_stored(c, crowd_stored(c) + 1);
    process_pause((int)(random() % 400));
    kill_now(c, from);
    took = crowd_wait_owned(c, world.instances[to].id, RUNS, TAKEN_WITHIN_MS);
    if (took > slowest_takeover_ms)
        slowest_takeover_ms = took;
}

static void
add_up(const struct crowd_audit *a)
{
    total.runs += a->runs;
    total.accepted += a->accepted;
    total.stored += a->stored;
    total.lost += a->lost;
    total.doubled += a->doubled;
    total.foreign += a->foreign;
    total.gaps += a->gaps;
    total.missing += a->missing;
    total.unproven += a->unproven;
    total.holes += a->holes;
    total.endings += a->endings;
}

static void
kill_round(long round)
{
    size_t from = (size_t)round % 2, to = 1 - from;
    struct crowd_audit a;
    struct crowd c;

    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    for (int i = 0; i < KILLS; i++)
        kill_at_random(&c, from);
    change_instance(&c, from, to);
    crowd_pumped(&c);
    crowd_wait_status(&c, "completed");
    crowd_audit(&c, false, &a);
    add_up(&a);
    crowd_expect_honest(&a);
    assert_true(compaction || a.gaps == 0);
    assert_int_equal(a.accepted, RUNS * ENVELOPES);
    expect_state_is_fold(&world, c.runs[random() % RUNS].run);
    crowd_free(&c);
}

static void
killed_observers_lose_and_double_nothing(void **state)
{
    (void)state;
    json_decref(expect_control(
        &world, json_pack("{s:s, s:b}", "cmd", "set", "compaction", (int)compaction)));
    crowd_witness(&world);
    start(0);
    for (long i = 0; i < rounds; i++)
        kill_round(i);
    crowd_print_audit("killed", &total);
    print_message("%ld kills, %ld of them under load, slowest takeover %ld ms\n", kills,
                  kills_under_load, slowest_takeover_ms);
    assert_true(kills_under_load * 2 > kills);
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.without_observerd = true}, 0);
}

/* The seed of this run; false when the arguments are none of ours. */
static bool
read_arguments(int argc, char **argv, unsigned long *seed)
{
    *seed = (unsigned long)(clock_wall_ms() % 1000000007);
    for (int i = 1; i < argc; i++) {
        char *end = NULL;

        if (strcmp(argv[i], "--long") == 0) {
            rounds = ROUNDS_LONG;
            continue;
        }
        if (strcmp(argv[i], "--compact") == 0) {
            compaction = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") != 0 || ++i == argc)
            return false;
        errno = 0;
        *seed = strtoul(argv[i], &end, 10);
        if (errno || end == argv[i] || *end)
            return false;
    }
    return true;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_observers_lose_and_double_nothing),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };
    unsigned long seed;

    if (!read_arguments(argc, argv, &seed)) {
        fprintf(stderr, "usage: test_kill [--long] [--compact] [--seed N]\n");
        return 2;
    }
    srandom((unsigned)seed);
    print_message("seed %lu%s%s\n", seed, rounds == ROUNDS_LONG ? ", long form" : "",
                  compaction ? ", compaction" : "");
    return cmocka_run_group_tests_name("kill", tests, set_up, scene_close);
}
