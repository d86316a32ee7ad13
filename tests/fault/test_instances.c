/* Several observers share the runs; one of them is killed, or asked to leave. */
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
#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum {
    RUNS = 200,
    FEWER_RUNS = 60,
    SHARED_RUNS = 20,
    ENVELOPES = 20,
    SHARED_ENVELOPES = 15,
    RATE = 700,
    LEASE_MS = 3000,
    TAKEN_WITHIN_MS = LEASE_MS + 5000,
    SHARED_WITHIN_MS = 5 * LEASE_MS,
    HANDED_OVER_WITHIN_MS = 1500,
    STOP_WITHIN_MS = 8000,
    GROUPS = 5
};

static struct world world;

/* --- instances ------------------------------------------------------------------------------- */

static void
kill_instance(size_t i)
{
    if (world.instances[i].process.pid)
        assert_int_equal(world_stop_instance(&world, i, SIGKILL, 1000), 128 + SIGKILL);
}

/* New ones, alone, and each has seen the others: only then do they share. */
static void
have_instances(size_t n)
{
    char since[64];
    struct err err = {0};

    for (size_t i = 0; i < WORLD_INSTANCES; i++)
        world_stop_instance(&world, i, SIGTERM, process_slow(STOP_WITHIN_MS));
    /* Runs of earlier tests, kept for a minute after their end, would count as somebody's share. */
    expect_ok(db_script(world.db, "update macp.run_observers set closed = true", &err), &err,
              "close earlier runs");
    for (size_t i = 0; i < n; i++) {
        world.instances[i].id[0] = '\0';
        expect_ok(world_start_instance(&world, i, &err), &err, "start an observer");
    }
    for (size_t i = 0; i < n; i++)
        expect_sql_becomes(&world, "1",
                           "select count(*) from macp.observer_instances where instance_id = '%s'",
                           world.instances[i].id);
    expect_ok(world_sql(&world, since, sizeof since, &err, "select clock_timestamp()"), &err,
              "now");
    for (size_t i = 0; i < n; i++)
        expect_sql_becomes(&world, "1",
                           "select count(*) from macp.observer_instances where instance_id = '%s' "
                           "and alive_until > '%s'::timestamptz + interval '%d milliseconds'",
                           world.instances[i].id, since, LEASE_MS);
}

struct sharing {
    struct crowd *c;
    size_t n;
    char split[64];
};

static bool
is_shared(void *ctx)
{
    struct sharing *s = ctx;
    bool each_has_some = true;
    long sum = 0;

    s->split[0] = '\0';
    for (size_t i = 0; i < s->n; i++) {
        long owned = crowd_owned(s->c, world.instances[i].id);

        snprintf(s->split + strlen(s->split), sizeof s->split - strlen(s->split), " %ld", owned);
        sum += owned;
        each_has_some = each_has_some && owned > 0;
    }
    return each_has_some && sum == (long)s->c->n;
}

/*
 * Every run has one of the first n as its owner, and each of them some: if claims fell otherwise,
 * whoever has too few asks for more.
 */
static void
expect_shared(struct crowd *c, size_t n)
{
    struct sharing s = {.c = c, .n = n};

    if (!process_poll(is_shared, &s, process_slow(SHARED_WITHIN_MS)))
        fail_msg("%zu runs are not shared by %zu instances:%s", c->n, n, s.split);
    print_message("%zu runs shared:%s\n", c->n, s.split);
}

static void
all_owned(struct crowd *c)
{
    expect_sql_becomes(&world, "0",
                       "select count(*) from macp.run_observers join macp.runs using (run_key) "
                       "where owner is null and id = any('%s')",
                       buf_cstr(&c->list));
}

/* Until no run is left with the instance that is gone, nor without an owner. */
static long
wait_taken_over(struct crowd *c, const char *gone, int limit_ms)
{
    int64_t began = clock_mono_ms();
    long left;

    for (;;) {
        left = expect_sql_int(&world,
                              "select count(*) from macp.run_observers join macp.runs using "
                              "(run_key) where (owner is null or owner = '%s') and id = any('%s')",
                              gone, buf_cstr(&c->list));
        if (left == 0)
            return (long)(clock_mono_ms() - began);
        if (clock_mono_ms() - began > process_slow(limit_ms))
            fail_msg("%ld runs are not taken over after %d ms", left, limit_ms);
        process_pause(10);
    }
}

static void
set_compaction(bool on)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:b}", "cmd", "set", "compaction", on)));
}

