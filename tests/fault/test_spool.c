/* Postgres is away while sessions go on and end, and the runtime compacts: what the spool is for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/clock.h"
#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum {
    RUNS = 8,
    ENVELOPES = 600, /* of a session: more than fits into a stream that is not read */
    RATE = 2500,
    LEASE_MS = 3000,
    PATIENCE_MS = 30000,
    TAKEN_WITHIN_MS = LEASE_MS + 5000,
    STOP_WITHIN_MS = 10000,
    DRAIN_MS = 4000, /* of every observer here */
    SLACK_MS = 2000,
    LARGE = 8192,   /* bytes of a payload */
    MANY = 330,     /* of them in a session fill the spool, all sessions together */
    QUIET_MS = 400, /* a file that has not grown for so long, while nobody sends */
};

static struct world world;

static void
start(size_t i)
{
    struct err err = {0};

    expect_ok(world_start_instance(&world, i, &err), &err, "start an observer");
}

static void
set(const char *name, json_t *value)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:o}", "cmd", "set", name, value)));
}

static void
down(void)
{
    db_disconnect(world.db);
    postgres_down(world.postgres, POSTGRES_IMMEDIATE);
}

static void
up(void)
{
    struct err err = {0};

    expect_ok(postgres_up(world.postgres, &err), &err, "start Postgres");
}

/* --- the spool, seen from outside ------------------------------------------------------------ */

static long
spool_size(size_t instance)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof path, "%s/spool%zu/shard-0.spool", world.dir, instance);
    return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

/* Everything that was sent has come: nothing has been added to any spool for a while. */
static void
wait_spooled(long at_least)
{
    int64_t deadline = clock_mono_ms() + process_slow(PATIENCE_MS), since = clock_mono_ms();
    long last = -1;

    for (;;) {
        long now = spool_size(0) + spool_size(1);

        if (now != last)
            since = clock_mono_ms();
        last = now;
        if (now >= at_least && clock_mono_ms() - since >= process_slow(QUIET_MS))
            break;
        if (clock_mono_ms() > deadline)
            fail_msg("the spool has %ld bytes, wanted %ld", now, at_least);
        process_pause(10);
    }
    print_message("%ld bytes in the spool\n", last);
}

static bool
spool_is_empty(void *ctx)
{
    return spool_size(*(size_t *)ctx) < 100; /* its header */
}

static void
expect_spool_emptied(size_t instance)
{
    assert_true(process_poll(spool_is_empty, &instance, process_slow(PATIENCE_MS)));
}

/* --- load ------------------------------------------------------------------------------------ */

/* Sessions are under way, then Postgres goes; all of them end while it is away. */
static void
end_sessions_while_postgres_is_away(struct crowd *c)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE, .watched = true});
    crowd_wait_stored(c, RUNS * 10);
    assert_true(crowd_is_pumping(c));
    down();
    crowd_pumped(c);
}

static void
fresh_instance(size_t i)
{
    world.instances[i].id[0] = '\0';
    start(i);
}

static void
leave(size_t i)
{
    assert_int_equal(world_stop_instance(&world, i, SIGTERM, process_slow(STOP_WITHIN_MS)), 0);
}

/* --- tests ----------------------------------------------------------------------------------- */

/* That the tests below would notice. */
static void
without_a_spool_there_are_gaps(void **state)
{
    struct crowd_audit a;
    struct crowd c;

    (void)state;
    world.options.spool = false;
    fresh_instance(0);
    world.options.spool = true;
    end_sessions_while_postgres_is_away(&c);
    up();
    crowd_wait_status(&c, "completed");
    crowd_audit(&c, false, &a);
    crowd_print_audit("Postgres away, no spool", &a);
    crowd_expect_honest(&a);
    assert_true(a.gaps > 0);
    leave(0);
    crowd_free(&c);
}

static void
sessions_that_end_while_postgres_is_away_are_stored_whole(void **state)
{
    struct crowd c;

    (void)state;
    fresh_instance(0);
    end_sessions_while_postgres_is_away(&c);
    wait_spooled(100000);
    process_pause(LEASE_MS); /* nobody is alive when it comes back */
    up();
    crowd_expect_whole(&c, "Postgres away");
    expect_spool_emptied(0);
    leave(0);
    assert_int_equal(spool_size(0), 0);
    crowd_free(&c);
}

static void
postgres_that_comes_back_under_load_catches_up(void **state)
{
    struct crowd c;

    (void)state;
    fresh_instance(0);
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE, .watched = true});
    crowd_wait_stored(&c, RUNS * 10);
    down();
    while (spool_size(0) < 50000)
        process_pause(10);
    up();
    crowd_pumped(&c);
    crowd_expect_whole(&c, "Postgres back under load");
    expect_spool_emptied(0);
    leave(0);
    crowd_free(&c);
}

static bool
spool_has_refused(void *ctx UNUSED)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err;
    struct http page;

    http_init(&page, world.instances[0].metrics_port, "", process_slow(STOP_WITHIN_MS));
    return http_get(&page, &r, &err, "/metrics") &&
           !strstr(buf_cstr(&r.body), "\nmacp_observer_spool_refused_total 0\n");
}

/* Streams are not read any more, and the runtime cuts them; what it keeps is read again. */
static void
full_spool_waits_and_loses_nothing(void **state)
{
    struct crowd c;

    (void)state;
    set("compaction", json_false());
    fresh_instance(0);
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){
                       .envelopes = MANY, .rate = RATE, .payload = LARGE, .watched = true});
    crowd_wait_stored(&c, RUNS);
    down();
    assert_true(process_poll(spool_has_refused, NULL, process_slow(PATIENCE_MS)));
    print_message("%ld bytes in the spool\n", spool_size(0));
    up();
    crowd_pumped(&c);
    crowd_expect_whole(&c, "full spool");
    expect_spool_emptied(0);
    leave(0);
    set("compaction", json_true());
    crowd_free(&c);
}

