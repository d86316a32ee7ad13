/* Postgres' disk is full, under load: for tables, then for its log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum { RUNS = 10, ENVELOPES = 60, RATE = 300, FULL_MS = 1500, REFUSED_MS = 20000 };

static struct world world;
static struct postgres *cluster;

static void
fill(const char *place)
{
    struct err err = {0};

    expect_ok(postgres_fill(cluster, place, &err), &err, "fill the disk");
}

static void
load(struct crowd *c)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    crowd_wait_stored(c, RUNS * 5);
}

static bool
observer_is_refused(void *ctx)
{
    char *said = process_log_tail(world.instances[0].process.log, 1 << 20);
    bool refused = strstr(said, "batch not stored, it is kept and sent again") != NULL;

    (void)ctx;
    free(said);
    return refused;
}

static bool
server_is_away(void *ctx)
{
    struct err err;
    char one[8];

    (void)ctx;
    return !world_sql(&world, one, sizeof one, &err, "select 1");
}

static void
full_disk_for_tables_keeps_batches_until_there_is_room(void **state)
{
    struct crowd c;
    long stored;

    (void)state;
    load(&c);
    fill("/base/");
    assert_true(process_poll(observer_is_refused, NULL, process_slow(REFUSED_MS)));
    stored = crowd_stored(&c);
    process_pause(FULL_MS); /* the fault itself */
    assert_true(crowd_stored(&c) < RUNS * ENVELOPES);
    assert_true(crowd_stored(&c) >= stored); /* rows can be read meanwhile */
    fill(NULL);
    crowd_pumped(&c);
    crowd_expect_whole(&c, "full disk for tables");
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(&c);
}

/* The server cannot go on without its log: it panics, and cannot come back before there is room. */
static void
full_disk_for_the_log_is_an_outage_that_loses_nothing(void **state)
{
    struct err err = {0};
    struct crowd c;
    char end[32];

    (void)state;
    load(&c);
    fill("/pg_wal/");
    /* The next file is due: whoever needs it first, this question may be. */
    (void)!world_sql(&world, end, sizeof end, &err, "select pg_switch_wal()");
    assert_true(process_poll(server_is_away, NULL, process_slow(REFUSED_MS)));
    process_pause(FULL_MS); /* the fault itself */
    assert_true(server_is_away(NULL));
    db_disconnect(world.db);
    postgres_down(cluster, POSTGRES_KILL);
    fill(NULL);
    expect_ok(postgres_up(cluster, &err), &err, "start Postgres");
    crowd_pumped(&c);
    crowd_expect_whole(&c, "full disk for the log");
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(&c);
}

static int
set_up(void **state)
{
    char build[PATH_MAX], shim[PATH_MAX + 32];
    struct err err = {0};

    if (world_find_build(build, sizeof build, &err)) {
        snprintf(shim, sizeof shim, "%s/tests/full_disk.so", build);
        cluster = postgres_start(&(struct postgres_options){.full_disk = shim}, &err);
    }
    if (!cluster) {
        print_error("%s\n", err.msg);
        return -1;
    }
    return scene_open(state, &world,
                      &(struct world_options){.cluster = cluster, .without_observerd = true},
                      SCENE_INSTANCE | SCENE_WITNESS);
}

static int
tear_down(void **state)
{
    scene_close(state);
    postgres_stop(cluster);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_for_tables_keeps_batches_until_there_is_room),
        cmocka_unit_test(full_disk_for_the_log_is_an_outage_that_loses_nothing),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("disk", tests, set_up, tear_down);
}