/* --- killed ---------------------------------------------------------------------------------- */

static void
kill_first_and_wait(struct crowd *c)
{
    char gone[UUID_LEN];

    memcpy(gone, world.instances[0].id, UUID_LEN);
    kill_instance(0);
    print_message("taken over within %ld ms\n", wait_taken_over(c, gone, TAKEN_WITHIN_MS));
}

/* n instances share the sessions, which are under way. */
static void
share_under_load(struct crowd *c, size_t n)
{
    have_instances(n);
    crowd_post(c, &world, RUNS);
    all_owned(c);
    expect_shared(c, n);
    crowd_pump(c, &(struct crowd_load){.envelopes = SHARED_ENVELOPES, .rate = RATE});
    crowd_wait_stored(c, RUNS * 3);
}

static void
killed_one_of_two_is_taken_over_within_the_lease(void **state)
{
    struct crowd c;

    (void)state;
    share_under_load(&c, 2);
    kill_first_and_wait(&c);
    crowd_pumped(&c);
    crowd_expect_whole(&c, "one of two killed");
    crowd_free(&c);
}

/* One of three is told to leave, then of the two that are left one is killed. */
static void
one_of_three_leaves_and_one_is_killed(void **state)
{
    char gone[UUID_LEN];
    struct crowd c;
    long took;

    (void)state;
    share_under_load(&c, 3);
    memcpy(gone, world.instances[2].id, UUID_LEN);
    assert_int_equal(world_stop_instance(&world, 2, SIGTERM, process_slow(STOP_WITHIN_MS)), 0);
    took = wait_taken_over(&c, gone, HANDED_OVER_WITHIN_MS);
    print_message("handed over within %ld ms of its end\n", took);
    kill_first_and_wait(&c);
    crowd_pumped(&c);
    crowd_expect_whole(&c, "one of three left, one killed");
    crowd_free(&c);
}

/* --- compaction: what ended while nobody read it is gone, and nothing else ------------------- */

static void
remember_owners(void)
{
    struct err err = {0};

    expect_ok(db_script(world.db,
                        "drop table if exists owned_before; create table owned_before as select "
                        "run_key, owner from macp.run_observers",
                        &err),
              &err, "owners");
}

/* Each session of the dead owner that ends before the takeover: exactly its last two. */
static void
expect_gaps_where_nobody_read(struct crowd *c, const char *gone)
{
    for (size_t i = 0; i < c->n; i++) {
        bool unread = expect_sql_int(&world,
                                     "select count(*) from owned_before join macp.runs using "
                                     "(run_key) where owner = '%s' and id = '%s'",
                                     gone, c->runs[i].run) == 1;

        expect_sql(&world, unread && i % 2 == 0 ? "compacted 21 22" : "",
                   "select string_agg(kind || ' ' || from_ordinal || ' ' || to_ordinal, ', ') from "
                   "macp.observer_gaps join macp.runs using (run_key) where id = '%s'",
                   c->runs[i].run);
    }
}

/* Claims fall as they like: the instance that has most of the sessions that will end unread. */
static size_t
owner_of_most_even_runs(struct crowd *c)
{
    long first = 0, second = 0;

    for (size_t i = 0; i < c->n; i += 2) {
        char owner[UUID_LEN];
        struct err err = {0};

        expect_ok(world_sql(&world, owner, sizeof owner, &err,
                            "select owner from macp.run_observers join macp.runs using (run_key) "
                            "where id = '%s'",
                            c->runs[i].run),
                  &err, "owner");
        first += strcmp(owner, world.instances[0].id) == 0;
        second += strcmp(owner, world.instances[1].id) == 0;
    }
    return second > first;
}

static void
only_sessions_without_a_reader_have_gaps_after_a_kill(void **state)
{
    char gone[UUID_LEN];
    struct crowd_audit a;
    struct crowd c;
    size_t victim;
    long owned;

    (void)state;
    have_instances(2);
    set_compaction(true);
    crowd_post(&c, &world, FEWER_RUNS);
    all_owned(&c);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .open = true});
    crowd_pumped(&c);
    crowd_wait_stored(&c, FEWER_RUNS * ENVELOPES);
    remember_owners();
    victim = owner_of_most_even_runs(&c);
    memcpy(gone, world.instances[victim].id, UUID_LEN);
    owned = crowd_owned(&c, gone);
    assert_true(owned > 0);
    kill_instance(victim);
    for (size_t i = 0; i < c.n; i += 2) {
        crowd_send(&c, i, "Evaluation");
        crowd_send(&c, i, "Commitment");
    }
    assert_int_equal(crowd_owned(&c, gone), owned); /* all of them ended before the takeover */
    wait_taken_over(&c, gone, TAKEN_WITHIN_MS);
    crowd_wait_subscribed(&c);
    for (size_t i = 1; i < c.n; i += 2) {
        crowd_send(&c, i, "Evaluation");
        crowd_send(&c, i, "Commitment");
    }
    crowd_wait_status(&c, "completed");
    crowd_audit(&c, false, &a);
    crowd_print_audit("compaction, one of two killed", &a);
    crowd_expect_honest(&a);
    assert_true(a.gaps > 0);
    expect_gaps_where_nobody_read(&c, gone);
    set_compaction(false);
    crowd_free(&c);
}