static void
killed_while_spooling_restart(bool same_id)
{
    struct crowd c;

    fresh_instance(0);
    end_sessions_while_postgres_is_away(&c);
    wait_spooled(100000);
    world_stop_instance(&world, 0, SIGKILL, 1000);
    if (!same_id)
        world.instances[0].id[0] = '\0';
    up();
    start(0);
    crowd_expect_whole(&c, "killed while spooling");
    expect_spool_emptied(0);
    leave(0);
    crowd_free(&c);
}

static void
killed_while_spooling_nothing_is_lost(void **state)
{
    (void)state;
    killed_while_spooling_restart(true);
}

static void
killed_while_spooling_and_back_as_somebody_else_nothing_is_lost(void **state)
{
    (void)state;
    killed_while_spooling_restart(false);
}

/* The runtime still has all of it: another instance reads it there, and the spool adds nothing. */
static void
spool_of_runs_that_another_instance_has_taken_stores_nothing_twice(void **state)
{
    struct crowd c;

    (void)state;
    set("compaction", json_false());
    fresh_instance(0);
    end_sessions_while_postgres_is_away(&c);
    wait_spooled(100000);
    world_stop_instance(&world, 0, SIGKILL, 1000);
    up();
    fresh_instance(1);
    crowd_wait_owned(&c, world.instances[1].id, RUNS, TAKEN_WITHIN_MS);
    start(0);
    crowd_expect_whole(&c, "the spool of a dead one, taken over meanwhile");
    expect_spool_emptied(0);
    leave(0);
    leave(1);
    set("compaction", json_true());
    crowd_free(&c);
}

static void
pair_that_outlived_its_leases_keeps_its_runs_and_loses_nothing(void **state)
{
    struct crowd c;

    (void)state;
    fresh_instance(0);
    fresh_instance(1);
    end_sessions_while_postgres_is_away(&c);
    wait_spooled(1000);
    process_pause(LEASE_MS + 500);
    up();
    crowd_expect_whole(&c, "Postgres away, two instances");
    leave(0);
    leave(1);
    crowd_free(&c);
}

/* --- told to leave meanwhile ----------------------------------------------------------------- */

static void
leave_within_the_limit(size_t i)
{
    int64_t began = clock_mono_ms();
    long took;

    leave(i);
    took = (long)(clock_mono_ms() - began);
    print_message("left within %ld ms\n", took);
    if (took > process_slow(DRAIN_MS + SLACK_MS))
        fail_msg("it took %ld ms to leave", took);
}

static void
leave_without_postgres(bool hangs)
{
    struct crowd c;

    fresh_instance(0);
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES / 4, .rate = RATE, .watched = true});
    crowd_wait_stored(&c, RUNS * 10);
    if (hangs)
        postgres_hang(world.postgres, true);
    else
        down();
    crowd_pumped(&c);
    process_pause(process_slow(QUIET_MS)); /* what was sent last is on its way */
    leave_within_the_limit(0);
    assert_true(spool_size(0) > 1000);
    if (hangs)
        postgres_hang(world.postgres, false);
    else
        up();
    start(0);
    crowd_expect_whole(&c, hangs ? "left while Postgres hangs" : "left without Postgres");
    leave(0);
    crowd_free(&c);
}

static void
leaving_without_postgres_keeps_everything_in_the_spool(void **state)
{
    (void)state;
    leave_without_postgres(false);
}

static void
leaving_while_postgres_hangs_keeps_everything_in_the_spool(void **state)
{
    (void)state;
    leave_without_postgres(true);
}

static void
leaving_while_the_runtime_hangs_stores_what_came(void **state)
{
    struct crowd c;
    long before;

    (void)state;
    fresh_instance(0);
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES / 4, .rate = RATE, .watched = true});
    crowd_wait_stored(&c, RUNS * 10);
    process_signal(&world.runtime, SIGSTOP);
    leave_within_the_limit(0);
    before = crowd_stored(&c);
    assert_true(before >= RUNS * 10);
    process_signal(&world.runtime, SIGCONT);
    crowd_pumped(&c);
    set("compaction", json_false());
    crowd_free(&c);
}

static int
set_up(void **state)
{
    static const char *const env[] = {"OBSERVERD_BATCH_EVENTS=200",
                                      "OBSERVERD_SPOOL_BYTES=16777216", NULL};

    if (scene_open(
            state, &world,
            &(struct world_options){.without_observerd = true, .spool = true, .observerd_env = env},
            SCENE_WITNESS) != 0)
        return -1;
    set("compaction", json_true());
    set("lag", json_integer(100));
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_spool_there_are_gaps),
        cmocka_unit_test(sessions_that_end_while_postgres_is_away_are_stored_whole),
        cmocka_unit_test(postgres_that_comes_back_under_load_catches_up),
        cmocka_unit_test(full_spool_waits_and_loses_nothing),
        cmocka_unit_test(killed_while_spooling_nothing_is_lost),
        cmocka_unit_test(killed_while_spooling_and_back_as_somebody_else_nothing_is_lost),
        cmocka_unit_test(spool_of_runs_that_another_instance_has_taken_stores_nothing_twice),
        cmocka_unit_test(pair_that_outlived_its_leases_keeps_its_runs_and_loses_nothing),
        cmocka_unit_test(leaving_without_postgres_keeps_everything_in_the_spool),
        cmocka_unit_test(leaving_while_postgres_hangs_keeps_everything_in_the_spool),
        cmocka_unit_test(leaving_while_the_runtime_hangs_stores_what_came),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("spool", tests, set_up, scene_close);
}
