/* Postgres goes away in every way a server does, under load. */
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
    ENVELOPES = 40,
    RATE = 400,
    LEASE_MS = 3000,
    AWAY_MS = LEASE_MS + 1000,
    CUTS_WANTED = 15,
    CUT_EVERY_MS = 60
};

static struct world world;

static void
load(struct crowd *c, int envelopes)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = envelopes, .rate = RATE});
    crowd_wait_stored(c, RUNS * 5);
}

static void
down(enum postgres_end how)
{
    db_disconnect(world.db);
    postgres_down(world.postgres, how);
}

static void
up(void)
{
    struct err err = {0};

    expect_ok(postgres_up(world.postgres, &err), &err, "start Postgres");
}

static void
restart_under_load(enum postgres_end how, const char *what)
{
    struct crowd c;

    load(&c, ENVELOPES);
    assert_true(crowd_is_pumping(&c));
    down(how);
    up();
    crowd_pumped(&c);
    crowd_expect_whole(&c, what);
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(&c);
}

static void
fast_restart_loses_nothing(void **state)
{
    (void)state;
    restart_under_load(POSTGRES_FAST, "fast restart");
}

static void
immediate_restart_loses_nothing(void **state)
{
    (void)state;
    restart_under_load(POSTGRES_IMMEDIATE, "immediate restart");
}

static void
killed_server_loses_nothing(void **state)
{
    (void)state;
    restart_under_load(POSTGRES_KILL, "kill and restart");
}

/* The lease passes meanwhile; nobody can take the runs, and the owner goes on with them. */
static void
server_away_for_longer_than_the_lease_loses_nothing(void **state)
{
    struct crowd c;

    (void)state;
    load(&c, ENVELOPES * 2);
    down(POSTGRES_IMMEDIATE);
    process_pause(AWAY_MS); /* the fault itself */
    up();
    crowd_pumped(&c);
    crowd_expect_whole(&c, "away for longer than the lease");
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(&c);
}

/* Whatever it is doing: every time another of the observer's connections. */
static void
terminated_backends_lose_nothing(void **state)
{
    long cut = 0;
    struct crowd c;

    (void)state;
    load(&c, ENVELOPES * 2);
    while (crowd_is_pumping(&c)) {
        cut += expect_sql_int(&world,
                              "select count(pg_terminate_backend(pid)) from (select pid from "
                              "pg_stat_activity where application_name = '%s' order by random() "
                              "limit 1) x",
                              world.instances[0].id);
        process_pause(CUT_EVERY_MS); /* between faults */
    }
    crowd_pumped(&c);
    crowd_expect_whole(&c, "terminated backends");
    print_message("%ld backends terminated\n", cut);
    assert_true(cut >= CUTS_WANTED);
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
        cmocka_unit_test(fast_restart_loses_nothing),
        cmocka_unit_test(immediate_restart_loses_nothing),
        cmocka_unit_test(killed_server_loses_nothing),
        cmocka_unit_test(server_away_for_longer_than_the_lease_loses_nothing),
        cmocka_unit_test(terminated_backends_lose_nothing),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("postgres", tests, set_up, scene_close);
}