/* --- told to leave: the next one reads before the last one stops ----------------------------- */

/* Told to leave, it hands all its runs over; how long it took. */
static long
leave(size_t i)
{
    int64_t began = clock_mono_ms();

    assert_int_equal(world_stop_instance(&world, i, SIGTERM, process_slow(STOP_WITHIN_MS)), 0);
    return (long)(clock_mono_ms() - began);
}

/* Sessions end all the time, a group after the other. */
static void
pump_in_groups(struct crowd *c)
{
    for (size_t i = 0; i < GROUPS; i++)
        crowd_pump(c, &(struct crowd_load){.first = i * FEWER_RUNS / GROUPS,
                                           .n = FEWER_RUNS / GROUPS,
                                           .envelopes = 20 + 10 * (int)i,
                                           .rate = 150,
                                           .watched = true});
}

static void
rolling_restart_of_a_pair_leaves_no_moment_unread(void **state)
{
    struct err err = {0};
    struct crowd c;
    long took[2];

    (void)state;
    have_instances(2);
    set_compaction(true);
    crowd_post(&c, &world, FEWER_RUNS);
    all_owned(&c);
    expect_shared(&c, 2);
    pump_in_groups(&c);
    crowd_wait_stored(&c, FEWER_RUNS * 17); /* the first group is about to end */
    for (size_t i = 0; i < 2; i++) {
        long before = crowd_owned(&c, world.instances[i].id);

        took[i] = leave(i);
        print_message("instance %zu left within %ld ms, with %ld runs\n", i, took[i], before);
        expect_ok(world_start_instance(&world, i, &err), &err, "start the next version");
        expect_sql_becomes(&world, "1",
                           "select count(*) from macp.observer_instances where instance_id = '%s' "
                           "and not draining",
                           world.instances[i].id);
    }
    assert_true(crowd_is_pumping(&c)); /* or nothing was going on any more */
    crowd_pumped(&c);
    crowd_expect_whole(&c, "rolling restart of two");
    set_compaction(false);
    crowd_free(&c);
}

/* One has them all; another one joins and gets runs of it, while sessions go on and end. */
static void
joined_instance_gets_its_share_without_a_gap(void **state)
{
    struct err err = {0};
    struct crowd c;
    long got;

    (void)state;
    have_instances(1);
    set_compaction(true);
    crowd_post(&c, &world, SHARED_RUNS);
    crowd_wait_owned(&c, world.instances[0].id, SHARED_RUNS, TAKEN_WITHIN_MS);
    crowd_pump(
        &c, &(struct crowd_load){.n = SHARED_RUNS, .envelopes = 80, .rate = 250, .watched = true});
    world.instances[1].id[0] = '\0';
    expect_ok(world_start_instance(&world, 1, &err), &err, "start another observer");
    crowd_pumped(&c);
    got = crowd_owned(&c, world.instances[1].id);
    print_message("the one that joined has %ld of %d runs\n", got, SHARED_RUNS);
    crowd_expect_whole(&c, "another one joins");
    assert_in_range(got, SHARED_RUNS / 4, SHARED_RUNS / 2); /* never more than half */
    set_compaction(false);
    crowd_free(&c);
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.without_observerd = true},
                      SCENE_WITNESS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_one_of_two_is_taken_over_within_the_lease),
        cmocka_unit_test(one_of_three_leaves_and_one_is_killed),
        cmocka_unit_test(only_sessions_without_a_reader_have_gaps_after_a_kill),
        cmocka_unit_test(rolling_restart_of_a_pair_leaves_no_moment_unread),
        cmocka_unit_test(joined_instance_gets_its_share_without_a_gap),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("instances", tests, set_up, scene_close);
}
