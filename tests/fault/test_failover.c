/*
 * Postgres' machine is lost, and its standby takes over: it has not got everything that was
 * committed, and the lost one does not even refuse connections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/crowd.h"
#include "tests/support/relay.h"
#include "tests/support/scene.h"

enum { RUNS = 20, ENVELOPES = 100, RATE = 400, LOST = 150, API_LOOKS = 12, WAIT_MS = 30000 };

static struct world world;
static struct postgres *primary, *standby;
static struct relay *to_primary, *replication;

static void
look_at_the_standby(void)
{
    char url[POSTGRES_URL_LEN];

    db_close(world.db);
    world.postgres = standby;
    postgres_url(standby, world.database, POSTGRES_ADMIN, url);
    world.db = db_new(url, "test", process_slow(WAIT_MS));
}

/* Each worker of macp-fcgi finds out about its own connection. */
static bool
api_answers(void *ctx)
{
    const struct crowd *c = ctx;
    bool all = true;

    for (int i = 0; all && i < API_LOOKS; i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err;

        all = http_get(&world.http, &r, &err, "/runs/%s", c->runs[0].run) && r.status == 200;
    }
    return all;
}

static void
lose_the_primary(void)
{
    struct err err = {0};

    db_disconnect(world.db);
    expect_ok(relay_vanish(to_primary, &err) && relay_go_deaf(to_primary, true, &err), &err,
              "vanish");
    postgres_down(primary, POSTGRES_KILL);
    relay_cut(replication);
    expect_ok(postgres_promote(standby, &err), &err, "promote");
    look_at_the_standby();
}

/* The runtime has what the standby has not. */
static void
standby_that_is_behind_takes_over_and_nothing_is_lost(void **state)
{
    struct crowd c;
    int64_t began;
    long stored;

    (void)state;
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    crowd_wait_stored(&c, RUNS * 5);
    /* All runs are there. */
    expect_sql(&world, "", "create table lsn as select pg_current_wal_lsn() as at");
    expect_sql_becomes(&world, "t", "select replay_lsn >= at from pg_stat_replication, lsn");
    relay_hold(replication, true);
    stored = crowd_stored(&c) + LOST;
    crowd_wait_stored(&c, stored);
    assert_true(crowd_is_pumping(&c));
    lose_the_primary();
    began = clock_mono_ms();
    print_message("%ld envelopes of %ld are on the standby\n", crowd_stored(&c), stored);
    assert_true(crowd_stored(&c) < stored);
    crowd_pumped(&c);
    assert_true(process_poll(api_answers, &c, process_slow(WAIT_MS)));
    crowd_expect_whole(&c, "failover");
    print_message("everything is back after %ld ms\n", (long)(clock_mono_ms() - began));
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(&c);
}

static int
set_up(void **state)
{
    static char address[200];
    struct world_options options = {.without_observerd = true, .postgres_address = address};
    struct err err = {0};

    primary = postgres_start(
        &(struct postgres_options){.tcp = true, .durable = true, .settings = POSTGRES_REPLICATED},
        &err);
    if (primary)
        replication = relay_start(RELAY_BYTES, postgres_port(primary), &err);
    if (replication)
        to_primary = relay_start(RELAY_BYTES, postgres_port(primary), &err);
    if (to_primary)
        standby = postgres_standby(primary, relay_port(replication), &err);
    if (!standby) {
        print_error("%s\n", err.msg);
        return -1;
    }
    snprintf(address, sizeof address,
             "&host=127.0.0.1,127.0.0.1&port=%d,%d&target_session_attrs=read-write",
             relay_port(to_primary), postgres_port(standby));
    options.cluster = primary;
    options.postgres_port = relay_port(to_primary);
    return scene_open(state, &world, &options, SCENE_INSTANCE | SCENE_READY | SCENE_WITNESS);
}

static int
tear_down(void **state)
{
    scene_close(state);
    relay_stop(to_primary);
    relay_stop(replication);
    postgres_stop(standby);
    postgres_stop(primary);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standby_that_is_behind_takes_over_and_nothing_is_lost),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("failover", tests, set_up, tear_down);
}
